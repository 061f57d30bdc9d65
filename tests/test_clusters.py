"""Jobs of a cluster, against a Slurm that is a shell script: refused, killed, forgotten."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from metajax import clusters
from metajax.clusters import Slurm

submitit = pytest.importorskip("submitit")


class Job(SimpleNamespace):
    """A job as submitit gives it; `left` is what it raised, "nothing" if it was killed."""

    def exception(self):
        return RuntimeError(self.left) if self.left else None


def job(folder, number, left):
    result = folder / f"{number}.pkl"
    if left != "nothing":
        result.touch()
    paths = SimpleNamespace(result_pickle=result, stderr=folder / f"{number}.err")
    return Job(job_id=str(number), left=left, paths=paths)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Makes the commands of a Slurm; each writes down how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(**scripts):
        for name, text in scripts.items():
            called = f'echo "$0 $*" >> {tmp_path}/called\n'
            (folder / name).write_text(f"#!/bin/bash\n{called}{text}\n")
            (folder / name).chmod(0o755)

    make(srun="", scancel="")
    make.called = tmp_path / "called"
    return make


REFUSING = """
n=$(($(cat {0} 2>/dev/null) + 1)); echo $n > {0}
[ $n = 3 ] && echo "sbatch: error: Requested node configuration is not available" >&2 && exit 1
echo "Submitted batch job $n"
"""


def test_a_job_that_the_cluster_refuses_is_one_message_and_no_job_is_left(tmp_path, slurm):
    slurm(sbatch=REFUSING.format(tmp_path / "count"))
    with pytest.raises(ValueError, match="refuses job 3: sbatch: error: Requested node config"):
        clusters.submit(Slurm(jobs=3), [["true"]] * 3, tmp_path / "jobs", name="a sweep")
    called = [Path(line).name for line in slurm.called.read_text().splitlines()]
    assert [line for line in called if line.startswith("scancel")] == ["scancel 1", "scancel 2"]


def test_what_a_job_asks_for(tmp_path, slurm):
    """Slurm's warning comes early enough, but not at once; the folder of the command is no path."""
    slurm(sbatch='cat "$1"; echo "Submitted batch job 1"')
    (one,) = clusters.submit(Slurm(jobs=1, minutes=1), [["true"]], tmp_path / "jobs", name="s")
    text = one.paths.submission_file.read_text()
    assert "--time=1\n" in text and "--signal=USR2@15\n" in text and " -P -u -m submitit" in text
    assert "gpus" not in text and "partition" not in text
    asked = Slurm(jobs=1, gpus=2, partition="gpu")
    (one,) = clusters.submit(asked, [["true"]], tmp_path / "jobs", name="s")
    text = one.paths.submission_file.read_text()
    assert "--gpus-per-node=2\n" in text and "--partition=gpu\n" in text and "USR2@90" in text


def test_no_slurm_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="--slurm.cluster=slurm: Could not detect"):
        clusters.submit(Slurm(jobs=1), [["true"]], tmp_path / "jobs", name="s")


def test_the_end_of_a_job_is_what_slurm_says_not_what_the_job_left(tmp_path):
    """Job 1 fails on a node that is lost, and is made again; 2 is killed; 3 and 4 are forgotten."""
    jobs = [job(tmp_path, 1, "lost its node"), job(tmp_path, 2, "nothing")]
    jobs += [job(tmp_path, 3, ""), job(tmp_path, 4, "exit code 1")]
    (tmp_path / "2.err").write_text("error: one\na warning\nerror: it was killed\nthe end\n")
    said = iter([
        {"1": "RUNNING", "2": "COMPLETING", "3": "RUNNING", "4": "RUNNING"},
        None,  # the controller is away
        {"1": "PENDING", "2": "FAILED"},
        {"1": "RUNNING"},
        {"1": "COMPLETED"},
    ])  # fmt: skip
    asked, slept = [], []

    def ask(ids):
        asked.append(list(ids))
        return next(said)

    failed = clusters.ended(jobs, ask, slept.append)
    assert asked == [["1", "2", "3", "4"]] * 3 + [["1"]] * 2 and len(slept) == 4
    assert len(failed) == 2
    told = f"job 2 ended as FAILED; error: it was killed; its output: {tmp_path};"
    assert failed[0].startswith(told)
    assert failed[1].startswith(f"job 4 ended as gone; its output: {tmp_path};")


@pytest.mark.parametrize(
    ("squeue", "states"),
    [
        ('echo "1 RUNNING"; echo "2 COMPLETED"', {"1": "RUNNING", "2": "COMPLETED"}),
        ("echo slurm_load_jobs error: Invalid job id specified >&2; exit 1", {}),
        ("echo slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1", None),
    ],
)
def test_asking_slurm(slurm, squeue, states):
    slurm(squeue=squeue)
    assert clusters.ask(["1", "2"]) == states
    assert "--states=all" in slurm.called.read_text()


def test_an_interrupted_wait_tells_how_to_end_the_jobs(tmp_path, monkeypatch):
    def interrupt(ids):
        raise KeyboardInterrupt

    told = []
    monkeypatch.setattr(clusters, "ask", interrupt)
    console = SimpleNamespace(print=told.append)
    with pytest.raises(KeyboardInterrupt):
        clusters.wait(console, Slurm(jobs=1), [job(tmp_path, 7, "")])
    assert told == ["the jobs go on; to end them: scancel 7"]
