"""Grains over MPI ranks: recursive coordinate bisection, DMSwarm brings grains to their owners, PetscSF their ghosts.

Every rank owns a box. Boxes are cut anew when the work in them has become uneven. A grain changes its owner only when
the Verlet list is made anew; between, the rows of ghosts follow their owners by one broadcast a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import dolfinx_solver  # noqa: F401 - loads MPI ahead of the bindings

# isort: split
import numpy as np
import numpy.typing as npt
from mpi4py import MPI
from petsc4py import PETSc

from solvers.dem.grains.lists import KEPT, gather_contacts, near_box

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
#: Doubles of a grain in the kernels' rows.
ROW = 12
#: Largest work of a rank over the mean before the boxes are cut anew.
UNEVEN = 1.04
#: Bins of the histogram in which a cut is searched, and how often it is refined.
BINS, REFINED = 256, 3


# --- boxes --------------------------------------------------------------------------------------------------------


@dataclass
class Boxes:
    """A binary tree of cuts. node : (nodes, 4) axis, cut [m], first child, second child; a child below zero is the
    rank -1 - child. Without nodes everything is rank 0's."""

    node: Array

    def owner(self, points: Array) -> Integers:
        """(n,) rank whose box each of (n, 3) points is in."""
        out = np.zeros(len(points), dtype=np.int64)
        if not len(self.node):
            return out
        todo = [(0, np.arange(len(points)))]
        while todo:
            at, rows = todo.pop()
            if at < 0:
                out[rows] = -1 - at
                continue
            axis, cut, first, second = self.node[at]
            below = points[rows, int(axis)] < cut
            todo += [(int(first), rows[below]), (int(second), rows[~below])]
        return out


def bisect(comm: MPI.Intracomm, points: Array, work: Array) -> Boxes:
    """Boxes with the same work in each: along the longest side of what is in a box, as often as there are ranks.

    points : (n, 3) of this rank; work : (n,) of each. Collective.
    """
    nodes: list[list[float]] = []

    def split(rows: Integers, first: int, count: int) -> int:
        if count == 1:
            return -1 - first
        here = points[rows]
        low = here.min(axis=0) if len(rows) else np.full(3, np.inf)
        high = here.max(axis=0) if len(rows) else np.full(3, -np.inf)
        comm.Allreduce(MPI.IN_PLACE, low, MPI.MIN)
        comm.Allreduce(MPI.IN_PLACE, high, MPI.MAX)
        left = count // 2
        if not np.isfinite(low).all():  # nothing in this box: any cut will do
            axis, cut = 0, 0.0
        else:
            axis = int(np.argmax(high - low))
            cut = _quantile(comm, here[:, axis], work[rows], low[axis], high[axis], left / count)
        at = len(nodes)
        nodes.append([axis, cut, 0, 0])
        below = points[rows, axis] < cut
        nodes[at][2] = split(rows[below], first, left)
        nodes[at][3] = split(rows[~below], first + left, count - left)
        return at

    split(np.arange(len(points)), 0, comm.size)
    return Boxes(np.array(nodes, dtype=float).reshape(-1, 4))


def _quantile(comm: MPI.Intracomm, x: Array, work: Array, low: float, high: float, part: float) -> float:
    """The place below which this part of all work is."""
    goal, below = None, 0.0
    for _ in range(REFINED):
        inside = (x >= low) & (x <= high)
        bins, edges = np.histogram(x[inside], bins=BINS, range=(low, high), weights=work[inside])
        bins = bins.astype(float)
        comm.Allreduce(MPI.IN_PLACE, bins, MPI.SUM)
        if goal is None:
            goal = part * bins.sum()
        sums = below + np.cumsum(bins)
        k = min(int(np.searchsorted(sums, goal)), BINS - 1)
        below = sums[k] - bins[k]
        low, high = edges[k], edges[k + 1]
        if not high > low:
            break
    return float(high)


# --- owners -------------------------------------------------------------------------------------------------------


