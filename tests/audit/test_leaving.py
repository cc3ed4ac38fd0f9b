"""What leaves as a whole: whatever could carry something shows in a property of its own."""

import io

import numpy as np
import pytest
import soundfile

from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.audit import leaving
from sottovoce.audit.case import PARTS
from sottovoce.audit.file_views import observe_samples
from sottovoce.audit.leaving import BANDS, BYTES, FORM, LOWEST, ORDER, STEPS, Leaving, course, described, signals
from sottovoce.audit.planted_files import CLASSES, KINDS

RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal(16000 * 2) * 0.1


def mono(wav: np.ndarray, rate: int = 16000, **more: object) -> Leaving:
    return Leaving(wav[:, None], rate, **more)


def loudest_hz(signal: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(signal))) * 16000 / len(signal))


def test_one_channel_of_16_bits_has_no_signal_but_its_lowest_bit():
    whole = np.rint(NOISE * 32768) / 32768
    found = signals(mono(whole))
    assert [*found] == [LOWEST, "second lowest bit", "third lowest bit"]
    np.testing.assert_array_equal(found[LOWEST], np.where(np.rint(whole * 32768).astype(int) % 2, 1, -1))


def test_what_is_below_16_bits_is_a_signal_of_its_own():
    faint = np.sin(np.arange(len(NOISE)) * 2 * np.pi * 1000 / 16000) * 0.2
    found = signals(mono((np.rint(NOISE * 32768) + faint) / 32768))
    assert loudest_hz(found["below 16 bits"]) == pytest.approx(1000, abs=2)


def test_a_difference_of_channels_that_the_mean_hides():
    tone = np.sin(np.arange(len(NOISE)) * 2 * np.pi * 1000 / 16000)
    found = signals(Leaving(np.stack([NOISE + tone, NOISE - tone], axis=1)))
    np.testing.assert_allclose(found["channel 1 minus channel 2"], 2 * tone, atol=1e-6)
    np.testing.assert_allclose(found["channel 2"], NOISE - tone, atol=1e-6)


@pytest.mark.parametrize("frequency_hz", [9000, 15000, 17000, 23000])
def test_a_tone_above_8_khz_shows_where_it_is_in_its_band(frequency_hz):
    tone = np.sin(np.arange(96000) * 2 * np.pi * frequency_hz / 48000)
    found = signals(mono(tone, 48000))
    band = frequency_hz // 8000
    assert loudest_hz(found[f"{8 * band} to {8 * band + 8} kHz"]) == pytest.approx(frequency_hz % 8000, abs=2)


def test_a_sound_file_among_the_bytes_is_decoded():
    kept = io.BytesIO()
    soundfile.write(kept, NOISE, 16000, format="OGG")
    found = signals(mono(NOISE, beside={"chunk 'note'": b"begin" + kept.getvalue()}))
    sound = found["a sound among the bytes beside sound"]
    assert np.corrcoef(sound, NOISE[: len(sound)])[0, 1] > 0.9


def test_the_course_has_the_order_and_the_level_of_parts():
    tones = [np.sin(np.arange(8000) * 2 * np.pi * hertz / 16000) for hertz in (500, 3000)]
    there, back = (course(mono(np.concatenate(both)), 0.16).reshape(BANDS, STEPS) for both in (tones, tones[::-1]))
    assert there[:, 1].argmax() == back[:, 4].argmax() != there[:, 4].argmax() == back[:, 1].argmax()
    half = course(mono(0.5 * np.concatenate(tones)), 0.16).reshape(BANDS, STEPS)
    np.testing.assert_allclose((there - half)[:, :5].max(), 20 * np.log10(2), atol=0.01)


def test_the_exact_length_shows_by_every_residue():
    forms = np.stack([described(mono(NOISE[: 20000 + i]), 0.16)[FORM] for i in range(24)])
    assert len(np.unique(forms, axis=0)) == 24
    for divisor in (2, 3, 8):
        classes = np.eye(divisor)[(20000 + np.arange(24)) % divisor]
        assert all((forms == column[:, None]).all(axis=0).any() for column in classes.T)


def test_a_property_that_some_recordings_lack_is_zero_there():
    each = [described(mono(NOISE), 0.16)]
    each.append(described(mono(NOISE, beside={"after the sound": b"abc"}), 0.16))
    found = leaving.stacked(each)
    assert not found[f"{BYTES}after the sound"][0].any() and found[f"{BYTES}after the sound"][1].any()
    assert {ORDER, FORM, LOWEST} <= {*found}


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_leak_changes_the_property_that_is_attacked(kind):
    planted = KINDS[kind]
    seen = [
        described(planted.plant(mono(NOISE), k), 0.16, (planted.property,))[planted.property] for k in range(CLASSES)
    ]
    assert len(np.unique(np.stack(seen), axis=0)) == CLASSES


def test_the_samples_of_all_channels_are_observed_and_missing_channels_are_silent(case, tmp_path):
    def whole(clip: int) -> Leaving:
        wav = case.sounds.wave(clip).astype(np.float64)
        return Leaving(np.stack([wav / (channel + 1) for channel in range(1 + clip % 3)], axis=1))

    view = observe_samples(case, whole, "s", tmp_path)
    for part in PARTS:
        seen, clips = view.part(part), case.clips(part)
        assert seen.spectra.shape[1:] == (3, SEGMENT_SAMPLES) and seen.spectra.dtype == np.int16
        assert len(seen) == len(clips)
        for utterance, clip in enumerate(clips):
            leaves = whole(int(clip)).samples.T
            for channel, signal in enumerate(seen.spectra[seen.owner == utterance].swapaxes(0, 1)):
                expected = cut(leaves[channel]) if channel < len(leaves) else np.zeros_like(cut(leaves[0]))
                np.testing.assert_array_equal(signal, np.rint(expected * 32768).clip(-32768, 32767))
