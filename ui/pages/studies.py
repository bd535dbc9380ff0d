"""Studies: one case with some of its values changed; the list, a new one, and the table and plots of one."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from ui import plots, session, show
from ui.numbers import count, duration, number, of_quantity, quantity
from ui.words import _, human, plain, said

#: What the hub calls the files of the extremes over all points.
ENVELOPE = "envelope"
GOING = ("queued", "running", "cancelling")
#: Quantities a table shows at first.
FIRST = 3
#: A number with a unit, as typed into a case.
_TYPED = re.compile(r"\s*([+-]?[\d.,]+(?:[eE][+-]?\d+)?)\s*([^\d\s].*)?\s*")


def page() -> None:
    study_id = st.query_params.get("study", "")
    if study_id:
        _one(study_id)
        return
    st.title(_("Studies"))
    st.caption(
        _("One case again and again with some of its values changed: how much does it carry, how thick must it be?")
    )
    _new()
    found = session.studies()
    if not found:
        st.info(_("No studies here yet. Begin one from a run that is done."), icon=":material/inbox:")
    widths = [5, 2, 3, 1.6]
    for study in found:
        with st.container(border=True, key=f"study-{study['id']}"):
            cells = st.columns(widths, vertical_alignment="center")
            with cells[0]:
                st.page_link(session.PAGES["studies"], label=plain(study["title"]), query_params={"study": study["id"]})
            with cells[1]:
                show.state_badge(study["state"])
            cells[2].caption(plain(_counts(study["counts"])))
            cells[3].caption(plain(show.ago(session.made(study))))


def _counts(counts: dict[str, int]) -> str:
    text = _("{done} of {of} points done", done=count(counts["done"]), of=count(counts["of"]))
    return text + (", " + _("{n} not", n=count(counts["other"])) if counts["other"] else "")


# --- a new one ----------------------------------------------------------------------------------------------------


def numbers_of(case: dict[str, Any]) -> dict[str, str]:
    """Paths in a case that lead to a number with a unit, and what stands there; conditions by their names."""
    found: dict[str, str] = {}

    def walk(item: Any, path: str) -> None:
        if isinstance(item, dict):
            for key, value in item.items():
                walk(value, f"{path}.{key}" if path else key)
        elif isinstance(item, list):
            names = [e.get("name") if isinstance(e, dict) else None for e in item]
            for i, value in enumerate(item):
                label = names[i] if names[i] and names.count(names[i]) == 1 and "]" not in names[i] else i
                walk(value, f"{path}[{label}]")
        elif isinstance(item, str):
            match = _TYPED.fullmatch(item)
            if match and match[2]:
                found[path] = item

    for part in ("conditions", "parameters", "mesh"):
        walk(case.get(part), part)
    found.setdefault("mesh.size", "")
    return found


def _new() -> None:
    with st.expander(_("New study"), icon=":material/add_circle:", expanded="from" in st.query_params):
        runs = [run for run in session.runs(state="done", limit=50) if run.get("until") == "report"]
        if not runs:
            st.caption(_("A study changes values of a case that was run once: run one first."))
            return
        ids = [run["id"] for run in runs]
        wanted = st.query_params.get("from", "")
        titles = {run["id"]: run["title"] for run in runs}
        chosen = st.selectbox(
            _("Case"), ids, index=ids.index(wanted) if wanted in ids else 0, format_func=lambda i: titles[i]
        )
        case = session.case_of(chosen)
        if case is None:
            st.caption(_("The case of this run is not for you to see."))
            return
        kinds = {"sweep": _("Change values"), "mesh": _("Is the mesh fine enough?")}
        kind = st.segmented_control(
            _("Kind of study"), list(kinds), format_func=kinds.__getitem__, default="sweep", required=True
        )
        study = _sweep(case) if kind == "sweep" else _meshes(case)
        known = [cluster["name"] for cluster in session.clusters()["clusters"]]
        if known:
            names = {"here": _("this machine")}
            options = ["here", *known]
            place = st.selectbox(
                _("Where to solve it"), options, format_func=lambda o: names.get(o, o), key="study.where"
            )
            study = study and {**study, "cluster": place}
        if (
            st.button(_("Run the study"), type="primary", icon=":material/play_arrow:", disabled=study is None)
            and study
        ):
            started = session.submit_study({"title": f"{titles[chosen]}"[:150], **study}, case)
            if started:
                st.switch_page(session.PAGES["studies"], query_params={"study": started["id"]})


def _sweep(case: dict[str, Any]) -> dict[str, Any] | None:
    """Up to two values, each from one number to another."""
    known = numbers_of(case)
    axes = []
    for i in range(2):
        label = _("Value that changes") if i == 0 else _("A second one, if you like")
        options = list(known) if i == 0 else ["", *known]
        cells = st.columns([4, 2, 2, 1.4], vertical_alignment="bottom")
        path = cells[0].selectbox(
            label, options, format_func=lambda p: f"{in_words(p)}: {known[p]}" if p else "–", key=f"study.path.{i}"
        )
        if not path:
            continue
        typed = known[path]
        start = cells[1].text_input(_("From"), typed, key=f"study.from.{i}.{path}")
        stop = cells[2].text_input(_("To"), typed, key=f"study.to.{i}.{path}")
        steps = cells[3].number_input(_("Points"), 2, 100, 5, key=f"study.count.{i}")
        axes.append({"path": path, "from": start, "to": stop, "count": int(steps)})
    ready = axes and all(a["from"] and a["to"] and a["from"] != a["to"] for a in axes)
    if not ready:
        st.caption(_("Say from where to where, with units: 1 kN to 5 kN."))
    return {"sweep": axes} if ready else None


def _meshes(case: dict[str, Any]) -> dict[str, Any] | None:
    typed = str(case.get("mesh", {}).get("size") or "")
    size = st.text_input(_("Largest element of the middle mesh"), typed, placeholder="4 mm", key="study.mesh")
    match = _TYPED.fullmatch(size)
    if not match or not match[2]:
        st.caption(_("Say it with its unit, for example 4 mm."))
        return None
    try:
        middle = float(match[1].replace(",", "."))
    except ValueError:
        return None
    sizes = [f"{middle * factor:.6g} {match[2]}" for factor in (1.4, 1.0, 1 / 1.4)]
    st.caption(plain(_("Three meshes: {sizes}", sizes=", ".join(sizes))))
    return {"sweep": [{"path": "mesh.size", "values": sizes}], "points": "list", "verdict": "mesh"}


def in_words(path: str) -> str:
    """``conditions[load].value.magnitude`` as ``load, value``: names as typed, the rest in the reader's language."""
    parts = [
        (inside, True) if inside else (outside, False)
        for inside, outside in re.findall(r"\[([^\[\]]*)\]|([^.\[\]]+)", path)
        if outside not in ("conditions", "parameters", "magnitude")
    ]
    words = [text if typed else lower_first(human(text)) for text, typed in parts]
    if len(parts) > 1 and parts[-1][0] in ("0", "1", "2") and parts[-2] == ("value", False):
        words[-1] = "xyz"[int(parts[-1][0])]
    if len(parts) > 1 and path.startswith("conditions[") and parts[0][0].isdigit():
        words[0] = f"{_('condition')} {int(parts[0][0]) + 1}"
    return ", ".join(words) or path


def lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _axis_title(axis: dict[str, Any]) -> str:
    """A title that somebody gave as they typed it; else the place in the case, in words."""
    title, path = str(axis["title"]), str(axis["path"])
    return in_words(path) if title == path else title


# --- one study ----------------------------------------------------------------------------------------------------


def _one(study_id: str) -> None:
    study = session.study(study_id)
    if study is None:
        st.title(_("No such study"))
        st.info(_("There is no study with this address, or it is not yours."), icon=":material/search_off:")
        return
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.title(plain(study["title"]), anchor=False)
    with right, st.container(horizontal_alignment="right"):
        show.state_badge(study["state"])
    if study["state"] in GOING:
        _watch(study_id)
        return
    st.caption(plain(_counts(study["counts"])))
    failure = study.get("failure")
    if failure:
        st.error(f"{plain(failure.get('message'))}  \n{plain(failure.get('hint') or '')}", icon=":material/error:")
    result = session.study_result(study_id)
    if result is None:
        if study["state"] != "failed":
            st.info(_("The table of this study is not for you to see, or there is none."), icon=":material/lock:")
        _again(study)
        return
    _verdict(result)
    _troubles(study, result)
    _table(result)
    _plots(result)
    _envelope(study_id, result)
    _take_away(study_id, result)


@session.live(2.0)
def _watch(study_id: str) -> None:
    study = session.study(study_id)
    if study is None or study["state"] not in GOING:
        st.rerun(scope="app")
    counts = study["counts"]
    ended = counts["done"] + counts["other"]
    st.progress(ended / counts["of"] if counts["of"] else 0.0, text=plain(_counts(counts)))
    estimate = study.get("estimate") or {}
    if estimate.get("seconds"):
        st.caption(plain(_("All solves together take about {time}.", time=duration(estimate["seconds"]))))
    if study["state"] == "queued" and session.orchestration_away():
        st.warning(_("Nothing starts runs just now: the study waits."), icon=":material/hourglass_top:")
    if st.button(_("Cancel"), icon=":material/cancel:", disabled=study["state"] == "cancelling"):
        session.cancel_study(study_id)
        st.rerun(scope="fragment")


