"""Flows whose answer is known, by OpenFOAM through our contract."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from ducts import pipe
from openfoam_cases import attempt, case, needed, run
from rectangles import rectangle
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader

from hub.case import read
from hub.meshfile import MeshFile
from hub.solver import StageError
from solvers.cfd.openfoam import answer, iterate
from solvers.cfd.openfoam.__main__ import OpenFOAM

pytestmark = needed
OIL = {"name": "oil", "density": "1000 kg/m3", "dynamic_viscosity": "0.1 Pa s"}


def channel(**more: object) -> dict:
    """Laminar oil, 0.1 m/s on average, between plates 10 mm apart, that enters with its parabola."""
    y = np.linspace(0, 10, 41)
    table = "y [mm], u [m/s]\n" + "\n".join(f"{v}, {0.6 * v / 10 * (1 - v / 10):.8f}" for v in y)
    return case(
        ("left", "right", "bottom", "top", "front"),
        [{"kind": "inlet", "on": "left", "table": {"csv": table}}, {"kind": "outlet", "on": "right"}],
        bodies=[{"material": OIL}],
        domain={"kind": "plane", "face": "front"},
        parameters={"model": "laminar", "residual": 1e-6, "tolerance": 1e-4, **more},
        quantities=[
            {"name": "pull", "kind": "force", "on": "bottom", "component": "x"},
            {"name": "middle", "kind": "velocity", "at": ["25 mm", "5 mm", "0 mm"], "component": "x"},
            {"name": "shear", "kind": "wall_shear_stress", "on": "top", "component": "mean"},
        ],
    )


def mesh(cells: tuple[int, int] = (40, 16)) -> MeshFile:
    return rectangle(cells, (0.05, 0.01))


def test_poiseuille_between_plates(tmp_path: Path) -> None:
    """Pressure drop 12 mu U L / h^2 = 60 Pa, shear 6 mu U / h = 6 Pa (H. Schlichting, Boundary-Layer Theory, ch. 5)."""
    done, found = run(tmp_path, mesh(), channel())
    assert found, done.log_tail(2000)
    values = {name: q["value"] for name, q in found["quantities"].items()}
    assert values["pressure_drop"] == pytest.approx(60.0, rel=0.05)
    # at walls finite volumes on triangles are of first order: 16 of them across the gap
    assert values["shear"] == pytest.approx(6.0, rel=0.09)
    assert values["pull"] == pytest.approx(6.0 * 0.05, rel=0.09)
    assert values["middle"] == pytest.approx(0.15, rel=0.01)
    assert values["inflow_1"] == pytest.approx(1e-3, rel=2e-3) and values["outflow_2"] == pytest.approx(1e-3, rel=2e-3)
    assert all(check["passed"] for check in found["checks"]), found["checks"]
    assert {"residuals", "history"} == {curve["name"] for curve in found["curves"]}
    lines = [json.loads(line) for line in (done.folder / "history.jsonl").read_text().splitlines()]
    assert lines[-1]["pressure_drop"] == pytest.approx(values["pressure_drop"], rel=1e-3)
    assert (done.out / "fields.vtu").stat().st_size > 10_000


def test_two_ranks_agree_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "CELLS_PER_RANK", 100)
    solver, found = OpenFOAM(), []
    for ranks in (1, 2):
        ready = attempt(tmp_path / str(ranks), mesh((20, 8)), channel(iterations=80), ranks)
        found.append(solver.solve(solver.bind(read(ready.read("case.json"), si=True), si=True), ready))
    one, two = (answer.quantities["pressure_drop"].value for answer in found)
    assert one == pytest.approx(two, rel=2e-3), "what the iterations leave"


def test_a_flow_that_runs_away_is_stopped_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterate, "WILD", 1.2)  # the peak of a parabola is 1.5 times its mean
    solver, ready = OpenFOAM(), attempt(tmp_path, mesh((20, 8)), channel())
    with pytest.raises(StageError, match=r"peak speed grew to .* near \(.*\) m") as stopped:
        solver.solve(solver.bind(read(ready.read("case.json"), si=True), si=True), ready)
    assert stopped.value.code == "diverged" and stopped.value.hint


def test_turbulent_pipe(tmp_path: Path) -> None:
    """Wall shear f/8 rho U^2 with f = 0.3164 Re^(-1/4) (Blasius 1913), Re 50 000, as far as coarse cells go."""
    conditions = [
        {"kind": "inlet", "on": "inlet", "velocity": "1 m/s", "profile": "developed"},
        {"kind": "outlet", "on": "outlet"},
    ]
    quantities = [{"name": "shear", "kind": "wall_shear_stress", "on": "wall", "component": "mean"}]
    data = case(("inlet", "outlet", "wall"), conditions, quantities=quantities, parameters={"iterations": 300})
    done, found = run(tmp_path, pipe(0.025, 0.2, 0.0075), data)
    assert found, done.log_tail(2000)
    shear = 0.3164 * 50_000**-0.25 / 8 * 1000
    assert found["quantities"]["shear"]["value"] == pytest.approx(shear, rel=0.15)
    assert found["quantities"]["shear"]["error"] is None and found["quantities"]["shear"]["statement"]["it"]
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["mass_balance"]["passed"] and checks["y_plus"]["passed"]


def cube_in_a_box(cells: int) -> MeshFile:
    """The skin of half a cube of 100 mm, cut at y = 0, and the sides of a box around it; no cells."""
    low, high = np.array([-0.3, 0.0, -0.3]), np.array([0.8, 0.3, 0.3])
    triangles, face = [], []

    def sheet(corner: np.ndarray, one: np.ndarray, two: np.ndarray, counts: tuple[int, int], number: int) -> None:
        for i in range(counts[0]):
            for j in range(counts[1]):
                a = corner + one * i / counts[0] + two * j / counts[1]
                b, c = one / counts[0], two / counts[1]
                triangles.extend([[a, a + b, a + b + c], [a, a + b + c, a + c]])
                face.extend([number, number])

    def sides(low: np.ndarray, high: np.ndarray, skip: set[tuple[int, int]], number: dict, counts: np.ndarray) -> None:
        span = np.diag(high - low)
        for axis in range(3):
            for end in (0, 1):
                if (axis, end) not in skip:
                    p, q = (k for k in range(3) if k != axis)
                    sheet(low + end * span[axis], span[p], span[q], (counts[p], counts[q]), number[axis, end])

    named = {(0, 0): 0, (0, 1): 1, (1, 0): 2, (1, 1): 3, (2, 0): 3, (2, 1): 3}
    sides(low, high, set(), named, np.ones(3, dtype=int))
    half = np.array([cells, cells // 2, cells])
    sides(np.array([-0.05, 0, -0.05]), np.full(3, 0.05), {(1, 0)}, dict.fromkeys(named, 4), half)
    points, index = np.unique(np.array(triangles).reshape(-1, 3).round(9), axis=0, return_inverse=True)
    names = ("upstream", "downstream", "symmetry", "far sides", "part")
    return MeshFile(
        points=points, cells=np.empty((0, 4), dtype=np.int64), cell_body=np.empty(0, dtype=np.int32),
        facets=index.reshape(-1, 3).astype(np.int64), facet_face=np.array(face, dtype=np.int32),
        bodies=[{"name": "fluid", "volume": 1.0}], faces=[{"index": i, "type": "plane"} for i in range(5)],
        selections={name: [i] for i, name in enumerate(names)}, numbers={},
    )  # fmt: skip


def test_drag_of_a_cube_in_hexahedra(tmp_path: Path) -> None:
    """Cd 1.05 face on (S. F. Hoerner, Fluid-Dynamic Drag, 1965, 3-17), as far as 8 cells along an edge go."""
    conditions = [
        {"kind": "inlet", "on": "upstream", "velocity": "2 m/s", "turbulence_intensity": 0.01, "viscosity_ratio": 5},
        {"kind": "outlet", "on": "downstream"},
    ]
    domain = {"kind": "around", "along": "x", "symmetry": "y"}
    data = case((), conditions, domain=domain, parameters={"iterations": 220, "tolerance": 0.02})
    done, found = run(tmp_path, cube_in_a_box(8), data, ranks=2)
    assert found, done.log_tail(2000)
    drag = found["quantities"]["drag_coefficient"]
    assert drag["value"] == pytest.approx(1.05, rel=0.3)
    assert drag["error"] > 0, "two meshes give a bar"
    area = found["quantities"]["drag"]["value"] / drag["value"] / (0.5 * 1000 * 4)
    assert area == pytest.approx(0.01, rel=0.01), "the shadow of the whole cube, though half of it was meshed"
    assert abs(found["quantities"]["lift_coefficient"]["value"]) < 0.1
    assert math.isfinite(found["quantities"]["max_speed"]["value"])
    assert found["views"][0]["kind"] == "section"
    assert volume_drawn(done.out / "fields.vtu") == pytest.approx(1.1 * 0.3 * 0.6 - 0.1 * 0.05 * 0.1, rel=1e-3)


def test_a_wake_that_never_rests_gives_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drag is the mean over the last iterations, its bar at least half of what it swung, and that is said."""
    for name, value in (("START", 10), ("SWING", 20), ("MEANS", 0.5)):
        monkeypatch.setattr(iterate, name, value)
    conditions = [
        {"kind": "inlet", "on": "upstream", "velocity": "2 m/s", "turbulence_intensity": 0.01, "viscosity_ratio": 5},
        {"kind": "outlet", "on": "downstream"},
    ]
    parameters = {"iterations": 200, "tolerance": 1e-6, "residual": 1e-8, "error_bars": False}
    domain = {"kind": "around", "along": "x", "symmetry": "y"}
    data = case((), conditions, domain=domain, parameters=parameters)
    solver, ready = OpenFOAM(), attempt(tmp_path, cube_in_a_box(4), data)
    found = solver.solve(solver.bind(read(ready.read("case.json"), si=True), si=True), ready)
    assert 50 <= found.iterations < 200, "stopped when there were enough of them"
    drag = found.curves[1].lines[0].y[-20:]
    assert np.ptp(drag) > 0 and found.quantities["drag"].value == pytest.approx(np.mean(drag), rel=1e-6)
    said = found.quantities["drag"].statement
    assert said is not None and "iterations left" in said["en"]
    assert {c.name for c in found.checks} == {"mass_balance", "steady_means", "y_plus"}
    assert any("swings" in note["en"] and "oscilla" in note["it"] for note in found.notes)


def volume_drawn(file: Path) -> float:
    """Of the tetrahedra in a VTU file, which must all be the right way round [m3]."""
    reader = vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(file))
    reader.Update()
    grid = reader.GetOutput()
    points = vtk_to_numpy(grid.GetPoints().GetData())
    a, b, c, d = points[vtk_to_numpy(grid.GetCells().GetConnectivityArray()).reshape(-1, 4)].transpose(1, 0, 2)
    volumes = np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) / 6
    assert volumes.min() > -1e-6 * volumes.max()
    return float(volumes.sum())
