"""``officina cluster``: the clusters that solves may run on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hub.terminal import DONE, FAILED, err, out, show_problems

app = typer.Typer(help="The clusters that solves may run on.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="the name of a cluster")]


def _home() -> Any:
    from hub.settings import load

    return load().make_home()


@app.command("list")
def list_all() -> None:
    """The clusters there are, and whether they can be reached."""
    from hub.clusters import broken, load

    settings = _home()
    for cluster in load(settings.home).values():
        limits = cluster.limits
        where = f"{cluster.user}@{cluster.host}" if cluster.transport == "ssh" else "this machine"
        out.print(f"{cluster.name:16} {cluster.scheduler:6} {where:30} {limits.nodes} x {limits.cores} cores")
        if said := trouble(settings.home, cluster.name):
            err.print(f"{'':16} {said}", style="yellow")
    show_problems(broken(settings.home))


def trouble(home: Path, name: str) -> str:
    """Why a cluster is out of reach now; empty if nobody has noticed that it is."""
    from hub.register import Trouble

    try:
        found = Trouble.model_validate_json((home / "remote" / name / "trouble.json").read_bytes())
    except (OSError, ValueError):
        return ""
    return f"{found.message}: `officina cluster login {name}`" if found.code == "needs-login" else found.message


@app.command("add")
def add(
    name: Annotated[str | None, typer.Argument(help="the name of the cluster; left out: as the file says")] = None,
    file: Annotated[Path | None, typer.Option(help="its description as YAML, instead of the options below")] = None,
    host: Annotated[str | None, typer.Option(help="the login node; left out: this machine is it")] = None,
    user: Annotated[str | None, typer.Option(help="the account there")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 22,
    key: Annotated[Path | None, typer.Option(help="a private key; a copy is kept closed to others")] = None,
    certificate: Annotated[Path | None, typer.Option(help="what the centre signed for the key")] = None,
    host_key: Annotated[str | None, typer.Option(help="left out: it is asked for, shown, and confirmed by you")] = None,
    login: Annotated[str, typer.Option(help="key, certificate or keyboard-interactive")] = "key",
    scheduler: Annotated[str, typer.Option(help="slurm or none")] = "slurm",
    partition: Annotated[str | None, typer.Option()] = None,
    account: Annotated[str | None, typer.Option()] = None,
    scratch: Annotated[str, typer.Option(help="a folder there")] = "$HOME/officina",
    python: Annotated[str | None, typer.Option(help="a Python there that has the solvers' packages")] = None,
    nodes: Annotated[int, typer.Option(help="of the largest job", min=1)] = 1,
    cores: Annotated[int, typer.Option(help="of a node", min=1)] = 1,
    memory: Annotated[str, typer.Option(help="of a node")] = "4 GB",
    time: Annotated[str, typer.Option(help="longest job")] = "24 h",
    price: Annotated[float | None, typer.Option(help="of a core-hour")] = None,
    energy: Annotated[float | None, typer.Option(help="kWh of a core-hour")] = None,
    retention: Annotated[float | None, typer.Option(help="days that results stay there")] = None,
) -> None:
    """Describe a cluster, or describe it anew."""
    from hub.case import load_yaml
    from hub.clusters import keep_secret, read, save

    settings = _home()
    if file is not None:
        try:
            data = load_yaml(file.read_bytes())
            name = name or str(data.get("name", ""))
            data["name"] = name
        except OSError as error:
            raise typer.BadParameter(f"{file}: {error.strerror}") from None
    else:
        data = {
            "name": name, "transport": "ssh" if host else "local", "scheduler": scheduler, "host": host, "port": port,
            "user": user, "login": login, "host_key": host_key, "partition": partition, "account": account,
            "scratch": scratch, "environment": {"python": python},
            "limits": {"nodes": nodes, "cores": cores, "memory": memory, "time": time},
            "price": price, "energy": energy, "retention": retention,
        }  # fmt: skip
        if host and host_key is None:
            data["host_key"] = _confirmed(host, port)
    for field, secret in (("key", key), ("certificate", certificate)):
        if secret is not None:
            suffix = "-cert.pub" if field == "certificate" else ""
            data[field] = keep_secret(settings.secrets, f"{name}{suffix}", secret.read_bytes())
    cluster = read({k: v for k, v in data.items() if v is not None})
    out.print(f"{save(settings.home, cluster)}\n`officina cluster check {name}` proves it.")


def _confirmed(host: str, port: int) -> str:
    """The key a host shows, once a person has compared it. Raises Abort."""
    from hub.transport import Unreachable, host_key

    try:
        line, fingerprint = host_key(host, port)
    except Unreachable as error:
        err.print(str(error), style="red")
        raise typer.Exit(FAILED) from None
    out.print(f"{host} shows the key {line.split()[0]} {fingerprint}")
    typer.confirm("Is this what the centre publishes?", abort=True)
    return line


@app.command("check")
def check(name: Name) -> None:
    """Prove a cluster: login, scratch, transfer, scheduler, compiler, PETSc, MPI on two ranks."""
    from hub.cluster_probe import probe
    from hub.clusters import find

    settings = _home()
    cluster = find(settings.home, name)
    _tell(probe(cluster, _way(cluster, settings)))


@app.command("setup")
def setup(
    name: Name,
    python: Annotated[str | None, typer.Option(help="a Python 3.12 or 3.13 there to start from")] = None,
) -> None:
    """Install what the solvers need in the cluster's scratch, and have its jobs use it."""
    from hub.cluster_probe import set_up
    from hub.clusters import find, read, save, typed

    settings = _home()
    cluster = find(settings.home, name)
    found = list(_shown(set_up(cluster, _way(cluster, settings), python)))
    if not all(f.passed for f in found):
        raise typer.Exit(FAILED)
    data = typed(cluster)
    save(settings.home, read({**data, "environment": {**data.get("environment", {}), "python": found[-1].said}}))
    out.print(f"`officina cluster check {name}` proves it.")


