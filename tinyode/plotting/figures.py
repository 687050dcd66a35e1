"""How the figures of the chapters look, and where they go."""

import base64
import io
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import image as matplotlib_image
from matplotlib.figure import Figure

# Blue, orange, green, purple, vermilion (a red near orange: words should not call it red), grey:
# people who are colour-blind can tell them apart, and so can readers of a print (after Okabe and
# Ito, 2008).
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
# How a whole file ends: the last chunk of a PNG file is empty, and has a name and a checksum.
ENDS = {"png": b"IEND\xaeB`\x82", "gif": b";"}
WIDTH = 700  # of a picture that moves, in pixels
# By how much of the grey scale two equal pictures may differ, on average. Where a tenth of the
# colours is changed by 1 of 255, the palettes of the figures here differ by up to 0.0008.
ROUNDING = 0.003
PIL: Any = vars(matplotlib_image)["PIL"]  # Pillow, which Matplotlib needs and has loaded
Image = PIL.Image
plt.rcParams.update(STYLE)


def panels(
    columns: int = 1, rows: int = 1, width: float = 9.0, height: float = 4.6, **settings: Any
) -> tuple[Figure, Any]:
    """Return a figure with that many panels, and the panels."""
    return plt.subplots(rows, columns, figsize=(width, height), **settings)


def save(figure: Figure, name: str, *, alt: str = "") -> Path:
    """Save a figure as ``figures/name.png``, close it, and return the path.

    The folder ``figures`` is the nearest one: here, or in a folder that holds this one. If there is
    none it is made here. A notebook shows the picture, with its words.

    A chapter that is run again must not change the repository. So a file that already shows the
    same picture is left alone. So is one that another version of Matplotlib has drawn, because each
    version places letters a little differently. Delete the file to have it drawn again. A file that
    is no picture, or not a whole one, is replaced.

    Parameters
    ----------
    figure : Figure
    name : str
    alt : str
        One or two sentences for those who cannot see the figure: what it shows, and what one should
        notice. They are required.

    Raises
    ------
    TypeError
        If there are no words.
    """
    _check_words("save", alt)
    image = _picture(figure)
    plt.close(figure)
    software = PIL.PngImagePlugin.PngInfo()
    software.add_text("Software", image.info["Software"])
    file = io.BytesIO()
    _in_256_colours(image).save(file, "png", optimize=True, pnginfo=software)
    return _keep(f"{name}.png", file.getvalue(), alt)


def save_animation(
    figure: Figure,
    update: Callable[[Any], Any],
    frames: Iterable[Any],
    name: str,
    *,
    alt: str = "",
    seconds: float = 0.1,
    pause: float = 3.0,
) -> Path:
    """Save a figure that moves as ``figures/name.gif``, close it, and return the path.

    It is 700 pixels wide and runs for ever. As with `save`, a file that shows the same, or that
    another version of Matplotlib has drawn, is left alone. (The Pillow writer of Matplotlib can
    neither pause, nor give all frames one palette, nor say which version has drawn them.)

    Parameters
    ----------
    figure : Figure
    update : function
        ``update(frame)`` changes the figure to what it shows in this frame.
    frames : iterable
        Two equal frames after each other are one that is shown twice as long.
    name : str
    alt : str
        As of `save`: what moves, and what one should notice.
    seconds, pause : float
        How long a frame is shown, and the last one.

    Raises
    ------
    TypeError
        If there are no words.
    """
    _check_words("save_animation", alt)
    images = []
    for frame in frames:
        update(frame)
        images.append(_picture(figure, dpi=WIDTH / figure.get_figwidth()))
    plt.close(figure)
    # one palette for all; k-means would take minutes
    strip = _in_256_colours(Image.fromarray(np.concatenate(images)), kmeans=0)
    height = images[0].height
    first, *others = [
        strip.crop((0, top, strip.width, top + height)) for top in range(0, strip.height, height)
    ]
    duration = [int(1000 * seconds)] * len(others) + [int(1000 * pause)]
    file = io.BytesIO()
    first.save(
        file,
        "gif",
        save_all=True,
        append_images=others,
        duration=duration,
        loop=0,
        comment=images[0].info["Software"],
    )
    return _keep(f"{name}.gif", file.getvalue(), alt)


def _check_words(function, alt):
    if not (isinstance(alt, str) and alt.strip()):
        raise TypeError(
            f"{function}: write alt=, one or two sentences that say what the figure shows, for"
            f" those who cannot see it; got {alt!r}"
        )


def _picture(figure, **settings):
    """Return a figure as Matplotlib draws it now; its ``info`` says which Matplotlib that is."""
    file = io.BytesIO()
    figure.savefig(file, format="png", **settings)
    drawn = Image.open(file)
    image = drawn.convert("RGB")
    image.info = drawn.info
    return image


def _in_256_colours(image, **settings):
    """Return an image with a palette, which makes a file a third as large.

    The palette of "maximum coverage", improved by k-means, changes no colour of the figures here by
    more than 18 of 255, white not at all, and none of their files is larger than 300 kB. Pillow's
    usual palette changes some colours by 80, and one file has 384 kB.
    """
    settings = {"kmeans": 1, "dither": Image.Dither.NONE, **settings}
    return image.quantize(method=Image.Quantize.MAXCOVERAGE, **settings)


def _keep(name, data, alt):
    """Write a file, unless it is there; show it in a notebook; return its path."""
    here = Path.cwd()
    folders = [place / "figures" for place in (here, *here.parents)]
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    folder.mkdir(exist_ok=True)
    path = folder / name
    if not path.exists() or _looks_different(path.read_bytes(), data, path.suffix[1:]):
        path.write_bytes(data)
    return _show_in_a_notebook(path, data, alt)


def _looks_different(old, new, kind):
    """Whether two files by the same Matplotlib differ by more than rounding can."""
    before = _frames(old, kind)
    if before is None:
        return True
    if f"Matplotlib version{matplotlib.__version__},".encode() not in old:
        return False
    after = _frames(new, kind)
    if [frame.shape for frame in before] != [frame.shape for frame in after]:
        return True
    differences = [np.mean(np.abs(a - b)) for a, b in zip(before, after)]
    return max(differences) > 255 * ROUNDING


def _frames(data, kind):
    """Return the colours of all frames of a file, None if it is damaged or of another kind."""
    if not data.endswith(ENDS[kind]):
        return None
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            found = []
            for frame in range(getattr(image, "n_frames", 1)):
                image.seek(frame)
                found.append(np.asarray(image.convert("RGB"), np.int16))
            return found
    except Exception:  # of the many that a damaged file can raise
        return None


class _Shown(type(Path())):  # type: ignore[misc]  # a PosixPath or a WindowsPath
    """The path of a file that a notebook has shown: it does not show the path below as well."""

    def _ipython_display_(self):
        pass


def _show_in_a_notebook(path, data, alt):
    """Show a picture, and its words below it, since few hosts hand on those of the picture."""
    ipython = sys.modules.get("IPython")
    if not ipython or not getattr(ipython.get_ipython(), "kernel", None):
        return path
    kind, show = f"image/{path.suffix[1:]}", ipython.display.display
    picture = {kind: base64.b64encode(data).decode(), "text/plain": alt}
    show(picture, metadata={kind: {"alt": alt}}, raw=True)
    show({"text/markdown": f"*{alt}*", "text/plain": alt}, raw=True)
    return _Shown(path)
