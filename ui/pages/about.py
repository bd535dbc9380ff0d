"""How to read what Officina says."""

from __future__ import annotations

import streamlit as st

from ui import session
from ui.words import _


def page() -> None:
    st.title(_("Help"))
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader(_("How to read an error bar"), anchor=False)
        st.markdown(
            _(
                "Each number comes as **value ± error**, for example *0.412 ± 0.006 mm*. The error says how far the "
                "number may be from what an infinitely fine mesh would give for the same case. It is estimated from "
                "the solution itself, in each run. A finer mesh makes it smaller."
            )
        )
        st.markdown(
            _(
                "The bar does **not** contain what the case leaves out: loads that are not known well, a material "
                "that is not as in its certificate, a bolt that slips."
            )
        )
        st.markdown(
            _(
                "Where a number has no bar, the reason stands beside it. At a sharp inner corner or a point support "
                "the stress of the theory has no limit: it only grows with a finer mesh. There Officina gives the "
                "stress a little away from the spot, and says so."
            )
        )
        st.subheader(_("How to read the verdict"), anchor=False)
        st.markdown(
            _(
                "*Yes* and *no* are said only when the whole error bar lies on one side of the limit and all checks "
                "passed. When the bar reaches across it, the answer is *unclear*, and a finer mesh may decide."
            )
        )
        st.subheader(_("Checks"), anchor=False)
        st.markdown(
            _(
                "Each run checks itself: do the reactions at the supports balance the loads, is the equation really "
                "solved, does the energy add up. A run whose checks fail should not be used."
            )
        )
    with right:
        st.subheader(_("Typing numbers"), anchor=False)
        st.markdown(
            _(
                "Type the unit with the number: `2.5 kN`, `2,5 kN`, `10 MPa`, `9.81 m/s2`, `90 deg`. Below the field "
                "stands how it was read."
            )
        )
        st.subheader(_("For programs"), anchor=False)
        st.markdown(_("All that these pages do can be done by a program: the REST API describes itself. With Python:"))
        st.code(
            "from hub.client import Client\n\nhub = Client.here()\nfor run in hub.runs():\n"
            "    print(run['title'], run['state'])",
            language=None,
            wrap_lines=True,
        )
        st.link_button(_("API documentation"), session.API_DOCS, icon=":material/api:")
        st.subheader(_("Your files"), anchor=False)
        st.markdown(
            _(
                "Parts, cases and results are seen by your organisation only. The report is a PDF; the fields open "
                "in ParaView; `result.json` holds every number with its bar."
            )
        )
