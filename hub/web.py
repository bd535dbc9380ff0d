"""``python -m hub.web``: the pages and the API on one port, as one ASGI application.

The pages are a folder that Streamlit runs, found without importing it; they reach the hub over HTTP as any other
client does.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hub import catalogue
from hub.catalogue import package_folder
from hub.intake import inspect
from hub.settings import Settings, load

if TYPE_CHECKING:
    from hub.api.verdicts import Verdicts

#: What Streamlit is told: nothing leaves this machine, files are taken by the API, sources do not change under it.
_STREAMLIT = {
    "browser.gatherUsageStats": False,
    "server.headless": True,
    "server.fileWatcherType": "none",
    "client.toolbarMode": "minimal",  # its menu speaks English only
    "client.showErrorDetails": "none",
    # to look through all objects after each run of a page holds everybody up; Python does it when it is due
    "runner.postScriptGC": False,
}
#: What Streamlit loads when it first needs it, seconds that no reader should wait.
_HEAVY = ("pandas", "pyarrow", "PIL.Image")


def application(settings: Settings) -> Any:
    """The ASGI application. Raises OSError, StoreTooNew."""
    import streamlit as st
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles
    from streamlit import config

    from hub.api import create

    # the application first: it is what makes Streamlit read the theme beside the pages
    api = create(settings)
    viewer = StaticFiles(directory=package_folder("ui") / "viewer" / "dist")
    made = st.App(
        package_folder("ui") / "main.py",
        routes=[Mount("/api/v1", api), Mount("/viewer", viewer)],
        lifespan=partial(_alive, api.state.service.verdicts),
    )
    for name, value in _STREAMLIT.items():
        config.set_option(name, value)
    config.set_option("server.maxUploadSize", max(1, settings.upload_limit // 1_000_000))
    return made


@asynccontextmanager
async def _alive(verdicts: Verdicts, _application: Any) -> AsyncIterator[None]:
    threading.Thread(target=_warm, args=(verdicts,), daemon=True).start()
    yield


def _warm(verdicts: Verdicts) -> None:
    """Load what the first readers will need; what is there then is never looked through for garbage again."""
    for name in _HEAVY:
        with suppress(ImportError):
            import_module(name)
    for name in catalogue.solver_modules():
        with suppress(catalogue.SolverBroken):
            catalogue.describe(name)
    gc.collect()
    gc.freeze()
    _read_a_part()
    verdicts.start_ahead()


def _read_a_part() -> None:
    """Look at a part of the house as at an upload: the CAD kernel is read from disk before somebody waits."""
    part = next((file for folder in catalogue.templates().values() for file in sorted(folder.glob("*.step"))), None)
    if part is not None:
        with suppress(OSError):
            inspect(part)


def main() -> None:
    import uvicorn

    settings = load()
    os.environ.setdefault("OFFICINA_URL", settings.url)
    uvicorn.run(
        application(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        ws="websockets-sansio",
    )


if __name__ == "__main__":
    main()
