"""The base path: the application below a path of a server it shares with others.

Some proxies take the path away before they pass a request on, others leave it there. Both are understood, so nothing
has to be told which it is; inside, all routes begin at the root. What goes out names the path (`Settings.at`).
"""

from __future__ import annotations

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class BasePath:
    """ASGI middleware that takes the base path from the front of paths that have it."""

    def __init__(self, app: ASGIApp, *, base_path: str) -> None:
        self._app = app
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if path == self._base_path:
            # Without its slash the page would look for what it names beside itself, not below.
            query = scope["query_string"].decode("latin-1")
            address = f"{self._base_path}/{'?' if query else ''}{query}"
            await RedirectResponse(address, status_code=308)(scope, receive, send)
            return
        if path.startswith(f"{self._base_path}/"):
            raw = scope.get("raw_path") or path.encode()
            scope = {
                **scope,
                "path": path[len(self._base_path) :],
                "raw_path": raw.removeprefix(self._base_path.encode()),
            }
        await self._app(scope, receive, send)
