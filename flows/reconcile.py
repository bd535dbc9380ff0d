"""The comparison of what is wanted (the store), what is planned (Prefect) and what is (folders, jobs, locks).

Reality wins. Nothing here is remembered between two looks, so the loop may be killed and started at any time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from flows.walk import Workplace, is_walked, record, settle
from hub import pipeline
from hub.executor import JobState
from hub.run import Run
from hub.runfolder import attempts
from hub.store import Run as Row

log = logging.getLogger("officina.orchestration")

#: How long a flow that Prefect calls pending or running may go without walking its run [s].
START = 20.0


@dataclass(frozen=True)
class Planned:
    """A flow run that Prefect has not ended: its id, whether it was handed to a process, and when that was [s]."""

    id: str
    begun: bool
    since: float


def reconcile(place: Workplace, planned: Mapping[str, list[Planned]] | None, started: float) -> list[str]:
    """Move on every run that nobody moves on.

    planned : run id -> its flows; None if Prefect cannot be asked: then runs are ended but not begun
    started : when the runner of flows was started [s]; flows begun before that went with the runner before
    Returns the ids of flows that are dead though Prefect thinks otherwise.
    """
    dead: list[str] = []
    for row in place.store.active():
        try:
            dead += _one(place, row, None if planned is None else planned.get(row.id, []), started)
        except Exception:  # one run must not keep the others from being looked at
            log.exception("run %s could not be reconciled", row.id)
    return dead


def _one(place: Workplace, row: Row, flows: list[Planned] | None, started: float) -> list[str]:
    run = place.run(row)
    result = pipeline.cancel(run, place.executor).result if row.state == "cancelling" else run.result
    if result is not None:
        record(place, row, run)
        settle(place, row.id, result)
        return []
    if flows is None or row.state == "cancelling" or is_walked(run) or _waits_for_solve(place, run):
        return []
    alive: list[Planned] = []
    dead: list[Planned] = []
    for flow in flows:
        gone = flow.begun and (flow.since < started or time.time() - flow.since > START)
        (dead if gone else alive).append(flow)
    if not alive:
        place.store.post(row.id, "collect" if attempts(run.folder, "solve") else "stage")
    return [flow.id for flow in dead]


def _waits_for_solve(place: Workplace, run: Run) -> bool:
    """The solve is under way, or cannot be asked after now: then waiting is right too."""
    tried = attempts(run.folder, "solve")
    if not tried or attempts(run.folder, "report"):
        return False
    handle = place.executor.find(tried[-1].job().name)
    return handle is not None and place.executor.poll([handle])[handle] is not JobState.ENDED
