"""The clusters that solves may run on, and what staff say about each of them.

Each is a file ``<home>/clusters/<name>.yaml`` that staff may edit, written whole by the command line and the pages.
Nothing in it is secret: keys lie in ``<home>/secrets/`` (mode 0600) or where the hub's user keeps them; passwords
and one-time codes are never kept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from hub.case import Frozen, load_yaml
from hub.problem import Problem, Refused, excerpt, from_validation
from hub.runfolder import write_whole
from hub.units import SI, Number, Unit

#: Name in a case for this machine, and for "choose by rule".
HERE, BEST = "here", "best"
#: How many days before results are removed on a cluster their owners are warned.
WARNING_DAYS = 7.0


def _no_control(text: str) -> str:
    if any(not c.isprintable() for c in text):
        raise PydanticCustomError(
            "not-printable", "{expected_text}", {"expected_text": "one line of printable characters", "todo": ""}
        )
    return text


#: What goes into options of a scheduler or of ssh: nothing that a shell, sbatch or ssh could read as more than a name.
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:+-]{0,99}$")]
#: A folder or file on the cluster; ``$HOME``, ``$SCRATCH`` and their like are read there.
RemotePath = Annotated[str, StringConstraints(pattern=r"^(/|~/|\$[A-Z_]{1,40}(/|$))[A-Za-z0-9_./+-]{0,300}$")]
ModuleLine = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]{0,99}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class Limits(Frozen):
    """The most one job may ask for. cores, memory [byte] : of one node; time : wall time [s]"""

    nodes: Annotated[int, Field(ge=1, le=10_000)] = 1
    cores: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="cores of a node")
    memory: Annotated[float, Unit("byte"), Field(gt=0)] = Field(4e9, description="memory of a node")
    time: Annotated[float, Unit("s"), Field(gt=0)] = Field(86400.0, description="longest wall time")

    @property
    def ranks(self) -> int:
        """MPI ranks of the largest job."""
        return self.nodes * self.cores


class Environment(Frozen):
    """What makes the solvers run on a node: a Python that has them, after modules were loaded or inside a container."""

    python: RemotePath | None = Field(None, description="the interpreter of `officina cluster setup`, or of a module")
    modules: tuple[ModuleLine, ...] = Field((), description="names for `module load`")
    container: RemotePath | None = Field(None, description="an Apptainer image (deploy/officina.def)")


class Cluster(Frozen):
    """One place where solves can run.

    host_key : public key of the host as `ssh-keyscan` prints it without the name; a host with another one is refused
    key : a file in ``<home>/secrets/``, or an absolute path on this machine; certificate : the same, for centres that
        sign short-lived ones
    login : how the hub gets in. ``keyboard-interactive``: a person answers the centre's questions, the connection is
        kept, and runs wait for staff while there is none
    price : of a core-hour; energy : kWh of a core-hour
    retention : days that results stay on the cluster after a run has ended
    """

    name: Name
    transport: Literal["local", "ssh"] = "ssh"
    scheduler: Literal["none", "slurm"] = "slurm"
    host: Word | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    user: Word | None = None
    login: Literal["key", "certificate", "keyboard-interactive"] = "key"
    key: Annotated[str, StringConstraints(min_length=1, max_length=400), AfterValidator(_no_control)] | None = None
    certificate: Annotated[str, StringConstraints(min_length=1, max_length=400), AfterValidator(_no_control)] | None = (
        None
    )
    host_key: Annotated[str, StringConstraints(max_length=4000), AfterValidator(_no_control)] | None = None
    partition: Word | None = None
    account: Word | None = None
    mpi: Literal["pmi2", "pmix", "mpiexec"] = Field("pmi2", description="srun --mpi=..., or the solvers' own mpiexec")
    limits: Limits = Field(default_factory=Limits)
    scratch: RemotePath = "$HOME/officina"
    environment: Environment = Field(default_factory=Environment)
    price: Annotated[Number, Field(ge=0)] | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "EUR"
    energy: Annotated[Number, Field(ge=0)] | None = None
    retention: Annotated[Number, Field(gt=0)] | None = Field(None, description="days results stay; without it for ever")

    @model_validator(mode="after")
    def _complete(self) -> Cluster:
        wrong: list[tuple[str, str, str]] = []
        if self.name in (HERE, BEST):
            wrong.append(("name", f"a name other than {HERE} and {BEST}", ""))
        if self.transport == "ssh":
            for field in ("host", "user", "host_key"):
                if getattr(self, field) is None:
                    todo = "`ssh-keyscan HOST` prints it; compare it with what the centre publishes."
                    wrong.append((field, "a value, for a cluster over ssh", todo if field == "host_key" else ""))
            if self.login != "keyboard-interactive" and self.key is None:
                wrong.append(
                    ("key", "the private key to log in with", f"`officina cluster add {self.name} --key FILE`.")
                )
            if self.login == "certificate" and self.certificate is None:
                wrong.append(("certificate", "the certificate the centre signed", ""))
            if self.host_key is not None and _key_type(self.host_key) is None:
                wrong.append(("host_key", "a public key such as `ssh-ed25519 AAAA...`", ""))
        if wrong:
            found = [Problem(where=w, found="nothing", expected=e, todo=t, code="missing") for w, e, t in wrong]
            raise PydanticCustomError("incomplete-cluster", "incomplete", {"problems": found})
        return self

    def fingerprint(self) -> str:
        """SHA256 of the host's key as ssh shows it; empty without one."""
        if self.host_key is None:
            return ""
        content = base64.b64decode(self.host_key.split()[1])
        return "SHA256:" + base64.b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")

    def key_file(self, secrets: Path) -> Path | None:
        """Where the private key lies on this machine."""
        return None if self.key is None else secrets / self.key  # an absolute path stays what it is

    def certificate_file(self, secrets: Path) -> Path | None:
        return None if self.certificate is None else secrets / self.certificate


