"""``python -m hub.leftovers``: clear this machine of what MPI jobs that were killed left in its shared memory.

MPICH keeps the messages between ranks of a node in ``/dev/shm/mpich_shm_<hash>_<number>`` and removes the file when
its ranks end well; that of a job that was killed stays, some megabytes of memory each. The hash is that of the job's
name, under Slurm ``<job>.<step>``: a cluster that gives a number again (set up anew, or with a controller that forgot)
gives the same file, and the new ranks read the messages of the dead ones. They then hang or end in ``MPI_Init``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PLACE, PREFIX = Path("/dev/shm"), "mpich_shm_"


def clear() -> list[Path]:
    """Remove our segments that no process holds; returns them.

    Who makes a segment holds it from then on, so that one seen before the processes are asked is held or left behind.
    """
    ours, gone = os.getuid(), list[Path]()
    found = set[Path]()
    for file in PLACE.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):
            if file.lstat().st_uid == ours:
                found.add(file)
    for file in sorted(found - _held(ours)) if found else ():
        with suppress(FileNotFoundError):
            file.unlink()
            gone.append(file)
    return gone


def clear_everywhere() -> None:
    """On every node of the Slurm allocation this process is in; if it is in none, on this machine."""
    clear()
    nodes = os.environ.get("SLURM_JOB_NUM_NODES", "1")
    if nodes != "1":
        command = ["srun", f"--nodes={nodes}", "--ntasks-per-node=1", "--overlap", sys.executable, "-m", __spec__.name]
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(command, check=False, timeout=60, capture_output=True)


def _held(user: int) -> set[Path]:
    """What processes of that user have open, and mapped segments; one that does not show its own is no rank of ours."""
    held = set[Path]()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if process.stat().st_uid != user:
                continue
            lines = (process / "maps").read_text("utf-8", "replace").splitlines()
            paths = [line.split(maxsplit=5)[5] for line in lines if PREFIX in line]
            for number in (process / "fd").iterdir():
                with suppress(FileNotFoundError):
                    paths.append(str(number.readlink()))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        held |= {Path(path) for path in paths}
    return held


if __name__ == "__main__":
    clear()
