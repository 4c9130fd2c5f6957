import pytest
from leapyears import day_of_year, days_in_month, leap


def test_common_years():
    assert not leap(2023)
    assert not leap(2025)


def test_every_fourth_year():
    assert leap(2024)
    assert leap(1996)


def test_centuries():
    assert not leap(1900)
    assert not leap(2100)


def test_every_fourth_century():
    assert leap(2000)
    assert leap(1600)


def test_february():
    assert days_in_month(2024, 2) == 29
    assert days_in_month(2023, 2) == 28


def test_other_months():
    assert [days_in_month(2024, month) for month in (1, 4, 12)] == [31, 30, 31]


def test_last_day():
    assert day_of_year(2023, 12, 31) == 365
    assert day_of_year(2024, 12, 31) == 366


def test_impossible_dates():
    with pytest.raises(ValueError):
        day_of_year(2023, 2, 29)
    with pytest.raises(ValueError):
        days_in_month(2023, 13)
