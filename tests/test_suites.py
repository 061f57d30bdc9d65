"""Benchmarks as data: names, settings, methods; and every suite's command on real data."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from metajax import commands, suites
from metajax.config import METHODS, Encoder, Evaluate, Train
from metajax.suites import CLASS_METHODS, REGRESSION_METHODS, Entry

ROOT = Path(__file__).resolve().parents[1]
SUITES = ("disease_prediction", "imaging", "genomics", "drug_discovery")
real = pytest.mark.skipif(
    not os.environ.get("METAJAX_DATA"), reason="METAJAX_DATA names no data directory"
)
OWN = Entry(
    "heart_uci", "splits", (8,), name="hearts", encoder=Encoder((64,), name="conv1d"),
    train=Train(tasks_per_step=4, lr=0.001), evaluate=Evaluate(episodes=7),
    methods=("maml", "ridge", "lr_c0.1"),
)  # fmt: skip
PLAIN = Entry("heart_uci", "leave_one_out", (4, 8))
ENTRIES = (PLAIN, OWN, Entry("support2", "leave_one_out", (8,), methods=CLASS_METHODS))


@pytest.fixture
def script(monkeypatch):
    """Imports an experiment's script by name."""
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    return importlib.import_module


def test_find():
    assert suites.find(ENTRIES, "heart_uci") is PLAIN and suites.find(ENTRIES, "hearts") is OWN
    with pytest.raises(ValueError) as told:
        suites.find(ENTRIES, "suport2")
    assert str(told.value) == ("unknown benchmark 'suport2'; there are heart_uci, hearts, support2;"
                               " did you mean support2?")  # fmt: skip
    with pytest.raises(ValueError, match="there are heart_uci, hearts, support2$"):
        suites.find(ENTRIES, "zzz")


def flags(**more):
    """Flags as the full preset has them."""
    return commands.Flags(**more)


def test_what_is_left_at_its_default_is_the_benchmarks_own():
    own = suites.own_settings(OWN, flags().encoder, flags().train, flags().evaluate)
    assert own == (OWN.encoder, OWN.train, OWN.evaluate)
    plain = suites.own_settings(PLAIN, flags().encoder, flags().train, flags().evaluate)
    assert plain == (Encoder(), Train(), Evaluate())


def test_a_flag_goes_before_the_benchmarks_own():
    encoder, train, evaluate = suites.own_settings(
        OWN, Encoder((8, 8), name="auto"), Train(lr=0.01, steps=10), Evaluate(validation_episodes=2)
    )
    assert encoder == Encoder((8, 8), name="conv1d")
    assert train == Train(steps=10, tasks_per_step=4, lr=0.01)
    assert evaluate == Evaluate(episodes=7, validation_episodes=2)
    named = suites.own_settings(OWN, Encoder(name="set"), Train(), Evaluate())[0]
    assert named == Encoder((64,), name="set")


def runs(entries=ENTRIES, **more):
    """(benchmark, method, seed) of the runs that flags ask for."""
    found = commands.configurations(flags(**more), entries, "suite")
    return [(config.benchmark, config.learner, config.seed) for config in found]


def test_settings_reach_the_runs():
    found = commands.configurations(
        flags(learner="maml", seed=0, train=Train(steps=10)), ENTRIES, "suite"
    )
    by_name = {config.benchmark: config for config in found}
    assert by_name["hearts"].train == Train(steps=10, tasks_per_step=4, lr=0.001)
    assert by_name["heart_uci"].train == Train(steps=10)
    assert by_name["hearts"].encoder.name == "conv1d" and by_name["heart_uci"].encoder.name == "mlp"
    assert by_name["hearts"].shots == (8,) and by_name["heart_uci"].shots == (4, 8)


