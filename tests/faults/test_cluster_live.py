"""What is seen of jobs while they run, how rarely a scheduler is asked for it, and what it says of waiting."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from bench import Bench, wait
from one_machine import OneMachine

from hub.anywhere import Anywhere
from hub.clusters import save
from hub.executor import JobState
from hub.forecast import Wait, expected
from hub.remote import INTERVAL, LOOKS, ClusterExecutor
from hub.scheduler import Demand

#: Tells how it goes until it is let go.
TALKS = """echo '{"doing": "solving", "step": 3, "of": 9, "values": {}}' >status.part; mv status.part status.json
echo '{"residual": 0.5, "step": 1}' >history.jsonl; echo said
while [ ! -e go ]; do sleep 0.2; done; echo it >out/a.bin"""


@pytest.fixture
def bench(one_machine: OneMachine, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(one_machine, tmp_path)
    yield bench
    bench.executor.close()
    bench.link.close()


def listen(executor: ClusterExecutor) -> list[tuple[float, str, bool]]:
    """Every command to the cluster from now on: when, which, and whether the scheduler is asked by it."""
    heard, do = list[tuple[float, str, bool]](), executor._courier.do

    def listening(far: object, action: str, *words: str, **rest: object) -> bytes:
        asks = action == "foresee" or (action == "look" and words[0] == "1")
        heard.append((time.monotonic(), action, asks))
        return do(far, action, *words, **rest)  # type: ignore[arg-type]

    executor._courier.do = listening  # type: ignore[method-assign]
    return heard


def test_what_a_job_says_is_seen_between_questions_to_the_scheduler(bench: Bench) -> None:
    """Carried as a hub does it, with a third of its interval."""
    interval = INTERVAL / 3
    executor = ClusterExecutor(bench.executor.cluster, bench.folder / "home", interval=interval)
    heard, attempt = listen(executor), bench.attempt(TALKS)
    handle = executor.submit(attempt)

    def poll() -> JobState:
        return executor.poll([handle])[handle]

    wait(lambda: poll() is JobState.RUNNING and attempt.status().doing == "solving", "its state")
    wait(lambda: poll() and attempt.history() and "said" in attempt.log_tail(), "its residuals and its log")
    seen = len(heard)
    wait(lambda: poll() and len([h for h in heard[seen:] if h[1] == "look"]) >= 2 * LOOKS, "two times LOOKS looks")
    there = Path(bench.machine.folder / "scratch" / "runs" / handle)
    (there / "go").touch()
    wait(lambda: poll() is JobState.ENDED, "the end")
    executor.close()
    asked = [at for at, _, asks in heard if asks]
    looks = [at for at, action, _ in heard if action == "look"]
    assert len(asked) > 2 and all(b - a >= 0.99 * interval for a, b in pairwise(asked))
    assert len(looks) > len(asked), "files are looked at more often than the scheduler is asked"
    assert json.loads((attempt.folder / "used.json").read_text())["waited"] >= 0
    assert Anywhere(bench.folder / "home").interval == INTERVAL == 10.0, "a hub asks every ten seconds"


def test_a_scheduler_says_when_a_job_would_start(bench: Bench) -> None:
    """On an idle cluster, on one that is full for a quarter of an hour, and to a job that never could."""
    cluster, home = bench.executor.cluster, bench.folder / "home"
    save(home, cluster)
    front, carrier = Anywhere(home), Anywhere(home, carries=True, interval=0.4)

    def said(wanted: Demand) -> Wait:
        assert front.cluster(cluster.name) is not None and not front.carries
        found = list[Wait]()

        def heard() -> bool:
            if answer := expected(home, cluster, wanted):
                found.append(answer)
            carrier.attend()
            return bool(found)

        wait(heard, "what the scheduler says")
        return found[0]

    full = Demand(2, 4, 1000, 10)
    idle = said(full)
    assert idle.seconds is not None and idle.seconds <= 60, idle
    number = bench.machine.ask(
        "sbatch", "--parsable", "-N", "2", "-n", "4", "-t", "15", "--mem=1000", "-o", "/dev/null", "--wrap", "sleep 900"
    )
    try:
        wait(lambda: "RUNNING" in bench.machine.ask("squeue", "-h", "-j", number, "-o", "%T"), "the cluster to be full")
        busy = said(full._replace(time=11))
        assert busy.seconds is not None and 600 < busy.seconds <= 960, busy
        never = said(full._replace(nodes=9, ranks=18))
        assert never.seconds is None and "not" in never.said, never
    finally:
        bench.machine.ask("scancel", number)
        carrier.close()
    assert not bench.machine.ask("squeue", "-h", "-t", "pending,running", "-n", "batch.sh"), "nothing was submitted"
