"""Linear elasticity against closed forms: each condition, observed orders, balances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from grids import SIDES, grid, tube
from mpi4py import MPI

from hub.case import read
from hub.meshfile import MeshFile
from hub.problem import Refused
from hub.solver import BoundCase, StageError
from solvers.fem.elasticity.__main__ import Elasticity
from solvers.fem.mesh import distribute

# isort: split
import ufl
from dolfinx import fem

from solvers.fem.elasticity.answer import Balance
from solvers.fem.elasticity.operator import Operator
from solvers.fem.elasticity.solution import Progress, find_displacement
from solvers.fem.elasticity.solved import Solved

L, W, E, RHO = 0.4, 0.1, 200e9, 8000.0
AREA = W * W


def bar(x: np.ndarray) -> np.ndarray:
    """0.4 x 0.1 x 0.1 m."""
    return x * (L, W, W)


def case(conditions: list[dict[str, Any]], nu: float = 0.0, **more: Any) -> BoundCase:
    steel = {"name": "steel", "youngs_modulus": E, "poissons_ratio": nu, "density": RHO, "yield_strength": 235e6}
    data = {
        "title": "test",
        "geometry": {"file": "part.step"},
        "solver": "fem.elasticity",
        "bodies": [{"material": steel}],
        "selections": {name: {"extreme": name[0]} for name in SIDES},
        "conditions": conditions,
    }
    return Elasticity().bind(read(data | more, si=True), si=True)


def solved(mesh: MeshFile, bound: BoundCase) -> tuple[Solved, Operator]:
    """The displacement, whose balances must hold."""
    found, operator = find_displacement(bound, distribute(mesh), Progress(None, MPI.COMM_WORLD))
    for check in Balance.of(found, operator).checks(operator):
        assert check.passed, check
    return found, operator


def at(found: Solved, place: tuple[float, float, float]) -> np.ndarray:
    """The displacement of the node at a place [m]."""
    x = found.V.tabulate_dof_coordinates()
    node = int(np.argmin(((x - place) ** 2).sum(1)))
    assert np.allclose(x[node], place, atol=1e-12)
    return found.u.x.array.reshape(-1, 3)[node]


#: A pressure of -5 MPa as points of a table that lie on the end of the bar.
PULLED = {"csv": "x [m],y [mm],z [m],p [MPa]\n0.4,0,0,-5\n0.4,100,0,-5\n0.4,0,0.1,-5\n0.4,100,0.1,-5\n"}
ROLLERS = [{"kind": "symmetry", "on": ["x0", "y0", "z0"]}]
HELD = [{"kind": "fixed", "on": "x0"}]
END = (L, W, W)


# --- states that quadratic displacements meet to the last digits: theory of the bar --------------------------------


@pytest.mark.parametrize(
    ("held", "load", "nu", "stretch"),
    [
        (ROLLERS, {"kind": "force", "on": "x1", "value": [5e4, 0, 0]}, 0.3, 5e4 * L / E / AREA),
        (ROLLERS, {"kind": "pressure", "on": "x1", "value": -5e6}, 0.3, 5e6 * L / E),
        (ROLLERS, {"kind": "pressure_map", "on": "x1", "table": PULLED}, 0.3, 5e6 * L / E),
        (HELD, {"kind": "force", "on": "x1", "value": [5e4, 0, 0]}, 0.0, 5e4 * L / E / AREA),
        (HELD, {"kind": "gravity", "value": [9.81, 0, 0]}, 0.0, RHO * 9.81 * L**2 / 2 / E),
        (HELD, {"kind": "acceleration", "value": [9.81, 0, 0]}, 0.0, -RHO * 9.81 * L**2 / 2 / E),
        (
            [{"kind": "elastic_support", "on": "x0", "stiffness": 1e11, "direction": "all"}],
            {"kind": "pressure", "on": "x1", "value": -5e6},
            0.0,
            5e6 * (L / E + 1 / 1e11),
        ),
        (
            [{"kind": "elastic_support", "on": "x0", "stiffness": 1e11}, {"kind": "symmetry", "on": ["y0", "z0"]}],
            {"kind": "pressure", "on": "x1", "value": -5e6},
            0.3,
            5e6 * (L / E + 1 / 1e11),
        ),
        (ROLLERS, {"kind": "displacement", "on": "x1", "x": 1e-4}, 0.3, 1e-4),
    ],
)
def test_a_bar_is_stretched_as_theory_says(held: list, load: dict, nu: float, stretch: float) -> None:
    found, _ = solved(grid((3, 2, 2), bar), case([*held, load], nu))
    assert at(found, END)[0] == pytest.approx(stretch, rel=1e-6)
    if held is ROLLERS:
        assert at(found, END)[1] == pytest.approx(-nu * stretch * W / L, rel=1e-6)


def test_linear_geometry_and_cholesky_factors_give_the_same() -> None:
    load = {"kind": "force", "on": "x1", "value": [0, 0, 1e3]}
    curved, _ = solved(grid((4, 2, 2), bar), case([*HELD, load], 0.3))
    straight, _ = solved(grid((4, 2, 2), bar, order=1), case([*HELD, load], 0.3))
    direct, operator = solved(grid((4, 2, 2), bar), case([*HELD, load], 0.3, parameters={"method": "direct"}))
    assert operator.iterations == 1
    for other in (straight, direct):
        assert at(other, END) == pytest.approx(at(curved, END), rel=1e-6)


def test_a_turning_bar_is_stretched_by_its_own_inertia() -> None:
    """Separable for nu = 0: E u'' = -rho omega^2 x, u(0) = 0, u'(L) = 0, so u(L) = rho omega^2 L^3 / (3 E)."""
    omega = 500.0
    turn = {"kind": "rotation", "value": omega, "axis": "z", "point": [0, 0, 0]}
    found, _ = solved(grid((8, 2, 2), bar), case([*ROLLERS, turn]))
    assert at(found, END)[0] == pytest.approx(RHO * omega**2 * L**3 / 3 / E, rel=3e-4)


