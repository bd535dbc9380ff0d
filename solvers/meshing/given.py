"""Meshes and triangulated surfaces that people bring: read by meshio or numpy, never by gmsh's own readers.

Their boundary is cut into faces by sets or groups of the file, and within these along edges sharper than 40 degrees.
"""

from __future__ import annotations

import io
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hub.case import Case, OfPart, Walls
from hub.filekind import Kind
from hub.intake import METRES, Facts, GeometryVerdict, MeshCost, Solid
from hub.meshfile import MeshFile
from hub.problem import Problem
from hub.selection import Face
from hub.solver import StageError
from solvers.meshing import split as cut
from solvers.meshing.cad import Floats, Ints, Surface, Vec
from solvers.meshing.cost import thinnest
from solvers.meshing.crossing import crossings
from solvers.meshing.tetmesh import numbers_of, scaled_jacobian, volume

#: An edge sharper than this parts two faces [rad].
SHARP = np.deg2rad(40)
#: Triangles of a plane deviate from it by no more than this part of the face's extent.
FLAT = 1e-6
#: Logical bytes of one dataset of a MED file.
LARGEST = 2 * 2**30
#: The four outward triangles of a tetrahedron, corners then the nodes between them (VTK).
SIDES = np.array([[0, 2, 1, 6, 5, 4], [0, 1, 3, 4, 8, 7], [1, 2, 3, 5, 9, 8], [0, 3, 2, 7, 9, 6]])
FORMATS: dict[Kind, str] = {"abaqus": "abaqus", "nastran": "nastran", "vtu": "vtu", "gmsh": "gmsh", "med": "med"}
_HINT = (
    "Export a mesh of tetrahedra (4 or 10 nodes) or of straight hexahedra, wedges and pyramids (8, 6, 5 nodes), "
    "or send the CAD part and let it be meshed here."
)


def probe(file: Path, out: Path, kind: Kind, unit: str | None) -> Facts:
    """The facts about a mesh or an STL, and ``surface.npz`` in `out`. Raises StageError."""
    factor = METRES[unit or "mm"]
    if kind == "stl":
        skin = read_stl(file)
        return _facts(skin, out, factor, None)
    points, cells, body, names, sets = read_mesh(file, kind)
    return _facts(skin_of(points, cells, body, names, sets), out, factor, (points, cells, body))


@dataclass(frozen=True)
class Skin:
    """Boundary triangles, outward, cut into faces.

    points (n, 3); triangles (m, 3); face (m,); bodies of each face; names of bodies; names of each face
    """

    points: Floats
    triangles: Ints
    face: Ints
    owners: list[tuple[int, ...]]
    bodies: list[str]
    names: list[tuple[str, ...]]
    open_edges: int = 0
    crowded: int = 0
    places: Floats = field(default_factory=lambda: np.empty((0, 3)))


def _facts(skin: Skin, out: Path, factor: float, filled: tuple[Floats, Ints, Ints] | None) -> Facts:
    surface = Surface(skin.points, skin.triangles, skin.face, _borders(skin))
    np.savez(
        out / "surface.npz",
        points=skin.points * factor,
        triangles=skin.triangles,
        face=skin.face,
        edges=surface.edges,
    )
    low, high = skin.points.min(axis=0) * factor, skin.points.max(axis=0) * factor
    solids: list[Solid] = []
    cost: dict[Any, MeshCost] = {}
    if filled is not None:
        points, cells, body = filled
        volumes = np.bincount(body, volume(points[cells]), len(skin.bodies)) * factor**3
        solids = [Solid(name=n, volume=float(v)) for n, v in zip(skin.bodies, volumes, strict=True)]
        lengths = np.linalg.norm(points[cells[:, 1]] - points[cells[:, 0]], axis=1)
        nodes = len(np.unique(cells)) if cells.shape[1] == 10 else round(1.5 * len(cells))
        only = MeshCost(size=float(lengths.max()) * factor, nodes=nodes, tets=len(cells))
        cost = {"coarse": only, "normal": only, "fine": only}
    elif not skin.open_edges and not skin.crowded:
        corner = skin.points[skin.triangles]
        enclosed = np.einsum("ij,ij->i", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])).sum() / 6 * factor**3
        solids = [Solid(name=skin.bodies[0], volume=float(enclosed))]
        cost = {level: _guess(enclosed, low, high, level) for level in ("coarse", "normal", "fine")}
    wall = thinnest(surface, skin.owners)
    return Facts(
        bodies=tuple(solids),
        faces=tuple(describe(skin, factor)),
        box=(cast(Vec, tuple(map(float, low))), cast(Vec, tuple(map(float, high)))),
        open_edges=skin.open_edges,
        nonmanifold_edges=skin.crowded,
        open_places=tuple(cast(Vec, tuple(map(float, p * factor))) for p in skin.places),
        notes=_crossed(skin, factor) if filled is None else (),
        thinnest=None if wall is None else wall * factor,
        cost=cost,
    )


