"""Secrets at rest."""

import pytest

from aforo.sealing import Unsealable, seal, unseal


def test_what_is_sealed_opens_for_the_same_purpose_and_row():
    sealed = seal(b"secret", purpose="answers", row="1")

    assert b"secret" not in sealed
    assert unseal(sealed, purpose="answers", row="1") == b"secret"
    assert seal(b"secret", purpose="answers", row="1") != sealed


@pytest.mark.parametrize(
    ("purpose", "row", "flip"), [("hooks", "1", 0), ("answers", "2", 0), ("answers", "1", 1)]
)
def test_it_opens_for_nothing_else(purpose, row, flip):
    sealed = seal(b"secret", purpose="answers", row="1")

    with pytest.raises(Unsealable):
        unseal(sealed[:-1] + bytes([sealed[-1] ^ flip]), purpose=purpose, row=row)
