"""The solver contract. A solver is one folder with a ``__main__.py`` that ends in ``serve(MySolver())``.

The hub never imports a solver. It runs it as a process of its own and reads what it prints:

``python -m solvers.fem.elasticity --describe``
    who it is and what it takes, as JSON (:class:`Description`)
``python -m solvers.fem.elasticity check < case.json``
    a case as typed -> ``{"case": ... in SI, "problems": [...]}``; a list of cases -> a list; no PETSc is loaded
``mpiexec -n 2 python -m solvers.fem.elasticity run ATTEMPT``
    the work, in an attempt's folder (``hub/runfolder.py``)

In-tree solvers are found by folder (``solvers/<group>/<name>/__main__.py``); those of other distributions by the
entry point group ``officina.solvers``, whose values name the module to run.
"""

from __future__ import annotations

import json
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.case import AnyCondition, Body, Case, Condition, Frozen, Material, dump, read
from hub.problem import Problem, Refused, excerpt, from_validation
from hub.result import Answer, Words
from hub.runfolder import Attempt
from hub.units import SI

__all__ = ["Benchmark", "BoundCase", "Condition", "Cost", "Description", "Frozen", "Solver", "StageError", "serve"]


class Benchmark(Frozen):
    """A case with known values, kept in the folder `case` (of ``cases/``, or of the solver's own folder).

    The folder's ``expected.yaml`` names quantities, reference values, their source and tolerance.
    order : observed order of convergence asked for, by quantity
    """

    case: str
    order: dict[str, float] = Field(default_factory=dict)


class Cost(Frozen):
    """What a run costs on one core of 2025, before anything is known but the number of mesh nodes.

    unknowns = fixed + per_node * nodes; seconds = start + a * unknowns**exponent / speedup(ranks);
    bytes = base * ranks + per_unknown * unknowns, and the factors of the whole matrix up to `factors_up_to` unknowns:
    bytes_factors * unknowns**(4/3), as they grow in space (A. George, SIAM J. Numer. Anal. 10 (1973) 345-363)
    """

    per_node: float
    start: float
    seconds_per_unknown: float
    exponent: float = 1.0
    bytes_base: float = 4e8
    bytes_per_unknown: float = 3e3
    parallel_fraction: float = 0.8
    fixed: float = 0.0
    bytes_factors: float = 0.0
    factors_up_to: float = 0.0

    def unknowns(self, nodes: float) -> int:
        return round(self.fixed + self.per_node * nodes)

    def seconds(self, nodes: float, ranks: int) -> float:
        speedup = 1 / (1 - self.parallel_fraction + self.parallel_fraction / ranks)
        return float(self.start + self.seconds_per_unknown * self.unknowns(nodes) ** self.exponent / speedup)

    def memory(self, nodes: float, ranks: int) -> float:
        return self.bytes(self.unknowns(nodes), ranks)

    def bytes(self, unknowns: float, ranks: int) -> float:
        """The memory of all ranks together."""
        whole = self.bytes_factors * unknowns ** (4 / 3) if unknowns <= self.factors_up_to else 0.0
        return self.bytes_base * ranks + self.bytes_per_unknown * unknowns + whole


class Description(Frozen):
    """What the hub knows of a solver, printed by ``--describe``; forms, checks and catalogues are made from it."""

    name: str
    version: str
    title: Words
    summary: Words
    equation: str
    references: tuple[str, ...]
    validated: tuple[str, ...]
    parameters: dict[str, Any]
    conditions: dict[str, Any]
    material: tuple[str, ...]
    wanted: dict[str, str]
    benchmarks: tuple[Benchmark, ...]
    cost: Cost
    orders: tuple[int, ...]
    domains: tuple[str, ...] = ("part",)


class NoParams(Frozen):
    """A solver without parameters."""


class BoundCase(BaseModel):
    """A case after its solver has read it: parameters and conditions are typed, materials complete."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    case: Case
    params: Any
    conditions: tuple[Any, ...]
    materials: tuple[tuple[Body, Material], ...]


class StageError(Exception):
    """A stage cannot give a result and knows why; becomes FAILED {code, message, hint}."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        self.code, self.message, self.hint = code, message, hint
        super().__init__(message)


