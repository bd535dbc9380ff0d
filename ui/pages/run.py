"""One run: watched while it works, read when it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import streamlit as st

from ui import desk, plots, session, show, view3d
from ui.numbers import count, duration, known, number, quantity, si
from ui.words import _, human, plain, said

#: What of a solve's results is of use to the pages only.
PLUMBING = ("answer.json",)
STAGES = ("check", "mesh", "solve", "report")


def page() -> None:
    run_id = st.query_params.get("run", "")
    run = session.run(run_id) if run_id else None
    if run is None:
        st.title(_("No such run"))
        st.info(_("There is no run with this address, or it is not yours."), icon=":material/search_off:")
        session.link_to("runs", _("All runs"))
        return
    _head(run)
    if run["state"] not in show.ENDED:
        _watch(run_id)
    elif run["state"] == "done" and run.get("until") == "mesh":
        mesh(run_id)
    elif run["state"] == "done":
        _answer(run)
    else:
        _no_answer(run)


def _head(run: dict[str, Any]) -> None:
    left, right = st.columns([3, 2], vertical_alignment="center")
    with left:
        st.title(plain(run["title"]), anchor=False)
        if run["state"] in show.ENDED:
            _state(run)
        else:
            _live_state(run["id"])
    with right, st.container(horizontal=True, horizontal_alignment="right"):
        if run["state"] not in show.ENDED and st.button(
            _("Cancel"), icon=":material/block:", disabled=run["state"] == "cancelling"
        ):
            session.cancel(run["id"])
            st.rerun()
        comparable = run["state"] == "done" and run.get("until") != "mesh"
        if comparable and st.button(_("Compare"), icon=":material/compare_arrows:"):
            st.session_state.pop("compare.runs", None)
            st.switch_page(session.PAGES["compare"], query_params={"runs": run["id"]})
        if st.button(_("Duplicate and edit"), icon=":material/content_copy:"):
            session.duplicate(run)
        if comparable:
            with st.popover(_("Share"), icon=":material/share:"):
                _share(run["id"])


def _share(run_id: str) -> None:
    """Links to this result, for readers without an account; each can be taken back."""
    st.markdown(_("Whoever has the link sees the verdict, the quantities, the checks and the pictures; not the case."))
    files = st.checkbox(_("Also the report, the fields and the shape in 3D"), key=f"share-files-{run_id}")
    days = st.segmented_control(
        _("Valid for"), (7, 30, 180), default=30, required=True, key=f"share-days-{run_id}",
        format_func=lambda n: _("{n} days", n=n),
    )  # fmt: skip
    if st.button(_("Make a link"), icon=":material/add_link:", key=f"share-make-{run_id}"):
        desk.share(run_id, days=float(days or 30), files=files)
    for each in desk.shares(run_id):
        st.code(desk.share_link(each["key"]), language=None, wrap_lines=True)
        told, end = st.columns([4, 2], vertical_alignment="center")
        what = _("with files") if each["files"] else _("without files")
        told.caption(plain(_("until {when}", when=show.stamp(each["expires"])) + f" · {what}"))
        end.button(
            _("Take back"), key=f"unshare-{each['id']}", icon=":material/link_off:",
            on_click=desk.revoke_share, args=(run_id, each["id"]),
        )  # fmt: skip


@session.live(2.0)
def _live_state(run_id: str) -> None:
    run = session.run(run_id)
    if run:
        _state(run)


def _state(run: dict[str, Any]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        show.state_badge(run["state"])
        solver = run.get("solver") or ""
        about = [session.solver_titles().get(solver, solver), show.ago(session.made(run))]
        took = session.took(run)
        if took is not None:
            about.append(_("took {time}", time=duration(took)))
        if run.get("until") == "mesh":
            about.append(_("mesh only"))
        st.caption(plain(" · ".join(about)))


# --- while it works -----------------------------------------------------------------------------------------------


@session.live(1.0)
def _watch(run_id: str) -> None:
    """Live view of a run; ends itself by a rerun of the page once the run has ended."""
    run = session.run(run_id)
    if run is None or run["state"] in show.ENDED:
        st.rerun(scope="app")
    stage = run.get("stage")
    columns = st.columns(len(STAGES))
    now = STAGES.index(stage) if stage in STAGES else -1
    for i, (column, name) in enumerate(zip(columns, STAGES, strict=True)):
        words = plain(show.stage_name(name))
        if i < now:
            column.markdown(f":green[:material/check_circle:] {words}")
        elif i == now:
            column.markdown(f":blue[:material/autorenew:] **{words}**")
        else:
            column.markdown(f":gray[:material/circle: {words}]")
    status = run.get("status") or {}
    step, of = int(status.get("step") or 0), int(status.get("of") or 0)
    doing = plain(status.get("doing") or show.state_name(run["state"]))
    if run["state"] == "queued" and session.orchestration_away():
        st.info(_("The part of the hub that starts runs is just coming up; this run waits for it."))
    if of:
        st.progress(min(1.0, step / of), text=_("{doing}: step {step} of {of}", doing=doing, step=step, of=of))
    else:
        st.progress(max(0, now) / len(STAGES), text=doing)
    _figures(run, status)
    if not stage:
        return
    log = session.log(run_id, stage)
    with st.expander(_("Log"), expanded=True, icon=":material/terminal:"):
        st.code("\n".join(log.splitlines()[-14:]) or _("nothing yet"), language=None, height=220)


def _figures(run: dict[str, Any], status: dict[str, Any]) -> None:
    values = dict(status.get("values") or {})
    figures: list[tuple[str, str]] = []
    elapsed = session.elapsed(run)
    if elapsed is not None:
        figures.append((_("Elapsed"), duration(elapsed)))
    estimate = run.get("estimate") or {}
    remaining = _remaining(run, status, elapsed, estimate)
    if remaining:
        figures.append((_("Remaining, about"), remaining))
    if estimate.get("unknowns"):
        figures.append((_("Unknowns"), count(estimate["unknowns"])))
    figures += [(human(name), number(float(value), 3)) for name, value in list(values.items())[:3]]
    if figures:
        for column, (name, value) in zip(st.columns(max(4, len(figures))), figures, strict=False):
            column.metric(plain(name), plain(value))
    _curves(run["id"])


#: What histories are drawn against, in this order, and what is drawn first and along powers of ten.
AGAINST, RESIDUAL = ("time", "t", "step", "iteration"), "residual"


def _curves(run_id: str) -> None:
    """Residuals and whatever else the solver records, against its time or its steps."""
    rows = session.history(run_id)
    if len(rows) < 3:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    against = next((name for name in AGAINST if name in names), None)
    residuals = [name for name in names if RESIDUAL in name]
    others = [name for name in names if name not in residuals and name != against]
    drawn = [([*residuals], True)] if residuals else []
    if others:
        chosen = st.segmented_control(
            _("To watch"), others[:8], default=others[0], format_func=lambda name: plain(human(name)),
            key=f"watch.{run_id}",
        )  # fmt: skip
        drawn += [([chosen], False)] if chosen else []
    for column, (shown, log) in zip(st.columns(max(2, len(drawn))), drawn, strict=False):
        points = [
            {"x": row[against] if against else i, "y": row[name], "name": human(name)}
            for i, row in enumerate(rows)
            for name in shown
            if name in row and (not log or row[name] > 0) and (not against or against in row)
        ]
        if points:
            with column:
                plots.draw(_plot(points, human(against) if against else "", log), ", ".join(map(human, shown)))


def _plot(points: list[dict[str, Any]], title: str, log: bool) -> dict[str, Any]:
    scale = {"type": "log"} if log else {"zero": False}
    return {
        "data": {"values": points},
        "mark": {"type": "line", "strokeWidth": 1.6},
        "height": 170,
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "title": title, "scale": {"zero": False}},
            "y": {"field": "y", "type": "quantitative", "title": None, "scale": scale},
            "color": {"field": "name", "type": "nominal", "legend": {"orient": "top", "title": None}},
            "strokeDash": {"field": "name", "type": "nominal"},
        },
    }


def _remaining(run: dict[str, Any], status: dict[str, Any], elapsed: float | None, estimate: dict[str, Any]) -> str:
    """Time left, from the steps done where they are counted, else from the estimate."""
    total = estimate.get("seconds")
    if run["state"] != "running" or elapsed is None or not total:
        return ""
    left = float(total) - elapsed
    return duration(left) if left > 0 else _("longer than estimated")


# --- when it has ended --------------------------------------------------------------------------------------------


def _no_answer(run: dict[str, Any]) -> None:
    failure = run.get("failure") or {}
    if run["state"] == "cancelled":
        st.info(_("This run was cancelled. Nothing of it runs any more."), icon=":material/block:")
    else:
        refused = run["state"] == "refused"
        box, icon = (st.warning, ":material/front_hand:") if refused else (st.error, ":material/error:")
        head = _("The case was refused") if refused else _("The run failed")
        if run.get("stage"):
            head += " " + _("while {stage}", stage=show.stage_name(run["stage"]))
        text = f"**{plain(head)}**  \n{plain(failure.get('message') or _('No cause was given.'))}"
        if failure.get("hint"):
            text += f"\n\n:material/arrow_forward: **{_('Next step')}**: {plain(failure['hint'])}"
        box(text, icon=icon)
    for stage in reversed(STAGES):
        log = session.log(run["id"], stage)
        if log:
            with st.expander(_("Log of {stage}", stage=show.stage_name(stage)), icon=":material/terminal:"):
                st.code("\n".join(log.splitlines()[-200:]), language=None, height=320)
            break


ANSWERS = {
    "yes": (st.success, ":material/check_circle:"),
    "no": (st.error, ":material/cancel:"),
    "unclear": (st.warning, ":material/help:"),
    "none": (st.info, ":material/info:"),
}


def _answer(run: dict[str, Any]) -> None:
    result = session.result(run["id"])
    files = session.files(run["id"])
    if result is None:
        st.error(_("The result of this run cannot be read."), icon=":material/error:")
        return
    verdict(result)
    moving = {name.removesuffix(".webp") for name in files if name.endswith(".webp")}
    # what moves is shown moving, and not as the strip of the report
    shown = sorted(
        name
        for name in files
        if name.startswith("pictures/")
        and (name.endswith(".webp") or (name.endswith(".png") and name.removesuffix(".png") not in moving))
    )
    left, right = st.columns([5, 6], gap="large")
    with left:
        quantities(result)
        checks(result.get("checks") or [])
        downloads(files, lambda name: session.file_url(run["id"], name))
        if left := session.away(run["id"]):
            session.live(3.0 if left["asked"] else None)(_away)(run["id"])
    with right:
        if "view3d.bin" in files:
            view3d.result(session.file_url(run["id"], "view3d.bin"), f"result.{run['id']}")
        pictures(result, shown, lambda name: session.file_url(run["id"], name))
    _details(run, result)


def verdict(result: dict[str, Any]) -> None:
    """The sentence first; and a warning where a check has failed."""
    found = result.get("verdict") or {}
    if found:
        box, icon = ANSWERS.get(found.get("answer", "none"), ANSWERS["none"])
        sentence = said(found.get("sentence")).replace("+-", "±")
        box(f"### {plain(sentence)}", icon=icon)
    if any(not check["passed"] for check in result.get("checks") or []):
        st.error(
            _("A check of this run failed: do not use its numbers before the cause is known."),
            icon=":material/report:",
        )


def quantities(result: dict[str, Any]) -> None:
    st.subheader(_("Results"), anchor=False)
    rows = []
    for name, found in (result.get("quantities") or {}).items():
        title = said(found.get("title")) or human(name)
        bare = _("without an error bar") if found.get("error") is None else ""
        value = quantity(float(found["value"]), str(found["unit"]), found.get("error"))
        rows.append((title, value, known(found), said(found.get("statement")) or bare))
    if not rows:
        st.caption(_("No quantity was asked for."))
        return
    often = [text for text, times in Counter(text for *_row, text in rows if text).items() if times > 1]
    notes = dict(zip(often, "¹²³⁴⁵⁶⁷⁸⁹", strict=False))  # what several have in common is said once, below them
    with st.container(border=True, gap="xsmall", key="quantities"):
        for title, value, why, text in rows:
            name, shown = st.columns([4, 3], vertical_alignment="center")
            name.markdown(plain(title[:1].upper() + title[1:]))
            figure = f":gray[{plain(why)}] **{plain(value)}**{notes.get(text, '')}".removeprefix(":gray[] ")
            shown.markdown(figure, text_alignment="right")
            if text and text not in notes:
                st.caption(plain(text))
        for text, mark in notes.items():
            st.caption(f"{mark} {plain(text)}")


def checks(found: list[dict[str, Any]]) -> None:
    if not found:
        return
    st.subheader(_("Checks"), anchor=False)
    for check in found:
        mark = ":green[:material/check_circle:]" if check["passed"] else ":red[:material/error:]"
        figures = f"{number(check['value'], 2)} ≤ {number(check['limit'], 2)}"
        if not check["passed"]:
            figures = f"{number(check['value'], 2)} > {number(check['limit'], 2)}"
        st.markdown(f"{mark} {plain(said(check['title']))} :gray[{plain(figures)}]")


def downloads(files: list[str], url: Callable[[str], str]) -> None:
    st.subheader(_("Take away"), anchor=False)
    names = {
        "report.pdf": (_("Report (PDF)"), ":material/picture_as_pdf:"),
        "fields.vtu": (_("Fields for ParaView"), ":material/view_in_ar:"),
        "result.json": (_("Numbers (JSON)"), ":material/data_object:"),
    }
    with st.container(horizontal=True):
        for name, (label, icon) in names.items():
            if name in files:
                st.link_button(label, url(name), icon=icon)
        for name in files:
            if name.startswith("solve/") and not name.endswith(PLUMBING) and PurePosixPath(name).name not in files:
                st.link_button(PurePosixPath(name).name, url(name), icon=":material/download:")


def _away(run_id: str) -> None:
    """Results that stayed on the cluster, and their way here."""
    left = session.away(run_id)
    if not left:
        st.rerun()  # they are here: the links to them are outside of this fragment
    size = _("{n} MB", n=number(sum(left["files"].values()) / 1e6, 3))
    text = _(
        "{n} results ({size}) stayed on {cluster}.", n=count(len(left["files"])), size=size, cluster=left["cluster"]
    )
    if left["days"] is not None:
        text += " " + _("They are removed there in {n} days.", n=number(max(0.0, left["days"]), 2))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(plain(text))
        if left["asked"]:
            st.caption(_("They are on their way."))
        elif st.button(_("Bring them"), icon=":material/download:"):
            session.bring(run_id)
            st.rerun()
    if left["trouble"]:
        st.warning(plain(left["trouble"]))


def pictures(result: dict[str, Any], names: list[str], url: Callable[[str], str]) -> None:
    if not names:
        return
    plotted = {str(c["name"]).replace("_", "-"): said(c["title"]) for c in result.get("curves") or []}
    titles = [_picture_title(name, plotted) for name in names]
    for tab, name, title in zip(st.tabs(titles), names, titles, strict=True):
        with tab:
            show.picture(url(name), title)


def _picture_title(name: str, plotted: dict[str, str]) -> str:
    """``pictures/1-von-mises.png`` as ``Von Mises``; a plot by the title that its curve has."""
    stem = name.removeprefix("pictures/").rpartition(".")[0].lstrip("0123456789-")
    curve = plotted.get(stem.removeprefix("plot-")) if stem.startswith("plot-") else None
    return plain(curve or human(stem.removeprefix("plot-").replace("-", "_")))


#: Numbers of a mesh that people look at: title and SI unit.
MESH = {
    "nodes": ("Nodes", ""),
    "tets": ("Elements", ""),
    "smallest_edge": ("Smallest edge", "m"),
    "largest_edge": ("Largest edge", "m"),
    "volume": ("Volume of the mesh", "m**3"),
    "cad_volume": ("Volume of the part", "m**3"),
}


def mesh_numbers(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What is known of a mesh, in words."""
    said = []
    for name, (title, unit) in MESH.items():
        value = found.get(name)
        if isinstance(value, (int, float)):
            said.append((human(title), si(value, unit, 4) if unit else count(value)))
    shape = found.get("shape")
    if isinstance(shape, dict) and isinstance(shape.get("min"), float):
        said.append((human("Worst shape (1 is perfect)"), number(shape["min"], 2)))
    if found.get("mesher"):
        said.append((human("Mesher"), str(found["mesher"])))
    return said


