"""Rows for tests: each factory makes the smallest valid one, a test states what it is about.

Everything hangs on one tenant: `CustomerFactory(tenant=tenant)`, or a tenant of its own when none
is given. Versions are drafts unless `published=True`; their prices are `prices={unit: terms}`.
"""

# ruff: noqa: N805 - factory-boy gives a post-generation hook the new row, not the factory

import hashlib
from datetime import UTC, datetime
from itertools import islice
from uuid import uuid4

import factory
import lz4.frame
from django.contrib.auth import get_user_model
from factory.django import DjangoModelFactory

from aforo.ids import new_id
from aforo.outbox.models import OutboxMessage
from aforo.periods import monthly
from aforo.sealing import seal
from aforo.tenancy.models import ApiKey, Member, Tenant
from aforo.tenancy.models.members import Role
from billing.models import BillRun, Invoice, Simulation, TaxRate
from catalog import aliases
from catalog.models import (
    BillableUnit,
    BillingEntity,
    Contract,
    ContractPhase,
    ContractPrice,
    Coupon,
    CouponRedemption,
    Customer,
    CustomerAlias,
    Feature,
    FeatureOverride,
    Offering,
    OfferingPlan,
    PlanFeature,
    Product,
    RatePlan,
    RatePlanVersion,
    Subscription,
    SubscriptionPeriod,
    SubscriptionPlan,
    UnitPrice,
)
from metering.models import (
    Alert,
    AlertKind,
    Correction,
    CostEvent,
    DeadLetter,
    HeldEvent,
    LetterDecision,
    MarginGuard,
    RateCard,
    Session,
    Upload,
)
from webhooks.models import (
    AlertRule,
    CustomerPreference,
    OutboundDelivery,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookSource,
)
from webhooks.outbound.endpoint_secrets import put_secret

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
MONTH_START = datetime(2026, 3, 1, tzinfo=UTC)
PER_UNIT = {"model": "PER_UNIT", "rate": "0.01"}


class TenantFactory(DjangoModelFactory):
    name = factory.Sequence(lambda number: f"Tenant {number}")
    slug = factory.Sequence(lambda number: f"tenant-{number}")
    hash_secret = factory.Sequence(lambda number: number.to_bytes(32, "big"))
    created_at = NOW

    class Meta:
        model = Tenant


class SandboxFactory(TenantFactory):
    """A sandbox twin; `clock_frozen_at=...` stops its clock."""

    live_twin = factory.SubFactory(TenantFactory)


class UserFactory(DjangoModelFactory):
    username = factory.Sequence(lambda number: f"user{number}")

    class Meta:
        model = get_user_model()


class OwnedFactory(DjangoModelFactory):
    tenant = factory.SubFactory(TenantFactory)

    class Meta:
        abstract = True


def same_tenant(owned, **fields):
    """A row of `owned` that belongs to the same tenant."""
    return factory.SubFactory(owned, tenant=factory.SelfAttribute("..tenant"), **fields)


class MemberFactory(OwnedFactory):
    user = factory.SubFactory(UserFactory)
    role = Role.OWNER
    created_at = NOW

    class Meta:
        model = Member


class ApiKeyFactory(OwnedFactory):
    """A metering key; `key.secret` is what a client sends."""

    kind = ApiKey.Kind.METERING
    secret = factory.Sequence(lambda number: f"sk_live_{number:040d}")
    created_at = NOW

    class Meta:
        model = ApiKey

    @classmethod
    def _create(cls, model_class, *args, secret, **fields):
        fields = {
            "prefix": secret[:8],
            "last_four": secret[-4:],
            "digest": hashlib.sha256(secret.encode()).digest(),
            **fields,
        }
        key = super()._create(model_class, *args, **fields)
        key.secret = secret
        return key


class OperatorKeyFactory(ApiKeyFactory):
    kind = ApiKey.Kind.OPERATOR
    secret = factory.Sequence(lambda number: f"afo_live{number:040d}")
    role = Role.ADMIN


