"""Where the official releases are: addresses, sizes, and checksums where their publishers give them.

A file without a checksum here has none published; what is downloaded first is then remembered and compared with later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class File:
    """A file of a release: its name, its MD5 as published, its size in bytes; empty and 0 where that is not known."""

    name: str
    md5: str = ""
    size: int = 0


@dataclass(frozen=True)
class Archive:
    """Files that, one after the other, are one archive or a file to be kept as it is; it belongs below `folder`."""

    name: str
    files: tuple[File, ...]
    folder: str = ""


@dataclass(frozen=True)
class Release:
    """The archives of a corpus below the address `base`; it can be read from `root` once they are unpacked.

    Where `base` is empty the archives are not openly served, and `access` says how to come by them.
    """

    base: str
    archives: tuple[Archive, ...]
    root: str = ""
    access: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files whose size is known."""
        return sum(file.size for archive in self.archives for file in archive.files)


def _one(name: str, md5: str = "", size: int = 0, folder: str = "") -> Archive:
    return Archive(name, (File(name, md5, size),), folder)


_EMOTIONS = ("Amused", "Angry", "Disgusted", "Neutral", "Sleepy")
_EMOVDB = {"bea": _EMOTIONS, "jenie": _EMOTIONS, "josh": ("Amused", "Neutral", "Sleepy"), "sam": _EMOTIONS}

# https://www.openslr.org/resources/12/md5sum.txt
_LIBRISPEECH = {  # the subsets of the opt-in paper, and dev-clean for validation
    "test-clean": ("32fa31d27d2e1cad72775fee3f4849a9", 346663984),
    "dev-clean": ("42e2234ba48799c1f50f24a7926300a1", 337926286),
    "train-clean-100": ("2a93770f6d5c6c964bc36631d331a522", 6387309499),
    "train-clean-360": ("c0e676e450a7ff2f54aeade5171606fa", 23049477885),
}

# As the authors' own training code lists them (clovaai/voxceleb_trainer, lists/fileparts.txt).
_VOXCELEB2_DEV = {
    "aa": "da070494c573e5c0564b1d11c3b20577",
    "ab": "17fe6dab2b32b48abaf1676429cdd06f",
    "ac": "1de58e086c5edf63625af1cb6d831528",
    "ad": "5a043eb03e15c5a918ee6a52aad477f9",
    "ae": "cea401b624983e2d0b2a87fb5d59aa60",
    "af": "fc886d9ba90ab88e7880ee98effd6ae9",
    "ag": "d160ecc3f6ee3eed54d55349531cb42e",
    "ah": "6b84a81b9af72a9d9eecbb3b1f602e65",
}

RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        "ravdess": Release(
            "https://zenodo.org/records/1188976/files/",
            (_one("Audio_Speech_Actors_01-24.zip", "bc696df654c87fed845eb13823edef8a", 208468073),),
        ),
        "emodb": Release("http://www.emodb.bilderbar.info/download/", (_one("download.zip"),)),
        "emovdb": Release(
            "https://www.openslr.org/resources/115/",
            tuple(
                _one(f"{speaker}_{emotion}.tar.gz", folder=f"{speaker}_{emotion}")
                for speaker, emotions in _EMOVDB.items()
                for emotion in emotions
            ),
        ),
        "librispeech": Release(
            "https://www.openslr.org/resources/12/",
            tuple(_one(f"{subset}.tar.gz", *known) for subset, known in _LIBRISPEECH.items()),
            root="LibriSpeech",
        ),
        "fsdd": Release(
            "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/",
            (_one("v1.0.9.tar.gz"),),
            root="free-spoken-digit-dataset-1.0.9",
        ),
        "voxceleb2": Release(
            "",
            (
                _one("vox2_meta.csv"),
                _one("vox2_test_aac.zip", "0d2b3ea430a821c33263b5ea37ede312", folder="test"),
                Archive(
                    "vox2_dev_aac.zip",
                    tuple(File(f"vox2_dev_aac_part{letters}", md5) for letters, md5 in _VOXCELEB2_DEV.items()),
                ),
            ),
            access="ask for it at https://mm.kaist.ac.kr/datasets/voxceleb/ and give the address that you get",
        ),
    }
)
