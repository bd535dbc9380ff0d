"""What a mesh will have before it is made, and how thin the part is, from the display triangles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hub.case import Mesh
from hub.intake import Fineness, Hollow, MeshCost
from hub.selection import ALIGNED, Face
from solvers.meshing.cad import Floats, Ints, Surface
from solvers.meshing.sizing import BULK, BULK_FLAT, FILL, TRIANGLE, Sizing, sizing

#: The shells around a part, its wake and the rest of the box share room: fitted to a sphere and to a car-like body.
OVERLAP = 0.65
#: How fast sizes grow with the distance from the skin: fitted to the meshes of 9 parts at 2 sizes.
GROWTH, LAYERS = 0.5, 30


def predict(surface: Surface, made: Sizing, wanted: Sizing, volume: float) -> tuple[int, int]:
    """(nodes, tetrahedra) of second order that a mesh of sizes `wanted` will have, about.

    surface : the skin as it was meshed with the sizes `made`: its triangles tell the size they ended up with
    Under each triangle lies a layer as deep as the part is on average, volume over area; through it sizes grow from
    the triangle's own to the largest. Nodes follow from Euler's formula.
    """
    corner = surface.points[surface.triangles]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    finer = wanted.largest / made.largest
    local = np.sqrt(area / TRIANGLE) * finer
    tets = _layers(area, local, volume / area.sum(), wanted.largest)
    facets = len(area) / finer**2
    vertices = tets / 6 + facets / 4
    return round(2 * vertices + tets + facets / 2), round(tets)


def _layers(area: Floats, local: Floats, depth: float, largest: float) -> float:
    """Tetrahedra in layers of a depth under triangles of an area and a size each, growing inwards."""
    steps = (np.arange(LAYERS) + 0.5) / LAYERS * depth
    sizes = np.minimum(local[:, None] + GROWTH * steps, largest)
    return float((area[:, None] * depth / LAYERS / (FILL * sizes**3)).sum())


def level_cost(faces: Sequence[Face]) -> dict[Fineness, MeshCost]:
    """The mesh of the largest face with the normal z or -z as a plane domain; empty where there is none."""
    level = [f for f in faces if f.normal is not None and abs(f.normal[2]) > ALIGNED]
    if not level:
        return {}
    area = max(f.area for f in level)
    found: dict[Fineness, MeshCost] = {}
    for fineness in BULK_FLAT:
        size = sizing(Mesh(fineness=fineness), area, np.inf, flat=True).largest
        triangles = 1.1 * area / (TRIANGLE * size**2)
        found[fineness] = MeshCost(size=size, nodes=round(2.05 * triangles), tets=round(triangles))
    return found


def hollows(surface: Surface, faces: Sequence[Face], made: Sizing, factor: float) -> list[Hollow]:
    """What hollow round faces that meet enclose, the largest first: bores, drilled channels, bolt holes.

    surface : the skin of the part as it was meshed with the sizes `made`, in the model's unit; factor : metres in it
    Every rim is closed by triangles to its middle: flat ends and openings become lids, and the volume is that within.
    """
    round_ = {f.index for f in faces if f.inside and f.bodies}
    found = []
    while round_:
        group = [round_.pop()]
        for face in group:
            meeting = round_ & set(faces[face].neighbours)
            round_ -= meeting
            group += meeting
        closed = _closed(surface.points, surface.triangles[np.isin(surface.face, group)])
        volume = abs(float(np.einsum("ti,ti->", closed[:, 0], np.cross(closed[:, 1], closed[:, 2])))) / 6
        area = np.linalg.norm(np.cross(closed[:, 1] - closed[:, 0], closed[:, 2] - closed[:, 0]), axis=1) / 2
        if volume <= 1e-6 * float(area.sum()) ** 1.5:  # a sliver
            continue
        extent = float(np.linalg.norm(np.ptp(closed.reshape(-1, 3), axis=0)))
        cost = {}
        for fineness in BULK:
            wanted = sizing(Mesh(fineness=fineness), volume, extent)
            # triangles are small where the skin bends, or where it was meshed so: that is asked for again
            local = np.clip(np.sqrt(area / TRIANGLE) * made.around / wanted.around, wanted.smallest, wanted.largest)
            depth = volume / float(area.sum())
            tets = _layers(area, local, depth, wanted.largest)
            nodes = 4 / 3 * tets + float((area / (TRIANGLE * local**2)).sum())
            cost[fineness] = MeshCost(size=wanted.largest * factor, nodes=round(nodes), tets=round(tets))
        found.append(Hollow(faces=tuple(sorted(group)), volume=volume * factor**3, cost=cost))
    return sorted(found, key=lambda h: -h.volume)


def _closed(points: Floats, triangles: Ints) -> Floats:
    """(n, 3, 3) corners of triangles, with each of their rims closed from its middle."""
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    there = {(int(a), int(b)) for a, b in sides}
    rim = np.array([side for side in there if side[::-1] not in there], dtype=np.int64).reshape(-1, 2)
    corners = [points[triangles]]
    if len(rim):
        ends, local = np.unique(rim, return_inverse=True)
        local = local.reshape(-1, 2)
        _, loop = connected_components(coo_array((np.ones(len(rim)), local.T), shape=(len(ends), len(ends))), False)
        of = loop[local[:, 0]]
        count = np.bincount(of)
        middle = np.stack([np.bincount(of, points[rim[:, 0], i]) / count for i in range(3)], axis=1)
        corners.append(np.stack([points[rim[:, 1]], points[rim[:, 0]], middle[of]], axis=1))
    return np.concatenate(corners)


def around_cost(faces: Sequence[Face], extents: Sequence[float]) -> dict[Fineness, MeshCost]:
    """The mesh around a part in a box of the usual size, the flow along its longest side: cells grow with the distance
    from the skin and are held small in the wake."""
    from solvers.meshing import around

    *across, _ = sorted(extents)
    diameter = across[-1]
    area = sum(f.area for f in faces)
    if diameter <= 0 or area <= 0:
        return {}
    side = (1 + 2 * around.SIDES) * diameter
    room = side**2 * (around.UPSTREAM + around.DOWNSTREAM) * diameter
    wake = around.WAKE * diameter * across[0] * across[1] * 1.4**2
    found: dict[Fineness, MeshCost] = {}
    for fineness, share in around.AT_PART.items():
        at = share * diameter
        step = around.SIDES * diameter / 200
        away = (np.arange(200) + 0.5) * step
        local = np.minimum(at + around.GROWTH * away, around.LARGEST * at)
        shells = np.minimum(area + 4 * np.pi * away * (away + diameter), room / step)
        tets = (shells * step / (FILL * local**3)).sum()
        tets += wake / (FILL * (around.IN_WAKE * at) ** 3) + room / (FILL * (around.LARGEST * at) ** 3)
        tets *= OVERLAP
        found[fineness] = MeshCost(size=at, nodes=round(1.45 * tets), tets=round(tets))
    return found


def thinnest(surface: Surface, owners: Sequence[Sequence[int]], *, rays: int = 400) -> float | None:
    """The smallest wall of any body, between two of its own faces: bodies that touch are no thin wall.

    owners : the bodies of each face; its triangles look out of the first
    """
    walls = []
    bodies = {body for of in owners for body in of}
    for body in sorted(bodies):
        first = np.array([bool(of) and of[0] == body for of in owners])[surface.face]
        other = np.array([body in of[1:] for of in owners])[surface.face]
        mine = np.concatenate([surface.triangles[first], surface.triangles[other][:, [0, 2, 1]]])
        walls.append(_wall(surface.points, mine, max(rays // len(bodies), 40)))
    return min((w for w in walls if w is not None), default=None)


def _wall(points: Floats, triangles: Ints, rays: int) -> float | None:
    """The smallest wall seen by rays that go straight into a body and leave it through a face looking back.

    Moeller and Trumbore, J. Graphics Tools 2, 1997, 21-28. Samples are spread over the area, always the same ones.
    """
    if not len(triangles):
        return None
    a = points[triangles[:, 0]]
    u, v = points[triangles[:, 1]] - a, points[triangles[:, 2]] - a
    normal = np.cross(u, v)
    length = np.linalg.norm(normal, axis=1)
    good = length > 0
    a, u, v, normal, length = a[good], u[good], v[good], normal[good], length[good]
    unit = normal / length[:, None]
    step = np.cumsum(length) / length.sum()
    chosen: Ints = np.unique(np.searchsorted(step, (np.arange(rays) + 0.5) / rays))
    smallest = np.inf
    for k in chosen:
        start, way = a[k] + (u[k] + v[k]) / 3, -unit[k]
        against = unit @ way
        facing = np.flatnonzero(against > 0.85)
        hit = hits(start, way, a[facing], u[facing], v[facing])
        if len(hit):
            smallest = min(smallest, float(hit.min()))
    return smallest if np.isfinite(smallest) else None


def hits(start: Floats, way: Floats, a: Floats, u: Floats, v: Floats) -> Floats:
    """Distances along a ray to the triangles it meets."""
    p = np.cross(way, v)
    det = np.einsum("ij,ij->i", u, p)
    det = np.where(det == 0, np.inf, det)
    s = start - a
    x = np.einsum("ij,ij->i", s, p) / det
    q = np.cross(s, u)
    y = q @ way / det
    t = np.einsum("ij,ij->i", v, q) / det
    return np.asarray(t[(x >= 0) & (y >= 0) & (x + y <= 1) & (t > 0)])
