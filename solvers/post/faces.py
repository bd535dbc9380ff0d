"""The part with every face in its own colour and numbered."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from solvers.post.ink import Sheet, beside, spread, tag_box
from solvers.post.scene import Floats, Ints, Scene, View, seen
from solvers.post.words import Language

#: At most so many faces are numbered, the largest; more could not be read.
MOST = 60
#: A face is numbered where at least so many pixels of it are seen.
ENOUGH = 40
#: ... and at least so much of its area, in projection.
EDGEWISE = 0.02
PANEL = (900, 820)
MARGIN = (96, 92)
SIZE = 22

#: Paul Tol's qualitative colours "light", then his "bright" ones made lighter, safe for colour-blind readers
#: (SRON/EPS/TN/09-002).
PALETTE = ("77AADD", "EE8866", "EEDD88", "FFAABB", "99DDFF", "44BB99", "BBCC33", "DDDDDD", "AAAA00",
           "7C9FC4", "F398A3", "6FB37A", "DDD282", "94DCF3", "C577A3")  # fmt: skip

#: Where one may look from: corners first (the usual views of a drawing), then straight on.
CORNERS = [(-1.0, -1.25, 0.9), (1.0, -1.25, 0.9), (1.0, 1.25, 0.9), (-1.0, 1.25, 0.9)]
DIRECTIONS = [*CORNERS, *((x, y, -z) for x, y, z in CORNERS),
              *((float(x), float(y), float(z)) for x, y, z in itertools.product((-1, 0, 1), repeat=3)
                if abs(x) + abs(y) + abs(z) == 1)]  # fmt: skip


def palette(count: int) -> npt.NDArray[np.uint8]:
    """`count` colours (count, 3): the palette, then the same lighter and darker by turns."""
    base = np.array([[int(name[i : i + 2], 16) for i in (0, 2, 4)] for name in PALETTE], float)
    rounds = [base, base * 0.5 + 255 * 0.5, base * 0.8, base * 0.75 + 255 * 0.25]
    return np.concatenate(rounds * (count // (4 * len(base)) + 1))[:count].astype(np.uint8)


def colours(faces: list[dict[str, Any]]) -> npt.NDArray[np.uint8]:
    """A colour for each face (n, 3), each as unlike its neighbours' as the palette allows."""
    free = palette(max(len(faces), len(PALETTE))).astype(float)
    chosen = np.full((len(faces), 3), np.nan)
    unused = np.ones(len(free), bool)
    position = {face["index"]: i for i, face in enumerate(faces)}
    for i in sorted(range(len(faces)), key=lambda i: -faces[i].get("area", 0)):
        around = [position[n] for n in faces[i].get("neighbours", ()) if n in position]
        taken = chosen[[n for n in around if not np.isnan(chosen[n, 0])]]
        first = np.flatnonzero(unused)[: len(PALETTE)]
        if len(taken):
            distance = np.abs(free[first, None] - taken[None]).sum(axis=2).min(axis=1)
            best = first[int(np.argmax(distance))]
        else:
            best = first[0]
        chosen[i] = free[best]
        unused[best] = False
    return chosen.astype(np.uint8)


def draw(surface: Path, verdict: Path, target: Path) -> None:
    """Write the picture of numbered faces. Its PNG text ``colours`` is the legend: a JSON list, ``#rrggbb`` by face.

    surface : ``surface.npz``; verdict : JSON of hub.intake.GeometryVerdict. Raises OSError, ValueError, KeyError.
    """
    with np.load(surface, allow_pickle=False) as data:
        points, triangles, face = data["points"], data["triangles"].astype(np.int64), data["face"].astype(np.int64)
        edges = data["edges"].astype(np.int64).reshape(-1, 2)
    faces = json.loads(verdict.read_bytes())["faces"]
    legend = ["#" + bytes(colour).hex() for colour in colours(faces)]
    sheet = picture(points, triangles, face, edges, faces, Language.of_case(surface.parent))
    sheet.save(target, colours=json.dumps(legend))


def picture(
    points: Floats, triangles: Ints, face: Ints, edges: Ints, faces: list[dict[str, Any]], language: Language
) -> Sheet:
    """The numbered part in as many views (two to four) as it takes to show every face."""
    numbered = sorted(faces, key=lambda f: -f["area"])[:MOST]
    views, shown = _views(points, triangles, face, {f["index"]: f["area"] for f in numbered})
    of = {f["index"]: c for f, c in zip(faces, colours(faces), strict=True)}
    grey = np.array([205, 210, 216], np.uint8)
    rgb = np.stack([of.get(int(i), grey) for i in face])
    ids = seen(points, triangles, face, views)
    scene = Scene()
    scene.surface(points, triangles, cell_colours=rgb)
    scene.lines(points, edges, width=1.6)
    panels = []
    for n, view in enumerate(views):
        panel = Sheet(*PANEL)
        panel.paste(scene.draw(view))
        if n == 0:
            low, high = points.min(axis=0), points.max(axis=0)
            panel.dimensions(view, low, high, tuple(language.length(d) for d in high - low))
        texts = {i: str(i + 1) for i, best in shown.items() if n in best}
        number_faces(panel, ids[n], texts)
        panels.append(panel)
    rows = [beside(panels[n : n + 2]) for n in range(0, len(panels), 2)]
    sheet = Sheet(2 * PANEL[0], sum(row.image.height for row in rows) + 60)
    y = 0
    for row in rows:
        sheet.image.paste(row.image, (0, y))
        y += row.image.height
    low, high = points.min(axis=0), points.max(axis=0)
    said = [language.box(high - low)]
    if len(faces) > MOST:
        said.append(language.say("some_faces", MOST, len(faces)))
    hidden = sorted(f["index"] + 1 for f in numbered if f["index"] not in shown)
    if hidden:
        numbers = ", ".join(map(str, hidden[:20])) + (" …" if len(hidden) > 20 else "")
        said.append(language.say("hidden_faces", numbers))
    sheet.text((sheet.image.width / 2, sheet.image.height - 30), "     ·     ".join(said), 26)
    return sheet


