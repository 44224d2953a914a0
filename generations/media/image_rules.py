"""The rules of a model for its images: formats, bytes, sides in pixels, and shape."""

from dataclasses import dataclass
from typing import NoReturn

from generations import errors
from generations.media.images import SERVICE


@dataclass(frozen=True)
class ImageRules:
    """The images that a model takes. None: there is no such rule. `ratio` is width / height."""

    taker: str = SERVICE  # the model's id, for messages
    formats: tuple[str, ...] = ()  # empty: each that the service can read
    max_bytes: int | None = None
    side_min: int | None = None  # inclusive, of each side
    short_side_over: int | None = None  # exclusive
    side_max: int | None = None  # inclusive, of each side
    long_side_under: int | None = None  # exclusive
    ratio_min: float | None = None  # inclusive
    ratio_max: float | None = None
    ratio_over: float | None = None  # exclusive
    ratio_under: float | None = None

    def check(self, image_format: str, width: int, height: int, size: int) -> None:
        """Raise a BadImage for an image that the model does not take. `size` is in bytes."""
        if self.formats and image_format not in self.formats:
            raise errors.ImageFormatUnknown(taker=self.taker, formats=", ".join(self.formats))
        if self.max_bytes is not None and size > self.max_bytes:
            raise errors.ImageTooManyBytes(taker=self.taker, limit=self.max_bytes)
        self._check_sides(min(width, height), max(width, height))
        self._check_ratio(width / height)

    def _check_sides(self, shorter: int, longer: int) -> None:
        if self.long_side_under is not None and longer >= self.long_side_under:
            raise errors.ImageTooLarge(taker=self.taker, side=longer, limit=f"less than {self.long_side_under}")
        if self.side_max is not None and longer > self.side_max:
            raise errors.ImageTooLarge(taker=self.taker, side=longer, limit=f"at most {self.side_max}")
        if self.short_side_over is not None and shorter <= self.short_side_over:
            raise errors.ImageTooSmall(taker=self.taker, side=shorter, limit=f"more than {self.short_side_over}")
        if self.side_min is not None and shorter < self.side_min:
            raise errors.ImageTooSmall(taker=self.taker, side=shorter, limit=f"at least {self.side_min}")

    def _check_ratio(self, ratio: float) -> None:
        if self.ratio_over is not None and ratio <= self.ratio_over:
            self._refuse_ratio(ratio)
        if self.ratio_under is not None and ratio >= self.ratio_under:
            self._refuse_ratio(ratio)
        if not (self.ratio_min or 0) <= ratio <= (self.ratio_max or float("inf")):
            self._refuse_ratio(ratio)

    def _refuse_ratio(self, ratio: float) -> NoReturn:
        raise errors.ImageAspectOutOfRange(taker=self.taker, aspect=f"{ratio:.4f}", range=self.describe_ratio())

    def describe_ratio(self) -> str:
        """Return the ratios that the model takes, as text: "from 0.4 to 2.5"."""
        least = f"over {self.ratio_over:g}" if self.ratio_over is not None else f"from {self.ratio_min or 0:g}"
        if self.ratio_under is not None:
            return f"{least} to under {self.ratio_under:g}"
        return f"{least} to {self.ratio_max:g}" if self.ratio_max is not None else f"{least} on"

    def describe(self) -> str:
        """Return all rules as text: "jpeg or png, at most 10000000 bytes, each side at least 300 pixels"."""
        *others, last = self.formats or ("any image",)
        parts = [" or ".join(filter(None, (", ".join(others), last)))]
        limits = {
            "at most {} bytes": self.max_bytes,
            "each side at least {} pixels": self.side_min,
            "each side over {} pixels": self.short_side_over,
            "each side at most {} pixels": self.side_max,
            "each side under {} pixels": self.long_side_under,
        }
        parts += [text.format(limit) for text, limit in limits.items() if limit is not None]
        if any((self.ratio_min, self.ratio_max, self.ratio_over, self.ratio_under)):
            parts.append(f"width / height {self.describe_ratio()}")
        return ", ".join(parts)
