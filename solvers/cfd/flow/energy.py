"""Temperature of a flow and of the solids it touches, a dye, and the age of the fluid, from the case.

Bodies that touch share their nodes: what leaves one through the face between them enters the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from solvers.cfd.flow.transport import Kept, Open, Surface, Transport  # loads MPI ahead of the bindings

# isort: split
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from hub.case import Body, Material
from hub.meshfile import MeshFile
from hub.solver import BoundCase, StageError
from solvers.cfd.flow.conditions import Inlet, OnFaces, Outlet, Radiation, fluid_of, is_fluid, level
from solvers.cfd.flow.state import Flow, Integers, Reals, form
from solvers.fem.heat.conditions import Convection, Dissipation, HeatFlow, HeatFlux, HeatSource, Temperature
from solvers.fem.mesh import Part, faces_of

# --- bodies -----------------------------------------------------------------------------------------------------


def indices(file: MeshFile, names: str | Sequence[str]) -> list[int]:
    """Indices of the bodies with these names, or of all."""
    wanted = (names,) if isinstance(names, str) else names
    return [i for i, body in enumerate(file.bodies) if "all" in wanted or body["name"] in wanted]


def materials(bound: BoundCase, file: MeshFile) -> list[Material]:
    """The material of each body of the mesh: later entries of the case win. Raises StageError for a bare body."""
    found: list[Material | None] = [None] * len(file.bodies)
    pairs: Sequence[tuple[Body, Material]] = bound.materials
    for body, material in pairs:
        for i in indices(file, body.on):
            found[i] = material
    if bound.case.domain.kind in ("inside", "around"):
        # what is meshed there is the fluid, whatever the bodies of the part are called
        found = [m if m is not None and is_fluid(m) else fluid_of(bound) for m in found]
    bare = [body["name"] for body, m in zip(file.bodies, found, strict=True) if m is None]
    if bare:
        raise StageError("no-material", f"The body {bare[0]} has no material.", "Add an entry under bodies.")
    return [m for m in found if m is not None]


class Bodies:
    """The whole mesh, and the fluid of it as a mesh of its own.

    whole : every body; fluid : the bodies that flow, on the same ranks; the same object where nothing is solid
    cells : (fluid cells,) number in `whole` of each cell of `fluid`
    """

    def __init__(self, bound: BoundCase, whole: Part) -> None:
        self.whole = whole
        self.materials = materials(bound, whole.file)
        flows = [i for i, m in enumerate(self.materials) if is_fluid(m)]
        if not flows:
            raise StageError("no-fluid", "No body of the mesh is a fluid.", "Look at the names under bodies.")
        map_ = whole.mesh.topology.index_map(whole.mesh.topology.dim)
        local = map_.size_local + map_.num_ghosts
        self.cells = np.arange(local, dtype=np.int32)
        self.fluid = whole
        if len(flows) < len(self.materials):
            wanted = whole.bodies.indices[np.isin(whole.bodies.values, flows)]
            mesh, cells, *_ = dmesh.create_submesh(whole.mesh, whole.mesh.topology.dim, wanted)
            own = np.arange(len(wanted), dtype=np.int32)
            self.cells = np.asarray(cells.sub_topology_to_topology(own, False), dtype=np.int32)
            self.fluid = _part_of(whole, mesh, self.cells)

    @property
    def conjugate(self) -> bool:
        return self.fluid is not self.whole

    def field(self, value: str, default: float = 0.0) -> Reals:
        """(cells of `whole`,) a property of the materials."""
        per = np.array([getattr(m, value) if getattr(m, value) is not None else default for m in self.materials])
        return per[self.whole.bodies.values]


def _part_of(whole: Part, mesh: dmesh.Mesh, cells: Integers) -> Part:
    """The Part of some cells of another, on a submesh of it; its file has all points, so that numbers stay."""
    file, tdim = whole.file, mesh.topology.dim
    for dims in ((tdim - 1, 0), (tdim - 1, tdim), (tdim, tdim - 1)):
        mesh.topology.create_connectivity(*dims)
    bodies = whole.bodies.values[cells]
    kept = sorted(set(np.concatenate(whole.mesh.comm.allgather(np.unique(bodies))).tolist()))
    of_kept = np.isin(file.cell_body, kept)
    flowing = np.zeros(len(file.points), dtype=bool)
    flowing[file.cells[of_kept].ravel()] = True
    touching = flowing[file.facets].all(axis=1)
    part = MeshFile(
        points=file.points,
        cells=file.cells[of_kept],
        cell_body=file.cell_body[of_kept],
        facets=file.facets[touching],
        facet_face=file.facet_face[touching],
        bodies=file.bodies,
        faces=file.faces,
        selections=file.selections,
        numbers=file.numbers,
    )
    tags = dmesh.meshtags(mesh, tdim, np.arange(len(cells), dtype=np.int32), bodies.astype(np.int32))
    return Part(part, mesh, tags, faces_of(part, mesh))


# --- from the case ----------------------------------------------------------------------------------------------


def velocity_on(bodies: Bodies, flow: Flow) -> fem.Function:
    """The velocity of a flow on the whole mesh, zero in solids."""
    if not bodies.conjugate:
        return flow.u
    V = fem.functionspace(bodies.whole.mesh, ("Lagrange", flow.degree, (flow.dim,)))
    u = fem.Function(V)
    return carry(bodies, flow, u)


def carry(bodies: Bodies, flow: Flow, u: fem.Function) -> fem.Function:
    """Brings `u` of the whole mesh up to date with the flow."""
    if u is not flow.u:
        u.interpolate(flow.u, cells0=np.arange(len(bodies.cells), dtype=np.int32), cells1=bodies.cells)
        u.x.scatter_forward()
    return u


def _facets(bodies: Bodies, condition: OnFaces) -> Integers:
    facets = bodies.whole.facets(condition.on)
    if not bodies.whole.mesh.comm.allreduce(len(facets)):
        raise StageError(
            "no-facets",
            f"{condition.kind} on {', '.join(condition.on)} acts on no outer face.",
            "Faces between two bodies carry no conditions: what leaves one body there enters the other.",
        )
    return facets


def named(condition: OnFaces) -> str:
    return condition.name or f"{condition.kind.replace('_', ' ')}, {', '.join(condition.on)}"


def temperature(bound: BoundCase, bodies: Bodies, u: fem.Function, degree: int = 2) -> Transport:
    """The energy equation of a case. Raises StageError where a condition acts on nothing."""
    base = level(bound)
    kept: list[Kept] = []
    surfaces: list[Surface] = []
    opens: list[Open] = []
    for c in bound.conditions:
        if not isinstance(c, (Inlet, Outlet, Temperature, HeatFlux, HeatFlow, Convection, Radiation)):
            continue
        facets, name = _facets(bodies, c), named(c)
        match c:
            case Inlet():
                kept.append(Kept(name, facets, (c.temperature or base) - base))
            case Outlet():
                opens.append(Open(name, facets, None if c.temperature is None else c.temperature - base))
            case Temperature():
                kept.append(Kept(name, facets, c.value - base))
            case HeatFlux():
                surfaces.append(Surface(name, facets, flux=c.value))
            case HeatFlow():
                surfaces.append(Surface(name, facets, flux=c.value / area(bodies.whole, facets)))
            case Convection():
                surfaces.append(Surface(name, facets, coefficient=c.coefficient, ambient=c.ambient - base))
            case Radiation():
                grey = c.emissivity if c.emissivity is not None else _emissivity(bodies, facets, name)
                surfaces.append(Surface(name, facets, emissivity=grey, far=c.surroundings))
    heat = Transport(bodies.whole, u, base, _inlets_first(kept, bound), surfaces, opens, degree=degree)
    heat.conductivity.x.array[:] = bodies.field("thermal_conductivity")
    heat.capacity.x.array[:] = bodies.field("density") * bodies.field("specific_heat")
    heat.source.x.array[:] = _sources(bound, bodies)
    return heat


def _inlets_first(kept: list[Kept], bound: BoundCase) -> list[Kept]:
    """At the rim of an inlet the fluid that enters wins: a wall's temperature there would be carried in."""
    inlets = {named(c) for c in bound.conditions if isinstance(c, Inlet)}
    return sorted(kept, key=lambda k: k.name not in inlets)


