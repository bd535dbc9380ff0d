"""A revised part in the place of the one before: faces that were picked are found again, the unsure ones are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from ui import session
from ui.draft import Draft
from ui.faces import COLOURS, kind_of, mark, where_on
from ui.words import _, plain

#: What is less like the picked face than this is asked about (``hub.selection.SURE``).
SURE = 0.1
#: How a face that waits for an answer is drawn.
ASKED = "#c75000"


def begin(draft: Draft) -> None:
    """Look for all picked faces on the part that is new; without an answer of the hub each of them is asked about."""
    verdict = session.verdict(draft)
    if verdict is None or not verdict.get("faces"):
        draft.forget_faces()
        return
    matches = session.match(draft) or {
        name: [{"number": i, "found": None, "like": 2.0, "candidates": []} for i in range(len(of["faces"]))]
        for name, of in draft.selections.items()
        if "faces" in of
    }
    draft.revise(matches, SURE, verdict["faces"])
    again = sum(len(found) for found in draft.faces.values())
    unsure = sum(map(len, draft.unsure.values()))
    st.session_state[f"{draft.id}.again"] = (again, again + unsure)


def ask(draft: Draft, faces: Sequence[Mapping[str, Any]], box: Sequence[Sequence[float]]) -> None:
    """How many faces were found again, and a question for each that is not clear."""
    if told := st.session_state.get(f"{draft.id}.again"):
        text = _("{n} of the {of} picked faces were found again on this part.", n=told[0], of=told[1])
        st.info(plain(text), icon=":material/published_with_changes:")
    for name, waiting in list(draft.unsure.items()):
        for one in waiting:
            with st.container(border=True, key=f"unsure-{name}-{one['number']}"):
                _question(draft, name, one, faces, box)


def _question(
    draft: Draft, name: str, one: Mapping[str, Any], faces: Sequence[Mapping[str, Any]], box: Sequence[Sequence[float]]
) -> None:
    users = [str(c.get("name") or c["kind"]) for c in draft.conditions if name in draft.names_on(c)]
    head = _("Which face is it now?")
    about = _("picked for {names}", names=", ".join(users) or name)
    st.markdown(f":orange[:material/help:] **{plain(head)}**  \n{plain(about)} · {plain(_before(draft, name, one))}")
    with st.container(horizontal=True, gap="small"):
        for i in one["candidates"]:
            face = faces[i]
            said = _("Face {n}: {what}, {where}", n=i + 1, what=kind_of(face), where=where_on(face["centroid"], box))
            st.button(
                plain(said), key=f"{draft.id}.{name}.{one['number']}.{i}", on_click=_settle,
                args=(draft, name, one["number"], i, faces),
            )  # fmt: skip
        picked = st.session_state.get(f"{draft.id}.looked") or []
        st.button(
            _("The one picked on the part"), key=f"{draft.id}.{name}.{one['number']}.picked",
            icon=":material/ads_click:", disabled=len(picked) != 1, on_click=_settle,
            args=(draft, name, one["number"], picked[0] if picked else None, faces),
        )  # fmt: skip
        st.button(
            _("It is gone"), key=f"{draft.id}.{name}.{one['number']}.gone", icon=":material/block:",
            on_click=_settle, args=(draft, name, one["number"], None, faces),
        )  # fmt: skip


def _before(draft: Draft, name: str, one: Mapping[str, Any]) -> str:
    """What was picked, in words."""
    if one["number"] is None:
        return _("a rule that fits no face")
    was = draft.selections[name]["faces"][one["number"]]
    length, _space, unit = str(was.get("radius") or "").partition(" ")
    face = {**was, "radius": float(length) if unit == "m" else None}  # as ui.draft.signature writes it
    return _("it was: {what}", what=kind_of(face))


def _settle(draft: Draft, name: str, number: int | None, face: int | None, faces: Sequence[Mapping[str, Any]]) -> None:
    draft.settle(name, number, face, faces)
    st.session_state[f"{draft.id}.settled"] = st.session_state.get(f"{draft.id}.settled", 0) + 1
    st.session_state.pop(f"{draft.id}.again", None)


def marks(draft: Draft, faces: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The faces of each condition in its colour, and those that are asked about, with their numbers."""
    found = [
        mark(COLOURS[i % len(COLOURS)], str(c.get("name") or c["kind"]), faces, draft.picked(c), None, False)
        for i, c in enumerate(draft.conditions)
        if draft.picked(c)
    ]
    for waiting in draft.unsure.values():
        for one in waiting:
            found += [mark(ASKED, f"? {i + 1}", faces, [i], None, False) for i in one["candidates"]]
    return found
