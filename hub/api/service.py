"""What the routes work with: settings, store, the verdicts on files and the checks of cases."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from hub import catalogue
from hub.access import visible
from hub.api.verdicts import Verdicts, passing
from hub.case import digest, load_data
from hub.check import Checked, check_case
from hub.problem import Problem, excerpt
from hub.runfolder import sha256
from hub.settings import Settings
from hub.store import NotFound, Store, Tenant

#: How many checks are remembered, and how long a check waits for the verdict on its geometry [s].
REMEMBERED = 256
PATIENCE = 120.0


@dataclass(frozen=True)
class Geometry:
    """A CAD file or mesh the caller may use: an upload of the organisation, or the file of a template."""

    sha256: str
    name: str
    file: Path

    @property
    def id(self) -> str:
        return f"sha256:{self.sha256}"


@dataclass(frozen=True)
class Template:
    """A folder of ``cases/``: the case as typed, its geometry, and what ``asks.yaml`` says of its inputs."""

    name: str
    case: dict[str, Any]
    geometry: Geometry
    asks: Sequence[Mapping[str, str]] = ()


class Service:
    """One hub, as its API sees it. Safe to use from many threads."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self.verdicts = Verdicts(settings.cache / "verdicts")
        self._checks: OrderedDict[str, Future[Checked]] = OrderedDict()
        self._lock = threading.Lock()

    @cached_property
    def templates(self) -> dict[str, Template]:
        """The templates by name."""
        found = {}
        for name, folder in catalogue.templates().items():
            case, _ = load_data(folder)
            file = folder / case["geometry"]["file"]
            asks = folder / "asks.yaml"
            asked = yaml.safe_load(asks.read_text(encoding="utf-8")) if asks.exists() else ()
            if file.is_file():
                found[name] = Template(name, case, Geometry(sha256(file), file.name, file), asked)
        return found

    def geometry(self, tenant: Tenant, name: str) -> Geometry:
        """``sha256:...`` of an upload or a template's file, or the plain name of a template's file. Raises NotFound."""
        public = [t.geometry for t in self.templates.values() if name in (t.geometry.id, t.geometry.name)]
        if public and len({g.sha256 for g in public}) == 1:
            return public[0]
        kind, _, number = name.partition(":")
        if kind != "sha256":
            raise NotFound
        file = tenant.file(number)
        return Geometry(file.sha256, file.name, self.settings.files / file.sha256)

    def check(self, tenant: Tenant, data: Mapping[str, Any]) -> tuple[Checked, Geometry | None]:
        """Check a case as typed, and find its geometry. The same case with the same file is checked once."""
        typed = data.get("geometry")
        name = typed.get("file") if isinstance(typed, Mapping) else None
        if not isinstance(name, str) or not isinstance(typed, Mapping):
            return check_case(data), None
        try:
            geometry = self.geometry(tenant, name)
        except NotFound:
            return _without_file(check_case(data), name), None
        solver = data.get("solver")
        if isinstance(solver, str) and not visible(
            tenant.caller, solver, self.store.workshop(tenant.caller).publications()
        ):
            data = {**data, "solver": f"{solver} (not published)"}  # as one that is not there
        data = {**data, "geometry": {**typed, "file": geometry.id}}
        key = digest([data, _stamp(data.get("solver"))])
        with self._lock:
            known = self._checks.get(key)
            ours: Future[Checked] | None = None
            if known is None:
                known = ours = self._checks[key] = Future()
                while len(self._checks) > REMEMBERED:
                    self._checks.popitem(last=False)
            else:
                self._checks.move_to_end(key)
        if ours is not None:
            try:
                unit = typed.get("unit") if isinstance(typed.get("unit"), str) else None
                verdict = self.verdicts.wait(geometry.sha256, geometry.file, unit, PATIENCE)
                ours.set_result(check_case(data, geometry.file, verdict))
                if passing(verdict):
                    self._forget(key)
            except BaseException as error:
                self._forget(key)
                ours.set_exception(error)
        return known.result(), geometry

    def _forget(self, key: str) -> None:
        with self._lock:
            self._checks.pop(key, None)


def _without_file(checked: Checked, name: str) -> Checked:
    problem = Problem(
        where="geometry.file",
        found=excerpt(name),
        expected="an uploaded file (sha256:...) of your organisation, or the file of a template",
        todo="Upload the file first and write the id that comes back.",
        code="unknown-file",
    )
    return checked.model_copy(update={"problems": (*checked.problems, problem), "case": None})


def _stamp(solver: object) -> str:
    """Changes when a solver does."""
    known = isinstance(solver, str) and solver in catalogue.solver_modules()
    return catalogue.source_digest(str(solver)) if known else ""
