"""Filters of the panel's templates: `{% load panel %}`."""

from django import template

from tenants import amounts

register = template.Library()


@register.filter
def usd(micro: int) -> str:
    """Return micro-USD as USD with two to six decimals."""
    return amounts.format_short(micro)


@register.filter
def signed_usd(micro: int) -> str:
    """Return micro-USD as USD with two to six decimals and a sign."""
    return amounts.format_short(micro, signed=True)
