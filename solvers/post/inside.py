"""What the browser is shown of a domain's inside: values on an even grid, and what changes in a flat section of it.

The browser cuts and draws surfaces of equal value from the grid by itself. Outside the domain the grid holds what is
nearest inside, so that values between its points stay true up to the skin; ``inside`` says which points lie in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkProbeFilter
from vtkmodules.vtkIOHDF import vtkHDFReader

from hub.result import View
from solvers.post.cuts import Cut
from solvers.post.fields import Fields, arrays, scalar
from solvers.post.scene import Floats, Ints

#: Points of the grid, and most along one axis (the smallest limit of 3D textures that browsers promise).
POINTS, ALONG = 140_000, 256
#: Values of a film: points times moments, and most moments.
VALUES, MOMENTS = 1_200_000, 60


@dataclass(frozen=True)
class Grid:
    """An even grid over a domain.

    origin, spacing : (3,) [m]; counts : along x, y, z, x runs fastest
    inside : (n,) bool; values : name -> (n, ...) in SI, outside the nearest inside
    """

    origin: Floats
    spacing: Floats
    counts: tuple[int, int, int]
    inside: npt.NDArray[np.bool_]
    values: dict[str, Floats]

    @classmethod
    def of(cls, fields: Fields, names: list[str]) -> Grid | None:
        """The point fields `names` on a grid; None of a domain without a volume, or if the grid meets none of it."""
        from scipy.ndimage import distance_transform_edt

        low, high = fields.nodes.min(axis=0), fields.nodes.max(axis=0)
        span = high - low
        if fields.grid.GetMaxSpatialDimension() < 3 or not (span > 0).all():
            return None
        step = float((span.prod() / POINTS) ** (1 / 3))
        counts = np.clip(np.ceil(span / step) + 1, 4, ALONG).astype(int)
        # points in the middle of cells, so that none lies on the skin of a box, where rounding decides
        spacing = span / counts
        image = vtkImageData()
        image.SetDimensions(*map(int, counts))
        image.SetSpacing(*spacing)
        image.SetOrigin(*(low + spacing / 2))
        probe = vtkProbeFilter()
        probe.SetInputData(image)
        probe.SetSourceData(fields.grid)
        probe.Update()
        found = probe.GetOutput().GetPointData()
        inside = vtk_to_numpy(found.GetArray("vtkValidPointMask")).astype(bool)
        if not inside.any():
            return None
        nearest = distance_transform_edt(
            ~inside.reshape(counts[::-1]), sampling=spacing[::-1], return_distances=False, return_indices=True
        )
        at = np.ravel_multi_index(tuple(nearest), tuple(counts[::-1])).reshape(-1)
        values = {name: vtk_to_numpy(found.GetArray(name)).astype(float)[at] for name in names}
        return cls(low + spacing / 2, spacing, tuple(map(int, counts)), inside, values)


@dataclass(frozen=True)
class Film:
    """A flat section over time: points (n, 3) [m], triangles (m, 3), values (moments, n) in SI, times [s]."""

    points: Floats
    triangles: Ints
    values: Floats
    times: list[float]

    @classmethod
    def of(cls, file: Path, view: View) -> Film | None:
        """The field of a view at some moments of ``moving.vtkhdf``; None where it has no section or its mesh moves.

        Raises ValueError where the field or the section is not there.
        """
        reader = vtkHDFReader()
        reader.SetFileName(str(file))
        reader.UpdateInformation()
        count = reader.GetNumberOfSteps()
        if count < 2:
            return None

        def shown(step: int) -> tuple[Floats, Ints, Floats] | None:
            reader.SetStep(step)
            reader.Update()
            data = _copied(reader.GetOutputDataObject(0))
            if view.field not in (names := arrays(data)):
                raise ValueError(f"moving.vtkhdf has no field {view.field!r}; it has {', '.join(sorted(names))}")
            fields = Fields(data)
            if not fields.flat and view.section is None:
                return None
            cut = Cut.of_plane(fields) if fields.flat else Cut.through(fields, view.section)  # type: ignore[arg-type]
            return cut.points, cut.triangles, scalar(cut.values[view.field], view.component)

        first = shown(0)
        if first is None:
            return None
        most = max(2, min(MOMENTS, VALUES // max(1, len(first[0]))))
        moments, times = [], []
        for step in np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)).tolist():
            now = shown(step)
            if now is None or now[0].shape != first[0].shape:
                return None
            moments.append(now[2])
            times.append(float(reader.GetTimeValue()))
        return cls(first[0], first[1], np.array(moments), times)


def _copied(data: Any) -> Any:
    """The reader gives the same object again; what was made from it stays."""
    kept = data.NewInstance()
    kept.ShallowCopy(data)
    return kept


def axis_of(view: View, low: Floats, high: Floats) -> tuple[int, float] | None:
    """(axis, share of the box along it) of a view's section; None where it has none along an axis."""
    if view.section is None:
        return None
    normal = np.array(view.section.normal) / math.hypot(*view.section.normal)
    axis = int(np.abs(normal).argmax())
    if abs(normal[axis]) < 1 - 1e-6 or high[axis] <= low[axis]:
        return None
    return axis, float((view.section.point[axis] - low[axis]) / (high[axis] - low[axis]))
