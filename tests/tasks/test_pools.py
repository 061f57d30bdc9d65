"""Pools and their sampler: what is in an episode, how often, and what is refused."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from worlds import quick_jit

from metajax.evaluation import episode_units
from metajax.tasks import choose, class_pool, task_pool
from metajax.tasks.linear_gaussian import linear_gaussian
from metajax.tasks.sinusoid import sinusoid

EPISODES = 2000
ALPHA = 1e-4  # of each of about a hundred tests of uniformity; the keys are fixed


@partial(quick_jit, static_argnums=0)
def _sample(sample, data, keys, tasks):
    return jax.vmap(sample, (None, 0, None if tasks is None else 0))(data, keys, tasks)


def draw(source, task=None, seed=0):
    """EPISODES episodes as numpy arrays, of one task or of tasks drawn by key."""
    tasks = None if task is None else jnp.full(EPISODES, task)
    keys = jax.random.split(jax.random.key(seed), EPISODES)
    return jax.tree.map(np.asarray, _sample(source.sample, source.data, keys, tasks))


def taken(part, total):
    """How often each of the pool's rows is in an episode, (EPISODES, total)."""
    row = part.info["row"]
    counts = np.zeros((len(row), total + 1), int)
    np.add.at(counts, (np.arange(len(row))[:, None], row), 1)  # -1, the padding, is the last
    return counts[:, :total]


def uniform(taken):
    """The p-value of "every column is taken equally often", columns drawn without replacement.

    Episodes take m of n columns; the number may vary. Under uniformity a column's count has the
    variance of the sum of m / n (1 - m / n), and columns have equal negative correlations.
    """
    n = taken.shape[1]
    share = taken.sum(1) / n
    scale = (share * (1 - share)).sum() * n / (n - 1)
    return stats.chi2.sf(((taken.sum(0) - share.sum()) ** 2).sum() / scale, n - 1)


def check(source, episodes):
    """What holds of every episode of every pool; returns the rows taken by support and query."""
    data = jax.tree.map(np.asarray, source.data)
    total = len(data.y)
    for part in episodes:
        row, present = part.info["row"], part.info["row"] >= 0
        np.testing.assert_array_equal(part.mask.any(-1), present)
        assert (part.y[~present] == 0).all() and (part.y[part.mask == 0] == 0).all()
        for mine, pools in zip(jax.tree.leaves(part.x), jax.tree.leaves(data.x), strict=True):
            np.testing.assert_array_equal(mine[present], pools[row[present]])
    support, query = (taken(part, total) for part in episodes)
    assert (support + query).max() == 1  # without replacement, and no row on both sides
    if len(set(data.group)) < total:
        groups = np.eye(data.group.max() + 1)[data.group]
        assert ((support @ groups > 0) & (query @ groups > 0)).sum() == 0
    return support, query


# class_pool ----------------------------------------------------------------------------------

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(6), [8, 9, 10, 11, 12, 13]))
CLASSES = class_pool(
    np.arange(len(LABELS), dtype=np.float32)[:, None], LABELS, ways=3, shots=(1, 2, 4), queries=3
)


@pytest.fixture(scope="module")
def classes():
    return draw(CLASSES)


def positions(part):
    """(EPISODES, ways, classes): how many rows of a pool's class carry a label of the episode."""
    known = np.eye(6)[LABELS] * 1.0
    original = np.where(part.info["row"][..., None] >= 0, known[part.info["row"]], 0)
    return np.einsum("enw,enc->ewc", part.y, original)


def test_class_pool_counts_and_labels(classes):
    check(CLASSES, classes)
    support, query = map(positions, classes)
    # A label is one class, the same in support and query; labels are different classes.
    assert ((support > 0).sum(2) == 1).all() and ((support > 0).sum(1) <= 1).all()
    np.testing.assert_array_equal(support > 0, query > 0)
    shots = support.sum(2)
    assert (shots == shots[:, :1]).all() and (query.sum(2) == 3).all()
    values, counts = np.unique(shots[:, 0], return_counts=True)
    assert list(values) == [1, 2, 4] and stats.chisquare(counts).pvalue > ALPHA


