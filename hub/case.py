"""The one schema of a case: for the file, the command line, the API and the pages.

A case says what is known (geometry, materials), what acts (conditions on selected faces), how finely to look
(mesh) and what is wanted (quantities). What a condition or a parameter of a particular solver may contain is
declared by that solver (``hub/solver.py``); :func:`read` accepts them as they stand and the solver narrows them.

Numbers carry their unit in the file and are SI floats inside.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hub.problem import Problem, Refused, excerpt, from_validation, path
from hub.table import inline
from hub.units import SI, Area, Direction, Length, Number, Position, Pressure, Unit

#: Largest case file that is read at all.
MAX_BYTES = 1_000_000
#: Deepest nesting and largest number of nodes of a case file.
MAX_DEPTH, MAX_NODES = 20, 20_000


class Frozen(BaseModel):
    """Base of everything in a case: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _printable(text: str) -> str:
    if any(not c.isprintable() for c in text):
        raise PydanticCustomError(
            "not-printable",
            "{expected_text}",
            {"expected_text": "one line of printable characters", "todo": "Remove line breaks and control characters."},
        )
    return text


def _file_name(name: str) -> str:
    if "/" in name or "\\" in name or name in {".", ".."} or name.startswith(("-", ".")):
        raise PydanticCustomError(
            "not-a-file-name",
            "{expected_text}",
            {
                "expected_text": "the plain name of a file beside the case, without folders",
                "todo": "Put the file into the folder of the case and write its name alone.",
            },
        )
    return name


#: One line of printable text: titles, names of bodies and selections. Shown as text, never as markup.
Text = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)]
#: A plain file name beside the case, or ``sha256:...`` of an uploaded file.
FileName = Annotated[Text, AfterValidator(_file_name)]


# --- geometry -------------------------------------------------------------------------------------------------

LengthUnit = Literal["m", "mm", "cm", "um", "in", "ft"]


class Geometry(Frozen):
    """The CAD file or mesh, and the answers to what its check asked."""

    file: FileName = Field(description="name of the CAD file or mesh beside this case, or sha256:... of an upload")
    unit: LengthUnit | None = Field(None, description="read the numbers of the file in this unit instead of its own")
    size_confirmed: bool = Field(False, description="yes, the part really has the size that was read")
    contacts: Literal["bonded", "separate"] | None = Field(
        None, description="how parts that touch are joined: bonded as one, or separate"
    )


# --- the domain -------------------------------------------------------------------------------------------------


class OfPart(Frozen):
    """The part itself: a solid, or the fluid drawn as a body."""

    kind: Literal["part"] = "part"


class Inside(Frozen):
    """The fluid inside the part, found by closing its openings.

    openings : selections of faces of the part that surround an opening (the end face of a pipe, a flange). In the mesh
    and in conditions such a selection is then the lid that closes the opening, not the face pointed at.
    """

    kind: Literal["inside"]
    openings: Annotated[tuple[Text, ...], Field(min_length=1)]


class Around(Frozen):
    """The fluid around the part, in a box. Its sides are called ``upstream``, ``downstream``, ``far sides``,
    ``ground`` and ``symmetry``; the skin of the part is ``part``.

    along : where the flow goes; distances are in diameters of the part across it
    symmetry : only the half of the part and the box on this side of its middle is meshed
    ground : the box ends below the part at this distance [m]; without it the box goes on
    """

    kind: Literal["around"]
    along: Direction
    upstream: Annotated[Number, Field(ge=0.5, le=200)] | None = None
    downstream: Annotated[Number, Field(ge=0.5, le=500)] | None = None
    sides: Annotated[Number, Field(ge=0.5, le=200)] | None = None
    symmetry: Literal["x", "-x", "y", "-y", "z", "-z"] | None = None
    ground: Annotated[Length, Field(ge=0)] | None = None


class Plane(Frozen):
    """A flat face of the part, solved in two dimensions: its x and y are those of the part. The face's edges carry the
    names of the faces beyond them. Forces and flows are for one metre of depth."""

    kind: Literal["plane"]
    face: Text


class Walls(Frozen):
    """The skin of the part, as the walls that grains meet. No volume is meshed."""

    kind: Literal["walls"]


Domain = Annotated[OfPart | Inside | Around | Plane | Walls, Field(discriminator="kind")]
#: Faces that a domain brings along, which no selection needs to name.
BROUGHT: Mapping[str, tuple[str, ...]] = {
    "around": ("upstream", "downstream", "far sides", "ground", "symmetry", "part")
}


# --- face selections ------------------------------------------------------------------------------------------

FaceType = Literal["plane", "cylinder", "cone", "sphere", "torus", "other"]


