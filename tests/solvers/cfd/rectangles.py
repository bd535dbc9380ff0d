"""Rectangles of quadratic triangles, as mesh files, for flows whose answer is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hub.meshfile import MeshFile

SIDES = ("left", "right", "bottom", "top")


def rectangle(
    cells: tuple[int, int],
    size: tuple[float, float] = (1.0, 1.0),
    *,
    graded: Callable[[np.ndarray], np.ndarray] = lambda x: x,
    layers: Sequence[float] = (),
) -> MeshFile:
    """A rectangle in triangles along alternating diagonals; its sides are selections left, right, bottom, top.

    graded : takes coordinates on the unit square to where nodes are on it
    layers : heights [parts of the whole] where one body ends and the next begins, from the bottom up
    """
    nx, ny = cells
    x, y = np.meshgrid(np.arange(2 * nx + 1) / (2 * nx), np.arange(2 * ny + 1) / (2 * ny), indexing="ij")
    points = graded(np.stack([x.ravel(), y.ravel()], 1))
    # middle nodes in the middle: the sides of the triangles are straight
    number = np.arange(points.shape[0]).reshape(2 * nx + 1, 2 * ny + 1)
    triangles = []
    for i in range(nx):
        for j in range(ny):
            n = number[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            if (i + j) % 2:
                triangles += [[n[0, 0], n[2, 0], n[0, 2], n[1, 0], n[1, 1], n[0, 1]]]
                triangles += [[n[2, 0], n[2, 2], n[0, 2], n[2, 1], n[1, 2], n[1, 1]]]
            else:
                triangles += [[n[0, 0], n[2, 0], n[2, 2], n[1, 0], n[2, 1], n[1, 1]]]
                triangles += [[n[0, 0], n[2, 2], n[0, 2], n[1, 1], n[1, 2], n[0, 1]]]
    tri = np.array(triangles)
    for a, b, m in ((0, 1, 3), (1, 2, 4), (2, 0, 5)):
        points[tri[:, m]] = points[tri[:, [a, b]]].mean(axis=1)
    middle = points[tri[:, :3]].mean(axis=1)[:, 1]
    body = np.searchsorted(np.array([*layers]), middle).astype(np.int32)
    sides = []
    for side, line in enumerate((number[0], number[-1], number[:, 0], number[:, -1])):
        sides += [(side, [line[k], line[k + 2], line[k + 1]]) for k in range(0, len(line) - 1, 2)]
    placed = np.pad(points * np.array(size), ((0, 0), (0, 1)))
    a, b, c = placed[tri[:, :3]].transpose(1, 0, 2)
    area = np.abs(np.cross(b - a, c - a)[:, 2]) / 2
    names = [f"layer {i + 1}" for i in range(len(layers) + 1)]
    return MeshFile(
        points=placed,
        cells=tri.astype(np.int64),
        cell_body=body,
        facets=np.array([f for _, f in sides], dtype=np.int64),
        facet_face=np.array([s for s, _ in sides], dtype=np.int32),
        bodies=[{"name": n, "volume": float(area[body == i].sum())} for i, n in enumerate(names)],
        faces=[{"index": i, "type": "plane", "body": "layer 1", "name": side} for i, side in enumerate(SIDES)],
        selections={side: [i] for i, side in enumerate(SIDES)},
        numbers={},
    )
