"""How far a value on a mesh is from the one on an infinitely fine mesh, judged from three meshes or two.

The procedure is that of I. B. Celik, U. Ghia, P. J. Roache, C. J. Freitas, H. Coleman, P. E. Raad, J. Fluids Eng. 130
(2008) 078001: observed order p from three values, Richardson's extrapolation, grid convergence index (GCI) with the
factor of safety 1.25. Where the values do not converge monotonically with an order that can be trusted, the bar is
three times the range of the values (L. Eca, M. Hoekstra, J. Comput. Phys. 262 (2014) 104). Two meshes show no order:
one is assumed, with the factor of safety 3 (P. J. Roache, J. Fluids Eng. 116 (1994) 405-413).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

#: Factors of safety: with an observed order, and on the range of the values without.
SAFETY, SAFETY_RANGE = 1.25, 3.0
#: Observed orders that are believed as they stand, and the highest the bar is made with: a larger one, which nodes of
#: superconvergence or chance give, would make it too narrow.
LOWEST, HIGHEST = 0.5, 2.0
#: Differences below this share of the value are rounding and what iterations leave.
ROUNDING = 1e-9
#: Of two meshes: how much larger the cells of the second are, factor of safety (it covers first order too), order.
COARSER, SAFETY_TWO, ORDER = 1.4, 3.0, 2


class Convergence(BaseModel):
    """Three values of one quantity, from the finest mesh to the coarsest.

    sizes : representative sizes of cells, finest first; order : observed; extrapolated : by Richardson
    error : half width of the bar of the finest value; relative : the same over the value (the GCI)
    kind : ``monotone``, ``oscillating``, ``diverging``, ``settled`` (differences are rounding), or ``irregular``
        (monotone, with an order too low to be believed)
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["monotone", "oscillating", "diverging", "irregular", "settled"]
    values: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    sizes: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    error: FiniteFloat
    relative: FiniteFloat | None = None
    order: FiniteFloat | None = None
    extrapolated: FiniteFloat | None = None

    @property
    def converged(self) -> bool:
        """The bar comes from an observed order, not from the range of the values."""
        return self.kind in ("monotone", "settled")


def judge(values: Sequence[float], sizes: Sequence[float]) -> Convergence:
    """The convergence of three values on meshes of three sizes, in any order of them. Raises ValueError."""
    if len(values) != 3 or len(sizes) != 3 or len(set(sizes)) != 3 or min(sizes) <= 0:
        raise ValueError("three values on meshes of three different sizes are needed")
    (h1, f1), (h2, f2), (h3, f3) = sorted(zip(sizes, values, strict=True))
    r21, r32 = h2 / h1, h3 / h2
    e21, e32 = f2 - f1, f3 - f2
    scale = max(abs(f1), abs(f2), abs(f3))
    given = {"values": (f1, f2, f3), "sizes": (h1, h2, h3)}
    spread = max(abs(e21), abs(e32), abs(f3 - f1))
    if spread <= ROUNDING * scale:
        return Convergence(kind="settled", error=spread, relative=spread / scale if scale else None, **given)

    def without_order(kind: Literal["oscillating", "diverging", "irregular"], order: float | None) -> Convergence:
        error = SAFETY_RANGE * spread
        return Convergence(kind=kind, error=error, relative=error / abs(f1) if f1 else None, order=order, **given)

    if e21 * e32 < 0:
        return without_order("oscillating", None)
    if e32 == 0 or e21 == 0:
        return without_order("irregular", None)
    order = observed_order(e32 / e21, r21, r32)
    if order <= 0:
        return without_order("diverging", order)
    if order < LOWEST:
        return without_order("irregular", order)
    p = min(order, HIGHEST)
    error = SAFETY * abs(e21) / (r21**p - 1)
    return Convergence(
        kind="monotone",
        error=error,
        relative=error / abs(f1) if f1 else None,
        order=order,
        extrapolated=f1 - e21 / (r21**p - 1),
        **given,
    )


def bar_of_two(value: float, coarser: float, ratio: float = COARSER) -> float:
    """Half width of the bar of a value, from the same on a mesh whose cells are larger by a ratio."""
    return SAFETY_TWO * abs(coarser - value) / (ratio**ORDER - 1)


def observed_order(ratio: float, r21: float, r32: float) -> float:
    """p of ``e32 / e21 = (r32^p - 1) r21^p / (r21^p - 1)``, negative where values move apart. Found by bisection."""

    def off(p: float) -> float:
        if abs(p) < 1e-12:
            return math.log(math.log(r32) / math.log(r21)) - math.log(ratio)
        return math.log((r32**p - 1) / (1 - r21**-p)) - math.log(ratio)

    low, high = -20.0, 20.0  # off grows with p
    if off(high) < 0:
        return high
    if off(low) > 0:
        return low
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if off(middle) < 0 else (low, middle)
    return (low + high) / 2
