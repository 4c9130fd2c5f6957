"""Appointments that must not overlap."""


class Timetable:
    """Appointments of one day, by minutes since midnight."""

    def __init__(self, opens=480, closes=1080):
        self.opens = opens
        self.closes = closes
        self.booked = []

    def free(self, start, end):
        """Is this time inside the opening hours and not booked?"""
        if start >= end or start < self.opens or end > self.closes:
            return False
        return all(end <= other_start and start >= other_end for other_start, other_end in self.booked)

    def book(self, start, end):
        """Book a time if it is free; says whether it was."""
        if not self.free(start, end):
            return False
        self.booked.append((start, end))
        self.booked.sort()
        return True

    def next_free(self, minutes):
        """The earliest start of a free time of some length, or None."""
        start = self.opens
        for other_start, other_end in self.booked:
            if other_start - start >= minutes:
                break
            start = max(start, other_end)
        return start if start + minutes <= self.closes else None
