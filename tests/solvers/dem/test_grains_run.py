"""Small runs from the mesh to the answer, against closed forms."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import h5py
import meshio
import numpy as np
import pytest
from mpi4py import MPI

from hub.case import read
from hub.meshfile import MeshFile
from hub.result import Answer
from hub.runfolder import Attempt, Job
from hub.solver import StageError
from solvers.dem.grains import follow as following
from solvers.dem.grains.__main__ import Grains
from solvers.dem.grains.answer import make
from solvers.dem.grains.machine import build
from solvers.dem.grains.plan import Plan
from solvers.fem.elasticity.__main__ import Elasticity
from solvers.post.poses import Poses, ended
from tests.solvers.dem.test_grains_case import CASE
from tests.solvers.fem.grids import grid

FLOOR, SIDES, LID = 0, 1, 2


def box(low: Any, high: Any, *, floor: bool = True, lid: bool = False, body: int = 0) -> MeshFile:
    """The skin of a box, the normals outwards; without its lid it is a cup, without its floor a pipe."""
    x = np.array([[(low, high)[c >> k & 1][k] for k in range(3)] for c in range(8)], float)
    sides = [(0, 1, 5), (0, 5, 4), (2, 6, 7), (2, 7, 3), (0, 4, 6), (0, 6, 2), (1, 3, 7), (1, 7, 5)]
    facets = [(t, SIDES) for t in sides]
    facets += [(t, FLOOR) for t in ((0, 3, 1), (0, 2, 3))] if floor else []
    facets += [(t, LID) for t in ((4, 5, 7), (4, 7, 6))] if lid else []
    faces = [{"index": k, "bodies": [body], "type": "plane", "area": 1.0, "centroid": [0, 0, 0]} for k in range(3)]
    return MeshFile(
        points=x, cells=np.empty((0, 4), np.int64), cell_body=np.empty(0, np.int32),
        facets=np.array([t for t, _ in facets]), facet_face=np.array([f for _, f in facets], np.int32),
        bodies=[{"name": "cup", "volume": 0.0}], faces=faces,
        selections={"floor": [FLOOR]}, numbers={"open_edges": 0 if floor and lid else 4},
    )  # fmt: skip


def run(tmp_path: Path, mesh: MeshFile, data: dict[str, Any], name: str = "1", files: Any = None) -> Any:
    """(Answer, attempt) of a case in this process."""
    solver = Grains()
    bound = solver.bind(read(data))
    mesh.write(tmp_path)
    given = {"mesh.npz": tmp_path / "mesh.npz", "mesh.json": tmp_path / "mesh.json"} | (files or {})
    attempt = Attempt.create(tmp_path / name, {"case.json": solver.in_si(bound)}, given, Job(name="t", argv=("x",)))
    return make(bound, mesh, attempt, MPI.COMM_SELF), attempt


def case(**parameters: Any) -> dict[str, Any]:
    data = copy.deepcopy(CASE)
    data["parameters"] = {"settling": "0.4 s", "duration": "0.1 s", "frames": 6, **parameters}
    data["conditions"][2]["friction"] = 0.0
    data["selections"] = {"floor": {"extreme": "-z"}}
    return data


CUP = box((0, 0, 0), (0.05, 0.05, 0.1))


def test_a_smooth_box_bears_the_weight_on_its_floor(tmp_path: Path) -> None:
    data = case(settling="0.6 s")
    data["quantities"] = [{"name": "p", "kind": "wall_pressure", "on": "floor"}]
    answer, attempt = run(tmp_path, CUP, data)
    weight = 50 * 1200 * math.pi / 6 * 0.008**3 * 9.81
    assert answer.quantities["p"].value * 0.05**2 == pytest.approx(weight, rel=0.02)
    assert all(check.passed for check in answer.checks), answer.checks
    assert answer.verdict.sentence["it"]
    with h5py.File(attempt.out / "moving.vtkhdf") as h:
        root = h["VTKHDF"]
        steps = root["Steps"].attrs["NSteps"]
        assert steps >= 6 and root["Steps/Values"][-1] == pytest.approx(0.7, rel=0.02)
        last = root["Points"][root["Steps/PointOffsets"][-1] :]
        assert len(last) == 50 and (last[:, 2] > 0.0035).all() and (last[:, 2] < 0.05).all()
    history = [json.loads(line) for line in (attempt.folder / "history.jsonl").read_text().splitlines()]
    assert history[-1]["grains"] == 50


def test_what_grains_press_with_is_a_load_of_the_elastic_plate_below(tmp_path: Path) -> None:
    """The foot of the plate holds the weight of the grains: Newton's third law through both solvers and the table."""
    side, parts = 0.05, 8
    top = grid((parts, parts, 1), lambda x: x * (side, side, 0.005) - (0, 0, 0.005), order=1)
    floor = top.facets[top.facet_face == 5]  # z1, its normals upwards; the cup's look out, downwards
    walls = box((0, 0, 0), (side, side, 0.1), floor=False)
    cup = dataclasses.replace(
        CUP,
        points=np.concatenate([walls.points, top.points]),
        facets=np.concatenate([walls.facets, floor[:, ::-1] + len(walls.points)]),
        facet_face=np.concatenate([walls.facet_face, np.full(len(floor), FLOOR, np.int32)]),
    )
    data = case(settling="0.5 s")
    data["conditions"][0]["sizes"]["diameter"] = "5 mm"
    data["conditions"][3]["number"] = 400
    data["quantities"] = [{"name": "p", "kind": "wall_pressure", "on": "floor"}]
    answer, attempt = run(tmp_path, cup, data)
    weight = 400 * 1200 * math.pi / 6 * 0.005**3 * 9.81
    assert answer.quantities["p"].value * side**2 == pytest.approx(weight, rel=0.02)
    steel = {"name": "steel", "youngs_modulus": 2e11, "poissons_ratio": 0.3, "density": 8e3, "yield_strength": 2e8}
    table = {"csv": (attempt.out / "pressure-p.csv").read_text()}
    plate = {
        "title": "plate", "geometry": {"file": "part.step"}, "solver": "fem.elasticity",
        "bodies": [{"material": steel}],
        "selections": {"foot": {"extreme": "-z"}, "floor": {"extreme": "z"}},
        "conditions": [{"kind": "fixed", "on": "foot"}, {"kind": "pressure_map", "on": "floor", "table": table}],
        "quantities": [{"name": "held", "kind": "reaction", "on": "foot", "component": "z"}],
    }  # fmt: skip
    solver = Elasticity()
    bound = solver.bind(read(plate, si=True), si=True)
    mesh = grid((parts, parts, 1), lambda x: x * (side, side, 0.005) - (0, 0, 0.005))
    dataclasses.replace(mesh, selections={"foot": [4], "floor": [5]}).write(tmp_path)
    given = {"mesh.npz": tmp_path / "mesh.npz", "mesh.json": tmp_path / "mesh.json"}
    elastic = Attempt.create(tmp_path / "plate", {"case.json": solver.in_si(bound)}, given, Job(name="t", argv=("x",)))
    held = solver.solve(bound, elastic)
    assert held is not None
    assert held.quantities["held"].value == pytest.approx(weight, rel=0.05)


