"""Settings: the one table of them, and the only reader of the environment.

A value comes from, later ones winning: the default below, `tickertone.toml` in the working directory (or the file that
`TICKERTONE_CONFIG` names), the environment variable `TICKERTONE_<NAME>`, a command line option.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dashapp.errors import BadSetting

ENV_PREFIX = "TICKERTONE_"
CONFIG_FILE = "tickertone.toml"


def _setting(
    default: Any,
    unit: str,
    help_text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    form: tuple[str, str] = ("", ""),
) -> Any:
    metadata = {"unit": unit, "help": help_text, "low": low, "high": high, "choices": choices, "form": form}
    return field(default=default, metadata=metadata)


# A path that proxies take as it is, and that is none of the server's own: /api/v2 below /api could not be told from it.
_BASE_PATH = (
    r"(?:/(?!(?:api|assets|health|healthz|readyz|metrics)(?:/|\Z))[A-Za-z0-9][A-Za-z0-9._~-]*(?:/[A-Za-z0-9][A-Za-z0-9._~-]*)*)?",
    "empty or a path such as /sentiment, without a slash at its end and not one of the server's own (/api, /assets)",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings with their defaults; field metadata holds unit, help and bounds."""

    data_dir: Path = _setting(Path("data/store"), "path", "Where the store is: scores, buckets, rejected rows, cache.")
    store_url: str = _setting(
        "",
        "address",
        "Where the tables are, when not in data_dir: s3://bucket/prefix. Credentials come from AWS_* variables.",
    )
    store_endpoint: str = _setting(
        "", "address", "Where the interface of S3-compatible storage begins. Empty: Amazon's, or AWS_ENDPOINT_URL."
    )
    store_region: str = _setting("", "region", "Region of the storage. Empty: AWS_REGION, or us-east-1.")
    store_poll_ms: int = _setting(
        200, "ms", "Least time between two requests of one machine for a newer version of a table.", low=1, high=60_000
    )
    file_cache_bytes: int = _setting(
        4_000_000_000, "bytes", "Size that copies of data files of an object store are kept under.", low=10_000_000
    )
    host: str = _setting("127.0.0.1", "address", "Address the web server listens on.")
    login: str = _setting(
        "loopback",
        "who",
        "Who may see the page and ask the API. loopback: everybody on this machine, and nobody else; password: the "
        "users of `tickertone users`; proxy: whom a reverse proxy names; none: whoever reaches the server.",
        choices=("loopback", "password", "proxy", "none"),
    )
    login_proxy_header: str = _setting(
        "X-Forwarded-User", "name", "Header by which the proxy names the user, where login is proxy."
    )
    login_proxy_addresses: str = _setting(
        "127.0.0.1 ::1", "addresses", "Addresses or networks of that proxy, separated by blanks; no other is believed."
    )
    port: int = _setting(8050, "port", "Port the web server listens on; 0 takes a free one.", low=0, high=65535)
    base_path: str = _setting(
        "", "path", "Path below which a proxy shows the web app and the API, such as /sentiment.", form=_BASE_PATH
    )
    log_level: str = _setting(
        "info", "level", "Least level of what is logged.", choices=("debug", "info", "warning", "error")
    )
    log_format: str = _setting(
        "text", "form", "Log lines for people, or one JSON object each for programs.", choices=("text", "json")
    )
    scripts: str = _setting(
        "bundled",
        "form",
        "Scripts of the page: bundled into a few files where `tools/bundle.py` has done so, or plain, for who looks at "
        "them in a browser's tools.",
        choices=("bundled", "plain"),
    )
    scorer: str = _setting(
        "", "name@version", "Scorer the charts show. Empty: the only one in the store, or the default of several."
    )
    ingest_scorer: str = _setting(
        "finance",
        "name",
        "Scorer of what comes in without a score: finance, vader, finbert, finance:FILE of a model, or finbert:FOLDER.",
    )
    rollup_every_s: float = _setting(30.0, "s", "Pause between two rollups in `run` and `demo`.", low=0.1, high=86_400)
    upkeep_every_s: float = _setting(
        300.0, "s", "Pause between two rounds of vacuum and log clean-up in `run` and `demo`.", low=1, high=86_400
    )
    vacuum_after_s: float = _setting(
        3_600.0,
        "s",
        "How long data files that were replaced are kept, for readers and writers that still need them.",
        low=600,
        high=31_536_000,
    )
    compact_every_s: float = _setting(
        10.0, "s", "Pause between two compactions in `run` and `demo`.", low=1, high=86_400
    )
    log_kept_s: float = _setting(
        3_600.0,
        "s",
        "How long entries of the tables' logs are kept once a checkpoint repeats them; at least vacuum_after_s.",
        low=600,
        high=31_536_000,
    )
    retention_scores_days: float = _setting(
        0.0, "days", "Scores published longer ago are dropped and their buckets sealed; 0 keeps them for ever.", low=0
    )
    retention_buckets_days: str = _setting(
        "",
        "days",
        "Buckets older than that are dropped, by resolution: 1m=90,5m=400. Those not named are kept for ever.",
    )
    retention_every_s: float = _setting(3_600.0, "s", "Pause between two rounds of retention.", low=1, high=31_536_000)
    verify_every_s: float = _setting(
        86_400.0, "s", "Pause between two checks of a sample of the buckets.", low=1, high=31_536_000
    )
    verify_sample_days: int = _setting(3, "days", "How many days such a check looks at.", low=1, high=36_600)
    query_timeout_ms: int = _setting(10_000, "ms", "A query that takes longer is stopped.", low=1, high=3_600_000)
    query_max_buckets: int = _setting(50_000, "buckets", "Most buckets one answer holds.", low=1, high=10_000_000)
    query_threads: int = _setting(4, "threads", "Queries answered at the same time by one process.", low=1, high=64)
    query_queue: int = _setting(
        256, "queries", "Queries that may wait for a thread of one process; more are told to come back.", low=1
    )
    duckdb_threads: int = _setting(2, "threads", "Threads DuckDB computes with.", low=1, high=256)
    duckdb_memory_bytes: int = _setting(
        4_000_000_000, "bytes", "Memory DuckDB may use before it spills.", low=100_000_000
    )
    cache_size_bytes: int = _setting(256_000_000, "bytes", "Size the server cache is kept under.", low=1_000_000)
    cache_url: str = _setting(
        "",
        "address",
        "Redis that holds the server cache for several machines, such as redis://cache:6379/0. Empty: the local disk.",
        form=(
            r"(?:(?:redis|rediss|unix)://.+)?",
            "empty or an address that begins with redis://, rediss:// or unix://",
        ),
    )
    ingest_batch_rows: int = _setting(
        50_000, "rows", "Scores that one commit of a file ingest holds.", low=1, high=1_000_000
    )
    push_open_on_loopback: str = _setting(
        "no", "yes or no", "Take pushed items without a key when both ends are this machine.", choices=("no", "yes")
    )
    push_max_body_bytes: int = _setting(8_000_000, "bytes", "Largest body of a push, as it is sent.", low=1_000)
    push_max_unpacked_bytes: int = _setting(32_000_000, "bytes", "Largest body of a push, unpacked.", low=1_000)
    push_max_items: int = _setting(10_000, "items", "Most items in one push.", low=1, high=1_000_000)
    push_items_per_s: float = _setting(
        10_000.0, "items/s", "Items that one key may push in the long run, for each server process.", low=0.001
    )
    push_burst_items: int = _setting(
        50_000, "items", "Items that one key may push at once after a pause, for each server process.", low=1
    )
    push_queue_scores: int = _setting(
        100_000, "scores", "Pushed scores that may wait for their commit.", low=1, high=1_000_000
    )
    push_commit_every_ms: float = _setting(
        20.0, "ms", "Least time between the beginnings of two commits of pushed items.", low=0, high=10_000
    )
    feed_sources: str = _setting(
        "",
        "names",
        "Live sources to poll: tiingo, finnhub, alphavantage, stocktwits, rss. "
        "Empty: those with a key, and rss where it has addresses.",
    )
    feed_tickers: str = _setting("", "symbols", "Symbols the live sources are asked for, such as AAPL,MSFT.")
    feed_rss_urls: str = _setting("", "addresses", "RSS and Atom feeds to poll, separated by blanks.")
    feed_alias_file: str = _setting("", "path", "Table of names for tickers, TOML or CSV, by which RSS is read.")
    feed_every_s: float = _setting(
        60.0, "s", "Pause between two rounds of a live source; its limits make it longer.", low=0.05, high=86_400
    )
    feed_lookback_days: float = _setting(
        1.0, "days", "How far back the first poll of a live source reads.", low=0, high=3_650
    )
    feed_limits: str = _setting(
        "", "calls", "Calls that a source allows, where they are not those of its free plan: tiingo=5000/hour."
    )
    feed_timeout_s: float = _setting(
        20.0, "s", "A live source that takes longer to answer has failed.", low=0.05, high=600
    )
    feed_max_answer_bytes: int = _setting(
        32_000_000, "bytes", "Largest answer of a live source, unpacked.", low=1_000, high=1_000_000_000
    )
    tiingo_url: str = _setting("https://api.tiingo.com", "address", "Where the interface of Tiingo begins.")
    finnhub_url: str = _setting("https://finnhub.io/api/v1", "address", "Where the interface of Finnhub begins.")
    alphavantage_url: str = _setting(
        "https://www.alphavantage.co", "address", "Where the interface of Alpha Vantage begins."
    )
    stocktwits_url: str = _setting(
        "https://api.stocktwits.com/api/2", "address", "Where the interface of StockTwits begins."
    )
    live_poll_ms: int = _setting(
        50, "ms", "How often the live stream asks whether another process has stored scores.", low=1, high=10_000
    )
    live_max_connections: int = _setting(
        2_000, "streams", "Most live streams that one server process serves.", low=1, high=1_000_000
    )
    live_heartbeat_s: float = _setting(5.0, "s", "Time between two heartbeats of a live stream.", low=0.1, high=60)
    live_replay_max_rows: int = _setting(
        100_000, "scores", "Most scores since then that a reader who comes back is told of one by one.", low=0
    )
    demo_seed: int = _setting(7, "number", "Seed of the simulated feed.", low=0)
    demo_days: float = _setting(7.0, "days", "Simulated history a new demo starts with.", low=0.01, high=366)

    def at(self, path: str) -> str:
        """The address, on its host, by which browsers reach a path of the server, which begins with a slash."""
        return self.base_path + path


