"""Revoked means zero: what leaves, now and ever after, does not depend on sound of the time when a task was revoked.

The encoders here answer with a hash of all that they are given, so that a single bit that gets past shows.
"""

import hashlib
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.audio.segment import FRONT_END, SEGMENT_SAMPLES, front_end
from sottovoce.models.codebook import SOUND_SAMPLES, Codebook, nothing
from sottovoce.models.digit_codes import BLANK, CODES
from sottovoce.models.whole import CodewordDecoder
from sottovoce.models.word_table import WordTable
from sottovoce.runtime.codebook import CodebookEngine
from sottovoce.runtime.engine import FilterConfig
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.word_filter import WordEngine

CLASSES = {"mood": 4, "word": 3}
TASKS = tuple(CLASSES)


def hashed(content: bytes, count: int) -> np.ndarray:
    return np.frombuffer(hashlib.shake_128(content).digest(2 * count), "<u2").astype(np.float32)


class Hashing:
    """Log posteriors of both tasks that change with every bit; those of tasks in `deaf` never do."""

    def __init__(self, deaf: tuple[str, ...] = ()) -> None:
        self.deaf = deaf

    def run(self, spectra):
        rows = []
        for spectrum in spectra:
            parts = {task: hashed(spectrum.tobytes() + task.encode(), count) for task, count in CLASSES.items()}
            for task in self.deaf:
                parts[task] = np.arange(CLASSES[task], dtype=np.float32)
            none = {task: hashed(spectrum.tobytes() + f"none of {task}".encode(), 2)[0] / 65536 for task in CLASSES}
            for task in self.deaf:
                none[task] = np.float32(0.1)
            both = [[*np.log(part / part.sum() + 1e-9), np.log(none[task] + 1e-9)] for task, part in parts.items()]
            rows.append(np.concatenate(both))
        return np.stack(rows).astype(np.float32)


@cache
def codebook(memory: float, block_segments: int) -> Codebook:
    """Made once, since the spectra of its codewords are."""
    rng = np.random.default_rng(0)
    sounds = rng.integers(0, 256, (3, *(count + 1 for count in CLASSES.values()), SOUND_SAMPLES), dtype=np.uint8)
    sounds[nothing(len(TASKS))] = 128
    centres = tuple(np.eye(count, dtype=np.float32) for count in CLASSES.values())
    return Codebook(TASKS, centres, (0.8, 0.8), sounds, memory, block_segments)


def codebook_filter(deaf: tuple[str, ...] = (), memory: float = 1.0, block_segments: int = 1) -> Filter:
    config = FilterConfig(FRONT_END, "codebook", {}, 0.6, 0.8)
    card = {"classes": {task: [f"{task} {number}" for number in range(count)] for task, count in CLASSES.items()}}
    return Filter(CodebookEngine(config, TASKS, Hashing(deaf), codebook(memory, block_segments)), card)


def word_filter() -> Filter:
    """A digit or a blank for each block, by a hash of all that came before."""

    def encode(frames, state):
        key = hashlib.sha256(state["before"] + frames.tobytes()).digest()
        return [key[0] % CODES], {"before": key}

    table = WordTable(np.random.default_rng(0).random((BLANK, 161, 12), dtype=np.float32))
    return Filter(
        WordEngine(FilterConfig(FRONT_END, "words", {}, 0.0, 1.0), ("digits",), encode, {"before": b""}, table)
    )


Timeline = list[tuple[int, tuple[str, ...]]]  # samples at 16 kHz, and the tasks that are permitted meanwhile


