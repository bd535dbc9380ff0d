"""Warm fluid rises: velocity, pressure and temperature together, steady, by Newton's method with factors.

The density differs from the material's only in the weight (Boussinesq): an acceleration - beta (T - T0) g. The heat is
turned up step by step where Newton does not converge from the conduction of heat alone.

Method: G. de Vahl Davis, Int. J. Numer. Methods Fluids 3 (1983) 249-264 states the problem; the unknowns are solved
together because at the Rayleigh numbers of machines taking turns between flow and heat does not converge.
"""

from __future__ import annotations

import numpy as np

from solvers.cfd.flow.state import Flow, Integers, Reals, form  # first, for it loads MPI ahead of the bindings

# isort: split
import dolfinx.fem.petsc as fp
import ufl
from dolfinx import fem, la
from mpi4py import MPI

from hub.solver import StageError
from solvers.cfd.flow.boundary import Boundary
from solvers.cfd.flow.factors import Factors
from solvers.cfd.flow.steady import Convergence, Watch, momentum
from solvers.cfd.flow.transport import Transport

#: Newton steps before a start is given up, and before one that wanders about is; growth of corrections that gives up.
STEPS, LOST, GROWTH = 20, 6, 1e3
#: Part of the heat's lift that is tried first where all of it fails, and the least; smallest factor between two tries.
FIRST, LEAST, CLOSEST = 1 / 512, 1e-7, 1.1


