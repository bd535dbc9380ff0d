"""What the stages of a run are made from, and how a run moves on.

:func:`advance` takes the next step and is idempotent: attempts and jobs that exist are found, not made again. The
flows call it, and so does :func:`run_foreground`, which needs neither store nor server.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hub import catalogue
from hub.anywhere import Anywhere
from hub.case import digest, load_data, read, slug
from hub.check import check_case
from hub.clusters import HERE
from hub.clusters import find as find_cluster
from hub.executor import Executor, ExecutorError, Handle, JobState
from hub.jobrunner import disk_full
from hub.problem import Problem, Refused, excerpt
from hub.result import Result
from hub.run import Order, Run, conclude, failure_of, open_run, provenance, refused, stages, version
from hub.runfolder import STAGES, Attempt, Done, Failure, Job, Stage, Status, attempts, link, sha256, write_whole
from hub.settings import load as load_settings

#: Failures of the machines, not of the case: these get a fresh attempt, up to ATTEMPTS of them.
INFRASTRUCTURE = frozenset({"lost", "corrupt-result"})
ATTEMPTS = 2
#: Stages whose results are kept by content.
CACHED = ("check", "mesh")
#: What each stage takes from the stages before it.
_TAKES: dict[str, dict[str, tuple[str, ...]]] = {
    "check": {},
    "mesh": {"check": ("verdict.json", "surface.npz")},
    "solve": {"mesh": ("mesh.npz", "mesh.json", "coarser/mesh.npz", "coarser/mesh.json")},
    "report": {
        "check": ("verdict.json", "surface.npz"),
        "mesh": ("mesh.json", "mesh.png", "faces.png"),
        "solve": ("answer.json", "fields.vtu", "moving.vtkhdf"),
    },
}


@dataclass(frozen=True)
class Standing:
    """Where a run stands: in a stage, with a job that has not ended, or at its end with a result."""

    stage: Stage | None = None
    attempt: Attempt | None = None
    handle: Handle | None = None
    state: JobState | None = None
    result: Result | None = None


# --- stages -------------------------------------------------------------------------------------------------------


def prepare(run: Run, stage: Stage) -> Attempt:
    """The folder of the next attempt of a stage; with its results and DONE if the same was made before.

    Raises OSError, SolverBroken.
    """
    order, case = run.order, run.case
    folder = run.folder / stage
    for leftover in folder.glob(".*.part"):
        shutil.rmtree(leftover, ignore_errors=True)
    number = len(attempts(run.folder, stage)) + 1
    documents: dict[str, Any] = {"case.json": case}
    files: dict[str, Path] = {}
    for earlier, names in _TAKES[stage].items():
        out = attempts(run.folder, earlier)[-1].out
        files |= {name: out / name for name in names if (out / name).exists()}
    if stage == "solve" and number > 1:  # a new attempt goes on where the latest checkpoint was made
        kept_points = [a.checkpoint for a in attempts(run.folder, stage) if any(_files(a.checkpoint))]
        files |= {f"checkpoint/{f.name}": f for f in (_files(kept_points[-1]) if kept_points else ())}
    if stage in CACHED:
        files[order.geometry] = run.folder / order.geometry
    if stage == "report":
        documents |= {"solver.json": run.solver, "provenance.json": provenance(run)}
    job = Job(name=f"{order.id}-{stage}-{number}", **_job(stage, order, case))
    kept = _kept(run, stage) if number == 1 else None
    return Attempt.create(folder / str(number), documents, files, job, kept)


def _files(folder: Path) -> list[Path]:
    """The whole files of a checkpoint."""
    return sorted(f for f in folder.iterdir() if f.is_file() and f.suffix != ".part") if folder.is_dir() else []


def _job(stage: Stage, order: Order, case: Mapping[str, Any]) -> dict[str, Any]:
    """argv, ranks, memory [byte] and time [s] of a stage's job."""
    python = (sys.executable, "-m")
    match stage:
        case "check":
            return {"argv": (*python, "solvers.meshing", "check"), "memory": 4_000_000_000, "time": 600.0}
        case "mesh":
            return {"argv": (*python, "solvers.meshing", "mesh"), "memory": 8_000_000_000, "time": 3600.0}
        case "solve":
            argv = catalogue.solver_command(case["solver"], order.ranks)
            limits = {"memory": order.memory, "time": order.time}
            needed = _TAKES["report"]["solve"] if order.until == "report" else ()
            return {"argv": argv, "ranks": order.ranks, "cluster": order.cluster, "needed": needed, **limits}
        case "report":
            return {"argv": (*python, "solvers.post", "report"), "memory": 8_000_000_000, "time": 1800.0}


