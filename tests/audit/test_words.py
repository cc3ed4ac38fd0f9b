"""Word errors by hand, and the entropy of codes."""

import numpy as np
import pytest

from sottovoce.audit.metrics import added_error_rate, word_error_rate, word_errors
from sottovoce.audit.mutual_information import entropy
from sottovoce.audit.results import Interval


@pytest.mark.parametrize(
    ("heard", "said", "errors"),
    [
        ([], [], 0),
        ([3, 1, 4], [3, 1, 4], 0),
        ([], [3, 1, 4], 3),  # all missed
        ([3, 1, 4], [], 3),  # all made up
        ([3, 4], [3, 1, 4], 1),  # one missed
        ([3, 1, 1, 4], [3, 1, 4], 1),  # one made up
        ([3, 2, 4], [3, 1, 4], 1),  # one mistaken
        ([1, 4, 3], [3, 1, 4], 2),  # one moved: missed here, made up there
        ([1, 2, 3], [4, 5, 6], 3),
    ],
)
def test_word_errors_by_hand(heard, said, errors):
    assert word_errors(heard, said) == errors
    assert word_errors(said, heard) == errors, "what was missed one way was made up the other"


def test_the_rate_is_errors_over_words_of_all_utterances():
    said = [[1, 2, 3, 4, 5, 6], [7, 8]]
    rate = word_error_rate([[1, 2, 3, 4, 5, 6], [7]], said)
    assert rate.score == 1 / 8, "not the mean of 0 and 1/2"
    assert rate.low == 0.0 and rate.high >= 1 / 2


def test_many_errors_are_a_rate_above_one():
    assert word_error_rate([[1, 2, 3]], [[4]]).score == 3.0


def test_what_is_added_is_the_difference_and_may_be_negative():
    said, worse, better = [[1, 2], [3, 4]], [[1], [3]], [[1, 2], [3]]
    assert added_error_rate(worse, better, said).score == -0.25
    assert added_error_rate(better, worse, said).score == 0.25
    assert added_error_rate(worse, worse, said) == Interval(score=0.0, low=0.0, high=0.0)


def test_entropy_of_codes():
    assert entropy(np.bincount([10, 10, 10])) == 0.0
    assert entropy(np.bincount([1, 10, 10, 1])) == 1.0
    assert entropy(np.bincount(range(8))) == pytest.approx(3.0)
