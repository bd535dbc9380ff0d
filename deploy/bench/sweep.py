"""``python -m deploy.bench.sweep [--points N] [--size S]``: a sweep over the bracket beside its bare solves.

The sweep is the whole of ``officina study run``: intake, checks, one mesh, the points side by side on all cores of this
machine, table and plots. The bare solves are the solve stage's command alone, one rank each and as many side by side
as there are cores, for so many of the same points as are told, half of them before the sweep and half behind it; what
they take is scaled to all points.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hub.case import load_data
from hub.catalogue import environment, templates
from hub.runfolder import Attempt, Done
from hub.settings import Settings
from hub.study import read
from hub.sweep import Sweep, open_study, walk


def asked(points: int, size: str | None) -> tuple[Any, dict[str, Any], Path]:
    """(study, case, geometry) of a sweep over the load of the bracket."""
    folder = templates()["bracket"]
    case, _ = load_data(folder)
    if size:
        case["mesh"] = {"size": size}
    axis = {"path": "conditions[1].value.magnitude", "name": "load", "from": "1 kN", "to": "4 kN", "count": points}
    return read({"title": "The bracket under load", "case": case, "sweep": [axis]}), case, folder / "bracket.step"


def swept(folder: Path, settings: Settings, points: int, size: str | None) -> tuple[Sweep, float, float]:
    """The sweep, its wall time and what of that went by before its first solve began [s]."""
    begun = time.time()
    study, case, geometry = asked(points, size)
    sweep = Sweep(folder, settings.cache)
    open_study(sweep, study, case, geometry)
    result = walk(sweep, settings)
    took = time.time() - begun
    if result.state != "done":
        raise RuntimeError(f"the sweep ended {result.state}: {[p.failure for p in result.points if p.failure][:1]}")
    first = min((f.stat().st_ctime for f in folder.glob("points/*/solve/1/in/case.json")), default=begun)
    return sweep, took, first - begun


def bare(made: Sweep, folder: Path, points: int, cores: int) -> float:
    """Wall time [s] of so many of the points' solves, `cores` at a time, each on its own."""
    keys = list(dict.fromkeys(p.key for p in made.points if p.key))[:points]
    prepared = []
    for key in keys:
        source, target = made.run(key).folder / "solve" / "1", folder / key
        shutil.copytree(source / "in", target / "in")
        shutil.copyfile(source / "job.json", target / "job.json")
        (target / "out").mkdir()
        prepared.append(Attempt(target))

    def solve(attempt: Attempt) -> None:
        with attempt.log.open("wb") as log:
            argv = [*attempt.job().argv, str(attempt.folder)]
            subprocess.run(argv, stdout=log, stderr=log, env=environment(), check=True)
        if not isinstance(attempt.outcome(), Done):
            raise RuntimeError(attempt.log_tail(1000))

    begun = time.perf_counter()
    with ThreadPoolExecutor(cores) as side_by_side:
        list(side_by_side.map(solve, prepared))
    return time.perf_counter() - begun


def main() -> int:
    parser = argparse.ArgumentParser(prog="officina bench sweep", description="A sweep beside its bare solves.")
    parser.add_argument("--points", type=int, default=64, metavar="N")
    parser.add_argument("--bare", type=int, default=24, metavar="N", help="points that are solved bare")
    parser.add_argument("--size", help="of the mesh; left out: as the case says")
    given = parser.parse_args()
    cores, half = os.cpu_count() or 1, max(1, min(given.bare, given.points) // 2)
    with tempfile.TemporaryDirectory(prefix="officina-bench-") as place:
        folder = Path(place)
        settings = Settings(home=folder / "home", ranks=cores).make_home()
        made, took, start = swept(folder / "sweep", settings, given.points, given.size)
        times = [bare(made, folder / f"bare-{i}", half, cores) for i in range(2)]
    alone = sum(times) / (2 * half) * given.points
    each = alone * cores / given.points
    print(f"{given.points} points on {cores} cores: {took:.1f} s, of it {start:.1f} s before the first solve")
    print(f"bare solves: {alone:.1f} s ({each:.2f} s each), from {2 * half} of them")
    print(f"ratio {took / alone:.3f} (asked: at most 1.15)")
    figures = {"cores": cores, "points": given.points, "sweep": took, "start": start, "bare": alone}
    print(json.dumps({**figures, "ratio": took / alone}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