class ProductFactory(OwnedFactory):
    name = factory.Sequence(lambda number: f"Product {number}")
    created_at = NOW

    class Meta:
        model = Product


class BillableUnitFactory(OwnedFactory):
    name = factory.Sequence(lambda number: f"unit_{number}")
    created_at = NOW

    class Meta:
        model = BillableUnit


class RatePlanFactory(OwnedFactory):
    name = factory.Sequence(lambda number: f"Plan {number}")
    currency = "USD"
    created_at = NOW

    class Meta:
        model = RatePlan


class RatePlanVersionFactory(OwnedFactory):
    """A draft; `prices={unit: terms}` prices units, `published=True` then publishes it."""

    rate_plan = same_tenant(RatePlanFactory)
    number = 1
    created_at = NOW

    class Meta:
        model = RatePlanVersion
        skip_postgeneration_save = True

    @factory.post_generation
    def prices(version, create, extracted, **kwargs):
        for position, (unit, terms) in enumerate((extracted or {}).items()):
            UnitPriceFactory(version=version, unit=unit, terms=terms, position=position)

    @factory.post_generation
    def published(version, create, extracted, **kwargs):
        if extracted:
            version.status = RatePlanVersion.Status.PUBLISHED
            version.published_at = NOW
            version.save()


class UnitPriceFactory(OwnedFactory):
    version = factory.SubFactory(RatePlanVersionFactory)
    tenant = factory.SelfAttribute("version.tenant")
    unit = same_tenant(BillableUnitFactory)
    terms = PER_UNIT

    class Meta:
        model = UnitPrice


class OfferingFactory(OwnedFactory):
    """An active offering; `rate_plans=[...]` puts plans into it."""

    code = factory.Sequence(lambda number: f"offering-{number}")
    name = factory.SelfAttribute("code")
    currency = "USD"
    created_at = NOW

    class Meta:
        model = Offering
        skip_postgeneration_save = True

    @factory.post_generation
    def rate_plans(offering, create, extracted, **kwargs):
        for position, plan in enumerate(extracted or ()):
            OfferingPlanFactory(offering=offering, rate_plan=plan, position=position)


class OfferingPlanFactory(OwnedFactory):
    offering = factory.SubFactory(OfferingFactory)
    tenant = factory.SelfAttribute("offering.tenant")
    rate_plan = same_tenant(RatePlanFactory)

    class Meta:
        model = OfferingPlan


class CustomerFactory(OwnedFactory):
    external_id = factory.Sequence(lambda number: f"cust_{number}")
    created_at = NOW

    class Meta:
        model = Customer


class CustomerAliasFactory(OwnedFactory):
    customer = factory.SubFactory(CustomerFactory)
    tenant = factory.SelfAttribute("customer.tenant")
    label = factory.Sequence(lambda number: f"alias-{number}")
    digest = factory.LazyAttribute(lambda row: aliases.digest_of(row.tenant.id, row.label))
    created_at = NOW

    class Meta:
        model = CustomerAlias


class BillingEntityFactory(OwnedFactory):
    """The default entity: its tenant can have only one; give `is_default=False` for others."""

    code = factory.Sequence(lambda number: f"E{number}")
    display_name = factory.SelfAttribute("code")
    legal_name = factory.SelfAttribute("code")
    currency = "USD"
    is_default = True
    created_at = NOW

    class Meta:
        model = BillingEntity


class SubscriptionFactory(OwnedFactory):
    """Open-ended from 1 March 2026; `versions=[...]` are its prices, `months=2` its periods."""

    customer = same_tenant(CustomerFactory)
    offering = same_tenant(OfferingFactory)
    billing_entity = same_tenant(BillingEntityFactory, is_default=False)
    currency = "USD"
    start_at = MONTH_START
    anchor_day = 1
    time_zone = "UTC"
    created_at = NOW

    class Meta:
        model = Subscription
        skip_postgeneration_save = True

    @factory.post_generation
    def versions(subscription, create, extracted, **kwargs):
        for position, version in enumerate(extracted or ()):
            SubscriptionPlanFactory(subscription=subscription, version=version, position=position)

    @factory.post_generation
    def months(subscription, create, extracted, **kwargs):
        months = monthly(
            start=subscription.start_at,
            anchor_day=subscription.anchor_day,
            zone=subscription.time_zone,
        )
        for month in islice(months, extracted or 0):
            SubscriptionPeriodFactory(
                subscription=subscription,
                start_at=month.start,
                end_at=month.end,
                whole_start_at=month.whole_start,
            )


