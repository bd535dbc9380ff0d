"""Thin cells along walls: the mesh is pushed away from them, and prisms cut into simplices fill the room.

The nodes of the wall move inwards, along the direction that is most normal to all faces of the wall around them; the
rest follows a Laplacian with stiff short edges (Loehner and Yang, Commun. Numer. Methods Eng. 12, 1996, 599-608).
Between the wall and where its nodes went, prisms are cut into tetrahedra by the global order of their columns, so that
neighbours cut their common side alike (Dompierre, Labbe, Vallet and Camarero, 8th Int. Meshing Roundtable, 1999,
195-204). Curved sides keep their bend in every layer. Where room is short, the layers get thinner.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

from hub.case import Layers
from hub.meshfile import MeshFile
from solvers.meshing import planar, tetmesh
from solvers.meshing.cad import Floats, Ints
from solvers.meshing.cost import hits

#: Height of the outermost layer over the length of the wall's edges, where no first height is given.
OUTERMOST = 0.5
#: Layers fill no more than this part of the gap to what they face.
SHARE = 0.3
#: At corners of the wall layers are measured along the normals, and stretched along the edge by no more than this.
STRETCH = 2.0
#: Attempts at thinner layers; and how much thinner each time where cells turn inside out or get this flat.
ATTEMPTS, THINNER, FLAT = 12, 0.6, 0.03
#: Cosine of the angle between a face beside the wall and the normal there, below which it leads back.
BACK = -0.2
#: Layers thinner than this part of what was asked for, anywhere, are not worth having.
LEAST = 0.02

#: Corners of the edges of simplices, in VTK's order of the nodes between.
EDGES = {2: ((0, 1), (1, 2), (2, 0)), 3: ((0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3))}
#: The sides of simplices, looking outward, in 3D; in a plane with the cell to their left.
SIDES = {2: ((0, 1), (1, 2), (2, 0)), 3: ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2))}


class Unfit(Exception):
    """Layers cannot be made here, and why."""


def insert(mesh: MeshFile, wanted: Sequence[Layers], wet: Collection[int]) -> MeshFile:
    """The mesh with layers along walls; what was made stands in ``numbers["layers"]``.

    wet : indices of the bodies that get them (the fluids)
    Raises Unfit.
    """
    alike: dict[tuple[float | None, int, float], list[str]] = {}
    for entry in wanted:
        alike.setdefault((entry.first, entry.count, entry.growth), []).append(entry.on)
    made = []
    for (first, count, growth), names in alike.items():
        faces = {i for name in names for i in mesh.selections[name]}
        wall = _Wall(mesh, faces, wet)
        mesh, said = wall.grow(first, count, growth)
        made.append({"on": names, "asked": count, "made": count, "growth": growth, **said})
    return replace(mesh, numbers=mesh.numbers | {"layers": made})


@dataclass(frozen=True)
class _Grown:
    """Where everything went: `moved` (n_points, dim) of the wet cells, heights (n_columns, levels + 1) of the layers,
    way (n_columns, dim)."""

    moved: Floats
    heights: Floats
    way: Floats


class _Wall:
    """The facets that get layers, and what they meet.

    columns : (n,) nodes of the wall; column : (n_points,) index into these, -1 elsewhere
    """

    def __init__(self, mesh: MeshFile, faces: set[int], wet: Collection[int]) -> None:
        self.mesh, self.dim = mesh, mesh.dimension
        d = self.dim
        self.x = mesh.points[:, :d]
        self.corners = mesh.cells[:, : d + 1]
        self.wet = np.isin(mesh.cell_body, sorted(wet))
        if not self.wet.any():
            self.wet[:] = True
        owner = wet_cells(mesh, self.wet)
        self.on = np.isin(mesh.facet_face, sorted(faces)) & (owner >= 0)
        if not self.on.any():
            raise Unfit("no cell of a fluid touches the wall")
        self.facets = mesh.facets[self.on]
        self.columns = np.unique(self.facets[:, :d])
        self.column = np.full(len(self.x), -1)
        self.column[self.columns] = np.arange(len(self.columns))
        self.normals = inward(self.x, self.facets[:, :d], self.x[self.corners[owner[self.on]]].mean(axis=1))
        touching = (self.column[mesh.facets[:, :d]] >= 0).any(axis=1) & ~self.on
        torn = touching & (owner >= 0) & (wet_cells(mesh, ~self.wet) >= 0)
        if torn.any():
            raise Unfit(f"the wall ends at {self._called(mesh.facet_face[torn][0])}, between two bodies: name it too")
        self.beside = touching & (owner >= 0)
        self.skin = owner >= 0
        self.flat = {int(f): _flat_normal(mesh, f) for f in np.unique(mesh.facet_face[self.skin & ~self.on])}
        bent = [f for f in np.unique(mesh.facet_face[self.beside]) if self.flat[int(f)] is None]
        if bent:
            raise Unfit(f"the wall ends at {self._called(bent[0])}, which is curved: name it too")
        back = self._turned_back()
        if len(back):
            raise Unfit(f"the wall ends at an edge that juts into the fluid, at {self._called(back[0])}: name it too")

    def _turned_back(self) -> Ints:
        """The faces beside the wall that lead away from where layers grow: these would end open in the fluid."""
        d = self.dim
        normal = np.zeros((len(self.columns), d))
        np.add.at(normal, self.column[self.facets[:, :d]].ravel(), np.repeat(self.normals, d, axis=0))
        corners = self.mesh.facets[self.beside][:, :d]
        at = self.column[corners]
        row, k = np.nonzero(at >= 0)
        way = self.x[corners[row]].mean(axis=1) - self.x[corners[row, k]]
        up = normal[at[row, k]]
        lean = np.einsum("ij,ij->i", way, up) / (np.linalg.norm(way, axis=1) * np.linalg.norm(up, axis=1))
        return np.unique(self.mesh.facet_face[self.beside][row[lean < BACK]])

    def _called(self, face: int) -> str:
        x, y, z = (f"{c * 1e3 + 0.0:.4g}" for c in self.mesh.faces[face]["centroid"])
        return f"a face near {x}, {y}, {z} mm"

    def grow(self, first: float | None, count: int, growth: float) -> tuple[MeshFile, dict[str, Any]]:
        """The mesh with `count` layers, and what they are."""
        steps = growth ** np.arange(count)
        levels = np.r_[0.0, np.cumsum(steps)]
        length = self._lengths()
        lowest = np.full(len(self.columns), first) if first else OUTERMOST * length / steps[-1]
        asked = lowest * levels[-1]
        way = self._ways()
        room = self._room(way, asked)
        thick = self._even(np.minimum(asked, SHARE * room))
        for _ in range(ATTEMPTS):
            grown = _Grown(self._moved(way * thick[:, None]), thick[:, None] * levels / levels[-1], way)
            made = self._filled(grown, count)
            bad = self._bad(made)
            if not len(bad):
                break
            near = np.unique(self.column[bad])
            near = near[near >= 0]
            thinner = np.ones(len(thick))
            thinner[near if len(near) else slice(None)] = THINNER
            thick = self._even(thick * thinner)
        else:
            raise Unfit("cells turn inside out however thin the layers are")
        if (thick / asked).min() < LEAST:
            at = self.x[self.columns[int(np.argmin(thick / asked))]] * 1e3
            raise Unfit(f"there is no room near {', '.join(f'{c + 0.0:.4g}' for c in at)} mm")
        heights = thick / levels[-1]
        return made, {
            "first": {"min": float(heights.min()), "median": float(np.median(heights)), "max": float(heights.max())},
            "thickness": {"min": float(thick.min()), "max": float(thick.max())},
            "thinned": float((thick < 0.95 * asked).mean()),
        }

    # --- which way, and how far ---------------------------------------------------------------------------------

    def _lengths(self) -> Floats:
        """Mean length of the wall's edges at each column."""
        ends = self._edges()
        long = np.linalg.norm(self.x[ends[:, 0]] - self.x[ends[:, 1]], axis=1)
        at = self.column[ends].ravel()
        return np.bincount(at, np.repeat(long, 2), len(self.columns)) / np.bincount(at, minlength=len(self.columns))

    def _edges(self) -> Ints:
        """(k, 2) nodes of the wall's edges, each once, ends in order."""
        if self.dim == 2:
            return np.sort(self.facets[:, :2], axis=1)
        t = self.facets
        return np.unique(np.sort(np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]]), axis=1), axis=0)

    def _ways(self) -> Floats:
        """Where each column goes for a layer of thickness one: into the fluid, along the faces it stands on."""
        d, count = self.dim, len(self.columns)
        face = self.mesh.facet_face[self.on]
        at = self.column[self.facets[:, :d]]
        # one normal for each face of the CAD model around a node: how it is meshed must not turn the way
        pair, number = np.unique(np.column_stack([at.ravel(), np.repeat(face, d)]), axis=0, return_inverse=True)
        summed = np.zeros((len(pair), d))
        np.add.at(summed, number.ravel(), np.repeat(self.normals, d, axis=0))
        summed /= np.linalg.norm(summed, axis=1, keepdims=True)
        way = np.zeros((count, d))
        np.add.at(way, pair[:, 0], summed)
        # of the faces at a node the one looking away most counts more
        for _ in range(10):
            way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-300)
            lean = np.einsum("ij,ij->i", summed, way[pair[:, 0]])
            np.add.at(way, pair[:, 0], 0.5 * np.maximum(0.9 - lean, 0)[:, None] * summed)
        bound: dict[int, list[Floats]] = {}
        for facet in np.flatnonzero(self.beside):
            normal = self.flat[int(self.mesh.facet_face[facet])]
            for node in self.mesh.facets[facet, :d]:
                if self.column[node] >= 0 and normal is not None:
                    known = bound.setdefault(int(self.column[node]), [])
                    if not any(abs(normal @ other) > 1 - 1e-9 for other in known):
                        known.append(normal)
        for column, normals in bound.items():
            way[column] = _along(way[column], normals)
        long = np.linalg.norm(way, axis=1)
        if long.min() < 0.2:
            at_mm = self.x[self.columns[int(np.argmin(long))]] * 1e3
            raise Unfit(f"the wall meets another face at its edge near {', '.join(f'{c:.4g}' for c in at_mm)} mm")
        way /= long[:, None]
        lean = np.full(count, np.inf)
        np.minimum.at(lean, pair[:, 0], np.einsum("ij,ij->i", summed, way[pair[:, 0]]))
        if lean.min() < 0.05:
            at_mm = self.x[self.columns[int(np.argmin(lean))]] * 1e3
            raise Unfit(f"the wall folds back on itself near {', '.join(f'{c:.4g}' for c in at_mm)} mm")
        return way / np.maximum(lean, 1 / STRETCH)[:, None]

    def _room(self, way: Floats, asked: Floats) -> Floats:
        """How far each column is from what it faces, as far as that matters."""
        d = self.dim
        outer = self.mesh.facets[self.skin][:, :d]
        middles = self.x[outer].mean(axis=1)
        reach = np.linalg.norm(self.x[outer] - middles[:, None], axis=2).max(axis=1)
        far = 1.5 / SHARE * asked
        tree = cKDTree(middles)
        room = np.full(len(self.columns), np.inf)
        for k, node in enumerate(self.columns):
            start, ray = self.x[node], way[k] / np.linalg.norm(way[k])
            near = np.array(tree.query_ball_point(start, far[k] + float(reach.max())), int)
            near = near[~(outer[near] == node).any(axis=1)]
            if not len(near):
                continue
            corner = self.x[outer[near]]
            if d == 3:
                met = hits(start, ray, corner[:, 0], corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
            else:
                met = segments_met(start, ray, corner[:, 0], corner[:, 1])
            room[k] = met.min(initial=np.inf)
        return room

    def _even(self, thick: Floats) -> Floats:
        """Thickness that changes by no more than a fifth of the distance along the wall."""
        ends = self.column[self._edges()]
        long = np.linalg.norm(self.x[self.columns[ends[:, 0]]] - self.x[self.columns[ends[:, 1]]], axis=1)
        thick = thick.copy()
        for _ in range(200):
            before = thick.copy()
            np.minimum.at(thick, ends[:, 0], before[ends[:, 1]] + 0.2 * long)
            np.minimum.at(thick, ends[:, 1], before[ends[:, 0]] + 0.2 * long)
            if (thick == before).all():
                break
        return thick

    def _moved(self, shift: Floats) -> Floats:
        """(n_points, dim) corners of the wet cells after the wall's nodes went by `shift` (n_columns, dim)."""
        d, cells = self.dim, self.corners[self.wet]
        ends = np.sort(np.concatenate([cells[:, list(e)] for e in EDGES[d]]), axis=1)
        ends = np.unique(ends, axis=0)
        stiff = 1 / np.linalg.norm(self.x[ends[:, 0]] - self.x[ends[:, 1]], axis=1)
        used = np.unique(cells)
        row = np.full(len(self.x), -1)
        row[used] = np.arange(len(used))
        a, b = row[ends[:, 0]], row[ends[:, 1]]
        n = len(used)
        links = coo_array((np.r_[stiff, stiff], (np.r_[a, b], np.r_[b, a])), shape=(n, n)).tocsr()
        fixed = np.zeros((n, d), bool)
        value = np.zeros((n, d))
        outer, face = self.mesh.facets[self.skin & ~self.on][:, :d], self.mesh.facet_face[self.skin & ~self.on]
        planes: dict[int, list[Floats]] = {}
        for f in np.unique(face):
            nodes = row[np.unique(outer[face == f])]
            normal = self.flat[int(f)]
            if normal is None:
                fixed[nodes] = True
                continue
            if np.abs(normal).max() > 1 - 1e-9:
                fixed[nodes, int(np.argmax(np.abs(normal)))] = True
            for node in nodes:
                planes.setdefault(int(node), []).append(normal)
        wall = row[self.columns]
        fixed[wall], value[wall] = True, shift
        result = self.x.copy()
        degree = np.asarray(links.sum(axis=1)).ravel()
        for k in range(d):
            value[:, k] = _laplace(links, degree, fixed[:, k], value[:, k])
        on_wall = set(wall.tolist())
        for node, normals in planes.items():
            if node not in on_wall:
                value[node] = _along(value[node], normals)
        result[used] += value
        return result

    # --- filling the room -----------------------------------------------------------------------------------------

    def _filled(self, grown: _Grown, count: int) -> MeshFile:
        """The mesh with the layers in it."""
        d, mesh, n = self.dim, self.mesh, len(self.columns)
        total = len(mesh.points)
        # level 0 of a column is the node of the wall; the wet cells get the last
        level = np.empty((count + 1, n), np.int64)
        level[0] = self.columns
        level[1:] = total + np.arange(count * n).reshape(count, n)
        x = np.zeros((total + count * n, 3))
        x[:total] = mesh.points
        away = self.x[self.columns]
        for k in range(1, count + 1):
            x[level[k], :d] = away + grown.way * grown.heights[:, [k]]
        moved = np.setdiff1d(np.unique(self.corners[self.wet]), self.columns)
        x[moved, :d] = grown.moved[moved]
        old = self.corners.copy()
        inside = self.wet[:, None] & (self.column[old] >= 0)
        old[inside] = level[count][self.column[old[inside]]]
        columns = np.sort(self.column[self.facets[:, :d]], axis=1)
        new = np.concatenate([_cut(level[k - 1][columns], level[k][columns]) for k in range(1, count + 1)])
        new = _right_way(x, new, d)
        body = self._body_of_wall()
        facets, face = self._facets(level, count)
        cells = np.concatenate([old, new])
        cell_body = np.r_[mesh.cell_body, np.tile(np.repeat(body, d), count)].astype(np.int32)
        if mesh.order == 2:
            x, cells = self._bent(x, cells, level)
        facets = _as_sides(cells, facets, d, face, cell_body)
        used = np.zeros(len(x), bool)
        used[cells.ravel()] = True
        renumber = np.cumsum(used) - 1
        module = tetmesh if d == 3 else planar
        numbers = module.numbers_of(x[used], renumber[cells], mesh.numbers["cad_volume"])
        stale = {"sicn", "worst_place", *numbers} - {"seconds"}
        kept = {k: v for k, v in mesh.numbers.items() if k not in stale}
        return replace(
            mesh,
            points=x[used],
            cells=renumber[cells],
            cell_body=cell_body,
            facets=renumber[facets],
            facet_face=face.astype(np.int32),
            numbers=numbers | kept,
        )

    def _body_of_wall(self) -> Ints:
        """The wet body on each facet of the wall."""
        d = self.dim
        sides = self.corners[self.wet][:, SIDES[d]].reshape(-1, d)
        cell = np.repeat(np.flatnonzero(self.wet), d + 1)
        first, _ = _owners(sides, cell, self.facets[:, :d])
        return np.asarray(self.mesh.cell_body[first], np.int64)

    def _facets(self, level: Ints, count: int) -> tuple[Ints, Ints]:
        """(corners of all facets, their faces): those beside the wall moved, and strips where the layers end."""
        d, mesh = self.dim, self.mesh
        corners = mesh.facets[:, :d].copy()
        moved = self.beside[:, None] & (self.column[corners] >= 0)
        corners[moved] = level[count][self.column[corners[moved]]]
        beside = mesh.facets[self.beside][:, :d]
        face = mesh.facet_face[self.beside]
        strips, of = [corners], [mesh.facet_face.astype(np.int64)]
        if d == 2:
            ends, uses = np.unique(self.facets[:, :2], return_counts=True)
            ends = ends[uses == 1]
            rows = [(self.column[e], f) for e in ends for f in face[(beside == e).any(axis=1)]]
            for column, f in rows:
                strips.append(np.column_stack([level[:-1, column], level[1:, column]]))
                of.append(np.full(count, f))
        else:
            own = np.sort(np.concatenate([self.facets[:, p] for p in ([0, 1], [1, 2], [2, 0])]), axis=1)
            edges, uses = np.unique(own, axis=0, return_counts=True)
            edges = edges[uses == 1]
            theirs = np.sort(np.concatenate([beside[:, p] for p in ([0, 1], [1, 2], [2, 0])]), axis=1)
            lookup = {tuple(e): int(f) for e, f in zip(theirs.tolist(), np.tile(face, 3).tolist(), strict=True)}
            found = [lookup.get(tuple(e), -1) for e in edges.tolist()]
            if -1 in found:
                raise Unfit("the wall ends in the middle of the fluid")
            columns = self.column[edges]  # in the order of the nodes, which is that of the columns
            for k in range(1, count + 1):
                strips.append(_cut(level[k - 1][columns], level[k][columns]))
                of.append(np.repeat(found, 2))
        return np.concatenate(strips), np.concatenate(of)

    def _bent(self, x: Floats, cells: Ints, level: Ints) -> tuple[Floats, Ints]:
        """Nodes between the corners: those of an edge that stands over one of the wall's bend as that does."""
        d, mesh, total = self.dim, self.mesh, len(x)
        pairs = np.array(EDGES[d])
        before = np.sort(self.corners[:, pairs].reshape(-1, 2), axis=1)
        middle = mesh.cells[:, d + 1 :].ravel()
        bend = mesh.points[middle] - mesh.points[before].mean(axis=1)
        key = before[:, 0] * len(mesh.points) + before[:, 1]
        key, first = np.unique(key, return_index=True)
        middle, bend = middle[first], bend[first]
        base = np.arange(total)  # the node of the first mesh that a corner comes from
        base[level[1:].ravel()] = np.tile(self.columns, len(level) - 1)
        edges, number = np.unique(np.sort(cells[:, pairs].reshape(-1, 2), axis=1), axis=0, return_inverse=True)
        source = np.sort(base[edges], axis=1)
        wanted = source[:, 0] * len(mesh.points) + source[:, 1]
        at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        stands = key[at] == wanted
        nodes = x[edges].mean(axis=1)
        nodes[stands] += bend[at[stands]]
        return np.vstack([x, nodes]), np.hstack([cells, total + number.reshape(len(cells), -1)])

    def _bad(self, made: MeshFile) -> Ints:
        """Nodes of the first mesh in cells that are inside out, or of those beside the wall that are flat."""
        d = self.dim
        corners = made.points[made.cells]
        right = tetmesh.scaled_jacobian(corners) if d == 3 else planar.triangle_jacobian(corners)
        size = tetmesh.volume(corners) if d == 3 else planar.triangle_area(corners)
        plain = corners[:, : d + 1]
        shape = tetmesh.shape(plain) if d == 3 else planar.triangle_shape(plain)
        bad = (right <= 0.01) | (size <= 0)
        first = len(self.corners)
        before = self.x[self.corners]
        was = tetmesh.shape(before) if d == 3 else planar.triangle_shape(before)
        bad[:first] |= shape[:first] < np.minimum(FLAT, 0.5 * was)
        if not bad.any():
            return np.empty(0, np.int64)
        old = self.corners[np.flatnonzero(bad[:first])]
        count = (len(made.cells) - first) // (len(self.facets) * d)
        rows = np.flatnonzero(bad[first:]) % (len(made.cells[first:]) // count)
        facets = self.facets[:, :d][rows // d]
        return np.unique(np.r_[old.ravel(), facets.ravel()])


# --- simplices ----------------------------------------------------------------------------------------------------


def _cut(below: Ints, above: Ints) -> Ints:
    """Prisms over facets (n, 2 or 3) as simplices (n times as many, in the order of the facets), their columns in
    ascending order from left to right: each diagonal rises towards the higher column."""
    n, d = below.shape
    parts = [np.hstack([below[:, : k + 1], above[:, k:]]) for k in range(d)]
    return np.stack(parts, axis=1).reshape(n * d, d + 1)


def _right_way(x: Floats, cells: Ints, d: int) -> Ints:
    """The simplices with positive volume, two corners swapped where it was negative."""
    size = tetmesh.volume(x[cells]) if d == 3 else planar.triangle_area(x[cells])
    turned = cells.copy()
    turned[size < 0] = turned[size < 0][:, [0, 2, 1, 3][: d + 1]]
    return turned


def _owners(sides: Ints, cell: Ints, facets: Ints) -> tuple[Ints, Ints]:
    """The cells (first, second or -1) on each of the facets, from the sides of cells and their cells."""
    every = np.sort(np.concatenate([facets, sides]), axis=1)
    _, number = np.unique(every, axis=0, return_inverse=True)
    number = number.ravel()
    mine, theirs = number[: len(facets)], number[len(facets) :]
    order = np.argsort(theirs, kind="stable")
    start = np.searchsorted(theirs[order], mine)
    stop = np.searchsorted(theirs[order], mine, side="right")
    last = len(order) - 1
    first = np.where(stop > start, cell[order[np.minimum(start, last)]], -1)
    second = np.where(stop > start + 1, cell[order[np.minimum(start + 1, last)]], -1)
    return first, second


def wet_cells(mesh: MeshFile, wet: Ints) -> Ints:
    """The cell on each facet of those chosen by `wet` (n_cells,), -1 where there is none or two."""
    d = mesh.dimension
    corners = mesh.cells[:, : d + 1]
    sides = corners[:, SIDES[d]].reshape(-1, d)
    first, second = _owners(sides, np.repeat(np.arange(len(corners)), d + 1), mesh.facets[:, :d])
    both = second >= 0
    mine = wet[first] & ~(both & wet[second])
    return np.where(mine, first, np.where(both & wet[second] & ~wet[first], second, -1))


def _as_sides(cells: Ints, facets: Ints, d: int, face: Ints, body: Ints) -> Ints:
    """Facets by their corners (m, d) as sides of cells, outward from the cell of the lower body, with middle nodes."""
    order = np.argsort(body, kind="stable")
    own = [[*s, *(_between(d, s))] for s in SIDES[d]] if cells.shape[1] > d + 1 else [list(s) for s in SIDES[d]]
    width = len(own[0])
    sides = cells[order][:, own].reshape(-1, width)
    row, _ = _owners(sides[:, :d], np.arange(len(sides)), facets)
    return np.asarray(sides[row])


def _between(d: int, side: Sequence[int]) -> list[int]:
    """The nodes between the corners of a side, by their places in the cell."""
    edges = [tuple(sorted(e)) for e in EDGES[d]]
    ends = [(0, 1)] if d == 2 else [(0, 1), (1, 2), (2, 0)]
    return [d + 1 + edges.index(tuple(sorted((side[a], side[b])))) for a, b in ends]


def inward(x: Floats, facets: Ints, inside: Floats) -> Floats:
    """Unit normals of facets towards the points `inside`."""
    a = x[facets[:, 0]]
    if facets.shape[1] == 2:
        along = x[facets[:, 1]] - a
        normal = np.column_stack([-along[:, 1], along[:, 0]])
    else:
        normal = np.cross(x[facets[:, 1]] - a, x[facets[:, 2]] - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return np.asarray(normal * np.sign(np.einsum("ij,ij->i", normal, inside - a))[:, None])


def _flat_normal(mesh: MeshFile, face: int) -> Floats | None:
    """The normal of a face whose facets lie in one plane (one line in 2D), else None."""
    d = mesh.dimension
    points = mesh.points[np.unique(mesh.facets[mesh.facet_face == face])][:, :d]
    away = points - points.mean(axis=0)
    _, extents, axes = np.linalg.svd(away, full_matrices=False)
    if len(extents) < d or extents[-1] > 1e-6 * extents[0]:
        return None
    return np.asarray(axes[-1])


def _along(vector: Floats, normals: Sequence[Floats]) -> Floats:
    """The part of a vector that lies in all planes with these normals."""
    rank = np.linalg.svd(np.array(normals))
    base = rank.Vh[: int((rank.S > 1e-6).sum())]
    return np.asarray(vector - base.T @ (base @ vector))


def _laplace(links: csr_array, degree: Floats, fixed: Floats, value: Floats) -> Floats:
    """Values that are the weighted mean of their neighbours' where they are not fixed."""
    free = np.flatnonzero(~fixed)
    if not len(free) or not value[fixed].any():
        return np.where(fixed, value, 0.0)
    inner = links[free][:, free]
    matrix = coo_array((degree[free], (np.arange(len(free)), np.arange(len(free))))).tocsr() - inner
    right = links[free][:, np.flatnonzero(fixed)] @ value[fixed]
    scale = coo_array((1 / degree[free], (np.arange(len(free)), np.arange(len(free))))).tocsr()
    found, _ = cg(matrix, right, rtol=1e-5, maxiter=2000, M=scale)
    result = value.copy()
    result[free] = found
    return result


def segments_met(start: Floats, way: Floats, a: Floats, b: Floats) -> Floats:
    """Distances along a ray in the plane to the segments it meets."""
    along = b - a
    det = way[0] * along[:, 1] - way[1] * along[:, 0]
    det = np.where(np.abs(det) > 1e-12 * np.linalg.norm(along, axis=1), det, np.inf)
    s = a - start
    t = (s[:, 0] * along[:, 1] - s[:, 1] * along[:, 0]) / det
    u = (s[:, 0] * way[1] - s[:, 1] * way[0]) / det
    return np.asarray(t[(u >= 0) & (u <= 1) & (t > 0)])
