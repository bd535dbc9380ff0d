"""What a bed of grains is like: how dense, how steep, how far it runs out, how well it is mixed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from solvers.dem.grains.conditions import Reals

#: Points of a sphere's volume that are shared out among the cells of a grid: those of a cube of so many a side.
POINTS = 6
#: Share of a full bed's solid fraction from which a cell counts as inside it.
INSIDE = 0.5


@dataclass(frozen=True)
class Grid:
    """Cubes of side `size` [m] from the corner `low` (3,) [m] on, `count` (3,) of them along each axis."""

    low: Reals
    size: float
    count: npt.NDArray[np.int64]

    @classmethod
    def around(cls, low: Reals, high: Reals, size: float, most: int = 200_000) -> Grid:
        """A grid over a box, its cubes larger where there would be more than `most`."""
        room = np.maximum(high - low, size)
        size = max(size, float((room.prod() / most) ** (1 / 3)))
        return cls(np.asarray(low, float), size, np.ceil(room / size).astype(np.int64))

    def cell(self, points: Reals) -> npt.NDArray[np.int64]:
        """(n,) number of the cell of each point, -1 outside."""
        at = np.floor((points - self.low) / self.size).astype(np.int64)
        outside = ((at < 0) | (at >= self.count)).any(axis=1)
        number = (at[:, 0] * self.count[1] + at[:, 1]) * self.count[2] + at[:, 2]
        return np.where(outside, -1, number)

    @property
    def cells(self) -> int:
        return int(self.count.prod())

    def sums(self, cell: npt.NDArray[np.int64], values: Reals) -> Reals:
        """(cells,) sums of values (n,)."""
        return np.bincount(cell[cell >= 0], values[cell >= 0], minlength=self.cells)

    def centres(self) -> Reals:
        """(cells, 3) [m]"""
        at = np.stack(np.meshgrid(*(np.arange(n) for n in self.count), indexing="ij"), axis=-1).reshape(-1, 3)
        return self.low + (at + 0.5) * self.size


def _ball() -> Reals:
    """(k, 3) points spread evenly over the unit ball."""
    at = (np.arange(POINTS) + 0.5) / POINTS * 2 - 1
    cube = np.stack(np.meshgrid(at, at, at), axis=-1).reshape(-1, 3)
    return cube[(cube**2).sum(axis=1) <= 1]


BALL = _ball()


def solid(grid: Grid, position: Reals, radius: Reals) -> Reals:
    """(cells,) solid volume of the grains in each cell [m3]; a grain is shared out among the cells it reaches."""
    out = np.zeros(grid.cells)
    for start in range(0, len(position), 20_000):  # some tens of MiB at a time
        x, r = position[start : start + 20_000], radius[start : start + 20_000]
        points = (x[:, None] + r[:, None, None] * BALL).reshape(-1, 3)
        out += grid.sums(grid.cell(points), np.repeat(4 / 3 * math.pi * r**3 / len(BALL), len(BALL)))
    return out


def fraction(position: Reals, radius: Reals) -> tuple[float, float] | None:
    """Solid fraction inside the bed and half the width of its 95 % bar from one place to the other; None without an
    inside: cells count that have full neighbours all around, so that walls and surface take no part."""
    if len(position) < 100:
        return None
    size = 4.0 * float(np.median(radius))
    found = []
    for shift in np.random.default_rng(0).uniform(0, size, (4, 3)):  # the cells' places must not matter
        low = (position - radius[:, None]).min(axis=0) - size - shift
        grid = Grid.around(low, (position + radius[:, None]).max(axis=0) + size, size)
        share = (solid(grid, position, radius) / grid.size**3).reshape(grid.count)
        full = share > INSIDE * np.quantile(share[share > 0], 0.9)
        inner = full.copy()
        for axis in range(3):
            inner &= np.roll(full, 1, axis) & np.roll(full, -1, axis)
        if inner.sum() >= 4:
            found.append(share[inner])
    if not found:
        return None
    every = np.concatenate(found)
    cells = len(every) / len(found)  # shifted grids see the same grains again
    return float(every.mean()), 1.96 * float(every.std()) / math.sqrt(cells)


# --- the surface --------------------------------------------------------------------------------------------------


def top(position: Reals, radius: Reals, up: Reals) -> tuple[Reals, Reals, float]:
    """The surface: (k, 2) places in the plane across `up` and (k,) heights [m], and the width of the columns [m]."""
    one = np.cross(up, np.eye(3)[np.abs(up).argmin()])
    one /= np.linalg.norm(one)
    plane = np.stack([position @ one, position @ np.cross(up, one)], axis=1)
    height, width = position @ up + radius, 3.0 * float(np.median(radius))
    column = np.floor(plane / width).astype(np.int64)
    keys, inverse = np.unique(column, axis=0, return_inverse=True)
    highest = np.full(len(keys), -np.inf)
    np.maximum.at(highest, inverse.ravel(), height)
    return (keys + 0.5) * width, highest, width


def slope(position: Reals, radius: Reals, up: Reals, shape: str) -> float:
    """Angle of the surface to the horizontal [rad]: of the middle of a bed (``plane``), or of a heap around the
    vertical through its middle (``cone``), its tip and its foot left out. NaN where there is too little."""
    if len(position) < 50:
        return math.nan
    at, height, width = top(position, radius, up)
    if shape == "plane":
        away = np.abs(at - at.mean(axis=0)) / np.maximum(np.ptp(at, axis=0), 1e-12)
        middle = (away < 0.3).all(axis=1)
        if middle.sum() < 6:
            return math.nan
        a = np.column_stack([at[middle], np.ones(int(middle.sum()))])
        fit = np.linalg.lstsq(a, height[middle], rcond=None)[0]
        return math.atan(math.hypot(fit[0], fit[1]))
    one = np.cross(up, np.eye(3)[np.abs(up).argmin()])
    one /= np.linalg.norm(one)
    centre = np.array([np.median(position @ one), np.median(position @ np.cross(up, one))])
    away = np.linalg.norm(at - centre, axis=1)
    ring = np.floor(away / width).astype(np.int64)
    number = np.bincount(ring)
    mean = np.bincount(ring, height) / np.maximum(number, 1) - float((position @ up - radius).min())
    flank = (number > 0) & (mean > 0.2 * mean[number > 0].max()) & (mean < 0.8 * mean[number > 0].max())
    if flank.sum() < 3:
        return math.nan
    return math.atan(-float(np.polyfit((np.arange(len(mean))[flank] + 0.5) * width, mean[flank], 1)[0]))


def run_out(position: Reals, radius: Reals, up: Reals) -> float:
    """Radius about the middle of the grains [m] beyond which less than half of the ground is covered."""
    one = np.cross(up, np.eye(3)[np.abs(up).argmin()])
    one /= np.linalg.norm(one)
    plane = np.stack([position @ one, position @ np.cross(up, one)], axis=1)
    away = np.linalg.norm(plane - np.median(plane, axis=0), axis=1)
    width = 2.0 * float(np.median(radius))
    rings = np.arange(0, away.max() + 2 * width, width)
    covered = np.histogram(away, rings, weights=math.pi * radius**2)[0] / (math.pi * np.diff(rings**2))
    full = np.flatnonzero(covered >= 0.5)
    if not len(full):
        return math.nan
    k = int(full[-1])
    if k + 1 >= len(covered):
        return float(rings[k + 1])
    middle = (rings[1:] + rings[:-1]) / 2  # straight between the middles of the two rings
    drop = (covered[k] - 0.5) / max(covered[k] - covered[k + 1], 1e-12)
    return float(middle[k] + drop * width)


# --- mixing -------------------------------------------------------------------------------------------------------


def mixing(position: Reals, kind: npt.NDArray[np.int64], size: float) -> tuple[float, float] | None:
    """Lacey's index and the relative standard deviation of the first kind's share, in cells of `size` [m] of a grid.

    The index is 0 when the kinds are apart and 1 when they are mixed at random: (s0^2 - s^2) / (s0^2 - sr^2) with
    s0^2 = p (1 - p) and sr^2 = s0^2 / n. P. M. C. Lacey, J. Appl. Chem. 4 (1954) 257. Cells with less than half of the
    median number of grains are left out; the grid is shifted eight times, so that its place does not matter.
    """
    first = kind == kind.min()
    p = float(first.mean())
    if not 0 < p < 1:
        return None
    lacey, spread = [], []
    for corner in np.stack(np.meshgrid([0, 0.5], [0, 0.5], [0, 0.5]), axis=-1).reshape(-1, 3):
        grid = Grid.around(position.min(axis=0) - corner * size, position.max(axis=0) + 1e-9, size)
        cell = grid.cell(position)
        number = grid.sums(cell, np.ones(len(cell)))
        share = grid.sums(cell, first.astype(float))
        used = number >= max(2.0, 0.5 * float(np.median(number[number > 0])))
        if used.sum() < 2:
            continue
        n, x = number[used], share[used] / number[used]
        variance = float((n * (x - p) ** 2).sum() / n.sum())
        apart, mixed = p * (1 - p), p * (1 - p) * float(len(n) / n.sum())
        if apart > mixed:
            lacey.append((apart - variance) / (apart - mixed))
            spread.append(math.sqrt(variance) / p)
    return (float(np.mean(lacey)), float(np.mean(spread))) if lacey else None
