"""``python -m deploy.bench.dispatch [--runs N] [--post N]``: how a hub hands runs to Slurm, and answers meanwhile.

A whole hub (``officina up``) and a one-machine cluster are started on this machine. The jobs are entered as flows enter
those of solves, by a process that does not carry, first N alike (they go as an array), then N that ask for different
memory (each by itself). The partition is down, so that what is measured is the handing over; then it is opened and the
small jobs run to their ends. With --post so many real runs are entered before by ``POST /runs``, by four at a time.
Rates count from the first job's being entered to Slurm's last number; the hub is asked all the time, and its memory
(that of all its processes) looked at.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from deploy.cluster import output, running
from hub.case import load_data
from hub.catalogue import templates
from hub.client import Client
from hub.clusters import save
from hub.executor import Handle, JobState
from hub.remote import ClusterExecutor
from hub.runfolder import Attempt, Done, Job
from hub.settings import Settings

#: A solve that takes no time.
STAGE = """cd "$1"; echo it >out/a.bin
printf '{"files": {"a.bin": "%s"}}' "$(sha256sum <out/a.bin | cut -d ' ' -f 1)" >DONE.part; mv DONE.part DONE"""
#: What browsers and programs ask a hub for again and again.
ASKED = ("/api/v1/health", "/api/v1/me", "/api/v1/runs?limit=50", "/api/v1/clusters", "/api/v1/studies", "/")
PATIENCE = 300.0


def until(true: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.25)


class Hub:
    """A hub on a home of its own, with its answers and its memory watched."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            self.settings = Settings(home=home, port=trial.getsockname()[1]).make_home()
        argv = [sys.executable, "-m", "hub.cli", "up", "--port", str(self.settings.port)]
        environment = os.environ | {"OFFICINA_HOME": str(home)}
        self.process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        self.answers: list[float] = []
        self.memory: list[int] = []
        self._over = threading.Event()
        self._watchers = [threading.Thread(target=w, daemon=True) for w in (self._ask, self._weigh)]

    def ready(self) -> None:
        """Wait until pages and orchestration are there, and begin to watch."""
        until(self.settings.token_file.exists, "the hub")
        self.client = Client(self.settings.url, self.settings.token_file.read_text().strip())

        def up() -> bool:
            try:
                return bool(self.client.health()["orchestration"] == "ok")
            except Exception:
                return False

        until(up, "the orchestration")
        for watcher in self._watchers:
            watcher.start()

    def _ask(self) -> None:
        import httpx

        headers = {"Authorization": f"Bearer {self.settings.token_file.read_text().strip()}"}
        with httpx.Client(base_url=self.settings.url, headers=headers, timeout=60, follow_redirects=True) as http:
            while not self._over.is_set():
                for path in ASKED:
                    begun = time.perf_counter()
                    http.get(path).raise_for_status()
                    self.answers.append(time.perf_counter() - begun)
                    time.sleep(0.05)

    def _weigh(self) -> None:
        me = psutil.Process(self.process.pid)
        while not self._over.is_set():
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.memory.append(total)
            time.sleep(0.5)

    def since(self) -> tuple[int, int]:
        return len(self.answers), len(self.memory)

    def report(self, what: str, mark: tuple[int, int]) -> dict[str, float]:
        """What was seen since `mark`, printed: p95 of the answers [s], memory at first and at most [byte]."""
        answers, memory = self.answers[mark[0] :], self.memory[mark[1] :]
        p95 = statistics.quantiles(answers, n=20)[-1] if len(answers) > 1 else float("nan")
        first, most, longest = memory[0] if memory else 0, max(memory, default=0), max(answers, default=float("nan"))
        print(f"{what:26} {len(answers):5} answers, p95 {1e3 * p95:4.0f} ms, longest {1e3 * longest:5.0f} ms;  "
              f"memory {first / 1e6:.0f} MB, at most {(most - first) / 1e6:+.0f} MB", flush=True)  # fmt: skip
        return {"p95": p95, "longest": longest, "memory": first, "growth": most - first}

    def stop(self) -> None:
        self._over.set()
        for watcher in self._watchers:
            if watcher.is_alive():
                watcher.join(60)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def enter(home: Path, executor: ClusterExecutor, runs: int, alike: bool) -> list[Attempt]:
    """Runs whose solves are to go to the cluster."""
    made = []
    for number in range(runs):
        name = f"b{uuid.uuid4().hex}-solve-1"
        memory = 500_000_000 + (0 if alike else number << 20)
        job = Job(name=name, argv=("sh", "-c", STAGE, "stage"), memory=memory, cluster=executor.cluster.name)
        made.append(Attempt.create(home / "runs" / name, {"case.json": {"text": "x" * 3000}}, {}, job))
    return made


