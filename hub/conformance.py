"""``officina solver check NAME``: a solver against the contract, and its benchmarks against their references."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from hub import catalogue
from hub.case import Frozen, load_data
from hub.pipeline import run_foreground
from hub.result import Result
from hub.runfolder import Attempt
from hub.solver import Benchmark, Description
from hub.units import UNITS, to_si


class Measured(Frozen):
    """A quantity of a benchmark beside its reference. value, reference : in `unit`, SI; off, tolerance : relative"""

    case: str
    quantity: str
    value: float
    reference: float
    unit: str
    off: float
    tolerance: float
    source: str


class Finding(Frozen):
    """One thing that was looked at. measured : where it is a number beside its reference"""

    what: str
    passed: bool
    measured: Measured | None = None


class Expected(Frozen):
    """A reference value of a benchmark, from ``expected.yaml`` beside the case.

    value : in SI; tolerance : relative; source : theory, paper or another code, never a run of ours
    """

    quantity: str
    value: float
    unit: str
    tolerance: Annotated[float, Field(gt=0)]
    source: Annotated[str, Field(min_length=10)]


def expected(folder: Path) -> list[Expected]:
    """The reference values beside a case. Values may be written with their unit (``92.7 MPa``, ``1 %``)."""
    data = yaml.safe_load((folder / "expected.yaml").read_text())
    found = []
    for entry in data:
        value, tolerance = entry["value"], entry["tolerance"]
        if isinstance(value, str):
            value = to_si(value, entry["unit"])
        if isinstance(tolerance, str):
            tolerance = to_si(tolerance, "")
        found.append(Expected.model_validate({**entry, "value": value, "tolerance": tolerance}))
    return found


def benchmark_folder(solver: str, benchmark: Benchmark) -> Path:
    """Where a benchmark's case is: in ``cases/``, or in the solver's own folder."""
    templates = catalogue.templates()
    if benchmark.case in templates:
        return templates[benchmark.case]
    return catalogue.package_folder("solvers") / Path(*solver.split(".")) / benchmark.case


def known_cases(about: Description) -> dict[str, Path]:
    """Name -> folder of every case of a solver with reference values: its benchmarks, then the others of ``cases/``."""
    found = {benchmark.case: benchmark_folder(about.name, benchmark) for benchmark in about.benchmarks}
    for case, folder in catalogue.templates().items():
        if case not in found and (folder / "expected.yaml").is_file() and load_data(folder)[0]["solver"] == about.name:
            found[case] = folder
    return found


def off(value: float, reference: float) -> float:
    """The relative distance of a value from its reference."""
    return abs(value - reference) / abs(reference)


def prove(name: str, out: Path, *, every: bool = False) -> Iterator[Finding]:
    """Every finding on a solver, cheap ones first; results of its benchmarks go below `out`.

    every : compute the solver's other cases with reference values as well, some of which take hours
    """
    try:
        about = catalogue.describe(name)
    except catalogue.SolverBroken as error:
        yield Finding(what=f"describes itself: {error}", passed=False)
        return
    yield from _description(about)
    yield from _refusals(about)
    command = catalogue.solver_command(name, 2)
    yield Finding(what=f"gives its command as a list: {' '.join(command[:3])} ...", passed=len(command) > 1)
    for benchmark in about.benchmarks:
        yield from _benchmark(name, benchmark, out / benchmark.case)
    others = known_cases(about).keys() - {benchmark.case for benchmark in about.benchmarks} if every else ()
    for case in sorted(others):
        yield from _benchmark(name, Benchmark(case=case), out / case)


def _description(about: Description) -> Iterator[Finding]:
    yield Finding(what="has a title in English and Italian", passed={"en", "it"} <= set(about.title))
    yield Finding(what="states its equation", passed=bool(about.equation))
    yield Finding(what="names the literature it stands on", passed=bool(about.references))
    yield Finding(what="has benchmarks", passed=bool(about.benchmarks))
    for kind, schema in about.conditions.items():
        yield Finding(what=f"condition {kind} is documented", passed=bool(schema.get("description")))
    for field, schema in about.parameters.get("properties", {}).items():
        yield Finding(what=f"parameter {field} is documented", passed=bool(schema.get("description")))


def _refusals(about: Description) -> Iterator[Finding]:
    """What is wrong must come back as problems with a place, never as a broken process."""
    material = {"name": "test", "density": "1000 kg/m3"}
    case: dict[str, Any] = {"title": "conformance", "geometry": {"file": "part.step"}, "solver": about.name,
                            "bodies": [{"material": material}], "selections": {"a": {"extreme": "x"}}}  # fmt: skip
    wrong: dict[str, dict[str, Any]] = {
        "parameters.no_such_parameter": {"parameters": {"no_such_parameter": 1}},
        "conditions[0].kind": {"conditions": [{"kind": "no_such_condition", "on": "a"}]},
        "quantities[0].kind": {"quantities": [{"name": "q", "kind": "no_such_quantity"}]},
    }
    for where, change in wrong.items():
        try:
            _, problems, _ = catalogue.solver_check({**case, **change})
            said = any(p.where == where for p in problems)
        except catalogue.SolverBroken:
            said = False
        yield Finding(what=f"refuses a wrong {where} by name", passed=said)
    _, problems, _ = catalogue.solver_check(case)
    yield Finding(what="refuses a case without conditions", passed=any(p.severity == "error" for p in problems))


def _benchmark(name: str, benchmark: Benchmark, out: Path) -> Iterator[Finding]:
    folder = benchmark_folder(name, benchmark)
    references = expected(folder)
    result = run_foreground(folder, out / "1")
    if result.state != "done":
        yield Finding(what=f"{benchmark.case}: {result.state}: {(result.failure or {}).get('message')}", passed=False)
        return
    for reference in references:
        yield _compare(benchmark.case, reference, result)
    if benchmark.order:
        yield from _orders(folder, benchmark, references, out)


def _compare(case: str, reference: Expected, result: Result) -> Finding:
    quantity = result.quantities.get(reference.quantity)
    if quantity is None:
        return Finding(what=f"{case}: {reference.quantity} is missing from the answer", passed=False)
    apart = off(quantity.value, reference.value)
    unit = reference.unit if reference.unit in UNITS else quantity.unit
    return Finding(
        what=f"{case}: {reference.quantity} = {quantity.value:.5g} {unit}, reference {reference.value:.5g}, "
        f"off by {apart:.2%} of {reference.tolerance:.2%} allowed",
        passed=apart <= reference.tolerance,
        measured=Measured(
            case=case,
            quantity=reference.quantity,
            value=quantity.value,
            reference=reference.value,
            unit=unit,
            off=apart,
            tolerance=reference.tolerance,
            source=reference.source,
        ),
    )


def _orders(folder: Path, benchmark: Benchmark, references: Sequence[Expected], out: Path) -> Iterator[Finding]:
    """The observed order of convergence on three meshes, each element size 1/sqrt(2) of the one before."""
    data, _ = load_data(folder)
    size = to_si(str(data["mesh"]["size"]), "m")
    values: list[tuple[float, Result]] = []
    for level in range(3):
        h = size * 2 ** (1 - level / 2)
        work = out / f"order-{level}"
        work.mkdir(parents=True, exist_ok=True)
        case = {**data, "mesh": {**data["mesh"], "size": f"{h!r} m"}}
        (work / "case.yaml").write_text(yaml.safe_dump(case, allow_unicode=True))
        geometry = data["geometry"]["file"]
        (work / geometry).write_bytes((folder / geometry).read_bytes())
        values.append((h, run_foreground(work, work / "run")))
    for quantity, wanted in benchmark.order.items():
        reference = next(r.value for r in references if r.quantity == quantity)
        errors = [abs(r.quantities[quantity].value - reference) for _, r in values]
        observed = (
            math.log(errors[0] / errors[-1]) / math.log(values[0][0] / values[-1][0]) if all(errors) else math.inf
        )
        yield Finding(
            what=f"{benchmark.case}: {quantity} converges with order {observed:.2f}, expected {wanted:g}",
            passed=observed >= wanted - 0.2,
        )


def main(name: str, attempt: Attempt, *, every: bool = False) -> None:
    """The suite as a job: what was found stands in ``out/findings.json``, as far as it has come."""
    found: list[Finding] = []
    work = attempt.folder / "work"
    for finding in prove(name, work, every=every):
        found.append(finding)
        attempt.write("findings.json", [f.model_dump() for f in found])
        attempt.write_status(step=len(found), doing=finding.what)
    shutil.rmtree(work, ignore_errors=True)
    attempt.finish()


if __name__ == "__main__":
    main(sys.argv[1], Attempt(Path(sys.argv[-1])), every="--every" in sys.argv)
