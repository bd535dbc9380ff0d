"""What the pages ask the hub for, over HTTP and as the reader who is logged in; and the ways between pages."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import quote

import streamlit as st

from hub.case import Material
from hub.client import Client, ClientError
from hub.problem import Problem, Refused
from ui import show
from ui.draft import Draft
from ui.numbers import count, si, size
from ui.words import _, language, plain

#: Name of the log-in cookie, and where browsers find the API beside these pages.
COOKIE = "officina"
API, API_DOCS = "/api/v1", "/api/v1/openapi.json"
#: Longest wait for the verdict on a part [s].
PATIENCE = 180.0

#: (whose, file) of parts that are known to be checked, which they stay: nobody asks for them again.
_READY: set[tuple[str, str]] = set()
#: (who, draft) -> its version and what was typed since, of readers whose session has ended; and how many at most.
_LEFT: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
MOST_LEFT = 200
#: The pages by name, for links from one to another.
PAGES: dict[str, Any] = {}


class Unreachable(Exception):
    """The hub does not answer, or answers nothing useful; the message is for the reader."""


class LoggedOut(Unreachable):
    """The reader's key has run out, or was made void, while they were at work."""


@st.cache_resource(max_entries=500, ttl=3600, show_spinner=False)
def _connected(url: str, token: str, language: str) -> Client:
    """One connection for each reader, kept open between reruns."""
    return Client(url, token, language=language)


def client() -> Client:
    """The hub as the reader sees it, by the cookie of the browser."""
    url, token = os.environ.get("OFFICINA_URL", "http://127.0.0.1:8080"), st.context.cookies.get(COOKIE, "")
    return _connected(url, token, language())


def or_none[Answer](ask: Callable[[], Answer]) -> Answer | None:
    """An answer of the hub; None for what is not there or not for this reader. Raises Unreachable."""
    try:
        return ask()
    except ClientError as error:
        if error.status == 401 and st.session_state.get("me"):
            raise LoggedOut from None
        if error.status in (401, 403, 404, 409):
            return None
        raise _away(error) from None
    except Refused:
        return None


def told[Answer](ask: Callable[[], Answer]) -> Answer | None:
    """An answer to something the reader did; what is wrong with it is shown. Raises Unreachable."""
    try:
        return ask()
    except Refused as refused:
        for problem in refused.problems:
            show.problem(problem)
    except ClientError as error:
        if error.status in (0, 401):
            raise _away(error) from None
        st.error(plain(error), icon=":material/error:")
    return None


