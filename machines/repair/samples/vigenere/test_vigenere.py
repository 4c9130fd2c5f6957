import pytest
from vigenere import decrypted, encrypted, shifted


def test_shifted():
    assert shifted("A", 3) == "D"
    assert shifted("Z", 1) == "A"
    assert shifted("B", -3) == "Y"


def test_known_text():
    assert encrypted("ATTACKATDAWN", "LEMON") == "LXFOPVEFRNHR"


def test_known_text_back():
    assert decrypted("LXFOPVEFRNHR", "LEMON") == "ATTACKATDAWN"


def test_short_key():
    assert encrypted("HELLO", "B") == "IFMMP"


def test_other_characters_stay():
    assert encrypted("HI, YOU!", "BC") == "IK, ZQV!"


def test_small_letters_are_raised():
    assert encrypted("abc", "A") == "ABC"


@pytest.mark.parametrize("key", ["A", "KEY", "LONGERTHANTHETEXT"])
def test_there_and_back(key):
    assert decrypted(encrypted("SECRET", key), key) == "SECRET"
