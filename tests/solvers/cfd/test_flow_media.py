"""Porous bodies and fans, where a flow is uniform, between plates, and on the curve of a fan."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import ducts
import gmsh
import numpy as np
import pytest
from rectangles import rectangle
from test_flow_periodic import condition, joined

from hub.meshfile import MeshFile
from hub.solver import BoundCase, StageError
from solvers.cfd.flow.boundary import Boundary, Condition, Inlet, Outlet, Slip
from solvers.cfd.flow.conditions import Fan, Porous
from solvers.cfd.flow.forces import mean_pressure
from solvers.cfd.flow.state import Flow, Fluid
from solvers.fem.mesh import distribute

# isort: split
from solvers.cfd.flow import driving, media, operating, oseen, steady, unsteady

SIDES = Slip("sides", ("left", "right"))
#: Of the fluid and of the porous layer: density, viscosity, permeability, inertial coefficient.
RHO, MU, K, C = 2.0, 0.5, 0.02, 3.0


def bound(*conditions: Any) -> BoundCase:
    """What the functions of media ask of a case: its conditions."""
    return SimpleNamespace(conditions=conditions)  # type: ignore[return-value]


def porous(bodies: str = "layer 2", inertial: float = C) -> Porous:
    return Porous.model_validate({"kind": "porous", "bodies": bodies, "permeability": K, "inertial": inertial},
                                 context={"si": True})  # fmt: skip


def fan(**given: Any) -> Fan:
    return Fan.model_validate({"kind": "fan", "bodies": "layer 2", "along": "y", **given}, context={"si": True})


def flow_in(mesh: MeshFile, conditions: list[Condition], *more: Any, degree: int = 2) -> Boundary:
    flow = Flow(distribute(mesh), Fluid(RHO, MU), degree)
    media.resist(bound(*more), flow)
    return Boundary(flow, conditions)


def layered() -> MeshFile:
    """A column of three layers, 0.3, 0.2 and 0.5 high, which a flow crosses upwards."""
    return rectangle((3, 10), (0.4, 1.0), layers=(0.3, 0.5))


@pytest.mark.parametrize("speed", [1e-3, 0.7])
def test_pressure_that_a_layer_takes(speed: float) -> None:
    """Darcy's and Forchheimer's part, exactly: the flow is uniform and the pressure falls along a line."""
    boundary = flow_in(
        layered(), [Inlet("in", ("bottom",), "uniform", speed), Outlet("out", ("top",)), SIDES], porous()
    )
    flow = boundary.flow
    steady.solve(flow, boundary)
    drop = 0.2 * (MU / K + C * RHO * speed / 2) * speed
    assert mean_pressure(flow, boundary, boundary.facets["in"]) == pytest.approx(drop, rel=1e-7)
    assert media.lost(flow)[1] * RHO == pytest.approx(drop * 0.4, rel=1e-7)


def test_between_plates_filled_with_fibres() -> None:
    """H. C. Brinkman, Appl. Sci. Res. A 1 (1949) 27-34: flat but for a layer at the walls as thick as sqrt(K)."""
    mesh = joined(rectangle((2, 40), (0.1, 1.0)), ("left", "right"))
    flow = Flow(distribute(mesh), Fluid(RHO, MU))
    media.resist(bound(porous("all", 0.0)), flow)
    conditions: list[Condition] = [condition(mesh, pressure_drop=0.3)]
    boundary = Boundary(flow, conditions)
    driving.drive(flow, conditions, {})
    steady.solve(flow, boundary)
    y, thick = boundary.x[:, 1], np.sqrt(K)
    exact = 3.0 * K / MU * (1 - np.cosh((y - 0.5) / thick) / np.cosh(0.5 / thick))
    assert flow.u.x.array.reshape(-1, 2)[:, 0] == pytest.approx(exact, abs=1e-4 * exact.max())


@pytest.mark.parametrize("tight", [1.0, 1e5])
def test_by_iterations_in_space(tight: float) -> None:
    """The same uniform flow, by FGMRES: its preconditioner knows of the resistance, however tight the upper half is."""
    with ducts.model():
        cad = gmsh.model.occ
        cad.fragment([(3, cad.addBox(0, 0, 0, 1, 1, 1))], [(3, cad.addBox(0, 0, 1, 1, 1, 1))])
        cad.synchronize()
        ducts.sized("0.35")
        mesh = ducts.meshed(3, lambda x: "in" if x[2] < 0.1 else "out" if x[2] > 1.9 else
                           "middle" if x[2] == pytest.approx(1) else "sides")  # fmt: skip
    filled = mesh.points[mesh.cells[mesh.cell_body == 1]].mean() > 0.6
    tightly = porous("body 2" if filled else "body 1").model_copy(update={"permeability": K / tight})
    boundary = flow_in(
        mesh, [Inlet("in", ("in",), "uniform", 0.7), Outlet("out", ("out",)), Slip("sides", ("sides",))], tightly
    )
    flow = boundary.flow
    found = oseen.Oseen(flow, boundary).solve(1e-10, lambda step, residual: None, False)
    drop = (tight * MU / K + C * RHO * 0.7 / 2) * 0.7
    assert mean_pressure(flow, boundary, boundary.facets["in"]) == pytest.approx(drop, rel=1e-6)
    assert found.krylov < 150


def test_over_time_it_comes_to_the_same() -> None:
    boundary = flow_in(layered(), [Inlet("in", ("bottom",), "uniform", 0.7), Outlet("out", ("top",)), SIDES], porous())
    unsteady.run(boundary.flow, boundary, unsteady.Settings(1.0, dt=0.02))
    drop = 0.2 * (MU / K + C * RHO * 0.7 / 2) * 0.7
    assert mean_pressure(boundary.flow, boundary, boundary.facets["in"]) == pytest.approx(drop, rel=1e-3)


def settled(*more: Any) -> media.Blower:
    """The fan of a column that goes on above where it began below, in its second layer, when all has settled."""
    mesh = joined(layered(), ("bottom", "top"))
    flow = Flow(distribute(mesh), Fluid(RHO, MU))
    media.resist(bound(*more), flow)
    boundary = Boundary(flow, [condition(mesh), SIDES])
    fans = media.fans(bound(*more), flow)
    operating.settle(flow, boundary, {}, fans, lambda warm: void(steady.solve(flow, boundary, warm=warm)), warm=False)
    [blower] = fans
    return blower


def void(_: Any) -> None:
    return None


def test_a_fan_against_what_resists() -> None:
    """What it gives is what the whole column takes: 1 m of filling."""
    blower = settled(porous("all"), fan(pressure_rise=12.0))
    assert (blower.depth, blower.area) == pytest.approx((0.2, 0.4))
    speed = blower.flow_rate() / 0.4
    assert (MU / K + C * RHO * speed / 2) * speed == pytest.approx(12.0, rel=1e-7)


def test_a_fan_runs_on_its_curve() -> None:
    """Where p = 20 - 30 Q meets what the filling takes."""
    curve = {"csv": "Q [m3/s], p [Pa]\n0, 20\n0.2, 14\n0.4, 8"}
    blower = settled(porous("all"), fan(curve=curve))
    flow = blower.flow_rate()
    speed = flow / 0.4
    assert blower.rise == pytest.approx(20 - 30 * flow, rel=1e-6)
    assert (MU / K + C * RHO * speed / 2) * speed == pytest.approx(blower.rise, rel=1e-6)


def test_a_fan_between_openings_sucks() -> None:
    """From one opening at rest to the other: what it gives goes into the jet and the filling."""
    boundary = flow_in(layered(), [Outlet("below", ("bottom",)), Outlet("above", ("top",)), SIDES],
                       porous("layer 3", 0.0))  # fmt: skip
    flow = boundary.flow
    (blower,) = media.fans(bound(fan(pressure_rise=5.0)), flow)
    media.blow(boundary, [blower])
    steady.solve(flow, boundary)
    speed = blower.flow_rate() / 0.4
    # what comes in at the lower opening is held back by half of its u . n, as much as its head
    head = RHO * speed**2 / 2
    assert 0.5 * MU / K * speed + head == pytest.approx(5.0, rel=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "pressure_rise or curve"),
        ({"pressure_rise": 1.0, "curve": {"csv": "Q [m3/s], p [Pa]\n0, 2\n1, 1"}}, "pressure_rise or curve"),
        ({"curve": {"csv": "Q [m3/s], p [Pa]\n0, 1\n1, 2"}}, "falls"),
        ({"curve": {"csv": "Q [m3/s], p [Pa]\n0, 1"}}, "falls"),
    ],
)
def test_fans_that_say_nothing_or_too_much(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fan(**given)


def test_bodies_that_are_not_there() -> None:
    with pytest.raises(StageError) as stopped:
        flow_in(layered(), [SIDES], porous("filter"))
    assert stopped.value.code == "not-fluid"
    assert "layer 2" in stopped.value.hint
