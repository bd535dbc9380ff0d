"""Pictures of grains: spheres in the walls around them, coloured by a field or by their kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader

from hub.result import View
from solvers.post import scene
from solvers.post.cuts import Range
from solvers.post.fields import Colours, arrays, feature_edges, scalar
from solvers.post.ink import Sheet, beside, narrowed
from solvers.post.labels import MARGIN, PANEL, colour_scale, with_line
from solvers.post.scene import Floats, Scene
from solvers.post.words import Language

#: Paul Tol's "bright" (SRON/EPS/TN/09-002), for what differs in kind and not in amount.
KINDS = ((68, 119, 170), (238, 102, 119), (34, 136, 51), (204, 187, 68), (102, 204, 238), (170, 51, 119))
#: A drum, a hopper, a mixer are looked at from a little above and beside the front.
EYE = (0.45, -1.0, 0.35)


@dataclass(frozen=True)
class Grains:
    """Centres (n, 3) and radii (n,) [m] of grains, fields (n, ...) in SI by name."""

    points: Floats
    radii: Floats
    fields: Mapping[str, Floats]

    @classmethod
    def of(cls, data: Any) -> Grains:
        """From VTK data. Raises ValueError if it has no radii."""
        fields = arrays(data)
        if "radius" not in fields:
            raise ValueError(f"the grains have no point field 'radius'; they have {', '.join(sorted(fields))}")
        points = data.GetPoints()
        where = vtk_to_numpy(points.GetData()).astype(float) if points else np.zeros((0, 3))
        return cls(where.reshape(-1, 3), fields["radius"], fields)


def read(file: Path) -> Grains:
    """The grains of ``fields.vtu``. Raises ValueError."""
    reader = vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(file))
    reader.Update()
    return Grains.of(reader.GetOutput())


@dataclass(frozen=True)
class Painting:
    """How the values of a view become colours: by kind where they are few whole numbers, else along a scale."""

    view: View
    kinds: tuple[int, ...]
    range: Range

    @classmethod
    def of(cls, values: Floats, view: View, language: Language) -> Painting:
        different = np.unique(values[np.isfinite(values)])
        whole = len(different) and view.unit in ("", "1") and (different == different.round()).all()
        kinds = tuple(int(v) for v in different) if whole and len(different) <= len(KINDS) else ()
        return cls(view, kinds, Range.of(values, view, language))

    def colours(self, values: Floats) -> Colours:
        """(n, 3)"""
        if self.kinds:
            place = np.searchsorted(self.kinds, values).clip(0, len(self.kinds) - 1)
            return np.array(KINDS, np.uint8)[place]
        span = self.range.high - self.range.low or 1.0
        at = np.nan_to_num((values - self.range.low) / span).clip(0, 1)
        return self.range.colours[(at * (len(self.range.colours) - 1)).astype(int)]


def stage(grains: Grains, painting: Painting, surface: Mapping[str, Any] | None) -> Scene:
    """The grains inside their walls, which are clear enough to be looked through."""
    made = Scene()
    if len(grains.points):
        values = scalar(grains.fields[painting.view.field], painting.view.component)
        made.spheres(grains.points, grains.radii, painting.colours(values))
    if surface is not None:
        points, triangles = np.asarray(surface["points"], float), np.asarray(surface["triangles"], np.int64)
        made.surface(points, triangles, opacity=0.12)
        edges = np.asarray(surface["edges"], np.int64).reshape(-1, 2)
        made.lines(points, edges if len(edges) else feature_edges(points, triangles), width=1.0, opacity=0.5)
    return made


def look(
    grains: Grains, surfaces: Sequence[Mapping[str, Any]], size: tuple[int, int], margin: tuple[int, int]
) -> scene.View:
    """Where the eye stands for grains in their walls, wherever these go."""
    shown = [grains.points - grains.radii[:, None], grains.points + grains.radii[:, None]]
    shown += [np.asarray(surface["points"], float) for surface in surfaces]
    return scene.View.fit(np.concatenate(shown), EYE, size, margin)


def picture(
    grains: Grains, view: View, surface: Mapping[str, Any] | None, language: Language
) -> tuple[Sheet, str, str]:
    """The picture, a note on how it is drawn, and what it shows in words. Raises ValueError."""
    if view.field not in grains.fields:
        raise ValueError(f"the grains have no field {view.field!r}; they have {', '.join(sorted(grains.fields))}")
    values = scalar(grains.fields[view.field], view.component)
    painting = Painting.of(values, view, language)
    sheet = Sheet(*PANEL)
    sheet.paste(stage(grains, painting, surface).draw(look(grains, [surface] if surface else [], PANEL, MARGIN)))
    said = language.say("alt_grains", language.count(len(grains.points)), language.of(view.title, view.name))
    return finished(sheet, painting, language), "", said


def finished(sheet: Sheet, painting: Painting, language: Language, least: int = 820) -> Sheet:
    """A picture of grains with the scale of its colours, where they are along one."""
    if painting.kinds:
        return with_line(narrowed(sheet, least), "")
    r = painting.range
    scale = colour_scale(r.low, r.high, r.beyond, r.colours, r.unit, language)
    return beside([narrowed(sheet, least), scale])
