"""Verdicts on files: asked of the intake in the background, kept by content, unit and version of the intake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from functools import cached_property
from pathlib import Path

from hub import catalogue, closed, intake
from hub.case import digest
from hub.intake import GeometryVerdict
from hub.runfolder import write_whole

#: Verdicts that say more about the machine at that time than about the file; asked anew after a while [s].
PASSING, RETRY = frozenset({"time-limit", "out-of-memory", "out-of-disk", "crashed"}), 300.0
#: Files looked at side by side; each has a process of its own.
WORKERS = 2
#: Seconds after a look that somebody waited for, in which a browser draws what was found.
CALM = 2.0


class DrawingFailed(Exception):
    """The numbered picture of a part could not be made; the message is what the drawing process said."""


class Verdicts:
    """What the intake said of each file. `root`: a cache, ``<version>/<sha256>/<unit or own>/``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="intake")
        self._idle = ThreadPoolExecutor(1, thread_name_prefix="intake-idle")
        self._asked: dict[Path, Future[GeometryVerdict]] = {}
        self._lock = threading.Lock()
        self._drawing = threading.Lock()
        self._waited_for, self._calm_since = 0, 0.0
        self._ahead: closed.Room | None = None
        self._keeps_ahead = False

    @cached_property
    def _version(self) -> Path:
        sources = [Path(str(module.__file__)) for module in (intake, closed)]
        sources += sorted((catalogue.package_folder("solvers") / "meshing").glob("*.py"))
        return self._root / digest([f.stat().st_mtime_ns for f in sources])[:16]

    def folder(self, sha256: str, unit: str | None) -> Path:
        """Where ``verdict.json`` and, for a part that can be drawn, ``faces.png`` and ``surface.npz`` are."""
        return self._version / sha256 / (unit or "own")

    def ask(self, sha256: str, file: Path, unit: str | None = None, *, idle: bool = False) -> Future[GeometryVerdict]:
        """The verdict on a file, now or later. One look at a time is taken at the same file.

        idle : nobody waits for it yet; whatever somebody waits for goes first
        """
        folder = self.folder(sha256, unit)
        with self._lock:
            asked = self._asked.get(folder)
            if asked is not None and not idle and asked.cancel():  # it had not begun: now somebody waits for it
                asked = None
            if asked is None or (asked.done() and asked.exception()):
                known = _known(folder / "verdict.json")
                if known is None:
                    pool, look = (self._idle, self._look_later) if idle else (self._pool, self._look_now)
                    asked = self._asked[folder] = pool.submit(look, file, unit, folder)
                    asked.add_done_callback(lambda _: self._asked.pop(folder, None))
                else:
                    asked = Future()
                    asked.set_result(known)
            return asked

    def start_ahead(self) -> None:
        """From now on keep a process that has loaded the CAD kernel for whoever comes next."""
        self._keeps_ahead = True
        self._idle.submit(self._start)

    def _start(self) -> None:
        while self._somebody_waits():
            time.sleep(closed.PACE)
        if self._ahead is None:  # here only one is made, in a thread that lives as long as this
            self._ahead = closed.Room(closed.Limits())

    def _take(self) -> closed.Room | None:
        """The process that was started ahead, if it is there."""
        with self._lock:
            room, self._ahead = self._ahead, None
        if room is not None and not room.waits:
            room.close()
            return None
        return room

    def _look_now(self, file: Path, unit: str | None, folder: Path) -> GeometryVerdict:
        with self._lock:
            self._waited_for += 1
        try:
            return _look(file, unit, folder, room=self._take())
        finally:
            with self._lock:
                self._waited_for -= 1
                self._calm_since = time.monotonic() + CALM
            if self._keeps_ahead:
                self._idle.submit(self._start)

    def _look_later(self, file: Path, unit: str | None, folder: Path) -> GeometryVerdict:
        while self._somebody_waits():
            time.sleep(closed.PACE)
        return _look(file, unit, folder, self._somebody_waits)

    def _somebody_waits(self) -> bool:
        """What nobody waits for stands still meanwhile."""
        return self._waited_for > 0 or time.monotonic() < self._calm_since

    def wait(self, sha256: str, file: Path, unit: str | None, seconds: float) -> GeometryVerdict:
        """Raises TimeoutError."""
        return self.ask(sha256, file, unit).result(timeout=seconds)

    def peek(
        self, sha256: str, file: Path, unit: str | None, seconds: float, *, idle: bool = False
    ) -> GeometryVerdict | None:
        """The verdict if it is there within `seconds`; `idle` as for :meth:`ask`."""
        try:
            return self.ask(sha256, file, unit, idle=idle).result(timeout=seconds)
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
                with tempfile.TemporaryFile() as said:
                    drawing = subprocess.Popen(
                        argv, cwd=folder, env=catalogue.environment(), stdout=said, stderr=said, start_new_session=True
                    )
                    try:
                        code = closed.wait(drawing, 60, self._somebody_waits)
                    finally:
                        drawing.kill()
                        drawing.wait()
                    said.seek(0)
                    if code != 0:
                        raise DrawingFailed(said.read().decode("utf-8", "replace")[-2000:])
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


def _look(
    file: Path,
    unit: str | None,
    folder: Path,
    pause: Callable[[], bool] | None = None,
    room: closed.Room | None = None,
) -> GeometryVerdict:
    """Ask the intake; the folder appears whole."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}.{threading.get_ident()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        verdict = intake.inspect(file, unit=unit, keep=part, pause=pause, room=room)
        write_whole(part / "verdict.json", verdict.model_dump_json())
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        return verdict
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if room is not None:
            room.close()
