"""The result of one run, for a reader who has a link to it and perhaps no account."""

from __future__ import annotations

import streamlit as st

from ui import desk, show, view3d
from ui.pages import run
from ui.words import _, plain


def page() -> None:
    key = st.query_params.get("key", "")
    found = desk.shared(key) if key else None
    if found is None:
        st.title(_("This link shows nothing"))
        st.info(
            _("It has expired, was taken back, or is not complete. Ask whoever sent it."), icon=":material/link_off:"
        )
        return
    result, files = found["result"], found["files"]
    st.title(plain(result.get("title") or ""), anchor=False)
    st.caption(plain(_("Shared with you until {when}", when=show.stamp(found["expires"]))))
    run.verdict(result)
    left, right = st.columns([5, 6], gap="large")
    with left:
        run.quantities(result)
        run.checks(result.get("checks") or [])
        if files:
            run.downloads(files, lambda name: desk.shared_url(key, name))
    with right:
        if "view3d.bin" in files:
            view3d.result(desk.shared_url(key, "view3d.bin"), f"shared.{key[:32]}")
        run.pictures(result, found["pictures"], lambda name: desk.shared_url(key, name))
