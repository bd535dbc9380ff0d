"""A case in the making survives the window it was begun in, and two who change one case are told of each other."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from surfing import BRACKET, Hub, Pages

pytestmark = pytest.mark.timeout(300)


def test_a_draft_is_there_in_another_window_and_the_later_of_two_is_told(
    pages: Pages, browser: Browser, hub: Hub
) -> None:
    pages.open("/case")
    pages.upload(BRACKET)
    pages.press("Next")
    pages.press("Pressure")
    pages.type("Pressure", "1,5 bar")
    address = pages.page.url

    context = browser.new_context(viewport={"width": 1366, "height": 768}, base_url=hub.url, locale="en-GB")
    try:
        other = Pages(context.new_page(), pages._pictures)
        other.open(f"/api/v1/login?token={hub.token}")
        other.open(address)
        expect(other.page.get_by_text("1,5 bar", exact=False).first).to_be_visible()
        other.press("Gravity")
        expect(other.page.get_by_text("Somebody else")).to_have_count(0)

        pages.press("Fixed")
        expect(pages.page.get_by_text("Somebody else has changed this case")).to_be_visible()
        pages.shot("changed-meanwhile")
        expect(pages.page.locator(".st-key-condition-2")).to_contain_text("Fixed")
        pages.press("Take the other version")
        expect(pages.page.locator(".st-key-condition-2")).to_contain_text("Gravity")
        expect(pages.page.get_by_text("Somebody else has changed this case")).to_have_count(0)
    finally:
        context.close()
