"""Units stop at the border."""

import contextlib
import math
from typing import Annotated

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from hub.units import SI, UNITS, Unit, Vector, direction, show, to_si

CONVERSIONS = [  # from the definitions of the units (SI brochure, 9th edition, and NIST SP 811 appendix B)
    ("2.5 kN", "N", 2500.0),
    ("2,5 kN", "N", 2500.0),
    ("10 MPa", "Pa", 1e7),
    ("9.81 m/s2", "m/s**2", 9.81),
    ("9.81 m/s^2", "m/s**2", 9.81),
    ("1 g0", "m/s**2", 9.80665),
    ("1 in", "m", 0.0254),
    ("1 psi", "Pa", 6894.757293168),
    ("1 lbf", "N", 4.4482216152605),
    ("1 kgf", "N", 9.80665),
    ("1 N/mm2", "Pa", 1e6),
    ("60 rpm", "rad/s", 2 * math.pi),
    ("1 Hz", "rad/s", 2 * math.pi),
    ("180 deg", "rad", math.pi),
    ("20 degC", "K", 293.15),
    ("212 degF", "K", 373.15),
    ("30 K", "delta_K", 30.0),
    ("12 um/m/K", "1/K", 12e-6),
    ("1 l/min", "m**3/s", 1e-3 / 60),
    ("3 %", "", 0.03),
    ("5 mm³", "m**3", 5e-9),
    ("1e3 µm", "m", 1e-3),
    ("-.5 mm", "m", -5e-4),
    ("2 GB", "byte", 2e9),
]


@pytest.mark.parametrize(("text", "si", "value"), CONVERSIONS)
def test_reads_what_people_type(text: str, si: str, value: float) -> None:
    assert to_si(text, si) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("si", [s for s in UNITS if s])
def test_every_unit_of_a_dimension_is_of_that_dimension(si: str) -> None:
    for unit in UNITS[si]:
        assert math.isfinite(to_si(f"1 {unit}", si))
        back, name = show(to_si(f"7 {UNITS[si][0]}", si), si)
        assert name == UNITS[si][0]
        assert back == pytest.approx(7)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("5", "missing-unit"),
        ("5 s", "wrong-unit"),
        ("1e999 N", "not-finite"),
        ("9**9**9 N", "wrong-unit"),
        ("nan N", "not-a-quantity"),
        ("", "not-a-quantity"),
        ("kN", "not-a-quantity"),
        ("1 kN\n#SBATCH", "not-a-quantity"),
        ("1.234,5 N", "wrong-unit"),
        ("__import__('os') N", "not-a-quantity"),
        ("1" * 10_000, "not-a-quantity"),
    ],
)
def test_refuses_with_a_reason(text: str, code: str) -> None:
    with pytest.raises(ValueError) as caught:
        to_si(text, "N")
    assert getattr(caught.value, "type", None) == code
    assert "kN" in str(caught.value) or code == "not-finite"


def test_celsius_needs_its_unit_even_at_zero() -> None:
    with pytest.raises(ValueError):
        to_si("0", "K")
    assert to_si("0 degC", "K") == 273.15


class Load(BaseModel):
    value: Annotated[Vector, Unit("N")]
    pressure: Annotated[float, Unit("Pa")] = 0.0


def test_vectors() -> None:
    assert Load.model_validate({"value": [0, "1 kN", "-2,5 kN"]}).value == (0, 1000, -2500)
    assert Load.model_validate({"value": {"magnitude": "2 kN", "direction": "-z"}}).value == pytest.approx(
        (0, 0, -2000)
    )
    assert Load.model_validate({"value": {"magnitude": "5 N", "direction": [3, 4, 0]}}).value == pytest.approx(
        (3, 4, 0)
    )
    assert Load.model_validate({"value": [1, 2, 3], "pressure": 5}, context=SI).value == (1, 2, 3)


@pytest.mark.parametrize(
    "value",
    [[1, 2, 3], ["1 N", "2 N"], {"magnitude": "1 N"}, {"magnitude": 5, "direction": "x"},
     {"magnitude": "1 N", "direction": "w"}, {"magnitude": "1 N", "direction": [0, 0, 0]}, "1 N", [True, "1 N", "1 N"],
     ["1 N", "1 N", float("nan")], ["1 N", "1 N", 10**400]],
)  # fmt: skip
def test_vectors_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Load.model_validate({"value": value})


def test_schema_tells_forms_the_units() -> None:
    fields = Load.model_json_schema()["properties"]
    assert fields["pressure"]["x-unit"] == "Pa" and "MPa" in fields["pressure"]["x-units"]
    assert fields["value"]["x-shape"] == [3] and fields["value"]["x-unit"] == "N"


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_agrees_with_pint(value: float) -> None:
    registry = test_agrees_with_pint.__dict__.setdefault("registry", pint.UnitRegistry())
    assert to_si(f"{value!r} MPa", "Pa") == pytest.approx(float(registry.Quantity(value, "MPa").to("Pa").magnitude))


@given(st.text(max_size=60))
def test_never_anything_but_a_number_or_a_refusal(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert math.isfinite(to_si(text, "N"))


def test_direction_is_a_unit_vector() -> None:
    assert direction("-y") == (0, -1, 0)
    assert direction([0, 3, 4]) == pytest.approx((0, 0.6, 0.8))
