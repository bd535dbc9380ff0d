"""How quick the pages are and what they keep in memory with many readers at once: run by hand, asserts nothing.

``python tests/browser/measure_pages.py [--home FOLDER] [--sessions 20] [--seconds 60]``: starts the pages and the API
on a free port (on a home with runs that are done, if one is given), opens sessions over websockets as browsers do, each
on one of the pages people work on, lets every one of them rerun at random about each `--pause` seconds, and prints the
percentiles of the time from asking for a rerun to the end of the script, and the memory for each session.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hub.case import load_yaml  # noqa: E402
from hub.client import Client, ClientError  # noqa: E402


class Session:
    """One reader on one page."""

    def __init__(self, page: str, query: str) -> None:
        self.page, self.query = page, query
        self.hash, self.messages = "", 0

    async def open(self, url: str, token: str) -> float:
        self.socket = await websockets.connect(
            url.replace("http", "ws") + "/_stcore/stream", max_size=None, subprotocols=["streamlit"],
            additional_headers={"Cookie": f"officina={token}", "Origin": url},
        )  # fmt: skip
        return await self.rerun()

    async def rerun(self) -> float:
        """Seconds from asking for a rerun to the end of the script."""
        asked = BackMsg()
        state = asked.rerun_script
        state.query_string, state.page_script_hash = self.query, self.hash
        if not self.hash:
            state.page_name = self.page
        state.context_info.timezone, state.context_info.locale = "Europe/Rome", "en-GB"
        begun = time.perf_counter()
        await self.socket.send(asked.SerializeToString())
        while True:
            message = ForwardMsg()
            message.ParseFromString(await asyncio.wait_for(self.socket.recv(), 60))
            self.messages += 1
            if message.WhichOneof("type") == "navigation":
                self.hash = message.navigation.page_script_hash
            if message.WhichOneof("type") == "script_finished":
                return time.perf_counter() - begun


def prepare(client: Client) -> list[tuple[str, str, str]]:
    """(name, page, query) of what readers look at: the steps of a case, lists, and results where there are some."""
    bracket = ROOT / "cases" / "bracket"
    case = load_yaml((bracket / "case.yaml").read_bytes())
    case["geometry"]["file"] = client.upload((bracket / "bracket.step").read_bytes(), "bracket.step")["id"]
    client.file(case["geometry"]["file"], wait=30)
    faces = client.check(case)["faces"]
    found = [("start", "", ""), ("runs", "runs", "")]
    for step in (1, 2, 3):
        draft = client.new_draft({"case": case, "file_name": "bracket.step", "faces": faces})["id"]
        found.append((f"case, step {step}", "case", f"draft={draft}&step={step}"))
    found += [("result", "run", f"run={run['id']}") for run in client.runs(state="done", limit=1)]
    return found


async def measure(url: str, token: str, pid: int, count: int, seconds: float, pause: float) -> None:
    pages = prepare(Client(url, token))
    web = psutil.Process(pid)

    def memory() -> float:
        return web.memory_info().rss / 1e6

    first = [Session(page, query) for _, page, query in pages]
    for session in first:  # what is loaded once is not a session's
        await session.open(url, token)
        await session.socket.close()
    await asyncio.sleep(2)
    before = memory()
    chosen = [pages[i % len(pages)] for i in range(count)]
    sessions = [Session(page, query) for _, page, query in chosen]
    opened = [await session.open(url, token) for session in sessions]
    times: dict[str, list[float]] = {}
    until = time.monotonic() + seconds

    async def work(session: Session, name: str) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(random.uniform(0.5, 1.5) * pause)
            times.setdefault(name, []).append(await session.rerun())

    await asyncio.gather(*(work(s, name) for s, (name, _, _) in zip(sessions, chosen, strict=True)))
    after = memory()
    everything = sorted(t for found in times.values() for t in found)

    def p95(found: list[float]) -> float:
        return 1e3 * sorted(found)[int(0.95 * (len(found) - 1))]

    print(f"{count} sessions, {len(everything)} reruns in {seconds:g} s, load {os.getloadavg()[0]:.1f}")
    print(f"first view        median {1e3 * statistics.median(opened):5.0f} ms, most {1e3 * max(opened):5.0f} ms")
    print(f"rerun             median {1e3 * statistics.median(everything):5.0f} ms, p95 {p95(everything):5.0f} ms")
    for name, found in times.items():
        print(f"  {name:15} median {1e3 * statistics.median(found):5.0f} ms, p95 {p95(found):5.0f} ms")
    print(
        f"memory            {before:.0f} MB before, {after:.0f} MB after: {(after - before) / count:.1f} MB a session"
    )
    for session in sessions:
        await session.socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=5.0)
    asked = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as fresh:
        home = asked.home or Path(fresh)
        url = f"http://127.0.0.1:{port}"
        given = {**os.environ, "OFFICINA_HOME": str(home), "OFFICINA_PORT": str(port), "OFFICINA_URL": url}
        web = subprocess.Popen([sys.executable, "-m", "hub.web"], cwd=ROOT, env=given)
        try:
            token = ""
            for _ in range(240):
                time.sleep(0.5)
                try:
                    token = token or (home / "secrets" / "token").read_text().strip()
                    Client(url, token).me()
                    break
                except (OSError, ClientError):
                    continue
            asyncio.run(measure(url, token, web.pid, asked.sessions, asked.seconds, asked.pause))
        finally:
            web.terminate()
            web.wait(20)


if __name__ == "__main__":
    main()
