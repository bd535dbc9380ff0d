"""A case solved: its flow, and what the flow carries, steady or over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from solvers.cfd.flow import (
    energy,
    media,
    operating,
    steady,
    unsteady,
)  # first, for they load MPI ahead of the bindings

# isort: split
from dolfinx import fem
from mpi4py import MPI

from hub.result import Words
from hub.runfolder import Attempt
from hub.solver import BoundCase, StageError
from solvers.cfd import gaps
from solvers.cfd.flow import checkpoint, driving
from solvers.cfd.flow.boundary import Boundary, Inlet, Periodic
from solvers.cfd.flow.buoyancy import Coupled
from solvers.cfd.flow.conditions import buoyant, fluid_of, mixes, thermal
from solvers.cfd.flow.energy import Bodies
from solvers.cfd.flow.forces import Forces
from solvers.cfd.flow.monitor import Monitor
from solvers.cfd.flow.state import Flow, Reals
from solvers.cfd.flow.steady import Convergence
from solvers.cfd.flow.transport import Transport
from solvers.fem.mesh import Part

#: Turns between flow and heat in space, and the part of a change that is taken, before they are given up.
TURNS, TAKEN = 60, 0.7
#: Boussinesq's approximation is doubted where expansion times the difference of temperature is above this.
BOUSSINESQ = 0.1


@dataclass
class Solved:
    """A solved flow. Collective over the mesh.

    bodies : the mesh, whole and of the fluid alone; carrier : the velocity on the whole mesh
    reynolds : (speed [m/s], length [m], number) of the largest inlet
    series : name of a quantity -> its values at `times` [s], of an unsteady run
    drops : periodic condition -> pressure drop from end to end [Pa]
    passed, lost : of an unsteady run, the largest flow and the largest net flow of all its steps [m3/s]
    """

    bound: BoundCase
    bodies: Bodies
    flow: Flow
    boundary: Boundary
    carrier: fem.Function
    heat: Transport | None = None
    dye: Transport | None = None
    age: Transport | None = None
    convergence: Convergence | None = None
    reynolds: tuple[float, float, float] = (0.0, 0.0, 0.0)
    drops: dict[str, float] = field(default_factory=dict)
    fans: tuple[media.Blower, ...] = ()
    doubts: list[Words] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=dict)
    steps: int = 0
    passed: float = 0.0
    lost: float = 0.0

    def __post_init__(self) -> None:
        self.forces = Forces(self.flow, self.boundary)

    @property
    def part(self) -> Part:
        """The fluid's mesh."""
        return self.flow.part

    @property
    def unknowns(self) -> int:
        carried = [t.S.dofmap.index_map.size_global for t in (self.heat, self.dye, self.age) if t is not None]
        return self.flow.unknowns + sum(carried)


def prepare(bound: BoundCase, bodies: Bodies, degree: int) -> Solved:
    """The equations of a case, nothing solved. Raises StageError where case and mesh do not go together."""
    flow = Flow(bodies.fluid, driving.fluid(bound), degree)
    media.resist(bound, flow)
    boundary = Boundary(flow, driving.conditions(bound, bodies.fluid))
    found = Solved(bound, bodies, flow, boundary, energy.velocity_on(bodies, flow), fans=media.fans(bound, flow))
    found.drops = {c.name: c.pressure_drop for c in boundary.conditions if isinstance(c, Periodic)}
    driving.drive(flow, boundary.conditions, found.drops)
    media.blow(boundary, found.fans)
    found.reynolds = driving.reynolds(bound, boundary, _rate_of(boundary))
    found.doubts += driving.judge(bound, found.reynolds[2])
    if narrow := gaps.judge(bodies.whole.file.numbers, bound.conditions):
        found.doubts.append(narrow)
        if bodies.whole.mesh.comm.rank == 0:
            print(f"warning: {narrow['en']}", flush=True)
    if thermal(bound):
        found.heat = energy.temperature(bound, bodies, found.carrier, degree)
    return found


