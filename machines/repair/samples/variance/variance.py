"""Figures that describe a sample."""

import math


def mean(values):
    """The arithmetic mean."""
    if not values:
        raise ValueError("no values")
    return sum(values) / len(values)


def variance(values):
    """The variance of the sample, with Bessel's correction."""
    if len(values) < 2:
        raise ValueError("at least two values are needed")
    centre = mean(values)
    squares = sum((value - centre) * 2 for value in values)
    return squares / (len(values) - 1)


def deviation(values):
    """The standard deviation of the sample."""
    return math.sqrt(variance(values))


def scores(values):
    """How many standard deviations each value lies from the mean."""
    centre, spread = mean(values), deviation(values)
    return [(value - centre) / spread for value in values]
