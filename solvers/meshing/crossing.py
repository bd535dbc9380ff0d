"""Triangles of one surface that pass through each other."""

from __future__ import annotations

import numpy as np

from solvers.meshing.cad import Floats, Ints

#: Triangle pairs tested at once.
CHUNK = 500_000
#: A side must go this part of its length beyond a triangle's plane: what only touches does not cross.
WITHIN = 1e-6


def crossings(points: Floats, triangles: Ints) -> tuple[int, Floats | None]:
    """(pairs of triangles without a common corner that cross, a point where one pair does).

    Pairs come from a tree of boxes over the triangles along a space-filling curve; two triangles cross where a side of
    one pierces the other (Moeller, J. Graphics Tools 2, 1997, 25-30). Triangles that lie in one plane do not count.
    """
    first, second = _near(points[triangles])
    apart = np.ones(len(first), bool)
    for k in range(3):
        apart &= (triangles[first] != triangles[second][:, [k]]).all(axis=1)
    first, second = first[apart], second[apart]
    count, place = 0, None
    for start in range(0, len(first), CHUNK):
        a, b = first[start : start + CHUNK], second[start : start + CHUNK]
        hit = np.zeros(len(a), bool)
        for one, other in ((a, b), (b, a)):
            for k in range(3):
                pierced, where = _pierced(points, triangles[one][:, [k, (k + 1) % 3]], triangles[other])
                hit |= pierced
                if place is None and pierced.any():
                    place = where[int(np.argmax(pierced))]
        count += int(hit.sum())
    return count, place


def _near(corner: Floats) -> tuple[Ints, Ints]:
    """Pairs of triangles (n, 3, 3) whose boxes meet."""
    low, high = corner.min(axis=1), corner.max(axis=1)
    middle = (low + high) / 2
    span = np.ptp(middle, axis=0).max() or 1.0
    order = np.argsort(_morton(((middle - middle.min(axis=0)) / span * 1023).astype(np.uint64)))
    levels = max(int(np.ceil(np.log2(max(len(order), 2)))), 1)
    empty = 2**levels - len(order)
    lows = [np.vstack([low[order], np.full((empty, 3), np.inf)])]
    highs = [np.vstack([high[order], np.full((empty, 3), -np.inf)])]
    for _ in range(levels):
        lows.append(lows[-1].reshape(-1, 2, 3).min(axis=1))
        highs.append(highs[-1].reshape(-1, 2, 3).max(axis=1))
    i, j = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for level in range(levels - 1, -1, -1):
        i = np.concatenate([2 * i, 2 * i, 2 * i + 1, 2 * i + 1])
        j = np.concatenate([2 * j, 2 * j + 1, 2 * j, 2 * j + 1])
        ordered = i <= j
        i, j = i[ordered], j[ordered]
        meet = ((lows[level][i] <= highs[level][j]) & (lows[level][j] <= highs[level][i])).all(axis=1)
        i, j = i[meet], j[meet]
    different = i < j
    return order[i[different]], order[j[different]]


def _morton(cell: np.ndarray) -> np.ndarray:
    """The bits of three numbers below 1024 (n, 3), one after the other."""
    code = np.zeros(len(cell), np.uint64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cell[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return code


def _pierced(points: Floats, sides: Ints, triangles: Ints) -> tuple[np.ndarray, Floats]:
    """(whether each side (n, 2) passes through its triangle (n, 3), where)."""
    start, way = points[sides[:, 0]], points[sides[:, 1]] - points[sides[:, 0]]
    a = points[triangles[:, 0]]
    u, v = points[triangles[:, 1]] - a, points[triangles[:, 2]] - a
    p = np.cross(way, v)
    det = np.einsum("ij,ij->i", u, p)
    size = np.linalg.norm(np.cross(u, v), axis=1) * np.linalg.norm(way, axis=1)
    det = np.where(np.abs(det) > 1e-9 * size, det, np.nan)
    s = start - a
    q = np.cross(s, u)
    x, y, t = (np.einsum("ij,ij->i", m, n) / det for m, n in ((s, p), (way, q), (v, q)))
    with np.errstate(invalid="ignore"):
        hit = (np.minimum.reduce([x, y, 1 - x - y]) >= -WITHIN) & (np.minimum(t, 1 - t) > WITHIN)
    return hit, start + t[:, None] * way
