"""What happens to a run when its processes are killed, its disk fills up or its results change behind its back."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from ground import (
    advance_until,
    beam,
    jobs_of,
    kill,
    nothing_half_written,
    nothing_is_left,
    opened,
    to_its_end,
    workers,
)

from hub import pipeline
from hub.executor import JobState
from hub.local import LocalExecutor
from hub.pipeline import Standing
from hub.run import Run
from hub.runfolder import Failure, Stage, attempts

sizes = count(50)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for the module: the mesh is made once where a test does not ask for another."""
    return tmp_path_factory.mktemp("faults") / "home"


@pytest.fixture
def executor(home: Path) -> LocalExecutor:
    return LocalExecutor(home)


def runner(executor: LocalExecutor, standing: Standing) -> int:
    assert standing.handle is not None
    return int(json.loads((executor.jobs / standing.handle / "claim").read_text())[0])


def in_stage(run: Run, executor: LocalExecutor, stage: Stage, ranks: int = 1) -> Standing:
    """Until the processes of the stage work."""

    def works(standing: Standing) -> bool:
        if standing.stage != stage or standing.attempt is None or standing.state is not JobState.RUNNING:
            return False
        return len(workers(standing.attempt.job().name)) >= ranks

    return advance_until(run, executor, works)


@pytest.mark.parametrize("stage", ["check", "mesh", "solve", "report"])
def test_a_killed_worker_fails_its_run(stage: Stage, home: Path, tmp_path: Path, executor: LocalExecutor) -> None:
    size = next(sizes) if stage in ("check", "mesh") else 50
    run = opened(tmp_path / "run", home / "cache", beam(size=size))
    standing = in_stage(run, executor, stage, ranks=2 if stage == "solve" else 1)
    assert standing.attempt is not None
    kill(workers(standing.attempt.job().name)[-1].pid)
    result = to_its_end(run, executor).result
    assert result is not None and result.state == "failed" and result.failure is not None
    assert (result.failure["code"], result.failure["stage"]) == ("killed", stage)
    assert result.failure["message"] and result.failure["hint"]
    assert jobs_of(run)[stage] == 1
    assert not (standing.attempt.folder / "DONE").exists()
    assert nothing_half_written(run) and nothing_is_left(run)
    assert json.loads((run.folder / "result.json").read_text())["state"] == "failed"


def test_a_killed_runner_is_made_good(home: Path, tmp_path: Path, executor: LocalExecutor) -> None:
    """The machine's fault, not the case's: the stage is tried again, in a folder of its own."""
    run = opened(tmp_path / "run", home / "cache", beam())
    standing = in_stage(run, executor, "solve", ranks=2)
    kill(runner(executor, standing))
    result = to_its_end(run, executor).result
    assert result is not None and result.state == "done" and result.verdict is not None
    assert jobs_of(run)["solve"] == 2
    first = attempts(run.folder, "solve")[0].outcome()
    assert isinstance(first, Failure) and first.code == "lost"
    assert nothing_half_written(run) and nothing_is_left(run)


def test_a_flipped_byte_is_found_and_made_good_once(home: Path, tmp_path: Path, executor: LocalExecutor) -> None:
    run = opened(tmp_path / "run", home / "cache", beam())
    for number in (1, 2):
        advance_until(run, executor, lambda s, n=number: s.stage == "solve" and jobs_of(run)["solve"] == n)
        attempt = attempts(run.folder, "solve")[-1]
        handle = executor.find(attempt.job().name)
        assert handle is not None
        while executor.poll([handle])[handle] is not JobState.ENDED:
            time.sleep(0.05)
        answer = attempt.out / "answer.json"
        content = bytearray(answer.read_bytes())
        content[len(content) // 2] ^= 1
        answer.write_bytes(content)
    result = to_its_end(run, executor).result
    assert result is not None and result.state == "failed" and result.failure is not None
    assert result.failure["code"] == "corrupt-result" and "answer.json" in result.failure["message"]
    assert jobs_of(run) == {"check": 1, "mesh": 1, "solve": 2, "report": 0}
    assert not result.quantities


def test_a_mesh_that_changed_in_the_cache_is_made_anew(home: Path, tmp_path: Path, executor: LocalExecutor) -> None:
    case = beam(size=next(sizes), officina=1)
    cache = tmp_path / "cache"
    first = opened(tmp_path / "first", cache, case)
    advance_until(first, executor, lambda s: s.stage == "solve")
    pipeline.cancel(first, executor)
    to_its_end(first, executor)
    kept = next((cache / "mesh").glob("*/out/mesh.json"))
    kept.write_bytes(kept.read_bytes() + b" ")
    second = opened(tmp_path / "second", cache, case)
    advance_until(second, executor, lambda s: s.stage == "solve")
    pipeline.cancel(second, executor)
    to_its_end(second, executor)
    mesh = attempts(second.folder, "mesh")[-1]
    assert executor.find(mesh.job().name) is not None, "the changed mesh was used"
    check = attempts(second.folder, "check")[-1]
    assert executor.find(check.job().name) is None, "the check was done again although it was known"


def test_cancelled_is_said_when_nothing_runs(home: Path, tmp_path: Path, executor: LocalExecutor) -> None:
    run = opened(tmp_path / "run", home / "cache", beam())
    in_stage(run, executor, "solve", ranks=2)
    first = pipeline.cancel(run, executor)
    assert first.result is None, "nothing can have ended yet"
    result = to_its_end(run, executor).result
    assert result is not None and result.state == "cancelled"
    assert nothing_is_left(run)
    assert pipeline.advance(run, executor).result == result


def test_many_at_once_start_each_job_once(home: Path, tmp_path: Path, executor: LocalExecutor) -> None:
    """Four processes advance the same run."""
    run = opened(tmp_path / "run", home / "cache", beam())
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                to_its_end(run, executor)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert jobs_of(run) == {"check": 1, "mesh": 1, "solve": 1, "report": 1}
    assert run.result is not None and run.result.state == "done"


@pytest.fixture
def small_disk(disk_of: Callable[[int], Path]) -> Path:
    return disk_of(64)


def test_a_full_disk_is_said_as_such(small_disk: Path, home: Path, executor: LocalExecutor) -> None:
    run = opened(small_disk / "run", home / "cache", beam())
    standing = in_stage(run, executor, "solve", ranks=2)
    assert standing.attempt is not None
    with suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    result = to_its_end(run, executor).result
    assert result is not None and result.state == "failed" and result.failure is not None
    assert (result.failure["code"], result.failure["stage"]) == ("disk-full", "solve")
    assert not (standing.attempt.folder / "DONE").exists()
    assert nothing_is_left(run)
