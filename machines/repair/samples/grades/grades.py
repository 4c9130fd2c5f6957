"""Letter grades for examination scores."""

BANDS = [(90, "A"), (80, "B"), (70, "C"), (60, "D")]


def letter(score):
    """The grade for a score from 0 to 100; a band begins at its lower limit."""
    if score < 0 or score > 100:
        raise ValueError(f"no such score: {score}")
    for limit, grade in BANDS:
        if score > limit:
            return grade
    return "F"


def summary(scores):
    """How many students got each grade."""
    counts = {}
    for score in scores:
        grade = letter(score)
        counts[grade] = counts.get(grade, 0) + 1
    return counts


def passed(scores):
    """The share of scores that are not an F."""
    if not scores:
        return 0.0
    good = [score for score in scores if letter(score) != "F"]
    return len(good) / len(scores)
