"""How wrong a temperature is: the error of any linear quantity through its dual solution.

The recovered flux stands in for the true one. With e the recovered minus the element flux, the error of a quantity is
the integral of e . e_dual / k, where the dual problem is the same part heated by the quantity itself.

Method: O. C. Zienkiewicz, J. Z. Zhu, Int. J. Numer. Methods Eng. 33 (1992) 1365-1382; goals: F. Cirak, E. Ramm,
Comput. Methods Appl. Mech. Eng. 156 (1998) 351-362.
"""

from __future__ import annotations

from collections.abc import Iterator

import basix
import numpy as np
from dolfinx import fem, la
from mpi4py import MPI

from hub.solver import StageError
from solvers.fem.heat.conduction import Conduction, Integers, Reals
from solvers.fem.recovery import SAMPLES, Cells, RecoveredStress, Recovery, locate

_TETRAHEDRON = basix.CellType.tetrahedron
_P2 = basix.create_element(basix.ElementFamily.P, _TETRAHEDRON, 2, basix.LagrangeVariant.gll_warped)
#: The rule that integrates errors. Not that of the samples: there the element flux is as good as the recovered one.
_POINTS, _WEIGHTS = basix.make_quadrature(_TETRAHEDRON, 4)
#: Where extremes are looked for: nodes of P2 and the points between them.
_LATTICE = basix.create_lattice(_TETRAHEDRON, 4, basix.LatticeType.equispaced, True)
#: The bar is this times the sum of what each cell adds to the error, whatever its sign. Calibrated on the tube and the
#: cube of the tests, where that sum is 0.8 to 10 times the true error, 2.2 times in the median.
SAFETY = 1.4


