"""The layers of each synthesised event: numbers that were found by search, so that YAMNet knows the sounds.

Its float network chose among variations at random shifts and levels; `benchmarks/home_sounds.py --events` says what it
and a network that took no part make of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sottovoce.audio.events import Clicks, Layer, Noise, Tone

# fmt: off
_LAYERS: dict[str, tuple[Layer, ...]] = {
    "dog_bark": (
        Tone(gain=4.48, onsets=(0.161, 0.839), length=0.199, attack=0.00412, decay=6.85, hertz=(265.0, 695.0, 697.0,
            163.0), partials=4, tilt=-8.37, formants=(698.0, 1440.0, 1590.0), vibrato=0.000737, rough=0.0815),
        Noise(gain=0.202, onsets=(0.111, 0.719), length=0.153, attack=0.00259, decay=7.8, low=368.0, high=2180.0,
            tilt=-5.67),
    ),
    "rain": (
        Noise(gain=1.42, low=861.0, high=7500, tilt=-1.07),
        Clicks(gain=1.28, decay=0.0171, count=400.0, low=1130.0, high=7540.0, ring=0.000531, spread=0.75),
    ),
    "sea_waves": (
        Noise(gain=1.18, rate=1.0, depth=0.758, low=48.9, high=2720.0, tilt=-1.81),
        Noise(gain=0.364, rate=1.0, depth=0.832, low=1430.0, high=7900.0, tilt=-1.37),
    ),
    "baby_cry": (
        Tone(gain=1.02, onsets=(1.21,), attack=0.0618, decay=0.175, hertz=(435.0, 515.0, 475.0, 426.0, 361.0),
            partials=20, tilt=-1.61, formants=(1080.0, 2700.0), vibrato=0.0114, rough=0.00804),
        Noise(gain=0.0545, onsets=(0.119,), length=1.08, attack=0.0175, decay=0.0165, low=611.0, high=6000),
    ),
    "clock_tick": (
        Clicks(gain=10.2, onsets=(0.0533, 0.292, 0.574, 0.996), length=0.00262, decay=0.199, count=40.5, low=2340.0,
            high=5000, ring=0.00964, spread=0.297),
        Clicks(gain=0.489, onsets=(0.0267, 0.356, 0.682, 1.04), length=0.00255, count=2.85, low=1690.0, high=3570.0,
            ring=0.00249, spread=0.557),
    ),
    "person_sneeze": (
        Noise(gain=0.762, onsets=(0.419,), length=0.241, attack=0.00849, decay=6.52, low=844.0, high=4400.0,
            tilt=-0.21),
        Noise(gain=0.0991, onsets=(0.11,), length=0.14, attack=0.0102, decay=113.0, low=431.0, high=5730.0,
            tilt=-9.48),
        Tone(gain=2.96, onsets=(0.195,), length=0.167, attack=0.009, decay=2.15, hertz=(457.0, 584.0, 176.0),
            partials=60, tilt=1.62, formants=(341.0, 1150.0), vibrato=0.000617, rough=0.021),
    ),
    "helicopter": (
        Noise(gain=0.479, onsets=(1.16,), length=0.425, attack=0.00222, decay=0.0623, rate=4.0, depth=1.0, low=63.5,
            high=423.0, tilt=4.52),
        Noise(gain=1.05, rate=36.0, depth=0.62, low=496.0, high=4960.0, tilt=-10.4),
        Tone(gain=0.204, onsets=(0.0178,), length=0.622, attack=0.0116, hertz=(78.8,), partials=60, tilt=-4.79,
            rough=0.0149),
    ),
    "chainsaw": (
        Tone(gain=1.14, onsets=(1.25,), length=1.26, attack=0.0106, hertz=(65.3, 130.0, 179.0, 183.0, 93.1),
            partials=60, tilt=-5.98, formants=(703.0, 2210.0, 3820.0), vibrato=0.000386, rough=0.0181),
        Noise(gain=0.609, onsets=(0.00744,), length=1.12, attack=0.00745, rate=70.0, depth=0.736, low=856.0,
            high=4350.0, tilt=-1.96),
    ),
    "rooster": (
        Tone(gain=0.875, onsets=(1.25,), length=0.0859, attack=0.0225, hertz=(376.0, 252.0, 773.0), partials=8,
            tilt=2.3, formants=(1360.0, 2630.0), vibrato=8.9e-05, rough=0.0152),
        Tone(gain=10.0, onsets=(0.153,), length=0.0621, attack=0.0213, decay=0.0751, hertz=(636.0, 620.0, 821.0),
            partials=21, tilt=-1.21, formants=(2350.0, 1870.0), rough=0.0585),
        Tone(gain=3.9, onsets=(0.342,), length=0.0114, attack=0.0376, decay=0.585, hertz=(892.0, 983.0, 641.0, 731.0,
            550.0), partials=2, tilt=5.13, formants=(6090.0, 1220.0), vibrato=0.00184, rough=0.0433),
    ),
    "fire_crackling": (
        Clicks(gain=0.227, onsets=(0.127,), decay=0.0362, count=33.2, low=388.0, high=3710.0, ring=0.00085,
            spread=1.12),
        Noise(gain=0.188, onsets=(0.022,), length=1.19, attack=0.00234, decay=0.0519, low=161.0, high=1690.0,
            tilt=-3.01),
    ),
    "alarm": (
        Tone(gain=0.473, onsets=(1.27, 0.453, 0.807), length=0.537, attack=0.00222, hertz=(3330.0,), partials=3,
            tilt=-19.6, vibrato=4.11e-05),
        Noise(gain=0.00287, low=127.0, high=5700.0, tilt=-5.38),
    ),
    "glass": (
        Clicks(gain=0.517, onsets=(0.115, 0.101), length=0.445, decay=2.46, count=55.6, low=2390.0, high=7900.0,
            ring=0.0502, spread=0.596),
        Noise(gain=0.799, onsets=(0.158, 0.341), length=0.113, attack=0.0013, decay=86.6, low=1590.0, high=7100.0,
            tilt=2.78),
    ),
    "cough": (
        Noise(gain=7.37, onsets=(0.0913, 0.608), length=0.344, attack=0.00478, decay=23.0, low=242.0, high=4710.0,
            tilt=-7.0, formants=(792.0, 1170.0, 4480.0)),
        Tone(gain=0.314, onsets=(0.353, 1.06), length=0.144, attack=0.00131, decay=6.51, hertz=(191.0, 228.0, 59.6),
            partials=14, tilt=-8.36, formants=(1710.0, 1820.0, 3250.0), vibrato=0.00142, rough=0.00373),
    ),
    "knock": (
        Noise(gain=1.87, onsets=(0.163, 0.356, 0.493), length=0.138, attack=0.000874, decay=61.3, low=128.0,
            high=1860.0, tilt=-6.23),
        Clicks(gain=0.17, onsets=(0.194, 0.312, 0.443), length=0.00474, decay=0.00325, count=8.88, low=175.0,
            high=1660.0, ring=0.0073, spread=1.23),
    ),
    "doorbell": (
        Tone(gain=0.438, onsets=(0.076,), length=0.214, attack=0.000102, decay=94.9, hertz=(1140.0,), partials=4,
            tilt=-17.1, vibrato=0.00169),
        Tone(gain=0.734, onsets=(0.69,), length=0.519, attack=0.00157, decay=25.1, hertz=(258.0,), partials=4,
            tilt=3.21, vibrato=0.00216, rough=0.00157),
    ),
    "water": (
        Noise(gain=2.16, rate=5.0, low=509.0, high=7730.0, tilt=-2.03),
        Clicks(gain=0.81, onsets=(0.0344,), decay=0.0173, count=80.7, low=411.0, high=2640.0, ring=0.0188,
            spread=0.393),
    ),
    "siren": (
        Tone(gain=0.183, attack=0.0698, hertz=(751.0, 1220.0, 873.0), partials=3, tilt=-10.8, rough=0.00611),
    ),
    "laughter": (
        Tone(gain=0.649, onsets=(0.0336, 0.2, 0.363, 0.518, 0.715, 0.899, 1.05), length=0.091, attack=0.012,
            decay=3.19, hertz=(380.0, 460.0, 360.0), partials=40, tilt=-5.12, formants=(850.0, 1500.0, 3000.0),
            vibrato=0.000214, rough=0.0158),
        Noise(gain=0.347, onsets=(0.1, 0.27, 0.44, 0.61, 0.78, 0.95, 1.12), length=0.0702, attack=0.0137, decay=1.69,
            low=827.0, high=3400.0, tilt=-1.03),
    ),
}
# fmt: on
EVENTS: Mapping[str, tuple[Layer, ...]] = MappingProxyType({**_LAYERS, "dog": _LAYERS["dog_bark"]})
