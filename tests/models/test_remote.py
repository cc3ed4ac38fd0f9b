"""A recogniser behind an address is asked sparingly, patiently and without trust."""

import asyncio
import gzip
import hashlib
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
import soundfile

from sottovoce.errors import ConfigError, ModelError
from sottovoce.models import remote
from sottovoce.models.remote import from_http
from sottovoce.models.target_loading import QUERIES, load_target

CLASSES = ["angry", "calm", "sad"]
DESCRIPTION: dict[str, Any] = {"task": "emotion", "classes": CLASSES}
FAST = 1e6  # segments a second
BINS, FRAMES = 161, 128


def spectra(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, BINS, FRAMES), dtype=np.float32)


def truth(batch: np.ndarray) -> np.ndarray:
    """What the recogniser behind the address thinks."""
    return batch[:, :3, :].mean(axis=2)


class Service(ThreadingHTTPServer):
    """The other side: answers rightly unless a test has put something in `instead`, and counts what it is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/recognise"
        self.description: Any = DESCRIPTION
        self.instead: list[Callable[[Handler], None]] = []  # one for each of the next requests of scores
        self.batches: list[np.ndarray] = []

    def asked(self) -> int:
        return sum(map(len, self.batches))


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self.give(json.dumps(self.server.description).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Type"] == "audio/wav":
            wav, rate = soundfile.read(io.BytesIO(body), dtype="float32")
            self.server.batches.append(wav[None])
            self.give(json.dumps({"scores": [[float(rate), float(wav.std()), 1.0]]}).encode())
            return
        assert self.headers["Content-Type"] == "application/x-npy"
        batch = np.load(io.BytesIO(body), allow_pickle=False)
        assert batch.dtype == np.float32 and batch.shape[1:] == (BINS, FRAMES)
        self.server.batches.append(batch)
        if self.server.instead:
            self.server.instead.pop(0)(self)
        else:
            self.give(json.dumps({"scores": truth(batch).tolist()}).encode())

    def give(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def gives(body: str, status: int = 200, **headers: str) -> Callable[[Handler], None]:
    return lambda handler: handler.give(body.encode(), status, **headers)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(remote, "_FIRST_PAUSE_S", 0.01)
    with Service() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def test_it_answers_as_the_service_does(service):
    target = from_http(service.url, 100, FAST)
    assert (target.task, target.classes, target.differentiable) == ("emotion", tuple(CLASSES), False)
    assert target.source is None
    found = target.predict(spectra(5))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, truth(spectra(5)), atol=1e-6)
    np.testing.assert_array_equal(service.batches[0], spectra(5))


def test_describing_itself_costs_no_query(service):
    from_http(service.url, 1, FAST)
    assert service.batches == []


def test_text_that_is_an_address_is_loaded_from_there(service, monkeypatch):
    given: list[int] = []
    asked = remote.from_http
    monkeypatch.setattr(remote, "from_http", lambda url, budget: given.append(budget) or asked(url, budget, FAST))
    np.testing.assert_allclose(load_target(service.url).predict(spectra(2)), truth(spectra(2)), atol=1e-6)
    assert given == [QUERIES] == [20_000]


def test_the_digest_says_nothing_of_a_key(service):
    places = ["", "?token=1234", ";token=1234", "#1234"]
    assert len({from_http(service.url + more, 1, FAST).digest for more in places}) == 1
    assert from_http(service.url + "/2", 1, FAST).digest != from_http(service.url, 1, FAST).digest


def test_a_scheme_may_be_in_capitals(service, monkeypatch):
    assert from_http(service.url.replace("http", "HTTP"), 1, FAST).digest == from_http(service.url, 1, FAST).digest
    contexts: list[bool] = []
    monkeypatch.setattr(remote.ssl, "create_default_context", lambda: contexts.append(True) or False)
    with pytest.raises(ModelError, match="did not answer"):
        from_http("HTTPS://127.0.0.1:9/", 1, FAST, attempts=1)
    assert contexts == [True], "certificates are checked"


def test_many_segments_are_asked_in_batches(service):
    import torch

    target = from_http(service.url, 1000, FAST)
    found = target.logits(torch.from_numpy(spectra(150))).numpy()  # at once; `predict` has batches of its own
    assert [len(batch) for batch in service.batches] == [64, 64, 22]
    np.testing.assert_allclose(found, truth(spectra(150)), atol=1e-6)


def test_no_segments_ask_nothing(service):
    import torch

    assert from_http(service.url, 1, FAST).logits(torch.zeros(0, BINS, FRAMES)).shape == (0, 3)
    assert service.batches == []


def test_no_segment_is_asked_for_twice(service):
    target = from_http(service.url, 6, FAST)
    first = spectra(4)
    target.predict(first)
    mixed = np.concatenate([first[2:], spectra(2, seed=1), first[:2], spectra(2, seed=1)])
    np.testing.assert_allclose(target.predict(mixed), truth(mixed), atol=1e-6)
    assert service.asked() == 6
    asked = {hashlib.sha256(segment.tobytes()).digest() for batch in service.batches for segment in batch}
    assert len(asked) == 6


def test_a_used_up_budget_is_said_and_loses_nothing(service):
    target = from_http(service.url, 5, FAST)
    target.predict(spectra(3))
    with pytest.raises(ModelError, match=r"budget of 5 .*: 3 were sent and 3 more .* at least 6") as error:
        target.predict(spectra(3, seed=1))
    assert str(error.value).endswith(".") and "\n" not in str(error.value)
    assert service.asked() == 3, "what cannot be answered as a whole is not begun"
    np.testing.assert_allclose(target.predict(spectra(3)), truth(spectra(3)), atol=1e-6)
    target.predict(spectra(2, seed=1))
    assert service.asked() == 5


def test_answers_before_a_failure_are_kept(service):
    import torch

    target = from_http(service.url, 1000, FAST)
    service.instead = [lambda handler: handler.give(answer(handler)), gives("", 404)]
    with pytest.raises(ModelError, match="404"):
        target.logits(torch.from_numpy(spectra(100)))
    target.predict(spectra(100))
    assert [len(batch) for batch in service.batches] == [64, 36, 36]


def answer(handler: Handler) -> bytes:
    return json.dumps({"scores": truth(handler.server.batches[-1]).tolist()}).encode()


def test_queries_are_spaced_in_time(service):
    target = from_http(service.url, 100, per_second=40.0)
    began = time.monotonic()
    for seed in range(4):
        target.predict(spectra(4, seed))
    taken = time.monotonic() - began
    assert 0.3 <= taken < 1.5, "12 of the 16 come before the last request"


def test_a_service_that_fails_for_a_moment_is_asked_again(service):
    target = from_http(service.url, 100, FAST)
    service.instead = [gives("busy", 503), gives("too fast", 429, Retry_After="0")]
    np.testing.assert_allclose(target.predict(spectra(2)), truth(spectra(2)), atol=1e-6)
    assert len(service.batches) == 3


def test_every_sending_counts(service):
    target = from_http(service.url, 5, FAST)
    service.instead = [gives("busy", 503), gives("busy", 503)]
    with pytest.raises(ModelError, match=r"budget of 5 .* 4 were sent"):
        target.predict(spectra(2))
    assert service.asked() == 4


def test_patience_ends(service):
    target = from_http(service.url, 100, FAST, attempts=2)
    service.instead = [gives("broken", 500)] * 2
    with pytest.raises(ModelError, match=r"did not answer in 2 attempts \(status 500\)"):
        target.predict(spectra(1))
    assert len(service.batches) == 2


@pytest.mark.parametrize(("asked", "waited"), [("2", 2.0), ("86400", 30.0), ("0", 0.0), ("-5", 0.01), ("soon", 0.01)])
def test_the_service_may_ask_for_a_pause_within_bounds(service, monkeypatch, asked, waited):
    pauses: list[float] = []
    target = from_http(service.url, 100, FAST)
    monkeypatch.setattr(remote.time, "sleep", pauses.append)
    service.instead = [gives("", 503, Retry_After=asked)]
    target.predict(spectra(1))
    assert [pause for pause in pauses if pause != 0] in ([waited], [])
    assert sum(pauses) == pytest.approx(waited)


def test_a_pause_may_be_asked_for_as_a_date(service, monkeypatch):
    pauses: list[float] = []
    target = from_http(service.url, 100, FAST)
    monkeypatch.setattr(remote.time, "sleep", pauses.append)
    past = gives("", 503, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT")
    future = gives("", 503, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT")
    service.instead = [past, future]
    target.predict(spectra(1))
    assert pauses[-1] == 30.0 and sum(pauses) == pytest.approx(30.0)


def test_pauses_grow(service, monkeypatch):
    pauses: list[float] = []
    target = from_http(service.url, 100, FAST, attempts=5)
    monkeypatch.setattr(remote.time, "sleep", pauses.append)
    service.instead = [gives("", 500)] * 4
    target.predict(spectra(1))
    assert [pause for pause in pauses if pause >= 0.01] == [0.01, 0.02, 0.04, 0.08]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418])
def test_a_refusal_is_taken_at_once(service, status):
    target = from_http(service.url, 100, FAST)
    service.instead = [gives("no", status)]
    with pytest.raises(ModelError, match=f"status {status}"):
        target.predict(spectra(1))
    assert len(service.batches) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_is_sent_to_where_a_service_points(service, status):
    target = from_http(service.url, 100, FAST)
    service.instead = [gives("", status, Location="http://127.0.0.1:9/elsewhere")]
    with pytest.raises(ModelError, match="elsewhere"):
        target.predict(spectra(1))
    assert len(service.batches) == 1


BAD_ANSWERS = {
    "nothing": "",
    "no JSON": "<html>",
    "bytes": "\x00\xff",
    "deep": "[" * 60_000,
    "a list": "[[1, 2, 3], [1, 2, 3]]",
    "no scores": "{}",
    "null": '{"scores": null}',
    "too few": '{"scores": [[1, 2, 3]]}',
    "too many classes": '{"scores": [[1, 2, 3, 4], [1, 2, 3, 4]]}',
    "ragged": '{"scores": [[1, 2, 3], [1, 2]]}',
    "text": '{"scores": [["1", "2", "3"], ["1", "2", "3"]]}',
    "truths": '{"scores": [[true, true, true], [true, true, true]]}',
    "NaN": '{"scores": [[1, 2, NaN], [1, 2, 3]]}',
    "infinite": '{"scores": [[1, 2, -Infinity], [1, 2, 3]]}',
    "infinite in float32": '{"scores": [[1, 2, 1e300], [1, 2, 3]]}',
    "long number": '{"scores": [[1, 2, %s], [1, 2, 3]]}' % ("9" * 500),
    "more than asked": '{"scores": [[1, 2, 3], [1, 2, 3]]}' + " " * 100_000,
}


@pytest.mark.parametrize("bad", BAD_ANSWERS)
def test_an_answer_that_is_none_is_refused_in_one_sentence(service, bad):
    target = from_http(service.url, 100, FAST)
    service.instead = [gives(BAD_ANSWERS[bad])]
    with pytest.raises(ModelError, match="expected") as error:
        target.predict(spectra(2))
    assert str(error.value).endswith(".") and "\n" not in str(error.value) and len(str(error.value)) < 400
    assert len(service.batches) == 1
    np.testing.assert_allclose(target.predict(spectra(2)), truth(spectra(2)), atol=1e-6)


@pytest.mark.parametrize(
    "description",
    [
        [],
        {},
        {"task": "emotion"},
        {"classes": CLASSES},
        {"task": 3, "classes": CLASSES},
        {"task": "", "classes": CLASSES},
        {"task": "emotion", "classes": "angry"},
        {"task": "emotion", "classes": ["angry"]},
        {"task": "emotion", "classes": ["angry", 3]},
        {"task": "emotion", "classes": ["angry", ["calm"]]},
        {"task": "emotion", "classes": ["angry", "angry"]},
        {"task": "emotion", "classes": ["x" * 2**20, "y"]},
    ],
)
def test_a_service_that_does_not_name_its_classes_is_refused(service, description):
    service.description = description
    with pytest.raises(ModelError, match="expected"):
        from_http(service.url, 100, FAST)


def test_a_slow_service_is_not_waited_for(service):
    target = from_http(service.url, 100, FAST, attempts=2, timeout_s=0.1)
    service.instead = [lambda _: time.sleep(0.4)] * 2
    with pytest.raises(ModelError, match=r"2 attempts \(timed out\)"):
        target.predict(spectra(1))
    np.testing.assert_allclose(target.predict(spectra(1)), truth(spectra(1)), atol=1e-6)


def drip(handler: Handler) -> None:
    """An answer whose every byte comes in time, and whose end does not."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(20):
        handler.wfile.write(b" ")
        time.sleep(0.03)


