r"""Formulas as text that a terminal can show: Greek letters, subscripts, fractions on one line.

`readable` turns TeX that is simple into Unicode, ``$\frac{dy}{dt} = f(t, y_0)$`` into
``dy/dt = f(t, y₀)``. Where a formula is more than that it stays TeX. A terminal whose encoding does
not have the letters gets all of it as TeX.
"""

import re
import unicodedata

GREEK = """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau
upsilon phi chi psi omega""".split()
SIGNS = {
    "partial": "∂", "int": "∫", "sum": "∑", "prod": "∏", "infty": "∞", "nabla": "∇",
    "cdot": "·", "times": "×", "odot": "⊙", "circ": "∘", "pm": "±", "le": "≤", "ge": "≥",
    "leq": "≤", "geq": "≥", "lt": "<", "gt": ">", "ne": "≠", "neq": "≠", "approx": "≈", "sim": "~",
    "in": "∈", "to": "→", "rightarrow": "→", "longrightarrow": "→", "mapsto": "↦", "gets": "←",
    "leftarrow": "←", "Rightarrow": "⇒", "Longrightarrow": "⇒", "dots": "…", "ldots": "…",
    "cdots": "⋯", "langle": "⟨", "rangle": "⟩", "lbrace": "{", "rbrace": "}", "Vert": "‖",
    "vert": "|", "mid": "|", "ell": "ℓ", "varepsilon": "ε", "quad": "  ", "qquad": "    ",
    "ast": "*", "dagger": "†", "prime": "′", "colon": ":", "log": "log", "exp": "exp", "sin": "sin",
    "cos": "cos", "tan": "tan", "tanh": "tanh", "max": "max", "min": "min", "det": "det",
    "lim": "lim", "ln": "ln", "lVert": "‖", "rVert": "‖", "forall": "∀", "cup": "∪", "cap": "∩",
}  # fmt: skip
ALPHABETS = {"R": "ℝ", "N": "ℕ", "Z": "ℤ", "C": "ℂ", "E": "𝔼"}
RAISED = dict(
    zip(
        "0123456789+-=()abcdefghijklmnoprstuvwxyzTNMLd",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᴺᴹᴸᵈ",
    )
)
LOWERED = dict(zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"))
ACCENTS = {"dot": "\u0307", "hat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
FONTS = {"mathbf", "boldsymbol", "mathrm", "mathcal", "mathit", "text", "operatorname"}
SIZES = {"left", "right", "big", "Big", "bigg", "Bigg", "displaystyle", "limits", "nolimits"}
TOKEN = re.compile(r"\\([a-zA-Z]+)\s*|\\(.)|(\s+)|(.)", re.S)
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+?)\$", re.S)
# What needs no brackets above the bar of a fraction (hM, ∂²f), and below it (2, dt, ∂x₁, z(t))
FACTORS = re.compile(r"[^\s/+\-=·|]+")
FACTOR = re.compile(r"\d+|[d∂]?[²³]?\w[⁰-⁹²³₀-₉ᵢⱼₙ₊₋ₜ]*(_\w)?(\([^\s()]*\))?")
END = "\0"


class NotSimple(Exception):
    """A formula that is more than one line of text."""


def readable(text, encoding="utf-8"):
    """Return Markdown with its formulas as text, as far as they are simple.

    Parameters
    ----------
    text : str
    encoding : str
        Of the terminal. What it cannot show stays TeX.
    """

    def shown(match):
        display, tex = match[1] is not None, match[1] or match[2]
        try:
            found = as_text(tex)
            found.encode(encoding)
        except (NotSimple, UnicodeEncodeError):
            return match[0]
        return f"\n    {found}\n" if display else found

    return re.sub(r"\n{3,}", "\n\n", FORMULA.sub(shown, text))


def as_text(tex):
    """Return a formula as one line of text.

    Raises
    ------
    NotSimple
        If it has rows, a brace under it, or a sign that is not in the tables above.
    """
    tokens = [match for match in TOKEN.finditer(tex)][::-1]
    found = _until(tokens, END)
    return re.sub(r" +([,.;:)])", r"\1", re.sub(r"(?<=\S) +", " ", found)).strip()


def _until(tokens, last):
    """Return the text of the tokens up to a closing brace, or to the end."""
    parts = []
    while tokens:
        if tokens[-1][4] == "}":
            if last != "}":
                raise NotSimple
            tokens.pop()
            return "".join(parts)
        parts.append(_next(tokens))
    if last != END:
        raise NotSimple
    return "".join(parts)


def _next(tokens):
    """Return the text of what stands next: a letter, a sign, a group, or a command with its own."""
    if not tokens:
        raise NotSimple
    token = tokens.pop()
    name, escaped, space, letter = token.groups()
    if name:
        return _command(name, token[0], tokens)
    if escaped:
        if escaped == "\\":  # a new row
            raise NotSimple
        return {",": "", "!": "", ";": " ", ":": " ", "|": "‖"}.get(escaped, escaped)
    if space or letter == "&":
        return " "
    if letter == "{":
        return _until(tokens, "}")
    if letter in "_^":
        return _script(letter, _argument(tokens))
    return {"'": "′", "*": "*"}.get(letter, letter)


def _argument(tokens):
    """Return the text of what a command or a subscript takes."""
    while tokens and tokens[-1][3]:
        tokens.pop()
    return _next(tokens).strip()


def _command(name, written, tokens):
    """Return the text of a command."""
    space = " " if written[-1].isspace() else ""
    if name in SIGNS:
        return SIGNS[name] + ("" if name == "partial" else space)
    if name in SIZES:
        if tokens and tokens[-1][4] == ".":  # \left. stands for no bracket
            tokens.pop()
        return ""
    if name.lower() in GREEK:
        size = "SMALL" if name.islower() else "CAPITAL"
        letter = name.upper().replace("LAMBDA", "LAMDA")  # as Unicode spells it
        return unicodedata.lookup(f"GREEK {size} LETTER {letter}") + space
    if name in FONTS:
        return _argument(tokens)
    if name in ("frac", "tfrac", "dfrac"):
        above, below = _argument(tokens), _argument(tokens)
        return f"{_bracketed(above, FACTORS)}/{_bracketed(below, FACTOR)}"
    if name == "sqrt":
        return _root(tokens)
    if name == "mathbb":
        inner = _argument(tokens)
        return ALPHABETS.get(inner, inner)
    if name in ACCENTS:
        inner = _argument(tokens)
        accented = unicodedata.normalize("NFC", inner + ACCENTS[name])
        return accented if len(inner) == 1 else f"{name}({inner})"
    if name == "tag":
        return f"    ({_argument(tokens)})"
    raise NotSimple


def _bracketed(text, enough):
    """Put brackets around a numerator or denominator that is more than this."""
    return text if enough.fullmatch(text) else f"({text})"


def _root(tokens):
    """Return the text of a square root or a cube root."""
    sign = "√"
    if tokens and tokens[-1][4] == "[":
        degree = "".join(token[0] for token in (tokens.pop(), tokens.pop(), tokens.pop()))
        if degree != "[3]":
            raise NotSimple
        sign = "∛"
    return f"{sign}({_argument(tokens)})"


def _script(sign, inner):
    """Return a subscript or superscript in small letters where there are such, else in brackets."""
    table, inner = LOWERED if sign == "_" else RAISED, inner.replace(" ", "")
    if inner in ("′", "*", "†", "∗"):
        return inner
    if all(letter in table for letter in inner):
        return "".join(table[letter] for letter in inner)
    return f"{sign}{inner}" if len(inner) == 1 else f"{sign}({inner})"
