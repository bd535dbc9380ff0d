"""What every executor must do. Derive from :class:`ExecutorContract`, say how the executor is made, and run it.

The jobs are real processes; what they did is read from their folders.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import pytest

from hub import leftovers
from hub.executor import Executor, ExecutorError, Handle, JobState
from hub.runfolder import Attempt, Done, Failure, Job

#: Opens every job: an attempt that the folder is the last argument of, and a line for each time it was started.
_HEAD = """
import os, signal, subprocess, sys, time
from pathlib import Path
from hub.runfolder import Attempt
attempt = Attempt(Path(sys.argv[-1]))
with (attempt.folder / "starts").open("a") as file:
    file.write(f"{os.getpid()}\\n")
"""
DONE = "attempt.write('answer.json', {'x': 1.0}); attempt.finish()"
SLEEP = "time.sleep(120)"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); attempt.write_status(doing='deaf'); time.sleep(120)"
#: A child in a session of its own, with a clean environment, whose pid is told; then the job sleeps.
HIDDEN = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"], start_new_session=True, env={})
attempt.write_status(doing=str(child.pid))
time.sleep(120)
"""


def wait(until: Callable[[], bool], seconds: float = 30.0) -> None:
    """Until it is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def lives(pid: int) -> bool:
    """A process of that pid exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class ExecutorContract(ABC):
    """The suite; `executor` and `folder` are the fixtures to give."""

    @pytest.fixture
    @abstractmethod
    def executor(self, tmp_path: Path) -> Executor: ...

    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[..., Attempt]:
        """Attempts of Python programs."""

        def make(program: str, **job: object) -> Attempt:
            name = f"t{uuid.uuid4().hex}-solve-1"
            argv = (sys.executable, "-c", _HEAD + program)
            return Attempt.create(tmp_path / "runs" / name, {}, {}, Job(name=name, argv=argv, **job))  # type: ignore[arg-type]

        return make

    def ended(self, executor: Executor, handle: Handle, seconds: float = 30.0) -> None:
        wait(lambda: executor.poll([handle])[handle] is JobState.ENDED, seconds)

    def doing(self, executor: Executor, handle: Handle, attempt: Attempt) -> str:
        """What the job says it does, as of the last look."""
        executor.poll([handle])
        return attempt.status().doing

    def failure(self, attempt: Attempt) -> Failure:
        outcome = attempt.outcome()
        assert isinstance(outcome, Failure), f"{outcome}: {attempt.log_tail()}"
        return outcome

    # --- the way of a job ---

    def test_a_job_runs_to_its_end(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make("print('hello'); " + DONE)
        handle = executor.submit(attempt)
        assert executor.folder(handle) == attempt.folder
        self.ended(executor, handle)
        assert isinstance(attempt.outcome(), Done), attempt.log_tail()
        assert "hello" in attempt.log_tail()

    def test_a_job_is_found_by_its_name(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make(DONE)
        name = attempt.job().name
        assert executor.find(name) is None
        handle = executor.submit(attempt)
        assert executor.find(name) == handle
        self.ended(executor, handle)
        assert executor.find(name) == handle

    def test_running_is_seen(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make("attempt.write_status(doing='well'); " + SLEEP)
        handle = executor.submit(attempt)
        wait(lambda: self.doing(executor, handle, attempt) == "well")
        assert executor.poll([handle]) == {handle: JobState.RUNNING}
        executor.cancel(handle)
        self.ended(executor, handle)

    def test_what_was_never_submitted_is_unknown(self, executor: Executor) -> None:
        handle = Handle("never-submitted-1")
        assert executor.poll([handle]) == {handle: JobState.UNKNOWN}
        with pytest.raises(ExecutorError):
            executor.folder(handle)

    # --- once ---

    def test_submitting_again_starts_nothing(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make(DONE)
        handle = executor.submit(attempt)
        assert executor.submit(attempt) == handle
        self.ended(executor, handle)
        assert executor.submit(attempt) == handle
        assert executor.poll([handle]) == {handle: JobState.ENDED}
        assert len((attempt.folder / "starts").read_text().splitlines()) == 1

    def test_eight_threads_start_one_job(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt, handles, together = make(DONE), [], threading.Barrier(8)

        def submit() -> None:
            together.wait()
            handles.append(executor.submit(attempt))

        threads = [threading.Thread(target=submit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(handles) == 8 and len(set(handles)) == 1
        self.ended(executor, handles[0])
        assert len((attempt.folder / "starts").read_text().splitlines()) == 1

    def test_a_name_belongs_to_one_folder(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        first = make(DONE)
        handle = executor.submit(first)
        other = Attempt.create(first.folder.parent / "other", {}, {}, first.job())
        with pytest.raises(ExecutorError):
            executor.submit(other)
        self.ended(executor, handle)
        assert not (other.folder / "starts").exists()

    @pytest.mark.parametrize("name", ["../x-1", "a b", "x\ny", "", "-x", "x" * 300])
    def test_strange_names_are_refused(self, executor: Executor, tmp_path: Path, name: str) -> None:
        attempt = Attempt.create(tmp_path / "strange", {}, {}, Job(name=name, argv=("true",)))
        with pytest.raises(ExecutorError):
            executor.submit(attempt)

    # --- the end ---

    def test_cancelled_means_gone(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make("attempt.write_status(doing='well'); " + SLEEP)
        handle = executor.submit(attempt)
        wait(lambda: self.doing(executor, handle, attempt) == "well")
        executor.cancel(handle)
        self.ended(executor, handle)
        assert self.failure(attempt).code == "cancelled"
        assert not lives(int((attempt.folder / "starts").read_text()))

    def test_cancel_ends_who_ignores_sigterm(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make(STUBBORN)
        handle = executor.submit(attempt)
        wait(lambda: self.doing(executor, handle, attempt) == "deaf")
        executor.cancel(handle)
        self.ended(executor, handle)
        assert self.failure(attempt).code == "cancelled"
        assert not lives(int((attempt.folder / "starts").read_text()))

    def test_cancel_ends_children_that_hide(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make(HIDDEN)
        handle = executor.submit(attempt)
        wait(lambda: self.doing(executor, handle, attempt) != "")
        executor.cancel(handle)
        self.ended(executor, handle)
        assert not lives(int(attempt.status().doing))

    def test_no_child_outlives_its_job(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make(HIDDEN.rstrip().removesuffix("time.sleep(120)") + DONE)
        handle = executor.submit(attempt)
        self.ended(executor, handle)
        assert isinstance(attempt.outcome(), Done), attempt.log_tail()
        assert not lives(int(attempt.status().doing))

    def test_cancelling_what_has_ended_changes_nothing(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make(DONE)
        handle = executor.submit(attempt)
        self.ended(executor, handle)
        executor.cancel(handle)
        assert executor.poll([handle]) == {handle: JobState.ENDED}
        assert isinstance(attempt.outcome(), Done)

    def test_a_job_outlives_its_submitter(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make("time.sleep(1.5); " + DONE)
        child = os.fork()
        if child == 0:
            executor.submit(attempt)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        handle = executor.find(attempt.job().name)
        assert handle is not None
        assert executor.poll([handle])[handle] in {JobState.QUEUED, JobState.RUNNING}
        self.ended(executor, handle)
        assert isinstance(attempt.outcome(), Done), attempt.log_tail()

    # --- true reasons ---

    def test_an_exit_without_result_is_a_failure(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        no_mpi = "print('Abort(5) on node 1: Fatal error in internal_Init_thread: Other MPI error'); sys.exit(15)"
        for program, code in (("sys.exit(0)", "crashed"), ("sys.exit(7)", "crashed"), (no_mpi, "lost")):
            attempt = make(program)
            self.ended(executor, executor.submit(attempt))
            assert self.failure(attempt).code == code

    def test_a_killed_process_is_told(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make("os.kill(os.getpid(), signal.SIGKILL)")
        self.ended(executor, executor.submit(attempt))
        assert self.failure(attempt).code == "killed"
        assert "9" in self.failure(attempt).message

    def test_a_killed_rank_is_told(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        program = (
            "from mpi4py import MPI\n"
            "if MPI.COMM_WORLD.rank == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
            "MPI.COMM_WORLD.barrier()"
        )
        attempt = make(program, ranks=2)
        job = attempt.job().model_copy(update={"argv": ("mpiexec", "-n", "2", *attempt.job().argv)})
        (attempt.folder / "job.json").write_text(job.model_dump_json())
        self.ended(executor, executor.submit(attempt))
        assert self.failure(attempt).code == "killed", attempt.log_tail()
        assert not leftovers.clear(), "what its ranks left would be read by the next job of the same number"

    def test_the_wall_time_holds(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make(SLEEP, time=1.0)
        self.ended(executor, executor.submit(attempt))
        assert self.failure(attempt).code == "time-limit"

    def test_the_memory_holds_for_the_whole_tree(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        eater = "import time; b = bytearray(250_000_000); time.sleep(120)"
        program = f"[subprocess.Popen([sys.executable, '-c', {eater!r}]) for _ in range(2)]; time.sleep(120)"
        attempt = make(program, memory=400_000_000)
        self.ended(executor, executor.submit(attempt))
        assert self.failure(attempt).code == "out-of-memory"

    def test_a_failure_of_its_own_stands(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make("attempt.fail('diverged', 'The residual grew.'); sys.exit(3)")
        self.ended(executor, executor.submit(attempt))
        assert self.failure(attempt).code == "diverged"

    def test_what_cannot_start_says_so(self, executor: Executor, tmp_path: Path) -> None:
        job = Job(name=f"t{uuid.uuid4().hex}-solve-1", argv=("there-is-no-such-program",))
        attempt = Attempt.create(tmp_path / "nothing", {}, {}, job)
        self.ended(executor, executor.submit(attempt))
        assert "there-is-no-such-program" in self.failure(attempt).message

    # --- what a job knows ---

    def test_secrets_stay_outside(
        self, executor: Executor, make: Callable[..., Attempt], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("OFFICINA_TOKEN", "PREFECT_API_AUTH_STRING", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD"):
            monkeypatch.setenv(name, "canary-1f2e")
        attempt = make("attempt.write('environment.json', dict(os.environ)); attempt.finish()")
        self.ended(executor, executor.submit(attempt))
        assert isinstance(attempt.outcome(), Done), attempt.log_tail()
        seen = (attempt.out / "environment.json").read_text()
        assert "canary-1f2e" not in seen
        assert '"OMP_NUM_THREADS": "1"' in seen

    def test_no_module_is_loaded_from_the_folder(self, executor: Executor, make: Callable[..., Attempt]) -> None:
        attempt = make("import json; assert json.dumps({}) == '{}'; " + DONE)
        (attempt.folder / "json.py").write_text("raise SystemExit('loaded from the folder')")
        self.ended(executor, executor.submit(attempt))
        assert isinstance(attempt.outcome(), Done), attempt.log_tail()