def test_an_answer_that_never_ends_is_not_waited_for(service):
    target = from_http(service.url, 100, FAST, attempts=1, timeout_s=0.15)
    service.instead = [drip]
    began = time.monotonic()
    with pytest.raises(ModelError, match="timed out"):
        target.predict(spectra(1))
    assert time.monotonic() - began < 0.5


def slow_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.03)


def slow_status(handler: Handler) -> None:
    for letter in b"HTTP/1.1 200 OK\r\n" * 10:
        handler.wfile.write(bytes([letter]))
        time.sleep(0.03)


def many_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100):
        handler.wfile.write(b"X-%d: y\r\n" % number)
        time.sleep(0.03)


def go_on(handler: Handler) -> None:
    for _ in range(100):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.03)


def small_chunks(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        handler.wfile.write(b"1\r\n \r\n")
        time.sleep(0.03)


@pytest.mark.parametrize("slow", [slow_headers, slow_status, many_headers, go_on, small_chunks, drip])
def test_there_is_one_deadline_for_all_of_an_answer(service, slow):
    target = from_http(service.url, 100, FAST, attempts=1, timeout_s=0.3)
    service.instead = [slow]
    began = time.monotonic()
    with pytest.raises(ModelError, match="timed out"):
        target.predict(spectra(1))
    assert time.monotonic() - began < 1.0


def test_a_service_that_takes_no_request_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0), backlog=1) as deaf:
        began = time.monotonic()
        with pytest.raises(ModelError, match="timed out"):
            from_http(f"http://127.0.0.1:{deaf.getsockname()[1]}/", 9, FAST, attempts=1, timeout_s=0.3)
        assert time.monotonic() - began < 1.0


