"""A block with a known answer: the inputs of a report without any solver."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import meshio
import numpy as np
import pytest

from hub.case import Condition
from hub.meshfile import MeshFile
from hub.result import Answer
from hub.runfolder import Attempt, Job
from hub.units import Pressure, Unit, Vector

SIZE = np.array([0.12, 0.05, 0.03])
#: Kuhn's six tetrahedra of a cube, by its corners 0..7 (bits x, y, z), all of positive volume.
KUHN = np.array([[0, 1, 3, 7], [0, 3, 2, 7], [0, 2, 6, 7], [0, 6, 4, 7], [0, 4, 5, 7], [0, 5, 1, 7]])
EDGES = np.array([[0, 1], [1, 2], [0, 2], [0, 3], [1, 3], [2, 3]])
STEEL = {"name": "Steel", "source": "EN 10025-2", "density": 7850.0, "youngs_modulus": 2.1e11,
         "poissons_ratio": 0.3, "yield_strength": 2.35e8}  # fmt: skip


class Fixed(Condition):
    kind: Literal["fixed"]


class Force(Condition):
    kind: Literal["force"]
    value: Annotated[Vector, Unit("N")]


class PressureLoad(Condition):
    kind: Literal["pressure"]
    value: Pressure


class Temperature(Condition):
    kind: Literal["temperature"]
    value: Annotated[float, Unit("K")]


class Convection(Condition):
    kind: Literal["convection"]
    coefficient: Annotated[float, Unit("W/m**2/K")]
    ambient: Annotated[float, Unit("K")]


def block(n: tuple[int, int, int] = (8, 4, 3)) -> MeshFile:
    """A block of second-order tetrahedra; its faces -x, x, -y, y, -z, z are 0 to 5."""
    grid = np.stack(np.meshgrid(*(np.arange(k + 1) for k in n), indexing="ij"), axis=-1).reshape(-1, 3)
    number = {tuple(p): i for i, p in enumerate(grid.tolist())}
    cells = []
    for cell in itertools.product(*(range(k) for k in n)):
        corners = [number[tuple(c + (i >> k & 1) for k, c in enumerate(cell))] for i in range(8)]
        cells += [[corners[i] for i in tet] for tet in KUHN]
    corner = np.array(cells)
    points = grid / np.array(n) * SIZE
    pairs = np.sort(corner[:, EDGES], axis=2)
    unique, back = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    cells10 = np.concatenate([corner, len(points) + back.reshape(-1, 6)], axis=1)
    points = np.concatenate([points, points[unique].mean(axis=1)])
    facets, of_face, faces = [], [], []
    middle = {tuple(e): len(grid) + i for i, e in enumerate(unique.tolist())}
    for axis, end in itertools.product(range(3), range(2)):
        value = (0.0, SIZE[axis])[end]
        normal = [0.0, 0.0, 0.0]
        normal[axis] = (-1.0, 1.0)[end]
        for tet in corner:
            for left_out in range(4):
                a, b, c = np.delete(tet, left_out)
                if np.allclose(points[[a, b, c], axis], value):
                    if np.cross(points[b] - points[a], points[c] - points[a]) @ normal < 0:
                        b, c = c, b
                    mids = [middle[tuple(sorted((int(p), int(q))))] for p, q in ((a, b), (b, c), (c, a))]
                    facets.append([a, b, c, *mids])
                    of_face.append(2 * axis + end)
        centre = SIZE / 2
        centre[axis] = value
        area = float(np.prod(np.delete(SIZE, axis)))
        others = [i for i in range(6) if i // 2 != axis]
        faces.append({"index": 2 * axis + end, "bodies": [0], "type": "plane", "area": area,
                      "centroid": centre.tolist(), "normal": normal, "neighbours": others})  # fmt: skip
    return MeshFile(
        points=points, cells=cells10, cell_body=np.zeros(len(cells10), np.int32), facets=np.array(facets),
        facet_face=np.array(of_face, np.int32), bodies=[{"name": "block", "volume": float(np.prod(SIZE))}], faces=faces,
        selections={"wall": [0], "tip": [1], "top": [5]}, numbers={"nodes": len(points), "elements": len(cells10)},
    )  # fmt: skip


@pytest.fixture(scope="session")
def mesh() -> MeshFile:
    return block()


@pytest.fixture(scope="session")
def part(mesh: MeshFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``surface.npz``, ``verdict.json``, ``mesh.npz``, ``mesh.json`` of the block."""
    folder = tmp_path_factory.mktemp("part")
    mesh.write(folder)
    low, high = np.zeros(3), SIZE
    corners = np.array(list(itertools.product(*zip(low, high, strict=True))))
    edges = [(i, i | 1 << k) for i in range(8) for k in range(3) if not i >> k & 1]
    np.savez(
        folder / "surface.npz",
        points=np.concatenate([mesh.points, corners]),
        triangles=mesh.facets[:, :3],
        face=mesh.facet_face,
        edges=len(mesh.points) + np.array(edges),
    )
    verdict = {"faces": mesh.faces, "size": SIZE.tolist(), "unit": "mm", "unit_source": "file", "bodies": mesh.bodies}
    (folder / "verdict.json").write_text(json.dumps(verdict))
    return folder