def _crossed(skin: Skin, factor: float) -> tuple[Problem, ...]:
    """A surface that passes through itself."""
    count, place = crossings(skin.points, skin.triangles)
    if place is None:
        return ()
    x, y, z = (f"{c * factor * 1e3:.4g}" for c in place)
    return (
        Problem(
            where="geometry.file",
            found=f"{count} pair(s) of triangles that pass through each other, one near {x}, {y}, {z} mm",
            expected="a skin that does not cross itself",
            todo="Unite the overlapping bodies in the CAD system, or repair the STL, then export again.",
            code="self-crossing",
        ),
    )


def _guess(enclosed: float, low: Floats, high: Floats, level: Any) -> MeshCost:
    from hub.case import Mesh
    from solvers.meshing.sizing import FILL, sizing

    size = sizing(Mesh(fineness=level), float(enclosed), float(np.linalg.norm(high - low))).largest
    tets = float(enclosed) / (FILL * size**3) * 2
    return MeshCost(size=size, nodes=round(1.7 * tets), tets=round(tets))


# --- reading --------------------------------------------------------------------------------------------------


def read_stl(file: Path) -> Skin:
    """A triangulated surface with equal corners joined. Raises StageError."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(84)
    count = int.from_bytes(head[80:84], "little")
    if size == 84 + 50 * count:
        kind = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("extra", "<u2")])
        corners = np.fromfile(file, kind, offset=84)["corners"].astype(np.float64)
    else:
        found = re.findall(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", file.read_bytes())
        try:
            corners = np.array(found, dtype=np.float64).reshape(-1, 3, 3)
        except ValueError:
            raise StageError("unreadable", "The STL has a vertex that is no number.", "Export it again.") from None
    if not len(corners) or not np.isfinite(corners).all():
        raise StageError("unreadable", "The STL has no triangles, or corners that are no numbers.", "Export it again.")
    flat = corners.reshape(-1, 3)
    extent = np.ptp(flat, axis=0).max()
    _, first, number = np.unique(
        np.round(flat / max(extent, 1e-300) * 1e6).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    points, triangles = flat[first], number.reshape(-1, 3)
    real = (triangles[:, 0] != triangles[:, 1]) & (triangles[:, 1] != triangles[:, 2])
    triangles = triangles[real & (triangles[:, 0] != triangles[:, 2])]
    corner = points[triangles]
    if np.einsum("ij,ij->i", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])).sum() < 0:
        triangles = triangles[:, [0, 2, 1]]
    open_edges, crowded, places = edge_faults(points, triangles)
    face = split(points, triangles, np.zeros(len(triangles), np.int64))
    count = int(face.max()) + 1
    return Skin(points, triangles, face, [(0,)] * count, ["body 1"], [()] * count, open_edges, crowded, places)


def edge_faults(points: Floats, triangles: Ints) -> tuple[int, int, Floats]:
    """(open edges, edges on more than two triangles, the middles of up to three holes that open edges go round)."""
    sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    edges, uses = np.unique(sides, axis=0, return_counts=True)
    bare = edges[uses == 1]
    ends, number = np.unique(bare, return_inverse=True)
    number = number.reshape(-1, 2)
    graph = coo_array((np.ones(len(bare)), (number[:, 0], number[:, 1])), shape=(len(ends), len(ends)))
    count, label = connected_components(graph, directed=False) if len(bare) else (0, np.empty(0, int))
    places = [points[ends[label == k]].mean(axis=0) for k in range(min(count, 3))]
    return len(bare), int((uses > 2).sum()), np.array(places).reshape(-1, 3)


def read_mesh(file: Path, kind: Kind) -> tuple[Floats, Ints, Ints, list[str], dict[str, Ints]]:
    """(points, cells in VTK order, body of each cell, names of bodies, name of a face set -> its triangles' corners).

    Straight hexahedra, wedges and pyramids are cut into tetrahedra of second order. Raises StageError for everything
    that points outside the file, and for elements of other kinds.
    """
    _closed(file, kind)
    import meshio

    if kind in _AS_MESHIO_WANTS:
        file = _reworded(file, kind)

    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            grid = meshio.read(file, file_format=FORMATS[kind])
    except (Exception, SystemExit) as error:  # meshio's readers raise whatever they stumble over
        raise StageError(
            "unreadable", f"The mesh could not be read: {type(error).__name__} {str(error)[:120]}.", _HINT
        ) from None
    solid = {b.type for b in grid.cells if b.dim == 3}
    if not solid:
        raise StageError("no-volume", "The mesh has no volume elements.", _HINT)
    straight = solid <= set(cut.SIDES)
    if not straight and solid != {"tetra10"}:
        raise StageError("not-tetrahedra", f"The mesh has elements of kind {', '.join(sorted(solid))}.", _HINT)
    points = np.asarray(grid.points, float)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise StageError("unreadable", "The mesh has nodes whose coordinates are no numbers.", "Export it again.")
    blocks = [i for i, b in enumerate(grid.cells) if b.dim == 3]
    given = [np.asarray(grid.cells[i].data, np.int64) for i in blocks]
    if min(c.min() for c in given) < 0 or max(c.max() for c in given) >= len(points):
        raise StageError("unreadable", "The mesh names nodes that it does not have.", "Export it again.")
    body, names = _bodies(grid, blocks)
    if straight and solid != {"tetra"}:
        pieces = [cut.tetrahedra(points, c, grid.cells[i].type) for c, i in zip(given, blocks, strict=True)]
        first = np.cumsum([0, *map(len, given)])
        body = np.concatenate([body[of + start] for (_, of), start in zip(pieces, first, strict=False)])
        points, cells = cut.raised(points, np.concatenate([tets for tets, _ in pieces]))
    else:
        cells = np.concatenate(given)
    wrong = volume(points[cells]) < 0
    order = [0, 2, 1, 3] if cells.shape[1] == 4 else [0, 2, 1, 3, 6, 5, 4, 7, 9, 8]
    cells[wrong] = cells[wrong][:, order]
    used = np.zeros(len(points), bool)
    used[cells.ravel()] = True
    renumber = np.where(used, np.cumsum(used) - 1, -1)
    sets = {n: renumber[c] for n, c in _face_sets(grid).items()}
    return points[used], renumber[cells], body, names, {n: c[(c >= 0).all(axis=1)] for n, c in sets.items()}


#: What meshio does not know of a kind of file, and how it wants it.
_AS_MESHIO_WANTS: dict[Kind, tuple[tuple[bytes, bytes], ...]] = {
    "abaqus": (
        (rb"(?im)^(\*ELEMENT\b.*\bTYPE\s*=\s*)(?:CPS|CPE|CAX|S)6[A-Z]*", rb"\1STRI65"),
        (rb"(?im)^(\*ELEMENT\b.*\bTYPE\s*=\s*)(?:CPS|CPE|CAX)3[A-Z]*", rb"\1S3"),
        (rb"(?im)^(\*ELEMENT\b.*\bTYPE\s*=\s*)C3D10(?:M|MH|H|I|T)+", rb"\1C3D10"),
    ),
    "nastran": (),
}


def _reworded(file: Path, kind: Kind) -> Path:
    """A copy beside the mesh in the words its reader knows."""
    data = file.read_bytes()
    if kind == "nastran":
        if not re.search(rb"^BEGIN\s+BULK", data, re.I | re.M):
            data = b"BEGIN BULK\n" + data
    else:
        for pattern, words in _AS_MESHIO_WANTS[kind]:
            data = re.sub(pattern, words, data)
    with tempfile.NamedTemporaryFile(suffix=file.suffix, delete=False) as copy:
        copy.write(data)
    return Path(copy.name)


def _closed(file: Path, kind: Kind) -> None:
    """Refuse what points outside the file or grows when it is read."""
    if kind == "med":
        import h5py

        try:
            with h5py.File(file, "r", locking=False) as tree:
                _closed_tree(tree)
        except OSError:
            raise StageError("unreadable", "The HDF5 file is damaged.", "Export it again.") from None
        return
    data = file.read_bytes()
    if kind in ("abaqus", "nastran") and re.search(rb"^\s*\*?\s*INCLUDE\b", data, re.I | re.M):
        raise StageError("points-outside", "The mesh includes other files.", "Send one file that holds everything.")
    if kind == "vtu" and re.search(rb"<!(DOCTYPE|ENTITY)", data, re.I):
        raise StageError("points-outside", "The VTU declares XML entities.", "Export it again with ParaView.")


def _closed_tree(tree: Any) -> None:
    import h5py

    todo, seen = [tree["/"]], 0
    while todo:
        group = todo.pop()
        for name in group:
            seen += 1
            where = f"{group.name}/{name}"[:100]
            if seen > 10_000:
                raise StageError("too-large", "The file has more than 10000 objects.", _HINT)
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise StageError("points-outside", f"{where} is a link to another place.", _HINT)
            thing = group[name]
            if isinstance(thing, h5py.Group):
                todo.append(thing)
            elif not isinstance(thing, h5py.Dataset):
                continue
            elif thing.is_virtual or thing.external:
                raise StageError("points-outside", f"{where} takes its data from another file.", _HINT)
            elif thing.size is not None and thing.size * thing.dtype.itemsize > LARGEST:
                raise StageError("too-large", f"{where} would fill {thing.size * thing.dtype.itemsize} bytes.", _HINT)


def _bodies(grid: Any, blocks: list[int]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Bodies by physical group, or one for all."""
    for key in ("gmsh:physical", "medit:ref", "nastran:ref"):
        if key in grid.cell_data:
            marks = np.concatenate([np.asarray(grid.cell_data[key][i]) for i in blocks]).astype(np.int64).ravel()
            values, body = np.unique(marks, return_inverse=True)
            called = {int(v[0]): n for n, v in grid.field_data.items() if int(v[1]) == 3}
            return body, [_text(called.get(int(v), f"body {k + 1}")) for k, v in enumerate(values)]
    count = sum(len(grid.cells[i].data) for i in blocks)
    sets = {n: [np.asarray(s[i], dtype=np.int64) for i in blocks] for n, s in grid.cell_sets.items()}
    offsets = np.cumsum([0, *(len(grid.cells[i].data) for i in blocks)])
    body = np.full(count, -1)
    names: list[str] = []
    for name, parts in sets.items():
        members = np.concatenate([p + o for p, o in zip(parts, offsets, strict=False)])
        if 0 < len(members) < count and (body[members] < 0).all():
            body[members] = len(names)
            names.append(_text(name))
    if not names or (body < 0).any():
        body[body < 0] = len(names)
        names.append("body 1" if not names else "rest")
    return body.astype(np.int64), names


def _face_sets(grid: Any) -> dict[str, Ints]:
    """Named groups of boundary triangles in the file: name -> (n, 3) corners."""
    sets: dict[str, list[Ints]] = {}
    called = {int(v[0]): n for n, v in grid.field_data.items() if int(v[1]) == 2}
    for i, block in enumerate(grid.cells):
        if block.dim != 2 or not block.type.startswith(("triangle", "quad")):
            continue
        sides = np.asarray(block.data, dtype=np.int64)[:, : 4 if block.type.startswith("quad") else 3]
        for name, members in grid.cell_sets.items():
            chosen = np.asarray(members[i], dtype=np.int64) if members[i] is not None else np.empty(0, np.int64)
            if len(chosen) and not name.startswith("gmsh:"):
                sets.setdefault(_text(name), []).append(cut.triangles(sides[chosen])[0])
        marks = grid.cell_data.get("gmsh:physical")
        for mark, name in called.items() if marks is not None else ():
            chosen = np.flatnonzero(np.asarray(marks[i]) == mark)
            if len(chosen):
                sets.setdefault(_text(name), []).append(cut.triangles(sides[chosen])[0])
    return {name: np.concatenate(parts) for name, parts in sets.items()}


def _text(name: object) -> str:
    return "".join(c for c in str(name) if c.isprintable())[:150] or "unnamed"


# --- the boundary as faces --------------------------------------------------------------------------------------


def skin_of(points: Floats, cells: Ints, body: Ints, names: list[str], sets: Mapping[str, Ints]) -> Skin:
    """The boundary and the interfaces of a mesh of tetrahedra, cut into faces."""
    sides = cells[:, SIDES[:, :3]].reshape(-1, 3)
    owner = np.repeat(body, 4)
    key = np.sort(sides, axis=1)
    order = np.lexsort(key.T[::-1])
    ranked = key[order]
    same = (ranked[1:] == ranked[:-1]).all(axis=1)
    first = np.flatnonzero(~np.r_[False, same])
    paired = np.r_[same, False][first]
    if (np.diff(np.r_[first, len(order)]) > 2).any():
        raise StageError("non-manifold", "The mesh has triangles shared by more than two elements.", _HINT)
    a, b = order[first], order[np.minimum(first + 1, len(order) - 1)]
    keep = ~paired | (owner[a] != owner[b])
    swap = paired & (owner[b] < owner[a])
    chosen = np.where(swap, b, a)[keep]
    other = np.where(paired, np.where(swap, owner[a], owner[b]), -1)[keep]
    triangles, mine = sides[chosen], owner[chosen]
    label = np.zeros(len(triangles), np.int64)
    lookup = {tuple(t): k for k, t in enumerate(np.sort(triangles, axis=1).tolist())}
    named: list[set[str]] = [set() for _ in triangles]
    for name, corners in sets.items():
        for t in np.sort(corners, axis=1).tolist():
            if tuple(t) in lookup:
                named[lookup[tuple(t)]].add(name)
    kinds: dict[tuple[Any, ...], int] = {}
    for k in range(len(triangles)):
        label[k] = kinds.setdefault((int(mine[k]), int(other[k]), tuple(sorted(named[k]))), len(kinds))
    face = split(points, triangles, label)
    one = np.unique(face, return_index=True)[1]
    owners = [(int(mine[k]),) if other[k] < 0 else (int(mine[k]), int(other[k])) for k in one]
    return Skin(points, triangles, face, owners, names, [tuple(sorted(named[k])) for k in one])


def split(points: Floats, triangles: Ints, label: Ints) -> Ints:
    """The face of each triangle (m,): joined over blunt edges between exactly two triangles of one label."""
    corner = points[triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = normal / np.where(length > 0, length, 1)
    count = len(triangles)
    sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    owner = np.tile(np.arange(count), 3)
    key = np.column_stack([np.tile(label, 3), sides])
    order = np.lexsort(key.T[::-1])
    key, owner = key[order], owner[order]
    equal = (key[1:] == key[:-1]).all(axis=1)
    pair = equal & ~np.r_[False, equal[:-1]] & ~np.r_[equal[1:], False]
    i, j = owner[:-1][pair], owner[1:][pair]
    smooth = (np.einsum("ij,ij->i", normal[i], normal[j]) > np.cos(SHARP)) | (length[i, 0] == 0) | (length[j, 0] == 0)
    graph = coo_array((np.ones(smooth.sum()), (i[smooth], j[smooth])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _borders(skin: Skin) -> Ints:
    """The sides between two faces."""
    t = skin.triangles
    sides = np.sort(np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]]), axis=1)
    pairs = np.unique(np.column_stack([sides, np.tile(skin.face, 3)]), axis=0)
    edges, uses = np.unique(pairs[:, :2], axis=0, return_counts=True)
    return edges[uses > 1]


def describe(skin: Skin, factor: float) -> list[Face]:
    """The faces of a skin: planes are recognised, everything else is `other`."""
    corner = skin.points[skin.triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) / 2
    area = np.linalg.norm(normal, axis=1)
    count = len(skin.owners)
    t = skin.triangles
    sides = np.sort(np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]]), axis=1)
    pairs = np.unique(np.column_stack([sides, np.tile(skin.face, 3)]), axis=0)
    met = (pairs[1:, :2] == pairs[:-1, :2]).all(axis=1)
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for a, b in pairs[np.flatnonzero(met)[:, None] + [0, 1], 2]:
        neighbours[a].add(int(b))
        neighbours[b].add(int(a))
    faces = []
    for k in range(count):
        mine = skin.face == k
        total = float(area[mine].sum())
        middle = (area[mine, None] * corner[mine].mean(axis=1)).sum(axis=0) / max(total, 1e-300)
        mean = normal[mine].sum(axis=0)
        straight = float(np.linalg.norm(mean))
        unit = mean / straight if straight > 0 else mean
        away = np.abs((corner[mine] - middle) @ unit).max() if total else 1.0
        flat = straight > 0 and away <= max(FLAT * total**0.5, 1e-6 * np.ptp(skin.points, axis=0).max())
        x, y, z = (float(c) for c in middle * factor)
        faces.append(
            Face(
                index=k,
                bodies=skin.owners[k],
                type="plane" if flat else "other",
                area=total * factor**2,
                centroid=(x, y, z),
                normal=cast(Vec, tuple(float(c) for c in np.round(unit, 9) + 0.0)) if flat else None,
                neighbours=tuple(sorted(neighbours[k])),
                names=skin.names[k],
            )
        )
    return faces


