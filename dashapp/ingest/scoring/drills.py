"""Drills: sentences of known meaning, made from patterns, that are trained on beside what people labelled.

Posts and headlines show how people write, but few of them say that a loss was smaller than a year ago, or that costs
rose; of that a scorer must be certain all the same. The patterns and words, in `drills.txt`, were written for
Tickertone; nobody is quoted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from dashapp.model.score import Label


@cache
def _lines(section: str) -> tuple[str, ...]:
    """The lines of a section of the file of patterns."""
    return _sections()[section]


@cache
def _sections() -> dict[str, tuple[str, ...]]:
    sections: dict[str, list[str]] = {}
    for line in (files(__package__) / "drills.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            lines = sections.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            lines.append("" if line == "-" else line)
    return {name: tuple(lines) for name, lines in sections.items()}


def drills(seed: int, count: int) -> Iterator[tuple[str, Label]]:
    """That many sentences with their labels; the same for the same seed."""
    random_ = random.Random(seed)  # noqa: S311 - guards nothing
    makers = (*[_movement] * 2, _comparison, *[_statement] * 3, *[_headline] * 2, *[_neutral] * 4)
    for number in range(count):
        yield makers[number % len(makers)](random_)


def _movement(random_: random.Random) -> tuple[str, Label]:
    """A thing that moves, with or without how far."""
    is_good, is_up = random_.random() < 0.65, random_.random() < 0.5
    verbs = (
        (_lines("rose") if is_up else _lines("fell"))
        if is_good
        else (_lines("bad rose") if is_up else _lines("bad fell"))
    )
    low, high = _two(random_)
    to, since = (high, low) if is_up else (low, high)
    first, percent, money = random_.choice(_lines("first")), random_.randint(2, 60), random_.choice(_lines("money"))
    before, last = _before(random_), random_.choice(_lines("last"))
    by = random_.choice(
        [
            "",
            f" by {percent} %",
            f" {percent}%",
            f" {percent} per cent {before}",
            f" to {money.format(n=to)}",
            f" to {money.format(n=to)} from {money.format(n=since)} {before}",
            f" from {money.format(n=since)} to {money.format(n=to)}",
        ]
    )
    text = (
        first + random_.choice(_lines("good") if is_good else _lines("bad")) + " " + random_.choice(verbs) + by + last
    )
    return text, "positive" if is_good == is_up else "negative"


def _comparison(random_: random.Random) -> tuple[str, Label]:
    """A number beside another, with no word that says which way it went, or `up from`."""
    is_good, is_up = random_.random() < 0.75, random_.random() < 0.5
    low, high = _two(random_)
    now, then = (high, low) if is_up else (low, high)
    was = random_.choice(["was", "totalled", "totaled", "amounted to", "stood at", "came to", "of"])
    money = random_.choice(_lines("money"))
    word = random_.choice(
        [", compared with", ", compared to", " compared with", ", versus", ", as against", ", up from"]
    )
    if word == ", up from" and not is_up:
        word = ", down from"
    first, before = random_.choice(_lines("first")), _before(random_)
    what = random_.choice(_lines("good" if is_good else "bad"))
    text = f"{first}{what} {was} {money.format(n=now)}{word} {money.format(n=then)} {before}"
    return text, "positive" if is_good == is_up else "negative"


def _statement(random_: random.Random) -> tuple[str, Label]:
    if random_.random() < 0.5:
        return _filled(random_.choice(_lines("positive")), random_), "positive"
    return _filled(random_.choice(_lines("negative")), random_), "negative"


def _headline(random_: random.Random) -> tuple[str, Label]:
    if random_.random() < 0.5:
        return _filled(random_.choice(_lines("good headlines")), random_), "positive"
    return _filled(random_.choice(_lines("bad headlines")), random_), "negative"


def _neutral(random_: random.Random) -> tuple[str, Label]:
    return _filled(random_.choice(_lines("neutral")), random_), "neutral"


def _filled(pattern: str, random_: random.Random) -> str:
    values = {name.strip("{}"): random_.choice(lines) for name, lines in _sections().items() if name.startswith("{")}
    money = random_.choice(_lines("money")).format(n=_two(random_)[0])
    year, small, large = random_.randint(2004, 2022), random_.randint(2, 28), random_.randint(30, 9000)
    return pattern.format(**values, m=money, y=year, k=small, n=large, b=_before(random_))


def _before(random_: random.Random) -> str:
    return random_.choice(_lines("before")).format(y=random_.randint(2003, 2021))


def _two(random_: random.Random) -> tuple[str, str]:
    low = random_.uniform(0.2, 400)
    return f"{low:.1f}", f"{low * random_.uniform(1.05, 2.5):.1f}"
