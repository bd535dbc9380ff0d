"""What a cluster must have so that solves run there, proved one by one; and how to put it there."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hub.catalogue import package_folder
from hub.clusters import Cluster
from hub.problem import excerpt
from hub.runfolder import sha256
from hub.transport import Ran, Transport, Unreachable

#: Longest time of one look, and of one that may wait in a queue [s].
PATIENCE, QUEUE = 60.0, 180.0
#: Bytes sent and brought back to see that files arrive whole.
SAMPLE = 4_000_000
#: What a node needs: the solvers' own dependencies and nothing of the hub's service.
NEEDS = ("pydantic", "pyyaml", "pint", "numpy", "scipy", "h5py", "numba", "psutil", "dolfinx-solver-real")

#: One piece of text from each rank: what comes in pieces may be mixed with the other's.
_MPI = "from mpi4py import MPI; c = MPI.COMM_WORLD; print(f'ranks {c.size} {c.allreduce(1)}\\n', end='', flush=True)"
#: MPI first: it loads the library the others are linked with.
_PETSC = (
    "from mpi4py import MPI; from petsc4py import PETSc; import dolfinx; "
    "print('PETSc', '.'.join(map(str, PETSc.Sys.getVersion())), 'DOLFINx', dolfinx.__version__)"
)
_HUB = "import pydantic, yaml, pint, numpy, psutil; print('ready')"


class Finding(NamedTuple):
    """One thing that was looked at. said : what was seen; todo : what to do where it is missing"""

    what: str
    passed: bool
    said: str
    todo: str = ""


def probe(cluster: Cluster, way: Transport) -> Iterator[Finding]:
    """Every finding in the order in which one needs the other; ends where nothing more can be asked."""
    try:
        yield from _probe(cluster, way)
    except Unreachable as error:
        todo = {
            "needs-login": f"`officina cluster login {cluster.name}`.",
            "host-key": "Ask the centre whether its key has changed; then correct host_key.",
            "refused": "Check user and key; the centre must know the public half of the key.",
        }.get(error.code, "Check host and port, and whether the centre is up.")
        yield Finding("log in", False, str(error), todo)


def _probe(cluster: Cluster, way: Transport) -> Iterator[Finding]:
    began = time.monotonic()
    ran = way.run(["uname", "-sm"], timeout=PATIENCE)
    yield _finding("log in", ran, f"{ran.out.decode().strip()}, {time.monotonic() - began:.1f} s", "Check the account.")
    scratch = _shown(cluster.scratch)
    ran = _sh(way, f"umask 077; mkdir -p {scratch} && cd {scratch} && pwd -P && df -Pk . | tail -1")
    lines = ran.out.decode().splitlines()
    yield _finding("scratch", ran, _room(lines), f"Name a folder that {cluster.user or 'the user'} may write: scratch.")
    if ran.code or not lines:
        return
    root = lines[0]
    yield _transfer(way, root)
    if cluster.scheduler == "slurm":
        yield from _scheduler(cluster, way)
    compiler = _in(cluster, way, "command -v cc || command -v gcc || command -v clang")
    yield _finding("C compiler", compiler, _first(compiler), "FFCx compiles forms: load a compiler by a module.")
    if cluster.environment.container:
        image = _sh(way, f"apptainer --version && test -r {_shown(cluster.environment.container)}")
        yield _finding("container", image, _first(image), "Build it from deploy/officina.def and copy it there.")
    setup = f"`officina cluster setup {cluster.name}`, or name one that has them: environment.python."
    python = _python(cluster, way, "import sys; print(sys.version.split()[0])")
    yield _finding("Python", python, _first(python), setup)
    if python.code:
        return
    for what, code in (("packages of the solvers", _HUB), ("PETSc and DOLFINx", _PETSC)):
        ran = _python(cluster, way, code)
        yield _finding(what, ran, _first(ran), setup)
    yield _ranks(cluster, way)


def _transfer(way: Transport, root: str) -> Finding:
    with tempfile.TemporaryDirectory(prefix="officina-") as work:
        sent, back = Path(work) / "sent", Path(work) / "back"
        sent.write_bytes(os.urandom(SAMPLE))
        there, began = f"{root}/.probe-{os.getpid()}", time.monotonic()
        try:
            way.put(sent, there)
            way.get(there, back, sha256(sent))
        except OSError as error:
            return Finding("transfer", False, excerpt(str(error)), "See whether the scratch is full or slow.")
        finally:
            way.run(["rm", "-f", there])
        rate = 2 * SAMPLE / 1e6 / (time.monotonic() - began)
    return Finding("transfer", True, f"{SAMPLE // 1_000_000} MB there and back, {rate:.0f} MB/s")


def _scheduler(cluster: Cluster, way: Transport) -> Iterator[Finding]:
    ran = way.run(["sinfo", "--version"], timeout=PATIENCE)
    yield _finding("Slurm", ran, _first(ran), "Its commands must be in the PATH of a command over ssh.")
    if ran.code:
        return
    asked = ["sinfo", "-h", "-o", "%P %a %D %c %m %l", *(["-p", cluster.partition] if cluster.partition else [])]
    ran = way.run(asked, timeout=PATIENCE)
    lines = [line for line in ran.out.decode().splitlines() if line.strip()]
    found = Finding("partition", ran.code == 0 and bool(lines), "; ".join(lines[:3]) or excerpt(ran.err))
    yield found if found.passed else found._replace(todo="`sinfo` on the login node shows the partitions there are.")
    # without a partition the scheduler takes the one with a star
    mine = [line for line in lines if cluster.partition or "*" in line.split()[0]] or lines
    if found.passed and (over := _beyond(cluster, mine)):
        yield Finding("limits", False, over, "Describe what the partition has: jobs that ask for more wait for ever.")


def _beyond(cluster: Cluster, lines: Sequence[str]) -> str:
    """What the description promises and the partition's kinds of nodes, a line of `sinfo` each, have not."""
    kinds = [line.split()[2:5] for line in lines if len(line.split()) >= 5]
    numbers = [[int(re.sub(r"\D.*", "", word) or 0) for word in kind] for kind in kinds]
    if not numbers:
        return ""
    nodes, cores = sum(n for n, _, _ in numbers), max(c for _, c, _ in numbers)
    memory, limits = max(m for _, _, m in numbers), cluster.limits
    pairs = ((limits.nodes, nodes, "nodes"), (limits.cores, cores, "cores of a node"),
             (round(limits.memory / 1e6), round(memory * 1.048576), "MB of a node"))  # fmt: skip
    return "; ".join(f"{said} {what} are described, there are {real}" for said, real, what in pairs if said > real)


