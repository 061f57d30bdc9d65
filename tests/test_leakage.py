"""On the real files: nothing is on two sides of any meta-split of any suite."""

import importlib
import os
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from metajax.benchmarks import episode_key
from metajax.datasets.family import leaves
from metajax.evaluation import draw
from metajax.suites import load

if not os.environ.get("METAJAX_DATA"):
    pytest.skip("METAJAX_DATA names no data directory", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "experiments"))
SUITES = [
    importlib.import_module(name)
    for name in ("disease_prediction", "imaging", "genomics", "drug_discovery", "fusion")
]
CASES = [
    pytest.param(suite, entry, id=entry.label)
    for suite in SUITES
    for entry in suite.ENTRIES
    if entry.how != "world" and not entry.label.startswith("muv")  # its fingerprints take a minute
]
# Two patients with equal answers to nine questions are two patients: only what identifies a case
# (a sequence, an image, a molecule, a heart beat) is compared by content.
BY_CONTENT = {"nucleotides", "variants", "fingerprints", "images", "strokes", "beats"}


@pytest.fixture(autouse=True, scope="module")
def forget():
    """Families and benchmarks of a gigabyte in all are not kept for the tests that follow."""
    yield
    load.cache_clear()
    for suite in SUITES:
        suite.suites.build.cache_clear()


def reachable(source):
    """The rows that episodes of a source can show."""
    rows, counts = np.asarray(source.data.rows), np.asarray(source.data.counts)
    drawn = np.asarray(source.data.weights) > 0
    exists = np.arange(rows.shape[2]) < counts[..., None]
    return np.unique(rows[exists & drawn[:, None, None]])


def content(family, rows):
    """One hash for every item that some rows show."""
    parts = [
        np.ascontiguousarray(leaf[np.unique(family.items[rows])]).reshape(-1, *leaf.shape[1:])
        for leaf in leaves(family.x).values()
    ]
    return {hash(tuple(part[i].tobytes() for part in parts)) for i in range(len(parts[0]))}


def sides(fold):
    """Pairs of sources that must share nothing."""
    pairs = [(fold.train, fold.validation), (fold.train, fold.test), (fold.validation, fold.test)]
    return pairs + ([(fold.refit, fold.test)] if fold.refit is not None else [])


@pytest.mark.parametrize(("suite", "entry"), CASES)
def test_no_case_and_no_unit_is_on_two_sides(suite, entry):
    family = load(entry.family, None)
    family = entry.transform(family) if entry.transform else family
    benchmark = suite.build(entry.label, entry.shots, None)
    by_content = entry.prepare is not None and any(
        name in BY_CONTENT for name in _names(entry.prepare)
    )
    tested = set()
    for fold in benchmark.folds:
        for one, other in sides(fold):
            a, b = reachable(one), reachable(other)
            assert len(a) and len(b)
            assert not np.intersect1d(a, b).size
            if entry.how == "classes":
                assert not set(family.y[a]) & set(family.y[b])
            else:
                units = [set(family.units[np.unique(family.task[rows])]) for rows in (a, b)]
                assert not units[0] & units[1]
            if benchmark.protocol == "published":
                assert entry.label.endswith("_published")
                continue
            assert not np.intersect1d(family.groups[a], family.groups[b]).size
            if by_content:
                assert not content(family, a) & content(family, b)
        tested |= set(np.unique(family.task[reachable(fold.test)]).tolist())
    assert tested


def _names(prepare):
    """The functions that a `prepare` is made of."""
    inner = [cell.cell_contents for cell in prepare.__closure__ or ()]
    flat = [each for cell in inner for each in (cell if isinstance(cell, tuple) else (cell,))]
    return {prepare.__name__, *(each.__name__ for each in flat if callable(each))}


EPISODES = ("odir_fundus", "cross_domain", "mitbih", "idna_ms", "humsavar", "fsmol", "survival")


@pytest.mark.parametrize(("suite", "entry"), [case for case in CASES if case.id in EPISODES])
def test_support_and_query_come_from_different_groups(suite, entry):
    benchmark = suite.build(entry.label, entry.shots, None)
    source, key = benchmark.folds[0].test, episode_key(benchmark, 1, 0)
    support, query = draw(source, key, tasks=12, batch=12)
    seen = 0
    for s, q in zip(support.info["row"], query.info["row"], strict=True):
        s, q = s[s >= 0], q[q >= 0]
        assert s.size and q.size
        assert len(np.unique(np.concatenate([s, q]))) == s.size + q.size
        assert not np.intersect1d(benchmark.patients[s], benchmark.patients[q]).size
        seen += q.size
    assert seen > 20
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((support.x, query.x)))
