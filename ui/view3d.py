"""The part and the result in 3D: components whose code (``ui/viewer``) and data come from this hub and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import streamlit as st

from ui.words import _, language

_SOURCE = Path(__file__).parent / "viewer"
#: Where the bundle lies beside the pages.
_BUNDLE = "/viewer/viewer.js"


@cache
def _version() -> str:
    """Of the bundle: browsers keep the one they have until it changes."""
    with (_SOURCE / "dist" / "viewer.js").open(encoding="utf-8") as bundle:
        return bundle.readline().rsplit(" ", 1)[-1].strip()[:12]


def _loading() -> str:
    """The bundle is loaded once a page and not sent with every rerun."""
    return f"""const bundle = import(window.location.origin + {_BUNDLE!r} + "?" + {_version()!r});"""


def _component(name: str, html: str) -> Any:
    css = "".join((_SOURCE / "src" / f"{sheet}.css").read_text(encoding="utf-8") for sheet in ("viewer", "list"))
    js = f"""
{_loading()}
export default function (component) {{
  let end = null, over = false;
  bundle.then((viewer) => {{ if (!over) end = viewer.{name}(component); }});
  return () => {{ over = true; end?.(); }};
}}
"""
    return st.components.v2.component(f"officina_{name}", html=html, css=css, js=js)


@st.cache_resource(show_spinner=False)
def _part() -> Any:
    return _component(
        "part",
        '<div class="part"><div class="viewer"><div class="tools"></div><div class="stage" tabindex="-1"></div></div>'
        '<div class="faces"></div></div>',
    )


@st.cache_resource(show_spinner=False)
def _result() -> Any:
    return _component(
        "result",
        '<div class="viewer"><div class="tools"></div><div class="stage" tabindex="-1"></div>'
        '<div class="scale" role="group"></div></div>',
    )


@st.cache_resource(show_spinner=False)
def _ahead() -> Any:
    js = f"{_loading()}\nexport default function () {{}}"
    return st.components.v2.component("officina_ahead", html="<span></span>", js=js)


def ahead(key: str) -> None:
    """Have the browser load the viewers' code while there is nothing to show yet."""
    _ahead()(key=key)


def part(
    geometry: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    picked: Sequence[int],
    key: str,
    *,
    asked: str = "",
    marks: Sequence[Mapping[str, Any]] = (),
    words: Mapping[str, str] | None = None,
    listed: bool = True,
) -> list[int]:
    """A part to look at and to pick faces from, in 3D and from a list; returns the indices of the picked faces.

    geometry : of the case, with the file as the hub calls it; rows : what is said of each face
    asked : for whom faces are picked: with another one, the picks begin again with `picked`
    marks : loads and supports: faces, colour, text, at, along, into
    listed : whether the list stands below
    """
    said = {
        "view": _("The part in 3D: arrows turn it, + and − bring it nearer or farther"),
        "whole": _("Whole part"),
        "section": _("Section"),
        "hide": _("Hide picked"),
        "show": _("Show all"),
        "measure": _("Measure"),
        "loading": _("The part is being loaded …"),
        "unreadable": _("The part cannot be shown in 3D; the list works all the same."),
        "decimal": "," if language() == "it" else ".",
        **(words or {}),
    }
    data = {
        "surface": _address(geometry, "surface"),
        "picture": _address(geometry, "faces.png"),
        "faces": list(rows),
        "first": list(picked),
        "asked": asked,
        "marks": list(marks),
        "listed": listed,
        "words": said,
    }
    answer = _part()(key=key, data=data, default={"picked": None}, on_picked_change=_noted)
    told = answer.picked or {}
    if told.get("asked") != asked:  # what was picked for somebody else, before
        return list(picked)
    return sorted({int(i) for i in told.get("faces") or [] if 0 <= int(i) < len(rows)})


def _noted() -> None:
    """The new picks are read where the part is shown."""


def result(address: str, key: str, *, link: str = "") -> None:
    """A result in 3D. address : of its ``view3d.bin``; link : views of one name turn together."""
    words = {
        "view": _("The result in 3D: arrows turn it, + and − bring it nearer or farther"),
        "field": _("Field"),
        "colours": _("Colours"),
        "deformation": _("Deformation"),
        "section": _("Section"),
        "equal": _("Surface of equal value"),
        "streamlines": _("Streamlines"),
        "time": _("Time"),
        "play": _("Play"),
        "noBar": _("no error bar here: too near to a sharp edge, or too coarse a mesh"),
        "never": _("no error bar is computed for this field"),
        "lowest": _("Lowest value of the colours"),
        "highest": _("Highest value of the colours"),
        "loading": _("The result is being loaded …"),
        "unreadable": _("The result cannot be shown in 3D; the pictures are below."),
        "noWebGL": _("This browser shows no 3D; the pictures are below."),
        "decimal": "," if language() == "it" else ".",
    }
    _result()(key=key, data={"address": address, "link": link, "words": words, "language": language()})


def _address(geometry: Mapping[str, Any], what: str) -> str:
    """Where a browser finds what the hub has made of a case's part."""
    unit = f"?unit={quote(str(geometry['unit']))}" if geometry.get("unit") else ""
    return f"/api/v1/files/{quote(str(geometry['file']), safe=':')}/{what}{unit}"
