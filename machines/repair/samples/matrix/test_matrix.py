import pytest
from matrix import power, product, shape, transposed

A = [[1, 2], [3, 4]]


def test_shape():
    assert shape([[1, 2, 3], [4, 5, 6]]) == (2, 3)


def test_transposed():
    assert transposed([[1, 2, 3], [4, 5, 6]]) == [[1, 4], [2, 5], [3, 6]]


def test_product_with_identity():
    assert product(A, [[1, 0], [0, 1]]) == A


def test_product():
    assert product(A, [[5, 6], [7, 8]]) == [[19, 22], [43, 50]]


def test_product_of_row_and_column():
    assert product([[1, 2, 3]], [[4], [5], [6]]) == [[32]]
    assert product([[4], [5]], [[1, 2, 3]]) == [[4, 8, 12], [5, 10, 15]]


def test_product_of_wrong_shapes():
    with pytest.raises(ValueError):
        product(A, [[1, 2]])


def test_power():
    assert power(A, 0) == [[1, 0], [0, 1]]
    assert power([[1, 1], [1, 0]], 10) == [[89, 55], [55, 34]]
