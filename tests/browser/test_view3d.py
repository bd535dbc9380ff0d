"""The part and the result in 3D, in a real browser: hover, click, hide, section, measure; fields, values, sharing."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect
from surfing import BRACKET, Pages

pytestmark = pytest.mark.timeout(600)

BOLT, PIN = 30, 34  # indices of a bolt hole and of the pin's hole in the verdict on the bracket


def place_of(page: Page, face: int) -> tuple[float, float]:
    """Where a click meets a face."""
    found = page.locator(".part").evaluate("(part, face) => part.__part.screenOf(face)", face)
    assert found, f"face {face} is not to be seen"
    return found[0], found[1]


def test_faces_are_picked_on_the_part_before_and_after_the_load_is_chosen(pages: Pages) -> None:
    page = pages.page
    pages.open("/case")
    begun = time.monotonic()
    pages.upload(BRACKET)
    expect(page.locator(".viewer[data-ready='3d']")).to_be_visible(timeout=30_000)
    pages.shot("3d-part")
    assert time.monotonic() - begun < 60  # generous: how quick it is, is measured elsewhere
    pages.press("Next")
    expect(page.locator(".viewer[data-ready='3d']")).to_be_visible(timeout=30_000)

    # faces first: what is picked waits for the load
    page.mouse.click(*place_of(page, PIN))
    expect(page.get_by_text("1 face picked")).to_be_visible()
    pages.press("Force")
    expect(page.locator(".st-key-condition-1")).to_contain_text("face 35")
    pages.type("Size of force", "2,5 kN")
    # the load first: what is picked then is its own
    pages.press("Fixed")
    page.keyboard.down("Alt")  # and the others like it
    page.mouse.click(*place_of(page, BOLT))
    page.keyboard.up("Alt")
    expect(page.locator(".st-key-condition-2")).to_contain_text("faces 31, 32, 33, 34")
    expect(page.locator(".st-key-condition-1")).to_contain_text("face 35")
    expect(page.locator(".label.load", has_text="2,5 kN")).to_be_visible()
    pages.shot("3d-loads")


def test_the_part_is_hidden_cut_open_and_measured(pages: Pages) -> None:
    page = pages.page
    pages.open("/case")
    pages.upload(BRACKET)
    pages.press("Next")
    expect(page.locator(".viewer[data-ready='3d']")).to_be_visible(timeout=30_000)
    x, y = place_of(page, PIN)
    page.mouse.move(x, y)
    expect(page.locator(".tip")).to_contain_text("hole, ⌀ 14 mm")
    page.mouse.click(x, y)
    page.get_by_role("button", name="Hide picked").click()
    hit = page.locator(".part").evaluate("(p, [x, y]) => p.__part.faceAt({clientX: x, clientY: y})", [x, y])
    assert hit != PIN
    page.get_by_role("button", name="Show all").click()
    page.get_by_role("button", name="Measure").click()
    page.mouse.click(*place_of(page, BOLT))
    page.mouse.click(*place_of(page, PIN))
    expect(page.locator(".label.measure")).to_contain_text("mm")
    page.get_by_label("Section").first.select_option("1")
    pages.shot("3d-section")
    inside = page.locator(".part").evaluate("(p) => p.__part.stage.renderer.localClippingEnabled")
    assert inside


def test_keys_turn_the_part_and_a_list_serves_without_a_mouse(pages: Pages) -> None:
    page = pages.page
    pages.open("/case")
    pages.upload(BRACKET)
    expect(page.locator(".viewer[data-ready='3d']")).to_be_visible(timeout=30_000)
    where = "(p) => p.__part.stage.camera.position.toArray()"
    before = page.locator(".part").evaluate(where)
    page.locator(".part canvas").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".part").evaluate(where) != before
    page.get_by_role("checkbox", name="Face 35", exact=False).focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("1 face picked")).to_be_visible()


def test_a_browser_without_webgl_shows_the_picture_and_the_list(pages: Pages) -> None:
    page = pages.page
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    pages.open("/case")
    pages.upload(BRACKET)
    expect(page.locator(".viewer[data-ready='list'] img")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("checkbox", name="Face 35", exact=False)).to_be_visible()
    pages.shot("3d-none")
