"""The derivatives: for each NumPy function, how a cotangent goes back through it.

What a rule is given and returns
--------------------------------
``rule(function, *vjps)`` registers one vector-Jacobian product (VJP) for each array operand. A VJP
is called as

    vjp(g, y, *args, **kwargs)

where g is the cotangent of the result y = function(*args, **kwargs). It returns the cotangent of
its operand: for y = f(x) this is g^T df/dx, found without forming df/dx. It is NumPy code, so the
engine differentiates it again for second derivatives. It may return the cotangent in the shape to
which the operand was broadcast, and with length 1 for an axis along which it is constant;
`tinyode.autodiff.tape.fit` sums and broadcasts. None in place of a VJP says that there is no
derivative. A function of any number of arrays, such as `np.concatenate`, has one function for all
of them (`table.joint`).

Two derivations
---------------
*tanh.* The function is elementwise, so its Jacobian J is diagonal. The result y is known already,
and the rule uses it:

    dy/dx = 1 - tanh(x)^2 = 1 - y^2
    g^T J = g (1 - y^2)

    rule(np.tanh, lambda g, y, x: g * (1 - y * y))

*matmul.* Y = A B. With <P, Q> = trace(P^T Q), a change dA changes the loss by

    <G, dY> = <G, dA B> = trace(G^T dA B) = trace(B G^T dA) = <G B^T, dA>

What stands beside dA is its cotangent: G B^T. In the same way B gets A^T G (Giles, "An extended
collection of matrix derivative results for forward and reverse mode algorithmic differentiation",
2008, section 2.2).

Where to look
-------------
    elementwise    arithmetic, exp, sin, tanh and their kin; where, maximum, clip
    reductions     sum, mean, max, var, cumsum and their kin, over axes
    shapes         reshape, transpose, concatenate, stack, split
    indexing       x[...], sort, and all functions that only move elements
    products       matmul, dot, tensordot, einsum
    linalg         solve, inv, trace, det, norm
    more/          what one meets less often: `special` elementwise functions, `statistics`,
                   `calculus` on grids, `layout` (pad, meshgrid), `bilinear` products,
                   `factorisations` (eigh, svd, cholesky), `norms`

How to add a rule
-----------------
Choose the file in which a reader would look, and write there one of three:

* ``rule(function, vjp)``, if it has a derivative of its own;
* ``@derives(function)`` above a function that writes it in terms of others, as `np.mean` is
  `np.sum` divided by a count. It then needs no VJP;
* its name in ``no_derivative("...")``, if it is computed on the values, as `np.argmax` is.

`table` has these three. Check the rule with `tinyode.testing.check_vjp`.
"""
