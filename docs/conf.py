"""How Sphinx builds these pages: `make docs`."""

import sottovoce

project = "Sottovoce"
author = copyright = "Sottovoce contributors"
release = sottovoce.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

default_role = "code"  # of docstrings, which write names between single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings give shapes and units, which say more

html_theme = "furo"
html_title = f"Sottovoce {release}"
html_show_sourcelink = False
