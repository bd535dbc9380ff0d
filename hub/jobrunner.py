"""``python -m hub.jobrunner ENTRY ATTEMPT [SLOTS]``: one job on this machine, from its turn to its end marker.

It detaches itself, claims the job (so that a job of a name runs once for ever), waits for free cores, starts the
argv of ``job.json``, (without SLOTS it stays, begins at once and tells by its exit status: a scheduler has detached it
and chosen the cores) and holds it to its memory and wall time. It is the subreaper of everything the job starts:
a child that hides in a session of its own is still found, counted and ended. At the end the attempt says DONE or
FAILED with a true reason. Its own environment is the job's: whoever submits hands over what the job may know.

ENTRY, the job's folder in the registry of :class:`hub.local.LocalExecutor`, holds ``claim`` (who runs it),
``beat`` (a number that grows
while it is watched), ``started``, ``processes`` (who belongs to it), ``cancel`` (asked to end), ``ended``. Linux only.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

from hub import leftovers
from hub.folder import Folder, write_whole

#: What a job says that its scheduler starts a second time: the first start has the claim, whatever became of it.
AGAIN = "officina: this job was started before"
#: Seconds between SIGTERM and SIGKILL.
GRACE = 3.0
#: Seconds between two looks at memory and time.
INTERVAL = 0.5
#: Looks between two beats.
BEAT = 20
#: The log keeps at least the last LOG bytes and is never longer than twice that.
LOG = 8_000_000
#: Room kept free on the disk of the attempt so that FAILED can be written when it is full [byte].
RESERVE = 65_536

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Ended(Exception):
    """The job has to end, or has ended, without a result of its own."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        self.code, self.message, self.hint = code, message, hint
        super().__init__(message)


class _Job(NamedTuple):
    """What counts here of a :class:`hub.runfolder.Job`."""

    argv: tuple[str, ...]
    ranks: int
    memory: int
    time: float


class Process(NamedTuple):
    """A process that cannot be mistaken for a later one of the same pid: when it started [clock ticks since boot],
    and which boot that was."""

    pid: int
    start: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The living process of that pid; None if there is none or only a zombie."""
        try:
            # the name, in parentheses, may contain anything
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]), boot_id())

    def lives(self) -> bool:
        return Process.of(self.pid) == self


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def claim(entry: Path, process: Process | None) -> bool:
    """Make `process` the one that runs the job (None: nobody ever will). False if somebody was first."""
    part = entry / f".claim.{os.uname().nodename}.{os.getpid()}"  # two nodes may have the same pids
    part.write_text(json.dumps(process))
    try:
        os.link(part, entry / "claim")
        return True
    except FileExistsError:
        return False
    finally:
        part.unlink()


def main(entry: Path, attempt: Folder, slots: Path) -> None:
    """Detach and run the job; the process that was called returns when the job is claimed."""
    readable, writable = os.pipe()
    if os.fork():
        os.close(writable)
        os.read(readable, 1)  # returns when the child has claimed the job, or is gone
        if not (entry / "claim").exists():
            sys.exit("the process that runs the job ended before it began")
        os._exit(0)
    os.close(readable)
    this = Process.of(os.getpid())
    assert this is not None
    if not claim(entry, this):
        os._exit(0)
    log = os.open(entry / "runner.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(writable)
    run(entry, attempt, slots)
    os._exit(0)


def main_here(entry: Path, attempt: Folder) -> None:
    """Run the job in this process and its children. Exit status 0: DONE, 1: FAILED, 76: another one has the job."""
    this = Process.of(os.getpid())
    assert this is not None
    if not claim(entry, this):
        print(AGAIN, flush=True)
        sys.exit(76)
    run(entry, attempt, None)
    os._exit(0 if (attempt.folder / "DONE").exists() else 1)


def run(entry: Path, attempt: Folder, slots: Path | None) -> None:
    """The claimed job, from its turn to its end marker; everything it started has ended then."""
    with suppress(OSError):
        os.chdir(attempt.folder)
    claimed = started = time.monotonic()
    used: dict[str, float] = {}
    reserve = attempt.folder / ".reserve"
    try:
        signal.signal(signal.SIGTERM, lambda *_: _asked_to_end(entry))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if (entry / "cancel").exists():
            _asked_to_end(entry)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        with suppress(OSError):
            reserve.write_bytes(b"\0" * RESERVE)
        job = _job(attempt)
        held = take_slots(slots, job.ranks) if slots else []
        (entry / "started").touch()
        if slots is None:  # a scheduler's numbers, and with them the names of segments, may come again
            leftovers.clear_everywhere()
        started = time.monotonic()
        code = _watch(job, attempt, entry, used)
        if not (attempt.folder / "DONE").exists() and not (attempt.folder / "FAILED").exists():
            raise _explain(code, attempt)
        del held
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end_all()
        if not isinstance(error, Ended):
            sys.excepthook(type(error), error, error.__traceback__)
            error = Ended(
                "disk-full" if isinstance(error, OSError) and error.errno in (28, 122) else "crashed",
                f"The job could not be run: {type(error).__name__}: {error}",
                "Free some room and run again." if disk_full(attempt.folder) else "Tell the staff of the centre.",
            )
        reserve.unlink(missing_ok=True)
        with suppress(OSError):
            attempt.fail(error.code, error.message, error.hint)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not (attempt.folder / "DONE").exists():  # ranks that end well leave nothing
        leftovers.clear()
    reserve.unlink(missing_ok=True)
    with suppress(OSError):
        used |= {"seconds": time.monotonic() - started, "waited": started - claimed}
        write_whole(attempt.folder / "used.json", json.dumps(used))
    with suppress(OSError):
        (entry / "ended").touch()


def _job(attempt: Folder) -> _Job:
    asked = json.loads((attempt.folder / "job.json").read_bytes())
    return _Job(*(asked[name] for name in _Job._fields))


def _asked_to_end(entry: Path) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if (entry / "cancel").exists():
        raise Ended("cancelled", "The run was cancelled.")
    raise Ended("lost", "The job was ended from outside, as when a machine shuts down.", "Run it again.")


# --- cores --------------------------------------------------------------------------------------------------------


def take_slots(folder: Path, ranks: int) -> list[IO[bytes]]:
    """Wait until `ranks` cores of this machine are free and take them, all or none.

    Held by locks, which the kernel frees when the process ends in whatever way. Whoever waits for cores waits at the
    head of one queue, so that a large job is not overtaken for ever by small ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0))
    wanted = min(ranks, cores)
    with (folder / "queue").open("wb") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        while True:
            held: list[IO[bytes]] = []
            for number in range(cores):
                slot: IO[bytes] = (folder / str(number)).open("wb")
                try:
                    fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    slot.close()
                    continue
                held.append(slot)
                if len(held) == wanted:
                    return held
            for slot in held:
                slot.close()
            time.sleep(0.02)