def _ranks(cluster: Cluster, way: Transport) -> Finding:
    """Two ranks that really are two: a launcher that does not fit starts one job twice and says nothing."""
    if cluster.scheduler == "slurm":
        limits = ["-n", "2", "-t", "2", *(["-p", cluster.partition] if cluster.partition else [])]
        limits += ["-A", cluster.account] if cluster.account else []
        if cluster.mpi == "mpiexec":
            start = ["salloc", "-Q", *limits, "mpiexec", "-n", "2"]
        else:
            start = ["srun", "-Q", f"--mpi={cluster.mpi}", *limits]
    else:
        start = ["mpiexec", "-n", "2"]
    ran = _python(cluster, way, _MPI, start, QUEUE)
    sizes = re.findall(r"ranks (\d+) (\d+)", ran.out.decode("utf-8", "replace"))
    passed = ran.code == 0 and sizes == [("2", "2")] * 2
    said = "2 ranks see each other" if passed else f"{len(sizes)} processes of {sizes[:1]} {excerpt(ran.err[-200:])}"
    return Finding("MPI on 2 ranks", passed, said, "" if passed else "Try another `mpi`: pmi2, pmix or mpiexec.")


# --- commands -----------------------------------------------------------------------------------------------------


def _shown(path: str) -> str:
    """A path of the description for a shell there; it may hold names of folders and variables, nothing else."""
    return '"' + re.sub(r"^~/", "$HOME/", path) + '"'


def _sh(way: Transport, script: str, *words: str, timeout: float = PATIENCE) -> Ran:
    return way.run(["sh", "-c", script, "sh", *words], timeout=timeout)


def _modules(cluster: Cluster) -> str:
    names = " ".join(cluster.environment.modules)
    return f"command -v module >/dev/null 2>&1 || . /etc/profile; module load {names} && " if names else ""


