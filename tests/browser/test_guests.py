"""Strangers and hostile input: no token, no page; markup stays text; a bad file gets words, not a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from surfing import BRACKET, ROOT, Hub, Pages

pytestmark = pytest.mark.timeout(600)

CAD = ROOT.parent / "shared" / "cad"
#: Each sets ``window.hacked`` or loads something from outside, where it is not shown as the text it is.
PAYLOADS = [
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg onload=window.hacked=1>",
    "![a](http://outside.example/a.png)",
    "[b](javascript:window.hacked=1)",
    "**c** _d_ `e` $f^2$ :red[g] :material/delete: # h",
]


def test_without_a_token_there_is_only_the_door(browser: Browser, hub: Hub, pictures: Path) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768}, base_url=hub.url, locale="en-GB")
    page = context.new_page()
    for path in ("/", "/runs", "/case", "/solvers"):
        page.goto(path)
        expect(page.get_by_role("heading", name="Welcome")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("New case")).to_have_count(0)
    page.get_by_label("Token or address").fill("not a token")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("This token is not known", exact=False)).to_be_visible()
    page.screenshot(path=pictures / "log-in.png")
    page.get_by_label("Token or address").fill(hub.address)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Solvers")).to_be_visible(timeout=30_000)
    cookie = next(c for c in context.cookies() if c["name"] == "officina")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    context.close()


def test_markup_in_names_and_titles_stays_text(pages: Pages) -> None:
    page = pages.page
    name = f"{PAYLOADS[1]} {PAYLOADS[5]}.step".replace("/", "|")
    pages.open("/case")
    step = BRACKET.read_bytes()
    for mark in (b"PRODUCT('", b"MANIFOLD_SOLID_BREP('", b"ADVANCED_FACE('"):
        step = step.replace(mark, mark + PAYLOADS[0].encode())
    pages.upload({"name": name, "mimeType": "application/step", "buffer": step})
    pages.shows("heading", name)
    pages.shot("payload-part")
    pages.press("Next")
    pages.press("Fixed")
    pages.pick("hole, ⌀ 11", alike=True)
    pages.shot("payload-faces")
    pages.press("4 · Check and run", exact=False)
    for payload in PAYLOADS:
        pages.type("Title of the case", payload)
        assert page.evaluate("window.hacked") is None
    title = " ".join(PAYLOADS)[:200].strip()
    pages.type("Title of the case", title)
    pages.press("3 · Material", exact=False)
    pages.choose("Material", "Structural steel S235JR")
    pages.press("2 · Held and loaded", exact=False)
    pages.press("Force")
    pages.type("Size of force", "1 N")
    pages.pick("hole, ⌀ 14")
    pages.press("4 · Check and run", exact=False)
    pages.press("Run it")
    page.wait_for_url("**/run?run=*")
    pages.shows("heading", title)
    pages.page.screenshot(path=pages._pictures / "payload-run.png")
    for path in ("/runs", "/"):
        pages.open(path)
        pages.shows("link", title)
        pages.shot(f"payload-{path.strip('/') or 'start'}")
    assert page.evaluate("window.hacked") is None
    assert page.locator("[data-testid=stMain] a[href*=outside], [data-testid=stMain] img[src*=outside]").count() == 0
    assert page.locator("[data-testid=stMain] script, [data-testid=stMain] svg[onload]").count() == 0


def test_a_program_that_calls_itself_a_part_is_refused_in_words(pages: Pages, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    geo = f'SystemCall "touch {canary}";\nPoint(1) = {{0,0,0}};\n'.encode()
    pages.open("/case")
    pages.page.locator("input[type=file]").first.set_input_files(
        {"name": "part.step", "mimeType": "application/step", "buffer": geo}
    )
    expect(pages.page.locator("[data-testid=stAlert]").first).to_be_visible(timeout=60_000)
    expect(pages.page.get_by_text("Traceback")).to_have_count(0)
    pages.shot("hostile-file")
    assert not canary.exists()


@pytest.mark.skipif(not CAD.is_dir(), reason="the corpus of real parts is not beside this checkout")
def test_questions_about_a_part_are_answered_by_buttons(pages: Pages) -> None:
    page = pages.page
    pages.open("/case")
    pages.upload(CAD / "trap_nist_pmi_11_unit_lie_inch.step")
    expect(page.get_by_text("Does this size look right?")).to_be_visible()
    pages.shot("question-size")
    pages.press("No, the numbers are mm")
    expect(page.get_by_text("mm, as you said")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Does this size look right?")).to_have_count(0)
    pages.open("/case")
    pages.upload(CAD / "asm_as1-oc-214.stp")
    expect(page.get_by_text("How are the parts joined?")).to_be_visible()
    pages.shot("question-contacts")
    pages.press("bonded", exact=False)
    pages.shot("question-answered")
    page.reload()
    pages.settled()
    expect(page.locator(".st-key-question-contacts")).to_contain_text("How are the parts joined?")


@pytest.mark.skipif(not CAD.is_dir(), reason="the corpus of real parts is not beside this checkout")
def test_surfaces_are_refused_with_the_next_step(pages: Pages) -> None:
    pages.open("/case")
    pages.upload(CAD / "iges_wing128_inch.igs")
    expect(pages.page.get_by_text("surfaces only", exact=False)).to_be_visible()
    pages.shot("refused-part")


def test_italian(pages: Pages) -> None:
    pages.open("/")
    pages.page.get_by_role("radio", name="Italiano").click()
    pages.settled()
    expect(pages.page.get_by_role("heading", name="Da un pezzo a una risposta controllata")).to_be_visible()
    pages.shot("italian")
