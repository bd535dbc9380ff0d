"""A run is walked once at a time; what was lost is begun again; the store learns what is true."""

import time
from pathlib import Path
from typing import Any

import pytest

from flows.reconcile import START, Planned, reconcile
from flows.walk import Workplace, is_walked, walk, walking
from hub.access import local_token
from hub.case import load_yaml
from hub.catalogue import package_folder
from hub.check import check_case
from hub.local import LocalExecutor
from hub.result import Result
from hub.run import Run
from hub.runfolder import link, sha256, write_whole
from hub.settings import Settings
from hub.store import NewRun, Store, open_store

BEAM = package_folder("cases") / "cantilever" / "beam.step"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("flows") / "home").make_home()


@pytest.fixture(scope="module")
def store(settings: Settings) -> Store:
    return open_store(settings)


@pytest.fixture
def place(settings: Settings, store: Store) -> Workplace:
    """Nothing is left to do of earlier tests."""
    place = Workplace(settings, store.orchestration, store.all_studies, LocalExecutor(settings.home), store.notices)
    for row in place.store.active():
        place.store.advance(row.id, expect={"queued", "running", "cancelling"}, state="failed")
    while messages := place.store.due():
        for message in messages:
            place.store.done(message)
    return place


@pytest.fixture(scope="module")
def case_si() -> dict[str, Any]:
    case = load_yaml((BEAM.parent / "case.yaml").read_bytes())
    checked = check_case({**case, "mesh": {"size": "60 mm"}, "quantities": []}, BEAM)
    assert checked.case is not None
    return checked.case


@pytest.fixture
def run_id(settings: Settings, store: Store, case_si: dict[str, Any], place: Workplace) -> str:
    """A run in the store, up to its mesh, whose message was taken and lost."""
    geometry = sha256(BEAM)
    if not (settings.files / geometry).exists():
        link(BEAM, settings.files / geometry)
    caller = store.members.who(local_token(settings, store))
    assert caller is not None
    new = NewRun(
        key=f"{time.time_ns()}", title="a beam", solver="fem.elasticity", until="mesh",
        case=case_si, case_si=case_si, geometry=geometry, geometry_name="beam.step",
    )  # fmt: skip
    run, opened = store.within(caller).insert_run(new)
    assert opened
    for message in place.store.due():
        place.store.done(message)
    return run.id


def folder(place: Workplace, run_id: str) -> Run:
    row = place.store.run(run_id)
    assert row is not None
    return place.run(row)


def state(place: Workplace, run_id: str) -> str:
    row = place.store.run(run_id)
    assert row is not None
    return row.state


def waiting(place: Workplace) -> list[tuple[str, str]]:
    return [(m.run, m.action) for m in place.store.due()]


def test_a_run_is_walked_to_its_end(place: Workplace, run_id: str) -> None:
    walk(place, run_id)
    row = place.store.run(run_id)
    assert row is not None
    assert (row.state, row.stage, row.failure) == ("done", "mesh", None)
    assert row.started and row.ended
    assert [(a.stage, a.number, a.state) for a in place.store.attempts(run_id)] == [
        ("check", 1, "done"),
        ("mesh", 1, "done"),
    ]
    walk(place, run_id)  # again: nothing happens
    assert len(place.store.attempts(run_id)) == 2


def test_a_run_is_walked_by_one_at_a_time(place: Workplace, run_id: str) -> None:
    run = folder(place, run_id)
    assert not is_walked(run)
    with walking(run) as mine:
        assert mine and is_walked(run)
        walk(place, run_id)
        assert state(place, run_id) == "queued"
        assert reconcile(place, {}, 0.0) == [] and waiting(place) == []
    assert not is_walked(run)


def test_a_run_without_a_flow_is_begun_again(place: Workplace, run_id: str) -> None:
    assert reconcile(place, {}, 0.0) == []
    assert waiting(place) == [(run_id, "stage")]


def test_a_run_with_a_flow_to_come_is_left(place: Workplace, run_id: str) -> None:
    soon = Planned("f", begun=False, since=time.time() - 1000)
    assert reconcile(place, {run_id: [soon]}, time.time()) == []
    starting = Planned("f", begun=True, since=time.time())
    assert reconcile(place, {run_id: [starting]}, time.time() - 1) == []
    assert waiting(place) == []


@pytest.mark.parametrize(("age", "runner_age"), [(START + 1, 1000.0), (1.0, 0.5)])
def test_a_flow_that_does_not_walk_is_dead(place: Workplace, run_id: str, age: float, runner_age: float) -> None:
    """Running for Prefect, but nobody walks: its process is gone, or went with the runner before this one."""
    now = time.time()
    flow = Planned("f", begun=True, since=now - age)
    assert reconcile(place, {run_id: [flow]}, now - runner_age) == ["f"]
    assert waiting(place) == [(run_id, "stage")]


def test_nothing_is_begun_while_prefect_cannot_be_asked(place: Workplace, run_id: str) -> None:
    assert reconcile(place, None, 0.0) == [] and waiting(place) == []


def test_a_result_that_the_store_missed_is_told(place: Workplace, run_id: str) -> None:
    """The flow was killed between writing the result and telling the store."""
    run = folder(place, run_id)
    run.folder.mkdir(parents=True)
    failure = {"stage": "check", "code": "refused", "message": "No.", "hint": ""}
    write_whole(run.folder / "result.json", Result(state="refused", title="a beam", failure=failure).model_dump_json())
    reconcile(place, None, 0.0)
    row = place.store.run(run_id)
    assert row is not None and row.state == "refused" and row.failure == failure


def test_cancelled_before_it_began(place: Workplace, run_id: str) -> None:
    assert place.store.advance(run_id, expect={"queued"}, state="cancelling")
    reconcile(place, None, 0.0)
    assert state(place, run_id) == "cancelled"
    walk(place, run_id)
    assert place.store.attempts(run_id) == []


def test_a_file_that_is_gone_is_a_failure_in_words(place: Workplace, run_id: str, settings: Settings) -> None:
    kept = settings.files / sha256(BEAM)
    kept.unlink()
    walk(place, run_id)
    row = place.store.run(run_id)
    assert row is not None and row.state == "failed" and row.failure is not None
    assert "Traceback" not in row.failure["message"] and row.failure["hint"]


def test_flows_carry_the_id_of_the_run_and_nothing_else() -> None:
    from flows.run_case import collect_and_report, stage_and_submit

    for flow in (stage_and_submit, collect_and_report):
        assert list(flow.parameters.properties) == ["run_id"]
        assert flow.persist_result is False
    assert Path(stage_and_submit.fn.__code__.co_filename).parent == package_folder("flows")
