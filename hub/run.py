"""A run as a folder: what was asked for, and what became of it.

Everything needed to go on stands in the folder, so that any process may take the next step at any time:

- ``run.json`` the :class:`Order`, ``case.json`` (SI), ``solver.json`` (its description), ``geometry.<ext>``
- ``<stage>/<n>/`` attempts (:mod:`hub.runfolder`); ``CANCEL`` once somebody asked for the end
- ``result.json`` when it has ended, with ``report.pdf``, ``fields.vtu`` and ``pictures/`` beside it
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hub import catalogue
from hub.clusters import BEST, HERE
from hub.jobrunner import disk_full
from hub.problem import Problem
from hub.result import Answer, Result
from hub.runfolder import STAGES, Failure, Stage, attempts, link, sha256, write_whole

#: Distributions whose versions decide an answer.
PROGRAMS = ("dolfinx-solver-real", "mpich", "gmsh", "meshio", "numpy", "scipy", "pyvista", "vtk", "typst", "pydantic")


class Order(BaseModel):
    """What a run was asked for.

    time : seconds the solve may take; memory : of all its ranks together [byte]
    cluster : where it is solved; None is this machine
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    digest: str
    geometry: str
    until: Literal["mesh", "solve", "report"] = "report"
    ranks: int
    memory: int
    time: float
    cluster: str | None = None
    created: float


@dataclass(frozen=True)
class Run:
    """A run's folder, and where results are kept by content."""

    folder: Path
    cache: Path

    @property
    def order(self) -> Order:
        """Raises FileNotFoundError if the run was never opened."""
        return Order.model_validate_json((self.folder / "run.json").read_bytes())

    @property
    def case(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "case.json").read_bytes()))

    @property
    def solver(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "solver.json").read_bytes()))

    @property
    def result(self) -> Result | None:
        """The result if the run has ended."""
        try:
            return Result.model_validate_json((self.folder / "result.json").read_bytes())
        except (OSError, ValidationError):
            return None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One step at a time, whoever takes it; the kernel frees the lock of a process that was killed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def open_run(
    run: Run,
    id: str,
    case_si: Mapping[str, Any],
    geometry: Path,
    *,
    name: str,
    identity: str = "",
    until: Literal["mesh", "solve", "report"] = "report",
    estimate: Mapping[str, Any] | None = None,
    ranks: int | None = None,
    cluster: str | None = None,
) -> Order:
    """Make the folder of a run; a run that is open already is left as it is.

    geometry : the CAD file or mesh; name : what its owner calls it
    identity : digest of the question, for whoever looks for an answer again
    ranks, cluster : MPI ranks and where it is solved, whatever the case says
    """
    with run.locked():
        if (run.folder / "run.json").exists():
            return run.order
        suffix = Path(name).suffix.lower()
        file = "geometry" + (suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else "")
        if not (run.folder / file).exists():
            part = run.folder / f".{file}.part"
            part.unlink(missing_ok=True)
            shutil.copyfile(geometry, part)  # not a link: its owner may go on working on it
            part.replace(run.folder / file)
        case = {**case_si, "geometry": {**case_si["geometry"], "file": name}}
        write_whole(run.folder / "case.json", json.dumps(case, indent=1, ensure_ascii=False, allow_nan=False))
        write_whole(run.folder / "solver.json", catalogue.describe(case["solver"]).model_dump_json(indent=1))
        given, cost = case.get("resources", {}), estimate or {}
        place = cluster or given.get("cluster")
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        elsewhere = place not in (None, HERE, BEST)
        memory, seconds = asked_for(given, cost, math.inf if elsewhere else 0.9 * physical)
        order = Order(
            id=id,
            digest=identity,
            geometry=file,
            until=until,
            ranks=ranks or given.get("ranks") or cost.get("ranks") or len(os.sched_getaffinity(0)),
            memory=memory,
            time=seconds,
            cluster=place if elsewhere else None,
            created=time.time(),
        )
        write_whole(run.folder / "run.json", order.model_dump_json(indent=1))
        return order


def asked_for(given: Mapping[str, Any], estimate: Mapping[str, Any], room: float = math.inf) -> tuple[int, float]:
    """(memory [byte], wall time [s]) that a solve is given: what the case says, else the estimate with room to spare.

    room : the most memory there is [byte]
    """
    memory = given.get("memory") or min(room, max(4e9, 3 * estimate.get("memory", 0.0)))
    return int(memory), float(given.get("time") or max(3600.0, 20 * estimate.get("seconds", 0.0)))


def stages(order: Order) -> Sequence[Stage]:
    """The stages the run goes through."""
    return STAGES[: STAGES.index(order.until) + 1]


# --- the end ------------------------------------------------------------------------------------------------------