def mesh(run_id: str) -> None:
    """The mesh of a run that has made one."""
    files = session.files(run_id)
    picture = next((name for name in files if name.endswith("mesh.png")), None)
    left, right = st.columns([3, 2], gap="large")
    if picture:
        with left:
            show.picture(session.file_url(run_id, picture), _("The mesh"))
    with right, st.container(border=True, gap="xsmall"):
        for name, value in mesh_numbers((session.result(run_id) or {}).get("mesh") or {}):
            title, figure = st.columns([3, 2])
            title.markdown(f":gray[{plain(name)}]")
            figure.markdown(f"**{plain(value)}**")


def _details(run: dict[str, Any], result: dict[str, Any]) -> None:
    for note in result.get("notes") or []:
        st.info(plain(said(note)), icon=":material/info:")
    origin = result.get("provenance") or {}
    times = [(human(k.replace(": ", "_")), duration(v)) for k, v in (result.get("timings") or {}).items()]
    with st.expander(_("Mesh, times and origin"), icon=":material/fingerprint:"):
        columns = st.columns([3, 3, 5])
        parts = (
            (_("Mesh"), mesh_numbers(result.get("mesh") or {})),
            (_("Times"), times),
            (_("Origin"), [(human(k), str(v)) for k, v in _flat(origin)]),
        )
        for column, (title, rows) in zip(columns, parts, strict=True):
            with column:
                st.markdown(f"**{title}**")
                st.caption("  \n".join(f"{plain(name)}: **{plain(value)}**" for name, value in rows))


def _flat(content: dict[str, Any]) -> list[tuple[str, Any]]:
    """Names and plain values; one level of nesting is kept as ``outer inner``."""
    found: list[tuple[str, Any]] = []
    for name, value in content.items():
        if isinstance(value, dict):
            found += [(f"{name} {k}", v) for k, v in value.items() if isinstance(v, (str, int, float))]
        elif isinstance(value, (str, int, float)):
            found.append((name, value))
    return found
