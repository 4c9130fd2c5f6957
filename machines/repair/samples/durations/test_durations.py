import pytest
from durations import parse, show


def test_seconds_and_minutes():
    assert parse("45s") == 45
    assert parse("2m5s") == 125


def test_hours():
    assert parse("1h") == 3600
    assert parse("1h30m") == 5400


def test_days():
    assert parse("2d") == 172800


@pytest.mark.parametrize("text", ["x", "5", "1h-", "h1"])
def test_nonsense(text):
    with pytest.raises(ValueError):
        parse(text)


def test_show():
    assert show(125) == "2m5s"
    assert show(0) == "0s"


def test_show_long_times():
    assert show(7200) == "2h"
    assert show(90061) == "1d1h1m1s"


@pytest.mark.parametrize("seconds", [1, 59, 60, 3599, 3600, 86399, 86400, 100000])
def test_there_and_back(seconds):
    assert parse(show(seconds)) == seconds
