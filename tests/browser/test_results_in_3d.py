"""What lies inside a result and what moves in it, and results beside each other: from small runs, in a real browser."""

from __future__ import annotations

import math
from typing import Any

import pytest
from playwright.sync_api import Locator, expect
from surfing import ROOT, Hub, Pages

from hub.case import load_yaml

pytestmark = pytest.mark.timeout(600)

GRAINS = 80
#: Kept small: name -> case and what is changed of it.
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "pipe": ("insulated-pipe", {"mesh": {"fineness": "coarse"}}),
    "other": ("insulated-pipe", {}),
    "line": ("pipe-flow", {"mesh": {"size": "9 mm"}}),
    "drum": ("drum-blending", {"parameters": {"settling": "0.1 s", "duration": "0.15 s", "mixed": 0.9}}),
}


@pytest.fixture(scope="module")
def runs(hub: Hub) -> dict[str, str]:
    """Name -> id of runs that are done, worked out side by side."""
    client = hub.client()
    begun = {}
    for name, (case, changes) in SMALL.items():
        folder = ROOT / "cases" / case
        typed = {**load_yaml((folder / "case.yaml").read_bytes()), **changes}
        for condition in typed["conditions"]:
            if condition["kind"] == "fill":
                condition["number"] = GRAINS // 2
        file = client.upload(folder / typed["geometry"]["file"])["id"]
        begun[name] = client.submit({**typed, "geometry": {**typed["geometry"], "file": file}})["id"]
    for name, run in begun.items():
        assert client.wait(run, seconds=400)["state"] == "done", name
    return begun


def opened(pages: Pages, run: str) -> Locator:
    pages.open(f"/run?run={run}")
    viewer = pages.page.locator(".viewer[data-ready='3d']")
    expect(viewer).to_be_visible()
    return viewer


def pixels(viewer: Locator) -> int:
    """A sum over what is drawn, to tell whether it has changed."""
    return int(viewer.evaluate(
        """(v) => {
          const { renderer, scene, camera } = v.__result.stage, gl = renderer.getContext();
          const [w, h] = [gl.drawingBufferWidth, gl.drawingBufferHeight], all = new Uint8Array(4 * w * h);
          renderer.render(scene, camera);
          gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, all);
          return all.reduce((sum, value, i) => (sum * 31 + value * (i % 7 + 1)) % 2147483647, 0);
        }"""
    ))  # fmt: skip


def test_a_surface_of_equal_value_lies_where_theory_has_it(pages: Pages, runs: dict[str, str]) -> None:
    viewer = opened(pages, runs["pipe"])
    before = pixels(viewer)
    viewer.get_by_role("checkbox", name="Surface of equal value").check()
    assert pixels(viewer) != before

    def radii() -> list[float]:
        return list(viewer.evaluate(
            """(v) => { const p = v.__result.inside.level.geometry.attributes.position.array;
            return Array.from({length: p.length / 3}, (_, i) => Math.hypot(p[3 * i], p[3 * i + 1])); }"""
        ))  # fmt: skip

    # halfway between the temperatures of both sides of the wool: at the geometric mean of its radii (Fourier's law)
    found = radii()
    assert sum(found) / len(found) == pytest.approx(math.sqrt(0.05715 * 0.10715), rel=0.02)
    assert max(found) - min(found) < 0.006
    viewer.get_by_role("slider", name="Surface of equal value").fill("0.25")
    outside = radii()
    assert sum(outside) / len(outside) == pytest.approx(0.05715**0.25 * 0.10715**0.75, rel=0.02)
    pages.shot("result-equal-value")


def test_streamlines_run_from_end_to_end(pages: Pages, runs: dict[str, str]) -> None:
    viewer = opened(pages, runs["line"])
    before = pixels(viewer)
    viewer.get_by_role("checkbox", name="Streamlines").check()
    assert pixels(viewer) != before
    shown = viewer.evaluate("""(v) => { const { lines, skin, inside } = v.__result;
      return [lines.visible, skin.material.uniforms.faint.value, inside.cap.visible]; }""")
    assert shown[0] and shown[1] < 0.5 and not shown[2]  # neither skin nor cap hides them
    reach = viewer.evaluate(
        """(v) => { const p = v.__result.arrays.line_points, x = Array.from({length: p.length / 3}, (_, i) => p[3 * i]);
        return (Math.max(...x) - Math.min(...x)) / 65535; }"""
    )
    assert reach > 0.95
    pages.shot("result-streamlines")
    viewer.get_by_role("combobox", name="Section").select_option("")
    viewer.get_by_role("combobox", name="Field").select_option(label="Temperature")
    expect(viewer.locator(".scale .name")).to_have_text("Temperature [°C]")


def test_grains_move_with_the_time_slider_and_by_themselves(pages: Pages, runs: dict[str, str]) -> None:
    viewer = opened(pages, runs["drum"])
    places = "(v) => Array.from(v.__result.grains.geometry.attributes.position.array)"
    walls = """(v) => { const { low, high } = v.__result.head, p = v.__result.skin.geometry.attributes.position;
      return Array.from({ length: p.count }, (_, n) =>
        [0, 1, 2].map((i) => low[i] + p.getComponent(n, i) * (high[i] - low[i]))); }"""
    last, turned, late = viewer.evaluate(places), viewer.evaluate(walls), pixels(viewer)
    slider = viewer.get_by_role("slider", name="Time")
    slider.fill("0")
    expect(viewer.locator("output", has_text="t =")).to_have_text("t = 0 s")
    first = viewer.evaluate(places)
    assert len(first) == len(last) == 3 * GRAINS
    moved = sum(a != b for a, b in zip(first, last, strict=True)) / len(last)
    assert moved > 0.5
    assert pixels(viewer) != late
    angle = 0.15 * math.pi  # 30 turns a minute for 0.15 s
    for (x, y, z), (u, v, w) in zip(viewer.evaluate(walls), turned, strict=True):
        back = (math.cos(angle) * u - math.sin(angle) * w, v, math.sin(angle) * u + math.cos(angle) * w)
        assert (x, y, z) == pytest.approx(back, abs=1e-5), "the drum stands as it stood then"
    pages.shot("result-grains")
    play = viewer.get_by_role("button", name="Play")
    play.click()
    expect(slider).not_to_have_value("0")
    play.click()
    expect(play).to_have_attribute("aria-pressed", "false")


def test_two_runs_turn_together_and_their_difference_is_told(pages: Pages, runs: dict[str, str]) -> None:
    page = pages.page
    pages.open(f"/compare?runs={runs['pipe']},{runs['other']}")
    viewers = page.locator(".viewer[data-ready='3d']")
    expect(viewers).to_have_count(2)
    where = """(all) => all.map((v) => { const { camera, controls, size } = v.__result.stage;
      return camera.position.clone().sub(controls.target).divideScalar(size).toArray(); })"""
    before = viewers.evaluate_all(where)
    box = viewers.nth(1).locator("canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 90, box["y"] + box["height"] / 2 + 30, steps=5)
    page.mouse.up()
    after = viewers.evaluate_all(where)
    assert math.dist(after[1], before[1]) > 0.1
    assert after[0] == pytest.approx(after[1], abs=1e-3)
    table = page.locator("[data-testid=stTable]").first
    expect(table).to_be_visible()
    said = table.inner_text()
    assert "Difference 2" in said
    assert "Highest temperature" in said
    assert "within the bars" in said
    pages.shot("compare")
