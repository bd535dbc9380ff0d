"""What tests of several rooms share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py  # noqa: F401 - first of the three libraries here that bring an HDF5 of their own
import pytest
from one_machine import OneMachine
from serving import Hub, serve

from hub.settings import Settings

# tests that start a solver themselves find the mpiexec our MPI was made with, as the hub's jobs do
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
# PETSc, loaded by some tests, would end this process when a socket of another test breaks
os.environ["PETSC_OPTIONS"] = "-no_signal_handler"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A fresh hub for a module of tests."""
    home: Path = tmp_path_factory.mktemp("hub") / "home"
    with serve(Settings(home=home)) as served:
        yield served


@pytest.fixture(scope="session")
def one_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneMachine]:
    """A Slurm cluster on this machine; where CI is set, a machine that cannot have one fails."""
    missing = [
        p for p in ("slurmctld", "munged", "sshd") if not shutil.which(p, path=os.environ["PATH"] + ":/usr/sbin")
    ]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"not installed: {', '.join(missing)}")
    cluster = OneMachine(tmp_path_factory.mktemp("cluster"))
    os.environ.update(cluster.environment)
    yield cluster
    cluster.do("down")


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts an empty disk of so many MiB; needs root."""
    folder = tmp_path / "disk"

    def mount(size: int) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small disk needs root")
        return folder

    yield mount
    for _ in range(50):
        if not folder.is_mount() or not subprocess.run(["umount", str(folder)], check=False).returncode:
            return
        time.sleep(0.1)
