"""Studies: which points there are, what they change, what comes out, and that nothing is hidden."""

import copy
import csv
import io
import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hub.case import load_data
from hub.catalogue import package_folder
from hub.clusters import read as cluster
from hub.clusters import save
from hub.convergence import judge, observed_order
from hub.problem import Refused
from hub.settings import Settings
from hub.study import Study, latin_hypercube, load, place, points, read, si_value
from hub.study_result import StudyResult
from hub.sweep import Sweep, _slots, open_study, place_by_rule, retry, walk

BEAM = package_folder("cases") / "cantilever"
BASE, _ = load_data(BEAM)


def study(**changes: Any) -> Study:
    return read({"title": "loads", "case": "here", **changes})


def problems(**changes: Any) -> str:
    with pytest.raises(Refused) as refused:
        study(**changes)
    return str(refused.value)


# --- points -------------------------------------------------------------------------------------------------------


def test_a_grid_has_every_combination() -> None:
    axes = [
        {"path": "mesh.size", "from": "20 mm", "to": "40 mm", "count": 3},
        {"path": "mesh.order", "values": [1, 2]},
    ]
    found = study(sweep=axes).values()
    assert found == [(f"{h} mm", o) for h in (20, 30, 40) for o in (1, 2)]
    log = study(sweep=[{"path": "mesh.size", "from": "1 mm", "to": "100 mm", "count": 3, "spacing": "log"}]).values()
    assert [si_value(v) for (v,) in log] == pytest.approx([1e-3, 1e-2, 1e-1])


def test_a_list_goes_through_the_axes_together() -> None:
    axes = [{"path": "mesh.size", "values": ["2 cm", "3 cm"]}, {"path": "mesh.order", "values": [1, 2]}]
    assert study(sweep=axes, points="list").values() == [("2 cm", 1), ("3 cm", 2)]
    axes[1]["values"] = [1]
    assert "as many values on every axis" in problems(sweep=axes, points="list")


