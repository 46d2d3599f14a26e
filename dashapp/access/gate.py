"""The gate: stands in front of the whole application and lets through who may, by the setting `login`.

A request of a program brings an API key, one of a person a session or the name that a proxy gives. The page's scripts
and styles are open: they are no secret, and the login page needs none of them to be one.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashapp.access.sessions import Sessions
from dashapp.api.items import key_of
from dashapp.api.origin import hostname, is_forwarded, is_loopback, is_of_another_site
from dashapp.api.problems import problem
from dashapp.config import Settings
from dashapp.errors import BadSetting, Forbidden, TickertoneError, Unauthorized
from dashapp.model.time import EpochUs
from dashapp.store.apikeys import READ, ApiKeys
from dashapp.store.users import Users

COOKIE = "tickertone_session"
LOGIN_PATH = "/login"
LOGOUT_PATH = "/logout"
PUSH_PATH = "/api/v2/items"

_ALIVE = ("/healthz", "/readyz")
_OPEN = (LOGIN_PATH, LOGOUT_PATH, "/_favicon.ico")
_OPEN_BELOW = ("/assets/", "/_dash-component-suites/")
_FOR_PROGRAMS = ("/api/", "/metrics")
# Looks at the key itself, for it needs another scope.
_PUSH = ("POST", PUSH_PATH)
# Answers that go on for as long as somebody listens, or for a long download.
_LASTING = ("/api/v2/stream", "/api/v2/export")
# So long a revoked key, another password or the end of a session may go unnoticed by them.
RECHECK_EVERY_S = 5.0
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Gate:
    """ASGI middleware; raises BadSetting for settings that contradict each other."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        keys: ApiKeys,
        users: Users,
        sessions: Sessions,
        now_us: Callable[[], EpochUs],
    ) -> None:
        check(settings)
        self._app = app
        self._settings = settings
        self._keys = keys
        self._users = users
        self._sessions = sessions
        self._now_us = now_us
        self._proxies = _networks(settings.login_proxy_addresses)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks anything else
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope)
        try:
            self._admit(request)
        except TickertoneError as error:
            await _refusal(request, error, self._settings)(scope, receive, send)
            return
        if request.url.path in _LASTING:
            receive = self._while_admitted(request, receive)
        await self._app(scope, receive, send)

    def _while_admitted(self, request: Request, receive: Receive) -> Receive:
        """What a request receives, and that its client has left as soon as it would not be let in any more."""

        async def received() -> Message:
            message = asyncio.ensure_future(receive())
            try:
                while not (await asyncio.wait({message}, timeout=RECHECK_EVERY_S))[0]:
                    self._admit(request)
                return message.result()
            except TickertoneError:
                return {"type": "http.disconnect"}
            finally:
                message.cancel()

        return received

    def _admit(self, request: Request) -> None:
        """Returns for a request that may pass; raises Unauthorized, Forbidden, StoreDamaged."""
        path, key = request.url.path, key_of(request)
        if request.method not in _SAFE_METHODS and not key and is_of_another_site(request):
            raise Forbidden("Another site made your browser send this; it was not done.")
        is_push = (request.method, path) == _PUSH
        if path in _ALIVE or (is_push and key):
            return
        if self._settings.login == "loopback":
            self._admit_this_machine(request)
            return
        if self._settings.login == "none" or is_push or path in _OPEN or path.startswith(_OPEN_BELOW):
            return
        if key:
            if not path.startswith(_FOR_PROGRAMS) or self._keys.verify(key, READ) is None:
                raise Unauthorized("The API key is not valid for reading: mistyped, revoked, or of another scope.")
        elif self._settings.login == "proxy":
            self._admit_proxy(request)
        elif self.user(request) is None:
            raise Unauthorized(
                f"Log in at {self._settings.at(LOGIN_PATH)}, or send an API key of the scope read: "
                "`Authorization: Bearer KEY`."
            )

    def user(self, request: Request) -> str | None:
        """Who is logged in by the cookie of a request."""
        text = request.cookies.get(COOKIE, "")
        return self._sessions.user(text, self._now_us(), self._hash_of) if text else None

    def _hash_of(self, name: str) -> str | None:
        user = self._users.find(name)
        return None if user is None else user.password_hash

    def _admit_this_machine(self, request: Request) -> None:
        server = (request.scope.get("server") or ("", None))[0]
        # A name that leads here is somebody else's: their page would read what this server tells (DNS rebinding).
        host = hostname(request.headers.get("host", ""))
        is_ours = not _is_address(server) or (is_loopback(server) and (not host or is_loopback(host)))
        if not is_ours or is_forwarded(request):
            raise Forbidden(
                "This server is for its own machine only, at localhost or 127.0.0.1, and is reached from elsewhere, by "
                "another name or through a proxy. "
                "Its operator can set login to password, proxy or none (TICKERTONE_LOGIN)."
            )

    def _admit_proxy(self, request: Request) -> None:
        client = _peer(request)
        if not any(_is_address(client) and ipaddress.ip_address(client) in network for network in self._proxies):
            raise Forbidden(f"Requests come through the proxy; {client or 'this client'} is not it.")
        names = request.headers.getlist(self._settings.login_proxy_header)
        if len(names) != 1 or not names[0].strip():
            raise Unauthorized(f"The proxy named no user in {self._settings.login_proxy_header}.")


def check(settings: Settings) -> None:
    """Raises BadSetting where the settings would let in whom they are meant to keep out."""
    if settings.login == "loopback" and not is_loopback(settings.host):
        raise BadSetting(
            f"The server would listen on {settings.host}, which others reach, without a login. Set login to password "
            "(and `tickertone users add NAME`), to proxy, or to none if everybody may (TICKERTONE_LOGIN)."
        )
    _networks(settings.login_proxy_addresses)


def _networks(text: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(each) for each in text.split()]
    except ValueError as error:
        raise BadSetting(f"Setting login_proxy_addresses has value {text!r}: {error}.") from None


def _peer(request: Request) -> str:
    """The address that is connected, which is not always the one a header names as the client."""
    client = request.client
    # uvicorn puts a client that a header names in its place, with port 0; only our own protocol keeps the real one.
    peer = request.scope.get("state", {}).get("peer") or (client if client and client.port else None)
    return str(peer[0]) if peer else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:  # the name of a test's server, or the path of a socket
        return False
    return True


def _refusal(request: Request, error: TickertoneError, settings: Settings) -> Response:
    path = request.url.path
    wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    is_unknown = settings.login == "password" and isinstance(error, Unauthorized)
    if wants_page and is_unknown and not path.startswith("/api/v2/"):
        asked = path + (f"?{request.url.query}" if request.url.query else "")
        login = settings.at(f"{LOGIN_PATH}?next={quote(asked, safe='')}")
        return RedirectResponse(login, 303, {"Cache-Control": "no-store"})
    if wants_page:
        return PlainTextResponse(str(error), error.http_status, {"Cache-Control": "no-store"})
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.http_status, error.code, str(error), headers=headers)
