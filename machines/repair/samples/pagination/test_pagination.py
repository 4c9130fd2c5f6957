import pytest
from pagination import links, page, pages


def test_pages():
    assert [pages(total, 10) for total in (0, 1, 10, 11, 25)] == [0, 1, 1, 2, 3]


def test_no_size():
    with pytest.raises(ValueError):
        pages(10, 0)


def test_first_and_last_page():
    assert page(list(range(25)), 1, 10) == list(range(10))
    assert page(list(range(25)), 3, 10) == [20, 21, 22, 23, 24]


def test_no_such_page():
    for number in (0, 4):
        with pytest.raises(IndexError):
            page(list(range(25)), number, 10)


def test_empty_list_has_one_page():
    assert page([], 1, 10) == []


def test_links_on_few_pages():
    assert links(1, 3) == [1, 2, 3]


def test_links_in_the_middle():
    assert links(10, 20) == [1, None, 8, 9, 10, 11, 12, None, 20]


def test_links_at_the_ends():
    assert links(1, 9, around=1) == [1, 2, None, 9]
    assert links(9, 9, around=1) == [1, None, 8, 9]
