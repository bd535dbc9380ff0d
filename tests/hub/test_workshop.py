"""Solvers of academics: offered to their own until staff publish them; their suite runs as a job and is kept."""

from __future__ import annotations

import time

import pytest
from serving import Hub


def test_a_solver_that_is_not_published_is_for_its_authors_alone(hub: Hub) -> None:
    authors, author = hub.member("University", "Ada", "academic")
    _, client = hub.member("Company", "Carlo", "engineer")
    with hub.http() as house, hub.http(author) as ada, hub.http(client) as carlo:
        names = {s["name"] for s in carlo.get("/solvers").json()}
        assert "fem.heat" in names
        case = next(t for t in carlo.get("/templates").json() if t["name"] == "insulated-pipe")["case"]
        assert carlo.post("/cases/check", json={"case": case}).json()["estimate"]
        body = {"state": "private", "organisation": authors.organisation}
        assert house.put("/staff/solvers/fem.heat", json=body).status_code == 200
        assert {s["name"] for s in carlo.get("/solvers").json()} == names - {"fem.heat"}
        assert carlo.get("/solvers/fem.heat").status_code == 404
        assert carlo.get("/solvers/fem.heat/proofs").status_code == 404
        found = carlo.post("/cases/check", json={"case": case}).json()
        assert (found["estimate"], found["problems"][0]["where"]) == (None, "solver")
        assert carlo.post("/runs", json={"case": case}).status_code == 422
        assert ada.post("/cases/check", json={"case": case}).json()["estimate"]
        assert next(p for p in ada.get("/publications").json() if p["solver"] == "fem.heat") == {
            "solver": "fem.heat", "state": "private", "mine": True, "organisation": None,
        }  # fmt: skip
        unproven = ada.post("/solvers/fem.heat/proposal")
        assert (unproven.status_code, unproven.json()["problems"][0]["code"]) == (409, "not-proven")
        assert carlo.post("/solvers/fem.heat/proposal").status_code == 403
        assert house.put("/staff/solvers/fem.heat", json={"state": "published"}).status_code == 200
        assert {s["name"] for s in carlo.get("/solvers").json()} == names
        assert house.put("/staff/solvers/no.such", json=body).status_code == 404


def test_a_suite_runs_as_a_job_and_its_findings_are_for_all_who_see_the_solver(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFICINA_HOME", str(hub.settings.home))  # as `officina up` has it
    authors, author = hub.member("University", "Ada", "academic")
    _, client = hub.member("Company", "Carlo", "engineer")
    with hub.http() as house, hub.http(author) as ada, hub.http(client) as carlo:
        assert carlo.post("/solvers/fem.heat/proofs").status_code == 403
        body = {"state": "private", "organisation": authors.organisation}
        assert house.put("/staff/solvers/fem.heat", json=body).status_code == 200
        begun = ada.post("/solvers/fem.heat/proofs").json()
        assert begun["state"] == "running"
        assert ada.post("/solvers/fem.heat/proofs").json()["id"] == begun["id"], "one at a time"
        end = time.monotonic() + 400
        while (now := ada.get("/solvers/fem.heat/proofs").json()[0])["state"] == "running":
            assert time.monotonic() < end, now
            time.sleep(0.5)
        assert now["state"] == "passed", now
        measured = [f["measured"] for f in now["findings"] if f["measured"]]
        assert measured
        assert all(m["off"] <= m["tolerance"] and len(m["source"]) > 10 for m in measured)
        assert not (hub.settings.home / "proofs" / "runs" / now["id"] / "1" / "work").exists()
        assert ada.post("/solvers/fem.heat/proposal").json()["state"] == "proposed"
        assert carlo.get("/solvers/fem.heat/proofs").status_code == 404
        house.put("/staff/solvers/fem.heat", json={"state": "published"})
        assert carlo.get("/solvers/fem.heat/proofs").json()[0]["id"] == now["id"]
