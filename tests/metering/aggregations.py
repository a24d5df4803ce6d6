"""What the aggregations come to when they are told from all events at once, the plain way."""

from decimal import Decimal
from hashlib import sha256

from aforo.money import ZERO, divide, exact

ONE = Decimal(1)


def hashed(key):
    return sha256(key.encode()).digest()[:8]


def in_time(events):
    """(moment, key, quantity) in the order in which they set a level."""
    return sorted(events, key=lambda event: (event[0], hashed(event[1])))


def latest(events, carried=ZERO):
    return in_time(events)[-1][2] if events else carried


def average(events):
    with exact():
        return divide(sum(size for *_, size in events), Decimal(len(events))) if events else ZERO


def percentile_95(events):
    """The smallest quantity that at least 95 % of the events do not exceed."""
    sizes = sorted(size for *_, size in events)
    for size in sizes:
        if 100 * sum(other <= size for other in sizes) >= 95 * len(sizes):
            return size
    return ZERO


def weighted(events, start, end, carried=ZERO):
    """Times are microseconds. Summed level by level, as one would on paper."""
    level, since, area = carried, start, ZERO
    with exact():
        for moment, _, size in in_time(events):
            area += level * (moment - since)
            level, since = size, moment
        return divide(area + level * (end - since), Decimal(end - start))
