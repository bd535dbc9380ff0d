"""What the hub says, in Italian: problems, failures, statements of solvers, findings on them.

The code says it in English, with values put in. ``it.json`` holds each text with ``{}`` for such a value; what was said
is found again by it. A text without Italian stays English, and a test fails (``tests/hub/test_italian.py``).
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "it")
_HOLE = re.compile(r"\{\}")
#: Keys of what is said, by the keys that tell what it is.
_SAID: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (frozenset({"where", "found", "expected"}), ("found", "expected", "todo")),
    (frozenset({"code", "message"}), ("message", "hint")),
    (frozenset({"what", "passed"}), ("what",)),
    (frozenset({"step", "doing"}), ("doing",)),
    (frozenset({"equation", "validated"}), ("validated",)),
    (frozenset({"geometry_name", "asks"}), ("title", "description")),
    (frozenset({"case", "answers"}), ("title", "description")),
)


@cache
def catalogue() -> dict[str, str]:
    """English text with ``{}`` for each value -> Italian with the values in the same order."""
    return dict(json.loads(Path(__file__).with_name("it.json").read_text(encoding="utf-8")))


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Texts with values, those that say most themselves first."""
    texts = [text for text in catalogue() if _HOLE.search(text) and _HOLE.sub("", text).strip(" :,.")]
    texts.sort(key=lambda text: -len(_HOLE.sub("", text)))
    return [
        (re.compile("(.*?)".join(re.escape(part) for part in _HOLE.split(text)), re.DOTALL), catalogue()[text])
        for text in texts
    ]


@lru_cache(maxsize=4096)
def say(text: str) -> str:
    """An English text of the hub in Italian."""
    if found := catalogue().get(text):
        return found
    bare = text.rstrip(".")
    for pattern, italian in _patterns() if len(text) < 2000 else ():
        if match := pattern.fullmatch(text) or pattern.fullmatch(bare):
            values = iter(match.groups())
            return _HOLE.sub(lambda _, values=values: next(values), italian)  # type: ignore[misc]
    return text


def spoken(data: Any) -> Any:
    """Plain data of the API with all that the hub says in it in Italian; what people typed stays as it is."""
    if isinstance(data, list):
        return [spoken(item) for item in data]
    if not isinstance(data, dict):
        return data
    names = next((names for keys, names in _SAID if keys <= data.keys()), ())
    return {key: _said(value) if key in names else spoken(value) for key, value in data.items()}


def _said(value: Any) -> Any:
    if isinstance(value, str):
        return say(value)
    return [_said(item) for item in value] if isinstance(value, list) else value


def preferred(accept: str) -> str:
    """The language of an Accept-Language header that the hub speaks best for it; English where it says nothing."""
    wishes: list[tuple[float, int, str]] = []
    for number, part in enumerate(accept[:500].split(",")):
        name, _semicolon, weight = part.partition(";")
        language = name.strip().lower()[:2]
        try:
            weighs = float(weight.strip().removeprefix("q=") or 1) if weight else 1.0
        except ValueError:
            weighs = 0.0
        if language in LANGUAGES and weighs > 0:
            wishes.append((-weighs, number, language))
    return min(wishes)[2] if wishes else "en"
