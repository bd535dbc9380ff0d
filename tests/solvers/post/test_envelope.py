"""The extremes over many results on one mesh."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import meshio
import numpy as np
import pytest

from hub.result import View
from solvers.post import envelope

POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], float)
CELLS = [("tetra", np.array([[0, 1, 2, 3], [1, 2, 3, 4]]))]


def result(folder: Path, number: int, von_mises: list[float], **more: list[float]) -> tuple[int, str]:
    file = folder / f"{number}.vtu"
    data = {"von_mises": von_mises, "displacement": np.outer(von_mises, [0.6, 0.0, 0.8]), **more}
    meshio.write(file, meshio.Mesh(POINTS, CELLS, point_data=data))
    return number, str(file)


def test_each_node_has_its_extremes_and_the_points_they_belong_to(tmp_path: Path) -> None:
    results = [
        result(tmp_path, 1, [1, 9, 3, 4, 5]),
        result(tmp_path, 2, [2, 8, 3, 6, 1]),
        result(tmp_path, 7, [0, 7, 3, 5, 9], von_mises_error=[1, 1, 1, 1, 1]),
    ]
    parts = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for part, share in zip(parts, (results[1:], results[:1]), strict=True):
        envelope.save(envelope.of(share), part)
    found = envelope.joined(*map(envelope.load, parts))
    value, point, at = envelope.write(found, Path(results[0][1]), tmp_path / "out.vtu", "von_mises")
    assert (value, point, at) == (9.0, 1, (1.0, 0.0, 0.0))
    data = meshio.read(tmp_path / "out.vtu").point_data
    assert data["von_mises_max"].tolist() == [2, 9, 3, 6, 9]
    assert data["von_mises_max_point"].tolist() == [2, 1, 1, 2, 7], "of equal ones the first"
    assert data["von_mises_min"].tolist() == [0, 7, 3, 4, 1]
    assert data["von_mises_min_point"].tolist() == [7, 7, 1, 1, 2]
    assert data["displacement_max"] == pytest.approx(data["von_mises_max"]), "of a vector its magnitude"
    assert not any("error" in name for name in data)


def test_results_on_different_meshes_have_none(tmp_path: Path) -> None:
    other = tmp_path / "other.vtu"
    meshio.write(other, meshio.Mesh(POINTS[:4], [("tetra", [[0, 1, 2, 3]])], point_data={"von_mises": [1.0] * 4}))
    with pytest.raises(ValueError, match="different meshes"):
        envelope.of([result(tmp_path, 1, [1, 2, 3, 4, 5]), (2, str(other))])


def test_it_is_drawn(tmp_path: Path) -> None:
    (_, sample) = result(tmp_path, 1, [1, 9, 3, 4, 5])
    envelope.write(envelope.of([(1, sample)]), Path(sample), tmp_path / "out.vtu", "von_mises")
    view = View(name="envelope", title={"en": "Stress"}, field="von_mises_max", unit="Pa").model_dump_json()
    argv = ["picture", str(tmp_path / "out.vtu"), view, "it", str(tmp_path / "plots" / "envelope.png")]
    ran = subprocess.run([sys.executable, "-m", "solvers.post", *argv], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "plots" / "envelope.png").read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "list.json").write_text(json.dumps([[1, sample]]))
    argv = ["extremes", str(tmp_path / "list.json"), str(tmp_path / "part.npz")]
    assert subprocess.run([sys.executable, "-m", "solvers.post", *argv], check=False).returncode == 0
    assert envelope.load(tmp_path / "part.npz").high["von_mises"].tolist() == [1, 9, 3, 4, 5]
