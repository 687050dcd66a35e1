"""The models of the sources, each the shortest honest code over the rest of the library.

`resnet` and `neural_ode` are Algorithms 1 and 2, side by side; `res_net` and `ode_net` are the
classifiers made of them. `planar_flow` and `continuous_flow` are densities by change of variables.
`latent_ode` is for series in time that begin in a hidden state.
"""

from .flows import continuous_flow, exact_trace, hutchinson_trace, planar_flow
from .latent_ode import latent_ode, rnn_forecaster
from .neural_ode import augmented, neural_ode, ode_net
from .resnet import res_net, resnet

__all__ = [
    "augmented",
    "continuous_flow",
    "exact_trace",
    "hutchinson_trace",
    "latent_ode",
    "neural_ode",
    "ode_net",
    "planar_flow",
    "res_net",
    "resnet",
    "rnn_forecaster",
]
