"""The login page and its forms: plain HTML, since nobody who has yet to log in should need scripts."""

from __future__ import annotations

import asyncio
import html
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Executor
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dashapp.access.gate import COOKIE, LOGIN_PATH, LOGOUT_PATH
from dashapp.access.passwords import matches
from dashapp.access.sessions import LASTS_S, Sessions
from dashapp.access.tries import Tries
from dashapp.api.upload import BodyMemory, read_body
from dashapp.errors import RateLimited
from dashapp.model.time import EpochUs
from dashapp.store.users import Users

# What a person who mistypes needs. An address may be that of a whole office, or of a proxy.
TRIES_AT_ONCE = 10
TRY_EVERY_S = 30
ADDRESS_TRIES_AT_ONCE = 100
ADDRESS_TRY_EVERY_S = 3

_BROWSER_COOKIE = "tickertone_browser"
_MOST_BODY_BYTES = 8_000
_NO_STORE = {"Cache-Control": "no-store"}
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { display: grid; place-items: center; min-height: 100vh; margin: 0; background: light-dark(#f6f7f9, #14171c);
  color: light-dark(#1c2026, #e7eaef); }
form { display: grid; gap: .75rem; width: min(20rem, 90vw); padding: 2rem; border-radius: .75rem;
  background: light-dark(#fff, #1d2128); box-shadow: 0 1px 4px #0003; }
h1 { margin: 0; font-size: 1.25rem; } label { display: grid; gap: .25rem; } p { margin: 0; }
input, button { font: inherit; padding: .5rem .75rem; border-radius: .4rem;
  border: 1px solid light-dark(#8b94a3, #6b7482); }
input { background: transparent; color: inherit; }
button { background: light-dark(#1f5fbf, #7db2ff); color: light-dark(#fff, #10151c); border-color: transparent;
  cursor: pointer; }
:focus-visible { outline: 3px solid light-dark(#1f5fbf, #7db2ff); outline-offset: 2px; }
[role=alert] { color: light-dark(#a3321b, #ff9a80); }
"""


def build_login_router(
    users: Users, sessions: Sessions, pool: Executor, now_us: Callable[[], EpochUs], at: Callable[[str], str]
) -> APIRouter:
    """The routes /login and /logout; passwords are compared in `pool`, since that takes 50 ms of a core.

    `at` gives the address of a path of the server.
    """
    router = APIRouter(include_in_schema=False)
    names = Tries(at_once=TRIES_AT_ONCE, every_s=TRY_EVERY_S)
    addresses = Tries(at_once=ADDRESS_TRIES_AT_ONCE, every_s=ADDRESS_TRY_EVERY_S)
    memory = BodyMemory(100 * _MOST_BODY_BYTES)

    @router.api_route(LOGIN_PATH, methods=["GET", "HEAD"])
    async def show_login(request: Request) -> Response:
        return _form(request, _LOGIN, sessions, now_us(), at=at)

    @router.post(LOGIN_PATH)
    async def log_in(request: Request) -> Response:
        with memory.share() as share:
            fields = _fields(await read_body(request, share, max_bytes=_MOST_BODY_BYTES))
        name, moment_us = fields.get("user", "").strip(), now_us()
        if not sessions.is_form_of(fields.get("mark", ""), request.cookies.get(_BROWSER_COOKIE, ""), moment_us):
            return _form(
                request, _LOGIN, sessions, moment_us, "This form was open for too long. Try again.", at=at, status=400
            )
        address = request.client.host if request.client else ""
        try:
            addresses.begin(address, time.monotonic())
            names.begin(name[:64], time.monotonic())
        except RateLimited as error:
            refused = _form(request, _LOGIN, sessions, moment_us, str(error), at=at, status=429)
            refused.headers["Retry-After"] = str(error.retry_after_s)
            return refused
        user = users.find(name)
        known = user.password_hash if user else None
        is_right = await asyncio.get_running_loop().run_in_executor(pool, matches, known, fields.get("password", ""))
        if user is None or not is_right:
            return _form(request, _LOGIN, sessions, moment_us, "Name and password do not fit.", at=at, status=401)
        names.forgive(name)
        addresses.forgive(address)
        answer = RedirectResponse(at(_next(request)), 303, _NO_STORE)
        _set_cookie(request, answer, COOKIE, sessions.begin(name, user.password_hash, moment_us), LASTS_S, at)
        return answer

    @router.api_route(LOGOUT_PATH, methods=["GET", "HEAD"])
    async def show_logout(request: Request) -> Response:
        return _form(request, _LOGOUT, sessions, now_us(), at=at)

    @router.post(LOGOUT_PATH)
    async def log_out(request: Request) -> Response:
        await asyncio.to_thread(sessions.end, request.cookies.get(COOKIE, ""), now_us())
        # What the browser keeps of the charts was for those who are logged in.
        answer = RedirectResponse(at(LOGIN_PATH), 303, {**_NO_STORE, "Clear-Site-Data": '"cache", "storage"'})
        answer.delete_cookie(COOKIE, path=at("/"))
        return answer

    return router


_LOGIN = """<h1>Tickertone</h1>{told}
<label>Name<input name="user" autocomplete="username" required autofocus maxlength="64"></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required maxlength="1024"></label>
<button>Log in</button>"""
_LOGOUT = (
    """<h1>Tickertone</h1>{told}<p>What this browser keeps of the charts is deleted.</p><button>Log out</button>"""
)


def _form(
    request: Request,
    fields: str,
    sessions: Sessions,
    moment_us: EpochUs,
    told: str = "",
    *,
    at: Callable[[str], str],
    status: int = 200,
) -> HTMLResponse:
    browser = request.cookies.get(_BROWSER_COOKIE) or secrets.token_urlsafe(16)
    mark = f'<input type="hidden" name="mark" value="{sessions.form_mark(browser, moment_us)}">'
    alert = f'<p role="alert">{html.escape(told)}</p>' if told else ""
    # Without an action the form goes to the address it came from, which says where to go on.
    answer = HTMLResponse(
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Tickertone</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="{at("/_favicon.ico")}"><style>{_STYLE}</style></head>'
        f'<body><form method="post">{fields.format(told=alert)}{mark}</form></body></html>',
        status,
        _NO_STORE,
    )
    _set_cookie(request, answer, _BROWSER_COOKIE, browser, 3600, at)
    return answer


def _set_cookie(
    request: Request, answer: Response, name: str, value: str, lasts_s: int, at: Callable[[str], str]
) -> None:
    # A proxy that ends TLS says so; whoever else says so only makes their own cookie stricter.
    is_tls = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    answer.set_cookie(name, value, max_age=lasts_s, path=at("/"), secure=is_tls, httponly=True, samesite="lax")


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a form as browsers send it; of one that comes twice, the first."""
    found = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    return {name: values[0] for name, values in found.items()}


def _next(request: Request) -> str:
    """Where to go on: a path of this site, whatever the address says."""
    asked = request.query_params.get("next", "/")
    is_own = asked.startswith("/") and not asked.startswith(("//", "/\\")) and asked.isprintable()
    return asked if is_own else "/"
