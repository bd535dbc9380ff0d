"""What the flow means: forces, pressure drops, what they are worth, the verdict and the fields."""

from __future__ import annotations

import math
import resource
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hub.case import Around, Wanted
from hub.convergence import COARSER, bar_of_two
from hub.figures import Figures
from hub.meshfile import MeshFile
from hub.result import Answer, Check, Curve, Line, Quantity, Section, Verdict, View, Words
from hub.runfolder import Attempt
from hub.solver import BoundCase, StageError
from solvers.cfd import gaps
from solvers.cfd.openfoam import hexahedra, program
from solvers.cfd.openfoam.conditions import Inlet, Outlet, Symmetry, Wall, along_an_axis
from solvers.cfd.openfoam.foamfile import Reals
from solvers.cfd.openfoam.iterate import MEANS, SWING, History, Iterations
from solvers.cfd.openfoam.polymesh import PolyMesh, from_mesh
from solvers.cfd.openfoam.setup import Setup, groups
from solvers.cfd.openfoam.solved import Solved

#: Fewer cells than this on a rank and ranks wait for each other more than they compute.
CELLS_PER_RANK = 15_000
#: Wall functions hold up to here (Versteeg and Malalasekera, 2nd ed., 3.4), and what share of the walls may be beyond.
HIGHEST_Y_PLUS = 300.0
MASS_LOST, MOMENTUM_LOST = 1e-3, 1e-2
AXES = ("x", "y", "z")
METHOD = "grid convergence index on two meshes, safety factor 3, and what the iterations left"
NO_COARSER = Words(
    en="No error bar for the mesh: it was solved on one mesh only. Run it on a finer one and compare.",
    it="Nessuna barra d'errore per la mesh: è stata usata una sola mesh. Ripetere su una più fitta e confrontare.",
)


@dataclass(frozen=True)
class Measure:
    """One number as it comes from one mesh."""

    value: float
    unit: str
    title: Words
    at: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Run:
    """One mesh, solved."""

    solved: Solved
    history: History
    iterations: Iterations


def solve(bound: BoundCase, attempt: Attempt) -> Answer:
    """Solve the case in the attempt's folder. Raises StageError."""
    absence = program.absence()
    if absence:
        raise StageError(absence.code, f"{absence.found[:1].upper()}{absence.found[1:]}.", absence.todo)
    seconds, begun = {}, time.perf_counter()
    setup = Setup(bound, MeshFile.read(attempt.inputs))
    work = attempt.folder / "openfoam"
    shutil.rmtree(work, ignore_errors=True)
    ranks = attempt.job().ranks
    coarse: Run | None = None
    if _hexahedra(bound):
        box = hexahedra.Box.of(setup)
        size = hexahedra.sizes(setup, box)
        if bound.params.error_bars:
            coarse = _on_hexahedra(setup, box, size.coarser(COARSER), work / "coarse", attempt, ranks, None)
            seconds["the coarser mesh"] = round(time.perf_counter() - begun, 3)
        fine = _on_hexahedra(setup, box, size, work / "fine", attempt, ranks, coarse)
    else:
        gaps.judge(setup.mesh.numbers, bound.conditions)
        case = work / "fine"
        mesh = from_mesh(setup.mesh, groups(setup.boundaries))
        mesh.write(case)
        fine = _iterate(setup, mesh, case, attempt, ranks, None, "mesh")
    seconds["solving"] = round(time.perf_counter() - begun - sum(seconds.values()), 3)
    attempt.write_status(doing="reading the fields")
    answer = _answer(setup, fine, coarse)
    fine.solved.write(attempt.out / "fields.vtu")
    (attempt.out / "openfoam.log").write_bytes(
        b"".join(f.read_bytes()[-2_000_000:] for f in sorted(work.rglob("log.*")))
    )
    shutil.rmtree(work)
    return answer.model_copy(update={"seconds": seconds})


