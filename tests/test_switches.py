"""Switches without a value, in a suite's command, own data and sweeps."""

import dataclasses
from typing import Annotated

import pytest
import tyro

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


@dataclasses.dataclass(frozen=True)
class Outer:
    inside: Annotated[Part, tyro.conf.arg(name="")] = Part()
    part: Part = Part()
    rate: str = ""


def test_a_flag_that_ends_as_a_switch_of_a_part_is_none():
    assert spelled_out(Kind, ["--first-order", "--again"]) == ["--first-order", "--again=True"]
    assert spelled_out(Outer, ["--first-order", "--part.first-order", "--rate", "x"]) == [
        "--first-order=True", "--part.first-order=True", "--rate", "x",
    ]  # fmt: skip


def test_the_commands_take_what_their_messages_say():
    flags = commands.parse(
        commands.Flags, {"full": commands.Flags()}, default="full", arguments=["--again"]
    )
    assert flags.again
    assert spelled_out(SweepFlags, ["f.yaml", "--dry-run"]) == ["f.yaml", "--dry-run=True"]
