"""Trained learners as estimators and as files: the numbers of the run, and every damage named."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
import tiny
from sklearn.base import clone

from metajax import FewShotClassifier, FewShotRegressor, runs, suites
from metajax import __main__ as command
from metajax.config import Encoder, build_maker, numbers, resolved
from metajax.estimator import learned, portable
from metajax.estimator.across import sets_across
from metajax.estimator.explain import explain
from metajax.estimator.sets import prediction_sets
from metajax.suites import Entry
from metajax.tasks.decoding import chain, images, standardise_targets
from metajax.tasks.standardise import standardise_by_support

SHOTS = (4, 6)
TABLE = Entry("tiny", "leave_one_out", SHOTS, name="tiny", targets=(0, 1, 2))


def family(kind="table"):
    """Four tasks of 30 rows: a table with gaps and a rare value, pictures, or a quantity."""
    made = tiny.table()
    rng = np.random.default_rng(0)
    x = np.concatenate([made.x, (rng.random((120, 1)) < 0.05)], 1).astype(np.float32)
    x[rng.random(120) < 0.2, 1] = np.nan
    x[:, 2] = 40 * x[:, 2] + 7
    made = made._replace(x=x, columns=("a", "b", "c", "d"), classes=("no", "yes"))
    if kind == "images":
        pictures = rng.integers(0, 200, (120, 16, 16)).astype(np.uint8)
        pictures[:, 4:12, 4:12] += (50 * made.y[:, None, None]).astype(np.uint8)
        return made._replace(x=pictures, columns=())
    if kind == "quantity":
        y = (100 + 30 * np.nan_to_num(x[:, 0]) + rng.normal(size=120)).astype(np.float32)
        return made._replace(y=y, classes=())
    return made


def train(folder, entry, made, learner="maml", encoder=None):
    """A run of seconds; its record's folder and configuration."""
    config = tiny.config("maml") if learner == "maml" else tiny.config(learner)
    encoder = encoder or config.encoder
    config = resolved(dataclasses.replace(config, encoder=encoder), strict=True)
    benchmark = suites.build_entry(entry, made, config.benchmark, config.shots)
    return runs.run(config, benchmark, folder / "suite", lambda line: None), config, benchmark


def directly(record, config, benchmark, fold=0, key=3):
    """An episode of the run's test source, and what the learner says of it."""
    source = benchmark.folds[fold].test
    episode = jax.jit(source.sample)(source.data, jax.random.key(key))
    params = jax.tree.map(lambda leaf: leaf[fold], runs.trained(record, config, benchmark))
    hyper = jax.tree.map(lambda leaf: float(leaf[0]), numbers([config]))
    learner = build_maker(config, benchmark.spec)(hyper).learner
    adapted = learner.adapt(params, episode.support, jax.random.key(0))
    outputs = np.asarray(learner.predict(params, adapted, episode.query.x))
    rows = [np.asarray(p.info["row"])[np.asarray(p.mask.max(1) > 0)] for p in episode]
    return rows[0], rows[1], outputs[np.asarray(episode.query.mask.max(1) > 0)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    made = family()
    record, config, benchmark = train(tmp_path_factory.mktemp("table"), TABLE, made)
    return record, config, benchmark, made, learned.bundle_of(record, config, TABLE, made)


@pytest.fixture
def file(trained, tmp_path):
    path = tmp_path / "model.metajax"
    path.write_bytes(portable.content(trained[-1]))
    return path


def test_a_bundle_gives_the_numbers_of_the_run_from_raw_rows(trained, file):
    record, config, benchmark, made, _ = trained
    bundle = portable.read(file)
    for fold, key in [(0, 3), (0, 4)]:
        support, query, wanted = directly(record, config, benchmark, fold, key)
        labels = np.eye(2)[made.y[support]]
        found = portable.run(bundle, [made.x[support]], labels, [made.x[query]])
        np.testing.assert_allclose(found, wanted, atol=5e-6)


def test_another_fold_has_its_own_weights_and_scaling(trained):
    record, config, benchmark, made, bundle = trained
    other = learned.bundle_of(record, config, TABLE, made, fold=1, rows=(16,))
    support, query, wanted = directly(record, config, benchmark, 1)
    labels = np.eye(2)[made.y[support]]
    found = portable.run(other, [made.x[support]], labels, [made.x[query]])
    np.testing.assert_allclose(found, wanted, atol=5e-6)
    assert any((a != b).any() for a, b in zip(other.arrays.values(), bundle.arrays.values(),
                                              strict=True))  # fmt: skip


def test_the_estimator_adapts_matches_columns_and_takes_any_label(trained, file):
    record, config, benchmark, made, _ = trained
    support, query, wanted = directly(record, config, benchmark)
    frame = pd.DataFrame(made.x, columns=list("abcd"))
    y = np.where(made.y == 1, "yes", "no")
    model = clone(FewShotClassifier.from_bundle(file)).fit(frame.iloc[support], y[support])
    told = model.predict_proba(frame.iloc[query][["d", "c", "b", "a"]])
    np.testing.assert_allclose(told, np.asarray(jax.nn.softmax(wanted)), atol=1e-5)
    assert model.classes_.tolist() == ["no", "yes"] and set(model.predict(frame)) <= {"no", "yes"}
    alone = model.predict_proba(frame.iloc[query[:1]])
    np.testing.assert_array_equal(alone[0], model.predict_proba(frame.iloc[query])[0])
    assert len(repr(model)) < 200
    with pytest.raises(ValueError, match="'d' is missing"):
        model.predict_proba(frame[["a", "b", "c"]])
    with pytest.raises(ValueError, match="3 classes, but tiny-maml.* was trained for 2"):
        FewShotClassifier.from_bundle(file).fit(frame[:6], list("aabbcc"))
    with pytest.raises(ValueError, match="predicts classes. Remedy: FewShotClassifier"):
        FewShotRegressor.from_bundle(file).fit(frame[:6], np.arange(6.0))
    with pytest.raises(ValueError, match="70 labelled rows; the largest program .* takes 64"):
        FewShotClassifier.from_bundle(file).fit(frame[:70], y[:70])


PURE = """
import sys
for name in ("flax", "optax", "orbax", "sklearn", "pandas", "flatbuffers", "metajax"):
    sys.modules[name] = None
import numpy as np, portable
given = np.load(sys.argv[2])
bundle = portable.read(sys.argv[1])
np.save(sys.argv[3], portable.run(bundle, [given["x"]], given["y"], [given["q"]]))
"""


def test_a_process_with_jax_and_numpy_alone_gives_the_same_numbers(trained, file, tmp_path):
    record, config, benchmark, made, bundle = trained
    support, query, _ = directly(record, config, benchmark)
    given = {"x": made.x[support], "y": np.eye(2)[made.y[support]], "q": made.x[query]}
    np.savez(tmp_path / "given.npz", **given)
    shutil.copy(portable.__file__, tmp_path / "portable.py")
    (tmp_path / "pure.py").write_text(PURE)
    names = ["pure.py", str(file), "given.npz", "out.npy"]
    done = subprocess.run([sys.executable, *names], cwd=tmp_path, capture_output=True, text=True,
                          env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})
    assert done.returncode == 0, done.stderr
    wanted = portable.run(bundle, [given["x"]], given["y"], [given["q"]])
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), wanted, atol=1e-6)