def _in(cluster: Cluster, way: Transport, script: str) -> Ran:
    """A command with the cluster's modules loaded."""
    return way.run(["bash", "-c", _modules(cluster) + script], timeout=PATIENCE)


def _python(cluster: Cluster, way: Transport, code: str, start: Sequence[str] = (), timeout: float = PATIENCE) -> Ran:
    """A line of Python in the environment of jobs, behind a launcher."""
    environment = cluster.environment
    python = _shown(environment.python or "python3") if environment.python else "python3"
    if environment.container:
        python = f"apptainer exec {_shown(environment.container)} {python}"
    path = f"PATH=$(dirname {_shown(environment.python)}):$PATH; " if environment.python else ""
    script = f"{_modules(cluster)}{path}OMP_NUM_THREADS=1 {shlex.join(start)} {python} -c {shlex.quote(code)}"
    return way.run(["bash", "-c", script], timeout=timeout)


def _finding(what: str, ran: Ran, said: str, todo: str) -> Finding:
    if ran.code == 0:
        return Finding(what, True, said)
    lines = [line for line in ran.err.splitlines() if line.strip()] or [f"exit status {ran.code}"]
    return Finding(what, False, excerpt(lines[-1]), todo)


def _first(ran: Ran) -> str:
    return excerpt((ran.out.decode("utf-8", "replace").splitlines() or [""])[0]) if ran.out else ""


def _room(lines: Sequence[str]) -> str:
    try:
        return f"{lines[0]}, {int(lines[-1].split()[3]) / 1e6:.1f} GB free"
    except (IndexError, ValueError):
        return lines[0] if lines else ""


# --- setting up ---------------------------------------------------------------------------------------------------


def requirements() -> str:
    """What a node needs, in the versions this hub has."""
    from importlib.metadata import PackageNotFoundError, version

    pins = []
    for name in NEEDS:
        try:
            pins.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            pins.append(name)
    return "\n".join(pins) + "\n"


#: Makes ``environment`` in the folder it is called in. $1 : a Python to start from, or nothing. A Python that is new
#: enough is looked for; where there is none uv fetches one.
_MAKE = """
for p in ${1:+"$1"} python3.13 python3.12 python3; do
    p=$(command -v "$p") && "$p" -c 'import sys, ensurepip; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' \\
        2>/dev/null && exec "$p" -m venv --clear environment
    test -z "$1" || { echo "$1 is no Python 3.12 or 3.13 with venv" >&2; exit 1; }
done
uv=$(command -v uv) || { python3 -m venv tools && tools/bin/python -m pip install -q uv && uv=tools/bin/uv; } || exit 1
exec "$uv" venv -q --clear --seed --python 3.12 environment
"""


def set_up(cluster: Cluster, way: Transport, python: str | None = None) -> Iterator[Finding]:
    """Make an environment with the solvers' dependencies in the cluster's scratch; its Python is the last thing said.

    python : the interpreter there to start from; left out: one is looked for, or fetched by uv
    Raises Unreachable.
    """
    scratch = _shown(cluster.scratch)
    go = f"{_modules(cluster)}umask 077; mkdir -p {scratch} && cd {scratch} && "
    make = f"{go}cat > requirements.txt && sh -c {shlex.quote(_MAKE)} sh {shlex.quote(python or '')} && "
    make += "environment/bin/python --version"
    ran = way.run(["bash", "-c", make], requirements().encode(), timeout=600)
    todo = "Load a module with Python 3.12 or 3.13 (modules), or name one: --python."
    yield _finding("environment", ran, _first(ran), todo)
    if ran.code:
        return
    fill = f"{go}environment/bin/python -m pip install -q --disable-pip-version-check -r requirements.txt && pwd -P"
    ran = way.run(["bash", "-c", fill], timeout=1800)
    todo = "Without a way to a package index: build deploy/officina.def elsewhere and copy the image there."
    yield _finding("packages", ran, ", ".join(NEEDS), todo)
    if ran.code == 0:
        yield Finding("python", True, f"{_first(ran)}/environment/bin/python")


def recipe() -> str:
    """The Apptainer recipe of a node, with the versions this hub has."""
    text = (package_folder("hub").parent / "deploy" / "officina.def").read_text()
    return text.replace("pip install --no-cache-dir @REQUIREMENTS@", f"pip install --no-cache-dir {_pins()}")


def _pins() -> str:
    return " ".join(requirements().split())
