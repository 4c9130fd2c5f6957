from intervals import gaps, length, merged


def test_apart():
    assert merged([(5, 6), (1, 2)]) == [(1, 2), (5, 6)]


def test_overlapping():
    assert merged([(1, 4), (3, 8)]) == [(1, 8)]


def test_touching():
    assert merged([(1, 4), (4, 5)]) == [(1, 5)]


def test_inside():
    assert merged([(1, 9), (3, 4)]) == [(1, 9)]


def test_chain():
    assert merged([(1, 3), (2, 5), (5, 7), (9, 10)]) == [(1, 7), (9, 10)]


def test_nothing():
    assert merged([]) == []
    assert length([]) == 0


def test_length_counts_overlaps_once():
    assert length([(0, 4), (2, 6), (10, 11)]) == 7


def test_gaps():
    assert gaps([(0, 2), (1, 3), (8, 9)]) == [(3, 8)]
