"""Verdicts on files: asked of the intake in the background, kept by content, unit and version of the intake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from functools import cached_property
from pathlib import Path

from hub import catalogue, intake
from hub.case import digest
from hub.intake import GeometryVerdict
from hub.runfolder import write_whole

#: Verdicts that say more about the machine at that time than about the file; asked anew after a while [s].
PASSING, RETRY = frozenset({"time-limit", "out-of-memory", "out-of-disk", "crashed"}), 300.0
#: Files looked at side by side; each has a process of its own.
WORKERS = 2


class DrawingFailed(Exception):
    """The numbered picture of a part could not be made; the message is what the drawing process said."""


class Verdicts:
    """What the intake said of each file. `root`: a cache, ``<version>/<sha256>/<unit or own>/``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="intake")
        self._asked: dict[Path, Future[GeometryVerdict]] = {}
        self._lock = threading.Lock()
        self._drawing = threading.Lock()

    @cached_property
    def _version(self) -> Path:
        sources = [Path(str(intake.__file__))]
        sources += sorted((catalogue.package_folder("solvers") / "meshing").glob("*.py"))
        return self._root / digest([f.stat().st_mtime_ns for f in sources])[:16]

    def folder(self, sha256: str, unit: str | None) -> Path:
        """Where ``verdict.json`` and, for a part that can be drawn, ``faces.png`` and ``surface.npz`` are."""
        return self._version / sha256 / (unit or "own")

    def ask(self, sha256: str, file: Path, unit: str | None = None) -> Future[GeometryVerdict]:
        """The verdict on a file, now or later. One look at a time is taken at the same file."""
        folder = self.folder(sha256, unit)
        with self._lock:
            asked = self._asked.get(folder)
            if asked is None or (asked.done() and asked.exception()):
                known = _known(folder / "verdict.json")
                if known is None:
                    asked = self._asked[folder] = self._pool.submit(_look, file, unit, folder)
                    asked.add_done_callback(lambda _: self._asked.pop(folder, None))
                else:
                    asked = Future()
                    asked.set_result(known)
            return asked

    def wait(self, sha256: str, file: Path, unit: str | None, seconds: float) -> GeometryVerdict:
        """Raises TimeoutError."""
        return self.ask(sha256, file, unit).result(timeout=seconds)

    def peek(self, sha256: str, file: Path, unit: str | None, seconds: float) -> GeometryVerdict | None:
        """The verdict if it is there within `seconds`."""
        try:
            return self.wait(sha256, file, unit, seconds)
        except NotYet:
            return None

    def picture(self, sha256: str, unit: str | None) -> None:
        """Draw ``faces.png`` into the folder of a verdict, unless it is there or there is nothing to draw.

        Raises DrawingFailed.
        """
        folder = self.folder(sha256, unit)
        with self._drawing:  # one picture at a time: each is a process that takes the machine for seconds
            if (folder / "faces.png").exists() or not (folder / "surface.npz").exists():
                return
            part = folder / f".{os.getpid()}.png"
            argv = [sys.executable, "-m", "solvers.post", "faces", "surface.npz", "verdict.json", part.name]
            try:
                ran = subprocess.run(
                    argv, cwd=folder, env=catalogue.environment(), capture_output=True, timeout=60, check=False
                )
                if ran.returncode != 0:
                    raise DrawingFailed(ran.stderr.decode("utf-8", "replace")[-2000:])
                part.replace(folder / "faces.png")
            except subprocess.TimeoutExpired:
                raise DrawingFailed("the drawing took longer than 60 s") from None
            finally:
                part.unlink(missing_ok=True)


def passing(verdict: GeometryVerdict) -> bool:
    """Whether a verdict may be another one later."""
    return any(p.code in PASSING for p in verdict.problems)


def _known(file: Path) -> GeometryVerdict | None:
    try:
        verdict = GeometryVerdict.model_validate_json(file.read_bytes())
        stale = passing(verdict) and time.time() - file.stat().st_mtime > RETRY
    except (OSError, ValueError):
        return None
    return None if stale else verdict


def _look(file: Path, unit: str | None, folder: Path) -> GeometryVerdict:
    """Ask the intake; the folder appears whole."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}.{threading.get_ident()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        verdict = intake.inspect(file, unit=unit, keep=part)
        write_whole(part / "verdict.json", verdict.model_dump_json())
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        return verdict
    finally:
        shutil.rmtree(part, ignore_errors=True)
