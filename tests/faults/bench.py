"""What the tests of clusters stand on: a hub over a link that can be broken, and small stages."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from link import Link
from one_machine import OneMachine

from hub.executor import Handle, JobState
from hub.remote import ClusterExecutor
from hub.runfolder import Attempt, Done, Job

#: A stage in the shell: counts its starts, does as told, and ends with a result.
STAGE = """cd "$1"; echo $$ >>starts; {does}
printf '{{"files": {{"a.bin": "%s"}}}}' "$(sha256sum <out/a.bin | cut -d ' ' -f 1)" >DONE.part; mv DONE.part DONE"""
SHORT = "echo it >out/a.bin"


def wait(until: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


class Bench:
    """An executor over a link that can be broken, and attempts for it."""

    def __init__(self, machine: OneMachine, folder: Path) -> None:
        self.machine, self.folder = machine, folder
        self.link = Link(machine.described().port)
        self.executor = self.another()

    def another(self, **changes: object) -> ClusterExecutor:
        """A hub on the same home, as after a restart; it makes rounds only when told to."""
        cluster = self.machine.described(port=self.link.port, **{"scratch": self.machine.folder / "scratch", **changes})
        executor = ClusterExecutor(cluster, self.folder / "home", interval=0.4, lost=8.0)
        executor.carries = False
        return executor

    def attempt(self, does: str = SHORT, size: int = 0, name: str = "", **job: object) -> Attempt:
        name = name or f"t{uuid.uuid4().hex}-solve-1"
        argv = ("sh", "-c", STAGE.format(does=does), "stage")
        files = {}
        if size:
            big = self.folder / f"{name}.bin"
            big.write_bytes(os.urandom(size))
            files["big.bin"] = big
        return Attempt.create(self.folder / "runs" / name, {}, files, Job(name=name, argv=argv, **job))  # type: ignore[arg-type]

    def ended(self, handle: Handle, executor: ClusterExecutor | None = None, seconds: float = 60.0) -> None:
        by = executor or self.executor

        def over() -> bool:
            by.round()
            return by.poll([handle])[handle] is JobState.ENDED

        wait(over, "the end of the job", seconds)

    def jobs(self, name: str) -> list[str]:
        """What Slurm knows of jobs of that name."""
        return self.machine.ask("squeue", "-h", "-t", "all", "-n", name, "-o", "%T").split()

    def done(self, attempt: Attempt) -> None:
        """It ended well, and ran once."""
        assert isinstance(attempt.outcome(), Done), f"{attempt.outcome()} {attempt.log_tail()}"
        assert len((attempt.folder / "starts").read_text().split()) == 1
