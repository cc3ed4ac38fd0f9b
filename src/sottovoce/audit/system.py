"""What can be audited, whoever made it: a filter, a folder of protected recordings, a command, a function, ONNX."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio import io
from sottovoce.audio.container import beside_sound
from sottovoce.audio.segment import cut, front_end
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_FRAMES, Spectrum, Wave
from sottovoce.audit import protected_files as protected
from sottovoce.audit.leaving import Leaving, of_file, of_sound
from sottovoce.audit.protected_files import LIMIT_S, some
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest
from sottovoce.errors import AudioError, ConfigError, CorpusError, ModelError
from sottovoce.files import file_sha256
from sottovoce.graphs import session
from sottovoce.models.checkpoint import CARD
from sottovoce.private import private_folder, write_private
from sottovoce.progress import Report
from sottovoce.runtime import bundled
from sottovoce.runtime.engine import BATCH, Engine
from sottovoce.runtime.filter import Filter

_COMMAND = "command:"
_TRIED = 3  # clips that a function is known by
_FACTOR = 4  # between the durations of what can be the same recording
_BLOCK_S = 0.04  # a filter that answers in blocks gives a whole number of these, of its own choice
_FORMS = f"float32 sound [T], [1, T] or [1, 1, T], T free, or spectra [S, {BINS}, {SEGMENT_FRAMES}], to the same"


@dataclass(frozen=True)
class Channel:
    """What a filter that draws from codes can send: how many codes each permitted task has, and how long a block is.

    `codes` maps the segments [S, 20480] of one sound to the number 0..K-1 of the joint code of each block that leaves
    for it, [B]; constant `blocks` tell one code, otherwise (0) there is one for each `block_s` seconds.
    """

    sizes: Mapping[str, int]
    block_s: float
    blocks: int
    codes: Callable[[Wave], NDArray[np.int64]]


@dataclass(frozen=True)
class System:
    """What stands between the microphone and the application.

    `description` has the keys digest, method, preset, permit, bits_per_block, block_s, parameters. `features` maps
    segments of sound [S, 20480] to features [S, 161, 128], `sound` gives what arrives of clip i, [T] at 16 kHz; None
    where there is no such output. `notes` are what a reader of the report has to know, `path` is the filter folder
    whose weights a white-box attacker may use. Sound is read or made when it is asked for.

    `features` gets the segments of one sound, in order, from its start. `whole_segments` says that what leaves as
    features is a whole number of segments, so that the exact duration does not show. `channel` is what bounds it.
    `file` gives everything that leaves for clip i where that is a file: all channels at their own rate, and all bytes.
    `read` gives the permitted answers to features that are no spectra: log posteriors [S, K] for each task. `decode`
    gives the sound [S, 20480] that leaves for features [S, 161, 128].
    """

    description: Mapping[str, Any]
    features: Callable[[Wave], NDArray[np.float32]] | None
    sound: Callable[[int], Wave] | None
    notes: tuple[str, ...] = ()
    path: Path | None = None
    whole_segments: bool = False
    channel: Channel | None = None
    read: Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]] | None = None
    decode: Callable[[NDArray[np.float32]], Wave] | None = None
    file: Callable[[int], Leaving] | None = None

    @property
    def source(self) -> str:
        """What it is known by: one folder under other permissions is another system."""
        return json.dumps([self.description.get(key) for key in ("digest", "permit", "constant_blocks")])

    def leaving(self, i: int) -> Leaving:
        """Everything that leaves for clip i, of a system that gives sound."""
        assert self.sound is not None, "asked only where there is sound"
        return of_sound(self.sound(i)) if self.file is None else self.file(i)

    def remembering(self, place: Path) -> System:
        """The same, whose sound is made once for each clip and kept in `place`."""
        make = self.sound
        if make is None or self.file is not None:
            return self
        folder = place / f"sound-{hashlib.sha256(self.source.encode()).hexdigest()[:16]}"
        private_folder(folder)

        def sound(i: int) -> Wave:
            kept = folder / f"{i}.npy"
            if not kept.is_file():
                buffer = BytesIO()
                np.save(buffer, make(i))
                write_private(kept, buffer.getvalue())
            return np.asarray(np.load(kept), np.float32)

        return replace(self, sound=sound)


def opened(
    text: str,
    manifest: Manifest,
    sounds: Sounds,
    workers: int,
    report: Report,
    permit: Sequence[str] = (),
    constant: int = 0,
) -> System:
    """The system that `text` names on the command line; ConfigError where it is none of the kinds there are.

    A filter is switched to `permit`, if that names any tasks, and to a constant number of blocks; other systems are as
    they are.
    """
    path = bundled.find(text)
    if text.startswith(_COMMAND):
        return of_command(text.removeprefix(_COMMAND), manifest, None, workers, report)
    if text and os.path.isdir(path):  # unlike that of Path, this says no to what can be no name at all
        if (path / CARD).is_file():
            return of_filter(Filter.load(path), sounds, permit, constant)
        return of_folder(path, manifest)
    if os.path.isfile(path) and path.suffix.lower() == ".onnx":
        return of_onnx(path, sounds)
    raise ConfigError(
        f"{text!r} cannot be audited; expected a filter's folder, a folder of protected recordings, a file *.onnx, or "
        f"'{_COMMAND}PROGRAM ... {{in}} ... {{out}}'."
    )


def of_filter(filter_: Filter, sounds: Sounds, permit: Sequence[str] = (), constant: int = 0) -> System:
    """A filter, whose features and sound leave, while it permits the tasks of `permit`; without any, all of its card's.

    With `constant` it sends that many blocks for every sound. ConfigError where it can do neither.
    """
    filter_.engine.check_auditable()
    filter_ = filter_.permitting(permit or filter_.card.get("permit", ()))
    filter_ = filter_.constant(constant) if constant else filter_
    known = undescribed("", "")
    description = known | {key: value for key, value in filter_.card.items() if key in known}
    description |= {name: filter_.card[name] for name in ("codewords", "none", "targets") if name in filter_.card}
    description |= {
        "digest": filter_.digest,
        "permit": list(filter_.permit),
        "bits_per_block": filter_.rate.bits_per_block if filter_.rate else None,
        "block_s": filter_.rate.block_s if filter_.rate else None,
        "constant_blocks": constant,
    }
    engine = filter_.engine
    return System(
        description,
        filter_.obfuscate,
        (lambda i: filter_.filter(sounds.wave(i))) if engine.playable else None,
        path=filter_.path,
        whole_segments=engine.whole_segments,
        channel=_channel(engine),
        read=None if engine.playable else engine.read,
        decode=(lambda spectra: np.stack([*map(filter_.sound, spectra)])) if engine.playable else None,
    )


def _channel(engine: Engine) -> Channel | None:
    sizes = engine.code_sizes()
    if not sizes:
        return None

    def joint(segments: Wave) -> NDArray[np.int64]:
        return np.asarray(np.ravel_multi_index(tuple(engine.codes(segments).T), tuple(sizes.values())))

    return Channel(sizes, engine.block_s, engine.constant_blocks, joint)


def of_folder(folder: Path, manifest: Manifest) -> System:
    """What anyone made of the corpus' files: a folder that holds one sound file for each clip, named like it.

    CorpusError where the files do not fit the clips, one for one, cannot be read, or are surely other recordings.
    """
    files, notes = protected.in_folder(folder, manifest)
    return _of_files(files, manifest, f"folder:{folder.name}", notes)


def of_command(
    command: str, manifest: Manifest, cache: Path | None, workers: int, report: Report, limit_s: float = LIMIT_S
) -> System:
    """What a command makes of each clip, `workers` at once, as `protected_files.by_command` describes."""
    files = protected.by_command(command, manifest, cache, workers, report, limit_s)
    return _of_files(files, manifest, f"{_COMMAND}{command}", [])


def of_function(function: Callable[[Wave], Wave], sounds: Sounds, name: str) -> System:
    """What a function makes of sound: [T] at 16 kHz to [T'] at 16 kHz, float; it is called for each clip anew.

    ModelError, also when the system is used, for what is no sound.
    """

    def sound(i: int) -> Wave:
        return _checked(function(sounds.wave(i)), f"clip {i}")

    digest = hashlib.sha256(name.encode())
    for i in range(min(_TRIED, len(sounds))):
        digest.update(sound(i).tobytes())
    return System(undescribed(digest.hexdigest(), f"function:{name}"), None, sound)


def of_onnx(path: Path, sounds: Sounds) -> System:
    """An ONNX graph of at most 1 GiB from sound to sound, or from standardised spectra to such, on one thread.

    ModelError, also when the system is used, for a graph of another form and for what is no sound or no such spectra.
    """
    run, shape = _graph(path)
    description = undescribed(file_sha256(path), f"onnx:{path.name}")
    free = [not isinstance(size, int) or size == 1 for size in shape]

    def features(segments: Wave) -> Spectrum:
        spectra = front_end(segments)
        batch = 1 if shape[0] == 1 else BATCH
        given = np.concatenate([run(spectra[i : i + batch]) for i in range(0, len(spectra), batch)])
        if given.shape != spectra.shape:
            raise ModelError(f"{path} gives {given.shape} for spectra {spectra.shape}; expected {_FORMS}.")
        return given

    def sound(i: int) -> Wave:
        given = run(sounds.wave(i).reshape([1] * (len(shape) - 1) + [-1]))
        return _checked(given.reshape(-1) if given.shape[-1:] == (given.size,) else given, f"clip {i}")

    if shape[1:] == [BINS, SEGMENT_FRAMES] and free[0]:
        features(cut(sounds.wave(0)))  # what is wrong with it shows before hours of work
        return System(description, features, None)
    if 1 <= len(shape) <= 3 and all(free) and not isinstance(shape[-1], int):
        sound(0)
        return System(description, None, sound)
    raise ModelError(f"{path} takes {shape}; expected {_FORMS}.")


def undescribed(digest: str, method: str) -> dict[str, Any]:
    """What is known of a system that says nothing about itself."""
    unknown: dict[str, Any] = {"preset": None, "permit": [], "bits_per_block": None, "block_s": None}
    unknown["parameters"] = None
    return {"digest": digest, "method": method, "constant_blocks": 0, **unknown}


def _of_files(files: Sequence[Path], manifest: Manifest, method: str, notes: Sequence[str]) -> System:
    changed = _changed_durations(files, manifest)
    digest = hashlib.sha256()
    for clip, path in zip(manifest.clips, files, strict=True):
        digest.update(json.dumps([clip.id, file_sha256(path)]).encode() + b"\n")

    def sound(i: int) -> Wave:
        return _checked(protected.read_protected(files[i], manifest.clips[i].id), repr(manifest.clips[i].id))

    description = undescribed(digest.hexdigest(), method)
    return System(description, None, sound, (*notes, *changed, *_beside(files)), file=lambda i: of_file(files[i]))


def _beside(files: Sequence[Path]) -> list[str]:
    """What a reader has to know of bytes beside the sound, which no player plays."""
    sizes: dict[str, list[int]] = {}
    contents: dict[str, set[bytes]] = {}
    for path in files:
        for name, content in beside_sound(path).items():
            sizes.setdefault(name, []).append(len(content))
            contents.setdefault(name, set()).add(hashlib.sha256(content).digest())
    return [
        f"{len(each)} of {len(files)} files hold bytes beside their sound ({name}, {sum(each) / len(each):.0f} on "
        "average) that differ between files: they are attacked as bytes and, where they are many, as samples; that an "
        "attacker reads nothing there does not show that nothing is there"
        for name, each in sizes.items()
        if len(contents[name]) > 1
    ]


def _changed_durations(files: Sequence[Path], manifest: Manifest) -> list[str]:
    """What a reader has to know of how long the clips' files are; CorpusError for what cannot be theirs."""
    unreadable: dict[str, str] = {}
    strange, changed = [], []
    for clip, path in zip(manifest.clips, files, strict=True):
        try:
            info = io.info(path)
        except AudioError as error:
            unreadable[clip.id] = str(error)
            continue
        after = info.duration_s
        whole_blocks = abs(after - _BLOCK_S * round(after / _BLOCK_S)) < 1.5 / info.sample_rate
        before = min(clip.duration_s or np.inf, io.info(clip.path).duration_s - clip.start_s)
        if not (before / _FACTOR <= after <= before * _FACTOR or whole_blocks):
            strange.append(f"{clip.id}: {before:.2f} s, protected {after:.2f} s")
        elif abs(after - before) > 0.05 * before:
            changed.append(f"{clip.id}: {before:.2f} s, protected {after:.2f} s")
    if unreadable:
        first = next(iter(unreadable.values()))
        raise CorpusError(f"{len(unreadable)} protected recordings cannot be read{some([*unreadable])}; first, {first}")
    if strange:
        raise CorpusError(
            f"{len(strange)} protected recordings last more than {_FACTOR} times as long as the original, or as short"
            f"{some(strange)}; expected the same recording under the same name: check how they were named."
        )
    if not changed:
        return []
    count = f"{len(changed)} of {len(files)} recordings changed their duration by more than 5 %"
    return [f"{count}{some(changed)}: what shows by duration alone is attacked as well"]


def _checked(wav: Any, name: str) -> Wave:
    """A sound [T] that came out of a system; ModelError where it is none."""
    given = np.asarray(wav)
    what = None
    if given.ndim != 1 or given.dtype.kind != "f":
        what = f"{given.dtype} of shape {given.shape}"
    elif not 0 < len(given) <= io.LONGEST_S * SAMPLE_RATE:
        what = f"{len(given)} samples"
    elif not np.isfinite(given).all():
        what = "samples that are not finite"
    if what:
        raise ModelError(
            f"{name} comes out as {what}; expected float sound [T] at 16 kHz, finite, not empty and at most 24 hours: "
            "mend the system, or leave the clip out."
        )
    return given.astype(np.float32)


def _graph(path: Path) -> tuple[Callable[[NDArray[np.float32]], NDArray[Any]], list[Any]]:
    """An ONNX graph of one float tensor to one, to be run, and the shape of its input; ModelError if it is not such."""
    graph = session(path, others=True)
    ports = graph.get_inputs(), graph.get_outputs()
    types = [[port.type for port in side] for side in ports]
    if types != [["tensor(float)"], ["tensor(float)"]]:
        raise ModelError(f"{path} takes {types[0]} and gives {types[1]}; expected one tensor each: {_FORMS}.")

    def run(given: NDArray[np.float32]) -> NDArray[Any]:
        try:
            result: NDArray[Any] = graph.run(None, {ports[0][0].name: np.ascontiguousarray(given)})[0]
        except Exception as error:
            raise ModelError(f"{path} fails on an input {given.shape} ({error}); expected {_FORMS}.") from error
        return result

    return run, list(ports[0][0].shape)
