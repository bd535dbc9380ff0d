"""The one schema: what it reads, and that what it refuses is said with its place."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.case import MAX_BYTES, Case, digest, dump, load, load_yaml, read, slug
from hub.problem import Refused

TEXT = """
title: Will this bracket hold?
geometry: {file: bracket.step}
solver: fem.elasticity
bodies: [{material: steel-s235jr}]
selections:
  wall: {extreme: -x}
  holes: {type: cylinder, radius: "5,5 mm", count: 4}
  pad: {faces: [{type: plane, area: 20 mm2, centroid: [1 mm, 2 mm, 0 mm], normal: z}]}
  both: {any: [{name: A}, {colour: "#ff0000"}]}
conditions:
  - {kind: fixed, on: wall}
  - {kind: force, on: [holes, pad], value: [0, 0, -2.5 kN]}
mesh: {fineness: fine, refine: [{on: holes, size: 1 mm}]}
quantities: [{name: tip, kind: displacement, at: [1 mm, 0, 0], component: z}]
resources: {ranks: 2, memory: 4 GB, time: 10 min}
"""


def test_reads_and_writes_itself() -> None:
    case = read(load_yaml(TEXT))
    assert case.selections["holes"].radius == pytest.approx(0.0055)
    assert case.conditions[0].on == ("wall",)
    assert case.mesh.refine[0].size == pytest.approx(0.001)
    assert case.resources.time == 600
    plain = json.loads(json.dumps(dump(case), allow_nan=False))
    assert read(plain, si=True) == case
    assert digest(plain) == digest(dict(reversed(plain.items())))


def test_is_immutable() -> None:
    with pytest.raises(ValueError):
        read(load_yaml(TEXT)).title = "x"  # type: ignore[misc]


def refused(text: str) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as caught:
        read(load_yaml(text))
    for problem in caught.value.problems:
        assert problem.where and problem.found and problem.expected, problem
    return [(p.where, p.code) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("change", "where", "code"),
    [
        (("title: Will this bracket hold?", "title: ''"), "title", "string-too-short"),
        (("title: Will this bracket hold?", 'title: "a\\nb"'), "title", "not-printable"),
        (("file: bracket.step", "file: ../secret.step"), "geometry.file", "not-a-file-name"),
        (("file: bracket.step", "file: /etc/passwd"), "geometry.file", "not-a-file-name"),
        (("file: bracket.step", "file: '..\\x'"), "geometry.file", "not-a-file-name"),
        (("file: bracket.step", "file: a.step, scale: 2"), "geometry.scale", "unknown-key"),
        (("on: wall}", "on: wal}"), "conditions[0].on", "unknown-selection"),
        (("{on: holes, size: 1 mm}", "{on: hols, size: 1 mm}"), "mesh.refine[0].on", "unknown-selection"),
        (("size: 1 mm", "size: 1"), "mesh.refine[0].size", "missing-unit"),
        (("size: 1 mm", "size: 1 kg"), "mesh.refine[0].size", "wrong-unit"),
        (("size: 1 mm", "size: -1 mm"), "mesh.refine[0].size", "greater-than"),
        (("size: 1 mm", "size: .nan"), "mesh.refine[0].size", "not-finite"),
        (("size: 1 mm", "size: 1e999 mm"), "mesh.refine[0].size", "not-finite"),
        (("fineness: fine", "fineness: ultra"), "mesh.fineness", "literal-error"),
        (("ranks: 2", "ranks: 0"), "resources.ranks", "greater-than-equal"),
        (("wall: {extreme: -x}", "wall: {}"), "selections.wall", "empty-rule"),
        (("wall: {extreme: -x}", "wall: 7"), "selections.wall", "not-a-selection"),
        (("wall: {extreme: -x}", "wall: {extreme: low}"), "selections.wall.extreme", "literal-error"),
        (("solver: fem.elasticity", "solver: rm -rf"), "solver", "string-pattern-mismatch"),
        (("solver: fem.elasticity\n", ""), "solver", "missing"),
        (("kind: fixed", "kind: Fixed!"), "conditions[0].kind", "string-pattern-mismatch"),
    ],
)
def test_says_where(change: tuple[str, str], where: str, code: str) -> None:
    assert change[0] in TEXT
    assert (where, code) in refused(TEXT.replace(*change))


def test_tells_everything_at_once() -> None:
    found = refused(
        TEXT.replace("size: 1 mm", "size: 1").replace("fineness: fine", "fineness: ultra") + "colour: red\n"
    )
    assert {"mesh.refine[0].size", "mesh.fineness", "colour"} <= {where for where, _ in found}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: &x [1]\nb: *x", "yaml-alias"),
        ("a: &a [1,2]\nb: &b [*a,*a]\nc: [*b,*b]", "yaml-alias"),
        ("a: 1\na: 2", "yaml-duplicate-key"),
        ("[" * 100, "yaml-too-large"),
        ("a: [" + "1," * 30_000 + "1]", "yaml-too-large"),
        ("x" * (MAX_BYTES + 1), "too-large"),
        ("a: 1\n" * 2_000_000, "too-large"),
        ("!!python/object/apply:os.system ['true']", "not-yaml"),
        ("a: [", "not-yaml"),
        ("", "not-a-case"),
        ("- 1", "not-a-case"),
    ],
)
def test_hostile_yaml(text: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        load_yaml(text)
    assert caught.value.problems[0].code == code


def test_words_stay_words() -> None:
    assert load_yaml("on: yes\nday: 2026-01-02\ntime: true") == {"on": "yes", "day": "2026-01-02", "time": True}


def test_not_utf8() -> None:
    with pytest.raises(Refused):
        load_yaml(b"title: \xff\xfe")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        load(tmp_path / "nothing")
    assert caught.value.problems[0].code == "no-such-file"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
        max_leaves=20,
    )
)
def test_any_data_is_read_or_refused(data: object) -> None:
    try:
        read(data)  # type: ignore[arg-type]
    except Refused as refusal:
        assert refusal.problems


def test_json_schema_for_editors() -> None:
    schema = Case.model_json_schema()
    assert schema["properties"]["mesh"] and "Material" in schema["$defs"]


def test_slug_is_safe_for_job_names() -> None:
    assert slug("Will it hold?\n#SBATCH --x") == "will-it-hold-sbatch-x"
    assert slug("???") == "case"
