"""Switches without a value, in a suite's command, own data and sweeps."""

import dataclasses

import pytest

from metajax import commands
from metajax.sweep_command import SweepFlags
from metajax.switches import spelled_out


@dataclasses.dataclass(frozen=True)
class Part:
    first_order: bool | None = None
    rate: float = 0.1


@dataclasses.dataclass(frozen=True)
class Kind:
    part: Part = Part()
    again: bool = False
    name: str = ""


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (["--again"], ["--again=True"]),
        (["--again", "--name", "x"], ["--again=True", "--name", "x"]),
        (["--again=False"], ["--again=False"]),
        (["--again", "False"], ["--again", "False"]),
        (["--part.first-order", "--part.rate=1"], ["--part.first-order=True", "--part.rate=1"]),
        (["--name", "--rate", "1"], ["--name", "--rate", "1"]),
        (["again"], ["again"]),
    ],
)
def test_a_switch_alone_is_true_and_nothing_else_changes(given, want):
    assert spelled_out(Kind, given) == want


def test_the_commands_take_what_their_messages_say():
    flags = commands.parse(
        commands.Flags, {"full": commands.Flags()}, default="full", arguments=["--again"]
    )
    assert flags.again
    assert spelled_out(SweepFlags, ["f.yaml", "--dry-run"]) == ["f.yaml", "--dry-run=True"]
