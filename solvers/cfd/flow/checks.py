"""What is wrong with a flow case of the right form, found before anything is meshed or solved."""

from __future__ import annotations

from collections.abc import Iterator

from hub.case import BROUGHT, Wanted
from hub.problem import Problem
from hub.solver import BoundCase
from solvers.cfd.flow.conditions import (
    FLOW,
    WANTED,
    Fan,
    Inlet,
    Outlet,
    Params,
    Periodic,
    Radiation,
    Wall,
    buoyant,
    is_fluid,
    mixes,
    thermal,
)
from solvers.fem.heat.conditions import Convection, Dissipation, HeatSource, Temperature

#: Reynolds numbers, by the mean speed and the hydraulic diameter or the reference length: above the first a steady
#: laminar flow is doubtful (pipes turn turbulent near 2300), above the second it is not to be had; above the third
#: resolved large eddies need more cells than a few cores carry.
DOUBTFUL, NOT_STEADY, NOT_RESOLVED = 2.0e3, 4.0e3, 2.0e5

#: What a quantity needs: kinds that need a selection, a point, both, heat, a scalar.
_ON = {"volume_flow", "mass_flow", "force", "force_coefficient", "moment", "wall_shear_stress", "heat_flow", "nusselt"}
_ON |= {"uniformity", "reattachment", "frequency", "strouhal"}
_AT = {"velocity", "moment", "reattachment"}
_EITHER = {"pressure", "pressure_drop", "concentration", "residence_time"}
_SWINGING = ("frequency", "strouhal")
_COMPONENTS = {
    "velocity": ("magnitude", "x", "y", "z"),
    "force": ("magnitude", "x", "y", "z"),
    "force_coefficient": ("x", "y", "z"),
    "frequency": ("x", "y", "z"),
    "strouhal": ("x", "y", "z"),
    "moment": ("x", "y", "z"),
    "wall_shear_stress": ("mean", "max"),
    "reattachment": ("x", "y", "z"),
}


def find_problems(bound: BoundCase) -> Iterator[Problem]:
    """What is wrong or doubtful. Pure and quick: neither geometry nor mesh is known."""
    fluids = {id(m): m for _, m in bound.materials if is_fluid(m)}.values()
    if not fluids:
        yield Problem(
            where="bodies",
            found="no material with a dynamic viscosity",
            expected="a fluid, such as water-20c or air-20c",
            todo="Give the body that flows a fluid; `officina materials` lists them.",
            code="no-fluid",
        )
        return
    if len({m.name for m in fluids}) > 1:
        yield Problem(
            where="bodies",
            found=f"the fluids {' and '.join(sorted({m.name for m in fluids}))}",
            expected="one fluid; other bodies may be solids",
            todo="Two fluids that touch or do not mix need another method: run them as two cases.",
            code="two-fluids",
        )
    yield from _properties(bound)
    yield from _driven(bound)
    yield from _contradictions(bound)
    yield from _time(bound.params, flat=bound.case.domain.kind == "plane")
    yield from _heat(bound)
    yield from _reynolds(bound)
    for i, wanted in enumerate(bound.case.quantities):
        yield from _wanted(bound, f"quantities[{i}]", wanted)


def _properties(bound: BoundCase) -> Iterator[Problem]:
    needed = {"density": "of every fluid"}
    if thermal(bound):
        needed |= {"thermal_conductivity": "where temperatures are solved for"}
        needed |= {"specific_heat": "where temperatures are solved for"}
    if buoyant(bound):
        needed |= {"volumetric_expansion": "where warm fluid rises"}
    for i, (_, material) in enumerate(bound.materials):
        for name, why in needed.items():
            solid_needs = name == "thermal_conductivity" or (
                bound.params.regime == "unsteady" and name != "volumetric_expansion"
            )
            if getattr(material, name) is None and (is_fluid(material) or (thermal(bound) and solid_needs)):
                yield Problem(
                    where=f"bodies[{i}].material.{name}",
                    found="nothing",
                    expected=name.replace("_", " "),
                    todo=f"It is needed {why}.",
                    code="missing-property",
                )


