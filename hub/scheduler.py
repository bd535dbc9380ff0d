"""What the hub knows of schedulers: how a job is asked for, what its states mean, and why it ended without a result.

How they are spoken to stands in ``login.sh``, the script of a job in ``batch.sh``; neither holds anything of a case.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from hub.clusters import Cluster
from hub.executor import JobState
from hub.jobrunner import AGAIN
from hub.runfolder import Failure, Job

#: Minutes that a scheduler gives a job above its own wall time, so that the job ends itself and says so.
MARGIN = 2


class Word(NamedTuple):
    """What a scheduler says of a job."""

    id: str
    state: str
    reason: str = ""
    name: str = ""


class Demand(NamedTuple):
    """What a job asks a scheduler for. memory : of each node [MiB]; time : [min]"""

    nodes: int
    ranks: int
    memory: int
    time: int


_WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
_GOING = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "STAGE_OUT", "SIGNALING", "RESIZING"}
_LOST = {"NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"}
_OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE", "OUT_OF_MEMORY", "ended", *_LOST}
#: Reasons for which a job would wait for ever.
_HOPELESS = {
    "PartitionNodeLimit": "it asks for more nodes than the partition has",
    "PartitionConfig": "the partition has no nodes as it asks for, or too few of them",
    "PartitionTimeLimit": "it asks for more time than the partition gives",
    "BadConstraints": "no node of the cluster is as it asks for",
    "AccountNotAllowed": "the account may not use the partition",
    "QOSNotAllowed": "the quality of service may not be used there",
    "InvalidAccount": "the account is not known there",
    "InvalidQOS": "the quality of service is not known there",
    "DependencyNeverSatisfied": "it waits for a job that failed",
    "AssocMaxWallDurationPerJobLimit": "it asks for more time than the account may use",
    "AssocMaxNodePerJobLimit": "it asks for more nodes than the account may use",
    "QOSMaxWallDurationPerJobLimit": "it asks for more time than is allowed there",
    "QOSMaxMemoryPerJob": "it asks for more memory than is allowed there",
    "MaxMemPerLimit": "it asks for more memory than is allowed there",
}
_MEMORY = re.compile(r"oom[-_]kill event|OOM Killed|exceeded (step|job) memory limit|exceeded memory limit", re.I)
#: What Slurm writes into the output of a job that runs when somebody cancels it.
_SIGNALLED = re.compile(r"\*\*\* (JOB|STEP) \S+ ON \S+ CANCELLED AT")
#: What ``sbatch --test-only`` says, in UTC because it is asked so.
_START = re.compile(r"\bto start at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")
#: What may still be said better by the scheduler when the runner on the node has said it.
_VAGUE = {"killed", "crashed", "lost"}


def demand(job: Job, cluster: Cluster) -> Demand:
    """What to ask for: as many nodes as the ranks need, and no more time or memory than the cluster gives."""
    limits = cluster.limits
    nodes = max(1, math.ceil(job.ranks / limits.cores))
    memory = min(math.ceil(job.memory / nodes / 2**20), int(limits.memory / 2**20))
    minutes = min(math.ceil(job.time / 60) + MARGIN, max(1, int(limits.time / 60)))
    return Demand(nodes, job.ranks, max(1, memory), minutes)


def launch(argv: Sequence[str], cluster: Cluster, here: str, there: str) -> tuple[str, ...]:
    """The argv of a job on the cluster: its Python, and its way to start MPI ranks.

    here, there : the Python interpreter of the hub and of the nodes
    """
    words = tuple(there if word == here else word for word in argv)
    starts = words[:2] == ("mpiexec", "-n") and len(words) > 3
    if not starts or cluster.scheduler == "none" or cluster.mpi == "mpiexec" or cluster.environment.container:
        return words
    return ("srun", f"--mpi={cluster.mpi}", "--kill-on-bad-exit=1", *words[1:])


def until_start(said: str, now: float) -> float | None:
    """Seconds until a job would start by ``TZ=UTC sbatch --test-only``; None if it does not say when.

    now : by the clock of the cluster [s]
    """
    if not (match := _START.search(said)):
        return None
    try:
        start = datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return max(0.0, start - now)


def words(lines: Iterable[str]) -> list[Word]:
    """The answer of a scheduler, a job a line: ``id|state|reason|name``."""
    return [Word(*line.split("|", 3)) for line in lines if "|" in line]


def state(word: Word) -> JobState:
    """What a scheduler's word means; what it has never said before means nothing."""
    name = word.state.split(" ")[0].rstrip("+")
    if name in _OVER:
        return JobState.ENDED
    if name in _GOING or name == "running":
        return JobState.RUNNING
    return JobState.QUEUED if name in _WAITING or name == "queued" else JobState.UNKNOWN


