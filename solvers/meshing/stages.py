"""The stages *check* and *mesh* of a run (``hub/runfolder.py``, ARCHITECTURE.md)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import hub
from hub.case import Around, Case, Inside, Material, Mesh, Plane, Refinement, Walls, read
from hub.intake import GeometryVerdict, inspect, open_questions
from hub.meshfile import MeshFile, cells_across
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
    attempt.write_status(1, 2, "looking for the named faces")
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
    with ThreadPoolExecutor() as beside:
        if (surface := attempt.inputs / "surface.npz").is_file():
            beside.submit(_draw, "faces", surface, attempt.inputs / "verdict.json", attempt.out / "faces.png")
        made = build(
            _geometry(attempt), verdict, case, faces, attempt=attempt, left=lambda: limit - (time.monotonic() - begun)
        )
        made.write(attempt.out)
        if case.mesh.coarser is not None:
            attempt.write_status(1, 3, "meshing more coarsely, for error bars")
            _write_coarser(attempt, verdict, case, faces, limit - (time.monotonic() - begun))
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


def _write_coarser(
    attempt: Attempt, verdict: GeometryVerdict, case: Case, faces: dict[str, list[int]], left: float
) -> None:
    """The mesh of larger cells into ``coarser``; without it the stage goes on, and answers get no bars from it."""
    assert case.mesh.coarser is not None
    begun = time.monotonic()
    try:
        made = build(
            _geometry(attempt), verdict, case, faces, left=lambda: left - (time.monotonic() - begun),
            larger=case.mesh.coarser,
        )  # fmt: skip
    except StageError as error:
        print(f"warning: no coarser mesh: {error.message}", flush=True)
        return
    (attempt.out / "coarser").mkdir()
    made.write(attempt.out / "coarser")


def build(
    geometry: Path,
    verdict: GeometryVerdict,
    case: Case,
    faces: dict[str, list[int]],
    *,
    attempt: Attempt | None = None,
    left: object = None,
    threads: int | None = None,
    larger: float = 1.0,
) -> MeshFile:
    """The mesh of a case, in this process.

    faces : name of a selection -> indices into ``verdict.faces``; larger : what all sizes are multiplied by.
    Raises StageError.
    """
    from solvers.meshing import gaps, layers, periodic

    def progress(step: int, of: int, doing: str) -> None:
        if attempt is not None:
            attempt.write_status(0 if doing != "writing" else 1, 3, doing)

    until = left if callable(left) else lambda: float("inf")
    made = _meshed(geometry, verdict, case, faces, progress, until, threads, larger)
    fluids = {i for i, body in enumerate(made.bodies) if _flows(case, body["name"])}
    if case.mesh.layers and not isinstance(case.domain, Walls):
        progress(0, 3, "making layers along walls")
        try:
            thin = [x.model_copy(update={"first": x.first * larger if x.first else None}) for x in case.mesh.layers]
            made = periodic.record(layers.insert(made, thin, fluids), case.conditions)
        except (layers.Unfit, StageError) as why:
            print(f"warning: no layers along walls: {why}; the mesh is refined there instead", flush=True)
            finer = case.model_copy(update={"mesh": _refined(case.mesh, made, larger)})
            made = _meshed(geometry, verdict, finer, faces, progress, until, threads, larger)
            made.numbers["layers"] = [
                {"on": [x.on for x in case.mesh.layers], "asked": x.count, "made": 0, "instead": f"finer cells: {why}"}
                for x in case.mesh.layers[:1]
            ]
    if fluids and len(made.cells) and larger == 1.0:
        made.numbers["across_gaps"] = narrowest = gaps.across(made, fluids)
        enough = cells_across(c.kind for c in case.conditions)
        if narrowest and narrowest["cells"] < enough:
            at = ", ".join(f"{c * 1e3 + 0.0:.4g}" for c in narrowest["at"])
            print(
                f"warning: only {narrowest['cells']:.1f} cells across the gap of {narrowest['gap'] * 1e3:.3g} mm near "
                f"{at} mm: choose a size of at most {narrowest['gap'] / enough * 1e3:.2g} mm there",
                flush=True,
            )
    return made


def _flows(case: Case, body: str) -> bool:
    """Whether a body is of a fluid: what has a viscosity."""
    made_of = [b.material for b in case.bodies if b.on == "all" or body in ([b.on] if isinstance(b.on, str) else b.on)]
    return bool(made_of) and isinstance(made_of[-1], Material) and made_of[-1].dynamic_viscosity is not None


def _refined(wanted: Mesh, made: MeshFile, larger: float) -> Mesh:
    """A mesh with cells a third as large where layers were asked for, and none of these."""
    more = []
    for layers in wanted.layers:
        mine = np.isin(made.facet_face, made.selections[layers.on])
        ends = made.points[made.facets[mine][:, :2]]
        if len(ends):
            long = float(np.median(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)))
            more.append(Refinement.model_construct(on=layers.on, size=max(long / larger / 3, layers.first or 0.0)))
    return wanted.model_copy(update={"layers": (), "refine": (*wanted.refine, *more)})


def _meshed(
    geometry: Path,
    verdict: GeometryVerdict,
    case: Case,
    faces: dict[str, list[int]],
    progress: Callable[[int, int, str], None],
    left: Callable[[], float],
    threads: int | None,
    larger: float = 1.0,
) -> MeshFile:
    """The mesh of a domain before anything is added along its walls, its periodic ends found to fit."""
    from solvers.meshing import periodic

    made = _filled(geometry, verdict, case, faces, progress, left, threads, larger)
    return periodic.record(made, case.conditions)


def _filled(
    geometry: Path,
    verdict: GeometryVerdict,
    case: Case,
    faces: dict[str, list[int]],
    progress: Callable[[int, int, str], None],
    left: Callable[[], float],
    threads: int | None,
    larger: float,
) -> MeshFile:
    """What the mesher makes of a domain, or the mesh that was brought."""
    from hub.filekind import MESHES

    kind = verdict.kind
    if kind is None:
        raise StageError("unreadable", "The geometry has not been recognised.", "Check the file first.")
    if kind in MESHES or kind == "stl":
        from solvers.meshing import given

        if larger != 1.0:
            raise StageError("given-mesh", "A mesh that was given has the cells it has.")
        return given.mesh(geometry, verdict, case, faces)
    from solvers.meshing import around, cad, inside, periodic, planar, tetmesh, walls
    from solvers.meshing.probe import scale

    factor, _ = scale(geometry, kind, case.geometry.unit)
    with cad.session(threads=threads or len(os.sched_getaffinity(0)), larger=larger):
        # grains meet whole bodies, which may move; everything else shares the faces where bodies touch, and between
        # bodies that touch no fluid passes, however they are joined
        bonded = case.geometry.contacts == "bonded" and not isinstance(case.domain, Walls)
        bonded = bonded or isinstance(case.domain, Inside)
        parts = tetmesh.prepare(geometry, kind, bonded=bonded)
        how: Any = {"known": verdict.faces, "progress": progress, "left": left}
        if not isinstance(case.domain, Walls):
            how["couple"] = lambda dim, entities: periodic.couple(dim, case.conditions, entities)
        match case.domain:
            case Plane(face=face):
                return planar.mesh(parts, faces[face], case.mesh, faces, factor, **how)
            case Walls():
                return walls.mesh(parts, case.mesh, faces, factor, **how)
            case Inside(openings=openings):
                parts = inside.enclose(parts, {name: faces[name] for name in openings}, verdict.faces, factor)
            case Around():
                parts, how["graded"] = around.surround(parts, case.domain, factor)
        return tetmesh.mesh(parts, case.mesh, faces, factor, **how)


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