def test_two_materials_in_series() -> None:
    soft = {"name": "soft", "youngs_modulus": E / 10, "poissons_ratio": 0.0}
    steel = {"name": "steel", "youngs_modulus": E, "poissons_ratio": 0.0}
    bodies = [{"on": "all", "material": steel}, {"on": "second", "material": soft}]
    load = {"kind": "force", "on": "x1", "value": [5e4, 0, 0]}
    found, _ = solved(grid((4, 2, 2), bar, split=0.5), case([*HELD, load], bodies=bodies))
    assert at(found, END)[0] == pytest.approx(5e4 / AREA * (L / 2 / E + L / 2 / (E / 10)), rel=1e-6)


def test_a_shaft_is_twisted_as_theory_says() -> None:
    """phi = T L / (G J); the load is spread as the stress of Saint-Venant's torsion is, so there is no end effect."""
    inner, outer, length, torque, nu = 0.01, 0.02, 0.06, 100.0, 0.3
    load = {"kind": "torque", "on": "z1", "value": torque, "axis": "z"}
    mesh = grid((2, 24, 4), tube(inner, outer, length), closed=True)
    found, _ = solved(mesh, case([{"kind": "fixed", "on": "z0"}, load], nu))
    polar, shear = np.pi / 2 * (outer**4 - inner**4), E / 2 / (1 + nu)
    assert at(found, (outer, 0, length)) == pytest.approx(
        [0, torque * length / shear / polar * outer, 0], rel=2e-3, abs=2e-8
    )


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_a_pin_presses_on_half_of_its_hole(angle: float) -> None:
    """p = 2 F cos(a) / (pi r h) on the loaded half: its resultant is F, and it has no moment about the axis."""
    mesh = grid((2, 32, 2), tube(0.01, 0.03, 0.02), closed=True)
    mesh.faces[0].update(type="cylinder", axis=[0.0, 0.0, 1.0], radius=0.01, inside=True)
    force = 1e4 * np.array([np.cos(angle), np.sin(angle), 0])
    pin = {"kind": "bearing", "on": "x0", "value": force.tolist()}
    found, _ = solved(mesh, case([{"kind": "fixed", "on": "x1"}, pin], 0.3))
    b = fem.assemble_vector(found.loads[0]).array.reshape(-1, 3)
    x = found.V.tabulate_dof_coordinates()
    assert b.sum(axis=0) == pytest.approx(force, abs=20)
    assert np.cross(x, b).sum(axis=0)[2] == pytest.approx(0, abs=0.05)
    away = x @ force / 1e4 < -0.3 * 0.01  # a whole element beyond the edge of the contact
    assert np.abs(b[away]).max() == 0
    # the mean pressure near the middle of the contact, from the nodal forces of a strip of half width 0.1 rad
    strip = np.abs(np.arctan2(x[:, 1], x[:, 0]) - angle) < 0.9
    share = (b[strip] @ force).sum() / 1e8
    assert share == pytest.approx((2 * 0.9 + np.sin(2 * 0.9)) / np.pi, abs=0.06)


