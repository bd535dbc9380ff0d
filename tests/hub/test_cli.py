"""The command line as people and scripts meet it: words, and exit codes 0 done, 2 refused, 3 failed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CUBE = """solid cube
facet normal 0 0 1
 outer loop
  vertex 0 0 0
  vertex 1 0 0
  vertex 0 1 0
 endloop
endfacet
endsolid cube
"""


@pytest.fixture
def officina(tmp_path: Path):
    """Runs the command in an empty folder with a home of its own: (exit code, standard output, errors)."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        environment = {**os.environ, "OFFICINA_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
        environment.pop("OFFICINA_TOKEN", None)
        ran = subprocess.run(
            [Path(sys.executable).with_name("officina"), *map(str, arguments)],
            cwd=tmp_path, capture_output=True, text=True, env=environment, check=False, timeout=300,
        )  # fmt: skip
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.returncode, ran.stdout, ran.stderr

    return run


def test_an_accepted_part(officina) -> None:
    code, said, _ = officina("check", ROOT / "cases" / "bracket" / "bracket.step")
    assert code == 0
    assert "100 x 80 x 90 mm, read in mm" in said and "Accepted." in said


def test_a_verdict_for_machines(officina) -> None:
    code, said, _ = officina("check", ROOT / "cases" / "bracket" / "bracket.step", "--json")
    verdict = json.loads(said)
    assert code == 0 and verdict["overall"] == "accepted" and len(verdict["faces"]) == 35


def test_a_refused_part(officina, tmp_path: Path) -> None:
    (tmp_path / "open.stl").write_text(CUBE)
    code, said, _ = officina("check", tmp_path / "open.stl")
    assert code == 2 and "Refused." in said


@pytest.mark.parametrize(
    "arguments",
    [("check", "nothing.step"), ("run", "nothing"), ("bench", "nothing"), ("solver", "describe", "no.such"),
     ("nonsense",), ("run",), ("up", "--port", "0")],
)  # fmt: skip
def test_a_wrong_call_is_refused_in_words(officina, arguments: tuple[str, ...]) -> None:
    code, _, said = officina(*arguments)
    assert code == 2 and len(said) > 20


def test_a_case_that_is_wrong_says_where(officina, tmp_path: Path) -> None:
    text = (ROOT / "cases" / "bracket" / "case.yaml").read_text().replace("2.5 kN", "2.5 kg")
    (tmp_path / "case.yaml").write_text(text)
    (tmp_path / "bracket.step").write_bytes((ROOT / "cases" / "bracket" / "bracket.step").read_bytes())
    for command in ("check", "run"):
        code, _, said = officina(command, tmp_path)
        assert code == 2
        assert "conditions[1].value" in said and "kN" in said


def test_a_part_that_nothing_holds_fails_by_name(officina, tmp_path: Path) -> None:
    text = (ROOT / "cases" / "bracket" / "case.yaml").read_text()
    text = text.replace("kind: fixed, name: four bolts", "kind: displacement, x: 0, name: four bolts")
    text = text.replace("fineness: normal", "fineness: coarse")
    (tmp_path / "case.yaml").write_text(text)
    (tmp_path / "bracket.step").write_bytes((ROOT / "cases" / "bracket" / "bracket.step").read_bytes())
    code, _, said = officina("run", tmp_path, "--out", tmp_path / "out")
    assert code == 3
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["state"] == "failed" and result["failure"]["code"] == "unconstrained"
    assert "moving along the y axis" in said.lower() or "y" in result["failure"]["message"]


def test_no_hub_is_said(officina) -> None:
    code, _, said = officina("status")
    assert code == 3 and "officina up" in said


def test_catalogues(officina) -> None:
    assert "steel-s235jr" in officina("materials")[1]
    assert "fem.elasticity" in officina("solver", "list")[1]
    assert json.loads(officina("schema")[1])["properties"]["geometry"]
    assert json.loads(officina("solver", "describe", "fem.heat")[1])["equation"]


def test_the_result_of_a_run(officina, tmp_path: Path) -> None:
    code, said, _ = officina("run", ROOT / "cases" / "insulated-pipe", "--out", tmp_path / "out", "--ranks", "2")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert code == 0 and result["state"] == "done"
    assert result["verdict"]["sentence"]["en"] in said
    for key in ("quantities", "files", "solver", "mesh", "timings"):
        assert result[key]
    for quantity in result["quantities"].values():
        assert quantity["unit"] is not None and (quantity["error"] is not None or quantity["statement"])
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF")
