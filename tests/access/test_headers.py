"""What every answer tells browsers, and that no page needs more than it allows."""

from __future__ import annotations

import re

import httpx
import pytest

from dashapp.access.headers import policy, script_hashes
from tests.conftest import Server, ServerFactory


@pytest.fixture(scope="module")
def served(server: ServerFactory) -> Server:
    return server("serve")


@pytest.mark.parametrize("path", ["/", "/api/docs", "/api/v2/tickers", "/api/nope", "/assets/main.mjs", "/metrics"])
def test_every_answer_asks_browsers_to_be_careful(served: Server, path: str) -> None:
    headers = httpx.get(served.url + path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    rules = dict(rule.strip().partition(" ")[::2] for rule in headers["content-security-policy"].split(";"))
    assert rules["default-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert rules["object-src"] == "'none'"
    assert "unsafe" not in rules["script-src"]
    assert not re.search(r"\*|https?:", headers["content-security-policy"])


@pytest.mark.parametrize("path", ["/", "/api/docs"])
def test_every_script_within_a_page_is_allowed_by_its_hash(served: Server, path: str) -> None:
    answer = httpx.get(served.url + path)
    page = re.sub(r'<script[^>]*type="application/json"[^>]*>.*?</script>', "", answer.text, flags=re.DOTALL)
    hashes = script_hashes(page)
    assert hashes
    assert all(each in answer.headers["content-security-policy"] for each in hashes)
    assert not re.search(r"\son[a-z]+\s*=", page)  # no handler within a tag either


def test_a_changed_script_has_another_hash() -> None:
    assert script_hashes("<script>a</script>") != script_hashes("<script>b</script>")
    assert script_hashes('<script src="x"></script>') == []
    assert "'sha256-x'" in policy(["'sha256-x'"])
