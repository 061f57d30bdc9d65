"""Keys and passwords do not reach a record, a report, a copy or a message."""

import json
import sys

import pytest

from metajax import records, redact, report, tables
from tests.synthetic_runs import make_run

KEY = "deadbeef" * 5


@pytest.mark.parametrize(
    "words",
    [
        [f"--wandb-key={KEY}"], ["--wandb-key", KEY], [f"--wandb.api_key={KEY}"],
        ["--token=hunter2hunter2"], ["--token", "hunter2"], ["-password", "hunter2"],
        ["api_key=hunter2"], ["WANDB_API_KEY=hunter2"], ["--hf-token=hunter2"],
        ["--url=https://me:hunter2@host/x"], ["https://hunter2@host/x"],
        ["--header=Authorization: Bearer hunter2hunter2"], [KEY], ["--x", f"a{KEY[:0]} {KEY}"],
        ["hf_hunter2hunter2hunter2"], ["--note=ghp_hunter2hunter2hunter2"], ["--auth=hunter2"],
        ["--db.secret.name=hunter2"], ["--PASSWD=hunter2"],
        ["--url=http://host/?token=hunter2&x=1"],
    ],
)  # fmt: skip
def test_secrets_of_a_command_line_are_hidden(words):
    told = redact.command(["own_data.py", *words, "--label=ill"])
    assert "hunter2" not in told and KEY not in told and redact.HIDDEN in told
    assert told.startswith("own_data.py ") and told.endswith(" --label=ill")


@pytest.mark.parametrize(
    "word",
    ["--learner=maml", "--inner.lr=0.1", "--task=monkey", "--encoder.tokens=4", "--seed=0",
     "--table=https://host/a.csv", "--keyboard=us", "--benchmark=heart_uci", "--shots", "8",
     "--xla_cpu_multi_thread_eigen=false", "--author=me", "--results=/tmp/pytest-of-me/x"],
)  # fmt: skip
def test_everything_else_stays(word):
    assert redact.command([word, "8"]) == f"{word} 8"


def test_what_a_variable_holds_is_hidden_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "open-sesame")
    monkeypatch.setenv("MY_TOKEN", "no")  # too short: it would hide ordinary words
    assert redact.text("/data/open-sesame/x and no") == "/data/***/x and no"


def test_records_and_reports_hold_none(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/x/own_data.py", f"--wandb-key={KEY}", "--token", "abc"])
    assert records.environment(())["command"] == "own_data.py --wandb-key=*** --token ***"
    make_run(tmp_path, "maml", episodes=3, shots=(8,), environment={
        "command": f"own_data.py --wandb-key={KEY}", "commit": "ab" * 20})  # fmt: skip
    page = report.write(tmp_path, tables.load_runs(tmp_path)).read_text()
    assert KEY not in page and "--wandb-key=***" in page
    assert "ab" * 20 in page  # a commit is no key
    assert KEY in json.dumps(json.loads(next(tmp_path.rglob("environment.json")).read_text()))
