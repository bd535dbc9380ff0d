"""What hostile, broken or enormous requests get: words, a 4xx, and a hub that goes on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from serving import BRACKET, Hub, serve_process

from hub.client import Client
from hub.problem import EXCERPT, Problem, Refused
from hub.runfolder import Attempt, Job
from hub.settings import Settings
from hub.store import NewRun

BILLION_LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


def problems(answer: httpx.Response) -> list[Problem]:
    found = [Problem.model_validate(p) for p in answer.json()["problems"]]
    assert found
    assert all(len(p.found) <= EXCERPT + 50 and "\n" not in p.where + p.found for p in found)
    return found


@pytest.fixture(scope="module")
def case(hub: Hub) -> dict[str, Any]:
    with hub.http() as http:
        template: dict[str, Any] = next(t for t in http.get("/templates").json() if t["name"] == "bracket")["case"]
    return template


# --- cases ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_named_with_its_place(hub: Hub, case: dict[str, Any], number: str) -> None:
    text = json.dumps({"case": {**case, "mesh": {"size": "HERE"}}}).replace('"HERE"', number)
    with hub.http() as http:
        for path in ("/cases/check", "/runs"):
            answer = http.post(path, content=text)
            assert answer.status_code == 422
            [problem] = problems(answer)
            assert (problem.where, problem.expected) == ("mesh.size", "a finite number")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "JSON"),
        (b"\xff\xfe\x00", "JSON"),
        (b"[" * 200_000, "JSON"),
        (b'{"case": ' + b'{"a":' * 500 + b"1" + b"}" * 501, "levels"),
        (b'{"case": {"title": "\\ud800"}}', "JSON"),
        (b'{"case": {"title": 1' + b"0" * 5000 + b"}}", "JSON"),
        (b'{"case": 3}', "case"),
        (b'{"case": {}, "until": "solve"}', "until"),
        (b'{"case": {}, "agian": true}', "agian"),
        (json.dumps({"case": BILLION_LAUGHS}).encode(), "alias"),
        (json.dumps({"case": "a: 1\na: 2"}).encode(), "twice"),
        (json.dumps({"case": "a: !!python/object/apply:os.system [id]"}).encode(), "YAML"),
        (json.dumps({"case": "- a\n- b"}).encode(), "mapping"),
        (json.dumps({"case": {"geometry": 3}}).encode(), "geometry"),
        (json.dumps({"case": {"geometry": {"file": ["x"]}}}).encode(), "geometry"),
        (json.dumps({"case": {"solver": "../../etc.passwd", "geometry": {"file": "bracket.step"}}}).encode(), "solver"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_body_that_is_no_case_is_refused_in_words(hub: Hub, body: bytes, word: str) -> None:
    with hub.http() as http:
        answer = http.post("/runs", content=body)
        assert answer.status_code == 422
        assert any(word in str(p) for p in problems(answer)), answer.text
        assert http.get("/runs").json() == []


def test_ten_megabytes_of_yaml_are_refused_unread(hub: Hub) -> None:
    text = json.dumps({"case": "a: " + "x" * 10_000_000})
    with hub.http() as http:
        began = time.monotonic()
        answer = http.post("/cases/check", content=text)
        assert answer.status_code == 413
        assert problems(answer)[0].code == "too-large"
        assert time.monotonic() - began < 2
        within = json.dumps({"case": "a: " + "x" * 1_500_000})
        assert http.post("/cases/check", content=within).status_code == 422


@pytest.mark.parametrize(
    "change",
    [
        {"geometry": {"file": "../../../etc/passwd"}},
        {"geometry": {"file": "/etc/passwd"}},
        {"geometry": {"file": "sha256:../../officina.db"}},
        {"geometry": {"file": "sha256:" + "Z" * 64}},
        {"geometry": {"file": "bracket.step\x00.png"}},
        {"title": "two\nlines"},
        {"title": "x" * 100_000},
        {"mesh": {"size": "9**9**9 mm"}},
        {"mesh": {"size": "1e999 mm"}},
        {"mesh": {"size": 3}},
        {"unknown <script>alert(1)</script>": 1},
    ],
    ids=lambda change: next(iter(change))[:12],
)
def test_a_hostile_case_is_refused_and_nothing_is_kept(hub: Hub, case: dict[str, Any], change: dict[str, Any]) -> None:
    with hub.http() as http:
        answer = http.post("/runs", json={"case": {**case, **change}})
        assert answer.status_code == 422
        wheres = {p.where for p in problems(answer)}
        assert any(w.startswith(next(iter(change))[:7]) for w in wheres), wheres
        assert http.get("/runs").json() == []


def test_markup_is_kept_as_the_text_it_is(hub: Hub, case: dict[str, Any]) -> None:
    title = "<img src=x onerror=alert(1)> & [x](javascript:1)"
    with hub.http() as http:
        run = http.post("/runs", json={"case": {**case, "title": title}}).json()
        assert run["title"] == title
        answer = http.get(f"/runs/{run['id']}")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        http.post(f"/runs/{run['id']}/cancel")
    hub.store.orchestration.advance(run["id"], expect={"cancelling"}, state="cancelled")


# --- uploads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../../evil.step", "/etc/passwd", "a\nb.step", "a\r\nx: y", "..", ".hidden", "-rf", "", "x" * 5000, "a\x00b"],
)
def test_a_name_that_is_no_file_name_is_refused(hub: Hub, name: str) -> None:
    with hub.http() as http:
        answer = http.post("/files", params={"name": name}, content=b"content")
        assert answer.status_code == 422
        assert problems(answer)[0].where == "name"
    assert not list(hub.settings.files.glob(".*"))


def test_a_name_is_only_shown(hub: Hub) -> None:
    name = '<b onclick="x()">part "1"; rm -rf $HOME .step'
    with hub.http() as http:
        file = http.post("/files", params={"name": name}, content=b"named oddly").json()
        assert http.get(f"/files/{file['id']}", params={"wait": 30}).json()["name"] == name
    assert all(len(f.name) == 64 for f in hub.settings.files.iterdir())


def test_an_empty_upload_is_refused(hub: Hub) -> None:
    with hub.http() as http:
        assert problems(http.post("/files", params={"name": "a.step"}, content=b""))[0].code == "empty-file"
    assert not list(hub.settings.files.glob(".*"))


def _pieces(count: int, seen: list[int]) -> Iterator[bytes]:
    for number in range(count):
        seen.append(number)
        yield b"\0" * 1_000_000


def test_200_megabytes_are_refused_and_the_hub_stays_up(hub: Hub) -> None:
    before = sorted(hub.settings.files.iterdir())
    seen: list[int] = []
    with hub.http() as http:
        told = http.post(
            "/files",
            params={"name": "big.step"},
            content=_pieces(200, seen),
            headers={"content-length": "200000000"},
        )
        assert told.status_code == 413
        assert problems(told)[0].code == "too-large"
        assert len(seen) < 100  # nobody waited for the rest
        untold = http.post("/files", params={"name": "big.step"}, content=_pieces(200, []))
        assert untold.status_code == 413
        assert http.get("/health").json()["ok"]
    assert sorted(hub.settings.files.iterdir()) == before


def test_the_client_hears_why_its_200_megabytes_were_refused(hub: Hub, tmp_path: Path) -> None:
    big = tmp_path / "big.step"
    with big.open("wb") as stream:
        stream.truncate(200_000_000)
    with hub.client() as client, pytest.raises(Refused, match="200000000 bytes; expected at most 100000000 bytes"):
        client.upload(big)


def _raw(hub: Hub, request: bytes, more: bytes = b"") -> bytes:
    """What the hub says to bytes that no client library would send."""
    address = httpx.URL(hub.url)
    with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
        connection.sendall(request)
        if more:
            connection.sendall(more)
        said = b""
        while piece := connection.recv(65536):
            said += piece
    return said


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999999999"])
def test_a_false_length_is_refused(hub: Hub, length: str) -> None:
    head = f"POST /api/v1/files?name=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    assert _raw(hub, head.encode()).split()[1] in {b"400", b"413"}


def test_an_upload_that_breaks_off_leaves_nothing(hub: Hub) -> None:
    before = sorted(hub.settings.files.iterdir())
    address = httpx.URL(hub.url)
    head = (
        f"POST /api/v1/files?name=a.step HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {hub.token}\r\n"
        "Content-Length: 50000000\r\n\r\n"
    )
    with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
        connection.sendall(head.encode() + b"x" * 5_000_000)
        time.sleep(0.3)
    end = time.monotonic() + 10
    while sorted(hub.settings.files.iterdir()) != before:
        assert time.monotonic() < end
        time.sleep(0.05)
    with hub.http() as http:
        assert http.get("/health").status_code == 200


# --- downloads ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(hub: Hub) -> str:
    """A run with a result, beside it things nobody may have."""
    made, _ = hub.store.within(hub.administrator).insert_run(
        NewRun(
            key="downloads", title="t", solver="s", until="report", case={}, case_si={}, geometry="0" * 64,
            geometry_name="a.step",
        )
    )  # fmt: skip
    folder = hub.settings.runs / made.id
    solve = Attempt.create(folder / "solve" / "1", {}, {}, Job(name="d-solve-1", argv=("true",)))
    (solve.out / "answer.json").write_text("{}")
    solve.finish()
    (folder / "pictures").mkdir()
    (folder / "pictures" / "link.png").symlink_to(hub.settings.token_file)
    (folder / "elsewhere").symlink_to(hub.settings.secrets)
    listed = {
        n: "0" * 64 for n in ("../../secrets/token", "/etc/passwd", "elsewhere/token", "pipe", "report.pdf", "a\nb")
    }
    (folder / "result.json").write_text(json.dumps({"state": "done", "title": "t", "files": listed}))
    (folder / "report.pdf").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    hub.store.orchestration.advance(made.id, expect={"queued"}, state="done")
    return made.id


@pytest.mark.parametrize(
    "name",
    [
        "../../secrets/token", "..%2F..%2Fsecrets%2Ftoken", "%2e%2e/%2e%2e/officina.db", "/etc/passwd", "//etc/passwd",
        "report.pdf", "pictures/link.png", "elsewhere/token", "pipe", "solve/1/job.json", "solve/1/out/../job.json",
        "solve/1/out", "solve", ".", "", "result.json%00", "result.json/", "a%0Ab", "x" * 5000,
    ],
)  # fmt: skip
def test_nothing_but_results_can_be_downloaded(hub: Hub, run: str, name: str) -> None:
    path = name if "%" in name else quote(name, safe="/")
    head = (
        f"GET /api/v1/runs/{run}/files/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {hub.token}\r\n"
        "Connection: close\r\n\r\n"
    )
    said = _raw(hub, head.encode())
    assert said.split()[1] in {b"404", b"422"} or (name == "" and said.split()[1] in {b"307", b"200"}), said[:300]
    assert b"root:" not in said
    assert hub.token.encode() not in said.partition(b"\r\n\r\n")[2]
    with hub.http() as http:
        assert http.get(f"/runs/{run}/files/solve/1/out/answer.json").text == "{}"


def test_a_link_put_in_place_of_a_result_at_the_last_moment_is_not_followed(hub: Hub, run: str) -> None:
    target = hub.settings.runs / run / "solve" / "1" / "out" / "answer.json"
    stop = threading.Event()

    def swap() -> None:
        link, file = target.with_name("link"), target.with_name("file")
        while not stop.is_set():
            link.unlink(missing_ok=True)
            link.symlink_to(hub.settings.token_file)
            link.replace(target)
            file.write_text("{}")
            file.replace(target)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        with hub.http() as http:
            answers = [http.get(f"/runs/{run}/files/solve/1/out/answer.json") for _ in range(150)]
    finally:
        stop.set()
        swapping.join()
    assert {a.status_code for a in answers} <= {200, 404}
    assert any(a.status_code == 200 for a in answers)
    assert not any(hub.token in a.text for a in answers)


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=60), run_id=st.text(max_size=40))
def test_no_name_and_no_id_breaks_the_hub(hub: Hub, name: str, run_id: str) -> None:
    try:
        path = quote(name, safe="")
        other = quote(run_id, safe="")
    except UnicodeEncodeError:  # no URL can carry it
        return
    with hub.http() as http:
        for address in (f"/runs/{other}", f"/runs/{other}/files/{path}", f"/files/{path}", f"/solvers/{path}"):
            assert http.get(address).status_code < 500, address


# --- no room --------------------------------------------------------------------------------------------------


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _http(home: Path, port: int) -> httpx.Client:
    token = (home / "secrets" / "token").read_text().strip()
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}/api/v1",
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
        trust_env=False,
    )


def test_an_upload_for_which_there_is_no_room_is_told_so(tmp_path: Path) -> None:
    """The operating system stops every file at 3 MB, as a quota would."""
    settings, port = Settings(home=tmp_path / "home"), _free_port()
    with serve_process(settings, port, {"TEST_LARGEST_FILE": "3000000"}) as process, _http(settings.home, port) as http:
        answer = http.post("/files", params={"name": "a.step"}, content=b"x" * 5_000_000)
        assert answer.status_code == 507
        assert problems(answer)[0].code == "disk-full"
        assert list(settings.files.iterdir()) == []
        small = http.post("/files", params={"name": "b.step"}, content=BRACKET.read_bytes())
        assert small.status_code == 201
        assert http.get(f"/files/{small.json()['id']}", params={"wait": 30}).json()["overall"] == "accepted"
        assert process.poll() is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs needs root; the test with a file size limit covers uploads")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_loses_nothing_and_leaves_nothing_half_written(small_disk: Path) -> None:
    settings, port = Settings(home=small_disk / "home"), _free_port()
    with serve_process(settings, port) as process, _http(settings.home, port) as http:
        kept = http.post("/files", params={"name": "a.step"}, content=BRACKET.read_bytes()).json()
        answer = http.post("/files", params={"name": "big.step"}, content=b"x" * 20_000_000)
        assert answer.status_code == 507
        assert [f.name for f in settings.files.iterdir()] == [kept["id"].removeprefix("sha256:")]

        client_token = settings.token_file.read_text().strip()
        client = Client(f"http://127.0.0.1:{port}", client_token)
        case = next(t for t in client.templates() if t["name"] == "bracket")["case"]
        run = client.submit(case)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(b"x" * 4096)
            except OSError:
                pass
        log_ins = [http.get("/login", params={"token": client_token}).status_code for _ in range(40)]
        assert set(log_ins) <= {303, 507}  # the database may have some room of its own, then it has none
        assert log_ins[-1] == 507
        assert http.post("/runs", json={"case": case, "again": True}).json()["id"] == run["id"]  # reading goes on
        assert http.post(f"/runs/{run['id']}/cancel").status_code == 507
        assert [r["state"] for r in http.get("/runs").json()] == ["queued"]
        filler.unlink()
        assert http.post(f"/runs/{run['id']}/cancel").json()["state"] == "cancelling"
        assert http.post("/runs", json={"case": case}).status_code == 201
        assert process.poll() is None
