"""What the motion of the grains means: quantities, checks, the verdict, files and views."""

from __future__ import annotations

import re
import resource
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from mpi4py import MPI

from hub.figures import Figures, glue
from hub.meshfile import MeshFile
from hub.result import Answer, Check, Quantity, Verdict, View, Words
from hub.runfolder import Attempt
from hub.solver import BoundCase
from hub.table import MAX_ROWS
from solvers.dem.grains import film
from solvers.dem.grains.conditions import Outlet, Reals, Rotation
from solvers.dem.grains.figures import Figure, both, combined, curves, figures, goes_on
from solvers.dem.grains.follow import Run, follow
from solvers.dem.grains.machine import Machine, build
from solvers.dem.grains.measure import Seen
from solvers.dem.grains.plan import FASTEST, Plan

Integers = npt.NDArray[np.int64]
#: Momentum that no force accounts for, energy out of nothing, and mass that is missing, at most.
BALANCED, GAINED, MISSING = 1e-9, 1e-3, 1e-9


def solve(bound: BoundCase, attempt: Attempt) -> Answer | None:
    """Follow the grains of the case in the attempt's folder. Collective; rank 0 gets the Answer. Raises StageError."""
    return make(bound, MeshFile.read(attempt.inputs), attempt, MPI.COMM_WORLD)


