"""A sorted list that was cut once and put together the other way round."""


def smallest(items):
    """The index of the smallest item; the items differ from each other."""
    if not items:
        raise ValueError("no items")
    low, high = 0, len(items) - 1
    while low < high:
        middle = (low + high) // 2
        if items[middle] > items[high]:
            low = middle
        else:
            high = middle
    return low


def index_of(items, wanted):
    """Where an item is, or -1."""
    offset = smallest(items)
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[(middle + offset) % len(items)] < wanted:
            low = middle + 1
        else:
            high = middle
    place = (low + offset) % len(items)
    return place if items[place] == wanted else -1
