"""Sweep files: what they say, and that what cannot be run is refused with its line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from metajax import commands, config, records, sweep_files, sweep_plans, sweeps

ROOT = Path(__file__).resolve().parents[1]
FILE = """\
program: experiments/disease_prediction.py
method: grid
metric: {name: natural/auroc@8, goal: maximize}
parameters:
  benchmark: {value: sklearn_tables}
  learner: {values: [maml, ridge, lr_c0.1]}
  inner.lr: {values: [0.1, 0.3]}
  seed: {values: [0, 1]}
"""
RANDOM = FILE.replace("method: grid", "method: random\nrun_cap: 40")


@pytest.fixture
def file(tmp_path):
    def write(text=FILE, old="", new=""):
        assert old in text
        path = tmp_path / "sweep.yaml"
        path.write_text(text.replace(old, new, 1))
        return path

    return write


def plan(path, **options):
    """The plan of a file that lies outside the repository."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return sweep_plans.check(path, **options)


def test_a_grid_is_crossed_deduplicated_and_stripped_of_what_does_not_apply(file):
    found = plan(file())
    assert found.trials == 12 and found.metric == ("natural/auroc@8", True)
    told = {(one.learner, one.inner.lr, one.seed) for one in found.configs}
    # ridge has no inner.lr, and the regression gives the same numbers whatever its seed.
    assert told == {
        *(("maml", lr, seed) for lr in (0.1, 0.3) for seed in (0, 1)),
        ("ridge", None, 0), ("ridge", None, 1), ("lr_c0.1", None, 0),
    }  # fmt: skip
    assert len(found.configs) == 7
    assert sorted(len(group) for group in sweeps.programs(found.configs)) == [1, 2, 4]


def test_a_script_that_cannot_be_imported_is_refused(file, tmp_path):
    (tmp_path / "broken_script.py").write_text("import nowhere_to_be_found")
    path = file(FILE, "experiments/disease_prediction.py", "broken_script.py")
    with pytest.raises(ValueError, match="line 1: .*cannot be imported: No module named 'nowhere"):
        plan(path)


def test_numbers_become_what_the_first_of_their_kind_became(file, monkeypatch):
    calls, parse = [], sweep_plans._parse
    monkeypatch.setattr(
        sweep_plans, "_parse", lambda *given: calls.append(given[2]) or parse(*given)
    )
    found = plan(file(FILE, "[0.1, 0.3]", "[1, 0.3, 0.5, 2]"))
    rates = {one.inner.lr for one in found.configs if one.learner == "maml"}
    assert rates == {1.0, 0.3, 0.5, 2.0} and all(type(rate) is float for rate in rates)
    assert calls.count("inner.lr") == 2 and calls.count("seed") == 1
    with pytest.raises(ValueError, match=r"line 8: .*0\.5"):  # no int is made of a float
        plan(file(FILE, "[0, 1]", "[0, 0.5]"))
    with pytest.raises(ValueError, match="line 7: .*--inner.lr must be above 0"):
        plan(file(FILE, "[0.1, 0.3]", "[0.1, -0.3]"))


def test_a_trial_is_the_run_of_the_command_that_an_agent_would_start(file):
    found = plan(file())
    module = sys.modules["disease_prediction"]
    arguments = ["--benchmark=sklearn_tables", "--learner=maml", "--inner.lr=0.3", "--seed=1"]
    flags = commands.parse(commands.Flags, module.PRESETS, default="full", arguments=arguments)
    (alone,) = commands.configurations(flags, module.ENTRIES, module.SUITE, trial=True)
    assert alone in found.configs
    arguments[1] = "--learner=lr_c0.1"  # it has no seed: whatever the agent says, one run
    flags = commands.parse(commands.Flags, module.PRESETS, default="full", arguments=arguments)
    (alone,) = commands.configurations(flags, module.ENTRIES, module.SUITE, trial=True)
    assert alone in found.configs and alone.seed == 0


