"""What users hand to pools: read as it is meant, or refused by name with the remedy."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from metajax import tasks
from metajax.tasks import checks, class_pool, standardise_by_support, standardise_targets, task_pool

RNG = np.random.default_rng(0)
R = 40
X = RNG.normal(size=(R, 3)).astype(np.float32)
SITE = np.arange(R) % 4
Y = np.arange(R) // 4 % 2
NUMBERS = RNG.normal(size=R)
BAD = X.copy()
BAD[3, 1] = np.inf
GAP = X.copy()
GAP[5, 2] = np.nan
FRAME = pd.DataFrame({"age": X[:, 0], "sex": ["m", "f"] * 20})


def pool(x=X, y=Y, task=SITE, **more):
    return task_pool(x, y, task, **{"shots": 4, "queries": 4} | more)


def ways(x=X, labels=SITE, **more):
    return class_pool(x, labels, **{"ways": 2, "shots": 1, "queries": 2} | more)


UNIQUE = r"np.unique\({0}, return_inverse=True\)"
REFUSED = {
    "labels 1 and 2": ({"y": Y + 1}, "class 0 has 0 rows.*y has 1, 2.*" + UNIQUE.format("y")),
    "labels 0 and 255": ({"y": (Y * 255).astype(np.uint8)}, "class 1 has 0 rows.*y has 0, 255"),
    "labels 0 and 2**40": ({"y": Y * 2**40}, "class 1 has 0 rows"),
    "labels -1 and 1": ({"y": 2 * Y - 1}, "y must be integers from 0.*from -1.*unique"),
    "one class": ({"y": 0 * Y}, "y is 0 in every row"),
    "text labels": ({"y": np.where(Y, "dead", "alive")}, "y must be integers.*<U5.*unique"),
    "byte labels": ({"y": np.where(Y, b"dead", b"alive")}, r"y must be integers.*S5.*unique"),
    "object labels": ({"y": pd.Series(np.where(Y, "dead", "alive"), dtype=object)}, "y must be in"),
    "labels of None": ({"y": np.where(Y, 1, None)}, "y holds objects .NoneType, int.*no numbers"),
    "nullable": ({"y": pd.Series([1, 0, None, 1] * 10, dtype="Int64")}, "y holds floats.*(0, 1)"),
    "one-hot labels": ({"y": np.eye(2, dtype=int)[Y]}, r"y must be.*shape \(40, 2\).*argmax"),
    "whole floats": ({"y": Y * 1.0}, r"y holds floats.*\(0, 1\).*astype\(int\).*multilabel"),
    "findings": ({"y": np.eye(2)[Y]}, "y holds floats that are whole.*kind='multilabel'"),
    "no findings": ({"y": NUMBERS, "kind": "multilabel"}, "findings must be 0, 1, or NaN"),
    "infinite target": ({"y": np.where(SITE == 2, np.inf, NUMBERS)}, "y is infinite in row 2"),
    "serial targets": ({"y": NUMBERS + 1e12}, "y loses its differences in float32"),
    "targets too large": ({"y": NUMBERS * 1e30}, r"y reaches .*e\+30.*standardise_targets"),
    "targets too small": ({"y": NUMBERS * 1e-30}, "y reaches .*e-30.*standardise_targets"),
    "dates": ({"y": np.full(R, "2020-01-01", "M8[D]")}, r"y holds objects \(date"),
    "masked labels": ({"y": np.ma.array(Y, mask=SITE == 0)}, "y is a masked array.*filled"),
    "structured": ({"y": np.zeros(R, [("a", int), ("b", int)])}, "y is a structured array of a, b"),
    "cube of labels": ({"y": np.zeros((R, 2, 2))}, "y"),
    "ragged": ({"y": [[1], [1, 2]] * 20}, "y is no array: its rows are of unequal length"),
    "few labels": ({"y": Y[:39]}, "one and the same length; got y 39, task 40, x 40"),
    "infinite cell": ({"x": BAD}, r"x is infinite in 1 cells, first in x\[3, 1\]"),
    "infinite modality": ({"x": {"a": X, "b": BAD}}, r"x\['b'\] is infinite"),
    "missing cell": ({"x": GAP}, r"x is missing.*x\[5, 2\].*prepare=metajax.*standardise_by_s"),
    "float64 beyond float32": ({"x": X.astype(float) * 1e60}, "column 0 of x loses its diff"),
    "float64 below float32": ({"x": X.astype(float) * 1e-60}, "column 0 of x loses"),
    "float64 offset": ({"x": np.c_[X, NUMBERS + 1e10]}, "column 3 of x loses.*subtract its mean"),
    "int64": ({"x": np.arange(R)[:, None] + 2**40}, "beyond 32 bits"),
    "list": ({"x": X.tolist()}, r"x must be an array of rows.*list.*np.asarray\(x\)"),
    "nothing": ({"x": None}, "x must be an array of rows.*None"),
    "number": ({"x": 3.0}, "x must be an array with a row a case; got a float"),
    "path": ({"x": "scans.npz"}, "x must be an array with a row a case; got a str"),
    "one label": ({"y": 1}, "y must be an array with a row a case; got a int"),
    "texts": ({"x": np.full((R, 2), "a")}, "x holds texts.*get_dummies"),
    "sparse": ({"x": sparse.csr_array(X)}, r"x is a sparse matrix.*toarray"),
    "frame of texts": ({"x": FRAME}, r"x holds objects.*get_dummies\(x\).astype"),
    "objects": ({"x": np.full((R, 2), None)}, "x holds objects .NoneType"),
    "complex": ({"x": X * 1j}, "x holds objects .complex"),
    "masked": ({"x": np.ma.array(X, mask=X > 2)}, "x is a masked array"),
    "empty images": ({"x": np.zeros((R, 0, 0), np.uint8)}, r"x has shape \(40, 0, 0\): its rows"),
    "no columns": ({"x": np.zeros((R, 0))}, "its rows are empty"),
    "lengths in x": ({"x": {"a": X, "b": X[:9]}}, r"arrays of x have \[9, 40\] rows"),
    "prepare by name": ({"prepare": "images"}, "prepare must be a function of an episode"),
    "keep of numbers": ({"keep": np.arange(R)}, "keep must be a mask.*np.isin"),
    "short keep": ({"keep": np.ones(9, bool)}, "same length.*keep 9"),
    "task gap": ({"task": SITE * 2}, "task 1 has 0 rows.*" + UNIQUE.format("task")),
    "task from 1": ({"task": SITE + 1}, "task 0 has 0 rows"),
    "huge task": ({"task": SITE * 2**40}, "task 1 has 0 rows"),
    "text task": ({"task": SITE.astype(str)}, "task must be integers.*unique"),
    "float task": ({"task": SITE * 1.0}, "task must be integers from 0.*float64.*unique"),
    "groups of NaN": ({"groups": np.where(SITE == 0, np.nan, SITE)}, "groups are missing"),
    "groups of None": ({"groups": np.where(SITE == 0, None, SITE)}, "groups are missing"),
    "groups of two types": ({"groups":
                             np.array(["a", 1] * 20, object)}, "groups are of several types"),
    "square groups": ({"groups": X}, r"groups must hold one value a row; got shape \(40, 3\)"),
    "weights": ({"weights": np.zeros(R)}, "weights must be finite and above 0"),
    "NaN weights": ({"weights": np.full(R, np.nan)}, "weights must be finite"),
    "items": ({"item": np.arange(R) + 1}, "item must be numbers of the 40 items.*up to 40"),
    "negative items": ({"item": np.arange(R) - 1}, "item must be integers from 0"),
    "no shots": ({"shots": 0}, "positive integers; got 0"),
    "many shots": ({"shots": 10**12}, "positive integers; got 1000000000000"),
    "many queries": ({"queries": 10**12}, r"queries must be an integer below 2\^31"),
    "half a least": ({"least": 2.5}, "least must be an integer"),
    "mask of items": ({"item": np.ones(R, bool)}, "item must be integers from 0.*bool"),
    "number of tasks": ({"tasks": 2}, "tasks must be ids from 0 to 3; got 2"),
    "no queries": ({"queries": 0}, "queries must be at least 1; got 0"),
    "half a query": ({"queries": 2.5}, "queries must be an integer.*got 2.5"),
    "mask of tasks": ({"tasks": np.array([True, False, True, False])}, "tasks must be ids"),
    "half a task": ({"tasks": [0.5, 1.5]}, "tasks must be ids from 0 to 3"),
    "task twice": ({"tasks": [1, 1]}, "tasks names an id twice"),
    "names": ({"names": "abcd"}, "names must be 4, one a task id; got 'abcd'"),
    "clusters": ({"clusters": ["a", "a", "b", "b"]}, "clusters must be integers.*unique"),
    "half clusters": ({"clusters": [0.5] * 4}, "clusters must be integers.*float64"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_task_pool_refuses(name):
    arguments, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        pool(**arguments)


CLASSES = {
    "labels 1 to 4": ({"labels": SITE + 1}, "class 0 has 0 rows.*labels has 1, 2, 3, 4"),
    "float labels": ({"labels": SITE * 1.0}, "labels must be integers.*float64.*unique"),
    "one-hot labels": ({"labels": np.eye(4)[SITE]}, r"labels must be.*argmax\(1\)"),
    "infinite cell": ({"x": BAD}, "x is infinite"),
    "keep": ({"keep": np.arange(R)}, "keep must be a mask"),
    "ways": ({"ways": 2.0}, "ways must be an integer.*got 2.0"),
    "queries": ({"queries": None}, "queries must be an integer.*got None"),
    "lengths": ({"labels": SITE[:5]}, "same length; got labels 5, x 40"),
    "pixels": ({"x": np.zeros((R, 0, 0))}, "its rows are empty"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_pool_refuses(name):
    arguments, message = CLASSES[name]
    with pytest.raises(ValueError, match=message):
        ways(**arguments)


SAME = {
    "integers as a mask": {"keep": np.ones(R, int)},
    "booleans": {"y": Y.astype(bool)},
    "small integers": {"y": Y.astype(np.uint8), "task": SITE.astype(np.uint64)},
    "one column": {"y": Y[:, None], "task": SITE[:, None]},
    "lists": {"y": Y.tolist(), "task": SITE.tolist()},
    "series": {"y": pd.Series(Y, index=np.arange(R)[::-1]), "task": pd.Series(SITE)},
    "frame": {"x": pd.DataFrame(X)},
    "device": {"x": jnp.asarray(X)},
    "float64": {"x": X.astype(np.float64)},
    "other bytes": {"x": X.astype(">f4"), "y": Y.astype(">i2")},
}


@pytest.mark.parametrize("name", SAME)
def test_other_forms_of_the_same_pool(name):
    want, found = pool(), pool(**SAME[name])
    assert found.spec == want.spec
    jax.tree.map(np.testing.assert_array_equal, found.data, want.data)


def test_frames_of_several_types_of_numbers():
    frame = pd.DataFrame({"age": X[:, 0], "female": Y.astype(bool), "stage": SITE})
    want = np.stack([X[:, 0], Y, SITE], 1).astype(np.float32)
    np.testing.assert_array_equal(pool(x=frame).data.x, want)
    stage = pd.array(np.where(SITE == 0, None, SITE), dtype="Int64")
    found = pool(x=frame.assign(stage=stage), prepare=standardise_by_support).data.x
    np.testing.assert_array_equal(found[:, 2], np.where(SITE == 0, np.nan, SITE))
    # The remedy that the message names does what it says.
    made = pd.get_dummies(FRAME).astype(float)
    assert pool(x=made).data.x.shape == (R, 3)


def test_groups_by_names_and_numbers():
    want = pool(groups=np.arange(R) // 2).data.group
    names = np.array([f"patient {n:02}" for n in np.arange(R) // 2])
    for groups in (names, names.astype(object), pd.Series(names), np.arange(R) // 2 * 1.0):
        np.testing.assert_array_equal(pool(groups=groups).data.group, want)


def test_quantities_that_are_whole_numbers_are_taken_as_told():
    assert pool(y=Y * 1.0, kind="regression").spec.kind == "regression"
    assert pool(y=np.eye(2)[Y], kind="multilabel").spec.kind == "multilabel"
    assert pool(y=np.arange(R) * 1.0).spec.kind == "regression"  # too many for classes


def test_missing_cells_and_extreme_targets_pass_with_what_they_need():
    source = pool(x=GAP, prepare=standardise_by_support)
    assert np.isnan(source.data.x).sum() == 1
    prepare = tasks.chain(standardise_by_support, standardise_targets)
    want = pool(y=NUMBERS, prepare=prepare)
    one = want.sample(want.data, jax.random.key(0)).query.y
    for factor in (1e30, 1e-30):
        source = pool(y=NUMBERS * factor, prepare=prepare)
        found = source.sample(source.data, jax.random.key(0)).query.y
        np.testing.assert_allclose(found, one, atol=1e-5)
    with pytest.raises(ValueError, match="y reaches"):
        pool(y=NUMBERS * 1e30, prepare=standardise_by_support)


def test_single_pixels_are_images():
    source = ways(x=np.zeros((R, 1, 1), np.uint8), prepare=tasks.images)
    assert source.sample(source.data, jax.random.key(0)).support.x.shape == (2, 1, 1, 1)


def test_long_floats_categories_and_weights_out_of_range():
    assert checks.array(np.ones(3, np.longdouble), "x").dtype == np.float64
    assert checks.array(pd.Categorical(["a", "b"]), "groups").tolist() == ["a", "b"]
    for weight in (1e300, 1e-300, 0.0):
        with pytest.raises(ValueError, match="weights must be finite and above 0"):
            checks.weights(np.full(3, weight))
