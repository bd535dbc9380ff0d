"""What a study found: the table of its points, plots, and for a study of the mesh the verdict on it."""

from __future__ import annotations

import csv
import io
import itertools
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from hub import catalogue
from hub.convergence import Convergence, judge
from hub.figures import Figures
from hub.problem import Problem
from hub.result import Curve, Line, Quantity, Result, View, Words
from hub.run import Run
from hub.runfolder import write_whole
from hub.study import Axis, Study, Value, dimension, number_unit, si_value

State = Literal["waiting", "running", "done", "failed", "refused", "cancelled"]
#: Most plots of a study, and longest time that drawing them may take [s].
MOST_PLOTS, PATIENCE = 24, 300
#: Where the envelope of a study's fields lies in its folder.
ENVELOPE = "envelope.vtu"
#: Differences below this share of the values are rounding.
ROUNDING = 1e-9


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StudyPoint(_Document):
    """A point as it was checked. key : digest of its question, the name of its run; None if it was refused"""

    number: int
    values: tuple[Value, ...]
    key: str | None = None
    case: dict[str, Any] | None = None
    estimate: dict[str, Any] | None = None
    problems: tuple[Problem, ...] = ()


class PointResult(_Document):
    """What came out at a point. same_as : number of an earlier point with the same question; seconds : of its solve;
    size : representative size of the mesh's cells [m]"""

    number: int
    values: tuple[Value, ...]
    state: State
    run: str | None = None
    same_as: int | None = None
    answer: str | None = None
    quantities: dict[str, Quantity] = {}
    seconds: float | None = None
    size: float | None = None
    failure: dict[str, Any] | None = None


class AxisResult(_Document):
    """An axis: title, path, SI unit of its numbers (empty: dimensionless or words)."""

    title: str
    path: str
    unit: str


class Envelope(_Document):
    """The largest of a field at every node over all points, in ``envelope.vtu`` and ``plots/envelope.png``.

    view : how it is drawn; value : the largest of all [SI], at that point of the study and that place [m]
    """

    view: View
    value: float
    point: int
    at: tuple[float, float, float]


class StudyResult(_Document):
    """``result.json`` of a study: the whole table, failed points too.

    state : ``done`` where every point is, ``partly`` where some are, ``failed`` where none is
    envelope : of points on one mesh, where their fields are at hand
    convergence : of each quantity, for a study of the mesh; sentence : what that means
    seconds : from the start of the last walk to its end; solving : of all solves together
    """

    state: Literal["done", "partly", "failed", "cancelled"]
    title: str
    axes: tuple[AxisResult, ...]
    points: tuple[PointResult, ...]
    curves: tuple[Curve, ...] = ()
    envelope: Envelope | None = None
    convergence: dict[str, Convergence] = {}
    verdict: Literal["none", "yes", "no", "unclear"] = "none"
    sentence: Words = {}
    seconds: float = 0.0
    solving: float = 0.0


def conclude(
    folder: Path,
    study: Study,
    points: Sequence[StudyPoint],
    run_of: Callable[[str], Run],
    seconds: float,
    envelope: Envelope | None = None,
) -> StudyResult:
    """Write ``result.json``, ``table.csv`` and the plots of a study whose points have ended. Raises OSError."""
    axes = study.axes()
    found = _results(points, run_of)
    states = [p.state for p in found]
    state: Literal["done", "partly", "failed", "cancelled"]
    if "cancelled" in states or "waiting" in states:
        state = "cancelled"
    else:
        state = "done" if set(states) == {"done"} else "partly" if "done" in states else "failed"
    result = StudyResult(
        state=state,
        title=study.title,
        axes=tuple(_axis(axis, [p.values[i] for p in points]) for i, axis in enumerate(axes)),
        points=tuple(found),
        envelope=envelope,
        seconds=seconds,
        solving=sum(p.seconds or 0.0 for p in found if p.same_as is None),
    )
    result = result.model_copy(update={"curves": tuple(itertools.islice(_curves(result), MOST_PLOTS))})
    if study.verdict == "mesh":
        result = _judged(result)
    write_whole(folder / "table.csv", table(result))
    write_whole(folder / "result.json", result.model_dump_json(indent=1))
    plots = folder / "plots"
    drawn: list[tuple[str, ...]] = [("plots", str(folder / "result.json"), study.language, str(plots))]
    if envelope:
        view = envelope.view.model_dump_json()
        drawn.append(("picture", str(folder / ENVELOPE), view, study.language, str(plots / "envelope.png")))
    with suppress(OSError), ThreadPoolExecutor() as side_by_side:
        plots.mkdir(exist_ok=True)
        for each in drawn:
            side_by_side.submit(post, *each, log=folder / "plots.log")  # a study without pictures is still a study
    return result


