"""The command line. Exit codes: 0 done, 2 the input was refused, 3 the run failed.

Imports stand inside the commands: a command loads what it needs and nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from hub import cli_cluster, cli_member, cli_study
from hub.terminal import DONE, FAILED, REFUSED, err, out, show_problem, show_problems

if TYPE_CHECKING:
    from hub.client import Client
    from hub.result import Result

app = typer.Typer(
    name="officina",
    help="From a CAD part to a checked answer with error bars.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
solver_app = typer.Typer(help="The solvers there are.", no_args_is_help=True)
app.add_typer(solver_app, name="solver")
app.add_typer(cli_study.app, name="study")
app.add_typer(cli_cluster.app, name="cluster")
app.add_typer(cli_member.app, name="member")


def main() -> NoReturn:
    """The `officina` command."""
    from hub.problem import Refused

    try:
        # without its stand-alone mode the library hands back the code of typer.Exit instead of raising it
        sys.exit(app(standalone_mode=False) or DONE)
    except Refused as refused:
        show_problems(refused.problems)
        sys.exit(REFUSED)
    except (typer.Abort, KeyboardInterrupt):
        err.print("Interrupted.")
        sys.exit(130)
    except Exception as error:
        _explain(error)


def _explain(error: Exception) -> NoReturn:
    """A sentence instead of a traceback; OFFICINA_DEBUG=1 shows where it came from."""
    if os.environ.get("OFFICINA_DEBUG"):
        raise error
    usage = getattr(error, "format_message", None)
    if usage is not None:
        err.print(f"{usage()} `officina --help` shows the commands.", style="red")
        sys.exit(REFUSED)
    err.print(f"{type(error).__name__}: {error}", style="red")
    err.print("Set OFFICINA_DEBUG=1 to see where this came from.")
    sys.exit(FAILED)


# --- on this machine, without a server ------------------------------------------------------------------------


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="a CAD file, a mesh, a case file or a case folder")],
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
    unit: Annotated[str | None, typer.Option(help="read a CAD file in this unit instead of its own")] = None,
) -> None:
    """Say what is right and wrong with a CAD file or a case, before anything runs."""
    if file.is_dir() or file.suffix in {".yaml", ".yml"}:
        from hub.case import load_data, read
        from hub.check import check_case

        data, folder = load_data(file)
        checked = check_case(data, folder / read(data).geometry.file)
        if as_json:
            print(checked.model_dump_json(indent=1))
        else:
            show_problems(checked.problems)
            if checked.estimate:
                out.print(_estimate_sentence(checked.estimate))
            out.print("Ready to run." if checked.ready else "Not ready to run.")
        raise typer.Exit(DONE if checked.ready else REFUSED)

    from hub.intake import inspect

    if not file.is_file():
        _no_such(file)
    verdict = inspect(file, unit=unit)
    if as_json:
        data = verdict.model_dump(mode="json") | {"overall": verdict.overall, "sentence": verdict.sentence()}
        print(json.dumps(data, indent=1, ensure_ascii=False))
    else:
        out.print(verdict.sentence())
        show_problems(verdict.problems)
        out.print({"accepted": "Accepted.", "asks": "Needs an answer first.", "refused": "Refused."}[verdict.overall])
    raise typer.Exit(REFUSED if verdict.overall == "refused" else DONE)


def _no_such(file: Path) -> NoReturn:
    from hub.problem import Problem, Refused, excerpt

    raise Refused(
        [Problem(where=excerpt(str(file)), found="no such file", expected="a file or folder", todo="Check the path.")]
    )


def _estimate_sentence(estimate: Any) -> str:
    from hub.figures import Figures

    say = Figures()
    return (
        f"About {say.count(estimate.unknowns)} unknowns; solving takes about {say.duration(estimate.seconds)} and "
        f"{say.memory(estimate.memory)} on {estimate.ranks} ranks."
    )


@app.command()
def run(
    case: Annotated[Path, typer.Argument(help="a case folder or a case file")],
    folder: Annotated[Path | None, typer.Option("--out", help="where the results go (default: out/<case>)")] = None,
    ranks: Annotated[int | None, typer.Option(help="MPI ranks (default: the cores of this machine)", min=1)] = None,
    cluster: Annotated[str | None, typer.Option(help="solve it there (`officina cluster list`)")] = None,
) -> None:
    """Run a case here and now, without a server, and write result.json."""
    target = folder or Path("out") / (case.name if case.is_dir() else case.stem)
    result = _run(case, target, ranks, cluster)
    _tell(result, target)
    raise typer.Exit({"done": DONE, "refused": REFUSED}.get(result.state, FAILED))


def _run(case: Path, target: Path, ranks: int | None, cluster: str | None) -> Result:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from hub.case import load
    from hub.pipeline import run_foreground
    from hub.runfolder import Status

    loaded, _ = load(case)
    out.print(loaded.title, style="bold")
    columns = (SpinnerColumn(), TextColumn("{task.fields[stage]:7}"), BarColumn(bar_width=24), TimeElapsedColumn())
    lines: dict[str, Any] = {}
    with Progress(*columns, TextColumn("{task.description}", markup=False), console=out) as progress:

        def show(stage: str, status: Status) -> None:
            for earlier, line in lines.items():
                if earlier != stage and not progress.tasks[line].finished:
                    progress.update(line, total=1, completed=1)
            if stage not in lines:
                lines[stage] = progress.add_task("", total=None, stage=stage)
            values = "  ".join(f"{name} {value:.2g}" for name, value in status.values.items())
            progress.update(
                lines[stage],
                description=f"{status.doing}  {values}".strip(),
                total=status.of or None,
                completed=min(status.step, status.of or status.step),
            )

        result = run_foreground(case, target, ranks=ranks, progress=show, cluster=cluster)
        if not lines and result.state == "done":
            out.print("Asked before, with the same part: this is the answer of then.", style="dim")
        for line in lines.values():
            if result.state == "done" and not progress.tasks[line].finished:
                progress.update(line, total=1, completed=1)
    return result


def _tell(result: Result, target: Path) -> None:
    """What came out, and where it is."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from hub.figures import Figures

    if result.state != "done":
        failure = result.failure or {}
        for problem in failure.get("problems", []):
            from hub.problem import Problem

            show_problem(Problem.model_validate(problem))
        err.print(f"{result.state.capitalize()}: {failure.get('message', '')} {failure.get('hint', '')}", style="red")
        err.print(f"Details: {target / 'result.json'}")
        return
    if result.verdict:
        style = {"yes": "bold green", "no": "bold red", "unclear": "bold yellow", "none": "bold"}[result.verdict.answer]
        out.print(f"\n{result.verdict.sentence['en']}\n", style=style)
    say, table = Figures(), Table.grid(padding=(0, 2))
    for name, quantity in result.quantities.items():
        shown = say.quantity(quantity.value, quantity.unit, quantity.error)
        why = Text("\n" + quantity.statement.get("en", ""), style="dim") if quantity.error is None else Text("")
        table.add_row(Text(quantity.title.get("en", name)) + why, Text(shown, no_wrap=True))
    out.print(Padding(table, (0, 2)))
    out.print()
    for label, name in (
        ("Report", "report.pdf"),
        ("Pictures", "pictures"),
        ("ParaView", "fields.vtu"),
        ("All", "result.json"),
    ):
        if (target / name).exists():
            out.print(f"  {label:9} {target / name}")


