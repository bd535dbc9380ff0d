"""The wizard: part, held and loaded, material, check and run. The draft's id and the step are in the address."""

from __future__ import annotations

import streamlit as st

from ui import session
from ui.draft import Draft
from ui.pages import held, material, part, submit
from ui.words import _, plain


def page() -> None:
    draft = session.draft()
    if draft is None:
        if "draft" in st.query_params:
            st.title(_("This case is not here any more"))
            st.info(_("It was thrown away, or it is not yours."), icon=":material/info:")
            session.link_to("start", _("Begin again"))
            return
        draft = session.new_draft({})
        if draft is None:
            return
        st.query_params["draft"] = draft.id
    steps = (
        (_("Part"), part),
        (_("Held and loaded"), held),
        (_("Material"), material),
        (_("Check and run"), submit),
    )
    typed = st.query_params.get("step", "1")
    step = int(typed) if typed in ("1", "2", "3", "4") else 1
    ready = [part.ready(draft), held.ready(draft), material.ready(draft), False]
    if step > 1 and not ready[0]:
        step = 1
    _bar([name for name, _module in steps], step, ready)
    module = steps[step - 1][1]
    module.step(draft)
    _buttons(draft, step, len(steps))
    session.keep(draft)


def _bar(names: list[str], step: int, ready: list[bool]) -> None:
    """The four steps; each can be gone to once there is a part."""
    for i, (column, name) in enumerate(zip(st.columns(len(names)), names, strict=True), 1):
        column.button(
            f"{i} · {name}",
            key=f"step-{i}",
            type="primary" if i == step else "secondary",
            icon=":material/check:" if ready[i - 1] and i != step else None,
            width="stretch",
            disabled=i > 1 and not ready[0],
            on_click=go_to,
            args=(i,),
        )


def _buttons(draft: Draft, step: int, last: int) -> None:
    st.space("small")
    back, middle, on = st.columns([1, 4, 1], vertical_alignment="center")
    if step > 1:
        back.button(_("Back"), icon=":material/arrow_back:", width="stretch", on_click=go_to, args=(step - 1,))
    if draft.file_name:
        middle.caption(plain(_("{file}, kept as you go", file=draft.file_name)), text_alignment="center")
    if step < last:
        on.button(
            _("Next"),
            key="next",
            icon=":material/arrow_forward:",
            icon_position="right",
            type="primary",
            width="stretch",
            disabled=step == 1 and not part.ready(draft),
            on_click=go_to,
            args=(step + 1,),
        )


def go_to(step: int) -> None:
    """Another step, kept in the address."""
    st.query_params["step"] = str(step)
