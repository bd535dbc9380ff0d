"""Every page in both languages on a laptop and a tablet: nothing runs over, fails or is left in the other language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from surfing import Hub, Pages

pytestmark = pytest.mark.timeout(600)

SIZES = {"laptop": (1366, 768), "tablet": (1024, 1366)}
ADDRESSES = {
    "start": "/", "case": "/case", "runs": "/runs", "studies": "/studies", "clusters": "/clusters",
    "solvers": "/solvers", "compare": "/compare", "help": "/help", "account": "/account", "board": "/board",
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(hub: Hub) -> tuple[str, str]:
    """A run that is done, and a link to it."""
    client = hub.client()
    template = next(t for t in client.templates() if t["name"] == "insulated-pipe")
    run = client.submit({**template["case"], "mesh": {"fineness": "coarse"}})["id"]
    assert client.wait(run, seconds=300)["state"] == "done"
    return run, client.share(run, files=True)["key"]


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("size", list(SIZES))
def test_pages_fit_and_speak_one_language(
    browser: Browser, hub: Hub, pictures: Path, shared: tuple[str, str], size: str, language: str
) -> None:
    run, key = shared
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, base_url=hub.url, locale=language)
    page = context.new_page()
    pages = Pages(page, pictures)
    outside: list[str] = []
    inside = (hub.url, "data:", "blob:")
    context.on("request", lambda r: None if r.url.startswith(inside) else outside.append(r.url))
    addresses = {"shared": f"/shared?key={key}", "door": "/"}  # both without a log-in
    for name, address in addresses.items():
        pages.open(address)
        page.screenshot(path=pictures / f"page-{name}-{size}-{language}.png", full_page=True)
    page.goto(f"/api/v1/login?token={hub.token}")
    pages.settled()
    for name, address in {**ADDRESSES, "run": f"/run?run={run}"}.items():
        pages.open(address)
        if name == "run":
            expect(page.locator(".viewer[data-ready='3d']")).to_be_visible(timeout=60_000)
        assert page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth") <= 0, name
        main = page.locator("[data-testid=stMain]")
        assert main.get_by_text(re.compile("Traceback|KeyError|TypeError")).count() == 0, name
        assert page.locator("[data-testid=stException]").count() == 0, name
        expect(main.get_by_role("heading").first).to_be_visible()
        page.screenshot(path=pictures / f"page-{name}-{size}-{language}.png", full_page=True)
    context.close()
    assert not outside
