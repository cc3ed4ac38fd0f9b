"""What can go wrong with the page is one clear sentence on it, and nothing leaves."""

import json
import shutil

import numpy as np
import pytest
import soundfile

KEPT_CONTEXT = """
const Own = AudioContext;
AudioContext = class extends Own { constructor(...given) { super(...given); window.context = this; } };
"""
SLOW = """() => {
  const own = Math.exp;
  Math.exp = (x) => { const end = Date.now() + 400; while (Date.now() < end); return own(x); };
}"""
FLAT_TONE = (0.3 * np.sin(np.arange(70_000) / 9)).astype(np.float32)


def sentence(page) -> str:
    """What the page says is wrong: one line, in sentences."""
    page.locator("#status[data-kind=bad]").wait_for()
    said = page.inner_text("#status")
    assert said.endswith(".") and "undefined" not in said and "Error" not in said
    return said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NotAllowedError", "was not permitted"),
        ("NotFoundError", "no microphone"),
        ("OverconstrainedError", "is gone"),
        ("NotReadableError", "another program"),
        ("SecurityError", "cannot be used (said by the test)."),
    ],
)
def test_a_microphone_that_cannot_be_had(open_page, name, expected):
    refusal = f'Promise.reject(new DOMException("said by the test", "{name}"))'
    page = open_page("level", script=f"navigator.mediaDevices.getUserMedia = () => {refusal};")
    page.click("#start")
    assert expected in sentence(page)
    assert page.inner_text("#start") == "Start" and page.is_enabled("#start")
    page.select_option("#source", "example")  # and the page still works
    page.click("#start")
    page.locator("#answer", has_not_text="—").wait_for()


def test_a_browser_that_gives_no_microphone_or_denies_it(open_page):
    page = open_page("level", script='Object.defineProperty(navigator, "mediaDevices", {value: undefined});')
    page.click("#start")
    assert "no microphone for this page" in sentence(page)


def test_a_microphone_that_is_unplugged(open_page):
    keep = "const own = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
    keep += "navigator.mediaDevices.getUserMedia = async (asked) => (window.given = await own(asked));"
    page = open_page("level", script=keep)
    page.click("#start")
    page.locator("#answer", has_not_text="—").wait_for()
    page.evaluate("given.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
    page.locator("#status", has_text="The microphone is gone. Nothing leaves.").wait_for()
    assert page.inner_text("#start") == "Start"


def test_one_of_several_microphones_is_chosen_by_its_name(open_page):
    keep = "window.asked = []; const own = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
    keep += "navigator.mediaDevices.getUserMedia = (asked) => (window.asked.push(asked), own(asked));"
    page = open_page("level", script=keep)
    page.click("#start")
    page.locator("#answer", has_not_text="—").wait_for()
    page.click("#start")
    names = page.locator("#microphone option").all_inner_texts()
    assert names[0] == "Standard" and len(names) > 2 and all(names)
    page.select_option("#microphone", label=names[2])
    page.click("#start")
    page.locator("#input", has_text=names[2]).wait_for()
    audio = page.evaluate("asked.at(-1).audio")
    assert audio["deviceId"]["exact"] == page.input_value("#microphone")
    assert not audio["echoCancellation"] and not audio["noiseSuppression"] and not audio["autoGainControl"]


@pytest.mark.parametrize("kind", ["text", "empty", "head", "no samples", "none"])
def test_a_file_that_is_no_sound(open_page, give, tmp_path, kind):
    place = tmp_path / "sound.wav"
    soundfile.write(place, FLAT_TONE if kind == "head" else np.zeros(0), 16000)
    content = {"text": b"not a sound at all", "empty": b"", "head": place.read_bytes()[:30]}
    if kind in content:
        place.write_bytes(content[kind])
    page = open_page("level")
    if kind == "none":
        page.select_option("#source", "file")
    else:
        give(page, place)
    for button in ("#start", "#save"):
        page.click(button)
        assert "sound" in sentence(page) and "choose" in sentence(page)
    assert not page.evaluate("recorded.length")


@pytest.mark.parametrize(
    ("rate", "channels", "ending", "subtype"),
    [(44100, 1, "wav", "PCM_16"), (8000, 2, "wav", "PCM_24"), (48000, 2, "flac", None), (16000, 2, "ogg", "VORBIS")],
)
def test_other_rates_channels_and_formats_are_read(open_page, give, tmp_path, rate, channels, ending, subtype):
    """Level says what is louder, so the answers are those for the sound at 16 kHz."""
    place = tmp_path / f"sound.{ending}"
    loud = np.concatenate([np.full(2 * rate, 0.5), np.full(2 * rate, 0.002)])
    tone = loud * np.sin(np.arange(4 * rate) * 2 * np.pi * 440 / rate)
    soundfile.write(place, np.stack([tone] * channels, axis=1), rate, subtype=subtype)
    page = open_page("level")
    give(page, place)
    with page.expect_download():
        page.click("#save")
    answers = [said["block"]["codes"][0] for said in page.evaluate("said") if "block" in said]
    assert len(answers) == 4 and answers[0] == 4 and answers[-1] in (0, 1)


def test_a_stereo_file_at_16_khz_is_the_mean_of_its_channels(open_page, give, tmp_path):
    from sottovoce.runtime.filter import Filter

    wav = np.stack([0.5 * FLAT_TONE, 0.1 * FLAT_TONE[::-1]], axis=1)
    soundfile.write(tmp_path / "in.wav", wav, 16000, subtype="FLOAT")
    page = open_page("level")
    give(page, tmp_path / "in.wav")
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "out.wav")
    expected = Filter.load("level").filter(wav.mean(axis=1))
    assert np.array_equal(soundfile.read(tmp_path / "out.wav", dtype="float32")[0], expected)


