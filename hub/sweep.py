"""A study as a folder: its points, how they are walked, and what came out.

- ``study.json`` what was asked, ``geometry.<ext>``, ``points.json`` every point with what its check said
- ``points/<key>/`` the run of each different question (:mod:`hub.run`); points that ask the same share one
- ``place`` where points are solved that leave it to a rule; ``CANCEL`` once somebody asked for the end
- ``result.json`` (:class:`hub.study_result.StudyResult`), ``table.csv``, ``plots/*.png``

Everything that is needed to go on stands in the folder, as with runs: any process may walk it at any time, one at a
time. Points are solved side by side, each in a slot of a Dask cluster of this machine that waits for its job; what the
next ones need is made while the cores are busy.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hub import catalogue, pipeline
from hub.anywhere import Anywhere
from hub.board import newest
from hub.case import digest
from hub.case import read as read_case
from hub.check import Checked, check_cases
from hub.clusters import BEST, HERE
from hub.clusters import load as load_clusters
from hub.intake import GeometryVerdict, inspect
from hub.problem import Problem, Refused, excerpt
from hub.result import Answer
from hub.run import Run, open_run
from hub.runfolder import attempts, sha256, write_whole
from hub.settings import Settings, cores
from hub.study import Study, Value, points, read, si_value
from hub.study_result import ENVELOPE, Envelope, State, StudyPoint, StudyResult, conclude, post
from hub.where import choose, foreseen
from hub.where import places as places_of

#: Seconds between two glances at whether a job here has ended, and between two looks at jobs, which cost more: on
#: clusters, and here, where a look only finds what ended without a word.
GLANCE, LOOK, LOOK_HERE = 0.05, 1.0, 5.0
#: Names of what a study leaves for people, beside ``plots/``.
PRODUCTS = ("result.json", "table.csv", ENVELOPE)


@dataclass(frozen=True)
class Progress:
    """How many points are done, have ended in another way, and how many there are; points with one question once."""

    done: int
    other: int
    of: int

    @property
    def ended(self) -> bool:
        return self.done + self.other >= self.of


@dataclass(frozen=True)
class Sweep:
    """The folder of a study, and where results are kept by content."""

    folder: Path
    cache: Path

    @property
    def study(self) -> Study:
        """Raises FileNotFoundError if the study was never opened."""
        return read(json.loads((self.folder / "study.json").read_bytes()))

    @property
    def points(self) -> list[StudyPoint]:
        found = json.loads((self.folder / "points.json").read_bytes())
        return [StudyPoint.model_validate(each) for each in found]

    @property
    def geometry(self) -> Path:
        return next(iter(self.folder.glob("geometry.*")), self.folder / "geometry")

    @property
    def result(self) -> StudyResult | None:
        """The result if the study has ended."""
        try:
            return StudyResult.model_validate_json((self.folder / "result.json").read_bytes())
        except (OSError, ValidationError):
            return None

    @property
    def cancelled(self) -> bool:
        return (self.folder / "CANCEL").exists()

    def run(self, key: str) -> Run:
        return Run(self.folder / "points" / key, self.cache)

    @contextmanager
    def walking(self) -> Iterator[bool]:
        """Whether this process is the one that walks the study now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _held(self.folder / ".walker", wait=False) as mine:
            yield mine

    def progress(self) -> Progress:
        """Cheap: it looks at what runs have left, not at jobs."""
        with suppress(OSError):
            keys = {p.key or f"refused {p.number}" for p in self.points}
            states = [_state(self.run(k)) if " " not in k else "refused" for k in keys]
            done = states.count("done")
            return Progress(done, sum(s in ("failed", "refused", "cancelled") for s in states), len(states))
        return Progress(0, 0, 0)

    def cancel(self) -> None:
        """Ask for the end; whoever walks the study ends its jobs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "CANCEL").touch()


@contextmanager
def _held(file: Path, *, wait: bool) -> Iterator[bool]:
    """A lock that the kernel frees when its holder is killed."""
    with file.open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def _state(run: Run) -> State:
    result = run.result
    if result is not None:
        return result.state
    return "running" if (run.folder / "run.json").exists() else "waiting"


# --- opening ------------------------------------------------------------------------------------------------------


def open_study(
    sweep: Sweep,
    study: Study,
    case: Mapping[str, Any],
    geometry: Path,
    *,
    name: str | None = None,
    verdict: GeometryVerdict | None = None,
) -> list[StudyPoint]:
    """Make the folder of a study and check every point; one that is open already for this very question goes on.

    name : what the owner of the geometry calls it; verdict : what intake said of it, if it was asked before
    Raises Refused where nothing can be run at all, SolverBroken, OSError.
    """
    name = name or geometry.name
    if not geometry.is_file():
        todo = "Put it into the folder of the case, or correct its name."
        expected = "a CAD file or mesh beside the case"
        raise Refused([Problem(where="geometry.file", found=f"no file {excerpt(name)}", expected=expected, todo=todo)])
    stamps = [catalogue.source_digest(n) for n in (str(case.get("solver")), "meshing")]
    content = sha256(geometry)
    asked = {**study.model_dump(mode="json", by_alias=True, exclude_none=True), "case": dict(case)}
    identity = digest([asked, content, stamps])
    with suppress(OSError):
        if (sweep.folder / "identity").read_text() == identity:
            return sweep.points
    wanted = points(study, case)
    checked = check_cases([p.case for p in wanted], geometry, verdict)
    if not any(each.ready for each in checked):
        raise Refused(checked[0].problems)
    found = [_point(p.number, p.values, each, content, stamps) for p, each in zip(wanted, checked, strict=True)]
    _make(sweep, name, geometry, asked, found, identity)
    return found


def _point(number: int, values: tuple[Value, ...], checked: Checked, content: str, stamps: Sequence[str]) -> StudyPoint:
    if not checked.ready or checked.case is None:
        return StudyPoint(number=number, values=values, problems=checked.problems)
    return StudyPoint(
        number=number,
        values=values,
        key=digest([checked.case, content, stamps])[:24],
        case=checked.case,
        estimate=checked.estimate.model_dump() if checked.estimate else None,
        problems=checked.problems,
    )


def _make(
    sweep: Sweep, name: str, geometry: Path, asked: dict[str, Any], found: Sequence[StudyPoint], identity: str
) -> None:
    """Write the folder. Points that were computed for an earlier form of the study stay, by their keys."""
    folder = sweep.folder
    ours = ("points", "study.json", "CANCEL", ".walker")
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / n).exists() for n in ours):
        raise Refused(
            [
                Problem(
                    where=excerpt(str(folder)),
                    found="a folder with other things in it",
                    expected="an empty folder, or that of an earlier study",
                    todo="Name another folder with --out.",
                    code="not-a-study",
                )
            ]
        )
    (folder / "points").mkdir(parents=True, exist_ok=True)
    for old in ("identity", "CANCEL", "place", *PRODUCTS):
        (folder / old).unlink(missing_ok=True)
    shutil.rmtree(folder / "plots", ignore_errors=True)
    for old_file in folder.glob("geometry.*"):
        old_file.unlink()
    suffix = Path(name).suffix.lower()
    kept = folder / ("geometry" + (suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ".part"))
    shutil.copyfile(geometry, kept)
    write_whole(folder / "study.json", json.dumps(asked, indent=1, ensure_ascii=False))
    write_whole(folder / "points.json", json.dumps([p.model_dump(mode="json") for p in found], ensure_ascii=False))
    write_whole(folder / "identity", identity)


def middle_size(case: Mapping[str, Any], geometry: Path) -> float:
    """The largest element of a case's mesh [m]: as it says, or as its fineness gives. Raises Refused."""
    if (given := si_value(case.get("mesh", {}).get("size", ""))) is not None:
        return given
    loaded = read_case(case)
    verdict = inspect(geometry, unit=loaded.geometry.unit)
    table = verdict.domains.get(loaded.domain.kind) or verdict.cost
    if loaded.mesh.fineness not in table:
        todo = "Say it in the case, for example mesh: {size: 4 mm}."
        expected = "a size that the part and the fineness give"
        raise Refused([Problem(where="mesh.size", found="nothing", expected=expected, todo=todo)])
    return table[loaded.mesh.fineness].size


