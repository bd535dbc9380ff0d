"""What a case comes to before anything moves: how many grains of which sizes, how stiff, in which steps of time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hub.solver import BoundCase
from solvers.dem.grains.conditions import (
    Fill,
    Gravity,
    Inlet,
    Outlet,
    Params,
    Reals,
    Rotation,
    Species,
    Touch,
    Translation,
    Vibration,
)
from solvers.dem.grains.materials import Contact, Laws, Material

#: Softer than this nothing is made: below it beds of some decimetres are squeezed together by their weight.
SOFTEST = 2e6
#: How much deeper than `Params.overlap` the rare fastest collisions may go.
FASTEST = 5.0
#: Share of the Rayleigh time that a step may take.
STEP = 0.2
#: Solid fraction of grains thrown into a region at random without overlap, and of a random packing.
THROWN, PACKED = 0.3, 0.64
WALLS = "walls"


@dataclass(frozen=True)
class Plan:
    """The numbers behind a case; pure and quick.

    bound : the case; walls : (2, 3) the box around its walls [m], once they are known
    """

    bound: BoundCase
    walls: Reals | None = None

    def of[T](self, kind: type[T]) -> list[T]:
        """The conditions of a kind, in their order."""
        return [c for c in self.bound.conditions if isinstance(c, kind)]

    @property
    def params(self) -> Params:
        return self.bound.params  # type: ignore[no-any-return]

    @property
    def until(self) -> float:
        """End of the run [s]."""
        return self.params.settling + self.params.duration

    @cached_property
    def species(self) -> dict[str, Species]:
        return {s.name: s for s in self.of(Species)}

    @cached_property
    def gravity(self) -> Reals:
        """(3,) [m/s2]"""
        return np.sum([np.zeros(3), *(g.value for g in self.of(Gravity))], axis=0)

    @cached_property
    def down(self) -> Reals:
        """(3,) where things fall to, -z without gravity."""
        g = float(np.linalg.norm(self.gravity))
        return self.gravity / g if g else np.array([0.0, 0.0, -1.0])

    # --- grains ---------------------------------------------------------------------------------------------------

    def diameters(self, name: str, count: int = 20_000) -> Reals:
        """A sample of a species' diameters [m], always the same."""
        return self.species[name].sizes.draw(count, np.random.default_rng(0))

    def mean_mass(self, name: str) -> float:
        """Of one grain of a species [kg]."""
        return float((self.diameters(name) ** 3).mean() * math.pi / 6 * self.species[name].density)

    def count(self, fill: Fill) -> int:
        """Number of grains of a filling."""
        return fill.number or max(1, round((fill.mass or 0.0) / self.mean_mass(fill.of)))

    def coming(self, inlet: Inlet) -> int:
        """Number of grains that come in through an inlet over the run."""
        return math.ceil(inlet.mass_flow * self.params.duration / self.mean_mass(inlet.of))

    @cached_property
    def grains(self) -> int:
        """Grains of the whole run, those that leave included."""
        known = self.species
        return sum(self.count(f) for f in self.of(Fill) if f.of in known) + sum(
            self.coming(i) for i in self.of(Inlet) if i.of in known
        )

    def clears(self, c: Fill | Inlet) -> float:
        """Time until what was put into a region has left it [s]."""
        speed, g = abs(float(np.array(c.velocity) @ self.down)), float(np.linalg.norm(self.gravity))
        height, travel = c.region.height(self.down), math.hypot(*c.velocity)
        if g:
            return (math.sqrt(speed**2 + 2 * g * height) - speed) / g
        return height / travel if travel else math.inf

    # --- speeds, stiffness, steps ---------------------------------------------------------------------------------

    @cached_property
    def corners(self) -> Reals:
        """(2, 3) the box around all places that the case names [m]."""
        boxes = [np.stack(c.region.box()) for c in (*self.of(Fill), *self.of(Inlet))]
        boxes += [np.tile(np.array(o.point), (2, 1)) for o in self.of(Outlet)]
        boxes += [] if self.walls is None else [self.walls]
        every = np.concatenate(boxes) if boxes else np.zeros((2, 3))
        return np.stack([every.min(axis=0), every.max(axis=0)])

    @property
    def height(self) -> float:
        """How deep grains can fall or lie [m]."""
        return float(np.abs(self.down) @ (self.corners[1] - self.corners[0]))

    @cached_property
    def speed(self) -> float:
        """Largest speed to be expected [m/s]: of fall, of what is thrown in, of walls."""
        given = [math.hypot(*c.velocity) for c in (*self.of(Fill), *self.of(Inlet))]
        fall = math.sqrt(2 * float(np.linalg.norm(self.gravity)) * self.height + max(given, default=0.0) ** 2)
        walls = [math.hypot(*t.velocity) for t in self.of(Translation)]
        walls += [2 * math.pi * v.frequency * math.hypot(*v.amplitude) for v in self.of(Vibration)]
        for r in self.of(Rotation):
            arms = self.corners - np.array(r.through)
            arms -= (arms @ np.array(r.axis))[:, None] * np.array(r.axis)
            walls.append(abs(r.speed) * float(np.linalg.norm(arms, axis=1).max()))
        return max(fall, *walls, 1e-3)

    @cached_property
    def softest(self) -> float:
        """Young's modulus [Pa] that keeps overlaps below what the parameters allow.

        Hertz: a sphere that meets a wall at v overlaps it by (3.93 rho v2 / E*)^0.4 radii; two spheres in a bed that
        lies under the pressure p overlap by (3 sqrt(2) p / E*)^(2/3) radii.
        """
        density = max((s.density for s in self.species.values()), default=1000.0)
        rest = 2 * self.params.overlap
        weight = PACKED * density * float(np.linalg.norm(self.gravity)) * self.height
        lying = 3 * math.sqrt(2) * weight / rest**1.5
        meeting = 3.93 * density * self.speed**2 / (FASTEST * rest) ** 2.5
        return max(2 * (1 - 0.25**2) * max(lying, meeting), SOFTEST)

    def modulus(self, real: float) -> float:
        """Young's modulus that is used for one that is real [Pa]."""
        return min(real, self.softest) if self.params.stiffness == "softened" else real

    @cached_property
    def softening(self) -> float:
        """How many times the stiffest grains are softer than they are."""
        return max((s.youngs_modulus / self.modulus(s.youngs_modulus) for s in self.species.values()), default=1.0)

    def rayleigh(self, diameter: float, s: Species) -> float:
        """The time a Rayleigh wave takes around a grain [s]: pi R sqrt(rho / G) / (0.1631 nu + 0.8766)."""
        nu = s.poissons_ratio
        shear = self.modulus(s.youngs_modulus) / (2 * (1 + nu))
        return math.pi * diameter / 2 * math.sqrt(s.density / shear) / (0.1631 * nu + 0.8766)

    def step_of(self, s: Species, diameter: float) -> float:
        """Step [s] that the grains of a size need."""
        return STEP * self.rayleigh(diameter, s)

    @cached_property
    def step(self) -> float:
        """Step [s] that all grains stand."""
        return min(self.step_of(s, s.sizes.ends()[0]) for s in self.species.values())

    @property
    def steps(self) -> int:
        return math.ceil(self.until / self.step) if self.species else 0

    # --- laws -----------------------------------------------------------------------------------------------------

    @cached_property
    def wall_materials(self) -> dict[str, str]:
        """Name of a body, or `all` -> the name of its material in the laws. Bodies named in contacts have their own."""
        named = {name for t in self.of(Touch) for name in t.between} - {WALLS} - set(self.species)
        found = {}
        for entry, material in self.bound.materials:
            for body in (entry.on,) if isinstance(entry.on, str) else entry.on:
                found[body] = f"{WALLS}: {body if body in named else material.name}"
        return found

    def touch(self, one: str, other: str, body: str | None = None) -> Touch | None:
        """What the case says of two species, or of a species and the walls (`other` is WALLS)."""
        for name in filter(None, (body, other)):
            for t in reversed(self.of(Touch)):
                if set(t.between) == {one, name}:
                    return t
        return None

    def laws(self) -> Laws:
        """Materials and contacts as the engine wants them; check the case first."""
        grains = [
            Material(
                name=s.name,
                density=s.density,
                youngs_modulus=self.modulus(s.youngs_modulus),
                poissons_ratio=s.poissons_ratio,
            )
            for s in self.species.values()
        ]
        walls: dict[str, Material] = {}
        contacts: dict[tuple[str, str], Contact] = {}
        bodies: dict[str, str] = {}
        for entry, material in self.bound.materials:
            for body in (entry.on,) if isinstance(entry.on, str) else entry.on:
                name = self.wall_materials[body]
                bodies[name] = body
                walls[name] = Material(
                    name=name,
                    density=material.density or 1.0,
                    youngs_modulus=self.modulus(material.youngs_modulus or math.inf),
                    poissons_ratio=material.poissons_ratio or 0.3,
                )
        for i, one in enumerate(grains):
            for other in grains[i:]:
                contacts[one.name, other.name] = _contact(self.touch(one.name, other.name))
            for name in walls:
                contacts[one.name, name] = _contact(self.touch(one.name, WALLS, bodies[name]))
        for one in walls:  # walls do not meet each other
            for other in walls:
                contacts[one, other] = Contact(restitution=0.5, friction=0.0)
        return Laws(materials=(*grains, *walls.values()), contacts=contacts)


def _contact(touch: Touch | None) -> Contact:
    assert touch is not None
    return Contact(
        restitution=touch.restitution,
        friction=touch.friction,
        rolling=touch.rolling_friction,
        surface_energy=touch.surface_energy,
    )
