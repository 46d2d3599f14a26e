"""The stream of a real server, and what a reload says beside it."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from itertools import pairwise
from typing import Any

import httpx
import pytest

from dashapp.model.resolution import RESOLUTIONS
from dashapp.model.time import parse_iso, to_iso
from tests.live.conftest import OPEN, Site, now_us, stay_in_minute
from tests.live.sse import OF_THE_MOMENT, Stream
from tests.stores import DAY_US, HOUR_US, MINUTE_US, append, open_store, score

NAMES = ",".join(resolution.name for resolution in RESOLUTIONS)


def without_moment(bucket: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in bucket.items() if name not in OF_THE_MOMENT}


def test_an_appended_score_comes_as_the_partial_bucket_that_the_api_answers(site: Site) -> None:
    stay_in_minute(10)
    with site.stream(tickers="ONE", scorer="test@1") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        version = site.add("one-1", "ONE", 250_000)
        first = stream.wait_count("ONE", 1)
        assert first.name == "partial_bucket"
        assert first.place == (version, 1)
        version = site.add("one-2", "ONE", -750_000)
        second = stream.wait_count("ONE", 2)
        shown = site.timeseries("ONE", "1m", scorer="test@1")["partial_bucket"]
        assert second.bucket == without_moment(shown)
        assert second.data["is_partial"] is shown["is_partial"] is True
        assert second.data["next_update_at"] == shown["next_update_at"]
        assert 0 <= second.data["progress_pct"] <= shown["progress_pct"] < 100
        assert list(second.data) == list(shown)


def test_a_pushed_item_comes_at_once(site: Site) -> None:
    stay_in_minute(10)
    first = {"id": "p0", "ts": "2026-01-31T09:30:00Z", "tickers": ["PUSHED"], "score": 0.1}
    assert site.push(first)["accepted"] == 1
    with site.stream(tickers="PUSHED", scorer="given@1") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        item = {"id": "p1", "ts": to_iso(now_us()), "tickers": ["PUSHED"], "score": 0.5}
        told = site.push(item)
        answered_s = time.time()
        event = stream.wait(lambda event: event.name == "partial_bucket")
        assert told["accepted"] == 1
        assert event.data["revision"] == told["revision"]
        assert event.data["open"] == 0.5
        assert event.at_s - answered_s < 1  # a loaded machine; bench/live.py measures


@pytest.mark.parametrize("late_us", [1_000_000, HOUR_US, 10 * DAY_US], ids=["1 s", "1 h", "10 days"])
def test_a_late_score_moves_the_same_buckets_on_the_stream_and_on_reload(site: Site, late_us: int) -> None:
    ticker = f"LATE{late_us // 1_000_000}"
    stay_in_minute(15)
    site.add(f"{ticker}-0", ticker, 100_000)
    site.add(f"{ticker}-1", ticker, 200_000, late_us=late_us)
    with site.stream(tickers=ticker, resolutions=NAMES, scorer="test@1") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        published_us = now_us() - late_us
        version = site.append(score(f"{ticker}-2", published_us, -900_000, ticker=ticker))
        stream.wait_version(version)
        told = {event.data["resolution"]: event for event in stream.buckets() if event.data["revision"] == version}
        assert set(told) == set(NAMES.split(","))
        for resolution in RESOLUTIONS:
            event = told[resolution.name]
            start_us = parse_iso(event.data["timestamp"])
            assert start_us <= published_us < start_us + resolution.width_us
            assert event.name == ("partial_bucket" if now_us() < start_us + resolution.width_us else "bucket_update")
            answer = site.timeseries(
                ticker,
                resolution.name,
                scorer="test@1",
                start=to_iso(start_us),
                end=to_iso(start_us + resolution.width_us),
            )
            rows = [*answer["buckets"], *([answer["partial_bucket"]] if answer["partial_bucket"] else [])]
            assert [without_moment(row) for row in rows] == [event.bucket]


def test_a_late_score_makes_a_bucket_where_there_was_none(site: Site) -> None:
    with site.stream(tickers="FIRST", resolutions="5m", scorer="test@1") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        site.add("first-1", "FIRST", late_us=400 * DAY_US)
        event = stream.wait_count("FIRST", 1, "5m")
        assert event.name == "bucket_update"
        assert event.data["is_partial"] is False
        assert "progress_pct" not in event.data


def test_a_score_of_the_future_is_a_partial_bucket_without_progress(site: Site) -> None:
    with site.stream(tickers="FUTURE", resolutions="1h", scorer="test@1") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        site.add("future-1", "FUTURE", late_us=-2 * DAY_US)
        event = stream.wait_count("FUTURE", 1, "1h")
        assert event.name == "partial_bucket"
        assert event.data["progress_pct"] == 0
        time.sleep(1.5)
        assert len(stream.buckets()) == 1


def test_progress_moves_without_news_at_most_once_a_second(site: Site) -> None:
    stay_in_minute(15)
    site.add("still-1", "STILL")
    site.add("other-1", "OTHER")
    with site.stream(tickers="STILL", resolutions="1m,24h", scorer="test@1") as stream:
        time.sleep(5.2)
        minute = [event for event in stream.buckets() if event.data["resolution"] == "1m"]
        day = [event for event in stream.buckets() if event.data["resolution"] == "24h"]
    assert {event.data["ticker"] for event in stream.buckets()} == {"STILL"}
    assert 4 <= len(minute) <= 6
    progress = [event.data["progress_pct"] for event in minute]
    assert progress == sorted(set(progress))
    seconds = [event.ms // 1_000 for event in minute]
    assert all(later - earlier >= 1 for earlier, later in pairwise(seconds))
    assert {json.dumps(event.bucket) for event in minute} == {json.dumps(minute[0].bucket)}
    # 0.01 % of a day is 8.6 s: what shows the same number is not told again.
    assert 1 <= len(day) <= 2
    assert len({event.data["progress_pct"] for event in day}) == len(day)


def test_only_what_is_watched_is_told(site: Site) -> None:
    stay_in_minute(15)
    with (
        site.stream(tickers="WANTED,$second", resolutions="5m,24h", scorer="test@1") as some,
        site.stream(scorer="test@1") as everything,
        site.stream(tickers="", resolutions="", scorer="test@1") as default,
    ):
        for stream in (some, everything, default):
            stream.wait(lambda event: event.name == "heartbeat")
        version = site.append(
            score("w1", now_us(), 1, ticker="WANTED"),
            score("w2", now_us(), 2, ticker="SECOND"),
            score("w3", now_us(), 3, ticker="UNWANTED"),
            score("w4", now_us(), 4, ticker="WANTED", scorer="other@2"),
        )
        for stream in (some, everything, default):
            stream.wait_version(version)
        own = [event for event in some.buckets() if event.data["revision"] == version]
        assert {event.key[:2] for event in own} == {
            ("WANTED", "5m"), ("WANTED", "24h"), ("SECOND", "5m"), ("SECOND", "24h"),
        }  # fmt: skip
        assert {event.data["open"] for event in own} == {1e-6, 2e-6}
        for stream in (everything, default):
            fresh = {event.key[:2] for event in stream.buckets() if event.data["revision"] == version}
            assert fresh == {("WANTED", "1m"), ("SECOND", "1m"), ("UNWANTED", "1m")}


def test_updates_within_a_tenth_of_a_second_come_together(site: Site) -> None:
    stay_in_minute(20)
    with site.stream(tickers="OFTEN", scorer="test@1") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        for number in range(60):
            site.add(f"often-{number}", "OFTEN")
        stream.wait_count("OFTEN", 60)
        counts = [event.data["count"] for event in stream.buckets()]
        moments = sorted({event.ms for event in stream.buckets()})
    assert counts == sorted(counts)
    assert all(later - earlier >= 95 for earlier, later in pairwise(moments))
    assert len(set(counts)) <= len(moments)


def test_one_commit_with_many_scores_is_one_event_for_each_bucket(site: Site) -> None:
    stay_in_minute(10)
    with site.stream(tickers="MANY", scorer="test@1") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        at_us = now_us()
        version = site.append(*(score(f"many-{number}", at_us, number, ticker="MANY") for number in range(500)))
        stream.wait_version(version)
        assert [event.data["count"] for event in stream.buckets() if event.place == (version, 1)][:1] == [500]


def test_heartbeats_come_regularly_and_tell_of_the_server(site: Site) -> None:
    with site.stream(tickers="NOBODY", scorer="test@1") as stream, site.stream(tickers="NOBODY", scorer="test@1"):
        time.sleep(3.5)
        beats = [event for event in stream.events if event.name == "heartbeat"]
        assert stream.retry_ms == 1_000
    assert 3 <= len(beats) <= 5
    assert all(0.7 < later.at_s - earlier.at_s < 2.5 for earlier, later in pairwise(beats[1:]))
    assert beats[-1].data["connections"] >= 2
    assert abs(parse_iso(beats[-1].data["timestamp"]) / 1e6 - beats[-1].at_s) < 1
    uptimes = [beat.data["uptime_seconds"] for beat in beats]
    assert uptimes == sorted(uptimes)
    assert uptimes[0] > 0


def test_the_open_buckets_come_first(site: Site) -> None:
    stay_in_minute(10)
    site.add("open-1", "OPEN", 5)
    site.add("open-2", "OPEN", 6, late_us=HOUR_US * 24)
    time.sleep(0.5)
    with site.stream(tickers="OPEN", resolutions=NAMES, scorer="test@1") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        names = [event.name for event in stream.events]
        assert names[: len(RESOLUTIONS) + 1] == ["partial_bucket"] * len(RESOLUTIONS) + ["heartbeat"]
        assert {event.data["resolution"] for event in stream.buckets()} == set(NAMES.split(","))


def test_the_answer_is_a_stream_that_nobody_keeps(site: Site) -> None:
    with site.stream() as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["cache-control"] == "no-cache"
        assert stream.response.headers["x-accel-buffering"] == "no"
        assert stream.response.headers.get("content-encoding") is None


def test_head_answers_as_get_does_and_opens_no_stream(site: Site) -> None:
    answer = httpx.head(f"{site.url}/api/v2/stream?tickers=AAPL")
    with site.stream(tickers="AAPL") as stream:
        named = ("content-type", "cache-control", "x-accel-buffering")
        assert [answer.headers[name] for name in named] == [stream.response.headers[name] for name in named]
    assert answer.status_code == 200
    assert httpx.head(f"{site.url}/api/v2/stream?resolutions=2m").status_code == 400
    refused = httpx.post(f"{site.url}/api/v2/stream")
    assert refused.status_code == 405
    assert refused.json()["details"]["allowed"] == ["GET", "HEAD"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("resolutions=2m", 400, "UNKNOWN_RESOLUTION"),
        ("resolutions=1m,,5m", 400, "UNKNOWN_RESOLUTION"),
        ("tickers=not%20one", 400, "BAD_TICKER"),
        ("tickers=AAPL,", 400, "BAD_TICKER"),
        ("last_event_id=7", 400, "BAD_EVENT_ID"),
        ("last_event_id=1-2-x", 400, "BAD_EVENT_ID"),
        ("last_event_id=-1-2-3", 400, "BAD_EVENT_ID"),
        ("last_event_id=1-2-3-4", 400, "BAD_EVENT_ID"),
        ("last_event_id=9999999999999999-2-3", 400, "BAD_EVENT_ID"),
        ("last_event_id=%D9%A1-2-3", 400, "BAD_EVENT_ID"),
        ("scorer=nobody@1", 404, "UNKNOWN_SCORER"),
        ("ticker=AAPL", 400, "BAD_PARAMETER"),
        ("tickers=A&tickers=B", 400, "BAD_PARAMETER"),
    ],
)
def test_what_cannot_be_asked_is_refused(site: Site, query: str, status: int, code: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{site.url}/api/v2/stream?{query}", timeout=10)
    assert refused.value.code == status
    assert json.load(refused.value)["error"] == code


def test_a_bad_id_in_the_header_is_refused_too(site: Site) -> None:
    stream = Stream(site.url, headers={"Last-Event-ID": "yesterday"})
    assert stream.status == 400
    assert json.load(stream.response)["error"] == "BAD_EVENT_ID"
    stream.close()


@pytest.mark.parametrize("where", ["header", "query"])
def test_who_comes_back_is_told_what_was_missed(site: Site, where: str) -> None:
    ticker = f"BACK{where.upper()}"
    stay_in_minute(15)
    with site.stream(tickers=ticker, scorer="test@1") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        site.add(f"{ticker}-1", ticker, 10)
        last = stream.wait_count(ticker, 1)
    site.add(f"{ticker}-2", ticker, 20)
    site.add(f"{ticker}-3", ticker, 30, late_us=3 * DAY_US)
    site.add(f"{ticker}-else", "ELSE")
    version = site.add(f"{ticker}-4", ticker, 40)
    site.wait_known(version)
    headers = {"Last-Event-ID": last.id} if where == "header" else {}
    query = {"last_event_id": last.id} if where == "query" else {}
    with Stream(site.url, headers=headers, tickers=ticker, scorer="test@1", **query) as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        missed = stream.buckets()[:2]
        assert [(event.name, event.data["count"]) for event in missed] == [("bucket_update", 1), ("partial_bucket", 3)]
        assert [event.data["revision"] for event in missed] == [version - 2, version]  # not that of ELSE
        assert missed[0].data["open"] == 3e-5


def test_the_header_of_a_browser_wins_over_the_address_it_keeps(site: Site) -> None:
    stay_in_minute(10)
    site.add("wins-1", "WINS", late_us=HOUR_US)
    version = site.add("wins-2", "WINS", late_us=HOUR_US)
    site.wait_known(version)
    now_ms = now_us() // 1_000
    with Stream(
        site.url,
        headers={"Last-Event-ID": f"{version}-0-{now_ms}"},
        tickers="WINS",
        scorer="test@1",
        last_event_id="no id at all",
    ) as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        assert [event.data["count"] for event in stream.buckets()] == [2]


def test_what_was_loaded_at_a_revision_is_gone_on_from(site: Site) -> None:
    stay_in_minute(10)
    site.add("load-1", "LOAD", late_us=HOUR_US)
    now_ms = now_us() // 1_000
    revision = site.timeseries("LOAD", "1m", scorer="test@1")["revision"]
    site.add("load-2", "LOAD", late_us=HOUR_US)
    with site.stream(tickers="LOAD", scorer="test@1", last_event_id=f"{revision}-0-{now_ms}") as stream:
        stream.wait_count("LOAD", 2)


@pytest.mark.parametrize("age", ["of another store", "ahead"])
def test_an_id_that_cannot_be_gone_on_from_says_resync(site: Site, age: str) -> None:
    version = site.add(f"resync-{age}", "RESYNC")
    site.wait_known(version)
    last = {"of another store": f"{version + 1_000}-1-1700000000000", "ahead": f"{10**14}-1-{10**14}"}[age]
    with site.stream(tickers="RESYNC", scorer="test@1", last_event_id=last) as stream:
        event = stream.wait(lambda event: event.name == "heartbeat")
        assert stream.events[0].name == "resync"
        assert stream.events[0].data["revision"] >= version
        assert event.place[0] >= version
        # And then it goes on.
        site.add(f"resync-{age}-2", "RESYNC")
        stream.wait(lambda event: event.name == "partial_bucket" and event.data["revision"] > version)


def test_too_much_to_replay_says_resync(server: Any) -> None:
    limited = server("serve", data_dir=server.directory / "few", env={**OPEN, "TICKERTONE_LIVE_REPLAY_MAX_ROWS": "20"})
    store = open_store(limited.data_dir)
    site = Site(limited.url, store)
    first = site.add("first", "AAPL")
    for number in range(3):
        version = site.append(*(score(f"{number}-{each}", now_us(), 0) for each in range(10)))
    # The server is told the past by asking for it from where it does not hold it in memory.
    limited.stop()
    limited = server("serve", data_dir=limited.data_dir, env={**OPEN, "TICKERTONE_LIVE_REPLAY_MAX_ROWS": "20"})
    site.url = limited.url
    now_ms = now_us() // 1_000
    with site.stream(last_event_id=f"{first}-0-{now_ms}") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        assert stream.events[0].name == "resync"
    with site.stream(last_event_id=f"{version}-0-{now_ms}") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        assert [event.name for event in stream.events][:2] == ["partial_bucket", "partial_bucket"]
    store.close()


def test_no_room_is_a_503_that_says_when_to_ask_again(server: Any) -> None:
    full = server("serve", data_dir=server.directory / "full", env={**OPEN, "TICKERTONE_LIVE_MAX_CONNECTIONS": "2"})
    first, second = Stream(full.url), Stream(full.url)
    first.wait(lambda event: event.name == "heartbeat")
    second.wait(lambda event: event.name == "heartbeat")
    third = Stream(full.url)
    assert third.status == 503
    assert int(third.response.headers["retry-after"]) >= 1
    assert json.load(third.response)["error"] == "TOO_MANY_STREAMS"
    third.close()
    first.close()
    deadline = time.monotonic() + 5
    while (again := Stream(full.url)).status != 200:
        again.close()
        assert time.monotonic() < deadline, "the place of a client that left is not free again"
        time.sleep(0.05)
    again.close()
    second.close()


@pytest.mark.parametrize("query", ["", "?scorer=test@1"])
def test_many_who_come_at_once_are_no_more_than_there_is_room_for(server: Any, query: str) -> None:
    data_dir = server.directory / f"burst{len(query)}"
    store = open_store(data_dir)
    append(store, [score("first", now_us(), 1)])
    store.close()
    full = server("serve", data_dir=data_dir, env={**OPEN, "TICKERTONE_LIVE_MAX_CONNECTIONS": "5"})

    async def statuses() -> Counter[bytes]:
        connections = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", full.port) for _ in range(40)))
        for _, writer in connections:
            writer.write(f"GET /api/v2/stream{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        lines = [await asyncio.wait_for(reader.readline(), 10) for reader, _ in connections]
        for _, writer in connections:
            writer.close()
        return Counter(line.split()[1] for line in lines)

    assert asyncio.run(statuses()) == {b"200": 5, b"503": 35}
    full.stop()


def test_those_who_name_no_scorer_begin_anew_when_another_one_becomes_the_default(server: Any) -> None:
    running = server("serve", data_dir=server.directory / "scorers", env=OPEN)
    store = open_store(running.data_dir)
    site = Site(running.url, store)
    stay_in_minute(15)
    with site.stream() as stream, site.stream(scorer="test@1") as named:
        stream.wait(lambda event: event.name == "heartbeat")
        site.add("first", "AAPL", 1)
        assert stream.wait(lambda event: event.name == "resync").data["revision"] == 1
        assert stream.wait_count("AAPL", 1).data["open"] == 1e-6
        site.add("second", "AAPL", 2, scorer="another@1")
        stream.wait(lambda event: event.name == "resync" and event.data["revision"] == 2)
        event = stream.wait(lambda event: event.name == "partial_bucket" and event.data["revision"] == 2)
        assert event.bucket == without_moment(site.timeseries("AAPL", "1m")["partial_bucket"])
        assert event.data["open"] == 2e-6
        named.wait_count("AAPL", 1)
        assert "resync" not in {event.name for event in named.events}
    store.close()


def test_a_bucket_is_told_closed_when_its_minute_is_over(site: Site) -> None:
    left_us = MINUTE_US - now_us() % MINUTE_US
    if left_us > 8_000_000:
        time.sleep((left_us - 8_000_000) / 1e6)
    with site.stream(tickers="CLOSING", scorer="test@1") as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        minute_us = now_us() // MINUTE_US * MINUTE_US
        site.append(score("closing-1", minute_us, 5, ticker="CLOSING"))
        stream.wait_count("CLOSING", 1)
        event = stream.wait(lambda event: event.name == "bucket_update", 20)
        assert event.data["timestamp"] == to_iso(minute_us)
        assert event.data["count"] == 1
        assert 0 <= event.at_s - (minute_us + MINUTE_US) / 1e6 < 1
        # Once, and then not a word more of it.
        time.sleep(1.5)
        assert [each.name for each in stream.buckets() if each.at_s >= event.at_s] == ["bucket_update"]
