import pytest
from unrepairable import arabic, roman


def test_ones():
    assert [roman(number) for number in (1, 3, 4, 9)] == ["I", "III", "IV", "IX"]


def test_large_numbers():
    assert roman(1994) == "MCMXCIV"
    assert roman(3999) == "MMMCMXCIX"


def test_out_of_range():
    for number in (0, -5, 4000):
        with pytest.raises(ValueError):
            roman(number)


def test_arabic():
    assert arabic("MCMXCIV") == 1994
    assert arabic("VIII") == 8


def test_left_over():
    with pytest.raises(ValueError):
        arabic("XYZ")


def test_there_and_back():
    assert [arabic(roman(number)) for number in range(1, 50)] == list(range(1, 50))
