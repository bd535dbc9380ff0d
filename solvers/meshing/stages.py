"""The stages *check* and *mesh* of a run (``hub/runfolder.py``, ARCHITECTURE.md)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import hub
from hub.case import Around, Case, Inside, Plane, Walls, read
from hub.intake import GeometryVerdict, inspect, open_questions
from hub.meshfile import MeshFile
from hub.problem import Refused
from hub.runfolder import Attempt, write_whole
from hub.selection import resolve_all
from hub.solver import StageError

#: Seconds a picture may take; a run goes on without.
PICTURE = 60


def check(attempt: Attempt) -> None:
    """Judge the geometry and find the selected faces. Raises Refused with every problem, StageError."""
    case = read(attempt.read("case.json"), si=True)
    attempt.write_status(0, 2, "reading the geometry")
    verdict = inspect(_geometry(attempt), unit=case.geometry.unit, keep=attempt.out)
    write_whole(attempt.out / "verdict.json", verdict.model_dump_json(indent=1))
    print(verdict.sentence(), flush=True)
    attempt.write_status(1, 2, "drawing the faces")
    surface = attempt.out / "surface.npz"
    if surface.is_file():
        _draw("faces", surface, attempt.out / "verdict.json", attempt.out / "faces.png")
    problems = open_questions(verdict, case.geometry, case.domain.kind)
    if verdict.faces and not any(p.severity == "error" for p in problems):
        problems += resolve_all(case, verdict)[1]
    for problem in problems:
        print(f"{problem.severity}: {problem}", flush=True)
    if any(p.severity != "warning" for p in problems):
        raise Refused([p for p in problems if p.severity != "warning"])
    attempt.write_status(2, 2, "checked")


def mesh(attempt: Attempt) -> None:
    """Make the mesh of a checked case. Raises Refused, StageError."""
    begun = time.monotonic()
    case = read(attempt.read("case.json"), si=True)
    verdict = GeometryVerdict.model_validate(attempt.read("verdict.json"))
    faces, problems = resolve_all(case, verdict)
    if problems:
        raise Refused(problems)
    limit = attempt.job().time
    made = build(
        _geometry(attempt), verdict, case, faces, attempt=attempt, left=lambda: limit - (time.monotonic() - begun)
    )
    made.write(attempt.out)
    write_vtu(made, attempt.out / "mesh.vtu")
    attempt.write_status(2, 3, "drawing the mesh")
    _draw("mesh", attempt.out, attempt.out / "mesh.png")
    numbers = made.numbers
    kind = next(k for k in ("tets", "triangles") if k in numbers)
    said = [f"{numbers['nodes']} nodes", f"{numbers[kind]} {'tetrahedra' if kind == 'tets' else kind}"]
    if "scaled_jacobian" in numbers:
        said.append(f"smallest scaled Jacobian {numbers['scaled_jacobian']['min']:.3g}")
    print(", ".join([*said, f"{numbers['seconds']:.1f} s"]))
    attempt.write_status(3, 3, "meshed", **{"nodes": numbers["nodes"], kind: numbers[kind]})


def build(
    geometry: Path,
    verdict: GeometryVerdict,
    case: Case,
    faces: dict[str, list[int]],
    *,
    attempt: Attempt | None = None,
    left: object = None,
    threads: int | None = None,
) -> MeshFile:
    """The mesh of a case, in this process.

    faces : name of a selection -> indices into ``verdict.faces``. Raises StageError.
    """
    from hub.filekind import MESHES

    kind = verdict.kind
    if kind is None:
        raise StageError("unreadable", "The geometry has not been recognised.", "Check the file first.")
    if kind in MESHES or kind == "stl":
        from solvers.meshing import given

        return given.mesh(geometry, verdict, case, faces)
    from solvers.meshing import cad, tetmesh
    from solvers.meshing.probe import scale

    def progress(step: int, of: int, doing: str) -> None:
        if attempt is not None:
            attempt.write_status(0 if doing != "writing" else 1, 3, doing)

    factor, _ = scale(geometry, kind, case.geometry.unit)
    with cad.session(threads=threads or len(os.sched_getaffinity(0))):
        # grains meet whole bodies, which may move; everything else shares the faces where bodies touch
        bonded = case.geometry.contacts == "bonded" and not isinstance(case.domain, Walls)
        parts = tetmesh.prepare(geometry, kind, bonded=bonded)
        until = left if callable(left) else lambda: float("inf")
        given_on = {"known": verdict.faces, "progress": progress, "left": until}
        if isinstance(case.domain, Plane):
            from solvers.meshing import planar

            return planar.mesh(parts, faces[case.domain.face], case.mesh, faces, factor, **given_on)
        if isinstance(case.domain, Inside):
            from solvers.meshing import inside

            openings = {name: faces[name] for name in case.domain.openings}
            parts = inside.enclose(parts, openings, verdict.faces, factor)
        graded = None
        if isinstance(case.domain, Around):
            from solvers.meshing import around

            parts, graded = around.surround(parts, case.domain, factor)
        if isinstance(case.domain, Walls):
            from solvers.meshing import walls

            return walls.mesh(parts, case.mesh, faces, factor, **given_on)
        return tetmesh.mesh(parts, case.mesh, faces, factor, graded=graded, **given_on)


def write_vtu(made: MeshFile, file: Path) -> None:
    """The mesh for ParaView."""
    import meshio

    kinds = {10: "tetra10", 4: "tetra", 6: "triangle6", 3: "triangle"}
    cells, what, mark = made.cells, "body", made.cell_body
    if not len(cells):  # walls
        cells, what, mark = made.facets, "face", made.facet_face
    grid = meshio.Mesh(made.points, [(kinds[cells.shape[1]], cells)], cell_data={what: [mark.astype(np.int32)]})
    grid.write(file, file_format="vtu", binary=True)


def _geometry(attempt: Attempt) -> Path:
    found = sorted(attempt.inputs.glob("geometry.*"))
    if len(found) != 1:
        raise StageError("no-geometry", f"{len(found)} geometry files instead of one.", "Submit the case again.")
    return found[0]


def _draw(*arguments: str | Path) -> None:
    """A picture, by a process of its own; without it the stage goes on."""
    command: Sequence[str] = [sys.executable, "-m", "solvers.post", *map(str, arguments)]
    root = str(Path(hub.__file__).parents[1])
    try:
        ran = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": root},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PICTURE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"no picture: {error}", file=sys.stderr)
        return
    if ran.returncode:
        print(f"no picture: {ran.stderr[-1000:]}", file=sys.stderr)
