"""Bring your own data from the command line: a file becomes a benchmark, or one clear message."""

import importlib.util
import json
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from metajax import tables

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "experiments" / "own_data.py"
SITES = ("north", "east", "south", "west")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("own_data", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def patients(tmp_path):
    """Four hospitals, a text column, missing cells, some patients twice."""
    rng = np.random.default_rng(0)
    n = 120
    died = rng.integers(0, 2, n)
    frame = pd.DataFrame({
        "hospital": np.repeat(SITES, n // 4),
        "patient_id": np.repeat(np.arange(n // 2), 2) + 1000,
        "age": (60 + 10 * rng.normal(size=n) + 15 * died).round(3).astype(str),
        "sex": rng.choice(["female", "male", "?"], n),
        "crp": rng.gamma(2, 20, n).round(3).astype(str),
        "died": np.where(died, "yes", "no"),
    })  # fmt: skip
    frame.loc[rng.random(n) < 0.1, "crp"] = "NA"
    frame.to_csv(tmp_path / "patients.csv", index=False)
    return tmp_path / "patients.csv"


@pytest.fixture
def command(script, tmp_path, monkeypatch, capsys):
    """Runs the script's main with flags; returns the exit code and what it printed."""
    monkeypatch.setenv("METAJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.delenv("METAJAX_DATA", raising=False)

    def run(*arguments):
        line = [str(SCRIPT), f"--results={tmp_path / 'results'}", "--workers=1"]
        monkeypatch.setattr(sys, "argv", [*line, *map(str, arguments)])
        try:
            code = script.main()
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.out, said.err

    return run


ROLES = ("--label=died", "--task=hospital", "--group=patient_id")
FAST = (
    "--shots", 4, "--seed=0", "--train.steps=2", "--train.steps-per-call=1",
    "--train.tasks-per-step=2", "--evaluate.episodes=2", "--evaluate.validation-episodes=2",
)  # fmt: skip


def test_a_table_becomes_a_benchmark(command, patients, tmp_path):
    """A meta-learner and a baseline: every hospital is held out once; tables; found again."""
    arguments = ("--table", patients, *ROLES, *FAST, "--methods", "ridge", "lr_c0.1")
    code, out, err = command(*arguments)
    assert code == 0, out + err
    for told in ("120 rows, 4 tasks", "1 = yes", "'patient_id' (60 of them)", "sex=female"):
        assert told in out, out
    folder = tmp_path / "results" / "own_data"
    runs = tables.load_runs(folder)
    assert sorted(run.config["learner"] for run in runs) == ["lr_c0.1", "ridge"]
    for run in runs:
        assert run.result["tasks"] == sorted(SITES) and run.result["protocol"] == "disjoint"
        assert set(run.scores["task"].tolist()) == {0, 1, 2, 3}
        card = run.environment["cards"][run.config["benchmark"]]
        assert list(card["files"]) == ["patients.csv"]  # no path of the user's machine
        # What every column was taken for is in the record, and in the report.
        told = {each["name"]: each for each in card["reading"]["columns"]}
        assert told["crp"]["kind"] == "number" and told["crp"]["codes"][0][0] == "NA"
        assert told["patient_id"]["role"] == "group" and told["sex"]["levels"] == ["female", "male"]
    page = (folder / "report.html").read_text()
    assert "patients.csv: 120 rows were read so." in page and "female (" in page
    table = pd.read_csv(folder / "table.csv")
    name = runs[0].config["benchmark"]
    whole = table[(table.benchmark == name) & (table.metric == "auroc")]
    # Age tells a good deal: labels that were shuffled on the way would give about one half.
    assert (whole["mean"] > 0.6).all()
    (folder / "table.md").unlink()
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "table.py", "own_data",
         f"--results={tmp_path / 'results'}"],
        capture_output=True, text=True, env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert name in (folder / "table.md").read_text()


def test_another_reading_or_file_is_another_benchmark(command, script, patients, tmp_path):
    arguments = ("--table", patients, *ROLES, *FAST, "--learner=lr_c0.1")
    assert command(*arguments)[0] == 0
    assert command(*arguments, "--drop", "crp")[0] == 0
    patients.write_text(patients.read_text().replace("female", "woman"))
    for kept in (script.load, script.chosen, script.build):  # as in a process of its own
        kept.cache_clear()
    code, out, err = command(*arguments)
    assert code == 0, out + err
    runs = tables.load_runs(tmp_path / "results" / "own_data")
    assert len({run.config["benchmark"] for run in runs}) == 3
    tables.long_table(runs)  # no two of them are taken for one


def test_a_number_as_label(command, patients, tmp_path):
    code, out, err = command(
        "--table", patients, "--label=age", "--task=hospital", "--group=patient_id", *FAST,
        "--learner=ridge_cv",
    )  # fmt: skip
    assert code == 0, out + err
    (run,) = tables.load_runs(tmp_path / "results" / "own_data")
    assert set(run.scores["draw"].tolist()) == {0} and "spearman" in run.scores


def test_a_split_column_and_skipped_tasks(command, patients, tmp_path):
    frame = pd.read_csv(patients, dtype=str, keep_default_na=False)
    sides = dict(zip(SITES, ("train", "validation", "test", "train"), strict=True))
    frame = frame.assign(fold=frame.hospital.map(sides))
    frame.loc[frame.hospital == "west", "died"] = "no"
    frame.to_csv(patients, index=False)
    arguments = ("--table", patients, *ROLES, *FAST, "--learner=lr_c0.1", "--split=fold")
    code, out, err = command(*arguments)
    assert code == 2 and "'west' has one class" in err and "--unusable skip" in err
    code, out, err = command(*arguments, "--unusable=skip")
    assert code == 0, out + err
    assert "left out: 'west' has one class (30 of no, 0 of yes)" in out
    (run,) = tables.load_runs(tmp_path / "results" / "own_data")
    tested = {run.result["tasks"][t] for t in set(run.scores["task"].tolist())}
    assert tested == {"south"} and run.result["tasks"] == ["east", "north", "south"]


def test_images_and_sequences_are_built(script, tmp_path):
    """Both become episodes that their encoder can read; what a run adds is the same as above."""
    rng = np.random.default_rng(0)
    site, y = np.repeat(["a", "b", "c"], 16), np.tile([0, 1], 24)
    pictures = rng.integers(0, 256, (48, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "scans.npz", images=pictures, y=y, site=site)
    dna = ["".join(rng.choice(list("ACGT"), 40)) for _ in y]
    protein = ["".join(rng.choice(list("ACDEFW"), 20)) for _ in y]
    frame = pd.DataFrame({"seq": dna, "protein": protein, "y": y, "t": site})
    frame.to_csv(tmp_path / "peaks.tsv", sep="\t", index=False)
    table = str(tmp_path / "peaks.tsv")
    for data, shape, encoder in (
        (script.Data("y", "site", images=str(tmp_path / "scans.npz")), (16, 16, 3), "conv4"),
        (script.Data("y", "t", sequences=table, sequence="seq"), (40, 4), "conv1d"),
        (script.Data("y", "t", sequences=table, sequence="protein", alphabet="protein"),
         (20, 20), "conv1d"),
    ):  # fmt: skip
        family = script.load(data)
        assert script.entry(data, family).encoder.name == encoder
        built = script.build(data, family.card.name, (4,), None)
        assert len(built.folds) == 3 and built.spec.outputs == 2
        source = built.folds[0].test
        episode = jax.eval_shape(source.sample, source.data, jax.random.key(0))
        assert episode.query.x.shape[1:] == shape and episode.query.x.dtype == np.float32


def groups_of(source):
    """The row groups that a pool may draw."""
    rows, counts = np.asarray(source.data.rows), np.asarray(source.data.counts)
    cells = [rows[t, c, :n] for t in source.tasks for c, n in enumerate(counts[t])]
    return set(np.asarray(source.data.group)[np.concatenate(cells)].tolist())


@pytest.mark.parametrize("how", ["drop", "divide", "distinct"])
def test_no_patient_is_on_two_sides(script, patients, how):
    """Patients who were in all hospitals, under each of the remedies."""
    frame = pd.read_csv(patients, dtype=str, keep_default_na=False)
    copies = [frame.assign(hospital=h, age=frame.age.astype(float) + i)
              for i, h in enumerate(SITES)]  # fmt: skip
    pd.concat(copies).to_csv(patients, index=False)
    given = {"table": str(patients), "group": "patient_id"}
    refused = script.Data("died", "hospital", **given)
    with pytest.raises(ValueError, match="60 of 60 row groups are in several tasks"):
        script.load(refused)
    data = script.Data("died", "hospital", **given, rules=script.own.Rules(shared=how))
    name = script.load(data).card.name
    if how == "drop":  # nothing is left to train on
        with pytest.raises(ValueError, match="divide"):
            script.build(data, name, (4,), None)
        return
    built = script.build(data, name, (4,), None)
    assert len(built.folds) == 4
    for fold in built.folds:
        train, validation, refit, test = map(
            groups_of, (fold.train, fold.validation, fold.refit, fold.test)
        )
        assert train and validation and test
        assert not train & validation and not train & test and not refit & test
    if how == "divide":
        with pytest.raises(ValueError, match="Remedy: lower --shots"):
            script.build(data, name, (48,), None)


def test_the_build_is_found_by_worker_processes(script, patients):
    """Pickled by name with its flags, and built once for equal flags."""
    rules = script.own.Rules(duplicates="keep")
    flags = [script.Data("died", "hospital", table=str(patients), group="patient_id", rules=rules)
             for _ in range(2)]  # fmt: skip
    build = pickle.loads(pickle.dumps(partial(script.build, flags[0])))
    name = script.load(flags[0]).card.name
    assert build(name, (4,), None) is script.build(flags[1], name, (4,), None)
    with pytest.raises(ValueError, match="changed meanwhile"):
        build("patients_died_00000000", (4,), None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("one of --table, --images and --sequences is needed; got none",)),
        (("--table=PATIENTS", "--images=PATIENTS"), ("got --table and --images",)),
        (("--table=PATIENTS.csv",), ("PATIENTS.csv does not exist",)),
        (("--table=PATIENTS", "--label=dide"), ("no column 'dide'; did you mean 'died'?",)),
        (("--table=PATIENTS", "--kind=regression"), ("'died' is no number in rows 1",)),
        (("--table=PATIENTS", "--shots", "4", "99"),
         ("4 of 4 tasks", "'north' could give 2 to", "--shots 1", "--unusable skip")),
        (("--table=PATIENTS", "--shots", "99", "--unusable=skip"), ("0 usable tasks",)),
        (("--table=PATIENTS", "--task=sex"), ("column 'sex' is missing in rows",)),
        (("--images=PATIENTS",), ("as an npz file", "numpy.savez")),
        (("--images=PATIENTS", "--drop", "age"), ("--drop is for tables",)),
        (("--sequences=PATIENTS",), ("no column 'sequence'",)),
        (("--table=PATIENTS", "--learner=protonet", "--inner.lr=1"), ("protonet has no",)),
        (("--table=PATIENTS", "--benchmark=heart_uci"), ("unknown benchmark 'heart_uci'",)),
        (("--table=PATIENTS", "--preset=quickstart"), ("no preset quickstart",)),
        (("--table=PATIENTS", "--shots=0"), ("--shots must be above 0",)),
    ],
)  # fmt: skip
def test_mistakes_are_one_message(command, patients, tmp_path, arguments, words):
    given = [a.replace("PATIENTS", str(patients)) if isinstance(a, str) else a for a in arguments]
    roles = [r for r in ROLES if r.split("=")[0] not in {a.split("=")[0] for a in given}]
    code, out, err = command(*roles, *given)
    assert code == 2, out + err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    for word in words:
        assert word.replace("PATIENTS", str(patients)) in err, err
    assert not (tmp_path / "results").exists()


def test_a_dry_run_tells_of_every_column_and_trains_nothing(command, patients, tmp_path):
    given = ("--table", patients, *ROLES, "--dry-run=True", "--shots", 4)
    code, out, err = command(*given, "--drop", "sex")
    assert code == 0, err
    whose = "  patient_id: group, names; 60 of them, the largest of 2 rows"
    tasks = "  hospital: task, names; east, north, south, west"
    for line in ("  sex: left out", whose, tasks, "  crp: number; "):
        assert line in out, out
    assert "missing (" in out and not (tmp_path / "results").exists()


def test_a_template_of_what_was_guessed_is_corrected_and_given_back(command, patients, tmp_path):
    template = tmp_path / "types.csv"
    given = ("--table", patients, "--label=died", "--task=hospital", "--dry-run=True",
             "--shots", 4)  # fmt: skip
    code, out, err = command(*given, "--types-template", template)
    assert code == 0 and "1 of them to be decided" in out, out + err
    assert command(*given, "--types-template", template)[0] == 2  # it is not written over
    code, out, err = command(*given, "--types", template)
    assert code == 2 and "'patient_id' has no kind yet" in err
    template.write_text(template.read_text().replace("patient_id,?", "patient_id,group"))
    code, out, err = command(*given, "--types", template)
    assert code == 0 and "'patient_id' (60 of them)" in out, out + err


def test_the_label_is_required_and_only_a_table_can_do_without_tasks(command, patients):
    code, out, err = command("--table", patients)
    assert code == 2 and "--label" in err
    for flags, words in [
        (("--images", patients), "--task is needed"),
        (("--table", patients, "--split=sex"), "--split puts tasks on sides"),
        (("--table", patients, "--learner=maml"), "--learner and --benchmark need --task"),
    ]:
        code, out, err = command(*flags, "--label=died")
        assert code == 2 and words in err and err.count("\n") == 1, err


def test_a_table_without_tasks_is_compared_on_its_own_patients(command, patients, tmp_path):
    code, out, err = command(
        "--table", patients, "--label=died", "--group=patient_id", "--drop=hospital", "--shots=8",
        "--preset=smoke", "--methods=lr_c0.1",
    )  # fmt: skip
    assert code == 0, err
    assert "With 8 labelled patients use logistic regression, C = .1: AUROC" in out
    assert (tmp_path / "results" / "own_data" / "report.html").exists()


def test_help_explains_every_flag(command, script):
    code, out, err = command("--help")
    assert code == 0 and not err
    for kind in (script.Data, script.own.Rules):
        for name in kind.__dataclass_fields__:
            assert f"--{name}" in out or name == "rules", name
    assert "--inner.lr" in out and "--run." not in out and "--data." not in out
    assert "never on two sides" in out


def test_results_are_ignored_by_git():
    done = subprocess.run(
        ["git", "check-ignore", "results/own_data/table.csv"], cwd=ROOT, capture_output=True
    )
    if done.returncode == 128:
        pytest.skip("not a git checkout")
    assert done.returncode == 0


@pytest.mark.long
def test_two_worker_processes(patients, tmp_path, monkeypatch):
    monkeypatch.setenv("METAJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    line = [sys.executable, SCRIPT, "--preset=smoke", f"--results={tmp_path}", "--shots=4"]
    done = subprocess.run([*line, "--table", patients, *ROLES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(p.read_text()) for p in tmp_path.glob("smoke-*/runs/*/result.json")]
    assert [r["status"] for r in records] == ["complete"] * 2
