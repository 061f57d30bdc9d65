"""Checkpoints: what is restored is what was saved, or the one before it, or nothing."""

import gc
import json
import logging
import shutil
import subprocess
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metajax.checkpoints import open_manager, restore, save

META = {"place": {"fold": 1, "phase": "refit", "best_rank": 0.1 + 0.2}, "history": [{"loss": 0.5}]}


def tree(step):
    """One array: of several, orbax would drop the pending reads when one fails, with noise."""
    return {"w": np.random.default_rng(step).normal(size=(50, 40)).astype(np.float32)}


LIKE = jax.tree.map(np.zeros_like, tree(0))


def saved(folder, *steps):
    manager = open_manager(folder)
    for step in steps:
        save(manager, step, tree(step), META | {"saved": step})
    manager.close()


def found(folder):
    manager = open_manager(folder)
    checkpoint = restore(manager, LIKE)
    manager.close()
    return checkpoint


def check(checkpoint, step):
    assert checkpoint is not None and checkpoint.step == step
    assert checkpoint.meta == META | {"saved": step}
    same(checkpoint.tree, tree(step))


def same(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder with checkpoints 4 and 7, of three that were saved."""
    folder = tmp_path_factory.mktemp("checkpoints") / "run" / "checkpoints"
    saved(folder, 1, 4, 7)
    return folder


@pytest.fixture
def folder(template, tmp_path):
    return shutil.copytree(template, tmp_path / "checkpoints")


def files(folder, step):
    """All files of a checkpoint, the largest first."""
    every = [path for path in (folder / str(step)).rglob("*") if path.is_file()]
    return sorted(every, key=lambda path: (-path.stat().st_size, path))


def flip(path, place=0.5):
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


def test_the_newest_comes_back_and_two_are_kept(folder):
    assert sorted(path.name for path in folder.iterdir() if path.name.isdigit()) == ["4", "7"]
    check(found(folder), 7)


def test_every_kind_of_leaf_comes_back(tmp_path):
    state = optax.adam(0.1).init({"w": jnp.ones((2, 3))})
    mixed = {
        "state": state,
        "key": jax.random.key_data(jax.random.key(5)),
        "step": jnp.int32(7),
        "half": np.array([0.1, np.nan, np.inf], np.float16),
        "list": [np.arange(3, dtype=np.uint8), np.array([True, False])],
    }
    manager = open_manager(tmp_path)
    save(manager, 1, mixed, {"rank": float("-inf"), "loss": float("nan"), "one": 0.1, "none": None})
    checkpoint = restore(manager, jax.tree.map(jnp.zeros_like, mixed))
    manager.close()
    same(checkpoint.tree, mixed)
    assert np.isnan(checkpoint.meta.pop("loss"))
    assert checkpoint.meta == {"rank": float("-inf"), "one": 0.1, "none": None}


def test_no_checkpoint_is_none(tmp_path):
    assert found(tmp_path / "never" / "written") is None


def test_what_was_saved_cannot_be_changed_by_its_owner(tmp_path):
    mine, meta = tree(1), {"history": [1]}
    manager = open_manager(tmp_path / "checkpoints")
    save(manager, 1, mine, meta)
    mine["w"][:] = 0
    meta["history"].append(2)
    checkpoint = restore(manager, LIKE)
    manager.close()
    assert meta == {"history": [1, 2]} and checkpoint.meta == {"history": [1]}
    np.testing.assert_array_equal(checkpoint.tree["w"], tree(1)["w"])


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip, truncate, lambda path: path.write_bytes(b"")])
def test_a_damaged_array_is_noticed_and_the_one_before_used(folder, caplog, damage):
    damage(files(folder, 7)[0])
    with caplog.at_level(logging.WARNING, "metajax.checkpoints"):
        check(found(folder), 4)
    assert "checkpoint 7" in caplog.text and "is damaged" in caplog.text
    check(found(folder), 4)  # and again
    saved(folder, 5)  # training goes on from 4
    check(found(folder), 5)


def test_a_flipped_byte_is_never_believed(folder, template):
    """In whatever file: the checkpoint is whole all the same, or it is passed over."""
    passed = 0
    for path in files(template, 7):
        if not path.stat().st_size:
            continue
        work = folder.with_name("damaged")
        shutil.copytree(template, work)
        flip(work / path.relative_to(template))
        checkpoint = found(work)
        check(checkpoint, checkpoint.step)
        passed += checkpoint.step == 4
        shutil.rmtree(work)
    assert passed >= 3  # the array, its index, the JSON


def metadata(folder, step):
    (path,) = (p for p in (folder / str(step) / "meta").rglob("*") if b"sha256" in p.read_bytes())
    return path


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe garbage", b"null", b"[1]", b"{}", b'{"sha256": 3}']
)
def test_rubbish_in_the_json_is_noticed(folder, content):
    metadata(folder, 7).write_bytes(content)
    check(found(folder), 4)


def test_a_changed_number_in_the_json_is_noticed(folder):
    """It decides where training goes on: believed, it would change the result in silence."""
    path = metadata(folder, 7)
    content = json.loads(path.read_text())
    content["place"]["fold"] = 0
    path.write_text(json.dumps(content))
    check(found(folder), 4)


def test_an_empty_or_missing_folder_of_a_step_is_passed_over(folder):
    (folder / "9").mkdir()
    check(found(folder), 7)
    shutil.rmtree(folder / "7" / "state")
    check(found(folder), 4)


def test_what_a_kill_leaves_behind_is_passed_over(folder):
    """Orbax writes under a temporary name; what a kill leaves of it is no checkpoint."""
    shutil.copytree(folder / "7", folder / "9.orbax-checkpoint-tmp")
    truncate(files(folder, "9.orbax-checkpoint-tmp")[0])
    check(found(folder), 7)
    saved(folder, 9)
    check(found(folder), 9)


def test_none_whole_is_none(folder, caplog):
    for step in (4, 7):
        flip(files(folder, step)[0])
    assert found(folder) is None
    assert caplog.text.count("is damaged") == 2
    saved(folder, 1)  # the numbers start again
    check(found(folder), 1)


@pytest.mark.parametrize(
    "like",
    [
        {"w": np.zeros((40, 50), np.float32)},
        {"w": np.zeros((50, 40), np.float16)},
        {"v": np.zeros((50, 40), np.float32)},
        LIKE | {"v": np.zeros(1)},
        {},
    ],
)
def test_another_form_than_expected_is_passed_over(folder, like, caplog):
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    manager = open_manager(folder)
    assert restore(manager, like) is None
    manager.close()
    assert caplog.text.count("is of another form") == 2 and "damaged" not in caplog.text
    # It is whole: whoever expects it as it is has it back.
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    check(found(folder), 7)


def test_training_anew_keeps_what_was_of_another_form(folder):
    other = {"w": np.ones((3, 3), np.float32)}
    for step in (1, 2, 3):
        manager = open_manager(folder)
        checkpoint = restore(manager, other)
        assert (checkpoint.step if checkpoint else 0) == step - 1
        save(manager, step, other, {})
        manager.close()
    assert sorted(p.name for p in folder.iterdir()) == ["2", "3", "other-4", "other-7"]
    (folder / "other-7").rename(folder / "7")
    check(found(folder), 7)


def test_a_damaged_one_is_kept_beside(folder, caplog):
    content = flip(path := files(folder, 7)[0]) or path.read_bytes()
    check(found(folder), 4)
    kept = folder / "damaged-7" / path.relative_to(folder / "7")
    assert kept.read_bytes() == content and "kept as damaged-7" in caplog.text


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_one_error_and_no_thread_prints(small_disk, capfd, caplog):
    """Of many arrays: the other writes told a closed loop, or asyncio's log, a traceback each."""
    many = {f"w{i}": np.random.default_rng(i).random(3000) for i in range(40)}
    for i in range(6):
        manager = open_manager(small_disk / f"c{i}")
        with pytest.raises(OSError, match="No space left on device"):
            save(manager, 1, many, {})
    time.sleep(0.5)  # the threads
    gc.collect()  # the tasks
    assert "never retrieved" not in caplog.text
    for reason in ("No space left on device [os_error_code='28']", "another reason"):
        error = ValueError(reason)  # as asyncio does for a task that ends late
        told = {"exc_info": (ValueError, error, None)}
        logging.getLogger("asyncio").error("Task exception was never retrieved", **told)
    assert "another reason" in caplog.text and "os_error_code" not in caplog.text
    said = capfd.readouterr()
    assert "Traceback" not in said.err and "loop" not in said.err, said.err
