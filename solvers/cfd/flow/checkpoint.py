"""What a run in time can go on from after a kill or a limit of time, on any number of ranks.

Fields are kept as values at places, found again by their places; the file is replaced whole. A run that goes on gives
what an uninterrupted one gives, to the last digits on as many ranks: after each checkpoint both make the factors anew
that a step otherwise takes over from an earlier one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from solvers.cfd.flow import periodic  # first, for it loads MPI ahead of the bindings
from solvers.cfd.flow.state import Reals

# isort: split
from dolfinx import fem
from scipy.spatial import KDTree

from hub.solver import StageError
from solvers.cfd.flow.unsteady import Controller, March

#: Steps between checkpoints: a number and not a time, so that runs that were interrupted take the same steps.
EVERY = 50
#: How far apart two nodes may be to be one, as part of the size of the domain.
SAME = 1e-9


def save(
    folder: Path,
    march: March,
    fields: Mapping[str, fem.Function] | None = None,
    data: Mapping[str, Any] | None = None,
    name: str = "flow",
) -> None:
    """Write what `march` can go on from into `folder`, made if need be. Collective.

    fields : more functions of Lagrange spaces to keep (temperatures); data : plain data (sums of averages)
    name : of the file, for runs that keep several
    """
    comm = march.comm
    arrays: dict[str, Reals] = {}
    for field, (space, values) in {**_of(march), **_spaces(fields or {})}.items():
        own = space.dofmap.index_map.size_local
        pieces = comm.gather((space.tabulate_dof_coordinates()[:own], values[:own]))
        if pieces is not None:
            arrays[f"{field}/places"] = np.concatenate([x for x, _ in pieces])
            arrays[f"{field}/values"] = np.concatenate([v for _, v in pieces])
    march.refresh()
    if comm.rank == 0:
        control = {"t": march.flow.t, **asdict(march.control)}
        head = json.dumps({"mesh": _mesh(march), "control": control, "data": dict(data or {})})
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{name}.part"
        with part.open("wb") as stream:
            np.savez(stream, head=np.frombuffer(head.encode(), dtype=np.uint8), **arrays)
        part.replace(folder / f"{name}.npz")
    comm.barrier()


def load(
    folder: Path | None, march: March, fields: Mapping[str, fem.Function] | None = None, name: str = "flow"
) -> dict[str, Any] | None:
    """Put `march` and `fields` where the checkpoint in `folder` left them; its data, or None if there is none.

    Collective. Raises StageError if the file is of another mesh or cannot be read.
    """
    file = None if folder is None else folder / f"{name}.npz"
    if not march.comm.bcast(file is not None and file.is_file()):
        return None
    assert file is not None
    try:
        with np.load(file, allow_pickle=False) as arrays:
            head = json.loads(arrays["head"].tobytes())
            if head["mesh"] != _mesh(march):
                raise ValueError("it is of another mesh")
            size = float(np.ptp(march.boundary.x, axis=0).max())
            for field, (space, values) in {**_of(march), **_spaces(fields or {})}.items():
                known, far, row = KDTree(arrays[f"{field}/places"]), np.full(len(values), np.inf), None
                for places in periodic.places(march.flow.part, space):
                    away, at = known.query(places[: len(values)])
                    far, row = np.minimum(away, far), at if row is None else np.where(away < far, at, row)
                if len(far) and far.max() > SAME * size:
                    raise ValueError(f"{field} is of another space")
                values[:] = arrays[f"{field}/values"][row]
    except (OSError, ValueError, KeyError) as error:
        raise StageError(
            "checkpoint", f"The checkpoint of the earlier attempt cannot be used: {error}.", "Run the case again."
        ) from error
    control = head["control"]
    march.flow.t = control.pop("t")
    march.control = Controller(**control)
    march.refresh()
    return dict(head["data"])


def _of(march: March) -> dict[str, tuple[fem.FunctionSpace, Reals]]:
    flow = march.flow
    vectors = {
        "u": flow.u.x.array,
        "before": march.before,
        "earlier": march.earlier,
        "force": flow.force.x.array,
        "reaction": flow.reaction.x.array,
    }
    found = {name: (flow.S, values.reshape(-1, flow.dim)) for name, values in vectors.items()}
    return {**found, "p": (flow.Q, flow.p.x.array.reshape(-1, 1))}


def _spaces(fields: Mapping[str, fem.Function]) -> dict[str, tuple[fem.FunctionSpace, Reals]]:
    return {
        f"field {name}": (f.function_space, f.x.array.reshape(-1, f.function_space.dofmap.bs))
        for name, f in fields.items()
    }


def _mesh(march: March) -> str:
    file, hashed = march.flow.part.file, hashlib.sha256()
    for array in (file.points, file.cells):
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()
