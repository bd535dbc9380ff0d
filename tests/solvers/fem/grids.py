"""Mesh files of mapped blocks, so that a test needs no CAD kernel."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from hub.meshfile import MeshFile

EDGES = ((0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3))
SIDES = ("x0", "x1", "y0", "y1", "z0", "z1")


def grid(
    cells: tuple[int, int, int],
    shape: Callable[[np.ndarray], np.ndarray] = lambda x: x,
    *,
    split: float | None = None,
    apart: bool = False,
    closed: bool = False,
    order: int = 2,
) -> MeshFile:
    """The unit cube in tetrahedra (six to a brick), its nodes taken through `shape`.

    Its sides are faces 0 to 5 and the selections x0, x1, y0 ...
    split : two bodies meet there along x; apart : without sharing nodes
    closed : y = 0 and y = 1 are the same place
    """
    counts = np.array(cells)
    steps = np.array([sum((np.eye(3, dtype=int)[a] for a in p[:k]), np.zeros(3, dtype=int)) for p in
                      itertools.permutations(range(3)) for k in range(4)]).reshape(6, 4, 3)  # fmt: skip
    odd = np.linalg.det(np.diff(steps, axis=1)) < 0
    steps[odd] = steps[odd][:, [0, 2, 1, 3]]
    low = np.array(list(itertools.product(*map(range, cells))))
    corner = (low[:, None, None] + steps).reshape(-1, 4, 3)
    body = (corner.mean(axis=1)[:, 0] / cells[0] > (2.0 if split is None else split)).astype(np.int32)
    nodes = corner if order == 1 else np.concatenate([corner, np.stack([corner[:, e].mean(1) for e in EDGES], 1)], 1)
    unit = nodes / counts
    place = nodes.copy() * 1.0
    if closed:
        place[..., 1] %= cells[1]
    key = np.concatenate([place, (body[:, None, None] if apart else 0) * np.ones((*place.shape[:2], 1))], axis=2)
    _, first, number = np.unique(np.round(2 * key.reshape(-1, 4)), axis=0, return_index=True, return_inverse=True)
    whole = number.reshape(len(nodes), -1)
    facets, face = [], []
    for corners in ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)):
        pairs = [EDGES.index(tuple(sorted((corners[i], corners[j])))) for i, j in ((0, 1), (1, 2), (0, 2))]
        local = [*corners, *(4 + p for p in pairs)] if order == 2 else list(corners)
        for side in range(6):
            if closed and side in (2, 3):
                continue
            on = np.isclose(unit[:, list(corners), side // 2], side % 2).all(axis=1)
            facets.append(whole[on][:, local])
            face.append(np.full(on.sum(), side, dtype=np.int32))
    points = shape(unit.reshape(-1, 3)[first])
    return MeshFile(
        points=points,
        cells=whole,
        cell_body=body,
        facets=np.concatenate(facets),
        facet_face=np.concatenate(face),
        bodies=[{"name": name, "volume": 0.0} for name in ("first", "second")[: 1 + body.max()]],
        faces=[_face(points, np.concatenate(facets), np.concatenate(face), i) for i in range(6)],
        selections={name: [i] for i, name in enumerate(SIDES)},
        numbers={},
    )


def _face(points: np.ndarray, facets: np.ndarray, face: np.ndarray, index: int) -> dict:
    """What intake would know of a side: a plane with its normal, or something curved."""
    corners = points[facets[face == index][:, :3]]
    data: dict = {"index": index, "bodies": [0], "type": "other", "area": 0.0, "centroid": [0.0, 0.0, 0.0]}
    if len(corners):
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        data["area"] = float(np.linalg.norm(normal, axis=1).sum() / 2)
        data["centroid"] = corners.mean(axis=(0, 1)).tolist()
        normal /= np.linalg.norm(normal, axis=1)[:, None]
        if np.allclose(np.abs(normal @ normal[0]), 1, atol=1e-9):
            out = np.sign(normal[0] @ (corners.mean(axis=(0, 1)) - points.mean(axis=0)))
            data |= {"type": "plane", "normal": (normal[0] * out).tolist()}
    return data


def tube(inner: float, outer: float, length: float) -> Callable[[np.ndarray], np.ndarray]:
    """A pipe along z for `grid(..., closed=True)`; x0 is its bore, x1 its outside."""

    def shape(x: np.ndarray) -> np.ndarray:
        r, angle = inner + (outer - inner) * x[:, 0], 2 * np.pi * x[:, 1]
        return np.column_stack([r * np.cos(angle), r * np.sin(angle), length * x[:, 2]])

    return shape
