"""Step 1: the part, what was read of it, and what has to be answered."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from hub.problem import Problem
from ui import session, show, view3d
from ui.draft import Draft
from ui.faces import pick_faces
from ui.numbers import memory
from ui.pages import revision
from ui.words import _, plain

UNITS = ("mm", "m", "in", "cm", "ft", "um")
#: For the browser's file dialogue only: what a file really is, the hub decides by its content.
TYPES = ["step", "stp", "iges", "igs", "brep", "brp", "stl", "inp", "bdf", "nas", "vtu", "msh", "med"]


def ready(draft: Draft) -> bool:
    """There is a part that can be used."""
    if not uploaded(draft):
        return False
    verdict = session.verdict(draft)
    if verdict is None or any(p["severity"] == "error" for p in verdict.get("problems") or []):
        return False
    return not draft.unsure


def uploaded(draft: Draft) -> bool:
    """There is a file, good or not."""
    return bool(draft.case.get("geometry", {}).get("file"))


def step(draft: Draft) -> None:
    if not uploaded(draft) or st.session_state.get(f"{draft.id}.replace"):
        _upload(draft)
        if not uploaded(draft):
            return
    with st.spinner(_("Reading your part …")):
        verdict = session.verdict(draft)
    if verdict is None:
        st.error(_("This part cannot be read any more. Upload it again."), icon=":material/error:")
        _upload(draft)
        return
    left, right = st.columns([7, 6], gap="large")
    with right:
        revision.ask(draft, verdict.get("faces") or [], verdict["box"])
        _read(draft, verdict)
    with left:
        if verdict.get("faces"):
            marks = revision.marks(draft, verdict["faces"])
            picked = pick_faces(
                verdict["faces"], [], verdict["box"], draft.case["geometry"], f"{draft.id}.look", marks=marks,
                asked=str(st.session_state.get(f"{draft.id}.settled", 0)),
            )  # fmt: skip
            st.session_state[f"{draft.id}.looked"] = picked
        else:
            st.caption(_("There is no picture of this part."))


def _upload(draft: Draft) -> None:
    st.subheader(_("Upload your part"), anchor=False)
    st.markdown(
        _(
            "A CAD file (STEP, IGES, BREP, STL) or a mesh. It is read at once, in a closed room, and only your "
            "organisation sees it."
        )
    )
    # the words of the button, from our own catalogue: no markup of anybody's
    words = json.dumps(_("Choose a file, or drop it here"), ensure_ascii=False)
    which = '[data-testid="stFileUploaderDropzone"] button:not([data-testid="stFileChip"] *)'
    st.html(f"<style>{which}::after {{ content: {words}; font-size: 1rem; }}</style>")
    file = st.file_uploader(_("CAD file or mesh"), type=TYPES, key=f"{draft.id}.upload", label_visibility="collapsed")
    if file is None:
        view3d.ahead(f"{draft.id}.ahead")
        _not_taken(draft)
        return
    with st.spinner(_("Uploading …")):
        found = session.upload(file.name, file.getvalue())
    if found is None:
        return
    before = draft.case.get("geometry") or {}
    draft.case["geometry"] = {"file": found["id"], **({"unit": before["unit"]} if before.get("unit") else {})}
    if before and draft.selections:
        with st.spinner(_("Looking for the picked faces on the new part …")):
            revision.begin(draft)
    else:
        draft.forget_faces()
    draft.file_name = found.get("name") or file.name
    if not draft.case.get("title"):
        draft.case["title"] = draft.file_name.rsplit(".", 1)[0][:200]
    st.session_state.pop(f"{draft.id}.replace", None)
    st.rerun()


#: What Streamlit says of a file that it has not taken is English, and hidden: ours takes its place.
_SPEAK = """
export default function ({ data }) {
  const speak = () => {
    for (const alert of document.querySelectorAll("[data-testid=stFileChip] [role=alert]")) {
      const said = alert.textContent;
      if (!said || Object.values(data).includes(said)) continue;
      const [first, ...rest] = alert.childNodes; // kept, as they are Streamlit's
      first.nodeValue = /must be/.test(said) ? data.large : /not allowed/.test(said) ? data.kind : data.broken;
      for (const other of rest) other.nodeValue = "";
    }
  };
  const watch = new MutationObserver(speak);
  watch.observe(document.body, { subtree: true, childList: true, characterData: true });
  speak();
  return () => watch.disconnect();
}
"""


@st.cache_resource(show_spinner=False)
def _speaker() -> Any:
    return st.components.v2.component("officina_not_taken", html="<span></span>", js=_SPEAK)


def _not_taken(draft: Draft) -> None:
    """Words for a file that did not arrive; what is there of the case stays as it is."""
    limit = memory(1e6 * float(st.get_option("server.maxUploadSize")))
    kept = _("Nothing else has changed.")
    data = {
        "large": _("This file is larger than {limit}, the most that is taken here.", limit=limit)
        + f" {_('Leave out what does not matter, or save it as STEP.')} {kept}",
        "kind": _("Files of this kind are not read: {kinds} are.", kinds=", ".join(TYPES)) + f" {kept}",
        "broken": _("The connection broke before the whole file was here. Choose it again.") + f" {kept}",
    }
    _speaker()(key=f"{draft.id}.not-taken", data=data)


def _read(draft: Draft, verdict: dict[str, Any]) -> None:
    """The verdict in plain words, its questions and what is wrong."""
    st.subheader(plain(draft.file_name or _("Your part")), anchor=False)
    found = [Problem.model_validate(p) for p in verdict.get("problems") or []]
    for problem in found:
        if problem.severity == "question":
            _question(draft, problem)
        else:
            show.problem(problem, place=False)
    if not found:
        st.success(_("Nothing is wrong with this part."), icon=":material/check_circle:")
    facts = session.facts(verdict)
    if facts:
        with st.container(border=True, gap="xsmall"):
            for name, value in facts:
                left, right = st.columns([2, 3])
                left.markdown(f":gray[{plain(name)}]")
                right.markdown(f"**{plain(value)}**")
    with st.container(horizontal=True):
        if st.button(_("Another file"), icon=":material/swap_horiz:", type="tertiary"):
            st.session_state[f"{draft.id}.replace"] = True
            st.session_state.pop(f"{draft.id}.upload", None)
            st.rerun()
        if facts:
            with st.popover(_("Another unit"), icon=":material/straighten:", type="tertiary"):
                st.caption(_("Read the numbers of the file as"))
                with st.container(horizontal=True, gap="small"):
                    for unit in UNITS:
                        chosen = draft.case["geometry"].get("unit") == unit
                        st.button(
                            unit,
                            key=f"{draft.id}.as.{unit}",
                            type="primary" if chosen else "secondary",
                            on_click=_answer,
                            args=(draft, "unit", unit),
                        )


def _question(draft: Draft, problem: Problem) -> None:
    """A question with a button for each answer; the answer that was given is marked and can be changed."""
    geometry: dict[str, Any] = draft.case["geometry"]
    field = problem.where.rsplit(".", 1)[-1]
    words = {
        "geometry.unit": _("In which unit are the numbers of this file?"),
        "geometry.size_confirmed": _("Does this size look right?"),
        "geometry.contacts": _("How are the parts joined?"),
    }
    names = {
        "true": _("Yes, the size is right"),
        "bonded": _("bonded: welded, glued, pressed"),
        "separate": _("separate: nothing passes between them"),
    }
    answers: list[tuple[str, Any, str]] = [
        (field, True if choice == "true" else choice, names.get(choice, choice)) for choice in problem.choices
    ]
    if field == "size_confirmed":
        answers += [("unit", unit, _("No, the numbers are {unit}", unit=unit)) for unit in UNITS[:3]]
    given = any(geometry.get(name) == value for name, value, _label in answers)
    with st.container(border=True, key=f"question-{field}"):
        mark = ":green[:material/check_circle:]" if given else ":orange[:material/help:]"
        st.markdown(f"{mark} **{plain(words.get(problem.where, problem.expected))}**  \n{plain(problem.found)}")
        with st.container(horizontal=True, gap="small"):
            for name, value, label in answers:
                st.button(
                    plain(label),
                    key=f"{draft.id}.{name}.{value}",
                    type="primary" if geometry.get(name) == value else "secondary",
                    on_click=_answer,
                    args=(draft, name, value),
                )


def _answer(draft: Draft, name: str, value: Any) -> None:
    """Take an answer, or take it back where it is pressed again. Another unit makes all faces new."""
    geometry: dict[str, Any] = draft.case["geometry"]
    if geometry.get(name) == value:
        del geometry[name]
    else:
        geometry[name] = value
    if name == "unit":
        geometry.pop("size_confirmed", None)
        draft.forget_faces()