def endless_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 22))


def packed_bomb(handler: Handler) -> None:
    handler.give(gzip.compress(b" " * (1 << 26)), Content_Encoding="gzip")


@pytest.mark.parametrize("large", [endless_headers, packed_bomb])
def test_what_is_large_is_not_taken(service, large):
    target = from_http(service.url, 100, FAST, attempts=1)
    service.instead = [large]
    with pytest.raises(ModelError):
        target.predict(spectra(1))


def test_too_many_classes_are_refused(service):
    service.description = {"task": "t", "classes": [str(i) for i in range(80_000)]}
    with pytest.raises(ModelError, match="80000 classes"):
        from_http(service.url, 100, FAST)


def test_a_proxy_is_used_where_one_is_named_and_only_there(service):
    target = from_http(service.url, 100, FAST)  # the environment names one, see above
    np.testing.assert_allclose(target.predict(spectra(1)), truth(spectra(1)), atol=1e-6)
    with pytest.raises(ModelError, match="did not answer"):
        from_http(service.url, 100, FAST, attempts=1, proxy="http://127.0.0.1:9")


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "http://me:hidden@127.0.0.1:9/x?key=hidden#hidden", "//h/x?hidden"]
)
def test_where_a_service_points_is_said_without_keys(service, place):
    target = from_http(service.url, 100, FAST)
    service.instead = [gives("", 302, Location=place)]
    with pytest.raises(ModelError, match="sends us on") as error:
        target.predict(spectra(1))
    assert "hidden" not in str(error.value) and len(service.batches) == 1


