"""Programs: a function recorded once, and run from then on as straight-line NumPy.

A solver calls the same f thousands of times, and each time the tape of chapter 3 is written anew.
Here it is written once. Read in this order:

- `symbol`: what stands for an array while f is recorded;
- `recording`: the list of NumPy calls, and what is refused; `twice`: f recorded twice, to see
  whether it does the same;
- `simplify`: what of the list is left out; `numbers`: small vectors taken apart;
- `source`: the list as text; `memory`: which lines use memory again;
- `program`: the text as a function, for users to read;
- `for_jax`: the text for JAX;
- `compiled`: a program for each kind of arguments, for users to call; `field`: one for the solvers,
  on flat vectors; `constants`: what of a constant argument makes another kind; `thrown_away`: a
  warning.

The words that all of them use:

=============  ====================================================================================
call           one NumPy function, its arguments and its results: one line of a program
recording      the list of the calls of f and of its pullback
Symbol         stands for an array or a number that may differ the next time f is called
constant       anything else that f meets; the program has it as it was when f was recorded
seed           the cotangent of an output, with which the pullback starts
bound          of a field: made for given arguments, which stay as they are during a solve
wanted         the positions of the arguments (leaves) whose cotangents are asked for
saved          what the program of the value hands to the program of the pullback
cache key      what decides which program is run: structures, shapes, dtypes, constants, wanted
fresh, owned   of an array: made by the call itself, no view; given away, so it may be written into
=============  ====================================================================================

This room knows the engine, and the engine does not know it. A compiled function offers its value
and its derivative by the method that `tinyode.autodiff.specialized` describes.
"""

from .compiled import compiled
from .program import Program, program

__all__ = ["Program", "compiled", "program"]
