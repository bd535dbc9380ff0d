"""Boxes around parts: their sides, halves, the ground, and cells that grow with the distance."""

import math
from pathlib import Path

import numpy as np
import pytest

from hub.intake import inspect
from hub.selection import resolve_all
from solvers.meshing.tetmesh import volume
from tests.solvers.meshing.test_mesh import case, drawn, made, sound


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("around") / "ball.step", "cad.addSphere(0, 0, 0, 50)")


def test_the_box_is_sized_by_rule_and_its_sides_are_named(ball: Path) -> None:
    question = case(
        ball, selections={"skin": {"type": "sphere"}}, domain={"kind": "around", "along": "x"},
        mesh={"order": 2, "fineness": "coarse"},
    )  # fmt: skip
    mesh, _ = made(ball, question)
    sound(mesh)
    assert mesh.points.min(axis=0) == pytest.approx([-0.55, -0.55, -0.55], abs=1e-6)
    assert mesh.points.max(axis=0) == pytest.approx([1.55, 0.55, 0.55], abs=1e-6)
    assert mesh.numbers["volume"] == pytest.approx(2.1 * 1.1**2 - 4 / 3 * math.pi * 0.05**3, rel=1e-6)
    named = mesh.selections
    assert named["skin"] == named["part"] and len(named["far sides"]) == 4 and not named["ground"]
    at = {n: mesh.points[mesh.facets[np.isin(mesh.facet_face, named[n])]] for n in ("upstream", "downstream", "part")}
    assert at["upstream"][..., 0] == pytest.approx(-0.55) and at["downstream"][..., 0] == pytest.approx(1.55)
    assert np.linalg.norm(at["part"], axis=-1) == pytest.approx(0.05, rel=1e-4)
    cell = np.cbrt(volume(mesh.points[mesh.cells]))
    away = np.linalg.norm(mesh.points[mesh.cells[:, :4]].mean(axis=1), axis=1)
    assert np.median(cell[away > 0.5]) > 4 * np.median(cell[away < 0.07])
    behind = mesh.points[mesh.cells[:, :4]].mean(axis=1)
    wake = (np.hypot(behind[:, 1], behind[:, 2]) < 0.05) & (abs(behind[:, 0] - 0.35) < 0.05)
    before = (np.hypot(behind[:, 1], behind[:, 2]) < 0.1) & (abs(behind[:, 0] + 0.35) < 0.1)
    assert np.median(cell[wake]) < 0.8 * np.median(cell[before])


def test_half_a_part_above_the_ground(tmp_path: Path) -> None:
    file = drawn(tmp_path / "block.step", "cad.addBox(0, -20, 10, 100, 40, 30)")
    question = case(
        file, selections={"back": {"type": "plane", "normal": "x"}},
        domain={"kind": "around", "along": "x", "symmetry": "y", "ground": "10 mm", "upstream": 2, "downstream": 4,
                "sides": 2}, mesh={"order": 1, "fineness": "coarse"},
    )  # fmt: skip
    mesh, _ = made(file, question)
    sound(mesh)
    diameter = 0.04
    box = (0.1 + 6 * diameter) * (0.02 + 2 * diameter) * (0.04 + 2 * diameter)
    assert mesh.numbers["volume"] == pytest.approx(box - 0.1 * 0.02 * 0.03, rel=1e-6)
    for name, axis, value in (("ground", 2, 0.0), ("symmetry", 1, 0.0)):
        on = mesh.points[mesh.facets[np.isin(mesh.facet_face, mesh.selections[name])]]
        assert len(on) and on[..., axis] == pytest.approx(value, abs=1e-9)
    (back,) = mesh.selections["back"]
    assert mesh.faces[back]["area"] == pytest.approx(0.02 * 0.03) and back in mesh.selections["part"]
    assert len(mesh.selections["part"]) == 5


def test_a_flow_across_the_axes(ball: Path) -> None:
    question = case(
        ball, domain={"kind": "around", "along": [1, 1, 0], "upstream": 1, "downstream": 2, "sides": 1},
        mesh={"order": 1, "fineness": "coarse"},
    )  # fmt: skip
    mesh, _ = made(ball, question)
    along = mesh.points[:, :2].sum(axis=1) / math.sqrt(2)
    on = {n: np.unique(mesh.facets[np.isin(mesh.facet_face, of)]) for n, of in mesh.selections.items()}
    assert along[on["upstream"]] == pytest.approx(along.min()) and along[on["downstream"]] == pytest.approx(along.max())
    assert len(mesh.selections["far sides"]) == 4


def test_sides_the_box_has_not_and_planes_across_the_flow_are_refused(ball: Path) -> None:
    verdict = inspect(ball)
    slips = {"conditions": [{"kind": "slip", "on": "ground"}]}
    for changes, where in (
        (slips | {"domain": {"kind": "around", "along": "x"}}, "conditions[0].on"),
        ({"domain": {"kind": "around", "along": "x", "symmetry": "x"}}, "domain.symmetry"),
        ({"domain": {"kind": "around", "along": "z", "ground": "5 mm"}}, "domain.ground"),
    ):
        (problem,) = resolve_all(case(ball, **changes), verdict)[1]
        assert problem.where == where and problem.todo


def test_the_estimate_of_a_box_is_near(ball: Path) -> None:
    question = case(ball, domain={"kind": "around", "along": "x"}, mesh={"order": 2, "fineness": "coarse"})
    mesh, verdict = made(ball, question)
    assert verdict.nodes(question.mesh, "around") == pytest.approx(len(mesh.points), rel=0.4)
