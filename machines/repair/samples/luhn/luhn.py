"""Check digits of card numbers."""


def digits(number):
    """The digits of a number written with spaces or dashes."""
    return [int(character) for character in number if character.isdigit()]


def checksum(number):
    """The sum of all digits, every second one from the right doubled and reduced to one digit."""
    total = 0
    for place, digit in enumerate(reversed(digits(number))):
        if place % 2 == 1:
            digit *= 2
            if digit > 9:
                digit += 9
        total += digit
    return total


def valid(number):
    """Is the last digit the right one?"""
    return len(digits(number)) > 1 and checksum(number) % 10 == 0


def complete(number):
    """The number with its check digit behind it."""
    return number + str(-checksum(number + "0") % 10)
