"""The link to a cluster, broken wherever it hurts: a real sshd and Slurm behind a link that can be cut.

After each: the job ran once, what came back is what was written, and while nobody could be asked nothing was said.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from bench import SHORT, Bench, wait
from one_machine import OneMachine

from hub.executor import Handle, JobState
from hub.remote import ClusterExecutor
from hub.runfolder import Attempt, Done, Failure
from hub.transport import Ssh, Unreachable


@pytest.fixture
def bench(one_machine: OneMachine, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(one_machine, tmp_path)
    yield bench
    bench.executor.close()
    bench.link.close()


@pytest.fixture
def ready(bench: Bench) -> Bench:
    """Connected, with our code there, so that what is cut is what comes next."""
    attempt = bench.attempt()
    bench.ended(bench.executor.submit(attempt))
    bench.done(attempt)
    return bench


def test_an_upload_goes_on_where_it_was_cut(ready: Bench) -> None:
    size = 40_000_000
    attempt = ready.attempt("sha256sum in/big.bin; " + SHORT, size=size)
    handle, before = ready.executor.submit(attempt), ready.link.up
    ready.link.budget = size * 3 // 4
    ready.executor.round()
    assert ready.executor.poll([handle]) == {handle: JobState.UNREACHABLE}
    assert ready.executor.trouble is not None and not ready.jobs(handle)
    ready.link.heal()
    ready.ended(handle)
    ready.done(attempt)
    assert ready.link.up - before < 1.4 * size, "what had arrived was sent again"


def test_a_download_goes_on_where_it_was_cut(ready: Bench) -> None:
    size = 40_000_000
    attempt = ready.attempt(f"head -c {size} /dev/urandom >out/a.bin")
    handle, before = ready.executor.submit(attempt), ready.link.down
    ready.link.budget = size * 3 // 4
    wait(lambda: ready.executor.round() and not ready.link.whole, "the cut")
    assert not (attempt.folder / "DONE").exists()
    assert ready.executor.poll([handle]) == {handle: JobState.UNREACHABLE}
    ready.link.heal()
    ready.ended(handle)
    ready.done(attempt)
    assert ready.link.down - before < 1.4 * size, "what had arrived was sent again"


def test_a_command_that_was_cut_has_no_result(ready: Bench, tmp_path: Path) -> None:
    """It may go on all the same."""
    way = Ssh(ready.executor.cluster, ready.folder)
    threading.Timer(0.7, ready.link.cut).start()
    with pytest.raises(Unreachable):
        way.run(["sh", "-c", f"sleep 1.5; touch {tmp_path}/went-on"])
    wait((tmp_path / "went-on").exists, "the command to go on")


def test_a_peer_that_is_frozen_is_out_of_reach(ready: Bench) -> None:
    way = Ssh(ready.executor.cluster, ready.folder)
    assert way.run(["echo", "x"]).out == b"x\n"
    ready.link.swallows = True
    with pytest.raises(Unreachable):
        way.run(["echo", "x"], timeout=1.0)


def test_a_cut_between_sbatch_and_its_number_submits_once(ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = ready.attempt("sleep 2; " + SHORT)
    handle = ready.executor.submit(attempt)
    send = paramiko.Channel.sendall

    def blind(channel: paramiko.Channel, lines: bytes) -> None:  # the names of jobs make the command begin
        ready.link.swallows = b" 1 " in lines and handle.encode() in lines
        send(channel, lines)

    monkeypatch.setattr(paramiko.Channel, "sendall", blind)
    round_ = threading.Thread(target=ready.executor.round)
    round_.start()
    wait(lambda: ready.jobs(handle), "Slurm to take the job")
    assert ready.executor.record(handle).id == ""
    ready.link.cut()
    round_.join()
    assert ready.executor.poll([handle]) == {handle: JobState.UNREACHABLE}
    monkeypatch.undo()
    ready.link.heal()
    fresh = ready.another()
    ready.ended(handle, fresh)
    ready.done(attempt)
    assert len(ready.jobs(handle)) == 1


def test_another_host_key_is_refused(ready: Bench, one_machine: OneMachine) -> None:
    other = (one_machine.folder / "key.pub").read_text().split()  # a good key, of somebody else
    attempt = ready.attempt()
    stranger = ready.another(host_key=" ".join(other[:2]))
    handle = stranger.submit(attempt)
    stranger.round()
    assert stranger.trouble is not None and stranger.trouble.code == "host-key"
    assert stranger.poll([handle]) == {handle: JobState.UNREACHABLE}
    assert not ready.jobs(handle)


def test_a_key_that_is_not_let_in_is_told(ready: Bench, one_machine: OneMachine) -> None:
    attempt = ready.attempt()
    stranger = ready.another(key=str(one_machine.folder / "host-key"))
    handle = stranger.submit(attempt)
    stranger.round()
    assert stranger.trouble is not None and stranger.trouble.code == "refused"
    assert stranger.poll([handle]) == {handle: JobState.UNREACHABLE}


def killed_at(step: str, bench: Bench, attempt: Attempt) -> None:
    """A hub that submits the attempt and is killed before or after a command of that name."""
    executor = bench.another()
    do, (moment, action) = executor._courier.do, step.split()

    def deadly(far: object, what: str, *words: str, **rest: object) -> bytes:
        if (moment, action) == ("before", what):
            os.kill(os.getpid(), signal.SIGKILL)
        answer = do(far, what, *words, **rest)  # type: ignore[arg-type]
        if (moment, action) == ("after", what):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    executor._courier.do = deadly  # type: ignore[method-assign]
    executor.submit(attempt)
    while True:
        executor.round()


def test_a_hub_killed_in_any_place_loses_nothing(bench: Bench) -> None:
    """Killed before and after it places, submits, looks and brings back; another process goes on."""
    attempts = []
    steps = ("before place", "after place", "before submit", "after submit", "after look", "after ends", "after pack")
    for step in steps:
        attempt = bench.attempt()
        if (child := os.fork()) == 0:
            try:
                killed_at(step, bench, attempt)
            finally:
                os._exit(1)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, step
        attempts.append(attempt)
    time.sleep(1.0)  # jobs end while there is no hub
    fresh = bench.another()
    for attempt in attempts:
        bench.ended(Handle(attempt.job().name), fresh)
        bench.done(attempt)
        assert len(bench.jobs(attempt.job().name)) <= 1


def test_two_hubs_on_one_home_submit_once(ready: Bench) -> None:
    attempt, other = ready.attempt("sleep 0.5; " + SHORT), ready.another()
    together = threading.Barrier(2)

    def hub(executor: ClusterExecutor) -> None:
        together.wait()
        handle = executor.submit(attempt)
        while executor.poll([handle])[handle] is not JobState.ENDED:
            executor.round()

    hubs = [threading.Thread(target=hub, args=(e,)) for e in (ready.executor, other)]
    [h.start() for h in hubs]
    [h.join(60) for h in hubs]
    ready.done(attempt)
    assert len(ready.jobs(attempt.job().name)) == 1


def test_clocks_that_differ_change_nothing(ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's clock jumps by hours, both ways, while a job runs."""
    attempt, now = ready.attempt("sleep 1.5; " + SHORT), time.time
    handle = ready.executor.submit(attempt)
    for skew in (0.0, 7200.0, -7200.0, 0.0):
        monkeypatch.setattr(time, "time", lambda skew=skew: now() + skew)
        for _ in range(3):
            ready.executor.round()
        assert attempt.outcome() is None or isinstance(attempt.outcome(), Done)
    ready.ended(handle)
    ready.done(attempt)


