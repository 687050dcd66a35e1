"""The smallest example that fails, found by hypothesis."""

from collections.abc import Callable, Sequence
from typing import Any

from ..checks import is_whole

Choose = Callable[[Sequence[Any]], Any]  # takes one of a sequence; the first is the simplest


def hypothesis_and_strategies() -> tuple[Any, Any]:
    """Return hypothesis and hypothesis.strategies, which only those who draw need."""
    try:
        import hypothesis
        import hypothesis.strategies
    except ImportError as error:
        raise ImportError(
            "tinyode.testing draws its problems with hypothesis: pip install hypothesis"
        ) from error
    return hypothesis, hypothesis.strategies


def check_examples(checker: str, max_examples: Any) -> None:
    """Raise ValueError where this is no number of examples."""
    if not is_whole(max_examples, 1):
        raise ValueError(
            f"{checker}: max_examples={max_examples!r} must be a whole number, 1 or more"
        )


class _Found(Exception):
    """What was found, on its way out of hypothesis."""

    def __init__(self, found):
        super().__init__()
        self.found = found


def smallest_found(
    look: Callable[[Any], Any], draw: Callable[[Choose], Any], max_examples: int
) -> Any:
    """Return what ``look`` returns on the smallest example on which it returns something.

    Parameters
    ----------
    look : function
        From an example to what is wrong there, or None. An error that it returns is not touched by
        hypothesis, so that it comes out as it went in.
    draw : function
        ``draw(choose)`` makes an example with ``choose(options)``; or None, which does not count.
    max_examples : int

    Returns
    -------
    What was found, or None. If something is found on one example and not when it is looked at
    again, what was found last.
    """
    hypothesis, st = hypothesis_and_strategies()
    seen = []

    @hypothesis.settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        report_multiple_bugs=False,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    @hypothesis.given(st.data())
    def on_example(data):
        example = draw(lambda options: data.draw(st.sampled_from(options)))
        hypothesis.assume(example is not None)
        found = look(example)
        if found is not None:
            seen.append(found)
            raise _Found(found)

    try:
        on_example()
    except _Found as error:
        return error.found
    except hypothesis.errors.Flaky:
        return seen[-1]
    return None
