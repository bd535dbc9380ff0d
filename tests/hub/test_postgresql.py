"""The promises of the store hold on a real PostgreSQL as on SQLite: the same tests, on an instance of our own.

Left out on machines without PostgreSQL, with the reason; in CI (``CI`` is set) that is a failure.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import test_store
from sqlalchemy import create_engine, text

from hub.settings import Settings
from hub.store import Store, open_store

#: What the store promises on every database; the others in that module are about SQLite, or about no database.
SHARED = (
    "test_the_migrations_make_the_schema_of_the_models",
    "test_32_submissions_at_once_make_one_run",
    "test_an_answer_is_given_again_unless_it_is_asked_for_again",
    "test_what_was_typed_comes_back_as_typed",
    "test_what_another_organisation_has_does_not_exist",
    "test_a_message_is_claimed_by_one",
    "test_a_claim_that_is_not_kept_goes_to_the_next",
    "test_a_state_changes_hands_once",
    "test_times_follow_the_states",
    "test_cancelling_is_asked_once_and_never_of_what_has_ended",
    "test_attempts_are_listed_in_the_order_of_the_work",
    "test_a_log_in_address_works_once_and_not_as_a_token",
    "test_tokens_end",
)
globals().update({name: getattr(test_store, name) for name in SHARED})


def _programs() -> Path | None:
    """Where initdb and pg_ctl are: in PATH, or where Debian keeps them; the newest."""
    beside = shutil.which("initdb")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda f: int(f.parts[-3]))
    return Path(beside).parent if beside else found[-1].parent if found else None


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL of our own on a free port of loopback; the URL without the name of a database."""
    programs = _programs()
    if programs is None:
        missing = "PostgreSQL is not installed on this machine"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    folder = Path(tempfile.mkdtemp(prefix="officina-postgresql-"))
    other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []  # it refuses to run as root
    if other:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(*argv: str) -> None:
        ran = subprocess.run([*other, *argv], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    data = str(folder / "data")
    try:
        call(str(programs / "initdb"), "-D", data, "-U", "officina", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        call(str(programs / "pg_ctl"), "-D", data, "-l", str(folder / "log"), "-o", options, "-w", "start")
        try:
            yield f"postgresql+psycopg://officina@127.0.0.1:{port}"
        finally:
            call(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(server: str, tmp_path: Path) -> Settings:
    """A home whose database is a fresh one of the server."""
    name = "t" + os.urandom(6).hex()
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return Settings(home=tmp_path / "home", database=f"{server}/{name}")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings)
    yield opened
    opened.close()


def test_it_is_postgresql(store: Store) -> None:
    assert store.engine.dialect.name == "postgresql"
    with store.begin(read=True) as session:
        assert str(session.scalar(text("SHOW server_version")))
