"""What staff should know of a run at a glance: whether it moves, and whose turn it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from hub.runfolder import STAGES, Attempt, attempts

Column = Literal["waiting", "running", "stalled", "diverging", "failed", "client", "done", "cancelled"]

#: A running job that has said nothing for so long is looked at [s]; longer where the whole solve may take longer.
SILENCE = 600.0
#: Failures of machines and of the hub; with all others it is the customer who has to change something.
OURS = frozenset({"lost", "killed", "out-of-memory", "disk-full", "crashed", "corrupt-result", "time-limit"})
#: A residual that rose so many times in a row, to so many times its smallest, diverges.
RISES, GROWTH = 5, 100.0


def column(state: str, failure: str | None, estimate: Mapping[str, Any] | None, attempt: Attempt | None) -> Column:
    """Where a run stands on the board. attempt : the newest one, None where there is none yet."""
    if state in ("done", "cancelled"):
        return state  # type: ignore[return-value]
    if state == "refused":
        return "client"
    if state == "failed":
        return "failed" if failure in OURS else "client"
    silent = None if attempt is None else silence(attempt)
    if state == "queued" or attempt is None or silent is None:
        return "waiting"
    if diverges(attempt.history(400)):
        return "diverging"
    return "stalled" if silent > max(SILENCE, float((estimate or {}).get("seconds") or 0.0)) else "running"


def newest(run: Path) -> Attempt | None:
    """The attempt that a run has come to."""
    for stage in reversed(STAGES):
        if made := attempts(run, stage):
            return made[-1]
    return None


def silence(attempt: Attempt) -> float | None:
    """How long the job has said nothing [s]; None if it has not begun to speak."""
    said = []
    for file in (attempt.folder / "status.json", attempt.folder / "history.jsonl", attempt.log):
        try:
            said.append(file.stat().st_mtime)
        except OSError:
            continue
    return max(0.0, time.time() - max(said)) if said else None


def diverges(history: Sequence[Mapping[str, float]]) -> bool:
    """A residual has risen RISES times in a row and is GROWTH times its smallest."""
    for name in {name for row in history for name in row if "residual" in name}:
        values = [row[name] for row in history if name in row]
        last = values[-RISES - 1 :]
        rises = len(last) > RISES and all(a < b for a, b in pairwise(last))
        if rises and last[-1] > GROWTH * min(v for v in values if v > 0):
            return True
    return False
