"""Meshes as OpenFOAM holds them: faces between an owner and a neighbour; patches are runs of boundary faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hub.meshfile import MeshFile
from hub.solver import StageError
from solvers.cfd.openfoam.foamfile import Integers, Reals, Scanner, body, head, raw

#: The sides of a tetrahedron of positive volume, seen from outside anticlockwise.
SIDES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
#: A triangle is long whose longest side is so many times its shortest.
LONG = 2.5


@dataclass(frozen=True)
class Patch:
    """A run of boundary faces. kind : patch, wall, symmetry, symmetryPlane or empty"""

    name: str
    kind: str
    start: int
    count: int

    @property
    def faces(self) -> slice:
        return slice(self.start, self.start + self.count)


@dataclass(frozen=True)
class PolyMesh:
    """A mesh of polyhedra.

    points : (n, 3) [m]; first : (n_faces + 1,) where the nodes of each face start in `nodes`
    owner : (n_faces,) cell that a face leads out of; neighbour : (n_internal,) cell it leads into
    """

    points: Reals
    first: Integers
    nodes: Integers
    owner: Integers
    neighbour: Integers
    patches: tuple[Patch, ...]

    @property
    def cells(self) -> int:
        # a cell whose sides all belong to others owns none
        return int(max(self.owner.max(), self.neighbour.max(initial=0))) + 1

    @property
    def sizes(self) -> dict[str, int]:
        return {p.name: p.count for p in self.patches}

    @cached_property
    def geometry(self) -> tuple[Reals, Reals]:
        """Centre [m] and area vector [m2] of each face, (n_faces, 3) each: sums over triangles around its middle."""
        count = np.diff(self.first)
        face = np.repeat(np.arange(len(count)), count)
        here = self.points[self.nodes]
        after = np.arange(len(self.nodes)) + 1
        after[self.first[1:] - 1] = self.first[:-1]
        middle = np.stack([np.bincount(face, here[:, k], len(count)) for k in range(3)], 1) / count[:, None]
        normal = 0.5 * np.cross(here - middle[face], self.points[self.nodes[after]] - middle[face])
        area = np.stack([np.bincount(face, normal[:, k], len(count)) for k in range(3)], 1)
        size = np.linalg.norm(area, axis=1)
        share = np.einsum("ij,ij->i", normal, (area / np.maximum(size, 1e-300)[:, None])[face])
        weighted = share[:, None] * (here + self.points[self.nodes[after]] + middle[face]) / 3
        centre = np.stack([np.bincount(face, weighted[:, k], len(count)) for k in range(3)], 1)
        return centre / np.maximum(np.bincount(face, share, len(count)), 1e-300)[:, None], area

    def of_patches(self, names: Sequence[str]) -> Integers:
        """The faces of some patches."""
        chosen = [np.arange(p.start, p.start + p.count) for p in self.patches if p.name in names]
        return np.concatenate([np.empty(0, int), *chosen]).astype(np.int32)

    # --- as files -----------------------------------------------------------------------------------------------

    def write(self, case: Path) -> None:
        """``constant/polyMesh`` of a case."""
        folder = case / "constant" / "polyMesh"
        folder.mkdir(parents=True, exist_ok=True)
        lists: dict[str, tuple[str, tuple[npt.NDArray[Any], ...]]] = {
            "points": ("vectorField", (self.points,)),
            "faces": ("faceCompactList", (self.first.astype(np.int32), self.nodes.astype(np.int32))),
            "owner": ("labelList", (self.owner.astype(np.int32),)),
            "neighbour": ("labelList", (self.neighbour.astype(np.int32),)),
        }
        for name, (kind, parts) in lists.items():
            content = head(kind, name, binary=True).encode() + b"".join(raw(part) for part in parts)
            (folder / name).write_bytes(content)
        entries = "".join(
            f"{p.name} {{ type {p.kind}; nFaces {p.count}; startFace {p.start}; }}\n" for p in self.patches
        )
        (folder / "boundary").write_text(head("polyBoundaryMesh", "boundary") + f"{len(self.patches)}\n(\n{entries})\n")

    @classmethod
    def read(cls, case: Path) -> PolyMesh:
        """The mesh of a case, in the raw format. Raises OSError, ValueError."""
        folder = case / "constant" / "polyMesh"
        faces = body(folder / "faces")
        first = faces.list(np.int32)
        return cls(
            points=body(folder / "points").list(np.float64, 3),
            first=first,
            nodes=faces.list(np.int32),
            owner=body(folder / "owner").list(np.int32),
            neighbour=body(folder / "neighbour").list(np.int32),
            patches=tuple(_boundary(folder / "boundary")),
        )


def _boundary(file: Path) -> list[Patch]:
    data = file.read_bytes()
    scanner = Scanner(data, data.index(b"}", data.index(b"FoamFile")) + 1)
    count, patches = int(scanner.word()), []
    scanner.sees(b"(")
    for _ in range(count):
        name, entries = scanner.word(), {}
        scanner.sees(b"{")
        while not scanner.sees(b"}"):
            key = scanner.word()
            scanner.skip()
            start = scanner.at
            scanner.rest_of_entry()
            entries[key] = data[start : scanner.at - 1].decode().strip()
        patches.append(Patch(name, entries["type"], int(entries["startFace"]), int(entries["nFaces"])))
    return patches


# --- from the mesh stage ------------------------------------------------------------------------------------------


def from_mesh(mesh: MeshFile, groups: Sequence[tuple[str, str, Sequence[int]]]) -> PolyMesh:
    """The mesh of the mesh stage as OpenFOAM holds it; triangles of a plane become prisms one metre deep.

    Long triangles that halve a quadrilateral, as layers along walls are cut, become one cell again: across the side
    that they share they would stand far too askew.

    groups : name, kind and CAD faces of each patch; together they cover the boundary. Raises StageError if not.
    """
    flat = mesh.dimension == 2
    corners = mesh.cells[:, : 3 if flat else 4].astype(np.int64)
    used = np.unique(corners)
    row = np.full(len(mesh.points), -1)
    row[used] = np.arange(len(used))
    corners, points = row[corners], mesh.points[used]
    a, b, c = (points[corners[:, k]] - points[corners[:, 0]] for k in (1, 2, 2 if flat else 3))
    turned = np.cross(a, b)[:, 2] < 0 if flat else np.einsum("ij,ij->i", np.cross(a, b), c) < 0
    corners[turned, 1], corners[turned, 2] = corners[turned, 2].copy(), corners[turned, 1].copy()
    sides = corners[:, [[0, 1], [1, 2], [2, 0]]] if flat else corners[:, SIDES]
    cell = np.repeat(np.arange(len(corners)), sides.shape[1])
    sides = sides.reshape(-1, sides.shape[2])
    ordered = np.sort(sides, axis=1)
    rank = np.lexsort(ordered.T[::-1])
    same = (ordered[rank][1:] == ordered[rank][:-1]).all(axis=1)
    pair = np.flatnonzero(same)
    one, two = rank[pair], rank[pair + 1]
    if flat:
        halves = _halves(points, sides, one, two)
        rings, cell = _join(corners, sides, cell, one[halves], two[halves])
        one, two = one[~halves], two[~halves]
    one, two = np.where(cell[one] < cell[two], one, two), np.where(cell[one] < cell[two], two, one)
    inner = np.lexsort((cell[two], cell[one]))
    one, two = one[inner], two[inner]
    alone = rank[~(np.r_[same, False] | np.r_[False, same])]
    group_of_face = np.full(len(mesh.faces), -1)
    for i, (_, _, faces) in enumerate(groups):
        group_of_face[list(faces)] = i
    group = group_of_face[_face_of(mesh, row, ordered[alone])]
    if (group < 0).any():
        raise StageError(
            "mesh",
            f"{int((group < 0).sum())} triangles of the mesh's skin belong to no face of the part.",
            "Mesh again with another size.",
        )
    alone = alone[np.argsort(group, kind="stable")]
    counts = np.bincount(group, minlength=len(groups))
    owner, neighbour = np.r_[cell[one], cell[alone]], cell[two]
    faces = sides[np.r_[one, alone]]
    start = len(one) + np.r_[0, np.cumsum(counts)]
    patches = [Patch(name, kind, int(start[i]), int(counts[i])) for i, (name, kind, _) in enumerate(groups)]
    first = np.arange(len(faces) + 1) * faces.shape[1]
    nodes = faces.ravel()
    if flat:
        above, n = len(points), len(rings)
        nodes = np.concatenate([faces, faces[:, ::-1] + above], axis=1).ravel()
        ends = np.concatenate([rings[:, ::-1], np.where(rings < 0, -1, rings + above)])
        many = np.r_[np.full(len(faces), 4), (ends >= 0).sum(axis=1)]
        first = np.r_[0, np.cumsum(many)]
        nodes, owner = np.r_[nodes, ends[ends >= 0]], np.r_[owner, np.tile(np.arange(n), 2)]
        patches.append(Patch("front_and_back", "empty", len(faces), 2 * n))
        points = np.concatenate([points * [1, 1, 0], points * [1, 1, 0] + [0, 0, 1.0]])
    return PolyMesh(points, first, nodes, owner, neighbour, tuple(p for p in patches if p.count))


def _halves(points: Reals, sides: npt.NDArray[Any], one: npt.NDArray[Any], two: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Whether long triangles share their longest side, and almost a parallelogram (n_pairs,).

    sides : (3 n_cells, 2) nodes, cell by cell; one, two : (n_pairs,) sides that are the same
    """
    length = np.linalg.norm(points[sides[:, 0]] - points[sides[:, 1]], axis=1).reshape(-1, 3)
    short, long = length.min(axis=1), length.argmax(axis=1)
    first, second = one // 3, two // 3
    a, b = points[sides[one]].transpose(1, 0, 2)
    p, q = (points[sides[3 * (s // 3) + (s % 3 + 1) % 3, 1]] for s in (one, two))
    both = (long[first] == one % 3) & (long[second] == two % 3)
    return np.asarray(
        both
        & (np.maximum(length.max(axis=1)[first] / short[first], length.max(axis=1)[second] / short[second]) > LONG)
        & (np.linalg.norm(p + q - a - b, axis=1) < 0.5 * np.minimum(short[first], short[second]))
    )


def _join(
    corners: npt.NDArray[Any], sides: npt.NDArray[Any], cell: npt.NDArray[Any], one: npt.NDArray[Any],
    two: npt.NDArray[Any],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:  # fmt: skip
    """Corners (n, 4) of the cells when those at the sides `one` and `two` are one, with -1 where there are three only;
    and the cell of each side (3 n_triangles,)."""
    of = np.arange(len(corners))
    of[two // 3] = one // 3
    kept, of = np.unique(of, return_inverse=True)
    rings = np.column_stack([corners[kept], np.full(len(kept), -1)])
    (a, b), p, q = sides[one].T, *(sides[3 * (s // 3) + (s % 3 + 1) % 3, 1] for s in (one, two))
    rings[of.ravel()[one // 3]] = np.column_stack([a, q, b, p])
    return rings, of.ravel()[cell]


def _face_of(mesh: MeshFile, row: npt.NDArray[Any], ordered: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The CAD face of each side (n,) of the skin, -1 where it is on none. ordered : (n, 2 or 3) sorted nodes"""
    known = np.sort(row[mesh.facets[:, : ordered.shape[1]]], axis=1)
    both = np.concatenate([known, ordered])
    _, number = np.unique(both, axis=0, return_inverse=True)
    number = number.ravel()
    face = np.full(number.max(initial=-1) + 1, -1)
    face[number[: len(known)]] = mesh.facet_face
    return face[number[len(known) :]]
