"""The part of our code that nodes need, as one archive: solvers, and what of the hub they and the job's runner import.

A node has the solvers' own dependencies and no installation of Officina; the archive is unpacked once in
``<scratch>/code/<sha256>/`` and never changed, so that a job that waits for days runs what it was submitted with.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from hub.catalogue import package_folder
from hub.runfolder import write_whole

#: Files of these kinds are code or are read by it.
KINDS = {".py", ".sh", ".yaml", ".json", ".csv", ".css", ".typ", ".c", ".txt"}
#: Rooms of the hub that no node enters.
_SERVICE = {
    "api",
    "store",
    "cli.py",
    "client.py",
    "up.py",
    "web.py",
    "access.py",
    "remote.py",
    "courier.py",
    "register.py",
    "transport.py",
}


def code_archive(folder: Path) -> Path:
    """The archive, made in `folder` if it is not there: ``code-<sha256>.tgz``. Raises OSError."""
    digest, content = _archive(_stamp())
    file = folder / f"code-{digest}.tgz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, content)
    return file


def _files() -> list[tuple[str, Path]]:
    found = []
    for package in ("hub", "solvers"):
        root = package_folder(package)
        for place, folders, names in os.walk(root):
            above = Path(place) == root and package == "hub"
            folders[:] = [
                f for f in folders if f != "__pycache__" and not f.startswith(".") and not (above and f in _SERVICE)
            ]
            for name in names:
                file = Path(place) / name
                if file.suffix in KINDS and not (above and name in _SERVICE):
                    found.append((f"{package}/{file.relative_to(root).as_posix()}", file))
    return sorted(found)


def _stamp() -> tuple[tuple[str, int, int], ...]:
    """Changes when a file does."""
    return tuple((name, (s := file.stat()).st_mtime_ns, s.st_size) for name, file in _files())


@lru_cache(maxsize=2)
def _archive(_stamp: object) -> tuple[str, bytes]:
    """The same bytes for the same files, whenever and wherever it is made."""
    stream = BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, file in _files():
            content = file.read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, BytesIO(content))
    content = stream.getvalue()
    return hashlib.sha256(content).hexdigest()[:32], content