def _emissivity(bodies: Bodies, facets: Integers, name: str) -> float:
    mesh = bodies.whole.mesh
    cells = mesh.topology.connectivity(mesh.topology.dim - 1, mesh.topology.dim)
    of = {int(bodies.whole.bodies.values[cells.links(f)[0]]) for f in facets}
    given = {bodies.materials[i].emissivity for of_rank in mesh.comm.allgather(of) for i in of_rank}
    if len(given) != 1 or None in given:
        raise StageError(
            "no-emissivity",
            f"{name} needs one emissivity; the materials behind its faces give {len(given - {None})}.",
            "Write emissivity: into the condition (0.9 for most ceramics and paints, 0.1 for bare metal).",
        )
    return float(given.pop() or 0.0)


def area(part: Part, facets: Integers) -> float:
    """Of facets over all ranks [m2]; in a plane for one metre of depth."""
    mesh = part.mesh
    tags = dmesh.meshtags(mesh, mesh.topology.dim - 1, np.sort(facets), np.ones(len(facets), dtype=np.int32))
    ds = ufl.Measure("ds", domain=mesh, subdomain_data=tags, metadata={"quadrature_degree": 4})(1)
    return float(mesh.comm.allreduce(fem.assemble_scalar(form(fem.Constant(mesh, 1.0) * ds)), MPI.SUM))