def _key(run: Run, stage: Stage) -> Path:
    """Where the results of a stage are kept: by all that decides them."""
    case, order = run.case, run.order
    question = {
        "geometry": sha256(run.folder / order.geometry),
        "kind": order.geometry,
        "words in pictures": case.get("language"),
        "domain": case.get("domain"),
        "read as": {k: v for k, v in case["geometry"].items() if k != "file"},
        "mesh": case.get("mesh"),
        "selections": case.get("selections"),
        "bodies": [body["on"] for body in case["bodies"]],
        "programs": [catalogue.source_digest("meshing"), *map(version, ("gmsh", "meshio", "numpy"))],
    }
    return run.cache / stage / digest(question)


def mesh_key(run: Run) -> str:
    """The same for runs that are solved on the same mesh."""
    return _key(run, "mesh").name


def _kept(run: Run, stage: Stage) -> dict[str, Path] | None:
    """The results of a stage if they were kept and are still what they were."""
    if stage not in CACHED:
        return None
    kept = Attempt(_key(run, stage))
    outcome = kept.outcome()
    if isinstance(outcome, Done):
        return {name: kept.out / name for name in outcome.files}
    if outcome is not None:
        shutil.rmtree(kept.folder, ignore_errors=True)
    return None


def _keep(run: Run, stage: Stage, attempt: Attempt, done: Done) -> None:
    """Keep the results of a stage for runs to come; a full disk is no reason to fail."""
    if stage not in CACHED or (place := _key(run, stage)).exists():
        return
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        for name in done.files:
            (part / "out" / name).parent.mkdir(parents=True, exist_ok=True)
            link(attempt.out / name, part / "out" / name)
        write_whole(part / "DONE", done.model_dump_json())
        part.rename(place)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)


# --- moving on ----------------------------------------------------------------------------------------------------


def advance(run: Run, executor: Executor) -> Standing:
    """Take the steps that can be taken now. Raises ExecutorError, FileNotFoundError if the run was never opened."""
    if result := run.result:
        return Standing(result=result)
    with run.locked():
        if result := run.result:
            return Standing(result=result)
        if (run.folder / "CANCEL").exists():
            return _cancelled(run, executor)
        order = run.order
        for stage in stages(order)[_reached(run, order) :]:
            standing = _stage(run, stage, executor)
            if standing is not None:
                return standing
        return Standing(result=conclude(run, None, None))


def _reached(run: Run, order: Order) -> int:
    """Number of the stage the run is in. What lies before it was verified when its next stage was made."""
    return max((i for i, stage in enumerate(stages(order)) if attempts(run.folder, stage)), default=0)


def _stage(run: Run, stage: Stage, executor: Executor) -> Standing | None:
    """Bring a stage on: a Standing while there is something to wait for, or at the end; None when it is done."""
    while True:
        tried = attempts(run.folder, stage)
        try:
            attempt = tried[-1] if tried else prepare(run, stage)
            job = attempt.job()
            handle = executor.find(job.name)
            ended = (attempt.folder / "DONE").exists() or (attempt.folder / "FAILED").exists()
            if handle is None and not ended:
                handle = executor.submit(attempt)
            if handle is not None:
                state = executor.poll([handle])[handle]
                if state is not JobState.ENDED:
                    return Standing(stage, attempt, handle, state)
            outcome = attempt.outcome() or _without_account(attempt)
            if isinstance(outcome, Done):
                _keep(run, stage, attempt, outcome)
                return None
            if outcome.code in INFRASTRUCTURE and len(attempts(run.folder, stage)) < ATTEMPTS:
                prepare(run, stage)
                continue
        except (OSError, catalogue.SolverBroken, ExecutorError) as error:
            outcome = failure_of(error, run)
        return Standing(stage, result=conclude(run, stage, outcome))


def _without_account(attempt: Attempt) -> Failure:
    if disk_full(attempt.folder):
        return Failure(code="disk-full", message="The disk is full.", hint="Free some room and run again.")
    return Failure(code="lost", message="The job ended and nobody could say why.", hint="Run it again.")


def cancel(run: Run, executor: Executor) -> Standing:
    """Ask for the end of a run: nothing new is started; every job is told to end. Raises OSError, ExecutorError."""
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "CANCEL").touch()
    if result := run.result:
        return Standing(result=result)
    with run.locked():
        return _cancelled(run, executor)


def _cancelled(run: Run, executor: Executor) -> Standing:
    """Tell the jobs that live to end; a result once none does."""
    for stage in reversed(STAGES):
        for attempt in attempts(run.folder, stage):
            handle = executor.find(attempt.job().name)
            if handle is None:
                continue
            state = executor.poll([handle])[handle]
            if state is not JobState.ENDED:
                if not (attempt.folder / ".told").exists():
                    executor.cancel(handle)
                    (attempt.folder / ".told").touch()
                return Standing(stage, attempt, handle, state)
    return Standing(result=conclude(run, None, Failure(code="cancelled", message="The run was cancelled.")))


