"""The answer of a run in time: what things are at its end, on average and at their highest, with error bars.

Two more runs say how wrong it is, one with lower elements and one in steps twice as long besides: what elements do and
what steps do, each apart so that the two cannot hide each other. In space cubic elements are rarely affordable: there
the bar is that of the steps alone. Means have the error of a record that ends besides.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from solvers.cfd.flow import quantities, series, solution  # first, for they load MPI ahead of the bindings

# isort: split
from hub.result import Curve, Line, Quantity, Words
from hub.runfolder import Attempt
from hub.solver import BoundCase, StageError
from solvers.cfd.flow.energy import Bodies
from solvers.cfd.flow.quantities import Asked
from solvers.cfd.flow.shown import Film
from solvers.cfd.flow.solution import Solved
from solvers.fem.mesh import Part

#: Largest number of cells in space that are solved with cubic elements, for error bars.
CUBIC = 9_000
#: Points of a curve at the most.
POINTS = 600
#: The steps of the run that is compared with, over those of the case.
SLOWER = 2.0
LONGER, AND_LOWER = "steps twice as long, not the mesh", "steps twice as long and quadratic elements"
STATISTICAL = "batch means"

NOT_ASKED = Words(
    en="No error bar: it takes a second run with other elements and steps (error_bars).",
    it="Senza barra d'errore: serve una seconda analisi con altri elementi e passi (error_bars).",
)
NOT_TO_BE_HAD = Words(
    en="No error bar: in steps twice as long the run does not stay together.",
    it="Senza barra d'errore: con passi doppi l'analisi non regge.",
)
STILL = Words(
    en="It does not swing, or not often enough in the time that averages are taken over.",
    it="Non oscilla, o non abbastanza volte nel tempo su cui si fanno le medie.",
)

_MEAN = {"en": "mean over time", "it": "media nel tempo"}
_EXTREME = {
    "max": {"en": "highest over time", "it": "massimo nel tempo"},
    "min": {"en": "lowest over time", "it": "minimo nel tempo"},
}


def solve(
    bound: BoundCase, whole: Part, attempt: Attempt, doing: Callable[[str], None]
) -> tuple[Solved, dict[str, Quantity], list[Curve]]:
    """March to the end, and before that more coarsely for error bars. Collective. Raises StageError."""
    params, bodies, without = bound.params, Bodies(bound, whole), NOT_ASKED
    plane = whole.mesh.geometry.dim == 2
    cubic = params.error_bars and (plane or whole.mesh.topology.index_map(3).size_global <= CUBIC)
    compared: list[dict[str, float]] = []
    for slower, name in ((SLOWER, "slower"), (1.0, "lower"))[: 1 + cubic] if params.error_bars else ():
        doing(f"stepping through time, for error bars ({name})")
        rough = solution.prepare(bound, bodies, 2 if cubic else params.degree)
        wanted = list(quantities.asked(rough))
        try:
            solution.solve_over_time(rough, attempt, _live(wanted), slower=slower, name=name)
        except StageError as error:
            if error.code != "diverged":
                raise
            without = NOT_TO_BE_HAD
            break
        compared.append({name: value for name, (_, value, _) in _numbers(rough, wanted).items()})
    if len(compared) < 1 + cubic:
        compared = []
    found = solution.prepare(bound, bodies, 3 if cubic else params.degree)
    wanted = list(quantities.asked(found))
    doing("stepping through time")
    film = Film(found, attempt)
    solution.solve_over_time(found, attempt, _live(wanted), each=film.look)
    film.write(attempt.out / "moving.vtkhdf")
    doing("quantities")
    numbers, method = {}, AND_LOWER if cubic else LONGER
    answer = _numbers(found, wanted)
    for name, (a, value, chance) in answer.items():
        # what is highest by a lucky meeting of errors is lowest by none
        other = name[:-3] + {"max": "min", "min": "max"}.get(name[-3:], "")
        alike = [name, other] if other in answer else [name]
        error, how = None, method
        if compared:
            runs = [*compared, {o: answer[o][1] for o in alike}]
            error = chance + max(sum(abs(b[o] - a[o]) for a, b in pairwise(runs)) for o in alike)
            how = f"{method}; {STATISTICAL}" if chance else method
        elif chance:
            error, how = chance, f"{STATISTICAL}, statistical only"
        numbers[name] = quantities.number(a, value, error, how, without)
    return found, numbers, [_history(a, found) for a in wanted if a.name in found.series and a.swings is None]


def _live(wanted: list[Asked]) -> dict[str, Callable[[], float]]:
    return {a.name: a.value for a in wanted if a.live and not a.given}


def _numbers(found: Solved, wanted: list[Asked]) -> dict[str, tuple[Asked, float, float]]:
    """Name -> (what it is, its value, the half width of its statistical band)."""
    params = found.bound.params
    start = params.end_time / 2 if params.average_from is None else params.average_from
    numbers: dict[str, tuple[Asked, float, float]] = {}
    for a in wanted:
        values = found.series.get(a.name)
        if a.swings is not None and values is not None:
            swings = series.frequency(found.times, values, start)
            told = a if swings else _but(a, statement=STILL)
            value, chance = swings or (0.0, 0.0)
            numbers[a.name] = told, a.swings * value, a.swings * chance
            continue
        numbers[a.name] = a, a.value(), 0.0
        if values is None:
            continue
        mean, half = series.averaged(found.times, values, start)
        numbers[f"{a.name}_mean"] = _but(a, _MEAN), mean, half
        numbers[f"{a.name}_max"] = _but(a, _EXTREME["max"]), series.highest(found.times, values, start), 0.0
        lowest = -series.highest(found.times, [-v for v in values], start)
        numbers[f"{a.name}_min"] = _but(a, _EXTREME["min"]), lowest, 0.0
    return numbers


def _but(a: Asked, more: Words | None = None, statement: Words | None = None) -> Asked:
    """The same with more to its title, at no place."""
    title = a.title if more is None else {code: f"{text}, {more[code]}" for code, text in a.title.items()}
    return Asked(a.name, a.unit, title, a.value, statement=statement or a.statement)


def _history(a: Asked, found: Solved) -> Curve:
    times, values = found.times, found.series[a.name]
    every = max(1, len(times) // POINTS)
    return Curve(
        name=f"{a.name}_history",
        title=a.title,
        x={"en": "time", "it": "tempo"},
        x_unit="s",
        y=a.title,
        y_unit=a.unit,
        lines=(Line(name=a.title, x=tuple(times[::every]), y=tuple(values[::every])),),
    )
