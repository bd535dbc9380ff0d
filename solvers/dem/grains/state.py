"""What the engine takes and gives besides grains' laws and walls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from solvers.dem.grains.walls import Vector

Array = npt.NDArray[np.float64]


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
