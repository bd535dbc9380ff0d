"""How many cells lie across the narrowest gap of a domain: too few, and nobody can trust the flow in it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from hub.meshfile import MeshFile
from solvers.meshing import planar, tetmesh
from solvers.meshing.cost import hits
from solvers.meshing.layers import inward, segments_met, wet_cells

#: Rays that look across the domain, and places on each where the size of cells is looked at.
RAYS, PLACES = 400, 24


def across(mesh: MeshFile, wet: Collection[int]) -> dict[str, Any]:
    """``cells`` [-] across the ``gap`` [m] that has the fewest, and where it begins (``at``); empty without gaps.

    Rays go straight from the skin into the domain and end on skin that looks back at them. Along a ray the height of
    cells is integrated, each as large as the regular one of its volume, or as its extent along the ray if that is less.
    wet : indices of the bodies that count (the fluids). Around a part only gaps between its own faces are gaps.
    """
    d = mesh.dimension
    x, corners = mesh.points[:, :d], mesh.cells[:, : d + 1]
    inner = np.isin(mesh.cell_body, sorted(wet))
    owner = wet_cells(mesh, inner)
    counts = owner >= 0
    if "part" in mesh.selections and "upstream" in mesh.selections:
        counts &= np.isin(mesh.facet_face, mesh.selections["part"])
    if not counts.any():
        return {}
    skin = mesh.facets[counts][:, :d]
    normal = -inward(x, skin, x[corners[owner[counts]]].mean(axis=1))
    corners = corners[inner]
    cell = x[corners]
    tree = cKDTree(cell.mean(axis=1))
    a = x[skin]
    size = np.linalg.norm(a[:, 1] - a[:, 0], axis=1)
    if d == 3:
        size = np.linalg.norm(np.cross(a[:, 1] - a[:, 0], a[:, 2] - a[:, 0]), axis=1)
    step = np.cumsum(size) / size.sum()
    chosen = np.unique(np.searchsorted(step, (np.arange(RAYS) + 0.5) / RAYS))
    volume = tetmesh.volume(cell) if d == 3 else planar.triangle_area(cell)
    regular = np.cbrt(volume * 6 * np.sqrt(2)) if d == 3 else np.sqrt(volume / planar.REGULAR)
    best: tuple[float, float, Any] | None = None
    for k in chosen:
        start, way = a[k].mean(axis=0), -normal[k]
        facing = np.flatnonzero(normal @ way > 0.85)
        if d == 3:
            corner = a[facing]
            met = hits(start, way, corner[:, 0], corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        else:
            met = segments_met(start, way, a[facing, 0], a[facing, 1])
        met = met[met > 1e-9 * size.max()]
        if not len(met):
            continue
        gap = float(met.min())
        _, near = tree.query(start + np.outer((np.arange(PLACES) + 0.5) / PLACES * gap, way))
        extent = np.ptp(cell[near] @ way, axis=1)
        cells = float((gap / PLACES / np.minimum(regular[near], extent)).sum())
        if best is None or cells < best[0]:
            best = cells, gap, start
    if best is None:
        return {}
    return {"cells": round(best[0], 2), "gap": best[1], "at": [float(c) for c in best[2]]}
