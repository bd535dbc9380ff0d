"""Plots that the browser draws: in the reader's language, units and decimal sign, and with error bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from hub.figures import Figures
from ui.words import _, language, said

#: Okabe and Ito's colours, as in the report; marks differ as well.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000")


def draw(spec: Mapping[str, Any], words: str) -> None:
    """A Vega-Lite plot. words : what it shows, for whoever does not see it"""
    number = {"decimal": "," if language() == "it" else ".", "thousands": "\u202f", "grouping": [3],
              "currency": ["", ""]}  # fmt: skip
    st.vega_lite_chart({"description": words, **spec, "config": {"locale": {"number": number}}}, width="stretch")


def curve(found: Mapping[str, Any], x_title: str) -> None:
    """One curve of a result, its values as marks. found : a `hub.result.Curve`; x_title : as the reader reads it"""
    figures = Figures(language())
    lines = found["lines"]
    ends = [max((abs(v) for line in lines for v in line[of]), default=0.0) for of in ("x", "y")]
    (x_one, x_zero, x_sign), (y_one, y_zero, y_sign) = (
        figures.scale(end, str(found[unit])) for end, unit in zip(ends, ("x_unit", "y_unit"), strict=True)
    )
    title = said(found["y"])
    rows = []
    for number, line in enumerate(lines):
        for x, y, bar in zip(line["x"], line["y"], line.get("error") or [0.0] * len(line["x"]), strict=True):
            value = (y - y_zero) / y_one
            told = figures.quantity(y, str(found["y_unit"]), bar)
            rows.append({"x": (x - x_zero) / x_one, "y": value, "low": value - bar / y_one, "high": value + bar / y_one,
                         "line": said(line["name"]) or str(number + 1), "told": told})  # fmt: skip
    names = list(dict.fromkeys(row["line"] for row in rows))
    colour: dict[str, Any] = {"value": COLOURS[0]}
    shape: dict[str, Any] = {"value": "circle"}
    if len(names) > 1:
        scale = {"domain": names, "range": [COLOURS[i % len(COLOURS)] for i in range(len(names))]}
        colour = {"field": "line", "type": "nominal", "scale": scale, "legend": {"orient": "top", "title": None}}
        shape = {"field": "line", "type": "nominal", "scale": {"domain": names}, "legend": None}
    x = {"field": "x", "type": "quantitative", "title": _axis(x_title, x_sign), "scale": {"zero": False}}
    y = {"type": "quantitative", "title": None, "scale": {"zero": False}}
    head = {"text": _axis(title, y_sign), "anchor": "start", "fontSize": 14}  # beside the axis it would be cut off
    tip = [{"field": "x", "type": "quantitative", "title": _axis(x_title, x_sign)}, {"field": "told", "title": title}]
    layers: Sequence[Mapping[str, Any]] = (
        {"mark": {"type": "rule", "strokeWidth": 1.5},
         "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour}},
        {"mark": {"type": "point", "filled": True, "size": 42, "opacity": 1},
         "encoding": {"x": x, "y": {**y, "field": "y"}, "color": colour, "shape": shape, "tooltip": tip}},
    )  # fmt: skip
    words = _("{quantity} over {axis}", quantity=title, axis=x_title)
    if len(names) == 1:
        first, last = min(rows, key=lambda row: row["x"]), max(rows, key=lambda row: row["x"])
        ends = [(figures.number(row["x"]) + f" {x_sign}", row["told"]) for row in (first, last)]
        (start, at_start), (end, at_end) = ends
        words += ": " + _("{y} at {x}", y=at_start, x=start.strip()) + ", " + _("{y} at {x}", y=at_end, x=end.strip())
    draw({"data": {"values": rows}, "title": head, "layer": layers, "height": 280}, words)


def _axis(words: str, sign: str) -> str:
    return f"{words} [{sign}]" if sign else words