def test_shards_split_the_programs_and_keep_them_whole(file):
    text = FILE.replace("[0, 1]", str(list(range(50))))
    every = sweeps.programs(plan(file(text)).configs)
    assert [len(part) for part in every] == [16] * 6 + [4] + [16] * 3 + [2, 1]
    for parts in (2, 3):
        dealt = []
        for part in range(parts):
            mine = [one for group in every[part::parts] for one in group]
            dealt += sweeps.programs(mine)
        assert sorted(map(repr, dealt)) == sorted(map(repr, every))


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("inner.lr:", "inner.lrr:", 7, "did you mean inner.lr"),
        ("method:", "methd:", 2, "did you mean method"),
        ("grid", "gird", 2, "did you mean grid"),
        ("grid", "bayes", 2, "wandb sweep"),
        ("method: grid", "method: random", 2, "run_cap"),
        ("method: grid", "method: grid\nmethod: grid", 3, "stands in line 2 already"),
        ("method: grid", "method: grid\nrun_cap: 0", 3, "above 0"),
        ("method: grid", "method: grid\nearly_terminate: {type: hyperband}", 3, "online only"),
        ("program: experiments/disease_prediction.py\n", "", 1, "'program' is missing"),
        ("disease_prediction", "nothere", 1, "no file experiments/nothere.py"),
        ("disease_prediction", "sinusoid", 1, "cannot be swept: it has no ENTRIES"),
        ("goal: maximize", "goal: most", 3, "maximize or minimize"),
        ("natural/auroc@8", "auroc", 3, "no run has 'auroc'; name a test score, such as balanced/"),
        ("auroc@8", "auroc@7", 3, "shots 4, 8, 16"),
        ("auroc@8", "aurok@8", 3, "no metric 'aurok'; did you mean au"),
        ("natural/auroc@8", "best/validation/accuracy", 3, "'accuracy'; did you mean auroc"),
        ("natural/auroc@8", "best/validation/aurok", 3, "did you mean auroc"),
        ("[0.1, 0.3]", "[]", 7, "values is empty"),
        ("[0.1, 0.3]", "[0.1, 0.1]", 7, "stands there twice"),
        ("[0.1, 0.3]", "[[0.1]]", 7, "[0.1] is not a number"),
        ("[0.1, 0.3]", "[.nan]", 7, "not finite"),
        ("[0.1, 0.3]", "[0.1, -1]", 7, "--inner.lr must be above 0"),
        ("[0.1, 0.3]", "[0.1, high]", 7, "could not convert string to float: 'high'"),
        ("{values: [0.1, 0.3]}", "0.1", 7, "write {value: ...}"),
        ("{values: [0.1, 0.3]}", "{value: 1, values: [1]}", 7, "keep one"),
        ("{values: [0.1, 0.3]}", "{}", 7, "has no values"),
        ("{values: [0.1, 0.3]}", "{min: 0.1, max: 0.3}", 7, "method: random"),
        ("inner.lr: {values: [0.1, 0.3]}", "inner: {parameters: {lr: {value: 1}}}", 7,
         "write inner.lr: ..."),
        ("maml, ridge", "mamll", 6, "did you mean maml"),
        ("value: sklearn_tables", "value: sklearn_table", 5, "did you mean sklearn_tables"),
        ("seed: {values: [0, 1]}", "preset: {values: [full, smoke]}", 8, "must have one value"),
        ("[0, 1]", "{", 9, "no YAML"),
        ("{value: sklearn_tables}", "{value: {{ x }}}", 5, "no YAML"),
        ("{value: sklearn_tables}", "{value: !x 1}", 5, "no YAML"),
        ("method: grid", "method: grid\x01", 1, "no YAML"),
        ("method", "name: !x 1\nmethod", 2, "no YAML"),
        ("  inner.lr: {values: [0.1, 0.3]}\n  seed: {values: [0, 1]}\n",
         "  seed: {values: [0, 1]}\n  inner.lr: {values: [0.1, -0.3]}\n", 8, "inner.lr must be"),
        ("seed: {values: [0, 1]}", "preset: {value: fulll}", 8, "did you mean full"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_with_line_and_remedy(file, old, new, line, told):
    path = file(FILE, old, new)
    with pytest.raises(ValueError, match=re.escape(told)) as refusal:
        plan(path)
    assert str(refusal.value).startswith(f"{path}, line {line}: "), refusal.value


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{min: 0.3, max: 0.1}", "min must be below max"),
        ("{min: 0, max: 1, distribution: log_uniform_values}", "above 0"),
        ("{min: 0, max: 1, distribution: normal}", "distribution 'normal'; did you mean uniform"),
        ("{min: 0.1, max: 1.0, q: 2}", "uniform has no q"),
        ("{min: 0.1, max: 1.0, q: 0, distribution: q_uniform}", "q must be above 0"),
        ("{min: 0.1, max: 1.0, q: a, distribution: q_uniform}", "'a' is no number"),
        ("{min: 0.1, max: .inf}", "inf is not finite"),
        ("{min: 0.5, max: 2.5, distribution: int_uniform}", "needs whole numbers"),
        ("{min: 1e-3, max: 1.0}", "write 1.0e-3"),
    ],
)
def test_distributions_are_checked(file, entry, told):
    path = file(RANDOM, "{values: [0.1, 0.3]}", entry)
    with pytest.raises(ValueError, match=re.escape(told)) as refusal:
        plan(path)
    assert ", line 8: inner.lr: " in str(refusal.value)