def _sources(bound: BoundCase, bodies: Bodies) -> Reals:
    """(cells,) heat of each cell [W/m3]."""
    tags, file = bodies.whole.bodies, bodies.whole.file
    q = np.zeros(len(tags.values))
    for c in bound.conditions:
        if isinstance(c, (HeatSource, Dissipation)):
            chosen = indices(file, c.bodies)
            if not chosen:
                raise StageError("unknown-body", f"{c.kind} is in {c.bodies}, which the mesh has not.",
                                 f"Its bodies are {', '.join(b['name'] for b in file.bodies)}.")  # fmt: skip
            volume = sum(file.bodies[i]["volume"] for i in chosen)
            q[np.isin(tags.values, chosen)] += c.value if isinstance(c, HeatSource) else c.value / volume
    return q


def sources(bound: BoundCase, file: MeshFile) -> Iterator[tuple[str, float]]:
    """(name, heat [W]) of each source in bodies."""
    for c in bound.conditions:
        if isinstance(c, (HeatSource, Dissipation)):
            volume = sum(file.bodies[i]["volume"] for i in indices(file, c.bodies))
            where = c.bodies if isinstance(c.bodies, str) else ", ".join(c.bodies)
            yield (
                c.name or f"{c.kind.replace('_', ' ')}, {where}",
                c.value * volume if isinstance(c, HeatSource) else c.value,
            )


def concentration(bound: BoundCase, flow: Flow) -> Transport:
    """A dye that the inlets bring, in the fluid alone."""
    kept = [Kept(named(c), flow.part.facets(c.on), c.concentration or 0.0)
            for c in bound.conditions if isinstance(c, Inlet)]  # fmt: skip
    opens = [Open(named(c), flow.part.facets(c.on)) for c in bound.conditions if isinstance(c, Outlet)]
    dye = Transport(flow.part, flow.u, 0.0, kept, (), opens, name="concentration", degree=flow.degree)
    dye.capacity.x.array[:] = 1.0
    dye.conductivity.x.array[:] = bound.params.scalar_diffusivity
    return dye


def residence_time(bound: BoundCase, flow: Flow) -> Transport:
    """The mean age of the fluid since it entered [s]: u . grad a = div(D grad a) + 1.

    P. V. Danckwerts, Chem. Eng. Sci. 2 (1953) 1-13; M. Liu, J. N. Tilton, AIChE J. 56 (2010) 2561-2572. Without a
    diffusivity in the case that of a dye in a liquid of this viscosity is taken, Schmidt number 1000.
    """
    kept = [Kept(named(c), flow.part.facets(c.on), 0.0) for c in bound.conditions if isinstance(c, Inlet)]
    opens = [Open(named(c), flow.part.facets(c.on), 0.0) for c in bound.conditions if isinstance(c, Outlet)]
    age = Transport(flow.part, flow.u, 0.0, kept, (), opens, name="age of the fluid", degree=flow.degree)
    age.capacity.x.array[:] = 1.0
    age.conductivity.x.array[:] = bound.params.scalar_diffusivity or flow.fluid.nu / 1000
    age.source.x.array[:] = 1.0
    return age
