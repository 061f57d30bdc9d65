"""The README's code runs, and its numbers are those of the committed tables."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds import SPECS, episode, key

from metajax.nn import MLP

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
ESTIMATOR, *BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_three_lines_judge_new_patients():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(60, 9, 60), "site": rng.choice(["a", "b"], 60)})
    table.loc[3] = [np.nan, None]
    died = np.where(table.age > 60, "yes", "no")
    space = {"X": table[:30], "y": died[:30], "X_new": table[30:]}
    exec(ESTIMATOR, space)
    told = space["model"].predict_proba(space["X_new"])[:, 1]
    assert told[died[30:] == "yes"].mean() > told[died[30:] == "no"].mean() + 0.3


def test_the_learner_of_the_readme_is_a_learner():
    space = {}
    exec(BLOCKS[0], space)
    assert BLOCKS[0].strip().count("\n") <= 25
    learner = space["scaled_protonet"](SPECS["multiclass"], MLP((8,)))
    one = episode(SPECS["multiclass"])
    params = learner.init(key(), one)
    outputs = learner.predict(params, learner.adapt(params, one.support, key()), one.query.x)
    assert outputs.shape == one.query.y.shape
    assert np.isfinite(learner.meta_loss(params, one, key())[0])
    with pytest.raises(ValueError, match="scaled_protonet"):
        space["scaled_protonet"](SPECS["regression"], MLP((8,)))


def test_the_table_of_the_readme_trains_and_scores(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(400, 3)), columns=["age", "sex", "pressure"])
    frame["died"] = (frame.age + frame.pressure + rng.normal(size=400) > 0).astype(int)
    frame["hospital"] = np.arange(400) % 4
    frame["patient_id"] = np.arange(400) // 8 * 4 + frame.hospital
    frame.loc[::7, "age"] = np.nan
    frame.to_csv(tmp_path / "patients.csv", index=False)
    monkeypatch.chdir(tmp_path)
    exec(BLOCKS[1], {})
    assert float(capsys.readouterr().out) > 0.6


def test_the_numbers_of_the_readme_are_those_of_the_committed_tables():
    spec = importlib.util.spec_from_file_location("readme", ROOT / "scripts" / "readme.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for path, text in script.render().items():
        assert path.read_text() == text, f"{path}: run scripts/readme.py"
