"""The stiffness of a part and its solution: conjugate gradients with two-level p-multigrid, or Cholesky factors.

The quadratic displacement is smoothed by Chebyshev-Jacobi; the error that remains is solved for in the linear
displacement on the same mesh, by Cholesky factors (MUMPS) or, for large meshes, smoothed aggregation with the rigid
body modes. Linear shape functions are quadratic ones, so assembling the linear problem with the same quadrature is
the Galerkin product, at a fraction of its price.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

import dolfinx
import dolfinx.fem.petsc as fp
import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from hub.solver import StageError
from solvers.fem.elasticity.loads import assemble, only
from solvers.fem.elasticity.solved import Acting
from solvers.fem.elasticity.supports import Prescribed, prescribed
from solvers.fem.mesh import Part

#: Largest coarse problem that is solved by factors [unknowns]; beyond, their memory grows faster than the part.
DIRECT_COARSE = 150_000
MAX_ITERATIONS = 500

_prefixes = count()


@dataclass
class Operator:
    """K of a part with its supports.

    part, V : mesh and space
    mu, lmbda : Lame's parameters, DG0 [Pa]
    conditions : of the case; supports and springs are taken from them
    direct : solve by Cholesky factors of K itself
    tolerance : of the true residual relative to the right-hand side
    watch : called with iteration and relative residual
    degree : of the quadrature; 2 is exact on straight cells and moves the energy of curved ones by a hundred-thousandth
    setting_up : called when the matrix is there
    """

    part: Part
    V: fem.FunctionSpace
    mu: fem.Function
    lmbda: fem.Function
    conditions: Sequence[Acting]
    direct: bool = False
    tolerance: float = 1e-8
    watch: Callable[[int, float], None] = lambda step, residual: None
    setting_up: Callable[[], None] = lambda: None
    iterations: int = 0
    residual: float = 0.0
    prescribed: Prescribed = field(init=False)
    degree: int = 2

    def __post_init__(self) -> None:
        self.prescribed = prescribed(self.V, self.conditions, self.part.file)
        kind = "aij" if self.direct else "baij"
        self.A = self._matrix(self.V, self.stiffness(self.V), self.prescribed, kind)
        self.setting_up()
        self._ksp = self._solver()

    # --- assembly ---

    def stiffness(self, V: fem.FunctionSpace) -> list[fem.Form]:
        """The bilinear forms whose sum is K: the material and, if there are, the springs."""
        return [fem.form(form) for form in self.work(ufl.TrialFunction(V), ufl.TestFunction(V))]

    def work(self, u, v) -> list[ufl.Form]:
        """The virtual work of stresses and springs in v."""
        return [self.internal(u, v), *(self.spring(acting, u, v) for acting in self.springs)]

    def internal(self, u, v) -> ufl.Form:
        """The virtual work of the stresses of u in the strains of v."""
        dx = ufl.Measure("dx", domain=self.part.mesh, metadata={"quadrature_degree": self.degree})
        strain = ufl.sym(ufl.grad(v))
        return (2 * self.mu * ufl.inner(ufl.sym(ufl.grad(u)), strain) + self.lmbda * ufl.div(u) * ufl.div(v)) * dx

    @property
    def springs(self) -> list[Acting]:
        """The conditions that are springs."""
        return [a for a in self.conditions if a.condition.kind == "elastic_support"]

    def spring(self, acting: Acting, u, v) -> ufl.Form:
        """The virtual work of an elastic support."""
        mesh, n = self.part.mesh, ufl.FacetNormal(self.part.mesh)
        normal = acting.condition.direction == "normal"
        k_n = fem.Constant(mesh, acting.condition.stiffness if normal else 0.0)
        k_all = fem.Constant(mesh, 0.0 if normal else acting.condition.stiffness)
        work = k_n * ufl.dot(u, n) * ufl.dot(v, n) + k_all * ufl.inner(u, v)
        return work * only(self.part, acting.facets)

    def _matrix(self, V: fem.FunctionSpace, forms: list[fem.Form], held: Prescribed, kind: str) -> PETSc.Mat:
        """K with what is held replaced by a diagonal, in the nodes' frames."""
        oblique = self._oblique(held)
        bcs = [] if oblique else [bc._cpp_object for bc in held.dirichlet(V)]
        A = fp.create_matrix(forms[0], "aij" if oblique else kind)
        add, coefficients = dolfinx.cpp.fem.petsc.assemble_matrix, fem.pack_coefficients
        for form in forms:
            add(A, form._cpp_object, fem.pack_constants(form), coefficients(form), bcs)
        A.assemblyBegin(PETSc.Mat.AssemblyType.FLUSH)
        A.assemblyEnd(PETSc.Mat.AssemblyType.FLUSH)
        dolfinx.cpp.fem.petsc.insert_diagonal(A, V._cpp_object, bcs, self.diagonal)
        A.assemble()
        if oblique:
            A = A.PtAP(_turn(V, held))
            A.zeroRowsColumns(_rows(V, held), self.diagonal)
        A.setOption(PETSc.Mat.Option.SPD, True)
        return A

    def _oblique(self, held: Prescribed) -> bool:
        return bool(self.part.mesh.comm.allreduce(len(held.turned)))

    @cached_property
    def diagonal(self) -> float:
        """What stands on the diagonal of what is held: the largest shear modulus."""
        return float(self.part.mesh.comm.allreduce(float(np.max(self.mu.x.array, initial=0.0)), MPI.MAX))

    # --- solution ---

    def _solver(self) -> PETSc.KSP:
        ksp = PETSc.KSP().create(self.part.mesh.comm)
        ksp.setOptionsPrefix(f"elasticity{next(_prefixes)}_")
        ksp.setOperators(self.A)
        if self.direct:
            _factorise(ksp)
            ksp.setUp()
            return ksp
        ksp.setType("cg")
        ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        ksp.setTolerances(rtol=self.tolerance, atol=0.0, max_it=MAX_ITERATIONS)
        self._multigrid(ksp)
        ksp.setMonitor(lambda solver, step, norm: self.watch(step, norm / self._size))
        ksp.setFromOptions()
        ksp.setUp()
        return ksp

    def _multigrid(self, ksp: PETSc.KSP) -> None:
        coarse = fem.functionspace(self.part.mesh, ("Lagrange", 1, (3,)))
        held = prescribed(coarse, self.conditions, self.part.file)
        P = fp.interpolation_matrix(coarse, self.V)
        P.assemble()
        if self._oblique(self.prescribed):
            P = _turn(self.V, self.prescribed).transposeMatMult(P).matMult(_turn(coarse, held))
        P.zeroRows(_rows(self.V, self.prescribed), 0.0)
        small = 3 * coarse.dofmap.index_map.size_global <= DIRECT_COARSE
        self._coarse = self._matrix(coarse, self.stiffness(coarse), held, "aij")
        if not small:
            self._near = rigid_modes(coarse)
            self._coarse.setNearNullSpace(PETSc.NullSpace().create(vectors=self._near, comm=self.part.mesh.comm))
        pc = ksp.getPC()
        pc.setType("mg")
        pc.setMGLevels(2)
        pc.setMGInterpolation(1, P)
        smoother = pc.getMGSmoother(1)
        smoother.setType("chebyshev")
        smoother.getPC().setType("pbjacobi")
        smoother.setTolerances(max_it=2)
        bottom = pc.getMGCoarseSolve()
        bottom.setOperators(self._coarse)
        bottom.setType("preonly")
        if small:
            _factorise(bottom)
        else:
            options, prefix = PETSc.Options(), bottom.getOptionsPrefix()
            for key, value in {
                "pc_type": "gamg",
                "pc_gamg_threshold": 0.01,
                "pc_gamg_aggressive_coarsening": 0,
                "mg_levels_ksp_type": "chebyshev",
                "mg_levels_pc_type": "jacobi",
            }.items():
                options[prefix + key] = value
            bottom.setFromOptions()

    def solve(
        self, forms: Sequence[fem.Form], *, homogeneous: bool = False, tolerance: float | None = None
    ) -> fem.Function:
        """The response to the sum of linear forms. Raises StageError if it is not found. Collective."""
        b = assemble(forms, self.V)
        moved = self.part.mesh.comm.allreduce(float(np.abs(self.prescribed.values).max(initial=0)))
        if moved and not homogeneous:
            lift = fem.Function(self.V)
            lift.x.array[:] = self.prescribed.values.ravel()
            self.prescribed.out_of_frames(lift.x.array)
            b.array[:] -= assemble([fem.form(f) for f in self.work(lift, ufl.TestFunction(self.V))], self.V).array
        return self.respond(b, homogeneous=homogeneous, tolerance=tolerance)

    def respond(
        self, b: dolfinx.la.Vector, *, homogeneous: bool = True, tolerance: float | None = None
    ) -> fem.Function:
        """The response to a vector whose owned part is complete; what is held gets its prescribed value."""
        held = self.prescribed.held.ravel()
        right = b.array.copy()
        self.prescribed.into_frames(right)
        right[held] = 0.0 if homogeneous else self.diagonal * self.prescribed.values.ravel()[held]
        comm, own = self.part.mesh.comm, 3 * self.V.dofmap.index_map.size_local
        bvec = PETSc.Vec().createWithArray(right[:own], bsize=3, comm=comm)
        self._size = bvec.norm() or 1.0
        u = fem.Function(self.V, name="displacement")
        x = PETSc.Vec().createWithArray(u.x.array[:own], bsize=3, comm=comm)
        tolerance = tolerance or self.tolerance
        self._ksp.setTolerances(rtol=tolerance)
        self._ksp.solve(bvec, x)
        self.iterations = self._ksp.getIterationNumber()
        r = bvec.duplicate()
        self.A.mult(x, r)
        r.aypx(-1, bvec)
        self.residual = r.norm() / self._size
        u.x.scatter_forward()
        self.prescribed.out_of_frames(u.x.array)
        if not np.isfinite(self.residual) or self.residual > 10 * tolerance:
            raise StageError(
                "diverged",
                f"The solution stopped at a residual of {self.residual:.1e} after {self.iterations} iterations; "
                f"{tolerance:.0e} was asked for.",
                "Look at the worst elements of the mesh; or set method: direct.",
            )
        return u


