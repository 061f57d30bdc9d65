"""The prior of prior-fitted networks: its ranges, and that nothing of it is NaN or repeats."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metajax.tasks import disease_prior

TASKS, ROWS, QUERIES, COLUMNS = 256, 16, 24, 10


@pytest.fixture(scope="module")
def world():
    """Raw tables, and a function that draws them with other chances in the same program."""
    source = disease_prior(shots=(8, ROWS), queries=QUERIES, columns=COLUMNS, prepare=None)
    traces = []

    @jax.jit
    def many(data, tasks):
        traces.append(0)
        return jax.vmap(lambda t: source.sample(data, jax.random.key(1), t))(tasks)

    def draw(tasks=range(TASKS), **chances):
        data = source.data | {name: jnp.float32(value) for name, value in chances.items()}
        return jax.tree.map(np.asarray, many(data, jnp.asarray(list(tasks))))

    return draw, draw(), traces


def test_shapes_ranges_and_padding(world):
    _, (support, query), _ = world
    assert support.x.shape == (TASKS, ROWS, COLUMNS) and query.x.shape == (TASKS, QUERIES, COLUMNS)
    rows = support.mask[..., 0].sum(1)
    assert set(rows) == {8, ROWS}
    padded = support.mask[..., 0] == 0
    assert (support.x[padded] == 0).all() and (support.y[padded] == 0).all()
    assert (support.y.sum(-1) == support.mask.max(-1)).all() and (query.y.sum(-1) == 1).all()
    seen = query.x[~np.isnan(query.x)]
    assert np.isfinite(seen).all() and np.abs(seen).max() < 1e6
    # 3 to 10 columns: the others are missing throughout.
    width = (~np.isnan(query.x)).any(1).sum(1)
    assert width.max() == COLUMNS and width.min() <= 3 and 5.5 < width.mean() < 7.5


def test_a_task_is_a_function_of_key_and_number(world):
    draw, plain, _ = world
    again = draw(range(TASKS)[::-1])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[::-1]), plain, again)
    assert len({x.tobytes() for x in plain.query.x}) == TASKS


def test_either_class_is_the_rarer_one_as_often(world):
    draw, (_, query), traces = world
    share = query.y[..., 1].mean(1)
    assert abs(share.mean() - 0.5) < 0.05 and share.min() < 0.15 and share.max() > 0.85
    never, always = (draw(flip=chance)[1].y[..., 1] for chance in (0.0, 1.0))
    np.testing.assert_array_equal(never, 1 - always)
    assert 0.2 < never.mean() < 0.35  # 5 to 50 %
    assert len(traces) == 1  # other chances, the same program


def test_supports_are_balanced_in_three_tasks_of_four(world):
    _, (support, _), _ = world
    half = support.y[..., 1].sum(1) == support.mask[..., 1].sum(1) / 2
    assert 0.7 < half.mean() < 0.95
    assert (support.y.sum(1) >= 1).all()  # a patient of each class


def test_a_block_is_missing_for_a_group_of_patients(world):
    draw, _, _ = world
    (_, never), (_, always) = draw(block=0.0), draw(block=1.0)
    new = np.isnan(always.x) & ~np.isnan(never.x)
    there = ~np.isnan(never.x)
    same = ~np.isnan(always.x)
    np.testing.assert_array_equal(always.x[same], never.x[same])
    # .3 of the patients times .4 of the columns.
    assert 0.08 < new.sum() / there.sum() < 0.16
    for gone, was in zip(new, there, strict=True):
        rows, columns = gone.any(1), gone.any(0)
        np.testing.assert_array_equal(gone, rows[:, None] & columns & was)
    assert np.isnan(never.x[:, :, :3]).mean() < 0.2


def test_columns_tell_of_the_label_and_nothing_tells_too_much(world):
    """A world without signal, or with a column that is the label, would teach nothing."""
    _, (_, query), _ = world
    best = []
    for x, y in zip(query.x, query.y[..., 1], strict=True):
        z = np.where(np.isnan(x), 0, (x - np.nanmean(x)) / 1e3)
        if 5 < y.sum() < QUERIES - 5:
            z = np.where(np.isnan(x), np.nan_to_num(np.nanmedian(x)), x).argsort(0).argsort(0)
            r = np.corrcoef(z.T, y)[-1, :-1]
            best.append(np.nanmax(np.abs(r)))
    assert 0.35 < np.median(best) < 0.7
    assert np.mean(np.array(best) > 0.97) < 0.02


def test_prepared_tables_are_finite():
    source = disease_prior(shots=(8, ROWS), queries=QUERIES, columns=COLUMNS)
    draw = jax.jit(jax.vmap(lambda t: source.sample(source.data, jax.random.key(2), t)))
    episodes = draw(jnp.arange(64))
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(episodes))
    assert episodes.query.x["relevance"].shape == (64, QUERIES, COLUMNS, 2)
    assert float(episodes.query.x["missing"].mean()) > 0.01


@pytest.mark.parametrize("chances", [{"block": 1.5}, {"flip": -0.1}])
def test_chances_outside_their_range_are_named(chances):
    with pytest.raises(ValueError, match="probabilities"):
        disease_prior(**chances)
