"""The networks that a filter without code is made of do what the code does."""

import numpy as np
import torch

from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.models.whole import FrontEnd


def test_the_front_end_in_real_numbers_is_the_front_end():
    rng = np.random.default_rng(0)
    loud = rng.standard_normal((2, SEGMENT_SAMPLES)).astype(np.float32)
    segments = np.concatenate([loud, 1e-3 * loud, np.zeros_like(loud[:1]), 1e-6 * loud[:1]])
    with torch.no_grad():
        found = FrontEnd()(torch.from_numpy(segments)).numpy()
    assert np.abs(found - front_end(segments)).max() < 1e-3
    assert not found[4].any(), "silence"