class ByName(Frozen):
    """Faces whose CAD name, layer, set or physical group is `name`."""

    name: Text
    count: Annotated[int, Field(ge=1, le=100_000)] | None = Field(None, description="how many faces must match")


class ByColour(Frozen):
    """Faces painted in `colour` in the CAD system."""

    colour: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
    count: Annotated[int, Field(ge=1, le=100_000)] | None = None


class ByRule(Frozen):
    """Faces that meet every condition given: a geometric rule.

    extreme : the face whose centroid lies farthest that way, for example ``-z`` for the lowest
    near : keeps the `count` faces whose distance to this point is smallest [m]
    count : how many faces must match; exactly one unless said
    """

    type: FaceType | None = None
    normal: Direction | None = Field(None, description="outward normal of a plane")
    axis: Direction | None = Field(None, description="axis of a cylinder, cone or torus (either sense)")
    radius: Length | None = Field(None, description="radius of a cylinder or sphere")
    inside: bool | None = Field(None, description="a hole (true) or a shaft (false)")
    area: Area | None = None
    extreme: Literal["x", "-x", "y", "-y", "z", "-z"] | None = None
    near: Position | None = None
    body: Text | None = Field(None, description="only faces of this body")
    count: Annotated[int, Field(ge=1, le=100_000)] = 1

    @model_validator(mode="after")
    def _says_something(self) -> ByRule:
        if not (self.model_fields_set - {"count", "body"}):
            raise PydanticCustomError(
                "empty-rule",
                "{expected_text}",
                {"expected_text": "at least one of type, normal, axis, radius, area, extreme, near", "todo": ""},
            )
        return self


class Signature(Frozen):
    """What one face looks like, so that it is found again after re-meshing or a revision of the CAD [SI]."""

    type: FaceType
    area: Area
    centroid: Position
    normal: Direction | None = Field(None, description="outward, at the middle of the face, where plane")
    axis: Direction | None = None
    radius: Length | None = None
    neighbours: Annotated[int, Field(ge=0)] | None = Field(None, description="number of faces sharing an edge")
    name: Text | None = None


class BySignature(Frozen):
    """Faces picked by a person, stored as what they look like."""

    faces: Annotated[tuple[Signature, ...], Field(min_length=1)]


class Together(Frozen):
    """Several selections as one."""

    any: Annotated[tuple[ByName | ByColour | ByRule | BySignature, ...], Field(min_length=1)]


Selection = ByName | ByColour | ByRule | BySignature | Together


def _selection_kind(value: Any) -> Any:
    """Chooses the model by the key that gives a selection away, so that errors speak of one model only."""
    if not isinstance(value, Mapping):
        if isinstance(value, BaseModel):
            return value
        raise PydanticCustomError(
            "not-a-selection",
            "{expected_text}",
            {
                "expected_text": "a mapping with name, colour, a rule (type, radius, extreme, near ...), faces or any",
                "todo": "For example {extreme: -z} for the lowest face.",
            },
        )
    for key, model in (("name", ByName), ("colour", ByColour), ("faces", BySignature), ("any", Together)):
        if key in value:
            return model, value
    return ByRule, value


def _read_selection(value: Any, info: Any) -> Selection:
    chosen = _selection_kind(value)
    if isinstance(chosen, BaseModel):
        return chosen  # type: ignore[return-value]
    model, content = chosen
    return model.model_validate(content, context=info.context)  # type: ignore[no-any-return]


#: Selections by name, as typed.
Selections = dict[Text, Annotated[Selection, BeforeValidator(_read_selection)]]


# --- materials, conditions, mesh, answers ---------------------------------------------------------------------


class Material(Frozen):
    """Properties of one material in SI; a solver says which it needs. `source` says where the values are from."""

    name: Text
    source: Annotated[str, StringConstraints(max_length=500)] = ""
    density: Annotated[float, Unit("kg/m**3"), Field(gt=0)] | None = None
    youngs_modulus: Annotated[Pressure, Field(gt=0)] | None = None
    poissons_ratio: Annotated[Number, Field(gt=-1, lt=0.5)] | None = None
    yield_strength: Annotated[Pressure, Field(gt=0)] | None = None
    tensile_strength: Annotated[Pressure, Field(gt=0)] | None = None
    thermal_expansion: Annotated[float, Unit("1/K")] | None = Field(None, description="of lengths")
    volumetric_expansion: Annotated[float, Unit("1/K")] | None = Field(None, description="of volumes, for fluids")
    thermal_conductivity: Annotated[float, Unit("W/m/K"), Field(gt=0)] | None = None
    specific_heat: Annotated[float, Unit("J/kg/K"), Field(gt=0)] | None = None
    dynamic_viscosity: Annotated[float, Unit("Pa*s"), Field(gt=0)] | None = None
    emissivity: Annotated[Number, Field(ge=0, le=1)] | None = None


