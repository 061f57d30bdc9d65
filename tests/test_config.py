"""Configurations: checked at once, equal if they mean the same run, and the run's identity."""

import dataclasses
import pickle
import typing

import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from metajax import records
from metajax.baselines import POOLED, REGRESSORS, SEEDED, TARGET_ONLY
from metajax.config import (
    HOST_BASELINES,
    METHODS,
    Encoder,
    Evaluate,
    RunConfig,
    Train,
    build_encoder,
    build_learner,
    build_optimizer,
    hyper,
    resolved,
    unused,
)
from metajax.datasets import File
from metajax.hyper import HYPER, Inner, arguments
from metajax.learners import LEARNERS
from metajax.types import TaskSpec

BINARY = TaskSpec(2, "multiclass")


def config(learner="maml", **options):
    given = {"suite": "suite", "benchmark": "heart_uci", "seed": 0, "shots": (8, 16)} | options
    return RunConfig(learner=learner, **given)


CARD = tiny.table().card


DEFINITION = {"family": "heart_uci", "folds": None}


def name(one, cards=(CARD,), definition=DEFINITION):
    return records.run_id(one, cards, definition)


@pytest.mark.parametrize("learner", METHODS)
def test_the_defaults_suit_every_method(learner):
    one = resolved(config(learner), strict=True)
    assert resolved(one, strict=True) == one  # once is enough
    if learner in LEARNERS:
        built = build_learner(one, BINARY)
        assert all(callable(part) for part in built[:4]) and built.spec == BINARY
        # Equal configurations share the object, and with it the compiled programs.
        assert built is build_learner(resolved(config(learner, seed=5), strict=True), BINARY)
        assert built is not build_learner(one, TaskSpec(3, "multiclass"))


def test_the_defaults_build_encoder_and_optimiser():
    assert build_encoder(Encoder()) is build_encoder(Encoder())
    assert tuple(build_encoder(Encoder((7, 5), False)).widths) == (7, 5)
    train = Train()
    assert build_optimizer(train.lr, train.clip) is build_optimizer(train.lr, train.clip)


GIVEN = Inner(lr=0.2, steps=3, l2=0.5, first_order=True, remat=True, bias=False)


@pytest.mark.parametrize("learner", list(LEARNERS))
def test_every_hyper_parameter_reaches_the_constructor(learner):
    known = arguments(LEARNERS[learner])
    assert set(HYPER) == {field.name for field in dataclasses.fields(Inner)}
    assert set(known) <= set(HYPER.values())
    for field, argument in HYPER.items():
        # Its default, where it has one, is sure to be a value that it takes.
        value = getattr(GIVEN, field)
        value = value if value is not None or argument not in known else known[argument].default
        one = config(learner, inner=Inner(**{field: value}))
        if argument not in known:
            one = config(learner, inner=Inner(**{field: 1}))
            assert hyper(one, strict=False) == {}
            with pytest.raises(ValueError, match=f"{learner} has no --inner.{field}; it has "):
                hyper(one, strict=True)
        elif value is not None:
            assert hyper(one, strict=True) == {argument: value}
            assert build_learner(resolved(one, strict=True), BINARY)


def test_flags_are_told_of_as_their_constructors_do_and_worker_processes_find_them():
    assert pickle.loads(pickle.dumps(GIVEN)) == GIVEN
    told = {f.name: f.type.__metadata__[0].help for f in dataclasses.fields(Inner)}
    # Each learner's own words.
    assert "regularisation" in told["l2"] and "distance from the initialisation" in told["l2"]
    assert "[maml, " in told["lr"] and "Adam's step size" in told["lr"]
    assert not [flag for flag, help in told.items() if help[0] == "["]
    hints = {}
    for name, build in LEARNERS.items():
        for argument in arguments(build):
            kind = typing.get_type_hints(build)[argument]
            assert hints.setdefault(argument, kind) == kind, (name, argument)