def _driven(bound: BoundCase) -> Iterator[Problem]:
    kinds = {type(c) for c in bound.conditions}
    moving = any(isinstance(c, Wall) and (c.velocity or c.rotation) for c in bound.conditions)
    moving = moving or any(isinstance(c, Fan) or (isinstance(c, Periodic) and c.drives) for c in bound.conditions)
    if Inlet in kinds and Outlet not in kinds:
        todo = "Add an outlet: a face where the fluid leaves, with its pressure (0 Pa above the surroundings for most)."
        yield Problem(where="conditions", found="an inlet and no outlet", expected="an outlet with a pressure",
                      todo=todo, code="no-outlet")  # fmt: skip
    pressures = {c.pressure for c in bound.conditions if isinstance(c, Outlet)}
    if not (Inlet in kinds or moving or buoyant(bound) or len(pressures) > 1):
        found = "outlets at one pressure and nothing else" if pressures else "nothing that moves the fluid"
        yield Problem(
            where="conditions",
            found=found,
            expected="an inlet, outlets at different pressures, a pressure drop or a flow between periodic ends, a "
            "fan, a moving wall, or heat and gravity",
            todo="Say what drives the flow.",
            code="not-driven",
        )
    yield from _periodic(bound)
    yield from _fans(bound)
    for i, c in enumerate(bound.conditions):
        if isinstance(c, Inlet) and c.vector is not None and not any(c.vector):
            yield Problem(where=f"conditions[{i}].vector", found="0, 0, 0", expected="a velocity", code="zero",
                          todo="Without flow this is a wall.")  # fmt: skip
        if isinstance(c, Inlet) and c.history is not None and bound.params.regime == "steady":
            yield Problem(
                where=f"conditions[{i}].history",
                found="a history in a steady run",
                expected="a steady inlet, or regime: unsteady",
                todo="Set parameters.regime to unsteady and give end_time, or remove the history.",
                code="steady-history",
            )
        if bound.case.domain.kind == "inside" and isinstance(c, (Inlet, Outlet, Periodic)):
            for name in c.on:
                if name not in bound.case.domain.openings:
                    yield Problem(
                        where=f"conditions[{i}].on",
                        found=f"{name}, which is no opening",
                        expected=f"one of the openings {', '.join(bound.case.domain.openings)}",
                        todo="List it under domain.openings: the fluid then ends there.",
                        code="not-an-opening",
                    )
    if bound.case.domain.kind == "inside":
        named = {name for c in bound.conditions if isinstance(c, FLOW) for name in c.on}
        for i, name in enumerate(bound.case.domain.openings):
            if name not in named:
                yield Problem(
                    where=f"domain.openings[{i}]",
                    found=f"{name}, for which no condition says what happens there",
                    expected="an inlet, an outlet, a periodic end or a wall on every opening",
                    todo="An opening without a condition is closed by a wall; say so with kind: wall if it is meant.",
                    severity="warning",
                    code="closed-opening",
                )


def _fans(bound: BoundCase) -> Iterator[Problem]:
    """A curve is followed by solving for the steady flow again and again."""
    flows = any(isinstance(c, Periodic) and c.flows for c in bound.conditions)
    for i, c in enumerate(bound.conditions):
        if not isinstance(c, Fan) or c.curve is None:
            continue
        for wrong, found in (
            (bound.params.regime == "unsteady", "the curve of a fan in an unsteady run"),
            (buoyant(bound), "the curve of a fan where warm fluid rises"),
            (flows, "the curve of a fan, and a flow between periodic ends"),
        ):
            if wrong:
                yield Problem(
                    where=f"conditions[{i}].curve",
                    found=found,
                    expected="pressure_rise",
                    todo="Give the pressure rise at the flow that is expected.",
                    code="fan-curve",
                )


