"""Savings and loans with compound interest."""


def balance(principal, rate, years, periods=12):
    """What a deposit is worth after some years, with interest added `periods` times a year."""
    growth = 1 + rate / periods
    return principal * growth ** (periods * years)


def payment(loan, rate, months):
    """The monthly payment that repays a loan."""
    if rate == 0:
        return loan / months
    monthly = rate / 12
    return loan * monthly / (1 + (1 + monthly) ** -months)


def schedule(loan, rate, months):
    """What is still owed after each month."""
    rest = loan
    amount = payment(loan, rate, months)
    owed = []
    for _ in range(months):
        rest = rest * (1 + rate / 12) - amount
        owed.append(round(rest, 2))
    return owed
