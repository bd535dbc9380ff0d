"""Fields gathered from the ranks and written for ParaView.

Written as raw bytes behind a short XML head: neither encoded nor compressed, for a large mesh is written as often
as it is solved, and importing a library that knows every format takes longer than this.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from solvers.fem.mesh import Part  # first, for it loads MPI ahead of the bindings

# isort: split
from dolfinx import fem

Reals = npt.NDArray[np.float64]
#: VTK's number of a cell by its nodes.
CELLS = {3: 5, 4: 10, 6: 22, 10: 24}


def at_geometry_nodes(part: Part, V: fem.FunctionSpace, values: Reals) -> Reals:
    """Values at the nodes of a Lagrange space (local nodes, k) -> at the geometry's nodes (local nodes, k).

    The space is of the geometry's order or higher: every node of the geometry is a node of the space.
    """
    dofs, nodes = V.dofmap.list, part.mesh.geometry.dofmaps[0]
    at = np.zeros(len(part.mesh.geometry.x), dtype=np.int32)
    at[nodes.ravel()] = dofs[:, : nodes.shape[1]].ravel()
    return values[at]


def gather(part: Part, values: Reals) -> Reals | None:
    """(local geometry nodes, k) of every rank -> (nodes of the mesh file, k) on rank 0, None elsewhere. Collective."""
    comm = part.mesh.comm
    own = part.mesh.geometry.index_map().size_local
    pieces = comm.gather((part.nodes[:own], values[:own]))
    if pieces is None:
        return None
    whole = np.zeros((len(part.file.points), *values.shape[1:]))
    for nodes, value in pieces:
        whole[nodes] = value
    return whole


def write(part: Part, fields: dict[str, Reals], file: Path) -> None:
    """Write fields, an array (local geometry nodes, k) or (local geometry nodes,) each, as a VTU file. Collective."""
    whole = {name: gather(part, spatial(values)) for name, values in fields.items()}
    if part.mesh.comm.rank == 0:
        cells = part.file.cells
        count, corners = cells.shape
        topology = {
            "connectivity": cells.ravel(),
            "offsets": np.arange(corners, count * corners + 1, corners, dtype=np.int64),
            "types": np.full(count, CELLS[corners], dtype=np.uint8),
        }
        pieces: list[Reals] = []
        sections = (
            ("Points", {"points": part.file.points}),
            ("Cells", topology),
            ("PointData", whole),
            ("CellData", {"body": part.file.cell_body}),
        )
        text = "".join(
            f"<{tag}>{''.join(_array(name, values, pieces) for name, values in arrays.items())}</{tag}>"
            for tag, arrays in sections
        )
        with file.open("wb") as stream:
            stream.write(
                b'<?xml version="1.0"?><VTKFile type="UnstructuredGrid" version="1.0" byte_order="LittleEndian" '
                b'header_type="UInt64"><UnstructuredGrid>'
                + f'<Piece NumberOfPoints="{len(part.file.points)}" NumberOfCells="{count}">{text}</Piece>'.encode()
                + b'</UnstructuredGrid><AppendedData encoding="raw">_'
            )
            for piece in pieces:
                stream.write(np.uint64(piece.nbytes).tobytes())
                stream.write(np.ascontiguousarray(piece).tobytes())
            stream.write(b"\n</AppendedData></VTKFile>\n")


def write_moving(points: Reals, cells: npt.NDArray, frames: Sequence[Path], file: Path) -> None:
    """Fields of a mesh that stands still as temporal VTKHDF.

    points (n, 3) [m]; cells (m, k); frames : npz files of ``time`` [s] and fields (n,) or (n, 3), in their order
    """
    import h5py

    packed: dict[str, Any] = {"compression": "gzip", "compression_opts": 2, "shuffle": True}
    count = len(frames)
    with h5py.File(file, "w") as h:
        root = h.create_group("VTKHDF")
        root.attrs["Version"] = np.array([2, 2])
        root.attrs.create("Type", b"UnstructuredGrid", dtype=h5py.string_dtype("ascii", 16))
        root.create_dataset("NumberOfPoints", data=[len(points)])
        root.create_dataset("NumberOfCells", data=[len(cells)])
        root.create_dataset("NumberOfConnectivityIds", data=[cells.size])
        root.create_dataset("Points", data=points.astype(np.float32), **packed)
        root.create_dataset("Connectivity", data=cells.ravel().astype(np.int64), **packed)
        root.create_dataset("Offsets", data=np.arange(len(cells) + 1, dtype=np.int64) * cells.shape[1], **packed)
        root.create_dataset("Types", data=np.full(len(cells), CELLS[cells.shape[1]], dtype=np.uint8), **packed)
        data, times = root.create_group("PointData"), []
        for i, frame in enumerate(frames):
            with np.load(frame, allow_pickle=False) as arrays:
                times.append(float(arrays["time"]))
                for name in (n for n in arrays.files if n != "time"):
                    values = arrays[name]
                    if not i:
                        shape = (count * len(points), *values.shape[1:])
                        chunk = (len(points), *values.shape[1:])
                        data.create_dataset(name, shape, np.float32, chunks=chunk, **packed)
                    data[name][i * len(points) : (i + 1) * len(points)] = values
        steps = root.create_group("Steps")
        steps.attrs["NSteps"] = count
        steps.create_dataset("Values", data=times)
        steps.create_dataset("NumberOfParts", data=np.ones(count, np.int64))
        # every step has the first one's mesh
        for name in ("PartOffsets", "PointOffsets"):
            steps.create_dataset(name, data=np.zeros(count, np.int64))
        for name in ("CellOffsets", "ConnectivityIdOffsets"):
            steps.create_dataset(name, data=np.zeros((count, 1), np.int64))
        places = steps.create_group("PointDataOffsets")
        for name in data:
            places.create_dataset(name, data=np.arange(count, dtype=np.int64) * len(points))


def spatial(values: Reals) -> Reals:
    """Vectors of a plane get the third component without which viewers do not take them for vectors."""
    return np.pad(values, ((0, 0), (0, 1))) if values.ndim == 2 and values.shape[1] == 2 else values


def _array(name: str, values: npt.NDArray, pieces: list) -> str:
    """The header of an array whose bytes are appended after those of `pieces`, to which it is added."""
    kind = {"float64": "Float64", "int64": "Int64", "int32": "Int32", "uint8": "UInt8"}[values.dtype.name]
    offset = sum(8 + piece.nbytes for piece in pieces)
    pieces.append(values)
    width = values.shape[1] if values.ndim == 2 else 1
    return f'<DataArray type="{kind}" Name="{name}" NumberOfComponents="{width}" format="appended" offset="{offset}"/>'
