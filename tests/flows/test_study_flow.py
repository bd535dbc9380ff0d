"""A study is one flow: sent once, walked by one process at a time over slots of this machine, ended in truth."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Hub, serve

from flows.reconcile import START, Planned
from flows.study import AT_ONCE, reconcile_studies, sweep_of, walk_study
from flows.walk import Workplace
from hub.case import load_yaml
from hub.catalogue import package_folder
from hub.local import LocalExecutor
from hub.problem import Refused
from hub.settings import Settings

BEAM = package_folder("cases") / "cantilever"
SIZES = {"sweep": [{"path": "mesh.size", "values": ["30 mm", "20 mm", "14 mm"]}], "verdict": "mesh", "points": "list"}
LOADS = {"sweep": [{"path": "conditions[load].value[2]", "values": ["-500 N", "-1 kN"]}]}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serve(Settings(home=tmp_path_factory.mktemp("studies") / "home", ranks=2)) as served:
        yield served


@pytest.fixture
def place(hub: Hub) -> Workplace:
    """Nothing is left to do of earlier tests."""
    executor = LocalExecutor(hub.settings.home)
    place = Workplace(hub.settings, hub.store.orchestration, hub.store.all_studies, executor, hub.store.notices)
    for row in place.studies.going():
        place.studies.advance(row.id, expect={row.state}, state="cancelled")
    return place


@pytest.fixture(scope="module")
def case(hub: Hub) -> dict[str, Any]:
    file = hub.client().upload(BEAM / "beam.step")
    return {**load_yaml((BEAM / "case.yaml").read_bytes()), "geometry": {"file": file["id"]}, "mesh": {"size": "80 mm"}}


def test_three_meshes_are_walked_and_judged(hub: Hub, place: Workplace, case: dict[str, Any]) -> None:
    client = hub.client()
    sent = client.submit_study({"title": "Meshes", **SIZES}, case)
    assert (sent["state"], sent["counts"]["of"], sent["estimate"]["points"]) == ("queued", 3, 3)
    assert client.submit_study({"title": "Meshes", **SIZES}, case)["id"] == sent["id"], "the same question, one study"
    begin, dead = reconcile_studies(place, {}, time.time())
    assert (begin, dead) == ([sent["id"]], [])
    walk_study(place, sent["id"])  # over two slots: Dask, processes of this machine
    ended = client.study(sent["id"])
    assert (ended["state"], ended["counts"]) == ("done", {"done": 3, "other": 0, "of": 3})
    result = client.study_result(sent["id"])
    assert [p["state"] for p in result["points"]] == ["done"] * 3
    assert result["convergence"]["sinking"]["sizes"][0] < result["convergence"]["sinking"]["sizes"][2]
    # Timoshenko: F L^3 / (3 E I) + F L / (kappa G A), 1 kN, 1 m, 40 x 100 mm, E 210 GPa, nu 0.3, kappa 5/6
    sinking = 1e3 / (3 * 210e9 * 0.04 * 0.1**3 / 12) + 1e3 / (5 / 6 * 210e9 / 2.6 * 0.004)
    found = result["convergence"]["sinking"]
    assert abs(abs(found["values"][0]) - sinking) <= max(found["error"], 0.01 * sinking)
    assert result["verdict"] in ("yes", "no", "unclear") and set(result["sentence"]) == {"en", "it"}
    names = client.study_files(sent["id"])
    assert {"result.json", "table.csv"} <= set(names) and any(n.startswith("plots/") for n in names)
    assert client.study_file(sent["id"], "table.csv").startswith(b"point,mesh.size,state")
    with hub.http() as http:
        assert http.get(f"/studies/{sent['id']}/files/points.json").status_code == 404, "only what is listed"


def test_what_cannot_be_run_is_refused_at_once(hub: Hub, case: dict[str, Any]) -> None:
    client = hub.client()
    with pytest.raises(Refused, match="from 0 to"):
        client.submit_study({"title": "x", "sweep": [{"path": "conditions[99].value", "values": [1]}]}, case)
    with pytest.raises(Refused, match="apples"):
        client.submit_study(
            {"title": "x", "sweep": [{"path": "conditions[load].value[2]", "values": ["1 apples"]}]}, case
        )
    with pytest.raises(Refused, match="nowhere"):
        loads = [{"path": "conditions[load].value[2]", "values": ["1 N"]}]
        client.submit_study({"title": "x", "sweep": loads, "cluster": "nowhere"}, case)
    with pytest.raises(Refused, match="at most 1000"):
        axes: list[dict[str, Any]] = [{"path": "mesh.size", "from": "40 mm", "to": "80 mm", "count": 40}]
        axes.append({"path": "conditions[load].value[2]", "from": "1 N", "to": "2 N", "count": 40})
        client.submit_study({"title": "x", "sweep": axes}, case)


def test_a_study_nobody_walks_is_begun_again_and_a_cancelled_one_ends(
    hub: Hub, place: Workplace, case: dict[str, Any]
) -> None:
    client = hub.client()
    sent = client.submit_study({"title": "Loads", **LOADS}, case)
    now = time.time()
    waiting = {sent["id"]: [Planned("a", False, now)]}
    assert reconcile_studies(place, waiting, now) == ([], []), "Prefect has it still to begin"
    lost = {sent["id"]: [Planned("b", True, now - START - 1)]}
    assert reconcile_studies(place, lost, now - 100) == ([sent["id"]], ["b"])
    assert reconcile_studies(place, None, now) == ([], []), "without Prefect nothing is begun"
    with sweep_of(place, place.studies.going()[0]).walking() as mine:
        assert mine
        assert reconcile_studies(place, {}, now)[0] == [], "it is walked"
    client.cancel_study(sent["id"])
    reconcile_studies(place, None, now)
    assert client.study(sent["id"])["state"] == "cancelled"
    assert client.retry_study(sent["id"])["state"] == "queued"


def test_no_more_studies_are_walked_than_the_machine_bears(hub: Hub, place: Workplace, case: dict[str, Any]) -> None:
    client = hub.client()
    for n in range(AT_ONCE + 1):
        client.submit_study({"title": f"Load {n}", **LOADS}, case)
    begin, _ = reconcile_studies(place, {}, time.time())
    assert len(begin) == AT_ONCE


def test_a_study_belongs_to_its_organisation(hub: Hub, case: dict[str, Any]) -> None:
    sent = hub.client().submit_study({"title": "Secret", **LOADS}, case)
    _, token = hub.member("Others", "other", "admin")
    with hub.http(token) as http:
        assert http.get("/studies").json() == []
        for call in ("", "/case", "/result", "/files", "/files/table.csv"):
            assert http.get(f"/studies/{sent['id']}{call}").status_code == 404
        assert http.post(f"/studies/{sent['id']}/cancel").status_code == 404
    _, staff = hub.member("This machine", "operator", "staff")
    with hub.http(staff) as http:  # staff see that it runs, not what is in it
        assert http.get(f"/studies/{sent['id']}").json()["study"] == {}
        assert http.get(f"/studies/{sent['id']}/result").status_code == 403


def test_routes_answer_without_a_cookie(hub: Hub) -> None:
    assert httpx.get(f"{hub.url}/studies", trust_env=False).status_code == 401


def test_the_folder_of_a_study_is_below_the_home(hub: Hub, place: Workplace, case: dict[str, Any]) -> None:
    sent = hub.client().submit_study({"title": "Where", **LOADS}, case)
    row = place.studies.study(sent["id"])
    assert row is not None and Path(row.folder) == Path("studies") / row.id
