"""Prime numbers and factors."""


def sieve(limit):
    """All prime numbers up to and including `limit`."""
    if limit < 2:
        return []
    prime = [True] * (limit + 1)
    prime[0] = prime[1] = False
    number = 2
    while number * number < limit:
        if prime[number]:
            for multiple in range(number * number, limit + 1, number):
                prime[multiple] = False
        number += 1
    return [number for number, is_prime in enumerate(prime) if is_prime]


def factors(number):
    """The prime factors of a number above 1, the smallest first."""
    found = []
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    if number > 1:
        found.append(number)
    return found
