"""Sections, streamlines, grains, animations and plots show what the fields say."""

from __future__ import annotations

from pathlib import Path

import h5py
import meshio
import numpy as np
import pytest
from PIL import Image

from hub.result import Curve, Line, Section, View
from solvers.fem.output import write_moving
from solvers.post import cuts, fields, grains, moving, plots
from solvers.post.words import Language

EN = Language("en")
TURN = 2.0  # angular velocity [rad/s]


@pytest.fixture
def vortex(tmp_path: Path) -> fields.Fields:
    """Tetrahedra of the cube [-1, 1]^3 in solid-body rotation about z."""
    from tests.solvers.post.conftest import block

    mesh = block((6, 6, 6))
    corners = mesh.points[: int(mesh.cells[:, :4].max()) + 1]
    points = 2 * (corners - corners.min(axis=0)) / np.ptp(corners, axis=0) - 1
    velocity = np.stack([-TURN * points[:, 1], TURN * points[:, 0], 0 * points[:, 0]], axis=1)
    data = {"velocity": velocity, "height": points[:, 2]}
    meshio.Mesh(points, [("tetra", mesh.cells[:, :4])], point_data=data).write(tmp_path / "fields.vtu")
    return fields.read(tmp_path / "fields.vtu")


def view(kind: str, field: str = "velocity", **more: object) -> View:
    return View.model_validate(
        {"name": "v", "title": {"en": "Speed"}, "field": field, "unit": "m/s", "kind": kind} | more
    )


def test_a_section_has_the_area_and_the_values_of_its_plane(vortex: fields.Fields) -> None:
    cut = cuts.Cut.through(vortex, Section(point=(0.0, 0.0, 0.3), normal=(0.0, 0.0, 1.0)))
    assert fields.areas(cut.points, cut.triangles).sum() / 2 == pytest.approx(4.0)
    assert cut.values["height"] == pytest.approx(np.full(len(cut.points), 0.3))
    with pytest.raises(ValueError, match="misses the domain"):
        cuts.Cut.through(vortex, Section(point=(0.0, 0.0, 3.0), normal=(0.0, 0.0, 1.0)))


def test_streamlines_of_a_vortex_are_circles(vortex: fields.Fields) -> None:
    points, steps, speed = cuts.trace(vortex, "velocity", view("streamlines"))
    assert len(steps) > 1000
    radius = np.linalg.norm(points[:, :2], axis=1)
    assert speed == pytest.approx(TURN * radius, abs=1e-6)
    start, end = points[steps[:, 0]], points[steps[:, 1]]
    assert np.abs(end[:, 2] - start[:, 2]).max() < 1e-9
    # linear fields are exact between the nodes: what radius is lost or won is the integrator's
    assert np.abs(np.linalg.norm(end[:, :2], axis=1) - np.linalg.norm(start[:, :2], axis=1)).max() < 1e-3


@pytest.mark.parametrize("kind", ["section", "streamlines"])
def test_pictures_of_the_inside(vortex: fields.Fields, kind: str, tmp_path: Path) -> None:
    draw = {"section": cuts.section, "streamlines": cuts.streamlines}[kind]
    sheet, _, said = draw(vortex, view(kind, section={"point": [0, 0, 0.01], "normal": [0, 0, 1]}), EN)
    assert "Speed" in said and "m/s" in said
    sheet.save(tmp_path / "p.png")
    assert len(Image.open(tmp_path / "p.png").getcolors(1 << 24)) > 200
    with pytest.raises(ValueError, match="no point field 'nothing'"):
        draw(vortex, view(kind, "nothing"), EN)


def test_a_flat_domain_is_drawn_from_the_front(tmp_path: Path) -> None:
    points = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]], float)
    mesh = meshio.Mesh(points, [("triangle", [[0, 1, 2], [0, 2, 3]])], point_data={"p": points[:, 0]})
    mesh.write(tmp_path / "fields.vtu")
    flat = fields.read(tmp_path / "fields.vtu")
    assert flat.flat == pytest.approx((0, 0, 1)) and len(flat.edges) == 4
    sheet, note, _ = cuts.section(flat, view("surface", "p"), EN)
    assert sheet.image.width > 800 and note == ""


def falling(file: Path, frames: int = 7, count: int = 5) -> None:
    """Temporal VTKHDF PolyData of grains that fall: the layout of VTK's file format."""
    points = np.zeros((frames, count, 3))
    points[:, :, 0] = np.arange(count)
    points[:, :, 2] = 10 - np.arange(frames)[:, None]
    with h5py.File(file, "w") as data:
        root = data.create_group("VTKHDF")
        root.attrs["Version"] = (2, 3)
        root.attrs.create("Type", b"PolyData", dtype=h5py.string_dtype("ascii", 8))
        root["NumberOfPoints"] = np.full(frames, count)
        root["Points"] = points.reshape(-1, 3)
        for name in ("Vertices", "Lines", "Polygons", "Strips"):
            cells = count if name == "Vertices" else 0
            group = root.create_group(name)
            group["NumberOfCells"] = np.full(frames, cells)
            group["NumberOfConnectivityIds"] = np.full(frames, cells)
            group["Connectivity"] = np.tile(np.arange(cells), frames)
            group["Offsets"] = np.tile(np.arange(cells + 1), frames)
        attributes = root.create_group("PointData")
        attributes["radius"] = np.full(frames * count, 0.4)
        attributes["kind"] = np.tile(np.arange(count) % 2, frames).astype(float)
        steps = root.create_group("Steps")
        steps.attrs["NSteps"] = frames
        steps["Values"] = 0.1 * np.arange(frames)
        steps["NumberOfParts"] = np.ones(frames, int)
        steps["PartOffsets"] = np.arange(frames)
        steps["PointOffsets"] = count * np.arange(frames)
        cells = np.array([count, 0, 0, 0])
        steps["CellOffsets"] = np.arange(frames)[:, None] * cells
        steps["ConnectivityIdOffsets"] = np.arange(frames)[:, None] * cells
        offsets = steps.create_group("PointDataOffsets")
        for name in ("radius", "kind"):
            offsets[name] = count * np.arange(frames)


