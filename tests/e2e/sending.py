"""A number that many messages leave over: what was queued, what became of it, and what its provider got."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any

import httpx

from api import Organisation, data, login, serial
from harness import Kabar, eventually


def recipient() -> str:
    return f"62818{serial() % 10**8:08d}"


def recipients(count: int) -> list[str]:
    return [recipient() for _ in range(count)]


class Line:
    """A WhatsApp number of an organisation, and the messages queued over it in this test."""

    def __init__(self, organisation: Organisation, **settings: Any):
        self.organisation = organisation
        self.api = organisation.api
        self.simulator = organisation.kabar.simulator
        self.account = organisation.whatsapp(**({"settings": settings} if settings else {}))
        self.number = self.account.number
        self.queued: list[dict[str, Any]] = []

    @classmethod
    def own(cls, kabar: Kabar, **settings: Any) -> Line:
        """On a running server of one's own, which the simulator calls back from now on."""
        assert kabar.simulator is not None
        kabar.simulator.clear_faults()
        kabar.simulator.configure(
            webhook_whatsapp=kabar.base_url + "/webhooks/whatsapp", app_secret=kabar.keys.app_secret, auto_statuses=True
        )
        token = login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"]
        return cls(Organisation(kabar, token), **settings)

    def queue(self, to: str, body: str | None = None, **more: Any) -> dict[str, Any]:
        body = body or f"Pesan {len(self.queued)}"
        fields = {"channel_id": self.account.channel_id, "wa_id": to, "body": body}
        message = data(self.api.post("/messages", fields | more), 200)
        self.queued.append(message)
        return message

    def queue_to(self, people: Iterable[str], each: int = 1, **more: Any) -> list[dict[str, Any]]:
        """`each` messages to every one of them, in turns."""
        people = list(people)
        return [self.queue(person, **more) for _ in range(each) for person in people]

    def queue_while_it_lives(self, people: list[str], count: int) -> None:
        """Queues until that is done or the server is gone."""
        try:
            for turn in range(count):
                self.queue(people[turn % len(people)])
        except httpx.TransportError:
            pass

    def now(self, message: dict[str, Any]) -> dict[str, Any]:
        return data(self.api.get(f"/messages/{message['id']}"), 200)

    def rows(self) -> list[dict[str, Any]]:
        """Every outbound message, also one whose queueing was not answered."""
        return [m for m in self.organisation.messages() if m["direction"] == "outbound"]

    def statuses(self) -> collections.Counter[str]:
        return collections.Counter(row["status"] for row in self.rows())

    def reaches(self, message: dict[str, Any], status: str, timeout: float = 20.0) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            now = self.now(message)
            assert now["status"] == status, now
            return now

        return eventually(look, timeout)

    def sent(self, **match: str) -> list[dict[str, Any]]:
        """What the provider accepted, in its order."""
        return self.simulator.sent(**{"from": self.number.phone_number_id, **match})

    def sent_in_order(self) -> None:
        """Each conversation's messages came in the order of their queueing."""
        wanted, came = collections.defaultdict(list), collections.defaultdict(list)
        to = {s["callback_data"]: s["to"] for s in self.sent()}
        for message in self.queued:
            if message["id"] in to:
                wanted[to[message["id"]]].append(message["id"])
        for arrived in self.sent():
            came[arrived["to"]].append(arrived["callback_data"])
        assert came == wanted

    def once(self, *statuses: str, timeout: float = 60.0) -> list[dict[str, Any]]:
        """Waits until every message has one of these statuses (`read` without any), and looks at the other side:
        what is read was sent exactly once, everything else at most once. All messages as they stand."""
        allowed = set(statuses or ["read"])

        def look() -> list[dict[str, Any]]:
            rows = self.rows()
            open_ = collections.Counter(row["status"] for row in rows if row["status"] not in allowed)
            assert not open_, f"of {len(rows)} messages are still {dict(open_)}"
            return rows

        rows = eventually(look, timeout, 0.2)
        assert {m["id"] for m in self.queued} <= {row["id"] for row in rows}, "lost"
        arrived = collections.Counter(s["callback_data"] for s in self.sent())
        for row in rows:
            times = arrived.pop(row["id"], 0)
            assert times <= 1, f"sent {times} times: {row}"
            if row["status"] in ("sent", "delivered", "read"):
                assert times == 1 and row["provider_message_id"], row
            if row["status"] in ("failed", "cancelled"):
                assert times == 0, row
        assert not arrived, "sent and not known"
        return rows

    def dead(self, **query: Any) -> list[dict[str, Any]]:
        return self.api.all("/dead-letters", **query)

    def keeps_pace(self, per_second: int, seconds: int = 4) -> None:
        """No more arrived in any few seconds than may, by the provider's clock. A machine that is busy delays some and lets
        them arrive with those after them: half a second's worth is allowed for that. A burst is many times as much."""
        times = sorted(s["at"] for s in self.sent())
        most = max(sum(1 for at in times if begin <= at < begin + seconds * 1000) for begin in times)
        assert most <= seconds * per_second + max(3, per_second // 2), f"{most} in {seconds} s"

    def revoke(self, access_token: str) -> None:
        """The provider knows only this token from now on."""
        body = {"phone_number_id": self.number.phone_number_id, "access_token": access_token}
        self.simulator.post("tokens", body)

    def give(self, access_token: str) -> None:
        data(self.api.put(f"/messaging-accounts/{self.account.id}", {"access_token": access_token}), 200)

    def standing(self) -> dict[str, Any]:
        return data(self.api.get(f"/messaging-accounts/{self.account.id}"), 200)

    def told(self, field: str) -> list[Any]:
        """What events said of this field of the account, oldest first."""
        events = self.api.all("/events", types="messaging_account.updated")
        assert {event["subject_id"] for event in events} <= {self.account.id}
        return [event["data"][field] for event in events if field in (event["data"] or {})]


def uncertain_time_passes(kabar: Kabar) -> None:
    """What is uncertain has been so for long enough to be listed."""
    kabar.sql("UPDATE dead_letters SET listed_at = 1 WHERE reason = 'uncertain'")


def leases_run_out(kabar: Kabar) -> None:
    """The time of a sender that is gone is over."""
    kabar.sql("UPDATE outbound_queue SET lease_until = 1 WHERE lease_until IS NOT NULL")


def holds_end(kabar: Kabar) -> None:
    """Accounts that were left alone are tried again."""
    kabar.sql("UPDATE outbound_accounts SET hold_until = 0")
