"""The source files of a run's numbers: found, digested, and told when they change."""

import ast
import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from metajax import commands, origins, records, runs, sources, sweeps, tables
from metajax.benchmarks import defined
from metajax.config import Encoder
from metajax.suites import Entry
from metajax.tasks.decoding import nucleotides

CODE = '''"""What it does."""

METHODS = ("words",)


def predict(x: float, *, scale: float = 2.0) -> float:
    """Twice x."""
    # a comment
    return -scale * x
'''


@pytest.fixture
def digest(tmp_path):
    def of(old="", new=""):
        assert old in CODE
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.py"
        path.write_text(CODE.replace(old, new, 1))
        return sources.digest(path)

    return of


def test_comments_docstrings_and_layout_are_no_change(digest):
    same = [
        ("    # a comment\n", ""), ("Twice x", "Half of x"), ("What it does", "What"),
        ("return -scale * x", "return (-scale\n            * x)"), ('"words"', '"other words"'),
    ]  # fmt: skip
    assert {digest(*one) for one in same} == {digest()}
    other = [("-scale", "scale"), ("2.0", "2.5"), ("scale * x", "scale / x"), ("*, ", "")]
    assert len({digest(), *(digest(*one) for one in other)}) == 1 + len(other)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("from parts.scale import double", "scale.py"), ("import parts.scale", "scale.py"),
        ("from parts import scale", "scale.py"), ("from .beside import double", "beside.py"),
        ("from . import beside", "beside.py"), ("import beside as b", "beside.py"),
    ],
)  # fmt: skip
def test_what_a_script_imports_is_found_however_it_is_named(tmp_path, line, wanted):
    (tmp_path / "parts").mkdir()
    for name in ("parts/scale.py", "beside.py"):
        (tmp_path / name).write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "script.py").write_text(f"{line}\n")
    assert set(sources.digests([tmp_path / "script.py"])) == {"script.py", wanted}


def test_two_files_of_one_name_are_two_files(tmp_path):
    (tmp_path / "parts").mkdir()
    for name in ("own.py", "parts/own.py"):
        (tmp_path / name).write_text(f"NAME = {name!r}\n")
    (tmp_path / "script.py").write_text("import own\nfrom parts.own import NAME\n")
    found = sources.digests([tmp_path / "script.py"])
    assert set(found) in ({"script.py", "own.py", "parts/own.py"},
                          {"script.py", "own.py", f"{tmp_path.name}/own.py"})  # fmt: skip
    assert len(set(found.values())) == 3


def test_what_a_learner_imports_from_its_own_folder_is_found():
    folder = sources.ROOT / "metajax" / "learners"
    for line, name in (("from .maml import maml", "metajax.learners.maml"),
                       ("from . import maml", "metajax.learners"),
                       ("from ..nn import mlp", "metajax.nn")):  # fmt: skip
        (node,) = ast.parse(line).body
        assert sources._absolute(node, folder / "own.py") == name


def of(learner, **options):
    config = dataclasses.replace(tiny.config(learner), **options)
    return set(origins.of_run(config, tiny.build()))


def test_a_run_comes_from_its_own_files_and_from_no_other_learners():
    maml, protonet, host = of("maml"), of("protonet"), of("lr_c0.1")
    for name in ("training", "evaluation", "scoring", "runs", "metrics", "tasks/sampler", "nn/mlp"):
        assert f"metajax/{name}.py" in maml & protonet
    assert maml - protonet == {"metajax/learners/maml.py"}
    assert "metajax/learners/protonet.py" in protonet - maml
    assert "metajax/baselines/classification.py" in host - maml
    assert not [name for name in host if "learners" in name]
    conv = of("maml", encoder=Encoder((4,), name="conv1d"))
    assert "metajax/nn/conv1d.py" in conv - maml and "metajax/nn/mlp.py" not in conv
    for name in maml | host:
        assert not name.startswith(("metajax/tables", "metajax/report", "metajax/commands"))


def test_functions_builder_and_reader_of_a_benchmark_are_among_them():
    made = tiny.build()._replace(
        definition={"how": "splits", "family": "deepbind"}, functions=(nucleotides, defined, of)
    )
    found = set(origins.of_run(tiny.config(), made))
    assert {
        "metajax/benchmarks/splits.py", "metajax/datasets/genomics/deepbind.py",
        "metajax/tasks/decoding.py", "tests/test_sources.py",
    } <= found  # fmt: skip
    assert "metajax/benchmarks/classes.py" not in found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return runs.run_many([tiny.config("protonet", seed=s) for s in (0, 1)], tiny.build(), folder)


@pytest.fixture
def record(made, tmp_path):
    """Copies of two records; the first was made by another protonet.py."""
    places = [tmp_path / "suite" / "runs" / one.name for one in made]
    for one, place in zip(made, places, strict=True):
        shutil.copytree(one, place)
    told = records.sources_of(places[0])
    told["metajax/learners/protonet.py"] = "0" * 12
    records.write_json(places[0] / records.SOURCES, told)
    return places


def make(folder, **options):
    """Runs both; what is said of those that are kept."""
    said = {}
    configs = [tiny.config("protonet", seed=s) for s in (0, 1)]
    runs.run_many(configs, tiny.build(), folder, on_kept=said.__setitem__, **options)
    return said


CHANGED = "kept, but metajax/learners/protonet.py has changed since: --again runs it anew"


