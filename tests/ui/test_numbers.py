"""Numbers are rounded by their error bar and shown in units of daily use."""

import pytest

from ui import numbers


@pytest.mark.parametrize(
    ("value", "unit", "error", "said"),
    [
        (0.000412345, "m", 0.0000061, "0.4123 ± 0.0061 mm"),
        (185.3e6, "Pa", 4.2e6, "185.3 ± 4.2 MPa"),
        (2.3456, "", 0.098, "2.346 ± 0.098"),
        (2500.0, "N", None, "2.5 kN"),
        (2500.0, "N", 4.9e-4, "2.50000 ± 0.00001 kN"),
        (3.0, "N", 0.2, "3.00 ± 0.20 N"),
        (1e-11, "N", 4.9e-4, "0.00 ± 0.49 mN"),
        (4e-6, "m", 1e-7, "4.00 ± 0.10 µm"),
        (12345.6e6, "Pa", 321e6, "12\u202f346 ± 321 MPa"),
        (373.15, "K", 0.5, "100.00 ± 0.50 °C"),
        (0.0, "m", 1e-6, "0.0 ± 1.0 µm"),
        (0.002, "m**2", None, "2000 mm²"),
        (2.1e11, "Pa", None, "210\u202f000 MPa"),
        (0.123456789, "", 0.00001234, "0.123457 ± 0.000012"),
        (1.0, "m", 0.0, "1000 ± 0 mm"),
    ],
)
def test_quantity(value: float, unit: str, error: float | None, said: str) -> None:
    assert numbers.quantity(value, unit, error) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.3, "< 1 s"), (8.2, "8 s"), (89, "89 s"), (200, "3 min"), (7800, "2 h 10 min")]
)
def test_duration(seconds: float, said: str) -> None:
    assert numbers.duration(seconds) == said


def test_size_keeps_to_one_unit() -> None:
    assert numbers.size((0.1, 0.08, 0.09)) == "100 × 80 × 90 mm"
    assert numbers.size((12.0, 3.5, 0.25)) == "12 × 3.5 × 0.25 m"


def test_very_small_and_very_large_numbers_stay_readable() -> None:
    assert numbers.number(1.234e-9) == "1.23 × 10⁻⁹"
    assert numbers.number(2.1e11) == "2.1 × 10¹¹"
    assert numbers.with_bar(3.2e-9, 4.1e-10) == "(3.20 ± 0.41) × 10⁻⁹"
