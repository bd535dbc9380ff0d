"""Telling people that a run has ended, or that its results leave a cluster: by mail, and (of its end) by a POST to an
address that staff have allowed.

The address is resolved once, judged, and that very address is connected to: a name that points elsewhere a moment later
(DNS rebinding) gains nothing. Redirects are not followed. What is sent carries the notice's id, the same at every try.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import logging
import smtplib
import socket
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

from hub.problem import excerpt
from hub.settings import Settings
from hub.store import Notice, Notices, Run

log = logging.getLogger("officina.notices")

#: Longest wait for a server [s].
PATIENCE = 15.0


class Blocked(Exception):
    """An address that may not be told, in the words of a Problem."""

    def __init__(self, found: str, expected: str, todo: str) -> None:
        self.found, self.expected, self.todo = found, expected, todo
        super().__init__(f"{found}; expected {expected}")


class Undelivered(Exception):
    """It did not arrive. for_good : nor will it"""

    def __init__(self, why: str, *, for_good: bool = False) -> None:
        self.for_good = for_good
        super().__init__(why)


def allowed(settings: Settings, url: str) -> tuple[str, str, int, str]:
    """(scheme, host, port, path with query) of an address that may be told. Raises Blocked."""
    todo = "Ask the centre's staff to allow the host (webhook_hosts)."
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Blocked(excerpt(url), "an address", "Correct it.") from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("http", "https") or not host or parts.username or not url.isascii():
        raise Blocked(excerpt(url), "an address that begins with https:// and has no password in it", "Correct it.")
    if not {host, f"{host}:{port}"} & {name.lower() for name in settings.webhook_hosts}:
        raise Blocked(excerpt(host), "a host that may be told", todo)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isprintable() or " " in path:
        raise Blocked(excerpt(url), "an address", "Correct it.")
    return parts.scheme, host, port, path


def resolved(settings: Settings, host: str, port: int) -> str:
    """The IP address to connect to. Raises Undelivered for private ones, unless staff have allowed that address."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Undelivered(f"{host} has no address: {error}") from None
    listed = {name.lower() for name in settings.webhook_hosts}
    for *_rest, place in found:
        address = str(place[0])
        if _public(address) or {address, f"{address}:{port}"} & listed:
            return address
    raise Undelivered(f"{host} has a private address only", for_good=True)


def _public(address: str) -> bool:
    place = ipaddress.ip_address(address.partition("%")[0])
    place = getattr(place, "ipv4_mapped", None) or place
    return place.is_global and not place.is_multicast


def deliver(settings: Settings, notices: Notices) -> int:
    """Send what is due; returns how much was sent. Harmless where several processes do so at a time."""
    sent = 0
    for notice, run in notices.due():
        try:
            if notice.kind == "webhook":
                post(settings, notice, run)
            else:
                send_mail(settings, notice, run)
        except (Undelivered, Blocked) as error:
            notices.failed(notice, str(error), for_good=isinstance(error, Blocked) or error.for_good)
            log.warning("notice %s (%s) was not delivered: %s", notice.id, notice.kind, excerpt(str(error)))
        except (OSError, smtplib.SMTPException, http.client.HTTPException) as error:
            # what a server says may repeat what we sent: its kind is enough
            notices.failed(notice, type(error).__name__)
            log.warning("notice %s (%s) waits: %s", notice.id, notice.kind, type(error).__name__)
        else:
            notices.told(notice)
            sent += 1
    return sent


WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "done": "done", "failed": "failed", "refused": "refused", "cancelled": "cancelled",
        "text": "Your run “{title}” is {state}.", "next": "Next step: {hint}", "see": "See it here: {url}",
        "why": "You are told because you asked to be; the page “Account” changes that.",
        "leaving": "results leave soon", "left": "Some results of your run “{title}” lie on a cluster only and are "
        "removed there soon; its page says when.",
        "bring": "Fetch them on that page, or with officina fetch {run} --all.",
    },
    "it": {
        "done": "finito", "failed": "fallito", "refused": "rifiutato", "cancelled": "annullato",
        "text": "Il tuo calcolo «{title}» è {state}.", "next": "Passo successivo: {hint}", "see": "Lo trovi qui: {url}",
        "why": "Ricevi questo messaggio perché lo hai chiesto; puoi cambiarlo nella pagina «Profilo».",
        "leaving": "risultati in scadenza", "left": "Alcuni risultati del tuo calcolo «{title}» sono solo su un "
        "cluster e presto vi saranno cancellati; la sua pagina dice quando.",
        "bring": "Scaricali da quella pagina, oppure con officina fetch {run} --all.",
    },
}  # fmt: skip


