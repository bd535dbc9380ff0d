"""Routes: the proofs of solvers (contract and benchmarks), run as jobs of this machine, and their publication.

A solver that staff have not published is offered to its authors' organisation and to the house only.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path as Folder
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hub import catalogue, conformance
from hub.access import Right, comes_published, visible
from hub.api.answers import _Answer
from hub.api.caller import Anybody, Hub, Staff, require
from hub.api.refusals import Refusal, not_found, refusal
from hub.api.runs import read_result
from hub.case import load_data
from hub.conformance import Expected, Finding
from hub.executor import Handle, JobState
from hub.local import LocalExecutor
from hub.result import Quantity
from hub.runfolder import Attempt, Done, Failure, Job
from hub.store import Caller, Proof, Run, Standing

router = APIRouter()

SolverName = Annotated[str, Path(max_length=100)]
#: Longest time and most memory of a whole suite [s], [byte].
TIME, MEMORY = 6 * 3600.0, 16_000_000_000
_FINDINGS = TypeAdapter(list[Finding])


class ProofAnswer(_Answer):
    """The suite of a solver, as far as it has come. version : of the solver then; why : what stopped it

    created : seconds since 1970 UTC
    """

    id: str
    solver: str
    version: str
    created: float
    state: Literal["running", "passed", "failed", "stopped"]
    doing: str
    findings: list[Finding]
    why: str


class PublicationAnswer(_Answer):
    """mine : the solver is of the caller's organisation"""

    solver: str
    state: Standing
    mine: bool
    organisation: str | None


class PublicationRequest(BaseModel):
    """organisation : id of the authors' organisation"""

    model_config = ConfigDict(extra="forbid")

    state: Standing
    organisation: Annotated[str, Field(max_length=100)] | None = None


class KnownAnswer(_Answer):
    """A reference value of a case and what the solver has made of it on this hub, None where it has not yet.

    value, reference : in `unit`, SI; off, tolerance : relative; created : of the suite or run, seconds since 1970 UTC
    run : that of the caller's organisation which has computed the case as it stands, None for a suite
    """

    quantity: str
    reference: float
    unit: str
    tolerance: float
    source: str
    value: float | None = None
    off: float | None = None
    created: float | None = None
    run: str | None = None


class KnownCase(_Answer):
    """A case of a solver whose answer is known from elsewhere."""

    case: str
    title: str
    description: str
    answers: list[KnownAnswer]


@router.get("/publications")
def publications(who: Anybody, hub: Hub) -> list[PublicationAnswer]:
    """How the solvers that the caller may see stand."""
    return [_publication(hub, who, name) for name in catalogue.solver_modules() if _sees(hub, who, name)]


def _sees(hub: Hub, who: Caller, name: str) -> bool:
    return name in catalogue.solver_modules() and visible(who, name, hub.store.workshop(who).publications())


def _publication(hub: Hub, who: Caller, name: str) -> PublicationAnswer:
    found = hub.store.workshop(who).publications().get(name)
    state: Standing = found.state if found else "published" if comes_published(name) else "private"
    owner = found.organisation if found else None
    return PublicationAnswer(
        solver=name, state=state, mine=owner == who.organisation, organisation=owner if who.house else None
    )


@router.post("/solvers/{name}/proposal")
def propose(name: SolverName, who: Anybody, hub: Hub) -> PublicationAnswer:
    """Ask staff to publish a solver of one's own organisation; its latest proof must have passed."""
    require(who, Right.PROVE)
    now = _publication(hub, who, name) if _sees(hub, who, name) else None
    if now is None or not now.mine:
        raise not_found("the solver")
    latest = next(iter(_proofs(hub, who, name)), None)
    if latest is None or latest.state != "passed":
        found = "no proof" if latest is None else f"a proof that is {latest.state}"
        raise refusal(409, "the proof", found, "one that has passed", "Run the suite first.", "not-proven")
    if now.state == "private":
        hub.store.workshop(who).publish(name, "proposed")
    return _publication(hub, who, name)


@router.put("/staff/solvers/{name}")
def publish(name: SolverName, body: PublicationRequest, house: Staff, hub: Hub) -> PublicationAnswer:
    """Publish a solver, take it back, or say whose it is."""
    if name not in catalogue.solver_modules():
        raise not_found("the solver")
    hub.store.workshop(house.caller).publish(name, body.state, body.organisation)
    return _publication(hub, house.caller, name)