# --- the mesh stage ---------------------------------------------------------------------------------------------


def mesh(geometry: Path, verdict: GeometryVerdict, case: Case, faces: Mapping[str, Sequence[int]]) -> MeshFile:
    """The mesh of a case whose geometry is a mesh or an STL. Raises StageError."""
    factor = METRES[case.geometry.unit or "mm"]
    kind = cast(Kind, verdict.kind)
    if isinstance(case.domain, Walls):
        from solvers.meshing import walls

        skin = read_stl(geometry) if kind == "stl" else skin_of(*read_mesh(geometry, kind))
        solids = [b.model_dump() for b in verdict.bodies]
        return walls.of_skin(skin, solids, verdict.faces, faces, factor, f"as given ({kind})")
    if not isinstance(case.domain, OfPart):
        raise StageError(
            "needs-cad",
            f"The domain {case.domain.kind} needs faces and edges; the geometry is a mesh or an STL.",
            "Send the CAD part as STEP.",
        )
    if kind == "stl":
        from solvers.meshing.stl import fill

        skin = read_stl(geometry)
        points, cells = fill(skin, case.mesh, factor)
        body, names = np.zeros(len(cells), np.int64), skin.bodies
        made = skin_of(points, cells, body, names, {})
        near = _nearest(skin, made)
        made = Skin(points, made.triangles, near, skin.owners, names, skin.names)
    else:
        points, cells, body, names, sets = read_mesh(geometry, kind)
        made = skin_of(points, cells, body, names, sets)
    volumes = volume(points[cells])
    wrong = (volumes <= 0) | (scaled_jacobian(points[cells]) <= 0)
    if wrong.any():
        raise StageError("no-valid-mesh", f"{int(wrong.sum())} elements are flat or inside out.", _HINT)
    facets = made.triangles
    if cells.shape[1] == 10:
        facets = _with_middles(cells, made.triangles)
    return MeshFile(
        points=points * factor,
        cells=cells,
        cell_body=body.astype(np.int32),
        facets=facets,
        facet_face=made.face.astype(np.int32),
        bodies=[
            {"name": n, "volume": float(v) * factor**3}
            for n, v in zip(names, np.bincount(body, volumes, len(names)), strict=True)
        ],
        faces=[f.model_dump(mode="json") for f in verdict.faces],
        selections={name: list(indices) for name, indices in faces.items()},
        numbers=numbers_of(points * factor, cells, sum(b.volume for b in verdict.bodies))
        | {"mesher": f"as given ({kind})"},
    )


