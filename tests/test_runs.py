"""Runs: whole records, the same bits however they were interrupted, and no look at the target."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tiny
from tiny import build, config, lines, modified, numbers

from metajax import checkpoints, commands, records, runs, scoring, sweeps, tables
from metajax.benchmarks import defined, episode_key
from metajax.config import build_learner, build_optimizer
from metajax.evaluation import evaluate
from metajax.metrics import METRICS
from metajax.suites import Entry
from metajax.sweeps import Outcome, run_all
from metajax.tasks import choose
from metajax.training import fit, init_state


def name_of(one):
    """The name of the record of a run of the tiny benchmark."""
    return records.run_id(one, build().cards, defined(build()))


def run(learner="maml", folder=None, replaced=None, **options):
    """One run of the tiny benchmark; returns the folder of its record."""
    return runs.run(config(learner, **options), build(replaced=replaced), folder, lambda line: None)


@pytest.fixture(scope="module")
def seen():
    """What the undisturbed run looked at: (function, tasks of the source)."""
    return []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, seen):
    """The record of a run of MAML that nothing interrupted."""

    def validate(config, make, hypers, params, fold):
        seen.append(("evaluate", list(fold.validation.tasks)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runs, "predict_many", predict_many)
            return original(config, make, hypers, params, fold)

    def predict(make, hypers, params, source, *arguments, **options):
        seen.append(("predict", list(source.tasks)))
        return predict_many(make, hypers, params, source, *arguments, **options)

    original, predict_many = runs._validate, runs.predict_many
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_validate", validate)
        patch.setattr(runs, "predict_many", predict)
        return run(folder=tmp_path_factory.mktemp("undisturbed"))


def test_the_record_is_complete_and_loads(undisturbed):
    (found,) = tables.load_runs(undisturbed.parents[1])
    assert found.id == undisturbed.name == name_of(config())
    assert found.config == json.loads(
        json.dumps(records.identity(config(), defined(build())))
    )
    assert {"commit", "packages", "device", "flags", "hardware", "command", "cards"} <= set(
        found.environment
    )
    assert found.environment["numbers_version"] == records.NUMBERS_VERSION
    result, scores = found.result, found.scores
    assert result["status"] == "complete" and result["protocol"] == "disjoint"
    assert result["tasks"] == list(tiny.NAMES) and result["clusters"] == [0, 1, 2, 3]
    assert len(result["steps"]) == 3
    assert {"fit", "test", "total"} <= set(result["seconds"])
    rows = 2 * 2 * 3 * 3  # sizes, draws, folds, episodes
    assert scores["task"].shape == (rows,)
    for shots in tiny.SHOTS:
        for draw in (0, 1):
            here = (scores["shots"] == shots) & (scores["draw"] == draw)
            assert list(scores["task"][here]) == [0] * 3 + [1] * 3 + [2] * 3
    for name in METRICS["multiclass"]:
        assert scores[name].dtype == np.float32 and np.isfinite(scores[name]).all(), name
    assert (scores["nonfinite"] == 0).all()
    assert scores["boot"].shape == (2 * 6, 3, scoring.BOOT_DRAWS)
    assert scores["boot"].dtype == np.float16 and list(scores["boot_task"]) == [0, 1, 2]
    assert np.abs(scores["boot"].astype(np.float64).mean(-1)).max() < 0.05
    # Every query row of every test episode is in one bin of the calibration curve.
    natural = 3 * 3 * (tiny.ROWS - np.array(tiny.SHOTS))
    np.testing.assert_array_equal(scores["calibration"][:, 0, :, 2].sum(1), natural)
    assert list(scores["calibration_shots"]) == list(tiny.SHOTS)
    table = tables.long_table([found])
    assert set(table.benchmark) == {"tiny", "tiny/north", "tiny/east", "tiny/south"}
    assert not list(undisturbed.parent.glob(".tmp*"))


def test_the_history_tells_both_phases_of_every_fold(undisturbed):
    history, steps = lines(undisturbed), json.loads((undisturbed / "result.json").read_text())
    for fold, chosen in enumerate(steps["steps"]):
        mine = [line for line in history if line["fold"] == fold]
        selecting = [line for line in mine if line["phase"] == "select"]
        assert [line["step"] for line in selecting] == [2, 4, 6]
        refit = [line["step"] for line in mine if line["phase"] == "refit"]
        assert refit == list(range(2, chosen + 1, 2))


def test_selection_reads_validation_tasks_only(undisturbed, seen):
    looked = [tasks for function, tasks in seen if function == "evaluate"]
    assert looked == [[1]] * 3 + [[2]] * 3 + [[0]] * 3
    # The test comes after all training, and each setting is tested once.
    names = [function for function, _ in seen]
    assert names == ["evaluate"] * 9 + ["predict"] * 12
    assert [tasks for name, tasks in seen if name == "predict"] == [[0], [1], [2]] * 4
    history = lines(undisturbed)
    for fold, chosen in enumerate(json.loads((undisturbed / "result.json").read_text())["steps"]):
        value = {
            line["step"]: line["validation/auroc"]
            for line in history if line["fold"] == fold and line["phase"] == "select"
        }  # fmt: skip
        assert chosen == max(value, key=value.get)  # the first of equals


@pytest.mark.parametrize("refit", [True, False])
def test_the_tested_parameters_are_those_selected(undisturbed, tmp_path, refit):
    """Trained by hand for the steps selected, they score the same; on other tasks if refitted."""
    benchmark, folder = build(), undisturbed
    if not refit:
        folds = tuple(fold._replace(refit=None) for fold in benchmark.folds)
        folder = runs.run(config(), benchmark._replace(folds=folds), tmp_path, lambda line: None)
    steps = json.loads((folder / "result.json").read_text())["steps"]
    assert min(steps) < 6  # or the last parameters would do as well
    learner, train = build_learner(config(), benchmark.spec), config().train
    optimizer, shots = build_optimizer(train.lr, train.clip), tiny.SHOTS[0]
    with np.load(folder / "scores.npz") as scores:
        here = (scores["shots"] == shots) & (scores["draw"] == 0)
        found = scores["brier"][here].reshape(3, 3)
    for i, fold in enumerate(benchmark.folds):
        own_key = jax.random.fold_in(jax.random.key(0), i)
        state = fit(
            learner, fold.refit if refit else fold.train, optimizer, own_key, steps=steps[i],
            tasks_per_step=2, steps_per_call=2,
            state=init_state(learner, fold.train, optimizer, own_key),
        )  # fmt: skip
        scores = evaluate(
            learner, state.params, choose(fold.test, shots=shots, draw="natural"),
            episode_key(benchmark, shots, 0), tasks=3, batch=3,
        )  # fmt: skip
        np.testing.assert_allclose(scores["brier"], found[i], rtol=1e-5)


def test_the_target_never_influences_training(undisturbed, tmp_path):
    other = run(folder=tmp_path, replaced=0)
    for fold in range(3):
        ours, theirs = ([x for x in lines(f) if x["fold"] == fold] for f in (undisturbed, other))
        # Task 0 is the target of fold 0 only: there every loss and every score is the same bits.
        assert (ours == theirs) == (fold == 0)
    ours, theirs = (np.load(folder / "scores.npz")["auroc"] for folder in (undisturbed, other))
    assert (ours[:3] != theirs[:3]).any()
    for a, b in zip(build().folds[:1], build(replaced=0).folds[:1], strict=True):
        for x, y in zip(a.pooled_rows(), b.pooled_rows(), strict=True):
            np.testing.assert_array_equal(x, y)
        sources = tiny.table().task != 0
        for part in ("train", "refit", "test"):
            x, y = (np.asarray(getattr(fold, part).data.x)[sources] for fold in (a, b))
            np.testing.assert_array_equal(x, y)


def test_a_second_call_skips(undisturbed, monkeypatch):
    def never(*arguments):
        raise AssertionError("ran again")

    before, said = modified(undisturbed), []
    monkeypatch.setattr(runs, "_run_learner", never)
    assert runs.run(config(), build(), undisturbed.parents[1], said.append) == undisturbed
    assert modified(undisturbed) == before and said == [f"{undisturbed.name}: finished before"]


@pytest.mark.parametrize(
    ("learner", "seed"), [("lr_c0.1", 0), ("pooled_lr", 0), ("class_mean", 0), ("maml", 1)]
)
def test_every_method_and_seed_sees_the_same_episodes(undisturbed, tmp_path, learner, seed):
    (ours,) = tables.load_runs(undisturbed.parents[1])
    (theirs,) = tables.load_runs(run(learner, tmp_path, seed=seed).parents[1])
    assert ours.result["episodes_digest"] == theirs.result["episodes_digest"]
    same = ("shots", "draw", "episode", "task", "cluster", "prevalence")
    for name in (*same, *(k for k in ours.scores if k.startswith("boot_"))):
        np.testing.assert_array_equal(ours.scores[name], theirs.scores[name], err_msg=name)
    assert (ours.scores["brier"] != theirs.scores["brier"]).any()


def test_other_shots_are_other_episodes(undisturbed):
    scores = np.load(undisturbed / "scores.npz")
    first, last = (scores["auroc"][scores["shots"] == shots] for shots in tiny.SHOTS)
    assert (first != last).any()


def test_a_run_that_diverges_has_a_record_and_the_others_go_on(tmp_path):
    told = []
    wild, tame = config(lr=1e30), config("lr_c0.1")
    absent = config("lr_c0.01", benchmark="absent")

    def built(benchmark, shots, data_dir):
        if benchmark == "absent":
            raise OSError("no such table")
        return build(benchmark, shots)

    outcomes = run_all([wild, absent, tame], built, tmp_path, workers=1, on_done=told.append)
    found = {outcome.config.learner: outcome for outcome in outcomes}
    assert [len(group) for group in told] == [1, 1, 1] and len(found) == 3
    assert found["lr_c0.01"].folder is None and "no such table" in found["lr_c0.01"].error
    result = json.loads((found["maml"].folder / "result.json").read_text())
    assert result["status"] == "diverged" and "loss nan in fold north" in result["reason"]
    assert lines(found["maml"].folder)[-1]["fold"] == 0
    loaded = tables.load_runs(tmp_path)
    assert [one.result["status"] for one in loaded] == ["complete", "diverged"]
    page = tables.markdown(tables.long_table(loaded), loaded)
    assert "diverged" in page and "same episodes" not in page
    # It is finished: the same call does not try again.
    before = modified(tmp_path)
    run_all([wild, tame], built, tmp_path, workers=1)
    assert modified(tmp_path) == before


class Pool:
    """A worker in place of a process; `killed` are the learners that it does not survive."""

    killed: tuple[str, ...] = ()
    lost = iter(())
    _processes = {}

    def __init__(self, workers, **options):
        assert workers == 1
        self.idle = next(Pool.lost, False)  # killed while it had nothing to do

    def submit(self, release, work, job):
        if self.idle:
            raise BrokenProcessPool("terminated abruptly")
        future = Future()
        if job.configs[0].learner in self.killed:
            future.set_exception(BrokenProcessPool("terminated abruptly"))
        else:
            future.set_result([Outcome(one, Path("record")) for one in job.configs])
        return future

    def shutdown(self, **options):
        pass


def test_a_killed_worker_is_a_failure_of_its_runs_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(Pool, "killed", ("ridge",))
    told, again, environment = [], [], dict(os.environ)
    configs = [config(), config(seed=1), config("ridge"), config("lr_c0.1")]
    outcomes = run_all(
        configs, build, tmp_path, workers=2, retries=2, on_done=told.append,
        on_retry=lambda runs, reason: again.append((runs, reason)),
    )  # fmt: skip
    assert sorted(len(group) for group in told) == [1, 1, 2] and len(outcomes) == 4
    (failed,) = [one for one in outcomes if one.folder is None]
    assert failed.config.learner == "ridge" and "worker process was killed" in failed.error
    assert again == [([config("ridge")], failed.error)] * 2
    assert dict(os.environ) == environment


def test_a_worker_that_was_killed_while_idle_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(Pool, "lost", iter([True, False]))
    outcomes = run_all([config(), config("ridge")], build, tmp_path, workers=2)
    assert len(outcomes) == 2 and all(one.folder for one in outcomes)


def test_a_worker_has_its_next_program_before_the_last_one_is_told(tmp_path, monkeypatch):
    """Who is told copies the runs to W&B, which may take seconds."""
    monkeypatch.setattr(sweeps, "ProcessPoolExecutor", Pool)
    seen = []
    run_all(
        [config(), config("ridge"), config("lr_c0.1")], build, tmp_path, workers=2,
        on_start=lambda _: seen.append("start"), on_done=lambda _: seen.append("done"),
    )  # fmt: skip
    assert seen == ["start"] * 3 + ["done"] * 3


def test_what_fails_once_is_tried_again(tmp_path):
    failures = iter([OSError("the disk was away")])

    def shaky(benchmark, shots, data_dir):
        for error in failures:
            raise error
        return build(benchmark, shots)

    again = []
    (outcome,) = run_all(
        [config("lr_c0.1")], shaky, tmp_path, workers=1, retries=1,
        on_retry=lambda runs, reason: again.append(reason),
    )  # fmt: skip
    assert records.is_complete(outcome.folder) and len(again) == 1 and "disk was away" in again[0]


def test_programs_hold_a_bounded_number_of_runs_that_differ_in_numbers_only():
    configs = [config(seed=seed, lr=lr) for seed in range(10) for lr in (0.1, 0.2)]
    parts = sweeps.programs([config("lr_c0.1"), *configs, config("ridge")])
    assert [len(part) for part in parts] == [16, 4, 1, 1]
    assert parts[0] + parts[1] == configs and parts[-1] == [config("lr_c0.1")]


def held(home, names):
    """Claims runs in another process until its input is closed."""
    code = (
        "import sys; from pathlib import Path; from metajax.records import claim\n"
        f"with claim(Path({str(home)!r}), {names!r}): print(1, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )  # fmt: skip
    process.stdout.read(2)
    return process


def test_a_run_that_another_process_makes_is_left_to_it(tmp_path):
    home = tmp_path / "runs"
    home.mkdir()
    taken, free = config("lr_c0.1"), config("lr_c0.01")
    with held(home, [name_of(taken)]) as other:
        with pytest.raises(records.Claimed, match="another process"):
            runs.run_many([taken], build(), tmp_path, wait=False)
        told = []

        def on_done(found):
            told.append(found[0].config)
            other.stdin.close()  # the other one ends when the free run is done

        run_all([taken, free], build, tmp_path, workers=1, on_done=on_done)
        assert told == [free, taken]
    # A dead process claims nothing.
    with held(home, [name_of(taken)]) as other:
        other.kill()
        other.wait()
        runs.run_many([taken], build(), tmp_path, wait=False)


def test_a_program_that_was_cut_off_between_two_records_starts_again_as_a_whole(
    tmp_path, monkeypatch
):
    configs, written = [config(seed=seed) for seed in range(3)], []
    alone = runs.run_many(configs, build(), tmp_path / "alone")

    def cut(partial, folder, **parts):
        if written:
            raise KeyboardInterrupt
        written.append(folder)
        write(partial, folder, **parts)

    write = records.write_record
    with monkeypatch.context() as patch:
        patch.setattr(records, "write_record", cut)
        with pytest.raises(KeyboardInterrupt):
            runs.run_many(configs, build(), tmp_path / "cut")
    (first,) = written
    before, sizes, train = modified(first), [], runs._train
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_train", lambda all, *a: sizes.append(len(all)) or train(all, *a))
        # A fourth run was added to the sweep meanwhile: it has a program of its own.
        found = runs.run_many([*configs, config(seed=3)], build(), tmp_path / "cut")
    assert sizes == [3, 1] and modified(first) == before
    assert [numbers(folder) for folder in found[:3]] == [numbers(folder) for folder in alone]
    assert not list((tmp_path / "cut").glob("runs/.tmp*"))


def test_every_run_of_a_program_has_its_own_checkpoint(tmp_path):
    configs = [config(seed=seed) for seed in range(2)]
    home = tmp_path / "runs"
    stale = home / f".tmp-{name_of(configs[0])}" / "checkpoints" / "7"
    stale.mkdir(parents=True)  # of a command that made this run alone, and was killed
    folders = runs.run_many(configs, build(), tmp_path)
    assert not list(home.glob(".tmp*"))
    for folder, one in zip(folders, configs, strict=True):
        own, alone = restored(folder), restored(run(folder=tmp_path / "alone", seed=one.seed))
        assert jax.tree.structure(own["state"]) == jax.tree.structure(alone["state"])
        for a, b in zip(*map(jax.tree.leaves, (own["state"], alone["state"])), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        place = own["meta"]["place"]
        assert place["steps"] == [[step] for step in result_of(folder)["steps"]]
        assert place.keys() == alone["meta"]["place"].keys()
        assert own["meta"]["history"] == [lines(folder)]
    # Killed after the last record, while it tidied up: the next call does.
    names = [folder.name for folder in folders]
    left = runs._partial(home, names)
    for files in ({"together.json": json.dumps(names), "checkpoints": ""}, {"checkpoints": ""}):
        left.mkdir()
        for name, text in files.items():
            (left / name).write_text(text)
        assert runs.run_many(configs, build(), tmp_path) == folders
        assert not left.exists()


def restored(folder):
    """What the newest checkpoint of a record holds."""
    manager = checkpoints.open_manager(folder / "checkpoints")
    items = ocp.args.Composite(state=ocp.args.StandardRestore(), meta=ocp.args.JsonRestore())
    return manager.restore(manager.latest_step(), args=items)


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def test_the_first_of_two_processes_keeps_its_record(undisturbed, tmp_path):
    folder, partial = tmp_path / "one", tmp_path / ".tmp-one"
    common = {"identity": {}, "environment": {}, "history": [], "arrays": {"a": np.zeros(1)}}
    for status in ("first", "second"):
        records.write_record(partial, folder, result={"status": status}, **common)
    assert json.loads((folder / "result.json").read_text()) == {"status": "first"}


def flags(results, **options):
    """The flags of a suite's command, as the tiny run has them."""
    one = config()
    given = {
        "preset": "full", "benchmark": None, "learner": "maml", "seed": 0, "shots": None,
        "methods": None,
        "inner": one.inner, "train": one.train, "encoder": one.encoder, "evaluate": one.evaluate,
        "data_dir": None, "results": str(results), "wandb": "disabled", "workers": 1,
    }  # fmt: skip
    return SimpleNamespace(**given | options)


