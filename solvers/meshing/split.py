"""Meshes of hexahedra, wedges and pyramids as tetrahedra, so that both elements of a side cut it alike.

Each element becomes a fan from its smallest node over the sides that do not hold it; a side of four corners is cut
from its own smallest node (Dompierre, Labbe, Vallet and Camarero, 8th Int. Meshing Roundtable, 1999, 195-204).
"""

from __future__ import annotations

import numpy as np

from hub.solver import StageError
from solvers.meshing.cad import Floats, Ints

#: The sides of elements with straight edges, looking outward, by their corners in VTK's order.
SIDES: dict[str, tuple[tuple[int, ...], ...]] = {
    "tetra": ((0, 2, 1), (0, 1, 3), (1, 2, 3), (2, 0, 3)),
    "pyramid": ((0, 3, 2, 1), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)),
    "wedge": ((0, 2, 1), (3, 4, 5), (0, 1, 4, 3), (1, 2, 5, 4), (2, 0, 3, 5)),
    "hexahedron": ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)),
}


def triangles(sides: Ints) -> tuple[Ints, Ints]:
    """Sides (n, 3 or 4) as triangles (m, 3) that look the same way, and the side each is a part of (m,)."""
    n, corners = sides.shape
    turned = sides[np.arange(n)[:, None], (sides.argmin(axis=1)[:, None] + np.arange(corners)) % corners]
    parts = [turned[:, [0, k, k + 1]] for k in range(1, corners - 1)]
    return np.concatenate(parts), np.tile(np.arange(n), corners - 2)


def tetrahedra(points: Floats, cells: Ints, kind: str) -> tuple[Ints, Ints]:
    """Elements (n, k) of a kind in :data:`SIDES` as tetrahedra (m, 4), and the element each is a part of (m,).

    Raises StageError where an element is so warped that its parts would lie across each other.
    """
    tets, source = [], []
    smallest = cells.min(axis=1)
    for side in SIDES[kind]:
        opposite = np.flatnonzero((cells[:, side] != smallest[:, None]).all(axis=1))
        cut, of = triangles(cells[opposite][:, side])
        tets.append(np.column_stack([cut[:, [0, 2, 1]], smallest[opposite[of]]]))
        source.append(opposite[of])
    found, element = np.concatenate(tets), np.concatenate(source)
    ranked = np.sort(found, axis=1)
    whole = (ranked[:, 1:] != ranked[:, :-1]).all(axis=1)  # an element with corners that fall together has fewer
    found, element = found[whole], element[whole]
    a, b, c = (points[found[:, k]] - points[found[:, 0]] for k in (1, 2, 3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
    signs = (np.bincount(element, volume > 0, len(cells)), np.bincount(element, volume < 0, len(cells)))
    warped = np.flatnonzero((signs[0] > 0) & (signs[1] > 0))
    if len(warped):
        x, y, z = points[cells[warped[0]]].mean(axis=0)
        raise StageError(
            "no-valid-mesh",
            f"{len(warped)} elements are too warped to be cut into tetrahedra, one near {x:.4g}, {y:.4g}, {z:.4g}.",
            "Straighten them, or send the CAD part and let it be meshed here.",
        )
    return found, element


def raised(points: Floats, cells: Ints) -> tuple[Floats, Ints]:
    """(points, cells (n, 10)): straight tetrahedra (n, 4) with a node in the middle of each edge."""
    pairs = np.sort(cells[:, [[0, 1], [1, 2], [0, 2], [0, 3], [1, 3], [2, 3]]].reshape(-1, 2), axis=1)
    edges, number = np.unique(pairs, axis=0, return_inverse=True)
    middles = points[edges].mean(axis=1)
    return np.vstack([points, middles]), np.hstack([cells, len(points) + number.reshape(-1, 6)])
