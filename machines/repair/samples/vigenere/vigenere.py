"""Vigenere's cipher on the letters A to Z."""

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def shifted(letter, steps):
    """The letter that stands some steps behind another, round and round."""
    return ALPHABET[(ALPHABET.index(letter) + steps) % len(ALPHABET)]


def translated(text, key, direction):
    """Each letter moved by the key's letter at its place; what is no letter stays and uses up no key."""
    result = []
    used = 0
    for character in text.upper():
        if character in ALPHABET:
            steps = ALPHABET.index(key[used % len(key)])
            result.append(shifted(character, direction * steps))
            used += 1
        else:
            result.append(character)
    return "".join(result)


def encrypted(text, key):
    """Text made unreadable."""
    return translated(key, text, 1)


def decrypted(text, key):
    """Text made readable again."""
    return translated(text, key, -1)
