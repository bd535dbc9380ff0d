"""From the conditions of a case to what holds at the boundary of a flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from solvers.cfd.flow import boundary as at  # first, for it loads MPI ahead of the bindings
from solvers.cfd.flow import energy

# isort: split
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

from hub.italian import say
from hub.result import Words
from hub.solver import BoundCase, StageError
from hub.table import Table
from solvers.cfd.flow.checks import judge_reynolds
from solvers.cfd.flow.conditions import FLOW, Inlet, Outlet, Periodic, Slip, Symmetry, Wall, fluid_of
from solvers.cfd.flow.periodic import pairs
from solvers.cfd.flow.state import Flow, Fluid, Reals
from solvers.fem.mesh import Part

#: What in a box around a part holds where no condition says otherwise: all else are walls at rest.
SLIPS = ("far sides", "symmetry")


def fluid(bound: BoundCase) -> Fluid:
    """The fluid of a case."""
    material = fluid_of(bound)
    assert material.density is not None and material.dynamic_viscosity is not None
    return Fluid(material.density, material.dynamic_viscosity)


def names(bound: BoundCase) -> dict[int, str]:
    """Number of a condition of the flow -> a name that no other has."""
    found: dict[int, str] = {}
    for i, c in enumerate(bound.conditions):
        if isinstance(c, FLOW):
            name = c.name or f"{c.kind}, {', '.join(c.on)}"
            found[i] = f"{name} ({i + 1})" if name in found.values() else name
    return found


def conditions(bound: BoundCase, part: Part) -> list[at.Condition]:
    """What holds at the boundary of the fluid. Raises StageError where a table does not fit."""
    found: list[at.Condition] = []
    for i, name in names(bound).items():
        c = bound.conditions[i]
        match c:
            case Inlet():
                found.append(_inlet(bound, part, c, name))
            case Outlet():
                found.append(at.Outlet(name, c.on, c.pressure))
            case Periodic():
                found.append(_periodic(bound, part, c, name))
            case Slip() | Symmetry():
                found.append(at.Slip(name, c.on))
            case Wall(rotation=None):
                found.append(at.Wall(name, c.on, c.velocity or (0.0, 0.0, 0.0)))
            case Wall():
                turn = c.rotation
                found.append(at.Wall(name, c.on, turning=(turn.about, turn.axis, turn.speed)))
    if bound.case.domain.kind == "around":
        taken = {n for c in bound.conditions if isinstance(c, FLOW) for n in c.on}
        found += [at.Slip(n, (n,)) for n in SLIPS if n not in taken and part.file.selections.get(n)]
    return found


def _inlet(bound: BoundCase, part: Part, c: Inlet, name: str) -> at.Inlet:
    density = fluid(bound).density
    speed, rate, direction = c.velocity, c.volume_flow, None
    profile: str | at.Profile = c.profile or ("uniform" if bound.case.domain.kind == "around" else "developed")
    if c.mass_flow is not None:
        rate = c.mass_flow / density
    if c.vector is not None:
        profile, direction, speed = "uniform", c.vector, float(np.linalg.norm(c.vector))
    if c.table is not None:
        profile = _measured(c.table, part, c.on, name)
    history: at.History = at.always
    if c.history is not None:
        column = next(n for n in c.history.names if n != "t")
        match column:
            case "u":
                speed = 1.0
            case "Q" | "m":
                rate = 1.0
        scale = 1 / density if column == "m" else 1.0
        history = _over_time(c, column, scale)
    return at.Inlet(name, c.on, profile, speed, rate, direction, history)


def _periodic(bound: BoundCase, part: Part, c: Periodic, name: str) -> at.Periodic:
    pair = next((pair for pair in pairs(part) if pair["on"] == list(c.on)), None)
    if pair is None:
        raise StageError(
            "not-periodic",
            f"{name} goes on in nothing: the mesh was made without it.",
            "Run the case again, with a mesh of its own.",
        )
    dim, area = part.mesh.geometry.dim, energy.area(part, part.facets_of(pair["low"]))
    rate = c.volume_flow
    if c.mass_flow is not None:
        rate = c.mass_flow / fluid(bound).density
    if c.velocity is not None:
        rate = c.velocity * area
    return at.Periodic(name, c.on, tuple(pair["low"]), tuple(pair["shift"][:dim]), area, c.pressure_drop or 0.0, rate)


def drive(flow: Flow, conditions: Sequence[at.Condition], drops: Mapping[str, float]) -> None:
    """Sets what drives the flow between periodic ends: the least acceleration that gives each its pressure drop.

    drops : name of a condition -> pressure drop [Pa], of those whose own is not known
    """
    ends = [c for c in conditions if isinstance(c, at.Periodic)]
    if ends:
        fall = np.array([drops.get(c.name, c.pressure_drop) for c in ends]) / flow.fluid.density
        flow.driven(np.linalg.lstsq(np.array([c.shift for c in ends]), fall, rcond=None)[0])


def guess(flow: Flow, boundary: at.Boundary, ends: at.Periodic) -> float:
    """About the pressure drop that a creeping flow needs [Pa]: walls slow the mean at the rate 2 nu (walls / volume)^2,
    which is 8 nu / R^2 in a pipe."""
    assert ends.flow_rate is not None
    length = float(np.linalg.norm(ends.shift))
    rate = 2 * flow.fluid.nu * max(boundary.walls_by_volume(), 0.1 / length) ** 2
    return float(flow.fluid.density * rate * length * ends.flow_rate / ends.area)


def _over_time(c: Inlet, column: str, scale: float) -> at.History:
    curve = c.over_time(column)
    return lambda t: scale * curve(t)


def _measured(table: Table, part: Part, on: Sequence[str], name: str) -> at.Profile:
    """Speeds of a table between its points; on its own side of the outermost ones, theirs."""
    speed = np.array(table.column("u", "m/s"))
    corners = _corners(part, on)
    middle = corners.mean(axis=0)
    if "r" in table.names:
        radius = np.array(table.column("r", "m"))
        order = np.argsort(radius)
        far = float(np.linalg.norm(corners - middle, axis=1).max())
        _covers(name, radius.max(), far)
        return lambda x: np.interp(np.linalg.norm(x - middle, axis=1), radius[order], speed[order])
    axes = ["xyz".index(n) for n in table.names if n != "u"]
    points = np.column_stack([table.column("xyz"[a], "m") for a in axes])
    spread = corners[:, axes].max(axis=0) - corners[:, axes].min(axis=0)
    for a, wide in zip(axes, spread, strict=True):
        held = points[:, axes.index(a)]
        if wide > 0 and (
            held.min() > corners[:, a].min() + 0.2 * wide or held.max() < corners[:, a].max() - 0.2 * wide
        ):
            raise StageError(
                "table-too-small",
                f"The table of {name} reaches from {1e3 * held.min():.4g} to {1e3 * held.max():.4g} mm in {'xyz'[a]}, "
                f"the inlet from {1e3 * corners[:, a].min():.4g} to {1e3 * corners[:, a].max():.4g} mm.",
                "Give speeds over the whole inlet, in the coordinates of the part; check the unit in the first line.",
            )
    wide_axes = [k for k, s in enumerate(spread) if s > 1e-9 * spread.max()]
    points = points[:, wide_axes]
    axes = [axes[k] for k in wide_axes]
    if len(axes) == 1:
        order = np.argsort(points[:, 0])
        return lambda x: np.interp(x[:, axes[0]], points[order, 0], speed[order])
    inside, beyond = LinearNDInterpolator(points, speed), NearestNDInterpolator(points, speed)

    def profile(x: Reals) -> Reals:
        value = inside(x[:, axes])
        return np.where(np.isnan(value), beyond(x[:, axes]), value)

    return profile


def _corners(part: Part, on: Sequence[str]) -> Reals:
    """(n, 3) nodes of the mesh file on selections [m]."""
    file = part.file
    faces = [f for n in on for f in file.selections[n]]
    return file.points[np.unique(file.facets[np.isin(file.facet_face, faces)])]


def _covers(name: str, table: float, far: float) -> None:
    if not 0.8 * far <= table:
        raise StageError(
            "table-too-small",
            f"The table of {name} ends at a radius of {1e3 * table:.4g} mm, the inlet at {1e3 * far:.4g} mm.",
            "Give speeds up to the wall; check the unit in the first line.",
        )


# --- how fast it is ---------------------------------------------------------------------------------------------


def reynolds(
    bound: BoundCase, flow_boundary: at.Boundary, flow_rate: Callable[[at.Inlet | at.Periodic], float]
) -> tuple[float, float, float]:
    """(speed [m/s], length [m], Reynolds number) of the largest inlet, or of what passes periodic ends; by reference
    speed and length alone where there is neither; zeros where it is not known.

    The length is the reference length if there is one; else in a duct the inlet's hydraulic diameter, 4 area / wetted
    rim (twice the gap in a plane); between periodic ends 4 volume / wetted walls, which is the same in a duct; around a
    part what the flow sees of it across.
    """
    part, dim = flow_boundary.flow.part, flow_boundary.flow.dim
    inlets = [c for c in flow_boundary.conditions if isinstance(c, (at.Inlet, at.Periodic)) and flow_rate(c) > 0]
    if not inlets:
        speed, length = bound.params.reference_speed or 0.0, bound.params.reference_length or 0.0
        return (speed, length, speed * length / flow_boundary.flow.fluid.nu) if speed * length else (0.0, 0.0, 0.0)
    inlet = max(inlets, key=flow_rate)
    file = part.file
    faces = inlet.low if isinstance(inlet, at.Periodic) else [f for n in inlet.on for f in file.selections[n]]
    facets = file.facets[np.isin(file.facet_face, faces)]
    area = flow_boundary.size_of(part.facets_of(faces))
    speed = bound.params.reference_speed or flow_rate(inlet) / area
    length = bound.params.reference_length or 0.0
    if not length and bound.case.domain.kind == "around":
        corners = _corners(part, ["part"])
        box = corners.max(axis=0) - corners.min(axis=0)
        along = np.abs(np.array(bound.case.domain.along))
        length = float(max((1 - along)[:dim] * box[:dim]))
    if not length and isinstance(inlet, at.Periodic):
        walls = flow_boundary.walls_by_volume()
        length = 4 / walls if walls else float(np.linalg.norm(inlet.shift))
    if not length:
        free = [c for c in flow_boundary.conditions if isinstance(c, (at.Slip, at.Periodic)) and c is not inlet]
        slip = [f for c in free for n in c.on for f in file.selections[n]]
        length = 2 * area if dim == 2 else 4 * area / max(_rim(file, facets, slip), 1e-300)
        if dim == 2 and _meets(file, facets, slip):
            length *= 2  # a symmetry line halves the gap
    return speed, length, speed * length / flow_boundary.flow.fluid.nu


def _sides(facets: Reals) -> Reals:
    return np.sort(np.concatenate([facets[:, [0, 1]], facets[:, [1, 2]], facets[:, [0, 2]]]), axis=1)


def _rim(file, facets: Reals, slip: Sequence[int]) -> float:  # type: ignore[no-untyped-def]
    """Length of the rim of facets in space that is not on slip faces [m]."""
    edges, count = np.unique(_sides(facets), axis=0, return_counts=True)
    rim = edges[count == 1]
    free = _sides(file.facets[np.isin(file.facet_face, slip)])
    size = len(file.points)
    rim = rim[~np.isin(rim[:, 0] * size + rim[:, 1], free[:, 0] * size + free[:, 1])]
    return float(np.linalg.norm(file.points[rim[:, 1]] - file.points[rim[:, 0]], axis=1).sum())


def _meets(file, facets: Reals, slip: Sequence[int]) -> bool:  # type: ignore[no-untyped-def]
    return bool(np.isin(facets[:, :2], file.facets[np.isin(file.facet_face, slip)][:, :2]).any())


def judge(bound: BoundCase, number: float) -> list[Words]:
    """What is doubtful about a Reynolds number. Raises StageError where no honest answer is to be had."""
    doubts = []
    for problem in judge_reynolds(bound, number):
        if problem.severity == "error":
            raise StageError(problem.code, f"This is {problem.found}; {problem.expected}.", problem.todo)
        expected = f"{say(problem.found)}; atteso: {say(problem.expected)}"
        doubts.append(Words(en=str(problem), it=f"{problem.where}: {expected}. {say(problem.todo)}"))
    return doubts
