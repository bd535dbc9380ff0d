"""A verdict beside a failed check admits it, whichever solver gave it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from hub.case import read
from hub.result import Answer, Check, Verdict, Words
from hub.runfolder import Attempt, Job
from hub.solver import BoundCase, Cost, Solver, serve

HELD: Words = {"en": "Heat balances", "it": "Il calore si bilancia"}
CASE = {
    "title": "t",
    "geometry": {"file": "a.step"},
    "solver": "test.toy",
    "bodies": [{"material": {"name": "steel", "density": 8e3}}],
}


class Toy(Solver):
    """Says what its case's title says, and that its balance is off by a tenth."""

    name = "test.toy"
    version = "1"
    title: ClassVar[Words] = {"en": "Toy", "it": "Prova"}
    cost = Cost(per_node=1.0, start=1.0, seconds_per_unknown=1e-6, bytes_base=1.0, bytes_per_unknown=1.0)

    def __init__(self, answer: str, limits: tuple[float, ...]) -> None:
        self.answer, self.limits = answer, limits

    def solve(self, bound: BoundCase, attempt: Attempt) -> Answer:
        checks = tuple(
            Check(name=f"c{i}", title=HELD, value=0.1, limit=limit, passed=limit >= 0.1)
            for i, limit in enumerate(self.limits)
        )
        verdict = Verdict(answer=self.answer, sentence={"en": "It holds.", "it": "Va bene."})  # type: ignore[arg-type]
        return Answer(verdict=verdict, quantities={}, checks=checks, unknowns=1)


@pytest.mark.parametrize(
    ("answer", "limits", "said"),
    [
        ("yes", (0.2,), "yes"),
        ("yes", (0.2, 0.05), "unclear"),
        ("no", (0.05,), "unclear"),
        ("none", (0.05,), "none"),
    ],
)
def test_a_failed_check_takes_the_verdict_back(
    answer: str, limits: tuple[float, ...], said: str, tmp_path: Path
) -> None:
    solver = Toy(answer, limits)
    case = solver.in_si(solver.bind(read(CASE, si=True), si=True))
    attempt = Attempt.create(tmp_path / "1", {"case.json": case}, {}, Job(name="toy", argv=("toy",)))
    with pytest.raises(SystemExit) as ended:
        serve(solver, ["run", str(attempt.folder)])
    assert ended.value.code == 0, attempt.outcome()
    found = Answer.model_validate(json.loads((attempt.out / "answer.json").read_bytes())).verdict
    assert found.answer == said
    if min(limits) < 0.1:
        assert found.sentence["en"].startswith("Not proven, for a check failed: “Heat balances”.")
        assert found.sentence["it"].startswith("Non dimostrato, verifiche fallite: “Il calore si bilancia”.")
        assert found.sentence["en"].endswith("The numbers alone say: It holds.")
    else:
        assert found.sentence["en"] == "It holds."
