"""How the hub reaches a cluster: commands and files, over a shell of this machine or over ssh.

One connection a cluster, with TCP_NODELAY, keepalive and a timeout on everything. The host's key is pinned: a host
with another one is refused. A link that breaks is :class:`Unreachable` and never a result: an exit status that did
not arrive says nothing about the command, which may still run.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import shutil
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import paramiko

from hub.catalogue import environment
from hub.clusters import Cluster
from hub.login_desk import OPEN, Desk
from hub.problem import excerpt
from hub.runfolder import sha256

#: Seconds to connect, and for a peer that says nothing in the middle of something.
CONNECT, SILENCE = 10.0, 30.0
#: Seconds between signs of life on a connection without traffic.
KEEPALIVE = 15
#: Bytes read or written at a time.
PIECE = 1 << 18

#: Moves what was uploaded to its place if it is what was sent: PART SHA256 TARGET.
_CHECK = 'set -- "$1" "$2" "$3" $(sha256sum < "$1"); [ "$2" = "$4" ] || { rm -f "$1"; exit 65; }; mv -f "$1" "$3"'


class Unreachable(Exception):
    """The cluster could not be asked; nothing follows about what runs there. The message says why, for staff.

    code : ``unreachable``, ``needs-login`` (a person has to log in), ``host-key`` (it is not the host it was),
        ``refused`` (it does not let the hub in)
    """

    def __init__(self, message: str, code: str = "unreachable") -> None:
        self.code = code
        super().__init__(message)


class Ran(NamedTuple):
    """What a command did: exit status, standard output and standard error."""

    code: int
    out: bytes
    err: str


class Transport(ABC):
    """Commands and files at one place. Not for two threads at a time."""

    @abstractmethod
    def run(self, argv: Sequence[str], given: bytes = b"", timeout: float = 60.0) -> Ran:
        """Run a command to its end. given : its standard input, below 1 MB; timeout : longest silence [s].

        Raises Unreachable.
        """

    def put(self, source: Path, target: str) -> None:
        """Upload a file: it is in its place whole and checked, or not at all. What an earlier try brought is kept.

        Raises Unreachable, OSError.
        """
        part, patience = f"{target}.part", 60 + source.stat().st_size / 2e7
        for _ in range(2):  # what an earlier try left may belong to something else
            with ThreadPoolExecutor(1) as beside:
                digest = beside.submit(sha256, source)
                self._upload(source, part)
            ran = self.run(["sh", "-c", _CHECK, "sh", part, digest.result(), target], timeout=patience)
            if ran.code == 0:
                return
        raise OSError(f"{source.name} could not be uploaded: {excerpt(ran.err or 'it arrives changed')}")

    def get(self, source: str, target: Path, digest: str) -> None:
        """Download a file of that sha256: whole or not at all; goes on where an earlier try broke off.

        Raises Unreachable, OSError (also if the content is another one).
        """
        part = target.with_name(f".{target.name}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            if self._download(source, part) == digest:
                part.replace(target)
                return
            part.unlink()
        raise OSError(f"{target.name} is not what it was on the cluster")

    @abstractmethod
    def _upload(self, source: Path, part: str) -> None: ...

    @abstractmethod
    def _download(self, source: str, part: Path) -> str:
        """Returns the sha256 of the whole."""

    @abstractmethod
    def close(self) -> None: ...


class LocalShell(Transport):
    """This machine: for a hub that runs on the login node itself."""

    def __init__(self) -> None:
        self.environment = environment() | {n: v for n in ("SLURM_CONF",) if (v := os.environ.get(n))}

    def run(self, argv: Sequence[str], given: bytes = b"", timeout: float = 60.0) -> Ran:
        try:
            ran = subprocess.run(
                list(argv),
                input=given,
                capture_output=True,
                env=self.environment,
                timeout=timeout,
                cwd="/",
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"{argv[0]} did not answer within {timeout:.0f} s") from None
        except OSError as error:
            return Ran(127, b"", f"{argv[0]}: {error.strerror}")
        return Ran(ran.returncode, ran.stdout, ran.stderr.decode("utf-8", "replace"))

    def _upload(self, source: Path, part: str) -> None:
        shutil.copyfile(source, part)

    def _download(self, source: str, part: Path) -> str:
        shutil.copyfile(source, part)
        return sha256(part)

    def close(self) -> None:
        pass


class Ssh(Transport):
    """A cluster over ssh; the connection is made when it is needed and dropped at the first sign that it is broken.

    answer : for centres that ask a person: (title, instructions, [(question, shown while typed)]) -> answers; without
        it such a login is Unreachable with the code ``needs-login``
    """

    def __init__(
        self,
        cluster: Cluster,
        secrets: Path,
        answer: Callable[[str, str, list[tuple[str, bool]]], list[str]] | None = None,
    ) -> None:
        self.cluster, self.secrets, self.answer = cluster, secrets, answer
        self._connection: paramiko.Transport | None = None

    # --- the connection ---

    def connect(self) -> paramiko.Transport:
        """The living connection, or a new one. Raises Unreachable."""
        if self._connection is not None and self._connection.is_active():
            return self._connection
        self.close()
        cluster = self.cluster
        assert cluster.host is not None and cluster.user is not None and cluster.host_key is not None
        key = self._key()
        desk = self.answer if isinstance(self.answer, Desk) else None
        if (key is None and self.answer is None) or (desk is not None and not desk.attended):
            raise Unreachable(f"{cluster.name} needs a person to log in", "needs-login")
        try:
            plug = socket.create_connection((cluster.host, cluster.port), CONNECT)
        except OSError as error:
            raise Unreachable(f"{cluster.host}:{cluster.port}: {error.strerror or error}") from None
        connection: paramiko.Transport | None = None
        try:
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # without it each small packet waits 40 ms
            connection = paramiko.Transport(plug)
            connection.banner_timeout = connection.auth_timeout = connection.handshake_timeout = CONNECT
            kind, content = cluster.host_key.split()[:2]
            known = [kind] if kind != "ssh-rsa" else ["rsa-sha2-512", "rsa-sha2-256"]
            options = connection.get_security_options()
            options.key_types = known
            # ciphers that authenticate too spare half the work
            options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
            connection.start_client(timeout=CONNECT)
            shown = connection.get_remote_server_key()
            if shown.asbytes() != base64.b64decode(content):
                raise Unreachable(f"{cluster.host} has another host key than {cluster.fingerprint()}", "host-key")
            if key is not None:
                rest = connection.auth_publickey(cluster.user, key)
                if rest and self.answer is None:
                    raise Unreachable(f"{cluster.name} needs a person to log in", "needs-login")
            if self.answer is not None and not connection.is_authenticated():
                connection.auth_timeout = OPEN  # people read, look for their phone, and type
                connection.auth_interactive(cluster.user, self.answer)
            connection.set_keepalive(KEEPALIVE)
            if desk is not None:
                desk.ended("")
        except Unreachable:
            _close(connection or plug)
            raise
        except paramiko.AuthenticationException:
            _close(connection or plug)
            if desk is not None:
                desk.ended(f"{cluster.host} did not accept the answers")
                raise Unreachable(f"{cluster.name} needs a person to log in", "needs-login") from None
            if cluster.login == "certificate":
                raise Unreachable(f"{cluster.name} takes the certificate no more", "needs-login") from None
            raise Unreachable(f"{cluster.name} does not let {cluster.user} in", "refused") from None
        except paramiko.ssh_exception.IncompatiblePeer:
            _close(connection or plug)
            raise Unreachable(f"{cluster.host} has no {kind} key as it had", "host-key") from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            _close(connection or plug)
            raise Unreachable(f"{cluster.host}:{cluster.port}: {excerpt(str(error))}") from None
        self._connection = connection
        return connection

    def _key(self) -> paramiko.PKey | None:
        """Raises Unreachable if it is to be had and cannot be read."""
        file = self.cluster.key_file(self.secrets)
        if file is None:
            return None
        try:
            key: paramiko.PKey = paramiko.PKey.from_path(file)
            certificate = self.cluster.certificate_file(self.secrets)
            if certificate is not None:
                key.load_certificate(str(certificate))
            return key
        except (OSError, ValueError, paramiko.SSHException) as error:
            raise Unreachable(
                f"the key of {self.cluster.name} cannot be read: {excerpt(str(error))}", "refused"
            ) from None

    def close(self) -> None:
        if self._connection is not None:
            _close(self._connection)
        self._connection = None

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """What goes wrong on the way breaks the connection. A disk here that is full is an OSError."""
        try:
            yield
        except OSError as error:
            if error.errno in (28, 122):
                raise OSError(error.errno, "no room on the disk") from None
            self.close()
            raise Unreachable(f"{self.cluster.name}: {excerpt(str(error) or 'the link broke')}") from None
        except (paramiko.SSHException, EOFError) as error:
            self.close()
            raise Unreachable(f"{self.cluster.name}: {excerpt(str(error) or 'the link broke')}") from None

    # --- commands ---

    def run(self, argv: Sequence[str], given: bytes = b"", timeout: float = 60.0) -> Ran:
        connection = self.connect()
        with self._unbroken():
            channel = _begin(connection, argv, timeout)
            channel.sendall(given)
            channel.shutdown_write()
            # read before the status is asked for, which would wait for ever for a command that waits to be read
            out = b"".join(iter(lambda: channel.recv(1 << 20), b""))
            return _end(channel, out, timeout)

    # --- files: through commands, which move them twice as fast as sftp with its answer to every piece ---

    def _upload(self, source: Path, part: str) -> None:
        size, there = source.stat().st_size, int(self.run(["stat", "-c", "%s", part]).out or 0)
        if there > size:
            there = 0
        # at its place and not at the end: what an earlier, broken connection may still bring lands where it belongs
        argv = ["dd", f"of={part}", "bs=262144", f"seek={there}", "oflag=seek_bytes", "iflag=fullblock", "status=none"]
        connection = self.connect()
        with self._unbroken(), source.open("rb") as stream:
            stream.seek(there)
            channel = _begin(connection, argv, SILENCE)
            try:
                while piece := stream.read(PIECE):
                    channel.sendall(piece)
                channel.shutdown_write()
            except OSError:
                if not channel.exit_status_ready():  # else the command has ended, and says why
                    raise
            ran = _end(channel, b"", SILENCE)
        if ran.code:
            full = "No space left" in ran.err or "quota exceeded" in ran.err.lower()
            raise OSError(28 if full else 5, "no room on the disk" if full else excerpt(ran.err))

    def _download(self, source: str, part: Path) -> str:
        connection = self.connect()
        with self._unbroken(), part.open("a+b") as target:
            target.seek(0)
            digest = hashlib.file_digest(target, "sha256")
            channel = _begin(connection, ["tail", "-c", f"+{target.tell() + 1}", source], SILENCE)
            channel.shutdown_write()
            while piece := channel.recv(PIECE):
                target.write(piece)
                digest.update(piece)
            ran = _end(channel, b"", SILENCE)
        if ran.code:
            raise FileNotFoundError(2, "it is not there any more")
        return digest.hexdigest()


def _begin(connection: paramiko.Transport, argv: Sequence[str], timeout: float) -> paramiko.Channel:
    """A command that has begun. timeout : longest silence [s]"""
    channel = connection.open_session(timeout=CONNECT)
    channel.settimeout(timeout)
    channel.exec_command(shlex.join(argv))
    return channel


def _end(channel: paramiko.Channel, out: bytes, timeout: float) -> Ran:
    """What a command did whose output was read. Raises EOFError if that did not arrive: it may still run."""
    err = b"".join(iter(lambda: channel.recv_stderr(1 << 20), b""))
    if not channel.status_event.wait(timeout) or channel.exit_status == -1:
        raise EOFError("the link broke during a command")
    code = channel.exit_status
    channel.close()
    return Ran(code, out, err.decode("utf-8", "replace"))


def _close(what: paramiko.Transport | socket.socket) -> None:
    with suppress(Exception):
        what.close()


def transport(cluster: Cluster, secrets: Path) -> Transport:
    """The way to a cluster as its description says."""
    if cluster.transport == "local":
        return LocalShell()
    return Ssh(cluster, secrets, Desk(secrets, cluster.name) if cluster.login == "keyboard-interactive" else None)


def host_key(host: str, port: int = 22) -> tuple[str, str]:
    """(public key, fingerprint) that a host shows now, for a person to compare. Raises Unreachable."""
    try:
        plug = socket.create_connection((host, port), CONNECT)
        connection = paramiko.Transport(plug)
        try:
            connection.start_client(timeout=CONNECT)
            shown = connection.get_remote_server_key()
        finally:
            _close(connection)
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Unreachable(f"{host}:{port}: {excerpt(str(error))}") from None
    return f"{shown.get_name()} {shown.get_base64()}", str(shown.fingerprint)
