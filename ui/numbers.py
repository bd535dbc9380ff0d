"""Numbers as people read them: in a unit of daily use, rounded by their error bar."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from hub.units import show, to_si
from ui.words import language

_PRETTY = {
    "degC": "°C",
    "Nm": "N·m",
    "mPa s": "mPa·s",
    "um/m/K": "µm/(m·K)",
    "W/m/K": "W/(m·K)",
    "W/m2/K": "W/(m²·K)",
    "J/kg/K": "J/(kg·K)",
}

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


#: Units for what is too small to be read in the first unit.
_SMALLER = {"N": ("N", "mN"), "m": ("um",), "Pa": ("kPa", "Pa"), "W": ("mW",), "kg": ("g",), "J": ("mJ",)}


def unit_name(unit: str) -> str:
    """``mm2`` as ``mm²``, ``degC`` as ``°C``."""
    if unit in _PRETTY:
        return _PRETTY[unit]
    return unit.replace("2", "²").replace("3", "³").replace("um", "µm")


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits, without trailing noise, in the reader's decimal sign."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    size = math.floor(math.log10(abs(value)))
    if -4 < size < 7:
        text = f"{value:.{max(0, digits - 1 - size)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return _local(text)
    mantissa = f"{value / 10.0**size:.{digits - 1}f}".rstrip("0").rstrip(".")
    return _local(_times_ten(mantissa, size))


def with_bar(value: float, error: float | None) -> str:
    """``value ± error``: the error with two significant digits, the value to the same place."""
    if error is None or not math.isfinite(error):
        return number(value, 4)
    if error == 0:
        return f"{number(value, 4)} ± 0"
    size = math.floor(math.log10(error))
    places = 1 - size
    top = max(size, math.floor(math.log10(abs(value))) if value else size)
    if top >= 7 or top < -4:
        shift = 10.0**top
        places = min(max(0, places + top), 9)
        return _local(_times_ten(f"({value / shift:.{places}f} ± {error / shift:.{places}f})", top))
    most = max(0, 5 - top)  # six digits of a value are enough; the error is then rounded up
    if places > most:
        places, error = most, math.ceil(error * 10**most) / 10**most
    places = max(0, places)
    return _local(f"{value:.{places}f} ± {error:.{places}f}")


def quantity(value: float, unit: str, error: float | None = None) -> str:
    """An SI value with its error bar in the unit people read it in: ``1.234 ± 0.012 mm``."""
    shown, name = show(value, unit)
    factor = abs(show(1.0, unit)[0] - show(0.0, unit)[0])
    bar = None if error is None else factor * error
    for smaller in _SMALLER.get(unit, ()):
        if max(abs(shown), bar or 0.0) >= 0.01:
            break
        factor, name = 1 / to_si(f"1 {smaller}", unit), smaller
        shown, bar = value * factor, None if error is None else error * factor
    return f"{with_bar(shown, bar)} {unit_name(name)}".strip()


def si(value: float, unit: str, digits: int = 3) -> str:
    """An SI value without an error bar, in the unit people read it in."""
    shown, name = show(value, unit)
    return f"{number(shown, digits)} {unit_name(name)}".strip()


def size(extent: tuple[float, ...] | list[float]) -> str:
    """Edges of a box [m] as ``100 x 80 x 90 mm``; metres where the part is large."""
    largest = max(extent, default=0.0)
    factor, unit = (1.0, "m") if largest >= 10 else (1e6, "µm") if largest < 1e-4 else (1e3, "mm")
    return f"{' × '.join(number(edge * factor, 4) for edge in extent)} {unit}"


def count(value: float) -> str:
    """A large count as 216 000 or 1.2 million."""
    if value >= 1e6:
        return f"{number(value / 1e6, 3)} M"
    return _local(str(round(value)))


def duration(seconds: float) -> str:
    """A time in words: ``8 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 1:
        return "< 1 s"
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def memory(size_in_bytes: float) -> str:
    """Bytes as MB or GB."""
    if size_in_bytes < 1e9:
        return f"{round(size_in_bytes / 1e6)} MB"
    return f"{number(size_in_bytes / 1e9, 2)} GB"


def of_quantity(found: Mapping[str, Any]) -> str:
    """One entry of ``result.json``'s quantities as text."""
    return quantity(float(found["value"]), str(found["unit"]), found.get("error"))


def _times_ten(mantissa: str, power: int) -> str:
    return f"{mantissa} × 10{str(power).translate(_RAISED)}"


def _local(text: str) -> str:
    """Digits before the decimal sign in groups of three from five digits on; the reader's decimal sign."""
    text = re.sub(r"(?<![\d.])\d{5,}", lambda found: f"{int(found[0]):,}".replace(",", "\u202f"), text)
    return text.replace(".", ",") if language() == "it" else text
