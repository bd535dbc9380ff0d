"""Flows that go on behind an end where they began at another, against closed forms and tables, on one rank and two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import ducts
import gmsh
import numpy as np
import pytest
from rectangles import rectangle

from hub.case import read
from hub.check import check_case, with_materials
from hub.intake import inspect
from hub.meshfile import MeshFile
from hub.periodic import ends
from hub.selection import resolve_all
from hub.solver import StageError
from solvers.cfd.flow.__main__ import Flow
from solvers.cfd.flow.boundary import Boundary, Condition, Periodic, Wall
from solvers.cfd.flow.forces import Forces
from solvers.cfd.flow.state import Flow as State
from solvers.cfd.flow.state import Fluid
from solvers.fem.mesh import distribute
from solvers.meshing import stages

# isort: split
import ufl
from dolfinx import fem

from solvers.cfd.flow import checkpoint, driving, periodic, steady, unsteady

ROOT = Path(__file__).parents[3]
ROWS, NEIGHBOURS = ("rows",), ("neighbours",)


def joined(mesh: MeshFile, *pairs: tuple[str, str]) -> MeshFile:
    """A mesh whose pairs of selections go on into each other, the first into the second, and their shifts."""
    found = []
    for low, high in pairs:
        first, last = (
            mesh.points[np.unique(mesh.facets[np.isin(mesh.facet_face, mesh.selections[n])])].mean(axis=0)
            for n in (low, high)
        )
        found.append({"on": [low, high], "low": mesh.selections[low], "high": mesh.selections[high],
                      "shift": (last - first).tolist()})  # fmt: skip
    return replace(mesh, numbers={"periodic": found})


def condition(mesh: MeshFile, number: int = 0, **driven: float) -> Periodic:
    pair = mesh.numbers["periodic"][number]
    dim = mesh.dimension
    return Periodic("-".join(pair["on"]), tuple(pair["on"]), tuple(pair["low"]), tuple(pair["shift"][:dim]), 1.0,
                    **driven)  # fmt: skip


def made(mesh: MeshFile, viscosity: float, conditions: list[Condition], degree: int = 2) -> Boundary:
    flow = State(distribute(mesh), Fluid(1.0, viscosity), degree)
    boundary = Boundary(flow, conditions)
    driving.drive(flow, conditions, {})
    return boundary


@pytest.mark.parametrize("degree", [2, 3])
def test_between_plates(degree: int) -> None:
    """Poiseuille's parabola: quadratic elements hold it exactly."""
    mesh = joined(rectangle((3, 4), (0.5, 1.0)), ("left", "right"))
    boundary = made(mesh, 0.1, [condition(mesh, pressure_drop=0.6)], degree)
    flow = boundary.flow
    assert boundary.closed
    steady.solve(flow, boundary)
    y = boundary.x[:, 1]
    assert flow.u.x.array.reshape(-1, 2)[:, 0] == pytest.approx(0.6 / 0.5 / (2 * 0.1) * y * (1 - y), abs=1e-10)
    passes = boundary.passing(boundary.conditions[0])  # type: ignore[arg-type]
    assert passes == pytest.approx(0.6 / 0.5 / (12 * 0.1), rel=1e-9)
    # both walls together hold what the pressure drop pushes at one end
    assert Forces(flow, boundary).force(boundary.rest)[0] == pytest.approx(0.6, rel=1e-9)


def test_along_a_square_duct_in_space() -> None:
    """Shah and London 1978, table 42: f Re = 14.227, which is a mean speed of 0.035144 a^2 / nu times the drive."""
    mesh = _duct()
    boundary = made(mesh, 1.0, [condition(mesh, pressure_drop=0.4)])
    assert boundary.flow.unknowns > 3000
    steady.solve(boundary.flow, boundary)
    assert boundary.passing(boundary.conditions[0]) == pytest.approx(0.0351443, rel=2e-3)  # type: ignore[arg-type]


def _duct() -> MeshFile:
    """A square duct of side 1, 0.4 long in z, meshed by gmsh with ends that fit."""
    with ducts.model():
        gmsh.model.occ.addBox(0, 0, 0, 1, 1, 0.4)
        gmsh.model.occ.synchronize()
        ends_ = {round(gmsh.model.occ.getCenterOfMass(2, t)[2], 6): t for _, t in gmsh.model.getEntities(2)}
        shift = np.eye(4)
        shift[2, 3] = 0.4
        gmsh.model.mesh.setPeriodic(2, [ends_[0.4]], [ends_[0.0]], shift.ravel().tolist())
        ducts.sized("0.13")
        mesh = ducts.meshed(3, lambda x: "z0" if x[2] < 1e-6 else "z1" if x[2] > 0.4 - 1e-6 else "wall")
    return joined(mesh, ("z0", "z1"))


