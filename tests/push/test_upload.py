"""Bodies: unpacked whichever way they are packed, and never past the limits."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.api.upload import BodyMemory, unpack
from dashapp.errors import Overloaded, TooLarge, UsageError

MANY = BodyMemory(10**9)


def unpacked(body: bytes, packing: str, max_bytes: int = 1_000_000) -> bytes:
    with MANY.share() as share:
        return unpack(body, packing, share, max_bytes=max_bytes)


def bare_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@given(st.binary(max_size=5_000), st.integers(0, 2))
def test_what_was_packed_comes_out(content: bytes, repeated: int) -> None:
    content *= 1 + repeated * 50
    assert unpacked(content, "") == content
    assert unpacked(gzip.compress(content), "gzip") == content
    assert unpacked(gzip.compress(content) + gzip.compress(b"x"), "gzip") == content + b"x"
    assert unpacked(zlib.compress(content), "deflate") == content
    assert unpacked(bare_deflate(content), "deflate") == content


@given(st.binary(max_size=500), st.sampled_from(["gzip", "deflate"]))
def test_any_other_bytes_are_refused_or_unpacked_but_nothing_else_happens(content: bytes, packing: str) -> None:
    try:
        unpacked(content, packing)
    except UsageError as error:
        assert f"not {packing}" in str(error)  # noqa: PT017 - it need not be raised


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_a_body_cut_short_is_refused(packing: str) -> None:
    whole = gzip.compress(b"a" * 1_000) if packing == "gzip" else zlib.compress(b"a" * 1_000)
    for end in range(1, len(whole)):
        with pytest.raises(UsageError, match=f"The body is not {packing}"):
            unpacked(whole[:end], packing)


def test_what_follows_a_packed_body_is_refused() -> None:
    with pytest.raises(UsageError, match=r"incorrect header|unknown compression"):
        unpacked(gzip.compress(b"a") + b"more", "gzip")
    with pytest.raises(UsageError, match="The body is not deflate"):
        unpacked(zlib.compress(b"a") + b"more", "deflate")


def test_a_body_of_very_many_members_does_not_take_very_long() -> None:
    assert unpacked(gzip.compress(b"") * 100_000 + gzip.compress(b"end"), "gzip") == b"end"


@pytest.mark.parametrize("size_bytes", [1_001, 100_000_000])
def test_a_bomb_is_refused_before_it_is_unpacked(size_bytes: int) -> None:
    bombs = {"gzip": gzip.compress(b"\0" * size_bytes), "deflate": bare_deflate(b"\0" * size_bytes)}
    bombs["deflate "] = zlib.compress(b"\0" * size_bytes)
    for packing, bomb in bombs.items():
        with pytest.raises(TooLarge, match="larger than 1000 bytes unpacked"):
            unpacked(bomb, packing.strip(), max_bytes=1_000)
    with pytest.raises(TooLarge):
        unpacked(gzip.compress(b"a" * 600) * 2, "gzip", max_bytes=1_000)
    for packing, body in (("gzip", gzip.compress(b"a" * 1_000)), ("deflate", zlib.compress(b"a" * 1_000))):
        assert unpacked(body, packing, max_bytes=1_000) == b"a" * 1_000


def test_bodies_take_memory_up_to_the_limit_and_give_it_back() -> None:
    memory = BodyMemory(100)
    with memory.share() as first:
        first.grow(60)
        with memory.share() as second:
            second.grow(40)
            with pytest.raises(Overloaded) as refused:
                second.grow(1)
            assert refused.value.retry_after_s == 1
        first.grow(40)
    with memory.share() as again:
        again.grow(100)