def test_a_long_file_of_another_kind_is_refused_before_it_is_decoded(open_page, give, tmp_path):
    soundfile.write(tmp_path / "long.flac", np.zeros(8000 * 60 * 16, np.float32), 8000)
    page = open_page("level")
    give(page, tmp_path / "long.flac")
    page.click("#start")
    assert "lasts 16 minutes" in sentence(page) and "WAV file of one channel at 16 kHz" in sentence(page)


@pytest.mark.parametrize("button", ["#start", "#save"])
def test_a_file_that_changed_after_it_was_chosen(open_page, give, tmp_path, button):
    soundfile.write(tmp_path / "in.wav", FLAT_TONE, 16000)
    page = open_page("level")
    give(page, tmp_path / "in.wav")
    soundfile.write(tmp_path / "in.wav", FLAT_TONE[:9000], 16000)
    page.click(button)
    assert "choose the sound file again" in sentence(page)


def test_a_source_that_is_changed_while_the_browser_asks_leaves_no_microphone_on(open_page):
    """Stopped before the permission came: the microphone is off again."""
    slow = "const own = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices); window.given = null;"
    slow += "navigator.mediaDevices.getUserMedia = async (asked) => {"
    slow += "await new Promise((resolve) => (window.permit = resolve)); return (window.given = await own(asked)); };"
    page = open_page("level", script=slow)
    page.click("#start")
    page.select_option("#source", "example")
    page.evaluate("permit()")
    page.wait_for_timeout(500)
    assert page.evaluate("given.getAudioTracks()[0].readyState") == "ended"
    assert not page.evaluate("said.some((each) => each.block)")


