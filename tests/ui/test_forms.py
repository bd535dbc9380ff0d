"""Forms are made from what solvers say of themselves, and read what people type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel
from pydantic import Field as PydanticField
from streamlit.testing.v1 import AppTest

from hub import catalogue
from hub.case import Condition
from hub.table import Columns, Table
from hub.units import Direction, Number, Position, Pressure, Unit, Vector
from ui.forms import fields

UI = Path(__file__).resolve().parents[2] / "ui"


class Everything(Condition):
    """A condition with a field of every kind."""

    kind: Literal["everything"] = "everything"
    value: Annotated[Vector, Unit("N")]
    pressure: Pressure | None = None
    axis: Direction = (0.0, 0.0, 1.0)
    point: Position | None = None
    factor: Number = 1.0
    times: int = 3
    smooth: bool = True
    how: Literal["slow", "fast"] = "slow"
    note: str = ""


class Wide(BaseModel):
    kind: Literal["wide"] = "wide"
    low: Annotated[float, Unit("m")]
    high: Annotated[float, Unit("m")]


class Single(BaseModel):
    kind: Literal["single"] = "single"
    size: Annotated[float, Unit("m")]


class Turning(BaseModel):
    speed: Annotated[float, Unit("rad/s")]
    about: Position


class Nested(Condition):
    """A condition with fields within fields."""

    kind: Literal["nested"] = "nested"
    sizes: Annotated[Single | Wide, PydanticField(discriminator="kind")]
    turning: Turning | None = None
    bodies: str | tuple[str, ...] = "all"
    history: Annotated[Table, Columns({"t": "s"})] | None = None


def test_fields_within_fields_have_forms() -> None:
    found = {f.name: f for f in fields(Nested.model_json_schema())}
    kinds = {name: f.kind for name, f in found.items()}
    assert kinds == {"sizes": "one-of", "turning": "group", "bodies": "names", "history": "table"}
    assert [f.name for f in found["sizes"].groups["wide"]] == ["low", "high"]
    assert [(f.name, f.kind, f.unit) for f in found["turning"].groups[""]] == [
        ("speed", "quantity", "rad/s"),
        ("about", "vector", "m"),
    ]


def test_a_group_is_filled_in_and_left_out() -> None:
    def script() -> None:
        import streamlit as st

        from tests.ui.test_forms import Nested
        from ui.draft import _without_empty
        from ui.forms import fields, form

        values = st.session_state.setdefault("values", {"sizes": {"kind": "wide", "low": "1 mm", "high": "3 mm"}})
        form(fields(Nested.model_json_schema()), values, "k")
        st.session_state["sent"] = _without_empty(values)

    app = AppTest.from_function(script, default_timeout=30).run()
    assert not app.exception
    assert app.session_state["sent"] == {"sizes": {"kind": "wide", "low": "1 mm", "high": "3 mm"}, "bodies": "all"}
    app.checkbox[0].check().run()
    app.text_input(key="k.turning..speed").input("2 rad/s").run()
    assert app.session_state["sent"]["turning"]["speed"] == "2 rad/s"
    app.text_input(key="k.bodies").input("drum, lid").run()
    assert app.session_state["sent"]["bodies"] == ["drum", "lid"]


def test_every_field_has_its_kind() -> None:
    found = {f.name: f for f in fields(Everything.model_json_schema(), "Everything")}
    assert {name: f.kind for name, f in found.items()} == {
        "value": "vector",
        "pressure": "quantity",
        "axis": "direction",
        "point": "vector",
        "factor": "quantity",
        "times": "whole",
        "smooth": "yes-no",
        "how": "choice",
        "note": "text",
    }
    assert found["value"].label == "Everything"
    assert found["value"].required
    assert found["pressure"].unit == "Pa"
    assert found["pressure"].units[0] == "MPa"


@pytest.mark.parametrize("name", sorted(catalogue.solver_modules()))
def test_no_field_of_an_installed_solver_falls_through(name: str) -> None:
    description = catalogue.describe(name)
    for kind, schema in [*description.conditions.items(), ("parameters", description.parameters)]:
        for field in fields(schema):
            part = str(schema["properties"][field.name])
            if "x-unit" in part or "x-shape" in part:
                assert field.kind in ("quantity", "vector", "direction"), f"{kind}.{field.name}"


def script() -> None:
    """A page with the form of `Everything`; what it gives is kept in the session."""
    import streamlit as st

    from ui.forms import fields, form

    values = st.session_state.setdefault("values", {})
    form(fields(st.session_state["schema"], "Force"), values, "f")


def page() -> AppTest:
    app = AppTest.from_function(script, default_timeout=30)
    app.session_state["schema"] = Everything.model_json_schema()
    return app.run()


def given(app: AppTest) -> dict[str, Any]:
    return app.session_state["values"]  # type: ignore[no-any-return]


def test_what_is_typed_is_kept_as_typed_and_read_aloud() -> None:
    app = page()
    app.text_input(key="f.value.size").set_value("2,5 kN").run()
    app.text_input(key="f.pressure").set_value("10 bar").run()
    assert not app.exception
    assert given(app)["value"] == {"magnitude": "2,5 kN", "direction": "-z"}
    said = " ".join(re.sub(r"\\", "", c.value) for c in app.caption)
    assert "= 2.5\u00a0kN" in said
    assert "= 1\u00a0MPa" in said
    read = Everything.model_validate({k: v for k, v in given(app).items() if v != "" and k != "point"})
    assert read.value == (0.0, 0.0, -2500.0)
    assert read.pressure == 1e6


@pytest.mark.parametrize("bad", ["3 mm", "2.5", "9**9**9 N", "__import__('os')", "1e999 N", "kN"])
def test_what_cannot_be_read_is_said_at_once(bad: str) -> None:
    app = page()
    app.text_input(key="f.value.size").set_value(bad).run()
    assert not app.exception
    assert any("Expected" in c.value and "error" in c.value for c in app.caption)


def test_components_and_a_free_direction() -> None:
    app = page()
    app.session_state["f.value.way"] = "components"
    app.run()
    app.text_input(key="f.value.y").set_value("-3 N").run()
    assert given(app)["value"] == ["0 kN", "-3 N", "0 kN"]
    app.selectbox(key="f.axis").set_value("other").run()
    app.text_input(key="f.axis.free").set_value("1; 2,5 0").run()
    assert given(app)["axis"] == [1.0, 2.5, 0.0]
    app.text_input(key="f.axis.free").set_value("0 0 0").run()
    assert any("not all zero" in c.value for c in app.caption)


def test_markup_of_a_solver_is_shown_as_text() -> None:
    class Loud(BaseModel):
        """x"""

        value: str = ""

    schema = Loud.model_json_schema()
    schema["properties"]["value"]["description"] = "<b>**x**</b> :material/delete:"
    (field,) = fields(schema, "<i>Loud</i>")
    assert not set(re.sub(r"\\.", "", field.help + field.label)) & set("<>*:/")


def test_no_page_writes_raw_html_or_reads_the_store() -> None:
    for file in UI.rglob("*.py"):
        text = file.read_text()
        assert "unsafe_allow" not in text, file
        imported = set(re.findall(r"^\s*(?:from|import) (hub[.\w]*)", text, re.M))
        assert imported <= {"hub.client", "hub.case", "hub.units", "hub.figures", "hub.problem"}, file
