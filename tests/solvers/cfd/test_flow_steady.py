"""Steady flow against closed forms, a manufactured solution and published values."""

from __future__ import annotations

import re
from pathlib import Path

import ducts
import numpy as np
import pytest

from hub.meshfile import MeshFile
from hub.runfolder import Attempt, Job, Status
from hub.solver import StageError
from solvers.cfd.flow import oseen, standstill, steady
from solvers.cfd.flow.boundary import Boundary, Condition, Inlet, Outlet, Slip, Wall
from solvers.cfd.flow.forces import Forces, mean_pressure, wall_shear
from solvers.cfd.flow.monitor import Monitor
from solvers.cfd.flow.state import Flow, Fluid, form
from solvers.fem.mesh import distribute

# isort: split
import ufl
from dolfinx import fem

#: Drag and lift of 2D-1: G. Nabh, thesis, Heidelberg 1998.
DRAG, LIFT = 5.57953523384, 0.010618948146
#: Drag of 3D-1Z: M. Braack, T. Richter, Comput. Fluids 35 (2006) 372-392.
DRAG_3D = 6.18533
#: U. Ghia, K. N. Ghia, C. T. Shin, J. Comput. Phys. 48 (1982) 387-411, table I: u along x = 1/2.
HEIGHTS = (0.9766, 0.9531, 0.7344, 0.5, 0.4531, 0.2813, 0.1719, 0.1016, 0.0547)
GHIA = {
    100: (0.84123, 0.68717, 0.00332, -0.20581, -0.21090, -0.15662, -0.10150, -0.06434, -0.03717),
    1000: (0.65928, 0.46604, 0.18719, -0.06080, -0.10648, -0.27805, -0.38289, -0.29730, -0.18109),
}


def made(
    mesh: MeshFile, viscosity: float, conditions: list[Condition], degree: int = 2, density: float = 1.0
) -> Boundary:
    flow = Flow(distribute(mesh), Fluid(density, viscosity), degree)
    return Boundary(flow, conditions)


def near(flow: Flow, x: np.ndarray) -> np.ndarray:
    """(n, dim) velocity at places, by the cells they lie in."""
    from dolfinx import geometry

    tree = geometry.bb_tree(flow.part.mesh, flow.dim)
    at = np.pad(x, ((0, 0), (0, 3 - x.shape[1])))
    candidates = geometry.compute_colliding_cells(flow.part.mesh, geometry.compute_collisions_points(tree, at), at)
    return flow.u.eval(at, [candidates.links(i)[0] for i in range(len(at))]).reshape(-1, flow.dim)


@pytest.mark.parametrize(("degree", "size", "drag", "lift"), [(2, 0.005, 5e-5, 2.5e-3), (3, 0.008, 5e-5, 1e-3)])
def test_cylinder_in_a_channel(degree: int, size: float, drag: float, lift: float) -> None:
    """DFG 2D-1; the case in cases/ has the mesh for all of its digits."""
    boundary = made(ducts.cylinder(size, 0.04), 1e-3, [
        Inlet("inlet", ("inlet",), "developed", speed=0.2), Outlet("outlet", ("outlet",)),
        Wall("cylinder", ("cylinder",)),
    ], degree)  # fmt: skip
    found = steady.solve(boundary.flow, boundary)
    assert found.way == "newton"
    assert found.residual < 1e-8
    cd, cl = Forces(boundary.flow, boundary).force(boundary.facets["cylinder"]) * 2 / (0.2**2 * 0.1)
    assert cd == pytest.approx(DRAG, rel=drag)
    assert cl == pytest.approx(LIFT, rel=lift)


@pytest.mark.parametrize("number", [100, 1000])
def test_cavity_under_a_lid(number: int) -> None:
    edge = "Min(x,Min(1-x,Min(y,1-y)))"
    mesh = ducts.rectangle(1, 1, f"0.012+0.18*{edge}")
    boundary = made(mesh, 1 / number, [Wall("lid", ("top",), velocity=(1.0, 0.0, 0.0))])
    assert boundary.closed
    steady.solve(boundary.flow, boundary)
    u = near(boundary.flow, np.array([[0.5, y] for y in HEIGHTS]))[:, 0]
    assert u == pytest.approx(np.array(GHIA[number]), abs=0.01)


