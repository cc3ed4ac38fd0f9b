"""What leaves the tab is what leaves the filter elsewhere, bit for bit."""

import base64
import itertools

import numpy as np
import pytest
import soundfile

from sottovoce.runtime import bundled
from sottovoce.runtime.filter import Filter

# Pieces of samples as one text, which passes between processes quickly.
IN_TEXT = """
(pieces) => new Promise((resolve) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
  reader.readAsDataURL(new Blob(pieces));
})
"""

# Feeds the worker of a filter with steps, which are numbers of samples or lists of permitted tasks; gives what leaves.
DRIVEN = """
async ([folder, timelines]) => {
  const raw = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  const worker = new Worker("worker.js", {type: "module"});
  const answers = [];
  let waiting = null;
  worker.onmessage = ({data}) => {
    if (data.error) throw new Error(data.error);
    if ((data.ready || data.left) && waiting) waiting(data);
  };
  const ask = (message) => new Promise((resolve) => { waiting = resolve; worker.postMessage(message); });
  await ask({load: folder});
  const all = [];
  for (const {steps, noise} of timelines) {
    const wav = Float32Array.from(new Int16Array(raw(noise)), (value) => value / 32768);
    worker.postMessage({begin: {port: null, permit: steps[0]}});
    const left = [];
    let at = 0;
    for (const step of [...steps.slice(1), null]) {
      if (Array.isArray(step)) worker.postMessage({permit: step});
      else left.push((await ask({piece: step === null ? null : wav.slice(at, at += step)})).left);
    }
    all.push(await (IN_TEXT)(left));
  }
  worker.terminate();
  return all;
}
""".replace("IN_TEXT", IN_TEXT)


@pytest.mark.parametrize(("name", "subtype"), [*((name, "PCM_16") for name in bundled.known()), ("two-tasks", "FLOAT")])
def test_what_is_saved_is_what_the_filter_gives(open_page, give, spoken, written, two_tasks, tmp_path, name, subtype):
    wav = written(tmp_path / "in.wav", spoken(name, 12) if name != "two-tasks" else spoken("digit", 7), subtype=subtype)
    page = open_page(name)
    give(page, tmp_path / "in.wav")
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "out.wav")
    left, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    expected = Filter.load(two_tasks if name == "two-tasks" else name).filter(wav)
    assert rate == 16000 and np.abs(expected).max() > 0.05
    assert left.tobytes() == expected.tobytes()


def test_consent_that_changes_at_any_sample_is_that_of_a_stream(open_page, two_tasks):
    """With a memory, in blocks of two segments, consent changing anywhere: the laws are the filter's own."""
    timelines = [timeline(seed) for seed in range(10)]
    given = [
        {"steps": list(itertools.chain(*some)), "noise": base64.b64encode(noise.tobytes()).decode()}
        for some, noise in timelines
    ]
    left = open_page("two-tasks").evaluate(DRIVEN, ["filters/two-tasks", given])
    for (some, noise), text in zip(timelines, left, strict=True):
        stream, wav, expected = Filter.load(two_tasks).stream(), noise.astype(np.float32) / 32768, []
        for permit, length in some:
            stream.permitting(permit)
            expected.append(stream.feed(wav[:length]))
            wav = wav[length:]
        assert base64.b64decode(text) == np.concatenate([*expected, stream.flush()]).tobytes()


def timeline(seed: int) -> tuple[list[tuple[list[str], int]], np.ndarray]:
    """Tasks that are permitted and for how many samples, and the sound meanwhile."""
    rng = np.random.default_rng(seed)
    subsets = [[], ["word"], ["mood"], ["word", "mood"]]
    lengths = [0, 1, 20479, 20480, 20481, 40960, 81920, 5000, 30000]
    some = [(subsets[rng.integers(4)], int(lengths[rng.integers(len(lengths))])) for _ in range(7)]
    tone = np.sin(np.arange(sum(length for _, length in some)) * (0.2 + 0.1 * seed)) * rng.standard_normal()
    return some, np.rint(9000 * tone + 900 * rng.standard_normal(len(tone))).clip(-32768, 32767).astype("<i2")


def test_what_is_played_from_a_file_is_what_the_filter_gives(open_page, give, spoken, written, tmp_path):
    wav = written(tmp_path / "in.wav", spoken("digit", 4))
    page = open_page()
    give(page, tmp_path / "in.wav")
    page.click("#start")
    page.locator("#status", has_text="is over").wait_for()
    assert "Nothing leaves" in page.inner_text("#status") and page.inner_text("#start") == "Start"
    expected = Filter.load("digit").filter(wav)
    assert np.trim_zeros(played(page)).tobytes() == np.trim_zeros(expected).tobytes()


