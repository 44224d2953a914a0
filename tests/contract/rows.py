"""What Alice has before the first call: rows of each kind, and a cursor of each list."""

import time
from typing import Any

import httpx

from tests.contract.service import Service
from tests.support.images import data_uri, image_bytes

WITHIN = 60.0  # seconds for the first generations to end and to be told of


class Alice:
    def __init__(self, service: Service) -> None:
        self._http = httpx.Client(base_url=service.url, headers={"Authorization": service.keys["alice"]}, timeout=30)
        self._outside = f"http://{service.outside.host}"

    def rows(self) -> dict[str, Any]:
        """`spare`: those of which a DELETE may take one."""
        endpoints = [self._made("webhook-endpoints", url=f"{self._outside}/hook") for _ in range(3)]
        generations = [self._generation(data_uri(image_bytes())) for _ in range(3)]
        generations.append(self._generation(f"{self._outside}/picture.jpg"))
        deliveries = self._told(len(generations) * (1 + len(endpoints)))
        lists = ("/v1/generations", "/v1/webhook-deliveries")
        return {
            "generations": generations[1:],
            "endpoints": endpoints[1:],
            "deliveries": deliveries[:3],
            "spare": [generations[0], endpoints[0]],
            "cursors": {path: self._http.get(path, params={"limit": 1}).json()["next_cursor"] for path in lists},
        }

    def _generation(self, image: str) -> str:
        return self._made("generations", image=image, resolution="480p", webhook_url=f"{self._outside}/hook")

    def _made(self, kind: str, **facts: Any) -> str:
        return str(self._http.post(f"/v1/{kind}", json=facts).raise_for_status().json()["id"])

    def _told(self, count: int) -> list[str]:
        """The deliveries, once there are so many: every generation has ended then."""
        ends = time.monotonic() + WITHIN
        while time.monotonic() < ends:
            found = self._http.get("/v1/webhook-deliveries").json()["webhook_deliveries"]
            if len(found) >= count:
                return [row["id"] for row in found]
            time.sleep(0.2)
        raise TimeoutError("The first generations do not end.")
