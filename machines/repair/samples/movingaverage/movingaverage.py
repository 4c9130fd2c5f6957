"""Averages over a sliding window."""


def averages(values, window):
    """The mean of each run of `window` neighbouring values."""
    if window < 1:
        raise ValueError("the window holds at least one value")
    if window > len(values):
        return []
    total = sum(values[:window])
    result = [total / window]
    for index in range(window, len(values) + 1):
        total += values[index] - values[index - window]
        result.append(total / window)
    return result


def turning_points(values, window):
    """Where the averages stop rising: indices into the averages."""
    smooth = averages(values, window)
    return [
        index
        for index in range(1, len(smooth) - 1)
        if smooth[index - 1] < smooth[index] and smooth[index] >= smooth[index + 1]
    ]
