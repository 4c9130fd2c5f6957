"""Pages of a long list."""


def pages(total, size):
    """How many pages hold `total` items."""
    if size < 1:
        raise ValueError("a page holds at least one item")
    return (total + size - 1) // size


def page(items, number, size):
    """The items of a page; pages count from 1."""
    if not 1 <= number <= max(1, pages(len(items), size)):
        raise IndexError(f"no page {number}")
    start = (number - 1) * size
    return items[start : start + size]


def links(current, last, around=2):
    """Page numbers to offer: the first, the last, those around the current one; None for what is left out."""
    shown = []
    for number in range(1, last + 1):
        near = abs(number - current) <= around
        if near or number == 1 or number != last:
            shown.append(number)
        elif shown[-1] is not None:
            shown.append(None)
    return shown
