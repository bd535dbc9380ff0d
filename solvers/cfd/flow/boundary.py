"""What holds at the boundary of a flow: inlets, walls, slip, outlets, as plain arguments, and where they act.

Outer faces that no condition names are walls at rest. Where faces meet, a wall at rest wins over a moving one, that
over an inlet, and all of them over slip. Periodic ends are joined in the spaces (``periodic.py``) and hold nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from solvers.cfd.flow.state import Flow, Integers, Reals, form  # first, for it loads MPI ahead of the bindings

# isort: split
import basix.ufl
import dolfinx
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from scipy.sparse.linalg import spsolve
from scipy.spatial import KDTree

from hub.solver import StageError

type History = Callable[[float], float]
#: Velocities, or speeds into the domain, at places: (n, 3) [m] -> (n, 3) or (n,) [m/s].
type Profile = Callable[[Reals], Reals]
#: Normals of faces at an edge that differ less than this sine are those of one smooth wall.
SHARP = 0.35


def always(t: float) -> float:
    """The history of what does not change."""
    return 1.0


@dataclass(frozen=True)
class Inlet:
    """Fluid enters through the selections `on`.

    profile : ``uniform``, ``developed`` (as far down a duct of this section), or a Profile of its own
    speed : mean normal speed [m/s]; of ``uniform`` the speed away from walls. flow_rate : [m3/s] instead of it. Neither
        for a Profile taken as it is
    direction : of a uniform stream, into the domain; the normal of the inlet if not given
    history : factor over time [s]
    """

    name: str
    on: tuple[str, ...]
    profile: str | Profile = "uniform"
    speed: float | None = None
    flow_rate: float | None = None
    direction: tuple[float, float, float] | None = None
    history: History = always


@dataclass(frozen=True)
class Wall:
    """The fluid sticks to the selections `on`, which are at rest, move, or turn.

    velocity : [m/s]; turning : (point on the axis [m], axis, angular velocity [rad/s])
    """

    name: str
    on: tuple[str, ...]
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turning: tuple[tuple[float, float, float], tuple[float, float, float], float] | None = None
    history: History = always

    @property
    def still(self) -> bool:
        return self.turning is None and not any(self.velocity)


@dataclass(frozen=True)
class Slip:
    """No flow through the selections `on` and no friction there: symmetry, far sides, free surfaces kept flat."""

    name: str
    on: tuple[str, ...]


@dataclass(frozen=True)
class Outlet:
    """Fluid leaves through the selections `on` against a pressure [Pa]; what comes back there brings no momentum."""

    name: str
    on: tuple[str, ...]
    pressure: float = 0.0
    history: History = always


@dataclass(frozen=True)
class Periodic:
    """What leaves at one end of the selections `on` enters at the other.

    low : indices of the faces where it enters; shift : (dim,) from there to the other end [m]; area : of one end [m2]
    pressure_drop : from end to end [Pa]; flow_rate : [m3/s] instead, where the drop is to be found
    """

    name: str
    on: tuple[str, ...]
    low: tuple[int, ...]
    shift: tuple[float, ...]
    area: float
    pressure_drop: float = 0.0
    flow_rate: float | None = None


type Condition = Inlet | Wall | Slip | Outlet | Periodic


@dataclass(frozen=True)
class Holding:
    """Nodes where a condition prescribes the velocity, and the velocity before its history [m/s]."""

    condition: Inlet | Wall
    nodes: Integers
    shape: Reals


class Boundary:
    """Where conditions act on a flow. Collective over the mesh; arrays are over the nodes of this rank with ghosts.

    area : of all of it [m2]; skin : (nodes, dim) weights of the flow through all of it
    held : (n,) nodes whose velocity is prescribed
    slipping : (m,) nodes that may only move along walls; tangent : (m, dim, dim) projections on what is left to them
    outlets : the outlets; closed : there is none
    joined : facets of periodic ends; thrust : (nodes, dim) load of what pushes inside, over density [m4/s2]
    Raises StageError where a condition acts on no outer face, or where a closed domain is fed.
    """

    def __init__(self, flow: Flow, conditions: Sequence[Condition]) -> None:
        self.flow, self.conditions = flow, tuple(conditions)
        self.comm, self.mesh = flow.part.mesh.comm, flow.part.mesh
        self._fdim = flow.dim - 1
        v = ufl.TestFunction(flow.V)
        self._n = ufl.FacetNormal(self.mesh)
        self._nodes = flow.S.dofmap.index_map.size_local + flow.S.dofmap.index_map.num_ghosts
        self.x = flow.S.tabulate_dof_coordinates()[: self._nodes]
        self.thrust = np.zeros((self._nodes, flow.dim))
        self._flux_of = lambda ds: form(ufl.inner(self._n, v) * ds)
        skin = dmesh.exterior_facet_indices(self.mesh.topology).astype(np.int32)
        self.skin, self.area = self.flux_weights(skin), self.size_of(skin)
        self.facets: dict[str, Integers] = {c.name: self._outer(c) for c in self.conditions}
        self.rest = self._rest()
        self._hold()
        self._slip()
        self.outlets = tuple(c for c in self.conditions if isinstance(c, Outlet))
        self.closed = not self.outlets
        of_outlets = [self.facets[c.name] for c in self.outlets]
        self.leaving = np.unique(np.concatenate([np.empty(0, dtype=np.int32), *of_outlets]))
        of_ends = [self.facets[c.name] for c in self.conditions if isinstance(c, Periodic)]
        self.joined = np.unique(np.concatenate([np.empty(0, dtype=np.int32), *of_ends]))
        self._push = [self.flux_weights(facets) for facets in of_outlets]
        if self.closed:
            self._balanced()

    # --- where ---

    def _outer(self, condition: Condition) -> Integers:
        facets = self.flow.part.facets(condition.on)
        if not self.comm.allreduce(len(facets)):
            raise StageError(
                "no-facets",
                f"{condition.name} acts on no outer face of the fluid.",
                "Select faces that bound the fluid; faces between two bodies carry no flow conditions.",
            )
        return facets

    def _rest(self) -> Integers:
        """Outer facets that no condition names."""
        outer = dmesh.exterior_facet_indices(self.mesh.topology)
        named = np.concatenate([np.empty(0, dtype=np.int32), *self.facets.values()])
        return np.setdiff1d(outer, named).astype(np.int32)

    @property
    def walls(self) -> Integers:
        """Facets that hold the fluid, moving ones too: neither openings nor planes of symmetry."""
        named = [self.facets[c.name] for c in self.conditions if isinstance(c, Wall)]
        return np.unique(np.concatenate([self.rest, *named])).astype(np.int32)

    def walls_by_volume(self) -> float:
        """Area of walls over volume of fluid [1/m]: 4 over it is the hydraulic diameter."""
        volume = fem.assemble_scalar(form(fem.Constant(self.mesh, 1.0) * self.flow.dx(1)))
        return self.size_of(self.walls) / float(self.comm.allreduce(volume, MPI.SUM))

    def ds(self, facets: Integers) -> ufl.Measure:
        """Area of facets of this rank [m2]."""
        tags = dmesh.meshtags(self.mesh, self._fdim, np.sort(facets), np.ones(len(facets), dtype=np.int32))
        metadata = {"quadrature_degree": 2 * self.flow.degree}
        return ufl.Measure("ds", domain=self.mesh, subdomain_data=tags, metadata=metadata)(1)

    def nodes_on(self, facets: Integers) -> Integers:
        """Nodes of the velocity on facets; nodes of this rank on a facet of another are among them."""
        return fem.locate_dofs_topological(self.flow.S, self._fdim, facets, remote=True).astype(np.int32)

    def flux_weights(self, facets: Integers) -> Reals:
        """(nodes, dim) such that the sum of weights times velocities of the owned nodes is the outward flow [m3/s]."""
        b = fem.assemble_vector(self._flux_of(self.ds(facets)))
        b.scatter_reverse(dolfinx.la.InsertMode.add)
        b.scatter_forward()
        return b.array.reshape(-1, self.flow.dim).copy()

    def flow_rate(self, weights: Reals, u: Reals | None = None) -> float:
        """Outward flow of a velocity (nodes, dim), default that of the flow, by the weights of facets [m3/s]."""
        own = self.flow.S.dofmap.index_map.size_local
        u = self.flow.u.x.array.reshape(-1, self.flow.dim) if u is None else u
        return float(self.comm.allreduce(float((weights[:own] * u[:own]).sum()), MPI.SUM))

    def passing(self, ends: Periodic) -> float:
        """What the flow carries from end to end [m3/s]."""
        return -self.flow_rate(self.flux_weights(self.flow.part.facets_of(ends.low)))

    def normals(self, facets: Integers) -> Reals:
        """(nodes, dim) outward unit normals at the nodes of facets, of the flat facets around; zero elsewhere.

        Not from integrals of shape functions, which are zero for the corners of quadratic triangles.
        """
        dim, topology = self.flow.dim, self.mesh.topology
        sums = fem.Function(self.flow.V)
        if len(facets):
            cells = topology.connectivity(dim - 1, dim).array[topology.connectivity(dim - 1, dim).offsets[facets]]
            of_cell = topology.connectivity(dim, dim - 1).array.reshape(-1, dim + 1)[cells]
            side = np.argmax(of_cell == facets[:, None], axis=1)
            x = self.mesh.geometry.x[self.mesh.geometry.dofmaps[0][cells, : dim + 1]][:, :, :dim]
            # facet i of a simplex lies opposite to corner i
            corners = np.array([[j for j in range(dim + 1) if j != i] for i in range(dim + 1)])[side]
            on = np.take_along_axis(x, corners[:, :, None], axis=1)
            edges = on[:, 1:] - on[:, :1]
            n = np.cross(edges[:, 0], edges[:, 1]) if dim == 3 else edges[:, 0] @ np.array([[0.0, -1.0], [1.0, 0.0]])
            away = on.mean(axis=1) - np.take_along_axis(x, side[:, None, None], axis=1)[:, 0]
            n *= np.sign(np.einsum("ni,ni->n", n, away))[:, None]
            closure = np.array(self.flow.S.element.basix_element.entity_closure_dofs[dim - 1])[side]
            dofs = np.take_along_axis(self.flow.S.dofmap.list[cells], closure, axis=1)
            values = sums.x.array.reshape(-1, dim)
            np.add.at(values, dofs, n[:, None, :])
        sums.x.scatter_reverse(dolfinx.la.InsertMode.add)
        sums.x.scatter_forward()
        values = sums.x.array.reshape(-1, dim)
        size = np.linalg.norm(values, axis=1, keepdims=True)
        return np.divide(values, size, out=np.zeros_like(values), where=size > 0)

    # --- prescribed velocities ---

    def _hold(self) -> None:
        order = {Inlet: 0, Wall: 1}
        held = sorted((c for c in self.conditions if isinstance(c, (Inlet, Wall))),
                      key=lambda c: order[type(c)] + (isinstance(c, Wall) and c.still))  # fmt: skip
        walls = [self.facets[c.name] for c in held if isinstance(c, Wall)] + [self.rest]
        stuck = np.unique(np.concatenate([self.nodes_on(f) for f in walls]))
        found = []
        for c in held:
            nodes = self.nodes_on(self.facets[c.name])
            shape = self._entering(c, nodes, stuck) if isinstance(c, Inlet) else self._moving(c, nodes)
            found.append(Holding(c, nodes, shape))
        still = Wall("walls", ())
        nodes = self.nodes_on(self.rest)
        found.append(Holding(still, nodes, np.zeros((len(nodes), self.flow.dim))))
        by = np.full(self._nodes, -1)
        for i, holding in enumerate(found):
            by[holding.nodes] = i
        self.holdings = tuple(
            Holding(h.condition, h.nodes[by[h.nodes] == i], h.shape[by[h.nodes] == i]) for i, h in enumerate(found)
        )
        self.held = np.concatenate([h.nodes for h in self.holdings]).astype(np.int32)

    def _moving(self, wall: Wall, nodes: Integers) -> Reals:
        v = np.tile(np.array(wall.velocity, dtype=float), (len(nodes), 1))
        if wall.turning is not None:
            point, axis, rate = (np.array(value, dtype=float) for value in wall.turning)
            v += np.cross(rate * axis / np.linalg.norm(axis), self.x[nodes] - point)
        return v[:, : self.flow.dim]

    def _entering(self, inlet: Inlet, nodes: Integers, stuck: Integers) -> Reals:
        """(n, dim) velocity at the nodes of an inlet."""
        dim, facets = self.flow.dim, self.facets[inlet.name]
        weights = self.flux_weights(facets)
        area, inward = self._inward(facets, weights, nodes)
        if inlet.direction is not None:
            inward = np.tile(np.array(inlet.direction[:dim]) / np.linalg.norm(inlet.direction), (len(nodes), 1))
        if inlet.profile == "developed":
            along = self._developed(inlet)(self.x[nodes])
        elif inlet.profile == "uniform":
            along = np.ones(len(nodes))
        else:
            assert callable(inlet.profile)
            along = np.asarray(inlet.profile(self.x[nodes]), dtype=float)
        shape = along[:, :dim] if along.ndim == 2 else along[:, None] * inward
        shape[np.isin(nodes, stuck)] = 0.0
        wanted = inlet.flow_rate
        if inlet.speed is not None:
            if inlet.profile == "uniform":
                return shape * inlet.speed
            wanted = inlet.speed * area
        if wanted is None:
            return shape
        whole = np.zeros((self._nodes, dim))
        whole[nodes] = shape
        enters = -self.flow_rate(weights, whole)
        if not abs(enters) > 1e-12 * area * self.comm.allreduce(float(np.abs(shape).max(initial=0.0)), MPI.MAX):
            raise StageError(
                "no-inflow",
                f"The velocity given for {inlet.name} carries nothing through it.",
                "Look at its direction; it points into the domain.",
            )
        return shape * (wanted / enters)

    def size_of(self, facets: Integers) -> float:
        """Area of facets over all ranks [m2]."""
        one = fem.Constant(self.mesh, 1.0)
        return float(self.comm.allreduce(fem.assemble_scalar(form(one * self.ds(facets))), MPI.SUM))

    def _inward(self, facets: Integers, weights: Reals, nodes: Integers) -> tuple[float, Reals]:
        """Area [m2], and unit normals into the domain at nodes (n, dim): one for a plane, else that of each node."""
        dim, area = self.flow.dim, self.size_of(facets)
        own = self.flow.S.dofmap.index_map.size_local
        mean = -np.array([self.comm.allreduce(float(weights[:own, i].sum()), MPI.SUM) for i in range(dim)])
        if np.linalg.norm(mean) > 0.9999 * area:
            return area, np.tile(mean / np.linalg.norm(mean), (len(nodes), 1))
        return area, -self.normals(facets)[nodes]

    def _developed(self, inlet: Inlet) -> Profile:
        slip = [name for c in self.conditions if isinstance(c, (Slip, Periodic)) for name in c.on]
        return developed(self.flow, inlet.on, slip)

    # --- slip ---

    def _slip(self) -> None:
        """Normals face by face: where two slip walls meet at an edge the fluid moves along the edge only."""
        dim, file = self.flow.dim, self.flow.part.file
        normals: list[Reals] = []
        faces = sorted({f for c in self.conditions if isinstance(c, Slip) for n in c.on for f in file.selections[n]})
        for face in faces:
            normals.append(self.normals(self.flow.part.facets_of([face])))
        every = np.array(normals).reshape(-1, self._nodes, dim)
        here = np.any(every != 0, axis=(0, 2))
        here[self.held] = False
        self.slipping = np.flatnonzero(here).astype(np.int32)
        gram = np.einsum("fni,fnj->nij", every[:, self.slipping], every[:, self.slipping])
        values, vectors = np.linalg.eigh(gram)
        # n faces of one plane give n; two planes at a small angle leave a small second value
        blocked = values > SHARP**2
        self.tangent = np.eye(dim) - np.einsum("nik,nk,njk->nij", vectors, blocked, vectors)

    # --- use ---

    def velocities(self, t: float) -> Reals:
        """(n, dim) prescribed velocities of the held nodes [m/s]."""
        return np.concatenate([h.shape * h.condition.history(t) for h in self.holdings])

    def impose(self, u: Reals, t: float) -> None:
        """Sets a velocity (nodes, dim) to what is prescribed at time t [s]."""
        u[self.held] = self.velocities(t)
        u[self.slipping] = np.einsum("nij,nj->ni", self.tangent, u[self.slipping])

    def release(self, r: Reals) -> Reals:
        """Keeps of a residual or correction (nodes, dim) what the boundary leaves free, in place."""
        r[self.held] = 0.0
        r[self.slipping] = np.einsum("nij,nj->ni", self.tangent, r[self.slipping])
        return r

    def pressures(self, t: float) -> Reals:
        """(outlets,) pressures over density at time t [m2/s2]."""
        return np.array([o.pressure * o.history(t) / self.flow.fluid.density for o in self.outlets])

    def push(self, t: float) -> Reals:
        """(nodes, dim) load of outlets and fans at time t over density [m4/s2], to be added to the right side."""
        return self.pressed(self.pressures(t)) + self.thrust

    def pressed(self, pressures: Reals) -> Reals:
        """That of some pressures over density at the outlets alone."""
        load = np.zeros((self._nodes, self.flow.dim))
        for pressure, weights in zip(pressures, self._push, strict=True):
            load -= pressure * weights
        return load

    def _balanced(self, t: float = 0.0) -> None:
        """Raises StageError where fluid is fed into a domain without an outlet."""
        u = np.zeros((self._nodes, self.flow.dim))
        u[self.held] = self.velocities(t)
        net = self.flow_rate(self.skin, u)
        speed = self.comm.allreduce(float(np.abs(u).max(initial=0.0)), MPI.MAX)
        # profiles from tables leave a little, which the pressure of one node takes up
        if abs(net) > 1e-6 * speed * self.area:
            raise StageError(
                "no-outlet",
                f"Nothing can leave freely, but {abs(net):.3g} m3/s {'leave' if net > 0 else 'enter'} on the whole.",
                "Give an outlet with a pressure, or make the flows of the inlets add up to zero.",
            )


def developed(flow: Flow, on: Sequence[str], slip: Sequence[str]) -> Profile:
    """The profile far down a duct whose section is the selection `on`: -div grad w = 1 there, w = 0 at its rim.

    slip : selections without friction: where they meet the section w is left free, as it is at periodic ends, which is
        right where the section is its own mirror image there
    The section is solved whole on every rank; the profile only knows the nodes of the flow's velocity on it.
    """
    file, dim = flow.part.file, flow.dim
    faces = [face for name in on for face in file.selections[name]]
    rows = file.facets[np.isin(file.facet_face, faces)]
    points, cells = np.unique(rows, return_inverse=True)
    shape = dmesh.CellType.triangle if dim == 3 else dmesh.CellType.interval
    order = dolfinx.cpp.io.perm_vtk(shape, rows.shape[1])
    element = basix.ufl.element("Lagrange", shape.name, file.order, shape=(dim,))
    section = dmesh.create_mesh(
        MPI.COMM_SELF, cells.reshape(rows.shape)[:, order].astype(np.int64), element, file.points[points][:, :dim]
    )
    S = fem.functionspace(section, ("Lagrange", flow.degree))
    w, v = ufl.TrialFunction(S), ufl.TestFunction(S)
    A = fem.assemble_matrix(form(ufl.inner(ufl.grad(w), ufl.grad(v)) * ufl.dx)).to_scipy().tocsr()
    b = fem.assemble_vector(form(fem.Constant(section, 1.0) * v * ufl.dx)).array
    section.topology.create_connectivity(dim - 2, dim - 1)
    rim = dmesh.exterior_facet_indices(section.topology)
    corners = dmesh.entities_to_geometry(section, dim - 2, rim)[:, : dim - 1]
    numbers = np.sort(points[np.asarray(section.geometry.input_global_indices)[corners]], axis=1)
    rim = rim[~_sides_of(flow, slip, numbers)]
    fixed = fem.locate_dofs_topological(S, dim - 2, rim)
    free = np.setdiff1d(np.arange(A.shape[0]), fixed)
    if not len(fixed):
        raise StageError(
            "no-rim", "A developed profile needs a wall around the inlet; here nothing slows the fluid.",
            "Use a uniform profile.",
        )  # fmt: skip
    value = np.zeros(A.shape[0])
    value[free] = spsolve(A[free][:, free].tocsc(), b[free])
    tree, value = KDTree(S.tabulate_dof_coordinates()), value / value.max()
    return lambda x: value[tree.query(x)[1]] if len(x) else np.zeros(0)


def _sides_of(flow: Flow, selections: Sequence[str], edges: Integers) -> Reals:
    """(n,) True for edges (n, 2), or points (n, 1), of the mesh file that belong to a facet of the selections."""
    file, dim = flow.part.file, flow.dim
    faces = [face for name in selections for face in file.selections[name]]
    corners = file.facets[np.isin(file.facet_face, faces)][:, :dim]
    if dim == 2:
        return np.isin(edges[:, 0], corners)
    sides = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]]), axis=1)
    size = len(file.points)
    return np.isin(edges[:, 0] * size + edges[:, 1], sides[:, 0] * size + sides[:, 1])
