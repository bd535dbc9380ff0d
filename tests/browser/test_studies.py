"""Studies and clusters as their pages show them: from a run to a table, what failed, a mesh verdict, a check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from surfing import ROOT, Hub, Pages

from hub.case import load_yaml

pytestmark = pytest.mark.timeout(900)
BEAM = ROOT / "cases" / "cantilever"


def test_from_a_run_to_a_study_and_its_table(pages: Pages, hub: Hub) -> None:
    client, page = hub.client(), pages.page
    file = client.upload(BEAM / "beam.step")
    typed = load_yaml((BEAM / "case.yaml").read_bytes())
    case = {**typed, "title": "A beam to study", "geometry": {"file": file["id"]}, "mesh": {"size": "80 mm"}}
    run = client.submit(case)
    assert client.wait(run["id"], seconds=240)["state"] == "done"
    pages.open(f"/studies?from={run['id']}")
    pages.choose("Value that changes", "load, value, z: -500 N")
    pages.type("To", "-1000 N")
    page.get_by_role("spinbutton", name="Points").first.fill("2")
    page.get_by_role("spinbutton", name="Points").first.press("Enter")
    pages.settled()
    pages.shot("study-new")
    pages.press("Run the study")
    expect(page).to_have_url(re.compile(r"/studies\?study=[0-9a-f]{32}"), timeout=60_000)
    expect(page.get_by_role("link", name="Table (CSV)")).to_be_visible(timeout=300_000)
    expect(page.get_by_text("2 of 2 points done")).to_be_visible()
    expect(page.locator("[data-testid=stVegaLiteChart]").first).to_be_visible()
    expect(page.get_by_role("heading", name="Von Mises stress, largest over all points")).to_be_visible()
    expect(page.get_by_role("img", name="Von Mises stress, largest over all points")).to_be_visible()
    pages.shot("study-done")
    pages.open("/studies")
    expect(page.get_by_role("link", name=re.compile("A beam to study"))).to_be_visible(timeout=30_000)
    pages.shot("studies")


def test_points_without_an_answer_come_first(pages: Pages, hub: Hub) -> None:
    client = hub.client()
    file = client.upload(BEAM / "beam.step")
    case = {**load_yaml((BEAM / "case.yaml").read_bytes()), "geometry": {"file": file["id"]}, "mesh": {"size": "80 mm"}}
    axes = [{"path": "resources.time", "name": "time", "values": ["1 ms", "1 h"]}]
    study = client.submit_study({"title": "Short of time", "sweep": axes}, case)
    pages.open(f"/studies?study={study['id']}")
    failed = pages.page.get_by_text("Points without an answer: 1")
    expect(failed).to_be_visible(timeout=300_000)
    expect(pages.page.get_by_role("button", name="Run the failed points again")).to_be_visible()
    pages.shot("study-partly")


def test_staff_see_and_check_clusters(pages: Pages, hub: Hub, tmp_path: Path) -> None:
    here = {"transport": "local", "scheduler": "none", "scratch": str(tmp_path / "scratch"), "price": 0.03}
    hub.client().describe_cluster("basement", here)
    pages.open("/clusters")
    pages.shows("heading", "basement")
    expect(pages.page.get_by_text("0.03 EUR a core-hour")).to_be_visible()
    pages.press("Check")
    expect(pages.page.get_by_text("log in").first).to_be_visible(timeout=120_000)
    pages.shot("clusters")
    hub.client().forget_cluster("basement")
