"""What the solver of turbulent flow says before anything is computed."""

from pathlib import Path
from typing import Any

import pytest
from openfoam_cases import case, needed

from hub.case import read
from hub.problem import Refused
from hub.solver import StageError
from solvers.cfd.openfoam import program
from solvers.cfd.openfoam.__main__ import OpenFOAM

IN = {"kind": "inlet", "on": "in", "velocity": "1 m/s"}
OUT = {"kind": "outlet", "on": "out"}


def codes(**change: Any) -> set[str]:
    """Of every problem but that OpenFOAM may be missing here."""
    given = {"selections": ("in", "out", "wall"), "conditions": [IN, OUT]} | change
    try:
        OpenFOAM().bind(read(case(**given)))
    except Refused as refused:
        return {p.code for p in refused.problems} - {"openfoam-missing"}
    return set()


def test_a_good_case_has_no_problem() -> None:
    assert not codes()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"conditions": [OUT]}, "no-inlet"),
        ({"conditions": [IN]}, "no-outlet"),
        ({"conditions": [{**IN, "temperature": "300 K"}, OUT]}, "not-here"),
        ({"conditions": [{**IN, "turbulence_length": "1 mm", "viscosity_ratio": 2}, OUT]}, "two-lengths"),
        ({"conditions": [IN, OUT, {"kind": "wall", "on": "in"}]}, "contradiction"),
        ({"parameters": {"cells": "hexahedra"}}, "cells"),
        ({"parameters": {"cells": "hexahedra"}, "domain": {"kind": "around", "along": [1, 1, 0]}}, "cells"),
        ({"bodies": [{"material": {"name": "x", "density": "1 kg/m3"}}]}, "missing-property"),
        ({"quantities": [{"name": "f", "kind": "force"}]}, "where-wanted"),
        ({"quantities": [{"name": "f", "kind": "force", "on": "wall", "component": "xx"}]}, "unknown-component"),
        ({"quantities": [{"name": "c", "kind": "force_coefficient", "on": "wall"}]}, "unknown-component"),
        ({"quantities": [{"name": "x", "kind": "reattachment", "on": "wall", "component": "x"}]}, "where-wanted"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said(change: dict[str, Any], code: str) -> None:
    assert code in codes(**change)


def test_without_openfoam_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(program, "PROGRAMS", str(tmp_path))
    assert OpenFOAM().describe().name == "cfd.openfoam"
    with pytest.raises(Refused, match="apt-get install openfoam"):
        OpenFOAM().bind(read(case(("in", "out"), [IN, OUT])))


def test_one_process_is_started_whatever_the_ranks() -> None:
    assert "mpiexec" not in OpenFOAM().command(4)


def test_its_programs_see_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "elsewhere")
    monkeypatch.setenv("MPI_HOME", "elsewhere")
    assert "elsewhere" not in program.environment(tmp_path).values()


@needed
def test_its_own_words_tell_why_a_program_stopped(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"blockMesh of OpenFOAM stopped: .*controlDict"):
        program.run(tmp_path, "blockMesh")
