"""Heat and scalars in flows against closed forms and the benchmark of a heated cavity; balances; answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ducts
import numpy as np
import pytest
from rectangles import SIDES, rectangle

from hub.case import read
from hub.check import with_materials
from hub.meshfile import MeshFile
from hub.result import Answer
from hub.runfolder import Attempt
from hub.solver import BoundCase, StageError
from solvers.cfd.flow.__main__ import Flow
from solvers.fem.mesh import distribute
from solvers.meshing import gaps

# isort: split
from solvers.cfd.flow import answer, overtime, solution

#: A fluid of unit properties but for its viscosity.
FLUID = {
    "name": "fluid",
    "density": "1 kg/m3",
    "dynamic_viscosity": "0.1 Pa s",
    "thermal_conductivity": "1 W/m/K",
    "specific_heat": "10 J/kg/K",
    "volumetric_expansion": "1e-3 1/K",
}


def bound(conditions: list[dict[str, Any]], bodies: Any = None, **more: Any) -> BoundCase:
    case = {
        "title": "t",
        "geometry": {"file": "a.step"},
        "solver": "cfd.flow",
        "bodies": bodies or [{"material": FLUID}],
        "selections": {side: {"extreme": "x"} for side in SIDES},
        "conditions": conditions,
        **more,
    }
    return Flow().bind(read(with_materials(case)))


def answered(case: BoundCase, mesh: MeshFile, folder: Path) -> Answer:
    (folder / "out").mkdir()
    found = answer.make(case, distribute(mesh), Attempt(folder))
    assert found is not None
    assert (folder / "out" / "fields.vtu").stat().st_size > 1000
    return found


def test_a_channel_heated_evenly(tmp_path: Path) -> None:
    """Developed flow between plates 1 m apart: f = 96/Re and Nu = 8.235, both by the hydraulic diameter of 2 m.

    R. K. Shah, A. L. London, Laminar Flow Forced Convection in Ducts, Academic Press 1978, ch. VI.
    """
    flux, speed, length = 50.0, 1.0, 12.0
    case = bound(
        [
            {"kind": "inlet", "name": "in", "on": "left", "velocity": f"{speed} m/s", "temperature": "20 degC"},
            {"kind": "outlet", "name": "out", "on": "right"},
            {"kind": "heat_flux", "on": "bottom", "value": f"{flux} W/m2"},
            {"kind": "heat_flux", "on": "top", "value": f"{flux} W/m2"},
        ],
        bodies=[{"material": {**FLUID, "specific_heat": "100 J/kg/K"}}],
        quantities=[{"name": "wall", "kind": "temperature", "at": ["12 m", "1 m", "0 m"]}],
        parameters={"highest_pressure_drop": "20 Pa", "residence_time": True, "scalar_diffusivity": "0.01 m2/s"},
    )
    found = answered(case, rectangle((24, 6), (length, 1.0)), tmp_path)
    q = {name: quantity.value for name, quantity in found.quantities.items()}
    assert q["pressure_drop"] == pytest.approx(12 * 0.1 * speed * length, rel=1e-6)
    # a little is conducted back out of the inlet
    assert q["outlet_temperature_1"] - 293.15 == pytest.approx(2 * flux * length / (100 * speed), rel=1e-2)
    assert flux * 2 / (q["wall"] - q["outlet_temperature_1"]) == pytest.approx(8.235, rel=1e-2)
    # Danckwerts: the mean age of what leaves is volume over flow
    assert q["outlet_residence_time_1"] == pytest.approx(length / speed, rel=5e-3)
    assert all(check.passed for check in found.checks), found.checks
    assert found.verdict.answer == "yes"
    assert {"en", "it"} <= set(found.verdict.sentence)


def test_bars_of_two_meshes_hold_the_truth_and_are_not_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A square duct: f Re = 56.908 (R. K. Shah, A. L. London, Laminar Flow Forced Convection in Ducts, 1978)."""
    monkeypatch.setattr(overtime, "CUBIC", 0)
    case = bound(
        [{"kind": "inlet", "on": "x0", "velocity": "1 m/s"}, {"kind": "outlet", "on": "x1"}],
        selections={side: {"extreme": "x"} for side in ("x0", "x1")},
        quantities=[{"name": "along", "kind": "pressure_drop", "at": ["500 mm", "500 mm", "500 mm"],
                     "to": ["1500 mm", "500 mm", "500 mm"]}],
    )  # fmt: skip
    (coarser := tmp_path / "in" / "coarser").mkdir(parents=True)
    ducts.box((2.0, 1.0, 1.0), 0.35).write(coarser)
    found = answered(case, ducts.box((2.0, 1.0, 1.0), 0.25), tmp_path).quantities["along"]
    assert found.error_method == answer.TWO_MESHES and found.error is not None
    assert abs(found.value - 56.908 * 0.1 / 2) < found.error < 0.2 * found.value


