"""Every type of message: its exact shape on the provider's wire, and what the provider would refuse."""

import pytest

import telegram as tg
import whatsapp as wa
from api import UNKNOWN_ID, data, refused, serial
from harness import eventually
from telegram import Hook

URL = "https://cdn.example.com/file"


class Conversation:
    """A person who has written over one channel."""

    def __init__(self, api, simulator, provider, person, incoming):
        self.api, self.simulator, self.provider, self.person = api, simulator, provider, person
        self.incoming = incoming
        self.id = incoming["conversation_id"]

    def send(self, **body):
        """Queues, waits until it is sent, and gives the resource and what arrived."""
        message = data(self.api.post("/messages", {"conversation_id": self.id, **body}), 200)

        def sent():
            now = data(self.api.get(f"/messages/{message['id']}"))
            assert now["status"] in ("sent", "delivered", "read", "played"), now
            assert now["provider_message_id"]
            return now

        final = eventually(sent)
        arrived = [
            row
            for row in self.simulator.sent(provider=self.provider)
            if row["id"].endswith(final["provider_message_id"].split(":reaction:")[0])
            or (":reaction" in row["id"] and ":reaction:" in final["provider_message_id"])
        ]
        return final, arrived[-1]

    def wire(self, **body):
        """The provider's own object for the type."""
        _, arrived = self.send(**body)
        payload = arrived["payload"]
        return payload[payload["type"]] if self.provider == "whatsapp" else (arrived["type"], payload)

    def refused(self, field, **body):
        before = len(self.simulator.sent(to=self.person))
        answer = refused(self.api.post("/messages", {"conversation_id": self.id, **body}), 422)
        assert list(answer["errors"]) == [field], answer
        assert answer["errors"][field] == [answer["message"]]
        assert len(self.simulator.sent(to=self.person)) == before
        return answer


@pytest.fixture
def person(server, organisation, account, api, simulator):
    """On WhatsApp."""
    who = f"62817{serial() % 10**8:08d}"
    incoming = wa.message(who)
    wa.deliver(server, wa.arrival(account.number, incoming))
    return Conversation(api, simulator, "whatsapp", who, organisation.message(incoming["id"]))


@pytest.fixture
def chat(organisation, bot, api, simulator):
    """In a private chat with a Telegram bot; the simulator knows the message that was received."""
    who = 92_000_000 + serial() % 10**7
    simulator.post("telegram/inbound", {"token": bot.bot_token, "chat_id": who, "text": "Halo"})

    [incoming] = eventually(organisation.messages)
    return Conversation(api, simulator, "telegram", str(who), incoming)


BUTTONS = [{"id": "yes", "title": "Yes"}, {"id": "no", "title": "No"}]
SECTIONS = [
    {"title": "Today", "rows": [{"id": "t1", "title": "09:00", "description": "with Siti"}]},
    {"title": "Tomorrow", "rows": [{"id": "m1", "title": "10:00"}]},
]
CARD = {"name": {"formatted_name": "Siti Rahma"}, "phones": [{"phone": "+62811223344", "type": "WORK"}]}


