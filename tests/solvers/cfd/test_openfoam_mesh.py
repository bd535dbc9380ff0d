"""Meshes and files of OpenFOAM: what is written is what is read, by us and by its own programs."""

import itertools
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ducts import box
from openfoam_cases import needed
from rectangles import rectangle

from hub.solver import StageError
from solvers.cfd.openfoam import program
from solvers.cfd.openfoam.foamfile import head, raw, read_field, write_dictionary
from solvers.cfd.openfoam.hexahedra import BEND, Box, Sizes, bends, frontal_area
from solvers.cfd.openfoam.iterate import MEANS, START, SWING, History, Tail, velocity_of
from solvers.cfd.openfoam.polymesh import PolyMesh, from_mesh
from solvers.cfd.openfoam.setup import power_law, schemes, solution


@pytest.fixture(scope="module")
def cube() -> PolyMesh:
    return from_mesh(mesh := box((1.0, 2.0, 3.0), 0.7), [(n, "patch", f) for n, f in mesh.selections.items()])


def closed(mesh: PolyMesh) -> np.ndarray:
    """Sum of the outward area vectors of each cell: zero where the sides of all cells fit."""
    area, total = mesh.geometry[1], np.zeros((mesh.cells, 3))
    np.add.at(total, mesh.owner, area)
    np.add.at(total, mesh.neighbour, -area[: len(mesh.neighbour)])
    return total


def volume(mesh: PolyMesh) -> float:
    """By the divergence theorem, from boundary faces alone."""
    centre, area = mesh.geometry
    outer = slice(len(mesh.neighbour), None)
    return float(np.einsum("ij,ij->", centre[outer], area[outer]) / 3)


def test_tetrahedra_close_and_fill_the_box(cube: PolyMesh) -> None:
    assert np.abs(closed(cube)).max() < 1e-12
    assert volume(cube) == pytest.approx(6.0, rel=1e-12)
    assert (cube.owner[: len(cube.neighbour)] < cube.neighbour).all()
    top = cube.geometry[1][cube.of_patches(["z1"])].sum(axis=0)
    assert top == pytest.approx([0, 0, 2.0], abs=1e-12), "patches face outwards"


def test_a_last_cell_inside_is_counted() -> None:
    mesh = box((1.0, 2.0, 3.0), 0.4)
    skin = set(np.unique(mesh.facets[:, :3]).tolist())
    inside = next(i for i, cell in enumerate(mesh.cells) if not skin & set(cell[:4].tolist()))
    last = np.append(np.delete(np.arange(len(mesh.cells)), inside), inside)
    mesh.cells[:] = mesh.cells[last]
    made = from_mesh(mesh, [(n, "patch", f) for n, f in mesh.selections.items()])
    assert made.cells == len(mesh.cells)
    assert np.abs(closed(made)).max() < 1e-12


def test_triangles_become_prisms_one_metre_deep() -> None:
    flat = rectangle((4, 3), (2.0, 1.5))
    mesh = from_mesh(flat, [(n, "patch", f) for n, f in flat.selections.items()])
    assert mesh.cells == len(flat.cells)
    assert np.abs(closed(mesh)).max() < 1e-12
    assert volume(mesh) == pytest.approx(3.0, rel=1e-12)
    assert mesh.patches[-1].kind == "empty" and mesh.patches[-1].count == 2 * mesh.cells


def test_long_triangles_are_joined_in_pairs() -> None:
    """Cut rectangles four times as long as high are rectangles again; squares stay cut."""
    for cells, count in (((3, 12), 36), ((6, 6), 72)):
        flat = rectangle(cells, (2.0, 2.0))
        mesh = from_mesh(flat, [(n, "patch", f) for n, f in flat.selections.items()])
        assert (len(flat.cells), mesh.cells) == (2 * cells[0] * cells[1], count)
        assert np.abs(closed(mesh)).max() < 1e-12
        assert volume(mesh) == pytest.approx(4.0, rel=1e-12)
        assert (mesh.owner[: len(mesh.neighbour)] < mesh.neighbour).all()
    centre, area = mesh.geometry
    assert (np.diff(mesh.first) >= 3).all() and np.isfinite(centre).all() and (np.linalg.norm(area, axis=1) > 0).all()


