"""What a flow case must say to be run, and what is said of one that cannot be."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from hub.case import read
from hub.check import with_materials
from hub.problem import Problem, Refused
from hub.solver import BoundCase
from solvers.cfd.flow.__main__ import Flow

IN = {"kind": "inlet", "on": "left", "velocity": "0.1 m/s"}
OUT = {"kind": "outlet", "on": "right"}
SIDES = ("left", "right", "bottom", "top")


def case(conditions: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A case as typed: water between four sides."""
    return {
        "title": "t",
        "geometry": {"file": "a.step"},
        "solver": "cfd.flow",
        "bodies": [{"material": "water-20c"}],
        "selections": {side: {"extreme": "x"} for side in SIDES},
        "conditions": conditions,
        **more,
    }


def bound(conditions: list[dict[str, Any]], **more: Any) -> BoundCase:
    return Flow().bind(read(with_materials(case(conditions, **more))))


def problems(conditions: list[dict[str, Any]], **more: Any) -> dict[str, Problem]:
    """By their codes; warnings too."""
    data = read(with_materials(case(conditions, **more)))
    try:
        return {p.code: p for p in Flow().check(Flow().bind(data))}
    except Refused as refused:
        return {p.code: p for p in refused.problems}


def test_a_plain_case_has_no_problems() -> None:
    assert problems([IN, OUT]) == {}


