"""What grains are, what they meet and what can be asked about them."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from hub.case import Text
from hub.solver import Condition, Frozen
from hub.units import Direction, Length, Number, Position, Pressure, Unit, Vector

Reals = npt.NDArray[np.float64]
Seconds = Annotated[float, Unit("s")]
Share = Annotated[Number, Field(ge=0, le=1)]


class Params(Frozen):
    """How long to follow the grains, how stiff they may be, and what the process must reach."""

    duration: Annotated[Seconds, Field(gt=0)] = Field(description="time to follow, after the grains have settled")
    settling: Annotated[Seconds, Field(ge=0)] = Field(
        0.0, description="time for filling and coming to rest before; motions and measurements begin after it"
    )
    stiffness: Literal["softened", "real"] = Field(
        "softened", description="softened: as soft as overlaps below `overlap` allow, for larger steps in time"
    )
    overlap: Annotated[Number, Field(gt=0, le=0.05)] = Field(
        0.01, description="largest overlap that softening may lead to, over the diameter"
    )
    frames: Annotated[int, Field(ge=2, le=400)] = Field(80, description="pictures of the animation")
    drawn: Annotated[int, Field(ge=100, le=200_000)] = Field(20_000, description="most grains of a frame")
    seed: Annotated[int, Field(ge=0, le=2**31)] = Field(1, description="where random numbers begin")
    repeats: Annotated[int, Field(ge=1, le=20)] = Field(
        1, description="runs with different random numbers; two or more give bars to what happens only once"
    )
    mixed: Annotated[Number, Field(gt=0, lt=1)] = Field(0.9, description="Lacey index from which grains count as mixed")
    least_flow: Annotated[float, Unit("kg/s"), Field(gt=0)] | None = Field(
        None, description="mass flow out that must be reached"
    )
    most_variation: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="largest variation (standard deviation over mean) between grains of their time in a zone"
    )


class OnPart(Condition):
    """A condition that speaks of no face."""

    on: Annotated[tuple[Text, ...], Field(max_length=0)] = ()


# --- sizes ----------------------------------------------------------------------------------------------------


class Equal(Frozen):
    """All grains have one diameter."""

    kind: Literal["equal"]
    diameter: Annotated[Length, Field(gt=0)]

    def ends(self) -> tuple[float, float]:
        return self.diameter, self.diameter

    def draw(self, count: int, rng: np.random.Generator) -> Reals:
        return np.full(count, self.diameter)


class Uniform(Frozen):
    """Diameters between two limits, each as likely as the other by number."""

    kind: Literal["uniform"]
    least: Annotated[Length, Field(gt=0)]
    most: Annotated[Length, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        if self.least > self.most:
            raise _wrong("the least diameter at most as large as the most")
        return self

    def ends(self) -> tuple[float, float]:
        return self.least, self.most

    def draw(self, count: int, rng: np.random.Generator) -> Reals:
        return rng.uniform(self.least, self.most, count)


class Normal(Frozen):
    """Diameters around a mean by number, cut at so many standard deviations on either side."""

    kind: Literal["normal"]
    mean: Annotated[Length, Field(gt=0)]
    deviation: Annotated[Length, Field(gt=0)]
    cut: Annotated[Number, Field(ge=0.5, le=4)] = 2.0

    @model_validator(mode="after")
    def _positive(self) -> Normal:
        if self.mean <= self.cut * self.deviation:
            raise _wrong("a mean larger than `cut` times the deviation, for no diameter can be negative")
        return self

    def ends(self) -> tuple[float, float]:
        return self.mean - self.cut * self.deviation, self.mean + self.cut * self.deviation

    def draw(self, count: int, rng: np.random.Generator) -> Reals:
        found = rng.standard_normal(count)
        while (far := np.abs(found) > self.cut).any():
            found[far] = rng.standard_normal(int(far.sum()))
        return self.mean + self.deviation * found


class SieveRow(Frozen):
    """A fraction: diameter, and its share of the mass (any scale; shares are made to add up to one)."""

    diameter: Annotated[Length, Field(gt=0)]
    share: Annotated[Number, Field(gt=0)]


class Sieve(Frozen):
    """Fractions of a sieve analysis, by mass."""

    kind: Literal["sieve"]
    rows: Annotated[tuple[SieveRow, ...], Field(min_length=1, max_length=100)]

    def ends(self) -> tuple[float, float]:
        d = [row.diameter for row in self.rows]
        return min(d), max(d)

    def draw(self, count: int, rng: np.random.Generator) -> Reals:
        d = np.array([row.diameter for row in self.rows])
        number = np.array([row.share for row in self.rows]) / d**3
        return d[rng.choice(len(d), count, p=number / number.sum())]


Sizes = Annotated[Equal | Uniform | Normal | Sieve, Field(discriminator="kind")]


def _wrong(expected: str, todo: str = "") -> PydanticCustomError:
    return PydanticCustomError("contradiction", "{expected_text}", {"expected_text": expected, "todo": todo})


# --- places ---------------------------------------------------------------------------------------------------


class Region(Frozen):
    """A box (`low` and `high` corners), or a cylinder (`base` and `top` on its axis, and `radius`)."""

    low: Position | None = None
    high: Position | None = None
    base: Position | None = None
    top: Position | None = None
    radius: Annotated[Length, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Region:
        given = {name for name in ("low", "high", "base", "top", "radius") if getattr(self, name) is not None}
        if given not in ({"low", "high"}, {"base", "top", "radius"}):
            raise _wrong("low and high of a box, or base, top and radius of a cylinder")
        if given == {"low", "high"} and not all(a < b for a, b in zip(self.low, self.high, strict=True)):  # type: ignore[arg-type]
            raise _wrong("a low corner below the high one in x, y and z")
        if self.base is not None and math.dist(self.base, self.top) == 0:  # type: ignore[arg-type]
            raise _wrong("a base and a top that differ")
        return self

    def _axis(self) -> tuple[Reals, Reals, float]:
        base = np.array(self.base)
        along = np.array(self.top) - base
        length = float(np.linalg.norm(along))
        return base, along / length, length

    @property
    def volume(self) -> float:
        """[m3]"""
        if self.low is not None and self.high is not None:
            return math.prod(b - a for a, b in zip(self.low, self.high, strict=True))
        return math.pi * self.radius**2 * self._axis()[2]  # type: ignore[operator]

    def box(self) -> tuple[Reals, Reals]:
        """The corners of the box around it [m]."""
        if self.low is not None:
            return np.array(self.low), np.array(self.high)
        base, axis, length = self._axis()
        ends = np.stack([base, base + length * axis])
        wide = self.radius * np.sqrt(np.maximum(0, 1 - axis**2))  # type: ignore[operator]
        return ends.min(axis=0) - wide, ends.max(axis=0) + wide

    def height(self, direction: Reals) -> float:
        """Its extent along a unit vector [m]."""
        low, high = self.box()
        return float(np.abs(direction) @ (high - low))

    def contains(self, points: Reals, margin: float | Reals = 0.0) -> npt.NDArray[np.bool_]:
        """(n,) True where a point (n, 3) is inside and at least `margin` [m] away from the boundary."""
        margin = np.asarray(margin, float)
        if self.low is not None:
            m = margin[..., None]
            return np.asarray(((points >= np.array(self.low) + m) & (points <= np.array(self.high) - m)).all(axis=1))
        base, axis, length = self._axis()
        along = (points - base) @ axis
        across = np.linalg.norm(points - base - along[:, None] * axis, axis=1)
        return np.asarray((along >= margin) & (along <= length - margin) & (across <= self.radius - margin))

    def draw(self, count: int, rng: np.random.Generator) -> Reals:
        """(count, 3) points anywhere inside [m]."""
        if self.low is not None:
            return rng.uniform(self.low, self.high, (count, 3))
        base, axis, length = self._axis()
        one = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
        one /= np.linalg.norm(one)
        r, turn = self.radius * np.sqrt(rng.uniform(size=count)), rng.uniform(0, 2 * np.pi, count)  # type: ignore[operator]
        across = np.cos(turn)[:, None] * one + np.sin(turn)[:, None] * np.cross(axis, one)
        return np.asarray(base + rng.uniform(0, length, count)[:, None] * axis + r[:, None] * across)


# --- conditions -----------------------------------------------------------------------------------------------


class Species(OnPart):
    """A kind of grain: spheres of a material, with their sizes."""

    kind: Literal["grains"]
    name: Text = Field(description="what these grains are called; contacts and fillings refer to it")
    sizes: Sizes
    density: Annotated[float, Unit("kg/m**3"), Field(gt=0)]
    youngs_modulus: Annotated[Pressure, Field(gt=0)]
    poissons_ratio: Annotated[Number, Field(gt=-1, le=0.5)] = 0.25


class Touch(OnPart):
    """What happens where two kinds of grains, or grains and walls, touch."""

    kind: Literal["contact"]
    between: tuple[Text, Text] = Field(description="names of grains; `walls` for every wall, or the name of a body")
    restitution: Share = Field(description="speed after a collision over the speed before")
    friction: Annotated[Number, Field(ge=0, le=5)] = Field(description="coefficient of sliding friction")
    rolling_friction: Annotated[Number, Field(ge=0, le=2)] = Field(
        0.0, description="torque that resists rolling, over the normal force and the radius of the pair"
    )
    surface_energy: Annotated[float, Unit("N/m"), Field(ge=0)] = Field(
        0.0, description="work of adhesion per area (J/m2 = N/m), for powders that stick"
    )


class Fill(OnPart):
    """Grains put into a region without overlap, again and again as they fall away, until all are there."""

    kind: Literal["fill"]
    of: Text
    region: Region
    mass: Annotated[float, Unit("kg"), Field(gt=0)] | None = None
    number: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    velocity: Annotated[Vector, Unit("m/s")] = (0.0, 0.0, 0.0)

    @model_validator(mode="after")
    def _so_much(self) -> Fill:
        if (self.mass is None) == (self.number is None):
            raise _wrong("either a mass or a number of grains")
        return self


class Inlet(OnPart):
    """Grains come in through a region at a steady rate, after settling."""

    kind: Literal["inlet"]
    of: Text
    region: Region
    mass_flow: Annotated[float, Unit("kg/s"), Field(gt=0)]
    velocity: Annotated[Vector, Unit("m/s")] = (0.0, 0.0, 0.0)


class Outlet(OnPart):
    """Grains that get beyond a plane are counted and taken away."""

    kind: Literal["outlet"]
    point: Position
    direction: Direction = Field(description="where grains leave to")


class Zone(OnPart):
    """A place in which the time that each grain spends and the mass of grains are measured."""

    kind: Literal["zone"]
    name: Text = Field(description="what the place is called, for example spray zone")
    region: Region


class Moving(Condition):
    """A motion of bodies, or of the faces in `on`, which begins after settling."""

    bodies: tuple[Text, ...] = Field((), description="names of bodies as the check lists them, or all")
    duration: Annotated[Seconds, Field(gt=0)] | None = Field(None, description="until the end if not given")

    @model_validator(mode="before")
    @classmethod
    def _one_body(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get("bodies"), str):
            return {**value, "bodies": (value["bodies"],)}
        return value

    @model_validator(mode="after")
    def _of_something(self) -> Moving:
        if bool(self.bodies) == bool(self.on):
            raise _wrong("either bodies or faces (on) that move")
        return self


class Rotation(Moving):
    """Bodies turn about an axis."""

    kind: Literal["rotation"]
    axis: Direction
    through: Position = Field((0.0, 0.0, 0.0), description="a point on the axis")
    speed: Annotated[float, Unit("rad/s")] = Field(description="right-handed about the axis")


class Translation(Moving):
    """Bodies travel at a steady velocity: a gate that opens, a shoe that feeds."""

    kind: Literal["translation"]
    velocity: Annotated[Vector, Unit("m/s")]


class Vibration(Moving):
    """Bodies shake as a sine."""

    kind: Literal["vibration"]
    amplitude: Annotated[Vector, Unit("m")]
    frequency: Annotated[float, Unit("Hz"), Field(gt=0)]


class Gravity(OnPart):
    """The acceleration with which grains would fall."""

    kind: Literal["gravity"]
    value: Annotated[Vector, Unit("m/s**2")]


class Drag(OnPart):
    """Gas that drags the grains, the same everywhere: a sphere's drag, no forces back on the gas."""

    kind: Literal["drag"]
    density: Annotated[float, Unit("kg/m**3"), Field(gt=0)] = 1.2
    viscosity: Annotated[float, Unit("Pa*s"), Field(gt=0)] = 1.8e-5
    velocity: Annotated[Vector, Unit("m/s")] = (0.0, 0.0, 0.0)


class Periodic(OnPart):
    """Along an axis everything repeats: what leaves on one side comes in on the other."""

    kind: Literal["periodic"]
    axis: Literal["x", "y", "z"]
    low: Length
    high: Length

    @model_validator(mode="after")
    def _ordered(self) -> Periodic:
        if self.low >= self.high:
            raise _wrong("a low end below the high one")
        return self


CONDITIONS = (
    Species, Touch, Fill, Inlet, Outlet, Zone, Rotation, Translation, Vibration, Gravity, Drag, Periodic,
)  # fmt: skip
#: Kind of a wanted quantity -> what it is, and what its keys mean.
WANTED = {
    "bulk_density": "mass over volume inside the bed, away from walls and surface",
    "repose_angle": "slope of the surface of a heap (component: cone) or of a bed (component: plane)",
    "run_out": "radius of a deposit about the middle of its grains, where half the ground is covered",
    "collision_rate": "collisions a second, with their number by the energy they take",
    "wall_pressure": "mean normal pressure on a selection (on), over the time after settling",
}
