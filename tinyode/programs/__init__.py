"""Programs: a recorded function as straight-line NumPy, to be read, and run without the engine.

A solver calls the same f thousands of times, and each time the tape is written anew. Here it is
written once. Read `recording` (what f does to arrays, as a list of calls), `simplify` (what of that
is done in vain), `source` (the list as text), `program` (the text as a function: what users read)
and `compiled` (what users call: a program for each kind of arguments); `signature` says what a
constant argument is made of.

This room knows the engine, and the engine does not know it: a compiled function offers its value
and its derivative by the method that `tinyode.autodiff.transforms.specialized` describes.
"""

from .compiled import compiled
from .program import Program, program

__all__ = ["Program", "compiled", "program"]
