"""The models of the sources, each the shortest honest code over the rest of the library.

`resnet` and `neural_ode` are Algorithms 1 and 2, side by side; `resnet_classifier` and
`ode_classifier` are the networks made of them. `planar_flow` and `continuous_flow` are densities by
change of variables. `latent_ode` is for series in time that begin in a hidden state.
"""

import warnings
from typing import TYPE_CHECKING

from .flows import continuous_flow, exact_trace, hutchinson_trace, planar_flow
from .latent_ode import latent_ode, rnn_forecaster
from .neural_ode import augmented, neural_ode, ode_classifier
from .resnet import resnet, resnet_classifier

__all__ = [
    "augmented",
    "continuous_flow",
    "exact_trace",
    "hutchinson_trace",
    "latent_ode",
    "neural_ode",
    "ode_classifier",
    "planar_flow",
    "resnet",
    "resnet_classifier",
    "rnn_forecaster",
]

RENAMED = {"res_net": "resnet_classifier", "ode_net": "ode_classifier"}  # since version 0.1.0

if not TYPE_CHECKING:

    def __getattr__(name):
        """Find a function under the name that it once had."""
        if name not in RENAMED:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        new = RENAMED[name]
        message = f"tinyode.models.{name} is now called tinyode.models.{new}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return globals()[new]
