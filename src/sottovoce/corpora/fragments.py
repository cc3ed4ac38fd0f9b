"""Recordings cut into fragments of 1.28 s, so that a split can be made by fragment as well as by utterance.

The opt-in paper splits RAVDESS into "different fragments but the same speakers", and reads emotions from originals at
97.7 %, far above what recognisers reach on unheard utterances. Fragments of one utterance on both sides of the split
share voice, words, microphone and the one acted emotion; with the split "fragment" it can be measured how much of such
a figure that explains (`sottovoce target --split fragment`). It is no evidence about unseen utterances.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sottovoce.audio import segment
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_S, SEGMENT_SAMPLES
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Clip, Manifest

PREFIX = "fragments:"
_NOTE = (
    f"every recording is cut into fragments of {SEGMENT_S} s; with the split 'fragment' those of one recording stand "
    "on both sides, which says nothing about recordings outside the corpus"
)


def fragmented(manifest: Manifest, sounds: Sounds) -> tuple[Manifest, Sounds]:
    """The clips of `manifest` as fragments of 1.28 s, cut as the front end cuts, and their sound.

    They lie side by side, the last one aligned to the end, where it overlaps its neighbour. Fragments keep the labels,
    and the place in the file, of their clip, so that a split by utterance keeps them together; their ids say where they
    begin in the decoded sound, whose ends are without silence. Their official parts are dropped.
    """
    cuts = [segment.starts(sounds.samples(i)) for i in range(len(sounds))]
    owner = np.repeat(np.arange(len(cuts)), [len(found) for found in cuts])
    starts = np.concatenate([np.array(found, np.int64) for found in cuts])
    clips = tuple(_fragment(manifest.clips[i], start) for i, start in zip(owner, starts, strict=True))
    cut = replace(
        manifest,
        spec=f"{PREFIX}{manifest.spec}",
        clips=clips,
        split_rule="fragment",
        expected=None,
        notes=(*manifest.notes, _NOTE),
    )
    return cut, sounds.slices(owner, starts, SEGMENT_SAMPLES)


def _fragment(clip: Clip, start: int) -> Clip:
    return replace(clip, id=f"{clip.id}#{start / SAMPLE_RATE:.4f}+{SEGMENT_S}", part=None)