#: Drag of a tube over viscosity and mean speed, by the room that tubes in a square grid fill: A. S. Sangani,
#: A. Acrivos, Int. J. Multiphase Flow 8 (1982) 193-206, table 1.
GRID = {0.1: 24.83, 0.3: 102.90, 0.5: 532.55}
#: Drag of a ball over Stokes', where balls in a cubic grid fill an eighth of the room: A. A. Zick, G. M. Homsy,
#: J. Fluid Mech. 115 (1982) 13-26, table 2.
BALLS = 4.292
OIL = {"name": "oil", "source": "made up", "density": "1000 kg/m3", "dynamic_viscosity": "1 Pa*s"}


def case(fills: float, **more: Any) -> dict[str, Any]:
    """The tube bundle of ``cases/``, of tubes that fill so much of the room."""
    return {
        "title": "t",
        "geometry": {"file": "tubes.step"},
        "domain": {"kind": "plane", "face": "front"},
        "solver": "cfd.flow",
        "bodies": [{"material": OIL}],
        "selections": {
            "front": {"normal": "z"},
            "rows": {"any": [{"normal": "-x"}, {"normal": "x"}]},
            "neighbours": {"any": [{"normal": "-y"}, {"normal": "y"}]},
            "tube": {"type": "cylinder"},
        },
        "conditions": [
            {"kind": "periodic", "name": "rows", "on": "rows", "along": "x", "velocity": "1 mm/s"},
            {"kind": "periodic", "name": "neighbours", "on": "neighbours", "along": "y"},
        ],
        "mesh": {"size": "0.7 mm", "refine": [{"on": "tube", "size": "0.35 mm"}]},
        "quantities": [{"name": "drag", "kind": "force", "on": "tube", "component": "x"}],
        **more,
    }


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """A square of 10 mm with the hole of a tube, 1 mm thick, for each of GRID."""
    found = {}
    for fills in GRID:
        with ducts.model():
            gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
            cad = gmsh.model.occ
            radius = float(np.sqrt(fills * 100 / np.pi))
            cad.cut([(3, cad.addBox(-5, -5, 0, 10, 10, 1))], [(3, cad.addCylinder(0, 0, -1, 0, 0, 3, radius))])
            cad.synchronize()
            found[fills] = tmp_path_factory.mktemp("grid") / "tubes.step"
            gmsh.write(str(found[fills]))
    return found