# --- rollers on planes in any direction ---------------------------------------------------------------------------


def _turned() -> np.ndarray:
    a, b = 0.5, 0.3
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )


@pytest.mark.parametrize("method", ["multigrid", "direct"])
def test_rollers_on_oblique_planes(method: str) -> None:
    """The stretched bar again, turned in space: no direction is a coordinate axis."""
    Q = _turned()
    mesh = grid((3, 2, 2), lambda x: bar(x) @ Q.T)
    load = {"kind": "force", "on": "x1", "value": (5e4 * Q[:, 0]).tolist()}
    found, _ = solved(mesh, case([*ROLLERS, load], 0.3, parameters={"method": method}))
    stretch = 5e4 * L / E / AREA
    local = Q.T @ at(found, tuple(Q @ np.array(END)))
    assert local == pytest.approx([stretch, -0.3 * stretch * W / L, -0.3 * stretch * W / L], rel=1e-6)


def test_oblique_rollers_beside_a_prescribed_displacement() -> None:
    """A square prism turned about x: moved along x at its end, its oblique sides on rollers."""
    Q = np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
    mesh = grid((3, 2, 2), lambda x: bar(x) @ Q.T)
    moved = {"kind": "displacement", "on": "x1", "x": 1e-4}
    found, _ = solved(mesh, case([*ROLLERS, moved], 0.3))
    local = Q.T @ at(found, tuple(Q @ np.array(END)))
    assert local == pytest.approx([1e-4, -0.3e-4 * W / L, -0.3e-4 * W / L], rel=1e-6)


def test_symmetry_of_a_curved_face_is_refused() -> None:
    mesh = grid((2, 16, 2), tube(0.01, 0.02, 0.02), closed=True)
    with pytest.raises(StageError, match="face 2, which is no plane"):
        solved(mesh, case([{"kind": "symmetry", "on": "x1"}, {"kind": "pressure", "on": "z1", "value": 1e6}]))


# --- order of convergence ------------------------------------------------------------------------------------------