def test_class_pool_is_uniform(classes):
    used = positions(classes.support) > 0
    assert uniform(used.any(1)) > ALPHA
    for way in range(3):
        assert stats.chisquare(used[:, way].sum(0)).pvalue > ALPHA
    for part in classes:
        rows = taken(part, len(LABELS))
        for label in range(6):
            assert uniform(rows[:, LABELS == label]) > ALPHA, label


def test_rows_of_a_class_are_drawn_in_every_combination(classes):
    """The 28 pairs of the eight rows of class 0 equally often in supports of two shots."""
    support = taken(classes.support, len(LABELS))[:, LABELS == 0]
    pairs = support[support.sum(1) == 2] @ 2 ** np.arange(8)
    counts = np.unique(pairs, return_counts=True)[1]
    assert len(counts) == 28 and stats.chisquare(counts).pvalue > ALPHA


def test_class_pool_with_groups_and_all_classes():
    """Blocks of four rows are groups; one group spans classes 0 and 1. Names are permuted."""
    labels = np.repeat(np.arange(4), 16)
    groups = np.arange(64) // 4
    groups[16:20] = groups[0]
    names = np.array([f"patient {g}" for g in groups])
    source = class_pool(np.zeros((64, 1)), labels, ways=4, shots=(2, 4), queries=3, groups=names)
    episodes = draw(source)
    support, query = check(source, episodes)
    left = []
    for label in (2, 3):
        mine = labels == label
        assert uniform(support[:, mine]) > ALPHA and uniform(query[:, mine]) > ALPHA
        blocks = support[:, mine].reshape(-1, 4, 4).any(-1).sum(1)
        left.append(query[:, mine].sum(1))
        np.testing.assert_array_equal(left[-1], np.minimum(3, 16 - 4 * blocks))
    assert set(np.concatenate(left)) == {3}  # one group of every class stays out of the support
    both = support[:, :4].any(1) & support[:, 16:32].any(1)
    assert both.sum() > 100 and query[both][:, 16:20].sum() == 0
    # What one class gives says nothing of what another gives.
    few = support[support.sum(1) == 8]
    table = stats.contingency.crosstab(few[:, 32:48].argmax(1) // 4, few[:, 48:].argmax(1) // 4)
    assert stats.chi2_contingency(table.count).pvalue > ALPHA
    for way in range(4):
        row = episodes.support.info["row"][episodes.support.y[..., way] == 1]
        names = labels[row[np.cumsum(support.sum(1) // 4) - 1]]  # one row an episode
        assert stats.chisquare(np.bincount(names)).pvalue > ALPHA


# task_pool -----------------------------------------------------------------------------------

COUNTS = np.array([[31, 17, 7], [5, 23, 11], [13, 0, 29], [6, 6, 6], [2, 3, 11], [0, 2, 0]])
TASK = np.repeat(np.repeat(np.arange(6), 3), COUNTS.ravel())
Y = np.repeat(np.tile(np.arange(3), 6), COUNTS.ravel())
ORDER = np.random.default_rng(1).permutation(len(Y))
TASK, Y = TASK[ORDER], Y[ORDER]
SHOTS = (3, 5, 12)
ROWS = np.arange(len(Y), dtype=np.float32)[:, None]
TASKS = task_pool(ROWS, Y, TASK, shots=SHOTS, tasks=range(5), draw="natural")


def by_class(taken, labels=Y, classes=3):
    """Rows taken per class, (EPISODES, classes)."""
    return taken @ np.eye(classes, dtype=int)[labels]


def webster(counts, shots):
    """One seat for every class, then the next to the largest count / (seats + 1/2)."""
    seats = (counts > 0).astype(int)
    while seats.sum() < shots:
        quotient = np.where(seats < counts - 1, counts / (seats + 0.5), 0)
        seats[quotient.argmax()] += 1
    return seats


def test_task_pool_draws_tasks_and_shots():
    episodes = draw(TASKS)
    support, query = check(TASKS, episodes)
    tasks = (support + query) @ np.eye(6, dtype=int)[TASK]
    assert ((tasks > 0).sum(1) == 1).all()
    often = (tasks > 0).sum(0)  # task 5 is not among those given: neither drawn nor refused
    assert often[5] == 0 and stats.chisquare(often[:5]).pvalue > ALPHA
    values, counts = np.unique(support.sum(1), return_counts=True)
    assert tuple(values) == SHOTS and stats.chisquare(counts).pvalue > ALPHA
    # All rows that are left are the query; it is padded to the largest task.
    assert (tasks.max(1) == COUNTS.sum(1)[tasks.argmax(1)]).all()
    assert episodes.query.y.shape[1] == COUNTS.sum(1).max()
    # Task 2 has no class 1: its column is masked, in rows that are present and in no other task.
    lacks = tasks[:, 2] > 0
    for part in episodes:
        present = part.mask.any(-1)
        np.testing.assert_array_equal((part.mask[..., 1] == 0) & present, present & lacks[:, None])
        assert (part.mask[..., 0][present] == 1).all() and (part.y.sum(-1) == present).all()


@pytest.mark.parametrize("task", range(4))
@pytest.mark.parametrize("shots", SHOTS)
def test_balanced_supports_are_even(task, shots):
    source = choose(TASKS, shots=shots, draw="balanced")
    support, query = map(by_class, check(source, draw(source, task)))
    classes = COUNTS[task] > 0
    assert (support.sum(1) == shots).all() and (support[:, ~classes] == 0).all()
    spread = support[:, classes]
    assert (spread.max(1) - spread.min(1) <= 1).all() and query[:, classes].min() >= 1
    if shots % classes.sum():  # who gets the odd shot is left to chance
        more = (spread == spread.max(1, keepdims=True)).sum(0)
        assert stats.chisquare(more).pvalue > ALPHA


def test_a_class_that_runs_short_leaves_a_row_for_the_query():
    source = choose(TASKS, shots=12, draw="balanced")
    support, query = map(by_class, check(source, draw(source, 4)))
    assert (support == (1, 2, 9)).all() and (query == (1, 1, 2)).all()


@pytest.mark.parametrize("task", range(5))
@pytest.mark.parametrize("shots", SHOTS)
def test_natural_supports_are_proportional(task, shots):
    source = choose(TASKS, shots=shots, draw="natural")
    support, query = map(by_class, check(source, draw(source, task)))
    assert query[:, COUNTS[task] > 0].min() >= 1
    if task != 3:
        assert (support == webster(COUNTS[task], shots)).all()
    else:  # equal classes are a tie
        assert (support.max(1) - support.min(1) <= 1).all()
    if (task, shots) == (0, 12):
        assert tuple(support[0]) == (7, 4, 1)  # 12 times 31, 17, 7 out of 55


def test_mixed_supports_are_balanced_in_three_of_four():
    source = choose(TASKS, shots=12, draw="mixed")
    support = by_class(check(source, draw(source, 0))[0])
    even = (support == 4).all(1)
    assert (support[~even] == webster(COUNTS[0], 12)).all()
    assert stats.binomtest(int(even.sum()), EPISODES, 0.75).pvalue > ALPHA


@pytest.mark.parametrize("way,quota", [("natural", (5, 1)), ("balanced", (3, 3))])
def test_task_pool_rows_are_uniform(way, quota):
    y = np.repeat([0, 1], [24, 4])
    x, task = np.zeros((28, 1)), np.zeros(28, int)
    source = task_pool(x, y, task, shots=6, queries=7, draw=way)
    support, query = check(source, draw(source))
    # A class may give all its rows but one.
    assert (by_class(support, y, 2) == quota).all() and (query.sum(1) == 7).all()
    for label in range(2):
        assert uniform(support[:, y == label]) > ALPHA
        assert uniform(query[:, y == label]) > ALPHA
    # The query is a plain random sample of the 22 rows left: hypergeometric in the rarer class.
    law = stats.hypergeom(22, 4 - quota[1], 7)
    most = 4 - quota[1]
    counts = np.bincount(query[:, y == 1].sum(1), minlength=most + 1)
    assert stats.chisquare(counts, EPISODES * law.pmf(range(most + 1))).pvalue > ALPHA


def test_task_pool_with_groups():
    rng = np.random.default_rng(2)
    y, groups = np.tile([0, 0, 1], 40), np.repeat(rng.permutation(40) + 7, 3)
    task = np.repeat([0, 1], 60)
    source = task_pool(np.zeros((120, 1)), y, task, shots=(4, 12), queries=36, groups=groups)
    support, query = check(source, draw(source))
    codes = np.eye(50, dtype=int)[groups]
    used = (support @ codes > 0).sum(1)
    np.testing.assert_array_equal(query.sum(1), np.minimum(36, 60 - 3 * used))
    assert len(set(query.sum(1))) > 2  # some queries run short and are masked
    assert (by_class(support, y, 2) == support.sum(1, keepdims=True) // 2).all()


def test_fill_lets_the_other_class_make_up_and_keeps_half():
    y = np.repeat([0, 1, 0, 1], [30, 3, 30, 9])
    task = np.repeat([0, 1], [33, 39])
    x = np.zeros((72, 1))
    with pytest.raises(ValueError, match="task 0 has 3 rows of its rarest class.* need 5"):
        task_pool(x, y, task, shots=8)
    source = task_pool(x, y, task, shots=8, fill=True)
    for number, quota in ((0, (7, 1)), (1, (4, 4))):
        support, query = check(source, draw(source, number))
        assert (by_class(support, y, 2) == quota).all()
        assert ((support + query)[:, task == number] == 1).all()
    natural = choose(source, draw="natural")
    assert (by_class(check(natural, draw(natural, 0))[0], y, 2) == (7, 1)).all()
    for number, message in ((0, "task 0 has 33 rows, of which 16"), (1, "1 has 39 rows, of which")):
        with pytest.raises(ValueError, match=f"{message}.*too few for 20 shots"):
            task_pool(x, y, task, shots=20, fill=True, tasks=[number])


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_missing_labels(kind):
    rng = np.random.default_rng(3)
    y = rng.normal(size=(60, 2)) if kind == "regression" else rng.integers(0, 2, (60, 2)) * 1.0
    y[::3, 0] = np.nan
    y[::6, 1] = np.nan
    unlabelled = np.isnan(y).all(1)
    task = np.arange(60) // 30
    source = task_pool(np.zeros((60, 1)), y, task, shots=(2, 7), queries=9, kind=kind)
    assert source.spec.kind == kind and source.spec.outputs == 2
    episodes = draw(source)
    support, query = check(source, episodes)
    assert set(support.sum(1)) == {2, 7} and (query.sum(1) == 9).all()
    assert (support + query)[:, unlabelled].sum() == 0  # a shot is a labelled row
    for number in range(2):
        mine = (task == number) & ~unlabelled
        assert uniform(support[:, mine]) > ALPHA and uniform(query[:, mine]) > ALPHA
    for part in episodes:
        present, known = part.info["row"] >= 0, y[part.info["row"]]
        defined = np.isfinite(known) & present[..., None]
        np.testing.assert_array_equal(part.mask > 0, defined)
        np.testing.assert_allclose(part.y[defined], known[defined], rtol=1e-6)


def test_kinds_follow_the_labels():
    x, task = np.zeros((40, 1)), np.arange(40) // 20
    binary, floats = np.arange(40) % 2, np.linspace(0, 1, 40)
    assert task_pool(x, binary, task, shots=4).spec.outputs == 2
    spec = task_pool(x, floats, task, shots=4).spec
    assert spec.kind == "regression" and spec.outputs == 1
    assert CLASSES.spec.kind == "multiclass" and CLASSES.spec.outputs == 3


# Both ----------------------------------------------------------------------------------------


def decode(episode):
    """Images to floats in [0, 1], in support and query."""

    def part(rows):
        assert rows.x["image"].dtype == jnp.uint8
        return rows._replace(x={**rows.x, "image": rows.x["image"].astype(jnp.float32) / 255})

    return type(episode)(*map(part, episode))


def test_dict_inputs_stay_uint8_until_prepare():
    rng = np.random.default_rng(4)
    image = rng.integers(0, 256, (40, 2, 3), dtype=np.uint8)
    x = {"image": image, "age": rng.normal(size=(40, 1)).astype(np.float32)}
    task, y = np.arange(40) // 20, np.arange(40) % 2
    source = task_pool(x, y, task, shots=4, queries=5, prepare=decode)
    assert source.data.x["image"].dtype == np.uint8
    part = draw(source).query
    assert part.x["image"].dtype == np.float32 and part.x["image"].shape == (EPISODES, 5, 2, 3)
    np.testing.assert_allclose(part.x["image"], image[part.info["row"]] / 255, rtol=1e-6)
    np.testing.assert_array_equal(part.x["age"], x["age"][part.info["row"]])


def test_equal_forms_share_one_sampler():
    def pool(shots=8, queries=4, **options):
        x, y = np.zeros((48, 1)), np.arange(48) % 2
        return task_pool(x, y, np.arange(48) // 24, shots=shots, queries=queries, **options).sample

    assert pool() is pool((2, 8), draw="natural", tasks=[1], names=("a", "b"))
    others = [pool(6), pool(queries=5), pool(groups=np.arange(48) // 2), pool(fill=True)]
    others += [pool(prepare=decode), CLASSES.sample]
    assert len({pool(), *others}) == 7
    assert choose(TASKS, shots=3, draw="mixed", tasks=[1]).sample is TASKS.sample


def test_choose_reuses_the_compiled_program():
    draw(TASKS)
    draw(TASKS, 0)
    programs = _sample._cache_size()
    source = choose(choose(TASKS, shots=5), draw="natural", tasks=[3, 1])
    support, query = check(source, draw(source))
    assert (support.sum(1) == 5).all()
    tasks = ((support + query) @ np.eye(6, dtype=int)[TASK] > 0).sum(0)
    assert tasks[[0, 2, 4, 5]].sum() == 0 and stats.chisquare(tasks[[1, 3]]).pvalue > ALPHA
    assert list(episode_units(source, 5)[0]) == [3, 1, 3, 1, 3]
    draw(choose(TASKS, draw="mixed"), 3)
    assert _sample._cache_size() == programs
    assert list(TASKS.tasks) == [0, 1, 2, 3, 4] and list(TASKS.data.weights) == [1] * 5 + [0]


def test_the_key_decides():
    one, again = (draw(TASKS, 0, seed=5) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, one, again)
    rows = one.query.info["row"]
    assert len(np.unique(rows, axis=0)) == EPISODES
    assert (rows != draw(TASKS, 0, seed=6).query.info["row"]).any(1).all()


def test_choose_in_a_world():
    source = choose(linear_gaussian(shots=(4, 8)), shots=6)
    assert list(source.data["shots"]) == [6, 6]


X = np.zeros((24, 1))
BINARY, HALVES = np.arange(24) % 2, np.arange(24) // 12
REFUSED = {
    "lengths": (lambda: task_pool(X, BINARY[:9], HALVES, shots=4), r"one and the same length.*9"),
    "no rows": (lambda: task_pool(X[:0], BINARY[:0], HALVES[:0], shots=4), "x has 0 rows"),
    "groups": (lambda: task_pool(X, BINARY, HALVES, shots=4, groups=HALVES[:5]), "length.*5"),
    "class groups": (
        lambda: class_pool(X, BINARY, ways=2, shots=1, queries=1, groups=HALVES[:5]),
        "length.*5",
    ),
    "names": (lambda: task_pool(X, BINARY, HALVES, shots=4, names=["a"]), "names must be 2.*got 1"),
    "clusters": (lambda: task_pool(X, BINARY, HALVES, shots=4, clusters=[0] * 3), "2.*got 3"),
    "task": (lambda: task_pool(X, BINARY, HALVES * 1.5, shots=4), "task must be integers.*float64"),
    "negative task": (lambda: task_pool(X, BINARY, HALVES - 1, shots=4), "task must be integers"),
    "labels": (lambda: class_pool(X, BINARY * 0.5, ways=2, shots=1, queries=1), "labels must be"),
    "y": (lambda: task_pool(X, BINARY * 0.5, HALVES, shots=4, kind="multiclass"), "y must be int"),
    "kind": (
        lambda: task_pool(X, BINARY, HALVES, shots=4, kind="ordinal"),
        "multilabel.*'ordinal'",
    ),
    "draw": (
        lambda: task_pool(X, BINARY, HALVES, shots=4, draw="even"),
        "balanced, natural.*'even'",
    ),
    "shots": (lambda: task_pool(X, BINARY, HALVES, shots=0), "positive integers; got 0"),
    "fraction": (lambda: task_pool(X, BINARY, HALVES, shots=2.5), "positive integers; got 2.5"),
    "no shots": (lambda: class_pool(X, BINARY, ways=2, shots=(), queries=1), "positive integers"),
    "queries": (lambda: task_pool(X, BINARY, HALVES, shots=4, queries=0), "queries.*got 0"),
    "class queries": (lambda: class_pool(X, BINARY, ways=2, shots=1, queries=-1), "got -1"),
    "task ids": (lambda: task_pool(X, BINARY, HALVES, shots=4, tasks=[2]), r"0 to 1; got \[2\]"),
    "no ids": (lambda: task_pool(X, BINARY, HALVES, shots=4, tasks=[]), "0 to 1; got"),
    "small": (lambda: task_pool(X, BINARY, HALVES, shots=12), "task 0 has 12 rows.* 12 shots"),
    "small by name": (
        lambda: task_pool(X, BINARY, HALVES, shots=11, names=("Basel", "Bern")),
        "task 'Basel' has 12 rows, of which 10",
    ),
    "small regression": (
        lambda: task_pool(X, X + 0.5, HALVES, shots=12),
        "task 0 has 12 rows.* 12 sh",
    ),
    "no labels": (
        lambda: task_pool(X, np.where(HALVES == 1, np.nan, 0.5), HALVES, shots=4),
        "task 1 has 0 rows",
    ),
    "one class": (lambda: task_pool(X, HALVES, HALVES, shots=4), "task 0 has rows of one class"),
    "rare class": (
        lambda: task_pool(X, 1 * (np.arange(24) % 12 < 2), HALVES, shots=4),
        "task 0 has 2 rows of its rarest class.*balanced support of 4.*need 3",
    ),
    "single row": (
        lambda: task_pool(X, 1 * (np.arange(24) % 12 < 1), HALVES, shots=4, draw="natural"),
        "task 0 has 1 rows of its rarest class.*natural.*need 2",
    ),
    "few shots": (
        lambda: task_pool(X, np.arange(24) % 3, HALVES, shots=(2, 6)),
        "2 shots cannot cover the 3 classes of task 0",
    ),
    "one group": (
        lambda: task_pool(X, BINARY, HALVES, shots=4, groups=HALVES * np.arange(24)),
        "task 0 has 1 row group",
    ),
    "ways": (lambda: class_pool(X, BINARY, ways=3, shots=1, queries=1), "from 2 to the 2.*got 3"),
    "one way": (lambda: class_pool(X, BINARY, ways=1, shots=1, queries=1), "got 1"),
    "small class": (
        lambda: class_pool(X, 1 * (np.arange(24) < 20), ways=2, shots=(1, 3), queries=2),
        r"class 0 has 4 rows, but shots \+ queries need 5",
    ),
    "missing class": (
        lambda: class_pool(X, 2 * BINARY, ways=2, shots=1, queries=1),
        "class 1 has 0 rows",
    ),
    "class in one group": (
        lambda: class_pool(X, HALVES, ways=2, shots=1, queries=1, groups=HALVES * np.arange(24)),
        "class 0 has 1 row group",
    ),
    "choose shots": (lambda: choose(TASKS, shots=13), "from 3 to 12; got 13"),
    "choose few shots": (lambda: choose(TASKS, shots=2), "from 3 to 12; got 2"),
    "choose class shots": (lambda: choose(CLASSES, shots=0), "from 1 to 4; got 0"),
    "choose draw": (lambda: choose(TASKS, draw="even"), "balanced, natural, mixed; got 'even'"),
    "choose tasks": (lambda: choose(TASKS, tasks=[1, 5]), r"\[0, 1, 2, 3, 4\]; got \[1, 5\]"),
    "choose no tasks": (lambda: choose(TASKS, tasks=[]), r"got \[\]"),
    "choose class tasks": (lambda: choose(CLASSES, tasks=[0]), "enumerates no tasks"),
    "choose in a world": (lambda: choose(sinusoid(), draw="natural"), "draw must be None"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_by_name_and_number(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        make()
