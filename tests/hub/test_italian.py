"""Whatever the hub says to people has its Italian, and is said in it where that is asked for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from serving import BRACKET, Hub

from hub import catalogue
from hub.case import load_data
from hub.filekind import _OTHERS as OTHERS
from hub.filekind import recognise
from hub.italian import catalogue as italian
from hub.italian import preferred, say, spoken
from hub.units import to_si

ROOT = Path(__file__).resolve().parents[2]
#: Fields of a Problem, a Failure and a Finding; and calls that take them by place.
FIELDS = {"found", "expected", "todo", "message", "hint", "what", "doing"}
CALLS = {"doing": (0,), "refusal": (2, 3, 4), "StageError": (1, 2), "Ended": (1, 2), "Blocked": (0, 1, 2),
         "fail": (1, 2), "_refuse": (0, 1, 2),
         "_error": (0, 1, 2, 3), "_problem": (0, 1, 2, 3, 4), "PydanticCustomError": (1,)}  # fmt: skip
#: Where an ordinary ValueError becomes a problem.
VALIDATED = ("case.py", "periodic.py", "study.py", "table.py", "units.py")


def templates(node: ast.expr) -> list[str]:
    """The texts that an expression may give, with ``{}`` for what is put in."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return ["".join(v.value if isinstance(v, ast.Constant) else "{}" for v in values)]
        case ast.IfExp(body=body, orelse=orelse):
            return templates(body) + templates(orelse)
        case ast.BoolOp(values=values):
            return [text for value in values for text in templates(value)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [a + b for a in templates(left) or ["{}"] for b in templates(right) or ["{}"]]
    return []


def said(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        arguments = [k.value for k in node.keywords if k.arg in FIELDS]
        places = (0,) if name == "ValueError" and file.name in VALIDATED else CALLS.get(name, ())
        arguments += [node.args[i] for i in places if i < len(node.args)]
        for argument in arguments:
            for text in templates(argument):
                if " " in text and sum(c.isalpha() for c in text.replace("{}", "")) > 2:
                    yield text


#: What programs and people at the machine are told, not readers of pages.
FOR_PROGRAMMERS = re.compile("bench|cli|conformance_main")


@pytest.mark.parametrize("room", ["hub", "solvers"])
def test_every_sentence_of_the_hub_has_its_italian(room: str) -> None:
    files = [f for f in sorted((ROOT / room).rglob("*.py")) if not FOR_PROGRAMMERS.search(f.name)]
    found = {text: file.relative_to(ROOT) for file in files for text in said(file)}
    assert len(found) > 100
    missing = [f"{file}: {text}" for text, file in found.items() if text not in italian()]
    assert not missing


@pytest.mark.parametrize(
    "content",
    [start + b" \0" for start, _ in OTHERS]
    + [b"", b"  ", b"<html>", b"\1\0", b"words", b"ISO-10303-21;", b"<VTKFile>"],
)
def test_what_a_file_is_instead_is_said_in_italian(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    _, problem = recognise(tmp_path / "file")
    assert problem is not None
    for text in (problem.found, problem.expected, problem.todo):
        assert say(text) != text or text in italian()


def test_a_translation_holds_as_many_values_as_the_text() -> None:
    for english, text in italian().items():
        assert english.count("{}") == text.count("{}"), english
        assert text.strip(), english


def test_every_statement_of_a_solver_has_its_italian() -> None:
    for name in catalogue.solver_modules():
        described = catalogue.describe(name)
        missing = [text for text in described.validated if text not in italian()]
        assert not missing, name


def test_every_template_has_its_italian_and_asks_for_what_it_has() -> None:
    for name, folder in catalogue.templates().items():
        case, _ = load_data(folder)
        for text in (case["title"], " ".join(case.get("description", "").split())):
            assert not text or text in italian(), name
        asks = folder / "asks.yaml"
        for ask in yaml.safe_load(asks.read_text()) if asks.exists() else ():
            assert set(ask) == {"path", "unit", "en", "it"}, name
            now = at(case, ask["path"])
            if ask["unit"] == "material":
                assert now in catalogue.materials(), name
            else:
                to_si(str(now), ask["unit"])


def at(case: Any, path: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", path):
        case = case[int(part) if part.isdigit() else part]
    return case


def test_values_are_put_in_and_what_people_typed_stays() -> None:
    assert say("a wall 0.3 mm thick on a part of 80 mm") == "una parete di 0.3 mm su un pezzo di 80 mm"
    assert say("one of the units kN, N") == "una delle unità kN, N"
    assert say("Take a coarse look") == "Take a coarse look"
    data = {"title": "no such file", "problems": [{"where": "title", "found": "no such file", "expected": "a number"}]}
    assert spoken(data)["title"] == "no such file"
    assert spoken(data)["problems"][0] | {"where": ""} == {
        "where": "", "found": "nessun file con questo nome", "expected": "un numero",
    }  # fmt: skip


def test_the_language_is_the_one_preferred() -> None:
    assert preferred("it-IT,it;q=0.9,en;q=0.8") == "it"
    assert preferred("de, en;q=0.5, it;q=0.7") == "it"
    for header in ("", "en-GB,it;q=0.5", "de", "it;q=0", "it;q=x", ";;,,", "q" * 10_000):
        assert preferred(header) == "en", header


def test_the_api_answers_in_the_readers_language(hub: Hub) -> None:
    with hub.http(**{"Accept-Language": "it"}) as http:
        answer = http.get("/runs/" + "0" * 32)
        assert answer.headers["content-language"] == "it"
        assert answer.json()["problems"][0]["todo"] == "Controlla l’indirizzo."
        file = http.post("/files", params={"name": "b.step"}, content=BRACKET.read_bytes()).json()["id"]
        case = {"title": "T", "geometry": {"file": file}, "solver": "fem.elasticity",
                "bodies": [{"material": "steel-s235jr"}],
                "conditions": [{"kind": "gravity", "value": {"magnitude": "3 mm", "direction": "-z"}}]}  # fmt: skip
        found = http.post("/cases/check", json={"case": case}).json()["problems"]
        assert any(p["expected"].startswith("una delle unità") for p in found), found
        template = next(t for t in http.get("/templates").json() if t["name"] == "bracket")
        assert template["title"] == "Reggerà questa mensola?"
        assert template["case"]["title"] == "Will this bracket hold?"  # as typed
        assert "conducibilità costante" in http.get("/solvers/fem.heat").json()["validated"][0]
    with hub.http() as http:
        assert http.get("/runs/" + "0" * 32).json()["problems"][0]["todo"] == "Check the address."
