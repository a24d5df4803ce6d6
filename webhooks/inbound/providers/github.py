"""GitHub: `X-Hub-Signature-256`, HMAC-SHA256 of the raw body in hex. Nothing says when."""

from webhooks.inbound.providers.provider import Payload, Provider, text_in
from webhooks.inbound.rules import Rule
from webhooks.inbound.signatures import Scheme, Signed, require_same, sign

HEADER = "X-Hub-Signature-256"
_WHOSE = "$.repository.owner.login"


def verify(signed: Signed, secret: bytes) -> None:
    """Only SHA-256: the older X-Hub-Signature is not looked at."""
    require_same("sha256=" + sign(secret, signed.body), signed.headers.get(HEADER, ""))


def event_type(payload: Payload, header: str) -> str:
    """`push`, or `workflow_job.completed` where the payload says what was done."""
    kind, action = header.partition(".")[0], text_in(payload, "action")
    return f"{kind}.{action}" if kind and action else kind


def event_id(_payload: Payload) -> str:
    """None: no signature covers X-GitHub-Delivery, and a redelivery has the same body."""
    return ""


GITHUB = Provider(
    verify=verify,
    event_type=event_type,
    event_id=event_id,
    signature_header=HEADER,
    scheme=Scheme(HEADER),
    type_header="X-GitHub-Event",
    rules=(
        Rule(
            event_types=("push",),
            items="$.commits[*]",
            customer=_WHOSE,
            metric="github_commits",
            occurred_at="@.timestamp",
            event_key="@.id",
            metadata={"repository": "$.repository.full_name", "ref": "$.ref"},
        ),
        Rule(
            event_types=("workflow_job.completed",),
            customer=_WHOSE,
            metric="github_workflow_jobs",
            occurred_at="$.workflow_job.completed_at",
            metadata={
                "repository": "$.repository.full_name",
                "workflow": "$.workflow_job.workflow_name",
                "conclusion": "$.workflow_job.conclusion",
            },
        ),
        Rule(
            event_types=("pull_request.closed",),
            customer=_WHOSE,
            metric="github_pull_requests",
            occurred_at="$.pull_request.closed_at",
            metadata={"repository": "$.repository.full_name", "merged": "$.pull_request.merged"},
        ),
    ),
)
