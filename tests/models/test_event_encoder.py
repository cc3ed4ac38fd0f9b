"""The encoder of sounds at home gives log posteriors, also as the graph that ships, which is small."""

import numpy as np
import torch

from sottovoce.models.event_encoder import EventEncoder, band_weights
from sottovoce.models.layers import parameter_count
from sottovoce.models.onnx_graph import packed
from sottovoce.runtime.export import encoder_to_onnx


def test_bands_are_averages_of_neighbouring_bins():
    weights = band_weights()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
    centres = (weights * np.arange(161)).sum(axis=1)
    assert (np.diff(centres) > 0).all()
    for row in weights:
        used = np.flatnonzero(row)
        assert len(used) == used[-1] - used[0] + 1


def test_an_encoder_gives_log_posteriors_of_events_and_of_none():
    torch.manual_seed(0)
    encoder = EventEncoder(10).eval()
    posteriors = encoder(torch.randn(3, 161, 128)).exp()
    assert posteriors.shape == (3, 11)
    torch.testing.assert_close(posteriors.sum(dim=1), torch.ones(3))
    assert parameter_count(encoder) < 1_000_000
    silence = encoder(torch.zeros(1, 161, 128)).exp()
    assert silence[0, -1] > 0.999, "whatever the weights are"


def test_its_graph_is_the_network_and_fits_a_small_device():
    torch.manual_seed(0)
    graph = encoder_to_onnx(EventEncoder(10).eval(), 11)  # compares the two
    assert len(packed(graph)) < 1_000_000 < len(graph)
