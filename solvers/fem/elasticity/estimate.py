"""An error bar for every number of the answer, and a plain word where there is none.

Half-widths, calibrated on cases with known answers (``tests/validation``):

- energies: the estimated energy of the error, times 2;
- displacements and reactions: the goal estimate, times 2, or with half of what its cells cancel, if that is more;
- stresses at a point: the goal estimate of the stress around it with all cells taken positive, and the gap between
  the recovered stress and that averaged at the nodes;
- the largest stress: as at a point, or 1.5 times the relative error in the energy norm around it, if that is more;
- the mass: the volume of the mesh against that of the CAD part.

A goal costs one more solution with the operator at hand. At most `MOST_GOALS` are spent; what is left gets a coarser
bar from the energy of the error alone, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from dolfinx import fem, la
from mpi4py import MPI

from hub.case import Wanted
from hub.figures import Figures
from hub.result import Quantity, Words
from solvers.fem.elasticity import local, singular
from solvers.fem.elasticity.conditions import Displacement, ElasticSupport, Fixed, Symmetry
from solvers.fem.elasticity.goals import Estimator, GoalError, Sampling, tensor_weight
from solvers.fem.elasticity.solved import Acting, Solved
from solvers.fem.recovery import COMPONENTS, Integers, Reals, RecoveredStress, add_over_ranks, principal, von_mises

#: Dual problems solved at most.
MOST_GOALS = 6
#: Of them, at most so many for reactions.
MOST_REACTIONS = 2
_ZZ, _GOAL, _POINT = "ZZ energy estimate x2", "ZZ goal estimate", "ZZ goal estimate and recovery gap"
#: A maximum is off by at most so many times the relative error in the energy norm around it.
_HIDDEN, _LOCAL = 1.5, "ZZ energy estimate around it x1.5"
_SCALED, _GAP = "ZZ energy estimate, scaled", "recovery gap x2 and ZZ energy estimate, scaled"
_NO_BAR: Words = {"en": "No error estimate was asked for.", "it": "La stima dell'errore non è stata richiesta."}


_SUPPORTS = (Fixed, Displacement, Symmetry, ElasticSupport)


@dataclass(frozen=True)
class Peak:
    """The extreme of a stress component at the nodes: its value [Pa], place [m], stress tensor (6,), yield [Pa]."""

    value: float
    at: Reals
    stress: Reals
    strength: float


@dataclass
class Estimated:
    """What is known about the numbers.

    quantities : by name, with bars; `max_von_mises` of the whole part; `max_von_mises_away` away from singular spots
        if there are any; `min_safety` always away from them
    energy : relative error in the energy norm [-]
    notes : plain statements for the report
    goals : dual problems solved
    local : bars at every node, where they were asked for
    """

    quantities: dict[str, Quantity] = field(default_factory=dict)
    energy: float = 0.0
    notes: list[Words] = field(default_factory=list)
    goals: int = 0
    local: local.Local | None = None


def estimate(
    solved: Solved, stress: RecoveredStress | None = None, nodal: Reals | None = None, stored: float | None = None
) -> Estimated:
    """The quantities of a solved problem with their error bars. Collective; the same on every rank.

    What is known already need not be found again: stress, nodal : the recovered stress of ``solved.u``, and (local
    nodes of V, 6) at its nodes; stored : sigma : epsilon over the part [J]
    Raises StageError where a quantity is wanted at a point outside the part.
    """
    return _Estimate(solved, stress, nodal, stored).all()


class _Estimate:
    def __init__(
        self, solved: Solved, stress: RecoveredStress | None, nodal: Reals | None, stored: float | None
    ) -> None:
        self.solved, self.comm = solved, solved.part.mesh.comm
        self.bars = bool(getattr(solved.bound.params, "estimate_errors", True))
        self.tool = Estimator(solved, stress)
        if stored is not None:
            self.tool.stored = stored
        self.nodal = self.tool.stress.at_nodes(solved.V) if nodal is None else nodal
        self.places = solved.V.tabulate_dof_coordinates()
        self.own = solved.V.dofmap.index_map.size_local
        self.strength = self._strength()
        self.spots = singular.find(solved.part.file, _held(solved), _kinds(solved))
        self.away = self.spots.distance(self.places) > self.spots.reach
        self.relative = self.tool.missing / self.tool.stored if self.bars and self.tool.stored > 0 else 0.0
        self.done = Estimated(energy=float(np.sqrt(self.relative)))

    def all(self) -> Estimated:
        found = self.done.quantities
        found |= self._stresses()
        found["max_displacement"] = self._largest_displacement()
        for wanted in self.solved.bound.case.quantities:
            found[wanted.name] = self._wanted(wanted)
        found |= self._reactions()
        found["strain_energy"] = self._strain_energy()
        found |= self._mass()
        if self.bars:
            self.done.local = local.bars(self.tool, self.nodal, self.away, found["max_displacement"].error)
        self.done.goals = self.tool.dual_solves
        return self.done

    # --- bars ---

    def _goal(self, load: la.Vector) -> GoalError | None:
        return self.tool.goal(load) if self.tool.dual_solves < MOST_GOALS else None

    def _linear(self, value: float, goal: GoalError | None) -> tuple[float, str]:
        """(half-width, method) of a displacement or reaction."""
        if goal is None:
            return abs(value) * 4 * self.relative, _SCALED
        return max(2 * abs(goal.signed), abs(goal.signed) + goal.absolute / 2), _GOAL

    def _at_point(self, place: Reals, stress: Reals, component: str) -> tuple[float, str]:
        """(half-width [Pa], method) of a component of the stress recovered at a point."""
        point = self.tool.at_point(place)
        _, weight = tensor_weight(component, stress)
        gap = abs(_contract(weight, stress - self.tool.averaged_stress(point)))
        if self.tool.dual_solves >= MOST_GOALS:
            return 2 * gap + abs(tensor_weight(component, stress)[0]) * 4 * self.relative, _GAP
        around = self.tool.around(place, 1.2 * self.tool.size_at(point))
        return self.tool.goal(self.tool.stress_load(around, weight)).absolute + gap, _POINT

    def _at_peak(self, peak: Peak, component: str) -> tuple[float, str]:
        """(half-width [Pa], method) of a maximum: a mesh too coarse for it also hides how high it is."""
        bar, method = self._at_point(peak.at, peak.stress, component)
        around = self.tool.around(peak.at, 2.4 * self.tool.size_at(self.tool.at_point(peak.at)))
        hidden = _HIDDEN * self.tool.near(around) * abs(peak.value)
        return (bar, method) if bar >= hidden else (hidden, _LOCAL)

    def _quantity(self, value: float, unit: str, title: Words, bar: tuple[float, str] | None, **more) -> Quantity:
        if bar is None and "statement" not in more:
            more["statement"] = _NO_BAR
        error, method = bar or (None, "")
        return Quantity(value=float(value), unit=unit, title=title, error=error, error_method=method, **more)

    # --- stresses ---

    def _stresses(self) -> dict[str, Quantity]:
        whole, everywhere = np.ones(len(self.away), dtype=bool), self._peak("vonmises")
        assert everywhere is not None
        title: Words = {"en": "Largest von Mises stress", "it": "Tensione di von Mises massima"}
        found: dict[str, Quantity] = {}
        regular = bool(self.spots.distance(everywhere.at[None])[0] > self.spots.reach)
        bar = self._at_peak(everywhere, "vonmises") if regular and self.bars else None
        if regular:
            found["max_von_mises"] = self._quantity(everywhere.value, "Pa", title, bar, at=tuple(everywhere.at))
            trusted: Peak | None = everywhere
        else:
            statement = _statement(self.spots.nearest(everywhere.at)[1], self.spots.reach)
            found["max_von_mises"] = self._quantity(
                everywhere.value, "Pa", title, None, at=tuple(everywhere.at), statement=statement
            )
            self.done.notes.append(statement)
            trusted = self._peak("vonmises", self.away)
            if trusted:
                bar = self._at_peak(trusted, "vonmises") if self.bars else None
                away = _away_title(self.spots.reach)
                found["max_von_mises_away"] = self._quantity(trusted.value, "Pa", away, bar, at=tuple(trusted.at))
        weakest = self._peak("safety", self.away if len(self.spots.points) else whole)
        if weakest and trusted and np.isfinite(weakest.strength):
            if self.bars and not np.allclose(weakest.at, trusted.at):
                bar = self._at_peak(weakest, "vonmises")
            # the safety factor is yield by stress: the wider side of its interval is the half-width
            low = weakest.value - min(bar[0], 0.9 * weakest.value) if bar else weakest.value
            value = weakest.strength / weakest.value
            name: Words = {"en": "Smallest safety factor", "it": "Coefficiente di sicurezza minimo"}
            safety = (weakest.strength / low - value, bar[1]) if bar else None
            found["min_safety"] = self._quantity(value, "", name, safety, at=tuple(weakest.at))
        return found

    def _peak(self, component: str, where: npt.NDArray[np.bool_] | None = None) -> Peak | None:
        """The largest of a component over the nodes in `where`; of ``p3`` the smallest; ``safety``: the weakest."""
        values = _components(self.nodal, "vonmises" if component == "safety" else component)
        rated = values / self.strength if component == "safety" else -values if component == "p3" else values
        if component == "safety" and not self.comm.allreduce(int(np.isfinite(self.strength).any()), MPI.MAX):
            return None
        allowed = np.full(self.own, True) if where is None else where[: self.own]
        chosen = np.where(allowed, rated[: self.own], -np.inf)
        best = int(np.argmax(chosen)) if self.own else -1
        mine = (float(chosen[best]), *map(float, self.places[best])) if self.own else (-np.inf, 0.0, 0.0, 0.0)
        every = self.comm.allgather(mine)
        winner = int(max(range(len(every)), key=lambda r: every[r]))
        if every[winner][0] == -np.inf:
            return None
        peak = None
        if self.comm.rank == winner:
            peak = Peak(float(values[best]), self.places[best], self.nodal[best], float(self.strength[best]))
        return self.comm.bcast(peak, root=winner)

    def _strength(self) -> Reals:
        """(local nodes of V,) yield strength [Pa], the weakest of the materials that meet there."""
        of_cell = self.solved.yield_strength
        values = of_cell.x.array[of_cell.function_space.dofmap.list[:, 0]]
        dofs, index_map = self.solved.V.dofmap.list, self.solved.V.dofmap.index_map
        strength = np.full(index_map.size_local + index_map.num_ghosts, np.inf)
        for value in sorted(set().union(*self.comm.allgather(set(np.unique(values)))), reverse=True):
            there = np.zeros((len(strength), 1))
            there[dofs[values == value].ravel()] = 1
            strength[add_over_ranks(index_map, there)[:, 0] > 0] = value
        return strength

    # --- displacements, reactions, energy, mass ---

    def _largest_displacement(self) -> Quantity:
        u = self.solved.u.x.array.reshape(-1, 3)[: self.own]
        size = np.linalg.norm(u, axis=1)
        best = int(np.argmax(size)) if self.own else -1
        mine = (float(size[best]), *map(float, self.places[best])) if self.own else (-1.0, 0.0, 0.0, 0.0)
        value, *at = max(self.comm.allgather(mine))
        title: Words = {"en": "Largest displacement", "it": "Spostamento massimo"}
        bar = None
        if self.bars:
            sampling = self.tool.at_point(np.array(at))
            bar = self._displaced(sampling, "magnitude")[1]
        return self._quantity(value, "m", title, bar, at=tuple(at))

    def _displaced(self, sampling: Sampling, component: str) -> tuple[float, tuple[float, str] | None]:
        """(mean displacement [m], bar)."""
        u = self.tool.displacement(sampling)
        direction = np.array([1.0, 0, 0])
        if component == "magnitude":
            length = float(np.linalg.norm(u))
            direction = u / length if length > 0 else direction
        else:
            direction = np.eye(3)["xyz".index(component)]
        value = float(u @ direction)
        if not self.bars:
            return value, None
        load = self.tool.displacement_load(sampling, direction)
        return value, self._linear(float(np.linalg.norm(u)), self._goal(load))

    def _wanted(self, wanted: Wanted) -> Quantity:
        """One of the quantities the case asks for; its kinds are in ``conditions.WANTED``."""
        title: Words = {"en": wanted.name.replace("_", " "), "it": wanted.name.replace("_", " ")}
        sampling: Sampling = []
        if wanted.kind in ("displacement", "stress"):
            if wanted.at is not None:
                sampling = self.tool.at_point(np.array(wanted.at))
            else:
                sampling = self.tool.on_facets(self.solved.part.facets([wanted.on or ""]))
        match wanted.kind:
            case "displacement":
                value, bar = self._displaced(sampling, wanted.component or "magnitude")
                return self._quantity(value, "m", title, bar, at=wanted.at)
            case "stress":
                return self._wanted_stress(wanted, title, sampling)
            case "stress_max":
                return self._largest_on(wanted, title)
            case "reaction":
                force, bar = self._reaction(wanted.on)
                which = wanted.component or "magnitude"
                value = float(np.linalg.norm(force)) if which == "magnitude" else float(force["xyz".index(which)])
                return self._quantity(value, "N", title, bar)
            case "strain_energy":
                return self._strain_energy().model_copy(update={"title": title})
            case _:
                return self._mass()["mass"].model_copy(update={"title": title})

    def _wanted_stress(self, wanted: Wanted, title: Words, sampling: Sampling) -> Quantity:
        component = (wanted.component or "vonmises").replace("_", "")
        stress = self.tool.mean_stress(sampling)
        value, weight = tensor_weight(component, stress)
        bar: tuple[float, str] | None = None
        if wanted.at is not None:
            place = np.array(wanted.at)
            if self.spots.distance(place[None])[0] < self.spots.reach / 10:
                statement = _statement(self.spots.nearest(place)[1], self.spots.reach)
                return self._quantity(value, "Pa", title, None, at=wanted.at, statement=statement)
            if self.bars:
                bar = self._at_point(place, stress, component)
        elif self.bars:
            gap = abs(_contract(weight, stress - self.tool.mean_stress(sampling, recovered=False)))
            goal = self._goal(self.tool.stress_load(sampling, weight))
            bar = (goal.absolute + gap, _POINT) if goal else (2 * gap + abs(value) * 4 * self.relative, _GAP)
        return self._quantity(value, "Pa", title, bar, at=wanted.at)

    def _largest_on(self, wanted: Wanted, title: Words) -> Quantity:
        component, where = (wanted.component or "vonmises").replace("_", ""), None
        if wanted.on:
            where = np.zeros(len(self.places), dtype=bool)
            facets = self.solved.part.facets([wanted.on])
            where[fem.locate_dofs_topological(self.solved.V, 2, facets, remote=True)] = True
        peak = self._peak(component, where)
        assert peak is not None
        near = self.spots.distance(peak.at[None])[0] <= self.spots.reach
        if near:
            statement = _statement(self.spots.nearest(peak.at)[1], self.spots.reach)
            return self._quantity(peak.value, "Pa", title, None, at=tuple(peak.at), statement=statement)
        bar = self._at_peak(peak, component) if self.bars else None
        return self._quantity(peak.value, "Pa", title, bar, at=tuple(peak.at))

    def _strain_energy(self) -> Quantity:
        # half the energy of the error is missing from half the energy of the solution; times 2
        title: Words = {"en": "Strain energy", "it": "Energia di deformazione"}
        return self._quantity(self.tool.stored / 2, "J", title, (self.tool.missing, _ZZ) if self.bars else None)

    def _mass(self) -> dict[str, Quantity]:
        """Volume and mass of the CAD part; how far the mesh is from them is their error."""
        density = self.solved.density
        values = density.x.array[density.function_space.dofmap.list[:, 0]]
        meshed = np.zeros(2)
        for cells, volume in self.tool.volumes():
            meshed += [volume.sum(), (volume * values[cells]).sum()]
        meshed = self.comm.allreduce(meshed, MPI.SUM)
        # a part that came as a mesh has no other volume than that
        drawn = float(self.solved.part.file.numbers.get("cad_volume") or meshed[0])
        method = "CAD volume against mesh volume"
        found = {}
        for k, (name, unit, en, it) in enumerate(
            (("volume", "m**3", "Volume", "Volume"), ("mass", "kg", "Mass", "Massa"))
        ):
            value = float(meshed[k] * drawn / meshed[0])
            if value > 0 or name == "volume":
                bar = (abs(value - float(meshed[k])), method)
                found[name] = self._quantity(value, unit, {"en": en, "it": it}, bar)
        if "mass" not in found:
            statement: Words = {"en": "No density was given.", "it": "La densità non è stata indicata."}
            found["mass"] = self._quantity(0.0, "kg", {"en": "Mass", "it": "Massa"}, None, statement=statement)
        return found

    def _reactions(self) -> dict[str, Quantity]:
        """Force of each support on the part, by component, and of all together."""
        found: dict[str, Quantity] = {}
        supports = [a for a in self.solved.conditions if isinstance(a.condition, _SUPPORTS)]
        forces = [self._force([a]) for a in supports]
        duals = 0
        order = np.argsort([-np.linalg.norm(f) for f in forces])
        bars: dict[int, tuple[float, str] | None] = {}
        for k in order:
            plain = isinstance(supports[k].condition, Symmetry)
            spend = self.bars and duals < MOST_REACTIONS and len(supports) > 1 and not plain
            bars[int(k)] = self._reaction_bar([supports[k]], forces[k], spend) if self.bars else None
            duals += spend
        for k, (acting, force) in enumerate(zip(supports, forces, strict=True)):
            called = acting.condition.name or f"{acting.condition.kind} {', '.join(acting.condition.on)}"
            pushes = self.comm.allreduce((self._owner == acting.index).sum(0), MPI.SUM)
            for i in np.flatnonzero(pushes):
                axis = "xyz"[i]
                title: Words = {"en": f"Reaction {axis}, {called}", "it": f"Reazione {axis}, {called}"}
                found[f"reaction_{k + 1}_{axis}"] = self._quantity(float(force[i]), "N", title, bars[k])
        total, bar = self._reaction(None)
        for i, axis in enumerate("xyz"):
            title = {"en": f"All reactions {axis}", "it": f"Reazioni totali {axis}"}
            found[f"reaction_total_{axis}"] = self._quantity(float(total[i]), "N", title, bar)
        return found

    def _reaction(self, selection: str | None) -> tuple[Reals, tuple[float, str] | None]:
        """(force (3,) [N], bar) of the supports on a selection, or of all."""
        supports = [a for a in self.solved.conditions if isinstance(a.condition, _SUPPORTS)]
        if selection is not None:
            faces = set(self.solved.part.file.selections[selection])
            supports = [a for a in supports if faces & set(a.by_face)]
        force = self._force(supports)
        return force, self._reaction_bar(supports, force, self.bars) if self.bars else None

    def _reaction_bar(self, supports: list[Acting], force: Reals, spend: bool) -> tuple[float, str]:
        """(half-width [N], method); all supports together must balance the loads, whatever the mesh."""
        rounding = self.solved.bound.params.tolerance * self._largest_force
        if len(supports) == sum(isinstance(a.condition, _SUPPORTS) for a in self.solved.conditions):
            loose = np.where(self._owner < 0, self._pushed, 0)[: self.own].sum(0)
            return rounding + float(np.abs(self.comm.allreduce(loose, MPI.SUM)).max()), "equilibrium"
        size = float(np.linalg.norm(force))
        # the dual of a reaction moves what is held; springs give way
        spend = spend and not any(isinstance(a.condition, ElasticSupport) for a in supports)
        if not spend or size == 0 or self.tool.dual_solves >= MOST_GOALS:
            return self._linear(self._largest_force, None)
        bar, method = self._linear(size, self._reaction_goal(supports, force / size))
        return bar + rounding, method

    @cached_property
    def _owner(self) -> Integers:
        """(local nodes of V, 3) index of the condition that takes up the force there, -1 where none does."""
        V = self.solved.V
        owner = np.full((len(self.places), 3), -1, dtype=np.int32)
        for acting in self.solved.conditions:
            if not isinstance(acting.condition, _SUPPORTS):
                continue
            for face, facets in acting.by_face.items():
                nodes = fem.locate_dofs_topological(V, 2, facets, remote=True)
                directions = _directions(acting, self.solved.part.file.faces[face])
                for i in np.flatnonzero(np.abs(directions).max(axis=0) > 1e-6):
                    free = nodes[owner[nodes, i] < 0]
                    owner[free, i] = acting.index
        return owner

    @cached_property
    def _pushed(self) -> Reals:
        """(local nodes of V, 3) what the supports push with: inner forces less loads [N]."""
        inner = self.tool.internal_force(self.solved.u)
        push = inner.array.copy()
        for form in self.solved.loads:
            vector = fem.assemble_vector(form)
            vector.scatter_reverse(la.InsertMode.add)
            vector.scatter_forward()
            push -= vector.array
        return push.reshape(-1, 3)

    @cached_property
    def _largest_force(self) -> float:
        """The size of all reactions taken without regard to direction [N]."""
        return float(self.comm.allreduce(np.abs(np.where(self._owner < 0, 0, self._pushed))[: self.own].sum(), MPI.SUM))

    def _force(self, supports: list[Acting]) -> Reals:
        """(3,) force of supports on the part [N]."""
        owned = np.isin(self._owner, [a.index for a in supports])
        return np.asarray(self.comm.allreduce(np.where(owned, self._pushed, 0)[: self.own].sum(0), MPI.SUM))

    def _reaction_goal(self, supports: list[Acting], direction: Reals) -> GoalError:
        """The error of a reaction is that of its dual solution: the part moved by one at these supports alone."""
        V = self.solved.V
        moved = fem.Function(V)
        values = moved.x.array.reshape(-1, 3)
        owned = np.isin(self._owner, [a.index for a in supports])
        values[:] = np.where(owned, direction, 0)
        touched = np.flatnonzero((values != 0).any(1)[V.dofmap.list].any(1)).astype(np.int32)
        touched = touched[touched < self.tool.cells.count]
        answer = self.solved.solve(self.tool.internal_force(moved, touched))
        dual = fem.Function(V)
        dual.x.array[:] = moved.x.array - answer.x.array
        return self.tool.product(dual)


def _directions(acting: Acting, face: dict[str, Any]) -> Reals:
    """(k, 3) the directions in which a support of a face pushes."""
    match acting.condition:
        case Displacement() as moved:
            return np.eye(3)[list(moved.components)]
        case Symmetry():
            return np.array([face["normal"]], dtype=float)
        case _:
            return np.eye(3)


def _held(solved: Solved) -> dict[int, Reals]:
    """Index of a face -> (k, 3) directions in which its displacement is prescribed."""
    held: dict[int, list[Reals]] = {}
    for acting in solved.conditions:
        if isinstance(acting.condition, (Fixed, Displacement, Symmetry)):
            for face in acting.by_face:
                held.setdefault(face, []).append(_directions(acting, solved.part.file.faces[face]))
    return {face: np.concatenate(found) for face, found in held.items()}


def _kinds(solved: Solved) -> npt.NDArray[np.int_]:
    """(bodies,) the same number for bodies of the same stiffness."""
    moduli: dict[int, tuple[float | None, float | None]] = {}
    for body, material in solved.bound.materials:
        names = (body.on,) if isinstance(body.on, str) else body.on
        for i, known in enumerate(solved.part.file.bodies):
            if "all" in names or known["name"] in names:
                moduli[i] = (material.youngs_modulus, material.poissons_ratio)
    distinct = list(dict.fromkeys(moduli.values()))
    return np.array([distinct.index(moduli[i]) for i in range(len(solved.part.file.bodies))])


def _components(stress: Reals, component: str) -> Reals:
    """(n, 6) -> (n,) a component of many stresses."""
    if component == "vonmises":
        return von_mises(stress)
    if component in ("p1", "p2", "p3"):
        return principal(stress)[:, int(component[1]) - 1]
    return stress[:, [f"{'xyz'[i]}{'xyz'[j]}" for i, j in COMPONENTS].index(component)]


def _contract(a: Reals, b: Reals) -> float:
    """a : b of two symmetric tensors (6,)."""
    return float(a[:3] @ b[:3] + 2 * a[3:] @ b[3:])


def _away_title(reach: float) -> Words:
    far = {code: Figures(code).number(1e3 * reach, digits=2) + " mm" for code in ("en", "it")}
    return {
        "en": f"Largest von Mises stress, more than {far['en']} from singular edges",
        "it": f"Tensione di von Mises massima, a più di {far['it']} dagli spigoli singolari",
    }


def _statement(what: Words, reach: float) -> Words:
    """Why there is no bar for a stress at a singular spot."""
    far = {code: Figures(code).number(1e3 * reach, digits=2) + " mm" for code in ("en", "it")}
    return {
        "en": f"Lies at {what['en']}, where the stress of an elastic body is infinite: it rises with every finer mesh, "
        f"so that no error bar exists. Judge the stress more than {far['en']} away, or round the edge.",
        "it": f"Si trova presso {what['it']}, dove la tensione di un corpo elastico è infinita: cresce con ogni "
        f"infittimento della mesh, perciò non esiste una barra d'errore. Si consideri la tensione a più di "
        f"{far['it']} di distanza, oppure si raccordi lo spigolo.",
    }
