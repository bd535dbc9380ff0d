"""What is carried to a cluster and back: code, jobs and results, in rounds that may break off anywhere.

Identity is the job's own name, never the scheduler's number. What is about to be submitted is written down before,
here and there; after any doubt a job is looked up by its name before it is submitted again; and a job of a name runs
once for ever, because it claims its name on the node (:mod:`hub.jobrunner`). The other end of every command is
``login.sh``.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
import tarfile
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import uuid4

from pydantic import ValidationError

from hub.clusters import Cluster
from hub.executor import JobState
from hub.farcode import code_archive
from hub.forecast import Wait, keep, key, wishes
from hub.problem import excerpt
from hub.register import Record, Register
from hub.runfolder import Attempt, Done, Failure, sha256, write_whole
from hub.scheduler import Demand, Word, demand, hopeless, launch, state, until_start, why, words
from hub.transport import Transport, Unreachable

log = logging.getLogger("officina.clusters")

#: Files up to SMALL come back in one archive, those up to LIGHT one by one; larger ones stay until asked for [byte].
SMALL, LIGHT = 4_000_000, 256_000_000
#: Largest archive sent or brought at once [byte]; most jobs of an array; most submissions in one command.
ARCHIVE, ARRAY, BATCH = 64_000_000, 1000, 100

_PATH = re.compile(r"[A-Za-z0-9_+=@,()\[\]-][A-Za-z0-9_+=@,()\[\]. -]{0,150}")
#: What of an attempt's folder is the cluster's to say, or is not for it.
_MADE = {"out", "DONE", "FAILED", "status.json", "log.txt", "history.jsonl", "used.json", "left.json", "checkpoint"}


class Far(NamedTuple):
    """The cluster's side: its folder, Python, container (``-``: none) and our code."""

    root: str
    python: str
    container: str
    code: str