def run(data: dict[str, Any], step: Path, folder: Path, ranks: int = 1) -> dict[str, float]:
    """Mesh and solve a case as a run does, and the numbers of its answer."""
    from hub.runfolder import Attempt, Job

    bound = Flow().bind(read(with_materials(data)))
    si = Flow().in_si(bound)
    verdict = inspect(step)
    typed = read(si, si=True)
    chosen, problems = resolve_all(typed, verdict)
    assert not problems
    attempt = Attempt(folder / f"solve-{ranks}")
    attempt.inputs.mkdir(parents=True)
    attempt.out.mkdir()
    stages.build(step, verdict, typed, chosen).write(attempt.inputs)
    (attempt.inputs / "case.json").write_text(json.dumps(si))
    job = Job(name="x", argv=("x",), ranks=ranks, memory=1e9, time=600)
    (attempt.folder / "job.json").write_text(job.model_dump_json())
    ran = subprocess.run(
        [str(Path(sys.executable).parent / "mpiexec"), "-n", str(ranks), sys.executable, "-m", "solvers.cfd.flow",
         "run", str(attempt.folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:] + ran.stdout[-2000:]
    answer = json.loads((attempt.out / "answer.json").read_text())
    assert all(c["passed"] for c in answer["checks"]), answer["checks"]
    return {name: q["value"] for name, q in answer["quantities"].items()}


@pytest.mark.parametrize("fills", GRID)
def test_drag_of_tubes_in_a_grid(fills: float, grid: dict[float, Path], tmp_path: Path) -> None:
    """The flow is given, the pressure drop found; two pairs of ends meet at four corners."""
    found = run(case(fills), grid[fills], tmp_path)
    assert found["drag"] / 1e-3 == pytest.approx(GRID[fills], rel=4e-4)
    assert found["pressure_drop"] * 0.01 == pytest.approx(found["drag"], rel=1e-5)
    assert found["flow_1"] == pytest.approx(1e-3 * 0.01, rel=1e-6)


def test_two_ranks_find_the_same(grid: dict[float, Path], tmp_path: Path) -> None:
    data = case(0.3, mesh={"size": "1.2 mm"})
    one, two = (run(data, grid[0.3], tmp_path, ranks) for ranks in (1, 2))
    for name in ("drag", "pressure_drop", "max_speed"):
        assert two[name] == pytest.approx(one[name], rel=1e-6)


def test_drag_of_balls_in_a_grid(tmp_path: Path) -> None:
    """Ends in all three directions, in space, by iterations, on two ranks."""
    radius = (3 * 0.125 / (4 * np.pi)) ** (1 / 3)
    with ducts.model():
        gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
        cad = gmsh.model.occ
        cad.cut([(3, cad.addBox(-5, -5, -5, 10, 10, 10))], [(3, cad.addSphere(0, 0, 0, 10 * radius))])
        cad.synchronize()
        gmsh.write(str(tmp_path / "balls.step"))
    data = case(0.3, domain={"kind": "part"}, mesh={"size": "1.4 mm", "refine": [{"on": "ball", "size": "0.7 mm"}]})
    balls = {"ball": {"type": "sphere"}}
    data["selections"] = {a: {"any": [{"normal": f"-{a}"}, {"normal": a}]} for a in "xyz"} | balls
    data["conditions"] = [{"kind": "periodic", "name": a, "on": a, "along": a} for a in "xyz"]
    data["conditions"][1]["mass_flow"] = "0.1 g/s"
    data["parameters"] = {"error_bars": False}
    data["quantities"] = [{"name": "drag", "kind": "force", "on": "ball", "component": "y"}]
    found = run(data, tmp_path / "balls.step", tmp_path, 2)
    assert found["drag"] / (6 * np.pi * 0.01 * radius * 1e-3) == pytest.approx(BALLS, rel=5e-3)
    assert found["pressure_drop"] * 1e-4 == pytest.approx(found["drag"], rel=1e-4)


def test_layers_along_walls_that_end_at_ends(grid: dict[float, Path], tmp_path: Path) -> None:
    """A channel between two neighbouring tubes: layers along its walls fit at both ends, or the walls are refined."""
    data = case(0.3, mesh={"size": "1 mm", "layers": [{"on": "neighbours", "first": "0.1 mm", "count": 3}]})
    del data["conditions"][1]
    data["conditions"].append({"kind": "wall", "on": "tube"})
    found = run(data, grid[0.3], tmp_path)
    assert found["flow_1"] == pytest.approx(1e-3 * 0.01, rel=1e-6)
    # walls to both sides hold some of what drives the flow
    assert found["drag"] < 0.95 * found["pressure_drop"] * 0.01


def test_a_wave_decays() -> None:
    """Taylor's vortices in a box that repeats both ways: exp(-2 nu k^2 t), the pressure with its square."""
    k, nu = 2 * np.pi, 0.01
    mesh = joined(rectangle((16, 16)), ("left", "right"), ("bottom", "top"))
    boundary = made(mesh, nu, [condition(mesh, 0), condition(mesh, 1)], 3)
    flow = boundary.flow
    x = boundary.x

    def vortices(t: float) -> np.ndarray:
        size = np.exp(-2 * nu * k**2 * t)
        a, b = k * x[:, 0], k * x[:, 1]
        return size * np.stack([np.sin(a) * np.cos(b), -np.cos(a) * np.sin(b)], 1)

    flow.u.x.array[:] = vortices(0.0).ravel()
    unsteady.run(flow, boundary, unsteady.Settings(0.5, dt=0.005))
    assert flow.u.x.array.reshape(-1, 2) == pytest.approx(vortices(0.5), abs=1.5e-3)


def test_from_rest_to_the_parabola_and_on_from_a_checkpoint(tmp_path: Path) -> None:
    """What starts between plates is there after a while; a run that goes on finds each node again, joined ones too."""
    mesh = joined(rectangle((3, 6), (0.5, 1.0)), ("left", "right"))
    conditions: list[Condition] = [condition(mesh, pressure_drop=0.6)]
    boundary = made(mesh, 0.5, conditions)
    march = unsteady.March(boundary.flow, boundary, unsteady.Settings(3.0, courant=2.0))
    while march.flow.t < 1.0:
        march.step()
    checkpoint.save(tmp_path, march)
    other = made(mesh, 0.5, conditions)
    again = unsteady.March(other.flow, other, unsteady.Settings(3.0, courant=2.0))
    assert checkpoint.load(tmp_path, again) is not None
    assert other.flow.u.x.array == pytest.approx(boundary.flow.u.x.array, abs=1e-14)
    while not again.done:
        again.step()
    y = other.x[:, 1]
    # the slowest part of the start has gone to exp(-pi^2 nu t) by then
    assert other.flow.u.x.array.reshape(-1, 2)[:, 0] == pytest.approx(1.2 / (2 * 0.5) * y * (1 - y), abs=3e-5)


def test_heat_repeats_too() -> None:
    """A box heated along a wave, -k lap T = sin: T repeats with it."""
    from solvers.cfd.flow.transport import Kept, Transport

    mesh = joined(rectangle((16, 8)), ("left", "right"))
    part = distribute(mesh)
    still = fem.Function(fem.functionspace(part.mesh, ("Lagrange", 2, (2,))))
    walls = Kept("walls", part.facets(["bottom", "top"]), 0.0)
    heat = Transport(part, still, 0.0, [walls])
    heat.capacity.x.array[:] = heat.conductivity.x.array[:] = 1.0
    x = ufl.SpatialCoordinate(part.mesh)
    wave = ufl.sin(2 * ufl.pi * x[0] + 0.7) * ufl.sin(ufl.pi * x[1])
    source = fem.Expression(5 * ufl.pi**2 * wave, heat.DG0.element.interpolation_points)
    heat.source.interpolate(source)
    heat.solve()
    exact = fem.Function(heat.S)
    exact.interpolate(fem.Expression(wave, heat.S.element.interpolation_points))
    assert heat.s.x.array == pytest.approx(exact.x.array, abs=0.02)


def test_ends_are_sorted_and_matched() -> None:
    """Two faces at each end, in any order; the shift need not lie along the direction."""
    found = ends([2.0, 1.0, 1.0, 2.0], [(0, 0, 0), (5, 1, 0), (0, 1, 0), (5, 0, 0)], (1, 0, 0))
    assert (found.low, found.high) == ((0, 2), (3, 1))
    assert found.shift == pytest.approx([5, 0, 0])


@pytest.mark.parametrize(
    ("areas", "middles", "said"),
    [
        ([1.0], [(0, 0, 0)], "one face"),
        ([1.0, 1.0], [(0, 0, 0), (0, 4, 0)], "side by side"),
        ([1.0, 1.0, 1.0], [(0, 0, 0), (5, 0, 0), (5, 1, 0)], "not as many"),
        ([1.0, 1.2], [(0, 0, 0), (5, 0, 0)], "1.2 times"),
        ([1.0, 3.0, 2.0, 2.0], [(0, 0, 0), (0, 1, 0), (5, 0, 0), (5, 1, 0)], "not the same"),
    ],
)
def test_ends_that_are_not_alike(areas: list[float], middles: list[tuple[float, ...]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ends(areas, middles, (1, 0, 0))


def test_what_is_wrong_is_told_before_meshing(grid: dict[float, Path]) -> None:
    """A side and the tube are no two ends."""
    data = case(0.3)
    data["selections"]["rows"] = {"any": [{"normal": "-x"}, {"type": "cylinder"}]}
    [problem] = resolve_all(read(with_materials(data)), inspect(grid[0.3]))[1]
    assert problem.code == "not-periodic"
    assert problem.where == "conditions[0].on"


def test_bodies_of_conditions_are_looked_for_before_meshing(grid: dict[float, Path]) -> None:
    data = case(0.3)
    data["conditions"].append({"kind": "porous", "bodies": ["filter"], "permeability": "1 mm2"})
    found = {p.where: p for p in check_case(data, grid[0.3]).problems}
    assert found["conditions[2].bodies"].code == "unknown-body"
    assert found["conditions[2].bodies"].found == "filter"


def test_meshes_that_do_not_fit_are_refused() -> None:
    mesh = joined(ducts.rectangle(1, 1, "0.05+0.1*x*y"), ("left", "right"))
    with pytest.raises(StageError, match="do not fit") as stopped:
        made(mesh, 1.0, [condition(mesh, pressure_drop=1.0)])
    assert stopped.value.code == "not-periodic"


def test_where_nodes_are() -> None:
    """Of two joined nodes either place is given, and the other is among those a shift away."""
    mesh = joined(rectangle((2, 2)), ("left", "right"), ("bottom", "top"))
    part = distribute(mesh)
    space = periodic.space(part, ("Lagrange", 2))
    assert space.dofmap.index_map.size_global == 16
    every = np.concatenate(list(periodic.places(part, space)))
    for corner in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)):
        assert np.linalg.norm(every - corner, axis=1).min() < 1e-12


def test_a_moving_wall_may_drive_what_repeats() -> None:
    """Couette's flow: no pressure drop, a straight profile."""
    mesh = joined(rectangle((2, 3)), ("left", "right"))
    boundary = made(mesh, 0.1, [condition(mesh), Wall("lid", ("top",), (1.0, 0.0, 0.0))])
    steady.solve(boundary.flow, boundary)
    assert boundary.flow.u.x.array.reshape(-1, 2)[:, 0] == pytest.approx(boundary.x[:, 1], abs=1e-10)


def test_heat_through_a_wall_beside_what_repeats(tmp_path: Path) -> None:
    """A wall of steel under a stream that goes on, hot below and cold above: two slopes, whatever flows."""
    with ducts.model():
        gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
        cad = gmsh.model.occ
        cad.fragment([(3, cad.addBox(0, 0, 0, 6, 4, 1))], [(3, cad.addBox(0, 4, 0, 6, 6, 1))])
        cad.synchronize()
        gmsh.write(str(tmp_path / "wall.step"))
    oil = OIL | {"specific_heat": "2000 J/kg/K", "thermal_conductivity": "0.2 W/m/K"}
    steel = {"name": "steel", "source": "made up", "thermal_conductivity": "0.4 W/m/K"}
    data = case(
        0.3, mesh={"size": "1.5 mm"}, quantities=[{"name": "t", "kind": "temperature", "at": ["1 mm", "4 mm", "0"]}]
    )
    data["geometry"] |= {"contacts": "bonded"}
    data["bodies"] = [{"on": "body 1", "material": steel}, {"on": "body 2", "material": oil}]
    both = {way: {"normal": way, "count": 2} for way in ("x", "-x", "z")}
    data["selections"] = {"front": both["z"], "rows": {"any": [both["-x"], both["x"]]},
                          "hot": {"extreme": "-y"}, "cold": {"extreme": "y"}}  # fmt: skip
    data["conditions"] = [
        {"kind": "periodic", "name": "rows", "on": "rows", "along": "x", "velocity": "1 mm/s"},
        {"kind": "temperature", "on": "hot", "value": "50 degC"},
        {"kind": "temperature", "on": "cold", "value": "20 degC"},
    ]
    found = run(data, tmp_path / "wall.step", tmp_path)
    # 4 mm of steel take a quarter of what 4 / .4 + 6 / .2 take together
    assert found["t"] - 273.15 == pytest.approx(50 - 30 * 10 / 40, abs=1e-6)
    # between plates 6 mm apart: 12 mu U L / h^2
    assert found["pressure_drop"] == pytest.approx(12 * 1e-3 * 6e-3 / 6e-3**2, rel=1e-6)


def test_a_bore_whose_ends_are_lids(tmp_path: Path) -> None:
    """Hagen and Poiseuille: 32 mu U L / D^2, in the fluid found inside a block, between round openings."""
    with ducts.model():
        gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
        cad = gmsh.model.occ
        cad.cut([(3, cad.addBox(0, -8, -8, 12, 16, 16))], [(3, cad.addCylinder(-1, 0, 0, 14, 0, 0, 5))])
        cad.synchronize()
        gmsh.write(str(tmp_path / "block.step"))
    data = case(0.3, domain={"kind": "inside", "openings": ["a", "b"]}, mesh={"size": "3 mm"}, quantities=[])
    data["selections"] = {"a": {"normal": "-x"}, "b": {"normal": "x"}}
    data["conditions"] = [{"kind": "periodic", "on": ["a", "b"], "along": "x", "velocity": "1 mm/s"}]
    data["parameters"] = {"error_bars": False}
    found = run(data, tmp_path / "block.step", tmp_path)
    assert found["pressure_drop"] == pytest.approx(32 * 1e-3 * 12e-3 / 0.01**2, rel=5e-3)
    assert found["reynolds"] == pytest.approx(1000 * 1e-3 * 0.01, rel=2e-3)
