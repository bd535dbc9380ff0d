"""The REST API, to be mounted at ``/api/v1``. ``create(settings)`` needs no lifespan of its own."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from hub.access import local_token
from hub.api import catalogues, clusters, drafts, files, people, runs, shares, staff, studies, workshop
from hub.api.bodies import sweep
from hub.api.guard import Guard
from hub.api.refusals import Problems, install
from hub.api.service import Service
from hub.settings import Settings
from hub.store import Store, open_store

_REFUSALS = {
    400: "the request is none the hub understands",
    401: "no valid token",
    403: "the role does not allow it",
    404: "nothing of that name is yours",
    409: "not in its present state",
    413: "too large",
    422: "the input is refused; every problem is named",
    500: "an error of the hub, with the number it has in the log",
    507: "no room on the hub's disk",
}


def create(settings: Settings, store: Store | None = None) -> FastAPI:
    """The API of a home: opens the store, makes the first administrator where there is none."""
    store = store or open_store(settings)
    local_token(settings, store)
    sweep(settings.files)
    app = FastAPI(
        title="Officina",
        version=version("officina"),
        summary="From a CAD part to a checked answer with error bars.",
        # The pages of /docs load their scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        responses={code: {"model": Problems, "description": text} for code, text in _REFUSALS.items()},
    )
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    app.state.service = Service(settings, store)
    install(app)
    app.add_middleware(Guard, settings=settings)
    for part in (catalogues, clusters, drafts, files, people, runs, shares, staff, studies, workshop):
        app.include_router(part.router)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document. FastAPI gives errors the media type of the route's success; ours are always JSON."""
    document = FastAPI.openapi(app)
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Problems"}}}
    for item in document["paths"].values():
        for operation in item.values():
            for code, response in operation["responses"].items():
                if code >= "400":
                    response["content"] = error
    return document
