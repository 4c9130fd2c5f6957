import statistics

import pytest
from variance import deviation, mean, scores, variance


def test_mean():
    assert mean([1, 2, 6]) == 3


def test_mean_of_nothing():
    with pytest.raises(ValueError):
        mean([])


def test_variance():
    assert variance([2, 4, 4, 4, 5, 5, 7, 9]) == pytest.approx(32 / 7)


def test_variance_of_equal_values():
    assert variance([3, 3, 3]) == 0


def test_variance_needs_two():
    with pytest.raises(ValueError):
        variance([1])


@pytest.mark.parametrize("values", [[1, 2], [0.5, -3, 8.25], list(range(20))])
def test_agrees_with_the_library(values):
    assert deviation(values) == pytest.approx(statistics.stdev(values))


def test_scores():
    assert scores([1, 2, 3]) == pytest.approx([-1, 0, 1])
