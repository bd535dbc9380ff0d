"""Files that do not arrive: too large, cut off on the way, half of a part. Each gets its words, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect
from surfing import BRACKET, Pages

pytestmark = pytest.mark.timeout(600)


def test_a_file_that_does_not_arrive_gets_words_and_loses_nothing(pages: Pages, tmp_path: Path) -> None:
    page = pages.page
    pages.open("/case")
    pages.upload(BRACKET)
    pages.press("Next")
    pages.press("Pressure")
    pages.type("Pressure", "1,5 bar")
    pages.pick("hole, ⌀ 14")
    pages.press("1 · Part", exact=False)
    pages.press("Another file")
    chosen, alert = page.locator("input[type=file]").first, page.locator("[data-testid=stFileChip] [role=alert]")

    large = tmp_path / "large.step"
    with large.open("wb") as stream:
        stream.truncate(101_000_000)
    chosen.set_input_files(large)
    expect(alert).to_have_text("This file is larger than 100 MB, the most that is taken here. Leave out what does not "
                               "matter, or save it as STEP. Nothing else has changed.")  # fmt: skip
    box = alert.bounding_box()
    assert box and box["width"] > 300 and box["height"] > 10  # to be seen, not only to be heard
    pages.shot("upload-too-large")

    page.get_by_role("button", name="Remove large.step").click()
    page.route(
        "**/upload_file/**", lambda r: r.abort("connectionreset") if r.request.method == "PUT" else r.continue_()
    )
    chosen.set_input_files(BRACKET)
    expect(alert).to_contain_text("The connection broke before the whole file was here. Choose it again.")
    pages.shot("upload-cut-off")
    page.unroute_all()

    page.reload()
    pages.settled()
    expect(page.get_by_text("100 × 80 × 90 mm")).to_be_visible()
    pages.press("2 · Held and loaded", exact=False)
    expect(page.locator(".st-key-condition-1")).to_contain_text("1,5 bar")
    expect(page.locator(".st-key-condition-1")).to_contain_text("face 35")


def test_half_a_part_is_refused_and_the_whole_one_takes_its_place(pages: Pages, tmp_path: Path) -> None:
    page = pages.page
    whole, half = BRACKET.read_bytes(), tmp_path / "bracket.step"
    half.write_bytes(whole[: len(whole) // 2])
    pages.open("/case")
    pages.upload(half)
    refused = page.locator("[data-testid=stAlert]", has_text="A STEP file that breaks off before its end")
    expect(refused).to_contain_text("Send it again")
    pages.settled()
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    pages.shot("upload-half")
    page.get_by_role("radio", name="Italiano").click()
    expect(page.get_by_text("Un file STEP che si interrompe prima della fine", exact=False)).to_be_visible()
    page.get_by_role("radio", name="English").click()
    pages.settled()
    pages.press("Another file")
    page.locator("input[type=file]").first.set_input_files(BRACKET)
    expect(page.get_by_text("Nothing is wrong with this part.")).to_be_visible(timeout=120_000)
    pages.settled()  # until then the buttons of the half one may still stand below
    expect(page.get_by_role("button", name="Next")).to_be_enabled()
