"""A result as the browser shows it in 3D: skin and inside with their fields, streamlines, what moves; small to send.

``view3d.bin`` is gzip around ``OFV1``, the length of a JSON head (u32), the head, and arrays one after the other.
Places are 16-bit shares of the bounding box, values 16-bit shares of their range; triangles lie along a space-filling
curve and points in the order of their use, so that differences between rows are small and compress well. ``ui/viewer``
reads it.
"""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkQuadricDecimation
from vtkmodules.vtkIOHDF import vtkHDFReader

from hub.result import Answer, View
from solvers.post import cuts, grains, inside, poses, scene
from solvers.post.fields import Fields, scalar
from solvers.post.scene import Floats, Ints
from solvers.post.words import Language

#: Triangles beyond which the skin is made coarser: 500 000 stay below 4 MB.
TRIANGLES = 500_000
#: Most scalars that are sent, and most places of grains (grains times moments).
SCALARS, PLACES = 8, 600_000
FULL = 65_535
#: The point field with the number of the wall, where walls move.
WALL = "wall"
#: Steps of values inside and over time: as many as the half floats of a browser's 3D textures tell apart.
STEPS = 2047
#: Values as shares of their range, and what the head says of them.
Valued = tuple[npt.NDArray[np.uint16], dict[str, Any]]


class Pack:
    """Arrays and the head that describes them."""

    def __init__(self) -> None:
        self.head: dict[str, Any] = {"arrays": {}}
        self._pieces: list[bytes] = []
        self._length = 0

    def add(self, name: str, values: npt.NDArray[Any], *, differences: bool = True) -> None:
        """An array (n,) or (n, width) of u8, u16, i16 or u32."""
        wide = values if values.ndim == 2 else values[:, None]
        rows = np.ascontiguousarray(wide)
        kind = {"uint8": "u8", "uint16": "u16", "int16": "i16", "uint32": "u32"}[rows.dtype.name]
        if differences:
            rows = rows.copy()
            rows[1:] -= wide[:-1]  # wraps around, and back in the browser
        data = rows.astype(rows.dtype.newbyteorder("<")).tobytes()
        self.head["arrays"][name] = {
            "type": kind, "count": len(rows), "width": rows.shape[1], "offset": self._length,
            "differences": differences,
        }  # fmt: skip
        data += b"\0" * (-len(data) % 4)
        self._pieces.append(data)
        self._length += len(data)

    def bytes(self) -> bytes:
        head = json.dumps(self.head, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        head += b" " * (-len(head) % 4)
        return gzip.compress(b"OFV1" + struct.pack("<I", len(head)) + head + b"".join(self._pieces), 6, mtime=0)


def write(target: Path, answer: Answer, fields: Fields | None, moving: Path, language: Language) -> None:
    """Everything of an answer that can be shown in 3D. Raises OSError, ValueError."""
    pack = Pack()
    places = [fields.points] if fields is not None else []
    walls = [v for v in answer.views if v.kind in ("grains", "moving grains")]
    flock = _flock(moving, walls[0]) if walls and moving.is_file() else None
    if flock is not None:
        known = np.isfinite(flock["places"]).all(axis=2)
        places.append(flock["places"][known])
    if not places or not sum(map(len, places)):
        return
    low, high = np.concatenate(places).min(axis=0), np.concatenate(places).max(axis=0)
    moves = _poses(fields, moving, flock)
    if fields is not None and moves is not None:
        swept = _swept(fields, moves)
        low, high = np.minimum(low, swept.min(axis=0)), np.maximum(high, swept.max(axis=0))
    if flock is not None:
        low, high = low - flock["radii"].max(), high + flock["radii"].max()
    pack.head |= {"low": low.tolist(), "high": high.tolist(), "flat": fields is not None and fields.flat is not None}
    if fields is not None:
        wanted = _wanted(fields, answer)
        _skin(pack, fields, answer, wanted, low, high, language)
        if moves is not None:
            pack.head["poses"] = moves.reshape(*moves.shape[:2], 12).tolist()
        _inside(pack, fields, answer, wanted)
        _lines(pack, fields, answer, low, high, language)
        _film(pack, answer, moving, low, high, language)
    if flock is not None:
        _grains(pack, flock, walls[0], low, high, language)
    pack.head["marks"] = [
        {"name": name, "at": q.at, "title": q.title, "text": language.quantity(q.value, q.unit, q.error)}
        for name, q in answer.quantities.items()
        if q.at is not None
    ]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(pack.bytes())


def _shares(points: Floats, low: Floats, high: Floats) -> npt.NDArray[np.uint16]:
    span = np.where(high > low, high - low, 1.0)
    return np.asarray(((points - low) / span * FULL).round().clip(0, FULL), np.uint16)


def _ends(values: Floats) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)


