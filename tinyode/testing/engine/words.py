"""What `check_engine` says about a program on which a student's engine is wrong.

`report` raises the error. `explanations` compares what was found with what each of the `mistakes`
gives.
"""

import numpy as np

from .answers import answer_to, expected_on, is_moderate, same
from .mistakes import MISTAKES, RIGHT, UNDO
from .programs import INPUTS, Program, Refused, drawn
from .reverse import backwards, by_visits, made

OTHERS = 30  # programs that tell mistakes apart
LIKELY = 0.5  # a mistake is named as a possible one if it explains this share of the programs on
# which something is wrong, or would be with it


def report(gradient, operations, program, found):
    """Raise an error that says what is wrong on a program."""
    if isinstance(found, Refused):
        leave_out = f"; or check it without, with {_without(operations, found.operation)}"
        said = f"{found}{leave_out if found.operation else ''}"
        raise AssertionError(_message(said, program)) from found.__cause__
    if isinstance(found, Exception):
        _raise_again(gradient, operations, program, found)
    _check_repeatable(gradient, program, found)
    expected = expected_on(program)
    i = next(i for i, x in enumerate(expected) if not same(found[i], x))
    shapes = ""
    if found[i].shape != expected[i].shape:
        shapes = f", whose shape {found[i].shape} is not that of the argument, {expected[i].shape}"
    right, wrong = [_shown(x) for x in (expected[i], found[i])]
    said = f"dL/d{INPUTS[i]} is wrong: expected {right}; got {wrong}{shapes}."
    certain, words = explanations(program, found, _or_none(gradient), operations)
    if not words and INPUTS[i] in program.unused() and not np.any(found[i]):
        name = INPUTS[i]
        certain, words = True, [f"L does not depend on {name}; write np.zeros_like({name})"]
    elif not words and shapes and program.broadcasts():
        certain, words = True, [UNDO]
    raise AssertionError(_message(f"{said}\n{_in_words(program, certain, words)}", program))


def _without(operations, operation):
    """Return how to check an engine that lacks an operation."""
    lost = {"sum", "@", "broadcasting"} if operation == "sum" else {operation}
    return f"operations={tuple([o for o in operations if o not in lost])}"


def _check_repeatable(gradient, program, found):
    """Raise AssertionError if the engine finds something else when it is called again."""
    again = _or_none(gradient)(program)
    if again is None or not all(map(same, again, found)):
        first, second = [
            "an error" if gradients is None else ", ".join(map(_shown, gradients))
            for gradients in (found, again)
        ]
        raise AssertionError(
            _message(
                f"the same program has other gradients when it is differentiated again: {first},"
                f" then {second}. Something is kept from one call to the next: a list or a"
                " dictionary outside of the function, an attribute of the class, or a default"
                " argument. Make it anew in each call",
                program,
            )
        )


def _operations_of(program, operations):
    """Return the operations that a program has."""
    near = {step.operation for step in program.steps}
    near |= {"broadcasting"} if program.broadcasts() else set()
    return [operation for operation in operations if operation in near]


def _in_words(program, certain, words):
    if certain and len(words) == 1:
        return f"What is wrong: {words[0]}"
    if words:
        begin = "What is wrong, one of these:" if certain else "Perhaps:"
        return begin + "".join([f"\n- {word}" for word in words])
    of = dict.fromkeys([step.operation for step in program.steps])
    rules = "".join([f"\n- {RIGHT[operation]}" for operation in of])
    return (
        "No mistake that check_engine knows gives these numbers. Look at the values first (here L ="
        f" {program(*program.inputs()):.6g}), then at the rules, where g is the cotangent of out:"
        f"{rules}"
    )


def explanations(program, found, answers, operations):
    """Say what can have made these gradients; at most three ways.

    Parameters
    ----------
    program : Program
        Of which the student's engine found wrong gradients, ``found``.
    answers : function
        From a program to what the student's engine finds, or None where it raises an error.
    operations : sequence of str
        What the engine can do.

    Returns
    -------
    certain : bool
        Whether the words explain what is found on all larger programs. There may be a mistake in
        another operation, too. So it is enough if they do with the operations of ``program``
        alone, and with at least half of those that have one operation more.
    words : list of str
    """
    styles = [
        {"walk": walk, "start": zero} for walk in (backwards, by_visits) for zero in (None, 0.0)
    ]
    changes = [
        (words, {**style, **change})
        for words, change in [*MISTAKES, *_wrong_seed(program, found)]
        for style in styles
    ]
    matching = [(words, change) for words, change in changes if _gives(change, program, found)]
    answered = lambda some: [(other, answers(other)) for other in _others(some)]
    of_all, own = answered(operations), _operations_of(program, operations)
    near = [(program, found), *answered(own)]
    further = [o for o in operations if o not in (*own, "@", "broadcasting")]
    of_one_more = [answered([o for o in operations if o in (*own, new)]) for new in further]
    scores: dict[str, tuple[bool, bool, float]] = {}
    for words, change in matching:
        explains = lambda some, change=change: [_gives(change, *one) for one in some]
        on_near = all(explains(near))
        on_near &= 2 * sum([all(explains(some)) for some in of_one_more]) >= len(further)
        share = float(np.mean(explains([one for one in near if _shows(change, *one)])))
        score = all(explains(of_all)), on_near, share
        scores[words] = max(score, scores.get(words, (False, False, 0.0)))
    likely = sorted(scores, key=lambda words: scores[words], reverse=True)
    best = scores[likely[0]] if likely else (False, False, 0.0)
    certain = best[0] or best[1]
    least = best if certain else (False, False, LIKELY)
    return certain, [words for words in likely if scores[words] >= least][:3]


