"""Where walls that move stand while grains are looked at.

A solver leaves it in ``moving.vtkhdf``, beside the frames: ``Walls/Face`` (faces,) has the number of the wall that a
face belongs to, ``Walls/Pose`` (steps, walls, 3, 4) the rotation of each from the part as drawn, and its shift [m].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from solvers.post.scene import Floats, Ints


@dataclass(frozen=True)
class Poses:
    """face : (faces,); pose : (steps, walls, 3, 4)"""

    face: Ints
    pose: Floats

    @classmethod
    def read(cls, file: Path) -> Poses | None:
        """None if nothing moves. Raises OSError."""
        with h5py.File(file, "r", locking=False) as data:
            if "Walls" not in data:
                return None
            return cls(data["Walls/Face"][:].astype(np.int64), data["Walls/Pose"][:])

    def at(self, surface: Mapping[str, Any], step: int) -> dict[str, Any]:
        """``surface.npz`` as it stands at a step; -1 is the last."""
        points, triangles = np.asarray(surface["points"], float), np.asarray(surface["triangles"], np.int64)
        edges = np.asarray(surface["edges"], np.int64).reshape(-1, 2)
        wall = self.face[np.asarray(surface["face"], np.int64)]
        placed, cells, lines, count = [], np.empty_like(triangles), [], 0
        for w in np.unique(wall):  # walls that share points come apart
            own = np.unique(triangles[wall == w])
            number = np.full(len(points), -1)
            number[own] = count + np.arange(len(own))
            count += len(own)
            turn = self.pose[step, w]
            placed.append(points[own] @ turn[:, :3].T + turn[:, 3])
            cells[wall == w] = number[triangles[wall == w]]
            ends = number[edges]
            lines.append(ends[(ends >= 0).all(axis=1)])
        return {**surface, "points": np.concatenate(placed), "triangles": cells, "edges": np.concatenate(lines)}

    def since_last(self, steps: Any) -> Floats:
        """From where each wall stands at the last step to where it stood at `steps`: (steps, walls, 3, 4)."""
        last = self.pose[-1]
        turn = self.pose[steps][..., :3] @ last[:, :, :3].transpose(0, 2, 1)
        shift = self.pose[steps][..., 3] - (turn @ last[:, :, 3:])[..., 0]
        return np.concatenate([turn, shift[..., None]], axis=-1)


def ended(file: Path, surface: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The walls as they stand at the last step of ``moving.vtkhdf``. Raises OSError."""
    moved = Poses.read(file) if surface and file.is_file() else None
    return moved.at(surface, -1) if moved and surface else surface
