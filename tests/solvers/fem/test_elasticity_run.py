"""The elasticity solver as a stage: answers on one rank and on two, rigid motions named before solving."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
from grids import SIDES, grid

from hub.case import read
from hub.meshfile import MeshFile
from hub.result import Answer
from hub.runfolder import Attempt, Done, Failure, Job
from hub.solver import StageError
from solvers.fem.elasticity import rigid
from solvers.fem.elasticity.__main__ import Elasticity

ROOT = Path(__file__).parents[3]


def bar(x: np.ndarray) -> np.ndarray:
    """0.4 x 0.1 x 0.1 m."""
    return x * (0.4, 0.1, 0.1)


def conditions(data: list[dict[str, Any]], **more: Any) -> Any:
    steel = {"name": "steel", "youngs_modulus": 2e11, "poissons_ratio": 0.3, "density": 8e3, "yield_strength": 2e8}
    case = {
        "title": "test",
        "geometry": {"file": "part.step"},
        "solver": "fem.elasticity",
        "bodies": [{"material": steel}],
        "selections": {name: {"extreme": name[0]} for name in SIDES},
        "conditions": [*data, {"kind": "force", "on": "x1", "value": [0, 0, -1e3]}],
    }
    return Elasticity().bind(read(case | more, si=True), si=True)


def run(mesh: MeshFile, bound: Any, folder: Path, ranks: int) -> Attempt:
    solver, made = Elasticity(), folder / f"mesh{ranks}"
    made.mkdir(parents=True)
    mesh.write(made)
    argv = solver.command(ranks)
    attempt = Attempt.create(
        folder / str(ranks),
        {"case.json": solver.in_si(bound)},
        {name: made / name for name in ("mesh.npz", "mesh.json")},
        Job(name="test", argv=tuple(argv), ranks=ranks),
    )
    subprocess.run([*argv, str(attempt.folder)], cwd=ROOT, check=False, capture_output=True, timeout=300)
    return attempt


HELD = [{"kind": "fixed", "on": "x0"}]


def test_one_rank_and_two_give_the_same_answer(tmp_path: Path) -> None:
    wanted = [
        {"name": "tip", "kind": "displacement", "at": [0.4, 0.1, 0.1], "component": "z"},
        {"name": "middle", "kind": "stress", "at": [0.2, 0.05, 0.1], "component": "xx"},
        {"name": "root", "kind": "reaction", "on": "x0", "component": "z"},
    ]
    answers = []
    for ranks in (1, 2):
        attempt = run(grid((8, 3, 3), bar), conditions(HELD, quantities=wanted), tmp_path, ranks)
        assert isinstance(attempt.outcome(), Done), attempt.outcome()
        answers.append(Answer.model_validate(json.loads((attempt.out / "answer.json").read_bytes())))
        assert attempt.status().doing
    one, two = answers
    assert all(check.passed for check in one.checks + two.checks)
    assert one.verdict.answer == two.verdict.answer == "yes"
    assert set(one.quantities) == set(two.quantities)
    for name, quantity in one.quantities.items():
        size = 1e3 if quantity.unit == "N" else abs(quantity.value)
        assert two.quantities[name].value == pytest.approx(quantity.value, rel=1e-5, abs=1e-6 * size), name
    # Timoshenko, k = 5/6; a root that may not contract either holds a bar this short a few percent better
    bending, shear = 1e3 * 0.4**3 / 3 / 2e11 / (0.1**4 / 12), 1e3 * 0.4 / (2e11 / 2.6) / (5 / 6 * 0.01)
    assert one.quantities["tip"].value == pytest.approx(-bending - shear, rel=0.03)
    assert one.quantities["root"].value == pytest.approx(1e3, rel=1e-6)
    # half way, the moment is F L / 2 and the stress at the top M / W
    assert one.quantities["middle"].value == pytest.approx(1e3 * 0.2 / (0.1**3 / 6), rel=0.02)
    fields = meshio.read(tmp_path / "2" / "out" / "fields.vtu")
    top = np.argmin(((fields.points - (0.4, 0.1, 0.1)) ** 2).sum(axis=1))
    assert fields.point_data["displacement"][top, 2] == pytest.approx(one.quantities["tip"].value, rel=1e-5)
    assert {"stress", "von_mises", "principal_1", "safety_factor"} <= set(fields.point_data)
    assert fields.point_data["stress"].shape == (len(fields.points), 6)


def test_a_run_that_cannot_be_solved_says_why_before_solving(tmp_path: Path) -> None:
    attempt = run(grid((2, 1, 1), bar), conditions([{"kind": "symmetry", "on": "x0"}]), tmp_path, 2)
    failure = attempt.outcome()
    assert isinstance(failure, Failure)
    assert failure.code == "unconstrained"
    assert "sliding along y, sliding along z and turning about the x axis" in failure.message
    assert failure.hint


@pytest.mark.parametrize(
    ("held", "free"),
    [
        ([{"kind": "displacement", "on": "x0", "x": 0.0, "y": 0.0}], ["sliding along z"]),
        ([{"kind": "symmetry", "on": ["x0", "z0"]}], ["sliding along y"]),
        ([{"kind": "symmetry", "on": ["x0", "y0", "z0"]}], []),
        (
            [{"kind": "elastic_support", "on": "z0", "stiffness": 1e9}],
            ["sliding along x", "sliding along y", "turning about the z axis through (200, 50, 50) mm"],
        ),
        ([{"kind": "elastic_support", "on": "z0", "stiffness": 1e9, "direction": "all"}], []),
    ],
)
def test_free_motions_are_named(held: list, free: list[str]) -> None:
    mesh = grid((4, 2, 2), bar)
    found = rigid.find(mesh, conditions(held).conditions)
    assert sorted(motion.words for motion in found) == sorted(free)
    assert all(motion.resistance < rigid.FREE for motion in found)


def test_bodies_that_only_touch_are_named_one_by_one() -> None:
    mesh = grid((4, 2, 2), bar, split=0.5, apart=True)
    with pytest.raises(StageError) as stopped:
        rigid.check(mesh, conditions(HELD).conditions)
    assert "the body second from moving and turning every way" in stopped.value.message
    assert "first" not in stopped.value.message
    assert "bonded" in stopped.value.hint


def test_what_is_hardly_held_is_named_too() -> None:
    """A plate, 1 m by 1 m, held on a strip of 1 mm: the strip resists its turning by the square of 1 mm / 1 m."""
    mesh = grid((2, 2, 2), lambda x: np.column_stack([x[:, 0], x[:, 1] * 1e-3, x[:, 2] * 1e-3]))
    loose = rigid.check(mesh, conditions(HELD).conditions)
    assert loose
    assert all("turning about" in motion.words and motion.resistance < rigid.WEAK for motion in loose)