class Solver(ABC):
    """One kind of physics. Derive, fill in the class attributes, write `check` and `solve`, and `serve` it."""

    name: ClassVar[str]
    version: ClassVar[str]
    title: ClassVar[Words]
    summary: ClassVar[Words] = {}
    equation: ClassVar[str] = ""
    references: ClassVar[tuple[str, ...]] = ()
    validated: ClassVar[tuple[str, ...]] = ()
    Params: ClassVar[type[BaseModel]] = NoParams
    conditions: ClassVar[tuple[type[Condition], ...]] = ()
    #: names of the properties of hub.case.Material that must be given
    material: ClassVar[tuple[str, ...]] = ()
    #: kinds of wanted quantities -> what they are
    wanted: ClassVar[Mapping[str, str]] = {}
    benchmarks: ClassVar[tuple[Benchmark, ...]] = ()
    cost: ClassVar[Cost]
    #: orders of mesh geometry it can use
    orders: ClassVar[tuple[int, ...]] = (1, 2)
    #: kinds of hub.case.Domain it can use
    domains: ClassVar[tuple[str, ...]] = ("part",)
    #: one process is started whatever the ranks of the job: the solver starts those of an outside engine itself
    starts_own_ranks: ClassVar[bool] = False

    def check(self, bound: BoundCase) -> Sequence[Problem]:
        """What is wrong with a case that has the right form: no support, no load, ... Pure, quick, no PETSc."""
        return ()

    def costs(self, bound: BoundCase) -> Cost:
        """What this very case costs: more than `cost` where steps in time or grains are counted. Pure, quick."""
        return self.cost

    @abstractmethod
    def solve(self, bound: BoundCase, attempt: Attempt) -> Answer | None:
        """Solve; called on every MPI rank. The mesh is in ``attempt.inputs``. Rank 0 returns the Answer and writes
        ``attempt.out / "fields.vtu"``; others return None. Raises StageError where the cause is known."""

    def command(self, ranks: int) -> list[str]:
        """The argv of the run; the attempt's folder is appended."""
        package = sys.modules[type(self).__module__].__package__  # the folder, wherever in it the class is
        assert package
        launcher = [] if self.starts_own_ranks else ["mpiexec", "-n", str(ranks)]
        return [*launcher, sys.executable, "-m", package, "run"]

    # --- what follows from the above ---

    def describe(self) -> Description:
        """This solver as plain data."""
        kinds = {_kind(model): model.model_json_schema() for model in self.conditions}
        return Description(
            name=self.name,
            version=self.version,
            title=self.title,
            summary=self.summary,
            equation=self.equation,
            references=self.references,
            validated=self.validated,
            parameters=self.Params.model_json_schema(),
            conditions=kinds,
            material=self.material,
            wanted=dict(self.wanted),
            benchmarks=self.benchmarks,
            cost=self.cost,
            orders=self.orders,
            domains=self.domains,
        )

    def bind(self, case: Case, *, si: bool = False) -> BoundCase:
        """Read the parts of a case that are this solver's. Raises Refused with every problem found."""
        context, problems = SI if si else None, []
        params: Any = None
        try:
            params = self.Params.model_validate(case.parameters, context=context)
        except ValidationError as error:
            problems += from_validation(error, ["parameters"])
        models = {_kind(model): model for model in self.conditions}
        conditions = []
        for i, any_condition in enumerate(case.conditions):
            model = models.get(any_condition.kind)
            if model is None:
                problems.append(
                    Problem(
                        where=f"conditions[{i}].kind",
                        found=excerpt(any_condition.kind),
                        code="unknown-condition",
                        expected=f"one of {', '.join(models)}",
                        todo=f"{self.name} knows these conditions only.",
                    )
                )
                continue
            try:
                conditions.append(model.model_validate(_given(any_condition), context=context))
            except ValidationError as error:
                problems += from_validation(error, ["conditions", i])
        problems += self._materials(case)
        problems += [
            Problem(
                where=f"quantities[{i}].kind",
                found=excerpt(wanted.kind),
                code="unknown-quantity",
                expected=f"one of {', '.join(self.wanted) or 'none'}",
                todo="See `officina solver describe`.",
            )
            for i, wanted in enumerate(case.quantities)
            if wanted.kind not in self.wanted
        ]
        if case.mesh.order not in self.orders:
            problems.append(
                Problem(
                    where="mesh.order",
                    found=str(case.mesh.order),
                    code="mesh-order",
                    expected=f"one of {self.orders}",
                    todo="Change the order of the mesh.",
                )
            )
        if case.domain.kind not in self.domains:
            problems.append(
                Problem(
                    where="domain.kind",
                    found=case.domain.kind,
                    code="domain",
                    expected=f"one of {', '.join(self.domains)}",
                    todo=f"{self.name} solves in these domains only.",
                )
            )
        if problems:
            raise Refused(problems)
        materials = tuple((b, b.material) for b in case.bodies if isinstance(b.material, Material))
        bound = BoundCase(case=case, params=params, conditions=tuple(conditions), materials=materials)
        found = list(self.check(bound))
        if any(p.severity == "error" for p in found):
            raise Refused(found)
        return bound

    def _materials(self, case: Case) -> list[Problem]:
        problems = []
        for i, body in enumerate(case.bodies):
            if not isinstance(body.material, Material):
                problems.append(
                    Problem(
                        where=f"bodies[{i}].material",
                        found=excerpt(body.material),
                        expected="a material of the library or its properties",
                        todo="`officina materials` lists the library.",
                        code="unknown-material",
                    )
                )
                continue
            problems += [
                Problem(
                    where=f"bodies[{i}].material.{name}",
                    found="nothing",
                    expected=name.replace("_", " "),
                    todo=f"{self.name} needs it.",
                    code="missing-property",
                )
                for name in self.material
                if getattr(body.material, name) is None
            ]
        return problems

    def coarser(self, bound: BoundCase) -> float | None:
        """How much larger the cells of a second mesh are to be [-], which the solver finds in ``coarser`` beside the
        mesh, if that can be made; None for no second mesh."""
        return None

    def in_si(self, bound: BoundCase) -> dict[str, Any]:
        """The case as a run folder holds it: plain data, SI floats, conditions and parameters complete."""
        data = dump(bound.case)
        if ratio := self.coarser(bound):
            data.setdefault("mesh", {}).setdefault("coarser", ratio)
        data["parameters"] = bound.params.model_dump(mode="json", exclude_none=True)
        data["conditions"] = [c.model_dump(mode="json", exclude_none=True) for c in bound.conditions]
        return data