def test_an_animation_has_every_step_and_the_strip_its_times(tmp_path: Path) -> None:
    falling(tmp_path / "moving.vtkhdf")
    film = moving.Film(tmp_path / "moving.vtkhdf", view("moving grains", "kind", unit=""), None, EN)
    film.save(tmp_path / "film.webp")
    with Image.open(tmp_path / "film.webp") as made:
        assert made.n_frames == 7
    data, time = film._data(6)
    assert time == pytest.approx(0.6)
    assert grains.Grains.of(data).points[:, 2] == pytest.approx(np.full(5, 4.0))
    sheet, _, said = film.strip()
    assert "4 moments" in said and sheet.image.height > moving.SIZE[1]
    with pytest.raises(ValueError, match="no field 'speed'"):
        moving.Film(tmp_path / "moving.vtkhdf", view("moving grains", "speed"), None, EN).frame(0)


def test_walls_are_drawn_where_they_stand(tmp_path: Path) -> None:
    """A plate above the grains that sinks to where the lowest of them was."""
    file, plate = tmp_path / "moving.vtkhdf", np.array([[0, -1, 12], [4, -1, 12], [4, 1, 12], [0, 1, 12]], float)
    falling(file)
    surface = {"points": plate, "triangles": [[0, 1, 2], [0, 2, 3]], "face": [0, 0], "edges": [[0, 1], [2, 3]]}

    def height(step: int) -> float:
        """The row in the middle of what a frame has that is grey [px]."""
        film = moving.Film(file, view("moving grains", "kind", unit=""), surface, EN)
        seen = np.asarray(film.frame(step).convert("RGB"), int)[moving.CAPTION :]
        return float(np.nonzero((np.ptp(seen, axis=2) < 8) & (seen.max(axis=2) < 254))[0].mean())

    assert height(6) == pytest.approx(height(0), abs=2)
    pose = np.tile(np.eye(3, 4), (7, 1, 1, 1))
    pose[:, 0, 2, 3] = -1.5 * np.arange(7)
    with h5py.File(file, "a") as data:
        data["Walls/Face"], data["Walls/Pose"] = [0], pose
    film = moving.Film(file, view("moving grains", "kind", unit=""), surface, EN)
    down = np.ptp(film._look.pixels(np.array([[0, 0, 12.0], [0, 0, 3.0]]))[:, 1])
    assert height(6) - height(0) == pytest.approx(down, abs=0.03 * down)


def test_kinds_have_colours_of_their_own_and_amounts_a_scale() -> None:
    kinds = grains.Painting.of(np.array([0.0, 1.0, 1.0]), view("grains", "kind", unit=""), EN)
    assert kinds.kinds == (0, 1) and len(np.unique(kinds.colours(np.array([0.0, 1.0, 1.0])), axis=0)) == 2
    amounts = grains.Painting.of(np.linspace(0, 3, 50), view("grains", "velocity"), EN)
    assert amounts.kinds == () and len(np.unique(amounts.colours(np.linspace(0, 3, 50)), axis=0)) == 50


@pytest.mark.parametrize("language", ["en", "it"])
def test_a_plot_is_drawn_and_said(tmp_path: Path, language: str) -> None:
    lines = (
        Line(name={"en": "computed"}, x=(0, 1, 2), y=(0, 1e5, 4e5), error=(0, 1e4, 2e4)),
        Line(name={"en": "measured"}, x=(0, 2), y=(0, 3.8e5), points=True),
    )
    curve = Curve(name="p", title={"en": "Pressure"}, x={"en": "time"}, x_unit="s", y={"en": "pressure"}, y_unit="Pa",
                  lines=lines)  # fmt: skip
    said = plots.draw(curve, Language(language), tmp_path / "p.png")
    assert "pressure" in said
    assert Image.open(tmp_path / "p.png").width > 1000


def test_a_flow_in_time_through_a_long_duct(tmp_path: Path) -> None:
    """As solvers write it: one mesh, fields of every frame; the picture is no higher than the duct asks for."""
    points = np.array([[0, 0, 0], [6, 0, 0], [6, 1, 0], [0, 1, 0]], float)
    frames = []
    for k in range(5):
        frames.append(tmp_path / f"{k}.npz")
        np.savez(frames[-1], time=0.5 * k, p=(k * points[:, 0]).astype(np.float32))
    write_moving(points, np.array([[0, 1, 2], [0, 2, 3]]), frames, tmp_path / "moving.vtkhdf")
    film = moving.Film(tmp_path / "moving.vtkhdf", view("moving", "p", unit="Pa"), None, EN)
    pictures = [film.frame(step) for step in film.steps]
    assert len(pictures) == 5 and pictures[0].size[1] < 260
    # nothing at first, the whole scale at the end
    colours = [len(picture.crop((100, 80, 660, 120)).getcolors(1 << 16)) for picture in (pictures[0], pictures[-1])]
    assert colours[0] < 4 and colours[1] > 100
    sheet, _, said = film.strip()
    assert "4" in said and sheet.image.width < sheet.image.height * 1.6
