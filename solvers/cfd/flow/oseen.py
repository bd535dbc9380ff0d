"""Steady flow in space: Picard's iteration with Anderson's acceleration, each step a linear (Oseen) problem by FGMRES.

All components of the velocity share one scalar matrix, a ninth of Newton's: that outweighs the faster steps of Newton.
Preconditioner: upper triangular, for the velocity ILU(0), or whole factors once that has failed, and for the pressure
convection and diffusion in its own space (PCD), -(nu + Ap^-1 Fp) Mp^-1, with Ap held at the outlets and with the flow
through the inlets taken off Fp; the other order, held at the inlets, wants up to five times as many iterations behind a
narrowing. In ducts much longer than wide the mass matrix alone misses the pressure along them, which works against a
drag: walls slow the mean of a developed flow at the rate r = 2 nu (walls / volume)^2 (8 nu / R^2 in a pipe), for which
-r Ap^-1 is added.

Where the iteration wanders it begins again with diffusion along the stream, which is then taken away step by step
(``streamline.py``): steps in a time of their own, whole ones of Newton or corrections against such a matrix do not
lead on where jets bend round sharp corners on cells that hardly carry them.

Methods: H. Elman, D. Silvester, A. Wathen, Finite Elements and Fast Iterative Solvers, 2nd ed., Oxford 2014, ch. 9;
J. Cahouet, J.-P. Chabard, Int. J. Numer. Methods Fluids 8 (1988) 869-895 (the same for the rate of a step in time);
S. Pollock, L. Rebholz, M. Xiao, SIAM J. Numer. Anal. 57 (2019) 615-637;
Y. Saad, SIAM J. Sci. Comput. 14 (1993) 461-469.
"""

from __future__ import annotations

import numpy as np

from solvers.cfd.flow.state import Flow, Integers, Reals  # first, for it loads MPI ahead of the bindings

# isort: split
import dolfinx.fem.petsc as fp
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from solvers.cfd.flow.boundary import Boundary, Inlet, Outlet
from solvers.cfd.flow.sparse import Block, Coupling, Factors, Matrix, cg, dots, total
from solvers.cfd.flow.standstill import no_steady_flow
from solvers.cfd.flow.state import form
from solvers.cfd.flow.steady import BACKFLOW, Convergence, Doing, Watch, least, untold
from solvers.cfd.flow.streamline import Streamline

#: What a linear solve must take off its residual, and its most iterations.
INNER, LIMIT, RESTART = 0.1, 300, 100
#: How much smaller a vector may become where it is made orthogonal to others once.
CANCELLED = 0.01
#: Steps that Anderson's acceleration looks back on, and with diffusion along the stream, where few do not settle; steps
#: before the iteration is given up, and before it is with that diffusion.
DEPTH, DEEP, STEPS, MORE = 5, 20, 120, 180
#: Growth of the residual over the best so far that calls for damping.
GROWTH = 10.0
#: Steps in which the best residual must halve, and unsolved linear problems in a row, before the iteration wanders.
PATIENCE, UNSOLVED = 15, 2
#: Diffusion along the stream: what is left of it after a stage that settled, and at most after one that did not; the
#: part below which none is left at first; residual at which a stage has settled.
LESS, CLOSEST, LAST, SETTLED = 0.4, 0.75, 0.03, 2e-3
#: Most nodes of a rank whose block is factorised whole, once an incomplete factorisation has failed.
WHOLE = 80_000


class _Diffusion:
    """One cycle of multigrid for the Laplacian of pressures, which are held at some of this rank's nodes. Collective.

    held : own nodes; first : number of the first own node among those of all ranks
    """

    def __init__(self, a: fem.Form, held: Integers, first: int) -> None:
        A = fp.assemble_matrix(a)
        A.assemble()
        A.zeroRowsColumns((held + first).astype(np.int32), 1.0)
        self._held, self._ksp = held, PETSc.KSP().create(A.comm)
        self._ksp.setOperators(A)
        self._ksp.setType("preonly")
        prefix = "flow_diffusion_"
        self._ksp.setOptionsPrefix(prefix)
        options = PETSc.Options()
        for key, value in {"pc_type": "gamg", "pc_gamg_threshold": 0.02, "mg_levels_ksp_type": "chebyshev",
                           "mg_levels_pc_type": "jacobi", "mg_levels_ksp_max_it": 3}.items():  # fmt: skip
            options[prefix + key] = value
        self._ksp.setFromOptions()
        self._ksp.setUp()
        self._b, self._x = A.createVecLeft(), A.createVecRight()

    def inverse(self, r: Reals) -> Reals:
        """(own,) the inverse, as good as one cycle is, times (own,); zero where pressures are held."""
        self._b.array = r
        self._b.array_w[self._held] = 0.0
        self._ksp.solve(self._b, self._x)
        return self._x.array


