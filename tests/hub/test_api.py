"""The REST API over real HTTP, with the real intake and the real solver behind it."""

from __future__ import annotations

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from serving import BRACKET, Hub

from hub.api import create
from hub.problem import Problem
from hub.runfolder import Attempt, Job, sha256

#: Calls that need no token.
OPEN = {("get", "/health"), ("get", "/login"), ("get", "/shared/{key}"), ("get", "/shared/{key}/files/{name}")}
#: Calls that say all in their address.
BARE = {"/runs/{run_id}/cancel", "/runs/{run_id}/bring", "/studies/{study_id}/cancel", "/studies/{study_id}/retry",
        "/clusters/{name}/check", "/clusters/{name}/login", "/logout", "/staff/runs/{run_id}/cancel",
        "/solvers/{name}/proofs", "/solvers/{name}/proposal", "/staff/runs/{run_id}/retry",
        "/runs/{run_id}/shares"}  # fmt: skip


@pytest.fixture(scope="module")
def bracket(hub: Hub) -> dict[str, Any]:
    """The bracket's case with its geometry uploaded and checked."""
    with hub.http() as http:
        answer = http.post("/files", params={"name": "bracket.step"}, content=BRACKET.read_bytes())
        assert answer.status_code == 201, answer.text
        checked = http.get(f"/files/{answer.json()['id']}", params={"wait": 30}).json()
        assert checked["state"] == "checked"
        template = next(t for t in http.get("/templates").json() if t["name"] == "bracket")
    assert template["geometry"] == answer.json()["id"]
    case: dict[str, Any] = template["case"]
    return case


def problems(answer: httpx.Response) -> list[Problem]:
    """The problems of an error, each complete."""
    assert set(answer.json()) == {"problems"}
    found = [Problem.model_validate(p) for p in answer.json()["problems"]]
    assert found
    assert all(p.where and p.found and p.expected for p in found)
    assert "Traceback" not in answer.text
    return found


# --- the document ---------------------------------------------------------------------------------------------


def test_the_document_says_what_each_call_takes_and_answers(hub: Hub) -> None:
    with hub.http("") as http:
        document = http.get("/openapi.json").json()
    called = {(m, p) for p, item in document["paths"].items() for m in item}
    table = (
        "get /health,get /me,get /login,get /solvers,get /solvers/{name},get /solvers/{name}/cases,get /materials,"
        "get /templates,get /schema,"
        "post /files,get /files/{file_id},get /files/{file_id}/faces.png,get /files/{file_id}/surface,"
        "post /files/{file_id}/match,"
        "post /cases/check,post /runs,get /runs,get /runs/{run_id},get /runs/{run_id}/case,get /runs/{run_id}/log,"
        "get /drafts,post /drafts,get /drafts/{draft_id},put /drafts/{draft_id},delete /drafts/{draft_id},"
        "get /runs/{run_id}/history,get /runs/{run_id}/away,post /runs/{run_id}/bring,"
        "post /logout,get /wishes,put /wishes,get /tokens,post /tokens,delete /tokens/{token},"
        "get /members,post /members,delete /members/{user},"
        "get /runs/{run_id}/shares,post /runs/{run_id}/shares,delete /runs/{run_id}/shares/{share_id},"
        "get /shared/{key},get /shared/{key}/files/{name},"
        "get /publications,get /solvers/{name}/proofs,post /solvers/{name}/proofs,post /solvers/{name}/proposal,"
        "put /staff/solvers/{name},get /staff/runs,post /staff/runs/{run_id}/cancel,post /staff/runs/{run_id}/retry,"
        "get /staff/organisations,put /staff/organisations/{organisation_id}/quota,get /staff/disks,get /staff/audit,"
        "get /staff/notices,"
        "post /studies,get /studies,get /studies/{study_id},get /studies/{study_id}/case,"
        "get /studies/{study_id}/result,"
        "post /studies/{study_id}/cancel,post /studies/{study_id}/retry,"
        "get /studies/{study_id}/files,get /studies/{study_id}/files/{name},"
        "get /clusters,put /clusters/{name},delete /clusters/{name},post /clusters/{name}/check,"
        "get /clusters/{name}/login,post /clusters/{name}/login,put /clusters/{name}/login,post /places,get /estimates,"
        "post /runs/{run_id}/cancel,get /runs/{run_id}/result,get /runs/{run_id}/files,get /runs/{run_id}/files/{name}"
    )
    assert called == {tuple(call.split()) for call in table.split(",")}
    for method, path in called:
        operation = document["paths"][path][method]
        assert operation.get("description"), path
        assert {"400", "401", "403", "404", "409", "413", "422", "507"} <= set(operation["responses"]), path
        refs = [r["content"]["application/json"]["schema"] for c, r in operation["responses"].items() if c >= "400"]
        assert refs == [{"$ref": "#/components/schemas/Problems"}] * len(refs), path
        assert bool(operation.get("security")) == ((method, path) not in OPEN), path
        if method == "post" and path not in BARE:
            assert operation["requestBody"]["required"], path


