"""What a mesh will have before it is made, from the display triangles."""

from __future__ import annotations

from solvers.meshing.cad import Surface
from solvers.meshing.sizing import FILL, Sizing


def predict(surface: Surface, size: Sizing, volume: float) -> tuple[int, int]:
    """(nodes, tetrahedra) of second order, about."""
    tets = volume / (FILL * size.largest**3) * 1.5
    return round(1.5 * tets + 200), round(tets)
