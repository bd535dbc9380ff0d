"""What a flow does to walls, and what it takes to drive it: forces, moments, shear, pressures, flow rates.

Forces come from the residual of the momentum equation at the nodes of the wall, which is about ten times more accurate
than integrating stresses over it (I. Babuska, A. Miller, Int. J. Numer. Methods Eng. 20 (1984) 1085-1109). At an edge
shared with another face the nodes carry stress of that face too: it is integrated over the strip and taken off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from solvers.cfd.flow.state import Flow, Integers, Reals, form  # first, for it loads MPI ahead of the bindings

# isort: split
import ufl
from dolfinx import fem, la
from dolfinx import mesh as dmesh
from mpi4py import MPI

from solvers.cfd.flow.boundary import Boundary


@dataclass
class Forces:
    """The forces on walls of one flow. Collective; what is the same in every step is kept."""

    flow: Flow
    boundary: Boundary
    _kept: dict[bytes, tuple[Integers, Integers]] = field(default_factory=dict, init=False)

    def nodal(self, facets: Integers) -> tuple[Integers, Reals]:
        """(own nodes of the wall, (n, dim) force of the fluid at each [N]); in a plane for one metre of depth."""
        key = facets.tobytes()
        if key not in self._kept:
            nodes = self.boundary.nodes_on(facets)
            own = self.flow.S.dofmap.index_map.size_local
            near = self._beside(facets, nodes)
            self._kept[key] = nodes[nodes < own], near
        nodes, near = self._kept[key]
        dim, density = self.flow.dim, self.flow.fluid.density
        f = -density * self.flow.reaction.x.array.reshape(-1, dim)[nodes]
        if self.flow.part.mesh.comm.allreduce(len(near)):
            f += density * self._over(near)[nodes]
        if self.flow.drive.any():
            f += density * self._assembled(form(self._fallen(facets)))[nodes]
        if self._turning(facets):
            f -= density * self._assembled(self._transposed)[nodes]
        return nodes, f

    def _fallen(self, facets: Integers) -> ufl.Form:
        """The pressure that falls from periodic end to periodic end, on facets."""
        mesh, v = self.flow.part.mesh, ufl.TestFunction(self.flow.V)
        evenly = self.flow.falling(ufl.SpatialCoordinate(mesh))
        return evenly * ufl.dot(ufl.FacetNormal(mesh), v) * self.boundary.ds(facets)

    def force(self, facets: Integers) -> Reals:
        """(dim,) force of the fluid on facets [N]."""
        return self._sum(self.nodal(facets)[1].sum(axis=0))

    def moment(self, facets: Integers, about: tuple[float, float, float]) -> Reals:
        """(3,) moment of the fluid's forces on facets about a point [N m]."""
        nodes, f = self.nodal(facets)
        arm = self.boundary.x[nodes] - np.array(about)
        return self._sum(np.cross(arm, np.pad(f, ((0, 0), (0, 3 - self.flow.dim)))).sum(axis=0))

    def _sum(self, values: Reals) -> Reals:
        return np.asarray(self.flow.part.mesh.comm.allreduce(values, MPI.SUM))

    # --- strips beside a wall ---

    def _beside(self, facets: Integers, nodes: Integers) -> Integers:
        """Outer facets that are not of the wall but touch it, but for outlets, whose loads are no part of the reaction,
        and periodic ends, behind which the fluid goes on."""
        mesh, dim = self.flow.part.mesh, self.flow.dim
        others = np.setdiff1d(dmesh.exterior_facet_indices(mesh.topology), facets)
        passed = np.concatenate([self.boundary.leaving, self.boundary.joined])
        outer = np.setdiff1d(others, passed).astype(np.int32)
        to_cell = mesh.topology.connectivity(dim - 1, dim)
        cells = to_cell.array[to_cell.offsets[outer]]
        at = np.zeros(len(self.boundary.x), dtype=bool)
        at[nodes] = True
        if not len(outer):
            return outer
        of_cell = mesh.topology.connectivity(dim, dim - 1).array.reshape(-1, dim + 1)[cells]
        side = np.argmax(of_cell == outer[:, None], axis=1)
        closure = np.array(self.flow.S.element.basix_element.entity_closure_dofs[dim - 1])[side]
        dofs = np.take_along_axis(self.flow.S.dofmap.list[cells], closure, axis=1)
        return outer[at[dofs].any(axis=1)]

    def _over(self, facets: Integers) -> Reals:
        """(nodes, dim) the stress over density on facets, integrated with the shape functions [m4/s2]."""
        flow, v = self.flow, ufl.TestFunction(self.flow.V)
        n = ufl.FacetNormal(flow.part.mesh)
        nu = fem.Constant(flow.part.mesh, flow.fluid.nu)
        stress = nu * ufl.dot(ufl.grad(flow.u), n) - flow.p * n
        return self._assembled(form(ufl.dot(stress, v) * self.boundary.ds(facets)))

    def _assembled(self, compiled: fem.Form) -> Reals:
        b = fem.assemble_vector(compiled)
        b.scatter_reverse(la.InsertMode.add)
        return b.array.reshape(-1, self.flow.dim)

    # --- walls that turn: there the transposed gradient has a part in the stress, which the equations leave out ---

    def _turning(self, facets: Integers) -> bool:
        wall = [c for c in self.boundary.conditions if getattr(c, "turning", None) is not None]
        own = any(np.isin(facets, self.boundary.facets[c.name]).any() for c in wall)
        return bool(self.flow.part.mesh.comm.allreduce(own, MPI.LOR))

    @cached_property
    def _transposed(self) -> fem.Form:
        flow, v = self.flow, ufl.TestFunction(self.flow.V)
        nu = fem.Constant(flow.part.mesh, flow.fluid.nu)
        return form(nu * ufl.inner(ufl.grad(flow.u).T, ufl.grad(v)) * flow.dx())


