"""``officina bench pages``: how quick the pages and the 3D part are, and what a session keeps in memory.

``--home FOLDER --parts reruns,memory,part,result,picking``: starts the pages and the API on a free port (on a copy of a
home with runs that are done, if one is given) and prints

- reruns: `--sessions` readers over websockets as browsers open them, each on one of the pages people work on, all of
  which rerun at random about each `--pause` seconds: percentiles from asking to the end of the script
- memory: what the process of the pages grows by while as many readers, one after the other, open the second step of a
  case or a result and stay; a straight line through it is what one keeps
- part: from the choice of a STEP file of 20 faces that nobody has seen to the part in 3D, in a browser
- result: from the click on a run to its 500 000 triangles in 3D, and what of it is whose
- picking: from a pointer to the face under it on a part of 300 000 triangles

The browser draws by software (SwiftShader) where there is no graphics card: its share is told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import websockets
from playwright.sync_api import Browser, Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from deploy.browser import CHROMIUM, QUIET
from hub.case import load_yaml
from hub.client import Client, ClientError

ROOT = Path(__file__).resolve().parents[2]


class Session:
    """One reader on one page."""

    def __init__(self, page: str, query: str) -> None:
        self.page, self.query = page, query
        self.hash, self.messages = "", 0

    async def open(self, url: str, token: str) -> float:
        self.url = url
        self.socket = await websockets.connect(
            url.replace("http", "ws") + "/_stcore/stream", max_size=None, subprotocols=["streamlit"],
            additional_headers={"Cookie": f"officina={token}", "Origin": url},
        )  # fmt: skip
        return await self.rerun()

    async def rerun(self) -> float:
        """Seconds from asking for a rerun to the end of the script."""
        asked = BackMsg()
        state = asked.rerun_script
        state.query_string, state.page_script_hash = self.query, self.hash
        if not self.hash:
            state.page_name = self.page
        state.context_info.timezone, state.context_info.locale = "Europe/Rome", "en-GB"
        state.context_info.url = self.url
        begun = time.perf_counter()
        await self.socket.send(asked.SerializeToString())
        while True:
            message = ForwardMsg()
            message.ParseFromString(await asyncio.wait_for(self.socket.recv(), 60))
            self.messages += 1
            if message.WhichOneof("type") == "navigation":
                self.hash = message.navigation.page_script_hash
            if message.WhichOneof("type") == "script_finished":
                return time.perf_counter() - begun


def prepare(client: Client) -> list[tuple[str, str, str]]:
    """(name, page, query) of what readers look at: the steps of a case, lists, and results where there are some."""
    bracket = ROOT / "cases" / "bracket"
    case = load_yaml((bracket / "case.yaml").read_bytes())
    case["geometry"]["file"] = client.upload((bracket / "bracket.step").read_bytes(), "bracket.step")["id"]
    client.file(case["geometry"]["file"], wait=30)
    faces = client.check(case)["faces"]
    found = [("start", "", ""), ("runs", "runs", "")]
    for step in (1, 2, 3):
        draft = client.new_draft({"case": case, "file_name": "bracket.step", "faces": faces})["id"]
        found.append((f"case, step {step}", "case", f"draft={draft}&step={step}"))
    found += [("result", "run", f"run={run['id']}") for run in client.runs(state="done", limit=1)]
    return found


async def look_once(url: str, token: str, pages: list[tuple[str, str, str]]) -> None:
    """What is loaded once is not a session's."""
    for _, page, query in pages:
        session = Session(page, query)
        await session.open(url, token)
        await session.socket.close()
    await asyncio.sleep(2)


async def measure_memory(url: str, token: str, pid: int, count: int) -> None:
    """Each reader reruns their page twice, as one does who touches something."""
    web = psutil.Process(pid)
    pages = [page for page in prepare(Client(url, token)) if page[0] in ("case, step 2", "result")]
    await look_once(url, token, pages)
    for name, page, query in pages:
        sessions, sizes = [], [web.memory_info().rss / 1e6]
        for _ in range(count):
            sessions.append(Session(page, query))
            await sessions[-1].open(url, token)
            for _ in range(2):
                await sessions[-1].rerun()
            await asyncio.sleep(0.2)
            sizes.append(web.memory_info().rss / 1e6)
        each = np.polyfit(range(len(sizes)), sizes, 1)[0]
        print(f"memory, {name:13} {sizes[0]:.0f} MB, {sizes[-1]:.0f} MB with {count} sessions: {each:.1f} MB a session")
        for session in sessions:
            await session.socket.close()


