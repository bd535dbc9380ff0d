"""Clusters: what may be said of them, that nothing secret is kept, that a check proves, and where a case goes."""

from __future__ import annotations

import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
import yaml
from serving import ROOT, Hub

from hub.cluster_probe import probe, recipe, requirements, set_up
from hub.clusters import Cluster, broken, find, keep_secret, load, read, remove, save, typed
from hub.forecast import Wait, keep, wishes
from hub.login_desk import Desk
from hub.problem import Refused
from hub.register import Register
from hub.remote import ClusterExecutor
from hub.retention import kept, leaving, purge, warn
from hub.runfolder import Attempt, Job
from hub.scheduler import demand
from hub.settings import Settings
from hub.solver import Cost
from hub.transport import LocalShell, Ssh, Unreachable, host_key, transport
from hub.where import Place, choose, foreseen, places, spent

HOST_KEY = paramiko.ECDSAKey.generate()
LINE = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
HERE = {"transport": "local", "scheduler": "none"}


def problems(**data: Any) -> list[str]:
    with pytest.raises(Refused) as refused:
        read({"name": "a", **data})
    return [p.where for p in refused.value.problems]


# --- descriptions -------------------------------------------------------------------------------------------------


def test_a_description_comes_back_as_it_was_typed(tmp_path: Path) -> None:
    said = {
        "name": "hall-3", "host": "login.example.org", "user": "sim", "host_key": LINE, "key": "clusters/hall-3",
        "partition": "main", "limits": {"nodes": 4, "cores": 32, "memory": "128 GB", "time": "24 h"},
        "environment": {"modules": ["python/3.12", "mpi"], "python": "$HOME/officina/environment/bin/python"},
        "price": 0.02, "energy": 0.011, "retention": 30,
    }  # fmt: skip
    cluster = read(said)
    assert (cluster.limits.ranks, cluster.limits.memory, cluster.limits.time) == (128, 128e9, 86400)
    assert read(typed(cluster)) == cluster
    file = save(tmp_path, cluster)
    assert load(tmp_path) == {"hall-3": cluster} and find(tmp_path, "hall-3") == cluster
    assert cluster.fingerprint().startswith("SHA256:") and cluster.fingerprint() == HOST_KEY.fingerprint
    file.write_text(file.read_text().replace("hall-3\n", "hall-4\n", 1))
    assert load(tmp_path) == {} and "hall-3.yaml" in broken(tmp_path)[0].where
    with pytest.raises(Refused):
        remove(tmp_path, "hall-3")


def test_what_is_missing_or_could_be_more_than_a_name_is_refused() -> None:
    assert problems() == ["host", "user", "host_key", "key"]
    assert problems(**HERE, partition="main\n#SBATCH --uid=0") == ["partition"]
    assert problems(**HERE, partition="$(id)") == ["partition"]
    assert problems(**HERE, scratch="/scratch; rm -rf /") == ["scratch"]
    assert problems(**HERE, environment={"modules": ["a && id"]}) == ["environment.modules[0]"]
    assert problems(**HERE, name="here") == ["name"]
    assert problems(host="h", user="u", key="k", host_key="ssh-ed25519 nonsense") == ["host_key"]
    assert problems(host="-oProxyCommand=id", user="u", key="k", host_key=LINE) == ["host"]
    assert problems(**HERE, limits={"memory": 4}) == ["limits.memory"]


def test_a_key_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home").make_home()
    name = keep_secret(settings.secrets, "hall-3", b"private")
    kept = settings.secrets / name
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    cluster = read({"name": "a", "host": "h", "user": "u", "key": name, "host_key": LINE})
    assert cluster.key_file(settings.secrets) == kept
    assert "private" not in save(settings.home, cluster).read_text()


# --- proved -------------------------------------------------------------------------------------------------------