def load(
    options: Mapping[str, Any] | None = None, *, environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> Settings:
    """The settings in force; raises BadSetting naming key, value and place of what is wrong.

    `options` with the value None count as not given. `environ` and `directory` are for tests: else the process's own.
    """
    env = os.environ if environ is None else environ
    known = {item.name: item for item in fields(Settings)}
    values: dict[str, Any] = {}
    for place, given in (_file_values(env, directory), _environment_values(env), ("option", options or {})):
        for name, value in given.items():
            if value is None:
                continue
            if name not in known:
                raise BadSetting(f"{place}: setting {name!r} does not exist. Settings: {', '.join(sorted(known))}.")
            values[name] = _parse(name, value, known[name].default, known[name].metadata, place)
    return Settings(**values)


def environment_name(setting: str) -> str:
    """The environment variable of a setting."""
    return ENV_PREFIX + setting.upper()


def secret(name: str) -> str | None:
    """A secret such as an API key, read from the environment only and never kept in Settings."""
    return os.environ.get(ENV_PREFIX + name) or None


def _file_values(env: Mapping[str, str], directory: Path | None) -> tuple[str, Mapping[str, Any]]:
    named = env.get(ENV_PREFIX + "CONFIG")
    path = Path(named) if named else (directory or Path.cwd()) / CONFIG_FILE
    if not path.exists():
        if named:
            raise BadSetting(f"{ENV_PREFIX}CONFIG names {named!r}, which does not exist.")
        return str(path), {}
    try:
        return str(path), tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"{path} cannot be read as TOML: {error}.") from error


