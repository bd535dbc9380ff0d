"""The executor of this machine: the contract, and what is its own: pids, killed runners, cores, disks."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from executor import DONE, HIDDEN, SLEEP, ExecutorContract, lives, wait

from hub.executor import JobState
from hub.jobrunner import LOG, Process, boot_id
from hub.local import LocalExecutor
from hub.runfolder import Attempt, Done, Failure, Job


def runner(executor: LocalExecutor, name: str) -> int:
    """The pid of the process that runs a job."""
    return int(json.loads((executor.jobs / name / "claim").read_text())[0])


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self, tmp_path: Path) -> LocalExecutor:
        return LocalExecutor(tmp_path / "home")

    def test_a_killed_runner_is_a_lost_job(self, executor: LocalExecutor, make: Callable[..., Attempt]) -> None:
        attempt = make("attempt.write_status(doing='well'); " + SLEEP)
        handle = executor.submit(attempt)
        wait(lambda: attempt.status().doing == "well")
        os.kill(runner(executor, handle), signal.SIGKILL)
        self.ended(executor, handle)
        assert self.failure(attempt).code == "lost"
        assert not lives(int((attempt.folder / "starts").read_text()))

    def test_a_result_stands_when_the_runner_was_killed_after_it(
        self, executor: LocalExecutor, make: Callable[..., Attempt]
    ) -> None:
        attempt = make(DONE + "; " + SLEEP)
        handle = executor.submit(attempt)
        wait((attempt.folder / "DONE").exists)
        os.kill(runner(executor, handle), signal.SIGKILL)
        self.ended(executor, handle)
        assert isinstance(attempt.outcome(), Done)

    def test_children_that_hide_do_not_outlive_a_killed_runner(
        self, executor: LocalExecutor, make: Callable[..., Attempt]
    ) -> None:
        attempt = make(HIDDEN)
        handle = executor.submit(attempt)
        wait(lambda: attempt.status().doing != "")
        hidden = int(attempt.status().doing)
        time.sleep(1.0)  # the runner looks twice a second
        os.kill(runner(executor, handle), signal.SIGKILL)
        self.ended(executor, handle)
        assert not lives(hidden)

    def test_a_reused_pid_is_not_the_job(self, executor: LocalExecutor, make: Callable[..., Attempt]) -> None:
        """Another process now has the runner's pid: this one, which started at another time."""
        attempt = make(DONE)
        entry = executor.jobs / attempt.job().name
        entry.mkdir(parents=True)
        (entry / "folder").write_text(str(attempt.folder))
        (entry / "claim").write_text(json.dumps(Process(os.getpid(), 1, boot_id())))
        handle = executor.find(attempt.job().name)
        assert handle is not None
        executor.cancel(handle)  # must not end this process
        assert executor.poll([handle]) == {handle: JobState.ENDED}

    def test_a_claim_of_another_boot_is_dead(self, executor: LocalExecutor, make: Callable[..., Attempt]) -> None:
        attempt = make(DONE)
        entry = executor.jobs / attempt.job().name
        entry.mkdir(parents=True)
        (entry / "folder").write_text(str(attempt.folder))
        this = Process.of(os.getpid())
        assert this is not None
        (entry / "claim").write_text(json.dumps(this._replace(boot="another")))
        handle = executor.submit(attempt)
        assert executor.poll([handle]) == {handle: JobState.ENDED}
        assert self.failure(attempt).code == "lost"

    def test_a_submitter_killed_before_the_start_leaves_nothing(
        self, executor: LocalExecutor, make: Callable[..., Attempt]
    ) -> None:
        """The entry is there, the claim is not: unknown, and submitting again starts the job."""
        attempt = make(DONE)
        entry = executor.jobs / attempt.job().name
        entry.mkdir(parents=True)
        (entry / "folder").write_text(str(attempt.folder))
        assert executor.find(attempt.job().name) is None
        handle = executor.submit(attempt)
        self.ended(executor, handle)
        assert isinstance(attempt.outcome(), Done)

    def test_jobs_wait_for_cores(self, executor: LocalExecutor, make: Callable[..., Attempt]) -> None:
        cores = len(os.sched_getaffinity(0))
        large = make("time.sleep(0.7); " + DONE, ranks=cores)
        small = make(DONE)
        first, second = executor.submit(large), executor.submit(small)
        wait(lambda: executor.poll([first])[first] is JobState.RUNNING)
        assert executor.poll([second]) == {second: JobState.QUEUED}
        self.ended(executor, second)
        assert (small.folder / "DONE").stat().st_mtime > (large.folder / "DONE").stat().st_mtime

    def test_who_waits_for_cores_can_be_cancelled(self, executor: LocalExecutor, make: Callable[..., Attempt]) -> None:
        cores = len(os.sched_getaffinity(0))
        running, waiting = make(SLEEP, ranks=cores), make(DONE, ranks=cores)
        first, second = executor.submit(running), executor.submit(waiting)
        executor.cancel(second)
        self.ended(executor, second)
        assert self.failure(waiting).code == "cancelled"
        assert not (waiting.folder / "starts").exists()
        executor.cancel(first)
        self.ended(executor, first)

    def test_the_log_is_bounded(self, executor: LocalExecutor, make: Callable[..., Attempt]) -> None:
        attempt = make(f"[print('x' * 999) for _ in range({3 * LOG // 1000})]; print('the last'); " + DONE)
        self.ended(executor, executor.submit(attempt))
        assert LOG <= attempt.log.stat().st_size <= 2 * LOG
        assert attempt.log_tail().rstrip().endswith("the last")

    def test_how_much_was_used_is_kept(self, executor: LocalExecutor, make: Callable[..., Attempt]) -> None:
        attempt = make("b = bytearray(100_000_000); time.sleep(1.2); " + DONE)
        self.ended(executor, executor.submit(attempt))
        used = json.loads((attempt.folder / "used.json").read_text())
        assert used["seconds"] > 1.2 and used["peak_memory"] > 100_000_000


@pytest.fixture
def small_disk(disk_of: Callable[[int], Path]) -> Path:
    return disk_of(2)


def test_a_full_disk_is_told_as_such(small_disk: Path, tmp_path: Path) -> None:
    """What fills the disk is the job; no DONE, and FAILED could still be written."""
    program = (
        "import sys; from pathlib import Path; folder = Path(sys.argv[-1]); "
        "[(folder / 'out' / f'{i}.bin').write_bytes(bytes(50_000)) for i in range(1000)]"
    )
    job = Job(name="full-solve-1", argv=(sys.executable, "-c", program))
    attempt = Attempt.create(small_disk / "run" / "solve" / "1", {}, {}, job)
    executor = LocalExecutor(tmp_path / "home")
    handle = executor.submit(attempt)
    wait(lambda: executor.poll([handle])[handle] is JobState.ENDED)
    outcome = attempt.outcome()
    assert isinstance(outcome, Failure) and outcome.code == "disk-full", attempt.log_tail()
