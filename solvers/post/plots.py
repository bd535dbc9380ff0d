"""The plots of an answer: histories, profiles, distributions, each line with its error bars."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hub.result import Curve
from solvers.post.words import Language

#: Okabe and Ito's colours, told apart by colour-blind readers; lines differ in their dashes as well.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D", "v", "x")


def draw(curve: Curve, language: Language, target: Path) -> str:
    """One plot as PNG; returns what it shows in words. Raises OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 4.9), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    x_unit = _unit(curve.x_unit, [v for line in curve.lines for v in line.x], language)
    y_unit = _unit(curve.y_unit, [v for line in curve.lines for v in line.y], language)
    for i, line in enumerate(curve.lines):
        x, y = ((np.array(values) - unit[1]) / unit[0] for values, unit in ((line.x, x_unit), (line.y, y_unit)))
        bars = None if line.error is None else np.array(line.error) / y_unit[0]
        look = {"color": COLOURS[i % len(COLOURS)], "label": language.of(line.name, f"{i + 1}")}
        if line.points:
            axes.errorbar(x, y, bars, fmt=MARKS[i % len(MARKS)], markersize=5, capsize=3, **look)
            continue
        axes.plot(x, y, linestyle=DASHES[i // len(COLOURS) % len(DASHES)], linewidth=1.6, **look)
        if bars is not None:
            axes.fill_between(x, y - bars, y + bars, color=look["color"], alpha=0.18, linewidth=0)
    for axis, log in ((axes.xaxis, curve.log[0]), (axes.yaxis, curve.log[1])):
        if log:
            axis._set_axes_scale("log")
        else:
            axis.set_major_formatter(lambda value, _place: language.number(value))
    axes.set_xlabel(_label(language.of(curve.x), x_unit[2]))
    axes.set_ylabel(_label(language.of(curve.y), y_unit[2]))
    axes.grid(True, color="#dfe3e8", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if len(curve.lines) > 1:
        axes.legend(frameon=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Software": None})
    return language.say("alt_plot", language.of(curve.y), language.of(curve.x), len(curve.lines))


def draw_all(result: Path, code: str, folder: Path) -> None:
    """Every curve of a ``result.json`` as ``folder/<name>.png``. Raises OSError, ValueError."""
    language = Language(code)
    for curve in json.loads(result.read_bytes()).get("curves", ()):
        found = Curve.model_validate(curve)
        draw(found, language, folder / f"{found.name}.png")


def _unit(si: str, values: list[float], language: Language) -> tuple[float, float, str]:
    """(SI value of one unit, SI value of its zero, sign) in which the values read well."""
    return language.scale(max((abs(v) for v in values), default=0.0), si)


def _label(words: str, sign: str) -> str:
    return f"{words} [{sign}]" if sign else words
