"""The flow that does not change: u . grad u - nu div grad u + grad p = f, div u = 0.

Small problems and all plane ones by Newton's method with factors, from the Stokes flow; where that fails by
continuation in the viscosity, and where that fails by steps in a time of their own (C. T. Kelley, D. E. Keyes, SIAM J.
Numer. Anal. 35 (1998) 508-523). Large ones in space by ``oseen.py``; where that comes to no end and factors fit, by so
many of Newton's steps as take some minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from solvers.cfd.flow.state import Flow, Reals, form  # first, for it loads MPI ahead of the bindings

# isort: split
import dolfinx.fem.petsc as fp
import ufl
from dolfinx import fem, la
from mpi4py import MPI
from petsc4py import PETSc

from hub.solver import StageError
from solvers.cfd.flow.boundary import Boundary
from solvers.cfd.flow.factors import Factors
from solvers.cfd.flow.standstill import no_steady_flow

#: Problem in space up to which factors are quicker than iterations, and up to which they fit [unknowns].
QUICK, DIRECT = 25_000, 120_000
#: Seconds that linear solves by factors may take where the iteration in space has come to no end, and what one takes
#: for each unknown squared, on one core: 5 s for 85 thousand unknowns. At least so many are made.
PATIENT, SOLVE, ENOUGH = 180.0, 7e-10, 20
#: Steps in a time of their own.
MARCHED = 150
#: Newton steps before a start is given up; growth of the residual over the smallest so far that gives it up.
STEPS, GROWTH = 15, 1e4
#: Viscosities of the continuation: first multiple; smallest factor between two.
FIRST, CLOSEST = 64.0, 1.15
#: Part of u . n that an outlet holds against what comes back: 1/2 keeps the energy from growing.
BACKFLOW = 0.5

type Watch = Callable[[int, float], None]
#: Is told what is being tried, in a sentence for those who wait.
type Doing = Callable[[str], None]


def untold(what: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Convergence:
    """How a steady solution was found.

    steps : linear solves; krylov : iterations inside them; residual : of the equations, relative to that of the start
    way : ``newton``, ``continuation``, ``pseudo-time``, ``picard`` or ``streamline``
    """

    steps: int
    krylov: int
    residual: float
    way: str


def solve(
    flow: Flow,
    boundary: Boundary,
    *,
    tolerance: float = 1e-8,
    watch: Watch = lambda step, residual: None,
    warm: bool = False,
    sturdy: bool = True,
    doing: Doing = untold,
) -> Convergence:
    """Find the steady flow: sets u, p and reaction. Collective. Raises StageError where there is none to be found.

    tolerance : residual relative to that of the start
    watch : told the step and the residual after each linear solve
    warm : start from the u and p that the flow has
    sturdy : whether, in space, other ways are tried where the iteration comes to no end
    doing : told which way is tried, where it is not the first
    """
    if flow.dim == 3 and flow.unknowns > QUICK:
        from solvers.cfd.flow.oseen import Oseen

        iteration = Oseen(flow, boundary)
        try:
            return iteration.solve(tolerance, watch, warm, doing=doing, sturdy=sturdy)
        except StageError as stopped:
            if flow.unknowns > DIRECT or not sturdy:
                raise
            if flow.part.mesh.comm.rank == 0:
                print(f"warning: {stopped.message} Newton's method is tried, which takes longer.", flush=True)
            doing("solving by Newton's method, which takes longer")
            limit = max(ENOUGH, int(PATIENT / (SOLVE * flow.unknowns**2)))
            newton = Newton(flow, boundary, lambda step, left: watch(iteration.steps + step, left), doing, limit)
            try:
                found = newton.solve(tolerance, warm=True)
                return replace(found, steps=iteration.steps + found.steps, krylov=iteration.krylov)
            except StageError:
                # the iteration knows best where it stood still
                raise stopped from None
    return Newton(flow, boundary, watch, doing).solve(tolerance, warm)


def momentum(flow: Flow, u, p, v, nu, convection, leaving) -> ufl.Form:  # type: ignore[no-untyped-def]
    """The residual of the momentum equation over density, tested with v.

    u, p : unknowns; nu [m2/s]; convection : 1, or 0 for creeping flow; leaving : measure of the outlets
    """
    n = ufl.FacetNormal(flow.part.mesh)
    un = ufl.dot(u, n)
    back = convection * BACKFLOW * (abs(un) - un) / 2 * ufl.dot(u, v) * leaving
    convective = convection * ufl.dot(ufl.dot(ufl.grad(u), u), v)
    viscous = nu * ufl.inner(ufl.grad(u), ufl.grad(v))
    if flow.darcy is not None:
        viscous += flow.resistance(u, convection) * ufl.dot(u, v)
    return (viscous + convective - p * ufl.div(v) - ufl.dot(flow.force, v)) * flow.dx() + back


def least(boundary: Boundary) -> float:
    """A small part of what momentum could pass the boundary, over density [m4/s2]: where nothing resists the flow."""
    speed = boundary.comm.allreduce(float(np.abs(boundary.flow.u.x.array).max(initial=0.0)), MPI.MAX)
    return 1e-4 * max(speed**2 * boundary.area, 1e-30)


class _Spent(Exception):
    """So many linear solves as are allowed were made."""


class Newton:
    """Newton's method with factors (MUMPS) for velocity and pressure together. Collective.

    watch, doing : as of `solve`; limit : of linear solves, None for as many as all ways together want
    """

    def __init__(
        self, flow: Flow, boundary: Boundary, watch: Watch, doing: Doing = untold, limit: int | None = None
    ) -> None:
        self.flow, self.boundary, self.watch, self.doing, self.limit = flow, boundary, watch, doing, limit
        self.comm, mesh = flow.part.mesh.comm, flow.part.mesh
        self.nu = fem.Constant(mesh, flow.fluid.nu)
        self.convection, self._rate, zero = (fem.Constant(mesh, 0.0) for _ in range(3))
        self._past = fem.Function(flow.V)
        u, p = flow.u, flow.p
        v, q, du, dp = (f(s) for f in (ufl.TestFunction, ufl.TrialFunction) for s in (flow.V, flow.Q))
        dx = flow.dx()
        slow = self._rate * ufl.dot(u - self._past, v) * dx
        F = momentum(flow, u, p, v, self.nu, self.convection, boundary.ds(boundary.leaving))
        self._momentum, self._mass = form(F), form(-q * ufl.div(u) * dx)
        self._slow = form(slow)
        # the block of pressures is zero; it is assembled so that its diagonal exists, for a pressure that is held
        self._jacobian = form(
            [[ufl.derivative(F + slow, u, du), -dp * ufl.div(v) * dx], [-q * ufl.div(du) * dx, zero * dp * q * dx]]
        )
        self.A = fp.create_matrix(self._jacobian, kind="mpi")
        self._own = tuple(s.dofmap.index_map.size_local * s.dofmap.bs for s in (flow.V, flow.Q))
        held = fem.Function(flow.V)
        self._bcs = [fem.dirichletbc(held, boundary.held)]
        self._pin = boundary.closed and self.comm.rank == 0
        self._tangents = self._slip() if self.comm.allreduce(len(boundary.slipping)) else None
        self._push = boundary.push(flow.t)
        self._factors = Factors()
        self.steps = 0
        #: The smallest residual of the equations themselves, and what it was at each node.
        self._closest = np.inf, np.zeros((self._own[0] // flow.dim, flow.dim))

    def _slip(self) -> PETSc.Mat:
        """The projection on what slip leaves free, as a matrix."""
        first, last = self.A.getOwnershipRange()
        P = PETSc.Mat().createAIJ((self.A.getSizes()), nnz=self.flow.dim, comm=self.comm)
        own, dim = self._own[0] // self.flow.dim, self.flow.dim
        P.setUp()
        slipping = {int(n): t for n, t in zip(self.boundary.slipping, self.boundary.tangent, strict=True) if n < own}
        for row in range(first, last):
            node, component = divmod(row - first, dim)
            if row - first < self._own[0] and node in slipping:
                columns = first + node * dim + np.arange(dim, dtype=np.int32)
                P.setValues([row], columns, slipping[node][component])
            else:
                P.setValue(row, row, 1.0)
        P.assemble()
        return P

    # --- pieces ---

    def residual(self) -> tuple[Reals, Reals]:
        """(own velocity unknowns,) and (own pressures,) of the equations; sets the flow's reaction."""
        flow, dim = self.flow, self.flow.dim
        r = self._assembled(self._momentum)
        flow.reaction.x.array[:] = r - self._push.ravel()
        if self._rate.value:
            r = r + self._assembled(self._slow)
        r = self.boundary.release((r - self._push.ravel()).reshape(-1, dim)).ravel()
        c = self._assembled(self._mass)
        if self._pin:
            c[0] = 0.0
        return r[: self._own[0]], c[: self._own[1]]

    def _assembled(self, compiled: fem.Form) -> Reals:
        b = fem.assemble_vector(compiled)
        b.scatter_reverse(la.InsertMode.add)
        b.scatter_forward()
        return np.array(b.array)

    def _norm(self, r: tuple[Reals, Reals]) -> float:
        """In the units of the momentum equation: volumes that do not balance count with the largest speed."""
        own = float(np.abs(self.flow.u.x.array).max(initial=0.0))
        speed = self.comm.allreduce(own, MPI.MAX)
        return float(np.sqrt(self.comm.allreduce(float(r[0] @ r[0] + speed**2 * (r[1] @ r[1])), MPI.SUM)))

    def _correct(self, r: tuple[Reals, Reals]) -> tuple[Reals, Reals]:
        if self.steps == self.limit:
            raise _Spent
        A = self.A
        A.zeroEntries()
        fp.assemble_matrix(A, self._jacobian, bcs=self._bcs)
        A.assemble()
        if self._tangents is not None:
            P = self._tangents
            A = A.PtAP(P)
            hold = P.duplicate(copy=True)
            hold.scale(-1.0)
            hold.shift(1.0)
            A.axpy(1.0, hold, structure=PETSc.Mat.Structure.DIFFERENT_NONZERO_PATTERN)
            hold.destroy()
        pinned = [A.getOwnershipRange()[0] + self._own[0]] if self._pin else []
        if self.boundary.closed:
            A.zeroRowsColumns(np.array(pinned, dtype=np.int32), 1.0)
        found = self._factors.solve(A, np.concatenate(r))
        if A is not self.A:
            self._factors.free()
            A.destroy()
        self.steps += 1
        return found[: self._own[0]], found[self._own[0] :]

    def _step(self, r: tuple[Reals, Reals], size: float = 1.0) -> None:
        du, dp = self._correct(r)
        for function, change in ((self.flow.u, du), (self.flow.p, dp)):
            function.x.array[: len(change)] -= size * change
            function.x.scatter_forward()

    # --- ways ---

    def solve(self, tolerance: float, warm: bool) -> Convergence:
        try:
            return self._solve(tolerance, warm)
        finally:
            self._factors.free()

    def _solve(self, tolerance: float, warm: bool) -> Convergence:
        flow, dim = self.flow, self.flow.dim
        if not warm:
            flow.u.x.array[:] = 0.0
            flow.p.x.array[:] = 0.0
        self.boundary.impose(flow.u.x.array.reshape(-1, dim), flow.t)
        kept = flow.u.x.array.copy(), flow.p.x.array.copy()
        if not warm:
            self._stokes()
            kept = flow.u.x.array.copy(), flow.p.x.array.copy()
        self.convection.value = 1.0
        way, left = "newton", None
        try:
            left = self._newton(tolerance)
            if left is None:
                self._restore(kept)
                way, left = "continuation", self._continued(tolerance)
            if left is None:
                self._restore(kept)
                self.nu.value = flow.fluid.nu
                way, left = "pseudo-time", self._marched(tolerance)
        except _Spent:
            left = None
        if left is None:
            if not np.isfinite(flow.u.x.array).all():
                self._restore(kept)
            raise no_steady_flow(self.boundary, self.steps, *self._closest, None)
        self._level()
        return Convergence(self.steps, 0, left, way)

    def _restore(self, kept: tuple[Reals, Reals]) -> None:
        self.flow.u.x.array[:], self.flow.p.x.array[:] = kept

    def _stokes(self) -> None:
        self.convection.value = 0.0
        self._step(self.residual())

    def _scale(self) -> float:
        """What the reaction of the boundary sums to: the residual of the inside is measured by it."""
        own = self.flow.reaction.x.array[: self._own[0]]
        return max(float(np.sqrt(self.comm.allreduce(float(own @ own), MPI.SUM))), least(self.boundary))

    def _told(self, r: tuple[Reals, Reals]) -> tuple[float, float]:
        """Norm and scale of a residual, which those who watch are told."""
        norm, scale = self._norm(r), self._scale()
        self.watch(self.steps, norm / scale)
        if norm < self._closest[0] * scale and self.nu.value == self.flow.fluid.nu:
            self._closest = norm / scale, r[0].reshape(-1, self.flow.dim).copy()
        return norm, scale

    def _newton(self, tolerance: float, steps: int = STEPS) -> float | None:
        """The residual reached, or None where it does not converge."""
        best = np.inf
        for _ in range(steps):
            r = self.residual()
            norm, scale = self._told(r)
            if not np.isfinite(norm) or norm > GROWTH * best:
                return None
            if norm <= tolerance * scale:
                return norm / scale
            best = min(best, norm)
            self._step(r)
        return None

    def _continued(self, tolerance: float) -> float | None:
        """Newton at lower and lower viscosity, each from the one before."""
        nu, factor, times = self.flow.fluid.nu, 4.0, FIRST
        kept = self.flow.u.x.array.copy(), self.flow.p.x.array.copy()
        done = times
        while True:
            self.nu.value = nu * times
            self.doing(f"solving by Newton's method, at {times:.3g} times the viscosity")
            left = self._newton(tolerance if times == 1 else 1e-4)
            if left is not None:
                if times == 1:
                    return left
                kept, done = (self.flow.u.x.array.copy(), self.flow.p.x.array.copy()), times
                factor = min(factor * 1.5, 4.0)
            else:
                self._restore(kept)
                factor = factor**0.5
                if factor < CLOSEST or done == times == FIRST:
                    return None
            times = max(1.0, done / factor)

    def _marched(self, tolerance: float) -> float | None:
        """Implicit Euler whose steps grow as the residual falls, until they are Newton's."""
        flow, dim = self.flow, self.flow.dim
        cells = flow.part.mesh.topology.index_map(dim).size_global
        volume = self.comm.allreduce(fem.assemble_scalar(form(fem.Constant(flow.part.mesh, 1.0) * flow.dx(1))), MPI.SUM)
        speed = self.comm.allreduce(float(np.abs(flow.u.x.array).max(initial=0.0)), MPI.MAX) or 1.0
        dt, last = 5 * (volume / cells) ** (1 / dim) / speed, np.inf
        for step in range(1, MARCHED + 1):
            self.doing(f"solving by Newton's method, step {step} of at most {MARCHED} in a time of its own")
            self._past.x.array[:] = flow.u.x.array
            kept = flow.u.x.array.copy(), flow.p.x.array.copy()
            self._rate.value = 1 / dt
            r = self.residual()
            for _ in range(3):
                self._step(r)
                r = self.residual()
            self._rate.value = 0.0
            norm, scale = self._told(self.residual())
            if not np.isfinite(norm) or norm > 100 * last:
                self._restore(kept)
                dt /= 4
                continue
            if norm <= tolerance * scale:
                return norm / scale
            dt *= min(4.0, max(0.5, last / norm if np.isfinite(last) else 1.0))
            last = norm
            if norm < 1e-3 * scale and (left := self._newton(tolerance, 8)) is not None:
                return left
        return None

    def _level(self) -> None:
        """The pressure of a closed domain has no level: its mean is made zero."""
        if self.boundary.closed:
            p = self.flow.p
            one = fem.Constant(self.flow.part.mesh, 1.0)
            dx = self.flow.dx(2)
            total, volume = (self.comm.allreduce(fem.assemble_scalar(form(f * dx)), MPI.SUM) for f in (p, one))
            p.x.array[:] -= total / volume