def live(every: float | None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A piece of a page that is drawn anew by itself every so many seconds, and says it where the hub is away."""

    def made(show_it: Callable[..., None]) -> Callable[..., None]:
        @wraps(show_it)
        def guarded(*given: Any) -> None:
            try:
                show_it(*given)
            except LoggedOut:
                st.rerun(scope="app")  # to the door
            except Unreachable as error:
                st.warning(plain(error), icon=":material/cloud_off:")

        return st.fragment(guarded, run_every=every)

    return made


def _away(error: ClientError) -> Unreachable:
    if error.status == 401:
        return LoggedOut()
    if error.status == 0:
        return Unreachable(_("The hub does not answer just now. Nothing is lost: try again in a moment."))
    return Unreachable(str(error))


# --- who is there -------------------------------------------------------------------------------------------------


def me() -> dict[str, Any] | None:
    """The reader as the hub knows them, None without a valid cookie. Asked once for each session."""
    known: dict[str, Any] | None = st.session_state.get("me")
    if known is None and st.context.cookies.get(COOKIE):
        known = or_none(client().me)
        st.session_state["me"] = known
    return known


def owner() -> str:
    """Whose answers are remembered, and in which language."""
    return f"{_who()} {language()}"


def _who() -> str:
    who = st.session_state.get("me") or me() or {}
    return json.dumps([who.get("organisation"), who.get("user")])


# --- catalogues: the same for everybody ---------------------------------------------------------------------------


# Kept as they are and not copied at each use: pages only read them.


@st.cache_resource(ttl=60, show_spinner=False)
def _solvers(_client: Client, owner: str) -> list[dict[str, Any]]:
    return _client.solvers()


@st.cache_resource(ttl=300, show_spinner=False)
def _materials(_client: Client) -> dict[str, dict[str, Any]]:
    return _client.materials()


@st.cache_resource(ttl=300, show_spinner=False)
def _templates(_client: Client, language: str) -> list[dict[str, Any]]:
    return _client.templates()


def solvers() -> list[dict[str, Any]]:
    found = or_none(lambda: _solvers(client(), owner())) or []
    if not found:
        _solvers.clear()  # a hub that is just starting has some in a moment
    return found


def solver(name: str) -> dict[str, Any]:
    """A solver's description; empty where there is none of that name."""
    return next((s for s in solvers() if s["name"] == name), {})


def solver_titles() -> dict[str, str]:
    """Name -> title in the reader's language."""
    return {s["name"]: s["title"].get(language()) or s["title"].get("en") or s["name"] for s in solvers()}


def materials() -> dict[str, dict[str, Any]]:
    return or_none(lambda: _materials(client())) or {}


def templates() -> list[dict[str, Any]]:
    return or_none(lambda: _templates(client(), language())) or []


@st.cache_data(show_spinner=False)
def material_fields() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Property of a material -> its SI unit and the units it may be typed in."""
    found = {}
    for name, part in Material.model_json_schema()["properties"].items():
        parts = [part, *part.get("anyOf", ())]
        with_unit = next((p for p in parts if "x-unit" in p), None)
        if with_unit:
            found[name] = (with_unit["x-unit"], tuple(with_unit["x-units"]))
    return found


def property_text(name: str, value: Any) -> str:
    """A property of a material as people read it."""
    unit = material_fields().get(name, ("", ()))[0]
    return si(float(value), unit, 4) if isinstance(value, (int, float)) else str(value)


# --- parts --------------------------------------------------------------------------------------------------------


def upload(name: str, content: bytes) -> dict[str, Any] | None:
    """Hand a file to the hub; what is wrong with it is shown."""
    return told(lambda: client().upload(content, name))


@st.cache_resource(max_entries=200, show_spinner=False)
def _checked(_client: Client, owner: str, file_id: str, unit: str | None) -> dict[str, Any]:
    found = _client.file(file_id, wait=PATIENCE, unit=unit)
    if found["state"] != "checked":
        raise ClientError(504, "")
    return found


def checked_file(geometry: Mapping[str, Any]) -> dict[str, Any] | None:
    """The file of a case's geometry with its verdict, read in the unit that the case says."""
    file_id, unit = geometry.get("file"), geometry.get("unit")
    if not file_id:
        return None
    try:
        return or_none(lambda: _checked(client(), owner(), file_id, unit))
    except Unreachable:
        st.warning(_("Reading this part takes very long. Try again in a moment."), icon=":material/hourglass_top:")
        return None


def verdict(draft: Draft) -> dict[str, Any] | None:
    """The verdict on a draft's part."""
    found = checked_file(draft.case.get("geometry") or {})
    if found is None:
        return None
    draft.file_name = draft.file_name or found["name"]
    return found["verdict"]  # type: ignore[no-any-return]


def match(draft: Draft) -> dict[str, list[dict[str, Any]]] | None:
    """What the faces of a draft's selections are on its part, another than they were picked on."""
    return told(
        lambda: client().match((part := draft.case["geometry"])["file"], draft.selections, unit=part.get("unit"))
    )


def faces_picture(file_id: str) -> str | None:
    """Where a browser finds the part with its faces numbered and coloured; None until the part is checked.

    To ask has it checked, for the next time.
    """
    if (owner(), file_id) not in _READY:
        if (or_none(lambda: client().file(file_id)) or {}).get("state") != "checked":
            return None
        _READY.add((owner(), file_id))
    return f"{API}/files/{quote(file_id, safe=':')}/faces.png"


def facts(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was read of a part, in words."""
    sources = {
        "file": _("{unit}, as the file says"),
        "override": _("{unit}, as you said"),
        "assumed": _("{unit}, assumed: the file does not say"),
    }
    said = []
    if found.get("size"):
        said.append((_("Size"), size(found["size"])))
    if found.get("unit"):
        said.append((_("Unit"), sources.get(str(found.get("unit_source")), "{unit}").format(unit=found["unit"])))
    bodies = found.get("bodies") or []
    if bodies:
        said.append((_("Solids"), str(len(bodies))))
        said.append((_("Volume"), si(sum(b["volume"] for b in bodies), "m**3", 4)))
    if found.get("faces"):
        said.append((_("Faces"), str(len(found["faces"]))))
    if found.get("thinnest"):
        said.append((_("Thinnest wall"), si(found["thinnest"], "m")))
    cost = (found.get("cost") or {}).get("normal")
    if cost:
        said.append((_("A normal mesh"), _("about {n} elements", n=count(cost["tets"]))))
    return said


# --- cases and runs -----------------------------------------------------------------------------------------------


def check(case: Mapping[str, Any]) -> dict[str, Any]:
    """What the hub says of a case before it runs."""
    with st.spinner(_("Checking …")):
        try:
            return client().check(case)
        except Refused as refused:
            return {"problems": [p.model_dump() for p in refused.problems]}
        except ClientError as error:
            if error.status == 0:
                raise _away(error) from None
            return {"problems": [Problem(where="the hub", found=str(error), expected="an answer").model_dump()]}


def submit(case: Mapping[str, Any], until: str = "report") -> dict[str, Any] | None:
    return told(lambda: client().submit(case, until=until))


def runs(*, state: str | None = None, limit: int = 25, before: str | None = None) -> list[dict[str, Any]]:
    return or_none(lambda: client().runs(state=state, limit=limit, before=before)) or []


def run(run_id: str) -> dict[str, Any] | None:
    return or_none(lambda: client().run(run_id))


def log(run_id: str, stage: str | None = None) -> str:
    return or_none(lambda: client().log(run_id, stage)) or ""


def history(run_id: str) -> list[dict[str, float]]:
    """Figures of the solve over time."""
    return or_none(lambda: client().history(run_id)) or []


def cancel(run_id: str) -> None:
    told(lambda: client().cancel(run_id))


def away(run_id: str) -> dict[str, Any] | None:
    """What of a run's results stayed on a cluster."""
    return or_none(lambda: client().away(run_id))


def bring(run_id: str) -> None:
    told(lambda: client().bring(run_id))


@st.cache_resource(max_entries=200, show_spinner=False)
def _result(_client: Client, owner: str, run_id: str) -> dict[str, Any]:
    return _client.result(run_id)


def result(run_id: str) -> dict[str, Any] | None:
    """The answer of a run; one that there is stays what it is, and is asked for once."""
    return or_none(lambda: _result(client(), owner(), run_id))


def files(run_id: str) -> list[str]:
    return or_none(lambda: client().files(run_id)) or []


def file_url(run_id: str, name: str) -> str:
    """Where the browser itself fetches a file, so that large ones do not pass through this process."""
    return f"{API}/runs/{run_id}/files/{name}"


def orchestration_away() -> bool:
    """Nothing starts runs just now: they wait."""
    return (or_none(client().health) or {}).get("orchestration") == "away"


def took(found: Mapping[str, Any]) -> float | None:
    """How long a run took, from its start or else its submission [s]."""
    times = found.get("times") or {}
    begun, ended = times.get("started") or times.get("created"), times.get("ended")
    return max(0.0, ended - begun) if begun and ended else None


def elapsed(found: Mapping[str, Any]) -> float | None:
    """How long a run has been working [s]."""
    begun = (found.get("times") or {}).get("started")
    return max(0.0, time.time() - begun) if begun else None


def made(found: Mapping[str, Any]) -> float | None:
    return (found.get("times") or {}).get("created")


# --- studies and clusters -----------------------------------------------------------------------------------------


def case_of(run_id: str) -> dict[str, Any] | None:
    """The case of a run as typed."""
    return or_none(lambda: client().case(run_id))


def studies() -> list[dict[str, Any]]:
    return or_none(client().studies) or []


def study(study_id: str) -> dict[str, Any] | None:
    return or_none(lambda: client().study(study_id))


def submit_study(study: Mapping[str, Any], case: Mapping[str, Any]) -> dict[str, Any] | None:
    with st.spinner(_("Checking …")):
        return told(lambda: client().submit_study(study, case))


def study_result(study_id: str) -> dict[str, Any] | None:
    return or_none(lambda: client().study_result(study_id))


def study_files(study_id: str) -> list[str]:
    return or_none(lambda: client().study_files(study_id)) or []


def study_file_url(study_id: str, name: str) -> str:
    return f"{API}/studies/{study_id}/files/{name}"


def cancel_study(study_id: str) -> None:
    told(lambda: client().cancel_study(study_id))


def retry_study(study_id: str) -> None:
    told(lambda: client().retry_study(study_id))


def may(right: str) -> bool:
    """Whether the reader's role allows something, in the words of `/me`."""
    return right in (me() or {}).get("rights", ())


def clusters() -> dict[str, Any]:
    return or_none(client().clusters) or {"clusters": [], "problems": []}


def check_cluster(name: str) -> list[dict[str, Any]] | None:
    return told(lambda: client().check_cluster(name))


def begin_login(name: str) -> None:
    told(lambda: client().begin_login(name))


def login_questions(name: str) -> dict[str, Any] | None:
    return or_none(lambda: client().login_questions(name))


def answer_login(name: str, answers: list[str]) -> None:
    told(lambda: client().answer_login(name, answers))


# --- drafts and ways between pages --------------------------------------------------------------------------------


def leave() -> None:
    """The reader's session has ended: what they typed and the hub has not taken waits for their return."""
    for each in st.session_state.values():
        if isinstance(each, Draft) and each.frozen() != each.kept:
            while len(_LEFT) >= MOST_LEFT:
                _LEFT.pop(next(iter(_LEFT)))
            _LEFT[_who(), each.id] = each.version, each.to_keep()


def draft() -> Draft | None:
    """The draft that the page's address names, if it is one of the reader's organisation."""
    draft_id = st.query_params.get("draft", "")
    if not draft_id:
        return None
    key = f"draft.{draft_id}"
    if key not in st.session_state:
        found = or_none(lambda: client().draft(draft_id))
        if found is None:
            return None
        kept = Draft.of(found)
        version, document = _LEFT.pop((_who(), draft_id), (0, {}))
        if version == kept.version:  # nobody has changed it since
            mine = Draft.of({**found, "document": document})
            mine.kept, kept = kept.kept, mine
        st.session_state[key] = kept
    return st.session_state[key]  # type: ignore[no-any-return]


def new_draft(case: Mapping[str, Any], file_name: str = "") -> Draft | None:
    """A draft of a case, its report in the reader's language; None where the reader may make none, which is said."""
    spoken = {"language": language()} if language() != "en" else {}
    made = told(lambda: client().new_draft({"case": {**spoken, **case}, "file_name": file_name}))
    if made is None:
        return None
    kept = Draft.of(made)
    st.session_state[f"draft.{kept.id}"] = kept
    return kept


def keep(of: Draft) -> None:
    """Have the hub keep a draft if it has changed; whoever is second to change one is told."""
    now = of.frozen()
    if now == of.kept:
        return
    try:
        of.version = client().keep_draft(of.id, of.to_keep(), of.version)["version"]
        of.kept = now
    except ClientError as error:
        if error.status != 409:
            raise _away(error) from None
        _changed_meanwhile(of, str(error))
    except Refused as refused:
        for problem in refused.problems:
            show.problem(problem)


def _changed_meanwhile(of: Draft, said: str) -> None:
    st.warning(
        _("Somebody else has changed this case since you opened it. What you typed is still here, but not kept."),
        icon=":material/group:",
    )
    st.caption(plain(said))
    with st.container(horizontal=True):
        if st.button(_("Take the other version"), icon=":material/download:"):
            for name in [str(name) for name in st.session_state if of.id in str(name)]:
                del st.session_state[name]  # what was typed in its fields, too
            st.rerun()
        if st.button(_("Keep mine instead"), icon=":material/upload:"):
            kept = told(lambda: client().keep_draft(of.id, of.to_keep()))
            if kept is not None:
                of.version, of.kept = kept["version"], of.frozen()
                st.rerun()


def open_draft(case: Mapping[str, Any], file_name: str = "", step: int = 1) -> None:
    """Go to the wizard with a case; faces it selects are looked up first."""
    made_now = new_draft(case, file_name)
    if made_now is None:
        return
    if made_now.selections:
        found = verdict(made_now)
        if found:
            made_now.find_again(found.get("faces") or [])
        made_now.faces = {**(check(made_now.document()).get("faces") or {}), **made_now.faces}
        keep(made_now)
    st.switch_page(PAGES["case"], query_params={"draft": made_now.id, "step": str(step)})


def open_template(name: str) -> None:
    template = next((t for t in templates() if t["name"] == name), None)
    if template and template["asks"]:
        st.switch_page(PAGES["question"], query_params={"template": name})
    elif template:
        open_draft({**template["case"], "title": template["title"]}, template["geometry_name"])


def duplicate(found: Mapping[str, Any]) -> None:
    """Go to the wizard with the case of a run, as it was typed."""
    case = or_none(lambda: client().case(found["id"]))
    if case is None:
        st.error(_("The case of this run is not for you to see."), icon=":material/lock:")
        return
    open_draft(case, found.get("geometry_name") or "", step=2)


def open_run(run_id: str) -> None:
    st.switch_page(PAGES["run"], query_params={"run": run_id})


def link_to_run(run_id: str, label: str) -> None:
    """A link with a label that is escaped already."""
    st.page_link(PAGES["run"], label=label, query_params={"run": run_id})


def link_to(page: str, label: str, icon: str | None = None) -> None:
    st.page_link(PAGES[page], label=label, icon=icon)
