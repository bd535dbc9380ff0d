"""Stresses better than those of the elements: superconvergent patch recovery on quadratic tetrahedra.

Around each vertex a quadratic polynomial is fitted to the element stresses at their superconvergent points; inside
a cell the four polynomials of its vertices are blended with the barycentric coordinates. A patch never reaches
across a change of material, where stresses jump. What a patch is made from are sums over cells, so over MPI each
rank adds the cells it owns and the sums are exchanged: the answer does not depend on the number of ranks.

Method: O. C. Zienkiewicz, J. Z. Zhu, The superconvergent patch recovery and a posteriori error estimates,
Int. J. Numer. Methods Eng. 33 (1992) 1331-1364; the blending: N.-E. Wiberg, F. Abdulwahab, S. Ziukas, 37 (1994)
3417-3440.

Stresses are written as six components: xx, yy, zz, xy, yz, xz.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dolfinx_solver  # noqa: F401 - loads MPI ahead of the bindings

# isort: split
import basix
import dolfinx
import numpy as np
import numpy.typing as npt
from dolfinx import la
from mpi4py import MPI
from scipy import sparse

type Reals = npt.NDArray[np.float64]
type Integers = npt.NDArray[np.int32]

#: Tensor components of the six stress components.
COMPONENTS = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2))
#: Order of the displacement -> where its stresses are superconvergent: the points of the rule of that degree.
SAMPLES = {order: basix.make_quadrature(basix.CellType.tetrahedron, order)[0] for order in (1, 2)}
#: Order of the displacement -> terms of the polynomials of the same order.
_TERMS = {1: 4, 2: 10}
#: Cells worked on at a time: bounds the memory.
_BLOCK = 8192
#: Fewest samples a term and smallest scaled eigenvalue with which a patch stands alone. Patches at
#: the boundary that see less than that extrapolate badly (thick tube: 2.6 % against 1.5 % at the inner face).
_FEWEST, _SMALLEST = 4.8, 1e-5
_VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
#: Pairs of vertices of a tetrahedron, both ways.
_PAIRS = [(a, b) for a in range(4) for b in range(4) if a != b]


@dataclass(frozen=True)
class Cells:
    """The owned cells of a mesh seen at some points of the reference cell.

    mesh : tetrahedra of order 1 or 2
    points : (q, 3) reference coordinates
    """

    mesh: dolfinx.mesh.Mesh
    points: Reals

    @property
    def count(self) -> int:
        return int(self.mesh.topology.index_map(3).size_local)

    def blocks(self, cells: Integers | None = None) -> Iterator[Integers]:
        """The numbers of the owned cells (or of `cells`), some thousand at a time."""
        cells = np.arange(self.count, dtype=np.int32) if cells is None else cells
        for start in range(0, len(cells), _BLOCK):
            yield cells[start : start + _BLOCK]

    def _shapes(self) -> Reals:
        element = self.mesh.ufl_domain().ufl_coordinate_element()
        return np.asarray((element.sub_elements[0] if element.sub_elements else element).tabulate(1, self.points))

    def position(self, cells: Integers) -> Reals:
        """(n, q, 3) coordinates of the points [m]."""
        return np.asarray(self._shapes()[0] @ self.mesh.geometry.x[self.mesh.geometry.dofmaps[0][cells]])

    def jacobian(self, cells: Integers) -> Reals:
        """(n, q, 3, 3) derivatives of position (row) by reference coordinates (column) [m]."""
        nodes = self.mesh.geometry.x[self.mesh.geometry.dofmaps[0][cells]]
        return np.einsum("dqa,nai->nqid", self._shapes()[1:], nodes, optimize=True)

    def strain(self, u: dolfinx.fem.Function, cells: Integers) -> Reals:
        """(n, q, 6) strains of a P1 or P2 displacement, shear as the tensor has it (half the engineering one) [-]."""
        tetrahedron, variant = basix.CellType.tetrahedron, basix.LagrangeVariant.gll_warped
        element = basix.create_element(basix.ElementFamily.P, tetrahedron, order_of(u), variant)
        shapes = element.tabulate(1, self.points)[1:, :, :, 0]
        values = u.x.array.reshape(-1, 3)[u.function_space.dofmap.list[cells]]
        by_reference = np.einsum("dqa,nai->nqid", shapes, values, optimize=True)
        gradient = by_reference @ np.linalg.inv(self.jacobian(cells))
        return np.stack([(gradient[..., i, j] + gradient[..., j, i]) / 2 for i, j in COMPONENTS], axis=-1)

    def stress(self, u: dolfinx.fem.Function, lame: Reals, cells: Integers) -> Reals:
        """(n, q, 6) stresses [Pa] of a displacement. lame : (all cells, 2) mu and lambda [Pa]."""
        strain = self.strain(u, cells)
        mu, lmbda = lame[cells, 0, None, None], lame[cells, 1, None]
        stress = 2 * mu * strain
        stress[..., :3] += (lmbda * strain[..., :3].sum(-1))[..., None]
        return np.asarray(stress)


def energy_product(s: Reals, t: Reals, lame: Reals) -> Reals:
    """s : C^-1 : t of two stresses (n, q, 6) -> (n, q) [J/m3]. lame : (n, 2) mu and lambda [Pa]."""
    mu, lmbda = lame[:, 0, None], lame[:, 1, None]
    traces = s[..., :3].sum(-1) * t[..., :3].sum(-1)
    contraction = (s[..., :3] * t[..., :3]).sum(-1) + 2 * (s[..., 3:] * t[..., 3:]).sum(-1)
    return np.asarray((contraction - lmbda / (3 * lmbda + 2 * mu) * traces) / (2 * mu))


def von_mises(stress: Reals) -> Reals:
    """(..., 6) -> (...) von Mises stress [Pa]."""
    x, y, z, xy, yz, xz = np.moveaxis(stress, -1, 0)
    return np.sqrt(((x - y) ** 2 + (y - z) ** 2 + (z - x) ** 2) / 2 + 3 * (xy**2 + yz**2 + xz**2))


def principal(stress: Reals) -> Reals:
    """(..., 6) -> (..., 3) principal stresses [Pa], the largest first."""
    tensor = np.empty((*stress.shape[:-1], 3, 3))
    for value, (i, j) in zip(np.moveaxis(stress, -1, 0), COMPONENTS, strict=True):
        tensor[..., i, j] = tensor[..., j, i] = value
    return np.linalg.eigvalsh(tensor)[..., ::-1]


def order_of(u: dolfinx.fem.Function) -> int:
    """Order of a displacement: 1 or 2."""
    return 2 if u.function_space.dofmap.list.shape[1] == 10 else 1


def lame_of(mu: dolfinx.fem.Function, lmbda: dolfinx.fem.Function) -> Reals:
    """Two DG0 functions as (all local cells, 2) [Pa]."""
    return np.column_stack([f.x.array[f.function_space.dofmap.list[:, 0]] for f in (mu, lmbda)])


def _basis(d: Reals) -> Reals:
    """(..., 3) -> (..., 10): the monomials up to degree 2."""
    x, y, z = np.moveaxis(d, -1, 0)
    return np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, y * z, x * z], axis=-1)


def _translation(shift: Reals, stretch: Reals) -> Reals:
    """T (n, 10, 10) with ``basis(stretch * d + shift) == T @ basis(d)``."""
    t = np.zeros((len(shift), 10, 10))
    t[:, 0, 0] = 1
    for i in range(3):
        t[:, 1 + i, 0], t[:, 1 + i, 1 + i] = shift[:, i], stretch
        t[:, 4 + i, 0], t[:, 4 + i, 1 + i], t[:, 4 + i, 4 + i] = shift[:, i] ** 2, 2 * stretch * shift[:, i], stretch**2
    for row, (i, j) in zip((7, 8, 9), ((0, 1), (1, 2), (0, 2)), strict=True):
        t[:, row, 0], t[:, row, row] = shift[:, i] * shift[:, j], stretch**2
        t[:, row, 1 + i], t[:, row, 1 + j] = stretch * shift[:, j], stretch * shift[:, i]
    return t


@dataclass(frozen=True)
class _Loan:
    """Deficient patches borrow the sums of their neighbours: `to` += times * translation @ sums of `of`."""

    to: Integers
    of: Integers
    times: Reals
    translation: Reals


class _Patches:
    """The patches of one material: centres, scales and normal equations, for any number of recoveries.

    Collective. material : (owned cells,) True where the cells are of it; order : of the displacement
    """

    def __init__(self, mesh: dolfinx.mesh.Mesh, material: npt.NDArray[np.bool_], order: int) -> None:
        self.terms = _TERMS[order]
        topology = mesh.topology
        topology.create_connectivity(3, 0)
        self._map = topology.index_map(0)
        self._size = self._map.size_local + self._map.num_ghosts
        vertices = topology.connectivity(3, 0).array.reshape(-1, 4)
        self.sampled = Cells(mesh, SAMPLES[order])
        self.cells = np.flatnonzero(material).astype(np.int32)
        self.corners = vertices
        corner_nodes = mesh.geometry.dofmaps[0][:, :4]
        self.centre = np.zeros((self._size, 3))
        self.centre[vertices.ravel()] = mesh.geometry.x[corner_nodes.ravel()]

        local = vertices[self.cells]
        middle = mesh.geometry.x[corner_nodes[self.cells]].mean(axis=1)
        away = ((self.centre[local] - middle[:, None]) ** 2).sum(-1)
        sums = self._add(local.ravel(), np.column_stack([away.ravel(), np.ones(local.size)]))
        self.scale = 1.5 * np.sqrt(sums[:, 0] / np.maximum(sums[:, 1], 1))
        self.scale[sums[:, 1] == 0] = 1.0
        self.active = sums[:, 1] > 0

        matrix = self._sum_over_cells(None).reshape(-1, self.terms, self.terms)
        self._loans: list[_Loan] = []
        poor = self.active & (
            (sums[:, 1] * len(SAMPLES[order]) < _FEWEST * self.terms)
            | (_smallest_eigenvalue(matrix, self.active) < _SMALLEST)
        )
        for _ in range(3):
            if not mesh.comm.allreduce(int(poor.sum()), MPI.SUM):
                break
            loan = self._borrow(poor)
            self._loans.append(loan)
            turned = loan.translation @ matrix[loan.of] @ loan.translation.transpose(0, 2, 1)
            lent = self._add(loan.to, turned.reshape(-1, self.terms**2), loan.times)
            matrix = matrix + lent.reshape(matrix.shape)
            poor = self.active & (_smallest_eigenvalue(matrix, self.active) < _SMALLEST)
        self._inverse = np.zeros_like(matrix)
        root = np.sqrt(np.maximum(np.einsum("naa->na", matrix), 1e-300))
        scaled = matrix / root[:, :, None] / root[:, None, :]
        sound = self.active & ~poor
        self._inverse[sound] = np.linalg.inv(scaled[sound])
        # a part of a few cells may leave terms undetermined for good: then no more curvature than the samples ask for
        curved = 1e-6 * np.diag(np.arange(self.terms) >= 4)
        self._inverse[poor] = np.linalg.pinv(scaled[poor] + curved, rcond=1e-12, hermitian=True)
        self._inverse /= root[:, :, None] * root[:, None, :]

    def _add(self, to: Integers, values: Reals, times: Reals | None = None) -> Reals:
        """Sum (n, k) values, each `times`, into the (n,) local vertices `to`, over all ranks -> (vertices, k)."""
        weights = np.ones(len(to)) if times is None else times
        gather = sparse.csr_matrix((weights, (to, np.arange(len(to)))), shape=(self._size, len(to)))
        return add_over_ranks(self._map, gather @ values)

    def _sum_over_cells(self, values: Reals | None) -> Reals:
        """Normal matrices (vertices, t**2), or for `values` (cells, q, k) right-hand sides (vertices, t * k)."""
        width = self.terms * (self.terms if values is None else values.shape[2])
        sums = np.zeros((self._size, width))
        for start in range(0, len(self.cells), _BLOCK):
            cells = self.cells[start : start + _BLOCK]
            x = self.sampled.position(cells)
            for k in range(4):
                vertex = self.corners[cells, k]
                d = (x - self.centre[vertex][:, None]) / self.scale[vertex][:, None, None]
                basis = _basis(d)[..., : self.terms]
                # near samples count more: the polynomial is used near the vertex
                weighted = (basis / (0.3 + (d**2).sum(-1))[..., None] ** 2).transpose(0, 2, 1)
                products = weighted @ (basis if values is None else values[start : start + _BLOCK])
                rows, inverse = np.unique(vertex, return_inverse=True)
                gather = sparse.csr_matrix((np.ones(len(vertex)), (inverse, np.arange(len(vertex)))))
                sums[rows] += gather @ products.reshape(len(vertex), width)
        return add_over_ranks(self._map, sums)

    def _borrow(self, poor: npt.NDArray[np.bool_]) -> _Loan:
        """Who of `poor` borrows from whom: all its neighbours, as often as they share a cell of this rank."""
        local = self.corners[self.cells]
        to = np.concatenate([local[:, a] for a, _ in _PAIRS])
        of = np.concatenate([local[:, b] for _, b in _PAIRS])
        pairs = to[poor[to]].astype(np.int64) * self._size + of[poor[to]]
        pairs, times = np.unique(pairs, return_counts=True)
        to, of = pairs // self._size, pairs % self._size
        shift = (self.centre[of] - self.centre[to]) / self.scale[to][:, None]
        translation = _translation(shift, self.scale[of] / self.scale[to])[:, : self.terms, : self.terms]
        return _Loan(to, of, times.astype(float), translation)

    def fit(self, values: Reals) -> Reals:
        """Values at the samples of the material's cells (cells, q, k) -> coefficients (vertices, terms, k)."""
        count = values.shape[2]
        right = self._sum_over_cells(values).reshape(-1, self.terms, count)
        for loan in self._loans:
            turned = (loan.translation @ right[loan.of]).reshape(-1, self.terms * count)
            right = right + self._add(loan.to, turned, loan.times).reshape(right.shape)
        return np.asarray(self._inverse @ right)


