#!/usr/bin/env python3
"""A Slurm cluster on one machine: munge, a controller, two nodes and a login node, all real, all below one folder.

  deploy/cluster.py up FOLDER [--namespaces]   start it; FOLDER/demo.yaml describes it for the hub
  deploy/cluster.py down FOLDER                         end it
  deploy/cluster.py kill|start FOLDER PART              PART: munged, slurmctld, sshd, n1, n2
  deploy/cluster.py cut|heal FOLDER n1|n2               take a node off the network and back (with --namespaces)

Everything runs as whoever calls it, on loopback, on free ports; nothing is written outside FOLDER. With --namespaces
(root) each node has a network of its own, so that its link can be cut. Needs slurm-wlm, munge and openssh-server.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NODES = ("n1", "n2")
#: Networks of clusters are parts of TEST-NET-2 of RFC 5737, which nobody has; several clusters may be up.
NETWORK = "198.51.100."
CORES, MEMORY = 2, 8000

SLURM = """\
ClusterName=one-machine
SlurmctldHost={host}({controller})
SlurmctldPort={ports[slurmctld]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/controller
SlurmctldPidFile={folder}/controller.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdSpoolDir={folder}/spool/%n
SlurmdPidFile={folder}/spool/%n.pid
SlurmdLogFile={folder}/log/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=50000,sched_interval=2,bf_interval=2,batch_sched_delay=0,defer
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmctldTimeout=20
SlurmdTimeout=10
KillWait=5
OverTimeLimit=0
MinJobAge=300
ReturnToService=2
MaxArraySize=1001
MaxJobCount=20000
MessageTimeout=10
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
PropagateResourceLimits=NONE
NodeName=n1 NodeHostname=n1 NodeAddr={n1} Port={ports[n1]} CPUs={cores} CoresPerSocket={cores} RealMemory={memory}
NodeName=n2 NodeHostname=n2 NodeAddr={n2} Port={ports[n2]} CPUs={cores} CoresPerSocket={cores} RealMemory={memory}
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 DefaultTime=5 DefMemPerCPU=500 State=UP
PartitionName=short Nodes=n1 MaxTime=1 DefaultTime=1 DefMemPerCPU=500 State=UP
"""

SSHD = """\
ListenAddress 127.0.0.1
Port {ports[sshd]}
HostKey {folder}/host-key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized-keys
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin prohibit-password
AllowUsers {user}
MaxSessions 100
MaxStartups 200
Subsystem sftp internal-sftp
SetEnv SLURM_CONF={folder}/slurm.conf HOME={folder}/home
"""

#: For `officina cluster add --file`, or to be copied to <home>/clusters/.
DESCRIPTION = """\
name: {name}
transport: ssh
scheduler: slurm
host: 127.0.0.1
port: {ports[sshd]}
user: {user}
key: {folder}/key
host_key: {host_key}
partition: main
mpi: pmi2
limits: {{nodes: 2, cores: {cores}, memory: {memory} MB, time: 1 h}}
scratch: {folder}/scratch
environment: {{python: {python}}}
"""


class Cluster:
    """The cluster below `folder`; what it was started with stands in ``cluster.json``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.file = self.folder / "cluster.json"
        self.known = json.loads(self.file.read_text()) if self.file.exists() else {}
        os.environ["SLURM_CONF"] = str(self.folder / "slurm.conf")

    # --- up and down ---

    def up(self, name: str, namespaces: bool, python: str) -> None:
        if self.known:
            sys.exit(f"{self.folder} holds a cluster already; take it down first")
        for program in ("munged", "slurmctld", "slurmd", "sshd", "sbatch", *(("ip", "nsenter") if namespaces else ())):
            if not found(program):
                sys.exit(f"{program} is missing: apt-get install slurm-wlm munge openssh-server iproute2")
        for part in ("munge", "controller", "log", "spool/n1", "spool/n2", "scratch", "home"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "munge").chmod(0o755)
        parts = ("slurmctld", "sshd", *NODES)
        self.known = {"namespaces": namespaces, "ports": dict(zip(parts, free_ports(len(parts)), strict=True))}
        self.known |= {"tag": secrets.token_hex(2), "pids": {}, "starts": {}}
        self._save()
        # the numbers of jobs begin anew, and with them the names of what MPI leaves of those that were killed
        run(sys.executable, str(Path(__file__).parents[1] / "hub" / "leftovers.py"))
        try:
            self._write(name, python)
            if namespaces:
                self._network()
            for part in ("munged", "slurmctld", *NODES, "sshd"):
                self.start(part)
            wait(lambda: output("sinfo", "-h", "-N", "-p", "main", "-t", "idle").count("\n") == 2, "the nodes")
        except BaseException:
            self.down()
            raise

    def _write(self, name: str, python: str) -> None:
        key = self.folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        for file in ("host-key", "key"):
            (self.folder / file).unlink(missing_ok=True)
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.folder / file)]
            subprocess.run(command, check=True)
        shutil.copyfile(self.folder / "key.pub", self.folder / "authorized-keys")
        addresses = self._addresses()
        host = socket.gethostname().split(".")[0]
        facts = {
            "name": name, "folder": self.folder, "user": getpass.getuser(), "ports": self.known["ports"], "host": host,
            "controller": addresses[""], "n1": addresses["n1"], "n2": addresses["n2"], "cores": CORES,
            "memory": MEMORY, "python": python,
            "host_key": " ".join((self.folder / "host-key.pub").read_text().split()[:2]),
        }  # fmt: skip
        (self.folder / "slurm.conf").write_text(SLURM.format(**facts))
        (self.folder / "sshd_config").write_text(SSHD.format(**facts))
        (self.folder / f"{name}.yaml").write_text(DESCRIPTION.format(**facts))
        lines = ["127.0.0.1 localhost", f"{addresses['']} {host}", *(f"{addresses[n]} {n}" for n in NODES)]
        (self.folder / "hosts").write_text("\n".join(lines) + "\n")

    def down(self) -> None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["scancel", "-f", "-u", getpass.getuser()], timeout=10, check=False, capture_output=True)
            # jobs that ended leave their steps alone only once their nodes were told
            wait(lambda: not output("squeue", "-h", "-t", "running,completing"), "jobs to end", 10)
        for part in ("sshd", *NODES, "slurmctld", "munged"):
            self.kill(part, signal.SIGTERM)
        for pid in self._steps():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if self.known.get("namespaces"):
            for n in NODES:
                run("ip", "netns", "del", self._name(n), check=False)
                run("ip", "link", "del", self._link(n), check=False)
            run("ip", "link", "del", f"ofb{self.known['tag']}", check=False)
        self.file.unlink(missing_ok=True)

    def _steps(self, node: str = "") -> list[int]:
        """The steps of jobs (on that node) and all they started; they belong to no daemon any more."""
        marks = [f"SLURM_CONF={self.folder}/slurm.conf", *([f"SLURMD_NODENAME={node}"] if node else [])]
        ours = {mark.encode() for mark in marks}
        found_: list[int] = []
        for place in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if place.name.isdigit() and ours <= set((place / "environ").read_bytes().split(b"\0")):
                    parent = fields(int(place.name))[1]
                    if Path(f"/proc/{parent}/cmdline").read_bytes().startswith(b"slurmstepd: ["):
                        found_ += [int(parent), *children(int(parent))]
        return list(dict.fromkeys(found_))

    # --- parts ---

    def start(self, part: str) -> None:
        f, conf = self.folder, str(self.folder / "slurm.conf")
        command = {
            "munged": ["munged", "-F", "--force", f"--socket={f}/munge/socket", f"--key-file={f}/munge/key",
                       f"--pid-file={f}/munge/pid", f"--seed-file={f}/munge/seed", f"--log-file={f}/log/munged.log",
                       "--num-threads=2", "--group-update-time=-1"],
            "slurmctld": ["slurmctld", "-D", "-f", conf],
            "sshd": ["sshd", "-D", "-e", "-f", f"{f}/sshd_config"],
        }.get(part) or ["slurmd", "-D", "-N", part, "-f", conf]  # fmt: skip
        command[0] = found(command[0]) or command[0]
        if part in NODES and self.known["namespaces"]:
            # not `ip netns exec`, which mounts another /sys
            inner = f'hostname {part}; mount --bind "$0/hosts" /etc/hosts; exec "$@"'
            command = ["nsenter", f"--net=/run/netns/{self._name(part)}", "unshare", "--uts", "--mount",
                       "sh", "-c", inner, str(f), *command]  # fmt: skip
        if part == "sshd" and os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        kept = {n: v for n, v in os.environ.items() if n in ("PATH", "HOME", "LANG", "USER", "LOGNAME", "SLURM_CONF")}
        kept["PATH"] = kept.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
        with (f / "log" / f"{part}.out").open("ab") as log:
            process = subprocess.Popen(
                command, env=kept, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        self.known["pids"][part] = process.pid
        self.known["starts"][part] = started(process.pid)
        self._save()
        answers: dict[str, Callable[[], bool]] = {
            "munged": lambda: bool(output("munge", "-S", f"{f}/munge/socket", "-n")),
            "slurmctld": lambda: "UP" in output("scontrol", "ping"),
            "sshd": lambda: listens(self.known["ports"]["sshd"]),
        }
        wait(answers.get(part, lambda: "idle" in self._state(part) or "mixed" in self._state(part) or
                         "alloc" in self._state(part)), part)  # fmt: skip

    def _state(self, node: str) -> str:
        return output("sinfo", "-h", "-N", "-n", node, "-p", "main", "-o", "%T").strip().rstrip("*")

    def kill(self, part: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a part; a node is killed with every step of its jobs when it is killed with force."""
        pid = self.known.get("pids", {}).get(part)
        if pid is None or started(pid) != self.known["starts"][part]:
            return
        steps = self._steps(part) if number == signal.SIGKILL and part in NODES else []
        for process in [pid, *steps]:
            with contextlib.suppress(OSError):
                os.kill(process, number)
        with contextlib.suppress(TimeoutError):
            wait(lambda: started(pid) != self.known["starts"][part], part, 10)
            return
        os.kill(pid, signal.SIGKILL)

    # --- networks ---

    def _name(self, node: str) -> str:
        return f"officina-{self.known['tag']}-{node}"

    def _link(self, node: str) -> str:
        return f"of{self.known['tag']}{node}"

    def _addresses(self) -> dict[str, str]:
        """Of the controller (under the empty name) and the nodes."""
        if not self.known["namespaces"]:
            return dict.fromkeys(("", *NODES), "127.0.0.1")
        if "network" not in self.known:
            taken = output("ip", "-4", "-br", "addr")
            self.known["network"] = next(n for n in range(0, 256, 16) if f"{NETWORK}{n + 1}/" not in taken)
            self._save()
        return {name: f"{NETWORK}{self.known['network'] + i}" for i, name in enumerate(("", *NODES), 1)}

    def _network(self) -> None:
        bridge = f"ofb{self.known['tag']}"
        run("ip", "link", "add", bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self._addresses()['']}/28", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        for n in NODES:
            name = self._name(n)
            run("ip", "netns", "add", name)
            run("ip", "link", "add", self._link(n), "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "link", "set", self._link(n), "master", bridge, "up")
            run("ip", "-n", name, "addr", "add", f"{self._addresses()[n]}/28", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "link", "set", "eth0", "up")

    def cut(self, node: str) -> None:
        run("ip", "link", "set", self._link(node), "down")

    def heal(self, node: str) -> None:
        run("ip", "link", "set", self._link(node), "up")

    def _save(self) -> None:
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.known))
        part.replace(self.file)


def found(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


def run(*command: str, check: bool = True) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and ran.returncode:
        sys.exit(f"{' '.join(command)}: {ran.stderr.strip()}")


def output(*command: str) -> str:
    """What a command prints; nothing if it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def wait(until: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for {what}; look into the folder log")
        time.sleep(0.05)


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        trials = [stack.enter_context(socket.socket()) for _ in range(number)]
        for trial in trials:
            trial.bind(("127.0.0.1", 0))
        return [trial.getsockname()[1] for trial in trials]


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as link:
        return link.recv(4).startswith(b"SSH")
    return False


def fields(pid: int) -> list[str]:
    """State, parent, ... of a process, from after its name; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []


def started(pid: int) -> str:
    """When a process was started, so that it is not taken for a later one; empty if it has ended."""
    known = fields(pid)
    return known[19] if known and known[0] not in "ZX" else ""


def children(pid: int) -> list[int]:
    """All descendants of a process, its own children first."""
    parents = {int(p.name): f[1] for p in Path("/proc").iterdir() if p.name.isdigit() and (f := fields(int(p.name)))}
    found_, new = list[int](), [pid]
    while new:
        new = [p for p, parent in parents.items() if int(parent) in new]
        found_ += new
    return found_


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Any]:
    """A cluster below `folder` for as long as this lasts: its description, a :class:`hub.clusters.Cluster`."""
    import yaml

    from hub.clusters import read

    cluster = Cluster(folder)
    cluster.up("demo", False, sys.executable)
    try:
        yield read(yaml.safe_load((folder / "demo.yaml").read_text()))
    finally:
        cluster.down()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("action", choices=("up", "down", "kill", "start", "cut", "heal"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("part", nargs="?", choices=("munged", "slurmctld", "sshd", *NODES))
    parser.add_argument("--namespaces", action="store_true", help="give each node a network of its own (root)")
    parser.add_argument("--name", default="demo", help="what the hub is to call it")
    default = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"
    parser.add_argument("--python", default=str(default), help="the interpreter that has the solvers")
    given = parser.parse_args()
    cluster = Cluster(given.folder)
    if given.action == "up":
        cluster.up(given.name, given.namespaces, given.python)
        print(f"up: export SLURM_CONF={cluster.folder}/slurm.conf")
        print(f"    officina cluster add --file {cluster.folder}/{given.name}.yaml")
        return
    if not cluster.known:
        sys.exit(f"there is no cluster in {cluster.folder}")
    if given.action == "down":
        cluster.down()
    elif given.part is None:
        parser.error("say which part")
    else:
        getattr(cluster, given.action)(given.part)


if __name__ == "__main__":
    main()
