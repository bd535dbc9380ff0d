"""A mail server and a place for webhooks on this machine, which keep what they are told."""

from __future__ import annotations

import email
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP (RFC 5321) as a sender needs."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        super().__init__(("127.0.0.1", 0), _Mailbox)


class _Mailbox(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        def say(line: str) -> None:
            self.wfile.write(line.encode() + b"\r\n")

        say("220 here")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                say("354 go on")
                text = b"".join(iter(self.rfile.readline, b".\r\n"))
                message = email.message_from_bytes(text, policy=policy.default)
                assert isinstance(message, EmailMessage)
                self.server.mails.append(message)
                say("250 kept")
            elif word == b"RCPT" and b"nobody" in line:
                say("550 no such person")
            elif word == b"QUIT":
                say("221 bye")
                return
            else:
                say("250 well")


class HookServer(ThreadingHTTPServer):
    """told : headers and body of each POST; answers : codes of the next ones, 200 where there is none"""

    def __init__(self) -> None:
        self.told: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        super().__init__(("127.0.0.1", 0), _Hook)


class _Hook(BaseHTTPRequestHandler):
    server: HookServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.told.append((dict(self.headers), body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving[Server: socketserver.BaseServer](server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
