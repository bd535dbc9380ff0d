"""How long a job would wait on a cluster: its scheduler is asked for, and what it says is kept for a while.

``<home>/remote/<cluster>/waits/`` holds ``<nodes>-<ranks>-<memory>-<time>.wanted`` while somebody wants to know, and
``.json`` (:class:`Wait`) with the answer. Who wants to know need not be who has the connection (:mod:`hub.courier`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from hub.clusters import Cluster
from hub.runfolder import write_whole
from hub.scheduler import Demand

#: Seconds for which an answer holds, after which nobody waits for one any more, and most questions at once.
FRESH, PATIENCE, MOST = 60.0, 120.0, 8


class Wait(BaseModel):
    """What a scheduler said of a job that was not submitted.

    seconds : until it would start, None if it did not say; said : its own words; at : when [s]
    """

    seconds: float | None
    said: str = ""
    at: float


def _folder(home: Path, cluster: str) -> Path:
    return home.absolute() / "remote" / cluster / "waits"


def key(wanted: Demand) -> str:
    """The name of a question."""
    return "-".join(map(str, wanted))


def expected(home: Path, cluster: Cluster, wanted: Demand) -> Wait | None:
    """What the scheduler said to a job like that; asked for if that is long ago. None: it has not said anything yet."""
    if cluster.scheduler == "none":
        return None
    folder, found = _folder(home, cluster.name), None
    with suppress(OSError, ValidationError):
        found = Wait.model_validate_json((folder / f"{key(wanted)}.json").read_bytes())
    if found is None or not 0 <= time.time() - found.at < FRESH:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{key(wanted)}.wanted").touch()
    return found if found is not None and 0 <= time.time() - found.at < 2 * FRESH else None


def wishes(home: Path, cluster: str) -> list[Demand]:
    """What somebody waits for to be asked, at most MOST."""
    found, now = list[Demand](), time.time()
    with suppress(OSError):
        for file in sorted(_folder(home, cluster).iterdir()):
            parts = file.stem.split("-")
            if file.suffix == ".wanted" and not 0 <= now - file.stat().st_mtime < PATIENCE:
                file.unlink(missing_ok=True)
            elif file.suffix == ".wanted" and len(parts) == 4 and all(p.isdecimal() for p in parts):
                found.append(Demand(*map(int, parts)))
            elif file.suffix == ".json" and now - file.stat().st_mtime > 10 * FRESH:
                file.unlink(missing_ok=True)
    return found[:MOST]


def keep(home: Path, cluster: str, wanted: Sequence[Demand], waits: Sequence[Wait]) -> None:
    """Keep what the scheduler said. Raises OSError."""
    folder = _folder(home, cluster)
    for demand, wait in zip(wanted, waits, strict=True):
        write_whole(folder / f"{key(demand)}.json", wait.model_dump_json())
        (folder / f"{key(demand)}.wanted").unlink(missing_ok=True)
