"""Bill runs that did not go well over HTTP: what failed, trying it again, calling a run off."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireSerializer
from aforo.api.views import TenantAPIView
from billing.api.bill_runs import BillRunDetailSerializer, BillRunFailure, shown_run
from billing.selectors.bill_runs import bill_runs, failed_items
from billing.services.run_repairs import cancel_run, retry_run


class Calling(WireSerializer):
    reason = serializers.CharField(max_length=2_000, default="", allow_blank=True)


class BillRunFailures(TenantAPIView):
    """What a run could not bill."""

    selector = bill_runs
    serializer_class = BillRunFailure

    @extend_schema(operation_id="bill_runs_failures_list", responses=BillRunFailure(many=True))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One row per period that failed: of which subscription, in which stage, and why."""
        page = self.paginate_queryset(failed_items(self.get_object()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class BillRunRetry(TenantAPIView):
    """Trying once more what failed."""

    selector = bill_runs
    serializer_class = BillRunDetailSerializer
    replays_answers = False  # the run's own state says whether there is anything to try

    @extend_schema(request=None, responses={202: BillRunDetailSerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Bill what a finished run could not; nothing happens when nothing failed.

        409 BILL_RUN_ACTIVE while it runs, BILL_RUN_CONFLICT while another one over its window does.
        """
        run = retry_run(run=self.get_object(), actor=self.actor, now=timezone.now())
        return shown_run(run, status=202)


class BillRunCancellation(TenantAPIView):
    """Calling a run off."""

    selector = bill_runs
    serializer_class = BillRunDetailSerializer

    @extend_schema(request=Calling)
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Cancel a run that was not executed: its window is free again.

        409 BILL_RUN_STARTED for any other; again changes nothing.
        """
        reason = self.read(Calling, may_be_empty=True)["reason"]
        run = cancel_run(run=self.get_object(), actor=self.actor, now=timezone.now(), reason=reason)
        return shown_run(run)
