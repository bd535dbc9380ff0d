"""Meshes of parts whose volume, faces and joints are known."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hub.case import Case, read
from hub.intake import GeometryVerdict, inspect
from hub.meshfile import MeshFile
from hub.runfolder import Attempt, Done, Failure, Job
from hub.selection import resolve_all
from solvers.meshing.split import tetrahedra
from solvers.meshing.stages import build, write_vtu
from solvers.meshing.tetmesh import scaled_jacobian, volume

DRAW = """
import gmsh
gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
cad = gmsh.model.occ
{drawing}
cad.synchronize()
gmsh.write({file!r})
"""
#: A plate 40 x 20 x 10 with a hole of radius 4 through it.
PLATE = "cad.cut([(3, cad.addBox(0, 0, 0, 40, 20, 10))], [(3, cad.addCylinder(20, 10, -1, 0, 0, 12, 4))])"
PLATE_VOLUME = (40 * 20 * 10 - math.pi * 4**2 * 10) * 1e-9
#: Two boxes that touch on half a face of the larger.
PAIR = "cad.addBox(0, 0, 0, 20, 20, 20); cad.addBox(20, 0, 0, 20, 20, 10)"


def drawn(file: Path, drawing: str) -> Path:
    code = DRAW.format(drawing=drawing, file=str(file))
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return file


def case(file: Path, **changes: Any) -> Case:
    data: dict[str, Any] = {
        "title": "a part",
        "geometry": {"file": file.name},
        "solver": "fem.elasticity",
        "bodies": [{"material": "steel"}],
    }
    data["geometry"] |= changes.pop("geometry", {})
    return read(data | changes)


def made(file: Path, question: Case) -> tuple[MeshFile, GeometryVerdict]:
    verdict = inspect(file, unit=question.geometry.unit)
    assert verdict.overall != "refused", verdict.problems
    faces, problems = resolve_all(question, verdict)
    assert not problems
    return build(file, verdict, question, faces), verdict


def sound(mesh: MeshFile) -> None:
    """What every mesh must be: right side out, facets on cells, no node unused, as VTK orders it."""
    assert (volume(mesh.points[mesh.cells]) > 0).all()
    assert (scaled_jacobian(mesh.points[mesh.cells]) > 0).all()
    assert set(np.unique(mesh.cells)) == set(range(len(mesh.points)))
    assert len(np.unique(mesh.facet_face)) == len(mesh.faces)
    sides = {tuple(sorted(t)) for c in mesh.cells[:, :4].tolist() for t in ((*c[:3],), (c[0], c[1], c[3]),
             (c[1], c[2], c[3]), (c[0], c[2], c[3]))}  # fmt: skip
    assert {tuple(sorted(t)) for t in mesh.facets[:, :3].tolist()} <= sides
    if mesh.order == 2:
        for array, pairs in (
            (mesh.cells, ((0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3))),
            (mesh.facets, ((0, 1), (1, 2), (2, 0))),
        ):
            corners = array.shape[1] - len(pairs)
            x = mesh.points[array]
            for k, (a, b) in enumerate(pairs):
                off = np.linalg.norm(x[:, corners + k] - (x[:, a] + x[:, b]) / 2, axis=1)
                assert (off < 0.3 * np.linalg.norm(x[:, a] - x[:, b], axis=1)).all()


def test_plate_with_a_hole(tmp_path: Path) -> None:
    file = drawn(tmp_path / "plate.step", PLATE)
    selections = {"hole": {"type": "cylinder"}, "end": {"extreme": "-x"}}
    mesh, verdict = made(file, case(file, selections=selections, mesh={"fineness": "normal"}))
    sound(mesh)
    assert mesh.numbers["volume"] == pytest.approx(PLATE_VOLUME, rel=1e-4)
    assert mesh.bodies[0]["volume"] == pytest.approx(PLATE_VOLUME, rel=1e-4)
    assert [f["area"] for f in mesh.faces] == pytest.approx([f.area for f in verdict.faces], rel=1e-9)
    on_hole = np.isin(mesh.facet_face, mesh.selections["hole"])
    distance = np.linalg.norm(mesh.points[mesh.facets[on_hole].ravel()][:, :2] - [0.02, 0.01], axis=1)
    assert distance == pytest.approx(np.full(len(distance), 0.004), rel=1e-6)  # the middle nodes too: sides are curved
    corner = mesh.points[mesh.facets[:, :3]]
    normals = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) / 2
    assert normals.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)  # a closed skin, looking one way
    flux = np.einsum("ij,ij->", corner.mean(axis=1), normals) / 3
    assert flux == pytest.approx(PLATE_VOLUME, rel=0.03)  # and outward, by the divergence theorem


def test_fineness_refinement_and_order(tmp_path: Path) -> None:
    file = drawn(tmp_path / "plate.step", PLATE)
    selections = {"hole": {"type": "cylinder"}}
    counts = [made(file, case(file, mesh={"fineness": f}))[0].numbers["nodes"] for f in ("coarse", "normal", "fine")]
    assert counts[0] < 0.6 * counts[1] < 0.36 * counts[2]
    refined, _ = made(
        file, case(file, selections=selections, mesh={"size": "8 mm", "refine": [{"on": "hole", "size": "0.8 mm"}]})
    )
    on_hole = np.isin(refined.facet_face, refined.selections["hole"])
    x = refined.points[refined.facets[on_hole][:, :2]]
    assert np.median(np.linalg.norm(x[:, 0] - x[:, 1], axis=1)) == pytest.approx(0.8e-3, rel=0.3)
    straight, _ = made(file, case(file, mesh={"fineness": "coarse", "order": 1}))
    sound(straight)
    assert straight.cells.shape[1] == 4 and straight.facets.shape[1] == 3


def test_the_same_question_has_the_same_mesh(tmp_path: Path) -> None:
    """On as many threads as there are: the mesher draws lots, and faces must not be drawn from one pot in any order."""
    file = drawn(tmp_path / "plate.step", PLATE)
    question = case(file, mesh={"size": "2 mm"})
    (first, verdict), faces = made(file, question), resolve_all(question, inspect(file))[0]
    again = build(file, verdict, question, faces, threads=4)
    assert (first.points == again.points).all() and (first.cells == again.cells).all()


def test_units_reach_the_mesh(tmp_path: Path) -> None:
    file = drawn(tmp_path / "plate.step", PLATE)
    mesh, _ = made(file, case(file, geometry={"unit": "in", "size_confirmed": True}, mesh={"fineness": "coarse"}))
    assert np.ptp(mesh.points, axis=0) == pytest.approx([40 * 0.0254, 20 * 0.0254, 10 * 0.0254], rel=1e-6)


def test_bonded_bodies_share_nodes_and_keep_names(tmp_path: Path) -> None:
    file = drawn(tmp_path / "pair.step", PAIR)
    selections = {
        "step": {"type": "plane", "normal": "x", "near": ["20 mm", "10 mm", "10 mm"]},
        "left": {"extreme": "-x"},
    }
    question = case(file, geometry={"contacts": "bonded"}, selections=selections, mesh={"fineness": "coarse"})
    mesh, verdict = made(file, question)
    sound(mesh)
    assert [b["name"] for b in mesh.bodies] == [b.name for b in verdict.bodies]
    assert [b["volume"] for b in mesh.bodies] == pytest.approx([8e-6, 4e-6], rel=1e-9)
    shared = set(mesh.cells[mesh.cell_body == 0].ravel()) & set(mesh.cells[mesh.cell_body == 1].ravel())
    assert shared and mesh.points[sorted(shared), 0] == pytest.approx(np.full(len(shared), 0.02))
    interface = [f for f in mesh.faces if len(f["bodies"]) == 2]
    assert [f["area"] for f in interface] == pytest.approx([20 * 10 * 1e-6])
    # the face of the larger box is cut in two: what is left of the selection is its free half
    assert [mesh.faces[i]["area"] for i in mesh.selections["step"]] == pytest.approx([20 * 10 * 1e-6])
    assert all(len(mesh.faces[i]["bodies"]) == 1 for i in mesh.selections["step"])
    assert mesh.faces[mesh.selections["left"][0]]["centroid"][0] == pytest.approx(0, abs=1e-9)


def test_separate_bodies_stay_apart(tmp_path: Path) -> None:
    file = drawn(tmp_path / "pair.step", PAIR)
    mesh, verdict = made(file, case(file, geometry={"contacts": "separate"}, mesh={"fineness": "coarse"}))
    sound(mesh)
    assert not set(mesh.cells[mesh.cell_body == 0].ravel()) & set(mesh.cells[mesh.cell_body == 1].ravel())
    assert len(mesh.faces) == len(verdict.faces) == 12


def test_stl_is_filled(tmp_path: Path) -> None:
    drawing = PLATE + "; cad.synchronize(); gmsh.option.setNumber('Mesh.MeshSizeMax', 3); gmsh.model.mesh.generate(2)"
    file = drawn(tmp_path / "plate.stl", drawing)
    question = case(file, geometry={"unit": "mm"}, selections={"end": {"extreme": "-x"}}, mesh={"fineness": "coarse"})
    mesh, verdict = made(file, question)
    sound(mesh)
    assert len(verdict.faces) == 7
    assert mesh.numbers["volume"] == pytest.approx(PLATE_VOLUME, rel=0.02)
    end = np.isin(mesh.facet_face, mesh.selections["end"])
    assert mesh.points[mesh.facets[end].ravel(), 0] == pytest.approx(
        np.zeros(3 * mesh.facets.shape[1] // 3 * end.sum()), abs=1e-9
    )


@pytest.mark.parametrize("kind", ["msh", "inp", "bdf", "vtu", "med"])
def test_meshes_that_people_bring(kind: str, tmp_path: Path) -> None:
    """Every format gives back the nodes, the volume and, where it can hold them, the named faces."""
    first = tmp_path / ("plate.msh" if kind in ("vtu", "med") else f"plate.{kind}")
    drawn(first, PLATE + GROUPS)
    file = tmp_path / f"plate.{kind}"
    if kind in ("vtu", "med"):
        import meshio

        grid = meshio.read(first)
        cells = np.concatenate([b.data for b in grid.cells if b.type == "tetra10"])
        meshio.Mesh(grid.points, [("tetra10", cells)]).write(file)
    named = kind in ("msh", "inp")
    selections = {"bore": {"name": "bore"}} if named else {"bore": {"type": "other"}}
    mesh, verdict = made(file, case(file, geometry={"unit": "mm"}, selections=selections))
    sound(mesh)
    assert len(verdict.faces) == 7 and verdict.overall == "accepted"
    assert mesh.numbers["volume"] == pytest.approx(PLATE_VOLUME, rel=2e-3)
    area = sum(mesh.faces[i]["area"] for i in mesh.selections["bore"])
    assert area == pytest.approx(2 * math.pi * 4 * 10 * 1e-6, rel=0.06)  # of the straight triangles


@pytest.mark.parametrize("kind", ["hexahedra", "wedges", "mixed"])
def test_meshes_of_other_elements_become_tetrahedra(kind: str, tmp_path: Path) -> None:
    """A sheared block: its volume, named end and outer faces come through, whatever it is made of."""
    drawing = (
        "gmsh.model.geo.addPoint(0, 0, 0); l = gmsh.model.geo.extrude([(0, 1)], 30, 0, 0, [5], recombine=True); "
        f"s = gmsh.model.geo.extrude([l[1]], 4, 20, 0, [3], recombine={kind == 'hexahedra'}); "
        "v = gmsh.model.geo.extrude([s[1]], 0, 3, 10, [2], recombine=True); "
        + ("gmsh.model.geo.extrude([v[0]], 0, 0, 12, [2]); " if kind == "mixed" else "")
        + "gmsh.model.geo.synchronize(); t = [t for _, t in gmsh.model.getEntities(3)]; "
        "gmsh.model.addPhysicalGroup(3, t, 1, 'block'); gmsh.model.addPhysicalGroup(2, [s[1][1]], 2, 'floor'); "
        "gmsh.model.mesh.generate(3)"
    )
    file = drawn(tmp_path / "block.msh", drawing)
    mesh, verdict = made(file, case(file, geometry={"unit": "mm"}, selections={"floor": {"name": "floor"}}))
    sound(mesh)
    height = 22 if kind == "mixed" else 10
    assert verdict.bodies[0].volume == pytest.approx(30 * 20 * height * 1e-9, rel=1e-9)
    assert mesh.numbers["volume"] == pytest.approx(30 * 20 * height * 1e-9, rel=1e-9)
    assert mesh.order == 2 and len(verdict.faces) == 6
    assert [mesh.faces[i]["area"] for i in mesh.selections["floor"]] == pytest.approx([30 * 20 * 1e-6])


@pytest.mark.parametrize("seed", range(8))
def test_neighbours_are_cut_alike_whatever_their_numbers(seed: int) -> None:
    """A cube with a pyramid on its top and a wedge at its side: sides that do not fit would show as skin."""
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1],
                       [0.5, 0.5, 2], [2, 0, 0], [2, 1, 0]], float)  # fmt: skip
    cells = {"hexahedron": range(8), "pyramid": (4, 5, 6, 7, 8), "wedge": (1, 9, 5, 2, 10, 6)}
    number = np.random.default_rng(seed).permutation(len(points))
    shuffled = np.empty_like(points)
    shuffled[number] = points
    tets = np.concatenate([tetrahedra(shuffled, number[[list(c)]], kind)[0] for kind, c in cells.items()])
    assert np.abs(volume(shuffled[tets])).sum() == pytest.approx(1 + 1 / 3 + 1 / 2)
    sides = np.sort(tets[:, [[0, 1, 2], [0, 1, 3], [1, 2, 3], [0, 2, 3]]].reshape(-1, 3), axis=1)
    uses = np.unique(sides, axis=0, return_counts=True)[1]
    assert uses.max() == 2 and (uses == 1).sum() == 4 * 2 + 4 + 2 * 2 + 2


def test_a_warped_hexahedron_is_refused_in_words(tmp_path: Path) -> None:
    import meshio

    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0.1, 0.1, -0.5], [0, 1, 1]])
    meshio.Mesh(corners * 30, [("hexahedron", [list(range(8))])]).write(tmp_path / "warped.vtu")
    verdict = inspect(tmp_path / "warped.vtu")
    assert verdict.overall == "refused" and "warped" in verdict.problems[0].found


GROUPS = """
cad.synchronize()
bore = [t for _, t in gmsh.model.getEntities(2) if gmsh.model.getType(2, t) == "Cylinder"]
gmsh.model.addPhysicalGroup(3, [1], 1, "steel")
gmsh.model.addPhysicalGroup(2, bore, 2, "bore")
gmsh.option.setNumber("Mesh.MeshSizeMax", 4)
gmsh.option.setNumber("Mesh.MeshSizeFromCurvature", 12)
gmsh.model.mesh.generate(3)
gmsh.model.mesh.setOrder(2)
"""


def stage(name: str, folder: Path, question: dict[str, Any], files: dict[str, Path]) -> tuple[int, Attempt]:
    attempt = Attempt.create(folder / name / "1", {"case.json": question}, files, Job(name=name, argv=(), time=120))
    command = [sys.executable, "-m", "solvers.meshing", name, str(attempt.folder)]
    return subprocess.run(command, capture_output=True, check=False, timeout=200).returncode, attempt


def test_stages(tmp_path: Path) -> None:
    file = drawn(tmp_path / "plate.step", PLATE)
    question = case(
        file, selections={"hole": {"type": "cylinder"}}, mesh={"fineness": "coarse", "coarser": 1.4}
    ).model_dump(mode="json", exclude_none=True)
    code, check = stage("check", tmp_path, question, {"geometry.step": file})
    assert code == 0 and isinstance(check.outcome(), Done), check.outcome()
    assert {"verdict.json", "surface.npz"} <= {f.name for f in check.out.iterdir()}
    with np.load(check.out / "surface.npz", allow_pickle=False) as surface:
        assert surface["face"].max() == 6 and len(surface["edges"])
        assert np.ptp(surface["points"], axis=0) == pytest.approx([0.04, 0.02, 0.01])
    code, mesh = stage("mesh", tmp_path, question, {"geometry.step": file, "verdict.json": check.out / "verdict.json"})
    assert code == 0 and isinstance(mesh.outcome(), Done), mesh.outcome()
    read_back = MeshFile.read(mesh.out)
    sound(read_back)
    coarser = MeshFile.read(mesh.out / "coarser")
    sound(coarser)
    assert coarser.selections == read_back.selections
    assert 1.2 < read_back.numbers["tets"] / coarser.numbers["tets"] < 4
    import meshio

    grid = meshio.read(mesh.out / "mesh.vtu")
    assert len(grid.points) == len(read_back.points) and mesh.status().values["nodes"] == len(read_back.points)


def test_check_refuses_and_says_why(tmp_path: Path) -> None:
    file = drawn(tmp_path / "plate.step", PLATE)
    question = case(file, selections={"hole": {"type": "sphere"}}).model_dump(mode="json", exclude_none=True)
    code, check = stage("check", tmp_path, question, {"geometry.step": file})
    outcome = check.outcome()
    assert code == 2 and isinstance(outcome, Failure) and outcome.code == "refused"
    assert "selections.hole" in outcome.message and "sphere" in outcome.message
    assert json.loads((check.out / "verdict.json").read_bytes())["kind"] == "step"


def test_vtu_can_be_written_for_straight_meshes(tmp_path: Path) -> None:
    file = drawn(tmp_path / "plate.step", PLATE)
    mesh, _ = made(file, case(file, mesh={"fineness": "coarse", "order": 1}))
    write_vtu(mesh, tmp_path / "mesh.vtu")
    assert (tmp_path / "mesh.vtu").stat().st_size > 1000


def test_exact_volume_of_a_curved_tetrahedron() -> None:
    """A corner of a box whose one side bulges: the integral of the quadratic map, by a rule of far higher order."""
    straight = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    nodes = np.vstack(
        [straight, [(straight[a] + straight[b]) / 2 for a, b in ((0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3))]]
    )
    assert volume(nodes[None])[0] == pytest.approx(1 / 6)
    bulge = nodes.copy()
    bulge[5] += [0.1, 0.1, 0.0]
    n = 40
    g, w = np.polynomial.legendre.leggauss(n)
    g, w = (g + 1) / 2, w / 2
    total = 0.0
    for a, wa in zip(g, w, strict=True):
        for b, wb in zip(g, w, strict=True):
            x, y = a, b * (1 - a)
            z = g * (1 - x - y)
            # x moves by 4 N_5 (0.1): N_5 = r s; det = 1 + 0.4 (r + s), the bulge adds to both x and y
            total += wa * wb * (1 - a) * (1 - x - y) * float((w * (1 + 0.4 * (x + y) + 0 * z)).sum())
    assert volume(bulge[None])[0] == pytest.approx(total, rel=1e-9)
