"""Names on the wire."""

from decimal import Decimal

from rest_framework import serializers

from aforo.api.problems import expected_error
from aforo.api.serializers import WireSerializer


class Line(WireSerializer):
    unit_price = serializers.DecimalField(max_digits=10, decimal_places=2)


class Order(WireSerializer):
    ordered_at = serializers.DateTimeField(required=False)
    order_lines = Line(many=True)
    line_count = serializers.SerializerMethodField()
    note = serializers.CharField(source="remark", required=False)

    def get_line_count(self, order):
        return len(order["order_lines"])


def test_what_was_read_has_the_names_of_the_code():
    order = Order(data={"orderLines": [{"unitPrice": "1.50"}], "note": "x"})

    order.is_valid(raise_exception=True)

    assert order.validated_data["order_lines"][0]["unit_price"] == Decimal("1.50")
    assert order.validated_data["remark"] == "x"


def test_errors_name_the_field_as_the_client_wrote_it():
    order = Order(data={"orderLines": [{}]})

    assert not order.is_valid()
    fields = [one.field for one in expected_error(serializers.ValidationError(order.errors)).errors]
    assert fields == ["orderLines[0].unitPrice"]


def test_what_is_answered_has_the_names_of_the_wire():
    answer = Order({"order_lines": [{"unit_price": "2"}], "remark": "y"}).data

    assert answer == {"orderLines": [{"unitPrice": "2.00"}], "lineCount": 1, "note": "y"}
