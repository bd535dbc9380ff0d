"""The pages of Officina: the script that Streamlit runs for every reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from ui import desk, door, session, show
from ui.pages import (
    about,
    account,
    board,
    case,
    clusters,
    compare,
    question,
    run,
    runs,
    shared,
    solvers,
    start,
    studies,
)
from ui.words import LANGUAGES, _, language, plain

HERE = Path(__file__).parent


def main() -> None:
    st.set_page_config(page_title="Officina", page_icon=str(HERE / "officina.svg"), layout="wide")
    st.html(HERE / "main.css")
    # "6 more" of a bar that is full is Streamlit's own English; the words here are of our own catalogue
    more = json.dumps(_("More"), ensure_ascii=False)
    st.html(f"<style>.rc-overflow-item-rest p::after {{ content: {more} ' \\25be'; }}</style>")
    st.logo(str(HERE / "logo.svg"), size="large", link=None)
    logged_in = session.me() is not None

    def entry(page: Callable[[], None], name: str, title: str, icon: str, **more: Any) -> Any:
        """A page; before the log-in its address leads to the door, and afterwards to where it leads."""
        return st.Page(page if logged_in else door.log_in, title=title, icon=icon or None, url_path=name, **more)

    pages = {
        "start": entry(start.page, "", _("Start"), ":material/home:", default=True),
        "case": entry(case.page, "case", _("New case"), ":material/add_circle:"),
        "runs": entry(runs.page, "runs", _("Runs"), ":material/list:"),
        "studies": entry(studies.page, "studies", _("Studies"), ":material/stacked_line_chart:"),
        "clusters": entry(clusters.page, "clusters", _("Clusters"), ":material/dns:"),
        "solvers": entry(solvers.page, "solvers", _("Solvers"), ":material/functions:"),
        "compare": entry(compare.page, "compare", _("Compare"), ":material/compare_arrows:"),
        "help": entry(about.page, "help", _("Help"), ":material/help:"),
        "account": entry(account.page, "account", _("Account"), ":material/account_circle:"),
        "question": entry(question.page, "question", _("Question"), "", visibility="hidden"),
        "run": entry(run.page, "run", _("Run"), "", visibility="hidden"),
        # a link needs no account
        "shared": st.Page(shared.page, title=_("Shared"), url_path="shared", visibility="hidden"),
        "board": entry(
            board.page, "board", _("Control room"), ":material/monitoring:",
            visibility="visible" if logged_in and desk.sees_board() else "hidden",
        ),
    }  # fmt: skip
    session.PAGES.update(pages)
    more = [pages[name] for name in ("board", "clusters", "compare", "account", "help")]
    sections = {"": [page for page in pages.values() if page not in more], _("More"): more}
    chosen = st.navigation(sections, position="top" if logged_in else "hidden")
    try:
        chosen.run()
    except session.LoggedOut:
        session.leave()
        st.session_state.pop("me", None)
        st.session_state["session.ended"] = True
        st.rerun()  # to the door, at this address
    except session.Unreachable as error:
        st.error(plain(error), icon=":material/cloud_off:")
        st.button(_("Try again"), icon=":material/refresh:")
    if logged_in:
        _foot()


def _foot() -> None:
    me = session.me() or {}
    st.space("medium")
    left, right = st.columns([2, 1], vertical_alignment="center")
    left.caption(plain(" · ".join(show.house(str(me.get(which, ""))) for which in ("user", "organisation"))))
    st.session_state.setdefault("language", language())
    with right, st.container(horizontal_alignment="right"):
        st.segmented_control(
            _("Language"),
            list(LANGUAGES),
            format_func=LANGUAGES.__getitem__,
            key="language",
            required=True,
            label_visibility="collapsed",
        )


main()
