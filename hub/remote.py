"""The executor of a cluster: any way there, any scheduler.

``submit`` and ``cancel`` write down what is wanted, ``poll`` reads what is known (:mod:`hub.register`). In between one
process at a time, whoever has the turn, makes rounds over one connection (:mod:`hub.courier`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from hub.clusters import Cluster
from hub.courier import Courier
from hub.executor import Executor, ExecutorError, Handle, JobState
from hub.forecast import wishes
from hub.register import Record, Register, Trouble
from hub.runfolder import Attempt
from hub.transport import Transport, Unreachable, transport

log = logging.getLogger("officina.clusters")

#: Seconds between two questions to a scheduler; looks at the files of jobs come LOOKS times as often.
INTERVAL, LOOKS = 10.0, 8
#: Seconds without a sign of life after which a job its scheduler does not know is lost.
LOST = 60.0
#: Longest wait between two tries to reach a cluster [s].
PAUSE = 60.0


class ClusterExecutor(Executor):
    """Jobs on a cluster, registered below `home`.

    way : how it is reached, if not as its description says
    interval : between two questions to the scheduler [s]; lost : see LOST
    arrays : whether equal jobs may be submitted as one array
    carries : whether this process may make rounds; one that does not only writes down and reads
    """

    def __init__(
        self,
        cluster: Cluster,
        home: Path,
        *,
        way: Transport | None = None,
        interval: float = INTERVAL,
        lost: float = LOST,
        arrays: bool = True,
        carries: bool = True,
    ) -> None:
        self.cluster, self.interval, self.carries = cluster, interval, carries
        self.register = Register(home, cluster.name)
        self._secrets = home.absolute() / "secrets"
        way = way or transport(cluster, self._secrets)
        self._courier = Courier(self.register, cluster, way, interval, lost, arrays)
        self._owner = os.getpid()
        self._thread: threading.Thread | None = None
        self._next = 0.0

    # --- what is wanted ---

    def submit(self, attempt: Attempt) -> Handle:
        handle = Handle(self.register.enter(attempt))
        self._kick(soon=True)
        return handle

    def cancel(self, handle: Handle) -> None:
        entry = self.register.entry(handle)
        if not entry.is_dir() or self.register.ended(handle):
            return
        try:
            (entry / "cancel").touch()
        except OSError as error:
            raise ExecutorError(f"The job {handle} cannot be cancelled: {error.strerror}.") from None
        self._kick(soon=True)

    # --- what is known ---

    def find(self, name: str) -> Handle | None:
        return Handle(name) if self.register.known(name) else None

    def poll(self, handles: Sequence[Handle]) -> dict[Handle, JobState]:
        self._kick()
        silent = self.trouble is not None
        return {handle: self._state(handle, silent) for handle in handles}

    def _state(self, handle: Handle, silent: bool) -> JobState:
        if self.register.ended(handle):
            return JobState.ENDED
        if not self.register.known(handle):
            return JobState.UNKNOWN
        return JobState.UNREACHABLE if silent else self.register.record(handle).state

    def folder(self, handle: Handle) -> Path:
        return self.register.folder(handle)

    def record(self, handle: Handle) -> Record:
        """What was last known of a job: the scheduler's number, state and reason."""
        return self.register.record(handle)

    @property
    def trouble(self) -> Trouble | None:
        """Why the cluster is out of reach, since when; None if it answered the last time."""
        return self.register.trouble

    def attend(self) -> None:
        """Make a round if one is due and something is asked for, or a job is under way."""
        if self._open():
            self._kick()

    # --- asked for ---

    def fetch(self, handle: Handle, wanted: Collection[str] | None = None) -> list[str]:
        """Bring results that stayed on the cluster (all of them, or those paths). Returns the paths that came.

        Raises Unreachable; OSError if there is no room or they are not what the job wrote.
        """
        with self.register.turn(wait=True):
            return self._courier.bring(handle, wanted)

    def remove(self, handles: Sequence[Handle]) -> None:
        """Delete what lies on the cluster of jobs that have ended. Raises Unreachable."""
        ended = [handle for handle in handles if self.register.ended(handle)]
        with self.register.turn(wait=True):
            self._courier.do(self._courier.arrive(), "remove", lines=ended)

    # --- rounds ---

    def _kick(self, soon: bool = False) -> None:
        """Let a thread make a round if one is due."""
        if not self.carries:
            return
        if self._owner != os.getpid():  # a child of the process that has the connection
            old = self._courier
            way = transport(self.cluster, self._secrets)
            self._courier = Courier(self.register, self.cluster, way, old.interval, old.lost, old.arrays)
            self._owner, self._thread = os.getpid(), None
        due = time.monotonic() >= self._next or (soon and self.trouble is None)
        if due and (self._thread is None or not self._thread.is_alive()) and (soon or self._open()):
            self._thread = threading.Thread(target=self._in_thread, name=f"round {self.cluster.name}", daemon=True)
            self._thread.start()

    def _open(self) -> bool:
        return bool(self.register.names() or self.register.wanted() or wishes(self.register.home, self.cluster.name))

    def _in_thread(self) -> None:
        try:
            self.round()
        except Exception:  # the next round begins anew
            log.exception("the round over %s broke off", self.cluster.name)
        self._next = time.monotonic() + self._pause()

    def _pause(self) -> float:
        trouble = self.trouble
        if trouble and trouble.code == "needs-login":  # to see whether somebody is there costs nothing
            return self.interval / LOOKS
        return min(PAUSE, self.interval * 2 ** min(trouble.tries - 1, 6) / 2) if trouble else self.interval / LOOKS

    def close(self) -> None:
        """Let go of the connection, once the round that is under way is over."""
        if self._thread is not None and self._owner == os.getpid():
            self._thread.join()
        self._courier.way.close()

    def round(self) -> bool:
        """Make a round now; False if somebody else is at it. That the cluster is out of reach is noted as `trouble`."""
        with self.register.turn() as mine:
            if not mine:
                return False
            try:
                self._courier.round()
                self.register.answers()
            except Unreachable as error:
                tries = self.register.is_silent(error.code, str(error)).tries
                log.log(logging.WARNING if tries == 1 else logging.DEBUG, "%s: %s", self.cluster.name, error)
            return True
