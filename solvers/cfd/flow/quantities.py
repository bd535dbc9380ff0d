"""The numbers of an answer, as what can be asked of a solved flow, and the balances that it must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from solvers.cfd.flow import forces  # first, for it loads MPI ahead of the bindings

# isort: split
import dolfinx
import ufl
from dolfinx import fem, geometry
from mpi4py import MPI

from hub.case import Wanted
from hub.figures import Figures
from hub.result import Check, Quantity, Words
from hub.solver import StageError
from solvers.cfd.flow import energy, media
from solvers.cfd.flow.boundary import Inlet, Outlet, Periodic
from solvers.cfd.flow.conditions import fluid_of
from solvers.cfd.flow.solution import Solved
from solvers.cfd.flow.state import Integers, Reals, form
from solvers.cfd.flow.transport import Transport

#: What balances may leave: mass exactly but for the solver; momentum and heat as far as the mesh resolves the flow.
MASS, MOMENTUM, ENERGY = 1e-6, 2e-2, 2e-2
#: Height of cells at walls in wall units that eddies beside them are still resolved with (U. Piomelli, E. Balaras,
#: Annu. Rev. Fluid Mech. 34, 2002, 349-374: the first node at y+ below about 2, as at half of this height).
EDDIES = 4.0
GIVEN = "as given"

COUNTED = Words(en="Counted on the mesh.", it="Contato sulla mesh.")


@dataclass(frozen=True)
class Asked:
    """One number of the answer. Its functions are collective.

    value : in `unit`, SI; live : cheap enough for every step in time; at : where it is [m]
    given : it follows from the case, without an error; statement : why there is no error bar
    swings : what is wanted is how often `value` swings: the number is this times its frequency
    """

    name: str
    unit: str
    title: Words
    value: Callable[[], float]
    live: bool = True
    at: Callable[[], tuple[float, float, float]] | None = None
    given: bool = False
    statement: Words | None = None
    swings: float | None = None


def number(a: Asked, value: float, error: float | None, method: str, without: Words) -> Quantity:
    """A number of the answer. error : half width of its bar, by `method`; None for none, `without` says why"""
    at = a.at() if a.at is not None else None
    if a.given:
        return Quantity(value=value, unit=a.unit, error=0.0, error_method=GIVEN, title=a.title, at=at)
    if a.statement is not None or error is None:
        return Quantity(value=value, unit=a.unit, title=a.title, at=at, statement=a.statement or without)
    return Quantity(value=value, unit=a.unit, error=error, error_method=method, title=a.title, at=at)


class Probe:
    """Values of fields at a point of a mesh. Collective. Raises StageError where the point lies outside."""

    def __init__(self, mesh: dolfinx.mesh.Mesh, place: tuple[float, float, float]) -> None:
        self.comm, self.place = mesh.comm, np.array([place], dtype=float)
        tdim = mesh.topology.dim
        if tdim == 2:
            self.place[0, 2] = 0.0
        tree = geometry.bb_tree(mesh, tdim)
        near = geometry.compute_collisions_points(tree, self.place)
        hit = geometry.compute_colliding_cells(mesh, near, self.place).links(0)
        far = np.inf
        self.cell = int(hit[0]) if len(hit) else -1
        if len(hit):
            far = 0.0
        elif mesh.topology.index_map(tdim).size_local:
            # a point on a curved wall may lie a little outside the cell that follows it
            own = np.arange(mesh.topology.index_map(tdim).size_local, dtype=np.int32)
            middle = geometry.create_midpoint_tree(mesh, tdim, own)
            self.cell = int(geometry.compute_closest_entity(tree, middle, mesh, self.place)[0])
            gap = geometry.squared_distance(mesh, tdim, np.array([self.cell], dtype=np.int32), self.place)
            far = float(np.sqrt(gap[0]))
        best, self.rank = self.comm.allreduce((far, self.comm.rank), MPI.MINLOC)
        x = mesh.geometry.x
        low, high = (f(self.comm.allgather(f(x, axis=0)), axis=0) for f in (np.min, np.max))
        if best > 2e-3 * float(np.linalg.norm(high - low)):
            shown = ", ".join(f"{1e3 * v:g}" for v in place)
            raise StageError(
                "point-outside",
                f"A value is wanted at ({shown}) mm, which is {1e3 * best:.3g} mm outside.",
                "Correct the point; the check shows the size of the part and where it lies.",
            )

    def __call__(self, f: fem.Function) -> Reals:
        """(width,) the value there."""
        here = f.eval(self.place, np.array([self.cell])) if self.comm.rank == self.rank else None
        return np.atleast_1d(self.comm.bcast(here, self.rank))


def _both(en: str, it: str) -> Words:
    return {"en": en, "it": it}


def asked(found: Solved) -> Iterator[Asked]:
    """Every number of the answer to a case. Raises StageError where one cannot be had."""
    yield from _flow(found)
    if found.bound.case.domain.kind == "around":
        yield from _forces(found)
    yield from _heat(found)
    yield from _mixing(found)
    for wanted in found.bound.case.quantities:
        yield _wanted(found, wanted)
    yield from _mesh(found)


# --- what every answer has ----------------------------------------------------------------------------------------


def _flow(found: Solved) -> Iterator[Asked]:
    boundary = found.boundary
    inlets = [c for c in boundary.conditions if isinstance(c, Inlet)]
    outlets, steady = list(boundary.outlets), found.bound.params.regime == "steady"
    if outlets and inlets:
        entry = np.unique(np.concatenate([boundary.facets[c.name] for c in inlets])).astype(np.int32)
        yield Asked("pressure_drop", "Pa", _both("Pressure drop, inlet to outlet", "Perdita di carico"),
                    lambda: _pressure(found, entry) - _pressure(found, boundary.leaving))  # fmt: skip
    ends = [c for c in boundary.conditions if isinstance(c, Periodic) and (c.pressure_drop or c.flow_rate)]
    for i, c in enumerate(ends, 1):
        yield Asked("pressure_drop" if i == 1 else f"pressure_drop_{i}", "Pa",
                    _both(f"Pressure drop from end to end, {c.name}", f"Perdita di carico da capo a capo, {c.name}"),
                    lambda c=c: found.drops[c.name], given=c.flow_rate is None)  # fmt: skip
        yield Asked(f"flow_{i}", "m**3/s", _both(f"Flow through, {c.name}", f"Portata attraverso, {c.name}"),
                    lambda c=c: boundary.passing(c), given=c.flow_rate is not None)  # fmt: skip
    for i, f in enumerate(found.fans, 1):
        yield Asked(f"fan_flow_{i}", "m**3/s", _both(f"Flow, {f.name}", f"Portata, {f.name}"), f.flow_rate)
        yield Asked(f"fan_rise_{i}", "Pa", _both(f"Pressure rise, {f.name}", f"Aumento di pressione, {f.name}"),
                    lambda f=f: f.rise, given=f.condition.curve is None)  # fmt: skip
    for i, c in enumerate([*inlets, *outlets], 1):
        weights = boundary.flux_weights(boundary.facets[c.name])
        sign = -1.0 if isinstance(c, Inlet) else 1.0
        title = _both(f"Flow in, {c.name}", f"Portata in ingresso, {c.name}")
        if isinstance(c, Outlet):
            title = _both(f"Flow out, {c.name}", f"Portata in uscita, {c.name}")
        yield Asked(f"flow_{i}", "m**3/s", title, lambda w=weights, s=sign: s * boundary.flow_rate(w),
                    given=isinstance(c, Inlet) or (len(outlets) == 1 and steady))  # fmt: skip
    yield Asked("max_speed", "m/s", _both("Highest speed", "Velocità massima"), lambda: _fastest(found)[0],
                at=lambda: _fastest(found)[1])  # fmt: skip
    yield Asked("max_wall_shear", "Pa", _both("Highest wall shear stress", "Sforzo di taglio massimo a parete"),
                lambda: _sheared(found, None)[0], live=False, at=lambda: _sheared(found, None)[1],
                statement=_both(
                    "At sharp edges the shear stress of a wall grows as the mesh gets finer; elsewhere it is known "
                    "about as well as the cells along the wall are thin.",
                    "Sugli spigoli vivi lo sforzo di taglio cresce infittendo la mesh; altrove è noto quanto sono "
                    "sottili le celle a parete."))  # fmt: skip
    speed, length, number = found.reynolds
    if number:
        en, it = ([Figures(code).quantity(speed, "m/s"), Figures(code).length(length)] for code in ("en", "it"))
        title = _both("Reynolds number of {} and {}".format(*en), "Numero di Reynolds di {} e {}".format(*it))
        yield Asked("reynolds", "", title, lambda: number, live=False, given=True)


def _pressure(found: Solved, facets: Integers) -> float:
    return forces.mean_pressure(found.flow, found.boundary, facets)


def _pressure_at(found: Solved, probe: Probe) -> float:
    flow = found.flow
    return flow.fluid.density * (float(probe(flow.p)[0]) + float(flow.falling(probe.place)[0]))


def _fastest(found: Solved) -> tuple[float, tuple[float, float, float]]:
    flow = found.flow
    own = flow.S.dofmap.index_map.size_local
    speed = np.linalg.norm(flow.u.x.array.reshape(-1, flow.dim)[:own], axis=1)
    return _largest(found, speed, found.boundary.x[:own])


def _largest(found: Solved, values: Reals, places: Reals) -> tuple[float, tuple[float, float, float]]:
    i = int(values.argmax()) if len(values) else 0
    mine = (float(values[i]), tuple(float(v) for v in places[i])) if len(values) else (-np.inf, (0.0, 0.0, 0.0))
    return max(found.part.mesh.comm.allgather(mine))  # type: ignore[return-value]


def _sheared(found: Solved, on: str | None) -> tuple[float, tuple[float, float, float]]:
    """The largest wall shear stress [Pa], anywhere or on a selection, away from inlets and outlets."""
    flow, boundary = found.flow, found.boundary
    shear = forces.wall_shear(flow, boundary)
    space = shear.function_space
    size = np.linalg.norm(shear.x.array.reshape(-1, flow.dim), axis=1)
    x = space.tabulate_dof_coordinates()

    def nodes(facets: Integers) -> Integers:
        return fem.locate_dofs_topological(space, flow.dim - 1, facets, remote=True).astype(np.int32)

    passing = [boundary.facets[c.name] for c in boundary.conditions if isinstance(c, (Inlet, Outlet))]
    if on is None:
        size[nodes(np.unique(np.concatenate([np.empty(0, dtype=np.int32), *passing])).astype(np.int32))] = 0.0
    else:
        here = np.zeros(len(size), dtype=bool)
        here[nodes(found.part.facets([on]))] = True
        for facets in passing:
            here[nodes(facets)] = False
        size[~here] = 0.0
    own = space.dofmap.index_map.size_local
    return _largest(found, size[:own], x[:own])


def _forces(found: Solved) -> Iterator[Asked]:
    along = np.array(found.bound.case.domain.along)
    facets = found.part.facets(["part"])
    force = lambda: found.forces.force(facets)  # noqa: E731
    dim = found.flow.dim
    yield Asked("drag", "N", _both("Drag on the part", "Resistenza del pezzo"), lambda: float(force() @ along[:dim]))
    speed, area = found.reynolds[0], found.bound.params.reference_area
    if speed and area:
        head = found.flow.fluid.density * speed**2 * area / 2
        title = _both("Drag coefficient", "Coefficiente di resistenza")
        yield Asked("drag_coefficient", "", title, lambda: float(force() @ along[:dim]) / head)


def _heat(found: Solved) -> Iterator[Asked]:
    heat = found.heat
    if heat is None:
        return
    for name, sign, title in (
        ("max_temperature", 1.0, _both("Highest temperature", "Temperatura massima")),
        ("min_temperature", -1.0, _both("Lowest temperature", "Temperatura minima")),
    ):
        yield Asked(name, "K", title, lambda s=sign: _extreme(found, s)[0], at=lambda s=sign: _extreme(found, s)[1])
    for i, o in enumerate(heat.opens, 1):
        title = _both(f"Mixed temperature, {o.name}", f"Temperatura di miscela, {o.name}")
        yield Asked(f"outlet_temperature_{i}", "K", title, lambda o=o: heat.mixed(o.facets))
    inlets = {k.name for k in heat.kept if _is_inlet(found, k.name)}
    number = 0
    for i, k in enumerate(heat.kept):
        if k.name in inlets:
            continue
        number += 1
        title = _both(f"Heat in, {k.name}", f"Calore che entra, {k.name}")
        statement = None
        if _clashes(heat, i):
            statement = _both(
                "Two temperatures meet at an edge: the heat through it grows without limit as the mesh gets finer.",
                "Due temperature si incontrano su uno spigolo: il calore che lo attraversa cresce senza limite "
                "infittendo la mesh.",
            )
        yield Asked(f"heat_{number}", "W", title, lambda i=i: heat.through_kept()[i], live=False, statement=statement)
    for i, s in enumerate(heat.surfaces):
        title = _both(f"Heat in, {s.name}", f"Calore che entra, {s.name}")
        yield Asked(f"heat_{number + 1 + i}", "W", title, lambda i=i: heat.through_surfaces()[i], live=False,
                    given=s.coefficient == 0 and s.emissivity == 0)  # fmt: skip
    if heat.opens:
        title = _both("Heat carried off by the fluid", "Calore portato via dal fluido")
        yield Asked("heat_carried", "W", title, lambda: _carried(heat), live=False)


def _is_inlet(found: Solved, name: str) -> bool:
    assert found.heat is not None
    return any(energy.named(c) == name and c.kind == "inlet" for c in found.bound.conditions)


def _clashes(heat: Transport, i: int) -> bool:
    """Whether nodes on the rim of what is kept are kept at another value by an earlier condition."""
    nodes = heat.nodes(heat.kept[i].facets)
    others = heat.by[nodes]
    mine = heat.kept[i].value
    clash = any(heat.kept[j].value != mine for j in np.unique(others[others >= 0]))
    for j, k in enumerate(heat.kept):
        if j != i and k.value != mine:
            clash = clash or bool(np.isin(heat.nodes(k.facets), nodes).any())
    return bool(heat.comm.allreduce(clash, MPI.LOR))


def _carried(heat: Transport) -> float:
    """What the fluid carries out through all openings, less what it brings in [W]."""
    return sum(heat.carried_out(o.facets) for o in heat.opens) + sum(heat.carried_out(k.facets) for k in heat.kept)


def _extreme(found: Solved, sign: float) -> tuple[float, tuple[float, float, float]]:
    heat = found.heat
    assert heat is not None
    value, at = _largest(found, sign * heat.s.x.array[: heat.own], heat.S.tabulate_dof_coordinates()[: heat.own])
    return sign * value + heat.level, at


def _mixing(found: Solved) -> Iterator[Asked]:
    for carried, name, unit, en, it in (
        (found.dye, "outlet_concentration", "", "Mixed concentration", "Concentrazione di miscela"),
        (found.age, "outlet_residence_time", "s", "Mean residence time", "Tempo medio di permanenza"),
    ):
        for i, o in enumerate(carried.opens if carried else (), 1):
            yield Asked(f"{name}_{i}", unit, _both(f"{en}, {o.name}", f"{it}, {o.name}"),
                        lambda c=carried, o=o: c.mixed(o.facets), live=False)  # fmt: skip
    if found.dye is not None:
        for i, o in enumerate(found.dye.opens, 1):
            title = _both(f"Uniformity of mixing, {o.name}", f"Uniformità di miscelazione, {o.name}")
            yield Asked(f"uniformity_{i}", "", title, lambda o=o: uniformity(found, o.facets), live=False)


def uniformity(found: Solved, facets: Integers) -> float:
    """1 - sqrt(variance / variance of the unmixed streams), weighted by the flow: 1 where all is mixed.

    Intensity of segregation: P. V. Danckwerts, Appl. Sci. Res. A 3 (1952) 279-296.
    """
    dye = found.dye
    assert dye is not None
    un, ds = ufl.dot(dye.u, ufl.FacetNormal(dye.part.mesh)), dye.ds(facets)
    mean = dye.mixed(facets)
    flow = dye.integral(abs(un), ds)
    variance = dye.integral((dye.s - fem.Constant(dye.part.mesh, mean)) ** 2 * abs(un), ds) / flow
    values, rates = [k.value for k in dye.kept], [abs(dye.integral(un, dye.ds(k.facets))) for k in dye.kept]
    whole = sum(rates)
    middle = sum(v * r for v, r in zip(values, rates, strict=True)) / whole
    unmixed = sum(r * (v - middle) ** 2 for v, r in zip(values, rates, strict=True)) / whole
    return 1 - float(np.sqrt(max(variance, 0.0) / unmixed)) if unmixed > 0 else 1.0


# --- what was asked for besides -----------------------------------------------------------------------------------


def _wanted(found: Solved, w: Wanted) -> Asked:
    flow, boundary, axis = found.flow, found.boundary, "xyz".find(w.component or "magnitude")
    facets = np.empty(0, dtype=np.int32) if w.on is None else found.bodies.whole.facets([w.on])
    wet = facets if w.on is None or not found.bodies.conjugate else found.part.facets([w.on])
    title = _both(w.name.replace("_", " "), w.name.replace("_", " "))
    rho = flow.fluid.density

    def made(unit: str, value: Callable[[], float], **more) -> Asked:  # type: ignore[no-untyped-def]
        if w.at is not None and w.to is None and w.kind not in ("moment", "reattachment"):
            more["at"] = lambda: w.at
        return Asked(w.name, unit, title, value, **more)

    def picked(v: Reals) -> float:
        return float(np.linalg.norm(v)) if axis < 0 else float(v[axis])

    match w.kind:
        case "velocity":
            probe = Probe(found.part.mesh, w.at)
            return made("m/s", lambda: picked(probe(flow.u)))
        case "pressure" if w.at is not None:
            probe = Probe(found.part.mesh, w.at)
            return made("Pa", lambda: _pressure_at(found, probe))
        case "pressure":
            return made("Pa", lambda: _pressure(found, wet))
        case "pressure_drop" if w.at is not None:
            here, there = Probe(found.part.mesh, w.at), Probe(found.part.mesh, w.to)
            return made("Pa", lambda: _pressure_at(found, here) - _pressure_at(found, there))
        case "pressure_drop":
            return made("Pa", lambda: _pressure(found, wet) - _pressure(found, boundary.leaving))
        case "volume_flow" | "mass_flow":
            weights, unit = boundary.flux_weights(wet), "m**3/s" if w.kind == "volume_flow" else "kg/s"
            return made(unit, lambda: boundary.flow_rate(weights) * (rho if w.kind == "mass_flow" else 1.0))
        case "force":
            return made("N", lambda: picked(found.forces.force(wet)))
        case "force_coefficient":
            speed, length = found.reynolds[:2]
            area = found.bound.params.reference_area or (length if flow.dim == 2 else length**2)
            return made("", lambda: float(found.forces.force(wet)[axis]) / (rho * speed**2 * area / 2))
        case "frequency":
            return made("Hz", lambda: float(found.forces.force(wet)[axis]), swings=1.0)
        case "strouhal":
            speed, length = found.reynolds[:2]
            return made("", lambda: float(found.forces.force(wet)[axis]), swings=length / speed)
        case "moment":
            return made("N*m", lambda: float(found.forces.moment(wet, w.at)[axis]))
        case "wall_shear_stress" if w.component == "mean":
            return made("Pa", lambda: _mean_shear(found, wet), live=False)
        case "wall_shear_stress":
            return made("Pa", lambda: _sheared(found, w.on)[0], live=False)
        case "reattachment":
            return made("m", lambda: _reattached(found, wet, w.at, axis), live=False)
    return _wanted_of_carried(found, w, facets, wet, made)


def _wanted_of_carried(found: Solved, w: Wanted, facets: Integers, wet: Integers, made) -> Asked:  # type: ignore[no-untyped-def]
    heat, dye, age = found.heat, found.dye, found.age
    match w.kind:
        case "temperature" if w.at is not None:
            probe = Probe(found.bodies.whole.mesh, w.at)
            return made("K", lambda: float(probe(heat.s)[0]) + heat.level)
        case "temperature" if w.on is not None:
            return made("K", lambda: heat.mixed(facets))
        case "temperature":
            one = fem.Constant(heat.part.mesh, 1.0)
            return made("K", lambda: heat.level + heat.integral(heat.s, heat.dx) / heat.integral(one, heat.dx))
        case "heat_flow":
            return made("W", lambda: _through(found, w.on, facets), live=False)
        case "nusselt":
            k, length = float(fluid_of(found.bound).thermal_conductivity), found.bound.params.reference_length
            area = energy.area(heat.part, facets)
            return made("", lambda: _nusselt(found, w.on, facets, k, length, area), live=False)
        case "uniformity":
            return made("", lambda: uniformity(found, wet), live=False)
        case "concentration" | "residence_time":
            carried = dye if w.kind == "concentration" else age
            unit = "" if w.kind == "concentration" else "s"
            if w.at is not None:
                probe = Probe(found.part.mesh, w.at)
                return made(unit, lambda: float(probe(carried.s)[0]), live=False)
            return made(unit, lambda: carried.mixed(wet), live=False)
    raise StageError("unknown-quantity", f"{w.kind} is no quantity.", "`officina solver describe` lists them.")


def _through(found: Solved, name: str | None, facets: Integers) -> float:
    """Heat into the domain through a selection [W]: by the residual where its temperature is kept, else as given."""
    heat = found.heat
    nodes = heat.nodes(facets)
    kept = heat.by >= 0
    on = np.zeros(len(heat.by), dtype=bool)
    on[nodes] = True
    r = heat.residual()
    total = float(heat.comm.allreduce(float(r[(on & kept)[: heat.own]].sum()), MPI.SUM))
    for surface, value in zip(heat.surfaces, heat.through_surfaces(), strict=True):
        mine = found.part.mesh.comm.allreduce(int(np.isin(surface.facets, facets).sum()), MPI.SUM)
        whole = found.part.mesh.comm.allreduce(len(surface.facets), MPI.SUM)
        total += value * mine / whole if whole else 0.0
    return total


def _nusselt(found: Solved, name: str | None, facets: Integers, k: float, length: float, area: float) -> float:
    """q L / (k dT), dT between the face and the mixed mean of the fluid halfway, or the other given temperature."""
    heat = found.heat
    given = {k.value for k in heat.kept}
    face = heat.mean(facets) - heat.level
    other = [v for v in given if abs(v - face) > 1e-9 * (max(given) - min(given) or 1.0)]
    span = abs(face - other[0]) if other else 1.0
    return abs(_through(found, name, facets)) * length / (k * span * area)


def _mean_shear(found: Solved, facets: Integers) -> float:
    shear, boundary = forces.wall_shear(found.flow, found.boundary), found.boundary
    comm, one = found.part.mesh.comm, fem.Constant(found.part.mesh, 1.0)
    size = ufl.sqrt(ufl.dot(shear, shear) + 1e-30)
    total, area = (comm.allreduce(fem.assemble_scalar(form(f * boundary.ds(facets))), MPI.SUM) for f in (size, one))
    return float(total / area)


def _reattached(found: Solved, facets: Integers, at: tuple[float, float, float], axis: int) -> float:
    """Where the shear stress along a wall turns from against the axis to along it for the last time [m from `at`]."""
    shear, dim = forces.wall_shear(found.flow, found.boundary), found.flow.dim
    space = shear.function_space
    nodes = fem.locate_dofs_topological(space, dim - 1, facets, remote=True)
    x = space.tabulate_dof_coordinates()[nodes]
    # the stress of the fluid on the wall points the way the fluid goes
    values = shear.x.array.reshape(-1, dim)[nodes, axis]
    pieces = found.part.mesh.comm.allgather((x[:, axis], values))
    where, stress = np.concatenate([p for p, _ in pieces]), np.concatenate([v for _, v in pieces])
    order = np.argsort(where)
    where, stress = where[order], stress[order]
    back = np.flatnonzero(stress[:-1] * stress[1:] < 0)
    back = [i for i in back if stress[i] < 0 < stress[i + 1]]
    if not back:
        return 0.0
    i = back[-1]
    zero = where[i] - stress[i] * (where[i + 1] - where[i]) / (stress[i + 1] - stress[i])
    return float(zero - at[axis])


# --- the mesh -----------------------------------------------------------------------------------------------------


def _mesh(found: Solved) -> Iterator[Asked]:
    """How well walls and gaps are resolved."""
    title = _both("Largest height of cells at walls in wall units (y+)", "Altezza massima delle celle a parete (y+)")
    yield Asked("y_plus", "", title, lambda: _wall_units(found), live=False, statement=_both(
        "Of the cells as they are: laminar flows want them well below 5.",
        "Delle celle come sono: i flussi laminari le vogliono ben sotto 5."))  # fmt: skip
    inlets = [c for c in found.boundary.conditions if isinstance(c, Inlet)]
    if inlets and found.reynolds[1] and found.bound.case.domain.kind != "around":
        title = _both("Cells across the inlet", "Celle attraverso l'ingresso")
        yield Asked("cells_across", "", title, lambda: cells_across(found), live=False, given=True)


def cells_across(found: Solved) -> float:
    """The fewest cells across any inlet: the diameter of its area over the size of its facets. Collective."""
    boundary, dim = found.boundary, found.flow.dim
    comm, one = found.part.mesh.comm, fem.Constant(found.part.mesh, 1.0)
    fewest = np.inf
    for inlet in (c for c in boundary.conditions if isinstance(c, Inlet)):
        entry = boundary.facets[inlet.name].astype(np.int32)
        area = comm.allreduce(fem.assemble_scalar(form(one * boundary.ds(entry))), MPI.SUM)
        count = comm.allreduce(len(entry), MPI.SUM)
        size = area / count if dim == 2 else float(np.sqrt(4 / np.sqrt(3) * area / count))
        fewest = min(fewest, (area if dim == 2 else float(np.sqrt(4 / np.pi * area))) / size)
    return fewest


def _wall_units(found: Solved) -> float:
    flow, mesh, dim = found.flow, found.part.mesh, found.flow.dim
    shear = forces.wall_shear(flow, found.boundary)
    space = shear.function_space
    facets = found.boundary.walls
    if not mesh.comm.allreduce(len(facets)):
        return 0.0
    size = np.linalg.norm(shear.x.array.reshape(-1, dim), axis=1)
    to_cell = mesh.topology.connectivity(dim - 1, dim)
    worst = 0.0
    corners = dolfinx.mesh.entities_to_geometry(mesh, dim - 1, facets)[:, :dim]
    x = mesh.geometry.x
    for facet, nodes in zip(facets, corners, strict=True):
        cell = to_cell.links(facet)[0]
        on = x[nodes]
        inner = x[mesh.geometry.dofmaps[0][cell][: dim + 1]].mean(axis=0)
        side = on[1] - on[0]
        normal = np.cross(side, on[2] - on[0]) if dim == 3 else np.array([side[1], -side[0], 0.0])
        height = (dim + 1) * abs((inner - on[0]) @ normal) / np.linalg.norm(normal)
        tau = size[space.dofmap.list[cell]].max()
        worst = max(worst, height * np.sqrt(tau / flow.fluid.density) / flow.fluid.nu)
    return float(mesh.comm.allreduce(float(worst), MPI.MAX))


# --- balances -----------------------------------------------------------------------------------------------------


def checks(found: Solved) -> Iterator[Check]:
    """What must hold for the answer to be trusted."""

    def check(name: str, value: float, limit: float, en: str, it: str) -> Check:
        return Check(name=name, title=_both(en, it), value=value, limit=limit, passed=bool(value <= limit))

    yield check("mass_balance", _mass(found), MASS, "What flows in flows out", "Ciò che entra esce")
    if found.bound.params.turbulence == "wale":
        yield check("eddies_at_walls", _wall_units(found), EDDIES, "Cells at walls fine enough for large eddies (y+)",
                    "Celle a parete abbastanza fini per i grandi vortici (y+)")  # fmt: skip
    if found.convergence is not None:
        yield check("momentum_balance", _momentum(found), MOMENTUM, "Forces and momentum balance",
                    "Le forze e la quantità di moto si bilanciano")  # fmt: skip
        limit = max(10 * found.bound.params.tolerance, 1e-9)
        yield check("residual", found.convergence.residual, limit, "Residual of the equations",
                    "Residuo delle equazioni")  # fmt: skip
        if found.heat is not None:
            yield check("energy_balance", _energy(found), ENERGY, "Heat that enters leaves again",
                        "Il calore che entra esce")  # fmt: skip


def _mass(found: Solved) -> float:
    boundary, flow = found.boundary, found.flow
    skin = np.asarray(dolfinx.mesh.exterior_facet_indices(found.part.mesh.topology), dtype=np.int32)
    own = flow.S.dofmap.index_map.size_local
    weights = boundary.flux_weights(skin)[:own]
    passing = weights * flow.u.x.array.reshape(-1, flow.dim)[:own]
    sums = np.array([passing.sum(), np.abs(passing).sum() / 2, np.abs(weights).sum()])
    net, whole, skin_area = boundary.comm.allreduce(sums, MPI.SUM)
    # in a closed domain nothing passes but what rounding leaves; over time, the worst step over the largest flow
    whole = max(whole, found.passed, 1e-6 * skin_area * _fastest(found)[0], 1e-300)
    return float(max(abs(net), found.lost) / whole)


def _momentum(found: Solved) -> float:
    """What the boundary and body forces give, less what the flow carries out, over the largest of them."""
    flow, boundary, comm = found.flow, found.boundary, found.part.mesh.comm
    own, dim = flow.S.dofmap.index_map.size_local, flow.dim
    un = ufl.dot(flow.u, ufl.FacetNormal(found.part.mesh))
    reaction = flow.reaction.x.array.reshape(-1, dim)[:own]
    push = boundary.push(flow.t)[:own]
    skin = boundary.ds(np.asarray(dolfinx.mesh.exterior_facet_indices(found.part.mesh.topology), dtype=np.int32))
    back = (abs(un) - un) / 4
    leaving = boundary.ds(boundary.leaving)
    given, taken, sizes, slowed = [], [], [], media.lost(flow)
    for i in range(dim):
        carried = fem.assemble_scalar(form(flow.u[i] * un * skin)) + fem.assemble_scalar(
            form(flow.u[i] * back * leaving)
        )
        lift = fem.assemble_scalar(form(flow.force[i] * flow.dx()))
        given.append(comm.allreduce(float((reaction + push)[:, i].sum()) + lift, MPI.SUM) - slowed[i])
        taken.append(comm.allreduce(float(carried), MPI.SUM))
        sizes.append(comm.allreduce(float(np.abs(reaction[:, i]).sum() + abs(lift)), MPI.SUM) + abs(slowed[i]))
    return float(np.linalg.norm(np.subtract(given, taken)) / max(*sizes, 1e-300))


def _energy(found: Solved) -> float:
    heat = found.heat
    assert heat is not None
    entering = [*heat.through_kept(), *heat.through_surfaces()]
    entering += [q for _, q in energy.sources(found.bound, found.bodies.whole.file)]
    carried = _carried(heat)
    moved = max(sum(abs(q) for q in entering) / 2, abs(carried))
    # without any heat there is nothing to lose: what would flow through the whole of it at 1 mK measures it then
    floor = 1e-3 * float(heat.comm.allreduce(float(heat.conductivity.x.array.max(initial=0.0)), MPI.MAX))
    return abs(sum(entering) - carried) / max(moved, 1e-6 * floor)