def test_a_skin_without_names_is_refused() -> None:
    mesh = box((1.0, 1.0, 1.0), 0.7)
    with pytest.raises(StageError, match="belong to no face"):
        from_mesh(mesh, [("x0", "patch", mesh.selections["x0"])])


def test_a_mesh_is_read_as_it_was_written(cube: PolyMesh, tmp_path: Path) -> None:
    cube.write(tmp_path)
    again = PolyMesh.read(tmp_path)
    assert again.patches == cube.patches
    for name in ("points", "first", "nodes", "owner", "neighbour"):
        assert np.array_equal(getattr(again, name), getattr(cube, name)), name


@needed
def test_openfoam_finds_the_mesh_good(cube: PolyMesh, tmp_path: Path) -> None:
    cube.write(tmp_path)
    times = {"startTime": 0, "endTime": 1, "deltaT": 1, "startFrom": "startTime", "writeInterval": 1}
    write_dictionary(tmp_path / "system" / "controlDict", times)
    write_dictionary(tmp_path / "system" / "fvSchemes", schemes(upwind=True, rough=True))
    write_dictionary(tmp_path / "system" / "fvSolution", solution(upwind=True, rough=True))
    ran = subprocess.run(
        [f"{program.PROGRAMS}/checkMesh"], cwd=tmp_path, env=program.environment(tmp_path), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert "Mesh OK" in ran.stdout, ran.stdout[-2000:] + ran.stderr[-500:]


def test_fields_are_read_whatever_bytes_their_lists_hold(tmp_path: Path) -> None:
    """Raw numbers may look like the end of a list, of an entry or of a comment."""
    values = np.frombuffer(b"}; ) // \n(*/ {;}" * 3, np.float64).reshape(2, 3).copy()
    file = tmp_path / "U"
    file.write_bytes(
        head("volVectorField", "U", binary=True).encode()
        + b"dimensions [0 1 -1 0 0 0 0];\ninternalField nonuniform List<vector> " + raw(values) + b";\n"
        + b"boundaryField { a { type fixedValue; value nonuniform List<vector> " + raw(values[:1]) + b"; }\n"
        + b"b { type inletOutlet; inletValue uniform (0 0 0); value uniform (1 2 3); } c { type slip; } }\n"
    )  # fmt: skip
    field = read_field(file, {"a": 1, "b": 2, "c": 4}, 2)
    assert field.inside.tobytes() == values.tobytes()
    assert field.patches["a"].tobytes() == values[:1].tobytes()
    assert field.patches["b"].tolist() == [[1, 2, 3]] * 2
    assert "c" not in field.patches


def test_fluxes_of_a_uniform_stream_give_it_back(cube: PolyMesh) -> None:
    from solvers.cfd.openfoam.foamfile import Field

    stream = np.array([1.0, -2.0, 0.5])
    through = cube.geometry[1] @ stream
    flux = Field(through[: len(cube.neighbour)], {p.name: through[p.faces] for p in cube.patches})
    assert velocity_of(cube, flux) == pytest.approx(np.tile(stream, (cube.cells, 1)), abs=1e-12)


def test_the_power_law_has_a_seventh_at_the_walls() -> None:
    """Of a duct 2 m wide: (y / 1 m)^(1/7)."""
    flat = rectangle((3, 40), (1.0, 2.0))
    mesh = from_mesh(flat, [(n, "patch", f) for n, f in flat.selections.items()])
    faces = mesh.of_patches(["left"])
    y = mesh.geometry[0][faces][:, 1]
    wanted = np.minimum(y, 2 - y) ** (1 / 7)
    assert power_law(mesh, faces) == pytest.approx(wanted / wanted.max(), abs=2e-3)


def test_the_shadow_of_a_turned_cube() -> None:
    """Seen along its space diagonal a cube of side 1 is a hexagon of area sqrt(3)."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
    quads = [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]
    triangles = np.array([[corners[q[0]], corners[q[i]], corners[q[i + 1]]] for q in quads for i in (1, 2)])
    assert frontal_area(triangles, np.array([1.0, 0, 0])) == pytest.approx(1.0, rel=5e-3)
    assert frontal_area(triangles, np.ones(3)) == pytest.approx(math.sqrt(3), rel=5e-3)


def test_monitors_are_read_as_they_grow(tmp_path: Path) -> None:
    """A line that is not whole yet is left for the next time; stages follow each other in folders by number."""
    (tmp_path / "0").mkdir()
    file = tmp_path / "0" / "force.dat"
    file.write_text("# Time force\n1\t(1 2 3) (0 0 0)\n2\t(4 5")
    tail = Tail(tmp_path)
    assert tail.rows() == [(1, 1, 2, 3, 0, 0, 0)]
    with file.open("a") as stream:
        stream.write(" 6) (0 0 0)\n")
    (tmp_path / "100").mkdir()
    (tmp_path / "100" / "force.dat").write_text("101 (7 8 9) (0 0 0)\n")
    assert tail.rows() == [(2, 4, 5, 6, 0, 0, 0), (101, 7, 8, 9, 0, 0, 0)]


def rounded_plate(radius: float, size: float) -> Box:
    """Two flat strips that a quarter of a cylinder joins, and a third that stands upright at an edge."""
    turns = np.linspace(0, math.pi / 2, max(2, round(radius * math.pi / 2 / size)) + 1)
    line = [(-3 * size, 0.0), (-2 * size, 0.0), (-size, 0.0)]
    line += [(radius * math.sin(t), radius * (math.cos(t) - 1)) for t in turns]
    x, z = line[-1]
    line += [(x, z - size), (x, z - 2 * size), (x + size, z - 2 * size)]
    quads = [((*a, 0.0), (*b, 0.0), (*b, size), (*a, size)) for a, b in itertools.pairwise(line)]
    triangles = np.array([[q[0], q[i], q[i + 1]] for q in quads for i in (1, 2)])[:, :, [0, 2, 1]]
    return Box(triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1)), {}, {"part": triangles}, size)


def test_where_the_skin_bends_cells_are_halved_but_not_at_edges() -> None:
    """A cell of 20 mm on a radius of 100 mm turns by 11 degrees, one of 5 mm by less than 3."""
    box = rounded_plate(0.1, 0.02)
    bent = bends(box, Sizes(0.02, 3))
    middle = bent.mean(axis=1)
    assert len(bent) >= 2 * 8, "all of the cylinder"
    assert (middle[:, 0] > -0.02).all() and (middle[:, 2] > -0.12).all(), "of the flat strips those beside it at most"
    assert len(bends(box, Sizes(0.02, 3).coarser(1.4))) == len(bent), "on both meshes of a pair at the same places"
    assert 0.005 / 0.1 < BEND < 0.02 / 0.1
    assert not len(bends(rounded_plate(0.1, 0.005), Sizes(0.005, 3)))


def swinging(count: int, drag: float) -> History:
    """Forces that swing by 5 % with a period of 50 iterations while their mean grows by `drag` in each of them."""
    step = np.arange(count)
    force = 1 + drag * step + 0.05 * np.sin(2 * np.pi * step / 50)
    return History(residuals=[{"p": 0.01}] * count, forces=[(float(f), 0.0, 0.0) for f in force])


def test_means_of_what_swings() -> None:
    """The mean of whole swings is the middle they swing about; one that grows is seen, too few are not judged."""
    history = swinging(START + 2 * SWING, 0.0)
    forces = np.array(history.forces)
    assert history.drift() < 1e-9 and history.mean()[0] == pytest.approx(1.0, abs=1e-9)
    assert history.wander(forces, swings=True)[0] == pytest.approx(0.05, rel=0.01)
    assert swinging(START + 2 * SWING, 1e-4).drift() > MEANS
    assert swinging(START + 2 * SWING - 1, 0.0).drift() == 1.0
