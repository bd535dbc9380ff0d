"""Error bars: goals against identities, statics and closed forms; singular spots by the angles of the part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from grids import SIDES, grid, tube
from mpi4py import MPI

from hub.case import read
from hub.meshfile import MeshFile
from hub.solver import BoundCase, StageError
from solvers.fem.elasticity.__main__ import Elasticity
from solvers.fem.mesh import distribute

# isort: split
from solvers.fem.elasticity import singular
from solvers.fem.elasticity.estimate import MOST_GOALS, Estimated, estimate
from solvers.fem.elasticity.goals import Estimator
from solvers.fem.elasticity.solution import Progress, find_displacement
from solvers.fem.elasticity.solved import Solved

E, NU, RHO = 200e9, 0.3, 8000.0


def case(conditions: list[dict[str, Any]], **more: Any) -> BoundCase:
    steel = {"name": "steel", "youngs_modulus": E, "poissons_ratio": NU, "density": RHO, "yield_strength": 235e6}
    data = {
        "title": "test",
        "geometry": {"file": "part.step"},
        "solver": "fem.elasticity",
        "bodies": [{"material": steel}],
        "selections": {name: {"extreme": name[0]} for name in SIDES},
        "conditions": conditions,
    }
    return Elasticity().bind(read(data | more, si=True), si=True)


def solved(mesh: MeshFile, bound: BoundCase) -> Solved:
    return find_displacement(bound, distribute(mesh, MPI.COMM_SELF), Progress(None, MPI.COMM_SELF))[0]


def block(x: np.ndarray) -> np.ndarray:
    """0.3 x 0.1 x 0.1 m."""
    return x * (0.3, 0.1, 0.1)


CLAMPED = [{"kind": "fixed", "on": ["x0"]}, {"kind": "force", "on": ["x1"], "value": [0, 0, -1000.0]}]
ROLLING = [
    {"kind": "symmetry", "on": ["x0", "y0", "z0"]},
    {"kind": "force", "on": ["x1"], "value": [1000.0, 0, 0]},
]


def test_what_is_solved_exactly_has_no_error() -> None:
    wanted = [{"name": "stretch", "kind": "displacement", "on": "x1", "component": "x"}]
    found = estimate(solved(grid((3, 1, 1), block), case(ROLLING, quantities=wanted))).quantities
    assert found["max_von_mises"].value == pytest.approx(1e5, rel=1e-6)
    assert found["max_von_mises"].error < 1e-4 * 1e5
    assert found["stretch"].value == pytest.approx(1e5 / E * 0.3, rel=1e-6)
    assert found["stretch"].error < 1e-6 * found["stretch"].value
    assert found["min_safety"].value == pytest.approx(2350, rel=1e-5)
    assert found["mass"].value == pytest.approx(RHO * 0.003, rel=1e-9)
    assert found["reaction_1_x"].value == pytest.approx(-1000, rel=1e-6)


def test_the_goal_of_the_work_of_the_load_is_the_energy_of_the_error() -> None:
    """The displacement is its own dual for the work of its load, so both estimates must agree."""
    found = solved(grid((4, 2, 2), block), case(CLAMPED))
    tool = Estimator(found)
    force = tool.internal_force(found.u)
    held = np.isclose(found.V.tabulate_dof_coordinates()[:, 0], 0)
    force.array.reshape(-1, 3)[held] = 0
    goal = tool.goal(force)
    assert goal.signed == pytest.approx(tool.missing, rel=1e-5)
    assert 0 < tool.missing < 0.1 * tool.stored


def test_bars_of_a_clamped_block_cover_a_much_finer_mesh() -> None:
    wanted = [{"name": "sinking", "kind": "displacement", "on": "x1", "component": "z"}]
    coarse, fine = (
        estimate(solved(grid(cells, block), case(CLAMPED, quantities=wanted))) for cells in ((4, 2, 2), (16, 8, 8))
    )
    for name in ("sinking", "max_displacement", "strain_energy"):
        a, b = coarse.quantities[name], fine.quantities[name]
        assert abs(a.value - b.value) <= a.error, name
        assert a.error < 0.1 * abs(a.value) and b.error < a.error, name
    assert fine.energy < coarse.energy


def test_two_supports_share_a_load_as_their_bars_say() -> None:
    both = [
        {"kind": "fixed", "name": "left", "on": ["x0"]},
        {"kind": "fixed", "name": "right", "on": ["x1"]},
        {"kind": "force", "on": ["z1"], "value": [0, 0, -1000.0]},
    ]
    found = estimate(solved(grid((6, 2, 2), block), case(both))).quantities
    for k in (1, 2):
        side = found[f"reaction_{k}_z"]
        assert abs(side.value - 500) <= side.error + 1e-3
        assert side.error_method == "ZZ goal estimate"
    assert found["reaction_total_z"].value == pytest.approx(1000, rel=1e-6)
    assert found["reaction_total_z"].error_method == "equilibrium"


def test_the_number_of_dual_solutions_is_bounded() -> None:
    places = [{"name": f"u{i}", "kind": "displacement", "at": [0.03 * i, 0.05, 0.05]} for i in range(1, 10)]
    found = estimate(solved(grid((4, 1, 1), block), case(CLAMPED, quantities=places)))
    assert found.goals == MOST_GOALS
    assert all(q.error is not None or q.statement for q in found.quantities.values())
    assert "scaled" in found.quantities["u9"].error_method


def test_without_estimates_every_number_says_so() -> None:
    found = estimate(solved(grid((3, 1, 1), block), case(ROLLING, parameters={"estimate_errors": False})))
    assert found.goals == 0
    assert found.quantities["max_displacement"].error is None
    assert set(found.quantities["max_displacement"].statement) == {"en", "it"}


def test_a_point_outside_the_part_is_refused() -> None:
    wanted = [{"name": "u", "kind": "displacement", "at": [1.0, 0, 0]}]
    with pytest.raises(StageError, match="not inside the part"):
        estimate(solved(grid((3, 1, 1), block), case(ROLLING, quantities=wanted)))


# --- singular spots ---


def spots(mesh: MeshFile, held: dict[int, list[list[float]]] | None = None) -> singular.Spots:
    directions = {face: np.array(rows, dtype=float) for face, rows in (held or {}).items()}
    return singular.find(mesh, directions, np.arange(len(mesh.bodies)))


def wedge(angle: float) -> MeshFile:
    """A prism whose faces x0 and z0 meet along y at this angle [degree]."""

    def shape(x: np.ndarray) -> np.ndarray:
        turn = np.radians(angle)
        u, w = x[:, 0], x[:, 2]
        return np.column_stack([u + w * np.cos(turn), x[:, 1], w * np.sin(turn)])

    return grid((2, 2, 2), shape)


NORMAL, ALL = [[0.0, 0, 1]], np.eye(3).tolist()


@pytest.mark.parametrize(
    ("angle", "held", "singular_edge"),
    [
        (90, {}, False),
        (90, {4: NORMAL}, False),
        (130, {4: NORMAL}, True),
        (90, {4: ALL}, True),
        (40, {4: ALL}, False),
    ],
)
def test_an_edge_is_singular_by_its_angle_and_its_supports(angle: float, held: Any, singular_edge: bool) -> None:
    edge = np.array([[0.0, 0.5, 0.0]])
    found = spots(wedge(angle), held)
    assert (found.distance(edge)[0] < 1e-6) == singular_edge


def test_the_reach_of_a_singular_edge_is_that_of_the_shape_not_of_the_mesh() -> None:
    coarse, fine = (spots(grid(cells, block), {0: ALL}) for cells in ((2, 1, 1), (6, 4, 4)))
    assert coarse.reach == pytest.approx(0.003 / 0.14)
    assert fine.reach == pytest.approx(coarse.reach)
    assert coarse.distance(np.array([[0.1, 0.05, 0.05]]))[0] == pytest.approx(np.hypot(0.1, 0.05), rel=1e-3)


def test_the_maximum_at_a_clamped_edge_gets_a_statement_and_the_verdict_looks_away() -> None:
    found: Estimated = estimate(solved(grid((12, 8, 8), block), case(CLAMPED)))
    top, away, safety = (found.quantities[k] for k in ("max_von_mises", "max_von_mises_away", "min_safety"))
    assert top.error is None and "edge of a support" in top.statement["en"] and "vincolo" in top.statement["it"]
    assert away.error is not None and away.at[0] > 0.003 / 0.14 * 0.99
    assert safety.at == away.at and safety.value == pytest.approx(235e6 / away.value)
    assert found.notes


def test_a_pipe_between_planes_of_symmetry_has_no_singular_spot() -> None:
    along = {4: [[0.0, 0, 1]], 5: [[0.0, 0, 1]]}
    assert not len(spots(grid((2, 12, 2), tube(0.04, 0.08, 0.02), closed=True), along).points)
