"""Numbers as people read them: in a unit of daily use, rounded by their error bar, in the reader's decimal sign."""

from __future__ import annotations

import math
from collections.abc import Iterable

from hub.units import UNITS, show, to_si

_UNIT_SIGNS = {
    "degC": "°C", "mm2": "mm²", "mm3": "mm³", "kg/m3": "kg/m³", "m/s2": "m/s²", "N/mm3": "N/mm³", "deg": "°",
    "m2": "m²", "m3": "m³", "cm2": "cm²", "N/mm2": "N/mm²", "m3/s": "m³/s", "m3/h": "m³/h", "W/(m2 K)": "W/(m² K)",
    "W/m2": "W/m²", "W/m3": "W/m³", "W/m2/K": "W/(m² K)", "W/m/K": "W/(m K)", "J/kg/K": "J/(kg K)",
    "1e-6/K": "10⁻⁶/K", "um": "µm", "Nm": "N m", "um/m/K": "10⁻⁶/K", "cm3": "cm³",
    "kW/m2": "kW/m²", "W/cm3": "W/cm³", "m2/s": "m²/s", "mm2/s": "mm²/s", "cm2/s": "cm²/s",
}  # fmt: skip

#: Unit to prefer over the first of hub.units.UNITS where a value would be unreadable in it.
_OTHERWISE = {
    "N": ("N", "mN"), "m": ("um", "m"), "kg": ("g", "t"), "J": ("kJ", "mJ"), "Pa": ("kPa", "Pa", "GPa"),
    "m**3": ("cm3", "m3"), "W": ("mW", "kW"), "1/K": ("1e-6/K",), "N*m": ("Nmm", "kNm"), "s": ("s", "ms", "min"),
    "byte": ("MB", "kB"), "N/m**3": ("N/m3",), "N/m": ("N/m", "kN/mm"), "m/s": ("mm/s",), "m**2": ("m2",),
    "m**3/s": ("m3/h", "m3/s"), "kg/s": ("kg/h", "g/s"), "Pa*s": ("Pa s",),
}  # fmt: skip


def unit_sign(unit: str) -> str:
    """``mm2`` as ``mm²``, ``degC`` as ``°C``."""
    return _UNIT_SIGNS.get(unit, unit)


