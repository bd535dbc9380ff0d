"""What the long checks fit, and the walls they make."""

from __future__ import annotations

import numpy as np
import pytest

from solvers.dem.grains.engine import Engine, Hook
from solvers.dem.grains.verify import column, fit_power, janssen, laws, ring, stress
from solvers.dem.grains.walls import box


def test_janssen_at_both_ends() -> None:
    assert janssen(np.array([1e-6, 1e3]), 0.7) == pytest.approx([1e-6, 0.7], rel=1e-5)  # shallow and deep


def test_stress_of_a_bed_bears_its_weight() -> None:
    """Between smooth walls the vertical stress is the weight above over the area, friction between grains and all."""
    side, low, high = 0.05, 0.02, 0.06
    law = laws(5e6, 0.5, 0.0, 0.1, 0.1)
    engine = Engine(law, box((0, 0, 0), (side, side, 0.3), "wall"), dt=1e-4, gravity=(0, 0, -9.81))
    cells = np.stack(np.meshgrid(range(5), range(5), range(20), indexing="ij"), axis=-1).reshape(-1, 3)
    x = (cells + 0.5) * 0.01 + np.random.default_rng(1).uniform(-9e-4, 9e-4, (500, 3))
    engine.insert(x, np.full(500, 0.004), "grain")
    engine.run(1.0)
    found: list[np.ndarray] = []
    inside = lambda x: (x[:, 2] > low) & (x[:, 2] < high)  # noqa: E731
    engine.run(1.1, [Hook(0.01, lambda e: found.append(stress(e, inside, side**2 * (high - low))))])
    z, m = engine.grains.position[:, 2], engine.grains.mass
    above = np.mean([m[z > h].sum() for h in np.linspace(low, high, 200)]) * 9.81 / side**2
    assert np.mean(found, axis=0)[2, 2] == pytest.approx(above, rel=0.03)


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
