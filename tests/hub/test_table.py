"""Tables beside a case: what is read, what is refused with row and column, and how a case folder takes them in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from hub.case import load_data
from hub.problem import Problem, Refused, from_validation
from hub.table import MAX_ROWS, Columns, Table, inline


class Pump(BaseModel):
    """As a solver would declare a history."""

    history: Annotated[Table, Columns({"t": "s"}, {"u": "m/s", "Q": "m**3/s"}, rising="t")]


def read(text: str) -> Table:
    return Pump.model_validate({"history": {"csv": text}}).history


def problem(text: str) -> Problem:
    with pytest.raises(ValidationError) as caught:
        read(text)
    (found,) = from_validation(caught.value)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "t [s], u [m/s]\n0, 0\n1, 2.5\n",
        "t [s];u [m/s]\n0;0\n1;2,5\n",
        "\ufeff# from the pump\nt [ms]\tu [mm/s]\n0\t0\n\n1e3\t2500\t\n",
    ],
    ids=["commas", "semicolons and decimal commas", "tabs, other units, a comment"],
)
def test_columns_are_read_in_si(text: str) -> None:
    table = read(text)
    assert table.column("t", "s") == pytest.approx((0, 1))
    assert table.column("u", "m/s") == pytest.approx((0, 2.5))


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("t [s], u [m/s]\n0, 1\n1,\n", "table-gap", ("row 2", "column u")),
        ("t [s], u [m/s]\n0, 1\n1\n", "table-gap", ("row 2", "column u")),
        ("t [s], u [m/s]\n0, 1\n1, fast\n", "table-text", ("fast", "row 2", "column u")),
        ("t [s], u [m/s]\n0, nan\n", "table-text", ("nan", "row 1", "column u")),
        ("t [s], u [m/s]\n0, inf\n", "table-text", ("inf", "row 1")),
        ("t [s], u [m/s]\n0, 1e999\n", "table-text", ("row 1",)),
        ("t [s], u [m/s]\n0, 1\n2, 1\n1, 1\n", "table-falls", ("1 after 2", "row 3", "column t")),
        ("t [s], u [m/s]\n0, 1\n0, 1\n", "table-falls", ("row 2",)),
        ("t [s], u [m/s]\n0, 1, 2\n", "table-row", ("3 values in row 1",)),
        ("t [s], u [m/s]\n0,5, 1\n", "table-row", ("row 1",)),
        ("t, u [m/s]\n0, 1\n", "missing-unit", ("t",)),
        ("t [s], u [kg]\n0, 1\n", "wrong-unit", ("kg",)),
        ("t [s], p [Pa]\n0, 1\n", "table-columns", ("p",)),
        ("t [s]\n0\n1\n", "table-columns", ("t",)),
        ("t [s], u [m/s], Q [l/min]\n0, 1, 1\n", "table-columns", ("Q",)),
        ("t [s], t [s]\n0, 1\n", "table-columns", ("t, t",)),
        ("0, 1\n1, 2\n", "table-header", ("0", "column 1")),
        ("t [s], u [m/s]\n", "table-empty", ("no rows",)),
        ("", "table-empty", ("no rows",)),
        ("t [s], u [m/s]\n" + "0, 1\n" * (MAX_ROWS + 1), "table-too-long", (str(MAX_ROWS + 2),)),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, code: str, words: tuple[str, ...]) -> None:
    found = problem(text)
    assert found.code == code
    assert found.where == "history" or found.where == "history.csv"
    for word in words:
        assert word in found.found
    assert found.expected


CASE = """\
title: t
geometry: {file: part.step}
solver: cfd.flow
bodies: [{material: water-20c}]
selections: {in: {extreme: x}}
conditions:
  - {kind: inlet, on: in, history: {file: NAME}}
"""


def test_a_case_folder_takes_its_tables_in(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(CASE.replace("NAME", "pump.csv"))
    (tmp_path / "pump.csv").write_text("t [s], u [m/s]\n0, 1\n")
    data, folder = load_data(tmp_path)
    assert folder == tmp_path
    assert data["conditions"][0]["history"] == {"csv": "t [s], u [m/s]\n0, 1\n"}
    assert data["geometry"] == {"file": "part.step"}  # only conditions and parameters hold tables


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("missing.csv", None, "no-such-file"),
        ("../secret.csv", None, "not-a-table"),
        ("part.step", None, "not-a-table"),
        ("long.csv", b"0" * 600_000, "too-large"),
        ("bytes.csv", b"t [s]\n\xff\xfe", "not-text"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, name: str, content: bytes | None, code: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused) as caught:
        inline({"conditions": [{"history": {"file": name}}]}, tmp_path)
    (found,) = caught.value.problems
    assert (found.code, found.where) == (code, "conditions[0].history.file")


def test_a_file_that_nobody_put_in_place_is_explained() -> None:
    with pytest.raises(ValidationError) as caught:
        Pump.model_validate({"history": {"file": "pump.csv"}})
    (found,) = from_validation(caught.value)
    assert found.code == "table-not-here"
    assert "pump.csv" in found.found
