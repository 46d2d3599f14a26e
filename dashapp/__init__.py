"""Tickertone: live sentiment candles from texts that mention stock tickers."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("tickertone")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"