def _periodic(bound: BoundCase) -> Iterator[Problem]:
    """What goes on behind its ends has no other openings that could say what flows along it."""
    ends = [(i, c) for i, c in enumerate(bound.conditions) if isinstance(c, Periodic)]
    open_ = [c for c in bound.conditions if isinstance(c, (Inlet, Outlet))]

    def wrong(i: int, found: str, expected: str, todo: str, code: str) -> Problem:
        return Problem(where=f"conditions[{i}]", found=found, expected=expected, todo=todo, code=code)

    for i, c in ends:
        if bound.case.domain.kind == "around":
            yield wrong(i, "periodic ends of a box around a part", "ends of a part, a plane or a space inside",
                        "Draw the piece that repeats as the fluid's own part.", "not-around")  # fmt: skip
        if c.drives and open_:
            yield wrong(i, f"what drives the flow from end to end, and an {open_[0].kind} besides",
                        "a pressure drop or a flow between periodic ends, or inlets and outlets",
                        "Remove the pressure drop or the flow here: ends beside the stream only repeat it.",
                        "contradiction")  # fmt: skip
        if c.flows and bound.params.regime == "unsteady":
            yield wrong(i, "a flow between periodic ends in an unsteady run", "pressure_drop",
                        "Solve the steady flow first: it says which pressure drop goes with this flow.",
                        "unsteady-drop")  # fmt: skip
        if c.flows and buoyant(bound):
            yield wrong(i, "a flow between periodic ends where warm fluid rises", "pressure_drop",
                        "Give the pressure drop: how much flows then follows from it and from the heat.",
                        "buoyant-drop")  # fmt: skip
    for i, _ in [(i, c) for i, c in ends if c.flows][1:]:
        yield wrong(i, "a second flow between periodic ends", "one; for others the pressure drop",
                    "Give pressure_drop here, or nothing.", "contradiction")  # fmt: skip


def _contradictions(bound: BoundCase) -> Iterator[Problem]:
    """By the names of selections; which faces they share is only known with the geometry."""
    flow: dict[str, int] = {}
    heat: dict[str, int] = {}
    for i, c in enumerate(bound.conditions):
        for name in c.on:
            if isinstance(c, FLOW):
                if name in flow:
                    yield _twice(i, name, f"{c.kind}", flow[name], bound.conditions[flow[name]].kind)
                flow.setdefault(name, i)
            else:
                both = name in heat and Temperature in (type(c), type(bound.conditions[heat[name]]))
                if both:
                    yield _twice(i, name, c.kind, heat[name], bound.conditions[heat[name]].kind)
                heat.setdefault(name, i)
    for name, i in heat.items():
        if name in flow and isinstance(bound.conditions[flow[name]], Periodic):
            yield Problem(
                where=f"conditions[{i}]",
                found=f"{bound.conditions[i].kind} on {name}, behind which everything goes on",
                expected="no heat or temperature on periodic ends",
                todo="Remove this condition.",
                code="contradiction",
            )
        if name in flow and isinstance(bound.conditions[flow[name]], (Inlet, Outlet)):
            yield Problem(
                where=f"conditions[{i}]",
                found=f"{bound.conditions[i].kind} on {name}, through which fluid passes",
                expected="the temperature of the fluid in the inlet itself; none at an outlet",
                todo="Write temperature: into the inlet, and remove this condition.",
                code="contradiction",
            )
    if bound.case.domain.kind == "around":
        for name in BROUGHT["around"]:
            if name in ("upstream", "downstream") and name not in flow:
                yield Problem(
                    where="conditions",
                    found=f"nothing on {name}",
                    expected="an inlet upstream and an outlet downstream",
                    todo=f"Add a condition on {name}.",
                    code="no-inflow" if name == "upstream" else "no-outlet",
                )


def _twice(i: int, name: str, kind: str, other: int, other_kind: str) -> Problem:
    return Problem(
        where=f"conditions[{i}]",
        found=f"{kind} on {name}, where conditions[{other}] says {other_kind}",
        expected="one condition of the flow and one temperature on each face",
        todo="Remove one of the two, or select other faces.",
        code="contradiction",
    )


def _time(params: Params, *, flat: bool) -> Iterator[Problem]:
    def wrong(where: str, found: str, expected: str, todo: str, code: str) -> Problem:
        return Problem(where=f"parameters.{where}", found=found, expected=expected, todo=todo, code=code)

    if params.regime == "unsteady":
        if params.end_time is None:
            todo = "A flow has usually settled after three to five times length over speed."
            yield wrong("end_time", "nothing", "when an unsteady run ends", todo, "missing")
        elif params.average_from is not None and params.average_from >= params.end_time:
            yield wrong("average_from", f"{params.average_from:g} s", f"less than the end, {params.end_time:g} s",
                        "Begin averages earlier or end the run later.", "empty-average")  # fmt: skip
        if params.time_step and params.end_time and params.time_step > params.end_time / 2:
            yield wrong("time_step", f"{params.time_step:g} s", "a small part of the end time", "", "large-step")
    else:
        given = [n for n in ("end_time", "average_from", "time_step") if getattr(params, n) is not None]
        if given:
            yield wrong(given[0], "a time in a steady run", "regime: unsteady, or no times",
                        "Set regime: unsteady or remove it.", "steady-time")  # fmt: skip
        if params.turbulence != "none":
            yield wrong(
                "turbulence",
                "wale in a steady run",
                "regime: unsteady, for large eddies are resolved in time",
                "For the steady mean of a turbulent flow use the solver cfd.openfoam.",
                "steady-les",
            )
    if params.turbulence != "none" and flat:
        yield wrong(
            "turbulence",
            "wale in a plane",
            "a flow in space: large eddies stretch and turn in all three directions",
            "Solve a slab of the flow in 3D, or use the solver cfd.openfoam for its mean.",
            "plane-les",
        )


