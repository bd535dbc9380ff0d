"""What can heat and cool a part, and what can be asked about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from hub.case import Text, Wanted
from hub.problem import Problem
from hub.solver import BoundCase, Condition, Frozen
from hub.units import Number, Unit

Kelvin = Annotated[float, Unit("K"), Field(gt=0)]


class Params(Frozen):
    """How to solve and what the part must bear."""

    highest_allowed: Kelvin | None = Field(None, description="temperature that no place of the part may exceed")
    method: Literal["auto", "multigrid", "direct"] = Field(
        "auto", description="multigrid: for large meshes; direct: Cholesky factors, quick for small ones"
    )
    tolerance: Annotated[Number, Field(ge=1e-12, le=1e-4)] = Field(1e-9, description="true residual to reach")


class OnFaces(Condition):
    """A condition on faces."""

    on: Annotated[tuple[Text, ...], Field(min_length=1)]


class InBodies(Condition):
    """A condition in the volume of bodies."""

    on: Annotated[tuple[Text, ...], Field(max_length=0)] = ()
    bodies: Text | tuple[Text, ...] = Field("all", description="names of bodies as the check lists them, or all")


class Temperature(OnFaces):
    """The faces are kept at a temperature."""

    kind: Literal["temperature"]
    value: Kelvin


class HeatFlux(OnFaces):
    """Heat enters through the faces, so much for each area; negative where it leaves."""

    kind: Literal["heat_flux"]
    value: Annotated[float, Unit("W/m**2")]


class HeatFlow(OnFaces):
    """Heat enters through the faces, the total over all of them, spread evenly; negative where it leaves."""

    kind: Literal["heat_flow"]
    value: Annotated[float, Unit("W")]


class Convection(OnFaces):
    """The faces exchange heat with a fluid around: h (T_ambient - T) for each area."""

    kind: Literal["convection"]
    coefficient: Annotated[float, Unit("W/m**2/K"), Field(gt=0)] = Field(description="heat transfer coefficient h")
    ambient: Kelvin = Field(description="temperature of the fluid")


class HeatSource(InBodies):
    """Heat arises inside bodies, so much for each volume."""

    kind: Literal["heat_source"]
    value: Annotated[float, Unit("W/m**3")]


class Dissipation(InBodies):
    """Heat arises inside bodies, the total in all of them, spread evenly over their volume."""

    kind: Literal["dissipation"]
    value: Annotated[float, Unit("W")]


CONDITIONS = (Temperature, HeatFlux, HeatFlow, Convection, HeatSource, Dissipation)
#: Kind of a wanted quantity -> what it is, and what its keys mean.
WANTED = {"temperature": "at a point (at), or the mean over a selection (on), or over the whole part"}


def find_problems(bound: BoundCase) -> Iterator[Problem]:
    """What is wrong with a case of the right form."""
    if not any(isinstance(c, (Temperature, Convection)) for c in bound.conditions):
        yield Problem(
            where="conditions",
            found="nothing that sets the level of the temperature",
            expected="a temperature or a convection on some faces",
            todo="Say where the heat goes: a face kept at a temperature, or the air or water around.",
            code="no-level",
        )
    yield from contradictions(bound, {name: {name} for name in bound.case.selections})
    for i, wanted in enumerate(bound.case.quantities):
        yield from _wanted(f"quantities[{i}]", wanted)


def contradictions(bound: BoundCase, faces: Mapping[str, set]) -> Iterator[Problem]:
    """Conditions that cannot hold together. faces : name of a selection -> what it consists of."""
    kept: dict[object, int] = {}
    for i, c in enumerate(bound.conditions):
        if not isinstance(c, Temperature):
            continue
        for name in c.on:
            for face in faces[name]:
                other = kept.setdefault(face, i)
                if bound.conditions[other].value != c.value:
                    yield _contradiction(i, f"a temperature on {name}, which conditions[{other}] keeps at another")
                    break
    for i, c in enumerate(bound.conditions):
        if isinstance(c, OnFaces) and not isinstance(c, Temperature):
            for name in c.on:
                held = [kept[face] for face in faces[name] if face in kept]
                if held:
                    yield _contradiction(i, f"{c.kind} on {name}, which conditions[{held[0]}] keeps at a temperature")


def _contradiction(i: int, found: str) -> Problem:
    return Problem(
        where=f"conditions[{i}]",
        found=found,
        expected="on each face either a temperature or heat that enters, and one temperature only",
        todo="Remove one of the two, or select other faces.",
        code="contradiction",
    )


def _wanted(where: str, wanted: Wanted) -> Iterator[Problem]:
    if wanted.at is not None and wanted.on is not None:
        yield Problem(
            where=where,
            found="both at and on",
            expected="a point (at), a selection (on), or neither for the whole part",
            todo="Remove one of the two.",
            code="where-wanted",
        )
    if wanted.component is not None:
        yield Problem(
            where=f"{where}.component",
            found=wanted.component,
            expected="no component",
            todo="Remove it: a temperature has none.",
            code="unknown-component",
        )
