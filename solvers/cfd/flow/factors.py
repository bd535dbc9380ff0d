"""Solving with the factors of a whole matrix (MUMPS), where it is small enough for them."""

from __future__ import annotations

from solvers.cfd.flow.state import Reals  # first, for it loads MPI ahead of the bindings

# isort: split
from petsc4py import PETSc


class Factors:
    """A matrix's factors. What was analysed of its pattern serves all later values of the same matrix. Collective."""

    def __init__(self) -> None:
        self._ksp: PETSc.KSP | None = None
        self._of: PETSc.Mat | None = None

    def solve(self, A: PETSc.Mat, right: Reals) -> Reals:
        """(own rows,) x of A x = `right`, which is (own rows,) as well."""
        x, b = A.createVecs()
        b.array = right
        known = A is self._of
        ksp = self._known(A)
        ksp.solve(b, x)
        if known and ksp.getConvergedReason() < 0:  # pivots for which what was analysed has no room
            self.free()
            self._known(A).solve(b, x)
        found = x.array.copy()
        b.destroy()
        x.destroy()
        return found

    def _known(self, A: PETSc.Mat) -> PETSc.KSP:
        if A is not self._of or self._ksp is None:
            self.free()
            ksp = PETSc.KSP().create(A.comm)
            ksp.setOperators(A)
            ksp.setType("preonly")
            pc = ksp.getPC()
            pc.setType("lu")
            pc.setFactorSolverType("mumps")
            pc.setFactorSetUpSolverType()
            pc.getFactorMatrix().setMumpsIcntl(14, 80)  # room for pivots, in per cent
            self._ksp, self._of = ksp, A
        self._ksp.setOperators(A)
        return self._ksp

    def free(self) -> None:
        """Give the memory back: of what several ranks share, Python's letting go frees nothing."""
        if self._ksp is not None:
            pc = self._ksp.getPC()
            for used in (pc.getFactorMatrix(), pc, self._ksp):
                used.destroy()
        self._ksp = self._of = None