def _results(points: Sequence[StudyPoint], run_of: Callable[[str], Run]) -> list[PointResult]:
    first: dict[str, PointResult] = {}
    found = []
    for point in points:
        if point.key is None:
            found.append(_refused(point))
        elif point.key in first:
            earlier = first[point.key]
            again = {"number": point.number, "values": point.values, "same_as": earlier.number}
            found.append(earlier.model_copy(update=again))
        else:
            first[point.key] = one = _one(point, point.key, run_of(point.key).result)
            found.append(one)
    return found


def _refused(point: StudyPoint) -> PointResult:
    failure = {
        "stage": None,
        "code": "refused",
        "message": "The case cannot be run with these values.",
        "hint": " ".join(str(p) for p in point.problems if p.severity != "warning"),
        "problems": [p.model_dump() for p in point.problems],
    }
    return PointResult(number=point.number, values=point.values, state="refused", failure=failure)


def _one(point: StudyPoint, key: str, result: Result | None) -> PointResult:
    if result is None:
        return PointResult(number=point.number, values=point.values, state="waiting", run=key)
    return PointResult(
        number=point.number,
        values=point.values,
        state=result.state,
        run=key,
        answer=result.verdict.answer if result.verdict else None,
        quantities=result.quantities,
        seconds=result.timings.get("solve"),
        size=_size(result.mesh),
        failure=result.failure,
    )


def _size(mesh: dict[str, Any]) -> float | None:
    """Representative size of the cells [m]: the mean volume (or area) of a cell to the power 1/3 (or 1/2)."""
    for cells, measure, power in (("tets", "volume", 1 / 3), ("triangles", "area", 1 / 2)):
        count, extent = mesh.get(cells), mesh.get(measure)
        if isinstance(count, (int, float)) and isinstance(extent, (int, float)) and count > 0 and extent > 0:
            return float((extent / count) ** power)
    return None


def _axis(axis: Axis, values: Sequence[Value]) -> AxisResult:
    unit = ""
    with suppress(ValueError):
        unit = dimension(number_unit(values[0])[1])
    return AxisResult(title=axis.title, path=axis.path, unit=unit)


# --- the table ----------------------------------------------------------------------------------------------------


def table(result: StudyResult) -> str:
    """The table as CSV: values of the axes as typed, quantities and their error bars in SI."""
    names = _quantities(result)
    head = ["point", *(a.title for a in result.axes), "state", "same as point"]
    for name, quantity in names.items():
        unit = f" [{quantity.unit}]" if quantity.unit else ""
        head += [f"{name}{unit}", f"{name} error{unit}"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*map(_inert, head), "verdict", "solve [s]", "failure"])
    for point in result.points:
        row: list[Any] = [point.number, *point.values, point.state, point.same_as or ""]
        for name in names:
            value = point.quantities.get(name)
            row += ["", ""] if value is None else [value.value, "" if value.error is None else value.error]
        failure = point.failure or {}
        row += [point.answer or "", point.seconds or "", f"{failure.get('message', '')} {failure.get('hint', '')}"]
        writer.writerow([_inert(cell) for cell in row])
    return text.getvalue()


def _inert(cell: Any) -> Any:
    """Somebody's text that a spreadsheet shows and does not run."""
    text = str(cell).strip()
    return f"'{text}" if isinstance(cell, str) and text[:1] in ("=", "+", "-", "@") and si_value(text) is None else cell


def _quantities(result: StudyResult) -> dict[str, Quantity]:
    """Name -> one of its values, in the order of the answers."""
    found: dict[str, Quantity] = {}
    for point in result.points:
        for name, quantity in point.quantities.items():
            found.setdefault(name, quantity)
    return found


def changing(result: StudyResult) -> list[str]:
    """Names of the quantities that differ from point to point by more than rounding."""
    names = _quantities(result)
    return [n for n in names if _changes([p.quantities[n] for p in result.points if n in p.quantities])]


# --- plots --------------------------------------------------------------------------------------------------------


def _curves(result: StudyResult) -> Any:
    """Each quantity that changes over each axis that has numbers; the values of axes with words are lines."""
    answered = [p for p in result.points if p.quantities]
    numbers = [[si_value(p.values[i]) for p in answered] for i in range(len(result.axes))]
    numeric = [i for i, column in enumerate(numbers) if None not in column and len(set(column)) > 1]
    words = [i for i, column in enumerate(numbers) if None in column]
    samples = _quantities(result)
    for name in changing(result):
        sample = samples[name]
        for i in numeric:
            axis = result.axes[i]
            groups: dict[tuple[Value, ...], list[tuple[float, Quantity]]] = {}
            for point, x in zip(answered, numbers[i], strict=True):
                if name in point.quantities and x is not None:
                    key = tuple(point.values[j] for j in words)
                    groups.setdefault(key, []).append((x, point.quantities[name]))
            title = sample.title or {"en": name.replace("_", " ")}
            yield Curve(
                name=f"{name}-{i + 1}",
                title=title,
                x={"en": axis.title},
                x_unit=axis.unit,
                y=title,
                y_unit=sample.unit,
                lines=tuple(_line(", ".join(map(str, key)) or axis.title, pairs) for key, pairs in groups.items()),
            )


