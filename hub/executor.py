"""The executor contract: how a job is started, found, watched and ended, wherever it runs.

What the states mean:

- QUEUED: accepted, not started. RUNNING: a process of it is known to live.
- ENDED: no process of it lives and none will be started. Whether it succeeded is in the attempt's folder.
- UNKNOWN: the executor cannot tell (no trace, a scheduler that has forgotten). UNREACHABLE: it could not ask.
  Neither means failed, and neither means done.

``tests/contract/executor.py`` is the suite every executor passes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NewType

from hub.runfolder import Attempt

Handle = NewType("Handle", str)


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"


class ExecutorError(Exception):
    """A job could not be submitted or cancelled; the message says why and what to do."""


class Executor(ABC):
    """Runs the job of an attempt's folder (``job.json``)."""

    @abstractmethod
    def submit(self, attempt: Attempt) -> Handle:
        """Start the attempt's job. Idempotent in the job's name: a second call starts nothing and returns the
        same handle. Raises ExecutorError."""

    @abstractmethod
    def find(self, name: str) -> Handle | None:
        """The handle of the job of that name if one was ever accepted."""

    @abstractmethod
    def poll(self, handles: Sequence[Handle]) -> dict[Handle, JobState]:
        """The state of each, from one look. What an attempt's folder holds on this machine (status, history, log) is as
        of the last look; when a job is ENDED, its end marker and its results are there."""

    @abstractmethod
    def cancel(self, handle: Handle) -> None:
        """End the job, with force if it does not go. Returns once the end was asked for; ``poll`` tells when
        it is true. Cancelling what has ended is no error."""

    @abstractmethod
    def folder(self, handle: Handle) -> Path:
        """The attempt's folder of a job, on this machine."""
