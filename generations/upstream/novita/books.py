"""Read the balance and the hourly bills of Novita's account.

The calls are those of Novita's pages "Get user balance" and "List usage-based bills". Amounts are integers of 0.0001
USD, sent as text; times are seconds since the epoch. An answer that is not plain is refused whole, so that no bill is
stored in part.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from generations.foreign_text import clean
from generations.upstream import exchanges
from generations.upstream.answers import Answer, parse_integer, retry_after
from generations.upstream.errors import AccountError, UpstreamError
from generations.upstream.json_bodies import decode
from generations.upstream.novita import answers
from generations.upstream.protocol import Account, Balance, BilledHour

BALANCE = "/openapi/v1/billing/balance/detail"
BILLS_BY_KEY = "/openapi/v1/billing/apikey/bill/list"
CATEGORY = "gen_api"  # images, video and audio
MICRO = 100  # micro-USD of one unit of an amount
MAX_AMOUNT = 2**53  # of one row, in units of an amount; a larger one is a mistake of the upstream
MAX_BYTES = 32 * 1024 * 1024  # of an answer: a row has some 600 bytes, and a week of ten products 1,680 rows a key
MAX_TEXT = 200  # characters of a product's name, and of a key's id


def read_balance(account: Account) -> Balance:
    """Read the account's money. Raise UpstreamError."""
    return exchanges.call(account, "GET", BALANCE, _parse_balance)


def read_bills(account: Account, since: datetime, until: datetime) -> list[BilledHour]:
    """Read the bills of the hours from `since` to `until`, those of NOVITA_KEY_ID alone if it is set.

    Raise UpstreamError.
    """
    query = {"cycleType": "Hour", "category": CATEGORY}
    query |= {"startTime": str(int(since.timestamp())), "endTime": str(int(until.timestamp()))}
    if settings.NOVITA_KEY_ID:
        query["ownerId"] = settings.NOVITA_KEY_ID

    def parse(answer: Answer) -> list[BilledHour]:
        """Return the rows of these hours: the edges of the window may be in the answer too."""
        hours = map(_parse_row, _parse_rows(answer))
        return [hour for hour in hours if since <= hour.hour < until and settings.NOVITA_KEY_ID in ("", hour.owner)]

    return exchanges.call(account, "GET", f"{BILLS_BY_KEY}?{urlencode(query)}", parse, max_bytes=MAX_BYTES)


def _parse_balance(answer: Answer) -> Balance:
    fields = _fields_of(answer)
    return Balance(_micro(fields, "availableBalance"), _clean(fields))


def _parse_rows(answer: Answer) -> list[Any]:
    rows = _fields_of(answer).get("bills")
    if not isinstance(rows, list):
        raise UpstreamError("the answer has no list of bills")
    return rows


def _fields_of(answer: Answer) -> Mapping[str, Any]:
    """Return the object that the answer is. Raise UpstreamError, AccountError if it asks to wait or refuses us."""
    body = decode(answer.content)
    if answer.status == 200 and not body.repeated_names and body.fields:
        return body.fields
    _, reason = answers.status_and_reason(answer)
    text = f"the books were answered with HTTP {answer.status} {reason}".strip()
    if answer.status in (401, 403, 429):
        raise AccountError(text, is_rate_limit=answer.status == 429, retry_after=retry_after(answer))
    raise UpstreamError(text)


def _parse_row(row: Any) -> BilledHour:
    if not isinstance(row, dict):
        raise UpstreamError("a row of the bill is no object")
    product, owner = row.get("productName"), row.get("ownerID") or ""
    if not (isinstance(product, str) and product and isinstance(owner, str)):
        raise UpstreamError(f"a row of the bill names no product: {clean(row, 200)!r}")
    started_at = parse_integer(row.get("startTime"))
    if started_at is None or not 0 <= started_at < 2**33:
        raise UpstreamError(f"a row of the bill has no time: {clean(row.get('startTime'), 50)!r}")
    return BilledHour(
        hour=datetime.fromtimestamp(started_at - started_at % 3600, UTC),
        product=clean(product, MAX_TEXT),
        owner=clean(owner, MAX_TEXT),
        amount_micro=_micro(row, "payAmount") + (_micro(row, "voucherAmount") if row.get("voucherAmount") else 0),
        units=parse_integer(row.get("billNum0")),
        details=_clean(row),
    )


def _clean(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of an answer as texts that can be stored and shown."""
    return {clean(name, MAX_TEXT): clean(value, MAX_TEXT) for name, value in fields.items()}


def _micro(fields: Mapping[str, Any], name: str) -> int:
    """Return an amount in micro-USD. Raise UpstreamError if the field is no integer of 0.0001 USD."""
    amount = parse_integer(fields.get(name))
    if amount is None or abs(amount) > MAX_AMOUNT:
        raise UpstreamError(f"{name} is no amount: {clean(fields.get(name), 50)!r}")
    return amount * MICRO