def _smallest_eigenvalue(matrix: Reals, active: npt.NDArray[np.bool_]) -> Reals:
    """Of each matrix (n, t, t) scaled to a unit diagonal: 0 where it is singular -> (n,)."""
    smallest = np.zeros(len(matrix))
    root = np.sqrt(np.maximum(np.einsum("naa->na", matrix[active]), 1e-300))
    smallest[active] = np.linalg.eigvalsh(matrix[active] / root[:, :, None] / root[:, None, :])[:, 0]
    return smallest


class Recovery:
    """Recovers stresses on one mesh; what does not depend on the displacement is made once.

    Collective over the mesh's ranks.
    mesh : tetrahedra of order 1 or 2; lame : (all local cells, 2) mu and lambda [Pa], see :func:`lame_of`
    order : of the displacements
    """

    def __init__(self, mesh: dolfinx.mesh.Mesh, lame: Reals, order: int = 2) -> None:
        self.mesh, self.lame, self.order = mesh, lame, order
        own = lame[: mesh.topology.index_map(3).size_local]
        kinds = np.unique(np.concatenate(mesh.comm.allgather(np.unique(own, axis=0))), axis=0)
        self.material = (
            np.array([np.flatnonzero((kinds == row).all(1))[0] for row in lame])
            if len(kinds) > 1
            else (np.zeros(len(lame), dtype=int))
        )
        self.patches = [_Patches(mesh, self.material[: len(own)] == m, order) for m in range(len(kinds))]

    def recover(self, u: dolfinx.fem.Function) -> RecoveredStress:
        """The recovered stress of a displacement [m] of the order given."""
        fitted = []
        for patches in self.patches:
            blocks = [patches.sampled.stress(u, self.lame, c) for c in patches.sampled.blocks(patches.cells)]
            values = np.concatenate(blocks) if blocks else np.zeros((0, len(SAMPLES[self.order]), 6))
            fitted.append(patches.fit(values))
        return RecoveredStress(self, fitted)

    def evaluate(self, fitted: list[Reals], points: Reals, cells: Integers) -> Reals:
        """(n, q, 6) recovered stresses [Pa] at reference `points` (q, 3) of owned `cells` (n,)."""
        barycentric = np.column_stack([1 - points.sum(1), points])
        stress = np.zeros((len(cells), len(points), 6))
        x = Cells(self.mesh, points).position(cells)
        for m, patches in enumerate(self.patches):
            of = self.material[cells] == m
            for k in range(4):
                vertex = patches.corners[cells[of], k]
                d = (x[of] - patches.centre[vertex][:, None]) / patches.scale[vertex][:, None, None]
                stress[of] += barycentric[None, :, k, None] * (_basis(d)[..., : patches.terms] @ fitted[m][vertex])
        return stress


