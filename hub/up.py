"""``officina up``: the processes behind the hub, started, watched and ended together.

The pages and the API come first; Prefect's server and the orchestrator come up behind them. A process that ends is
started again, after a pause that grows while it keeps ending. Jobs are none of these processes' children in any
sense that matters: they go on when the hub stops, and are found again when it starts.
"""

from __future__ import annotations

import ctypes
import fcntl
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from hub.problem import Problem, Refused
from hub.runfolder import write_whole
from hub.settings import Settings, load

#: Pauses before a process is started again [s]; after LIVED seconds of life it begins with the first anew.
PAUSES = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
LIVED = 60.0
#: Seconds between SIGTERM and SIGKILL.
GRACE = 8.0
#: Longest wait for the pages before their address is printed all the same [s].
PATIENCE = 30.0
#: A log is begun anew when it is longer [byte]; the one before is kept.
LOG = 10_000_000

_prctl = ctypes.CDLL(None).prctl


class _Stop(Exception):
    """Somebody asked the hub to end."""


@dataclass
class Child:
    """One process of the hub: started again whenever it ends."""

    name: str
    argv: list[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    begun: float = 0.0
    ends: int = 0
    due: float = field(default=0.0)

    def start(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # if this process is killed the port must not stay taken by a hub that nobody watches
                preexec_fn=lambda: _prctl(1, signal.SIGKILL, 0, 0, 0),
            )
        self.begun = time.monotonic()

    def look(self) -> None:
        """Start the process if it does not run and its pause is over."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is None:
            return
        if self.process is not None:
            self._signal(signal.SIGKILL)  # what it may have left behind
            self.ends = 1 if now - self.begun > LIVED else self.ends + 1
            self.due = now + PAUSES[min(self.ends, len(PAUSES)) - 1]
            _say(f"{self.name} ended with {self.process.returncode}; it is started again. Its log: {self.log}")
            self.process = None
        if now >= self.due:
            self.start()

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None


def serve(host: str | None = None, port: int | None = None) -> int:
    """Run the hub until SIGTERM or Ctrl-C. Returns an exit code; raises Refused where it cannot start."""
    settings = load()
    settings = settings.model_copy(update={"host": host or settings.host, "port": port or settings.port})
    settings.make_home()
    with _alone(settings):
        _port_is_free(settings)
        children = processes(settings)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _stop)
        try:
            _watch(settings, children)
        except _Stop:
            _say("Stopping. Runs that are under way go on and are found again at the next start.")
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            _end(children)
    return 0


def _stop(*_: object) -> NoReturn:
    raise _Stop


def _watch(settings: Settings, children: list[Child]) -> NoReturn:
    """Start the pages, tell where they are, start the rest, and keep all of it going."""
    from hub.access import login_path
    from hub.store import open_store

    settings.heartbeat.unlink(missing_ok=True)
    children[0].start()
    store = open_store(settings)
    address = f"{settings.url}{login_path(settings, store)}"
    store.close()
    deadline = time.monotonic() + PATIENCE
    while not _answers(settings) and time.monotonic() < deadline:
        children[0].look()
        time.sleep(0.1)
    write_whole(settings.url_file, settings.url)
    print(f"Officina is here: {address}", flush=True)
    _say("The address logs you in once. Stop with Ctrl-C.")
    while True:
        for child in children:
            child.look()
        time.sleep(0.2)


def _end(children: list[Child]) -> None:
    for child in children:
        child.stop()
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline and not all(child.ended() for child in children):
        time.sleep(0.05)
    for child in children:
        child.kill()
        if child.process is not None:
            child.process.wait()


def processes(settings: Settings) -> list[Child]:
    """The processes of the hub, in the order of their starting."""
    common = {**os.environ, "OFFICINA_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}
    logs, python = settings.home / "logs", [sys.executable, "-P", "-m"]
    port, secret = _free_port(), _prefect_secret(settings)
    prefect = common | {
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": secret,
        "PREFECT_SERVER_API_AUTH_STRING": secret,
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_API_REQUEST_TIMEOUT": "10",
        "PREFECT_CLIENT_MAX_RETRIES": "1",
        "DO_NOT_TRACK": "1",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    server = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    server += ["--no-ui", "--no-scheduler", "--no-late-runs", "--analytics-off"]
    web = common | {
        "OFFICINA_HOST": settings.host,
        "OFFICINA_PORT": str(settings.port),
        "OFFICINA_URL": settings.url,
    }
    return [
        Child("The pages and the API", [*python, "hub.web"], web, logs / "web.log"),
        Child("Prefect's server", [*python, *server], prefect, logs / "prefect.log"),
        Child("The orchestrator", [*python, "flows.orchestrator"], prefect, logs / "orchestrator.log"),
    ]


def _prefect_secret(settings: Settings) -> str:
    """What protects Prefect's API on the loopback from other users of this machine; made at the first start."""
    file = settings.secrets / "prefect"
    with suppress(FileNotFoundError):
        if secret := file.read_text().strip():
            return secret
    secret = f"officina:{secrets.token_urlsafe(32)}"
    mask = os.umask(0o077)
    try:
        write_whole(file, secret + "\n")
    finally:
        os.umask(mask)
    return secret


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One hub a home. Raises Refused, saying where the other one is."""
    file = settings.home / "up.json"
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            try:
                other = json.loads(lock.read())
                found = f"a hub of this home that runs already at {other['url']} (process {other['pid']})"
            except (ValueError, KeyError):
                found = "a hub of this home that is just starting"
            raise Refused(
                [
                    Problem(
                        where=str(settings.home),
                        found=found,
                        expected="one hub a home",
                        todo="Use that one, stop it, or set OFFICINA_HOME to another folder.",
                        code="runs-already",
                    )
                ]
            ) from None
        lock.truncate(0)
        lock.write(json.dumps({"url": settings.url, "pid": os.getpid()}))
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def _port_is_free(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((settings.host, settings.port))
        except OSError as error:
            raise Refused(
                [
                    Problem(
                        where=f"{settings.host}:{settings.port}",
                        found=error.strerror or "not usable",
                        expected="a free port of this machine",
                        todo="Choose another one with --port.",
                        code="port-taken",
                    )
                ]
            ) from None


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _answers(settings: Settings) -> bool:
    """The pages answer."""
    host = settings.url.removeprefix("http://").rsplit(":", 1)[0].strip("[]")
    connection = http.client.HTTPConnection(host, settings.port, timeout=2.0)
    try:
        connection.request("GET", "/api/v1/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
