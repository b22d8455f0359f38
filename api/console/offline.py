"""What lets the console be installed and open without a network: what it is called, and the script that keeps pages.

Nothing here is anybody's: it asks for no session. What the script keeps, and for how long, it says itself.
"""

import json
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.console.pages import HOME, page
from web.files import content_of, path_of, paths

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_POLICY: Final = "default-src 'none'; connect-src 'self'"
"""What the script may ask for, wherever it runs."""


@router.get("/console/offline.js")
async def send_keeper() -> Response:
    """The script; it looks after `/console` too, which is not below its own path.

    It names the files of this version: so it is another script with each, and lets go of those that are older.
    """
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY,
        "Service-Worker-Allowed": HOME,
    }
    now = f"const NOW = {json.dumps(paths())};\n".encode()
    return Response(now + content_of("offline.js"), 200, headers, "text/javascript")


@router.get("/console/app.webmanifest")
async def describe_app() -> Response:
    """How a telephone shows it among its own."""
    icon = {"src": path_of("console.svg"), "sizes": "any", "type": "image/svg+xml", "purpose": "any"}
    described = {
        "name": "Relais",
        "short_name": "Relais",
        "id": HOME,
        "start_url": HOME,
        "scope": HOME,
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#0b4f6c",
        "icons": [icon],
    }
    return JSONResponse(described, 200, {"Cache-Control": "no-cache"}, "application/manifest+json")


@router.get("/console/offline")
async def show_no_network(request: Request) -> Response:
    """What is shown in the place of a page that was not kept."""
    return await page(request, "offline")
