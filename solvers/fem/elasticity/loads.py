"""Loads as linear forms. One form serves every load on faces and one every load on the volume, so that the compiled
forms are found in the cache whatever a case says: its numbers are constants, never part of the form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import dolfinx
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from scipy.spatial import cKDTree

from hub.solver import StageError
from hub.table import Table
from solvers.fem.elasticity.conditions import (
    Acceleration,
    Bearing,
    Force,
    Gravity,
    PressureLoad,
    PressureMap,
    Rotation,
    Torque,
)
from solvers.fem.elasticity.solved import Acting
from solvers.fem.mesh import Part

Reals = npt.NDArray[np.float64]

ZERO = np.zeros(3)
#: Exact for a quadratic load times a quadratic test function on flat facets.
DEGREE = 4
#: Points of a table that have a say in the pressure between them.
NEAREST = 4


def only(part: Part, facets: npt.NDArray[np.int32]) -> ufl.Measure:
    """The measure of these facets of the outer surface."""
    tags = dmesh.meshtags(part.mesh, 2, facets, np.ones(len(facets), dtype=np.int32))
    return ufl.Measure("ds", domain=part.mesh, subdomain_data=tags, metadata={"quadrature_degree": DEGREE})(1)


@dataclass
class Traction:
    """t = uniform + spin x (x - centre) - pressure n - bearing max(0, -n.d) n, on the facets of a condition [Pa]."""

    part: Part
    V: fem.FunctionSpace
    facets: npt.NDArray[np.int32]
    form: fem.Form = field(init=False)

    def __post_init__(self) -> None:
        mesh = self.part.mesh
        self._uniform, self._spin, self._centre, self._towards = (fem.Constant(mesh, np.zeros(3)) for _ in range(4))
        self._pressure, self._bearing = (fem.Constant(mesh, 0.0) for _ in range(2))
        n, x = ufl.FacetNormal(mesh), ufl.SpatialCoordinate(mesh)
        pressed = self._pressure + self._bearing * ufl.max_value(-ufl.dot(n, self._towards), 0.0)
        t = self._uniform + ufl.cross(self._spin, x - self._centre) - pressed * n
        self.form = fem.form(ufl.inner(t, ufl.TestFunction(self.V)) * only(self.part, self.facets))

    def set(
        self,
        *,
        uniform: Reals = ZERO,
        spin: Reals = ZERO,
        centre: Reals = ZERO,
        pressure: float = 0.0,
        bearing: float = 0.0,
        towards: Reals = ZERO,
    ) -> tuple[Reals, Reals]:
        """Set the traction; returns its resulting force [N] and moment about the origin [N m]."""
        self._uniform.value, self._spin.value, self._centre.value = uniform, spin, centre
        self._pressure.value, self._bearing.value, self._towards.value = pressure, bearing, towards
        return resultant(self.V, assemble([self.form], self.V))


def assemble(forms: Sequence[fem.Form], V: fem.FunctionSpace) -> dolfinx.la.Vector:
    """The sum of linear forms as one vector, owned part complete. Collective."""
    b = fem.create_vector(V)
    b.array[:] = 0
    for form in forms:
        fem.assemble_vector(b.array, form)
    b.scatter_reverse(dolfinx.la.InsertMode.add)
    return b


def resultant(V: fem.FunctionSpace, b: dolfinx.la.Vector, nodes: npt.NDArray | None = None) -> tuple[Reals, Reals]:
    """Force [N] and moment about the origin [N m] of nodal forces: sums over the owned nodes of all ranks."""
    own = V.dofmap.index_map.size_local
    nodes = np.arange(own) if nodes is None else nodes[nodes < own]
    f = b.array[: 3 * own].reshape(-1, 3)[nodes]
    x = V.tabulate_dof_coordinates()[nodes]
    sums = V.mesh.comm.allreduce(np.concatenate([f.sum(0), np.cross(x, f).sum(0)]), MPI.SUM)
    return sums[:3], sums[3:]


def on_faces(part: Part, V: fem.FunctionSpace, acting: Acting) -> fem.Form:
    """The form of one load on faces, scaled so that its total is what the case says. Raises StageError. Collective."""
    if isinstance(acting.condition, PressureMap):
        return _mapped(part, V, acting, acting.condition.table)
    traction = Traction(part, V, acting.facets)
    unit = np.eye(3)
    weights, _ = traction.set(uniform=unit[0])
    area = weights[0]
    condition = acting.condition
    match condition:
        case Force():
            traction.set(uniform=np.array(condition.value) / area)
        case PressureLoad():
            traction.set(pressure=condition.value)
        case Torque():
            moments = [traction.set(uniform=e)[1] for e in unit]
            # x of the centroid from the moment of a unit traction along y about z, and so on
            centre = np.array([moments[1][2], moments[2][0], moments[0][1]]) / area
            inertia = np.column_stack([traction.set(spin=e, centre=centre)[1] for e in unit])
            torque = condition.value * _axis(part, acting)
            traction.set(spin=np.linalg.solve(inertia, torque), centre=centre)
        case Bearing():
            force = np.array(condition.value)
            size = float(np.linalg.norm(force))
            towards = force / size if size else unit[0]
            axial = abs(towards @ _axis(part, acting))
            if axial > 1e-3:
                raise StageError(
                    "bearing-axial",
                    f"The bearing load {_called(acting)} points {axial:.0%} along the axis of its hole.",
                    "A pin carries across its axis only: give the axial part as a force on the faces it pushes.",
                )
            total, _ = traction.set(bearing=1.0, towards=towards)
            traction.set(bearing=size / float(total @ towards), towards=towards)
    return traction.form


def _mapped(part: Part, V: fem.FunctionSpace, acting: Acting, table: Table) -> fem.Form:
    """-p n with the pressure p of a table's points, linear on each facet."""
    points = np.column_stack([table.column(name, "m") for name in "xyz"])
    values, tree = np.array(table.column("p", "Pa")), cKDTree(points)

    def pressure(x: Reals) -> Reals:
        distance, nearest = tree.query(x.T, k=min(NEAREST, len(values)))
        distance, nearest = distance.reshape(x.shape[1], -1), nearest.reshape(x.shape[1], -1)
        weight = 1 / np.maximum(distance, 1e-9 * max(float(np.ptp(points)), 1e-12)) ** 2
        return np.asarray((weight * values[nearest]).sum(axis=1) / weight.sum(axis=1))

    p = fem.Function(fem.functionspace(part.mesh, ("Lagrange", 1)))
    p.interpolate(pressure)
    n = ufl.FacetNormal(part.mesh)
    return fem.form(-p * ufl.inner(n, ufl.TestFunction(V)) * only(part, acting.facets))