def _gives(change, program, found):
    """Whether a mistake gives what was found: gradients, or None for an error."""
    try:
        with np.errstate(all="ignore"):
            gradients = made(program, program.inputs(), **change)
    except (ValueError, IndexError):  # a mistake can make shapes that do not fit
        return found is None
    return found is not None and all(map(same, found, gradients))


def _shows(change, program, found):
    """Whether something is wrong on a program, or would be with a mistake."""
    right = made(program, program.inputs())
    return not (_gives({}, program, found) and _gives(change, program, right))


def _wrong_seed(program, found):
    """Return the mistake of a seed that is not one, if all gradients have one factor."""
    right = made(program, program.inputs())
    pairs = [(x, y) for x, y in zip(found, right) if np.any(y)]
    if not pairs or any(np.shape(x) != np.shape(y) for x, y in pairs):
        return []
    factor = np.vdot(pairs[0][0], pairs[0][1]) / np.vdot(pairs[0][1], pairs[0][1])
    words = (
        f"the walk begins with dL/dL = {factor:.6g}, so every gradient is {factor:.6g} times what"
        " it should be; write cotangent[L] = np.ones_like(L.value)"
    )
    if same(factor, 0):
        words = (
            "nothing arrives; does the walk begin with dL/dL = 1, and does each operation keep its"
            " operands?"
        )
    return [(words, {"seed": lambda L: factor})]


def _shown(x):
    return np.array2string(x, precision=8) if x.ndim else f"{x:.8g}"


def _message(what, program):
    return f"check_engine: {what}\nThe program:\n\n{program}\n"


def _raise_again(gradient, operations, program, error):
    """Raise the error again, or one that says what caused it, where that is found by trying."""
    answers, name = _or_none(gradient), type(error).__name__
    as_many = [other for other in _others(operations) if len(other.shapes) == len(program.shapes)]
    works = any([answers(other) is not None for other in as_many])
    idle = _idle(program, answers) if works else []
    if idle:
        raise AssertionError(
            _message(
                f"L does not depend on {' and '.join(idle)}, and there your engine raised {name}:"
                f" {error}. A value at which nothing arrives has the cotangent zero: begin with"
                " np.zeros_like(v.value) for it",
                program,
            )
        ) from error
    stretched = program.broadcasts()
    others = _others([operation for operation in operations if operation != "broadcasting"])
    if stretched and all([answers(other) is not None for other in others]):
        values = program.values(program.inputs())
        a, b = [np.shape(values[operand]) for operand in stretched[-1].operands]
        raise AssertionError(
            _message(
                f"`{stretched[-1]}` has operands of the shapes {a} and {b}, and your engine raised"
                f" {name}: {error}. {UNDO}; or check it without, with"
                f" {_without(operations, 'broadcasting')}",
                program,
            )
        ) from error
    if hasattr(error, "add_note"):  # from Python 3.11
        error.add_note(f"check_engine: this was raised for the program\n\n{program}\n")
    raise error


def _idle(program, answers):
    """Return the names that L does not depend on, if the engine works without them."""
    without_steps = program.without_idle_steps()
    if without_steps != program and answers(without_steps) is not None:
        kept = {step.name for step in without_steps.steps}
        return [step.name for step in program.steps if step.name not in kept]
    if program.unused() and answers(program.needed()) is not None:
        return program.unused()
    return []


def _or_none(gradient):
    """Return the function from a program to the student's gradients, or None where they fail."""

    def answers(program):
        try:
            return answer_to(program, gradient)
        except Exception:
            return None

    return answers


def _others(operations):
    """Return larger programs, the same in each call."""
    rng, others = np.random.default_rng(0), list[Program]()
    while len(others) < OTHERS:
        program = drawn(lambda options: options[int(rng.integers(len(options)))], operations, 2)
        if is_moderate(program):
            others.append(program.needed())
    return others