def sounds(timeline: Timeline, private: str | None, rate: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two sounds in pieces that differ while `private` is revoked; if it is None, while nothing is permitted."""
    rng = np.random.default_rng(seed)
    pieces = [0.1 * rng.standard_normal(samples * rate // 16000).astype(np.float32) for samples, _ in timeline]
    hidden = [not permit if private is None else private not in permit for _, permit in timeline]
    others = [rng.standard_normal(len(piece)).astype(np.float32) for piece in pieces]
    return pieces, [other if secret else piece for piece, other, secret in zip(pieces, others, hidden, strict=True)]


def left(stream, timeline: Timeline, pieces: list[np.ndarray], cut: int) -> bytes:
    """All that leaves, in pieces as they leave, so that their lengths count as well."""
    out = []
    for (_, permit), piece in zip(timeline, pieces, strict=True):
        stream.permitting(permit)
        out += [stream.feed(part) for part in np.array_split(piece, cut)]
    out.append(stream.flush())
    return b"|".join(repr(part).encode() if isinstance(part, list) else part.tobytes() for part in out)


LENGTHS = st.one_of(
    st.integers(0, 50_000), st.sampled_from([0, 1, 640, SEGMENT_SAMPLES, 2 * SEGMENT_SAMPLES, SEGMENT_SAMPLES - 1])
)
SUBSETS = st.sampled_from([(), ("mood",), ("word",), ("mood", "word")])
TIMELINES = st.lists(st.tuples(LENGTHS, SUBSETS), min_size=1, max_size=5)
RATES = st.sampled_from([8000, 16000, 44100, 48000])


@settings(deadline=None, max_examples=60)
@given(
    TIMELINES,
    RATES,
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([1, 2]),
    st.sampled_from(["sound", "features", "labels", "constant", "constant labels"]),
    st.sampled_from([None, "mood", "word"]),
    st.integers(0, 99),
)
def test_a_codebook_filter_never_tells_of_the_time_of_a_revocation(timeline, rate, memory, blocks, form, private, seed):
    other = tuple(task for task in TASKS if task != private) if private else ()
    filter_ = codebook_filter(other, memory, blocks)
    filter_ = filter_.constant(2) if "constant" in form else filter_
    if "labels" in form:
        stream = filter_.label_stream(rate)
    else:
        stream = filter_.feature_stream(rate) if form == "features" else filter_.stream(rate)
    one, two = sounds(timeline, private, rate, seed)
    assert left(stream, timeline, one, 3) == left(stream, timeline, two, 3)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(LENGTHS, st.sampled_from([(), ("digits",)])), min_size=1, max_size=5), RATES, st.integers(0, 99)
)
def test_a_filter_of_words_never_tells_of_the_time_of_a_revocation(timeline, rate, seed):
    stream = word_filter().stream(rate)
    one, two = sounds(timeline, "digits", rate, seed)
    assert left(stream, timeline, one, 3) == left(stream, timeline, two, 3)


@pytest.mark.parametrize("form", ["stream", "label_stream"])
@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("rest", [1, SEGMENT_SAMPLES])
def test_the_hash_would_show_it(rate, rest, form):
    """A sound that differs by one sample while the task is permitted leaves something else: these tests can fail."""
    timeline = [(2 * SEGMENT_SAMPLES, ("mood",)), (rest, ("mood",))]
    one, _ = sounds(timeline, "mood", rate, 0)
    two = [one[0].copy(), one[1]]
    two[0][rate // 10] += 0.01
    stream = getattr(codebook_filter(), form)(rate)
    assert left(stream, timeline, one, 3) != left(stream, timeline, two, 3)


@pytest.mark.parametrize("rest", [1, 700, SEGMENT_SAMPLES])
def test_one_sample_or_silence_after_a_revocation_tells_nothing(rest):
    """The attack that this promise was broken by: revoke, speak, permit again, and send next to nothing."""
    timeline = [(2 * SEGMENT_SAMPLES, ("word",)), (rest, ("mood", "word"))]
    speech, other = sounds(timeline, "mood", 16000, 0)
    speech[1] = other[1] = np.zeros(rest, np.float32)
    stream = codebook_filter(("word",)).stream()
    assert left(stream, timeline, speech, 1) == left(stream, timeline, other, 1)


def test_consent_begins_with_the_next_whole_block_and_ends_at_once():
    half = SEGMENT_SAMPLES // 2
    filter_ = codebook_filter(("word",))
    book = filter_.engine.codebook
    says = {
        book.draw(np.array([[mood, word]]), np.array([at]))[0].tobytes(): mood
        for mood in range(5)
        for word in range(4)
        for at in range(3)
    }
    seconds = []
    for seed in range(20):  # in which of these sounds untrained weights hear a mood depends on the processor's rounding
        wav = 0.1 * np.random.default_rng(seed).standard_normal(4 * SEGMENT_SAMPLES).astype(np.float32)
        stream = filter_.feature_stream(16000)
        stream.permitting(["word"])
        drawn = [stream.feed(wav[:half])]
        stream.permitting(["mood", "word"])  # in the middle of the first block
        drawn.append(stream.feed(wav[half : 2 * SEGMENT_SAMPLES + half]))
        stream.permitting(["word"])  # in the middle of the third
        drawn += [stream.feed(wav[2 * SEGMENT_SAMPLES + half :]), stream.flush()]
        blocks = np.split(np.concatenate(drawn, axis=1), 4, axis=1)
        first, second, *others = [says[np.ascontiguousarray(block).tobytes()] for block in blocks]
        assert first == 0 and others == [0, 0]
        seconds.append(second)
    assert any(second > 0 for second in seconds)


def test_an_engine_that_is_given_its_state_back_forgets_what_is_revoked():
    filter_ = codebook_filter(("word",))
    rng = np.random.default_rng(2)
    spectra = front_end(rng.standard_normal((4, SEGMENT_SAMPLES)).astype(np.float32))
    revoked = filter_.permitting(["word"]).engine
    _, one = revoked.step(spectra[:2], revoked.initial_state())
    _, two = revoked.step(spectra[2:], revoked.initial_state())
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_an_exported_graph_forgets_what_is_revoked():
    book = codebook_filter().engine.codebook
    graph = CodewordDecoder(book)
    state = graph.initial_state()
    rng = np.random.default_rng(3)
    rows = [torch.from_numpy(rng.standard_normal((1, 9)).astype(np.float32)) for _ in range(2)]
    for row in rows:
        row[:, 5:] = 0.0  # what the permitted task makes of it is the same
    permit = torch.tensor([0.0, 1.0])
    after = [graph(row, permit, state["heard_so_far"], state["blocks"], state["tail"]) for row in rows]
    assert all(torch.equal(one, two) for one, two in zip(*after, strict=True))
    permitted = [graph(row, torch.ones(2), state["heard_so_far"], state["blocks"], state["tail"]) for row in rows]
    assert not torch.equal(permitted[0][1], permitted[1][1])


def test_what_was_permitted_before_may_still_count():
    """Forgetting is not broken into forgetting everything: a task that stays permitted keeps its memory."""
    filter_ = codebook_filter()
    rng = np.random.default_rng(4)
    spectra = front_end(rng.standard_normal((8, SEGMENT_SAMPLES)).astype(np.float32))
    engine = filter_.permitting(["word"]).engine
    _, state = engine.step(spectra, engine.initial_state())
    assert state["posteriors"][5:].sum() > 0.5 and state["posteriors"][:5].sum() == 0.0


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 16001])
@pytest.mark.parametrize("cuts", [[1], [1, 2, 3], [777, 30_000], [20_000] * 3])
def test_a_change_of_consent_makes_no_block_more(rate, cuts):
    """Where the resampler begins anew, parts are not rounded up one by one: a block's sound stays one block."""
    whole = SEGMENT_SAMPLES * rate // 16000
    stream, fed = codebook_filter().stream(rate), 0
    for cut in cuts:
        stream.feed(np.ones(cut, np.float32)[: whole - fed])
        fed = min(whole, fed + cut)
        stream.permitting([])
        stream.permitting(TASKS)
    given_out = len(stream.feed(np.ones(whole - fed, np.float32))) + len(stream.flush())
    assert fed <= whole and abs(given_out - whole) <= 1


@pytest.mark.parametrize("partly", [0.001, 0.5, 0.999, -1.0, float("nan")])
def test_an_exported_graph_revokes_what_is_permitted_only_in_part(partly):
    book = codebook_filter().engine.codebook
    graph = CodewordDecoder(book)
    state, row = graph.initial_state(), torch.zeros(1, 9)
    after = [
        graph(row, torch.tensor([permit, 1.0]), state["heard_so_far"], state["blocks"], state["tail"])
        for permit in (partly, 0.0)
    ]
    assert all(torch.equal(one, two) for one, two in zip(*after, strict=True))
