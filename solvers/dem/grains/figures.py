"""From what was seen of a run to figures with error bars, and to curves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from hub.result import Curve, Line, Words
from solvers.dem.grains import bed, blocks
from solvers.dem.grains.conditions import Inlet, Outlet, Reals, Rotation, Vibration, Zone
from solvers.dem.grains.follow import Run
from solvers.dem.grains.machine import Machine, travelled
from solvers.dem.grains.measure import FIRST, PER_ZONE
from solvers.dem.grains.plan import Plan

#: The steady part of a discharge: from the time this share of the mass has left to that of the other.
STEADY = (0.2, 0.7)
#: Bins of the steady part in which the flow is averaged.
FLOW_BINS = 64
#: Share of the time after settling, at its end, over which steady figures are averaged.
LATE = 0.5
#: Most points of a curve.
DRAWN = 400

ONCE = Words(
    en="It happens once in a run; ask for repeats to see how much it differs from one filling to the next.",
    it="Accade una sola volta; chieda più ripetizioni per vedere quanto cambia da un riempimento all'altro.",
)


@dataclass(frozen=True)
class Figure:
    """A figure of one run. error : half a 95 % bar, None where one run cannot tell; `why` then says so."""

    value: float
    unit: str
    title: Words
    error: float | None = None
    method: str = blocks.METHOD
    why: Words = field(default_factory=lambda: ONCE)


def both(en: str, it: str) -> Words:
    return Words(en=en, it=it)


def figures(plan: Plan, machine: Machine, run: Run) -> dict[str, Figure]:
    """Everything that one run tells, by name."""
    found = _flows(plan, run) | _mixing(plan, machine, run) | _zones(plan, run) | _walls(machine, run, plan)
    found |= _beds(plan, run)
    inside = float(run.last.mass.sum()) if run.last is not None else 0.0
    words = both("Mass inside at the end", "Massa dentro alla fine")
    found["mass_inside"] = Figure(inside, "kg", words, 0.0, "counted")
    return {name: f for name, f in found.items() if math.isfinite(f.value)}


def combined(runs: list[dict[str, Figure]]) -> dict[str, Figure]:
    """The figures of several runs with different seeds as one; bars are the larger of the two kinds."""
    if len(runs) == 1:
        return runs[0]
    found = {}
    for name, first in runs[0].items():
        values = [r[name].value for r in runs if name in r]
        if len(values) < 2:
            continue
        value, error = blocks.over_seeds(values)
        within = [r[name].error for r in runs if name in r]
        own = max((e for e in within if e is not None), default=0.0) / math.sqrt(len(values))
        found[name] = replace(
            first, value=value, error=max(error, own), method=blocks.SEEDS if error >= own else first.method
        )
    return found


# --- flow ---------------------------------------------------------------------------------------------------------


def left(run: Run, outlet: int, settled: float) -> tuple[Reals, Reals]:
    """Times after settling [s] and the mass [kg] that has left through an outlet by then."""
    rows = [(t - settled, m) for t, k, m, _ in run.seen.out if k == outlet]
    times = np.array([t for t, _ in rows])
    return times, np.cumsum([m for _, m in rows])


def flow(times: Reals, mass: Reals, window: tuple[float, float]) -> Reals:
    """(FLOW_BINS,) mean mass flow [kg/s] in equal parts of a window of time."""
    edges = np.linspace(*window, FLOW_BINS + 1)
    at = np.concatenate([[0.0], mass])[np.searchsorted(times, edges, side="right")]
    return np.asarray(np.diff(at) / np.diff(edges))


def _flows(plan: Plan, run: Run) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    outlets, fed = plan.of(Outlet), bool(plan.of(Inlet))
    for k, outlet in enumerate(outlets):
        tail, of = (f"_{k + 1}", f", {outlet.name or k + 1}") if len(outlets) > 1 else ("", "")
        times, mass = left(run, k, plan.params.settling)
        total = float(mass[-1]) if len(mass) else 0.0
        found[f"discharged{tail}"] = Figure(
            total, "kg", both(f"Mass that left{of}", f"Massa uscita{of}"), 0.0, "counted"
        )
        if len(mass) < 20:
            continue
        duration = plan.params.duration
        window = (LATE * duration, duration)
        if not fed:
            window = tuple(float(np.interp(s * total, mass, times)) for s in STEADY)  # type: ignore[assignment]
        if window[1] <= window[0]:
            continue
        rates = flow(times, mass, window)
        value, error = blocks.mean(rates)
        found[f"mass_flow{tail}"] = Figure(
            value, "kg/s", both(f"Mass flow{of}, steady part", f"Portata in massa{of}, a regime"), error
        )
        over = 1e3 * (window[1] - window[0]) / FLOW_BINS
        found[f"flow_fluctuation{tail}"] = Figure(
            float(rates.std(ddof=1) / value) if value else math.nan, "",
            both(f"Fluctuation of the flow over {over:.3g} ms{of}", f"Fluttuazione della portata su {over:.3g} ms{of}"),
            1.96 * float(rates.std(ddof=1) / value) / math.sqrt(2 * (FLOW_BINS - 1)) if value else None,
            "spread of a standard deviation, 95 %",
        )  # fmt: skip
    if outlets and fed and len(run.seen.residence) >= 100:
        ages = np.array(run.seen.residence)
        value, error = blocks.mean(ages[len(ages) // 4 :])
        found["residence_time"] = Figure(value, "s", both("Mean residence time", "Tempo medio di permanenza"), error)
    return found


# --- mixing, zones ------------------------------------------------------------------------------------------------


def turns(plan: Plan, machine: Machine, times: Reals) -> Reals | None:
    """Revolutions of the fastest wall by times after settling; None if nothing turns."""
    spinning = [w for w in machine.walls if w.motion.spin]
    if not spinning:
        return None
    fastest = max(spinning, key=lambda w: abs(w.motion.spin))
    return np.array([abs(travelled(fastest, plan.params.settling + t)) / (2 * math.pi) for t in times])


def _mixing(plan: Plan, machine: Machine, run: Run) -> dict[str, Figure]:
    series = run.seen.series
    if "lacey" not in series:
        return {}
    times, index = np.array(series["time"]), np.array(series["lacey"])
    known = np.isfinite(index)
    late = known & (times >= times[-1] * 0.9)
    value, error = blocks.mean(index[late])
    spread, spread_error = blocks.mean(np.array(series["rsd"])[late])
    found = {
        "lacey_index": Figure(value, "", both("Lacey index at the end", "Indice di Lacey alla fine"), error),
        "share_variation": Figure(
            spread,
            "",
            both("Variation of the share between samples, end", "Variazione della quota tra i campioni, fine"),
            spread_error,
        ),
    }
    at, unit = turns(plan, machine, times), ""
    words = both("Revolutions until mixed", "Giri fino alla miscela")
    if at is None:
        at, unit, words = times, "s", both("Time until mixed", "Tempo fino alla miscela")
    end = reached(at[known], index[known], plan.params.mixed)
    if end is not None:
        noise = float(np.std(np.diff(index[known][-len(index) // 4 :]))) / math.sqrt(2)
        ends = [reached(at[known], index[known], plan.params.mixed + s * 2 * noise) for s in (-1, 1)]
        bar = max((abs(e - end) for e in ends if e is not None), default=None)
        found["mixed_after"] = Figure(end, unit, words, bar, "noise of the index")
    return found


def reached(at: Reals, index: Reals, level: float) -> float | None:
    """Where an index comes to a level and stays there: after this it is lower only by noise; None if it does not."""
    smooth = np.convolve(np.pad(index, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    below = np.flatnonzero(smooth < level)
    if not len(below):
        return float(at[0])
    k = int(below[-1])
    if k + 1 >= len(at):
        return None
    step = (level - smooth[k]) / max(smooth[k + 1] - smooth[k], 1e-12)
    return float(at[k] + step * (at[k + 1] - at[k]))


def goes_on(plan: Plan) -> bool:
    """Whether the case comes to a steady state, as what turns, shakes or is fed does, or to an end."""
    return bool(plan.of(Rotation) or plan.of(Vibration) or plan.of(Inlet))


def _zones(plan: Plan, run: Run) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    zones = plan.of(Zone)
    grains = run.last
    going = goes_on(plan)
    for k, zone in enumerate(zones):
        tail = f"_{k + 1}" if len(zones) > 1 else ""
        series = np.array(run.seen.series[f"zone {zone.name}"])
        if going:
            value, error = blocks.mean(series[int(len(series) * (1 - LATE)) :])
            words = both(f"Mass in {zone.name}", f"Massa in {zone.name}")
            found[f"zone_mass{tail}"] = Figure(value, "kg", words, error or None)
        else:
            words = both(f"Mass in {zone.name} at the end", f"Massa in {zone.name} alla fine")
            found[f"zone_mass{tail}"] = Figure(float(series[-1]), "kg", words)
        if run.settled is not None:
            found[f"zone_fill{tail}"] = _fill(found[f"zone_mass{tail}"], zone, run.settled, _density(plan, run))
        if not going or grains is None or len(grains.id) < 20:
            continue
        inside, visits = (grains.carried[:, FIRST + PER_ZONE * k + c] for c in (0, 1))
        if inside.sum() == 0 or plan.of(Outlet):
            continue
        n, mean = len(inside), float(inside.mean())
        variation = float(inside.std(ddof=1)) / mean
        steady, bar = blocks.mean(np.array(run.seen.series[f"zone {zone.name}"]))
        found[f"zone_time{tail}"] = Figure(
            mean, "s", both(f"Time of a grain in {zone.name}, mean", f"Tempo di un grano in {zone.name}, media"),
            None if bar is None or not steady else mean * bar / steady,
        )  # fmt: skip
        found[f"zone_variation{tail}"] = Figure(
            variation, "",
            both(f"Variation of the time in {zone.name} from grain to grain",
                 f"Variazione del tempo in {zone.name} da grano a grano"),
            1.96 * variation * math.sqrt((0.5 + variation**2) / n), "spread of a coefficient of variation, 95 %",
        )  # fmt: skip
        if visits.sum():
            pass_time = inside.sum() / visits.sum()
            found[f"zone_pass{tail}"] = Figure(
                float(pass_time), "s",
                both(f"Time of one pass through {zone.name}", f"Tempo di un passaggio in {zone.name}"),
                1.96 * float(np.std(inside - pass_time * visits)) * math.sqrt(n) / float(visits.sum()),
                "spread of a ratio over grains, 95 %",
            )  # fmt: skip
    return found


def _fill(mass: Figure, zone: Zone, settled: tuple[float, float], density: float) -> Figure:
    """How full a zone is: the volume that its grains took in the settled bed over its own."""
    value = mass.value / (settled[0] * density * zone.region.volume)
    words = both(f"Fill of {zone.name}, as a settled bed over its volume",
                 f"Riempimento di {zone.name}, come letto assestato sul volume")  # fmt: skip
    if mass.error is None:
        return Figure(value, "", words, why=mass.why)
    error = value * math.hypot(mass.error / mass.value if mass.value else 0.0, settled[1] / settled[0])
    return Figure(value, "", words, error, mass.method)


# --- walls, beds --------------------------------------------------------------------------------------------------


def _walls(machine: Machine, run: Run, plan: Plan) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    series = run.seen.series
    n = len(series.get("time", ()))
    late = slice(int(n * (1 - LATE)), None)
    moving = [w for w in machine.moving if w.motion.spin or w.motion.frequency]
    if moving and n > 10:
        power = np.nansum([np.array(series[f"power {w.name}"])[late] for w in moving], axis=0)
        value, error = blocks.mean(power)
        found["power"] = Figure(value, "W", both("Power drawn by the grains", "Potenza assorbita dai grani"), error)
        if len(moving) == 1 and moving[0].motion.spin:
            spin = moving[0].motion.spin
            found["torque"] = Figure(
                value / abs(spin), "N*m", both("Torque of the drive", "Coppia dell'azionamento"),
                None if error is None else error / abs(spin),
            )  # fmt: skip
    for w in plan.bound.case.quantities:
        if w.kind == "wall_pressure" and f"pressure {w.on}" in series:
            value, error = blocks.mean(np.array(series[f"pressure {w.on}"])[1:][late])
            found[w.name] = Figure(
                value, "Pa", both(f"Mean pressure on {w.on}", f"Pressione media su {w.on}"),
                error if moving or plan.of(Outlet) else None,
            )  # fmt: skip
        if w.kind == "collision_rate" and run.collided.sum():
            duration = plan.params.duration
            rate = float(run.collided.sum()) / duration
            found[w.name] = Figure(
                rate, "Hz", both("Collisions a second", "Urti al secondo"),
                1.96 * math.sqrt(float(run.collided.sum())) / duration, "counting, 95 %",
            )  # fmt: skip
    return found


def _beds(plan: Plan, run: Run) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    grains, series = run.last, run.seen.series
    steady = any(c.kind in ("rotation", "vibration") for c in plan.bound.conditions)
    for w in plan.bound.case.quantities:
        if w.kind == "repose_angle" and grains is not None:
            values = np.array(series["repose"])
            values = values[np.isfinite(values)][-max(8, int(LATE * len(values))) :]
            if not steady:
                values = values[-1:]
            value, error = blocks.mean(values)
            found[w.name] = Figure(
                value, "rad", both("Angle of the surface", "Angolo della superficie"), error if steady else None
            )
        if w.kind == "run_out" and grains is not None and len(grains.id):
            far = bed.run_out(grains.position, grains.radius, -plan.down)
            found[w.name] = Figure(far, "m", both("Run-out of the deposit", "Estensione del deposito"))
        if w.kind == "bulk_density":
            here = bed.fraction(grains.position, grains.radius) if grains is not None and len(grains.id) else None
            here = here if here is not None and not plan.of(Outlet) else run.settled
            if here is not None and plan.species:
                density = _density(plan, run)
                found[w.name] = Figure(
                    here[0] * density, "kg/m**3", both("Bulk density inside the bed", "Densità apparente nel letto"),
                    here[1] * density, "spread from place to place, 95 %",
                )  # fmt: skip
    if run.settled is not None:
        found["solid_fraction"] = Figure(
            run.settled[0], "", both("Solid fraction of the settled bed", "Frazione solida del letto assestato"),
            run.settled[1], "spread from place to place, 95 %",
        )  # fmt: skip
    return found


def _density(plan: Plan, run: Run) -> float:
    """Mean density of the grains' material [kg/m3]."""
    if run.last is not None and len(run.last.id):
        return float(run.last.mass.sum() / (4 / 3 * math.pi * run.last.radius**3).sum())
    return next(iter(plan.species.values())).density


