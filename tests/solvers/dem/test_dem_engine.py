"""The engine: walls of triangles, moving walls, sizes, periodic borders, ranks, restart, packing, what it refuses."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hub.solver import StageError
from solvers.dem.grains import lists
from solvers.dem.grains.engine import Engine, Hook
from solvers.dem.grains.materials import Contact, Laws, Material
from solvers.dem.grains.walls import Motion, Wall, box

MPIEXEC = Path(sys.executable).with_name("mpiexec")
DOWN = (0, 0, -9.81)


def laws(friction=0.5, rolling=0.0, restitution=0.5, **more):
    materials = [
        Material(name="seed", density=2500, youngs_modulus=5e6, poissons_ratio=0.25),
        Material(name="steel", density=2500, youngs_modulus=5e7, poissons_ratio=0.3),
    ]
    touch = Contact(restitution=restitution, friction=friction, rolling=rolling, **more)
    return Laws(materials=materials, contacts={(a, b): touch for a in ("seed", "steel") for b in ("seed", "steel")})


def plate(origin, one, other, parts):
    """(n, 3, 3) triangles of a parallelogram."""
    origin, one, other = (np.array(v, float) for v in (origin, one, other))
    out = []
    for i in range(parts):
        for j in range(parts):
            p, q, r, s = (
                origin + one * (i + a) / parts + other * (j + b) / parts for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))
            )
            out += [[p, q, r], [p, r, s]]
    return np.array(out)


def cube(size, parts):
    x, y, z = np.eye(3) * size
    nil = np.zeros(3)
    sides = [(nil, x, y), (z, x, y), (nil, x, z), (y, x, z), (nil, y, z), (x, y, z)]
    return np.concatenate([plate(*side, parts) for side in sides])


def cloud(rng, count, size, radius):
    """Places without overlap in a cube, on a shaken lattice."""
    side = math.ceil(count ** (1 / 3))
    pitch = size / side
    assert pitch > 2 * radius
    cells = np.stack(np.meshgrid(*[range(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:count]
    return (cells + 0.5) * pitch + rng.uniform(-1, 1, (count, 3)) * (pitch / 2 - radius)


# --- walls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 7, 40])
def test_a_box_of_triangles_is_a_box_of_planes(parts) -> None:
    """One grain hops, slides and rolls through a box for 40 000 steps, over up to 19 200 triangles."""
    ends = []
    for walls in (
        box((0, 0, 0), (0.2, 0.2, 0.2), "steel"),
        [Wall(name="box", material="steel", triangles=cube(0.2, parts))],
    ):
        engine = Engine(laws(rolling=0.01), walls, dt=2e-5, gravity=DOWN)
        engine.insert([[0.021, 0.0177, 0.0031]], [0.003], "seed", velocity=[[0.6, 0.41, 0]])
        engine.run(0.8)
        grain = engine.grains
        ends.append(np.concatenate([grain.position[0], grain.velocity[0], grain.spin[0] * 0.003]))
    assert ends[1] == pytest.approx(ends[0], abs=1e-10)


def test_a_bed_in_triangles_is_a_bed_in_planes() -> None:
    rng = np.random.default_rng(3)
    x, r = cloud(rng, 200, 0.04, 0.003), rng.uniform(0.002, 0.003, 200)
    ends = []
    for walls in (
        box((0, 0, 0), (0.04, 0.04, 0.04), "steel"),
        [Wall(name="box", material="steel", triangles=cube(0.04, 5))],
    ):
        engine = Engine(laws(rolling=0.1), walls, dt=2e-5, gravity=(2, 1, -9))
        engine.insert(x, r, "seed")
        engine.run(0.05)
        ends.append(engine.gather().position)
    assert np.abs(ends[1] - ends[0]).max() < 1e-9


def test_a_belt_takes_a_ball_along() -> None:
    """A ball put on a moving belt slides until 2/7 of the belt's speed; the belt's work is 2/7 m V2."""
    speed, friction, radius = 0.2, 0.3, 0.004
    belt = Wall(name="belt", material="steel", triangles=plate((-0.2, -0.1, 0), (0.6, 0, 0), (0, 0.2, 0), 4),
                motion=Motion(speed=(speed, 0, 0)))  # fmt: skip
    law = laws(friction=friction)
    engine = Engine(law, [belt], dt=1e-5, gravity=DOWN)
    mass = 2500 * 4 / 3 * math.pi * radius**3
    sunk = (mass * 9.81 / (4 / 3 * law.effective(0, 1)[0] * math.sqrt(radius))) ** (2 / 3)
    engine.insert([[0, 0, radius - sunk]], [radius], "seed")
    engine.run(0.1)
    assert engine.grains.velocity[0, 0] == pytest.approx(2 / 7 * speed, rel=0.005)
    loads = engine.loads("belt")
    assert loads.work == pytest.approx(2 / 7 * mass * speed**2, rel=0.01)
    assert loads.impulse == pytest.approx([-2 / 7 * mass * speed, 0, -mass * 9.81 * 0.1], rel=0.01, abs=1e-9)
    assert loads.pressing.sum() == pytest.approx(mass * 9.81 * 0.1, rel=0.01)
    found = engine.balance()
    assert found.work == pytest.approx(loads.work - mass * -9.81 * (radius - sunk), rel=1e-6)
    assert engine.loads("belt").time == 0


def test_walls_turn() -> None:
    """Two turns a second for an eighth of a second: a quarter turn; what rests on a turning table turns with it."""
    table = Wall(name="table", material="steel", triangles=plate((-0.1, -0.1, 0), (0.2, 0, 0), (0, 0.2, 0), 2),
                 motion=Motion(centre=(0, 0, 0), axis=(0, 0, 2), spin=4 * math.pi, stop=0.125))  # fmt: skip
    engine = Engine(laws(), [table], dt=1e-5, gravity=DOWN)
    engine.insert([[0.0, 0, 0.004]], [0.004], "seed")
    engine.run(0.2)
    turned = table.triangles @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    assert engine.facets("table") == pytest.approx(turned, abs=1e-12)


def test_shear_work_drives_a_drum() -> None:
    """Grains in a turning box: its power is what the grains lose and gain, and energy never comes from nowhere."""
    rng = np.random.default_rng(4)
    drum = Wall(name="drum", material="steel", triangles=cube(0.04, 3),
                motion=Motion(centre=(0.02, 0.02, 0.02), axis=(0, 1, 0), spin=6.0))  # fmt: skip
    engine = Engine(laws(rolling=0.05), [drum], dt=2e-5, gravity=DOWN)
    engine.insert(cloud(rng, 100, 0.04, 0.003), rng.uniform(0.002, 0.003, 100), "seed")
    engine.run(0.5, [Hook(0.01, lambda e: e.balance())])
    found = engine.balance()
    assert found.momentum < 1e-10
    assert found.gained < 1e-4
    assert found.lost > 0
    loads = engine.loads("drum")
    assert loads.work == pytest.approx(6.0 * loads.angular[1] * -1, rel=1e-6)


# --- lists --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1.0, 3.0, 10.0])
def test_no_pair_is_missed(ratio) -> None:
    """The list of pairs against all pairs, for sizes up to ten times apart."""
    rng = np.random.default_rng(5)
    n = 700
    rows = np.zeros((n, 12))
    rows[:, :3], rows[:, 3] = rng.uniform(0, 1, (n, 3)), 0.02 * ratio ** -rng.uniform(0, 1, n)
    skin = 0.004
    low, high = rows[:, :3].min(axis=0), rows[:, :3].max(axis=0)
    count, inverse = lists.grid(rows, low, high, 2 * rows[:, 3].max() + skin)
    start, order = lists.sort_cells(rows, low, count, inverse)
    ptr, nbr, fits = lists.pair_list(rows, n, skin, low, count, inverse, start, order, 100_000)
    assert fits
    found = {frozenset((i, int(j))) for i in range(n) for j in nbr[ptr[i] : ptr[i + 1]]}
    assert len(found) == len(nbr)
    apart = np.linalg.norm(rows[:, None, :3] - rows[None, :, :3], axis=2) - rows[:, None, 3] - rows[None, :, 3]
    assert found == {frozenset(map(int, p)) for p in np.argwhere(apart < skin) if p[0] < p[1]}


def test_free_places() -> None:
    engine = Engine(laws(), box((0, 0, 0), (1, 1, 1), "steel"), dt=1e-5)
    engine.insert([[0.5, 0.5, 0.5]], [0.1], "seed")
    places = [[0.5, 0.5, 0.71], [0.5, 0.5, 0.69], [0.5, 0.5, 0.05], [0.5, 0.5, 0.15], [0.5, 0.5, -0.5]]
    assert engine.free(places, np.full(5, 0.1)).tolist() == [True, False, False, True, False]


def test_periodic_gas_keeps_momentum_and_energy() -> None:
    """Elastic, frictionless grains in a periodic box: a gas that keeps its momentum, and its energy but for steps."""
    rng = np.random.default_rng(6)
    size, n = 0.03, 150
    engine = Engine(laws(friction=0, restitution=1), dt=2e-6, periodic=[(0, size)] * 3)
    v = rng.normal(0, 0.3, (n, 3))
    engine.insert(cloud(rng, n, size, 0.0015), np.full(n, 0.0015), "seed", velocity=v)
    before = engine.balance()
    mass = engine.grains.mass[0]
    engine.run(0.05)
    after = engine.balance()
    assert engine.gather().velocity.sum(axis=0) == pytest.approx(v.sum(axis=0), abs=1e-9)
    assert after.kinetic + after.elastic == pytest.approx(before.kinetic, rel=1e-4)
    assert mass * (v**2).sum() / 2 == pytest.approx(before.kinetic)
    assert (engine.grains.position > -1e-3).all() and (engine.grains.position < size + 1e-3).all()


def test_frictionless_grains_pack_at_random() -> None:
    """Random close packing is .64: G. D. Scott, D. M. Kilgour, J. Phys. D 2 (1969) 863 (0.6366 of steel balls)."""
    rng = np.random.default_rng(7)
    d, side, layers = 0.005, 8, 20
    pitch = 1.15 * d
    cells = np.stack(np.meshgrid(range(side), range(side), range(layers), indexing="ij"), axis=-1).reshape(-1, 3)
    r = rng.uniform(0.9, 1.1, len(cells)) * d / 2
    width = side * pitch
    engine = Engine(
        laws(friction=0, restitution=0.3), [Wall(name="floor", material="steel")], dt=2e-5, gravity=DOWN,
        periodic=((0, width), (0, width), None),
    )  # fmt: skip
    engine.insert((cells + 0.5) * pitch, r, "seed", velocity=rng.normal(0, 0.1, (len(cells), 3)))
    engine.run(0.6)
    grains = engine.gather()
    z, r = grains.position[:, 2], grains.radius
    assert engine.balance().kinetic < 1e-5
    low, high = 4 * d, np.sort(z)[-side * side] - 3 * d
    assert high - low > 4 * d
    # volume of a ball below a height h above its centre, clipped to the ball
    below = lambda h: np.pi * (2 * r**3 / 3 + r**2 * h - h**3 / 3)  # noqa: E731
    inside = below(np.clip(high - z, -r, r)) - below(np.clip(low - z, -r, r))
    assert inside.sum() / (width**2 * (high - low)) == pytest.approx(0.64, abs=0.01)


# --- ranks and restart --------------------------------------------------------------------------------------------

SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_dem_engine import DOWN, Engine, Hook, Motion, Wall, cloud, cube, laws, plate

stop = Path(sys.argv[2])
def made():
    walls = [
        Wall(name="box", material="steel", triangles=cube(0.04, 3)),
        Wall(name="blade", material="steel", triangles=plate((0.01, 0.02, 0.001), (0.02, 0, 0), (0, 0, 0.03), 2),
             motion=Motion(centre=(0.02, 0.02, 0), axis=(0, 0, 1), spin=8.0)),
    ]
    return Engine(laws(rolling=0.1), walls, dt=2e-5, gravity=DOWN, carried=1, spectrum=np.geomspace(1e-9, 1e-4, 6))

def run(engine, until):
    # grains leave near one corner and come back above, as inlets and outlets do
    def change(e):
        x = e.grains.position
        gone = e.remove((x[:, 2] < 0.008) & (x[:, 0] < 0.012) & (x[:, 1] < 0.012))
        high = np.array([[0.01 + 0.006 * k, 0.035, 0.036] for k in range(4)])
        high = high[e.free(high, np.full(4, 0.0025))][:gone]
        e.insert(high, 0.0025, "seed", carried=np.full((len(high), 1), e.time))
    engine.run(until, [Hook(0.005, change)])

rng = np.random.default_rng(8)
a = made()
a.insert(cloud(rng, 216, 0.04, 0.003), rng.uniform(0.002, 0.003, 216), rng.integers(0, 2, 216))
run(a, 0.02)
a.save(stop)
run(a, 0.05)
b = made()
b.load(stop)
run(b, 0.05)
one, two = a.gather(), b.gather()
found, loads, bins = a.balance(), a.loads("blade"), a.collisions()
if one is not None:
    parts = ("id", "position", "velocity", "spin", "carried")
    same = all(np.array_equal(getattr(one, k), getattr(two, k)) for k in parts)
    print(json.dumps({
        "same": same, "x": one.position.tolist(), "id": one.id.tolist(), "work": loads.work, "bins": bins.tolist(),
        "momentum": found.momentum, "lost": found.lost, "next": a._next_id,
    }))
"""


