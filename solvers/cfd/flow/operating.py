"""Where a steady flow settles: the pressure drop that a given flow takes, or the point on the curves of its fans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from solvers.cfd.flow import driving, media  # first, for they load MPI ahead of the bindings

# isort: split
from hub.solver import StageError
from solvers.cfd.flow.boundary import Boundary, Periodic
from solvers.cfd.flow.media import Blower
from solvers.cfd.flow.state import Flow

#: Pressures that are tried, and how close is close enough, as part of the flow or of the pressure.
TRIES, MET = 20, 1e-7
#: The flattest and the steepest way in which pressure drops may grow with the flow: as it does where it creeps, as its
#: square behind edges.
GROWS = (0.5, 3.0)
#: Part of the way to its curve that a fan goes before it is known how the flow answers.
CAUTIOUS = 0.5

#: Finds the flow at what drives it now; told whether to start from the flow that is there.
type Solve = Callable[[bool], None]


def settle(
    flow: Flow, boundary: Boundary, drops: dict[str, float], fans: tuple[Blower, ...], solve: Solve, *, warm: bool
) -> None:
    """Solves as often as it takes to meet what is given; sets `drops` and the rises of the fans. Raises StageError."""
    sought = next((c for c in boundary.conditions if isinstance(c, Periodic) and c.flow_rate is not None), None)
    curves = tuple(f for f in fans if f.condition.curve is not None)
    if sought is not None:
        _at_flow(flow, boundary, sought, drops, solve, warm)
    elif curves:
        _on_curves(boundary, fans, curves, solve, warm)
    else:
        driving.drive(flow, boundary.conditions, drops)
        media.blow(boundary, fans)
        solve(warm)


def _at_flow(flow: Flow, boundary: Boundary, ends: Periodic, drops: dict[str, float], solve: Solve, warm: bool) -> None:
    """By the secant between the logarithms of flow and pressure drop."""
    assert ends.flow_rate is not None
    drop, tried, passes = drops.get(ends.name) or driving.guess(flow, boundary, ends), list[tuple[float, float]](), 0.0
    for turn in range(TRIES):
        drops[ends.name] = drop
        driving.drive(flow, boundary.conditions, drops)
        solve(warm or turn > 0)
        passes = boundary.passing(ends)
        if abs(passes / ends.flow_rate - 1) <= MET:
            return
        growth, missing = 1.0, np.log(10.0)
        if passes > 0:
            tried.append((float(np.log(drop)), float(np.log(passes))))
            missing = np.log(ends.flow_rate / passes)
        if len(tried) > 1 and tried[-1][1] != tried[-2][1]:
            growth = (tried[-1][0] - tried[-2][0]) / (tried[-1][1] - tried[-2][1])
        drop *= float(np.exp(np.clip(growth, *GROWS) * missing))
    raise StageError(
        "no-drop",
        f"No pressure drop was found at which {ends.flow_rate:.4g} m3/s flow through {ends.name}; the last of {TRIES}, "
        f"{drops[ends.name]:.4g} Pa, gave {passes:.4g} m3/s.",
        "Give the pressure drop instead of the flow, or choose regime: unsteady.",
    )


def _on_curves(
    boundary: Boundary, fans: tuple[Blower, ...], curves: tuple[Blower, ...], solve: Solve, warm: bool
) -> None:
    """By a secant for each fan, between its pressure and how far the flow is from the curve there."""
    scale = {f.name: max(f.condition.rise(0.0), 1e-300) for f in curves}
    before: dict[str, tuple[float, float]] = {}
    for f in curves:
        f.rise = f.rise or CAUTIOUS * scale[f.name]
    for turn in range(TRIES):
        media.blow(boundary, fans)
        solve(warm or turn > 0)
        apart = {f.name: f.condition.rise(f.flow_rate()) - f.rise for f in curves}
        if all(abs(apart[f.name]) <= MET * scale[f.name] for f in curves):
            return
        for f in curves:
            step = CAUTIOUS * apart[f.name]
            if f.name in before:
                rise, was = before[f.name]
                if was != apart[f.name]:
                    step = apart[f.name] * (f.rise - rise) / (was - apart[f.name])
            before[f.name] = (f.rise, apart[f.name])
            f.rise = float(np.clip(f.rise + step, 0.2 * f.rise, f.rise + CAUTIOUS * scale[f.name]))
    worst = max(curves, key=lambda f: abs(apart[f.name]) / scale[f.name])
    raise StageError(
        "no-operating-point",
        f"The flow did not settle on the curve of {worst.name}: after {TRIES} tries it is "
        f"{abs(apart[worst.name]):.3g} Pa off at {worst.flow_rate():.4g} m3/s.",
        "Look at the way the fan blows and at the units of its curve, or give its pressure_rise at the flow expected.",
    )
