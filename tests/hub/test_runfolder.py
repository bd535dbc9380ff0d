"""The folder contract: whole or not at all, and success only where DONE verifies."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hub.runfolder import Attempt, Done, Failure, Job, attempts, write_whole

JOB = Job(name="r-check-1", argv=("true",))


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    source = tmp_path / "part.step"
    source.write_text("ISO-10303-21;")
    return Attempt.create(tmp_path / "run" / "check" / "1", {"case.json": {"a": 1.5}}, {"geometry.step": source}, JOB)


def test_inputs_are_there_and_named(attempt: Attempt) -> None:
    assert attempt.read("case.json") == {"a": 1.5}
    assert set(attempt.read("manifest.json")) == {"case.json", "geometry.step"}
    assert attempt.job() == JOB
    assert attempt.outcome() is None
    assert [a.folder for a in attempts(attempt.folder.parents[1], "check")] == [attempt.folder]


def test_an_attempt_is_made_once(attempt: Attempt) -> None:
    with pytest.raises(FileExistsError):
        Attempt.create(attempt.folder, {}, {}, JOB)


def test_nothing_half_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        Attempt.create(tmp_path / "1", {"case.json": {"x": float("nan")}}, {}, JOB)
    assert list(tmp_path.iterdir()) == []


def test_done_verifies(attempt: Attempt) -> None:
    attempt.write("answer.json", {"x": 1})
    attempt.finish()
    outcome = attempt.outcome()
    assert isinstance(outcome, Done) and set(outcome.files) == {"answer.json"}


@pytest.mark.parametrize("damage", ["flip", "remove", "link", "truncate"])
def test_damage_is_not_success(attempt: Attempt, damage: str) -> None:
    attempt.write("answer.json", {"x": 1})
    attempt.finish()
    file = attempt.out / "answer.json"
    content = file.read_bytes()
    file.unlink()
    if damage == "flip":
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif damage == "link":
        other = attempt.folder / "other"
        other.write_bytes(content)
        file.symlink_to(other)
    elif damage == "truncate":
        file.write_bytes(content[:-1])
    outcome = attempt.outcome()
    assert isinstance(outcome, Failure) and outcome.code == "corrupt-result"


@pytest.mark.parametrize("marker", ["DONE", "FAILED"])
def test_an_unreadable_marker_is_a_failure(attempt: Attempt, marker: str) -> None:
    (attempt.folder / marker).write_text('{"files": ')
    assert isinstance(attempt.outcome(), Failure)


def test_the_first_failure_stands(attempt: Attempt) -> None:
    attempt.fail("diverged", "The residual grew.", "Look at the supports.")
    attempt.fail("killed", "later")
    attempt.finish()
    outcome = attempt.outcome()
    assert isinstance(outcome, Failure) and outcome.code == "diverged"


def test_status_is_always_whole(attempt: Attempt) -> None:
    assert attempt.status().step == 0
    attempt.write_status(3, 10, "solving", residual=1e-3, broken=float("inf"))
    assert attempt.status().values == {"residual": 1e-3}
    (attempt.folder / "status.json").write_text("{")
    assert attempt.status().step == 0


def test_log_tail(attempt: Attempt) -> None:
    assert attempt.log_tail() == ""
    attempt.log.write_bytes(b"a" * 100 + b"\xff end")
    assert attempt.log_tail(5).endswith("end") and len(attempt.log_tail(5)) <= 5


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """The limit on file size stands for a full disk: the same OSError path, without needing root."""
    file = tmp_path / "status.json"
    write_whole(file, "old")
    code = (
        "import resource, signal, sys; from pathlib import Path; from hub.runfolder import write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_whole(Path(sys.argv[1]), 'x' * 5000)"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, check=False, env=os.environ)
    assert ran.returncode != 0
    assert file.read_text() == "old" and [f.name for f in tmp_path.iterdir()] == ["status.json"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_history_is_thinned_and_survives_a_torn_line(tmp_path: Path) -> None:
    attempt = Attempt.create(tmp_path / "1", {}, {}, Job(name="a", argv=("true",)))
    assert attempt.history() == []
    for i in range(5000):
        attempt.record(step=i, residual=2.0**-i if i % 2 else float("nan"))
    with (attempt.folder / "history.jsonl").open("a") as stream:
        stream.write('{"step": 50')
    rows = attempt.history(100)
    assert 90 <= len(rows) <= 102
    assert rows[0] == {"step": 0.0} and rows[-1]["step"] < 5000
    assert all(rows[i]["step"] < rows[i + 1]["step"] for i in range(len(rows) - 1))


def test_ranks_other_than_asked_for_are_not_worked_with(tmp_path: Path) -> None:
    """As where the launcher of another MPI starts processes of which each believes to be alone."""
    argv = (sys.executable, "-m", "solvers.fem.heat", "run")
    attempt = Attempt.create(tmp_path / "1", {"case.json": {}}, {}, Job(name="r-solve-1", argv=argv, ranks=2))
    assert subprocess.run([*argv, attempt.folder], capture_output=True, check=False).returncode == 3
    outcome = attempt.outcome()
    assert isinstance(outcome, Failure) and outcome.code == "wrong-ranks"
    assert outcome.message == "1 MPI ranks were started instead of 2."
