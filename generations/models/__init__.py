"""The rows of generations, of the workers that process them, and of the webhooks that report them."""

from generations.models.generation import Generation, SeedRecord
from generations.models.hourly_statistics import HourlyStatistics, StorageUse
from generations.models.input_image import InputImage
from generations.models.label import Label
from generations.models.limit_warning import LimitWarning
from generations.models.model_state import ModelState
from generations.models.timeline import Attempt, AttemptSearch, Event
from generations.models.undeleted_object import UndeletedObject
from generations.models.upstream_books import BilledProduct, UpstreamBill, UpstreamBooks
from generations.models.usage_sums import UsageSum, UsageSumState
from generations.models.webhooks import Delivery, DeliveryAttempt, WebhookEndpoint, WebhookSecret
from generations.models.worker import ListReader, MaintenanceCursor, ManualPause, Pace, Pause, PollPause, Slot, Worker
