"""The URLs of webhook receivers as the panel shows them: text and never a link, since a tenant wrote them.

A URL may hold a token of the receiver. Lists show the host, and so do pages to those who may not change the receiver.
"""

from generations.models import Delivery
from tenants import masked_urls


def destination_of(delivery: Delivery) -> str:
    """Return the URL that the delivery goes to: the endpoint's, or that of the generation's own webhook."""
    return delivery.endpoint.url if delivery.endpoint else delivery.url


def host_of(delivery: Delivery) -> str:
    """Return the same URL, cut behind its host."""
    return masked_urls.mask_urls(destination_of(delivery))
