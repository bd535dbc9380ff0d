"""Everything that can be said about a case before it runs: its form, its physics, its geometry, its cost."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from hub import catalogue
from hub.case import Around, Case, Frozen, load_yaml, read
from hub.intake import GeometryVerdict, Hollow, inspect, open_questions
from hub.problem import Problem, Refused, excerpt, path
from hub.selection import resolve_all
from hub.solver import Cost

#: Cases that are handed to a solver's process together.
AT_ONCE = 200
#: Volume of a tetrahedron over the cube, and area of a triangle over the square, of the size asked for.
FILL, TRIANGLE = 0.118, 0.433


class Estimate(Frozen):
    """What a run will cost before it is spent: unknowns [-], seconds [s] of solving, memory [byte] of all ranks."""

    nodes: int
    unknowns: int
    seconds: float
    memory: float
    ranks: int


class Checked(Frozen):
    """The verdict on a case.

    case : the case in SI as run folders hold it; None if it was refused
    faces : name of a selection -> indices of faces in the verdict on the geometry
    """

    problems: tuple[Problem, ...] = ()
    case: dict[str, Any] | None = None
    faces: dict[str, list[int]] = Field(default_factory=dict)
    estimate: Estimate | None = None

    @property
    def ready(self) -> bool:
        """Nothing is wrong and nothing is asked."""
        return self.case is not None and all(p.severity == "warning" for p in self.problems)


def check_case(
    data: Mapping[str, Any], geometry: Path | None = None, verdict: GeometryVerdict | None = None
) -> Checked:
    """Check a case as typed.

    geometry : the CAD file or mesh; verdict : what intake said of it, if it was asked before.
    Without both, only form and physics are checked. Never raises for what a user wrote.
    """
    return check_cases([data], geometry, verdict)[0]


def check_cases(
    cases: Sequence[Mapping[str, Any]], geometry: Path | None = None, verdict: GeometryVerdict | None = None
) -> list[Checked]:
    """The same for several cases of one solver about one part, which is looked at once."""
    found: list[Checked | Mapping[str, Any]] = []
    for data in cases:
        try:
            read(data)  # the form first: its problems have the best paths
            found.append(with_materials(data))
        except Refused as refused:
            found.append(Checked(problems=refused.problems))
    filled = [each for each in found if not isinstance(each, Checked)]
    answers: list[tuple[dict[str, Any] | None, list[Problem], Cost | None]] = []
    try:
        for start in range(0, len(filled), AT_ONCE):
            answers += catalogue.solver_checks(filled[start : start + AT_ONCE])
    except Refused as refused:
        return [each if isinstance(each, Checked) else Checked(problems=refused.problems) for each in found]
    units = {case_si["geometry"].get("unit") for case_si, _, _ in answers if case_si}
    if verdict is None and geometry is not None and geometry.is_file() and len(units) == 1:
        verdict = inspect(geometry, unit=units.pop())
    judged = iter([_judged(*answer, geometry, verdict) for answer in answers])
    return [each if isinstance(each, Checked) else next(judged) for each in found]


def _judged(
    case_si: dict[str, Any] | None,
    problems: list[Problem],
    cost: Cost | None,
    geometry: Path | None,
    verdict: GeometryVerdict | None,
) -> Checked:
    """What is to be said of a case that its solver has read."""
    if case_si is None:
        return Checked(problems=tuple(problems))
    case = read(case_si, si=True)
    if verdict is None and geometry is not None and not geometry.is_file():
        missing = Problem(
            where="geometry.file",
            found=f"no file {excerpt(geometry.name)}",
            expected="a CAD file or mesh beside the case",
            todo="Put it into the folder of the case, or correct its name.",
            code="no-such-file",
        )
        return Checked(problems=(*problems, missing), case=case_si)
    if verdict is None and geometry is not None:
        verdict = inspect(geometry, unit=case.geometry.unit)
    if verdict is None:
        return Checked(problems=tuple(problems), case=case_si)
    problems += open_questions(verdict, case.geometry, case.domain.kind)
    faces, unmatched = resolve_all(case, verdict) if verdict.faces else ({}, [])
    problems += unmatched
    if verdict.bodies:
        problems += _bodies(case, verdict)
    return Checked(problems=tuple(problems), case=case_si, faces=faces, estimate=_estimate(case, verdict, faces, cost))


def with_materials(data: Mapping[str, Any]) -> dict[str, Any]:
    """A case as typed with names from the library replaced by the properties. Raises Refused for unknown names."""
    library = _library()
    bodies, problems = [], []
    for i, body in enumerate(data["bodies"]):
        material = body["material"]
        if isinstance(material, str):
            if material not in library:
                close = difflib.get_close_matches(material.lower(), library, n=3, cutoff=0.4) or list(library)
                problems.append(
                    Problem(
                        where=path(["bodies", i, "material"]),
                        found=excerpt(material),
                        expected=f"a material of the library, such as {', '.join(close)}, or its properties",
                        todo="`officina materials` lists the library.",
                        code="unknown-material",
                    )
                )
                continue
            material = library[material]
        bodies.append({**body, "material": material})
    if problems:
        raise Refused(problems)
    return {**data, "bodies": bodies}


@cache
def _library() -> dict[str, Any]:
    """The material library as typed, with units."""
    return load_yaml((Path(__file__).parent / "materials.yaml").read_bytes())


def _bodies(case: Case, verdict: GeometryVerdict) -> list[Problem]:
    """Bodies named in the case that the part has not, and bodies of the part without a material."""
    known = [body.name for body in verdict.bodies]
    if case.domain.kind in ("inside", "around"):  # the part is not meshed, the fluid is
        known = ["fluid"]
    used: list[tuple[list[str | int], str]] = []
    covered: set[str] = set()
    for i, body in enumerate(case.bodies):
        names = [body.on] if isinstance(body.on, str) else list(body.on)
        covered.update(known if names == ["all"] else names)
        used += [(["bodies", i, "on"], name) for name in names]
    for i, condition in enumerate(case.conditions):
        bodies = getattr(condition, "bodies", ())
        used += [(["conditions", i, "bodies"], str(n)) for n in ([bodies] if isinstance(bodies, str) else bodies)]
    problems = [
        Problem(
            where=path(where),
            found=excerpt(name),
            expected=f"the name of a body: {', '.join(map(excerpt, known[:20]))}",
            todo="`officina check` lists the bodies of the part.",
            code="unknown-body",
        )
        for where, name in used
        if name not in known and name != "all"
    ]
    bare = [name for name in known if name not in covered]
    if bare:
        problems.append(
            Problem(
                where="bodies",
                found=f"no material for {', '.join(map(excerpt, bare[:20]))}",
                expected="a material for every body",
                todo="Add an entry with on: all, or one for each of these.",
                code="no-material",
            )
        )
    return problems


def ranks_here() -> int:
    """MPI ranks that this machine runs well: its cores, as far as this process may use them."""
    return len(os.sched_getaffinity(0))


def _estimate(
    case: Case, verdict: GeometryVerdict, faces: Mapping[str, Sequence[int]], cost: Cost | None
) -> Estimate | None:
    cost = cost or catalogue.describe(case.solver).cost
    hollows = []
    if case.domain.kind == "inside":
        hollows = opened(verdict, [i for name in case.domain.openings for i in faces.get(name, ())])
    nodes = verdict.nodes(case.mesh, case.domain.kind, hollows)
    if nodes is None:
        return None
    nodes += _along_faces(case, verdict, faces)
    if isinstance(case.domain, Around) and case.domain.symmetry is not None:
        nodes /= 2
    ranks = case.resources.ranks or ranks_here()
    return Estimate(
        nodes=round(nodes),
        unknowns=cost.unknowns(nodes),
        seconds=cost.seconds(nodes, ranks),
        memory=cost.memory(nodes, ranks),
        ranks=ranks,
    )


def opened(verdict: GeometryVerdict, openings: Sequence[int]) -> list[Hollow]:
    """The hollows that most of the openings lead to, with those behind a step inside; without any the largest of all.

    openings : indices of faces. A rim around a bore has bolt holes beside it, but no other opening leads to these.
    """
    at = [{i, *verdict.faces[i].neighbours} for i in openings]
    met = [sum(not near.isdisjoint(h.faces) for near in at) for h in verdict.hollows]
    most = max(met, default=0)
    if not most:
        return list(verdict.hollows[:1])
    found = [h for h, count in zip(verdict.hollows, met, strict=True) if count == most]
    hollow = {i for h in verdict.hollows for i in h.faces}
    steps = [
        set(f.neighbours)
        for f in verdict.faces
        if f.index not in hollow and f.index not in openings and f.neighbours and hollow.issuperset(f.neighbours)
    ]
    for h in found:
        for step in steps:
            if not step.isdisjoint(h.faces):
                found += [o for o in verdict.hollows if o not in found and not step.isdisjoint(o.faces)]
    return found


def _along_faces(case: Case, verdict: GeometryVerdict, faces: Mapping[str, Sequence[int]]) -> float:
    """Nodes that refinements and layers add: their sizes s grow by a third of the distance to the size h of the mesh.

    In space that is area / (FILL s^3) integrated over the distance, in a plane length / (TRIANGLE s^2).
    """
    flat = case.domain.kind == "plane"
    table = verdict.domains.get(case.domain.kind) or verdict.cost
    if not table or case.domain.kind == "walls":
        return 0.0
    largest = case.mesh.size or table[case.mesh.fineness].size
    depth = verdict.size[2] if verdict.size and verdict.size[2] > 0 else 1.0

    def extent(name: str) -> float:
        mine = faces.get(name) or (range(len(verdict.faces)) if name == "part" else ())
        return sum(verdict.faces[i].area for i in mine) / (depth if flat else 1.0)

    sizes: dict[str, float] = {}
    nodes = 0.0
    for refined in case.mesh.refine:
        size = sizes[refined.on] = min(refined.size, largest)
        if flat:
            nodes += 2 * extent(refined.on) * 3 / TRIANGLE * (1 / size - 1 / largest)
        else:
            nodes += 1.4 * extent(refined.on) * 1.5 / FILL * (1 / size**2 - 1 / largest**2)
    for layers in case.mesh.layers:
        size = sizes.get(layers.on, largest)
        nodes += layers.count * extent(layers.on) * (4 / size if flat else 4 / (TRIANGLE * size**2))
    return nodes
