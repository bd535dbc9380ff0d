"""A small client of the REST API, for programs, the command line and the pages.

>>> hub = Client.here()
>>> file = hub.upload("bracket.step")
>>> run = hub.submit({..., "geometry": {"file": file["id"]}})
>>> hub.wait(run["id"]); hub.result(run["id"])["verdict"]
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from hub import settings
from hub.problem import Problem, Refused, excerpt

API = "/api/v1"
ENDED = frozenset({"done", "failed", "refused", "cancelled"})
#: A check of a large part may take minutes; to be connected may not [s].
_TIMEOUT = httpx.Timeout(300.0, connect=5.0)
_PIECE = 1 << 20


class ClientError(Exception):
    """The hub could not be reached, or would not answer: status (0: not reached) and what it said."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Client:
    """One hub, seen by one user, who is spoken to in a `language`. Answers are plain data as ``openapi.json`` describes
    them.

    Raises Refused where the hub names problems of the input (status 422, 413), ClientError for everything else.
    """

    def __init__(
        self, url: str, token: str, *, language: str = "en", transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url + API,
            # what cannot be a token is not sent: the hub then says that there is none
            headers={"Accept-Language": language}
            | ({"Authorization": f"Bearer {token}"} if re.fullmatch(r"[\w.~+/=-]+", token, re.ASCII) else {}),
            timeout=_TIMEOUT,
            transport=transport,
            trust_env=False,  # a proxy for the outside has no business between us and our hub
        )

    @classmethod
    def here(cls) -> Self:
        """The hub of ``OFFICINA_URL`` and ``OFFICINA_TOKEN``, or the one of this machine. Raises ClientError."""
        found = settings.load()
        token = os.environ.get("OFFICINA_TOKEN", "")
        if not token:
            try:
                token = found.token_file.read_text().strip()
            except OSError:
                raise ClientError(
                    0,
                    f"There is no token in {found.token_file}. "
                    "Start the hub with `officina up`, or set OFFICINA_URL and OFFICINA_TOKEN.",
                ) from None
        running = found.url_file.read_text() if found.url_file.exists() else found.url
        return cls(os.environ.get("OFFICINA_URL") or running, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # --- who and what there is ---

    def health(self) -> dict[str, Any]:
        return self._json("GET", "/health")  # type: ignore[no-any-return]

    def me(self) -> dict[str, Any]:
        return self._json("GET", "/me")  # type: ignore[no-any-return]

    def solvers(self) -> list[dict[str, Any]]:
        return self._json("GET", "/solvers")  # type: ignore[no-any-return]

    def solver(self, name: str) -> dict[str, Any]:
        return self._json("GET", f"/solvers/{_part(name)}")  # type: ignore[no-any-return]

    def materials(self) -> dict[str, dict[str, Any]]:
        return self._json("GET", "/materials")  # type: ignore[no-any-return]

    def templates(self) -> list[dict[str, Any]]:
        return self._json("GET", "/templates")  # type: ignore[no-any-return]

    def schema(self) -> dict[str, Any]:
        return self._json("GET", "/schema")  # type: ignore[no-any-return]

    # --- files ---

    def upload(self, source: str | Path | bytes, name: str | None = None) -> dict[str, Any]:
        """Upload a file by its path, or content under a `name`: {id, name, bytes, state}. Raises OSError."""
        if isinstance(source, bytes):
            return self._json("POST", "/files", params={"name": name or "part"}, content=source)  # type: ignore[no-any-return]
        file = Path(source)
        with file.open("rb") as stream:
            headers = {"content-length": str(os.fstat(stream.fileno()).st_size)}
            params = {"name": name or file.name}
            content = iter(lambda: stream.read(_PIECE), b"")
            return self._json("POST", "/files", params=params, content=content, headers=headers)  # type: ignore[no-any-return]

    def file(self, file_id: str, *, wait: float = 0, unit: str | None = None) -> dict[str, Any]:
        """A file and, once it is checked or `wait` seconds have passed, the verdict on it."""
        end = time.monotonic() + wait
        while True:
            left = max(0.0, min(20.0, end - time.monotonic()))
            params = {"wait": left} | ({"unit": unit} if unit else {})
            found: dict[str, Any] = self._json("GET", f"/files/{_part(file_id)}", params=params)
            if found["state"] == "checked" or time.monotonic() >= end:
                return found

    def faces_png(self, file_id: str, *, unit: str | None = None) -> bytes:
        """The part with numbered, coloured faces."""
        return self._bytes(f"/files/{_part(file_id)}/faces.png", {"unit": unit} if unit else {})

    def surface(self, file_id: str, *, unit: str | None = None) -> bytes:
        """``surface.npz``: display triangles and the face each belongs to."""
        return self._bytes(f"/files/{_part(file_id)}/surface", {"unit": unit} if unit else {})

    def match(self, file_id: str, selections: Mapping[str, Any], *, unit: str | None = None) -> dict[str, Any]:
        """What the faces of selections, as a case has them, have become in this file: name -> matches."""
        query = {"unit": unit} if unit else {}
        return self._json(  # type: ignore[no-any-return]
            "POST", f"/files/{_part(file_id)}/match", params=query, json={"selections": dict(selections)}
        )

    # --- cases and runs ---

    def check(self, case: Mapping[str, Any] | str) -> dict[str, Any]:
        """Everything that can be said about a case (plain data, or the text of a case.yaml) before it runs."""
        return self._json("POST", "/cases/check", content=_body({"case": case}))  # type: ignore[no-any-return]

    def drafts(self) -> list[dict[str, Any]]:
        """Cases in the making, the one changed last first."""
        return self._json("GET", "/drafts")  # type: ignore[no-any-return]

    def draft(self, draft_id: str) -> dict[str, Any]:
        """A case in the making. Raises ClientError with status 404."""
        return self._json("GET", f"/drafts/{_part(draft_id)}")  # type: ignore[no-any-return]

    def new_draft(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a draft."""
        return self._json("POST", "/drafts", json={"document": dict(document)})  # type: ignore[no-any-return]

    def keep_draft(self, draft_id: str, document: Mapping[str, Any], version: int | None = None) -> dict[str, Any]:
        """Keep a draft made from `version`. Raises ClientError with status 409 if somebody changed it meanwhile."""
        body = {"document": dict(document), **({"version": version} if version is not None else {})}
        return self._json("PUT", f"/drafts/{_part(draft_id)}", json=body)  # type: ignore[no-any-return]

    def drop_draft(self, draft_id: str) -> None:
        """Throw a draft away."""
        self._request("DELETE", f"/drafts/{_part(draft_id)}")

    def submit(self, case: Mapping[str, Any] | str, *, until: str = "report", again: bool = False) -> dict[str, Any]:
        """The run of a case: a new one, or the one that answers the same case already. Raises Refused."""
        return self._json("POST", "/runs", content=_body({"case": case, "until": until, "again": again}))  # type: ignore[no-any-return]

    def runs(self, *, state: str | None = None, limit: int = 50, before: str | None = None) -> list[dict[str, Any]]:
        """Runs, newest first. state : a state, ``active`` or ``ended``; before : only older than this id."""
        given = {"state": state, "limit": limit, "before": before}
        return self._json("GET", "/runs", params={k: v for k, v in given.items() if v is not None})  # type: ignore[no-any-return]

    def run(self, run_id: str) -> dict[str, Any]:
        return self._json("GET", f"/runs/{_part(run_id)}")  # type: ignore[no-any-return]

    def case(self, run_id: str) -> dict[str, Any]:
        """The case of a run as typed."""
        return self._json("GET", f"/runs/{_part(run_id)}/case")  # type: ignore[no-any-return]

    def wait(self, run_id: str, *, seconds: float | None = None, every: float = 1.0) -> dict[str, Any]:
        """The run once it has ended. Raises TimeoutError after `seconds`."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            run = self.run(run_id)
            if run["state"] in ENDED:
                return run
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"Run {run_id} is still {run['state']} after {seconds:g} s.")
            time.sleep(every)

    def log(self, run_id: str, stage: str | None = None) -> str:
        """The end of the log of a stage, of the latest one if none is named."""
        return self._bytes(f"/runs/{_part(run_id)}/log", {"stage": stage} if stage else {}).decode("utf-8", "replace")

    def history(self, run_id: str, stage: str | None = None) -> list[dict[str, float]]:
        """Figures to watch over time, of the solve stage if none is named."""
        given = {"stage": stage} if stage else {}
        return self._json("GET", f"/runs/{_part(run_id)}/history", params=given)  # type: ignore[no-any-return]

    def cancel(self, run_id: str) -> dict[str, Any]:
        """Ask for the end of a run."""
        return self._json("POST", f"/runs/{_part(run_id)}/cancel")  # type: ignore[no-any-return]

    def result(self, run_id: str) -> dict[str, Any]:
        """``result.json``. Raises ClientError with status 409 while there is none."""
        return self._json("GET", f"/runs/{_part(run_id)}/result")  # type: ignore[no-any-return]

    def files(self, run_id: str) -> list[str]:
        """Names of what can be downloaded."""
        return self._json("GET", f"/runs/{_part(run_id)}/files")  # type: ignore[no-any-return]

    def download(self, run_id: str, name: str) -> bytes:
        """The content of one of these files."""
        return self._bytes(f"/runs/{_part(run_id)}/files/{quote(name)}", {})

    def away(self, run_id: str) -> dict[str, Any] | None:
        """What stayed on the cluster: {cluster, files: {path: bytes}, days, asked, trouble}; None if nothing."""
        return self._json("GET", f"/runs/{_part(run_id)}/away")  # type: ignore[no-any-return]

    def bring(self, run_id: str) -> dict[str, Any] | None:
        """Have the hub bring them; they are among the files when :meth:`away` gives None."""
        return self._json("POST", f"/runs/{_part(run_id)}/bring")  # type: ignore[no-any-return]

    def fetch(self, run_id: str, folder: str | Path, *, everything: bool = False) -> list[Path]:
        """Bring the results of a run into a folder: those at its root, or everything its solve made. Raises OSError."""
        root, brought = Path(folder), []
        names = self.files(run_id)
        for name in names:
            parts = PurePosixPath(name).parts
            if everything and parts[0] == "solve" and parts[2:3] == ("out",) and "/".join(parts[3:]) not in names:
                parts = ("solve", *parts[3:])
            if len(parts) > 2 or ".." in parts or name.startswith("/"):
                continue
            target = root.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            try:
                with self._spoken(), self._http.stream("GET", f"/runs/{_part(run_id)}/files/{quote(name)}") as response:
                    if response.is_error:
                        response.read()
                        raise _failed(response)
                    with part.open("wb") as stream:
                        for piece in response.iter_bytes(_PIECE):
                            stream.write(piece)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
            brought.append(target)
        return brought

    # --- studies ---

    def submit_study(self, study: Mapping[str, Any], case: Mapping[str, Any], *, again: bool = False) -> dict[str, Any]:
        """The study of a case: `study` says what changes in it. Raises Refused."""
        body = _body({"study": study, "case": case, "again": again})
        return self._json("POST", "/studies", content=body)  # type: ignore[no-any-return]

    def studies(self, *, limit: int = 50, before: str | None = None) -> list[dict[str, Any]]:
        """Studies, newest first."""
        given = {"limit": limit, "before": before}
        return self._json("GET", "/studies", params={k: v for k, v in given.items() if v is not None})  # type: ignore[no-any-return]

    def study(self, study_id: str) -> dict[str, Any]:
        return self._json("GET", f"/studies/{_part(study_id)}")  # type: ignore[no-any-return]

    def study_result(self, study_id: str) -> dict[str, Any]:
        """The table of a study. Raises ClientError with status 409 while there is none."""
        return self._json("GET", f"/studies/{_part(study_id)}/result")  # type: ignore[no-any-return]

    def study_files(self, study_id: str) -> list[str]:
        return self._json("GET", f"/studies/{_part(study_id)}/files")  # type: ignore[no-any-return]

    def study_file(self, study_id: str, name: str) -> bytes:
        return self._bytes(f"/studies/{_part(study_id)}/files/{quote(name)}", {})

    def cancel_study(self, study_id: str) -> dict[str, Any]:
        """Ask for the end of a study."""
        return self._json("POST", f"/studies/{_part(study_id)}/cancel")  # type: ignore[no-any-return]

    def retry_study(self, study_id: str) -> dict[str, Any]:
        """Run its failed points again."""
        return self._json("POST", f"/studies/{_part(study_id)}/retry")  # type: ignore[no-any-return]

    # --- clusters ---

    def clusters(self) -> dict[str, Any]:
        """{clusters, problems}"""
        return self._json("GET", "/clusters")  # type: ignore[no-any-return]

    def describe_cluster(self, name: str, description: Mapping[str, Any]) -> dict[str, Any]:
        """Describe a cluster, or describe it anew. Raises Refused."""
        return self._json("PUT", f"/clusters/{_part(name)}", content=_body(description))  # type: ignore[no-any-return]

    def forget_cluster(self, name: str) -> None:
        self._request("DELETE", f"/clusters/{_part(name)}")

    def check_cluster(self, name: str) -> list[dict[str, Any]]:
        """Prove a cluster; takes up to minutes."""
        return self._json("POST", f"/clusters/{_part(name)}/check")  # type: ignore[no-any-return]

    def begin_login(self, name: str) -> None:
        self._request("POST", f"/clusters/{_part(name)}/login")

    def login_questions(self, name: str) -> dict[str, Any]:
        """{title, instructions, questions, outcome}"""
        return self._json("GET", f"/clusters/{_part(name)}/login")  # type: ignore[no-any-return]

    def answer_login(self, name: str, answers: list[str]) -> None:
        self._request("PUT", f"/clusters/{_part(name)}/login", content=json.dumps(answers).encode())

    def places(self, case: Mapping[str, Any] | str) -> list[dict[str, Any]]:
        """What a case would take at every place. Raises Refused."""
        return self._json("POST", "/places", content=_body({"case": case}))  # type: ignore[no-any-return]

    def estimates(self, limit: int = 100) -> list[dict[str, Any]]:
        """What ended runs were to take, and what they took."""
        return self._json("GET", "/estimates", params={"limit": limit})  # type: ignore[no-any-return]

    # --- people ---

    def log_out(self) -> None:
        self._request("POST", "/logout")

    def wishes(self) -> dict[str, Any]:
        """What one is told by when a run has ended."""
        return self._json("GET", "/wishes")  # type: ignore[no-any-return]

    def want(self, *, mail: str = "", webhook: str = "", language: str = "en") -> dict[str, Any]:
        """Be told by mail, by a webhook, or by neither. Raises Refused."""
        return self._json("PUT", "/wishes", json={"mail": mail, "webhook": webhook, "language": language})  # type: ignore[no-any-return]

    def tokens(self) -> list[dict[str, Any]]:
        return self._json("GET", "/tokens")  # type: ignore[no-any-return]

    def new_token(self, name: str, days: float | None = 365.0) -> dict[str, Any]:
        """A key for a program; `token` is shown this once."""
        return self._json("POST", "/tokens", json={"name": name, "days": days})  # type: ignore[no-any-return]

    def revoke_token(self, token_id: str) -> None:
        self._request("DELETE", f"/tokens/{_part(token_id)}")

    def members(self) -> list[dict[str, Any]]:
        return self._json("GET", "/members")  # type: ignore[no-any-return]

    def add_member(self, name: str, role: str) -> dict[str, Any]:
        """{id, name, role, login}: `login` is a path that logs the person in, once."""
        return self._json("POST", "/members", json={"name": name, "role": role})  # type: ignore[no-any-return]

    def remove_member(self, user_id: str) -> None:
        self._request("DELETE", f"/members/{_part(user_id)}")

    # --- links to results ---

    def share(self, run_id: str, *, days: float = 14.0, files: bool = False) -> dict[str, Any]:
        """A link to a result: `key` is what it carries."""
        return self._json("POST", f"/runs/{_part(run_id)}/shares", json={"days": days, "files": files})  # type: ignore[no-any-return]

    def shares(self, run_id: str) -> list[dict[str, Any]]:
        return self._json("GET", f"/runs/{_part(run_id)}/shares")  # type: ignore[no-any-return]

    def revoke_share(self, run_id: str, share_id: str) -> None:
        self._request("DELETE", f"/runs/{_part(run_id)}/shares/{_part(share_id)}")

    def shared(self, key: str) -> dict[str, Any]:
        """What a link shows: {result, pictures, files, ended, expires}."""
        return self._json("GET", f"/shared/{_part(key)}")  # type: ignore[no-any-return]

    def shared_file(self, key: str, name: str) -> bytes:
        return self._bytes(f"/shared/{_part(key)}/files/{quote(name)}", {})

    # --- solvers and their proofs ---

    def publications(self) -> list[dict[str, Any]]:
        return self._json("GET", "/publications")  # type: ignore[no-any-return]

    def proofs(self, solver: str) -> list[dict[str, Any]]:
        return self._json("GET", f"/solvers/{_part(solver)}/proofs")  # type: ignore[no-any-return]

    def known_cases(self, solver: str) -> list[dict[str, Any]]:
        """Every case of a solver with reference values, and how far from them it was on this hub."""
        return self._json("GET", f"/solvers/{_part(solver)}/cases")  # type: ignore[no-any-return]

    def prove(self, solver: str, *, every: bool = False) -> dict[str, Any]:
        """Run contract and benchmarks of a solver, or every case of it."""
        query = {"every": "true"} if every else {}
        return self._json("POST", f"/solvers/{_part(solver)}/proofs", params=query)  # type: ignore[no-any-return]

    def propose(self, solver: str) -> dict[str, Any]:
        return self._json("POST", f"/solvers/{_part(solver)}/proposal")  # type: ignore[no-any-return]

    def publish(self, solver: str, state: str, organisation: str | None = None) -> dict[str, Any]:
        body = {"state": state, "organisation": organisation}
        return self._json("PUT", f"/staff/solvers/{_part(solver)}", json=body)  # type: ignore[no-any-return]

    # --- staff of the house ---

    def board(self, days: float = 7.0) -> list[dict[str, Any]]:
        """Runs of all organisations, without their content."""
        return self._json("GET", "/staff/runs", params={"days": days})  # type: ignore[no-any-return]

    def staff_cancel(self, run_id: str) -> dict[str, Any]:
        return self._json("POST", f"/staff/runs/{_part(run_id)}/cancel")  # type: ignore[no-any-return]

    def staff_retry(self, run_id: str, cluster: str | None = None) -> dict[str, Any]:
        """The same question again, perhaps at another place."""
        return self._json("POST", f"/staff/runs/{_part(run_id)}/retry", json={"cluster": cluster})  # type: ignore[no-any-return]

    def organisations(self, days: float = 30.0) -> list[dict[str, Any]]:
        return self._json("GET", "/staff/organisations", params={"days": days})  # type: ignore[no-any-return]

    def set_quota(self, organisation_id: str, core_hours: float | None, *, anew: bool = False) -> dict[str, Any]:
        body = {"core_hours": core_hours, "anew": anew}
        return self._json("PUT", f"/staff/organisations/{_part(organisation_id)}/quota", json=body)  # type: ignore[no-any-return]

    def disks(self) -> list[dict[str, Any]]:
        return self._json("GET", "/staff/disks")  # type: ignore[no-any-return]

    def audit(self, limit: int = 200, before: str | None = None) -> list[dict[str, Any]]:
        """Who did what when."""
        given = {"limit": limit, "before": before}
        return self._json("GET", "/staff/audit", params={k: v for k, v in given.items() if v is not None})  # type: ignore[no-any-return]

    def notices(self) -> dict[str, int]:
        return self._json("GET", "/staff/notices")  # type: ignore[no-any-return]

    # --- the wire ---

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """Errors of the network in words."""
        try:
            yield
        except httpx.TransportError as error:
            raise ClientError(
                0, f"The hub at {self.url} does not answer ({error}). Start it with `officina up`."
            ) from None

    def _request(self, method: str, path: str, **given: Any) -> httpx.Response:
        with self._spoken():
            response = self._http.request(method, path, **given)
        if response.is_error:
            raise _failed(response)
        return response

    def _json(self, method: str, path: str, **given: Any) -> Any:
        return self._request(method, path, **given).json()

    def _bytes(self, path: str, params: dict[str, Any]) -> bytes:
        return self._request("GET", path, params=params).content


def _part(text: str) -> str:
    """Text as one part of a path."""
    return quote(text, safe="")


def _body(data: Mapping[str, Any]) -> bytes:
    """JSON; what is no number goes too, so that the hub says where it stands."""
    return json.dumps(data, ensure_ascii=False, default=dict).encode("utf-8", "replace")


def _failed(response: httpx.Response) -> Exception:
    """An error answer as an exception."""
    try:
        problems = [Problem.model_validate(p) for p in response.json()["problems"]]
    except (ValueError, KeyError, TypeError, ValidationError):
        return ClientError(response.status_code, f"The hub answered {response.status_code}: {excerpt(response.text)}")
    if response.status_code in {413, 422}:
        return Refused(problems)
    return ClientError(response.status_code, "\n".join(map(str, problems)))