def _views(
    points: Floats, triangles: Ints, face: Ints, wanted: dict[int, float]
) -> tuple[list[View], dict[int, list[int]]]:
    """Views that together show all `wanted` faces where possible, and for each face the views to number it in.

    wanted : index of a face -> its area [m2]
    """
    half = (PANEL[0] // 2, PANEL[1] // 2), (MARGIN[0] // 2, MARGIN[1] // 2)
    views = [View.fit(points, towards, *half) for towards in DIRECTIONS]
    counts = []
    for view, ids in zip(views, seen(points, triangles, face, views), strict=True):
        numbers, pixels = np.unique(ids, return_counts=True)
        size = dict(zip(numbers.tolist(), (4 * pixels).tolist(), strict=True))
        # a face seen nearly from its edge is not seen: a number on that sliver would tell nobody which face it is
        least = {i: max(ENOUGH, 4 * EDGEWISE * area / view.scale**2) for i, area in wanted.items()}
        counts.append({i: n for i, n in size.items() if i in wanted and n >= least[i]})
    chosen: list[int] = []
    covered: set[int] = set()
    while len(chosen) < 4:
        # besides what is new, a little for what is seen again: it decides the last picture of an even number
        gains = [
            -1.0
            if k in chosen
            else sum((1 if i not in covered else 1e-6) * min(n, 20 * ENOUGH) for i, n in count.items())
            for k, count in enumerate(counts)
        ]
        best = int(np.argmax(gains))
        if len(chosen) == 2 and gains[best] < 1:
            break
        chosen.append(best)
        covered |= set(counts[best])
    shown: dict[int, list[int]] = {}
    for i in covered:
        pixels_in = [counts[k].get(i, 0) for k in chosen]
        best_one = int(np.argmax(pixels_in))
        # a large face is numbered wherever it is seen well, a small one where it is seen best
        shown[i] = [n for n, p in enumerate(pixels_in) if n == best_one or p > 60 * ENOUGH]
    # the first picture has the dimensions of the box around the part, so the box must fit
    box = np.array(list(itertools.product(*zip(points.min(axis=0), points.max(axis=0), strict=True))))
    fitted = [View.fit(points if n else box, DIRECTIONS[k], PANEL, MARGIN) for n, k in enumerate(chosen)]
    return fitted, shown


def innermost(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    """(row, column, depth) of the pixel of a mask that is farthest from its edge, by wearing the mask away."""
    rows, columns = np.nonzero(mask)
    left, top = columns.min(), rows.min()
    rest = np.pad(mask[top : rows.max() + 1, left : columns.max() + 1], 1)
    depth = 1
    while True:
        worn = rest.copy()
        worn[1:-1, 1:-1] &= rest[:-2, 1:-1] & rest[2:, 1:-1] & rest[1:-1, :-2] & rest[1:-1, 2:]
        if depth % 2:  # by turns with and without the diagonals: what is worn away is an octagon, nearly a circle
            worn[1:-1, 1:-1] &= rest[:-2, :-2] & rest[2:, 2:] & rest[2:, :-2] & rest[:-2, 2:]
        if not worn.any():
            break
        rest, depth = worn, depth + 1
    rows, columns = np.nonzero(rest)
    nearest = int(((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).argmin())
    return int(rows[nearest] + top - 1), int(columns[nearest] + left - 1), depth


def number_faces(sheet: Sheet, ids: Ints, texts: dict[int, str]) -> None:
    """Put a text on each face that is seen, or beside the part with a leader where the face is too small.

    ids : (height, width) index of the face each pixel shows; texts : index of a face -> what to write
    """
    inside: list[tuple[tuple[float, float], str]] = []
    outside: list[tuple[float, float, str]] = []
    for i, text in sorted(texts.items()):
        mask = ids == i
        if not mask.any():
            continue
        row, column, depth = innermost(mask)
        at = (float(column), float(row))
        left, _, right, _ = tag_box(at, text, SIZE)
        if depth >= 0.4 * (right - left) + 2:
            inside.append((at, text))
        else:
            outside.append((*at, text))
    middle = float(np.median(np.nonzero((ids >= 0).any(axis=0))[0]))
    for side in (0, 1):
        these = sorted((t for t in outside if (t[0] > middle) == bool(side)), key=lambda t: t[1])
        rows = spread([t[1] for t in these], 38.0, 30.0, sheet.image.height - 40.0)
        column = sheet.image.width - 34.0 if side else 34.0
        for (x, y, _), row in zip(these, rows, strict=True):
            bend = column - 40 if side else column + 40
            sheet.line((x, y), (bend, row), (column, row), width=2, halo=1)
            sheet.dot((x, y), 5)
        inside += [((column, row), text) for (_, _, text), row in zip(these, rows, strict=True)]
    for at, text in inside:  # after all leaders, so that none runs over a number
        sheet.tag(at, text, SIZE)
