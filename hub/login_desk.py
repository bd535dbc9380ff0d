"""How a person answers the questions of a centre, while the connection belongs to another process.

The process that reaches a cluster asks at the desk, ``<home>/secrets/login/<cluster>/`` (closed to others); the page or
the command line shows the questions and puts the answers there. They are read once and removed; nothing is kept.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hub.runfolder import write_whole

#: How long a person may take for one set of questions, and how long one may wait at the desk [s].
PATIENCE, OPEN = 180.0, 300.0
LOOK = 0.2


class Desk:
    """The desk of one cluster. Called by the connection with (title, instructions, [(question, shown)])."""

    def __init__(self, secrets: Path, cluster: str) -> None:
        self.folder = secrets / "login" / cluster

    # --- the side of the connection ---

    @property
    def attended(self) -> bool:
        """Somebody waits to be asked. Without that no log-in is begun: centres count those that are given up."""
        with suppress(OSError, ValueError):
            return time.time() < float((self.folder / "open").read_text())
        return False

    def __call__(self, title: str, instructions: str, questions: Sequence[tuple[str, bool]]) -> list[str]:
        if not questions:  # some servers end with a round without questions
            return []
        asked = {"title": title, "instructions": instructions, "questions": [list(q) for q in questions]}
        (self.folder / "answers").unlink(missing_ok=True)
        write_whole(self.folder / "questions", json.dumps({**asked, "at": time.time()}))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.attended:
            with suppress(OSError, ValueError):
                given = json.loads((self.folder / "answers").read_bytes())
                (self.folder / "answers").unlink(missing_ok=True)
                (self.folder / "questions").unlink(missing_ok=True)
                return [str(each) for each in given]
            time.sleep(LOOK)
        return ["" for _ in questions]

    def ended(self, said: str) -> None:
        """The log-in came to an end: `said` is empty where it succeeded."""
        if self.folder.is_dir():
            for name in ("open", "questions", "answers"):
                (self.folder / name).unlink(missing_ok=True)
            write_whole(self.folder / "ended", json.dumps(said))

    # --- the side of the person ---

    def sit(self) -> None:
        """Wait to be asked, afresh. Raises OSError."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(mode=0o700, exist_ok=True)
        self.folder.mkdir(mode=0o700)
        write_whole(self.folder / "open", str(time.time() + OPEN))

    def questions(self) -> dict[str, Any] | None:
        """What is asked now: {title, instructions, questions: [[text, shown]]}."""
        with suppress(OSError, ValueError):
            return dict(json.loads((self.folder / "questions").read_bytes()))
        return None

    def answer(self, answers: Sequence[str]) -> None:
        """Raises OSError."""
        file = self.folder / "answers"
        write_whole(file, json.dumps(list(answers)))
        file.chmod(0o600)

    def outcome(self) -> str | None:
        """None while it goes on, empty when it succeeded, else why it did not."""
        with suppress(OSError, ValueError):
            return str(json.loads((self.folder / "ended").read_bytes()))
        return None

    def talk(self, ask: Callable[[dict[str, Any]], Sequence[str]], patience: float = OPEN) -> str:
        """Sit until the log-in has ended, answering by `ask`; what went wrong, empty if nothing. Raises OSError."""
        self.sit()
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if (outcome := self.outcome()) is not None:
                return outcome
            if (asked := self.questions()) is not None and not (self.folder / "answers").exists():
                self.answer(ask(asked))
                while self.questions() == asked and self.outcome() is None and time.monotonic() < end:
                    time.sleep(LOOK)
            time.sleep(LOOK)
        self.ended("nobody asked")
        return "the hub did not begin a log-in; is it running?"
