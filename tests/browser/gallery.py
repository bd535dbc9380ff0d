"""Pictures of every page from real runs, on a laptop and a tablet, in English and Italian; run by hand.

``python tests/browser/gallery.py --home FOLDER --out FOLDER [--only run,compare] [--readme README.webp]``: starts the
hub on that home, computes what is missing there (a bracket in two materials, a pipe, a flow through a heated line, one
around a tube over time, grains in a drum, a study, one run that fails, a cluster; about ten minutes the first time)
and takes a picture of each page in both sizes and languages. The tests beside this file take the same pictures from a
quick run.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent), str(ROOT / "tests")]


from surfing import Pages  # noqa: E402

from deploy.browser import CHROMIUM, QUIET  # noqa: E402
from hub.case import load_yaml  # noqa: E402
from hub.client import Client, ClientError  # noqa: E402

SIZES = {"laptop": (1366, 768), "tablet": (820, 1180)}
LANGUAGES = ("en", "it")


def case_of(client: Client, name: str, **changes: Any) -> dict[str, Any]:
    """A case of the house with its files uploaded; `changes` replace what it says."""
    folder = ROOT / "cases" / name
    case = {**load_yaml((folder / "case.yaml").read_bytes()), **changes}
    step = folder / case["geometry"]["file"]
    case["geometry"] = {**case["geometry"], "file": client.upload(step)["id"]}
    return case


def runs(client: Client) -> dict[str, str]:
    """Name -> id of the runs that the pictures show; those that are not there are submitted."""
    titanium = {"name": "Ti-6Al-4V", "source": "ASM Handbook 2", "youngs_modulus": "113.8 GPa",
                "poissons_ratio": 0.342, "density": "4430 kg/m3", "yield_strength": "880 MPa"}  # fmt: skip
    drum = {"settling": "0.3 s", "duration": "2.5 s", "mixed": 0.9}
    tube = load_yaml((ROOT / "cases" / "dfg-2d-2" / "case.yaml").read_bytes())["parameters"]
    wanted = {
        "bracket": case_of(client, "bracket"),
        "other": case_of(client, "bracket", title="The bracket in titanium", bodies=[{"material": titanium}]),
        "pipe": case_of(client, "insulated-pipe"),
        "line": case_of(client, "pipe-flow"),
        "tube": case_of(
            client, "dfg-2d-2", mesh={"size": "50 mm", "refine": [{"on": "cylinder", "size": "12 mm"}]},
            parameters={**tube, "end_time": "3 s", "average_from": "2 s"},
        ),
        "drum": case_of(client, "drum-blending", parameters=drum),
        "failed": case_of(client, "cantilever", title="A beam without time", resources={"time": "1 ms"}),
    }  # fmt: skip
    return {name: client.submit(case)["id"] for name, case in wanted.items()}


def study(client: Client) -> str:
    """A study of a dozen loads on a beam."""
    known = next((s["id"] for s in client.studies() if s["title"] == "How much may hang on the beam?"), None)
    if known:
        return known
    loads = [f"{-250 * n} N" for n in range(1, 13)]
    axes = [{"path": "conditions[load].value[2]", "name": "load", "values": loads}]
    case = case_of(client, "cantilever", mesh={"size": "80 mm"})
    return str(client.submit_study({"title": "How much may hang on the beam?", "sweep": axes}, case)["id"])


@contextmanager
def hub(home: Path) -> Iterator[tuple[str, Client]]:
    """``officina up`` on a home, and a client of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {**os.environ, "OFFICINA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    up = subprocess.Popen([sys.executable, "-m", "hub.cli", "up", "--port", str(port)], cwd=ROOT, env=given,
                          stdout=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    try:
        for _ in range(240):
            time.sleep(0.5)
            try:
                found = Client(f"http://127.0.0.1:{port}", (home / "secrets" / "token").read_text().strip())
                if found.health()["orchestration"] == "ok":
                    break
            except (OSError, ClientError):
                continue
        yield f"http://127.0.0.1:{port}", found
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(30)


#: What of the pages is looked at: name -> address, with the names of runs in braces.
ADDRESSES = {
    "start": "/", "question": "/question?template=bracket", "step1": "/case?draft={draft}&step=1",
    "step2": "/case?draft={draft}&step=2", "step3": "/case?draft={draft}&step=3", "step4": "/case?draft={draft}&step=4",
    "runs": "/runs", "bracket": "/run?run={bracket}", "line": "/run?run={line}", "tube": "/run?run={tube}",
    "drum": "/run?run={drum}", "failed": "/run?run={failed}", "compare": "/compare?runs={bracket},{other}",
    "studies": "/studies", "study": "/studies?study={study}", "from": "/studies?from={bracket}",
    "clusters": "/clusters", "solvers": "/solvers", "board": "/board", "account": "/account", "help": "/help",
    "shared": "/shared?key={key}",
}  # fmt: skip


def take(browser: Browser, url: str, token: str, names: dict[str, str], out: Path, only: list[str]) -> None:
    """A picture of each page in both sizes and languages."""
    for size, (width, height) in SIZES.items():
        for language in LANGUAGES:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                base_url=url,
                locale={"en": "en-GB"}.get(language, language),
            )
            page = context.new_page()
            pages = Pages(page, out)
            pages.open("/")
            if not only or "door" in only:
                page.screenshot(path=out / f"door-{size}-{language}.png")
            page.goto(f"/api/v1/login?token={token}")
            pages.settled()
            for name, address in ADDRESSES.items():
                if only and name not in only:
                    continue
                try:
                    pages.open(address.format(**names))
                except Error:  # this machine has gained or lost a network meanwhile
                    pages.open(address.format(**names))
                for viewer in page.locator(".viewer").all():
                    viewer.and_(page.locator("[data-ready]")).wait_for(timeout=60_000)
                page.wait_for_timeout(500)
                # Streamlit scrolls inside: the window is made as high as what is in it
                tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
                page.screenshot(path=out / f"{name}-{size}-{language}.png")
                if tall > height + 20:
                    page.set_viewport_size({"width": width, "height": min(3000, tall + 80)})
                    page.wait_for_timeout(700)
                    page.screenshot(path=out / f"{name}-{size}-{language}-whole.png")
                    page.set_viewport_size({"width": width, "height": height})
            context.close()


