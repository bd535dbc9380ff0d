"""What is written on a picture: numbers, leaders, dimensions, scales. Sizes in pixels."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from solvers.post.scene import EDGE, PAPER, Floats, View

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

INK: Colour = (24, 29, 36)
FAINT: Colour = (112, 120, 130)


@cache
def font_folder() -> Path | None:
    """Where DejaVu Sans is: it comes with matplotlib, on every machine."""
    spec = importlib.util.find_spec("matplotlib")
    for place in spec.submodule_search_locations or () if spec else ():
        folder = Path(place) / "mpl-data" / "fonts" / "ttf"
        if (folder / "DejaVuSans.ttf").is_file():
            return folder
    return None


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A sans-serif of this height."""
    folder = font_folder()
    if folder is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)


class Sheet:
    """A picture to write on."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self.pen = ImageDraw.Draw(self.image)

    def paste(self, pixels: npt.NDArray[np.uint8], at: tuple[int, int] = (0, 0)) -> None:
        self.image.paste(Image.fromarray(pixels), at)

    def save(self, target: Path, **said: str) -> None:
        """Write it as PNG; what is `said` goes with it as text chunks that programs can read."""
        target.parent.mkdir(parents=True, exist_ok=True)
        info = PngInfo()
        for name, text in said.items():
            info.add_text(name, text)
        self.image.save(target, "PNG", compress_level=4, pnginfo=info)

    def text_size(self, text: str, size: int, bold: bool = False) -> tuple[float, float]:
        left, top, right, bottom = self.pen.textbbox((0, 0), text, font=font(size, bold), anchor="ls")
        return right - left, bottom - top

    def text(
        self, at: tuple[float, float], text: str, size: int = 26, *, colour: Colour = INK, anchor: str = "mm",
        bold: bool = False, halo: int = 0,
    ) -> None:  # fmt: skip
        """One line of text; `anchor` as in Pillow (horizontal l m r, vertical a m s d); `halo` of paper around it."""
        self.pen.text(at, text, fill=colour, font=font(size, bold), anchor=anchor, stroke_width=halo, stroke_fill=PAPER)

    def line(self, *points: tuple[float, float], colour: Colour = INK, width: int = 2, halo: int = 0) -> None:
        flat = [(float(x), float(y)) for x, y in points]
        if halo:
            self.pen.line(flat, fill=PAPER, width=width + 2 * halo, joint="curve")
        self.pen.line(flat, fill=colour, width=width, joint="curve")

    def dot(self, at: tuple[float, float], radius: float = 4, colour: Colour = INK) -> None:
        x, y = at
        self.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline=PAPER, width=1)

    def arrow(self, start: tuple[float, float], end: tuple[float, float], colour: Colour, width: float = 14) -> None:
        """A thick arrow with a dark outline."""
        tail, tip = np.array(start), np.array(end)
        length = float(np.hypot(*(tip - tail)))
        if length < 1:
            return
        along = (tip - tail) / length
        across = np.array([-along[1], along[0]])
        neck = tip - along * min(2.6 * width, 0.6 * length)
        shape = [tail + across * width / 2, neck + across * width / 2, neck + across * width * 1.25, tip,
                 neck - across * width * 1.25, neck - across * width / 2, tail - across * width / 2]  # fmt: skip
        corners = [(float(x), float(y)) for x, y in shape]
        self.pen.line([*corners, corners[0], corners[1]], fill=PAPER, width=8, joint="curve")
        self.pen.polygon(corners, fill=colour)
        self.pen.line([*corners, corners[0], corners[1]], fill=INK, width=2, joint="curve")

    def tag(self, at: tuple[float, float], text: str, size: int = 24) -> Box:
        """Text in a white box with a thin frame, its middle at `at`. Returns the box."""
        box = tag_box(at, text, size)
        self.pen.rounded_rectangle(box, radius=6, fill=PAPER, outline=EDGE, width=2)
        self.text(at, text, size, bold=True)
        return box

    def dimensions(self, view: View, low: Floats, high: Floats, texts: tuple[str, str, str], offset: int = 34) -> None:
        """The three lengths of the box low..high [m] beside the part, each along its axis."""
        centre = view.pixels((low + high) / 2)[0, :2]
        for axis, text in enumerate(texts):
            best = None
            others = [k for k in range(3) if k != axis]
            for corner in range(4):
                start = low.copy()
                for bit, k in enumerate(others):
                    start[k] = (high if corner >> bit & 1 else low)[k]
                end = start.copy()
                end[axis] = high[axis]
                ends = view.pixels(np.stack([start, end]))[:, :2]
                run = ends[1] - ends[0]
                length = float(np.hypot(*run))
                if length < 90:  # no room for the text; the footer has it
                    continue
                normal = np.array([-run[1], run[0]]) / length
                away = float((ends.mean(axis=0) - centre) @ normal)
                if away < 0:
                    normal, away = -normal, -away
                # below and to the right reads best where the box allows a choice
                score = away + 0.2 * float(normal @ np.array([0.4, 1.0])) * length
                if best is None or score > best[0]:
                    best = (score, ends, normal)
            if best is None:
                continue
            _, ends, normal = best
            one, two = (tuple(e + normal * offset) for e in ends)
            for end in ends:
                self.line(tuple(end + normal * 8), tuple(end + normal * (offset + 8)), colour=FAINT, width=1)
            self.line(one, two, colour=FAINT, width=2)
            for end in (one, two):
                self.dot(end, 4, FAINT)
            middle = (np.array(one) + np.array(two)) / 2
            width, height = self.text_size(text, 24)
            box = (middle[0] - width / 2 - 6, middle[1] - height / 2 - 5, middle[0] + width / 2 + 6,
                   middle[1] + height / 2 + 5)  # fmt: skip
            self.pen.rectangle(box, fill=PAPER)
            self.text(tuple(middle), text, 24, colour=INK)


def written(sheet: Sheet) -> Box:
    """The smallest box that holds everything that is not paper."""
    box = ImageChops.difference(sheet.image, Image.new("RGB", sheet.image.size, PAPER)).getbbox()
    return box or (0, 0, *sheet.image.size)


def beside(sheets: list[Sheet], space: int = 24) -> Sheet:
    """Sheets of one height beside each other, without the empty rows that all have at the top and the bottom."""
    boxes = [written(sheet) for sheet in sheets]
    height = sheets[0].image.height
    top = max(0, int(min(box[1] for box in boxes)) - space)
    bottom = min(height, int(max(box[3] for box in boxes)) + space)
    joined = Sheet(sum(sheet.image.width for sheet in sheets), bottom - top)
    x = 0
    for sheet in sheets:
        joined.image.paste(sheet.image.crop((0, top, sheet.image.width, bottom)), (x, 0))
        x += sheet.image.width
    return joined


def narrowed(sheet: Sheet, least: int, space: int = 24) -> Sheet:
    """A sheet without its empty columns at the left and the right, at least `least` wide."""
    left, _, right, _ = written(sheet)
    missing = max(0.0, least - (right - left + 2 * space)) / 2
    left, right = int(left - space - missing), int(right + space + missing)
    narrow = Sheet(right - left, sheet.image.height)
    narrow.image.paste(sheet.image, (-left, 0))
    return narrow


def tag_box(at: tuple[float, float], text: str, size: int) -> Box:
    """The frame of a tag: left, top, right, bottom."""
    left, top, right, bottom = font(size, True).getbbox(text, anchor="mm")
    half = max((right - left) / 2 + 7, (bottom - top) / 2 + 7)
    return at[0] - half, at[1] - (bottom - top) / 2 - 7, at[0] + half, at[1] + (bottom - top) / 2 + 7


def spread(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Positions in the order of `wanted` (ascending), at least `gap` apart where low..high has room for that."""
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    placed: list[float] = []
    for value in wanted:
        placed.append(max(value, placed[-1] + gap) if placed else max(value, low))
    for i in range(len(placed) - 1, -1, -1):
        limit = high if i == len(placed) - 1 else placed[i + 1] - gap
        placed[i] = min(placed[i], limit)
    return placed
