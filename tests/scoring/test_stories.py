"""Which texts tell the same story, and how much a text is about a ticker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dashapp.ingest.scoring.scorer import load_scorer, score_items
from dashapp.ingest.stories import story_of
from dashapp.model.item import Item, Mention
from dashapp.model.time import EpochUs


def item(text: str, *mentions: Mention) -> Item:
    return Item(id=text, published_us=EpochUs(0), text=text, mentions=mentions, source="wire")


def test_reprints_tell_the_same_story() -> None:
    stories = {
        story_of(text)
        for text in (
            "Acme beats estimates by 5%",
            "RT @wire: ACME  beats estimates, by 5%",
            "Acme beats estimates by 5%! https://t.co/x1",
            "$ACME Acme beats estimates by 5%",
        )
    }
    assert len(stories) == 1


def test_another_number_is_another_story_and_no_words_are_none() -> None:
    assert story_of("Acme beats estimates by 5%") != story_of("Acme beats estimates by 6%")
    assert story_of("") is story_of("https://t.co/x1 $ACME !") is None


@given(st.text(max_size=80))
def test_a_story_does_not_change_with_blanks_around(text: str) -> None:
    assert story_of(text) == story_of(f"  {text}\n")


def test_what_is_scored_here_is_marked_and_what_came_scored_is_not() -> None:
    items = [
        item("Acme beats estimates", Mention("A"), Mention("B", relevance=0.9), Mention("C"), Mention("D")),
        item("Acme beats estimates!", Mention("A")),
        item("Acme beats estimates too", Mention("A", score=0.5)),
    ]
    scores, owners = score_items(items, load_scorer())
    assert owners == [0, 0, 0, 0, 1, 2]
    assert [score.relevance for score in scores] == [0.25, 0.9, 0.25, 0.25, 1.0, None]
    assert len({score.story_id for score in scores[:5]}) == 1
    assert (scores[0].story_id is None, scores[5].story_id) == (False, None)