@pytest.mark.parametrize(("number", "length"), [(100, 2.9), (200, 5.0), (389, 8.3)])
def test_behind_a_step(number: int, length: float) -> None:
    """Reattachment in heights of the step; Reynolds number by the mean speed and twice the height of the channel.

    B. F. Armaly, F. Durst, J. C. F. Pereira, B. Schoenung, J. Fluid Mech. 127 (1983) 473-496, fig. 14.
    """
    inlet, drop = 1.0, 4.9 / 5.2
    boundary = made(ducts.step(inlet, drop, 25.0, 0.06, 0.3), 2 * inlet / number, [
        Inlet("inlet", ("inlet",), "developed", speed=1.0), Outlet("outlet", ("outlet",)), Wall("floor", ("floor",)),
    ])  # fmt: skip
    steady.solve(boundary.flow, boundary)
    shear = wall_shear(boundary.flow, boundary)
    on = fem.locate_dofs_topological(shear.function_space, 1, boundary.facets["floor"])
    x, along = shear.function_space.tabulate_dof_coordinates()[on, 0], shear.x.array.reshape(-1, 2)[on, 0]
    order = np.argsort(x)
    x, along = x[order], along[order]
    i = np.flatnonzero((along[:-1] < 0) & (along[1:] > 0))[-1]
    turned = x[i] - along[i] * (x[i + 1] - x[i]) / (along[i + 1] - along[i])
    assert turned / drop == pytest.approx(length, rel=0.05)


def test_orders_of_a_manufactured_flow() -> None:
    """Velocity of order 3, pressure of order 2, and one more of each with cubic velocities."""
    for degree, cells, orders in ((2, (8, 16), (3.0, 2.0)), (3, (5, 10), (4.0, 3.0))):
        errors = []
        for n in cells:
            boundary = made(ducts.rectangle(1, 1, f"{1 / n}"), 0.05, [], degree)
            flow, x = boundary.flow, ufl.SpatialCoordinate(boundary.mesh)
            sx, sy = ufl.sin(ufl.pi * x[0]), ufl.sin(ufl.pi * x[1])
            u = ufl.as_vector((sx**2 * ufl.sin(2 * ufl.pi * x[1]), -ufl.sin(2 * ufl.pi * x[0]) * sy**2))
            p = ufl.cos(ufl.pi * x[0]) * ufl.cos(ufl.pi * x[1])
            f = ufl.dot(ufl.grad(u), u) - 0.05 * ufl.div(ufl.grad(u)) + ufl.grad(p)
            flow.force.interpolate(fem.Expression(f, flow.V.element.interpolation_points))
            steady.solve(flow, boundary)
            dx = flow.dx(10)
            errors.append([fem.assemble_scalar(form(e * dx)) ** 0.5 for e in
                           (ufl.inner(flow.u - u, flow.u - u), (flow.p - p) ** 2)])  # fmt: skip
        observed = np.log2(np.array(errors[0]) / np.array(errors[1]))
        assert (observed > np.array(orders) - 0.25).all(), (degree, observed)


def test_slip_at_an_angle() -> None:
    """Between slipping walls a uniform stream stays one, whatever the direction of the walls."""
    mesh = ducts.rectangle(2, 1, "0.25")
    angle = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    turned = MeshFile(**{**mesh.__dict__, "points": mesh.points @ angle.T})
    boundary = made(turned, 0.01, [
        Inlet("in", ("left",), speed=3.0), Outlet("out", ("right",)), Slip("sides", ("top", "bottom")),
    ])  # fmt: skip
    steady.solve(boundary.flow, boundary)
    assert boundary.flow.u.x.array.reshape(-1, 2) == pytest.approx(np.tile([2.4, 1.8], (len(boundary.x), 1)), abs=1e-8)


def test_between_two_pressures() -> None:
    """Creeping flow that enters where only a pressure is given: dp h^3 / (12 mu L) for each metre of depth."""
    boundary = made(ducts.rectangle(2, 1, "0.25"), 1.0, [
        Outlet("high", ("left",), pressure=0.024), Outlet("low", ("right",)),
    ])  # fmt: skip
    steady.solve(boundary.flow, boundary)
    for name, sign in (("high", -1), ("low", 1)):
        rate = boundary.flow_rate(boundary.flux_weights(boundary.facets[name]))
        assert rate == pytest.approx(sign * 0.024 / (12 * 2), rel=2e-3)


def test_turning_cylinder() -> None:
    """Couette flow between cylinders: a torque of 4 pi mu omega a^2 b^2 / (b^2 - a^2) for each metre."""
    mesh = ducts.ring(0.1, 0.2, 0.02)
    boundary = made(mesh, 0.5, [Wall("shaft", ("inner",), turning=((0, 0, 0), (0, 0, 1), 2.0))], density=3.0)
    steady.solve(boundary.flow, boundary)
    a2, b2 = 0.1**2, 0.2**2
    torque = 4 * np.pi * 0.5 * 2.0 * a2 * b2 / (b2 - a2)
    forces = Forces(boundary.flow, boundary)
    assert forces.moment(boundary.facets["shaft"], (0, 0, 0))[2] == pytest.approx(-torque, rel=2e-4)
    assert forces.moment(boundary.rest, (0, 0, 0))[2] == pytest.approx(torque, rel=2e-4)