def test_every_call_but_two_wants_a_token(hub: Hub) -> None:
    with hub.http("") as http:
        document = http.get("/openapi.json").json()
        for path, item in document["paths"].items():
            for method in item:
                if (method, path) in OPEN:
                    continue
                filled = path.replace("{name}", "x").replace("{run_id}", "x").replace("{file_id}", "sha256:x")
                answer = http.request(method, filled, params={"name": "a.step"})
                assert answer.status_code == 401, path
                assert answer.headers["www-authenticate"] == "Bearer"
                problems(answer)


def test_health_is_open_and_tells_of_orchestration(hub: Hub) -> None:
    with hub.http("") as http:
        hub.settings.heartbeat.unlink(missing_ok=True)
        assert http.get("/health").json()["orchestration"] == "away"
        hub.settings.heartbeat.touch()
        assert http.get("/health").json() | {"version": ""} == {"ok": True, "version": "", "orchestration": "ok"}


def test_errors_are_problems_whatever_goes_wrong(hub: Hub) -> None:
    with hub.http() as http:
        for method, path, status in (
            ("GET", "/nothing", 404),
            ("PUT", "/runs", 405),
            ("GET", "/runs?limit=many", 422),
            ("GET", "/runs?state=lost", 422),
            ("GET", "/solvers/fem.magic", 404),
            ("POST", "/files", 422),
        ):
            answer = http.request(method, path)
            assert answer.status_code == status, path
            problems(answer)


