"""The report stage: pictures of the answer and ``report.pdf``, accessible (PDF/UA-1), in the language of the case."""

from __future__ import annotations

import json
import shutil
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hub.problem import excerpt
from hub.result import Answer
from hub.runfolder import Attempt
from hub.solver import StageError, explain
from solvers.post import account
from solvers.post.drawing import draw_in_child
from solvers.post.words import WORDS, Language

#: Most rows of provenance that are printed; all of it is in result.json.
ROWS = 40
#: Quantities on the first page.
KEY = 4
#: Beside the largest quantity of its unit, less than this share is round-off and shown as zero.
ROUND_OFF = 1e-9

#: SI units of the mesh stage's figures, and what they are called where their names are not words.
MESH_UNITS = {"size": "m", "smallest_edge": "m", "largest_edge": "m", "volume": "m**3"}
MESH_WORDS = {"tets": "elements", "size": "element_size"}
#: ... and those that say nothing to the reader of a report.
MESH_LESS = {"sicn", "cad_volume", "seconds", "worst_place"}


def run(folder: Path) -> int:
    """The stage, in an attempt's folder: exit code 0 done, 3 failed; whatever happens, the folder says it."""
    attempt = Attempt(folder)
    try:
        attempt.write_status(0, 2, "pictures")
        drawn = json.loads(draw_in_child(["report", str(folder)]).splitlines()[-1])
        attempt.write_status(1, 2, "report")
        write(attempt, drawn)
        attempt.write_status(2, 2, "report")
        attempt.finish()
        return 0
    except BaseException as error:
        traceback.print_exc()
        attempt.fail(*explain(error))
        return 3


def write(attempt: Attempt, drawn: list[dict[str, Any]]) -> None:
    """``out/report.pdf`` from ``in/`` and the pictures in ``out/pictures/``. Raises StageError."""
    import typst

    from solvers.post.ink import font_folder

    data = content(attempt.inputs, drawn)
    fonts = font_folder()
    with tempfile.TemporaryDirectory(prefix="report-") as work:
        place = Path(work)
        (place / "pictures").mkdir()
        for picture in (*data["fields"], *data["plots"], *data["setup"]):
            _bring(attempt.out / "pictures" / picture["file"], place / "pictures")
        for picture in (*data["faces_picture"], *data["mesh_picture"]):
            _bring(attempt.inputs / picture["file"], place / "pictures")
        shutil.copyfile(Path(__file__).with_name("report.typ"), place / "report.typ")
        (place / "data.json").write_text(json.dumps(data, ensure_ascii=False, allow_nan=False))
        try:
            pdf = typst.compile(
                str(place / "report.typ"),
                root=work,
                font_paths=[str(fonts)] if fonts else [],
                ignore_system_fonts=True,
                pdf_standards=["ua-1"],
            )
        except RuntimeError as error:
            raise StageError(
                "no-report", f"The report could not be set: {excerpt(str(error))}", "Tell the staff."
            ) from error
    part = attempt.out / ".report.pdf.part"
    part.write_bytes(pdf)
    part.replace(attempt.out / "report.pdf")


def _bring(source: Path, folder: Path) -> None:
    shutil.copyfile(source, folder / source.name)


