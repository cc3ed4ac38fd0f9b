"""The players of a filter for digit strings: a target that does not see padding, an encoder that cannot see ahead."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.models.deepspeech2 import DeepSpeech2Ctc
from sottovoce.models.digit_codes import BLANK, CODES, ctc_onsets, digits_of, labels
from sottovoce.models.digit_encoder import DigitEncoder
from sottovoce.models.word_table import PAUSE_BLOCKS, SLOT_BLOCKS, WordTable, place

CODE = st.integers(0, BLANK)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def encoder() -> DigitEncoder:
    torch.manual_seed(0)
    network = DigitEncoder(width=16, hidden=12)
    network(noise(4, 161, 40))  # running statistics of their own
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def words() -> WordTable:
    rng = np.random.default_rng(0)
    return WordTable(rng.random((10, 161, 8), dtype=np.float32))


def test_transcripts_as_labels_and_back():
    assert labels("3 1 4") == [3, 1, 4]
    with pytest.raises(ValueError, match="'3 12'"):
        labels("3 12")


def test_a_digit_is_news_once_and_again_after_a_blank():
    assert ctc_onsets([BLANK, 3, 3, BLANK, 3, 4, 4, BLANK]) == [BLANK, 3, BLANK, BLANK, 3, 4, BLANK, BLANK]
    assert digits_of(ctc_onsets([3, 3, BLANK, 3])) == [3, 3]
    assert ctc_onsets([3], last=3) == [BLANK]


@given(st.lists(CODE, max_size=20), st.integers(0, 20))
def test_news_in_two_parts_is_news_of_the_whole(best, cut):
    first, second = best[:cut], best[cut:]
    assert ctc_onsets(first) + ctc_onsets(second, first[-1] if first else BLANK) == ctc_onsets(best)


@pytest.mark.parametrize("frames", [1, 2, 7, 30])
def test_the_target_gives_a_row_each_20_ms(frames):
    network = DeepSpeech2Ctc(maps=4, hidden=8).eval()
    assert network(noise(2, 161, frames)).shape == (2, (frames + 1) // 2, CODES)


def test_the_target_hears_no_padding():
    network = DeepSpeech2Ctc(maps=4, hidden=8).eval()
    spectra, frames = noise(3, 161, 40), torch.tensor([40, 23, 12])
    logits, counts = network.read(spectra, frames)
    assert counts.tolist() == [20, 12, 6]
    for row, spectrum, length, count in zip(logits, spectra, frames, counts, strict=True):
        torch.testing.assert_close(row[:count], network(spectrum[None, :, :length])[0])


@pytest.mark.parametrize("cuts", [[1] * 10, [3, 1, 6], [10]])
def test_the_encoder_in_steps_is_the_encoder_at_once(encoder, cuts):
    spectra, state, codes, logits = noise(2, 161, 40), encoder.initial_state(2), [], []
    plain, position = encoder.initial_state(2), 0
    for blocks in cuts:
        frames = spectra[:, :, 4 * position : 4 * (position + blocks)]
        new, state = encoder.step(frames, state)
        part, plain = encoder.advance(frames, plain)
        codes.append(new)
        logits.append(part)
        position += blocks
    whole = encoder(spectra)
    torch.testing.assert_close(torch.cat(logits, dim=1), whole)
    assert torch.cat(codes, dim=1).tolist() == [ctc_onsets(row.tolist()) for row in whole.argmax(dim=2)]


def test_the_encoder_cannot_see_ahead(encoder):
    spectra = noise(1, 161, 40).requires_grad_()
    encoder(spectra)[0, 4].sum().backward()
    assert spectra.grad is not None
    assert (spectra.grad[:, :, 20:] == 0).all(), "block 4 ends with frame 19"
    assert (spectra.grad[:, :, 19] != 0).any()


def test_the_encoder_hears_no_padding(encoder):
    spectra = noise(2, 161, 40)
    logits, counts = encoder.read(spectra, torch.tensor([40, 21]))
    assert counts.tolist() == [10, 6]
    torch.testing.assert_close(logits[1, :5], encoder(spectra[1:, :, :20])[0])


def test_a_step_leaves_the_state_it_was_given(encoder):
    state = encoder.initial_state(1)
    before = {name: tensor.clone() for name, tensor in state.items()}
    encoder.step(noise(1, 161, 8), state)
    assert all(torch.equal(state[name], before[name]) for name in before)


@given(st.lists(CODE, max_size=40), st.integers(1, 12), st.sampled_from(["even", "steady", "live"]))
def test_every_digit_is_said_in_order_and_no_two_at_a_time(codes, word_blocks, pace):
    placed = place(codes, word_blocks, pace)
    assert [digit for _, digit in placed] == digits_of(codes)
    starts = [start for start, _ in placed]
    assert all(later - start >= word_blocks for start, later in pairwise(starts))


@given(st.lists(CODE, max_size=40), st.lists(CODE, max_size=10))
def test_live_words_are_placed_by_what_was_before_and_in_the_time_of_their_codes(codes, future):
    placed = place(codes, 3, "live")
    assert place(codes + future, 3, "live")[: len(placed)] == placed
    blocks = [block for block, code in enumerate(codes) if code != BLANK]
    late = [start - PAUSE_BLOCKS - (block - blocks[0]) for (start, _), block in zip(placed, blocks, strict=True)]
    assert late[:1] in ([], [0]) and all(blocks >= 0 for blocks in late)


def test_at_an_even_pace_only_the_transcript_is_heard(words):
    quick, slow = [3, 3, 8], [BLANK, 3, *[BLANK] * 30, 3, BLANK, 8, *[BLANK] * 9]
    assert np.array_equal(words.draw(quick, "even"), words.draw(slow, "even"))
    assert len(words.draw(slow, "live")) > len(words.draw(quick, "live"))
    assert [start for start, _ in place(slow, 10, "even")] == [PAUSE_BLOCKS + i * (10 + PAUSE_BLOCKS) for i in range(3)]


def test_at_a_steady_pace_the_tempo_is_heard_only_where_somebody_hesitates(words):
    quick, slow, hesitant = ([3, *[BLANK] * pause, 1, *[BLANK] * pause, 4] for pause in (9, 29, 30))
    assert np.array_equal(words.draw(quick, "steady"), words.draw(slow, "steady"))
    starts = [start - PAUSE_BLOCKS for start, _ in place(hesitant, 10, "steady")]
    assert starts == [0, 2 * SLOT_BLOCKS, 3 * SLOT_BLOCKS]


def test_what_is_drawn_live_is_never_taken_back(words):
    codes = [BLANK, 3, BLANK, 8, BLANK, BLANK, BLANK, BLANK]
    whole = words.draw(codes, "live")
    for count in range(2, len(codes)):
        sent = (PAUSE_BLOCKS + count - 2) * 640  # by the end of that block, as the first code was known after two
        assert np.array_equal(words.draw(codes[:count], "live")[:sent], whole[:sent])


def test_how_long_nothing_was_said_before_does_not_pass(words):
    assert np.array_equal(words.draw([3, BLANK, 8], "live"), words.draw([BLANK] * 9 + [3, BLANK, 8], "live"))


@pytest.mark.parametrize("pace", ["even", "steady", "live"])
def test_nothing_said_is_faint_noise(words, pace):
    silence = words.draw([BLANK] * 9, pace)
    assert silence.shape == (PAUSE_BLOCKS * 640,) and 0.0 < np.abs(silence).max() < 0.01
    assert np.array_equal(silence, words.draw([], pace))