def hand_over(hub: Hub, executor: ClusterExecutor, runs: int, alike: bool) -> tuple[dict[str, float], list[Handle]]:
    """Enter jobs and wait until Slurm has given all of them numbers."""
    attempts, mark = enter(hub.settings.home, executor, runs, alike), hub.since()
    began = time.time()
    handles = [executor.submit(attempt) for attempt in attempts]
    until(lambda: executor.record(handles[-1]).id, "the last number")
    until(lambda: all(executor.record(h).id for h in handles), "every number")
    rate = runs / (max(executor.record(h).sent for h in handles) - began)
    name = "as an array" if alike else "each by itself"
    print(f"{runs} {name}: {rate:.0f}/s (asked: {50 if alike else 20})", flush=True)
    return {"rate": rate, **hub.report("  meanwhile", mark)}, handles


def post(hub: Hub, cluster: str, runs: int) -> dict[str, float]:
    """Enter runs of the cantilever, each with another load, by ``POST /runs``; then see how they get to Slurm."""
    folder = templates()["cantilever"]
    case, _ = load_data(folder)
    file = hub.client.upload(folder / case["geometry"]["file"])["id"]
    token = hub.settings.token_file.read_text().strip()

    def one(number: int) -> str:
        mine = copy.deepcopy({**case, "geometry": {"file": file}, "mesh": {"size": "50 mm"}, "quantities": []})
        mine["conditions"][2]["value"][2] = f"{-1000 - number} N"
        mine["resources"] = {"cluster": cluster, "ranks": 1, "memory": "1 GB", "time": "5 min"}
        with Client(hub.settings.url, token) as client:
            return str(client.submit(mine)["id"])

    mark, begun = hub.since(), time.monotonic()
    with ThreadPoolExecutor(4) as at_once:
        made = set(at_once.map(one, range(runs)))
    seconds = time.monotonic() - begun
    print(f"{len(made)} entered by POST /runs: {len(made) / seconds:.1f}/s", flush=True)
    found = {"entered": len(made), "rate": len(made) / seconds, **hub.report("  meanwhile", mark)}
    mark = hub.since()
    time.sleep(45)
    jobs = [n for n in output("squeue", "-h", "-r", "-t", "all", "-o", "%j").split() if n.partition("-")[0] in made]
    print(f"{len(jobs)} of them at Slurm {seconds + 45:.0f} s after the first was entered", flush=True)
    found |= {"at_slurm": len(jobs), **{f"staging_{k}": v for k, v in hub.report("  while staged", mark).items()}}
    for run in made:
        hub.client.cancel(run)
    return found


def measure(folder: Path, runs: int, posted: int) -> dict[str, Any]:
    """Measure, print and return the figures."""
    figures: dict[str, Any] = {}
    with running(folder / "cluster") as cluster:
        hub = Hub(folder / "home")
        try:
            save(hub.settings.home, cluster)
            hub.ready()
            executor = ClusterExecutor(cluster, hub.settings.home, carries=False)
            mark = hub.since()
            time.sleep(8)
            figures["idle"] = hub.report("nothing to do", mark)
            if posted:
                figures["post"] = post(hub, cluster.name, posted)
            output("scontrol", "update", "partition=main", "state=down")
            figures["array"], first = hand_over(hub, executor, runs, alike=True)
            figures["single"], second = hand_over(hub, executor, runs, alike=False)
            mark = hub.since()
            time.sleep(10)
            figures["waiting"] = hub.report("all wait in the queue", mark)
            output("scontrol", "update", "partition=main", "state=up")
            mark, begun = hub.since(), time.monotonic()
            handles = first[:20] + second[:20]
            for handle in [*first[20:], *second[20:]]:
                executor.cancel(handle)
            every = [*first, *second]
            until(lambda: set(executor.poll(every).values()) == {JobState.ENDED}, "the end of all")
            figures["ending"] = {"seconds": time.monotonic() - begun, **hub.report("40 run, the rest ends", mark)}
            good = sum(isinstance(Attempt(executor.folder(h)).outcome(), Done) for h in handles)
            print(
                f"{good} of the {len(handles)} that ran are done, {figures['ending']['seconds']:.0f} s until all ended"
            )
            mark = hub.since()
            time.sleep(5)
            figures["after"] = hub.report("after all", mark)
        finally:
            hub.stop()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="officina bench dispatch", description="A hub and Slurm on this machine.")
    parser.add_argument("--runs", type=int, default=500, metavar="N")
    parser.add_argument("--post", type=int, default=0, metavar="N", help="real runs entered by POST /runs before")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="officina-bench-") as folder:
        figures = measure(Path(folder), given.runs, given.post)
    print(json.dumps({"cores": os.cpu_count(), "runs": given.runs, **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