class SubscriptionPlanFactory(OwnedFactory):
    subscription = factory.SubFactory(SubscriptionFactory)
    tenant = factory.SelfAttribute("subscription.tenant")
    version = same_tenant(RatePlanVersionFactory, published=True)

    class Meta:
        model = SubscriptionPlan


class SubscriptionPeriodFactory(OwnedFactory):
    subscription = factory.SubFactory(SubscriptionFactory)
    tenant = factory.SelfAttribute("subscription.tenant")
    start_at = MONTH_START
    end_at = datetime(2026, 4, 1, tzinfo=UTC)
    whole_start_at = factory.SelfAttribute("start_at")

    class Meta:
        model = SubscriptionPeriod


class FeatureFactory(OwnedFactory):
    """On or off; give `kind="LIMIT", unit=...` for a quota."""

    key = factory.Sequence(lambda number: f"feature-{number}")
    created_at = NOW

    class Meta:
        model = Feature


class PlanFeatureFactory(OwnedFactory):
    rate_plan = same_tenant(RatePlanFactory)
    feature = same_tenant(FeatureFactory)

    class Meta:
        model = PlanFeature


class FeatureOverrideFactory(OwnedFactory):
    subscription = same_tenant(SubscriptionFactory)
    feature = same_tenant(FeatureFactory)
    created_at = NOW

    class Meta:
        model = FeatureOverride


class ContractFactory(OwnedFactory):
    """A draft of 2026 for all of a customer's; `phases=[{...}]` makes them, `agreed=True` holds."""

    customer = same_tenant(CustomerFactory)
    name = factory.Sequence(lambda number: f"Contract {number}")
    currency = "USD"
    start_at = datetime(2026, 1, 1, tzinfo=UTC)
    end_at = datetime(2027, 1, 1, tzinfo=UTC)
    created_at = NOW

    class Meta:
        model = Contract
        skip_postgeneration_save = True

    @factory.post_generation
    def phases(contract, create, extracted, **kwargs):
        for fields in extracted or ():
            ContractPhaseFactory(contract=contract, **fields)

    @factory.post_generation
    def agreed(contract, create, extracted, **kwargs):
        if extracted:
            contract.status = Contract.Status.ACTIVE
            contract.activated_at = NOW
            contract.save()


class ContractPhaseFactory(OwnedFactory):
    """The whole term; `prices={unit: terms}` replaces the plan's."""

    contract = factory.SubFactory(ContractFactory)
    tenant = factory.SelfAttribute("contract.tenant")
    start_at = factory.SelfAttribute("contract.start_at")
    end_at = factory.SelfAttribute("contract.end_at")

    class Meta:
        model = ContractPhase
        skip_postgeneration_save = True

    @factory.post_generation
    def prices(phase, create, extracted, **kwargs):
        for unit, terms in (extracted or {}).items():
            ContractPriceFactory(phase=phase, unit=unit, terms=terms)


class ContractPriceFactory(OwnedFactory):
    phase = factory.SubFactory(ContractPhaseFactory)
    tenant = factory.SelfAttribute("phase.tenant")
    unit = same_tenant(BillableUnitFactory)
    terms = PER_UNIT

    class Meta:
        model = ContractPrice


class CouponFactory(OwnedFactory):
    """Ten percent off one invoice, for everybody."""

    code = factory.Sequence(lambda number: f"COUPON-{number}")
    discount_type = Coupon.DiscountType.PERCENTAGE
    discount_value = 10
    created_at = NOW

    class Meta:
        model = Coupon


