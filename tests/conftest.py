"""What tests of several rooms share."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
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
