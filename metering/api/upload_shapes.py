"""How uploads are asked for and shown."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aforo.api.serializers import WireModelSerializer, WireSerializer
from metering.models import Upload
from metering.selectors.uploads import fate_of

_NAMES_NONE = "of rows that name none"
_MAPPING = 'JSON {"customerId": "column", ...}; what it leaves out is found by its name'


class Columns(serializers.JSONField):
    """A column per field of an event; in a form, its JSON."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        columns: Any = super().to_internal_value(data)
        is_text = isinstance(columns, dict) and all(isinstance(v, str) for v in columns.values())
        if not is_text:
            raise serializers.ValidationError('write {"customerId": "column", ...}')
        told: dict[str, str] = columns
        return told


class NewUpload(WireSerializer):
    file = serializers.FileField(
        help_text="CSV, NDJSON, a JSON array or XML, in UTF-8; also as gzip",
        max_length=255,
        allow_empty_file=True,  # refused with a code of its own
    )
    default_metric_name = serializers.CharField(
        max_length=400, default="", allow_blank=True, help_text=_NAMES_NONE
    )
    default_customer_id = serializers.CharField(
        max_length=400, default="", allow_blank=True, help_text=_NAMES_NONE
    )
    row_count = serializers.CharField(
        max_length=20, required=False, allow_blank=True, help_text="taken, and not needed"
    )
    mapping = Columns(default=dict, help_text=_MAPPING)
    dry_run = serializers.BooleanField(default=False, help_text="check each row, count none")
    backfill = serializers.BooleanField(
        default=False, help_text="rows may be over 90 days old; operator keys only"
    )


class UploadStart(WireSerializer):
    """What is not said stays as it was."""

    default_metric_name = serializers.CharField(max_length=400, required=False, allow_blank=True)
    default_customer_id = serializers.CharField(max_length=400, required=False, allow_blank=True)
    mapping = Columns(required=False, help_text=_MAPPING)
    dry_run = serializers.BooleanField(default=False, help_text="check each row, count none")
    backfill = serializers.BooleanField(required=False, help_text="rows may be over 90 days old")


class UploadFate(WireSerializer):
    """What became of the rows that were read; of `waiting` it is not decided yet."""

    counted = serializers.IntegerField()
    unbilled = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    held = serializers.IntegerField()
    dead = serializers.IntegerField()
    waiting = serializers.IntegerField()


class UploadSerializer(WireModelSerializer):
    upload_id = serializers.UUIDField(source="id")
    default_metric_name = serializers.CharField(source="default_metric")
    default_customer_id = serializers.CharField(source="default_customer")
    fate = serializers.SerializerMethodField()

    class Meta:
        model = Upload
        fields = (
            "id",
            "upload_id",
            "file_name",
            "format",
            "state",
            "mapping",
            "default_metric_name",
            "default_customer_id",
            "dry_run",
            "backfill",
            "byte_count",
            "sha256",
            "rows_read",
            "row_count",
            "accepted",
            "failed",
            "fate",
            "error",
            "created_by",
            "created_at",
            "started_at",
            "finished_at",
        )

    @extend_schema_field(UploadFate)
    def get_fate(self, upload: Upload) -> dict[str, Any]:
        fate: dict[str, Any] = UploadFate(fate_of(upload)).data
        return fate
