"""Formulas as text."""

import cells
import pytest
from terminal import FORMULA, NotSimple, as_text, readable


@pytest.mark.parametrize(
    "tex, text",
    [
        (r"y_{n+1} = y_n + h f(t_n, y_n)", "yₙ₊₁ = yₙ + h f(tₙ, yₙ)"),
        (r"\frac{dy}{dt} = -\lambda y^2", "dy/dt = -λ y²"),
        (r"\frac{h^2}{2} M", "h²/2 M"),
        (r"\frac{hM}{2L}", "hM/(2L)"),
        (r"\frac{a + b}{c d}", "(a + b)/(c d)"),
        (r"\frac{\partial f}{\partial \mathbf z}", "∂f/∂z"),
        (r"\dot{\mathbf a}^T = -\mathbf a^T J", "ȧᵀ = -aᵀ J"),
        (r"\int_{t_0}^{t_1} f\, dt", "∫_(t₀)^(t₁) f dt"),
        (r"e^{-k t}", "e⁻ᵏᵗ"),
        (r"\Delta t \cdot \Theta", "Δ t · Θ"),
        (r"\mathbb R^N", "ℝᴺ"),
        (r"\sqrt[3]{x}, \sqrt{y}", "∛(x), √(y)"),
        (r"x = 1. \tag{G1}", "x = 1. (G1)"),
        (r"\left(\tfrac12\right)", "(1/2)"),
        (r"T_\varepsilon", "T_ε"),
        (r"a \Vert b", "a ‖ b"),
    ],
)
def test_a_simple_formula(tex, text):
    assert as_text(tex) == text


@pytest.mark.parametrize(
    "tex", [r"\begin{pmatrix} 1 \end{pmatrix}", r"a \\ b", r"\unknown", "{a", "a}"]
)
def test_more_than_a_line_stays_as_it_is(tex):
    with pytest.raises(NotSimple):
        as_text(tex)
    assert readable(f"see ${tex}$ there") == f"see ${tex}$ there"


def test_a_terminal_without_the_letters_gets_tex():
    text = "The angle $\\theta$ and $x = 1$:\n$$y = \\theta^2$$"
    assert readable(text) == "The angle θ and x = 1:\n\n    y = θ²\n"
    assert readable(text, "latin-1") == "The angle $\\theta$ and x = 1:\n$$y = \\theta^2$$"
    assert "θ" not in readable(text, "ascii")


def test_most_formulas_of_the_course_are_simple():
    count = {True: 0, False: 0}
    for path in cells.chapters().values():
        for cell in cells.read(path):
            for match in FORMULA.finditer(cell.source) if cell.is_prose else ():
                try:
                    shown = as_text(match[1] or match[2])
                    assert "\\" not in shown and "{" not in shown.replace("{", "", 1)
                    count[True] += 1
                except NotSimple:
                    count[False] += 1
    assert count[True] > 400 and count[False] < 0.02 * count[True]
