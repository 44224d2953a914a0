"""Recovery codes: each lets a user in once, in the place of a code of an authenticator that is lost.

django-otp stores tokens of up to 16 characters as they are, so a hash of that length takes the place of each. A code
has 80 random bits, too many to be guessed from the 96 bits of its hash.
"""

import hashlib
import re
import secrets
from base64 import b32encode, urlsafe_b64encode

from django.contrib.auth.models import User
from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken

COUNT = 10  # codes of a user
CODE_BYTES = 10  # 80 bits: 16 characters
FEW = 3  # codes left, or fewer: the panel says so
PATTERN = re.compile(r"[a-z2-7]{16}")
MAX_HASH_CHARS = 16  # the library's column


def replace(user: User) -> list[str]:
    """Store new codes of the user in the place of all earlier ones, and return them as the user reads them."""
    codes = [b32encode(secrets.token_bytes(CODE_BYTES)).decode().lower() for _ in range(COUNT)]
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # of two requests, one creates the device
        device = find_device(user) or StaticDevice.objects.create(user=user, name="recovery codes")
        device.token_set.all().delete()
        StaticToken.objects.bulk_create([StaticToken(device=device, token=hash_of(device, code)) for code in codes])
    return ["-".join(re.findall(".{4}", code)) for code in codes]


def find_device(user: User) -> StaticDevice | None:
    """Return the device that holds the user's codes, or None if no codes were ever made."""
    device: StaticDevice | None = StaticDevice.objects.filter(user=user).first()
    return device


def count_left(user: User) -> int:
    """Return how many codes of the user were not used yet."""
    left: int = StaticToken.objects.filter(device__user=user).count()
    return left


def hash_of(device: StaticDevice, code: str) -> str:
    """Return what is stored of a code."""
    digest = hashlib.sha256(f"{device.pk}:{code}".encode()).digest()
    return urlsafe_b64encode(digest).decode()[:MAX_HASH_CHARS]
