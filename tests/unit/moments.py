"""Moments and resolutions, as the tests of time in buckets draw and write them."""

from __future__ import annotations

from datetime import datetime

from hypothesis import strategies as st

from dashapp.model.resolution import RESOLUTIONS
from dashapp.model.time import MAX_US, MIN_US, from_datetime

moments_us = st.integers(MIN_US, MAX_US)
resolutions = st.sampled_from(RESOLUTIONS)


def us(iso: str) -> int:
    """The moment that is written in ISO 8601."""
    return from_datetime(datetime.fromisoformat(iso))