def test_a_check_proves_this_machine_and_says_what_is_missing(tmp_path: Path) -> None:
    said = {"name": "basement", **HERE, "scratch": str(tmp_path / "scratch")}
    whole = read({**said, "environment": {"python": sys.executable}})
    found = list(probe(whole, LocalShell()))
    assert [f.what for f in found if not f.passed] == [], found
    assert {"log in", "scratch", "transfer", "C compiler", "Python", "PETSc and DOLFINx", "MPI on 2 ranks"} == {
        f.what for f in found if f.what != "packages of the solvers"
    }
    assert not list((tmp_path / "scratch").glob(".probe*"))
    bare = read({**said, "environment": {"python": str(tmp_path / "no" / "python")}})
    last = list(probe(bare, LocalShell()))[-1]
    assert (last.what, last.passed) == ("Python", False) and "cluster setup" in last.todo
    nowhere = read({**said, "scratch": "/proc/officina"})
    last = list(probe(nowhere, LocalShell()))[-1]
    assert (last.what, last.passed) == ("scratch", False)


def test_an_environment_is_set_up_and_then_proved(tmp_path: Path) -> None:
    """All of it, from the package index: what a login node that has nothing but Python goes through."""
    bare = read({"name": "basement", **HERE, "scratch": str(tmp_path / "scratch")})
    assert not next(iter(set_up(bare, LocalShell(), "/usr/bin/false"))).passed
    found = list(set_up(bare, LocalShell(), sys.executable))
    if not all(f.passed for f in found) and not os.environ.get("CI"):
        pytest.skip(f"no package index: {found[-1].said}")
    python = tmp_path / "scratch" / "environment" / "bin" / "python"
    assert all(f.passed for f in found) and found[-1].said == str(python), found
    whole = read({**typed(bare), "environment": {"python": str(python)}})
    assert [f for f in probe(whole, LocalShell()) if not f.passed] == []