async def measure(url: str, token: str, count: int, seconds: float, pause: float) -> None:
    pages = prepare(Client(url, token))
    await look_once(url, token, pages)
    chosen = [pages[i % len(pages)] for i in range(count)]
    sessions = [Session(page, query) for _, page, query in chosen]
    opened = [await session.open(url, token) for session in sessions]
    times: dict[str, list[float]] = {}
    until = time.monotonic() + seconds

    async def work(session: Session, name: str) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(random.uniform(0.5, 1.5) * pause)
            times.setdefault(name, []).append(await session.rerun())

    await asyncio.gather(*(work(s, name) for s, (name, _, _) in zip(sessions, chosen, strict=True)))
    everything = sorted(t for found in times.values() for t in found)

    def p95(found: list[float]) -> float:
        return 1e3 * sorted(found)[int(0.95 * (len(found) - 1))]

    print(f"{count} sessions, {len(everything)} reruns in {seconds:g} s, load {os.getloadavg()[0]:.1f}")
    print(f"first view        median {1e3 * statistics.median(opened):5.0f} ms, most {1e3 * max(opened):5.0f} ms")
    print(f"rerun             median {1e3 * statistics.median(everything):5.0f} ms, p95 {p95(everything):5.0f} ms")
    for name, found in times.items():
        print(f"  {name:15} median {1e3 * statistics.median(found):5.0f} ms, p95 {p95(found):5.0f} ms")
    for session in sessions:
        await session.socket.close()


# --- in a browser -------------------------------------------------------------------------------------------------


def logged_in(browser: Browser, url: str, token: str) -> Page:
    page = browser.new_context(viewport={"width": 1366, "height": 768}, base_url=url, locale="en-GB").new_page()
    page.goto(f"/api/v1/login?token={token}")
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    return page


def measure_part(page: Page, times: int = 3) -> None:
    """Each time a file of another content, so that nothing is known of it."""
    block = (ROOT / "cases" / "manifold" / "manifold.step").read_text()
    took = []
    for n in range(times):
        page.goto("/case")
        page.locator("input[type=file]").first.wait_for(state="attached")
        page.wait_for_timeout(3000)  # people look for their file meanwhile
        content = block.replace("ISO-10303-21;", f"ISO-10303-21;\n/* {time.time()} {n} */", 1).encode()
        begun = time.perf_counter()
        page.locator("input[type=file]").first.set_input_files(
            {"name": f"part{n}.step", "mimeType": "model/step", "buffer": content}
        )
        page.locator(".viewer[data-ready='3d']").wait_for(timeout=120_000)
        took.append(time.perf_counter() - begun)
    print(f"part of 20 faces  {', '.join(f'{t:.2f}' for t in took)} s from the choice of the file to 3D")