# --- here and now -------------------------------------------------------------------------------------------------


def run_foreground(
    source: Path,
    out: Path,
    ranks: int | None = None,
    progress: Callable[[str, Status], None] | None = None,
    cluster: str | None = None,
) -> Result:
    """Run a case folder or file to its end in the folder `out`; solved here, or on a cluster if the case or `cluster`
    says so.

    An answer to the very same question that lies in `out` already is returned; a run of it that is still going, or
    was interrupted, is gone on with. Raises Refused for what cannot be read and for a folder that is not a run's.
    """
    typed, folder = load_data(source)
    loaded, settings = read(typed), load_settings()
    geometry = folder / loaded.geometry.file
    executor, run = Anywhere(settings.home, carries=True), Run(out.absolute(), settings.cache)
    if cluster not in (None, HERE):
        find_cluster(settings.home, str(cluster))
    programs = [catalogue.source_digest(name) for name in (loaded.solver, "meshing")]
    question = [typed, _content(geometry), ranks, *([cluster] if cluster else []), *programs]
    identity = digest(question)
    if not _holds(run, identity):
        _clear(run, executor)
        checked = check_case(typed, geometry)
        if not checked.ready or checked.case is None:
            return refused(run, loaded.title, checked.problems)
        open_run(
            run,
            f"{slug(loaded.title)[:24].strip('-')}-{secrets.token_hex(6)}",
            checked.case,
            geometry,
            name=geometry.name,
            identity=identity,
            estimate=checked.estimate.model_dump() if checked.estimate else None,
            ranks=ranks,
            cluster=cluster,
        )
    try:
        while (standing := advance(run, executor)).result is None:
            _tell(standing, progress)
            time.sleep(0.1)
        return standing.result
    except KeyboardInterrupt:
        standing = cancel(run, executor)
        while standing.result is None:
            time.sleep(0.1)
            standing = advance(run, executor)
        raise
    finally:
        executor.close()


def _tell(standing: Standing, progress: Callable[[str, Status], None] | None) -> None:
    if progress is None or standing.stage is None or standing.attempt is None:
        return
    place = standing.attempt.job().cluster
    waiting = {
        JobState.QUEUED: f"waiting on {place}" if place else "waiting for free cores",
        JobState.UNREACHABLE: f"{place} is out of reach; the job there is not touched by that",
        JobState.UNKNOWN: f"{place} cannot say how the job is; waiting",
    }.get(standing.state or JobState.RUNNING)
    progress(standing.stage, Status(doing=waiting) if waiting else standing.attempt.status())


def _content(geometry: Path) -> str:
    """sha256 of a file; empty if it cannot be read, which the check of the case then says."""
    try:
        return sha256(geometry)
    except OSError:
        return ""


def _holds(run: Run, identity: str) -> bool:
    """The folder has this very question, with an answer or on the way to one."""
    try:
        same = run.order.digest == identity
    except (OSError, ValidationError):
        return False
    result = run.result
    return same and (result is None or result.state == "done") and not (run.folder / "CANCEL").exists()


def _clear(run: Run, executor: Executor) -> None:
    """End and take away an earlier run of the folder. Raises Refused if the folder holds anything else."""
    if not run.folder.exists() or not any(run.folder.iterdir()):
        run.folder.mkdir(parents=True, exist_ok=True)
        return
    if not any((run.folder / name).exists() for name in ("run.json", "result.json")):
        raise Refused(
            [
                Problem(
                    where=excerpt(str(run.folder)),
                    found="a folder with other things in it",
                    expected="an empty folder, or that of an earlier run",
                    todo="Name another folder with --out.",
                    code="not-a-run",
                )
            ]
        )
    if run.result is None and (run.folder / "run.json").exists():
        standing = cancel(run, executor)
        while standing.result is None:
            time.sleep(0.1)
            standing = advance(run, executor)
    old = run.folder / ".old"
    shutil.rmtree(old, ignore_errors=True)
    old.mkdir()
    # each goes in one step, the order last: what is interrupted here is taken away the next time
    parts = ("result.json", "report.pdf", "fields.vtu", "moving.vtkhdf", "view3d.bin", "mesh.vtu", "pictures")
    for name in (
        *parts,
        *reversed(STAGES),
        "CANCEL",
        "case.json",
        "solver.json",
        *(f.name for f in run.folder.glob("geometry*")),
        "run.json",
    ):
        with suppress(FileNotFoundError):
            (run.folder / name).rename(old / name)
    shutil.rmtree(old, ignore_errors=True)
