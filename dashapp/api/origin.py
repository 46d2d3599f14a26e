"""Where a request comes from: this machine or another, straight or through a proxy, our own page or a stranger's."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fastapi import Request

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def is_loopback(name: str) -> bool:
    """Whether a host name or address is this machine for itself."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def hostname(netloc: str) -> str:
    """The host of a Host header; empty where it is none."""
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:  # a bracket that is never closed
        return ""


def is_forwarded(request: Request) -> bool:
    """Whether a proxy says that it passes this request on."""
    return any(name in request.headers for name in _FORWARDED)


def is_of_another_site(request: Request) -> bool:
    """Whether a browser says that the page of another site makes it send this request.

    Programs that are no browsers say nothing, and no page can make a browser of today leave both headers out.
    """
    fetch_site = request.headers.get("sec-fetch-site")
    if fetch_site is not None:
        return fetch_site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host", "")
