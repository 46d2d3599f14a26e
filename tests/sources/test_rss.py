"""RSS and Atom: entries become items, with the tickers their texts name."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.errors import SourceError, SourceGarbled
from dashapp.ingest.aliases import Aliases
from dashapp.ingest.sources.http import Answer, Http
from dashapp.ingest.sources.limits import Limits
from dashapp.ingest.sources.poll import Page
from dashapp.ingest.sources.rss import MAX_SUMMARY_CHARS, Rss, source_name
from dashapp.model.item import Item
from dashapp.model.time import EpochUs, parse_iso
from tests.sources import polling
from tests.sources.newsstand import Newsstand, Reply
from tests.sources.polling import NOW, items, rejections, tickers

NAMES = Aliases({"Apple": "AAPL", "Berkshire Hathaway": "BRK-B"})

ENTRY = """<item><title>$TSLA &amp;amp; Apple rise</title><link>https://example.com/1</link><guid>g-1</guid>
<description>&lt;p&gt;Both &lt;b&gt;b&lt;/b&gt;eat.&lt;/p&gt;&lt;p&gt;Up 5%.&lt;/p&gt;</description>
<pubDate>Wed, 14 Sep 2022 10:00:00 EDT</pubDate></item>"""
ATOM = """<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Wire</title>
<entry><id>tag:example.com,2022:7</id><title type="text">Berkshire Hathaway &lt; Apple</title>
<link href="https://example.com/7"/><updated>2022-09-14T12:00:00+02:00</updated>
<summary type="html">&lt;i&gt;In short.&lt;/i&gt;</summary></entry></feed>"""


def rss(*entries: str, title: str = "Money News", more: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel><title>{title}</title>{more}'
        f"{''.join(entries)}</channel></rss>"
    )


def made(http: Http, url: str) -> Rss:
    return Rss(http, url, NAMES, limits=Limits(()), now_us=lambda: EpochUs(NOW))


def poll(stand: Newsstand, body: Any, *, path: str = "/feed", **how: Any) -> list[Page]:
    stand.at(path, body if isinstance(body, Reply | list) else Reply(body, headers={"Content-Type": "text/xml"}))
    return polling.poll(lambda http: made(http, stand.url + path), **how)


def test_an_rss_entry_becomes_an_item(stand: Newsstand) -> None:
    (page,) = poll(stand, rss(ENTRY))
    assert items(page) == [
        Item(
            id=f"rss:{stand.url}/g-1",  # feedparser takes a guid for a link unless it says that it is none
            published_us=parse_iso("2022-09-14T14:00:00Z"),
            text="$TSLA & Apple rise\nBoth beat. Up 5%.",
            mentions=items(page)[0].mentions,
            source="Money News",
            url="https://example.com/1",
        )
    ]
    assert tickers(items(page)[0]) == ["TSLA", "AAPL"]


def test_an_atom_entry_becomes_an_item(stand: Newsstand) -> None:
    (page,) = poll(stand, ATOM)
    (item,) = items(page)
    assert item.id == "rss:tag:example.com,2022:7"
    assert item.text == "Berkshire Hathaway < Apple\nIn short."
    assert (item.published_us, item.source) == (parse_iso("2022-09-14T10:00:00Z"), "Wire")
    assert tickers(item) == ["BRK-B", "AAPL"]


def entry(number: int, title: str = "Apple", **more: str) -> str:
    parts = {
        "guid": f"https://example.com/{number}",
        "title": title,
        "pubDate": "Wed, 14 Sep 2022 10:00:00 GMT",
        **more,
    }
    return "<item>" + "".join(f"<{name}>{value}</{name}>" for name, value in parts.items() if value) + "</item>"


def test_one_story_in_two_feeds_of_a_publisher_is_one_item(stand: Newsstand) -> None:
    local = '<guid isPermaLink="false">17</guid>'
    story = entry(1).replace("<guid>https://example.com/1</guid>", local)
    (first,) = poll(stand, rss(story), path="/feed")
    (second,) = poll(stand, rss(story), path="/other")
    assert [item.id for item in items(first)] == [item.id for item in items(second)] == ["rss:127.0.0.1:17"]


def test_an_entry_that_names_no_ticker_is_ignored(stand: Newsstand) -> None:
    (page,) = poll(stand, rss(entry(1, "Weather"), entry(2), entry(3, "An apple a day", pubDate="")))
    assert ([item.id for item in items(page)], page.ignored) == (["rss:https://example.com/2"], 2)
    assert rejections(page) == {}


def test_entries_whose_time_is_missing_or_would_have_to_be_guessed_are_rejected(stand: Newsstand) -> None:
    bad = [entry(1, pubDate=""), entry(2, pubDate="2022-09-14 10:00:00"), entry(3, pubDate="2 hours ago")]
    (page,) = poll(stand, rss(*bad, entry(4), entry(5, guid="", pubDate="2022-09-14T10:00:00Z")))
    name = source_name(f"{stand.url}/feed")
    assert rejections(page) == {f"{name}:[0]": "missing_time", f"{name}:[1]": "no_zone", f"{name}:[2]": "relative_time"}
    assert [item.id[:8] for item in items(page)] == ["rss:http", "rss:h:" + items(page)[1].id[6:8]]


def test_a_long_summary_is_cut_not_rejected(stand: Newsstand) -> None:
    (page,) = poll(stand, rss(entry(1, description="word " * 20_000)))
    assert len(items(page)[0].text) <= MAX_SUMMARY_CHARS + len("Apple\n")


def test_the_host_is_the_source_where_a_feed_has_no_title(stand: Newsstand) -> None:
    (page,) = poll(stand, rss(entry(1), title=""))
    assert items(page)[0].source == "127.0.0.1"


def test_an_unchanged_feed_is_not_sent_again(stand: Newsstand) -> None:
    sent = {"ETag": '"v1"', "Last-Modified": "Wed, 14 Sep 2022 10:00:00 GMT"}
    first, second, third = poll(stand, [Reply(rss(entry(1)), headers=sent), Reply(status=304)], times=3)
    assert (len(items(first)), len(items(second)), len(items(third))) == (1, 0, 0)
    for call in stand.calls[1:]:
        assert call.headers["if-none-match"] == '"v1"'
        assert call.headers["if-modified-since"] == "Wed, 14 Sep 2022 10:00:00 GMT"


@pytest.mark.parametrize(
    ("ttl", "pause_s"), [("5", 300.0), ("0", None), ("-5", None), ("soon", None), ("99999999999", 3_600.0), ("", None)]
)
def test_a_feed_may_ask_for_a_longer_pause(stand: Newsstand, ttl: str, pause_s: float | None) -> None:
    (page,) = poll(stand, rss(entry(1), more=f"<ttl>{ttl}</ttl>"))
    assert page.next_poll_s == pause_s


@pytest.mark.parametrize(
    "body",
    ["<html><body>Sign in</body></html>", '{"items": []}', "", "\x00\x01", rss(entry(1), entry(2))[:-60]],
    ids=["html", "json", "empty", "binary", "truncated"],
)
def test_what_is_no_whole_feed_is_an_error(stand: Newsstand, body: str) -> None:
    with pytest.raises(SourceGarbled, match=r"neither RSS nor Atom|ends before it is closed"):
        poll(stand, body)


def test_a_feed_that_is_not_quite_xml_is_read_all_the_same(stand: Newsstand) -> None:
    (page,) = poll(stand, rss(entry(1, "Apple & Sons <br> up"), entry(2, "Apple &nbsp; down")))
    assert len(items(page)) == 2


def test_a_feed_in_another_encoding_is_read(stand: Newsstand) -> None:
    for encoding in ("iso-8859-1", "utf-16"):
        text = rss(entry(1, "Apple café")).replace('encoding="utf-8"', f'encoding="{encoding}"')
        (page,) = poll(stand, text.encode(encoding))
        assert items(page)[0].text == "Apple café"


def test_entities_that_multiply_do_not_fill_the_memory(stand: Newsstand) -> None:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE rss [<!ENTITY l0 "lol">{levels}]>' + rss(entry(1, "Apple &l9;")).partition("?>")[2]
    (page,) = poll(stand, bomb)
    assert all(len(item.text) < 10_000 for item in items(page))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/news/feed.xml", "rss:example.com/news/feed.xml"),
        ("http://example.com/news/feed.xml", "rss:example.com/news/feed.xml-"),
        ("https://example.com/feed?key=hidden", "rss:example.com/feed-"),
        ("https://me:hidden@example.com/feed", "rss:example.com/feed-"),
        ("https://example.com/" + "x" * 100, "rss:example.com/" + "x" * 48 + "-"),
    ],
)
def test_a_feed_is_called_by_host_and_path_never_by_what_may_be_a_key(url: str, name: str) -> None:
    shown = source_name(url)
    assert shown == name if not name.endswith("-") else (shown[: len(name)] == name and len(shown) == len(name) + 8)
    assert "hidden" not in shown


PIECES = """<item> </item> <title> </title> Apple $F <pubDate> </pubDate> <![CDATA[ ]]> & <guid> </guid> http://[ <link>
</link> <![foo[ <!-- &#x110000; &#0; \ud800 <description> </description> 2022-09-14T10:00:00Z <dc:date> \x00 < >
<content:encoded>"""
SOUP = st.lists(
    st.sampled_from(PIECES.split()),
    max_size=60,
).map(lambda parts: rss("".join(parts)).encode("utf-8", "surrogatepass"))


READER = made(cast("Http", None), "https://example.com/feed")


@given(SOUP)
def test_no_soup_of_tags_breaks_the_reader(body: bytes) -> None:
    try:
        page = READER.read(Answer(body, {}, "text/xml"))
    except SourceError:
        return
    for item in items(page):
        item.text.encode("utf-8")
        assert item.mentions
