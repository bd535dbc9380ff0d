"""The pages of Officina: the script that Streamlit runs for every reader."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui import session
from ui.pages import about, case, run, runs, solvers, start
from ui.words import LANGUAGES, _, language, plain

HERE = Path(__file__).parent


def main() -> None:
    st.set_page_config(page_title="Officina", page_icon=str(HERE / "officina.svg"), layout="wide")
    st.logo(str(HERE / "logo.svg"), size="large", link=None)
    if session.me() is None:
        st.navigation([st.Page(session.log_in, title=_("Log in"))], position="hidden").run()
        return
    pages = {
        "start": st.Page(start.page, title=_("Start"), icon=":material/home:", url_path="start", default=True),
        "case": st.Page(case.page, title=_("New case"), icon=":material/add_circle:", url_path="case"),
        "runs": st.Page(runs.page, title=_("Runs"), icon=":material/list:", url_path="runs"),
        "solvers": st.Page(solvers.page, title=_("Solvers"), icon=":material/functions:", url_path="solvers"),
        "help": st.Page(about.page, title=_("Help"), icon=":material/help:", url_path="help"),
        "run": st.Page(run.page, title=_("Run"), url_path="run", visibility="hidden"),
    }
    session.PAGES.update(pages)
    chosen = st.navigation(list(pages.values()), position="top")
    try:
        chosen.run()
    except session.Unreachable as error:
        st.error(plain(error), icon=":material/cloud_off:")
        st.button(_("Try again"), icon=":material/refresh:")
    _foot()


def _foot() -> None:
    me = session.me() or {}
    st.space("medium")
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.caption(plain(_("{user} · {organisation}", user=me.get("user", ""), organisation=me.get("organisation", ""))))
    st.session_state.setdefault("language", language())
    with right:
        st.selectbox(
            _("Language"),
            list(LANGUAGES),
            format_func=LANGUAGES.__getitem__,
            key="language",
            label_visibility="collapsed",
        )


main()
