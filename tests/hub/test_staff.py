"""Quotas hold at a rush; the board says where a run stands; retry, people and their keys."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
from serving import Hub
from typer.testing import CliRunner

from hub.board import column, diverges, newest
from hub.cli import app
from hub.problem import Refused
from hub.runfolder import Attempt, Job
from hub.settings import Settings
from hub.store import NewRun, QuotaReached, Run, open_store


def question(key: str, hours: float = 1.0) -> NewRun:
    return NewRun(
        key=key, title="T", solver="fem.elasticity", until="report", case={}, case_si={}, geometry="0" * 64,
        geometry_name="part.step", estimate={"seconds": 3600 * hours, "ranks": 1, "unknowns": 10},
    )  # fmt: skip


def test_of_sixteen_at_once_a_quota_of_four_lets_four_through(tmp_path: Path) -> None:
    store = open_store(Settings(home=tmp_path))
    boss = store.members.first("House", "Boss")
    clients = store.members.add("Clients", "engineer", "engineer")
    house, tenant = store.house(boss), store.within(clients)
    house.set_quota(clients.organisation, 4.0)
    start, made, refused = threading.Barrier(16), list[Run](), list[QuotaReached]()

    def ask(i: int) -> None:
        start.wait()
        try:
            made.append(tenant.insert_run(question(str(i)))[0])
        except QuotaReached as reached:
            refused.append(reached)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (4, 12)
    assert (refused[0].asked, refused[0].left, refused[0].of) == (1.0, 0.0, 4.0)
    usage = next(u for u in house.organisations(since=0) if u.name == "Clients")
    assert (usage.active, usage.quota.reserved, usage.quota.spent) == (4, 4.0, 0.0)
    # what was less than estimated comes back, once, whoever says so again
    actual = {"seconds": 1800.0, "ranks": 1}
    ends = [store.orchestration.advance(made[0].id, expect={"queued"}, state="done", actual=actual) for _ in range(2)]
    assert ends == [True, False]
    usage = next(u for u in house.organisations(since=0) if u.name == "Clients")
    assert (usage.quota.reserved, usage.quota.spent, usage.core_hours) == (3.0, 0.5, 0.5)
    with pytest.raises(QuotaReached):
        tenant.insert_run(question("one more"))
    tenant.insert_run(question("a smaller one", 0.5))
    house.set_quota(clients.organisation, None)
    tenant.insert_run(question("any", 1000))
    store.close()


def attempt(tmp_path: Path, history: list[float] = []) -> Attempt:  # noqa: B006
    made = Attempt.create(tmp_path / "solve" / "1", {}, {}, Job(name="job", argv=("x",)))
    assert newest(tmp_path) is not None
    for value in history:
        made.record(residual=value)
    return made


def test_the_board_tells_whose_turn_it_is(tmp_path: Path) -> None:
    assert column("queued", None, None, None) == "waiting"
    assert column("failed", "lost", None, None) == "failed"
    assert column("failed", "diverged", None, None) == "client"
    assert column("refused", "refused", None, None) == "client"
    made = attempt(tmp_path)
    assert column("running", None, None, made) == "waiting"  # its job has not begun to speak
    made.write_status(step=1, of=9)
    assert column("running", None, None, made) == "running"
    old = time.time() - 3000
    os.utime(made.folder / "status.json", (old, old))
    assert column("running", None, {"seconds": 60}, made) == "stalled"
    assert column("running", None, {"seconds": 6000}, made) == "running"  # it may take that long


def test_a_residual_that_climbs_is_seen_and_one_that_jumps_at_each_step_is_not() -> None:
    climbs = [1e-3 / 10**i for i in range(4)] + [1e-6 * 4**i for i in range(9)]
    assert diverges([{"residual": v} for v in climbs])
    jumps = [10.0 ** -(i % 6) for i in range(40)]
    assert not diverges([{"residual": v} for v in jumps])
    assert not diverges([{"force": v} for v in climbs])


def test_keys_are_named_and_ended_and_a_session_is_left(hub: Hub) -> None:
    _, token = hub.member("People", "Anna", "admin")
    with hub.http(token) as http:
        made = http.post("/tokens", json={"name": "robot", "days": 2}).json()
        with hub.http(made["token"]) as robot:
            assert robot.get("/me").json()["user"] == "Anna"
            listed = http.get("/tokens").json()
            assert made["token"] not in json.dumps(listed)
            assert http.delete(f"/tokens/{made['id']}").status_code == 204
            assert robot.get("/me").status_code == 401
        assert http.delete(f"/tokens/{made['id']}").status_code == 404
    login = hub.store.members.log_in(hub.store.members.mint(hub.member("People", "Anna", "admin")[0], "login", 9), 60)
    assert login
    with hub.http("", Cookie=f"officina={login}", Origin=hub.url.removesuffix("/api/v1")) as browser:
        assert browser.get("/me").status_code == 200
        assert browser.post("/logout").status_code == 204
        assert browser.get("/me").status_code == 401


def test_an_administrator_says_who_belongs(hub: Hub) -> None:
    _, boss = hub.member("Belonging", "Berta", "admin")
    _, worker = hub.member("Belonging", "Carlo", "engineer")
    hub.member("Elsewhere", "Dora", "engineer")
    with hub.http(worker) as http:
        assert http.post("/members", json={"name": "Emil", "role": "admin"}).status_code == 403
    with hub.http(boss) as http:
        assert http.post("/members", json={"name": "Dora", "role": "engineer"}).status_code == 409
        emil = http.post("/members", json={"name": "Emil", "role": "engineer"}).json()
        assert [m["name"] for m in http.get("/members").json()] == ["Berta", "Carlo", "Emil"]
        with hub.http("") as door:
            path = emil["login"].removeprefix("/api/v1")
            cookie = door.get(path).cookies["officina"]
        with hub.http("", Cookie=f"officina={cookie}") as browser:
            assert browser.get("/me").json()["organisation"] == "Belonging"
            assert http.delete(f"/members/{emil['id']}").status_code == 204
            assert browser.get("/me").status_code == 401
        berta = next(m["id"] for m in http.get("/members").json() if m["name"] == "Berta")
        assert http.delete(f"/members/{berta}").status_code == 409


def test_members_by_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFICINA_HOME", str(tmp_path))
    store = open_store(Settings(home=tmp_path))
    store.members.first("House", "Boss")
    run = CliRunner()
    added = run.invoke(app, ["member", "add", "Anna", "-o", "Clients", "--role", "admin"])
    token = added.output.strip().partition("token=")[2]
    assert store.members.log_in(token, 60)
    assert not store.members.log_in(token, 60), "once"
    run.invoke(app, ["member", "add", "Berta", "-o", "Clients"])
    assert run.invoke(app, ["member", "list", "-o", "Clients"]).output.split() == ["Anna", "admin", "Berta", "engineer"]
    assert run.invoke(app, ["member", "remove", "Berta", "-o", "Clients"]).exit_code == 0
    for wrong in (["remove", "Anna", "-o", "Clients"], ["list", "-o", "Nobody"],
                  ["add", "X", "-o", "Clients", "--role", "king"]):  # fmt: skip
        assert isinstance(run.invoke(app, ["member", *wrong]).exception, Refused), wrong
    store.close()
