"""Studies: one case asked again and again with some of its values changed.

``study.yaml``, in a folder of its own or beside the case::

    title: How much does the bracket carry?
    case: ../bracket                  # a case folder or file
    sweep:
      - {path: conditions[1].value.magnitude, name: load, from: 1 kN, to: 5 kN, count: 5}
      - {path: materials, values: [steel-s235jr, aluminium-6082-t6]}
    points: grid                      # or list, {latin_hypercube: 64, seed: 1}, {file: points.csv}

A point is refused, solved or failed for itself and never hidden; equal points are computed once.
"""

from __future__ import annotations

import copy
import csv
import io
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from hub.case import MAX_BYTES, Frozen, Text, load_data, load_yaml
from hub.problem import Problem, Refused, excerpt, from_validation
from hub.table import inline
from hub.units import UNITS, to_si

#: Most points of a study.
MAX_POINTS = 10_000

#: A value at a point as it is typed into a case: text with a unit, a number, a name of the library.
Value = str | float | int | bool

_STEP = re.compile(r"([a-z_][a-z0-9_]*)|\[(\d{1,4})\]|\[([^\[\]]{1,200})\]|\.")
_NUMBER_UNIT = re.compile(r"\s*([+-]?[\d.,]+(?:[eE][+-]?\d+)?)\s*(.*?)\s*")


def _error(code: str, expected: str, todo: str = "") -> PydanticCustomError:
    return PydanticCustomError(code, "{expected_text}", {"expected_text": expected, "todo": todo})


class Axis(Frozen):
    """One value of the case that changes.

    path : where it stands, ``mesh.size``, ``parameters.x``, ``conditions[0].value`` or ``conditions[load on the
        pin].value`` by the condition's name; ``materials`` is the material of every body
    values : the values one by one, or `from`, `to` and (for a grid or list) `count` of them
    """

    path: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    name: Text | None = None
    values: Annotated[tuple[Value, ...], Field(min_length=1, max_length=MAX_POINTS)] | None = None
    start: Value | None = Field(None, alias="from")
    stop: Value | None = Field(None, alias="to")
    count: Annotated[int, Field(ge=2, le=MAX_POINTS)] | None = None
    spacing: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _one_way(self) -> Axis:
        steps(self.path)
        if (self.values is None) == (self.start is None or self.stop is None):
            raise _error("axis", "either values, or from and to", "For example {from: 1 kN, to: 5 kN, count: 5}.")
        if self.values is None:
            low, high, _ = self._range()
            if self.spacing == "log" and not (low > 0 and high > 0):
                raise _error("axis", "from and to above zero for logarithmic spacing")
        return self

    @property
    def title(self) -> str:
        return self.name or self.path

    def _range(self) -> tuple[float, float, str]:
        (low, unit), (high, other) = number_unit(self.start), number_unit(self.stop)
        if unit != other:
            raise _error("axis", f"from and to in the same unit ({unit or 'none'})", "Write both in one unit.")
        return low, high, unit

    def at(self, u: float) -> Value:
        """The value at a share `u` in [0, 1] of the way, for samples; of `values` the one it falls on."""
        if self.values is not None:
            return self.values[min(int(u * len(self.values)), len(self.values) - 1)]
        low, high, unit = self._range()
        value = low * (high / low) ** u if self.spacing == "log" else low + (high - low) * u
        value = float(f"{value:.12g}")
        return f"{value:.12g} {unit}" if unit else value

    def all(self) -> tuple[Value, ...]:
        """The values in order. Raises PydanticCustomError without a count."""
        if self.values is not None:
            return self.values
        if self.count is None:
            raise _error("axis", "a count, how many values there are between from and to")
        return tuple(self.at(i / (self.count - 1)) for i in range(self.count))


class LatinHypercube(Frozen):
    """Points spread so that each axis is covered evenly (M. D. McKay, R. J. Beckman, W. J. Conover, Technometrics 21,
    1979, 239); the same seed gives the same points."""

    latin_hypercube: Annotated[int, Field(ge=1, le=MAX_POINTS)]
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 1


