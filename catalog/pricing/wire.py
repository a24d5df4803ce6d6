"""Reading the wire form of terms: key by key, refusing what contradicts itself or nobody knows."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, Inexact

from aforo.money import EXACT, ZERO, plain

DECIMALS = 12
WHOLE_DIGITS = 26
LONGEST_NAME = 100
_QUANTUM = Decimal(1).scaleb(-DECIMALS)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")


class InvalidTerms(ValueError):
    """Terms that contradict themselves; `field` is the wire path, `reason` what is wrong there."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class WireObject:
    """One object of the wire form. A value of None is the same as an absent key."""

    def __init__(
        self, members: Mapping[str, object], *, path: str = "", credits_allowed: bool = False
    ) -> None:
        self._path = path
        self._credits_allowed = credits_allowed
        self._unread = {key: value for key, value in members.items() if value is not None}

    def refused(self, key: str, reason: str) -> InvalidTerms:
        """The exception to raise when the value of `key` will not do."""
        return InvalidTerms(f"{self._path}.{key}" if self._path else key, reason)

    def choice(self, key: str, choices: Iterable[str], *, default: str | None = None) -> str:
        """One of `choices`; required when there is no default."""
        value = self._take(key) if default is None else self._unread.pop(key, default)
        known = tuple(choices)
        if value not in known:
            raise self.refused(key, f"must be one of {', '.join(known)}")
        return str(value)

    def flag(self, key: str) -> bool:
        """True or false; absent is false."""
        value = self._unread.pop(key, False)
        if not isinstance(value, bool):
            raise self.refused(key, "must be true or false")
        return value

    def money(self, key: str) -> Decimal:
        """A price, fee or percentage; below zero only where credits are allowed."""
        return self._not_a_credit(key, self._number(key, self._take(key)))

    def optional_money(self, key: str) -> Decimal | None:
        value = self.optional_number(key)
        return None if value is None else self._not_a_credit(key, value)

    def quantity(self, key: str) -> Decimal:
        """Units or an amount that cannot be below zero; absent is zero."""
        value = self.optional_number(key)
        if value is None:
            return ZERO
        if value < ZERO:
            raise self.refused(key, "must not be negative")
        return value

    def whole(self, key: str) -> int:
        """A quantity without decimals; absent is zero."""
        value = self.quantity(key)
        if value != int(value):
            raise self.refused(key, "must be a whole number")
        return int(value)

    def optional_number(self, key: str) -> Decimal | None:
        value = self._unread.pop(key, None)
        return None if value is None else self._number(key, value)

    def text(self, key: str, *, longest: int = LONGEST_NAME) -> str:
        """A text of 1 to `longest` characters."""
        value = self._take(key)
        if not isinstance(value, str) or not 0 < len(value) <= longest or "\0" in value:
            raise self.refused(key, f"must be a text of 1 to {longest} characters")
        return value

    def names(self, key: str, *, most: int) -> tuple[str, ...]:
        """A list of at most `most` names, each only once; absent is empty."""
        names = self._unread.pop(key, ())
        if not isinstance(names, list | tuple) or len(names) > most:
            raise self.refused(key, f"must be a list of at most {most} names")
        for index, name in enumerate(names):
            if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or "\0" in name:
                reason = f"must be a name of 1 to {LONGEST_NAME} characters"
                raise self.refused(f"{key}[{index}]", reason)
        if len(set(names)) != len(names):
            raise self.refused(key, "must name each only once")
        return tuple(names)

    def mapping(self, key: str) -> dict[str, object]:
        """An object whose keys the caller judges; absent is empty."""
        members = self._unread.pop(key, {})
        if not isinstance(members, Mapping):
            raise self.refused(key, "must be an object")
        return {str(name): value for name, value in members.items()}

    def rates(self, key: str) -> dict[str, Decimal]:
        """An object of names and prices (or factors), in the order of names; absent is empty."""
        found = {}
        for name, value in sorted(self.mapping(key).items()):
            if not name or "\0" in name:
                raise self.refused(key, "must not have an empty name")
            found[name] = self._not_a_credit(f"{key}.{name}", self._number(f"{key}.{name}", value))
        return found

    def has(self, *keys: str) -> bool:
        """Whether one of `keys` is there and nobody has read it yet."""
        return any(key in self._unread for key in keys)

    def objects(self, key: str) -> list["WireObject"]:
        """A list of objects, at least one."""
        self.require(key)
        objects = self.some_objects(key)
        if not objects:
            raise self.refused(key, "must be a list of at least one object")
        return objects

    def some_objects(self, key: str, *, most: int | None = None) -> list["WireObject"]:
        """A list of at most so many objects; absent is empty."""
        items = self._unread.pop(key, ())
        if not isinstance(items, list | tuple):
            raise self.refused(key, "must be a list of at least one object")
        if most is not None and len(items) > most:
            raise self.refused(key, f"must be at most {most}")
        return [self._member(f"{key}[{index}]", item) for index, item in enumerate(items)]

    def require(self, key: str) -> None:
        """Refuse the object when `key` is absent."""
        if key not in self._unread:
            raise self.refused(key, "is required")

    def refuse(self, keys: Iterable[str], reason: str) -> None:
        """Refuse the object when one of `keys` is present."""
        for key in keys:
            if key in self._unread:
                raise self.refused(key, reason)

    def refuse_unread(self, owner: str) -> None:
        """Refuse keys that nobody asked for: a misspelt term must not be lost in silence."""
        self.refuse(self._unread, f"is not a term of {owner}")

    def _take(self, key: str) -> object:
        self.require(key)
        return self._unread.pop(key)

    def _member(self, name: str, item: object) -> "WireObject":
        if not isinstance(item, Mapping):
            raise self.refused(name, "must be an object")
        path = f"{self._path}.{name}" if self._path else name
        return WireObject(item, path=path, credits_allowed=self._credits_allowed)

    def _number(self, key: str, value: object) -> Decimal:
        if isinstance(value, float):
            raise self.refused(key, "must not be a float, which is not exact: send it as text")
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            raise self.refused(key, "must be a number")
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            raise self.refused(key, "must be a number")
        number = Decimal(value)
        if not number.is_finite():
            raise self.refused(key, "must be a finite number")
        if number and number.adjusted() >= WHOLE_DIGITS:
            raise self.refused(key, f"must have at most {WHOLE_DIGITS} digits before the point")
        try:
            return Decimal(plain(EXACT.quantize(number, _QUANTUM)))
        except Inexact:
            raise self.refused(key, f"must have at most {DECIMALS} decimals") from None

    def _not_a_credit(self, key: str, value: Decimal) -> Decimal:
        if value < ZERO and not self._credits_allowed:
            raise self.refused(key, "must not be negative, as this plan allows no credits")
        return value
