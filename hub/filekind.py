"""What a file is, by its content; its name is never looked at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from hub.problem import Problem, excerpt

Kind = Literal["step", "iges", "brep", "stl", "abaqus", "nastran", "vtu", "gmsh", "med"]

#: The extension under which a file of a kind is given to the programs that read it.
EXTENSION: dict[Kind, str] = {
    "step": "step",
    "iges": "iges",
    "brep": "brep",
    "stl": "stl",
    "abaqus": "inp",
    "nastran": "bdf",
    "vtu": "vtu",
    "gmsh": "msh",
    "med": "med",
}
MESHES: frozenset[Kind] = frozenset({"abaqus", "nastran", "vtu", "gmsh", "med"})
HEAD = 65_536

#: Beginnings of what people send instead, and what it is called.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive (also FreeCAD, 3MF and office files)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"%PDF", "a PDF"),
    (b"\xd0\xcf\x11\xe0", "a SolidWorks, Inventor or old office file"),
    (b"AC10", "an AutoCAD drawing (DWG)"),
    (b"**ABCDEFG", "a Parasolid file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"#!", "a script"),
)
_TODO = "Export the part as STEP (AP214 or AP242), or send IGES, BREP, STL or a mesh (inp, bdf, vtu, msh, med)."


def _refuse(
    found: str, expected: str = "a CAD file or a mesh", todo: str = _TODO, code: str = "unknown-kind"
) -> Problem:
    return Problem(where="geometry.file", found=found, expected=expected, todo=todo, code=code)


def recognise(file: Path) -> tuple[Kind | None, Problem | None]:
    """The kind of a file, and what is wrong with it as far as its first and last bytes tell. Raises OSError."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(HEAD)
        stream.seek(max(0, size - 4096))
        tail = stream.read()
    if not head.strip(b"\x00 \t\r\n"):
        return None, _refuse("an empty file" if not size else "a file of blanks or zeros", code="empty")
    kind = _kind(head, size)
    if kind is None:
        return None, _refuse(_seen(head))
    if kind == "step" and b"END-ISO-10303-21" not in tail:
        return kind, _refuse(
            "a STEP file that breaks off before its end",
            "a file that ends with END-ISO-10303-21",
            "Send it again; if it comes out of the CAD system like this, export it again.",
            "truncated",
        )
    if kind == "vtu" and b"</VTKFile>" not in tail:
        return kind, _refuse(
            "a VTU file that breaks off before its end",
            "a file that ends with </VTKFile>",
            "Send it again.",
            "truncated",
        )
    return kind, None


def _kind(head: bytes, size: int) -> Kind | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"ISO-10303-21"):
        return "step"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "med"
    if text.startswith((b"DBRep_DrawableShape", b"CASCADE Topology V", b"Open CASCADE Topology V")):
        return "brep"
    if text.startswith(b"$MeshFormat"):
        return "gmsh"
    if re.match(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<VTKFile\b", text, re.S):
        return "vtu" if re.search(rb"<VTKFile[^>]*type=[\"']UnstructuredGrid[\"']", text) else None
    first = head[:82].split(b"\n")[0].rstrip(b"\r")
    if re.fullmatch(rb".{72}S {0,6}0*1", first):
        return "iges"
    if re.match(rb"solid\b[^\n]*\n\s*(facet\s+normal|endsolid)", text, re.I):
        return "stl"
    if size >= 134 and size == 84 + 50 * int.from_bytes(head[80:84], "little"):
        return "stl"
    if b"\x00" in head:
        return None
    if re.search(rb"^\s*\*NODE\s*(,[^\n]*)?$", head, re.I | re.M):
        return "abaqus"
    if re.search(rb"^(BEGIN\s+BULK|GRID[ ,*])", head, re.I | re.M):
        return "nastran"
    return None


def _seen(head: bytes) -> str:
    """What a file that is none of ours looks like."""
    for start, name in _OTHERS:
        if head.startswith(start):
            return name
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        return f"an XML or HTML file that is no VTU unstructured grid, beginning {excerpt(_line(text))}"
    if b"\x00" in head[:1024]:
        return f"unknown binary data, beginning {head[:8].hex(' ')}"
    return f"text that is none of these formats, beginning {excerpt(_line(text))}"


def _line(text: bytes) -> str:
    return text.split(b"\n", 1)[0].decode("utf-8", "replace").strip()[:60]