class Oseen:
    """The equations of a steady flow in space. Collective."""

    def __init__(self, flow: Flow, boundary: Boundary) -> None:
        self.flow, self.boundary = flow, boundary
        self.comm, dim, nu = flow.part.mesh.comm, flow.dim, flow.fluid.nu
        s, r = ufl.TrialFunction(flow.S), ufl.TestFunction(flow.S)
        q, z = ufl.TrialFunction(flow.Q), ufl.TestFunction(flow.Q)
        dx, low = flow.dx(), flow.dx(2 * flow.degree)
        un = ufl.dot(flow.u, ufl.FacetNormal(flow.part.mesh))
        back = BACKFLOW * (abs(un) - un) / 2 * s * r * boundary.ds(boundary.leaving)
        held = boundary.ds(self._facets(Inlet))
        moving = ufl.dot(flow.u, ufl.grad(s)) * r * dx + back
        self._resting: Matrix | None = None
        if flow.darcy is not None:
            # what grows with the speed is taken at the last one, as convection is
            moving += flow.resistance(flow.u) * s * r * low
            self._resting = Matrix(flow.darcy * s * r * low).assemble()
        self._A = Matrix(moving)
        self._Fp = Matrix(ufl.dot(flow.u, ufl.grad(q)) * z * low - un * q * z * held)
        self._K = Matrix(ufl.dot(ufl.grad(s), ufl.grad(r)) * low).assemble()
        self._M = Matrix(s * r * low).assemble()
        self._G = Coupling(lambda i: q * r.dx(i) * low, dim)
        self._D = Coupling(lambda i: s.dx(i) * z * low, dim)
        self._Mp = Matrix(q * z * low).assemble()
        on = np.flatnonzero(self._Mp.columns == np.repeat(np.arange(self._Mp.own), np.diff(self._Mp.rows)))
        self._inverse_mass = 1.0 / self._Mp.data[on][:, None]
        self._factors = Factors(self._A)
        self._fixed = np.zeros(len(boundary.x), dtype=bool)
        self._fixed[boundary.held] = True
        self._own, self._pressures = flow.S.dofmap.index_map.size_local, self._Mp.own
        self._u = Block(flow.S, dim)
        self._push = boundary.push(flow.t)[: self._own] + self._M.times(flow.force.x.array.reshape(-1, dim))
        laplacian = form(ufl.dot(ufl.grad(q), ufl.grad(z)) * low)
        self._laplace = self._diffusion(laplacian)
        self._nu, self._rate, self._creeping = nu, 0.0, True
        self._damping = self._part = 0.0
        self._streamline: Streamline | None = None
        self._closest = np.inf, np.zeros((self._own, dim))
        self.steps, self._depth = 0, DEPTH
        #: Least part of the diffusion along the stream with which a flow was found.
        self.kept: float | None = None
        self._drag = 2 * nu * boundary.walls_by_volume() ** 2
        self._through: _Diffusion | None = None
        if flow.darcy is not None:
            # pressures spread the more the less resists them
            eased = fem.Function(flow.darcy.function_space)
            least = nu / float(np.ptp(flow.part.file.points, axis=0).max()) ** 2
            eased.x.array[:] = 1 / (max(self._drag, least) + flow.darcy.x.array)
            self._through = self._diffusion(form(eased * ufl.dot(ufl.grad(q), ufl.grad(z)) * low))
        self.krylov = 0

    def _facets(self, kind: type) -> Integers:
        """Those with conditions of one kind."""
        boundary = self.boundary
        facets = [boundary.facets[c.name] for c in boundary.conditions if isinstance(c, kind)]
        return np.unique(np.concatenate([np.empty(0, dtype=np.int32), *facets]))

    def _diffusion(self, a: fem.Form) -> _Diffusion:
        """The Laplacian of pressures, held at the outlets, or at one node where there are none."""
        flow = self.flow
        at = fem.locate_dofs_topological(flow.Q, flow.dim - 1, self._facets(Outlet), remote=True)
        if not self.comm.allreduce(len(at)):
            at = np.array([0] if self.comm.rank == 0 else [], dtype=np.int32)
        return _Diffusion(a, at[at < self._pressures].astype(np.int32), flow.Q.dofmap.index_map.local_range[0])

    # --- vectors: own velocities (own, dim) and pressures (own,), one after the other ---

    def _split(self, x: Reals) -> tuple[Reals, Reals]:
        size = self._own * self.flow.dim
        return x[:size].reshape(-1, self.flow.dim), x[size:]

    def _dot(self, *pairs: tuple[Reals, Reals]) -> Reals:
        return dots(self.comm, *pairs)

    def _release(self, r: Reals) -> Reals:
        work = self._u.array
        work[: self._own] = r
        self.boundary.release(work)
        return work[: self._own].copy()

    def _apply(self, x: Reals) -> Reals:
        u, p = self._split(x)
        y = np.empty_like(x)
        out, mass = self._split(y)
        mass[:] = -self._D.collect(u)
        out[:] = self._release(self._A.times(u) - self._G.spread(p))
        return y

    def _precondition(self, x: Reals) -> Reals:
        u, p = self._split(x)
        y = np.empty_like(x)
        velocity, pressure = self._split(y)
        pressure[:] = -self._schur(p)
        b = u + self._release(self._G.spread(pressure))
        self._factors.solve(b, velocity)
        if self.boundary.slipping.size:
            velocity[:] = self._release(velocity)
        return y

    def _schur(self, r: Reals) -> Reals:
        """(nu + Ap^-1 (Fp + (drag + damping) Mp)) Mp^-1 r; the drag of porous bodies is within another Ap."""
        x = self._inverse_mass * r[:, None]
        cg(self._Mp.times, lambda r: self._inverse_mass * r, r[:, None], x, self.comm, tolerance=0.0, limit=4)
        slow = (self._damping + (self._drag if self._through is None else 0.0)) * r
        if not self._creeping:
            slow += self._Fp.times(x)[:, 0]
        y = self._nu * x[:, 0] + self._laplace.inverse(slow)
        return y if self._through is None else y + self._through.inverse(r)

    # --- linear and nonlinear iterations ---

    def _fgmres(self, b: Reals, reduction: float) -> tuple[Reals, bool]:
        """A correction x with |b - A x| < reduction |b|, and whether that was reached."""
        x, start = np.zeros_like(b), float(np.sqrt(self._dot((b, b))[0]))
        r, done = b.copy(), 0
        V, Z = np.empty((RESTART + 1, len(b))), np.empty((RESTART, len(b)))
        while done < LIMIT:
            beta = float(np.sqrt(self._dot((r, r))[0]))
            if beta <= reduction * start:
                return x, True
            V[0], H = r / beta, np.zeros((RESTART + 1, RESTART))
            g = np.zeros(RESTART + 1)
            g[0] = beta
            for j in range(RESTART):
                Z[j] = self._precondition(V[j])
                w = self._apply(Z[j])
                # once and in one message, and again only where that cancels digits
                for _ in range(2):
                    *h, ww = total(self.comm, np.append(V[: j + 1] @ w, w @ w))
                    w -= h @ V[: j + 1]
                    H[: j + 1, j] += h
                    rest = ww - np.dot(h, h)
                    if rest > CANCELLED**2 * ww:
                        break
                H[j + 1, j] = np.sqrt(max(rest, 0.0))
                done += 1
                y, *_ = np.linalg.lstsq(H[: j + 2, : j + 1], g[: j + 2], rcond=None)
                left = float(np.linalg.norm(g[: j + 2] - H[: j + 2, : j + 1] @ y))
                if left <= reduction * start or H[j + 1, j] < 1e-14 * beta or done >= LIMIT or j == RESTART - 1:
                    break
                V[j + 1] = w / H[j + 1, j]
            x += y @ Z[: len(y)]
            self.krylov += len(y)
            if left <= reduction * start:
                return x, True
            r = b - self._apply(x)
        return x, False

    def _operator(self) -> None:
        """The matrices at the flow's velocity."""
        self._A.assemble()
        if self._creeping:
            self._A.data[:] = 0.0 if self._resting is None else self._resting.data
        self._A.data += self._nu * self._K.data
        if self._part and self._streamline is not None:
            self._A.data += self._part * self._streamline.at_the_flow()
        if not self._creeping:
            self._Fp.assemble()

    def _residual(self) -> Reals:
        """Of the equations at the flow, which must have its matrices; sets the reaction."""
        flow, dim = self.flow, self.flow.dim
        u, p = flow.u.x.array.reshape(-1, dim), flow.p.x.array
        r = self._A.times(u) - self._G.spread(p) - self._push
        flow.reaction.x.array.reshape(-1, dim)[: self._own] = r
        flow.reaction.x.scatter_forward()
        return np.concatenate([self._release(r).ravel(), -self._D.collect(u)])

    def _state(self) -> Reals:
        return np.concatenate(
            [self.flow.u.x.array[: self._own * self.flow.dim], self.flow.p.x.array[: self._pressures]]
        )

    def _set(self, x: Reals) -> None:
        flow = self.flow
        flow.u.x.array[: self._own * flow.dim] = x[: self._own * flow.dim]
        flow.p.x.array[: self._pressures] = x[self._own * flow.dim :]
        flow.u.x.scatter_forward()
        flow.p.x.scatter_forward()

    def _norms(self, r: Reals) -> tuple[float, float]:
        """Of the residual, volumes weighted with the largest speed; and of the reaction, which measures it."""
        flow = self.flow
        speed = self.comm.allreduce(float(np.abs(flow.u.x.array).max(initial=0.0)), MPI.MAX)
        u, p = r[: self._own * flow.dim], r[self._own * flow.dim :]
        whole = flow.reaction.x.array[: self._own * flow.dim]
        uu, pp, ww = self._dot((u, u), (p, p), (whole, whole))
        return float(np.sqrt(uu + speed**2 * pp)), max(float(np.sqrt(ww)), least(self.boundary))

    def solve(
        self, tolerance: float, watch: Watch, warm: bool, *, doing: Doing = untold, sturdy: bool = True
    ) -> Convergence:
        """Sets the flow's u, p and reaction. Raises StageError where it does not converge.

        sturdy : whether diffusion along the stream is tried where the iteration wanders
        The flow is then left as the best start that is known for other ways.
        """
        flow = self.flow
        if not warm:
            flow.u.x.array[:] = 0.0
            flow.p.x.array[:] = 0.0
        self.boundary.impose(flow.u.x.array.reshape(-1, flow.dim), flow.t)
        flow.u.x.scatter_forward()
        if not warm:
            self._operator()
            self._factor()
            self._set(self._state() + self._fgmres(-self._residual(), 0.03)[0])
        self._creeping = False
        start = self._state()
        left = self._picard(tolerance, watch, STEPS)
        way = "picard" if self._rate == 0 else "pseudo-time"
        if left is None and sturdy:
            way, left = "streamline", self._smoothed(tolerance, watch, doing, start)
        if left is None:
            raise no_steady_flow(self.boundary, self.steps, *self._closest, self.kept)
        return Convergence(self.steps + 1, self.krylov, left, way)

    def _factor(self) -> None:
        self._factors.factorise(self._A.data, self._fixed)

    def _smoothed(self, tolerance: float, watch: Watch, doing: Doing, start: Reals) -> float | None:
        """With less and less diffusion along the stream, each time from the flow before; the residual without any."""
        self._streamline, limit = Streamline(self.flow), self.steps + MORE
        self._factors.whole, self._depth = self._fits(), DEEP
        part, factor, last, kept = 1.0, LESS, LAST, start
        self._set(start)
        while True:
            self._part = part
            doing(f"solving with diffusion along the stream, {100 * part:.3g} % of it left")
            # the last stage goes on as long as it gets anywhere
            left = self._picard(SETTLED, watch, limit) if part else self._picard(tolerance, watch, self.steps + STEPS)
            if left is not None:
                if part == 0:
                    return left
                self.kept, kept = part, self._state()
                factor = max(LESS, factor**1.5)
            else:
                self._set(kept)
                factor = factor**0.5
                last = last if part else last / 4  # without any it is tried next from closer by
            if self.kept is None or factor > CLOSEST or self.steps >= limit:
                return None
            part = self.kept * factor if self.kept * factor >= last else 0.0

    def _fits(self) -> bool:
        """Whether blocks are factorised whole where that helps."""
        return int(self.comm.allreduce(self._own, MPI.MAX)) <= WHOLE

    def _picard(self, tolerance: float, watch: Watch, limit: int) -> float | None:
        """The residual reached; or None, at the best state, where it does not fall that far in so many steps in all."""
        states: list[Reals] = []
        changes: list[Reals] = []
        kept, best, goal = self._state(), np.inf, np.inf
        since, unsolved, self._damping = self.steps, 0, 0.0
        self._closest = np.inf, self._closest[1]
        while self.steps < limit:
            self.steps += 1
            self._operator()
            r = self._residual()
            norm, scale = self._norms(r)
            watch(self.steps, norm / scale)
            if norm < self._closest[0] * scale:
                self._closest = norm / scale, self._split(r)[0].copy()
            if norm <= tolerance * scale:
                return norm / scale
            if norm < goal / 2:
                goal, since = norm, self.steps
            if self.steps - since >= PATIENCE or unsolved >= UNSOLVED:
                break
            if not np.isfinite(norm) or norm > GROWTH * best:
                # steps in a time of their own: the mass matrix over a time joins the matrix, not the residual
                self._set(kept)
                self._damping = 4 * self._damping if self._damping else self._slowest()
                self._rate, best = self._damping, np.inf
                states, changes = [], []
                since, unsolved = self.steps, 0
                continue
            if norm < best:
                best, kept = norm, self._state()
                self._damping *= 0.7
            self._A.data += self._damping * self._M.data
            self._factor()
            change, reached = self._fgmres(-r, INNER)
            # convection across large cells leaves an incomplete factorisation without stability
            if not reached and not self._factors.whole and self._fits():
                self._factors.whole = True
                self._factor()
                change, reached = self._fgmres(-r, INNER)
            unsolved = 0 if reached else unsolved + 1
            now = self._state()
            states, changes = [*states[-self._depth :], now], [*changes[-self._depth :], change]
            self._set(self._accelerated(states, changes))
        self._set(kept)
        return None

    def _slowest(self) -> float:
        """The rate at which a typical cell is crossed [1/s]."""
        flow = self.flow
        cells = flow.part.mesh.topology.index_map(flow.dim).size_global
        volume = self.comm.allreduce(float(self._M.times(np.ones((len(self.boundary.x), 1))).sum()), MPI.SUM)
        # what is driven by pressures or fans has no speed given
        given, found = (
            self.comm.allreduce(float(np.abs(u).max(initial=0.0)), MPI.MAX)
            for u in (self.boundary.velocities(flow.t), flow.u.x.array)
        )
        return 0.1 * (given or found or 1.0) / (volume / cells) ** (1 / flow.dim)

    def _accelerated(self, states: list[Reals], changes: list[Reals]) -> Reals:
        """The next state: among combinations of the last steps, the one whose velocity change is smallest."""
        if len(states) == 1:
            return states[0] + changes[0]
        size = self._own * self.flow.dim
        d = [changes[-1] - c for c in changes[:-1]]
        x = [states[-1] - s for s in states[:-1]]
        gram = np.array([self._dot(*((a[:size], b[:size]) for b in d)) for a in d])
        right = self._dot(*((a[:size], changes[-1][:size]) for a in d))
        gamma, *_ = np.linalg.lstsq(gram, right, rcond=1e-12)
        new = states[-1] + changes[-1]
        for g, dx, dd in zip(gamma, x, d, strict=True):
            new -= g * (dx + dd)
        return new