# --- curves -------------------------------------------------------------------------------------------------------


def curves(plan: Plan, machine: Machine, run: Run) -> list[Curve]:
    """What happened over time, and distributions."""
    found: list[Curve] = []
    series = run.seen.series
    times = np.array(series.get("time", []))
    time = both("time after settling", "tempo dopo l'assestamento")
    if plan.of(Outlet) and run.seen.out:
        lines = []
        for k, outlet in enumerate(plan.of(Outlet)):
            t, m = left(run, k, plan.params.settling)
            if len(t):
                lines.append(_line(outlet.name or f"{k + 1}", t, m))
        found.append(_curve("discharge", both("Mass that has left", "Massa uscita"), (time, "s"),
                            (both("mass", "massa"), "kg"), lines))  # fmt: skip
    if "lacey" in series:
        at, words, unit = turns(plan, machine, times), both("revolutions", "giri"), ""
        if at is None:
            at, words, unit = times, time, "s"
        lines = [_line(both("Lacey index", "indice di Lacey"), at, np.array(series["lacey"])),
                 _line(both("relative standard deviation", "deviazione standard relativa"), at,
                       np.array(series["rsd"]))]  # fmt: skip
        found.append(_curve("mixing", both("How well it is mixed", "Grado di miscelazione"), (words, unit),
                            (both("index", "indice"), ""), lines))  # fmt: skip
    moving = [w for w in machine.moving if w.motion.spin or w.motion.frequency]
    if moving and len(times) > 2:
        going = times > 0.02 * times[-1]  # at the first moment the walls start from rest at once
        lines = [_line(w.name, times[going], np.array(series[f"power {w.name}"])[going]) for w in moving]
        found.append(_curve("power", both("Power drawn", "Potenza assorbita"), (time, "s"),
                            (both("power", "potenza"), "W"), lines))  # fmt: skip
    zones = plan.of(Zone)
    if zones:
        lines = [_line(z.name, times, np.array(series[f"zone {z.name}"])) for z in zones]
        found.append(_curve("zones", both("Mass in zones", "Massa nelle zone"), (time, "s"),
                            (both("mass", "massa"), "kg"), lines))  # fmt: skip
    if "repose" in series and np.isfinite(series["repose"]).sum() > 2:
        lines = [_line("", times, np.array(series["repose"]))]
        found.append(_curve("surface", both("Angle of the surface", "Angolo della superficie"), (time, "s"),
                            (both("angle", "angolo"), "rad"), lines))  # fmt: skip
    if run.collided.sum():
        middle = np.sqrt(run.energies[1:] * run.energies[:-1])
        rate = run.collided[1:-1] / plan.params.duration
        used = rate > 0
        found.append(_curve("collisions", both("Collisions by the energy they take", "Urti per energia dissipata"),
                            (both("energy", "energia"), "J"), (both("collisions a second", "urti al secondo"), "Hz"),
                            [_line("", middle[used], rate[used])], log=(True, True)))  # fmt: skip
    profile = pressures(plan, machine, run)
    if profile is not None:
        found.append(profile)
    return [c for c in found if c.lines]


