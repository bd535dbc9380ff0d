"""The answer of a run in time: its bars hold the truth, its film is whole after a kill, its frequency is counted."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from rectangles import rectangle
from test_cfd_heat import answered, bound

from hub.result import Answer
from hub.runfolder import Attempt
from hub.solver import BoundCase
from solvers.cfd.flow.unsteady import March
from solvers.fem.mesh import distribute

# isort: split
from solvers.cfd.flow import answer

HALF, NU, SPEED, SWING = 0.5, 0.1, 1e-3, 0.8
#: Of the pulse [rad/s]; the run ends after five and a quarter of them [s].
RATE, END = 2 * np.pi, 5.25
MESH = rectangle((8, 5), (4.0, 1.0))


def pulsating(step: str, **more: object) -> BoundCase:
    """A fluid of density 1 between plates 1 m apart, four apart long, whose flow swings."""
    t = np.linspace(0, 1, 41)
    rows = "".join(f"{a:.4f}, {1 + SWING * np.sin(RATE * a):.9f}\n" for a in t)
    flow = {"kind": "inlet", "on": "left", "velocity": f"{SPEED} m/s", "repeats": True,
            "history": {"csv": f"t [s], factor\n{rows}"}}  # fmt: skip
    return bound(
        [flow, {"kind": "outlet", "on": "right"}],
        domain={"kind": "plane", "face": "left"},
        parameters={"regime": "unsteady", "end_time": f"{END} s", "average_from": "1.2 s", "time_step": step, **more},
        quantities=[
            {"name": "middle", "kind": "velocity", "at": ["3 m", "0.5 m", "0"], "component": "x"},
            {"name": "drop", "kind": "pressure_drop", "at": ["2.2 m", "0.5 m", "0"], "to": ["3.2 m", "0.5 m", "0"]},
            {"name": "beat", "kind": "frequency", "on": "bottom", "component": "x"},
        ],
    )


def truth() -> dict[str, float]:
    """J. R. Womersley's solution between plates: L. D. Landau, E. M. Lifshitz, Fluid Mechanics, par. 24."""
    k = HALF * np.sqrt(1j * RATE / NU)
    F = 1 - np.tanh(k) / k
    t = END + np.linspace(-2 * np.pi / RATE, 0, 4001)
    swing = -1j * SWING * SPEED * np.exp(1j * RATE * t)
    middle = 1.5 * SPEED + np.real(swing * (1 - 1 / np.cosh(k)) / F)
    drop = 3 * NU * SPEED / HALF**2 + np.real(1j * RATE * swing / F)
    found = {"beat": RATE / (2 * np.pi)}
    for name, values in (("middle", middle), ("drop", drop)):
        found |= {name: values[-1], f"{name}_max": values.max(), f"{name}_min": values.min()}
    return found


def test_bars_hold_the_truth_and_are_not_idle(tmp_path: Path) -> None:
    known, ratios = truth(), []
    found = answered(pulsating("25 ms"), MESH, tmp_path).quantities
    for name, value in known.items():
        q = found[name]
        assert q.error is not None and abs(q.value - value) <= q.error, (name, q.value, q.error, value)
        assert q.error < 0.01 * max(known["drop_max"] if "drop" in name else 0.0, abs(value), known["middle_max"]), name
        ratios.append(abs(q.value - value) / q.error)
    assert np.median(ratios) > 0.1


def test_what_flows_in_flows_out_and_a_leak_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case, found = pulsating("25 ms", error_bars=False, end_time="0.75 s", average_from="0 s"), {}
    project = March._project

    def leaks(march: March, new: np.ndarray, *more: float) -> object:
        change = project(march, new, *more)
        new[march.boundary.nodes_on(march.boundary.leaving)] *= 1.01
        return change

    for name in ("tight", "leaking"):
        (tmp_path / name).mkdir()
        found[name] = answered(case, MESH, tmp_path / name)
        monkeypatch.setattr(March, "_project", leaks)
    tight, leaking = ({check.name: check for check in a.checks}["mass_balance"] for a in found.values())
    assert tight.passed and tight.value < 1e-6
    assert not leaking.passed and leaking.value == pytest.approx(0.01, rel=0.1)
    # what leaves is computed, and no more exact than anything else
    out, t = found["tight"].quantities, np.linspace(0, 0.75, 31)
    assert out["flow_1"].error_method == "as given" != out["flow_2"].error_method
    assert out["flow_2_max"].value == pytest.approx((SPEED * (1 + SWING * np.sin(RATE * t))).max(), rel=1e-3)


def test_a_killed_run_has_the_film_of_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = pulsating("25 ms", error_bars=False)
    folders = [tmp_path / name for name in ("whole", "killed", "again")]
    for folder in folders:
        folder.mkdir()
    whole = answered(case, MESH, folders[0])
    took = March.step

    def dies(march: March) -> None:
        if march.control.step == 130:
            raise KeyboardInterrupt
        took(march)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(March, "step", dies)
        answered(case, MESH, folders[1])
    shutil.copytree(folders[1] / "checkpoint", folders[2] / "in" / "checkpoint")
    (folders[2] / "out").mkdir()
    found = answer.make(case, distribute(MESH), Attempt(folders[2]))
    assert isinstance(found, Answer)
    for name, q in whole.quantities.items():
        assert found.quantities[name].value == pytest.approx(q.value, rel=1e-10, abs=1e-14), name
    assert "motion" in [view.name for view in found.views]
    with h5py.File(folders[0] / "out" / "moving.vtkhdf") as a, h5py.File(folders[2] / "out" / "moving.vtkhdf") as b:
        times, again = (file["VTKHDF/Steps/Values"][:] for file in (a, b))
        assert len(times) == 61 and times[-1] == pytest.approx(END) and again == pytest.approx(times)
        speeds = a["VTKHDF/PointData/velocity"][:]
        assert np.abs(b["VTKHDF/PointData/velocity"][:] - speeds).max() < 1e-6 * np.abs(speeds).max()
        # the last frame is the end of the run: what the probe says is in it
        points = a["VTKHDF/Points"][:]
        at = int(np.argmin(np.linalg.norm(points - [3.0, 0.5, 0.0], axis=1)))
        assert np.linalg.norm(points[at] - [3.0, 0.5, 0.0]) < 1e-6
        last = int(a["VTKHDF/Steps/PointDataOffsets/velocity"][-1])
        assert speeds[last + at, 0] == pytest.approx(whole.quantities["middle"].value, rel=1e-5)
    # nothing of it is left to be carried along
    assert not list((folders[0] / "checkpoint").glob("frame*"))
