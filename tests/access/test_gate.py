"""Who gets in, by each setting of `login`, on a real server."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx
import pytest

from dashapp.access.gate import COOKIE
from dashapp.access.passwords import hash_password
from dashapp.store.apikeys import ADMIN, READ, WRITE, ApiKeys
from dashapp.store.secretfile import LOOK_EVERY_S
from dashapp.store.users import Users
from tests.conftest import Server, ServerFactory, Tickertone

PASSWORD = "correct horse battery"
READING = ("/api/v2/tickers", "/api/v2/stream", "/metrics", "/api/openapi.json", "/api/docs", "/api/v2/nope")
PAGE = ("/", "/_dash-layout", "/_dash-dependencies", "/anything")
HTML = {"Accept": "text/html"}


def cookie_of(response: httpx.Response) -> str:
    return next(each for each in response.headers.get_list("set-cookie") if each.startswith(COOKIE))


@pytest.fixture(scope="module")
def guarded(server: ServerFactory) -> Server:
    """A server that asks for a password, with a user and keys."""
    Users(server.default_data_dir).put("ann", hash_password(PASSWORD), now_us=0)
    return server("serve", env={"TICKERTONE_LOGIN": "password"})


@pytest.fixture
def client(guarded: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.url) as client:
        yield client


def log_in(
    client: httpx.Client,
    path: str = "/login",
    user: str = "ann",
    password: str = PASSWORD,
    more: dict[str, str] | None = None,
) -> httpx.Response:
    form = client.get(path).text
    found = re.search(r'name="mark" value="([^"]+)"', form)
    assert found is not None
    return client.post(path, data={"user": user, "password": password, "mark": found[1]}, headers=more)


@pytest.mark.parametrize("path", [*READING, *PAGE])
def test_who_is_not_logged_in_is_told_nothing(client: httpx.Client, path: str) -> None:
    refused = client.get(path)
    assert refused.status_code == 401
    assert refused.json()["error"] == "UNAUTHORIZED"
    assert refused.headers["cache-control"] == "no-store"
    assert client.request("HEAD", path).status_code == 401
    assert client.post(path, json={}).status_code == 401


def test_a_browser_is_led_to_the_login_and_back(client: httpx.Client) -> None:
    led = client.get("/?tickers=AAPL&resolution=1h", headers=HTML)
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=%2F%3Ftickers%3DAAPL%26resolution%3D1h")
    done = log_in(client, led.headers["location"])
    assert (done.status_code, done.headers["location"]) == (303, "/?tickers=AAPL&resolution=1h")
    cookie = cookie_of(done).lower()
    assert all(each in cookie for each in ("httponly", "samesite=lax", "path=/", "max-age=43200"))
    assert "secure" not in cookie  # plain HTTP on this machine
    for path in (*PAGE, "/api/v2/tickers", "/metrics"):
        assert client.get(path).status_code == 200, path


def test_behind_tls_the_cookie_is_for_tls_alone(client: httpx.Client) -> None:
    assert "secure" in cookie_of(log_in(client, more={"X-Forwarded-Proto": "https"})).lower()


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "x", "/a\nb", ""])
def test_the_login_leads_to_no_other_site(client: httpx.Client, target: str) -> None:
    done = log_in(client, str(httpx.URL("/login", params={"next": target})))
    assert (done.status_code, done.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    ("user", "password"), [("ann", "wrong horse battery"), ("bob", PASSWORD), ("", ""), ("ann", "")]
)
def test_a_wrong_name_or_password_is_told_apart_by_nobody(client: httpx.Client, user: str, password: str) -> None:
    refused = log_in(client, user=user, password=password)
    assert refused.status_code == 401
    assert "do not fit" in refused.text
    assert COOKIE not in refused.cookies
    assert PASSWORD not in refused.text


def test_names_are_shown_harmless(client: httpx.Client) -> None:
    assert "<script>" not in log_in(client, user="<script>alert(1)</script>").text


def test_a_form_of_another_browser_is_not_taken(client: httpx.Client, guarded: Server) -> None:
    with httpx.Client(base_url=guarded.url) as other:
        found = re.search(r'name="mark" value="([^"]+)"', other.get("/login").text)
    assert found is not None
    client.get("/login")
    refused = client.post("/login", data={"user": "ann", "password": PASSWORD, "mark": found[1]})
    assert refused.status_code == 400
    assert client.post("/login", content=b"x" * 9_000).status_code == 413


def test_a_page_of_another_site_cannot_act_for_who_is_logged_in(client: httpx.Client) -> None:
    log_in(client)
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
    ):
        for path in ("/logout", "/_dash-update-component", "/api/v2/items"):
            refused = client.post(path, headers=headers, json={})
            assert (refused.status_code, refused.json()["error"]) == (403, "FORBIDDEN"), (path, headers)
    assert client.get("/api/v2/tickers").status_code == 200
    assert "access-control-allow-origin" not in client.get("/api/v2/tickers", headers={"Origin": "https://e.x"}).headers


def test_who_logs_out_is_out_and_leaves_nothing_behind(client: httpx.Client) -> None:
    log_in(client)
    kept = client.cookies[COOKIE]
    assert "<form" in client.get("/logout").text
    done = client.post("/logout", headers={"Sec-Fetch-Site": "same-origin"})
    assert (done.status_code, done.headers["location"]) == (303, "/login")
    assert done.headers["clear-site-data"] == '"cache", "storage"'
    assert client.get("/api/v2/tickers").status_code == 401
    time.sleep(LOOK_EVERY_S)
    assert client.get("/api/v2/tickers", headers={"Cookie": f"{COOKIE}={kept}"}).status_code == 401


def test_another_password_ends_every_session(client: httpx.Client, guarded: Server, tickertone: Tickertone) -> None:
    tickertone("users", "add", "eve", data_dir=guarded.data_dir, stdin=PASSWORD)
    log_in(client, user="eve")
    assert client.get("/api/v2/tickers").status_code == 200
    tickertone("users", "remove", "eve", data_dir=guarded.data_dir)
    time.sleep(0.6)  # a server looks twice a second whether the users changed
    assert client.get("/api/v2/tickers").status_code == 401


def test_a_key_does_what_its_scope_says(client: httpx.Client, guarded: Server) -> None:
    keys = ApiKeys(guarded.data_dir)
    scopes = {name: keys.add(name, now_us=0, scopes=(name,))[0] for name in (READ, WRITE, ADMIN)}
    item = {"id": "1", "ts": "2024-01-01T00:00:00Z", "text": "$AAPL rises"}
    for scope, reads, writes in ((READ, 200, 401), (WRITE, 401, 200), (ADMIN, 200, 200)):
        bearer = {"Authorization": f"Bearer {scopes[scope]}"}
        assert client.get("/api/v2/tickers", headers=bearer).status_code == reads, scope
        assert client.get("/metrics", headers={"X-API-Key": scopes[scope]}).status_code == reads, scope
        assert client.post("/api/v2/items", headers=bearer, json=item).status_code == writes, scope
        assert client.get("/", headers=bearer).status_code == 401  # the page is for people
    keys.revoke(READ, now_us=1)


def test_what_tells_that_the_server_lives_is_open(client: httpx.Client) -> None:
    for path in ("/healthz", "/readyz", "/assets/main.mjs", "/login"):
        assert client.get(path).status_code == 200, path


def test_no_secret_reaches_log_or_figures(client: httpx.Client, guarded: Server) -> None:
    log_in(client)
    shown = guarded.log + client.get("/metrics").text
    for secret in (PASSWORD, client.cookies[COOKIE], "$argon2"):
        assert secret not in shown


def test_guessing_is_slowed_down(server: ServerFactory, guarded: Server) -> None:
    Users(server.default_data_dir).put("joe", hash_password(PASSWORD), now_us=0)
    slow = server("serve", env={"TICKERTONE_LOGIN": "password"})
    with httpx.Client(base_url=slow.url) as client:
        answers = [log_in(client, user="joe", password="wrong horse battery") for _ in range(11)]
        assert [each.status_code for each in answers] == [401] * 10 + [429]
        assert 0 < int(answers[-1].headers["retry-after"]) <= 30
        assert log_in(client, user="joe").status_code == 429  # neither with the right one


def test_on_loopback_only_this_machine_comes_in(server: ServerFactory) -> None:
    open_here = server("serve")
    with httpx.Client(base_url=open_here.url) as client:
        assert client.get("/api/v2/tickers").status_code == 200
        for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
            refused = client.get("/", headers={header: "203.0.113.9"})
            assert (refused.status_code, refused.json()["error"]) == (403, "FORBIDDEN")
            assert "TICKERTONE_LOGIN" in refused.json()["message"]
        assert client.get("/healthz", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 200
        refused = client.post("/_dash-update-component", headers={"Origin": "https://evil.example"}, json={})
        assert refused.status_code == 403
        assert client.get("/login").status_code == 200  # the page's own catch-all: there is nothing to log in to


def test_a_server_for_others_does_not_start_without_a_choice(tickertone: Tickertone) -> None:
    refused = tickertone("serve", "--host", "0.0.0.0", "--port", "0", code=2)
    assert "Set login to password" in refused.stderr
    assert not (tickertone.data_dir / "scores").exists()
    refused = tickertone("serve", env={"TICKERTONE_LOGIN_PROXY_ADDRESSES": "not an address"}, code=2)
    assert "login_proxy_addresses" in refused.stderr


def test_a_proxy_names_the_user_and_nobody_else_does(server: ServerFactory) -> None:
    proxied = server("serve", env={"TICKERTONE_LOGIN": "proxy", "TICKERTONE_LOGIN_PROXY_HEADER": "X-User"})
    key, _ = ApiKeys(proxied.data_dir).add("reader", now_us=0, scopes=(READ,))
    with httpx.Client(base_url=proxied.url) as client:
        assert client.get("/").status_code == 401
        assert client.get("/", headers={"X-User": ""}).status_code == 401
        assert client.get("/", headers=[("X-User", "ann"), ("X-User", "bob")]).status_code == 401
        assert client.get("/", headers={"X-User": "ann"}).status_code == 200
        assert client.get("/api/v2/tickers", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    elsewhere = {"TICKERTONE_LOGIN": "proxy", "TICKERTONE_LOGIN_PROXY_ADDRESSES": "192.0.2.0/24"}
    with httpx.Client(base_url=server("serve", env=elsewhere).url) as client:
        refused = client.get("/", headers={"X-Forwarded-User": "ann"})
        assert (refused.status_code, refused.json()["error"]) == (403, "FORBIDDEN")
