"""``officina member``: who belongs to which organisation, on the machine that keeps the hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hub.terminal import out

if TYPE_CHECKING:
    from hub.store.members import Member

app = typer.Typer(help="The people of an organisation.", no_args_is_help=True)

Organisation = Annotated[str, typer.Option("--organisation", "-o", help="its name; a new one is made by `add`")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="name or mail address of the person")],
    organisation: Organisation,
    role: Annotated[str, typer.Option(help="engineer, academic, staff or admin")] = "engineer",
) -> None:
    """Take a person in; prints an address that logs them in, once, within a day."""
    from typing import get_args

    from hub.access import LOGIN
    from hub.problem import Problem, Refused
    from hub.settings import load
    from hub.store import Role, open_store

    if role not in get_args(Role):
        expected = f"one of {', '.join(get_args(Role))}"
        raise Refused([Problem(where="--role", found=role, expected=expected, todo="Correct it.")])
    settings = load()
    store = open_store(settings)
    made = store.members.add(organisation, name, role)  # type: ignore[arg-type]
    store.members.note(made, f"add {role}", made.user)
    token = store.members.mint(made, "login", LOGIN)
    store.close()
    print(f"{(settings.address or settings.url).rstrip('/')}/api/v1/login?token={token}")


@app.command("list")
def list_members(organisation: Organisation) -> None:
    """Who belongs to an organisation."""
    for member in _members(organisation):
        out.print(f"{member.name}  {member.role}", markup=False)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="name of the person")],
    organisation: Organisation,
) -> None:
    """End a membership with all its keys; runs stay."""
    from hub.problem import Problem, Refused, excerpt
    from hub.settings import load
    from hub.store import open_store

    found = next((m for m in _members(organisation) if m.name == name), None)
    store = open_store(load())
    house = store.members.organisation(organisation)
    removed = found is not None and house is not None and store.members.remove(house, found.id)
    store.close()
    if not removed:
        expected = "a member that is not the last administrator"
        todo = "`officina member list` shows them."
        raise Refused([Problem(where="member", found=excerpt(name), expected=expected, todo=todo)])


def _members(organisation: str) -> Sequence[Member]:
    from hub.problem import Problem, Refused, excerpt
    from hub.settings import load
    from hub.store import open_store

    store = open_store(load())
    house = store.members.organisation(organisation)
    found = store.members.members(house) if house else None
    store.close()
    if found is None:
        todo = "`officina member add` makes it with its first member."
        raise Refused(
            [Problem(where="--organisation", found=excerpt(organisation), expected="one there is", todo=todo)]
        )
    return found
