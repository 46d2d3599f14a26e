"""The OpenAPI document and its page: complete, true, and nothing in them comes from outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.api.client import Api

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def document(api: Api) -> Any:
    return api.json("/api/openapi.json")


def test_every_route_for_reading_is_described_once(document: Any) -> None:
    assert {path: sorted(operations) for path, operations in document["paths"].items()} == {
        "/api/v2/timeseries": ["get"],
        "/api/v2/timeseries/{ticker}": ["get"],
        "/api/v2/items": ["get"],
        "/api/v2/tickers": ["get"],
        "/api/v2/export": ["get"],
        "/api/v2/sources": ["get"],
        "/api/v2/jobs": ["get"],
        "/api/v2/health": ["get"],
        "/healthz": ["get"],
        "/readyz": ["get"],
        "/metrics": ["get"],
    }
    operations = [each["get"] for each in document["paths"].values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["description"] and operation["tags"] for operation in operations)


def test_no_answer_is_described_that_is_never_given(document: Any) -> None:
    statuses = {status for each in document["paths"].values() for status in each["get"]["responses"]}
    assert statuses == {"200", "304", "4XX", "503"}
    problem = document["components"]["schemas"]["Problem"]
    assert list(problem["properties"]) == ["error", "message", "details"]


def test_every_parameter_says_what_it_takes(document: Any) -> None:
    for path, operations in document["paths"].items():
        for parameter in operations["get"].get("parameters", []):
            assert parameter["description"], (path, parameter["name"])
            assert {"enum", "maxLength", "maximum", "pattern"} & parameter["schema"].keys(), (path, parameter["name"])


def test_the_page_and_its_parts_come_from_here(api: Api) -> None:
    page = api.get("/api/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    named = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page.text)
    assert len(named) == 4
    assert "https://" not in page.text
    assert '"validatorUrl": null' in page.text
    for path in named:
        assert path.startswith("/api/")
        part = api.get(path)
        assert part.status_code == 200
        assert len(part.content) > 500


def test_the_parts_may_be_kept_for_good_and_are_small_on_the_wire(api: Api) -> None:
    script = api.get("/api/docs/swagger-ui-bundle.js")
    assert script.headers["content-encoding"] == "gzip"
    assert "immutable" in script.headers["cache-control"]
    assert int(script.headers["content-length"]) < len(script.content) / 3


def test_the_documentation_names_every_route_and_every_parameter(document: Any) -> None:
    text = (REPOSITORY / "docs" / "api.md").read_text("utf-8")
    for path, operations in document["paths"].items():
        assert f"`GET {path}`" in text, path
        for parameter in operations["get"].get("parameters", []):
            assert f"`{parameter['name']}`" in text, (path, parameter["name"])


def test_the_documentation_names_every_metric_and_no_other(api: Api) -> None:
    text = (REPOSITORY / "docs" / "api.md").read_text("utf-8")
    named = set(re.findall(r"`(tickertone_\w+)`", text))
    told = set(re.findall(r"^# TYPE (tickertone_\w+) ", api.get("/metrics").text, re.MULTILINE))
    of_others = ("tickertone_ingest_", "tickertone_commit_", "tickertone_source_", "tickertone_work_")
    beside = {name for name in named if name.startswith(of_others)}
    assert {name for name in told if not name.endswith("_created")} == named - beside
    assert len(beside) == 11
