"""What of an attempt's folder (:mod:`hub.runfolder`) needs no models: whoever watches a job starts in a moment."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from pathlib import Path


def sha256(file: Path) -> str:
    """sha256 of a file's content, read in pieces."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_whole(file: Path, content: bytes | str) -> None:
    """Replace a file so that a reader, or a crash, sees the old content or the new, never a part."""
    data = content.encode() if isinstance(content, str) else content
    part = file.with_name(f".{file.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def link(source: Path, target: Path) -> None:
    """The same content under a second name: a hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


class Folder:
    """One attempt of one stage, as a folder. The object holds no state: everything is read from the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    @property
    def inputs(self) -> Path:
        return self.folder / "in"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def fail(self, code: str, message: str, hint: str = "") -> None:
        """Write FAILED. The first failure stands: it is nearest to the cause."""
        if not (self.folder / "FAILED").exists() and not (self.folder / "DONE").exists():
            failure = {"code": code, "message": message, "hint": hint}
            write_whole(self.folder / "FAILED", json.dumps(failure, indent=1))

    def log_tail(self, size: int = 20_000) -> str:
        """The end of the log, at most `size` bytes."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(max(0, self.log.stat().st_size - size))
                return stream.read(size).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