@pytest.fixture(scope="module")
def pipe() -> Boundary:
    """Water-like flow of 2 l/min in a pipe of 20 mm against 500 Pa."""
    boundary = made(ducts.pipe(0.01, 0.03, 0.004), 0.01, [
        Inlet("inlet", ("inlet",), "developed", flow_rate=2e-3 / 60), Outlet("outlet", ("outlet",), pressure=500.0),
        Wall("wall", ("wall",)),
    ], density=1000.0)  # fmt: skip
    watched: list[float] = []
    found = oseen.Oseen(boundary.flow, boundary).solve(1e-8, lambda step, residual: watched.append(residual), False)
    assert found.way == "picard"
    assert watched[-1] == found.residual < 1e-8
    return boundary


def test_pipe(pipe: Boundary) -> None:
    """Hagen-Poiseuille: pressure drop 8 mu L Q / (pi R^4), largest speed twice the mean, shear 4 mu Q / (pi R^3)."""
    flow, rate, mu, radius = pipe.flow, 2e-3 / 60, 0.01, 0.01
    gradient = 8 * mu * rate / (np.pi * radius**4)
    start = mean_pressure(flow, pipe, pipe.facets["inlet"])
    assert mean_pressure(flow, pipe, pipe.facets["outlet"]) == pytest.approx(500.0, abs=0.01 * gradient * 0.03)
    assert start - 500.0 == pytest.approx(gradient * 0.03, rel=0.01)
    speed = flow.u.x.array.reshape(-1, 3)[:, 2]
    assert speed.max() == pytest.approx(2 * rate / (np.pi * radius**2), rel=0.01)
    for name, sign in (("inlet", -1), ("outlet", 1)):
        assert pipe.flow_rate(pipe.flux_weights(pipe.facets[name])) == pytest.approx(sign * rate, rel=1e-7)
    force = Forces(flow, pipe).force(pipe.facets["wall"])
    assert force[2] == pytest.approx(gradient * 0.03 * np.pi * radius**2, rel=0.01)
    shear = wall_shear(flow, pipe)
    on = fem.locate_dofs_topological(shear.function_space, 2, pipe.facets["wall"])
    middle = on[np.abs(shear.function_space.tabulate_dof_coordinates()[on, 2] - 0.015) < 0.008]
    found = shear.x.array.reshape(-1, 3)[middle, 2]
    assert found == pytest.approx(np.full(len(found), 4 * mu * rate / (np.pi * radius**3)), rel=0.12)


def test_the_shear_of_a_wall_is_not_that_of_what_meets_it() -> None:
    """Half a film between plates, mirrored at its sides: the wall feels 2 mu U / H up to every edge, exactly."""
    boundary = made(ducts.box((1.0, 1.0, 1.0), 0.5), 0.1, [
        Inlet("in", ("x0",), lambda x: x[:, 2] * (2 - x[:, 2])), Outlet("out", ("x1",)),
        Slip("mirrors", ("y0", "y1", "z1")),
    ], density=2.0)  # fmt: skip
    steady.solve(boundary.flow, boundary)
    shear = wall_shear(boundary.flow, boundary)
    on = fem.locate_dofs_topological(shear.function_space, 2, boundary.rest)
    expected = np.tile([2 * 0.1, 0.0, 0.0], (len(on), 1))
    assert shear.x.array.reshape(-1, 3)[on] == pytest.approx(expected, abs=1e-5)


def test_both_ways_in_space_agree(pipe: Boundary) -> None:
    flow = Flow(pipe.flow.part, pipe.flow.fluid)
    again = Boundary(flow, pipe.conditions)
    steady.Newton(flow, again, lambda step, residual: None).solve(1e-10, False)
    assert flow.u.x.array == pytest.approx(pipe.flow.u.x.array, abs=1e-5 * np.abs(flow.u.x.array).max())


