"""Which scorers there are, and what is said of one that is not installed."""

from __future__ import annotations

import sys

import pytest

from dashapp.errors import UnknownScorer
from dashapp.ingest.scoring.scorer import load_scorer


def test_a_transformer_without_the_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnxruntime", "torch"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnknownScorer, match=r"pip install tickertone\[finbert\]"):
        load_scorer("finbert")


@pytest.mark.parametrize("name", ["nobody", "finance@0", "vader:there", "@1"])
def test_a_scorer_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(UnknownScorer, match="finance"):
        load_scorer(name)
