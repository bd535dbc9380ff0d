"""What is wrong with an input, said so that the person who wrote it can mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

Severity = Literal["error", "question", "warning"]

#: Longest excerpt of somebody's input that we repeat: names are unbounded, logs and pages are not.
EXCERPT = 120


class Problem(BaseModel):
    """One thing wrong, doubtful or worth knowing about an input.

    where : path into the input (``conditions[0].value``) or the name of the file
    found : what stands there
    expected : what was expected instead
    todo : the next step of the person reading
    severity : an ``error`` refuses, a ``question`` waits for an answer, a ``warning`` informs
    code : stable name for machines, lower case with dashes
    choices : for a question, the answers that can be given, written as the case file wants them
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    where: str
    found: str
    expected: str
    todo: str = ""
    severity: Severity = "error"
    code: str = "invalid"
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = f"{self.where}: {self.found}; expected {self.expected}."
        return f"{said} {self.todo}".strip()


class Refused(Exception):
    """An input was refused; carries every problem found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def excerpt(value: Any) -> str:
    """Somebody's input as one short printable line."""
    text = value if isinstance(value, str) and value else "empty text" if value == "" else repr(value)
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: EXCERPT * 2])
    return text if len(text) <= EXCERPT else text[:EXCERPT] + "..."


def path(parts: Sequence[str | int]) -> str:
    """``("conditions", 0, "value")`` as ``conditions[0].value``."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else excerpt(part)
    return text or "the file"


def from_validation(error: ValidationError, prefix: Sequence[str | int] = ()) -> list[Problem]:
    """Every pydantic error of one validation as a Problem with its path."""
    problems = []
    for item in error.errors(include_url=False):
        kind, found = item["type"], excerpt(item.get("input"))
        where = path([*prefix, *item["loc"]])
        if kind == "extra_forbidden":
            problem = Problem(
                where=where,
                found="this key is not known",
                expected="a key of the schema",
                todo="Correct the spelling or remove it.",
                code="unknown-key",
            )
        elif kind == "missing":
            problem = Problem(
                where=where,
                found="nothing",
                expected="a value",
                todo="Add it; `officina solver describe` lists what each condition needs.",
                code="missing",
            )
        else:
            context = item.get("ctx", {})
            problem = Problem(
                where=where,
                found=context.get("found_text") or found,
                expected=context.get("expected_text") or _expected(item),
                todo=context.get("todo", ""),
                code=kind.replace("_", "-"),
            )
        problems.append(problem)
    return problems


def _expected(item: Any) -> str:
    message = str(item["msg"])
    for start in ("Value error, ", "Assertion failed, ", "Input should be ", "Input should have "):
        message = message.removeprefix(start)
    return message[:1].lower() + message[1:]
