"""The temperature of a part: conductances, loads, and their solution.

Unknown is the temperature above a level near those of the case, so that small differences keep their digits. The
numbers of a case are constants of the forms, never part of them: three compiled forms serve every case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import numpy.typing as npt

from solvers.fem.mesh import Part  # first, for it loads MPI ahead of the bindings

# isort: split
import dolfinx
import dolfinx.fem.petsc as fp
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc
from scipy import sparse

from hub.solver import BoundCase, Condition, StageError
from solvers.fem.heat.conditions import Convection, Dissipation, HeatSource, InBodies, Temperature, contradictions

type Reals = npt.NDArray[np.float64]
type Integers = npt.NDArray[np.int32]

#: Largest problem that is solved by factors unless asked for [unknowns].
DIRECT = 60_000
MAX_ITERATIONS = 1000
#: Of the quadrature: exact on straight cells and facets for all forms.
DEGREE = 4

_prefixes = count()


@dataclass(frozen=True)
class Acting:
    """A condition where it acts.

    facets : outer facets of this rank; cells : of this rank, for a condition in bodies
    size : area [m2] or volume [m3] over all ranks
    """

    condition: Condition
    facets: Integers
    cells: Integers
    size: float

    @property
    def name(self) -> str:
        where = self.condition.on or getattr(self.condition, "bodies", ())
        shown = where if isinstance(where, str) else ", ".join(where)
        return self.condition.name or f"{self.condition.kind.replace('_', ' ')}, {shown}"


@dataclass
class Conduction:
    """The equations of a case on a mesh. Collective over ``part.mesh.comm``.

    V : P2 scalars; k : DG0 conductivity [W/m/K]; level : what temperatures are counted from [K]
    acting : the conditions in the order of the case
    A : conductances without prescribed temperatures [W/K]; b : heat that enters at the nodes [W]
    held : (local nodes,) True where the temperature is prescribed; values : (local nodes,) it, above `level` [K]
    clash : indices of temperature conditions that meet another temperature at an edge: their heat has no limit
    Raises StageError where the case and the mesh do not go together.
    """

    bound: BoundCase
    part: Part
    watch: Callable[[int, float], None] = lambda step, residual: None
    iterations: int = field(default=0, init=False)
    residual: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        mesh, self.comm = self.part.mesh, self.part.mesh.comm
        found = list(contradictions(self.bound, {n: set(f) for n, f in self.part.file.selections.items()}))
        if found:
            raise StageError("contradiction", str(found[0]), found[0].todo)
        self.V = fem.functionspace(mesh, ("Lagrange", 2))
        self._DG0 = fem.functionspace(mesh, ("DG", 0))
        self._f = fem.Function(self._DG0)
        self._volume = fem.form(self._f * ufl.TestFunction(self.V) * self._dx())
        self.own = self.V.dofmap.index_map.size_local
        self.k = self._conductivity()
        self.acting = tuple(self._where(c) for c in self.bound.conditions)
        given = [getattr(c, "value" if isinstance(c, Temperature) else "ambient", None) for c in self.bound.conditions
                 if isinstance(c, (Temperature, Convection))]  # fmt: skip
        self.level = float(np.mean(given))
        self._held_everywhere()
        self._hold()
        self.A, self.b = self._matrix(), self._loads()
        self._constrained = self.A.copy()
        rows = np.flatnonzero(self.held[: self.own]) + self.V.dofmap.index_map.local_range[0]
        self._constrained.zeroRowsColumns(rows.astype(np.int32), float(self.k.x.array.max(initial=0.0)) or 1.0)
        self._constrained.setOption(PETSc.Mat.Option.SPD, True)
        self._ksp = self._solver()

    # --- where conditions act ---

    def _where(self, condition: Condition) -> Acting:
        none = np.empty(0, dtype=np.int32)
        if isinstance(condition, InBodies):
            cells = self._cells(condition)
            return Acting(condition, none, cells, float(self._sum(self.volume_load(cells, 1.0))))
        facets = self.part.facets(condition.on)
        if not self.comm.allreduce(len(facets)):
            raise StageError(
                "no-facets",
                f"{condition.kind} on {', '.join(condition.on)} acts on no outer face of the part.",
                "Faces between two bonded bodies carry no conditions: select outer faces.",
            )
        return Acting(condition, facets, none, float(self._sum(self.face_load(facets, 1.0))))

    def _cells(self, condition: InBodies) -> Integers:
        names = [body["name"] for body in self.part.file.bodies]
        wanted = [condition.bodies] if isinstance(condition.bodies, str) else list(condition.bodies)
        unknown = [name for name in wanted if name not in names and name != "all"]
        if unknown:
            raise StageError(
                "unknown-body",
                f"{condition.kind} is in the body {unknown[0]}, which the part has not; it has {', '.join(names)}.",
                "Correct the name; `officina check` lists the bodies of the part.",
            )
        chosen = [i for i, name in enumerate(names) if name in wanted or "all" in wanted]
        return self.part.bodies.indices[np.isin(self.part.bodies.values, chosen)]

    def _conductivity(self) -> fem.Function:
        bodies = self.part.file.bodies
        of_body = np.full(len(bodies), np.nan)
        for body, material in self.bound.materials:
            names = (body.on,) if isinstance(body.on, str) else body.on
            of_body[[i for i, known in enumerate(bodies) if known["name"] in names or "all" in names]] = (
                material.thermal_conductivity
            )
        if np.isnan(of_body).any():
            bare = bodies[int(np.flatnonzero(np.isnan(of_body))[0])]["name"]
            raise StageError(
                "no-material", f"The body {bare} has no material.", "Name it under bodies, or use on: all."
            )
        k = fem.Function(self._DG0)
        k.x.array[self._DG0.dofmap.list[:, 0]] = of_body[self.part.bodies.values]
        return k

    def _held_everywhere(self) -> None:
        """Raises StageError where a piece of the part is joined to nothing that sets its temperature."""
        file = self.part.file
        corners = file.cells[:, :4]
        pairs = (np.repeat(corners[:, 0], 3), corners[:, 1:].ravel())
        graph = sparse.coo_matrix((np.ones(len(pairs[0]), dtype=bool), pairs), shape=2 * (len(file.points),))
        _, piece = sparse.csgraph.connected_components(graph, directed=False)
        set_by = [c for c in self.bound.conditions if isinstance(c, (Temperature, Convection))]
        faces = {face for c in set_by for name in c.on for face in file.selections[name]}
        level = piece[file.facets[np.isin(file.facet_face, list(faces)), 0]]
        adrift = ~np.isin(piece[corners[:, 0]], level)
        if adrift.any():
            body = file.bodies[int(file.cell_body[adrift][0])]["name"]
            raise StageError(
                "no-level",
                f"The body {body} touches nothing that sets its temperature, so that any level would fit.",
                "Give it a temperature or a convection, or join the bodies (contacts: bonded).",
            )

    def _hold(self) -> None:
        index_map = self.V.dofmap.index_map
        size = index_map.size_local + index_map.num_ghosts
        self.held, self.values = np.zeros(size, dtype=bool), np.zeros(size)
        self.nodes: dict[int, Integers] = {}
        by, clash = np.full(size, -1), set()
        for i, acting in enumerate(self.acting):
            if not isinstance(acting.condition, Temperature):
                continue
            # every rank must ask, for a node at the border of a rank may be held by a facet of another rank only
            nodes = fem.locate_dofs_topological(self.V, 2, acting.facets, remote=True)
            above = acting.condition.value - self.level
            differ = nodes[self.held[nodes] & (self.values[nodes] != above)]
            clash |= {i, *by[differ].tolist()} if len(differ) else set()
            self.held[nodes], self.values[nodes], by[nodes] = True, above, i
        self.clash = set().union(*self.comm.allgather(clash))
        for i in np.unique(by[by >= 0]):
            self.nodes[int(i)] = np.flatnonzero(by == i).astype(np.int32)

    # --- assembly ---

    def _dx(self) -> ufl.Measure:
        return ufl.Measure("dx", domain=self.part.mesh, metadata={"quadrature_degree": DEGREE})

    def _ds(self, facets: Integers) -> ufl.Measure:
        tags = dmesh.meshtags(self.part.mesh, 2, facets, np.ones(len(facets), dtype=np.int32))
        metadata = {"quadrature_degree": DEGREE}
        return ufl.Measure("ds", domain=self.part.mesh, subdomain_data=tags, metadata=metadata)(1)

    def _matrix(self) -> PETSc.Mat:
        u, v = ufl.TrialFunction(self.V), ufl.TestFunction(self.V)
        forms = [fem.form(self.k * ufl.inner(ufl.grad(u), ufl.grad(v)) * self._dx())]
        for acting in self.acting:
            if isinstance(acting.condition, Convection):
                h = fem.Constant(self.part.mesh, acting.condition.coefficient)
                forms.append(fem.form(h * u * v * self._ds(acting.facets)))
        A = fp.create_matrix(forms[0])
        for form in forms:
            dolfinx.cpp.fem.petsc.assemble_matrix(
                A, form._cpp_object, fem.pack_constants(form), fem.pack_coefficients(form), []
            )
        A.assemble()
        return A

    def face_load(self, facets: Integers, value: float) -> Reals:
        """(owned nodes,) integral over facets of value times the shape functions."""
        g = fem.Constant(self.part.mesh, value)
        return self._vector(fem.form(g * ufl.TestFunction(self.V) * self._ds(facets)))

    def volume_load(self, cells: Integers, value: float) -> Reals:
        """(owned nodes,) integral over cells of value times the shape functions."""
        self._f.x.array[:] = 0.0
        self._f.x.array[self._DG0.dofmap.list[cells, 0]] = value
        return self._vector(self._volume)

    def _vector(self, form: fem.Form) -> Reals:
        b = fem.assemble_vector(form)
        b.scatter_reverse(dolfinx.la.InsertMode.add)
        return b.array[: self.own].copy()

    def entering(self, acting: Acting) -> Reals:
        """(owned nodes,) heat a condition gives the part at the level temperature [W]."""
        match acting.condition:
            case Convection() as c:
                return self.face_load(acting.facets, c.coefficient * (c.ambient - self.level))
            case Temperature():
                return np.zeros(self.own)
            case HeatSource() as c:
                return self.volume_load(acting.cells, c.value)
            case Dissipation() as c:
                return self.volume_load(acting.cells, c.value / acting.size)
            case c:
                flux = c.value / acting.size if c.kind == "heat_flow" else c.value
                return self.face_load(acting.facets, flux)

    def _loads(self) -> Reals:
        return sum((self.entering(a) for a in self.acting), np.zeros(self.own))

    def _sum(self, values: Reals) -> float:
        return float(self.comm.allreduce(float(values.sum()), MPI.SUM))

    # --- solution ---

    def _solver(self) -> PETSc.KSP:
        size, method = self.V.dofmap.index_map.size_global, self.bound.params.method
        self.direct = method == "direct" or (method == "auto" and size <= DIRECT)
        ksp = PETSc.KSP().create(self.comm)
        prefix = f"heat{next(_prefixes)}_"
        ksp.setOptionsPrefix(prefix)
        ksp.setOperators(self._constrained)
        # factors are used as a preconditioner too: one or two iterations polish what they leave
        ksp.setType("cg")
        ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        ksp.setTolerances(rtol=self.bound.params.tolerance, atol=0.0, max_it=MAX_ITERATIONS)
        if self.direct:
            ksp.getPC().setType("cholesky")
            ksp.getPC().setFactorSolverType("mumps")
        else:
            options = PETSc.Options()
            for key, value in {"pc_type": "gamg", "mg_levels_pc_type": "jacobi"}.items():
                options[prefix + key] = value
        ksp.setFromOptions()
        ksp.setUp()
        return ksp

    def respond(self, b: Reals, g: Reals | None = None) -> fem.Function:
        """The temperature above the level [K] for heat b (owned nodes,) and prescribed g (local nodes,), default 0.

        Raises StageError if it is not found. Collective.
        """
        x = fem.Function(self.V)
        x.x.array[:] = 0.0 if g is None else np.where(self.held, g, 0.0)
        right = b - self.apply(x)
        right[self.held[: self.own]] = 0.0
        rhs = PETSc.Vec().createWithArray(right, comm=self.comm)
        size, correction, r = rhs.norm() or 1.0, rhs.duplicate(), rhs.duplicate()
        self._ksp.setMonitor(lambda _, step, norm: self.watch(step, norm / size))
        self._ksp.solve(rhs, correction)
        self._ksp.cancelMonitor()
        self.iterations = self._ksp.getIterationNumber()
        self._constrained.mult(correction, r)
        r.aypx(-1, rhs)
        self.residual = r.norm() / size
        x.x.array[: self.own] += correction.array
        x.x.scatter_forward()
        if not np.isfinite(self.residual) or self.residual > 10 * self.bound.params.tolerance:
            raise StageError(
                "diverged",
                f"The solution stopped at a residual of {self.residual:.1e} after {self.iterations} iterations; "
                f"{self.bound.params.tolerance:.0e} was asked for.",
                "Look at the worst elements of the mesh; or set method: direct.",
            )
        return x

    def apply(self, x: fem.Function) -> Reals:
        """(owned nodes,) heat that a temperature above the level [K] needs at the nodes [W]."""
        v = PETSc.Vec().createWithArray(x.x.array[: self.own].copy(), comm=self.comm)
        y = v.duplicate()
        self.A.mult(v, y)
        return np.array(y.array)

    def solve(self) -> fem.Function:
        """The temperature above the level [K]."""
        return self.respond(self.b, self.values)

    def heats(self, x: fem.Function) -> Iterator[tuple[Acting, float]]:
        """The heat that enters the part through each condition [W], negative where it leaves."""
        reaction = self.apply(x) - self.b
        for i, acting in enumerate(self.acting):
            if isinstance(acting.condition, Temperature):
                nodes = self.nodes.get(i, np.empty(0, dtype=np.int32))
                yield acting, self._sum(reaction[nodes[nodes < self.own]])
            else:
                heat = self._sum(self.entering(acting))
                if isinstance(acting.condition, Convection):
                    heat -= self._sum(self.face_load(acting.facets, acting.condition.coefficient)
                                      * x.x.array[: self.own])  # fmt: skip
                yield acting, heat
