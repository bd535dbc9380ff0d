"""The skin of a part as walls: area, bodies, deviation, and skins that are open or cross themselves."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest

from hub.intake import inspect, open_questions
from hub.selection import resolve_all
from solvers.meshing.crossing import crossings
from solvers.meshing.stages import build
from tests.solvers.meshing.test_mesh import case, drawn, made

WALLS = {"kind": "walls"}


def stl(file: Path, corners: np.ndarray) -> Path:
    """A binary STL of triangles (n, 3, 3)."""
    rows = b"".join(struct.pack("<12fH", 0, 0, 0, *t.ravel(), 0) for t in corners.astype(np.float32))
    file.write_bytes(bytes(80) + struct.pack("<I", len(corners)) + rows)
    return file


def box(low: float, high: float) -> np.ndarray:
    """The twelve triangles of a cube, outward."""
    x = np.array([[i, j, k] for i in (low, high) for j in (low, high) for k in (low, high)])
    quads = ([0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3])
    return np.array([x[[q[0], q[i], q[i + 1]]] for q in quads for i in (1, 2)])


def test_a_drum_and_its_blade_are_two_bodies(tmp_path: Path) -> None:
    file = drawn(
        tmp_path / "drum.step",
        "cad.cut([(3, cad.addCylinder(0, 0, 0, 200, 0, 0, 110))], [(3, cad.addCylinder(5, 0, 0, 190, 0, 0, 100))]); "
        "cad.addBox(50, -60, -5, 100, 120, 10)",
    )
    question = case(file, domain=WALLS, selections={"inner": {"type": "cylinder", "inside": True}})
    mesh, _ = made(file, question)
    assert mesh.cells.shape == (0, 4) and len(mesh.bodies) == 2 and mesh.facets.shape[1] == 3
    body = np.array([mesh.faces[f]["bodies"][0] for f in mesh.facet_face])
    corner = mesh.points[mesh.facets]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) / 2
    enclosed = [np.einsum("ij,ij->i", corner.mean(axis=1), normal)[body == b].sum() / 3 for b in (0, 1)]
    expected = math.pi * (0.11**2 * 0.2 - 0.1**2 * 0.19)
    assert sorted(enclosed) == pytest.approx([0.1 * 0.12 * 0.01, expected], rel=0.05), "closed, and outward"
    inner = mesh.points[mesh.facets[np.isin(mesh.facet_face, mesh.selections["inner"])]]
    radius = np.hypot(inner[..., 1], inner[..., 2])
    assert radius == pytest.approx(0.1)
    sag = 0.1 - np.hypot(*inner.mean(axis=1)[:, 1:].T).min()
    assert 0 < sag <= 2 * mesh.numbers["deviation"] and mesh.numbers["deviation"] < 0.01 * 0.11
    assert mesh.numbers["open_edges"] == 0


def test_sheets_are_walls_but_no_part(tmp_path: Path) -> None:
    file = drawn(
        tmp_path / "chute.step",
        "cad.addRectangle(0, 0, 0, 100, 50); cad.rotate([(2, 1)], 0, 0, 0, 1, 0, 0, 0.6)",
    )
    verdict = inspect(file)
    question = case(file, domain=WALLS)
    as_part, as_walls = (open_questions(verdict, question.geometry, kind) for kind in ("part", "walls"))
    assert {"surfaces-only", "open-edges"} <= {p.code for p in as_part if p.severity == "error"}
    assert [p.severity for p in as_walls] == ["warning"] and "near 50, 0, 0" in as_walls[0].found
    mesh = build(file, verdict, question, resolve_all(question, verdict)[0])
    assert mesh.numbers["area"] == pytest.approx(5e-3) and mesh.faces[0]["bodies"] == [0] and len(mesh.bodies) == 1
    assert mesh.numbers["open_edges"] > 0 and len(mesh.numbers["open_places"]) == 1


def test_an_stl_is_taken_as_it_is_and_its_hole_is_found(tmp_path: Path) -> None:
    file = stl(tmp_path / "box.stl", box(0, 20)[2:])
    verdict = inspect(file, unit="mm")
    question = case(file, geometry={"unit": "mm"}, domain=WALLS)
    (warning,) = [p for p in open_questions(verdict, question.geometry, "walls") if p.code == "open-edges"]
    assert warning.severity == "warning" and "near 0, 10, 10 mm" in warning.found
    mesh = build(file, verdict, question, resolve_all(question, verdict)[0])
    assert len(mesh.facets) == 10 and mesh.numbers["area"] == pytest.approx(5 * 4e-4)


def test_a_skin_that_crosses_itself_is_told_with_its_place(tmp_path: Path) -> None:
    file = stl(tmp_path / "two.stl", np.concatenate([box(0, 20), box(15, 30)]))
    verdict = inspect(file, unit="mm")
    geometry = case(file, geometry={"unit": "mm"}).geometry
    (problem,) = [p for p in open_questions(verdict, geometry) if p.code == "self-crossing"]
    assert problem.severity == "error" and "near" in problem.found
    (softened,) = [p for p in open_questions(verdict, geometry, "walls") if p.code == "self-crossing"]
    assert softened.severity == "warning"


def test_crossings_are_those_that_brute_force_finds() -> None:
    rng = np.random.default_rng(4)
    middle = rng.random((300, 1, 3))
    points = (middle + 0.1 * (rng.random((300, 3, 3)) - 0.5)).reshape(-1, 3)
    triangles = np.arange(900).reshape(-1, 3)

    def pierces(side: np.ndarray, t: np.ndarray) -> bool:
        system = np.column_stack([t[1] - t[0], t[2] - t[0], side[0] - side[1]])
        x, y, s = np.linalg.solve(system, side[0] - t[0])
        return x > 0 and y > 0 and x + y < 1 and 0 < s < 1

    expected = 0
    for i in range(300):
        for j in range(i + 1, 300):
            a, b = points[triangles[i]], points[triangles[j]]
            if np.abs(a.mean(axis=0) - b.mean(axis=0)).max() < 0.2:
                expected += any(pierces(p[[k, (k + 1) % 3]], q) for p, q in ((a, b), (b, a)) for k in range(3))
    count, place = crossings(points, triangles)
    assert count == expected > 3 and place is not None
