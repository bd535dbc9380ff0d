"""The report is an accessible PDF that says the answer in the language of the case, and treats text as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from hub.runfolder import Attempt, Done, Failure
from solvers.post.report import run
from solvers.post.words import WORDS, Language
from tests.solvers.post.conftest import answer, case

MakeAttempt = Callable[..., Attempt]


def words(attempt: Attempt) -> str:
    text = "\n".join(page.extract_text() for page in PdfReader(attempt.out / "report.pdf").pages)
    return re.sub(r"\s+", " ", text.replace("\u00a0", " ").replace("\u202f", " "))


def test_the_report_in_english(attempt: MakeAttempt) -> None:
    made = attempt("en")
    assert run(made.folder) == 0
    assert isinstance(made.outcome(), Done)
    text = words(made)
    for said in ("Does the beam hold?", "Holds with 1.84 to spare.", "127.6 ± 3.1 MPa", "ZZ goal estimate", "YES",
                 "It grows with every refinement.", "2.5 kN along −z", "1.5 MPa", "Young’s modulus 210 GPa",
                 "EN 10025-2", "2.5 · 10", "passed", "12 345", "c0ffeec0ffee", "120 × 50 × 30 mm"):  # fmt: skip
        assert said.replace("’", "'") in text.replace("’", "'"), said
    assert 2 <= len(PdfReader(made.out / "report.pdf").pages) <= 4


def test_the_report_in_italian(attempt: MakeAttempt) -> None:
    made = attempt("it")
    assert run(made.folder) == 0
    text = words(made)
    for said in ("Regge con margine 1,84.", "127,6 ± 3,1 MPa", "Cresce a ogni raffinamento.", "2,5 kN lungo −z",
                 "Modulo di Young", "superata", "Vincoli e carichi", "Pagina 1 di"):  # fmt: skip
        assert said in text, said
    assert "Key figures" not in text and "passed" not in text


def test_the_pdf_is_tagged_with_alternative_texts(attempt: MakeAttempt) -> None:
    made = attempt("it")
    assert run(made.folder) == 0
    root = PdfReader(made.out / "report.pdf").trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] is not None and root["/Lang"].startswith("it")
    found: list[str] = []

    def walk(node: object) -> None:
        node = node.get_object() if hasattr(node, "get_object") else node
        if isinstance(node, list):
            for one in node:
                walk(one)
        elif isinstance(node, dict):
            if node.get("/S") == "/Figure":
                found.append(str(node.get("/Alt", "")))
            walk(node.get("/K", []))

    walk(root["/StructTreeRoot"])
    assert len(found) >= 2 and all(found)
    assert any("Tensione" in alt and "128 MPa" in alt for alt in found)


HOSTILE = '#read("/etc/passwd") *bold* $x^2$ <b>x</b> `raw` @ref \\ " #image("x") // /* 中文 😀'


def test_text_of_people_is_inert(attempt: MakeAttempt) -> None:
    typed = case("en", title=HOSTILE, description=HOSTILE)
    typed["conditions"][1]["name"] = HOSTILE
    typed["bodies"][0]["material"] = typed["bodies"][0]["material"] | {"name": HOSTILE, "source": HOSTILE}
    typed["selections"][HOSTILE] = {"name": HOSTILE}
    typed["conditions"][1]["on"] = [HOSTILE]
    said = answer(verdict={"answer": "no", "sentence": {"en": HOSTILE}})
    made = attempt(case_=typed, answer_=said)
    assert run(made.folder) == 0
    text = words(made)
    assert "root:" not in text
    assert text.count("*bold*") >= 5 and '#read("/etc/passwd")' in text.replace("“", '"').replace("”", '"')


def test_the_field_is_drawn_in_its_colours(attempt: MakeAttempt) -> None:
    made = attempt()
    assert run(made.folder) == 0
    pixels = np.asarray(Image.open(made.out / "pictures" / "1-stress.png").convert("RGB")).astype(int)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    yellow, violet = (red > 150) & (green > 150) & (blue < 110), (blue > red + 30) & (blue > green + 20)
    assert yellow.sum() > 2000 and violet.sum() > 20000
    setup = np.asarray(Image.open(made.out / "pictures" / "setup.png").convert("RGB")).astype(int)
    assert (np.abs(setup - np.array([238, 102, 119])).sum(axis=2) < 30).sum() > 500  # the arrow of the force


def test_another_physics_needs_nothing_new(attempt: MakeAttempt) -> None:
    typed = case("it", solver="fem.heat", conditions=[
        {"kind": "temperature", "on": ["wall"], "value": 293.15},
        {"kind": "convection", "on": ["top"], "coefficient": 25.0, "ambient": 353.15},
    ])  # fmt: skip
    said = answer(
        quantities={"hottest": {"value": 393.15, "unit": "K", "error": 0.4, "error_method": "ZZ",
                                "title": {"it": "Temperatura massima"}, "at": [0.12, 0.0, 0.0]}},
        views=[{"name": "t", "title": {"it": "Temperatura"}, "field": "temperature", "unit": "K", "mark": "hottest"}],
    )  # fmt: skip
    made = attempt(case_=typed, answer_=said)
    assert run(made.folder) == 0
    text = words(made)
    for expected in ("120,0 ± 0,4 °C", "20 °C", "Coefficiente 25 W/(m² K)", "Ambiente 80 °C"):
        assert expected in text, expected


def test_a_failed_check_is_said_before_the_figures(attempt: MakeAttempt) -> None:
    bad = {"name": "balance", "title": {"en": "Loads balance"}, "value": 0.2, "limit": 1e-6, "passed": False}
    made = attempt(answer_=answer(checks=[bad]))
    assert run(made.folder) == 0
    text = words(made)
    assert text.index("1 of 1 checks did not pass") < text.index("Key figures")
    assert "NOT passed" in text


def test_a_missing_field_fails_in_words(attempt: MakeAttempt) -> None:
    view = {"name": "x", "title": {}, "field": "vorticity", "unit": "Pa"}
    made = attempt(answer_=answer(views=[view]))
    assert run(made.folder) == 3
    outcome = made.outcome()
    assert isinstance(outcome, Failure) and "vorticity" in outcome.message and "von_mises" in outcome.message
    assert not (made.folder / "DONE").exists()


def test_pictures_of_earlier_stages_are_taken_over(attempt: MakeAttempt, tmp_path: Path) -> None:
    picture = tmp_path / "some.png"
    Image.new("RGB", (600, 400), (10, 200, 30)).save(picture)
    made = attempt(faces_png=picture, mesh_png=picture)
    assert run(made.folder) == 0
    images = [image for page in PdfReader(made.out / "report.pdf").pages for image in page.images]
    assert sum(image.image.size == (600, 400) for image in images) >= 1


def test_every_word_is_there_in_both_languages() -> None:
    for key, text in WORDS.items():
        assert set(text) == {"en", "it"} and all(text.values()), key
        assert text["en"].count("{}") == text["it"].count("{}"), key


@pytest.mark.parametrize(
    ("value", "unit", "error", "english", "italian"),
    [
        (1.276e8, "Pa", 3.1e6, "127.6 ± 3.1 MPa", "127,6 ± 3,1 MPa"),
        (1.276e8, "Pa", 5.1e6, "128 ± 5 MPa", "128 ± 5 MPa"),
        (3e-4, "m", None, "0.3 mm", "0,3 mm"),
        (2.1e11, "Pa", None, "210 GPa", "210 GPa"),
        (393.15, "K", 0.4, "120.0 ± 0.4 °C", "120,0 ± 0,4 °C"),
        (1.931, "", 0.08, "1.93 ± 0.08", "1,93 ± 0,08"),
        (0.25, "N", None, "0.25 N", "0,25 N"),
        (-1234567.0, "", None, "−1 234 567", "−1 234 567"),
    ],
)
def test_numbers_as_people_write_them(
    value: float, unit: str, error: float | None, english: str, italian: str
) -> None:  # fmt: skip
    for code, expected in (("en", english), ("it", italian)):
        shown = Language(code).quantity(value, unit, error)
        assert re.sub(r"\s", " ", shown) == expected
