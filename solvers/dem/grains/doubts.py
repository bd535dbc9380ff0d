"""What is wrong with a case of the right form, or worth knowing before it costs anything."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from hub.problem import Problem, excerpt
from hub.solver import BoundCase
from solvers.dem.grains.conditions import Fill, Inlet, Moving, Outlet, Periodic, Species, Touch, Zone
from solvers.dem.grains.plan import PACKED, THROWN, WALLS, Plan

#: How many times a run may cost what it would without its smallest grains: told of, refused.
DEARER, RUINOUS = 3.0, 30.0
#: Share of the mass that counts as the tail of the sizes.
TAIL = 0.05


def find_problems(bound: BoundCase) -> Iterator[Problem]:
    """Everything that can be said without the geometry."""
    plan = Plan(bound)
    placed = [(i, c) for i, c in enumerate(bound.conditions) if isinstance(c, Fill | Inlet)]
    if not plan.species or not placed:
        yield Problem(
            where="conditions",
            found="no grains" if not plan.species else "nothing that puts grains anywhere",
            expected="a condition `grains` that says what they are, and a `fill` or an `inlet` that places them",
            todo="Add them; `officina solver describe dem.grains` lists what each needs.",
            code="no-grains",
        )
        return
    named = [(i, c.name) for i, c in enumerate(bound.conditions) if isinstance(c, Species)]
    for i, name in named:
        if name == WALLS or [n for _, n in named].count(name) > 1:
            yield Problem(
                where=f"conditions[{i}].name",
                found=f"{excerpt(name)}, which is taken",
                expected="a name of its own for each kind of grain",
                todo="Rename one of them.",
                code="name-taken",
            )
    wrong = [p for i, c in placed if (p := _species(f"conditions[{i}].of", c.of, plan)) is not None]
    yield from wrong
    yield from _contacts(bound, plan)
    yield from _sizes(bound, plan)
    yield from _wanted(bound)
    yield from _places(bound, plan)
    if wrong:
        return
    for i, c in placed:
        yield from _room(f"conditions[{i}]", c, plan)
    if not plan.gravity.any():
        yield Problem(
            where="conditions",
            found="no gravity",
            expected="a condition `gravity`, such as {kind: gravity, value: {magnitude: 9.81 m/s2, direction: -z}}",
            todo="Add it, unless the grains are to float.",
            severity="warning",
            code="no-gravity",
        )
    if bound.params.settling == 0 and any(isinstance(c, Fill) for _, c in placed) and plan.gravity.any():
        yield Problem(
            where="parameters.settling",
            found="no time to settle",
            expected="the time that the filling takes to fall and to come to rest",
            todo="Motions and measurements begin at once, while the grains are still falling.",
            severity="warning",
            code="no-settling",
        )


def _species(where: str, name: str, plan: Plan) -> Problem | None:
    if name in plan.species:
        return None
    return Problem(
        where=where,
        found=excerpt(name),
        expected=f"the name of a kind of grain: {', '.join(map(excerpt, plan.species))}",
        todo="Correct the name, or add a condition `grains` of that name.",
        code="unknown-grains",
    )


def _contacts(bound: BoundCase, plan: Plan) -> Iterator[Problem]:
    bodies = {b for entry, _ in bound.materials for b in ((entry.on,) if isinstance(entry.on, str) else entry.on)}
    known = {*plan.species, WALLS, *bodies}
    for i, c in enumerate(bound.conditions):
        if isinstance(c, Touch):
            for k, name in enumerate(c.between):
                if name not in known:
                    yield Problem(
                        where=f"conditions[{i}].between[{k}]",
                        found=excerpt(name),
                        expected=f"one of {', '.join(map(excerpt, sorted(known)))}",
                        todo="Correct the name. Bodies can be named here when `bodies` gives them their own material.",
                        code="unknown-grains",
                    )
            if not set(c.between) & set(plan.species):
                yield Problem(
                    where=f"conditions[{i}].between",
                    found=" and ".join(map(excerpt, c.between)),
                    expected="at least one kind of grain",
                    todo="Walls do not meet each other here.",
                    code="contradiction",
                )
    names = list(plan.species)
    missing = [(a, b) for k, a in enumerate(names) for b in [*names[k:], WALLS] if not _known(plan, a, b)]
    for a, b in missing:
        yield Problem(
            where="conditions",
            found=f"nothing about what happens where {excerpt(a)} meets {excerpt(b)}",
            expected=f"{{kind: contact, between: [{a}, {b}], restitution: ..., friction: ...}}",
            todo="Add the contact.",
            code="no-contact",
        )


def _known(plan: Plan, one: str, other: str) -> bool:
    if other != WALLS:
        return plan.touch(one, other) is not None
    bodies = [b for entry, _ in plan.bound.materials for b in ((entry.on,) if isinstance(entry.on, str) else entry.on)]
    return all(plan.touch(one, WALLS, body) is not None for body in bodies)


def _sizes(bound: BoundCase, plan: Plan) -> Iterator[Problem]:
    """A tail of small grains makes steps short and grains many, for little of the mass."""
    for i, c in enumerate(bound.conditions):
        if not isinstance(c, Species):
            continue
        d = np.sort(plan.diameters(c.name))
        held = np.cumsum(d**3) / (d**3).sum()
        limit = float(d[np.searchsorted(held, TAIL)])
        least = c.sizes.ends()[0]
        rest = d[d >= limit]
        # grains for the same mass, times steps for the same time
        dearer = (rest**3).mean() / (d**3).mean() * plan.step_of(c, limit) / plan.step_of(c, least)
        if dearer > DEARER:
            yield Problem(
                where=f"conditions[{i}].sizes",
                found=f"grains from {1e3 * least:.3g} mm on; those below {1e3 * limit:.3g} mm hold {100 * TAIL:.0f} % "
                f"of the mass and make the run cost {dearer:.0f} times as much",
                expected="sizes whose smallest grains are worth what they cost",
                todo=f"Cut the sizes at {1e3 * limit:.3g} mm, or scale the small grains up.",
                severity="error" if dearer > RUINOUS else "warning",
                code="size-tail",
            )


def _room(where: str, c: Fill | Inlet, plan: Plan) -> Iterator[Problem]:
    largest = plan.species[c.of].sizes.ends()[1]
    low, high = c.region.box()
    if float((high - low).min()) < largest or (c.region.radius or math.inf) < largest / 2:
        yield Problem(
            where=f"{where}.region",
            found=f"a region {1e3 * float((high - low).min()):.3g} mm wide",
            expected=f"room for the largest grain of {1e3 * largest:.3g} mm",
            todo="Make the region larger.",
            code="no-room",
        )
        return
    clear = plan.clears(c)
    density, batch = plan.species[c.of].density, THROWN * c.region.volume
    if isinstance(c, Inlet):
        passes = density * batch / clear if clear < math.inf else 0.0
        if c.mass_flow > passes:
            yield Problem(
                where=f"{where}.mass_flow",
                found=f"{c.mass_flow:.3g} kg/s through a region that clears in {clear:.3g} s",
                expected=f"at most {passes:.3g} kg/s",
                todo="Make the region larger, give the grains a velocity away from it, or take less.",
                code="no-room",
            )
        return
    volume = plan.count(c) * plan.mean_mass(c.of) / density
    if volume > PACKED * c.region.volume and clear == math.inf:
        yield Problem(
            where=where,
            found=f"{plan.count(c)} grains of together {1e6 * volume:.4g} cm3 in a region of "
            f"{1e6 * c.region.volume:.4g} cm3 from which they do not fall",
            expected=f"at most {int(PACKED * c.region.volume / volume * plan.count(c))} grains",
            todo="Take fewer grains or a larger region.",
            code="no-room",
        )
        return
    needed = math.ceil(volume / batch) * clear
    if math.ceil(volume / batch) > 1 and needed > plan.params.settling:
        yield Problem(
            where="parameters.settling",
            found=f"{plan.params.settling:.3g} s to fill in {math.ceil(volume / batch)} batches, as the region clears",
            expected=f"at least {needed:.2g} s, better twice that",
            todo="Let the grains settle longer, or make the region larger.",
            code="no-room",
        )


def _places(bound: BoundCase, plan: Plan) -> Iterator[Problem]:
    axes: set[str] = set()
    names: set[str] = set()
    largest = max((s.sizes.ends()[1] for s in plan.species.values()), default=0.0)
    for i, c in enumerate(bound.conditions):
        match c:
            case Periodic():
                if c.axis in axes or c.high - c.low < 4 * largest:
                    yield Problem(
                        where=f"conditions[{i}]",
                        found=f"{c.axis} from {1e3 * c.low:.4g} to {1e3 * c.high:.4g} mm",
                        expected=f"each axis once, and at least four grains ({4e3 * largest:.3g} mm) before it repeats",
                        todo="Make the distance larger.",
                        code="periodic",
                    )
                axes.add(c.axis)
            case Zone():
                if c.name in names:
                    yield Problem(
                        where=f"conditions[{i}].name",
                        found=excerpt(c.name),
                        expected="a name of its own for each zone",
                        todo="Rename one of them.",
                        code="name-taken",
                    )
                names.add(c.name)
            case Moving() if c.duration is not None and c.duration > plan.params.duration:
                yield Problem(
                    where=f"conditions[{i}].duration",
                    found=f"{c.duration:.3g} s",
                    expected=f"at most the duration of the run, {plan.params.duration:.3g} s",
                    severity="warning",
                    code="motion-cut",
                )
            case Outlet():
                boxes = [np.stack(p.region.box()) for p in (*plan.of(Fill), *plan.of(Inlet))]
                if min(((b - np.array(c.point)) @ np.array(c.direction)).min() for b in boxes) > 0:
                    yield Problem(
                        where=f"conditions[{i}]",
                        found="an outlet with every filling and inlet beyond it",
                        expected="grains on its near side",
                        todo="Turn its direction around: it points to where grains leave.",
                        code="outlet-side",
                    )


def _wanted(bound: BoundCase) -> Iterator[Problem]:
    for i, w in enumerate(bound.case.quantities):
        where = f"quantities[{i}]"
        if w.kind == "wall_pressure" and w.on is None:
            yield Problem(
                where=f"{where}.on",
                found="nothing",
                expected="the selection of faces whose pressure is wanted",
                todo="Add on: and the name of a selection.",
                code="where-wanted",
            )
        if (w.kind != "wall_pressure" and w.on is not None) or w.at is not None:
            yield Problem(
                where=where,
                found="a place (on or at)",
                expected="none for this quantity",
                todo="Remove it.",
                code="where-wanted",
            )
        allowed = ("cone", "plane") if w.kind == "repose_angle" else ()
        if w.component is not None and w.component not in allowed:
            yield Problem(
                where=f"{where}.component",
                found=excerpt(w.component),
                expected=" or ".join(allowed) or "no component",
                todo="Correct or remove it.",
                code="unknown-component",
            )
