"""The heap of the C library: what becomes of memory that is freed."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

# Parameters of mallopt, as <malloc.h> numbers them.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# Larger blocks are the system's own, made anew each time: the most that glibc takes on 64 bits.
_LARGEST_BLOCK_BYTES = 32 << 20
# So much that is free at the end of a heap is kept.
_KEPT_BYTES = 64 << 20


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep what is freed inside for the next who asks, and give it back to the system at the end.

    Otherwise each array of some megabytes is new memory, and a fold spends a third of its time on having pages of it
    made (measured: 4 us each, 120,000 in a rebuild of 10 million scores). From then on up to 64 MB of each thread's
    heap stay with the process. Where the C library is another than glibc nothing is changed.
    """
    libc = ctypes.CDLL(None)
    glibc = hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")
    if glibc:
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    try:
        yield
    finally:
        if glibc:
            libc.malloc_trim(0)
