"""When the scores of two fits of an attacker agree: by guesses and accuracy, not by the last digit."""

import numpy as np
import pytest

from sottovoce.audit.repeated import RecordedLine, agreement, compared, others_differ
from sottovoce.audit.results import AttackerFacts, Curve
from sottovoce.audit.scores import Scores

RECORDINGS, CLASSES = 200, 4
LABELS = np.arange(RECORDINGS) % CLASSES
ROW = AttackerFacts(
    attacker="CNN", knowledge="informed", input="sound", needs="", converged=True, curve=Curve(), seconds=1.0
)
LINE = RecordedLine("speaker", "speaker/attackers/0", ROW, None)  # type: ignore[arg-type]  # it is not fitted here


def scores(wrong: int = 0, other: int = 0, noise: float = 0.0) -> Scores:
    """Of an attacker that knows half of the recordings, but `wrong` fewer; of `other` unknown ones it guesses anew."""
    guesses = np.where(np.arange(RECORDINGS) < RECORDINGS // 2 - wrong, LABELS, (LABELS + 1) % CLASSES)
    guesses[RECORDINGS - other :] = (LABELS[RECORDINGS - other :] + 2) % CLASSES
    array = np.eye(CLASSES)[guesses][None] + noise * np.random.default_rng(0).standard_normal((1, RECORDINGS, CLASSES))
    return Scores({"speaker/labels/test": LABELS, **{name: array.astype(np.float32) for name in LINE.names}})


@pytest.mark.parametrize(
    ("again", "agrees", "said"),
    [
        (scores(), True, "equal scores"),
        (scores(noise=1e-6), True, "equal scores"),
        (scores(noise=1e-2), True, "the same guess for 100.0%"),
        (scores(other=10), True, "the same guess for 95.0%"),
        (scores(other=11), False, "the same guess for 94.5%"),
        (scores(wrong=2), True, "accuracy on test 50.0% in the record, 49.0% here"),
        (scores(wrong=3), False, "the same guess for 98.5%"),
    ],
)
def test_two_fits_agree_where_guesses_and_accuracy_do(again, agrees, said):
    text, found = compared(LINE, again, scores())
    assert found == agrees and said in text


@pytest.mark.parametrize("shape", [(2, RECORDINGS, CLASSES), (1, RECORDINGS - 1, CLASSES), (1, RECORDINGS, 3)])
def test_scores_of_another_shape_do_not_agree(shape):
    stored = scores()
    stored[LINE.names[1]] = np.zeros(shape, np.float32)
    assert compared(LINE, scores(), stored) == ("the record holds scores of another shape", False)


def test_labels_have_to_be_equal_and_answers_nearly():
    names = ["word/labels/test", "word/answers/obfuscated", "clips/test"]
    again = Scores({names[0]: LABELS, names[1]: LABELS, names[2]: np.array([str(i) for i in range(RECORDINGS)])})
    stored = Scores({name: array.copy() for name, array in again.items()})
    assert others_differ(names, again, stored) == []
    stored[names[1]][:2] += 1
    assert others_differ(names, again, stored) == []
    stored[names[1]][:3] = 9
    stored[names[0]][0] += 1
    stored[names[2]][0] = "x"
    assert [sentence.rpartition(" ")[2] for sentence in others_differ(names, again, stored)] == names
    assert agreement(names[0], again, Scores()) == 0.0, "what the record lacks"
