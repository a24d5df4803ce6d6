"""Hourly usage as customers make it, from a seed, with spikes and drops planted into it."""

import math
from dataclasses import dataclass, field
from random import Random

DAY, WEEK = 24, 168
WARM_UP = 15 * DAY  # a whole baseline before anything is planted
QUIET = 21 * DAY  # between what is planted, so that each is seen by itself
SPIKE_HOURS = 3  # in which an alert after a spike is one about it
DROP_DAYS = 14


def steady(draw, hour):
    return 1000 + draw.gauss(0, 60)


def flat(draw, hour):
    return 500


def by_day_and_night(draw, hour):
    return 800 * (1.2 + math.sin(hour % DAY / DAY * math.tau)) + draw.gauss(0, 60)


def office_hours(draw, hour):
    is_open = 8 <= hour % DAY < 18 and hour // DAY % 7 < 5
    return draw.gauss(2000, 200) if is_open else max(0, draw.gauss(20, 8))


def growing(draw, hour):
    return 300 * 1.0001**hour + draw.gauss(0, 25)


def in_batches(draw, hour):
    """Twice a day: 28 hours of usage in two weeks."""
    return draw.gauss(50_000, 2000) if hour % 12 == 3 else 0


def noisy(draw, hour):
    return draw.lognormvariate(6, 0.4)


def in_phases(draw, hour):
    return (1500 if hour // (6 * WEEK) % 2 else 1000) + draw.gauss(0, 70)


SHAPES = (steady, flat, by_day_and_night, office_hours, growing, in_batches, noisy, in_phases)


@dataclass
class Generated:
    """Quantities hour by hour; `spikes` are single hours, `drops` the first hours of two weeks."""

    name: str
    quantities: list
    spikes: list = field(default_factory=list)
    drops: list = field(default_factory=list)

    def is_about_something(self, hour):
        """Whether an alert in this hour may be about what was planted, or about its end."""
        after = hour // DAY * DAY
        return any(0 <= hour - spike <= SPIKE_HOURS for spike in self.spikes) or any(
            0 <= after - drop // DAY * DAY <= (DROP_DAYS + 15) * DAY for drop in self.drops
        )


def generate(seed, hours, shapes=SHAPES):
    """One customer of each shape: six times its usual peak now and then, a tenth for two weeks."""
    return [_customer(Random(f"{seed} {shape.__name__}"), shape, hours) for shape in shapes]


def _customer(draw, shape, hours):
    usual = [max(0, round(shape(draw, hour))) for hour in range(hours)]
    made = Generated(shape.__name__, usual)
    at, number = WARM_UP + draw.randrange(DAY), 0
    while at + QUIET < hours:
        number += 1
        if number % 3:
            _plant_spike(made, at)
            at += QUIET
        else:
            _plant_drop(made, at // DAY * DAY)
            at += DROP_DAYS * DAY + 2 * QUIET
        at += draw.randrange(3 * DAY)
    return made


def _plant_spike(made, at):
    while not made.quantities[at]:
        at += 1
    made.quantities[at] = 6 * max(made.quantities[at - WEEK : at])
    made.spikes.append(at)


def _plant_drop(made, at):
    for hour in range(at, min(at + DROP_DAYS * DAY, len(made.quantities))):
        made.quantities[hour] = round(made.quantities[hour] / 10)
    made.drops.append(at)
