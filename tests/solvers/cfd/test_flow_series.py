"""Means over time and frequencies: their bands hold the truth of signals whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from solvers.cfd.flow.series import averaged, frequency, highest


def wander(rng: np.random.Generator, times: np.ndarray, memory: float) -> np.ndarray:
    """An Ornstein-Uhlenbeck process of mean 0 and variance 1 that forgets within `memory`."""
    kept = np.exp(-(times[1] - times[0]) / memory)
    steps = rng.normal(size=len(times)) * np.sqrt(1 - kept**2)
    steps[0] /= np.sqrt(1 - kept**2)
    return np.asarray(lfilter([1.0], [1.0, -kept], steps))


@pytest.mark.parametrize("memories", [60, 400])
def test_bands_of_means_hold_the_mean_as_often_as_they_say(memories: int) -> None:
    rng, t = np.random.default_rng(5), np.linspace(0, memories, 20 * memories)
    held, widths = 0, []
    for _ in range(400):
        mean, half = averaged(list(t), list(wander(rng, t, 1.0)), 0.0)
        held += abs(mean) <= half
        widths.append(half)
    assert 0.93 <= held / 400 <= 0.995
    # the true standard deviation of the mean: bands are of use, not merely wide
    assert np.mean(widths) < 4.0 * np.sqrt(2 / memories)


def test_the_mean_of_whole_and_broken_periods() -> None:
    t = np.linspace(0, 7.3, 2000)
    mean, half = averaged(list(t), list(3 + np.sin(2 * np.pi * t)), 1.0)
    assert mean == pytest.approx(3, abs=1e-4)
    assert half < 1e-3
    mean, half = averaged(list(t), list(t), 2.3)
    assert mean == pytest.approx(4.8, rel=1e-3)
    assert half > 1


def test_frequency_of_a_swing_that_grew_and_is_not_a_sine() -> None:
    """Steps of uneven length; a start that is left out; two waves, of which the lower one is the swing."""
    rng = np.random.default_rng(1)
    t = np.cumsum(rng.uniform(0.005, 0.015, 1500))
    clean = np.minimum(t, 5) * (np.sin(2 * np.pi * 3.03 * t) + 0.3 * np.cos(4 * np.pi * 3.03 * t))
    found, half = frequency(list(t), list(4 + clean), 5.0) or (0.0, 0.0)
    assert abs(found - 3.03) <= max(half, 1e-4) < 0.01
    noisy, wide = frequency(list(t), list(clean + 0.5 * rng.normal(size=len(t))), 5.0) or (0.0, 0.0)
    assert abs(noisy - 3.03) <= wide
    assert wide > half


@pytest.mark.parametrize("values", [np.zeros(500), np.linspace(0, 1, 500), np.sin(np.linspace(0, 9, 500))])
def test_what_does_not_swing_has_no_frequency(values: np.ndarray) -> None:
    assert frequency(list(np.linspace(0, 10, 500)), list(values), 0.0) is None


def test_a_peak_between_samples_is_found() -> None:
    t = np.cumsum(np.random.default_rng(2).uniform(0.03, 0.05, 60))
    assert highest(list(t), list(2 * np.sin(4 * t)), 0.5) == pytest.approx(2, abs=1e-4)
    assert highest(list(t), list(t), 0.5) == t[-1]
    assert highest(list(t), list(-t), 1.0) == -t[t >= 1.0][0]
