"""The name of a run: all that makes its numbers is in it, and nothing else."""

import dataclasses
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import migrate_records
import numpy as np
import pytest
import tiny

from metajax import commands, describe, given, origins, precision, records, suites
from metajax.benchmarks import defined
from metajax.config import Encoder, RunConfig, Train, resolved, unused
from metajax.hyper import Inner
from metajax.suites import Entry
from metajax.tasks.decoding import bind, chain, images, strokes
from metajax.tasks.schemas import features_by_support, select_by_support

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = sorted((ROOT / "results").glob("*/runs/*/config.json"))
ENTRY = Entry("heart_uci", "leave_one_out", (8, 16), prepare=bind(select_by_support, width=8))


def shifted(family, by=1):
    """A change of a family."""
    return family


OTHERS = {
    "family": "support2", "how": "splits", "transform": shifted, "prepare": strokes,
    "targets": (0, 1), "folds": 3, "shared": "divide", "least": 4, "ways": 7, "by_task": False,
    "queries": 99,
}  # fmt: skip


def name(entry=ENTRY, **options):
    config = RunConfig("suite", entry.label, "maml", 0, (8, 16), **options)
    definition = suites.definition(entry)
    return records.run_id(resolved(config, strict=True), [tiny.table().card], definition)


def test_every_field_of_an_entry_is_in_the_names_of_its_runs():
    told = {field.name for field in dataclasses.fields(Entry)}
    # The others are in the configuration, or say which runs there are.
    assert told - {"name", "shots", "encoder", "train", "evaluate", "methods"} == set(OTHERS)
    label = {"name": "heart_uci"}  # one benchmark's name all along: what the table shows
    names = [name()]
    names += [name(dataclasses.replace(ENTRY, **{k: v}, **label)) for k, v in OTHERS.items()]
    assert len(set(names)) == 1 + len(OTHERS)
    assert name(dataclasses.replace(ENTRY)) == names[0]


def test_arguments_of_functions_are_in_the_names():
    functions = [
        bind(select_by_support, width=16), bind(features_by_support, width=8),
        chain(images, strokes), chain(strokes, images), images,
        functools.partial(shifted, by=2), functools.partial(shifted, by=3), shifted,
    ]  # fmt: skip
    names = [name(dataclasses.replace(ENTRY, prepare=one)) for one in functions]
    assert len({name(), *names}) == 1 + len(functions)
    assert describe.text(bind(select_by_support, width=8)) == describe.text(ENTRY.prepare)
    assert describe.text(functools.partial(shifted, by=2)) == (
        "test_identity.shifted(default 0=1)(by=2)"
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [(lambda episode: episode, "a lambda (test_identity.py, line"), (object(), "<object object")],
)
def test_what_has_no_name_is_refused_with_the_remedy(value, told):
    with pytest.raises(ValueError, match="benchmark heart_uci: ") as refusal:
        name(dataclasses.replace(ENTRY, prepare=value))
    assert told in str(refusal.value) and "Remedy: " in str(refusal.value)


class Quiet:
    """An object whose own text leaves out what it holds."""

    def __init__(self, by):
        self.by = by

    def __repr__(self):
        return "Quiet()"

    def __call__(self, episode):
        return episode


@dataclasses.dataclass(frozen=True)
class Frozen:
    """What a lambda is replaced by."""

    by: int

    def __call__(self, episode):
        return episode


def test_objects_that_are_called_are_told_by_what_they_hold_and_their_classes_are_found():
    for kind in (Quiet, Frozen):
        assert describe.text(kind(1)) == describe.text(kind(1)) != describe.text(kind(2))
        assert describe.functions(kind(1)) == describe.functions((kind,)) == [kind]
    config = RunConfig("suite", "b", "protonet", 0, (8,))
    made = tiny.build()._replace(functions=(Frozen(1), int))
    assert "tests/test_identity.py" in origins.of_run(config, made)


def test_arrays_are_told_by_their_bytes_and_loops_end():
    one = np.arange(6, dtype=np.float32)
    assert describe.text(one) == describe.text(jnp.asarray(one)) != describe.text(one[::-1])
    assert describe.text(one) != describe.text(one.reshape(2, 3))
    assert describe.text(jax.random.key(0)) != describe.text(jax.random.key(1))

    def itself():
        return itself

    assert describe.text(itself) == (
        "test_identity.test_arrays_are_told_by_their_bytes_and_loops_end.itself(itself=...)"
    )