def _with_middles(cells: Ints, corners: Ints) -> Ints:
    """Facets (m, 6) from their corners, with the middle nodes of the elements they are sides of."""
    sides = cells[:, SIDES].reshape(-1, 6)
    lookup = {tuple(k): row for k, row in zip(np.sort(sides[:, :3], axis=1).tolist(), sides.tolist(), strict=True)}
    rows = []
    for a, b, c in corners.tolist():
        row = lookup[tuple(sorted((a, b, c)))]
        at = {
            frozenset((row[0], row[1])): row[3],
            frozenset((row[1], row[2])): row[4],
            frozenset((row[2], row[0])): row[5],
        }
        rows.append([a, b, c, at[frozenset((a, b))], at[frozenset((b, c))], at[frozenset((c, a))]])
    return np.array(rows, np.int64).reshape(-1, 6)


def _nearest(skin: Skin, made: Skin) -> Ints:
    """The face of the STL each triangle of the mesh lies on: the nearest triangle that looks the same way."""
    from scipy.spatial import cKDTree

    def middles(s: Skin) -> tuple[Floats, Floats]:
        corner = s.points[s.triangles]
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        return corner.mean(axis=1), normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)

    here, looks = middles(made)
    there, look = middles(skin)
    size = np.ptp(skin.points, axis=0).max()
    _, nearest = cKDTree(np.hstack([there / size, look * 0.1])).query(np.hstack([here / size, looks * 0.1]))
    return np.asarray(skin.face[nearest], np.int64)
