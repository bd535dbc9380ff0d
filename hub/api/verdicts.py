"""Verdicts on files: asked of the intake in the background, kept by content, unit and version of the intake."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from functools import cached_property
from pathlib import Path

from hub import catalogue
from hub.case import digest
from hub.intake import GeometryVerdict, inspect
from hub.runfolder import write_whole

#: Files looked at side by side; each has a process of its own.
WORKERS = 2


class Verdicts:
    """What the intake said of each file. `root`: a cache, ``<version>/<sha256>/<unit or own>/``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="intake")
        self._asked: dict[Path, Future[GeometryVerdict]] = {}
        self._lock = threading.Lock()

    @cached_property
    def _version(self) -> Path:
        sources = [Path(__file__).parents[1] / "intake.py"]
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
                try:
                    known = GeometryVerdict.model_validate_json((folder / "verdict.json").read_bytes())
                except (OSError, ValueError):
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


def _look(file: Path, unit: str | None, folder: Path) -> GeometryVerdict:
    """Ask the intake; the folder appears whole."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}.{threading.get_ident()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        verdict = inspect(file, unit=unit, keep=part)
        write_whole(part / "verdict.json", verdict.model_dump_json())
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        return verdict
    finally:
        shutil.rmtree(part, ignore_errors=True)
