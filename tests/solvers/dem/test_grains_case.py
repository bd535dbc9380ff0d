"""What a case of grains comes to before it runs: sizes, stiffness, steps, and what is refused."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

from hub.case import read
from hub.problem import Refused
from solvers.dem.grains.__main__ import Grains
from solvers.dem.grains.conditions import Normal, Region, Sieve, SieveRow, Uniform
from solvers.dem.grains.plan import Plan

CASE: dict[str, Any] = {
    "title": "A box of grains",
    "geometry": {"file": "box.stl"},
    "domain": {"kind": "walls"},
    "solver": "dem.grains",
    "parameters": {"settling": "1 s", "duration": "1 s"},
    "bodies": [{"material": {"name": "steel", "density": "7850 kg/m3", "youngs_modulus": "210 GPa",
                             "poissons_ratio": 0.3}}],
    "conditions": [
        {"kind": "grains", "name": "peas", "sizes": {"kind": "equal", "diameter": "8 mm"}, "density": "1200 kg/m3",
         "youngs_modulus": "50 MPa", "poissons_ratio": 0.25},
        {"kind": "contact", "between": ["peas", "peas"], "restitution": 0.5, "friction": 0.5},
        {"kind": "contact", "between": ["peas", "walls"], "restitution": 0.5, "friction": 0.3},
        {"kind": "fill", "of": "peas", "number": 50, "region": {"low": ["0 m", "0 m", "0 m"],
                                                                "high": ["50 mm", "50 mm", "80 mm"]}},
        {"kind": "gravity", "value": {"magnitude": "9.81 m/s2", "direction": "-z"}},
    ],
}  # fmt: skip


def case(**changes: Any) -> dict[str, Any]:
    """The case above with conditions replaced by their number, or added under other keys."""
    data = copy.deepcopy(CASE)
    for key, value in changes.items():
        if key.startswith("c") and key[1:].isdigit():
            data["conditions"][int(key[1:])].update(value)
        elif key == "more":
            data["conditions"] += value
        else:
            data[key] = value
    return data


def codes(data: dict[str, Any]) -> dict[str, str]:
    """code -> where, of every problem with a case, refused or not."""
    solver = Grains()
    try:
        bound = solver.bind(read(data))
    except Refused as refused:
        return {p.code: p.where for p in refused.problems}
    return {p.code: p.where for p in solver.check(bound)}


def test_a_sound_case_has_no_problems() -> None:
    assert codes(case()) == {}


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (case(c1={"restitution": 1.2}), "less-than-equal", "conditions[1].restitution"),
        (case(c0={"youngs_modulus": "0 MPa"}), "greater-than", "conditions[0].youngs_modulus"),
        (case(c1={"between": ["peas", "beans"]}), "unknown-grains", "conditions[1].between[1]"),
        (case(c3={"of": "beans"}), "unknown-grains", "conditions[3].of"),
        (case(c3={"number": None, "mass": None}), "contradiction", "conditions[3]"),
        (case(c3={"region": {"low": ["0 m", "0 m", "0 m"], "high": ["5 mm", "50 mm", "50 mm"]}}), "no-room",
         "conditions[3].region"),
        (case(c3={"number": 100000}), "no-room", "parameters.settling"),
        (case(c4={"value": ["0 m/s2", "0 m/s2", "0 m/s2"]}, c3={"number": 1000}), "no-room", "conditions[3]"),
        (case(c4={"value": ["0 m/s2", "0 m/s2", "0 m/s2"]}), "no-gravity", "conditions"),
        (case(parameters={"duration": "1 s"}), "no-settling", "parameters.settling"),
        (case(more=[{"kind": "inlet", "of": "peas", "mass_flow": "50 kg/s",
                     "region": {"low": ["0 m", "0 m", "0 m"], "high": ["50 mm", "50 mm", "50 mm"]}}]), "no-room",
         "conditions[5].mass_flow"),
        (case(more=[{"kind": "outlet", "point": ["0 m", "0 m", "-10 mm"], "direction": "-z"}]), "none", ""),
        (case(more=[{"kind": "outlet", "point": ["0 m", "0 m", "-10 mm"], "direction": "z"}]), "outlet-side",
         "conditions[5]"),
        (case(more=[{"kind": "periodic", "axis": "x", "low": "0 m", "high": "20 mm"}]), "periodic", "conditions[5]"),
        (case(more=[{"kind": "rotation", "axis": "x", "speed": "10 rpm"}]), "contradiction", "conditions[5]"),
        (case(quantities=[{"name": "p", "kind": "wall_pressure"}]), "where-wanted", "quantities[0].on"),
        (case(quantities=[{"name": "a", "kind": "repose_angle", "component": "pyramid"}]), "unknown-component",
         "quantities[0].component"),
        (case(conditions=[]), "no-grains", "conditions"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_stands(data: dict[str, Any], code: str, where: str) -> None:
    found = codes(data)
    if code == "none":
        assert found == {}
    else:
        assert found[code] == where


def test_a_missing_contact_is_named() -> None:
    data = case()
    del data["conditions"][2]
    with pytest.raises(Refused) as refused:
        Grains().bind(read(data))
    (problem,) = refused.value.problems
    assert problem.code == "no-contact" and "peas meets walls" in problem.found


def test_a_tail_of_small_grains_says_which_size_and_what_it_costs() -> None:
    """2 % of the mass at a tenth of the size: (0.98 + 0.02 * 1000) times the grains, ten times the steps."""
    rows = [{"diameter": "8 mm", "share": 98}, {"diameter": "0.8 mm", "share": 2}]
    with pytest.raises(Refused) as refused:
        Grains().bind(read(case(c0={"sizes": {"kind": "sieve", "rows": rows}})))
    (problem,) = refused.value.problems
    assert problem.code == "size-tail" and "0.8 mm" in problem.found and "8 mm" in problem.todo
    cost = float(problem.found.split("cost ")[1].split(" times")[0])
    assert cost == pytest.approx((0.98 + 0.02 * 1000) * 10, rel=0.1)


def test_sizes_are_what_was_asked_for() -> None:
    rng = np.random.default_rng(3)
    d = Uniform(kind="uniform", least="3 mm", most="5 mm").draw(40_000, rng)
    assert (d.min(), d.max()) == (pytest.approx(3e-3, abs=1e-6), pytest.approx(5e-3, abs=1e-6))
    d = Normal(kind="normal", mean="4 mm", deviation="0.5 mm", cut=2).draw(40_000, rng)
    assert d.mean() == pytest.approx(4e-3, rel=2e-3) and np.abs(d - 4e-3).max() <= 1e-3
    # a normal distribution cut at two deviations has 0.8796 of them: Johnson, Kotz, Balakrishnan, ch. 13, 10.1
    assert d.std() == pytest.approx(0.8796 * 0.5e-3, rel=0.02)
    rows = (SieveRow(diameter="2 mm", share=1), SieveRow(diameter="4 mm", share=3))
    d = Sieve(kind="sieve", rows=rows).draw(40_000, rng)
    coarse = d > 3e-3
    assert (d[coarse] ** 3).sum() / (d**3).sum() == pytest.approx(0.75, abs=0.01)


def test_regions() -> None:
    box = Region(low=["0 m", "0 m", "0 m"], high=["1 m", "2 m", "3 m"])
    tube = Region(base=["0 m", "0 m", "1 m"], top=["0 m", "0 m", "3 m"], radius="0.5 m")
    assert box.volume == 6 and tube.volume == pytest.approx(math.pi / 2)
    rng = np.random.default_rng(0)
    for region in (box, tube):
        points = region.draw(20_000, rng)
        assert region.contains(points).all()
        low, high = region.box()
        assert (points.min(axis=0) >= low).all() and (points.max(axis=0) <= high).all()
        assert np.allclose(points.mean(axis=0), (low + high) / 2, atol=0.02)
    assert tube.contains(np.array([[0.3, 0.0, 2.0], [0.45, 0.0, 2.0]]), 0.1).tolist() == [True, False]


def test_steps_follow_the_rayleigh_time_and_softening_the_overlap() -> None:
    bound = Grains().bind(read(case()))
    plan = Plan(bound)
    # pi R sqrt(rho / G) / (0.1631 nu + 0.8766), a fifth of it
    shear = plan.modulus(50e6) / 2.5
    assert plan.step == pytest.approx(0.2 * math.pi * 4e-3 * math.sqrt(1200 / shear) / (0.1631 * 0.25 + 0.8766))
    assert plan.softening > 1
    deeper = Plan(Grains().bind(read(case(parameters={"settling": "1 s", "duration": "1 s", "overlap": 0.02}))))
    assert deeper.softest < plan.softest and deeper.step > plan.step
    real = Plan(Grains().bind(read(case(parameters={"settling": "1 s", "duration": "1 s", "stiffness": "real"}))))
    assert real.softening == 1 and real.step < plan.step
    assert Grains().costs(bound).fixed == 50
