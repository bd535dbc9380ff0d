"""``python -m solvers.cfd.openfoam --describe | check | run ATTEMPT``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hub.problem import Problem
from hub.result import Answer, Words
from hub.runfolder import Attempt
from hub.solver import Benchmark, BoundCase, Cost, Solver, serve
from solvers.cfd.openfoam import program
from solvers.cfd.openfoam.conditions import CONDITIONS, WANTED, Params, find_problems


class OpenFOAM(Solver):
    """Steady turbulent flow by finite volumes: simpleFoam of OpenFOAM, run as programs of its own."""

    name = "cfd.openfoam"
    version = "1"
    title: ClassVar[Words] = {
        "en": "Turbulent flow, k-omega SST (OpenFOAM)",
        "it": "Flusso turbolento, k-omega SST (OpenFOAM)",
    }
    summary: ClassVar[Words] = {
        "en": "Mean velocities, pressures and forces of turbulent flow in and around parts. Computed by OpenFOAM, "
        "which must be installed.",
        "it": "Velocità, pressioni e forze medie di flussi turbolenti dentro e attorno ai pezzi. Calcolati da "
        "OpenFOAM, che deve essere installato.",
    }
    equation = "div(U U) = -grad p + div((nu + nu_t) (grad U + grad U^T)),  div U = 0"
    references = (
        "F. R. Menter, M. Kuntz, R. Langtry, Turbulence, Heat and Mass Transfer 4 (2003) 625-632",
        "H. G. Weller, G. Tabor, H. Jasak, C. Fureby, Computers in Physics 12 (1998) 620-631",
        "P. J. Roache, J. Fluids Eng. 116 (1994) 405-413",
    )
    validated = (
        "steady mean flow of a fluid of constant density and viscosity, one temperature",
        "walls by wall functions: y+ up to some hundred; separation from smooth walls is known to be off by 10 %",
    )
    Params = Params
    conditions = CONDITIONS
    material = ("density", "dynamic_viscosity")
    wanted = WANTED
    benchmarks = (Benchmark(case="ahmed-body"),)
    cost = Cost(per_node=25, start=30.0, seconds_per_unknown=3e-4, bytes_base=3e8, bytes_per_unknown=500)
    orders = (1, 2)
    domains = ("part", "inside", "around", "plane")
    starts_own_ranks = True

    def check(self, bound: BoundCase) -> Sequence[Problem]:
        absence = program.absence()
        return [*find_problems(bound), *([absence] if absence else [])]

    def solve(self, bound: BoundCase, attempt: Attempt) -> Answer | None:
        from solvers.cfd.openfoam.answer import solve  # VTK is loaded here and not before

        return solve(bound, attempt)


if __name__ == "__main__":
    serve(OpenFOAM())
