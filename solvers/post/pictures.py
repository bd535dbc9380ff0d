"""The pictures of a report: the set-up, and each view of the answer's fields."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hub.case import slug
from hub.result import Answer, Quantity, View
from solvers.post import account, cuts, fields, grains, moving, packed, plots, poses, scene
from solvers.post.faces import DIRECTIONS, number_faces
from solvers.post.fields import Fields, areas, colour_table, scalar
from solvers.post.ink import FAINT, INK, Sheet, beside, narrowed
from solvers.post.labels import MARGIN, PANEL, call_out, colour_scale, with_line
from solvers.post.scene import Floats, Ints, Scene
from solvers.post.words import Language

#: A deformed part is drawn so that its largest displacement is this share of its size.
SHOWN = 0.07
#: Where the highest two thousandths of the surface lie beyond this many times the rest, the colours end before them.
PEAK = 1.6
#: ... and where the lowest value matters, at so many times it.
TIMES_LOWEST = 6.0

#: Paul Tol's "bright" (SRON/EPS/TN/09-002), for conditions.
CONDITION_COLOURS = grains.KINDS


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

    Returns for each picture: file, kind (``setup``, ``field`` or ``plot``), title, note, alt.
    Raises OSError, ValueError, KeyError.
    """
    inputs, target = attempt / "in", attempt / "out" / "pictures"
    case, verdict, mesh, solver = (read(inputs / f"{n}.json") for n in ("case", "verdict", "mesh", "solver"))
    answer = Answer.model_validate_json((inputs / "answer.json").read_bytes())
    language = Language(case.get("language", "en"))
    made = []
    acting = account.conditions(case, solver, mesh, verdict, language)
    surface = None
    if (inputs / "surface.npz").is_file():
        with np.load(inputs / "surface.npz", allow_pickle=False) as data:
            surface = {name: data[name] for name in ("points", "triangles", "face", "edges")}
    if surface and acting:
        setup(surface, acting, verdict, language).save(target / "setup.png")
        alt = "; ".join(f"{a.letter}: {a.name}, {a.values}" for a in acting)
        made.append({"file": "setup.png", "kind": "setup", "title": language.say("setup"), "note": "", "alt": alt})
    still: Fields | None = None
    for number, view in enumerate(answer.views, start=1):
        name = f"{number}-{slug(view.name)}.png"
        if view.kind.startswith("moving"):
            film = moving.Film(inputs / "moving.vtkhdf", view, surface, language)
            film.save(target / Path(name).with_suffix(".webp").name)
            sheet, note, alt = film.strip()
        elif view.kind == "grains":
            at_last = poses.ended(inputs / "moving.vtkhdf", surface)
            sheet, note, alt = grains.picture(grains.read(inputs / "fields.vtu"), view, at_last, language)
        else:
            still = still or fields.read(inputs / "fields.vtu")
            draws = {"section": cuts.section, "streamlines": cuts.streamlines}
            if view.kind in draws:
                sheet, note, alt = draws[view.kind](still, view, language)
            elif still.flat:
                sheet, note, alt = cuts.section(still, view, language)
            else:
                sheet, note, alt = field(still, view, answer.quantities, language)
        sheet.save(target / name)
        title = language.of(view.title, view.name)
        made.append({"file": name, "kind": "field", "title": title, "note": note, "alt": f"{title}. {alt}"})
    if answer.views:
        shown = still if any(not v.kind.endswith("grains") for v in answer.views) else None
        packed.write(attempt / "out" / "view3d.bin", answer, shown, inputs / "moving.vtkhdf", language)
    for curve in answer.curves:
        name = f"plot-{slug(curve.name)}.png"
        title = language.of(curve.title, curve.name)
        alt = plots.draw(curve, language, target / name)
        made.append({"file": name, "kind": "plot", "title": title, "note": "", "alt": f"{title}. {alt}"})
    return made


def read(file: Path) -> dict[str, Any]:
    """A JSON object, empty where the file is not there."""
    return dict(json.loads(file.read_bytes())) if file.is_file() else {}


# --- a field ------------------------------------------------------------------------------------------------------


def field(fields: Fields, view: View, quantities: Mapping[str, Quantity], language: Language) -> tuple[Sheet, str, str]:
    """The picture of one view of an answer, a note on how it is drawn, and what it shows in words."""
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
    quantity = quantities.get(view.mark) if view.mark else None
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
    zero = cuts.ROUNDING * max(abs(low), abs(high))
    show = lambda v: language.number(((v if abs(v) > zero else 0.0) - offset) / scale, digits=3)  # noqa: E731
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
    call_out(sheet, {key: (look.pixels(place)[0], texts[key]) for key, place in places.items()})
    note = ""
    if view.warp:
        note = language.say("exaggerated", language.number(factor)) if factor > 1 else language.say("true_shape")
    if cut:
        note = "; ".join(filter(None, [note, language.say("higher", f"{show(top)} {sign}".strip())]))
    said = language.say("alt_field", language.of(view.title, view.name), f"{show(low)} {sign}", f"{show(high)} {sign}")
    sheet = beside([narrowed(sheet, 820), colour_scale(low, top, cut, colours, (scale, offset, sign), language)])
    return with_line(sheet, note), note, said


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
