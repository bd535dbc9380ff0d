"""The one flow of a study, and the comparison of what is wanted of studies with what is."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from prefect import flow

from flows.reconcile import START, Planned
from flows.walk import Workplace
from hub.catalogue import SolverBroken
from hub.problem import Refused
from hub.settings import load
from hub.store import GOING, StudyRecord
from hub.study import read
from hub.sweep import Progress, Sweep, end_points, open_study, retry, walk

log = logging.getLogger("officina.orchestration")

#: Studies that are walked at a time; each fills the machine.
AT_ONCE = 2


@flow(name="study", persist_result=False)
def study(study_id: str) -> None:
    """Solve the points of a study, reduce them to its table."""
    walk_study(Workplace.of(load()), study_id)


def sweep_of(place: Workplace, row: StudyRecord) -> Sweep:
    return Sweep(place.settings.home / row.folder, place.settings.cache)


def walk_study(place: Workplace, study_id: str) -> None:
    """Bring a study to its end. Harmless if somebody else does so already."""
    studies = place.studies
    row = studies.study(study_id)
    if row is None or row.state not in GOING:
        return
    sweep = sweep_of(place, row)
    with sweep.walking() as mine:
        if not mine:
            return
        if row.state == "queued":
            retry(sweep)  # of a study that is asked for again, only what failed is run
        studies.advance(study_id, expect={"queued"}, state="running")
        try:
            open_study(
                sweep,
                read({**row.study, "case": row.case}),
                row.case,
                place.settings.files / row.geometry,
                name=row.geometry_name,
            )
        except (OSError, SolverBroken, Refused) as error:
            failure = {"code": "crashed", "message": "The study could not be opened.", "hint": str(error)[:500]}
            studies.advance(study_id, expect=GOING, state="failed", failure=failure)
            return

        def tell(now: Progress) -> None:
            studies.advance(study_id, expect=GOING, counts=vars(now))
            current = studies.study(study_id)
            if current is not None and current.state == "cancelling":
                sweep.cancel()

        result = walk(sweep, place.settings, tell)
        studies.advance(study_id, expect=GOING, state=result.state, counts=vars(sweep.progress()))


def reconcile_studies(
    place: Workplace, planned: Mapping[str, Sequence[Planned]] | None, started: float
) -> tuple[list[str], list[str]]:
    """(studies to begin, flows that are dead though Prefect thinks otherwise).

    planned : study -> its flows, None if Prefect cannot be asked: then studies are ended but not begun
    """
    begin: list[str] = []
    dead: list[str] = []
    walked = 0
    for row in place.studies.going():
        sweep = sweep_of(place, row)
        if row.state == "cancelling":
            sweep.cancel()
            _end(place, row, sweep)
            continue
        with sweep.walking() as free:
            pass
        if not free:
            walked += 1
            continue
        if planned is None:
            continue
        flows = planned.get(row.id, ())
        gone = [f for f in flows if f.begun and (f.since < started or time.time() - f.since > START)]
        dead += [f.id for f in gone]
        if len(gone) < len(flows):
            walked += 1
        elif walked + len(begin) < AT_ONCE:
            begin.append(row.id)
    return begin, dead


def _end(place: Workplace, row: StudyRecord, sweep: Sweep) -> None:
    """End a study that nobody walks."""
    with sweep.walking() as mine:
        if mine and end_points(sweep, place.settings):
            place.studies.advance(row.id, expect=GOING, state="cancelled", counts=vars(sweep.progress()))