class Estimator:
    """Recovered fluxes and error bars of one solved problem. Collective.

    theta : temperature above the level [K]
    """

    def __init__(self, problem: Conduction, theta: fem.Function) -> None:
        self.problem, self.theta, self.comm = problem, theta, problem.comm
        self.k = problem.k.x.array[problem.k.function_space.dofmap.list[:, 0]]
        # of its two numbers a material only needs one here: cells of equal conductivity are one material
        self.recovery = Recovery(problem.part.mesh, np.column_stack([self.k, np.zeros_like(self.k)]))
        self.cells = Cells(problem.part.mesh, _POINTS)
        self.recovered = self.recover(theta)
        self._error = np.concatenate([np.zeros((0, len(_POINTS), 3)), *self._errors(theta, self.recovered)])
        self.span = self._span()

    def _span(self) -> float:
        """Difference between the hottest and the coldest node, or of the level where there is none [K]."""
        x = self.theta.x.array[: self.problem.own]
        ends = self.comm.allgather((float(x.min(initial=np.inf)), float(x.max(initial=-np.inf))))
        return max(max(b for _, b in ends) - min(a for a, _ in ends), 1e-12 * self.problem.level)

    # --- fluxes ---

    def _values(self, x: fem.Function, cells: Integers) -> Reals:
        """(n, 10) nodal values."""
        return x.x.array[self.problem.V.dofmap.list[cells]]

    def flux(self, x: fem.Function, at: Cells, cells: Integers) -> Reals:
        """(n, q, 3) k grad T of the elements: the heat flux backwards [W/m2]."""
        shapes = _P2.tabulate(1, at.points)[1:, :, :, 0]
        by_reference = np.einsum("dqa,na->nqd", shapes, self._values(x, cells), optimize=True)
        gradient = np.einsum("nqd,nqdi->nqi", by_reference, np.linalg.inv(at.jacobian(cells)), optimize=True)
        return self.k[cells, None, None] * gradient

    def recover(self, x: fem.Function) -> RecoveredStress:
        """The recovered flux: the first three of the six components of a recovered stress."""
        fitted = []
        for patches in self.recovery.patches:
            blocks = [self.flux(x, patches.sampled, c) for c in patches.sampled.blocks(patches.cells)]
            values = np.concatenate([np.zeros((0, len(SAMPLES[2]), 3)), *blocks])
            fitted.append(np.pad(patches.fit(values), ((0, 0), (0, 0), (0, 3))))
        return RecoveredStress(self.recovery, fitted)

    def _errors(self, x: fem.Function, recovered: RecoveredStress) -> Iterator[Reals]:
        for cells in self.cells.blocks():
            yield recovered.at(_POINTS, cells)[..., :3] - self.flux(x, self.cells, cells)

    # --- the error of a quantity ---

    def bar(self, dual: fem.Function, scale: float | None = None) -> float:
        """Half width of the error bar of the quantity with the solution `dual`, in its unit.

        scale : size of the quantity, for what the solution of the equations leaves; the span of the temperature
        """
        total = 0.0
        for cells, error in zip(self.cells.blocks(), self._errors(dual, self.recover(dual)), strict=True):
            measure = np.abs(np.linalg.det(self.cells.jacobian(cells))) * _WEIGHTS
            total += np.abs(((self._error[cells] * error).sum(-1) * measure).sum(1) / self.k[cells]).sum()
        left = 10 * self.problem.bound.params.tolerance * (self.span if scale is None else abs(scale))
        return SAFETY * float(self.comm.allreduce(float(total), MPI.SUM)) + left

    def bar_of(self, weights: Reals) -> float:
        """The same for a linear quantity of the nodes' temperatures. weights : (owned nodes,)"""
        return self.bar(self.problem.respond(weights))

    def bar_of_heat(self, weights: Reals, nodes: Integers, heat: float) -> float:
        """The same for a heat flow [W].

        weights : (owned nodes,) its derivative by the temperatures, for convection; nodes : for a temperature kept
        """
        g = np.zeros_like(self.theta.x.array)
        g[nodes] = 1.0
        return self.bar(self.problem.respond(weights, g), heat)

    def by_cell(self) -> Iterator[tuple[Integers, Reals, Reals]]:
        """Owned cells, some thousand at a time; of each (n, 4): the squares of the flux's error [W2/m] and of the
        slope's [K2 m] summed over the cell, its volume [m3], volume times size [m4]; (2,) the energies of the error and
        of the solution in all of them [W K]."""
        for cells in self.cells.blocks():
            measure = np.abs(np.linalg.det(self.cells.jacobian(cells))) * _WEIGHTS
            error = ((self._error[cells] ** 2).sum(-1) * measure).sum(1)
            flux = (self.flux(self.theta, self.cells, cells) ** 2).sum(-1)
            k, volume = self.k[cells], measure.sum(1)
            columns = [error, error / k**2, volume, np.cbrt(volume) * volume]
            yield cells, np.column_stack(columns), np.array([(error / k).sum(), ((flux * measure).sum(1) / k).sum()])

    # --- values at places ---

    def mean(self, weights: Reals) -> float:
        """The quantity itself, above the level."""
        return float(self.comm.allreduce(float(weights @ self.theta.x.array[: self.problem.own]), MPI.SUM))

    def at_point(self, place: Reals) -> Reals:
        """(owned nodes,) weights of the value at a point [m]. Raises StageError if it lies outside."""
        cell, reference, inside = locate(self.problem.part.mesh, place)
        best = self.comm.allreduce((inside, self.comm.rank), MPI.MAXLOC)
        if best[0] < -0.2:
            shown = ", ".join(f"{1e3 * x:g}" for x in place)
            raise StageError(
                "point-outside",
                f"A temperature is wanted at ({shown}) mm, which is not inside the part.",
                "Correct the point; the check shows the size of the part and where it lies.",
            )
        return self._weights(cell if best[1] == self.comm.rank else None, reference)

    def _weights(self, cell: int | None, reference: Reals) -> Reals:
        x = fem.Function(self.problem.V)
        if cell is not None:
            x.x.array[self.problem.V.dofmap.list[cell]] = _P2.tabulate(0, reference[None])[0, 0, :, 0]
        x.x.scatter_reverse(la.InsertMode.add)
        return x.x.array[: self.problem.own].copy()

    def extreme(self, sign: float) -> tuple[float, Reals, float]:
        """(value above the level, place [m], error bar) of the largest (`sign` 1) or smallest (-1) temperature.

        Where heat only leaves, no place is hotter than what is prescribed (maximum principle): where the elements
        overshoot that, beside two temperatures that meet, they are not believed.
        """
        shapes = _P2.tabulate(0, _LATTICE)[0, :, :, 0]
        seen, same, limit = Cells(self.problem.part.mesh, _LATTICE), 1e-8 * self.span, self._limit(sign)
        candidates: list[tuple] = []
        for cells in seen.blocks():
            found = sign * (self._values(self.theta, cells) @ shapes.T)
            believed = np.minimum(found, limit)
            # places as hot as each other to the last digits: the same is named on any number of ranks
            near = np.argwhere(believed >= believed.max() - same)
            x = seen.position(cells)
            candidates += [
                (found[c, q] > limit + same, tuple(np.round(x[c, q], 9) + 0.0), float(believed[c, q]), int(cells[c]), q)
                for c, q in near
            ]
        top = self.comm.allreduce(max((c[2] for c in candidates), default=-np.inf), MPI.MAX)
        mine = min((c for c in candidates if c[2] >= top - same), default=None)
        found_by = [(c, rank) for rank, c in enumerate(self.comm.allgather(mine)) if c is not None]
        (_, place, value, cell, q), rank = min(found_by)
        if value >= limit - same and any(
            c.kind == "temperature" and abs(sign * (c.value - self.problem.level) - limit) <= same
            for c in self.problem.bound.conditions
        ):
            return sign * limit, np.array(place), 0.0
        nodal = sign * self.theta.x.array[: self.problem.own]
        between = value - self.comm.allreduce(float(nodal.max(initial=-np.inf)), MPI.MAX)
        weights = self._weights(cell if rank == self.comm.rank else None, _LATTICE[q])
        return sign * value, np.array(place), self.bar_of(weights) + max(between, 0.0)

    def _limit(self, sign: float) -> float:
        """What sign times the temperature above the level cannot exceed [K]."""
        conditions = self.problem.bound.conditions
        heats = any(sign * c.value > 0 for c in conditions if c.kind not in ("temperature", "convection"))
        levels = [getattr(c, "ambient", None) or c.value for c in conditions if c.kind in ("temperature", "convection")]
        return np.inf if heats else max(sign * (level - self.problem.level) for level in levels)
