import pytest
from interest import balance, payment, schedule


def test_interest_once_a_year():
    assert balance(1000, 0.05, 2, periods=1) == pytest.approx(1102.5)


def test_interest_every_month():
    assert balance(1000, 0.12, 1) == pytest.approx(1126.825, abs=0.001)


def test_no_years_no_interest():
    assert balance(250, 0.03, 0) == 250


def test_payment_without_interest():
    assert payment(1200, 0, 12) == 100


def test_payment():
    assert payment(10000, 0.06, 36) == pytest.approx(304.22, abs=0.01)


def test_one_month():
    assert payment(1200, 0.12, 1) == pytest.approx(1212)


def test_schedule_ends_with_nothing_owed():
    owed = schedule(5000, 0.09, 24)
    assert len(owed) == 24
    assert owed[-1] == pytest.approx(0, abs=0.01)


def test_schedule_falls():
    owed = schedule(5000, 0.09, 24)
    assert owed == sorted(owed, reverse=True)