def _url(settings: Settings, run: Run) -> str:
    return f"{(settings.address or settings.url).rstrip('/')}/run?run={run.id}"


def mail(settings: Settings, notice: Notice, run: Run) -> EmailMessage:
    """The mail of a notice: text only, headers without line breaks."""
    words = WORDS.get(notice.language, WORDS["en"])
    title, state = " ".join(run.title.split())[:150], words["leaving" if notice.kind == "leaving" else run.state]
    lines = [words["text"].format(title=title, state=state)]
    if notice.kind == "leaving":
        lines = [words["left"].format(title=title), words["bring"].format(run=run.id)]
    elif run.failure:
        lines += ["", excerpt(str(run.failure.get("message") or ""))]
        if run.failure.get("hint"):
            lines += [words["next"].format(hint=excerpt(str(run.failure["hint"])))]
    lines += ["", words["see"].format(url=_url(settings, run)), "", "--", words["why"]]
    message = EmailMessage()
    message["Subject"] = f"{state}: {title}"
    message["From"] = settings.mail_from or f"officina@{socket.getfqdn()}"
    message["To"] = notice.address
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{notice.id}@officina>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(lines))
    return message


def send_mail(settings: Settings, notice: Notice, run: Run) -> None:
    """Hand a mail to the server. Raises Undelivered, OSError, SMTPException."""
    if not settings.smtp:
        raise Undelivered("no mail server is set (smtp)", for_good=True)
    host, _colon, port = settings.smtp.rpartition(":")
    if not host:
        host, port = settings.smtp, "465" if settings.smtp_security == "tls" else "587"
    trusted = ssl.create_default_context()
    server: smtplib.SMTP
    if settings.smtp_security == "tls":
        server = smtplib.SMTP_SSL(host, int(port), timeout=PATIENCE, context=trusted)
    else:
        server = smtplib.SMTP(host, int(port), timeout=PATIENCE)
    with server:
        if settings.smtp_security == "starttls":
            server.starttls(context=trusted)
        if settings.smtp_user:
            server.login(settings.smtp_user, (settings.secrets / "smtp").read_text().strip())
        try:
            server.send_message(mail(settings, notice, run))
        except smtplib.SMTPRecipientsRefused:
            raise Undelivered("the mail server refuses the address", for_good=True) from None


def body(settings: Settings, notice: Notice, run: Run) -> dict[str, Any]:
    """What a webhook is told: no case, no result."""
    return {
        "id": notice.id,
        "event": "run.ended",
        "run": {"id": run.id, "title": run.title, "solver": run.solver, "state": run.state, "ended": run.ended,
                "failure": (run.failure or {}).get("code")},
        "url": _url(settings, run),
    }  # fmt: skip


def post(settings: Settings, notice: Notice, run: Run) -> None:
    """POST to a webhook. Raises Undelivered, Blocked, OSError, HTTPException."""
    scheme, host, port, path = allowed(settings, notice.address)
    address = resolved(settings, host, port)
    data = json.dumps(body(settings, notice, run), ensure_ascii=False).encode()
    headers = {
        "Host": f"{host}:{port}" if port not in (80, 443) else host,
        "Content-Type": "application/json",
        "User-Agent": "Officina",
        "Idempotency-Key": notice.id,
        "X-Officina-Signature": "sha256=" + hmac.new(notice.secret.encode(), data, hashlib.sha256).hexdigest(),
    }
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    stream = socket.create_connection((address, port), timeout=PATIENCE)
    try:
        if scheme == "https":
            stream = ssl.create_default_context().wrap_socket(stream, server_hostname=host)
        connection.sock = stream
        connection.request("POST", path, data, headers)
        answer = connection.getresponse()
        answer.read(1000)
    finally:
        connection.close()
        stream.close()
    if not 200 <= answer.status < 300:
        for_good = 300 <= answer.status < 500 and answer.status not in (408, 425, 429)
        raise Undelivered(f"{host} answered {answer.status}", for_good=for_good)
