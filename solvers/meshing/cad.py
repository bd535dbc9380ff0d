"""The CAD model as gmsh and OpenCASCADE see it: solids, faces, edges and what they are; all lengths leave in metres."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import gmsh
import numpy as np
import numpy.typing as npt

from hub.case import FaceType
from hub.selection import Face
from hub.solver import StageError
from solvers.meshing import naming

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Vec = tuple[float, float, float]

#: OpenCASCADE works in millimetres whatever the file says.
MM = 1e-3

TYPES: dict[str, FaceType] = {
    "Plane": "plane",
    "Cylinder": "cylinder",
    "Cone": "cone",
    "Sphere": "sphere",
    "Torus": "torus",
}
#: gmsh's colour of an entity nobody painted.
UNPAINTED = (0, 0, 255, 0)


@contextlib.contextmanager
def session(*, threads: int = 1, larger: float = 1.0) -> Iterator[None]:
    """gmsh, silent and without anybody's option files. larger : what all sizes of cells are multiplied by"""
    gmsh.initialize([], readConfigFiles=False, run=False, interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("General.NumThreads", threads)
        for dimension in ("1D", "2D"):  # faces that threads share out get another mesh each time
            gmsh.option.setNumber(f"Mesh.MaxNumThreads{dimension}", 1)
        gmsh.option.setNumber("General.Verbosity", 2)
        gmsh.option.setNumber("Mesh.MeshSizeFactor", larger)
        yield
    finally:
        gmsh.finalize()


def load(file: Path, kind: str) -> None:
    """Bring the shapes of a STEP, IGES or BREP file into gmsh, in mm, with their names. Raises StageError."""
    if kind == "step":  # the IGES reader always gives mm and does not take a target
        gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
    gmsh.option.setNumber("Geometry.OCCImportLabels", 1)
    try:
        gmsh.model.occ.importShapes(str(file), highestDimOnly=False, format=kind)
        gmsh.model.occ.synchronize()
    except Exception as error:  # gmsh has one kind of exception
        raise StageError(
            "unreadable", f"The CAD kernel could not read the file: {error}.", "Export it again from the CAD system."
        ) from None
    naming.apply(file, kind)


@dataclass(frozen=True)
class Topology:
    """Who bounds whom: gmsh tags in the order in which faces and bodies are numbered everywhere.

    uses : edge -> faces, a face twice where the edge is its seam
    """

    bodies: tuple[int, ...]
    names: tuple[str, ...]
    faces: tuple[int, ...]
    of_face: dict[int, tuple[int, ...]]
    edges: dict[int, tuple[int, ...]]
    uses: dict[int, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, scale_names: dict[int, str] | None = None) -> Topology:
        """The topology of the current model. `scale_names`: names of bodies known from before, by tag."""
        bodies = tuple(int(t) for _, t in gmsh.model.getEntities(3))
        faces = tuple(int(t) for _, t in gmsh.model.getEntities(2))
        of_face: dict[int, tuple[int, ...]] = {}
        edges: dict[int, tuple[int, ...]] = {}
        uses: dict[int, list[int]] = defaultdict(list)
        for tag in faces:
            up, down = gmsh.model.getAdjacencies(2, tag)
            of_face[tag] = tuple(int(b) for b in up)
            edges[tag] = tuple(int(e) for e in down)
            for edge in edges[tag]:
                uses[edge].append(tag)
        given = scale_names or {}
        names = _unique([given.get(b) or _label(3, b, f"body {i + 1}") for i, b in enumerate(bodies)])
        return cls(bodies, names, faces, of_face, edges, {e: tuple(f) for e, f in uses.items()})

    def _shells(self) -> list[list[int]]:
        """The faces of each body, then those of none."""
        groups: dict[int, list[int]] = {b: [] for b in self.bodies}
        loose = [f for f in self.faces if not self.of_face[f]]
        for f in self.faces:
            for b in self.of_face[f]:
                groups[b].append(f)
        return [*groups.values(), *([loose] if loose else [])]

    def edge_faults(self) -> tuple[list[int], list[int]]:
        """(open edges, edges on more than two faces), counted body by body: an interface is no fault."""
        open_edges, crowded = set(), set()
        for shell in self._shells():
            count = Counter(e for f in shell for e in self.edges[f])
            open_edges |= {e for e, n in count.items() if n == 1 and not _degenerate(e)}
            crowded |= {e for e, n in count.items() if n > 2}
        return sorted(open_edges), sorted(crowded)

    def neighbours(self, tag: int) -> set[int]:
        """Faces sharing an edge with this one."""
        return {f for e in self.edges[tag] for f in self.uses[e]} - {tag}


def _label(dim: int, tag: int, otherwise: str) -> str:
    name = "".join(c for c in gmsh.model.getEntityName(dim, tag) if c.isprintable()).strip()[:150]
    return otherwise if not name or name.startswith("Open CASCADE STEP translator") else name


def _unique(names: list[str]) -> tuple[str, ...]:
    """The names, the second of a kind as ``nut (2)``."""
    seen: Counter[str] = Counter()
    taken, result = set(names), []
    for name in names:
        seen[name] += 1
        unique = name
        while seen[name] > 1 and unique in taken:
            unique = f"{name} ({seen[name]})"
            seen[name] += unique in taken
        taken.add(unique)
        result.append(unique)
    return tuple(result)


def _degenerate(edge: int) -> bool:
    """Whether an edge is a point, as at the pole of a sphere."""
    low = np.array(gmsh.model.getBoundingBox(1, edge))
    return bool(np.abs(low[3:] - low[:3]).max() < 1e-5 and gmsh.model.occ.getMass(1, edge) < 1e-6)


def middle_of(edge: int, scale: float) -> Vec:
    """A point in the middle of an edge."""
    low, high = gmsh.model.getParametrizationBounds(1, edge)
    return _vec(gmsh.model.getValue(1, edge, [(low[0] + high[0]) / 2]) * scale)


@dataclass(frozen=True)
class Surface:
    """Triangles of the faces, oriented outward from the lower-numbered body of each face.

    points : (n, 3); triangles : (m, 3); face : (m,) index of the face; edges : (k, 2) along the edges of the CAD
    """

    points: Floats
    triangles: Ints
    face: Ints
    edges: Ints


def tessellate(topology: Topology) -> Surface:
    """The triangles gmsh has made on the faces (``mesh.generate(2)`` done before), in the model's unit.

    A curved triangle of second order gives four flat ones.
    """
    tags, xyz, _ = gmsh.model.mesh.getNodes()
    number = np.zeros(int(tags.max(initial=0)) + 1, np.int64)
    number[tags.astype(np.int64)] = np.arange(len(tags))
    triangles, face = [], []
    for i, tag in enumerate(topology.faces):
        nodes = _flat(_elements(2, tag, 2, 3), _elements(2, tag, 9, 6), _QUARTERS)
        triangles.append(number[nodes])
        face.append(np.full(len(nodes), i))
    edges = [number[_flat(_elements(1, e, 1, 2), _elements(1, e, 8, 3), _HALVES)] for e in topology.uses]
    points = xyz.reshape(-1, 3)
    stacked = np.concatenate([np.empty((0, 3), np.int64), *triangles])
    faces = np.concatenate([np.empty(0, np.int64), *face]).astype(np.int64)
    return Surface(
        points,
        orient(
            points, stacked, faces, [[topology.bodies.index(b) for b in topology.of_face[f]] for f in topology.faces]
        ),
        faces,
        np.concatenate([np.empty((0, 2), np.int64), *edges]),
    )


#: Nodes of the flat pieces of a curved triangle and of a curved edge.
_QUARTERS, _HALVES = [[0, 3, 5], [3, 1, 4], [5, 4, 2], [3, 4, 5]], [[0, 2], [2, 1]]


def _flat(straight: Ints, curved: Ints, pieces: list[list[int]]) -> Ints:
    return np.concatenate([straight, curved[:, pieces].reshape(-1, len(pieces[0]))])


def _elements(dim: int, tag: int, kind: int, size: int) -> Ints:
    kinds, _, nodes = gmsh.model.mesh.getElements(dim, tag)
    for k, n in zip(kinds, nodes, strict=True):
        if k == kind:
            return n.astype(np.int64).reshape(-1, size)
    return np.empty((0, size), np.int64)


def orient(points: Floats, triangles: Ints, face: Ints, bodies: list[list[int]]) -> Ints:
    """Turn the triangles of whole faces so that they look out of the first body of their face.

    Triangles of one face agree among themselves; faces sharing a mesh edge must run along it in opposite senses;
    of the shells so joined, a body's largest encloses positive volume and its cavities negative.
    """
    result = triangles.copy()
    done: set[int] = set()
    for body in sorted({b for of in bodies for b in of}):
        members = [i for i, of in enumerate(bodies) if body in of]
        mine = np.flatnonzero(np.isin(face, members))
        flips = _flips(points, triangles[mine], face[mine])
        for i, flip in flips.items():
            if i not in done and flip:
                chosen = face == i
                result[chosen] = triangles[chosen][:, [0, 2, 1]]
            done.add(i)
    return result


def _flips(points: Floats, triangles: Ints, face: Ints) -> dict[int, bool]:
    """Face -> whether its triangles must be turned to look out of the one body they enclose."""
    if not len(triangles):
        return {}
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    owner = np.tile(face, 3)
    sense = sides[:, 0] < sides[:, 1]
    key = np.sort(sides, axis=1)
    order = np.lexsort((key[:, 1], key[:, 0]))
    key, owner, sense = key[order], owner[order], sense[order]
    pairs = np.flatnonzero((key[1:] == key[:-1]).all(axis=1) & (owner[1:] != owner[:-1]))
    links: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for a, b, s, t in zip(owner[pairs], owner[pairs + 1], sense[pairs], sense[pairs + 1], strict=True):
        vote = 1 if s == t else -1  # the same sense on both sides: one of the faces is the wrong way round
        links[int(a)][int(b)] += vote
        links[int(b)][int(a)] += vote
    corner = points[triangles] - points.mean(axis=0)
    volume = np.einsum("ij,ij->i", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) / 6
    per_face = {int(i): float(volume[face == i].sum()) for i in np.unique(face)}
    turn: dict[int, bool] = {}
    shells: list[tuple[float, list[int]]] = []
    for start in per_face:
        if start in turn:
            continue
        turn[start], queue = False, [start]
        for i in queue:
            for j, vote in links[i].items():
                if j not in turn:
                    turn[j] = turn[i] != (vote > 0)
                    queue.append(j)
        shells.append((sum(-per_face[i] if turn[i] else per_face[i] for i in queue), queue))
    largest = max(range(len(shells)), key=lambda k: abs(shells[k][0]))
    for k, (total, members) in enumerate(shells):
        if (total < 0) == (k == largest):
            turn |= {i: not turn[i] for i in members}
    return turn


def faces(topology: Topology, surface: Surface, scale: float) -> list[Face]:
    """The faces as people and selections know them; `scale` takes the model's unit to metres."""
    index = {tag: i for i, tag in enumerate(topology.faces)}
    body = {tag: i for i, tag in enumerate(topology.bodies)}
    corner = surface.points[surface.triangles]
    normals = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    result = []
    for i, tag in enumerate(topology.faces):
        mine = surface.face == i
        kind = TYPES.get(gmsh.model.getType(2, tag), "other")
        numbers = gmsh.model.getEntityProperties(2, tag)[1]
        shape = _shape(kind, numbers, corner[mine].mean(axis=1), normals[mine])
        red, green, blue, alpha = gmsh.model.getColor(2, tag)
        colour = None if (red, green, blue, alpha) == UNPAINTED else f"#{red:02x}{green:02x}{blue:02x}"
        name = _label(2, tag, "")
        result.append(
            Face(
                index=i,
                bodies=tuple(body[b] for b in topology.of_face[tag]),
                type=kind,
                area=gmsh.model.occ.getMass(2, tag) * scale**2,
                centroid=_vec(np.array(gmsh.model.occ.getCenterOfMass(2, tag)) * scale),
                neighbours=tuple(sorted(index[n] for n in topology.neighbours(tag))),
                names=(name,) if name else (),
                colour=colour,
                normal=shape.normal,
                axis=shape.axis,
                radius=None if shape.radius is None else shape.radius * scale,
                inside=shape.inside,
            )
        )
    return result


@dataclass(frozen=True)
class _Shape:
    normal: Vec | None = None
    axis: Vec | None = None
    radius: float | None = None
    inside: bool | None = None


def _shape(kind: FaceType, numbers: Floats, middles: Floats, normals: Floats) -> _Shape:
    """Normal, axis, radius and sense of a face from the kernel's numbers and from triangles looking outward."""
    if kind == "plane":
        normal = normals.sum(axis=0) if len(normals) else np.asarray(numbers[:3])
        return _Shape(normal=_unit(normal))
    if kind not in ("cylinder", "cone", "sphere", "torus") or not len(middles):
        return _Shape()
    centre = np.asarray(numbers[:3])
    away = middles - centre
    if kind == "sphere":
        return _Shape(radius=float(numbers[3]), inside=bool(np.einsum("ij,ij->", away, normals) < 0))
    axis = np.asarray(numbers[3:6])
    axis = axis / np.linalg.norm(axis)
    radial = away - np.outer(away @ axis, axis)
    if kind == "torus":
        length = np.linalg.norm(radial, axis=1, keepdims=True)
        tube = away - radial / np.where(length > 0, length, 1) * numbers[6]
        return _Shape(axis=_unit(axis), radius=float(numbers[7]), inside=bool(np.einsum("ij,ij->", tube, normals) < 0))
    inside = bool(np.einsum("ij,ij->", radial, normals) < 0)
    if kind == "cylinder":
        return _Shape(axis=_unit(axis), radius=float(numbers[6]), inside=inside)
    weight = np.linalg.norm(normals, axis=1)
    middle = float(np.average(np.linalg.norm(radial, axis=1), weights=weight))
    return _Shape(axis=_unit(axis), radius=middle, inside=inside)


def _unit(vector: Floats) -> Vec | None:
    length = float(np.linalg.norm(vector))
    return _vec(np.round(vector / length, 12) + 0.0) if length > 0 else None


def _vec(v: Floats) -> Vec:
    return float(v[0]), float(v[1]), float(v[2])
