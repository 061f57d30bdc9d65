"""The page of speed holds what was measured."""

from pathlib import Path

import speed

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_committed_page_and_chart_are_those_of_the_committed_measurements():
    table = speed.measured(speed.SPEED)
    page = (DOCS / "speed.md").read_text()
    assert speed.filled(page, speed.SPEED) == page
    for _, row in table.iterrows():
        assert f"`{row.workload}` | {speed.short(row.ms)} | {speed.short(row.peer_ms)} (" in page
    drawn = (DOCS / "speed.svg").read_text()
    assert (speed.short(0.12345), speed.short(1002.6)) == ("0.123", "1003")
    assert all(drawn.count(name) == n for name, n in table.workload.value_counts().items())


def test_what_misses_its_aim_is_told(tmp_path):
    table = speed.measured(speed.SPEED)[:2].assign(ratio=[2.4, 2.6], aim=2.5)
    first, second = speed.against_torch(table).splitlines()[2:]
    assert first.endswith("| not reached |") and second.endswith("| reached |")
    lines = (speed.SPEED / "workloads-torch-cpu.csv").read_text().splitlines()
    (tmp_path / "workloads-torch-cpu.csv").write_text("\n".join(lines[:2]))
    assert speed.measured(tmp_path).aim.tolist() == [speed.AIMS["cpu"]["sinusoid-25"]]