def _rate_of(boundary: Boundary) -> Callable[[Inlet | Periodic], float]:
    """What enters through an inlet, at its largest within a run, or passes periodic ends, so far as is known [m3/s]."""

    def rate(inlet: Inlet | Periodic) -> float:
        flow = boundary.flow
        if isinstance(inlet, Periodic):
            return inlet.flow_rate or abs(boundary.passing(inlet))
        u = np.zeros((len(boundary.x), flow.dim))
        holding = next(h for h in boundary.holdings if h.condition is inlet)
        u[holding.nodes] = holding.shape
        largest = max(abs(inlet.history(t)) for t in np.linspace(0.0, 10.0, 201))
        return abs(boundary.flow_rate(boundary.flux_weights(boundary.facets[inlet.name]), u)) * largest

    return rate


# --- steady -----------------------------------------------------------------------------------------------------


def solve_steady(
    found: Solved,
    watch: steady.Watch,
    start: Solved | None = None,
    *,
    sturdy: bool = True,
    doing: steady.Doing = steady.untold,
) -> None:
    """Solve for everything. Raises StageError where there is nothing to be found.

    start : a solution of another degree on the same mesh, to begin with; sturdy : whether more than one way is tried
    doing : told which way is tried, where it is not the first
    """
    bound, tolerance = found.bound, found.bound.params.tolerance
    if start is not None:
        found.flow.u.interpolate(start.flow.u)
        found.flow.p.interpolate(start.flow.p)
        if found.heat is not None and start.heat is not None:
            held = found.heat.s.x.array[found.heat.held].copy()
            found.heat.s.interpolate(start.heat.s)
            found.heat.s.x.array[found.heat.held] = held
    if buoyant(bound):
        _together(found, watch, doing, warm=start is not None)
    else:

        def solve(warm: bool) -> None:
            found.convergence = steady.solve(
                found.flow, found.boundary, tolerance=tolerance, watch=watch, warm=warm, sturdy=sturdy, doing=doing
            )

        if start is not None:
            found.drops = dict(start.drops)
            for mine, theirs in zip(found.fans, start.fans, strict=True):
                mine.rise = theirs.rise
        operating.settle(found.flow, found.boundary, found.drops, found.fans, solve, warm=start is not None)
        _passed(found)
        energy.carry(found.bodies, found.flow, found.carrier)
        if found.heat is not None:
            found.heat.solve()
    if mixes(bound):
        found.dye = energy.concentration(bound, found.flow)
        found.dye.solve()
    if bound.params.residence_time:
        found.age = energy.residence_time(bound, found.flow)
        found.age.solve()


def _passed(found: Solved) -> None:
    """The Reynolds number of what passes periodic ends or fans, which only the flow itself says. Raises StageError."""
    if not found.reynolds[2] and (found.drops or found.fans):
        found.reynolds = driving.reynolds(found.bound, found.boundary, _rate_of(found.boundary))
        if not found.reynolds[2] and found.fans:
            fan = max(found.fans, key=lambda f: abs(f.flow_rate()) / f.area)
            across = 2 * fan.area if found.flow.dim == 2 else float(np.sqrt(4 * fan.area / np.pi))
            length = found.bound.params.reference_length or across
            speed = abs(fan.flow_rate()) / fan.area
            found.reynolds = speed, length, speed * length / found.flow.fluid.nu
        found.doubts += driving.judge(found.bound, found.reynolds[2])


def _lift(bound: BoundCase) -> tuple[float, Reals]:
    """Expansion [1/K] and gravity [m/s2]."""
    return float(fluid_of(bound).volumetric_expansion or 0.0), np.array(bound.params.gravity)


