"""What the card of a filter says of its codewords, in sentences."""

import pytest

from sottovoce.models.codewords import told

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
    said = told({"method": "codebook", "codewords": SYNTHETIC})
    assert "are synthetic" in said and "0.42" in said and "not above" in said and "0.76" in said


def test_recordings_say_of_how_many_people_and_that_these_have_to_be_asked():
    said = told({"method": "codebook", "codewords": RECORDINGS})
    for part in ("are recordings", "30 training recordings of 14 people", "fsdd", "CC BY-SA 4.0", "ask them", "0.99"):
        assert part in said
    assert "That is above" in said and "--codewords synthetic" in said
    assert "--codewords" not in told({"method": "words", "codewords": RECORDINGS})


def test_where_nobody_is_named_there_is_nothing_to_compare_with():
    said = told({"method": "codebook", "codewords": {**SYNTHETIC, "between_people": None}})
    assert "0.42" in said and "does not name two people" in said


@pytest.mark.parametrize("facts", [None, "synthetic", {}, {"source": "guessed"}, {"source": ["synthetic"]}])
def test_what_an_older_or_foreign_card_leaves_open_is_said_to_be_unknown(facts):
    said = told({"method": "codebook", "preset": "black-box", "codewords": facts})
    assert "is not recorded" in said and "hold training recordings" in said and "train the filter again" in said
    assert "is not recorded" in told({"method": "codebook", "preset": "black-box"})


def test_a_filter_without_codewords_has_no_such_sentence():
    assert told({"method": "optin"}) == told({}) == ""
