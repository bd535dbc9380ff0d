"""What every request passes first: known host, bounded size, safe headers, and no traceback on the way out."""

from __future__ import annotations

import json

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.refusals import Refusal, refusal, respond, understand
from hub.italian import preferred, spoken
from hub.problem import excerpt
from hub.settings import Settings

#: Answers of the API are data: a browser that shows one runs nothing in it.
SECURITY = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


def host_name(host: str) -> str:
    """The name in a Host header: ``[::1]:8080`` is ``::1``."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


class Guard:
    """ASGI middleware around the API. A page of another site that has its name point at this machine (DNS rebinding)
    still sends its own name as Host, and is refused."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.hosts = {name.lower() for name in (*settings.hosts, settings.host)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False
        tell = _italian(send) if preferred(Headers(scope=scope).get("accept-language", "")) == "it" else send

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
                headers.setdefault("vary", "accept-language")
            await tell(message)

        try:
            await self.app(scope, self._bounded(scope, receive), guarded)
        except ClientDisconnect:
            return
        except Exception as error:
            refused = understand(error)
            if not started:
                await respond(refused)(scope, receive, guarded)

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` with the size of the body counted. Raises Refusal."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host_name(host) not in self.hosts:
            raise refusal(
                400,
                "Host",
                excerpt(host) or "nothing",
                f"one of {', '.join(sorted(self.hosts))}",
                "Open the hub under one of these names, or add the name to hosts in officina.toml.",
                "unknown-host",
            )
        upload = scope["method"] == "POST" and scope["path"].endswith("/files")
        limit = self.settings.upload_limit if upload else self.settings.case_limit
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length[:20]) > limit:
            raise _too_large(length, limit, upload)
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _too_large(f"more than {limit}", limit, upload)
            return message

        return bounded


def _italian(send: Send) -> Send:
    """`send` that has JSON answers, though not files, speak Italian."""
    head: Message | None = None
    body = bytearray()

    async def translated(message: Message) -> None:
        nonlocal head
        if message["type"] == "http.response.start":
            headers = Headers(scope=message)
            if headers.get("content-type", "") == "application/json" and "content-disposition" not in headers:
                head = message
                return
        elif head is not None and message["type"] == "http.response.body":
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            said = json.dumps(spoken(json.loads(body)), ensure_ascii=False).encode() if body else b""
            MutableHeaders(scope=head)["content-length"] = str(len(said))
            MutableHeaders(scope=head)["content-language"] = "it"
            await send(head)
            await send({"type": "http.response.body", "body": said})
            return
        await send(message)

    return translated


def _too_large(found: str, limit: int, upload: bool) -> Refusal:
    return refusal(
        413,
        "the file" if upload else "the request",
        f"{excerpt(found)} bytes",
        f"at most {limit} bytes",
        "Simplify the part, or export it without what the question does not need."
        if upload
        else "A case names its geometry file, it does not contain it.",
        "too-large",
        connection="close",
    )
