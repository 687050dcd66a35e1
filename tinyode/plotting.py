"""How the chapters' figures look, and where they go. Needs Matplotlib, and nothing else in the
package needs this.
"""

import io
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

# blue, orange, green, purple, red, grey: told apart by every kind of eye, and in print (after Okabe
# and Ito, 2008)
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#9B59B6", "#D55E00", "#666666"]
STYLE = {
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "figure.constrained_layout.use": True,
    "mathtext.fontset": "cm",
}
END_OF_PNG = b"IEND\xaeB`\x82"  # the name and the checksum of the last chunk, which is empty
plt.rcParams.update(STYLE)


def panels(columns=1, rows=1, width=9.0, height=4.6, **settings):
    """Return a figure with that many panels, and the panels."""
    return plt.subplots(rows, columns, figsize=(width, height), **settings)


def save(figure, name):
    """Save a figure as ``figures/name.png``, in the nearest folder up from here that has a
    ``figures``; return its path.

    A chapter that is run again must not change the repository. So a file that already shows the
    same picture is left alone, and so is one that another version of Matplotlib has drawn, which
    places every letter a little differently. Delete it to have it drawn anew. What is no picture,
    or not a whole one, is drawn anew.
    """
    here = Path.cwd()
    folder = next(
        (p / "figures" for p in (here, *here.parents) if (p / "figures").is_dir()), here / "figures"
    )
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.png"
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    if not matplotlib.is_interactive():  # a notebook shows what is open at the end of the cell
        plt.close(figure)
    if not path.exists() or _looks_different(path.read_bytes(), buffer.getvalue()):
        path.write_bytes(buffer.getvalue())
    return path


def _looks_different(old, new):
    """Whether two PNG files by the same Matplotlib differ by more than rounding can: on average 0.3
    % of the grey scale.
    """
    pixels = _pixels(old)
    if pixels is None:
        return True
    if f"Matplotlib version{matplotlib.__version__},".encode() not in old:
        return False
    expected = _pixels(new)
    return pixels.shape != expected.shape or np.mean(np.abs(pixels - expected)) > 0.003


def _pixels(png):
    """Return the pixels of a PNG file, None if it is damaged or another kind of file."""
    if not png.endswith(END_OF_PNG):
        return None
    try:
        return plt.imread(io.BytesIO(png), format="png")
    except Exception:  # of the many that a damaged file can raise
        return None
