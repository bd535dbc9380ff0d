"""How long results stay on clusters: what leaves soon is told, what is past its days is removed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from hub.clusters import WARNING_DAYS, Cluster
from hub.executor import Handle
from hub.remote import ClusterExecutor

DAY = 86400.0


class Kept(NamedTuple):
    """A job whose files lie on a cluster. days : until they are removed; away : files that are nowhere else"""

    name: str
    days: float
    away: tuple[str, ...]


def kept(cluster: Cluster, home: Path, now: float | None = None) -> list[Kept]:
    """Jobs that have ended and whose files are still on the cluster, those that leave first first.

    Empty for a cluster that keeps results for ever.
    """
    if cluster.retention is None:
        return []
    now, executor, found = now or time.time(), ClusterExecutor(cluster, home, carries=False), []
    for ended in (home / "remote" / cluster.name / "jobs").glob("*/ended"):
        if not (ended.parent / "removed").exists():
            days = cluster.retention - (now - ended.stat().st_mtime) / DAY
            away = tuple(sorted(executor.register.left(Handle(ended.parent.name))))
            found.append(Kept(ended.parent.name, days, away))
    return sorted(found, key=lambda each: each.days)


def leaving(cluster: Cluster, home: Path, now: float | None = None) -> list[Kept]:
    """Those that leave within WARNING_DAYS with something that is nowhere else: their owners are to be warned."""
    return [each for each in kept(cluster, home, now) if each.away and each.days < WARNING_DAYS]


def purge(cluster: Cluster, home: Path, now: float | None = None) -> list[str]:
    """Remove on the cluster what is past its days; names of the jobs. Raises Unreachable."""
    past = [each.name for each in kept(cluster, home, now) if each.days <= 0]
    if past:
        executor = ClusterExecutor(cluster, home, carries=False)
        try:
            executor.remove([Handle(name) for name in past])
        finally:
            executor.close()
        for name in past:
            (home / "remote" / cluster.name / "jobs" / name / "removed").touch()
    return past
