"""``python -m solvers.fem.heat --describe | check | run ATTEMPT``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hub.problem import Problem
from hub.result import Answer, Words
from hub.runfolder import Attempt
from hub.solver import Benchmark, BoundCase, Cost, Solver, serve
from solvers.fem.heat.conditions import CONDITIONS, WANTED, Params, find_problems


class Heat(Solver):
    """Steady heat conduction with quadratic tetrahedra."""

    name = "fem.heat"
    version = "1"
    title: ClassVar[Words] = {"en": "Steady heat conduction", "it": "Conduzione termica stazionaria"}
    summary: ClassVar[Words] = {
        "en": "Temperatures and heat flows of parts that are heated and cooled steadily.",
        "it": "Temperature e flussi di calore di pezzi riscaldati e raffreddati in modo stazionario.",
    }
    equation = "-div(k grad T) = q"
    references = (
        "H. S. Carslaw, J. C. Jaeger, Conduction of Heat in Solids, 2nd ed., Oxford 1959",
        "O. C. Zienkiewicz, J. Z. Zhu, Int. J. Numer. Methods Eng. 33 (1992) 1331-1364",
        "F. Cirak, E. Ramm, Comput. Methods Appl. Mech. Eng. 156 (1998) 351-362",
    )
    validated = (
        "steady, conductivity constant and equal in all directions in each material, materials in perfect contact",
        "convection with a given coefficient; no radiation",
    )
    Params = Params
    conditions = CONDITIONS
    material = ("thermal_conductivity",)
    wanted = WANTED
    benchmarks = (Benchmark(case="slab"), Benchmark(case="insulated-pipe"), Benchmark(case="heat-sink"))
    cost = Cost(per_node=1, start=3.0, seconds_per_unknown=2e-4, bytes_base=2.5e8, bytes_per_unknown=3e3)

    def check(self, bound: BoundCase) -> Sequence[Problem]:
        return list(find_problems(bound))

    def solve(self, bound: BoundCase, attempt: Attempt) -> Answer | None:
        from solvers.fem.heat.answer import solve  # DOLFINx is loaded here and not before

        return solve(bound, attempt)


if __name__ == "__main__":
    serve(Heat())
