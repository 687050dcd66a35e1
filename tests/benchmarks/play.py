"""How long a scene takes to follow a control: compute, and draw into memory, in milliseconds.

Each control goes through twenty places, as by its mouse or its arrow keys. The first two columns
are the median and the longest time of an update; the third is what the median has of `compute`.
Processor time is measured, so that other work on the machine does not count. A window has to show
the picture besides, which takes a few milliseconds. First come all scenes in their own size, then
on a full screen of 1920x1080 pixels.
"""

import gc
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # or the time of two threads is added

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backend_bases import ResizeEvent

matplotlib.use("Agg")
sys.path.insert(0, str(Path(__file__).parents[2] / "tutorials"))

import play
from play.controls import Button, Choice, Point

PLACES = 20
SIZES = (play.SIZE, (19.2, 10.8))  # hundreds of pixels: as it opens, and a full screen


def updates(stage, control):
    """Move a control to place after place; yield after each event."""
    for i in range(PLACES):
        if isinstance(control, Point):
            angle = 2 * np.pi * i / PLACES
            fractions = 0.5 + 0.4 * np.array([np.cos(angle), np.sin(angle)])
            control.drag(control.axes.bbox.min + fractions * control.axes.bbox.size)
        elif isinstance(control, (Button, Choice)):
            control.enter()
        else:
            control.take(i * (len(control.values) - 1) // (PLACES - 1))
        yield


def name_of(control):
    """Return a control's place or field."""
    number = [c for c in control.stage.controls if c.axes is control.axes].index(control)
    panel = next(n for n, axes in control.stage.panels.items() if axes is control.axes)
    return f"{type(control).__name__.lower()} {panel}" + (f" {number + 1}" if number else "")


def measure(stage, control):
    """Return the seconds of each update, which Agg draws at once, and those of `compute`."""
    whole, computed = [], []
    stage.put(stage.scene.State())
    stage.canvas.draw()
    start = time.process_time()
    for _ in updates(stage, control):
        whole.append(time.process_time() - start)
        start = time.process_time()
        stage.scene.compute(stage.state)
        computed.append(time.process_time() - start)
        start = time.process_time()
    return whole, computed


def main():
    """Print the table. As `--play` does, leave what is imported out of all later collections."""
    gc.freeze()
    for size in SIZES:
        print(
            "{:.0f} x {:.0f}".format(*np.multiply(size, 100)).ljust(32), "median  longest  compute"
        )
        for name in play.SCENES:
            stage = play.figure_of(name)
            stage.set_size_inches(size)
            ResizeEvent("resize_event", stage.canvas)._process()
            for control in stage.controls:
                whole, computed = [1000 * np.array(seconds) for seconds in measure(stage, control)]
                times = np.median(whole), whole.max(), np.median(computed)
                print(f"{name:10} {name_of(control):21}" + "".join(f"{t:9.1f}" for t in times))
            plt.close(stage)


if __name__ == "__main__":
    main()