def test_a_benchmark_without_an_entry_is_told_by_what_it_holds():
    first = defined(tiny.build())
    assert first == defined(tiny.build.__wrapped__())
    rows, fewer = tiny.build.__wrapped__(replaced=2), tiny.build.__wrapped__()
    fold = fewer.folds[0]
    fewer = fewer._replace(folds=(fold._replace(train=fold.validation), *fewer.folds[1:]))
    assert len({json.dumps(one) for one in (first, defined(rows), defined(fewer))}) == 3


def test_an_explicit_default_is_the_same_run():
    def of(**options):
        config = RunConfig("suite", "heart_uci", "simpleshot", 0, (8,), **options)
        return resolved(config, strict=True)

    assert (
        of(inner=Inner(scale=10.0)) == of() == of(inner=Inner(scale=10)) == of(train=Train(lr=3e-3))
    )
    assert of(inner=Inner(scale=9.0)) != of() and of().inner.scale == 10.0 and of().inner.lr is None
    conv = Encoder((32,), name="conv1d")
    assert of(encoder=conv) == of(encoder=Encoder((32, 8), False, "conv1d"))
    assert of(encoder=conv) != of(encoder=Encoder((16,), name="conv1d"))
    scratch = RunConfig("suite", "heart_uci", "scratch", 0, (8,), train=Train(steps=7))
    assert resolved(scratch, strict=True).train == Train()  # it is not meta-trained


WAYS = "import metajax.precision as p; print(p.unusual(), p.flags())"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("jax_enable_x64", True), ("jax_default_prng_impl", "rbg"),
        ("jax_threefry_partitionable", False), ("jax_random_seed_offset", 7),
        ("jax_default_matmul_precision", "bfloat16"), ("jax_numpy_dtype_promotion", "strict"),
    ],
)  # fmt: skip
def test_what_jax_is_told_is_in_the_name(setting, value):
    before, plain = getattr(jax.config, setting), name()
    try:
        jax.config.update(setting, value)
        assert precision.unusual() == {setting: value} and precision.flags()[setting] == value
        assert name() != plain
    finally:
        jax.config.update(setting, before)
    assert name() == plain and precision.unusual() == {}


def test_variables_of_the_environment_are_seen_and_secrets_are_not_kept():
    """JAX reads its variables once, as it is imported."""
    told = {"JAX_ENABLE_X64": "1", "JAX_DEFAULT_PRNG_IMPL": "rbg", "JAX_MY_TOKEN": "hidden",
            "XLA_FLAGS": "--xla_cpu_enable_fast_math=false"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", WAYS], env=os.environ | told, cwd=ROOT, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert "'jax_enable_x64': True, 'jax_default_prng_impl': 'rbg'}" in done.stdout
    assert "fast_math" in done.stdout and "hidden" not in done.stdout


OWN = dataclasses.replace(
    ENTRY, train=Train(tasks_per_step=8), encoder=Encoder((8,), name="conv1d")
)


def configurations(*arguments, entries=(OWN,), **options):
    flags = commands.parse(
        commands.Flags, {"full": commands.Flags()}, default="full", arguments=arguments
    )
    return commands.configurations(flags, entries, "suite", **options)


def test_a_flag_that_equals_the_global_default_is_given():
    line = ("--learner=maml", "--seed=0")
    found = [configurations(*line, f"--train.tasks_per_step={n}") for n in (8, 16, 32)]
    assert [one.train.tasks_per_step for (one,) in found] == [8, 16, 32]
    assert configurations(*line) == found[0]  # the benchmark's own
    (one,) = configurations(*line, "--encoder.name=mlp", "--evaluate.episodes=20")
    assert one.encoder == Encoder((8,), name="mlp")
    (auto,) = configurations(*line, "--encoder.name=auto")
    assert auto.encoder == OWN.encoder


