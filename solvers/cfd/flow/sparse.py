"""Sparse matrices between scalar spaces that act on all components of a velocity at once.

The components share their matrix: it is assembled and read from memory once for all of them. Rows are those a rank
owns, columns may be ghosts; ILU(0) is that of the block a rank owns, or of one that overlaps the others' by a layer.

X.-C. Cai, M. Sarkis, SIAM J. Sci. Comput. 21 (1999) 792-797 (restricted additive Schwarz).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from solvers.cfd.flow.state import Reals, form  # first, for it loads MPI ahead of the bindings

# isort: split
from dolfinx import fem, la
from mpi4py import MPI
from petsc4py import PETSc

from solvers.cfd.flow import factors


@numba.njit(cache=True, fastmath=True)
def _times(rows, columns, data, x, y):  # type: ignore[no-untyped-def]
    """y = A x for 1, 2 or 3 components: x (columns, k), y (rows, k). Two and three components keep to registers."""
    width = y.shape[1]
    if width == 3:
        for i in range(len(rows) - 1):
            s0, s1, s2 = 0.0, 0.0, 0.0
            for k in range(rows[i], rows[i + 1]):
                a, j = data[k], columns[k]
                s0 += a * x[j, 0]
                s1 += a * x[j, 1]
                s2 += a * x[j, 2]
            y[i, 0], y[i, 1], y[i, 2] = s0, s1, s2
    elif width == 2:
        for i in range(len(rows) - 1):
            s0, s1 = 0.0, 0.0
            for k in range(rows[i], rows[i + 1]):
                a, j = data[k], columns[k]
                s0 += a * x[j, 0]
                s1 += a * x[j, 1]
            y[i, 0], y[i, 1] = s0, s1
    else:
        for i in range(len(rows) - 1):
            s0 = 0.0
            for k in range(rows[i], rows[i + 1]):
                s0 += data[k] * x[columns[k], 0]
            y[i, 0] = s0


@numba.njit(cache=True, fastmath=True)
def _spread(rows, columns, data, x, y):  # type: ignore[no-untyped-def]
    """y = A x from a scalar to components: data (entries, k), x (columns,), y (rows, k)."""
    for i in range(len(rows) - 1):
        for c in range(y.shape[1]):
            y[i, c] = 0.0
        for k in range(rows[i], rows[i + 1]):
            for c in range(y.shape[1]):
                y[i, c] += data[k, c] * x[columns[k]]


@numba.njit(cache=True, fastmath=True)
def _collect(rows, columns, data, x, y):  # type: ignore[no-untyped-def]
    """y = A x from components to a scalar: data (entries, k), x (columns, k), y (rows,)."""
    for i in range(len(rows) - 1):
        total = 0.0
        for k in range(rows[i], rows[i + 1]):
            for c in range(x.shape[1]):
                total += data[k, c] * x[columns[k], c]
        y[i] = total


@numba.njit(cache=True)
def _factorise(rows, columns, data, diagonal, own):  # type: ignore[no-untyped-def]
    """ILU(0) in place over the columns below `own`, which are sorted in a row; the inverse diagonal is stored."""
    place = np.full(own, -1, dtype=np.int64)
    for i in range(own):
        for k in range(rows[i], rows[i + 1]):
            if columns[k] < own:
                place[columns[k]] = k
        for k in range(rows[i], rows[i + 1]):
            j = columns[k]
            if j >= i:
                continue
            factor = data[k] * data[diagonal[j]]
            data[k] = factor
            for m in range(diagonal[j] + 1, rows[j + 1]):
                if columns[m] < own and place[columns[m]] >= 0:
                    data[place[columns[m]]] -= factor * data[m]
        data[diagonal[i]] = 1.0 / data[diagonal[i]]
        for k in range(rows[i], rows[i + 1]):
            if columns[k] < own:
                place[columns[k]] = -1


@numba.njit(cache=True, fastmath=True)
def _substitute(rows, columns, data, diagonal, r, y):  # type: ignore[no-untyped-def]
    """y = (L U)^-1 r for 2 or 3 components, (own, k)."""
    own = len(diagonal)
    three = y.shape[1] == 3
    last = y.shape[1] - 1
    for i in range(own):
        s0, s1, s2 = r[i, 0], r[i, 1], r[i, last]
        for k in range(rows[i], diagonal[i]):
            a, j = data[k], columns[k]
            s0 -= a * y[j, 0]
            s1 -= a * y[j, 1]
            if three:
                s2 -= a * y[j, 2]
        y[i, 0], y[i, 1] = s0, s1
        if three:
            y[i, 2] = s2
    for i in range(own - 1, -1, -1):
        s0, s1, s2 = y[i, 0], y[i, 1], y[i, last]
        for k in range(diagonal[i] + 1, rows[i + 1]):
            j = columns[k]
            if j < own:
                a = data[k]
                s0 -= a * y[j, 0]
                s1 -= a * y[j, 1]
                if three:
                    s2 -= a * y[j, 2]
        d = data[diagonal[i]]
        y[i, 0], y[i, 1] = s0 * d, s1 * d
        if three:
            y[i, 2] = s2 * d


class _Incoming:
    """What other ranks own of a vector and a matrix needs: more than the ghosts of the nodes of a rank's cells."""

    def __init__(self, index_map: Any, own: int) -> None:
        self.map, self._own, self._alone = index_map, own, index_map.comm.size == 1
        self._vectors: dict[int, la.Vector] = {}

    def __call__(self, x: Reals) -> Reals:
        """(columns, k) from (own nodes or more, k)."""
        if self._alone:
            return x
        width = x.shape[1]
        if width not in self._vectors:
            self._vectors[width] = la.vector(self.map, bs=width, dtype=np.float64)
        vector = self._vectors[width]
        array = vector.array.reshape(-1, width)
        array[: self._own] = x[: self._own]
        vector.scatter_forward()
        return array


