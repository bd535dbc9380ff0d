"""Selections find their faces again, or ask."""

from pathlib import Path

import pytest

from hub.case import ByColour, ByName, ByRule, BySignature, Signature, Together
from hub.intake import inspect
from hub.problem import Problem
from hub.selection import Face, in_words, match, resolve, signature
from hub.units import SI

BRACKET = Path(__file__).resolve().parents[2] / "cases" / "bracket" / "bracket.step"


def rule(**conditions: object) -> ByRule:
    """A rule in SI."""
    return ByRule.model_validate(conditions, context=SI)


@pytest.fixture(scope="module")
def faces() -> tuple[Face, ...]:
    return inspect(BRACKET).faces


def revised(face: Face, **changes: object) -> Face:
    return face.model_copy(update=changes)


def test_rules_on_the_bracket(faces: tuple[Face, ...]) -> None:
    holes = resolve(rule(type="cylinder", radius=0.0055, axis="x", count=4), faces)
    assert isinstance(holes, list) and all(faces[i].inside for i in holes)
    assert {round(faces[i].centroid[2], 6) for i in holes} == {0.034, 0.074}
    back = resolve(rule(type="plane", normal="-x"), faces)
    assert isinstance(back, list) and faces[back[0]].centroid[0] == pytest.approx(0, abs=1e-9)
    assert resolve(rule(extreme="-x"), faces) == back
    near = resolve(rule(type="cylinder", near=(0.0, 0.016, 0.034)), faces)
    assert isinstance(near, list) and near[0] in holes


def test_a_rule_that_matches_two_or_none_asks(faces: tuple[Face, ...]) -> None:
    two = resolve(rule(type="cylinder", radius=0.0055), faces, where="selections.hole")
    assert isinstance(two, Problem) and two.severity == "question"
    assert two.where == "selections.hole" and "4 faces" in two.found and len(two.choices) == 4
    none = resolve(rule(type="cone"), faces)
    assert isinstance(none, Problem) and none.code == "selection-empty" and none.todo


def test_a_tie_at_the_extreme_asks(faces: tuple[Face, ...]) -> None:
    tied = resolve(rule(type="cylinder", radius=0.0055, extreme="z"), faces)
    assert isinstance(tied, Problem) and "2 faces" in tied.found
    assert isinstance(resolve(rule(type="cylinder", radius=0.0055, extreme="z", count=2), faces), list)


def test_every_signature_finds_its_face(faces: tuple[Face, ...]) -> None:
    for face in faces:
        assert resolve(BySignature(faces=(signature(face),)), faces) == [face.index], in_words(face)


def test_signatures_survive_a_shuffle_and_a_part_one_percent_larger(faces: tuple[Face, ...]) -> None:
    order = list(reversed(range(len(faces))))
    place = {old: new for new, old in enumerate(order)}
    grown = [
        revised(
            faces[old],
            index=new,
            area=faces[old].area * 1.01**2,
            centroid=tuple(1.01 * c for c in faces[old].centroid),
            radius=None if faces[old].radius is None else faces[old].radius * 1.01,
        )
        for new, old in enumerate(order)
    ]
    for face in faces:
        assert resolve(BySignature(faces=(signature(face),)), grown) == [place[face.index]], in_words(face)


def test_signature_survives_a_hole_that_moved_and_a_hole_that_was_added(faces: tuple[Face, ...]) -> None:
    holes = [f for f in faces if f.type == "cylinder" and f.radius and abs(f.radius - 0.0055) < 1e-6]
    moved = holes[0]
    x, y, z = moved.centroid
    changed = [revised(f, centroid=(x, y + 0.004, z)) if f is moved else f for f in faces]
    added = revised(moved, index=len(faces), centroid=(x, 0.04, 0.074))
    picked = BySignature(faces=tuple(signature(h) for h in holes))
    assert resolve(picked, [*changed, added]) == sorted(h.index for h in holes)


