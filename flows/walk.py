"""Walking a run through its stages, and telling the store what is true. No Prefect here."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hub import pipeline
from hub.anywhere import Anywhere
from hub.catalogue import SolverBroken
from hub.clusters import BEST, HERE
from hub.clusters import load as load_clusters
from hub.executor import Executor, JobState
from hub.pipeline import Standing
from hub.problem import Refused
from hub.result import Result
from hub.run import Run, conclude, failure_of, open_run
from hub.runfolder import Stage, attempts
from hub.settings import Settings
from hub.store import ACTIVE, AllStudies, Notices, Orchestration, open_store
from hub.store import Run as Row
from hub.where import spent

#: Seconds between two looks at a job.
LOOK = 0.3


@dataclass(frozen=True)
class Workplace:
    """What the flows and the reconciler work with."""

    settings: Settings
    store: Orchestration
    studies: AllStudies
    executor: Executor
    notices: Notices

    @classmethod
    def of(cls, settings: Settings, *, carries: bool = False) -> Workplace:
        """carries : this process brings jobs to clusters and back. Raises OSError, StoreTooNew."""
        store = open_store(settings)
        return cls(
            settings, store.orchestration, store.all_studies, Anywhere(settings.home, carries=carries), store.notices
        )

    def run(self, row: Row) -> Run:
        return Run(self.settings.home / row.folder, self.settings.cache)


@contextmanager
def walking(run: Run) -> Iterator[bool]:
    """Whether this process is the one that walks the run now. The kernel ends the walk of a process that was killed."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / ".walker").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def is_walked(run: Run) -> bool:
    """Somebody walks the run at this moment."""
    if not (run.folder / ".walker").exists():
        return False
    with walking(run) as free:
        return not free


def walk(place: Workplace, run_id: str) -> None:
    """Bring a run on until it waits for its solve or has ended. Harmless if somebody else does so already.

    Raises ExecutorError where the executor is out of reach; whoever called may call again.
    """
    row = place.store.run(run_id)
    if row is None or row.state not in ACTIVE:
        return
    run = place.run(row)
    with walking(run) as mine:
        if not mine:
            return
        try:
            geometry = place.settings.files / row.geometry
            open_run(
                run,
                row.id,
                row.case_si,
                geometry,
                name=row.geometry_name,
                until=row.until,
                estimate=row.estimate,
                ranks=_ranks(place, row),
            )
        except (OSError, SolverBroken, Refused) as error:
            settle(place, run_id, conclude(run, None, failure_of(error, run)))
            return
        place.store.advance(run_id, expect={"queued"}, state="running")
        told: tuple[Stage, int, str] | None = None
        while True:
            standing = pipeline.advance(run, place.executor)
            if standing.result is not None:
                record(place, row, run)
                settle(place, run_id, standing.result)
                return
            told = tell(place, run_id, standing, told)
            if standing.stage == "solve":
                return
            time.sleep(LOOK)


def tell(
    place: Workplace, run_id: str, standing: Standing, told: tuple[Stage, int, str] | None
) -> tuple[Stage, int, str] | None:
    """Tell the store the stage and the attempt, if they are others than it was `told`."""
    if standing.stage is None or standing.attempt is None:
        return told
    number, state = int(standing.attempt.folder.name), str(standing.state or JobState.UNKNOWN)
    now = (standing.stage, number, state)
    if now != told:
        job = standing.attempt.job().name
        if told is None or told[0] != standing.stage:
            place.store.advance(run_id, expect={"running"}, stage=standing.stage)
        place.store.record_attempt(run_id, standing.stage, number, job=job, handle=standing.handle, state=state)
    return now


def record(place: Workplace, row: Row, run: Run) -> None:
    """Write down what became of every attempt of a run that has ended."""
    known = {(a.stage, a.number): a for a in place.store.attempts(row.id)}
    for stage in ("check", "mesh", "solve", "report"):
        for attempt in attempts(run.folder, stage):
            number = int(attempt.folder.name)
            state = "done" if (attempt.folder / "DONE").exists() else "failed"
            if (found := known.get((stage, number))) is None or found.state != state:
                place.store.record_attempt(row.id, stage, number, job=attempt.job().name, state=state)


def settle(place: Workplace, run_id: str, result: Result) -> None:
    """The run has ended: the store learns how."""
    place.store.advance(
        run_id,
        expect=ACTIVE,
        state=result.state,
        stage=_last_stage(place, run_id),
        failure=result.failure,
        actual=_actual(place, run_id, result),
    )


def _actual(place: Workplace, run_id: str, result: Result) -> dict[str, Any]:
    """What a run took, to be compared with its estimate."""
    seconds, ranks = result.timings.get("solve"), result.solver.get("ranks")
    waited = result.timings.get("queue")
    found = {"unknowns": result.solver.get("unknowns"), "seconds": seconds, "memory": result.solver.get("peak_memory")}
    row = place.store.run(run_id)
    cluster = row.case_si.get("resources", {}).get("cluster") if row else None
    if seconds and ranks:
        described = load_clusters(place.settings.home).get(str(cluster)) if cluster else None
        found |= {"queue": waited} if waited is not None else {}
        found |= {"ranks": ranks, "cluster": cluster or HERE, **spent(described, place.settings, ranks, seconds)}
    return found


def _last_stage(place: Workplace, run_id: str) -> Stage | None:
    """How far a run came."""
    reached = [attempt.stage for attempt in place.store.attempts(run_id)]
    return reached[-1] if reached else None


def _ranks(place: Workplace, row: Row) -> int:
    """What the case asks for, as far as the place has it."""
    given = row.case_si.get("resources", {})
    if given.get("cluster") not in (None, HERE, BEST):
        return int(given.get("ranks") or 1)  # checked against the cluster's limits when it was chosen
    available = place.settings.ranks
    return min(given.get("ranks") or available, available)
