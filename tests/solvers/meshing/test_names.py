"""Names and colours that faces have in CAD reach the verdict, the selections and the mesh."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hub.case import ByColour, ByName, Case, read
from hub.intake import GeometryVerdict, inspect
from hub.selection import Face, resolve, resolve_all
from solvers.meshing import cad, naming
from solvers.meshing.stages import build

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "cad"
DRAW = """
import gmsh
gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
cad = gmsh.model.occ
{drawing}
cad.synchronize()
gmsh.write({file!r})
"""
#: Plates of unlike sides with a hole, so that no face can be taken for another; the second stands on the first.
PLATE = "cad.cut([(3, cad.addBox(0, 0, 0, 40, 20, 10))], [(3, cad.addCylinder(20, 10, -1, 0, 0, 12, 4))])"
TOWER = "cad.addBox(0, 0, 0, 40, 20, 10); cad.addBox(5, 5, 10, 30, 10, 7)"
ENTITY = re.compile(r"#(\d+) ?= ?([^;]*);")
RED = (
    "#{0}=COLOUR_RGB('',1.,0.,0.);#{1}=FILL_AREA_STYLE_COLOUR('',#{0});#{2}=FILL_AREA_STYLE('',(#{1}));"
    "#{3}=SURFACE_STYLE_FILL_AREA(#{2});#{4}=SURFACE_SIDE_STYLE('',(#{3}));#{5}=SURFACE_STYLE_USAGE(.BOTH.,#{4});"
    "#{6}=PRESENTATION_STYLE_ASSIGNMENT((#{5}));#{7}=STYLED_ITEM('color',(#{6}),#{face});"
    "#{8}=MECHANICAL_DESIGN_GEOMETRIC_PRESENTATION_REPRESENTATION('',(#{7}),#{context});\n"
)


def written(file: Path, drawing: str) -> dict[str, str]:
    """The entities of a STEP file drawn by gmsh, number -> text."""
    subprocess.run(
        [sys.executable, "-c", DRAW.format(drawing=drawing, file=str(file))], check=True, capture_output=True
    )
    return {m[1]: m[2].replace("\n", "") for m in ENTITY.finditer(file.read_text())}


def called(entities: dict[str, str], face: str) -> str:
    """What the tests call a face of the text: ``hole``, or the direction and place of its plane."""
    surface = entities[re.findall(r"#(\d+)", entities[face])[-1]]
    if surface.startswith("CYLINDRICAL"):
        return "hole"
    place, normal, _ = re.findall(r"#(\d+)", entities[re.findall(r"#(\d+)", surface)[0]])
    at, way = (
        [float(x) for x in re.findall(r"[-\d.E+]+", entities[e].split("(", 1)[1].replace("''", ""))]
        for e in (place, normal)
    )
    k = max(range(3), key=lambda i: abs(way[i]))
    return f"{'xyz'[k]} = {at[k] + 0.0:.4g}"


def seen(face: Face) -> str:
    """The same from what intake found."""
    if face.type == "cylinder":
        return "hole"
    assert face.normal is not None
    k = max(range(3), key=lambda i: abs(face.normal[i]))
    return f"{'xyz'[k]} = {face.centroid[k] * 1e3 + 0.0:.4g}"


def dressed(file: Path, entities: dict[str, str], *, red: str = "", spell: str = "{}") -> dict[str, str]:
    """Give every face in the file its name, and one of them a colour; number of each face -> name."""
    text = file.read_text()
    names = {n: called(entities, n) for n, e in entities.items() if e.startswith("ADVANCED_FACE")}
    for number, name in names.items():
        text = re.sub(
            rf"(#{number} ?= ?ADVANCED_FACE\()'[^']*'", lambda m, name=name: f"{m[1]}'{spell.format(name)}'", text
        )
    if red:
        face = next(n for n, name in names.items() if name == red)
        context = next(n for n, e in entities.items() if "GEOMETRIC_REPRESENTATION_CONTEXT" in e)
        free = max(map(int, entities)) + 1
        text = text.replace(
            "ENDSEC;\nEND-ISO", RED.format(*range(free, free + 9), face=face, context=context) + "ENDSEC;\nEND-ISO"
        )
    file.write_text(text)
    return names


def asked(file: Path, selections: dict[str, object], contacts: str | None = None) -> tuple[Case, GeometryVerdict]:
    verdict = inspect(file)
    geometry = {"file": file.name} | ({"contacts": contacts} if contacts else {})
    data = {"title": "a part", "geometry": geometry, "solver": "fem.elasticity", "bodies": [{"material": "steel"}]}
    return read(data | {"selections": selections, "mesh": {"fineness": "coarse"}}), verdict


def test_names_and_colours_go_all_the_way(tmp_path: Path) -> None:
    file = tmp_path / "plate.step"
    dressed(file, written(file, PLATE), red="x = 40", spell="L\\X2\\00FC\\X0\\fter; {}")
    question, verdict = asked(file, {"bore": {"name": "Lüfter; hole"}, "end": {"colour": "#FF0000"}})
    assert verdict.overall == "accepted"
    assert [f.names for f in verdict.faces] == [(f"Lüfter; {seen(f)}",) for f in verdict.faces]
    assert [seen(f) for f in verdict.faces if f.colour == "#ff0000"] == ["x = 40"]
    bore = resolve(ByName(name="Lüfter; hole"), verdict.faces)
    end = resolve(ByColour(colour="#ff0000"), verdict.faces)
    assert isinstance(bore, list) and [verdict.faces[i].type for i in bore] == ["cylinder"]
    faces, problems = resolve_all(question, verdict)
    assert not problems and faces == {"bore": bore, "end": end}
    mesh = build(file, verdict, question, faces)
    assert {k: [mesh.faces[i]["names"] for i in v] for k, v in mesh.selections.items()} == {
        "bore": [["Lüfter; hole"]],
        "end": [["Lüfter; x = 40"]],
    }
    assert [f["colour"] for f in mesh.faces if f["colour"]] == ["#ff0000"]


def test_bonded_pieces_keep_the_name_and_colour_of_their_face(tmp_path: Path) -> None:
    file = tmp_path / "tower.step"
    dressed(file, written(file, TOWER), red="x = 35")
    question, verdict = asked(file, {"lid": {"name": "z = 17"}, "side": {"colour": "#ff0000"}}, "bonded")
    assert [f.names for f in verdict.faces] == [(seen(f),) for f in verdict.faces]
    faces, problems = resolve_all(question, verdict)
    assert not problems
    mesh = build(file, verdict, question, faces)
    assert mesh.bodies[0]["name"] != mesh.bodies[1]["name"]
    for name, at in (("lid", 2), ("side", 0)):
        (chosen,) = mesh.selections[name]
        assert mesh.faces[chosen]["centroid"][at] == pytest.approx({"lid": 0.017, "side": 0.035}[name])
    cut = [f for f in mesh.faces if f["names"] == ["z = 10"]]
    assert sum(f["area"] for f in cut) == pytest.approx(40 * 20 * 1e-6)  # what is left on top, and the joint
    assert [f["colour"] for f in mesh.faces if f["colour"]] == ["#ff0000"]


def test_faces_in_another_order_are_found_by_where_they_are(tmp_path: Path) -> None:
    """The names of a text whose shell lists its faces backwards, on the model of the text as it was."""
    file, backwards = tmp_path / "plate.step", tmp_path / "backwards.step"
    dressed(file, written(file, PLATE))
    turned = re.sub(
        r"(CLOSED_SHELL\('',\()([^)]*)", lambda m: m[1] + ",".join(reversed(m[2].split(","))), file.read_text()
    )
    assert turned != file.read_text()
    backwards.write_text(turned)
    with cad.session():
        cad.load(file, "step")
        import gmsh

        tags = [t for _, t in gmsh.model.getEntities(2)]
        right = [gmsh.model.getEntityName(2, t) for t in tags]
        assert len(set(right)) == len(tags) == 7
        for t in tags:
            gmsh.model.setEntityName(2, t, "")
        naming.apply(backwards, "step")
        assert [gmsh.model.getEntityName(2, t) for t in tags] == right


def test_names_that_nobody_can_place_are_dropped(tmp_path: Path) -> None:
    """Those of another part altogether."""
    file, other = tmp_path / "plate.step", tmp_path / "other.step"
    written(file, PLATE)
    dressed(other, written(other, "cad.addBox(1, 2, 3, 33, 22, 11)"))
    with cad.session():
        import gmsh

        cad.load(file, "step")
        naming.apply(other, "step")
        assert not [t for _, t in gmsh.model.getEntities(2) if gmsh.model.getEntityName(2, t)]


def test_every_instance_in_an_assembly_gets_the_names_of_its_part(tmp_path: Path) -> None:
    source = CORPUS / "asm_as1-oc-214.stp"
    if not source.is_file():
        pytest.skip("the CAD corpus is not on this machine")
    text = source.read_text()
    wanted = re.sub(r"#(\d+)( = ADVANCED_FACE\()''", r"#\1\2'F\1'", text)
    file = tmp_path / "assembly.stp"
    file.write_text(wanted)
    radius = {
        m[1]: float(m[2])
        for m in re.finditer(r"#(\d+) = CYLINDRICAL_SURFACE\('',#\d+,([\d.E+-]+)\)", wanted.replace("\n", ""))
    }
    on = dict(re.findall(r"ADVANCED_FACE\('(F\d+)',\([^)]*\),#(\d+)", wanted.replace("\n", "")))
    with cad.session():
        cad.load(file, "step")
        topology = cad.Topology.read()
        import gmsh

        names = {f: gmsh.model.getEntityName(2, f) for f in topology.faces}
        assert len(set(names.values())) == 53 and all(names.values())
        for f, name in names.items():
            if gmsh.model.getType(2, f) == "Cylinder":
                assert gmsh.model.getEntityProperties(2, f)[1][6] == pytest.approx(radius[on[name]])
        of = dict(zip(topology.bodies, topology.names, strict=True))
    assert sorted(of.values()) == sorted(
        ["plate", "rod", "l-bracket", "l-bracket (2)", "bolt", "nut"]
        + [f"bolt ({k})" for k in range(2, 7)]
        + [f"nut ({k})" for k in range(2, 9)]
    )


@pytest.mark.parametrize(
    ("path", "known", "name"),
    [
        ("Shapes/as1/rod_1/nut & & 256", {"nut", "rod"}, "nut"),
        ("Shapes/as1/plate_1/plate", {"plate"}, "plate"),
        ("Shapes/Nut & bolt M6/8 & steel & 256", {"Nut & bolt M6/8", "8"}, "Nut & bolt M6/8"),
        ("Shapes/something else", set(), "something else"),
    ],
)
def test_names_of_parts(path: str, known: set[str], name: str) -> None:
    assert naming._part(path, known) == name