# --- the job ------------------------------------------------------------------------------------------------------


def _watch(job: _Job, attempt: Folder, entry: Path, used: dict[str, float]) -> int:
    """Start the job and see it to its end; returns its exit code (negative: the signal). Raises Ended."""
    try:
        child = subprocess.Popen(
            [*job.argv, str(attempt.folder)],
            cwd=attempt.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),
        )
    except OSError as error:
        raise Ended("crashed", f"{job.argv[0]} cannot be started: {error.strerror}.", "Tell the staff.") from None
    assert child.stdout is not None
    os.set_blocking(child.stdout.fileno(), False)
    log = _Log(attempt.log)
    deadline, look, code, peak, beat = time.monotonic() + job.time, 0.0, None, 0, 0
    known: set[int] = set()
    while code is None:
        open_ = log.take(child.stdout, wait=0.05)
        if not open_:
            time.sleep(0.01)
        code = _reap(child.pid)
        now = time.monotonic()
        if code is None and now >= look:
            look, beat = now + INTERVAL, beat + 1
            if beat % BEAT == 1:
                with suppress(OSError):
                    write_whole(entry / "beat", f"{beat}\n")
            mine = family()
            known = _remember(entry, mine, known)
            memory = sum(map(_memory, mine))
            used["peak_memory"] = peak = max(peak, memory)
            if memory > job.memory:
                raise Ended(
                    "out-of-memory",
                    f"The job used {memory / 1e9:.2f} GB of memory; it was given {job.memory / 1e9:.2f} GB.",
                    "Choose a coarser mesh, or let it use more memory.",
                )
            if now > deadline:
                raise Ended(
                    "time-limit",
                    f"The job was not finished after {job.time:.0f} s, the time it was given.",
                    "Choose a coarser mesh, or let it use more time.",
                )
    end_all()
    log.take(child.stdout, wait=0.0)
    return code


def _reap(main: int) -> int | None:
    """Bury whoever has died, adopted grandchildren too; the exit code of `main` if it was among them."""
    code = None
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == main:
                code = os.waitstatus_to_exitcode(found[1])
    return code


