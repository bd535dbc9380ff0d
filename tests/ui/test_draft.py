"""A draft keeps what was typed, stores picked faces as what they look like, and comes back as it was kept."""

from typing import Any

from hub.case import BySignature, read
from ui.draft import Draft, signature

FACES: list[dict[str, Any]] = [
    {"index": 0, "type": "plane", "area": 8e-3, "centroid": [0.0, 0.04, 0.045], "normal": [-1, 0, 0],
     "neighbours": [1, 2], "names": []},
    {"index": 1, "type": "cylinder", "area": 3.4557519e-4, "centroid": [0.005, 0.016, 0.034], "axis": [1, 0, 0],
     "radius": 0.0055, "inside": True, "neighbours": [0], "names": ["bolt"]},
    {"index": 2, "type": "cylinder", "area": 3.4557519e-4, "centroid": [0.005, 0.064, 0.034], "axis": [1, 0, 0],
     "radius": 0.0055, "inside": True, "neighbours": [0], "names": []},
]  # fmt: skip


def case() -> dict[str, Any]:
    return {
        "title": "t",
        "geometry": {"file": "part.step"},
        "solver": "fem.elasticity",
        "bodies": [{"material": "steel-s235jr"}],
    }


def test_picked_faces_are_stored_by_what_they_look_like() -> None:
    draft = Draft("d", case())
    draft.add_condition("fixed", "Fixed")
    draft.pick(0, [1, 2], FACES)
    read_case = read(draft.document())
    selection = read_case.selections[read_case.conditions[0].on[0]]
    assert isinstance(selection, BySignature)
    assert [f.radius for f in selection.faces] == [0.0055, 0.0055]
    assert selection.faces[0].centroid == (0.005, 0.016, 0.034)
    assert selection.faces[0].name == "bolt"
    assert "index" not in str(draft.document())


def test_faces_are_found_again_after_they_were_renumbered() -> None:
    draft = Draft("d", case())
    draft.add_condition("fixed", "Fixed")
    draft.pick(0, [2], FACES)
    again = Draft("d", draft.document())
    again.find_again(list(reversed(FACES)))
    assert again.picked(again.conditions[0]) == [0]
    again.find_again([{**face, "area": 2 * face["area"]} for face in FACES])
    assert again.picked(again.conditions[0]) == []


def test_a_new_pick_leaves_a_selection_that_others_use_alone() -> None:
    shared = {"selections": {"bolts": {"type": "cylinder", "count": 2}}, "conditions": [
        {"kind": "fixed", "on": "bolts"}, {"kind": "elastic_support", "on": ["bolts"]}]}  # fmt: skip
    draft = Draft("d", {**case(), **shared})
    draft.pick(0, [0], FACES)
    assert draft.selections["bolts"] == {"type": "cylinder", "count": 2}
    assert draft.names_on(draft.conditions[1]) == ["bolts"]
    assert draft.picked(draft.conditions[0]) == [0]
    read(draft.document())


def test_unused_selections_go() -> None:
    draft = Draft("d", case())
    for name in ("Fixed", "Fixed", "Force"):
        draft.add_condition("fixed", name)
    assert [c["name"] for c in draft.conditions] == ["Fixed", "Fixed 2", "Force"]
    draft.pick(0, [0], FACES)
    draft.pick(1, [1], FACES)
    assert set(draft.selections) == {"Fixed", "Fixed 2"}
    draft.pick(1, [], FACES)
    draft.remove_condition(0)
    assert draft.selections == {}
    assert draft.conditions[0]["on"] == []


def test_what_was_left_empty_is_not_sent() -> None:
    draft = Draft("d", case())
    draft.add_condition("force", "F", {"value": {"magnitude": " ", "direction": "-z"}, "at": ["", "", ""], "note": ""})
    assert set(draft.document()["conditions"][0]) == {"kind", "name", "on"}