def case(language: str, **changes: Any) -> dict[str, Any]:
    return {
        "officina": 1, "title": "Does the beam hold?", "description": "A cantilever.", "language": language,
        "geometry": {"file": "beam.step"}, "solver": "fem.elasticity", "bodies": [{"on": "all", "material": STEEL}],
        "selections": {"wall": {"extreme": "-x", "count": 1}, "tip": {"type": "plane", "normal": [1.0, 0.0, 0.0]},
                       "top": {"extreme": "z", "count": 1}},
        "conditions": [
            {"kind": "fixed", "on": ["wall"]},
            {"kind": "force", "name": "pull", "on": ["tip"], "value": [0.0, 0.0, -2500.0]},
            {"kind": "pressure", "on": ["top"], "value": 1.5e6},
        ],
        "mesh": {"fineness": "normal", "order": 2},
    } | changes  # fmt: skip


def answer(**changes: Any) -> dict[str, Any]:
    data = {
        "verdict": {"answer": "yes", "sentence": {"en": "Holds with 1.84 to spare.", "it": "Regge con margine 1,84."}},
        "quantities": {
            "stress": {"value": 1.276e8, "unit": "Pa", "error": 3.1e6, "error_method": "ZZ goal estimate",
                       "title": {"en": "Largest stress", "it": "Tensione massima"}, "at": [0.0, 0.025, 0.03]},
            "corner": {"value": 2.5e8, "unit": "Pa", "title": {"en": "Stress at the corner", "it": "Allo spigolo"},
                       "statement": {"en": "It grows with every refinement.", "it": "Cresce a ogni raffinamento."}},
        },
        "checks": [{"name": "balance", "title": {"en": "Loads balance", "it": "Carichi in equilibrio"},
                    "value": 2.5e-9, "limit": 1e-6, "passed": True}],
        "views": [{"name": "stress", "title": {"en": "Stress", "it": "Tensione"}, "field": "von_mises", "unit": "Pa",
                   "warp": "displacement", "mark": "stress"}],
        "notes": [{"en": "Small displacements.", "it": "Piccoli spostamenti."}],
        "unknowns": 12345, "iterations": 12, "seconds": {"solve": 1.5}, "peak_memory": 410_000_000,
    } | changes  # fmt: skip
    return Answer.model_validate(data).model_dump(mode="json")


@pytest.fixture
def attempt(mesh: MeshFile, part: Path, tmp_path: Path) -> Callable[..., Attempt]:
    """Makes the attempt of a report: a beam bent by Bernoulli's deflection, stress linear over its height."""

    def make(language: str = "en", *, case_: dict[str, Any] | None = None, answer_: dict[str, Any] | None = None,
             **files: Path) -> Attempt:  # fmt: skip
        x, z = mesh.points[:, 0], mesh.points[:, 2]
        length = SIZE[0]
        u = np.zeros_like(mesh.points)
        u[:, 2] = -3e-4 * (3 * length * x**2 - x**3) / (2 * length**3)
        fields = {
            "displacement": u,
            "von_mises": 1.276e8 * (1 - x / length) * np.abs(2 * z / SIZE[2] - 1),
            "temperature": 293.15 + 100 * x / length,
        }
        vtu = tmp_path / "fields.vtu"
        meshio.Mesh(mesh.points, [("tetra10", mesh.cells)], point_data=fields).write(vtu)
        kinds = (Fixed, Force, PressureLoad, Temperature, Convection)
        solver = {"name": "fem.elasticity", "version": "0.1.0", "title": {"en": "Linear elasticity"},
                  "conditions": {k.model_fields["kind"].annotation.__args__[0]: k.model_json_schema() for k in kinds},
                  "parameters": {}}  # fmt: skip
        documents = {
            "case.json": case_ or case(language), "answer.json": answer_ or answer(), "solver.json": solver,
            "verdict.json": json.loads((part / "verdict.json").read_bytes()),
            "mesh.json": json.loads((part / "mesh.json").read_bytes()),
            "provenance.json": {"officina": "0.1.0", "sha256": {"geometry": "c0ffee" * 10}},
        }  # fmt: skip
        given = {"fields.vtu": vtu, "surface.npz": part / "surface.npz"} | {
            name.replace("_png", ".png"): file for name, file in files.items()
        }
        job = Job(name="report-1", argv=("python", "-m", "solvers.post", "report"))
        return Attempt.create(tmp_path / "1", documents, given, job)

    return make
