"""What a filter folder's `config.json` may say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from reprlib import repr as short

from sottovoce.audio.segment import FRONT_END
from sottovoce.errors import ModelError
from sottovoce.files import read_json

CODEBOOK = "codebook"  # the architecture of filters that draw from codes
WORDS = "words"  # and of those that say words where their codes come
ADR = {"x-vector": "adr", "pretrained": "adr-pretrained"}  # those of embeddings, by what makes them
LATENT = ("rdal", *ADR.values())  # those of filters whose features are latents


@dataclass(frozen=True)
class FilterConfig:
    """What `config.json` says: which network, and the mean and deviation of log spectra that its sound is given."""

    front_end: int
    architecture: str
    settings: Mapping[str, int]
    sound_mean: float
    sound_std: float

    @classmethod
    def parse(cls, text: str) -> FilterConfig:
        """From JSON; ModelError for anything unknown, missing, of another version or not finite."""
        try:
            content = read_json(text)
        except ModelError as error:
            raise ModelError(f"config.json: {error}") from error
        known = [item.name for item in fields(cls)]
        if sorted(content) != sorted(known):
            raise ModelError(f"config.json holds {short(sorted(content))}; expected just {known}: train it again.")
        if content["front_end"] != FRONT_END:
            raise ModelError(
                f"the filter was trained with front end {short(content['front_end'])}, this version has {FRONT_END}; "
                "train it again, or use the version of sottovoce that its card names."
            )
        if not isinstance(content["architecture"], str) or not isinstance(content["settings"], dict):
            raise ModelError("config.json: 'architecture' must be a name and 'settings' a table; train it again.")
        for name in ("sound_mean", "sound_std"):
            number = content[name]
            if not isinstance(number, (int, float)) or isinstance(number, bool):
                raise ModelError(f"config.json: {name} is {short(number)}; expected a finite number: train it again.")
        if content["sound_std"] <= 0:
            raise ModelError(f"config.json: sound_std is {content['sound_std']}; expected more than 0: train it again.")
        return cls(**content)
