"""Every page in both languages on a laptop and a tablet: nothing runs over, fails or is left in the other language."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from surfing import Hub, Pages

pytestmark = pytest.mark.timeout(600)

SIZES = {"laptop": (1366, 768), "tablet": (768, 1024)}
ADDRESSES = {
    "start": "/", "case": "/case", "runs": "/runs", "studies": "/studies", "clusters": "/clusters",
    "solvers": "/solvers", "compare": "/compare",
    "question": "/question?template=heat-sink", "help": "/help", "account": "/account", "board": "/board",
}  # fmt: skip


#: Text whose contrast with what lies behind it is below WCAG 2.1 AA: 4.5, or 3 for large text.
PALE = """() => {
  const rgb = (css) => (css.match(/[\\d.]+/g) || []).map(Number);
  const over = ([r, g, b, a = 1], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
  const linear = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => { const [r, g, b] = c.map(linear); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const found = new Set(), texts = document.createTreeWalker(document.querySelector("[data-testid=stMain]"), 4);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const box = text.parentElement, style = getComputedStyle(box), size = parseFloat(style.fontSize);
    if (!text.data.trim() || !box.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (box.closest("svg, canvas, .viewer, [disabled], [aria-disabled=true], style, script")) continue;
    if (style.fontFamily.includes("Material")) continue;  // symbols beside words
    const layers = [];
    for (let at = box; at; at = at.parentElement) layers.unshift(rgb(getComputedStyle(at).backgroundColor));
    const behind = layers.reduce((under, top) => (top.length ? over(top, under) : under), [255, 255, 255]);
    const [a, b] = [light(over(rgb(style.color), behind)), light(behind)].sort((x, y) => y - x);
    const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
    if ((a + 0.05) / (b + 0.05) < (large ? 3 : 4.5) - 0.05)
      found.add(`${((a + 0.05) / (b + 0.05)).toFixed(2)}: ${text.data.trim().slice(0, 40)} (${style.color})`);
  }
  return [...found];
}"""


@pytest.fixture(scope="module")
def shared(hub: Hub) -> tuple[str, str]:
    """A run that is done, and a link to it."""
    client = hub.client()
    template = next(t for t in client.templates() if t["name"] == "insulated-pipe")
    run = client.submit({**template["case"], "mesh": {"fineness": "coarse"}})["id"]
    assert client.wait(run, seconds=300)["state"] == "done"
    return run, client.share(run, files=True)["key"]


#: Where pictures are kept, both languages are looked at in both sizes.
ALL = [("laptop", "en"), ("tablet", "it"), ("laptop", "it"), ("tablet", "en")]
LOOKED_AT = ALL if os.environ.get("OFFICINA_SCREENSHOTS") else ALL[:2]


@pytest.mark.parametrize(("size", "language"), LOOKED_AT)
def test_pages_fit_and_speak_one_language(
    browser: Browser, hub: Hub, pictures: Path, shared: tuple[str, str], size: str, language: str
) -> None:
    run, key = shared
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, base_url=hub.url, locale=language)
    page = context.new_page()
    pages = Pages(page, pictures)
    outside: list[str] = []
    pale: list[str] = []
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
        pale += [f"{name}: {said}" for said in page.evaluate(PALE)]
        page.screenshot(path=pictures / f"page-{name}-{size}-{language}.png", full_page=True)
    context.close()
    assert not outside
    assert not pale