@dataclass(frozen=True)
class RecoveredStress:
    """A recovered stress field: continuous inside each material.

    fitted : a material each: (local vertices, terms, 6) coefficients of the patches' polynomials
    """

    recovery: Recovery
    fitted: list[Reals]

    def at(self, points: Reals, cells: Integers) -> Reals:
        """(n, q, 6) [Pa] at reference `points` (q, 3) of the owned `cells` (n,)."""
        return self.recovery.evaluate(self.fitted, points, cells)

    def at_nodes(self, space: dolfinx.fem.FunctionSpace) -> Reals:
        """(local nodes, 6) [Pa] at the nodes of a Lagrange space of order 1 or 2 (blocked or not), ghosts included.

        Where materials meet, the one with the larger von Mises stress there speaks for the node. Collective.
        """
        mesh, dofs = self.recovery.mesh, space.dofmap.list
        index_map = space.dofmap.index_map
        points = _VERTICES
        if dofs.shape[1] == 10:
            edges = basix.topology(basix.CellType.tetrahedron)[1]
            points = np.concatenate([_VERTICES, [_VERTICES[list(edge)].mean(0) for edge in edges]])
        stress = np.zeros((index_map.size_local + index_map.num_ghosts, 6))
        largest = np.full(len(stress), -1.0)
        for patches in self.recovery.patches:
            found = np.zeros((len(stress), 7))
            for cells in Cells(mesh, points).blocks(patches.cells):
                found[dofs[cells].ravel(), :6] = self.at(points, cells).reshape(-1, 6)
                found[dofs[cells].ravel(), 6] = 1
            found = add_over_ranks(index_map, found)
            found = found[:, :6] / np.maximum(found[:, 6:], 1) * (found[:, 6:] > 0)
            size = von_mises(found)
            better = size > largest
            stress[better], largest[better] = found[better], size[better]
        return stress

    def at_place(self, place: Reals) -> Reals:
        """(6,) [Pa] at a point [m] of the part, the same on every rank. Collective."""
        mesh = self.recovery.mesh
        cell, reference, inside = locate(mesh, place)
        best = mesh.comm.allreduce((inside, mesh.comm.rank), MPI.MAXLOC)
        stress = None
        if best[1] == mesh.comm.rank:
            stress = self.at(reference[None], np.array([cell], dtype=np.int32))[0, 0]
        return np.asarray(mesh.comm.bcast(stress, root=best[1]))


