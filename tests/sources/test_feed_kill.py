"""A feed that is killed while news arrives."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter

from dashapp.clock import now_us
from dashapp.model.time import US_PER_SECOND, to_iso
from tests.conftest import Tickertone
from tests.sources.feeds import FAST, environment, stored, until
from tests.sources.newsstand import Call, Newsstand, Reply


class Exchange:
    """News that keeps arriving, served as Tiingo and StockTwits do: each call finds some more."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.published = 0
        self.base_us = now_us() - 7_200 * US_PER_SECOND
        self._lock = threading.Lock()

    def _arrive(self, count: int) -> int:
        with self._lock:
            self.published = min(self.total, self.published + count)
            return self.published

    def at_us(self, number: int) -> int:
        return self.base_us + number * 2 * US_PER_SECOND

    def tiingo(self, call: Call) -> Reply:
        newest = self._arrive(40)
        offset, limit = int(call.params["offset"]), int(call.params["limit"])
        numbers = range(newest - offset, max(0, newest - offset - limit), -1)
        return Reply(
            [
                {
                    "id": number,
                    "title": f"News {number}",
                    "publishedDate": to_iso(self.at_us(number)),
                    "crawlDate": to_iso(self.at_us(number)),
                    "tickers": ["tsla"],
                    "source": "wire",
                }
                for number in numbers
            ]
        )

    def stocktwits(self, call: Call) -> Reply:
        newest = self._arrive(10)
        high = min(newest, int(call.params.get("max", newest)))
        low = int(call.params.get("since", 0))
        numbers = range(high, max(low, high - int(call.params["limit"])), -1)
        return Reply(
            {
                "messages": [
                    {
                        "id": number,
                        "body": f"$TSLA {number}",
                        "created_at": to_iso(self.at_us(number)),
                        "symbols": [{"symbol": "TSLA"}],
                    }
                    for number in numbers
                ],
                "cursor": {"more": bool(numbers) and numbers[-1] > low + 1},
            }
        )


def test_a_feed_that_is_killed_again_and_again_neither_skips_nor_repeats(
    stand: Newsstand, tickertone: Tickertone
) -> None:
    news, posts = Exchange(total=2_000), Exchange(total=600)
    stand.at("/tiingo/news", news.tiingo)
    stand.at("/streams/symbol/TSLA.json", posts.stocktwits)
    env = environment(stand) | {
        "TICKERTONE_FEED_SOURCES": "tiingo,stocktwits",
        "TICKERTONE_FEED_TICKERS": "TSLA",
        "TICKERTONE_FEED_EVERY_S": "0.05",
        "TICKERTONE_FEED_LIMITS": FAST,
    }
    for kill in range(6):
        process = tickertone.start("feed", env=env)
        before = len(stand.calls)
        # Not at the same moment each time: during a call, between it and its commit, after it.
        until(lambda: len(stand.calls) > before + 3 + kill, "some calls")  # noqa: B023
        time.sleep(0.013 * kill)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.communicate()
    assert 0 < news.published < news.total, "the kills came while news was arriving"
    news.published, posts.published = news.total, posts.total
    # The first may have the end of a broken walk to make, which began before the last of the news.
    for last in [tickertone.json("feed", "--once", env=env) for _ in range(2)]:
        assert [source["failures"] for source in last["sources"].values()] == [0, 0]
    assert Counter(row["item_id"] for row in stored(tickertone.data_dir)) == {
        **{f"tiingo:{number}": 1 for number in range(1, news.total + 1)},
        **{f"stocktwits:{number}": 1 for number in range(1, posts.total + 1)},
    }
