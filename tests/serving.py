"""A hub for tests: the API mounted as the product mounts it, behind a real server on a real port."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from hub.api import create
from hub.client import Client
from hub.settings import Settings
from hub.store import Caller, Role, Store, open_store

ROOT = Path(__file__).resolve().parents[1]
BRACKET = ROOT / "cases" / "bracket" / "bracket.step"


@dataclass
class Hub:
    """A hub that answers. `url` is that of the API."""

    settings: Settings
    store: Store
    url: str
    token: str

    def http(self, token: str | None = None, **headers: str) -> httpx.Client:
        """A connection with the administrator's token, with another, or (``""``) with none."""
        given = self.token if token is None else token
        if given:
            headers["Authorization"] = f"Bearer {given}"
        return httpx.Client(base_url=self.url, headers=headers, timeout=120, trust_env=False)

    def client(self, token: str | None = None) -> Client:
        return Client(self.url.removesuffix("/api/v1"), token or self.token)

    def member(self, organisation: str, user: str, role: Role) -> tuple[Caller, str]:
        caller = self.store.members.add(organisation, user, role)
        return caller, self.store.members.mint(caller)

    @property
    def administrator(self) -> Caller:
        caller = self.store.members.who(self.token)
        assert caller is not None
        return caller


@contextmanager
def serve(settings: Settings) -> Iterator[Hub]:
    """A hub in this process, in a thread."""
    store = open_store(settings)
    app = Starlette(routes=[Mount("/api/v1", create(settings, store))])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Hub(settings, store, f"http://127.0.0.1:{port}/api/v1", settings.token_file.read_text().strip())
    finally:
        server.should_exit = True
        thread.join(20)
        store.close()


_PROGRAM = """
import os, resource, sys, uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from hub.api import create
from hub.settings import load
limit = int(os.environ.get("TEST_LARGEST_FILE", 0))
app = Starlette(routes=[Mount("/api/v1", create(load()))])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", lifespan="off")
"""


@contextmanager
def serve_process(
    settings: Settings, port: int, environment: Mapping[str, str] = {}
) -> Iterator[subprocess.Popen[bytes]]:
    """A hub in a process of its own, which may be limited or killed."""
    env = {**os.environ, "OFFICINA_HOME": str(settings.home), **environment}
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(port)], cwd=ROOT, env=env)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/api/v1/health", trust_env=False)
                break
            except httpx.TransportError:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()
