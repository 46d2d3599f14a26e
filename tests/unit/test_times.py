"""Times as senders write them, to microseconds, or rejected with the reason."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from dashapp.errors import RowRejected
from dashapp.ingest.rejects import REASONS
from dashapp.ingest.times import parse_time
from dashapp.model.time import MAX_US, MIN_US, to_iso

NEW_YORK = ZoneInfo("America/New_York")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
BERLIN = ZoneInfo("Europe/Berlin")
UTC_ZONE = ZoneInfo("UTC")


def read(value: object, zone: ZoneInfo | None = None, date_only=None) -> str:
    return to_iso(parse_time(value, zone=zone, date_only=date_only))


def reason_of(value: object, zone: ZoneInfo | None = None, date_only=None) -> str:
    with pytest.raises(RowRejected) as caught:
        parse_time(value, zone=zone, date_only=date_only)
    assert REASONS[caught.value.reason] in str(caught.value)
    str(caught.value).encode("utf-8")  # fit to be stored, whatever the value was
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-01-01T03:59:03Z", "2014-01-01T03:59:03Z"),
        ("2014-01-01t03:59:03z", "2014-01-01T03:59:03Z"),
        ("  2014-01-01T03:59:03Z\n", "2014-01-01T03:59:03Z"),
        ("2014-01-01 03:59:03Z", "2014-01-01T03:59:03Z"),
        ("2014-01-01T03:59Z", "2014-01-01T03:59:00Z"),
        ("2014-01-01T03:59:03+05:30", "2013-12-31T22:29:03Z"),
        ("2014-01-01T03:59:03+0530", "2013-12-31T22:29:03Z"),
        ("2014-01-01T03:59:03+05", "2013-12-31T22:59:03Z"),
        ("2014-01-01T03:59:03 +05:30", "2013-12-31T22:29:03Z"),
        ("2014-01-01T03:59:03-05:00", "2014-01-01T08:59:03Z"),
        ("2014-01-01T03:59:03-00:00", "2014-01-01T03:59:03Z"),
        ("2014-01-01 03:59:03 UTC", "2014-01-01T03:59:03Z"),
        ("2014-01-01 03:59:03 GMT", "2014-01-01T03:59:03Z"),
        ("2014-01-01T03:59:03.5Z", "2014-01-01T03:59:03.500000Z"),
        ("2014-01-01T03:59:03,25Z", "2014-01-01T03:59:03.250000Z"),
        ("2014-01-01T03:59:03.123456Z", "2014-01-01T03:59:03.123456Z"),
        ("2014-01-01T03:59:03.123456789Z", "2014-01-01T03:59:03.123456Z"),
        ("2016-01-12T21:07:28.073309+00:00", "2016-01-12T21:07:28.073309Z"),
        ("20220914T141049Z", "2022-09-14T14:10:49Z"),
        ("20220914T141049.5+0200", "2022-09-14T12:10:49.500000Z"),
        ("20220914T1410Z", "2022-09-14T14:10:00Z"),
        ("2012-02-29T23:59:59Z", "2012-02-29T23:59:59Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ("1900-01-01T00:00:00Z", "1900-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("Wed, 02 Oct 2002 13:00:00 GMT", "2002-10-02T13:00:00Z"),
        ("Wed, 02 Oct 2002 15:00:00 +0200", "2002-10-02T13:00:00Z"),
        ("2 Oct 2002 13:00 EST", "2002-10-02T18:00:00Z"),
        ("Wed, 2 Oct 2002 13:00:00 PDT", "2002-10-02T20:00:00Z"),
        ("Wed Aug 27 13:08:45 +0000 2008", "2008-08-27T13:08:45Z"),
        ("Wed Aug 27 13:08:45 -0400 2008", "2008-08-27T17:08:45Z"),
    ],
)
def test_reads_texts_with_a_zone(text: str, expected: str) -> None:
    assert read(text) == expected
    assert read(text, zone=NEW_YORK) == expected, "a zone in the text wins"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (1_388_548_743, "2014-01-01T03:59:03Z"),
        ("1388548743", "2014-01-01T03:59:03Z"),
        (1_388_548_743_123, "2014-01-01T03:59:03.123000Z"),
        ("1388548743123", "2014-01-01T03:59:03.123000Z"),
        (1_388_548_743_123_456, "2014-01-01T03:59:03.123456Z"),
        (1_388_548_743_123_456_789, "2014-01-01T03:59:03.123456Z"),
        (-1_388_548_743_123_456_789, "1925-12-31T20:00:56.876543Z"),
        (1_388_548_743.123456, "2014-01-01T03:59:03.123456Z"),
        (1_388_548_743.1, "2014-01-01T03:59:03.100000Z"),
        ("1388548743.123456", "2014-01-01T03:59:03.123456Z"),
        ("1388548743.1234569", "2014-01-01T03:59:03.123456Z"),
        (-0.5, "1969-12-31T23:59:59.500000Z"),
        (1_388_548_743_123.5, "2014-01-01T03:59:03.123500Z"),
        (Decimal("1388548743.123456"), "2014-01-01T03:59:03.123456Z"),
        (10**10 - 1, "2286-11-20T17:46:39Z"),
        (10**11, "1973-03-03T09:46:40Z"),
        (10**13 - 1, "2286-11-20T17:46:39.999000Z"),
        (10**14, "1973-03-03T09:46:40Z"),
        (10**16 - 1, "2286-11-20T17:46:39.999999Z"),
        (10**17, "1973-03-03T09:46:40Z"),
        (9_223_372_036_854_775_807, "2262-04-11T23:47:16.854775Z"),
    ],
)
def test_reads_a_number_as_time_since_1970_in_the_unit_its_size_tells(value: object, expected: str) -> None:
    assert read(value) == expected


@pytest.mark.parametrize("microsecond", [0, 1, 123_456, 999_999])
def test_float_seconds_are_exact_to_the_microsecond(microsecond: int) -> None:
    for year in (1971, 2014, 2026, 2100):
        moment = datetime(year, 3, 4, 5, 6, 7, microsecond, tzinfo=UTC)
        assert read(moment.timestamp()) == read(moment)


@pytest.mark.parametrize(
    "value", [10**10, 10**11 - 1, 10**13, 10**14 - 1, 10**16, 10**17 - 1, -(10**10), 20220914141049, "20220914141049"]
)
def test_a_number_between_two_units_is_ambiguous(value: object) -> None:
    assert reason_of(value) == "ambiguous_time"


def test_digits_that_spell_a_date_are_ambiguous_unless_dates_are_expected() -> None:
    assert reason_of(20220914) == "ambiguous_time"
    assert reason_of("20220914") == "ambiguous_time"
    with pytest.raises(RowRejected, match=r"^time '20220914' may be a date"):
        parse_time("20220914", zone=None, date_only=None)
    assert reason_of("202209141410") == "ambiguous_time"
    assert reason_of(202209141410, date_only="start") == "ambiguous_time"
    assert read("20220914", date_only="start") == "2022-09-14T00:00:00Z"
    assert read(20220914, date_only="noon") == "2022-09-14T12:00:00Z"
    assert reason_of("20220230", date_only="start") == "bad_time"
    assert read(20221314) == "1970-08-23T01:01:54Z", "month 13 is no date, so it counts seconds"


def test_datetimes_and_dates_are_read_as_parquet_holds_them() -> None:
    assert read(datetime(2014, 1, 1, 3, 59, 3, 7, tzinfo=UTC)) == "2014-01-01T03:59:03.000007Z"
    assert read(datetime(2014, 1, 1, 3, 59, tzinfo=timezone(timedelta(hours=-5)))) == "2014-01-01T08:59:00Z"
    without_zone = datetime.fromisoformat("2014-01-01T03:59:03.000007")
    assert read(without_zone, zone=NEW_YORK) == "2014-01-01T08:59:03.000007Z"
    assert reason_of(without_zone) == "no_zone"
    assert reason_of(date(2014, 1, 1)) == "date_only"
    assert read(date(2014, 1, 1), date_only="start") == "2014-01-01T00:00:00Z"
    assert reason_of(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == "time_out_of_range"


@pytest.mark.parametrize(
    "text",
    [
        "2014-07-01T10:00:00",
        "2014-07-01 10:00",
        "20140701T100000",
        "20140701T1000",
        "Tue, 01 Jul 2014 10:00:00",
        "Tue Jul  1 10:00:00 2014",
    ],
)
def test_a_time_without_zone_needs_one(text: str) -> None:
    assert reason_of(text) == "no_zone"
    assert read(text, zone=NEW_YORK) == "2014-07-01T14:00:00Z"
    assert read(text, zone=UTC_ZONE) == "2014-07-01T10:00:00Z"


def test_where_clocks_are_set_back_the_first_of_two_equal_times_is_meant() -> None:
    assert read("2014-11-02T01:30:00", zone=NEW_YORK) == "2014-11-02T05:30:00Z"
    assert read("2014-11-02T02:00:00", zone=NEW_YORK) == "2014-11-02T07:00:00Z"


def test_a_time_the_clocks_jumped_over_is_rejected() -> None:
    assert read("2014-03-09T01:59:59.999999", zone=NEW_YORK) == "2014-03-09T06:59:59.999999Z"
    assert reason_of("2014-03-09T02:00:00", zone=NEW_YORK) == "nonexistent_time"
    assert reason_of("2014-03-09T02:59:59", zone=NEW_YORK) == "nonexistent_time"
    assert reason_of(datetime.fromisoformat("2014-03-09T02:30"), zone=NEW_YORK) == "nonexistent_time"
    assert read("2014-03-09T03:00:00", zone=NEW_YORK) == "2014-03-09T07:00:00Z"


@pytest.mark.parametrize(
    ("zone", "date_only", "expected"),
    [
        (None, "start", "2014-07-01T00:00:00Z"),
        (None, "noon", "2014-07-01T12:00:00Z"),
        (None, "end", "2014-07-01T23:59:59.999999Z"),
        (NEW_YORK, "start", "2014-07-01T04:00:00Z"),
        (NEW_YORK, "end", "2014-07-02T03:59:59.999999Z"),
        (BERLIN, "noon", "2014-07-01T10:00:00Z"),
    ],
)
def test_a_date_alone_is_a_day_of_the_zone_else_of_utc(zone, date_only, expected: str) -> None:
    assert reason_of("2014-07-01", zone=zone) == "date_only"
    assert read("2014-07-01", zone=zone, date_only=date_only) == expected


def test_a_day_whose_midnight_was_skipped_starts_after_the_gap_and_one_that_repeats_ends_with_the_second() -> None:
    assert read("2014-10-19", zone=SAO_PAULO, date_only="start") == "2014-10-19T03:00:00Z"
    assert read("2014-02-15", zone=SAO_PAULO, date_only="end") == "2014-02-16T02:59:59.999999Z"


@pytest.mark.parametrize(
    "text",
    [
        "4 hours ago",
        "now",
        "just now",
        "Yesterday",
        "yesterday at 10:00",
        "5m",
        "3 h",
        "2 days",
        "last Friday",
        "an hour ago",
    ],
)
def test_a_relative_time_is_never_guessed(text: str) -> None:
    assert reason_of(text, zone=UTC_ZONE, date_only="start") == "relative_time"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "missing_time"),
        ("", "missing_time"),
        (" \t", "missing_time"),
        (float("nan"), "missing_time"),
        (Decimal("NaN"), "missing_time"),
        (True, "bad_time"),
        (False, "bad_time"),
        (float("inf"), "bad_time"),
        (float("-inf"), "bad_time"),
        ([], "bad_time"),
        ({"at": 1}, "bad_time"),
        (timedelta(1), "bad_time"),
        ("soon", "bad_time"),
        ("x" * 10_000, "bad_time"),
        ("\ud800\x00", "bad_time"),
        ("1.4e9", "bad_time"),
        ("1_388_548_743", "bad_time"),
        ("٢٠١٤-٠١-٠١T٠٣:٥٩:٠٣Z", "bad_time"),
        ("2014-02-29T00:00:00Z", "bad_time"),
        ("2014-02-29", "bad_time"),
        ("2014-13-01T00:00:00Z", "bad_time"),
        ("2014-01-01T24:00:00Z", "bad_time"),
        ("2014-01-01T23:60:00Z", "bad_time"),
        ("2014-01-01T23:59:61Z", "bad_time"),
        ("2014-01-01T03:59:03.1234567890Z", "bad_time"),
        ("2014-01-01T03:59:03.Z", "bad_time"),
        ("2014-01-01T03Z", "bad_time"),
        ("2014-01-01T03:59:03+24:00", "bad_time"),
        ("2014-01-01T03:59:03+05:60", "bad_time"),
        ("2014-01-01T03:59:03 EST", "bad_time"),
        ("2014-01-01T03:59:03Z trailing", "bad_time"),
        ("0000-01-01T00:00:00Z", "bad_time"),
        ("2016-12-31T23:59:60Z", "leap_second"),
        ("Sat, 31 Dec 2016 23:59:60 GMT", "leap_second"),
        ("01/02/2014 10:00", "ambiguous_time"),
        ("1.2.2014", "ambiguous_time"),
        ("01-02-14", "ambiguous_time"),
        ("0001-01-01T00:30:00+01:00", "time_out_of_range"),
        ("9999-12-31T23:30:00-01:00", "time_out_of_range"),
        (10**19, "time_out_of_range"),
        (1e300, "time_out_of_range"),
        (10**400, "time_out_of_range"),
    ],
)
def test_what_is_no_point_in_time_is_rejected_with_its_reason(value: object, reason: str) -> None:
    assert reason_of(value) == reason


@pytest.mark.parametrize(
    ("zone", "outcomes"),
    [
        ("America/New_York", [True, "time_out_of_range"]),
        ("Europe/Berlin", ["time_out_of_range", True]),
        ("Pacific/Kiritimati", [True, True]),
    ],
)
def test_the_ends_of_the_calendar_hold_in_any_zone(zone: str, outcomes: list[object]) -> None:
    ends: list[object] = []
    for text in ("0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"):
        try:
            ends.append(MIN_US <= parse_time(text, zone=ZoneInfo(zone), date_only=None) <= MAX_US)
        except RowRejected as error:
            ends.append(error.reason)
    assert ends == outcomes
