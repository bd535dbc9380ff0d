"""The error bar at every node, against Lame's closed form of a thick tube; none at singular edges."""

from __future__ import annotations

import numpy as np
from grids import SIDES, grid
from mpi4py import MPI

from hub.case import read
from solvers.fem.elasticity.__main__ import Elasticity
from solvers.fem.mesh import distribute

# isort: split
from solvers.fem.elasticity.estimate import Estimated, estimate
from solvers.fem.elasticity.solution import Progress, find_displacement
from solvers.fem.elasticity.solved import Solved
from solvers.fem.recovery import Recovery, lame_of, von_mises

E, NU, P, A, B = 200e9, 0.3, 50e6, 0.04, 0.08


def quarter(x: np.ndarray) -> np.ndarray:
    """A quarter of a tube along z; x0 is its bore."""
    r, angle = A + (B - A) * x[:, 0], np.pi / 2 * x[:, 1]
    return np.column_stack([r * np.cos(angle), r * np.sin(angle), 0.02 * x[:, 2]])


def found(conditions: list, counts: tuple[int, int, int]) -> tuple[Solved, Estimated, np.ndarray]:
    steel = {"name": "steel", "youngs_modulus": E, "poissons_ratio": NU, "density": 8000.0}
    data = {
        "title": "test", "geometry": {"file": "part.step"}, "solver": "fem.elasticity",
        "bodies": [{"material": steel}], "selections": {name: {"extreme": name[0]} for name in SIDES},
        "conditions": conditions,
    }  # fmt: skip
    bound = Elasticity().bind(read(data, si=True), si=True)
    solved, _ = find_displacement(
        bound, distribute(grid(counts, quarter), MPI.COMM_SELF), Progress(None, MPI.COMM_SELF)
    )
    stress = Recovery(solved.part.mesh, lame_of(solved.mu, solved.lmbda)).recover(solved.u).at_nodes(solved.V)
    return solved, estimate(solved), stress


PRESSED = [
    {"kind": "symmetry", "on": ["y0", "y1", "z0", "z1"]},
    {"kind": "pressure", "on": ["x0"], "value": P},
]


def test_bars_at_the_nodes_of_a_thick_tube_hold_the_truth_and_shrink() -> None:
    """S. P. Timoshenko, J. N. Goodier, Theory of Elasticity, 3rd ed., 1970, section 28, in plane strain."""
    a, b = P * A**2 / (B**2 - A**2), P * A**2 * B**2 / (B**2 - A**2)
    along, last = 2 * NU * a, [0.5, 0.2]
    for fine in (1, 2, 3):
        solved, estimated, stress = found(PRESSED, (fine + 1, 2 * fine + 1, 1))
        assert estimated.local is not None
        r = np.linalg.norm(solved.V.tabulate_dof_coordinates()[:, :2], axis=1)
        true = np.sqrt(((2 * b / r**2) ** 2 + (a + b / r**2 - along) ** 2 + (a - b / r**2 - along) ** 2) / 2)
        moved = (1 + NU) / E * ((1 - 2 * NU) * a * r + b / r)
        length = np.linalg.norm(solved.u.x.array.reshape(-1, 3), axis=1)
        for i, (bar, error, size) in enumerate(
            (
                (estimated.local.von_mises, np.abs(von_mises(stress) - true), true),
                (estimated.local.displacement, np.abs(length - moved), moved),
            )
        ):
            assert (error <= bar).mean() >= 0.9
            width = float(np.median(bar / size))
            assert width < last[i] / 2
            last[i] = width


def test_there_is_no_bar_in_reach_of_a_singular_edge() -> None:
    pulled = [{"kind": "fixed", "on": ["y0"]}, {"kind": "force", "on": ["y1"], "value": [1000.0, 0, 0]}]
    solved, estimated, _ = found(pulled, (2, 4, 2))
    assert estimated.local is not None
    missing = np.isnan(estimated.local.von_mises)
    assert 0 < missing.sum() < len(missing)
    assert np.isfinite(estimated.local.displacement).all()
    assert (solved.V.tabulate_dof_coordinates()[missing, 1] < 0.02).all()