# --- walking ------------------------------------------------------------------------------------------------------


def solve_point(folder: str, key: str, cache: str, home: str, ranks: int, until: str) -> str:
    """Bring the run of one point to its end; the state it ended in. Called in a slot.

    Points on one mesh wait for the first of them to have made it.
    """
    from hub.local import LocalExecutor

    sweep = Sweep(Path(folder), Path(cache))
    run, executor = sweep.run(key), LocalExecutor(Path(home))
    if (result := run.result) is not None:
        return result.state
    if sweep.cancelled:
        return "waiting"
    point = next(p for p in sweep.points if p.key == key)
    _open(sweep, run, point, ranks, until, HERE)
    made = Path(cache) / "making"
    made.mkdir(parents=True, exist_ok=True)
    with _held(made / pipeline.mesh_key(run), wait=True):
        while _step(sweep, run, executor) is None and not attempts(run.folder, "solve"):
            _wait(sweep, run)
    while (state := _step(sweep, run, executor)) is None:
        _wait(sweep, run)
    return state


def _wait(sweep: Sweep, run: Run) -> None:
    """Until the job under way has left an end marker, the end was asked for, or a look is due."""
    attempt, due = newest(run.folder), time.monotonic() + LOOK_HERE
    time.sleep(GLANCE)
    marks = [str(sweep.folder / "CANCEL"), *(str(attempt.folder / m) for m in ("DONE", "FAILED") if attempt)]
    while time.monotonic() < due and not any(map(os.path.exists, marks)):
        time.sleep(GLANCE)