class Coupled:
    """A flow and the heat it carries, on one mesh. Collective.

    flow : on the whole mesh, solids included; heat : its temperature, carried by ``flow.u``
    still : nodes of solids, where nothing moves; expansion beta [1/K]; gravity (3,) [m/s2]
    """

    def __init__(
        self,
        flow: Flow,
        boundary: Boundary,
        heat: Transport,
        still: tuple[Integers, Integers],
        expansion: float,
        gravity: tuple[float, float, float],
        watch: Watch,
    ) -> None:
        self.flow, self.boundary, self.heat, self.watch = flow, boundary, heat, watch
        mesh, self.comm = flow.part.mesh, flow.part.mesh.comm
        self.lift = fem.Constant(mesh, 0.0)
        pull = fem.Constant(mesh, expansion * np.array(gravity[: flow.dim]))
        nu, one, zero = fem.Constant(mesh, flow.fluid.nu), fem.Constant(mesh, 1.0), fem.Constant(mesh, 0.0)
        u, p, s = flow.u, flow.p, heat.s
        v, q = ufl.TestFunction(flow.V), ufl.TestFunction(flow.Q)
        du, dp, ds = (ufl.TrialFunction(space) for space in (flow.V, flow.Q, heat.S))
        F = momentum(flow, u, p, v, nu, one, boundary.ds(boundary.leaving))
        F += self.lift * s * ufl.dot(pull, v) * flow.dx()
        mass = -q * ufl.div(u) * flow.dx()
        energy = sum(heat.pieces(self._areas()))
        self._residuals = (form(F), form(mass), form(energy))
        derivative = ufl.derivative
        self._jacobian = form(
            [
                [derivative(F, u, du), derivative(F, p, dp), derivative(F, s, ds)],
                [derivative(mass, u, du), zero * dp * q * flow.dx(), None],
                [derivative(energy, u, du), None, derivative(energy, s, ds)],
            ]
        )
        self.A = fp.create_matrix(self._jacobian, kind="mpi")
        self._own = tuple(x.dofmap.index_map.size_local * x.dofmap.bs for x in (flow.V, flow.Q, heat.S))
        self._free = self._unheld(still)
        self._factors = Factors()
        self.steps = 0

    def _areas(self):  # type: ignore[no-untyped-def]
        """The areas of all surfaces of the heat as one measure: several conditions may share a face."""
        mesh, heat = self.flow.part.mesh, self.heat
        kind = fem.IntegralType.exterior_facet
        sides = [
            (i, fem.compute_integration_domains(kind, mesh.topology, np.sort(t.facets)))
            for i, t in enumerate(heat.through)
        ]
        whole = ufl.Measure("ds", domain=mesh, subdomain_data=sides, metadata={"quadrature_degree": 8})
        return lambda i, facets: whole(i)

    def _unheld(self, still: tuple[Integers, Integers]) -> Reals:
        """(own unknowns,) False where a value is given."""
        flow, dim, boundary = self.flow, self.flow.dim, self.boundary
        own_v, own_q, own_s = self._own
        v = np.ones((len(boundary.x), dim), dtype=bool)
        v[boundary.held] = False
        v[still[0]] = False
        for node, tangent in zip(boundary.slipping, boundary.tangent, strict=True):
            # slip along a side of the axes is all that a plane with a weight along an axis needs
            if np.abs(tangent - np.diag(np.diag(tangent))).max() > 1e-6:
                raise StageError(
                    "slanted-slip",
                    "Slip or symmetry at a slant is not offered where warm fluid rises.",
                    "Turn the part so that such faces lie along x or y, or use regime: unsteady.",
                )
            v[node] &= np.diag(tangent) > 0.5
        q = np.ones(flow.Q.dofmap.index_map.size_local + flow.Q.dofmap.index_map.num_ghosts, dtype=bool)
        q[still[1]] = False
        if boundary.closed:
            first = np.flatnonzero(q[:own_q])
            lowest = self.comm.allreduce(self.comm.rank if len(first) else self.comm.size, MPI.MIN)
            if lowest == self.comm.rank:
                q[first[0]] = False
        return np.concatenate([v.ravel()[:own_v], q[:own_q], ~self.heat.held[:own_s]])

    # --- pieces ---

    def residual(self) -> Reals:
        """(own unknowns,) of momentum over density, mass and heat; zero where values are given."""
        pieces = []
        for compiled, own in zip(self._residuals, self._own, strict=True):
            b = fem.assemble_vector(compiled)
            b.scatter_reverse(la.InsertMode.add)
            pieces.append(b.array[:own].copy())
        pieces[0] -= self.boundary.push(self.flow.t).ravel()[: self._own[0]]
        return np.where(self._free, np.concatenate(pieces), 0.0)

    def _correct(self, r: Reals) -> list[Reals]:
        A = self.A
        A.zeroEntries()
        fp.assemble_matrix(A, self._jacobian)
        A.assemble()
        rows = np.flatnonzero(~self._free) + A.getOwnershipRange()[0]
        A.zeroRows(rows.astype(np.int32), 1.0)
        found = np.split(self._factors.solve(A, r), np.cumsum(self._own)[:2])
        self.steps += 1
        return found

    def _step(self) -> float:
        """One correction; the largest relative size of those of velocity and temperature."""
        changes, worst = self._correct(self.residual()), 0.0
        for function, change, counts in zip(self._unknowns(), changes, (True, False, True), strict=True):
            function.x.array[: len(change)] -= change
            function.x.scatter_forward()
            if counts:
                own = function.x.array[: len(change)]
                moved, size = (np.sqrt(self.comm.allreduce(float(a @ a), MPI.SUM)) for a in (change, own))
                # what is no number counts as endless
                worst = max(worst, float(moved / max(size, 1e-300)) if np.isfinite(size) else np.inf)
        return worst

    def _unknowns(self) -> tuple[fem.Function, fem.Function, fem.Function]:
        return self.flow.u, self.flow.p, self.heat.s

    # --- ways ---

    def solve(self, tolerance: float = 1e-8) -> Convergence:
        """Sets velocity, pressure and temperature. Raises StageError where no steady state is found."""
        flow, dim = self.flow, self.flow.dim
        self.boundary.impose(flow.u.x.array.reshape(-1, dim), flow.t)
        way = "newton"
        self.lift.value = 1.0
        kept = self._keep()
        try:
            left = self._newton(tolerance)
            if left is None:
                way, left = "continuation", self._turned_up(tolerance, kept)
        finally:
            self._factors.free()
        if left is None:
            raise StageError(
                "no-steady-flow",
                "No steady flow was found, however slowly the heat was turned up. Most often it does not become "
                "steady: strongly heated air moves in puffs.",
                "Choose regime: unsteady with an end_time; or refine the mesh along the warm walls.",
            )
        return Convergence(self.steps, 0, left, way)

    def _newton(self, tolerance: float) -> float | None:
        best = np.inf
        for step in range(STEPS):
            change = self._step()
            self.watch(self.steps, change)
            lost = step >= LOST and change > 0.3
            if not np.isfinite(change) or change > GROWTH * best or lost:
                return None
            if change <= tolerance:
                return change
            best = min(best, change)
        return None

    def _keep(self) -> list[Reals]:
        return [f.x.array.copy() for f in self._unknowns()]

    def _restore(self, kept: list[Reals]) -> None:
        for function, values in zip(self._unknowns(), kept, strict=True):
            function.x.array[:] = values

    def _turned_up(self, tolerance: float, kept: list[Reals]) -> float | None:
        done, factor, lift = 0.0, 4.0, FIRST
        while True:
            self._restore(kept)
            self.lift.value = lift
            left = self._newton(tolerance if lift == 1 else 1e-3)
            if left is not None:
                if lift == 1:
                    return left
                kept, done, factor = self._keep(), lift, min(factor * 1.5, 4.0)
            else:
                factor = factor**0.5 if done else factor
                if factor < CLOSEST or lift < LEAST:
                    return None
            lift = min(1.0, done * factor) if done else lift / 8