def test_it_answers_where_a_loop_runs_already(service):
    target = from_http(service.url, 100, FAST)

    async def asked() -> np.ndarray:
        return target.predict(spectra(2))

    np.testing.assert_allclose(asyncio.run(asked()), truth(spectra(2)), atol=1e-6)


def cut_short(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"scores": [[')


def test_an_answer_that_is_cut_short_is_asked_for_again(service):
    target = from_http(service.url, 100, FAST)
    service.instead = [cut_short, lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)]
    np.testing.assert_allclose(target.predict(spectra(1)), truth(spectra(1)), atol=1e-6)
    assert len(service.batches) == 3


def test_where_nobody_listens_is_said(service):
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/?key=secret"
        with pytest.raises(ModelError, match="did not answer in 2 attempts") as error:
            from_http(url, 100, FAST, attempts=2)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "file:///etc/passwd",
        "host/x",
        "http:127.0.0.1/x",
        "http://",
        "http://[",
        "http://h:99999",
        "http://a b/",
        "",
    ],
)
def test_only_addresses_of_the_web_are_asked(url):
    with pytest.raises(ConfigError, match="expected http"):
        from_http(url, 100)


@pytest.mark.parametrize(
    "url",
    [
        "https://me:secret@host/x",
        "https://:secret@host/x",
        "https://secret@host/x",
        "http://a b/?key=secret",
        "ftp://me:secret@host/?key=secret",
        "http://host:0/#secret",
        "http://host:0/x;secret",
        "me:secret@host/x",
        "http://me:sec/secret@host/x",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigError) as error:
        from_http(url, 100)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"budget": 0},
        {"per_second": 0.0},
        {"per_second": float("nan")},
        {"per_second": float("inf")},
        {"attempts": 0},
        {"timeout_s": 0.0},
        {"timeout_s": float("nan")},
    ],
)
def test_settings_outside_their_range_are_refused(settings):
    with pytest.raises(ConfigError, match="above 0"):
        from_http("http://127.0.0.1:9/", **{"budget": 1, **settings})


