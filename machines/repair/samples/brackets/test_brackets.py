from brackets import balanced, depth


def test_no_brackets():
    assert balanced("")
    assert balanced("plain text")


def test_one_pair():
    assert balanced("()")
    assert balanced("f[x]")


def test_nested():
    assert balanced("{[()]}()")


def test_wrong_order():
    assert not balanced("([)]")


def test_never_closed():
    assert not balanced("(()")


def test_never_opened():
    assert not balanced("())")
    assert not balanced("]")


def test_wrong_kind():
    assert not balanced("(]")


def test_depth():
    assert depth("a") == 0
    assert depth("(a[b])(c)") == 2
