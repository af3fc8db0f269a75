"""How Sphinx builds the site, without a network: `nox -s docs`, or `python -m sphinx -W -n -b html docs build/site`."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "holded_pipeline"
author = "the holded_pipeline developers"
version = release = version_of("holded-pipeline")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "name_links",
    "page_titles",
    "self_contained",
]
exclude_patterns = ["extensions"]
smartquotes = False  # `--json` in a help stays as it is
default_role = "name"  # see extensions/name_links.py

html_theme = "furo"
html_title = "holded_pipeline"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_copyright = False

myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline", "colon_fence"]

autodoc_default_options = {"members": True, "exclude-members": "expand"}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
python_display_short_literal_types = True
python_use_unqualified_type_names = True
add_module_names = False
napoleon_use_ivar = True
nitpick_ignore_regex = [
    # Types of other packages are named, not linked: no inventory is fetched when the site is built.
    (
        "py:.*",
        r"(apache_beam|beam|collections|contextlib|datetime|fastapi|os|pathlib|s3fs|sa|sqlalchemy|threading)\..*",
    ),
    # Types that only the library makes; a public class has a name of its own in the package.
    ("py:class", r"(holded_pipeline(\.\w+){3,}|holded_pipeline\.plugins\.hookspecs\.\w+|DocumentRow)"),
    ("py:class", r"'.*'"),  # the parts of a Literal
]