def readme(browser: Browser, url: str, token: str, run: str, target: Path) -> None:
    """The page of a run as README shows it: the result in 3D, deformed, beside its quantities."""
    from PIL import Image

    context = browser.new_context(viewport={"width": 1366, "height": 860}, base_url=url, locale="en-GB")
    page = context.new_page()
    page.goto(f"/api/v1/login?token={token}")
    pages = Pages(page, target.parent)
    pages.open(f"/run?run={run}")
    page.locator(".viewer[data-ready='3d']").wait_for()
    page.get_by_label("Deformation").fill("0.5")
    page.wait_for_timeout(1000)
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        shot.convert("RGB").save(target, quality=82, method=6)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="", help="names of pages, with commas between them")
    parser.add_argument("--readme", type=Path, help="write the picture of README.md there")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with hub(asked.home) as (url, client), sync_playwright() as playwright:
        made = runs(client)
        made["study"] = study(client)
        for name in made.keys() - {"study"}:
            ended = client.wait(made[name], seconds=500)
            print(name, made[name], ended["state"], flush=True)
        while client.study(made["study"])["state"] in ("queued", "running"):
            time.sleep(1)
        here = {"transport": "local", "scheduler": "none", "scratch": str(asked.home / "scratch"), "price": 0.03}
        client.describe_cluster("basement", here)
        case = client.case(made["bracket"])
        faces = client.check(case)["faces"]
        made["draft"] = client.new_draft({"case": case, "file_name": "bracket.step", "faces": faces})["id"]
        made["key"] = client.share(made["bracket"], files=True)["key"]
        token = (asked.home / "secrets" / "token").read_text().strip()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        take(browser, url, token, made, asked.out, [name for name in asked.only.split(",") if name])
        if asked.readme:
            readme(browser, url, token, made["bracket"], asked.readme)
        browser.close()


if __name__ == "__main__":
    main()
