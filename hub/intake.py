"""The verdict on a CAD file or mesh that nobody trusts yet.

What a file is, is decided by its content. It is opened in a process of its own (``python -m solvers.meshing
probe``) with limits on time, memory, files and without network; what that process finds is judged here, because
"it reads" says little: a plate 25 times too large reads, so do a wireframe and parts that touch unconnected.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from hub.case import Frozen, Geometry, Mesh
from hub.closed import Limits, Room
from hub.filekind import EXTENSION, Kind, recognise
from hub.problem import Problem, excerpt
from hub.result import Words
from hub.runfolder import sha256
from hub.selection import Face
from hub.units import Vector

METRES: dict[str, float] = {"um": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0, "in": 0.0254, "ft": 0.3048}

#: Units whose short names would read as words.
_UNIT_NAMES = {"in": ("inches", "pollici"), "ft": ("feet", "piedi")}

#: A largest dimension outside these is asked about [m]: smaller than a watch screw, larger than a lorry.
SMALLEST, LARGEST = 0.010, 5.0
#: A part in inches or feet that is larger than this [m], but ordinary if its numbers were mm, is asked about.
LARGEST_IN_INCHES = 1.0
#: A wall thinner than this part of the largest dimension is worth a warning.
THIN = 1 / 200


Fineness = Literal["coarse", "normal", "fine"]


class Solid(Frozen):
    """One body of the part: its name and volume [m3]."""

    name: str
    volume: float


class Contact(Frozen):
    """Two bodies (indices) that touch, or overlap, and share no face."""

    bodies: tuple[int, int]
    overlap: bool = False


class MeshCost(Frozen):
    """What a mesh will have: largest element size [m], nodes and elements of second order (triangles in a plane)."""

    size: float
    nodes: int
    tets: int


class Hollow(Frozen):
    """Hollow round faces (indices) that meet, the volume that they enclose [m3] and what its mesh will have."""

    faces: tuple[int, ...]
    volume: float
    cost: dict[Fineness, MeshCost]


class Facts(Frozen):
    """What the closed process found, in SI.

    unit : the unit its numbers were read in, None if the file does not say
    open_places : points on some of the open edges [m]
    wires : curves that bound no face
    thinnest : smallest wall seen [m]
    cost : of meshing the part; domains : the same for other kinds of domain (hub.case.Domain), the fluid inside as
        that of the largest of the `hollows`, until it is known where it opens
    """

    unit: str | None = None
    other_units: tuple[str, ...] = ()
    bodies: tuple[Solid, ...] = ()
    faces: tuple[Face, ...] = ()
    box: tuple[Vector, Vector] | None = None
    open_edges: int = 0
    open_places: tuple[Vector, ...] = ()
    nonmanifold_edges: int = 0
    wires: int = 0
    contacts: tuple[Contact, ...] = ()
    thinnest: float | None = None
    cost: dict[Fineness, MeshCost] = Field(default_factory=dict)
    domains: dict[str, dict[Fineness, MeshCost]] = Field(default_factory=dict)
    hollows: tuple[Hollow, ...] = ()
    notes: tuple[Problem, ...] = ()


def _nodes(table: Mapping[Fineness, MeshCost], mesh: Mesh, dimension: int) -> float:
    """Of the mesh of a case, from what meshes of other sizes have."""
    if mesh.size is None:
        return float(table[mesh.fineness].nodes)
    near = min(table.values(), key=lambda c: abs(c.size / mesh.size - 1))  # type: ignore[operator]
    return near.nodes * (near.size / mesh.size) ** dimension


class GeometryVerdict(Frozen):
    """What is known of a file and what is wrong with it, all in SI.

    unit, unit_source : the unit its numbers were read in, and whether the file says so, the case does
        (``override``), or nobody does (``assumed``: mm)
    box : lowest and highest corner [m]; size : its edges [m]
    isolation : what the process that opened the file was kept from
    """

    kind: Kind | None = None
    sha256: str = ""
    bytes: int = 0
    unit: str | None = None
    unit_source: Literal["file", "override", "assumed"] | None = None
    box: tuple[Vector, Vector] | None = None
    size: Vector | None = None
    bodies: tuple[Solid, ...] = ()
    faces: tuple[Face, ...] = ()
    open_edges: int = 0
    nonmanifold_edges: int = 0
    contacts: tuple[Contact, ...] = ()
    thinnest: float | None = None
    cost: dict[Fineness, MeshCost] = Field(default_factory=dict)
    domains: dict[str, dict[Fineness, MeshCost]] = Field(default_factory=dict)
    hollows: tuple[Hollow, ...] = ()
    isolation: dict[str, str] = Field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def overall(self) -> Literal["accepted", "asks", "refused"]:
        found = {p.severity for p in self.problems}
        return "refused" if "error" in found else "asks" if "question" in found else "accepted"

    def nodes(self, mesh: Mesh, domain: str = "part", hollows: Sequence[Hollow] = ()) -> float | None:
        """Nodes the mesh of a case will have, about; None where no mesh can be made.

        domain : its kind; hollows : those that a fluid inside the part fills, where that is known
        """
        if domain == "walls":
            return 0.0
        table = self.cost if domain == "part" else self.domains.get(domain)
        if hollows:
            return sum(_nodes(hollow.cost, mesh, 3) for hollow in hollows)
        return _nodes(table, mesh, 2 if domain == "plane" else 3) if table else None

    def sentence(self, language: Literal["en", "it"] = "en") -> str:
        """What was read, in one sentence."""
        return self.words()[language]

    def words(self) -> Words:
        """What was read, in one sentence in each language."""
        if self.kind is None or (not self.bodies and not self.faces):
            found = next((p.found for p in self.problems if p.severity == "error"), "nothing")
            return {"en": f"Not readable as a part: {found}.", "it": f"Non leggibile come pezzo: {found}."}
        count, faces = len(self.bodies), len(self.faces)
        en = "One solid" if count == 1 else f"{count} solids" if count else "No solid"
        it = "Un solido" if count == 1 else f"{count} solidi" if count else "Nessun solido"
        en += f" with {faces} face" + ("s" if faces != 1 else "")
        it += f" con {faces} " + ("facce" if faces != 1 else "faccia")
        if self.size is not None:
            shown = " x ".join(_length(d * 1e3) for d in self.size) + " mm"
            en, it = f"{en}, {shown}", f"{it}, {shown}"
        en_unit, it_unit = _UNIT_NAMES.get(self.unit or "", (self.unit, self.unit))
        source: dict[str | None, tuple[str, str]] = {
            "file": (f"read in {en_unit}", f"letto in {it_unit}"),
            "override": (f"read in {en_unit} as you said", f"letto in {it_unit} come indicato"),
            "assumed": (
                f"read in {self.unit}, which the file does not say",
                f"letto in {self.unit}, non detto dal file",
            ),
        }
        said = source.get(self.unit_source, ("", ""))
        return {"en": f"{en}, {said[0]}.", "it": f"{it}, {said[1]}."}


def _length(millimetres: float) -> str:
    return f"{millimetres:.0f}" if millimetres >= 1000 else f"{round(millimetres, 5):.3g}"


#: What stands in the way of filling a part, and not of using its skin as walls -> what it then means.
_OF_WALLS = {
    "open-edges": "grains pass where the skin is open",
    "non-manifold": "grains meet both walls where more than two faces share an edge",
    "self-crossing": "grains meet both walls where the skin crosses itself",
    "overlap": "grains meet both walls where parts overlap",
    "surfaces-only": "",
    "contacts": "",
    "thin-wall": "",
}


def open_questions(verdict: GeometryVerdict, geometry: Geometry, domain: str = "part") -> list[Problem]:
    """The problems of a verdict without the questions that a case has answered.

    domain : kind of the domain (hub.case.Domain); walls need no inside, so that a skin with gaps is only warned of;
        to the fluid inside it is all one how parts that touch are joined
    """
    answered = {
        "unit-unknown": geometry.unit is not None,
        "size-implausible": geometry.size_confirmed,
        "contacts": geometry.contacts is not None or domain == "inside",
    }
    left = [p for p in verdict.problems if not (p.severity == "question" and answered.get(p.code, False))]
    if domain != "walls":
        return left
    return [
        p.model_copy(update={"severity": "warning", "expected": meaning, "todo": "If that is meant, go on."})
        if (meaning := _OF_WALLS.get(p.code))
        else p
        for p in left
        if _OF_WALLS.get(p.code) != ""
    ]


# --- looking at a file ----------------------------------------------------------------------------------------


def inspect(
    file: Path,
    *,
    unit: str | None = None,
    limits: Limits | None = None,
    keep: Path | None = None,
    pause: Callable[[], bool] | None = None,
    room: Room | None = None,
) -> GeometryVerdict:
    """The verdict on a file. Never raises for what is in the file.

    unit : read its numbers in this unit (a key of :data:`METRES`) whatever it says itself
    keep : a folder that receives ``surface.npz``, the part as display triangles, where it could be made
    pause : while this is true the process stands still
    room : a process that was started before, which looks at no other file, with the limits it has
    Raises OSError if the file cannot be read at all.
    """
    limits = room.limits if room else limits or Limits()
    size = file.stat().st_size
    if size > limits.bytes:
        problem = _problem(
            "too-large",
            f"{size / 1e6:.0f} MB",
            f"at most {limits.bytes / 1e6:.0f} MB",
            "Leave out threads, logos and parts that carry nothing, or export a single part.",
        )
        return GeometryVerdict(bytes=size, problems=(problem,))
    digest = sha256(file)
    kind, problem_seen = recognise(file)
    if kind is None or problem_seen is not None:
        return GeometryVerdict(kind=kind, sha256=digest, bytes=size, problems=(problem_seen,) if problem_seen else ())
    with nullcontext(room) if room else Room(limits) as closed:
        facts, isolation = _probe(closed, file, kind, unit, pause)
        if isinstance(facts, Problem):
            return GeometryVerdict(kind=kind, sha256=digest, bytes=size, isolation=isolation, problems=(facts,))
        surface = closed.out / "surface.npz"
        if keep is not None and surface.is_file() and not surface.is_symlink():
            shutil.copyfile(surface, keep / "surface.npz")
    return _judge(facts, kind, digest, size, unit, isolation)


def _probe(
    closed: Room, file: Path, kind: Kind, unit: str | None, pause: Callable[[], bool] | None
) -> tuple[Facts | Problem, dict[str, str]]:
    """Open the file in a closed process: (what it found or how it ended, how it was closed)."""
    code, said = closed.look(file, f"part.{EXTENSION[kind]}", kind, unit, pause), closed.said
    try:
        isolation = {str(k): str(v) for k, v in json.loads(said[0]).items()}
    except (IndexError, ValueError, AttributeError):
        isolation = {"network": "not known"}
    if code is None:
        problem = _problem(
            "time-limit",
            f"the file was not understood within {closed.limits.seconds:.0f} s",
            "a part that opens sooner",
            "Simplify it: leave out threads, engravings and small parts.",
        )
        return problem, isolation
    document = closed.out / "facts.json"
    try:
        if code in (0, 2) and not document.is_symlink() and document.stat().st_size < 100_000_000:
            data = document.read_bytes()
            return (Facts if code == 0 else Problem).model_validate_json(data), isolation
    except (OSError, ValidationError):
        pass
    return _ended(code, "\n".join(said[1:]), closed.limits), isolation


def _ended(code: int, log: str, limits: Limits) -> Problem:
    """How a closed process ended that left no facts, as a problem of the file."""
    if "MemoryError" in log or "bad_alloc" in log or "Cannot allocate" in log or code == -signal.SIGKILL:
        return _problem(
            "out-of-memory",
            f"opening it takes more than {limits.memory / 1e9:.0f} GB",
            "a part that fits into memory",
            "Simplify it: leave out threads, engravings and small parts.",
        )
    if code == -signal.SIGXCPU:
        return _problem("time-limit", "opening it takes too long", "a part that opens sooner", "Simplify the part.")
    if code in (-signal.SIGXFSZ,):
        return _problem("out-of-disk", "opening it writes too much", "an ordinary part", "Export it again as STEP.")
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "")
    return _problem(
        "crashed",
        f"the CAD kernel broke down on it ({excerpt(last) if last else f'exit {code}'})",
        "a file that can be read",
        "Repair the part in the CAD system and export it as STEP AP214 or AP242.",
    )


# --- judging what was found -----------------------------------------------------------------------------------


def _problem(
    code: str,
    found: str,
    expected: str,
    todo: str,
    severity: Literal["error", "question", "warning"] = "error",
    where: str = "geometry.file",
    choices: Sequence[str] = (),
) -> Problem:
    return Problem(
        where=where, found=found, expected=expected, todo=todo, severity=severity, code=code, choices=tuple(choices)
    )


def _judge(
    facts: Facts, kind: Kind, digest: str, size: int, override: str | None, isolation: dict[str, str]
) -> GeometryVerdict:
    source: Literal["file", "override", "assumed"] = "override" if override else "file" if facts.unit else "assumed"
    unit = override or facts.unit or "mm"
    lengths: Vector | None = None
    if facts.box is not None:
        low, high = facts.box
        lengths = (high[0] - low[0], high[1] - low[1], high[2] - low[2])
    problems = [*_closed(facts), *facts.notes]
    if not any(p.severity == "error" for p in problems):
        problems += _unit(facts, unit, source)
        if lengths is not None:
            problems += _size(max(lengths), unit, source)
        problems += _contacts(facts)
        if lengths is not None and facts.thinnest is not None and facts.thinnest < THIN * max(lengths):
            problems.append(
                _problem(
                    "thin-wall",
                    f"a wall {_length(facts.thinnest * 1e3)} mm thick on a part of {_length(max(lengths) * 1e3)} mm",
                    "walls that one or two elements can fill",
                    "Expect many elements; choose a fine mesh if the wall carries load.",
                    "warning",
                )
            )
    return GeometryVerdict(
        kind=kind,
        sha256=digest,
        bytes=size,
        unit=unit,
        unit_source=source,
        box=facts.box,
        size=lengths,
        bodies=facts.bodies,
        faces=facts.faces,
        open_edges=facts.open_edges,
        nonmanifold_edges=facts.nonmanifold_edges,
        contacts=facts.contacts,
        thinnest=facts.thinnest,
        cost=facts.cost,
        domains=facts.domains,
        hollows=facts.hollows,
        isolation=isolation,
        problems=tuple(problems),
    )


def _closed(facts: Facts) -> list[Problem]:
    """Whether there is something to fill with elements: solids, and nothing that is open or ambiguous."""
    problems = []
    solid = "Export the part as a solid (STEP AP214 or AP242, not surfaces or a drawing)."
    if facts.nonmanifold_edges:
        problems.append(
            _problem(
                "non-manifold",
                f"{facts.nonmanifold_edges} edge(s) on which more than two faces meet",
                "edges between exactly two faces of a solid",
                "Separate or join the parts that only share an edge, then export again.",
            )
        )
    if facts.open_edges:
        problems.append(
            _problem(
                "open-edges",
                f"{facts.open_edges} open edge(s){_places(facts.open_places)}: the skin has gaps or misses faces",
                "a closed skin",
                "Close the gaps in the CAD system (often called heal, sew or knit), then export again.",
            )
        )
    if not facts.bodies:
        if facts.faces:
            found = f"surfaces only: {len(facts.faces)} face(s) and no solid"
            problems.append(_problem("surfaces-only", found, "at least one solid", solid))
        elif facts.wires:
            found = f"a wireframe: {facts.wires} curve(s), no face and no solid"
            problems.append(_problem("wireframe", found, "at least one solid", solid))
        else:
            problems.append(_problem("no-shape", "no shape at all", "at least one solid", solid))
    return problems


def _places(points: Sequence[Vector]) -> str:
    """`` near 1, 2, 3 mm; 4, 5, 6 mm``."""
    return (
        (" near " + "; ".join(", ".join(f"{c * 1e3 + 0.0:.4g}" for c in p) for p in points) + " mm") if points else ""
    )


def _unit(facts: Facts, unit: str, source: str) -> list[Problem]:
    if source == "assumed":
        return [
            _problem(
                "unit-unknown",
                "a file that does not say its unit; its numbers were read as mm",
                "the unit of its numbers",
                "Say it: geometry.unit: mm, for example.",
                "question",
                "geometry.unit",
                ("mm", "m", "cm", "in", "ft", "um"),
            )
        ]
    problems = []
    if source == "file" and facts.other_units:
        found = f"several units in one file: {', '.join([unit, *facts.other_units])}"
        problems.append(
            _problem(
                "several-units", found, "one unit", "Compare the size with the drawing.", "warning", "geometry.unit"
            )
        )
    if source == "file" and unit in ("in", "ft"):
        name = "inch" if unit == "in" else "foot"
        todo = "If the numbers are mm, say so with geometry.unit: mm."
        problems.append(
            _problem("not-metric", f"read as {name}, as the file says", "mm", todo, "warning", "geometry.unit")
        )
    return problems


def _size(largest: float, unit: str, source: str) -> list[Problem]:
    """A part smaller than 10 mm or larger than 5 m is asked about; so is one the file has in inches that would be
    over a metre but of an ordinary size in mm, because a wrong unit label is the commonest export error."""
    shown = f"{_length(largest * 1e3)} mm"
    if largest < SMALLEST or largest > LARGEST:
        found = f"a part of {shown}, read in {unit}"
        expected = f"a part between {SMALLEST * 1e3:.0f} mm and {LARGEST:.0f} m, or your word that this is right"
    elif source == "file" and unit in ("in", "ft") and largest > LARGEST_IN_INCHES:
        in_mm = largest / METRES[unit]
        found = (
            f"a part of {shown}, because the file says {unit}; its numbers taken as mm would make {_length(in_mm)} mm"
        )
        expected = "a size that fits the drawing"
    else:
        return []
    todo = "If this is right: geometry.size_confirmed: true. If not, say the unit, for example geometry.unit: mm."
    return [_problem("size-implausible", found, expected, todo, "question", "geometry.size_confirmed", ("true",))]


def _contacts(facts: Facts) -> list[Problem]:
    problems = []
    overlaps = [c for c in facts.contacts if c.overlap]
    names = [
        f"{excerpt(facts.bodies[c.bodies[0]].name)} and {excerpt(facts.bodies[c.bodies[1]].name)}" for c in overlaps
    ]
    if overlaps:
        problems.append(
            _problem(
                "overlap",
                f"{len(overlaps)} pair(s) of parts occupy the same space: {'; '.join(names[:3])}",
                "parts that touch at most",
                "Move them apart or cut one out of the other in the CAD system, then export again.",
            )
        )
    touching = [c.bodies for c in facts.contacts if not c.overlap]
    if touching:
        pairs = [f"{facts.bodies[i].name} and {facts.bodies[j].name}" for i, j in touching]
        shown = "; ".join(map(excerpt, pairs[:3])) + ("; ..." if len(pairs) > 3 else "")
        problems.append(
            _problem(
                "contacts",
                f"{len(pairs)} pair(s) of parts touch but are not connected: {shown}",
                "whether they are bonded as one, or separate",
                "Say geometry.contacts: bonded (welded, glued, shrunk) or separate (nothing passes between them).",
                "question",
                "geometry.contacts",
                ("bonded", "separate"),
            )
        )
    return problems
