import pytest
from movingaverage import averages, turning_points


def test_window_of_one():
    assert averages([3, 1, 2], 1) == [3, 1, 2]


def test_window_of_two():
    assert averages([1, 3, 5, 7], 2) == [2, 4, 6]


def test_window_as_long_as_the_values():
    assert averages([1, 2, 6], 3) == [3]


def test_window_too_long():
    assert averages([1, 2], 3) == []


def test_window_too_short():
    with pytest.raises(ValueError):
        averages([1, 2], 0)


def test_fractions():
    assert averages([1, 2, 4, 8], 3) == pytest.approx([7 / 3, 14 / 3])


def test_turning_points():
    assert turning_points([0, 2, 4, 3, 1, 2, 5, 1, 0], 1) == [2, 6]
    assert turning_points([1, 2, 3], 1) == []
