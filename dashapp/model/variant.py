"""Variants: which of a bucket's texts count.

A text is a reprint when another one of the same ticker, scorer and story stands before it, by published time and then
item id, less than REPRINT_US earlier. That follows from the set of scores alone: neither the order in which they came
nor who computes it matters. A text without a story is never a reprint; one of which nobody knows how relevant it is,
is relevant. Where both are asked for, reprints are told among the relevant texts, so that no story is lost as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from dashapp.errors import UnknownVariant
from dashapp.model.time import US_PER_DAY

# A story that is told again later than this is news again.
REPRINT_US = US_PER_DAY
# A text that names up to five tickers is about each of them; one that lists more is about none.
LEAST_RELEVANCE = 0.2


@dataclass(frozen=True, slots=True)
class Variant:
    """A choice of texts: each story once, relevant texts only, both, or (neither) all; `statement` is what a screen
    says of it."""

    name: str
    once: bool
    relevant: bool
    statement: str

    @property
    def is_all(self) -> bool:
        """Whether every text counts."""
        return not (self.once or self.relevant)


VARIANTS: tuple[Variant, ...] = (
    Variant("all", False, False, "All texts"),
    Variant("once", True, False, "Each story once"),
    Variant("relevant", False, True, "Relevant texts"),
    Variant("once-relevant", True, True, "Relevant stories once"),
)
ALL = VARIANTS[0]

_BY_NAME = {variant.name: variant for variant in VARIANTS}


def parse_variant(name: str) -> Variant:
    """The variant of that name; raises UnknownVariant, which lists them, for any other."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UnknownVariant(
            f"variant {name[:40]!r} is unknown. Use one of: {', '.join(_BY_NAME)}.",
            variant=name[:40],
            valid=list(_BY_NAME),
        ) from None
