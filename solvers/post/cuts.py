"""Pictures of what happens inside a domain: sections through the fields, and streamlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPlane, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkCutter, vtkTriangleFilter
from vtkmodules.vtkFiltersFlowPaths import vtkStreamTracer

from hub.result import Section, View
from solvers.post import scene
from solvers.post.faces import DIRECTIONS
from solvers.post.fields import Colours, Fields, areas, arrays, colour_table, feature_edges, scalar
from solvers.post.ink import Sheet, beside, narrowed
from solvers.post.labels import MARGIN, PANEL, call_out, colour_scale, with_line
from solvers.post.scene import Floats, Ints, Scene
from solvers.post.words import Language

#: Streamlines that are drawn; more hide each other.
LINES = 160
#: Longest streamline each way, in lengths of the domain; what goes round in circles hides all else.
LONGEST = 1.0
#: Share of the values at either end that the colours may leave out, if these few lie far away.
OUTLIERS = 0.002
#: Of the largest value: what is smaller is what rounding leaves of a zero.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Cut:
    """A flat section: points (n, 3) [m], triangles (m, 3), fields at the points, its normal towards the eye."""

    points: Floats
    triangles: Ints
    values: dict[str, Floats]
    normal: Floats

    @classmethod
    def through(cls, fields: Fields, section: Section) -> Cut:
        """The section of a solid domain. Raises ValueError if the plane misses it."""
        plane = vtkPlane()
        plane.SetOrigin(*section.point)
        plane.SetNormal(*section.normal)
        knife = vtkCutter()
        knife.SetInputData(fields.grid)
        knife.SetCutFunction(plane)
        knife.GenerateTrianglesOn()
        flat = vtkTriangleFilter()
        flat.SetInputConnection(knife.GetOutputPort())
        flat.PassLinesOff()
        flat.PassVertsOff()
        flat.Update()
        found = flat.GetOutput()
        if not found.GetNumberOfPolys():
            raise ValueError(f"the section through {section.point} along {section.normal} misses the domain")
        normal = np.array(section.normal) / np.linalg.norm(section.normal)
        # the eye stands where the axes of the picture run as people draw them
        if normal[np.abs(normal).argmax()] * (-1 if abs(normal[1]) > 0.7 else 1) < 0:
            normal = -normal
        return cls(
            vtk_to_numpy(found.GetPoints().GetData()).astype(float),
            vtk_to_numpy(found.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64),
            arrays(found),
            normal,
        )

    @classmethod
    def of_plane(cls, fields: Fields) -> Cut:
        """A flat domain is its own section."""
        return cls(fields.points, fields.triangles, fields.surface, np.array(fields.flat))


@dataclass(frozen=True)
class Range:
    """From which value to which the colours go, whether values lie beyond, and the unit they are said in."""

    low: float
    high: float
    beyond: bool
    unit: tuple[float, float, str]
    colours: Colours

    @classmethod
    def of(cls, values: Floats, view: View, language: Language) -> Range:
        """The colours of `values` in SI: as the view says, or all but few that lie far away."""
        known = values[np.isfinite(values)]
        least, most = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        low, high = view.range or (least, most)
        if view.range is None and len(known):
            near = (float(np.quantile(known, OUTLIERS)), float(np.quantile(known, 1 - OUTLIERS)))
            if near[1] > near[0] and most - least > 2 * (near[1] - near[0]):
                low, high = near
        return cls(low, high, most > high, language.scale(max(abs(low), abs(high)), view.unit), colour_table())

    @property
    def table(self) -> scene.Table:
        return self.colours, self.low, self.high

    def show(self, value: float, language: Language) -> str:
        scale, offset, sign = self.unit
        value = value if abs(value) > ROUNDING * max(abs(self.low), abs(self.high)) else 0.0
        return f"{language.number((value - offset) / scale, digits=3)} {sign}".strip()


def known(fields: Fields, *names: str | None) -> None:
    """Raises ValueError if a field is not there."""
    for name in filter(None, names):
        if name not in fields.everywhere:
            raise ValueError(f"fields.vtu has no point field {name!r}; it has {', '.join(sorted(fields.everywhere))}")


def section(fields: Fields, view: View, language: Language) -> tuple[Sheet, str, str]:
    """The picture of a section, a note on how it is drawn, and what it shows in words. Raises ValueError."""
    known(fields, view.field)
    cut = Cut.of_plane(fields) if fields.flat else Cut.through(fields, view.section or _middle(fields))
    values = scalar(cut.values[view.field], view.component)
    colours = Range.of(values, view, language)
    look = scene.View.fit(cut.points, tuple(cut.normal), PANEL, MARGIN)
    stage = Scene()
    stage.surface(cut.points, cut.triangles, values=values, table=colours.table, lit=False)
    stage.lines(cut.points, feature_edges(cut.points, cut.triangles), width=1.4)
    sheet = Sheet(*PANEL)
    sheet.paste(stage.draw(look))
    ends = {"max": int(np.nanargmax(values)), "min": int(np.nanargmin(values))}
    call_out(
        sheet,
        {
            key: (look.pixels(cut.points[i])[0], f"{language.say(key)} {colours.show(float(values[i]), language)}")
            for key, i in ends.items()
        },
    )
    low, high = (colours.show(float(v), language) for v in (values.min(), values.max()))
    said = language.say("alt_section", language.of(view.title, view.name), low, high)
    return _finished(
        sheet, colours, language, "" if fields.flat else _where(view.section or _middle(fields), language), said
    )


def streamlines(fields: Fields, view: View, language: Language) -> tuple[Sheet, str, str]:
    """The picture of streamlines, a note on how it is drawn, and what it shows in words. Raises ValueError."""
    along = view.along or view.field
    known(fields, view.field, along)
    paths, steps, values = trace(fields, along, view)
    everywhere = scalar(fields.everywhere[view.field], view.component)
    colours = Range.of(everywhere, view, language)
    sheet, stage = Sheet(*PANEL), Scene()
    if fields.flat:
        look = scene.View.fit(fields.points, fields.flat, PANEL, MARGIN)
        skin = scalar(fields.surface[view.field], view.component)
        stage.surface(fields.points, fields.triangles, values=skin, table=colours.table, lit=False)
        lifted = paths + 1e-3 * np.ptp(fields.points, axis=0).max() * np.array(fields.flat)
        stage.lines(lifted, steps, width=1.3, colour=(255, 255, 255), opacity=0.85)
    else:
        look = scene.View.fit(fields.points, DIRECTIONS[0], PANEL, MARGIN)
        stage.lines(paths, steps, width=2.2, values=values, table=colours.table)
        stage.surface(fields.points, fields.triangles, opacity=0.14)
    stage.lines(fields.points, fields.edges, width=1.2, opacity=0.6)
    sheet.paste(stage.draw(look))
    low, high = (colours.show(float(v), language) for v in (np.nanmin(everywhere), np.nanmax(everywhere)))
    said = language.say("alt_streamlines", language.of(view.title, view.name), low, high)
    return _finished(sheet, colours, language, "", said)


def trace(fields: Fields, along: str, view: View) -> tuple[Floats, Ints, Floats]:
    """Streamlines of the vector field `along`, both ways: points (n, 3) [m], steps (k, 2), the view's field there.

    They start evenly spread over the section of the view or, without one, over the whole domain.
    """
    if view.section is not None and not fields.flat:
        cut = Cut.through(fields, view.section)
        corner, triangles = cut.points, cut.triangles
        weight = areas(corner, triangles)
        at = np.searchsorted(np.cumsum(weight) / weight.sum(), (np.arange(LINES) + 0.5) / LINES)
        starts = corner[triangles[at]].mean(axis=1)
    else:
        spread = np.random.default_rng(0).permutation(len(fields.nodes))[: LINES // 2]
        starts = fields.nodes[np.sort(spread)]
    tracer = vtkStreamTracer()
    tracer.SetInputData(fields.grid)
    tracer.SetInputArrayToProcess(0, 0, 0, 0, along)
    seeds = vtkPolyData()
    seeds.SetPoints(scene.polydata(starts, np.zeros((0, 2), np.int64)).GetPoints())
    tracer.SetSourceData(seeds)
    tracer.SetIntegratorTypeToRungeKutta45()
    tracer.SetIntegrationDirectionToBoth()
    size = float(np.linalg.norm(np.ptp(fields.nodes, axis=0)))
    tracer.SetMaximumPropagation(LONGEST * size)
    tracer.SetMaximumNumberOfSteps(4000)
    tracer.SetSurfaceStreamlines(bool(fields.flat))
    tracer.Update()
    found = tracer.GetOutput()
    if not found.GetNumberOfLines():
        return np.zeros((0, 3)), np.zeros((0, 2), np.int64), np.zeros(0)
    points = vtk_to_numpy(found.GetPoints().GetData()).astype(float)
    flat = vtk_to_numpy(found.GetLines().GetConnectivityArray()).astype(np.int64)
    ends = vtk_to_numpy(found.GetLines().GetOffsetsArray()).astype(np.int64)
    steps = np.stack([flat[:-1], flat[1:]], axis=1)
    steps = np.delete(steps, ends[1:-1] - 1, axis=0)  # from the end of one line to the start of the next
    return points, steps, scalar(arrays(found)[view.field], view.component)


def _middle(fields: Fields) -> Section:
    """The section through the middle, across the shortest side: it shows the most."""
    low, high = fields.nodes.min(axis=0), fields.nodes.max(axis=0)
    # a hair beside the middle, where meshes that mirror themselves have their faces
    at = (low + high) / 2 + 1e-4 * (high - low)
    normal = np.eye(3)[int((high - low).argmin())]
    return Section(point=tuple(map(float, at)), normal=tuple(map(float, normal)))


def _where(section: Section, language: Language) -> str:
    normal = np.array(section.normal) / np.linalg.norm(section.normal)
    for axis, value in enumerate(normal):
        if abs(abs(value) - 1) < 1e-9:
            # sections lie a hair beside the middle: people read where, to a hundredth of a millimetre
            return language.say("section_at", "xyz"[axis], language.length(round(section.point[axis], 5) + 0.0))
    return language.say("section_through", language.point(section.point))


def _finished(sheet: Sheet, colours: Range, language: Language, note: str, said: str) -> tuple[Sheet, str, str]:
    if colours.beyond:
        note = "; ".join(filter(None, [note, language.say("higher", colours.show(colours.high, language))]))
    scale = colour_scale(colours.low, colours.high, colours.beyond, colours.colours, colours.unit, language)
    return with_line(beside([narrowed(sheet, 820), scale]), note), note, said
