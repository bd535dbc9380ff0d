"""What a flow means: quantities with error bars, balances, the verdict, pictures and curves."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np

from solvers.cfd.flow import quantities, solution  # first, for they load MPI ahead of the bindings

# isort: split
from dolfinx import fem

from hub.figures import Figures
from hub.result import Answer, Curve, Line, Quantity, Section, Verdict, View, Words
from hub.runfolder import Attempt
from hub.solver import BoundCase
from solvers.cfd.flow.boundary import Inlet
from solvers.cfd.flow.conditions import buoyant
from solvers.cfd.flow.energy import Bodies
from solvers.cfd.flow.forces import wall_shear
from solvers.cfd.flow.monitor import Monitor
from solvers.cfd.flow.quantities import Asked
from solvers.cfd.flow.solution import Solved
from solvers.cfd.flow.state import Reals
from solvers.fem import mesh as fem_mesh
from solvers.fem import output
from solvers.fem.mesh import Part

#: Largest number of cells in space that are solved with cubic elements as well, for error bars.
CUBIC = 9_000
#: The bar is this times the difference between the two solutions: it must hold for the better one of them.
SAFETY = 1.0
METHOD = "quadratic against cubic elements"
#: Points of a curve at the most.
POINTS = 600

NO_BAR = Words(
    en="No error bar: the flow was solved on one mesh. A study over meshes (`officina study mesh`) gives one.",
    it="Senza barra d'errore: il flusso è stato risolto su una sola mesh. Uno studio su più mesh ne dà una.",
)
NO_BAR_IN_TIME = Words(
    en="No error bar: it would take a second run on a finer mesh with smaller steps.",
    it="Senza barra d'errore: servirebbe una seconda analisi con mesh e passi più fini.",
)
GIVEN = "as given"


def solve(bound: BoundCase, attempt: Attempt) -> Answer | None:
    """Solve the case in the attempt's folder. Collective; rank 0 gets the Answer. Raises StageError."""
    return make(bound, fem_mesh.read(attempt.inputs), attempt)


