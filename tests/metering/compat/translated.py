"""What a translation made, as values."""

import msgspec


def events_of(translation):
    return msgspec.json.decode(translation.array)


def codes_of(translation):
    return {index: why.code for index, why in translation.refused.items()}
