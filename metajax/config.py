"""The configuration of a run: frozen, typed, and checked before anything starts (floor 5).

Field names are the command line's flags (``--inner.lr=0.1``) and the parameters of a sweep file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from metajax import layout, learners, limits
from metajax.baselines import POOLED, REGRESSORS, SEEDED, TARGET_ONLY
from metajax.hyper import HYPER, NUMBERS, Inner, arguments, defaults
from metajax.learners import LEARNERS
from metajax.learners import METHODS as LEARNED
from metajax.nn import MLP, Conv1D, Conv4, Fingerprint, Fusion, SetEncoder
from metajax.training import Trial
from metajax.types import Learner, TaskSpec

HOST_BASELINES = (*TARGET_ONLY, *POOLED, *(n for n in REGRESSORS if n not in TARGET_ONLY))
METHODS = (*LEARNERS, *HOST_BASELINES)
Method = Literal[METHODS]  # type: ignore[valid-type]


EncoderName = Literal[
    "auto", "mlp", "conv4", "conv1d", "beat", "clinical_genes", "fingerprint", "set"
]


@dataclass(frozen=True)
class Train:
    """Meta-training."""

    steps: int = 400
    """Outer steps at most; meta-validation chooses how many are used."""
    tasks_per_step: int = 16
    """Episodes an outer step."""
    steps_per_call: int = 100
    """Outer steps of one compiled call; meta-validation happens between calls."""
    lr: float = 0.003
    """Adam's step size in the outer loop, above 0."""
    clip: float = 1.0
    """Largest norm of the meta-gradient, above 0."""
    task_axis: str = "auto"
    """How tasks of a step are laid out: vmap, scan, chunk:n; auto: by rule; measure: by timing."""


@dataclass(frozen=True)
class Encoder:
    """The encoder."""

    widths: tuple[int, ...] = (32, 32)
    """Width of every layer; of convolutions the first is the number of channels."""
    skip: bool = True
    """Append the scaled inputs to the features (mlp only)."""
    name: EncoderName = "mlp"
    """mlp: vectors; conv4: images; conv1d: signals and sequences; beat: heart beat and its
    intervals; clinical_genes: both of a patient; fingerprint: molecules; set: tables of any
    columns; auto: the benchmark's own."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of convolutions (conv4 only): bfloat16 is faster on accelerators, not on CPUs."""


@dataclass(frozen=True)
class Evaluate:
    """Evaluation."""

    episodes: int = 20
    """Test episodes per task, support size and draw."""
    validation_episodes: int = 64
    """Meta-validation episodes after every compiled call."""


@dataclass(frozen=True)
class RunConfig:
    """One run: a method on a benchmark with a seed; every support size is evaluated."""

    suite: str
    benchmark: str
    learner: str
    seed: int
    shots: tuple[int, ...]
    inner: Inner = field(default_factory=Inner)
    train: Train = field(default_factory=Train)
    encoder: Encoder = field(default_factory=Encoder)
    evaluate: Evaluate = field(default_factory=Evaluate)


# What of an encoder each kind of network uses, beside its name; of those not in `DEEP` only the
# first width.
ENCODER_FIELDS = {
    "mlp": ("widths", "skip"), "conv4": ("widths", "dtype"), "fingerprint": ("widths",),
}  # fmt: skip
DEEP = ("mlp", "fingerprint", "auto")


def trains(learner: str) -> bool:
    """Whether a method is meta-trained: host baselines are not, nor is what starts anew."""
    return learner in LEARNERS and LEARNED[learner].trains


def unused(config: RunConfig, given: Sequence[str]) -> list[str]:
    """The flags among those given (``train.steps``) that change nothing for a run's method."""
    known = arguments(LEARNERS[config.learner]) if config.learner in LEARNERS else {}
    name = config.encoder.name
    fields = ("name", *ENCODER_FIELDS.get(name, ("widths",)))
    found = []
    for flag in given:
        part, _, field = flag.partition(".")
        if part == "inner":
            idle = HYPER[field] not in known
        elif flag == "seed":
            idle = config.learner in HOST_BASELINES and config.learner not in SEEDED
        elif part == "encoder":
            idle = config.learner not in LEARNERS or (field not in fields and name != "auto")
        else:
            idle = not trains(config.learner) and flag != "evaluate.episodes"
        if idle:
            found.append(flag)
        elif flag == "encoder.widths" and name not in DEEP and len(config.encoder.widths) > 1:
            found.append("encoder.widths beyond the first")
    return found


def check_learners() -> None:
    """Refuses to go on with learners that cannot be used.

    Raises:
      ValueError: naming their files; for a learner with the name of a model on the host.
    """
    learners.check()
    if twice := [name for name in LEARNERS if name in HOST_BASELINES]:
        raise ValueError(f"metajax/learners has {', '.join(twice)}, the name of a model on the "
                         "host: rename the function")  # fmt: skip


