"""The catalogue of solvers: what each computes, by which equation, how it was verified and for what it is valid."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui import desk, session, show
from ui.forms import Field, fields, in_words
from ui.numbers import number, si, unit_name
from ui.words import _, human, plain, said

STANDING: dict[str, tuple[show.Colour, str]] = {
    "published": ("green", ":material/verified:"),
    "proposed": ("orange", ":material/pending:"),
    "private": ("gray", ":material/lock:"),
}


def page() -> None:
    st.title(_("Solvers"))
    st.caption(_("Every kind of simulation here says what it solves, where that is from and how it was verified."))
    found = session.solvers()
    spoken = desk.publications()
    if len(found) > 1:
        with st.expander(_("All solvers beside each other"), icon=":material/table_rows:"):
            _beside(found, spoken)
    for solver in found:
        with st.container(border=True, key=f"solver-{solver['name'].replace('.', '-')}"):
            _passport(solver, spoken.get(solver["name"]) or {})


def _standing_name(state: str) -> str:
    names = {"published": _("published"), "proposed": _("waits for staff"), "private": _("not published")}
    return names.get(state, state)


def _beside(found: list[dict[str, Any]], spoken: dict[str, dict[str, Any]]) -> None:
    """One row a solver: what its latest proof has found."""
    rows = []
    for solver in found:
        proof: dict[str, Any] = next(iter(desk.proofs(solver["name"])), {})
        measured = [f["measured"] for f in proof.get("findings") or [] if f.get("measured")]
        passed = sum(f["passed"] for f in proof.get("findings") or [])
        worst = max((m["off"] / m["tolerance"] for m in measured), default=None)
        row = {
            _("Solver"): said(solver["title"]),
            _("Version"): solver["version"],
            _("Standing"): _standing_name((spoken.get(solver["name"]) or {}).get("state", "published")),
            _("Benchmarks"): len(solver.get("benchmarks") or ()),
            _("Measured values"): len(measured) if proof else "–",
            _("Passed"): f"{passed}/{len(proof['findings'])}" if proof else "–",
            _("Largest error, of what is allowed"): f"{number(100 * worst, 2)} %" if worst is not None else "–",
            _("Proven"): show.ago(proof["created"]) if proof else _("not yet"),
        }
        rows.append(row)
    show.table(rows, _("All solvers beside each other"))


def _passport(solver: dict[str, Any], spoken: dict[str, Any]) -> None:
    left, right = st.columns([5, 2], vertical_alignment="center")
    left.subheader(plain(said(solver["title"])), anchor=False)
    with right, st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        st.caption(f"{plain(solver['name'])} · {plain(solver['version'])}", width="content")
        state = spoken.get("state", "published")
        colour, icon = STANDING[state]
        st.badge(_standing_name(state), icon=icon, color=colour)
    if solver.get("summary"):
        st.markdown(plain(said(solver["summary"])))
    if solver.get("equation"):
        st.caption(_("It solves"))
        st.code(solver["equation"], language=None, wrap_lines=True)
    proofs = desk.proofs(solver["name"])
    verified, valid = st.columns(2)
    with verified:
        st.markdown(f"**{_('Verified by')}**")
        _known(solver)
    with valid:
        st.markdown(f"**{_('Validated for')}**")
        st.markdown("\n".join(f"- {plain(v)}" for v in solver.get("validated", ())) or _("not said"))
    _values(solver)
    _proof(solver["name"], proofs)
    with st.expander(_("What can be set")):
        for kind, schema in solver.get("conditions", {}).items():
            st.markdown(f"**{plain(human(kind))}** {plain(in_words(schema.get('description')))}")
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
    if session.may(desk.PROVE):
        _work(solver["name"], spoken, proofs)


def _known(solver: dict[str, Any]) -> None:
    """Each case with a known answer: how far from it the solver was here, at its worst, and what is allowed."""
    found = desk.known_cases(solver["name"])
    if not found:
        st.caption(_("No benchmark yet: take its answers as a first idea."))
        return
    lines = []
    for case in found:
        allowed = max(answer["tolerance"] for answer in case["answers"])
        measured = [answer for answer in case["answers"] if answer["off"] is not None]
        if measured:
            worst = max(measured, key=lambda answer: answer["off"] / answer["tolerance"])
            text = _(
                "at most {off} off, {allowed} allowed", off=_share(worst["off"]), allowed=_share(worst["tolerance"])
            )
        else:
            text = _("not computed here yet; {allowed} allowed", allowed=_share(allowed))
        lines.append(f"- {plain(case['title'])} :gray[{plain(text)}]")
    st.markdown("\n".join(lines))
    orders = [f"{b['case']}: {k} {v:g}" for b in solver.get("benchmarks", ()) for k, v in b.get("order", {}).items()]
    if orders:
        st.caption(plain(_("order of convergence: {orders}", orders=", ".join(orders))))


def _values(solver: dict[str, Any]) -> None:
    """Every reference value with its source, and what the solver has made of it here."""
    rows = [
        {
            _("Case"): case["title"],
            _("Quantity"): human(answer["quantity"]),
            _("Reference"): si(answer["reference"], answer["unit"], 5),
            _("Here"): si(answer["value"], answer["unit"], 5) if answer["value"] is not None else "–",
            _("Off by"): _share(answer["off"]) if answer["off"] is not None else "–",
            _("Allowed"): _share(answer["tolerance"]),
            _("Source"): answer["source"],
        }
        for case in desk.known_cases(solver["name"])
        for answer in case["answers"]
    ]
    if rows:
        title = plain(_("Known values, {n}, and where they are from", n=len(rows)))
        with st.expander(title, icon=":material/table_rows:"):
            show.table(rows, title)


def _share(part: float) -> str:
    return f"{number(100 * part, 2)}\u00a0%"


def _proof(name: str, proofs: list[dict[str, Any]]) -> None:
    """What the latest suite found; followed while it runs."""
    if not proofs:
        st.caption(_("The suite of this solver has not been run on this hub yet."))
        return
    if proofs[0]["state"] == "running":
        _watch(name)
        return
    proof = proofs[0]
    words = {"passed": _("passed"), "failed": _("failed"), "stopped": _("was stopped")}
    icon = ":material/verified:" if proof["state"] == "passed" else ":material/error:"
    head = _("Suite of version {version}: {state}, {when}", version=proof["version"], state=words[proof["state"]],
             when=show.ago(proof["created"]))  # fmt: skip
    with st.expander(plain(head), icon=icon):
        if proof["why"]:
            st.error(plain(proof["why"]), icon=":material/error:")
        for finding in proof["findings"]:
            mark = ":green[:material/check_circle:]" if finding["passed"] else ":red[:material/error:]"
            st.markdown(f"{mark} {plain(finding['what'])}")


@session.live(2.0)
def _watch(name: str) -> None:
    proof: dict[str, Any] = next(iter(desk.proofs(name)), {})
    if proof.get("state") != "running":
        desk.look_again()
        st.rerun(scope="app")
    done = len(proof["findings"])
    st.info(plain(_("The suite is running: {n} things looked at.", n=done)), icon=":material/autorenew:")
    if proof["doing"]:
        st.caption(plain(proof["doing"]))


def _work(name: str, spoken: dict[str, Any], proofs: list[dict[str, Any]]) -> None:
    """What academics and staff can do: prove, propose, publish."""
    with st.container(horizontal=True, vertical_alignment="center"):
        running = bool(proofs) and proofs[0]["state"] == "running"
        st.button(
            _("Run its suite"), key=f"prove-{name}", icon=":material/fact_check:", disabled=running,
            on_click=desk.prove, args=(name,),
        )  # fmt: skip
        st.button(
            _("Run all its cases"), key=f"prove-all-{name}", icon=":material/checklist:", disabled=running,
            on_click=desk.prove, args=(name,), kwargs={"every": True}, type="tertiary",
            help=_("The cases with known values that the suite leaves out, too: some take hours."),
        )  # fmt: skip
        state = spoken.get("state", "published")
        if spoken.get("mine") and state == "private":
            st.button(
                _("Propose it for publication"), key=f"propose-{name}", icon=":material/send:",
                on_click=desk.propose, args=(name,),
            )  # fmt: skip
        if desk.sees_board():
            to, label = ("private", _("Take it back")) if state == "published" else ("published", _("Publish it"))
            st.button(
                label, key=f"publish-{name}", icon=":material/publish:", type="tertiary",
                on_click=desk.publish, args=(name, to),
            )  # fmt: skip
            houses = (
                {each["id"]: show.house(each["name"]) for each in desk.organisations()} if state != "published" else {}
            )
            if houses:
                owner = spoken.get("organisation")
                chosen = st.selectbox(
                    _("Solver of"), list(houses), index=list(houses).index(owner) if owner in houses else None,
                    format_func=lambda i: plain(houses[i]), key=f"owner-{name}", placeholder=_("an organisation"),
                )  # fmt: skip
                if chosen and chosen != owner:
                    desk.publish(name, state, chosen)
                    st.rerun()


def _fields(found: list[Field]) -> None:
    for field in found:
        units = ", ".join(unit_name(u) for u in field.units[:6] if u)
        text = f"- *{field.label}*"
        text += f" [{plain(units)}]" if units else ""
        text += f": {field.help}" if field.help else ""
        st.markdown(text)