@given(count=st.integers(1, 60), axes=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_a_latin_hypercube_has_one_point_in_each_part_of_each_axis(count: int, axes: int, seed: int) -> None:
    shares = latin_hypercube(count, axes, seed)
    assert np.array_equal(
        np.sort(np.floor(shares * count).astype(int), axis=0), np.tile(np.arange(count)[:, None], axes)
    )
    assert np.array_equal(shares, latin_hypercube(count, axes, seed))


def test_a_table_gives_points_with_units_in_cells_or_heads() -> None:
    text = "load;conditions[load].value[2] [N];materials\n# a remark\n1;-500;copper-etp\n2;-1,5e3;peek\n"
    axes = [{"path": "mesh.order", "name": "load", "values": [1]}]
    made = study(sweep=axes, points={"csv": text})
    assert made.values() == [(1.0, "-500 N", "copper-etp"), (2.0, "-1,5e3 N", "peek")]
    assert [axis.path for axis in made.axes()] == ["mesh.order", "conditions[load].value[2]", "materials"]
    assert "line 2" in problems(points={"csv": "mesh.size\n1,2\n"})
    assert "at least one point" in problems(points={"csv": "mesh.size\n"})


def test_what_is_wrong_is_named() -> None:
    assert "either values, or from and to" in problems(sweep=[{"path": "mesh.size"}])
    assert "in the same unit" in problems(sweep=[{"path": "mesh.size", "from": "1 mm", "to": "1 cm", "count": 2}])
    assert "a count" in problems(sweep=[{"path": "mesh.size", "from": "1 mm", "to": "2 mm"}])
    assert "a path into the case" in problems(sweep=[{"path": "mesh..size]", "values": [1]}])
    assert "three values of mesh.size" in problems(sweep=[{"path": "mesh.size", "values": ["1 mm"]}], verdict="mesh")
    many = [{"path": f"parameters.{p}", "from": 0, "to": 1, "count": 100} for p in "abc"]
    assert "at most" in problems(sweep=many)


# --- from a point to a case ---------------------------------------------------------------------------------------


def test_a_value_is_put_where_its_path_says() -> None:
    case = copy.deepcopy(BASE)
    place(case, "conditions[load].value[2]", "-1 kN")
    place(case, "conditions[2].name", "weight")
    place(case, "mesh.size", "30 mm")
    place(case, "parameters.tolerance", 1e-6)
    place(case, "materials", "peek")
    assert case["conditions"][2]["value"] == [0, 0, "-1 kN"] and case["conditions"][2]["name"] == "weight"
    assert case["mesh"]["size"] == "30 mm" and case["parameters"] == {"tolerance": 1e-6}
    assert [b["material"] for b in case["bodies"]] == ["peek"]


@pytest.mark.parametrize(
    ("path", "said"),
    [("conditions[9].value", "from 0 to 2"), ("conditions[lid].value", "wall"), ("geometry.file", "other than"),
     ("mesh.size.more", "a value of the case"), ("conditions[load].valve.x", "one of kind")],
)  # fmt: skip
def test_a_path_that_leads_nowhere_is_refused(path: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        place(copy.deepcopy(BASE), path, 1)


def test_meshes_of_a_mesh_study_are_similar() -> None:
    base = {**BASE, "mesh": {"size": "20 mm", "refine": [{"on": "wall", "size": "10 mm"}]}}
    sizes = {"path": "mesh.size", "values": ["28 mm", "20 mm", "14 mm"]}
    made = points(study(sweep=[sizes], verdict="mesh"), base)
    fine = [si_value(p.case["mesh"]["refine"][0]["size"]) for p in made]
    assert fine == pytest.approx([0.014, 0.010, 0.007])


# --- convergence of meshes ----------------------------------------------------------------------------------------


def test_the_grid_convergence_index_is_that_of_the_published_example() -> None:
    """Celik et al., J. Fluids Eng. 130 (2008) 078001, table 1: reattachment length and an axial velocity."""
    length = judge([6.063, 5.972, 5.863], [1, 1.5, 1.5 * 1.333])
    assert (length.kind, round(length.order or 0, 1)) == ("monotone", 1.5)
    assert length.extrapolated == pytest.approx(6.1685, abs=2e-3) and length.relative == pytest.approx(0.022, abs=5e-4)
    velocity = judge([10.7880, 10.7250, 10.6050], [1, 2.0, 2.0 * 2.143])
    assert velocity.order == pytest.approx(0.75, abs=0.01)
    assert velocity.extrapolated == pytest.approx(10.8801, abs=2e-3)
    assert velocity.relative == pytest.approx(0.011, abs=5e-4)


@given(
    p=st.floats(0.6, 6),
    r21=st.floats(1.1, 3),
    r32=st.floats(1.1, 3),
    c=st.floats(-5, 5).filter(lambda c: abs(c) > 1e-3),
)
def test_an_order_that_was_put_in_is_found(p: float, r21: float, r32: float, c: float) -> None:
    h = np.array([1.0, r21, r21 * r32])
    values = 3.0 + c * h**p
    found = judge(values.tolist(), h.tolist())
    assert found.kind == "monotone" and found.order == pytest.approx(p, rel=1e-4)
    assert abs(values[0] - 3.0) <= found.error * (1 + 1e-6), "the bar covers the value on an infinitely fine mesh"
    assert observed_order((values[2] - values[1]) / (values[1] - values[0]), r21, r32) == pytest.approx(p, rel=1e-4)


def test_values_without_an_order_have_a_bar_of_three_ranges() -> None:
    assert judge([1.0, 1.2, 1.1], [1, 2, 4]).kind == "oscillating"
    away = judge([4.0, 2.0, 1.0], [1, 2, 4])
    assert (away.kind, away.error) == ("diverging", 9.0) and not away.converged
    assert judge([5.0, 5.0, 5.0], [1, 2, 4]).kind == "settled"
    with pytest.raises(ValueError, match="three different sizes"):
        judge([1, 2, 3], [1, 1, 2])


# --- from a study to its table ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Settings, StudyResult]:
    """Loads on a coarse beam: one twice, one that is no force, and one that may take a millisecond only."""
    root = tmp_path_factory.mktemp("study")
    settings = Settings(home=root / "home", ranks=1).make_home()
    table = "conditions[load].value[2];resources.time\n-500 N;1 h\n-1 kN;1 h\n-500 N;1 h\n5 apples;1 h\n-2 kN;1 ms\n"
    (root / "points.csv").write_text(table)
    (root / "case.yaml").write_text(yaml.safe_dump({**BASE, "mesh": {"size": "50 mm"}}))
    (root / "beam.step").write_bytes((BEAM / "beam.step").read_bytes())
    (root / "study.yaml").write_text("title: Loads\ncase: .\npoints: {file: points.csv}\n")
    asked, case, geometry = load(root)
    sweep = Sweep(root / "out", settings.cache)
    open_study(sweep, asked, case, geometry)
    return sweep, settings, walk(sweep, settings)


def test_points_are_answered_refused_and_failed_each_for_itself(walked: tuple[Sweep, Settings, StudyResult]) -> None:
    sweep, _, result = walked
    assert [p.state for p in result.points] == ["done", "done", "done", "refused", "failed"]
    assert result.state == "partly"
    first, second, third, refused, failed = result.points
    ratio = second.quantities["sinking"].value / first.quantities["sinking"].value
    assert math.isclose(ratio, 2, rel_tol=1e-6), "linear elasticity"
    assert third.same_as == 1 and third.quantities == first.quantities and third.run == first.run
    assert len(list((sweep.folder / "points").iterdir())) == 3, "equal points are computed once"
    assert "5 apples" in (refused.failure or {})["hint"]
    assert (failed.failure or {})["code"] == "time-limit"


def test_the_table_holds_every_point(walked: tuple[Sweep, Settings, StudyResult]) -> None:
    sweep, _, result = walked
    rows = list(csv.DictReader(io.StringIO((sweep.folder / "table.csv").read_text())))
    assert [r["state"] for r in rows] == [p.state for p in result.points]
    assert float(rows[1]["sinking [m]"]) == result.points[1].quantities["sinking"].value
    assert float(rows[1]["sinking error [m]"]) > 0
    assert "apples" in rows[3]["failure"] and rows[4]["sinking [m]"] == ""
    sinking = next(c for c in result.curves if c.name == "sinking-1")
    assert sinking.lines[0].x == (-1000.0, -500.0, -500.0) and sinking.lines[0].error is not None
    assert (sweep.folder / "plots" / "sinking-1.png").read_bytes().startswith(b"\x89PNG")


def test_only_what_failed_is_run_again(walked: tuple[Sweep, Settings, StudyResult]) -> None:
    sweep, settings, before = walked
    stamps = {p.run: (sweep.run(p.run).folder / "result.json").stat().st_mtime_ns for p in before.points[:3] if p.run}
    assert retry(sweep) == 1
    again = walk(sweep, settings)
    assert again.points[4].state == "failed", "a millisecond is still too short"
    assert stamps == {run: (sweep.run(run).folder / "result.json").stat().st_mtime_ns for run in stamps}


@pytest.mark.parametrize(("cores", "chosen"), [(16, "far"), (1, "here")])
def test_a_rule_takes_one_place_for_all_points_and_stays_with_it(tmp_path: Path, cores: int, chosen: str) -> None:
    settings = Settings(home=tmp_path / "home", ranks=2).make_home()
    limits = {"cores": cores, "memory": "64 GB", "time": "1 h"}
    save(settings.home, cluster({"name": "far", "transport": "local", "scheduler": "none", "limits": limits}))
    case = {**BASE, "resources": {"cluster": "best", "prefer": "sooner"}}
    sweep = Sweep(tmp_path / "out", settings.cache)
    loads = {"path": "conditions[load].value[2]", "values": ["-500 N", "-1 kN", "-2 kN", "-3 kN"]}
    open_study(sweep, study(case=case, sweep=[loads]), case, BEAM / "beam.step")
    assert place_by_rule(sweep, settings) == chosen
    (settings.home / "clusters" / "far.yaml").unlink()
    assert place_by_rule(sweep, settings) == chosen, "what has begun there is not moved"


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    sweep = Sweep(tmp_path, tmp_path / "cache")
    asked = study(sweep=[{"path": "mesh.size", "values": ["50 mm"]}])
    with pytest.raises(Refused, match="other things"):
        open_study(sweep, asked, BASE, BEAM / "beam.step")
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_slots_show_nothing_to_others_on_the_machine() -> None:
    before = {c.laddr for c in psutil.Process().net_connections() if c.status == psutil.CONN_LISTEN}
    with _slots(2) as client:
        assert client.submit(sum, (1, 2)).result() == 3
        listening = {c.laddr for c in psutil.Process().net_connections() if c.status == psutil.CONN_LISTEN} - before
        assert {at.ip for at in listening} <= {"127.0.0.1"}
        for at in listening:
            for page in (
                "",
                "health",
                "metrics",
                "info/main/workers.html",
                "json/counts.json",
                "api/v1/retire_workers",
            ):
                assert httpx.get(f"http://127.0.0.1:{at.port}/{page}").status_code == 404
