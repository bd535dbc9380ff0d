"""What the displacement means: quantities, balances, the verdict and the fields."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dolfinx
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from mpi4py import MPI

from hub.figures import Figures
from hub.result import Answer, Check, Quantity, Verdict, View, Words
from hub.runfolder import Attempt
from solvers.fem import output
from solvers.fem.elasticity import loads
from solvers.fem.elasticity.estimate import estimate
from solvers.fem.elasticity.local import Local
from solvers.fem.elasticity.operator import Operator
from solvers.fem.elasticity.rigid import Loose
from solvers.fem.elasticity.solved import Solved
from solvers.fem.place import place
from solvers.fem.recovery import Recovery, lame_of, principal, von_mises

if TYPE_CHECKING:
    from solvers.fem.elasticity.solution import Progress

Reals = npt.NDArray[np.float64]

#: Safety factors are written up to this one.
LARGEST_SAFETY = 1e3
#: Largest unbalanced part of the loads, and of the energy, that an answer may have.
BALANCED = 1e-5


def make(
    solved: Solved, operator: Operator, loose: Sequence[Loose], attempt: Attempt, progress: Progress
) -> Answer | None:
    """Everything that is said about the displacement, and ``fields.vtu``. Collective; rank 0 gets the Answer.

    loose : motions that the supports hardly resist
    """
    part, V = solved.part, solved.V
    progress.doing("checking the balances")
    balance = Balance.of(solved, operator)
    # now, before the dual problems: the operator tells of its last solution
    checks = balance.checks(operator)
    iterations = operator.iterations
    progress.doing("recovering stresses")
    recovered = Recovery(part.mesh, lame_of(solved.mu, solved.lmbda)).recover(solved.u)
    nodal = recovered.at_nodes(V)
    stress = output.at_geometry_nodes(part, V, nodal)
    progress.doing("estimating errors" if solved.bound.params.estimate_errors else "collecting quantities")
    estimated = estimate(solved, recovered, nodal, 2 * balance.strain)
    progress.doing("writing the fields")
    safe = write_fields(solved, stress, attempt.out / "fields.vtu", estimated.local)
    progress.doing("")
    memory = part.mesh.comm.allreduce(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    if part.mesh.comm.rank:
        return None
    return Answer(
        verdict=verdict(solved, estimated.quantities),
        quantities=estimated.quantities,
        checks=checks,
        views=_views(safe),
        notes=(*estimated.notes, *(_badly_held(motion) for motion in loose)),
        unknowns=3 * V.dofmap.index_map.size_global,
        iterations=iterations,
        seconds={k: round(v, 3) for k, v in progress.seconds.items()},
        peak_memory=memory,
    )


def write_fields(solved: Solved, stress: Reals, file: Path, bars: Local | None = None) -> bool:
    """Write ``fields.vtu`` at the nodes of the mesh; True if it has safety factors. Collective.

    stress : (local geometry nodes, 6) [Pa]; bars : become fields ``..._error``
    """
    part = solved.part
    equivalent, principals, strength = von_mises(stress), principal(stress), _strength(solved)
    fields = {
        "displacement": output.at_geometry_nodes(part, solved.V, solved.u.x.array.reshape(-1, 3)),
        "stress": stress,
        "von_mises": equivalent,
        **{f"principal_{i + 1}": principals[:, i] for i in range(3)},
    }
    if bars is not None:
        for name, half in (("von_mises_error", bars.von_mises), ("displacement_error", bars.displacement)):
            fields[name] = output.at_geometry_nodes(part, solved.V, half[:, None])[:, 0]
    safe = bool(part.mesh.comm.allreduce(int(np.isfinite(strength).any()), MPI.MAX))
    if safe:
        # what is hardly stressed has no meaningful factor; a picture needs a number there
        fields["safety_factor"] = strength / np.maximum(equivalent, strength / LARGEST_SAFETY)
        fields["safety_factor"][~np.isfinite(strength)] = LARGEST_SAFETY
        if bars is not None:  # yield by stress: the wider side of its interval, as for the smallest
            share = np.minimum(fields["von_mises_error"] / np.maximum(equivalent, 1e-300), 0.9)
            fields["safety_factor_error"] = fields["safety_factor"] * (1 / (1 - share) - 1)
    output.write(part, fields, file)
    return safe


def _badly_held(motion: Loose) -> Words:
    return {
        "en": f"{motion.body[:1].upper()}{motion.body[1:]} is hardly held against {motion.words}: the displacement "
        "depends more on the support than on the part.",
        "it": f"Il pezzo ({motion.body}) è trattenuto appena contro il moto «{motion.words}»: lo spostamento dipende "
        "più dal vincolo che dal pezzo.",
    }


def _strength(solved: Solved) -> Reals:
    """The yield strength at the geometry's nodes [Pa]: the weakest of the materials that meet there."""
    file = solved.part.file
    of_body = np.full(len(file.bodies), np.inf)
    for body, material in solved.bound.materials:
        names = (body.on,) if isinstance(body.on, str) else body.on
        for i, known in enumerate(file.bodies):
            if "all" in names or known["name"] in names:
                of_body[i] = material.yield_strength or np.inf
    at_nodes = np.full(len(file.points), np.inf)
    for body, value in enumerate(of_body):
        nodes = file.cells[file.cell_body == body].ravel()
        at_nodes[nodes] = np.minimum(at_nodes[nodes], value)
    return at_nodes[solved.part.nodes]


