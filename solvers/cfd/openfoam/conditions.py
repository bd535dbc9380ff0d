"""What drives and holds a turbulent flow, and what can be asked about it; as in ``cfd.flow`` where the meaning is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from hub.case import Around, Length, Pressure, Text, Wanted
from hub.problem import Problem
from hub.solver import BoundCase, Frozen
from hub.units import Area, Number, Unit
from solvers.cfd.flow.conditions import Inlet as LaminarInlet
from solvers.cfd.flow.conditions import Outlet, Slip, Speed, Symmetry, Wall

__all__ = ["CONDITIONS", "WANTED", "Inlet", "Outlet", "Params", "Slip", "Symmetry", "Wall", "find_problems"]


class Params(Frozen):
    """How to solve and what the answer is judged by."""

    model: Literal["k-omega SST", "laminar"] = Field("k-omega SST", description="how turbulence is modelled")
    cells: Literal["auto", "tetrahedra", "hexahedra"] = Field(
        "auto",
        description="tetrahedra: those of the mesh stage; hexahedra: cut to fit the skin, with layers, in a box around "
        "a part only; auto: hexahedra in such a box",
    )
    iterations: Annotated[int, Field(ge=20, le=100_000)] = Field(1500, description="at most, on each mesh")
    tolerance: Annotated[Number, Field(ge=1e-6, le=0.1)] = Field(
        0.005, description="share by which forces and pressure drops may still wander when the iterations end"
    )
    residual: Annotated[Number, Field(ge=1e-8, le=1e-2)] = Field(
        1e-3, description="initial residual that every equation must come below"
    )
    error_bars: bool = Field(True, description="hexahedra: solve on a coarser mesh as well, to say how wrong it is")
    reference_area: Annotated[Area, Field(gt=0)] | None = Field(
        None, description="of force coefficients; what the flow sees of the part if not given"
    )
    reference_speed: Annotated[Speed, Field(gt=0)] | None = Field(
        None, description="of force coefficients; the mean speed of the first inlet if not given"
    )
    highest_pressure_drop: Annotated[Pressure, Field(gt=0)] | None = Field(None, description="that may be needed")
    highest_drag: Annotated[float, Unit("N"), Field(gt=0)] | None = Field(None, description="that the part may have")


class Inlet(LaminarInlet):
    """Turbulent fluid enters. Exactly one of velocity, vector, volume_flow, mass_flow and table says how much."""

    profile: Literal["uniform", "developed"] = Field(
        "uniform", description="uniform: as out of a large room; developed: the 1/7 power law of long ducts"
    )
    turbulence_intensity: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.05, description="fluctuations over the mean: 0.1 to 1 % in wind tunnels, about 5 % in ducts"
    )
    turbulence_length: Annotated[Length, Field(gt=0)] | None = Field(
        None, description="size of the large eddies; 7 % of the inlet's hydraulic diameter if not given"
    )
    viscosity_ratio: Annotated[Number, Field(gt=0, le=1e5)] | None = Field(
        None, description="of eddies over that of the fluid, instead of a length: 1 to 10 in free air"
    )


CONDITIONS = (Inlet, Outlet, Wall, Slip, Symmetry)
#: Kind of a wanted quantity -> what it is, and what its keys mean.
WANTED = {
    "velocity": "at a point (at): magnitude, or a component x, y, z",
    "pressure": "at a point (at), or its mean over a selection (on)",
    "volume_flow": "through a selection (on), out of the fluid",
    "force": "of the fluid on a selection (on): magnitude, or a component x, y, z",
    "force_coefficient": "force over half density, speed squared and area; on a selection (on), component x, y, z",
    "wall_shear_stress": "the largest over a selection (on); component mean for the mean",
    "reattachment": "distance along x, y or z (component) from a point (at) to where the flow along a selection (on) "
    "turns forward for the last time",
}
#: Which of at, on each kind needs; where two sets stand, either does.
NEEDS: dict[str, tuple[set[str], ...]] = {
    "velocity": ({"at"},),
    "pressure": ({"at"}, {"on"}),
    "volume_flow": ({"on"},),
    "force": ({"on"},),
    "force_coefficient": ({"on"},),
    "wall_shear_stress": ({"on"},),
    "reattachment": ({"at", "on"},),
}
COMPONENTS: dict[str, tuple[str, ...]] = {
    "velocity": ("magnitude", "x", "y", "z"),
    "force": ("magnitude", "x", "y", "z"),
    "force_coefficient": ("x", "y", "z"),
    "wall_shear_stress": ("mean",),
    "reattachment": ("x", "y", "z"),
}


def along_an_axis(domain: Around) -> bool:
    """Whether the box around the part stands along the axes, as a box of hexahedra must."""
    return max(abs(v) for v in domain.along) > 0.9999 * sum(v * v for v in domain.along) ** 0.5


def find_problems(bound: BoundCase) -> Iterator[Problem]:
    """What is wrong with a case of the right form."""
    inlets = [c for c in bound.conditions if isinstance(c, Inlet)]
    if not inlets:
        yield Problem(
            where="conditions", found="no inlet", expected="at least one inlet", todo="Say where fluid enters.",
            code="no-inlet",
        )  # fmt: skip
    if not any(isinstance(c, Outlet) for c in bound.conditions):
        yield Problem(
            where="conditions", found="no outlet", expected="at least one outlet",
            todo="Say where fluid leaves; what cannot leave cannot enter.", code="no-outlet",
        )  # fmt: skip
    for i, c in enumerate(bound.conditions):
        if isinstance(c, Inlet):
            for field in ("history", "temperature", "concentration"):
                if getattr(c, field) is not None:
                    yield Problem(
                        where=f"conditions[{i}].{field}",
                        found="given",
                        expected="a steady flow of one temperature without a dye",
                        todo="Remove it, or solve with cfd.flow.",
                        code="not-here",
                    )
            if c.turbulence_length is not None and c.viscosity_ratio is not None:
                yield Problem(
                    where=f"conditions[{i}]",
                    found="both turbulence_length and viscosity_ratio",
                    expected="one of them",
                    todo="Remove one of the two.",
                    code="two-lengths",
                )
    yield from _twice(bound)
    domain = bound.case.domain
    if bound.params.cells == "hexahedra" and not (isinstance(domain, Around) and along_an_axis(domain)):
        yield Problem(
            where="parameters.cells",
            found=f"hexahedra in the domain {domain.kind}",
            expected="hexahedra in a box around a part only, with the flow along x, y or z",
            todo="Choose auto or tetrahedra.",
            code="cells",
        )
    if len(bound.materials) != 1 or bound.materials[0][1].dynamic_viscosity is None:
        yield Problem(
            where="bodies",
            found=", ".join(material.name for _, material in bound.materials) or "no material",
            expected="one fluid: a material with density and viscosity",
            todo="Name the fluid alone; it fills the whole domain.",
            code="one-fluid",
        )
    for i, wanted in enumerate(bound.case.quantities):
        yield from _wanted(f"quantities[{i}]", wanted)


def _twice(bound: BoundCase) -> Iterator[Problem]:
    seen: dict[Text, int] = {}
    for i, c in enumerate(bound.conditions):
        for name in c.on:
            if name in seen:
                yield Problem(
                    where=f"conditions[{i}].on",
                    found=f"{name}, which conditions[{seen[name]}] has already",
                    expected="one condition on each face",
                    todo="Remove one of the two, or select other faces.",
                    code="contradiction",
                )
            seen.setdefault(name, i)


def _wanted(where: str, wanted: Wanted) -> Iterator[Problem]:
    given = {name for name in ("at", "on") if getattr(wanted, name) is not None}
    if given not in NEEDS[wanted.kind]:
        expected = " or ".join(" and ".join(sorted(needed)) for needed in NEEDS[wanted.kind])
        yield Problem(
            where=where,
            found=" and ".join(sorted(given)) or "no place",
            expected=expected,
            todo=f"{wanted.kind}: {WANTED[wanted.kind]}.",
            code="where-wanted",
        )
    allowed = COMPONENTS.get(wanted.kind, ())
    needed = wanted.kind in ("force_coefficient", "reattachment")
    if (wanted.component is None and needed) or (wanted.component is not None and wanted.component not in allowed):
        yield Problem(
            where=f"{where}.component",
            found=wanted.component or "nothing",
            expected=" or ".join(allowed) or "no component",
            todo=f"{wanted.kind}: {WANTED[wanted.kind]}.",
            code="unknown-component",
        )
