"""Text of people is shown letter for letter; every word of the pages has its Italian."""

import ast
import json
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

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
