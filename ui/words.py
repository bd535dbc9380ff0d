"""Every word of the pages goes through :func:`_`, so that they can be read in more than one language."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

LANGUAGES = {"en": "English", "it": "Italiano"}


@cache
def _catalogue(language: str) -> dict[str, str]:
    file = Path(__file__).parent / f"{language}.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def language() -> str:
    """The language of this reader: what was chosen, else what the browser prefers, else English."""
    if chosen := st.session_state.get("language"):
        return str(chosen)
    preferred = (st.context.locale or "en")[:2].lower()
    return preferred if preferred in LANGUAGES else "en"


def _(text: str, **values: Any) -> str:
    """`text` in the reader's language, with `values` put in. Values are not escaped: see :func:`plain`."""
    said = _catalogue(language()).get(text, text)
    return said.format(**values) if values else said


def said(words: Mapping[str, str] | str | None) -> str:
    """Text that comes in several languages, in the reader's."""
    if not words:
        return ""
    if isinstance(words, str):
        return words
    return words.get(language()) or words.get("en") or next(iter(words.values()))


_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$:^=&@/\"'])")


def plain(text: Any) -> str:
    """Somebody's text so that Streamlit's markdown shows it letter for letter.

    Every character with a meaning is escaped. Icons and colours (``:name:``) and links are looked for once more
    after escapes were read: a word joiner, which is not seen, after a colon, an @ or ``www`` stops that.
    """
    # a space that keeps a number and its unit on one line stays one
    escaped = _MARKUP.sub(r"\\\1", re.sub(r"[^\S\u00a0\u202f]+", " ", str(text)).strip())
    return re.sub(r"(\\[:@]|www)(?=\S)", "\\1\u2060", escaped, flags=re.IGNORECASE)


def human(name: str) -> str:
    """``youngs_modulus`` as ``Youngs modulus``, in the reader's language where it is known."""
    words = name.replace("_", " ").strip()
    words = words.replace("youngs", "Young's").replace("poissons", "Poisson's").replace("mises", "Mises")
    return _(words[:1].upper() + words[1:])
