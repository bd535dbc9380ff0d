"""What a flow means: quantities with error bars, balances, the verdict, pictures and curves."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np

from solvers.cfd.flow import overtime, quantities, shown, solution  # first, for they load MPI ahead of the bindings

# isort: split

from hub.convergence import COARSER, bar_of_two
from hub.figures import Figures
from hub.result import Answer, Curve, Line, Quantity, Verdict, Words
from hub.runfolder import Attempt
from hub.solver import BoundCase, StageError
from solvers.cfd.flow.conditions import buoyant, two_meshes
from solvers.cfd.flow.energy import Bodies
from solvers.cfd.flow.monitor import Monitor
from solvers.cfd.flow.solution import Solved
from solvers.fem import mesh as fem_mesh
from solvers.fem import output
from solvers.fem.mesh import Part

#: The bar is this times the difference between the two solutions: it must hold for the better one of them.
SAFETY = 1.0
METHOD = "quadratic against cubic elements"
TWO_MESHES = "grid convergence index on two meshes, safety factor 3"

NO_BAR = Words(
    en="No error bar: the flow was solved on one mesh. A study over meshes gives one.",
    it="Senza barra d'errore: il flusso è stato risolto su una sola mesh. Uno studio su più mesh ne dà una.",
)
NO_COARSER = Words(
    en="No error bar: there is no second, coarser mesh to compare with. A study over meshes gives one.",
    it="Senza barra d'errore: manca una seconda mesh più rada per il confronto. Uno studio su più mesh ne dà una.",
)
NO_FLOW_THERE = Words(
    en="No error bar: on the coarser mesh that it takes no flow was found. A study over finer meshes gives one.",
    it="Senza barra d'errore: sulla mesh più rada che serve non si è trovato un flusso. Uno studio su mesh più fitte "
    "ne dà una.",
)


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
        found, numbers, curves = overtime.solve(bound, whole, attempt, clock.doing)
    clock.doing("balances")
    checks = tuple(quantities.checks(found))
    clock.doing("writing the fields")
    output.write(whole, shown.fields(found), attempt.out / "fields.vtu")
    clock.done()
    notes = _notes(found)
    memory = 1024 * int(whole.mesh.comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
    if whole.mesh.comm.rank:
        return None
    return Answer(
        verdict=verdict(bound, numbers),
        quantities=numbers,
        checks=checks,
        views=shown.views(found),
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
    """Solved with quadratic elements and, where it costs little enough, again with cubic ones from there; else, where
    there is one, on the coarser mesh."""
    params, dim, bodies = bound.params, whole.mesh.geometry.dim, Bodies(bound, whole)
    cells = whole.mesh.topology.index_map(dim).size_global
    twice = params.error_bars and (dim == 2 or (cells <= overtime.CUBIC and not buoyant(bound)))
    first = solution.prepare(bound, bodies, 2 if twice else params.degree)
    monitor = Monitor(attempt, first.boundary)
    residuals: dict[str, list[float]] = {"quadratic elements" if twice else "the mesh": []}

    def watch(step: int, residual: float) -> None:
        list(residuals.values())[-1].append(residual)
        monitor.residual(sum(map(len, residuals.values())), residual)

    clock.doing("solving")
    solution.solve_steady(first, watch, doing=monitor.doing)
    clock.doing("quantities")
    values = {a.name: (a, a.value()) for a in quantities.asked(first)}
    found, finer = first, dict[str, float]()
    if twice:
        clock.doing("solving again with cubic elements")
        monitor.doing("solving again with cubic elements")
        residuals["cubic elements"] = []
        found = solution.prepare(bound, bodies, 3)
        solution.solve_steady(found, watch, start=first, doing=monitor.doing)
        clock.doing("quantities again")
        better = list(quantities.asked(found))
        finer = {a.name: a.value() for a in better}
        values = {a.name: (a, values[a.name][1]) for a in better}
    coarser, without = None, NO_BAR
    if two_meshes(bound) and not twice:
        residuals["the coarser mesh"] = []
        monitor.doing("solving on a coarser mesh, for error bars")
        coarser, without = _on_the_coarser(bound, attempt, clock, watch)
    numbers = {}
    for name, (a, value) in values.items():
        error, method = None, METHOD
        best = finer.get(name, value)
        if name in finer:
            error = SAFETY * abs(best - value)
        elif coarser is not None and name in coarser:
            error, method = bar_of_two(value, coarser[name], bound.case.mesh.coarser or COARSER), TWO_MESHES
        if error is not None:
            # what the solution of the equations leaves
            error += 10 * params.tolerance * abs(best)
        numbers[name] = quantities.number(a, best, error, method, without)
    return found, numbers, [_residuals(residuals)]


def _on_the_coarser(
    bound: BoundCase, attempt: Attempt, clock: _Clock, watch: Callable[[int, float], None]
) -> tuple[dict[str, float] | None, Words]:
    """Every number from the coarser mesh, or none of them; and why there is no bar where there is none. Collective."""
    folder = attempt.inputs / "coarser"
    if not (folder / "mesh.json").is_file():
        return None, NO_COARSER
    clock.doing("solving on a coarser mesh, for error bars")
    coarse = fem_mesh.read(folder)
    try:
        found = solution.prepare(bound, Bodies(bound, coarse), bound.params.degree)
        solution.solve_steady(found, watch, sturdy=False)
        return {a.name: a.value() for a in quantities.asked(found)}, NO_BAR
    except StageError as error:
        if coarse.mesh.comm.rank == 0:
            print(f"warning: no error bars from the coarser mesh: {error.message}", flush=True)
        return None, NO_FLOW_THERE


#: Solutions whose residuals are drawn, in Italian.
_SOLUTIONS = {
    "quadratic elements": "elementi quadratici",
    "cubic elements": "elementi cubici",
    "the mesh": "la mesh",
    "the coarser mesh": "la mesh più rada",
}


def _residuals(residuals: dict[str, list[float]]) -> Curve:
    """A line for each solution, its steps from one."""
    floor, lines = 1e-16, []
    for name, values in residuals.items():
        if values:
            every = max(1, len(values) // overtime.POINTS)
            x = tuple(float(step) for step in range(1, len(values) + 1, every))
            y = tuple(max(r, floor) if np.isfinite(r) else 1.0 for r in values[::every])
            lines.append(Line(name={"en": name, "it": _SOLUTIONS[name]}, x=x, y=y))
    return Curve(
        name="residuals",
        title={"en": "Residual of the equations", "it": "Residuo delle equazioni"},
        x={"en": "step", "it": "passo"},
        x_unit="",
        y={"en": "residual", "it": "residuo"},
        y_unit="",
        lines=tuple(lines),
        log=(False, True),
    )


# --- words ------------------------------------------------------------------------------------------------------


def _notes(found: Solved) -> tuple[Words, ...]:
    """What is to be said besides. Collective."""
    notes = list(found.doubts)
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
                      it=f"Solo {Figures('it').number(across, 1)} celle attraverso l'ingresso: "
                      "per le perdite di carico ne servono otto.")
            )  # fmt: skip
    return tuple(notes)


def verdict(bound: BoundCase, numbers: dict[str, Quantity]) -> Verdict:
    """The answer in one sentence: each limit of the case, else what it asks for, else what most want to know."""
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
    own = [w.name for w in bound.case.quantities if {w.name, f"{w.name}_mean"} & set(numbers)]
    usual = ("drag", "pressure_drop", "outlet_temperature_1", "heat_1", "max_temperature", "max_speed")
    most = 3 if own else 2
    for name in own or usual:
        mean = f"{name}_mean" if f"{name}_mean" in numbers else name
        if mean in numbers:
            q = numbers[mean]
            for code in ("en", "it"):
                said[code].append(f"{q.title[code]}: {Figures(code).quantity(q.value, q.unit, q.error)}")
            if len(said["en"]) == most:
                break
    return Verdict(
        answer="none",
        sentence={code: "; ".join([*parts[:1], *map(_within, parts[1:])]) + "." for code, parts in said.items()},
    )


def _within(words: str) -> str:
    """Words as they stand inside a sentence."""
    return words[:1].lower() + words[1:]