def _kind(model: type[Condition]) -> str:
    """The literal `kind` of a condition model."""
    return str(model.model_fields["kind"].annotation.__args__[0])  # type: ignore[union-attr]


def _given(condition: AnyCondition) -> dict[str, Any]:
    return condition.model_dump(exclude_unset=True, exclude_none=True)


# --- the process --------------------------------------------------------------------------------------------------


def serve(solver: Solver, argv: Sequence[str] | None = None) -> None:
    """The command line of a solver's process; see the head of this module. Ends the process."""
    match list(sys.argv[1:] if argv is None else argv):
        case ["--describe"]:
            print(solver.describe().model_dump_json(indent=1))
        case ["check"]:
            asked = json.load(sys.stdin)
            answer = [_check(solver, each) for each in asked] if isinstance(asked, list) else _check(solver, asked)
            print(json.dumps(answer, ensure_ascii=False))
        case ["command", ranks]:
            print(json.dumps(solver.command(int(ranks))))
        case ["run", folder]:
            sys.exit(_run(solver, Attempt(Path(folder))))
        case _:
            print("usage: --describe | check | command RANKS | run FOLDER", file=sys.stderr)
            sys.exit(2)


def _check(solver: Solver, data: Mapping[str, Any]) -> dict[str, Any]:
    try:
        bound = solver.bind(read(data))
    except Refused as refused:
        return {"case": None, "problems": [p.model_dump() for p in refused.problems]}
    problems = [p.model_dump() for p in solver.check(bound)]
    return {"case": solver.in_si(bound), "problems": problems, "cost": solver.costs(bound).model_dump()}


def _run(solver: Solver, attempt: Attempt) -> int:
    """Exit code 0 done, 3 failed; whatever happens, the folder says it."""
    from mpi4py import MPI  # only a run needs MPI

    comm = MPI.COMM_WORLD
    try:
        expected = 1 if solver.starts_own_ranks else attempt.job().ranks
        if comm.size != expected:
            raise StageError(
                "wrong-ranks",
                f"{comm.size} MPI ranks were started instead of {expected}.",
                "The MPI launcher and the MPI library do not fit together; tell the centre's staff.",
            )
        answer = solver.solve(solver.bind(read(attempt.read("case.json"), si=True), si=True), attempt)
        comm.barrier()
        if comm.rank == 0:
            assert answer is not None
            attempt.write("answer.json", answer.admitting().model_dump(mode="json"))
            attempt.finish()
        return 0
    except BaseException as error:
        code, message, hint = explain(error)
        traceback.print_exc()
        sys.stderr.flush()
        with suppress(OSError):  # on a full disk whoever runs the job says it
            attempt.fail(code, message, hint)
        if comm.size > 1:
            comm.Abort(3)
        return 3


def explain(error: BaseException) -> tuple[str, str, str]:
    """(code, message, hint) of whatever stopped a stage."""
    match error:
        case StageError():
            return error.code, error.message, error.hint
        case Refused():
            return "refused", str(error), "Correct the case."
        case MemoryError():
            return "out-of-memory", "The memory given was not enough.", "Choose a coarser mesh or give more memory."
        case OSError() if error.errno in (28, 122):
            return "disk-full", "The disk is full.", "Free some room and run again; nothing else is wrong."
        case _:
            return "crashed", f"{type(error).__name__}: {excerpt(str(error))}", "The log has the details."