def altered(content: bytes) -> bytes:
    return content[:-40] + bytes(20) + content[-20:]


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("filters/level/filter.json", None, "cannot be had from this server"),
        ("filters/level/filter.json", lambda text: text[:99], "filter.json is damaged"),
        ("filters/level/filter.json", lambda text: text.replace(b'"schema": 1', b'"schema": 2'), "another version"),
        ("filters/level/codewords.u8.gz", None, "cannot be had from this server"),
        ("filters/level/codewords.u8.gz", altered, "damaged"),
        ("filters/level/filter.onnx.gz", lambda content: b"nothing", "damaged"),
        ("filters/level/golden.i16.gz", altered, "damaged"),
        ("onnxruntime-web/ort-wasm-simd-threaded.wasm.gz", None, "cannot be had from this server"),
        ("onnxruntime-web/ort-wasm-simd-threaded.wasm.gz", altered, "damaged"),
        ("onnxruntime-web/ort.wasm.bundle.min.js", None, "could not be started"),
        ("filters.json", None, "filters.json is missing or damaged"),
        ("filters.json", lambda text: text[:9], "filters.json is missing or damaged"),
        ("filters.json", lambda text: b"{}", "filters.json is missing or damaged"),
    ],
)
def test_a_folder_that_is_damaged(open_page, exported, serve, tmp_path, name, change, expected):
    folder = tmp_path / "page"
    shutil.copytree(exported, folder)
    (folder / name).write_bytes(change((folder / name).read_bytes())) if change else (folder / name).unlink()
    page = open_page("level", serve(folder).url, ready=False)
    assert expected in sentence(page)


@pytest.mark.parametrize("part", ["sha256", "codes"])
def test_golden_vectors_that_do_not_match_stop_it(open_page, exported, serve, tmp_path, part):
    folder = tmp_path / "page"
    shutil.copytree(exported, folder)
    place = folder / "filters" / "level" / "filter.json"
    facts = json.loads(place.read_text())
    facts["golden"][part] = "0" * 64 if part == "sha256" else [[1]] * len(facts["golden"]["codes"])
    place.write_text(json.dumps(facts))
    page = open_page("level", serve(folder).url, ready=False)
    assert "does not compute what the filter computes elsewhere" in sentence(page)
    page.click("#start")  # loads it once more, and refuses it again
    assert "does not compute" in sentence(page) and not page.evaluate("said.some((each) => each.ready)")


@pytest.mark.parametrize("missing", ["AudioWorkletNode", "DecompressionStream"])
def test_a_browser_that_is_too_old(open_page, missing):
    page = open_page("level", script=f"delete window.{missing};", ready=False)
    assert "use a current browser" in sentence(page) and not page.is_enabled("#start")


def test_a_page_that_is_not_from_a_secure_place(open_page):
    page = open_page("level", script='Object.defineProperty(window, "isSecureContext", {value: false});', ready=False)
    assert "https" in sentence(page)


def test_without_scripts_the_page_says_what_it_needs(chromium, site):
    page = chromium().new_page(java_script_enabled=False)
    page.goto(site.url)
    assert "needs a current browser with JavaScript" in page.inner_text("#status")
    page.close()


def test_a_hidden_tab_is_filtered_on(open_page):
    page = open_page("level")
    page.select_option("#source", "example")
    page.click("#start")
    page.locator("#answer", has_not_text="—").wait_for()
    other = page.context.new_page()
    other.bring_to_front()
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.isHidden, configurable: true})")
    page.evaluate("isHidden = true; document.dispatchEvent(new Event('visibilitychange'))")
    before = float(page.inner_text("#count"))
    other.wait_for_timeout(3000)
    assert float(page.inner_text("#count")) > before
    page.evaluate("isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    assert "While this tab was hidden, the filter went on" in page.inner_text("#status")


def test_sound_that_the_browser_suspends_is_said(open_page):
    page = open_page(
        "level",
        script=KEPT_CONTEXT,
    )
    page.click("#start")
    page.locator("#answer", has_not_text="—").wait_for()
    page.evaluate("context.suspend()")
    assert "suspended" in sentence(page)
    page.evaluate("context.resume()")
    page.locator("#status", has_text="The sound goes on.").wait_for()


def test_a_filter_that_falls_behind_drops_and_says_so(open_page):
    """Each block takes longer than it lasts: what is late is dropped or not played, and the page says it."""
    page = open_page("level")
    page.click("#start")
    page.locator("#answer", has_not_text="—").wait_for()
    page.workers[-1].evaluate(SLOW)
    assert "silence left instead" in sentence(page)
