"""A whole hub and a Slurm cluster: a run is moved from one partition to another and compared with what was foretold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from one_machine import OneMachine
from test_hub import Hub, until

from hub.cluster_probe import probe
from hub.clusters import save
from hub.runfolder import attempts
from hub.transport import transport


@pytest.fixture
def hub(one_machine: OneMachine, tmp_path: Path) -> Iterator[Hub]:
    """A hub that knows the two partitions as two clusters."""
    hub = Hub(tmp_path / "home")
    scratch = one_machine.folder / "scratch"
    save(hub.settings.home, one_machine.described(name="main", scratch=scratch, price=0.1, energy=0.01))
    limits = {"nodes": 1, "cores": 2, "memory": "4 GB", "time": "60 s"}
    short = one_machine.described(name="short", partition="short", scratch=scratch, limits=limits, price=0.2)
    save(hub.settings.home, short)
    hub.start()
    try:
        hub.orchestrated()
        yield hub
    finally:
        hub.stop()


def test_a_run_that_waits_is_moved_and_what_it_took_is_kept(hub: Hub, one_machine: OneMachine) -> None:
    asked = {"cluster": "main", "ranks": 2, "memory": "1 GB", "time": "60 s"}
    one_machine.ask("scontrol", "update", "partition=main", "state=down")
    try:
        run = hub.submit(resources=asked)
        name = f"{run}-solve-1"
        until(lambda: one_machine.ask("squeue", "-h", "-n", name, "-o", "%T") == "PENDING", "its turn")
        moved = hub.client.staff_retry(run, "short")
        assert moved["cluster"] == "short"
        ended = hub.ended(moved["id"])
        assert ended["state"] == "done", ended
        assert "PENDING" not in one_machine.ask("squeue", "-h", "-t", "all", "-n", name, "-o", "%T"), (
            "it left the queue"
        )
    finally:
        one_machine.ask("scontrol", "update", "partition=main", "state=up")
    solved = attempts(hub.folder(moved["id"]).folder, "solve")
    assert len(solved) == 1 and solved[0].job().cluster == "short"
    seen = next(e for e in hub.client.estimates() if e["run"] == moved["id"])
    predicted, actual = seen["predicted"], seen["actual"]
    assert predicted["cluster"] == actual["cluster"] == "short" and actual["ranks"] == 2
    assert 0 < actual["seconds"] < 60 and actual["queue"] >= 0 and actual["unknowns"] > 1000
    assert actual["cost"] == pytest.approx(0.2 * 2 * actual["seconds"] / 3600)
    again = hub.ended(hub.client.staff_retry(moved["id"])["id"])
    assert again["state"] == "done", "and once more where it was"


def test_a_description_that_promises_more_than_the_partition_has_is_told(
    one_machine: OneMachine, tmp_path: Path
) -> None:
    large = {"nodes": 3, "cores": 8, "memory": "64 GB", "time": "1 h"}
    scratch = one_machine.folder / "scratch"
    for limits, missing in ((large, True), (None, False)):
        cluster = one_machine.described(scratch=scratch, **({"limits": limits} if limits else {}))
        found = []
        for finding in probe(cluster, transport(cluster, tmp_path)):
            found.append(finding)
            if finding.what == "C compiler":  # what comes after is not about this
                break
        said = [f.said for f in found if f.what == "limits" and not f.passed]
        assert bool(said) is missing, found
        if missing:
            assert "8 cores of a node are described, there are 2" in said[0] and "3 nodes" in said[0]
