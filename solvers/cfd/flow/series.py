"""What a quantity did over time: its mean with the error of a record that ends, its extremes, how often it swings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

type Series = Sequence[float]

#: Numbers of batches whose bands are compared: the widest counts, for batches shorter than the memory of a signal
#: make its mean look better known than it is. With each, Student's t at 95 % of one degree of freedom less.
BATCHES = {6: 2.571, 10: 2.262, 20: 2.093}
#: A swing counts once the signal has been this many standard deviations on both sides of its mean.
SWING = 0.5
#: Periods that differ by less than this part of themselves are those of a regular swing.
REGULAR = 0.02
#: Periods that give a frequency; Student's t at 95 % by the degrees of freedom, from one on.
FEWEST = 3
_STUDENT = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def averaged(times: Series, values: Series, start: float) -> tuple[float, float]:
    """(mean, half width of its 95 % band) over the times after `start`.

    Of a regular swing over its whole periods, by the means of each; else over all, by the means of batches one after
    another: C. Alexopoulos, A. F. Seila, Handbook of Simulation, Wiley 1998, ch. 7.
    """
    t, v = _late(times, values, start)
    if len(t) < 2:
        return float(v[-1]) if len(v) else 0.0, 0.0
    whole = np.concatenate([[0.0], np.cumsum(np.diff(t) * (v[1:] + v[:-1]) / 2)])
    rises = _rises(t, v)
    periods = np.diff(rises)
    if len(periods) >= FEWEST and periods.std() < REGULAR * periods.mean():
        means = np.diff(np.interp(rises, t, whole)) / periods
        mean = float((np.interp(rises[-1], t, whole) - np.interp(rises[0], t, whole)) / (rises[-1] - rises[0]))
        return mean, _band(means)
    half = 0.0
    for batches, student in BATCHES.items():
        edges = np.linspace(t[0], t[-1], batches + 1)
        means = np.diff(np.interp(edges, t, whole)) / np.diff(edges)
        half = max(half, float(student * means.std(ddof=1) / np.sqrt(batches)))
    return float(whole[-1] / (t[-1] - t[0])), half


def frequency(times: Series, values: Series, start: float) -> tuple[float, float] | None:
    """(swings in a second [Hz], half width of its 95 % band) after `start`, or None where there are too few of them.

    A period lies between two upward passages of the mean; the band comes from how they differ.
    """
    periods = np.diff(_rises(*_late(times, values, start)))
    if len(periods) < FEWEST:
        return None
    mean = float(periods.mean())
    return 1 / mean, _band(periods) / mean**2


def highest(times: Series, values: Series, start: float) -> float:
    """The largest value after `start`: the top of the parabola through the largest sample and its neighbours."""
    t, v = _late(times, values, start)
    i = int(v.argmax())
    if not 0 < i < len(v) - 1:
        return float(v[i])
    a, b = t[i] - t[i - 1], t[i + 1] - t[i]
    left, right = (v[i] - v[i - 1]) / a, (v[i + 1] - v[i]) / b
    bend = (right - left) / (a + b)
    slope = (left * b + right * a) / (a + b)
    return float(v[i] - slope**2 / (4 * bend)) if bend < 0 else float(v[i])


def _rises(t: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Times at which the signal passes its mean upwards, between swings well below and well above it."""
    if len(t) < 8 or v.std() <= 1e-12 * np.abs(v).max(initial=0.0):
        return np.empty(0)
    away = (v - _middle(t, v)) / v.std()
    found, low, rise = [], False, 0.0
    for i in range(1, len(away)):
        if away[i - 1] < 0 <= away[i]:
            rise = t[i - 1] - away[i - 1] * (t[i] - t[i - 1]) / (away[i] - away[i - 1])
        if away[i] < -SWING:
            low, rise = True, 0.0
        elif away[i] > SWING and low and rise:
            found.append(rise)
            low = False
    return np.array(found)


def _band(values: np.ndarray) -> float:
    """Half width of the 95 % band of the mean of values."""
    student = _STUDENT[min(len(values) - 2, len(_STUDENT) - 1)]
    return float(student * values.std(ddof=1) / np.sqrt(len(values)))


def _middle(t: np.ndarray, v: np.ndarray) -> float:
    return float((np.diff(t) * (v[1:] + v[:-1]) / 2).sum() / (t[-1] - t[0]))


def _late(times: Series, values: Series, start: float) -> tuple[np.ndarray, np.ndarray]:
    t, v = np.array(times), np.array(values)
    return t[t >= start], v[t >= start]