def _axis(part: Part, acting: Acting) -> Reals:
    """The axis asked for, or that of the faces if they agree on one."""
    given = getattr(acting.condition, "axis", None)
    if given is not None:
        return np.array(given)
    axes = [part.file.faces[face].get("axis") for face in acting.by_face]
    known = [np.array(axis, dtype=float) for axis in axes if axis is not None]
    if len(known) < len(axes) or any(abs(abs(axis @ known[0]) - 1) > 1e-4 for axis in known):
        raise StageError(
            "no-axis",
            f"The {acting.condition.kind} {_called(acting)} acts on faces that do not share one axis.",
            "Select cylinders of one axis"
            + (", or give the axis." if acting.condition.kind == "torque" else ", or use force instead."),
        )
    return known[0]


def _called(acting: Acting) -> str:
    return acting.condition.name or f"on {', '.join(acting.condition.on)}"


def on_volume(part: Part, V: fem.FunctionSpace, density: fem.Function, conditions: list[Acting]) -> list[fem.Form]:
    """The forms of gravity, acceleration and rotation: at most one for each rotation, at least one if any acts."""
    uniform, spinning = np.zeros(3), []
    for acting in conditions:
        match acting.condition:
            case Gravity():
                uniform = uniform + np.array(acting.condition.value)
            case Acceleration():
                uniform = uniform - np.array(acting.condition.value)
            case Rotation():
                spinning.append((acting.condition.value * np.array(acting.condition.axis), acting.condition.point))
    forms = []
    for spin, point in spinning or [(np.zeros(3), np.zeros(3))]:
        omega, g, centre = (fem.Constant(part.mesh, np.array(value)) for value in (spin, uniform, point))
        r = ufl.SpatialCoordinate(part.mesh) - centre
        pull = density * (g - ufl.cross(omega, ufl.cross(omega, r)))
        dx = ufl.Measure("dx", domain=part.mesh, metadata={"quadrature_degree": DEGREE})
        forms.append(fem.form(ufl.inner(pull, ufl.TestFunction(V)) * dx))
        uniform = np.zeros(3)
    return forms
