"""Cases of ``cases/`` through their stages as jobs are: a process each, in the folders of a run, without a report."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub import catalogue
from hub.case import load_yaml
from hub.check import check_case
from hub.pipeline import prepare
from hub.result import Answer
from hub.run import Run, open_run
from hub.runfolder import Done

CASES = Path(__file__).parents[2] / "cases"


def run(case: str, folder: Path, mesh: dict[str, Any] | None, ranks: int = 2) -> Answer:
    """Check, mesh and solve a case, with another mesh than its own if one is given."""
    typed = load_yaml((CASES / case / "case.yaml").read_bytes())
    typed["mesh"] = mesh or typed["mesh"]
    geometry = CASES / case / typed["geometry"]["file"]
    checked = check_case(typed, geometry)
    assert checked.case is not None and checked.ready, checked.problems
    opened = Run(folder, folder.parent / "cache")
    open_run(opened, f"validation-{secrets.token_hex(6)}", checked.case, geometry, name=geometry.name, ranks=ranks)
    for stage in ("check", "mesh", "solve"):
        attempt = prepare(opened, stage)
        if isinstance(attempt.outcome(), Done):
            continue  # kept from another mesh of the same part
        argv = [*attempt.job().argv, str(attempt.folder)]
        ran = subprocess.run(
            argv, env=catalogue.environment(), capture_output=True, text=True, timeout=300, check=False
        )
        assert isinstance(attempt.outcome(), Done), (case, stage, attempt.outcome(), ran.stderr[-3000:])
    return Answer.model_validate_json((attempt.out / "answer.json").read_bytes())


@pytest.fixture(scope="session")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Answer]:
    """``answer(case, mesh)``: what Officina says of a case on a mesh, worked out once in a session."""
    home, known = tmp_path_factory.mktemp("validation"), {}

    def of(case: str, mesh: dict[str, Any] | None = None) -> Answer:
        key = case, str(mesh)
        if key not in known:
            known[key] = run(case, home / f"{case}-{len(known)}", mesh)
        return known[key]

    return of
