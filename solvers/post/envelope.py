"""The envelope of many results on one mesh: the largest and the least of every field at every node over all points of a
study, and the points they belong to. Parts are taken side by side and joined in any order; equal values belong to the
point of the lower number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkUnstructuredGrid
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader, vtkXMLUnstructuredGridWriter

from hub.result import View
from solvers.post import cuts, pictures
from solvers.post.fields import arrays, read, scalar
from solvers.post.scene import Floats
from solvers.post.words import Language

#: Fields of error bars, of which extremes say nothing.
BARS = "_error"


@dataclass(frozen=True)
class Extremes:
    """field -> (nodes,) values in SI, of vectors their magnitude; numbers of the points they belong to."""

    high: dict[str, Floats]
    high_at: dict[str, npt.NDArray[np.int32]]
    low: dict[str, Floats]
    low_at: dict[str, npt.NDArray[np.int32]]


def of(results: Sequence[tuple[int, str]]) -> Extremes:
    """Of points (number, path of their ``fields.vtu``). Raises ValueError if they are not on one mesh."""
    found: Extremes | None = None
    for number, path in results:
        values = {n: scalar(v, None) for n, v in arrays(_grid(path)).items() if not n.endswith(BARS) and v.ndim < 3}
        values = {n: v for n, v in values.items() if n != "stress"}  # its six components have no magnitude of use
        at = {n: np.full(len(v), number, np.int32) for n, v in values.items()}
        one = Extremes(values, at, values, at)
        found = one if found is None else joined(found, one)
    if found is None:
        raise ValueError("an envelope needs one result at least")
    return found


def joined(a: Extremes, b: Extremes) -> Extremes:
    """Of the results of both; fields that only one has are left out. Raises ValueError if they are not on one mesh."""
    names = [n for n in a.high if n in b.high]
    if any(a.high[n].shape != b.high[n].shape for n in names):
        raise ValueError("the results are on different meshes")
    high = {n: _further(a.high[n], a.high_at[n], b.high[n], b.high_at[n], 1.0) for n in names}
    low = {n: _further(a.low[n], a.low_at[n], b.low[n], b.low_at[n], -1.0) for n in names}
    return Extremes(
        {n: v for n, (v, _) in high.items()},
        {n: p for n, (_, p) in high.items()},
        {n: v for n, (v, _) in low.items()},
        {n: p for n, (_, p) in low.items()},
    )


def _further(x: Floats, of_x: Any, y: Floats, of_y: Any, sign: float) -> tuple[Floats, npt.NDArray[np.int32]]:
    takes = (sign * y > sign * x) | ((y == x) & (of_y < of_x)) | (np.isnan(x) & ~np.isnan(y))
    return np.where(takes, y, x), np.where(takes, of_y, of_x)


def write(extremes: Extremes, sample: Path, target: Path, field: str) -> tuple[float, int, tuple[float, ...]]:
    """``<field>_max``, ``<field>_max_point``, ``<field>_min``, ``<field>_min_point`` on the mesh of `sample`, as VTU.

    Returns the largest value of `field` [SI], the point it belongs to and its place [m]. Raises OSError, KeyError.
    """
    given = _grid(str(sample))
    grid = vtkUnstructuredGrid()
    grid.CopyStructure(given)
    for name in extremes.high:
        for end, values, at in (
            ("max", extremes.high[name], extremes.high_at[name]),
            ("min", extremes.low[name], extremes.low_at[name]),
        ):
            for label, column in ((f"{name}_{end}", values), (f"{name}_{end}_point", at)):
                array = numpy_to_vtk(np.ascontiguousarray(column), deep=True)
                array.SetName(label)
                grid.GetPointData().AddArray(array)
    part = target.with_suffix(".part")
    writer = vtkXMLUnstructuredGridWriter()
    writer.SetFileName(str(part))
    writer.SetInputData(grid)
    if not writer.Write():
        raise OSError(f"{target.name} could not be written")
    part.replace(target)
    where = int(np.nanargmax(extremes.high[field]))
    return float(extremes.high[field][where]), int(extremes.high_at[field][where]), grid.GetPoint(where)


def save(extremes: Extremes, target: Path) -> None:
    """Keep the extremes of a part. Raises OSError."""
    ends = {"high": extremes.high, "high_at": extremes.high_at, "low": extremes.low, "low_at": extremes.low_at}
    with target.open("wb") as file:
        np.savez(file, **{f"{end} {name}": values for end, found in ends.items() for name, values in found.items()})


def load(file: Path) -> Extremes:
    """What :func:`save` kept. Raises OSError, ValueError."""
    ends: dict[str, dict[str, Any]] = {"high": {}, "high_at": {}, "low": {}, "low_at": {}}
    with np.load(file, allow_pickle=False) as data:
        for key in data:
            end, _, name = key.partition(" ")
            ends[end][name] = data[key]
    return Extremes(**ends)


def draw(file: Path, view: View, language: Language, target: Path) -> None:
    """The picture of one field of an envelope. Raises OSError, ValueError."""
    fields = read(file)
    if fields.flat:
        sheet, _, _ = cuts.section(fields, view, language)
    else:
        sheet, _, _ = pictures.field(fields, view, {}, language)
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(target)


def _grid(path: str) -> Any:
    reader = vtkXMLUnstructuredGridReader()
    reader.SetFileName(path)
    reader.Update()
    if not reader.GetOutput().GetNumberOfCells():
        raise ValueError(f"{Path(path).name} holds no cells; expected the mesh with the fields of the solution")
    return reader.GetOutput()
