"""A run that was killed goes on to the same answer; what people see while it runs; how it stops."""

from __future__ import annotations

import json
from pathlib import Path

import ducts
import numpy as np
import pytest

from hub.meshfile import MeshFile
from hub.runfolder import Attempt
from hub.solver import StageError
from solvers.cfd.flow.boundary import Boundary, Inlet, Outlet, Wall
from solvers.cfd.flow.checkpoint import load, save
from solvers.cfd.flow.forces import Forces
from solvers.cfd.flow.monitor import Monitor
from solvers.cfd.flow.state import Flow, Fluid
from solvers.cfd.flow.unsteady import March, Settings
from solvers.fem.mesh import distribute


@pytest.fixture(scope="module")
def mesh() -> MeshFile:
    return ducts.cylinder(0.02, 0.08)


def march(mesh: MeshFile, settings: Settings) -> March:
    flow = Flow(distribute(mesh), Fluid(1.0, 1e-3))
    inlet = Inlet("inlet", ("inlet",), "developed", speed=1.0, history=lambda t: float(np.sin(np.pi * t / 8)))
    cylinder = Wall("cylinder", ("cylinder",))
    return March(flow, Boundary(flow, [inlet, cylinder, Outlet("outlet", ("outlet",))]), settings)


def test_goes_on_to_the_same_digits(mesh: MeshFile, tmp_path: Path) -> None:
    settings = Settings(until=0.4, courant=1.5)
    whole = march(mesh, settings)
    while not whole.done:
        whole.step()
        if whole.control.step == 12:
            save(tmp_path, whole, data={"seen": [0.1, 1 / 3]})
    again = march(mesh, settings)
    assert load(tmp_path, again) == {"seen": [0.1, 1 / 3]}
    assert again.control.step == 12
    while not again.done:
        again.step()
    assert again.control == whole.control
    scale = np.abs(whole.flow.u.x.array).max()
    assert np.abs(again.flow.u.x.array - whole.flow.u.x.array).max() < 1e-10 * scale
    force = [Forces(m.flow, m.boundary).force(m.boundary.facets["cylinder"]) for m in (whole, again)]
    assert force[1] == pytest.approx(force[0], rel=1e-10)


def test_refuses_the_checkpoint_of_another_mesh(mesh: MeshFile, tmp_path: Path) -> None:
    first = march(mesh, Settings(until=1.0, dt=0.01))
    assert load(tmp_path, first) is None
    first.step()
    save(tmp_path, first)
    with pytest.raises(StageError, match="another mesh"):
        load(tmp_path, march(ducts.cylinder(0.03, 0.08), Settings(until=1.0, dt=0.01)))


def test_says_where_and_when_it_diverged(mesh: MeshFile) -> None:
    flow = Flow(distribute(mesh), Fluid(1.0, 1e-3))
    # a jump of the inlet to what no step can follow
    inlet = Inlet("inlet", ("inlet",), "uniform", speed=1.0, history=lambda t: 1.0 if t < 0.025 else float("nan"))
    m = March(flow, Boundary(flow, [inlet, Outlet("outlet", ("outlet",))]), Settings(until=1.0, dt=0.01))
    m.step()
    m.step()
    with pytest.raises(StageError, match=r"At t = 0.02 s with steps of 0.01 s, .* m/s near \(") as caught:
        m.step()
    assert caught.value.code == "diverged"
    assert m.flow.t == pytest.approx(0.02)
    assert np.isfinite(m.flow.u.x.array).all()


def test_is_watched(mesh: MeshFile, tmp_path: Path) -> None:
    attempt = Attempt(tmp_path)
    m = march(mesh, Settings(until=0.1, dt=0.01))
    monitor = Monitor(attempt, m.boundary)
    while not m.done:
        m.step()
        monitor.step(m, {"drag": 1.0})
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["time"] for line in lines] == pytest.approx([0.01 * (i + 1) for i in range(10)])
    assert max(line["mass_balance"] for line in lines) < 1e-6
    assert attempt.status().values["courant"] == lines[-1]["courant"] > 0