def hyper(config: RunConfig, *, strict: bool) -> dict[str, Any]:
    """The constructor arguments that a configuration sets.

    Args:
      config: the run.
      strict: refuse a hyper-parameter that the learner does not have; otherwise drop it (sweeps).

    Raises:
      ValueError: naming the flag and the flags that the learner has.
    """
    given = {k: v for k, v in dataclasses.asdict(config.inner).items() if v is not None}
    known = arguments(LEARNERS[config.learner]) if config.learner in LEARNERS else {}
    foreign = [name for name in given if HYPER[name] not in known]
    if foreign and strict:
        has = [f"--inner.{name}" for name, argument in HYPER.items() if argument in known]
        raise ValueError(
            f"{config.learner} has no {', '.join(f'--inner.{name}' for name in foreign)}; it has "
            f"{', '.join(has) or 'no hyper-parameters'}"
        )
    return {HYPER[name]: value for name, value in given.items() if name not in foreign}


def hyper_used(config: RunConfig) -> dict[str, Any]:
    """Every hyper-parameter of the run's learner with the value it has, defaults included."""
    if config.learner not in LEARNERS:
        return {}
    return defaults(config.learner) | hyper(config, strict=False)


def resolved(config: RunConfig, *, strict: bool) -> RunConfig:
    """Checks a configuration, fills in the learner's defaults and drops what it has no use for.

    Two configurations that mean the same run become equal, and so do their ids.

    Raises:
      ValueError: for a value out of range, or (strict) a flag the learner does not have.
    """
    _check(config)
    hyper(config, strict=strict)
    config = dataclasses.replace(
        config, inner=complete(config.inner, config.learner), shots=tuple(sorted({*config.shots})),
        train=_typed(config.train), encoder=used_encoder(_typed(config.encoder)),
        evaluate=_typed(config.evaluate),
    )  # fmt: skip
    if config.learner in HOST_BASELINES:
        seed = config.seed if config.learner in SEEDED else 0
        config = dataclasses.replace(config, encoder=Encoder(), seed=seed)
    if not trains(config.learner):
        tested = Evaluate(episodes=config.evaluate.episodes)
        config = dataclasses.replace(config, train=Train(), evaluate=tested)
    return config


def complete(inner: Inner, learner: str) -> Inner:
    """Every hyper-parameter of a learner with the value it takes; None: it has no such."""
    if learner not in LEARNERS:
        return Inner()
    own = defaults(learner)
    values = {
        flag: own[argument] if getattr(inner, flag) is None else getattr(inner, flag)
        for flag, argument in HYPER.items()
        if argument in own
    }
    return _typed(Inner(**values))


def used_encoder(encoder: Encoder) -> Encoder:
    """An encoder without what a network of its kind does not use."""
    if encoder.name == "auto":
        return encoder
    used = ENCODER_FIELDS.get(encoder.name, ("widths",))
    widths = encoder.widths if encoder.name in DEEP else encoder.widths[:1]
    kept = {name: getattr(encoder, name) for name in used} | {"widths": widths}
    return Encoder(name=encoder.name, **kept)


def _typed(part: Any) -> Any:
    """Numbers of the type that a field declares: 1 and 1.0 are one step size."""
    values = {}
    for name, hint in get_type_hints(type(part)).items():
        value, kinds = getattr(part, name), get_args(hint) or (hint,)
        if isinstance(value, np.generic):
            value = value.item()
        if float in kinds and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        elif int in kinds and isinstance(value, float) and value.is_integer():
            value = int(value)
        elif name == "widths":
            value = tuple(int(width) for width in value)
        values[name] = value
    return type(part)(**values)


def _check(config: RunConfig) -> None:
    """Refuses values out of range."""
    if config.learner not in METHODS:
        raise ValueError(f"unknown learner {config.learner!r}; there are {', '.join(METHODS)}")
    inner, train, evaluate = config.inner, config.train, config.evaluate
    positive = {
        "inner.lr": inner.lr, "inner.l2": inner.l2, "train.lr": train.lr, "train.clip": train.clip,
        "inner.steps": inner.steps, "train.steps": train.steps,
        "train.steps_per_call": train.steps_per_call, "evaluate.episodes": evaluate.episodes,
        "evaluate.validation_episodes": evaluate.validation_episodes,
        "encoder.widths": min(config.encoder.widths, default=1),
        "shots": min(config.shots, default=0),
    }  # fmt: skip
    limits.positive(positive)
    limits.positive({"encoder.widths": max(config.encoder.widths, default=1)})
    limits.positive({"shots": max(config.shots, default=1)})
    if len(config.encoder.widths) > limits.MOST["blocks"]:
        raise ValueError(f"--encoder.widths gives {len(config.encoder.widths)} layers; at most "
                         f"{limits.MOST['blocks']} make a network")  # fmt: skip
    whole = {k: v for k, v in dataclasses.asdict(inner).items() if type(v) is int and v > 0}
    limits.positive({f"inner.{k}": v for k, v in whole.items()}, limits.MOST_INNER)
    for flag, value in dataclasses.asdict(inner).items():
        if isinstance(value, float) and not 0 <= value < float("inf"):
            raise ValueError(f"--inner.{flag} must be 0 or more and finite; got {value}")
        if isinstance(value, float):
            limits.single(f"inner.{flag}", value)
    limits.seeds(config.seed)
    if not config.encoder.widths and config.encoder.name not in DEEP:
        raise ValueError(f"--encoder.widths must give {config.encoder.name} its channels; got none")
    if config.encoder.dtype != "float32" and config.encoder.name not in ("conv4", "auto"):
        raise ValueError(f"--encoder.dtype is for conv4; --encoder.name is {config.encoder.name}")
    limits.positive({"train.tasks_per_step": max(train.tasks_per_step, 1)})
    if train.task_axis not in layout.AUTOMATIC or train.tasks_per_step < 1:
        layout.chunk_size(train.task_axis, train.tasks_per_step)


