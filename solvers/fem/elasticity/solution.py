"""From a case and its mesh to the answer: the order of the work on every rank."""

from __future__ import annotations

import time

import dolfinx
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from mpi4py import MPI

from hub.case import Material
from hub.result import Answer
from hub.runfolder import Attempt
from hub.solver import BoundCase, StageError
from solvers.fem import mesh as fem_mesh
from solvers.fem.elasticity import answer, loads, rigid
from solvers.fem.elasticity.conditions import BODY_LOADS, FACE_LOADS
from solvers.fem.elasticity.operator import Operator
from solvers.fem.elasticity.solved import Acting, Solved
from solvers.fem.mesh import Part

#: Seconds between two writings of the status.
PULSE = 0.5
#: Residual of dual problems: what is estimated with them is an error, of which two digits are plenty.
DUAL_TOLERANCE = 1e-5


class Progress:
    """What rank 0 tells about the work, and how long each piece of it took."""

    def __init__(self, attempt: Attempt | None, comm: MPI.Intracomm) -> None:
        self.attempt, self.comm = attempt, comm
        self.seconds: dict[str, float] = {}
        self._doing, self._since, self._told = "", time.perf_counter(), 0.0

    def doing(self, what: str) -> None:
        now = time.perf_counter()
        if self._doing:
            self.seconds[self._doing] = self.seconds.get(self._doing, 0.0) + now - self._since
        self._doing, self._since, self._told = what, now, 0.0
        self.tell()

    def tell(self, step: int = 0, of: int = 0, **values: float) -> None:
        now = time.perf_counter()
        if self._doing and self.attempt and self.comm.rank == 0 and now - self._told > PULSE:
            self._told = now
            self.attempt.write_status(step=step, of=of, doing=self._doing, **values)


def solve(bound: BoundCase, attempt: Attempt) -> Answer | None:
    """Solve the case in the attempt's folder. Collective; rank 0 gets the Answer. Raises StageError."""
    comm = MPI.COMM_WORLD
    progress = Progress(attempt, comm)
    progress.doing("reading the mesh")
    part = fem_mesh.read(attempt.inputs, comm)
    loose = rigid.check(part.file, bound.conditions)
    solved, operator = find_displacement(bound, part, progress)
    return answer.make(solved, operator, loose, attempt, progress)


def find_displacement(bound: BoundCase, part: Part, progress: Progress) -> tuple[Solved, Operator]:
    """The displacement of a part. Collective. Raises StageError."""
    progress.doing("assembling")
    acting = tuple(_acting(part, i, c) for i, c in enumerate(bound.conditions))
    V = fem.functionspace(part.mesh, ("Lagrange", 2, (3,)))
    mu, lmbda, density, strength = _materials(bound, part)
    forms = [loads.on_faces(part, V, a) for a in acting if isinstance(a.condition, FACE_LOADS)]
    volume = [a for a in acting if isinstance(a.condition, BODY_LOADS)]
    if volume:
        forms += loads.on_volume(part, V, density, volume)

    def watch(step: int, residual: float) -> None:
        start = -np.log10(bound.params.tolerance)
        done = min(max(-np.log10(max(residual, 1e-300)) / start, 0), 1)
        progress.tell(step=step, of=round(step / done) if done > 0.05 else 0, residual=residual)

    operator = Operator(
        part,
        V,
        mu,
        lmbda,
        acting,
        direct=bound.params.method == "direct",
        tolerance=bound.params.tolerance,
        watch=watch,
        setting_up=lambda: progress.doing("preparing the solver"),
    )
    progress.doing("solving")
    u = operator.solve(forms)

    def respond(rhs: ufl.Form | fem.Form | dolfinx.la.Vector, tolerance: float = DUAL_TOLERANCE) -> fem.Function:
        if isinstance(rhs, dolfinx.la.Vector):
            return operator.respond(rhs, tolerance=tolerance)
        form = fem.form(rhs) if isinstance(rhs, ufl.Form) else rhs
        return operator.solve([form], homogeneous=True, tolerance=tolerance)

    solved = Solved(
        bound=bound,
        part=part,
        V=V,
        u=u,
        mu=mu,
        lmbda=lmbda,
        density=density,
        yield_strength=strength,
        conditions=acting,
        loads=tuple(forms),
        quadrature_degree=operator.degree,
        solve=respond,
    )
    return solved, operator


def _acting(part: Part, index: int, condition) -> Acting:
    faces = sorted({face for name in condition.on for face in part.file.selections[name]})
    by_face = {face: part.facets_of([face]) for face in faces}
    acting = Acting(index=index, condition=condition, by_face=by_face)
    if condition.on and not part.mesh.comm.allreduce(len(acting.facets)):
        raise StageError(
            "no-facets",
            f"{condition.kind} on {', '.join(condition.on)} acts on no outer face of the part.",
            "Faces between two bonded bodies carry no conditions: select outer faces.",
        )
    return acting


def _materials(bound: BoundCase, part: Part) -> tuple[fem.Function, fem.Function, fem.Function, fem.Function]:
    """Lame's parameters, density and yield strength, constant in each cell."""
    of_body: list[Material | None] = [None] * len(part.file.bodies)
    for body, material in bound.materials:
        names = (body.on,) if isinstance(body.on, str) else body.on
        for i, known in enumerate(part.file.bodies):
            if "all" in names or known["name"] in names:
                of_body[i] = material
    missing = [known["name"] for known, m in zip(part.file.bodies, of_body, strict=True) if m is None]
    if missing:
        raise StageError(
            "no-material",
            f"The body {missing[0]} has no material.",
            "Name it under bodies, or use on: all.",
        )
    given = [m for m in of_body if m is not None]
    E = np.array([m.youngs_modulus for m in given], dtype=float)
    nu = np.array([m.poissons_ratio for m in given], dtype=float)
    density = np.array([m.density or 0.0 for m in given])
    strength = np.array([m.yield_strength or np.inf for m in given])
    DG0 = fem.functionspace(part.mesh, ("DG", 0))
    return (
        _by_body(DG0, part, E / 2 / (1 + nu)),
        _by_body(DG0, part, E * nu / (1 + nu) / (1 - 2 * nu)),
        _by_body(DG0, part, density),
        _by_body(DG0, part, strength),
    )


def _by_body(DG0: fem.FunctionSpace, part: Part, values: npt.NDArray[np.float64]) -> fem.Function:
    function = fem.Function(DG0)
    function.x.array[DG0.dofmap.list[:, 0]] = values[part.bodies.values]
    return function
