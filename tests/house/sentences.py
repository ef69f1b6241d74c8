"""Where a sentence ends, and how many words it has."""

import re

ABBREVIATIONS = {
    "al.", "approx.", "cf.", "ch.", "e.g.", "ed.", "eds.", "eq.", "eqs.", "etc.", "fig.", "figs.",
    "i.e.", "no.", "p.", "pp.", "resp.", "sec.", "st.", "vol.", "vs.",
}  # fmt: skip
SYMBOL = re.compile(r"[^\W\d_]?['′²³ᵀ*]*|[\d.,×/^−+%²³⁰-⁹]+")  # one letter, or a number
OPERATOR = re.compile(r"[=+−·×*/<>≤≥≈→←±∈Σ∑∏√‖|^~≡]+")
SENTENCE_END = re.compile(r"[.!?][)\]”’\"'*_]*$")


def plain(text: str) -> str:
    """Return text without its markup: a literal is one word, a link is its words."""
    text = re.sub(r":\w+:(`[^`]+`)", r"\1", text)
    text = re.sub(r"(`+)(.+?)\1", lambda found: "`" + "_".join(found[2].split()) + "`", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"https?://\S+?(?=[.,;:)]*(\s|$))", "link", text).replace("**", "")


def sentences(text: str) -> list[str]:
    """Return the sentences of a paragraph."""
    tokens, found, begun = plain(text).split(), [], 0
    for number in range(len(tokens)):
        if ends_sentence(tokens, number):
            found.append(" ".join(tokens[begun : number + 1]))
            begun = number + 1
    return [*found, *([" ".join(tokens[begun:])] if begun < len(tokens) else [])]


def ends_sentence(tokens: list[str], number: int) -> bool:
    """Tell whether a sentence ends with this token: a stop that belongs to no abbreviation."""
    token = tokens[number]
    after = tokens[number + 1] if number + 1 < len(tokens) else ""
    stop = SENTENCE_END.search(token)
    if not stop or "..." in token:
        return False
    word = token[: stop.start() + 1].lstrip("([“‘\"'*_")
    if word.lower() in ABBREVIATIONS:
        return word.lower() == "etc." and after[:1].isupper()
    return not is_initial(word, after, tokens[number - 1] if number else "")


def is_initial(word: str, after: str, before: str) -> bool:
    """Tell an initial, as in "by A. van den Oord", from a letter that ends a sentence."""
    if not re.fullmatch(r"[A-Z]\.", word) or not after:
        return False
    opens = not before or before.lower() in {"by", "and", "of"} or before.endswith((",", "&"))
    return (opens and before.lower() != "of") or bool(re.fullmatch(r"[A-Z]\.", before))


def count_words(sentence: str) -> int:
    """Return how many words a sentence has; an equation, however long, is one."""
    count, run, operators = 0, 0, 0
    calls = re.sub(r"\b\w+\([^()]*\)", lambda call: "".join(call[0].split()), sentence)
    for token in [*calls.split(), "end"]:
        bare = token.strip(".,;:!?()[]{}“”‘’\"'*_—–…")
        operator = bool(OPERATOR.fullmatch(token.strip(".,;:()[]{}")))
        # "a" and "I" are words
        if operator or (bare and bare not in "aAI" and SYMBOL.fullmatch(bare)):
            run, operators = run + (not operator), operators + operator
            if not token.endswith((",", ";", ":")):
                continue
            bare = ""
        count += 1 if operators and run else run
        run = operators = 0
        count += any(letter.isalnum() or letter == "`" for letter in bare)
    return count - 1
