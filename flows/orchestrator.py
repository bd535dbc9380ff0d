"""``python -m flows.orchestrator``: the dispatcher, the reconciler and the runner of flows, in one process.

It needs ``PREFECT_API_URL`` and is restarted by whoever started it: on anything unexpected, such as a Prefect whose
database is another one now, it ends and begins anew, because everything it knows is read again at its start.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner
from prefect.states import Crashed

from flows.reconcile import Planned, reconcile
from flows.retain import retain
from flows.run_case import collect_and_report, stage_and_submit
from flows.study import AT_ONCE, reconcile_studies, study
from flows.walk import Workplace
from hub import pipeline
from hub.anywhere import Anywhere
from hub.notify import deliver
from hub.settings import load
from hub.store import Message

log = logging.getLogger("officina.orchestration")

#: Seconds between two looks at the outbox, and between two comparisons with reality.
POLL, COMPARE = 0.5, 2.0
#: Seconds between two looks at what clusters keep.
RETAIN = 600.0
#: How long a message stays with a dispatcher that was killed before another one may have it [s].
LEASE = 20.0
#: Flows that run at a time: they wait more than they work.
LIMIT = 4 + AT_ONCE
#: Longest wait for Prefect's server at the start [s].
PATIENCE = 180.0
_FLOWS = {"stage": stage_and_submit, "collect": collect_and_report, "study": study}


class _Runner(Runner):
    """Ends at once when told to: its flows may be killed at any moment and are begun again."""

    def handle_sigterm(self, *_: object) -> None:
        os._exit(0)


class Loop:
    """Feeds messages to Prefect and compares."""

    def __init__(self, place: Workplace, client: SyncPrefectClient, deployments: dict[str, UUID]) -> None:
        self.place, self.client, self.deployments = place, client, deployments
        self.started = time.time()

    def forever(self) -> None:
        """Ends only by an exception."""
        compared = 0.0
        while True:
            self.dispatch()
            if time.monotonic() - compared > COMPARE:
                self.compare()
                compared = time.monotonic()
            time.sleep(POLL)

    def tend(self) -> None:
        """Bring from clusters what is asked for, warn of what leaves them and remove what is past its days. Ends only
        by an exception."""
        executor, retained = self.place.executor, 0.0
        while isinstance(executor, Anywhere):
            executor.attend()
            if time.monotonic() - retained > RETAIN:
                retain(executor, self.place.notices)
                retained = time.monotonic()
            time.sleep(POLL)

    def end(self) -> None:
        """End and cancel runs without asking Prefect, which may be slow or away. Ends only by an exception."""
        while True:
            reconcile(self.place, None, self.started)
            reconcile_studies(self.place, None, self.started)
            time.sleep(COMPARE)

    def tell(self) -> None:
        """Send what people asked to be told; a slow server keeps nothing else waiting. Ends only by an exception."""
        while True:
            deliver(self.place.settings, self.place.notices)
            time.sleep(COMPARE)

    def compare(self) -> None:
        """Compare with what Prefect has planned, and begin what nobody has begun."""
        try:
            planned = self.planned()
        except httpx.HTTPError as error:
            log.warning("Prefect cannot be asked: %s", error)
            return
        begin, dead = reconcile_studies(self.place, planned, self.started)
        for study_id in begin:
            deployment = self.deployments["study"]
            self.client.create_flow_run_from_deployment(deployment, parameters={"study_id": study_id}, name=study_id)
        for flow_run in [*reconcile(self.place, planned, self.started), *dead]:
            self.client.set_flow_run_state(UUID(flow_run), Crashed(message="Its process is gone."), force=True)
        self.place.settings.heartbeat.touch()

    def dispatch(self) -> None:
        """Act on the messages that are due. A flow run is made before its message goes: a crash between the two
        makes the same flow run again, which Prefect knows by the message's id."""
        for message in self.place.store.due(lease=LEASE):
            try:
                self._act(message)
            except httpx.HTTPError as error:
                log.warning("message %s waits: %s", message.id, error)
                self.place.store.retry(message, min(8.0, 2.0**message.tries))
            else:
                self.place.store.done(message)

    def _act(self, message: Message) -> None:
        if message.action == "cancel":
            if row := self.place.store.run(message.run):
                pipeline.cancel(self.place.run(row), self.place.executor)
            return
        self.client.create_flow_run_from_deployment(
            self.deployments[message.action],
            parameters={"run_id": message.run},
            name=f"{message.run}-{message.action}-{message.tries}",
            idempotency_key=message.id,
        )

    def planned(self) -> dict[str, list[Planned]]:
        """The flow runs that Prefect has not ended, by run or study.

        Raises ObjectNotFound if Prefect has forgotten us.
        """
        self.client.read_deployment(self.deployments["stage"])
        going = FlowRunFilter.model_validate(
            {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING", "PAUSED"]}}}
        )
        found: dict[str, list[Planned]] = defaultdict(list)
        for flow_run in self._all(going):
            state = flow_run.state
            if state is None:
                continue
            plan = Planned(str(flow_run.id), not state.is_scheduled(), state.timestamp.timestamp())
            given = flow_run.parameters
            found[str(given.get("run_id") or given.get("study_id"))].append(plan)
        return found

    def _all(self, wanted: FlowRunFilter) -> list[FlowRun]:
        found: list[FlowRun] = []
        while True:
            page = self.client.read_flow_runs(flow_run_filter=wanted, limit=200, offset=len(found))
            found += page
            if len(page) < 200:
                return found


def wait_for_prefect(client: SyncPrefectClient) -> None:
    """Until Prefect's server answers. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while client.api_healthcheck() is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Prefect's server did not answer within {PATIENCE:.0f} s")
        time.sleep(0.5)


async def run(place: Workplace) -> None:
    """Register the flows, start the loop, and run flows for ever."""
    with get_client(sync_client=True) as client:
        await asyncio.to_thread(wait_for_prefect, client)
        runner = _Runner(name="officina", limit=LIMIT, query_seconds=1, pause_on_shutdown=False)
        deployments: dict[str, Any] = {}
        for action, flow in _FLOWS.items():
            deployments[action] = await runner.aadd_flow(flow, name="officina")
        loop = Loop(place, client, deployments)
        for work in (loop.forever, loop.end, loop.tell, loop.tend):
            threading.Thread(target=_or_die, args=(work,), daemon=True).start()
        await runner.start()


def _or_die(work: Callable[[], None]) -> None:
    """Work for ever; on a stumble the whole process ends, to begin anew."""
    try:
        work()
    except ObjectNotFound:
        log.warning("Prefect has another database now: registering anew")
    except BaseException:
        log.exception("the loop stumbled")
    os._exit(75)


def main() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(run(Workplace.of(load(), carries=True)))


if __name__ == "__main__":
    main()