def test_a_place_inside_a_settled_bed_is_full(tmp_path: Path) -> None:
    """Fill is measured in settled beds; both walls that are asked for are in the verdict."""
    data = case(settling="0.5 s", duration="0.02 s")
    data["conditions"][0]["sizes"]["diameter"] = "4 mm"
    data["conditions"][3]["number"] = 2200
    data["conditions"][3]["region"]["high"][2] = "100 mm"
    data["selections"]["sides"] = {"extreme": "x"}
    inside = {"low": ["10 mm", "10 mm", "10 mm"], "high": ["40 mm", "40 mm", "34 mm"]}
    data["conditions"] += [{"kind": "zone", "name": "deep", "region": inside}]
    data["quantities"] = [{"name": f"p_{on}", "kind": "wall_pressure", "on": on} for on in ("floor", "sides")]
    mesh = dataclasses.replace(CUP, selections={"floor": [FLOOR], "sides": [SIDES]})
    answer, _ = run(tmp_path, mesh, data)
    fill = answer.quantities["zone_fill"]
    # by their centres some grains more or less count: those of a layer a radius thick at three faces of six
    assert fill.value == pytest.approx(1.0, abs=0.05)
    said = answer.verdict.sentence["en"]
    assert "pressure on floor" in said and "pressure on sides" in said


