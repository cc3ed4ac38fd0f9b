"""All verbs of the command line: importing this module adds them to the application."""

import sottovoce.cli.audit
import sottovoce.cli.bench
import sottovoce.cli.cameras
import sottovoce.cli.corpora
import sottovoce.cli.demo
import sottovoce.cli.doctor
import sottovoce.cli.experiments
import sottovoce.cli.export
import sottovoce.cli.filters
import sottovoce.cli.live
import sottovoce.cli.protect
import sottovoce.cli.serve
import sottovoce.cli.studio
import sottovoce.cli.train  # noqa: F401
