"""A case from its file to its answer without a server, and what is found again."""

import json
import time
from pathlib import Path

import pytest
import yaml

from hub.case import load_yaml
from hub.catalogue import package_folder
from hub.pipeline import run_foreground
from hub.problem import Refused
from hub.result import Result
from hub.runfolder import Status, attempts, sha256

BEAM = package_folder("cases") / "cantilever"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipeline") / "home"


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFICINA_HOME", str(home))


def write_case(folder: Path, **changes: object) -> Path:
    """The cantilever on a coarse mesh."""
    folder.mkdir(parents=True, exist_ok=True)
    case = {**load_yaml((BEAM / "case.yaml").read_bytes()), "mesh": {"size": "50 mm"}, **changes}
    (folder / "case.yaml").write_text(yaml.safe_dump(case))
    (folder / "beam.step").write_bytes((BEAM / "beam.step").read_bytes())
    return folder


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory, home: Path) -> tuple[Path, Path, Result, list[str]]:
    """The folder of a case, that of its run, the result, and the stages that were shown."""
    case, out = write_case(tmp_path_factory.mktemp("case")), tmp_path_factory.mktemp("out") / "run"
    seen: list[str] = []

    def show(stage: str, status: Status) -> None:
        if stage not in seen:
            seen.append(stage)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OFFICINA_HOME", str(home))
        return case, out, run_foreground(case, out, ranks=2, progress=show), seen


def test_the_answer_is_whole(answered: tuple[Path, Path, Result, list[str]]) -> None:
    _, out, result, seen = answered
    assert result.state == "done" and result.verdict is not None and result.failure is None
    assert seen == ["check", "mesh", "solve", "report"]
    assert set(result.timings) >= {"check", "mesh", "solve", "report"}
    assert result == Result.model_validate_json((out / "result.json").read_bytes())
    for name, digest in result.files.items():
        assert sha256(out / name) == digest
    assert {"report.pdf", "fields.vtu"} <= set(result.files)
    assert result.quantities["sinking"].value < 0


def test_provenance_names_versions_and_contents_and_no_machine(answered: tuple[Path, Path, Result, list[str]]) -> None:
    _, out, result, _ = answered
    assert result.provenance["sha256"]["geometry"] == sha256(BEAM / "beam.step")
    assert set(result.provenance["sha256"]) == {"geometry", "case", "mesh", "fields"}
    assert "not installed" not in result.provenance["programs"].values()
    text = json.dumps(result.provenance)
    assert str(out) not in text and "/" not in text.replace("+00:00", "")


def test_the_same_question_is_answered_at_once(answered: tuple[Path, Path, Result, list[str]]) -> None:
    case, out, result, _ = answered
    begun = time.monotonic()
    assert run_foreground(case, out, ranks=2) == result
    assert time.monotonic() - begun < 1.0


def test_another_title_finds_the_mesh_again(answered: tuple[Path, Path, Result, list[str]], tmp_path: Path) -> None:
    result = run_foreground(write_case(tmp_path / "case", title="Another"), tmp_path / "run", ranks=2)
    assert result.state == "done" and result.title == "Another"
    assert {"check", "mesh"}.isdisjoint(result.timings), "made again although it was known"
    assert result.provenance["sha256"]["mesh"] == answered[2].provenance["sha256"]["mesh"]


def test_a_refused_case_runs_nothing_and_says_all(tmp_path: Path) -> None:
    case = write_case(tmp_path / "case", conditions=[{"kind": "force", "on": "end", "value": ["0 N", "0 N", "1 N"]}])
    result = run_foreground(case, tmp_path / "run")
    assert result.state == "refused" and result.failure is not None and result.failure["problems"]
    assert not attempts(tmp_path / "run", "check")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["state"] == "refused"
    # the mended case may use the folder
    mended = write_case(tmp_path / "case", conditions=[{"kind": "fixed", "on": "wall"}])
    assert run_foreground(mended, tmp_path / "run").state in {"refused", "done"}


def test_a_missing_part_is_said(tmp_path: Path) -> None:
    case = write_case(tmp_path / "case")
    (case / "beam.step").unlink()
    result = run_foreground(case, tmp_path / "run")
    assert result.state == "refused" and result.failure is not None
    assert "beam.step" in json.dumps(result.failure["problems"])


def test_somebodys_folder_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "thesis"
    theirs.mkdir()
    (theirs / "chapter-1.tex").write_text("It was a dark and stormy night.")
    with pytest.raises(Refused, match="--out"):
        run_foreground(write_case(tmp_path / "case"), theirs)
    assert [f.name for f in theirs.iterdir()] == ["chapter-1.tex"]
