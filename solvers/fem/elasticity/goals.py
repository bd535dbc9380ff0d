"""How wrong a solution is: the error in the energy norm, and in any linear quantity through its dual solution.

The recovered stress stands in for the true one. With the error stress e = sigma* - sigma_h, the energy of the error
is the integral of e : C^-1 : e; the error of a linear quantity J is the integral of e : C^-1 : e_dual, where the dual
problem is the same part loaded by J itself.

Method: O. C. Zienkiewicz, J. Z. Zhu, Int. J. Numer. Methods Eng. 33 (1992) 1365-1382; goals: F. Cirak, E. Ramm,
Comput. Methods Appl. Mech. Eng. 156 (1998) 351-362.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import basix
import numpy as np
from dolfinx import fem, la
from mpi4py import MPI

from hub.solver import StageError
from solvers.fem.elasticity.solved import Solved
from solvers.fem.recovery import (
    COMPONENTS,
    Cells,
    Integers,
    Reals,
    RecoveredStress,
    Recovery,
    add_over_ranks,
    energy_product,
    lame_of,
    locate,
    von_mises,
)

_TETRAHEDRON = basix.CellType.tetrahedron
#: The rule that integrates errors. Not that of the samples: there the element stress is as good as the recovered one.
_POINTS, _WEIGHTS = basix.make_quadrature(_TETRAHEDRON, 4)
_FACET_POINTS, _FACET_WEIGHTS = basix.make_quadrature(basix.CellType.triangle, 4)


#: Where a mean is taken: reference points (q, 3), owned cells (n,), weights (n, q); they add up to one over all ranks.
type Sampling = list[tuple[Reals, Integers, Reals]]


@dataclass(frozen=True)
class GoalError:
    """What the dual solution says of a linear quantity, in its unit.

    signed : the estimated error; absolute : the same with every cell's part taken positive
    """

    signed: float
    absolute: float


class Estimator:
    """Recovered stress and error estimates of one solved problem. Collective over the mesh's ranks."""

    def __init__(self, solved: Solved, stress: RecoveredStress | None = None) -> None:
        self.solved, self.mesh, self.comm = solved, solved.part.mesh, solved.part.mesh.comm
        self.lame = lame_of(solved.mu, solved.lmbda)
        self.order = 2 if solved.V.dofmap.list.shape[1] == 10 else 1
        self.stress = stress or Recovery(self.mesh, self.lame, self.order).recover(solved.u)
        self.recovery = self.stress.recovery
        self.cells = Cells(self.mesh, _POINTS)
        self.dual_solves = 0

    @cached_property
    def _error(self) -> Reals:
        """(owned cells, q, 6) error stress [Pa]."""
        return np.concatenate([np.zeros((0, len(_POINTS), 6)), *self._errors(self.solved.u, self.stress)])

    def _errors(self, u: fem.Function, stress: RecoveredStress) -> Iterator[Reals]:
        for cells in self.cells.blocks():
            yield stress.at(_POINTS, cells) - self.cells.stress(u, self.lame, cells)

    def _measure(self, cells: Integers) -> Reals:
        """(n, q) weights of the rule in the part [m3]."""
        return np.abs(np.linalg.det(self.cells.jacobian(cells))) * _WEIGHTS

    def volumes(self) -> Iterator[tuple[Integers, Reals]]:
        """The owned cells and their volumes [m3], some thousand at a time."""
        for cells in self.cells.blocks():
            yield cells, self._measure(cells).sum(1)

    @cached_property
    def stored(self) -> float:
        """The energy of the solution, the whole product sigma : epsilon [J]."""
        total = 0.0
        for cells in self.cells.blocks():
            stress = self.cells.stress(self.solved.u, self.lame, cells)
            total += float((energy_product(stress, stress, self.lame[cells]) * self._measure(cells)).sum())
        return float(self.comm.allreduce(total, MPI.SUM))

    @cached_property
    def missing(self) -> float:
        """The energy of the error, as `stored` [J]."""
        total = 0.0
        for cells in self.cells.blocks():
            error = self._error[cells]
            total += float((energy_product(error, error, self.lame[cells]) * self._measure(cells)).sum())
        return float(self.comm.allreduce(total, MPI.SUM))

    def by_cell(self) -> Iterator[tuple[Integers, Reals]]:
        """Owned cells, some thousand at a time, and of each (n, 4): the squares of the von Mises stress of the error
        [Pa2 m3] and of its strain, at most [m3], summed over the cell; its volume [m3]; volume times size [m4]."""
        for cells in self.cells.blocks():
            error, measure = self._error[cells], self._measure(cells)
            strain = energy_product(error, error, self.lame[cells]) / (2 * self.lame[cells, 0, None])
            volume = measure.sum(1)
            sums = [(von_mises(error) ** 2 * measure).sum(1), (strain * measure).sum(1), volume]
            yield cells, np.column_stack([*sums, np.cbrt(volume) * volume])

    def averaged_at_nodes(self) -> Reals:
        """(local nodes of V, 6) element stresses averaged at the nodes [Pa], the larger where materials meet."""
        return _larger(self._averaged)

    def near(self, sampling: Sampling) -> float:
        """The relative error in the energy norm in the cells of a sampling alone [-]."""
        sums = np.zeros(2)
        for _, cells, _ in sampling:
            stress = self.cells.stress(self.solved.u, self.lame, cells)
            measure, lame = self._measure(cells), self.lame[cells]
            sums += [(energy_product(s, s, lame) * measure).sum() for s in (self._error[cells], stress)]
        error, energy = self.comm.allreduce(sums, MPI.SUM)
        return float(np.sqrt(error / energy)) if energy > 0 else 0.0

    def goal(self, load: la.Vector) -> GoalError:
        """The error of the quantity whose derivative is `load`. One dual solve."""
        return self.product(self.solved.solve(load))

    def product(self, dual: fem.Function) -> GoalError:
        """The error of the quantity with the dual solution `dual`."""
        self.dual_solves += 1
        recovered = self.recovery.recover(dual)
        sums = np.zeros(2)
        for cells, error in zip(self.cells.blocks(), self._errors(dual, recovered), strict=True):
            by_cell = (energy_product(self._error[cells], error, self.lame[cells]) * self._measure(cells)).sum(1)
            sums += [by_cell.sum(), np.abs(by_cell).sum()]
        total = self.comm.allreduce(sums, MPI.SUM)
        return GoalError(float(total[0]), float(total[1]))

    # --- what quantities are made from ---

    def at_point(self, place: Reals) -> Sampling:
        """The value at a point of the part [m]. Raises StageError if it lies outside."""
        cell, reference, inside = locate(self.mesh, place)
        best = self.comm.allreduce((inside, self.comm.rank), MPI.MAXLOC)
        if best[0] < -0.2:
            shown = ", ".join(f"{1e3 * x:g}" for x in place)
            raise StageError(
                "point-outside",
                f"A quantity is wanted at ({shown}) mm, which is not inside the part.",
                "Correct the point; the check shows the size of the part and where it lies.",
            )
        if best[1] != self.comm.rank:
            return []
        return [(reference[None], np.array([cell], dtype=np.int32), np.ones((1, 1)))]

    def on_facets(self, facets: Integers) -> Sampling:
        """The mean over facets of this rank and the others' (curved, exterior)."""
        topology = self.mesh.topology
        topology.create_connectivity(2, 3)
        topology.create_connectivity(3, 2)
        cells = topology.connectivity(2, 3).array[topology.connectivity(2, 3).offsets[facets]]
        of_cell = topology.connectivity(3, 2).array.reshape(-1, 4)[cells]
        local = (of_cell == facets[:, None]).argmax(1)
        corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
        found: Sampling = []
        for k, face in enumerate(basix.topology(_TETRAHEDRON)[2]):
            of = cells[local == k].astype(np.int32)
            a, b, c = corners[list(face)]
            points = a + _FACET_POINTS @ np.array([b - a, c - a])
            jacobian = Cells(self.mesh, points).jacobian(of)
            size = np.linalg.norm(np.cross(jacobian @ (b - a), jacobian @ (c - a)), axis=-1)
            found.append((points, of, size * _FACET_WEIGHTS))
        area = self.comm.allreduce(sum(float(w.sum()) for _, _, w in found), MPI.SUM)
        return [(points, of, w / area) for points, of, w in found]

    def around(self, place: Reals, radius: float) -> Sampling:
        """A mean over the ball about a point, weighted so that it is exact for linear fields though part is cut off."""
        near: Sampling = []
        basis: list[Reals] = []
        for cells in self.cells.blocks():
            d = (self.cells.position(cells) - place) / radius
            bump = np.maximum(1 - (d**2).sum(-1), 0) ** 2
            some = np.flatnonzero(bump.any(1))
            if some.size:
                near.append((_POINTS, cells[some], bump[some] * self._measure(cells[some])))
                basis.append(np.concatenate([np.ones((*d[some].shape[:2], 1)), d[some]], axis=2))
        moments = sum(
            (np.einsum("cqi,cq,cqj->ij", b, w, b) for b, (_, _, w) in zip(basis, near, strict=True)), np.zeros((4, 4))
        )
        moments = self.comm.allreduce(moments, MPI.SUM)
        correction = np.linalg.lstsq(moments, np.array([1.0, 0, 0, 0]), rcond=1e-6)[0]
        return [(p, c, w * (b @ correction)) for b, (p, c, w) in zip(basis, near, strict=True)]

    def displacement(self, sampling: Sampling) -> Reals:
        """(3,) mean displacement [m]."""
        values = self.solved.u.x.array.reshape(-1, 3)
        total = np.zeros(3)
        for points, cells, weights in sampling:
            shapes = self._element().tabulate(0, points)[0, :, :, 0]
            total += np.einsum("cq,qa,cai->i", weights, shapes, values[self.solved.V.dofmap.list[cells]])
        return np.asarray(self.comm.allreduce(total, MPI.SUM))

    def mean_stress(self, sampling: Sampling, *, recovered: bool = True) -> Reals:
        """(6,) mean stress, recovered or of the elements [Pa]."""
        total = np.zeros(6)
        for points, cells, weights in sampling:
            if recovered:
                stress = self.stress.at(points, cells)
            else:
                stress = Cells(self.mesh, points).stress(self.solved.u, self.lame, cells)
            total += np.einsum("cq,cqs->s", weights, stress)
        return np.asarray(self.comm.allreduce(total, MPI.SUM))

    @cached_property
    def _averaged(self) -> list[Reals]:
        """A material each: (local nodes of V, 6) element stresses averaged at the nodes [Pa]."""
        dofs, index_map = self.solved.V.dofmap.list, self.solved.V.dofmap.index_map
        size = index_map.size_local + index_map.num_ghosts
        at = Cells(self.mesh, np.asarray(self._element().points))
        found = []
        for patches in self.recovery.patches:
            sums = np.zeros((size, 7))
            for cells in at.blocks(patches.cells):
                stress = at.stress(self.solved.u, self.lame, cells).reshape(-1, 6)
                nodes = dofs[cells].ravel()
                for i in range(6):
                    sums[:, i] += np.bincount(nodes, stress[:, i], minlength=size)
                sums[:, 6] += np.bincount(nodes, minlength=size)
            sums = add_over_ranks(index_map, sums)
            found.append(sums[:, :6] / np.maximum(sums[:, 6:], 1))
        return found

    def averaged_stress(self, sampling: Sampling) -> Reals:
        """(6,) mean of the element stresses averaged at the nodes: a second recovery, to see how much it matters."""
        fields, total = self._averaged, np.zeros(6)
        for points, cells, weights in sampling:
            shapes = self._element().tabulate(0, points)[0, :, :, 0]
            for m, field in enumerate(fields):
                of = self.recovery.material[cells] == m
                total += np.einsum("cq,qa,cas->s", weights[of], shapes, field[self.solved.V.dofmap.list[cells[of]]])
        return np.asarray(self.comm.allreduce(total, MPI.SUM))

    def size_at(self, point: Sampling) -> float:
        """The size of the cell around a point: from its middle to its corners [m]."""
        size = 0.0
        for _, cells, _ in point:
            corners = self.mesh.geometry.x[self.mesh.geometry.dofmaps[0][cells[0], :4]]
            size = float(np.sqrt(((corners - corners.mean(0)) ** 2).sum(1).mean()))
        return float(self.comm.allreduce(size, MPI.MAX))

    # --- their derivatives: the loads of the dual problems ---

    def displacement_load(self, sampling: Sampling, direction: Reals) -> la.Vector:
        """Of the mean displacement in a direction (3,)."""
        nodes, values = [], []
        for points, cells, weights in sampling:
            shapes = self._element().tabulate(0, points)[0, :, :, 0]
            nodes.append(self.solved.V.dofmap.list[cells].ravel())
            values.append((weights @ shapes).reshape(-1, 1) * direction)
        return self._vector(nodes, values)

    def stress_load(self, sampling: Sampling, weight: Reals) -> la.Vector:
        """Of weight : sigma, the weight a tensor (6,)."""
        field: list[tuple[Reals, Integers, Reals]] = []
        for points, cells, weights in sampling:
            mu, lmbda = self.lame[cells].T
            stress = 2 * mu[:, None] * weight
            stress[:, :3] += (lmbda * weight[:3].sum())[:, None]
            field.append((points, cells, weights[:, :, None] * stress[:, None]))
        return self._divergence(field)

    def internal_force(self, u: fem.Function, cells: Integers | None = None) -> la.Vector:
        """K u from the given owned cells, by the quadrature of the stiffness [N]."""
        points, weights = basix.make_quadrature(_TETRAHEDRON, self.solved.quadrature_degree)
        at = Cells(self.mesh, points)
        field = [
            (points, c, at.stress(u, self.lame, c) * (np.abs(np.linalg.det(at.jacobian(c))) * weights)[..., None])
            for c in at.blocks(cells)
        ]
        return self._divergence(field)

    def _divergence(self, field: list[tuple[Reals, Integers, Reals]]) -> la.Vector:
        """Nodal forces of weighted stresses (n, q, 6) at the points of cells: the sum of sigma : grad N."""
        nodes, values = [], []
        for points, cells, stress in field:
            shapes = self._element().tabulate(1, points)[1:, :, :, 0]
            pull = np.linalg.inv(Cells(self.mesh, points).jacobian(cells))
            tensor = np.empty((*stress.shape[:2], 3, 3))
            for s, (i, j) in enumerate(COMPONENTS):
                tensor[..., i, j] = tensor[..., j, i] = stress[..., s]
            pulled = pull @ tensor
            values.append(np.einsum("dqa,nqdi->nai", shapes, pulled, optimize=True).reshape(-1, 3))
            nodes.append(self.solved.V.dofmap.list[cells].ravel())
        return self._vector(nodes, values)

    def _vector(self, nodes: list[Integers], values: list[Reals]) -> la.Vector:
        """Sums values (n, 3) of nodes (n,), over all ranks, into a vector over the dofs of V."""
        vector = la.vector(self.solved.V.dofmap.index_map, 3, dtype=np.float64)
        if nodes:
            size = len(vector.array) // 3
            to, what = np.concatenate(nodes), np.concatenate(values)
            vector.array[:] = np.stack([np.bincount(to, what[:, i], minlength=size) for i in range(3)], 1).ravel()
        vector.scatter_reverse(la.InsertMode.add)
        vector.scatter_forward()
        return vector

    def _element(self) -> basix.finite_element.FiniteElement:
        return basix.create_element(basix.ElementFamily.P, _TETRAHEDRON, self.order, basix.LagrangeVariant.gll_warped)


