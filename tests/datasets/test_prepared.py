"""Prepared copies: the same examples with and without tensorflow-datasets, damage detected."""

import dataclasses
import importlib.util
import sys

import numpy as np
import pytest

from metajax.datasets import bundled, files, prepared

COLUMNS = ("a", "b")
CARD = dataclasses.replace(
    bundled.CARD, name="tiny", prevalence=(("first", 2, 1), ("second/third w", 1, 0))
)
X = np.array([[1.5, np.nan], [2.0, -3.0], [np.nan, 0.1]], np.float32)
Y, TASK = [1, 0, 0], [0, 0, 1]


def examples():
    for x, y, task in zip(X, Y, TASK, strict=True):
        yield {"x": x, "y": y, "task": task}


def never():
    raise AssertionError("prepared a second time")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_text("raw")
    return path


def arrays(source, cache, rows=examples, engine="auto"):
    return prepared.arrays(CARD, COLUMNS, rows, [source], cache=cache, engine=engine)


def same(data):
    for name, value, dtype in (("x", X, np.float32), ("y", Y, np.int32), ("task", TASK, np.int32)):
        np.testing.assert_array_equal(data[name], value)
        assert data[name].dtype == dtype


def copies(cache):
    return sorted((cache / "prepared").iterdir())


def test_both_engines_give_the_same_examples_and_a_copy_is_used_again(source, tmp_path):
    pytest.importorskip("tensorflow_datasets")
    same(arrays(source, tmp_path / "none", engine="direct"))
    assert not (tmp_path / "none").exists()
    same(arrays(source, tmp_path, engine="tfds"))
    same(arrays(source, tmp_path, never))
    assert "tensorflow" not in sys.modules
    source.write_text("another file")  # another checksum, another copy
    with pytest.raises(AssertionError, match="second time"):
        arrays(source, tmp_path, never)
    assert len(copies(tmp_path)) == 1


def test_a_damaged_or_unfinished_copy_is_made_again(source, tmp_path):
    pytest.importorskip("tensorflow_datasets")

    def broken():
        yield next(examples())
        raise KeyError("power cut")

    with pytest.raises(KeyError):
        arrays(source, tmp_path, broken)
    assert copies(tmp_path) == []
    arrays(source, tmp_path)
    (folder,) = copies(tmp_path)
    records = next(folder.rglob("*array_record*"))
    content = records.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for damage in (
        lambda: records.write_bytes(content[:middle]),
        lambda: records.write_bytes(flipped),
        records.unlink,
        (folder / prepared.MANIFEST).unlink,
    ):
        damage()
        with pytest.raises(AssertionError, match="second time"):
            arrays(source, tmp_path, never)
        same(arrays(source, tmp_path))
        same(arrays(source, tmp_path, never))
        assert copies(tmp_path) == [folder]


def test_two_processes_may_prepare_at_once(source, tmp_path):
    pytest.importorskip("tensorflow_datasets")

    def overtaken():
        yield from examples()
        arrays(source, tmp_path)  # the other one finishes while this one is at work

    same(arrays(source, tmp_path, overtaken))
    assert len(copies(tmp_path)) == 1


def test_without_tensorflow_datasets(source, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    same(arrays(source, tmp_path))
    assert not (tmp_path / "prepared").exists()
    with pytest.raises(files.DataError, match="tensorflow_datasets and array_record"):
        arrays(source, tmp_path, engine="tfds")
    with pytest.raises(ValueError, match="auto, tfds or direct"):
        arrays(source, tmp_path, engine="tf")


def test_a_cache_that_cannot_be_written_is_named(source, tmp_path):
    pytest.importorskip("tensorflow_datasets")
    (tmp_path / "file").write_text("")
    with pytest.raises(files.DataError, match="METAJAX_CACHE"):
        arrays(source, tmp_path / "file")