def make(bound: BoundCase, whole: Part, attempt: Attempt) -> Answer | None:
    """Everything that is said about the flow, and ``fields.vtu``. Collective; rank 0 gets the Answer."""
    clock = _Clock(attempt, whole)
    params = bound.params
    clock.doing("reading the case")
    if params.regime == "steady":
        found, numbers, curves = _steady(bound, whole, attempt, clock)
    else:
        found, numbers, curves = _unsteady(bound, whole, attempt, clock)
    clock.doing("balances")
    checks = tuple(quantities.checks(found))
    clock.doing("writing the fields")
    shown = fields(found)
    output.write(whole, shown, attempt.out / "fields.vtu")
    clock.done()
    notes = _notes(found)
    memory = 1024 * int(whole.mesh.comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
    if whole.mesh.comm.rank:
        return None
    return Answer(
        verdict=verdict(bound, numbers),
        quantities=numbers,
        checks=checks,
        views=views(found),
        curves=tuple(curves),
        notes=notes,
        unknowns=found.unknowns,
        iterations=found.convergence.steps if found.convergence else found.steps,
        seconds=clock.seconds,
        peak_memory=memory,
    )


class _Clock:
    """Tells what is being done, and how long it took [s]."""

    def __init__(self, attempt: Attempt, part: Part) -> None:
        self.attempt, self.seconds = attempt, dict[str, float]()
        self._writes, self._since = part.mesh.comm.rank == 0, time.perf_counter()

    def doing(self, what: str) -> None:
        self.done()
        self.seconds[what] = 0.0
        if self._writes:
            self.attempt.write_status(doing=what)

    def done(self) -> None:
        now = time.perf_counter()
        if self.seconds:
            self.seconds[list(self.seconds)[-1]] = round(now - self._since, 3)
        self._since = now


# --- steady -----------------------------------------------------------------------------------------------------


def _steady(
    bound: BoundCase, whole: Part, attempt: Attempt, clock: _Clock
) -> tuple[Solved, dict[str, Quantity], list[Curve]]:
    """Solved with quadratic elements and, where it costs little enough, again with cubic ones from there."""
    residuals: list[tuple[int, float]] = []
    params, dim, bodies = bound.params, whole.mesh.geometry.dim, Bodies(bound, whole)
    cells = whole.mesh.topology.index_map(dim).size_global
    twice = params.error_bars and (dim == 2 or (cells <= CUBIC and not buoyant(bound)))
    first = solution.prepare(bound, bodies, 2 if twice else params.degree)
    monitor = Monitor(attempt, first.boundary)

    def watch(step: int, residual: float) -> None:
        residuals.append((len(residuals) + 1, residual))
        monitor.residual(len(residuals), residual)

    clock.doing("solving")
    solution.solve_steady(first, watch)
    clock.doing("quantities")
    values = {a.name: (a, a.value()) for a in quantities.asked(first)}
    found, finer = first, dict[str, float]()
    if twice:
        clock.doing("solving again with cubic elements")
        found = solution.prepare(bound, bodies, 3)
        solution.solve_steady(found, watch, start=first)
        clock.doing("quantities again")
        better = list(quantities.asked(found))
        finer = {a.name: a.value() for a in better}
        values = {a.name: (a, values[a.name][1]) for a in better}
    numbers = {}
    for name, (a, value) in values.items():
        error = SAFETY * abs(finer[name] - value) if name in finer else None
        best = finer.get(name, value)
        if error is not None:
            # what the solution of the equations leaves
            error += 10 * params.tolerance * abs(best)
        numbers[name] = _quantity(a, best, error, METHOD, NO_BAR)
    return found, numbers, [_residuals(residuals)]


def _quantity(a: Asked, value: float, error: float | None, method: str, without: Words) -> Quantity:
    at = a.at() if a.at is not None else None
    if a.given:
        return Quantity(value=value, unit=a.unit, error=0.0, error_method=GIVEN, title=a.title, at=at)
    if a.statement is not None or error is None:
        return Quantity(value=value, unit=a.unit, title=a.title, at=at, statement=a.statement or without)
    return Quantity(value=value, unit=a.unit, error=error, error_method=method, title=a.title, at=at)


def _residuals(residuals: list[tuple[int, float]]) -> Curve:
    thin = residuals[:: max(1, len(residuals) // POINTS)]
    floor = 1e-16
    return Curve(
        name="residuals",
        title={"en": "Residual of the equations", "it": "Residuo delle equazioni"},
        x={"en": "step", "it": "passo"},
        x_unit="",
        y={"en": "residual", "it": "residuo"},
        y_unit="",
        lines=(
            Line(
                name={"en": "residual", "it": "residuo"},
                x=tuple(float(s) for s, _ in thin),
                y=tuple(max(r, floor) if np.isfinite(r) else 1.0 for _, r in thin),
            ),
        ),
        log=(False, True),
    )


# --- over time ------------------------------------------------------------------------------------------------


def _unsteady(
    bound: BoundCase, whole: Part, attempt: Attempt, clock: _Clock
) -> tuple[Solved, dict[str, Quantity], list[Curve]]:
    found = solution.prepare(bound, Bodies(bound, whole), bound.params.degree)
    wanted = list(quantities.asked(found))
    live: dict[str, Callable[[], float]] = {a.name: a.value for a in wanted if a.live and not a.given}
    clock.doing("stepping through time")
    solution.solve_over_time(found, attempt, live, lambda t: None)
    clock.doing("quantities")
    start = bound.params.average_from
    start = bound.params.end_time / 2 if start is None else start
    numbers, curves = dict[str, Quantity](), list[Curve]()
    for a in wanted:
        numbers[a.name] = _quantity(a, a.value(), None, "", NO_BAR_IN_TIME)
        if a.name not in live:
            continue
        series = found.series[a.name]
        mean, half = solution.averaged(found.times, series, start)
        late = [v for t, v in zip(found.times, series, strict=True) if t >= start]
        title = {code: f"{text}, {_MEAN[code]}" for code, text in a.title.items()}
        numbers[f"{a.name}_mean"] = Quantity(
            value=mean, unit=a.unit, error=half, error_method="batch means, statistical only", title=title
        )
        for which, value in (("max", max(late)), ("min", min(late))):
            title = {code: f"{text}, {_EXTREME[which][code]}" for code, text in a.title.items()}
            numbers[f"{a.name}_{which}"] = Quantity(value=value, unit=a.unit, title=title, statement=NO_BAR_IN_TIME)
        curves.append(_history(a, found.times, series))
    return found, numbers, curves


_MEAN = {"en": "mean over time", "it": "media nel tempo"}
_EXTREME = {
    "max": {"en": "highest over time", "it": "massimo nel tempo"},
    "min": {"en": "lowest over time", "it": "minimo nel tempo"},
}


def _history(a: Asked, times: list[float], series: list[float]) -> Curve:
    every = max(1, len(times) // POINTS)
    return Curve(
        name=f"{a.name}_history",
        title=a.title,
        x={"en": "time", "it": "tempo"},
        x_unit="s",
        y=a.title,
        y_unit=a.unit,
        lines=(Line(name=a.title, x=tuple(times[::every]), y=tuple(series[::every])),),
    )


# --- fields and pictures ----------------------------------------------------------------------------------------


def fields(found: Solved) -> dict[str, Reals]:
    """What is shown of a flow, at the nodes of the whole mesh; zero in solids what only the fluid has."""
    flow, bodies, density = found.flow, found.bodies, found.flow.fluid.density
    shown = {
        "velocity": _on_whole(found, flow.u, flow.dim),
        "pressure": density * _on_whole(found, flow.p, 1)[:, 0],
        "wall_shear_stress": _on_whole(found, wall_shear(flow, found.boundary), flow.dim),
    }
    if found.heat is not None:
        shown["temperature"] = found.heat.level + _quadratic(bodies.whole, found.heat.s, 1)[:, 0]
    for name, carried in (("concentration", found.dye), ("residence_time", found.age)):
        if carried is not None:
            shown[name] = _on_whole(found, carried.s, 1)[:, 0]
    return shown


def _quadratic(part: Part, f: fem.Function, width: int) -> Reals:
    """(nodes of the mesh's geometry, width) values, by way of quadratic elements, whose nodes those are."""
    V = fem.functionspace(part.mesh, ("Lagrange", 2, (width,)) if width > 1 else ("Lagrange", 2))
    g = fem.Function(V)
    g.interpolate(f)
    return output.at_geometry_nodes(part, V, g.x.array.reshape(-1, width))


def _on_whole(found: Solved, f: fem.Function, width: int) -> Reals:
    bodies = found.bodies
    if not bodies.conjugate:
        return _quadratic(bodies.whole, f, width)
    V = fem.functionspace(bodies.whole.mesh, ("Lagrange", 2, (width,)) if width > 1 else ("Lagrange", 2))
    g = fem.Function(V)
    g.interpolate(f, cells0=np.arange(len(bodies.cells), dtype=np.int32), cells1=bodies.cells)
    g.x.scatter_forward()
    return output.at_geometry_nodes(bodies.whole, V, g.x.array.reshape(-1, width))


def views(found: Solved) -> tuple[View, ...]:
    """Pictures worth drawing: cuts where the domain is thinnest, streamlines, what walls feel."""
    plane = found.flow.dim == 2
    cut = None if plane else _cut(found)
    kind = "surface" if plane else "section"
    made = [
        View(name="speed", title={"en": "Speed", "it": "Velocità"}, field="velocity", unit="m/s", kind=kind,
             section=cut, mark="max_speed" if plane else None),
        View(name="pressure", title={"en": "Pressure", "it": "Pressione"}, field="pressure", unit="Pa", kind=kind,
             section=cut),
    ]  # fmt: skip
    if found.heat is not None:
        title = {"en": "Temperature", "it": "Temperatura"}
        made.append(View(name="temperature", title=title, field="temperature", unit="K", kind=kind, section=cut))
    for name, carried, unit, en, it in (
        ("concentration", found.dye, "", "Concentration", "Concentrazione"),
        ("residence_time", found.age, "s", "Residence time", "Tempo di permanenza"),
    ):
        if carried is not None:
            made.append(View(name=name, title={"en": en, "it": it}, field=name, unit=unit, kind=kind, section=cut))
    if not plane:
        made.append(View(name="wall_shear", title={"en": "Wall shear stress", "it": "Sforzo di taglio a parete"},
                         field="wall_shear_stress", unit="Pa", mark="max_wall_shear"))  # fmt: skip
    made.append(View(name="streamlines", title={"en": "Streamlines", "it": "Linee di corrente"}, field="velocity",
                     unit="m/s", kind="streamlines", along="velocity", section=cut))  # fmt: skip
    return tuple(made)


def _cut(found: Solved) -> Section:
    """Through the middle, along the flow: its normal is the shortest extent; just off a plane of symmetry."""
    file = found.part.file
    points = file.points[np.unique(file.cells)]
    low, high = points.min(axis=0), points.max(axis=0)
    axis = int(np.argmin(high - low))
    if found.bound.case.domain.kind == "around":
        along = np.abs(found.bound.case.domain.along)
        axis = int(np.argmin(along + 1e-3 * np.arange(3)))
    normal = tuple(1.0 if i == axis else 0.0 for i in range(3))
    point = (low + high) / 2
    slips = [f for c in found.boundary.conditions if not isinstance(c, Inlet) and hasattr(c, "on") for n in c.on
             for f in file.selections.get(n, ())]  # fmt: skip
    for index in slips:
        here = file.points[file.facets[file.facet_face == index]].reshape(-1, 3)
        if len(here) and np.ptp(here[:, axis]) < 1e-9 * (high - low).max():
            inward = np.sign(point[axis] - here[0, axis])
            point[axis] = here[0, axis] + 2e-3 * inward * (high - low)[axis]
            break
    return Section(point=tuple(float(v) for v in point), normal=normal)


# --- words ------------------------------------------------------------------------------------------------------


def _notes(found: Solved) -> tuple[Words, ...]:
    """What is to be said besides. Collective."""
    notes = [Words(en=d, it=d) for d in found.doubts]
    if found.bound.params.turbulence == "wale":
        notes.append(
            Words(
                en="Eddies larger than the cells are resolved, smaller ones modelled (WALE). Trust means only where "
                "y+ is about 1 and the averages run over many eddies; for walls at high Reynolds numbers use "
                "cfd.openfoam.",
                it="I vortici più grandi delle celle sono risolti, i più piccoli modellati (WALE). Le medie valgono "
                "solo con y+ circa 1 e tempi di media lunghi; per pareti ad alto Reynolds usare cfd.openfoam.",
            )
        )
    if found.flow.dim == 2:
        notes.append(
            Words(en="A plane flow: forces, flows and heats are for one metre of depth.",
                  it="Flusso piano: forze, portate e calori sono per un metro di profondità.")
        )  # fmt: skip
    if found.reynolds[1] and found.bound.case.domain.kind != "around":
        across = quantities.cells_across(found)
        if across < 6:
            notes.append(
                Words(en=f"Only {across:.1f} cells lie across the inlet: pressure drops want eight or more.",
                      it=f"Solo {across:.1f} celle attraverso l'ingresso: per le perdite di carico ne servono otto.")
            )  # fmt: skip
    return tuple(notes)


def verdict(bound: BoundCase, numbers: dict[str, Quantity]) -> Verdict:
    """The answer in one sentence: each limit of the case, or what most want to know."""
    params = bound.params
    outlets = [n for n in numbers if n.startswith("outlet_temperature_") and n[-1].isdigit()]
    coldest = min(outlets, key=lambda n: numbers[n].value, default="")
    limits = (
        ("pressure_drop", params.highest_pressure_drop, 1, "Pressure drop", "Perdita di carico"),
        ("max_temperature", params.highest_temperature, 1, "Hottest", "Punto più caldo"),
        (coldest, params.lowest_outlet_temperature, -1, "Leaves at", "Esce a"),
        ("max_wall_shear", params.highest_wall_shear, 1, "Highest wall shear", "Sforzo di taglio massimo"),
    )
    said: dict[str, list[str]] = {"en": [], "it": []}
    judged = []
    for name, limit, sign, en, it in limits:
        if limit is None or name not in numbers:
            continue
        q = numbers[name]
        margin, bar = sign * (limit - q.value), q.error or 0.0
        judged.append("yes" if margin >= bar else "no" if margin < -bar else "unclear")
        for code, label in (("en", en), ("it", it)):
            figures = Figures(code)
            allowed = {"en": ("at most", "at least"), "it": ("al massimo", "almeno")}[code][sign < 0]
            said[code].append(
                f"{label}: {figures.quantity(q.value, q.unit, q.error)}, {allowed} {figures.quantity(limit, q.unit)}"
            )
    if judged:
        answer = "no" if "no" in judged else "unclear" if "unclear" in judged else "yes"
        first = {
            "yes": ("It holds", "Va bene"),
            "no": ("It does not hold", "Non va bene"),
            "unclear": ("Unclear whether it holds", "Non è chiaro se va bene"),
        }[answer]
        return Verdict(
            answer=answer,
            sentence={"en": f"{first[0]}. {'; '.join(said['en'])}.", "it": f"{first[1]}. {'; '.join(said['it'])}."},
        )
    for name in ("drag", "pressure_drop", "outlet_temperature_1", "heat_1", "max_temperature", "max_speed"):
        mean = f"{name}_mean" if f"{name}_mean" in numbers else name
        if mean in numbers:
            q = numbers[mean]
            for code in ("en", "it"):
                said[code].append(f"{q.title[code]}: {Figures(code).quantity(q.value, q.unit, q.error)}")
            if len(said["en"]) == 2:
                break
    return Verdict(answer="none", sentence={code: "; ".join(parts) + "." for code, parts in said.items()})
