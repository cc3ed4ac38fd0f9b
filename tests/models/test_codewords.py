"""What the card of a filter says of its codewords, in sentences."""

import pytest

from sottovoce.models.codewords import describe

RECORDINGS = {
    "source": "recordings",
    "recordings": 30,
    "people": 14,
    "corpus": "fsdd",
    "licence": "CC BY-SA 4.0",
    "highest_similarity": 0.994,
    "between_people": 0.76,
}
SYNTHETIC = {"source": "synthetic", "highest_similarity": 0.42, "between_people": 0.76}


def test_synthetic_codewords():
    text = describe({"method": "codebook", "codewords": SYNTHETIC})
    assert "are synthetic" in text and "0.42" in text and "not above" in text and "0.76" in text


def test_recordings_say_of_how_many_people_and_that_these_have_to_be_asked():
    text = describe({"method": "codebook", "codewords": RECORDINGS})
    for part in ("are recordings", "30 training recordings of 14 people", "fsdd", "CC BY-SA 4.0", "ask them", "0.99"):
        assert part in text
    assert "That is above" in text and "--codewords synthetic" in text
    assert "--codewords" not in describe({"method": "words", "codewords": RECORDINGS})


def test_where_nobody_is_named_there_is_nothing_to_compare_with():
    text = describe({"method": "codebook", "codewords": {**SYNTHETIC, "between_people": None}})
    assert "0.42" in text and "does not name two people" in text


@pytest.mark.parametrize("facts", [None, "synthetic", {}, {"source": "guessed"}, {"source": ["synthetic"]}])
def test_what_an_older_or_foreign_card_leaves_open_is_said_to_be_unknown(facts):
    text = describe({"method": "codebook", "preset": "black-box", "codewords": facts})
    assert "is not recorded" in text and "hold training recordings" in text and "train the filter again" in text
    assert "is not recorded" in describe({"method": "codebook", "preset": "black-box"})


def test_a_filter_without_codewords_has_no_such_sentence():
    assert describe({"method": "optin"}) == describe({}) == ""