# WhatsApp.


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"body": "see https://a.b"}, {"body": "see https://a.b", "preview_url": True}),
        ({"body": "see https://a.b", "preview_url": False}, {"body": "see https://a.b", "preview_url": False}),
        ({"body": "**a** _b_ [c](https://d.e)", "format": "markdown"}, {"body": "*a* _b_ c (https://d.e)", "preview_url": True}),
        ({"body": "<b>a</b><br>1 &lt; 2", "format": "html"}, {"body": "*a*\n1 < 2"}),
        ({"body": "*a* <b>"}, {"body": "*a* <b>"}),
        ({"type": "image", "media_url": URL, "body": "x"}, {"link": URL, "caption": "x"}),
        ({"type": "image", "provider_media_id": None, "media_url": URL, "body": "<i>x</i>", "format": "html"}, {"link": URL, "caption": "_x_"}),
        ({"type": "video", "media_url": URL}, {"link": URL}),
        ({"type": "audio", "media_url": URL}, {"link": URL}),
        ({"type": "voice", "media_url": URL}, {"link": URL, "voice": True}),
        ({"type": "sticker", "media_url": URL}, {"link": URL}),
        ({"type": "document", "media_url": URL, "filename": "a.pdf"}, {"link": URL, "filename": "a.pdf"}),
        ({"type": "location", "location": {"latitude": -6.2, "longitude": 106.8}}, {"latitude": -6.2, "longitude": 106.8}),
        (
            {"type": "location", "location": {"latitude": 1, "longitude": 2, "name": "Gudang", "address": "Jl. A 1"}},
            {"latitude": 1.0, "longitude": 2.0, "name": "Gudang", "address": "Jl. A 1"},
        ),
        (
            {"type": "contacts", "contacts": [CARD]},
            [{"name": {"formatted_name": "Siti Rahma", "first_name": "Siti Rahma"}, "phones": [{"phone": "+62811223344", "type": "WORK"}]}],
        ),
        (
            {"type": "interactive", "body": "Sure?", "interactive": {"type": "buttons", "footer": "F", "buttons": BUTTONS}},
            {
                "type": "button",
                "body": {"text": "Sure?"},
                "footer": {"text": "F"},
                "action": {"buttons": [{"type": "reply", "reply": button} for button in BUTTONS]},
            },
        ),
        (
            {
                "type": "interactive",
                "interactive": {
                    "type": "list",
                    "header": {"type": "text", "text": "H"},
                    "body": "When?",
                    "button": "Times",
                    "sections": SECTIONS,
                },
            },
            {
                "type": "list",
                "header": {"type": "text", "text": "H"},
                "body": {"text": "When?"},
                "action": {"button": "Times", "sections": SECTIONS},
            },
        ),
        (
            {
                "type": "interactive",
                "body": "Track it",
                "interactive": {
                    "type": "cta_url",
                    "header": {"type": "image", "media_url": URL},
                    "button": "Open",
                    "url": "https://shop.example.com/1",
                },
            },
            {
                "type": "cta_url",
                "header": {"type": "image", "image": {"link": URL}},
                "body": {"text": "Track it"},
                "action": {"name": "cta_url", "parameters": {"display_text": "Open", "url": "https://shop.example.com/1"}},
            },
        ),
        (
            {"type": "interactive", "body": "Where?", "interactive": {"type": "location_request"}},
            {"type": "location_request_message", "body": {"text": "Where?"}, "action": {"name": "send_location"}},
        ),
        (
            {"type": "flow", "body": "Book", "flow": {"id": "77", "button": "Open", "token": "t", "screen": "A", "data": {"x": 1}}},
            {
                "type": "flow",
                "body": {"text": "Book"},
                "action": {
                    "name": "flow",
                    "parameters": {
                        "flow_message_version": "3",
                        "flow_id": "77",
                        "flow_cta": "Open",
                        "flow_token": "t",
                        "mode": "published",
                        "flow_action": "navigate",
                        "flow_action_payload": {"screen": "A", "data": {"x": 1}},
                    },
                },
            },
        ),
    ],
    ids=lambda value: str(value.get("type", "text")) if isinstance(value, dict) and "body" in value else None,
)
def test_whatsapp_shapes(person, body, expected):
    assert person.wire(**body) == expected


def test_a_whatsapp_reaction_and_its_removal(person):
    target = person.incoming
    put, arrived = person.send(type="reaction", message_id=target["id"], emoji="👍")
    assert arrived["payload"]["reaction"] == {"message_id": target["provider_message_id"], "emoji": "👍"}
    assert "context" not in arrived["payload"]
    assert (put["type"], put["body"], put["reply_to_id"]) == ("reaction", "👍", target["id"])
    taken, arrived = person.send(type="reaction", reply_to=target["id"], emoji="")
    assert arrived["payload"]["reaction"] == {"message_id": target["provider_message_id"], "emoji": ""}
    assert (taken["body"], taken["payload"]) == (None, {"removed": True})


def test_a_reaction_needs_only_its_message(person, api):
    body = {"type": "reaction", "message_id": person.incoming["id"], "emoji": "👍"}
    assert data(api.post("/messages", body), 200)["conversation_id"] == person.id