def test_methods_that_do_not_apply_are_not_run():
    assert runs(benchmark=("hearts",), seed=0) == [
        ("hearts", method, 0) for method in OWN.methods
    ]
    # Named among several, or alone without a benchmark: only where they apply.
    assert runs(methods=("ridge", "pooled_lr"), seed=0) == [
        ("heart_uci", "ridge", 0), ("heart_uci", "pooled_lr", 0), ("hearts", "ridge", 0),
        ("support2", "ridge", 0),
    ]  # fmt: skip
    assert runs(learner="pooled_lr", seed=0) == [("heart_uci", "pooled_lr", 0)]


def test_a_method_named_for_a_benchmark_it_does_not_apply_to_is_refused():
    with pytest.raises(ValueError, match="^pooled_lr does not apply to hearts; these do: maml, ri"):
        runs(learner="pooled_lr", benchmark=("hearts",))
    with pytest.raises(ValueError, match="^ridge_cv applies to none of the benchmarks"):
        runs(learner="ridge_cv")


def test_host_baselines_run_once():
    assert runs(benchmark=("hearts",)) == [
        *(("hearts", method, seed) for method in ("maml", "ridge") for seed in commands.SEEDS),
        ("hearts", "lr_c0.1", 0),
    ]


def test_lists_of_methods_name_methods():
    assert set(CLASS_METHODS) | set(REGRESSION_METHODS) <= set(METHODS)
    assert not set(CLASS_METHODS) & set(suites.POOLED_METHODS)
    assert "ridge_cv" in REGRESSION_METHODS and "protonet" not in REGRESSION_METHODS


@pytest.mark.parametrize("suite", SUITES)
def test_benchmarks_of_a_suite_are_distinct_and_presets_name_them(suite, script):
    module = script(suite)
    names = [entry.label for entry in module.ENTRIES]
    assert len(set(names)) == len(names)
    for entry in module.ENTRIES:
        assert set(entry.methods) <= set(METHODS)
    for preset in module.PRESETS.values():
        assert set(preset.benchmark or ()) <= set(names)


@real
def test_tables_of_diseases_on_real_data(script, tmp_path, monkeypatch):
    module, name = script("disease_prediction"), "disease_tables"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    methods, shots = ["ridge", "lr_c0.1"], suites.find(module.ENTRIES, name).shots[0]
    line = ["--preset=smoke", f"--benchmark={name}", "--workers=1",
            f"--results={tmp_path}", f"--shots={shots}", "--methods", *methods]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["disease_prediction.py", *line])
    try:
        assert module.main() == 0
    finally:
        suites.load.cache_clear()
        suites.build.cache_clear()
    table = pd.read_csv(tmp_path / "smoke-disease_prediction" / "table.csv")
    assert set(table.suite) == {"disease_prediction"}
    whole = table[table.benchmark == name]  # the others are its tasks
    assert set(whole.learner) == set(methods) and set(whole.shots) == {shots}
    assert whole[whole.metric == "auroc"]["mean"].between(0, 1).all()
    assert whole.metric.nunique() >= 3
    page = (tmp_path / "smoke-disease_prediction" / "table.md").read_text()
    assert all(method in page for method in methods)


@real
@pytest.mark.long
@pytest.mark.parametrize("suite", SUITES)
def test_the_smoke_preset(suite, script, tmp_path, monkeypatch):
    for name, value in (("METAJAX_CACHE", str(tmp_path / "cache")), ("WANDB_MODE", "offline"),
                        ("PYTHONPATH", str(ROOT))):  # fmt: skip
        monkeypatch.setenv(name, value)
    line = [sys.executable, str(ROOT / "experiments" / f"{suite}.py"), "--preset=smoke",
            "--workers=2", f"--results={tmp_path}"]  # fmt: skip
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    smoke = script(suite).PRESETS["smoke"]
    table = pd.read_csv(tmp_path / f"smoke-{suite}" / "table.csv")
    assert {name.partition("/")[0] for name in table.benchmark} == set(smoke.benchmark)
    for name in smoke.benchmark:
        assert set(table[table.benchmark == name].learner) == set(smoke.methods)
