"""All runs of the reader's organisation."""

from __future__ import annotations

import streamlit as st

from ui import session, show
from ui.numbers import duration
from ui.words import _, plain

PAGE = 25


def page() -> None:
    st.title(_("Runs"))
    names = {"": _("all"), **{s: show.state_name(s) for s in ("running", "queued", "done", "failed", "cancelled")}}
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    state = left.segmented_control(
        _("Show"), list(names), format_func=names.__getitem__, default="", required=True, label_visibility="collapsed"
    )
    right.button(_("Refresh"), icon=":material/refresh:", width="stretch")
    seen: list[str] = st.session_state.setdefault("runs.before", [])
    if st.session_state.get("runs.state") != state:
        seen.clear()
        st.session_state["runs.state"] = state
    found = session.runs(state=state or None, limit=PAGE, before=seen[-1] if seen else None)
    if not found:
        st.info(_("No runs here yet. A run begins with a part: choose *New case*."), icon=":material/inbox:")
        return
    table(found)
    before, after, _rest = st.columns([1, 1, 4])
    if seen and before.button(_("Newer"), icon=":material/chevron_left:", width="stretch"):
        seen.pop()
        st.rerun()
    if len(found) == PAGE and after.button(_("Older"), icon=":material/chevron_right:", width="stretch"):
        seen.append(found[-1]["id"])
        st.rerun()


def table(found: list[dict[str, object]]) -> None:
    """A row for each run; its title leads to its page."""
    widths = [5, 2, 2, 1.6, 1.3]
    head = st.columns(widths)
    for column, name in zip(head, (_("Title"), _("State"), _("Kind"), _("Made"), _("Took")), strict=True):
        column.caption(f"**{name}**")
    titles = session.solver_titles()
    for run in found:
        with st.container(border=True, key=f"row-{run['id']}"):
            cells = st.columns(widths, vertical_alignment="center")
            with cells[0]:
                session.link_to_run(str(run["id"]), plain(run["title"]))
            with cells[1]:
                show.state_badge(str(run["state"]))
            solver = str(run.get("solver") or "")
            kind = titles.get(solver, solver)
            cells[2].caption(plain(f"{kind} · {_('mesh only')}" if run.get("until") == "mesh" else kind))
            cells[3].caption(plain(show.ago(session.made(run))))
            took = session.took(run)
            cells[4].caption(plain(duration(took)) if took is not None else "–")
