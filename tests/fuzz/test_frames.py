"""The language in which fuzzers hold conversations with the service."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("websockets")
spec = importlib.util.spec_from_file_location("frame_targets", Path(__file__).with_name("frame_targets.py"))
frames = importlib.util.module_from_spec(spec)
spec.loader.exec_module(frames)


def test_a_conversation_is_taken_apart_as_it_was_put_together():
    parts = ["{}", b"sound", '{"end": true}']
    assert frames.messages(frames.joined(*parts)) == parts
