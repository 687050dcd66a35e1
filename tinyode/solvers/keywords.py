"""What to write here instead of the keywords of SciPy, torchdiffeq, JAX and diffrax."""

PARAMETERS = "the parameters of f follow {last} by position: {solver}({positional}, 2.0)"
F_FIRST = "f is the first argument"
TIMES = "t, the third argument, has all times at which the solution is returned, that of y0 first"
FIRST_STEP = "write first_step="
STEP_SIZE = "write step_size="
JACOBIAN = "write jacobian=, of tinyode.solve"
EVENT = "write event=, of tinyode.solve or odeint_event"
OF_SOLVE = "tinyode.solve has it"
KEYWORDS = {  # of SciPy, torchdiffeq, JAX and diffrax, and what stands for them here
    "abstol": "write atol=",
    "adjoint_options": "adjoint_method, adjoint_rtol and adjoint_atol are keywords themselves",
    "adjoint_params": PARAMETERS,
    "args": PARAMETERS,
    "dense_output": "what tinyode.solve returns is a function of time: solution(t)",
    "Dfun": JACOBIAN,
    "dt": STEP_SIZE,
    "dt0": FIRST_STEP,
    "event": "tinyode.solve and odeint_event have it",
    "event_fn": EVENT,
    "events": EVENT,
    "full_output": "what tinyode.solve returns has stats",
    "fun": F_FIRST,
    "func": F_FIRST,
    "h": STEP_SIZE,
    "h0": FIRST_STEP,
    "hmax": "write max_step=",
    "hmin": "write min_step=, of tinyode.solve",
    "jac": JACOBIAN,
    "jacobian": OF_SOLVE,
    "min_step": OF_SOLVE,
    "mxstep": "write max_steps=",
    "norm": OF_SOLVE,
    "options": "step_size, first_step, max_steps and their kin are keywords themselves",
    "p": PARAMETERS,
    "params": PARAMETERS,
    "reltol": "write rtol=",
    "saveat": TIMES,
    "solver": "write method=",
    "t_eval": TIMES,
    "t_span": TIMES,
    "tfirst": "f is called as f(t, y, *args)",
    "tol": "write rtol= and atol=",
    "ts": TIMES,
}


def instead_of(name, solver, names):
    """Say what to write instead of a keyword that a solver does not have.

    ``names`` are those of the solver's parameters.
    """
    import difflib  # seldom needed

    positional = names[: solver.__code__.co_argcount]
    advice = KEYWORDS.get(name)
    if advice and not (advice is TIMES and "t" not in positional):
        return advice.format(
            solver=solver.__name__, positional=", ".join(positional), last=positional[-1]
        )
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]}=?"
    return f"its keywords are {', '.join(names[solver.__code__.co_argcount :])}"
