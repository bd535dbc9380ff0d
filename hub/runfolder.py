"""The folder contract between the hub and whatever runs a stage, on a laptop or on a cluster.

``<run>/<stage>/<attempt>/`` holds

- ``in/`` read-only inputs: ``case.json`` (SI floats), what earlier stages made, ``manifest.json`` (sha256 of each)
- ``job.json`` the :class:`Job`: argv as a list, ranks, memory, wall time
- ``status.json`` progress (:class:`Status`), replaced atomically; ``log.txt``; ``used.json`` what the job used;
  ``history.jsonl`` figures to watch over time, one JSON object a line
- ``checkpoint/`` what a later attempt can go on from; it is linked into that one's ``in/checkpoint/``
- ``out/`` results; at the end ``DONE`` (sha256 of everything in ``out/``) **or** ``FAILED`` (a :class:`Failure`)

A stage has succeeded when its DONE verifies; whatever a scheduler says is a hint. Every attempt gets a fresh folder.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.folder import Folder
from hub.folder import link as link
from hub.folder import sha256 as sha256
from hub.folder import write_whole as write_whole

Stage = Literal["check", "mesh", "solve", "report"]
#: The stages of a run, in order.
STAGES: tuple[Stage, ...] = ("check", "mesh", "solve", "report")


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Job(_Document):
    """What an executor starts in an attempt's folder.

    name : unique for ever, ``[a-z0-9-]``; an executor starts at most one job of a name
    argv : the command as a list, run with the attempt's folder as its last argument and working directory
    ranks : MPI ranks [-]; memory : of all ranks together [byte]; time : wall time [s]
    cluster : the name of the cluster it is for; None is this machine
    needed : results that the next stage draws from: they come back from a cluster however large they are
    """

    name: str
    argv: tuple[str, ...]
    ranks: int = 1
    memory: int = 4_000_000_000
    time: float = 3600.0
    cluster: str | None = None
    needed: tuple[str, ...] = ()


class Status(_Document):
    """How far a stage is. `step` of `of` (0: not known); `values` are figures to watch, such as a residual."""

    step: int = 0
    of: int = 0
    doing: str = ""
    values: dict[str, float] = {}


class Failure(_Document):
    """Why an attempt ended without a result.

    code : for machines: ``refused``, ``diverged``, ``out-of-memory``, ``time-limit``, ``disk-full``, ``killed``,
        ``lost`` (the machine or what watched the job went away), ``cancelled``, ``corrupt-result``, ``crashed``, or
        one of a solver's own
    message : what happened, in words for the person who asked
    hint : the next step
    """

    code: str
    message: str
    hint: str = ""


class Done(_Document):
    """The end marker of a successful attempt: path below ``out/`` -> sha256."""

    files: dict[str, str]


Outcome = Done | Failure | None


class Attempt(Folder):
    """One attempt of one stage, with what is in it read as models."""

    @property
    def checkpoint(self) -> Path:
        """Where a stage keeps what it can go on from; each file replaced whole."""
        return self.folder / "checkpoint"

    @property
    def earlier(self) -> Path | None:
        """The checkpoint of an earlier attempt to go on from."""
        folder = self.inputs / "checkpoint"
        return folder if folder.is_dir() else None

    # --- made by the hub ---

    @classmethod
    def create(
        cls,
        folder: Path,
        documents: Mapping[str, Any],
        files: Mapping[str, Path],
        job: Job,
        results: Mapping[str, Path] | None = None,
    ) -> Attempt:
        """A fresh attempt with its inputs in place.

        documents : name -> plain data, written to ``in/`` as JSON
        files : name -> file to link or copy into ``in/``
        results : name -> file, where the results are known already: linked into ``out/`` beside a DONE
        The folder appears whole or not at all. Raises FileExistsError if the attempt exists.
        """
        if folder.exists():
            raise FileExistsError(folder)
        part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            inputs = part / "in"
            inputs.mkdir(parents=True)
            (part / "out").mkdir()
            for name, data in documents.items():
                (inputs / name).write_text(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False))
            for name, source in files.items():
                (inputs / name).parent.mkdir(parents=True, exist_ok=True)
                link(source, inputs / name)
            manifest = {str(f.relative_to(inputs)): sha256(f) for f in sorted(inputs.rglob("*")) if f.is_file()}
            (inputs / "manifest.json").write_text(json.dumps(manifest, indent=1))
            (part / "job.json").write_text(job.model_dump_json(indent=1))
            for name, source in (results or {}).items():
                (part / "out" / name).parent.mkdir(parents=True, exist_ok=True)
                link(source, part / "out" / name)
            if results is not None:
                cls(part).finish()
            part.rename(folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return cls(folder)

    def job(self) -> Job:
        return Job.model_validate_json((self.folder / "job.json").read_bytes())

    # --- written by the stage ---

    def read(self, name: str) -> Any:
        """A JSON document from ``in/``."""
        return json.loads((self.inputs / name).read_bytes())

    def write_status(self, step: int = 0, of: int = 0, doing: str = "", **values: float) -> None:
        """Tell how far the stage is; called by rank 0 only."""
        finite = {k: float(v) for k, v in values.items() if abs(float(v)) < float("inf")}
        write_whole(self.folder / "status.json", Status(step=step, of=of, doing=doing, values=finite).model_dump_json())

    def record(self, **values: float) -> None:
        """Add a line to the history that pages draw as curves (time, residuals, forces ...); called by rank 0 only.

        A figure that is not finite is left out. Call it some hundred times a run, not at each of a million steps.
        """
        finite = {k: float(v) for k, v in values.items() if abs(float(v)) < float("inf")}
        with (self.folder / "history.jsonl").open("a") as stream:
            stream.write(json.dumps(finite) + "\n")

    def write(self, name: str, data: Any) -> None:
        """A JSON document into ``out/``."""
        write_whole(self.out / name, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False))

    def finish(self) -> None:
        """Write DONE, last of all. A stage that failed before keeps its FAILED."""
        if (self.folder / "FAILED").exists():
            return
        files = {str(f.relative_to(self.out)): sha256(f) for f in sorted(self.out.rglob("*")) if f.is_file()}
        for file in files:
            _fsync(self.out / file)
        write_whole(self.folder / "DONE", Done(files=files).model_dump_json(indent=1))

    # --- read by the hub ---

    def status(self) -> Status:
        try:
            return Status.model_validate_json((self.folder / "status.json").read_bytes())
        except (OSError, ValidationError):
            return Status()

    def history(self, most: int = 1000) -> list[dict[str, float]]:
        """What was recorded, oldest first, thinned evenly to about `most` lines; a torn line is left out."""
        try:
            lines = (self.folder / "history.jsonl").read_bytes().splitlines()
        except OSError:
            return []
        found = []
        for line in [*lines[: -1 : max(1, -(-len(lines) // most))], *lines[-1:]]:
            try:
                found.append({str(k): float(v) for k, v in json.loads(line).items()})
            except (ValueError, AttributeError, TypeError):
                continue
        return found

    def outcome(self) -> Outcome:
        """Done if the end marker is there and everything it names verifies, Failure if it failed, else None."""
        try:
            done = Done.model_validate_json((self.folder / "DONE").read_bytes())
        except FileNotFoundError:
            try:
                return Failure.model_validate_json((self.folder / "FAILED").read_bytes())
            except FileNotFoundError:
                return None
            except ValidationError:
                return Failure(code="crashed", message="The stage failed and its account of why is unreadable.")
        except ValidationError:
            return Failure(
                code="corrupt-result",
                message="The end marker of the stage is unreadable.",
                hint="Run it again; look at the disk of the node.",
            )
        for name, digest in done.files.items():
            file = self.out / name
            if not file.is_file() or file.is_symlink() or sha256(file) != digest:
                return Failure(
                    code="corrupt-result",
                    message=f"{name} is not what the stage wrote.",
                    hint="Run it again; look at the disk of the node.",
                )
        return done


def attempts(run: Path, stage: str) -> Sequence[Attempt]:
    """The attempts of a stage that exist, oldest first."""
    folder = run / stage
    numbers = sorted(int(f.name) for f in folder.iterdir() if f.name.isdigit()) if folder.is_dir() else []
    return [Attempt(folder / str(n)) for n in numbers]


def _fsync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
