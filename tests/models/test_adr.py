"""The networks of ADR and the x-vector network: shapes, lengths, sizes of the articles, one graph."""

import numpy as np
import pytest
import torch

from sottovoce.errors import ModelError
from sottovoce.models.adr import CODE, Adr, AttributeReader, Decoder, EmbeddingRecogniser, Encoder
from sottovoce.models.architectures import build
from sottovoce.models.layers import parameter_count
from sottovoce.models.xvector import CONTEXT_FRAMES, EMBEDDING, XVector
from sottovoce.runtime.engine import SCORES, Graph
from sottovoce.runtime.export import encoder_to_onnx


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def adr() -> Adr:
    torch.manual_seed(0)
    network = Adr(XVector(3, width=8, pooled=16), 0.1 * torch.ones(EMBEDDING), 0.5 * torch.ones(EMBEDDING), 2)
    with torch.no_grad():
        network(noise(8, 161, 128))  # so that the batch statistics are of something
    return network.eval()


@pytest.mark.parametrize("frames", [CONTEXT_FRAMES + 1, 64, 128])
def test_an_x_vector_of_any_number_of_frames(frames: int) -> None:
    network = build("x-vector", {"classes": 5, "width": 8, "pooled": 16}).eval()
    assert network.embed(noise(2, 161, frames)).shape == (2, EMBEDDING)
    assert network(noise(2, 161, frames)).shape == (2, 5)


def test_one_frame_of_the_last_layer_sees_fifteen() -> None:
    network = XVector(2, width=8, pooled=16).eval()
    hidden = network.frames(network.mel @ noise(1, 161, 40))
    assert hidden.shape[2] == 40 - CONTEXT_FRAMES + 1


def test_the_sizes_are_those_of_the_article() -> None:
    network = XVector(1000)
    shapes = [tuple(p.shape) for n, p in network.frames.named_parameters() if n.endswith("0.weight")]
    assert shapes == [(512, 40, 5), (512, 512, 3), (512, 512, 3), (512, 512, 1), (1500, 512, 1)]
    assert network.embedding.weight.shape == (512, 3000)


def test_mel_bands_are_averages() -> None:
    network = XVector(2, width=8, pooled=16)
    torch.testing.assert_close(network.mel.sum(dim=1), torch.ones(40))
    with pytest.raises(ModelError, match="narrower than a bin"):
        build("x-vector", {"classes": 2, "bands": 400})


def test_adr_has_the_sizes_of_its_release() -> None:
    encoder, decoder, adversary, reader = (
        Encoder(512),
        Decoder(512, 2),
        AttributeReader(CODE, 2, 128),
        AttributeReader(512, 2),
    )
    assert parameter_count(encoder) == 512 * 128 + 128 + 2 * 128
    assert parameter_count(decoder) == 129 * 512 + 512
    assert parameter_count(adversary) == 128 * 128 + 128 + 128 + 1
    assert parameter_count(reader) == 513
    assert 130_000 < sum(map(parameter_count, (encoder, decoder, adversary, reader))) < 170_000


def test_two_classes_are_a_sigmoid() -> None:
    reader = AttributeReader(4, 2)
    vectors = noise(5, 4)
    posterior = reader(vectors).exp()
    torch.testing.assert_close(posterior[:, 1], torch.sigmoid(reader.layers(vectors)[:, 0]))
    torch.testing.assert_close(posterior.sum(dim=1), torch.ones(5))
    assert AttributeReader(4, 7)(vectors).exp().sum().item() == pytest.approx(5.0)


def test_embeddings_have_length_1_and_are_decoded_without_the_attribute(adr: Adr) -> None:
    spectra = noise(6, 161, 128)
    with torch.no_grad():
        embeddings, before = adr.embed(spectra), adr.original(spectra)
        decoded = adr.decoder(adr.encoder(before), torch.full((6, 2), 0.5))
    assert embeddings.shape == (6, EMBEDDING)
    for vectors in (embeddings, before):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(embeddings, decoded)
    assert EmbeddingRecogniser(EMBEDDING, 4).eval()(embeddings).shape == (6, 4)


def test_what_the_decoder_is_told_matters() -> None:
    decoder, code = Decoder(EMBEDDING, 3), noise(4, CODE)
    one, other = (decoder(code, torch.eye(3)[[k] * 4]) for k in (1, 2))
    assert (one - other).abs().max() > 1e-3


def test_all_of_it_is_one_graph(adr: Adr) -> None:
    graph = Graph(encoder_to_onnx(adr, EMBEDDING), SCORES, (EMBEDDING,))
    spectra = noise(3, 161, 128)
    with torch.no_grad():
        expected = adr(spectra).numpy()
    np.testing.assert_allclose(graph.run(spectra.numpy()), expected, atol=1e-4)