@dataclass
class Owned:
    """The grains of a rank between two lists.

    rows : (n, ROW) as in the kernels; ids : (n,); carried : (n, k)
    first, length : (n,) where in `partner` (q,) and `kept` (q, KEPT) the contacts of a grain stand
    """

    rows: Array
    ids: Integers
    carried: Array
    first: Integers
    length: Integers
    partner: Integers
    kept: Array

    @classmethod
    def none(cls, carried: int) -> Owned:
        """No grains yet."""
        empty = np.zeros(0, dtype=np.int64)
        return cls(np.zeros((0, ROW)), empty, np.zeros((0, carried)), empty, empty, empty, np.zeros((0, KEPT)))

    def taken(self, which: npt.NDArray) -> Owned:
        """The same with these rows only, in this order."""
        return Owned(
            np.ascontiguousarray(self.rows[which]), self.ids[which], self.carried[which],
            self.first[which], self.length[which], self.partner, self.kept,
        )  # fmt: skip

    def joined(self, rows: Array, ids: Integers, carried: Array) -> Owned:
        """The same and new grains that touch nothing yet."""
        zero = np.zeros(len(ids), dtype=np.int64)
        return Owned(
            np.concatenate([self.rows, rows]), np.concatenate([self.ids, ids]),
            np.concatenate([self.carried, carried]), np.concatenate([self.first, zero]),
            np.concatenate([self.length, zero]), self.partner, self.kept,
        )  # fmt: skip


