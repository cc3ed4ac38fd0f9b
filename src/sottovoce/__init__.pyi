from sottovoce.api import audit as audit
from sottovoce.api import compare as compare
from sottovoce.api import train as train
from sottovoce.api import train_target as train_target
from sottovoce.attack.attacker import Attacker as Attacker
from sottovoce.corpora.catalogue import open_corpus as open_corpus
from sottovoce.models.target import Target as Target
from sottovoce.models.target_loading import load_target as load_target
from sottovoce.runtime.filter import Filter as Filter

__version__: str