class CouponRedemptionFactory(OwnedFactory):
    coupon = factory.SubFactory(CouponFactory)
    tenant = factory.SelfAttribute("coupon.tenant")
    customer = same_tenant(CustomerFactory)
    redeemed_at = NOW

    class Meta:
        model = CouponRedemption


class RateCardFactory(OwnedFactory):
    """A provider's price for all events of a unit, from 1 March 2026."""

    unit = same_tenant(BillableUnitFactory)
    provider = "openai"
    unit_price = "0.01"
    currency = "USD"
    valid_from = MONTH_START
    created_at = NOW

    class Meta:
        model = RateCard


class MarginGuardFactory(OwnedFactory):
    """Of everybody, at 20, 10 and 0 %."""

    code = factory.Sequence(lambda number: f"guard-{number}")
    created_at = NOW

    class Meta:
        model = MarginGuard


class DeadLetterFactory(OwnedFactory):
    """An open letter of one event with an unknown metric."""

    code = "UNKNOWN_METRIC"
    detail = "metricName 'gpu' is no billable unit of this tenant"
    fingerprint = factory.LazyFunction(uuid4)
    event = b'{"customerId":"cust_1","metricName":"gpu","quantity":1,"idempotencyKey":"key-1"}'
    metric = "gpu"
    customer = "cust_1"
    source = "API"
    batch_id = factory.LazyFunction(uuid4)
    batch_index = 0
    received_at = last_seen_at = NOW

    class Meta:
        model = DeadLetter


class LetterDecisionFactory(OwnedFactory):
    """A replay of one code, not begun."""

    act = LetterDecision.Act.REPLAY
    chosen = factory.Dict({"code": "UNKNOWN_METRIC"})
    until_id = factory.LazyFunction(new_id)
    decided_by = "somebody"
    decided_at = NOW

    class Meta:
        model = LetterDecision


class BillRunFactory(OwnedFactory):
    """A finished run over March 2026; one that is not finished keeps others off its window."""

    window_start = MONTH_START
    window_end = datetime(2026, 4, 1, tzinfo=UTC)
    status = BillRun.Status.COMPLETED
    created_at = NOW

    class Meta:
        model = BillRun


class InvoiceFactory(OwnedFactory):
    """A draft of nothing over a subscription's period."""

    subscription = same_tenant(SubscriptionFactory)
    period = factory.SubFactory(
        SubscriptionPeriodFactory, subscription=factory.SelfAttribute("..subscription")
    )
    customer = factory.SelfAttribute("subscription.customer")
    billing_entity = factory.SelfAttribute("subscription.billing_entity")
    bill_run = same_tenant(BillRunFactory)
    currency = "USD"
    subtotal = discount_total = tax_total = total = 0
    period_start_at = factory.SelfAttribute("period.start_at")
    period_end_at = factory.SelfAttribute("period.end_at")
    seller = factory.Dict({"displayName": "Seller"})
    buyer = factory.Dict({"name": "Buyer"})
    digest = bytes(32)
    created_at = NOW

    class Meta:
        model = Invoice


class TaxRateFactory(OwnedFactory):
    """VAT of 19 % in Germany, as it always was."""

    name = "VAT"
    country = "DE"
    percent = 19
    created_at = NOW

    class Meta:
        model = TaxRate


class SessionFactory(OwnedFactory):
    """An open session that was seen just now."""

    session_id = factory.Sequence(lambda number: f"session-{number}")
    started_at = last_seen_at = NOW

    class Meta:
        model = Session


class WebhookSourceFactory(OwnedFactory):
    """A source whose pushes are signed with `secret`."""

    id = factory.LazyFunction(new_id)
    name = factory.Sequence(lambda number: f"source {number}")
    created_at = NOW

    class Meta:
        model = WebhookSource

    @classmethod
    def _create(cls, model_class, *args, secret="whsec_test", **fields):
        sealed = seal(secret.encode(), purpose="webhook signing secret", row=str(fields["id"]))
        source = super()._create(model_class, *args, sealed_secret=sealed, **fields)
        source.secret = secret.encode()
        return source


