"""What a solved elasticity problem hands to whoever looks at it: recovery, error estimates, quantities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from dolfinx import fem

from hub.solver import BoundCase, Condition
from solvers.fem.mesh import Part


@dataclass(frozen=True, kw_only=True)
class Acting:
    """A condition and the exterior facets of this rank it acts on (none for the whole part).

    index : of the condition in the case
    by_face : index of a face -> its facets; the same faces on every rank
    """

    index: int
    condition: Condition
    by_face: dict[int, npt.NDArray[np.int32]]

    @property
    def facets(self) -> npt.NDArray[np.int32]:
        """All its facets of this rank, sorted."""
        return np.sort(np.concatenate([*self.by_face.values(), np.empty(0, dtype=np.int32)]))


@dataclass(frozen=True, kw_only=True)
class Solved:
    """The displacement of a part and the operator it came from. Everything in SI; collective over ``part.mesh.comm``.

    bound : the case as the solver read it
    part : the distributed mesh, its tags and the MeshFile it was made from (``solvers.fem.mesh.Part``)
    V : P2 vectors
    u : the displacement in V [m]
    mu, lmbda : Lame's parameters, DG0 [Pa]; density : DG0 [kg/m3], zero where not given
    yield_strength : DG0 [Pa], infinite where not given
    conditions : in the order of the case
    loads : the linear form of all loads in ``TestFunction(V)``, as compiled forms to be summed
    quadrature_degree : of the stiffness
    solve : a linear form in ``TestFunction(V)`` (UFL or compiled), or a vector over the dofs of V (assembled, owned
        part right), and a `tolerance` of the residual (1e-5) -> the response with homogeneous supports, by the
        operator and the preconditioner of the primal problem. What is fixed or prescribed is zero in the answer.
        Raises StageError if it stagnates.
    """

    bound: BoundCase
    part: Part
    V: fem.FunctionSpace
    u: fem.Function
    mu: fem.Function
    lmbda: fem.Function
    density: fem.Function
    yield_strength: fem.Function
    conditions: tuple[Acting, ...]
    loads: tuple[fem.Form, ...]
    quadrature_degree: int
    solve: Callable[..., fem.Function]
