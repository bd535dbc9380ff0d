"""``officina study``: sweeps over the values of a case, here or through the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.terminal import DONE, FAILED, err, out, show_problems

if TYPE_CHECKING:
    from hub.study_result import StudyResult
    from hub.sweep import Progress as Count

app = typer.Typer(help="Sweeps: one case with some of its values changed.", no_args_is_help=True)

Out = Annotated[Path | None, typer.Option("--out", help="where the results go (default: out/<study>)")]
StudyPath = Annotated[Path, typer.Argument(help="a folder with study.yaml, or a study's file")]


def _target(source: Path, folder: Path | None) -> Path:
    return (folder or Path("out") / (source.name if source.is_dir() else source.stem)).absolute()


@app.command("run")
def run(
    study: StudyPath,
    folder: Out = None,
    cluster: Annotated[str | None, typer.Option(help="solve the points there")] = None,
) -> None:
    """Run a study here and now, without a server; a study that was interrupted goes on."""
    from hub.study import load

    asked, case, geometry = load(study)
    if cluster:
        asked = asked.model_copy(update={"cluster": cluster})
    _go(asked, case, geometry, _target(study, folder))


@app.command("mesh")
def mesh(
    case: Annotated[Path, typer.Argument(help="a case folder or a case file")],
    folder: Out = None,
    ratio: Annotated[float, typer.Option(help="of the sizes of two meshes", min=1.1, max=4)] = 1.4,
    ranks: Annotated[int, typer.Option(help="MPI ranks of each mesh", min=1)] = 1,
) -> None:
    """Is the mesh of a case fine enough? Three meshes, and the grid convergence index of every quantity."""
    from hub.case import load_data
    from hub.study import read
    from hub.sweep import middle_size

    data, beside = load_data(case)
    geometry = beside / str(data.get("geometry", {}).get("file", ""))
    size = middle_size(data, geometry)
    data["mesh"] = {**data.get("mesh", {}), "size": f"{size!r} m"}
    asked = {
        "title": f"Mesh study: {data.get('title', '')}"[:200],
        "case": data,
        "sweep": [{"path": "mesh.size", "values": [f"{size * ratio**n:.6g} m" for n in (1, 0, -1)]}],
        "points": "list",
        "verdict": "mesh",
        "ranks": ranks,
        "language": data.get("language", "en"),
    }
    name = case.resolve().name if case.is_dir() else case.stem
    _go(read(asked), data, geometry, _target(Path(f"{name}-meshes"), folder))


def _go(study: Any, case: dict[str, Any], geometry: Path, target: Path) -> None:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from hub.settings import load as load_settings
    from hub.study_result import ENVELOPE
    from hub.sweep import Sweep, open_study, walk

    settings = load_settings()
    sweep = Sweep(target, settings.cache)
    out.print(study.title, style="bold")
    points = open_study(sweep, study, case, geometry)
    for point in points:
        if point.key is None:
            err.print(f"Point {point.number} cannot be run:", style="red")
            show_problems(point.problems)
    columns = (TextColumn("points"), BarColumn(bar_width=30), TextColumn("{task.description}"), TimeElapsedColumn())
    with sweep.walking() as mine, Progress(*columns, console=out) as shown:
        if not mine:
            err.print("This study is being walked already.", style="red")
            raise typer.Exit(FAILED)
        line = shown.add_task("", total=len(points))

        def tell(now: Count) -> None:
            said = f"{now.done} of {now.of} done" + (f", {now.other} not" if now.other else "")
            shown.update(line, total=now.of, completed=now.done + now.other, description=said)

        try:
            result = walk(sweep, settings, tell, carries=True)
        except KeyboardInterrupt:
            sweep.cancel()
            walk(sweep, settings, carries=True)
            raise
    show(result)
    if result.envelope:
        out.print(f"\n  Extremes  {target / ENVELOPE}", end="")
    out.print(
        f"\n  Table     {target / 'table.csv'}\n  Plots     {target / 'plots'}\n  All       {target / 'result.json'}"
    )
    raise typer.Exit(DONE if result.state == "done" else FAILED)


def show(result: StudyResult) -> None:
    """The table of a study, and what was found."""
    from rich.table import Table
    from rich.text import Text

    from hub.figures import Figures
    from hub.study_result import changing

    say = Figures()
    names = changing(result)[: max(2, (out.width - 12 * len(result.axes) - 16) // 20)]
    table = Table(box=None, padding=(0, 1))
    for title in ("", *(a.title for a in result.axes), *(n.replace("_", " ") for n in names), ""):
        table.add_column(Text(title))
    for point in result.points[:200]:
        cells = [
            Text(say.quantity(q.value, q.unit, q.error)) if (q := point.quantities.get(n)) else Text("–") for n in names
        ]
        same = f"as {point.same_as}" if point.same_as else ""
        ended = same if point.state == "done" else point.state
        table.add_row(str(point.number), *(Text(str(v)) for v in point.values), *cells, Text(ended, style="red"))
    out.print(table)
    for point in result.points:
        if point.failure:
            failure = point.failure
            err.print(f"Point {point.number}: {failure.get('message')} {failure.get('hint')}", style="red")
    for name, judged in result.convergence.items():
        order = f"order {say.number(judged.order, digits=2)}" if judged.order is not None else "no order"
        share = "" if judged.relative is None else f"{say.number(100 * judged.relative, digits=2)} %"
        out.print(f"  {name.replace('_', ' '):30} {judged.kind:12} {order:12} bar {share}")
    if result.envelope:
        found = result.envelope
        out.print(f"  {found.view.title['en']}: {say.quantity(found.value, found.view.unit)}, of point {found.point}")
    if result.sentence:
        out.print(result.sentence["en"], style="bold")


@app.command("status")
def status(study: StudyPath, folder: Out = None) -> None:
    """How far a study of this machine is."""
    from hub.settings import load as load_settings
    from hub.sweep import Sweep

    now = Sweep(_target(study, folder), load_settings().cache).progress()
    out.print(f"{now.done} of {now.of} points done, {now.other} ended otherwise.")


@app.command("retry")
def retry(study: StudyPath, folder: Out = None) -> None:
    """Run the points again that failed, and only those."""
    from hub.settings import load as load_settings
    from hub.study import load
    from hub.sweep import Sweep
    from hub.sweep import retry as forget

    sweep = Sweep(_target(study, folder), load_settings().cache)
    again = forget(sweep) if (sweep.folder / "points.json").exists() else 0
    if not again:
        out.print("No point of it has failed.")
        raise typer.Exit(DONE)
    asked, case, geometry = load(study)
    _go(asked, case, geometry, sweep.folder)
