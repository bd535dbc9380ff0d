"""Steady heat conduction against closed forms: each condition, orders, error bars, ranks, refusals."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader

from hub.case import read
from hub.meshfile import MeshFile
from hub.problem import Refused
from hub.result import Answer
from hub.runfolder import Attempt, Job
from hub.solver import BoundCase, StageError
from solvers.fem.heat.__main__ import Heat
from solvers.fem.mesh import distribute

# isort: split
import ufl
from dolfinx import fem

from solvers.fem.heat import answer
from solvers.fem.heat.conduction import Conduction

EDGES = ((0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3))
SIDES = ("x0", "x1", "y0", "y1", "z0", "z1")


def block(
    cells: tuple[int, int, int], shape: Callable[[np.ndarray], np.ndarray], split: float = 1.0, curved: bool = False
) -> MeshFile:
    """The unit cube in quadratic tetrahedra, its nodes taken through `shape`; two bodies meet at x = `split`.

    curved : the middle nodes too; else they are in the middle of their edges

    The six sides of the cube are selections x0, x1, y0 ...
    """
    corners = np.array(list(itertools.product(*(range(n + 1) for n in cells))))
    number = {tuple(c): i for i, c in enumerate(corners)}
    tetrahedra = []
    for low in itertools.product(*(range(n) for n in cells)):
        for order in itertools.permutations(range(3)):
            path = [np.array(low)]
            for axis in order:
                path.append(path[-1] + np.eye(3, dtype=int)[axis])
            tet = [number[tuple(p)] for p in path]
            turned = np.linalg.det(np.diff(np.array(path), axis=0)) < 0
            tetrahedra.append([tet[0], tet[2], tet[1], tet[3]] if turned else tet)
    tets = np.array(tetrahedra)
    pairs = np.sort(np.stack([tets[:, list(e)] for e in EDGES], 1), axis=2)
    edges, inverse = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    unit = np.concatenate([corners, corners[edges].mean(1)]) / cells
    points = shape(unit)
    if not curved:
        points[len(corners) :] = points[edges].mean(1)
    whole = np.column_stack([tets, len(corners) + inverse.reshape(-1, 6)])
    middle = {tuple(e): len(corners) + i for i, e in enumerate(edges)}
    facets, face = [], []
    for tet, (a, b, c) in itertools.product(tets, ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2))):
        three = tet[[a, b, c]]
        for side in range(6):
            if np.allclose(unit[three, side // 2], side % 2):
                mids = [middle[tuple(sorted((three[i], three[j])))] for i, j in ((0, 1), (1, 2), (0, 2))]
                facets.append([*three, *mids])
                face.append(side)
    body = (unit[tets].mean(1)[:, 0] > split).astype(np.int32)
    return MeshFile(
        points=points,
        cells=whole,
        cell_body=body,
        facets=np.array(facets),
        facet_face=np.array(face, dtype=np.int32),
        bodies=[{"name": name} for name in ("first", "second")[: 1 + body.max()]],
        faces=[{"index": i, "type": "other"} for i in range(6)],
        selections={name: [i] for i, name in enumerate(SIDES)},
        numbers={},
    )


def slab(x: np.ndarray) -> np.ndarray:
    """0.2 x 0.1 x 0.1 m, its inner nodes shaken so that no symmetry helps."""
    inside = np.prod(np.sin(np.pi * x), axis=1)[:, None]
    return (x + 0.03 * inside * np.sin(4 * x @ np.array([[1, 2, 3], [3, 1, 2], [2, 3, 1.0]]))) * (0.2, 0.1, 0.1)


def tube(x: np.ndarray, inner: float = 0.02, outer: float = 0.05) -> np.ndarray:
    """A quarter of a tube, 0.03 m long; x0 is its inner face, x1 its outer."""
    r, angle = inner + (outer - inner) * x[:, 0], np.pi / 2 * x[:, 1]
    return np.column_stack([r * np.cos(angle), r * np.sin(angle), 0.03 * x[:, 2]])


def cube(x: np.ndarray) -> np.ndarray:
    """1 m long."""
    return slab(x) / (0.2, 0.1, 0.1)


def case(conditions: list[dict[str, Any]], k: tuple[float, ...] = (50.0,), **more: Any) -> BoundCase:
    names = ("first", "second") if len(k) == 2 else ("all",)
    values = [{"name": "test", "thermal_conductivity": f"{v!r} W/m/K"} for v in k]
    bodies = [{"on": name, "material": value} for name, value in zip(names, values, strict=True)]
    data = {"title": "test", "geometry": {"file": "part.step"}, "solver": "fem.heat", "bodies": bodies}
    selections = {name: {"extreme": name[0] if name[1] == "1" else "-" + name[0]} for name in SIDES}
    return Heat().bind(read({**data, "selections": selections, "conditions": conditions, **more}))


def answered(mesh: MeshFile, bound: BoundCase, folder: Path) -> Answer:
    (folder / "out").mkdir(parents=True)
    found = answer.make(bound, distribute(mesh), Attempt(folder))
    assert found is not None
    assert all(check.passed for check in found.checks), found.checks
    return found


# --- each condition against a closed form: quadratic temperatures are met to the last digits --------------------

AIR = {"kind": "convection", "on": "x1", "coefficient": "25 W/m2/K", "ambient": "20 degC"}
L, S, K, H, AMBIENT = 0.2, 0.01, 50.0, 25.0, 293.15


@pytest.mark.parametrize(
    ("heated", "hottest", "heat"),
    [
        # resistances in series: L / (k S) and 1 / (h S)
        ({"kind": "temperature", "on": "x0", "value": "100 degC"}, 373.15, 80 / (L / K + 1 / H) * S),
        ({"kind": "heat_flux", "on": "x0", "value": "3 kW/m2"}, AMBIENT + 3000 * (L / K + 1 / H), 30.0),
        ({"kind": "heat_flow", "on": "x0", "value": "45 W"}, AMBIENT + 4500 * (L / K + 1 / H), 45.0),
        # Carslaw and Jaeger 3.14: a slab that makes heat, T - T_ambient = q L / h + q (L^2 - x^2) / (2 k)
        ({"kind": "heat_source", "value": "20 kW/m3"}, AMBIENT + 2e4 * (L / H + L**2 / 2 / K), 2e4 * L * S),
        ({"kind": "dissipation", "value": "40 W"}, AMBIENT + 2e4 * (L / H + L**2 / 2 / K), 40.0),
        (
            {"kind": "convection", "on": "x0", "coefficient": "10 W/m2/K", "ambient": "120 degC"},
            AMBIENT + 100 * (L / K + 1 / H) / (L / K + 1 / H + 0.1),
            100 / (L / K + 1 / H + 0.1) * S,
        ),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_slab(heated: dict[str, Any], hottest: float, heat: float, tmp_path: Path) -> None:
    found = answered(block((3, 2, 2), slab), case([heated, AIR]), tmp_path / "a").quantities
    assert found["max_temperature"].value == pytest.approx(hottest, abs=1e-6)
    assert found["max_temperature"].at[0] == pytest.approx(0.0, abs=1e-9)
    assert found["heat_1"].value == pytest.approx(heat, rel=1e-6)
    assert found["heat_2"].value == pytest.approx(-heat, rel=1e-6)
    assert found["min_temperature"].value == pytest.approx(AMBIENT + heat / S / H, abs=1e-6)


def test_two_materials_share_the_drop_by_their_resistances(tmp_path: Path) -> None:
    bound = case(
        [
            {"kind": "temperature", "on": "x0", "value": "100 degC"},
            {"kind": "temperature", "on": "x1", "value": "0 degC"},
        ],
        k=(2.0, 0.5),
        quantities=[{"name": "middle", "kind": "temperature", "at": ["0.1 m", "0.05 m", "0.05 m"]}],
    )
    straight = block((4, 2, 2), lambda x: x * (0.2, 0.1, 0.1), split=0.5)
    found = answered(straight, bound, tmp_path / "a").quantities
    assert found["middle"].value == pytest.approx(353.15, abs=1e-6)
    assert found["heat_1"].value == pytest.approx(100 / (0.1 / 2 + 0.1 / 0.5) * 0.01, rel=1e-6)


def test_dissipation_in_one_body_of_two(tmp_path: Path) -> None:
    sources = {"kind": "dissipation", "bodies": "second", "value": "12 W"}
    straight = block((4, 2, 2), lambda x: x * (0.2, 0.1, 0.1), split=0.5)
    bound = case([sources, {"kind": "temperature", "on": "x0", "value": "20 degC"}], k=(2.0, 0.5))
    found = answered(straight, bound, tmp_path / "a").quantities
    # all heat crosses the first half; the second makes it: q L^2 / (2 k) more to its end
    assert found["max_temperature"].value == pytest.approx(293.15 + 1200 * 0.1 / 2 + 12000 * 0.1**2 / 2 / 0.5, abs=1e-6)


# --- orders ----------------------------------------------------------------------------------------------------


def test_manufactured_solution_has_the_orders_of_quadratic_elements() -> None:
    """T = sin(2 x + y) exp(z), so that -div(k grad T) = 4 k T: errors fall as h^3 in L2 and h^2 in H1."""
    bound = case([{"kind": "temperature", "on": list(SIDES), "value": "1 K"}], k=(2.0,))
    errors = []
    for n in (2, 4, 8):
        problem = Conduction(bound, distribute(block((n, n, n), cube)))
        x, v = ufl.SpatialCoordinate(problem.part.mesh), ufl.TestFunction(problem.V)
        exact = ufl.sin(2 * x[0] + x[1]) * ufl.exp(x[2])
        dx = ufl.Measure("dx", domain=problem.part.mesh, metadata={"quadrature_degree": 6})
        b = fem.assemble_vector(fem.form(4 * 2.0 * exact * v * dx))
        g = fem.Function(problem.V)
        g.interpolate(lambda x: np.sin(2 * x[0] + x[1]) * np.exp(x[2]))
        e = problem.respond(b.array[: problem.own], g.x.array) - exact
        squares = (e**2, ufl.inner(ufl.grad(e), ufl.grad(e)))
        errors.append([fem.assemble_scalar(fem.form(square * dx)) ** 0.5 for square in squares])
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert orders[-1] == pytest.approx([3.0, 2.0], abs=0.2), orders


def in_a_tube(n: int, folder: Path) -> tuple[Answer, dict[str, float]]:
    """Heat from steam through a wall to air; resistances of a quarter, 0.03 m long: Carslaw and Jaeger 7.2."""
    inside = {"kind": "convection", "on": "x0", "coefficient": "200 W/m2/K", "ambient": "180 degC"}
    outside = {"kind": "convection", "on": "x1", "coefficient": "10 W/m2/K", "ambient": "20 degC"}
    wanted = [{"name": "outer", "kind": "temperature", "on": "x1"}]
    found = answered(
        block((n, 2 * n, 1), tube, curved=True), case([inside, outside], k=(0.2,), quantities=wanted), folder
    )
    length = math.pi / 2 * 0.03
    r = [1 / (200 * 0.02 * length), math.log(0.05 / 0.02) / (0.2 * length), 1 / (10 * 0.05 * length)]
    heat = 160 / sum(r)
    hottest, coldest = 453.15 - heat * r[0], 293.15 + heat * r[2]
    # the mean over r of T(r) = coldest + (heat / (k length)) ln(ro / r)
    a, b = 0.02, 0.05
    mean_log = ((b**2 - a**2) / 4 - a**2 / 2 * math.log(b / a)) / ((b**2 - a**2) / 2)
    return found, {
        "max_temperature": hottest,
        "min_temperature": coldest,
        "outer": coldest,
        "mean_temperature": coldest + heat / (0.2 * length) * mean_log,
        "heat_1": heat,
        "heat_2": -heat,
    }


def in_a_cube(n: int, folder: Path) -> tuple[Answer, dict[str, float]]:
    """A cube that makes heat, its surface at 300 K: the heat of each side is a sixth; the middle by a double series.

    T = q/k (x (1 - x) / 2 - sum over odd m, n of the slab's sine series), Carslaw and Jaeger 6.3.
    """
    sides = [{"kind": "temperature", "name": s, "on": s, "value": "300 K"} for s in SIDES]
    source = {"kind": "heat_source", "value": "500 W/m3"}
    found = answered(block((n,) * 3, cube), case([source, *sides], k=(5.0,)), folder)
    odd = np.meshgrid(*3 * (np.arange(1, 60, 2),))
    product, squares = np.prod(odd, axis=0), sum(n**2 for n in odd)
    middle = (64 / np.pi**5 * np.prod(np.sin(np.array(odd) * np.pi / 2), axis=0) / (product * squares)).sum()
    mean = (512 / np.pi**8 / (product**2 * squares)).sum()
    truth = {"max_temperature": 300 + 100 * middle, "mean_temperature": 300 + 100 * mean}
    return found, truth | {f"heat_{i}": -500 / 6 for i in range(2, 8)}


@pytest.mark.parametrize("quantity", ["heat_1", "mean_temperature", "outer"])
def test_means_and_heats_of_a_tube_converge_with_order_4(quantity: str, tmp_path: Path) -> None:
    """Linear quantities gain twice the order of the gradient: h^4 (Babuska and Miller, IJNME 20 (1984) 1085-1109)."""
    errors = []
    for n in (3, 6):
        found, truth = in_a_tube(n, tmp_path / str(n))
        errors.append(abs(found.quantities[quantity].value - truth[quantity]))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.4)


def test_error_bars_cover_the_truth_and_are_not_too_wide(tmp_path: Path) -> None:
    hits, widths = [], []
    for solve, n in itertools.product((in_a_tube, in_a_cube), (2, 3, 4, 6)):
        found, truth = solve(n, tmp_path / f"{solve.__name__}{n}")
        for name, value in truth.items():
            quantity = found.quantities[name]
            hits.append(abs(quantity.value - value) <= quantity.error)
            widths.append(quantity.error / abs(quantity.value - value))
    assert np.mean(hits) >= 0.9, np.mean(hits)
    assert np.median(widths) <= 5, np.median(widths)


def test_bars_at_the_nodes_of_a_tube_hold_the_truth_and_shrink(tmp_path: Path) -> None:
    """T(r) and q(r) of the tube above, Carslaw and Jaeger 7.2, at every node of the fields that are written."""
    last = {"temperature": 2.0, "heat_flux": 0.2}
    for n in (2, 4, 6):
        _, truth = in_a_tube(n, tmp_path / str(n))
        reader = vtkXMLUnstructuredGridReader()
        reader.SetFileName(str(tmp_path / str(n) / "out" / "fields.vtu"))
        reader.Update()
        grid = reader.GetOutput()
        data = grid.GetPointData()
        r = np.hypot(*vtk_to_numpy(grid.GetPoints().GetData())[:, :2].T)
        length, heat = math.pi / 2 * 0.03, truth["heat_1"]
        true = {
            "temperature": truth["outer"] + heat / (0.2 * length) * np.log(0.05 / r),
            "heat_flux": heat / length / r,
        }
        for name, exact in true.items():
            values, bar = (vtk_to_numpy(data.GetArray(each)) for each in (name, f"{name}_error"))
            values = values if values.ndim == 1 else np.linalg.norm(values, axis=1)
            assert (np.abs(values - exact) <= bar).mean() >= 0.85, (name, n)
            width = float(np.median(bar / (exact if name == "heat_flux" else 1.0)))
            assert width < last[name] / 2, (name, n)
            last[name] = width


def test_a_heat_without_limit_gets_no_bar(tmp_path: Path) -> None:
    bound = case(
        [
            {"kind": "temperature", "on": "x0", "value": "100 degC"},
            {"kind": "temperature", "on": "y0", "value": "0 degC"},
        ]
    )
    found = answered(block((2, 2, 2), slab), bound, tmp_path / "a").quantities
    assert found["heat_1"].error is None
    assert "edge" in found["heat_1"].statement["en"]
    # quadratic elements overshoot beside the edge; the maximum principle does not let them
    assert found["max_temperature"].value == pytest.approx(373.15, abs=1e-9)
    assert found["min_temperature"].value == pytest.approx(273.15, abs=1e-9)
    assert found["max_temperature"].at[0] == pytest.approx(0.0, abs=1e-9)


# --- ranks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["direct", "multigrid"])
def test_ranks_agree(method: str, tmp_path: Path) -> None:
    """The whole process, from a run's folder to DONE, on one rank and on two."""
    conditions = [
        {"kind": "temperature", "on": "y0", "value": "80 degC"},
        {"kind": "heat_flow", "on": "y1", "value": "30 W"},
        {"kind": "dissipation", "bodies": "first", "value": "5 W"},
        AIR,
    ]
    wanted = [
        {"name": "inside", "kind": "temperature", "at": ["0.1 m", "0.05 m", "0.05 m"]},
        {"name": "far", "kind": "temperature", "on": "x1"},
    ]
    mesh = block((4, 3, 3), slab, split=0.5)
    bound = case(conditions, k=(2.0, 50.0), quantities=wanted, parameters={"method": method})
    (tmp_path / "mesh").mkdir()
    mesh.write(tmp_path / "mesh")
    answers = []
    for ranks in (1, 2):
        command = Heat().command(ranks)
        files = {name: tmp_path / "mesh" / name for name in ("mesh.npz", "mesh.json")}
        job = Job(name="heat", argv=tuple(command), ranks=ranks)
        attempt = Attempt.create(tmp_path / str(ranks), {"case.json": Heat().in_si(bound)}, files, job)
        done = subprocess.run([*command, str(attempt.folder)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert type(attempt.outcome()).__name__ == "Done"
        assert (attempt.out / "fields.vtu").exists()
        answers.append(Answer.model_validate(json.loads((attempt.out / "answer.json").read_bytes())))
    one, two = answers
    assert one.verdict == two.verdict
    assert one.quantities.keys() == two.quantities.keys()
    span = one.quantities["max_temperature"].value - one.quantities["min_temperature"].value
    for name, quantity in one.quantities.items():
        scale = span if quantity.unit == "K" else 100.0
        assert two.quantities[name].value == pytest.approx(quantity.value, abs=1e-6 * scale), name
        assert (quantity.error is None) == (two.quantities[name].error is None)
        if quantity.error:
            assert two.quantities[name].error == pytest.approx(quantity.error, rel=1e-3, abs=1e-8 * scale), name


# --- what is refused ----------------------------------------------------------------------------------------------

HOT = {"kind": "temperature", "on": "x0", "value": "100 degC"}


@pytest.mark.parametrize(
    ("conditions", "where", "code"),
    [
        ([{"kind": "heat_flow", "on": "x0", "value": "5 W"}], "conditions", "no-level"),
        ([HOT, {**HOT, "value": "20 degC"}], "conditions[1]", "contradiction"),
        ([HOT, {"kind": "heat_flow", "on": "x0", "value": "5 W"}], "conditions[1]", "contradiction"),
        ([{**AIR, "coefficient": "-3 W/m2/K"}], "conditions[0].coefficient", "greater-than"),
        ([{**HOT, "value": "-300 degC"}], "conditions[0].value", "greater-than"),
        ([{**HOT, "on": []}], "conditions[0].on", "too-short"),
        ([HOT, {"kind": "heat_source", "on": "x0", "value": "5 W/m3"}], "conditions[1].on", "too-long"),
    ],
)
def test_wrong_cases_are_refused(conditions: list[dict[str, Any]], where: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        case(conditions)
    assert [(p.where, p.code) for p in refused.value.problems] == [(where, code)]


def test_a_case_without_a_load_is_fine(tmp_path: Path) -> None:
    found = answered(block((1, 1, 1), slab), case([HOT]), tmp_path / "a").quantities
    assert found["max_temperature"].value == pytest.approx(373.15, abs=1e-9)
    assert found["heat_1"].value == pytest.approx(0.0, abs=1e-9)


def test_a_limit_is_judged(tmp_path: Path) -> None:
    """The middle of a cube that makes heat is at 305.62 K (see in_a_cube), known to some tenths on this mesh."""
    conditions = [
        {"kind": "heat_source", "value": "500 W/m3"},
        {"kind": "temperature", "on": list(SIDES), "value": "300 K"},
    ]
    mesh = block((3, 3, 3), cube)
    for allowed, judged in (("308 K", "yes"), ("303 K", "no"), ("305.7 K", "unclear")):
        bound = case(conditions, k=(5.0,), parameters={"highest_allowed": allowed})
        verdict = answered(mesh, bound, tmp_path / judged).verdict
        assert verdict.answer == judged
        assert "inside the part" in verdict.sentence["en"]
        assert "all'interno" in verdict.sentence["it"]


def test_a_body_adrift_is_named() -> None:
    one = block((2, 1, 1), slab, split=0.5)
    # the second body stands beside the first without sharing a node with it
    second = one.cell_body == 1
    cells = one.cells.copy()
    cells[second] += len(one.points)
    apart = MeshFile(**{**vars(one), "points": np.vstack([one.points, one.points + 1]), "cells": cells})
    with pytest.raises(StageError, match="second"):
        Conduction(case([HOT], k=(1.0, 1.0)), distribute(apart))


def test_an_unknown_body_is_named() -> None:
    with pytest.raises(StageError, match="chip"):
        Conduction(
            case([HOT, {"kind": "dissipation", "bodies": "chip", "value": "5 W"}]), distribute(block((1, 1, 1), slab))
        )