def _valued(
    values: Floats, unit: str, title: dict[str, str], language: Language, ends: tuple[float, float] | None = None,
    steps: int = FULL,
) -> tuple[npt.NDArray[np.uint16], dict]:  # fmt: skip
    low, high = ends or _ends(values)
    scale, offset, sign = language.scale(max(abs(low), abs(high)), unit)
    said = {"title": title, "low": (low - offset) / scale, "high": (high - offset) / scale, "unit": sign}
    return _share(values, low, high, steps), said


def _share(values: Floats, low: float, high: float, steps: int) -> npt.NDArray[np.uint16]:
    share = (np.nan_to_num(values, nan=low) - low) / (high - low if high > low else 1.0)
    return np.asarray((share.clip(0, 1) * steps).round(), np.uint16)


def _wanted(fields: Fields, answer: Answer) -> list[View]:
    """The views whose fields are sent, each field once; those that are cut before those that are not."""
    chosen: dict[tuple[str, int | None], View] = {}
    for view in answer.views:
        if view.field in fields.surface and view.kind in ("surface", "section", "streamlines"):
            known = chosen.setdefault((view.field, view.component), view)
            if known.kind != "section" and view.kind == "section":
                chosen[view.field, view.component] = view
    return list(chosen.values())[:SCALARS]


def _bar(view: View) -> str:
    """The point field with half widths of error bars of a view's field, where the solver leaves one."""
    return f"{view.field}_error"


def _largest(fields: Fields, view: View) -> float:
    """The largest half width of a view's field."""
    return float(np.nanmax(fields.everywhere[_bar(view)], initial=0.0)) or 1.0


def _bars(values: Floats, largest: float) -> npt.NDArray[np.uint8]:
    """Half widths as 254ths of the root of their share of the largest, rounded up; 255 says that there is none."""
    roots = np.ceil(254 * np.sqrt(np.nan_to_num(values / largest).clip(0, 1)))
    return np.where(np.isnan(values), 255, roots).astype(np.uint8)


def _warp(fields: Fields, answer: Answer) -> str | None:
    return next((v.warp for v in answer.views if v.warp in fields.surface), None)


def _skin(
    pack: Pack, fields: Fields, answer: Answer, wanted: list[View], low: Floats, high: Floats, language: Language
) -> None:
    name = _warp(fields, answer)
    warp = fields.surface[name] if name else None
    points, triangles = fields.points, fields.triangles
    columns = [scalar(fields.surface[view.field], view.component) for view in wanted]
    bars = {view.name: fields.surface[bar] for view in wanted if (bar := _bar(view)) in fields.surface}
    wall = np.nan_to_num(fields.surface[WALL]).astype(np.uint8) if WALL in fields.surface else None
    if len(triangles) > TRIANGLES:
        points, triangles, kept = _coarser(points, triangles, TRIANGLES / len(triangles))
        columns = [values[kept] for values in columns]
        warp = None if warp is None else warp[kept]
        wall = None if wall is None else wall[kept]
        bars = {name: values[kept] for name, values in bars.items()}
    triangles, used = _ordered(points, triangles)
    pack.add("points", _shares(points[used], low, high))
    pack.add("triangles", triangles.astype(np.uint32))
    pack.add("edges", _edges(fields, points, low, high), differences=False)
    if wall is not None:
        pack.add("wall", wall[used])
        pack.add("edge_wall", np.nan_to_num(fields.surface[WALL])[fields.edges.reshape(-1)].astype(np.uint8))
    pack.head["scalars"] = []
    for number, (values, view) in enumerate(zip(columns, wanted, strict=True)):
        # one range for skin and inside: velocities vanish on walls
        ends = _ends(scalar(fields.everywhere[view.field], view.component))
        shares, said = _valued(values[used], view.unit, dict(view.title), language, ends)
        pack.add(f"scalar{number}", shares)
        said |= {"name": view.name, "array": f"scalar{number}"}
        if (cut := inside.axis_of(view, low, high)) is not None and view.kind == "section":
            said["section"] = list(cut)
        if view.name in bars:
            largest = _largest(fields, view)
            pack.add(f"bar{number}", _bars(bars[view.name], largest)[used])
            said["bar"] = largest * (said["high"] - said["low"]) / ((ends[1] - ends[0]) or 1.0)
        pack.head["scalars"].append(said)
    if warp is not None and (largest := float(np.abs(warp).max())) > 0:
        pack.add("warp", np.asarray((warp[used] / largest * 32767).round(), np.int16))
        pack.head["warp"] = {"largest": largest, "title": {"en": "Deformation", "it": "Deformazione"}}