def test_a_random_search_depends_on_its_seed_and_a_longer_one_holds_the_shorter(file):
    entry = "{min: 0.001, max: 1.0, distribution: log_uniform_values}"
    sweep = sweep_files.read(file(RANDOM, "{values: [0.1, 0.3]}", entry))
    found = sweep_files.trials(sweep)
    assert len(found) == 40 and found == sweep_files.trials(sweep)
    assert found != sweep_files.trials(sweep, seed=1)
    assert sweep_files.trials(sweep._replace(run_cap=10)) == found[:10]
    rates = [one["inner.lr"] for one in found]
    assert all(0.001 <= rate <= 1 for rate in rates) and len(set(rates)) == 40
    assert 10 <= sum(rate < 0.001**0.5 for rate in rates) <= 30  # half of the decades
    assert {one["learner"] for one in found} == {"maml", "ridge", "lr_c0.1"}
    whole = sweep_files.read(file(RANDOM, "[0, 1]", "[0, 1]}\n  inner.steps: {min: 1, max: 3"))
    assert {one["inner.steps"] for one in sweep_files.trials(whole)} == {1, 2, 3}


def test_arguments_of_the_command_are_part_of_every_trial(file):
    more = 'command: ["${env}", python, "${program}", --train.steps=7, "${args}"]\nparameters:'
    found = plan(file(FILE, "parameters:", more))
    assert {one.train.steps for one in found.configs if one.learner in config.LEARNERS} == {7}
    with pytest.raises(ValueError, match=r"line 4: command must be a list with \$\{program\}"):
        plan(file(FILE, "parameters:", "command: [python]\nparameters:"))


@pytest.mark.parametrize("path", sorted(ROOT.glob("experiments/sweeps/**/*.yaml")), ids=str)
def test_every_sweep_file_of_the_project_can_be_run_here_and_by_an_agent(path):
    found = sweep_plans.check(path)
    text, content = path.read_text(), yaml.safe_load(path.read_text())
    head = text[: text.index("program:")]
    assert set(content) <= set(sweep_files.KEYS) and found.metric is not None
    assert f"python scripts/sweep.py {path.relative_to(ROOT)}" in head
    assert f"wandb sweep {path.relative_to(ROOT)}" in head
    told = re.search(r"(\d+) trials, (\d+) runs in (\d+) programs", head)
    real = found.trials, len(found.configs), len(sweep_plans.together(found))
    assert told and tuple(map(int, told.groups())) == real, real
    if path.parent.name == "sweeps":
        for word in ("Hardware", "Duration", "Expected"):
            assert word in head, word


@pytest.mark.parametrize(
    "suite", [path.stem for path in sorted((ROOT / "experiments" / "sweeps").glob("*.yaml"))]
)
def test_the_sweep_of_a_committed_suite_is_its_committed_runs(suite):
    found = sweep_plans.check(ROOT / "experiments" / "sweeps" / f"{suite}.yaml")
    if found.program.build is None:
        told = [dict(part[2:].split("=") for part in trial) for trial in found.configs]
        planned = {(one["benchmark"], one["methods"], 0) for one in told}
    else:
        planned = {(one.benchmark, one.learner, one.seed) for one in found.configs}
    records = [
        json.loads(path.read_text())
        for path in (ROOT / "results" / suite / "runs").glob("*/config.json")
    ]
    assert planned == {(one["benchmark"], one["learner"], one["seed"]) for one in records}
    assert len(records) == len(planned)


@pytest.mark.skipif("METAJAX_DATA" not in os.environ, reason="METAJAX_DATA names no directory")
@pytest.mark.parametrize(
    "suite", ["disease_prediction", "imaging", "genomics", "drug_discovery"]
)
def test_a_committed_sweep_given_again_has_nothing_to_do(suite):
    """Nothing has changed the names under which its records are looked for."""
    found = sweep_plans.check(ROOT / "experiments" / "sweeps" / f"{suite}.yaml")
    for one in found.configs:
        benchmark = found.program.build(one.benchmark, one.shots, None)
        name = records.run_id(one, benchmark.cards, benchmark.definition)
        assert records.is_complete(ROOT / "results" / suite / "runs" / name), name