def mean_pressure(flow: Flow, boundary: Boundary, facets: Integers) -> float:
    """Mean of the pressure over facets [Pa]."""
    ds, comm = boundary.ds(facets), flow.part.mesh.comm
    one = fem.Constant(flow.part.mesh, 1.0)
    p = flow.p + flow.falling(ufl.SpatialCoordinate(flow.part.mesh))
    total, area = (comm.allreduce(fem.assemble_scalar(form(f * ds)), MPI.SUM) for f in (p, one))
    return float(flow.fluid.density * total / area)


def wall_shear(flow: Flow, boundary: Boundary) -> fem.Function:
    """Shear stress of the fluid on the outer walls [Pa], a vector: zero inside; at edges the mean of both walls.

    Continuous and of the degree of the pressure: the stress of the elements, averaged over the facets around a node.
    """
    mesh = flow.part.mesh
    ds, n = boundary.ds(boundary.walls), ufl.FacetNormal(mesh)
    mu = fem.Constant(mesh, flow.fluid.viscosity)
    strain = ufl.grad(flow.u) + ufl.grad(flow.u).T
    traction = -mu * ufl.dot(strain, n)
    shear = traction - ufl.dot(traction, n) * n
    low = fem.functionspace(mesh, ("Lagrange", 1, (flow.dim,)))
    w = ufl.TestFunction(low)
    ones = fem.Constant(mesh, np.ones(flow.dim))
    top, bottom = fem.Function(low), fem.Function(low)
    for function, load in ((top, shear), (bottom, ones)):
        function.x.array[:] = fem.assemble_vector(form(ufl.dot(load, w) * ds)).array
        function.x.scatter_reverse(la.InsertMode.add)
        function.x.scatter_forward()
    found = fem.Function(low)
    np.divide(top.x.array, bottom.x.array, out=found.x.array, where=bottom.x.array > 0)
    return found