def test_keys_stay_when_another_condition_is_removed() -> None:
    draft = Draft("d", case())
    kept = [draft.add_condition("fixed", n) for n in "abc"][2]
    key = draft.key_of(kept)
    draft.remove_condition(0)
    assert draft.key_of(draft.conditions[1]) == key


def test_a_draft_comes_back_as_it_was_kept() -> None:
    draft = Draft("d", case(), "part.step")
    draft.add_condition("fixed", "Fixed")
    draft.pick(0, [1, 2], FACES)
    answer = {"id": "d", "version": 3, "document": draft.to_keep()}
    again = Draft.of(answer)
    assert again.frozen() == draft.frozen() == again.kept
    assert again.picked(again.conditions[0]) == [1, 2] and again.version == 3
    again.case["geometry"]["unit"] = "mm"
    assert again.frozen() != again.kept
    assert answer["document"]["case"] == case() | {k: draft.case[k] for k in ("conditions", "selections")}


def test_signature_has_units() -> None:
    assert signature(FACES[1])["radius"] == "0.0055 m"


def test_a_named_selection_is_shared_and_outlives_what_acts_on_it() -> None:
    draft = Draft("d", case())
    name = draft.name_picked("Bolts", [1, 2], FACES)
    for kind in ("fixed", "elastic_support"):
        draft.add_condition(kind, kind)
        draft.pick(len(draft.conditions) - 1, [], FACES)
        draft.conditions[-1]["on"] = [name]
    draft.pick(0, [0, 1, 2], FACES)  # one more face for this condition alone
    assert draft.names_on(draft.conditions[0])[0] == "Bolts" and len(draft.names_on(draft.conditions[0])) == 2
    assert draft.picked(draft.conditions[0]) == [0, 1, 2] and draft.picked(draft.conditions[1]) == [1, 2]
    draft.pick(0, [0, 1], FACES)  # one of the named faces is taken out: the name no longer fits
    assert "Bolts" not in draft.names_on(draft.conditions[0]) and draft.faces["Bolts"] == [1, 2]
    draft.remove_condition(1)
    assert "Bolts" in draft.selections
    draft.forget_name("Bolts")
    assert "Bolts" not in draft.selections
    read(draft.document())


def test_a_revision_takes_what_is_clear_and_waits_for_the_rest() -> None:
    draft = Draft("d", case())
    draft.add_condition("fixed", "Fixed")
    draft.pick(0, [0, 1, 2], FACES)
    name = draft.names_on(draft.conditions[0])[0]
    new = [{**FACES[0], "area": 9e-3}, FACES[2], FACES[1]]
    matches = [
        {"number": 0, "found": 0, "like": 0.04, "candidates": [0]},
        {"number": 1, "found": None, "like": 0.5, "candidates": [2, 1]},
        {"number": 2, "found": 1, "like": 0.2, "candidates": [1]},
    ]
    draft.revise({name: matches}, 0.1, new)
    assert draft.faces[name] == [0] and [m["number"] for m in draft.unsure[name]] == [1, 2]
    assert draft.selections[name]["faces"][0]["area"] == "0.009 m2"
    kept = Draft.of({"id": "d", "document": draft.to_keep(), "version": 1})
    assert kept.unsure == draft.unsure
    draft.settle(name, 1, None, new)  # gone: the one after it has another number now
    assert [m["number"] for m in draft.unsure[name]] == [1]
    draft.settle(name, 1, 1, new)
    assert not draft.unsure and draft.picked(draft.conditions[0]) == [0, 1]
    assert len(read(draft.document()).selections[name].faces) == 2  # type: ignore[union-attr]
    draft.revise({name: [{"number": i, "found": None, "like": 2.0, "candidates": []} for i in (0, 1)]}, 0.1, new)
    draft.settle(name, 0, None, new)
    draft.settle(name, 0, None, new)
    assert draft.names_on(draft.conditions[0]) == [] and name not in draft.selections