@pytest.mark.parametrize(
    ("conditions", "more", "code"),
    [
        ([IN], {}, "no-outlet"),
        ([OUT], {}, "not-driven"),
        ([], {}, "not-driven"),
        ([IN, OUT, {"kind": "wall", "on": "left"}], {}, "contradiction"),
        ([IN, OUT, {"kind": "temperature", "on": "left", "value": "20 degC"}], {}, "contradiction"),
        ([IN, OUT, {"kind": "temperature", "on": "top", "value": "20 degC"}], {}, "missing"),
        ([{**IN, "volume_flow": "1 l/min"}, OUT], {}, "one-amount"),
        ([{"kind": "inlet", "on": "left"}, OUT], {}, "one-amount"),
        ([{**IN, "history": {"csv": "t [s], u [m/s]\n0, 1\n1, 2"}}, OUT], {}, "two-amounts"),
        ([{**IN, "history": {"csv": "t [s], factor\n0, 1\n1, 2"}}, OUT], {}, "steady-history"),
        ([IN, OUT], {"parameters": {"regime": "unsteady"}}, "missing"),
        ([IN, OUT], {"parameters": {"end_time": "1 s"}}, "steady-time"),
        ([IN, OUT], {"parameters": {"turbulence": "wale"}}, "steady-les"),
        (
            [IN, OUT],
            {
                "domain": {"kind": "plane", "face": "top"},
                "parameters": {"regime": "unsteady", "end_time": "1 s", "turbulence": "wale"},
            },
            "plane-les",
        ),
        ([IN, OUT], {"parameters": {"gravity": ["0", "-9.81 m/s2", "0"]}}, "no-heat"),
        ([{**IN, "velocity": "3 m/s"}, OUT], {"parameters": {"reference_length": "20 mm"}}, "turbulent"),
        ([{**IN, "concentration": 1}, OUT], {}, "missing"),
        ([IN, OUT], {"bodies": [{"material": "steel-s235jr"}]}, "no-fluid"),
        ([IN, OUT], {"quantities": [{"name": "f", "kind": "force"}]}, "where-wanted"),
        ([IN, OUT], {"quantities": [{"name": "t", "kind": "temperature"}]}, "where-wanted"),
        ([IN, OUT], {"domain": {"kind": "inside", "openings": ["left"]}}, "not-an-opening"),
        ([IN], {"domain": {"kind": "around", "along": "x"}}, "no-inflow"),
        (
            [{"kind": "wall", "on": "top", "velocity": ["1 m/s", "0", "0"], "rotation": {"speed": "60 rpm"}}],
            {},
            "two-motions",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_a_way_out(conditions: list[Any], more: dict[str, Any], code: str) -> None:
    found = problems(conditions, **more)
    assert code in found, found
    assert found[code].severity == "error"
    assert found[code].found and found[code].expected and found[code].todo


def test_viscosity_zero_is_refused() -> None:
    material = {"name": "ideal", "density": "1000 kg/m3", "dynamic_viscosity": "0 Pa s"}
    with pytest.raises(Refused) as caught:
        bound([IN, OUT], bodies=[{"material": material}])
    assert any("dynamic_viscosity" in p.where and "greater than 0" in p.expected for p in caught.value.problems)


def test_a_turbulent_flow_is_sent_to_its_solver() -> None:
    found = problems([{**IN, "velocity": "3 m/s"}, OUT], parameters={"reference_length": "20 mm"})
    assert "cfd.openfoam" in found["turbulent"].todo


def test_an_opening_without_a_condition_is_warned_of() -> None:
    found = problems([IN, OUT], domain={"kind": "inside", "openings": ["left", "right", "top"]})
    assert found["closed-opening"].severity == "warning"


def test_a_history_repeats_and_stays_within_its_ends() -> None:
    text = "t [s], u [m/s]\n0, 1\n1, 3\n"
    inlet = bound(
        [{"kind": "inlet", "on": "left", "history": {"csv": text}}, OUT],
        parameters={"regime": "unsteady", "end_time": "1 s"},
    ).conditions[0]
    assert inlet.over_time("u")(0.25) == pytest.approx(1.5)
    assert inlet.over_time("u")(7.25) == pytest.approx(3)
    again = inlet.model_copy(update={"repeats": True})
    assert again.over_time("u")(0.5) == again.over_time("u")(7.5) == pytest.approx(2)


def test_a_history_is_smooth_and_overshoots_nothing() -> None:
    """A pulse that rises and stays: no value outside its rows, and no jump of the slope at them."""
    rows = "".join(f"{t}, {u}\n" for t, u in ((0, 0), (0.1, 0), (0.2, 1), (0.3, 1), (0.4, 0.2), (0.5, 0)))
    curve = bound(
        [{"kind": "inlet", "on": "left", "history": {"csv": "t [s], u [m/s]\n" + rows}, "repeats": True}, OUT],
        parameters={"regime": "unsteady", "end_time": "1 s"},
    ).conditions[0].over_time("u")  # fmt: skip
    values = [curve(0.5 * k / 1000) for k in range(2000)]
    assert min(values) >= 0 and max(values) <= 1
    slopes = [2000 * (b - a) for a, b in itertools.pairwise(values)]
    assert max(abs(b - a) for a, b in itertools.pairwise(slopes)) < 1.0
    assert curve(0.4) == pytest.approx(0.2)


def test_a_case_in_si_reads_as_it_was() -> None:
    """Run folders hold cases in SI, tables among them."""
    text = "t [ms], Q [l/min]\n0, 60\n1000, 120\n"
    typed = bound(
        [{"kind": "inlet", "on": "left", "history": {"csv": text}}, OUT],
        parameters={"regime": "unsteady", "end_time": "1 s"},
    )
    again = Flow().bind(read(Flow().in_si(typed), si=True), si=True)
    assert again.conditions[0].over_time("Q")(0.5) == pytest.approx(1.5e-3)
    assert typed.conditions[0].over_time("Q")(0.5) == pytest.approx(1.5e-3)
    assert again.params == typed.params


@pytest.mark.parametrize(
    ("domain", "nodes", "measured"),
    [
        ("part", 7_058, 509e6),
        ("part", 18_182, 910e6),
        ("part", 32_954, 2283e6),
        ("part", 36_651, 1841e6),
        ("plane", 31_449, 919e6),
        ("plane", 83_835, 2160e6),
    ],
)
def test_the_memory_of_factors_is_in_the_estimate(domain: str, nodes: int, measured: float) -> None:
    """Against the peak of processes that factorised meshes of so many nodes whole."""
    more = {"domain": {"kind": "plane", "face": "left"}} if domain == "plane" else {}
    cost = Flow().costs(bound([IN, OUT], **more))
    assert 0.95 < cost.memory(nodes, 1) / measured < 1.45


@pytest.mark.parametrize(
    ("more", "ratio"),
    [
        ({}, 1.4),
        ({"mesh": {"coarser": 2}}, 2.0),
        ({"parameters": {"error_bars": False}}, None),
        ({"parameters": {"regime": "unsteady", "end_time": "1 s"}}, None),
        ({"domain": {"kind": "plane", "face": "top"}}, None),
    ],
)
def test_a_coarser_mesh_is_made_where_bars_come_from_it(more: dict[str, Any], ratio: float | None) -> None:
    asked = bound([{"kind": "inlet", "on": "left", "velocity": "1 m/s"}, {"kind": "outlet", "on": "right"}], **more)
    assert Flow().in_si(asked).get("mesh", {}).get("coarser") == ratio


def test_steps_in_time_cost() -> None:
    short, long = (
        Flow().costs(bound([IN, OUT], parameters={"regime": "unsteady", "end_time": end, "time_step": "0.01 s"}))
        for end in ("1 s", "10 s")
    )
    assert long.seconds(1e4, 1) > 5 * short.seconds(1e4, 1) - 5 * short.start


def test_a_doubt_about_the_reynolds_number_is_said_in_italian_too() -> None:
    from solvers.cfd.flow.driving import judge

    (said,) = judge(bound([IN, OUT]), 3000.0)
    assert said["it"].startswith(
        "parameters.regime: un flusso laminare stazionario con numero di Reynolds 3e+03; atteso:"
    )
    assert "La risposta vale se il flusso resta laminare" in said["it"]
