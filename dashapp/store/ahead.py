"""Reading ahead: the next values are made in a thread while those before are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")


def read_ahead(values: Generator[T, None, None], most: int) -> Generator[T, None, None]:
    """The same values in the same order, up to `most` of them made before they are asked for.

    What making them raises is raised in its place. Who stops early waits for the value that is being made, so they must
    come from something that does not wait for anybody.
    """
    with closing(values), ThreadPoolExecutor(1, thread_name_prefix="reading ahead") as reading:
        coming = deque(reading.submit(next, values, None) for _ in range(most))
        try:
            while (value := coming.popleft().result()) is not None:
                coming.append(reading.submit(next, values, None))
                yield value
        finally:
            reading.shutdown(cancel_futures=True)
