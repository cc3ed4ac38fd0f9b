"""What every part of results.json is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Knowledge = Literal["uninformed", "informed", "white-box"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Interval(Strict):
    """A score and its 95 % interval. Accuracies are shares from 0 to 1."""

    score: float
    low: float
    high: float


class Failure(Strict):
    """An attacker that broke down, and why; the others went on."""

    attacker: str
    knowledge: str
    reason: str