def hopeless(word: Word) -> Failure | None:
    """Why a job that waits would wait for ever."""
    reason = word.reason.strip("()").split(",")[0]
    if state(word) is not JobState.QUEUED or reason not in _HOPELESS:
        return None
    return Failure(
        code="refused",
        message=f"The scheduler will never start the job: {_HOPELESS[reason]} ({reason}).",
        hint="Ask for fewer cores, less memory or less time, or choose another cluster.",
    )


def why(
    word: Word | None, *, asked: bool, done: bool, failed: Failure | None, said: str, cluster: str
) -> Failure | None:
    """What became of a job that has ended: None if it succeeded, which needs both its own DONE and its scheduler's
    word (or that it has forgotten the job).

    asked : somebody asked the hub to cancel it; done, failed : what its folder says; said : the end of its log and of
        what its node said
    """
    name = word.state.split(" ")[0].rstrip("+") if word else "forgotten"
    if name == "OUT_OF_MEMORY" or (not done and _MEMORY.search(said)):
        return Failure(
            code="out-of-memory",
            message=f"A process of the job was ended on {cluster} because it used more memory than it was given.",
            hint="Choose a coarser mesh, more ranks, or let it use more memory.",
        )
    if failed is not None and failed.code not in _VAGUE:
        return failed
    if name in ("TIMEOUT", "DEADLINE"):
        return Failure(
            code="time-limit",
            message=f"The job was not finished within the time that {cluster} gives.",
            hint="Choose a coarser mesh, more ranks, or let it use more time.",
        )
    if name in _LOST:
        return Failure(
            code="lost", message=f"{cluster} lost the node the job ran on ({name}).", hint="It is run again by itself."
        )
    if asked and not (done and name in ("COMPLETED", "ended", "forgotten")):
        return Failure(code="cancelled", message="The run was cancelled.")
    if name == "CANCELLED" and done and not _SIGNALLED.search(said):
        return None  # a controller that was killed forgot the start, and cancelled what had ended well meanwhile
    if name == "CANCELLED":
        return Failure(
            code="killed",
            message=f"The job was cancelled on {cluster}, not by this hub.",
            hint="Ask the staff of the centre, then run it again.",
        )
    if done and name != "FAILED":
        return None
    if failed is not None:
        return failed
    if done:  # as after a controller that was killed: one of the two is wrong, and the case is not to blame
        return Failure(
            code="lost",
            message=f"The job wrote a result, and {cluster} says that it failed all the same.",
            hint="It is run again by itself.",
        )
    if AGAIN in said:
        return Failure(
            code="lost",
            message=f"{cluster} forgot that the job was running, ended it and started it again.",
            hint="It is run again by itself.",
        )
    tail = next((line for line in reversed(said.strip().splitlines()) if line.strip()), "")
    return Failure(
        code="lost" if word is None else "crashed",
        message=f"The job ended on {cluster} without a result" + (f"; the last words: {tail[:200]}" if tail else "."),
        hint="Run it again; the log has the details." if word is None else "The log has the details.",
    )
