"""What the gallery needs beside sphinx-gallery: a copy of the examples to run in, and the pictures that scripts write to files."""

import shutil
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst


def stage(source: Path, folder: Path) -> None:
    """
    Copy the examples, since sphinx-gallery runs each in its own folder and what it writes would stay there.

    Times of change are kept: only what changed is run again.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", "*.png", "*.json", "*.npz"))


class WrittenPictures:
    """Show a picture that a script wrote as a file, where there is no open figure: that would be the same picture again."""

    def __repr__(self):
        return "WrittenPictures"

    def __call__(self, block, block_vars, gallery_conf):
        import matplotlib.pyplot as plt

        found = []
        for path in sorted(Path(block_vars["src_file"]).parent.glob("*.png")):
            if plt.get_fignums():
                path.unlink()
                continue
            shown = Path(next(block_vars["image_path_iterator"]))
            shutil.move(path, shown)
            found.append(str(shown))
        return figure_rst(found, gallery_conf["src_dir"]) if found else ""


def same_for_all(gallery_conf, fname):
    """Every example starts alike: readable type at the width of a page, colours that all can tell apart."""
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "figure.figsize": (7.0, 4.4),
            "figure.dpi": 110,
            "font.size": 11,
            "image.cmap": "viridis",
            "axes.prop_cycle": plt.cycler(color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]),
        }
    )