def test_a_foreign_flag_names_those_that_exist():
    with pytest.raises(ValueError) as raised:
        resolved(config("ridge", inner=GIVEN), strict=True)
    assert str(raised.value) == (
        "ridge has no --inner.lr, --inner.steps, --inner.first_order, --inner.remat; "
        "it has --inner.l2, --inner.bias"
    )
    with pytest.raises(ValueError, match="protonet has no --inner.lr; it has no hyper-parameters"):
        resolved(config("protonet", inner=Inner(lr=0.1)), strict=True)
    with pytest.raises(ValueError, match="lr_cv has no --inner.lr; it has no hyper-parameters"):
        resolved(config("lr_cv", inner=Inner(lr=0.1)), strict=True)


def test_what_a_method_has_no_use_for_makes_no_other_run():
    for learner, options in {
        "protonet": {"inner": GIVEN},
        "ridge": {"inner": Inner(lr=3.0)},
        "lr_cv": {
            "inner": GIVEN, "train": Train(steps=7), "encoder": Encoder((3,)),
            "evaluate": Evaluate(validation_episodes=3),
        },
    }.items():  # fmt: skip
        one = resolved(config(learner, **options), strict=False)
        assert one == resolved(config(learner), strict=True)
        assert name(one) == name(resolved(config(learner), strict=True))


def test_a_seed_that_a_model_does_not_use_makes_no_other_run():
    """Which models draw at random is asked of them, on a table small enough to differ."""
    rng = np.random.default_rng(0)
    x, query = rng.normal(size=(24, 5)), rng.normal(size=(40, 5))
    y = np.arange(24) % 2
    for learner in HOST_BASELINES:
        if learner in REGRESSORS and learner not in TARGET_ONLY:
            told = [REGRESSORS[learner](x, x[:, 0], query, seed) for seed in (0, 5)]
        elif learner in POOLED:
            told = [POOLED[learner](x, y, seed=seed)(query) for seed in (0, 5)]
        else:
            told = [TARGET_ONLY[learner](x, y, query, seed=seed) for seed in (0, 5)]
            if learner in REGRESSORS:
                more = [REGRESSORS[learner](x, x[:, 0], query, seed) for seed in (0, 5)]
                assert np.array_equal(*more) == (learner not in SEEDED), learner
        one, other = (resolved(config(learner, seed=seed), strict=True) for seed in (0, 5))
        assert (one == other) == (learner not in SEEDED)
        if one == other:
            np.testing.assert_array_equal(*told, learner)
        assert unused(config(learner, seed=5), ["seed"]) == ["seed"] * (one == other)
    assert resolved(config("maml", seed=5), strict=True).seed == 5
    assert unused(config("maml", seed=5), ["seed"]) == []


def test_the_order_of_the_shots_and_repeated_shots_make_no_other_run():
    for shots in ((16, 8), (8, 16, 8)):
        assert resolved(config(shots=shots), strict=True) == resolved(config(), strict=True)


def test_what_a_method_uses_makes_another_run():
    others = [
        config(seed=1), config(shots=(8,)), config(benchmark="support2"), config(suite="other"),
        config("anil"), config(inner=Inner(lr=0.2)), config(train=Train(steps=7)),
        config(encoder=Encoder((3,))), config(evaluate=Evaluate(episodes=3)), config("lr_cv"),
        config("lr_cv", evaluate=Evaluate(episodes=3)),
    ]  # fmt: skip
    names = [name(resolved(one, strict=True)) for one in (config(), *others)]
    assert len(set(names)) == len(names)


def test_the_identity_is_readable_and_stable():
    """The same in every process and on every machine.

    A new field of the configuration changes it: every record on disk is then another run.
    """
    one = config(
        "maml", inner=Inner(lr=0.1, steps=2), train=Train(10, 4, 5, 0.01, 1.0, "scan"),
        encoder=Encoder((8,), True), evaluate=Evaluate(3, 4),
    )  # fmt: skip
    assert name(one).startswith("heart_uci-maml-s0-")
    assert name(one) == name(dataclasses.replace(one))
    if records.NUMBERS_VERSION == 1:
        assert name(one) == "heart_uci-maml-s0-91a3bbb4c3"
    # How tasks are laid out changes no number, and so no identity.
    for task_axis in ("auto", "vmap", "chunk:2"):
        train = dataclasses.replace(one.train, task_axis=task_axis)
        assert name(dataclasses.replace(one, train=train)) == name(one)


