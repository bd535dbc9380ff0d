"""The verdicts on real CAD files (measured truth: SOURCES.md of the corpus) and on broken ones."""

import os
import signal
import time
from pathlib import Path

import pytest

from hub.api.verdicts import Verdicts
from hub.case import Geometry, Mesh
from hub.closed import Room
from hub.filekind import recognise
from hub.intake import GeometryVerdict, Limits, inspect, open_questions

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "cad"
BRACKET = ROOT / "cases" / "bracket" / "bracket.step"

#: file -> verdict, solids, faces, box [mm], unit, codes of its problems
TRUTH = {
    "part_nist_pmi_11.stp": ("accepted", 1, 10, (63, 63, 3.3), "mm", set()),
    "part_nist_pmi_01.stp": ("accepted", 1, 113, (830, 450, 160), "mm", set()),
    "part_nist_pmi_06_inch.stp": ("accepted", 1, 152, (255, 144, 366), "in", {"not-metric"}),
    "part_io1-cm-214.stp": ("accepted", 1, 29, (31, 88, 88), "mm", set()),
    "part_occt_screw.step": ("accepted", 1, 10, (20, 20, 42), "mm", set()),
    "asm_as1-oc-214.stp": ("asks", 18, 160, (200, 150, 84), "mm", {"contacts"}),
    "iges_wing128_inch.igs": ("refused", 0, 2, (254, 1270, 25), "in", {"surfaces-only", "open-edges"}),
    "trap_nist_pmi_11_unit_lie_inch.step": (
        "asks", 1, 10, (1600, 1600, 83), "in", {"size-implausible", "not-metric"}),
    "trap_occt_linkrods_5mm.step": ("asks", 1, 37, (5.1, 1.6, 2.0), "mm", {"size-implausible"}),
    "bad_ap203_invalid_brep.stp": ("refused", 0, 1, (20, 20, 0), "mm", {"surfaces-only", "open-edges", "invalid-face"}),
    "bad_ap214_nonmanifold.stp": ("refused", 0, 4, (6, 3, 10), "mm", {"non-manifold", "open-edges", "surfaces-only"}),
    "gen_fda_nozzle_fluid.step": ("accepted", 1, 7, (12, 12, 243), "mm", set()),
    "gen_ahmed_25deg.step": ("accepted", 1, 11, (1044, 389, 288), "mm", set()),
}  # fmt: skip


def codes(verdict: GeometryVerdict) -> set[str]:
    return {p.code for p in verdict.problems}


@pytest.mark.parametrize("name", TRUTH)
def test_corpus(name: str) -> None:
    if not CORPUS.is_dir():
        pytest.skip("the CAD corpus is not on this machine")
    overall, solids, faces, box, unit, expected = TRUTH[name]
    verdict = inspect(CORPUS / name)
    assert verdict.overall == overall, verdict.problems
    assert (len(verdict.bodies), len(verdict.faces), verdict.unit) == (solids, faces, unit)
    assert verdict.size is not None
    assert [1e3 * d for d in verdict.size] == pytest.approx(box, rel=0.03, abs=0.6)
    assert codes(verdict) - {"thin-wall"} == expected
    assert verdict.isolation["network"] == "none" or verdict.isolation["network"].startswith("still there")


def test_bracket_in_words() -> None:
    verdict = inspect(BRACKET)
    assert verdict.sentence() == "One solid with 35 faces, 100 x 80 x 90 mm, read in mm."
    assert verdict.sentence("it") == "Un solido con 35 facce, 100 x 80 x 90 mm, letto in mm."
    assert verdict.open_edges == verdict.nonmanifold_edges == 0
    # an angle of 10 mm plates, a rib 10 mm thick: its volume from the drawing within the rounded edges
    assert verdict.bodies[0].volume == pytest.approx(1.56e-4, rel=0.02)
    assert 0.004 < (verdict.thinnest or 0) <= 0.0101
    nodes = [verdict.nodes(Mesh(fineness=f)) for f in ("coarse", "normal", "fine")]
    assert 0 < nodes[0] < nodes[1] < nodes[2]
    assert GeometryVerdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_a_unit_said_by_the_person_wins_and_answers() -> None:
    verdict = inspect(BRACKET, unit="in")
    assert verdict.unit_source == "override"
    assert verdict.size == pytest.approx((2.54, 2.032, 2.286), rel=1e-6)
    assert verdict.bodies[0].volume == pytest.approx(inspect(BRACKET).bodies[0].volume * 25.4**3, rel=1e-6)


