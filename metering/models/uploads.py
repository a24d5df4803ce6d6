"""Files of usage: kept in pieces, read row by row; read again, no row counts again."""

from django.db import models

from aforo.tenancy.models import TenantOwned


class Upload(TenantOwned):
    """One file, how its columns are to be read, and how far it has been read."""

    class Format(models.TextChoices):
        CSV = "CSV", "CSV"
        NDJSON = "NDJSON", "NDJSON"
        JSON = "JSON", "JSON array"
        XML = "XML", "XML"

    class State(models.TextChoices):
        DRAFT = "DRAFT", "Draft"
        QUEUED = "QUEUED", "Queued"
        PROCESSING = "PROCESSING", "Processing"
        COMPLETED = "COMPLETED", "Completed"
        PARTIAL = "PARTIAL", "Partial"
        FAILED = "FAILED", "Failed"

    file_name = models.CharField(max_length=255)
    format = models.CharField(max_length=8, choices=Format)
    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    mapping = models.JSONField(default=dict, help_text='{"customerId": "column", ...}')
    default_metric = models.CharField(max_length=400, blank=True)
    default_customer = models.CharField(max_length=400, blank=True)
    dry_run = models.BooleanField(default=False, help_text="rows are checked, none is counted")
    backfill = models.BooleanField(default=False, help_text="rows may be older than 90 days")
    byte_count = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    rows_read = models.BigIntegerField(default=0, help_text="where reading goes on after a crash")
    row_count = models.BigIntegerField(null=True, help_text="known once the end was reached")
    accepted = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    error = models.TextField(blank=True)
    api_key_id = models.UUIDField(null=True)
    created_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    touched_at = models.DateTimeField(null=True, blank=True, help_text="last sign of life")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "uploads"
        ordering = ("-created_at",)
        indexes = (
            models.Index(name="uploads_of_tenant", fields=("tenant", "-created_at")),
            models.Index(
                name="uploads_unfinished",
                fields=("touched_at",),
                condition=models.Q(state__in=("QUEUED", "PROCESSING")),
            ),
        )

    def __str__(self) -> str:
        return self.file_name


class UploadPiece(models.Model):
    """A part of an uploaded file, in order; gone once the file has been read."""

    id = models.BigAutoField(primary_key=True)
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="pieces")
    number = models.IntegerField()
    body = models.BinaryField(help_text="lz4 frame")

    class Meta:
        db_table = "upload_pieces"
        ordering = ("upload", "number")
        constraints = (
            models.UniqueConstraint(name="piece_is_kept_once", fields=("upload", "number")),
        )

    def __str__(self) -> str:
        return f"{self.upload_id} {self.number}"


class UploadBatch(models.Model):
    """Rows of a file that went into the inbox together: its receipt says what became of them."""

    id = models.BigAutoField(primary_key=True)
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="batches")
    first_row = models.BigIntegerField(help_text="how many rows stand before them")
    batch_id = models.UUIDField()

    class Meta:
        db_table = "upload_batches"
        verbose_name_plural = "upload batches"
        ordering = ("upload", "first_row")
        constraints = (
            models.UniqueConstraint(name="rows_go_in_once", fields=("upload", "first_row")),
        )

    def __str__(self) -> str:
        return f"{self.upload_id} after row {self.first_row}"


class UploadIssue(models.Model):
    """One row of a file that was not taken, and why."""

    id = models.BigAutoField(primary_key=True)
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="issues")
    row = models.BigIntegerField(help_text="from 1, the heading not counted")
    code = models.CharField(max_length=40)
    detail = models.TextField()
    content = models.TextField(blank=True, help_text="the row as it was read, shortened")

    class Meta:
        db_table = "upload_issues"
        ordering = ("upload", "row")
        constraints = (
            models.UniqueConstraint(name="issue_of_a_row_is_kept_once", fields=("upload", "row")),
        )

    def __str__(self) -> str:
        return f"row {self.row}: {self.code}"
