"""The executor of a cluster: any transport, any scheduler; what it knows lies in files, so any process can ask.

``submit`` and ``cancel`` write down what is wanted, ``poll`` reads what is known. In between one process at a time,
whoever holds the lock, makes *rounds* over one connection: places and submits what is new, looks at all jobs in one
command, brings back what has ended. A round may break off anywhere and is made again: identity is the job's own name,
never the scheduler's number; what is about to be submitted is written down before, here and there; after any doubt the
job is looked up by its name before it is submitted again; and a job of a name runs once for ever, because it claims
its name on the node (:mod:`hub.jobrunner`).

``<home>/remote/<cluster>/`` holds ``jobs/<name>/`` (``folder``, ``record.json``, ``cancel``, ``ended``),
``open/<name>`` for those that have not ended, ``groups/<group>.json`` (jobs submitted as one array), ``spool/``,
``lock``, ``asked`` (when the scheduler was asked last) and ``trouble.json``.
"""

from __future__ import annotations

import base64
import fcntl
import json
import logging
import os
import re
import sys
import tarfile
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from hub.clusters import Cluster
from hub.executor import Executor, ExecutorError, Handle, JobState
from hub.farcode import code_archive
from hub.problem import excerpt
from hub.runfolder import Attempt, Done, Failure, sha256, write_whole
from hub.scheduler import Demand, Word, demand, hopeless, launch, state, why, words
from hub.transport import Transport, Unreachable, transport

log = logging.getLogger("officina.clusters")

#: Seconds between two questions to a scheduler; looks at the files of jobs come LOOKS times as often.
INTERVAL, LOOKS = 10.0, 5
#: Seconds without a sign of life after which a job its scheduler does not know is lost.
LOST = 60.0
#: Files up to SMALL come back in one archive, those up to LIGHT one by one; larger ones stay until asked for [byte].
SMALL, LIGHT = 4_000_000, 256_000_000
#: Largest archive sent or brought at once [byte]; most jobs of an array; most submissions in one command.
ARCHIVE, ARRAY, BATCH = 64_000_000, 1000, 100
#: Longest wait between two tries to reach a cluster [s].
PAUSE = 60.0

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,119}")
_PATH = re.compile(r"[A-Za-z0-9_+=@,()\[\]-][A-Za-z0-9_+=@,()\[\]. -]{0,150}")
#: What of an attempt's folder is the cluster's to say, or is not for it.
_MADE = {"out", "DONE", "FAILED", "status.json", "log.txt", "history.jsonl", "used.json", "left.json", "checkpoint"}


class Record(BaseModel):
    """What is known of a job.

    group, index : the submission it belongs to, and its number in an array (-1: alone); id : the scheduler's
    beat, alive : last beat seen and when it changed; absent : how often the scheduler did not know it
    told : when its end was asked for; over : when it was first said to have ended; verdict : what it ends with
    """

    group: str = ""
    index: int = -1
    placed: bool = False
    id: str = ""
    code: str = ""
    state: JobState = JobState.QUEUED
    word: Word | None = None
    beat: str = ""
    alive: float = 0.0
    absent: int = 0
    told: float = 0.0
    over: float = 0.0
    log: int = -1
    history: int = 0
    verdict: Failure | None = None


class Trouble(BaseModel):
    """Why a cluster is out of reach.

    code : of :class:`hub.transport.Unreachable`; since, tries : since when [s], how often it was tried
    """

    code: str
    message: str
    since: float
    tries: int = 1