def test_a_thousand_times_too_small_is_asked_until_confirmed() -> None:
    verdict = inspect(BRACKET, unit="um")
    assert verdict.overall == "asks"
    assert codes(verdict) == {"size-implausible"}
    question = verdict.problems[0]
    assert question.where == "geometry.size_confirmed" and "0.1 mm" in question.found and question.todo
    assert open_questions(verdict, Geometry(file="a.step", size_confirmed=True)) == []
    assert open_questions(verdict, Geometry(file="a.step")) == [question]


HEADER = """ISO-10303-21;
HEADER;
FILE_DESCRIPTION((''),'2;1');
FILE_NAME('','',(''),(''),'','','');
FILE_SCHEMA(('AUTOMOTIVE_DESIGN'));
ENDSEC;
DATA;
"""
NO_SHAPE = HEADER + "ENDSEC;\nEND-ISO-10303-21;\n"
ONE_TRIANGLE = """solid a
facet normal 0 0 1
outer loop
vertex 0 0 0
vertex 1 0 0
vertex 0 1 0
endloop
endfacet
endsolid a
"""

BROKEN = {
    "empty": (b"", {"empty"}),
    "blanks": (b" \n" * 40, {"empty"}),
    "no shape": (NO_SHAPE.encode(), {"no-shape", "unreadable"}),
    "truncated": (b"ISO-10303-21;\nHEADER;\nENDSEC;\nDATA;\n#1=CARTESIAN_POINT('',(0.,0.", {"truncated"}),
    "zip": (b"PK\x03\x04" + bytes(200), {"unknown-kind"}),
    "solidworks": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(200), {"unknown-kind"}),
    "html": (b"<html><script>alert(1)</script></html>", {"unknown-kind"}),
    "noise": (bytes(range(256)) * 40, {"unknown-kind"}),
    "vtk polydata": (b'<?xml version="1.0"?><VTKFile type="PolyData"></VTKFile>', {"unknown-kind"}),
    "open stl": (ONE_TRIANGLE.encode(), {"open-edges"}),
    "stl of nan": (ONE_TRIANGLE.replace("1 0 0", "nan 0 0").encode(), {"unreadable"}),
    "nodes without elements": (b"*NODE\n1, 0., 0., 0.\n", {"no-volume", "unreadable"}),
    "damaged hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), {"unreadable"}),
    "msh of words": (b"$MeshFormat\nhello\n", {"unreadable", "no-volume"}),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_in_words(name: str, tmp_path: Path) -> None:
    content, expected = BROKEN[name]
    file = tmp_path / "part.step"
    file.write_bytes(content)
    verdict = inspect(file)
    assert verdict.overall == "refused"
    assert codes(verdict) & expected, verdict.problems
    for problem in verdict.problems:
        assert problem.found and problem.expected and problem.todo
        assert "Traceback" not in str(problem)
    assert verdict.sentence("it")


