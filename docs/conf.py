"""
The site: ``sphinx-build -W -n docs docs/_build/html``.

Nothing is fetched: formulas become MathML, there is no intersphinx. What can be listed from the code is listed from it, when the
site is built: the public names (`_ext/public_names.py`), the registered models (`_ext/catalogue.py`), the gallery with its pictures.
"""

import sys
from pathlib import Path

import surffit

here = Path(__file__).parent
sys.path.insert(0, str(here / "_ext"))

import catalogue  # noqa: E402 - found in the folder above
import flags  # noqa: E402
import gallery  # noqa: E402
import public_names  # noqa: E402

# written before Sphinx looks for pages, so that they are pages like any other
api_pages = public_names.write(here / "reference" / "api")
catalogue.write(here / "reference")
flags.write(here / "reference")
gallery.stage(here.parent / "examples", here / "_examples")

project = "surffit"
author = "surffit developers"
copyright = "surffit developers, BSD 3-Clause licence"
version = release = surffit.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "mathml",
]
exclude_patterns = ["_build", "_examples", "_ext", "README.md", "gallery/**/*.ipynb", "gallery/**/*.py", "**/GALLERY_HEADER.rst"]
templates_path = ["_templates"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
root_doc = "index"
default_role = "autolink"  # a name in single backticks is a link where there is a page for it
suppress_warnings = [
    "config.cache",  # the gallery's settings hold functions
    "ref.citation",  # a model and its function share one docstring, with its references
]

# every reference must lead somewhere
nitpicky = True
nitpick_ignore_regex = [
    # `Returns` sections name types in words; other packages' pages are not fetched
    (r"py:.*", r"(?!surffit\b).*"),
    # docstrings may name parts of the inside, which has no pages
    (r"py:obj", r"surffit\.((core|io|kernels|solve|tables|trace)\b|surfaces\.[a-z]\w*\.).*"),
]

myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 4

autosummary_generate = [path.relative_to(here).as_posix() for path in api_pages]
# what lmfit and Python give is described there
autodoc_default_options = {"inherited-members": "ModelResult,Model,SurfaceModel,Minimizer,BaseException,IntFlag,int,object"}
autodoc_typehints = "none"  # the docstrings tell types in the words of users
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the class template lists them
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "surffit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

sphinx_gallery_conf = {
    "examples_dirs": "_examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",  # all of them run
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": (gallery.WrittenPictures(), "matplotlib"),
    "reset_modules": ("matplotlib", gallery.same_for_all),
    "abort_on_example_error": False,
    "plot_gallery": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "copyfile_regex": r"GALLERY_HEADER\.rst",
}
