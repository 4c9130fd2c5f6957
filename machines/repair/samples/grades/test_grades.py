import pytest
from grades import letter, passed, summary


@pytest.mark.parametrize(("score", "grade"), [(95, "A"), (85, "B"), (75, "C"), (65, "D"), (30, "F")])
def test_inside_a_band(score, grade):
    assert letter(score) == grade


@pytest.mark.parametrize(("score", "grade"), [(90, "A"), (80, "B"), (60, "D")])
def test_lower_limit_belongs_to_the_band(score, grade):
    assert letter(score) == grade


@pytest.mark.parametrize(("score", "grade"), [(89, "B"), (59, "F"), (0, "F"), (100, "A")])
def test_edges(score, grade):
    assert letter(score) == grade


def test_impossible_scores_are_refused():
    for score in (-1, 101):
        with pytest.raises(ValueError):
            letter(score)


def test_summary():
    assert summary([95, 91, 61, 12]) == {"A": 2, "D": 1, "F": 1}


def test_share_of_passes():
    assert passed([95, 61, 12, 7]) == 0.5
    assert passed([]) == 0.0
