"""How the documentation is built: MyST Markdown, the furo theme, and pages made from the code."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from twisted_sip import __version__

project = "twisted_sip"
author = "the twisted_sip authors"
copyright = "the twisted_sip authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "code_reference"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_ext"]
nitpicky = False

html_theme = "furo"
html_title = f"twisted_sip {version}"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_preserve_defaults = True

# Several classes have a member called "type"; which one a bare annotation means does not matter.
suppress_warnings = ["ref.python"]
