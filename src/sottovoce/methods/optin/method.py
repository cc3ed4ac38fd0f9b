"""The methods `optin` and `raw`: filters of spectra, trained against a deobfuscator."""

from __future__ import annotations

from dataclasses import replace

from sottovoce.methods.method import Context, Estimate, Method, Trained
from sottovoce.methods.optin.settings import PRESETS, OptinSettings
from sottovoce.methods.optin.training import train_optin
from sottovoce.methods.recognisers import voters
from sottovoce.models.layers import parameter_count
from sottovoce.runtime.export import save_filter

_SECONDS = {"compact-autoencoder": 0.15, "cyclegan-vc2": 10.0}  # of a step, by architecture


def train(context: Context[OptinSettings]) -> Trained:
    """An obfuscator, by opt-in training for the one target."""
    settings, (target,) = context.settings, context.targets
    run = context.run._replace(steps=settings.steps)
    others = voters(context, target, settings.voters, settings.voter_steps) if settings.voters else ()
    obfuscator, deobfuscator, last = train_optin(
        context.sounds, context.split.train, target, settings, run, others, context.loudness
    )
    card = {
        "parameters": parameter_count(obfuscator),
        "deobfuscator_parameters": parameter_count(deobfuscator),
        "game": last,
        "bits_per_block": None,  # nothing bounds what this method lets through
    }
    architecture, sizes = settings.architecture, settings.obfuscator
    return Trained(
        card,
        lambda folder, card, targets: save_filter(
            folder, obfuscator, architecture, sizes, *context.loudness, card, targets
        ),
    )


def estimate(context: Context[OptinSettings]) -> Estimate:
    """The steps of training, of those of every replaced deobfuscator a third of the time."""
    settings = context.settings
    replaced = (settings.steps - 1) // settings.replace_every * settings.replace_steps if settings.replace_every else 0
    return Estimate(settings.steps, (settings.steps + replaced / 3) * _SECONDS.get(settings.architecture, 1.0))


METHOD: Method[OptinSettings] = Method("optin", OptinSettings, PRESETS, train, estimate)
RAW: Method[OptinSettings] = replace(
    METHOD, name="raw", presets={name: replace(preset, raw=True) for name, preset in PRESETS.items()}
)
