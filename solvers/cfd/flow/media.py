"""Bodies of fluid that resist it evenly (filters, packings) or push it (fans): forces in their volume.

Resistance by H. Darcy 1856 and P. Forchheimer, Z. Ver. Dtsch. Ing. 45 (1901) 1782-1788; the velocity is that of the
fluid before the body, as if its solid part were not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from solvers.cfd.flow.state import Flow, Reals, form  # first, for it loads MPI ahead of the bindings

# isort: split
import dolfinx
import ufl
from dolfinx import fem
from mpi4py import MPI

from hub.solver import BoundCase, StageError
from solvers.cfd.flow.boundary import Boundary
from solvers.cfd.flow.conditions import Fan, InBodies, Porous
from solvers.cfd.flow.energy import indices


def name_of(condition: InBodies) -> str:
    """What people call a condition in bodies."""
    where = condition.bodies if isinstance(condition.bodies, str) else ", ".join(condition.bodies)
    return condition.name or f"{condition.kind}, {where}"


def _inside(flow: Flow, condition: InBodies) -> np.ndarray:
    """(cells of this rank,) whether they are of the condition's bodies. Raises StageError where none is fluid."""
    here = np.isin(flow.part.bodies.values, indices(flow.part.file, condition.bodies))
    if not flow.part.mesh.comm.allreduce(int(here.sum())):
        raise StageError(
            "not-fluid",
            f"{name_of(condition)} is in no body of the fluid.",
            f"Its bodies are {', '.join(b['name'] for b in flow.part.file.bodies)}; give them the fluid as material.",
        )
    return here


def resist(bound: BoundCase, flow: Flow) -> None:
    """Gives the flow the resistance of its porous bodies. Raises StageError where one is not there."""
    bodies = [c for c in bound.conditions if isinstance(c, Porous)]
    if bodies:
        DG0 = fem.functionspace(flow.part.mesh, ("DG", 0))
        flow.darcy, flow.forchheimer = fem.Function(DG0), fem.Function(DG0)
        for c in bodies:
            here = _inside(flow, c)
            flow.darcy.x.array[here] += flow.fluid.nu / c.permeability
            flow.forchheimer.x.array[here] += c.inertial / 2


class Blower:
    """A fan in a flow. Collective.

    depth : of its bodies along the way it blows [m]; area : what it blows through [m2]
    rise : of the pressure, set by who solves [Pa]; load : (nodes, dim) of a rise over density of one
    """

    def __init__(self, flow: Flow, condition: Fan) -> None:
        self.flow, self.condition, self.name = flow, condition, name_of(condition)
        mesh, comm, dim = flow.part.mesh, flow.part.mesh.comm, flow.dim
        here = np.flatnonzero(_inside(flow, condition))
        along = np.array(condition.along)
        x = mesh.geometry.x[mesh.geometry.dofmaps[0][here].ravel()] @ along
        ends = (float(x.min(initial=np.inf)), -float(x.max(initial=-np.inf)))
        low, high = (comm.allreduce(end, MPI.MIN) for end in ends)
        self.depth, self.rise = -high - low, condition.pressure_rise or 0.0
        within = fem.Function(fem.functionspace(mesh, ("DG", 0)))
        within.x.array[here] = 1.0
        volume = comm.allreduce(fem.assemble_scalar(form(within * flow.dx(1))), MPI.SUM)
        self.area = float(volume) / self.depth
        way = fem.Constant(mesh, along[:dim] / self.depth)
        b = fem.assemble_vector(form(within * ufl.dot(way, ufl.TestFunction(flow.V)) * flow.dx(flow.degree)))
        b.scatter_reverse(dolfinx.la.InsertMode.add)
        b.scatter_forward()
        self.load = b.array.reshape(-1, dim).copy()

    def flow_rate(self) -> float:
        """What passes the fan the way it blows [m3/s]: the mean over its depth."""
        own, flow = self.flow.S.dofmap.index_map.size_local, self.flow
        u = flow.u.x.array.reshape(-1, flow.dim)
        return float(flow.part.mesh.comm.allreduce(float((self.load[:own] * u[:own]).sum()), MPI.SUM))


def fans(bound: BoundCase, flow: Flow) -> tuple[Blower, ...]:
    """The fans of a case. Raises StageError where one is in no body of the fluid."""
    return tuple(Blower(flow, c) for c in bound.conditions if isinstance(c, Fan))


def blow(boundary: Boundary, blowers: Sequence[Blower]) -> None:
    """Sets the load of all fans at their present rises."""
    density = boundary.flow.fluid.density
    boundary.thrust[:] = sum((f.rise / density * f.load for f in blowers), np.zeros_like(boundary.thrust))


def lost(flow: Flow) -> Reals:
    """(dim,) what porous bodies take of the flow's momentum, over density [m4/s2]. Collective."""
    if flow.darcy is None:
        return np.zeros(flow.dim)
    comm, rate = flow.part.mesh.comm, flow.resistance(flow.u)
    parts = [fem.assemble_scalar(form(rate * flow.u[i] * flow.dx())) for i in range(flow.dim)]
    return np.array([comm.allreduce(p, MPI.SUM) for p in parts])
