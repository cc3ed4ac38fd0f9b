"""Fetching from a server on this machine: what was cut off resumes, what is wrong is refused in one sentence."""

import hashlib
import http.server
import io
import json
import re
import shutil
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.corpora import download, transfer
from sottovoce.corpora.catalogue import CORPORA, open_corpus
from sottovoce.corpora.download import releases
from sottovoce.corpora.readers.librispeech import PAPER
from sottovoce.corpora.release import Archive, File, Release
from sottovoce.errors import CorpusError

RAVDESS = "Audio_Speech_Actors_01-24.zip"


class Server:
    """Files by name, and what it is made to do wrong: cut the connection after so many bytes, answer with a status."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etag: str | None = '"one"'
        self.ranges = True
        self.cut_after: list[int] = []
        self.statuses: list[int] = []
        self.asked: list[tuple[str, str | None]] = []


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            name, wanted = self.path.lstrip("/"), self.headers.get("Range")
            state.asked.append((name, wanted))
            status = state.statuses.pop(0) if state.statuses else 200 if name in state.files else 404
            if status != 200:
                self.send_error(status)
                return
            content, start = state.files[name], 0
            if wanted and state.ranges and self.headers.get("If-Range") == state.etag:
                start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content) - start))
            if state.etag:
                self.send_header("ETag", state.etag)
            self.end_headers()
            most = state.cut_after.pop(0) if state.cut_after else len(content)
            self.wfile.write(content[start : start + most])

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    state.address = f"http://127.0.0.1:{running.server_port}/"
    yield state
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(transfer, "PAUSE_S", 0.0)
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))


def sound() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.1 * np.random.default_rng(0).standard_normal(3000), 16000, format="WAV")
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch):
    """Replace a release by one of these archives: name of each, its content, and settings of File."""

    def replace(corpus: str, archives: tuple[Archive, ...], **settings: str) -> None:
        changed = {**releases(), corpus: Release("http://nowhere.invalid/", archives, **settings)}
        monkeypatch.setattr(download, "releases", lambda: changed)

    return replace


@pytest.fixture
def ravdess(server: Server, released) -> bytes:
    """RAVDESS of one clip on the server, with its checksum and size."""
    content = zipped({"Actor_01/03-01-06-01-02-01-01.wav": sound()})
    server.files[RAVDESS] = content
    file = File(RAVDESS, hashlib.md5(content).hexdigest(), len(content))
    released("ravdess", (Archive(RAVDESS, (file,)),))
    return content


def fetch(server: Server, out: Path, name: str = "ravdess") -> dict:
    return download.fetch(name, out, server.address, lambda *_: None)


def refused(server: Server, out: Path, *words: str, name: str = "ravdess") -> str:
    with pytest.raises(CorpusError) as caught:
        fetch(server, out, name)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    assert all(word in sentence for word in words), sentence
    return sentence


def test_what_was_fetched_is_a_corpus_and_is_not_fetched_twice(server, ravdess, tmp_path) -> None:
    out = tmp_path / "out"
    found = fetch(server, out)
    manifest = open_corpus(found["spec"])
    assert [clip.labels["emotion"] for clip in manifest.clips] == ["fearful"]
    assert found["archives"][RAVDESS] == {"files": 1, "sha256": [hashlib.sha256(ravdess).hexdigest()]}
    assert sorted(path.name for path in out.iterdir()) == [".fetched.json", "Actor_01"], "nothing else stays"
    assert fetch(server, out) == found and len(server.asked) == 1


def test_a_cut_connection_goes_on_by_itself(server, ravdess, tmp_path) -> None:
    server.cut_after = [1000, 2000]
    fetch(server, tmp_path / "out")
    assert [wanted for _, wanted in server.asked] == [None, "bytes=1000-", "bytes=3000-"]


def test_a_connection_that_brings_nothing_ends_with_a_sentence_and_the_next_command_resumes(
    server, ravdess, tmp_path
) -> None:
    server.cut_after = [1500] + [0] * (transfer.RETRIES + 1)
    refused(server, tmp_path / "out", "resumes after 1500 bytes", "--mirror")
    server.asked.clear()
    fetch(server, tmp_path / "out")
    assert server.asked == [(RAVDESS, "bytes=1500-")]


@pytest.mark.parametrize("change", ["file", "no ranges", "no validator"])
def test_what_may_be_another_file_begins_again(server, ravdess, tmp_path, change) -> None:
    server.cut_after = [1500] + [0] * (transfer.RETRIES + 1)
    if change == "no validator":
        server.etag = None
        server.cut_after = [1500]
    else:
        refused(server, tmp_path / "out")
        server.ranges = change != "no ranges"
        server.etag = '"two"' if change == "file" else server.etag
    fetch(server, tmp_path / "out")


def test_a_whole_file_that_was_not_checked_yet_is_not_fetched_again(server, ravdess, tmp_path) -> None:
    scratch = tmp_path / "out" / ".fetching"
    scratch.mkdir(parents=True)
    (scratch / f"{RAVDESS}.part").write_bytes(ravdess)
    (scratch / f"{RAVDESS}.part.validator").write_text(server.etag)
    fetch(server, tmp_path / "out")
    assert server.asked == []


def test_a_whole_file_of_unknown_size_is_recognised(server, released, tmp_path) -> None:
    content = server.files["a.zip"] = zipped({"wav/03a01Fa.wav": sound()})
    released("emodb", (Archive("a.zip", (File("a.zip"),)),))
    scratch = tmp_path / "out" / ".fetching"
    scratch.mkdir(parents=True)
    (scratch / "a.zip.part").write_bytes(content)
    (scratch / "a.zip.part.validator").write_text(server.etag)
    fetch(server, tmp_path / "out", "emodb")
    assert server.asked == [("a.zip", f"bytes={len(content)}-")]


def test_a_busy_server_is_asked_again_and_a_missing_file_named(server, ravdess, tmp_path) -> None:
    server.statuses = [503, 429]
    fetch(server, tmp_path / "one")
    server.files.clear()
    refused(server, tmp_path / "two", "404", RAVDESS, "--mirror")


def test_a_wrong_checksum_is_refused_and_deleted(server, ravdess, tmp_path) -> None:
    server.files[RAVDESS] = ravdess[:-1] + b"?"
    refused(server, tmp_path / "out", "checksum", "MD5", "deleted")
    assert not list((tmp_path / "out" / ".fetching").glob(f"{RAVDESS}.part"))
    assert not list((tmp_path / "out").glob("Actor*"))
    server.files[RAVDESS] = ravdess
    fetch(server, tmp_path / "out")


def test_another_size_is_refused(server, ravdess, tmp_path) -> None:
    server.files[RAVDESS] = ravdess + b"more"
    refused(server, tmp_path / "out", f"{len(ravdess) + 4} bytes", "another release")


def test_without_a_published_checksum_the_first_is_remembered(server, released, tmp_path) -> None:
    released("emodb", (Archive("a.zip", (File("a.zip"),)),))
    server.files["a.zip"] = zipped({"wav/03a01Fa.wav": sound()})
    fetch(server, tmp_path / "one", "emodb")
    fetch(server, tmp_path / "two", "emodb")
    server.files["a.zip"] = zipped({"wav/03a01Fa.wav": sound()[:-2]})
    refused(server, tmp_path / "three", "what came from there before", name="emodb")


def test_a_disk_that_is_too_small_is_named_before_anything_is_fetched(server, ravdess, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    refused(server, tmp_path / "out", "free some space")
    assert not (tmp_path / "out" / ".fetching" / f"{RAVDESS}.part").exists()


def test_a_place_that_cannot_be_written_is_named(server, ravdess, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(server, tmp_path / "file" / "out", "could not be written")


def test_archives_of_several_files_and_plain_files_are_put_where_they_belong(server, released, tmp_path) -> None:
    dev = zipped({"dev/aac/id00012/a/00001.wav": sound()})
    meta = b"VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \nid00017 ,n000017 ,f ,test \n"
    server.files |= {"vox2_meta.csv": meta, "partaa": dev[:700], "partab": dev[700:]}
    server.files["test.zip"] = zipped({"aac/id00017/b/00001.wav": sound()[:-2]})
    released(
        "voxceleb2",
        (
            Archive("vox2_meta.csv", (File("vox2_meta.csv"),)),
            Archive("test.zip", (File("test.zip"),), "test"),
            Archive("dev.zip", (File("partaa"), File("partab"))),
        ),
    )
    manifest = open_corpus(fetch(server, tmp_path / "out", "voxceleb2")["spec"])
    assert {(c.labels["speaker"], c.labels["gender"], c.part) for c in manifest.clips} == {
        ("id00012", "male", "train"),
        ("id00017", "female", "test"),
    }


def test_archives_that_share_folders_are_merged(server, released, tmp_path) -> None:
    table = b"; ID\n1 | F | a\n2 | M | b\n"
    for subset, speaker in (("test-clean", "1"), ("train-clean-100", "2")):
        path = f"LibriSpeech/{subset}/{speaker}/5/{speaker}-5-0000.wav"
        server.files[f"{subset}.tar.gz"] = tarred(
            {path: sound()[: -2 * int(speaker)], "LibriSpeech/SPEAKERS.TXT": table}
        )
    released("librispeech", tuple(Archive(name, (File(name),)) for name in server.files), root="LibriSpeech")
    manifest = open_corpus(fetch(server, tmp_path / "out", "librispeech")["spec"])
    assert {(c.labels["gender"], c.part) for c in manifest.clips} == {("female", "test"), ("male", "train")}


def test_what_is_not_openly_served_says_how_to_come_by_it(tmp_path) -> None:
    with pytest.raises(CorpusError, match=r"not openly served: .* --mirror\."):
        download.fetch("voxceleb2", tmp_path, None, lambda *_: None)
    with pytest.raises(CorpusError, match=r"'voices' cannot be fetched; what can: .*ravdess"):
        download.terms("voices")


@pytest.mark.parametrize("address", ["file:///etc/", "ftp://127.0.0.1/", "nonsense"])
def test_only_servers_are_asked(address, ravdess, tmp_path) -> None:
    with pytest.raises(CorpusError, match="expected http:// or https://"):
        download.fetch("ravdess", tmp_path, address, lambda *_: None)


def test_a_key_in_an_address_is_not_told(server, ravdess, tmp_path) -> None:
    with pytest.raises(CorpusError) as caught:
        download.fetch("ravdess", tmp_path, f"{server.address}get?key=SECRET&file=", lambda *_: None)
    assert "SECRET" not in str(caught.value) and "404" in str(caught.value)
    assert "SECRET" not in download.terms("ravdess", f"{server.address}get?key=SECRET&file=")


def test_a_damaged_record_is_named(server, ravdess, tmp_path) -> None:
    (tmp_path / ".fetched.json").write_text("{")
    refused(server, tmp_path, "damaged", "delete it")


def test_the_table_of_releases_fits_the_readers() -> None:
    assert len(releases()) == 7
    assert {archive.name.removesuffix(".tar.gz") for archive in releases()["librispeech"].archives} == PAPER.keys()
    for name, release in releases().items():
        assert bool(release.base) != bool(release.access)
        assert release.base.startswith(("http://", "https://", "")) and CORPORA[name].licence in download.terms(
            name, "http://somewhere/"
        )
        files = [file for archive in release.archives for file in archive.files]
        assert len({file.name for file in files}) == len(files)
        assert all(not file.md5 or re.fullmatch("[0-9a-f]{32}", file.md5) for file in files)
        assert all(len(archive.files) > 1 or archive.name == archive.files[0].name for archive in release.archives)


def test_the_record_holds_no_address(server, ravdess, tmp_path) -> None:
    fetch(server, tmp_path / "out")
    assert server.address not in json.dumps(json.loads((tmp_path / "out" / ".fetched.json").read_text()))


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(released, tmp_path, monkeypatch):
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(BrokenPipeError):
                for _ in range(100):
                    self.wfile.write(b"x")
                    time.sleep(0.02)

    monkeypatch.setattr(transfer, "STALLED_S", 0.2)
    monkeypatch.setattr(transfer, "RETRIES", 1)
    released("ravdess", (Archive(RAVDESS, (File(RAVDESS, "", 0),)),))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(CorpusError, match=r"only .* bytes came"):
            download.fetch("ravdess", tmp_path / "o", f"http://127.0.0.1:{running.server_port}/", lambda *_: None)
        assert time.monotonic() - began < 1.5
        running.shutdown()
