"""Sound events with and without somebody speaking: pairs of 1 s clips that differ in nothing but the speech.

Made at the first use from a folder that holds the events, in `esc10` or `FSD50K`, and beside it `librispeech` or
`LibriSpeech`; the mixing is of this project, after Gharib et al., IEEE OJ Signal Processing 5, 2024. Of ESC-10 there
are about 1300 pairs, whose names differ in "quiet" and "speech" alone. Speech is read, not talked; the paper's own
signal-to-noise ratios are not known, see `Mixing`. Official split: events by the folds or parts of their corpus, speech
by speaker; each gender in every part.

Both halves of a pair go through the same code: same event, same gain, same file format. A mixture that would exceed
full scale is turned down together with its twin. Mixed with silence, the halves are the same file, bit by bit.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sottovoce.audio import io, writer
from sottovoce.audio.level import rms
from sottovoce.audio.spectrum import Wave
from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.generated import generated
from sottovoce.corpora.layout import Corpus, assemble
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.corpora.readers import esc10, fsd50k, librispeech
from sottovoce.corpora.splits import split
from sottovoce.errors import CorpusError

VERSION = 1  # of everything below that shows in the sound

GENDERS = ("female", "male")
QUIET, SPEECH = "-quiet.flac", "-speech.flac"  # endings of the two halves of a pair

_EVENTS = {"esc10": esc10.CORPUS, "FSD50K": fsd50k.CORPUS}
_SPEECH = ("librispeech", "LibriSpeech")
_LEAST_RMS = 1e-4  # what is fainter is digital silence, or nearly
_FULL_SCALE = 0.99
_COLUMNS = ("file_name", "event", "speech", "gender", "speaker", "source", "split")


@dataclass(frozen=True)
class Mixing:
    """How clips are mixed.

    `clip_s` at `sample_rate` Hz; of each event at most `windows` clips, none fainter than `range_db` under its loudest;
    event over speech in dB, drawn from `snr_db`; RMS of the event in dB of full scale, from `level_db`; a piece of
    speech is used `uses` times at most. `turn` moves the folds of ESC-10 on, `seed` is of everything that is drawn.
    """

    sample_rate: int = 16000
    clip_s: float = 1.0
    windows: int = 5
    range_db: float = 20.0
    snr_db: tuple[float, float] = (-5.0, 10.0)  # found by `experiment rdal-mixing`
    level_db: tuple[float, float] = (-35.0, -25.0)
    uses: int = 2
    turn: int = 0
    seed: int = 0

    @property
    def samples(self) -> int:
        """Of a clip."""
        return round(self.clip_s * self.sample_rate)


class Piece(NamedTuple):
    """A clip's length of a recording: where it starts, in samples at the rate of the mixing."""

    clip: Clip
    start: int


class Pair(NamedTuple):
    """An event and what is spoken over it, event over speech in dB, and the RMS of the event in dB of full scale."""

    event: Piece
    speech: Piece
    part: str
    snr_db: float
    level_db: float


def read(root: Path, cache: Path | None = None) -> Manifest:
    """Manifest of both halves of all pairs, mixed in `cache` at the first use: who spoke is not among their labels."""
    found = mixed(root, Mixing(), cache)
    return _only(found, CORPUS, found.clips)


def read_spoken(root: Path, cache: Path | None = None) -> Manifest:
    """Manifest of the halves with speech, with the speaker and the gender."""
    found = mixed(root, Mixing(), cache)
    return _only(found, SPOKEN, [clip for clip in found.clips if clip.labels["speech"] == "yes"])


def mixed(root: Path, mixing: Mixing, cache: Path | None = None) -> Manifest:
    """Manifest of all clips with everything that is known of them: `source` is the recording of the event.

    Raises CorpusError when events or speech are not there, a class or a gender is missing from a part, there is less
    speech than events, or the disk fails.
    """
    events, speech = corpora_in(root, mixing)
    key = json.dumps([events.digest, speech.digest, asdict(mixing), VERSION])
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    notes = [*events.notes, *speech.notes]
    folder, clips = generated(
        "mixtures", name, _COLUMNS, lambda folder: build(folder, events, speech, mixing), notes, cache
    )
    return replace(assemble(CORPUS, folder, clips, notes), spec=f"mixtures:{root}", whole_clips=True)