def ranks(count, folder):
    """What the script above prints on so many ranks."""
    command = [str(MPIEXEC), "-n", str(count), sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout.strip().splitlines()[-1])


def test_ranks_agree_repeat_and_restart(tmp_path) -> None:
    """A stirred bed with grains taken out and put in, on 1 and 2 ranks, with a stop in between."""
    alone, two, again = ranks(1, tmp_path / "1"), ranks(2, tmp_path / "2"), ranks(2, tmp_path / "2b")
    assert alone["same"] and two["same"]  # a restart goes on bit for bit
    assert two["x"] == again["x"] and two["work"] == again["work"]  # so does a second run
    assert alone["id"] == two["id"] and alone["next"] > 216
    assert np.abs(np.array(alone["x"]) - two["x"]).max() < 1e-9
    assert two["work"] == pytest.approx(alone["work"], rel=1e-6)
    assert two["bins"] == alone["bins"]
    assert max(alone["momentum"], two["momentum"]) < 1e-10


# --- what it refuses ----------------------------------------------------------------------------------------------


def test_grains_that_escape_stop_the_run() -> None:
    engine = Engine(laws(), dt=1e-5, gravity=DOWN, bounds=((-0.1, -0.1, -0.1), (0.1, 0.1, 0.1)))
    engine.insert([[0, 0, 0], [0.01, 0.02, -0.05]], [0.002] * 2, "seed")
    with pytest.raises(StageError, match=r"1 grain left .* grain 1 is at \(0\.01, 0\.02, -0\.1"):
        engine.run(0.2)