def make(bound: BoundCase, mesh: MeshFile, attempt: Attempt, comm: MPI.Intracomm) -> Answer | None:
    """Everything that is said about the grains, with ``fields.vtu`` and ``moving.vtkhdf``. Collective."""
    plan = Plan(bound, np.stack([mesh.points.min(axis=0), mesh.points.max(axis=0)]))
    machine, seconds, runs = build(plan, mesh), {}, []
    for number in range(plan.params.repeats):
        since = time.perf_counter()
        runs.append(follow(plan, machine, attempt, comm, number))
        seconds[f"run {number + 1}"] = round(time.perf_counter() - since, 3)
    memory = 1024 * int(comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
    if comm.rank:
        return None
    since = time.perf_counter()
    run = runs[-1]
    found = combined([figures(plan, machine, r) for r in runs])
    views = write(plan, machine, run, attempt)
    seconds["writing"] = round(time.perf_counter() - since, 3)
    return Answer(
        verdict=verdict(plan, found),
        quantities={name: _quantity(f) for name, f in found.items()},
        checks=_checks(plan, runs),
        views=views,
        curves=tuple(curves(plan, machine, run)),
        notes=_notes(plan, run),
        unknowns=plan.grains,
        iterations=sum(r.steps for r in runs),
        seconds=seconds,
        peak_memory=memory,
    )


def _quantity(f: Figure) -> Quantity:
    known = f.error is not None
    return Quantity(
        value=f.value,
        unit=f.unit,
        error=f.error,
        error_method=f.method if known else "",
        title=f.title,
        statement={} if known else f.why,
    )


def _checks(plan: Plan, runs: list[Run]) -> tuple[Check, ...]:
    balance = [r.balance for r in runs]
    missing = 0.0
    for r in runs:
        inside = float(r.last.mass.sum()) if r.last is not None else 0.0
        missing = max(missing, abs(inside + sum(m for _, _, m, _ in r.seen.out) - r.fed) / max(r.fed, 1e-300))
    deepest = 2 * FASTEST * plan.params.overlap  # of a radius, which is what a wall is met by
    rows = (
        ("overlap", max(b.overlap for b in balance), deepest,
         both("Largest overlap over the sum of the radii", "Massima compenetrazione sulla somma dei raggi")),
        ("momentum", max(b.momentum for b in balance), BALANCED,
         both("Momentum that no force accounts for", "Quantità di moto senza forza che la spieghi")),
        ("energy", max(b.gained for b in balance), GAINED,
         both("Energy out of nothing", "Energia dal nulla")),
        ("mass", missing, MISSING, both("Mass that is missing", "Massa mancante")),
    )  # fmt: skip
    return tuple(
        Check(name=name, title=title, value=value, limit=limit, passed=value <= limit)
        for name, value, limit, title in rows
    )


def _notes(plan: Plan, run: Run) -> tuple[Words, ...]:
    notes = [
        both(
            "Grains are spheres. Tablets and other shapes keep their volume; that they roll less is in the rolling "
            "friction, that they interlock is not.",
            "I grani sono sfere. Compresse e altre forme mantengono il volume; che rotolino meno è nell'attrito "
            "volvente, che si incastrino no.",
        )
    ]
    if plan.softening > 1.5:
        modulus = {code: Figures(code).quantity(plan.softest, "Pa") for code in ("en", "it")}
        step = {code: glue(Figures(code).number(1e6 * plan.step, digits=3), "µs") for code in ("en", "it")}
        notes.append(
            both(
                f"The grains were softened to {modulus['en']} ({plan.softening:.3g} times) so that steps of "
                f"{step['en']} suffice. Flows, mixing, angles and energies hardly depend on it; how long "
                "and how hard single contacts are does.",
                f"I grani sono stati ammorbiditi a {modulus['it']} ({plan.softening:.3g} volte), così che bastino "
                f"passi di {step['it']}. Portate, miscelazione, angoli ed energie ne dipendono poco; "
                "durata e forza dei singoli contatti sì.",
            )
        )
    if run.seen.loaded > 0 and run.seen.pressing.any():
        notes.append(
            both(
                "walls.vtu holds the pressure on the walls and the sliding energy per area, to which wear is "
                "proportional (Archard). The pressure on a selection that is asked for is a load for fem.elasticity: "
                "pressure-*.csv.",
                "walls.vtu contiene la pressione sulle pareti e l'energia di strisciamento per area, cui l'usura è "
                "proporzionale (Archard). La pressione richiesta su una selezione è un carico per fem.elasticity: "
                "pressure-*.csv.",
            )
        )
    return tuple(notes)


# --- the verdict --------------------------------------------------------------------------------------------------


def verdict(plan: Plan, found: dict[str, Figure]) -> Verdict:
    """The answer in one sentence: about what was asked, or about what the case is for."""
    params = plan.params
    say = {code: {n: _text(f, code) for n, f in found.items()} for code in ("en", "it")}
    flow = next((n for n in found if n.startswith("mass_flow")), None)
    varies = next((n for n in found if n.startswith("zone_variation")), None)
    if params.least_flow is not None and flow:
        limit = {c: Figures(c).quantity(params.least_flow, "kg/s") for c in ("en", "it")}
        return _judged(
            found[flow], params.least_flow, 1,
            (f"{say['en'][flow]} leave; {limit['en']} are needed.",
             f"Escono {say['it'][flow]}; ne servono {limit['it']}."),
        )  # fmt: skip
    if params.most_variation is not None and varies:
        limit = {c: Figures(c).quantity(params.most_variation, "") for c in ("en", "it")}
        return _judged(
            found[varies], params.most_variation, -1,
            (f"The time in the zone varies by {say['en'][varies]} from grain to grain; {limit['en']} is allowed.",
             f"Il tempo nella zona varia di {say['it'][varies]} da grano a grano; è ammesso {limit['it']}."),
        )  # fmt: skip
    sentence: Words
    if flow:
        sentence = both(f"{say['en'][flow]} leave while the flow is steady.", f"A regime escono {say['it'][flow]}.")
    elif "lacey_index" in found:
        return _mixed(plan, found, say)
    elif "zone_mass_2" in found and not goes_on(plan):
        parts = [n for n in found if n.startswith("zone_mass")]
        sentence = {c: "; ".join(f"{found[n].title[c]}: {say[c][n]}" for n in parts) + "." for c in ("en", "it")}  # type: ignore[assignment]
        values = [found[n].value for n in parts]
        apart = {c: Figures(c).quantity((max(values) - min(values)) / (sum(values) / len(values)), "")
                 for c in ("en", "it")} if sum(values) else None  # fmt: skip
        if apart:
            sentence = both(f"{sentence['en']} Largest difference over the mean: {apart['en']}.",
                            f"{sentence['it']} Differenza massima sulla media: {apart['it']}.")  # fmt: skip
    elif varies:
        time_in = varies.replace("variation", "time")
        sentence = both(
            f"Each grain spends {say['en'][time_in]} in the zone; from grain to grain that varies by "
            f"{say['en'][varies]} (standard deviation over mean).",
            f"Ogni grano passa {say['it'][time_in]} nella zona; da grano a grano varia di {say['it'][varies]} "
            "(deviazione standard sulla media).",
        )
    else:
        first = [n for n in ("power",) if n in found]
        first += [w.name for w in plan.bound.case.quantities if w.name in found]
        first += [n for n in ("zone_mass", "discharged", "solid_fraction", *found) if n in found]
        pressed = [w.name for w in plan.bound.case.quantities if w.kind == "wall_pressure" and w.name in found]
        told = pressed if first[0] in pressed else first[:1]
        sentence = {c: "; ".join(f"{found[n].title[c]}: {say[c][n]}" for n in told) + "." for c in ("en", "it")}  # type: ignore[misc]
    return Verdict(answer="none", sentence=sentence)


def _mixed(plan: Plan, found: dict[str, Figure], say: dict[str, dict[str, str]]) -> Verdict:
    index, end = found["lacey_index"], found.get("mixed_after")
    bar = index.error or 0.0
    if end is not None and index.value - bar >= plan.params.mixed:
        by = {"en": "revolutions", "it": "giri"} if end.unit == "" else {"en": "", "it": ""}
        after = {c: f"{say[c]['mixed_after']} {by[c]}".strip() for c in ("en", "it")}
        return Verdict(
            answer="yes",
            sentence=both(
                f"Mixed after {after['en']}; the Lacey index ends at {say['en']['lacey_index']}.",
                f"Miscelato dopo {after['it']}; l'indice di Lacey finale è {say['it']['lacey_index']}.",
            ),
        )
    limit = {c: Figures(c).quantity(plan.params.mixed, "") for c in ("en", "it")}
    return _judged(
        index, plan.params.mixed, 1,
        (f"The Lacey index ends at {say['en']['lacey_index']}; from {limit['en']} on grains count as mixed.",
         f"L'indice di Lacey finale è {say['it']['lacey_index']}; da {limit['it']} i grani sono miscelati."),
    )  # fmt: skip


def _judged(f: Figure, limit: float, sign: int, said: tuple[str, str]) -> Verdict:
    """yes if the value is surely above the limit (`sign` 1) or below it (-1)."""
    margin, error = sign * (f.value - limit), f.error or 0.0
    if margin >= error:
        return Verdict(answer="yes", sentence=both(f"Yes. {said[0]}", f"Sì. {said[1]}"))
    if margin < -error:
        return Verdict(answer="no", sentence=both(f"No. {said[0]}", f"No. {said[1]}"))
    return Verdict(answer="unclear", sentence=both(f"Unclear. {said[0]}", f"Non è chiaro. {said[1]}"))


def _text(f: Figure, code: str) -> str:
    return Figures(code).quantity(f.value, f.unit, f.error)  # type: ignore[arg-type]


# --- files and views ----------------------------------------------------------------------------------------------


def write(plan: Plan, machine: Machine, run: Run, attempt: Attempt) -> tuple[View, ...]:
    """``moving.vtkhdf``, ``fields.vtu``, ``walls.vtu``, ``pressure-*.csv``, ``bed.vti``; returns what of them is
    worth drawing."""
    seen, mesh, last = run.seen, machine.mesh, run.last
    standing: tuple[Any, Any] = ((), None)
    if machine.moving:
        of_face = np.zeros(len(mesh.faces), np.int64)
        of_face[mesh.facet_face] = machine.wall
        standing = (of_face, np.stack([machine.poses(f.time) for f in seen.frames]))
    film.write_moving(seen.frames, attempt.out / "moving.vtkhdf", *standing)
    frame = seen.frames[-1]
    per_area = np.zeros((len(mesh.points), 4))  # area, normal impulse, shear impulse, sliding energy at the points
    c = mesh.points[mesh.facets]
    area = np.linalg.norm(np.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0]), axis=1) / 2
    if len(seen.pressing):
        values = np.column_stack([area, seen.pressing, seen.shearing, seen.sliding])
        for corner in range(3):
            np.add.at(per_area, mesh.facets[:, corner], values / 3)
    shared = np.maximum(per_area[:, :1], 1e-300)
    pressure, shear, wear = (per_area[:, 1:] / shared).T
    if seen.loaded > 0:
        pressure, shear = pressure / seen.loaded, shear / seen.loaded
    walls = {"pressure": pressure, "shear": shear, "wear": wear}
    film.write_walls(mesh.points, mesh.facets, walls, attempt.out / "walls.vtu")
    n, (points, facets, kept, wall) = len(frame.points), _inside(plan, machine, seen, frame.time)
    if seen.loaded > 0:
        _write_pressures(plan, machine, seen, area, attempt)
    grains = {k: frame.fields[k].astype(float) for k in ("radius", "velocity", "kind", "id")}
    film.write_fields(
        frame.points.astype(float),
        points,
        facets,
        {name: (values, np.zeros((len(points), *values.shape[1:]))) for name, values in grains.items()}
        | {name: (np.full(n, np.nan), values[kept]) for name, values in walls.items()}
        # so that who looks at an earlier moment can put walls back that move
        | ({"wall": (np.full(n, np.nan), wall.astype(float))} if machine.moving else {}),
        attempt.out / "fields.vtu",
    )
    if seen.grid is not None and seen.gridded:
        grid = seen.grid
        moved = seen.moved / seen.gridded
        film.write_bed(
            grid.low,
            grid.size,
            grid.count,
            {
                "solid_fraction": seen.filled / seen.gridded / grid.size**3,
                "velocity": moved[:, 1:] / np.maximum(moved[:, :1], 1e-300),
            },
            attempt.out / "bed.vti",
        )
    return _views(plan, bool(seen.pressing.any()), last is not None and len(last.id) > 0)


