"""The rules of the house: who imports whom, style, types, and what must not stand in a public repository."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


@pytest.mark.parametrize(
    "command",
    [
        ["lint-imports", "--no-cache"],
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    ],
    ids=lambda command: command[0] + " " + (command[1] if len(command) > 1 else ""),
)
def test_tool_finds_nothing(command: list[str]) -> None:
    ran = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]


def test_no_machine_and_no_registry_is_named() -> None:
    forbidden = re.compile(
        r"/w[o]rk/|/r[o]ot/|p[y]pi\.org|python[h]osted|registry\.np[m]js|deb\.debi[a]n|/h[o]me/[a-z]"
    )
    for file in tracked():
        if file.suffix in {".png", ".step", ".pdf", ".brep", ".npz"}:
            continue
        for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
            assert not forbidden.search(line), f"{file.relative_to(ROOT)}:{number}: {line[:150]}"


def test_locks_pin_everything_with_hashes() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / lock).read_text()
        pins = re.findall(r"^[a-z0-9].*==.* \\$", text, re.M)
        assert len(pins) > 50
        assert len(re.findall(r"^[a-z0-9]", text, re.M)) == len(pins), f"{lock}: a line without a pin and a hash"


def test_modules_stay_readable() -> None:
    """No module that needs a map: a file above 600 lines is two files."""
    long = {f.relative_to(ROOT).as_posix(): n for f in tracked("*.py")
            if (n := len(f.read_text().splitlines())) > 600}  # fmt: skip
    assert not long


def test_no_rubbish_drawer() -> None:
    assert not [f for f in tracked("*.py") if f.stem in {"utils", "helpers", "manager", "misc", "common"}]


def test_front_door_is_posix() -> None:
    for script in ("officina", "deploy/setup.sh"):
        assert subprocess.run(["sh", "-n", script], cwd=ROOT, check=False).returncode == 0
