"""Diffusion along the stream: w (u . grad s) (u . grad r), which keeps a flow smooth on cells that are large for it.

It is a way to a steady flow and no part of one: whole at first, then less and less of it, at the end none.
Weights: A. N. Brooks, T. J. R. Hughes, Comput. Methods Appl. Mech. Eng. 32 (1982) 199-259.
"""

from __future__ import annotations

import numpy as np

from solvers.cfd.flow.state import Flow, Reals, form  # first, for it loads MPI ahead of the bindings

# isort: split
import ufl
from dolfinx import fem

from solvers.cfd.flow.sparse import Matrix

#: Cell Reynolds number from which on the diffusion is whole.
CONVECTIVE = 3.0


class Streamline:
    """The matrix of this diffusion for one component of the velocity. Collective."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        cells = fem.functionspace(flow.part.mesh, ("DG", 0))
        volumes = fem.assemble_vector(form(ufl.TestFunction(cells) * flow.dx(2))).array
        self._across, self._weight = volumes ** (1 / flow.dim), fem.Function(cells)
        s, r, u = ufl.TrialFunction(flow.S), ufl.TestFunction(flow.S), flow.u
        along = self._weight * ufl.dot(u, ufl.grad(s)) * ufl.dot(u, ufl.grad(r))
        self._matrix = Matrix(along * flow.dx(3 * flow.degree))

    def at_the_flow(self) -> Reals:
        """(entries,) of the matrix at the flow's velocity, in the order of any matrix of one component."""
        flow, h = self._flow, self._across
        speeds = np.linalg.norm(flow.u.x.array.reshape(-1, flow.dim), axis=1)
        speed = np.maximum(speeds[flow.S.dofmap.list].max(axis=1), 1e-300)
        number = speed * h / (4 * flow.fluid.nu)  # of half a cell, for there are nodes in the middle of edges
        w = h / (2 * speed) * np.minimum(1.0, number / CONVECTIVE)
        self._weight.x.array[: len(w)] = w
        self._weight.x.scatter_forward()
        return self._matrix.assemble().data