def test_cylinder_in_a_duct() -> None:
    """DFG 3D-1Z on a coarse mesh."""

    def profile(x: np.ndarray) -> np.ndarray:
        return 16 * 0.45 * x[:, 1] * x[:, 2] * (0.41 - x[:, 1]) * (0.41 - x[:, 2]) / 0.41**4

    boundary = made(ducts.channel(0.025, 0.1), 1e-3, [
        Inlet("inlet", ("inlet",), profile), Outlet("outlet", ("outlet",)), Wall("cylinder", ("cylinder",)),
    ])  # fmt: skip
    steady.solve(boundary.flow, boundary, tolerance=1e-6)
    drag = Forces(boundary.flow, boundary).force(boundary.facets["cylinder"])[0] * 2 / (0.2**2 * 0.1 * 0.41)
    assert drag == pytest.approx(DRAG_3D, rel=1e-2)


def test_lids_that_feed_a_closed_domain_are_refused() -> None:
    with pytest.raises(StageError, match="Nothing can leave freely"):
        made(ducts.rectangle(1, 1, "0.4"), 1.0, [Inlet("in", ("left",), speed=1.0)])


def test_profile_that_carries_nothing_is_refused() -> None:
    with pytest.raises(StageError, match="carries nothing"):
        made(ducts.rectangle(1, 1, "0.4"), 1.0, [
            Inlet("in", ("left",), lambda x: np.tile([0.0, 1.0, 0.0], (len(x), 1)), flow_rate=1.0),
            Outlet("out", ("right",)),
        ])  # fmt: skip


def test_hard_starts_are_continued() -> None:
    """Where Newton fails from the creeping flow, as in a cavity at Re 5000, lower Reynolds numbers lead there."""
    boundary = made(ducts.rectangle(1, 1, "0.02+0.2*Min(x,Min(1-x,Min(y,1-y)))"), 1 / 5000,
                    [Wall("lid", ("top",), velocity=(1.0, 0.0, 0.0))])  # fmt: skip
    found = steady.solve(boundary.flow, boundary)
    assert found.way in ("continuation", "pseudo-time")
    # Ghia et al., Re 5000, y = 0.5 and y = 0.1719
    assert near(boundary.flow, np.array([[0.5, 0.5], [0.5, 0.1719]]))[:, 0] == pytest.approx(
        [-0.03039, -0.33050], abs=0.02
    )


def test_what_comes_back_at_an_outlet_brings_no_energy() -> None:
    """The momentum equation times u is the power that leaves: of u = (x^2, -2xy) in a unit square, by each face, 7/6
    through the right and -7/6 through the top. Turned round it comes back through the right, where it counts as nothing
    (C. Bertoglio et al., Int. J. Numer. Methods Biomed. Eng. 34 (2018) e2918: velocity penalisation of 1/2).
    """
    boundary = made(ducts.rectangle(1, 1, "0.4"), 1.0, [Outlet("out", ("right",))])
    flow, none = boundary.flow, fem.Constant(boundary.mesh, 0.0)
    leaving = boundary.ds(boundary.leaving)
    for sign, power in ((1.0, 0.0), (-1.0, 7 / 6)):
        flow.u.interpolate(lambda x, sign=sign: sign * np.array([x[0] ** 2, -2 * x[0] * x[1]]))
        one = fem.Constant(boundary.mesh, 1.0)
        found = fem.assemble_scalar(form(steady.momentum(flow, flow.u, flow.p, flow.u, none, one, leaving)))
        assert found == pytest.approx(power, abs=1e-10)


def test_a_slim_pipe_takes_no_more_iterations_than_a_stout_one() -> None:
    """Walls drag at the flow as a whole, which the preconditioner must know; and cells that the flow crosses fast leave
    incomplete factors without stability.
    """
    boundary = made(ducts.pipe(0.01, 0.5, 0.006), 0.01, [
        Inlet("inlet", ("inlet",), "developed", flow_rate=2e-3 / 60), Outlet("outlet", ("outlet",)),
    ], density=1000.0)  # fmt: skip
    solver = oseen.Oseen(boundary.flow, boundary)
    found = solver.solve(1e-6, lambda step, residual: None, False)
    assert found.krylov < 100 * found.steps
    drop = mean_pressure(boundary.flow, boundary, boundary.facets["inlet"])
    assert drop == pytest.approx(8 * 0.01 * 0.5 * 2e-3 / 60 / (np.pi * 0.01**4), rel=0.03)


def tee(number: float) -> Boundary:
    """A drilled block in small: a square duct that ends blind, out of which another leads at a sharp corner."""
    return made(ducts.tee(0.35), 1 / number, [
        Inlet("inlet", ("inlet",), "developed", speed=1.0), Outlet("outlet", ("outlet",)),
    ])  # fmt: skip


