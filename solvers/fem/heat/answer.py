"""What the temperature means: quantities, balances, the verdict and the fields."""

from __future__ import annotations

import resource
import time

import numpy as np

from hub.figures import Figures
from hub.result import Answer, Check, Quantity, Verdict, View, Words
from hub.runfolder import Attempt
from hub.solver import BoundCase
from solvers.fem import mesh as fem_mesh
from solvers.fem import output
from solvers.fem.heat import local
from solvers.fem.heat.conditions import Convection, Temperature
from solvers.fem.heat.conduction import Conduction, Integers, Reals
from solvers.fem.heat.estimate import Estimator
from solvers.fem.mesh import Part
from solvers.fem.place import place

#: Largest part of the heat that may be lost between the conditions.
BALANCED = 1e-6
METHOD = "goal-oriented ZZ estimate"
EXACT = "as given"
NONE = np.empty(0, dtype=np.int32)


def solve(bound: BoundCase, attempt: Attempt) -> Answer | None:
    """Solve the case in the attempt's folder. Collective; rank 0 gets the Answer. Raises StageError."""
    return make(bound, fem_mesh.read(attempt.inputs), attempt)


def make(bound: BoundCase, part: Part, attempt: Attempt) -> Answer | None:
    """Everything that is said about the temperature, and ``fields.vtu``. Collective; rank 0 gets the Answer."""
    comm, seconds, since = part.mesh.comm, {}, time.perf_counter()

    def doing(step: int, what: str) -> None:
        nonlocal since
        seconds[what], since = 0.0, time.perf_counter()
        if comm.rank == 0:
            attempt.write_status(step=step, of=4, doing=what)

    def done() -> None:
        seconds[list(seconds)[-1]] = round(time.perf_counter() - since, 3)

    doing(1, "assembling")
    problem = Conduction(bound, part)
    done()
    doing(2, "solving")
    if comm.rank == 0:
        problem.watch = lambda step, residual: attempt.write_status(step=2, of=4, doing="solving", residual=residual)
    theta = problem.solve()
    problem.watch = lambda step, residual: None
    iterations, residual = problem.iterations, problem.residual
    done()
    doing(3, "estimating errors")
    estimator = Estimator(problem, theta)
    quantities = _temperatures(estimator) | _wanted(estimator)
    heats, checks = _heats(estimator, residual)
    quantities |= heats
    done()
    doing(4, "writing the fields")
    T = output.at_geometry_nodes(part, problem.V, theta.x.array[:, None])[:, 0] + problem.level
    recovered = estimator.recovered.at_nodes(problem.V)[:, :3]
    flux = -output.at_geometry_nodes(part, problem.V, recovered)
    temperatures = [q.error for q in quantities.values() if q.unit == "K"]
    halves = local.bars(estimator, recovered, temperatures)
    T_error, flux_error = (output.at_geometry_nodes(part, problem.V, half[:, None])[:, 0] for half in halves)
    fields = {"temperature": T, "temperature_error": T_error, "heat_flux": flux, "heat_flux_error": flux_error}
    output.write(part, fields, attempt.out / "fields.vtu")
    done()
    memory = 1024 * int(comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
    if comm.rank:
        return None
    return Answer(
        verdict=verdict(bound, part, quantities["max_temperature"]),
        quantities=quantities,
        checks=checks,
        views=_views(),
        notes=_notes(part),
        unknowns=problem.V.dofmap.index_map.size_global,
        iterations=iterations,
        seconds=seconds,
        peak_memory=memory,
    )


def _temperatures(estimator: Estimator) -> dict[str, Quantity]:
    problem, found = estimator.problem, {}
    for name, sign, title in (
        ("max_temperature", 1.0, Words(en="Highest temperature", it="Temperatura massima")),
        ("min_temperature", -1.0, Words(en="Lowest temperature", it="Temperatura minima")),
    ):
        value, at, error = estimator.extreme(sign)
        found[name] = Quantity(
            value=value + problem.level,
            unit="K",
            error=error,
            error_method=METHOD if error else EXACT,
            title=title,
            at=tuple(at),
        )
    title = Words(en="Mean temperature of the part", it="Temperatura media del pezzo")
    found["mean_temperature"] = _mean(estimator, _over_part(problem), title)
    return found


def _over_part(problem: Conduction) -> Reals:
    weights = problem.volume_load(problem.part.bodies.indices, 1.0)
    return weights / problem.comm.allreduce(float(weights.sum()))


def _mean(estimator: Estimator, weights: Reals, title: Words) -> Quantity:
    value, error = estimator.mean(weights) + estimator.problem.level, estimator.bar_of(weights)
    return Quantity(value=value, unit="K", error=error, error_method=METHOD, title=title)


def _wanted(estimator: Estimator) -> dict[str, Quantity]:
    problem, found = estimator.problem, {}
    for wanted in problem.bound.case.quantities:
        if wanted.at is not None:
            weights = estimator.at_point(np.array(wanted.at))
            title = Words(en=f"Temperature, {wanted.name}", it=f"Temperatura, {wanted.name}")
        elif wanted.on is not None:
            weights = problem.face_load(problem.part.facets([wanted.on]), 1.0)
            weights = weights / problem.comm.allreduce(float(weights.sum()))
            title = Words(en=f"Mean temperature of {wanted.on}", it=f"Temperatura media di {wanted.on}")
        else:
            weights, title = _over_part(problem), Words(en="Mean temperature", it="Temperatura media")
        found[wanted.name] = _mean(estimator, weights, title)
        if wanted.at is not None:
            found[wanted.name] = found[wanted.name].model_copy(update={"at": wanted.at})
    return found


def _heats(estimator: Estimator, residual: float) -> tuple[dict[str, Quantity], tuple[Check, ...]]:
    """The heat of each condition [W], and what must hold of them."""
    problem, found, heats = estimator.problem, {}, list(estimator.problem.heats(estimator.theta))
    for i, (acting, heat) in enumerate(heats):
        title = Words(en=f"Heat into the part, {acting.name}", it=f"Calore che entra, {acting.name}")
        error, method, statement = _bar_of_heat(estimator, i, heat)
        found[f"heat_{i + 1}"] = Quantity(
            value=heat, unit="W", error=error, error_method=method, statement=statement, title=title
        )
    lost, moved = sum(heat for _, heat in heats), sum(abs(heat) for _, heat in heats)
    # without any heat there is nothing to lose: what is left of the digits is then measured by what would flow
    scale = max(moved, 1e-9 * float(problem.k.x.array.max(initial=0.0)) * problem.level * 1e-3)
    values = {"heat_balance": (abs(lost) / problem.comm.allreduce(scale, max), BALANCED,
                               Words(en="Heat that enters leaves again", it="Il calore che entra esce")),
              "residual": (residual, 10 * problem.bound.params.tolerance,
                           Words(en="True residual of the equations", it="Residuo vero delle equazioni"))}  # fmt: skip
    checks = tuple(
        Check(name=name, title=title, value=value, limit=limit, passed=value <= limit)
        for name, (value, limit, title) in values.items()
    )
    return found, checks


def _bar_of_heat(estimator: Estimator, i: int, heat: float) -> tuple[float | None, str, Words]:
    problem = estimator.problem
    acting = problem.acting[i]
    match acting.condition:
        case Temperature() if i in problem.clash:
            return (
                None,
                "",
                {
                    "en": "Two temperatures meet at an edge: the heat through it grows without limit as the mesh gets "
                    "finer, so that this number means nothing.",
                    "it": "Due temperature si incontrano su uno spigolo: il calore che lo attraversa cresce senza "
                    "limite infittendo la mesh, e questo numero non ha significato.",
                },
            )
        case Temperature():
            nodes: Integers = problem.nodes.get(i, NONE)
            return estimator.bar_of_heat(np.zeros(problem.own), nodes, heat), METHOD, {}
        case Convection() as c:
            weights = problem.face_load(acting.facets, c.coefficient)
            return estimator.bar_of_heat(weights, NONE, heat), METHOD, {}
    return 0.0, EXACT, {}


def _views() -> tuple[View, ...]:
    return (
        View(
            name="temperature",
            title={"en": "Temperature", "it": "Temperatura"},
            field="temperature",
            unit="K",
            mark="max_temperature",
        ),
        View(
            name="heat_flux",
            title={"en": "Heat flux", "it": "Flusso di calore"},
            field="heat_flux",
            unit="W/m**2",
        ),
    )


def _notes(part: Part) -> tuple[Words, ...]:
    flux = Words(
        en="No figure is given for the highest heat flux: at sharp inner edges it grows without limit as the mesh gets "
        "finer, and what its picture shows there depends on the mesh.",
        it="Non si dà il flusso di calore massimo: sugli spigoli rientranti cresce senza limite infittendo la mesh, e "
        "quanto mostra la figura in quei punti dipende dalla mesh.",
    )
    flat = Words(
        en="Curved faces were meshed with flat triangles; the error bars do not know of that.",
        it="Le facce curve sono discretizzate con triangoli piani; le barre d'errore non ne tengono conto.",
    )
    curved = any(face["type"] != "plane" for face in part.file.faces)
    return (flux, flat) if part.file.order == 1 and curved else (flux,)


def verdict(bound: BoundCase, part: Part, hottest: Quantity) -> Verdict:
    """The answer in one sentence."""
    error, limit = hottest.error or 0.0, bound.params.highest_allowed
    number = {code: Figures(code).quantity(hottest.value, "K", hottest.error) for code in ("en", "it")}
    where = place(part.file, hottest.at)
    words = {"en": f"Hottest: {number['en']} {where['en']}", "it": f"Punto più caldo: {number['it']} {where['it']}"}
    if limit is None:
        return Verdict(answer="none", sentence={"en": f"{words['en']}.", "it": f"{words['it']}."})
    allowed = {code: Figures(code).quantity(limit, "K") for code in ("en", "it")}
    if hottest.value + error <= limit:
        answer, en, it = "yes", "Stays cool enough", "Resta abbastanza freddo"
    elif hottest.value - error > limit:
        answer, en, it = "no", "Gets too hot", "Si scalda troppo"
    else:
        answer, en, it = "unclear", "Unclear whether it stays cool enough", "Non è chiaro se resti abbastanza freddo"
    return Verdict(
        answer=answer,
        sentence={
            "en": f"{en}. {words['en']}; {allowed['en']} is allowed.",
            "it": f"{it}. {words['it']}; sono ammessi {allowed['it']}.",
        },
    )