def _line(name: str, pairs: list[tuple[float, Quantity]]) -> Line:
    pairs = sorted(pairs, key=lambda pair: pair[0])
    errors = [quantity.error for _, quantity in pairs]
    known = tuple(e for e in errors if e is not None)
    return Line(
        name={"en": name},
        x=tuple(x for x, _ in pairs),
        y=tuple(quantity.value for _, quantity in pairs),
        error=known if len(known) == len(errors) else None,
        points=True,
    )


def _changes(values: Sequence[Quantity]) -> bool:
    """More than rounding, and not zero within the error bars everywhere."""
    numbers = [v.value for v in values]
    if len(numbers) < 2 or max(numbers) - min(numbers) <= ROUNDING * max(map(abs, numbers)):
        return False
    return any(v.error is None or abs(v.value) > v.error for v in values)


def post(*asked: str, log: Path) -> str:
    """What ``solvers.post``, which draws for reports too, prints. Raises OSError, SubprocessError."""
    argv = [sys.executable, "-m", "solvers.post", *asked]
    with log.open("ab") as said:
        ran = subprocess.run(
            argv,
            env=catalogue.environment(),
            stdout=subprocess.PIPE,
            stderr=said,
            timeout=PATIENCE,
            check=True,
            text=True,
        )
    return ran.stdout


# --- the verdict on the mesh --------------------------------------------------------------------------------------


def _judged(result: StudyResult) -> StudyResult:
    """The convergence of every quantity on three meshes, and a sentence on it."""
    if any(p.state != "done" for p in result.points):
        sentence: Words = {
            "en": "Not every mesh gave an answer, so nothing can be said of the convergence.",
            "it": "Non tutte le mesh hanno dato una risposta: della convergenza non si può dire nulla.",
        }
        return result.model_copy(update={"verdict": "unclear", "sentence": sentence})
    sizes = [p.size or si_value(p.values[0]) or 0.0 for p in result.points]
    found: dict[str, Convergence] = {}
    for name in _quantities(result):
        values = [p.quantities.get(name) for p in result.points]
        present = [v for v in values if v is not None]
        if len(present) == 3 and not all(v.error is not None and abs(v.value) <= v.error for v in present):
            with suppress(ValueError):
                found[name] = judge([v.value for v in present], sizes)
    if not found:
        alike: Words = {
            "en": "Two of the meshes have cells of the same size, so nothing can be said of the convergence: choose "
            "sizes further apart.",
            "it": "Due delle mesh hanno celle della stessa dimensione: della convergenza non si può dire nulla. "
            "Scegliere dimensioni più distanti.",
        }
        none: Words = {
            "en": "No quantity stands out from its error bar, so nothing can be said of the convergence.",
            "it": "Nessuna grandezza supera la propria barra d’errore: della convergenza non si può dire nulla.",
        }
        return result.model_copy(update={"verdict": "unclear", "sentence": alike if len(set(sizes)) < 3 else none})
    verdict, sentence = _sentence(found, result)
    return result.model_copy(update={"convergence": found, "verdict": verdict, "sentence": sentence})


def _sentence(found: dict[str, Convergence], result: StudyResult) -> tuple[Literal["yes", "no", "unclear"], Words]:
    titles = {name: quantity.title for name, quantity in _quantities(result).items()}

    def called(names: Sequence[str], language: Literal["en", "it"]) -> str:
        said = [titles[n].get(language) or titles[n].get("en") or n for n in names]
        return ", ".join(said[:4]) + (" ..." if len(said) > 4 else "")

    def share(value: float, language: Literal["en", "it"]) -> str:
        return f"{Figures(language).number(100 * value, digits=2)} %"

    worst = max(found, key=lambda name: found[name].relative or 0.0)
    largest = found[worst].relative or 0.0
    away = [n for n, c in found.items() if c.kind == "diverging"]
    loose = [n for n, c in found.items() if not c.converged]
    if away:
        return "no", {
            "en": f"No convergence: {called(away, 'en')} moves away as the mesh gets finer, as at an inner corner.",
            "it": f"Nessuna convergenza: {called(away, 'it')} si allontana raffinando la mesh, come a uno spigolo.",
        }
    if loose:
        return "unclear", {
            "en": f"No order of convergence is seen for {called(loose, 'en')}; the error bars there are three times "
            f"the range of the three values, {share(largest, 'en')} at the most.",
            "it": f"Non si osserva un ordine di convergenza per {called(loose, 'it')}; lì le barre d’errore sono tre "
            f"volte l’intervallo dei tre valori, al più {share(largest, 'it')}.",
        }
    return "yes", {
        "en": f"All quantities converge; on the finest mesh the largest error bar is {share(largest, 'en')} "
        f"({called([worst], 'en')}).",
        "it": f"Tutte le grandezze convergono; sulla mesh più fine la barra d’errore più larga è "
        f"{share(largest, 'it')} ({called([worst], 'it')}).",
    }
