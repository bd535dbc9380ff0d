"""The fluid inside a part: its volume, lids named like openings, leaks and openings that are none."""

import math
from pathlib import Path

import numpy as np
import pytest

from hub.check import opened, resolve_all
from hub.solver import StageError
from tests.solvers.meshing.test_mesh import case, drawn, made, sound

#: A block with a bore of radius 8 along x, a branch of 5 from above that meets it, and a hole of 2 beside them.
BLOCK = (
    "cad.cut([(3, cad.addBox(0, 0, 0, 100, 40, 40))], [(3, cad.addCylinder(-1, 20, 20, 102, 0, 0, 8)), "
    "(3, cad.addCylinder(50, 20, 20, 0, 0, 30, 5)), (3, cad.addCylinder(50, 5, -1, 0, 0, 42, 2))])"
)
PICKED = {
    "in": {"type": "plane", "normal": "-x"},
    "out": {"type": "plane", "normal": "x"},
    "top": {"type": "plane", "normal": "z"},
    "bottom": {"type": "plane", "normal": "-z"},
    "front": {"type": "plane", "normal": "-y"},
    "bore": {"type": "cylinder", "radius": "8 mm"},
    "branch": {"type": "cylinder", "radius": "5 mm"},
}


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("inside") / "block.step", BLOCK)


def branch_volume() -> float:
    """Of the branch above the bore, [mm3]: its cylinder from the axis of the bore less what lies within the bore."""
    t = np.linspace(0, 2 * math.pi, 20_001)[:-1]
    r = (np.arange(2000) + 0.5) / 2000 * 5
    # depth of the bore's surface under the point (r, t) of the branch
    depth = np.sqrt(64 - (r[:, None] * np.sin(t[::20])) ** 2)
    return float(20 * math.pi * 25 - (depth * r[:, None]).sum() * (5 / 2000) * (2 * math.pi / len(t[::20])))


@pytest.mark.parametrize("order", [1, 2])
def test_the_void_has_its_volume_and_its_lids(block: Path, order: int) -> None:
    question = case(
        block, selections=PICKED, domain={"kind": "inside", "openings": ["in", "out", "top"]},
        mesh={"order": order, "fineness": "coarse"},
    )  # fmt: skip
    mesh, _ = made(block, question)
    sound(mesh)
    assert [b["name"] for b in mesh.bodies] == ["fluid"]
    expected = (64 * math.pi * 100 + branch_volume()) * 1e-9
    assert mesh.numbers["volume"] == pytest.approx(expected, rel=2e-3 if order == 2 else 5e-2)
    assert mesh.numbers["cad_volume"] == pytest.approx(expected, rel=1e-6)
    area = {n: sum(mesh.faces[i]["area"] for i in of) for n, of in mesh.selections.items()}
    assert area["in"] == pytest.approx(64e-6 * math.pi) and area["top"] == pytest.approx(25e-6 * math.pi)
    lid = mesh.points[mesh.facets[np.isin(mesh.facet_face, mesh.selections["in"])]]
    assert lid[..., 0] == pytest.approx(0, abs=1e-12)
    assert mesh.selections["bore"] and mesh.selections["branch"] and not mesh.selections["front"]


@pytest.mark.parametrize("fineness", ["coarse", "fine"])
def test_what_the_void_takes_is_estimated_without_the_holes_beside_it(block: Path, fineness: str) -> None:
    question = case(
        block, selections=PICKED, domain={"kind": "inside", "openings": ["in", "out", "top"]},
        mesh={"fineness": fineness},
    )  # fmt: skip
    mesh, verdict = made(block, question)
    faces, _ = resolve_all(question, verdict)
    found = opened(verdict, [i for name in ("in", "out", "top") for i in faces[name]])
    assert len(verdict.hollows) == 2 and len(found) == 1, "the hole of 2 mm leads from top to bottom"
    assert found[0].volume == pytest.approx((64 * math.pi * 100 + branch_volume()) * 1e-9, rel=0.12)
    assert 0.5 < verdict.nodes(question.mesh, "inside", found) / mesh.numbers["nodes"] < 2