@pytest.mark.parametrize("degree", [2, 3])
def test_what_a_swirling_flow_carries_is_kept_on_a_coarse_mesh(degree: int, tmp_path: Path) -> None:
    """Past a cylinder that heats, on coarse curved cells: heat balances, and the mean age is volume over flow
    (P. V. Danckwerts, Chem. Eng. Sci. 2 (1953) 1-13), less what diffuses back out of the inlet."""
    case = bound(
        [
            {"kind": "inlet", "name": "in", "on": "inlet", "velocity": "0.2 m/s", "temperature": "20 degC"},
            {"kind": "outlet", "name": "out", "on": "outlet"},
            {"kind": "heat_flux", "on": "cylinder", "value": "50 W/m2"},
            {"kind": "convection", "on": "walls", "coefficient": "5 W/m2/K", "ambient": "10 degC"},
        ],
        bodies=[{"material": {**FLUID, "dynamic_viscosity": "1e-3 Pa s", "specific_heat": "5e4 J/kg/K"}}],
        selections={name: {"extreme": "x"} for name in ("inlet", "outlet", "cylinder", "walls")},
        parameters={
            "residence_time": True, "error_bars": False, "scalar_diffusivity": "1e-6 m2/s", "degree": degree,
        },
    )  # fmt: skip
    found = answered(case, ducts.cylinder(0.03, 0.08), tmp_path)
    assert {c.name: c.value for c in found.checks}["energy_balance"] < 1e-7
    age = (2.2 * 0.41 - np.pi * 0.05**2) / (0.2 * 0.41)
    assert found.quantities["outlet_residence_time_1"].value == pytest.approx(age, rel=1e-3)


def test_heat_passes_from_solid_to_fluid(tmp_path: Path) -> None:
    """A plate of copper under still fluid between two temperatures: resistances in series, with convection on top."""
    solid = {"name": "plate", "thermal_conductivity": "4 W/m/K"}
    case = bound(
        [
            {"kind": "wall", "on": "right", "velocity": ["0", "1e-9 m/s", "0"]},
            {"kind": "temperature", "name": "below", "on": "bottom", "value": "350 K"},
            {"kind": "convection", "name": "above", "on": "top", "coefficient": "2 W/m2/K", "ambient": "300 K"},
        ],
        bodies=[{"on": "layer 1", "material": solid}, {"on": "layer 2", "material": FLUID}],
    )
    found = answered(case, rectangle((6, 8), (2.0, 1.0), layers=[0.5]), tmp_path)
    heat = 2.0 * 50 / (0.5 / 4 + 0.5 / 1 + 1 / 2)
    assert found.quantities["heat_1"].value == pytest.approx(heat, rel=1e-6)
    assert found.quantities["heat_2"].value == pytest.approx(-heat, rel=1e-6)