def test_a_checkpoint_is_linked_there_and_not_carried(ready: Bench) -> None:
    stem = f"t{uuid.uuid4().hex}-solve"
    first = ready.attempt("mkdir checkpoint; head -c 20000000 /dev/zero >checkpoint/state; exit 7", name=f"{stem}-1")
    ready.ended(ready.executor.submit(first))
    assert isinstance(first.outcome(), Failure) and not first.checkpoint.exists()
    up, down = ready.link.up, ready.link.down
    second = ready.attempt("stat -c %s in/checkpoint/state >out/a.bin", name=f"{stem}-2")
    ready.ended(ready.executor.submit(second))
    ready.done(second)
    assert (second.out / "a.bin").read_text() == "20000000\n"
    assert ready.link.up - up < 1_000_000 and ready.link.down - down < 1_000_000


def test_large_results_stay_until_asked_for(ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.courier.LIGHT", 8_000_000)
    attempt = ready.attempt("head -c 9000000 /dev/urandom >out/big.bin; " + SHORT)
    handle = ready.executor.submit(attempt)
    ready.ended(handle)
    assert not (attempt.out / "big.bin").exists()
    left = ready.executor.register.left(handle)
    assert left["big.bin"]["bytes"] == 9_000_000
    ready.executor.register.ask(handle)
    ready.executor.round()
    assert not ready.executor.register.left(handle)
    assert (attempt.out / "big.bin").stat().st_size == 9_000_000
    assert isinstance(attempt.outcome(), Done) and not ready.executor.register.wanted()


def test_what_the_next_stage_draws_from_comes_however_large(ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.courier.LIGHT", 5_000_000)
    attempt = ready.attempt("head -c 9000000 /dev/urandom >out/fields.vtu; " + SHORT, needed=("fields.vtu",))
    ready.ended(ready.executor.submit(attempt))
    assert (attempt.out / "fields.vtu").stat().st_size == 9_000_000


def test_results_that_are_gone_there_are_asked_for_once(ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.courier.LIGHT", 8_000_000)
    attempt = ready.attempt("head -c 9000000 /dev/urandom >out/big.bin; " + SHORT)
    handle, register = ready.executor.submit(attempt), ready.executor.register
    ready.ended(handle)
    ready.executor.remove([handle])
    register.ask(handle)
    ready.executor.round()
    assert (
        not register.wanted()
        and (register.entry(handle) / "not-brought").read_text()
        and isinstance(attempt.outcome(), Done)
    )
