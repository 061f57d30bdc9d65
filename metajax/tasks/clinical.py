"""A prior over clinical tables: every key is a new disease, drawn from a random causal model.

A few latent severity factors, of which one or two dominate, drive most columns and the label; that
is what real clinical tables look like, while textbook sparse random graphs are too weak and too
uncorrelated. Strengths are set so that mean statistics (single-column AUROC, correlation, binary
and missing shares) resemble those measured on 36 public disease tables. Four kinds are mixed:

* diagnostic: the disease comes first and moves factors and findings; it may have two subtypes that
  move them in opposite directions (hypo- and hyperthyroid), a signal no linear model sees;
* additive: the label is a noisy threshold of a sum of bent columns (linear, saturating, U-shaped);
* mlp: columns are nodes of a random two-layer network, the label a threshold on other nodes;
* tree: the label is a threshold on a sum of small random trees.

Columns are continuous, skewed, binary, ordinal or heavy-tailed; some nearly repeat their neighbour.
Cells are missing one by one or in blocks (a panel of columns that a group of patients never had),
in part depending on the class; some labels are noise.

An approximation: a task has 1.5 candidate patients for every row of its episode. If these would
hold too few of the rarer class, the threshold on the score is lowered until they suffice; the query
is still sampled at the stated prevalence. Support and query thus share their class-conditional
distributions, but the cases of a rare disease in a balanced episode are somewhat milder than its
prevalence says. Diagnostic diseases draw patients given their class and need no such step.

Reference: Hollmann et al. 2023, "TabPFN", arXiv:2207.01848, for learning from random causal models.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from metajax.tasks.sinusoid import shot_choices, split_rows, task_key
from metajax.types import Episode, TaskSource, TaskSpec

FACTORS = 8
PANELS = 2
TREES = 6
PREVALENCE = (0.05, 0.5)
BALANCED = {"balanced": 1.0, "natural": 0.0, "mixed": 0.75}
KIND_CUTS = (0.45, 0.75, 0.87)  # diagnostic, additive, mlp, tree
BEND_CUTS = (0.42, 0.62, 0.72, 0.84, 0.92)  # identity, tanh, relu, step, abs, square
TYPE_SHARES = (0.28, 0.16, 0.28, 0.19, 0.09)  # continuous, skewed, binary, ordinal, heavy-tailed


def clinical_tables(
    *,
    shots: int | Sequence[int] = (4, 8, 16, 32),
    queries: int = 64,
    columns: int = 32,
    least_columns: int = 4,
    draw: Literal["balanced", "natural", "mixed"] = "mixed",
    prepare: Callable[[Episode], Episode] | None = None,
) -> TaskSource:
    """Random diseases with 5-50 % prevalence and 4 to 32 columns of mixed type.

    Args:
      shots: total labelled support rows, each at least 2; if several, one is drawn per episode.
      queries: query rows, at natural prevalence (one class may be absent), at least 1.
      columns: D, the width of the table.
      least_columns: the fewest columns a disease has, 1 to `columns`; the rest are NaN throughout.
      draw: ``"balanced"``: half of the support from each class (class 1 has the smaller half);
        ``"natural"``: in proportion to prevalence, at least one of each; ``"mixed"``: balanced in
        three episodes of four.
      prepare: applied to the raw episode, e.g. `standardise_by_support`; None leaves NaN in x.

    Returns:
      A world of two classes, 1 = diseased, with raw x (N, D), NaN where missing. `data` is
      ``{"shots": (S,) int32, "balanced": float32 probability}``; other values of these, with shots
      up to the largest, re-use the compiled program.

    Raises:
      ValueError: for an argument outside its range or an unknown draw.
    """
    choices = shot_choices(shots, least=2)
    if queries < 1 or not 1 <= least_columns <= columns:
        given = f"queries={queries}, least_columns={least_columns}, columns={columns}"
        raise ValueError(f"need queries >= 1 and 1 <= least_columns <= columns; got {given}")
    if draw not in BALANCED:
        raise ValueError(f"draw must be one of {', '.join(BALANCED)}; got {draw!r}")
    most = int(choices.max())
    pool = (most + queries) * 3 // 2

    def sample(data, key, task=None):
        keys = jax.random.split(task_key(key, task), 4)
        head, _ = _draw(keys[0], {"shots": (), "balanced": (), "prevalence": (), "y": (queries,)})
        count = data["shots"][jnp.floor(head["shots"] * len(data["shots"])).astype(jnp.int32)]
        prevalence = PREVALENCE[0] + (PREVALENCE[1] - PREVALENCE[0]) * head["prevalence"]
        support = _support_labels(prevalence, head["balanced"] < data["balanced"], most)
        wanted = jnp.concatenate([support, head["y"] < prevalence])
        cases = jnp.round(prevalence * pool).astype(jnp.int32)
        cases = jnp.clip(cases, jnp.sum(wanted), pool - jnp.sum(~wanted))
        u, n = _disease(keys[1], columns)
        width = least_columns + jnp.floor(u["width"] * (columns - least_columns + 1))
        present = jnp.arange(columns) < width
        x, score = _patients(keys[2], u, n, present, cases, pool)
        # Candidates are exchangeable within a class, so its first rows are a random sample of it.
        order = jnp.argsort(score < jnp.sort(score)[pool - cases], stable=True)
        rank = jnp.where(wanted, jnp.cumsum(wanted), cases + jnp.cumsum(~wanted)) - 1
        x = _measure(keys[3], u, n, present, x[order[rank]], wanted)
        labels = jnp.stack([~wanted, wanted], axis=1).astype(jnp.float32)
        episode = split_rows(x, labels, count, most)
        return episode if prepare is None else prepare(episode)

    data = {"shots": jnp.asarray(choices), "balanced": jnp.float32(BALANCED[draw])}
    return TaskSource(TaskSpec(2, "multiclass"), data, sample)


def _support_labels(prevalence, balanced, most):
    """Labels (most,) to fill, such that the first k hold the right counts for every k."""
    k = jnp.arange(most + 1)
    natural = jnp.clip(jnp.floor(k * prevalence + 0.5), 1, jnp.maximum(k - 1, 0))
    return jnp.diff(jnp.where(balanced, k // 2, natural)) > 0


def _draw(key, uniforms, normals=None):
    """Named uniforms and standard normals of the given shapes from one random call."""
    # Every call costs compile time. And Box-Muller, because XLA's CPU fusion would repeat the
    # polynomials of `jax.random.normal` for every row that uses a number: 2-3 times slower.
    normals = normals or {}
    bare = sum(map(math.prod, uniforms.values()))
    half = (sum(map(math.prod, normals.values())) + 1) // 2
    u, r, a = jnp.split(jax.random.uniform(key, (bare + 2 * half,)), [bare, bare + half])
    r, a = jnp.sqrt(-2 * jnp.log1p(-r)), 2 * jnp.pi * a
    n = jnp.concatenate([r * jnp.cos(a), r * jnp.sin(a)])
    drawn = []
    for flat, shapes in ((u, uniforms), (n, normals)):
        ends = np.cumsum([0, *map(math.prod, shapes.values())]).tolist()
        parts = (flat[start:end] for start, end in itertools.pairwise(ends))
        pairs = zip(shapes.items(), parts, strict=True)
        drawn.append({name: part.reshape(shape) for (name, shape), part in pairs})
    return drawn


def _disease(key, columns):
    """Everything that a disease fixes for all its patients: uniforms and normals by name."""
    per, wide = (columns,), (FACTORS, columns)
    once = "kind width decay dense common subtypes factor_share factor_size shift_share shift_size"
    once += " weight_share direct fuzz chance twins gaps"
    each = "communality shifted spread weighted bend node deep twin type shape sign gap gap_size"
    each += " gap_class gap_tilt"
    uniforms = dict.fromkeys(once.split(), ()) | dict.fromkeys(each.split(), per)
    uniforms |= {"loading": wide, "panel": (PANELS, columns)}
    uniforms |= {"moved": (FACTORS,), "pair": (2, TREES)}
    uniforms |= dict.fromkeys(["panel_on", "panel_rows", "panel_share"], (PANELS,))
    each = "shift shift_sub spread weight weight_size readout cut_point"
    normals = dict.fromkeys(each.split(), per) | {"loading": wide, "layer": wide}
    normals |= dict.fromkeys(["moved", "moved_sub", "direct"], (FACTORS,))
    normals |= {"deep": (columns, columns), "leaf": (3, TREES), "cut": (2, TREES)}
    normals |= {"types": (len(TYPE_SHARES),), "panel_tilt": (PANELS,)}
    return _draw(key, uniforms, normals)


def _patients(key, u, n, present, cases, pool):
    """Latent columns (pool, D) and scores (pool,); the `cases` highest scores are the diseased."""
    columns = present.shape[0]
    uniforms = dict.fromkeys(["subtype", "chance", "fuzz"], (pool,))
    normals = {"factor": (pool, FACTORS), "noise": (pool, columns), "chance": (pool,)}
    row_u, row_n = _draw(key, uniforms, normals)
    kind = jnp.sum(u["kind"] > jnp.array(KIND_CUTS))
    # A label that is noise: such a patient's state or score has nothing to do with the label.
    chance = row_u["chance"] < 0.2 * u["chance"] ** 3
    state = jnp.where(chance, row_n["chance"] > 0, jnp.arange(pool) < cases) & (kind == 0)
    other = state & (row_u["subtype"] < 0.5) & (u["subtypes"] < 0.35)

    def findings(move, sub):  # how far the disease moves variables in each patient
        return state[:, None] * move * (1 + other[:, None] * (1.2 * sub - 1.5))

    strength = jnp.exp(-jnp.arange(FACTORS) * (0.4 + 2.2 * u["decay"]))
    kept = u["loading"] < _log_uniform(u["dense"], 0.5, 1.0)
    loading = _unit(n["loading"] * kept * strength[:, None])
    moved = n["moved"] * (u["moved"] < 0.2 + 0.8 * u["factor_share"])
    moved = moved * _log_uniform(u["factor_size"], 0.5, 3.0)
    factor = row_n["factor"] + findings(moved, n["moved_sub"])
    shift = n["shift"] * (u["shifted"] < _log_uniform(u["shift_share"], 0.1, 1.0))
    shift = shift * _log_uniform(u["shift_size"], 0.1, 1.0)
    spread = jnp.maximum(-0.5, 0.4 * n["spread"] * (u["spread"] < 0.3))
    share = jnp.sqrt(u["communality"]) * u["common"] ** 0.2
    noise = jnp.sqrt(1 - share) * row_n["noise"]
    x = jnp.sqrt(share) * (factor @ loading) + noise * (1 + state[:, None] * spread)
    x += findings(shift, n["shift_sub"])

    node = 6 * u["node"]
    shallow = _bend(_standard(factor @ _unit(strength[:, None] * n["layer"])), node)
    deep = _bend(_standard(shallow @ n["deep"]), node[::-1])
    network = _standard(jnp.where(u["deep"] < 0.5, shallow, deep))
    x = jnp.where(kind == 2, jnp.sqrt(share) * network + noise, x)

    twin = u["twin"] < 0.4 * jnp.maximum(0, 2 * u["twins"] - 1)
    x = x @ (jnp.eye(columns) * jnp.where(twin, 0.24, 1) + jnp.eye(columns, k=1) * 0.97 * twin)
    used = present & (u["weighted"] < _log_uniform(u["weight_share"], 0.08, 1.0))
    weight = n["weight"] * jnp.exp(0.6 * n["weight_size"]) * used
    bend = jnp.sum(u["bend"] > jnp.array(BEND_CUTS)[:, None], axis=0)
    additive = _bend(x, bend) @ weight
    chosen = jnp.floor(u["pair"] * jnp.sum(present)).astype(jnp.int32)
    above = x[:, chosen] > 0.7 * n["cut"]  # (pool, 2, TREES)
    leaves = jnp.stack([above[:, 0], above[:, 1], above[:, 0] & above[:, 1]], axis=1)
    tree = jnp.sum(leaves * n["leaf"], axis=(1, 2))
    score = jnp.where(kind == 1, additive, jnp.where(kind == 2, deep @ n["readout"], tree))
    direct = factor @ _unit(n["direct"] * strength)
    score = _standard(_standard(score) + 3 * u["direct"] * direct)
    logistic = jnp.log(row_u["fuzz"] + 1e-6) - jnp.log1p(1e-6 - row_u["fuzz"])
    score = score + 0.55 * _log_uniform(u["fuzz"], 0.05, 0.6) * logistic
    score = jnp.where(chance, 1.5 * row_n["chance"], score)
    return x, jnp.where(kind == 0, -jnp.arange(pool, dtype=jnp.float32), score)


def _measure(key, u, n, present, x, diseased):
    """Turn latent columns (N, D) into what a table holds: types, and NaN where missing."""
    shares = jnp.cumsum(jax.nn.softmax(jnp.log(jnp.array(TYPE_SHARES)) + 0.8 * n["types"]))
    kind = jnp.sum(u["type"] > shares[:-1, None], axis=0)  # of each column, as in TYPE_SHARES
    levels = 2.0 + jnp.floor(4 * u["shape"])
    ordinal = jnp.clip(jnp.round(x * levels / 3 + n["cut_point"] + levels / 2), 0, levels)
    x = jnp.clip(x, -8, 8)  # keeps the exponentials below within reach of float32 variances
    bent = jnp.exp(jnp.where(kind == 1, 0.3 + 1.2 * u["shape"], 1.2) * x)
    x = jnp.select(
        [kind == 0, kind == 1, kind == 2, kind == 3],
        [x, bent, (x > 1.3 * n["cut_point"]).astype(x.dtype), ordinal],
        (bent - 1 / bent) / 2,
    )
    x *= jnp.where(u["sign"] < 0.5, 1, -1)
    cell, _ = _draw(key, {"cell": x.shape, "panel": (x.shape[0], PANELS)})
    side = jnp.where(diseased, 1.0, -1.0)[:, None]
    rate = (u["gap"] < 0.6 * u["gaps"] ** 2) * 0.6 * u["gap_size"] ** 2
    tilt = (u["gap_class"] < 0.3) * (2 * u["gap_tilt"] - 1)
    missing = cell["cell"] < rate * (1 + side * tilt)
    group = (u["panel_on"] < 0.15) * (0.05 + 0.35 * u["panel_rows"])
    absent = cell["panel"] < group * (1 + side * jnp.tanh(0.5 * n["panel_tilt"]))
    panel = u["panel"] < 0.1 + 0.4 * u["panel_share"][:, None]
    missing |= (absent.astype(x.dtype) @ panel.astype(x.dtype)) > 0
    return jnp.where(missing | ~present, jnp.nan, x)


def _bend(x, code):
    """Bend columns (rows, D) by codes (D,) in [0, 6): identity, tanh, relu, step, abs, square."""
    return jnp.select(
        [code < 1, code < 2, code < 3, code < 4, code < 5],
        [x, 2 * jnp.tanh(x), jnp.maximum(x, 0), (x > 0.5).astype(x.dtype), jnp.abs(x)],
        x**2,
    )


def _log_uniform(u, low, high):
    """Map uniform variates to ones whose logarithm is uniform from that of low to that of high."""
    return low * (high / low) ** u


def _standard(x):
    """Zero mean and unit variance over the rows."""
    return (x - jnp.mean(x, axis=0)) / (jnp.std(x, axis=0) + 1e-6)


def _unit(x):
    """Columns of unit length."""
    return x / (jnp.linalg.norm(x, axis=0) + 1e-6)
