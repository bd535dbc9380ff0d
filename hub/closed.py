"""The closed process that opens a file nobody trusts: with limits, without network, with nothing of the hub's.

``python -m solvers.meshing probe`` in a folder of its own. It loads the CAD kernel before it is told of its file, so
that one may be started ahead of whoever comes next; each looks at one file and ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Self

import hub
from hub.case import Frozen

#: Seconds between looks at a process that may have to stand still.
PACE = 0.05


class Limits(Frozen):
    """What opening one file may cost: size of the file [byte], wall time [s], memory [byte], files written [byte]."""

    bytes: int = 100_000_000
    seconds: float = 120.0
    memory: int = 6_000_000_000
    written: int = 500_000_000
    files: int = 256


class Room:
    """A closed process and its folder, a context manager. The kernel ends it with the thread that has made it."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self._over = limits, False
        self._folder = tempfile.TemporaryDirectory(prefix="officina-intake-")
        self.folder = Path(self._folder.name)
        self.out = self.folder / "out"
        self.out.mkdir()
        rlimits = {
            "RLIMIT_CPU": 2 * ceil(limits.seconds),
            "RLIMIT_AS": limits.memory,
            "RLIMIT_FSIZE": limits.written,
            "RLIMIT_NOFILE": limits.files,
        }
        launcher = [sys.executable, "-I", str(Path(__file__).with_name("launch.py")), json.dumps(rlimits)]
        with (self.folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [*launcher, sys.executable, "-m", "solvers.meshing", "probe"],
                cwd=self.folder,
                env=_environment(self.folder),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waits(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def look(
        self, file: Path, name: str, kind: str, unit: str | None, pause: Callable[[], bool] | None = None
    ) -> int | None:
        """Have a copy of the file looked at; what was found is in `out`. pause : as for :func:`wait`

        Returns the exit code, None where the time was up.
        """
        part = self.folder / name
        shutil.copyfile(file, part)
        asked = json.dumps([str(part), str(self.out), kind, *([unit] if unit else [])])
        assert self._process.stdin is not None
        with suppress(OSError), self._process.stdin as line:  # a process that has ended says why below
            line.write(asked.encode() + b"\n")
        try:
            return wait(self._process, self.limits.seconds, pause)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self._end()

    @property
    def said(self) -> list[str]:
        """The lines of its log: the first how it was closed, the others its own."""
        return (self.folder / "log.txt").read_bytes()[:20_000].decode("utf-8", "replace").splitlines()

    def close(self) -> None:
        self._end()
        self._folder.cleanup()

    def _end(self) -> None:
        """Kill whatever is left of the process's group, and take leave of it; once: its number may be given again."""
        if self._over:
            return
        self._over = True
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        except PermissionError:
            self._process.kill()
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()


def wait(process: subprocess.Popen[bytes], seconds: float, pause: Callable[[], bool] | None = None) -> int:
    """Wait for the end of the leader of a process group, which stands still while `pause` is true.

    Returns its exit code; raises subprocess.TimeoutExpired after so many seconds in which it could work.
    """
    if pause is None:
        return process.wait(seconds)
    stands, left = False, seconds
    while (code := process.poll()) is None:
        if pause() != stands:
            stands = not stands
            os.killpg(process.pid, signal.SIGSTOP if stands else signal.SIGCONT)
        left -= 0 if stands else PACE
        if left < 0:
            raise subprocess.TimeoutExpired(process.args, seconds)
        time.sleep(PACE)
    return code


def _environment(here: Path) -> dict[str, str]:
    """The environment of the closed process: nothing of the hub's but the way to its own code."""
    return {
        "PATH": os.defpath,
        "HOME": str(here),
        "TMPDIR": str(here),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(hub.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
