"""Nobody sees what another organisation has, and a role allows what it says.

The calls are taken from the OpenAPI document: a route that is added is tested from its first day.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from serving import BRACKET, Hub

from hub.api.shares import signed
from hub.store import Caller, NewRun, NewStudy

ROLES = ("engineer", "academic", "staff", "admin")


@dataclass
class Owned:
    """What an organisation has: tokens of its members; part, finished run, study, draft, link of `engineer`."""

    tokens: dict[str, str]
    file: str
    run: str
    study: str
    draft: str
    share: str
    organisation: str = ""


def own(hub: Hub, name: str) -> Owned:
    members = {role: hub.member(name, f"{name}-{role}", role) for role in ROLES}  # type: ignore[arg-type]
    tokens = {role: token for role, (_, token) in members.items()}
    with hub.http(tokens["engineer"]) as http:
        file = http.post("/files", params={"name": "bracket.step"}, content=BRACKET.read_bytes() + name.encode()).json()
        assert http.get(f"/files/{file['id']}", params={"wait": 30}).json()["overall"] == "accepted"
    run, _ = hub.store.within(members["engineer"][0]).insert_run(
        NewRun(
            key="k",
            title=f"Secret of {name}",
            solver="fem.elasticity",
            until="report",
            case={"title": f"Secret of {name}"},
            case_si={},
            geometry=file["id"].removeprefix("sha256:"),
            geometry_name="bracket.step",
        )
    )
    folder = hub.settings.runs / run.id
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"state": "done", "title": f"Secret of {name}"}))
    engineer = members["engineer"][0]
    draft = hub.store.within(engineer).new_draft({"case": {"title": f"Secret of {name}"}})
    hub.store.orchestration.advance(run.id, expect={"queued"}, state="done")
    share = hub.store.shares(engineer).share(run.id, lasts=600, files=True)
    return Owned(tokens, file["id"], run.id, study_of(hub, engineer, name), draft.id, share.id, engineer.organisation)


def study_of(hub: Hub, owner: Caller, name: str) -> str:
    """A study that has a result."""
    study, _ = hub.store.studies(owner).insert(
        NewStudy(
            key="s",
            title=f"Secret of {name}",
            solver="fem.elasticity",
            study={"title": f"Secret of {name}"},
            case={},
            geometry="0" * 64,
            geometry_name="bracket.step",
            estimate=None,
            counts={"done": 0, "other": 0, "of": 0},
        )
    )
    folder = hub.settings.home / study.folder
    folder.mkdir(parents=True)
    result = {"state": "done", "title": f"Secret of {name}", "axes": [], "points": []}
    (folder / "result.json").write_text(json.dumps(result))
    return study.id


@pytest.fixture(scope="module")
def ours(hub: Hub) -> Owned:
    return own(hub, "Ours")


@pytest.fixture(scope="module")
def theirs(hub: Hub) -> Owned:
    return own(hub, "Theirs")


@pytest.fixture(scope="module")
def calls(hub: Hub) -> list[tuple[str, str]]:
    """Every call that names something by its id."""
    with hub.http() as http:
        paths = http.get("/openapi.json").json()["paths"]
    found = [(m, p) for p, item in paths.items() for m in item if "_id}" in p]
    assert len(found) >= 10
    return [(m, p) for m, p in found if not p.startswith("/staff/")]


@pytest.fixture(scope="module")
def staff_calls(hub: Hub) -> list[tuple[str, str]]:
    """Every call that reaches beyond one organisation."""
    with hub.http() as http:
        paths = http.get("/openapi.json").json()["paths"]
    found = [(m, p) for p, item in paths.items() for m in item if p.startswith("/staff/")]
    assert len(found) >= 8
    return found


def ask(http: httpx.Client, method: str, path: str, owned: Owned) -> httpx.Response:
    filled = path.replace("{file_id}", owned.file).replace("{run_id}", owned.run).replace("{name}", "result.json")
    filled = filled.replace("{study_id}", owned.study).replace("{draft_id}", owned.draft)
    filled = filled.replace("{share_id}", owned.share).replace("{organisation_id}", owned.organisation)
    assert "{" not in filled, f"teach this test what goes into {path}"
    bodies = {"quota": {"core_hours": 1000}, "result.json": {"state": "published"}, "match": {"selections": {}}}
    body = bodies.get(filled.rsplit("/", 1)[-1], {"document": {}} if method == "put" else None)
    return http.request(method, filled, json=body)


def test_every_call_finds_ones_own(hub: Hub, calls: list[tuple[str, str]]) -> None:
    mine = own(hub, "Finders")  # of their own: some calls throw away what they find
    with hub.http(mine.tokens["admin"]) as http:
        answers = {f"{m} {p}": ask(http, m, p, mine).status_code for m, p in calls}
    assert set(answers.values()) <= {200, 201, 202, 204}, answers


def test_every_call_with_a_foreign_id_finds_nothing(
    hub: Hub, ours: Owned, theirs: Owned, calls: list[tuple[str, str]]
) -> None:
    unknown = Owned({}, "sha256:" + "0" * 64, "0" * 32, "0" * 32, "0" * 32, "0" * 32, "0" * 32)
    for role in ("engineer", "admin"):
        with hub.http(theirs.tokens[role]) as http:
            for method, path in calls:
                foreign, nothing = ask(http, method, path, ours), ask(http, method, path, unknown)
                assert foreign.status_code == 404, (method, path)
                assert foreign.content == nothing.content, "a foreign thing looks different from none"
                assert b"Secret" not in foreign.content
    with hub.http(ours.tokens["engineer"]) as http:
        assert http.get(f"/runs/{ours.run}").json()["state"] == "done"


def test_what_staff_see_is_for_staff_of_the_house_alone(
    hub: Hub, ours: Owned, staff_calls: list[tuple[str, str]]
) -> None:
    house = {role: hub.member(hub.administrator.organisation_name, f"house-{role}", role)[1] for role in ROLES}
    outside = [*ours.tokens.values(), house["engineer"], house["academic"]]
    for token in outside:
        with hub.http(token) as http:
            for method, path in staff_calls:
                assert ask(http, method, path, ours).status_code == 404, (method, path)
    for role in ("staff", "admin"):
        with hub.http(house[role]) as http:
            assert http.get(f"/runs/{ours.run}").status_code == 404, "the board opens nothing"
            for method, path in staff_calls:
                answer = ask(http, method, path, ours)
                assert answer.status_code in {200, 202, 404, 409, 422}, (method, path, answer.text)
                assert answer.status_code in {200, 202} or method != "get", (method, path, answer.text)
                for secret in (b"Secret", b"bracket.step", ours.file[7:].encode()):
                    assert secret not in answer.content, (method, path)
    with hub.http(house["staff"]) as http:
        assert {"Ours"} <= {row["organisation"] for row in http.get("/staff/runs").json()}
        assert {"share", "upload", "submit"} <= {deed["event"] for deed in http.get("/staff/audit").json()}


def test_a_link_shows_the_result_and_nothing_else(hub: Hub) -> None:
    mine = own(hub, "Sharers")
    with hub.http(mine.tokens["engineer"]) as http:
        made = http.post(f"/runs/{mine.run}/shares", json={"days": 1}).json()
        with_files = http.post(f"/runs/{mine.run}/shares", json={"days": 1, "files": True}).json()
    (hub.settings.runs / mine.run / "report.pdf").write_bytes(b"%PDF")
    (hub.settings.runs / mine.run / "pictures").mkdir()
    (hub.settings.runs / mine.run / "pictures" / "1.png").write_bytes(b"png")
    with hub.http("") as http:
        shown = http.get(f"/shared/{made['key']}").json()
        assert shown["result"]["title"] == "Secret of Sharers"
        assert shown["pictures"] == ["pictures/1.png"]
        assert shown["files"] == []
        assert set(shown["result"]) <= {"title", "state", "solver", "verdict", "quantities", "checks", "notes"}
        assert http.get(f"/shared/{made['key']}/files/pictures/1.png").content == b"png"
        for name in ("report.pdf", "result.json", "../../officina.db", "check/1/out/surface.npz"):
            assert http.get(f"/shared/{made['key']}/files/{name}").status_code == 404, name
        assert http.get(f"/shared/{with_files['key']}/files/report.pdf").content == b"%PDF"
        share, _, signature = made["key"].partition(".")
        forged = f"{with_files['id']}.{signature}"
        for key in (share, forged, f"{share}.{'0' * 40}", f"{share}.", f".{signature}", made["key"] + "0", "é" * 9):
            assert http.get(f"/shared/{key}").status_code == 404, key
        assert http.get(f"/runs/{mine.run}/result").status_code == 401
    with hub.http(mine.tokens["engineer"]) as http:
        assert http.delete(f"/runs/{mine.run}/shares/{made['id']}").status_code == 204
        assert [s["id"] for s in http.get(f"/runs/{mine.run}/shares").json()] == [with_files["id"], mine.share]
    short = hub.store.shares(hub.store.members.who(mine.tokens["engineer"])).share(mine.run, lasts=-1, files=False)  # type: ignore[arg-type]
    with hub.http("") as http:
        assert http.get(f"/shared/{made['key']}").status_code == 404, "revoked"
        assert http.get(f"/shared/{signed(hub.settings, short.id)}").status_code == 404, "expired"


def test_lists_hold_ones_own(hub: Hub, ours: Owned, theirs: Owned) -> None:
    with hub.http(theirs.tokens["admin"]) as http:
        assert [r["id"] for r in http.get("/runs").json()] == [theirs.run]
        assert [r["id"] for r in http.get("/runs", params={"before": "f" * 32}).json()] == [theirs.run]


def test_a_foreign_file_cannot_be_used(hub: Hub, ours: Owned, theirs: Owned) -> None:
    with hub.http(ours.tokens["engineer"]) as http:
        case: dict[str, Any] = next(t for t in http.get("/templates").json() if t["name"] == "bracket")["case"]
    mine = {**case, "geometry": {"file": ours.file}}
    with hub.http(ours.tokens["engineer"]) as http:
        assert http.post("/cases/check", json={"case": mine}).json()["estimate"]
    with hub.http(theirs.tokens["engineer"]) as http:  # the check above is remembered, but not for them
        checked = http.post("/cases/check", json={"case": mine}).json()
        assert [p["code"] for p in checked["problems"]] == ["unknown-file"]
        assert (checked["case"], checked["estimate"], checked["faces"]) == (None, None, {})
        assert http.post("/runs", json={"case": mine}).status_code == 422
        sneaky = {**mine, "geometry": {"file": "../files/" + ours.file.removeprefix("sha256:")}}
        assert http.post("/runs", json={"case": sneaky}).status_code == 422


def test_the_same_part_belongs_to_each_who_uploaded_it(hub: Hub, ours: Owned, theirs: Owned) -> None:
    content = BRACKET.read_bytes() + b"Ours"
    with hub.http(theirs.tokens["engineer"]) as http:
        assert http.get(f"/files/{ours.file}").status_code == 404
        assert http.post("/files", params={"name": "x.step"}, content=content).json()["id"] == ours.file
        assert http.get(f"/files/{ours.file}").json()["name"] == "x.step"
    with hub.http(ours.tokens["engineer"]) as http:
        assert http.get(f"/files/{ours.file}").json()["name"] == "bracket.step"


@pytest.mark.parametrize(
    ("role", "opens", "submits", "cancels"),
    [
        ("engineer", True, True, False),
        ("academic", True, True, False),
        ("staff", False, False, True),
        ("admin", True, True, True),
    ],
)
def test_a_role_allows_what_it_says(hub: Hub, role: str, opens: bool, submits: bool, cancels: bool) -> None:
    owned = own(hub, f"Roles {role}")
    other, _ = hub.store.within(hub.member(f"Roles {role}", "somebody else", "engineer")[0]).insert_run(
        NewRun(
            key="other",
            title="Of somebody else",
            solver="fem.elasticity",
            until="report",
            case={},
            case_si={},
            geometry="0" * 64,
            geometry_name="part.step",
        )
    )
    with hub.http(owned.tokens[role]) as http:
        assert http.get("/me").json()["role"] == role
        assert http.get(f"/runs/{owned.run}").status_code == 200
        assert http.get(f"/runs/{owned.run}/log").status_code == 200
        for path in (f"/runs/{owned.run}/case", f"/runs/{owned.run}/result", f"/runs/{owned.run}/files",
                     f"/runs/{owned.run}/files/result.json", f"/files/{owned.file}", f"/files/{owned.file}/faces.png",
                     f"/files/{owned.file}/surface"):  # fmt: skip
            assert http.get(path).status_code == (200 if opens else 403), path
        uploaded = http.post("/files", params={"name": "a.step"}, content=b"x")
        assert uploaded.status_code == (201 if submits else 403)
        assert http.post("/cases/check", json={"case": {}}).status_code == (200 if submits else 403)
        assert http.post("/runs", json={"case": {}}).status_code == (422 if submits else 403)
        assert http.post(f"/runs/{other.id}/cancel").status_code == (202 if cancels else 403)
    with hub.http(owned.tokens["engineer"]) as http:
        assert http.post(f"/runs/{owned.run}/cancel").status_code == 202  # one's own, always
