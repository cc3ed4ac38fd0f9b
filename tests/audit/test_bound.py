"""The bound holds for every attacker: here for the best there can be, on channels drawn at random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as reference_entropy

from sottovoce.audit import bound
from sottovoce.audit.bound import counted, fano, table_attacker
from sottovoce.audit.mutual_information import entropy
from sottovoce.audit.results import BoundFacts, PrivateFacts
from sottovoce.audit.scores import Scores


def channels(seed: int, labels: int, codes: int) -> np.ndarray:
    """A joint distribution [labels, codes], often a sharp one."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(labels * codes, rng.choice([0.02, 0.2, 2.0]))).reshape(labels, codes)


@given(st.integers(0, 10_000), st.integers(2, 12), st.sampled_from([1, 2, 4, 8]))
def test_nobody_does_better(seed, labels, codes):
    """Bayes' rule, which knows the channel, guesses right with the sum over codes of their commonest label's share."""
    joint = channels(seed, labels, codes)
    best = joint.max(axis=0).sum()
    shares, bits = joint.sum(axis=1), np.log2(codes)
    assert best <= counted(bits, shares.max()) + 1e-9
    assert best <= fano(bits, shares) + 1e-9


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_nobody_does_better_with_two_blocks(seed, labels):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(labels))
    pairs = rng.dirichlet(np.full(4, 0.3), size=labels)  # of each label: which two codes of one bit are sent
    best = (shares[:, None] * pairs).max(axis=0).sum()
    assert best <= min(counted(2.0, shares.max()), fano(2.0, shares)) + 1e-9


def test_the_bounds_by_hand():
    uniform = np.full(24, 1 / 24)
    assert counted(3.0, 1 / 24) == pytest.approx(8 / 24)
    assert counted(0.0, 0.3) == pytest.approx(0.3)
    assert counted(2000.0, 0.5) == 1.0
    assert fano(0.0, uniform) == pytest.approx(1 / 24, abs=1e-6)  # of a uniform label, without any bits, chance
    assert fano(np.log2(24), uniform) == 1.0
    assert fano(5.0, np.array([1.0, 0.0])) == 1.0
    wrong = 1.0 - fano(3.0, uniform)
    known = entropy(np.array([wrong, 1 - wrong])) + wrong * np.log2(23)
    assert known == pytest.approx(np.log2(24) - 3.0)  # on the edge of the inequality


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(any))
def test_entropy_is_that_of_scipy(counts):
    assert entropy(np.array(counts)) == pytest.approx(reference_entropy(counts, base=2), abs=1e-9)


def test_the_table_is_the_commonest_label_of_each_code():
    scores = Scores(
        {
            "codes/train": np.array([0, 0, 0, 1, 1, 1]),
            "codes/train/owner": np.array([0, 1, 2, 2, 3, 3]),
            "codes/test": np.array([0, 1, 2]),
            "codes/test/owner": np.array([0, 0, 1]),
        }
    )
    train, test = np.array([5, 5, 4, 4]), np.array([5, 4])
    # Code 0 stood for 5, 5, 4, code 1 for 4, 4, 4; code 2 was never seen, and of two labels as common the first wins.
    assert table_attacker(scores, train, test, 3, 6).tolist() == [True, False, True]


def test_what_is_said_of_a_span():
    scores = Scores(
        {
            "codes/train": np.array([0, 1, 2, 3]),
            "codes/train/owner": np.arange(4),
            "codes/test": np.array([0, 1, 2, 3]),
            "codes/test/owner": np.arange(4),
            "who/labels/train": np.arange(4) % 2,
            "who/labels/test": np.arange(4) % 2,
            "who/cluster": np.arange(4),
        }
    )
    known = BoundFacts(codes={"word": 4, "mood": 1}, block_s=1.28, constant_blocks=0)
    people = PrivateFacts(class_names=["a", "b"], cluster="utterance", attackers=[], originals=[])
    found = bound.summary(known, {"who": people}, scores)
    assert found.bits_per_block == 2.0
    assert found.entropy_bits_per_block == pytest.approx(2.0)
    who = found.attributes["who"]
    assert who.entropy_bits == 1.0
    # The longest recording is one block; a window of 1 s, 1 min or 1 h may begin within a block.
    assert [span.bits for span in who.spans] == [2.0, 2.0 * 2, 2.0 * 48, 2.0 * 2814]
    assert all(span.accuracy == 1.0 for span in who.spans)
    constant = bound.summary(known.model_copy(update={"constant_blocks": 3}), {"who": people}, scores)
    assert [span.bits for span in constant.attributes["who"].spans] == [2.0, 2.0 * 2, 2.0 * 17, 2.0 * 939]