def test_a_host_that_is_away_or_another_one_is_told(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        away = {"name": "a", "host": "127.0.0.1", "port": port, "user": "u", "key": "k", "host_key": LINE}
        (tmp_path / "k").write_bytes(b"")
        findings = list(probe(read(away), transport(read(away), tmp_path)))
        assert [f.passed for f in findings] == [False] and findings[0].todo
        with pytest.raises(Unreachable):
            host_key("127.0.0.1", port)


def test_the_recipe_has_the_solvers_packages_in_our_versions() -> None:
    text = recipe()
    assert "@REQUIREMENTS@" in text.split("%post")[0] and "@REQUIREMENTS@" not in text.split("%post")[1]
    assert all(pin in text for pin in requirements().split()) and "streamlit" not in text and "prefect" not in text


def test_the_compose_file_keeps_secrets_out_of_the_environment() -> None:
    document = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    assert set(document["services"]) == {"database", "hub", "proxy"}
    for service in document["services"].values():
        assert not [k for k in service.get("environment", {}) if k.endswith("PASSWORD")]
        assert "ports" not in service or service["image"].startswith("caddy"), "only the proxy is reached from outside"
    assert "@database" in document["services"]["hub"]["environment"]["OFFICINA_DATABASE"]
    for name in (document["services"]["hub"]["build"]["dockerfile"], "deploy/Caddyfile", "deploy/officina.service"):
        assert (ROOT / name).is_file()


# --- centres with one-time passwords ------------------------------------------------------------------------------


class Centre(paramiko.ServerInterface):
    """An ssh server that asks for a password and a code, and runs `uname`."""

    def __init__(self) -> None:
        self.begun = 0

    def get_allowed_auths(self, username: str) -> str:
        return "keyboard-interactive"

    def check_auth_interactive(self, username: str, submethods: str) -> Any:
        self.begun += 1
        return paramiko.InteractiveQuery("Centre", "Two factors", ("Password: ", False), ("Code: ", True))

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        return paramiko.AUTH_SUCCESSFUL if responses == ["secret", "123456"] else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def answer() -> None:
            channel.sendall(b"Linux\n")
            channel.send_exit_status(0)
            channel.close()

        threading.Timer(0.1, answer).start()
        return True


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[tuple[Centre, Cluster]]:
    served, listener = Centre(), socket.create_server(("127.0.0.1", 0))
    links: list[paramiko.Transport] = []

    def accept() -> None:
        while True:
            try:
                link = paramiko.Transport(listener.accept()[0])
            except OSError:
                return
            links.append(link)
            link.add_server_key(HOST_KEY)
            link.start_server(event=threading.Event(), server=served)

    threading.Thread(target=accept, daemon=True).start()
    said = {"name": "centre", "host": "127.0.0.1", "port": listener.getsockname()[1], "user": "sim",
            "login": "keyboard-interactive", "host_key": LINE}  # fmt: skip
    yield served, read(said)
    listener.close()
    for link in links:
        link.close()


def test_a_log_in_that_needs_a_person_waits_for_one(centre: tuple[Centre, Cluster], tmp_path: Path) -> None:
    served, cluster = centre
    way = transport(cluster, tmp_path)
    assert isinstance(way, Ssh)
    with pytest.raises(Unreachable) as wanted:
        way.run(["uname"])
    assert wanted.value.code == "needs-login" and served.begun == 0, "nothing is begun that nobody will finish"
    desk, said = Desk(tmp_path, "centre"), list[str]()
    for answers, ends in ((["wrong", "0"], "did not accept"), (["secret", "123456"], "")):
        person = threading.Thread(target=lambda a=answers: said.append(desk.talk(lambda _: a, 20)))
        person.start()
        while not desk.attended:
            pass
        if ends:
            with pytest.raises(Unreachable) as refused:
                way.run(["uname"])
            assert refused.value.code == "needs-login", "the runs wait on"
        else:
            assert way.run(["uname"]).out == b"Linux\n"
        person.join(20)
        assert ends in said[-1] and bool(ends) == bool(said[-1])
    assert way.run(["uname"]).code == 0, "the connection stays: nobody is asked again"
    assert served.begun == 2
    assert not [f for f in desk.folder.iterdir() if b"secret" in f.read_bytes()], "answers are kept nowhere"
    way.close()


# --- how long results stay ----------------------------------------------------------------------------------------


def test_results_leave_after_their_days_and_owners_are_warned_before(tmp_path: Path) -> None:
    """Jobs of a cluster on this machine that ended 40, 28 and 1 days ago, of 30 days."""
    now = time.time()
    place = read({"name": "attic", **HERE, "scratch": str(tmp_path / "far"), "retention": 30})
    for name, days in (("old", 40), ("soon", 28), ("new", 1)):
        entry = tmp_path / "remote" / "attic" / "jobs" / name
        attempt = Attempt.create(tmp_path / "runs" / name, {}, {}, Job(name=name, argv=("true",)))
        entry.mkdir(parents=True)
        (entry / "folder").write_text(str(attempt.folder))
        Register(tmp_path, "attic").leave(name, {"fields.vtu": {"sha256": "0" * 64, "bytes": 9}})
        (entry / "ended").touch()
        os.utime(entry / "ended", (now - days * 86400, now - days * 86400))
        (tmp_path / "far" / "runs" / name).mkdir(parents=True)
        (tmp_path / "far" / "runs" / name / "big").write_bytes(b"x")
    assert [k.name for k in kept(place, tmp_path, now)] == ["old", "soon", "new"]
    assert [k.name for k in leaving(place, tmp_path, now)] == ["old", "soon"]
    assert leaving(place, tmp_path, now)[1].away == ("fields.vtu",)
    executor = ClusterExecutor(place, tmp_path, carries=False)
    assert purge(place, tmp_path, now, executor=executor) == [], "nobody was warned yet"
    assert [k.name for k in warn(place, tmp_path, now)] == ["old", "soon"] and warn(place, tmp_path, now) == []
    assert purge(place, tmp_path, now + 6 * 86400, executor=executor) == [], "a week's notice"
    assert purge(place, tmp_path, now + 7.5 * 86400, executor=executor) == ["old", "soon"]
    assert sorted(f.name for f in (tmp_path / "far" / "runs").iterdir()) == ["new"]
    assert purge(place, tmp_path, now + 7.5 * 86400, executor=executor) == []
    executor.close()
    assert kept(place.model_copy(update={"retention": None}), tmp_path, now) == []


# --- where to run -------------------------------------------------------------------------------------------------

COST = Cost(per_node=3, start=2, seconds_per_unknown=1e-4, bytes_base=4e8, bytes_per_unknown=3e3)
ESTIMATE = {"unknowns": 400_000, "seconds": 40.0, "memory": 2e9, "ranks": 2}


def cluster(name: str, **more: Any) -> Cluster:
    return read({"name": name, **HERE, "limits": {"cores": 32, "memory": "64 GB", "time": "1 h"}, **more})


def test_places_are_compared_by_time_money_and_room(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, ranks=2, price=0.0)
    large, dear = cluster("large", price=0.01, energy=0.02), cluster("dear", price=1.0)
    tiny = cluster("tiny", limits={"cores": 1, "memory": "1 GB", "time": "1 h"})
    here, *far = places(ESTIMATE, COST, [large, dear, tiny], settings, waiting={"large": 32 * 600.0})
    by_name = {p.cluster: p for p in far}
    assert (here.cluster, here.ranks) == ("here", 2)
    assert by_name["large"].ranks == 20 and by_name["large"].seconds < here.seconds
    assert by_name["large"].queue == pytest.approx(600)
    assert by_name["large"].cost == pytest.approx(0.01 * 20 * by_name["large"].seconds / 3600)
    assert not by_name["tiny"].fits and "GB" in by_name["tiny"].why
    found = [here, *far]
    assert [getattr(choose(found, rule), "cluster", None) for rule in ("here", "sooner", "cheaper")] == [
        "here", "dear", "here",
    ]  # fmt: skip
    full = [here.model_copy(update={"fits": False}), *far]
    assert getattr(choose(full, "here"), "cluster", None) == "dear"
    assert getattr(choose(full, "cheaper"), "cluster", None) == "large"
    assert choose([p.model_copy(update={"fits": False}) for p in found], "here") is None
    assert spent(large, settings, 20, 3600) == pytest.approx({"cost": 0.2, "energy": 0.4})


def test_too_many_ranks_and_too_long_a_job_do_not_fit(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, ranks=2)

    def of(**more: Any) -> Place:
        return places({**ESTIMATE, **more}, COST, [cluster("a")], settings, ranks=more.get("wish"))[1]

    assert of().fits
    assert "64 ranks" in of(wish=64).why
    assert "h, and a job may take" in of(seconds=1e6).why


def test_what_a_scheduler_says_of_waiting_counts_and_what_it_does_not_say_is_told(tmp_path: Path) -> None:
    settings, given = Settings(home=tmp_path, ranks=2), {"time": 1800.0, "memory": 2e9}
    slurm = [cluster(name, scheduler="slurm") for name in ("quick", "full", "mute")]
    found = places(ESTIMATE, COST, slurm, settings)

    def seen() -> dict[str, Place]:
        return {p.cluster: p for p in foreseen(found, slurm, tmp_path, given, ESTIMATE)}

    assert {p.queue_by for name, p in seen().items() if name != "here"} == {"unknown"}
    wanted = {c.name: wishes(tmp_path, c.name) for c in slurm}
    assert wanted["quick"] == [demand(Job(name="j", argv=("x",), ranks=20, memory=2 * 10**9, time=1800), slurm[0])]
    keep(tmp_path, "quick", wanted["quick"], [Wait(seconds=5.0, at=time.time())])
    keep(tmp_path, "full", wanted["full"], [Wait(seconds=9000.0, at=time.time())])
    keep(tmp_path, "mute", wanted["mute"], [Wait(seconds=None, said="allocation failure", at=time.time())])
    told = seen()
    assert [(told[n].queue_by, told[n].queue) for n in ("here", "quick", "full")] == [
        ("runs", 0), ("scheduler", 5), ("scheduler", 9000),
    ]  # fmt: skip
    assert (told["mute"].queue_by, told["mute"].queue_said) == ("unknown", "allocation failure")
    assert getattr(choose([told["here"], told["full"], told["quick"]], "sooner"), "cluster", None) == "quick"
    assert getattr(choose([told["here"], told["full"]], "sooner"), "cluster", None) == "here"
    assert wishes(tmp_path, "quick") == [], "what was said lately is not asked again"


# --- through the API ----------------------------------------------------------------------------------------------


def test_staff_describe_clusters_and_engineers_choose_them(hub: Hub) -> None:
    _, staff = hub.member(hub.administrator.organisation_name, "operator", "staff")
    _, engineer = hub.member("Centre", "engineer", "engineer")
    with hub.http(hub.member("Centre", "their own administrator", "admin")[1]) as http:
        assert http.put("/clusters/basement", json=HERE).status_code == 403, "clusters are the house's"
    said = {**HERE, "limits": {"cores": 4, "memory": "8 GB"}, "price": 0.5}
    with hub.http(staff) as http:
        assert http.put("/clusters/basement", json=said).status_code == 200
        assert http.put("/clusters/basement", json={**said, "key": "/etc/ssh/key"}).status_code == 422
        assert http.put("/clusters/basement", json={**said, "key": "../token"}).status_code == 422
        assert http.put("/clusters/basement", json={**said, "scratch": "$(id)"}).status_code == 422
        assert http.put("/clusters/basement", content=b"[").status_code == 422
        assert http.get("/clusters").json()["clusters"][0]["description"]["price"] == 0.5
        assert http.put("/clusters/basement/login", json=["a"] * 2).status_code == 409, "nobody asked"
    with hub.http(engineer) as http:
        seen = http.get("/clusters").json()["clusters"][0]
        assert (seen["name"], seen["ranks"], seen["description"]) == ("basement", 4, None)
        for method, path in (("PUT", "basement"), ("DELETE", "basement"), ("POST", "basement/check"),
                             ("POST", "basement/login"), ("GET", "basement/login")):  # fmt: skip
            assert http.request(method, f"/clusters/{path}", json={}).status_code == 403, path
        case = next(t for t in http.get("/templates").json() if t["name"] == "cantilever")["case"]
        found = http.post("/places", json={"case": case}).json()
        assert [p["cluster"] for p in found] == ["here", "basement"] and all(p["seconds"] > 0 for p in found)
        wanted = {**case, "resources": {"cluster": "nowhere"}}
        assert "nowhere" in http.post("/runs", json={"case": wanted}).text
        run = http.post("/runs", json={"case": {**case, "resources": {"cluster": "basement"}}}).json()
        assert run["estimate"]["cluster"] == "basement" and run["estimate"]["cost"] > 0
        assert run["estimate"]["queue"] == 0 and run["estimate"]["queue_by"] == "runs"
        many = {**case, "resources": {"cluster": "basement", "ranks": 5}}
        refused = http.post("/runs", json={"case": many})
        assert refused.status_code == 422 and "5 ranks, and there are 4" in refused.text
        assert http.get("/estimates").json() == []
    with hub.http(staff) as http:
        assert http.put("/clusters/silent", json={**said, "scheduler": "slurm"}).status_code == 200
    with hub.http(engineer) as http:
        run = http.post("/runs", json={"case": {**case, "resources": {"cluster": "silent"}}, "again": True}).json()
        assert run["estimate"]["cluster"] == "silent" and run["estimate"]["queue_by"] == "unknown"
        assert "queue" not in run["estimate"], "a wait that nobody knows is not none"
    with hub.http(staff) as http:
        assert http.delete("/clusters/basement").status_code == 204
