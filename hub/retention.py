"""How long results stay on clusters: what leaves soon is told, what is past its days is removed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from hub.clusters import WARNING_DAYS, Cluster, load
from hub.executor import Handle
from hub.register import Register
from hub.remote import ClusterExecutor
from hub.run import Run
from hub.runfolder import attempts

DAY = 86400.0


class Kept(NamedTuple):
    """A job whose files lie on a cluster.

    days : until they are removed; away : files that are nowhere else; warned : days since their owner was
    """

    name: str
    days: float
    away: tuple[str, ...]
    warned: float | None = None


def kept(cluster: Cluster, home: Path, now: float | None = None) -> list[Kept]:
    """Jobs that have ended and whose files are still on the cluster, those that leave first first.

    Empty for a cluster that keeps results for ever.
    """
    if cluster.retention is None:
        return []
    now, register, found = now or time.time(), Register(home, cluster.name), []
    for ended in register.jobs.glob("*/ended"):
        entry, warned = ended.parent, ended.parent / "warned"
        if not (entry / "removed").exists():
            days = cluster.retention - (now - ended.stat().st_mtime) / DAY
            since = (now - warned.stat().st_mtime) / DAY if warned.exists() else None
            found.append(Kept(entry.name, days, tuple(sorted(register.left(entry.name))), since))
    return sorted(found, key=lambda each: each.days)


def leaving(cluster: Cluster, home: Path, now: float | None = None) -> list[Kept]:
    """Those that leave within WARNING_DAYS with something that is nowhere else: their owners are to be warned."""
    return [each for each in kept(cluster, home, now) if each.away and each.days < WARNING_DAYS]


def warn(cluster: Cluster, home: Path, now: float | None = None) -> list[Kept]:
    """Note that the owners of what leaves soon are warned from now on; those that were not before."""
    fresh = [each for each in leaving(cluster, home, now) if each.warned is None]
    for each in fresh:
        (Register(home, cluster.name).entry(each.name) / "warned").touch()
    return fresh


def purge(cluster: Cluster, home: Path, now: float | None = None, *, executor: ClusterExecutor) -> list[str]:
    """Remove on the cluster what is past its days and was warned of for WARNING_DAYS; names of the jobs.

    A cluster that keeps results for fewer days warns as soon as they are there. Raises Unreachable.
    """
    notice = min(WARNING_DAYS, cluster.retention or 0.0)
    fair = [e for e in kept(cluster, home, now) if not e.away or (e.warned is not None and e.warned >= notice)]
    past = [each.name for each in fair if each.days <= 0]
    if past:
        executor.remove([Handle(name) for name in past])
        for name in past:
            entry = executor.register.entry(name)
            (entry / "removed").touch()
            executor.register.leave(name, {})
    return past


class Away(BaseModel):
    """Results of a run that stayed on a cluster.

    files : path -> bytes; days : until they are removed there, None for never
    asked : they are on their way; trouble : why they did not come when they were asked for
    """

    model_config = ConfigDict(frozen=True)

    cluster: str
    files: dict[str, int]
    days: float | None = None
    asked: bool = False
    trouble: str = ""


def away(run: Run, home: Path, now: float | None = None) -> Away | None:
    """What of a run stayed on a cluster; None if nothing did."""
    found = _register(run, home)
    if found is None:
        return None
    register, name = found
    if not (left := register.left(name)):
        return None
    cluster, entry = load(home).get(register.cluster), register.entry(name)
    days = None
    if cluster is not None and cluster.retention is not None:
        days = cluster.retention - ((now or time.time()) - (entry / "ended").stat().st_mtime) / DAY
    trouble = entry / "not-brought"
    return Away(
        cluster=register.cluster,
        files={path: int(about["bytes"]) for path, about in left.items()},
        days=days,
        asked=name in register.wanted(),
        trouble=trouble.read_text() if trouble.exists() else "",
    )


def ask(run: Run, home: Path) -> None:
    """Have what stayed on the cluster brought; whoever carries for this hub does."""
    if (found := _register(run, home)) is not None and found[0].left(found[1]):
        found[0].ask(found[1])


def _register(run: Run, home: Path) -> tuple[Register, str] | None:
    """Where the latest solve of a run is registered; None if it was solved here."""
    solved = attempts(run.folder, "solve")
    job = solved[-1].job() if solved else None
    return (Register(home, job.cluster), job.name) if job and job.cluster else None