def large_result(file: Path) -> int:
    """A wavy plate with a stress and a displacement, packed as results are; returns its triangles."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkAppendFilter

    from hub.result import Answer
    from solvers.post import fields, packed
    from solvers.post.words import Language

    image, whole = vtkImageData(), vtkAppendFilter()
    image.SetDimensions(352, 352, 5)
    image.SetSpacing(0.1 / 351, 0.1 / 351, 0.02 / 4)
    whole.AddInputData(image)
    whole.Update()
    grid = whole.GetOutput()
    at = np.array(vtk_to_numpy(grid.GetPoints().GetData()), float)
    at += 0.004 * np.sin(60 * at[:, [1, 2, 0]])
    points = vtkPoints()
    points.SetData(numpy_to_vtk(at, deep=1))
    grid.SetPoints(points)
    stress = 1e8 * (1.2 + np.sin(80 * at[:, 0]) * np.cos(70 * at[:, 1]) * np.sin(50 * at[:, 2]))
    for name, values in (("von_mises", stress), ("displacement", 1e-4 * np.sin(40 * at))):
        array = numpy_to_vtk(values, deep=1)
        array.SetName(name)
        grid.GetPointData().AddArray(array)
    view = {"name": "s", "title": {"en": "Stress"}, "field": "von_mises", "unit": "Pa", "warp": "displacement"}
    answer = {"verdict": {"answer": "none", "sentence": {}}, "quantities": {}, "unknowns": 1, "views": [view]}
    found = fields.Fields(grid)
    file.unlink(missing_ok=True)  # it may be linked to
    packed.write(file, Answer.model_validate(answer), found, Path("none"), Language("en"))
    return len(found.triangles)


MARKS = """(viewer) => {
  const mark = (name) => performance.getEntriesByName(`result-${name}`).at(-1).startTime;
  const marks = ["asked", "here", "unpacked", "built"].map(mark);
  const { renderer, scene, camera } = viewer.__result.stage, gl = renderer.getContext();
  const begun = performance.now();
  renderer.render(scene, camera);
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return { fetched: marks[1] - marks[0], unpacked: marks[2] - marks[1], built: marks[3] - marks[2],
           frame: performance.now() - begun };
}"""


def measure_result(page: Page, client: Client, home: Path, times: int = 3) -> None:
    run = client.runs(state="done", limit=1)[0]
    file = home / "runs" / run["id"] / "view3d.bin"
    triangles = large_result(file)
    print(f"result            {triangles} triangles, {file.stat().st_size / 1e6:.2f} MB")
    for _ in range(times):
        page.goto("/runs")
        link = page.locator(f"[class*='st-key-row-{run['id']}'] a").first
        link.wait_for()
        page.wait_for_timeout(1500)
        begun = time.perf_counter()
        link.click()
        page.locator(".viewer[data-ready='3d']").wait_for(timeout=120_000)
        took = time.perf_counter() - begun
        of = page.locator(".viewer").evaluate(MARKS)
        print(
            f"  {took:.2f} s from the click; of it fetched {of['fetched']:.0f} ms, unpacked {of['unpacked']:.0f} ms, "
            f"built {of['built']:.0f} ms; one frame drawn by this browser {of['frame']:.0f} ms"
        )


PICK = """(root) => {
  const part = root.__part, box = part.stage.canvas.getBoundingClientRect();
  const { renderer, scene, camera } = part.stage, gl = renderer.getContext(), picks = [], paints = [], frames = [];
  let hits = 0;
  for (let i = 0; i < 200; i++) {
    const [x, y] = [0.618, 0.414].map((step) => 0.3 + 0.4 * ((i * step) % 1));
    const at = { clientX: box.left + box.width * x, clientY: box.top + box.height * y };
    const begun = performance.now(), face = part.faceAt(at), picked = performance.now();
    hits += face !== null;
    part.hover = face;
    part.paint();
    picks.push(picked - begun);
    paints.push(performance.now() - picked);
    if (i % 20) continue;
    const drawn = performance.now();
    renderer.render(scene, camera);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    frames.push(performance.now() - drawn);
  }
  const at = (all, share) => all.sort((a, b) => a - b)[Math.floor(share * (all.length - 1))];
  const of = (all) => [at(all, 0.5), at(all, 0.95)];
  return { pick: of(picks), paint: of(paints), frame: of(frames), triangles: part.owner.length, hits };
}"""


def measure_picking(page: Page) -> None:
    """On a ball of 300 000 triangles in 35 stripes, sent in the place of the part's own surface."""
    rows = 388
    long, lat = np.meshgrid(np.linspace(0, 2 * np.pi, rows + 1), np.linspace(0, np.pi, rows + 1))
    points = 0.05 * np.stack([np.sin(lat) * np.cos(long), np.sin(lat) * np.sin(long), np.cos(lat)], -1).reshape(-1, 3)
    first = (np.arange(rows)[:, None] * (rows + 1) + np.arange(rows)).reshape(-1)
    two = [[first, first + rows + 1, first + 1], [first + 1, first + rows + 1, first + rows + 2]]
    triangles = np.concatenate([np.stack(t, 1) for t in two]).astype(np.int32)
    content = io.BytesIO()
    face = (35 * (triangles[:, 0] // (rows + 1)) // rows).astype(np.int32)
    np.savez(content, points=points, triangles=triangles, face=face, edges=np.zeros((0, 2), np.int32))
    page.route("**/surface*", lambda route: route.fulfill(body=content.getvalue()))
    page.goto("/case")
    page.locator("input[type=file]").first.set_input_files(ROOT / "cases" / "bracket" / "bracket.step")
    page.locator(".viewer[data-ready='3d']").wait_for(timeout=120_000)
    page.wait_for_timeout(1000)
    of = page.locator(".part").evaluate(PICK)
    told = {name: "{:.1f} ms, p95 {:.1f} ms".format(*of[name]) for name in ("pick", "paint", "frame")}
    print(
        f"picking           {of['triangles']} triangles, {of['hits']} of 200 points on the part: found {told['pick']};"
    )
    print(f"                  coloured {told['paint']}")
    print(f"                  then one frame drawn by this browser {told['frame']}")


PARTS = ("reruns", "memory", "part", "result", "picking")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=5.0)
    asked = parser.parse_args()
    parts = asked.parts.split(",")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as fresh:
        home = Path(fresh) / "home"
        if asked.home:  # a copy: what is measured leaves nothing behind
            shutil.copytree(asked.home, home, symlinks=True, ignore=shutil.ignore_patterns("prefect", "url", "jobs"))
        url = f"http://127.0.0.1:{port}"
        given = {**os.environ, "OFFICINA_HOME": str(home), "OFFICINA_PORT": str(port), "OFFICINA_URL": url}
        web = subprocess.Popen([sys.executable, "-m", "hub.web"], cwd=ROOT, env=given)
        try:
            client = answering(url, home)
            token = (home / "secrets" / "token").read_text().strip()
            time.sleep(15)  # what the hub loads ahead of its readers
            if "reruns" in parts:
                asyncio.run(measure(url, token, asked.sessions, asked.seconds, asked.pause))
            if "memory" in parts:
                asyncio.run(measure_memory(url, token, web.pid, asked.sessions))
            if set(parts) - {"reruns", "memory"}:
                with sync_playwright() as playwright:
                    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
                    page = logged_in(browser, url, token)
                    if "part" in parts:
                        measure_part(page)
                    if "result" in parts and client.runs(state="done", limit=1):
                        measure_result(page, client, home)
                    if "picking" in parts:
                        measure_picking(page)
                    browser.close()
        finally:
            web.terminate()
            web.wait(20)


def answering(url: str, home: Path) -> Client:
    """A client of the hub, as soon as that answers."""
    for _ in range(240):
        time.sleep(0.5)
        try:
            client = Client(url, (home / "secrets" / "token").read_text().strip())
            client.me()
            return client
        except (OSError, ClientError):
            continue
    raise SystemExit("the hub does not answer")


if __name__ == "__main__":
    main()
