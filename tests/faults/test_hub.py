"""The whole hub as ``officina up`` starts it, and its processes killed one after the other.

After each: the run ends in a state that is true, no stage was run twice, and no folder is half written.
"""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from ground import BEAM, beam, jobs_of, kill, nothing_half_written, nothing_is_left, workers

from hub.client import Client, ClientError
from hub.run import Run
from hub.runfolder import attempts
from hub.settings import Settings

#: Longest time for anything on a machine that is busy with other tests too [s].
PATIENCE = 180.0
titles = (f"a beam, asked the {n}th time" for n in count(1))


def until(true: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """What `true` returns as soon as it is something; the hub may be away meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := true():
                return found
        except ClientError as error:
            if error.status not in (0, 502, 503):
                raise
        time.sleep(0.1)
    pytest.fail(f"waited in vain for {what}")


class Hub:
    """A running ``officina up``."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            port = trial.getsockname()[1]
        self.settings = Settings(home=home, port=port)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "OFFICINA_HOME": str(self.settings.home)}
        argv = [sys.executable, "-m", "hub.cli", "up", "--port", str(self.settings.port)]
        self.process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        until(lambda: self.settings.token_file.exists(), "the token")
        self.client = Client(self.settings.url, self.settings.token_file.read_text().strip())
        until(self.client.health, "the pages", 60.0)

    def orchestrated(self) -> None:
        until(lambda: self.client.health()["orchestration"] == "ok", "the orchestration")

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(30) == 0

    def part(self, words: str) -> psutil.Process | None:
        """The process of the hub that was started with these words."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            try:
                if words in " ".join(child.cmdline()):
                    return child
            except psutil.Error:
                continue
        return None

    def kill_part(self, words: str) -> None:
        """Kill one of the hub's processes and wait until there is a new one."""
        before = until(lambda: self.part(words), words)
        kill(before.pid)
        until(lambda: (now := self.part(words)) and now.pid != before.pid, f"another {words}")

    def flow(self) -> psutil.Process | None:
        """The process of a flow."""
        orchestrator = self.part("flows.orchestrator")
        for child in orchestrator.children() if orchestrator else []:
            try:
                if "spawn_main" in " ".join(child.cmdline()):
                    return child
            except psutil.Error:
                continue
        return None

    def submit(self, **changes: Any) -> str:
        file = self.client.upload(BEAM)
        until_ = changes.pop("until", "report")
        case = beam(next(titles), **changes)
        return str(self.client.submit({**case, "geometry": {"file": file["id"]}}, until=until_)["id"])

    def folder(self, run: str) -> Run:
        return Run(self.settings.runs / run, self.settings.cache)

    def solving(self, run: str) -> None:
        """Until both ranks of the solve work."""
        name = f"{run}-solve-1"
        until(lambda: len(workers(name)) >= 2, "the solve")

    def ended(self, run: str) -> dict[str, Any]:
        """The run once it has ended, after a look at what must be true of every run that has."""
        found: dict[str, Any] = until(
            lambda: (r := self.client.run(run))["state"] not in ("queued", "running", "cancelling") and r, "the end"
        )
        assert nothing_half_written(self.folder(run)), sorted(self.folder(run).folder.rglob("*"))
        assert nothing_is_left(self.folder(run))
        return found


ONCE = {"check": 1, "mesh": 1, "solve": 1, "report": 1}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    hub = Hub(tmp_path_factory.mktemp("up") / "home")
    hub.start()
    hub.orchestrated()
    try:
        yield hub
    finally:
        hub.stop()


def test_the_flow_is_killed_while_it_meshes(hub: Hub) -> None:
    run = hub.submit(size=41.0, until="mesh")
    until(lambda: attempts(hub.folder(run).folder, "mesh"), "the mesh stage")
    flow = until(hub.flow, "the flow")
    kill(flow.pid)
    ended = hub.ended(run)
    assert ended["state"] == "done", ended
    assert jobs_of(hub.folder(run)) == {"check": 1, "mesh": 1, "solve": 0, "report": 0}


