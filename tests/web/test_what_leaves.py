"""What leaves the tab is what leaves the filter elsewhere, bit for bit."""

import numpy as np
import pytest
import soundfile

from sottovoce.runtime import bundled
from sottovoce.runtime.filter import Filter


@pytest.mark.parametrize("name", list(bundled.known()))
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_what_is_saved_is_what_the_filter_gives(open_page, give, spoken, written, tmp_path, name, subtype):
    wav = written(tmp_path / "in.wav", spoken(name, 12), subtype=subtype)
    page = open_page(name)
    give(page, tmp_path / "in.wav")
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "out.wav")
    left, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    expected = Filter.load(name).filter(wav)
    assert rate == 16000 and np.abs(expected).max() > 0.05
    assert left.tobytes() == expected.tobytes()
