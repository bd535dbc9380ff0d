"""What the long checks fit, and the walls they make."""

from __future__ import annotations

import numpy as np
import pytest

from solvers.dem.grains.verify import column, fit_janssen, fit_power, janssen, ring


def test_a_law_is_found_again() -> None:
    weight = np.array([0.2, 0.5, 1.0, 1.6, 2.4])
    assert janssen(np.array([1e-6, 1e3]), 0.7) == pytest.approx([1e-6, 0.7], rel=1e-5)  # shallow and deep
    most, left = fit_janssen(weight, janssen(weight, 0.7))
    assert most == pytest.approx(0.7) and np.abs(left).max() < 1e-6
    # what goes as a power of the weight is not Janssen's law, and shows
    assert np.abs(fit_janssen(weight, 0.9 * weight**0.5)[1]).max() > 0.1


def test_an_exponent_and_its_bar() -> None:
    width, rng = np.array([0.02, 0.024, 0.03]), np.random.default_rng(2)
    exact = 3.0 * width**2.5
    assert fit_power(width, exact, 0.01 * exact)[0] == pytest.approx(2.5)
    found = [fit_power(width, exact * (1 + 0.005 * rng.standard_normal(3)), 0.01 * exact) for _ in range(400)]
    inside = np.mean([abs(e - 2.5) < bar for e, bar in found])  # a bar of 1 % is two deviations of .5 %
    assert 0.9 < inside < 1.0


def test_a_tube_and_a_filling() -> None:
    tube, bottom = ring((0, 0.1), (0.03, 0.03)), ring((0, 0), (0.01, 0.03))
    area = lambda t: np.linalg.norm(np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]), axis=1).sum() / 2  # noqa: E731
    assert area(tube) == pytest.approx(2 * np.pi * 0.03 * 0.1, rel=1e-3)
    assert area(bottom) == pytest.approx(np.pi * (0.03**2 - 0.01**2), rel=2e-3)
    x, r = column(300, 0.024, 0.0, np.random.default_rng(0))
    apart = np.linalg.norm(x[:, None] - x[None], axis=2) - r[:, None] - r[None]
    np.fill_diagonal(apart, 1.0)
    assert apart.min() > 0
    assert (np.hypot(x[:, 0], x[:, 1]) + r).max() < 0.024 * np.cos(np.pi / 72) and (x[:, 2] > r).all()
