"""Classes of sounds at home, as lists of AudioSet classes whose names a recogniser such as YAMNet knows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_HOME = {
    "alarm": ("Alarm clock", "Smoke detector, smoke alarm", "Fire alarm", "Buzzer", "Beep, bleep"),
    "baby_cry": ("Baby cry, infant cry", "Crying, sobbing"),
    "dog": ("Dog", "Bark", "Bow-wow", "Yip", "Howl", "Growling", "Whimper (dog)"),
    "glass": ("Glass", "Shatter", "Chink, clink", "Breaking"),
    "cough": ("Cough", "Throat clearing"),
    "knock": ("Knock", "Tap"),
    "doorbell": ("Doorbell", "Ding-dong"),
    "water": ("Water", "Water tap, faucet", "Sink (filling or washing)", "Drip", "Pour", "Trickle, dribble"),
    "siren": ("Siren", "Civil defense siren", "Police car (siren)", "Ambulance (siren)"),
    "laughter": ("Laughter", "Baby laughter", "Giggle", "Belly laugh", "Chuckle, chortle", "Snicker"),
}
_ESC10 = {
    "dog_bark": ("Dog", "Bark", "Whimper (dog)"),
    "rain": ("Rain", "Raindrop", "Rain on surface"),
    "sea_waves": ("Ocean", "Waves, surf"),
    "baby_cry": ("Crying, sobbing", "Baby cry, infant cry"),
    "clock_tick": ("Clock", "Tick", "Tick-tock"),
    "person_sneeze": ("Sneeze",),
    "helicopter": ("Helicopter",),
    "chainsaw": ("Chainsaw",),
    "rooster": ("Chicken, rooster", "Crowing, cock-a-doodle-doo"),
    "fire_crackling": ("Fire", "Crackle"),
}
MEANINGS: Mapping[str, tuple[str, ...]] = MappingProxyType({**_ESC10, **_HOME})
LISTS: Mapping[str, tuple[str, ...]] = MappingProxyType({"home": tuple(_HOME), "esc10": tuple(_ESC10)})