#: G. de Vahl Davis, Int. J. Numer. Methods Fluids 3 (1983) 249-264: Ra -> mean Nu, largest u and v on the middle lines.
DE_VAHL_DAVIS = {
    1e3: (1.118, 3.649, 3.697),
    1e4: (2.243, 16.178, 19.617),
    1e5: (4.519, 34.73, 68.59),
    1e6: (8.800, 64.63, 219.36),
}


@pytest.mark.parametrize("rayleigh", DE_VAHL_DAVIS)
def test_a_heated_cavity(rayleigh: float) -> None:
    air = {**FLUID, "dynamic_viscosity": "0.71 Pa s", "specific_heat": "1 J/kg/K"}
    case = bound(
        [
            {"kind": "temperature", "name": "warm", "on": "left", "value": "301 K"},
            {"kind": "temperature", "name": "cold", "on": "right", "value": "300 K"},
        ],
        bodies=[{"material": air}],
        parameters={"gravity": ["0", f"{-710 * rayleigh} m/s2", "0"]},
    )
    cells = 16 if rayleigh < 1e6 else 24
    part = distribute(rectangle((cells, cells), graded=lambda x: (1 - np.cos(np.pi * x)) / 2))
    found = solution.prepare(case, solution.Bodies(case, part), 2)
    solution.solve_steady(found, lambda step, residual: None)
    assert found.heat is not None
    warm, cold = found.heat.through_kept()
    assert warm == pytest.approx(-cold, rel=1e-4)
    nusselt, across, up = DE_VAHL_DAVIS[rayleigh]
    assert warm == pytest.approx(nusselt, rel=5e-3)
    u, x = found.flow.u.x.array.reshape(-1, 2), found.boundary.x
    assert u[np.isclose(x[:, 0], 0.5), 0].max() == pytest.approx(across, rel=1e-2)
    assert u[np.isclose(x[:, 1], 0.5), 1].max() == pytest.approx(up, rel=1.5e-2)


@pytest.mark.parametrize(
    ("size", "below", "told"),
    [("0.9", "wall", True), ("0.9", "symmetry", False), ("0.2", "wall", False)],
)
def test_a_gap_with_too_few_cells_is_told_with_the_size_to_choose(size: str, below: str, told: bool) -> None:
    case, mesh = _duct(size, below)
    found = solution.prepare(case, solution.Bodies(case, distribute(mesh)), 2)
    notes = [note for note in found.doubts if "across the gap" in note["en"]]
    assert len(notes) == told, mesh.numbers
    assert all("attraverso la luce" in note["it"] and "330\N{NO-BREAK SPACE}mm" in note["it"] for note in notes)


def test_a_gap_without_cells_is_refused_before_anything_is_solved() -> None:
    case, mesh = _duct("4", "wall")
    with pytest.raises(StageError) as refused:
        solution.prepare(case, solution.Bodies(case, distribute(mesh)), 2)
    assert refused.value.code == "gap-not-meshed" and "at most 330\N{NO-BREAK SPACE}mm" in refused.value.hint


def _duct(size: str, below: str) -> tuple[BoundCase, MeshFile]:
    """A duct of 4 by 1 m in cells of a size."""
    case = bound(
        [
            {"kind": "inlet", "on": "left", "velocity": "1 m/s"},
            {"kind": "outlet", "on": "right"},
            {"kind": below, "on": "bottom"},
        ]
    )
    mesh = ducts.rectangle(4, 1, size)
    mesh.numbers["across_gaps"] = gaps.across(mesh, {0})
    return case, mesh


def test_too_fast_for_a_steady_flow_is_said_before_it_is_solved() -> None:
    case = bound([{"kind": "inlet", "on": "left", "velocity": "5 km/h"}, {"kind": "outlet", "on": "right"}],
                 bodies=[{"material": "water-20c"}])  # fmt: skip
    part = distribute(rectangle((4, 2)))
    with pytest.raises(StageError) as caught:
        solution.prepare(case, solution.Bodies(case, part), 2)
    assert caught.value.code == "turbulent"
    assert "cfd.openfoam" in caught.value.hint