def test_other_programs_read_the_files(tmp_path: Path) -> None:
    """VTK itself finds every frame with its own number of grains, and the walls beside the grains."""
    data = case()
    data["conditions"].append({"kind": "outlet", "point": ["0 m", "0 m", "-20 mm"], "direction": "-z"})
    pipe = box((0, 0, 0), (0.05, 0.05, 0.1), floor=False)
    answer, attempt = run(tmp_path, pipe, data)
    from vtkmodules.vtkIOHDF import vtkHDFReader
    from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader

    reader = vtkHDFReader()
    reader.SetFileName(str(attempt.out / "moving.vtkhdf"))
    reader.UpdateInformation()
    counts = []
    for step in range(reader.GetNumberOfSteps()):
        reader.SetStep(step)
        reader.Update()
        counts.append(reader.GetOutputDataObject(0).GetNumberOfPoints())
    assert counts[0] == 50 and counts[-1] == 0 and sorted(counts, reverse=True) == counts
    grid = vtkXMLUnstructuredGridReader()
    grid.SetFileName(str(attempt.out / "walls.vtu"))
    grid.Update()
    assert grid.GetOutput().GetNumberOfCells() == len(pipe.facets)
    # everything fell out during settling, and nothing was lost
    assert answer.quantities["discharged"].value == pytest.approx(50 * 1200 * math.pi / 6 * 0.008**3, rel=1e-12)


def test_what_comes_in_goes_out(tmp_path: Path) -> None:
    data = case(settling="0 s", duration="3 s")
    data["conditions"][3] = {
        "kind": "inlet", "of": "peas", "mass_flow": "40 g/s", "velocity": {"magnitude": "0.5 m/s", "direction": "-z"},
        "region": {"low": ["5 mm", "5 mm", "50 mm"], "high": ["45 mm", "45 mm", "90 mm"]},
    }  # fmt: skip
    data["conditions"].append({"kind": "outlet", "point": ["0 m", "0 m", "-50 mm"], "direction": "-z"})
    answer, _ = run(tmp_path, box((0, 0, 0), (0.05, 0.05, 0.1), floor=False), data)
    flow = answer.quantities["mass_flow"]
    one = 1200 * math.pi / 6 * 0.008**3 / 1.5  # a grain more or less in the half of the time that is measured
    assert abs(flow.value - 0.04) < flow.error + one
    assert flow.error < 0.2 * flow.value
    # from rest at 70 mm on average with 0.5 m/s down to -50 mm
    fall = (math.sqrt(0.25 + 2 * 9.81 * 0.12) - 0.5) / 9.81
    assert answer.quantities["residence_time"].value == pytest.approx(fall, rel=0.1)


def test_a_run_goes_on_from_its_checkpoint_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "KEPT_EVERY", 0.0)
    whole, one = run(tmp_path, CUP, case(), "1")
    stopped, two = Exception("stopped"), None
    keep = following.Keeper.keep

    def stop(self: Any) -> None:
        keep(self)
        if self.engine.time > 0.2:
            raise stopped

    monkeypatch.setattr(following.Keeper, "keep", stop)
    with pytest.raises(Exception, match="stopped"):
        run(tmp_path, CUP, case(), "2")
    two = Attempt(tmp_path / "2")
    monkeypatch.setattr(following.Keeper, "keep", keep)
    kept = {f"checkpoint/{f.name}": f for f in two.checkpoint.iterdir() if f.suffix == ".npz"}
    assert set(kept) == {"checkpoint/grains.npz", "checkpoint/seen.npz"}
    again, three = run(tmp_path, CUP, case(), "3", kept)
    assert again.iterations == whole.iterations
    with h5py.File(one.out / "moving.vtkhdf") as a, h5py.File(three.out / "moving.vtkhdf") as b:
        assert np.array_equal(a["VTKHDF/Points"], b["VTKHDF/Points"])
    assert again.quantities == whole.quantities


