from luhn import checksum, complete, digits, valid


def test_digits_without_separators():
    assert digits("12-3 4") == [1, 2, 3, 4]


def test_small_digits_are_doubled():
    assert checksum("1234") == 2 + 2 + 6 + 4


def test_large_digits_are_reduced():
    assert checksum("91") == 10
    assert checksum("59") == 10


def test_known_numbers():
    assert valid("4539 1488 0343 6467")
    assert valid("79927398713")


def test_one_wrong_digit():
    assert not valid("4539 1488 0343 6468")
    assert not any(valid(f"7992739871{digit}") for digit in range(10) if digit != 3)


def test_too_short():
    assert not valid("0")
    assert not valid("")


def test_complete():
    assert complete("7992739871") == "79927398713"
    assert all(valid(complete(str(number))) for number in range(1000, 1100))