def add_over_ranks(index_map: dolfinx.common.IndexMap, values: Reals) -> Reals:
    """Add what all ranks have for the same entities (local entities, k); ghosts get the sum too. Collective."""
    if index_map.comm.size == 1:
        return values
    vector = la.vector(index_map, values.shape[1], dtype=np.float64)
    vector.array[:] = values.ravel()
    vector.scatter_reverse(la.InsertMode.add)
    vector.scatter_forward()
    return np.array(vector.array).reshape(values.shape)


def locate(mesh: dolfinx.mesh.Mesh, place: Reals) -> tuple[int, Reals, float]:
    """The owned cell nearest to a point [m]: (cell, its reference coordinates (3,), how far inside).

    The last is the smallest barycentric coordinate: negative outside, -inf on a rank without cells.
    """
    count = mesh.topology.index_map(3).size_local
    if count == 0:
        return -1, np.zeros(3), -np.inf
    nodes = mesh.geometry.x[mesh.geometry.dofmaps[0][:count, :4]]
    edges = (nodes[:, 1:] - nodes[:, :1]).transpose(0, 2, 1)
    reference = np.linalg.solve(edges, (place - nodes[:, 0])[..., None])[..., 0]
    near = np.argsort(-np.minimum(reference.min(1), 1 - reference.sum(1)))[:20].astype(np.int32)
    best = (-1, np.zeros(3), -np.inf)
    for cell in near.reshape(-1, 1):
        x = reference[cell[0]].copy()
        for _ in range(8):  # on a curved cell the straight one was only a first guess
            here = Cells(mesh, x[None])
            x = x + np.linalg.solve(here.jacobian(cell)[0, 0], place - here.position(cell)[0, 0])
        inside = float(min(x.min(), 1 - x.sum()))
        if inside > best[2]:
            best = (int(cell[0]), x, inside)
    return best
