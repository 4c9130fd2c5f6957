from timetable import Timetable


def test_first_booking():
    table = Timetable()
    assert table.book(500, 530)
    assert table.booked == [(500, 530)]


def test_outside_the_opening_hours():
    table = Timetable(opens=480, closes=600)
    assert not table.book(470, 490)
    assert not table.book(590, 610)


def test_backwards():
    assert not Timetable().book(530, 500)
    assert not Timetable().book(500, 500)


def test_overlap():
    table = Timetable()
    table.book(500, 530)
    assert not table.book(520, 540)
    assert not table.book(490, 510)
    assert not table.book(490, 560)


def test_before_and_after():
    table = Timetable()
    assert table.book(500, 530)
    assert table.book(540, 560)
    assert table.book(480, 490)
    assert table.booked == [(480, 490), (500, 530), (540, 560)]


def test_back_to_back():
    table = Timetable()
    assert table.book(500, 530)
    assert table.book(530, 560)
    assert table.book(480, 500)


def test_next_free():
    table = Timetable(opens=480, closes=600)
    assert table.next_free(30) == 480
    assert table.book(500, 560)
    assert table.next_free(20) == 480
    assert table.next_free(30) == 560
    assert table.next_free(60) is None