class Courier:
    """Carries between the register of a cluster and the cluster. Only for whoever has the turn.

    interval, lost, arrays : see :class:`hub.remote.ClusterExecutor`
    """

    def __init__(
        self, register: Register, cluster: Cluster, way: Transport, interval: float, lost: float, arrays: bool
    ) -> None:
        self.register, self.cluster, self.way = register, cluster, way
        self.interval, self.lost, self.arrays = interval, lost, arrays
        self._known: Far | None = None

    def round(self) -> None:
        """Place, submit, cancel, look, bring back. Raises Unreachable."""
        records = {name: self.register.record(name) for name in self.register.names()}
        wanted = wishes(self.register.home, self.cluster.name)
        if records or wanted:
            far = self.arrive()
            ask = self._may_ask()
            if ask and wanted:
                self._foresee(far, wanted)
            self._place(far, records)
            self._submit(far, records)
            self._cancel(far, records)
            self._look(far, records, ask)
        for name in self.register.wanted():
            try:
                self.bring(name)
            except OSError as error:  # no room, or not what the job wrote: asking again may help, trying for ever not
                log.warning("%s: the results of %s do not come: %s", self.cluster.name, name, error)
                write_whole(self.register.entry(name) / "not-brought", str(error))
            self.register.came(name)

    def bring(self, name: str, wanted: Collection[str] | None = None) -> list[str]:
        """Bring results that stayed on the cluster, all of them or those paths. Returns the paths that came.

        Raises Unreachable; OSError if there is no room or they are not what the job wrote.
        """
        attempt, left, came = Attempt(self.register.folder(name)), self.register.left(name), list[str]()
        (self.register.entry(name) / "not-brought").unlink(missing_ok=True)
        for path in [p for p in left if wanted is None or p in wanted]:
            digest = left[path]["sha256"]
            self.way.get(f"{self.arrive().root}/runs/{name}/out/{path}", attempt.out / path, digest)
            done = Done.model_validate_json((attempt.folder / "DONE").read_bytes())
            write_whole(attempt.folder / "DONE", Done(files={**done.files, path: digest}).model_dump_json(indent=1))
            del left[path]
            self.register.leave(name, left)
            came.append(path)
        return came

    def _settle(self, name: str, records: dict[str, Record], failure: Failure | None) -> None:
        self.register.settle(name, failure)
        records.pop(name, None)

    # --- the other end ---

    def do(self, far: Far, action: str, *words: str, lines: Sequence[str] = (), timeout: float = 60.0) -> bytes:
        """One command on the login node. Raises Unreachable, OSError if there is no room."""
        script = f"{far.root}/code/{far.code}/hub/login.sh"
        argv = ["sh", script, action, far.root, self.cluster.scheduler, *words]
        ran = self.way.run(argv, "".join(f"{line}\n" for line in lines).encode(), timeout)
        if ran.code == 67 or "No space left" in ran.err or "quota exceeded" in ran.err.lower():
            raise OSError(28, "no room on the disk of the cluster")
        if ran.code:
            self._known = None  # perhaps somebody tidied up: everything is looked at again the next time
            raise Unreachable(f"{self.cluster.name}: {action}: {excerpt(ran.err or f'exit status {ran.code}')}")
        return ran.out

    def arrive(self) -> Far:
        """Find the cluster's folders and bring our code there if it is another one. Raises Unreachable."""
        archive = code_archive(self.register.place / "spool")
        digest = archive.stem.removeprefix("code-")
        if self._known is not None and self._known.code == digest:
            return self._known
        environment = self.cluster.environment
        asked = [self.cluster.scratch, environment.python or "python3", environment.container or "-"]
        # the description allows nothing in these but names of folders and of variables
        shown = " ".join('"' + re.sub(r"^~/", "$HOME/", text) + '"' for text in asked)
        find = (
            f'umask 077; set -- {shown}; mkdir -p "$1/code" "$1/runs" "$1/jobs" "$1/incoming" && cd "$1" && pwd -P &&'
        )
        find += f' printf "%s\\n%s\\n" "$2" "$3" && if [ -d code/{digest} ]; then echo ready; fi'
        ran = self.way.run(["sh", "-c", find], timeout=30)
        lines = ran.out.decode().splitlines()
        if ran.code or len(lines) < 3:
            raise Unreachable(f"{self.cluster.name}: the scratch cannot be used: {excerpt(ran.err or 'no answer')}")
        far = Far(lines[0], lines[1], lines[2], digest)
        if len(lines) < 4:
            target = f"{far.root}/incoming/{archive.name}"
            try:
                self.way.put(archive, target)
            except OSError as error:
                raise Unreachable(f"{self.cluster.name}: our code cannot be brought there: {error}") from None
            unpack = 'p="$1/code/.$2.$$"; mkdir "$p" && tar -xzf "$3" -C "$p" && mv -T "$p" "$1/code/$2" || rm -rf "$p"'
            unpack += '; rm -f "$3"; [ -d "$1/code/$2" ]'
            ran = self.way.run(["sh", "-c", f"umask 077; {unpack}", "sh", far.root, digest, target])
            if ran.code:
                raise Unreachable(f"{self.cluster.name}: our code cannot be unpacked there: {excerpt(ran.err)}")
        self._known = far
        return far

    # --- there ---

    def _place(self, far: Far, records: dict[str, Record]) -> None:
        """Bring the folders of new jobs: small ones together, a large one by itself, going on where it broke off."""
        bundles, together, size = list[list[str]](), list[str](), 0
        for name in [n for n, r in records.items() if not r.placed]:
            folder = self.register.folder(name)
            if self.register.cancelled(name):
                self._settle(name, records, Failure(code="cancelled", message="The run was cancelled."))
                continue
            if not (folder / "job.json").exists():
                self._settle(name, records, Failure(code="lost", message="The folder of the job is gone."))
                continue
            mine = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
            if mine > SMALL:  # by itself, so that its upload goes on where it broke off
                bundles.append([name])
                continue
            if size + mine > ARCHIVE:
                bundles.append(together)
                together, size = [], 0
            together.append(name)
            size += mine
        for names in [*bundles, *([together] if together else [])]:
            bundle = names[0] if len(names) == 1 else f"b{uuid4().hex}"
            archive = self.register.place / "spool" / f"{bundle}.tar"
            try:
                self._pack(names, archive, far)
                self.way.put(archive, f"{far.root}/incoming/{bundle}.tar")
                lines = [" ".join([name, *self._before(name)]) for name in names]
                said = self.do(far, "place", bundle, lines=lines, timeout=600).decode().splitlines()
            except OSError as error:
                for name in names:
                    self._settle(name, records, self._no_room(error))
                continue
            finally:
                archive.unlink(missing_ok=True)
            for name in {line.removeprefix("P ") for line in said} & set(names):
                records[name].placed = True
                self.register.save(name, records[name])

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
        return [f"{stem}-{n}" for n in earlier if (self.register.jobs / f"{stem}-{n}").is_dir()]

    def _pack(self, names: Sequence[str], archive: Path, far: Far) -> None:
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
                folder = self.register.folder(name)
                job = Attempt(folder).job()
                there = job.model_copy(update={"argv": launch(job.argv, self.cluster, sys.executable, far.python)})
                content = there.model_dump_json(indent=1).encode()
                member = plain(tarfile.TarInfo(f"{name}/job.json"))
                member.size = len(content)
                tar.addfile(member, BytesIO(content))
                for file in sorted(folder.iterdir()):
                    if file.name not in _MADE and file.name != "job.json" and not file.name.startswith("."):
                        tar.add(file, f"{name}/{file.name}", filter=plain)

    def _submit(self, far: Far, records: dict[str, Record]) -> None:
        """Hand placed jobs to the scheduler, equal ones as an array. What is about to be done is written down first."""
        alike = defaultdict[Demand, list[str]](list)
        for name, record in records.items():
            if record.placed and not record.group:
                alike[demand(Attempt(self.register.folder(name)).job(), self.cluster)].append(name)
        slurm = self.cluster.scheduler == "slurm"
        for names in alike.values():
            size = ARRAY if self.arrays and slurm else 1
            for i in range(0, len(names), size):
                part = names[i : i + size]
                group = part[0] if len(part) == 1 else f"a{uuid4().hex}"
                if len(part) > 1:
                    (self.register.place / "groups").mkdir(exist_ok=True)
                    write_whole(self.register.place / "groups" / f"{group}.json", json.dumps(part))
                for index, name in enumerate(part):
                    records[name].group, records[name].index = group, index if len(part) > 1 else -1
                    records[name].code = far.code
                    self.register.save(name, records[name])
        groups = list(dict.fromkeys(r.group for r in records.values() if r.group and not r.id))
        if not slurm and groups:
            self._heard(self.do(far, "submit", *far[3:], *far[1:3], lines=groups, timeout=60 + len(groups)), records)
            return
        cluster = self.cluster
        options = (cluster.partition or "-", cluster.account or "-", *cluster.environment.modules)
        for i in range(0, len(groups), BATCH):
            lines = [self._submission(group, records) for group in groups[i : i + BATCH]]
            said = self.do(far, "submit", far.code, far.python, far.container, *options, lines=lines, timeout=300)
            for line in said.decode("utf-8", "replace").splitlines():
                kind, group, *rest = line.split(" ", 2)
                for name in [n for n, r in records.items() if r.group == group and not r.id]:
                    if kind == "I":
                        index = records[name].index
                        records[name].id = rest[0] if index < 0 else f"{rest[0]}_{index}"
                        records[name].sent = time.time()
                        self.register.save(name, records[name])
                    elif kind == "R":
                        message = f"The scheduler of {cluster.name} does not take the job: {excerpt(rest[0])}"
                        hint = "Ask for fewer cores, less memory or less time, or tell the staff of the centre."
                        self._settle(name, records, Failure(code="refused", message=message, hint=hint))

    def _submission(self, group: str, records: Mapping[str, Record]) -> str:
        """A line for ``login.sh submit``. The names of an array stay what they were, whatever ended meanwhile."""
        file = self.register.place / "groups" / f"{group}.json"
        names = json.loads(file.read_bytes()) if file.exists() else [group]
        first = next(n for n, r in records.items() if r.group == group)
        wanted = demand(Attempt(self.register.folder(first)).job(), self.cluster)
        return " ".join([group, *map(str, wanted), *names])

    def _cancel(self, far: Far, records: dict[str, Record]) -> None:
        """Tell those to end that are to end, again and again until they have."""
        now = time.time()
        told = {n for n, r in records.items() if 0 <= now - r.told < self.interval}
        due = [n for n, r in records.items() if r.group and n not in told and self.register.cancelled(n)]
        if due:
            lines = [f"{name} {records[name].id or '-'}" for name in due]
            self._heard(self.do(far, "cancel", *far[3:], *far[1:3], lines=lines), records)
            for name in due:
                records[name].told = now
                self.register.save(name, records[name])

    def _heard(self, said: bytes, records: dict[str, Record]) -> None:
        """What the executor of the other machine said to being asked to start or end jobs."""
        for word in words(line[2:] for line in said.decode("utf-8", "replace").splitlines() if line[:2] == "W "):
            if (record := records.get(word.id)) is None:
                continue
            if word.state == "error":
                message = f"{self.cluster.name} could not start the job: {excerpt(word.reason)}"
                self._settle(word.id, records, Failure(code="crashed", message=message, hint="Tell the staff."))
            elif not record.id:
                record.id, record.sent = word.id, time.time()
                self.register.save(word.id, record)

    # --- and back ---

    def _look(self, far: Far, records: dict[str, Record], ask: bool) -> None:
        """One look at all jobs; `ask` the scheduler too. What has ended is brought."""
        sent = {name: record for name, record in records.items() if record.id}
        if not sent:
            return
        if ask:
            self._asked_file.touch()
        lines = [f"{name} {record.log} {record.history}" for name, record in sent.items()]
        said = self.do(far, "look", "1" if ask else "0", far.code, far.python, far.container, lines=lines, timeout=120)
        answers = said.decode("utf-8", "replace").splitlines()
        group = {record.id: record.group for record in sent.values()}
        heard = words(a[2:] for a in answers if a[:2] == "W ")
        # a controller that was killed may give a number again: the name must be ours too
        known = {word.id: word for word in heard if not word.name or word.name == group.get(word.id)}
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
            if (failure := hopeless(record.word) if record.word else None) and not self.register.cancelled(name):
                record.verdict = failure
                (self.register.jobs / name / "cancel").touch()
            if self._is_over(record, signs[name][0], now):
                ended.append(name)
            if record.model_dump() != before:
                self.register.save(name, record)
        if ended:
            self._collect(far, ended, records)

    @property
    def _asked_file(self) -> Path:
        """Touched when the scheduler is asked."""
        return self.register.place / "asked"

    def _may_ask(self) -> bool:
        """Whether the scheduler was left alone for `interval`: once in that it is asked for everything together."""
        file = self._asked_file
        return not file.exists() or not 0 <= time.time() - file.stat().st_mtime < self.interval

    def _foresee(self, far: Far, wanted: Sequence[Demand]) -> None:
        """Ask the scheduler when jobs would start that somebody thinks of; all such questions at once."""
        if self.cluster.scheduler != "slurm":
            return
        self._asked_file.touch()
        lines = [" ".join(map(str, each)) for each in wanted]
        options = (far.code, self.cluster.partition or "-", self.cluster.account or "-")
        said = self.do(far, "foresee", *options, lines=lines, timeout=60 + 20 * len(lines))
        found = dict[str, Wait]()
        for line in said.decode("utf-8", "replace").splitlines():
            kind, asked, now, rest = [*line.split(" ", 3), "", "", ""][:4]
            if kind == "T" and now.isdecimal():
                found[asked] = Wait(seconds=until_start(rest, float(now)), said=excerpt(rest.strip()), at=time.time())
        silent = Wait(seconds=None, at=time.time())
        with suppress(OSError):
            keep(self.register.home, self.cluster.name, wanted, [found.get(key(each), silent) for each in wanted])

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
        if "s" in flags and not record.began:
            record.began = now
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
        folder = self.register.folder(name)
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

    def _collect(self, far: Far, ended: Sequence[str], records: dict[str, Record]) -> None:
        """Bring back what ended jobs left, say what became of them."""
        never = [n for n in ended if "c" not in records[n].beat and not records[n].over]
        if never:  # nobody will begin what nobody knows
            buried = {line[2:] for line in self.do(far, "bury", lines=never).decode().splitlines()}
            ended = [n for n in ended if n not in never or n in buried]
        for i in range(0, len(ended), BATCH):
            part = ended[i : i + BATCH]
            lines = [f"{name} {records[name].group} {records[name].id}" for name in part]
            answers = self.do(far, "ends", lines=lines, timeout=1800).decode("utf-8", "replace").splitlines()
            found = {name: _Left() for name in part}
            for answer in answers:
                kind, name, *rest = answer.split(" ", 3 if answer[:1] in "EHF" else 2)
                if (left := found.get(name)) is not None:
                    left.take(kind, rest)
            self._bring_small(far, found)
            for name in part:
                self._end(far, name, records, found[name])

    def _bring_small(self, far: Far, found: Mapping[str, _Left]) -> None:
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

    def _unpack(self, far: Far, wanted: Sequence[str], found: Mapping[str, _Left]) -> None:
        with tarfile.open(fileobj=BytesIO(self.do(far, "pack", lines=wanted, timeout=600))) as tar:
            for member in tar:
                name, _, path = member.name.partition("/")
                if member.isreg() and member.name in wanted and member.size <= 2 * SMALL:
                    stream = tar.extractfile(member)
                    found[name].contents[path] = stream.read() if stream else b""

    def _end(self, far: Far, name: str, records: dict[str, Record], left: _Left) -> None:
        """Write down here what a job left there; its end marker last."""
        record, attempt = records[name], Attempt(self.register.folder(name))
        needed = attempt.job().needed
        done, failed = left.done(), left.failed()
        said = left.contents.get("log.txt", b"")[-20_000:].decode("utf-8", "replace")
        said += left.said.decode("utf-8", "replace")
        failure = record.verdict or why(
            None if record.absent else record.word,
            asked=self.register.cancelled(name),
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
                    if size <= LIGHT or short in needed:
                        self.way.get(f"{far.root}/runs/{name}/{path}", attempt.folder / path, digest)
                    else:
                        stays[short] = {"bytes": size, "sha256": digest}
                elif path == "log.txt" and size <= LIGHT:
                    digest = self._digest(far, name, path)
                    self.way.get(f"{far.root}/runs/{name}/{path}", attempt.folder / path, digest)
            if record.began and record.sent:
                self._waited(attempt, record)
            if failure is None and done is not None:
                self.register.leave(name, stays)
                here = {p: d for p, d in done.files.items() if p not in stays}
                if any(sha256(attempt.out / p) != d for p, d in here.items() if f"out/{p}" in left.contents):
                    raise OSError("what came back is not what the stage wrote")
                write_whole(attempt.folder / "DONE", Done(files=here).model_dump_json(indent=1))
        except OSError as error:
            failure = self._no_room(error)
        self._settle(name, records, failure)

    def _waited(self, attempt: Attempt, record: Record) -> None:
        """Say how long the job waited: as a look saw it, or as the time it ran for leaves. Raises OSError."""
        file = attempt.folder / "used.json"
        with suppress(ValueError, TypeError):
            used = json.loads(file.read_bytes()) if file.exists() else {}
            begun = min(record.began, time.time() - float(used.get("seconds", 0.0)))
            write_whole(file, json.dumps({**used, "waited": max(0.0, begun - record.sent)}))

    def _digest(self, far: Far, name: str, path: str) -> str:
        ran = self.way.run(["sha256sum", f"{far.root}/runs/{name}/{path}"], timeout=600)
        return ran.out.decode().split(" ")[0]


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
