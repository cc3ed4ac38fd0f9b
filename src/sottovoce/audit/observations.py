"""What attackers observe: the utterances of a case as they arrive, kept in files that many attackers map into memory.

A view is a folder with the parts train, validation and test, named by what went into it; it appears whole or not at
all, so that an audit that was stopped finds what it had written. It is written utterance by utterance, so that memory
does not grow with the corpus.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from sottovoce import __version__
from sottovoce.attack.attacker import Array, Observations
from sottovoce.audio.level import normalise, rms, trim_silence
from sottovoce.audio.segment import cut, front_end, full_band
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.view_files import GrowingArray, PartFiles
from sottovoce.corpora.store import build_once, on_this_machine
from sottovoce.errors import ModelError
from sottovoce.models.checkpoint import path_part
from sottovoce.models.target import Target

_EXTRA_CROPS = 2  # further random segments of each training clip: who holds the filter can obfuscate any number
_SILENT_DB = -100.0
_SEGMENTS_AT_ONCE = 1024  # a multiple of the batches of targets, whose answers then stay the same bit for bit
_SAMPLES_AT_ONCE = 1 << 25  # that encoders get, 35 minutes
_TRIED = 3  # test clips
_FACTS = "facts.json"
_ANSWERS = "answers-"  # and the task
_VOICES, _WHOSE = "voices-", "whose-"  # and the speaker encoder

Transform = Callable[[Wave], Array]  # segments [S, 20480] of one sound, from its start, to features [S, F, N]
Read = Callable[[Array], Mapping[str, Array]]  # features [S, F, N] to the logits [S, K] of each task
Decode = Callable[[Array], Wave]  # features [S, F, N] to sound [S, 20480]
Encode = Callable[[Sequence[Wave]], tuple[Array, NDArray[np.int64]]]  # sounds to embeddings, and whose each is
Encoders = Mapping[str, Encode]  # of each speaker encoder, by its name


@dataclass(frozen=True)
class View:
    """Utterances of all parts, in `folder`; `digest` says what they came from.

    Their spectra are in the file `spectra`; a folder may hold several such files, each a view of its own.
    """

    name: str
    folder: Path
    digest: str
    spectra: str = "spectra"

    def part(self, part: Part) -> Observations:
        """The utterances of one part, mapped into memory."""
        kept = {path.stem: np.load(path, mmap_mode="r") for path in sorted((self._place / part).glob("*.npy"))}
        waves = np.split(kept["samples"], np.cumsum(kept["lengths"])[:-1]) if "samples" in kept else None
        names = [name for name in kept if name.startswith(_ANSWERS)]
        answers = {unquote(name.removeprefix(_ANSWERS)): np.array(kept[name]) for name in names} or None
        voices = {n: (np.array(kept[_VOICES + n]), np.array(kept[_WHOSE + n])) for n in self.voices} or None
        spectra, owner, outline = kept[path_part(self.spectra)], np.array(kept["owner"]), np.array(kept["outline"])
        return Observations(spectra, owner, outline, answers, waves, voices)

    @property
    def voices(self) -> tuple[str, ...]:
        """The speaker encoders of which there are embeddings."""
        return tuple(sorted(path.stem.removeprefix(_VOICES) for path in (self._place / "test").glob(f"{_VOICES}*.npy")))

    @property
    def _place(self) -> Path:
        """The folder, or the copy of it that a worker of a cluster has."""
        return on_this_machine(self.folder)

    @property
    def facts(self) -> dict[str, Any]:
        """What was kept about it."""
        facts: dict[str, Any] = json.loads((self.folder / _FACTS).read_text(encoding="utf-8"))
        return facts


def identity(*parts: object) -> str:
    """SHA-256 in hex of what a view or a score depends on, and of the version that makes it."""
    return hashlib.sha256(json.dumps([__version__, *parts]).encode()).hexdigest()


def observe_features(
    case: Case,
    transform: Transform,
    name: str,
    source: str,
    seed: int,
    place: Path,
    parts: Sequence[Part] = PARTS,
    encoders: Encoders | None = None,
    whole_segments: bool = False,
    read: Read | None = None,
    for_targets: Transform | None = None,
    decode: Decode | None = None,
) -> View:
    """What arrives when each sound passes `transform`; of training clips also segments from random places.

    `source` is the digest of the transform. `read` gives the application's answers to features that targets cannot
    read; `for_targets` makes what targets take of the same segments, where attackers get others; `decode` makes what
    targets of sound take of features. With `encoders` there are embeddings of the original sounds as well. The outline
    is the duration; where only `whole_segments` leave, that of these.
    """
    rng = np.random.default_rng(seed)

    def observed(part: Part, out: PartFiles) -> None:
        for utterance, clip in enumerate(case.clips(part)):
            extra = _EXTRA_CROPS if part == "train" else 0
            spare = max(0, case.sounds.samples(clip) - SEGMENT_SAMPLES)
            crops = case.sounds.segments(np.full(extra, clip), rng.integers(0, spare + 1, extra), SEGMENT_SAMPLES)
            wav = case.sounds.wave(clip)
            segments = cut(wav)
            left = transform(segments)
            # A transform may remember what came before, so that a crop has to be a sound of its own.
            spectra = np.concatenate([left, *(transform(crop[None]) for crop in crops)])
            if not np.isfinite(spectra).all():
                name = case.manifest.clips[clip].id
                raise ModelError(f"what leaves for {name!r} is not finite; expected numbers: correct the system.")
            whole_s = len(left) * SEGMENT_SAMPLES / SAMPLE_RATE
            _append(out, utterance, spectra, [whole_s if whole_segments else case.sounds.duration_s(clip)])
            if for_targets is not None and read is None:
                both = np.concatenate([segments, crops])
                _append_answers(out, case, for_targets(both), partial(np.asarray, both))
            if encoders:
                _append_wave(out, wav)
        _append_embeddings(out, encoders or {})
        for given in _pieces(out["spectra"]):
            if read is not None:
                for task, logits in read(given).items():
                    out.append(f"{_ANSWERS}{path_part(task)}", logits)
            elif for_targets is None:
                _append_answers(out, case, given, partial(decode, given) if decode else None)

    depends = identity(case.digest, _targets(case), name, source, seed, sorted(encoders or ()), whole_segments)
    return _kept(place, name, depends, observed, parts)


def observe_sound(
    case: Case, sound: Callable[[int], Wave], source: str, seed: int, place: Path, encoders: Encoders | None = None
) -> View:
    """What arrives as sound: at one level and without the silence around it, which the outline tells of."""
    rng = np.random.default_rng(seed)

    def observed(part: Part, out: PartFiles) -> None:
        for utterance, clip in enumerate(case.clips(part)):
            raw = sound(int(clip))
            wav = normalise(trim_silence(raw))
            extra = rng.integers(0, max(1, len(wav) - SEGMENT_SAMPLES + 1), _EXTRA_CROPS if part == "train" else 0)
            crops = [np.pad(wav, (0, SEGMENT_SAMPLES))[start : start + SEGMENT_SAMPLES] for start in extra]
            segments = np.concatenate([cut(wav), *(crop[None] for crop in crops)])
            level_db = 20.0 * np.log10(max(float(rms(raw)), 10.0 ** (_SILENT_DB / 20.0)))
            outline = [len(wav) / SAMPLE_RATE, len(raw) / SAMPLE_RATE, level_db]
            _append(out, utterance, full_band(segments), outline)
            _append_answers(out, case, front_end(segments), partial(np.asarray, segments))
            _append_wave(out, wav)
        _append_embeddings(out, encoders or {})

    depends = identity(case.digest, _targets(case), "sound", source, seed, sorted(encoders or ()))
    return _kept(place, "sound", depends, observed)


def observe_changed(
    view: View,
    change: Callable[[Array], Array],
    name: str,
    source: str,
    place: Path,
    facts: Callable[[], dict[str, Any]],
) -> View:
    """A view whose spectra an attacker has changed, such as restored; of validation and test alone, in this order.

    `facts` are kept about it once it is done.
    """

    def observed(part: Part, out: PartFiles) -> None:
        before = view.part(part)
        out.append("spectra", change(np.array(before.spectra)))
        out.append("owner", before.owner)
        out.append("outline", before.outline)

    return _kept(place, name, identity(view.digest, name, source), observed, ("validation", "test"), facts)


def _append(out: PartFiles, utterance: int, spectra: Array, outline: Sequence[float]) -> None:
    """Add the segments [S, F, N] of an utterance, whose they are, and its outline."""
    out.append("spectra", spectra)
    out.append("owner", np.full(len(spectra), utterance))
    out.append("outline", np.array([outline], np.float32))


def _append_answers(out: PartFiles, case: Case, spectra: Array, sound: Callable[[], Wave] | None) -> None:
    """Add the logits of each target on spectra [S, 161, 128]; `sound` makes sound [S, 20480] where it takes that."""
    for target in case.targets:
        out.append(f"{_ANSWERS}{path_part(target.task)}", target.predict(spectra, sound))


def _append_wave(out: PartFiles, wav: Wave) -> None:
    out.append("samples", wav)
    out.append("lengths", np.array([len(wav)]))


def _append_embeddings(out: PartFiles, encoders: Encoders) -> None:
    """Add what each encoder makes of the sounds that were added, of so many samples at a time."""
    if not encoders:
        return
    lengths = out["lengths"].read(0, out["lengths"].rows)
    ends = np.cumsum(lengths)
    groups = np.flatnonzero(np.diff(ends // _SAMPLES_AT_ONCE)) + 1
    for some in np.split(np.arange(len(lengths)), groups):
        begin = int(ends[some[0]] - lengths[some[0]])
        waves = np.split(out["samples"].read(begin, int(ends[some[-1]])), ends[some[:-1]] - begin)
        for name, encode in encoders.items():
            embeddings, whose = encode(waves)
            out.append(f"{_VOICES}{name}", embeddings)
            out.append(f"{_WHOSE}{name}", whose + some[0])


def _pieces(array: GrowingArray) -> Iterator[NDArray[Any]]:
    """The rows of an array, so many at a time."""
    for start in range(0, array.rows, _SEGMENTS_AT_ONCE):
        yield array.read(start, min(array.rows, start + _SEGMENTS_AT_ONCE))


def _targets(case: Case) -> list[tuple[str, str]]:
    """What the answers depend on: each task and what its target is known by, in whatever order the targets are named.

    A target that is a function has no digest, and is known by some of its answers.
    """

    def known_by(target: Target) -> str:
        if target.digest:
            return target.digest
        tried = np.concatenate([cut(case.sounds.wave(clip)) for clip in case.clips("test")[:_TRIED]])
        return hashlib.sha256(target.predict_sound(tried).tobytes()).hexdigest()

    return sorted((target.task, known_by(target)) for target in case.targets)


def _kept(
    place: Path,
    name: str,
    digest: str,
    observed: Callable[[Part, PartFiles], None],
    parts: Sequence[Part] = PARTS,
    facts: Callable[[], dict[str, Any]] = dict,
) -> View:
    def build(folder: Path) -> None:
        for part in parts:
            (folder / part).mkdir()
            with PartFiles(folder / part) as out:
                observed(part, out)
        (folder / _FACTS).write_text(json.dumps(facts()), encoding="utf-8")

    return View(name, build_once(place / f"{name}-{digest[:16]}", build), digest)
