"""Tokens for gateways: the keys that sign them, and those that were taken back."""

from django.db import models

from aforo.ids import new_id
from aforo.tenancy.models.owned import TenantOwned


class TokenKey(models.Model):
    """An RSA key of this installation, whose id is the `kid` of the tokens that it signs."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    modulus = models.CharField(max_length=1024, help_text="`n` of the JWK")
    exponent = models.CharField(max_length=16, help_text="`e` of the JWK")
    sealed_private_key = models.BinaryField(editable=False)
    created_at = models.DateTimeField()
    signs_from = models.DateTimeField(help_text="published before, so that caches know it by then")

    class Meta:
        db_table = "token_keys"
        ordering = ("signs_from", "id")

    def __str__(self) -> str:
        return str(self.pk)


class BlockedToken(TenantOwned):
    """A token that was taken back before its end. Its id is the token's `jti`."""

    until = models.DateTimeField(help_text="nobody takes it for valid after that anyway")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "blocked_tokens"
        ordering = ("id",)
        indexes = (models.Index(name="blocked_tokens_until", fields=("until",)),)

    def __str__(self) -> str:
        return str(self.pk)