def pressures(plan: Plan, machine: Machine, run: Run) -> Curve | None:
    """Mean normal pressure on walls at rest that stand upright, against the height: what a container must bear."""
    seen, mesh = run.seen, machine.mesh
    if seen.loaded <= 0 or not plan.gravity.any() or not len(seen.pressing):
        return None
    c = mesh.points[mesh.facets]
    normal = np.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0])
    area = np.linalg.norm(normal, axis=1) / 2
    still = np.zeros(len(area), bool)
    for wall, rows in zip(machine.walls, machine.rows, strict=True):
        still[rows] = not wall.motion.moves
    upright = still & (np.abs(normal @ plan.down) < 0.2 * 2 * area)
    height = -(c.mean(axis=1) @ plan.down)
    met = upright & (seen.pressing > 0)
    if met.sum() < 20:
        return None
    edges = np.linspace(height[met].min(), height[met].max() + 1e-9, 16)
    bins = np.digitize(height, edges)
    lines_x, lines_y = [], []
    # the side that grains never reach (the outside of a drawn wall) must not thin the pressure
    touched = upright & (seen.pressing + seen.shearing > 0)
    for k in range(1, len(edges)):
        here = touched & (bins == k)
        if area[here].sum() > 0:
            lines_x.append(float((edges[k - 1] + edges[k]) / 2))
            lines_y.append(float(seen.pressing[here].sum() / area[here].sum() / seen.loaded))
    line = Line(name=both("mean over the wall", "media sulla parete"), x=tuple(lines_x), y=tuple(lines_y))
    return Curve(
        name="pressure", title=both("Pressure on upright walls", "Pressione sulle pareti verticali"),
        x=both("height", "altezza"), x_unit="m", y=both("pressure", "pressione"), y_unit="Pa", lines=(line,),
    )  # fmt: skip


def _line(name: Words | str, x: Reals, y: Reals) -> Line:
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    chosen = np.unique(np.linspace(0, max(len(x) - 1, 0), min(len(x), DRAWN)).round().astype(int)) if len(x) else []
    return Line(name=both(name, name) if isinstance(name, str) else name, x=tuple(x[chosen]), y=tuple(y[chosen]))


def _curve(
    name: str, title: Words, x: tuple[Words, str], y: tuple[Words, str], lines: list[Line],
    log: tuple[bool, bool] = (False, False),
) -> Curve:  # fmt: skip
    return Curve(
        name=name, title=title, x=x[0], x_unit=x[1], y=y[0], y_unit=y[1],
        lines=tuple(line for line in lines if len(line.x) > 1), log=log,
    )  # fmt: skip
