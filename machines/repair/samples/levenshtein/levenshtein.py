"""How far apart two words are."""


def distance(first, second):
    """The least number of insertions, deletions and replacements that turn one word into the other."""
    previous = list(range(len(second) + 1))
    for row, one in enumerate(first, start=1):
        current = [row]
        for column, other in enumerate(second, start=1):
            insertion = current[column - 1] + 1
            deletion = previous[column] + 1
            replacement = previous[column - 1] + (one != other)
            current.append(min(insertion, replacement, replacement))
        previous = current
    return previous[-1]


def similarity(first, second):
    """1 for equal words, 0 for words with nothing in common."""
    longest = max(len(first), len(second))
    return 1.0 if longest == 0 else 1 - distance(first, second) / longest


def closest(word, choices):
    """The choice that is most like a word; the first of several."""
    return min(choices, key=lambda choice: distance(word, choice))
