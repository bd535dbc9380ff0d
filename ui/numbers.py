"""Numbers as people read them (``hub.figures``), in the language of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.figures import Figures
from hub.figures import unit_sign as unit_name
from ui.words import _, language

__all__ = ["count", "duration", "known", "memory", "number", "of_quantity", "quantity", "si", "size", "unit_name"]


def _figures() -> Figures:
    return Figures(language())


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits, without trailing noise."""
    return _figures().number(value, digits=digits)


def quantity(value: float, unit: str, error: float | None = None) -> str:
    """An SI value with its error bar in the unit people read it in: ``1.234 ± 0.012 mm``."""
    return _figures().quantity(value, unit, error)


def si(value: float, unit: str, digits: int = 3) -> str:
    """An SI value without an error bar, in the unit people read it in."""
    return _figures().quantity(value, unit, digits=digits)


def size(extent: Sequence[float]) -> str:
    """Edges of a box [m] as ``100 × 80 × 90 mm``."""
    return _figures().box(extent)


def count(value: float) -> str:
    """A large count as 216 000 or 1.2 million."""
    return _figures().count(value)


def duration(seconds: float) -> str:
    """A time in words: ``8 s``, ``3 min``, ``2 h 10 min``."""
    return _figures().duration(seconds)


def memory(size_in_bytes: float) -> str:
    """Bytes as MB or GB."""
    return _figures().memory(size_in_bytes)


def of_quantity(found: Mapping[str, Any]) -> str:
    """One entry of ``result.json``'s quantities as text; what needs no error bar says why."""
    text = quantity(float(found["value"]), str(found["unit"]), found.get("error"))
    return f"{text} ({known(found)})" if known(found) else text


def known(found: Mapping[str, Any]) -> str:
    """Why a quantity has no error at all: it was given, or counted. Empty where it was computed."""
    if found.get("error") != 0:
        return ""
    return _("counted") if found.get("error_method") == "counted" else _("given")
