"""What the tests of OpenFOAM share: whether it is here, cases, and how one is run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hub.case import read
from hub.meshfile import MeshFile
from hub.runfolder import Attempt, Job
from solvers.cfd.openfoam import program
from solvers.cfd.openfoam.__main__ import OpenFOAM

#: Without OpenFOAM these tests are skipped, but not on the machines that judge: there it must be installed.
needed = pytest.mark.skipif(
    bool(program.missing()) and os.environ.get("CI") != "true", reason="OpenFOAM is not installed (apt: openfoam)"
)
WATER = {"name": "water", "density": "1000 kg/m3", "dynamic_viscosity": "1 mPa s"}


def case(selections: tuple[str, ...], conditions: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A case about water whose selections mean what a mesh file made by hand says."""
    return {
        "title": "test",
        "geometry": {"file": "part.step"},
        "solver": "cfd.openfoam",
        "bodies": [{"material": WATER}],
        "selections": {name: {"extreme": "x"} for name in selections},
        "conditions": conditions,
        **more,
    }


def attempt(folder: Path, mesh: MeshFile, data: dict[str, Any], ranks: int = 1) -> Attempt:
    """An attempt that is ready to be run."""
    solver, made = OpenFOAM(), folder / "mesh"
    made.mkdir(parents=True)
    mesh.write(made)
    documents = {"case.json": solver.in_si(solver.bind(read(data)))}
    files = {name: made / name for name in ("mesh.npz", "mesh.json")}
    return Attempt.create(folder / "1", documents, files, Job(name="test", argv=("-",), ranks=ranks))


def run(folder: Path, mesh: MeshFile, data: dict[str, Any], ranks: int = 1) -> tuple[Attempt, dict[str, Any] | None]:
    """The whole process, and its answer if it has one."""
    prepared = attempt(folder, mesh, data, ranks)
    with prepared.log.open("w") as log:
        command = [*OpenFOAM().command(ranks), str(prepared.folder)]
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False, timeout=240)
    file = prepared.out / "answer.json"
    return prepared, json.loads(file.read_bytes()) if file.is_file() else None
