"""Whether the bundled filter of speech tells it from other sound, for people and rooms that nothing was trained on.

    python benchmarks/speech_detection.py --corpora PATH --silero silero_vad_16k_op15.onnx

PATH holds librispeech, ravdess, emodb and esc10. Detectors that are not ours judge the same blocks, and the sound that
leaves the filter: silero-vad (its ONNX file is in its package), and webrtcvad where it is installed. Blocks: 1.28 s.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_S, Wave
from sottovoce.corpora.corpus import opened
from sottovoce.graphs import session as session_of
from sottovoce.methods.codebook.none import BUILT_IN
from sottovoce.progress import silent
from sottovoce.runtime.filter import Filter

Judge = Callable[[Wave], NDArray[np.bool_]]  # of blocks [S, 20480], whether somebody talks in each

SPEECH = {"LibriSpeech test-other": "librispeech", "RAVDESS": "ravdess", "EmoDB": "emodb"}
MOST_CLIPS = 200  # of each corpus, evenly chosen
_SYNTHESISED = 300  # blocks of each kind
_SHARE = 0.5  # of the frames of a block, from which on a judge of frames says that there is speech
_FRAME, _CONTEXT = 512, 64  # of silero-vad, in samples
_WEBRTC_FRAME = 480


def recordings(corpora: Path) -> Iterator[tuple[str, bool, list[Wave]]]:
    """Name, whether somebody talks, and the sounds: none of these people, sources and seeds was trained on."""
    for name, folder in SPEECH.items():
        manifest, sounds = opened(f"{folder}:{corpora / folder}", silent)
        clips = [i for i, clip in enumerate(manifest.clips) if folder != "librispeech" or "test-other" in clip.id]
        yield name, True, [sounds.wave(i) for i in clips[:: -(-len(clips) // MOST_CLIPS)]]
    manifest, sounds = opened(f"esc10:{corpora / 'esc10'}", silent)
    for event in manifest.classes("event"):
        clips = [
            i for i, clip in enumerate(manifest.clips) if (clip.labels["fold"], clip.labels["event"]) == ("5", event)
        ]
        yield f"ESC-10 fold 5, {event}", False, [sounds.wave(i) for i in clips]
    for kind, draw in BUILT_IN.items():
        yield f"synthesised {kind}", False, [*draw(np.random.default_rng(987), _SYNTHESISED)]


def silero(path: Path) -> Judge:
    """The judge of an ONNX file of silero-vad for 16 kHz."""
    session = session_of(path, others=True)

    def judge(blocks: Wave) -> NDArray[np.bool_]:
        state, before = np.zeros((2, len(blocks), 128), np.float32), np.zeros((len(blocks), _CONTEXT), np.float32)
        said = []
        for start in range(0, blocks.shape[1], _FRAME):
            frame = np.concatenate([before, blocks[:, start : start + _FRAME]], axis=1)
            inputs = {"input": frame, "state": state, "sr": np.array(SAMPLE_RATE)}
            probability, state = session.run(None, inputs)
            before = frame[:, -_CONTEXT:]
            said.append(probability[:, 0] > 0.5)
        return np.mean(said, axis=0) >= _SHARE

    return judge


def webrtc(blocks: Wave) -> NDArray[np.bool_]:
    """The judge of webrtcvad, at its mode 2."""
    import webrtcvad

    detector, said = webrtcvad.Vad(2), []
    for block in blocks:
        coded = np.clip(np.rint(block * 2**15), -(2**15), 2**15 - 1).astype("<i2")
        starts = range(0, len(coded) - _WEBRTC_FRAME + 1, _WEBRTC_FRAME)
        frames = [detector.is_speech(coded[at : at + _WEBRTC_FRAME].tobytes(), SAMPLE_RATE) for at in starts]
        said.append(np.mean(frames) >= _SHARE)
    return np.array(said)


def main() -> None:
    """Judge, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--filter", default="speech")
    parser.add_argument("--silero", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    filter_ = Filter.load(asked.filter)
    judges: dict[str, Judge] = {"the filter": lambda blocks: _ours(filter_, blocks)}
    judges |= {"silero-vad": silero(asked.silero)} if asked.silero else {}
    judges |= {"webrtcvad": webrtc} if importlib.util.find_spec("webrtcvad") else {}
    rows = []
    for name, talks, sounds in recordings(asked.corpora):
        original, left = (np.concatenate([*map(cut, each)]) for each in (sounds, map(filter_.filter, sounds)))
        row = {"sound": name, "talks": talks, "blocks": len(original)}
        for judge, says in judges.items():
            row[judge] = float(says(original).mean())
            if says is not judges["the filter"]:
                row[f"{judge}, of what leaves"] = float(says(left).mean())
        rows.append(row)
    print(json.dumps(rows, indent=1) if asked.json else table(rows))


def _ours(filter_: Filter, blocks: Wave) -> NDArray[np.bool_]:
    return np.concatenate([filter_.engine.codes(block[None])[:, 0] for block in blocks]) > 0


def table(rows: list[dict[str, object]]) -> str:
    """The share of blocks with speech, in percent; in an hour there are 2812 blocks."""
    columns = [name for name in rows[0] if name not in ("sound", "talks")]
    lines = ["| sound | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        shares = [f"{100 * row[name]:.1f} %" if name != "blocks" else str(row[name]) for name in columns]  # type: ignore[operator]
        lines.append(f"| {row['sound']} | " + " | ".join(shares) + " |")
    nothing = [row for row in rows if str(row["sound"]).startswith("ESC")]
    hours = sum(int(row["blocks"]) for row in nothing) * SEGMENT_S / 3600  # type: ignore[call-overload]
    lines.append("")
    for name in columns[1:]:
        alarms = sum(float(row[name]) * int(row["blocks"]) for row in nothing)  # type: ignore[arg-type,call-overload]
        lines.append(f"ESC-10 fold 5, {name}: {alarms / hours:.0f} false alarms per hour ({hours * 60:.1f} min).")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
