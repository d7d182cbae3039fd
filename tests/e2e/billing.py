"""Paying for an organisation: the terminal at the simulated gateway, customers, and time that runs out."""

from __future__ import annotations

import json
import time
import urllib.parse
from typing import Any

import httpx

from api import Organisation, data
from harness import Kabar, Simulator, eventually

TERMINAL = {
    "tranportal_id": "IPAYtest",
    "password": "tranportal-Secret-9",
    "resource_key": "rEsOuRcE-kEy-of-32-characters-09",
}
ENVIRONMENT: dict[str, str | None] = {
    "KABAR_NEOLEAP_TRANPORTAL_ID": TERMINAL["tranportal_id"],
    "KABAR_NEOLEAP_TRANPORTAL_PASSWORD": TERMINAL["password"],
    "KABAR_NEOLEAP_RESOURCE_KEY": TERMINAL["resource_key"],
    "KABAR_BILLING_SELLER": "Kabar & Sons\nOlaya Street, Riyadh\nVAT 300000000000003",
}


def environment(simulator: Simulator) -> dict[str, str | None]:
    return {**ENVIRONMENT, "KABAR_NEOLEAP_BASE_URL": simulator.base_url + "/pg/payment/"}


class Gateway:
    """The simulated gateway, with one terminal whose messages go to one server."""

    def __init__(self, kabar: Kabar, webhook: bool = True, notification: bool = True):
        assert kabar.simulator is not None
        self.kabar = kabar
        self.simulator = kabar.simulator
        self.address = kabar.base_url + "/api/webhooks/neoleap"
        self.connect(webhook, notification)

    def connect(self, webhook: bool, notification: bool) -> None:
        terminal = {
            **TERMINAL,
            "webhook": self.address if webhook else None,
            "notification": self.address if notification else None,
        }
        self.simulator.configure(neoleap=terminal)
        assert self.simulator.http.delete("/_sim/neoleap/troubles").is_success

    def trouble(self, call: str, fault: str, **more: Any) -> None:
        self.simulator.post("neoleap/troubles", {"call": call, "fault": fault, **more})

    def payment(self, payment_url: str) -> dict[str, Any]:
        """What the gateway knows of the payment that this page is for."""
        [payment_id] = urllib.parse.parse_qs(urllib.parse.urlsplit(payment_url).query)["PaymentID"]
        listed = self.simulator.http.get("/_sim/neoleap/payments").json()["data"]
        [found] = [payment for payment in listed if str(payment["payment_id"]) == payment_id]
        return found

    def pay(self, payment_url: str, outcome: str = "captured", tell: bool = True) -> str:
        """A customer pays, or does not; where their browser is sent."""
        name = self.payment(payment_url)["track_id"]
        return self.simulator.post("neoleap/pay", {"payment": name, "outcome": outcome, "tell": tell})["redirect"]

    def later(self, what: str, payment_url: str, **more: Any) -> Any:
        """`result`, `refund` or `void` of a payment."""
        name = self.payment(payment_url)["track_id"]
        return self.simulator.post(f"neoleap/{what}", {"payment": name, **more})

    def sealed(self, fields: dict[str, Any], key: str | None = None) -> str:
        body = {"json": [fields], **({"key": key} if key else {})}
        return self.simulator.post("neoleap/encrypt", body)["trandata"]

    def notification(self, payment: dict[str, Any], key: str | None = None, **changed: Any) -> list[dict[str, Any]]:
        """The encrypted message about a payment, with some fields changed."""
        fields = {
            "paymentId": str(payment["payment_id"]),
            "result": "CAPTURED",
            "transId": "2026112600000000099",
            "trackId": payment["track_id"],
            "amt": payment["amount"],
            "authRespCode": "00",
            **changed,
        }
        return [{"paymentId": payment["payment_id"], "trandata": self.sealed(fields, key)}]

    def post(self, body: Any) -> httpx.Response:
        content = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return self.kabar.http.post(
            "/api/webhooks/neoleap", content=content, headers={"Content-Type": "application/json"}
        )


class Customer:
    """An organisation that is to pay."""

    def __init__(self, organisation: Organisation, gateway: Gateway):
        self.organisation = organisation
        self.kabar = organisation.kabar
        self.api = organisation.api
        self.gateway = gateway

    def standing(self) -> dict[str, Any]:
        return data(self.api.get("/billing"), 200)

    def plan(self, slug: str = "team") -> dict[str, Any]:
        [plan] = [plan for plan in data(self.api.get("/billing/plans"), 200) if plan["slug"] == slug]
        return plan

    def checkout(self, slug: str = "team", **more: Any) -> dict[str, Any]:
        return data(self.api.post("/billing/checkout", {"plan_id": self.plan(slug)["id"], **more}), 201)

    def invoice(self, id: str) -> dict[str, Any]:
        return data(self.api.get(f"/billing/invoices/{id}"), 200)

    def becomes(self, invoice_id: str, status: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            invoice = self.invoice(invoice_id)
            assert invoice["status"] == status, invoice
            return invoice

        return eventually(look)

    def payment_status(self, payment_id: str) -> str:
        found = [event["data"] for event in self.events("payment.updated") if event["data"]["id"] == payment_id]
        return found[-1]["status"] if found else "pending"

    def events(self, kind: str) -> list[dict[str, Any]]:
        return self.api.all("/events", types=kind)

    def ends(self, days: float) -> None:
        """What is paid for ends in so many days, or ended."""
        self.standing()
        micros = f"paid_until + {int((days - self.left()) * 86_400_000_000)}"
        self.kabar.sql(
            f"UPDATE subscriptions SET paid_until = {micros}, anchor_day = NULL "
            f"WHERE organisation_id = (SELECT id FROM organisations WHERE slug = '{self.organisation.slug}') "
            "RETURNING 1"
        )

    def left(self) -> float:
        """Days until what is paid for ends."""
        found = self.kabar.sql(
            "SELECT s.paid_until FROM subscriptions s JOIN organisations o ON o.id = s.organisation_id "
            f"WHERE o.slug = '{self.organisation.slug}'"
        )
        return int(found) / 86_400_000_000 - time.time() / 86_400


def hasten(kabar: Kabar) -> None:
    """Every question to the gateway that waits for its time is asked now."""
    kabar.sql("UPDATE jobs SET due_at = 0 WHERE kind = 14 AND lease_until IS NULL RETURNING 1")