class FromTable(Frozen):
    """Points in the lines of a CSV: its columns are names or paths of axes, or paths in the case; units may stand with
    the values, or after the column's name as in ``load [kN]``."""

    csv: Annotated[str, StringConstraints(min_length=1, max_length=500_000)]


def _points(value: Any) -> Any:
    """Chooses the model by its key, so that errors speak of one only."""
    if isinstance(value, Mapping):
        if "latin_hypercube" in value:
            return LatinHypercube.model_validate(value)
        if "csv" in value:
            return FromTable.model_validate(value)
        if "file" in value:
            raise _error("points", "the text of the table, {csv: ...}", "A file is read when a study's folder is.")
    if value in ("grid", "list"):
        return value
    raise _error("points", "grid, list, {latin_hypercube: 64, seed: 1} or {file: points.csv}")


class Study(Frozen):
    """A case and what changes in it.

    case : folder or file of the case beside the study, or (over the API) the case itself
    verdict : ``mesh`` when the axis is the size of the mesh, on three meshes: grid convergence is judged
    ranks : MPI ranks of each point; as many points are solved side by side as the machine has cores for
    reports : make pictures and a report of every point, too
    cluster : where the points are solved, instead of where the case says
    """

    officina_study: Literal[1] = 1
    title: Text
    description: Annotated[str, StringConstraints(max_length=5000)] = ""
    case: str | dict[str, Any]
    sweep: tuple[Axis, ...] = ()
    points: Literal["grid", "list"] | LatinHypercube | FromTable = "grid"
    verdict: Literal["none", "mesh"] = "none"
    ranks: Annotated[int, Field(ge=1, le=4096)] = 1
    reports: bool = False
    cluster: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")] | None = None
    language: Literal["en", "it"] = "en"

    @model_validator(mode="before")
    @classmethod
    def _which_points(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "points" in value:
            return {**value, "points": _points(value["points"])}
        return value

    @model_validator(mode="after")
    def _has_points(self) -> Study:
        if not self.sweep and not isinstance(self.points, FromTable):
            raise _error("sweep", "at least one value that changes", "For example {path: mesh.size, values: [4 mm]}.")
        names = [axis.title for axis in self.sweep]
        if len(set(names)) < len(names):
            raise _error("sweep", "axes with different names")
        if self.verdict == "mesh" and ([a.path for a in self.sweep] != ["mesh.size"] or len(self.values()) != 3):
            raise _error("verdict", "three values of mesh.size and nothing else, for a verdict on the mesh")
        self.values()
        return self

    def axes(self) -> tuple[Axis, ...]:
        """The axes; those of a table that the sweep does not name are named after their columns."""
        if not isinstance(self.points, FromTable):
            return self.sweep
        found = []
        for name, _unit in _columns(self.points.csv):
            known = [a for a in self.sweep if name in (a.title, a.path)]
            found.append(known[0] if known else Axis.model_validate({"path": name, "values": ("",)}))
        return tuple(found)

    def values(self) -> list[tuple[Value, ...]]:
        """The points: a value for each of :meth:`axes`. Raises PydanticCustomError."""
        match self.points:
            case "grid":
                sizes = math.prod(len(axis.all()) for axis in self.sweep)
                _bounded(sizes)
                return list(itertools.product(*(axis.all() for axis in self.sweep)))
            case "list":
                columns = [axis.all() for axis in self.sweep]
                if len({len(c) for c in columns}) != 1:
                    raise _error("points", "as many values on every axis, for points as a list")
                return list(zip(*columns, strict=True))
            case LatinHypercube(latin_hypercube=count, seed=seed):
                shares = latin_hypercube(count, len(self.sweep), seed)
                return [tuple(a.at(float(u)) for a, u in zip(self.sweep, row, strict=True)) for row in shares]
            case FromTable(csv=text):
                rows = _rows(text)
                _bounded(len(rows))
                return rows


def _bounded(count: int) -> None:
    if count > MAX_POINTS:
        raise _error("points", f"at most {MAX_POINTS} points", "Take a Latin hypercube instead of a grid.")


def latin_hypercube(count: int, axes: int, seed: int) -> np.ndarray:
    """(count, axes) shares in [0, 1): on every axis one in each of `count` equal parts."""
    random = np.random.Generator(np.random.PCG64(seed))
    ranks = np.stack([random.permutation(count) for _ in range(axes)], axis=1)
    return np.asarray((ranks + random.random((count, axes))) / count)


def number_unit(value: Any) -> tuple[float, str]:
    """``"2,5 kN"`` as (2.5, "kN"). Raises PydanticCustomError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value), ""
    match = _NUMBER_UNIT.fullmatch(str(value)[:80])
    try:
        assert match
        return float(match[1].replace(",", ".")), match[2]
    except (AssertionError, ValueError):
        raise _error("axis", "a number with a unit", 'Write it as, for example, "2.5 kN".') from None


def dimension(unit: str) -> str:
    """The SI unit (a key of hub.units.UNITS) of what is typed in `unit`; empty where it is not known."""
    found = [(units.index(unit), si) for si, units in UNITS.items() if unit in units]
    return min(found)[1] if found else ""


def si_value(value: Value) -> float | None:
    """The SI value of what was typed; None where it is no number."""
    try:
        number, unit = number_unit(value)
        return to_si(f"{number!r} {unit}", dimension(unit)) if unit else number
    except ValueError:
        return None


# --- tables of points ---------------------------------------------------------------------------------------------


def _lines(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    head = lines[0] if lines else ""
    sign = next((s for s in (";", "\t") if s in head), ",")
    return [[cell.strip() for cell in row] for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=sign)]


def _columns(text: str) -> list[tuple[str, str]]:
    """(name or path, unit) of each column. A bracket with a known unit at the end is one, any other is of the path."""
    lines = _lines(text)
    if not lines:
        raise _error("points", "a line with the names of the columns, and a line for each point")
    found = []
    for cell in lines[0]:
        match = re.fullmatch(r"(.+?)\s*\[([^\[\]]*)\]", cell)
        known = match and match[2] and any(match[2] in units for units in UNITS.values())
        found.append((match[1], match[2]) if match and known else (cell, ""))
    return found


def _rows(text: str) -> list[tuple[Value, ...]]:
    columns, rows = _columns(text), []
    for number, line in enumerate(_lines(text)[1:], 2):
        if len(line) != len(columns):
            raise _error("points", f"{len(columns)} values in line {number} of the table, not {len(line)}")
        rows.append(tuple(_typed(cell, unit) for cell, (_, unit) in zip(line, columns, strict=True)))
    if not rows:
        raise _error("points", "at least one point below the names of the columns")
    return rows


def _typed(cell: str, unit: str) -> Value:
    if unit:
        return f"{cell} {unit}"
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return {"true": True, "false": False}.get(cell, cell)


# --- from a point to a case -------------------------------------------------------------------------------------


def steps(path: str) -> list[str | int]:
    """``conditions[0].value`` as its parts. Raises PydanticCustomError."""
    found: list[str | int] = []
    end = 0
    for match in _STEP.finditer(path):
        if match.start() != end:
            break
        end = match.end()
        if match[1]:
            found.append(match[1])
        elif match[2]:
            found.append(int(match[2]))
        elif match[3]:
            found.append(match[3])
    if end != len(path) or not found or not isinstance(found[0], str):
        raise _error("path", "a path into the case, such as conditions[0].value or mesh.size")
    return found


#: What a study may not change: then its points would be answers to different questions.
_FIXED = frozenset({"officina", "geometry", "solver", "language", "title"})


def place(case: dict[str, Any], path: str, value: Value) -> None:
    """Put a value where `path` says, in place. Raises Refused."""
    parts = steps(path)
    if parts == ["materials"]:
        for body in case.get("bodies", []):
            body["material"] = value
        return
    if parts[0] in _FIXED:
        raise _no_place(path, f"a path other than {', '.join(sorted(_FIXED))}")
    here: Any = case
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if isinstance(here, list):
            index = part if isinstance(part, int) else _named(here, part)
            if index is None or index >= len(here):
                names = [n for n in (_name(e) for e in here) if n]
                said = f" or one of {', '.join(map(excerpt, names))}" if names else ""
                raise _no_place(path, f"a number from 0 to {len(here) - 1}{said} at [{part}]")
            if last:
                here[index] = value
            else:
                here = here[index]
        elif isinstance(here, dict) and isinstance(part, str):
            if last:
                here[part] = value
            else:
                if part not in here and i > 0:
                    raise _no_place(path, f"one of {', '.join(map(excerpt, here))} at {part}")
                here = here.setdefault(part, {})
        else:
            raise _no_place(path, "a value of the case")


def _name(entry: Any) -> str | None:
    return entry.get("name") or entry.get("kind") if isinstance(entry, Mapping) else None


def _named(entries: Sequence[Any], name: str) -> int | None:
    return next((i for i, entry in enumerate(entries) if _name(entry) == name), None)


def _no_place(path: str, expected: str) -> Refused:
    todo = "`sweep` names places of the case.yaml as it is typed."
    return Refused([Problem(where="sweep", found=excerpt(path), expected=expected, todo=todo, code="unknown-path")])


@dataclass(frozen=True)
class Point:
    """One point: its number from 1, the values on the axes as typed, and the case they make."""

    number: int
    values: tuple[Value, ...]
    case: dict[str, Any]


def points(study: Study, base: Mapping[str, Any]) -> list[Point]:
    """Every point of a study with its case as typed. Raises Refused for a path that leads nowhere."""
    found = []
    axes = study.axes()
    for number, values in enumerate(study.values(), 1):
        case = copy.deepcopy(dict(base))
        for axis, value in zip(axes, values, strict=True):
            place(case, axis.path, value)
        if study.verdict == "mesh":
            _similar(case, base)
        case["resources"] = {**case.get("resources", {}), "ranks": study.ranks}
        if study.cluster:
            case["resources"]["cluster"] = study.cluster
        found.append(Point(number, values, case))
    return found


def _similar(case: dict[str, Any], base: Mapping[str, Any]) -> None:
    """Refinements in proportion to the size of the mesh, as the estimate of the error asks for similar meshes."""
    size, first = si_value(case["mesh"]["size"]), si_value(base.get("mesh", {}).get("size", ""))
    if not size or not first:
        return
    for refined in case["mesh"].get("refine", ()):
        if given := si_value(refined["size"]):
            refined["size"] = f"{given * size / first!r} m"


def read(data: Mapping[str, Any]) -> Study:
    """A Study from plain data. Raises Refused with every problem found."""
    try:
        return Study.model_validate(data)
    except ValidationError as error:
        raise Refused(from_validation(error)) from None


def load(source: Path) -> tuple[Study, dict[str, Any], Path]:
    """A study from its folder (``study.yaml``) or file: (study, its case as typed, the case's geometry file).

    Raises Refused.
    """
    file = source / "study.yaml" if source.is_dir() else source
    try:
        text = file.read_bytes() if file.stat().st_size <= MAX_BYTES else b" " * (MAX_BYTES + 1)
    except OSError as error:
        found = error.strerror or "unreadable"
        expected = "a study's file, or a folder with study.yaml"
        raise Refused(
            [Problem(where=excerpt(str(source)), found=found, expected=expected, todo="Check the path.")]
        ) from None
    study = read(inline(load_yaml(text), file.parent, ("points",)))
    if not isinstance(study.case, str):
        todo = "Write `case: FOLDER` with the folder of the case beside the study."
        raise Refused([Problem(where="case", found="the case itself", expected="the name of its folder", todo=todo)])
    case, folder = load_data(file.parent / study.case)
    return study, case, folder / str(case.get("geometry", {}).get("file", ""))
