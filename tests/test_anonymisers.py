"""The anonymisers that audits are shown on do what is said of them; they are a script, no part of the package."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "anonymisers.py"
RATE = 16000


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.environ", {})  # which the script sets
        spec = importlib.util.spec_from_file_location("anonymisers", SCRIPT)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def tone(hertz: float, samples: int = 3 * RATE) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.float32)


def noise(samples: int = RATE, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)


def vowel(samples: int = 2 * RATE) -> np.ndarray:
    """Pulses at 100 Hz through a resonance at 600 Hz."""
    pulses = np.zeros(samples)
    pulses[::160] = 0.05
    pole = 0.97 * np.exp(2j * np.pi * 600 / RATE)
    return lfilter([1.0], np.poly([pole, pole.conjugate()]).real, pulses).astype(np.float32)


def loudest_hz(wav: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(wav * np.hanning(len(wav)), 8 * len(wav)))
    return float(spectrum.argmax()) * RATE / (8 * len(wav))


def test_mcadams_with_a_coefficient_of_one_changes_nothing(script):
    for wav in (vowel(), noise(), tone(440)):
        np.testing.assert_allclose(script.mcadams(wav, 1.0), wav, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 0.8, 1.1])
def test_mcadams_moves_a_resonance_to_the_power_of_its_angle(script, alpha):
    wav = script.mcadams(vowel(), alpha)
    pitch_periods = np.abs(np.fft.rfft(wav[8000:24000] * np.hanning(16000)))
    envelope = np.convolve(pitch_periods, np.hanning(200), "same")  # 1 Hz a bin; the pulses are 100 Hz apart
    angle = (2 * np.pi * 600 / RATE) ** alpha
    assert envelope[:4000].argmax() == pytest.approx(angle * RATE / (2 * np.pi), rel=0.08)


def test_mcadams_keeps_the_pitch(script):
    wav = script.mcadams(vowel(), 0.8)[8000:24000]
    power = np.abs(np.fft.rfft(wav)) ** 2
    assert power[::100].sum() > 0.95 * power.sum(), "what is periodic in 10 ms stays so"


def test_frames_go_through_filters_of_their_own(script):
    frames = np.random.default_rng(0).standard_normal((5, script.FRAME))
    one = script._predictors(frames)
    other = script._moved(one, 0.7)
    expected = [lfilter(*three) for three in zip(one, other, frames, strict=True)]
    np.testing.assert_allclose(script._filtered(frames, one, other), expected, atol=1e-9)


def test_poles_outside_the_unit_circle_are_pulled_in(script):
    outside = np.poly([1.2 * np.exp(0.5j), 1.2 * np.exp(-0.5j), -1.5, *[0.1] * 17]).real[None]
    moved = np.abs(np.roots(script._moved(outside, 0.8)[0]))
    assert moved.max() == pytest.approx(script.WIDEST_RADIUS, abs=1e-6)


@pytest.mark.parametrize("semitones", [-5, -1, 0, 4, 7])
def test_the_pitch_of_a_tone_moves_and_its_duration_stays(script, semitones):
    wav = script.pitch(tone(200), semitones)
    assert len(wav) == 3 * RATE
    assert loudest_hz(wav[RATE // 2 : -RATE // 2]) == pytest.approx(200 * 2 ** (semitones / 12), rel=0.003)
    assert np.sqrt(np.mean(wav[800:-800] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_what_sounds_late_still_sounds_late(script):
    wav = np.concatenate([np.zeros(RATE, np.float32), tone(300, RATE), np.zeros(RATE, np.float32)])
    loud = np.flatnonzero(np.abs(script.pitch(wav)) > 0.1)
    assert loud[0] == pytest.approx(RATE, abs=800) and loud[-1] == pytest.approx(2 * RATE, abs=800)


@pytest.mark.parametrize("method", ["mcadams", "pitch"])
def test_every_sound_comes_out_finite_and_as_long(script, method):
    square = np.sign(tone(150))  # clipped all through
    click = np.zeros(5000, np.float32)
    click[2500] = 1.0
    for wav in (
        np.zeros(5000, np.float32),
        noise(),
        square,
        noise(level=100.0),
        click,
        tone(100),
        noise(1),
        noise(319),
    ):
        out = getattr(script, method)(wav)
        assert out.shape == wav.shape and out.dtype == np.float32 and np.isfinite(out).all()
        assert np.array_equal(out, getattr(script, method)(wav))
    assert not getattr(script, method)(np.zeros(5000, np.float32)).any()


def test_a_drawn_coefficient_depends_on_seed_and_sound(script):
    drawn = [script.drawn_alpha(noise(100 + i), seed) for i in range(50) for seed in range(2)]
    assert len(set(drawn)) == 100 and 0.5 < min(drawn) < 0.52 and 0.88 < max(drawn) < 0.9
    assert script.drawn_alpha(noise(100), 0) == drawn[0]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_script_does_one_file(script, tmp_path):
    soundfile.write(tmp_path / "in.flac", noise(4000), RATE)
    assert command("pitch", tmp_path / "in.flac", tmp_path / "out.wav", "--semitones", "-2").returncode == 0
    expected = script.pitch(soundfile.read(tmp_path / "in.flac", dtype="float32")[0], -2)
    np.testing.assert_allclose(soundfile.read(tmp_path / "out.wav")[0], expected, atol=1e-4)


def test_the_script_does_a_folder(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.wav", "deep/b.c.flac"):
        soundfile.write(tmp_path / "in" / name, noise(4000), RATE)
    done = command("mcadams", tmp_path / "in", tmp_path / "out", "--seed", "3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    written = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == ["a.wav", "deep/b.c.wav"]


def test_the_script_says_what_is_wrong(tmp_path):
    (tmp_path / "in").mkdir()
    for arguments, reason in (
        (("pitch", tmp_path / "none.wav", tmp_path / "out.wav"), "none.wav"),
        (("pitch", tmp_path / "in", tmp_path / "out"), "no sound files"),
        (("pitch", tmp_path / "in", tmp_path / "in" / "out"), "choose a place outside"),
    ):
        done = command(*arguments)
        assert done.returncode == 2 and reason in done.stderr and len(done.stderr.splitlines()) == 1
