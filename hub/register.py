"""What is known of the jobs of a cluster, in files: any process can ask, and whoever holds the lock may write.

``<home>/remote/<cluster>/`` holds ``jobs/<name>/`` (``folder``, ``record.json``, ``cancel``, ``ended``),
``open/<name>`` for those that have not ended, ``groups/<group>.json`` (jobs submitted as one array), ``spool/``,
``lock``, ``asked`` (when the scheduler was asked last), ``waits/`` (:mod:`hub.forecast`) and ``trouble.json``.
"""

from __future__ import annotations

import fcntl
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hub.executor import ExecutorError, JobState
from hub.problem import excerpt
from hub.runfolder import Attempt, Failure, write_whole
from hub.scheduler import Word

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,119}")


class Record(BaseModel):
    """What is known of a job.

    group, index : the submission it belongs to, and its number in an array (-1: alone); id : the scheduler's
    beat, alive : last beat seen and when it changed; absent : how often the scheduler did not know it
    sent, began : when the scheduler took it, and when it was first seen to run; 0 before that
    told : when its end was asked for; over : when it was first said to have ended; verdict : what it ends with
    """

    group: str = ""
    index: int = -1
    placed: bool = False
    id: str = ""
    code: str = ""
    state: JobState = JobState.QUEUED
    word: Word | None = None
    beat: str = ""
    alive: float = 0.0
    absent: int = 0
    sent: float = 0.0
    began: float = 0.0
    told: float = 0.0
    over: float = 0.0
    log: int = -1
    history: int = 0
    verdict: Failure | None = None


class Trouble(BaseModel):
    """Why a cluster is out of reach.

    code : of :class:`hub.transport.Unreachable`; since, tries : since when [s], how often it was tried
    """

    code: str
    message: str
    since: float
    tries: int = 1


class Register:
    """The jobs of the cluster `name`, registered below `home`."""

    def __init__(self, home: Path, name: str) -> None:
        self.cluster, self.home = name, home.absolute()
        self.place = self.home / "remote" / name
        self.jobs, self.open, self._wanted = self.place / "jobs", self.place / "open", self.place / "wanted"

    def entry(self, name: str) -> Path:
        """The folder of a job. Raises ExecutorError for what is no name."""
        if not _NAME.fullmatch(name):
            raise ExecutorError(f"{excerpt(name)} is no name of a job: small letters, digits and - only.")
        return self.jobs / name

    def enter(self, attempt: Attempt) -> str:
        """Make a job known. Raises ExecutorError, also if the name belongs to another folder."""
        name, folder = attempt.job().name, attempt.folder.absolute()
        entry = self.entry(name)
        try:
            entry.mkdir(parents=True, exist_ok=True)
            self.open.mkdir(parents=True, exist_ok=True)
            with (entry / "submit").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if (entry / "folder").exists():
                    if self.folder(name) != folder:
                        raise ExecutorError(f"The job {name} belongs to another folder.")
                else:
                    (self.open / name).touch()  # first: what has a folder and is not open would be forgotten
                    write_whole(entry / "folder", str(folder))
        except OSError as error:
            raise ExecutorError(f"The job {name} cannot be registered: {error.strerror}.") from None
        return name

    def known(self, name: str) -> bool:
        return (self.entry(name) / "folder").exists()

    def ended(self, name: str) -> bool:
        return (self.entry(name) / "ended").exists()

    def cancelled(self, name: str) -> bool:
        """Somebody asked for its end."""
        return (self.entry(name) / "cancel").exists()

    def folder(self, name: str) -> Path:
        """The attempt's folder of a job. Raises ExecutorError."""
        try:
            return Path((self.entry(name) / "folder").read_text())
        except FileNotFoundError:
            raise ExecutorError(f"There is no job {excerpt(name)} on {self.cluster}.") from None

    def names(self) -> list[str]:
        """The jobs that have not ended."""
        try:
            return sorted(file.name for file in self.open.iterdir() if self.known(file.name))
        except FileNotFoundError:
            return []

    def record(self, name: str) -> Record:
        """What was last known of a job."""
        try:
            return Record.model_validate_json((self.entry(name) / "record.json").read_bytes())
        except (OSError, ValidationError):
            return Record()

    def save(self, name: str, record: Record) -> None:
        write_whole(self.entry(name) / "record.json", record.model_dump_json())

    def settle(self, name: str, failure: Failure | None) -> None:
        """The job has ended, with that failure or with the DONE that lies in its folder."""
        attempt = Attempt(self.folder(name))
        if failure is not None and attempt.folder.is_dir():
            with suppress(OSError):
                attempt.fail(failure.code, failure.message, failure.hint)
        (self.entry(name) / "ended").touch()
        (self.open / name).unlink(missing_ok=True)

    # --- results that stayed there ---

    def left(self, name: str) -> dict[str, dict[str, Any]]:
        """The results that stayed on the cluster: path below ``out/`` -> bytes and sha256."""
        try:
            return dict(json.loads((self.folder(name) / "left.json").read_bytes())["files"])
        except (OSError, ValueError):
            return {}

    def leave(self, name: str, left: Mapping[str, Mapping[str, Any]]) -> None:
        file = self.folder(name) / "left.json"
        if left:
            write_whole(file, json.dumps({"cluster": self.cluster, "files": left}))
        else:
            file.unlink(missing_ok=True)

    def ask(self, name: str) -> None:
        """Somebody wants the results that stayed there; whoever carries brings them."""
        self._wanted.mkdir(parents=True, exist_ok=True)
        (self._wanted / name).touch()

    def wanted(self) -> list[str]:
        """The jobs whose results are asked for and have not come yet."""
        try:
            return sorted(file.name for file in self._wanted.iterdir() if self.known(file.name))
        except FileNotFoundError:
            return []

    def came(self, name: str) -> None:
        """What was asked for is here, or will not come."""
        (self._wanted / name).unlink(missing_ok=True)

    # --- whose turn it is, and whether the cluster answers ---

    @contextmanager
    def turn(self, wait: bool = False) -> Iterator[bool]:
        """Whether it is this process's turn; the kernel frees the lock of one that was killed."""
        self.place.mkdir(parents=True, exist_ok=True)
        with (self.place / "lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                try:
                    yield True
                finally:
                    fcntl.flock(lock, fcntl.LOCK_UN)  # a child forked meanwhile has the file open too

    @property
    def trouble(self) -> Trouble | None:
        """Why the cluster is out of reach; None if it answered the last time."""
        try:
            return Trouble.model_validate_json((self.place / "trouble.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def answers(self) -> None:
        (self.place / "trouble.json").unlink(missing_ok=True)

    def is_silent(self, code: str, message: str) -> Trouble:
        """Note that the cluster could not be reached."""
        before = self.trouble
        since, tries = (before.since, before.tries + 1) if before else (time.time(), 1)
        now = Trouble(code=code, message=message, since=since, tries=tries)
        write_whole(self.place / "trouble.json", now.model_dump_json())
        return now