def _environment_values(env: Mapping[str, str]) -> tuple[str, Mapping[str, Any]]:
    known = {environment_name(item.name): item.name for item in fields(Settings)}
    return "environment", {known[key]: value for key, value in env.items() if key in known}


# What a setting's default is: how to call that, and which types of TOML and of options it may be given in. Only those
# that lose nothing: int(30.9) and str(["a"]) would quietly be something else.
_KINDS: tuple[tuple[type, str, tuple[type, ...]], ...] = (
    (Path, "path", (str, Path)),
    (str, "text", (str,)),
    (float, "number", (float, int, str)),
    (int, "whole number", (int, str)),
)


def _parse(name: str, value: Any, default: Any, metadata: Mapping[str, Any], place: str) -> Any:
    given = f"{place}: setting {name} has value {value!r}"
    kind, called, accepted = next(row for row in _KINDS if isinstance(default, row[0]))
    try:
        if isinstance(value, bool) or not isinstance(value, accepted) or (kind is Path and value == ""):
            raise ValueError(value)
        # A home directory that cannot be found is a RuntimeError, a number past all floats an OverflowError.
        parsed: Any = Path(str(value)).expanduser() if kind is Path else kind(value)
    except (ValueError, OverflowError, RuntimeError):
        raise BadSetting(f"{given}, which is not a valid {called}.") from None
    low, high, choices = metadata["low"], metadata["high"], metadata["choices"]
    if (low is not None and not parsed >= low) or (high is not None and not parsed <= high):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        raise BadSetting(f"{given}; it must be {bounds} {metadata['unit']}.")
    if choices and parsed not in choices:
        raise BadSetting(f"{given}; it must be one of: {', '.join(choices)}.")
    pattern, described = metadata["form"]
    if pattern and not re.fullmatch(pattern, parsed):
        raise BadSetting(f"{given}; it must be {described}.")
    return parsed