def test_truncated_real_file(tmp_path: Path) -> None:
    whole = BRACKET.read_bytes()
    file = tmp_path / "half.step"
    file.write_bytes(whole[: len(whole) // 2])
    assert codes(inspect(file)) == {"truncated"}
    file.write_bytes(whole[: len(whole) // 2] + b"\nENDSEC;\nEND-ISO-10303-21;\n")  # an end that is not one
    assert inspect(file).overall == "refused"


def test_wireframe(tmp_path: Path) -> None:
    file = tmp_path / "wire.brep"
    _made(file, "cad.addWire([cad.addLine(cad.addPoint(0, 0, 0), cad.addPoint(100, 0, 0))])")
    verdict = inspect(file)
    assert verdict.overall == "refused" and "wireframe" in codes(verdict)


def test_surfaces_only(tmp_path: Path) -> None:
    file = tmp_path / "sheet.brep"
    _made(file, "cad.addRectangle(0, 0, 0, 100, 50)")
    verdict = inspect(file)
    assert verdict.overall == "refused" and {"surfaces-only", "open-edges"} <= codes(verdict)
    assert verdict.open_edges == 4


def test_touching_boxes_are_asked_about_and_shared_ones_are_not(tmp_path: Path) -> None:
    file = tmp_path / "two.step"
    _made(file, "cad.addBox(0, 0, 0, 50, 50, 50); cad.addBox(50, 0, 0, 50, 50, 50); cad.addBox(0, 0, 90, 9, 9, 9)")
    verdict = inspect(file)
    assert verdict.overall == "asks" and codes(verdict) == {"contacts"}
    assert [c.bodies for c in verdict.contacts] == [(0, 1)]
    assert verdict.problems[0].choices == ("bonded", "separate")
    asked = Geometry(file="two.step")
    assert open_questions(verdict, asked) and not open_questions(verdict, asked, "inside")
    assert not open_questions(verdict, Geometry(file="two.step", contacts="bonded"))
    file = tmp_path / "one.brep"
    _made(file, "cad.fragment([(3, cad.addBox(0, 0, 0, 50, 50, 50))], [(3, cad.addBox(50, 0, 0, 50, 50, 50))])")
    assert inspect(file, unit="mm").overall == "accepted"


def test_parts_that_touch_are_no_thin_wall(tmp_path: Path) -> None:
    file = tmp_path / "stack.step"
    _made(file, "cad.addBox(0, 0, 0, 60, 60, 20); cad.addBox(0, 0, 20, 60, 60, 30)")
    verdict = inspect(file)
    assert verdict.thinnest == pytest.approx(0.020)
    assert "thin-wall" not in codes(verdict)
    _made(file, "cad.addBox(0, 0, 0, 90, 60, 20); cad.addBox(0, 0, 20, 90, 60, 0.2)")
    assert inspect(file).thinnest == pytest.approx(0.0002)


def test_parts_in_the_same_space_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "crossing.step"
    bars = "cad.addBox(0, 0, 0, 90, 10, 10); cad.addBox(40, -40, 2, 10, 90, 5); cad.addBox(0, 0, 10, 20, 10, 10)"
    _made(file, bars)
    verdict = inspect(file)
    assert verdict.overall == "refused" and codes(verdict) == {"overlap", "contacts"}
    assert {(c.bodies, c.overlap) for c in verdict.contacts} == {((0, 1), True), ((0, 2), False)}
    told = next(p for p in verdict.problems if p.code == "overlap")
    assert "body 1" in told.found and "body 2" in told.found and told.todo
    # a pin as large as its hole touches all round and is no overlap
    _made(file, "h = cad.addBox(0, 0, 0, 50, 50, 20); p = cad.addCylinder(25, 25, -5, 0, 0, 30, 8); "
          "cad.cut([(3, h)], [(3, p)], removeTool=False)")  # fmt: skip
    assert codes(inspect(file)) == {"contacts"}


def _made(file: Path, drawing: str) -> None:
    import subprocess
    import sys

    lines = ["import gmsh", "gmsh.initialize()", "gmsh.option.setNumber('General.Terminal', 0)", "cad = gmsh.model.occ",
             drawing, "cad.synchronize()", f"gmsh.write({str(file)!r})"]  # fmt: skip
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, capture_output=True)


def test_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "big.step"
    with file.open("wb") as stream:
        stream.write(b"ISO-10303-21;\n")
        stream.truncate(200_000_000)
    begun = time.monotonic()
    verdict = inspect(file)
    assert time.monotonic() - begun < 0.5
    assert codes(verdict) == {"too-large"} and "200 MB" in verdict.problems[0].found


def test_time_limit_ends_the_whole_group() -> None:
    begun = time.monotonic()
    verdict = inspect(BRACKET, limits=Limits(seconds=0.2))
    assert codes(verdict) == {"time-limit"}
    assert time.monotonic() - begun < 5
    mine = [p for p in Path("/proc").iterdir() if p.name.isdigit() and _parent(p) == os.getpid()]
    assert not [p for p in mine if b"solvers.meshing" in (p / "cmdline").read_bytes()]


def test_a_process_that_was_started_before_looks_at_one_file() -> None:
    with Room(Limits()) as room:
        assert room.waits
        verdict = inspect(BRACKET, room=room)
        assert verdict == inspect(BRACKET)
        assert not room.waits


def test_a_process_ahead_is_used_and_one_that_has_died_is_not(tmp_path: Path) -> None:
    verdicts = Verdicts(tmp_path)
    verdicts.start_ahead()
    first = _ahead(verdicts)
    assert verdicts.wait("a", BRACKET, None, 30).overall == "accepted"
    assert not first.waits
    second = _ahead(verdicts)
    os.kill(second._process.pid, signal.SIGKILL)
    second._process.wait()
    assert verdicts.wait("b", BRACKET, "m", 30).unit == "m"


def _ahead(verdicts: Verdicts) -> Room:
    end = time.monotonic() + 30
    while verdicts._ahead is None and time.monotonic() < end:
        time.sleep(0.05)
    assert verdicts._ahead is not None
    return verdicts._ahead


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return 0


def test_memory_limit_is_told_in_words() -> None:
    verdict = inspect(BRACKET, limits=Limits(memory=150_000_000))
    assert verdict.overall == "refused"
    assert codes(verdict) <= {"out-of-memory", "crashed"}


def test_kind_is_decided_by_content(tmp_path: Path) -> None:
    for name in ("a.geo", "a.msh", "a", "a.stl"):
        file = tmp_path / name
        file.write_bytes(BRACKET.read_bytes())
        assert recognise(file) == ("step", None)