def _errors(n: int, curved: bool) -> tuple[float, float]:
    """Errors in L2 and in energy, relative, of a displacement that is made up and vanishes on the surface."""

    def shape(x: np.ndarray) -> np.ndarray:
        bulge = 0.08 * np.prod(np.sin(np.pi * x), axis=1)
        return x + bulge[:, None] * np.array([1.0, -0.7, 0.5]) if curved else x

    sides = {"kind": "fixed", "on": list(SIDES)}
    bound = case([sides, {"kind": "gravity", "value": [0, 0, -1]}], 0.3)
    found, _ = find_displacement(bound, distribute(grid((n, n, n), shape)), Progress(None, MPI.COMM_WORLD))
    mesh = found.part.mesh
    x = ufl.SpatialCoordinate(mesh)
    bubble = ufl.sin(ufl.pi * x[0]) * ufl.sin(ufl.pi * x[1]) * ufl.sin(ufl.pi * x[2])
    exact = ufl.as_vector([bubble, 2 * bubble * x[0], -bubble])
    mu, lmbda = E / 2 / 1.3, E * 0.3 / 1.3 / 0.4

    def stress(u):
        return mu * (ufl.grad(u) + ufl.grad(u).T) + lmbda * ufl.div(u) * ufl.Identity(3)

    dx = ufl.Measure("dx", domain=mesh, metadata={"quadrature_degree": 6})
    u = found.solve(ufl.inner(-ufl.div(stress(exact)), ufl.TestFunction(found.V)) * dx, tolerance=1e-9)
    error = u - exact

    def norm(square) -> float:
        return float(fem.assemble_scalar(fem.form(square * dx))) ** 0.5

    strain = ufl.sym(ufl.grad(error))
    return (
        norm(ufl.inner(error, error)) / norm(ufl.inner(exact, exact)),
        norm(ufl.inner(stress(error), strain)) / norm(ufl.inner(stress(exact), ufl.sym(ufl.grad(exact)))),
    )


@pytest.mark.parametrize("curved", [False, True])
def test_errors_fall_with_the_order_of_the_elements(curved: bool) -> None:
    """P2: 3 in the L2 norm of the displacement, 2 in the energy norm (Ciarlet, The Finite Element Method, 3.2)."""
    coarse, fine = _errors(6, curved), _errors(12, curved)
    orders = np.log2(np.array(coarse) / np.array(fine))
    assert orders == pytest.approx([3, 2], abs=0.2)


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ([{"kind": "force", "on": "x1", "value": [1, 0, 0]}], "no-support"),
        (HELD, "no-load"),
        ([*HELD, {"kind": "force", "on": "x0", "value": [1, 0, 0]}], "contradiction"),
        ([*HELD, {"kind": "displacement", "on": "x0", "x": 1e-3}], "contradiction"),
        (
            [*HELD, {"kind": "displacement", "on": "x1"}, {"kind": "pressure", "on": "y1", "value": 1}],
            "empty-condition",
        ),
        ([{"kind": "fixed"}, {"kind": "gravity", "value": [0, 0, -9.81]}], "missing"),
        ([*HELD, {"kind": "gravity", "on": "x1", "value": [0, 0, -9.81]}], "too-long"),
    ],
)
def test_a_case_that_makes_no_sense_is_refused_in_words(conditions: list, code: str) -> None:
    with pytest.raises(Refused) as refused:
        case(conditions)
    assert code in {p.code for p in refused.value.problems}
    assert all(p.where and p.found and p.expected for p in refused.value.problems)


def test_weight_needs_a_density() -> None:
    light = {"name": "unknown", "youngs_modulus": E, "poissons_ratio": 0.3}
    with pytest.raises(Refused, match=r"bodies\[0\].material.density"):
        case([*HELD, {"kind": "gravity", "value": [0, 0, -9.81]}], bodies=[{"material": light}])


def test_a_pin_does_not_carry_along_its_axis() -> None:
    mesh = grid((2, 16, 2), tube(0.01, 0.03, 0.02), closed=True)
    mesh.faces[0].update(type="cylinder", axis=[0.0, 0.0, 1.0], radius=0.01, inside=True)
    with pytest.raises(StageError, match="along the axis of its hole"):
        solved(
            mesh, case([{"kind": "fixed", "on": "x1"}, {"kind": "bearing", "on": "x0", "value": [1e3, 0, 1e3]}], 0.3)
        )