def _write_pressures(plan: Plan, machine: Machine, seen: Seen, area: Reals, attempt: Attempt) -> None:
    """``pressure-NAME.csv`` for each wall pressure that is asked for: what the grains press with on its faces, at the
    middle of each facet, which an elastic part takes as its load (``pressure_map``)."""
    mesh = machine.mesh
    for wanted in plan.bound.case.quantities:
        if wanted.kind != "wall_pressure" or wanted.on is None:
            continue
        facets = machine.facets(wanted.on)
        facets = facets[:: -(-len(facets) // MAX_ROWS) or 1]
        middle = mesh.points[mesh.facets[facets]].mean(axis=1)
        pressure = seen.pressing[facets] / area[facets] / seen.loaded
        rows = [",".join(f"{v:.7g}" for v in (*x, p)) for x, p in zip(middle, pressure, strict=True)]
        name = re.sub(r"[^A-Za-z0-9_]+", "-", wanted.name)
        (attempt.out / f"pressure-{name}.csv").write_text("\n".join(["x [m],y [m],z [m],p [Pa]", *rows]) + "\n")


def _inside(plan: Plan, machine: Machine, seen: Seen, time: float) -> tuple[Reals, Integers, Integers, Integers]:
    """The faces that grains have met, without flat ends across an axis of rotation, which would hide the rest: their
    points where they stand at a time [s], triangles, and the numbers of the points in the mesh and of their walls."""
    mesh = machine.mesh
    met = np.unique(mesh.facet_face[seen.pressing > 0]) if len(seen.pressing) else []
    shown = np.isin(mesh.facet_face, met)
    c = mesh.points[mesh.facets]
    normal = np.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    for turning in plan.of(Rotation):
        shown &= np.abs(normal @ np.array(turning.axis)) < 0.95
    # walls that share points come apart
    both = mesh.facets[shown] + len(mesh.points) * machine.wall[shown, None]
    own, facets = np.unique(both, return_inverse=True)
    wall, kept = np.divmod(own, len(mesh.points))
    poses = machine.poses(time)[wall]
    points = np.einsum("nij,nj->ni", poses[:, :, :3], mesh.points[kept]) + poses[:, :, 3]
    return points, facets.reshape(-1, 3), kept, wall


def _views(plan: Plan, loaded: bool, left: bool) -> tuple[View, ...]:
    several = len(plan.species) > 1 or sum(c.kind in ("fill", "inlet") for c in plan.bound.conditions) > 1
    colour = ("kind", "") if several else ("velocity", "m/s")
    speed = both("Speed of the grains", "Velocità dei grani")
    kind = both("Where the kinds of grains are", "Dove sono i tipi di grani")
    views = [
        View(name="motion", title=kind if several else speed, field=colour[0], unit=colour[1], kind="moving grains")
    ]
    if left:
        ending = both("Speed at the end", "Velocità alla fine")
        views.append(View(name="end", title=ending, field="velocity", unit="m/s", kind="grains"))
    if loaded and any(c.kind in ("rotation", "vibration") for c in plan.bound.conditions):
        words = both("Sliding energy per area: where walls wear", "Energia di strisciamento per area: dove si usura")
        views.append(View(name="wear", title=words, field="wear", unit="N/m"))
    elif loaded and not plan.of(Outlet):
        views.append(
            View(
                name="pressure",
                title=both("Pressure on the walls", "Pressione sulle pareti"),
                field="pressure",
                unit="Pa",
            )
        )
    return tuple(views)
