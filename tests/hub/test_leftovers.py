"""What killed MPI jobs leave in shared memory: real ranks, really killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from hub import leftovers

RANK = """
import os, signal, sys
from mpi4py import MPI
MPI.COMM_WORLD.barrier()
if MPI.COMM_WORLD.rank == 0:
    print("up", *[w for line in open("/proc/self/maps") for w in line.split() if "mpich_shm" in w], flush=True)
sys.stdin.read() if MPI.COMM_WORLD.rank == 0 else signal.pause()
"""


def test_what_killed_ranks_leave_is_cleared_and_what_living_ones_hold_is_not() -> None:
    command = [str(Path(sys.executable).with_name("mpiexec")), "-n", "2", sys.executable, "-c", RANK]
    job = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert job.stdout is not None
        word, *segments = job.stdout.readline().split()
        held = {Path(s) for s in segments}
        assert word == "up" and held
        assert not held & set(leftovers.clear())
        assert all(file.exists() for file in held)
    finally:
        for process in psutil.Process(job.pid).children(recursive=True):
            process.send_signal(signal.SIGKILL)
        job.communicate(timeout=20)
    assert all(file.exists() for file in held), "MPICH clears up after killed ranks by itself now: this module can go"
    assert held <= set(leftovers.clear())
    assert not any(file.exists() for file in held)
