"""``python -m solvers.dem.grains.verify silo | hopper``: what takes too long for a test, against theory.

silo : floors of columns of several heights, lowered slowly until friction hangs on the walls what it can, against
    H. A. Janssen, Z. VDI 39 (1895) 1045. Theory has the shape of the law; its one length follows from a ratio of
    pressures that it does not give, and is fitted to all heights at once, as in experiments: L. Vanel, E. Clement,
    Eur. Phys. J. B 11 (1999) 525.
hopper : flow through round holes of several diameters D in a flat bottom, what has left coming back on top, against
    W. A. Beverloo, H. A. Leniger, J. van de Velde, Chem. Eng. Sci. 15 (1961) 260: W = C rho sqrt(g) (D - k d)^2.5, k
    their mean of 1.4. A bin 2.5 D wide and filled 2 D high leaves the flow alone: R. M. Nedderman, Statics and
    Kinematics of Granular Materials (1992), ch. 10.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import least_squares

from solvers.dem.grains import bed, blocks
from solvers.dem.grains.conditions import Reals
from solvers.dem.grains.engine import Engine, Hook
from solvers.dem.grains.materials import Contact, Laws, Material
from solvers.dem.grains.walls import Motion, Wall

#: Grains: mean diameter [m], its half range over it, density [kg/m3].
SIZE, SPREAD, DENSITY, POISSON = 4e-3, 0.1, 1300.0, 0.3
GRAVITY = 9.81
#: Young's modulus [Pa] and a fifth of the Rayleigh time [s] of grains that stand, and of those that flow.
STAND, FLOW = (8.5e6, 2.4e-5), (4e6, 3.5e-5)
#: Grain diameters by which a hole seems narrower than it is: Beverloo's mean.
NARROWER = 1.4
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


def fit_power(width: Reals, flow: Reals, error: Reals) -> tuple[float, float]:
    """Exponent of flows [kg/s] over widths D - k d [m], weighed by their errors, and half its 95 % bar."""
    terms = np.column_stack([np.log(width), np.ones(len(width))]) * (flow / error)[:, None]
    inverse = np.linalg.inv(terms.T @ terms)
    exponent = (inverse @ terms.T @ (np.log(flow) * flow / error))[0]
    return float(exponent), math.sqrt(inverse[0, 0])


def ring(z: tuple[float, float], radius: tuple[float, float]) -> Reals:
    """(n, 3, 3) triangles of a band around the z axis, from one height and radius to another: a tube or a bottom."""
    turn = 2 * np.pi * np.arange(SIDES + 1) / SIDES
    low, high = (np.stack([r * np.cos(turn), r * np.sin(turn), np.full_like(turn, h)], axis=1)
                 for h, r in zip(z, radius, strict=True))  # fmt: skip
    return np.concatenate(
        [np.stack([low[:-1], low[1:], high[1:]], axis=1), np.stack([low[:-1], high[1:], high[:-1]], axis=1)]
    )


def laws(young: float, friction: float, at_walls: float, restitution: float, rolling: float) -> Laws:
    """Grains and walls."""
    made = [Material(name=n, density=DENSITY, youngs_modulus=young, poissons_ratio=POISSON) for n in ("grain", "wall")]
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
    engine = Engine(laws(STAND[0], 0.5, 0.3, 0.3, 0.0), walls, dt=STAND[1], gravity=(0, 0, -GRAVITY))
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


def discharged(hole: float, grains: float, seed: int) -> tuple[float, float, float]:
    """Mass flow through a hole [kg/s] while so many grains leave, half its 95 % bar, and the bulk density before it
    opens [kg/m3]."""
    radius, settled, every = 1.25 * hole, 0.5, 0.005
    count = round(0.58 * 12 * radius**2 * hole / SIZE**3)
    slide = Motion(speed=(2.0, 0, 0), start=settled, stop=settled + hole)
    inside = 0.6 * hole * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) - (0, 0, 1e-3)
    walls = (
        Wall(name="tube", material="wall", triangles=ring((0, 0.5), (radius, radius))),
        Wall(name="bottom", material="wall", triangles=ring((0, 0), (hole / 2, radius))),
        Wall(name="slide", material="wall", triangles=inside[[[0, 1, 2], [0, 2, 3]]], motion=slide),
    )
    engine = Engine(laws(FLOW[0], 0.3, 0.3, 0.5, 0.02), walls, dt=FLOW[1], gravity=(0, 0, -GRAVITY))
    rng = np.random.default_rng(seed)
    engine.insert(*column(count, radius, 0.0, rng), "grain")
    engine.run(settled)
    found = bed.fraction(engine.grains.position, engine.grains.radius)
    assert found is not None
    out: list[float] = []
    waiting: list[float] = []

    def around(engine: Engine) -> None:
        grains = engine.grains
        gone = grains.position[:, 2] < -0.05
        out.append(float(grains.mass[gone].sum()))
        waiting.extend(grains.radius[gone])
        engine.remove(gone)
        top = float(np.quantile(engine.grains.position[:, 2], 0.98)) + 3 * SIZE
        turn, away = rng.uniform(0, 2 * np.pi, len(waiting)), 0.9 * radius * np.sqrt(rng.uniform(size=len(waiting)))
        x = np.column_stack([away * np.cos(turn), away * np.sin(turn), top + rng.uniform(0, 8 * SIZE, len(waiting))])
        r = np.array(waiting)
        free = engine.free(x, r) if len(r) else np.zeros(0, bool)
        for k in np.flatnonzero(free):  # those put in before may be in the way of the next
            before = np.flatnonzero(free[:k])
            free[k] = (np.linalg.norm(x[before] - x[k], axis=1) > r[before] + r[k]).all()
        engine.insert(x[free], r[free], "grain")
        waiting[:] = r[~free]

    law = 0.58 * found[0] * DENSITY * math.sqrt(GRAVITY) * (hole - NARROWER * SIZE) ** 2.5
    seconds = grains * DENSITY * math.pi / 6 * SIZE**3 / law
    start = settled + 0.2 + 4 * math.sqrt(hole / GRAVITY)
    engine.run(start, [Hook(every, around)])
    begun = len(out)
    engine.run(start + seconds, [Hook(every, around)])
    value, error = blocks.mean(np.array(out[begun:]) / every)
    return value, error or math.nan, found[0] * DENSITY


def hopper(holes: Sequence[float], grains: float) -> None:
    """Print the flows through several holes and the exponent that goes through them."""
    print("  hole mm  over grain  flow g/s             Beverloo, C = .58")
    rows = []
    for k, hole in enumerate(holes):
        flow, error, density = discharged(hole, grains, k)
        rows.append((hole - NARROWER * SIZE, flow, error))
        law = 0.58 * density * math.sqrt(GRAVITY) * rows[-1][0] ** 2.5
        print(
            f"{1e3 * hole:9.1f}{hole / SIZE:12.1f}{1e3 * flow:10.2f} +-{1e3 * error:6.2f}{1e3 * law:14.2f}", flush=True
        )
    exponent, error = fit_power(*np.array(rows).T)
    print(f"exponent {exponent:.3f} +- {error:.3f} with k = {NARROWER}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; see the head of this module."""
    options = argparse.ArgumentParser(prog="python -m solvers.dem.grains.verify", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    options.add_argument("what", choices=("silo", "hopper"))
    options.add_argument("--grains", type=int, nargs="+", default=[600, 1200, 2000, 2800, 3600])
    options.add_argument("--seeds", type=int, default=2, help="fillings of each height")
    options.add_argument("--holes", type=float, nargs="+", default=[24, 30, 38, 48], help="diameters [mm]")
    options.add_argument("--leave", type=float, default=6000, help="grains that leave each hole while it is measured")
    given = options.parse_args(argv)
    if given.what == "silo":
        silo(given.grains, given.seeds)
    else:
        hopper([1e-3 * h for h in given.holes], given.leave)


if __name__ == "__main__":
    main()