class Body(Frozen):
    """Which bodies are made of which material; later entries win."""

    on: Text | tuple[Text, ...] = Field("all", description="names of bodies as the check lists them, or all")
    material: Text | Material = Field(description="a name from the library (`officina materials`) or the properties")


class Condition(BaseModel):
    """Base of every condition. A solver derives its own and adds fields; `kind` chooses among them.

    on : names of selections (faces), or empty for the whole part
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    name: Text | None = Field(None, description="what this is called in pictures and reports")
    on: tuple[Text, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("on"), str):
            return {**value, "on": (value["on"],)}
        return value


class AnyCondition(Condition):
    """A condition before a solver has looked at it."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Refinement(Frozen):
    """A finer mesh on some faces, and as far from them as `reach` says [m]: in a wake, behind a step."""

    on: Text
    size: Annotated[Length, Field(gt=0)]
    reach: Annotated[Length, Field(gt=0)] | None = None


class Layers(Frozen):
    """Thin cells along walls for boundary layers.

    first : height of the cells at the wall [m]; chosen from the size of the cells above if not given
    """

    on: Text
    first: Annotated[Length, Field(gt=0)] | None = Field(None, description="height of the cells at the wall")
    count: Annotated[int, Field(ge=1, le=40)] = 5
    growth: Annotated[Number, Field(ge=1, le=2)] = 1.25


class Mesh(Frozen):
    """How finely to mesh. `size` overrides what `fineness` would choose from the part."""

    fineness: Literal["coarse", "normal", "fine"] = "normal"
    size: Annotated[Length, Field(gt=0)] | None = Field(None, description="largest element size")
    order: Literal[1, 2] = Field(2, description="order of the elements' geometry")
    refine: tuple[Refinement, ...] = ()
    layers: tuple[Layers, ...] = Field((), description="thin cells along walls")
    coarser: Annotated[Number, Field(gt=1, le=4)] | None = Field(
        None, description="a second mesh, of cells larger by this, for error bars; solvers ask for it themselves"
    )


