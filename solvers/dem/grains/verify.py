"""``python -m solvers.dem.grains.verify``: columns in a tube against Janssen's law, which takes too long for a test.

Floors of columns of several heights, lowered slowly until friction hangs on the walls what it can, against
H. A. Janssen, Z. VDI 39 (1895) 1045. Theory has the shape of the law; its one length follows from a ratio of pressures
that it does not give, and is fitted to all heights at once, as in experiments: L. Vanel, E. Clement, Eur. Phys. J. B 11
(1999) 525.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import least_squares

from solvers.dem.grains.conditions import Reals
from solvers.dem.grains.engine import Engine
from solvers.dem.grains.materials import Contact, Laws, Material
from solvers.dem.grains.walls import Motion, Wall

#: Grains: mean diameter [m], its half range over it, density [kg/m3], Young's modulus [Pa].
SIZE, SPREAD, DENSITY, YOUNG, POISSON = 4e-3, 0.1, 1300.0, 8.5e6, 0.3
GRAVITY = 9.81
STEP = 2.4e-5
#: Flat sides of a round wall.
SIDES = 72


def janssen(weight: Reals, most: float) -> Reals:
    """Force on the floor [N] under columns that weigh so much [N], if the walls leave it at most `most` [N]."""
    return np.asarray(most * -np.expm1(-weight / most))


def fit_janssen(weight: Reals, floor: Reals) -> tuple[float, Reals]:
    """The force `most` [N] that fits all columns best, and what is left of each over the law's own."""
    left = lambda log: floor / janssen(weight, math.exp(log[0])) - 1  # noqa: E731
    found = least_squares(left, [math.log(floor.max())])
    return math.exp(found.x[0]), left(found.x)


def ring(z: tuple[float, float], radius: tuple[float, float]) -> Reals:
    """(n, 3, 3) triangles of a band around the z axis, from one height and radius to another: a tube or a bottom."""
    turn = 2 * np.pi * np.arange(SIDES + 1) / SIDES
    low, high = (np.stack([r * np.cos(turn), r * np.sin(turn), np.full_like(turn, h)], axis=1)
                 for h, r in zip(z, radius, strict=True))  # fmt: skip
    return np.concatenate(
        [np.stack([low[:-1], low[1:], high[1:]], axis=1), np.stack([low[:-1], high[1:], high[:-1]], axis=1)]
    )


def laws(friction: float, at_walls: float, restitution: float, rolling: float) -> Laws:
    """Grains and walls."""
    made = [Material(name=n, density=DENSITY, youngs_modulus=YOUNG, poissons_ratio=POISSON) for n in ("grain", "wall")]
    of = lambda mu: Contact(restitution=restitution, friction=mu, rolling=rolling)  # noqa: E731
    pairs = {("grain", "grain"): of(friction), ("grain", "wall"): of(at_walls), ("wall", "wall"): of(0.0)}
    return Laws(materials=made, contacts=pairs)


def column(count: int, radius: float, bottom: float, rng: np.random.Generator) -> tuple[Reals, Reals]:
    """Places and radii [m] of so many grains in a tube, without overlap, from a height on."""
    pitch = 1.16 * (1 + SPREAD) * SIZE
    half = int(radius / pitch)
    cells = np.stack(np.meshgrid(*[np.arange(-half, half + 1)] * 2), axis=-1).reshape(-1, 2) * pitch
    cells = cells[np.hypot(*cells.T) < radius - 0.5 * pitch]
    layer = np.arange(count) // len(cells)
    x = np.column_stack([cells[np.arange(count) % len(cells)], bottom + (layer + 0.5) * pitch])
    r = SIZE / 2 * rng.uniform(1 - SPREAD, 1 + SPREAD, count)
    return x + rng.uniform(-1, 1, x.shape) * (pitch / 2 - r)[:, None] / math.sqrt(2), r


def lowered(count: int, seed: int) -> tuple[float, float, float, float]:
    """Weight of a column and force on its floor [N], normal force on its walls [N] and height [m], after its floor has
    been lowered by 1.6 mm to 2 mm."""
    radius, settled, speed = 0.024, 0.8, 4e-3
    walls = (
        Wall(name="tube", material="wall", triangles=ring((-0.01, 0.4), (radius, radius))),
        Wall(name="floor", material="wall", motion=Motion(speed=(0, 0, -speed), start=settled)),
    )
    engine = Engine(laws(0.5, 0.3, 0.3, 0.0), walls, dt=STEP, gravity=(0, 0, -GRAVITY))
    x, r = column(count, radius, 0.0, np.random.default_rng(seed))
    engine.insert(x, r, "grain")
    engine.run(settled + 1.6e-3 / speed)
    engine.loads("floor"), engine.loads("tube")
    engine.run(settled + 2e-3 / speed)
    floor, tube = engine.loads("floor"), engine.loads("tube")
    grains = engine.grains
    high = float(np.quantile(grains.position[:, 2], 0.99)) + SIZE / 2 + 2e-3
    weight = float(grains.mass.sum()) * GRAVITY
    return weight, -floor.impulse[2] / floor.time, float(tube.pressing.sum()) / tube.time, high


def silo(counts: Sequence[int], seeds: int) -> None:
    """Print floors of several heights and how well one length fits them."""
    rows = np.array([np.mean([lowered(n, s) for s in range(seeds)], axis=0) for n in counts])
    weight, floor, pressing, high = rows.T
    most, left = fit_janssen(weight, floor)
    print("  height mm  weight N  floor N  law N    off   wall friction over normal force")
    for k, n in enumerate(janssen(weight, most)):
        print(f"{1e3 * high[k]:11.1f}{weight[k]:10.4f}{floor[k]:9.4f}{n:7.4f}{left[k]:+7.1%}"
              f"{(weight[k] - floor[k]) / pressing[k]:10.3f}")  # fmt: skip
    length = most / (weight[-1] / high[-1])
    print(f"largest {np.abs(left).max():.1%}; length {1e3 * length:.1f} mm, "
          f"pressure ratio {0.048 / (4 * 0.3 * length):.2f} if all of the friction of .3 is mobilised")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; see the head of this module."""
    options = argparse.ArgumentParser(prog="python -m solvers.dem.grains.verify", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    options.add_argument("--grains", type=int, nargs="+", default=[600, 1200, 2000, 2800, 3600])
    options.add_argument("--seeds", type=int, default=2, help="fillings of each height")
    given = options.parse_args(argv)
    silo(given.grains, given.seeds)


if __name__ == "__main__":
    main()