def test_the_command_lists_a_sweep_and_refuses_a_wrong_shard(file):
    def sweep(*arguments):
        command = [sys.executable, str(ROOT / "scripts" / "sweep.py"), str(file()), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    done = sweep("--dry-run=True", "--shard=2/2")
    assert done.returncode == 0
    assert "12 trials are 7 runs in 3 programs" in " ".join(done.stdout.split())
    assert "sklearn_tables ridge: 2 run(s), seeds [0, 1]" in done.stdout
    assert "--slurm.jobs must be at least 0" in sweep("--slurm.jobs=-1").stderr
    wrong = sweep("--shard=3/2")
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: --shard must be i/n")


def test_a_grid_beyond_all_memory_gives_its_first_trials(file):
    """40 ** 5 trials, of which three are made."""
    many = "\n".join(f"  {n}: {{values: {list(range(40))}}}" for n in "abcde")
    text = FILE[: FILE.index("parameters:")].replace("grid", "grid\nrun_cap: 3")
    found = sweep_files.trials(sweep_files.read(file(f"{text}parameters:\n{many}\n")))
    assert [one["e"] for one in found] == [0, 1, 2] and {one["d"] for one in found} == {0}


def test_probabilities_decide_how_often_a_value_is_drawn(file):
    text = RANDOM.replace("run_cap: 40", "run_cap: 2000")
    text = text.replace("[0.1, 0.3]}", "[0.1, 0.3], probabilities: [0.9, 0.1]}")
    found = [one["inner.lr"] for one in sweep_files.trials(sweep_files.read(file(text)))]
    assert abs(found.count(0.1) / 2000 - 0.9) < 4 * (0.09 / 2000) ** 0.5


def test_a_grid_of_more_trials_than_there_are_numbers_is_refused(file):
    many = "\n".join(f"  p{n}: {{values: [0, 1]}}" for n in range(2000))
    text = FILE[: FILE.index("parameters:")]
    with pytest.raises(ValueError, match=r"more than 10\*\*18 trials; run_cap"):
        sweep_files.read(file(f"{text}parameters:\n{many}\n"))


def test_a_global_default_is_a_trial_of_its_own(file):
    text = FILE.replace("disease_prediction", "genomics").replace("sklearn_tables", "deepbind")
    text = text.replace("inner.lr", "train.tasks_per_step").replace("[0.1, 0.3]", "[8, 16, 32]")
    found = plan(file(text.replace("[0, 1]", "[0]")))
    own = [one.train.tasks_per_step for one in found.configs if one.learner == "maml"]
    assert own == [8, 16, 32] and found.trials == 9
    assert found.notes[:2] == [
        "dropped: --train.tasks_per_step (of no use to lr_c0.1)",
        "one run: trials of lr_c0.1 that differ in train.tasks_per_step only",
    ]


def test_what_is_dropped_merged_or_tuned_on_the_test_is_told(file):
    notes = plan(file()).notes
    assert notes[:4] == [
        "dropped: --inner.lr (of no use to ridge, lr_c0.1)",
        "one seed: lr_c0.1 (always 0 in a sweep)",
        "one run: trials of ridge that differ in inner.lr only",
        "one run: trials of lr_c0.1 that differ in inner.lr, seed only",
    ]
    assert "line 3: natural/auroc@8 is a score of the test tasks" in notes[4]
    assert "best/validation/auroc" in notes[4] and len(notes) == 5
    tuned = plan(file(FILE, "natural/auroc@8", "best/validation/auroc"))
    assert len(tuned.notes) == 4
    methods = plan(file(FILE, "[maml, ridge, lr_c0.1]", "[pooled, multi_task]"))
    assert "left out: multi_task (not for sklearn_tables)" in methods.notes


def test_layouts_of_one_run_are_one_run(file):
    """No layout changes a number, so the name of a run does not hold it."""
    text = FILE.replace("inner.lr: {values: [0.1, 0.3]}", "train.task_axis: {values: [vmap, scan]}")
    found = plan(file(text.replace("[maml, ridge, lr_c0.1]", "[maml]")))
    assert [(one.seed, one.train.task_axis) for one in found.configs] == [(0, "vmap"), (1, "vmap")]
    assert "one run: trials of maml that differ in train.task_axis only" in found.notes
