"""The URLs of webhook receivers as the panel shows them: text and never a link, since a tenant wrote them."""

from django.utils.html import format_html

from generations.models import Delivery

MAX_LISTED_URL_CHARS = 60  # a list shows the beginning of a longer URL


def destination_of(delivery: Delivery) -> str:
    """Return the URL that the delivery goes to: the endpoint's, or that of the generation's own webhook."""
    return delivery.endpoint.url if delivery.endpoint else delivery.url


def shorten_url(url: str) -> str:
    """Return the URL for a list: a long URL is cut and has the whole URL in its title attribute."""
    if len(url) <= MAX_LISTED_URL_CHARS:
        return url
    return format_html('<span title="{}">{}…</span>', url, url[:MAX_LISTED_URL_CHARS])
