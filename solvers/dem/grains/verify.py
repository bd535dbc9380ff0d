"""``python -m solvers.dem.grains.verify silo | hopper``: what takes too long for a test, against theory.

silo : floors and walls of columns of several heights, lowered slowly until friction hangs on the walls what it can,
    against H. A. Janssen, Z. VDI 39 (1895) 1045. His law takes the ratio of horizontal to vertical pressure as given:
    it is that of the stress in the middle of the same bed, from forces between grains alone. Nothing is fitted. He lets
    grains slide along the wall; round ones roll there and use .24 to .27 of a friction of .3, hence rolling friction.
hopper : flow through round holes of several diameters D in a flat bottom, what has left coming back on top, against
    W. A. Beverloo, H. A. Leniger, J. van de Velde, Chem. Eng. Sci. 15 (1961) 260: W = C rho sqrt(g) (D - k d)^2.5, k
    their mean of 1.4. A bin 2.5 D wide and filled 2 D high leaves the flow alone: R. M. Nedderman, Statics and
    Kinematics of Granular Materials (1992), ch. 10.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from solvers.dem.grains import bed, blocks
from solvers.dem.grains.conditions import Reals
from solvers.dem.grains.engine import Engine, Hook
from solvers.dem.grains.materials import Contact, Laws, Material
from solvers.dem.grains.walls import Motion, Wall

#: Grains: mean diameter [m], its half range over it, density [kg/m3].
SIZE, SPREAD, DENSITY, POISSON = 4e-3, 0.1, 1300.0, 0.3
GRAVITY = 9.81
#: Radius of the columns [m] and friction at their walls.
TUBE, AT_WALL = 0.024, 0.3
#: Young's modulus [Pa] and a fifth of the Rayleigh time [s] of grains that stand, and of those that flow.
STAND, FLOW = (8.5e6, 2.4e-5), (4e6, 3.5e-5)
#: Grain diameters by which a hole seems narrower than it is: Beverloo's mean.
NARROWER = 1.4
#: Flat sides of a round wall.
SIDES = 72


def janssen(weight: Reals, most: float) -> Reals:
    """Force on the floor [N] under columns that weigh so much [N], if the walls leave it at most `most` [N]."""
    return np.asarray(most * -np.expm1(-weight / most))


def stress(engine: Engine, inside: Callable[[Reals], npt.NDArray[np.bool_]], volume: float) -> Reals:
    """(3, 3) mean stress [Pa] of a bed at rest in a volume [m3], from the contacts between grains whose middles (n, 3)
    are inside: force times way over volume (J. Christoffersen et al., J. Appl. Mech. 48 (1981) 339). On one rank."""
    rows, first = engine._S, np.repeat(np.arange(len(engine._ptr) - 1), np.diff(engine._ptr))
    second, spring = engine._nbr[: len(first)], engine._hist[: len(first), :3]
    here = inside((rows[first, :3] + rows[second, :3]) / 2)
    first, second, spring = first[here], second[here], spring[here]
    way, radii = rows[first, :3] - rows[second, :3], np.stack([rows[first, 3], rows[second, 3]])
    apart = np.linalg.norm(way, axis=1)
    overlap = np.maximum(radii.sum(axis=0) - apart, 0)
    normal, _, shear = engine._law[rows[first, 11].astype(int) * engine._materials + rows[second, 11].astype(int), :3].T
    touch = np.sqrt(radii.prod(axis=0) / radii.sum(axis=0) * overlap)
    force = (normal * touch * overlap / apart)[:, None] * way - (shear * touch)[:, None] * spring
    return np.asarray(force.T @ way / volume)


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


def lowered(count: int, seed: int, rolling: float) -> Reals:
    """What a column does after its floor has been lowered by 1.6 mm to 2 mm: its weight and the force on its floor [N],
    normal force on its walls [N], height [m], and of the middle half of it the ratio of pressures and the weight per
    height [N/m]."""
    settled, speed = 0.8, 4e-3
    walls = (
        Wall(name="tube", material="wall", triangles=ring((-0.01, 0.4), (TUBE, TUBE))),
        Wall(name="floor", material="wall", motion=Motion(speed=(0, 0, -speed), start=settled)),
    )
    engine = Engine(laws(STAND[0], 0.5, AT_WALL, 0.3, rolling), walls, dt=STAND[1], gravity=(0, 0, -GRAVITY))
    x, r = column(count, TUBE, 0.0, np.random.default_rng(seed))
    engine.insert(x, r, "grain")
    engine.run(settled + 1.6e-3 / speed)
    engine.loads("floor"), engine.loads("tube")
    bottom, top = -2e-3, float(np.quantile(engine.grains.position[:, 2], 0.99)) + SIZE / 2
    quarter = (top - bottom) / 4
    middle = lambda x: (x[:, 2] > bottom + quarter) & (x[:, 2] < top - quarter)  # noqa: E731
    within = TUBE - SIZE / 2  # grains at the wall touch others there, and nobody farther out
    seen = []

    def look(engine: Engine) -> None:
        inside = lambda x: middle(x) & (np.hypot(x[:, 0], x[:, 1]) < within)  # noqa: E731
        found = stress(engine, inside, math.pi * within**2 * 2 * quarter)
        grains = engine.grains
        heavy = float(grains.mass[middle(grains.position)].sum()) * GRAVITY / (2 * quarter)
        seen.append(((found[0, 0] + found[1, 1]) / 2, found[2, 2], heavy))

    engine.run(settled + 2e-3 / speed, [Hook(5e-3, look)])
    floor, tube = engine.loads("floor"), engine.loads("tube")
    across, down, heavy = np.mean(seen, axis=0)
    weight = float(engine.grains.mass.sum()) * GRAVITY
    pressing = float(tube.pressing.sum()) / tube.time
    return np.array([weight, -floor.impulse[2] / floor.time, pressing, top - bottom, across / down, heavy])


def silo(counts: Sequence[int], seeds: int, rolling: float) -> None:
    """Print the forces on floors and walls for several heights, and what Janssen's law says of them."""
    print("           pressure  friction  on the floor N           on the walls N")
    print("height mm     ratio   at work             law    off             law    off")
    worst = 0.0
    for count in counts:
        found = np.mean([lowered(count, seed, rolling) for seed in range(seeds)], axis=0)
        weight, floor, pressing, high, ratio, heavy = found
        most = heavy * 2 * TUBE / (4 * AT_WALL * ratio)
        law = float(janssen(weight, most))
        walls = (weight - law) / AT_WALL
        off = floor / law - 1, pressing / walls - 1
        worst = max(worst, *map(abs, off))
        print(f"{1e3 * high:9.1f}{ratio:10.3f}{(weight - floor) / pressing:10.3f}{floor:9.4f}{law:9.4f}{off[0]:+7.1%}"
              f"{pressing:9.4f}{walls:9.4f}{off[1]:+7.1%}", flush=True)  # fmt: skip
    print(f"largest {worst:.1%}")


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
    options.add_argument("--rolling", type=float, default=0.1, help="rolling friction of the grains of a silo")
    options.add_argument("--seeds", type=int, default=2, help="fillings of each height")
    options.add_argument("--holes", type=float, nargs="+", default=[24, 30, 38, 48], help="diameters [mm]")
    options.add_argument("--leave", type=float, default=6000, help="grains that leave each hole while it is measured")
    given = options.parse_args(argv)
    if given.what == "silo":
        silo(given.grains, given.seeds, given.rolling)
    else:
        hopper([1e-3 * h for h in given.holes], given.leave)


if __name__ == "__main__":
    main()
