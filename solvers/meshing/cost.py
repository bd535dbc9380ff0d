"""What a mesh will have before it is made, and how thin the part is, from the display triangles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hub.case import Mesh
from hub.intake import Fineness, MeshCost
from hub.selection import ALIGNED, Face
from solvers.meshing.cad import Floats, Ints, Surface
from solvers.meshing.sizing import BULK, BULK_FLAT, FILL, TRIANGLE, Sizing, sizing

#: Tetrahedra in a channel over those that would fill it at the largest size: its round walls want smaller ones.
CURVED = 1.6
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
    depth = volume / area.sum()
    steps = (np.arange(LAYERS) + 0.5) / LAYERS * depth
    sizes = np.minimum(local[:, None] + GROWTH * steps, wanted.largest)
    tets = float((area[:, None] * depth / LAYERS / (FILL * sizes**3)).sum())
    facets = len(area) / finer**2
    vertices = tets / 6 + facets / 4
    return round(2 * vertices + tets + facets / 2), round(tets)


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


def inside_cost(faces: Sequence[Face], box: float, solid: float) -> dict[Fineness, MeshCost]:
    """The mesh of what holes enclose, before anybody said which: half of area times radius of the hollow round faces
    fills a cylinder, and no more is hollow than the box holds beside the part [m3]; empty without a hollow face."""
    hollow = sum(f.area * (f.radius or 0.0) / 2 for f in faces if f.inside)
    volume = min(hollow, max(box - solid, 0.0))
    if volume <= 0:
        return {}
    return {
        fineness: MeshCost(
            size=(volume / (FILL * BULK[fineness])) ** (1 / 3),
            nodes=round(1.9 * CURVED * BULK[fineness]),
            tets=round(CURVED * BULK[fineness]),
        )
        for fineness in BULK
    }


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