@app.command("recipe")
def recipe() -> None:
    """The Apptainer recipe of a container that has what the solvers need."""
    from hub.cluster_probe import recipe as text

    print(text())


@app.command("login")
def login(name: Name) -> None:
    """Answer the questions of a centre for the hub; waiting runs go on."""
    from hub.clusters import find
    from hub.login_desk import Desk

    settings = _home()
    cluster = find(settings.home, name)
    if cluster.login != "keyboard-interactive":
        out.print(f"{name} needs no person to log in.")
        raise typer.Exit(DONE)
    out.print("Waiting for the hub to ask; it does so while runs wait for this cluster.")
    said = Desk(settings.secrets, name).talk(_ask)
    if said:
        err.print(said, style="red")
        raise typer.Exit(FAILED)
    out.print("Logged in.")


def _ask(asked: dict[str, Any]) -> list[str]:
    for text in (asked["title"], asked["instructions"]):
        if text:
            out.print(text)
    return [typer.prompt(text.rstrip(": "), hide_input=not shown, default="") for text, shown in asked["questions"]]


@app.command("purge")
def purge(
    name: Name, yes: Annotated[bool, typer.Option("--yes", help="remove; without it, only say what would be")] = False
) -> None:
    """Remove results on a cluster that are past their days (`retention`); tell which leave soon."""
    from hub.clusters import find
    from hub.remote import ClusterExecutor
    from hub.retention import kept, leaving
    from hub.retention import purge as remove_past

    settings = _home()
    cluster = find(settings.home, name)
    if cluster.retention is None:
        out.print(f"{name} keeps results for ever: its description has no retention.")
    for each in leaving(cluster, settings.home):
        when = f"leaves in {each.days:.1f} days" if each.days > 0 else "is past its days"
        err.print(f"{each.name} {when}; nowhere else: {', '.join(each.away)}", style="yellow")
    if yes:
        executor = ClusterExecutor(cluster, settings.home, carries=False)
        gone = remove_past(cluster, settings.home, executor=executor)
        executor.close()
    else:
        gone = [each.name for each in kept(cluster, settings.home) if each.days <= 0]
    out.print(f"{len(gone)} {'removed' if yes else 'would be removed; --yes removes them'}.")


@app.command("remove")
def remove(name: Name) -> None:
    """Forget a cluster; what runs there goes on."""
    from hub.clusters import remove as forget

    forget(_home().home, name)


def _way(cluster: Any, settings: Any) -> Any:
    """A way of our own; where a person must log in, the person is here."""
    from hub.transport import Ssh, transport

    if cluster.transport == "local" or cluster.login != "keyboard-interactive":
        return transport(cluster, settings.secrets)

    def answer(title: str, instructions: str, questions: list[tuple[str, bool]]) -> list[str]:
        return _ask({"title": title, "instructions": instructions, "questions": questions})

    return Ssh(cluster, settings.secrets, answer)


def _shown(findings: Any) -> Any:
    for finding in findings:
        sign, style = ("ok  ", None) if finding.passed else ("MISS", "red")
        out.print(f"{sign} {finding.what:24} {finding.said}", style=style)
        if finding.todo and not finding.passed:
            out.print(f"     {finding.todo}")
        yield finding


def _tell(findings: Any) -> None:
    raise typer.Exit(DONE if all([f.passed for f in _shown(findings)]) else FAILED)
