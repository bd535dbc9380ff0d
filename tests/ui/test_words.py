"""Text of people is shown letter for letter; every word of the pages has its Italian."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from hub import catalogue
from ui.words import LANGUAGES, plain

UI = Path(__file__).resolve().parents[2] / "ui"
HOSTILE = [
    "<script>alert(1)</script>",
    "**bold** _it_ `code` # head",
    "[click](http://evil.example)",
    "![x](http://evil.example/x.png)",
    ":material/delete: :red[x] :smile:",
    "$x^2$ {braces} https://evil.example www.evil.example a@b.example",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_every_mark_of_markdown_is_escaped(text: str) -> None:
    shown = plain(text)
    bare = re.sub(r"\\.", "", shown)
    assert not set(bare) & set("*_`[]()<>#!$:{}")
    assert re.sub(r"\\(.)", r"\1", shown).replace("\u2060", "") == text


def test_a_line_break_cannot_begin_a_block() -> None:
    assert "\n" not in plain("a\n\n# b\r\n- c")


def literals() -> set[str]:
    """Every text given to ``_`` or as a label to translate."""
    found = set()
    for file in UI.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                argument = node.args[0]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found.add(argument.value)
    return found


def test_every_word_has_its_italian() -> None:
    italian = json.loads((UI / "it.json").read_text(encoding="utf-8"))
    missing = sorted(literals() - set(italian))
    assert not missing
    for english, said in italian.items():
        assert sorted(re.findall(r"{(\w*)}", english)) == sorted(re.findall(r"{(\w*)}", said)), english


def _in_schema(part: Any) -> Iterator[str]:
    """Descriptions, and names of fields and of choices as pages show them, of a JSON Schema."""
    if isinstance(part, list):
        for each in part:
            yield from _in_schema(each)
    elif isinstance(part, dict):
        if isinstance(part.get("description"), str):
            yield " ".join(part["description"].split())
        if isinstance(part.get("properties"), dict):
            yield from map(_human, part["properties"])
        yield from (_human(choice) for choice in part.get("enum", ()) if isinstance(choice, str))
        for each in part.values():
            yield from _in_schema(each)


def _human(name: str) -> str:
    words = name.replace("_", " ").replace("youngs", "Young's").replace("poissons", "Poisson's")
    return words[:1].upper() + words[1:]


def test_what_solvers_ask_for_and_materials_have_their_italian() -> None:
    italian = json.loads((UI / "it.json").read_text(encoding="utf-8"))
    asked = {material.name for material in catalogue.materials().values()}
    for name in catalogue.solver_modules():
        described = catalogue.describe(name).model_dump()
        asked.update(_in_schema([described["conditions"], described["parameters"]]))
        asked.update(map(_human, described["conditions"]))
    assert not sorted(text for text in asked - set(italian) if not re.fullmatch("-?[xyz]", text.lower()))


def test_the_language_can_be_chosen() -> None:
    def script() -> None:
        import streamlit as st

        from ui.words import _

        st.text(_("Runs"))

    for language, said in (("en", "Runs"), ("it", "Calcoli")):
        assert language in LANGUAGES
        page = AppTest.from_function(script)
        page.session_state["language"] = language
        assert page.run().text[0].value == said
