"""How each function that has a rule is called.

The tables of `test_rules`, and of the tests of programs.
"""

import operator

import numpy as np


def name(function):
    return f"{getattr(getattr(function, '__self__', None), '__name__', '')}.{function.__name__}"


UNARY = {  # function: the interval that arguments are drawn from, inside which it is smooth
    np.negative: (-2, 2),
    np.positive: (-2, 2),
    np.absolute: (0.2, 2),
    np.fabs: (-2, -0.2),
    np.reciprocal: (0.5, 2),
    np.square: (-2, 2),
    np.sqrt: (0.5, 3),
    np.cbrt: (0.5, 3),
    np.exp: (-2, 2),
    np.exp2: (-2, 2),
    np.expm1: (-2, 2),
    np.log: (0.5, 3),
    np.log2: (0.5, 3),
    np.log10: (0.5, 3),
    np.log1p: (-0.5, 2),
    np.sin: (-3, 3),
    np.cos: (-3, 3),
    np.tan: (-1, 1),
    np.arcsin: (-0.7, 0.7),
    np.arccos: (-0.7, 0.7),
    np.arctan: (-2, 2),
    np.sinh: (-2, 2),
    np.cosh: (-2, 2),
    np.tanh: (-2, 2),
    np.arcsinh: (-2, 2),
    np.arccosh: (1.5, 3),
    np.arctanh: (-0.7, 0.7),
    np.degrees: (-2, 2),
    np.rad2deg: (-2, 2),
    np.radians: (-2, 2),
    np.deg2rad: (-2, 2),
    np.conjugate: (-2, 2),
    np.real: (-2, 2),
    np.real_if_close: (-2, 2),
    np.sinc: (-3, 3),
    np.nan_to_num: (-2, 2),
    np.modf: (1.1, 1.9),
    np.frexp: (1.1, 1.9),
    np.copy: (-2, 2),
}
BINARY = {  # function: the intervals of both arguments
    np.add: ((-2, 2), (-2, 2)),
    np.subtract: ((-2, 2), (-2, 2)),
    np.multiply: ((-2, 2), (-2, 2)),
    np.divide: ((-2, 2), (0.5, 2)),
    np.power: ((0.5, 2), (-2, 2)),
    np.float_power: ((0.5, 2), (-2, 2)),
    np.remainder: ((2.1, 2.8), (0.95, 1.0)),
    np.fmod: ((-2.8, -2.1), (0.95, 1.0)),
    np.divmod: ((2.1, 2.8), (0.95, 1.0)),
    np.logaddexp: ((-2, 2), (-2, 2)),
    np.logaddexp2: ((-2, 2), (-2, 2)),
    np.arctan2: ((0.5, 2), (-2, 2)),
    np.hypot: ((0.5, 2), (0.5, 2)),
    np.copysign: ((-2, -0.5), (0.5, 2)),
    np.heaviside: ((0.5, 2), (-2, 2)),
}
CHOOSING = [np.maximum, np.minimum, np.fmax, np.fmin]
REDUCTIONS = [
    np.sum,
    np.prod,
    np.max,
    np.amax,
    np.min,
    np.amin,
    np.mean,
    np.var,
    np.std,
    np.ptp,
    np.median,
    np.average,
    np.nansum,
    np.nanprod,
    np.nanmean,
    np.nanvar,
    np.nanstd,
    np.nanmax,
    np.nanmin,
    np.nanmedian,
]
METHODS_OF_UFUNCS = [
    np.add.reduce,
    np.multiply.reduce,
    np.maximum.reduce,
    np.minimum.reduce,
    np.fmax.reduce,
    np.fmin.reduce,
    np.logaddexp.reduce,
    np.add.accumulate,
    np.multiply.accumulate,
]
T = 0.025  # in the middle between two of what `spaced` draws
w = lambda *shape: np.random.default_rng(1).normal(size=shape)
ARRAYS = {  # function: how it is used on an array of one to three axes, i being one of them
    # shapes
    np.reshape: lambda x, i: np.reshape(x, x.shape[::-1], order="F"),
    np.ravel: lambda x, i: np.ravel(x, order="F") * np.ravel(x),
    np.transpose: lambda x, i: np.transpose(x, np.roll(range(x.ndim), i)),
    np.swapaxes: lambda x, i: np.swapaxes(x, i, 0),
    np.moveaxis: lambda x, i: np.moveaxis(x, i, -1),
    np.rollaxis: lambda x, i: np.rollaxis(x, i),
    np.matrix_transpose: lambda x, i: np.matrix_transpose(np.atleast_2d(x)),
    np.linalg.matrix_transpose: lambda x, i: np.linalg.matrix_transpose(np.atleast_2d(x)),
    np.expand_dims: lambda x, i: np.expand_dims(x, (i, -1) if i else -2),
    np.squeeze: lambda x, i: np.squeeze(np.expand_dims(x, i), i),
    np.broadcast_to: lambda x, i: np.broadcast_to(x, (2, *x.shape)),
    np.broadcast_arrays: lambda x, i: np.broadcast_arrays(x, x[:1] ** 2, 2.0),
    np.flip: lambda x, i: np.flip(x, i) * np.flip(x),
    np.fliplr: lambda x, i: np.fliplr(np.atleast_2d(x)),
    np.flipud: lambda x, i: np.flipud(x),
    np.roll: lambda x, i: np.roll(x, 2, axis=i) * np.roll(x, -1),
    np.rot90: lambda x, i: np.rot90(np.atleast_2d(x), 3),
    np.astype: lambda x, i: np.astype(x, x.dtype),
    np.atleast_1d: lambda x, i: np.atleast_1d(x, x.sum()),
    np.atleast_2d: lambda x, i: np.atleast_2d(x),
    np.atleast_3d: lambda x, i: np.atleast_3d(x),
    np.full_like: lambda x, i: np.full_like(x, np.sum(x)),
    np.tile: lambda x, i: np.tile(x, (2, 1 + i % 2)),
    np.repeat: lambda x, i: np.repeat(x, np.arange(1, 1 + x.shape[i]), axis=i),
    np.resize: lambda x, i: np.resize(x, (2, 5)),
    np.pad: lambda x, i: np.pad(
        x, ((1, 2),) + ((0, 1),) * (x.ndim - 1), "constant", constant_values=3
    ),
    np.tril: lambda x, i: np.tril(np.atleast_2d(x), i),
    np.triu: lambda x, i: np.triu(np.atleast_2d(x), i),
    np.diag: lambda x, i: (
        np.diag(x[(0,) * (x.ndim - 1)], i),
        np.diag(np.atleast_2d(x[(0,) * (x.ndim - 2)])),
    ),
    np.diagflat: lambda x, i: np.diagflat(x, i),
    np.diagonal: lambda x, i: np.diagonal(np.atleast_2d(x), i % 2),
    np.linalg.diagonal: lambda x, i: np.linalg.diagonal(np.atleast_2d(x), offset=i % 2),
    np.lib.stride_tricks.sliding_window_view: lambda x, i: np.lib.stride_tricks.sliding_window_view(
        x, x.shape[i], axis=i
    ),
    # joining and cutting
    np.concatenate: lambda x, i: (
        np.concatenate([x, w(*x.shape), x * x], axis=i),
        np.concatenate((x, x), axis=None),
    ),
    np.stack: lambda x, i: np.stack([x, x * x, w(*x.shape)], axis=i),
    np.hstack: lambda x, i: np.hstack([x, x * x]),
    np.vstack: lambda x, i: np.vstack([x, x * x]),
    np.dstack: lambda x, i: np.dstack([x, x * x]),
    np.column_stack: lambda x, i: np.column_stack([x, x * x]),
    np.block: lambda x, i: np.block([[x, x * x], [w(*x.shape), x]]),
    np.append: lambda x, i: (np.append(x, x * x, axis=i), np.append(x, [1.0, 2.0])),
    np.insert: lambda x, i: (
        np.insert(x, 0, 5.0, axis=i),
        np.insert(x, [0, x.size], x.ravel()[:1]),
    ),
    np.delete: lambda x, i: np.delete(x, 0, axis=i),
    np.split: lambda x, i: (np.split(np.stack([x, x * x]), 2), np.split(x, [1], axis=i)),
    np.array_split: lambda x, i: np.array_split(x, 2, axis=i),
    np.hsplit: lambda x, i: np.hsplit(x, [1]),
    np.vsplit: lambda x, i: np.vsplit(np.atleast_2d(x), 1),
    np.dsplit: lambda x, i: np.dsplit(np.atleast_3d(x), [1]),
    np.meshgrid: lambda x, i: np.meshgrid(
        x.ravel(), x.ravel()[:2] ** 2, indexing=("ij", "xy")[i % 2]
    ),
    # choosing elements
    operator.getitem: (
        lambda x, i: (
            x[..., ::-1] * x[[0, 0, -1]][:1]
            + x[x > T].sum()
            + x[(0,) * x.ndim]
            + x[None, ..., [-1]][0]
        )
    ),
    np.take: lambda x, i: (np.take(x, [0, 0, -1], axis=i), np.take(x, 0)),
    np.take_along_axis: lambda x, i: np.take_along_axis(x, np.argsort(x, axis=i), axis=i),
    np.compress: lambda x, i: np.compress([True], x, axis=i),
    np.extract: lambda x, i: np.extract(x > T, x),
    np.choose: lambda x, i: np.choose(np.arange(x.shape[-1]) % 2, [x, x * x]),
    np.select: lambda x, i: (
        np.select([x > 0.325, x > T], [x, x * x]),
        np.select([x > T], [x], np.exp(x)),
        np.select([x > T], [x], 2.0),
    ),
    np.where: lambda x, i: np.where(x > T, x * x, 3.0) + np.where(x > T, 1.0, x),
    np.clip: lambda x, i: np.clip(x, -0.175, 0.225) + np.clip(x, None, x.sum() + 20),
    np.sort: lambda x, i: (np.sort(x, axis=i), np.sort(x, axis=None)),
    np.partition: lambda x, i: np.partition(x, x.shape[i] // 2, axis=i),
    np.bincount: (
        lambda x, i: np.bincount(np.arange(x.size) // 2, x.ravel(), minlength=4).astype(x.dtype)
    ),
    # sums, differences and integrals
    np.cumsum: lambda x, i: (np.cumsum(x, axis=i), np.cumsum(x)),
    np.cumprod: lambda x, i: (np.cumprod(x, axis=i), np.cumprod(x)),
    np.nancumsum: lambda x, i: (np.nancumsum(x, axis=i), np.nancumsum(x)),
    np.nancumprod: lambda x, i: (np.nancumprod(x, axis=i), np.nancumprod(x)),
    np.quantile: lambda x, i: np.quantile(x, 0.3, axis=i),
    np.percentile: lambda x, i: np.percentile(x, 71.0, axis=i, keepdims=True),
    np.nanquantile: lambda x, i: np.nanquantile(x, 0.3, axis=i),
    np.nanpercentile: lambda x, i: np.nanpercentile(x, 71.0, axis=i, keepdims=True),
    np.trace: lambda x, i: np.trace(np.atleast_2d(x), i % 2),
    np.linalg.trace: lambda x, i: np.linalg.trace(np.atleast_2d(x), offset=i % 2),
    np.diff: lambda x, i: (
        np.diff(x, axis=i),
        np.diff(np.stack([x, x * x, x], axis=i), 2, axis=i),
        np.diff(x, axis=i, prepend=0, append=x * x),
    ),
    np.gradient: lambda x, i: np.gradient(
        np.concatenate([x, x * x, x[:1]]), 0.5, axis=0, edge_order=1 + i % 2
    ),
    np.trapezoid: lambda x, i: (np.trapezoid(x, dx=0.5, axis=i), np.trapezoid(x, x**3, axis=i)),
    np.interp: lambda x, i: np.interp(
        x, np.linspace(-1.0, 1.0, 21) + T, np.linspace(1, 2, 21) ** 2
    ),
    np.linspace: lambda x, i: (
        np.linspace(x, 2.0, 4),
        np.linspace(0, x, 3, endpoint=False, axis=-1),
        np.linspace(x, 1, 1),
    ),
    np.unwrap: lambda x, i: np.unwrap(9 * x, axis=i),
    np.polyval: lambda x, i: np.polyval([2.0, -1.0, 3.0], x) + np.polyval(x.ravel()[:3], 0.5),
    # products
    np.matmul: lambda x, i: np.matmul(x, w(x.shape[-1], 2)),
    np.dot: lambda x, i: (
        np.dot(x, x[(0,) * (x.ndim - 1)]),
        np.dot(2.0, x),
        np.dot(x, w(2, x.shape[-1], 2)),
    ),
    np.vdot: lambda x, i: np.vdot(x, x),
    np.inner: lambda x, i: (np.inner(x, x), np.inner(x, 3.0)),
    np.outer: lambda x, i: np.outer(x, x),
    np.tensordot: lambda x, i: (
        np.tensordot(x, x, (i, i)),
        np.tensordot(x, x, x.ndim),
        np.tensordot(x, x, 0),
    ),
    np.einsum: lambda x, i: np.einsum("...i,...i->...", x, x),
    np.kron: lambda x, i: np.kron(x, w(2, 2)) + np.kron(w(2, 2), x),
    np.cross: lambda x, i: np.cross(x[..., :1] * w(3), np.exp(x[..., :1]) * np.arange(1, 4)),
    np.linalg.cross: lambda x, i: np.linalg.cross(
        x[..., :1] * w(3), np.exp(x[..., :1]) * np.arange(1, 4)
    ),
    np.convolve: lambda x, i: np.convolve(x.ravel(), x.ravel()[:2], ("full", "same", "valid")[i]),
    np.correlate: lambda x, i: np.correlate(x.ravel(), x.ravel()[:2], ("full", "same", "valid")[i]),
    np.vecdot: lambda x, i: np.vecdot(x, np.exp(x), axis=i),
    np.linalg.vecdot: lambda x, i: np.linalg.vecdot(x, np.exp(x), axis=i),
    np.linalg.outer: lambda x, i: np.linalg.outer(x.ravel(), x.ravel()),
    np.linalg.tensordot: lambda x, i: np.linalg.tensordot(x, x, axes=(i, i)),
    np.linalg.matmul: lambda x, i: np.linalg.matmul(np.atleast_2d(x), w(x.shape[-1], 2)),
    np.linalg.multi_dot: lambda x, i: np.linalg.multi_dot(
        [np.atleast_2d(x)[(0,) * (x.ndim - 2)], w(x.shape[-1], 4), w(4, 2), w(2)][i:]
    ),
    np.linalg.vector_norm: lambda x, i: (
        np.linalg.vector_norm(x),
        np.linalg.vector_norm(x, axis=i, keepdims=True, ord=4),
        np.linalg.vector_norm(x, ord=None),
    ),
}
MATRICES = {  # function: how it is used on a stack of well-conditioned matrices
    np.linalg.inv: np.linalg.inv,
    np.linalg.det: np.linalg.det,
    np.linalg.slogdet: np.linalg.slogdet,
    np.linalg.solve: lambda a: (
        np.linalg.solve(a, a[..., :1] ** 2),
        np.linalg.solve(a, w(a.shape[-1])),
    ),
    np.linalg.matrix_power: lambda a: tuple(np.linalg.matrix_power(a, n) for n in (-2, 0, 1, 5)),
    np.linalg.cholesky: lambda a: (np.linalg.cholesky(a), np.linalg.cholesky(a, upper=True)),
    np.linalg.eigh: lambda a: (np.linalg.eigh(a), np.linalg.eigh(a, "U")),
    np.linalg.eigvalsh: lambda a: (np.linalg.eigvalsh(a), np.linalg.eigvalsh(a, "U")),
    np.linalg.svd: lambda a: (
        np.linalg.svd(a),
        np.linalg.svd(a[..., :2, :], full_matrices=False),
        np.linalg.svd(a[..., :1], False),
    ),
    np.linalg.svdvals: np.linalg.svdvals,
    np.linalg.pinv: lambda a: (
        np.linalg.pinv(a),
        np.linalg.pinv(a[..., :1]),
        np.linalg.pinv(a[..., :2, :]),
    ),
    np.linalg.matrix_norm: lambda a: tuple(
        np.linalg.matrix_norm(a + 0.6, ord=ord)
        for ord in ("fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf)
    ),
    np.linalg.norm: lambda a: np.linalg.norm(a, 2, axis=(0, -1), keepdims=True),
}
ELSEWHERE = {np.ldexp}
if hasattr(np, "matvec"):
    ARRAYS[np.matvec] = lambda x, i: np.matvec(np.exp(x[..., None, :] + x[..., None]), x)
    ARRAYS[np.vecmat] = lambda x, i: np.vecmat(x, np.exp(x[..., None, :] - x[..., None]))
if hasattr(np, "unstack"):
    ARRAYS[np.unstack] = lambda x, i: np.unstack(x, axis=i)


# functions without a derivative: how they are used, if not on one array of three numbers
ON_THE_VALUE = {
    np.less: lambda x: np.less(x, 0.5),
    np.less_equal: lambda x: np.less_equal(0.5, x),
    np.greater: lambda x: np.greater(x, x[::-1]),
    np.greater_equal: lambda x: np.greater_equal(x, 0.5),
    np.equal: lambda x: np.equal(x, x[1]),
    np.not_equal: lambda x: np.not_equal(x, x[1]),
    np.logical_and: lambda x: np.logical_and(x, [1, 0, 1]),
    np.logical_or: lambda x: np.logical_or(x, 0),
    np.logical_xor: lambda x: np.logical_xor(x, x),
    np.floor_divide: lambda x: np.floor_divide(x, 0.2),
    np.round: lambda x: np.round(x, 1),
    np.around: lambda x: np.around(x, 1),
    np.isclose: lambda x: np.isclose(x, x[0]),
    np.allclose: lambda x: np.allclose(x, x),
    np.array_equal: lambda x: np.array_equal(x, x),
    np.array_equiv: lambda x: np.array_equiv(x, x[0]),
    np.isin: lambda x: np.isin(x, x[:1]),
    np.argpartition: lambda x: np.argpartition(x, 1)[1],
    np.searchsorted: lambda x: np.searchsorted([0.0, 0.5, 1.0], x),
    np.digitize: lambda x: np.digitize(x, [0.0, 0.5, 1.0]),
    np.lexsort: lambda x: np.lexsort((x, -x)),
    np.diag_indices_from: lambda x: np.diag_indices_from(np.outer(x, x)),
    np.tril_indices_from: lambda x: np.tril_indices_from(np.outer(x, x)),
    np.triu_indices_from: lambda x: np.triu_indices_from(np.outer(x, x), 1),
    np.empty_like: lambda x: np.empty_like(x).shape,
    np.result_type: lambda x: np.result_type(x, np.float32),
    np.can_cast: lambda x: np.can_cast(x.dtype, int),
    np.common_type: lambda x: np.common_type(x, x),
    np.shares_memory: lambda x: np.shares_memory(x, np.ones(3)),
    np.may_share_memory: lambda x: np.may_share_memory(x, np.ones(3)),
    np.min_scalar_type: lambda x: np.min_scalar_type(x[0]),
    np.linalg.matrix_rank: lambda x: np.linalg.matrix_rank(np.outer(x, x)),
}
