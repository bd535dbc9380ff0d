"""Error bars of averages over time: neighbours in a series are not independent, blocks of it are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from solvers.dem.grains.conditions import Reals

#: Share of cases in which the truth lies within a bar.
COVERED = 0.95
#: Fewest blocks from which a spread is told, and from which a plateau is looked for.
FEWEST = 8
METHOD, SEEDS = "block averaging, 95 %", "several seeds, 95 %"


def mean(series: Reals) -> tuple[float, float | None]:
    """Mean of a series and half the width of its 95 % bar; None where it is too short to tell.

    The series is halved again and again by averaging neighbours; the largest standard error on the way is taken, for
    those of short blocks are too small. What the mean of the second half differs from the first's is no less than
    the bar: a drift would not show otherwise. H. Flyvbjerg, H. G. Petersen, J. Chem. Phys. 91 (1989) 461.
    """
    x = np.asarray(series, float)
    if len(x) < FEWEST:
        return float(x.mean()) if len(x) else math.nan, None
    value, worst, blocks = float(x.mean()), 0.0, x
    drift = abs(float(x[: len(x) // 2].mean() - x[len(x) // 2 :].mean())) / 2
    while len(blocks) >= FEWEST:
        factor = float(student.ppf(0.5 + COVERED / 2, len(blocks) - 1))
        worst = max(worst, factor * float(blocks.std(ddof=1)) / math.sqrt(len(blocks)))
        even = len(blocks) // 2 * 2
        blocks = blocks[:even].reshape(-1, 2).mean(axis=1)
    return value, max(worst, drift)


def over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """Mean of independent runs and half the width of its 95 % bar. At least two values."""
    x = np.asarray(values, float)
    factor = float(student.ppf(0.5 + COVERED / 2, len(x) - 1))
    return float(x.mean()), factor * float(x.std(ddof=1)) / math.sqrt(len(x))