@cache
def build_encoder(encoder: Encoder) -> nn.Module:
    """The encoder of a configuration.

    Raises:
      ValueError: for "auto", which `metajax.suites` replaces by the benchmark's own.
    """
    widths, channels = encoder.widths, encoder.widths[0] if encoder.widths else 0
    match encoder.name:
        case "mlp":
            return MLP(widths, skip=encoder.skip)
        case "conv4":
            return Conv4(channels, dtype=jnp.bfloat16 if encoder.dtype == "bfloat16" else None)
        case "conv1d":
            return Conv1D(channels)
        case "beat":
            return Fusion((("rr", MLP((channels,))), ("signal", Conv1D(channels))))
        case "clinical_genes":
            modalities = ("clinical", "genes")
            return Fusion(tuple((n, MLP(widths, skip=encoder.skip)) for n in modalities))
        case "fingerprint":
            return Fingerprint(widths)
        case "set":
            return SetEncoder(channels)
    raise ValueError(f"--encoder.name={encoder.name} is not resolved to a benchmark's encoder")


def laid_out_alike(config: RunConfig) -> RunConfig:
    """The configuration without its layout, which changes no number: equal for runs of one name."""
    return dataclasses.replace(
        config, train=dataclasses.replace(config.train, task_axis=Train.task_axis)
    )


def alike(config: RunConfig) -> RunConfig:
    """The configuration without seed and numbers: equal for runs that one program can train."""
    free = {flag: None for flag, argument in HYPER.items() if argument in NUMBERS}
    inner = dataclasses.replace(config.inner, **free)
    train = dataclasses.replace(config.train, lr=Train.lr, clip=Train.clip)
    return dataclasses.replace(config, seed=0, inner=inner, train=train)


# Equal configurations give the very same object, and with it the compiled programs.
@cache
def _maker(name: str, spec: TaskSpec, encoder: Encoder, items: tuple) -> Callable[[Any], Trial]:
    def make(hyper: dict[str, Any]) -> Trial:
        learner = LEARNERS[name](spec, build_encoder(encoder), **dict(items), **hyper["inner"])
        return Trial(learner, _optimizer(hyper["lr"], hyper["clip"]))

    return make


def build_maker(config: RunConfig, spec: TaskSpec) -> Callable[[Any], Trial]:
    """``hyper -> Trial`` for every configuration that is `alike`; see `numbers`."""
    items = {k: v for k, v in hyper(config, strict=False).items() if k not in NUMBERS}
    return _maker(config.learner, spec, config.encoder, tuple(sorted(items.items())))


@cache
def learner_of(make: Callable[[Any], Trial]) -> Callable[[Any], Learner]:
    """``hyper -> Learner`` of a maker, always the same object."""
    return lambda hyper: make(hyper).learner


def numbers(configs: Sequence[RunConfig]) -> dict[str, Any]:
    """What a maker is called with, one leaf (K,) a number."""
    inner = [{k: v for k, v in hyper_used(one).items() if k in NUMBERS} for one in configs]
    told = {"inner": {k: [one[k] for one in inner] for k in inner[0]}}
    told |= {"lr": [c.train.lr for c in configs], "clip": [c.train.clip for c in configs]}
    return jax.tree.map(np.float32, told, is_leaf=lambda leaf: isinstance(leaf, list))


@cache
def _build(name: str, spec: TaskSpec, encoder: Encoder, items: tuple) -> Learner:
    return LEARNERS[name](spec, build_encoder(encoder), **dict(items))


def build_learner(config: RunConfig, spec: TaskSpec) -> Learner:
    """The learner of a resolved configuration."""
    items = tuple(sorted(hyper(config, strict=False).items()))
    return _build(config.learner, spec, config.encoder, items)


@cache
def build_optimizer(lr: float, clip: float) -> optax.GradientTransformation:
    """The outer optimiser: Adam behind a bound on the gradient's norm."""
    return _optimizer(lr, clip)


def _optimizer(lr: Any, clip: Any) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(clip), optax.adam(lr))
