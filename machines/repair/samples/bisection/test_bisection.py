from bisection import contains, first_not_less, insert


def test_finds_the_first_of_equal_items():
    assert first_not_less([1, 3, 3, 3, 7], 3) == 1


def test_before_all():
    assert first_not_less([4, 6, 8], 1) == 0


def test_between():
    assert first_not_less([4, 6, 8], 5) == 1


def test_behind_all():
    assert first_not_less([4, 6, 8], 9) == 3


def test_one_item():
    assert first_not_less([4], 4) == 0
    assert first_not_less([4], 5) == 1


def test_empty():
    assert first_not_less([], 5) == 0
    assert not contains([], 5)


def test_contains():
    items = list(range(0, 40, 2))
    assert [number for number in range(-1, 41) if contains(items, number)] == items


def test_insert_keeps_the_order():
    assert insert([1, 4, 9], 5) == [1, 4, 5, 9]
    assert insert([1, 4, 9], 10) == [1, 4, 9, 10]
    assert insert([], 3) == [3]
