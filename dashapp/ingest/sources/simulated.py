"""The simulated feed of the demo: invented headlines, a pure function of seed and time.

The same seed gives the same item for the same minute for ever, so a demo that is stopped and started again goes on
where it was and nothing is counted twice. The texts come from data/sample/simulated.json.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashapp.errors import UnreadableInput
from dashapp.model.item import Item, Mention
from dashapp.model.time import US_PER_DAY, US_PER_SECOND, EpochUs

SOURCES = ("simulated-wire", "simulated-posts", "simulated-desk")
SEED_FILE = Path(__file__).parents[3] / "data" / "sample" / "simulated.json"

_US_PER_MINUTE = 60 * US_PER_SECOND


@dataclass(frozen=True, slots=True)
class SimulatedFeed:
    """The feed of one seed; `texts` is the content of the seed file."""

    seed: int
    texts: dict[str, Any]

    @property
    def tickers(self) -> list[str]:
        """The tickers the feed speaks of, the most talked about first."""
        each: dict[str, dict[str, Any]] = self.texts["tickers"]
        return sorted(each, key=lambda ticker: -each[ticker]["per_minute"])

    def items(self, start_us: int, end_us: int) -> Iterator[Item]:
        """The items published in [start_us, end_us), by minute; about 100,000 a second."""
        for minute in range(start_us // _US_PER_MINUTE, -(-end_us // _US_PER_MINUTE)):
            for ticker, about in self.texts["tickers"].items():
                for item in self._minute(ticker, about, minute):
                    if start_us <= item.published_us < end_us:
                        yield item

    def _minute(self, ticker: str, about: dict[str, Any], minute: int) -> Iterator[Item]:
        chance = random.Random(f"{self.seed}/{ticker}/{minute}")  # noqa: S311 - a simulation, not a secret
        day_part = (minute * _US_PER_MINUTE % US_PER_DAY) / US_PER_DAY
        # New York's trading day, 13:30 to 20:00 UTC, is when most is said.
        busy = 0.25 + 1.5 * math.exp(-(((day_part - 0.70) / 0.13) ** 2))
        for number in range(_poisson(chance, about["per_minute"] * busy)):
            mood = self._mood(ticker, minute) + chance.gauss(0, 0.35)
            kind = next(each for each in self.texts["kinds"] if each["below"] is None or mood < each["below"])
            text = chance.choice(kind["texts"]).format(
                name=about["name"], ticker=ticker, n=chance.choice(self.texts["n"])
            )
            yield Item(
                id=f"sim-{self.seed}-{ticker}-{minute}-{number}",
                published_us=EpochUs(minute * _US_PER_MINUTE + chance.randrange(_US_PER_MINUTE)),
                text=text,
                mentions=(Mention(ticker),),
                source=chance.choice(SOURCES),
            )

    def _mood(self, ticker: str, minute: int) -> float:
        """A slow wander between -1.4 and 1.4: waves of 3 hours, a day and 4 days, each ticker with its own phases."""
        phases = random.Random(f"{self.seed}/{ticker}")  # noqa: S311
        waves = ((180, 0.30), (1440, 0.50), (5760, 0.60))
        return sum(size * math.sin(2 * math.pi * (minute / period + phases.random())) for period, size in waves)


def load_feed(seed: int, path: Path = SEED_FILE) -> SimulatedFeed:
    """The feed of a seed; raises UnreadableInput when its texts are missing."""
    try:
        return SimulatedFeed(seed, json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise UnreadableInput(f"{path}, the seed of the simulated feed, cannot be read: {error}.") from error


def _poisson(chance: random.Random, mean: float) -> int:
    """A Poisson draw by Knuth's product of uniforms; means here are below 4."""
    limit, number, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        number += 1
        product *= chance.random()
    return number