class Matrix:
    """A matrix between scalar spaces, assembled from a bilinear form. Collective.

    rows, columns, data : compressed rows of this rank
    """

    def __init__(self, bilinear: Any) -> None:
        self._form = form(bilinear)
        self._matrix = fem.create_matrix(self._form)
        to, of = self._form.function_spaces
        self.own = to.dofmap.index_map.size_local
        self.incoming = _Incoming(self._matrix.index_map(1), of.dofmap.index_map.size_local)
        size = self._matrix.indptr[self.own]
        self.rows, self.columns = self._matrix.indptr[: self.own + 1], self._matrix.indices[:size]
        self.data = self._matrix.data[:size]

    def assemble(self) -> Matrix:
        self._matrix.set_value(0.0)
        fem.assemble_matrix(self._matrix, self._form)
        self._matrix.scatter_reverse()
        return self

    def times(self, x: Reals, y: Reals | None = None) -> Reals:
        """(own, k): the matrix times (own nodes or more, k)."""
        y = np.empty((self.own, x.shape[1])) if y is None else y
        _times(self.rows, self.columns, self.data, self.incoming(x), y)
        return y


class Coupling:
    """One matrix a component with one pattern: gradients and divergences between velocity and pressure. Collective.

    of_component : the bilinear form of a component, None to share nothing
    """

    def __init__(self, of_component: Callable[[int], Any], dim: int) -> None:
        parts = [Matrix(of_component(i)).assemble() for i in range(dim)]
        first = parts[0]
        self.own, self.rows, self.columns = first.own, first.rows.copy(), first.columns.copy()
        self._incoming = first.incoming
        self.data = np.column_stack([part.data for part in parts])

    def spread(self, x: Reals) -> Reals:
        """(own, dim) from a scalar (own nodes or more,)."""
        y = np.empty((self.own, self.data.shape[1]))
        _spread(self.rows, self.columns, self.data, self._incoming(x[:, None])[:, 0], y)
        return y

    def collect(self, x: Reals) -> Reals:
        """(own,) from components (own nodes or more, dim)."""
        y = np.empty(self.own)
        _collect(self.rows, self.columns, self.data, self._incoming(x), y)
        return y


