"""Grains followed in time: what is called by whoever sets up a case.

    engine = Engine(laws, walls, gravity=(0, 0, -9.81), dt=1e-5)
    engine.insert(position, radius, "glass")
    engine.run(2.0, [Hook(0.02, frame), Hook(0.001, refill)])

Every call is collective over the ranks unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from solvers.dem.grains.materials import Laws
from solvers.dem.grains.walls import Vector, Wall

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Hook:
    """What is called between steps, each time `every` seconds have gone by (0: after each step), on all ranks."""

    every: float
    call: Callable[[Engine], None]


@dataclass(frozen=True)
class Gas:
    """Gas that drags the grains: density [kg/m3], dynamic viscosity [Pa s], velocity [m/s], the same everywhere."""

    density: float
    viscosity: float
    velocity: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Grains:
    """Grains of this rank (``Engine.grains``: views, good until the next step) or all of them in the order of their
    ids on rank 0 (``Engine.gather``).

    id : (n,) numbers that stay; position, velocity, spin : (n, 3) [m], [m/s], [rad/s]; radius, mass : (n,) [m], [kg]
    material : (n,) index into ``laws.materials``; carried : (n, k) columns of the caller's that travel along
    """

    id: npt.NDArray[np.int64]
    position: Array
    velocity: Array
    spin: Array
    radius: Array
    mass: Array
    material: npt.NDArray[np.int64]
    carried: Array


@dataclass(frozen=True)
class Loads:
    """What the grains did to one wall since the loads were last taken, summed over ranks.

    time : how long that was [s]
    impulse, angular : (3,) of the force [N s], of the moment about the centre of the wall's motion [N m s]
    work : done by the wall on the grains [J]; over `time` it is the power draw
    pressing, shearing : (facets,) impulse along and across the normal [N s]
    sliding : (facets,) normal force times sliding distance [J]: wear is proportional to it (Archard)
    """

    time: float
    impulse: Array
    angular: Array
    work: float
    pressing: Array
    shearing: Array
    sliding: Array


@dataclass(frozen=True)
class Balance:
    """Checks over the run so far.

    overlap : largest overlap seen, over the sum of the radii [-]
    momentum : momentum that no force accounts for, over the impulse of all forces [-]
    kinetic, potential, elastic : energies now [J]; work : done by moving walls and by what was inserted or removed [J]
    lost : energy dissipated [J]; it must not be negative beyond rounding: `gained` is the largest rise of energy seen,
    over the largest energy [-]
    """

    overlap: float
    momentum: float
    kinetic: float
    potential: float
    elastic: float
    work: float
    lost: float
    gained: float


class Engine:
    """Grains, walls and time.

    laws : materials and contacts; walls : what bounds the grains
    dt : time step [s], see ``timestep``; gravity [m/s2]; gas : drags the grains
    periodic : (low, high) along each axis, or None where it does not repeat [m]
    bounds : corners of the box that no grain may leave; from the walls unless given [m]
    carried : number of columns of the caller's that travel with each grain
    spectrum : energies [J] that part the bins of the collision spectrum; None: it isn't kept
    say : told what takes long before the first step
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
        comm=None,
        say: Callable[[str], None] = lambda doing: None,
    ) -> None: ...

    time: float
    steps: int
    grains: Grains
    count: int  # grains on all ranks

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

    def remove(self, rows: npt.NDArray[np.bool_]) -> int:
        """Take away the grains of this rank where `rows` is True; returns how many on all ranks."""

    def free(self, position: Array, radius: Array) -> npt.NDArray[np.bool_]:
        """(n,) True where a grain could be put without touching grain or wall; the same on every rank."""

    def run(self, until: float, hooks: Sequence[Hook] = ()) -> None:
        """Go on to the time `until` [s]. Raises StageError ``grains-escaped``, ``unstable``."""

    def gather(self) -> Grains | None:
        """All grains in the order of their ids on rank 0, None elsewhere."""

    def loads(self, name: str) -> Loads:
        """What the grains did to a wall since this was last asked."""

    def facets(self, name: str) -> Array:
        """(n, 3, 3) corners of a wall's triangles now [m]. Not collective."""

    def balance(self) -> Balance:
        """The checks over the run so far."""

    def collisions(self) -> npt.NDArray[np.int64]:
        """(bins,) collisions ended so far in each bin of the spectrum of dissipated energy."""

    def save(self, folder: Path) -> None:
        """Write a checkpoint, each file whole."""

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint: the same steps as if there had been no stop."""