def test_the_wall_of_a_hole_names_its_end(block: Path) -> None:
    question = case(
        block, selections=PICKED, domain={"kind": "inside", "openings": ["in", "out", "branch"]},
        mesh={"order": 1, "fineness": "coarse"},
    )  # fmt: skip
    mesh, _ = made(block, question)
    (lid,) = mesh.selections["branch"]
    assert mesh.faces[lid]["centroid"][2] == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("openings", "code", "said"),
    [
        (["in", "out"], "leak", "1 opening(s) not named, about 10 mm wide near 50, 20, 40 mm"),
        (["in"], "leak", "2 opening(s) not named, about 16 mm wide near 100, 20, 20 mm"),
        (["in", "out", "top", "front"], "no-opening", "front"),
        (["in", "bore", "top"], "opening-unclear", "ends in 2 places"),
    ],
)
def test_openings_that_do_not_close_it_are_refused(block: Path, openings: list[str], code: str, said: str) -> None:
    question = case(block, selections=PICKED, domain={"kind": "inside", "openings": openings})
    with pytest.raises(StageError) as refused:
        made(block, question)
    assert refused.value.code == code and said in refused.value.message and refused.value.hint


def test_a_hole_in_a_round_wall_is_closed_too(tmp_path: Path) -> None:
    file = drawn(
        tmp_path / "tube.step",
        "cad.cut([(3, cad.addCylinder(0, 0, 0, 100, 0, 0, 20))], [(3, cad.addCylinder(-1, 0, 0, 102, 0, 0, 15)), "
        "(3, cad.addCylinder(50, 0, 0, 0, 0, 30, 6))])",
    )
    picked = {k: PICKED[k] for k in ("in", "out")} | {"skin": {"type": "cylinder", "radius": "20 mm"}}
    question = case(
        file, selections=picked, domain={"kind": "inside", "openings": ["in", "out", "skin"]},
        mesh={"order": 2, "fineness": "coarse"},
    )  # fmt: skip
    mesh, _ = made(file, question)
    sound(mesh)
    drum = math.pi * 225 * 100
    assert drum * 1e-9 < mesh.numbers["volume"] < (drum + math.pi * 36 * 6) * 1e-9
    (lid,) = mesh.selections["skin"]
    assert mesh.faces[lid]["area"] == pytest.approx(math.pi * 36e-6, rel=0.05), "the lid bulges with the tube"


@pytest.mark.parametrize("contacts", [{}, {"contacts": "separate"}, {"contacts": "bonded"}])
def test_what_touches_a_body_all_around_closes_its_hole(tmp_path: Path, contacts: dict[str, str]) -> None:
    """A pin through a bored block, as the stem of a valve: it takes its room, and nothing leaks along it."""
    file = drawn(tmp_path / "pin.step", (
        "cad.cut([(3, cad.addBox(0, 0, 0, 60, 40, 40))], [(3, cad.addCylinder(-1, 20, 20, 62, 0, 0, 8)), "
        "(3, cad.addCylinder(30, 20, 20, 0, 0, 30, 4))]); cad.addCylinder(30, 20, 17, 0, 0, 30, 4)"
    ))  # fmt: skip
    picked = {name: PICKED[name] for name in ("in", "out")} | {"tip": {"type": "plane", "area": "50.265 mm2"}}
    picked["tip"] |= {"normal": "-z"}
    question = case(file, geometry=contacts, selections=picked, domain={"kind": "inside", "openings": ["in", "out"]},
                    mesh={"fineness": "coarse"})  # fmt: skip
    mesh, _ = made(file, question)
    sound(mesh)
    r = (np.arange(2000) + 0.5) / 2000 * 4
    t = np.linspace(0, 2 * math.pi, 1001)[:-1]
    height = 3 + np.sqrt(64 - (r[:, None] * np.sin(t)) ** 2)
    pin = float((height * r[:, None]).sum() * (4 / 2000) * (2 * math.pi / 1000))
    assert mesh.numbers["cad_volume"] == pytest.approx((64 * math.pi * 60 - pin) * 1e-9, rel=1e-5)
    assert sum(mesh.faces[i]["area"] for i in mesh.selections["tip"]) == pytest.approx(16e-6 * math.pi)