def _rows(V: fem.FunctionSpace, held: Prescribed) -> np.ndarray:
    """The global rows of this rank that are held."""
    index_map = V.dofmap.index_map
    own = held.held[: index_map.size_local].ravel()
    return (np.flatnonzero(own) + 3 * index_map.local_range[0]).astype(np.int32)


def _turn(V: fem.FunctionSpace, held: Prescribed) -> PETSc.Mat:
    """The orthogonal matrix from the nodes' frames to the coordinate axes."""
    index_map = V.dofmap.index_map
    own = index_map.size_local
    blocks = np.tile(np.eye(3), (own, 1, 1))
    here = held.turned < own
    blocks[held.turned[here]] = held.frames[here].transpose(0, 2, 1)
    columns = 3 * (index_map.local_range[0] + np.arange(own))[:, None, None] + np.arange(3)[None, None, :]
    columns = np.broadcast_to(columns, (own, 3, 3)).reshape(-1).astype(np.int32)
    sizes = ((3 * own, 3 * index_map.size_global),) * 2
    rows = np.arange(0, 9 * own + 1, 3, dtype=np.int32)
    return PETSc.Mat().createAIJ(sizes, bsize=3, csr=(rows, columns, blocks.ravel()), comm=V.mesh.comm)


def _factorise(ksp: PETSc.KSP) -> None:
    ksp.setType("preonly")
    pc = ksp.getPC()
    pc.setType("cholesky")
    pc.setFactorSolverType("mumps")


def rigid_modes(V: fem.FunctionSpace) -> list[PETSc.Vec]:
    """The six rigid body modes in V, orthonormal: what a stiffness leaves without energy. Collective."""
    index_map = V.dofmap.index_map
    size = index_map.size_local + index_map.num_ghosts
    x = V.tabulate_dof_coordinates()[:size]
    modes = [dolfinx.la.vector(index_map, 3, dtype=np.float64) for _ in range(6)]
    for i, axis in enumerate(np.eye(3)):
        modes[i].array.reshape(-1, 3)[:] = axis
        modes[3 + i].array.reshape(-1, 3)[:] = np.cross(axis, x - x.mean(0) if V.mesh.comm.size == 1 else x)
    dolfinx.la.orthonormalize(modes)
    own = 3 * index_map.size_local
    return [PETSc.Vec().createWithArray(m.array[:own].copy(), bsize=3, comm=V.mesh.comm) for m in modes]
