"""Roman numerals."""

SYMBOLS = [
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
]


def roman(number):
    """A number from 1 to 3999 in Roman numerals."""
    if not 0 < number < 3999:
        raise ValueError(f"no such numeral: {number}")
    text = ""
    for value, symbol in SYMBOLS:
        while number > value:
            text += symbol
            number -= value
    return text


def arabic(text):
    """The number that a Roman numeral means."""
    total = 0
    for value, symbol in SYMBOLS:
        while text.startswith(symbol):
            total += value
            text = text[len(symbol) + 1 :]
    if text:
        raise ValueError(f"left over: {text}")
    return total
