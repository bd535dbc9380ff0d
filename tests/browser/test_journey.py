"""The engineer's way: upload, pick, load, material, estimate, run, watch, verdict, report, duplicate; and cancel."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from surfing import BRACKET, Hub, Pages

from hub.case import load_yaml

pytestmark = pytest.mark.timeout(900)


def set_up(pages: Pages, title: str, force: str) -> None:
    """The bracket, held at its bolt holes and pulled down at its pin, up to the last step."""
    pages.open("/case")
    pages.upload(BRACKET)
    expect(pages.page.get_by_text("100 × 80 × 90 mm")).to_be_visible()
    expect(pages.page.get_by_text("mm, as the file says")).to_be_visible()
    pages.shot("1-part")
    pages.press("Next")
    pages.press("Fixed")
    pages.pick("hole, ⌀ 11", alike=True)
    expect(pages.page.get_by_text("4 faces picked")).to_be_visible()
    pages.press("Force")
    pages.type("Size of force", force)
    pages.pick("hole, ⌀ 14")
    pages.shot("2-held-and-loaded")
    pages.press("Next")
    pages.choose("Material", "Structural steel S235JR")
    expect(pages.page.get_by_text("EN 10025-2")).to_be_visible()
    pages.shot("3-material")
    pages.press("Next")
    pages.type("Title of the case", title)


def test_from_a_part_to_a_report(pages: Pages, hub: Hub, tmp_path: Path) -> None:
    page = pages.page
    set_up(pages, "The bracket of the journey", "2,5 kN")
    page.get_by_role("radio", name=re.compile("coarse")).or_(
        page.get_by_role("button", name=re.compile("coarse"))
    ).first.click()
    pages.settled()
    expect(page.get_by_text("Unknowns")).to_be_visible()
    expect(page.get_by_text("Nothing is missing")).to_be_visible()
    pages.shot("4-check-and-run")

    pages.press("Only look at the mesh")
    expect(page.get_by_alt_text("The mesh")).to_be_visible(timeout=180_000)
    pages.shot("5-mesh")

    pages.press("Run it")
    expect(page).to_have_url(re.compile(r"/run\?run=[0-9a-f]{32}"), timeout=30_000)
    run = page.url.rsplit("=", 1)[1]
    expect(page.locator("strong", has_text="solving")).to_be_visible(timeout=240_000)
    pages.page.screenshot(path=pages._pictures / "6-watch.png")
    expect(page.get_by_role("heading", name="Results")).to_be_visible(timeout=300_000)
    expect(page.locator(".stMarkdownBadge", has_text="done")).to_be_visible()
    pages.shot("7-verdict")

    result = hub.client().result(run)
    assert result["quantities"]
    sentence = " ".join(result["verdict"]["sentence"]["en"].split()).replace("+-", "±")
    expect(page.get_by_role("heading", name=sentence)).to_be_visible()
    assert "±" in page.locator("[data-testid=stMain]").inner_text()
    case = hub.client().case(run)
    assert next(c for c in case["conditions"] if c["kind"] == "force")["value"]["magnitude"] == "2,5 kN"
    assert all("faces" in selection for selection in case["selections"].values())

    with page.expect_download(timeout=60_000) as waiting:
        page.get_by_role("link", name="Report (PDF)").click()
    report = tmp_path / "report.pdf"
    waiting.value.save_as(report)
    assert report.read_bytes().startswith(b"%PDF-")
    with page.expect_download(timeout=60_000) as waiting:
        page.get_by_role("link", name="Numbers (JSON)").click()
    waiting.value.save_as(tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text())["quantities"] == result["quantities"]

    pages.open(f"/run?run={run}")
    pages.press("Duplicate and edit")
    expect(page).to_have_url(re.compile("/case"), timeout=30_000)
    expect(page.get_by_text("faces 31, 32, 33, 34", exact=False)).to_be_visible()
    expect(page.locator(".st-key-condition-2")).to_contain_text("2,5 kN")
    pages.shot("8-duplicate")
    page.locator(".st-key-condition-2").get_by_role("button", name="Edit").click()
    pages.settled()
    expect(page.get_by_role("textbox", name="Size of force")).to_have_value("2,5 kN")

    pages.open("/runs")
    expect(page.get_by_role("link", name="The bracket of the journey").first).to_be_visible()
    pages.shot("9-runs")
    for path in ("", "solvers", "help"):
        pages.open(f"/{path}")
        pages.shot(path or "start")


def test_a_run_is_cancelled_and_says_so(pages: Pages, hub: Hub) -> None:
    page = pages.page
    set_up(pages, "To be cancelled", "1 kN")
    page.get_by_text("More about the mesh").click()
    pages.type("Largest element, if you want to say it", "1.5 mm")
    pages.press("Run it")
    expect(page).to_have_url(re.compile(r"/run\?run="), timeout=30_000)
    pages.press("Cancel")
    expect(page.get_by_text("This run was cancelled.", exact=False)).to_be_visible(timeout=120_000)
    pages.shot("cancelled")
    assert hub.client().run(page.url.rsplit("=", 1)[1])["state"] == "cancelled"


def test_a_reload_loses_nothing(pages: Pages) -> None:
    page = pages.page
    pages.open("/case")
    pages.upload(BRACKET)
    pages.press("Next")
    pages.press("Pressure")
    pages.type("Pressure", "1,5 bar")
    pages.pick("hole, ⌀ 14")
    page.reload()
    pages.settled()
    expect(page.locator(".st-key-condition-1")).to_contain_text("1,5 bar")
    expect(page.locator(".st-key-condition-1")).to_contain_text("face 35")


def test_what_is_missing_is_said_where_it_is_mended(pages: Pages) -> None:
    page = pages.page
    pages.open("/case")
    pages.upload(BRACKET)
    pages.press("Next")
    pages.press("Force")
    pages.type("Size of force", "3 mm")
    expect(page.get_by_text("Expected one of the units kN, N", exact=False)).to_be_visible()
    pages.shot("wrong-unit")
    pages.press("4 · Check and run", exact=False)
    expect(page.get_by_role("button", name="Run it")).to_be_disabled()
    for said in ("no material chosen", "no face picked", "Force, value: 3 mm"):
        expect(page.locator("[data-testid=stAlert]", has_text=said).first).to_be_visible()
    pages.shot("problems")
    page.locator(".st-key-mend-3").get_by_role("button").click()
    pages.settled()
    expect(page.get_by_role("combobox", name="Material")).to_be_visible()


def test_a_run_may_be_given_more_than_the_estimate_says(pages: Pages, hub: Hub) -> None:
    client, page = hub.client(), pages.page
    case = load_yaml((BRACKET.parent / "case.yaml").read_bytes())
    case["geometry"]["file"] = client.upload(BRACKET)["id"]
    kept = {"case": case, "file_name": "bracket.step", "faces": client.check(case)["faces"]}
    draft = client.new_draft(kept)["id"]
    pages.open(f"/case?draft={draft}&step=4")
    page.get_by_text("What the run may use").click()
    pages.type("Time, at most", "3 kN")
    expect(page.get_by_text("Expected one of the units", exact=False).first).to_be_visible()
    pages.type("Time, at most", "2 h")
    page.get_by_role("spinbutton", name="Cores").fill("1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("on one core of this machine", exact=False)).to_be_visible()
    pages.shot("may-use")
    assert client.draft(draft)["document"]["case"]["resources"] == {"ranks": 1, "time": "2 h"}


def test_what_acts_in_bodies_asks_for_no_faces(pages: Pages, hub: Hub) -> None:
    client, page = hub.client(), pages.page
    case = load_yaml((BRACKET.parent / "case.yaml").read_bytes())
    case["geometry"]["file"] = client.upload(BRACKET)["id"]
    case["conditions"].append({"kind": "gravity", "name": "its own weight"})
    kept = {"case": case, "file_name": "bracket.step", "faces": client.check(case)["faces"]}
    pages.open(f"/case?draft={client.new_draft(kept)['id']}&step=2")
    weight = page.locator(f".st-key-condition-{len(case['conditions'])}")
    expect(weight).to_contain_text("its own weight")
    weight.get_by_role("button", name="Edit").click()
    pages.settled()
    expect(weight.get_by_role("button", name="Close")).to_be_visible()
    expect(weight).not_to_contain_text("face")
    pages.press("Next")
    # the step has what it needs: its tick is there
    expect(page.locator(".st-key-step-2").get_by_test_id("stIconMaterial")).to_have_text("check")
