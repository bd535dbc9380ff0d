"""What the tests of faults stand on: a small case of the real solver, and ways to find and kill what runs it."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from hub import pipeline
from hub.case import load_yaml
from hub.check import check_case
from hub.executor import Executor
from hub.pipeline import Standing
from hub.run import Run, open_run
from hub.runfolder import Stage, attempts

ROOT = Path(__file__).resolve().parents[2]
BEAM = ROOT / "cases" / "cantilever" / "beam.step"


def beam(title: str = "a beam", size: float = 50.0, **changes: Any) -> dict[str, Any]:
    """The cantilever of ``cases/`` on a coarse mesh; another `size` [mm] is another mesh."""
    case = load_yaml((BEAM.parent / "case.yaml").read_bytes())
    return {**case, "title": title, "mesh": {"size": f"{size} mm"}, "quantities": [], **changes}


def opened(folder: Path, cache: Path, case: dict[str, Any], ranks: int = 2) -> Run:
    """A run of that case, ready to be advanced."""
    checked = check_case(case, BEAM)
    assert checked.ready and checked.case is not None, checked.problems
    run = Run(folder, cache)
    open_run(run, f"t{uuid.uuid4().hex}", checked.case, BEAM, name=BEAM.name, ranks=ranks)
    return run


def advance_until(run: Run, executor: Executor, until: Callable[[Standing], bool], seconds: float = 120.0) -> Standing:
    """Advance until it is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not until(standing := pipeline.advance(run, executor)):
        assert standing.result is None, f"it ended before: {standing.result}"
        assert time.monotonic() < deadline, f"waited in vain: {standing}"
        time.sleep(0.03)
    return standing


def to_its_end(run: Run, executor: Executor, seconds: float = 120.0) -> Standing:
    return advance_until(run, executor, lambda standing: standing.result is not None, seconds)


def workers(name: str) -> list[psutil.Process]:
    """The processes of a job that do its work: Python programs of ``solvers``, not the launcher or the runner."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("OFFICINA_JOB", "").endswith(f"/{name}"):
                words = process.cmdline()
                if len(words) > 2 and words[1] == "-m" and words[2].startswith("solvers."):
                    found.append(process)
        except psutil.Error:
            continue
    return found


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def jobs_of(run: Run) -> dict[str, int]:
    """How many attempts each stage had."""
    stages: tuple[Stage, ...] = ("check", "mesh", "solve", "report")
    return {stage: len(attempts(run.folder, stage)) for stage in stages}


def nothing_is_left(run: Run) -> bool:
    """No process of any job of the run lives."""
    names = [a.job().name for stage in ("check", "mesh", "solve", "report") for a in attempts(run.folder, stage)]
    return not any(workers(name) for name in names)


def nothing_half_written(run: Run) -> bool:
    """Every attempt is whole: DONE that verifies or FAILED, no folder in the making."""
    every = [a for stage in ("check", "mesh", "solve", "report") for a in attempts(run.folder, stage)]
    marked = all((a.folder / "DONE").exists() != (a.folder / "FAILED").exists() for a in every)
    return marked and not list(run.folder.glob("*/.*.part"))