def test_a_whatsapp_answer_quotes(person):
    final, arrived = person.send(body="Baik", reply_to=person.incoming["id"])
    assert arrived["payload"]["context"] == {"message_id": person.incoming["provider_message_id"]}
    assert final["reply_to_id"] == person.incoming["id"]


def test_a_file_by_the_providers_id(person, account, simulator):
    number = account.number
    answer = simulator.http.post(
        f"/v24.0/{number.phone_number_id}/media",
        headers={"Authorization": f"Bearer {number.access_token}"},
        data={"messaging_product": "whatsapp", "type": "image/png"},
        files={"file": ("a.png", b"png", "image/png")},
    )
    name = answer.json()["id"]
    final, arrived = person.send(type="image", provider_media_id=name)
    assert arrived["payload"]["image"] == {"id": name}
    assert final["media"][0]["id"] == name


def test_the_payload_is_shown_as_it_was_given(person):
    interactive = {"type": "buttons", "header": {"type": "text", "text": "H"}, "footer": "F", "buttons": BUTTONS}
    final, _ = person.send(type="interactive", body="Sure?", interactive=interactive)
    assert (final["body"], final["payload"]) == ("Sure?", interactive)
    final, _ = person.send(type="contacts", contacts=[CARD])
    assert (final["body"], final["payload"]) == ("Siti Rahma", {"contacts": [CARD]})
    place = {"latitude": 1.5, "longitude": 2.5, "name": "Gudang"}
    final, _ = person.send(type="location", location=place)
    assert (final["body"], final["payload"]) == ("Gudang", place)
    header = {"type": "document", "media_url": URL, "filename": "a.pdf"}
    final, _ = person.send(type="interactive", body="x", interactive=interactive | {"header": header})
    assert final["payload"]["header"] == {"type": "document"}
    assert (final["media"][0]["url"], final["media"][0]["filename"]) == (URL, "a.pdf")


def interactive(**fields):
    return {"type": "interactive", "body": "x", "interactive": fields}


def row(id="r", title="t", **more):
    return {"id": id, "title": title, **more}


def listed(*rows, **more):
    return interactive(type="list", button="B", sections=[{"rows": list(rows)}], **more)


