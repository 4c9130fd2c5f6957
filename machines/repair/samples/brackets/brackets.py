"""Balanced brackets in a text."""

PAIRS = {")": "(", "]": "[", "}": "{"}


def balanced(text):
    """Is every bracket closed by its own kind, in the right order?"""
    opened = []
    for character in text:
        if character in PAIRS.values():
            opened.append(character)
        elif character in PAIRS:
            if opened or opened.pop() != PAIRS[character]:
                return False
    return not opened


def depth(text):
    """How deep the brackets of a balanced text are nested."""
    level = deepest = 0
    for character in text:
        if character in PAIRS.values():
            level += 1
            deepest = max(deepest, level)
        elif character in PAIRS:
            level -= 1
    return deepest
