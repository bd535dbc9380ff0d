"""Runs beside each other: their verdicts, their quantities and what lies between, their fields turning together."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from ui import session, show, view3d
from ui.numbers import number, of_quantity, quantity, si
from ui.words import _, human, plain, said

#: Most runs beside each other on a laptop's screen.
MOST = 3
#: Differences below this share of the values are rounding.
ROUNDING = 1e-9


def page() -> None:
    st.title(_("Compare runs"))
    done = {run["id"]: run for run in session.runs(state="done", limit=100) if run.get("until") != "mesh"}
    asked = [r for r in st.query_params.get("runs", "").split(",") if r]
    for run_id in asked:
        if run_id not in done and (found := session.run(run_id)) and found["state"] == "done":
            done[run_id] = found
    st.session_state.setdefault("compare.runs", [r for r in asked if r in done][:MOST])
    chosen = st.multiselect(
        _("Runs, the first is what the others are compared with"), list(done), key="compare.runs", max_selections=MOST,
        format_func=lambda r: f"{done[r]['title']} · {show.ago(session.made(done[r]))}",
    )  # fmt: skip
    st.query_params["runs"] = ",".join(chosen)
    if len(chosen) < 2:
        st.info(_("Choose two or three runs that are done."), icon=":material/compare_arrows:")
        return
    results = {run_id: session.result(run_id) or {} for run_id in chosen}
    for column, run_id in zip(st.columns(len(chosen)), chosen, strict=True):
        with column:
            session.link_to_run(run_id, plain(done[run_id]["title"]))
            verdict = results[run_id].get("verdict") or {}
            st.markdown(plain(said(verdict.get("sentence")).replace("+-", "±")))
            if "view3d.bin" in session.files(run_id):
                view3d.result(session.file_url(run_id, "view3d.bin"), f"compare.{run_id}", link="compare")
    st.subheader(_("Quantities"), anchor=False)
    _table(chosen, {run_id: str(done[run_id]["title"]) for run_id in chosen}, results)


def _table(chosen: list[str], titles: dict[str, str], results: dict[str, dict[str, Any]]) -> None:
    """One row a quantity; every other run's difference from the first, and whether it is beyond both error bars."""
    known = [results[run_id].get("quantities") or {} for run_id in chosen]
    names = list(dict.fromkeys(name for quantities in known for name in quantities))
    rows = []
    for name in names:
        first = known[0].get(name)
        row = {_("Quantity"): said((first or next(q[name] for q in known if name in q)).get("title")) or human(name)}
        for run_id, quantities in zip(chosen, known, strict=True):
            found = quantities.get(name)
            column = f"{chosen.index(run_id) + 1} · {titles[run_id]}"
            row[column] = of_quantity(found) if found else "–"
            if quantities is not known[0]:
                row[f"{_('Difference')} {chosen.index(run_id) + 1}"] = _difference(first, found)
        rows.append(row)
    show.table(rows, _("Quantities"))
    st.caption(_("“within the bars”: the error bars overlap, so that the two may be equal."))


def _difference(first: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    if not first or not other or first["unit"] != other["unit"]:
        return "–"
    gap = float(other["value"]) - float(first["value"])
    if abs(gap) <= ROUNDING * max(abs(float(first["value"])), abs(float(other["value"]))):
        gap = 0.0
    unit = "delta_K" if first["unit"] == "K" else str(first["unit"])
    bars = [q.get("error") for q in (first, other)]
    widths = [float(b) for b in bars if b is not None]
    within = len(widths) == 2 and any(widths) and abs(gap) <= math.fsum(widths)
    # where the two may be equal their difference is no more than what the bars leave of it
    text = f"≤ {si(math.fsum(widths), unit, 2)}" if within else quantity(gap, unit)
    certain = abs(float(first["value"])) > float(bars[0] or 0.0)  # in parts of what may be zero nothing is said
    if gap and certain and not within and first["unit"] != "K":
        text += f" ({number(100 * gap / abs(float(first['value'])), 2)} %)"
    if within:
        text += " · " + _("within the bars")
    return text
