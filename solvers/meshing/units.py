"""The unit of length that a CAD file itself declares; the CAD kernel converts and does not tell."""

from __future__ import annotations

import re
from pathlib import Path

_ENTITY = re.compile(r"#(\d+)\s*=\s*([^;]*);")
_PREFIX = {"MICRO": "um", "MILLI": "mm", "CENTI": "cm"}
_NAMED = {"INCH": "in", "IN": "in", "FOOT": "ft", "FEET": "ft", "FT": "ft", "MILLIMETRE": "mm", "MILLIMETER": "mm",
          "MM": "mm", "CENTIMETRE": "cm", "CM": "cm", "METRE": "m", "METER": "m", "M": "m"}  # fmt: skip
#: IGES 5.3, global parameter 14.
_IGES = {1: "in", 2: "mm", 4: "ft", 6: "m", 9: "um", 10: "cm"}


def declared(file: Path, kind: str) -> tuple[str, ...]:
    """The units of length a STEP or IGES file declares for its shapes, commonest first; empty if none.

    A unit outside ``hub.intake.METRES`` is returned by its own name.
    """
    text = file.read_bytes().decode("latin-1")
    if kind == "step":
        return _step(text)
    return _iges(text) if kind == "iges" else ()


def _step(text: str) -> tuple[str, ...]:
    """ISO 10303-41: the length unit among the units a shape's context assigns, not the ones other units derive from."""
    wanted = re.compile(r"LENGTH_UNIT|GLOBAL_UNIT_ASSIGNED_CONTEXT")
    entities = {m[1]: m[2] for m in _ENTITY.finditer(text) if wanted.search(m[2])}
    counts: dict[str, int] = {}
    for body in entities.values():
        assigned = re.search(r"GLOBAL_UNIT_ASSIGNED_CONTEXT\s*\(\s*\(([^)]*)\)", body)
        for ref in re.findall(r"#(\d+)", assigned[1]) if assigned else ():
            unit = _step_unit(entities.get(ref, ""))
            if unit:
                counts[unit] = counts.get(unit, 0) + 1
    return tuple(sorted(counts, key=lambda u: -counts[u]))


def _step_unit(body: str) -> str | None:
    if "LENGTH_UNIT" not in body:
        return None
    named = re.search(r"CONVERSION_BASED_UNIT\s*\(\s*'([^']*)'", body)
    if named:
        return _NAMED.get(named[1].strip().upper(), named[1].strip()[:20])
    si = re.search(r"SI_UNIT\s*\(\s*(?:\.(\w+)\.|\$)\s*,\s*\.METRE\.", body)
    return None if si is None else "m" if si[1] is None else _PREFIX.get(si[1], f"{si[1].lower()}metre")


def _iges(text: str) -> tuple[str, ...]:
    """Global section of IGES 5.3: free text of parameters in columns 1 to 72 of the lines marked G."""
    lines = [line[:72].ljust(72) for line in text.splitlines() if line[72:73] == "G"]
    rest, fields = "".join(lines), []
    separator = ","
    head = re.match(r"1H(.)", rest)
    if head:
        separator = head[1]
    end = ";"
    while rest and len(fields) < 20:
        string = re.match(r"\s*(\d+)H", rest)
        if string:
            stop = string.end() + int(string[1])
            fields.append(rest[string.end() : stop])
            tail = re.match(rf"\s*[{re.escape(separator + end)}]?", rest[stop:])
            rest = rest[stop + (tail.end() if tail else 0) :]
        else:
            part = re.match(rf"[^{re.escape(separator + end)}]*", rest)
            length = part.end() if part else 0
            fields.append(rest[:length].strip())
            rest = rest[length + 1 :]
    try:
        flag = int(fields[13])
    except (IndexError, ValueError):
        return ()
    if flag == 3:
        return (_NAMED.get(fields[14].strip().upper(), fields[14].strip()[:20]),)
    return (_IGES[flag],) if flag in _IGES else ()
