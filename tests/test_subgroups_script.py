"""The script that scores a suite by a column: kept predictions, joined with their rows."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tiny import table

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "subgroups.py"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setattr("metajax.surroundings.check", lambda: None)
    spec = importlib.util.spec_from_file_location("subgroups_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    entry = SimpleNamespace(label="tiny", family="tiny", transform=None)
    monkeypatch.setattr(module, "entries", lambda suite: [entry])
    monkeypatch.setattr("metajax.suites.load", lambda name, data_dir: table())
    return module


def record(folder, seed=0, turned=False):
    """Six natural and two balanced episodes of three tasks, the score being column a."""
    family, rng = table(), np.random.default_rng(seed)
    home = folder / "runs" / f"run{seed}"
    home.mkdir(parents=True)
    config = {"suite": "tiny", "benchmark": "tiny", "learner": "ridge", "seed": seed, "shots": [4]}
    result = {"status": "complete", "protocol": "disjoint", "tasks": list(family.task_names),
              "clusters": [0, 1, 2, 3], "episodes_digest": "e", "seconds": {"fit": 1.0},
              "steps": 1}  # fmt: skip
    for name, part in (("config", config), ("result", result), ("environment", {"commit": "c"})):
        (home / f"{name}.json").write_text(json.dumps(part))
    task = np.resize(np.arange(3, dtype=np.int32), 8)
    rows = [rng.permutation(np.flatnonzero(family.task == t))[: rng.integers(18, 25)] for t in task]
    scores = {"shots": np.full(8, 4, np.int32), "draw": np.repeat([0, 1], [6, 2]).astype(np.int8),
              "episode": np.arange(8, dtype=np.int32), "task": task, "cluster": task,
              "auroc": np.full(8, 0.7, np.float32), "nonfinite": np.zeros(8, np.float32),
              "prevalence": np.full(8, 0.3, np.float32)}  # fmt: skip
    np.savez(home / "scores.npz", **scores)
    every = np.concatenate(rows)
    y = family.y[every] if not turned else 1 - family.y[every]
    outputs = np.stack([0 * every, family.x[every, 0]], 1).astype(np.float16)
    kept = {"queries": np.array([len(r) for r in rows], np.int32), "row": every.astype(np.int32)}
    np.savez(home / "predictions.npz", **kept, y=np.eye(2, dtype=np.float32)[y], outputs=outputs)
    return family, rows[:6]


def run(script, folder, *arguments):
    return script.main(["tiny", "--results", str(folder.parent), *arguments])


def test_scores_by_task_are_those_of_its_rows(script, tmp_path, capsys):
    folder = tmp_path / "tiny"
    family, rows = record(folder)
    assert run(script, folder, "--by", "task") == 0, capsys.readouterr().err
    text = (folder / "by_task.md").read_text()
    for name, t in (("north", 0), ("east", 1), ("south", 2)):
        each = [roc_auc_score(family.y[r], family.x[r, 0].astype(np.float16))
                for r in rows if family.task[r[0]] == t]  # fmt: skip
        line = next(one for one in text.splitlines() if f"| auroc | {name}" in one)
        assert float(line.split("|")[5]) == pytest.approx(np.mean(each), abs=6e-4)
    assert "west" not in text and "tiny, ridge, k = 4" in text


def test_bands_seeds_together_and_what_is_left_out(script, tmp_path, capsys):
    folder = tmp_path / "tiny"
    record(folder, 0)
    record(folder, 1)
    (folder / "runs" / "run1" / "predictions.npz").unlink()
    assert run(script, folder, "--by", "b", "--bands", "-1", "0") == 0
    assert "run1: its predictions were not kept" in capsys.readouterr().err
    text = (folder / "by_b.md").read_text()
    assert all(f"| {name} |" in text for name in ("under -1", "-1 to under 0", "0 and over"))
    record_two = tmp_path / "two" / "tiny"
    record(record_two, 0)
    record(record_two, 1)
    assert run(script, record_two, "--by", "b") == 0  # quarters
    assert (record_two / "by_b.md").read_text().count("## tiny, ridge") == 1


@pytest.mark.parametrize(
    ("arguments", "turned", "said"),
    [
        (("--by", "height"), False, "tiny has no column 'height'; it has a, b, c"),
        (("--by", "b", "--shots", "64"), False, "no benchmark tiny with natural draws of 64"),
        (("--by", "task"), True, "kept rows are not those of the family at hand"),
        (("--by", "b", "--bands", "2", "1"), False, "edges of bands rise"),
    ],
)
def test_refusals(script, tmp_path, capsys, arguments, turned, said):
    folder = tmp_path / "tiny"
    record(folder, turned=turned)
    assert run(script, folder, *arguments) == 2
    assert said in capsys.readouterr().err and not list(folder.glob("by_*"))