class Wanted(Frozen):
    """One more quantity in the answer; which kinds there are is the solver's to say.

    at : a point [m]; to : a second one, for differences
    on : a selection
    component : for example ``z``, ``xx``, ``magnitude``
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    on: Text | None = None
    at: Position | None = None
    to: Position | None = None
    component: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,12}$")] | None = None


#: How a place is chosen among those where a case fits.
Rule = Literal["here", "sooner", "cheaper"]


class Resources(Frozen):
    """What the run may use. Empty means: as the estimate says, and on this machine.

    cluster : where it is solved: the name of a cluster, ``here``, or ``best`` to have it chosen by rule
    prefer : the rule: this machine if it fits there, what is done sooner, or cheaper; empty: as the hub is set
    """

    cluster: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")] | None = None
    prefer: Rule | None = None
    ranks: Annotated[int, Field(ge=1, le=4096)] | None = None
    memory: Annotated[float, Unit("byte"), Field(gt=0)] | None = None
    time: Annotated[float, Unit("s"), Field(gt=0)] | None = None


class Case(Frozen):
    """A question about a part, complete enough to be answered."""

    officina: Literal[1] = Field(1, description="version of this schema")
    title: Text
    description: Annotated[str, StringConstraints(max_length=5000)] = ""
    geometry: Geometry
    solver: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,3}$")]
    parameters: dict[str, Any] = Field(default_factory=dict, description="`officina solver describe` lists them")
    domain: Domain = Field(default_factory=OfPart, description="where the equations are solved")
    bodies: Annotated[tuple[Body, ...], Field(min_length=1)]
    selections: Selections = Field(default_factory=dict)
    conditions: tuple[AnyCondition, ...] = ()
    mesh: Mesh = Field(default_factory=Mesh)
    quantities: tuple[Wanted, ...] = ()
    resources: Resources = Field(default_factory=Resources)
    language: Literal["en", "it"] = "en"

    @model_validator(mode="after")
    def _names_exist(self) -> Case:
        known = {*self.selections, *BROUGHT.get(self.domain.kind, ())}
        used: list[tuple[tuple[str | int, ...], str]] = [
            (("conditions", i, "on"), name) for i, c in enumerate(self.conditions) for name in c.on
        ]
        used += [(("mesh", "refine", i, "on"), r.on) for i, r in enumerate(self.mesh.refine)]
        used += [(("mesh", "layers", i, "on"), r.on) for i, r in enumerate(self.mesh.layers)]
        used += [(("quantities", i, "on"), q.on) for i, q in enumerate(self.quantities) if q.on]
        match self.domain:
            case Inside():
                used += [(("domain", "openings", i), name) for i, name in enumerate(self.domain.openings)]
            case Plane():
                used += [(("domain", "face"), self.domain.face)]
        problems = [
            Problem(
                where=path(where),
                found=excerpt(name),
                code="unknown-selection",
                expected="the name of a selection" + (f": {', '.join(sorted(known))}" if known else ""),
                todo="Add it under selections, or correct the name.",
            )
            for where, name in used
            if name not in known
        ]
        if problems:
            raise PydanticCustomError("unknown-selection", "unknown selections", {"problems": problems})
        return self


# --- reading and writing --------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML without aliases, duplicate keys, dates or unbounded structures."""

    depth = 0
    nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise _refusal(
                f"line {event.start_mark.line + 1}",
                "an alias (*name)",
                "plain values",
                "Write the values out; aliases and anchors are not read.",
                "yaml-alias",
            )
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise _refusal(
                "the file",
                "a very deep or very long structure",
                f"at most {MAX_DEPTH} levels and {MAX_NODES} values",
                "",
                "yaml-too-large",
            )
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise _refusal(
                    f"line {key.start_mark.line + 1}",
                    f"the key {excerpt(name)} twice",
                    "each key once",
                    "Remove one of them.",
                    "yaml-duplicate-key",
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


# Dates, merges and YAML 1.1's on/off/yes/no would turn what people typed into something else: only what YAML 1.2
# and JSON call true and false are booleans here.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, rx) for tag, rx in found if not tag.endswith((":timestamp", ":merge", ":bool"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))


def _refusal(where: str, found: str, expected: str, todo: str, code: str) -> Refused:
    return Refused([Problem(where=where, found=found, expected=expected, todo=todo, code=code)])


def load_yaml(text: str | bytes) -> dict[str, Any]:
    """A YAML document as plain data. Raises Refused; never builds objects, follows aliases or runs out of memory."""
    if len(text) > MAX_BYTES:
        raise _refusal(
            "the file",
            f"{len(text)} bytes",
            f"at most {MAX_BYTES} bytes",
            "A case names its geometry file, it does not contain it.",
            "too-large",
        )
    try:
        data = yaml.load(text.decode("utf-8") if isinstance(text, bytes) else text, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        raise _refusal(
            where,
            excerpt(getattr(error, "problem", None) or str(error)),
            "a YAML document",
            "Check indentation and quotes there.",
            "not-yaml",
        ) from None
    if not isinstance(data, dict):
        raise _refusal(
            "the file",
            "an empty file" if data is None else type(data).__name__,
            "a mapping with title, geometry, solver ...",
            "",
            "not-a-case",
        )
    return data


def read(data: Mapping[str, Any], *, si: bool = False) -> Case:
    """A Case from plain data. `si`: its numbers are already SI floats. Raises Refused with every problem found."""
    try:
        return Case.model_validate(data, context=SI if si else None)
    except ValidationError as error:
        problems: list[Problem] = []
        for item, problem in zip(error.errors(include_url=False), from_validation(error), strict=True):
            problems += item.get("ctx", {}).get("problems", None) or [problem]
        raise Refused(problems) from None


def load_data(source: Path) -> tuple[dict[str, Any], Path]:
    """A case as typed, from a folder's ``case.yaml`` or from a file, with the tables beside it put in place, and the
    folder that holds its geometry. Raises Refused."""
    file = source / "case.yaml" if source.is_dir() else source
    try:
        text = file.read_bytes() if file.stat().st_size <= MAX_BYTES else b" " * (MAX_BYTES + 1)
    except OSError as error:
        raise _refusal(
            str(source),
            error.strerror or "unreadable",
            "a case folder with case.yaml, or a case file",
            "Check the path.",
            "no-such-file",
        ) from None
    return inline(load_yaml(text), file.parent), file.parent


def load(source: Path) -> tuple[Case, Path]:
    """The Case in a folder's ``case.yaml`` or in a file, and the folder that holds its geometry. Raises Refused."""
    data, folder = load_data(source)
    return read(data), folder


def dump(case: Case) -> dict[str, Any]:
    """A Case as plain data with SI floats; ``read(dump(case), si=True) == case``."""
    return case.model_dump(mode="json", exclude_none=True)


def digest(data: Any) -> str:
    """sha256 of plain data, independent of the order of keys."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def slug(text: str) -> str:
    """A title as ``[a-z0-9-]``, for folder and job names."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "case"
