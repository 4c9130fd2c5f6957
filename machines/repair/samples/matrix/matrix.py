"""Matrices as lists of rows."""


def shape(matrix):
    """How many rows and columns."""
    return len(matrix), len(matrix[0])


def transposed(matrix):
    """Rows become columns."""
    rows, columns = shape(matrix)
    return [[matrix[row][column] for row in range(rows)] for column in range(columns)]


def product(left, right):
    """The matrix product."""
    rows, inner = shape(left)
    inner_too, columns = shape(right)
    if inner != inner_too:
        raise ValueError(f"{inner} columns do not fit {inner_too} rows")
    result = [[0] * columns for _ in range(rows)]
    for row in range(rows):
        for column in range(columns):
            for step in range(inner):
                result[row][column] += left[row][step] * right[column][step]
    return result


def power(matrix, exponent):
    """A square matrix multiplied with itself."""
    size, _ = shape(matrix)
    result = [[int(row == column) for column in range(size)] for row in range(size)]
    for _ in range(exponent):
        result = product(result, matrix)
    return result
