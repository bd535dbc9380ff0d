"""The bundle of the 3D view that is committed was made from the sources that are committed."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

VIEWER = Path(__file__).resolve().parents[2] / "ui" / "viewer"


def test_the_bundle_is_current() -> None:
    sources = sorted([*(f"src/{f.name}" for f in (VIEWER / "src").iterdir()), "package-lock.json", "build.mjs"])
    digest = hashlib.sha256()
    for name in sources:
        digest.update(name.encode() + b"\0" + (VIEWER / name).read_bytes() + b"\0")
    first = (VIEWER / "dist" / "viewer.js").read_text("utf-8").partition("\n")[0]
    assert first == f"// sources: {digest.hexdigest()}", "run `npm ci && npm run build` in ui/viewer"


def test_the_bundle_asks_nobody_outside() -> None:
    bundle = (VIEWER / "dist" / "viewer.js").read_text("utf-8")
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", bundle, flags=re.S)
    assert not re.findall(r"(?:fetch|import|XMLHttpRequest|WebSocket)\(\s*[\"'`]https?:", code)
    assert "resolved" not in (VIEWER / "package-lock.json").read_text("utf-8")
