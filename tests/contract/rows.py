"""The rows that Alice has before the first call: some of each kind, and a cursor of each list."""

import time
from typing import Any

import httpx

from tests.contract.service import Service
from tests.support.images import data_uri, image_bytes

MAX_WAIT_SECONDS = 60.0  # for the first generations to end and to be delivered


class Alice:
    """The tenant as whom rows are created."""

    def __init__(self, service: Service) -> None:
        self._http = httpx.Client(base_url=service.url, headers={"Authorization": service.keys["alice"]}, timeout=30)
        self._outside = f"http://{service.outside.host}"

    def create_rows(self) -> dict[str, Any]:
        """Create generations, endpoints and deliveries, and return their ids. A DELETE may take those in `spare`."""
        endpoints = [self._create("webhook-endpoints", url=f"{self._outside}/hook") for _ in range(3)]
        generations = [self._create_generation(data_uri(image_bytes())) for _ in range(3)]
        generations.append(self._create_generation(f"{self._outside}/image.jpg"))
        deliveries = self._wait_for_deliveries(len(generations) * (1 + len(endpoints)))
        lists = ("/v1/generations", "/v1/webhook-deliveries")
        return {
            "generations": generations[1:],
            "endpoints": endpoints[1:],
            "deliveries": deliveries[:3],
            "spare": [generations[0], endpoints[0]],
            "schemas": {row["id"]: row["schema"] for row in self._http.get("/v1/models").json()["models"]},
            "cursors": {path: self._http.get(path, params={"limit": 1}).json()["next_cursor"] for path in lists},
        }

    def _create_generation(self, image: str) -> str:
        return self._create("generations", image=image, resolution="480p", webhook_url=f"{self._outside}/hook")

    def _create(self, kind: str, **facts: Any) -> str:
        return str(self._http.post(f"/v1/{kind}", json=facts).raise_for_status().json()["id"])

    def _wait_for_deliveries(self, count: int) -> list[str]:
        """Return the ids of the deliveries once there are `count`: every generation has ended then."""
        ends = time.monotonic() + MAX_WAIT_SECONDS
        while time.monotonic() < ends:
            deliveries = self._http.get("/v1/webhook-deliveries").json()["webhook_deliveries"]
            if len(deliveries) >= count:
                return [row["id"] for row in deliveries]
            time.sleep(0.2)
        raise TimeoutError("The first generations did not end in time.")
