"""Files of what the grains did: frames over time, the last state with the walls, the bed on a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from solvers.dem.grains.conditions import Reals

TOPOLOGIES = ("Vertices", "Lines", "Polygons", "Strips")


@dataclass(frozen=True)
class Frame:
    """Grains at a time [s]: points (n, 3) [m] and point fields, name -> (n,) or (n, 3)."""

    time: float
    points: Reals
    fields: Mapping[str, Any]


def write_moving(frames: Sequence[Frame], file: Path, wall: Any = (), poses: Reals | None = None) -> None:
    """Frames as temporal VTKHDF poly data; every frame has its own number of grains.

    wall (faces,) number of the wall of each face and poses (frames, walls, 3, 4), where walls move:
    ``solvers/post/poses.py``
    """
    points = np.concatenate([f.points for f in frames]).astype(np.float32)
    counts = np.array([len(f.points) for f in frames], np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)[:-1]])
    with h5py.File(file, "w") as h:
        root = h.create_group("VTKHDF")
        root.attrs["Version"] = np.array([2, 2])
        root.attrs.create("Type", b"PolyData", dtype=h5py.string_dtype("ascii", 8))
        packed: dict[str, Any] = {"compression": "gzip", "compression_opts": 2, "shuffle": True}
        root.create_dataset("Points", data=points, **packed)
        root.create_dataset("NumberOfPoints", data=counts)
        data = root.create_group("PointData")
        for name in frames[0].fields:
            data.create_dataset(name, data=np.concatenate([f.fields[name] for f in frames]), **packed)
        # each grain is a vertex, for what is drawn with no cells at all is empty to some programs
        for kind in TOPOLOGIES:
            cells = root.create_group(kind)
            own = counts if kind == "Vertices" else np.zeros_like(counts)
            numbers = [np.arange(n, dtype=np.int64) for n in own]
            cells.create_dataset("NumberOfCells", data=own)
            cells.create_dataset("NumberOfConnectivityIds", data=own)
            cells.create_dataset("Connectivity", data=np.concatenate(numbers), **packed)
            cells.create_dataset("Offsets", data=np.concatenate([np.arange(n + 1) for n in own]), **packed)
        steps = root.create_group("Steps")
        steps.attrs["NSteps"] = len(frames)
        steps.create_dataset("Values", data=[f.time for f in frames])
        steps.create_dataset("PartOffsets", data=np.arange(len(frames)))
        steps.create_dataset("NumberOfParts", data=np.ones(len(frames), np.int64))
        steps.create_dataset("PointOffsets", data=offsets)
        zeros = np.zeros((len(frames), 3), np.int64)
        steps.create_dataset("CellOffsets", data=np.column_stack([offsets, zeros]))
        steps.create_dataset("ConnectivityIdOffsets", data=np.column_stack([offsets, zeros]))
        places = steps.create_group("PointDataOffsets")
        for name in frames[0].fields:
            places.create_dataset(name, data=offsets)
        if poses is not None:
            h.create_dataset("Walls/Face", data=np.asarray(wall, np.int64))
            h.create_dataset("Walls/Pose", data=poses)


def write_fields(
    grains: Reals, walls: Reals, facets: Any, fields: Mapping[str, tuple[Reals, Reals]], file: Path
) -> None:
    """Grains as vertices and walls as triangles in one VTU file.

    grains (n, 3), walls (m, 3) points [m]; facets (k, 3) into `walls`; fields : name -> (values at the grains, values
    at the walls' points)
    """
    import meshio

    vertices = np.arange(len(grains), dtype=np.int64)[:, None]
    meshio.Mesh(
        np.concatenate([grains, walls]),
        [cells for cells in (("vertex", vertices), ("triangle", np.asarray(facets) + len(grains))) if len(cells[1])],
        point_data={name: np.concatenate(pair) for name, pair in fields.items()},
    ).write(file, file_format="vtu", binary=True, compression=None)


def write_walls(points: Reals, facets: Any, fields: Mapping[str, Reals], file: Path) -> None:
    """The whole skin with fields at its points (m,), as a VTU file: what a solver of the part takes as loads."""
    import meshio

    meshio.Mesh(points, [("triangle", np.asarray(facets))], point_data=dict(fields)).write(
        file, file_format="vtu", binary=True, compression=None
    )


def write_bed(low: Reals, size: float, count: Any, fields: Mapping[str, Reals], file: Path) -> None:
    """Fields (cells, ...) on a grid of cubes as VTK image data, ascii of single precision; z runs slowest."""
    nx, ny, nz = (int(n) for n in count)
    arrays = ""
    for name, values in fields.items():
        width = values.shape[1] if values.ndim == 2 else 1
        ordered = values.reshape(nx, ny, nz, width).transpose(2, 1, 0, 3).ravel()
        text = " ".join(f"{v:.6g}" for v in ordered)
        arrays += (
            f'<DataArray type="Float32" Name="{name}" NumberOfComponents="{width}" format="ascii">{text}</DataArray>'
        )
    corner = " ".join(f"{x:.9g}" for x in low)
    extent = f"0 {nx} 0 {ny} 0 {nz}"
    file.write_text(
        '<?xml version="1.0"?><VTKFile type="ImageData" version="1.0" byte_order="LittleEndian">'
        f'<ImageData WholeExtent="{extent}" Origin="{corner}" Spacing="{size:.9g} {size:.9g} {size:.9g}">'
        f'<Piece Extent="{extent}"><CellData>{arrays}</CellData></Piece></ImageData></VTKFile>'
    )