class Migration:
    """Brings grains to their owners with a DMSwarm, and their contacts after them."""

    def __init__(self, comm: MPI.Intracomm, carried: int) -> None:
        self.comm, self.width = comm, ROW + 3 + carried
        swarm = self.swarm = PETSc.DMSwarm().create(comm=comm)
        swarm.setDimension(3)
        swarm.setType(PETSc.DMSwarm.Type.BASIC)
        swarm.initializeFieldRegister()
        swarm.registerField("grain", self.width)
        swarm.finalizeFieldRegister()

    def move(self, owned: Owned, owner: Integers) -> Owned:
        """The grains that are this rank's after each has gone to its `owner` (n,). Collective."""
        comm, swarm, n = self.comm, self.swarm, len(owned.ids)
        moved = comm.allreduce(int((owner != comm.rank).sum()))
        if not moved:
            return owned
        swarm.setLocalSizes(n, max(1024, n // 4))
        data = swarm.getField("grain").reshape(-1, self.width)
        data[:, :ROW] = owned.rows
        data[:, ROW] = owned.ids  # exact below 2**53
        data[:, ROW + 1] = comm.rank
        data[:, ROW + 2] = np.arange(n)
        data[:, ROW + 3 :] = owned.carried
        swarm.restoreField("grain")
        ranks = swarm.getField("DMSwarm_rank").reshape(-1)
        ranks[:] = owner
        swarm.restoreField("DMSwarm_rank")
        swarm.migrate(True)
        data = swarm.getField("grain").reshape(-1, self.width).copy()
        swarm.restoreField("grain")
        source, row = data[:, ROW + 1].astype(np.int64), data[:, ROW + 2].astype(np.int64)
        data = data[order := np.lexsort((row, source))]
        source, row = source[order], row[order]

        leaving = [np.flatnonzero(owner == p) if p != comm.rank else np.zeros(0, np.int64) for p in range(comm.size)]
        packed = [gather_contacts(rows, owned.first, owned.length, owned.partner, owned.kept) for rows in leaving]
        number = exchange(comm, [p[0] for p in packed])
        partner = exchange(comm, [p[1] for p in packed])
        kept = exchange(comm, [p[2].reshape(-1) for p in packed]).reshape(-1, KEPT)

        first, length = np.zeros(len(data), np.int64), np.zeros(len(data), np.int64)
        stayed = source == comm.rank
        first[stayed], length[stayed] = owned.first[row[stayed]], owned.length[row[stayed]]
        # newcomers stand in the order of the ranks and rows they left, as their contacts do
        length[~stayed] = number
        first[~stayed] = len(owned.partner) + np.cumsum(number) - number
        return Owned(
            np.ascontiguousarray(data[:, :ROW]), data[:, ROW].astype(np.int64), data[:, ROW + 3 :].copy(),
            first, length, np.concatenate([owned.partner, partner]), np.concatenate([owned.kept, kept]),
        )  # fmt: skip


def exchange(comm: MPI.Intracomm, pieces: list[npt.NDArray]) -> npt.NDArray:
    """The pieces that all ranks have for this one, one after the other. Collective."""
    sizes = np.array([len(p) for p in pieces], dtype=np.int64)
    coming = np.empty_like(sizes)
    comm.Alltoall(sizes, coming)
    out = np.concatenate(pieces)
    into = np.empty(int(coming.sum()), dtype=out.dtype)
    starts, ends = np.cumsum(sizes) - sizes, np.cumsum(coming) - coming
    kind = MPI.DOUBLE if out.dtype == np.float64 else MPI.INT64_T
    comm.Alltoallv([out, sizes, starts, kind], [into, coming, ends, kind])
    return into


# --- ghosts -------------------------------------------------------------------------------------------------------


class Halo:
    """Copies of the grains of other ranks, and of images across periodic borders, that may touch this rank's.

    rows : (ghosts, ROW), ids : (ghosts,), shift : (ghosts, 3) [m]; source : (ghosts,) row where all are this rank's own
    """

    def __init__(self, comm: MPI.Intracomm, rows: Array, ids: Integers, periods: Array, reach: float) -> None:
        """periods : (3,) lengths of the periodic box [m], 0 where it does not repeat; reach : largest radius and
        skin [m]. Collective."""
        self.comm, n = comm, len(ids)
        low = rows[:, :3].min(axis=0) if n else np.full(3, np.inf)
        high = rows[:, :3].max(axis=0) if n else np.full(3, -np.inf)
        boxes = np.empty((comm.size, 2, 3))
        comm.Allgather(np.ascontiguousarray([low, high]), boxes)
        steps = [(-1, 0, 1) if p else (0,) for p in periods]
        shifts = [np.array([a, b, c]) * periods for a in steps[0] for b in steps[1] for c in steps[2]]
        pieces = []
        for p in range(comm.size):
            found = [np.zeros((0, ROW + 5))]
            for shift in shifts:
                if (p == comm.rank and not shift.any()) or not n or boxes[p, 0, 0] > boxes[p, 1, 0]:
                    continue
                near = near_box(rows, n, shift, boxes[p, 0], boxes[p, 1], reach)
                piece = np.empty((len(near), ROW + 5))
                piece[:, :ROW], piece[:, ROW], piece[:, ROW + 1] = rows[near], ids[near], near
                piece[:, ROW + 2 :] = shift
                found.append(piece)
            pieces.append(np.concatenate(found))
        counts = exchange(comm, [np.array([len(p)]) for p in pieces])
        data = exchange(comm, [p.reshape(-1) for p in pieces]).reshape(-1, ROW + 5)
        self.source = data[:, ROW + 1].astype(np.int64)
        self.ids = data[:, ROW].astype(np.int64)
        self.shift = np.ascontiguousarray(data[:, ROW + 2 :])
        self.shifted = bool(periods.any())
        self.rows = data[:, :ROW].copy()
        self.rows[:, :3] += self.shift
        self.graph = None
        if comm.size > 1:
            remote = np.column_stack([np.repeat(np.arange(comm.size), counts), self.source])
            self.graph = PETSc.SF().create(comm)
            self.graph.setGraph(n, np.arange(n, n + len(data), dtype=PETSc.IntType), remote.astype(PETSc.IntType))
            self.graph.setUp()
            self.unit = MPI.DOUBLE.Create_contiguous(ROW).Commit()

    def update(self, S: Array) -> None:
        """Bring the rows of the ghosts, which stand behind those of this rank in `S`, up to date. Collective."""
        self.graph.bcastBegin(self.unit, S, S, MPI.REPLACE)
        self.graph.bcastEnd(self.unit, S, S, MPI.REPLACE)

    def free(self) -> None:
        """Give back what MPI holds; ghosts are good no longer."""
        if self.graph is not None:
            self.graph.destroy()
            self.unit.Free()
            self.graph = None
