"""How the benchmarks measure: in turns, the shortest time of each."""

import importlib.util
import time

import numpy as np

PEERS = {
    name: importlib.util.find_spec(name) is not None
    for name in ("scipy", "torch", "torchdiffeq", "autograd", "mygrad", "diffrax")
}


def missing(*names):
    """Say which peers are not installed."""
    return "".join([f"; {name} is missing" for name in names if not PEERS[name]])


def fastest(functions, seconds=3.0):
    """Call the functions in turns, for about that long; return the shortest time of each."""
    best = [np.inf] * len(functions)
    for f in functions:
        f()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for i, f in enumerate(functions):
            n = 1
            while True:
                start = time.perf_counter()
                for _ in range(n):
                    f()
                elapsed = time.perf_counter() - start
                best[i] = min(best[i], elapsed / n)
                if elapsed > 0.01:
                    break
                n *= 4
    return best
