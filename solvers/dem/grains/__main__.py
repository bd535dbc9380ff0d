"""``python -m solvers.dem.grains --describe | check | run ATTEMPT``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hub.problem import Problem
from hub.result import Answer, Words
from hub.runfolder import Attempt
from hub.solver import Benchmark, BoundCase, Cost, Solver, serve
from solvers.dem.grains.conditions import CONDITIONS, WANTED, Params
from solvers.dem.grains.doubts import find_problems
from solvers.dem.grains.plan import Plan

#: Grains times steps that a core does in a second, with friction, rolling friction and triangulated walls.
RATE = 2.5e6


class Grains(Solver):
    """Spheres that collide with each other and with moving walls, one by one."""

    name = "dem.grains"
    version = "1"
    title: ClassVar[Words] = {"en": "Grains and powders", "it": "Grani e polveri"}
    summary: ClassVar[Words] = {
        "en": "Flow, mixing, packing and wear of grains in machines: hoppers, drums, mills, dies, screws. All "
        "grains are spheres; a tablet is a sphere of the same volume.",
        "it": "Flusso, miscelazione, impaccamento e usura di grani nelle macchine: tramogge, tamburi, mulini, "
        "stampi, coclee. Tutti i grani sono sfere; una compressa è una sfera di pari volume.",
    }
    equation = "m dv/dt = sum F + m g + F_drag; I dw/dt = sum r x F + T_rolling"
    references = (
        "P. A. Cundall, O. D. L. Strack, Geotechnique 29 (1979) 47-65",
        "R. D. Mindlin, H. Deresiewicz, J. Appl. Mech. 20 (1953) 327-344",
        "C. Thornton, S. J. Cummins, P. W. Cleary, Powder Technol. 233 (2013) 30-46",
        "J. Ai, J.-F. Chen, J. M. Rotter, J. Y. Ooi, Powder Technol. 206 (2011) 269-282",
        "P. M. C. Lacey, J. Appl. Chem. 4 (1954) 257-268",
        "H. Flyvbjerg, H. G. Petersen, J. Chem. Phys. 91 (1989) 461-466",
    )
    validated = (
        "spheres; Hertz-Mindlin contact with sliding and rolling friction, simplified JKR cohesion",
        "tablets and other shapes only as spheres of the same volume with rolling friction",
        "dry grains; gas that drags them, but is not moved by them",
    )
    Params = Params
    conditions = CONDITIONS
    material = ("density", "youngs_modulus", "poissons_ratio")
    wanted = WANTED
    domains = ("walls",)
    benchmarks = (Benchmark(case="seed-hopper"),)
    cost = Cost(
        per_node=0.0,
        start=8.0,
        seconds_per_unknown=0.02,
        bytes_base=4e8,
        bytes_per_unknown=3e3,
        parallel_fraction=0.85,
        fixed=5000.0,
    )

    def check(self, bound: BoundCase) -> Sequence[Problem]:
        return list(find_problems(bound))

    def costs(self, bound: BoundCase) -> Cost:
        plan = Plan(bound)
        work = plan.steps * plan.params.repeats / RATE
        return self.cost.model_copy(update={"fixed": float(plan.grains), "seconds_per_unknown": work})

    def solve(self, bound: BoundCase, attempt: Attempt) -> Answer | None:
        from solvers.dem.grains.answer import solve  # MPI, PETSc and compiled kernels are loaded here and not before

        return solve(bound, attempt)


if __name__ == "__main__":
    serve(Grains())
