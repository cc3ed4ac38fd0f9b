"""What can go wrong, as one tree.

SottovoceError        a caller's mistake or bad input: one sentence, exit status 2
├── AudioError        a sound that cannot be read or written
├── CorpusError       a corpus that is not what its name or its settings say
├── ModelError        a target or filter folder that is missing, altered or of another version
│   └── ParityError   a graph that gives something else than what it was made from: exit status 1
├── ConfigError       a setting outside its range
└── MissingExtraError a command that needs an optional part of the installation

Every message says what was got, what was expected, and how to mend it.
"""


class SottovoceError(Exception):
    """A mistake that the caller can mend; its message is one sentence."""


class AudioError(SottovoceError):
    """A sound that cannot be read or written."""


class CorpusError(SottovoceError):
    """A corpus that is not what its name or its settings say."""


class ModelError(SottovoceError):
    """A target or filter folder that is missing, altered or of another version."""


class ParityError(ModelError):
    """A graph, or a machine, that gives something else than what it was made from."""


class ConfigError(SottovoceError):
    """A setting outside its range."""


class MissingExtraError(SottovoceError):
    """A command that needs an optional part of the installation."""
