"""A sender of items for tests: one connection, plain standard library, the answer as it came."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """Status, headers and JSON body of an answer."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def statuses(self) -> list[str]:
        """What became of each item."""
        return [each["status"] for each in self.body["items"]]


class Sender:
    """Pushes to a server over one connection; `key` None sends none."""

    def __init__(self, port: int, key: str | None = None) -> None:
        self.key = key
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def push(self, body: bytes | str | Iterable[bytes], **headers: str) -> Answer:
        """Post a body; headers by their names with _ for -. Raises OSError or HTTPException when the server dies."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key is not None:
            named.setdefault("Authorization", f"Bearer {self.key}")
        self._connection.request("POST", "/api/v2/items", body.encode() if isinstance(body, str) else body, named)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.headers["content-type"] == "application/json", content
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(content))

    def push_items(self, *items: dict[str, Any]) -> Answer:
        """Post items as lines."""
        return self.push("\n".join(json.dumps(each) for each in items))

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def item(item_id: str, second: int = 0, *, ticker: str = "AAPL", score: float = 0.5) -> dict[str, Any]:
    """A scored item, published so many seconds into an hour."""
    time = f"2026-03-02T10:{second // 60 % 60:02d}:{second % 60:02d}Z"
    return {"id": item_id, "ts": time, "text": f"{ticker} {item_id}", "tickers": [ticker], "score": score}
