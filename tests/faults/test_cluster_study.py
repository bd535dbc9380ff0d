"""The same sweep on this machine, over a Dask cluster, and on a Slurm cluster, as an array: the numbers are equal."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ground import BEAM, beam
from one_machine import OneMachine

from hub.clusters import save
from hub.register import Register
from hub.settings import Settings
from hub.study import read
from hub.study_result import StudyResult
from hub.sweep import Sweep, open_study, walk

#: Loads of the points.
LOADS = ("-500 N", "-1100 N")


def swept(folder: Path, settings: Settings, **place: Any) -> StudyResult:
    case = beam()
    axes = [{"path": "conditions[load].value[2]", "values": list(LOADS)}]
    sweep = Sweep(folder, settings.cache)
    open_study(sweep, read({"title": "Two loads", "case": case, "sweep": axes, **place}), case, BEAM)
    return walk(sweep, settings, carries=True)


def numbers(result: StudyResult) -> list[dict[str, float]]:
    envelope = result.envelope
    assert envelope and envelope.point == len(LOADS), "everywhere most is borne under the largest load, the last"
    assert envelope.value == pytest.approx(max(p.quantities["max_von_mises"].value for p in result.points), rel=1e-6)
    assert result.state == "done", [p.failure for p in result.points]
    return [{name: found.value for name, found in point.quantities.items()} for point in result.points]


def test_a_sweep_is_the_same_by_dask_and_as_an_array_on_slurm(one_machine: OneMachine, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", ranks=2).make_home()
    cluster = one_machine.described(scratch=one_machine.folder / "scratch")
    save(settings.home, cluster)
    register = Register(settings.home, cluster.name)
    ready = threading.Event()

    def together() -> None:  # nobody carries before all are there
        with register.turn(wait=True):
            ready.set()
            while len(register.names()) < len(LOADS):
                time.sleep(0.05)

    here = numbers(swept(tmp_path / "here", settings))
    holds = threading.Thread(target=together, daemon=True)
    holds.start()
    assert ready.wait(10)
    there = numbers(swept(tmp_path / "there", settings, cluster=cluster.name))
    groups = [register.record(f.name) for f in register.jobs.iterdir()]
    assert len({r.group for r in groups}) == 1 and sorted(r.index for r in groups) == [0, 1], "one array"
    assert len(here) == len(there) == len(LOADS) and all(here)
    for one, other in zip(here, there, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-14)
    first = [next(v for k, v in point.items() if "displacement" in k) for point in here]
    assert first[1] / first[0] == pytest.approx(1100 / 500, rel=1e-6), "the points are different ones"
