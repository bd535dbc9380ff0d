"""What a flow carries: heat, a dye, the age of the fluid. One equation serves them all.

capacity (ds/dt + u . grad s) = div(conductivity grad s) + source, with Lagrange elements and, where the flow carries
more than conduction spreads within a cell, streamline-upwind Petrov-Galerkin weights (A. N. Brooks, T. J. R. Hughes,
Comput. Methods Appl. Mech. Eng. 32 (1982) 199-259). The numbers of a case are coefficients of the forms, never part of
them: a handful of compiled forms serves every case.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from solvers.cfd.flow.periodic import space  # first, for it loads MPI ahead of the bindings
from solvers.cfd.flow.state import Integers, Reals, form

# isort: split
import dolfinx.fem.petsc as fp
import ufl
from dolfinx import fem, la
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc

from hub.solver import StageError
from solvers.fem.mesh import Part

#: Stefan-Boltzmann constant [W/m2/K4], CODATA 2018.
SIGMA = 5.670374419e-8
#: Largest problem that is solved by factors [unknowns], in a plane and in space.
DIRECT = {2: 2_000_000, 3: 90_000}
MAX_ITERATIONS, MAX_NEWTON = 2000, 25
#: Part of the first residual that counts as solved.
TOLERANCE = 1e-10
NONE = np.empty(0, dtype=np.int32)


@dataclass(frozen=True)
class Surface:
    """Facets through which something enters: flux + h (ambient - s) + emissivity sigma (far^4 - (s + level)^4).

    facets : of this rank, outer; flux [W/m2]; coefficient h [W/m2/K]; ambient above the level [K]; far : absolute [K]
    """

    name: str
    facets: Integers
    flux: float = 0.0
    coefficient: float = 0.0
    ambient: float = 0.0
    emissivity: float = 0.0
    far: float = 0.0


@dataclass(frozen=True)
class Kept:
    """Facets where the value is given, above the level. An inlet is one."""

    name: str
    facets: Integers
    value: float


@dataclass(frozen=True)
class Open:
    """Facets where fluid leaves; what comes back there has the value `back` above the level, if one is given."""

    name: str
    facets: Integers
    back: float | None = None


def carried(s, w, u, capacity, conductivity, source, X):  # type: ignore[no-untyped-def]
    """The integrand of the weak form without SUPG: s the value, w the test function, X coordinates in the cell.

    Velocities of Taylor and Hood keep volume against pressures only, which are of one degree less. The part of a value
    beyond that degree, times the divergence, makes up for it: over all nodes, what leaves less what enters is exact.
    Values of the lower degree see nothing of it.
    """
    degree = w.ufl_function_space().ufl_element().degree
    beyond = beyond_linear(s, X) if degree == 2 else beyond_quadratic(s, X)
    kept = ufl.dot(u, ufl.grad(s)) + beyond * ufl.div(u)
    return capacity * kept * w + conductivity * ufl.dot(ufl.grad(s), ufl.grad(w)) - source * w


def beyond_linear(s, X):  # type: ignore[no-untyped-def]
    """A quadratic value less the linear one that is the same at the corners of a cell. X : coordinates in the cell"""
    bent, (shares, corners) = _second(s, X), _cell(X)
    found = 0.0
    for a, b in itertools.combinations(range(len(corners)), 2):
        found -= shares[a] * shares[b] * _along(bent, corners[a] - corners[b], corners[a] - corners[b]) / 2
    return found


def beyond_quadratic(s, X):  # type: ignore[no-untyped-def]
    """A cubic value less the quadratic one that is the same at the corners and the middles of the sides of a cell."""
    J = ufl.Jacobian(ufl.domain.extract_unique_domain(X))
    third, (shares, corners) = ufl.dot(ufl.grad(_second(s, X)), J), _cell(X)
    found, side = 0.0, {}
    for a, b in itertools.combinations(range(len(corners)), 2):
        d = corners[a] - corners[b]
        side[a, b] = -_along(third, d, d, d) / 12
        found += side[a, b] * shares[a] * shares[b] * (shares[a] - shares[b])
    for a, b, c in itertools.combinations(range(len(corners)), 3):
        d, e = corners[a] - corners[c], corners[b] - corners[c]
        face = side[a, b] - 3 * side[a, c] - side[b, c] - _along(third, d, d, e) / 2
        found += face * shares[a] * shares[b] * shares[c]
    return found


def _second(s, X):  # type: ignore[no-untyped-def]
    """The second derivatives in the coordinates of the cell."""
    J = ufl.Jacobian(ufl.domain.extract_unique_domain(X))
    return ufl.dot(ufl.grad(ufl.dot(ufl.transpose(J), ufl.grad(s))), J)


def _cell(X):  # type: ignore[no-untyped-def]
    """Barycentric coordinates, and the corners of the reference cell."""
    dim = X.ufl_shape[0]
    return [1 - sum(X[i] for i in range(dim)), *(X[i] for i in range(dim))], np.vstack([np.zeros(dim), np.eye(dim)])


def _along(derivatives, *ways):  # type: ignore[no-untyped-def]
    """Derivatives of some order along as many ways."""
    found = 0.0
    for index in itertools.product(*(np.flatnonzero(way) for way in ways)):
        weight = np.prod([way[i] for way, i in zip(ways, index, strict=True)])
        found += float(weight) * derivatives[tuple(int(i) for i in index)]
    return found


def coordinates(mesh: dmesh.Mesh) -> fem.Function:
    """Those of the reference cell, in every cell."""
    dim = mesh.topology.dim
    X = fem.Function(fem.functionspace(mesh, ("DG", 1, (dim,))))
    X.x.array.reshape(-1, dim)[X.function_space.dofmap.list] = np.vstack([np.zeros(dim), np.eye(dim)])
    return X


def upwind(s, w, u, capacity, conductivity, source):  # type: ignore[no-untyped-def]
    """The integrand SUPG adds: the strong residual weighted along the stream.

    Its time scale is that of the distance between nodes; it fades where the Peclet number of that is small.
    """
    # the time in which the flow goes from node to node, the way it goes: cells along walls are thin and long
    across = ufl.JacobianInverse(ufl.domain.extract_unique_domain(w)) * u
    degree = w.ufl_function_space().ufl_element().degree
    crossing = 1 / degree / ufl.sqrt(ufl.dot(across, across) + 1e-30)
    peclet = capacity * ufl.dot(u, u) * crossing / (2 * conductivity)
    tau = crossing / 2 * ufl.conditional(ufl.lt(peclet, 3.0), peclet / 3, 1.0)
    strong = capacity * ufl.dot(u, ufl.grad(s)) - conductivity * ufl.div(ufl.grad(s)) - source
    return tau * ufl.dot(u, ufl.grad(w)) * strong


def entering(s, level, surface):  # type: ignore[no-untyped-def]
    """What enters through a unit of area. surface : (flux, coefficient, ambient, emissivity sigma, far^4) constants"""
    flux, coefficient, ambient, grey, far4 = surface
    return flux + coefficient * (ambient - s) + grey * (far4 - (s + level) ** 4)


@dataclass
class Transport:
    """One carried quantity on a mesh. Collective over ``part.mesh.comm``.

    u : velocity on the part's mesh, zero in solids [m/s]
    capacity, conductivity, source : DG0 fields, of every cell
    level : what values are counted from, so that small differences keep their digits
    s : the value above the level, of this degree
    """

    part: Part
    u: fem.Function
    level: float
    kept: Sequence[Kept] = ()
    surfaces: Sequence[Surface] = ()
    opens: Sequence[Open] = ()
    name: str = "temperature"
    degree: int = 2
    iterations: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        mesh = self.part.mesh
        self.comm, self.dim = mesh.comm, mesh.geometry.dim
        self.S, self.DG0 = space(self.part, ("Lagrange", self.degree)), fem.functionspace(mesh, ("DG", 0))
        self.s = fem.Function(self.S)
        self.capacity, self.conductivity, self.source = (fem.Function(self.DG0) for _ in range(3))
        self._rate = fem.Constant(mesh, 0.0)
        self._before, self._within = fem.Function(self.S), coordinates(mesh)
        pieces, trial = self.pieces(lambda i, facets: self.ds(facets, 8)), ufl.TrialFunction(self.S)
        self._residuals = [form(piece) for piece in pieces]
        self._jacobians = [form(ufl.derivative(piece, self.s, trial)) for piece in pieces]
        self.own = self.S.dofmap.index_map.size_local
        self._hold()
        self._ksp: PETSc.KSP | None = None
        self._A: PETSc.Mat | None = None

    def pieces(self, ds: Callable[[int, Integers], ufl.Measure]) -> list[ufl.Form]:
        """The weak form, first over cells, then over each of `through`. ds : number and facets -> their area"""
        w = ufl.TestFunction(self.S)
        # the storage term: capacity (rate s - before), zero in a steady solve
        arising = self.source - self.capacity * (self._rate * self.s - self._before)
        parts = (self.u, self.capacity, self.conductivity, arising)
        within = carried(self.s, w, *parts, self._within) + upwind(self.s, w, *parts)
        found = [within * self.dx]
        for i, through in enumerate(self.through):
            piece = self._entering(through, w) if isinstance(through, Surface) else self._back(through, w)
            found.append(piece * ds(i, through.facets))
        return found

    @property
    def through(self) -> list[Surface | Open]:
        """Where the weak form has terms on facets."""
        return [*self.surfaces, *(o for o in self.opens if o.back is not None)]

    @property
    def dx(self) -> ufl.Measure:
        return ufl.Measure("dx", domain=self.part.mesh, metadata={"quadrature_degree": 3 * self.degree})

    def ds(self, facets: Integers, degree: int = 6) -> ufl.Measure:
        """Area of facets of this rank [m2]."""
        tags = dmesh.meshtags(self.part.mesh, self.dim - 1, np.sort(facets), np.ones(len(facets), dtype=np.int32))
        metadata = {"quadrature_degree": degree}
        return ufl.Measure("ds", domain=self.part.mesh, subdomain_data=tags, metadata=metadata)(1)

    def _constants(self, surface: Surface) -> tuple[fem.Constant, ...]:
        values = (surface.flux, surface.coefficient, surface.ambient, SIGMA * surface.emissivity, surface.far**4)
        return tuple(fem.Constant(self.part.mesh, v) for v in values)

    def _entering(self, surface: Surface, w: ufl.Argument) -> ufl.core.expr.Expr:
        level = fem.Constant(self.part.mesh, self.level)
        return -entering(self.s, level, self._constants(surface)) * w

    def _back(self, opening: Open, w: ufl.Argument) -> ufl.core.expr.Expr:
        """Upwind at an opening: where fluid comes back it brings its value."""
        un = ufl.dot(self.u, ufl.FacetNormal(self.part.mesh))
        back = fem.Constant(self.part.mesh, float(opening.back or 0.0))
        return self.capacity * (abs(un) - un) / 2 * (self.s - back) * w

    # --- given values ---

    def nodes(self, facets: Integers) -> Integers:
        """Nodes on facets; those of this rank on a facet of another are among them."""
        return fem.locate_dofs_topological(self.S, self.dim - 1, facets, remote=True).astype(np.int32)

    def _hold(self) -> None:
        """The first condition on a node holds it."""
        local = self.own + self.S.dofmap.index_map.num_ghosts
        self.by = np.full(local, -1)
        for i, kept in enumerate(self.kept):
            nodes = self.nodes(kept.facets)
            free = nodes[self.by[nodes] < 0]
            self.by[free] = i
            self.s.x.array[free] = kept.value
        self.held = self.by >= 0

    # --- solution ---

    def residual(self) -> Reals:
        """(owned nodes,) what is missing at each node [W]; at held nodes what enters there by conduction."""
        total = np.zeros(self.own)
        for piece in self._residuals:
            b = fem.assemble_vector(piece)
            b.scatter_reverse(la.InsertMode.add)
            total += b.array[: self.own]
        return total

    def _solver(self) -> tuple[PETSc.KSP, PETSc.Mat]:
        if self._ksp is None or self._A is None:
            self._A = fp.create_matrix(self._jacobians[0])
            self._ksp = ksp = PETSc.KSP().create(self.comm)
            ksp.setOperators(self._A)
            if self.S.dofmap.index_map.size_global <= DIRECT[self.dim]:
                ksp.setType("preonly")
                ksp.getPC().setType("lu")
                ksp.getPC().setFactorSolverType("mumps")
            else:
                ksp.setType("gmres")
                ksp.setGMRESRestart(150)
                ksp.setTolerances(rtol=1e-8, max_it=MAX_ITERATIONS)
                ksp.getPC().setType("bjacobi" if self.comm.size > 1 else "ilu")
        return self._ksp, self._A

    def solve(self) -> fem.Function:
        """The steady value above the level, or that of one step (see `step`). Raises StageError. Collective."""
        ksp, A = self._solver()
        rows = (np.flatnonzero(self.held[: self.own]) + self.S.dofmap.index_map.local_range[0]).astype(np.int32)
        first, last = 0.0, np.inf
        for it in range(MAX_NEWTON):
            r = self.residual()
            r[self.held[: self.own]] = 0.0
            size = np.sqrt(self.comm.allreduce(float(r @ r), MPI.SUM))
            first = max(first, size)
            # digits run out where the residual no longer falls: what is left is rounding, not error
            if size <= TOLERANCE * first or (it > 1 and size >= 0.5 * last and size <= 1e-6 * first):
                return self.s
            last = size
            A.zeroEntries()
            for piece in self._jacobians:
                fp.assemble_matrix(A, piece)
            A.assemble()
            A.zeroRows(rows, 1.0)
            rhs = PETSc.Vec().createWithArray(r, comm=self.comm)
            correction = rhs.duplicate()
            ksp.solve(rhs, correction)
            self.iterations += max(1, ksp.getIterationNumber())
            if ksp.getConvergedReason() < 0 or not np.isfinite(correction.norm()):
                break
            self.s.x.array[: self.own] -= correction.array
            self.s.x.scatter_forward()
            values = self.s.x.array[: self.own]
            largest = np.sqrt(self.comm.allreduce(float(values @ values), MPI.SUM))
            if correction.norm() <= 1e-11 * largest:
                return self.s  # a start that was the solution already has no residual to be measured by
        raise StageError(
            "diverged",
            f"The {self.name} was not found: its equations stopped at {last / max(first, 1e-300):.1e} of their start.",
            "Refine the mesh where the flow is fast; look for faces with very different temperatures side by side.",
        )

    def step(self, rate: float, before: Reals) -> fem.Function:
        """One implicit step: ds/dt is `rate` s - `before` (local nodes,), by whatever formula in time."""
        self._rate.value = rate
        self._before.x.array[:] = before
        return self.solve()

    # --- what it means ---

    def integral(self, integrand: ufl.core.expr.Expr, measure: ufl.Measure) -> float:
        """An integral over all ranks."""
        return float(self.comm.allreduce(fem.assemble_scalar(form(integrand * measure)), MPI.SUM))

    def through_kept(self) -> list[float]:
        """What enters through each of `kept` by conduction, from the residual [W]."""
        r = self.residual()
        by = self.by[: self.own]
        return [float(self.comm.allreduce(float(r[by == i].sum()), MPI.SUM)) for i in range(len(self.kept))]

    def through_surfaces(self) -> list[float]:
        """What enters through each of `surfaces` [W]."""
        level = fem.Constant(self.part.mesh, self.level)
        return [
            self.integral(entering(self.s, level, self._constants(surface)), self.ds(surface.facets, 8))
            for surface in self.surfaces
        ]

    def carried_out(self, facets: Integers) -> float:
        """What the flow carries out through outer facets, above the level [W]."""
        un = ufl.dot(self.u, ufl.FacetNormal(self.part.mesh))
        return self.integral(self.capacity * self.s * un, self.ds(facets))

    def mixed(self, facets: Integers) -> float:
        """Mean over facets weighted by the flow through them (the mixing-cup value); level included."""
        un = ufl.dot(self.u, ufl.FacetNormal(self.part.mesh))
        flow = self.integral(un, self.ds(facets))
        area = self.integral(abs(un), self.ds(facets))
        if area == 0 or abs(flow) < 1e-9 * area:
            return self.mean(facets)
        return self.level + self.integral(self.s * un, self.ds(facets)) / flow

    def mean(self, facets: Integers) -> float:
        """Mean over the area of facets, level included."""
        one = fem.Constant(self.part.mesh, 1.0)
        return self.level + self.integral(self.s, self.ds(facets)) / self.integral(one, self.ds(facets))
