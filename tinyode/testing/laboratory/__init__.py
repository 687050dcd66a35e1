"""The laboratory of wrong adjoints: black boxes to diagnose, and a score for tests of gradients.

`BOXES` are functions like `tinyode.odeint`, with right values and each with one mistake in its
gradients. `CATALOGUE` numbers the mistakes that there are. `experiment` makes problems, the
simplest one or with switches turned on; `gradients` and `differences` look at a box there.
`check_diagnosis` checks what has been found out about boxes, and `check_your_test` counts the
mistakes that a test of gradients finds.
"""

from .boxes import BOXES, check_diagnosis
from .experiments import CATALOGUE, differences, experiment, gradients
from .score import check_your_test

__all__ = [
    "BOXES",
    "CATALOGUE",
    "check_diagnosis",
    "check_your_test",
    "differences",
    "experiment",
    "gradients",
]
