"""Decoded sound: the same at every load, whole or not there, bad files named, segments equal to slices."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.audio import io
from sottovoce.audio.level import LEVEL_RMS, normalise, rms, trim_silence
from sottovoce.corpora import cache, store
from sottovoce.corpora.cache import load
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.readers.csv_file import CORPUS as csv_file
from sottovoce.corpora.readers.folder import CORPUS as folder
from sottovoce.corpora.store import build_once, cache_folder
from sottovoce.errors import AudioError, CorpusError


@pytest.fixture
def manifest(record, tmp_path: Path) -> Manifest:
    for i in range(6):
        record(f"sounds/{'ab'[i % 2]}/{i}.wav", duration_s=0.2 + 0.1 * i, sample_rate=16000 if i else 8000)
    return folder.read(tmp_path / "sounds")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_a_clip_comes_back_as_it_was_decoded(manifest: Manifest, place: Path) -> None:
    kept, sounds = load(manifest, place)
    assert kept is manifest and not sounds.failed and len(sounds) == 6
    for i, clip in enumerate(manifest.clips):
        expected = normalise(trim_silence(io.read(clip.path)))
        wav = sounds.wave(i)
        assert wav.dtype == np.float32
        np.testing.assert_allclose(wav, expected, atol=np.abs(expected).max() / 32767)
        assert rms(wav) == pytest.approx(LEVEL_RMS, rel=1e-3)
        assert sounds.samples(i) == len(wav)
        assert sounds.duration_s(i) == len(wav) / 16000


def test_a_peak_above_full_scale_is_kept(tmp_path: Path, place: Path) -> None:
    wav = 0.001 * np.random.default_rng(0).standard_normal(16000)
    wav[8000] = 0.9
    (tmp_path / "sounds" / "click").mkdir(parents=True)
    soundfile.write(tmp_path / "sounds" / "click" / "a.wav", wav, 16000)
    manifest = folder.read(tmp_path / "sounds")
    expected = normalise(trim_silence(io.read(manifest.clips[0].path)))
    assert np.abs(expected).max() > 2.0
    assert np.abs(load(manifest, place)[1].wave(0)).max() == pytest.approx(np.abs(expected).max(), rel=1e-4)


def test_the_second_load_decodes_nothing(manifest: Manifest, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, first = load(manifest, place)
    monkeypatch.setattr(io, "read", None)
    _, second = load(replace(manifest, clips=manifest.clips[::-1]), place)
    for i in range(6):
        np.testing.assert_array_equal(first.wave(i), second.wave(5 - i))


def test_a_rebuilt_cache_is_equal(manifest: Manifest, place: Path) -> None:
    def contents() -> dict[str, bytes]:
        load(manifest, place)
        return {path.name: path.read_bytes() for path in place.rglob("*") if path.is_file()}

    before = contents()
    shutil.rmtree(place)
    assert contents() == before


def test_another_version_is_decoded_anew(manifest: Manifest, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(manifest, place)
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    load(manifest, place)
    assert len(list((place / "sounds").iterdir())) == 2


def test_progress_is_told(manifest: Manifest, place: Path) -> None:
    told: list[tuple[int, int]] = []
    load(manifest, place, lambda done, total: told.append((done, total)))
    assert told == [(i, 6) for i in range(1, 7)]


def test_a_bad_clip_is_left_out_and_named(manifest: Manifest, place: Path, record, tmp_path: Path) -> None:
    record("sounds/a/bad.wav").write_bytes(b"not a sound")
    soundfile.write(tmp_path / "sounds/b/silent.wav", np.zeros(8000), 16000)
    damaged = folder.read(tmp_path / "sounds")
    for _ in range(2):  # decoded, then reused
        kept, sounds = load(damaged, place)
        assert [clip.id for clip in kept.clips] == [clip.id for clip in manifest.clips]
        assert len(sounds) == 6
        assert set(sounds.failed) == {"a/bad.wav", "b/silent.wav"}
        assert "silent" in sounds.failed["b/silent.wav"]
        assert any(note.startswith("'a/bad.wav' left out") for note in kept.notes)
        np.testing.assert_array_equal(sounds.wave(5), load(manifest, place)[1].wave(5))


def test_a_corpus_that_is_mostly_bad_is_refused_and_leaves_nothing(manifest: Manifest, place: Path) -> None:
    for clip in manifest.clips[:4]:
        clip.path.write_bytes(b"not a sound")
    with pytest.raises(CorpusError, match=r"4 of 6 clips .*'a/0\.wav'"):
        load(manifest, place)
    assert list((place / "sounds").iterdir()) == []


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[:4] = bytes(byte ^ 255 for byte in data[:4])
    path.write_bytes(data)


def zeroed(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize("damage", [cut_short, Path.unlink, flipped, zeroed, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("name", ["samples.int16", "lengths.npy", "scales.npy", "index.json", ".contents.json"])
def test_a_damaged_cache_is_built_again_and_said(manifest: Manifest, place: Path, name: str, damage) -> None:
    before = [load(manifest, place)[1].wave(i) for i in range(6)]
    (path,) = place.rglob(name)
    damage(path)
    kept, sounds = load(manifest, place)
    for i in range(6):
        np.testing.assert_array_equal(sounds.wave(i), before[i])
    silent = (name, damage) == (".contents.json", Path.unlink)
    assert any("damaged" in note for note in kept.notes) == (not silent)
    assert load(manifest, place)[0].notes == manifest.notes, "once mended it is whole"
    assert len(list((place / "sounds").iterdir())) == 1


@pytest.mark.parametrize("damage", ["all", "second half", "first half"])
def test_a_large_file_whose_content_never_reached_the_disk_is_damaged(tmp_path: Path, damage: str) -> None:
    def build(folder: Path) -> None:
        (folder / "large").write_bytes(np.random.default_rng(0).bytes(12 << 20))

    place = build_once(tmp_path / "thing", build)
    whole = (place / "large").read_bytes()
    half, nothing = len(whole) // 2, bytes(len(whole) // 2)
    torn = {"all": nothing * 2, "second half": whole[:half] + nothing, "first half": nothing + whole[half:]}
    (place / "large").write_bytes(torn[damage])
    notes: list[str] = []
    assert (build_once(place, build, notes) / "large").read_bytes() == whole
    assert "'large' is missing or altered" in notes[0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("lengths.npy", lambda lengths: lengths.astype(float)),
        ("lengths.npy", lambda lengths: lengths.reshape(-1, 1)),
        ("lengths.npy", lambda lengths: lengths[::-1] - lengths),
        ("lengths.npy", lambda lengths: lengths[:-1]),
        ("scales.npy", lambda scales: scales * np.float32("nan")),
        ("scales.npy", lambda scales: scales * np.float32("inf")),
        ("scales.npy", lambda scales: -scales),
        ("scales.npy", lambda scales: scales.astype(complex)),
        ("scales.npy", lambda scales: scales.astype(float)),
        ("scales.npy", lambda scales: scales.reshape(-1, 1)),
    ],
)
def test_numbers_that_cannot_be_are_damage_even_where_the_digests_agree(
    manifest: Manifest, place: Path, name: str, values
) -> None:
    before = load(manifest, place)[1]
    (path,) = place.rglob(name)
    np.save(path, values(np.load(path)))
    (path.parent / ".contents.json").write_text(json.dumps(store._contents(path.parent)))
    kept, sounds = load(manifest, place)
    np.testing.assert_array_equal(sounds.wave(5), before.wave(5))
    assert any("damaged" in note for note in kept.notes)


def test_every_file_is_on_the_disk_before_the_folder_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: waited.append((tmp_path / "thing").exists()))
    build_once(tmp_path / "thing", lambda folder: (folder / "whole").write_text("new") and None)
    assert waited == [False, False], "the file and the list of the files"


def test_a_folder_with_sizes_alone_is_replaced_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "half").write_text("old")
    (tmp_path / "thing" / ".contents.json").write_text('{"half": 3}')
    notes: list[str] = []
    build_once(tmp_path / "thing", lambda folder: (folder / "whole").write_text("new") and None, notes)
    assert [path.name for path in (tmp_path / "thing").glob("[a-z]*")] == ["whole"] and not notes


def test_a_damaged_cache_that_may_not_be_replaced_is_refused(
    manifest: Manifest, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(manifest, place)
    (samples,) = place.rglob("samples.int16")
    cut_short(samples)

    def forbidden(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store.tempfile, "mkdtemp", forbidden)
    with pytest.raises(CorpusError, match=r"damaged .*Permission denied.*; delete it or set SOTTOVOCE_CACHE"):
        load(manifest, place)


def test_a_folder_of_an_earlier_version_is_replaced_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "half").write_text("of earlier days")
    notes: list[str] = []
    build_once(tmp_path / "thing", lambda folder: (folder / "whole").write_text("new") and None, notes)
    assert [path.name for path in (tmp_path / "thing").glob("[a-z]*")] == ["whole"] and not notes


def test_files_that_were_added_to_a_cache_do_no_harm(manifest: Manifest, place: Path) -> None:
    load(manifest, place)
    (samples,) = place.rglob("samples.int16")
    samples.with_name(".DS_Store").write_bytes(b"x")
    assert load(manifest, place)[0] is manifest


def test_what_could_not_be_decoded_is_tried_again(
    manifest: Manifest, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = io.read

    def without_ffmpeg(path: Path, *rest: object, **more: object) -> object:
        if path == manifest.clips[0].path:
            raise AudioError("M4A sound, which needs ffmpeg")
        return read(path, *rest, **more)

    monkeypatch.setattr(io, "read", without_ffmpeg)
    for _ in range(2):
        kept, sounds = load(manifest, place)
        assert list(sounds.failed) == [manifest.clips[0].id] and len(kept.clips) == len(sounds) == 5
    monkeypatch.setattr(io, "read", read)
    kept, sounds = load(manifest, place)
    assert kept is manifest and len(sounds) == 6 and not sounds.failed


def test_slices_that_agree_in_six_digits_are_two_clips(record, tmp_path: Path, place: Path) -> None:
    record("long.wav", duration_s=4.0)
    rows = "".join(f"long.wav,{'ab'[i % 2]},{1.1234567 + 1e-7 * i:.7f},1.5\n" for i in range(6))
    (tmp_path / "clips.csv").write_text(f"path,speaker,start_s,duration_s\n{rows}")
    found = csv_file.read(tmp_path / "clips.csv")
    assert len({clip.id for clip in found.clips}) == 6
    for _ in range(2):
        kept, sounds = load(found, place)
        assert kept is found and len(sounds) == 6


def test_two_clips_of_one_id_are_refused(manifest: Manifest, place: Path) -> None:
    twice = replace(manifest, clips=(*manifest.clips, manifest.clips[0]))
    with pytest.raises(CorpusError, match="same id"):
        load(twice, place)


def test_segments_are_slices_of_the_clips(manifest: Manifest, place: Path) -> None:
    _, sounds = load(manifest, place)
    rng = np.random.default_rng(0)
    indices = rng.integers(6, size=50)
    starts = rng.integers(0, 16000, size=50)
    gathered = sounds.segments(indices, starts, 4000)
    assert gathered.shape == (50, 4000) and gathered.dtype == np.float32
    for row, i, start in zip(gathered, indices, starts, strict=True):
        inside = sounds.wave(i)[start : start + 4000]
        np.testing.assert_array_equal(row[: len(inside)], inside)
        assert not row[len(inside) :].any()


def test_segments_of_nothing_and_before_the_start(manifest: Manifest, place: Path) -> None:
    _, sounds = load(manifest, place)
    none = np.array([], np.int64)
    assert sounds.segments(none, none, 100).shape == (0, 100)
    with pytest.raises(ValueError, match="starts are -1"):
        sounds.segments([0], [-1], 100)


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "cache" / "thing"

    def fail(unfinished: Path) -> None:
        (unfinished / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_once(target, fail)
    assert list(target.parent.iterdir()) == []


def test_of_two_builders_the_first_to_finish_wins(tmp_path: Path) -> None:
    target = tmp_path / "thing"

    def overtaken(unfinished: Path) -> None:
        (unfinished / "by").write_text("second")
        build_once(target, lambda other: (other / "by").write_text("first") and None)

    assert (build_once(target, overtaken) / "by").read_text() == "first"


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CorpusError, match="SOTTOVOCE_CACHE"):
        build_once(tmp_path / "file" / "thing", lambda unfinished: None)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SOTTOVOCE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "sottovoce"
    monkeypatch.setenv("SOTTOVOCE_CACHE", "~/sounds")
    assert cache_folder() == tmp_path / "sounds"


@pytest.mark.parametrize("home", ["", "home", "./home", "."])
@pytest.mark.parametrize("chosen", ["", "~", "~/sounds"])
def test_an_empty_or_relative_home_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str, chosen: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("SOTTOVOCE_CACHE", chosen)
    with pytest.raises(CorpusError, match=r"no home folder.*; set SOTTOVOCE_CACHE to the full path of a folder"):
        cache_folder()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("chosen", ["sounds", "./sounds", "../sounds", ".", "~nobody-of-this-name/x"])
def test_a_relative_cache_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOTTOVOCE_CACHE", chosen)
    with pytest.raises(CorpusError, match=f"SOTTOVOCE_CACHE is '{chosen}'.*; set it to a full path"):
        cache_folder()
    assert list(tmp_path.iterdir()) == []