def _inside(pack: Pack, fields: Fields, answer: Answer, wanted: list[View]) -> None:
    """Values and displacements on an even grid, in whole steps of their range."""
    warp = _warp(fields, answer)
    bars = {_bar(view) for view in wanted} & set(fields.everywhere)
    names = sorted({view.field for view in wanted} | ({warp} if warp else set()) | bars)
    grid = inside.Grid.of(fields, names) if wanted else None
    if grid is None:
        return
    pack.add("inside", grid.inside.astype(np.uint8))
    pack.head["inside"] = {
        "origin": grid.origin.tolist(), "spacing": grid.spacing.tolist(), "counts": list(grid.counts), "steps": STEPS,
    }  # fmt: skip
    for number, view in enumerate(wanted):
        ends = _ends(scalar(fields.everywhere[view.field], view.component))
        values = scalar(grid.values[view.field], view.component)
        pack.add(f"inside{number}", _share(values, *ends, STEPS))
        if (bar := _bar(view)) in bars:
            pack.add(f"inside_bar{number}", _bars(grid.values[bar], _largest(fields, view)))
    if warp and "warp" in pack.head:
        share = grid.values[warp] / pack.head["warp"]["largest"]
        pack.add("inside_warp", np.asarray((share.clip(-1, 1) * STEPS).round(), np.int16))


def _film(pack: Pack, answer: Answer, moving: Path, low: Floats, high: Floats, language: Language) -> None:
    view = next((v for v in answer.views if v.kind == "moving"), None)
    film = inside.Film.of(moving, view) if view is not None and moving.is_file() else None
    if view is None or film is None:
        return
    shares, said = _valued(film.values, view.unit, dict(view.title), language, None, STEPS)
    pack.add("film_points", _shares(film.points, low, high))
    pack.add("film_triangles", film.triangles.astype(np.uint32))
    pack.add("film_values", shares)
    pack.head["film"] = {**said, "times": film.times, "steps": STEPS}


def _edges(fields: Fields, points: Floats, low: Floats, high: Floats) -> npt.NDArray[np.uint16]:
    """The ends of feature edges, two rows each, beside the skin's own numbering."""
    return _shares(fields.points[fields.edges.reshape(-1)], low, high).reshape(-1, 3)


def _ordered(points: Floats, triangles: Ints) -> tuple[Ints, Ints]:
    """Triangles along a space-filling curve, renumbered, and the points they use in the order of their use."""
    span = np.ptp(points, axis=0)
    middle = points[triangles].mean(axis=1)
    grid = ((middle - points.min(axis=0)) / np.where(span > 0, span, 1) * 1023).astype(np.int64)
    code = np.zeros(len(grid), np.int64)
    for bit in range(10):  # Morton's order: the bits of x, y and z take turns
        for axis in range(3):
            code |= (grid[:, axis] >> bit & 1) << (3 * bit + axis)
    ordered = triangles[np.argsort(code, kind="stable")]
    used, first, back = np.unique(ordered.reshape(-1), return_index=True, return_inverse=True)
    by_use = np.argsort(first, kind="stable")
    number = np.empty(len(used), np.int64)
    number[by_use] = np.arange(len(used))
    return number[back].reshape(-1, 3), used[by_use]


