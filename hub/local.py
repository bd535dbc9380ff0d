"""The executor of this machine: every job is a detached :mod:`hub.jobrunner`, which outlives whoever submitted it.

The registry ``<home>/jobs/<name>/`` is what makes a job unique: its ``claim`` is linked into place by the one process
that runs it, once for ever. What is true is read from there and from ``/proc``; nothing is kept in memory, so any
process can ask about any job.

``python -m hub.local HOME submit|poll|cancel < lines`` is the same for a hub elsewhere: folders to submit, else names.
It prints ``name|state``, or ``name|error|why``.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hub import leftovers
from hub.catalogue import environment
from hub.executor import Executor, ExecutorError, Handle, JobState
from hub.jobrunner import Process, claim
from hub.problem import excerpt
from hub.runfolder import Attempt, write_whole

#: Longest time from submitting to the job's being accepted [s].
PATIENCE = 60
#: In the environment of every process of a job, with the job's entry as its value.
MARK = "OFFICINA_JOB"


class LocalExecutor(Executor):
    """Jobs as processes of this machine, registered below `home`."""

    def __init__(self, home: Path) -> None:
        self.jobs = home.absolute() / "jobs"
        self.slots = home.absolute() / "slots"

    def submit(self, attempt: Attempt) -> Handle:
        job, folder = attempt.job(), attempt.folder.absolute()
        entry = self._entry(job.name)
        try:
            entry.mkdir(parents=True, exist_ok=True)
            with (entry / "submit").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not (entry / "folder").exists():
                    write_whole(entry / "folder", str(folder))
                elif self.folder(Handle(job.name)) != folder:
                    raise ExecutorError(
                        f"The job {job.name} belongs to another folder: {self.folder(Handle(job.name))}."
                    )
                if not (entry / "claim").exists():
                    self._start(entry, folder)
        except OSError as error:
            raise ExecutorError(f"The job {job.name} cannot be registered: {error.strerror}.") from None
        return Handle(job.name)

    def _start(self, entry: Path, folder: Path) -> None:
        argv = [sys.executable, "-m", "hub.jobrunner", str(entry), str(folder), str(self.slots)]
        # without PYTHONSAFEPATH a module could be loaded from the folder a job writes into
        allowed = environment() | {"PYTHONSAFEPATH": "1", MARK: str(entry)}
        log_file = (entry / "runner.log").open("ab")
        with log_file as log, suppress(subprocess.TimeoutExpired):  # it may have claimed the job all the same
            subprocess.run(
                argv,
                env=allowed,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                timeout=PATIENCE,
                check=False,
            )
        if not (entry / "claim").exists():
            said = (entry / "runner.log").read_text("utf-8", "replace").strip().splitlines() or ["nothing"]
            raise ExecutorError(f"The job {entry.name} could not be started; its runner said: {excerpt(said[-1])}")

    def find(self, name: str) -> Handle | None:
        return Handle(name) if (self._entry(name) / "claim").exists() else None

    def poll(self, handles: Sequence[Handle]) -> dict[Handle, JobState]:
        return {handle: self._state(handle) for handle in handles}

    def _state(self, handle: Handle) -> JobState:
        entry = self._entry(handle)
        if (entry / "ended").exists():
            return JobState.ENDED
        try:
            holder = _holder(entry)
        except FileNotFoundError:
            return JobState.UNKNOWN
        except OSError:
            return JobState.UNREACHABLE
        if holder and holder.lives():
            return JobState.RUNNING if (entry / "started").exists() else JobState.QUEUED
        if (entry / "ended").exists():  # between the two looks
            return JobState.ENDED
        # The runner was killed. Without it nobody watches memory and time, so what is left of the job is ended too.
        if left := _left_over(entry):
            _send(left, signal.SIGKILL)
            return JobState.RUNNING
        self._settle(entry, self.folder(handle))
        return JobState.ENDED

    def _settle(self, entry: Path, folder: Path) -> None:
        """Say what became of a job whose runner could not."""
        with suppress(OSError):
            if folder.is_dir():
                (folder / ".reserve").unlink(missing_ok=True)
                leftovers.clear()
                if (entry / "cancel").exists():
                    Attempt(folder).fail("cancelled", "The run was cancelled.")
                else:
                    Attempt(folder).fail(
                        "lost",
                        "The process that watched the job was killed, or the machine was switched off.",
                        "Run it again.",
                    )
            (entry / "ended").touch()

    def cancel(self, handle: Handle) -> None:
        entry = self._entry(handle)
        if not entry.is_dir():
            return
        try:
            (entry / "cancel").touch()
            claim(entry, None)  # whoever has not begun never will
            holder = _holder(entry)
        except OSError as error:
            raise ExecutorError(f"The job {handle} cannot be cancelled: {error.strerror}.") from None
        if holder and holder.lives():
            _send([holder], signal.SIGTERM)
        else:
            self._state(handle)

    def folder(self, handle: Handle) -> Path:
        try:
            return Path((self._entry(handle) / "folder").read_text())
        except FileNotFoundError:
            raise ExecutorError(f"There is no job {excerpt(handle)} on this machine.") from None

    def _entry(self, name: str) -> Path:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,119}", name):
            raise ExecutorError(f"{excerpt(name)} is no name of a job: small letters, digits and - only.")
        return self.jobs / name


def _left_over(entry: Path) -> list[Process]:
    """The living processes of a job without a runner: those that carry its mark, and those it was known to have."""
    mark, found = f"{MARK}={entry}".encode(), set[Process | None]()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(Process.of(int(folder.name)))
    with suppress(OSError, ValueError):
        known = [Process(*p) for p in json.loads((entry / "processes").read_bytes())]
        found.update(p for p in known if p.lives())
    return [p for p in found if p]


def _holder(entry: Path) -> Process | None:
    """Who claimed the job; None if nobody will ever run it, or if a power cut lost the name."""
    try:
        return Process(*json.loads((entry / "claim").read_bytes()))
    except (ValueError, TypeError):
        return None


def _send(processes: Sequence[Process], number: signal.Signals) -> None:
    """A signal to these very processes, not to later ones of the same pid."""
    for process in processes:
        with suppress(OSError):
            descriptor = os.pidfd_open(process.pid)
            try:
                if process.lives():
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


def main(executor: LocalExecutor, action: str, lines: Sequence[str]) -> None:
    """One line of an answer for each line."""
    for line in lines:
        name = Path(line).name
        try:
            if action == "submit":
                executor.submit(Attempt(Path(line)))
            if action == "cancel":
                executor.cancel(Handle(name))
            print(f"{name}|{executor.poll([Handle(name)])[Handle(name)]}")
        except (ExecutorError, OSError) as error:
            print(f"{name}|error|{excerpt(str(error))}")


if __name__ == "__main__":
    main(LocalExecutor(Path(sys.argv[1])), sys.argv[2], sys.stdin.read().splitlines())
