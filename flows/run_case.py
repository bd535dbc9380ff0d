"""The two flows of a run. Prefect is given the run's id and nothing else; what is true stands in the folders."""

from __future__ import annotations

from prefect import flow

from flows.walk import Workplace, walk
from hub.settings import load


@flow(name="stage-and-submit", persist_result=False)
def stage_and_submit(run_id: str) -> None:
    """Check, mesh, submit the solve."""
    walk(Workplace.of(load()), run_id)


@flow(name="collect-and-report", persist_result=False)
def collect_and_report(run_id: str) -> None:
    """Verify the solve, report, close the run."""
    walk(Workplace.of(load()), run_id)
