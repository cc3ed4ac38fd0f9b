"""Laws of unpacking: what is inside comes out, and nothing gets outside, whoever packed it."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from sottovoce.corpora import unpack as unpacking
from sottovoce.corpora.unpack import is_archive, unpack
from sottovoce.errors import CorpusError


def zip_of(path: Path, entries: dict[str, bytes], kind: int = 0, packed: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = packed
            info.external_attr = kind << 16
            archive.writestr(info, content)
    return path


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def refused(archive: Path, tmp_path: Path, word: str = "") -> None:
    with pytest.raises(CorpusError) as caught:
        unpack(archive, tmp_path / "inside" / "into")
    sentence = str(caught.value)
    assert archive.name in sentence and word in sentence and sentence.endswith(".") and "\n" not in sentence
    outside = {path for path in tmp_path.rglob("*") if "into" not in path.parts and path != archive}
    assert outside <= {tmp_path / "inside", tmp_path / "linked"}


def test_files_and_folders_come_out(tmp_path: Path) -> None:
    wanted = {"a/b.wav": b"one", "c.txt": b"two", "a/d/e.wav": b""}
    by_zip = zip_of(tmp_path / "a.zip", {"a/": b"", **wanted})
    folder = member("./a", tarfile.DIRTYPE)
    by_tar = tar_of(tmp_path / "a.tar.gz", (folder, b""), *((member(f"./{n}"), c) for n, c in wanted.items()))
    for archive, into in ((by_zip, tmp_path / "zip"), (by_tar, tmp_path / "tar")):
        assert unpack(archive, into) == 3
        found = {p.relative_to(into).as_posix(): p.read_bytes() for p in into.rglob("*") if p.is_file()}
        assert found == wanted
    assert is_archive(by_zip) and is_archive(by_tar) and not is_archive(Path("meta.csv"))


@pytest.mark.parametrize(
    "name", ["../out.wav", "/tmp/sottovoce-out.wav", "a/../../out.wav", "a\\..\\out.wav", "C:/out.wav"]
)
def test_no_name_leads_out(tmp_path: Path, name: str) -> None:
    for place, archive in (("zip", "a.zip"), ("tar", "a.tar.gz")):
        folder = tmp_path / place
        folder.mkdir()
        path = folder / archive
        refused(
            zip_of(path, {name: b"x"}) if place == "zip" else tar_of(path, (member(name), b"x")), folder, "leads out"
        )


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_tar_of_links_or_devices_is_refused(tmp_path: Path, kind: bytes) -> None:
    refused(tar_of(tmp_path / "a.tar.gz", (member("linked", kind, "/etc/passwd"), b"")), tmp_path, "link or a device")


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    refused(zip_of(tmp_path / "a.zip", {"linked": b"/etc/passwd"}, stat.S_IFLNK | 0o777), tmp_path, "link or a device")


def test_two_things_of_one_name_are_refused(tmp_path: Path) -> None:
    refused(tar_of(tmp_path / "a.tar.gz", (member("a"), b"1"), (member("a/b"), b"2")), tmp_path, "one name")
    refused_twice = tar_of(tmp_path / "b.tar.gz", (member("a"), b"1"), (member("a"), b"2"))
    with pytest.raises(CorpusError, match="one name"):
        unpack(refused_twice, tmp_path / "other")


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_a_bomb_is_refused(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "LEAST_ROOM", 1 << 20)
    zeros = bytes(20 << 20)
    path = tmp_path / f"a.{ending}"
    refused(
        zip_of(path, {"a": zeros}) if ending == "zip" else tar_of(path, (member("a"), zeros)), tmp_path, "more than"
    )
    assert sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()) < 3 << 20


def test_a_zip_that_claims_less_than_it_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "LEAST_ROOM", 1 << 20)
    path = zip_of(tmp_path / "a.zip", {"a": bytes(20 << 20)})
    size = (20 << 20).to_bytes(4, "little")
    assert path.read_bytes().count(size) >= 2
    path.write_bytes(path.read_bytes().replace(size, (1000).to_bytes(4, "little")))
    with pytest.raises(CorpusError):
        unpack(path, tmp_path / "into")
    assert sum(p.stat().st_size for p in (tmp_path / "into").rglob("*")) < 3 << 20


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_FILES", 3)
    refused(zip_of(tmp_path / "a.zip", {f"{i}": b"" for i in range(4)}), tmp_path, "more than 3 files")


def test_a_header_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    long = member("x" * 50)
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * (70 << 20)}) as archive:
        archive.addfile(long)
    refused(path, tmp_path)


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_damage_is_named(tmp_path: Path, ending: str) -> None:
    whole = tmp_path / f"whole.{ending}"
    content = bytes(range(256)) * 400
    zip_of(whole, {"a": content}) if ending == "zip" else tar_of(whole, (member("a"), content))
    for number, damaged in enumerate((b"", b"not an archive", whole.read_bytes()[: whole.stat().st_size // 2])):
        path = tmp_path / f"{number}.{ending}"
        path.write_bytes(damaged)
        with pytest.raises(CorpusError, match=r"damaged .*fetch it again\."):
            unpack(path, tmp_path / str(number))


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"a": b"x"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refused(path, tmp_path, "encrypted")
