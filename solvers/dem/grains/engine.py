"""Grains followed in time: what is called by whoever sets up a case.

    engine = Engine(laws, walls, gravity=(0, 0, -9.81), dt=1e-5)
    engine.insert(position, radius, "glass")
    engine.run(2.0, [Hook(0.02, frame), Hook(0.001, refill)])

Every call is collective over the ranks unless it says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hub.solver import StageError
from solvers.dem.grains import checkpoint, kernels, lists, wallkernels
from solvers.dem.grains.materials import Laws
from solvers.dem.grains.parallel import MPI, ROW, UNEVEN, Boxes, Halo, Migration, Owned, bisect
from solvers.dem.grains.state import Array, Balance, Gas, Grains, Loads
from solvers.dem.grains.walls import Vector, Wall

__all__ = ["Balance", "Engine", "Gas", "Grains", "Hook", "Loads"]


@dataclass(frozen=True)
class Hook:
    """What is called between steps, each time `every` seconds have gone by (0: after each step), on all ranks."""

    every: float
    call: Callable[[Engine], None]


class Engine:
    """Grains, walls and time.

    laws : materials and contacts; walls : what bounds the grains
    dt : time step [s], see ``timestep``; gravity [m/s2]; gas : drags the grains
    periodic : (low, high) along each axis, or None where it does not repeat [m]
    bounds : corners of the box that no grain may leave [m]; without it nothing is watched
    carried : number of columns of the caller's that travel with each grain
    spectrum : energies [J] that part the bins of the collision spectrum; None: it isn't kept
    say : told what takes long before the first step
    Raises ValueError for walls that cannot move as they are told.
    """

    def __init__(
        self,
        laws: Laws,
        walls: Sequence[Wall] = (),
        *,
        dt: float,
        gravity: Vector = (0.0, 0.0, 0.0),
        gas: Gas | None = None,
        periodic: Sequence[tuple[float, float] | None] = (None, None, None),
        bounds: tuple[Vector, Vector] | None = None,
        carried: int = 0,
        spectrum: Array | None = None,
        comm: MPI.Intracomm | None = None,
        say: Callable[[str], None] = lambda doing: None,
    ) -> None:
        self.laws, self.walls, self.dt, self.comm, self._say = (
            laws,
            tuple(walls),
            float(dt),
            comm or MPI.COMM_WORLD,
            say,
        )
        self.steps, self.count, self._next_id = 0, 0, 0
        self.gravity = np.asarray(gravity, float)
        self._gas = np.zeros(5) if gas is None else np.array([gas.density, gas.viscosity, *gas.velocity], float)
        self._periods = np.array([p[1] - p[0] if p else 0.0 for p in periodic])
        self._origin = np.array([p[0] if p else 0.0 for p in periodic])
        self._bounds = None if bounds is None else np.asarray(bounds, float)
        self._law, self._materials = laws.table(), len(laws.materials)
        self._flags = (laws.model == "linear", laws.rolls, laws.sticks)
        self._edges = np.zeros(0) if spectrum is None else np.asarray(spectrum, float)
        self._spectrum = np.zeros(0 if spectrum is None else len(spectrum) + 1)
        self._width = 7 if spectrum is not None else 6 if laws.rolls else 3
        self._set_walls()

        self._owned = Owned.none(carried)
        self._migration = Migration(self.comm, carried) if self.comm.size > 1 else None
        self._boxes = Boxes(np.zeros((0, 4)))
        self._skin, self._skin_for, self._since, self._largest, self._mass = 0.0, 0.0, 0, 0.0, 0.0
        self._listed, self._due = False, True  # whether contacts live in the lists; whether those must be made anew
        self._halo: Halo | None = None
        self._empty_lists()
        self._state = np.zeros(3)
        self._impulse = np.zeros(3)  # of the gas on the grains of this rank
        self._expected = np.zeros(3)  # momentum that gravity, insertion and removal account for
        self._weight = 0.0  # the scale of impulses
        self._supplied = 0.0
        self._highest, self._lowest_balance, self._gained = 0.0, math.inf, 0.0
        self.rebuilt = 0  # lists made so far

    def _set_walls(self) -> None:
        facets, plane, body, reach = [], [], [], []
        for b, wall in enumerate(self.walls):
            corners = wall.facets
            flat = len(wall.triangles) == 0
            row = np.zeros((len(corners), 12))
            row[:, :9] = corners.reshape(-1, 9)
            if flat:
                row[:, 9:] = row[:, 3:6]
                if wall.motion.spin and np.linalg.norm(np.cross(row[0, 3:6], wall.motion.axis)) > 1e-9:
                    raise ValueError(f"the endless plane {wall.name} can only turn about its own normal")
            else:
                normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
                size = np.linalg.norm(normal, axis=1, keepdims=True)
                row, normal, size = row[size[:, 0] > 0], normal[size[:, 0] > 0], size[size[:, 0] > 0]
                row[:, 9:] = normal / size
            facets.append(row)
            plane += [flat] * len(row)
            body += [b] * len(row)
            arm = np.cross(corners.reshape(-1, 3) - wall.motion.centre, wall.motion.row()[3:6])
            reach.append(0.0 if flat else float(np.linalg.norm(arm, axis=1).max()))
        self._T = np.concatenate(facets) if facets else np.zeros((0, 12))
        self._plane, self._body = np.array(plane, bool), np.array(body, np.int32)
        self._reach = np.array(reach, float)
        self._motion = np.array([w.motion.row() for w in self.walls]).reshape(-1, 17)
        self._made_of = np.array([self.laws.number[w.material] for w in self.walls], np.int64)
        self._P = np.zeros((len(self.walls), wallkernels.POSE))
        wallkernels.pose(self._motion, 0.0, self._P)
        self._near, self._new = np.zeros((wallkernels.TOUCHED, 8)), np.zeros((wallkernels.SLOTS, wallkernels.SLOT))
        self._on_body, self._on_facet = np.zeros((len(self.walls), 7)), np.zeros((len(self._T), 3))
        self._taken_body, self._taken_facet = np.zeros_like(self._on_body), np.zeros_like(self._on_facet)
        self._taken_at = np.zeros(len(self.walls))

    def _empty_lists(self) -> None:
        self._S, self._F = np.zeros((0, ROW)), np.zeros((0, 6))
        self._ids = np.zeros(0, np.int64)
        self._ptr, self._nbr, self._hist = np.zeros(1, np.int32), np.zeros(0, np.int32), np.zeros((0, self._width))
        self._act, self._near_ptr = np.zeros(0, np.int32), np.zeros(1, np.int32)
        self._near_facet, self._slot = np.zeros(0, np.int32), lists.slots(0)
        self._X0 = np.zeros((0, 3))
        self._source, self._shift = np.zeros(0, np.int64), np.zeros((0, 3))

    # --- what callers see ---

    @property
    def time(self) -> float:
        """Time since the start [s]."""
        return self.steps * self.dt

    @property
    def grains(self) -> Grains:
        """The grains of this rank, those just inserted or removed already counted."""
        rows, ids, carried = self._owned.rows, self._owned.ids, self._owned.carried
        return Grains(
            id=ids, position=rows[:, 0:3], velocity=rows[:, 4:7], spin=rows[:, 8:11], radius=rows[:, 3],
            mass=rows[:, 7], material=rows[:, 11].astype(np.int64), carried=carried,
        )  # fmt: skip

    def insert(
        self,
        position: Array,
        radius: Array,
        material: str | npt.NDArray[np.int64],
        *,
        velocity: Array | None = None,
        spin: Array | None = None,
        carried: Array | None = None,
    ) -> npt.NDArray[np.int64]:
        """Add grains, the same list on every rank, between steps or before the first. Returns their ids."""
        x = np.asarray(position, float).reshape(-1, 3)
        n = len(x)
        rows = np.zeros((n, ROW))
        rows[:, :3], rows[:, 3] = x, radius
        rows[:, 11] = self.laws.number[material] if isinstance(material, str) else material
        density = np.array([m.density for m in self.laws.materials])
        rows[:, 7] = density[rows[:, 11].astype(int)] * (4 / 3 * np.pi * rows[:, 3] ** 3)
        if velocity is not None:
            rows[:, 4:7] = velocity
        if spin is not None:
            rows[:, 8:11] = spin
        ids = np.arange(self._next_id, self._next_id + n, dtype=np.int64)
        extra = np.zeros((n, self._owned.carried.shape[1])) if carried is None else np.asarray(carried, float)
        self._next_id += n
        if not n:
            return ids
        self._expected += rows[:, 7] @ rows[:, 4:7]
        self._weight += float(np.abs(rows[:, 7, None] * rows[:, 4:7]).sum())
        self._supplied += float(self._energy_of(rows).sum())
        self._largest = max(self._largest, float(rows[:, 3].max()))
        own = self._boxes.owner(x) == self.comm.rank
        if self._listed:
            self._pack()
        self._owned = self._owned.joined(rows[own], ids[own], extra.reshape(n, -1)[own])
        self.count += n
        return ids

    def remove(self, rows: npt.NDArray[np.bool_]) -> int:
        """Take away the grains of this rank where `rows` is True; returns how many on all ranks."""
        rows = np.asarray(rows, bool)
        gone = np.zeros(5)
        if rows.any():
            out = self._owned.rows[rows]
            gone[:3] = out[:, 7] @ out[:, 4:7]
            gone[3], gone[4] = self._energy_of(out).sum(), rows.sum()
        self.comm.Allreduce(MPI.IN_PLACE, gone, MPI.SUM)
        if gone[4]:
            if self._listed:
                self._pack()
            self._owned = self._owned.taken(~rows)
            self._expected -= gone[:3]
            self._supplied -= float(gone[3])
            self.count -= int(gone[4])
        return int(gone[4])

    def free(self, position: Array, radius: Array) -> npt.NDArray[np.bool_]:
        """(n,) True where a grain could be put without touching grain or wall; the same on every rank."""
        points = np.ascontiguousarray(np.asarray(position, float).reshape(-1, 3))
        radii = np.ascontiguousarray(np.broadcast_to(np.asarray(radius, float), len(points)))
        images = [points]
        for axis in np.flatnonzero(self._periods):
            images = [p + k * self._periods[axis] * np.eye(3)[axis] for p in images for k in (-1, 0, 1)]
        wallkernels.pose(self._motion, self.time, self._P)
        placed = lists.place(self._T, self._plane, self._body, self._P)
        rows = self._owned.rows
        low, high = _box(rows)
        count, inverse = lists.grid(rows, low, high, max(2 * self._largest, 1e-12))
        start, order = lists.sort_cells(rows, low, count, inverse)
        taken = np.zeros(len(points), bool)
        for image in images:
            met = placed if np.array_equal(image, points) else placed[:0]
            taken |= lists.blocked(
                rows, low, count, inverse, start, order, self._largest, image, radii, met, self._plane
            )
        self.comm.Allreduce(MPI.IN_PLACE, taken, MPI.LOR)
        return ~taken

    def run(self, until: float, hooks: Sequence[Hook] = ()) -> None:
        """Go on to the time `until` [s]. Raises StageError ``grains-escaped``, ``unstable``."""
        if not kernels.advance.signatures:  # once in the life of an installation this takes half a minute
            self._say("compiling")
        end = round(until / self.dt)
        due = [self._next(h) for h in hooks]
        while self.steps < end:
            self._go(min([end, *due]))
            for k, hook in enumerate(hooks):
                if self.steps >= due[k]:
                    hook.call(self)
                    due[k] = self._next(hook)

    def gather(self) -> Grains | None:
        """All grains in the order of their ids on rank 0, None elsewhere."""
        own = self._owned
        parts = self.comm.gather((own.rows, own.ids, own.carried))
        if parts is None:
            return None
        rows, ids, carried = (np.concatenate([p[k] for p in parts]) for k in range(3))
        o = np.argsort(ids)
        rows = rows[o]
        return Grains(
            id=ids[o], position=rows[:, 0:3], velocity=rows[:, 4:7], spin=rows[:, 8:11], radius=rows[:, 3],
            mass=rows[:, 7], material=rows[:, 11].astype(np.int64), carried=carried[o],
        )  # fmt: skip

    def loads(self, name: str) -> Loads:
        """What the grains did to a wall since this was last asked. Raises KeyError for a wall that is none."""
        b = self._wall(name)
        body, facet = self._on_body.copy(), self._on_facet.copy()
        self.comm.Allreduce(MPI.IN_PLACE, body, MPI.SUM)
        self.comm.Allreduce(MPI.IN_PLACE, facet, MPI.SUM)
        own = self._body == b
        load, spread = body[b] - self._taken_body[b], facet[own] - self._taken_facet[own]
        time = self.time - self._taken_at[b]
        self._taken_body[b], self._taken_facet[own], self._taken_at[b] = body[b], facet[own], self.time
        return Loads(
            time=time, impulse=load[:3], angular=load[3:6], work=float(load[6]),
            pressing=spread[:, 0], shearing=spread[:, 1], sliding=spread[:, 2],
        )  # fmt: skip

    def facets(self, name: str) -> Array:
        """(n, 3, 3) corners of a wall's triangles now [m], those without area left out. Not collective."""
        own = self._body == self._wall(name)
        wallkernels.pose(self._motion, self.time, self._P)
        return lists.place(self._T[own], self._plane[own], self._body[own], self._P)[:, :9].reshape(-1, 3, 3)

    def _wall(self, name: str) -> int:
        for b, wall in enumerate(self.walls):
            if wall.name == name:
                return b
        raise KeyError(name)

    def balance(self) -> Balance:
        """The checks over the run so far."""
        if not self._listed:
            self._rebuild()
        elif self._halo is not None and self._since:
            self._refresh()
        rows = self._owned.rows
        m, v, w = rows[:, 7], rows[:, 4:7], rows[:, 8:11]
        inertia = 0.4 * m * rows[:, 3] ** 2
        local = np.zeros(11)
        local[0] = 0.5 * (m @ (v * v).sum(axis=1) + inertia @ (w * w).sum(axis=1))
        # velocities are half a step behind positions: heights are taken where the velocities are
        local[1] = -(m @ ((rows[:, :3] - 0.5 * self.dt * v) @ self.gravity))
        local[2] = lists.elastic_energy(
            self._S, len(rows), self._ptr, self._nbr, self._hist, self._act, self._slot, self._made_of, self._law,
            self._materials, self._flags[0], 0.5 * self.dt,
        )  # fmt: skip
        local[3] = self._on_body[:, 6].sum()
        local[4:7] = m @ v + self._on_body[:, :3].sum(axis=0) - self._impulse
        local[7:10] = np.abs(self._on_body[:, :3]).sum(axis=0) + np.abs(self._impulse)
        self.comm.Allreduce(MPI.IN_PLACE, local, MPI.SUM)
        deepest = self._state[:2].copy()
        self.comm.Allreduce(MPI.IN_PLACE, deepest, MPI.MAX)
        kinetic, potential, elastic, by_walls = (float(x) for x in local[:4])
        work = by_walls + self._supplied
        scale = self._weight + float(local[7:10].sum())
        lost = work - (kinetic + potential + elastic)
        self._highest = max(self._highest, abs(kinetic), abs(potential), abs(work), abs(lost))
        if self._lowest_balance < math.inf and self._highest and not np.any(self._gas):
            self._gained = max(self._gained, (self._lowest_balance - lost) / self._highest)
        self._lowest_balance = lost if self._lowest_balance == math.inf else max(lost, self._lowest_balance)
        return Balance(
            overlap=float(deepest.max()),
            momentum=float(np.abs(local[4:7] - self._expected).sum()) / scale if scale else 0.0,
            kinetic=kinetic, potential=potential, elastic=elastic, work=work, lost=lost, gained=self._gained,
        )  # fmt: skip

    def collisions(self) -> Array:
        """(bins,) collisions ended so far in each bin of the spectrum of dissipated energy."""
        out = self._spectrum.copy()
        self.comm.Allreduce(MPI.IN_PLACE, out, MPI.SUM)
        return out

    def save(self, folder: Path) -> None:
        """Write a checkpoint, each file whole. The run goes on as one that starts from it would."""
        checkpoint.save(self, folder)

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint: on as many ranks as wrote it, with the same steps as if there had been no stop.

        Raises StageError ``wrong-checkpoint`` if it was written with another time step or other walls.
        """
        checkpoint.load(self, folder)

    # --- steps ---

    def _next(self, hook: Hook) -> int:
        """The first step after this one at which a hook is due."""
        if hook.every <= self.dt:
            return self.steps + 1
        k = math.floor((self.steps + 0.5) * self.dt / hook.every) + 1
        return max(self.steps + 1, round(k * hook.every / self.dt))

    def _go(self, target: int) -> None:
        """Step to number `target`."""
        while self.steps < target:
            if self.count == 0:
                self.steps = target
                return
            if self._due or not self._listed:
                self._rebuild()
            alone = self.comm.size == 1
            if not alone and self._since:
                self._refresh()
            done, end = kernels.advance(
                self._S, self._F, len(self._owned.ids), self._ptr, self._nbr, self._hist, self._law, self._materials,
                *self._flags, self._edges, self._spectrum, self._act, self._near_ptr, self._near_facet, self._slot,
                self._T, self._plane, self._body, self._motion, self._reach, self._P, self._made_of, self._near,
                self._new, self._on_body, self._on_facet, self._gas, self.gravity, self._impulse, self._X0,
                self._source, self._shift, alone and len(self._source) > 0, self.dt, self.steps,
                target - self.steps if alone else 1, 0.5 * self._skin, self._state,
            )  # fmt: skip
            if not alone:
                worst = self.comm.allreduce(2 if end < 0 else end, MPI.MAX)
                end = -1 if worst == 2 else worst
            self.steps += done
            self._since += done
            self._expected += self._mass * self.gravity * (self.dt * done)
            self._weight += self._mass * float(np.abs(self.gravity).sum()) * self.dt * done
            if end < 0:
                self._unstable("a position is no number any more")
            self._due = end > 0

    def _refresh(self) -> None:
        """Bring the ghosts up to date."""
        n = len(self._owned.ids)
        if self.comm.size == 1:
            kernels.copy_images(self._S, n, self._source, self._shift)
            return
        self._halo.update(self._S)
        if self._halo.shifted:
            kernels.shift_ghosts(self._S, n, self._halo.shift)

    def _pack(self) -> None:
        """Bring the contacts out of the lists, which are then made anew before the next step."""
        own, n = self._owned, len(self._owned.ids)
        start, own.partner, own.kept = lists.pack(n, self._ids, self._ptr, self._nbr, self._hist, self._act, self._slot)
        own.first, own.length = start[:-1], np.diff(start)
        own.rows = own.rows.copy()
        self._listed = False

    def _rebuild(self) -> None:
        """Owners, ghosts and lists anew, from where the grains are."""
        if self._listed:
            self._pack()
        comm, own = self.comm, self._owned
        rows = own.rows
        for axis in np.flatnonzero(self._periods):
            rows[:, axis] -= self._periods[axis] * np.floor((rows[:, axis] - self._origin[axis]) / self._periods[axis])
        self._watch(rows)
        self._tune()
        if comm.size > 1:
            own = self._share(own)
        low, high = _box(own.rows)
        size = 2 * self._largest + self._skin
        count, inverse = lists.grid(own.rows, low, high, size)
        start, order = lists.sort_cells(own.rows, low, count, inverse)
        lists.by_id(start, order, own.ids)
        own = own.taken(order)
        n = len(own.ids)

        if self._halo is not None:
            self._halo.free()
            self._halo = None
        S, ids = own.rows, own.ids
        if comm.size > 1 or self._periods.any():
            self._halo = Halo(comm, own.rows, own.ids, self._periods, self._largest + self._skin)
            S, ids = np.concatenate([S, self._halo.rows]), np.concatenate([ids, self._halo.ids])
            alone = comm.size == 1
            self._source = self._halo.source if alone else self._source[:0]
            self._shift = self._halo.shift if alone else self._shift[:0]
        self._S, self._ids = np.ascontiguousarray(S), ids
        self._F = np.zeros((len(S), 6))
        own.rows = self._S[:n]
        self._owned = own
        self._X0 = own.rows[:, :3].copy()

        low, high = _box(self._S)
        count, inverse = lists.grid(self._S, low, high, size)
        start, order = lists.sort_cells(self._S, low, count, inverse)
        room = max(64, int(1.3 * len(self._nbr)), 6 * n)
        fits = False
        while not fits:
            self._ptr, self._nbr, fits = lists.pair_list(
                self._S, n, self._skin, low, count, inverse, start, order, room
            )
            room *= 2
        self._hist = np.zeros((len(self._nbr), self._width))
        lists.unpack(n, ids, self._ptr, self._nbr, self._hist, own.first, own.length, own.partner, own.kept)
        self._near_lists(n, low, high, count, inverse, start, order)
        lists.unpack_walls(self._act, self._slot, own.first, own.length, own.partner, own.kept)
        own.partner, own.kept = own.partner[:0], own.kept[:0]
        self._state[2] = 0.0
        self._since, self._listed, self._due = 0, True, False
        self._mass = float(comm.allreduce(own.rows[:, 7].sum()))
        self.rebuilt += 1

    def _near_lists(
        self, n: int, low: Array, high: Array, count: Array, inverse: Array, start: Array, order: Array
    ) -> None:
        wallkernels.pose(self._motion, self.time, self._P)
        placed = lists.place(self._T, self._plane, self._body, self._P)
        room, fits = max(256, int(1.5 * len(self._near_facet))), False
        while not fits:
            self._act, self._near_ptr, self._near_facet, fits = lists.near_walls(
                self._S,
                n,
                placed,
                self._plane,
                self._skin,
                self._largest,
                low,
                high,
                count,
                inverse,
                start,
                order,
                room,
            )
            room *= 4
        self._slot = lists.slots(len(self._act))

    def _share(self, own: Owned) -> Owned:
        """Each grain to the rank that owns the place where it is; cut anew where the work is uneven."""
        work = 1.0 + 0.4 * own.length
        owner = self._boxes.owner(own.rows[:, :3])
        sums = np.bincount(owner, weights=work, minlength=self.comm.size)
        self.comm.Allreduce(MPI.IN_PLACE, sums, MPI.SUM)
        if sums.max() > UNEVEN * sums.mean() or not len(self._boxes.node):
            self._boxes = bisect(self.comm, own.rows[:, :3], work)
            owner = self._boxes.owner(own.rows[:, :3])
        return self._migration.move(own, owner)

    def _tune(self) -> None:
        """Choose the skin: a list that lasts some eighty steps costs least. Steps, not times, make it repeatable."""
        mean = 2 * self._largest
        if self._skin == 0.0 or self._largest > self._skin_for:
            self._skin, self._skin_for = 0.06 * mean, self._largest
        elif self._since:
            factor = 1.25 if self._since < 50 else 0.9 if self._since > 150 else 1.0
            self._skin = min(max(self._skin * factor, 0.02 * mean), 0.5 * mean)
        shortest = self._periods[self._periods > 0]
        if len(shortest) and shortest.min() < 2 * (mean + self._skin):
            raise StageError(
                "period-too-short",
                f"The periodic box is {shortest.min():.3g} m long, less than two grains of {mean:.3g} m.",
                "Make the box longer, so that no grain touches two images of another.",
            )

    def _watch(self, rows: Array) -> None:
        """Stop where a grain has left the walls, or goes so fast that contacts are missed."""
        v = rows[:, 4:7]
        fast = (v * v).sum(axis=1) > (0.3 * rows[:, 3] / self.dt) ** 2
        if fast.any():
            i = int(np.flatnonzero(fast)[0])
            where = ", ".join(f"{x:.4g}" for x in rows[i, :3])
            self._unstable(f"grain {self._owned.ids[i]} at ({where}) m moves {np.linalg.norm(v[i]):.3g} m/s")
        out = np.zeros(len(rows), bool)
        if self._bounds is not None:
            out = ((rows[:, :3] < self._bounds[0]) | (rows[:, :3] > self._bounds[1])).any(axis=1)
        first = np.array([np.inf, np.nan, np.nan, np.nan])
        if out.any():
            i = int(np.flatnonzero(out)[np.argmin(self._owned.ids[out])])
            first[:] = self._owned.ids[i], *rows[i, :3]
        every = np.empty((self.comm.size, 4))
        self.comm.Allgather(first, every)
        gone = self.comm.allreduce(int(out.sum()))
        if gone:
            grain, *x = every[np.argmin(every[:, 0])]
            where = ", ".join(f"{c:.4g}" for c in x)
            raise StageError(
                "grains-escaped",
                f"{gone} grain{'s' if gone > 1 else ''} left the space of the case by {self.time:.4g} s; "
                f"grain {grain:.0f} is at ({where}) m.",
                "Close the gap in the walls near there, let an outlet take them, or make the time step smaller.",
            )

    def _unstable(self, what: str) -> None:
        raise StageError(
            "unstable",
            f"The motion cannot be followed at {self.time:.4g} s: {what}.",
            f"Make the time step ({self.dt:.3g} s) smaller, or look for grains that were put into each other.",
        )

    def _energy_of(self, rows: Array) -> Array:
        """Energy of motion and height of each row [J]."""
        m, v, w = rows[:, 7], rows[:, 4:7], rows[:, 8:11]
        kinetic = 0.5 * m * ((v * v).sum(axis=1) + 0.4 * rows[:, 3] ** 2 * (w * w).sum(axis=1))
        return kinetic - m * (rows[:, :3] @ self.gravity)


def _box(rows: Array) -> tuple[Array, Array]:
    """Corners of the box around the grains' centres [m], a little larger; a point without any."""
    if not len(rows):
        return np.zeros(3), np.zeros(3)
    low, high = rows[:, :3].min(axis=0), rows[:, :3].max(axis=0)
    return low - 1e-9 * (high - low), high + 1e-9 * (high - low)
