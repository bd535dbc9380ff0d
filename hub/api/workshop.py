"""Routes: the proofs of solvers (contract and benchmarks), run as jobs of this machine, and their publication.

A solver that staff have not published is offered to its authors' organisation and to the house only.
"""

from __future__ import annotations

import sys
from pathlib import Path as Folder
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hub import catalogue
from hub.access import Right, comes_published, visible
from hub.api.answers import _Answer
from hub.api.caller import Anybody, Hub, Staff, require
from hub.api.refusals import not_found, refusal
from hub.conformance import Finding
from hub.executor import Handle, JobState
from hub.local import LocalExecutor
from hub.runfolder import Attempt, Done, Failure, Job
from hub.store import Caller, Proof, Standing

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


@router.post("/solvers/{name}/proofs", status_code=202)
def prove(name: SolverName, who: Anybody, hub: Hub) -> ProofAnswer:
    """Run the contract and the benchmarks of a solver; one suite of a solver at a time."""
    require(who, Right.PROVE)
    if not _sees(hub, who, name):
        raise not_found("the solver")
    for proof in hub.store.workshop(who).proofs(name, limit=1):
        if (found := _answer(hub, proof)).state == "running":
            return found
    made = hub.store.workshop(who).begin_proof(name, catalogue.describe(name).version)
    argv = (sys.executable, "-P", "-m", "hub.conformance", name)
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
