"""Where the stress of linear elasticity is infinite, so that no mesh will ever give its maximum.

Found from the shape of the part and its supports alone, edge by edge, with the angle through the material:

- free against free: more than 180 degrees (a sharp inner edge);
- a face that slides (its normal is held) against a free or another sliding one: more than 90 degrees, for the mirror
  image doubles the angle; in one plane with another sliding face it is no edge at all;
- a face that is held along itself against a free one: more than 60 degrees; against a sliding one: more than 90
  degrees; against another held one: more than 180 degrees;
- where two materials meet at the surface.

Method: M. L. Williams, Stress singularities resulting from various boundary conditions in angular corners of plates
in extension, J. Appl. Mech. 19 (1952) 526-528.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from hub.meshfile import MeshFile
from hub.result import Words

type Reals = npt.NDArray[np.float64]
type Integers = npt.NDArray[np.int64]

#: What a spot may be, in the order of `Spots.reason`.
REASONS: tuple[Words, ...] = (
    {"en": "a sharp inner edge", "it": "uno spigolo interno vivo"},
    {"en": "the edge of a support", "it": "il bordo di un vincolo"},
    {"en": "the rim of a joint between two materials", "it": "il bordo di una giunzione tra due materiali"},
)
#: Angles are trusted to this much [degree]: faces of a fillet meet their neighbours at nearly 180.
_SLACK = 12.0
_FREE, _SLIDING, _HELD = 0, 1, 2
#: Local corners and the node between them of a (quadratic) triangle in VTK's order.
_EDGES = np.array([[0, 1], [1, 2], [2, 0]])
_MIDDLES = np.array([[0.5, 0], [0.5, 0.5], [0, 0.5]])


@dataclass(frozen=True)
class Spots:
    """Points on all singular edges.

    points : (n, 3) [m], no farther apart than a fifth of `reach`; reason : (n,) index into REASONS
    reach : distance [m] beyond which the stress counts again: the volume of the part by its surface, which is half
        of the wall of a thin part; a matter of the shape, not of the mesh
    """

    points: Reals
    reason: Integers
    reach: float

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points)

    def distance(self, places: Reals) -> Reals:
        """(m, 3) -> (m,) to the nearest singular edge [m]; infinite if there is none."""
        if not len(self.points):
            return np.full(len(places), np.inf)
        return np.asarray(self._tree.query(places)[0])

    def nearest(self, place: Reals) -> tuple[Reals, Words]:
        """The nearest singular point and what it is."""
        at = int(self._tree.query(place)[1])
        return self.points[at], REASONS[int(self.reason[at])]


def find(file: MeshFile, held: Mapping[int, Reals], kinds: npt.NDArray[np.int_]) -> Spots:
    """The singular edges of a part.

    held : index of a face -> (k, 3) directions in which displacements are prescribed there
    kinds : (bodies,) the same number for the same material
    """
    bodies_of = [tuple(face.get("bodies", ())) for face in file.faces]
    outer = np.array([len(set(b)) < 2 for b in bodies_of])[file.facet_face]
    joint = np.array([len(set(b)) == 2 and kinds[b[0]] != kinds[b[1]] for b in bodies_of])[file.facet_face]
    corner = file.points[file.cells[:, :4]]
    meshed = float(np.abs(np.linalg.det(corner[:, 1:] - corner[:, :1])).sum() / 6)
    volume = float(file.numbers.get("cad_volume") or meshed)
    area = sum(float(f["area"]) for f, b in zip(file.faces, bodies_of, strict=True) if len(set(b)) < 2)
    reach = volume / area

    ends, a, b = _edges_between_faces(file, np.flatnonzero(outer))
    angle, state_a, state_b = _at_edges(file, held, ends, a, b)
    low, high = np.minimum(state_a, state_b), np.maximum(state_a, state_b)
    limit = np.select(
        [high == _FREE, (high == _HELD) & (low == _FREE), low == _HELD],
        [180.0 + _SLACK, 60.0, 180.0 + _SLACK],
        90 + _SLACK,
    )
    flat = (low == _SLIDING) & (high == _SLIDING) & (np.abs(angle - 180) < _SLACK)
    singular = (angle > limit) & ~flat
    reason = np.where(high == _FREE, 0, 1)

    rims = _rims(file, np.flatnonzero(outer), np.flatnonzero(joint))
    segments = np.concatenate([ends[singular], rims])
    reasons = np.concatenate([reason[singular], np.full(len(rims), 2)])
    return _sampled(file.points[segments], reasons, reach)


def _edge_table(file: MeshFile, facets: Integers) -> tuple[Integers, Integers, Integers]:
    """All edges of facets: (3 n, 2) sorted ends, (3 n,) facet, (3 n,) local number of the edge."""
    ends = np.sort(file.facets[facets][:, _EDGES].reshape(-1, 2), axis=1)
    return ends, np.repeat(facets, 3), np.tile(np.arange(3), len(facets))


def _edges_between_faces(file: MeshFile, facets: Integers) -> tuple[Integers, Integers, Integers]:
    """Edges at which two CAD faces meet: (n, 2) ends, and (n, 2) facet and local edge on either side."""
    ends, facet, local = _edge_table(file, facets)
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    ends, facet, local = ends[order], facet[order], local[order]
    first = np.flatnonzero((ends[:-1] == ends[1:]).all(1))
    first = first[file.facet_face[facet[first]] != file.facet_face[facet[first + 1]]]
    sides = [np.column_stack([facet[i], local[i]]) for i in (first, first + 1)]
    return ends[first], sides[0], sides[1]


def _at_edges(
    file: MeshFile, held: Mapping[int, Reals], ends: Integers, a: Integers, b: Integers
) -> tuple[Reals, Integers, Integers]:
    """Angle through the material [degree] and how the faces on either side are held, edge by edge."""
    along = file.points[ends[:, 1]] - file.points[ends[:, 0]]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    inside = _apexes(file, np.concatenate([a[:, 0], b[:, 0]]))
    into, normal, state = [], [], []
    for side, apex in ((a, inside[: len(a)]), (b, inside[len(a) :])):
        n = _normals(file, side)
        middle = file.points[ends].mean(1)
        n *= -np.sign(((apex - middle) * n).sum(1, keepdims=True))
        t = np.cross(n, along)
        third = file.facets[side[:, 0], (side[:, 1] + 2) % 3]
        t *= np.sign(((file.points[third] - middle) * t).sum(1, keepdims=True))
        face = file.facet_face[side[:, 0]]
        how = np.zeros(len(side), dtype=np.int64)
        for index, directions in held.items():
            of = face == index
            if len(directions) and of.any():
                basis = np.linalg.svd(directions)[2][: np.linalg.matrix_rank(directions)]
                how[of] = np.where(np.linalg.norm(t[of] @ basis.T, axis=1) > 0.1, _HELD, _SLIDING)
        into.append(t)
        normal.append(n)
        state.append(how)
    angle = np.degrees(np.arccos(np.clip((into[0] * into[1]).sum(1), -1, 1)))
    reflex = (into[1] * normal[0]).sum(1) > 0
    return np.where(reflex, 360 - angle, angle), state[0], state[1]


def _normals(file: MeshFile, side: Integers) -> Reals:
    """Unit normals of facets at the middle of one of their edges; side : (n, 2) facet, local edge."""
    nodes = file.points[file.facets[side[:, 0]]]
    if nodes.shape[1] == 3:
        tangents = nodes[:, 1] - nodes[:, 0], nodes[:, 2] - nodes[:, 0]
    else:
        x, y = _MIDDLES[side[:, 1]].T
        zero = np.zeros_like(x)
        dx = np.stack([4 * (x + y) - 3, 4 * x - 1, zero, 4 - 8 * x - 4 * y, 4 * y, -4 * y], 1)
        dy = np.stack([4 * (x + y) - 3, zero, 4 * y - 1, -4 * x, 4 * x, 4 - 4 * x - 8 * y], 1)
        tangents = np.einsum("na,nai->ni", dx, nodes), np.einsum("na,nai->ni", dy, nodes)
    normal = np.cross(*tangents)
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _apexes(file: MeshFile, facets: Integers) -> Reals:
    """(n, 3) the fourth corner of the cell behind each of the outer facets."""
    marked = np.zeros(len(file.points), dtype=bool)
    marked[file.facets[facets, :3]] = True
    corners = file.cells[:, :4]
    corners = corners[marked[corners].sum(1) >= 3]
    faces = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
    have = np.sort(corners[:, faces].reshape(-1, 3), axis=1)
    want = np.sort(file.facets[facets, :3], axis=1)
    _, number = np.unique(np.concatenate([have, want]), axis=0, return_inverse=True)
    apex = np.zeros(number.max() + 1 if len(number) else 0, dtype=np.int64)
    apex[number[: len(have)]] = corners.reshape(-1)
    return file.points[apex[number[len(have) :]]]


def _rims(file: MeshFile, outer: Integers, joint: Integers) -> Integers:
    """(n, 2) ends of the edges that joints between different materials have in common with the surface."""
    surface = np.unique(_edge_table(file, outer)[0], axis=0)
    inner = np.unique(_edge_table(file, joint)[0], axis=0)
    both, count = np.unique(np.concatenate([surface, inner]), axis=0, return_counts=True)
    return both[count == 2].reshape(-1, 2)


def _sampled(segments: Reals, reason: Integers, reach: float) -> Spots:
    """Points along segments (n, 2, 3), a fifth of `reach` apart, at most 50 on one."""
    if not len(segments):
        return Spots(np.zeros((0, 3)), np.zeros(0, dtype=np.int64), reach)
    length = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    count = np.clip(np.ceil(length / (reach / 5)), 1, 50).astype(int)
    which = np.repeat(np.arange(len(segments)), count + 1)
    step = np.concatenate([np.linspace(0, 1, n + 1) for n in count])[:, None]
    points = segments[which, 0] * (1 - step) + segments[which, 1] * step
    return Spots(points, reason[which], reach)