@router.get("/solvers/{name}/cases")
def known(name: SolverName, who: Anybody, hub: Hub) -> list[KnownCase]:
    """Every case of a solver with reference values, and how far from them its version of today was on this hub."""
    if not _sees(hub, who, name):
        raise not_found("the solver")
    about = catalogue.describe(name)
    runs = [r for r in hub.store.within(who).runs(state="done", limit=500) if r.solver == name and r.until == "report"]
    proved = {
        (found.case, found.quantity): (found.value, proof.created)
        for proof in reversed(_proofs(hub, who, name))
        if proof.version == about.version
        for finding in proof.findings
        if (found := finding.measured)
    }
    answers = []
    for case, (typed, question, references) in _known(name, about.version).items():
        same = next((r for r in runs if _question(r.case, r.geometry) == question), None)
        made = _made(hub, same, about.version) if same else {}
        rows = []
        for one in references:
            row = KnownAnswer(reference=one.value, **one.model_dump(exclude={"value"}))
            value, created = proved.get((case, one.quantity), (None, None))
            if one.quantity in made and same and (same.ended or 0.0) > (created or 0.0):
                value, created = made[one.quantity].value, same.ended
                row = row.model_copy(update={"run": same.id})
            if value is not None:
                apart = conformance.off(value, one.value)
                row = row.model_copy(update={"value": value, "off": apart, "created": created})
            rows.append(row)
        answers.append(
            KnownCase(case=case, title=typed["title"], description=typed.get("description", ""), answers=rows)
        )
    return answers


def _made(hub: Hub, run: Run, version: str) -> dict[str, Quantity]:
    """What a run has found, if the solver was of that version."""
    try:
        result = read_result(hub.settings, run)
    except Refusal:
        return {}
    return result.quantities if result.solver.get("version") == version else {}


def _question(case: Mapping[str, Any], geometry: str) -> dict[str, Any]:
    """What of a case decides its answer; geometry : digest of its file."""
    aside = ("title", "description", "language", "resources", "officina")
    file = {**(case.get("geometry") or {}), "file": geometry}
    return {**{key: value for key, value in case.items() if key not in aside}, "geometry": file}


@cache
def _known(name: str, _version: str) -> dict[str, tuple[dict[str, Any], dict[str, Any], list[Expected]]]:
    """Name -> case as typed, its question, and reference values of each known case of a solver; only read."""
    found = {}
    for case, folder in conformance.known_cases(catalogue.describe(name)).items():
        typed, _ = load_data(folder)
        digest = hashlib.sha256((folder / typed["geometry"]["file"]).read_bytes()).hexdigest()
        found[case] = typed, _question(typed, digest), conformance.expected(folder)
    return found


@router.post("/solvers/{name}/proofs", status_code=202)
def prove(name: SolverName, who: Anybody, hub: Hub, *, every: bool = False) -> ProofAnswer:
    """Run the contract and the benchmarks of a solver, or `every` case of it; one suite of a solver at a time."""
    require(who, Right.PROVE)
    if not _sees(hub, who, name):
        raise not_found("the solver")
    for proof in hub.store.workshop(who).proofs(name, limit=1):
        if (found := _answer(hub, proof)).state == "running":
            return found
    made = hub.store.workshop(who).begin_proof(name, catalogue.describe(name).version)
    argv = (sys.executable, "-P", "-m", "hub.conformance", name, *(["--every"] if every else []))
    job = Job(name=f"proof-{made.id}", argv=argv, memory=MEMORY, time=TIME)
    folder = _folder(hub, made)
    folder.parent.mkdir(parents=True, exist_ok=True)
    LocalExecutor(_place(hub)).submit(Attempt.create(folder, {}, {}, job))
    return _answer(hub, made)


@router.get("/solvers/{name}/proofs")
def proofs(name: SolverName, who: Anybody, hub: Hub) -> list[ProofAnswer]:
    """The latest proofs of a solver, newest first."""
    if not _sees(hub, who, name):
        raise not_found("the solver")
    return _proofs(hub, who, name)


def _proofs(hub: Hub, who: Caller, name: str) -> list[ProofAnswer]:
    return [_answer(hub, proof) for proof in hub.store.workshop(who).proofs(name, limit=5)]


def _place(hub: Hub) -> Folder:
    """A suite waits for the jobs of its benchmarks: it takes none of their cores."""
    return hub.settings.home / "proofs"


def _folder(hub: Hub, proof: Proof) -> Folder:
    return _place(hub) / "runs" / proof.id / "1"


def _answer(hub: Hub, proof: Proof) -> ProofAnswer:
    attempt = Attempt(_folder(hub, proof))
    outcome, state, why = attempt.outcome(), "running", ""
    try:
        findings = _FINDINGS.validate_json((attempt.out / "findings.json").read_bytes())
    except (OSError, ValidationError):
        findings = []
    if isinstance(outcome, Done):
        state = "passed" if findings and all(f.passed for f in findings) else "failed"
    elif isinstance(outcome, Failure):
        state, why = "stopped", outcome.message
    else:
        handle = Handle(f"proof-{proof.id}")
        if LocalExecutor(_place(hub)).poll([handle])[handle] is JobState.ENDED and attempt.outcome() is None:
            state, why = "stopped", "The job ended without an answer."
    return ProofAnswer.model_validate(
        {
            **proof.model_dump(include={"id", "solver", "version", "created"}),
            "state": state,
            "doing": attempt.status().doing,
            "findings": findings,
            "why": why,
        }
    )