def rewritten(path, change):
    """The archive with its members changed: a dict of bytes to a dict of bytes."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts = change(parts) or parts
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def about(parts, **changes):
    told = json.loads(parts["about.json"])
    told |= changes
    parts["about.json"] = json.dumps(told).encode()


def first(parts):
    return next(name for name in parts if name.startswith("arrays/"))


def other_array(parts, dtype=None, shape=None):
    """Another array under the name of the first, its sha256 put right."""
    import hashlib

    out = io.BytesIO()
    array = np.load(io.BytesIO(parts[first(parts)]))
    np.save(out, np.zeros(shape or array.shape, dtype or array.dtype), allow_pickle=True)
    parts[first(parts)] = out.getvalue()
    told = json.loads(parts["about.json"])
    sums = told["sha256"] | {first(parts): hashlib.sha256(out.getvalue()).hexdigest()}
    about(parts, sha256=sums)


@pytest.mark.parametrize(("change", "words"), [
    (lambda p: p.update({first(p): p[first(p)][:-1] + b"!"}), "is damaged: arrays/000-"),
    (lambda p: p.update({"card.md": b"# fine"}), "is damaged: card.md"),
    (lambda p: p.pop("programs/16.stablehlo"), "lacks programs/16.stablehlo"),
    (lambda p: p.update({"evil.py": b"1"}), "besides what its about.json names, evil.py"),
    (lambda p: p.pop("about.json"), "it has no about.json"),
    (lambda p: p.update({"about.json": b"[1]"}), "its about.json cannot be read"),
    (lambda p: about(p, format=2), "of format 2; this version reads 1"),
    (lambda p: other_array(p, shape=(7, 7)), r"array 000-.* is float32 \[7, 7\]; about.json says"),
    (lambda p: other_array(p, dtype=object), "array 000-.* cannot be read"),
])  # fmt: skip
def test_what_is_wrong_with_a_file_is_named(file, change, words):
    rewritten(file, lambda parts: change(parts) and None)
    with pytest.raises(portable.BundleError, match=words):
        portable.read(file)


def test_no_flipped_byte_goes_unnoticed(file):
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    wanted = portable.read(file)
    for place in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(bytes(damaged))
        try:
            found = portable.read(file)
        except portable.BundleError as error:
            assert str(file) in str(error)
        else:  # a byte that says nothing: a date, a flag of the system that wrote it
            assert portable.content(found) == portable.content(wanted)
    file.write_bytes(b"no archive")
    with pytest.raises(portable.BundleError, match="is no bundle, or a damaged one"):
        portable.read(file)


def test_programs_of_another_jax_and_inputs_of_another_shape_are_named(trained):
    bundle, made = trained[-1], trained[3]
    labels = np.eye(2)[made.y[:6]]
    with pytest.raises(portable.BundleError, match=r"input x must be \(N, \*\[4\]\); got \(6, 3\)"):
        portable.run(bundle, [made.x[:6, :3]], labels, [made.x[:6, :3]])
    old = {**bundle.about, "program": {**bundle.about["program"], "calling_convention": 999}}
    with pytest.raises(portable.BundleError, match="calling convention 999"):
        portable.run(bundle._replace(about=old), [made.x[:6]], labels, [made.x[:6]])


def test_a_bundle_holds_no_row_of_a_patient_and_says_what_it_is(trained):
    record, _, _, made, bundle = trained
    rows = {round(float(v), 6) for v in made.x[:, 2]}
    for name, array in bundle.arrays.items():
        assert len(made.x) not in array.shape, name
        assert len(rows & {round(float(v), 6) for v in array.ravel()}) == 0, name
    told = json.dumps(bundle.about)
    assert "command" not in bundle.about["environment"] and str(record.parent) not in told
    assert bundle.card.startswith("---\nlibrary_name: metajax") and "north" in bundle.card
    assert any(one["metric"] == "auroc" for one in bundle.about["metrics"])


def test_a_run_of_other_data_or_without_checkpoints_is_refused(trained, tmp_path):
    record, config, benchmark, made, _ = trained
    other = made._replace(x=made.x + 1)
    with pytest.raises(ValueError, match="is a run of other data, settings or code than these"):
        learned.bundle_of(record, dataclasses.replace(config, seed=5), TABLE, other)
    copy = tmp_path / "suite" / "runs" / record.name
    shutil.copytree(record, copy, ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(FileNotFoundError, match="has no checkpoints.*train it again"):
        learned.bundle_of(copy, config, TABLE, made)
    assert not (copy / "checkpoints").exists()
    with pytest.raises(FileNotFoundError, match="no record of a finished run"):
        learned.from_run(tmp_path / "nothing")


def test_a_quantity_comes_back_in_its_units_with_its_deviation(tmp_path):
    prepare = chain(standardise_by_support, standardise_targets)
    entry = dataclasses.replace(TABLE, prepare=prepare)
    made = family("quantity")
    record, config, benchmark = train(tmp_path, entry, made, "dkt")
    bundle = learned.bundle_of(record, config, entry, made, rows=(16,))
    support = np.flatnonzero(made.task == 0)[:16]
    query = np.flatnonzero(made.task == 0)[16:]
    model = FewShotRegressor(model=bundle).fit(made.x[support], made.y[support])
    mean = model.predict(made.x[query])
    assert np.corrcoef(mean, made.y[query])[0, 1] > 0.7
    assert abs(mean.mean() - made.y[query].mean()) < 20
    twice = FewShotRegressor(model=bundle).fit(made.x[support], 2 * made.y[support] + 5)
    np.testing.assert_allclose(twice.predict(made.x[query]), 2 * mean + 5, rtol=1e-4)
    if bundle.about["program"]["variance"]:
        assert (model.predict(made.x[query], return_std=True)[1] > 0).all()
    else:
        with pytest.raises(ValueError, match="no standard deviation"):
            model.predict(made.x[query], return_std=True)


@pytest.mark.long
def test_pictures_are_decoded_by_the_bundle(tmp_path):
    entry = dataclasses.replace(TABLE, prepare=images)
    made = family("images")
    encoder = Encoder((4,), name="conv4")
    record, config, benchmark = train(tmp_path, entry, made, "protonet", encoder)
    bundle = learned.bundle_of(record, config, entry, made, rows=(16,))
    support, query, wanted = directly(record, config, benchmark)
    model = FewShotClassifier(model=bundle).fit(made.x[support], made.y[support])
    told = model.predict_proba(made.x[query])
    np.testing.assert_allclose(told, np.asarray(jax.nn.softmax(wanted)), atol=1e-5)
    with pytest.raises(ValueError, match="input x must be uint8; got float64"):
        model.predict_proba(made.x[query] / 255)


def test_the_command_needs_a_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("metajax.compiled.keep_compiled", lambda: None)
    monkeypatch.setattr("metajax.surroundings.check", lambda: None)
    assert command.main(["export", str(Path(tmp_path) / "none")]) == 2
    assert "is no record of a finished run" in capsys.readouterr().err


def test_predictions_of_a_trained_learner_have_reasons_and_sets(trained, file):
    """Columns of the learner itself; thresholds of another method are not for it."""
    made = trained[3]
    frame, y = pd.DataFrame(made.x, columns=list("abcd")), made.y
    model = FewShotClassifier.from_bundle(file).fit(frame[:6], y[:6])
    found = explain(model, frame[6:8], frame[:6])
    assert found.names == ("a", "b", "c", "d") and found.shares.exact
    assert np.abs(found.shares.gap).max() < 1e-5
    np.testing.assert_allclose(found.shares.output, model.predict_proba(frame[6:8]), atol=1e-6)
    sets = prediction_sets(model, frame[:30], y[:30], frame[30:50], folds=6)
    assert sets.inside.shape == (20, 2) and "30 labelled" in sets.way
    with pytest.raises(ValueError, match="not meta-trained"):
        sets_across(model, frame[6:8])
