"""The examples of models and of quotes, for `examples`."""

from typing import Any

Part = dict[str, Any]  # of the document

STANDARD = "seedance-v1-lite-i2v"
URL = "https://example.com/lighthouse.jpg"
KLING = {"model": "kling-v3.0-std-i2v", "image": URL, "prompt": "Gulls cry", "duration": 3, "audio": True}
LIMIT: Part = {"name": "per_day", "scope": "tenant", "limit": 200, "used": 183, "remaining": 17}
LIMIT |= {"resets_at": "2026-11-02T23:00:00Z"}
QUOTE: Part = {
    "model": "kling-v3.0-std-i2v",
    "price_usd": "0.378000",
    "hold_usd": "0.378000",
    "admitted": True,
    "limits": [{**LIMIT, "remaining_after": 16}],
    "refusal": None,
    "eta": 73,
}
REFUSED_QUOTE = {
    **QUOTE,
    "admitted": False,
    "limits": [{**LIMIT, "used": 200, "remaining": 0, "remaining_after": 0}],
    "refusal": {
        "code": "limit_reached",
        "detail": "The limit per_day of the tenant is reached: 200 of 200 used, 0 remaining, 1 required. "
        "It resets at 2026-11-02T23:00:00Z.",
    },
}
MODEL: Part = {
    "id": STANDARD,
    "title": "Seedance V1 Lite Image to Video",
    "task": "i2v",
    "state": "deprecated",
    "replacement": "seedance-v1-pro-i2v",
    "retires_at": "2027-03-01",
    "announced_at": "2026-11-02",
    "supported_resolutions": ["480p", "720p", "1080p"],
    "supported_aspect_ratios": ["16:9", "4:3", "1:1", "3:4", "9:16", "21:9"],
    "supported_durations": [5, 10],
    "seed": True,
    "audio": False,
    "image": {
        "formats": ["jpeg", "png", "webp"],
        "max_bytes": 31457280,
        "side_min": None,
        "short_side_over": 300,
        "side_max": None,
        "long_side_under": 6000,
        "ratio_min": 0.4,
        "ratio_max": 2.5,
        "ratio_over": None,
        "ratio_under": None,
    },
    "prices": [{"when": {}, "unit": "million_tokens", "usd": "1.800000"}],
    "settle": "quoted",
    "schema": {"type": "object", "properties": {"image": {"type": "string"}}, "required": ["image"]},
    "unknown": ["From when the price holds."],
}
