"""How figures look, where they go, with words; a function's tape drawn.

It needs Matplotlib, and nothing else in the package needs it. `figures` saves them, `graph` draws
a tape: `boxes` says what is written on it, and `layout` where everything stands.
"""

from .figures import COLOURS, STYLE, panels, save, save_animation
from .graph import draw

__all__ = ["COLOURS", "STYLE", "draw", "panels", "save", "save_animation"]
