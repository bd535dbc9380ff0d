"""Numbers are rounded by their error bar and shown in units of daily use."""

import pytest

from hub.figures import Figures, unit_sign


@pytest.mark.parametrize(
    ("value", "unit", "error", "said"),
    [
        (0.000412345, "m", 0.0000061, "0.412 ± 0.006 mm"),
        (0.000412345, "m", 0.0000012, "0.4123 ± 0.0012 mm"),
        (185.3e6, "Pa", 4.2e6, "185 ± 4 MPa"),
        (185.34e6, "Pa", 2.4e6, "185.3 ± 2.4 MPa"),
        (2.3456, "", 0.098, "2.35 ± 0.10"),
        (2500.0, "N", None, "2.5 kN"),
        (2500.0, "N", 4.9e-4, "2.50000 ± 0.00001 kN"),
        (1e-11, "N", 4.9e-4, "0.0 ± 0.5 mN"),
        (-1e-11, "N", 4.9e-4, "0.0 ± 0.5 mN"),
        (4e-6, "m", 1e-7, "4.00 ± 0.10 µm"),
        (12345.6e6, "Pa", 321e6, "12\u202f350 ± 320 MPa"),
        (373.15, "K", 0.5, "100.0 ± 0.5 °C"),
        (0.0, "m", 1e-6, "0.0 ± 1.0 µm"),
        (0.002, "m**2", None, "2000 mm²"),
        (2.1e11, "Pa", None, "210 GPa"),
        (1.5565e-4, "m**3", 8.7e-10, "155.650 ± 0.001 cm³"),
        (1.0, "m", 0.0, "1000 mm"),
        (3.2e-9, "", 4.1e-10, "3.2 · 10⁻⁹ ± 4.1 · 10⁻¹⁰"),
    ],
)
def test_quantity(value: float, unit: str, error: float | None, said: str) -> None:
    assert Figures().quantity(value, unit, error).replace("\u00a0", " ") == said


def test_a_bar_is_never_rounded_to_nothing() -> None:
    for power in range(-12, 12):
        for error in (1.4, 3.6, 9.96):
            said = Figures().quantity(123.4, "", error * 10.0**power)
            bar = said.split("± ")[1]
            assert any(c in "123456789" for c in bar), said


def test_italian_has_its_decimal_sign() -> None:
    assert Figures("it").quantity(0.000412345, "m", 0.0000012).replace("\u00a0", " ") == "0,4123 ± 0,0012 mm"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.3, "< 1 s"), (8.2, "8 s"), (89, "89 s"), (200, "3 min"), (7800, "2 h 10 min")]
)
def test_duration(seconds: float, said: str) -> None:
    assert Figures().duration(seconds) == said


def test_a_box_keeps_to_one_unit() -> None:
    assert Figures().box((0.1, 0.08, 0.09)).replace("\u00a0", " ") == "100 × 80 × 90 mm"
    assert Figures().box((12.0, 3.5, 0.25)).replace("\u00a0", " ") == "12 × 3.5 × 0.25 m"


def test_very_small_and_very_large_numbers_stay_readable() -> None:
    assert Figures().number(1.234e-9) == "1.23 · 10⁻⁹"
    assert Figures().number(2.1e11) == "2.1 · 10¹¹"
    assert Figures().count(216_000) == "216\u202f000" and Figures().count(1_234_567) == "1.23 M"
    assert Figures().memory(4.1e8) == "410 MB" and Figures().memory(2.1e9) == "2.1 GB"


def test_units_are_spelt_as_in_print() -> None:
    assert (unit_sign("mm2"), unit_sign("degC"), unit_sign("kN")) == ("mm²", "°C", "kN")
