"""The fields of an answer as they are drawn: the skin of the domain, values on it, colours for them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkFiltersCore import vtkTriangleFilter
from vtkmodules.vtkFiltersGeometry import vtkDataSetSurfaceFilter
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader

from solvers.post.scene import Floats, Ints

#: viridis (van der Walt and Smith, matplotlib, CC0): even in lightness, safe for colour-blind readers, at 17 places.
VIRIDIS = ((68, 1, 84), (72, 24, 106), (71, 45, 123), (66, 64, 134), (59, 82, 139), (51, 99, 141), (44, 114, 142),
           (38, 130, 142), (33, 145, 140), (31, 160, 136), (40, 174, 128), (63, 188, 115), (94, 201, 98),
           (132, 212, 75), (173, 220, 48), (216, 226, 25), (253, 231, 37))  # fmt: skip

#: Colours (k, 3).
Colours = npt.NDArray[np.uint8]


def colour_table() -> Colours:
    """viridis as (256, 3), without its darkest part, in which the shape of the part would drown."""
    at = np.linspace(0, 1, len(VIRIDIS))
    steps = np.linspace(0.16, 1, 256)
    return np.stack([np.interp(steps, at, np.array(VIRIDIS)[:, k]) for k in range(3)], axis=1).round().astype(np.uint8)


class Fields:
    """``fields.vtu``: the surface of the domain and the values of every point field, on it and everywhere.

    points (n, 3) [m], triangles (m, 3); surface, everywhere : name -> (n or nodes, ...) values in SI
    """

    def __init__(self, grid: Any) -> None:
        skin = vtkDataSetSurfaceFilter()
        skin.SetInputData(grid)
        skin.SetNonlinearSubdivisionLevel(1)
        flat = vtkTriangleFilter()
        flat.SetInputConnection(skin.GetOutputPort())
        flat.PassLinesOff()
        flat.PassVertsOff()
        flat.Update()
        self.grid = grid
        self.everywhere, self.nodes = arrays(grid), vtk_to_numpy(grid.GetPoints().GetData()).astype(float)
        drawn = flat.GetOutput()
        self.points = vtk_to_numpy(drawn.GetPoints().GetData()).astype(float)
        self.triangles = vtk_to_numpy(drawn.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
        self.surface = arrays(drawn)
        self.edges = feature_edges(self.points, self.triangles)
        #: the normal of a flat domain, which is looked at from the front
        self.flat = flat_normal(self.points, self.triangles)
        #: what :func:`solvers.post.pictures.shares` found, by the field that deforms the part
        self.shares: dict[str | None, list[float]] = {}


def read(file: Path) -> Fields:
    """``fields.vtu``. Raises ValueError if it holds no cells."""
    reader = vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(file))
    reader.Update()
    grid = reader.GetOutput()
    if not grid.GetNumberOfCells():
        raise ValueError(f"{file.name} holds no cells; expected the mesh with the fields of the solution")
    return Fields(grid)


def arrays(data: Any) -> dict[str, Floats]:
    fields = data.GetPointData()
    return {
        fields.GetArrayName(i): vtk_to_numpy(fields.GetArray(i)).astype(float)
        for i in range(fields.GetNumberOfArrays())
        if fields.GetArray(i) is not None
    }


def scalar(values: Floats, component: int | None) -> Floats:
    """A scalar field, one component of a vector field, or its magnitude."""
    if values.ndim == 1:
        return values
    return np.asarray(np.linalg.norm(values, axis=1) if component is None else values[:, component])


def areas(points: Floats, triangles: Ints) -> Floats:
    """Twice the area of each triangle (m,) [m2]."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1))


def flat_normal(points: Floats, triangles: Ints) -> tuple[float, float, float] | None:
    """The normal of a flat surface, upwards; None of one that is not flat."""
    if not len(triangles) or np.ptp(points, axis=0).max() == 0:
        return None
    centred = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centred.T @ centred)
    normal = axes[2]
    if np.abs(centred @ normal).max() > 1e-6 * np.ptp(points, axis=0).max():
        return None
    normal = normal if normal[np.abs(normal).argmax()] > 0 else -normal
    return (float(normal[0]), float(normal[1]), float(normal[2]))


def feature_edges(points: Floats, triangles: Ints, angle: float = 30.0) -> Ints:
    """Edges (k, 2) where the surface ends or bends by more than `angle` degrees."""
    normal = np.cross(
        points[triangles[:, 1]] - points[triangles[:, 0]], points[triangles[:, 2]] - points[triangles[:, 0]]
    )
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    owner = np.tile(np.arange(len(triangles)), 3)
    order = np.lexsort(edges.T[::-1])
    edges, owner = edges[order], owner[order]
    same = (edges[1:] == edges[:-1]).all(axis=1)
    pair = np.flatnonzero(same)
    rim = edges[~np.r_[False, same] & ~np.r_[same, False]]
    bent = (normal[owner[pair]] * normal[owner[pair + 1]]).sum(axis=1) < math.cos(math.radians(angle))
    return np.concatenate([edges[pair[bent]], rim])
