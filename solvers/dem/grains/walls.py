"""Walls as the grains meet them: triangles or endless planes of one material, at rest or moving as one body."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Vector = tuple[float, float, float]

#: Columns of a row of :meth:`Motion.row`.
CENTRE, AXIS, SPIN, SPEED, SHAKE, FREQUENCY, PHASE, START, STOP = 0, 3, 6, 7, 10, 13, 14, 15, 16
ROW = 17


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How a wall moves: it turns, travels and shakes, between `start` and `stop` [s].

    centre, axis : a point on the axis [m] and its direction; spin [rad/s] about it, right-handed
    speed : of travel [m/s]
    shake, frequency, phase : amplitude [m], frequency [Hz] and phase [rad] of a sine on top
    """

    centre: Vector = (0.0, 0.0, 0.0)
    axis: Vector = (0.0, 0.0, 1.0)
    spin: float = 0.0
    speed: Vector = (0.0, 0.0, 0.0)
    shake: Vector = (0.0, 0.0, 0.0)
    frequency: float = 0.0
    phase: float = 0.0
    start: float = 0.0
    stop: float = math.inf

    @property
    def moves(self) -> bool:
        return bool(self.spin or any(self.speed) or (any(self.shake) and self.frequency))

    def row(self) -> npt.NDArray[np.float64]:
        """(ROW,) numbers for the kernels; a time without end is a large one."""
        axis = np.asarray(self.axis, float)
        size = np.linalg.norm(axis)
        if not size > 0:
            raise ValueError(f"the axis {self.axis} of a motion has no direction")
        shake = np.asarray(self.shake, float) if self.frequency else np.zeros(3)
        ends = [min(t, 1e300) for t in (self.start, self.stop)]
        return np.concatenate(
            [self.centre, axis / size, [self.spin], self.speed, shake, [self.frequency, self.phase], ends]
        ).astype(float)


@dataclass(frozen=True, kw_only=True)
class Wall:
    """A wall: triangles, or one endless plane if there are none.

    material : a name in the laws
    triangles : (n, 3, 3) corners [m], at time zero; grains touch both of their sides
    point, normal : of the plane, whose normal points to the grains
    """

    name: str
    material: str
    triangles: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3, 3)))
    point: Vector = (0.0, 0.0, 0.0)
    normal: Vector = (0.0, 0.0, 1.0)
    motion: Motion = field(default_factory=Motion)

    @property
    def facets(self) -> npt.NDArray[np.float64]:
        """(n, 3, 3) the triangles, or for a plane one row that holds its point and its normal."""
        if len(self.triangles):
            return np.asarray(self.triangles, float)
        normal = np.asarray(self.normal, float)
        size = np.linalg.norm(normal)
        if not size > 0:
            raise ValueError(f"the normal of wall {self.name} has no direction")
        return np.array([[self.point, normal / size, (0.0, 0.0, 0.0)]], float)


def box(low: Vector, high: Vector, material: str) -> list[Wall]:
    """Six planes around a box."""
    walls = []
    for axis, letter in enumerate("xyz"):
        for sign, point in ((1, low), (-1, high)):
            normal = tuple(float(sign) if k == axis else 0.0 for k in range(3))
            walls.append(
                Wall(name=f"{'+' if sign < 0 else '-'}{letter}", material=material, point=point, normal=normal)
            )
    return walls


def extent(walls: Sequence[Wall]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lowest and highest corner of all triangles at time zero [m]; infinite without any."""
    corners = [w.triangles.reshape(-1, 3) for w in walls if len(w.triangles)]
    if not corners:
        return np.full(3, -np.inf), np.full(3, np.inf)
    every = np.concatenate(corners)
    return every.min(axis=0), every.max(axis=0)
