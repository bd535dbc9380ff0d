"""What the API answers, as models: the OpenAPI document is made from them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hub.access import Right, may
from hub.intake import GeometryVerdict
from hub.runfolder import Stage, Status
from hub.store import Caller, Draft, Role, Run, State
from hub.store.tables import Until


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Health(_Answer):
    """orchestration: ``ok`` while the loop that starts runs lives, else ``away``."""

    ok: bool
    version: str
    orchestration: Literal["ok", "away"]


class Me(_Answer):
    """rights : what the role allows, in words; house : the organisation is the one that keeps the hub."""

    user: str
    organisation: str
    role: Role
    house: bool
    rights: list[str]

    @classmethod
    def of(cls, caller: Caller) -> Me:
        rights = sorted(right.value for right in Right if may(caller, right))
        return cls(
            user=caller.user_name,
            organisation=caller.organisation_name,
            role=caller.role,
            house=caller.house,
            rights=rights,
        )


class Ask(_Answer):
    """One of the few inputs that matter in a template.

    path : where it stands in the case (``conditions[0].value``); unit : SI, or ``material``; units : that may be typed
    """

    path: str
    unit: str
    units: tuple[str, ...]
    label: dict[str, str]


class CaseTemplate(_Answer):
    """A case to begin with, as typed; its geometry is named by id, so that it can be submitted as it stands.

    asks : the few inputs that matter, where somebody has said so (``asks.yaml`` beside the case)
    """

    name: str
    title: str
    description: str
    case: dict[str, Any]
    geometry: str = Field(description="sha256:... for /files/{id}")
    geometry_name: str
    asks: list[Ask]


class DraftAnswer(_Answer):
    """A case in the making. changed : seconds since 1970 UTC"""

    id: str
    version: int
    document: dict[str, Any]
    changed: float

    @classmethod
    def of(cls, draft: Draft) -> DraftAnswer:
        return cls(id=draft.id, version=draft.version, document=draft.document, changed=draft.changed)


class UploadedFile(_Answer):
    """A file and, once it is checked, the verdict on it. bytes : size"""

    id: str = Field(description="sha256:...; the same content has the same id")
    name: str
    bytes: int
    state: Literal["checking", "checked"]
    verdict: GeometryVerdict | None = None
    overall: Literal["accepted", "asks", "refused"] | None = None
    sentence: str | None = None


class Times(_Answer):
    """Seconds since 1970 UTC."""

    created: float
    started: float | None
    ended: float | None


class RunAnswer(_Answer):
    """A run. status : how far the present stage is; failure : {code, message, hint} where it did not succeed."""

    id: str
    title: str
    solver: str
    until: Until
    state: State
    stage: Stage | None
    status: Status | None
    times: Times
    estimate: dict[str, Any] | None
    actual: dict[str, Any] | None
    failure: dict[str, Any] | None
    geometry: str
    geometry_name: str

    @classmethod
    def of(cls, run: Run, status: Status | None) -> RunAnswer:
        return cls(
            status=status,
            times=Times(created=run.created, started=run.started, ended=run.ended),
            geometry=f"sha256:{run.geometry}",
            **run.model_dump(include=set(cls.model_fields) - {"status", "times", "geometry"}),
        )


class CheckRequest(BaseModel):
    """case : as typed, an object or the text of a case.yaml"""

    model_config = ConfigDict(extra="forbid")

    case: dict[str, Any] | str


class RunRequest(CheckRequest):
    """until : the last stage wanted; again : run it although the answer is known"""

    until: Until = "report"
    again: bool = False