class _Layer:
    """The rows of a square matrix that this rank's rows refer to and other ranks own, as far as both know. Collective.

    starts, columns : compressed rows, one a ghost column of the matrix, in local numbers
    """

    def __init__(self, matrix: Matrix) -> None:
        known, own = matrix.incoming.map, matrix.own
        self._comm, first, ghosts = known.comm, known.local_range[0], known.ghosts
        here = np.concatenate([np.arange(first, first + own), ghosts])
        where = [np.flatnonzero(known.owners == rank) for rank in range(self._comm.size)]
        asked = self._comm.alltoall([ghosts[rows] for rows in where])
        self._sent = [_entries(matrix.rows, rows - first) for rows in asked]
        got = self._comm.alltoall([
            (np.diff(matrix.rows)[rows - first], here[matrix.columns[entries]])
            for rows, entries in zip(asked, self._sent, strict=True)
        ])  # fmt: skip
        row = np.concatenate([np.repeat(rows, lengths) for rows, (lengths, _) in zip(where, got, strict=True)])
        column = np.concatenate([columns for _, columns in got])
        by_number = np.argsort(here)
        at = np.minimum(np.searchsorted(here, column, sorter=by_number), len(here) - 1)
        local = by_number[at]
        kept = np.flatnonzero(here[local] == column)
        self._kept = kept[np.lexsort((local[kept], row[kept]))]
        self.columns = local[self._kept].astype(np.int32)
        self.starts = np.append(0, np.cumsum(np.bincount(row[kept], minlength=len(ghosts))))

    def values(self, data: Reals) -> Reals:
        """(entries,) of the rows, from this rank's part of the matrix."""
        return np.concatenate(self._comm.alltoall([data[entries] for entries in self._sent]))[self._kept]