def test_an_error_of_the_hub_has_a_number_and_no_traceback(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret is swordfish")  # no hexadecimal digits: the error's number is made of them

    monkeypatch.setattr(hub.store.members, "who", broken)
    with hub.http() as http:
        answer = http.get("/me")
    assert answer.status_code == 500
    [problem] = problems(answer)
    assert "swordfish" not in answer.text
    number = problem.found.split()[-1]
    assert any(number in record.message and record.exc_info for record in caplog.records)


# --- catalogues -----------------------------------------------------------------------------------------------


def test_the_catalogues_are_complete(hub: Hub) -> None:
    with hub.http() as http:
        solvers = http.get("/solvers").json()
        assert "fem.elasticity" in [s["name"] for s in solvers]
        assert http.get("/solvers/fem.elasticity").json()["conditions"]
        steel = http.get("/materials").json()["steel-s235jr"]
        assert steel["youngs_modulus"] == 210e9  # EN 1993-1-1:2005, 3.2.6
        assert steel["source"]
        assert http.get("/schema").json()["properties"]["geometry"]
        assert http.get("/me").json()["role"] == "admin"


# --- files ----------------------------------------------------------------------------------------------------


def test_the_same_content_is_the_same_file(hub: Hub, bracket: dict[str, Any]) -> None:
    content = BRACKET.read_bytes()
    with hub.http() as http:
        second = http.post("/files", params={"name": "copy.step"}, content=content).json()
    assert second["id"] == bracket["geometry"]["file"] == f"sha256:{sha256(BRACKET)}"
    assert second["bytes"] == len(content)
    stored = hub.settings.files / second["id"].removeprefix("sha256:")
    assert stored.read_bytes() == content
    assert stored.stat().st_mode & 0o222 == 0
    assert not list(hub.settings.files.glob(".*"))


def test_the_verdict_speaks_of_the_part(hub: Hub, bracket: dict[str, Any]) -> None:
    address = f"/files/{bracket['geometry']['file']}"
    with hub.http() as http:
        found = http.get(address).json()
        assert found["overall"] == "accepted"
        assert len(found["verdict"]["bodies"]) == 1
        metres = http.get(address, params={"unit": "m", "wait": 30}).json()
        ratio = np.divide(metres["verdict"]["size"], found["verdict"]["size"])
        assert np.allclose(ratio, 1000)  # the file is in mm
        assert http.get(address, params={"unit": "parsec"}).status_code == 422


def test_a_part_is_shown_with_its_faces(hub: Hub, bracket: dict[str, Any]) -> None:
    address = f"/files/{bracket['geometry']['file']}"
    with hub.http() as http:
        picture = http.get(address + "/faces.png")
        assert picture.status_code == 200, picture.text
        assert picture.content.startswith(b"\x89PNG\r\n")
        with np.load(io.BytesIO(http.get(address + "/surface").content), allow_pickle=False) as surface:
            faces = len(http.get(address).json()["verdict"]["faces"])
            assert set(np.unique(surface["face"])) == set(range(faces))


def test_picked_faces_are_matched_on_a_file_and_bad_ones_are_said(hub: Hub, bracket: dict[str, Any]) -> None:
    client, file = hub.client(), bracket["geometry"]["file"]
    faces = client.file(file, wait=30)["verdict"]["faces"]
    picked = {"type": faces[34]["type"], "area": f"{faces[34]['area']} m2", "radius": f"{faces[34]['radius']} m",
              "centroid": [f"{c} m" for c in faces[34]["centroid"]]}  # fmt: skip
    found = client.match(file, {"pin": {"faces": [picked]}, "top": {"extreme": "z"}})
    assert [m["found"] for m in found["pin"]] == [34] and found["pin"][0]["like"] < 0.1
    assert [m["number"] for m in found["top"]] == [None]
    with hub.http() as http:
        bare = {"selections": {"pin": {"faces": [{**picked, "area": 3.0}]}}}
        answer = http.post(f"/files/{file}/match", json=bare)
        assert answer.status_code == 422 and "area" in problems(answer)[0].where
        assert http.post("/files/sha256:" + 64 * "0" + "/match", json={"selections": {}}).status_code == 404


def test_what_is_no_part_is_refused_in_words_and_has_no_picture(hub: Hub) -> None:
    with hub.http() as http:
        made = http.post("/files", params={"name": "part.step"}, content=b'SystemCall "touch canary";').json()
        found = http.get(f"/files/{made['id']}", params={"wait": 30}).json()
        assert found["overall"] == "refused"
        assert found["verdict"]["problems"][0]["found"]
        assert http.get(f"/files/{made['id']}/faces.png").status_code == 404


# --- cases and runs -------------------------------------------------------------------------------------------


def test_a_case_is_checked_with_its_geometry(hub: Hub, bracket: dict[str, Any]) -> None:
    load = {"kind": "force", "on": "pin hole", "value": {"magnitude": "2,5 kN", "direction": "-z"}}
    conditions = [load if c["kind"] == "force" else c for c in bracket["conditions"]]
    with hub.http() as http:
        checked = http.post("/cases/check", json={"case": {**bracket, "conditions": conditions}}).json()
        assert [p for p in checked["problems"] if p["severity"] != "warning"] == []
        assert len(checked["faces"]["bolt holes"]) == 4
        assert checked["estimate"]["unknowns"] > 1000
        force = next(c for c in checked["case"]["conditions"] if c["kind"] == "force")
        assert force["value"] == [0, 0, -2500]
        none = http.post("/cases/check", json={"case": {**bracket, "conditions": []}}).json()
        assert none["case"] is None
        assert none["problems"]


def test_a_case_may_come_as_text(hub: Hub, bracket: dict[str, Any]) -> None:
    text = (BRACKET.parent / "case.yaml").read_text()  # names the template's file plainly
    with hub.http() as http:
        as_text = http.post("/cases/check", json={"case": text}).json()
        as_data = http.post("/cases/check", json={"case": bracket}).json()
    assert as_text == as_data


def test_a_case_is_run_once_and_the_second_answer_is_quick(hub: Hub, bracket: dict[str, Any]) -> None:
    with hub.http() as http:
        first = http.post("/runs", json={"case": bracket})
        assert first.status_code == 201, first.text
        began = time.monotonic()
        second = http.post("/runs", json={"case": bracket})
        assert time.monotonic() - began < 1.0
        assert second.status_code == 200
        assert second.json() == first.json()
        run = first.json()
        assert (run["state"], run["stage"], run["solver"]) == ("queued", None, "fem.elasticity")
        assert http.get(f"/runs/{run['id']}").json() == run
        assert http.get(f"/runs/{run['id']}/case").json() == bracket
        other = http.post("/runs", json={"case": bracket, "until": "mesh"})
        assert other.status_code == 201
        assert other.json()["until"] == "mesh"
        harder = {**bracket, "title": "Something else"}
        assert http.post("/runs", json={"case": harder}).json()["id"] not in {run["id"], other.json()["id"]}
        listed = [r["id"] for r in http.get("/runs").json()]
        assert listed == sorted(listed, reverse=True)
        assert [r["id"] for r in http.get("/runs", params={"before": other.json()["id"]}).json()] == [run["id"]]
        assert http.get("/runs", params={"state": "done"}).json() == []
    messages = hub.store.orchestration.due(limit=100)
    assert run["id"] in {m.run for m in messages}


def test_32_submissions_at_once_are_one_run(hub: Hub, bracket: dict[str, Any]) -> None:
    case = {**bracket, "title": "Thirty-two at once"}
    with hub.http() as http, ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: http.post("/runs", json={"case": case}), range(32)))
    assert sorted(a.status_code for a in answers) == [200] * 31 + [201]
    assert len({a.json()["id"] for a in answers}) == 1


