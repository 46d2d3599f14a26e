"""The features of a text: what the finance scorer has a weight for, and which words each of them stands on.

Words and pairs of words are features by themselves; a word behind a negation is another feature. Beside them stand few,
general ones, the events, by which the scorer reads what it was never trained on: a thing that is good or bad for a
company (profit, costs) that goes up or down, words that are good or bad in finance, a number that is compared with
another, and the order in which such words follow each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

from dashapp.ingest.scoring.words import Words

# How many words a negation reaches; how far before and after a movement stands what moves; how far a number is looked
# for that another is compared with; how far behind `avoids` and `turns to` stands what they speak of.
_NEGATED_WORDS = 3
_BEFORE_WORDS = 7
_AFTER_WORDS = 4
_COMPARED_WORDS = 14
_SPOKEN_OF_WORDS = 6
# How far words of the lexicon may stand from each other to follow each other, two and three of them.
_NEXT_WORDS = 4
_NEXT_BUT_ONE_WORDS = 7

_STOPS = frozenset(".;:!?")
# `higher sales` moves what follows, as verbs that take an object do; `more than` moves nothing.
_COMPARATIVES = frozenset(
    ["higher", "lower", "more", "less", "fewer", "greater", "stronger", "weaker", "smaller", "larger"]
)
# `high` and `low` are extremes only with one of these before them, as in `52-week low`.
_EXTREME_OF = frozenset(
    ["record", "week", "month", "year", "time", "day", "session", "new", "decade", "intraday", "multi"]
)
_EXTREMES = {"high": 1, "highs": 1, "low": -1, "lows": -1}
_OUTCOMES = {"profit": 1, "black": 1, "profitability": 1, "loss": -1, "red": -1}
_NOT_COMPARED = frozenset({"<year>", "<nth>"})
_SIGNED = {"<+pct>": "<plus>", "<+num>": "<plus>", "<-pct>": "<minus>", "<-num>": "<minus>"}


class Event(NamedTuple):
    """A general feature, with the places of the words it stands on and, where it has one, its sign."""

    key: str
    places: tuple[int, ...]
    sign: int = 0


@dataclass(frozen=True, slots=True)
class Features:
    """The features of a text: one of `words` for each word, in order; `pairs` of each word and the next, with the
    text's beginning and end as words; `skips` of each word and the next but one; `events`."""

    words: list[str]
    pairs: list[tuple[str, str]]
    skips: list[tuple[str, str]]
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the lexicon says of a word.

    `moves` is the way of a movement, `movable` whether more of it is good, `judges` a judgement: each 1, -1, or 0 for
    none. `kind` stands for the word where the order of words is looked at.
    """

    kind: str
    moves: int
    movable: int
    judges: int
    takes_object: bool
    for_itself: bool  # what improves is good, whatever it is
    negates: bool
    relieves: bool
    turns: bool
    compares: bool
    parts: bool


# The sections of the lexicon; of a word of several the first is its kind.
_KINDS = [
    "not",
    "positive",
    "negative",
    "better",
    "worse",
    "raise",
    "cut",
    "up",
    "down",
    "bad",
    "good",
    "relieve",
    "turn",
    "against",
    "break",
]


@cache
def lexicon() -> dict[str, Meaning]:
    """The meaning of each word of the lexicon."""
    names: dict[str, set[str]] = {}
    name = ""
    for line in (files(__package__) / "lexicon.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            name = line.strip("[]")
        elif not line.startswith("#"):
            for word in line.split():
                names.setdefault(word, set()).add(name)
    return {word: _meaning(each) for word, each in names.items()}


def _meaning(names: set[str]) -> Meaning:
    return Meaning(
        kind=next(kind for kind in _KINDS if kind in names),
        moves=bool(names & {"up", "raise", "better"}) - bool(names & {"down", "cut", "worse"}),
        movable=("good" in names) - ("bad" in names and "good" not in names),
        judges=("positive" in names) - ("negative" in names and "positive" not in names),
        takes_object=bool(names & {"raise", "cut"}),
        for_itself=bool(names & {"better", "worse"}),
        negates="not" in names,
        relieves="relieve" in names,
        turns="turn" in names,
        compares="against" in names,
        parts="break" in names,
    )


def features_of(read: Words) -> Features:
    """The features of a text that was read; about 20 µs for a headline."""
    words = read.words
    pairs = list(pairwise(("^", *words, "$")))
    skips = list(zip(words, words[2:], strict=False))
    known = lexicon().get
    meanings = [(place, meaning) for place, meaning in enumerate(map(known, words)) if meaning is not None]
    if not read.values and not meanings:
        return Features(words, pairs, skips, [])
    negators = _negators(words, meanings)
    marked = words
    if negators:
        marked = [f"not {word}" if place in negators else word for place, word in enumerate(words)]
    return Features(marked, pairs, skips, _Reading(read, meanings, negators).events())


def _negators(words: Sequence[str], meanings: Sequence[tuple[int, Meaning]]) -> dict[int, int]:
    """The places of negated words, each with that of the negation."""
    found: dict[int, int] = {}
    for place, meaning in meanings:
        if meaning.negates:
            for other in range(place + 1, min(place + 1 + _NEGATED_WORDS, len(words))):
                if words[other] in _STOPS or words[other] == ",":
                    break
                found[other] = place
    return found


class _Reading:
    """One text on its way to events."""

    def __init__(self, read: Words, meanings: Sequence[tuple[int, Meaning]], negators: dict[int, int]) -> None:
        self.words, self.values = read.words, read.values
        self.meanings, self.negators = meanings, negators
        self.at = dict(meanings)
        self.found: list[Event] = []
        # What can move, as (place, whether more of it is good), and of these what did.
        self.movables = [(place, meaning.movable) for place, meaning in meanings if meaning.movable]
        self.used: set[int] = set()
        # Where a clause ends: what moves stands in the clause of its movement.
        self.ends = [place for place, word in enumerate(self.words) if word in _STOPS]
        self.ends += [place for place, meaning in meanings if meaning.parts]

    def events(self) -> list[Event]:
        """All events."""
        for place, meaning in self.meanings:
            if meaning.turns:
                self._turn(place)
        for place, meaning in self.meanings:
            if meaning.moves and not (
                self.words[place] in _COMPARATIVES and self.words[place + 1 : place + 2] == ["than"]
            ):
                self._movement(place, meaning)
            elif meaning.relieves:
                self._relief(place)
            if meaning.judges and place not in self.used:
                self._judgement(place, meaning.judges)
            if meaning.compares:
                self._comparison(place)
        if not _EXTREMES.keys().isdisjoint(self.words):
            for place, word in enumerate(self.words):
                if word in _EXTREMES:
                    self._extreme(place)
        for place, sign in self.movables:
            if sign < 0 and place not in self.used:
                self._unmoved(place)
        for place in self.values:
            if self.words[place] in _SIGNED:
                self.found.append(Event(_SIGNED[self.words[place]], (place,)))
        total = sum(event.sign for event in self.found)
        if total:
            places = {place for event in self.found if event.sign for place in event.places}
            self.found.append(Event(f"<sum {max(-2, min(2, total)):+d}>", tuple(sorted(places))))
        self._orders()
        return self.found

    def _movement(self, place: int, meaning: Meaning) -> None:
        negator = self.negators.get(place)
        where = (place,) if negator is None else (negator, place)
        way = meaning.moves if negator is None else -meaning.moves
        movable = self._movable_near(place, meaning.takes_object or self.words[place] in _COMPARATIVES)
        denied = "" if negator is None else " not"
        if movable is None:
            self.found.append(Event(f"<alone{denied} {way:+d}>", where, way))
            return
        what, good = movable
        if meaning.for_itself:
            good = 1
        sign = good * way
        kind = ("raise" if meaning.takes_object else "move") + ("" if good > 0 else " bad") + denied
        self.found.append(Event(f"<{kind} {sign:+d}>", (*where, what)))
        self.found.append(Event(f"<moved {sign:+d}>", (*where, what), sign))
        self.used.add(what)

    def _movable_near(self, place: int, is_ahead: bool) -> tuple[int, int] | None:
        """What moves by the movement at a place; of two candidates, whether the one ahead is it."""
        behind = ahead = None
        for movable in self.movables:
            distance = movable[0] - place
            if distance < 0:
                if -distance <= _BEFORE_WORDS and not self._parted(movable[0], place):
                    behind = movable
            elif distance > _AFTER_WORDS:
                break
            elif distance and not self._parted(place, movable[0]):
                ahead = movable
                break
        if behind and ahead:
            return ahead if is_ahead or (ahead[0] - place == 1 and place - behind[0] > 2) else behind
        return behind or ahead

    def _parted(self, one: int, other: int) -> bool:
        return any(one < end <= other for end in self.ends)

    def _relief(self, place: int) -> None:
        for other in self._ahead(place, _SPOKEN_OF_WORDS):
            meaning = self.at.get(other)
            if meaning and (meaning.judges < 0 or meaning.movable < 0):
                self.found.append(Event("<relief>", (place, other), 1))
                self.used.add(other)
                return

    def _judgement(self, place: int, sign: int) -> None:
        if self.words[place] == "record" and place + 1 < len(self.words):
            after = self.at.get(place + 1)
            if self.words[place + 1] in _EXTREMES or (after and after.movable < 0):
                return
        less = next(
            (other for other in range(max(place - 2, 0), place) if self.words[other] in ("less", "fewer")), None
        )
        negator = self.negators.get(place)
        if less is not None:
            self.found.append(Event(f"<less {-sign:+d}>", (less, place), -sign))
        elif negator is not None:
            self.found.append(Event(f"<not {-sign:+d}>", (negator, place), -sign))
        else:
            self.found.append(Event(f"<word {sign:+d}>", (place,), sign))

    def _extreme(self, place: int) -> None:
        of = next(
            (other for other in range(place - 1, max(place - 4, -1), -1) if self.words[other] in _EXTREME_OF), None
        )
        if of is None:
            return
        here = [each for each in self.movables if not self._parted(*sorted((each[0], place)))]
        movable = min(here, key=lambda each: abs(each[0] - place), default=None)
        sign = _EXTREMES[self.words[place]] * (1 if movable is None else movable[1])
        where = (of, place) if movable is None else (movable[0], of, place)
        self.found.append(Event(f"<extreme {sign:+d}>", where, sign))

    def _turn(self, place: int) -> None:
        for other in self._ahead(place, _SPOKEN_OF_WORDS):
            if self.words[other] in _OUTCOMES:
                sign = _OUTCOMES[self.words[other]]
                self.found.append(Event(f"<turn {sign:+d}>", (place, other), sign))
                # What it turned from stands behind, and is no news.
                self.used |= {each for each in range(other, len(self.words)) if self.words[each] in _OUTCOMES}
                return

    def _comparison(self, place: int) -> None:
        """Numbers that are compared: `to EUR 13 mn from EUR 8 mn`, `a loss of 2, compared with a profit of 3`."""
        then = next((other for other in self._ahead(place, _SPOKEN_OF_WORDS + 2) if self._is_amount(other)), None)
        if then is None:
            return
        same = [other for other in self.values if self.words[other] == self.words[then]]
        now = next((other for other in reversed(same) if 0 < place - other < _COMPARED_WORDS), None)
        if now is None and self.words[place] == "from":  # from 8 to 13
            now = next((other for other in same if 0 < other - then <= _SPOKEN_OF_WORDS), None)
            if now is not None and "to" not in self.words[then:now]:
                return
        if now is None:
            return
        movable = next((each for each in reversed(self.movables) if each[0] < now), None)
        good = 1 if movable is None else movable[1]
        where = (now, place, then) if movable is None else (movable[0], now, place, then)
        was = next((_OUTCOMES[word] for word in self.words[place + 1 : then] if word in _OUTCOMES), 0)
        if was == -good:
            self.found.append(Event(f"<turn {good:+d}>", where, good))
        elif self.values[now] != self.values[then]:
            sign = good if self.values[now] > self.values[then] else -good
            self.found.append(Event(f"<compared {sign:+d}>", where, sign))

    def _unmoved(self, place: int) -> None:
        """A loss that is told in numbers, or any other bad thing of which nothing more is said."""
        is_amount = self.words[place] in ("loss", "losses") and any(
            self.words[other] == "<money>" for other in self._ahead(place, 8)
        )
        self.found.append(Event("<loss of>" if is_amount else "<bad>", (place,)))

    def _orders(self) -> None:
        """The kinds of two and of three words of the lexicon that follow each other closely."""
        meanings = self.meanings
        for number in range(1, len(meanings)):
            place, meaning = meanings[number]
            before, of_before = meanings[number - 1]
            if place - before <= _NEXT_WORDS:
                self.found.append(Event(f"{of_before.kind} {meaning.kind}", (before, place)))
            if number > 1:
                first, of_first = meanings[number - 2]
                if place - first <= _NEXT_BUT_ONE_WORDS:
                    self.found.append(Event(f"{of_first.kind} {of_before.kind} {meaning.kind}", (first, before, place)))

    def _is_amount(self, place: int) -> bool:
        return place in self.values and self.words[place] not in _NOT_COMPARED

    def _ahead(self, place: int, reach: int) -> range:
        return range(place + 1, min(place + 1 + reach, len(self.words)))