def _entries(starts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Places of what compressed rows hold, row by row."""
    return np.concatenate([np.empty(0, dtype=np.int64), *(np.arange(starts[i], starts[i + 1]) for i in rows)])


class Factors:
    """ILU(0) of the block of a square matrix that this rank owns, with some nodes held. Collective.

    overlap : whether the block reaches one layer into those of other ranks, which costs its symmetry
    fixed : (nodes with ghosts,) True where the row is that of the identity
    whole : whether the block is factorised completely instead, which takes much more memory
    """

    def __init__(self, matrix: Matrix, *, overlap: bool = True) -> None:
        self.matrix, self.rows, self.columns, self._layer = matrix, matrix.rows, matrix.columns, None
        if overlap and matrix.incoming.map.comm.size > 1:
            self._layer = _Layer(matrix)
            self.rows = np.concatenate([matrix.rows, matrix.rows[-1] + self._layer.starts[1:]]).astype(
                matrix.rows.dtype
            )
            self.columns = np.concatenate([matrix.columns, self._layer.columns])
        self.size = len(self.rows) - 1
        self._row = np.repeat(np.arange(self.size), np.diff(self.rows))
        on = np.flatnonzero(self.columns == self._row)
        assert len(on) == self.size
        self.diagonal = on.astype(np.int64)
        self.data, self._work = np.empty(len(self.columns)), np.empty((self.size, 0))
        self.whole, self._exact, self._block = False, factors.Factors(), None

    def factorise(self, data: Reals, fixed: np.ndarray) -> None:
        rows, columns, size = self.rows, self.columns, self.size
        self.data[: len(data)] = data
        held = np.zeros(self.size + 1, dtype=bool)  # and one column that is none of the block's
        held[: self.matrix.own] = fixed[: self.matrix.own]
        if self._layer is not None:
            self.data[len(data) :] = self._layer.values(data)
            held[:size] = self.matrix.incoming(fixed[:, None].astype(float))[:, 0] > 0
        self.data[held[self._row] | held[np.minimum(columns, size)]] = 0.0
        self.data[self.diagonal[held[:size]]] = 1.0
        if not self.whole:
            _factorise(rows, columns, self.data, self.diagonal, size)
            return
        inside = columns < size
        starts = np.append(0, np.cumsum(np.bincount(self._row[inside], minlength=size))).astype(np.int32)
        csr = starts, columns[inside].astype(np.int32), self.data[inside]
        if self._block is None:
            self._block = PETSc.Mat().createAIJ((size, size), csr=csr, comm=PETSc.COMM_SELF)
        else:
            self._block.setValuesCSR(*csr)
        self._block.assemble()

    def solve(self, r: Reals, y: Reals) -> Reals:
        """(own, k)"""
        if self._layer is not None:
            r = self.matrix.incoming(r)
        if self._work.shape[1] != r.shape[1]:
            self._work = np.empty((self.size, r.shape[1]))
        if self._block is not None:
            for i in range(r.shape[1]):
                self._work[:, i] = self._exact.solve(self._block, r[: self.size, i])
        else:
            _substitute(self.rows, self.columns, self.data, self.diagonal, r, self._work)
        y[:] = self._work[: self.matrix.own]
        return y


class Block:
    """Vectors of nodes with components, whose ghosts are kept up to date by MPI."""

    def __init__(self, space: fem.FunctionSpace, width: int) -> None:
        self._vector = la.vector(space.dofmap.index_map, bs=width, dtype=np.float64)
        self.array = self._vector.array.reshape(-1, width)
        self.own = space.dofmap.index_map.size_local
        self.comm = space.mesh.comm

    def update(self) -> Reals:
        if self.comm.size > 1:
            self._vector.scatter_forward()
        return self.array


def total(comm: MPI.Intracomm, own: Reals) -> Reals:
    """The sum over all ranks, in one message."""
    if comm.size > 1:
        comm.Allreduce(MPI.IN_PLACE, own)
    return own


def dots(comm: MPI.Intracomm, *pairs: tuple[Reals, Reals]) -> Reals:
    """Inner products over all ranks, in one message."""
    return total(comm, np.array([np.vdot(a, b) for a, b in pairs]))


def bicgstab(
    apply: Callable[[Reals], Reals],
    precondition: Callable[[Reals], Reals],
    b: Reals,
    x: Reals,
    comm: MPI.Intracomm,
    *,
    tolerance: float,
    limit: int = 200,
) -> int:
    """Solve for x (own, k) from x; the number of iterations, or -1 where it stalls.

    tolerance : of the norm of the residual. H. A. van der Vorst, SIAM J. Sci. Stat. Comput. 13 (1992) 631-644.
    """
    r = b - apply(x)
    (norm2,) = dots(comm, (r, r))
    if norm2 <= tolerance**2:
        return 0
    shadow, rho, alpha, omega = r.copy(), 1.0, 1.0, 1.0
    v, p = np.zeros_like(r), np.zeros_like(r)
    for i in range(1, limit + 1):
        (new,) = dots(comm, (shadow, r))
        if new == 0.0 or omega == 0.0:
            return -1
        p -= omega * v
        p *= new / rho * (alpha / omega)
        p += r
        rho = new
        q = precondition(p)
        v = apply(q)
        alpha = rho / dots(comm, (shadow, v))[0]
        x += alpha * q
        r -= alpha * v
        q = precondition(r)
        t = apply(q)
        tt, tr, rr = dots(comm, (t, t), (t, r), (r, r))
        if rr <= tolerance**2:
            return i
        if not np.isfinite(tt) or tt == 0.0:
            return -1
        omega = tr / tt
        x += omega * q
        r -= omega * t
        if rr - tr * tr / tt <= tolerance**2:
            return i
    return -1


def cg(
    apply: Callable[[Reals], Reals],
    precondition: Callable[[Reals], Reals],
    b: Reals,
    x: Reals,
    comm: MPI.Intracomm,
    *,
    tolerance: float,
    limit: int = 200,
) -> int:
    """The same for symmetric matrices by conjugate gradients."""
    r = b - apply(x)
    z = precondition(r)
    rz, rr = dots(comm, (r, z), (r, r))
    p = z
    for i in range(limit):
        if rr <= tolerance**2:
            return i
        q = apply(p)
        alpha = rz / dots(comm, (p, q))[0]
        x += alpha * p
        r -= alpha * q
        z = precondition(r)
        new, rr = dots(comm, (r, z), (r, r))
        p = z + new / rz * p
        rz = new
    return -1