def push_up(found: Solved, theta: Reals | None = None) -> None:
    """Sets the flow's force to the lift of the temperature. theta : (nodes of the heat,) above the level [K]"""
    assert found.heat is not None
    beta, gravity = _lift(found.bound)
    warm = fem.Function(found.heat.S)
    warm.x.array[:] = found.heat.s.x.array if theta is None else theta
    here = fem.Function(found.flow.S)
    cells = np.arange(len(found.bodies.cells), dtype=np.int32)
    here.interpolate(warm, cells0=found.bodies.cells, cells1=cells)
    lift = -beta * here.x.array[:, None] * gravity[: found.flow.dim]
    found.flow.force.x.array.reshape(-1, found.flow.dim)[:] = lift + found.flow.drive
    found.flow.force.x.scatter_forward()


def _together(found: Solved, watch: steady.Watch, doing: steady.Doing, warm: bool) -> None:
    bound, bodies, heat = found.bound, found.bodies, found.heat
    assert heat is not None
    if not warm:
        heat.solve()  # by conduction alone
    if found.flow.dim == 3:
        _by_turns(found, watch, doing)
    else:
        whole = found.flow if not bodies.conjugate else Flow(bodies.whole, found.flow.fluid, found.flow.degree)
        boundary = found.boundary
        none = np.empty(0, dtype=np.int32)
        still = (none, none)
        if bodies.conjugate:
            media.resist(bound, whole)
            boundary = Boundary(whole, driving.conditions(bound, bodies.whole))
            driving.drive(whole, boundary.conditions, found.drops)
            media.blow(boundary, media.fans(bound, whole))
            still = (_in_solids(bodies, whole.S), _only_in_solids(bodies, whole.Q))
            heat = energy.temperature(bound, bodies, whole.u, found.flow.degree)
            heat.s.x.array[:] = found.heat.s.x.array
        beta, gravity = _lift(bound)
        coupled = Coupled(whole, boundary, heat, still, beta, tuple(gravity), watch)
        found.convergence = coupled.solve(bound.params.tolerance)
        if bodies.conjugate:
            cells = np.arange(len(bodies.cells), dtype=np.int32)
            for mine, theirs in ((found.flow.u, whole.u), (found.flow.p, whole.p)):
                mine.interpolate(theirs, cells0=bodies.cells, cells1=cells)
                mine.x.scatter_forward()
            energy.carry(bodies, found.flow, found.carrier)
            found.heat.s.x.array[:] = heat.s.x.array
    push_up(found)
    # the reaction of the walls, for their forces
    again = steady.Newton(found.flow, found.boundary, lambda step, residual: None)
    again.convection.value = 1.0
    again.residual()
    _doubt_boussinesq(found)


def _in_solids(bodies: Bodies, space: fem.FunctionSpace) -> np.ndarray:
    """Nodes of solids, those they share with the fluid too."""
    solid = np.setdiff1d(np.arange(len(space.dofmap.list)), bodies.cells)
    return np.unique(space.dofmap.list[solid]).astype(np.int32)


def _only_in_solids(bodies: Bodies, space: fem.FunctionSpace) -> np.ndarray:
    return np.setdiff1d(_in_solids(bodies, space), np.unique(space.dofmap.list[bodies.cells])).astype(np.int32)


def _by_turns(found: Solved, watch: steady.Watch, doing: steady.Doing) -> None:
    """Flow and heat in turns, in space: for the gentle lift of mixed convection."""
    heat, tolerance, last = found.heat, max(found.bound.params.tolerance, 1e-6), np.inf
    assert heat is not None
    theta = heat.s.x.array.copy()
    for turn in range(TURNS):
        push_up(found, theta)
        found.convergence = steady.solve(
            found.flow, found.boundary, tolerance=1e-8, watch=watch, warm=turn > 0, doing=doing
        )
        energy.carry(found.bodies, found.flow, found.carrier)
        heat.solve()
        own = slice(0, heat.own)
        change = heat.s.x.array - theta
        moved, size = (float(np.sqrt(heat.comm.allreduce(float(a[own] @ a[own])))) for a in (change, heat.s.x.array))
        if moved <= tolerance * max(size, 1e-300):
            return
        if turn > 8 and moved > last:
            break
        last = moved
        theta += TAKEN * change
    raise StageError(
        "no-steady-flow",
        "Flow and heat, solved in turns, did not settle: the lift is too strong for that.",
        "Choose regime: unsteady; or solve a plane section, where both are solved together.",
    )


