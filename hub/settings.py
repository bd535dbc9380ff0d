"""Where the hub keeps its things and what it allows: environment first, then ``<home>/officina.toml``."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hub.problem import Problem, Refused, from_validation


def cores() -> int:
    return len(os.sched_getaffinity(0))


class Settings(BaseModel):
    """Settings of one hub. Each is read from ``OFFICINA_<NAME>`` or from ``<home>/officina.toml``.

    database : SQLAlchemy URL; empty for SQLite in the home
    hosts : names and addresses under which browsers reach the hub; other Host headers are refused
    upload_limit, case_limit : largest upload and largest request that is no upload [byte]
    ranks : MPI ranks available to solves on this machine
    price, energy : of a core-hour of this machine, and its kWh
    address : under which people reach the hub, for links in what is sent; empty for its own
    smtp : host:port of the mail server, empty for none; smtp_security, smtp_user; the password lies in
        ``secrets/smtp``; mail_from : the sender
    webhook_hosts : hosts that may be told of runs, ``name`` or ``name:port``; one with a private address only if
        that address is in the list as well
    prefer : which place ``resources.cluster: best`` takes: this machine if it fits, what is done sooner, or is cheaper
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    database: str = ""
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "::1")
    upload_limit: Annotated[int, Field(gt=0)] = 100_000_000
    case_limit: Annotated[int, Field(gt=0)] = 2_000_000
    ranks: Annotated[int, Field(ge=1)] = Field(default_factory=cores)
    price: Annotated[float, Field(ge=0)] | None = None
    energy: Annotated[float, Field(ge=0)] | None = None
    prefer: Literal["here", "sooner", "cheaper"] = "here"

    address: str = ""
    smtp: str = ""
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    mail_from: str = ""
    webhook_hosts: tuple[str, ...] = ()

    @field_validator("hosts", "webhook_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.home / 'officina.db'}"

    @property
    def files(self) -> Path:
        """Uploads, each named by its sha256."""
        return self.home / "files"

    @property
    def runs(self) -> Path:
        """Run folders, each named by the run's id."""
        return self.home / "runs"

    @property
    def cache(self) -> Path:
        """What can be made again from files and runs."""
        return self.home / "cache"

    @property
    def heartbeat(self) -> Path:
        """Touched by the orchestration loop while it lives."""
        return self.home / "orchestration.beat"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def token_file(self) -> Path:
        """The token of this machine's administrator."""
        return self.secrets / "token"

    @property
    def url(self) -> str:
        """Where a program on this machine reaches the hub."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def url_file(self) -> Path:
        """Where the hub that was started last on this home is reached: a file with its URL."""
        return self.home / "url"

    def make_home(self) -> Settings:
        """The folders of the home, secrets closed to others. Raises OSError."""
        for folder in (self.home, self.files, self.runs, self.cache, self.home / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(mode=0o700, exist_ok=True)
        self.secrets.chmod(0o700)
        return self


def load(home: Path | None = None) -> Settings:
    """The settings of `home`, of ``OFFICINA_HOME``, or of the default home. Raises Refused."""
    default = Path.home() / ".local" / "share" / "officina"
    home = (home or Path(os.environ.get("OFFICINA_HOME") or default)).expanduser().absolute()
    file = home / "officina.toml"
    try:
        given = tomllib.loads(file.read_text()) if file.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refused(
            [Problem(where=str(file), found=str(error), expected="a readable TOML document", todo="Correct the file.")]
        ) from None
    names = set(Settings.model_fields) - {"home"}
    given |= {n: os.environ[f"OFFICINA_{n.upper()}"] for n in names if os.environ.get(f"OFFICINA_{n.upper()}")}
    try:
        return Settings.model_validate({**given, "home": home})
    except ValidationError as error:
        raise Refused(from_validation(error, ["settings"])) from None
