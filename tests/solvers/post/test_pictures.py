"""Pictures show what they say: every face numbered, fields in their colours, and words where nothing can be drawn."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hub.meshfile import MeshFile
from solvers.post import faces, labels, pictures, scene
from solvers.post import mesh as mesh_stage
from solvers.post.drawing import WAYS
from solvers.post.ink import spread
from solvers.post.words import Language


def post(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "solvers.post", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, env=os.environ | environment, timeout=120, check=False)


def distinct(image: Image.Image) -> int:
    return len(image.convert("RGB").getcolors(1 << 24) or [])


def test_ways_to_draw_are_named_alike() -> None:
    assert list(WAYS) == list(scene.WINDOWS)


def test_the_commands_draw(part: Path, tmp_path: Path) -> None:
    assert post("faces", str(part / "surface.npz"), str(part / "verdict.json"), str(tmp_path / "f.png")).returncode == 0
    assert post("mesh", str(part), str(tmp_path / "m.png")).returncode == 0
    for name in ("f.png", "m.png"):
        picture = Image.open(tmp_path / name)
        assert picture.width > 1200 and distinct(picture) > 200
    assert len(json.loads(Image.open(tmp_path / "f.png").info["colours"])) == 6


def test_unreadable_input_fails_in_words(tmp_path: Path) -> None:
    (tmp_path / "surface.npz").write_bytes(b"not an archive")
    (tmp_path / "verdict.json").write_text("{}")
    ran = post("faces", str(tmp_path / "surface.npz"), str(tmp_path / "verdict.json"), str(tmp_path / "o.png"))
    assert ran.returncode == 3 and ran.stderr.strip() and not (tmp_path / "o.png").exists()
    assert post("nonsense").returncode == 2


def test_a_machine_that_cannot_draw_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for a machine without OSMesa and EGL: the child ends the way VTK ends it, by a signal."""
    from hub.solver import StageError
    from solvers.post import drawing

    monkeypatch.setattr(drawing.sys, "executable", "/bin/false")
    with pytest.raises(StageError) as caught:
        drawing.draw_in_child(["mesh", "a", "b"])
    assert "libosmesa6" in caught.value.hint and "libegl1" in caught.value.hint


def test_every_face_is_numbered(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, str]] = []
    original = faces.Sheet.tag

    def tag(sheet: faces.Sheet, at: tuple[float, float], text: str, size: int = 24) -> object:
        written.append((id(sheet), text))
        assert 0 < at[0] < sheet.image.width and 0 < at[1] < sheet.image.height
        return original(sheet, at, text, size)

    monkeypatch.setattr(faces.Sheet, "tag", tag)
    faces.draw(part / "surface.npz", part / "verdict.json", part / "faces.png")
    assert {text for _, text in written} == {"1", "2", "3", "4", "5", "6"}


def test_colours_of_faces_differ() -> None:
    many = [{"index": i, "area": 1.0, "neighbours": [i - 1, i + 1]} for i in range(58)]
    colours = faces.colours(many)
    assert len(np.unique(colours, axis=0)) == 58
    assert (np.abs(np.diff(colours.astype(int), axis=0)).sum(axis=1) > 40).all()


def test_more_faces_than_can_be_read_is_said(mesh: MeshFile) -> None:
    listed = [{"index": i, "area": 1e-4 * (80 - i), "neighbours": []} for i in range(80)]
    group = (np.arange(len(mesh.facets)) * 80 // len(mesh.facets)).astype(np.int64)
    said: list[str] = []
    original = faces.Sheet.text

    def text(self: faces.Sheet, at: object, words: str, *rest: object, **more: object) -> None:
        said.append(words)
        original(self, at, words, *rest, **more)  # type: ignore[arg-type]

    faces.Sheet.text = text  # type: ignore[method-assign]
    try:
        none = np.zeros((0, 2), np.int64)
        faces.picture(mesh.points, mesh.facets[:, :3], group, none, listed, Language("it"))
    finally:
        faces.Sheet.text = original  # type: ignore[method-assign]
    assert any("60 facce su 80" in words for words in said)
    assert "61" not in said and "1" in said


def test_a_point_lies_where_the_view_says(mesh: MeshFile) -> None:
    view = scene.View.fit(mesh.points, (-1.0, -1.25, 0.9), (400, 300), (20, 20))
    pixels = view.pixels(mesh.points)
    assert pixels[:, 0].min() >= 20 - 1e-6 and pixels[:, 0].max() <= 380 + 1e-6
    (ids,) = scene.seen(mesh.points, mesh.facets[:, :3], mesh.facet_face.astype(np.int64), [view])
    for face in (0, 2, 5):  # those that look towards the eye: -x, -y, z
        centre = np.array(mesh.faces[face]["centroid"])
        x, y, _ = view.pixels(centre)[0]
        assert ids[int(y), int(x)] == face
        assert not pictures.hidden(mesh.points, mesh.facets[:, :3], view, centre)
    for face in (1, 3, 4):
        assert pictures.hidden(mesh.points, mesh.facets[:, :3], view, np.array(mesh.faces[face]["centroid"]))
        assert (ids == face).sum() < 0.002 * ids.size  # at most a stray pixel along the outline


def test_quality_of_known_tetrahedra() -> None:
    regular = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    points = np.concatenate([regular, corner])
    cells = np.array([[0, 1, 2, 3], [4, 5, 6, 7]])
    good = mesh_stage.quality(points, cells)
    assert abs(good[0]) == pytest.approx(1.0)
    # the corner of a cube: V = 1/6, squared edges 3 * 1 + 3 * 2, so 12 * (1/2)**(2/3) / 9
    assert good[1] == pytest.approx(12 * 0.5 ** (2 / 3) / 9)


@pytest.mark.parametrize(("moved", "factor"), [(0.0, 1), (1e-3, 50), (1e-6, 50000), (0.5, 1), (0.034, 2)])
def test_magnification_is_a_round_number(moved: float, factor: float) -> None:
    assert pictures.magnification(moved, 1.0) == factor


def test_ticks_are_round_and_inside() -> None:
    assert labels.ticks(0.0, 126.0) == [0, 20, 40, 60, 80, 100, 120]
    assert labels.ticks(-0.3, 0.0)[0] == -0.3
    assert labels.ticks(5.0, 5.0) == [5.0]


def test_spread_keeps_order_and_gap() -> None:
    placed = spread([10.0, 11.0, 12.0, 300.0], 40.0, 0.0, 310.0)
    assert all(b - a >= 40 - 1e-9 for a, b in itertools.pairwise(placed)) and placed[-1] <= 310
