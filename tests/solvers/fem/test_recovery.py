"""Stress recovery: exact for what it should be exact for, never across materials, the same on any number of ranks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from grids import grid
from mpi4py import MPI

from hub import catalogue
from solvers.fem.mesh import distribute
from solvers.fem.recovery import COMPONENTS, Cells, Recovery, locate, principal, von_mises

# isort: split
from dolfinx import fem

ROOT = Path(__file__).parents[3]
MU, LAMBDA = 80e9, 120e9


def bent(x: np.ndarray) -> np.ndarray:
    """A block whose sides are curved: no cell is straight."""
    return x + 0.05 * np.stack([np.sin(2 * x[:, 1]), x[:, 2] ** 2, x[:, 0] * x[:, 1]], axis=1)


def stress_of(gradient: np.ndarray, mu: float = MU, lmbda: float = LAMBDA) -> np.ndarray:
    """(n, 3, 3) displacement gradients -> (n, 6) stresses."""
    strain = (gradient + gradient.transpose(0, 2, 1)) / 2
    tensor = 2 * mu * strain + lmbda * np.trace(strain, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    return np.stack([tensor[:, i, j] for i, j in COMPONENTS], axis=1)


def recovered(mesh, displacement, order: int = 2, mu=None, lmbda=None):
    V = fem.functionspace(mesh, ("Lagrange", order, (3,)))
    u = fem.Function(V)
    u.interpolate(displacement)
    count = mesh.topology.index_map(3).size_local
    lame = np.tile([MU, LAMBDA], (count, 1)) if mu is None else np.column_stack([mu, lmbda])
    return V, u, Recovery(mesh, lame, order).recover(u)


@pytest.mark.parametrize("cells", [(1, 1, 1), (4, 1, 1), (3, 3, 3)])
def test_linear_stresses_are_recovered_exactly(cells: tuple[int, int, int]) -> None:
    mesh = distribute(grid(cells, order=1), MPI.COMM_SELF).mesh
    V, _, found = recovered(mesh, lambda x: np.stack([x[0] * x[1], x[2] ** 2 - x[0], 3 * x[1] * x[2]]))
    x, y, z = V.tabulate_dof_coordinates().T
    zero = np.zeros_like(x)
    gradient = np.array([[y, x, zero], [zero - 1, zero, 2 * z], [zero, 3 * z, 3 * y]]).transpose(2, 0, 1)
    assert np.allclose(found.at_nodes(V), stress_of(gradient), atol=1e-6 * MU)
    place = np.array([0.3, 0.4, 0.8])
    exact = stress_of(np.array([[[0.4, 0.3, 0], [-1, 0, 1.6], [0, 2.4, 1.2]]]))[0]
    assert np.allclose(found.at_place(place), exact, atol=1e-6 * MU)


def test_constant_stresses_are_recovered_exactly_on_curved_cells_and_by_linear_elements() -> None:
    gradient = np.array([[1.0, 2, 0], [0, -1, 1], [3, 0, 2]])
    for order in (1, 2):
        mesh = distribute(grid((2, 3, 2), bent if order == 2 else lambda x: x, order=order), MPI.COMM_SELF).mesh
        V, _, found = recovered(mesh, lambda x: gradient @ x, order)
        assert np.allclose(found.at_nodes(V), stress_of(gradient[None]), atol=1e-6 * MU)


def test_recovery_is_nearer_to_the_truth_than_the_elements() -> None:
    def displacement(x: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(2 * x[0]) * x[1], np.exp(x[2]) * x[0], np.cos(x[1] + x[2])])

    def exact(p: np.ndarray) -> np.ndarray:
        x, y, z = p.T
        zero = np.zeros_like(x)
        rows = [2 * np.cos(2 * x) * y, np.sin(2 * x), zero], [np.exp(z), zero, np.exp(z) * x]
        last = [zero, -np.sin(y + z), -np.sin(y + z)]
        return stress_of(np.array([*rows, last]).transpose(2, 0, 1))

    errors = []
    for n in (4, 8):
        mesh = distribute(grid((n, n, n), bent), MPI.COMM_SELF).mesh
        V, u, found = recovered(mesh, displacement)
        nodes = V.tabulate_dof_coordinates()
        errors.append(np.sqrt(((found.at_nodes(V) - exact(nodes)) ** 2).mean()))
        raw = Cells(mesh, np.eye(4)[:, 1:])
        cells = np.arange(raw.count, dtype=np.int32)
        lame = np.tile([MU, LAMBDA], (raw.count, 1))
        plain = raw.stress(u, lame, cells).reshape(-1, 6) - exact(raw.position(cells).reshape(-1, 3))
        assert errors[-1] < 0.6 * np.sqrt((plain**2).mean())
    assert np.log2(errors[0] / errors[1]) > 2


def test_a_jump_between_materials_is_kept() -> None:
    part = distribute(grid((4, 2, 2), order=1, split=0.5), MPI.COMM_SELF)
    soft = part.bodies.values == 0
    gradient = np.diag([1e-3, 0, 0])
    V, _, found = recovered(
        part.mesh, lambda x: gradient @ x, mu=np.where(soft, MU / 10, MU), lmbda=np.where(soft, LAMBDA / 10, LAMBDA)
    )
    stress, x = found.at_nodes(V), V.tabulate_dof_coordinates()[:, 0]
    hard = stress_of(gradient[None])
    assert np.allclose(stress[x < 0.49], hard / 10, atol=1.0)
    assert np.allclose(stress[x > 0.49], hard, atol=1.0), "the stronger side speaks for the joint"


def test_places_are_found_on_curved_cells() -> None:
    mesh = distribute(grid((3, 3, 3), bent), MPI.COMM_SELF).mesh
    place = bent(np.array([[0.41, 0.57, 0.83]]))[0]
    cell, reference, inside = locate(mesh, place)
    assert inside > -1e-9
    assert np.allclose(Cells(mesh, reference[None]).position(np.array([cell]))[0, 0], place, atol=1e-12)
    assert locate(mesh, np.array([3.0, 0, 0]))[2] < -1


def test_invariants() -> None:
    stress = np.array([[3.0, 1, -2, 0, 0, 0], [0, 0, 0, 5, 0, 0]])
    assert np.allclose(principal(stress), [[3, 1, -2], [5, 0, -5]])
    assert np.allclose(von_mises(stress), [np.sqrt((4 + 9 + 25) / 2), 5 * np.sqrt(3)])


SAME = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from grids import grid
from mpi4py import MPI
from solvers.fem.mesh import distribute
from solvers.fem.recovery import Recovery
from dolfinx import fem
part = distribute(grid((5, 4, 3), lambda x: x + 0.05 * x[:, [1, 2, 0]] ** 2, split=0.5))
mesh = part.mesh
V = fem.functionspace(mesh, ("Lagrange", 2, (3,)))
u = fem.Function(V)
u.interpolate(lambda x: np.stack([np.sin(2 * x[0]) * x[1], np.exp(x[2]) * x[0], np.cos(x[1] + x[2])]))
stiff = 1.0 + part.bodies.values
found = Recovery(mesh, np.column_stack([stiff, 1.5 * stiff])).recover(u)
stress, own = found.at_nodes(V), V.dofmap.index_map.size_local
sums = mesh.comm.allreduce(np.stack([(stress[:own] ** k).sum(0) for k in (1, 2, 3)]), MPI.SUM)
here = found.at_place(np.array([0.3, 0.4, 0.45]))
if mesh.comm.rank == 0:
    print(*map(float, [*sums.ravel(), *here]))
"""


def test_the_same_on_one_rank_and_on_three(tmp_path: Path) -> None:
    script = tmp_path / "same.py"
    script.write_text(SAME)
    said = []
    for ranks in ("1", "3"):
        argv = ["mpiexec", "-n", ranks, sys.executable, str(script), str(Path(__file__).parent)]
        env = catalogue.environment() | {"PYTHONPATH": str(ROOT)}
        ran = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stderr[-2000:]
        said.append(np.array([float(word) for word in ran.stdout.split()]))
    assert len(said[0]) == 24
    assert np.allclose(said[0], said[1], rtol=1e-10, atol=1e-9)
