"""What can hold and load a part, and what can be asked about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from hub.case import Text, Wanted
from hub.problem import Problem
from hub.solver import BoundCase, Condition, Frozen
from hub.table import Columns, Table
from hub.units import Direction, Length, Number, Position, Pressure, Unit, Vector


class Params(Frozen):
    """How to solve and what to ask of the part."""

    required_safety: Annotated[Number, Field(gt=0)] = Field(1.0, description="smallest safety factor against yield")
    method: Literal["auto", "multigrid", "direct"] = Field(
        "auto", description="multigrid: conjugate gradients; direct: Cholesky factors, exact but heavy"
    )
    tolerance: Annotated[Number, Field(ge=1e-12, le=1e-4)] = Field(1e-8, description="true residual to reach")
    estimate_errors: bool = Field(True, description="estimate the error of every quantity")


class OnFaces(Condition):
    """A condition on faces."""

    on: Annotated[tuple[Text, ...], Field(min_length=1)]


class OnPart(Condition):
    """A condition on the whole part."""

    on: Annotated[tuple[Text, ...], Field(max_length=0)] = ()


class Fixed(OnFaces):
    """The faces do not move: u = 0."""

    kind: Literal["fixed"]


class Displacement(OnFaces):
    """The faces are moved by a given length in the components given; the others are free."""

    kind: Literal["displacement"]
    x: Length | None = None
    y: Length | None = None
    z: Length | None = None

    @property
    def components(self) -> dict[int, float]:
        """Component (0, 1, 2) -> prescribed displacement [m]."""
        return {i: value for i, value in enumerate((self.x, self.y, self.z)) if value is not None}


class Symmetry(OnFaces):
    """Plane faces slide in their plane and do not leave it: u.n = 0."""

    kind: Literal["symmetry"]


class ElasticSupport(OnFaces):
    """The faces rest on springs: traction -k u, or -k (u.n) n."""

    kind: Literal["elastic_support"]
    stiffness: Annotated[float, Unit("N/m**3"), Field(gt=0)] = Field(description="force per area and displacement")
    direction: Literal["normal", "all"] = Field("normal", description="springs along the normal, or in all directions")


class Force(OnFaces):
    """A force, the total over the faces, spread evenly over their area."""

    kind: Literal["force"]
    value: Annotated[Vector, Unit("N")]


class PressureLoad(OnFaces):
    """A pressure, positive into the part."""

    kind: Literal["pressure"]
    value: Pressure


class PressureMap(OnFaces):
    """A pressure that differs from place to place, positive into the part: measured, or what grains do to walls.

    Between the points of the table it is the mean of the nearest four, weighed by one over the square of their
    distance (D. Shepard, Proc. 23rd ACM National Conference, 1968, 517).
    """

    kind: Literal["pressure_map"]
    table: Annotated[Table, Columns({"x": "m", "y": "m", "z": "m", "p": "Pa"})] = Field(
        description="columns x, y, z and p; pressure-NAME.csv of a run with grains is one"
    )


class Bearing(OnFaces):
    """The force of a pin in a hole (or of a hole on a pin), the total over the faces.

    It presses on the loaded half only, as the cosine of the angle from its direction.
    """

    kind: Literal["bearing"]
    value: Annotated[Vector, Unit("N")]


class Torque(OnFaces):
    """A torque about an axis, a pure couple spread over the faces like a rigid clutch would: no resulting force."""

    kind: Literal["torque"]
    value: Annotated[float, Unit("N*m")]
    axis: Direction | None = Field(None, description="right-handed about it; the axis of the cylinder if not given")


class Gravity(OnPart):
    """Weight: the acceleration with which the part would fall."""

    kind: Literal["gravity"]
    value: Annotated[Vector, Unit("m/s**2")]


class Acceleration(OnPart):
    """The part is accelerated with its supports; its inertia pulls the other way."""

    kind: Literal["acceleration"]
    value: Annotated[Vector, Unit("m/s**2")]


class Rotation(OnPart):
    """The part turns steadily about an axis with its supports: centrifugal load."""

    kind: Literal["rotation"]
    value: Annotated[float, Unit("rad/s")]
    axis: Direction
    point: Position = Field((0.0, 0.0, 0.0), description="a point of the axis")


SUPPORTS = (Fixed, Displacement, Symmetry, ElasticSupport)
FACE_LOADS = (Force, PressureLoad, PressureMap, Bearing, Torque)
BODY_LOADS = (Gravity, Acceleration, Rotation)

VECTOR = ("x", "y", "z", "magnitude")
STRESS = ("xx", "yy", "zz", "xy", "yz", "xz", "von_mises", "p1", "p2", "p3")
#: Kind of a wanted quantity -> what it is, and what its keys mean.
WANTED = {
    "displacement": f"at a point, or the mean over a selection; component {', '.join(VECTOR)}",
    "stress": f"at a point, or the mean over a selection; component {', '.join(STRESS)}",
    "stress_max": "the largest on a selection, or of the whole part; component as for stress",
    "reaction": f"force of the supports on a selection, or of all, on the part; component {', '.join(VECTOR)}",
    "strain_energy": "stored in the whole part",
    "mass": "of the whole part",
}


def find_problems(bound: BoundCase) -> Iterator[Problem]:
    """What is wrong with a case of the right form."""
    yield from _missing(bound)
    yield from _contradictions(bound)
    yield from _values(bound)
    for i, wanted in enumerate(bound.case.quantities):
        yield from _wanted(f"quantities[{i}]", wanted)


def _missing(bound: BoundCase) -> Iterator[Problem]:
    if not any(isinstance(c, SUPPORTS) for c in bound.conditions):
        yield Problem(
            where="conditions",
            found="nothing that holds the part",
            expected="a support: fixed, displacement, symmetry or elastic_support",
            todo="Say where the part is held.",
            code="no-support",
        )
    moved = any(isinstance(c, Displacement) and any(c.components.values()) for c in bound.conditions)
    if not moved and not any(isinstance(c, (*FACE_LOADS, *BODY_LOADS)) for c in bound.conditions):
        yield Problem(
            where="conditions",
            found="nothing that loads the part",
            expected="a load: force, pressure, pressure_map, bearing, torque, gravity, acceleration, rotation",
            todo="Say what acts on the part.",
            code="no-load",
        )
    heavy = [c for c in bound.conditions if isinstance(c, BODY_LOADS)]
    for i, body in enumerate(bound.case.bodies):
        if heavy and getattr(body.material, "density", 0.0) is None:
            yield Problem(
                where=f"bodies[{i}].material.density",
                found="nothing",
                expected=f"a density, for {heavy[0].kind} acts on it",
                todo='Add it, for example "7850 kg/m3".',
                code="missing-property",
            )


def _contradictions(bound: BoundCase) -> Iterator[Problem]:
    held: dict[str, int] = {}
    for i, c in enumerate(bound.conditions):
        if isinstance(c, (Fixed, Displacement)):
            for name in c.on:
                other = bound.conditions[held[name]] if name in held else None
                if other is not None and _clash(other, c):
                    yield Problem(
                        where=f"conditions[{i}]",
                        found=f"{c.kind} on {name}, which conditions[{held[name]}] holds otherwise ({other.kind})",
                        expected="one support for each direction of a face",
                        todo="Remove one of the two.",
                        code="contradiction",
                    )
                held.setdefault(name, i)
    for i, c in enumerate(bound.conditions):
        fixed = [n for n in c.on if n in held and isinstance(bound.conditions[held[n]], Fixed)]
        if isinstance(c, FACE_LOADS) and fixed:
            yield Problem(
                where=f"conditions[{i}]",
                found=f"{c.kind} on {fixed[0]}, which conditions[{held[fixed[0]]}] fixes",
                expected="a load on faces that can move",
                todo="The load would go straight into the support: load another face or hold another one.",
                code="contradiction",
            )


def _clash(a: Fixed | Displacement, b: Fixed | Displacement) -> bool:
    """Whether two supports of the same faces ask for different displacements."""
    values = [c.components if isinstance(c, Displacement) else dict.fromkeys(range(3), 0.0) for c in (a, b)]
    return any(values[0][i] != values[1][i] for i in values[0].keys() & values[1].keys())


def _values(bound: BoundCase) -> Iterator[Problem]:
    for i, c in enumerate(bound.conditions):
        if isinstance(c, Displacement) and not c.components:
            yield Problem(
                where=f"conditions[{i}]",
                found="a displacement without x, y or z",
                expected="at least one of x, y, z",
                todo='For example "z: 0.2 mm"; a component that is not given stays free.',
                code="empty-condition",
            )
        value = getattr(c, "value", None)
        if value is not None and not any(value if isinstance(value, tuple) else (value,)):
            yield Problem(
                where=f"conditions[{i}].value",
                found="zero",
                expected=f"a {c.kind} that is not zero",
                todo="It has no effect.",
                severity="warning",
                code="no-effect",
            )


def _wanted(where: str, wanted: Wanted) -> Iterator[Problem]:
    allowed = {"displacement": VECTOR, "reaction": VECTOR, "stress": STRESS, "stress_max": STRESS}.get(wanted.kind, ())
    component = wanted.component
    if component is not None and component not in allowed:
        yield Problem(
            where=f"{where}.component",
            found=component,
            expected=f"one of {', '.join(allowed)}" if allowed else "no component",
            todo="Correct it or remove it.",
            code="unknown-component",
        )
    if wanted.kind in ("displacement", "stress") and (wanted.at is None) == (wanted.on is None):
        yield Problem(
            where=where,
            found="both at and on" if wanted.at else "neither at nor on",
            expected="a point (at) or a selection (on)",
            todo="Say where it is wanted.",
            code="where-wanted",
        )
    if wanted.kind in ("reaction", "strain_energy", "mass", "stress_max") and wanted.at is not None:
        yield Problem(
            where=f"{where}.at",
            found="a point",
            expected="a selection or nothing",
            todo="Remove it.",
            code="where-wanted",
        )
