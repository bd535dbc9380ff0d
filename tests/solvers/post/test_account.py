"""A case in words: units from the solver's schema, faces from the mesh or found again on the verdict."""

from __future__ import annotations

import json
from pathlib import Path

from solvers.post import account
from solvers.post.words import Language
from tests.solvers.post.conftest import Convection, Force, case


def test_faces_come_from_the_mesh_or_are_found_again(part: Path) -> None:
    verdict = json.loads((part / "verdict.json").read_bytes())
    mesh = json.loads((part / "mesh.json").read_bytes())
    typed = case("en")
    assert account.selected(typed, mesh, verdict) == {"wall": [0], "tip": [1], "top": [5]}
    pieces = mesh | {"faces": mesh["faces"] * 2, "selections": {"wall": [7], "tip": [8], "top": [9]}}
    assert account.selected(typed, pieces, verdict) == {"wall": [0], "tip": [1], "top": [5]}


def test_values_have_the_unit_of_the_schema() -> None:
    force = account.in_words({"value": [300.0, 0.0, -400.0]}, Force.model_json_schema(), Language("it"))
    assert [text.replace("\u00a0", " ") for _, text in force] == ["0,5 kN (0,3; 0; −0,4 kN)"]
    heat = account.in_words({"coefficient": 10.0, "ambient": 300.0}, Convection.model_json_schema(), Language("en"))
    assert [(n, t.replace("\u00a0", " ")) for n, t in heat] == [
        ("Coefficient", "10 W/(m² K)"), ("Ambient", "26.85 °C")
    ]  # fmt: skip


def test_selections_in_words() -> None:
    words = account.selection(
        {"type": "cylinder", "radius": 0.0055, "axis": [1.0, 0.0, 0.0], "inside": True}, Language("it")
    )
    assert words.replace("\u00a0", " ") == "cilindro, foro, asse +x, raggio 5,5 mm"
    both = account.selection({"any": [{"name": "A"}, {"extreme": "-z"}]}, Language("en"))
    assert both == "named “A” + farthest towards −z"


def test_every_condition_has_a_letter_of_its_own() -> None:
    letters = account.letters(28)
    assert letters[:2] == ["A", "B"] and letters[26:] == ["A2", "B2"] and len(set(letters)) == 28