def content(inputs: Path, drawn: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything the template shows, as strings in the language of the case.

    inputs : the attempt's ``in/``; drawn : what ``pictures.draw`` returned
    """
    case, verdict, mesh, solver, provenance = (
        _read(inputs / f"{name}.json") for name in ("case", "verdict", "mesh", "solver", "provenance")
    )
    answer = Answer.model_validate_json((inputs / "answer.json").read_bytes())
    language = Language(case.get("language", "en"))
    say = language.say
    failed = [check for check in answer.checks if not check.passed]
    title = case.get("title", "")
    # the quantities that the pictures mark, and then the first ones, stand on the first page
    marked = [view.mark for view in answer.views if view.mark in answer.quantities]
    ranked = sorted(answer.quantities, key=lambda name: name not in marked)
    key = [name for name in answer.quantities if name in ranked[:KEY]]
    solver_line = language.of(solver.get("title"), case.get("solver", ""))
    if solver:
        solver_line += f" ({solver['name']} {solver['version']}). {language.of(solver.get('summary'))}".rstrip()
    return {
        "language": language.code,
        "words": {key: text[language.code] for key, text in WORDS.items()},
        "title": title,
        "short_title": title if len(title) <= 70 else title[:69] + "…",
        "question": " ".join(case.get("description", "").split()),
        "answer": answer.verdict.answer,
        "sentence": language.of(answer.verdict.sentence, say(answer.verdict.answer)),
        "warning": say("failed_checks", len(failed), len(answer.checks)) if failed else "",
        "footer": f"{case.get('solver', '')} · {provenance.get('created', '')}".strip(" ·"),
        "page": say("page", "#1", "#2"),
        "quantities": [_quantity(name, answer, language) for name in key],
        "further": [_quantity(name, answer, language) for name in answer.quantities if name not in key],
        "fields": [p for p in drawn if p["kind"] == "field"],
        "plots": [p for p in drawn if p["kind"] == "plot"],
        "setup": [p | {"title": say("setup_caption").rstrip(".")} for p in drawn if p["kind"] == "setup"],
        "solver": solver_line,
        "conditions": [
            {
                "letter": a.letter,
                "name": a.name,
                "values": a.values or "–",
                "where": a.where,
                "how": _how(case, given, language),
            }
            for a, given in zip(
                account.conditions(case, solver, mesh, verdict, language), case.get("conditions", []), strict=True
            )
        ],
        "materials": [
            {
                "name": body["material"]["name"],
                "on": say("all") if body.get("on") in ("all", ["all"]) else _joined(body.get("on", "")),
                "values": account.material(body["material"], language),
                "source": body["material"].get("source", ""),
            }
            for body in case.get("bodies", [])
            if isinstance(body.get("material"), Mapping)
        ],
        "parameters": account.in_words(case.get("parameters", {}), solver.get("parameters", {}), language),
        "geometry": _geometry(case, verdict, mesh, language),
        "faces_picture": _given(inputs, "faces.png", say("faces_caption")),
        "mesh": _mesh(case, mesh, answer, language),
        "mesh_picture": _given(inputs, "mesh.png", say("mesh_caption")),
        "checks": [
            {
                "title": language.of(check.title, check.name),
                "value": language.number(check.value, digits=3),
                "limit": language.number(check.limit, digits=3),
                "passed": check.passed,
            }
            for check in answer.checks
        ],
        "notes": [language.of(note) for note in answer.notes],
        "provenance": _flat(provenance)[:ROWS],
    }


def _read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_bytes())) if file.is_file() else {}


def _given(inputs: Path, name: str, caption: str) -> list[dict[str, str]]:
    if not (inputs / name).is_file():
        return []
    return [{"file": name, "title": caption.rstrip("."), "note": "", "alt": caption}]


def _quantity(name: str, answer: Answer, language: Language) -> dict[str, str]:
    quantity = answer.quantities[name]
    value, largest = quantity.value, max(abs(q.value) for q in answer.quantities.values() if q.unit == quantity.unit)
    if quantity.error is None and abs(value) < ROUND_OFF * largest:
        value = 0.0
    statement = language.of(quantity.statement)
    if quantity.error is None and not statement:
        statement = language.say("no_bar")
    return {
        "title": language.of(quantity.title, name),
        "value": language.quantity(value, quantity.unit, quantity.error),
        "method": language.method(quantity.error_method) if quantity.error is not None else "",
        "statement": statement,
        "at": f"{language.say('at')} {language.point(quantity.at)}" if quantity.at is not None else "",
    }


def _how(case: Mapping[str, Any], condition: Mapping[str, Any], language: Language) -> str:
    """How the faces of a condition are found."""
    chosen = case.get("selections", {})
    return "; ".join(account.selection(chosen[name], language) for name in condition.get("on", []) if name in chosen)


def _geometry(
    case: Mapping[str, Any], verdict: Mapping[str, Any], mesh: Mapping[str, Any], language: Language
) -> dict[str, Any]:
    say = language.say
    parts = []
    if bodies := verdict.get("bodies"):
        parts.append(say("one_solid") if len(bodies) == 1 else say("solids", len(bodies)))
    if verdict.get("faces"):
        parts.append(say("with_faces", len(verdict["faces"])))
    sentence = " ".join(parts)
    if verdict.get("size"):
        sentence += f", {language.box(verdict['size'])}"
    if verdict.get("unit"):
        sentence += f"; {say('from_' + (verdict.get('unit_source') or 'assumed'), verdict['unit'])}"
    rows = [[say("file"), case.get("geometry", {}).get("file", "")]]
    if verdict.get("sha256"):
        rows.append(["sha256", verdict["sha256"][:16] + "…"])
    for body in (verdict.get("bodies") or mesh.get("bodies") or [])[:12]:
        volume = language.quantity(body["volume"], "m**3") if body.get("volume") else "–"
        rows.append([say("body"), f"{excerpt(body.get('name', ''))}, {say('volume').lower()} {volume}"])
    for problem in verdict.get("problems", ())[:8]:
        rows.append([say("remark"), f"{problem['where']}: {problem['found']}"])
    return {"sentence": f"{sentence.strip(' ,;')}." if sentence else "", "facts": rows}


def _mesh(case: Mapping[str, Any], mesh: Mapping[str, Any], answer: Answer, language: Language) -> list[list[str]]:
    say, wanted = language.say, case.get("mesh", {})
    rows = [[say("fineness"), say(wanted["fineness"])]] if "fineness" in wanted else []
    for name, value in mesh.get("numbers", {}).items():
        text = "" if name in MESH_LESS else _figure(value, MESH_UNITS.get(name), language)
        if text:
            rows.append([say(MESH_WORDS.get(name, name)), text])
    rows.append([say("unknowns"), language.number(answer.unknowns)])
    if answer.iterations:
        rows.append([say("iterations"), language.number(answer.iterations)])
    if answer.seconds:
        rows.append([say("solve_time"), f"{language.number(sum(answer.seconds.values()), 1)}\u00a0s"])
    if answer.peak_memory:
        each = language.quantity(answer.peak_memory / max(answer.unknowns, 1), "byte")
        rows.append([say("memory"), say("memory_each", language.quantity(answer.peak_memory, "byte"), each)])
    return rows


def _figure(value: Any, unit: str | None, language: Language) -> str:
    """One figure of the mesh: a number, or the least and the mean of a spread; empty for what is no figure."""
    match value:
        case bool() | str():
            return excerpt(value)
        case int() | float():
            return language.quantity(value, unit) if unit else language.number(value)
        case {"min": low, "mean": mean}:
            low, mean = (language.number(v, digits=3) for v in (low, mean))
            return f"{language.say('min')} {low}, {language.say('mean')} {mean}"
    return ""


def _joined(names: Any) -> str:
    return names if isinstance(names, str) else ", ".join(names)


def _flat(data: Any, prefix: str = "") -> list[list[str]]:
    """Nested plain data as (path, value) rows."""
    if isinstance(data, Mapping):
        values = list(data.values())
        if prefix and len(values) > 1 and all(isinstance(v, str | int | float) and len(str(v)) < 24 for v in values):
            return [[prefix, " · ".join(f"{key} {value}" for key, value in data.items())]]
        return [row for key, value in data.items() for row in _flat(value, f"{prefix}.{key}" if prefix else str(key))]
    if isinstance(data, list):
        return [[prefix, ", ".join(map(str, data))[:400]]] if data else []
    return [[prefix, str(data)[:400]]]
