"""What the displacement means: quantities, balances, the verdict and the fields."""

from __future__ import annotations

from dataclasses import dataclass

import dolfinx
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from mpi4py import MPI

from hub.result import Answer, Check, Quantity, Verdict, View, Words
from hub.runfolder import Attempt
from hub.units import show
from solvers.fem import output
from solvers.fem.elasticity import loads
from solvers.fem.elasticity.conditions import SUPPORTS
from solvers.fem.elasticity.operator import Operator
from solvers.fem.elasticity.solved import Acting, Solved
from solvers.fem.mesh import Part
from solvers.fem.recovery import Recovery, lame_of, principal, von_mises

Reals = npt.NDArray[np.float64]

#: Largest unbalanced part of the loads, and of the energy, that an answer may have.
BALANCED = 1e-5


@dataclass(frozen=True)
class Peak:
    """The extreme of a nodal field: value, place [m], row in the mesh file's points."""

    value: float
    at: tuple[float, float, float]
    node: int


def extreme(part: Part, values: Reals) -> Peak:
    """The largest of a field at the geometry's nodes, the same on every rank. Collective."""
    own = part.mesh.geometry.index_map().size_local
    comm, best = part.mesh.comm, int(np.argmax(values[:own])) if own else -1
    local = (float(values[best]), -int(part.nodes[best])) if own else (-np.inf, 0)
    value, node = max(comm.allgather(local))
    return Peak(value, tuple(map(float, part.file.points[-node])), -node)


def make(solved: Solved, operator: Operator, attempt: Attempt, progress) -> Answer | None:
    """Everything that is said about the displacement, and ``fields.vtu``. Collective; rank 0 gets the Answer."""
    part, V = solved.part, solved.V
    progress.doing("recovering stresses")
    recovered = Recovery(part.mesh, lame_of(solved.mu, solved.lmbda)).recover(solved.u)
    stress = output.at_geometry_nodes(part, V, recovered.at_nodes(V))
    u = output.at_geometry_nodes(part, V, solved.u.x.array.reshape(-1, 3))
    equivalent, principals = von_mises(stress), principal(stress)
    strength = _strength(solved)
    safety = strength / np.maximum(equivalent, 1e-9 * max(extreme(part, equivalent).value, 1e-300))

    progress.doing("checking the balances")
    balance = Balance.of(solved, operator)
    moved, stressed = extreme(part, np.linalg.norm(u, axis=1)), extreme(part, equivalent)
    weakest = extreme(part, 1 / safety) if np.isfinite(strength).any() else None
    volume, mass = _volume_and_mass(solved)

    progress.doing("writing the fields")
    capped = {"safety_factor": np.minimum(safety, 1e3)} if weakest else {}
    fields = {
        "displacement": u,
        "stress": stress,
        "von_mises": equivalent,
        **{f"principal_{i + 1}": principals[:, i] for i in range(3)},
        **capped,
    }
    output.write(part, fields, attempt.out / "fields.vtu")

    quantities = {
        "max_displacement": Quantity(
            value=moved.value,
            unit="m",
            at=moved.at,
            title={"en": "Largest displacement", "it": "Spostamento massimo"},
        ),
        "max_von_mises": Quantity(
            value=stressed.value,
            unit="Pa",
            at=stressed.at,
            title={"en": "Largest von Mises stress", "it": "Tensione di von Mises massima"},
        ),
    }
    if weakest:
        quantities["min_safety"] = Quantity(
            value=1 / weakest.value,
            unit="",
            at=weakest.at,
            title={"en": "Smallest safety factor", "it": "Coefficiente di sicurezza minimo"},
        )
    quantities |= {
        "strain_energy": Quantity(
            value=balance.internal, unit="J", title={"en": "Strain energy", "it": "Energia di deformazione"}
        ),
        "volume": Quantity(value=volume, unit="m**3", title={"en": "Volume", "it": "Volume"}),
    }
    if mass > 0:
        quantities["mass"] = Quantity(value=mass, unit="kg", title={"en": "Mass", "it": "Massa"})
    quantities |= balance.quantities()
    progress.doing("")
    memory = part.mesh.comm.allreduce(_resident())
    if part.mesh.comm.rank:
        return None
    return Answer(
        verdict=verdict(solved, quantities.get("min_safety"), quantities["max_displacement"], weakest),
        quantities=quantities,
        checks=balance.checks(operator),
        views=_views(bool(weakest)),
        unknowns=3 * V.dofmap.index_map.size_global,
        iterations=operator.iterations,
        seconds={k: round(v, 3) for k, v in progress.seconds.items()},
        peak_memory=memory,
    )


