"""Units stop at the border: text with a unit comes in, SI floats go on.

A field declared with :class:`Unit` reads ``"2.5 kN"``, ``"2,5 kN"`` or ``"9.81 m/s2"``. A number without a
unit is refused unless it is zero, or the reader says that the document is already in SI (``SI`` below), as the
case files inside run folders are. Text is never given to an expression parser: a pattern splits number and
unit, and the unit must be on the list of its dimension.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

if TYPE_CHECKING:
    import pint

#: Validation context of a document whose numbers are already in SI.
SI: dict[str, Any] = {"si": True}

_NUMBER_UNIT = re.compile(r"\s*([+-]?(?:\d{1,20}(?:[.,]\d{0,20})?|[.,]\d{1,20})(?:[eE][+-]?\d{1,3})?)\s*(.{0,24}?)\s*")

#: SI unit of a dimension -> the units people may type for it, first the one shown in forms.
UNITS: dict[str, tuple[str, ...]] = {
    "": ("", "%"),
    "m": ("mm", "m", "cm", "um", "km", "in", "ft"),
    "m**2": ("mm2", "m2", "cm2", "in2"),
    "m**3": ("mm3", "m3", "cm3", "l", "in3"),
    "m**3/s": ("l/min", "m3/s", "m3/h", "l/s"),
    "N": ("kN", "N", "MN", "mN", "kgf", "lbf"),
    "N*m": ("Nm", "N m", "N*m", "kNm", "Nmm", "lbf ft"),
    "Pa": ("MPa", "Pa", "kPa", "GPa", "bar", "mbar", "N/mm2", "psi", "ksi"),
    "N/m**3": ("N/mm3", "N/m3", "kN/m3", "MN/m3"),
    "N/m": ("N/mm", "N/m", "kN/m", "kN/mm"),
    "kg": ("kg", "g", "t", "lb"),
    "kg/m**3": ("kg/m3", "g/cm3", "t/m3"),
    "kg/s": ("kg/s", "kg/h", "g/s"),
    "m/s": ("m/s", "mm/s", "km/h"),
    "m/s**2": ("m/s2", "g0"),
    "m**2/s": ("mm2/s", "m2/s", "cm2/s"),
    "rad/s": ("rpm", "rad/s", "Hz"),
    "rad": ("deg", "rad"),
    "Hz": ("Hz", "kHz"),
    "s": ("s", "ms", "min", "h"),
    "K": ("degC", "C", "K", "degF"),
    "delta_K": ("K", "degC", "C"),
    "1/m": ("1/m", "1/cm", "1/mm"),
    "1/K": ("1/K", "um/m/K", "1e-6/K", "ppm/K"),
    "W": ("W", "kW", "mW"),
    "W/m**2": ("W/m2", "kW/m2"),
    "W/m**3": ("W/m3", "kW/m3", "W/cm3"),
    "W/m**2/K": ("W/m2/K", "W/(m2 K)", "W/(m2*K)"),
    "W/m/K": ("W/m/K", "W/(m K)", "W/(m*K)"),
    "J/kg/K": ("J/kg/K", "J/(kg K)", "kJ/kg/K"),
    "J": ("J", "kJ", "mJ"),
    "Pa*s": ("mPa s", "Pa s", "Pa*s"),
    "byte": ("GB", "MB", "kB", "B", "GiB", "MiB"),
}

#: How pint spells what people type, where it differs.
_SPELLING = {
    "%": "percent",
    "Nm": "N*m",
    "N m": "N*m",
    "kNm": "kN*m",
    "Nmm": "N*mm",
    "lbf ft": "lbf*ft",
    "C": "degC",
    "g0": "standard_gravity",
    "um/m/K": "um/m/delta_degC",
    "1e-6/K": "ppm/K",
    "l": "liter",
    "l/min": "liter/min",
    "l/s": "liter/s",
    "t": "metric_ton",
    "t/m3": "metric_ton/m**3",
    "mPa s": "mPa*s",
    "Pa s": "Pa*s",
    "W/(m2 K)": "W/m**2/K",
    "W/(m2*K)": "W/m**2/K",
    "W/(m K)": "W/m/K",
    "W/(m*K)": "W/m/K",
    "J/(kg K)": "J/kg/K",
    "B": "byte",
    "rpm": "revolution/minute",
    "Hz": "hertz",
    "in": "inch",
    "g": "gram",
}


@cache
def _registry() -> pint.UnitRegistry[Any]:
    import pint  # half a second that most commands do not need

    return pint.UnitRegistry()


@cache
def _factor(unit: str, si: str) -> tuple[float, float]:
    """``value_in_si = scale * value + offset``."""
    registry = _registry()
    if unit == "Hz" and si == "rad/s":
        return 2 * math.pi, 0.0
    if si == "delta_K":
        return 1.0, 0.0
    pint_unit = _SPELLING.get(unit, re.sub(r"([a-z])([23])\b", r"\1**\2", unit)) or "dimensionless"
    target = si or "dimensionless"
    at = [float(registry.Quantity(v, pint_unit).to(target).magnitude) for v in (0.0, 1.0)]
    return at[1] - at[0], at[0]


def to_si(text: str, si: str) -> float:
    """The SI value of a number with a unit.

    text : for example ``"2,5 kN"``
    si : a key of :data:`UNITS`
    Raises PydanticCustomError (a ValueError) that says what was expected.
    """
    allowed = UNITS[si]
    shown = ", ".join(u for u in allowed if u)
    todo = f'Write it as, for example, "{_example(si)}".'
    match = _NUMBER_UNIT.fullmatch(text[:80])
    if match is None:
        raise _error(f"a number with one of the units {shown}" if shown else "a number", todo, "not-a-quantity")
    unit = match[2].replace("²", "2").replace("³", "3").replace("·", "*").replace("°C", "degC").replace("^", "")
    unit = unit.replace("**", "").replace("µ", "u").replace("μ", "u").strip()
    value = float(match[1].replace(",", "."))
    if not math.isfinite(value):
        raise _error("a finite number", "The number is too large for a computer.", "not-finite")
    if unit == "" and "" not in allowed:
        if value == 0 and si not in ("K",):
            return 0.0
        raise _error(f"a unit after the number: one of {shown}", todo, "missing-unit")
    if unit not in allowed:
        raise _error(f"one of the units {shown}" if shown else "a number without a unit", todo, "wrong-unit")
    scale, offset = _factor(unit, si)
    return value * scale + offset


def _example(si: str) -> str:
    return f"20 {UNITS[si][0]}" if UNITS[si][0] else "0.3"


def _error(expected: str, todo: str, code: str) -> PydanticCustomError:
    return PydanticCustomError(code, "{expected_text}", {"expected_text": expected, "todo": todo})


class _InSi(float):
    """A float already in SI inside a document that is not."""


def _read(value: Any, si: str, in_si: bool) -> float:
    if isinstance(value, str):
        return to_si(value, si)
    units = [u for u in UNITS[si] if u]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _error(
            f"a number with one of the units {', '.join(units)}" if units else "a number",
            f'Write it as, for example, "{_example(si)}".',
            "not-a-quantity",
        )
    if (isinstance(value, int) and abs(value) > 10**30) or not math.isfinite(value):
        raise _error("a finite number", "Replace it by the value you mean.", "not-finite")
    if in_si or isinstance(value, _InSi) or "" in UNITS[si] or (value == 0 and si != "K"):
        return float(value)
    raise _error(
        f"a unit after the number: one of {', '.join(units)}",
        f'Write it as, for example, "{value:g} {units[0]}".',
        "missing-unit",
    )


def _in_si(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("si"))


@dataclass(frozen=True)
class Unit:
    """Marks a field as holding SI values: ``Annotated[float, Unit("Pa")]``, or ``Annotated[Vector, Unit("N")]``.

    A vector is read from a list of three quantities, or from ``{magnitude: 2.5 kN, direction: -z}`` where the
    direction is an axis (``x``, ``-y`` ...) or a list of three numbers of any length.
    The JSON Schema carries ``x-unit`` (SI), ``x-units`` (what may be typed) and for vectors ``x-shape``.
    """

    si: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        number = core_schema.with_info_before_validator_function(
            lambda value, info: _read(value, self.si, _in_si(info)), core_schema.float_schema(allow_inf_nan=False)
        )
        if source is float:
            return number
        return core_schema.with_info_before_validator_function(
            self._components, core_schema.tuple_schema([number, number, number])
        )

    def _components(self, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict):
            return value
        if set(value) != {"magnitude", "direction"}:
            raise _error("three quantities, or the keys magnitude and direction", "", "not-a-vector")
        length = _read(value["magnitude"], self.si, _in_si(info))
        return [_InSi(length * c) for c in direction(value["direction"])]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        typed: dict[str, Any] = {"type": ["string", "number"]}
        extra: dict[str, Any] = {"x-unit": self.si, "x-units": list(UNITS[self.si])}
        if "tuple" not in str(schema.get("schema", {}).get("type")):
            return typed | extra
        pair = {
            "type": "object",
            "required": ["magnitude", "direction"],
            "additionalProperties": False,
            "properties": {"magnitude": typed, "direction": {}},
        }
        return {
            "anyOf": [{"type": "array", "minItems": 3, "maxItems": 3, "items": typed}, pair],
            "x-shape": [3],
        } | extra


Vector = tuple[float, float, float]

Length = Annotated[float, Unit("m")]
Position = Annotated[Vector, Unit("m")]
Area = Annotated[float, Unit("m**2")]
Pressure = Annotated[float, Unit("Pa")]
Number = Annotated[float, Unit("")]


_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def direction(value: Any) -> Vector:
    """A unit vector from ``"x"``, ``"-z"`` or three numbers. Raises ValueError."""
    if isinstance(value, str):
        sign = -1.0 if value.strip().startswith("-") else 1.0
        axis = _AXES.get(value.strip().lstrip("+-").lower())
        if axis is None:
            raise _error("an axis (x, -x, y, -y, z, -z) or three numbers", "", "not-a-direction")
        return tuple(sign * c for c in axis)  # type: ignore[return-value]
    if (
        isinstance(value, (list, tuple))
        and len(value) == 3
        and all(isinstance(c, (int, float)) and not isinstance(c, bool) and math.isfinite(c) for c in value)
    ):
        length = math.hypot(*value)
        if length > 0:
            return tuple(float(c) / length for c in value)  # type: ignore[return-value]
    raise _error("an axis (x, -x, y, -y, z, -z) or three numbers that are not all zero", "", "not-a-direction")


Direction = Annotated[
    Vector,
    BeforeValidator(direction),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["x", "-x", "y", "-y", "z", "-z"]},
                {"type": "array", "minItems": 3, "maxItems": 3, "items": {"type": "number"}},
            ],
            "x-shape": [3],
        }
    ),
]


def show(value: float, si: str) -> tuple[float, str]:
    """A value in the unit people read it in: (number, unit). Pa becomes MPa, m becomes mm, K becomes degC."""
    unit = UNITS[si][0] if si in UNITS else si
    if si not in UNITS or unit == "":
        return value, unit
    scale, offset = _factor(unit, si)
    return (value - offset) / scale, unit
