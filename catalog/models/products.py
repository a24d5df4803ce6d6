"""Products: what is sold."""

from django.db import models

from aforo.tenancy.models import TenantOwned


class ProductType(models.TextChoices):
    API = "API", "API"
    AI_AGENT = "AI_AGENT", "AI agent"
    MCP_SERVER = "MCP_SERVER", "MCP server"
    AGENTIC_API = "AGENTIC_API", "Agentic API"
    GRAPHQL_API = "GRAPHQL_API", "GraphQL API"
    GRPC_API = "GRPC_API", "gRPC API"
    WEBSOCKET_API = "WEBSOCKET_API", "WebSocket API"
    MQTT_BROKER = "MQTT_BROKER", "MQTT broker"


class Product(TenantOwned):
    """One thing a tenant sells; its usage is counted by billable units."""

    class Lifecycle(models.TextChoices):
        EXPERIMENTAL = "EXPERIMENTAL", "Experimental"
        BETA = "BETA", "Beta"
        GA = "GA", "Generally available"
        DEPRECATED = "DEPRECATED", "Deprecated"
        RETIRED = "RETIRED", "Retired"

    class Status(models.TextChoices):
        DRAFT = "DRAFT", "Draft"
        IN_REVIEW = "IN_REVIEW", "In review"
        PUBLISHED = "PUBLISHED", "Published"
        ARCHIVED = "ARCHIVED", "Archived"

    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    type = models.CharField(max_length=16, choices=ProductType, default=ProductType.API)
    lifecycle = models.CharField(max_length=16, choices=Lifecycle, default=Lifecycle.GA)
    status = models.CharField(max_length=12, choices=Status, default=Status.DRAFT)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "products"
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                name="product_name_is_taken_once",
                fields=("tenant", "name"),
                condition=~models.Q(status="ARCHIVED"),
            ),
        )

    def __str__(self) -> str:
        return self.name
