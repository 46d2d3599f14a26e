"""Answers on their way: so much of them at one time, however slowly they are taken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dashapp.api.desk import HeldAnswer
from dashapp.api.upload import BodyMemory
from dashapp.errors import Overloaded


def test_an_answer_counts_until_it_is_taken_or_nobody_is_there() -> None:
    memory = BodyMemory(10)

    def made() -> HeldAnswer:
        return HeldAnswer(b"12345678", memory=memory, media_type="text/csv", headers={})

    async def run() -> None:
        taken = asyncio.Event()
        sent: list[Any] = []

        async def slowly(message: Any) -> None:
            sent.append(message)
            if len(sent) == 3:  # what comes after the body waits until that is taken
                await taken.wait()

        async def gone(message: Any) -> None:
            raise ConnectionResetError

        sending = asyncio.create_task(made()({"type": "http"}, slowly, slowly))
        await asyncio.sleep(0.05)
        assert b"".join(each.get("body", b"") for each in sent) == b"12345678"
        with pytest.raises(Overloaded) as refused:
            made()
        assert refused.value.retry_after_s > 0
        taken.set()
        await sending
        with pytest.raises(ConnectionResetError):
            await made()({"type": "http"}, gone, gone)
        made()

    asyncio.run(run())