def test_what_has_changed_is_said_and_again_makes_it_anew(record, tmp_path):
    old, other = record
    before = tiny.numbers(old), tiny.modified(other)
    (old / "mark").write_text("of the old record")
    folder = tmp_path / "suite"
    assert make(folder) == {old.name: CHANGED, other.name: "finished before"}
    assert (old / "mark").exists()
    assert make(folder, again=True) == {other.name: "finished before"}
    assert not (old / "mark").exists() and tiny.modified(other) == before[1]
    assert tiny.numbers(old).keys() == before[0].keys()
    assert make(folder) == dict.fromkeys((old.name, other.name), "finished before")
    assert {p.name for p in (folder / "runs").iterdir()} == {old.name, other.name}


def test_the_old_record_stays_until_the_new_one_is_whole(record, tmp_path, monkeypatch):
    old, _ = record
    (old / "mark").write_text("of the old record")
    folder, rename = tmp_path / "suite", type(old).rename

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "score_all", stop)
        with pytest.raises(KeyboardInterrupt):
            make(folder, again=True)
    assert (old / "mark").exists() and records.is_complete(old)

    def killed(path, target):  # between the two renames
        if path.name.startswith(".tmp"):
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(type(old), "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            make(folder, again=True)
    assert not old.exists()
    assert make(folder)[old.name] == CHANGED and (old / "mark").exists()
    assert old.name not in make(folder, again=True) and not (old / "mark").exists()


def test_a_checkpoint_of_other_sources_is_not_gone_on_from(tmp_path, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    one, lines = tiny.config("protonet"), []
    for told in (None, {"metajax/training.py": "0" * 12}):
        with monkeypatch.context() as patch:
            patch.setattr(runs, "score_all", stop)
            with pytest.raises(KeyboardInterrupt):
                runs.run(one, tiny.build(), tmp_path, lines.append)
        (partial,) = (tmp_path / "runs").glob(".tmp-*")
        if told:
            records.write_json(partial / records.SOURCES, told)
    assert any("resumed" in line for line in lines)
    lines.clear()
    runs.run(one, tiny.build(), tmp_path, lines.append)
    assert "metajax/training.py changed since the last checkpoint" in lines[0]
    assert not any("resumed" in line for line in lines)


def test_a_record_of_before_is_kept_and_named(record, tmp_path):
    for place in record:
        (place / records.SOURCES).unlink()
    said = make(tmp_path / "suite", again=True)
    assert set(said.values()) == {
        "kept; it is older than the digests of sources, so what has changed is not known"
    }
    assert commands.told_kept(said.items()) == [
        f"2 runs ({record[0].name}, {record[1].name}): {next(iter(said.values()))}"
    ]


def test_commands_and_sweeps_say_it(record, tmp_path, capsys):
    old, _ = record
    one = tiny.config("protonet")
    given = {
        "preset": "full", "benchmark": None, "learner": "protonet", "seed": 0, "shots": None,
        "methods": None, "inner": one.inner, "train": one.train, "encoder": one.encoder,
        "evaluate": one.evaluate, "data_dir": None, "results": str(tmp_path), "wandb": "disabled",
        "workers": 1,
    }  # fmt: skip

    def suite(**more):
        entries = [Entry("tiny", "leave_one_out", tiny.SHOTS)]
        flags = SimpleNamespace(**given | more)
        assert commands.run_suite("suite", flags, entries, tiny.build) == 0
        return " ".join(capsys.readouterr().out.split())

    assert f"{old.name}: {CHANGED}" in suite()
    assert "changed since" not in suite(again=True)
    (outcome,) = sweeps.run_all([one], tiny.build, tmp_path / "suite", workers=1)
    assert outcome.kept == "finished before"


def test_tables_name_the_files_in_which_their_records_differ(record, tmp_path):
    found = tables.load_runs(tmp_path / "suite")
    assert tables.mixed_sources(found) == {"metajax/learners/protonet.py": ["protonet"]}
    page = tables.markdown(tables.long_table(found), found)
    assert "different versions of metajax/learners/protonet.py" in page
    (record[0] / records.SOURCES).unlink()
    found = tables.load_runs(tmp_path / "suite")
    assert tables.mixed_sources(found) == {}
    assert "different versions" not in tables.markdown(tables.long_table(found), found)


def test_the_validation_score_of_the_selected_step_is_kept(made):
    for place in made:
        rows = tiny.lines(place)
        best = [
            max(row["validation/auroc"] for row in rows
                if row["fold"] == fold and row["phase"] == "select")
            for fold in range(3)
        ]  # fmt: skip
        result = json.loads((place / "result.json").read_text())
        assert result["best/validation/auroc"] == pytest.approx(np.mean(best))


def test_a_table_that_knows_learners_by_name_refuses_two_kinds_of_one(made):
    found = tables.load_runs(made[0].parents[1])
    tables.same_settings(found)
    other = found[1]._replace(config=found[1].config | {"definition": {"folds": 9}})
    for parts in ((), ("definition", "jax")):
        with pytest.raises(ValueError, match="differ in .*definition.folds.*runs.py rm ID"):
            tables.same_settings([found[0], other], parts)
    config = found[1].config | {"train": found[1].config["train"] | {"task_axis": "scan"}}
    tables.same_settings([found[0], found[1]._replace(config=config)])  # it changes no number
    lower = found[1].config | {"train": found[1].config["train"] | {"lr": 0.1}}
    tables.same_settings([found[0], found[1]._replace(config=lower)], ("definition", "jax"))
