"""A real Slurm on this machine: munged, slurmctld, and a slurmd a node, all on loopback.

    python tests/slurm_cluster.py sinfo            # any command, in a cluster of its own

Debian: ``apt-get install --no-install-recommends slurm-wlm munge``. It must be run by root, in a
folder of its own, without systemd, cgroups or a data base; at its end no daemon and no job is left.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

NEEDED = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
NODES = ("n1", "n2")
CONF = """\
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmctldPort={controller}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
SlurmdTimeout=10
KillWait=2
MailProg=/bin/true
"""


class Cluster(NamedTuple):
    """A running cluster: its folder, the environment of its commands, its daemons by name."""

    folder: Path
    environment: dict[str, str]
    daemons: dict[str, subprocess.Popen]

    def call(self, *command: str) -> str:
        """Runs a command of Slurm's; what it says."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def start(self, name: str, *command: str) -> None:
        """Starts a daemon in the foreground, again if it was killed; it dies with this process."""
        if name in self.daemons:
            self.daemons[name].wait(timeout=10)
        with (self.folder / f"{name}.said").open("a") as said:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command], env=self.environment,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip

    def start_node(self, name: str) -> None:
        """Starts the daemon of a node."""
        self.start(name, "slurmd", "-D", "-N", name, "-f", str(self.folder / "slurm.conf"))

    def jobs(self) -> dict[int, str]:
        """States of the jobs that have not ended, by number."""
        lines = self.call("squeue", "--noheader", "--format=%A %T").splitlines()
        return {int(job): state for job, state in map(str.split, lines)}

    def place(self, job: int) -> str:
        """The node of a running job."""
        return self.call("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()

    def processes(self, job: int | None = None) -> list[psutil.Process]:
        """What runs in a job, or whatever belongs to this cluster."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                its = process.environ()
                own = its.get("SLURM_CONF") == self.environment["SLURM_CONF"]
                if job is None and process.name().startswith("slurmstepd"):
                    # Its title lies over its environment; its socket is in the node's folder.
                    places = [one.laddr for one in process.net_connections("unix")]
                    own = any(place.startswith(f"{self.folder}/") for place in places)
                if own and (job is None or its.get("SLURM_JOB_ID") == str(job)):
                    found.append(process)
        return found


def missing() -> str:
    """Why there can be no cluster here; nothing if there can."""
    absent = [name for name in (*NEEDED, "setpriv") if shutil.which(name, path=_path()) is None]
    if absent:
        return (
            f"no {', '.join(absent)} here: "
            "apt-get install --no-install-recommends slurm-wlm munge"
        )
    return "" if os.getuid() == 0 else "the daemons of Slurm must be started by root"


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Waits until something is true; raises TimeoutError if it never is."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """A cluster of two nodes of one core each; at the end nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # a socket's path must be short
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
    cluster = Cluster(folder, environment, {})
    try:
        _start(cluster)
        yield cluster
    finally:
        _stop(cluster)
        shutil.rmtree(folder, ignore_errors=True)


def _start(cluster: Cluster) -> None:
    folder = cluster.folder
    for name in ("state", *NODES):
        (folder / name).mkdir()
    controller, *nodes = _free_ports(1 + len(NODES))
    lines = [
        f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=1 "
        "RealMemory=64000" for name, port in zip(NODES, nodes, strict=True)
    ]  # fmt: skip
    lines.append(f"PartitionName=cpu Nodes={','.join(NODES)} Default=YES State=UP")
    conf = CONF.format(folder=folder, controller=controller) + "\n".join(lines) + "\n"
    (folder / "slurm.conf").write_text(conf)
    cluster.call("mungekey", "--create", f"--keyfile={folder}/munge.key")
    files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    socket_ = f"--socket={folder}/munge.socket"
    cluster.start("munged", "munged", "--foreground", "--force", socket_, *files)
    until((folder / "munge.socket").exists, 30, "munged")
    cluster.start("slurmctld", "slurmctld", "-D", "-f", str(folder / "slurm.conf"))
    for name in NODES:
        cluster.start_node(name)
    until(lambda: nodes_are(cluster, "idle"), 60, f"idle nodes, see {folder}")


def nodes_are(cluster: Cluster, state: str) -> bool:
    """Whether all nodes are in a state."""
    with contextlib.suppress(RuntimeError):  # no controller yet
        return cluster.call("sinfo", "--noheader", "--Node", "--format=%T").split() == (
            [state] * len(NODES)
        )
    return False


def _stop(cluster: Cluster) -> None:
    """Ends jobs, daemons and whatever they have left; by name nothing is killed."""
    with contextlib.suppress(RuntimeError, OSError, subprocess.SubprocessError, TimeoutError):
        cluster.call("scancel", "--state=pending", "--quiet", "--user=root")
        cluster.call("scancel", "--signal=KILL", "--full", "--quiet", "--user=root")
        until(lambda: not cluster.jobs(), 20, "the end of all jobs")
    for name in reversed(cluster.daemons):
        cluster.daemons[name].terminate()
    for daemon in cluster.daemons.values():
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(timeout=10)
    for process in cluster.processes():
        with contextlib.suppress(psutil.Error):
            process.kill()
    for daemon in cluster.daemons.values():
        daemon.wait(timeout=10)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _path() -> str:
    """Where programs are looked for: daemons lie in folders that a user's PATH may lack."""
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))


if __name__ == "__main__":
    if told := missing():
        sys.exit(told)
    with running() as cluster:
        sys.exit(subprocess.run(sys.argv[1:], env=cluster.environment).returncode)
