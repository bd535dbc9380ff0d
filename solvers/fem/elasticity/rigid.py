"""What still lets a part move as a whole: its rigid body modes against its supports, body by body, in words.

Nothing is solved for this: a support's resistance to a rigid motion is the sum of what it prevents at its nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from hub.meshfile import MeshFile
from hub.solver import Condition, StageError
from hub.units import show
from solvers.fem.elasticity.conditions import Displacement, ElasticSupport, Fixed, Symmetry

Reals = npt.NDArray[np.float64]

#: Resistance to a motion, against that of a part held all over: below the first it is free, below the second it
#: hangs by so little that the answer says more about the support than about the part. Both count as squares of lengths.
FREE, WEAK = 1e-10, 1e-5
WHOLE = "the part"


@dataclass(frozen=True)
class Loose:
    """One way in which a body can move as a whole.

    words : "slide along x", "turn about the z axis through (0, 10, 20) mm"
    resistance : 0 free, below :data:`WEAK` badly held
    """

    body: str
    words: str
    resistance: float


def check(file: MeshFile, conditions: Sequence[Condition]) -> list[Loose]:
    """The motions that are nearly free. Raises StageError ``unconstrained`` for what is free."""
    loose = find(file, conditions)
    free = [motion for motion in loose if motion.resistance < FREE]
    if free:
        bodies = list(dict.fromkeys(motion.body for motion in free))
        said = [f"Nothing stops {body} from {_and([m.words for m in free if m.body == body])}." for body in bodies[:5]]
        if len(bodies) > 5:
            said.append(f"So it is with {len(bodies) - 5} more bodies.")
        apart = " Bodies that only touch are not joined: say contacts: bonded." if bodies != [WHOLE] else ""
        raise StageError(
            "unconstrained",
            " ".join(said),
            "Hold it there as it is held in reality: a support on another face, a symmetry plane, or springs." + apart,
        )
    return [motion for motion in loose if motion.resistance >= FREE]


def find(file: MeshFile, conditions: Sequence[Condition]) -> list[Loose]:
    """The motions of each unconnected piece that its supports resist by less than :data:`WEAK`."""
    edges = file.cells[:, [0, 1, 0, 2, 0, 3]].reshape(-1, 2)
    size = len(file.points)
    graph = sparse.coo_matrix((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(size, size))
    _, piece = csgraph.connected_components(graph, directed=False)
    pieces = np.unique(piece[file.cells[:, 0]])
    held = list(_resisted(file, conditions))
    loose: list[Loose] = []
    for number in pieces:
        cells = piece[file.cells[:, 0]] == number
        points = file.points[np.unique(file.cells[cells, :4])]
        centre, radius = points.mean(axis=0), float(np.linalg.norm(np.ptp(points, axis=0))) / 2
        resistance = np.zeros((6, 6))
        for nodes, directions in held:
            here = piece[nodes] == number
            if here.any():
                arms = (file.points[nodes[here]] - centre) / radius
                # work of a unit push along a direction in each of the six modes
                modes = np.concatenate([directions[here], np.cross(arms, directions[here])], axis=1)
                resistance += modes.T @ modes / here.sum()
        name = _name(file, cells, len(pieces))
        loose += [Loose(name, words, value) for words, value in _motions(resistance, centre, radius)]
    return loose


def _resisted(file: MeshFile, conditions: Sequence[Condition]):
    """(nodes, unit directions (nodes, 3)) in which each support resists."""
    for condition in conditions:
        for face in sorted({face for name in condition.on for face in file.selections[name]}):
            facets = file.facets[file.facet_face == face][:, :3]
            if not len(facets):
                continue
            axes: list[Reals] = []
            match condition:
                case Fixed():
                    axes = list(np.eye(3))
                case Displacement():
                    axes = [np.eye(3)[i] for i in condition.components]
                case ElasticSupport(direction="all"):
                    axes = list(np.eye(3))
                case Symmetry() | ElasticSupport():
                    a, b, c = (file.points[facets[:, i]] for i in range(3))
                    normals = np.cross(b - a, c - a)
                    normals /= np.linalg.norm(normals, axis=1)[:, None]
                    if file.faces[face]["type"] == "plane":
                        # one normal for all, so that rounding in the mesh does not look like a grip
                        normals[:] = normals[0]
                    yield facets.ravel(), np.repeat(normals, 3, axis=0)
            nodes = np.unique(facets)
            for axis in axes:
                yield nodes, np.tile(axis, (len(nodes), 1))


def _name(file: MeshFile, cells: npt.NDArray[np.bool_], pieces: int) -> str:
    if pieces == 1:
        return WHOLE
    names = [str(file.bodies[i].get("name", f"body {i + 1}")) for i in np.unique(file.cell_body[cells])]
    return f"the body {names[0]}" if len(names) == 1 else f"the joined bodies {_and(names)}"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _motions(resistance: Reals, centre: Reals, radius: float) -> list[tuple[str, float]]:
    """The weakly resisted motions of a 6x6 resistance (translations, rotations times radius), in words."""
    strength, modes = np.linalg.eigh(resistance)
    found: list[tuple[str, float]] = []
    for low, high in ((-np.inf, FREE), (FREE, WEAK)):
        space = modes[:, (strength >= low) & (strength < high)]
        if not space.shape[1]:
            continue
        value = 0.0 if high == FREE else float(strength[(strength >= low) & (strength < high)].min())
        if space.shape[1] == 6:
            found.append(("moving and turning every way", value))
            continue
        # pure translations are the combinations without rotation; the rest are turns, each about some axis
        _, turning, mix = np.linalg.svd(space[3:], full_matrices=True)
        turns = int((turning > 1e-4).sum())
        found += [(f"sliding along {_direction(t)}", value) for t in _tidy((space @ mix[turns:].T)[:3].T)]
        turned = space @ mix[:turns].T
        spins = _tidy(turned[3:].T)
        for spin in spins:
            weights = np.linalg.lstsq(turned[3:], spin, rcond=None)[0]
            slide = turned[:3] @ weights * radius
            through = centre + np.cross(spin, slide) / (spin @ spin)
            where = ", ".join(f"{show(c, 'm')[0]:.4g}" for c in np.round(through, 9) + 0.0)
            found.append((f"turning about {_axis(spin)} through ({where}) {show(0.0, 'm')[1]}", value))
    return found


def _tidy(vectors: Reals) -> list[Reals]:
    """A basis of the rows' span that uses coordinate axes where it can."""
    if not len(vectors):
        return []
    _, size, rows = np.linalg.svd(vectors, full_matrices=False)
    span = rows[size > 1e-8 * max(size.max(), 1e-300)]
    axes = [axis for axis in np.eye(3) if np.linalg.norm(span @ axis) > 1 - 1e-6]
    if len(axes) == len(span):
        return axes
    rest = span - sum((np.outer(span @ axis, axis) for axis in axes), np.zeros_like(span))
    _, size, rows = np.linalg.svd(rest)
    return [*axes, *rows[: len(span) - len(axes)]]


def _direction(vector: Reals) -> str:
    i = int(np.argmax(np.abs(vector)))
    if abs(vector[i]) > (1 - 1e-6) * np.linalg.norm(vector):
        return "xyz"[i]
    return f"({', '.join(f'{c:.3g}' for c in vector / np.linalg.norm(vector) * np.sign(vector[i]))})"


def _axis(vector: Reals) -> str:
    words = _direction(vector)
    return f"the {words} axis" if len(words) == 1 else f"an axis along {words}"