def suite(results, **options):
    entries = [Entry("tiny", "leave_one_out", tiny.SHOTS)]
    return commands.run_suite("suite", flags(results, **options), entries, build)


@contextlib.contextmanager
def interrupt(monkeypatch, after):
    """Ctrl-C after so many checkpoints, one a call."""
    original, count = checkpoints.save, iter(range(1, 1000))
    # Behind a shell's & it is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def save(*arguments):
        original(*arguments)
        if next(count) == after:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(checkpoints, "save", save)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "CHECKPOINT_SECONDS", 0)
        yield
    monkeypatch.setattr(checkpoints, "save", original)
    signal.signal(signal.SIGINT, before)


# The last line of the first fold's selection, one of its training again, one of the last fold.
@pytest.mark.parametrize("after", [3, 4, -1])
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(
    undisturbed, tmp_path, monkeypatch, capsys, after
):
    history = [(line["fold"], line["phase"]) for line in lines(undisturbed)]
    after = after % (1 + len(history))
    with interrupt(monkeypatch, after):
        assert suite(tmp_path) == 130
    shown = capsys.readouterr()
    assert "the same command goes on from here" in shown.out and "Traceback" not in shown.err
    home = tmp_path / "suite" / "runs"
    assert [path.name for path in home.iterdir()] == [f".tmp-{undisturbed.name}"]
    if after == 4:  # the newest checkpoint is damaged as well
        (path,) = home.glob("*/checkpoints/4/meta/metadata")
        path.write_bytes(path.read_bytes()[:-9])
    trained = []
    original = runs.fit_many
    monkeypatch.setattr(runs, "fit_many", lambda *a, **o: trained.append(a) or original(*a, **o))
    assert suite(tmp_path) == 0
    # Three folds of two phases; it went on in that of its last whole checkpoint.
    last = history[(3 if after == 4 else after) - 1]
    assert len(trained) == 6 - list(dict.fromkeys(history)).index(last)
    assert [path.name for path in home.iterdir()] == [undisturbed.name]
    assert numbers(home / undisturbed.name) == numbers(undisturbed)


