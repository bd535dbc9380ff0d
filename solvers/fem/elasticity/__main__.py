"""``python -m solvers.fem.elasticity --describe | check | run ATTEMPT``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hub.problem import Problem
from hub.result import Answer, Words
from hub.runfolder import Attempt
from hub.solver import Benchmark, BoundCase, Cost, Solver, serve
from solvers.fem.elasticity.conditions import BODY_LOADS, FACE_LOADS, SUPPORTS, WANTED, Params, find_problems


class Elasticity(Solver):
    """Linear static elasticity with quadratic tetrahedra."""

    name = "fem.elasticity"
    version = "1"
    title: ClassVar[Words] = {"en": "Linear static strength", "it": "Resistenza statica lineare"}
    summary: ClassVar[Words] = {
        "en": "Displacements, stresses and safety factors of elastic parts under steady loads.",
        "it": "Spostamenti, tensioni e coefficienti di sicurezza di parti elastiche sotto carichi costanti.",
    }
    equation = "-div(2 mu eps(u) + lambda tr(eps(u)) I) = f, eps(u) = (grad u + grad u^T) / 2"
    references = (
        "O. C. Zienkiewicz, R. L. Taylor, J. Z. Zhu, The Finite Element Method, 7th ed., Butterworth-Heinemann 2013",
        "O. C. Zienkiewicz, J. Z. Zhu, Int. J. Numer. Methods Eng. 33 (1992) 1331-1364",
    )
    validated = (
        "small displacements and strains, linear elastic isotropic materials, steady loads",
        "Poisson's ratio up to 0.3 in the benchmarks; above 0.45 displacements turn too small",
        "solid parts, thick or thin-walled with at least one quadratic element across",
    )
    benchmarks = tuple(Benchmark(case=case) for case in ("le1", "le10", "lame-cylinder", "kirsch-plate", "cantilever"))
    Params = Params
    conditions = (*SUPPORTS, *FACE_LOADS, *BODY_LOADS)
    material = ("youngs_modulus", "poissons_ratio")
    wanted = WANTED
    # from runs of 57k, 214k and 676k unknowns on two ranks, error estimates included
    cost = Cost(per_node=3, start=2.5, seconds_per_unknown=4.5e-5, bytes_base=2e8, bytes_per_unknown=2.9e3)

    def check(self, bound: BoundCase) -> Sequence[Problem]:
        return list(find_problems(bound))

    def solve(self, bound: BoundCase, attempt: Attempt) -> Answer | None:
        from solvers.fem.elasticity.solution import solve

        return solve(bound, attempt)


if __name__ == "__main__":
    serve(Elasticity())
