"""Settings of the documentation site; scripts/docs.sh builds it."""

import re
from pathlib import Path

import metajax

project, author, copyright = "MetaJAX", "The MetaJAX authors", "The MetaJAX authors, Apache-2.0"  # noqa: A001
version = release = metajax.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_use_ivar = True
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"MetaJAX {version}"
html_copy_source = False

# A link that leaves docs/ is right on a git host; on the site it offers the file itself.
LEAVING = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#]+)\)")
DOCS = Path(__file__).parent


def _offer(app, docname, source):
    """Turns links that leave docs/ into downloads."""
    folder = (DOCS / docname).parent

    def replace(link):
        if (folder / link[2]).resolve().is_relative_to(DOCS):
            return link[0]
        return f"{{download}}`{link[1].replace('`', '')} <{link[2]}>`"

    source[0] = LEAVING.sub(replace, source[0])


def setup(app):
    """Connects the hook; called by Sphinx."""
    app.connect("source-read", _offer)
    return {"parallel_read_safe": True}