def _larger(fields: list[Reals]) -> Reals:
    """Of fields of stresses (n, 6) the one of the largest von Mises stress, node by node."""
    best = np.argmax([von_mises(field) for field in fields], axis=0)
    return np.asarray(np.stack(fields)[best, np.arange(len(best))])


def tensor_weight(component: str, stress: Reals) -> tuple[float, Reals]:
    """A component of a stress (6,) and its derivative as a tensor (6,).

    component : xx, yy, zz, xy, yz, xz, vonmises, p1, p2, p3 (the largest principal stress first)
    """
    names = ["".join("xyz"[i] for i in pair) for pair in COMPONENTS]
    if component in names:
        weight = np.zeros(6)
        weight[names.index(component)] = 1.0 if names.index(component) < 3 else 0.5
        return float(stress[names.index(component)]), weight
    if component == "vonmises":
        deviator = stress - stress[:3].mean() * np.array([1.0, 1, 1, 0, 0, 0])
        value = float(von_mises(stress))
        return value, 1.5 * deviator / max(value, 1e-300)
    tensor = np.array(
        [[stress[0], stress[3], stress[5]], [stress[3], stress[1], stress[4]], [stress[5], stress[4], stress[2]]]
    )
    values, vectors = np.linalg.eigh(tensor)
    which = 3 - int(component[1])
    n = vectors[:, which]
    return float(values[which]), np.array([n[i] * n[j] for i, j in COMPONENTS])
