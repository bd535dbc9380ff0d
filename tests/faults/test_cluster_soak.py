"""Many jobs, each with its own random schedule of faults, through a link that breaks and hubs that are killed.

Every job ends in the state that is true of it: nothing runs twice, nothing is lost, nothing is said that is not so.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import NamedTuple

from bench import Bench
from one_machine import OneMachine

from hub.executor import Handle, JobState
from hub.runfolder import Attempt, Done, Failure

#: Jobs (``OFFICINA_SOAK=200`` is the long way), seconds with faults, and seconds after which all must have ended.
JOBS = int(os.environ.get("OFFICINA_SOAK", "80"))
FAULTS, LIMIT = 35.0, 240.0
#: A failure that a stage tells itself.
DIVERGED = """cd "$1"; echo $$ >>starts; sleep {seconds}
printf '{{"code": "diverged", "message": "The residual grew."}}' >FAILED.part; mv FAILED.part FAILED; exit 3"""


class Plan(NamedTuple):
    """What is to happen to a job: when it is submitted (again), cancelled, and how it ends by itself."""

    attempt: Attempt
    submits: tuple[float, ...]
    cancel: float | None
    good: bool


def plan(bench: Bench, dice: random.Random) -> Plan:
    good, seconds = dice.random() < 0.8, round(dice.uniform(0, 0.6), 2)
    attempt = bench.attempt(f"sleep {seconds}; echo it >out/a.bin")
    if not good:
        program = DIVERGED.format(seconds=seconds)
        job = attempt.job().model_copy(update={"argv": ("sh", "-c", program, "stage")})
        (attempt.folder / "job.json").write_text(job.model_dump_json())
    first = dice.uniform(0, FAULTS * 0.6)
    again = tuple(first + dice.uniform(0, 10) for _ in range(dice.choice((0, 0, 1, 2))))
    cancel = first + dice.uniform(0, 8) if dice.random() < 0.15 else None
    return Plan(attempt, (first, *again), cancel, good)


def hub(bench: Bench) -> int:
    """A hub in a process of its own, which makes rounds until it is killed."""
    if child := os.fork():
        return child
    try:
        executor = bench.another()
        while True:
            executor.round()
            time.sleep(0.1)
    finally:
        os._exit(1)


def bury(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def all_ended(bench: Bench, plans: list[Plan], deadline: float, seed: int) -> None:
    front, names = bench.executor, [Handle(p.attempt.job().name) for p in plans]
    while left := [n for n, state in front.poll(names).items() if state is not JobState.ENDED]:
        assert time.monotonic() < deadline, f"seed {seed}: {len(left)} left, {front.record(left[0])}"
        bench.machine.resume()
        time.sleep(0.5)
    # nodes the controller comes to doubt last are not left to the next test
    while bench.machine.ask("squeue", "-h") and time.monotonic() < deadline:
        time.sleep(0.5)
    bench.machine.resume()


def fresh(attempt: Attempt) -> Attempt:
    """The next attempt, as the pipeline makes it."""
    job = attempt.job()
    job = job.model_copy(update={"name": job.name.removesuffix("1") + "2"})
    return Attempt.create(attempt.folder.with_name(job.name), {}, {}, job)


def refused_by_its_node(bench: Bench, name: Handle) -> bool:
    """Whether a node cancelled the job for its number: a controller that was killed gives numbers again, and a node
    that could not tell it of the end of the first job of a number takes no second one."""
    number = bench.executor.record(name).id.partition("_")[0]
    logs = [(bench.machine.folder / "log" / f"{node}.log").read_text("utf-8", "replace") for node in ("n1", "n2")]
    return any(f"Could not launch job {number} and not able to requeue it" in log for log in logs)


def test_random_schedules_of_faults(one_machine: OneMachine, tmp_path: Path) -> None:
    seed = int(os.environ.get("OFFICINA_SEED", "5"))
    dice, bench = random.Random(seed), Bench(one_machine, tmp_path)
    plans = [plan(bench, dice) for _ in range(JOBS)]
    events = [(at, "submit", p.attempt) for p in plans for at in p.submits]
    events += [(p.cancel, "cancel", p.attempt) for p in plans if p.cancel is not None]
    events += [(dice.uniform(1, FAULTS), "kill hub", None) for _ in range(10)]
    events += [(dice.uniform(1, FAULTS), "cut", None) for _ in range(10)]
    events += [(dice.uniform(1, FAULTS), "cut soon", None) for _ in range(10)]
    events += [(FAULTS / 2, "sshd", None), (FAULTS * 2 / 3, "slurmctld", None)]
    events.sort(key=lambda event: event[0])
    front, began, child = bench.executor, time.monotonic(), hub(bench)
    try:
        for at, what, attempt in events:
            time.sleep(max(0.0, began + at - time.monotonic()))
            if what == "submit" and attempt:
                front.submit(attempt)
            elif what == "cancel" and attempt:
                front.cancel(Handle(attempt.job().name))
            elif what == "kill hub":
                bury(child)
                child = hub(bench)
            elif what == "cut":
                bench.link.cut()
                bench.link.heal()
            elif what == "cut soon":
                bench.link.heal()
                bench.link.budget = dice.randrange(1000, 200_000)
            else:
                one_machine.do("kill", what)
                one_machine.do("start", what)
            if not bench.link.whole:
                bench.link.heal()
        bench.link.heal()
        all_ended(bench, plans, began + LIMIT, seed)
        # a controller that is killed forgets what it took in its last seconds: those are lost, and get a fresh attempt
        lost = [p for p in plans if isinstance(o := p.attempt.outcome(), Failure) and o.code == "lost"]
        again = [p._replace(attempt=fresh(p.attempt)) for p in lost]
        for p in again:
            front.submit(p.attempt)
        all_ended(bench, again, time.monotonic() + LIMIT, seed)
    finally:
        bury(child)
        bench.link.close()
    assert len(lost) < JOBS / 2
    for p in [*(p for p in plans if p not in lost), *again]:
        outcome, starts = p.attempt.outcome(), p.attempt.folder / "starts"
        ran = len(starts.read_text().split()) if starts.exists() else 0
        about = f"seed {seed}, {p}: {outcome}"
        assert ran <= 1, f"ran {ran} times: {about}"
        if isinstance(outcome, Done):
            assert p.good and ran == 1, about
        else:
            assert isinstance(outcome, Failure), about
            codes = {"diverged"} if not p.good else set[str]()
            if refused_by_its_node(bench, Handle(p.attempt.job().name)):
                codes |= {"killed"}
            assert outcome.code in codes | ({"cancelled"} if p.cancel is not None else set()), about
