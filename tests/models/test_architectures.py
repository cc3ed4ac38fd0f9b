"""The networks: their shapes, their sizes, and the closed table through which a folder names them."""

import pytest
import torch
from torch import nn

from sottovoce.errors import ModelError
from sottovoce.models.architectures import ARCHITECTURES, build, restore
from sottovoce.models.compact import CompactAutoencoder, CompactRecogniser, SpecAugment
from sottovoce.models.cyclegan_vc2 import EIGHTH, NEAR, CycleGanVc2
from sottovoce.models.deepspeech2 import DeepSpeech2
from sottovoce.models.layers import parameter_count


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


TINY = {"first": 4, "second": 8, "body": 8, "hidden": 16}


@pytest.fixture(scope="module")
def small_cyclegan() -> nn.Module:
    torch.manual_seed(0)
    return CycleGanVc2(bins=21, blocks=2, **TINY).eval()


@pytest.mark.parametrize("frames", [1, 2, 3, 17, 64, 129])
def test_deepspeech2_takes_any_number_of_frames(frames):
    network = DeepSpeech2(classes=5, maps=4, hidden=8).eval()
    assert network(noise(3, 161, frames)).shape == (3, 5)


def test_deepspeech2_gives_each_of_a_batch_what_it_gives_it_alone():
    network = DeepSpeech2(classes=5, maps=4, hidden=8).eval()
    spectra = noise(3, 161, 40)
    with torch.no_grad():
        torch.testing.assert_close(network(spectra), torch.cat([network(one[None]) for one in spectra]))


@pytest.mark.parametrize("frames", [9, 33, 128])
def test_the_compact_recogniser_gives_one_row_of_logits_each(frames):
    assert CompactRecogniser(classes=7).eval()(noise(2, 161, frames)).shape == (2, 7)


@pytest.mark.parametrize("frames", [5, 6, 7, 16, 31])
def test_cyclegan_keeps_the_shape(small_cyclegan, frames):
    assert small_cyclegan(noise(2, 21, frames)).shape == (2, 21, frames)


@pytest.mark.parametrize("bins", [8, 9, 22, 23, 161])
def test_cyclegan_keeps_the_shape_for_any_number_of_bins(bins):
    assert CycleGanVc2(bins=bins, blocks=1, **TINY)(noise(1, bins, 13)).shape == (1, bins, 13)


def test_cyclegan_has_the_number_of_parameters_that_its_page_names():
    with torch.device("meta"):  # sizes without the memory
        assert parameter_count(CycleGanVc2(bins=161)) == 6_847_105, "the paper's 6.847 M"
        assert parameter_count(CycleGanVc2(bins=161, **EIGHTH)) == 380_161
        assert parameter_count(CycleGanVc2(bins=161, **NEAR)) == 758_481


@pytest.mark.parametrize(("bins", "frames"), [(161, 128), (161, 127), (16, 17), (23, 9), (24, 30)])
def test_the_compact_autoencoder_keeps_the_shape(bins, frames):
    assert CompactAutoencoder(width=4, blocks=1)(noise(2, bins, frames)).shape == (2, bins, frames)


@pytest.mark.parametrize(("bins", "frames"), [(161, 128), (161, 9), (24, 30)])
def test_everything_passes_through_the_body_of_the_compact_autoencoder(bins, frames):
    network = CompactAutoencoder(width=4, blocks=2, body=3, bins=bins).eval()
    seen = outputs_of(network.layers[-1])
    assert network(noise(2, bins, frames)).shape == (2, bins, frames)
    assert seen[0].shape == (2, 3, -(-frames // 8))


@pytest.mark.parametrize("body", [0, 3])
@pytest.mark.parametrize("latent_layers", [1, 2, 3, 4])
def test_the_latent_of_the_compact_autoencoder_is_on_the_way_to_its_output(latent_layers, body):
    network = CompactAutoencoder(width=4, blocks=2, latent_layers=latent_layers, body=body, bins=23).eval()
    seen = outputs_of(network.layers[latent_layers - 1])
    network(noise(2, 23, 30))
    torch.testing.assert_close(network.encode(noise(2, 23, 30)), seen[0])


@pytest.mark.parametrize("latent_layers", [1, 3, 4, 5, 6])
def test_the_latent_of_cyclegan_is_on_the_way_to_its_output(small_cyclegan, latent_layers):
    layers = [*small_cyclegan.down, small_cyclegan.flatten, *small_cyclegan.body]
    seen = outputs_of(layers[latent_layers - 1])
    small_cyclegan(noise(2, 21, 14))
    small_cyclegan.latent_layers = latent_layers
    torch.testing.assert_close(small_cyclegan.encode(noise(2, 21, 14)), seen[0])


def outputs_of(layer: nn.Module) -> list[torch.Tensor]:
    seen: list[torch.Tensor] = []
    layer.register_forward_hook(lambda _, __, output: seen.append(output))
    return seen


def test_spec_augment_does_nothing_but_in_training():
    layer, spectrum = SpecAugment(), noise(4, 1, 161, 128)
    assert torch.equal(layer.eval()(spectrum), spectrum)
    torch.manual_seed(0)
    masked = layer.train()(spectrum)
    assert not torch.equal(masked, spectrum)
    assert torch.equal(masked[masked != 0], spectrum[masked != 0]), "what is not masked is left alone"


def test_spec_augment_masks_whole_bins_and_frames_within_bounds():
    torch.manual_seed(0)
    masked = SpecAugment().train()(torch.ones(200, 1, 161, 128))[:, 0] == 0
    bins, frames = masked.all(dim=2), masked.all(dim=1)
    assert torch.equal(masked, bins[:, :, None] | frames[:, None, :])
    assert 20 < bins.sum(dim=1).max() <= 40
    assert 24 < frames.sum(dim=1).max() <= 48
    assert len(torch.unique(frames.float(), dim=0)) > 100, "each of a batch has masks of its own"


def test_an_unknown_architecture_is_refused_with_the_known_ones():
    with pytest.raises(ModelError) as error:
        build("os.system", {})
    assert all(name in str(error.value) for name in ARCHITECTURES)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_unknown_setting_is_refused(name):
    with pytest.raises(ModelError, match=r"unexpected keyword"):
        build(name, {"colour": 3})


@pytest.mark.parametrize("value", [0, -1, 100_001, 2**70, 1.5, "8", None])
@pytest.mark.parametrize("name", ["width", "blocks"])
def test_a_size_out_of_bounds_is_refused(name, value):
    with pytest.raises(ModelError, match=name):
        build("compact-autoencoder", {name: value})


@pytest.mark.parametrize("weights", [b"", b"not safetensors", b"\xff" * 100])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ModelError, match="do not fit"):
        restore("compact-autoencoder", {"width": 4, "blocks": 1}, weights)
