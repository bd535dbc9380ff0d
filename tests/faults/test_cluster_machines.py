"""The machines of a cluster fail: sshd, the controller, nodes, disks, limits. Real ones, on a cluster of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import SHORT, Bench, wait
from one_machine import OneMachine

from hub.executor import JobState
from hub.runfolder import Attempt, Done, Failure

#: What is slow to be noticed, begun together: kind -> attempt.
Slow = dict[str, Attempt]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, one_machine: OneMachine) -> Iterator[OneMachine]:
    """Nodes with networks of their own, where root allows."""
    machine = OneMachine(tmp_path_factory.mktemp("machines"), namespaces=os.geteuid() == 0)
    before = os.environ["SLURM_CONF"]
    os.environ.update(machine.environment)
    yield machine
    machine.do("down")
    os.environ["SLURM_CONF"] = before


@pytest.fixture(scope="module")
def bench(machine: OneMachine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(machine, tmp_path_factory.mktemp("bench"))
    yield bench
    bench.executor.close()
    bench.link.close()


def failure(attempt: Attempt) -> Failure:
    outcome = attempt.outcome()
    assert isinstance(outcome, Failure), f"{outcome}: {attempt.log_tail()}"
    assert outcome.message
    return outcome


def running(bench: Bench, attempt: Attempt) -> None:
    handle = bench.executor.submit(attempt)

    def runs() -> bool:
        bench.executor.round()
        return bench.executor.poll([handle])[handle] is JobState.RUNNING

    wait(runs, "the job to run")


@pytest.fixture(scope="module")
def slow(bench: Bench) -> Slow:
    """The time limit, which Slurm counts in minutes."""
    limited = bench.another(name="short", partition="short", limits={"cores": 2, "memory": "4 GB", "time": "60 s"})
    attempt = bench.attempt("exec sleep 300", time=3600.0)
    limited.submit(attempt)
    limited.round()
    limited.round()
    bench.limited = limited  # type: ignore[attr-defined]
    return {"limit": attempt}


def test_jobs_outlive_the_login_node(slow: Slow, bench: Bench, machine: OneMachine) -> None:
    attempt = bench.attempt("sleep 2; " + SHORT)
    running(bench, attempt)
    machine.do("kill", "sshd")
    bench.link.cut()
    bench.link.heal()
    time.sleep(2.5)
    bench.executor.round()
    handle = bench.executor.find(attempt.job().name)
    assert handle and bench.executor.poll([handle]) == {handle: JobState.UNREACHABLE}
    assert attempt.outcome() is None
    machine.do("start", "sshd")
    bench.ended(handle)
    bench.done(attempt)


def test_jobs_outlive_the_controller(bench: Bench, machine: OneMachine) -> None:
    """Of a start by its backfill scheduler Slurm writes nothing down: what it forgot it then cancels."""
    attempt = bench.attempt("sleep 9; " + SHORT)
    running(bench, attempt)
    handle = bench.executor.find(attempt.job().name)
    assert handle
    time.sleep(7.5)
    machine.do("kill", "slurmctld")
    try:
        bench.executor.round()
        assert bench.executor.poll([handle])[handle] in {JobState.UNKNOWN, JobState.RUNNING}
        assert attempt.outcome() is None, "a controller that is away says nothing about the job"
    finally:
        machine.do("start", "slurmctld")
    bench.ended(handle)
    machine.resume()
    bench.done(attempt)


def test_what_is_submitted_without_a_controller_waits(bench: Bench, machine: OneMachine) -> None:
    machine.do("kill", "slurmctld")
    attempt = bench.attempt()
    handle = bench.executor.submit(attempt)
    bench.executor.round()
    assert attempt.outcome() is None and not bench.executor.record(handle).id
    machine.do("start", "slurmctld")
    bench.ended(handle)
    bench.done(attempt)


def test_too_much_memory_is_told_as_such(bench: Bench) -> None:
    """In a step of srun, where Slurm itself says only that the job failed."""
    eater = "import time; b = bytearray(700_000_000); time.sleep(60)"
    attempt = bench.attempt(f'srun --mpi=pmi2 -n 1 python3 -c "{eater}" || exit 5', memory=200_000_000)
    bench.ended(bench.executor.submit(attempt))
    assert failure(attempt).code == "out-of-memory"


@pytest.mark.parametrize(("ranks", "partition"), [(6, "main"), (4, "short")])
def test_what_would_wait_for_ever_is_refused(bench: Bench, ranks: int, partition: str) -> None:
    limits = {"nodes": 9, "cores": 2, "memory": "4 GB", "time": "60 s"}
    hub = bench.another(name=f"wide{ranks}", partition=partition, limits=limits)
    attempt = bench.attempt(ranks=ranks)
    bench.ended(hub.submit(attempt), hub)
    assert failure(attempt).code == "refused"
    assert "Slurm" in failure(attempt).message or "scheduler" in failure(attempt).message


def test_a_partition_that_is_not_there_is_refused_with_its_words(bench: Bench) -> None:
    hub = bench.another(name="nowhere", partition="nowhere")
    attempt = bench.attempt()
    bench.ended(hub.submit(attempt), hub)
    assert failure(attempt).code == "refused" and "partition" in failure(attempt).message


def test_who_cancels_on_the_cluster_is_not_its_owner(bench: Bench, machine: OneMachine) -> None:
    attempt = bench.attempt("exec sleep 100")
    running(bench, attempt)
    machine.ask("scancel", "-n", attempt.job().name)
    handle = bench.executor.find(attempt.job().name)
    assert handle
    bench.ended(handle)
    assert failure(attempt).code == "killed" and "cancelled" in failure(attempt).message


def test_a_job_that_waits_is_cancelled_before_it_begins(bench: Bench, machine: OneMachine) -> None:
    machine.ask("scontrol", "update", "partition=main", "state=down")
    try:
        attempt = bench.attempt()
        handle = bench.executor.submit(attempt)
        bench.executor.round()
        bench.executor.cancel(handle)
        bench.ended(handle)
        assert failure(attempt).code == "cancelled" and not (attempt.folder / "starts").exists()
    finally:
        machine.ask("scontrol", "update", "partition=main", "state=up")


def test_a_full_scratch_is_told_as_such(
    one_machine: OneMachine, tmp_path: Path, disk_of: Callable[[int], Path]
) -> None:
    """On nodes that see mounts made later."""
    bench = Bench(one_machine, tmp_path)
    hub = bench.another(scratch=str(disk_of(12) / "scratch"))
    small = bench.attempt("head -c 20000000 /dev/zero >out/a.bin || exit 1")
    bench.ended(hub.submit(small), hub)
    assert failure(small).code == "disk-full", failure(small)
    large = bench.attempt(size=20_000_000)
    bench.ended(hub.submit(large), hub)
    assert failure(large).code == "disk-full", failure(large)
    hub.close()
    bench.link.close()


def test_a_result_that_was_changed_is_not_taken(bench: Bench) -> None:
    attempt = bench.attempt(SHORT + "; (sleep 0.5; echo x >>out/a.bin)  & wait")
    spoiled = attempt.job().argv[2].replace("mv DONE.part DONE", "mv DONE.part DONE; echo x >>out/a.bin")
    job = attempt.job().model_copy(update={"argv": ("sh", "-c", spoiled, "stage")})
    (attempt.folder / "job.json").write_text(job.model_dump_json())
    bench.ended(bench.executor.submit(attempt))
    assert failure(attempt).code == "corrupt-result"


def test_the_time_limit_of_the_cluster_is_told(slow: Slow, bench: Bench) -> None:
    handle = bench.limited.find(slow["limit"].job().name)  # type: ignore[attr-defined]
    bench.ended(handle, bench.limited, 120.0)  # type: ignore[attr-defined]
    assert failure(slow["limit"]).code == "time-limit"


def test_lost_nodes_lose_their_jobs_and_are_told(bench: Bench, machine: OneMachine) -> None:
    """One node is killed, the other (where it has a network of its own) cut off; both come back."""
    killed, cut = bench.attempt("exec sleep 200", ranks=2), bench.attempt("exec sleep 200", ranks=2)
    for attempt in (killed, cut):
        running(bench, attempt)
    place = {a: machine.ask("squeue", "-h", "-n", a.job().name, "-o", "%N") for a in (killed, cut)}
    assert sorted(place.values()) == ["n1", "n2"]
    namespaces = os.geteuid() == 0
    machine.do("kill", place[killed])
    machine.do(*(("cut", place[cut]) if namespaces else ("kill", place[cut])))
    for attempt in (killed, cut):
        handle = bench.executor.find(attempt.job().name)
        assert handle
        bench.ended(handle, seconds=90.0)
        assert failure(attempt).code == "lost" and "NODE_FAIL" in failure(attempt).message
    if namespaces:
        machine.do("heal", place[cut])
    machine.do("start", place[killed])
    if not namespaces:
        machine.do("start", place[cut])
    again = bench.attempt()
    bench.ended(bench.executor.submit(again))
    assert isinstance(again.outcome(), Done)
