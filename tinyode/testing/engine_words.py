"""What `check_engine` says about a program on which a student's engine is wrong.

`tinyode.testing.engine_mistakes` knows the mistakes.
"""

import numpy as np

from .drawn_programs import INPUTS, Program, Refused, drawn
from .engine_answers import answer_to, expected_on, is_moderate, same, wrong_on
from .engine_mistakes import RIGHT, UNDO, explanations

OTHERS = 30  # programs that tell mistakes apart


def report(gradient, operations, wrong):
    """Raise an error that says what is wrong on a program."""
    program, found = wrong.program, wrong.found
    if isinstance(found, Refused):
        rest = tuple([operation for operation in operations if operation != found.operation])
        leave_out = f"; or check it without, with operations={rest}" if found.operation else ""
        raise AssertionError(_message(f"{found}{leave_out}", program)) from found.__cause__
    if isinstance(found, Exception):
        _raise_again(gradient, operations, program, found)
    again = wrong_on(program, gradient)
    if (
        again is None
        or isinstance(again.found, Exception)
        or not all(map(same, again.found, found))
    ):
        now = "right gradients" if again is None else again.found
        raise AssertionError(
            _message(
                f"the same program has other gradients when it is differentiated again: {found},"
                f" then {now}. Something is kept from one call to the next: a list or a dictionary"
                " outside of the function, an attribute of the class, or a default argument. Make"
                " it anew in each call",
                program,
            )
        )
    expected = expected_on(program)
    i = next(i for i, x in enumerate(expected) if not same(found[i], x))
    said = _in_words(program, *_explained(gradient, operations, program, found))
    shapes = ""
    if found[i].shape != expected[i].shape:
        shapes = f", whose shape {found[i].shape} is not that of the argument, {expected[i].shape}"
    raise AssertionError(
        _message(
            f"dL/d{INPUTS[i]} is wrong: expected {expected[i]}; got {found[i]}{shapes}.\n{said}",
            program,
        )
    )


def _explained(gradient, operations, program, found):
    """Return whether the words are certain, and the words."""
    near = {step.operation for step in program.steps}
    near |= {"sum", *(["broadcasting"] if program.broadcasts() else [])}
    others = (
        _others(operations),
        _others([operation for operation in operations if operation in near]),
    )
    return explanations(program, found, _or_none(gradient), *others, same)


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


def _message(what, program):
    return f"check_engine: {what}\nThe program:\n\n{program}\n"


def _raise_again(gradient, operations, program, error):
    """Raise the error again, or one that says what caused it, where that is found by trying."""
    answers, name = _or_none(gradient), type(error).__name__
    idle = " and ".join([f"the argument {name}" for name in program.unused()]) or "all lines"
    as_many = [other for other in _others(operations) if len(other.shapes) == len(program.shapes)]
    works = any([answers(other) is not None for other in as_many])
    if works and program.needed() != program and answers(program.needed()) is not None:
        raise AssertionError(
            _message(
                f"L does not depend on {idle}, and there your engine raised {name}: {error}. A"
                " value at which nothing arrives has the cotangent zero: begin with"
                " np.zeros_like(v.value) for it",
                program,
            )
        ) from error
    stretched = program.broadcasts()
    plain = [operation for operation in operations if operation != "broadcasting"]
    if stretched and all([answers(other) is not None for other in _others(plain)]):
        values = program.values(program.inputs())
        a, b = [np.shape(values[operand]) for operand in stretched[-1].operands]
        raise AssertionError(
            _message(
                f"`{stretched[-1]}` has operands of the shapes {a} and {b}, and your engine raised"
                f" {name}: {error}. {UNDO}; or check it without, with"
                f" operations={tuple(plain)}",
                program,
            )
        ) from error
    if hasattr(error, "add_note"):  # from Python 3.11
        error.add_note(f"check_engine: this was raised for the program\n\n{program}\n")
    raise error


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
