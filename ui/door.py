"""The door of the pages: how a reader gets in with a token, and out again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from ui.session import API
from ui.words import _

_LOGIN_JS = """
export default function ({ data, parentElement }) {
  const form = parentElement.querySelector("form");
  const [field, button, said] = ["input", "button", ".said"].map((name) => form.querySelector(name));
  field.setAttribute("aria-label", data.label);
  field.placeholder = data.label;
  button.textContent = data.button;
  form.onsubmit = async (event) => {
    event.preventDefault();
    said.textContent = "";
    const typed = field.value.trim();
    const token = typed.includes("token=") ? typed.split("token=")[1].split("&")[0] : encodeURIComponent(typed);
    if (!token) return;
    const answer = await fetch(`${data.address}?token=${token}`, { redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.ok) window.location.reload();
    else said.textContent = data.refused;
  };
}
"""
_LOGIN_CSS = """
form { display: flex; flex-wrap: wrap; gap: 0.6rem; font-family: var(--st-font); }
input { flex: 1; min-width: 14rem; padding: 0.55rem 0.7rem; font: inherit; border-radius: 0.5rem;
  border: 1px solid var(--st-border-color); background: var(--st-background-color); color: inherit; }
input:focus { outline: 2px solid var(--st-primary-color); outline-offset: -1px; }
button { padding: 0.55rem 1.2rem; font: inherit; border: 0; border-radius: 0.5rem; cursor: pointer;
  background: var(--st-primary-color); color: white; }
.said { flex-basis: 100%; color: #b3261e; }
"""


@st.cache_resource(show_spinner=False)
def _login_form() -> Any:
    html = (
        '<form><input type="password" autocomplete="off"><button></button><div class="said" role="alert"></div></form>'
    )
    return st.components.v2.component("officina_login", html=html, css=_LOGIN_CSS, js=_LOGIN_JS)


def log_in() -> None:
    """The page of a reader without a valid cookie."""
    _left, middle, _right = st.columns([1, 2, 1])
    with middle:
        st.image(str(Path(__file__).parent / "logo.svg"), width=240)
        st.title(_("Welcome"), anchor=False)
        if st.session_state.get("session.ended"):
            st.warning(
                _("Your session has ended. Log in again: what you typed is kept, and this page comes back."),
                icon=":material/lock_clock:",
            )
        st.markdown(_("Open the address that was printed when the hub was started, or paste it, or its token, here."))
        _login_form()(
            key="login",
            data={
                "address": f"{API}/login",
                "label": _("Token or address"),
                "button": _("Log in"),
                "refused": _("This token is not known, or it was used already. Start the hub again for a fresh one."),
            },
        )
        st.caption(_("Only people with a token see parts, cases and results."))


_LOG_OUT_JS = """
export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  button.textContent = data.label;
  button.onclick = async () => {
    await fetch(data.address, { method: "POST" });
    window.location.assign("/");
  };
}
"""
_LOG_OUT_CSS = """
button { width: 100%; padding: 0.5rem 1rem; font: inherit; font-family: var(--st-font); cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: 0.5rem; background: var(--st-background-color);
  color: inherit; }
button:hover { border-color: var(--st-primary-color); color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
"""


@st.cache_resource(show_spinner=False)
def _log_out() -> Any:
    return st.components.v2.component(
        "officina_logout", html="<button type='button'></button>", css=_LOG_OUT_CSS, js=_LOG_OUT_JS
    )


def log_out_button() -> None:
    """The session's cookie is the browser's: it is the browser that gives it back."""
    _log_out()(key="log-out", data={"address": f"{API}/logout", "label": _("Log out")})