def twin(name: str) -> str:
    """The clip with speech of the pair whose clip without is called `name`."""
    return name.removesuffix(QUIET) + SPEECH


def corpora_in(root: Path, mixing: Mixing) -> tuple[Manifest, Manifest]:
    """The events and the speech below `root`; CorpusError where one of them is missing."""
    events = [corpus.read(root / name) for name, corpus in _EVENTS.items() if (root / name).is_dir()]
    speech = [librispeech.CORPUS.read(root / name) for name in _SPEECH if (root / name).is_dir()]
    if not events or not speech:
        missing = "events" if not events else "speech"
        raise CorpusError(f"{root} holds no {missing}; expected {CORPUS.layout}.")
    return _in_turn(events[0], mixing.turn), speech[0]


def build(folder: Path, events: Manifest, speech: Manifest, mixing: Mixing) -> Iterator[tuple[str, ...]]:
    """Mix all pairs into the empty `folder`; the rows of their table."""
    for number, pair in enumerate(plan(events, speech, mixing)):
        labels = pair.speech.clip.labels
        for half, wav in zip((QUIET, SPEECH), halves(pair, mixing), strict=True):
            name = f"{pair.part}/{number:05}{half}"
            (folder / pair.part).mkdir(exist_ok=True)
            writer.write(folder / name, wav, mixing.sample_rate)
            who = (labels["gender"], labels["speaker"]) if half == SPEECH else ("", "")
            event = pair.event.clip
            yield name, event.labels["event"], "yes" if half == SPEECH else "no", *who, event.id, pair.part


def plan(events: Manifest, speech: Manifest, mixing: Mixing) -> Iterator[Pair]:
    """Which event is mixed with which speech; the speakers of a part are in no other, and genders take turns."""
    rng = np.random.default_rng([mixing.seed, mixing.turn])
    speakers = split(speech, "speaker", mixing.seed)
    classes = events.classes("event")
    for part in ("train", "validation", "test"):
        found = [clip for clip in events.clips if clip.part == part]
        absent = sorted(set(classes) - {clip.labels["event"] for clip in found})
        if absent:
            raise CorpusError(
                f"{events.spec} has no {', '.join(absent)} for {part}; expected every class in each part."
            )
        windows = [piece for clip in found for piece in _drawn(_loud(clip, mixing), mixing.windows, rng)]
        spoken = [speech.clips[i] for i in getattr(speakers, part)]
        stock = [_stock(spoken, gender, part, mixing, rng) for gender in GENDERS]
        for number, event in enumerate(windows):
            piece = next(stock[number % 2], None)
            if piece is None:
                raise CorpusError(
                    f"the speech for {part} is used up after {number} of {len(windows)} events; expected a second for "
                    f"every event and gender, used {mixing.uses} times at most: add recordings of more speakers."
                )
            yield Pair(event, piece, part, rng.uniform(*mixing.snr_db), rng.uniform(*mixing.level_db))


def halves(pair: Pair, mixing: Mixing) -> tuple[Wave, Wave]:
    """The clips [T] without and with speech: one gain for both, such that neither exceeds full scale."""
    event, speech = _heard(pair.event, mixing), _heard(pair.speech, mixing)
    event = event * np.float32(10.0 ** (pair.level_db / 20.0) / max(float(rms(event)), _LEAST_RMS))
    over = float(rms(event)) / max(float(rms(speech)), _LEAST_RMS)
    both = event + speech * np.float32(over * 10.0 ** (-pair.snr_db / 20.0))
    gain = np.float32(min(1.0, _FULL_SCALE / max(np.abs(event).max(), np.abs(both).max(), 1e-9)))
    return gain * event, gain * both


