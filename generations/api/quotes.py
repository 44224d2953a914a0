"""POST /v1/generations/quote: the price of a create, and whether it would be admitted now. Nothing is stored."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from generations.api.create_generation import read_request
from generations.api.json_codec import JSONParser
from generations.api.large_bodies import LargeBodies
from generations.api.multipart import FormParser
from generations.api.request_bodies import NativeCreate
from generations.intake import quotes
from tenants import amounts
from tenants.api import limits
from tenants.api.base import key_of, respond
from tenants.limits import windows
from tenants.limits.windows import LimitUsage


class QuotedLimitSchema(limits.LimitSchema):
    """A limit as it is now, and after the create."""

    remaining_after = limits.Amount(
        allow_null=True,
        help_text=f"What would remain; 0 if the limit is too small. null: no limit, or no known price. {limits.AMOUNT}",
    )


class QuoteRefusalSchema(serializers.Serializer[Any]):
    """The error with which the create would be answered."""

    code = serializers.CharField()
    detail = serializers.CharField()


class QuoteSchema(serializers.Serializer[Any]):
    model = serializers.CharField()
    price_usd = serializers.CharField(
        allow_null=True, help_text="The highest price, in USD with six decimals. null: no price is known."
    )
    hold_usd = serializers.CharField(allow_null=True, help_text="What the create would hold of budgets.")
    admitted = serializers.BooleanField(help_text="Whether the create would be admitted now.")
    limits = QuotedLimitSchema(many=True)
    refusal = QuoteRefusalSchema(allow_null=True, help_text="Why it would be refused; null: it would not.")
    eta = serializers.IntegerField(
        allow_null=True, help_text="Seconds from the create to the video. null: none of the kind was made yet."
    )


class QuoteView(LargeBodies):
    parser_classes = [JSONParser, FormParser]

    @extend_schema(
        operation_id="generations_quote",
        summary="Ask for the price of a create, and whether it would be admitted",
        request={"application/json": NativeCreate, "multipart/form-data": NativeCreate},
        responses=QuoteSchema,
    )
    def post(self, request: Request) -> HttpResponse:
        """The body is that of a create. Nothing is stored, held or counted, and images are not looked at.

        Another create may take the last of a limit before yours: only a create is a promise.
        """
        key = key_of(request)
        generation_request = read_request(NativeCreate, request.data)
        quote = quotes.make_quote(key, generation_request)
        refusal = quote.refusal
        price = None if quote.price_micro is None else amounts.format_usd(quote.price_micro)
        shown = [(usage, amount) for usage, amount in quote.limits if limits.is_shown(key, usage)]
        return respond(
            {
                "model": generation_request.model.id,
                "price_usd": price,
                "hold_usd": price,
                "admitted": refusal is None,
                "limits": [_render_limit(usage, amount) for usage, amount in shown],
                "refusal": {"code": refusal.code, "detail": str(refusal)} if refusal else None,
                "eta": quote.eta,
            }
        )


def _render_limit(usage: LimitUsage, amount: int | None) -> dict[str, Any]:
    """Return a limit as an object of the answer, with what would remain after a create that takes the amount."""
    after = None if usage.remaining is None or amount is None else max(usage.remaining - amount, 0)
    return {**limits.render(usage), "remaining_after": windows.format_amount(usage.kind, after)}
