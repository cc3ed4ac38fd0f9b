"""How similar codewords are to training recordings: whether they are anybody's voice is measured, not asserted.

The similarity of a template and a recording is the correlation of their log spectrograms at the best of all alignments,
10 ms apart, after the average spectrum of the corpus was taken from both: all speech has more power at low frequencies,
which does not tell speakers apart. Both are smoothed over 4 bins and 4 frames, so that a blurred copy is a copy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sottovoce.audio.level import normalise
from sottovoce.audio.segment import LEVEL_RMS, standardise
from sottovoce.audio.spectrum import SEGMENT_SAMPLES, Spectrum, log_spectrum
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest
from sottovoce.models.codebook import Codebook
from sottovoce.models.codewords import RECORDINGS, SYNTHETIC
from sottovoce.progress import Report
from sottovoce.training.loop import Run, draw

_SMOOTHING = 4  # bins and frames
_SEGMENTS = 64  # that stand for what two people have in common
_AVERAGED = 500  # recordings at most that make the average spectrum
_SMALLEST = 1e-9


def between_people(sounds: Sounds, clips: NDArray[np.int64], people: NDArray[np.str_], seed: int) -> float:
    """What a segment of one person typically has in common with the most similar recording of another person.

    The median over segments that are drawn by `seed`; `people` says whose each of the recordings `clips` is.
    """
    segments, owners = draw(sounds, clips, _SEGMENTS, np.random.default_rng([seed, 5]))
    by = people[np.searchsorted(clips, owners.cpu().numpy())]
    compared = highest(segments.cpu().numpy(), sounds, clips)
    return float(np.median(np.where(by[:, None] == people[None], -1.0, compared).max(axis=1)))


def highest(templates: Spectrum, sounds: Sounds, clips: NDArray[np.int64]) -> NDArray[np.float32]:
    """The similarity [W, U] of templates [W, 161, 128] to each of the recordings `clips` [U]."""
    some = clips[:: -(-len(clips) // _AVERAGED)]
    average = torch.stack([_spectrogram(sounds, int(clip)).mean(dim=1) for clip in some]).mean(dim=0)[:, None]
    kernels = _smooth(torch.from_numpy(templates) - average)
    kernels = kernels - kernels.mean(dim=(1, 2), keepdim=True)
    kernels = kernels / kernels.square().sum(dim=(1, 2), keepdim=True).sqrt().clamp(min=_SMALLEST)
    similarity = np.empty((len(templates), len(clips)), np.float32)
    for at, clip in enumerate(clips):
        spectrogram = _smooth(_spectrogram(sounds, int(clip))[None] - average)[0]
        similarity[:, at] = _correlations(kernels, spectrogram).amax(dim=1).numpy()
    return similarity


def _spectrogram(sounds: Sounds, clip: int) -> Tensor:
    """The standardised log spectrogram [161, N] of a whole recording, N at least 128."""
    wav = sounds.wave(clip)
    padded = np.pad(wav, (0, max(0, SEGMENT_SAMPLES - len(wav))))
    return torch.from_numpy(standardise(log_spectrum(normalise(padded, LEVEL_RMS))))


def _smooth(spectra: Tensor) -> Tensor:
    """[B, 161, N] -> [B, 40, N - 3]: averages over 4 bins and 4 frames, at every frame."""
    return functional.avg_pool2d(spectra[:, None], _SMOOTHING, stride=(_SMOOTHING, 1))[:, 0]


def _correlations(kernels: Tensor, spectrogram: Tensor) -> Tensor:
    """Pearson's correlation [W, M] of kernels [W, F, L] of zero mean and unit norm with every part of [F, N]."""
    height, length = kernels.shape[1:]
    products = functional.conv1d(spectrogram[None], kernels)[0]
    mean, power = (
        functional.avg_pool1d(each.mean(dim=0)[None, None], length, stride=1)[0, 0]
        for each in (spectrogram, spectrogram.square())
    )
    return products / ((power - mean.square()) * height * length).clamp(min=_SMALLEST).sqrt()


_SPEAKER = "speaker"


def described(
    book: Codebook,
    sources: NDArray[np.int64],
    manifest: Manifest,
    sounds: Sounds,
    clips: NDArray[np.int64],
    run: Run,
) -> dict[str, Any]:
    """The card's entry on codewords that were made of the recordings `sources`, or of none; `clips` are of training.

    The spectra of the sounds that leave are compared with every recording of training, and with the sources.
    """
    places = np.array(list(np.ndindex(book.sounds.shape[:-1])))
    shown = book.draw(places[:, 1:], places[:, 0])
    people = speakers(manifest, clips)
    compared = np.union1d(clips, sources)
    measured = {
        "highest_similarity": float(highest(shown, sounds, compared).max()),
        "between_people": None if people is None else between_people(sounds, clips, people, run.seed),
    }
    if not len(sources):
        return {"source": SYNTHETIC, **measured}
    return {**of_recordings(manifest, sources, run.report), **measured}


def speakers(manifest: Manifest, clips: NDArray[np.int64]) -> NDArray[np.str_] | None:
    """Whose each of the recordings `clips` is; None where the corpus does not name two people."""
    people = np.array([manifest.clips[i].labels.get(_SPEAKER, "") for i in clips])
    return people if len(np.unique(people)) > 1 else None


def of_recordings(manifest: Manifest, sources: NDArray[np.int64], report: Report) -> dict[str, Any]:
    """How many recordings of how many people codewords are, and of which corpus; `report` alone names them."""
    clips = [manifest.clips[i] for i in sources]
    people = sorted({clip.labels[_SPEAKER] for clip in clips if _SPEAKER in clip.labels})
    spoken = f" of the people {', '.join(people)}" if people else ""
    names = ", ".join(clip.id for clip in clips)
    report(len(clips), len(clips), f"codewords: the recordings {names}{spoken}")
    return {
        "source": RECORDINGS,
        "recordings": len(clips),
        "people": len(people) or None,
        "corpus": manifest.name,
        "licence": manifest.licence,
    }