def _resident() -> int:
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


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


def _volume_and_mass(solved: Solved) -> tuple[float, float]:
    """[m3], [kg]; the mass is zero where no density was given. Collective."""
    one = fem.Constant(solved.part.mesh, 1.0)
    dx = ufl.Measure("dx", domain=solved.part.mesh, metadata={"quadrature_degree": 4})
    local = [fem.assemble_scalar(fem.form(f * dx)) for f in (one, solved.density)]
    volume, mass = solved.part.mesh.comm.allreduce(np.array(local), MPI.SUM)
    return float(volume), float(mass)


@dataclass(frozen=True)
class Balance:
    """Forces and energies of a solved problem.

    load, load_moment : resulting force [N] and moment about the origin [N m] of the loads
    reactions : a support each: (condition, force on the part, moment about the origin)
    internal : strain energy [J]; springs : energy in the elastic supports [J]
    external : work of the loads and of the prescribed displacements, halved [J]
    size : largest extent of the part [m]
    scale : sum of the sizes of all nodal loads and reactions [N]
    """

    load: Reals
    load_moment: Reals
    reactions: list[tuple[Acting, Reals, Reals]]
    internal: float
    springs: float
    external: float
    size: float
    scale: float

    @classmethod
    def of(cls, solved: Solved, operator: Operator) -> Balance:
        """The residual of the equations at what is held is what the supports push with. Collective."""
        V, u, comm = solved.V, solved.u, solved.part.mesh.comm
        v = ufl.TestFunction(V)
        f = loads.assemble(solved.loads, V)
        inner = loads.assemble([fem.form(operator.internal(u, v))], V)
        own = 3 * V.dofmap.index_map.size_local
        push = inner.array - f.array
        reactions, energy, springs = [], 0.0, 0.0
        left = operator.prescribed.held.any(axis=1)
        held = left.copy()
        held[operator.prescribed.turned] = True
        for acting in solved.conditions:
            if not isinstance(acting.condition, SUPPORTS):
                continue
            reaction = dolfinx.la.vector(V.dofmap.index_map, 3, dtype=np.float64)
            if acting.condition.kind == "elastic_support":
                spring = loads.assemble([fem.form(operator.spring(acting, u, v))], V)
                reaction.array[:] = -spring.array
                springs += float(spring.array[:own] @ u.x.array[:own]) / 2
                push += spring.array
            reactions.append((acting, reaction))
        for acting, reaction in reactions:
            if acting.condition.kind != "elastic_support":
                nodes = fem.locate_dofs_topological(V, 2, acting.facets, remote=True)
                nodes = nodes[left[nodes]]
                left[nodes] = False
                reaction.array.reshape(-1, 3)[nodes] = push.reshape(-1, 3)[nodes]
        total, moment = loads.resultant(V, f)
        results = [(a, *loads.resultant(V, r)) for a, r in reactions]
        energy = float(inner.array[:own] @ u.x.array[:own]) / 2
        work = float((f.array[:own] + np.where(np.repeat(held, 3)[:own], push[:own], 0.0)) @ u.x.array[:own]) / 2
        sizes = float(np.abs(f.array[:own]).sum() + np.abs(push[:own][np.repeat(held, 3)[:own]]).sum())
        sums = comm.allreduce(np.array([energy, springs, work, sizes]), MPI.SUM)
        extent = float(np.ptp(solved.part.file.points, axis=0).max())
        return cls(total, moment, results, *map(float, sums[:3]), extent, float(sums[3]))

    def checks(self, operator: Operator) -> tuple[Check, ...]:
        """Forces, moments, residual and energy as checks."""
        force = self.load + sum((f for _, f, _ in self.reactions), np.zeros(3))
        moment = self.load_moment + sum((m for _, _, m in self.reactions), np.zeros(3))
        stored = self.internal + self.springs
        values = {
            "force_balance": float(np.linalg.norm(force)) / (self.scale or 1.0),
            "moment_balance": float(np.linalg.norm(moment)) / ((self.scale or 1.0) * self.size),
            "residual": operator.residual,
            "energy": abs(stored - self.external) / (abs(stored) or 1.0),
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

    def quantities(self) -> dict[str, Quantity]:
        """The reactions of each support and of all together."""
        found = {}
        for k, (acting, force, _) in enumerate(self.reactions):
            name = acting.condition.name or f"{acting.condition.kind} {', '.join(acting.condition.on)}"
            for i, axis in enumerate("xyz"):
                found[f"reaction_{k + 1}_{axis}"] = Quantity(
                    value=float(force[i]),
                    unit="N",
                    title={"en": f"Reaction {axis}, {name}", "it": f"Reazione {axis}, {name}"},
                )
        total = sum((f for _, f, _ in self.reactions), np.zeros(3))
        for i, axis in enumerate("xyz"):
            found[f"reaction_total_{axis}"] = Quantity(
                value=float(total[i]),
                unit="N",
                title={"en": f"All reactions {axis}", "it": f"Reazioni totali {axis}"},
            )
        return found


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


def verdict(solved: Solved, safety: Quantity | None, moved: Quantity, weakest: Peak | None) -> Verdict:
    """The answer in one sentence."""
    if safety is None or weakest is None:
        value, unit = show(moved.value, "m")
        return Verdict(
            answer="none",
            sentence={
                "en": f"Moves by at most {value:.3g} {unit}; no yield strength is given, so nothing is said about "
                "whether it holds.",
                "it": f"Si sposta al massimo di {value:.3g} {unit}; senza carico di snervamento non si dice se regge.",
            },
        )
    required, error = solved.bound.params.required_safety, safety.error or 0.0
    number = f"{safety.value:.2g}" if safety.error is None else f"{safety.value:.2f} +- {error:.2g}"
    at = place(solved.part, weakest.node)
    if safety.value - error >= required:
        known, words = "yes", {"en": "Holds", "it": "Regge"}
    elif safety.value + error < required:
        known, words = "no", {"en": "Does not hold", "it": "Non regge"}
    else:
        known, words = "unclear", {"en": "Unclear whether it holds", "it": "Non è chiaro se regga"}
    return Verdict(
        answer=known,
        sentence={
            "en": f"{words['en']}: smallest safety factor {number} against yield, {at['en']}.",
            "it": f"{words['it']}: coefficiente di sicurezza minimo {number} allo snervamento, {at['it']}.",
        },
    )


def place(part: Part, node: int) -> Words:
    """Where a node is, in words: the selection its nearest face belongs to, or what that face looks like."""
    file = part.file
    if not len(file.facets):
        return {"en": "inside the part", "it": "all'interno del pezzo"}
    middles = file.points[file.facets[:, :3]].mean(axis=1)
    touching = (file.facets == node).any(axis=1)
    distance = np.linalg.norm(middles - file.points[node], axis=1)
    distance[~touching] += np.ptp(file.points, axis=0).max()
    nearest = file.facet_face[int(np.argmin(distance))] if len(distance) else 0
    at_node = {int(f) for f in file.facet_face[touching]} or {int(nearest)}
    for name, faces in file.selections.items():
        if at_node & set(faces):
            return {"en": f"at {name}", "it": f"presso {name}"}
    face = file.faces[int(nearest)]
    kinds = {
        "plane": ("the flat face", "la faccia piana"),
        "cylinder": ("the hole", "il foro") if face.get("inside") else ("the round face", "la faccia cilindrica"),
        "torus": ("the rounded edge", "il raccordo"),
    }
    en, it = kinds.get(face["type"], ("the curved face", "la faccia curva"))
    return {"en": f"at {en} (face {int(nearest) + 1})", "it": f"presso {it} (faccia {int(nearest) + 1})"}