def _heat(bound: BoundCase) -> Iterator[Problem]:
    if bound.params.gravity is not None and not thermal(bound):
        todo = "Give temperatures or heat, or remove gravity: the weight of the fluid is no part of its pressure here."
        yield Problem(where="parameters.gravity", found="gravity and nothing warm", expected="temperatures",
                      todo=todo, code="no-heat")  # fmt: skip
    if thermal(bound):
        inlets = [(i, c) for i, c in enumerate(bound.conditions) if isinstance(c, Inlet)]
        for i, c in inlets:
            if c.temperature is None:
                yield Problem(
                    where=f"conditions[{i}].temperature",
                    found="nothing",
                    expected="the temperature of the fluid that enters",
                    todo="Temperatures are solved for, as other conditions say.",
                    code="missing",
                )
        held = any(isinstance(c, (Temperature, Convection, Radiation)) for c in bound.conditions) or inlets
        if not held:
            yield Problem(
                where="conditions",
                found="heat and nothing that sets the level of the temperature",
                expected="an inlet, a temperature, convection or radiation on some faces",
                todo="Say where the heat goes.",
                code="no-level",
            )
    elif not all(is_fluid(material) for _, material in bound.materials):
        yield Problem(
            where="bodies",
            found="a solid, and nothing that is warm",
            expected="only the fluid, where heat is not asked for",
            todo="The solid is left out of the calculation.",
            severity="warning",
            code="idle-solid",
        )
    for i, c in enumerate(bound.conditions):
        everywhere = isinstance(c, (HeatSource, Dissipation)) and c.bodies == "all"
        if everywhere and len({m.name for _, m in bound.materials}) > 1:
            yield Problem(
                where=f"conditions[{i}].bodies",
                found="all bodies, the fluid among them",
                expected="the bodies that are heated",
                todo="Name them, if the fluid itself is not heated.",
                severity="warning",
                code="heats-all",
            )
    if (bound.params.residence_time or mixes(bound)) and not any(isinstance(c, Inlet) for c in bound.conditions):
        yield Problem(where="conditions", found="no inlet", expected="an inlet, from which time or dye is counted",
                      todo="Add one, or do not ask for it.", code="no-inlet")  # fmt: skip
    if mixes(bound) and bound.params.scalar_diffusivity is None:
        todo = "Write, for a dye in water, 1e-9 m2/s; for a gas in air, 2e-5 m2/s."
        yield Problem(where="parameters.scalar_diffusivity", found="nothing", expected="how the additive spreads",
                      todo=todo, code="missing")  # fmt: skip


def _reynolds(bound: BoundCase) -> Iterator[Problem]:
    """With a reference length the Reynolds number is known now; without, once the mesh is there."""
    fluid = next(m for _, m in bound.materials if is_fluid(m))
    length = bound.params.reference_length
    speeds = [c.velocity or 0.0 for c in bound.conditions if isinstance(c, (Inlet, Periodic))]
    speeds += [sum(v * v for v in c.vector) ** 0.5 for c in bound.conditions if isinstance(c, Inlet) and c.vector]
    if length is None or fluid.density is None or not any(speeds):
        return
    assert fluid.dynamic_viscosity is not None
    yield from judge_reynolds(bound, fluid.density * max(speeds) * length / fluid.dynamic_viscosity)


