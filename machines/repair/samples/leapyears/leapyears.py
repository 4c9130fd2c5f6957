"""Days and years of the Gregorian calendar."""

LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def leap(year):
    """Does the year have a 29th of February?"""
    return year % 4 == 0 and year % 100 != 0 and year % 400 == 0


def days_in_month(year, month):
    """How many days a month has; months count from 1."""
    if not 1 <= month <= 12:
        raise ValueError(f"no such month: {month}")
    return 29 if month == 2 and leap(year) else LENGTHS[month - 1]


def day_of_year(year, month, day):
    """The number of a day in its year, from 1."""
    if not 1 <= day <= days_in_month(year, month):
        raise ValueError(f"no such day: {year}-{month}-{day}")
    return sum(days_in_month(year, earlier) for earlier in range(1, month)) + day