def test_interrupted_in_the_test_it_trains_no_more(undisturbed, tmp_path, monkeypatch):
    original = runs.score_all

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "score_all", stop)
    assert suite(tmp_path) == 130
    monkeypatch.setattr(runs, "score_all", original)
    monkeypatch.setattr(runs, "fit_many", stop)
    assert suite(tmp_path) == 0
    assert numbers(tmp_path / "suite" / "runs" / undisturbed.name) == numbers(undisturbed)


def one_message(capsys):
    """The one line on standard error."""
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and said.err.count("\n") == 1, said.err
    assert "Traceback" not in said.err + said.out
    return said.err


def test_a_results_folder_that_cannot_be_made_is_one_message(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert suite(tmp_path / "file" / "results") == 2
    assert str(tmp_path / "file") in one_message(capsys)


@pytest.mark.parametrize("exists", [False, True])
def test_a_results_folder_that_is_read_only_is_one_message(tmp_path, monkeypatch, capsys, exists):
    folder = tmp_path / "suite" / "runs" if exists else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):  # root writes everywhere
        refuse = PermissionError(13, "Permission denied", str(folder))
        original = Path.mkdir

        def mkdir(self, *arguments, **options):
            if not self.exists():
                raise refuse
            original(self, *arguments, **options)

        monkeypatch.setattr(Path, "mkdir", mkdir)
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert suite(tmp_path) == 2
    assert str(folder) in one_message(capsys)