def judge_reynolds(bound: BoundCase, reynolds: float) -> Iterator[Problem]:
    """What is to be said of a Reynolds number."""
    steady = bound.params.regime == "steady"
    if steady and reynolds > NOT_STEADY:
        yield Problem(
            where="parameters.regime",
            found=f"a steady laminar flow at a Reynolds number of {reynolds:.3g}",
            expected=f"at most {NOT_STEADY:g}: above that the flow is turbulent and never at rest",
            todo="Use the solver cfd.openfoam for its mean, or regime: unsteady with turbulence: wale.",
            code="turbulent",
        )
    elif steady and reynolds > DOUBTFUL:
        yield Problem(
            where="parameters.regime",
            found=f"a steady laminar flow at a Reynolds number of {reynolds:.3g}",
            expected=f"less than {DOUBTFUL:g}, where pipes may turn turbulent",
            todo="The answer holds if the flow stays laminar; compare with cfd.openfoam.",
            severity="warning",
            code="maybe-turbulent",
        )
    elif not steady and reynolds > NOT_RESOLVED:
        yield Problem(
            where="parameters.turbulence",
            found=f"resolved eddies at a Reynolds number of {reynolds:.3g}",
            expected=f"at most {NOT_RESOLVED:g} for walls that a mesh of this kind can resolve",
            todo="Use the solver cfd.openfoam.",
            code="turbulent",
        )
    elif not steady and reynolds > NOT_STEADY and bound.params.turbulence == "none":
        yield Problem(
            where="parameters.turbulence",
            found=f"no model of turbulence at a Reynolds number of {reynolds:.3g}",
            expected="turbulence: wale, or a mesh that resolves the smallest eddies",
            todo="Set turbulence: wale, or use cfd.openfoam.",
            severity="warning",
            code="no-model",
        )


def _wanted(bound: BoundCase, where: str, wanted: Wanted) -> Iterator[Problem]:
    def wrong(key: str, found: str, expected: str) -> Problem:
        todo = f"{wanted.kind}: {WANTED[wanted.kind]}."
        return Problem(where=f"{where}.{key}", found=found, expected=expected, todo=todo, code="where-wanted")

    kind = wanted.kind
    if kind in _ON and wanted.on is None:
        yield wrong("on", "nothing", "a selection")
    if kind in _AT and wanted.at is None:
        yield wrong("at", "nothing", "a point")
    if kind in _EITHER and (wanted.on is None) == (wanted.at is None):
        yield wrong(
            "on", "both a selection and a point" if wanted.on else "nothing", "a selection (on) or a point (at)"
        )
    if kind == "pressure_drop" and wanted.at is not None and wanted.to is None:
        yield wrong("to", "nothing", "the second point")
    if kind == "pressure_drop" and wanted.at is None and not any(isinstance(c, Outlet) for c in bound.conditions):
        yield wrong("on", "no outlet that the pressure could fall to", "two points, at and to")
    if kind in ("force_coefficient", "strouhal") and not _has_speed(bound):
        yield wrong("kind", "nothing that says how fast the flow is", "parameters.reference_speed, reference_length")
    if wanted.to is not None and kind != "pressure_drop":
        yield wrong("to", "a second point", "none")
    allowed = _COMPONENTS.get(kind, ())
    if wanted.component is not None and wanted.component not in allowed:
        yield wrong("component", wanted.component, f"one of {', '.join(allowed)}" if allowed else "no component")
    if wanted.component is None and kind in ("force_coefficient", "moment", "reattachment", *_SWINGING):
        yield wrong("component", "nothing", f"one of {', '.join(allowed)}")
    if wanted.component == "z" and bound.case.domain.kind == "plane" and kind != "moment":
        yield wrong("component", "z in a plane domain", "x or y")
    if kind in _SWINGING and bound.params.regime == "steady":
        yield wrong("kind", "how often a steady flow swings", "regime: unsteady")
    if kind == "nusselt" and bound.params.reference_length is None:
        yield wrong("kind", "no reference length", "parameters.reference_length")
    if kind in ("heat_flow", "nusselt", "temperature") and not thermal(bound):
        yield wrong("kind", f"a {kind.replace('_', ' ')} where nothing is warm", "a case with temperatures or heat")
    if kind in ("concentration", "uniformity") and not mixes(bound):
        yield wrong("kind", "no concentration at any inlet", "inlets with a concentration")
    if kind == "residence_time" and not bound.params.residence_time:
        yield wrong("kind", "residence_time not asked for", "parameters.residence_time: true")


def _has_speed(bound: BoundCase) -> bool:
    """Whether something says the speed and the length that coefficients are made with, before an unsteady run too."""
    params = bound.params
    if params.reference_speed and params.reference_length:
        return True
    steady = params.regime == "steady"
    return any(
        isinstance(c, Inlet) or (isinstance(c, Periodic) and (c.flows or (c.drives and steady)))
        for c in bound.conditions
    )