def test_what_is_dropped_is_told_once():
    dropped = {}
    arguments = (
        "--methods", "maml", "lr_c0.1", "scratch", "ridge_cv", "--train.steps=7", "--inner.lr=0.2",
        "--encoder.skip=False", "--encoder.widths", "8", "4",
    )  # fmt: skip
    configurations(*arguments, dropped=dropped)
    assert commands.told_dropped(dropped) == [
        "left out: ridge_cv (not for heart_uci)",
        "dropped: --encoder.widths beyond the first (of no use to maml, scratch)",
        "dropped: --encoder.skip (of no use to maml, lr_c0.1, scratch)",
        "dropped: --inner.lr (of no use to lr_c0.1)",
        "dropped: --train.steps (of no use to lr_c0.1, scratch)",
        "dropped: --encoder.widths (of no use to lr_c0.1)",
    ]
    # What the preset sets was not asked for.
    dropped = {}
    configurations("--methods", "maml", "lr_c0.1", base=commands.Flags(), dropped=dropped)
    assert dropped == {}


def test_a_whole_part_of_a_preset_becomes_flags():
    assert given.as_flags(Train(steps=4)) == given.TrainFlags(steps=4)
    assert given.given(given.TrainFlags(tasks_per_step=16)) == {"tasks_per_step": 16}
    assert given.given(Encoder((9,), name="auto")) == {"widths": (9,)}
    assert unused(RunConfig("s", "b", "lr_cv", 0, (8,)), ["train.lr"]) == ["train.lr"]


@pytest.mark.parametrize("suite", sorted({path.parts[-4] for path in COMMITTED}))
def test_committed_records_have_the_names_that_todays_code_gives_them(suite):
    ours = [path.parent for path in COMMITTED if path.parts[-4] == suite]
    assert ours
    for folder in ours:
        told = json.loads((folder / "config.json").read_text())
        environment = json.loads((folder / "environment.json").read_text())
        assert records.name_of(told, environment["cards"]) == folder.name
        again = migrate_records.renewed(migrate_records.as_config(told))
        assert json.loads(json.dumps(again)) == told, folder


def test_records_of_before_are_renamed_once_and_nothing_is_lost(tmp_path, capsys):
    """A record as the first ones were: fewer settings, another name."""
    (folder,) = (p.parent for p in COMMITTED if "heart_uci-maml-s0" in p.parent.name)
    home = tmp_path / "disease_prediction" / "runs"
    old = home / "heart_uci-maml-s0-28926edad5"
    old.mkdir(parents=True)
    for path in folder.iterdir():
        (old / path.name).write_bytes(path.read_bytes())
    told = json.loads((old / "config.json").read_text())
    del told["definition"], told["jax"], told["encoder"]["name"], told["encoder"]["dtype"]
    told["inner"] = dict.fromkeys(("lr", "steps", "l2", "first_order", "remat", "bias"))
    (old / "config.json").write_text(json.dumps(told))
    strange = home / "strange"
    strange.mkdir()
    for part in ("config", "environment", "result"):
        (strange / f"{part}.json").write_text((old / f"{part}.json").read_text())
    (strange / "config.json").write_text(json.dumps(told | {"suite": "nowhere"}))
    line = ["--results", str(tmp_path)]
    assert migrate_records.main(line) == 1 and old.is_dir()
    assert "no experiments/nowhere.py" in capsys.readouterr().err
    assert migrate_records.main([*line, "--write"]) == 1
    assert sorted(path.name for path in home.iterdir()) == sorted([folder.name, "strange"])
    for path in folder.iterdir():
        assert (home / folder.name / path.name).read_bytes() == path.read_bytes()
    capsys.readouterr()
    migrate_records.main([*line, "--write"])
    assert "0 renamed, 0 rewritten" in capsys.readouterr().out


def test_a_seed_that_is_not_used_is_dropped_and_told():
    for learner, line in (("lr_c0.1", "dropped: --seed (of no use to lr_c0.1)"),
                          ("random_forest", None)):  # fmt: skip
        dropped = {}
        (one,) = configurations(f"--learner={learner}", "--seed=5", dropped=dropped)
        assert one.seed == (0 if line else 5)
        assert commands.told_dropped(dropped) == [line] * bool(line)
    # An agent of a sweep starts models on the host with one seed, whatever it is told.
    dropped = {}
    (one,) = configurations("--learner=random_forest", "--seed=5", dropped=dropped, trial=True)
    assert one.seed == 0
    assert commands.told_dropped(dropped) == ["one seed: random_forest (always 0 in a sweep)"]