@dataclass(frozen=True)
class Balance:
    """Forces and energies of a solved problem.

    force, moment : what is left of loads and reactions [N], and of their moments about the origin [N m]
    internal : strain energy, with that of the springs [J]
    external : work of the loads and of the prescribed displacements, halved [J]
    size : largest extent of the part [m]
    scale : sum of the sizes of all nodal loads and reactions [N]
    strain : strain energy, without that of the springs [J]
    """

    force: Reals
    moment: Reals
    internal: float
    external: float
    size: float
    scale: float
    strain: float

    @classmethod
    def of(cls, solved: Solved, operator: Operator) -> Balance:
        """The residual of the equations at what is held is what the supports push with. Collective."""
        V, u, comm = solved.V, solved.u, solved.part.mesh.comm
        v = ufl.TestFunction(V)
        own = 3 * V.dofmap.index_map.size_local
        f = loads.assemble(solved.loads, V)
        springs = [fem.form(operator.spring(a, u, v)) for a in operator.springs]
        spring = loads.assemble(springs, V)
        inner = loads.assemble([fem.form(operator.internal(u, v))], V)
        held = operator.prescribed.held.any(axis=1)
        push = np.where(np.repeat(held, 3), inner.array + spring.array - f.array, 0.0)
        total = dolfinx.la.vector(V.dofmap.index_map, 3, dtype=np.float64)
        total.array[:] = f.array - spring.array + push
        force, moment = loads.resultant(V, total)
        x = u.x.array[:own]
        stored = float((inner.array + spring.array)[:own] @ x) / 2
        work = float((f.array + push)[:own] @ x) / 2
        sizes = float(sum(np.abs(part[:own]).sum() for part in (f.array, spring.array, push)))
        strain = float(inner.array[:own] @ x) / 2
        sums = comm.allreduce(np.array([stored, work, sizes, strain]), MPI.SUM)
        extent = float(np.ptp(solved.part.file.points, axis=0).max())
        return cls(force, moment, float(sums[0]), float(sums[1]), extent, float(sums[2]), float(sums[3]))

    def checks(self, operator: Operator) -> tuple[Check, ...]:
        """Forces, moments, residual and energy as checks."""
        values = {
            "force_balance": float(np.linalg.norm(self.force)) / (self.scale or 1.0),
            "moment_balance": float(np.linalg.norm(self.moment)) / ((self.scale or 1.0) * self.size),
            "residual": operator.residual,
            "energy": abs(self.internal - self.external) / (abs(self.internal) or 1.0),
        }
        titles: dict[str, Words] = {
            "force_balance": {"en": "Reactions balance the loads", "it": "Le reazioni equilibrano i carichi"},
            "moment_balance": {
                "en": "Moments of the reactions balance those of the loads",
                "it": "I momenti delle reazioni equilibrano quelli dei carichi",
            },
            "residual": {"en": "True residual of the equations", "it": "Residuo vero delle equazioni"},
            "energy": {
                "en": "Stored energy equals the work of the loads",
                "it": "L'energia accumulata è pari al lavoro dei carichi",
            },
        }
        limits = dict.fromkeys(values, BALANCED) | {"residual": 10 * operator.tolerance}
        return tuple(
            Check(name=name, title=titles[name], value=value, limit=limits[name], passed=value <= limits[name])
            for name, value in values.items()
        )


def _views(safety: bool) -> tuple[View, ...]:
    views = [
        View(
            name="von_mises",
            title={"en": "Von Mises stress", "it": "Tensione di von Mises"},
            field="von_mises",
            unit="Pa",
            warp="displacement",
            mark="max_von_mises",
        ),
        View(
            name="displacement",
            title={"en": "Displacement", "it": "Spostamento"},
            field="displacement",
            unit="m",
            warp="displacement",
            mark="max_displacement",
        ),
    ]
    if safety:
        views.append(
            View(
                name="safety_factor",
                title={"en": "Safety factor", "it": "Coefficiente di sicurezza"},
                field="safety_factor",
                unit="",
                mark="min_safety",
            )
        )
    return tuple(views)


def verdict(solved: Solved, quantities: dict[str, Quantity]) -> Verdict:
    """The answer in one sentence."""
    safety = quantities.get("min_safety")
    if safety is None or safety.at is None:
        moved = quantities["max_displacement"]
        far = {code: Figures(code).quantity(moved.value, "m", moved.error) for code in ("en", "it")}
        return Verdict(
            answer="none",
            sentence={
                "en": f"Moves by at most {far['en']}; no yield strength is given, so nothing is said about whether it "
                "holds.",
                "it": f"Si sposta al massimo di {far['it']}; senza carico di snervamento non si dice se regge.",
            },
        )
    required, error = solved.bound.params.required_safety, safety.error or 0.0
    number = {code: Figures(code).quantity(safety.value, "", safety.error) for code in ("en", "it")}
    at = place(solved.part.file, safety.at)
    if safety.value - error >= required:
        known, words = "yes", {"en": "Holds", "it": "Regge"}
    elif safety.value + error < required:
        known, words = "no", {"en": "Does not hold", "it": "Non regge"}
    else:
        known, words = "unclear", {"en": "Unclear whether it holds", "it": "Non è chiaro se regga"}
    return Verdict(
        answer=known,
        sentence={
            "en": f"{words['en']}: smallest safety factor {number['en']} against yield, {at['en']}.",
            "it": f"{words['it']}: coefficiente di sicurezza minimo {number['it']} allo snervamento, {at['it']}.",
        },
    )