class WebhookDeliveryFactory(OwnedFactory):
    source = same_tenant(WebhookSourceFactory)
    verdict = "ACCEPTED"
    arrived_at = NOW
    size = 2
    payload = lz4.frame.compress(b"{}")

    class Meta:
        model = WebhookDelivery


class AlertFactory(OwnedFactory):
    """An open alert of unusual usage."""

    kind = AlertKind.USAGE_ANOMALY
    subject = factory.Sequence(lambda number: f"subject-{number}")
    title = "usage is unusual"
    raised_at = last_seen_at = NOW

    class Meta:
        model = Alert


class CostEventFactory(OwnedFactory):
    kind = "OTHER"
    customer_id = factory.LazyFunction(new_id)
    amount = 1
    currency = "USD"
    idempotency_key = factory.Sequence(lambda number: f"cost-{number}")
    body = factory.LazyFunction(new_id)
    occurred_at = MONTH_START
    received_at = NOW

    class Meta:
        model = CostEvent


class CorrectionFactory(OwnedFactory):
    """An unbilled event taken back, of which there is none: for what never looks for it."""

    kind = Correction.Kind.VOID
    action_id = factory.LazyFunction(new_id)
    event_id = factory.Sequence(lambda number: number)
    idempotency_key = factory.Sequence(lambda number: f"voided-{number}")
    reason = "a test"
    actor_name = "somebody"
    created_at = NOW

    class Meta:
        model = Correction


class HeldEventFactory(OwnedFactory):
    """A late event of a total that there is none of: for what never counts it."""

    running_total_id = 1
    customer_id = factory.LazyFunction(new_id)
    unit_id = factory.LazyFunction(new_id)
    idempotency_key = factory.Sequence(lambda number: f"held-{number}")
    metric = "calls"
    quantity = 1
    occurred_at = MONTH_START
    received_at = NOW
    event = b"{}"
    source = "API"
    batch_id = factory.LazyFunction(new_id)
    batch_index = 0

    class Meta:
        model = HeldEvent


class UploadFactory(OwnedFactory):
    """A draft without its file."""

    file_name = "usage.csv"
    format = "CSV"
    state = "DRAFT"
    created_at = NOW

    class Meta:
        model = Upload


class SimulationFactory(OwnedFactory):
    """A scenario that waits for a worker."""

    name = "nothing happens"
    scenario = factory.LazyFunction(dict)
    created_at = NOW

    class Meta:
        model = Simulation


class WebhookEndpointFactory(OwnedFactory):
    """Takes every fact; `endpoint.secret` is what it is signed with."""

    url = factory.Sequence(lambda number: f"https://hooks{number}.example/")
    secret = "whsec_" + "c2VjcmV0" * 4
    created_at = NOW

    class Meta:
        model = WebhookEndpoint

    @classmethod
    def _create(cls, model_class, *args, secret, **fields):
        endpoint = model_class(*args, **fields)
        put_secret(endpoint, secret)
        endpoint.save(force_insert=True)
        endpoint.secret = secret
        return endpoint


class OutboxMessageFactory(OwnedFactory):
    fact = "dead_letter.threshold_reached"
    payload = {"threshold": 5}
    created_at = NOW

    class Meta:
        model = OutboxMessage


class OutboundDeliveryFactory(OwnedFactory):
    """Of a message that is carried; due at once."""

    endpoint = same_tenant(WebhookEndpointFactory)
    message = same_tenant(OutboxMessageFactory, carried_at=NOW)
    fact = factory.SelfAttribute("message.fact")
    subject = factory.SelfAttribute("message.subject")
    next_attempt_at = NOW
    created_at = NOW

    class Meta:
        model = OutboundDelivery


class AlertRuleFactory(OwnedFactory):
    """Alerts of every fact of its kind."""

    name = factory.Sequence(lambda number: f"Rule {number}")
    fact = "dead_letter.threshold_reached"
    created_at = NOW

    class Meta:
        model = AlertRule


class CustomerPreferenceFactory(OwnedFactory):
    customer = same_tenant(CustomerFactory)

    class Meta:
        model = CustomerPreference
