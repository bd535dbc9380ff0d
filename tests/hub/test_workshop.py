"""Solvers of academics: offered to their own until staff publish them; their suite runs as a job and is kept."""

from __future__ import annotations

import time

import pytest
from serving import ROOT, Hub

from hub.result import Quantity, Result


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


def test_every_case_with_known_values_is_told_with_its_sources(hub: Hub) -> None:
    there = {f.parent.name for f in (ROOT / "cases").glob("*/expected.yaml")}
    told: set[str] = set()
    with hub.http(**{"Accept-Language": "it"}) as house:
        for solver in house.get("/solvers").json():
            for case in house.get(f"/solvers/{solver['name']}/cases").json():
                told.add(case["case"])
                assert all(a["tolerance"] > 0 and len(a["source"]) > 10 and a["off"] is None for a in case["answers"])
        flow = house.get("/solvers/cfd.flow/cases").json()
    assert there <= told
    assert "Quanto si scalda" in next(case["title"] for case in flow if case["case"] == "pipe-flow")


def test_a_run_of_a_case_as_it_stands_tells_how_far_off_it_was(hub: Hub) -> None:
    caller, token = hub.member("Workshop", "Livia", "engineer")
    with hub.http(token) as http:
        case = next(t for t in http.get("/templates").json() if t["name"] == "insulated-pipe")["case"]
        run = http.post("/runs", json={"case": {**case, "title": "Ours"}}).json()["id"]
        other = http.post("/runs", json={"case": {**case, "mesh": {"size": "15 mm"}}}).json()["id"]
        version = http.get("/solvers/fem.heat").json()["version"]
        for each, value in ((run, 500.0), (other, 700.0)):
            hub.store.orchestration.advance(each, expect={"queued"}, state="done")
            folder = hub.settings.home / hub.store.within(caller).run(each).folder
            folder.mkdir(parents=True)
            found = Quantity(value=value, unit="K", error=1.0)
            result = Result(state="done", title="Ours", quantities={"bore": found}, solver={"version": version})
            (folder / "result.json").write_text(result.model_dump_json())
        pipe = next(c for c in http.get("/solvers/fem.heat/cases").json() if c["case"] == "insulated-pipe")
        bore = next(answer for answer in pipe["answers"] if answer["quantity"] == "bore")
        assert (bore["value"], bore["run"]) == (500.0, run)
        assert bore["off"] == pytest.approx(500.0 / bore["reference"] - 1)
    with hub.http() as house:  # what others have run is theirs
        pipe = next(c for c in house.get("/solvers/fem.heat/cases").json() if c["case"] == "insulated-pipe")
        assert all(answer["run"] is None for answer in pipe["answers"])


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
        known = carlo.get("/solvers/fem.heat/cases").json()
        off = {(case["case"], answer["quantity"]): answer["off"] for case in known for answer in case["answers"]}
        assert off == {(m["case"], m["quantity"]): m["off"] for m in measured}