WHATSAPP_REFUSES = [
    ("body", {"body": "x" * 4097}),
    ("body", {"type": "image", "media_url": URL, "body": "x" * 1025}),
    ("media_url", {"type": "sticker"}),
    ("media_url", {"type": "image", "media_url": URL, "provider_media_id": "1"}),
    ("media_id", {"type": "image", "media_id": "nonsense"}),
    ("location", {"type": "location"}),
    ("location.latitude", {"type": "location", "location": {"latitude": 91, "longitude": 0}}),
    ("location.longitude", {"type": "location", "location": {"latitude": 0, "longitude": -181}}),
    ("location.longitude", {"type": "location", "location": {"latitude": 0}}),
    ("contacts", {"type": "contacts", "contacts": []}),
    ("contacts", {"type": "contacts", "contacts": [CARD] * 258}),
    ("contacts.0.name.formatted_name", {"type": "contacts", "contacts": [{"name": {"formatted_name": " "}}]}),
    ("contacts.0.name", {"type": "contacts", "contacts": [{}]}),
    ("interactive", {"type": "interactive", "body": "x"}),
    ("interactive.type", interactive(type="poll")),
    ("body", interactive(type="buttons", buttons=BUTTONS) | {"body": None}),
    ("body", interactive(type="buttons", buttons=BUTTONS) | {"body": "x" * 1025}),
    ("body", listed(row()) | {"body": "x" * 4097}),
    ("interactive.buttons", interactive(type="buttons")),
    ("interactive.buttons", interactive(type="buttons", buttons=[row(id=str(n), title=str(n)) for n in range(4)])),
    ("interactive.buttons.0.title", interactive(type="buttons", buttons=[row(title="x" * 21)])),
    ("interactive.buttons.0.id", interactive(type="buttons", buttons=[row(id="x" * 257)])),
    ("interactive.buttons.0.title", interactive(type="buttons", buttons=[{"id": "a"}])),
    ("interactive.buttons.1.id", interactive(type="buttons", buttons=[row(title="a"), row(title="b")])),
    ("interactive.buttons.1.title", interactive(type="buttons", buttons=[row(id="a"), row(id="b")])),
    ("interactive.footer", interactive(type="buttons", buttons=BUTTONS, footer="x" * 61)),
    ("interactive.header.text", interactive(type="buttons", buttons=BUTTONS, header={"type": "text", "text": "x" * 61})),
    ("interactive.header.media_url", interactive(type="buttons", buttons=BUTTONS, header={"type": "image"})),
    ("interactive.header.type", listed(row(), header={"type": "image", "media_url": URL})),
    ("interactive.button", interactive(type="list", sections=[{"rows": [row()]}])),
    ("interactive.button", interactive(type="list", button="x" * 21, sections=[{"rows": [row()]}])),
    ("interactive.sections", interactive(type="list", button="B")),
    ("interactive.sections", listed(*[row(id=str(n)) for n in range(11)])),
    ("interactive.sections.0.rows", interactive(type="list", button="B", sections=[{"title": "a", "rows": []}, {"title": "b", "rows": [row()]}])),
    ("interactive.sections.0.title", interactive(type="list", button="B", sections=[{"rows": [row()]}, {"title": "b", "rows": [row("s")]}])),
    ("interactive.sections.0.title", interactive(type="list", button="B", sections=[{"title": "x" * 25, "rows": [row()]}])),
    ("interactive.sections.0.rows.0.title", listed(row(title="x" * 25))),
    ("interactive.sections.0.rows.0.id", listed(row(id="x" * 201))),
    ("interactive.sections.0.rows.1.id", listed(row(), row())),
    ("interactive.sections.0.rows.0.description", listed(row(description="x" * 73))),
    ("interactive.url", interactive(type="cta_url", button="B", url="javascript:alert(1)")),
    ("interactive.button", interactive(type="cta_url", url="https://a.b")),
    ("interactive.footer", interactive(type="location_request", footer="x")),
    ("flow", {"type": "flow", "body": "x"}),
    ("flow.id", {"type": "flow", "body": "x", "flow": {"button": "B"}}),
    ("flow.button", {"type": "flow", "body": "x", "flow": {"id": "1", "button": "x" * 21}}),
    ("flow.mode", {"type": "flow", "body": "x", "flow": {"id": "1", "button": "B", "mode": "odd"}}),
    ("flow.screen", {"type": "flow", "body": "x", "flow": {"id": "1", "button": "B", "data": {"a": 1}}}),
    ("format", {"body": "x", "format": "rtf"}),
    ("body", {"body": "<div>x</div>", "format": "html"}),
    ("type", {"type": "poll", "body": "x"}),
]


@pytest.mark.parametrize(("field", "body"), WHATSAPP_REFUSES, ids=[f"{n}-{f}" for n, (f, _) in enumerate(WHATSAPP_REFUSES)])
def test_whatsapp_limits(person, field, body):
    person.refused(field, **body)


def test_reactions_that_cannot_be(person, api, simulator):
    person.refused("message_id", type="reaction", emoji="👍")
    person.refused("message_id", type="reaction", emoji="👍", message_id=UNKNOWN_ID)
    person.refused("emoji", type="reaction", message_id=person.incoming["id"])
    person.refused("emoji", type="reaction", message_id=person.incoming["id"], emoji="very good")
    simulator.fault("error", to=person.person, code=131026)
    unsent = data(api.post("/messages", {"conversation_id": person.id, "body": "x"}), 200)
    eventually(lambda: data(api.get(f"/messages/{unsent['id']}"))["status"] == "failed")
    person.refused("message_id", type="reaction", message_id=unsent["id"], emoji="👍")
    person.refused("reply_to", body="x", reply_to=unsent["id"])


def test_a_whatsapp_group_takes_nothing_to_tap(server, organisation, account, api, simulator):
    number = account.number
    group = simulator.create_group(number.phone_number_id, number.access_token, f"Tim {serial()}")
    incoming = wa.message(f"62818{serial() % 10**8:08d}", group_id=group)
    wa.deliver(server, wa.arrival(number, incoming))
    conversation = organisation.message(incoming["id"])["conversation_id"]
    body = {"conversation_id": conversation} | interactive(type="buttons", buttons=BUTTONS)
    answer = refused(api.post("/messages", body), 422)
    assert (answer["code"], answer["provider"]) == ("capability_missing", "whatsapp")
    assert "groups" in answer["message"]