def _remember(entry: Path, pids: list[int], known: set[int]) -> set[int]:
    """Write down who belongs to the job, so that they are found should this process be killed."""
    if set(pids) != known:
        processes = [p for p in map(Process.of, pids) if p]
        with suppress(OSError):
            write_whole(entry / "processes", json.dumps(processes))
    return set(pids)


def _memory(pid: int) -> int:
    """Resident set size [byte]."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def family() -> list[int]:
    """The living descendants of this process. One look at all processes: cheaper than a tree of objects, twice a
    second for every job."""
    children: dict[int, list[tuple[int, bool]]] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                # the name, in parentheses, may contain anything
                state, parent = (process / "stat").read_bytes().rpartition(b")")[2].split(maxsplit=2)[:2]
                children.setdefault(int(parent), []).append((int(process.name), state not in b"ZX"))
    found, new = list[int](), [os.getpid()]
    while new:
        born = [child for parent in new for child in children.get(parent, ())]
        found += [pid for pid, lives in born if lives]
        new = [pid for pid, _ in born]
    return found


def end_all() -> None:
    """End every descendant of this process: with SIGTERM, then with SIGKILL until none is left."""
    deadline = time.monotonic() + GRACE
    told: set[int] = set()
    while living := family():
        forced = time.monotonic() > deadline
        for pid in living:
            if forced or pid not in told:
                told.add(pid)
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL if forced else signal.SIGTERM)
        time.sleep(0.05)
        _reap(0)


class _Log:
    """The job's output, of which the end is kept. A full disk costs the log, not the job."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.size = 0

    def take(self, stream: IO[bytes], wait: float) -> bool:
        """Move what the job has written; False at the end of its output."""
        select.select([stream], [], [], wait)
        while True:
            try:
                data = os.read(stream.fileno(), 1 << 16)
            except BlockingIOError:
                return True
            if not data:
                return False
            with suppress(OSError), self.file.open("ab") as log:
                log.write(data)
                self.size += len(data)
            if self.size > 2 * LOG:
                self._shorten()

    def _shorten(self) -> None:
        with suppress(OSError):
            content = self.file.read_bytes()[-LOG:]
            write_whole(self.file, b"[the beginning was dropped: the log is longer than is kept]\n" + content)
            self.size = len(content)


# --- why it ended -------------------------------------------------------------------------------------------------


def disk_full(folder: Path) -> bool:
    """Less room than the end marker and the log of a stage need."""
    try:
        return shutil.disk_usage(folder).free < 2 * RESERVE
    except OSError:
        return False


def _explain(code: int, attempt: Folder) -> Ended:
    """Why a job that wrote neither DONE nor FAILED ended, from what it left."""
    tail = attempt.log_tail(4000)
    if disk_full(attempt.folder) or "No space left on device" in tail or "Errno 28" in tail:
        return Ended("disk-full", "The disk is full.", "Free some room and run again; nothing else is wrong.")
    if "Fatal error in internal_Init" in tail:  # MPICH's words; the solver has not read its case yet
        return Ended("lost", "MPI could not start on this machine.", "It is tried again by itself; the log says more.")
    # of a child, of a shell or srun that tells of its child, or named by MPICH's launcher
    number = -code if code < 0 else code - 128 if 128 < code < 128 + signal.NSIG else _signal_named(tail)
    if number:
        name = signal.Signals(number).name if number in list(signal.Signals) else "unknown"
        why = {
            signal.SIGKILL: "Somebody ended it, or the machine ran out of memory: choose a coarser mesh.",
            signal.SIGTERM: "It was ended from outside: run it again.",
        }
        message = f"A process of the job was ended by signal {number} ({name})."
        return Ended("killed", message, {int(k): v for k, v in why.items()}.get(number, "The log has the details."))
    if code == 0:
        return Ended("crashed", "The stage ended as if all was well, and left no result.", "Tell its author.")
    return Ended("crashed", f"The stage ended with exit code {code} and did not say why.", "The log has the details.")


def _signal_named(tail: str) -> int:
    """The signal that ended a rank, as MPICH's launcher tells it on the last lines; 0 if it tells of none."""
    _, found, rest = tail.rpartition("EXIT STRING: ")
    _, found, rest = rest.partition("(signal ") if found else ("", "", "")
    number = rest.partition(")")[0]
    return int(number) if found and number.isdigit() else 0


if __name__ == "__main__":
    if len(sys.argv) > 3:
        main(Path(sys.argv[1]), Folder(Path(sys.argv[2])), Path(sys.argv[3]))
    main_here(Path(sys.argv[1]), Folder(Path(sys.argv[2])))
