"""Answers kept for those who ask again under the same `Idempotency-Key`."""

from django.db import models

from aforo.tenancy.models import TenantOwned


class StoredAnswer(TenantOwned):
    """What a POST was answered. The body is sealed: it may hold a key that is shown once."""

    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32, editable=False)
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=2000)
    status = models.PositiveSmallIntegerField()
    content_type = models.CharField(max_length=100)
    sealed_body = models.BinaryField(editable=False)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "stored_answers"
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                name="idempotency_key_has_one_answer", fields=("tenant", "key")
            ),
        )
        indexes = (models.Index(name="stored_answers_by_age", fields=("created_at",)),)

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"
