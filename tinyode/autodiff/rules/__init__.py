"""The table of derivatives: for each NumPy function, how a cotangent goes back through it.

What a rule is given and must return
------------------------------------
``RULES[function]`` is a tuple with one vector-Jacobian product (VJP) per array operand, called as

    vjp(g, y, *args, **kwargs)      g: the cotangent of the result; y: the result

and returning the cotangent of that operand. For y = f(x) it computes g^T df/dx without forming
df/dx. It is NumPy code, so the engine differentiates it again for second derivatives. It may return
the cotangent in the shape to which the operand was broadcast, and with length 1 for an axis along
which it is constant: the engine sums and broadcasts, see `tinyode.autodiff.tape.fit`. ``None`` in
place of a VJP says that there is no derivative (the condition of `np.where`). A function of any
number of arrays has one function instead of the tuple, called as ``vjps(g, y, wanted, *args,
**kwargs)`` and returning the cotangents of the operands whose numbers are in ``wanted``.

Two derivations
---------------
*tanh.* y = tanh(x) elementwise, dy/dx = 1 - y^2, the Jacobian is
diagonal: g^T J = g (1 - y^2). The result is at hand, so the rule uses it: ``np.tanh: (lambda g, y,
x: g * (1 - y * y),)``.

*matmul.* Y = A B. A change dA changes Y by dA B, and the loss by <G, dA B> = trace(G^T dA B) =
trace(B G^T dA) = <G B^T, dA>. What stands beside dA is its cotangent: G B^T; in the same way A^T G
for B (Giles, "An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation", 2008, section 2.2).

Where to look
-------------
* `elementwise`: ufuncs and choices (``where``, ``clip``).
* `reductions`: sums, products, extremes, means, medians over axes, their ``nan`` forms, running
  ones, the methods of ufuncs.
* `shapes`: changing the shape, joining, cutting, padding.
* `indexing`: ``x[...]``, sorting, and all functions that only move elements, in one table.
* `calculus`: differences, integrals, interpolation on grids.
* `products`: of matrices and tensors, einsum, convolution.
* `linalg`: inverses, determinants, factorisations, norms.

A function that is a composition of others is written as one, in ``DERIVED``: ``np.mean`` is
``np.sum`` divided by a count, and has no VJP of its own. Functions without a derivative that
programs need on the way (``np.argmax``, ``np.floor``, comparisons) are in ``PLAIN`` and see the
value. To add a rule, add a line to the table of the module where a reader would look for it; to
check it, give it to `tinyode.testing.check_vjp`.
"""
