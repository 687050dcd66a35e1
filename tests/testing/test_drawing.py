"""The smallest example that fails."""

from tinyode.testing.drawing import smallest_found


def test_the_smallest_example_is_found():
    draw = lambda choose: (choose(range(50)), choose("abc"))
    assert smallest_found(lambda x: x if x[0] > 7 else None, draw, 100) == (8, "a")
    assert smallest_found(lambda x: None, draw, 20) is None


def test_examples_that_do_not_count_are_not_looked_at():
    even = lambda choose: n if (n := choose(range(50))) % 2 == 0 else None
    looked_at = []
    assert smallest_found(looked_at.append, even, 20) is None
    assert looked_at and all(n % 2 == 0 for n in looked_at)


def test_what_is_found_once_is_returned():
    calls = []

    def first_time_only(x):
        calls.append(x)
        return "found" if len(calls) == 3 else None

    assert smallest_found(first_time_only, lambda choose: choose(range(50)), 20) == "found"


def test_an_error_that_is_found_is_left_as_it_is():
    error = KeyError("mine")
    assert smallest_found(lambda x: error, lambda choose: choose("ab"), 5) is error
    assert not getattr(error, "__notes__", []) and error.__traceback__ is None
