"""``python -m solvers.cfd.flow.bench [--only 2D-1 ...]``: the DFG cylinder by OpenFOAM and by Officina.

Each program solves the same problem on its own meshes, from coarse to fine: OpenFOAM on hexahedra graded by hand,
with simpleFoam (SIMPLEC), icoFoam or pimpleFoam (PISO, BDF2), Officina on triangles and tetrahedra from gmsh. Printed
are the errors against the published values and the CPU seconds on one core for meshing and solving, the start of the
programs left out; then how much sooner Officina is as good as OpenFOAM ever was. The error compared is the worst of
the quantities, each in parts of its own tolerance, so that no lucky crossing of one of them counts. References: G.
Nabh, PhD thesis, Heidelberg 1998, as kept by the FeatFlow group, TU Dortmund (2D-1); V. John, Int. J. Numer. Meth.
Fluids 44 (2004) 777-788 (2D-3); M. Braack, T. Richter, Comput. Fluids 35 (2006) 372-392 (3D-1Z).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from solvers.cfd.flow import boundary as at  # first, for it loads MPI ahead of the bindings

# isort: split
from hub.meshfile import MeshFile
from solvers.cfd.flow import steady, unsteady
from solvers.cfd.flow.forces import Forces
from solvers.cfd.flow.state import Flow, Fluid
from solvers.cfd.openfoam import cylinder, program
from solvers.cfd.openfoam.cylinder import HEIGHT, NU, RADIUS, Channel
from solvers.fem.mesh import distribute


@dataclass(frozen=True)
class Ours:
    """One run of Officina. near, far : size of the cells at the cylinder and away from it [m]; dt : step [s]"""

    near: float
    far: float
    degree: int = 2
    dt: float | None = None


@dataclass(frozen=True)
class Theirs:
    """One run of OpenFOAM. fineness, name : of :func:`solvers.cfd.openfoam.cylinder.solve`; dt : step [s]"""

    fineness: int
    dt: float | None = None
    name: str = ""


@dataclass(frozen=True)
class Problem:
    """One benchmark. references : quantity -> (published value, relative tolerance); faster : what is aimed at"""

    channel: Channel
    references: dict[str, tuple[float, float]]
    ours: tuple[Ours, ...]
    theirs: tuple[Theirs, ...]
    faster: float


@dataclass(frozen=True)
class Measured:
    """One row. values : quantity -> value; mesh, solve : CPU seconds; worst : error in parts of the tolerance"""

    name: str
    values: dict[str, float]
    mesh: float
    solve: float
    worst: float

    @property
    def seconds(self) -> float:
        return self.mesh + self.solve


PROBLEMS = {
    "2D-1": Problem(
        Channel(2.2, 0.2, 0.3),
        {"cd": (5.57953523384, 1e-4), "cl": (0.010618948146, 1e-3), "dp": (0.11752016697, 1e-3)},
        (Ours(0.015, 0.06), Ours(0.01, 0.04), Ours(0.02, 0.08, 3), Ours(0.014, 0.05, 3), Ours(0.009, 0.035, 3)),
        (Theirs(8), Theirs(12), Theirs(17), Theirs(24)),
        20,
    ),
    "2D-3": Problem(
        Channel(2.2, 0.2, 1.5, until=8.0),
        {"cd": (2.950921575, 5e-4), "cl": (0.47795, 1e-2), "dp": (-0.1116, 5e-3)},
        (
            Ours(0.01, 0.04, dt=0.005),
            Ours(0.02, 0.08, 3, dt=0.01),
            Ours(0.02, 0.08, 3, dt=0.005),
            Ours(0.014, 0.05, 3, dt=0.0025),
        ),
        (
            Theirs(8, dt=0.0025),
            Theirs(8, dt=0.0025, name="icoFoam"),
            Theirs(13, dt=0.0015, name="icoFoam"),
        ),
        5,
    ),
    "3D-1Z": Problem(
        Channel(2.5, 0.5, 0.45, deep=True),
        {"cd": (6.18533, 3e-3), "cl": (0.009401, 3e-2)},
        (Ours(0.02, 0.14), Ours(0.014, 0.14), Ours(0.01, 0.12), Ours(0.008, 0.12), Ours(0.0065, 0.1)),
        (Theirs(5), Theirs(7), Theirs(10)),
        2,
    ),
}


# --- Officina -----------------------------------------------------------------------------------------------------


def mesh(channel: Channel, near: float, far: float) -> MeshFile:
    """The channel in curved triangles or tetrahedra that grow away from the cylinder; nodes where dp is measured."""
    import gmsh

    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        for key in ("FromPoints", "FromCurvature", "ExtendFromBoundary"):
            gmsh.option.setNumber("Mesh.MeshSize" + key, 0)
        cad, x0, dim = gmsh.model.occ, channel.centre, 3 if channel.deep else 2
        centre = cad.addPoint(x0, 0.2, 0)
        rim = [cad.addPoint(x0 + RADIUS * a, 0.2 + RADIUS * b, 0) for a, b in ((-1, 0), (0, -1), (1, 0), (0, 1))]
        arcs = [cad.addCircleArc(rim[i], centre, rim[(i + 1) % 4]) for i in range(4)]
        disk = [(2, cad.addPlaneSurface([cad.addCurveLoop(arcs)]))]
        sheet, _ = cad.cut([(2, cad.addRectangle(0, 0, 0, channel.length, HEIGHT))], disk)
        cad.remove([(0, centre)])
        if channel.deep:
            cad.extrude(sheet, 0, 0, HEIGHT)
        cad.synchronize()
        away = f"Sqrt((x-{x0})^2+(y-0.2)^2)-{RADIUS}"
        field = gmsh.model.mesh.field
        field.add("MathEval", 1)
        field.setString(1, "F", f"Min({far},{near}+{0.3 if channel.deep else 0.22}*Abs({away}))")
        field.setAsBackgroundMesh(1)
        gmsh.option.setNumber("Mesh.Algorithm3D", 10)
        gmsh.model.mesh.generate(dim)
        gmsh.model.mesh.setOrder(2)
        gmsh.model.mesh.optimize("HighOrder")
        return _mesh_file(channel, dim)
    finally:
        gmsh.finalize()


def _mesh_file(channel: Channel, dim: int) -> MeshFile:
    import gmsh

    tags, x, _ = gmsh.model.mesh.getNodes()
    row = np.zeros(int(tags.max()) + 1, dtype=np.int64)
    row[tags.astype(int)] = np.arange(len(tags))
    kinds = {1: (8, 3), 2: (9, 6), 3: (11, 10)}
    order = [0, 1, 2, 3, 4, 5, 6, 7, 9, 8] if dim == 3 else list(range(6))
    cells = row[gmsh.model.mesh.getElementsByType(kinds[dim][0])[1].astype(int)].reshape(-1, kinds[dim][1])[:, order]
    facets, face, selections = [], [], {name: [] for name in ("inlet", "outlet", "walls", "cylinder")}
    for i, (_, tag) in enumerate(gmsh.model.getEntities(dim - 1)):
        kind, width = kinds[dim - 1]
        facets.append(row[gmsh.model.mesh.getElementsByType(kind, tag)[1].astype(int)].reshape(-1, width))
        face.append(np.full(len(facets[-1]), i, dtype=np.int32))
        box = np.array(gmsh.model.getBoundingBox(dim - 1, tag))
        if box[3] < 1e-3 or box[0] > channel.length - 1e-3:
            name = "inlet" if box[3] < 1e-3 else "outlet"
        else:
            small = box[3] - box[0] < 3 * RADIUS and abs((box[1] + box[4]) / 2 - 0.2) < RADIUS
            name = "cylinder" if small else "walls"
        selections[name].append(i)
    return MeshFile(
        points=x.reshape(-1, 3), cells=cells, cell_body=np.zeros(len(cells), dtype=np.int32),
        facets=np.concatenate(facets), facet_face=np.concatenate(face), bodies=[{"name": "fluid", "volume": 1.0}],
        faces=[{"index": i, "type": "other"} for i in range(len(facets))], selections=selections, numbers={},
    )  # fmt: skip


def officina(problem: Problem, how: Ours) -> Measured:
    """Mesh, solve, measure."""
    channel, begun = problem.channel, time.process_time()
    made = mesh(channel, how.near, how.far)
    meshed = time.process_time()
    flow = Flow(distribute(made), Fluid(density=1.0, viscosity=NU), how.degree)
    held = at.Boundary(flow, _conditions(channel))
    forces, on = Forces(flow, held), flow.part.facets(["cylinder"])
    values: dict[str, float]
    if channel.until:
        rows = []
        settings = unsteady.Settings(until=channel.until, dt=how.dt)
        unsteady.run(flow, held, settings, each_step=lambda march: rows.append(forces.force(on) / channel.scale))
        cd, cl = np.array(rows)[:, :2].max(axis=0)
    else:
        steady.solve(flow, held)
        cd, cl = (forces.force(on) / channel.scale)[:2]
    values = {"cd": float(cd), "cl": float(cl)}
    if "dp" in problem.references:
        values["dp"] = _pressure(flow, channel.centre - RADIUS) - _pressure(flow, channel.centre + RADIUS)
    solved = time.process_time()
    name = f"Officina P{how.degree}/P{how.degree - 1}, {flow.unknowns} unknowns" + (
        f", dt {how.dt:g}" if how.dt else ""
    )
    return Measured(name, values, meshed - begun, solved - meshed, worst(problem, values))


def _conditions(channel: Channel) -> list[at.Condition]:
    def enters(x: np.ndarray) -> np.ndarray:
        u = 4 * channel.peak * x[:, 1] * (HEIGHT - x[:, 1]) / HEIGHT**2
        return u * 4 * x[:, 2] * (HEIGHT - x[:, 2]) / HEIGHT**2 if channel.deep else u

    history: Callable[[float], float] = (lambda t: math.sin(math.pi * t / 8)) if channel.until else at.always
    return [at.Inlet("inlet", ("inlet",), enters, history=history), at.Outlet("outlet", ("outlet",))]


def _pressure(flow: Flow, x: float) -> float:
    """At the end of the cylinder that lies at x, where the mesh has a node [Pa]."""
    places = flow.Q.tabulate_dof_coordinates()
    near = np.linalg.norm(places[:, :2] - [x, 0.2], axis=1)
    found = int(near.argmin())
    assert near[found] < 1e-9
    return float(flow.p.x.array[found])


# --- the comparison -----------------------------------------------------------------------------------------------


def errors(problem: Problem, values: dict[str, float]) -> dict[str, float]:
    """Relative error of each quantity."""
    return {name: abs(values[name] / value - 1) for name, (value, _) in problem.references.items()}


def worst(problem: Problem, values: dict[str, float]) -> float:
    """The largest error in parts of its tolerance."""
    return max(error / problem.references[name][1] for name, error in errors(problem, values).items())


def openfoam(problem: Problem, how: Theirs, folder: Path) -> Measured:
    """Mesh, solve, measure."""
    run = cylinder.solve(problem.channel, how.fineness, folder / f"{how.fineness}{how.name}", dt=how.dt, name=how.name)
    values = {name: getattr(run, name) for name in problem.references}
    return Measured(f"OpenFOAM {run.name}", values, run.mesh_seconds, run.seconds, worst(problem, values))


def compare(name: str, folder: Path, *, rival: bool) -> dict[str, Any]:
    """Every run of one benchmark; prints and returns the figures."""
    problem = PROBLEMS[name]
    head = "".join(f"{q:>10}" for q in problem.references)
    print(f"\nDFG {name}{'':41}{'mesh s':>8}{'solve s':>9}  error:{head[7:]}{'worst':>9}", flush=True)
    ours, theirs = [], []
    if rival:
        for how in problem.theirs:
            theirs.append(openfoam(problem, how, folder))
            _print(problem, theirs[-1])
    for one in problem.ours:
        ours.append(officina(problem, one))
        _print(problem, ours[-1])
    figures: dict[str, Any] = {"officina": [vars(m) for m in ours], "openfoam": [vars(m) for m in theirs]}
    if theirs:
        best = min(theirs, key=lambda m: m.worst)
        as_good = [m for m in ours if m.worst <= best.worst]
        print(f"  OpenFOAM's best is {best.worst:.3g} tolerances off after {best.seconds:.1f} s;", end=" ")
        if as_good:
            first = min(as_good, key=lambda m: m.seconds)
            figures["faster"] = best.seconds / first.seconds
            print(f"Officina is as good after {first.seconds:.2f} s: {figures['faster']:.1f} times as fast ", end="")
        else:
            print("Officina was never as good ", end="")
        print(f"(aim: {problem.faster:g})", flush=True)
    return figures


def _print(problem: Problem, m: Measured) -> None:
    found = "".join(f"{e:10.1e}" for e in errors(problem, m.values).values())
    print(f"{m.name:49}{m.mesh:8.2f}{m.solve:9.2f}{found}{m.worst:9.2f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="officina bench flow", description="OpenFOAM and Officina, error over time.")
    parser.add_argument("--only", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS), metavar="NAME")
    parser.add_argument("--without-openfoam", action="store_true", help="time Officina only")
    given = parser.parse_args()
    rival = not given.without_openfoam
    absence = program.absence()
    if rival and absence:
        print(f"{absence.found}; only Officina is timed. {absence.todo}", file=sys.stderr)
        rival = False
    figures = {}
    with tempfile.TemporaryDirectory(prefix="officina-bench-") as folder:
        for name in given.only:
            problem = PROBLEMS[name]
            short = Channel(**{**vars(problem.channel), "until": 0.05 if problem.channel.until else 0.0})
            for degree in {how.degree for how in problem.ours}:
                # what is compiled once in the life of an installation is compiled before
                officina(Problem(short, problem.references, (), (), 1), Ours(0.03, 0.2, degree, 0.01))
            figures[name] = compare(name, Path(folder) / name, rival=rival)
    print(json.dumps({"cores": os.cpu_count(), "figures": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
