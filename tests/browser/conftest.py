"""A real hub on a home of its own, and a real browser in front of it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from listening import HookServer, MailServer, serving
from playwright.sync_api import Browser, expect, sync_playwright
from surfing import ROOT, Hub, Pages

from deploy.browser import CHROMIUM, QUIET
from hub.client import ClientError


@pytest.fixture(scope="session")
def mailbox() -> Iterator[MailServer]:
    with serving(MailServer()) as server:
        yield server


@pytest.fixture(scope="session")
def hook() -> Iterator[HookServer]:
    with serving(HookServer()) as server:
        yield server


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory, mailbox: MailServer, hook: HookServer) -> Iterator[Hub]:
    """``officina up`` on a free port, with orchestration up; it may send mail and tell one host of runs."""
    home = tmp_path_factory.mktemp("home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said: list[str] = []
    process = subprocess.Popen(
        [sys.executable, "-m", "hub.cli", "up", "--port", str(port)],
        cwd=ROOT,
        env={
            **os.environ,
            "OFFICINA_HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "OFFICINA_SMTP": f"127.0.0.1:{mailbox.server_address[1]}",
            "OFFICINA_SMTP_SECURITY": "none",
            "OFFICINA_WEBHOOK_HOSTS": f"127.0.0.1:{hook.server_address[1]}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: said.extend(iter(process.stdout.readline, "")), daemon=True)
    reader.start()
    try:
        address = _wait(lambda: next(iter(re.findall(r"http://\S+", "".join(said))), None), 90, said)
        token = (home / "secrets" / "token").read_text().strip()
        found = Hub(f"http://127.0.0.1:{port}", address, token)
        _wait(lambda: _orchestrated(found), 120, said)
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _orchestrated(hub: Hub) -> bool:
    try:
        return bool(hub.client().health()["orchestration"] == "ok")
    except ClientError:  # a busy machine prints the address before the pages answer
        return False


def _wait[T](ask: Callable[[], T | None], seconds: float, said: list[str]) -> T:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.2)
    raise AssertionError(f"nothing within {seconds:g} s; the hub said: {''.join(said)[-2000:]}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    expect.set_options(timeout=30_000)  # what is waited for is what comes, not how soon on a busy machine
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots go, on CI to be kept from there: ``OFFICINA_SCREENSHOTS``, or ``out/screenshots``."""
    folder = Path(os.environ.get("OFFICINA_SCREENSHOTS") or ROOT / "out" / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def pages(browser: Browser, hub: Hub, pictures: Path) -> Iterator[Pages]:
    """A logged-in browser window of an ordinary laptop. Fails for errors in the page and for any outside address."""
    context = browser.new_context(viewport={"width": 1366, "height": 768}, base_url=hub.url, locale="en-GB")
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
    page.on(
        "console",
        lambda said: wrong.append(f"console: {said.text}") if "THREE" in said.text or "WebGL" in said.text else None,
    )
    page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    context.on(
        "request",
        lambda request: (
            None if request.url.startswith((hub.url, "data:", "blob:")) else wrong.append(f"outside: {request.url}")
        ),
    )
    page.on("websocket", lambda socket: None if hub.url[4:] in socket.url else wrong.append(f"outside: {socket.url}"))
    page.goto(f"/api/v1/login?token={hub.token}")
    found = Pages(page, pictures)
    found.settled()
    yield found
    context.close()
    assert not wrong
