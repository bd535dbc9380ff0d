"""What drives and holds a flow, what heats it, and what can be asked about it.

A face that no condition names is a wall at rest that lets no heat through; in a box around a part the far sides slip.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from hub.case import Material
from hub.solver import BoundCase, Frozen
from hub.table import Columns, Table
from hub.units import Area, Direction, Length, Number, Position, Pressure, Unit, Vector
from solvers.fem.heat.conditions import (
    Convection,
    Dissipation,
    HeatFlow,
    HeatFlux,
    HeatSource,
    InBodies,
    Kelvin,
    OnFaces,
    Temperature,
)

Speed = Annotated[float, Unit("m/s")]
Seconds = Annotated[float, Unit("s")]


def _wrong(code: str, expected: str, todo: str) -> PydanticCustomError:
    return PydanticCustomError(code, "{expected_text}", {"expected_text": expected, "todo": todo})


class Params(Frozen):
    """How to solve, what is solved for, and what the answer is judged by."""

    regime: Literal["steady", "unsteady"] = Field("steady", description="the flow that does not change, or its history")
    end_time: Annotated[Seconds, Field(gt=0)] | None = Field(None, description="of an unsteady run")
    average_from: Annotated[Seconds, Field(ge=0)] | None = Field(
        None, description="time averages begin here; half the end time if not given"
    )
    courant: Annotated[Number, Field(gt=0, le=10)] = Field(
        1.0, description="largest Courant number: how many cells the flow may cross in one step"
    )
    time_step: Annotated[Seconds, Field(gt=0)] | None = Field(None, description="a fixed step, instead of courant")
    degree: Literal[2, 3] = Field(2, description="of the velocity: 2 for most, 3 for small plane cases")
    turbulence: Literal["none", "wale"] = Field("none", description="wale: large eddies are resolved, unsteady only")
    gravity: Annotated[Vector, Unit("m/s**2")] | None = Field(
        None, description="lets warm fluid rise (Boussinesq); needs the volumetric expansion of the fluid"
    )
    reference_temperature: Kelvin | None = Field(
        None, description="where density is the material's; the mean of the given ones if not"
    )
    scalar_diffusivity: Annotated[float, Unit("m**2/s"), Field(gt=0)] | None = Field(
        None, description="of the dye or additive whose concentrations the inlets give"
    )
    residence_time: bool = Field(False, description="also say how long the fluid has been inside")
    reference_length: Annotated[Length, Field(gt=0)] | None = Field(None, description="of the Reynolds number")
    reference_area: Annotated[Area, Field(gt=0)] | None = Field(
        None, description="of force coefficients; what the flow sees of the part if not given"
    )
    reference_speed: Annotated[Speed, Field(gt=0)] | None = Field(
        None, description="of force coefficients; the mean speed of the first inlet if not given"
    )
    highest_pressure_drop: Annotated[Pressure, Field(gt=0)] | None = Field(None, description="that may be needed")
    highest_temperature: Kelvin | None = Field(None, description="that no place may exceed")
    lowest_outlet_temperature: Kelvin | None = Field(None, description="that the mean at every outlet must reach")
    highest_wall_shear: Annotated[Pressure, Field(gt=0)] | None = Field(
        None, description="that no place of a wall may exceed"
    )
    tolerance: Annotated[Number, Field(ge=1e-12, le=1e-3)] = Field(1e-8, description="of the steady equations")
    error_bars: bool = Field(
        True,
        description="the flow is also solved otherwise, to say how wrong it is: with lower elements where cubic ones "
        "are affordable, else, where it is steady, on a coarser mesh, and over time in steps twice as long",
    )


class Inlet(OnFaces):
    """Fluid enters. Exactly one of velocity, vector, volume_flow, mass_flow and table says how much.

    Flows in a plane domain are for one metre of depth.
    """

    kind: Literal["inlet"]
    velocity: Annotated[Speed, Field(gt=0)] | None = Field(None, description="mean, into the fluid, normal to the face")
    vector: Annotated[Vector, Unit("m/s")] | None = Field(None, description="the same velocity everywhere")
    volume_flow: Annotated[float, Unit("m**3/s"), Field(gt=0)] | None = None
    mass_flow: Annotated[float, Unit("kg/s"), Field(gt=0)] | None = None
    table: Annotated[Table, Columns({"u": "m/s"}, any_of={"x": "m", "y": "m", "z": "m", "r": "m"})] | None = Field(
        None, description="speeds u [m/s] into the fluid at x, y, z [mm] of the part, or at radii r from the middle"
    )
    profile: Literal["uniform", "developed"] | None = Field(
        None,
        description="developed: as after a long duct of this section, so unless said inside parts; uniform: as out of "
        "a large room, so unless said around parts",
    )
    history: (
        Annotated[
            Table,
            Columns({"t": "s"}, {"u": "m/s", "Q": "m**3/s", "m": "kg/s", "factor": ""}, rising="t"),
        ]
        | None
    ) = Field(
        None,
        description="t [s] and mean speed u [m/s], flow Q [l/min] or m [kg/s], which then replace the value above, or "
        "a factor on it; a smooth curve through the rows that is flat where they are, the last row afterwards",
    )
    repeats: bool = Field(False, description="the history begins again after its last row")
    temperature: Kelvin | None = None
    concentration: Annotated[Number, Field(ge=0)] | None = Field(None, description="of the scalar, of any unit")

    @model_validator(mode="after")
    def _one_amount(self) -> Inlet:
        given = [n for n in ("velocity", "vector", "volume_flow", "mass_flow", "table") if getattr(self, n) is not None]
        if self.history is not None and "factor" not in self.history.names:
            if given:
                raise _wrong(
                    "two-amounts",
                    f"either {given[0]}, or a history that says how much",
                    "Remove one of the two, or name the column of the history `factor`.",
                )
        elif len(given) != 1:
            raise _wrong(
                "one-amount",
                "exactly one of velocity, vector, volume_flow, mass_flow, table",
                "Say how much enters, once.",
            )
        if self.table is not None:
            where = [n for n in self.table.names if n != "u"]
            if not where or ("r" in where and len(where) > 1):
                raise _wrong("table-columns", "columns for x, y, z, or for r alone, beside u", "Say where each u is.")
        return self

    def over_time(self, name: str) -> Callable[[float], float]:
        """A column of the history at a time [s], in SI; beyond its ends the first or last row, or it repeats.

        Between the rows a cubic spline, for pressures follow the slope of a flow and jump where it does; its slopes are
        held back where it would swing about rows that are flat or steps (J. M. Hyman, SIAM J. Sci. Stat. Comput. 4
        (1983) 645-654).
        """
        from scipy.interpolate import CubicHermiteSpline, CubicSpline  # most checks do without

        assert self.history is not None
        si = {"u": "m/s", "Q": "m**3/s", "m": "kg/s", "factor": ""}[name]
        times, values = self.history.column("t", "s"), self.history.column(name, si)
        if len(times) == 1:
            return lambda t: values[0]
        first, last = times[0], times[-1]
        if self.repeats:
            # a period before and one after, so that it is smooth where it begins again
            shifted = [[t + k * (last - first) for t in times] for k in (-1, 0, 1)]
            times, values = [*shifted[0][:-1], *shifted[1], *shifted[2][1:]], [*values[:-1], *values, *values[1:]]
        steepest = [3 * abs((b - a) / (u - t)) for (t, a), (u, b) in pairwise(zip(times, values, strict=True))]
        most = [min(pair) for pair in pairwise([steepest[0], *steepest, steepest[-1]])]
        slopes = CubicSpline(times, values)(times, 1)
        curve = CubicHermiteSpline(times, values, [min(max(s, -m), m) for s, m in zip(slopes, most, strict=True)])

        def value(t: float) -> float:
            t = first + math.fmod(max(t - first, 0.0), last - first) if self.repeats else min(max(t, first), last)
            return float(curve(t))

        return value


class Outlet(OnFaces):
    """Fluid leaves against a pressure."""

    kind: Literal["outlet"]
    pressure: Pressure = Field(0.0, description="above that of the surroundings")
    temperature: Kelvin | None = Field(None, description="of what may flow back in")


class Rotation(Frozen):
    """About an axis through a point, right-handed. In a plane domain the axis is z."""

    about: Position = (0.0, 0.0, 0.0)
    axis: Direction = (0.0, 0.0, 1.0)
    speed: Annotated[float, Unit("rad/s")]


class Wall(OnFaces):
    """Fluid sticks to the faces: at rest, or moving along themselves."""

    kind: Literal["wall"]
    velocity: Annotated[Vector, Unit("m/s")] | None = None
    rotation: Rotation | None = None

    @model_validator(mode="after")
    def _one_motion(self) -> Wall:
        if self.velocity is not None and self.rotation is not None:
            raise _wrong("two-motions", "a velocity or a rotation, not both", "Remove one of the two.")
        return self


class Slip(OnFaces):
    """Fluid slides along the faces without friction."""

    kind: Literal["slip"]


class Symmetry(OnFaces):
    """The other half of the flow mirrors this one."""

    kind: Literal["symmetry"]


class Periodic(OnFaces):
    """What leaves at one end enters at the other: name the faces of both. One piece stands for a long row of them.

    Without a pressure drop or a flow nothing drives along it.
    """

    kind: Literal["periodic"]
    along: Direction = Field(description="from the end where the fluid enters to the one where it leaves")
    pressure_drop: Annotated[Pressure, Field(gt=0)] | None = Field(None, description="from end to end")
    velocity: Annotated[Speed, Field(gt=0)] | None = Field(None, description="mean over the end, openings alone")
    volume_flow: Annotated[float, Unit("m**3/s"), Field(gt=0)] | None = None
    mass_flow: Annotated[float, Unit("kg/s"), Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Periodic:
        if sum(getattr(self, n) is not None for n in ("pressure_drop", "velocity", "volume_flow", "mass_flow")) > 1:
            raise _wrong(
                "two-amounts",
                "at most one of pressure_drop, velocity, volume_flow, mass_flow",
                "Say what drives the flow, once: the others follow from it.",
            )
        return self

    @property
    def flows(self) -> bool:
        """Whether it says how much flows, so that the pressure drop is to be found."""
        return any(v is not None for v in (self.velocity, self.volume_flow, self.mass_flow))

    @property
    def drives(self) -> bool:
        return self.flows or self.pressure_drop is not None


class Porous(InBodies):
    """Bodies of fluid that resist it evenly, as filters, packings and honeycombs do.

    The pressure falls by (viscosity / permeability + inertial density speed / 2) speed on each metre, speed being that
    of the fluid before the body (Darcy and Forchheimer).
    """

    kind: Literal["porous"]
    permeability: Annotated[Area, Field(gt=0)] = Field(description="viscosity times speed over pressure fall a metre")
    inertial: Annotated[float, Unit("1/m"), Field(ge=0)] = Field(0.0, description="what the square of the speed costs")


class Fan(InBodies):
    """Bodies of fluid in which a fan pushes: its pressure rises from one side to the other, spread over their depth.

    Swirl and the blades are not resolved.
    """

    kind: Literal["fan"]
    along: Direction = Field(description="the way the fan blows")
    pressure_rise: Annotated[Pressure, Field(gt=0)] | None = Field(None, description="at the flow that there is")
    curve: Annotated[Table, Columns({"Q": "m**3/s", "p": "Pa"}, rising="Q")] | None = Field(
        None, description="flow Q [m3/h] and pressure rise p [Pa] of the data sheet; steady only"
    )

    @model_validator(mode="after")
    def _one_rise(self) -> Fan:
        if (self.pressure_rise is None) == (self.curve is None):
            raise _wrong("one-rise", "either pressure_rise or curve", "Say what the fan gives, once.")
        if self.curve is not None:
            rises = self.curve.column("p", "Pa")
            if len(rises) < 2 or any(b >= a for a, b in pairwise(rises)):
                raise _wrong(
                    "not-falling",
                    "two rows or more, in which p falls as Q rises",
                    "Leave out the part of the curve where the fan stalls: there is no steady flow to be relied on.",
                )
        return self

    def rise(self, flow: float) -> float:
        """The pressure rise at a flow [m3/s], along straight lines between the rows and beyond them [Pa]."""
        if self.curve is None:
            return self.pressure_rise or 0.0
        flows, rises = self.curve.column("Q", "m**3/s"), self.curve.column("p", "Pa")
        i = min(max(bisect(flows, flow), 1), len(flows) - 1)
        slope = (rises[i] - rises[i - 1]) / (flows[i] - flows[i - 1])
        return float(rises[i - 1] + slope * (flow - flows[i - 1]))


class Radiation(OnFaces):
    """The faces exchange radiation with surroundings much larger than they are: e sigma (T_s^4 - T^4)."""

    kind: Literal["radiation"]
    emissivity: Annotated[Number, Field(gt=0, le=1)] | None = Field(None, description="of the material if not given")
    surroundings: Kelvin


FLOW = (Inlet, Outlet, Wall, Slip, Symmetry, Periodic)
THERMAL = (Temperature, HeatFlux, HeatFlow, Convection, Radiation, HeatSource, Dissipation)
CONDITIONS = (*FLOW, Porous, Fan, *THERMAL)

#: Kind of a wanted quantity -> what it is, and what its keys mean.
WANTED = {
    "velocity": "at a point (at): magnitude, or a component x, y, z",
    "pressure": "at a point (at), or its mean over a selection (on)",
    "pressure_drop": "between the mean over a selection (on) and the outlets; or between two points, at and to",
    "volume_flow": "through a selection (on), out of the fluid",
    "mass_flow": "through a selection (on), out of the fluid",
    "force": "of the fluid on a selection (on): magnitude, or a component x, y, z",
    "force_coefficient": "force over half density, speed squared and area; on a selection (on), component x, y, z",
    "frequency": "how often the force on a selection (on) swings, component x, y, z; unsteady only",
    "strouhal": "that frequency times the reference length over the reference speed",
    "moment": "of the forces on a selection (on) about a point (at), component x, y, z",
    "wall_shear_stress": "the largest over a selection (on); component mean for the mean",
    "temperature": "at a point (at), the mean over a selection (on), mixed where fluid passes, or over everything",
    "heat_flow": "into the domain through a selection (on)",
    "nusselt": "heat flow through a selection (on) over that of conduction across the reference length",
    "concentration": "at a point (at), or mixed over a selection (on)",
    "uniformity": "of the concentration over a selection (on): 1 where it is mixed to the end",
    "residence_time": "at a point (at), or mixed over a selection (on)",
    "reattachment": "distance along x, y or z (component) from a point (at) to where the flow along a selection (on) "
    "turns forward for the last time",
}


# --- what follows from a case ---------------------------------------------------------------------------------


def is_fluid(material: Material) -> bool:
    """A material that flows: one with a viscosity."""
    return material.dynamic_viscosity is not None


def fluid_of(bound: BoundCase) -> Material:
    """The material of the fluid. Raises StopIteration without one; there is one in a checked case."""
    return next(material for _, material in bound.materials if is_fluid(material))


def thermal(bound: BoundCase) -> bool:
    """Whether temperatures are asked for: something gives one, or heat."""
    return any(isinstance(c, THERMAL) for c in bound.conditions) or any(
        isinstance(c, Inlet) and c.temperature is not None for c in bound.conditions
    )


def mixes(bound: BoundCase) -> bool:
    """Whether a scalar is carried along."""
    return any(isinstance(c, Inlet) and c.concentration is not None for c in bound.conditions)


def buoyant(bound: BoundCase) -> bool:
    """Whether warm fluid rises."""
    return bound.params.gravity is not None and thermal(bound)


def two_meshes(bound: BoundCase) -> bool:
    """Whether a coarser mesh is wanted for error bars."""
    return bound.params.error_bars and bound.params.regime == "steady" and bound.case.domain.kind != "plane"


def given_temperatures(bound: BoundCase) -> Iterator[float]:
    """Every temperature the case gives [K]."""
    for c in bound.conditions:
        for name in ("temperature", "ambient", "surroundings", "value"):
            value = getattr(c, name, None)
            if value is not None and (name != "value" or isinstance(c, Temperature)):
                yield value


def level(bound: BoundCase) -> float:
    """The temperature that others are counted from, where the fluid has the material's density [K]."""
    given = list(given_temperatures(bound))
    return bound.params.reference_temperature or (sum(given) / len(given) if given else 293.15)
