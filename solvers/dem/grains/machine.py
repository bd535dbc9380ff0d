"""The walls of a case: its bodies and moving faces as the engine takes them, and where their material is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from hub.meshfile import MeshFile
from hub.problem import excerpt
from hub.solver import StageError
from solvers.dem.grains.conditions import Moving, Outlet, Reals, Rotation, Translation, Vibration
from solvers.dem.grains.plan import Plan
from solvers.dem.grains.wallkernels import POSE, pose
from solvers.dem.grains.walls import Motion, Vector, Wall

#: Direction of the rays that tell inside from outside: no edge of a drawn part lies along it.
RAY = (0.5345224838, 0.2672612419, 0.8017837257)
#: Room around the machine that grains may use before they count as escaped, in its size.
MARGIN = 0.15


@dataclass(frozen=True)
class Machine:
    """The walls of a case.

    mesh : the skin; walls : what the engine gets; rows : for each wall the numbers of its facets in the mesh
    """

    mesh: MeshFile
    walls: tuple[Wall, ...]
    rows: tuple[npt.NDArray[np.int64], ...]

    @property
    def moving(self) -> list[Wall]:
        return [w for w in self.walls if w.motion.moves]

    @property
    def wall(self) -> npt.NDArray[np.int64]:
        """(facets,) number of the wall that each belongs to."""
        of = np.zeros(len(self.mesh.facets), np.int64)
        for w, own in enumerate(self.rows):
            of[own] = w
        return of

    def poses(self, time: float) -> Reals:
        """(walls, 3, 4) rotation of each wall by a time [s], and its shift [m]."""
        made = np.zeros((len(self.walls), POSE))
        pose(np.array([w.motion.row() for w in self.walls]), time, made)
        turn = made[:, :9].reshape(-1, 3, 3)
        shift = made[:, 12:15] - np.einsum("wij,wj->wi", turn, made[:, 9:12])
        return np.concatenate([turn, shift[:, :, None]], axis=2)

    def facets(self, selection: str) -> npt.NDArray[np.int64]:
        """Numbers of the facets of a selection."""
        return np.flatnonzero(np.isin(self.mesh.facet_face, self.mesh.selections[selection]))

    def material(self, points: Reals) -> npt.NDArray[np.bool_]:
        """(n,) True where a point (n, 3) lies inside the material of a closed body, as drawn."""
        if self.mesh.numbers.get("open_edges"):
            return np.zeros(len(points), bool)
        return _odd(np.ascontiguousarray(points), self.mesh.points[self.mesh.facets].reshape(-1, 9), np.array(RAY))

    def bounds(self, plan: Plan) -> tuple[Vector, Vector]:
        """The space of the case [m]: the walls wherever they move, fillings, inlets, and some way beyond outlets."""
        boxes = [plan.corners]
        for wall in self.walls:
            corners = wall.triangles.reshape(-1, 3)
            box = np.stack([corners.min(axis=0), corners.max(axis=0)])
            motion = wall.motion
            if motion.spin:
                arm = np.linalg.norm(np.cross(corners - np.array(motion.centre), motion.axis), axis=1).max()
                wide = arm * np.sqrt(np.maximum(0, 1 - np.array(motion.axis) ** 2))
                along = (corners - np.array(motion.centre)) @ np.array(motion.axis)
                ends = np.array(motion.centre) + np.outer([along.min(), along.max()], motion.axis)
                box = np.stack([ends.min(axis=0) - wide, ends.max(axis=0) + wide])
            shake = np.abs(np.array(motion.shake))
            boxes.append(box + np.stack([-shake, shake]))
        low = np.min([b[0] for b in boxes], axis=0)
        high = np.max([b[1] for b in boxes], axis=0)
        margin = MARGIN * float(np.linalg.norm(high - low)) + 2 * max(s.sizes.ends()[1] for s in plan.species.values())
        return tuple(low - margin), tuple(high + margin)  # type: ignore[return-value]


def build(plan: Plan, mesh: MeshFile) -> Machine:
    """The walls of a case from the skin of its part. Raises StageError for names that the part has not."""
    names = [body["name"] for body in mesh.bodies]
    body_of = np.array([face["bodies"][0] for face in mesh.faces], int)[mesh.facet_face]
    group = np.zeros(len(mesh.facets), int)  # number of the set of motions that a facet has
    sets: list[tuple[int, ...]] = [()]
    motions = plan.of(Moving)
    acting: list[set[int]] = [set() for _ in range(len(mesh.facets))]
    for i, m in enumerate(motions):
        for name in m.bodies:
            if name != "all" and name not in names:
                raise StageError(
                    "unknown-body",
                    f"The condition {m.kind} moves {excerpt(name)}, which the part has not.",
                    f"Its bodies are {', '.join(map(excerpt, names))}.",
                )
        chosen = np.isin(body_of, [k for k, n in enumerate(names) if n in m.bodies or "all" in m.bodies])
        faces = [f for name in m.on for f in mesh.selections[name]]
        chosen |= np.isin(mesh.facet_face, faces)
        for f in np.flatnonzero(chosen):
            acting[f].add(i)
    for f, which in enumerate(acting):
        key = tuple(sorted(which))
        if key not in sets:
            sets.append(key)
        group[f] = sets.index(key)
    walls, rows = [], []
    for b, name in enumerate(names):
        made_of = plan.wall_materials.get(name) or plan.wall_materials.get("all")
        if made_of is None:
            raise StageError("no-material", f"The body {excerpt(name)} has no material.", "Add it under bodies.")
        for g, key in enumerate(sets):
            own = np.flatnonzero((body_of == b) & (group == g))
            if len(own):
                wall = Wall(
                    name=name if not any(name == w.name for w in walls) else f"{name}, moving {g}",
                    material=made_of,
                    triangles=mesh.points[mesh.facets[own]],
                    motion=_together([motions[i] for i in key], plan),
                )
                walls.append(wall)
                rows.append(own)
    return Machine(mesh, tuple(walls), tuple(rows))


def _together(motions: list[Moving], plan: Plan) -> Motion:
    """Several motions of one body as one."""
    settled = plan.params.settling
    given: dict = {"start": settled}
    stops = {m.duration for m in motions}
    kinds = [m.kind for m in motions]
    if len(stops) > 1 or len(set(kinds)) < len(kinds):
        raise StageError(
            "two-motions",
            f"A body is moved by {' and '.join(kinds)} that cannot go together.",
            "Give each body one motion of a kind, all of the same duration.",
        )
    for m in motions:
        match m:
            case Rotation():
                given |= {"axis": m.axis, "centre": m.through, "spin": m.speed}
            case Translation():
                given |= {"speed": m.velocity}
            case Vibration():
                given |= {"shake": m.amplitude, "frequency": m.frequency}
    stop = next(iter(stops), None)
    return Motion(**given, stop=settled + stop if stop is not None else math.inf)


def travelled(wall: Wall, time: float) -> float:
    """Angle that a wall has turned by a time [rad]."""
    return wall.motion.spin * max(0.0, min(time, wall.motion.stop) - wall.motion.start)


def beyond(points: Reals, outlet: Outlet) -> npt.NDArray[np.bool_]:
    """(n,) True where a point is past the plane of an outlet."""
    return np.asarray((points - np.array(outlet.point)) @ np.array(outlet.direction) > 0)


@numba.njit(cache=True)
def _odd(points, triangles, ray):  # type: ignore[no-untyped-def]
    """True where a ray from a point meets an odd number of triangles (n, 9): T. Moeller, B. Trumbore, J. Graphics
    Tools 2 (1997) 21."""
    out = np.zeros(len(points), np.bool_)
    for k in range(len(triangles)):
        t = triangles[k]
        ux, uy, uz = t[3] - t[0], t[4] - t[1], t[5] - t[2]
        vx, vy, vz = t[6] - t[0], t[7] - t[1], t[8] - t[2]
        px, py, pz = ray[1] * vz - ray[2] * vy, ray[2] * vx - ray[0] * vz, ray[0] * vy - ray[1] * vx
        det = ux * px + uy * py + uz * pz
        if det == 0.0:
            continue
        for i in range(len(points)):
            sx, sy, sz = points[i, 0] - t[0], points[i, 1] - t[1], points[i, 2] - t[2]
            a = (sx * px + sy * py + sz * pz) / det
            if a < 0.0 or a > 1.0:
                continue
            qx, qy, qz = sy * uz - sz * uy, sz * ux - sx * uz, sx * uy - sy * ux
            b = (ray[0] * qx + ray[1] * qy + ray[2] * qz) / det
            if b < 0.0 or a + b > 1.0:
                continue
            if (vx * qx + vy * qy + vz * qz) / det > 0.0:
                out[i] = not out[i]
    return out