def test_prefect_is_killed_and_its_database_lost_while_it_solves(hub: Hub) -> None:
    before = {r["id"] for r in hub.client.runs()}
    run = hub.submit()
    hub.solving(run)
    server = until(lambda: hub.part("prefect server"), "the server")
    kill(server.pid)
    for file in (hub.settings.home / "prefect").glob("prefect.db*"):
        file.unlink()
    ended = hub.ended(run)
    assert ended["state"] == "done", ended
    assert jobs_of(hub.folder(run)) == ONCE
    assert {r["id"] for r in hub.client.runs()} == before | {run}


def test_the_orchestrator_is_killed_while_it_solves(hub: Hub) -> None:
    run = hub.submit()
    hub.solving(run)
    hub.kill_part("flows.orchestrator")
    ended = hub.ended(run)
    assert ended["state"] == "done", ended
    assert jobs_of(hub.folder(run)) == ONCE


def test_the_pages_are_killed(hub: Hub) -> None:
    runs = {r["id"]: r["state"] for r in hub.client.runs()}
    hub.kill_part("hub.web")
    assert until(lambda: {r["id"]: r["state"] for r in hub.client.runs()}, "the pages") == runs


def test_the_database_is_locked_for_five_seconds(hub: Hub) -> None:
    lock = sqlite3.connect(hub.settings.home / "officina.db", isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    release = threading.Timer(5.0, lambda: lock.execute("ROLLBACK"))
    release.start()
    begun = time.monotonic()
    run = hub.submit(until="mesh")
    assert time.monotonic() - begun > 4.0, "the lock was not in the way"
    release.join()
    lock.close()
    assert hub.ended(run)["state"] == "done"


def test_the_same_question_sixteen_times_at_once_is_one_run(hub: Hub) -> None:
    file = hub.client.upload(BEAM)
    case = {**beam(next(titles)), "geometry": {"file": file["id"]}}
    together, found = threading.Barrier(16), []

    def submit() -> None:
        with Client(hub.settings.url, hub.settings.token_file.read_text().strip()) as client:
            together.wait()
            found.append(client.submit(case, until="mesh")["id"])

    threads = [threading.Thread(target=submit) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16 and len(set(found)) == 1
    assert hub.ended(found[0])["state"] == "done"
    assert jobs_of(hub.folder(found[0])) == {"check": 1, "mesh": 1, "solve": 0, "report": 0}


def test_cancelled_while_prefect_is_away(hub: Hub) -> None:
    run = hub.submit()
    hub.solving(run)
    server = until(lambda: hub.part("prefect server"), "the server")
    server.send_signal(signal.SIGSTOP)
    try:
        hub.client.cancel(run)
        ended = hub.ended(run)
    finally:
        server.kill()
    assert ended["state"] == "cancelled", ended


def test_everything_is_killed_and_started_again(hub: Hub) -> None:
    run = hub.submit()
    hub.solving(run)
    assert hub.process is not None
    family = psutil.Process(hub.process.pid).children(recursive=True)
    kill(hub.process.pid)
    hub.process.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    for process in alive:
        process.kill()
    hub.start()
    ended = hub.ended(run)
    assert ended["state"] == "done", ended
    assert jobs_of(hub.folder(run)) == ONCE


def test_a_second_hub_of_the_home_says_where_the_first_is(hub: Hub) -> None:
    environment = {**os.environ, "OFFICINA_HOME": str(hub.settings.home)}
    argv = [sys.executable, "-m", "hub.cli", "up", "--port", "1"]
    said = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 2
    assert hub.settings.url in said.stderr and "Traceback" not in said.stderr


def test_a_taken_port_is_said(hub: Hub, tmp_path: Path) -> None:
    environment = {**os.environ, "OFFICINA_HOME": str(tmp_path / "other")}
    argv = [sys.executable, "-m", "hub.cli", "up", "--port", str(hub.settings.port)]
    said = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    shutil.rmtree(tmp_path / "other", ignore_errors=True)
    assert said.returncode == 2
    assert "--port" in said.stderr and "Traceback" not in said.stderr
