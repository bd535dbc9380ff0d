"""What a run answers: quantities with error bars, a verdict, views of the fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

#: Text in the languages of the reports: {"en": ..., "it": ...}.
Words = dict[Literal["en", "it"], str]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Quantity(_Document):
    """One number of the answer, in SI.

    error : half width of the error bar in the same unit; None where no honest bar exists: `statement` says why
    error_method : how the bar was found, for example ``ZZ goal estimate``
    at : where on the part [m]
    """

    value: FiniteFloat
    unit: str
    error: Annotated[FiniteFloat, Field(ge=0)] | None = None
    error_method: str = ""
    title: Words = {}
    statement: Words = {}
    at: tuple[FiniteFloat, FiniteFloat, FiniteFloat] | None = None


class Check(_Document):
    """A balance or residual that must hold for the answer to be trusted. `value` passes when at most `limit`."""

    name: str
    title: Words
    value: FiniteFloat
    limit: FiniteFloat
    passed: bool


class Verdict(_Document):
    """The answer in one sentence. `answer`: yes, no, or unclear where the error bar reaches across the limit or a check
    failed."""

    answer: Literal["yes", "no", "unclear", "none"]
    sentence: Words


class Section(_Document):
    """A plane: a point on it and its normal [m]."""

    point: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    normal: tuple[FiniteFloat, FiniteFloat, FiniteFloat]


class View(_Document):
    """A picture worth drawing from ``fields.vtu``, or from ``moving.vtkhdf`` where it moves.

    kind : ``surface`` the skin; ``section`` a cut through the fields; ``streamlines`` of the vector `along`, coloured
        by `field`; ``grains`` spheres of the point field ``radius``; ``moving`` and ``moving grains`` the same over
        time, as an animation in the pages and a strip of pictures in the report
    section : where to cut; for streamlines the plane they start from
    range : of the colours, in SI; the field's own if not given

    field : name of a point field; component : index of a vector's component, None for its magnitude
    unit : SI unit of the field, a key of ``hub.units.UNITS``
    warp : name of a displacement field to deform the part by, exaggerated so that it shows
    mark : name of a quantity whose place is marked
    """

    name: str
    title: Words
    field: str
    unit: str
    kind: Literal["surface", "section", "streamlines", "grains", "moving", "moving grains"] = "surface"
    section: Section | None = None
    along: str | None = None
    range: tuple[FiniteFloat, FiniteFloat] | None = None
    component: int | None = None
    warp: str | None = None
    mark: str | None = None


class Line(_Document):
    """One line of a plot, in SI: `x` and `y` of the same length, at most some thousand; `error` half widths of bars.

    points : drawn as marks (measurements, a reference), not as a line
    """

    name: Words
    x: tuple[FiniteFloat, ...]
    y: tuple[FiniteFloat, ...]
    error: tuple[FiniteFloat, ...] | None = None
    points: bool = False


class Curve(_Document):
    """A plot worth looking at: a history, a profile, a distribution. Units are keys of ``hub.units.UNITS``."""

    name: str
    title: Words
    x: Words
    x_unit: str
    y: Words
    y_unit: str
    lines: tuple[Line, ...]
    log: tuple[bool, bool] = (False, False)


class Answer(_Document):
    """What a solver writes to ``out/answer.json``. Fields are in ``out/fields.vtu``; what changes over time may be in
    ``out/moving.vtkhdf`` (temporal VTKHDF, some hundred frames at most) besides."""

    verdict: Verdict
    quantities: dict[str, Quantity]
    checks: tuple[Check, ...] = ()
    views: tuple[View, ...] = ()
    curves: tuple[Curve, ...] = ()
    notes: tuple[Words, ...] = ()
    unknowns: int
    iterations: int = 0
    seconds: dict[str, float] = {}
    peak_memory: int = 0

    def admitting(self) -> Answer:
        """The same, whose verdict says first which checks failed, and then neither yes nor no."""
        failed = [check for check in self.checks if not check.passed]
        if not failed:
            return self
        said = self.verdict.sentence
        titles = {code: ", ".join(f"“{c.title.get(code, c.name)}”" for c in failed) for code in said}
        sentence: Words = {
            "en": f"Not proven, for a check failed: {titles['en']}. The numbers alone say: {said['en']}",
            "it": f"Non dimostrato, verifiche fallite: {titles['it']}. I soli numeri dicono: {said['it']}",
        }
        answer = "none" if self.verdict.answer == "none" else "unclear"
        return self.model_copy(update={"verdict": Verdict(answer=answer, sentence=sentence)})


class Result(_Document):
    """``result.json`` at the root of a run: the whole answer for people's programs."""

    state: Literal["done", "failed", "refused", "cancelled"]
    title: str
    verdict: Verdict | None = None
    quantities: dict[str, Quantity] = {}
    checks: tuple[Check, ...] = ()
    curves: tuple[Curve, ...] = ()
    notes: tuple[Words, ...] = ()
    files: dict[str, str] = {}
    solver: dict[str, Any] = {}
    mesh: dict[str, Any] = {}
    timings: dict[str, float] = {}
    failure: dict[str, Any] | None = None
    provenance: dict[str, Any] = {}
