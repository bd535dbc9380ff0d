"""The store: schema, transactions, claims, compare-and-set, tokens."""

from __future__ import annotations

import ast
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from hub.access import local_token, login_path
from hub.settings import Settings
from hub.store import NewRun, NotFound, Run, Store, StoreTooNew, open_store
from hub.store.tables import Base

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings)
    yield opened
    opened.close()


def question(key: str = "k") -> NewRun:
    return NewRun(
        key=key,
        title="Will it hold?",
        solver="fem.elasticity",
        until="report",
        case={"title": "Will it hold?", "load": "2,5 kN"},
        case_si={"title": "Will it hold?", "load": 2500.0},
        geometry="0" * 64,
        geometry_name="part.step",
    )


def opened(store: Store, key: str = "k") -> Run:
    run, new = store.within(store.members.first("Org", "Admin")).insert_run(question(key))
    assert new
    return run


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Results of `count` threads that start together."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


# --- schema ---------------------------------------------------------------------------------------------------


def test_the_migrations_make_the_schema_of_the_models(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_many_may_open_an_empty_database_at_once(settings: Settings) -> None:
    program = (
        "import sys; from pathlib import Path; from hub.settings import Settings; from hub.store import open_store\n"
    )
    program += "open_store(Settings(home=Path(sys.argv[1]))).ping()"
    argv = [sys.executable, "-c", program, str(settings.home)]
    started = [subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    said = [p.communicate()[1] for p in started]
    assert [p.returncode for p in started] == [0] * 6, said


def test_a_database_of_a_newer_version_is_left_alone(settings: Settings, store: Store) -> None:
    with store.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match="newer version"):
        open_store(settings)


def test_sqlite_is_opened_so_that_readers_and_writers_get_along(store: Store) -> None:
    with store.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # a run told about survives a power cut


def test_a_writer_waits_for_another_and_a_reader_does_not(store: Store, settings: Settings) -> None:
    run = opened(store)
    other = sqlite3.connect(settings.home / "officina.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(2.0, lambda: other.execute("COMMIT"))
    release.start()
    began = time.monotonic()
    assert store.orchestration.run(run.id) is not None
    assert time.monotonic() - began < 1.0
    assert store.orchestration.advance(run.id, expect={"queued"}, state="running")
    assert 1.5 < time.monotonic() - began < 10
    release.join()
    other.close()


# --- submitting -----------------------------------------------------------------------------------------------


def test_32_submissions_at_once_make_one_run(store: Store) -> None:
    tenant = store.within(store.members.first("Org", "Admin"))
    answers = at_once(32, lambda _: tenant.insert_run(question()))
    assert len({run.id for run, _ in answers}) == 1
    assert sum(new for _, new in answers) == 1
    assert len(store.orchestration.due(limit=100)) == 1


def _submit_in_process(url: str, start: Any, answers: Any) -> None:
    own = Store(url)
    tenant = own.within(own.members.first("Org", "Admin"))
    start.wait()
    answers.put([tenant.insert_run(question()) for _ in range(8)])


def test_submissions_of_several_processes_make_one_run(store: Store, settings: Settings) -> None:
    store.members.first("Org", "Admin")
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(4), context.Queue()
    started = [
        context.Process(target=_submit_in_process, args=(settings.database_url, start, answers)) for _ in range(4)
    ]
    for process in started:
        process.start()
    found = [pair for _ in started for pair in answers.get(timeout=60)]
    for process in started:
        process.join(60)
    assert len({run.id for run, _ in found}) == 1
    assert sum(new for _, new in found) == 1


def test_a_run_is_never_written_without_its_message(store: Store) -> None:
    with store.begin() as session:
        session.execute(
            text("CREATE TRIGGER broken BEFORE INSERT ON outbox BEGIN SELECT RAISE(FAIL, 'no outbox'); END")
        )
    tenant = store.within(store.members.first("Org", "Admin"))
    with pytest.raises(IntegrityError, match="no outbox"):
        tenant.insert_run(question())
    assert tenant.runs() == []


@pytest.mark.parametrize("end", ["failed", "refused", "cancelled"])
def test_a_question_without_an_answer_can_be_asked_anew(store: Store, end: Any) -> None:
    first = opened(store)
    tenant = store.within(store.members.first("Org", "Admin"))
    assert store.orchestration.advance(first.id, expect={"queued"}, state=end)
    second, new = tenant.insert_run(question())
    assert new
    assert second.id != first.id
    assert (first.turn, second.turn) == (1, 2)
    assert tenant.insert_run(question())[0].id == second.id


def test_an_answer_is_given_again_unless_it_is_asked_for_again(store: Store) -> None:
    first = opened(store)
    tenant = store.within(store.members.first("Org", "Admin"))
    store.orchestration.advance(first.id, expect={"queued"}, state="done")
    assert tenant.insert_run(question()) == (tenant.run(first.id), False)
    again = at_once(8, lambda _: tenant.insert_run(question(), again=True))
    assert {run.id for run, _ in again} & {first.id} == set()
    assert len({run.id for run, _ in again}) == 1  # eight impatient clicks are one wish


def test_what_was_typed_comes_back_as_typed(store: Store) -> None:
    run = opened(store)
    assert run.case == {"title": "Will it hold?", "load": "2,5 kN"}
    assert run.case_si["load"] == 2500.0
    assert run.folder == f"runs/{run.id}"


# --- tenants --------------------------------------------------------------------------------------------------


def test_what_another_organisation_has_does_not_exist(store: Store) -> None:
    ours = store.within(store.members.add("Ours", "Ada", "engineer"))
    theirs = store.within(store.members.add("Theirs", "Bo", "admin"))
    run, _ = ours.insert_run(question())
    ours.add_file("a" * 64, "secret.step", 10)
    assert theirs.runs() == []
    assert [e.event for e in theirs.events()] == []
    for ask in (lambda: theirs.run(run.id), lambda: theirs.cancel(run.id), lambda: theirs.file("a" * 64)):
        with pytest.raises(NotFound):
            ask()
    assert ours.run(run.id).state == "queued"
    other, new = theirs.insert_run(question())
    assert new
    assert other.id != run.id
    assert [e.event for e in ours.events()] == ["upload", "submit"]


def test_the_api_cannot_reach_what_is_not_scoped() -> None:
    for file in sorted((ROOT / "hub" / "api").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute):
                value = node.value
                owner = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
                assert not (node.attr in {"orchestration", "begin", "engine"} and owner in {"store", "hub"}), file
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hub.store"):
                assert not {n.name for n in node.names} & {"Orchestration", "RunRow", "FileRow"}, file


# --- orchestration --------------------------------------------------------------------------------------------


def test_a_message_is_claimed_by_one(store: Store) -> None:
    for number in range(40):
        opened(store, f"k{number}")
    claims = at_once(16, lambda _: store.orchestration.due(limit=5))
    ids = [m.id for claim in claims for m in claim]
    assert len(ids) == len(set(ids)) == 40


def test_a_claim_that_is_not_kept_goes_to_the_next(store: Store) -> None:
    opened(store)
    [first] = store.orchestration.due(lease=0.2)
    assert store.orchestration.due() == []
    time.sleep(0.3)
    [second] = store.orchestration.due(lease=60)
    assert (first.tries, second.tries) == (1, 2)
    assert not store.orchestration.retry(first, 0)  # the late one has lost it
    assert not store.orchestration.done(first)
    assert store.orchestration.done(second)
    assert store.orchestration.due() == []


def test_a_message_put_off_comes_back_when_it_is_time(store: Store) -> None:
    opened(store)
    [message] = store.orchestration.due()
    assert store.orchestration.retry(message, 0.3)
    assert store.orchestration.due() == []
    time.sleep(0.4)
    assert [m.tries for m in store.orchestration.due()] == [2]


def test_a_state_changes_hands_once(store: Store) -> None:
    run = opened(store)
    won = at_once(16, lambda n: store.orchestration.advance(run.id, expect={"queued"}, state="running", stage="check"))
    assert sum(won) == 1
    assert not store.orchestration.advance(run.id, expect={"queued", "cancelling"}, state="failed")


def test_times_follow_the_states(store: Store) -> None:
    run, other = opened(store), store.orchestration
    assert run.started is None
    other.advance(run.id, expect={"queued"}, state="running", stage="check")
    running = other.run(run.id)
    assert running is not None
    assert running.started is not None
    other.advance(run.id, expect={"running"}, stage="solve", post="collect")
    other.advance(run.id, expect={"running"}, state="failed", failure={"code": "diverged"}, actual={"seconds": 3})
    ended = other.run(run.id)
    assert ended is not None
    assert ended.ended is not None
    assert ended.created <= running.started <= ended.ended
    assert ended.started == running.started
    assert (ended.stage, ended.failure, ended.actual) == ("solve", {"code": "diverged"}, {"seconds": 3})
    assert other.active() == []
    assert [r.id for r in other.failures()] == [run.id]
    assert other.counts() == {"failed": 1}
    assert {m.action for m in other.due()} == {"stage", "collect"}


def test_cancelling_is_asked_once_and_never_of_what_has_ended(store: Store) -> None:
    run = opened(store)
    tenant = store.within(store.members.first("Org", "Admin"))
    assert {r.state for r in at_once(8, lambda _: tenant.cancel(run.id))} == {"cancelling"}
    assert sorted(m.action for m in store.orchestration.due()) == ["cancel", "stage"]
    store.orchestration.advance(run.id, expect={"cancelling"}, state="cancelled")
    assert tenant.cancel(run.id).state == "cancelled"


def test_attempts_are_listed_in_the_order_of_the_work(store: Store) -> None:
    run, other = opened(store), store.orchestration
    for stage, number in (("solve", 1), ("check", 1), ("mesh", 1), ("mesh", 2)):
        other.record_attempt(run.id, stage, number, job=f"{run.id}-{stage}-{number}")  # type: ignore[arg-type]
    other.record_attempt(run.id, "solve", 1, job=f"{run.id}-solve-1", handle="local:7", state="submitted")
    other.record_attempt(run.id, "solve", 1, job=f"{run.id}-solve-1", state="ended")
    found = other.attempts(run.id)
    assert [(a.stage, a.number) for a in found] == [("check", 1), ("mesh", 1), ("mesh", 2), ("solve", 1)]
    assert (found[-1].handle, found[-1].state) == ("local:7", "ended")


# --- tokens ---------------------------------------------------------------------------------------------------


def test_the_first_start_makes_one_administrator_whose_token_only_the_owner_reads(
    settings: Settings, store: Store
) -> None:
    tokens = set(at_once(4, lambda _: local_token(settings, store)))
    token = local_token(settings, store)
    assert token in tokens
    who = store.members.who(token)
    assert who is not None
    assert (who.organisation_name, who.role) == ("This machine", "admin")
    assert settings.token_file.stat().st_mode & 0o777 == 0o600
    assert settings.secrets.stat().st_mode & 0o777 == 0o700
    with store.begin(read=True) as session:
        counts = [session.execute(text(f"SELECT count(*) FROM {t}")).scalar() for t in ("organisations", "users")]
    assert counts == [1, 1]


def test_the_database_holds_no_token(settings: Settings, store: Store) -> None:
    token = local_token(settings, store)
    login = login_path(settings, store).partition("token=")[2]
    session = store.members.log_in(login, 60)
    assert session is not None
    store.close()
    content = b"".join(f.read_bytes() for f in settings.home.glob("officina.db*"))
    assert not any(secret.encode() in content for secret in (token, login, session))


def test_a_lost_token_is_made_anew(settings: Settings, store: Store) -> None:
    first = local_token(settings, store)
    settings.token_file.unlink()
    second = local_token(settings, store)
    assert first != second
    settings.token_file.write_text("stale\n")
    assert store.members.who(local_token(settings, store)) is not None


def test_a_log_in_address_works_once_and_not_as_a_token(settings: Settings, store: Store) -> None:
    token = login_path(settings, store).partition("token=")[2]
    assert store.members.who(token) is None
    sessions = at_once(8, lambda _: store.members.log_in(token, 60))
    assert sum(s is not None for s in sessions) == 1


def test_tokens_end(store: Store) -> None:
    caller = store.members.add("Org", "Ada", "engineer")
    short, lasting = store.members.mint(caller, lasts=0.2), store.members.mint(caller)
    assert store.members.who(short) == caller
    time.sleep(0.3)
    assert store.members.who(short) is None
    assert store.members.who(lasting) == caller
    assert store.members.log_in(short, 60) is None