class _Far(NamedTuple):
    """The cluster's side: its folder, Python, container (``-``: none) and our code."""

    root: str
    python: str
    container: str
    code: str


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
        self.cluster, self.interval, self.lost, self.arrays, self.carries = cluster, interval, lost, arrays, carries
        self.place = home.absolute() / "remote" / cluster.name
        self.jobs, self.open = self.place / "jobs", self.place / "open"
        self._secrets = home.absolute() / "secrets"
        self._way, self._owner = way or transport(cluster, self._secrets), os.getpid()
        self._far: _Far | None = None
        self._thread: threading.Thread | None = None
        self._next = 0.0

    # --- what is wanted ---

    def submit(self, attempt: Attempt) -> Handle:
        name, folder = attempt.job().name, attempt.folder.absolute()
        entry = self._entry(name)
        try:
            entry.mkdir(parents=True, exist_ok=True)
            self.open.mkdir(parents=True, exist_ok=True)
            with (entry / "submit").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if (entry / "folder").exists():
                    if self.folder(Handle(name)) != folder:
                        raise ExecutorError(f"The job {name} belongs to another folder.")
                else:
                    (self.open / name).touch()  # first: what has a folder and is not open would be forgotten
                    write_whole(entry / "folder", str(folder))
        except OSError as error:
            raise ExecutorError(f"The job {name} cannot be registered: {error.strerror}.") from None
        self._kick(soon=True)
        return Handle(name)

    def cancel(self, handle: Handle) -> None:
        entry = self._entry(handle)
        if not entry.is_dir() or (entry / "ended").exists():
            return
        try:
            (entry / "cancel").touch()
        except OSError as error:
            raise ExecutorError(f"The job {handle} cannot be cancelled: {error.strerror}.") from None
        self._kick(soon=True)

    # --- what is known ---

    def find(self, name: str) -> Handle | None:
        return Handle(name) if (self._entry(name) / "folder").exists() else None

    def poll(self, handles: Sequence[Handle]) -> dict[Handle, JobState]:
        self._kick()
        trouble = self.trouble
        return {handle: self._state(handle, trouble) for handle in handles}

    def _state(self, handle: Handle, trouble: Trouble | None) -> JobState:
        entry = self._entry(handle)
        if (entry / "ended").exists():
            return JobState.ENDED
        if not (entry / "folder").exists():
            return JobState.UNKNOWN
        return JobState.UNREACHABLE if trouble else self.record(handle).state

    def record(self, handle: Handle) -> Record:
        """What was last known of a job."""
        try:
            return Record.model_validate_json((self._entry(handle) / "record.json").read_bytes())
        except (OSError, ValidationError):
            return Record()

    @property
    def trouble(self) -> Trouble | None:
        """Why the cluster is out of reach, since when; None if it answered the last time."""
        try:
            return Trouble.model_validate_json((self.place / "trouble.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def folder(self, handle: Handle) -> Path:
        try:
            return Path((self._entry(handle) / "folder").read_text())
        except FileNotFoundError:
            raise ExecutorError(f"There is no job {excerpt(handle)} on {self.cluster.name}.") from None

    def left(self, handle: Handle) -> dict[str, dict[str, Any]]:
        """The results that stayed on the cluster: path below ``out/`` -> bytes and sha256."""
        try:
            return dict(json.loads((self.folder(handle) / "left.json").read_bytes())["files"])
        except (OSError, ValueError):
            return {}

    def _entry(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ExecutorError(f"{excerpt(name)} is no name of a job: small letters, digits and - only.")
        return self.jobs / name

    # --- asked for ---

    def fetch(self, handle: Handle, wanted: Collection[str] | None = None) -> list[str]:
        """Bring results that stayed on the cluster (all of them, or those paths). Returns the paths that came.

        Raises Unreachable; OSError if there is no room or they are not what the job wrote.
        """
        with self._turn(wait=True):
            attempt, far = Attempt(self.folder(handle)), self._arrive()
            left, came = self.left(handle), list[str]()
            for path in [p for p in left if wanted is None or p in wanted]:
                self._way.get(f"{far.root}/runs/{handle}/out/{path}", attempt.out / path, left[path]["sha256"])
                done = Done.model_validate_json((attempt.folder / "DONE").read_bytes())
                files = {**done.files, path: left.pop(path)["sha256"]}
                write_whole(attempt.folder / "DONE", Done(files=files).model_dump_json(indent=1))
                self._write_left(attempt, left)
                came.append(path)
            return came

    def remove(self, handles: Sequence[Handle]) -> None:
        """Delete what lies on the cluster of jobs that have ended. Raises Unreachable."""
        ended = [h for h in handles if (self._entry(h) / "ended").exists()]
        with self._turn(wait=True):
            self._do(self._arrive(), "remove", lines=ended)

    def _write_left(self, attempt: Attempt, left: Mapping[str, Mapping[str, Any]]) -> None:
        if left:
            write_whole(attempt.folder / "left.json", json.dumps({"cluster": self.cluster.name, "files": left}))
        else:
            (attempt.folder / "left.json").unlink(missing_ok=True)

    # --- rounds ---

    def _kick(self, soon: bool = False) -> None:
        """Let a thread make a round if one is due."""
        if not self.carries:
            return
        if self._owner != os.getpid():  # a child of the process that had the connection
            self._way, self._owner, self._thread, self._far = (
                transport(self.cluster, self._secrets),
                os.getpid(),
                None,
                None,
            )
        due = time.monotonic() >= self._next or (soon and self.trouble is None)
        if due and (self._thread is None or not self._thread.is_alive()) and (soon or self._open()):
            self._thread = threading.Thread(
                target=self._round_of_thread, name=f"round-{self.cluster.name}", daemon=True
            )
            self._thread.start()

    def _round_of_thread(self) -> None:
        try:
            self.round()
        except Exception:  # the next round begins anew
            log.exception("the round over %s broke off", self.cluster.name)
        self._next = time.monotonic() + self._pause()

    def _pause(self) -> float:
        trouble = self.trouble
        return min(PAUSE, self.interval * 2 ** min(trouble.tries - 1, 6) / 2) if trouble else self.interval / LOOKS

    def close(self) -> None:
        """Let go of the connection, once the round that is under way is over."""
        if self._thread is not None and self._owner == os.getpid():
            self._thread.join()
        self._way.close()

    def round(self) -> bool:
        """Place, submit, look, bring back; False if somebody else is at it. Never raises Unreachable: see `trouble`."""
        with self._turn() as mine:
            if not mine:
                return False
            try:
                records = {name: self.record(Handle(name)) for name in self._open()}
                if records:
                    far = self._arrive()
                    self._place(far, records)
                    self._submit(far, records)
                    self._cancel(far, records)
                    self._look(far, records)
                (self.place / "trouble.json").unlink(missing_ok=True)
            except Unreachable as error:
                before = self.trouble
                now = Trouble(code=error.code, message=str(error), since=before.since if before else time.time())
                now.tries = before.tries + 1 if before else 1
                write_whole(self.place / "trouble.json", now.model_dump_json())
                log.log(logging.WARNING if now.tries == 1 else logging.DEBUG, "%s: %s", self.cluster.name, error)
            return True

    @contextmanager
    def _turn(self, wait: bool = False) -> Iterator[bool]:
        """Whether it is this process's turn; the kernel frees the lock of one that was killed."""
        self.place.mkdir(parents=True, exist_ok=True)
        with (self.place / "lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True

    def _open(self) -> list[str]:
        try:
            return sorted(file.name for file in self.open.iterdir())
        except FileNotFoundError:
            return []

    def _save(self, name: str, record: Record) -> None:
        write_whole(self.jobs / name / "record.json", record.model_dump_json())

    def _cancelled(self, name: str) -> bool:
        return (self.jobs / name / "cancel").exists()

    def _do(self, far: _Far, action: str, *words: str, lines: Sequence[str] = (), timeout: float = 60.0) -> bytes:
        """One command on the login node. Raises Unreachable, OSError if there is no room."""
        script = f"{far.root}/code/{far.code}/hub/login.sh"
        argv = ["sh", script, action, far.root, self.cluster.scheduler, *words]
        ran = self._way.run(argv, "".join(f"{line}\n" for line in lines).encode(), timeout)
        if ran.code == 67 or "No space left" in ran.err or "quota exceeded" in ran.err.lower():
            raise OSError(28, "no room on the disk of the cluster")
        if ran.code:
            self._far = None  # perhaps somebody tidied up: everything is looked at again the next time
            raise Unreachable(f"{self.cluster.name}: {action}: {excerpt(ran.err) or f'exit status {ran.code}'}")
        return ran.out

    def _arrive(self) -> _Far:
        """Find the cluster's folders and bring our code there if it is another one. Raises Unreachable."""
        archive = code_archive(self.place / "spool")
        digest = archive.stem.removeprefix("code-")
        if self._far is not None and self._far.code == digest:
            return self._far
        environment = self.cluster.environment
        asked = [self.cluster.scratch, environment.python or "python3", environment.container or "-"]
        # the description allows nothing in these but names of folders and of variables
        shown = " ".join('"' + re.sub(r"^~/", "$HOME/", text) + '"' for text in asked)
        find = (
            f'umask 077; set -- {shown}; mkdir -p "$1/code" "$1/runs" "$1/jobs" "$1/incoming" && cd "$1" && pwd -P &&'
        )
        find += f' printf "%s\\n%s\\n" "$2" "$3" && if [ -d code/{digest} ]; then echo ready; fi'
        ran = self._way.run(["sh", "-c", find], timeout=30)
        lines = ran.out.decode().splitlines()
        if ran.code or len(lines) < 3:
            raise Unreachable(f"{self.cluster.name}: the scratch cannot be used: {excerpt(ran.err)}")
        far = _Far(lines[0], lines[1], lines[2], digest)
        if len(lines) < 4:
            target = f"{far.root}/incoming/{archive.name}"
            try:
                self._way.put(archive, target)
            except OSError as error:
                raise Unreachable(f"{self.cluster.name}: our code cannot be brought there: {error}") from None
            unpack = (
                'p="$1/code/.$2.$$"; mkdir "$p" && tar -xzf "$3" -C "$p" && { mv -T "$p" "$1/code/$2" || rm -rf "$p"; }'
            )
            ran = self._way.run(["sh", "-c", f"umask 077; {unpack}", "sh", far.root, digest, target])
            if ran.code:
                raise Unreachable(f"{self.cluster.name}: our code cannot be unpacked there: {excerpt(ran.err)}")
        self._far = far
        return far

    # --- there ---

    def _place(self, far: _Far, records: dict[str, Record]) -> None:
        """Bring the folders of new jobs: small ones together, a large one by itself, going on where it broke off."""
        bundles, size = list[list[str]](), 0
        for name in [n for n, r in records.items() if not r.placed]:
            folder = self.folder(Handle(name))
            if self._cancelled(name):
                self._settle(name, records, Failure(code="cancelled", message="The run was cancelled."))
                continue
            if not (folder / "job.json").exists():
                self._settle(name, records, Failure(code="lost", message="The folder of the job is gone."))
                continue
            mine = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
            if not bundles or size + mine > ARCHIVE:
                bundles.append([])
                size = 0
            bundles[-1].append(name)
            size += mine
        for names in bundles:
            bundle = names[0] if len(names) == 1 else f"b{uuid4().hex}"
            archive = self.place / "spool" / f"{bundle}.tar"
            try:
                self._pack(names, archive, far)
                self._way.put(archive, f"{far.root}/incoming/{bundle}.tar")
                lines = [" ".join([name, *self._before(name)]) for name in names]
                said = self._do(far, "place", bundle, lines=lines, timeout=600).decode().splitlines()
            except OSError as error:
                for name in names:
                    self._settle(name, records, self._no_room(error))
                continue
            finally:
                archive.unlink(missing_ok=True)
            for name in {line.removeprefix("P ") for line in said} & set(names):
                records[name].placed = True
                self._save(name, records[name])

    def _no_room(self, error: OSError) -> Failure:
        if error.errno in (28, 122):
            where = f"the scratch of {self.cluster.name} or the disk of the hub"
            return Failure(
                code="disk-full", message=f"There is no room on {where}.", hint="Free some and run it again."
            )
        return Failure(code="lost", message=f"The job could not be brought to {self.cluster.name}: {error}")

    def _before(self, name: str) -> list[str]:
        """Earlier attempts of the same stage that ran there, newest first: a checkpoint is linked, not carried."""
        stem, _, number = name.rpartition("-")
        earlier = range(int(number) - 1, 0, -1) if number.isdigit() and len(number) < 4 else ()
        return [f"{stem}-{n}" for n in earlier if (self.jobs / f"{stem}-{n}").is_dir()]

    def _pack(self, names: Sequence[str], archive: Path, far: _Far) -> None:
        """An archive of attempts, the same bytes each time. Raises OSError."""

        def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = 0
            member.mode = 0o700 if member.isdir() else 0o600
            return member

        archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive, "w") as tar:
            for name in names:
                folder = self.folder(Handle(name))
                job = Attempt(folder).job()
                there = job.model_copy(update={"argv": launch(job.argv, self.cluster, sys.executable, far.python)})
                content = there.model_dump_json(indent=1).encode()
                member = plain(tarfile.TarInfo(f"{name}/job.json"))
                member.size = len(content)
                tar.addfile(member, BytesIO(content))
                for file in sorted(folder.iterdir()):
                    if file.name not in _MADE and file.name != "job.json" and not file.name.startswith("."):
                        tar.add(file, f"{name}/{file.name}", filter=plain)

    def _submit(self, far: _Far, records: dict[str, Record]) -> None:
        """Hand placed jobs to the scheduler, equal ones as an array. What is about to be done is written down first."""
        alike = defaultdict[Demand, list[str]](list)
        for name, record in records.items():
            if record.placed and not record.group:
                alike[demand(Attempt(self.folder(Handle(name))).job(), self.cluster)].append(name)
        slurm = self.cluster.scheduler == "slurm"
        for names in alike.values():
            size = ARRAY if self.arrays and slurm else 1
            for i in range(0, len(names), size):
                part = names[i : i + size]
                group = part[0] if len(part) == 1 else f"a{uuid4().hex}"
                if len(part) > 1:
                    (self.place / "groups").mkdir(exist_ok=True)
                    write_whole(self.place / "groups" / f"{group}.json", json.dumps(part))
                for index, name in enumerate(part):
                    records[name].group, records[name].index = group, index if len(part) > 1 else -1
                    records[name].code = far.code
                    self._save(name, records[name])
        groups = list(dict.fromkeys(r.group for r in records.values() if r.group and not r.id))
        if not slurm and groups:
            self._heard(self._do(far, "submit", *far[3:], *far[1:3], lines=groups, timeout=60 + len(groups)), records)
            return
        cluster = self.cluster
        options = (cluster.partition or "-", cluster.account or "-", *cluster.environment.modules)
        for i in range(0, len(groups), BATCH):
            lines = [self._submission(group, records) for group in groups[i : i + BATCH]]
            said = self._do(far, "submit", far.code, far.python, far.container, *options, lines=lines, timeout=300)
            for line in said.decode("utf-8", "replace").splitlines():
                kind, group, *rest = line.split(" ", 2)
                for name in [n for n, r in records.items() if r.group == group and not r.id]:
                    if kind == "I":
                        index = records[name].index
                        records[name].id = rest[0] if index < 0 else f"{rest[0]}_{index}"
                        self._save(name, records[name])
                    elif kind == "R":
                        message = f"The scheduler of {cluster.name} does not take the job: {excerpt(rest[0])}"
                        hint = "Ask for less under resources, or tell the staff of the centre."
                        self._settle(name, records, Failure(code="refused", message=message, hint=hint))

    def _submission(self, group: str, records: Mapping[str, Record]) -> str:
        """A line for ``login.sh submit``. The names of an array stay what they were, whatever ended meanwhile."""
        file = self.place / "groups" / f"{group}.json"
        names = json.loads(file.read_bytes()) if file.exists() else [group]
        first = next(n for n, r in records.items() if r.group == group)
        wanted = demand(Attempt(self.folder(Handle(first))).job(), self.cluster)
        return " ".join([group, *map(str, wanted), *names])

    def _cancel(self, far: _Far, records: dict[str, Record]) -> None:
        """Tell those to end that are to end, again and again until they have."""
        now = time.time()
        due = [
            n for n, r in records.items() if r.group and self._cancelled(n) and not 0 <= now - r.told < self.interval
        ]
        if due:
            lines = [f"{name} {records[name].id or '-'}" for name in due]
            self._heard(self._do(far, "cancel", *far[3:], *far[1:3], lines=lines), records)
            for name in due:
                records[name].told = now
                self._save(name, records[name])

    def _heard(self, said: bytes, records: dict[str, Record]) -> None:
        """What the executor of the other machine said to being asked to start or end jobs."""
        for word in words(line[2:] for line in said.decode("utf-8", "replace").splitlines() if line[:2] == "W "):
            if (record := records.get(word.id)) is None:
                continue
            if word.state == "error":
                message = f"{self.cluster.name} could not start the job: {excerpt(word.reason)}"
                self._settle(word.id, records, Failure(code="crashed", message=message, hint="Tell the staff."))
            elif not record.id:
                record.id = word.id
                self._save(word.id, record)

    # --- and back ---

    def _look(self, far: _Far, records: dict[str, Record]) -> None:
        """One look at all jobs, of which the scheduler is asked at most every `interval`; what has ended is brought."""
        sent = {name: record for name, record in records.items() if record.id}
        if not sent:
            return
        asked_file = self.place / "asked"
        ask = not asked_file.exists() or not 0 <= time.time() - asked_file.stat().st_mtime < self.interval
        if ask:
            asked_file.touch()
        lines = [f"{name} {record.log} {record.history}" for name, record in sent.items()]
        said = self._do(far, "look", "1" if ask else "0", far.code, far.python, far.container, lines=lines, timeout=120)
        answers = said.decode("utf-8", "replace").splitlines()
        known = {word.id: word for word in words(a[2:] for a in answers if a[:2] == "W ")}
        # only what was submitted before the question can be missing in its answer
        answered, signs = "Q" in answers, dict[str, list[str]]()
        for answer in answers:
            kind, *parts = answer.split(" ")
            if kind == "J" and len(parts) == 3:
                signs[parts[0]] = parts[1:]
            elif kind == "F" and len(parts) == 4 and parts[0] in sent:
                self._live(parts[0], sent[parts[0]], parts[1], int(parts[2]), base64.b64decode(parts[3]))
        now, ended = time.time(), list[str]()
        for name, record in sent.items():
            if name not in signs:
                continue
            before = record.model_dump()
            self._note(record, known.get(record.id), signs[name], ask, answered, now)
            if (failure := hopeless(record.word) if record.word else None) and not self._cancelled(name):
                record.verdict = failure
                (self.jobs / name / "cancel").touch()
            if self._is_over(record, signs[name][0], now):
                ended.append(name)
            if record.model_dump() != before:
                self._save(name, record)
        if ended:
            self._collect(far, ended, records)

    def _note(
        self, record: Record, word: Word | None, signs: Sequence[str], ask: bool, answered: bool, now: float
    ) -> None:
        flags, beat = signs
        moves = flags + beat != record.beat
        if moves:
            record.beat, record.alive = flags + beat, now
        if answered:
            record.word = word or record.word
            record.absent = 0 if word else record.absent + 1
        began = "s" in flags and "e" not in flags
        said = state(record.word) if record.word and not record.absent else JobState.UNKNOWN
        if said is JobState.ENDED:
            record.over = record.over or now
            said = JobState.RUNNING  # until what it left is here
        elif answered:
            record.over = 0.0
        if said is JobState.UNKNOWN and not record.absent and record.word is None and not ask:
            said = JobState.QUEUED  # submitted just now
        silent = ask and not answered
        if silent and not (began and moves):
            record.state = JobState.UNKNOWN
        elif answered or record.state is not JobState.UNKNOWN:
            record.state = JobState.RUNNING if began and said is not JobState.UNKNOWN else said

    def _is_over(self, record: Record, flags: str, now: float) -> bool:
        """The job has ended: its scheduler says so or has forgotten it, and its own end was seen or waited for."""
        if record.over:
            return "e" in flags or not 0 <= now - record.over < min(5.0, self.interval)
        if not record.absent or (record.absent < 3 and "e" not in flags):
            return False
        return "e" in flags or not 0 <= now - record.alive < self.lost

    def _live(self, name: str, record: Record, file: str, size: int, content: bytes) -> None:
        """What a running job writes, as it is seen here."""
        folder = self.folder(Handle(name))
        with suppress(OSError):
            if file == "status.json":
                write_whole(folder / file, content)
            elif file == "log.txt":
                short = size > len(content)
                head = b"[the beginning is on the cluster and comes with the end]\n" if short else b""
                write_whole(folder / file, head + content)
                record.log = size
            elif file == "history.jsonl":
                whole = content[: content.rfind(b"\n") + 1]
                with (folder / file).open("r+b" if (folder / file).exists() else "wb") as stream:
                    stream.truncate(size)  # what an interrupted look added comes again
                    stream.seek(size)
                    stream.write(whole)
                record.history = size + len(whole)

    def _collect(self, far: _Far, ended: Sequence[str], records: dict[str, Record]) -> None:
        """Bring back what ended jobs left, say what became of them."""
        never = [n for n in ended if "c" not in records[n].beat and not records[n].over]
        if never:  # nobody will begin what nobody knows
            buried = {line[2:] for line in self._do(far, "bury", lines=never).decode().splitlines()}
            ended = [n for n in ended if n not in never or n in buried]
        for i in range(0, len(ended), BATCH):
            part = ended[i : i + BATCH]
            lines = [f"{name} {records[name].group} {records[name].id}" for name in part]
            answers = self._do(far, "ends", lines=lines, timeout=1800).decode("utf-8", "replace").splitlines()
            found = {name: _Left() for name in part}
            for answer in answers:
                kind, name, *rest = answer.split(" ", 3 if answer[:1] in "EHF" else 2)
                if (left := found.get(name)) is not None:
                    left.take(kind, rest)
            self._bring_small(far, found)
            for name in part:
                self._end(far, name, records, found[name])

    def _bring_small(self, far: _Far, found: Mapping[str, _Left]) -> None:
        wanted, total = list[str](), 0
        for name, left in found.items():
            for path, size in left.sizes.items():
                if size <= SMALL:
                    wanted.append(f"{name}/{path}")
                    total += size
                if total > ARCHIVE:
                    self._unpack(far, wanted, found)
                    wanted, total = [], 0
        if wanted:
            self._unpack(far, wanted, found)

    def _unpack(self, far: _Far, wanted: Sequence[str], found: Mapping[str, _Left]) -> None:
        with tarfile.open(fileobj=BytesIO(self._do(far, "pack", lines=wanted, timeout=600))) as tar:
            for member in tar:
                name, _, path = member.name.partition("/")
                if member.isreg() and member.name in wanted and member.size <= 2 * SMALL:
                    stream = tar.extractfile(member)
                    found[name].contents[path] = stream.read() if stream else b""

    def _end(self, far: _Far, name: str, records: dict[str, Record], left: _Left) -> None:
        """Write down here what a job left there; its end marker last."""
        record, attempt = records[name], Attempt(self.folder(Handle(name)))
        done, failed = left.done(), left.failed()
        said = left.contents.get("log.txt", b"")[-20_000:].decode("utf-8", "replace")
        said += left.said.decode("utf-8", "replace")
        failure = record.verdict or why(
            None if record.absent else record.word,
            asked=self._cancelled(name),
            done=done is not None,
            failed=failed,
            said=said,
            cluster=self.cluster.name,
        )
        if failure is None and done is not None and not left.verifies(done):
            failure = Failure(
                code="corrupt-result",
                message=f"A result on {self.cluster.name} is not what the stage wrote.",
                hint="It is run again by itself; look at the disk of the cluster.",
            )
        try:
            stays: dict[str, dict[str, Any]] = {}
            for path, size in left.sizes.items():
                if path in ("DONE", "FAILED", "job.json", "left.json"):
                    continue
                if path in left.contents:
                    target = attempt.folder / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(target, left.contents[path])
                elif path.startswith("out/") and failure is None:
                    short, digest = path.removeprefix("out/"), left.digests[path]
                    if size <= LIGHT:
                        self._way.get(f"{far.root}/runs/{name}/{path}", attempt.folder / path, digest)
                    else:
                        stays[short] = {"bytes": size, "sha256": digest}
                elif path == "log.txt" and size <= LIGHT:
                    digest = self._digest(far, name, path)
                    self._way.get(f"{far.root}/runs/{name}/{path}", attempt.folder / path, digest)
            if failure is None and done is not None:
                self._write_left(attempt, stays)
                here = {p: d for p, d in done.files.items() if p not in stays}
                if any(sha256(attempt.out / p) != d for p, d in here.items() if f"out/{p}" in left.contents):
                    raise OSError("what came back is not what the stage wrote")
                write_whole(attempt.folder / "DONE", Done(files=here).model_dump_json(indent=1))
        except OSError as error:
            failure = self._no_room(error)
        self._settle(name, records, failure)

    def _digest(self, far: _Far, name: str, path: str) -> str:
        ran = self._way.run(["sha256sum", f"{far.root}/runs/{name}/{path}"], timeout=600)
        return ran.out.decode().split(" ")[0]

    def _settle(self, name: str, records: dict[str, Record], failure: Failure | None) -> None:
        """The job has ended, with that failure or with the DONE that lies in its folder."""
        attempt = Attempt(self.folder(Handle(name)))
        if failure is not None and attempt.folder.is_dir():
            with suppress(OSError):
                attempt.fail(failure.code, failure.message, failure.hint)
        (self.jobs / name / "ended").touch()
        (self.open / name).unlink(missing_ok=True)
        records.pop(name, None)


class _Left:
    """What a job left on the cluster, as far as it is known here."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.digests: dict[str, str] = {}
        self.contents: dict[str, bytes] = {}
        self.said = b""

    def take(self, kind: str, rest: Sequence[str]) -> None:
        """A line of ``login.sh ends``. Paths that could lead elsewhere are left where they are."""
        if kind == "E" and len(rest) == 2 and rest[0].isdigit() and _safe(rest[1]):
            self.sizes[rest[1]] = int(rest[0])
        elif kind == "H" and len(rest) == 2 and re.fullmatch(r"[0-9a-f]{64}", rest[0]) and _safe(rest[1].lstrip(" *")):
            self.digests[rest[1].lstrip(" *")] = rest[0]
        elif kind == "F" and len(rest) == 2:
            self.said = base64.b64decode(rest[1].split(" ")[-1])

    def done(self) -> Done | None:
        with suppress(ValidationError):
            return Done.model_validate_json(self.contents["DONE"]) if "DONE" in self.contents else None
        return None

    def failed(self) -> Failure | None:
        with suppress(ValidationError):
            return Failure.model_validate_json(self.contents["FAILED"]) if "FAILED" in self.contents else None
        return None

    def verifies(self, done: Done) -> bool:
        return all(self.digests.get(f"out/{path}") == digest for path, digest in done.files.items())


def _safe(path: str) -> bool:
    """A relative path without ways up, hidden files or strange characters."""
    return not path.startswith("/") and all(_PATH.fullmatch(p) and p != ".." for p in PurePosixPath(path).parts)