def _key_type(line: str) -> str | None:
    parts = line.split()
    try:
        content = base64.b64decode(parts[1], validate=True)
    except (IndexError, binascii.Error):
        return None
    length = int.from_bytes(content[:4])
    return parts[0] if content[4 : 4 + length] == parts[0].encode() else None


def read(data: Mapping[str, Any], *, si: bool = False) -> Cluster:
    """A Cluster from plain data. Raises Refused with every problem found."""
    try:
        return Cluster.model_validate(data, context=SI if si else None)
    except ValidationError as error:
        problems: list[Problem] = []
        for item, problem in zip(error.errors(include_url=False), from_validation(error), strict=True):
            problems += item.get("ctx", {}).get("problems", None) or [problem]
        raise Refused(problems) from None


def folder(home: Path) -> Path:
    return home / "clusters"


def load(home: Path) -> dict[str, Cluster]:
    """Every cluster of a hub by name. A file that cannot be read is left out; :func:`broken` tells of it."""
    return {c.name: c for c in (_read_file(f) for f in sorted(folder(home).glob("*.yaml"))) if isinstance(c, Cluster)}


def broken(home: Path) -> list[Problem]:
    """What is wrong with files that describe no cluster."""
    return [
        p for f in sorted(folder(home).glob("*.yaml")) if isinstance(r := _read_file(f), Refused) for p in r.problems
    ]


def _read_file(file: Path) -> Cluster | Refused:
    try:
        found = read(load_yaml(file.read_bytes()))
        if found.name != file.stem:
            todo = "Give the file the name of the cluster."
            raise Refused([Problem(where=file.name, found=found.name, expected=file.stem, todo=todo)])
        return found
    except Refused as refused:
        return Refused([p.model_copy(update={"where": f"{file.name}: {p.where}"}) for p in refused.problems])
    except OSError as error:
        return Refused([Problem(where=file.name, found=error.strerror or "unreadable", expected="a readable file")])


def find(home: Path, name: str) -> Cluster:
    """The cluster of that name. Raises Refused."""
    known = load(home)
    if name not in known:
        raise Refused(
            [
                Problem(
                    where="cluster",
                    found=excerpt(name),
                    expected=f"one of {', '.join(known)}" if known else "a cluster; there is none yet",
                    todo="`officina cluster list` shows them, `officina cluster add` makes one.",
                    code="unknown-cluster",
                )
            ]
        )
    return known[name]


def save(home: Path, cluster: Cluster) -> Path:
    """Write a cluster's file whole. Raises OSError."""
    folder(home).mkdir(parents=True, exist_ok=True)
    file = folder(home) / f"{cluster.name}.yaml"
    write_whole(file, yaml.safe_dump(typed(cluster), sort_keys=False, allow_unicode=True))
    return file


def typed(cluster: Cluster) -> dict[str, Any]:
    """A cluster as people type it, with units; ``read(typed(c)) == c``."""
    data = cluster.model_dump(mode="json", exclude_defaults=True)
    for name, unit in (("memory", "B"), ("time", "s")):
        if name in data.get("limits", {}):
            data["limits"][name] = f"{data['limits'][name]:.0f} {unit}"
    return data


def remove(home: Path, name: str) -> None:
    """Forget a cluster; what runs there goes on. Raises Refused."""
    find(home, name)
    (folder(home) / f"{name}.yaml").unlink(missing_ok=True)


def keep_secret(secrets: Path, name: str, content: bytes) -> str:
    """Keep a private key or a certificate for its owner only; returns what to say as `key`. Raises OSError."""
    (secrets / "clusters").mkdir(mode=0o700, parents=True, exist_ok=True)
    file = secrets / "clusters" / name
    write_whole(file, content)  # into a folder that is closed to others
    file.chmod(0o600)
    return f"clusters/{name}"
