"""The client, against a real server."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from serving import BRACKET, Hub

from hub.case import load_yaml
from hub.client import Client, ClientError
from hub.problem import Refused


def test_from_a_file_to_a_result(hub: Hub, tmp_path: Path) -> None:
    with hub.client() as client:
        file = client.upload(BRACKET)
        assert client.file(file["id"], wait=60)["overall"] == "accepted"
        case = load_yaml((BRACKET.parent / "case.yaml").read_bytes())
        case["geometry"]["file"] = file["id"]
        assert client.check(case)["estimate"]["unknowns"] > 0
        run = client.submit(case)
        assert client.submit(case)["id"] == run["id"]
        assert [r["id"] for r in client.runs(state="active", limit=5)] == [run["id"]]
        assert client.case(run["id"])["title"] == case["title"]
        assert client.log(run["id"]) == ""
        with pytest.raises(TimeoutError, match="still queued"):
            client.wait(run["id"], seconds=0.1, every=0.05)

        folder = hub.settings.runs / run["id"]
        (folder / "pictures").mkdir(parents=True)
        (folder / "pictures" / "a b.png").write_bytes(b"\x89PNG")
        (folder / "result.json").write_text(json.dumps({"state": "done", "title": case["title"]}))
        end = threading.Timer(
            0.3, lambda: hub.store.orchestration.advance(run["id"], expect={"queued"}, state="done", stage="report")
        )
        end.start()
        assert client.wait(run["id"], seconds=20, every=0.1)["state"] == "done"
        assert client.result(run["id"])["state"] == "done"
        assert client.files(run["id"]) == ["pictures/a b.png", "result.json"]
        brought = client.fetch(run["id"], tmp_path / "out")
        assert [b.relative_to(tmp_path / "out").as_posix() for b in brought] == ["pictures/a b.png", "result.json"]
        assert brought[0].read_bytes() == client.download(run["id"], "pictures/a b.png") == b"\x89PNG"
        assert client.submit(case)["id"] == run["id"]
        again = client.submit(case, again=True)
        assert again["id"] != run["id"]
        assert client.cancel(again["id"])["state"] == "cancelling"


def test_the_catalogues(hub: Hub) -> None:
    with hub.client() as client:
        assert client.health()["ok"]
        assert client.me()["role"] == "admin"
        assert client.schema()["properties"]
        assert "steel-s235jr" in client.materials()
        template = next(t for t in client.templates() if t["name"] == "bracket")
        assert client.faces_png(template["geometry"]).startswith(b"\x89PNG")
        assert client.surface(template["geometry"])[:2] == b"PK"
        assert client.solver(client.solvers()[0]["name"])["version"]


def test_a_refusal_carries_its_problems(hub: Hub) -> None:
    with hub.client() as client:
        with pytest.raises(Refused) as refused:
            client.submit({"title": "x", "geometry": {"file": "a"}, "mesh": {"size": float("nan")}})
        assert "mesh.size" in {p.where for p in refused.value.problems}
        with pytest.raises(Refused, match="name"):
            client.upload(b"content", name="a\nb.step")


def test_other_errors_are_told_in_words(hub: Hub, tmp_path: Path) -> None:
    with hub.client() as client:
        with pytest.raises(ClientError, match="nothing that is yours") as error:
            client.run("0" * 32)
        assert error.value.status == 404
        with pytest.raises(ClientError):
            client.run("../me")
        with pytest.raises(OSError):
            client.upload(tmp_path / "absent.step")
    for token in ("wrong", "", "caffè", "a b"):
        with Client(hub.url.removesuffix("/api/v1"), token) as stranger, pytest.raises(ClientError) as error:
            stranger.me()
        assert error.value.status == 401
    with Client("http://127.0.0.1:9", "x") as nobody, pytest.raises(ClientError, match="officina up") as error:
        nobody.health()
    assert error.value.status == 0


def test_the_hub_of_this_machine_is_found(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = hub.url.removesuffix("/api/v1")
    monkeypatch.delenv("OFFICINA_TOKEN", raising=False)
    monkeypatch.setenv("OFFICINA_HOME", str(hub.settings.home))
    monkeypatch.setenv("OFFICINA_URL", url)
    assert Client.here().me()["user"] == "Administrator"
    monkeypatch.delenv("OFFICINA_URL")
    (hub.settings.home / "officina.toml").write_text(f"port = {url.rpartition(':')[2]}\n")
    assert Client.here().me()["user"] == "Administrator"
    monkeypatch.setenv("OFFICINA_HOME", str(tmp_path))
    with pytest.raises(ClientError, match="officina up"):
        Client.here()
    monkeypatch.setenv("OFFICINA_URL", url)
    monkeypatch.setenv("OFFICINA_TOKEN", hub.token)
    assert Client.here().me()["user"] == "Administrator"
