"""The catalogue of solvers: what each computes, by which equation, how it was verified and for what it is valid."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui import session
from ui.forms import Field, fields
from ui.numbers import unit_name
from ui.words import _, human, plain, said


def page() -> None:
    st.title(_("Solvers"))
    st.caption(_("Every kind of simulation here says what it solves, where that is from and how it was verified."))
    for solver in session.solvers():
        with st.container(border=True):
            _passport(session.solver(solver["name"]))


def _passport(solver: dict[str, Any]) -> None:
    left, right = st.columns([5, 1])
    left.subheader(plain(said(solver["title"])), anchor=False)
    right.caption(f"{plain(solver['name'])} · {plain(solver['version'])}")
    if solver.get("summary"):
        st.markdown(plain(said(solver["summary"])))
    if solver.get("equation"):
        st.caption(_("It solves"))
        st.code(solver["equation"], language=None, wrap_lines=True)
    verified, valid = st.columns(2)
    with verified:
        st.markdown(f"**{_('Verified by')}**")
        if solver.get("benchmarks"):
            for benchmark in solver["benchmarks"]:
                orders = ", ".join(f"{k} {v:g}" for k, v in benchmark.get("order", {}).items())
                extra = f" ({plain(_('order of convergence: {orders}', orders=orders))})" if orders else ""
                st.markdown(f"- {plain(benchmark['case'])}{extra}")
        else:
            st.caption(_("No benchmark yet: take its answers as a first idea."))
    with valid:
        st.markdown(f"**{_('Validated for')}**")
        st.markdown("\n".join(f"- {plain(v)}" for v in solver.get("validated", ())) or _("not said"))
    with st.expander(_("What can be set")):
        for kind, schema in solver.get("conditions", {}).items():
            about = " ".join(str(schema.get("description", "")).split())
            st.markdown(f"**{plain(human(kind))}** {plain(about)}")
            _fields(fields(schema, human(kind)))
        parameters = fields(solver.get("parameters", {}))
        if parameters:
            st.markdown(f"**{_('Parameters of the solver')}**")
            _fields(parameters)
        if solver.get("material"):
            needed = ", ".join(human(name).lower() for name in solver["material"])
            st.markdown(f"**{_('Needs of the material')}**: {plain(needed)}")
    if solver.get("references"):
        with st.expander(_("References")):
            st.markdown("\n".join(f"- {plain(reference)}" for reference in solver["references"]))


def _fields(found: list[Field]) -> None:
    for field in found:
        units = ", ".join(unit_name(u) for u in field.units[:6] if u)
        text = f"- *{field.label}*"
        text += f" [{plain(units)}]" if units else ""
        text += f": {field.help}" if field.help else ""
        st.markdown(text)