def test_a_face_that_is_gone_asks_and_names_what_is_near(faces: tuple[Face, ...]) -> None:
    hole = next(f for f in faces if f.type == "cylinder" and f.radius and abs(f.radius - 0.007) < 1e-6)
    left = [f for f in faces if f is not hole]
    gone = resolve(BySignature(faces=(signature(hole),)), left, where="selections.pin")
    assert isinstance(gone, Problem) and gone.severity == "question"
    assert gone.where == "selections.pin.faces[0]" and "face " in gone.todo


def test_a_face_between_two_like_it_asks(faces: tuple[Face, ...]) -> None:
    hole = next(f for f in faces if f.type == "cylinder" and f.radius and abs(f.radius - 0.0055) < 1e-6)
    x, y, z = hole.centroid
    twins = [revised(hole, index=0, centroid=(x, y - 0.003, z)), revised(hole, index=1, centroid=(x, y + 0.003, z))]
    rest = [revised(f, index=k + 2) for k, f in enumerate(faces) if f is not hole]
    asked = resolve(BySignature(faces=(signature(hole),)), [*twins, *rest])
    assert isinstance(asked, Problem) and asked.code == "selection-ambiguous"
    assert set(asked.choices) == {"1", "2"}


def test_each_picked_face_of_a_revision_is_matched_by_itself(faces: tuple[Face, ...]) -> None:
    bolts = [f for f in faces if f.type == "cylinder" and f.radius and abs(f.radius - 0.0055) < 1e-6]
    x, y, z = bolts[0].centroid
    moved = revised(bolts[0], centroid=(x, y + 0.004, z))
    wider = revised(bolts[1], radius=0.0066, area=bolts[1].area * 1.2)
    gone = bolts[2]
    new = [{bolts[0]: moved, bolts[1]: wider}.get(f, f) for f in faces if f is not gone]
    found = match(BySignature(faces=tuple(signature(b) for b in bolts)), new)
    assert [m.number for m in found] == [0, 1, 2, 3]
    assert [m.found for m in found] == [bolts[0].index, bolts[1].index, None, bolts[3].index]
    assert [m.sure for m in found] == [True, False, False, True]
    assert found[1].candidates[0] == wider.index
    # a rule speaks for itself: it finds its faces anew, or is asked about as a whole
    assert [m.found for m in match(rule(extreme="x"), faces)] == resolve(rule(extreme="x"), faces)
    nothing = match(rule(type="sphere"), faces)
    assert len(nothing) == 1 and nothing[0].number is None and not nothing[0].sure


def test_names_colours_bodies_and_unions() -> None:
    faces = [
        Face(index=k, bodies=(k // 3,), type="plane", area=1e-4, centroid=(0.01 * k, 0.0, 0.0), normal=(1.0, 0.0, 0.0),
             names=("inlet",) if k < 2 else (), colour="#ff0000" if k == 4 else None)
        for k in range(6)
    ]  # fmt: skip
    bodies = ["left", "right"]
    assert resolve(ByName(name="inlet"), faces) == [0, 1]
    assert isinstance(resolve(ByName(name="inlet", count=1), faces), Problem)
    assert isinstance(resolve(ByName(name="outlet"), faces), Problem)
    assert resolve(ByColour(colour="#FF0000"), faces) == [4]
    assert resolve(rule(extreme="x", body="left"), faces, bodies) == [2]
    wrong = resolve(rule(extreme="x", body="middle"), faces, bodies)
    assert isinstance(wrong, Problem) and "left, right" in wrong.expected
    both = Together(any=(ByName(name="inlet"), ByColour(colour="#ff0000")))
    assert resolve(both, faces) == [0, 1, 4]


def test_signature_keeps_what_a_case_needs(faces: tuple[Face, ...]) -> None:
    for face in faces:
        again = Signature.model_validate_json(signature(face).model_dump_json(), context=SI)
        assert resolve(BySignature(faces=(again,)), faces) == [face.index]
        assert (again.type, again.area, again.neighbours) == (face.type, face.area, len(face.neighbours))