def test_a_flow_round_sharp_corners_that_wanders_is_found_with_diffusion_along_the_stream(tmp_path: Path) -> None:
    """The iteration alone stands still at a twentieth of the forces; what is found bears Newton's own residual."""
    boundary = tee(160.0)
    with pytest.raises(StageError):
        oseen.Oseen(boundary.flow, boundary).solve(1e-6, lambda step, residual: None, False, sturdy=False)
    monitor = Monitor(Attempt.create(tmp_path / "1", {}, {}, Job(name="t", argv=("x",))), boundary)
    seen: list[Status] = []

    def watch(step: int, residual: float) -> None:
        assert monitor.attempt is not None
        monitor.residual(step, residual)
        seen.append(monitor.attempt.status())

    found = oseen.Oseen(boundary.flow, boundary).solve(1e-6, watch, False, doing=monitor.doing)
    assert found.way == "streamline" and found.steps < 200
    # those who wait are told what is tried, and the residual with it
    told = list(dict.fromkeys(status.doing for status in seen))
    assert told[:2] == ["solving", "solving with diffusion along the stream, 100 % of it left"]
    assert told[-1] == "solving with diffusion along the stream, 0 % of it left"
    assert seen[-1].step == len(seen) == found.steps - 1 and seen[-1].values["residual"] < 1e-6
    monitor.doing("solving by Newton's method, which takes longer")
    last = monitor.attempt.status() if monitor.attempt else Status()
    assert (last.step, last.values) == (seen[-1].step, seen[-1].values) and last.doing.startswith("solving by Newton")
    again = steady.Newton(boundary.flow, boundary, lambda step, residual: None)
    again.convection.value = 1.0
    r, _ = again.residual()
    assert np.linalg.norm(r) < 1e-5 * np.linalg.norm(boundary.flow.reaction.x.array)


def test_where_no_steady_flow_is_found_the_place_is_named_and_the_end_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jets at a Reynolds number far beyond the cells: Newton's method is told of, makes so many solves and no more."""
    monkeypatch.setattr(steady, "QUICK", 0)
    monkeypatch.setattr(steady, "PATIENT", 0.0)
    boundary, told, watched = tee(3000.0), list[str](), list[int]()
    with pytest.raises(StageError, match="No steady flow") as stopped:
        steady.solve(boundary.flow, boundary, watch=lambda step, left: watched.append(step), doing=told.append)
    assert "solving by Newton's method, which takes longer" in told
    assert len(watched) <= oseen.STEPS + oseen.MORE + steady.ENOUGH + 1
    x, y, z = map(float, re.search(r"of \((.*?)\) mm", stopped.value.message)[1].split(";"))  # type: ignore[index]
    # within the block, behind the corner where the jet begins
    assert 1000 < x < 3000 and 0 < y < 3000 and 0 < z < 1000
    assert "Refine the mesh there" in stopped.value.hint


def test_the_place_of_a_residual_is_where_it_was_put() -> None:
    boundary = tee(1.0)
    own = boundary.flow.S.dofmap.index_map.size_local
    r = np.zeros((own, 3))
    near = np.linalg.norm(boundary.x[:own] - [2.0, 2.0, 0.5], axis=1) < 0.25
    far = np.linalg.norm(boundary.x[:own] - [0.3, 0.5, 0.5], axis=1) < 0.3
    r[near], r[far] = 1.0, 0.1
    at, radius, share = standstill.place(boundary, r)
    assert at == pytest.approx([2.0, 2.0, 0.5], abs=0.1)
    assert radius == pytest.approx(0.3)
    edge, _ = standstill.cells(boundary, at, radius)
    assert edge == pytest.approx(0.35, rel=0.25)
    assert share == pytest.approx(1 / (1 + 0.01 * far.sum() / near.sum()), abs=0.05)


@pytest.mark.parametrize("sturdy", [False, True])
def test_an_iteration_that_wanders_is_stopped_early(sturdy: bool) -> None:
    """A pipe at a Reynolds number of 21000 in three cells across: nothing is found by going on."""
    boundary = made(ducts.pipe(0.01, 0.03, 0.006), 1e-4, [
        Inlet("inlet", ("inlet",), "developed", flow_rate=2e-3 / 60), Outlet("outlet", ("outlet",)),
    ], density=1000.0)  # fmt: skip
    watched: list[float] = []
    with pytest.raises(StageError) as stopped:
        oseen.Oseen(boundary.flow, boundary).solve(
            1e-8, lambda step, residual: watched.append(residual), False, sturdy=sturdy
        )
    assert stopped.value.code == "no-steady-flow" and "regime: unsteady" in stopped.value.hint
    assert len(watched) < (60 if sturdy else 10)
