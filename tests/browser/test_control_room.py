"""Staff's way: the board shows whose run stands where and nothing that is theirs; and the ways out of the hub."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from listening import HookServer, MailServer
from playwright.sync_api import Browser, expect
from surfing import BRACKET, ROOT, Hub, Pages

from hub.case import load_yaml
from hub.client import Client

pytestmark = pytest.mark.timeout(600)

#: What a customer may have typed: none of it may be seen, or do anything, on a page of staff.
SECRET = "<img src=x onerror=window.hacked=1> **Gearbox X9** =HYPERLINK(1)"


def beam(client: Client) -> dict[str, Any]:
    """A case that is meshed at once."""
    folder = ROOT / "cases" / "cantilever"
    file = client.upload(folder / "beam.step")["id"]
    return {**load_yaml((folder / "case.yaml").read_bytes()), "geometry": {"file": file}, "mesh": {"size": "80 mm"}}


def test_a_board_without_content_a_quota_and_the_audit(pages: Pages, hub: Hub) -> None:
    page, client = pages.page, hub.client()
    case = next(t for t in client.templates() if t["name"] == "bracket")["case"]
    run = client.submit({**case, "title": SECRET, "mesh": {"size": "1.6 mm"}})["id"]
    person = "<script>window.hacked=1</script> _op_"
    login = client.add_member(person, "staff")["login"]
    page.context.clear_cookies()
    pages.open(login)
    pages.open("/board")
    card = page.locator(f".st-key-board-{run}")
    expect(card).to_contain_text(run[-8:], timeout=30_000)
    pages.shot("board-running")
    card.get_by_role("button", name="Act").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(card).to_have_count(0, timeout=60_000)  # cancelled: nothing is to be done about it
    assert client.wait(run, seconds=60)["state"] == "cancelled"
    for tab in ("Organisations", "Predicted and actual", "Audit"):
        page.get_by_role("tab", name=tab).click()
        pages.shot(f"board-{tab.split()[0].lower()}")
        for word in ("Gearbox", "bracket.step"):
            assert word not in page.content(), tab
    page.get_by_role("tab", name="Organisations").click()
    page.get_by_role("textbox", name="Core-hours, empty for no limit").fill("0,5")
    page.get_by_role("button", name="Set", exact=True).click()
    pages.settled()
    assert next(o for o in client.organisations() if o["active"] >= 0)["quota"]["core_hours"] == 0.5
    client.set_quota(client.organisations()[0]["id"], None)
    events = [(deed["user"], deed["event"]) for deed in client.audit()]
    assert {(person, "cancel"), (person, "set quota")} <= set(events)
    pages.open(f"/run?run={run}")
    expect(page.get_by_role("heading", name="Gearbox")).to_be_visible()
    assert page.evaluate("window.hacked") is None


def test_staff_run_a_failed_run_again_and_move_it(pages: Pages, hub: Hub, tmp_path: Path) -> None:
    page, client = pages.page, hub.client()
    here = {"transport": "local", "scheduler": "none", "scratch": str(tmp_path / "scratch")}
    client.describe_cluster("attic", here)
    run = client.submit({**beam(client), "title": SECRET, "resources": {"time": "1 ms"}})["id"]
    assert client.wait(run, seconds=120)["failure"]["code"] == "time-limit"

    def act(on: str, deed: str) -> str:
        """What is pressed on a card, and the run that comes of it."""
        known = {each["id"] for each in client.board()}
        pages.open("/board")
        page.locator(f".st-key-board-{on}").get_by_role("button", name="Act").click()
        pages.shot(f"board-{deed.split()[0].lower()}")
        page.get_by_role("button", name=deed).click()
        made = page.locator("[class*=st-key-board-]").filter(has_not=page.locator(f".st-key-board-{on}"))
        expect(made.first).to_be_visible()
        pages.settled()
        (new,) = {each["id"] for each in client.board()} - known
        return new

    again = act(run, "Run again")
    moved = act(again, "Move to attic")
    assert next(each for each in client.board() if each["id"] == moved)["cluster"] == "attic"
    client.cancel(moved)
    assert client.wait(again, seconds=120)["state"] == "cancelled"  # what was under way elsewhere is no more
    assert client.wait(moved, seconds=120)["state"] == "cancelled"
    assert client.case(again) == client.case(run)
    events = [(deed["event"], deed["subject"]) for deed in client.audit()]
    assert ("retry", run) in events
    assert ("move to attic", again) in events
    client.forget_cluster("attic")


def test_a_wish_to_be_told_is_kept_and_the_end_of_a_run_arrives(
    pages: Pages, hub: Hub, mailbox: MailServer, hook: HookServer
) -> None:
    page, client = pages.page, hub.client()
    pages.open("/account")
    page.get_by_label("By mail to").fill("anna@example.org")
    page.get_by_label("By a webhook at").fill("http://169.254.169.254/")
    pages.press("Keep")
    expect(page.locator("[data-testid=stAlert]", has_text="a host that may be told")).to_be_visible()
    page.get_by_label("By a webhook at").fill(f"http://127.0.0.1:{hook.server_address[1]}/ended")
    pages.press("Keep")
    expect(page.get_by_text("Kept.")).to_be_visible()
    pages.open("/account")
    key = page.locator("[data-testid=stCode]").first.inner_text().strip()
    pages.shot("account-wishes")
    run = client.submit({**beam(client), "title": "To be told of", "mesh": {"size": "79 mm"}})["id"]
    client.cancel(run)
    assert client.wait(run, seconds=120)["state"] == "cancelled"
    for _ in range(300):
        mails = [mail for mail in mailbox.mails if "To be told of" in str(mail["subject"])]
        told = [(head, body) for head, body in hook.told if json.loads(body)["run"]["id"] == run]
        if mails and told:
            break
        time.sleep(0.1)
    assert [mail["to"] for mail in mails] == ["anna@example.org"]
    assert f"/run?run={run}" in mails[0].get_content()
    ((head, body),) = told
    assert json.loads(body)["run"]["state"] == "cancelled"
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    assert head["X-Officina-Signature"] == f"sha256={signature}"
    client.want(mail="", webhook="", language="en")


def test_a_link_shows_a_stranger_the_result_until_it_is_taken_back(pages: Pages, hub: Hub, browser: Browser) -> None:
    page, client = pages.page, hub.client()
    case = next(t for t in client.templates() if t["name"] == "insulated-pipe")["case"]
    run = client.submit(case)["id"]
    assert client.wait(run, seconds=400)["state"] == "done"
    pages.open(f"/run?run={run}")
    pages.press("Share")
    page.get_by_role("button", name="Make a link").click()
    pages.settled()
    link = page.locator("[data-testid=stCode]", has_text="/shared?key=").first.inner_text().strip()
    assert link.startswith(hub.url)
    pages.shot("share")
    context = browser.new_context(viewport={"width": 1024, "height": 1366}, base_url=hub.url, locale="en-GB")
    stranger = Pages(context.new_page(), pages._pictures)
    try:
        stranger.open(link)
        expect(stranger.page.get_by_role("heading", name="Results")).to_be_visible()
        expect(stranger.page.get_by_role("link", name="Report (PDF)")).to_have_count(0)
        expect(stranger.page.get_by_text("New case")).to_have_count(0)
        stranger.shot("shared-stranger")
        page.get_by_role("button", name="Take back").first.click()
        pages.settled()
        stranger.open(link)
        expect(stranger.page.get_by_role("heading", name="This link shows nothing")).to_be_visible()
    finally:
        context.close()


def test_whoever_logs_out_is_out(pages: Pages, hub: Hub) -> None:
    page = pages.page
    pages.open("/account")
    cookie = next(c for c in page.context.cookies() if c["name"] == "officina")["value"]
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible(timeout=30_000)
    assert not [c for c in page.context.cookies() if c["name"] == "officina"]
    with pytest.raises(Exception, match="not known"):
        Client(hub.url, cookie).me()


def test_every_step_is_reached_by_the_keyboard(pages: Pages) -> None:
    page = pages.page
    pages.open("/question?template=bracket")
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("((at) => at.tagName === 'BUTTON' ? at.innerText : '')(document.activeElement)"))
        if re.search("Change everything", seen[-1]):
            break
    assert any("Run it" in text for text in seen)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/case.*step=2"), timeout=60_000)


def test_a_session_that_ends_during_set_up_loses_nothing(pages: Pages, hub: Hub) -> None:
    page, client = pages.page, hub.client()
    pages.open("/case")
    pages.upload(BRACKET)
    pages.press("Next")
    pages.press("Pressure")
    pages.type("Pressure", "1,5 bar")
    newest = next(key for key in client.tokens() if key["kind"] == "session")
    client.revoke_token(newest["id"])
    pages.type("Pressure", "2,5 bar")  # the hub takes nothing any more
    expect(page.get_by_text("Your session has ended", exact=False)).to_be_visible(timeout=30_000)
    pages.shot("session-ended")
    page.get_by_label("Token or address").fill(hub.token)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".st-key-condition-1")).to_contain_text("2,5 bar", timeout=60_000)


def test_a_picture_that_calls_itself_a_part_is_refused_and_runs_nothing(pages: Pages) -> None:
    page = pages.page
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>window.hacked=1</script></svg>"
    pages.open("/case")
    part = {"name": "part.step", "mimeType": "image/svg+xml", "buffer": svg}
    page.locator("input[type=file]").first.set_input_files(part)  # type: ignore[arg-type]
    expect(page.locator("[data-testid=stAlert]").first).to_be_visible(timeout=60_000)
    assert page.evaluate("window.hacked") is None
    assert page.locator("[data-testid=stMain] svg script").count() == 0
