"""Beds, mixtures and error bars against what is known of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from solvers.dem.grains import bed, blocks
from solvers.dem.grains.figures import reached

UP = np.array([0.0, 0.0, 1.0])


def lattice(n: int, d: float = 1.0) -> np.ndarray:
    """(4 n^3, 3) face-centred cubic places of spheres of diameter `d` that touch."""
    a = d * math.sqrt(2)
    cells = np.stack(np.meshgrid(*3 * [np.arange(n)], indexing="ij"), axis=-1).reshape(-1, 1, 3)
    return ((cells + np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])) * a).reshape(-1, 3)


def test_densest_packing() -> None:
    """pi / (3 sqrt 2), whatever the walls and the surface are like."""
    x = lattice(10)
    share, bar = bed.fraction(x, np.full(len(x), 0.5))
    assert share == pytest.approx(math.pi / (3 * math.sqrt(2)), abs=0.01)
    assert abs(share - math.pi / (3 * math.sqrt(2))) < bar + 0.005
    assert bed.fraction(x[:50], np.full(50, 0.5)) is None


def test_solid_volume_is_kept() -> None:
    rng = np.random.default_rng(1)
    x, r = rng.uniform(2, 8, (300, 3)), rng.uniform(0.2, 0.6, 300)
    grid = bed.Grid.around(np.zeros(3), np.full(3, 10.0), 1.3)
    assert bed.solid(grid, x, r).sum() == pytest.approx((4 / 3 * math.pi * r**3).sum(), rel=1e-12)


@pytest.mark.parametrize("angle", [15.0, 30.0])
def test_slopes(angle: float) -> None:
    rng = np.random.default_rng(2)
    x = rng.uniform(-30, 30, (300_000, 3))
    x[:, 2] = rng.uniform(0, 40, len(x))
    r, rise = np.full(len(x), 0.5), math.tan(math.radians(angle))
    heap = x[x[:, 2] < rise * (28 - np.hypot(x[:, 0], x[:, 1]))]
    assert math.degrees(bed.slope(heap, r[: len(heap)], UP, "cone")) == pytest.approx(angle, abs=2)
    tilted = x[x[:, 2] < 20 + rise * x[:, 0] / 2]
    found = math.degrees(bed.slope(tilted, r[: len(tilted)], UP, "plane"))
    assert found == pytest.approx(math.degrees(math.atan(rise / 2)), abs=2)


def test_run_out_of_a_full_disc() -> None:
    at = np.stack(np.meshgrid(np.arange(-60, 61), np.arange(-60, 61)), axis=-1).reshape(-1, 2).astype(float)
    at = at[np.hypot(*at.T) < 40]
    x = np.column_stack([at, np.full(len(at), 0.5)])
    assert bed.run_out(x, np.full(len(x), 0.5), UP) == pytest.approx(40, abs=1)


def test_lacey_of_halves_and_of_chance() -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 20, (8000, 3))
    apart = (x[:, 0] > 10).astype(int)
    index, spread = bed.mixing(x, apart, 2.7)
    # cells that the border cuts are mixed: about one in eight along x, half of the shifted grids
    assert index < 0.12 and spread > 0.9
    index, spread = bed.mixing(x, rng.permutation(apart), 2.7)
    assert index == pytest.approx(1, abs=0.02)
    # a share of one half in random samples of n has the deviation sqrt(1 / n) of its mean
    assert spread == pytest.approx(1 / math.sqrt(8000 / 8), rel=0.3) or spread < 0.3


def test_where_an_index_stays_above_a_level() -> None:
    at = np.linspace(0, 10, 201)
    index = 1 - np.exp(-at)
    assert reached(at, index, 0.9) == pytest.approx(math.log(10), abs=0.03)
    assert reached(at, index, 1.1) is None


def series(rng: np.random.Generator, memory: float, n: int = 512) -> np.ndarray:
    x = np.empty(n)
    x[0] = rng.standard_normal()
    for i in range(1, n):
        x[i] = memory * x[i - 1] + math.sqrt(1 - memory**2) * rng.standard_normal()
    return x


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_bars_cover_the_truth_and_are_not_much_too_wide(memory: float) -> None:
    """An autoregressive series: the mean of n has the variance (1 + m) / (1 - m) / n."""
    rng = np.random.default_rng(4)
    found = [blocks.mean(series(rng, memory)) for _ in range(120)]
    assert np.mean([abs(value) <= error for value, error in found]) > 0.9
    truth = 1.96 * math.sqrt((1 + memory) / (1 - memory) / 512)
    assert np.median([error for _, error in found]) < 3 * truth


def test_a_drift_and_a_short_series() -> None:
    value, error = blocks.mean(np.linspace(0, 1, 400))
    assert value == pytest.approx(0.5) and error >= 0.25
    assert blocks.mean(np.ones(5))[1] is None


def test_bars_over_seeds() -> None:
    """Student's t of two values: 12.706 times the standard error."""
    value, error = blocks.over_seeds([1.0, 3.0])
    assert value == 2 and error == pytest.approx(12.706, rel=1e-3)
