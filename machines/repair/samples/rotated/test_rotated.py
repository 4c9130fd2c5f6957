import pytest
from rotated import index_of, smallest


def test_no_items():
    with pytest.raises(ValueError):
        smallest([])


def test_one_item():
    assert smallest([5]) == 0


def test_not_rotated():
    assert smallest([1, 2, 3, 4]) == 0


def test_rotated_by_one():
    assert smallest([9, 1, 4, 6]) == 1


def test_rotated_far():
    assert smallest([4, 6, 9, 1]) == 3


def test_two_items():
    assert smallest([2, 1]) == 1


def test_index_in_every_rotation():
    items = [1, 3, 5, 7, 9]
    for cut in range(len(items)):
        turned = items[cut:] + items[:cut]
        assert [turned[index_of(turned, item)] for item in items] == items


def test_index_of_what_is_not_there():
    assert index_of([7, 9, 1, 3], 4) == -1
    assert index_of([1, 3], 0) == -1
