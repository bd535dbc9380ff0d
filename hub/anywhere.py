"""One executor for all places: a job goes where its ``job.json`` says, to this machine or to a cluster by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hub.clusters import HERE, load
from hub.executor import Executor, ExecutorError, Handle, JobState
from hub.local import LocalExecutor
from hub.problem import excerpt
from hub.runfolder import Attempt

if TYPE_CHECKING:
    from hub.remote import ClusterExecutor


class Anywhere(Executor):
    """This machine and every cluster described below `home`.

    carries : whether this process brings jobs to clusters and back; one process of a hub does, others write and read
    interval : between two questions to a scheduler [s]
    """

    def __init__(self, home: Path, *, carries: bool = False, interval: float = 10.0) -> None:
        self.home, self.carries, self.interval = home.absolute(), carries, interval
        self.here = LocalExecutor(self.home)
        self._clusters: dict[str, ClusterExecutor] = {}

    def cluster(self, name: str) -> ClusterExecutor | None:
        """The executor of a cluster as it is described now; None if it is described no more."""
        from hub.remote import ClusterExecutor  # most runs never leave this machine

        described = load(self.home).get(name)
        known = self._clusters.get(name)
        if described is None or (known is not None and known.cluster == described):
            return known
        if known is not None:
            known.close()
        fresh = ClusterExecutor(described, self.home, interval=self.interval, carries=self.carries)
        self._clusters[name] = fresh
        return fresh

    def submit(self, attempt: Attempt) -> Handle:
        job = attempt.job()
        if job.cluster in (None, HERE):
            return self.here.submit(attempt)
        if (cluster := self.cluster(str(job.cluster))) is None:
            raise ExecutorError(f"There is no cluster {excerpt(job.cluster)}; `officina cluster list` shows them.")
        return cluster.submit(attempt)

    def find(self, name: str) -> Handle | None:
        if (place := self._place(name)) == HERE:
            return self.here.find(name)
        return Handle(name) if place else None

    def poll(self, handles: Sequence[Handle]) -> dict[Handle, JobState]:
        places = defaultdict[str | None, list[Handle]](list)
        for handle in handles:
            places[self._place(handle)].append(handle)
        found: dict[Handle, JobState] = {}
        for place, those in places.items():
            executor = self.here if place in (None, HERE) else self.cluster(str(place))
            # a cluster that is described no more cannot be asked, whatever runs there
            found |= executor.poll(those) if executor else dict.fromkeys(those, JobState.UNREACHABLE)
        return found

    def cancel(self, handle: Handle) -> None:
        self.of(handle).cancel(handle)

    def folder(self, handle: Handle) -> Path:
        return self.of(handle).folder(handle)

    def of(self, handle: Handle) -> Executor:
        """The executor that has a job. Raises ExecutorError."""
        place = self._place(handle)
        executor = self.here if place in (None, HERE) else self.cluster(str(place))
        if executor is None:
            raise ExecutorError(f"The cluster {place} is described no more; describe it again with `officina cluster`.")
        return executor

    def attend(self) -> None:
        """Bring from clusters, and ask there, what somebody asked for; see what runs there."""
        for place in (self.home / "remote").glob("*/"):
            if (cluster := self.cluster(place.name)) is not None:
                cluster.attend()

    def close(self) -> None:
        """Let go of every connection."""
        for cluster in self._clusters.values():
            cluster.close()

    def _place(self, name: str) -> str | None:
        """Where a job is registered; None if nowhere."""
        if self.here.find(name):
            return HERE
        remote = self.home / "remote"
        places = [f.name for f in remote.iterdir()] if remote.is_dir() else []
        return next((p for p in sorted(places) if (remote / p / "jobs" / name / "folder").exists()), None)