@pytest.mark.parametrize(
    ("changes", "mesh", "code"),
    [
        ({"number": 900}, CUP, "no-room"),
        ({}, box((-0.01, -0.01, -0.01), (0.06, 0.06, 0.09), lid=True), "inlet-in-wall"),
        ({"velocity": ["3 m/s", "0 m/s", "0 m/s"]}, box((0.2, 0.2, 0), (0.25, 0.25, 0.1)), "grains-escaped"),
    ],
)
def test_what_cannot_be_is_found_before_or_when_it_happens(
    tmp_path: Path, changes: dict[str, Any], mesh: MeshFile, code: str
) -> None:
    data = case(settling="1.5 s" if "number" in changes else "0.4 s")
    data["conditions"][3].update(changes)
    with pytest.raises(StageError) as stopped:
        run(tmp_path, mesh, data)
    assert stopped.value.code == code and stopped.value.hint


def test_bodies_and_faces_move_as_told() -> None:
    data = case()
    data["conditions"] += [
        {"kind": "rotation", "bodies": "cup", "axis": "z", "speed": "60 rpm"},
        {"kind": "vibration", "on": "floor", "amplitude": ["0 m", "0 m", "1 mm"], "frequency": "50 Hz"},
    ]
    plan = Plan(Grains().bind(read(data)))
    machine = build(plan, CUP)
    assert len(machine.walls) == 2 and sum(len(w.triangles) for w in machine.walls) == len(CUP.facets)
    both = next(w for w in machine.walls if w.motion.frequency)
    assert both.motion.spin == pytest.approx(2 * math.pi) and both.motion.start == pytest.approx(0.4)
    assert set(CUP.facet_face[machine.rows[machine.walls.index(both)]]) == {FLOOR}
    data["conditions"][-2]["bodies"] = "drum"
    with pytest.raises(StageError, match="drum") as stopped:
        build(Plan(Grains().bind(read(data))), CUP)
    assert "cup" in stopped.value.hint


def test_files_say_where_moving_walls_stand(tmp_path: Path) -> None:
    """A cup of two bodies: the floor sinks by 2 mm with the grains on it, the sides make a quarter turn about an edge.

    To within a step of time."""
    data, cup = case(settling="0.3 s"), copy.deepcopy(CUP)
    cup.bodies.append({"name": "floor", "volume": 0.0})
    cup.faces[FLOOR]["bodies"] = [1]
    data["conditions"] += [
        {"kind": "translation", "bodies": "floor", "velocity": {"magnitude": "20 mm/s", "direction": "-z"}},
        {"kind": "rotation", "bodies": "cup", "axis": "x", "speed": "150 rpm"},
    ]
    data["conditions"][0]["sizes"]["diameter"], data["conditions"][3]["number"] = "12 mm", 9
    _, attempt = run(tmp_path, cup, data)
    poses = Poses.read(attempt.out / "moving.vtkhdf")
    assert poses is not None
    edges = np.array([[0, 1], [4, 5]])  # below, of the floor and of the sides; above, of the sides alone
    drawn = {"points": cup.points, "triangles": cup.facets, "face": cup.facet_face, "edges": edges}
    for standing in (poses.at(drawn, -1), ended(attempt.out / "moving.vtkhdf", drawn)):
        assert standing is not None
        corners = standing["points"][standing["triangles"]]
        assert corners[cup.facet_face == FLOOR][:, :, 2] == pytest.approx(-0.002, abs=1e-4)
        before = cup.points[cup.facets][cup.facet_face == SIDES]
        turned = np.stack([before[:, :, 0], -before[:, :, 2], before[:, :, 1]], axis=2)
        assert corners[cup.facet_face == SIDES] == pytest.approx(turned, abs=1e-4)
        assert len(standing["edges"]) == 3
    assert poses.at(drawn, 0)["points"][poses.at(drawn, 0)["triangles"]] == pytest.approx(cup.points[cup.facets])
    found = meshio.read(attempt.out / "fields.vtu")
    corners = np.unique(found.cells_dict["triangle"])
    assert (np.flatnonzero(np.isfinite(found.point_data["pressure"])) == corners).all()  # a grain is no wall
    walls = found.points[corners]
    assert walls[:, 2] == pytest.approx(-0.002, abs=1e-4)  # grains have met the floor alone
    back = poses.since_last(np.array([0]))[0][found.point_data["wall"][corners].astype(int)]
    before = np.einsum("nij,nj->ni", back[:, :, :3], walls) + back[:, :, 3]
    assert before[:, 2] == pytest.approx(0.0, abs=1e-9), "put back to where the run began"
    # what it presses with is of the part as drawn
    assert meshio.read(attempt.out / "walls.vtu").points == pytest.approx(cup.points)


