"""What lists show of contracts and coupons: the rows of one tenant, with all an answer needs."""

from django.db.models import Count, Prefetch, Q, QuerySet

from aforo.tenancy.models import Tenant
from catalog.models import Contract, ContractPhase, ContractPrice, Coupon, CouponRedemption


def contracts(*, tenant: Tenant) -> QuerySet[Contract]:
    """Contracts, newest first, with their phases and prices in order."""
    prices = ContractPrice.objects.for_tenant(tenant).select_related("unit").order_by("unit__name")
    phases = ContractPhase.objects.for_tenant(tenant).order_by("start_at")
    return (
        Contract.objects.for_tenant(tenant)
        .select_related("tenant", "customer", "subscription")
        .order_by("-created_at", "-id")
        .prefetch_related(
            Prefetch("phases", phases.prefetch_related(Prefetch("prices", prices))),
        )
    )


def coupons(*, tenant: Tenant) -> QuerySet[Coupon]:
    """Coupons by code, archived ones too, with the number of times they are redeemed."""
    standing = Count("redemptions", filter=Q(redemptions__revoked_at=None), distinct=True)
    rows: QuerySet[Coupon] = Coupon.objects.for_tenant(tenant)
    return (
        rows.select_related("customer")
        .annotate(redemption_count=standing)
        .order_by("code", "id")
        .prefetch_related("offerings")
    )


def redemptions(*, tenant: Tenant) -> QuerySet[CouponRedemption]:
    """Redeemed coupons in order of redemption, revoked ones too."""
    rows: QuerySet[CouponRedemption] = CouponRedemption.objects.for_tenant(tenant)
    return rows.select_related("coupon", "customer").order_by("redeemed_at", "id")
