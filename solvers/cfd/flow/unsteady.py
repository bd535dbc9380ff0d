"""Flow that changes: incremental pressure correction in rotational form, BDF2 with extrapolated convection.

One step: a velocity from the old pressure, with convection by the extrapolated velocity (semi-implicit, one scalar
matrix for all components); a pressure change that makes it free of divergence; the velocity so corrected; and the
pressure, less nu div u, which keeps the order up to walls.

The pressure change obeys the product of the discrete divergence, the inverse mass matrix and the discrete gradient, in
which outlets hold pressures weakly: then what flows in flows out. It is solved by conjugate gradients, whose
preconditioner is the Laplacian with outlets held by Nitsche's method: the first iteration is the usual projection. The
net flow, whose pressure is a constant, is taken out of every iterate by deflation, so that one or two iterations do.

Methods: J.-L. Guermond, P. Minev, J. Shen, Comput. Methods Appl. Mech. Eng. 195 (2006) 6011-6045; P. M. Gresho,
S. T. Chan, Int. J. Numer. Meth. Fluids 11 (1990) 621-659; J. Nitsche, Abh. Math. Sem. Hamburg 36 (1971) 9-15;
R. A. Nicolaides, SIAM J. Numer. Anal. 24 (1987) 355-365 (deflation).
Wall-adapting eddy viscosity: F. Nicoud, F. Ducros, Flow Turbul. Combust. 62 (1999) 183-200.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
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
from solvers.cfd.flow.sparse import Block, Coupling, Factors, Matrix, bicgstab, cg, dots
from solvers.cfd.flow.steady import BACKFLOW

#: Relative residual of the velocity and of the pressure change.
TOLERANCE = 1e-8
#: A step is rejected where the largest speed grows by more than this, or the Courant number over the limit.
GROWTH, OVER = 2.0, 1.5
#: The step grows by no more than this; it is kept where it would change less than that.
FASTER, SAME = 1.15, 1.05
#: Rejections in a row that end the run.
REJECTIONS = 12
#: Of what a step's velocity loses and wins in places, what is left where the net flow is nought; iterations to there.
LEFT, PROJECTIONS = 0.1, 60
#: Relative residual of the accelerations that pressures give, which is their relative error.
ACCELERATION = 1e-5
#: Of Nitsche's method, over the square of the velocity's degree and one: as stiff as the discrete divergence there.
PENALTY = 4 / 3
#: Of the wall-adapting eddy viscosity.
WALE = 0.5


@numba.njit(cache=True)
def _rates(dofs, gradients, u):  # type: ignore[no-untyped-def]
    """(cells,) how many of its heights the fluid crosses in a cell in a second, at the worst of its nodes."""
    found = np.zeros(len(dofs))
    for c in range(len(dofs)):
        for node in dofs[c]:
            for side in range(gradients.shape[1]):
                rate = 0.0
                for k in range(u.shape[1]):
                    rate += gradients[c, side, k] * u[node, k]
                found[c] = max(found[c], abs(rate))
    return found


@dataclass(frozen=True)
class Settings:
    """How the time is stepped.

    until : end [s]; courant : largest number of cells crossed in a step; dt : a fixed step [s] instead
    eddies : ``wale`` for an eddy viscosity of what the mesh does not resolve; order : of the differences in time
    """

    until: float
    courant: float = 1.0
    dt: float | None = None
    eddies: str = "none"
    order: int = 3


def differences(dt: float, earlier: Sequence[float]) -> tuple[Reals, Reals]:
    """Weights of the new and the past values in the rate at the end of a step [1/s], and of the past ones in a value
    extrapolated there.

    dt : the step; earlier : the steps before, the last first; as many past values as those and one are used
    """
    ago = np.cumsum([dt, *earlier])
    powers = np.vander(np.concatenate([[0.0], -ago]) / dt, increasing=True).T
    first = np.zeros(len(powers))
    first[1] = 1.0 / dt
    one = np.zeros(len(ago))
    one[0] = 1.0
    return np.linalg.solve(powers, first), np.linalg.solve(powers[:-1, 1:], one)


@dataclass
class Controller:
    """What a run in time remembers besides its fields.

    last, earlier : the steps before [s]; passed, lost : the largest flow and the largest net flow so far [m3/s]
    """

    dt: float = 0.0
    last: float = 0.0
    earlier: float = 0.0
    step: int = 0
    rejected: int = 0
    passed: float = 0.0
    lost: float = 0.0


class March:
    """The flow on its way through time. Collective.

    flow : at the end of the last step; before : (nodes, dim) the velocity one step earlier
    control : steps taken and their size
    courant : of the last step; iterations : of its velocity and its pressure; net : what it lost [m3/s]
    """

    def __init__(self, flow: Flow, boundary: Boundary, settings: Settings) -> None:
        self.flow, self.boundary, self.settings = flow, boundary, settings
        self.comm, mesh, dim = flow.part.mesh.comm, flow.part.mesh, flow.dim
        s, r = ufl.TrialFunction(flow.S), ufl.TestFunction(flow.S)
        q, z = ufl.TrialFunction(flow.Q), ufl.TestFunction(flow.Q)
        dx, low = flow.dx(), flow.dx(2 * flow.degree)
        self.control = Controller()
        self.courant, self.iterations, self.net = 0.0, (0, 0), 0.0
        self._carrier, self.eddy = fem.Function(flow.V), fem.Function(fem.functionspace(mesh, ("DG", 0)))
        self.before, self.earlier = (np.zeros_like(flow.u.x.array).reshape(-1, dim) for _ in range(2))
        self._M = Matrix(s * r * low).assemble()
        self._K = Matrix(ufl.dot(ufl.grad(s), ufl.grad(r)) * low).assemble()
        n = ufl.FacetNormal(mesh)
        un = ufl.dot(self._carrier, n)
        moving = ufl.dot(self._carrier, ufl.grad(s)) * r * dx
        moving += BACKFLOW * (abs(un) - un) / 2 * s * r * boundary.ds(boundary.leaving)
        if settings.eddies == "wale":
            moving += self.eddy * ufl.dot(ufl.grad(s), ufl.grad(r)) * low
        if flow.darcy is not None:
            moving += flow.resistance(self._carrier) * s * r * low
        self._A = Matrix(moving)
        self._pressure = Coupling(lambda i: q * r.dx(i) * low, dim)
        self._divergence = Coupling(lambda i: s.dx(i) * z * low, dim)
        self._Mp = Matrix(q * z * low).assemble()
        self._factors = Factors(self._A)
        self._own, self._nodes = flow.S.dofmap.index_map.size_local, len(boundary.x)
        self._fixed = np.zeros(self._nodes, dtype=bool)
        self._fixed[boundary.held] = True
        self._work = Block(flow.S, dim)
        self._mass = Factors(self._M, overlap=False)
        self._mass.factorise(self._M.data, self._fixed)
        self._laplace = self._pressure_solver(q, z, low)
        on = np.flatnonzero(self._Mp.columns == np.repeat(np.arange(self._Mp.own), np.diff(self._Mp.rows)))
        self._inverse_pressure_mass = 1.0 / self._Mp.data[on][:, None]
        self._scalar = Block(flow.Q, 1)
        self._gradients = self._barycentric()
        if settings.eddies == "wale":
            self._eddies = self._wale()
            v = ufl.TestFunction(flow.V)
            # the transposed part of the stress, at the extrapolated velocity
            self._transposed = form(self.eddy * ufl.inner(ufl.grad(self._carrier).T, ufl.grad(v)) * low)
        boundary.impose(flow.u.x.array.reshape(-1, dim), flow.t)
        self.refresh()

    # --- set up ---

    def _pressure_solver(self, q: Any, z: Any, dx: ufl.Measure) -> PETSc.KSP:
        flow, boundary = self.flow, self.boundary
        out = boundary.ds(boundary.leaving)
        held = (self._held(z, q) - self._slope(q) * z) * out
        A = fp.assemble_matrix(form(ufl.dot(ufl.grad(q), ufl.grad(z)) * dx + held))
        A.assemble()
        self._lifts: dict[int, tuple[Reals, Reals]] = {}
        self._pinned = np.array([0] if boundary.closed and self.comm.rank == 0 else [], dtype=np.int32)
        if boundary.closed:
            A.zeroRowsColumns(self._pinned, 1.0)
        A.setOption(PETSc.Mat.Option.SPD, True)
        ksp = PETSc.KSP().create(self.comm)
        ksp.setOperators(A)
        pc = ksp.getPC()
        if flow.dim == 2 or flow.Q.dofmap.index_map.size_global < 8000:
            ksp.setType("preonly")
            pc.setType("cholesky")
            if self.comm.size == 1:
                pc.setFactorSolverType("petsc")
                pc.setFactorOrdering("nd")
            else:
                pc.setFactorSolverType("mumps")
        else:
            ksp.setType("cg")
            ksp.setTolerances(rtol=1e-7, max_it=500)
            prefix = "flow_pressure_"
            ksp.setOptionsPrefix(prefix)
            options = PETSc.Options()
            for key, value in {"pc_type": "gamg", "pc_gamg_threshold": 0.02, "mg_levels_ksp_type": "chebyshev",
                               "mg_levels_pc_type": "jacobi", "mg_levels_ksp_max_it": 2}.items():  # fmt: skip
                options[prefix + key] = value
            ksp.setFromOptions()
        ksp.setUp()
        self._b, self._x = A.createVecLeft(), A.createVecRight()
        return ksp

    def _slope(self, q: Any) -> Any:
        return ufl.dot(ufl.grad(q), ufl.FacetNormal(self.flow.part.mesh))

    def _held(self, z: Any, value: Any) -> Any:
        """What holds the pressure change at outlets, per area, by the height of the cells over them."""
        mesh = self.flow.part.mesh
        height = abs(ufl.JacobianDeterminant(mesh)) / abs(ufl.geometry.FacetJacobianDeterminant(mesh))
        stiff = fem.Constant(mesh, PENALTY * (self.flow.degree + 1) ** 2)
        return value * (stiff / height * z - self._slope(z))

    def _barycentric(self) -> Reals:
        """(cells, dim + 1, dim) gradients of the barycentric coordinates of the straight cells [1/m]."""
        mesh, dim = self.flow.part.mesh, self.flow.dim
        x = mesh.geometry.x[mesh.geometry.dofmaps[0][:, : dim + 1]][:, :, :dim]
        inverse = np.linalg.inv(x[:, 1:] - x[:, :1])
        return np.ascontiguousarray(
            np.concatenate([-inverse.sum(axis=2, keepdims=True), inverse], axis=2).transpose(0, 2, 1)
        )

    def _wale(self) -> fem.Expression:
        mesh, dim = self.flow.part.mesh, self.flow.dim
        g = ufl.grad(self._carrier)
        strain, square = ufl.sym(g), ufl.dot(g, g)
        s = ufl.sym(square) - ufl.tr(square) / 3 * ufl.Identity(dim)
        ss, dd = ufl.inner(strain, strain), ufl.inner(s, s)
        share = 6 if dim == 3 else 2  # of a simplex in the cube of its edges
        size = (abs(ufl.JacobianDeterminant(mesh)) / share) ** (1 / dim) / self.flow.degree
        tiny = fem.Constant(mesh, 1e-30)
        viscosity = (WALE * size) ** 2 * dd**1.5 / (ss**2.5 + dd**1.25 + tiny)
        return fem.Expression(viscosity, self.eddy.function_space.element.interpolation_points)

    # --- the step ---

    def rate(self, u: Reals) -> float:
        """The largest number of cells crossed in a second [1/s]."""
        own = _rates(self.flow.S.dofmap.list, self._gradients, u)
        return float(self.comm.allreduce(float(own.max(initial=0.0)), MPI.MAX))

    def first(self) -> float:
        """The first step: what is prescribed at the start or soon after crosses a tenth of what a step may."""
        if self.settings.dt is not None:
            return self.settings.dt
        u, until = self.flow.u.x.array.reshape(-1, self.flow.dim).copy(), self.settings.until
        rates = []
        for t in (0.0, 1e-3 * until, 1e-2 * until, 0.1 * until):
            self.boundary.impose(u, self.flow.t + t)
            rates.append(self.rate(u))
        crossed, pulled = 0.1 * self.settings.courant, self.rate(self.flow.force.x.array.reshape(u.shape))
        return min(crossed / max(max(rates), 1e-12 / until), until / 100, (crossed / max(pulled, 1e-300)) ** 0.5)

    def step(self) -> None:
        """One step that is good, after as many rejected ones as it takes. Raises StageError."""
        control, settings = self.control, self.settings
        dt = control.dt or self.first()
        for _ in range(REJECTIONS):
            left = settings.until - self.flow.t
            # no sliver of a step before the end
            taken = left if dt >= left * (1 - 1e-9) else left / 2 if dt > 0.6 * left and settings.dt is None else dt
            why = self._try(taken)
            if not why:
                break
            control.rejected += 1
            self._stale = True
            if settings.dt is not None:
                raise self._diverged(why, taken)
            dt = taken / 2
        else:
            raise self._diverged(why, taken)
        control.last, control.earlier, control.step = taken, control.last, control.step + 1
        if settings.dt is None:
            wanted = taken * settings.courant / max(self.courant, 1e-12)
            control.dt = min(wanted, FASTER * taken) if wanted > SAME * taken or wanted < taken else taken
        else:
            control.dt = settings.dt

    def refresh(self) -> None:
        """Take over nothing from earlier steps but the state: a checkpoint is here, or was read."""
        self._stale = True
        # the pressure of a start from rest knows nothing of the outlets yet
        known = self.comm.allreduce(float(np.abs(self.flow.p.x.array).max(initial=0.0)), MPI.MAX) > 0
        self._ends = self.boundary.pressures(self.flow.t) * float(known)

    def _diverged(self, why: str, dt: float) -> StageError:
        u = self.flow.u.x.array.reshape(-1, self.flow.dim)[: self._own]
        speed = np.linalg.norm(u, axis=1)
        at = int(speed.argmax()) if len(speed) else 0
        place = tuple(float(v) for v in 1e3 * self.boundary.x[at]) if len(speed) else (0.0, 0.0, 0.0)
        peak, place = max(self.comm.allgather((float(speed.max(initial=0.0)), place)))
        where = ", ".join(f"{value:.4g}" for value in place[: self.flow.dim])
        return StageError(
            "diverged",
            f"At t = {self.flow.t:.6g} s with steps of {dt:.3g} s, {why}. The largest speed before that was "
            f"{peak:.4g} m/s near ({where}) mm.",
            "Refine the mesh around that place or lower courant; where it lies near an outlet, move the outlet further "
            "away; at Reynolds numbers of turbulence use an eddy viscosity or a turbulence model.",
        )

    def _try(self, dt: float) -> str:
        """Take a step of dt [s] if it turns out well; else say why not and leave everything as it was."""
        flow, boundary, dim, own = self.flow, self.boundary, self.flow.dim, self._own
        u, t = flow.u.x.array.reshape(-1, dim), flow.t + dt
        control = self.control
        order = min(control.step + 1, self.settings.order)
        a, ahead = differences(dt, (control.last, control.earlier)[: order - 1])
        past = (u, self.before, self.earlier)[:order]
        self._carrier.x.array[:] = sum(c * v for c, v in zip(ahead, past, strict=True)).ravel()
        if self.settings.eddies == "wale":
            self.eddy.interpolate(self._eddies)
        A = self._A.assemble()
        A.data += a[0] * self._M.data + flow.fluid.nu * self._K.data
        load = self._M.times(flow.force.x.array.reshape(-1, dim) - sum(c * v for c, v in zip(a[1:], past, strict=True)))
        # the old pressure goes with the old ones at the outlets: what those change by comes with its change
        push = (boundary.pressed(self._ends) + boundary.thrust)[:own]
        if self.settings.eddies == "wale":
            b = fem.assemble_vector(self._transposed)
            b.scatter_reverse(la.InsertMode.add)
            load -= b.array.reshape(-1, dim)[:own]
        # velocity from the old pressure
        new = self._carrier.x.array.reshape(-1, dim).copy()
        boundary.impose(new, t)
        tried = self._velocity(load + push + self._pressure.spread(flow.p.x.array), new)
        if tried < 0:
            return "the equations of the velocity could not be solved"
        div = self._divergence.collect(new)
        phi = self._project(new, boundary.pressures(t) - self._ends, a[0])
        if phi is None:
            return "the equation of the pressure could not be solved"
        boundary.impose(new, t)
        speed = self._largest(new)
        # what forces give in this step is no growth: from rest all speed is of them
        before = max(self._largest(u), self._largest(boundary.velocities(t)), dt * self._largest(flow.force.x.array))
        if not np.isfinite(speed):
            return "the velocity is not a number any more"
        if self.control.step and speed > GROWTH * before:
            return f"the largest speed grew from {before:.4g} to {speed:.4g} m/s in one step"
        courant = self.rate(new) * dt
        limit = self.settings.courant if self.settings.dt is None else np.inf
        if courant > OVER * limit and self.control.step:
            return f"the flow crossed {courant:.3g} cells in one step"
        # accepted
        self.courant, self.iterations = courant, (tried, self._projections)
        self.net, passed = self._passing(new)
        control.passed, control.lost = max(control.passed, passed), max(control.lost, abs(self.net))
        self.earlier[:], self.before[:] = self.before, u
        u[:] = new
        flow.p.x.array[:] += phi - flow.fluid.nu * self._mass_solved(div)
        if boundary.closed:
            flow.p.x.array[:] -= self._mean(flow.p.x.array)
        flow.t = t
        self._ends = boundary.pressures(t)
        self._react(load + (boundary.pressed(self._ends) + boundary.thrust)[:own])
        return ""

    def _largest(self, u: Reals) -> float:
        own = float(np.abs(u).max(initial=0.0)) if np.isfinite(u).all() else np.inf
        return float(self.comm.allreduce(own, MPI.MAX))

    def _release(self, r: Reals) -> Reals:
        """Of own nodes, what the boundary leaves free."""
        work = self._work.array
        work[: self._own] = r
        self.boundary.release(work)
        return work[: self._own].copy()

    def _applied(self, matrix: Matrix) -> Callable[[Reals], Reals]:
        def apply(x: Reals) -> Reals:
            return self._release(matrix.times(x))

        return apply

    def _velocity(self, b: Reals, new: Reals) -> int:
        """Solves for the correction of `new`, which satisfies what is prescribed; the iterations or -1."""
        if self._stale:
            self._factors.factorise(self._A.data, self._fixed)
            self._stale = False
        residual = self._release(b - self._A.times(new))
        scale = float(np.sqrt(self.comm.allreduce(float(np.vdot(b, b)), MPI.SUM)))
        x = np.zeros_like(residual)
        precondition = self._preconditioned(self._factors)
        tolerance = max(TOLERANCE * scale, 1e-300)
        n = bicgstab(self._applied(self._A), precondition, residual, x, self.comm, tolerance=tolerance)
        # factors of an earlier matrix serve while they are good
        self._stale = n > 6 or n < 0
        if n < 0:
            return n
        self._work.array[: self._own] = x
        new += self._work.update()
        return n

    def _preconditioned(self, factors: Factors) -> Callable[[Reals], Reals]:
        def precondition(r: Reals) -> Reals:
            y = np.empty_like(r)
            factors.solve(r, y)
            return self._release(y) if len(self.boundary.slipping) else y

        return precondition

    def _project(self, new: Reals, rises: Reals, a: float) -> Reals | None:
        """Makes `new` lose no mass; the pressure change that does it, (nodes of the pressure,) over density.

        rises : of the pressures over density at the outlets; a : weight of the new velocity in its rate [1/s]
        """
        phi = np.zeros(len(self.flow.p.x.array))
        for i in np.flatnonzero(rises):
            lift, moved = self._lift(int(i))
            phi += rises[i] * lift
            new += rises[i] / a * moved
        r = -a * self._divergence.collect(new)
        if self.boundary.closed:
            # what tables leave of a net flow is taken up at one node
            r[self._pinned] -= self.comm.allreduce(float(r.sum()), MPI.SUM)
        limit = LEFT**2 * dots(self.comm, (r, r))[0]
        self._level_out(r, phi, new, a)
        along, driven, last = np.zeros_like(phi), np.zeros_like(new), np.inf
        self._projections = 0
        for i in range(1, PROJECTIONS + 1):
            z = self._laplace_solved(r)
            if z is None:
                return None
            (rz,) = dots(self.comm, (r, z[: len(r)]))
            if rz == 0.0:
                break
            moved = self._driven(z)
            if not self.boundary.closed:
                level, lost, total = self._level
                part = dots(self.comm, (lost, z[: len(r)]))[0] / total
                z -= part
                moved -= part * level
            along, driven, last = z + rz / last * along, moved + rz / last * driven, rz
            s = self._divergence.collect(driven)
            c = rz / dots(self.comm, (along[: len(s)], s))[0]
            phi += c * along
            new += c / a * driven
            r -= c * s
            self._projections = i
            if dots(self.comm, (r, r))[0] <= limit:
                break
        else:
            return None
        self._level_out(r, phi, new, a)
        return phi

    @cached_property
    def _level(self) -> tuple[Reals, Reals, float]:
        """What a pressure over density of one everywhere drives, what that loses, and its sum."""
        driven = self._driven(np.ones(len(self.flow.p.x.array)))
        lost = self._divergence.collect(driven)
        return driven, lost, float(self.comm.allreduce(float(lost.sum()), MPI.SUM))

    def _level_out(self, r: Reals, phi: Reals, new: Reals, a: float) -> None:
        """Takes the net flow out of what is left, by a constant pressure, in place."""
        if not self.boundary.closed:
            driven, lost, total = self._level
            c = self.comm.allreduce(float(r.sum()), MPI.SUM) / total
            phi += c
            new += c / a * driven
            r -= c * lost

    def _lift(self, i: int) -> tuple[Reals, Reals]:
        """Of one outlet's pressure over density: a pressure (nodes of the pressure,), and what both drive."""
        if i not in self._lifts:
            outlet, flow = self.boundary.outlets[i], self.flow
            one, z = fem.Constant(flow.part.mesh, 1.0), ufl.TestFunction(flow.Q)
            b = fem.assemble_vector(form(self._held(z, one) * self.boundary.ds(self.boundary.facets[outlet.name])))
            b.scatter_reverse(la.InsertMode.add)
            lift = self._laplace_solved(b.array[: flow.Q.dofmap.index_map.size_local])
            assert lift is not None
            pressures = np.zeros(len(self.boundary.outlets))
            pressures[i] = 1.0
            self._lifts[i] = lift, self._driven(lift, self.boundary.pressed(pressures)[: self._own])
        return self._lifts[i]

    def _passing(self, u: Reals) -> tuple[float, float]:
        """Of a velocity (nodes, dim): what leaves on the whole, and half of what passes the boundary [m3/s].

        Where nothing passes, rounding is measured by a millionth of what could.
        """
        passing = (self.boundary.skin * u)[: self._own]
        net, whole = self.comm.allreduce(np.array([passing.sum(), np.abs(passing).sum() / 2]))
        return float(net), max(float(whole), 1e-6 * self.boundary.area * self._largest(u))

    def _laplace_solved(self, load: Reals) -> Reals | None:
        """(nodes of the pressure,) from a load of its equation, or None."""
        self._b.array = load
        self._b.array_w[self._pinned] = 0.0
        self._laplace.solve(self._b, self._x)
        if self._laplace.getConvergedReason() < 0:
            return None
        self._scalar.array[: len(load), 0] = self._x.array
        return self._scalar.update()[:, 0].copy()

    def _driven(self, p: Reals, load: Reals | float = 0.0) -> Reals:
        """(nodes, dim) what pressures over density accelerate the fluid to; load : (own, dim) of outlets"""
        b = self._release(self._pressure.spread(p) + load)
        x = np.zeros_like(b)
        scale = float(np.sqrt(self.comm.allreduce(float(np.vdot(b, b)), MPI.SUM)))
        cg(self._applied(self._M), self._preconditioned(self._mass), b, x, self.comm, tolerance=ACCELERATION * scale)
        self._work.array[: self._own] = x
        return self._work.update().copy()

    def _mass_solved(self, b: Reals) -> Reals:
        """The function of the pressure space whose moments are b."""
        x = np.zeros((len(b), 1))

        scale = float(np.sqrt(self.comm.allreduce(float(b @ b), MPI.SUM)))
        scaled, tolerance = lambda r: self._inverse_pressure_mass * r, ACCELERATION * scale
        cg(self._Mp.times, scaled, b[:, None].copy(), x, self.comm, tolerance=tolerance)
        self._scalar.array[: len(b)] = x
        return self._scalar.update()[:, 0].copy()

    def _mean(self, p: Reals) -> float:
        whole = self._Mp.times(np.ascontiguousarray(np.column_stack([p, np.ones_like(p)])))
        total, volume = self.comm.allreduce(whole.sum(axis=0), MPI.SUM)
        return float(total / volume)

    def _react(self, past: Reals) -> None:
        """The flow's reaction, from the new velocity and the new pressure: those of before would lag by a step."""
        flow, dim = self.flow, self.flow.dim
        r = self._A.times(flow.u.x.array.reshape(-1, dim)) - past - self._pressure.spread(flow.p.x.array)
        flow.reaction.x.array.reshape(-1, dim)[: self._own] = r
        flow.reaction.x.scatter_forward()

    @property
    def done(self) -> bool:
        return self.flow.t >= self.settings.until * (1 - 1e-12)


def run(
    flow: Flow,
    boundary: Boundary,
    settings: Settings,
    *,
    each_step: Callable[[March], None] = lambda march: None,
    march: March | None = None,
) -> March:
    """Take the flow from its time to `settings.until`. Collective. Raises StageError where it diverges.

    each_step : called after every good step; it may change ``flow.force`` for the next one
    march : one that was restored, to go on with
    """
    march = March(flow, boundary, settings) if march is None else march
    while not march.done:
        march.step()
        each_step(march)
    return march
