"""Places, a group and people who write in it, for the tests of what becomes of messages."""

from __future__ import annotations

from typing import Any

import whatsapp as wa
from api import Account, Organisation, data, serial
from harness import eventually


class Team:
    """An organisation with a site, a thing and a WhatsApp group."""

    def __init__(self, organisation: Organisation, account: Account, **settings: Any):
        self.organisation, self.account, self.api = organisation, account, organisation.api
        self.server = organisation.kabar
        # Whatever the weights say, these tests are about what follows from it.
        self.settings({"threshold": 0.4} | settings)
        self.site = data(self.api.post("/sites", {"name": "Building A", "code": "A", "aliases": ["Gedung A", "gd A"]}))
        self.other = data(self.api.post("/sites", {"name": "Building B", "code": "B", "aliases": ["Gedung B"]}))
        self.thing = data(self.api.post("/facilities", {"site_id": self.site["id"], "name": "AC lantai 2"}))
        self.group = self.channel()

    def settings(self, operations: dict[str, Any]) -> None:
        body = {"settings": {"operations": operations}}
        data(self.api.put(f"/organisations/{self.organisation.id}", body), 200)

    def channel(self, **fields: Any) -> dict[str, Any]:
        body = {
            "messaging_account_id": self.account.id,
            "kind": "group",
            "external_id": f"12036{serial()}",
            "display_name": "Teknisi",
        }
        return data(self.api.post("/channels", body | fields))

    def write(self, text: str, sender: str | None = None, group: Any = True, **more: Any) -> dict[str, Any]:
        """Delivers a message and answers its item, understood. `group`: ours, another channel, or a direct chat."""
        channel = self.group if group is True else group
        place = {"group_id": channel["external_id"]} if channel else {}
        sender = sender or f"62819{serial() % 10**7:07d}"
        message = wa.message(sender, **{"content": {"body": text}, **place, **more})
        wa.deliver(self.server, wa.arrival(self.account.number, message))
        return self.item(self.organisation.message(message["id"])["id"])

    def item(self, message_id: str) -> dict[str, Any]:
        """The item of a message, once it is understood."""

        def look() -> Any:
            found = [item for item in self.api.all("/inbox") if item["message_id"] == message_id]
            return [item for item in found if item["confidence"] is not None]

        [item] = eventually(look)
        return item

    def said(self, conversation_id: str) -> list[dict[str, Any]]:
        """What Kabar said there, oldest first."""
        messages = self.api.all(f"/conversations/{conversation_id}/messages")
        return [message for message in reversed(messages) if message["direction"] == "outbound"]

    def answer(self, item: dict[str, Any], count: int = 1) -> dict[str, Any]:
        """The latest thing said in the item's conversation, once there are so many."""
        said = eventually(lambda: [m for m in [self.said(item["conversation_id"])] if len(m) >= count])[0]
        assert len(said) == count, [message["body"] for message in said]
        return said[-1]
