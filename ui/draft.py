"""A case while it is being made: kept by the hub under an id that is in the page's address.

A reload, a second window, a lost connection or a hub that is started again therefore lose nothing. What a person has
typed stays as typed: it becomes a case only when the API reads it.
"""

from __future__ import annotations

import copy
import json
import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Draft:
    """One case in the making.

    case : the document as typed, as ``hub.case`` describes it, possibly incomplete
    faces : name of a selection -> indices of faces in the verdict; what could not be found is missing
    named : selections that a person has given a name, kept although nothing acts on them
    unsure : name of a selection -> faces that a revision of the part leaves unclear: number in the selection,
        what the best is like, candidates
    version : of the draft as the hub has it; kept : what it was then
    """

    id: str
    case: dict[str, Any] = field(default_factory=dict)
    file_name: str = ""
    faces: dict[str, list[int]] = field(default_factory=dict)
    preview: str | None = None
    named: list[str] = field(default_factory=list)
    unsure: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    version: int = 1
    kept: str = ""
    _keys: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Draft:
        """A draft as the hub has kept it."""
        document = copy.deepcopy(dict(answer["document"]))
        draft = cls(
            answer["id"], document.get("case") or {}, document.get("file_name") or "", document.get("faces") or {},
            document.get("preview"), document.get("named") or [], document.get("unsure") or {}, answer["version"],
        )  # fmt: skip
        draft.kept = draft.frozen()
        return draft

    def to_keep(self) -> dict[str, Any]:
        """All of it, as the hub keeps it."""
        return {
            "case": self.case, "file_name": self.file_name, "faces": self.faces, "preview": self.preview,
            "named": self.named, "unsure": self.unsure,
        }  # fmt: skip

    def frozen(self) -> str:
        """To tell whether it has changed."""
        return json.dumps(self.to_keep(), sort_keys=True, default=str)

    # --- conditions and where they act ---

    @property
    def conditions(self) -> list[dict[str, Any]]:
        return self.case.setdefault("conditions", [])  # type: ignore[no-any-return]

    @property
    def selections(self) -> dict[str, Any]:
        return self.case.setdefault("selections", {})  # type: ignore[no-any-return]

    def add_condition(self, kind: str, name: str, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A new condition that acts nowhere yet; its name is made unique."""
        taken = {c.get("name") for c in self.conditions}
        condition = {"kind": kind, "name": _unique(name, taken), "on": [], **(values or {})}
        self.conditions.append(condition)
        return condition

    def remove_condition(self, index: int) -> None:
        self._keys.pop(id(self.conditions[index]), None)
        del self.conditions[index]
        self._drop_unused()

    def keep_kinds(self, kinds: Iterable[str]) -> None:
        """Without the conditions that another solver does not know."""
        known = set(kinds)
        for index in reversed(range(len(self.conditions))):
            if self.conditions[index]["kind"] not in known:
                self.remove_condition(index)

    def key_of(self, condition: dict[str, Any]) -> str:
        """A key for the widgets of a condition: its own, whatever is removed or added around it."""
        return self._keys.setdefault(id(condition), f"{self.id}.{secrets.token_hex(4)}")

    def names_on(self, condition: Mapping[str, Any]) -> list[str]:
        on = condition.get("on") or []
        return [on] if isinstance(on, str) else list(on)

    def picked(self, condition: Mapping[str, Any]) -> list[int]:
        """Indices of the faces on which a condition acts."""
        return sorted({i for name in self.names_on(condition) for i in self.faces.get(name, [])})

    def pick(self, index: int, faces: Sequence[int], all_faces: Sequence[Mapping[str, Any]]) -> None:
        """Let condition `index` act on these faces, stored as what they look like and never by number.

        Selections with a name of a person's stay as long as all of their faces are among them.
        """
        condition = self.conditions[index]
        old = self.names_on(condition)
        whole = [n for n in old if n in self.named and self.faces.get(n) and set(self.faces[n]) <= set(faces)]
        condition["on"] = []
        self._drop_unused()
        left = sorted(set(faces) - {i for name in whole for i in self.faces[name]})
        condition["on"] = whole
        if not left:
            return
        kept = old[0] if old and old[0] not in self.selections else None
        own = self.name_faces(kept or str(condition.get("name") or condition["kind"]), left, all_faces)
        condition["on"] = [*whole, own]

    def name_picked(self, wanted: str, faces: Sequence[int], all_faces: Sequence[Mapping[str, Any]]) -> str:
        """Give faces a name of their own, to be used in any condition; returns the name."""
        name = self.name_faces(wanted, faces, all_faces)
        self.named.append(name)
        return name

    def forget_name(self, name: str) -> None:
        """A named selection that is no longer wanted; what acts on it keeps its faces."""
        self.named.remove(name)
        self._drop_unused()

    def name_faces(self, wanted: str, faces: Sequence[int], all_faces: Sequence[Mapping[str, Any]]) -> str:
        """A selection of these faces, stored as what they look like; returns its name."""
        name = _unique(wanted, set(self.selections))
        self.selections[name] = {"faces": [signature(all_faces[i]) for i in faces]}
        self.faces[name] = list(faces)
        return name

    def _drop_unused(self) -> None:
        used = {name for c in self.conditions for name in self.names_on(c)}
        used |= {r.get("on") for r in self.case.get("mesh", {}).get("refine", ())}
        used |= {r.get("on") for r in self.case.get("mesh", {}).get("layers", ())}
        used |= {self.case.get("domain", {}).get("face"), *self.case.get("domain", {}).get("openings", ())}
        used |= {q.get("on") for q in self.case.get("quantities", ())}
        for name in [n for n in self.selections if n not in used | set(self.named)]:
            del self.selections[name]
            self.faces.pop(name, None)
            self.unsure.pop(name, None)

    def forget_faces(self) -> None:
        """Another part, or the same read in another unit: nothing is picked any more."""
        self.case["selections"] = {}
        for condition in self.conditions:
            condition["on"] = []
        self.faces.clear()
        self.named.clear()
        self.unsure.clear()
        self.preview = None

    def revise(
        self, matches: Mapping[str, Sequence[Mapping[str, Any]]], sure: float, all_faces: Sequence[Mapping[str, Any]]
    ) -> None:
        """A revised part: faces that are clearly found again are taken, the others wait for a person.

        matches : of the hub, by selection; sure : what is at most so unlike is taken
        """
        self.preview = None
        self.faces.clear()
        self.unsure.clear()
        for name, found in matches.items():
            clear = [m for m in found if m["found"] is not None and m["like"] <= sure]
            self.faces[name] = sorted(m["found"] for m in clear)
            for m in clear:
                if m["number"] is not None:
                    self.selections[name]["faces"][m["number"]] = signature(all_faces[m["found"]])
            if len(clear) < len(found):
                self.unsure[name] = [dict(m) for m in found if m not in clear]

    def settle(self, name: str, number: int | None, face: int | None, all_faces: Sequence[Mapping[str, Any]]) -> None:
        """What a person says of an unsure face of a selection: it is `face` now, or it is gone."""
        asked = [m for m in self.unsure.pop(name, []) if m["number"] != number]
        faces = self.faces.setdefault(name, [])
        if face is not None and face not in faces:
            self.faces[name] = sorted([*faces, face])
        if number is None:  # a rule that finds nothing any more: what was picked instead
            if face is not None:
                self.selections[name] = {"faces": [signature(all_faces[face])]}
        elif face is not None:
            self.selections[name]["faces"][number] = signature(all_faces[face])
        else:
            del self.selections[name]["faces"][number]
            asked = [{**m, "number": m["number"] - (m["number"] > number)} for m in asked]
        if asked:
            self.unsure[name] = asked
        if not self.faces[name] and not asked:  # nothing is left of it
            self.named = [n for n in self.named if n != name]
            for condition in self.conditions:
                condition["on"] = [n for n in self.names_on(condition) if n != name]
            self._drop_unused()

    def find_again(self, all_faces: Sequence[Mapping[str, Any]]) -> None:
        """Look up the picked faces in a verdict that is new to this draft."""
        for name, selection in self.selections.items():
            if isinstance(selection, Mapping) and "faces" in selection:
                found = [_same(s, all_faces) for s in selection["faces"]]
                self.faces[name] = [i for i in found if i is not None]

    # --- the document ---

    def document(self) -> dict[str, Any]:
        """The case to send: what was left empty is left out."""
        case = copy.deepcopy(self.case)
        case["conditions"] = [_without_empty(c) for c in self.conditions]
        case["parameters"] = _without_empty(case.get("parameters", {}))
        for body in case.get("bodies", []):
            if isinstance(body.get("material"), dict):
                body["material"] = _without_empty(body["material"])
        return case


def signature(face: Mapping[str, Any]) -> dict[str, Any]:
    """What a face looks like, as a case file says it: lengths with their unit."""
    typed: dict[str, Any] = {
        "type": face["type"],
        "area": f"{face['area']:.9g} m2",
        "centroid": [f"{c:.9g} m" for c in face["centroid"]],
    }
    for name in ("normal", "axis"):
        if face.get(name):
            typed[name] = list(face[name])
    if face.get("radius") is not None:
        typed["radius"] = f"{face['radius']:.9g} m"
    if face.get("neighbours") is not None:
        typed["neighbours"] = len(face["neighbours"])
    if face.get("names"):
        typed["name"] = face["names"][0]
    return typed


def _same(typed: Mapping[str, Any], faces: Sequence[Mapping[str, Any]]) -> int | None:
    """The one face that has the type, the area and the place of a signature written by :func:`signature`."""
    try:
        area = float(str(typed["area"]).split()[0])
        centroid = [float(str(c).split()[0]) for c in typed["centroid"]]
    except (KeyError, ValueError, IndexError):
        return None
    reach = 1e-3 * math.sqrt(area)
    near = [
        i
        for i, face in enumerate(faces)
        if face["type"] == typed.get("type")
        and math.isclose(face["area"], area, rel_tol=1e-3)
        and math.dist(face["centroid"], centroid) < reach
    ]
    return near[0] if len(near) == 1 else None


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without fields nobody filled in: None, empty text, vectors of empty text, and the same in groups of fields."""
    filled = {k: _without_empty(v) if isinstance(v, dict) and "magnitude" not in v else v for k, v in values.items()}
    return {k: v for k, v in filled.items() if not _empty(v)}


def _empty(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, dict):
        return not value or ("magnitude" in value and _empty(value["magnitude"]))
    if isinstance(value, list):
        return bool(value) and all(_empty(v) for v in value)
    return value is None


def _unique(name: str, taken: Iterable[Any]) -> str:
    names, number = set(taken), 2
    wanted = name
    while wanted in names:
        wanted, number = f"{name} {number}", number + 1
    return wanted