def conclude(run: Run, stage: Stage | None, failure: Failure | None) -> Result:
    """Write ``result.json``, and beside it what people look for. Never fails for want of room: the store still
    learns the result."""
    states: dict[str, Literal["refused", "cancelled"]] = {"refused": "refused", "cancelled": "cancelled"}
    answer = _read_answer(run) if (stage in (None, "report") and failure is None) or stage == "report" else None
    case = run.case if (run.folder / "case.json").exists() else {}
    result = Result(
        state="done" if failure is None else states.get(failure.code, "failed"),
        title=case.get("title", ""),
        verdict=answer and answer.verdict,
        quantities=answer.quantities if answer else {},
        checks=answer.checks if answer else (),
        curves=answer.curves if answer else (),
        notes=answer.notes if answer else (),
        solver=_solver(run, answer) if case else {},
        mesh=_mesh_numbers(run),
        timings=_timings(run, answer),
        failure=None if failure is None else {"stage": stage, **failure.model_dump()},
        provenance=provenance(run) if case else {},
    )
    try:
        files = _publish(run)
    except OSError as error:
        files = {}
        if failure is None:
            return conclude(run, stage, failure_of(error, run))
    result = result.model_copy(update={"files": files})
    with suppress(OSError):
        write_whole(run.folder / "result.json", result.model_dump_json(indent=1))
    return result


def refused(run: Run, title: str, problems: Sequence[Problem]) -> Result:
    """The result of a case that was refused before anything ran."""
    failure = {
        "stage": None,
        "code": "refused",
        "message": "The case cannot be run as it is.",
        "hint": "Correct it and run it again.",
        "problems": [problem.model_dump() for problem in problems],
    }
    result = Result(state="refused", title=title, failure=failure)
    write_whole(run.folder / "result.json", result.model_dump_json(indent=1))
    return result


def _publish(run: Run) -> dict[str, str]:
    """Link what people look for to the root of the run; path below it -> sha256."""
    published = {}
    for stage, names in (("solve", ("fields.vtu", "moving.vtkhdf")),
                         ("report", ("report.pdf", "view3d.bin", "pictures/*.*")),
                         ("mesh", ("faces.png", "mesh.png", "mesh.vtu"))):  # fmt: skip
        tried = attempts(run.folder, stage)
        if not tried or not (tried[-1].folder / "DONE").exists():
            continue
        for source in (file for name in names for file in sorted(tried[-1].out.glob(name))):
            name = source.relative_to(tried[-1].out).as_posix()
            if stage == "mesh" and source.suffix == ".png":
                name = f"pictures/{name}"
            target = run.folder / name
            target.parent.mkdir(exist_ok=True)
            if not target.exists():
                link(source, target)
            published[name] = sha256(target)
    return published


def _read_answer(run: Run) -> Answer | None:
    tried = attempts(run.folder, "solve")
    with suppress(IndexError, OSError, ValidationError):
        return Answer.model_validate_json((tried[-1].out / "answer.json").read_bytes())
    return None


def _solver(run: Run, answer: Answer | None) -> dict[str, Any]:
    described = run.solver
    found: dict[str, Any] = {"name": described["name"], "version": described["version"]}
    if answer:
        found |= {
            "ranks": run.order.ranks,
            "unknowns": answer.unknowns,
            "iterations": answer.iterations,
            "peak_memory": answer.peak_memory,
        }
    return found


def _mesh_numbers(run: Run) -> dict[str, Any]:
    for attempt in reversed(attempts(run.folder, "mesh")):
        with suppress(OSError, ValueError, KeyError):
            return dict(json.loads((attempt.out / "mesh.json").read_bytes())["numbers"])
    return {}


def _timings(run: Run, answer: Answer | None) -> dict[str, float]:
    """Seconds of each stage's last attempt (nothing for what was known already), of waiting for the solve's turn
    (``queue``), and of the parts of the solve."""
    found = dict[str, float]()
    for stage in STAGES:
        for attempt in attempts(run.folder, stage)[-1:]:
            with suppress(OSError, ValueError, KeyError):
                used = json.loads((attempt.folder / "used.json").read_bytes())
                found[stage] = float(used["seconds"])
                if stage == "solve":
                    found["queue"] = float(used["waited"])
    return found | {f"solve: {name}": seconds for name, seconds in (answer.seconds if answer else {}).items()}


def provenance(run: Run) -> dict[str, Any]:
    """From what and with what an answer was made; nothing about the machine, nor where it lies on it."""
    order, described = run.order, run.solver
    made = {"geometry": run.folder / order.geometry, "case": run.folder / "case.json"}
    for name, (stage, file) in {
        "mesh": ("mesh", "mesh.npz"),
        "fields": ("solve", "fields.vtu"),
        "moving fields": ("solve", "moving.vtkhdf"),
    }.items():
        for attempt in attempts(run.folder, stage)[-1:]:
            if (attempt.out / file).exists():
                made[name] = attempt.out / file
    return {
        "created": datetime.fromtimestamp(order.created, UTC).isoformat(timespec="seconds"),
        "officina": version("officina"),
        "solver": f"{described['name']} {described['version']}",
        "python": platform.python_version(),
        "programs": {name: version(name) for name in PROGRAMS},
        "sha256": {name: sha256(file) for name, file in made.items()},
        "ranks": order.ranks,
    }


@cache
def version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def failure_of(error: Exception, run: Run) -> Failure:
    full = (isinstance(error, OSError) and error.errno in (28, 122)) or disk_full(run.folder)
    if full:
        return Failure(code="disk-full", message="The disk is full.", hint="Free some room and run again.")
    # not str(error): it would tell where things lie on this machine
    said = f"{error.strerror}: {Path(str(error.filename)).name}" if isinstance(error, OSError) else str(error)
    return Failure(code="crashed", message=f"The stage could not be started: {said}", hint="Tell the staff.")
