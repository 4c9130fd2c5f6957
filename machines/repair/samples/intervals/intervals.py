"""Sets of closed intervals on the number line."""


def merged(intervals):
    """The same points as few disjoint intervals, in order."""
    result = []
    for start, end in sorted(intervals):
        if result and start <= result[-1][1]:
            last_start, last_end = result[-1]
            result[-1] = (last_start, max(start, last_end))
        else:
            result.append((start, end))
    return result


def length(intervals):
    """How much of the line is covered."""
    return sum(end - start for start, end in merged(intervals))


def gaps(intervals):
    """The open intervals between the covered parts."""
    parts = merged(intervals)
    return [(left[1], right[0]) for left, right in zip(parts, parts[1:])]
