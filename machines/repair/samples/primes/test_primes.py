from primes import factors, sieve


def test_nothing_below_two():
    assert sieve(1) == []
    assert sieve(-3) == []


def test_small():
    assert sieve(2) == [2]
    assert sieve(10) == [2, 3, 5, 7]


def test_limit_is_included():
    assert sieve(13)[-1] == 13


def test_squares_of_primes_are_not_prime():
    assert sieve(4) == [2, 3]
    assert sieve(9) == [2, 3, 5, 7]
    assert 25 not in sieve(25)


def test_count_below_a_thousand():
    assert len(sieve(1000)) == 168


def test_sieve_agrees_with_factors():
    assert sieve(121) == [number for number in range(2, 122) if factors(number) == [number]]


def test_factors():
    assert factors(84) == [2, 2, 3, 7]
    assert factors(97) == [97]