def test_a_case_that_is_not_ready_is_not_run(hub: Hub, bracket: dict[str, Any]) -> None:
    with hub.http() as http:
        before = len(http.get("/runs").json())
        nowhere = {**bracket, "selections": {**bracket["selections"], "pin hole": {"radius": "99 mm"}}}
        answer = http.post("/runs", json={"case": nowhere})
        assert answer.status_code == 422
        assert any(p.where.startswith("selections") for p in problems(answer))
        lost = {**bracket, "geometry": {"file": "sha256:" + "0" * 64}}
        answer = http.post("/runs", json={"case": lost})
        assert answer.status_code == 422
        assert [p.code for p in problems(answer)] == ["unknown-file"]
        assert len(http.get("/runs").json()) == before


def test_cancelling_waits_for_reality(hub: Hub, bracket: dict[str, Any]) -> None:
    with hub.http() as http:
        run = http.post("/runs", json={"case": {**bracket, "title": "To be cancelled"}}).json()
        answer = http.post(f"/runs/{run['id']}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
        assert http.get("/runs", params={"state": "active"}).json()[0]["id"] == run["id"]
        hub.store.orchestration.advance(run["id"], expect={"cancelling"}, state="cancelled")
        assert http.post(f"/runs/{run['id']}/cancel").json()["state"] == "cancelled"
        anew = http.post("/runs", json={"case": {**bracket, "title": "To be cancelled"}})
        assert anew.status_code == 201


# --- results --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(hub: Hub, bracket: dict[str, Any]) -> str:
    """The id of a run whose folder holds what stages and pipeline leave there."""
    with hub.http() as http:
        run = http.post("/runs", json={"case": {**bracket, "title": "Finished"}}).json()
    folder = hub.settings.runs / run["id"]
    mesh = Attempt.create(folder / "mesh" / "1", {}, {}, Job(name=f"{run['id']}-mesh-1", argv=("true",)))
    (mesh.out / "mesh.png").write_bytes(b"\x89PNG mesh")
    mesh.log.write_text("meshing\n")
    mesh.finish()
    (folder / "pictures").mkdir()
    (folder / "pictures" / "stress.png").write_bytes(b"\x89PNG stress")
    (folder / "report.pdf").write_bytes(b"%PDF-1.7 report")
    (folder / "notes.txt").write_text("not for download")
    (folder / "result.json").write_text(json.dumps({"state": "done", "title": "Finished"}))
    hub.store.orchestration.advance(run["id"], expect={"queued"}, state="done", stage="report")
    return str(run["id"])


def test_results_are_listed_and_sent_as_attachments(hub: Hub, finished: str) -> None:
    with hub.http() as http:
        assert http.get(f"/runs/{finished}/result").json()["title"] == "Finished"
        names = http.get(f"/runs/{finished}/files").json()
        assert names == ["mesh/1/out/mesh.png", "pictures/stress.png", "report.pdf", "result.json"]
        for name in names:
            answer = http.get(f"/runs/{finished}/files/{name}")
            assert answer.content == (hub.settings.runs / finished / name).read_bytes()
            assert answer.headers["content-disposition"].startswith("attachment")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert http.get(f"/runs/{finished}/log").text == "meshing\n"
        assert http.get(f"/runs/{finished}/log", params={"stage": "solve"}).text == ""
        assert http.get(f"/runs/{finished}/log", params={"stage": "../.."}).status_code == 422


def test_there_is_no_result_before_its_time(hub: Hub, bracket: dict[str, Any]) -> None:
    with hub.http() as http:
        run = http.post("/runs", json={"case": {**bracket, "title": "Not yet"}}).json()
        answer = http.get(f"/runs/{run['id']}/result")
        assert answer.status_code == 409
        assert problems(answer)[0].code == "not-yet"
        assert http.get(f"/runs/{run['id']}/files").json() == []


def test_progress_is_read_from_the_attempt(hub: Hub, bracket: dict[str, Any]) -> None:
    with hub.http() as http:
        run = http.post("/runs", json={"case": {**bracket, "title": "Under way"}}).json()
        folder = hub.settings.runs / run["id"] / "solve" / "1"
        attempt = Attempt.create(folder, {}, {}, Job(name=f"{run['id']}-solve-1", argv=("true",)))
        attempt.write_status(3, 10, "solving", residual=1e-3)
        hub.store.orchestration.advance(run["id"], expect={"queued"}, state="running", stage="solve")
        found = http.get(f"/runs/{run['id']}").json()
    assert found["status"] == {"step": 3, "of": 10, "doing": "solving", "values": {"residual": 1e-3}}
    assert found["times"]["started"] >= found["times"]["created"]


def test_who_did_what_is_written_down(hub: Hub, finished: str) -> None:
    with hub.http() as http:
        http.get(f"/runs/{finished}/files/report.pdf")
    events = hub.store.within(hub.administrator).events(1000)
    assert {"upload", "submit", "cancel", "download"} <= {e.event for e in events}
    assert any(e.event == "download" and e.subject == f"{finished} report.pdf" for e in events)


# --- logging in -----------------------------------------------------------------------------------------------


def test_a_browser_logs_in_once_and_carries_a_cookie(hub: Hub) -> None:
    from hub.access import login_path

    origin = hub.url.removesuffix("/api/v1")
    with httpx.Client(base_url=origin, trust_env=False) as browser:
        path = login_path(hub.settings, hub.store)
        answer = browser.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert browser.get("/api/v1/me").status_code == 200
        assert httpx.get(origin + path, trust_env=False).status_code == 401
        assert browser.post("/api/v1/files?name=a.step", content=b"x").status_code == 403
        for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            answer = browser.post("/api/v1/files?name=a.step", content=b"x", headers=headers)
            assert answer.status_code == 403, headers
            problems(answer)
        own = browser.post("/api/v1/files?name=a.step", content=b"x", headers={"origin": origin})
        assert own.status_code == 201
    events = hub.store.within(hub.administrator).events(1000)
    assert "log-in" in {e.event for e in events}


def test_a_name_that_points_here_from_elsewhere_is_refused(hub: Hub) -> None:
    with hub.http() as http:
        for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""):
            answer = http.get("/health", headers={"host": host})
            assert answer.status_code == 400, host
        for host in ("localhost:9", "LOCALHOST", "[::1]:8080", "127.0.0.1"):
            assert http.get("/health", headers={"host": host}).status_code == 200, host


def test_an_api_can_be_made_twice_over_one_home(hub: Hub, tmp_path: Path) -> None:
    create(hub.settings)
    assert hub.settings.token_file.read_text().strip() == hub.token