def test_revoking_in_the_middle_of_a_sound_is_that_of_a_stream(open_page, give, spoken, written, tmp_path):
    """Revoked and permitted again by the switch, while a sound plays: at the samples that the page names."""
    wav = written(tmp_path / "in.wav", spoken("digit", 9))
    page = open_page()
    give(page, tmp_path / "in.wav")
    page.click("#start")
    page.locator("#answer", has_not_text="—").wait_for()
    page.wait_for_timeout(700)  # into a block
    page.locator("[role=switch]").uncheck()
    page.wait_for_timeout(3000)
    assert page.inner_text("#answer") == "nothing" and "or 0 bits" in page.inner_text("#bound")
    page.locator("[role=switch]").check()
    page.locator("#status", has_text="is over").wait_for()
    changes = [
        (said["consent"]["at"], said["consent"]["permit"]) for said in page.evaluate("said") if "consent" in said
    ]
    assert [permit for _, permit in changes] == [[], [], [], ["digit"]]
    stream, at, expected = Filter.load("digit").stream(), 0, []
    for until, permit in changes:
        expected.append(stream.feed(wav[at:until]))
        stream.permitting(permit)
        at = until
    expected = np.concatenate([*expected, stream.feed(wav[at:]), stream.flush()])
    assert not expected[changes[0][0] : changes[3][0] - 20480].any() and expected[changes[3][0] :].any()
    assert np.trim_zeros(played(page)).tobytes() == np.trim_zeros(expected).tobytes()
    bits = sum(said["block"]["bits"] for said in page.evaluate("said") if "block" in said)
    assert float(page.inner_text("#count")) == pytest.approx(bits, abs=0.06) and bits < 9 * np.log2(11)


def test_what_leaves_for_a_microphone_is_what_the_filter_gives(open_page, tmp_path):
    """The samples that reached the filter's thread, through the filter elsewhere."""
    page = open_page("level")
    thread = page.workers[-1]
    thread.evaluate(
        """() => {
          self.came = [];
          const own = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
          Object.defineProperty(MessagePort.prototype, "onmessage", {...own, set(listen) {
            own.set.call(this, (event) => { self.came.push(event.data.samples ?? []); listen(event); });
          }});
        }"""
    )
    page.click("#start")
    page.locator("#answers", has_text="·").wait_for()  # three blocks
    page.wait_for_timeout(1800)
    came = np.frombuffer(base64.b64decode(thread.evaluate(f"({IN_TEXT})(self.came)")), np.float32)
    left = played(page)
    page.click("#start")
    assert "Nothing leaves" in page.inner_text("#status")
    expected = Filter.load("level").stream().feed(came)
    assert np.abs(came).max() > 0.05 and np.abs(expected).max() > 0.05
    expected, left = np.trim_zeros(expected, "f"), np.trim_zeros(left, "f")
    shared = min(len(expected), len(left))
    assert shared > 20480 and left[:shared].tobytes() == expected[:shared].tobytes()


def test_a_killed_filter_leaves_silence_and_a_sentence(open_page):
    page = open_page("level")
    page.click("#start")
    page.locator("#answers", has_text="·").wait_for()
    page.workers[-1].evaluate("() => self.close()")
    page.wait_for_timeout(1800)  # what was drawn before is played
    before = len(played(page))
    page.locator("#status", has_text="died or is stuck").wait_for()
    after = played(page)[before:]
    assert len(after) > 8000 and not after.any()
    page.click("#start")  # loads it again
    page.locator("#status", has_text="is ready").wait_for()


@pytest.mark.parametrize("harm", ["() => { while (true); }", "() => { Math.exp = () => { throw new Error('No.'); }; }"])
def test_a_filter_that_hangs_or_fails_leaves_silence_and_a_sentence(open_page, harm):
    page = open_page("level")
    page.click("#start")
    page.locator("#answer", has_not_text="—").wait_for()
    thread = page.workers[-1]
    thread.evaluate(f"() => {{ setTimeout({harm}); }}")
    page.locator("#status[data-kind=bad]").wait_for()
    assert "Nothing leaves." in page.inner_text("#status")
    before = len(played(page))
    page.wait_for_timeout(1000)
    assert not played(page)[before:].any()


def played(page) -> np.ndarray:
    """All samples that reached the loudspeaker."""
    return np.frombuffer(base64.b64decode(page.evaluate(f"({IN_TEXT})(recorded)")), np.float32)