def test_two_ranks_answer_as_one(tmp_path: Path) -> None:
    solver = Grains()
    found = []
    data = case()
    data["quantities"] = [{"name": "p", "kind": "wall_pressure", "on": "floor"}]
    bound = solver.bind(read(data))
    CUP.write(tmp_path)
    files = {"mesh.npz": tmp_path / "mesh.npz", "mesh.json": tmp_path / "mesh.json"}
    for ranks in (1, 2):
        job = Job(name=f"r{ranks}", argv=("x",), ranks=ranks)
        attempt = Attempt.create(tmp_path / str(ranks), {"case.json": solver.in_si(bound)}, files, job)
        subprocess.run(
            [*solver.command(ranks), str(attempt.folder)], check=True, timeout=200, capture_output=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        found.append(Answer.model_validate_json((attempt.out / "answer.json").read_bytes()))
    one, two = (a.quantities["p"].value for a in found)
    assert two == pytest.approx(one, rel=0.02)
    assert all(c.passed for a in found for c in a.checks)


def test_a_ball_hovers_in_gas_that_rises_at_its_terminal_velocity(tmp_path: Path) -> None:
    """Newton's drag (Reynolds number 1300, coefficient .44): thrown down at s, it comes to rest after vt2 / g
    ln(1 + s / (2 vt))."""
    terminal, thrown = math.sqrt(4 / 3 * 30 * 9.81 * 0.008 / (0.44 * 1.2)), 0.5
    data = case(settling="0 s", duration="0.8 s")
    data["conditions"][0]["density"] = "30 kg/m3"
    data["conditions"][3] = {
        "kind": "fill", "of": "peas", "number": 1, "velocity": ["0 m/s", "0 m/s", f"{-thrown} m/s"],
        "region": {"low": ["5 mm", "5 mm", "200 mm"], "high": ["45 mm", "45 mm", "240 mm"]},
    }  # fmt: skip
    data["conditions"].append(
        {"kind": "drag", "density": "1.2 kg/m3", "viscosity": "18e-6 Pa s",
         "velocity": ["0 m/s", "0 m/s", f"{terminal} m/s"]}
    )  # fmt: skip
    _, attempt = run(tmp_path, box((0, 0, 0), (0.05, 0.05, 0.3)), data)
    with h5py.File(attempt.out / "moving.vtkhdf") as h:
        times, z = h["VTKHDF/Steps/Values"][:], h["VTKHDF/Points"][:, 2]
    assert times[0] == 0 and times[-1] == pytest.approx(0.8, rel=0.01) and len(z) == len(times)
    fallen = terminal**2 / 9.81 * math.log(1 + thrown / (2 * terminal))
    assert z[0] - z[-1] == pytest.approx(fallen, rel=0.01)


def test_several_seeds_are_so_many_runs_and_their_spread_is_the_bar(tmp_path: Path) -> None:
    """Student's t for two values is 12.706; a bar is never below what the runs' own bars come to."""
    found = []
    for name, given in (("1", {"seed": 1}), ("2", {"seed": 2}), ("3", {"seed": 1, "repeats": 2})):
        data = case(settling="0.15 s", **given)
        data["quantities"] = [{"name": "p", "kind": "wall_pressure", "on": "floor"}]
        found.append(run(tmp_path, CUP, data, name)[0].quantities["p"])
    one, two, both = found
    assert one.value != two.value and both.value == pytest.approx((one.value + two.value) / 2)
    spread = 12.706 * abs(one.value - two.value) / 2
    own = max(one.error or 0.0, two.error or 0.0) / math.sqrt(2)
    assert both.error == pytest.approx(max(spread, own), rel=1e-3)
