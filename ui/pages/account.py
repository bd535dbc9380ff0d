"""One's own place: being told when runs end, keys for programs, the people of the organisation, the way out."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui import desk, door, session, show
from ui.words import _, language, plain

#: Browsers that are logged in, before the others are folded away.
BROWSERS = 3


def page() -> None:
    me = session.me() or {}
    title, out = st.columns([5, 1], vertical_alignment="bottom")
    title.title(_("Account"))
    with out:
        door.log_out_button()
    who = [show.house(str(me.get(which, ""))) for which in ("user", "organisation")]
    st.caption(plain(" · ".join([*who, role_name(str(me.get("role", "")))])))
    left, right = st.columns(2, gap="large")
    with left:
        _wishes()
        _keys()
    with right:
        _members(admin=session.may(desk.MEMBERS))


def role_name(role: str) -> str:
    names = {
        "engineer": _("engineer"),
        "academic": _("academic"),
        "staff": _("staff"),
        "admin": _("administrator"),
    }
    return names.get(role, role)


def _wishes() -> None:
    st.subheader(_("Tell me when a run has ended"), anchor=False)
    now = desk.wishes()
    with st.form("wishes"):
        mail = st.text_input(_("By mail to"), value=now["mail"], placeholder="anna@example.org")
        if not now["can_mail"]:
            st.caption(_("This hub has no mail server yet: staff set it (smtp)."))
        hook = st.text_input(_("By a webhook at"), value=now["webhook"], placeholder="https://…")
        hosts = ", ".join(now["hooks"])
        st.caption(
            plain(_("Hosts that may be told: {hosts}", hosts=hosts)) if hosts else _("Staff have allowed no host yet.")
        )
        if st.form_submit_button(_("Keep"), icon=":material/check:"):
            kept = desk.want(mail.strip(), hook.strip(), language())
            if kept is not None:
                now = kept
                st.success(_("Kept."), icon=":material/check_circle:")
    if now["secret"]:
        st.caption(_("What is sent to the webhook is signed (HMAC-SHA256, header X-Officina-Signature) with this key:"))
        st.code(now["secret"], language=None)


def _keys() -> None:
    st.subheader(_("Keys"), anchor=False)
    keys = desk.tokens()
    browsers = [key for key in keys if key["kind"] == "session"]
    older = browsers[BROWSERS:]
    for key in keys:
        if key not in older:
            _key(key)
    if older:
        with st.expander(plain(_("{n} browsers more", n=len(older))), icon=":material/computer:"):
            for key in older:
                _key(key)
    with st.form("key", clear_on_submit=True):
        name, make = st.columns([4, 2], vertical_alignment="bottom")
        wanted = name.text_input(_("A new key for a program called"), max_chars=100)
        made = make.form_submit_button(_("Make a key"), icon=":material/add:", width="stretch")
    if made and wanted.strip():
        key = desk.new_token(wanted.strip())
        if key:
            st.caption(_("Shown this once:"))
            st.code(key["token"], language=None)


def _key(key: dict[str, Any]) -> None:
    name, when, end = st.columns([4, 3, 1], vertical_alignment="center")
    said = plain(key["name"]) if key["name"] else _("a browser") if key["kind"] == "session" else _("the first key")
    name.markdown(f"{':material/computer:' if key['kind'] == 'session' else ':material/key:'} {said}")
    when.caption(plain(show.ago(key["created"])))
    end.button(
        "", key=f"revoke-{key['id']}", icon=":material/delete:", help=_("Make it void"),
        on_click=desk.revoke_token, args=(key["id"],),
    )  # fmt: skip


def _members(*, admin: bool) -> None:
    st.subheader(_("People of the organisation"), anchor=False)
    me = session.me() or {}
    for member in desk.members():
        name, role, end = st.columns([4, 3, 1], vertical_alignment="center")
        name.markdown(f":material/person: {plain(show.house(member['name']))}")
        role.caption(plain(role_name(member["role"])))
        if admin and member["name"] != me.get("user"):
            end.button(
                "", key=f"remove-{member['id']}", icon=":material/person_remove:", help=_("Remove"),
                on_click=desk.remove_member, args=(member["id"],),
            )  # fmt: skip
    if not admin:
        st.caption(_("An administrator of your organisation takes people in."))
        return
    with st.form("member", clear_on_submit=True):
        name = st.text_input(_("Name or mail address"), max_chars=200)
        roles: list[str] = ["engineer", "academic", "staff", "admin"]
        role = st.selectbox(_("May do the work of"), roles, format_func=role_name)
        added = st.form_submit_button(_("Take in"), icon=":material/person_add:")
    if added and name.strip():
        made: dict[str, Any] | None = desk.add_member(name.strip(), role)
        if made:
            st.caption(_("Send this address to them: it logs in once, within a day."))
            st.code(desk.absolute(made["login"]), language=None, wrap_lines=True)