@app.command()
def demo(
    cluster: Annotated[str | None, typer.Option(help="solve it there (`officina cluster list`)")] = None,
) -> None:
    """The main job from end to end: a bracket, from its STEP file to the report."""
    from hub.catalogue import templates
    from hub.intake import inspect

    case = templates()["bracket"]
    out.print("1. What the CAD file holds", style="bold")
    verdict = inspect(case / "bracket.step")
    out.print(f"   {verdict.sentence()}")
    show_problems(verdict.problems)
    out.print("2. From the part to the answer", style="bold")
    target = Path("out") / "demo"
    result = _run(case, target, None, cluster)
    _tell(result, target)
    if result.state == "done":
        out.print("\nOpen the hub in a browser:  ./officina up")
    raise typer.Exit(DONE if result.state == "done" else FAILED)


_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(context_settings=_PASS_ON)
def test(context: typer.Context) -> None:
    """Run the tests, or those under PATH; options go to pytest."""
    root = Path(__file__).resolve().parent.parent
    raise typer.Exit(subprocess.call([sys.executable, "-m", "pytest", *context.args], cwd=root))


@app.command(context_settings=_PASS_ON)
def bench(context: typer.Context, name: Annotated[str, typer.Argument(help="what to measure")]) -> None:
    """Measure a solver, or what goes to clusters, beside a peer, in one run, as ratios."""
    from hub.catalogue import environment, package_folder

    root = package_folder("solvers").parent
    found = {f.parent.name: f for f in root.glob("solvers/*/*/bench.py")}
    found |= {f.stem: f for f in root.glob("deploy/bench/*.py")}
    if name not in found:
        from hub.problem import Problem, Refused, excerpt

        raise Refused([Problem(where="bench", found=excerpt(name), expected=f"one of {', '.join(found)}")])
    module = ".".join(found[name].relative_to(root).with_suffix("").parts)
    raise typer.Exit(subprocess.call([sys.executable, "-m", module, *context.args], env=environment()))


@app.command(context_settings={**_PASS_ON, "help_option_names": []})
def calibrate(context: typer.Context) -> None:
    """Friction and rolling friction of grains from a measured angle of repose and bulk density."""
    from hub.catalogue import environment

    module = "solvers.dem.grains.calibrate"
    raise typer.Exit(subprocess.call([sys.executable, "-m", module, *context.args], env=environment()))


@app.command()
def materials() -> None:
    """The material library."""
    from hub.catalogue import materials as library

    for key, material in library().items():
        out.print(f"{key:22} {material.name}")
        out.print(f"{'':22} {material.source}", style="dim")


@app.command()
def schema() -> None:
    """The JSON Schema of a case, for editors."""
    from hub.case import Case

    print(json.dumps(Case.model_json_schema(), indent=1))


