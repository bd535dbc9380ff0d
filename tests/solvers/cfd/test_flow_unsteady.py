"""Flow over time against closed forms, a manufactured solution and published values."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import ducts
import numpy as np
import pytest
from scipy.special import jv

from solvers.cfd.flow import unsteady
from solvers.cfd.flow.boundary import Boundary, Inlet, Outlet, Slip, Wall
from solvers.cfd.flow.forces import Forces
from solvers.cfd.flow.state import Flow, Fluid, form
from solvers.cfd.flow.unsteady import March, Settings
from solvers.fem.mesh import distribute

# isort: split
import ufl
from dolfinx import fem


def test_order_in_time_of_a_manufactured_flow() -> None:
    """Velocity of order 2 and pressure of order 3/2 at least, of cubic elements whose error in space is far below."""
    nu, until, errors = 0.1, 0.4, []
    part = distribute(ducts.rectangle(1, 1, "0.12"))
    for steps in (8, 16):
        flow = Flow(part, Fluid(1.0, nu), 3)
        boundary, x = Boundary(flow, []), ufl.SpatialCoordinate(part.mesh)
        t = fem.Constant(part.mesh, 0.0)
        sx, sy, g = ufl.sin(ufl.pi * x[0]), ufl.sin(ufl.pi * x[1]), ufl.cos(3 * t) + 2
        u = g * ufl.as_vector((sx**2 * ufl.sin(2 * ufl.pi * x[1]), -ufl.sin(2 * ufl.pi * x[0]) * sy**2))
        p = ufl.cos(3 * t) * ufl.cos(ufl.pi * x[0]) * ufl.cos(ufl.pi * x[1])
        rate = -3 * ufl.sin(3 * t) / g * u
        f = rate + ufl.dot(ufl.grad(u), u) - nu * ufl.div(ufl.grad(u)) + ufl.grad(p)
        points = flow.V.element.interpolation_points
        force, velocity = fem.Expression(f, points), fem.Expression(u, points)
        flow.u.interpolate(velocity)
        flow.p.interpolate(fem.Expression(p, flow.Q.element.interpolation_points))
        march = March(flow, boundary, Settings(until, dt=until / steps))
        # the first steps are of lower order: what came before the start is given
        past = fem.Function(flow.V)
        for ago, known in ((1, march.before), (2, march.earlier)):
            t.value = -ago * until / steps
            past.interpolate(velocity)
            known[:] = past.x.array.reshape(-1, 2)
        march.control.last = march.control.earlier = until / steps
        march.control.step = 2
        while not march.done:
            t.value = flow.t + until / steps
            flow.force.interpolate(force)
            march.step()
        dx = flow.dx(8)
        errors.append([fem.assemble_scalar(form(e * dx)) ** 0.5 for e in
                       (ufl.inner(flow.u - u, flow.u - u), (flow.p - p) ** 2)])  # fmt: skip
    observed = np.log2(np.array(errors[0]) / np.array(errors[1]))
    assert observed[0] > 1.8
    assert observed[1] > 1.4


def test_pulsating_pipe() -> None:
    """J. R. Womersley, J. Physiol. 127 (1955) 553-563: an oscillating pressure drives a pipe, Womersley number 4."""
    radius, length, nu, number = 0.005, 0.01, 4e-6, 4.0
    omega = nu * (number / radius) ** 2
    # pressure over density and length [m/s2]: so gentle that the head of what comes in at the ends does not count
    amplitude = 1e-3
    period = 2 * np.pi / omega
    flow = Flow(distribute(ducts.pipe(radius, length, 0.0014)), Fluid(1000.0, 1000 * nu))
    ends = [
        Outlet("first", ("inlet",), 1000 * amplitude * length, lambda t: float(np.cos(omega * t))),
        Outlet("last", ("outlet",)),
    ]
    boundary = Boundary(flow, ends)
    r, turned = np.hypot(*boundary.x[:, :2].T), number * np.exp(0.75j * np.pi)

    def exact(t: float) -> np.ndarray:
        shape = 1 - jv(0, turned * r / radius) / jv(0, turned)
        return np.real(amplitude / (1j * omega) * shape * np.exp(1j * omega * t))

    flow.u.x.array.reshape(-1, 3)[:, 2] = exact(0.0)
    flow.p.x.array[:] = amplitude * (length - flow.Q.tabulate_dof_coordinates()[:, 2])
    unsteady.run(flow, boundary, Settings(period / 2, dt=period / 48))
    found, wanted = flow.u.x.array.reshape(-1, 3), np.zeros((len(r), 3))
    wanted[:, 2] = exact(period / 2)
    assert found == pytest.approx(wanted, abs=0.08 * np.abs(wanted).max())
    through = boundary.flux_weights(boundary.facets["last"])
    assert boundary.flow_rate(through) == pytest.approx(boundary.flow_rate(through, wanted), rel=0.03)


def test_vortices_behind_a_cylinder() -> None:
    """DFG 2D-3 up to its largest drag, on a coarse mesh; V. John, Int. J. Numer. Methods Fluids 44 (2004) 777-788."""
    flow = Flow(distribute(ducts.cylinder(0.008, 0.06)), Fluid(1.0, 1e-3))
    sine = Inlet("inlet", ("inlet",), "developed", speed=1.0, history=lambda t: float(np.sin(np.pi * t / 8)))
    boundary = Boundary(flow, [sine, Wall("cylinder", ("cylinder",)), Outlet("outlet", ("outlet",))])
    forces, drag, courant, projections = Forces(flow, boundary), [], [], []

    def look(march: March) -> None:
        drag.append(20 * forces.force(boundary.facets["cylinder"])[0])
        courant.append(march.courant)
        projections.append(march.iterations[1])

    march = unsteady.run(flow, boundary, Settings(4.2, courant=2.0), each_step=look)
    assert march.flow.t == pytest.approx(4.2)
    assert max(drag) == pytest.approx(2.950921575, rel=4e-3)
    # the steps follow the Courant number that was asked for
    assert np.median(courant) == pytest.approx(2.0, rel=0.1)
    assert max(courant) < 2.0 * unsteady.OVER
    # no net flow is left, for which alone up to ten projections a step would be made
    assert march.control.lost < 1e-12 * march.control.passed
    assert np.mean(projections) < 2


def test_slip_and_eddies() -> None:
    """A uniform stream between slipping walls stays one; WALE finds no eddies in a shear flow nor in that stream."""
    flow = Flow(distribute(ducts.box((2.0, 1.0, 1.0), 0.5)), Fluid(1.0, 1e-4))
    sides = Slip("sides", ("y0", "y1", "z0", "z1"))
    boundary = Boundary(flow, [Inlet("in", ("x0",), speed=2.0), Outlet("out", ("x1",)), sides])
    flow.u.x.array.reshape(-1, 3)[:, 0] = 2.0
    unsteady.run(flow, boundary, Settings(2.0, courant=1.0, eddies="wale"))
    assert flow.t == pytest.approx(2.0)
    assert flow.u.x.array.reshape(-1, 3) == pytest.approx(np.tile([2.0, 0, 0], (len(boundary.x), 1)), abs=1e-6)


def test_eddy_viscosity_of_a_known_gradient() -> None:
    """Nicoud and Ducros 1999: for pure shear zero; for solid rotation with w, nu_t = (C D)^2 of their formula."""
    flow = Flow(distribute(ducts.box((1.0, 1.0, 1.0), 0.6)), Fluid(1.0, 1e-3))
    boundary = Boundary(flow, [Outlet("x1", ("x1",))])
    march = March(flow, boundary, Settings(1.0, dt=0.1, eddies="wale"))
    march._carrier.interpolate(lambda x: np.vstack((5 * x[1], 0 * x[0], 0 * x[0])))
    march.eddy.interpolate(march._eddies)
    assert np.abs(march.eddy.x.array).max() < 1e-12
    march._carrier.interpolate(lambda x: np.vstack((-3 * x[1], 3 * x[0], 0 * x[0])))
    march.eddy.interpolate(march._eddies)
    # g^2 = diag(-9, -9, 0), its traceless part diag(-3, -3, 6), squared 54; no strain: 54^1.5 / 54^1.25
    corners = boundary.mesh.geometry.x[boundary.mesh.geometry.dofmaps[0][:, :4]]
    volume = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 6
    expected = (unsteady.WALE * volume ** (1 / 3) / 2) ** 2 * 54**0.25
    assert march.eddy.x.array == pytest.approx(expected, rel=1e-9)


def _append(found: list[float], energy: fem.Form, march: March) -> None:
    found.append(fem.assemble_scalar(energy))


def test_energy_of_decaying_vortices() -> None:
    """Taylor and Green, Proc. R. Soc. Lond. A 158 (1937) 499-521: an eighth of their box, between its mirrors.

    Energy 1/8, which viscosity takes at 3/4 nu at first; it never grows. Without a model it goes as the smooth flow
    says; eddies too small for the mesh take more, and all the more the less viscous the fluid is.
    """

    def vortices(x: np.ndarray) -> np.ndarray:
        (a, b, c), (d, e, f) = np.sin(x), np.cos(x)
        return np.vstack((a * e * f, -d * b * f, 0 * c))

    part, histories = distribute(ducts.box((np.pi, np.pi, np.pi), np.pi / 5)), {}
    for nu, eddies in ((0.05, "none"), (1e-4, "none"), (1e-4, "wale")):
        flow = Flow(part, Fluid(1.0, nu))
        boundary = Boundary(flow, [Slip("mirrors", ("x0", "x1", "y0", "y1", "z0", "z1"))])
        flow.u.interpolate(vortices)
        energy = form(ufl.inner(flow.u, flow.u) / (2 * np.pi**3) * flow.dx(4))
        found = [fem.assemble_scalar(energy)]
        look = partial(_append, found, energy)
        unsteady.run(flow, boundary, Settings(1.5, dt=0.1, eddies=eddies), each_step=look)
        histories[nu, eddies] = np.array(found)
        assert found[0] == pytest.approx(0.125, rel=0.01)
        # the first steps throw out what is not free of divergence in the interpolated start
        assert (np.diff(found[5:]) < 0).all() and max(found) == found[0], "energy grew"
    lost = {key: 1 - e[-1] / e[0] for key, e in histories.items()}
    viscous = histories[0.05, "none"]
    assert (viscous[5] - viscous[10]) / viscous[5:10].mean() / 0.5 == pytest.approx(6 * 0.05, rel=0.1)
    assert lost[1e-4, "none"] < lost[1e-4, "wale"] < lost[0.05, "none"]


def test_two_ranks_find_the_same(tmp_path: Path) -> None:
    found = []
    for ranks in (1, 2):
        file = tmp_path / f"{ranks}.txt"
        code = f"from test_flow_unsteady import short; short({str(file)!r})"
        subprocess.run(
            ["mpiexec", "-n", str(ranks), "python", "-c", code], cwd=Path(__file__).parent, check=True, timeout=200
        )
        found.append(np.loadtxt(file))
    forces, lost, krylov = (np.array(found)[:, part] for part in (slice(3), slice(3, 5), 5))
    assert forces[1] == pytest.approx(forces[0], rel=1e-6)
    assert (lost[:, 0] < 1e-10).all() and lost[:, 1] == pytest.approx(0.01, rel=0.1)
    assert krylov[1] <= 1.07 * krylov[0], "what each rank knows of the other's cells"


def short(file: str) -> None:
    """Forces in a duct in space, steady, over time and after a restart; what is lost without a leak and with one."""
    from mpi4py import MPI

    from solvers.cfd.flow import checkpoint, oseen

    comm = MPI.COMM_WORLD
    mesh = comm.bcast(ducts.channel(0.04, 0.14) if comm.rank == 0 else None)
    flow = Flow(distribute(mesh), Fluid(1.0, 1e-3))
    cylinder = Wall("cylinder", ("cylinder",))
    boundary = Boundary(
        flow, [Inlet("inlet", ("inlet",), "developed", speed=0.2), cylinder, Outlet("outlet", ("outlet",))]
    )
    forces, values = Forces(flow, boundary), []
    krylov = oseen.Oseen(flow, boundary).solve(1e-9, lambda step, residual: None, False).krylov
    values.append(forces.force(boundary.facets["cylinder"])[0])
    march = March(flow, boundary, Settings(0.3, dt=0.1))
    folder = Path(file).with_suffix("")
    while not march.done:
        march.step()
        checkpoint.save(folder, march)
    values.append(forces.force(boundary.facets["cylinder"])[0])
    again = March(flow, boundary, Settings(0.4, dt=0.1))
    checkpoint.load(folder, again)
    again.step()
    values.append(forces.force(boundary.facets["cylinder"])[0])
    lost = [again.control.lost / again.control.passed]
    # a hundredth more through the outlet than was projected is a leak on any number of ranks
    project = again._project

    def leaks(new: np.ndarray, *more: float) -> object:
        change = project(new, *more)
        new[boundary.nodes_on(boundary.leaving)] *= 1.01
        return change

    again._project = leaks
    again.settings = Settings(0.5, dt=0.1)
    again.step()
    lost.append(again.control.lost / again.control.passed)
    if comm.rank == 0:
        np.savetxt(file, [*values, *lost, krylov])