def _hexahedra(bound: BoundCase) -> bool:
    domain = bound.case.domain
    return bound.params.cells != "tetrahedra" and isinstance(domain, Around) and along_an_axis(domain)


def _on_hexahedra(
    setup: Setup, box: hexahedra.Box, size: hexahedra.Sizes, case: Path, attempt: Attempt, ranks: int, start: Run | None
) -> Run:
    label = "coarser mesh" if case.name == "coarse" else "fine mesh"
    mesh = hexahedra.make(setup, box, size, case, lambda doing: attempt.write_status(doing=f"{label}: {doing}"))
    return _iterate(setup, mesh, case, attempt, ranks, start, label)


def _iterate(
    setup: Setup, mesh: PolyMesh, case: Path, attempt: Attempt, ranks: int, start: Run | None, label: str
) -> Run:
    ranks = max(1, min(ranks, mesh.cells // CELLS_PER_RANK))
    iterations = Iterations(setup, mesh, case, attempt, ranks=ranks, label=label)
    history = iterations.run(start.solved.case if start else None)
    iterations.read_monitors()
    return Run(Solved(setup, mesh, case), history, iterations)


# --- quantities ---------------------------------------------------------------------------------------------------


def _answer(setup: Setup, fine: Run, coarse: Run | None) -> Answer:
    here = _of_run(setup, fine)
    there = _of_run(setup, coarse) if coarse else {}
    bars = _iteration_bars(setup, fine, here)
    quantities = {}
    for name, one in here.items():
        left = bars.get(name, 2 * min(fine.iterations.unsteadiness(), 1.0) * abs(one.value))
        if name in there:
            error = bar_of_two(one.value, there[name].value) + left
            quantities[name] = Quantity(
                value=one.value, unit=one.unit, error=error, error_method=METHOD, title=one.title, at=one.at
            )
        else:
            quantities[name] = Quantity(
                value=one.value, unit=one.unit, title=one.title, at=one.at, statement=_statement(one, left)
            )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return Answer(
        verdict=_verdict(setup, quantities),
        quantities=quantities,
        checks=_checks(setup, fine),
        views=_views(setup, fine),
        curves=_curves(setup, fine),
        notes=_notes(setup, fine, coarse),
        unknowns=fine.solved.mesh.cells * (6 if setup.turbulent else 4),
        iterations=len(fine.history.residuals),
        peak_memory=1024 * (peak + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss),
    )


def _of_run(setup: Setup, run: Run) -> dict[str, Measure]:
    """Every number of one mesh; forces that swing as means."""
    found = measures(setup, run.solved)
    if run.iterations.swings:
        means = run.history.mean() * _halves(setup)
        scale = 0.5 * setup.density * setup.speed(run.solved.mesh) ** 2 * reference_area(setup)
        for name, direction in zip(("drag", "lift"), _directions(setup), strict=True):
            force = float(means @ direction)
            found[name] = replace(found[name], value=force)
            found[f"{name}_coefficient"] = replace(found[f"{name}_coefficient"], value=force / scale)
    return found


def _statement(one: Measure, left: float) -> Words:
    said = {code: Figures(code).quantity(left, one.unit) if left > 0 else "0" for code in ("en", "it")}
    return Words(
        en=f"{NO_COARSER['en']} The iterations left {said['en']}.",
        it=f"{NO_COARSER['it']} Le iterazioni hanno lasciato {said['it']}.",
    )


def _directions(setup: Setup) -> tuple[Reals, Reals]:
    """Along the flow and up: away from the ground where there is one, else z, or y where the flow goes along z."""
    domain = setup.bound.case.domain
    assert isinstance(domain, Around)
    along = np.array(domain.along, dtype=float)
    along /= np.linalg.norm(along)
    up = np.eye(3)[2 if abs(along[2]) < 0.9 else 1]
    up = up - (up @ along) * along
    return along, up / np.linalg.norm(up)


def _halves(setup: Setup) -> float:
    """2 where only a half of the part was meshed: forces are of the whole."""
    domain = setup.bound.case.domain
    return 2.0 if isinstance(domain, Around) and domain.symmetry else 1.0


def reference_area(setup: Setup) -> float:
    """Of force coefficients [m2]: as given, or the shadow of the part."""
    if setup.bound.params.reference_area:
        return float(setup.bound.params.reference_area)
    chosen = np.isin(setup.mesh.facet_face, [f for b in setup.boundaries if b.name in setup.bodies for f in b.faces])
    triangles = setup.mesh.points[setup.mesh.facets[chosen][:, :3]]
    return _halves(setup) * hexahedra.frontal_area(triangles, _directions(setup)[0])


def measures(setup: Setup, solved: Solved) -> dict[str, Measure]:
    """Every number of the answer, from one mesh."""
    found: dict[str, Measure] = {}
    speed = setup.speed(solved.mesh)
    dynamic = 0.5 * setup.density * speed**2
    if isinstance(setup.bound.case.domain, Around):
        along, up = _directions(setup)
        by_pressure, by_shear = (f * _halves(setup) for f in solved.forces(setup.bodies))
        scale, force = dynamic * reference_area(setup), by_pressure + by_shear
        for name, value, unit, title in (
            (
                "drag_coefficient",
                force @ along / scale,
                "",
                Words(en="Drag coefficient", it="Coefficiente di resistenza"),
            ),
            ("lift_coefficient", force @ up / scale, "", Words(en="Lift coefficient", it="Coefficiente di portanza")),
            ("drag", force @ along, "N", Words(en="Drag", it="Resistenza")),
            ("lift", force @ up, "N", Words(en="Lift", it="Portanza")),
            ("friction_drag", by_shear @ along, "N", Words(en="Drag by friction", it="Resistenza d'attrito")),
        ):
            found[name] = Measure(float(value), unit, title)
    else:
        title = Words(en="Pressure drop, inlets to outlets", it="Caduta di pressione, ingressi a uscite")
        found["pressure_drop"] = Measure(solved.drop(), "Pa", title)
        for kind, name, title in (
            (Inlet, "inflow", Words(en="Flow in", it="Portata entrante")),
            (Outlet, "outflow", Words(en="Flow out", it="Portata uscente")),
        ):
            for b in setup.of(kind):
                where = " ".join(b.condition.on)
                words = Words(en=f"{title['en']}, {where}", it=f"{title['it']}, {where}")
                same = found.get(key := f"{name}_{setup.bound.conditions.index(b.condition) + 1}")
                value = abs(solved.flow(b.name)) + (same.value if same else 0.0)
                found[key] = Measure(value, "m**3/s", words)
        whole = not setup.of(Symmetry)  # a half lets through the half
        if whole and len({id(b.condition) for b in setup.of(Inlet)}) == 1 and found["pressure_drop"].value > 0:
            found["flow_coefficient"] = Measure(  # IEC 60534-1: of water, at 1 bar
                sum(abs(solved.flow(b.name)) for b in setup.of(Inlet))
                * math.sqrt(setup.density / 1000 * 1e5 / found["pressure_drop"].value),
                "m**3/s",
                Words(
                    en="Flow coefficient Kv: water at a drop of 1 bar", it="Coefficiente Kv: acqua con caduta di 1 bar"
                ),
            )
    fastest = int(np.linalg.norm(solved.velocity.inside, axis=1).argmax())
    found["max_speed"] = Measure(
        float(np.linalg.norm(solved.velocity.inside[fastest])), "m/s", Words(en="Highest speed", it="Velocità massima"),
        tuple(float(v) for v in solved.cell_centres[fastest]),
    )  # fmt: skip
    for wanted in setup.bound.case.quantities:
        found[wanted.name] = _wanted(setup, solved, wanted, dynamic)
    return found


def _wanted(setup: Setup, solved: Solved, wanted: Wanted, dynamic: float) -> Measure:
    patches = [p for p in setup.named(wanted.on) if p in solved.mesh.sizes] if wanted.on else []
    if wanted.on and not patches:
        raise StageError(
            "nowhere", f"{wanted.on} lies on no outer face of the fluid.", "Select a face at the rim of the fluid."
        )
    axis = AXES.index(wanted.component) if wanted.component in AXES else None
    title = Words(en=wanted.name.replace("_", " "), it=wanted.name.replace("_", " "))
    match wanted.kind:
        case "velocity":
            assert wanted.at
            u = solved.at(wanted.at, solved.velocity.inside)
            return Measure(float(np.linalg.norm(u) if axis is None else u[axis]), "m/s", title, wanted.at)
        case "pressure" if wanted.at:
            return Measure(solved.at(wanted.at, solved.pressure.inside), "Pa", title, wanted.at)
        case "pressure":
            return Measure(solved.mean(solved.pressure, patches), "Pa", title)
        case "volume_flow":
            return Measure(sum(solved.flow(p) for p in patches), "m**3/s", title)
        case "force" | "force_coefficient":
            force = sum(solved.forces(patches)) * _halves(setup)
            value = float(np.linalg.norm(force) if axis is None else force[axis])
            if wanted.kind == "force":
                return Measure(value, "N", title)
            return Measure(value / (dynamic * reference_area(setup)), "", title)
        case "wall_shear_stress":
            size = np.concatenate([np.linalg.norm(solved.at_faces(solved.shear, p), axis=1) for p in patches])
            area = np.concatenate([solved.sizes(p) for p in patches])
            value = float(size @ area / area.sum()) if wanted.component == "mean" else float(size.max())
            return Measure(value, "Pa", title)
    assert wanted.kind == "reattachment" and wanted.at and axis is not None
    found = solved.reattachment(patches, axis, wanted.at[axis])
    if found is None:
        raise StageError(
            "no-reattachment",
            f"The flow along {wanted.on} never turns forward beyond the point asked for.",
            "Look at the wall shear stress in the fields; remove the quantity, or choose another selection.",
        )
    return Measure(found, "m", title)


def _iteration_bars(setup: Setup, run: Run, here: dict[str, Measure]) -> dict[str, float]:
    """What the iterations left undone, of the quantities that were watched."""
    history, found = run.history, {}
    if history.drop and "pressure_drop" in here:
        found["pressure_drop"] = float(history.wander(np.array(history.drop)[:, None])[0])
    if history.forces and "drag" in here:
        along, up = _directions(setup)
        forces, swings = np.array(history.forces) * _halves(setup), run.iterations.swings
        scale = here["drag"].value / here["drag_coefficient"].value
        for name, direction in (("drag", along), ("lift", up)):
            found[name] = float(history.wander(forces @ direction[:, None], swings=swings)[0])
            found[f"{name}_coefficient"] = found[name] / abs(scale)
    return found


# --- trust --------------------------------------------------------------------------------------------------------


def _checks(setup: Setup, run: Run) -> tuple[Check, ...]:
    params = setup.bound.params
    rows = [
        ("mass_balance", run.solved.imbalance(), MASS_LOST,
         Words(en="Fluid that enters leaves again", it="Il fluido che entra esce")),
    ]  # fmt: skip
    if run.iterations.swings:  # then residuals tell how much it swings
        rows.append(("steady_means", run.history.drift(), MEANS,
                     Words(en="Means of the forces stand still", it="Le medie delle forze sono ferme")))  # fmt: skip
    else:
        rows += [
            ("residuals", run.iterations.residual(), params.residual,
             Words(en="Residuals of the equations", it="Residui delle equazioni")),
            ("steady_forces", run.iterations.unsteadiness(), params.tolerance,
             Words(en="Forces and pressures stand still", it="Forze e pressioni sono ferme")),
        ]  # fmt: skip
    if not isinstance(setup.bound.case.domain, Around):
        rows.append(("momentum_balance", run.solved.momentum_left(), MOMENTUM_LOST,
                     Words(en="Forces and momentum balance",
                           it="Le forze e la quantità di moto si bilanciano")))  # fmt: skip
    if setup.turbulent:
        rows.append(("y_plus", float(np.quantile(run.solved.y_plus(setup.bodies), 0.95)), HIGHEST_Y_PLUS,
                     Words(en="y+, on 95 % of the walls that give the answer",
                           it="y+, sul 95 % delle pareti che danno la risposta")))  # fmt: skip
    return tuple(
        Check(name=name, title=title, value=value, limit=limit, passed=value <= limit)
        for name, value, limit, title in rows
    )


def _notes(setup: Setup, run: Run, coarse: Run | None) -> tuple[Words, ...]:
    cells = run.solved.mesh.cells
    kind = Words(en="hexahedra", it="esaedri") if coarse or _hexahedra(setup.bound) else None
    words = []
    if kind:
        words.append(Words(
            en=f"OpenFOAM cut its own mesh of {cells} cells, mostly hexahedra, from the skin of the part; the picture "
            "of the mesh shows the tetrahedra that this skin was taken from.",
            it=f"OpenFOAM ha costruito una propria mesh di {cells} celle, in gran parte esaedri, dalla superficie del "
            "pezzo; la figura della mesh mostra i tetraedri da cui è presa la superficie.",
        ))  # fmt: skip
    if setup.turbulent:
        y = run.solved.y_plus(setup.bodies)
        low, middle, high = (float(v) for v in np.quantile(y, (0.05, 0.5, 0.95)))
        words += [
            Words(
                en=f"y+ along the walls: {middle:.3g} in the middle, {low:.3g} to {high:.3g} on nine tenths of them.",
                it=f"y+ sulle pareti: mediana {middle:.3g}, da {low:.3g} a {high:.3g} su nove decimi di esse.",
            ),
            Words(
                en="The error bars know of the mesh and of the iterations, not of the model of turbulence: with "
                "k-omega SST, drag of bodies with separated flow is commonly off by 5 to 10 %.",
                it="Le barre d'errore tengono conto della mesh e delle iterazioni, non del modello di turbolenza: con "
                "k-omega SST la resistenza di corpi con flusso separato è spesso sbagliata del 5-10 %.",
            ),
        ]
        others = run.solved.y_plus([b.name for b in setup.of(Wall) if b.name not in setup.bodies])
        if len(others) and np.median(others) > HIGHEST_Y_PLUS:
            middle = float(np.median(others))
            words.append(Words(
                en=f"The boundary layer of the ground is not resolved (y+ {middle:.3g} in the middle of its cells).",
                it=f"Lo strato limite del suolo non è risolto (y+ mediano {middle:.3g}).",
            ))  # fmt: skip
    if across := _across(setup):
        words.append(across)
    if _halves(setup) > 1:
        words.append(Words(
            en="Half of the part was meshed; the forces are those of the whole.",
            it="È stata discretizzata metà del pezzo; le forze sono quelle del pezzo intero.",
        ))  # fmt: skip
    if run.iterations.swings:
        words.append(Words(
            en=f"The flow does not come to rest: it swings, as wakes do. Drag and lift are means over the last "
            f"{SWING} iterations, with bars as wide as they swung; the other numbers and the fields are those of the "
            "last state.",
            it=f"Il flusso non si ferma: oscilla, come fanno le scie. Resistenza e portanza sono medie sulle ultime "
            f"{SWING} iterazioni, con barre larghe quanto l'oscillazione; gli altri numeri e i campi sono quelli "
            "dell'ultimo stato.",
        ))  # fmt: skip
    elif run.iterations.unsteadiness() > setup.bound.params.tolerance:
        words.append(Words(
            en="The iterations never came to rest: the flow itself is probably unsteady, and the numbers are those of "
            "its last state, with bars as wide as it swung.",
            it="Le iterazioni non si sono fermate: il flusso è probabilmente instazionario e i numeri sono quelli "
            "dell'ultimo stato, con barre larghe quanto l'oscillazione.",
        ))  # fmt: skip
    return tuple(words)


def _across(setup: Setup) -> Words | None:
    """How many cells lie across the narrowest gap: as the mesh stage counted, or between a part and its ground."""
    domain, gap = setup.bound.case.domain, setup.mesh.numbers.get("across_gaps")
    if isinstance(domain, Around) and domain.ground and _hexahedra(setup.bound):
        size = hexahedra.sizes(setup, hexahedra.Box.of(setup)).surface
        wide, cells = domain.ground, domain.ground / size
        more = Words(en=", and the layers at the part", it=", oltre agli strati sul pezzo")
    elif gap and not _hexahedra(setup.bound):
        wide, cells, more = gap["gap"], gap["cells"], Words(en="", it="")
    else:
        return None
    said = {code: Figures(code).quantity(wide, "m") for code in ("en", "it")}
    return Words(
        en=f"Across the narrowest gap ({said['en']}) lie {cells:.1f} cells{more['en']}.",
        it=f"Nella luce più stretta ({said['it']}) stanno {cells:.1f} celle{more['it']}.",
    )


def _verdict(setup: Setup, quantities: dict[str, Quantity]) -> Verdict:
    params = setup.bound.params
    external = "drag" in quantities
    name, limit = ("drag", params.highest_drag) if external else ("pressure_drop", params.highest_pressure_drop)
    found = quantities[name]
    error = found.error or 0.0
    said = {code: Figures(code).quantity(found.value, found.unit, found.error) for code in ("en", "it")}
    if external:
        cd = quantities["drag_coefficient"]
        of_cd = {code: Figures(code).quantity(cd.value, "", cd.error) for code in ("en", "it")}
        words = {"en": f"Drag {said['en']}, coefficient {of_cd['en']}",
                 "it": f"Resistenza {said['it']}, coefficiente {of_cd['it']}"}  # fmt: skip
    else:
        words = {"en": f"Pressure drop {said['en']}", "it": f"Caduta di pressione {said['it']}"}
    if limit is None:
        for one in (quantities[wanted.name] for wanted in setup.bound.case.quantities):
            for code, title in one.title.items():
                words[code] += f"; {title} {Figures(code).quantity(one.value, one.unit, one.error)}"
        return Verdict(answer="none", sentence={"en": f"{words['en']}.", "it": f"{words['it']}."})
    allowed = {code: Figures(code).quantity(limit, found.unit) for code in ("en", "it")}
    if found.value + error <= limit:
        answer, en, it = "yes", "Within the limit", "Entro il limite"
    elif found.value - error > limit:
        answer, en, it = "no", "Beyond the limit", "Oltre il limite"
    else:
        answer, en, it = "unclear", "Too close to the limit to say", "Troppo vicino al limite per dirlo"
    if found.error is None and abs(found.value / limit - 1) < 0.1:
        answer, en, it = "unclear", "Too close to the limit to say", "Troppo vicino al limite per dirlo"
    return Verdict(
        answer=answer,
        sentence={
            "en": f"{en}. {words['en']}; {allowed['en']} is allowed.",
            "it": f"{it}. {words['it']}; sono ammessi {allowed['it']}.",
        },
    )


# --- pictures and plots -------------------------------------------------------------------------------------------


def _views(setup: Setup, run: Run) -> tuple[View, ...]:
    solved = run.solved
    speed, pressure = Words(en="Speed", it="Velocità"), Words(en="Pressure", it="Pressione")
    if setup.mesh.dimension == 2:
        return (
            View(name="speed", title=speed, field="velocity", unit="m/s"),
            View(name="pressure", title=pressure, field="pressure", unit="Pa"),
        )
    section = _section(setup, solved)
    views = [
        View(name="speed", title=speed, field="velocity", unit="m/s", kind="section", section=section),
        View(name="pressure", title=pressure, field="pressure", unit="Pa", kind="section", section=section),
        View(
            name="streamlines", title=Words(en="Streamlines", it="Linee di corrente"), field="velocity", unit="m/s",
            kind="streamlines", along="velocity",
        ),
    ]  # fmt: skip
    if not isinstance(setup.bound.case.domain, Around):  # there the sides of the box would hide the part
        shear = Words(en="Wall shear stress", it="Sforzo di taglio a parete")
        views.append(View(name="shear", title=shear, field="wall_shear_stress", unit="Pa"))
    return tuple(views)


def _section(setup: Setup, solved: Solved) -> Section:
    """Through the middle of the part, along the flow; else across the thinnest way through the fluid."""
    if isinstance(setup.bound.case.domain, Around):
        along, up = _directions(setup)
        faces = solved.mesh.of_patches(setup.bodies)
        centre = solved.mesh.geometry[0][faces]
        normal = np.cross(along, up)
        middle = (centre.min(axis=0) + centre.max(axis=0)) / 2
        if setup.bound.case.domain.symmetry:  # just inside the plane of symmetry
            side = solved.mesh.points @ normal
            edge = min((side.min(), side.max()), key=lambda s: abs(s - (centre @ normal).mean()))
            middle = middle + normal * (edge + 1e-3 * (middle @ normal - edge) - middle @ normal)
    else:
        low, high = solved.mesh.points.min(axis=0), solved.mesh.points.max(axis=0)
        middle, normal = (low + high) / 2, np.eye(3)[int((high - low).argmin())]
    # not quite in the middle, where a plane would run along the sides of cells
    middle = middle + normal * 1e-5 * float(np.ptp(solved.mesh.points, axis=0).max())
    return Section(point=tuple(map(float, middle)), normal=tuple(map(float, normal)))


def _curves(setup: Setup, run: Run) -> tuple[Curve, ...]:
    history = run.history
    count = len(history.residuals)
    every = max(1, math.ceil(count / 500))
    steps = tuple(float(i + 1) for i in range(0, count, every))
    iteration = Words(en="iteration", it="iterazione")
    names = list(history.residuals[-1])
    residuals = tuple(
        Line(name=Words(en=n, it=n), x=x, y=tuple(history.residuals[int(i) - 1][n] for i in x))
        for n in names
        if (x := tuple(i for i in steps if history.residuals[int(i) - 1].get(n, 0) > 0))
    )
    curves = [
        Curve(
            name="residuals", title=Words(en="Residuals", it="Residui"), x=iteration, x_unit="",
            y=Words(en="initial residual", it="residuo iniziale"), y_unit="", lines=residuals, log=(False, True),
        )
    ]  # fmt: skip
    if isinstance(setup.bound.case.domain, Around):
        along, up = _directions(setup)
        forces = np.array(history.forces) * _halves(setup)
        pairs = ((Words(en="drag", it="resistenza"), along), (Words(en="lift", it="portanza"), up))
        lines = tuple(_line(name, forces @ d) for name, d in pairs)
        title, unit = Words(en="Forces", it="Forze"), "N"
    else:
        title, unit = Words(en="Pressure drop", it="Caduta di pressione"), "Pa"
        lines = (_line(title, np.array(history.drop)),)
    curves.append(
        Curve(name="history", title=title, x=iteration, x_unit="", y=title, y_unit=unit, lines=lines)
    )  # fmt: skip
    return tuple(curves)


def _line(name: Words, values: Reals) -> Line:
    """A history without its first iterations, whose swings would hide the rest."""
    first = min(20, len(values) // 10)
    every = max(1, math.ceil(len(values) / 500))
    at = range(first, len(values), every)
    return Line(name=name, x=tuple(float(i + 1) for i in at), y=tuple(float(values[i]) for i in at))