# --- solvers --------------------------------------------------------------------------------------------------


@solver_app.command("list")
def solver_list() -> None:
    """The solvers there are."""
    from hub import catalogue

    for name in catalogue.solver_modules():
        try:
            about = catalogue.describe(name)
            out.print(f"{name:20} {about.version:8} {about.title['en']}")
        except catalogue.SolverBroken as error:
            err.print(f"{name:20} does not answer: {error}", style="red")


@solver_app.command("describe")
def solver_describe(name: str) -> None:
    """What a solver is, what it takes and what it answers, as JSON."""
    from hub import catalogue

    print(catalogue.describe(name).model_dump_json(indent=1))


@solver_app.command("check")
def solver_check(
    name: str, folder: Annotated[Path | None, typer.Option("--out", help="where its benchmark runs go")] = None
) -> None:
    """Prove a solver against the contract and its own benchmarks."""
    from hub.conformance import prove

    good = True
    for finding in prove(name, folder or Path("out") / f"check-{name}"):
        good &= finding.passed
        out.print(f"{'ok  ' if finding.passed else 'FAIL'} {finding.what}", style=None if finding.passed else "red")
    raise typer.Exit(DONE if good else FAILED)


# --- through the hub ------------------------------------------------------------------------------------------


@app.command()
def up(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    host: Annotated[str, typer.Option(help="loopback unless you put a proxy with TLS in front")] = "127.0.0.1",
) -> None:
    """The hub: API, pages and orchestration on one port."""
    from hub.up import serve

    raise typer.Exit(serve(host=host, port=port))


def _client() -> Client:
    from hub.client import Client

    return Client.here()


@app.command()
def submit(
    case: Annotated[Path, typer.Argument(help="a case folder or a case file")],
    again: Annotated[bool, typer.Option("--again", help="run it again even if the answer is known")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="wait for the end")] = False,
) -> None:
    """Send a case to the hub; prints the id of its run."""
    from hub.case import load_data, read

    data, folder = load_data(case)
    client = _client()
    file = client.upload(folder / read(data).geometry.file)
    started = client.submit({**data, "geometry": {**data["geometry"], "file": file["id"]}}, again=again)
    out.print(started["id"])
    if wait:
        ended = client.wait(started["id"])
        out.print(ended["state"])
        raise typer.Exit({"done": DONE, "refused": REFUSED}.get(ended["state"], FAILED))


@app.command()
def status(run: Annotated[str | None, typer.Argument(help="the id of a run; all of them if left out")] = None) -> None:
    """How far runs are."""
    client = _client()
    for each in [client.run(run)] if run else client.runs():
        doing = (each.get("status") or {}).get("doing", "")
        out.print(f"{each['id']}  {each['state']:10} {each.get('stage') or '':7} {each['title']}  {doing}")


@app.command()
def logs(run: str, stage: Annotated[str | None, typer.Option(help="check, mesh, solve or report")] = None) -> None:
    """The end of a run's log."""
    print(_client().log(run, stage=stage))


@app.command()
def cancel(run: str) -> None:
    """End a run."""
    _client().cancel(run)
    out.print("Asked to end; `officina status` tells when it has.")


@app.command()
def fetch(
    run: Annotated[str, typer.Argument(help="the id of a run, or the folder of one that `officina run` made")],
    folder: Annotated[Path | None, typer.Option("--out")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="everything the solve made, also what stayed on the cluster")
    ] = False,
) -> None:
    """Bring a run's results here."""
    if (Path(run) / "run.json").is_file():
        _bring(Path(run))
        return
    client, target = _client(), folder or Path("out") / run
    left = client.away(run)
    if left and everything:
        client.bring(run)
        with err.status(f"Coming from {left['cluster']}: {', '.join(left['files'])}"):
            while (left := client.away(run)) and left["asked"]:
                time.sleep(1.0)
    for file in client.fetch(run, target, everything=everything):
        out.print(str(file))
    if left:
        size = sum(left["files"].values()) / 1e6
        why = left["trouble"] or f"{size:.0f} MB stayed on {left['cluster']}; --all brings them"
        err.print(f"{', '.join(left['files'])}: {why}", style="yellow")
        raise typer.Exit(FAILED if left["trouble"] else DONE)


def _bring(folder: Path) -> None:
    """What stayed on the cluster of a run that was walked here."""
    from hub.clusters import find
    from hub.executor import Handle
    from hub.remote import ClusterExecutor
    from hub.retention import away
    from hub.run import Run
    from hub.runfolder import attempts
    from hub.settings import load

    settings = load()
    left = away(Run(folder.absolute(), settings.cache), settings.home)
    if left is None:
        out.print("Nothing of it is on a cluster.")
        return
    attempt = attempts(folder.absolute(), "solve")[-1]
    executor = ClusterExecutor(find(settings.home, left.cluster), settings.home, carries=False)
    try:
        for path in executor.fetch(Handle(attempt.job().name)):
            out.print(str(attempt.out / path))
    finally:
        executor.close()


if __name__ == "__main__":
    main()
