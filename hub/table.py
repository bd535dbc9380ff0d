"""Tables of measured or computed values beside a case: profiles over a face, histories over time.

In ``case.yaml`` a table is ``{file: pump.csv}``, a file in the case's folder. Whoever loads the folder puts the text
in its place (:func:`inline`), so that a case that travels is whole: ``{csv: "..."}``. The first line names the columns
with their units, ``t [s], u [m/s]``; the values below are numbers without units. Comma, semicolon or tab set columns
apart; with semicolon or tab a number may have a decimal comma. Lines that begin with ``#`` and empty lines are passed
over.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, PrivateAttr, StringConstraints, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from hub.problem import Problem, Refused, excerpt, path
from hub.units import UNITS, to_si

#: Largest table: what fits into a case beside the rest of it.
MAX_BYTES, MAX_ROWS, MAX_COLUMNS = 500_000, 10_000, 32

_NAME = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_ ]{0,38}?)\s*(?:\[\s*([^\]]{0,20}?)\s*\])?\s*")
_NUMBER = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][+-]?\d{1,3})?")


def _error(code: str, found: str, expected: str, todo: str) -> PydanticCustomError:
    said = {"found_text": found, "expected_text": expected, "todo": todo}
    return PydanticCustomError(code, "{expected_text}", said)


class Table(BaseModel):
    """Columns of numbers under names with units, as the text of a CSV file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    csv: Annotated[str, StringConstraints(max_length=MAX_BYTES)] = Field(description="the table's text")
    _columns: dict[str, tuple[str, tuple[float, ...]]] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _file_is_not_here(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "file" in value:
            raise _error(
                "table-not-here",
                f"the name of a file, {excerpt(value['file'])}",
                "the table's text: {csv: ...}",
                "A file is read when a case folder is run, checked or submitted; here, write the text of the table.",
            )
        return value

    @model_validator(mode="after")
    def _parse(self) -> Table:
        self._columns.update(_read(self.csv))
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in their order."""
        return tuple(self._columns)

    def column(self, name: str, si: str) -> tuple[float, ...]:
        """The values of a column in SI. Raises KeyError; PydanticCustomError if its unit is none of `si`'s."""
        unit, values = self._columns[name]
        if not unit and "" not in UNITS[si]:
            raise _error(
                "missing-unit",
                f"the column {name} without a unit",
                f"one of the units {', '.join(UNITS[si])}",
                f"Write the unit after the name in the first line: {name} [{UNITS[si][0]}].",
            )
        try:
            zero, one = (to_si(f"{v} {unit}", si) for v in (0, 1))
        except PydanticCustomError:
            raise _error(
                "wrong-unit",
                f"{name} [{excerpt(unit)}]",
                f"one of the units {', '.join(u for u in UNITS[si] if u) or 'none'}",
                "Correct the unit in the first line of the table.",
            ) from None
        return tuple(zero + (one - zero) * v for v in values)


@dataclass(frozen=True, eq=False)  # a type's marks must have a hash, which mappings have not
class Columns:
    """Marks what a table must hold: ``Annotated[Table, Columns({"t": "s"}, {"u": "m/s", "Q": "m**3/s"}, rising="t")]``.

    all_of : name of a column -> its SI unit, a key of ``hub.units.UNITS``; each must be there
    one_of : exactly one of these besides, if any is named
    any_of : these may be there
    rising : the column whose values must rise from row to row
    """

    all_of: Mapping[str, str]
    one_of: Mapping[str, str] | None = None
    any_of: Mapping[str, str] | None = None
    rising: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, table: Table) -> Table:
        known = {**self.all_of, **(self.one_of or {}), **(self.any_of or {})}
        for name in table.names:
            if name not in known:
                raise self._missing(f"a column {excerpt(name)}")
            table.column(name, known[name])
        missing = [name for name in self.all_of if name not in table.names]
        if missing:
            raise self._missing(f"no column {missing[0]}")
        if self.one_of and len([n for n in self.one_of if n in table.names]) != 1:
            raise self._missing(f"the columns {', '.join(table.names)}")
        if self.rising:
            values = table.column(self.rising, known[self.rising])
            for i in range(1, len(values)):
                if values[i] <= values[i - 1]:
                    raise _error(
                        "table-falls",
                        f"{values[i]:g} after {values[i - 1]:g} in row {i + 1}, column {self.rising}",
                        f"values of {self.rising} that rise from row to row",
                        "Put the rows in order and remove those that stand there twice.",
                    )
        return table

    def _missing(self, found: str) -> PydanticCustomError:
        def shown(columns: Mapping[str, str]) -> list[str]:
            return [f"{name} [{UNITS[si][0]}]" if UNITS[si][0] else name for name, si in columns.items()]

        expected = ", ".join(shown(self.all_of))
        if self.one_of:
            expected += f" and one of {', '.join(shown(self.one_of))}"
        if self.any_of:
            expected += f"; {', '.join(shown(self.any_of))} may be there"
        return _error("table-columns", found, f"the columns {expected}", "Name the columns so in the first line.")