class Figures:
    """How numbers are written in one language: ``en`` or ``it``."""

    def __init__(self, code: str = "en") -> None:
        self.code = code if code in ("en", "it") else "en"

    def number(self, value: float, decimals: int | None = None, digits: int = 4) -> str:
        """A number with `decimals` places, or with `digits` significant ones; thousands set apart."""
        if not math.isfinite(value):
            return "–"
        if decimals is None:
            if value != 0 and not 1e-4 <= abs(value) < 1e7:
                exponent = math.floor(math.log10(abs(value)))
                factor = f"{value / 10.0**exponent:.{max(digits - 2, 1)}f}".rstrip("0").rstrip(".")
                power = "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] if c.isdigit() else "⁻" for c in str(exponent))
                return self._local(f"{factor} · 10{power}" if factor != "1" else f"10{power}")
            if value == int(value):
                return self._local(f"{int(value):,}")
            decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
            text = f"{value:,.{decimals}f}"
            return self._local(text.rstrip("0").rstrip(".") if "." in text else text)
        return self._local(f"{value:,.{max(decimals, 0)}f}")

    def _local(self, text: str) -> str:
        text = text.replace("-", "−")
        integer, _, fraction = text.partition(".")
        # four figures stay together, as in print
        integer = integer.replace(",", "\u202f" if len(integer.lstrip("−")) > 5 else "")
        return integer + (("," if self.code == "it" else ".") + fraction if fraction else "")

    def quantity(self, value: float, si: str, error: float | None = None, *, unit: str = "", digits: int = 4) -> str:
        """An SI value in the unit people read: ``101.3 ± 4.2 MPa``; the digits follow the error, six at the most.

        error : half width of the bar; None for none, 0 for what is given or counted, which has none either
        """
        scale, offset, sign = self.scale(max(abs(value), error or 0.0), si, unit)
        number = (value - offset) / scale
        if not error:
            return glue(self.number(number, digits=digits), sign)
        bar = abs(error / scale)
        if not math.isfinite(bar):
            return glue(f"{self.number(number)} ± {self.number(bar)}", sign)
        # the Particle Data Group's rule: two figures of an error up to 35, else one
        exponent = math.floor(math.log10(bar))
        decimals = (1 if float(f"{bar:.2e}") < 3.55 * 10.0**exponent else 0) - exponent
        most = 5 - math.floor(math.log10(max(abs(number), bar)))
        if most > 9:
            return glue(f"{self.number(number, digits=3)} ± {self.number(bar, digits=3)}", sign)
        if decimals > most:  # the value has six figures already: the error is rounded up to the last of them
            decimals = most
            bar = math.ceil(bar * 10.0**most) / 10.0**most
        rounded = round(number, decimals) + 0.0  # no minus before a zero
        return glue(f"{self.number(rounded, decimals)} ± {self.number(round(bar, decimals), decimals)}", sign)

    def scale(self, value: float, si: str, unit: str = "") -> tuple[float, float, str]:
        """(SI value of one unit, SI value of its zero, sign of the unit) of the unit in which `value` reads well."""
        if si not in UNITS:
            return 1.0, 0.0, si
        at_zero, name = show(0.0, si)
        at_one, _ = show(1.0, si)
        slope = at_one - at_zero
        scale, offset = 1 / slope, -at_zero / slope
        if si != "K" and value and not 0.01 <= abs(value / scale) < 1e5:
            for other in _OTHERWISE.get(si, ()):
                factor = to_si(f"1 {other}", si)
                if 0.01 <= abs(value / factor) < 1e5:
                    return factor, 0.0, _UNIT_SIGNS.get(other, other)
            factor, other = min((to_si(f"1 {u}", si), u) for u in (name, *_OTHERWISE.get(si, ())))
            if abs(value / scale) < 0.01 and factor < scale:
                return factor, 0.0, _UNIT_SIGNS.get(other, other)  # too small for any: at least in the smallest
        return scale, offset, _UNIT_SIGNS.get(name, name)

    def length(self, value: float) -> str:
        """A length of the part [m], in mm."""
        return glue(self.number(1e3 * value, digits=5), "mm")

    def box(self, size: Iterable[float]) -> str:
        """The edges of a box [m] in one unit: mm, or what suits the largest."""
        edges = list(size)
        largest = max(edges, default=0.0)
        factor, unit = (1.0, "m") if largest >= 10 else (1e6, "µm") if largest < 1e-4 else (1e3, "mm")
        return glue(" × ".join(self.number(factor * edge, digits=4) for edge in edges), unit)

    def point(self, values: list[float] | tuple[float, ...]) -> str:
        """A place [m] in mm."""
        return "(" + "; ".join(self.number(round(1e3 * v, 1) + 0.0, 1) for v in values) + ") mm"

    def count(self, value: float) -> str:
        """A whole number, its thousands set apart; millions in words."""
        return f"{self.number(value / 1e6, digits=3)} M" if value >= 1e6 else self.number(round(value))

    def duration(self, seconds: float) -> str:
        """A time in words: ``8 s``, ``3 min``, ``2 h 10 min``."""
        if seconds < 1:
            return "< 1 s"
        if seconds < 90:
            return f"{round(seconds)} s"
        minutes = round(seconds / 60)
        return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

    def memory(self, size: float) -> str:
        """Bytes as MB or GB."""
        return f"{round(size / 1e6)} MB" if size < 1e9 else f"{self.number(size / 1e9, digits=2)} GB"


def glue(number: str, sign: str) -> str:
    """Number and unit that stay on one line."""
    dot = "·\u00a0" if sign.startswith("10") else ""  # a power of ten multiplies
    return f"{number}\u00a0{dot}{sign}" if sign else number
