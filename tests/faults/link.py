"""A link between the hub and a login node that can be cut, frozen and made to swallow what comes back."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Link:
    """Listens on `port` of this machine and passes everything on to `target`; see the attributes."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self.server.getsockname()[1]
        self.up = self.down = 0  # bytes passed towards the cluster and back
        self.budget: int | None = None  # after so many more bytes either way the link is cut
        self.swallows = False  # nothing comes back any more, everything still goes there
        self.whole = True
        self.open: list[socket.socket] = []
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection and take no new one."""
        self.whole = False
        with self.lock:
            for end in self.open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self.open.clear()

    def heal(self) -> None:
        self.whole, self.swallows, self.budget = True, False, None

    def close(self) -> None:
        self.cut()
        self.server.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            if not self.whole:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.open += [near, far]
            for pair, up in (((near, far), True), ((far, near), False)):
                threading.Thread(target=self._pass, args=(*pair, up), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if up:
                    self.up += len(data)
                else:
                    self.down += len(data)
                if self.budget is not None:
                    self.budget -= len(data)
                    if self.budget <= 0:
                        self.cut()
                        return
                if not (self.swallows and not up):
                    sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