def _read(text: str) -> dict[str, tuple[str, tuple[float, ...]]]:
    """Name -> (unit as typed, values). Raises PydanticCustomError that names row and column, rows counted from the
    first line of numbers."""
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        raise _error("table-empty", "no rows", "a line of names and rows of numbers", "Export the table again.")
    if len(lines) > MAX_ROWS + 1:
        raise _error("table-too-long", f"{len(lines)} rows", f"at most {MAX_ROWS}", "Take every second row, or fewer.")
    separator = next((c for c in "\t;" if c in lines[0]), ",")
    rows = list(csv.reader(lines, delimiter=separator))
    header = [_header(cell, i) for i, cell in enumerate(rows[0])]
    names = [name for name, _ in header]
    if len(set(names)) < len(names):
        raise _error("table-columns", f"the columns {', '.join(names)}", "each name once", "Rename one of them.")
    if len(names) > MAX_COLUMNS:
        raise _error("table-columns", f"{len(names)} columns", f"at most {MAX_COLUMNS}", "Remove those not needed.")
    values: list[list[float]] = [[] for _ in names]
    for i, row in enumerate(rows[1:], 1):
        while len(row) > len(names) and not row[-1].strip():
            row.pop()  # spreadsheets end lines with separators
        if len(row) > len(names):
            todo = "Remove what is too much; a decimal comma needs semicolons between the columns."
            raise _error("table-row", f"{len(row)} values in row {i}", f"{len(names)} values, one a column", todo)
        for j, name in enumerate(names):
            values[j].append(_number(row[j].strip() if j < len(row) else "", separator, i, name))
    return {name: (unit, tuple(column)) for (name, unit), column in zip(header, values, strict=True)}


def _header(cell: str, index: int) -> tuple[str, str]:
    match = _NAME.fullmatch(cell)
    if match is None:
        raise _error(
            "table-header",
            f"{excerpt(cell)} as the name of column {index + 1}",
            "a name with its unit, such as t [s]",
            "Write names and units into the first line of the table.",
        )
    return match[1], match[2] or ""


def _number(cell: str, separator: str, row: int, name: str) -> float:
    where = f"in row {row}, column {name}"
    if not cell:
        todo = "Fill the gap or remove the row; values are not guessed."
        raise _error("table-gap", f"an empty cell {where}", "a number", todo)
    plain = cell.replace(",", ".") if separator != "," else cell
    if not _NUMBER.fullmatch(plain):
        todo = "Correct the cell; numbers stand without units and without thousands marks."
        raise _error("table-text", f"{excerpt(cell)} {where}", "a number", todo)
    value = float(plain)
    if not math.isfinite(value):
        raise _error("table-text", f"{excerpt(cell)} {where}", "a finite number", "Correct the cell.")
    return value


def inline(
    data: Mapping[str, Any], folder: Path, within: Sequence[str] = ("conditions", "parameters")
) -> dict[str, Any]:
    """A case as typed with ``{file: x.csv}`` in conditions and parameters replaced by the text of the file in `folder`.

    within : keys of the document under which tables may be
    Raises Refused if a file is not there, is no plain name, is too large or is no text.
    """
    return {key: _inlined(value, folder, (key,)) if key in within else value for key, value in data.items()}


def _inlined(item: Any, folder: Path, where: tuple[str | int, ...]) -> Any:
    if isinstance(item, Mapping):
        if set(item) == {"file"} and isinstance(item["file"], str):
            return {"csv": _text(item["file"], folder, where)}
        return {key: _inlined(value, folder, (*where, str(key))) for key, value in item.items()}
    if isinstance(item, Sequence) and not isinstance(item, str):
        return [_inlined(value, folder, (*where, i)) for i, value in enumerate(item)]
    return item


def _text(name: str, folder: Path, where: tuple[str | int, ...]) -> str:
    def refusal(found: str, expected: str, todo: str, code: str) -> Refused:
        return Refused([Problem(where=path([*where, "file"]), found=found, expected=expected, todo=todo, code=code)])

    if "/" in name or "\\" in name or name.startswith((".", "-")) or not name.lower().endswith((".csv", ".txt")):
        todo = "Put the table into the folder of the case and write its name alone."
        raise refusal(excerpt(name), "the plain name of a .csv file beside the case", todo, "not-a-table")
    file = folder / name
    try:
        if file.stat().st_size > MAX_BYTES:
            raise refusal(f"{file.stat().st_size} bytes", f"at most {MAX_BYTES}", "Take fewer rows.", "too-large")
        return file.read_bytes().decode("utf-8")
    except OSError:
        todo = "Put it there, or correct its name."
        raise refusal(f"no file {excerpt(name)}", "a table beside the case", todo, "no-such-file") from None
    except UnicodeDecodeError:
        raise refusal("bytes that are no UTF-8 text", "a CSV file", "Save it as CSV, UTF-8.", "not-text") from None