def test_overlapping_grains_are_found_unstable() -> None:
    engine = Engine(laws(), dt=1e-4)
    engine.insert([[0, 0, 0], [1e-6, 0, 0]], [0.002] * 2, "seed")
    with pytest.raises(StageError) as stopped:
        engine.run(0.2)
    assert stopped.value.code == "unstable"


@pytest.mark.parametrize("wrong", [{"restitution": 1.1}, {"friction": -0.1}, {"rolling": -1.0}])
def test_laws_without_meaning_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="seed on seed"):
        laws(**wrong)


@pytest.mark.parametrize("wrong", [{"youngs_modulus": 0.0}, {"density": 0.0}, {"poissons_ratio": 0.6}])
def test_materials_without_meaning_are_refused(wrong) -> None:
    given = {"name": "dust", "density": 2500, "youngs_modulus": 5e6, "poissons_ratio": 0.25} | wrong
    touch = Contact(restitution=0.5, friction=0.5)
    with pytest.raises(ValueError, match=r"dust.*must be positive"):
        Laws(materials=(Material(**given),), contacts={("dust", "dust"): touch})


def test_a_linear_spring_without_stiffness_is_refused() -> None:
    dust = Material(name="dust", density=2500, youngs_modulus=5e6, poissons_ratio=0.25)
    touch = Contact(restitution=0.5, friction=0.5, stiffness=0.0)
    with pytest.raises(ValueError, match=r"dust on dust.*stiffness above zero"):
        Laws(materials=(dust,), contacts={("dust", "dust"): touch}, model="linear")


def test_a_plane_cannot_tumble() -> None:
    with pytest.raises(ValueError, match="endless plane floor"):
        Engine(laws(), [Wall(name="floor", material="steel", motion=Motion(axis=(1, 0, 0), spin=1.0))], dt=1e-5)


def test_a_million_grains_fit_in_four_gibibytes(tmp_path) -> None:
    """A fifth of them, moved in a box of triangles with rolling friction as the benchmark does: a fifth of the room."""
    from solvers.dem.grains import bench

    count, pitch = 200_000, 6.3e-3
    cells = np.stack(np.meshgrid(range(100), range(100), range(20), indexing="ij"), axis=-1).reshape(-1, 3)
    # pressed into each other by some thousandths: every grain has six contacts, as in a bed
    r = np.full(count, 0.5005 * pitch)
    bed = bench.Bed((cells + 0.5) * pitch, r, np.arange(count) % 2, np.array([100, 100, 20]) * pitch)
    timed = bench.officina(bed, 20, True, 1, tmp_path)
    assert 0 < timed.kinetic < math.inf
    assert 1e8 < timed.memory < 4 * 2**30 / 5
