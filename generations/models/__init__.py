"""The rows of generations, of the workers that process them, and of the webhooks that report them."""

from generations.models.generation import Attempt, Event, Generation, InputImage, Label, SeedRecord
from generations.models.hourly_statistics import HourlyStatistics, StorageUse
from generations.models.webhooks import Delivery, DeliveryAttempt, WebhookEndpoint, WebhookSecret
from generations.models.worker import MaintenanceCursor, Pace, Pause, Slot, Worker
