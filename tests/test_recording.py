"""Records of long tests tell what ran where, and a failure as plainly as a success."""

import re

import pytest
import recording


def test_a_record_tells_what_ran_where(tmp_path):
    with recording.record("one", "A title", tmp_path) as figures:
        figures["kills"] = 3
        figures["by victim"] = "driver 1\nworker 2"
    title, blank, *lines = (tmp_path / "one.txt").read_text().splitlines()
    assert (title, blank) == ("A title", "")
    told = {line[:12].strip(): line[13:] for line in lines}
    assert told["command"].endswith("test_recording.py::test_a_record_tells_what_ran_where")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", told["date"])
    assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?|not a checkout", told["commit"])
    assert re.match(r"\d+ x \S", told["hardware"]) and "jax" in told["software"]
    assert (told["kills"], told["result"]) == ("3", "passed")
    assert "by victim    driver 1\n             worker 2\n" in (tmp_path / "one.txt").read_text()


def test_a_failure_is_recorded_too(tmp_path):
    with (
        pytest.raises(AssertionError, match="one lost"),
        recording.record("two", "A title", tmp_path) as figures,
    ):
        figures["lost"] = 1
        raise AssertionError("one lost")
    text = (tmp_path / "two.txt").read_text()
    assert text.splitlines()[-1] == "result       FAILED: AssertionError: one lost"
    assert "lost         1\n" in text
