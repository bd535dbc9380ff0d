"""The pictures of a report: the set-up, and each view of the answer's fields."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkFiltersCore import vtkTriangleFilter
from vtkmodules.vtkFiltersGeometry import vtkDataSetSurfaceFilter
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader

from hub.case import slug
from hub.result import Answer, View
from solvers.post import account, scene
from solvers.post.faces import DIRECTIONS, number_faces
from solvers.post.ink import FAINT, INK, Sheet, beside, narrowed, tag_box
from solvers.post.scene import Floats, Ints, Scene
from solvers.post.words import Language

PANEL = (1280, 980)
#: Room around the part for the texts that stand beside it [px].
MARGIN = (70, 64)
SCALE_WIDTH = 300
#: A deformed part is drawn so that its largest displacement is this share of its size.
SHOWN = 0.07
#: Where the highest two thousandths of the surface lie beyond this many times the rest, the colours end before them.
PEAK = 1.6
#: ... and where the lowest value matters, at so many times it.
TIMES_LOWEST = 6.0

#: viridis (van der Walt and Smith, matplotlib, CC0): even in lightness, safe for colour-blind readers, at 17 places.
VIRIDIS = ((68, 1, 84), (72, 24, 106), (71, 45, 123), (66, 64, 134), (59, 82, 139), (51, 99, 141), (44, 114, 142),
           (38, 130, 142), (33, 145, 140), (31, 160, 136), (40, 174, 128), (63, 188, 115), (94, 201, 98),
           (132, 212, 75), (173, 220, 48), (216, 226, 25), (253, 231, 37))  # fmt: skip
#: Paul Tol's "bright" (SRON/EPS/TN/09-002), for conditions.
CONDITION_COLOURS = ((68, 119, 170), (238, 102, 119), (34, 136, 51), (204, 187, 68), (102, 204, 238), (170, 51, 119))


#: Colours (k, 3).
Colours = npt.NDArray[np.uint8]


def colour_table() -> Colours:
    """viridis as (256, 3), without its darkest part, in which the shape of the part would drown."""
    at = np.linspace(0, 1, len(VIRIDIS))
    steps = np.linspace(0.16, 1, 256)
    return np.stack([np.interp(steps, at, np.array(VIRIDIS)[:, k]) for k in range(3)], axis=1).round().astype(np.uint8)


class Fields:
    """``fields.vtu``: the surface of the part and the values of every point field, on it and everywhere.

    points (n, 3) [m], triangles (m, 3); surface, everywhere : name -> (n or nodes, ...) values in SI
    """

    def __init__(self, file: Path) -> None:
        reader = vtkXMLUnstructuredGridReader()
        reader.SetFileName(str(file))
        reader.Update()
        grid = reader.GetOutput()
        if not grid.GetNumberOfCells():
            raise ValueError(f"{file.name} holds no cells; expected the mesh with the fields of the solution")
        skin = vtkDataSetSurfaceFilter()
        skin.SetInputData(grid)
        skin.SetNonlinearSubdivisionLevel(1)
        flat = vtkTriangleFilter()
        flat.SetInputConnection(skin.GetOutputPort())
        flat.PassLinesOff()
        flat.PassVertsOff()
        flat.Update()
        self.everywhere, self.nodes = _arrays(grid), vtk_to_numpy(grid.GetPoints().GetData()).astype(float)
        drawn = flat.GetOutput()
        self.points = vtk_to_numpy(drawn.GetPoints().GetData()).astype(float)
        self.triangles = vtk_to_numpy(drawn.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
        self.surface = _arrays(drawn)
        self.edges = feature_edges(self.points, self.triangles)
        #: what :func:`shares` found, by the field that deforms the part
        self.shares: dict[str | None, list[float]] = {}


def _arrays(data: Any) -> dict[str, Floats]:
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


def feature_edges(points: Floats, triangles: Ints, angle: float = 30.0) -> Ints:
    """Edges (k, 2) where the surface bends by more than `angle` degrees."""
    normal = np.cross(
        points[triangles[:, 1]] - points[triangles[:, 0]], points[triangles[:, 2]] - points[triangles[:, 0]]
    )
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    owner = np.tile(np.arange(len(triangles)), 3)
    order = np.lexsort(edges.T[::-1])
    edges, owner = edges[order], owner[order]
    pair = np.flatnonzero((edges[1:] == edges[:-1]).all(axis=1))
    bent = (normal[owner[pair]] * normal[owner[pair + 1]]).sum(axis=1) < math.cos(math.radians(angle))
    return np.asarray(edges[pair[bent]])


def hidden(points: Floats, triangles: Ints, view: scene.View, at: Floats) -> bool:
    """Whether the surface stands between the eye and the point `at` (3,) [m] of it."""
    flat = view.pixels(points)
    x, y, near = view.pixels(at)[0]
    a, b, c = (flat[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        v = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (y - a[:, 1])) / area
        w = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (x - a[:, 0]) * (b[:, 1] - a[:, 1])) / area
        inside = (v > 0) & (w > 0) & (v + w < 1)
        depth = a[:, 2] + v * (b[:, 2] - a[:, 2]) + w * (c[:, 2] - a[:, 2])
    size = float(np.ptp(flat[:, 2])) or 1.0
    return bool((inside & (depth > near + 0.01 * size)).any())


def shares(points: Floats, triangles: Ints) -> list[float]:
    """The share of the surface that each of the corner views shows, the usual ones from above preferred a little."""
    area = areas(points, triangles)
    views = [scene.View.fit(points, towards, (PANEL[0] // 4, PANEL[1] // 4), (0, 0)) for towards in DIRECTIONS[:8]]
    found = []
    for rank, ids in enumerate(scene.seen(points, triangles, np.arange(len(triangles)), views)):
        numbers = np.unique(ids)
        found.append(float(area[numbers[numbers >= 0]].sum() / area.sum()) + (0.15 if rank < 4 else 0) - 0.001 * rank)
    return found


def best_view(points: Floats, triangles: Ints, targets: list[Floats], shown: list[float]) -> scene.View:
    """The corner view that shows most of the target points, and then the largest share of the surface."""
    scores = []
    for towards, share in zip(DIRECTIONS[:8], shown, strict=True):
        view = scene.View.fit(points, towards, PANEL, MARGIN)
        scores.append(share + sum(0.5 for target in targets if not hidden(points, triangles, view, target)))
    return scene.View.fit(points, DIRECTIONS[int(np.argmax(scores))], PANEL, MARGIN)


def magnification(displacement: float, size: float) -> float:
    """A factor of 1, 2 or 5 times a power of ten by which `displacement` becomes visible on a part of `size`."""
    if displacement <= 0:
        return 1.0
    wanted = SHOWN * size / displacement
    if wanted < 2:
        return 1.0
    power = 10 ** math.floor(math.log10(wanted))
    return float(max(f * power for f in (1, 2, 5) if f * power <= wanted * (1 + 1e-9)))


def draw(attempt: Path) -> list[dict[str, Any]]:
    """Draw everything for the report of an attempt into ``out/pictures/``.

    Returns for each picture: file, kind (``setup`` or ``field``), title, note, alt.
    Raises OSError, ValueError, KeyError.
    """
    inputs, target = attempt / "in", attempt / "out" / "pictures"
    case, verdict, mesh, solver = (read(inputs / f"{n}.json") for n in ("case", "verdict", "mesh", "solver"))
    answer = Answer.model_validate_json((inputs / "answer.json").read_bytes())
    language = Language(case.get("language", "en"))
    made = []
    acting = account.conditions(case, solver, mesh, verdict, language)
    if (inputs / "surface.npz").is_file() and acting:
        with np.load(inputs / "surface.npz", allow_pickle=False) as data:
            surface = {name: data[name] for name in ("points", "triangles", "face", "edges")}
        setup(surface, acting, verdict, language).save(target / "setup.png")
        alt = "; ".join(f"{a.letter}: {a.name}, {a.values}" for a in acting)
        made.append({"file": "setup.png", "kind": "setup", "title": language.say("setup"), "note": "", "alt": alt})
    if answer.views:
        fields = Fields(inputs / "fields.vtu")
        for number, view in enumerate(answer.views, start=1):
            name = f"{number}-{slug(view.name)}.png"
            sheet, note, alt = field(fields, view, answer, language)
            sheet.save(target / name)
            title = language.of(view.title, view.name)
            made.append({"file": name, "kind": "field", "title": title, "note": note, "alt": f"{title}. {alt}"})
    return made


def read(file: Path) -> dict[str, Any]:
    """A JSON object, empty where the file is not there."""
    return dict(json.loads(file.read_bytes())) if file.is_file() else {}


# --- a field ------------------------------------------------------------------------------------------------------


def field(fields: Fields, view: View, answer: Answer, language: Language) -> tuple[Sheet, str, str]:
    """The picture of one view of the answer, a note on how it is drawn, and what it shows in words."""
    for name in filter(None, (view.field, view.warp)):
        if name not in fields.surface:
            raise ValueError(f"fields.vtu has no point field {name!r}; it has {', '.join(sorted(fields.surface))}")
    values, everywhere = (
        scalar(fields.surface[view.field], view.component),
        scalar(fields.everywhere[view.field], view.component),
    )
    size = float(np.linalg.norm(np.ptp(fields.points, axis=0)))
    points, nodes, factor = fields.points, fields.nodes, 0.0
    if view.warp:
        moved = fields.everywhere[view.warp]
        factor = magnification(float(np.linalg.norm(moved, axis=1).max()), size)
        points, nodes = points + factor * fields.surface[view.warp], nodes + factor * moved
    low, high = float(np.nanmin(everywhere)), float(np.nanmax(everywhere))
    quantity = answer.quantities.get(view.mark) if view.mark else None
    # where the lowest value is what matters, as with a safety factor, it gets the bright end of the colours
    lowest = quantity is not None and abs(quantity.value - low) < abs(quantity.value - high)
    top = TIMES_LOWEST * low if lowest and low > 0 else float(np.nanquantile(values, 0.998))
    cut = top > low and high - low > PEAK * (top - low)
    top = top if cut else high
    colours = colour_table()[::-1] if lowest else colour_table()
    places = {"max": nodes[int(np.nanargmax(everywhere))], "min": nodes[int(np.nanargmin(everywhere))]}
    if quantity is not None and quantity.at is not None:
        places["mark"] = nodes[int(((fields.nodes - np.array(quantity.at)) ** 2).sum(axis=1).argmin())]
    if view.warp not in fields.shares:
        fields.shares[view.warp] = shares(points, fields.triangles)
    targets = [places[key] for key in ("mark", "min" if lowest else "max") if key in places]
    look = best_view(points, fields.triangles, targets, fields.shares[view.warp])
    stage = Scene()
    if view.warp:
        stage.lines(fields.points, fields.edges, colour=(150, 156, 164), width=1.2)
    stage.surface(points, fields.triangles, values=values, table=(colours, low, top), gentle=True)
    stage.lines(points, fields.edges, width=1.2, opacity=0.75)
    sheet = Sheet(*PANEL)
    sheet.paste(stage.draw(look))
    scale, offset, sign = language.scale(max(abs(low), abs(high)), view.unit)
    show = lambda v: language.number((v - offset) / scale, digits=3)  # noqa: E731
    texts = {
        "max": f"{language.say('max')} {show(high)} {sign}".strip(),
        "min": f"{language.say('min')} {show(low)} {sign}".strip(),
    }
    if "mark" in places and quantity is not None:
        texts["mark"] = language.quantity(quantity.value, quantity.unit, quantity.error)
        for key in ("max", "min"):  # the marked place says it already
            if np.linalg.norm(places["mark"] - places[key]) < 0.01 * size:
                del places[key]
    if lowest or (cut and "mark" in places):
        places.pop("max", None)  # a value beyond the scale, or of no interest
    for key in [k for k in ("mark", "max", "min") if k in places]:
        if hidden(points, fields.triangles, look, places[key]):
            texts[key] += f" ({language.say('behind')})"
    _call_out(sheet, {key: (look.pixels(place)[0], texts[key]) for key, place in places.items()})
    note = ""
    if view.warp:
        note = language.say("exaggerated", language.number(factor)) if factor > 1 else language.say("true_shape")
    if cut:
        note = "; ".join(filter(None, [note, language.say("higher", f"{show(top)} {sign}".strip())]))
    said = language.say("alt_field", language.of(view.title, view.name), f"{show(low)} {sign}", f"{show(high)} {sign}")
    sheet = beside([narrowed(sheet, 820), _scale(low, top, cut, colours, (scale, offset, sign), language)])
    return _with_line(sheet, note), note, said


def _with_line(sheet: Sheet, text: str) -> Sheet:
    """A sheet with a line of small print under it."""
    if not text:
        return sheet
    longer = Sheet(sheet.image.width, sheet.image.height + 44)
    longer.image.paste(sheet.image, (0, 0))
    longer.text((24, sheet.image.height + 16), text, 24, anchor="lm", colour=FAINT)
    return longer


def _call_out(sheet: Sheet, places: Mapping[str, tuple[Floats, str]]) -> None:
    """Dots at the places, and their texts above or below the part with a leader."""
    taken: list[tuple[float, float, float, float]] = []
    for key in sorted(places, key=["mark", "max", "min"].index):
        (x, y, _), text = places[key]
        left, top, right, bottom = tag_box((0.0, 0.0), text, 26)
        width, height = right - left, bottom - top
        spots = [(x + dx, y + dy) for reach in (70, 110, 160, 220, 300)
                 for dx, dy in ((reach, -reach), (-reach, -reach), (reach, reach), (-reach, reach))]  # fmt: skip
        for spot in spots:
            at = (
                min(max(spot[0], width / 2 + 12), PANEL[0] - width / 2 - 4),
                min(max(spot[1], height), PANEL[1] - height - 50),
            )
            box = (at[0] - width / 2 - 8, at[1] - height / 2 - 8, at[0] + width / 2 + 8, at[1] + height / 2 + 8)
            if all(box[0] > o[2] or box[2] < o[0] or box[1] > o[3] or box[3] < o[1] for o in taken) and not (
                box[0] < x < box[2] and box[1] < y < box[3]
            ):
                break
        taken += [box, (x - 14, y - 14, x + 14, y + 14)]
        sheet.line((x, y), at, width=2, halo=2)
        sheet.dot((x, y), 7 if key == "mark" else 6)
        sheet.tag(at, text, 26)


def _scale(
    low: float,
    top: float,
    cut: bool,
    colours: npt.NDArray[np.uint8],
    unit: tuple[float, float, str],
    language: Language,
) -> Sheet:
    """The colours from `low` to `top` (SI), with round numbers of the unit; an arrow where values go on above."""
    scale, offset, sign = unit
    sheet = Sheet(SCALE_WIDTH, PANEL[1])
    left, right, above, below = 20, 64, 170, PANEL[1] - 150
    table = colours[::-1]
    rows = np.linspace(0, 255, below - above).round().astype(int)
    sheet.paste(np.repeat(table[rows][:, None], right - left, axis=1), (left, above))
    sheet.pen.rectangle((left, above, right, below), outline=INK, width=2)
    sheet.text((left, above - 52), sign or "–", 30, anchor="lm", bold=True)
    first, last = (low - offset) / scale, (top - offset) / scale
    for value in ticks(first, last):
        y = below - (below - above) * ((value - first) / (last - first) if last > first else 0.5)
        sheet.line((right, y), (right + 10, y), width=2)
        sheet.text((right + 20, y), language.number(value), 28, anchor="lm")
    if cut:
        sheet.pen.polygon(
            [(left, above), (right, above), ((left + right) / 2, above - 26)], fill=tuple(table[0]), outline=INK
        )
    return sheet


def ticks(first: float, last: float, wanted: int = 8) -> list[float]:
    """Round numbers between `first` and `last`."""
    if not last > first:
        return [first]
    rough = (last - first) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * (1 - 1e-9))
    start = math.ceil(first / step - 1e-9)
    return [
        round(k * step, 12 - math.floor(math.log10(step))) for k in range(start, math.floor(last / step + 1e-9) + 1)
    ]


# --- the set-up ---------------------------------------------------------------------------------------------------


def setup(
    surface: Mapping[str, Any], acting: list[account.Acting], verdict: Mapping[str, Any], language: Language
) -> Sheet:
    """The part with the faces of each condition in its colour, arrows for loads, and a legend."""
    points, triangles = np.asarray(surface["points"], float), np.asarray(surface["triangles"], np.int64)
    face, edges = np.asarray(surface["face"], np.int64), np.asarray(surface["edges"], np.int64).reshape(-1, 2)
    colour_of = {a.letter: CONDITION_COLOURS[i % len(CONDITION_COLOURS)] for i, a in enumerate(acting)}
    letters: dict[int, list[str]] = {}
    for a in acting:
        for i in a.faces:
            letters.setdefault(i, []).append(a.letter)
    rgb = np.full((len(triangles), 3), (214, 218, 223), np.uint8)
    for i, marks in letters.items():
        rgb[face == i] = colour_of[marks[0]]
    look = _setup_view(points, triangles, face, acting)
    stage = Scene()
    stage.surface(points, triangles, cell_colours=rgb)
    stage.lines(points, edges, width=1.4)
    panel = Sheet(*PANEL)
    panel.paste(stage.draw(look))
    size = float(np.linalg.norm(np.ptp(points, axis=0)))
    known = {f["index"]: f for f in verdict.get("faces", ())}
    for a in acting:
        _arrows(panel, look, a, known, points, size, colour_of[a.letter])
    texts = {i: " ".join(marks) for i, marks in letters.items()}
    for a in acting:
        for i in a.faces[6:]:
            texts.pop(i, None)
    number_faces(panel, scene.seen(points, triangles, face, [look])[0], texts)
    return beside([narrowed(panel, 700), _legend(acting, colour_of)])


def _legend(acting: list[account.Acting], colour_of: Mapping[str, tuple[int, int, int]]) -> Sheet:
    sheet = Sheet(620, PANEL[1])
    y = PANEL[1] / 2 - 48 * (min(len(acting), 12) - 1) - 10
    for a in acting[:12]:
        sheet.pen.rounded_rectangle((10, y - 24, 62, y + 24), radius=6, fill=colour_of[a.letter])
        sheet.tag((36, y), a.letter, 24)
        for k, line in enumerate(filter(None, [a.name, a.values])):
            sheet.text((80, y + 36 * k), _shortened(sheet, line, 530), 28 if k == 0 else 26, anchor="lm",
                       bold=k == 0, colour=INK if k == 0 else FAINT)  # fmt: skip
        y += 96
    return sheet


def _setup_view(points: Floats, triangles: Ints, face: Ints, acting: list[account.Acting]) -> scene.View:
    views = [scene.View.fit(points, towards, (PANEL[0] // 2, PANEL[1] // 2), (0, 0)) for towards in DIRECTIONS[:8]]
    scores = []
    for rank, seen in enumerate(scene.seen(points, triangles, face, views)):
        ids, counts = np.unique(seen, return_counts=True)
        pixels = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        score = (0.1 if rank < 4 else 0.0) + 0.02 * len(ids)
        for a in acting:
            if a.faces:
                score += min(1.0, sum(pixels.get(i, 0) for i in a.faces) / 300)
                score += 0.5 * sum(pixels.get(i, 0) > 10 for i in a.faces) / len(a.faces)
        scores.append(score)
    return scene.View.fit(points, DIRECTIONS[int(np.argmax(scores))], PANEL, (110, 80))


def _arrows(
    sheet: Sheet, look: scene.View, a: account.Acting, known: Mapping[int, Any], points: Floats, size: float,
    colour: tuple[int, int, int],
) -> None:  # fmt: skip
    """Arrows of one load: one at the middle of its faces, or for a pressure one against each plane face."""
    faces = [known[i] for i in a.faces if i in known]
    pairs: list[tuple[Floats, Floats]] = []
    if a.vector is not None and any(a.vector):
        towards = np.array(a.vector) / np.linalg.norm(a.vector)
        if faces:
            weights = np.array([f["area"] for f in faces])
            middle = (np.array([f["centroid"] for f in faces]) * weights[:, None]).sum(axis=0) / weights.sum()
            normal = np.array(faces[0].get("normal") or (0.0, 0.0, 0.0))
            start = middle - 0.22 * size * towards if float(normal @ towards) < -0.3 else middle
        else:
            start = (points.min(axis=0) + points.max(axis=0)) / 2
        pairs.append((start, start + 0.22 * size * towards))
    elif a.pushes:
        for f in faces[:6]:
            if f.get("normal"):
                middle, normal = np.array(f["centroid"]), np.array(f["normal"])
                pairs.append((middle + 0.16 * size * normal, middle))
    for start, end in pairs:
        one, two = look.pixels(np.stack([start, end]))[:, :2]
        sheet.arrow(tuple(one), tuple(two), colour)


def _shortened(sheet: Sheet, text: str, width: float) -> str:
    if sheet.text_size(text, 28, True)[0] <= width:
        return text
    while text and sheet.text_size(text + "…", 28, True)[0] > width:
        text = text[:-1]
    return text + "…"
