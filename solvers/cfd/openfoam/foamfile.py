"""Files as OpenFOAM reads and writes them: dictionaries as text, lists and fields as raw bytes behind a head.

Labels have 32 bits and scalars 64, as in Debian's package. Format: OpenFOAM User Guide, 2.2 "Basic input/output
file format".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]
#: Values of a scalar or of a vector by class of the field.
WIDTH = {"scalar": 1, "vector": 3, "symmTensor": 6, "tensor": 9}


def head(kind: str, name: str, *, binary: bool = False) -> str:
    """The head that every file starts with."""
    form = 'binary; arch "LSB;label=32;scalar=64"' if binary else "ascii"
    return f"FoamFile\n{{ version 2.0; format {form}; class {kind}; object {name}; }}\n"


def text(entries: Mapping[str, Any], depth: int = 0) -> str:
    """Plain data as entries of a dictionary: mappings nest, sequences are lists in parentheses."""
    lines, pad = [], "    " * depth
    for key, value in entries.items():
        if isinstance(value, Mapping):
            lines.append(f"{pad}{key}\n{pad}{{\n{text(value, depth + 1)}{pad}}}\n")
        else:
            lines.append(f"{pad}{key} {word(value)};\n")
    return "".join(lines)


def word(value: Any) -> str:
    """One value as a dictionary has it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case Mapping():
            return "{ " + text(value) + " }"
        case Sequence() | np.ndarray():
            return "(" + " ".join(word(v) for v in value) + ")"
        case float() | np.floating():
            return repr(float(value))
        case _:
            return str(value)


def write_dictionary(file: Path, entries: Mapping[str, Any], kind: str = "dictionary") -> None:
    """A dictionary, in the folder and under the name that `file` says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(head(kind, file.name) + text(entries))


def raw(values: npt.NDArray[Any]) -> bytes:
    """A list as raw bytes: its length, and the values between parentheses."""
    return f"{len(values)}\n(".encode() + np.ascontiguousarray(values).tobytes() + b")\n"


@dataclass(frozen=True)
class Field:
    """A field as a solver of OpenFOAM wrote it.

    inside : (n_cells,) or (n_cells, k); of a surface field (n_internal_faces, ...)
    patches : name of a patch -> (n_faces,) or (n_faces, k), where the patch has values
    """

    inside: Reals
    patches: dict[str, Reals]


class Scanner:
    """Steps through the bytes of a file whose lists may hold any byte."""

    SPACE = b" \t\r\n"
    WORD = re.compile(rb"[^\s;{}()]+")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def skip(self) -> None:
        """Past white space and comments."""
        while True:
            while self.data[self.at : self.at + 1] and self.data[self.at] in self.SPACE:
                self.at += 1
            if self.data[self.at : self.at + 2] == b"//":
                self.at = self.data.index(b"\n", self.at)
            elif self.data[self.at : self.at + 2] == b"/*":
                self.at = self.data.index(b"*/", self.at) + 2
            else:
                return

    def sees(self, token: bytes) -> bool:
        """Whether `token` comes next; steps past it if so."""
        self.skip()
        if not self.data.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def word(self) -> str:
        """The next word. Raises ValueError where there is none."""
        self.skip()
        found = self.WORD.match(self.data, self.at)
        if found is None:
            raise ValueError(f"a word was expected at byte {self.at}")
        self.at = found.end()
        return found[0].decode()

    def list(self, dtype: Any, width: int = 1) -> npt.NDArray[Any]:
        """A raw list: its length, and the values between parentheses."""
        count = int(self.word())
        if not count:
            if self.sees(b"("):
                self.sees(b")")
            return np.empty((0, width) if width > 1 else 0, dtype)
        if self.sees(b"{"):  # all the same
            one = np.frombuffer(self.data, dtype, width, self.at)
            self.at += one.nbytes + 1
            return np.tile(one, (count, 1)) if width > 1 else np.repeat(one, count)
        if not self.sees(b"("):  # what comes after is raw: nothing is skipped
            raise ValueError(f"a list was expected at byte {self.at}")
        values = np.frombuffer(self.data, dtype, count * width, self.at).copy()
        self.at += values.nbytes
        if not self.sees(b")"):
            raise ValueError(f"the list that ends at byte {self.at} is not closed")
        return values.reshape(-1, width) if width > 1 else values

    def rest_of_entry(self) -> None:
        """Past the end of the entry, whatever it holds."""
        depth = 0
        while True:
            self.skip()
            byte = self.data[self.at : self.at + 1]
            self.at += 1
            if byte in (b"(", b"{"):
                depth += 1
            elif byte in (b")", b"}"):
                depth -= 1
            elif byte == b";" and not depth:
                return
            elif not byte:
                raise ValueError("the file ends inside an entry")


def body(file: Path) -> Scanner:
    """The content of a file after its head. Raises ValueError unless it is in the raw format."""
    data = file.read_bytes()
    end = data.index(b"}", data.index(b"FoamFile"))
    if b"binary" not in data[:end]:
        raise ValueError(f"{file.name} is not in the raw format")
    return Scanner(data, end + 1)


def read_field(file: Path, sizes: Mapping[str, int], inside: int) -> Field:
    """A field. sizes : faces of each patch; inside : cells (or internal faces). Raises OSError, ValueError."""
    scanner = body(file)
    patches: dict[str, Reals] = {}
    values: Reals | None = None
    while not (values is not None and patches) and scanner.at < len(scanner.data):
        scanner.skip()
        if scanner.at >= len(scanner.data):
            break
        match scanner.word():
            case "internalField":
                values = _values(scanner, inside)
            case "boundaryField":
                if not scanner.sees(b"{"):
                    raise ValueError(f"{file.name}: the patches are missing")
                while not scanner.sees(b"}"):
                    patch = scanner.word()
                    if not scanner.sees(b"{"):
                        raise ValueError(f"{file.name}: {patch} is no dictionary")
                    while not scanner.sees(b"}"):
                        if scanner.word() == "value":
                            patches[patch] = _values(scanner, sizes[patch])
                        else:
                            _pass(scanner)
                break
            case _:
                scanner.rest_of_entry()
    if values is None:
        raise ValueError(f"{file.name} holds no values")
    return Field(values, patches)


def _values(scanner: Scanner, count: int) -> Reals:
    """``uniform ...;`` or ``nonuniform List<...> ...;`` as an array."""
    match scanner.word():
        case "uniform":
            if scanner.sees(b"("):
                numbers = []
                while not scanner.sees(b")"):
                    numbers.append(float(scanner.word()))
                found = np.tile(np.array(numbers), (count, 1))
            else:
                found = np.full(count, float(scanner.word()))
        case "nonuniform":
            scanner.skip()
            if scanner.data[scanner.at : scanner.at + 1] == b"0":
                scanner.rest_of_entry()
                return np.empty(0)
            kind = scanner.word().removeprefix("List<").removesuffix(">")
            found = scanner.list(np.float64, WIDTH[kind])
        case other:
            raise ValueError(f"values cannot start with {other}")
    scanner.sees(b";")
    return found


def _pass(scanner: Scanner) -> None:
    """Past one entry of a patch, whose lists are raw as well."""
    scanner.skip()
    at = scanner.at
    if scanner.data.startswith(b"nonuniform", at):
        _values(scanner, 0)
        return
    if scanner.sees(b"{"):
        while not scanner.sees(b"}"):
            scanner.word()
            _pass(scanner)
        return
    scanner.rest_of_entry()