@pytest.fixture
def child(tmp_path):
    """Starts the regression run in a process of its own; none outlives the test."""
    started = []

    def start(folder):
        started.append(spawn(folder, tmp_path / "cache"))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def spawn(folder, cache):
    root = Path(__file__).resolve().parents[1]
    own = {
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}", "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }  # fmt: skip
    with (folder.parent / f"{folder.name}.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(root / "tests" / "tiny.py"), str(folder)],
            env=os.environ | own, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip


def saves(folder):
    """The number of the newest checkpoint."""
    names = [p.name for p in (folder / "runs").glob(".tmp*/checkpoints/*") if p.name.isdigit()]
    return max(map(int, names), default=0)


def kill_and_resume(child, tmp_path, kills):
    """Kills a run at random moments, lets it end, and compares it with one left alone."""
    rng = random.Random()
    alone, folder = tmp_path / "alone", tmp_path / "killed"
    reference, died = child(alone), 0
    # Progress decides and not the clock, so that a kill lands in the training of any machine.
    counts = [-(-kills // 12)] * 12
    for target in sorted(rng.sample(range(12), kills, counts=counts)):
        process = child(folder)
        while process.poll() is None and saves(folder) < target:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        died += process.wait() == -signal.SIGKILL
    log = tmp_path / "killed.txt"
    assert child(folder).wait() == 0, log.read_text()
    assert reference.wait() == 0, (tmp_path / "alone.txt").read_text()
    assert died == kills
    assert "resumed in fold" in log.read_text() and "Traceback" not in log.read_text()
    (ours,), (theirs,) = ((f / "runs").iterdir() for f in (folder, alone))
    assert ours.name == theirs.name and numbers(ours) == numbers(theirs)


def test_killed_it_resumes_to_the_same_bits(child, tmp_path):
    kill_and_resume(child, tmp_path, 3)


@pytest.mark.long
def test_killed_many_times_it_resumes_to_the_same_bits(child, tmp_path):
    kill_and_resume(child, tmp_path, 25)
