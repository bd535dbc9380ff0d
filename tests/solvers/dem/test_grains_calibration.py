"""Coefficients found again from what they would have measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hub.case import read
from solvers.dem.grains.__main__ import Grains
from solvers.dem.grains.calibrate import Response, infer, places, sweep, with_friction
from tests.solvers.dem.test_grains_run import CUP, case

LOW, HIGH = np.array([0.1, 0.0]), np.array([0.9, 0.3])
TRUTH = np.array([0.45, 0.12])


def saturating(friction: np.ndarray) -> np.ndarray:
    return friction / (friction + 0.3)


def angle(at: np.ndarray) -> np.ndarray:
    return 0.15 + 0.5 * saturating(at[:, 0]) + 0.8 * at[:, 1] - 0.1 * saturating(at[:, 0]) ** 2


def density(at: np.ndarray) -> np.ndarray:
    return 800 - 150 * saturating(at[:, 0]) - 60 * at[:, 1] + 20 * saturating(at[:, 0]) * at[:, 1]


def fitted(noise: float, seed: int) -> dict[str, Response]:
    rng, at = np.random.default_rng(seed), places(16, LOW, HIGH)
    return {
        "repose_angle": Response.fit(at, angle(at) + noise * 0.01 * rng.standard_normal(16), LOW, HIGH),
        "bulk_density": Response.fit(at, density(at) + noise * 1.0 * rng.standard_normal(16), LOW, HIGH),
    }


def test_places_fill_the_range_evenly() -> None:
    at = (places(64, LOW, HIGH) - LOW) / (HIGH - LOW)
    counts = np.histogram2d(*at.T, bins=4, range=[[0, 1], [0, 1]])[0]
    assert counts.min() >= 2 and counts.max() <= 6


def test_the_truth_is_found_and_lies_in_the_spread() -> None:
    measured = {
        "repose_angle": (float(angle(TRUTH[None])[0]), 0.01),
        "bulk_density": (float(density(TRUTH[None])[0]), 1.0),
    }
    exact = infer(fitted(0.0, 0), measured)
    assert np.allclose(exact.mean, TRUTH, atol=0.02) and not exact.at_edge and exact.misfit < 0.1
    within = []
    for seed in range(30):
        found = infer(fitted(1.0, seed), measured)
        within.append((np.abs(found.mean - TRUTH) <= 2 * found.spread).all())
    assert np.mean(within) > 0.85


def test_what_saturates_is_not_turned_down_again() -> None:
    """An angle that grows ever more slowly with friction, by another law than the response has, does not fall."""
    at = places(16, LOW, HIGH)
    response = Response.fit(at, 0.4 * np.tanh(3 * at[:, 0]) + 0.3 * at[:, 1], LOW, HIGH)
    along = response(np.column_stack([np.linspace(0.1, 0.9, 30), np.full(30, 0.1)]))
    assert np.diff(along).min() > 0


def test_what_cannot_be_met_is_said() -> None:
    found = infer(fitted(0.0, 0), {"repose_angle": (1.2, 0.01), "bulk_density": (900.0, 1.0)})
    assert found.at_edge and found.misfit > 3


def test_one_measurement_leaves_a_valley() -> None:
    found = infer(fitted(0.0, 0), {"repose_angle": (float(angle(TRUTH[None])[0]), 0.01)})
    assert found.spread[0] > 0.1 and found.correlation < -0.8


def test_too_few_samples() -> None:
    at = places(7, LOW, HIGH)
    with pytest.raises(ValueError, match="eight"):
        Response.fit(at, angle(at), LOW, HIGH)


def test_a_sweep_runs_the_case_with_other_coefficients(tmp_path: Path) -> None:
    data = case(settling="0.3 s", duration="0.05 s")
    data["conditions"][0]["sizes"]["diameter"] = "5 mm"
    data["conditions"][3]["number"] = 200
    data["quantities"] = [{"name": "slope", "kind": "repose_angle", "component": "plane"}]
    solver = Grains()
    plain = solver.in_si(solver.bind(read(data)))
    changed = with_friction(plain, 0.7, 0.2)
    assert [c.get("friction") for c in changed["conditions"]] == [None, 0.7, 0.0, None, None]
    CUP.write(tmp_path)
    (row,) = sweep(plain, tmp_path, np.array([[0.6, 0.1]]), 1)
    assert 0 <= row["repose_angle"] < 1.2
