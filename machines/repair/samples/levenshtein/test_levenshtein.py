from levenshtein import closest, distance, similarity


def test_equal():
    assert distance("state", "state") == 0


def test_replacement():
    assert distance("cat", "cut") == 1


def test_insertion():
    assert distance("cat", "cart") == 1
    assert distance("", "abc") == 3


def test_deletion():
    assert distance("cart", "cat") == 1
    assert distance("abc", "") == 3


def test_known():
    assert distance("kitten", "sitting") == 3
    assert distance("saturday", "sunday") == 3


def test_symmetric():
    assert distance("intention", "execution") == distance("execution", "intention") == 5


def test_similarity():
    assert similarity("", "") == 1.0
    assert similarity("ab", "cd") == 0.0
    assert similarity("abcd", "abc") == 0.75


def test_closest():
    assert closest("validat", ["plan", "validate", "act"]) == "validate"
