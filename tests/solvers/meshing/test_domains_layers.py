"""Layers along walls: volumes stay, cells are conforming and right side out, heights are those asked for."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hub.meshfile import MeshFile
from solvers.meshing.planar import triangle_area
from tests.solvers.meshing.test_domains_plane import whole
from tests.solvers.meshing.test_mesh import case, drawn, made, sound

WATER = {"name": "water", "density": "1000 kg/m3", "dynamic_viscosity": "0.001 Pa*s"}
STEEL = {"name": "steel", "thermal_conductivity": "50 W/m/K"}


def heights(mesh: MeshFile, wall: str, distance: Any) -> list[float]:
    """Distances from the wall of the corners of cells, the distinct ones up to the thickness of the layers."""
    corners = mesh.cells[:, : mesh.dimension + 1]
    off = distance(mesh.points[np.unique(corners)])
    thick = mesh.numbers["layers"][0]["thickness"]["max"]
    return sorted({round(float(h), 9) for h in off[off < 1.0001 * thick]})


@pytest.mark.parametrize("order", [1, 2])
def test_a_ring_of_triangles_has_the_heights_asked_for(tmp_path: Path, order: int) -> None:
    file = drawn(
        tmp_path / "channel.step",
        "cad.cut([(3, cad.addBox(0, 0, 0, 220, 41, 5))], [(3, cad.addCylinder(20, 20, -1, 0, 0, 7, 5))])",
    )
    question = case(
        file, bodies=[{"material": WATER}], domain={"kind": "plane", "face": "front"},
        selections={"front": {"type": "plane", "normal": "z"}, "rod": {"type": "cylinder"}},
        mesh={"order": order, "size": "5 mm", "refine": [{"on": "rod", "size": "1 mm"}],
              "layers": [{"on": "rod", "first": "0.1 mm", "count": 4, "growth": 1.5}]},
    )  # fmt: skip
    mesh, _ = made(file, question)
    whole(mesh)
    radius = lambda x: np.hypot(x[:, 0] - 0.02, x[:, 1] - 0.02) - 0.005  # noqa: E731
    assert heights(mesh, "rod", radius) == pytest.approx([0, 1e-4, 2.5e-4, 4.75e-4, 8.125e-4], abs=1e-7)
    area = (220 * 41 - math.pi * 25) * 1e-6
    assert triangle_area(mesh.points[mesh.cells]).sum() == pytest.approx(area, rel=1e-6 if order == 2 else 1e-3)
    (layers,) = mesh.numbers["layers"]
    assert layers["made"] == layers["asked"] == 4 and layers["thinned"] == 0
    rod = mesh.points[mesh.facets[np.isin(mesh.facet_face, mesh.selections["rod"])]]
    assert np.hypot(*(rod - [0.02, 0.02, 0])[..., :2].reshape(-1, 2).T) == pytest.approx(0.005)
    assert mesh.numbers["across_gaps"]["cells"] > 4


@pytest.mark.parametrize(("kind", "told"), [("wall", True), ("symmetry", False)])
def test_few_cells_across_a_gap_are_warned_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str, told: bool
) -> None:
    """Two cells; behind a plane of symmetry they count twice."""
    file = drawn(tmp_path / "channel.step", "cad.addBox(0, 0, 0, 220, 41, 5)")
    question = case(
        file, bodies=[{"material": WATER}], domain={"kind": "plane", "face": "front"},
        selections={"front": {"type": "plane", "normal": "z"}, "bottom": {"type": "plane", "normal": "-y"}},
        conditions=[{"kind": kind, "on": "bottom"}], mesh={"size": "20 mm"},
    )  # fmt: skip
    mesh, _ = made(file, question)
    assert 1.5 <= mesh.numbers["across_gaps"]["cells"] < 3
    assert ("choose a size of at most 14 mm" in capfd.readouterr().out) is told


@pytest.mark.parametrize("order", [1, 2])
def test_prisms_in_a_pipe_end_flat_on_its_ends(tmp_path: Path, order: int) -> None:
    file = drawn(tmp_path / "pipe.step", "cad.addCylinder(0, 0, 0, 60, 0, 0, 10)")
    question = case(
        file, bodies=[{"material": WATER}], selections={"wall": {"type": "cylinder"}},
        mesh={"order": order, "fineness": "coarse", "layers": [{"on": "wall", "first": "0.3 mm", "count": 3}]},
    )  # fmt: skip
    plain, _ = made(
        file, case(file, selections={"wall": {"type": "cylinder"}}, mesh={"order": order, "fineness": "coarse"})
    )
    mesh, _ = made(file, question)
    sound(mesh)
    assert mesh.numbers["volume"] == pytest.approx(plain.numbers["volume"], rel=1e-6), "no room is lost or won"
    at = mesh.numbers["layers"][0]["first"]
    assert at["median"] == pytest.approx(3e-4, rel=0.02) and mesh.numbers["layers"][0]["made"] == 3
    wall = np.isin(mesh.facet_face, mesh.selections["wall"]).sum()
    # three tetrahedra a prism; gmsh's own count differs a little from one run to the next
    assert mesh.numbers["tets"] - 3 * 3 * wall == pytest.approx(plain.numbers["tets"], rel=0.02)
    for end in (0.0, 0.06):
        flat = [i for i, f in enumerate(mesh.faces) if f["type"] == "plane" and abs(f["centroid"][0] - end) < 1e-9]
        on = mesh.facets[np.isin(mesh.facet_face, flat)]
        assert mesh.points[on][..., 0] == pytest.approx(end, abs=1e-9)
        corner = mesh.points[on[:, :3]]
        covered = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1).sum() / 2
        assert covered == pytest.approx(math.pi * 1e-4, rel=0.07)


def test_layers_lie_in_the_fluid_only(tmp_path: Path) -> None:
    file = drawn(
        tmp_path / "oven.step",
        "room = cad.addBox(0, 0, 0, 60, 50, 40); load = cad.addBox(20, 15, 10, 20, 20, 20)\n"
        "cad.fragment([(3, room)], [(3, load)])",
    )
    ways = ("x", "-x", "y", "-y", "z", "-z")
    question = case(
        file, geometry={"contacts": "bonded"},
        bodies=[{"on": "all", "material": WATER}, {"on": "body 1", "material": STEEL}],
        selections={"hot": {"any": [{"type": "plane", "normal": w, "body": "body 1"} for w in ways]}},
        mesh={"order": 1, "size": "6 mm", "layers": [{"on": "hot", "first": "0.2 mm", "count": 3, "growth": 1.5}]},
    )  # fmt: skip
    mesh, _ = made(file, question)
    sound(mesh)
    assert [b["volume"] for b in mesh.bodies] == pytest.approx([8e-6, 112e-6])
    solid = np.unique(mesh.cells[mesh.cell_body == 0])
    x = mesh.points[solid] * 1e3
    assert (x.min(axis=0) >= [20 - 1e-6, 15 - 1e-6, 10 - 1e-6]).all()
    assert mesh.numbers["layers"][0]["first"]["max"] == pytest.approx(2e-4, rel=1e-6)
    fluid = np.unique(mesh.cells[mesh.cell_body == 1])
    touching = np.isin(mesh.facets, solid).all(axis=1) & np.isin(mesh.facets, fluid).all(axis=1)
    assert touching.sum() == np.isin(mesh.facet_face, mesh.selections["hot"]).sum(), "the bodies share every facet"


def test_where_layers_cannot_end_the_mesh_is_refined_and_it_is_said(tmp_path: Path) -> None:
    file = drawn(tmp_path / "cone.step", "cad.addCone(0, 0, 0, 100, 0, 0, 20, 10)")
    question = case(
        file, bodies=[{"material": WATER}], selections={"end": {"type": "plane", "normal": "x"}},
        mesh={"order": 1, "fineness": "coarse", "layers": [{"on": "end"}]},
    )  # fmt: skip
    plain, _ = made(
        file, case(file, selections={"end": {"type": "plane", "normal": "x"}}, mesh={"order": 1, "fineness": "coarse"})
    )
    mesh, _ = made(file, question)
    sound(mesh)
    (layers,) = mesh.numbers["layers"]
    assert layers["made"] == 0 and "curved: name it too" in layers["instead"]
    there = [np.isin(m.facet_face, m.selections["end"]).sum() for m in (plain, mesh)]
    assert there[1] > 3 * there[0]


def test_layers_do_not_end_at_an_edge_that_juts_into_the_fluid(tmp_path: Path) -> None:
    """On the wall before a step alone they would end open above its edge; around it, they close and tear nothing."""
    file = drawn(
        tmp_path / "step.step", "cad.cut([(3, cad.addBox(0, 0, 0, 60, 20, 5))], [(3, cad.addBox(0, 0, 0, 20, 8, 5))])"
    )
    walls = {"before": {"normal": "-y", "near": ["10 mm", "8 mm", "2 mm"]}, "behind": {"normal": "-y", "extreme": "-y"},
             "step": {"normal": "-x", "near": ["20 mm", "4 mm", "2 mm"]}, "top": {"normal": "z"}}  # fmt: skip
    found = []
    for names in (("before",), ("before", "step", "behind")):
        question = case(
            file, bodies=[{"material": WATER}], selections=walls, domain={"kind": "plane", "face": "top"},
            mesh={"order": 1, "size": "2 mm", "layers": [{"on": name, "first": "0.2 mm"} for name in names]},
        )  # fmt: skip
        mesh, _ = made(file, question)
        whole(mesh)
        ends = mesh.points[mesh.facets].reshape(-1, 3)
        outside = (ends[:, 1] > 0.008 + 1e-9) & (ends[:, 1] < 0.02 - 1e-9) & (ends[:, 0] > 1e-9) & (ends[:, 0] < 0.0599)
        assert not outside.any(), "a wall stands in the fluid"
        found.append(mesh.numbers["layers"][0])
    assert found[0]["made"] == 0 and "juts into the fluid" in found[0]["instead"]
    assert found[1]["made"] == 5


def test_a_finer_mesh_reaches_as_far_as_it_is_asked_to(tmp_path: Path) -> None:
    file, near = drawn(tmp_path / "box.step", "cad.addBox(0, 0, 0, 60, 30, 5)"), []
    for more in ({}, {"reach": "10 mm"}):
        question = case(
            file, selections={"floor": {"normal": "-y"}, "top": {"normal": "z"}},
            domain={"kind": "plane", "face": "top"},
            mesh={"order": 1, "size": "5 mm", "refine": [{"on": "floor", "size": "1 mm", **more}]},
        )  # fmt: skip
        mesh, _ = made(file, question)
        corners = mesh.points[mesh.cells]
        middle = corners.mean(axis=1)[:, 1]
        size = np.sqrt(4 / 3**0.5 * triangle_area(corners))
        near.append(float(np.median(size[(middle > 0.006) & (middle < 0.010)])))
    assert near[0] > 0.002 and near[1] == pytest.approx(0.001, rel=0.2)
