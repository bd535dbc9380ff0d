"""Meshes whose ends fit each other, so that what leaves at one end can enter at the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import gmsh
import numpy as np
from scipy.spatial import cKDTree

from hub.case import AnyCondition
from hub.meshfile import MeshFile
from hub.periodic import APART, Ends, ends, periodic
from hub.solver import StageError
from hub.units import Vector


def couple(dim: int, conditions: Sequence[AnyCondition], entities: Mapping[str, Sequence[int]]) -> None:
    """Lets gmsh give the second of two ends the mesh of the first; called before the mesh is made.

    dim : of the ends, 2 in space and 1 in a plane; entities : name of a selection -> tags in the loaded model
    Raises StageError where the ends are not alike.
    """
    for _, condition, along in periodic(conditions):
        tags = [tag for name in condition.on for tag in entities[name]]
        occ = gmsh.model.occ
        areas, middles = [occ.getMass(dim, t) for t in tags], [occ.getCenterOfMass(dim, t) for t in tags]
        found = _sorted(condition, along, areas, middles)
        shift = np.eye(4)
        shift[:3, 3] = found.shift
        first, last = ([tags[i] for i in of] for of in (found.low, found.high))
        try:
            gmsh.model.mesh.setPeriodic(dim, last, first, shift.ravel().tolist())
        except Exception as error:  # gmsh has one kind of exception
            raise _unlike(condition, str(error)) from None


def record(made: MeshFile, conditions: Sequence[AnyCondition]) -> MeshFile:
    """The mesh with its periodic ends in ``numbers["periodic"]``: faces of both, and the way from one to the other.

    Raises StageError where their nodes do not fit each other.
    """
    pairs: list[dict[str, Any]] = []
    size = float(np.ptp(made.points, axis=0).max())
    for _, condition, along in periodic(conditions):
        there = set(made.facet_face.tolist())
        faces = sorted({i for name in condition.on for i in made.selections[name]} & there)
        corners = [made.points[made.facets[made.facet_face == i][:, : made.dimension]] for i in faces]
        areas = [_areas(x) for x in corners]
        middles = [a @ x.mean(axis=1) / a.sum() for a, x in zip(areas, corners, strict=True)]
        found = _sorted(condition, along, [float(a.sum()) for a in areas], middles)
        low, high = ([faces[i] for i in of] for of in (found.low, found.high))
        first, last = (made.points[np.unique(made.facets[np.isin(made.facet_face, of)])] for of in (low, high))
        # from the nodes themselves, which tell it to the last digit where the areas of curved facets do not
        shift = last.mean(axis=0) - first.mean(axis=0) if len(first) == len(last) else found.shift
        far, _ = cKDTree(last).query(first + shift)
        if len(first) != len(last) or far.max() > APART * size:
            at = ", ".join(f"{1e3 * v:.4g}" for v in first[int(far.argmax())])
            raise StageError(
                "not-periodic",
                f"The meshes of the periodic ends {_named(condition)} do not fit: no node of the other end belongs to "
                f"the one at ({at}) mm.",
                "Refine the ends alike, do without layers that run into them, or bring a mesh whose ends are alike.",
            )
        pairs.append({"on": list(condition.on), "low": low, "high": high, "shift": [float(v) for v in shift]})
    return replace(made, numbers=made.numbers | {"periodic": pairs}) if pairs else made


def _areas(corners: np.ndarray) -> np.ndarray:
    """(n,) of straight triangles (n, 3, 3), or lengths of sides (n, 2, 3)."""
    sides = corners[:, 1:] - corners[:, :1]
    return np.linalg.norm(sides[:, 0] if sides.shape[1] == 1 else np.cross(sides[:, 0], sides[:, 1]) / 2, axis=1)


def _sorted(condition: AnyCondition, along: Vector, areas: Sequence[float], middles: Sequence[Any]) -> Ends:
    try:
        return ends(areas, middles, along)
    except ValueError as why:
        raise _unlike(condition, str(why)) from None


def _named(condition: AnyCondition) -> str:
    return condition.name or ", ".join(condition.on)


def _unlike(condition: AnyCondition, found: str) -> StageError:
    print(f"error: the periodic ends {_named(condition)} are not alike: {found[:200]}", flush=True)
    return StageError(
        "not-periodic",
        f"The periodic ends {_named(condition)} are not alike.",
        "Choose the faces of both ends, which must be the same but for a shift; look at the direction along.",
    )