def _open(sweep: Sweep, run: Run, point: StudyPoint, ranks: int, until: str, cluster: str) -> None:
    assert point.case is not None
    open_run(
        run,
        f"{str(point.key)[:16]}-{secrets.token_hex(6)}",  # a point that is run again has other jobs
        point.case,
        sweep.geometry,
        name=sweep.geometry.name,
        until="report" if until == "report" else "solve",
        estimate=point.estimate,
        ranks=ranks,
        cluster=cluster,
    )


def _step(sweep: Sweep, run: Run, executor: Any) -> str | None:
    standing = pipeline.cancel(run, executor) if sweep.cancelled else pipeline.advance(run, executor)
    return standing.result.state if standing.result else None


def walk(
    sweep: Sweep, settings: Settings, tell: Callable[[Progress], None] | None = None, *, carries: bool = False
) -> StudyResult:
    """Bring every point of an open study to its end and write down what came out.

    carries : whether this process brings jobs to clusters; in a hub the orchestration does
    Points that have ended stay as they are; see :func:`retry`. Raises OSError.
    """
    began = time.monotonic()
    study = sweep.study
    places = {p.key: (p.case or {}).get("resources", {}).get("cluster") for p in sweep.points if p.key}
    left = [k for k in places if sweep.run(k).result is None]
    if any(places[k] == BEST for k in left):
        chosen = place_by_rule(sweep, settings)
        places = {k: chosen if place == BEST else place for k, place in places.items()}
    told = -math.inf

    def say() -> None:
        """Counting looks at every point, so that many would count for ever."""
        nonlocal told
        if tell and time.monotonic() - told >= LOOK:
            tell(sweep.progress())
            told = time.monotonic()

    say()
    here = [k for k in left if places[k] in (None, HERE)]
    if there := {k: str(places[k]) for k in left if k not in here}:
        _there(sweep, study, there, settings, carries, say)
    slots = max(1, settings.ranks // study.ranks)
    # as many points again wait for cores with their jobs made, so that no core waits for the next; which is only so
    # where jobs get all cores of the machine, since then these keep more from running
    ahead = slots if settings.ranks >= cores() else 0
    with _slots(slots + ahead) as client:
        if here:
            _here(sweep, study, here, settings, client, say)
        envelope = _envelope(sweep, client, slots)
    result = conclude(sweep.folder, study, sweep.points, sweep.run, time.monotonic() - began, envelope)
    if tell:
        tell(sweep.progress())
    return result


def place_by_rule(sweep: Sweep, settings: Settings) -> str:
    """The place that the rule takes for all points that leave the choice to it; it stays chosen.

    Judged by the point that takes longest, and by how many of them one job's cores solve side by side; a cluster may
    well do more at once. This machine, where they fit nowhere: they then end with what is missing.
    """
    file = sweep.folder / "place"
    with suppress(OSError):
        return file.read_text()
    study = sweep.study
    left = [(p.case, p.estimate) for p in sweep.points if p.case and p.estimate]
    left = [(case, estimate) for case, estimate in left if case.get("resources", {}).get("cluster") == BEST]
    case, estimate = max(left, key=lambda each: float(each[1]["seconds"]))
    given, clusters = case["resources"], list(load_clusters(settings.home).values())
    found = places_of(estimate, catalogue.describe(case["solver"]).cost, clusters, settings, ranks=study.ranks)
    found = foreseen(found, clusters, settings.home, given, estimate)
    offered = {HERE: settings.ranks} | {c.name: c.limits.ranks for c in clusters}
    turns = {name: math.ceil(len(left) / max(1, n // study.ranks)) for name, n in offered.items()}
    chosen = choose(
        [p.model_copy(update={"seconds": p.seconds * turns[p.cluster]}) for p in found],
        given.get("prefer") or settings.prefer,
    )
    name = chosen.cluster if chosen else HERE
    write_whole(file, name)
    return name


def _here(
    sweep: Sweep, study: Study, keys: Sequence[str], settings: Settings, client: Any, say: Callable[[], None]
) -> None:
    """Solve points on this machine, one in each slot."""
    from dask.distributed import as_completed

    until = "report" if study.reports else "solve"
    rest = (str(sweep.cache), str(settings.home), min(study.ranks, settings.ranks), until)
    waiting = client.map(lambda key: solve_point(str(sweep.folder), key, *rest), keys, pure=False, retries=2)
    for future in as_completed(waiting, raise_errors=False):  # type: ignore[no-untyped-call]
        if future.status == "error":
            _note(sweep, future)
        say()


def _envelope(sweep: Sweep, client: Any, slots: int) -> Envelope | None:
    """The extremes of the fields over all points that are done, each slot those of its share; None of fewer than two
    points, of points on different meshes, or of fields that stayed on a cluster."""
    done = {p.key: p for p in reversed(sweep.points) if p.key and _state(sweep.run(p.key)) == "done"}
    files = sorted((p.number, str(sweep.run(k).folder / "fields.vtu")) for k, p in done.items())
    solved = [found[-1] for k in done if (found := attempts(sweep.run(k).folder, "solve"))]
    meshes = [mesh for a in solved if (mesh := a.inputs / "mesh.npz").is_file()]
    different = {mesh.stat().st_ino: mesh for mesh in meshes}.values()  # the same file, linked; or a copy of it
    if len(files) < 2 or len({sha256(mesh) for mesh in different}) != 1:
        return None
    views = Answer.model_validate_json((solved[0].out / "answer.json").read_bytes()).views
    view = next((v for v in views if v.kind in ("surface", "section") and v.component is None), None)
    if view is None or not all(Path(file).is_file() for _, file in files):
        return None
    scratch = sweep.folder / ".envelope"
    scratch.mkdir(exist_ok=True)
    try:
        shares = [(str(scratch / f"{i}"), files[i::slots]) for i in range(min(slots, len(files)))]
        parts = client.gather(client.map(_extremes, *zip(*shares, strict=True), pure=False))
        target = str(sweep.folder / ENVELOPE)
        said = post("envelope", view.field, files[0][1], target, *parts, log=sweep.folder / "slots.log")
        found = json.loads(said)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    title = {
        "en": f"{view.title.get('en', view.name)}, largest over all points",
        "it": f"{view.title.get('it', view.name)}, massimo su tutti i punti",
    }
    drawn = {"name": "envelope", "title": title, "field": f"{view.field}_max", "warp": None, "mark": None}
    return Envelope(view=view.model_copy(update=drawn), **found)


def _extremes(part: str, files: Sequence[tuple[int, str]]) -> str:
    """Of a slot's share of the results; the file they are kept in. Raises OSError, SubprocessError."""
    Path(f"{part}.json").write_text(json.dumps(files))
    post("extremes", f"{part}.json", f"{part}.npz", log=Path(f"{part}.log"))
    return f"{part}.npz"


def _there(
    sweep: Sweep,
    study: Study,
    keys: Mapping[str, str],
    settings: Settings,
    carries: bool,
    say: Callable[[], None],
) -> None:
    """Mesh points here and have them solved on clusters, which get them as arrays; one process watches all.

    keys : point -> its cluster
    """
    executor = Anywhere(settings.home, carries=carries)
    points = {p.key: p for p in sweep.points if p.key}
    meshes: dict[str, str] = {}
    left = list(keys)
    try:
        while left:
            making, still = set[str](), []
            for key in left:
                run = sweep.run(key)
                if run.result is not None or (sweep.cancelled and not (run.folder / "run.json").exists()):
                    continue
                _open(sweep, run, points[key], study.ranks, "report" if study.reports else "solve", keys[key])
                if not attempts(run.folder, "solve"):
                    mesh = meshes.setdefault(key, pipeline.mesh_key(run))
                    if mesh in making:  # one of them makes it
                        still.append(key)
                        continue
                    making.add(mesh)
                if _step(sweep, run, executor) is None:
                    still.append(key)
                else:
                    say()
            left = still
            time.sleep(LOOK / 10 if making else LOOK)
    finally:
        executor.close()


def _note(sweep: Sweep, future: Any) -> None:
    """A slot could not even open a point: that is written down as the point's failure when the study ends."""
    with (sweep.folder / "slots.log").open("a") as log:
        log.write(f"{excerpt(repr(future.exception()))}\n")


@contextmanager
def _slots(count: int) -> Iterator[Any]:
    """Threads of this process that wait for solves and reductions, which are processes of their own.

    Others on this machine learn nothing: what Dask always listens on is of this machine alone and has no pages."""
    import dask
    from distributed import Client, LocalCluster

    nowhere = "127.0.0.1:0"
    quiet = {
        "distributed.admin.tick.limit": "60s",
        "distributed.logging": {"distributed": "error"},
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.worker.profile.enabled": False,
    }
    with dask.config.set(quiet):
        cluster = LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=1,
            threads_per_worker=count,
            processes=False,
            dashboard_address=nowhere,
            worker_dashboard_address=nowhere,
            scheduler_kwargs={"dashboard": False},
            memory_limit=None,
            silence_logs=50,
        )
        client = Client(cluster, set_as_default=False)  # type: ignore[no-untyped-call]
        with cluster, client, client.as_current():
            yield client


def end_points(sweep: Sweep, settings: Settings) -> bool:
    """Ask every point of a cancelled study that nobody walks to end; whether nothing of it runs any more."""
    executor = Anywhere(settings.home)
    with suppress(OSError):
        keys = {p.key for p in sweep.points if p.key}
        opened = [run for run in map(sweep.run, keys) if (run.folder / "run.json").exists() and run.result is None]
        if not all([_step(sweep, run, executor) for run in opened]):
            return False
        conclude(sweep.folder, sweep.study, sweep.points, sweep.run, 0.0)
    return True


def retry(sweep: Sweep) -> int:
    """Forget the points that failed or were cancelled, so that the next walk runs them again; how many there are."""
    again = 0
    known = sweep.points if (sweep.folder / "points.json").exists() else []
    for key in {p.key for p in known if p.key}:
        run = sweep.run(key)
        if run.result is not None and run.result.state != "done":
            shutil.rmtree(run.folder, ignore_errors=True)
            again += 1
    if again or sweep.cancelled:
        for name in ("result.json", "CANCEL"):
            (sweep.folder / name).unlink(missing_ok=True)
    return again