def test_the_identity_depends_on_data_and_version_of_the_numbers(monkeypatch):
    first = CARD
    file = File("a/b.csv", "https://example.org/b.csv", "0" * 64)
    cards = [
        first,
        dataclasses.replace(first, version="1.0.1"),
        dataclasses.replace(first, files=(file,)),
        dataclasses.replace(first, files=(dataclasses.replace(file, sha256="1" * 64),)),
    ]
    names = {name(config(), [card]) for card in cards}
    assert len(names) == 4
    # What is told of the data does not matter, nor does their order.
    assert name(config(), [dataclasses.replace(first, title="other")]) in names
    two = dataclasses.replace(first, name="second")
    assert name(config(), [first, two]) == name(config(), [two, first])
    before = name(config())
    monkeypatch.setattr(records, "NUMBERS_VERSION", records.NUMBERS_VERSION + 1)
    assert name(config()) != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inner": Inner(lr=0.0)}, "--inner.lr must be above 0 and finite; got 0.0"),
        ({"inner": Inner(lr=float("nan"))}, "--inner.lr must be above 0 and finite; got nan"),
        ({"inner": Inner(steps=0)}, "--inner.steps must be above 0"),
        ({"train": Train(lr=float("inf"))}, "--train.lr must be above 0 and finite; got inf"),
        ({"train": Train(lr=1e-46)}, "--train.lr=1e-46 is 0 in 32 bits"),
        ({"train": Train(clip=1e39)}, "--train.clip=1e+39 is infinite in 32 bits"),
        ({"inner": Inner(lr=1e-40)}, "--inner.lr=1e-40 is 0 in 32 bits"),
        ({"inner": Inner(scale=1e39)}, "--inner.scale=1e+39 is infinite in 32 bits"),
        ({"train": Train(clip=-1.0)}, "--train.clip must be above 0 and finite; got -1.0"),
        ({"train": Train(steps=0)}, "--train.steps must be above 0 and finite; got 0"),
        ({"train": Train(steps_per_call=-5)}, "--train.steps_per_call must be above 0"),
        ({"train": Train(tasks_per_step=0)}, "got 'auto' with 0 tasks"),
        ({"train": Train(task_axis="chunk:7")}, "got 'chunk:7' with 16 tasks"),
        ({"encoder": Encoder((8, 0))}, "--encoder.widths must be above 0 and finite; got 0"),
        ({"evaluate": Evaluate(episodes=0)}, "--evaluate.episodes must be above 0"),
        ({"evaluate": Evaluate(validation_episodes=0)}, "--evaluate.validation_episodes must be"),
        ({"shots": ()}, "--shots must be above 0 and finite; got 0"),
        ({"shots": (8, -1)}, "--shots must be above 0 and finite; got -1"),
        ({"seed": -1}, "--seed must be from 0 to 4294967295; got -1"),
        ({"seed": 2**32}, "--seed must be from 0 to 4294967295; got 4294967296"),
        ({"learner": "mamll"}, "unknown learner 'mamll'; there are anil, boil"),
    ],
)
def test_values_out_of_range_are_named(options, message):
    with pytest.raises(ValueError) as raised:
        resolved(config(**options), strict=True)
    assert message in str(raised.value)


def test_no_method_has_two_meanings():
    assert len(set(METHODS)) == len(METHODS)
    assert not set(LEARNERS) & set(HOST_BASELINES)


def test_bfloat16_is_for_convolutions_and_runs_in_float32_keep_their_ids():
    images = dataclasses.replace(config(), encoder=Encoder((8,), name="conv4", dtype="bfloat16"))
    assert build_encoder(resolved(images, strict=True).encoder).dtype == jnp.bfloat16
    assert build_encoder(Encoder((8,), name="conv4")).dtype is None
    with pytest.raises(ValueError, match="--encoder.dtype is for conv4; --encoder.name is mlp"):
        resolved(dataclasses.replace(config(), encoder=Encoder(dtype="bfloat16")), strict=True)
