"""Faces of a part as data, and how a selection of a case finds them again."""

from __future__ import annotations

from hub.case import FaceType, Frozen


class Face(Frozen):
    """One face of the part as intake or the mesh stage sees it [SI]; plain data, no CAD kernel behind it.

    index : position in the list of faces, from 0; shown to people as ``face {index + 1}``; never stored in a case
    bodies : indices of the bodies it bounds (two for an interface)
    normal : outward, at the middle of a plane
    axis, radius : of cylinders, cones (radius at the middle), spheres, tori (minor radius)
    inside : True for a hole or fillet seen from the material's outside (concave), False for a shaft (convex)
    neighbours : indices of faces sharing an edge
    names : CAD names, layers, mesh sets
    """

    index: int
    bodies: tuple[int, ...]
    type: FaceType
    area: float
    centroid: tuple[float, float, float]
    normal: tuple[float, float, float] | None = None
    axis: tuple[float, float, float] | None = None
    radius: float | None = None
    inside: bool | None = None
    neighbours: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    colour: str | None = None
