"""What schedulers say and what it means; the states are those of Slurm, seen on a real one (tests/faults)."""

from pathlib import Path

import pytest

from hub import clusters, scheduler
from hub.executor import JobState
from hub.farcode import code_archive
from hub.jobrunner import AGAIN
from hub.runfolder import Failure, Job
from hub.scheduler import Word, demand, hopeless, launch, state, until_start, why

LIMITS = {"nodes": 4, "cores": 8, "memory": "16 GB", "time": "2 h"}
HERE = clusters.read({"name": "here2", "transport": "local", "limits": LIMITS})
STAGE = ("mpiexec", "-n", "4", "python-of-the-hub", "-m", "solvers.fem.heat", "run")


def end(word: str | None, *, asked: bool = False, done: bool = False, failed: str = "", said: str = "") -> str:
    """The code of what became of a job; empty for success."""
    own = Failure(code=failed, message="it said so") if failed else None
    found = why(Word("1", word) if word else None, asked=asked, done=done, failed=own, said=said, cluster="x")
    return found.code if found else ""


@pytest.mark.parametrize(
    ("word", "code"),
    [("TIMEOUT", "time-limit"), ("DEADLINE", "time-limit"), ("OUT_OF_MEMORY", "out-of-memory"), ("NODE_FAIL", "lost"),
     ("BOOT_FAIL", "lost"), ("CANCELLED", "killed"), ("CANCELLED by 0", "killed"), ("FAILED", "crashed"),
     ("COMPLETED", "crashed"), (None, "lost")],
)  # fmt: skip
def test_an_end_without_result_has_the_reason_of_the_scheduler(word: str | None, code: str) -> None:
    assert end(word) == code


def test_success_needs_the_result_and_the_word() -> None:
    assert end("COMPLETED", done=True) == end(None, done=True) == ""
    assert end("TIMEOUT", done=True) == "time-limit", "a marker alone is not enough: a trap may have written it"
    assert end("NODE_FAIL", done=True) == "lost"
    assert end("FAILED", done=True) == "lost", "the two do not agree: a fresh attempt"
    assert end("CANCELLED", done=True) == "", "no signal reached it: its controller had forgotten that it ran"
    told = "slurmstepd-n1: error: *** JOB 14 ON n1 CANCELLED AT 2026-11-29T06:08:59 ***"
    assert end("CANCELLED", done=True, said=told) == "killed"
    assert end("FAILED", said=AGAIN) == "lost", "aborted and begun again by a controller that forgot it"


def test_who_knows_best_is_believed() -> None:
    assert end("FAILED", failed="diverged") == end("TIMEOUT", failed="diverged") == "diverged"
    assert end("TIMEOUT", failed="lost") == end("TIMEOUT", failed="killed") == "time-limit"
    oom = "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.0. Some of your processes were killed."
    assert end("FAILED", failed="killed", said=oom) == "out-of-memory", "only the step said it"
    assert (
        end("CANCELLED", asked=True)
        == end(None, asked=True)
        == end("CANCELLED", asked=True, failed="lost")
        == "cancelled"
    )
    assert end("COMPLETED", asked=True, done=True) == "", "it had ended before"


def test_states_that_are_not_known_mean_nothing() -> None:
    said = {
        "PENDING": "queued",
        "RUNNING": "running",
        "COMPLETING": "running",
        "COMPLETED": "ended",
        "NEW_IN_99": "unknown",
    }
    assert {word: state(Word("1", word)) for word in said} == {word: JobState(s) for word, s in said.items()}


def test_what_waits_for_ever_is_told_from_what_waits() -> None:
    for reason in ("PartitionNodeLimit", "PartitionTimeLimit", "(BadConstraints)"):
        failure = hopeless(Word("1", "PENDING", reason))
        assert failure is not None and failure.code == "refused" and failure.hint
    assert hopeless(Word("1", "PENDING", "Priority")) is None and hopeless(Word("1", "PENDING", "Resources")) is None
    assert hopeless(Word("1", "RUNNING", "PartitionNodeLimit")) is None


def test_what_is_asked_for_fits_the_cluster() -> None:
    assert demand(Job(name="j", argv=("x",), ranks=4, memory=4 * 2**30, time=600), HERE) == (1, 4, 4096, 12)
    assert demand(Job(name="j", argv=("x",), ranks=20, memory=6 * 2**30, time=600), HERE) == (3, 20, 2048, 12)
    assert demand(Job(name="j", argv=("x",), memory=10**12, time=1e6), HERE) == (1, 1, 15258, 120)


def test_what_a_scheduler_foresees_is_read_in_whatever_words_it_stands() -> None:
    noon = 1_795_867_200.0  # 2026-11-28T12:00:00 in UTC
    said = "sbatch: Job 7 to start at 2026-11-28T12:10:30 using 2 processors on nodes n[1-2] in partition main "
    assert until_start(said, noon) == 630
    assert until_start("sbatch: lua: welcome  " + said, noon) == 630, "some centres greet"
    assert until_start(said, noon + 3600) == 0, "what lies behind is now"
    for unclear in ("allocation failure: Requested node configuration is not available", "", "to start at N/A",
                    "to start at 2026-13-41T99:99:99"):  # fmt: skip
        assert until_start(unclear, noon) is None


def test_ranks_are_started_by_slurm_and_by_mpiexec_elsewhere() -> None:
    started = launch(STAGE, HERE, "python-of-the-hub", "/there/python")
    assert started == ("srun", "--mpi=pmi2", "--kill-on-bad-exit=1", "-n", "4", "/there/python", *STAGE[4:])
    alone = HERE.model_copy(update={"scheduler": "none"})
    assert launch(STAGE, alone, "python-of-the-hub", "/there/python") == (*STAGE[:3], "/there/python", *STAGE[4:])


def test_the_batch_script_is_one_for_all() -> None:
    """No option of a scheduler stands in it and nothing is put into it: it is sent as it lies here."""
    script = Path(scheduler.__file__).with_name("batch.sh").read_text()
    assert "#SBATCH" not in script and "eval" not in script
    assert script.splitlines()[0] == "#!/bin/bash"


def test_the_code_for_nodes_is_the_same_archive_each_time(tmp_path: Path) -> None:
    first, second = code_archive(tmp_path / "a"), code_archive(tmp_path / "b")
    assert first.name == second.name and first.read_bytes() == second.read_bytes()
