"""Files of a run for download: only names that a run is known to make, opened without following links."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from anyio import to_thread
from fastapi.responses import StreamingResponse

from hub.runfolder import STAGES, Attempt, Done, attempts

PIECE = 1 << 18

#: What lies at the root of a run that is done, beside its pictures.
PUBLISHED = ("result.json", "report.pdf", "fields.vtu", "moving.vtkhdf", "view3d.bin")

_TYPES = {
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".webp": "image/webp",
    ".txt": "text/plain; charset=utf-8",
}
#: What the OpenAPI document says of an answer that is a file.
CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the content, as an attachment",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 _.,+-]{0,99}")


def names(folder: Path) -> list[str]:
    """What of a run can be downloaded: the results at its root, and what each stage that is done has made."""
    found = {n for n in PUBLISHED if (folder / n).is_file()}
    found |= {f"pictures/{f.name}" for f in (folder / "pictures").glob("*.*")}
    try:
        result = json.loads((folder / "result.json").read_bytes())
        found |= {str(n) for n in result.get("files", {}) if (folder / str(n)).is_file()}
    except (OSError, ValueError, AttributeError):
        pass
    for stage in STAGES:
        for attempt in attempts(folder, stage)[-1:]:
            found |= {f"{stage}/{attempt.folder.name}/out/{n}" for n in _made(attempt)}
    return sorted(n for n in found if _safe(n))


def _made(attempt: Attempt) -> list[str]:
    try:
        return list(Done.model_validate_json((attempt.folder / "DONE").read_bytes()).files)
    except (OSError, ValueError):
        return []


def _safe(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "/".join(parts) == name and all(_PLAIN.fullmatch(part) for part in parts)


def open_below(folder: Path, name: str) -> int:
    """A descriptor of the regular file `name` below `folder`; no part of the way may be a link. Raises OSError."""
    *way, last = PurePosixPath(name).parts
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for part in way:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = below
        # O_NONBLOCK: a pipe put there must not hold us
        file = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise FileNotFoundError(name)
    return file


def send(folder: Path, name: str) -> StreamingResponse:
    """A file below `folder` as an attachment: a browser saves it and runs nothing in it. Raises OSError."""
    stream = os.fdopen(open_below(folder, name), "rb")
    size = os.fstat(stream.fileno()).st_size
    shown = PurePosixPath(name).name

    async def content() -> AsyncIterator[bytes]:
        left = size
        with stream:
            while left > 0 and (piece := await to_thread.run_sync(stream.read, min(PIECE, left))):
                left -= len(piece)
                yield piece

    headers = {
        "content-length": str(size),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(shown, safe='')}",
        "x-content-type-options": "nosniff",
    }
    kind = _TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
    return StreamingResponse(content(), media_type=kind, headers=headers)