# Telegram.


def bold(offset, length):
    return {"type": "bold", "offset": offset, "length": length}


@pytest.mark.parametrize(
    ("body", "method", "expected"),
    [
        ({"body": "a https://b.c", "preview_url": False}, "sendMessage", {"text": "a https://b.c", "link_preview_options": {"is_disabled": True}}),
        ({"body": "😀 **a**", "format": "markdown"}, "sendMessage", {"text": "😀 a", "entities": [bold(3, 1)]}),
        ({"body": "<b>a</b> &amp; b", "format": "html"}, "sendMessage", {"text": "a & b", "entities": [bold(0, 1)]}),
        ({"type": "voice", "media_url": URL, "body": "x"}, "sendVoice", {"voice": URL, "caption": "x"}),
        ({"type": "sticker", "media_url": URL}, "sendSticker", {"sticker": URL}),
        ({"type": "document", "media_url": URL, "body": "*x*", "format": "markdown"}, "sendDocument", {"document": URL, "caption": "x", "caption_entities": [bold(0, 1)]}),
        ({"type": "location", "location": {"latitude": -6.2, "longitude": 106.8}}, "sendLocation", {"latitude": -6.2, "longitude": 106.8}),
        (
            {"type": "location", "location": {"latitude": 1, "longitude": 2, "name": "Gudang", "address": "Jl. A 1"}},
            "sendVenue",
            {"latitude": 1.0, "longitude": 2.0, "title": "Gudang", "address": "Jl. A 1"},
        ),
        ({"type": "contacts", "contacts": [CARD]}, "sendContact", {"phone_number": "+62811223344", "first_name": "Siti Rahma"}),
        (
            interactive(type="buttons", header={"type": "text", "text": "H"}, footer="F", buttons=BUTTONS),
            "sendMessage",
            {
                "text": "H\n\nx\n\nF",
                "entities": [bold(0, 1), {"type": "italic", "offset": 6, "length": 1}],
                "reply_markup": {"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}], [{"text": "No", "callback_data": "no"}]]},
            },
        ),
        (
            interactive(type="list", button="Times", sections=SECTIONS),
            "sendMessage",
            {
                "text": "x\n\nToday\n• 09:00: with Siti\n\nTomorrow\n• 10:00",
                "entities": [bold(3, 5), bold(29, 8)],
                "reply_markup": {"inline_keyboard": [[{"text": "09:00", "callback_data": "t1"}], [{"text": "10:00", "callback_data": "m1"}]]},
            },
        ),
        (
            interactive(type="cta_url", header={"type": "image", "media_url": URL}, button="Open", url="https://a.b/c"),
            "sendPhoto",
            {"photo": URL, "caption": "x", "reply_markup": {"inline_keyboard": [[{"text": "Open", "url": "https://a.b/c"}]]}},
        ),
        (
            interactive(type="location_request", button="Here"),
            "sendMessage",
            {
                "text": "x",
                "reply_markup": {
                    "keyboard": [[{"text": "Here", "request_location": True}]],
                    "resize_keyboard": True,
                    "one_time_keyboard": True,
                },
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_telegram_shapes(chat, body, method, expected):
    assert chat.wire(**body) == (method, {"chat_id": int(chat.person), **expected})


def test_a_telegram_reaction_and_its_removal(chat):
    number = int(chat.incoming["provider_message_id"].split(":")[1])
    place = {"chat_id": int(chat.person), "message_id": number}
    put, arrived = chat.send(type="reaction", message_id=chat.incoming["id"], emoji="❤️")
    assert arrived["type"] == "setMessageReaction"
    assert arrived["payload"] == place | {"reaction": [{"type": "emoji", "emoji": "❤"}]}
    taken, arrived = chat.send(type="reaction", message_id=chat.incoming["id"], emoji="")
    assert arrived["payload"] == place | {"reaction": []}
    assert put["provider_message_id"] != taken["provider_message_id"]


def test_a_telegram_answer_quotes(chat):
    number = int(chat.incoming["provider_message_id"].split(":")[1])
    _, arrived = chat.send(body="Baik", reply_to=chat.incoming["id"])
    assert arrived["payload"]["reply_parameters"] == {"message_id": number, "allow_sending_without_reply": True}


TELEGRAM_REFUSES = [
    ("body", {"body": "😀" * 2049}),
    ("body", {"type": "image", "media_url": URL, "body": "x" * 1025}),
    ("contacts", {"type": "contacts", "contacts": [CARD, CARD]}),
    ("contacts.0.phones", {"type": "contacts", "contacts": [{"name": {"formatted_name": "A"}}]}),
    ("location.latitude", {"type": "location", "location": {"latitude": 91, "longitude": 0}}),
    ("interactive.buttons.0.id", interactive(type="buttons", buttons=[row(id="é" * 33)])),
    ("interactive.buttons.1.id", interactive(type="buttons", buttons=[row(), row()])),
    ("interactive.buttons", interactive(type="buttons", buttons=[row(id=str(n)) for n in range(101)])),
    ("interactive.sections", interactive(type="list", button="B", sections=[])),
    ("interactive.url", interactive(type="cta_url", button="B", url="ftp://a.b")),
]


@pytest.mark.parametrize(("field", "body"), TELEGRAM_REFUSES, ids=[f"{n}-{f}" for n, (f, _) in enumerate(TELEGRAM_REFUSES)])
def test_telegram_limits(chat, field, body):
    chat.refused(field, **body)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"type": "flow", "body": "x", "flow": {"id": "1", "button": "B"}}, "flows"),
        ({"type": "template", "template": {"name": "hello_world", "language": "en_US"}}, "templates"),
    ],
)
def test_what_telegram_does_not_have(chat, body, word):
    answer = chat.refused("type", **body)
    assert (answer["code"], answer["provider"]) == ("capability_missing", "telegram")
    assert "Telegram" in answer["message"] and word in answer["message"]


def test_telegram_names_the_reactions_it_takes(chat):
    answer = chat.refused("emoji", type="reaction", message_id=chat.incoming["id"], emoji="🦖")
    assert "👍" in answer["message"]


def test_a_tap_comes_back_with_the_buttons_id(chat, organisation, bot, simulator):
    final, _ = chat.send(**interactive(type="buttons", buttons=BUTTONS))
    number = int(final["provider_message_id"].split(":")[1])
    hook = Hook(bot)
    keyboard = {"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}]]}
    carrier = {
        "message_id": number,
        "date": 1,
        "chat": tg.private(int(chat.person)),
        "from": tg.person(bot.bot_id),
        "text": "x",
        "reply_markup": keyboard,
    }
    query = {"id": str(serial()), "from": tg.person(int(chat.person)), "message": carrier, "chat_instance": "1", "data": "yes"}
    hook.deliver(tg.update(callback_query=query))
    tapped = organisation.message(f"cb:{query['id']}")
    assert (tapped["type"], tapped["body"], tapped["payload"]["data"]) == ("button", "Yes", "yes")
    assert tapped["reply_to_id"] == final["id"]


def test_a_topic_of_a_group(organisation, hook, bot, api, simulator):
    group = tg.group(-1_001_000_000_000 - serial() % 10**8, is_forum=True)
    said = tg.message(91_000_002, group, text="bocor")
    hook.deliver(tg.update(message=said))
    channel = organisation.message(tg.provider_id(said))["channel_id"]
    message = data(api.post("/messages", {"channel_id": channel, "topic": "77", "body": "Baik"}), 200)
    assert data(api.get(f"/conversations/{message['conversation_id']}"))["topic"] == "77"
    eventually(lambda: len(simulator.sent(to=str(group["id"]))) == 1)
    [arrived] = simulator.sent(to=str(group["id"]))
    assert arrived["payload"]["message_thread_id"] == 77
    general = data(api.post("/messages", {"channel_id": channel, "topic": "1", "body": "Baik"}), 200)
    assert general["conversation_id"] == organisation.message(tg.provider_id(said))["conversation_id"]
    refused(api.post("/messages", {"channel_id": channel, "topic": "x", "body": "Baik"}), 422)
