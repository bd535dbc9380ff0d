"""Request bodies: JSON read strictly, uploads streamed to disk."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import Request
from pydantic import BaseModel, ValidationError

from hub.api.answers import CheckRequest
from hub.api.refusals import Refusal, refusal
from hub.case import MAX_DEPTH, load_yaml
from hub.problem import Problem, Refused, excerpt, from_validation, path

#: Bytes written at a time; age at which what an interrupted upload left is removed [s].
PIECE, STALE = 1 << 20, 3600.0


def described(model: type[BaseModel]) -> dict[str, Any]:
    """What the OpenAPI document says of a body that the route reads itself."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


def upload_described() -> dict[str, Any]:
    schema = {"type": "string", "format": "binary"}
    return {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": schema}}}}


async def asked[Asked: CheckRequest](request: Request, model: type[Asked]) -> tuple[Asked, dict[str, Any]]:
    """The request and its case as plain data. Raises Refusal, Refused."""
    body = await request.body()
    return await to_thread.run_sync(_read, body, model)


def _read[Asked: CheckRequest](body: bytes, model: type[Asked]) -> tuple[Asked, dict[str, Any]]:
    try:
        data = json.loads(body)
        json.dumps(data, ensure_ascii=False).encode()  # lone surrogates are no text
    except (ValueError, RecursionError) as error:
        said = "a structure without end" if isinstance(error, RecursionError) else excerpt(str(error))
        raise refusal(422, "the request", said, "a JSON document", "Correct it there.", "not-json") from None
    if _depth(data) > MAX_DEPTH + 2:
        raise refusal(422, "the request", "a very deep structure", f"at most {MAX_DEPTH} levels", "", "too-deep")
    try:
        request = model.model_validate(data)
    except ValidationError as error:
        raise Refusal(422, from_validation(error)) from None
    case = load_yaml(request.case) if isinstance(request.case, str) else request.case
    problems = list(_infinities(case))
    if problems:
        raise Refused(problems)
    return request, case


def _depth(data: Any) -> int:
    level, depth = [data], 0
    while level:
        depth += 1
        level = [child for item in level for _, child in _children(item)]
    return depth


def _children(item: Any) -> list[tuple[str | int, Any]]:
    if isinstance(item, dict):
        return list(item.items())
    return list(enumerate(item)) if isinstance(item, list) else []


def _infinities(item: Any, here: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    """Numbers that are none: Python's JSON reads NaN, and 1e999 as infinity."""
    if isinstance(item, float) and not math.isfinite(item):
        yield Problem(
            where=path(here),
            found=str(item),
            expected="a finite number",
            todo="Replace it by the value you mean.",
            code="not-finite",
        )
    for key, child in _children(item):
        yield from _infinities(child, (*here, key))


async def keep(request: Request, folder: Path) -> tuple[str, int]:
    """Stream a body into ``folder/<sha256>``; the file appears whole or not at all.

    Returns (sha256, size [byte]). Raises Refusal, OSError.
    """
    part = folder / f".{secrets.token_hex(8)}.part"
    digest, size = hashlib.sha256(), 0
    try:
        stream = await to_thread.run_sync(part.open, "xb")
        try:
            waiting = bytearray()

            def write() -> None:
                nonlocal size
                digest.update(waiting)
                stream.write(waiting)
                size += len(waiting)
                waiting.clear()

            async for piece in request.stream():
                waiting += piece
                if len(waiting) >= PIECE:
                    await to_thread.run_sync(write)

            def close() -> None:
                write()
                stream.flush()
                os.fsync(stream.fileno())

            await to_thread.run_sync(close)
        finally:
            _close(stream)
        if size == 0:
            raise refusal(
                422, "the file", "nothing in it", "a CAD file or a mesh", "Export the part again.", "empty-file"
            )
        part.chmod(0o444)  # hard links of it go into run folders: nothing there may change it
        part.replace(folder / digest.hexdigest())
        return digest.hexdigest(), size
    finally:
        part.unlink(missing_ok=True)


def _close(stream: Any) -> None:
    try:
        stream.close()
    except OSError:  # what is buffered does not fit on the disk; that was told already
        stream.raw.close() if hasattr(stream, "raw") else None


def sweep(folder: Path) -> None:
    """Remove what uploads left that were cut off by the end of the hub."""
    for part in folder.glob(".*.part"):
        if time.time() - part.stat().st_mtime > STALE:
            part.unlink(missing_ok=True)
