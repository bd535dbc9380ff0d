"""``python -m solvers.fem.elasticity.bench [--unknowns N ...]``: the same mesh solved by CalculiX and by Officina.

The bracket has second-order tetrahedra on curved faces, is held at its back and pressed at its boss. CalculiX
(``ccx``) runs with SPOOLES on two threads, Officina on two ranks through the command of its solve stage, one after
the other. Times are wall times of the whole command, from its start to the last file written; what is compiled once
in the life of an installation is compiled before.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hub.case import read
from hub.meshfile import MeshFile
from hub.runfolder import Attempt, Done, Job
from solvers.fem.elasticity.__main__ import Elasticity

UNKNOWNS = (59_000, 216_000, 686_000)
YOUNG, POISSON, PRESSURE = 210e9, 0.3, 10e6


@dataclass(frozen=True)
class Measured:
    """What one program took: wall time [s], peak memory of all its processes [byte], largest displacement [m]."""

    seconds: float
    memory: float
    displacement: float


# --- the part -----------------------------------------------------------------------------------------------------


def bracket(size: float) -> MeshFile:
    """An L-bracket with a rib, a boss and five holes, meshed with elements of at most `size` [m]; uses gmsh."""
    import gmsh

    gmsh.initialize()
    gmsh.option.setNumber("General.Terminal", 0)
    cad = gmsh.model.occ
    base, wall = cad.addBox(0, 0, 0, 0.1, 0.08, 0.01), cad.addBox(0, 0, 0, 0.01, 0.08, 0.09)
    corners = [cad.addPoint(*p) for p in ((0.01, 0.036, 0.01), (0.07, 0.036, 0.01), (0.01, 0.036, 0.08))]
    sides = [cad.addLine(corners[i], corners[(i + 1) % 3]) for i in range(3)]
    rib = cad.extrude([(2, cad.addPlaneSurface([cad.addCurveLoop(sides)]))], 0, 0.008, 0)
    boss = (3, cad.addCylinder(0.082, 0.02, 0, 0, 0, 0.022, 0.012))
    part, _ = cad.fuse([(3, base)], [(3, wall), boss, *(e for e in rib if e[0] == 3)])
    holes = [(3, cad.addCylinder(-0.001, y, z, 0.012, 0, 0, 0.005)) for y in (0.018, 0.062) for z in (0.035, 0.072)]
    holes.append((3, cad.addCylinder(0.082, 0.02, -0.001, 0, 0, 0.03, 0.007)))
    cad.cut(part, holes)
    cad.synchronize()
    for name, value in {
        "Mesh.MeshSizeMax": size,
        "Mesh.MeshSizeMin": size / 6,
        "Mesh.MeshSizeFromCurvature": 12,
        "Mesh.Algorithm3D": 1,
    }.items():
        gmsh.option.setNumber(name, value)
    gmsh.model.mesh.generate(3)
    gmsh.model.mesh.setOrder(2)
    tags, points, _ = gmsh.model.mesh.getNodes()
    row = np.zeros(int(tags.max()) + 1, dtype=np.int64)
    row[tags.astype(int)] = np.arange(len(tags))
    _, _, nodes = gmsh.model.mesh.getElements(3)
    cells = row[nodes[0].astype(int)].reshape(-1, 10)[:, [0, 1, 2, 3, 4, 5, 6, 7, 9, 8]]
    facets, faces, selections = [], [], {"back": [], "boss": []}
    for index, (_, tag) in enumerate(gmsh.model.getEntities(2)):
        _, _, nodes = gmsh.model.mesh.getElements(2, tag)
        facets.append(row[nodes[0].astype(int)].reshape(-1, 6))
        x, y, z = gmsh.model.occ.getCenterOfMass(2, tag)
        kind = gmsh.model.getType(2, tag).lower()
        if kind == "plane" and abs(x) < 1e-6:
            selections["back"].append(index)
        if kind == "plane" and abs(z - 0.022) < 1e-6:
            selections["boss"].append(index)
        faces.append({"index": index, "bodies": [0], "type": kind, "area": cad.getMass(2, tag), "centroid": [x, y, z]})
    face = np.repeat(np.arange(len(facets)), [len(f) for f in facets]).astype(np.int32)
    volume = sum(cad.getMass(3, tag) for _, tag in gmsh.model.getEntities(3))
    gmsh.finalize()
    return MeshFile(
        points=points.reshape(-1, 3),
        cells=cells,
        cell_body=np.zeros(len(cells), dtype=np.int32),
        facets=np.concatenate(facets),
        facet_face=face,
        bodies=[{"name": "bracket", "volume": volume}],
        faces=faces,
        selections=selections,
        numbers={},
    )


def mesh_of(unknowns: int, folder: Path) -> MeshFile:
    """A mesh of about so many unknowns, made in a process of its own."""
    size, mesh = 0.008, None
    for _ in range(5):
        command = [sys.executable, "-m", "solvers.fem.elasticity.bench", "--mesh", f"{size:.6g}", str(folder)]
        subprocess.run(command, check=True)
        mesh = MeshFile.read(folder)
        found = 3 * len(mesh.points)
        if abs(found / unknowns - 1) < 0.04:
            return mesh
        size *= (found / unknowns) ** (1 / 2.6)
    return mesh


# --- the two programs ---------------------------------------------------------------------------------------------


def calculix(mesh: MeshFile, folder: Path) -> Measured:
    """Solve with CalculiX. Raises FileNotFoundError where it is not installed, RuntimeError if it fails."""
    write_input(mesh, folder / "bracket.inp")
    environment = os.environ | {"OMP_NUM_THREADS": "2", "CCX_NPROC_EQUATION_SOLVER": "2", "CCX_NPROC_STIFFNESS": "2"}
    start = time.perf_counter()
    with (folder / "ccx.log").open("w") as log:
        process = subprocess.Popen(
            ["ccx", "-i", "bracket"], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"ccx ended with {process.returncode}: {(folder / 'ccx.log').read_text()[-500:]}")
    return Measured(seconds, 1024.0 * used.ru_maxrss, largest_displacement(folder / "bracket.frd"))


def write_input(mesh: MeshFile, file: Path) -> None:
    """The model as an input file of CalculiX; its C3D10 numbers nodes as VTK does."""
    held = np.isin(mesh.facet_face, mesh.selections["back"])
    pressed = np.unique(mesh.facets[np.isin(mesh.facet_face, mesh.selections["boss"]), :3])
    corner = np.isin(mesh.cells[:, :4], pressed)
    loaded = np.flatnonzero(corner.sum(axis=1) == 3)
    opposite = {3: 1, 2: 2, 0: 3, 1: 4}  # the corner that is not on the face -> number of the face
    with file.open("w") as stream:
        stream.write("*NODE, NSET=ALL\n")
        np.savetxt(stream, np.column_stack([np.arange(1, len(mesh.points) + 1), mesh.points]), "%d,%.15g,%.15g,%.15g")
        stream.write("*ELEMENT, TYPE=C3D10, ELSET=PART\n")
        numbered = np.column_stack([np.arange(1, len(mesh.cells) + 1), mesh.cells + 1])
        np.savetxt(stream, numbered, ",".join(["%d"] * 11))
        stream.write("*NSET, NSET=HELD\n")
        np.savetxt(stream, np.unique(mesh.facets[held]) + 1, "%d")
        stream.write(
            f"*MATERIAL, NAME=STEEL\n*ELASTIC\n{YOUNG},{POISSON}\n*SOLID SECTION, ELSET=PART, MATERIAL=STEEL\n"
        )
        stream.write("*STEP\n*STATIC, SOLVER=SPOOLES\n*BOUNDARY\nHELD,1,3\n*DLOAD\n")
        for cell in loaded:
            stream.write(f"{cell + 1},P{opposite[int(np.flatnonzero(~corner[cell])[0])]},{PRESSURE}\n")
        stream.write("*NODE FILE\nU\n*EL FILE\nS\n*END STEP\n")


def largest_displacement(file: Path) -> float:
    """The largest displacement in a result file of CalculiX [m]."""
    largest, inside = 0.0, False
    with file.open() as stream:
        for line in stream:
            if line.startswith(" -4"):
                inside = "DISP" in line
            elif inside and line.startswith(" -1"):
                largest = max(largest, sum(float(line[k : k + 12]) ** 2 for k in (13, 25, 37)))
            elif inside and line.startswith(" -3"):
                break
    return largest**0.5


def officina(mesh: Path, folder: Path, *, errors: bool) -> tuple[Measured, dict[str, Any]]:
    """Solve with Officina through the command of the solve stage. Raises RuntimeError if it fails."""
    solver = Elasticity()
    steel = {"name": "steel", "youngs_modulus": YOUNG, "poissons_ratio": POISSON, "yield_strength": 235e6}
    case = {
        "title": "bench",
        "geometry": {"file": "bracket.step"},
        "solver": solver.name,
        "parameters": {"estimate_errors": errors},
        "bodies": [{"material": steel}],
        "selections": {"back": {"extreme": "-x"}, "boss": {"extreme": "z"}},
        "conditions": [
            {"kind": "fixed", "on": "back"},
            {"kind": "pressure", "on": "boss", "value": PRESSURE},
        ],
    }
    argv = ["mpiexec", "-n", "2", sys.executable, "-m", "solvers.fem.elasticity", "run"]
    attempt = Attempt.create(
        folder,
        {"case.json": solver.in_si(solver.bind(read(case, si=True), si=True))},
        {name: mesh / name for name in ("mesh.npz", "mesh.json")},
        Job(name="bench", argv=tuple(argv), ranks=2),
    )
    start = time.perf_counter()
    with attempt.log.open("w") as log:
        subprocess.run([*argv, str(folder)], stdout=log, stderr=subprocess.STDOUT, check=False)
    seconds = time.perf_counter() - start
    if not isinstance(attempt.outcome(), Done):
        raise RuntimeError(f"{attempt.outcome()} {attempt.log_tail(2000)}")
    answer = json.loads((attempt.out / "answer.json").read_bytes())
    return Measured(seconds, answer["peak_memory"], answer["quantities"]["max_displacement"]["value"]), answer


# --- the comparison -----------------------------------------------------------------------------------------------


def compare(unknowns: int, folder: Path, *, rival: bool = True) -> dict[str, Any]:
    """Mesh, solve with both, print and return the figures."""
    made = folder / "mesh"
    made.mkdir(parents=True)
    mesh = mesh_of(unknowns, made)
    found = 3 * len(mesh.points)
    print(f"\nbracket, {len(mesh.cells)} quadratic tetrahedra, {found} unknowns")
    print(f"{'':34}{'time s':>9}{'memory GB':>11}{'displacement mm':>18}")
    rows: dict[str, Measured] = {}
    if rival:
        rows["CalculiX, SPOOLES, 2 threads"] = calculix(mesh, folder)
        _print("CalculiX, SPOOLES, 2 threads", rows["CalculiX, SPOOLES, 2 threads"])
    plain, answer = officina(made, folder / "plain", errors=False)
    _print("Officina, 2 ranks", plain)
    full, _ = officina(made, folder / "errors", errors=True)
    _print("Officina with error estimates", full)
    parts = ", ".join(f"{name} {value:.2f}" for name, value in answer["seconds"].items())
    print(f"  {answer['iterations']} iterations; {parts}")
    figures: dict[str, Any] = {"unknowns": found, "officina": vars(plain), "with_errors": vars(full)}
    if rival:
        other = rows["CalculiX, SPOOLES, 2 threads"]
        figures["calculix"] = vars(other)
        figures["faster"] = other.seconds / plain.seconds
        figures["memory"] = plain.memory / other.memory
        figures["difference"] = abs(plain.displacement / other.displacement - 1)
        print(
            f"  {figures['faster']:.1f} times as fast ({other.seconds / full.seconds:.1f} with error estimates), "
            f"{figures['memory']:.2f} of the memory, displacements differ by {figures['difference']:.1e}"
        )
    return figures


def _print(name: str, m: Measured) -> None:
    print(f"{name:34}{m.seconds:9.1f}{m.memory / 1e9:11.2f}{m.displacement * 1e3:18.7f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="officina bench elasticity", description="CalculiX and Officina, one mesh.")
    parser.add_argument("--unknowns", type=int, nargs="+", default=list(UNKNOWNS), metavar="N")
    parser.add_argument("--without-calculix", action="store_true", help="time Officina only")
    parser.add_argument("--mesh", nargs=2, metavar=("SIZE", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.mesh:
        bracket(float(given.mesh[0])).write(Path(given.mesh[1]))
        return 0
    rival = not given.without_calculix
    if rival and shutil.which("ccx") is None:
        print("CalculiX is not installed (Debian: calculix-ccx); only Officina is timed.", file=sys.stderr)
        rival = False
    with tempfile.TemporaryDirectory(prefix="officina-bench-") as folder:
        warm = Path(folder) / "warm"
        (warm / "mesh").mkdir(parents=True)
        mesh_of(9_000, warm / "mesh")
        officina(warm / "mesh", warm / "run", errors=True)
        figures = [compare(n, Path(folder) / str(n), rival=rival) for n in given.unknowns]
    print(json.dumps({"cores": os.cpu_count(), "meshes": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
