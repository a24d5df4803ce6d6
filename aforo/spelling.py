"""Names as clients spell them: snake_case in the code, camelCase on the wire."""


def on_the_wire(name: str) -> str:
    """`rate_plan_id` as clients write it: `ratePlanId`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
