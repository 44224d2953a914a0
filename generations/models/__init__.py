"""The rows: generations, who works on them, and who is told of them."""

from generations.models.generation import Attempt, Event, Generation, InputImage, Label, SeedRecord
from generations.models.hourly_statistics import HourlyStatistics, StorageUse
from generations.models.webhooks import Delivery, DeliveryAttempt, WebhookEndpoint, WebhookSecret
from generations.models.worker import MaintenanceCursor, Pace, Pause, Slot, Worker