def test_segments_of_another_shape_are_not_sent(service):
    target = from_http(service.url, 100, FAST)
    with pytest.raises(ModelError, match=r"\(2, 161, 100\); expected"):
        target.predict(np.zeros((2, BINS, 100), np.float32))
    assert service.batches == []


def test_the_digest_is_that_of_address_task_classes_and_version(service):
    digests = [from_http(service.url, 100).digest, from_http(service.url + "/other", 100).digest]
    for change in ({"task": "mood"}, {"classes": CLASSES[::-1]}, {"version": "2"}, {"version": 2.5}):
        service.description = {**DESCRIPTION, **change}
        digests.append(from_http(service.url, 100).digest)
    assert len(set(digests)) == len(digests) and all(len(digest) == 64 for digest in digests)
    service.description = {**DESCRIPTION, "uptime": 3}
    assert from_http(service.url, 5, FAST).digest == digests[0]


SOUND = {**DESCRIPTION, "takes": "wave", "sample_rate": 8000}


def test_a_service_of_sound_gets_wav_one_segment_at_a_time(service):
    service.description = SOUND
    target = from_http(service.url, 100, FAST)
    assert (target.takes, target.sample_rate, target.source) == ("wave", 8000, None)
    segments = 0.1 * np.random.default_rng(0).standard_normal((3, 20_480), dtype=np.float32)
    found = target.predict_sound(segments)
    assert [batch.shape for batch in service.batches] == [(1, 10_240)] * 3
    assert (found[:, 0] == 8000).all()
    np.testing.assert_allclose(found[:, 1], [batch.std() for batch in service.batches], rtol=1e-4)
    target.predict_sound(segments[::-1].copy())
    assert service.asked() == 3, "no segment is sent twice"


def test_the_budget_counts_segments_of_sound(service):
    service.description = SOUND
    target = from_http(service.url, 2, FAST)
    with pytest.raises(ModelError, match="used up"):
        target.predict_sound(0.1 * np.random.default_rng(0).standard_normal((3, 20_480), dtype=np.float32))
    assert service.asked() == 2


def test_the_digest_of_a_service_of_sound_is_also_that_of_its_rate(service):
    digests = {from_http(service.url, 1, FAST).digest}
    for service.description in (SOUND, {**SOUND, "sample_rate": 16_000}):
        digests.add(from_http(service.url, 1, FAST).digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    "change", [{"takes": "video"}, {"takes": ["wave"]}, *({"sample_rate": rate} for rate in (0, -1, 1e4, "8000", True))]
)
def test_a_service_that_takes_something_else_is_refused(service, change):
    service.description = SOUND | change
    with pytest.raises(ModelError, match="expected"):
        from_http(service.url, 1, FAST)