def _doubt_boussinesq(found: Solved) -> None:
    heat = found.heat
    assert heat is not None
    s = heat.s.x.array[: heat.own]
    spread = heat.comm.allreduce(float(np.abs(s).max(initial=0.0)), op=MPI.MAX)
    beta, _ = _lift(found.bound)
    if beta * spread > BOUSSINESQ:
        far, limit = f"{beta * spread:.2g}", f"{BOUSSINESQ:g}"
        found.doubts.append(
            Words(
                en=f"Temperatures lie up to {spread:.0f} K from where the density is the material's: expansion times "
                f"that is {far}, and the Boussinesq approximation is good below {limit}.",
                it=f"Le temperature distano fino a {spread:.0f} K da quella a cui vale la densità del materiale: "
                f"moltiplicato per la dilatazione fa {far.replace('.', ',')}, e l'approssimazione di Boussinesq è "
                f"buona sotto {limit.replace('.', ',')}.",
            )
        )


# --- over time ------------------------------------------------------------------------------------------------


def solve_over_time(
    found: Solved,
    attempt: Attempt | None,
    live: Mapping[str, Callable[[], float]],
    *,
    slower: float = 1.0,
    name: str = "flow",
    each: Callable[[float], None] = lambda t: None,
) -> None:
    """March to the end time; goes on from the attempt's earlier checkpoint.

    live : name of a quantity -> its value now, recorded at each step
    slower : times the steps that the case asks for; name : of the checkpoint; each : told the time after each step
    """
    params, bodies = found.bound.params, found.bodies
    heat, rises = found.heat, buoyant(found.bound)
    dt = slower * params.time_step if params.time_step else None
    settings = unsteady.Settings(params.end_time, slower * params.courant, dt, params.turbulence)
    march = unsteady.March(found.flow, found.boundary, settings)
    monitor = Monitor(attempt, found.boundary, name == "flow")
    kept: dict[str, fem.Function] = {}
    before = None
    if heat is not None:
        # at the beginning everything has the temperature of what enters first, or the level
        before = fem.Function(heat.S)
        kept = {"temperature": heat.s, "temperature before": before}
        before.x.array[:] = heat.s.x.array
    data = checkpoint.load(attempt.earlier if attempt else None, march, kept, name)
    if data is not None:
        found.times[:], found.series = data["times"], data["series"]
    last = {"dt": data["dt"] if data else 0.0}

    def each_step(march: unsteady.March) -> None:
        dt = march.control.last
        if heat is not None and before is not None:
            energy.carry(bodies, found.flow, found.carrier)
            r = dt / last["dt"] if last["dt"] else 0.0
            a = ((1 + 2 * r) / (1 + r), -(1 + r), r * r / (1 + r))
            old = heat.s.x.array.copy()
            heat.step(a[0] / dt, -(a[1] * old + a[2] * before.x.array) / dt)
            before.x.array[:] = old
            if rises:
                # what the next step will find in its middle of order two
                push_up(found, 2 * heat.s.x.array - old)
        last["dt"] = dt
        values = {name: value() for name, value in live.items()}
        found.times.append(march.flow.t)
        for name, value in values.items():
            found.series.setdefault(name, []).append(value)
        monitor.step(march, values)
        each(march.flow.t)
        if attempt is not None and (march.control.step % checkpoint.EVERY == 0 or march.done):
            data = {"times": found.times, "series": found.series, "dt": dt}
            checkpoint.save(attempt.checkpoint, march, kept, data, name)

    unsteady.run(found.flow, found.boundary, settings, each_step=each_step, march=march)
    found.steps, found.passed, found.lost = march.control.step, march.control.passed, march.control.lost
    _passed(found)
    if rises:
        _doubt_boussinesq(found)
