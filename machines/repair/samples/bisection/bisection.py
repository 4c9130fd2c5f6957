"""Binary search in sorted lists."""


def first_not_less(items, wanted):
    """The index of the first item that is not less than `wanted`; the length if there is none."""
    low = 0
    high = len(items) - 1
    while low < high:
        middle = (low + high) // 2
        if items[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def contains(items, wanted):
    """Is `wanted` in the list?"""
    index = first_not_less(items, wanted)
    return index < len(items) and items[index] == wanted


def insert(items, item):
    """A new list with the item at its place."""
    index = first_not_less(items, item)
    return items[:index] + [item] + items[index:]
