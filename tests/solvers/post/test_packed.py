"""What browsers get of a domain's inside is what the fields say there."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from test_moving_pictures import view, vortex  # noqa: F401  (a fixture)
from vtkmodules.util.numpy_support import vtk_to_numpy

from hub.result import Answer
from solvers.post import inside, packed
from solvers.post.words import Language


def unpacked(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Head and arrays, by the description of the format alone."""
    data = gzip.decompress(file.read_bytes())
    assert data[:4] == b"OFV1"
    length = struct.unpack("<I", data[4:8])[0]
    head = json.loads(data[8 : 8 + length])
    arrays = {}
    for name, said in head["arrays"].items():
        kind = {"u8": "<u1", "u16": "<u2", "i16": "<i2", "u32": "<u4"}[said["type"]]
        at = 8 + length + said["offset"]
        found = np.frombuffer(data, kind, said["count"] * said["width"], at).reshape(-1, said["width"])
        arrays[name] = np.cumsum(found, axis=0, dtype=found.dtype) if said["differences"] else found
    return head, arrays


def test_a_linear_field_is_on_the_grid_what_it_is_inside(vortex, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    section = {"point": [0.2, 0, 0], "normal": [-1, 0, 0]}
    views = [view("section", "height", name="height", section=section), view("surface", name="speed", component=0)]
    answer = Answer.model_validate(
        {"verdict": {"answer": "none", "sentence": {}}, "quantities": {}, "unknowns": 1,
         "views": [v.model_dump() for v in views]}
    )  # fmt: skip
    packed.write(tmp_path / "view3d.bin", answer, vortex, tmp_path / "none", Language("en"))
    head, arrays = unpacked(tmp_path / "view3d.bin")
    grid = head["inside"]
    assert np.prod(grid["counts"]) == len(arrays["inside"]) <= 1.1 * inside.POINTS
    assert arrays["inside"].all()  # the cube fills its box
    z, y, _x = np.meshgrid(
        *(grid["origin"][k] + grid["spacing"][k] * np.arange(grid["counts"][k]) for k in (2, 1, 0)), indexing="ij"
    )
    for number, truth in ((0, z), (1, -2.0 * y)):
        said = head["scalars"][number]
        values = said["low"] + arrays[f"inside{number}"][:, 0] / grid["steps"] * (said["high"] - said["low"])
        assert values == pytest.approx(truth.reshape(-1), abs=0.51 * (said["high"] - said["low"]) / grid["steps"])
    assert head["scalars"][0]["section"] == [0, pytest.approx(0.6)]
    assert "section" not in head["scalars"][1]


def test_a_film_holds_every_moment_of_its_section(vortex, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    cells = vtk_to_numpy(vortex.grid.GetCells().GetConnectivityArray())
    frames = np.arange(5)
    count = len(vortex.nodes)
    with h5py.File(tmp_path / "moving.vtkhdf", "w") as data:  # a mesh that stands still: the layout of VTK's format
        root = data.create_group("VTKHDF")
        root.attrs["Version"] = (2, 2)
        root.attrs.create("Type", b"UnstructuredGrid", dtype=h5py.string_dtype("ascii", 16))
        root["NumberOfPoints"], root["NumberOfCells"] = [count], [len(cells) // 4]
        root["NumberOfConnectivityIds"], root["Points"], root["Connectivity"] = [len(cells)], vortex.nodes, cells
        root["Offsets"], root["Types"] = np.arange(0, len(cells) + 1, 4), np.full(len(cells) // 4, 10, np.uint8)
        root["PointData/pressure"] = np.outer(1 + frames, vortex.nodes[:, 0]).reshape(-1)
        root["Steps/PointDataOffsets/pressure"] = count * frames
        root["Steps"].attrs["NSteps"] = len(frames)
        root["Steps/Values"], root["Steps/NumberOfParts"] = 0.1 * frames, np.ones(5, int)
        for name in ("PartOffsets", "PointOffsets"):
            root[f"Steps/{name}"] = np.zeros(5, int)
        for name in ("CellOffsets", "ConnectivityIdOffsets"):
            root[f"Steps/{name}"] = np.zeros((5, 1), int)
    moving = view("moving", "pressure", section={"point": [0, 0, 0.3], "normal": [0, 0, 1]})
    film = inside.Film.of(tmp_path / "moving.vtkhdf", moving)
    assert film is not None and film.times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert film.points[:, 2] == pytest.approx(np.full(len(film.points), 0.3))
    for k in range(5):
        assert film.values[k] == pytest.approx((1 + k) * film.points[:, 0], abs=1e-6)
    with pytest.raises(ValueError, match="no field 'speed'"):
        inside.Film.of(tmp_path / "moving.vtkhdf", view("moving", "speed"))


def test_bars_are_never_packed_narrower_and_none_stays_none() -> None:
    values = np.array([0.0, 1e-6, 0.3, 2.0, np.nan])
    codes = packed._bars(values, 2.0)
    assert codes[-1] == 255
    back = 2.0 * (codes[:-1] / 254.0) ** 2
    assert (back >= values[:-1] * (1 - 1e-12)).all()
    assert back[2] < 0.3 * 1.03
