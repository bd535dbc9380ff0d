"""``python -m solvers.cfd.flow --describe | check | run ATTEMPT``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hub.convergence import COARSER
from hub.problem import Problem
from hub.result import Answer, Words
from hub.runfolder import Attempt
from hub.solver import Benchmark, BoundCase, Cost, Solver, serve
from solvers.cfd.flow.checks import find_problems
from solvers.cfd.flow.conditions import CONDITIONS, WANTED, Params, buoyant, thermal, two_meshes

#: Seconds that a step in time takes for each unknown, on one core: in a plane and in space. Measured on cylinders in
#: channels, 1.2e-6 for 6.6 thousand unknowns in a plane and 4e-6 for 299 thousand in space.
PLANE_STEP, SPACE_STEP = 1.5e-6, 4e-6
#: Unknowns of velocity and pressure for each node of a quadratic mesh, in a plane and in space.
PLANE, SPACE = 2.3, 3.2
#: Memory for each unknown in a plane, where everything is factorised [bytes]: of quadratic elements, and of the cubic
#: ones of the error bars, which have 2.4 times as many. Measured on cylinders in channels, 2.7 and 3.7 kB for each of
#: their own up to 172 000 unknowns.
FLAT, CUBIC = 3e3, 9e3
#: Memory of the factors of the whole matrix in space, over unknowns^(4/3) [bytes]: 2283 MB for 103 thousand unknowns of
#: a pipe, 1841 MB for 116 thousand of a slimmer nozzle. So many at most are factorised, where iterations do not settle.
FACTORS, DIRECT = 300.0, 120_000.0


class Flow(Solver):
    """Incompressible flow with heat and passive scalars, by Taylor-Hood elements."""

    name = "cfd.flow"
    version = "1"
    title: ClassVar[Words] = {"en": "Flow and heat in fluids", "it": "Flusso e calore nei fluidi"}
    summary: ClassVar[Words] = {
        "en": "Pressure drops, flows, forces, temperatures and mixing of laminar flows inside and around parts, steady "
        "or changing over time; with filters, packings and fans, and in pieces that repeat.",
        "it": "Perdite di carico, portate, forze, temperature e miscelazione di flussi laminari dentro e attorno ai "
        "pezzi, stazionari o variabili nel tempo; con filtri, riempimenti e ventilatori, e in tratti che si ripetono.",
    }
    equation = "rho (du/dt + u . grad u) = -grad p + div(mu (grad u + grad u^T)) + rho beta (T0 - T) g, div u = 0"
    references = (
        "P. M. Gresho, R. L. Sani, Incompressible Flow and the Finite Element Method, Wiley 1998",
        "H. Elman, D. Silvester, A. Wathen, Finite Elements and Fast Iterative Solvers, 2nd ed., Oxford 2014",
        "J.-L. Guermond, P. Minev, J. Shen, Comput. Methods Appl. Mech. Eng. 195 (2006) 6011-6045",
        "A. N. Brooks, T. J. R. Hughes, Comput. Methods Appl. Mech. Eng. 32 (1982) 199-259",
        "G. de Vahl Davis, Int. J. Numer. Methods Fluids 3 (1983) 249-264",
    )
    validated = (
        "incompressible Newtonian fluids of constant properties; laminar, Reynolds numbers up to about 2000 steady",
        "turbulence only as large eddies resolved in time (WALE), in space, with cells at walls of y+ below 4; the "
        "means of turbulent flow are for cfd.openfoam",
        "buoyancy as Boussinesq: differences of temperature times expansion below about 0.1",
    )
    Params = Params
    conditions = CONDITIONS
    wanted = WANTED
    benchmarks = (Benchmark(case="heated-cavity"), Benchmark(case="pipe-flow"), Benchmark(case="tube-bundle"))
    cost = Cost(per_node=SPACE, start=8.0, seconds_per_unknown=1.5e-4, bytes_base=3.5e8, bytes_per_unknown=4e3)
    domains: ClassVar[tuple[str, ...]] = ("part", "inside", "around", "plane")

    def check(self, bound: BoundCase) -> Sequence[Problem]:
        return list(find_problems(bound))

    def costs(self, bound: BoundCase) -> Cost:
        plane = bound.case.domain.kind == "plane"
        per_node = (PLANE if plane else SPACE) + (1.0 if thermal(bound) else 0.0)
        seconds = 6e-5 if plane else 2.5e-4
        if bound.params.error_bars and bound.params.regime == "steady":
            seconds *= 2.0
        if buoyant(bound):
            seconds *= 3.0
        exponent = 1.0
        if bound.params.regime == "unsteady" and bound.params.end_time:
            # how many steps there are depends on sizes of cells that nobody knows yet: a hundred for each turn-over
            steps = bound.params.end_time / bound.params.time_step if bound.params.time_step else 1000.0
            seconds = (PLANE_STEP if plane else SPACE_STEP) * steps
            if bound.params.error_bars:
                # in a plane cubic elements, and quadratic ones in half as many steps; in space the latter besides
                seconds *= 1.3 if plane else 1.5
        update = {"per_node": per_node, "seconds_per_unknown": seconds, "exponent": exponent}
        if plane:
            update["bytes_per_unknown"] = CUBIC if bound.params.error_bars else FLAT
        elif bound.params.regime == "steady":
            update |= {"bytes_factors": FACTORS, "factors_up_to": DIRECT}
        return self.cost.model_copy(update=update)

    def coarser(self, bound: BoundCase) -> float | None:
        return COARSER if two_meshes(bound) else None

    def solve(self, bound: BoundCase, attempt: Attempt) -> Answer | None:
        import h5py  # noqa: F401 - brings an HDF5 of its own, which must be there before DOLFINx's

        from solvers.cfd.flow.answer import solve  # DOLFINx is loaded here and not before

        return solve(bound, attempt)


if __name__ == "__main__":
    serve(Flow())
