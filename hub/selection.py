"""Faces of a part as data, and how a selection of a case finds them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import dist, hypot, log, sqrt
from typing import Protocol

from hub.case import (
    Around,
    ByColour,
    ByName,
    ByRule,
    BySignature,
    Case,
    FaceType,
    Frozen,
    Plane,
    Selection,
    Signature,
    Together,
)
from hub.periodic import ends, periodic
from hub.problem import Problem, excerpt, path
from hub.units import SI, Vector


class Face(Frozen):
    """One face of the part as intake or the mesh stage sees it [SI]; plain data, no CAD kernel behind it.

    index : position in the list of faces, from 0; shown to people as ``face {index + 1}``; never stored in a case
    bodies : indices of the bodies it bounds (two for an interface)
    normal : outward, at the middle of a plane
    axis, radius : of cylinders, cones (radius at the middle), spheres, tori (minor radius)
    inside : True for a hole or fillet seen from the material's outside (concave), False for a shaft (convex)
    neighbours : indices of faces sharing an edge
    names : CAD names, layers, mesh sets
    """

    index: int
    bodies: tuple[int, ...]
    type: FaceType
    area: float
    centroid: tuple[float, float, float]
    normal: tuple[float, float, float] | None = None
    axis: tuple[float, float, float] | None = None
    radius: float | None = None
    inside: bool | None = None
    neighbours: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    colour: str | None = None


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Part(Protocol):
    """The part of hub.intake.GeometryVerdict that selections need."""

    @property
    def faces(self) -> Sequence[Face]: ...
    @property
    def bodies(self) -> Sequence[_Named]: ...


# --- how a selection finds its faces again --------------------------------------------------------------------

#: Faces of a signature are looked for among those this like it or better (0 the same, 1 nothing in common).
LIKE = 0.35
#: The best face must be better than the second by this, or a person is asked.
CLEAR = 0.06
#: What is less like it than this is shown to a person before it is taken: a revision has changed it.
SURE = 0.1
#: Tolerances of rules: angles as the cosine of 1 degree, radii and areas relative.
ALIGNED = 0.99985
SAME_RADIUS, SAME_AREA = 0.005, 0.01


def signature(face: Face) -> Signature:
    """What a picked face looks like, to be stored in a case."""
    data = face.model_dump(include={"type", "area", "centroid", "normal", "axis", "radius"})
    extra = {"neighbours": len(face.neighbours), "name": face.names[0] if face.names else None}
    return Signature.model_validate(data | extra, context=SI)


def in_words(face: Face) -> str:
    """``face 3 (hole, radius 5.5 mm, at 5, 16, 34 mm)``: how a face is called where people read."""
    what = {"cylinder": "hole" if face.inside else "cylinder", "other": "curved face"}.get(face.type, face.type)
    radius = f", radius {face.radius * 1e3:.4g} mm" if face.radius is not None else ""
    x, y, z = (f"{c * 1e3 + 0.0:.4g}" for c in face.centroid)
    return f"face {face.index + 1} ({what}{radius}, {face.area * 1e6:.4g} mm2, at {x}, {y}, {z} mm)"


def resolve(
    selection: Selection, faces: Sequence[Face], bodies: Sequence[str] = (), *, where: str = "selections"
) -> list[int] | Problem:
    """Indices of the faces a selection means, or the question to ask where it means none or not clearly these.

    bodies : names of the bodies, in the order of ``Face.bodies``
    """
    match selection:
        case ByName():
            found = [f for f in faces if selection.name in f.names]
            return _counted(found, selection.count, f"the name {excerpt(selection.name)}", faces, where)
        case ByColour():
            found = [f for f in faces if (f.colour or "").lower() == selection.colour.lower()]
            return _counted(found, selection.count, f"the colour {selection.colour}", faces, where)
        case ByRule():
            return _by_rule(selection, faces, bodies, where)
        case BySignature():
            return _by_signature(selection, faces, where)
        case Together():
            indices: set[int] = set()
            for i, one in enumerate(selection.any):
                part = resolve(one, faces, bodies, where=f"{where}.any[{i}]")
                if isinstance(part, Problem):
                    return part
                indices |= set(part)
            return sorted(indices)


class Match(Frozen):
    """What a picked face has become in another version of its part.

    number : of the face in its selection, None for a rule as a whole
    found : index of the face; None where none or more than one is like it
    like : how unlike `found` or the best candidate is: 0 the same, `LIKE` hardly
    candidates : indices of the faces most like it, the best first
    """

    number: int | None
    found: int | None
    like: float
    candidates: tuple[int, ...] = ()

    @property
    def sure(self) -> bool:
        """Nobody needs to be asked."""
        return self.found is not None and self.like <= SURE


def match(selection: Selection, faces: Sequence[Face], bodies: Sequence[str] = ()) -> list[Match]:
    """A selection that was made on one version of a part, on another: each picked face by itself; a rule, a name or a
    colour finds its faces anew, or is asked about as a whole."""
    if isinstance(selection, BySignature):
        return match_signatures(selection.faces, faces)
    found = resolve(selection, faces, bodies)
    if isinstance(found, Problem):
        return [Match(number=None, found=None, like=1.0, candidates=tuple(int(c) - 1 for c in found.choices))]
    return [Match(number=None, found=i, like=0.0) for i in found]


def resolve_all(case: Case, verdict: _Part) -> tuple[dict[str, list[int]], list[Problem]]:
    """(name of each selection that was found -> indices into the faces of the verdict, questions for the others)."""
    names = [body.name for body in verdict.bodies]
    faces: dict[str, list[int]] = {}
    problems = []
    for name, selection in case.selections.items():
        found = resolve(selection, verdict.faces, names, where=path(["selections", name]))
        if isinstance(found, Problem):
            problems.append(found)
        else:
            faces[name] = found
    return faces, [*problems, *_domain(case, verdict.faces, faces), *_ends(case, verdict.faces, faces)]


def _ends(case: Case, faces: Sequence[Face], chosen: Mapping[str, Sequence[int]]) -> Iterator[Problem]:
    """What periodic ends ask of their faces: the same at both, but for a shift."""
    for number, condition, along in periodic(case.conditions):
        if all(name in chosen for name in condition.on):
            mine = [faces[i] for name in condition.on for i in chosen[name]]
            try:
                ends([f.area for f in mine], [f.centroid for f in mine], along)
            except ValueError as why:
                yield Problem(
                    where=path(["conditions", number, "on"]),
                    found=str(why),
                    expected="the faces of two ends, the same at both but for a shift along the direction",
                    todo="Choose the faces of both ends, and say along which way one lies behind the other.",
                    code="not-periodic",
                )


def _domain(case: Case, faces: Sequence[Face], chosen: Mapping[str, Sequence[int]]) -> list[Problem]:
    """What the domain of a case asks of the faces it names."""
    domain = case.domain
    if isinstance(domain, Plane) and domain.face in chosen:
        mine = [faces[i] for i in chosen[domain.face]]
        wrong = [f for f in mine if f.normal is None or abs(f.normal[2]) < ALIGNED]
        heights = [f.centroid[2] for f in mine]
        if wrong:
            return [
                Problem(
                    where="domain.face",
                    found=in_words(wrong[0]),
                    expected="a flat face with the normal z or -z: x and y of the plane are those of the part",
                    todo="Choose such a face, or turn the part in the CAD system.",
                    code="not-level",
                )
            ]
        if max(heights) - min(heights) > 1e-6 * _extent(faces):
            return [
                Problem(
                    where="domain.face",
                    found=f"{len(mine)} faces at different heights z",
                    expected="one flat face, or faces in one plane",
                    todo="Choose the faces of one side only.",
                    code="not-level",
                )
            ]
    if isinstance(domain, Around):
        absent = {n for n in ("ground", "symmetry") if getattr(domain, n) is None}
        for i, condition in enumerate(case.conditions):
            for name in absent & set(condition.on):
                return [
                    Problem(
                        where=path(["conditions", i, "on"]),
                        found=name,
                        expected=f"a box that has one: domain.{name}",
                        todo=f"Give domain.{name}, or remove the condition.",
                        code="no-such-side",
                    )
                ]
        across = {"symmetry": domain.symmetry, "ground": None if domain.ground is None else "-z"}
        for key, way in across.items():
            if way is not None and abs(domain.along["xyz".index(way[-1])]) > 1e-6:
                return [
                    Problem(
                        where=f"domain.{key}",
                        found=f"{way}, while the flow goes along {_show(domain.along)}",
                        expected="a plane along the flow",
                        todo="Correct along or the plane; the ground lies below the part, in -z.",
                        code="domain-across",
                    )
                ]
    return []


def _question(code: str, where: str, found: str, expected: str, todo: str, candidates: Sequence[Face] = ()) -> Problem:
    shown = candidates[:6]
    if shown:
        todo = f"{todo} Near to it: {'; '.join(map(in_words, shown))}."
    return Problem(
        where=where,
        found=found,
        expected=expected,
        todo=todo,
        severity="question",
        code=code,
        choices=tuple(str(f.index + 1) for f in shown),
    )


def _counted(
    found: Sequence[Face],
    count: int | None,
    what: str,
    near: Sequence[Face],
    where: str,
) -> list[int] | Problem:
    """The indices if there are `count` (at least one where it is not said), else a question."""
    if found and (count is None or len(found) == count):
        return sorted(f.index for f in found)
    if found:
        expected = "exactly 1 face" if count == 1 else f"exactly {count} faces"
        return _question(
            "selection-count",
            where,
            f"{len(found)} face{'s' if len(found) != 1 else ''} with {what}",
            expected,
            f"Say more (type, normal, radius, near ...), or count: {len(found)} if all are meant.",
            found,
        )
    expected = f"{count} face{'s' if count != 1 else ''}" if count else "at least one face"
    return _question(
        "selection-empty", where, f"no face with {what}", expected, "Pick the faces again or change the rule.", near
    )


def _by_rule(rule: ByRule, faces: Sequence[Face], bodies: Sequence[str], where: str) -> list[int] | Problem:
    """Each condition in turn narrows the faces; ``extreme`` and ``near`` then choose among what is left."""
    left = list(faces)
    said: list[str] = []

    def keep(words: str, fits: Callable[[Face], bool]) -> Problem | None:
        nonlocal left
        before, left = left, [f for f in left if fits(f)]
        said.append(words)
        if left:
            return None
        return _question(
            "selection-empty",
            where,
            f"no face with {', '.join(said)}",
            f"{rule.count} face{'s' if rule.count != 1 else ''}",
            "Change the rule or pick the faces.",
            before,
        )

    if rule.body is not None:
        if rule.body not in bodies:
            return _question(
                "unknown-body",
                where,
                f"no body {excerpt(rule.body)}",
                f"one of {', '.join(map(excerpt, bodies[:20]))}",
                "Correct the name of the body.",
            )
        number = list(bodies).index(rule.body)
        empty = keep(f"body {excerpt(rule.body)}", lambda f: number in f.bodies)
        if empty:
            return empty
    tests: list[tuple[str, Callable[[Face], bool]]] = []
    if rule.type is not None:
        tests.append((f"type {rule.type}", lambda f: f.type == rule.type))
    if (normal := rule.normal) is not None:
        tests.append((f"normal {_show(normal)}", lambda f: f.normal is not None and _dot(f.normal, normal) > ALIGNED))
    if (axis := rule.axis) is not None:
        tests.append((f"axis {_show(axis)}", lambda f: f.axis is not None and abs(_dot(f.axis, axis)) > ALIGNED))
    if (radius := rule.radius) is not None:
        tests.append(
            (
                f"radius {radius * 1e3:.4g} mm",
                lambda f: f.radius is not None and abs(f.radius - radius) <= SAME_RADIUS * radius,
            )
        )
    if rule.inside is not None:
        tests.append(("inside a hole" if rule.inside else "outside", lambda f: f.inside is rule.inside))
    if (area := rule.area) is not None:
        tests.append((f"area {area * 1e6:.4g} mm2", lambda f: abs(f.area - area) <= SAME_AREA * area))
    for words, fits in tests:
        empty = keep(words, fits)
        if empty:
            return empty
    what = ", ".join(said) or "this place"
    if rule.extreme is not None:
        sign, at = (-1 if rule.extreme.startswith("-") else 1), "xyz".index(rule.extreme[-1])
        return _first(left, lambda f: -sign * f.centroid[at], rule.count, f"{what}, farthest to {rule.extreme}", where)
    if (near := rule.near) is not None:
        return _first(left, lambda f: dist(f.centroid, near), rule.count, f"{what}, nearest to the point", where)
    return _counted(left, rule.count, what, faces, where)


def _first(
    faces: Sequence[Face], key: Callable[[Face], float], count: int, what: str, where: str
) -> list[int] | Problem:
    """The `count` faces with the smallest key; a question where the last of them and the next cannot be told apart."""
    ranked = sorted(faces, key=key)
    if len(ranked) < count:
        return _counted(ranked, count, what, faces, where)
    if len(ranked) > count:
        size = max(dist(a.centroid, b.centroid) for a in (ranked[0],) for b in faces)
        last, following = key(ranked[count - 1]), key(ranked[count])
        if following - last <= 1e-4 * size:
            tied = [f for f in ranked if abs(key(f) - last) <= 1e-4 * size]
            return _counted(
                sorted({f.index: f for f in [*ranked[:count], *tied]}.values(), key=key), count, what, faces, where
            )
    return sorted(f.index for f in ranked[:count])


def match_signatures(wanted: Sequence[Signature], faces: Sequence[Face]) -> list[Match]:
    """Every signature with its own face: clear ones first, so that they are not candidates for the others."""
    scale = _extent(faces)
    costs = [[_unlike(s, f, scale) for f in faces] for s in wanted]
    taken: set[int] = set()
    done: dict[int, Match] = {}
    waiting = list(range(len(costs)))

    orders = [sorted(range(len(faces)), key=lambda k, mine=mine: mine[k]) for mine in costs]  # type: ignore[misc]

    def best(i: int) -> float:
        return next((costs[i][k] for k in orders[i] if k not in taken), 2.0)

    while waiting:
        i = min(waiting, key=best)
        cost = best(i)
        if cost > LIKE:
            break
        chosen, *others = (k for k in orders[i] if k not in taken)
        rivals = [k for k in others if costs[i][k] - cost < CLEAR and costs[i][k] <= LIKE]
        # a rival that another signature fits better is no rival
        rivals = [
            k for k in rivals if not any(j != i and costs[j][k] + CLEAR <= min(costs[i][k], LIKE) for j in waiting)
        ]
        found = None if rivals else faces[chosen].index
        near = tuple(faces[k].index for k in ((chosen, *rivals) if rivals else (chosen, *others[:3])))
        done[i] = Match(number=i, found=found, like=cost, candidates=near)
        if not rivals:
            taken.add(chosen)
        waiting.remove(i)
    for i in waiting:
        order = orders[i][:4]
        like = costs[i][order[0]] if order else 2.0
        done[i] = Match(number=i, found=None, like=like, candidates=tuple(faces[k].index for k in order))
    return [done[i] for i in range(len(costs))]


def _by_signature(selection: BySignature, faces: Sequence[Face], where: str) -> list[int] | Problem:
    """The faces of all signatures, or a question about the first that has none of its own."""
    found = match_signatures(selection.faces, faces)
    known = {f.index: f for f in faces}
    for i, one in enumerate(found):
        if one.found is None:
            near, what = [known[k] for k in one.candidates], _picked(selection.faces[i])
            several = one.like <= LIKE
            return _question(
                "selection-ambiguous" if several else "selection-empty",
                f"{where}.faces[{i}]",
                f"{len(near)} faces like the picked one ({what})"
                if several
                else f"no face like the picked one ({what})",
                "one face that is clearly it" if several else "the face that was picked",
                "The part has changed there; pick the face again.",
                near,
            )
    return sorted(one.found for one in found if one.found is not None)


def _unlike(wanted: Signature, face: Face, scale: float) -> float:
    """How unlike a face is to a signature: 0 the same, 1 or more another face. `scale`: extent of the part [m].

    A revision moves faces and changes their areas a little, and rarely their kind, direction or radius.
    """
    if wanted.type != face.type and "other" not in (wanted.type, face.type):
        return 2.0
    cost = 0.3 if wanted.type != face.type else 0.0
    if wanted.normal is not None and face.normal is not None:
        cost += 2.0 * (1 - _dot(wanted.normal, face.normal))
    if wanted.axis is not None and face.axis is not None:
        cost += 2.0 * (1 - abs(_dot(wanted.axis, face.axis)))
    if wanted.radius is not None and face.radius is not None:
        cost += min(1.5 * abs(log(face.radius / wanted.radius)), 1.0)
    cost += min(0.35 * abs(log(face.area / wanted.area)), 0.5)
    cost += 3.0 * dist(wanted.centroid, face.centroid) / scale
    if wanted.neighbours is not None:
        cost += min(0.02 * abs(wanted.neighbours - len(face.neighbours)), 0.1)
    if wanted.name is not None and face.names:
        cost += -0.2 if wanted.name in face.names else 0.1
    return cost


def _picked(s: Signature) -> str:
    x, y, z = (f"{c * 1e3 + 0.0:.4g}" for c in s.centroid)
    radius = f", radius {s.radius * 1e3:.4g} mm" if s.radius is not None else ""
    return f"{s.type}{radius}, {s.area * 1e6:.4g} mm2, at {x}, {y}, {z} mm"


def _extent(faces: Sequence[Face]) -> float:
    """The diagonal of the box around the centroids, and at least the side of the largest face [m]."""
    spans = (
        [max(f.centroid[k] for f in faces) - min(f.centroid[k] for f in faces) for k in range(3)] if faces else [1.0]
    )
    return max(hypot(*spans), sqrt(max((f.area for f in faces), default=1.0)), 1e-12)


def _dot(a: Vector, b: Vector) -> float:
    return float(sum(p * q for p, q in zip(a, b, strict=True)))


def _show(v: Vector) -> str:
    axes = [s + "xyz"[k] for k in range(3) for s, t in (("", 1), ("-", -1)) if v[k] == t]
    return axes[0] if axes else "(" + ", ".join(f"{c:.3g}" for c in v) + ")"