def _coarser(points: Floats, triangles: Ints, share: float) -> tuple[Floats, Ints, Ints]:
    """Points and triangles of a coarser skin, and the nearest point of the fine one for each point."""
    from scipy.spatial import cKDTree

    decimate = vtkQuadricDecimation()
    decimate.SetInputData(scene.polydata(points, triangles))
    decimate.SetTargetReduction(1 - share)
    decimate.VolumePreservationOn()
    decimate.Update()
    made: vtkPolyData = decimate.GetOutput()
    where = vtk_to_numpy(made.GetPoints().GetData()).astype(float)
    cells = vtk_to_numpy(made.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    return where, cells, np.asarray(cKDTree(points).query(where)[1])


def _lines(pack: Pack, fields: Fields, answer: Answer, low: Floats, high: Floats, language: Language) -> None:
    for view in answer.views:
        if view.kind == "streamlines":
            points, steps, values = cuts.trace(fields, view.along or view.field, view)
            if not len(steps):
                return
            shares, said = _valued(values, view.unit, dict(view.title), language)
            pack.add("line_points", _shares(points, low, high))
            pack.add("line_steps", steps.astype(np.uint32))
            pack.add("line_values", shares)
            pack.head["lines"] = said
            return


def _flock(file: Path, view: View) -> dict[str, Any] | None:
    """Grains over time: places (moments, n, 3), NaN where a grain is not there; radii (n,); values (moments, n)."""
    reader = vtkHDFReader()
    reader.SetFileName(str(file))
    reader.UpdateInformation()
    count = reader.GetNumberOfSteps()
    moments = []
    steps = np.unique(np.linspace(0, count - 1, min(60, count)).round().astype(int))
    for step in steps:
        reader.SetStep(int(step))
        reader.Update()
        moments.append((float(reader.GetTimeValue()), grains.Grains.of(reader.GetOutputDataObject(0))))
    if not moments or not any(len(g.points) for _, g in moments):
        return None
    numbers = [g.fields["id"].astype(np.int64) if "id" in g.fields else np.arange(len(g.points)) for _, g in moments]
    everyone = np.unique(np.concatenate(numbers))
    if len(everyone) * len(moments) > PLACES:
        everyone = everyone[:: -(-len(everyone) * len(moments) // PLACES)]
    places = np.full((len(moments), len(everyone), 3), np.nan)
    values, radii = np.zeros((len(moments), len(everyone))), np.zeros(len(everyone))
    for k, (ids, (_, g)) in enumerate(zip(numbers, moments, strict=True)):
        shown = np.isin(ids, everyone)
        at = np.searchsorted(everyone, ids[shown])
        places[k, at], radii[at] = g.points[shown], g.radii[shown]
        values[k, at] = scalar(g.fields[view.field], view.component)[shown]
    return {"places": places, "radii": radii, "values": values, "times": [t for t, _ in moments], "steps": steps}


def _poses(fields: Fields | None, moving: Path, flock: dict[str, Any] | None) -> Floats | None:
    """From where the walls of `fields` stand to where they stood at the moments of the grains, if they move."""
    if fields is None or flock is None or WALL not in fields.surface:
        return None
    known = poses.Poses.read(moving)
    return None if known is None else known.since_last(flock["steps"])


def _swept(fields: Fields, moves: Floats) -> Floats:
    """Places that the walls come to (some of their points, at every moment)."""
    points, wall = fields.points[:: max(1, len(fields.points) // 2000)], fields.surface[WALL]
    number = wall[:: max(1, len(fields.points) // 2000)]
    points, number = points[np.isfinite(number)], number[np.isfinite(number)].astype(int)
    placed = moves[:, number]
    moved = np.einsum("knij,nj->kni", placed[..., :3], points) + placed[..., 3]
    return np.asarray(moved.reshape(-1, 3))


def _grains(pack: Pack, flock: dict[str, Any], view: View, low: Floats, high: Floats, language: Language) -> None:
    places, radii = flock["places"], flock["radii"]
    there = np.isfinite(places).all(axis=2)
    shares, said = _valued(np.where(there, flock["values"], np.nan).reshape(-1), view.unit, dict(view.title), language)
    pack.add("grain_places", _shares(np.nan_to_num(places), low, high).reshape(len(places), -1))
    pack.add("grain_there", there.astype(np.uint8))
    pack.add("grain_values", shares.reshape(len(places), -1))
    largest = float(radii.max()) or 1.0
    pack.add("grain_radii", np.asarray(radii / largest * FULL, np.uint16), differences=False)
    kinds = grains.Painting.of(flock["values"][there], view, language).kinds
    pack.head["grains"] = {
        **said, "times": flock["times"], "radius": largest, "kinds": list(kinds),
        "colours": [list(c) for c in grains.KINDS[: len(kinds)]],
    }  # fmt: skip