def _verdict(result: dict[str, Any]) -> None:
    if result["verdict"] != "none" and result.get("sentence"):
        box = {"yes": st.success, "no": st.error}.get(result["verdict"], st.warning)
        box(f"### {plain(said(result['sentence']))}", icon=":material/grid_4x4:")
    kinds = {
        "monotone": _("converges"),
        "settled": _("does not change"),
        "oscillating": _("goes up and down"),
        "irregular": _("too slowly for an order"),
        "diverging": _("moves away"),
    }
    rows = []
    units = _units(result)
    for name, found in (result.get("convergence") or {}).items():
        title, unit = units[name]
        rows.append(
            {
                _("Quantity"): title,
                _("Finest mesh"): quantity(found["values"][0], unit, found["error"]),
                _("Convergence"): kinds.get(found["kind"], found["kind"]),
                _("Order"): number(found["order"], 2) if found.get("order") is not None else "–",
                _("Infinitely fine"): (
                    quantity(found["extrapolated"], unit) if found.get("extrapolated") is not None else "–"
                ),
            }
        )
    if rows:
        show.table(rows, _("Convergence"))
        st.caption(
            _("Error bars: grid convergence index (Celik et al. 2008); three times the range where no order is seen.")
        )


def _units(result: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Name of a quantity -> title and SI unit."""
    found: dict[str, tuple[str, str]] = {}
    for point in result["points"]:
        for name, value in point["quantities"].items():
            found.setdefault(name, (said(value.get("title")) or human(name), value["unit"]))
    return found


def _troubles(study: dict[str, Any], result: dict[str, Any]) -> None:
    """What did not succeed, first: nothing is hidden."""
    failed = [p for p in result["points"] if p["state"] != "done"]
    if not failed:
        return
    lines = []
    for point in failed[:20]:
        failure = point.get("failure") or {}
        why = " ".join(str(failure.get(k) or "") for k in ("message", "hint")) or show.state_name(point["state"])
        values = ", ".join(f"{_axis_title(a)} = {v}" for a, v in zip(result["axes"], point["values"], strict=True))
        lines.append(f"- {plain(values)}: {plain(why)}")
    text = f"**{plain(_('Points without an answer: {n}', n=len(failed)))}**\n" + "\n".join(lines)
    st.error(text, icon=":material/error:")
    _again(study)


def _again(study: dict[str, Any]) -> None:
    if st.button(_("Run the failed points again"), icon=":material/refresh:"):
        session.retry_study(study["id"])
        st.rerun()


def _table(result: dict[str, Any]) -> None:
    units = _units(result)
    drawn = [c["name"].rpartition("-")[0] for c in result.get("curves") or []]
    changing = [n for n in units if n in drawn] or list(units)
    shown = st.multiselect(
        _("Quantities"), list(units), default=changing[:FIRST], format_func=lambda n: units[n][0], key="study.shown"
    )
    rows = []
    for point in result["points"]:
        row: dict[str, Any] = {_("Point"): point["number"]}
        row |= {_axis_title(a): str(v) for a, v in zip(result["axes"], point["values"], strict=True)}
        for name in shown:
            value = point["quantities"].get(name)
            row[units[name][0]] = of_quantity(value) if value else "–"
        same = _("as point {n}", n=point["same_as"]) if point.get("same_as") else ""
        row[_("State")] = show.state_name(point["state"]) + (f", {same}" if same else "")
        rows.append(row)
    show.table(rows, _("Points of the study"))


def _plots(result: dict[str, Any]) -> None:
    curves = result.get("curves") or []
    for row in range(0, len(curves), 2):
        for column, curve in zip(st.columns(2), curves[row : row + 2], strict=False):
            axis = result["axes"][int(curve["name"].rpartition("-")[2]) - 1]
            with column:
                plots.curve(curve, _axis_title(axis))


def _envelope(study_id: str, result: dict[str, Any]) -> None:
    envelope = result.get("envelope")
    if not envelope:
        return
    title, value = said(envelope["view"]["title"]), quantity(envelope["value"], envelope["view"]["unit"])
    st.subheader(plain(title))
    st.caption(
        _("Everywhere the largest that any point has there. The largest of all, {value}, is that of point {n}.",
          value=value, n=envelope["point"])
    )  # fmt: skip
    if f"plots/{ENVELOPE}.png" in session.study_files(study_id):
        show.picture(session.study_file_url(study_id, f"plots/{ENVELOPE}.png"), title)


def _take_away(study_id: str, result: dict[str, Any]) -> None:
    with st.container(horizontal=True):
        st.link_button(_("Table (CSV)"), session.study_file_url(study_id, "table.csv"), icon=":material/table_view:")
        st.link_button(
            _("Numbers (JSON)"), session.study_file_url(study_id, "result.json"), icon=":material/data_object:"
        )
        if result.get("envelope"):
            st.link_button(
                _("Largest and least (ParaView)"),
                session.study_file_url(study_id, f"{ENVELOPE}.vtu"),
                icon=":material/view_in_ar:",
            )
