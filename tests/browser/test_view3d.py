"""The part and the result in 3D, in a real browser: hover, click, hide, section, measure; fields, values, sharing."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from surfing import BRACKET, Hub, Pages

from hub.case import load_yaml

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


def test_a_revised_part_keeps_its_faces_and_asks_for_the_unsure_ones(pages: Pages, tmp_path: Path) -> None:
    page = pages.page
    drawing = (BRACKET.parent / "make.py").read_text()
    assert "for z in (34, 74)" in drawing and "0, 0, 30, 7)" in drawing
    drawing = drawing.replace("for z in (34, 74)", "for z in (36, 72)").replace("0, 0, 30, 7)", "0, 0, 30, 9)")
    subprocess.run([sys.executable, "-c", drawing], cwd=tmp_path, check=True, timeout=120)
    pages.open("/case")
    pages.upload(BRACKET)
    pages.press("Next")
    pages.pick("hole, ⌀ 11", alike=True)
    page.locator(".st-key-named summary").click()
    pages.type("Name for the picked faces", "Bolt holes")
    pages.press("Fixed")
    page.get_by_role("combobox", name="Named faces").press("ArrowDown")
    page.get_by_role("option", name="Bolt holes").click()
    page.keyboard.press("Escape")  # the menu covers what is below it
    pages.settled()
    expect(page.locator(".st-key-condition-1")).to_contain_text("faces 31, 32, 33, 34")
    pages.press("Force")
    pages.type("Size of force", "2 kN")
    pages.pick("hole, ⌀ 14")
    pages.press("1 · Part", exact=False)
    pages.press("Another file")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "bracket.step")
    # the bolt holes have moved by 2 mm; the pin's is wider and has to be shown again
    expect(page.get_by_text("4 of the 5 picked faces were found again")).to_be_visible(timeout=120_000)
    expect(page.get_by_text("picked for Force")).to_be_visible()
    pages.settled()
    expect(page.locator(".st-key-next button")).to_be_disabled()
    expect(page.locator(".viewer[data-ready='3d'] .label.load", has_text="Fixed")).to_be_visible(timeout=30_000)
    pages.shot("3d-revised")
    page.get_by_role("button", name="hole, ⌀ 18 mm").click()
    pages.settled()
    pages.press("Next")
    expect(page.locator(".st-key-condition-1")).to_contain_text("faces 31, 32, 33, 34")
    expect(page.locator(".st-key-condition-2")).to_contain_text("face 35")
    pages.shot("3d-revised-loads")


def test_keys_turn_the_part_and_a_list_serves_without_a_mouse(pages: Pages) -> None:
    page = pages.page
    pages.open("/case")
    pages.upload(BRACKET)
    expect(page.locator(".viewer[data-ready='3d']")).to_be_visible(timeout=30_000)
    where = "(p) => p.__part.stage.camera.position.toArray()"
    before = page.locator(".part").evaluate(where)
    page.get_by_role("img", name="The part in 3D: arrows turn it").focus()
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


def test_a_result_is_turned_coloured_deformed_and_asked(pages: Pages, hub: Hub) -> None:
    page, client = pages.page, hub.client()
    case = load_yaml((BRACKET.parent / "case.yaml").read_bytes())
    case["geometry"]["file"] = client.upload(BRACKET.read_bytes(), BRACKET.name)["id"]
    case["mesh"] = {"fineness": "coarse"}
    run = client.submit(case)["id"]
    client.wait(run, seconds=300)
    pages.open(f"/run?run={run}")
    viewer = page.locator(".viewer[data-ready='3d']")
    expect(viewer).to_be_visible(timeout=30_000)
    pages.shot("3d-result")
    result = client.result(run)
    largest = result["quantities"]["max_von_mises"]["value"]
    # the colours end at the largest value of the field, which is the quantity's up to recovery and its bar
    shown = viewer.evaluate("(v) => v.__result.shown")
    assert shown["unit"] == "MPa" and shown["bar"] > 0
    assert shown["high"] * 1e6 == pytest.approx(largest, rel=0.2)
    colours = viewer.evaluate(
        """(v) => {
          const { renderer, scene, camera } = v.__result.stage, gl = renderer.getContext();
          const [w, h] = [gl.drawingBufferWidth, gl.drawingBufferHeight], all = new Uint8Array(4 * w * h);
          renderer.render(scene, camera);
          gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, all);
          return new Set(new Uint32Array(all.buffer)).size;
        }"""
    )
    assert colours > 500
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "view3d" in request.url else None)
    page.get_by_label("Highest value of the colours").fill("50")
    page.get_by_label("Highest value of the colours").press("Enter")
    slider = page.get_by_label("Deformation")
    slider.fill("0.5")
    x, y = viewer.evaluate(
        """(v) => { const r = v.__result, p = r.arrays.points, a = r.head;
        const at = [0, 1, 2].map((i) => a.low[i] + p[3 * 500 + i] / 65535 * (a.high[i] - a.low[i]));
        const s = r.stage.onPage(at); return [s.x, s.y]; }"""
    )
    page.mouse.click(x, y)
    expect(page.locator(".label.probe")).to_contain_text(re.compile("MPa.*(±|no error bar)|± .* MPa"))
    pages.shot("3d-deformed")
    assert not requests  # nothing was loaded again