def _in_turn(events: Manifest, turn: int) -> Manifest:
    """ESC-10 with its folds moved on; other corpora have one split."""
    if events.name != esc10.CORPUS.name:
        return events
    clips = tuple(replace(clip, part=esc10.part_of(int(clip.labels["fold"]), turn)) for clip in events.clips)
    return replace(events, clips=clips)


def _loud(clip: Clip, mixing: Mixing) -> list[Piece]:
    """The clips' lengths of a recording that are not much fainter than its loudest; all of one that is shorter."""
    wav = io.read(clip.path, mixing.sample_rate)
    count = max(1, len(wav) // mixing.samples)
    level = rms(_fitted(wav, count * mixing.samples).reshape(count, mixing.samples))
    loud = (level > level.max() * 10.0 ** (-mixing.range_db / 20.0)) & (level > _LEAST_RMS)
    return [Piece(clip, int(i) * mixing.samples) for i in np.flatnonzero(loud)]


def _drawn(pieces: Sequence[Piece], count: int, rng: np.random.Generator) -> list[Piece]:
    return [pieces[i] for i in sorted(rng.permutation(len(pieces))[:count])]


def _stock(clips: Sequence[Clip], gender: str, part: str, mixing: Mixing, rng: np.random.Generator) -> Iterator[Piece]:
    """The pieces of speech of one gender, one of each speaker in turn, as often as pieces may be used."""
    own: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.labels.get("gender") == gender:
            own[clip.labels["speaker"]].append(clip)
    if not own:
        raise CorpusError(f"the speech for {part} has no {gender} speaker; expected both genders: add recordings.")
    speakers = [own[name] for name in rng.permutation(sorted(own))]
    for _ in range(mixing.uses):
        waiting = deque(_shuffled(recordings, mixing, rng) for recordings in speakers)
        while waiting:
            turn = waiting.popleft()
            for piece in islice(turn, 1):
                yield piece
                waiting.append(turn)


def _shuffled(recordings: Sequence[Clip], mixing: Mixing, rng: np.random.Generator) -> Iterator[Piece]:
    """The pieces of a speaker's recordings, which are decoded when their turn comes."""
    for i in rng.permutation(len(recordings)):
        pieces = _loud(recordings[i], mixing)
        yield from (pieces[k] for k in rng.permutation(len(pieces)))


def _heard(piece: Piece, mixing: Mixing) -> Wave:
    """The sound [T] of a piece, padded with silence where the recording ends before it."""
    start_s = piece.start / mixing.sample_rate
    wav = io.read(piece.clip.path, mixing.sample_rate, start_s=start_s, duration_s=mixing.clip_s)
    return _fitted(wav, mixing.samples)


def _fitted(wav: Wave, samples: int) -> Wave:
    return np.pad(wav, (0, max(0, samples - len(wav))))[:samples]


def _only(manifest: Manifest, corpus: Corpus, clips: Sequence[Clip]) -> Manifest:
    """The clips with those of their labels that the corpus has."""
    kept = tuple(replace(clip, labels=_chosen(clip.labels, corpus.labels)) for clip in clips)
    return replace(manifest, name=corpus.name, clips=kept)


def _chosen(labels: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: labels[name] for name in names}


CORPUS: Corpus = Corpus(
    name="mixtures",
    title="sound events with and without speech",
    homepage="",
    layout="a folder with the events in esc10 or FSD50K, and speech in librispeech or LibriSpeech",
    labels=("event", "speech"),
    licence=f"events: {esc10.CORPUS.licence}; speech: {librispeech.CORPUS.licence}",
    citation=f"{esc10.CORPUS.citation}; {librispeech.CORPUS.citation}",
    split_rule="official",
    reader=lambda root: read(root),
)
CORPORA.register(CORPUS.name, CORPUS)
SPOKEN = replace(
    CORPUS,
    name="speech-mixtures",
    title="sound events with speech",
    labels=("event", "gender", "speaker"),
    reader=lambda root: read_spoken(root),
)
CORPORA.register(SPOKEN.name, SPOKEN)
