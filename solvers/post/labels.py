"""What stands beside a picture of a field: call-outs, the scale of its colours, small print."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from solvers.post.ink import FAINT, INK, Sheet, tag_box
from solvers.post.scene import Floats
from solvers.post.words import Language

PANEL = (1280, 980)
#: Room around the part for the texts that stand beside it [px].
MARGIN = (70, 64)
SCALE_WIDTH = 300


def with_line(sheet: Sheet, text: str) -> Sheet:
    """A sheet with a line of small print under it."""
    if not text:
        return sheet
    longer = Sheet(sheet.image.width, sheet.image.height + 44)
    longer.image.paste(sheet.image, (0, 0))
    longer.text((24, sheet.image.height + 16), text, 24, anchor="lm", colour=FAINT)
    return longer


def call_out(sheet: Sheet, places: Mapping[str, tuple[Floats, str]]) -> None:
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


def colour_scale(
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
