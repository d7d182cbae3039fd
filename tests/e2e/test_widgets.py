"""Chat widgets over their APIs: configurations, keys and tokens, and what visitors may and may not do."""

import json

import pytest

from api import ULID, data, refused, serial
from harness import eventually
from widgets import ORIGIN, Visitor, create_widget, decoded, forged, mint

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cfc0f01f0005000180fe33c7a80000000049454e44ae426082"
)


@pytest.fixture
def widget(organisation):
    return create_widget(organisation)


@pytest.fixture
def visitor(server, organisation, widget):
    return Visitor(server, mint(organisation, widget, f"user-{serial()}"))


def answer_to(organisation, visitor, body, **more):
    """An agent's message into the visitor's conversation."""
    conversation = eventually(lambda: visitor.begin()["conversation_id"])
    return data(organisation.api.post("/messages", {"conversation_id": conversation, "body": body, **more}))


def status_of(organisation, message):
    return data(organisation.api.get(f"/messages/{message['id']}"))["status"]


def test_a_widget_is_a_channel_like_any_other(organisation, api):
    hours = {"mon": [{"open": "08:00", "close": "17:00"}]}
    widget = create_widget(
        organisation,
        name="Marketing",
        appearance={"accent": "#1d4ed8", "position": "start"},
        texts={"id": {"title": " Toko "}},
        fields=[{"key": "email", "required": True}, {"key": "order_no", "label": {"en": "Order"}}],
        operating_hours=hours,
        allowed_origins=["HTTPS://Shop.example/", "https://*.example.com"],
    )
    assert widget["appearance"] == {"accent": "#1d4ed8", "accent_text": None, "theme": "auto", "position": "start"}
    assert widget["allowed_origins"] == [ORIGIN, "https://*.example.com"] and widget["enabled"]
    assert widget["texts"] == {"id": {"title": "Toko"}} and widget["operating_hours"] == hours
    assert widget["script_url"].endswith("/embed/v1/widget.js")
    channel = data(api.get(f"/channels/{widget['channel_id']}"))
    assert (channel["type"], channel["kind"], channel["status"]) == ("widget", "widget", "connected")
    assert (channel["display_name"], channel["messaging_account_id"]) == ("Marketing", None)
    # What carries it is nobody's number or bot.
    assert api.all("/messaging-accounts") == [] and [c["id"] for c in api.all("/channels")] == [widget["channel_id"]]

    changed = data(api.patch(f"/widgets/{widget['id']}", {"name": "Sales", "operating_hours": None}))
    assert changed["operating_hours"] is None and changed["fields"] == widget["fields"]
    assert data(api.get(f"/channels/{widget['channel_id']}"))["display_name"] == "Sales"
    assert api.delete(f"/widgets/{widget['id']}").status_code == 204
    assert api.all("/widgets") == [] and len(api.all("/widgets", status="archived")) == 1
    assert data(api.get(f"/channels/{widget['channel_id']}"))["status"] == "archived"
    assert data(api.patch(f"/widgets/{widget['id']}", {"archived": False}))["archived_at"] is None
    assert data(api.get(f"/channels/{widget['channel_id']}"))["status"] == "connected"


@pytest.mark.parametrize(
    "wrong, field, message",
    [
        ({"slug": None}, "slug", "The slug field is required."),
        ({"slug": "No Slug"}, "slug", None),
        ({"name": " "}, "name", "The name field is required."),
        ({"allowed_origins": ["https://a.example/path"]}, "allowed_origins.0", None),
        ({"allowed_origins": ["*"]}, "allowed_origins.0", None),
        ({"appearance": {"accent": "red"}}, "appearance.accent", None),
        ({"appearance": {"theme": "pink"}}, "appearance.theme", "The selected theme is invalid."),
        ({"texts": {"Bahasa": {}}}, "texts", None),
        ({"texts": {"en": {"title": "x" * 81}}}, "texts.en.title", None),
        ({"fields": [{"key": "Order No"}]}, "fields.0.key", None),
        ({"fields": [{"key": "order"}]}, "fields.0.label", "The fields.0.label field is required."),
        ({"fields": [{"key": "name"}, {"key": "name"}]}, "fields.1.key", None),
        ({"operating_hours": {"monday": []}}, "operating_hours", None),
        ({"whatsapp_channel_id": "01HZK7P5R3Q6V0YH4XJ3M8CHN1"}, "whatsapp_channel_id", None),
        ({"default_language": "english"}, "default_language", None),
    ],
)
def test_what_does_not_fit_is_named(api, wrong, field, message):
    body = refused(api.post("/widgets", {"slug": f"w-{serial()}", "name": "W"} | wrong), 422, message)
    assert field in body["errors"], body


def test_a_slug_is_taken_once(organisation, new_organisation, widget):
    body = {"slug": widget["slug"], "name": "Other"}
    refused(organisation.api.post("/widgets", body), 422, "The slug has already been taken.")
    data(new_organisation().api.post("/widgets", body), 201)


def test_a_token_says_who_may_come_where(server, organisation, widget):
    asked = {"slug": widget["slug"], "subject": "user-12345", "context": []}
    made = data(organisation.api.post("/embed-tokens", asked), 200)
    assert set(made) == {"token", "expires_in", "slug"}
    assert (made["expires_in"], made["slug"]) == (900, widget["slug"])
    header, claims = decoded(made["token"])
    [key] = data(organisation.api.get("/widget-keys"))
    assert header == {"alg": "HS256", "typ": "JWT", "kid": key["id"]} and key["status"] == "current"
    assert claims["iss"] == server.base_url and claims["sub"] == "user-12345" and claims["aud"] == widget["slug"]
    assert claims["exp"] - claims["iat"] == 900 and ULID.match(claims["jti"]) and claims["context"] == {}
    other = decoded(mint(organisation, widget, "user-12345", ttl_seconds=60, context={"plan": "pro"}))[1]
    assert other["exp"] - other["iat"] == 60 and other["context"] == {"plan": "pro"} and other["jti"] != claims["jti"]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"slug": None}, "The slug field is required."),
        ({"slug": "no-such"}, "The selected slug is invalid."),
        ({"subject": ""}, "The subject field is required."),
        ({"subject": "x" * 256}, "The subject field must not be greater than 255 characters."),
        ({"context": "text"}, "The context field must be an object."),
        ({"context": {"a": "x" * 4096}}, "The context field must not be greater than 4 kilobytes."),
        ({"ttl_seconds": 59}, "The ttl seconds field must be between 60 and 86400."),
        ({"ttl_seconds": 86401}, "The ttl seconds field must be between 60 and 86400."),
        ({"ttl_seconds": "long"}, "The ttl seconds field must be an integer."),
    ],
)
def test_a_token_that_cannot_be(organisation, widget, wrong, message):
    asked = {"slug": widget["slug"], "subject": "user-1"} | wrong
    refused(organisation.api.post("/embed-tokens", asked), 422, message)


def test_a_widget_out_of_use_lets_nobody_in(server, organisation, widget, visitor):
    visitor.begin()
    for change in ({"enabled": False}, {"enabled": True, "archived": True}):
        data(organisation.api.patch(f"/widgets/{widget['id']}", change))
        refused(visitor.http.post("/session", json={}), 403, "This widget is switched off.")
        asked = {"slug": widget["slug"], "subject": "user-1"}
        refused(organisation.api.post("/embed-tokens", asked), 422, "The selected slug is invalid.")
    data(organisation.api.patch(f"/widgets/{widget['id']}", {"archived": False}))
    visitor.begin()
    data(organisation.api.put(f"/channels/{widget['channel_id']}", {"status": "archived"}))
    refused(visitor.http.post("/session", json={}), 403, "This widget is switched off.")


def test_tokens_that_are_not_good(server, organisation, new_organisation, widget, visitor):
    stranger = new_organisation()
    foreign = mint(stranger, create_widget(stranger), "user-1")
    _, claims = decoded(visitor.token)
    header, _ = decoded(foreign)
    bad = [
        "nonsense",
        forged(visitor.token),
        forged(visitor.token, sub="admin"),
        forged(visitor.token, header={"alg": "none"}),
        visitor.token.rsplit(".", 1)[0] + ".",
        # The widget's own name, under another organisation's key.
        forged(foreign, aud=widget["slug"], org=claims["org"]),
        forged(visitor.token, header={"kid": header["kid"]}),
        organisation.admin_token,
    ]
    calls = [("POST", "/session"), ("GET", "/messages"), ("POST", "/messages"), ("GET", "/events"), ("POST", "/read"),
             ("PATCH", "/profile"), ("POST", "/attachments")]
    for token in bad[:3]:
        for method, path in calls:
            answer = Visitor(server, token).http.request(method, path, json={})
            refused(answer, 401, "The embed token is not valid.")
    for token in bad:
        refused(Visitor(server, token).http.post("/session", json={}), 401, "The embed token is not valid.")
    # A token for another widget is one for that widget.
    assert Visitor(server, foreign).begin()["slug"] != widget["slug"]


def test_an_expired_token_and_the_stream_that_was_open(make_kabar, new_database, backend, clock):
    from api import Organisation, login

    kabar = make_kabar(new_database(backend), environment=clock.environment).start()
    organisation = Organisation(kabar, login(kabar, kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"])
    widget = create_widget(organisation)
    visitor = Visitor(kabar, mint(organisation, widget, "user-1"))
    events = visitor.listen()
    clock.set(0.26)
    refused(visitor.http.post("/session", json={}), 401, "The embed token has expired.")
    assert events.next() is None, "a stream outlived its token"
    # One from the future is nobody's: clocks differ by a minute at most.
    early = mint(organisation, widget, "user-1")
    clock.set(0)
    refused(Visitor(kabar, early).http.post("/session", json={}), 401, "The embed token is not valid.")


def test_keys_are_rotated_and_revoked(server, organisation, widget, visitor):
    api = organisation.api
    [first] = data(api.get("/widget-keys"))
    second = data(api.post("/widget-keys/rotate"))
    former = next(key for key in data(api.get("/widget-keys")) if key["id"] == first["id"])
    assert second["status"] == "current" and former["status"] == "retiring" and former["good_until"]
    fresh = Visitor(server, mint(organisation, widget, "user-2"))
    assert decoded(fresh.token)[0]["kid"] == second["id"]
    visitor.begin(), fresh.begin()
    assert data(api.post(f"/widget-keys/{first['id']}/revoke"))["status"] == "revoked"
    refused(visitor.http.post("/session", json={}), 401, "The embed token has expired.")
    fresh.begin()
    # Without overlap the former one is good no more; and of a revoked one the next token makes a new one.
    third = data(api.post("/widget-keys/rotate", {"overlap_seconds": 0}))
    refused(fresh.http.post("/session", json={}), 401, "The embed token has expired.")
    refused(api.post("/widget-keys/rotate", {"overlap_seconds": 86401}), 422)
    data(api.post(f"/widget-keys/{third['id']}/revoke"))
    last = Visitor(server, mint(organisation, widget, "user-2"))
    assert decoded(last.token)[0]["kid"] not in {first["id"], second["id"], third["id"]}
    last.begin()
    # No secret is ever told.
    assert "secret" not in json.dumps(data(api.get("/widget-keys")))


def test_only_allowed_pages_are_answered(server, organisation, widget, visitor):
    data(organisation.api.patch(f"/widgets/{widget['id']}", {"allowed_origins": [ORIGIN, "https://*.example.com"]}))
    for origin in (ORIGIN, "https://www.example.com", server.base_url):
        answer = Visitor(server, visitor.token, origin).http.post("/session", json={})
        assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == origin
        assert "origin" in answer.headers["vary"].lower()
        assert "access-control-allow-credentials" not in answer.headers
    for origin in ("https://evil.example", "http://shop.example", "https://shop.example:444", "null", None):
        answer = Visitor(server, visitor.token, origin).http.post("/session", json={})
        assert "allowed origins" in refused(answer, 403)["message"]
    # A page on the server itself sends no origin, but its browser says so.
    own = Visitor(server, visitor.token, None)
    assert own.http.post("/session", json={}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    refused(own.http.post("/session", json={}, headers={"Sec-Fetch-Site": "cross-site"}), 403)


def test_browsers_may_ask_first(server):
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "PATCH"}
    asked = server.http.options("/embed/v1/profile", headers=headers)
    assert asked.status_code == 204 and asked.headers["access-control-allow-origin"] == "https://a.example"
    assert "authorization" in asked.headers["access-control-allow-headers"]
    assert "PATCH" in asked.headers["access-control-allow-methods"]
    # The rest of the API is no page's business.
    assert "access-control-allow-origin" not in server.http.options("/api/v1/widgets", headers=headers).headers


def test_a_visitor_writes_and_an_agent_answers(organisation, api, widget, visitor):
    begun = visitor.begin("id")
    assert begun["conversation_id"] is None and begun["unread"] == 0 and begun["open"]
    events = visitor.listen(begun["position"])
    client_id = visitor.write("Halo, apakah toko buka?", page="https://shop.example/cart#x", language="id")
    heard = events.next("message")
    assert (heard["client_id"], heard["from"], heard["body"]) == (client_id, "visitor", "Halo, apakah toko buka?")

    [conversation] = api.all("/conversations", channel_id=widget["channel_id"])
    assert conversation["unread_count"] == 1 and conversation["status"] == "open"
    [message] = api.all(f"/conversations/{conversation['id']}/messages")
    assert message["direction"] == "inbound" and message["status"] == "received"
    assert message["payload"]["page"].startswith("https://shop.example/cart")
    [item] = [item for item in api.all("/inbox") if item["message_id"] == message["id"]]
    assert item["platform"] == "widget"
    contact = data(api.get(f"/contacts/{conversation['contact_id']}"))
    [identity] = contact["identities"]
    assert identity["kind"] == "widget" and identity["value"].startswith("user-")
    kinds = [event["type"] for event in data(api.get("/events"))]
    assert {"contact.created", "conversation.created", "message.received"} <= set(kinds)

    sent = answer_to(organisation, visitor, "Ya, sampai jam 17. https://shop.example/jam")
    heard = events.next("message")
    assert heard["id"] == sent["id"] and heard["from"] == "agent" and heard["body"] == sent["body"]
    assert heard["author"]
    # It is delivered with the stream, and read when the page says so.
    eventually(lambda: status_of(organisation, sent) == "delivered")
    assert visitor.begin()["unread"] == 1
    assert visitor.http.post("/read", json={"message_id": sent["id"]}).status_code == 204
    assert events.next("read")["id"] == sent["id"]
    assert status_of(organisation, sent) == "read" and visitor.begin()["unread"] == 0
    assert [message["body"] for message in visitor.history()] == [sent["body"], "Halo, apakah toko buka?"]
    events.close()


def test_a_message_repeated_is_one(organisation, visitor):
    for _ in range(3):
        visitor.write("satu", client_id="the-same")
    visitor.write("dua")
    bodies = eventually(lambda: (found := [m["body"] for m in visitor.history()])[:1] == ["dua"] and found)
    assert bodies == ["dua", "satu"]


def test_what_is_missed_is_told_later(organisation, visitor):
    visitor.write("halo")
    events = visitor.listen(0)
    assert events.next("message")["body"] == "halo"
    place = events.last
    events.close()
    sent = [answer_to(organisation, visitor, f"jawaban {n}") for n in range(3)]
    eventually(lambda: [status_of(organisation, one) for one in sent] == ["sent"] * 3)
    events = visitor.listen(place)
    assert [events.next("message")["id"] for _ in sent] == [one["id"] for one in sent]
    events.close()


def test_history_goes_back_page_by_page(visitor):
    for n in range(7):
        visitor.write(f"pesan {n}")
    eventually(lambda: len(visitor.history()) == 7)
    found, cursor = [], None
    while True:
        answer = visitor.http.get("/messages", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        found += [message["body"] for message in answer["data"]]
        cursor = answer["meta"]["next_cursor"]
        if not cursor:
            break
    assert found == [f"pesan {n}" for n in reversed(range(7))]


def test_agents_edit_and_delete_and_are_seen_writing(organisation, api, visitor):
    visitor.write("halo")
    sent = answer_to(organisation, visitor, "Jam 17")
    eventually(lambda: status_of(organisation, sent) == "sent")
    events = visitor.listen()
    assert api.post(f"/conversations/{sent['conversation_id']}/typing").is_success
    assert events.next()["event"] == "typing"
    data(api.patch(f"/messages/{sent['id']}", {"body": "Jam 18"}))
    heard = events.next("message")
    assert heard["body"] == "Jam 18" and heard["edited"]
    assert api.delete(f"/messages/{sent['id']}").is_success
    heard = events.next("message")
    assert heard["deleted"] and heard["body"] is None
    assert visitor.history()[0]["body"] is None
    events.close()


def test_files_both_ways(server, organisation, api, widget, visitor):
    handle = visitor.attach("foto.png", PNG, "image/png")
    second = visitor.attach("nota.pdf", b"%PDF-1.7 nota", "application/pdf")
    visitor.write("", attachments=[handle, second])
    message = eventually(lambda: visitor.history())[0]
    assert [file["name"] for file in message["attachments"]] == ["foto.png", "nota.pdf"]
    assert server.http.get(message["attachments"][0]["url"]).content == PNG
    [conversation] = api.all("/conversations", channel_id=widget["channel_id"])
    [stored] = api.all(f"/conversations/{conversation['id']}/messages")
    assert stored["type"] == "image" and len(stored["media"]) == 2

    file = data(api.http.post("/media", files={"file": ("harga.pdf", b"%PDF-1.7 harga", "application/pdf")}))
    sent = answer_to(organisation, visitor, "Daftar harga", type="document", media_id=file["id"])
    eventually(lambda: status_of(organisation, sent) in ("sent", "delivered"))
    newest = visitor.history()[0]
    assert newest["body"] == "Daftar harga" and newest["attachments"][0]["name"] == "harga.pdf"
    assert server.http.get(newest["attachments"][0]["url"]).content == b"%PDF-1.7 harga"

    # A handle is good for the visitor who uploaded alone, and there is no other way to name a file.
    other = Visitor(server, mint(organisation, widget, "user-other"))
    for wrong in (handle, file["id"], f"{file['id']}.{handle.split('.')[1]}", "x.y", ""):
        asked = {"client_id": "c", "body": "", "attachments": [wrong]}
        body = refused(other.http.post("/messages", json=asked), 422, "The selected attachments.0 is invalid.")
        assert list(body["errors"]) == ["attachments.0"]
    too_much = {"client_id": "c", "attachments": [handle] * 6}
    refused(visitor.http.post("/messages", json=too_much), 422)
    refused(visitor.http.post("/attachments", json={}), 422, "The file field is required.")


def test_what_a_widget_cannot_show_is_refused(organisation, api, widget, visitor):
    visitor.write("halo")
    conversation = eventually(lambda: visitor.begin()["conversation_id"])
    for kind, more in [
        ("location", {"location": {"latitude": 1, "longitude": 2}}),
        ("text", {"body": "*x*", "format": "markdown"}),
    ]:
        answer = api.post("/messages", {"conversation_id": conversation, "type": kind, **more})
        assert refused(answer, 422)["code"] == "capability_missing"
    long = {"conversation_id": conversation, "body": "x" * 4097}
    refused(api.post("/messages", long), 422)
    # A visitor can also be written to first.
    sent = data(api.post("/messages", {"channel_id": widget["channel_id"], "wa_id": "user-new", "body": "Selamat datang"}))
    eventually(lambda: status_of(organisation, sent) == "sent")


def test_a_visitor_sees_only_its_own(server, organisation, api, widget, visitor):
    other = Visitor(server, mint(organisation, widget, "user-other"))
    elsewhere = create_widget(organisation)
    subject = decoded(visitor.token)[1]["sub"]
    same_person = Visitor(server, mint(organisation, elsewhere, subject))
    events = other.listen()
    visitor.write("rahasia")
    sent = answer_to(organisation, visitor, "rahasia juga")
    eventually(lambda: len(visitor.history()) == 2)
    assert other.history() == [] and same_person.history() == []
    refused(other.http.post("/read", json={"message_id": sent["id"]}), 404)
    other.write("punya saya")
    # The first thing it hears is its own.
    assert events.next("message")["body"] == "punya saya"
    events.close()
    # To the organisation it is one person.
    same_person.write("halo")
    eventually(lambda: same_person.history())
    people = {c["contact_id"] for c in api.all("/conversations")}
    assert len(people) == 2


def test_fields_are_asked_once(server, organisation, api):
    fields = [
        {"key": "name", "required": True},
        {"key": "email"},
        {"key": "order_no", "label": {"en": "Order number", "id": "Nomor pesanan"}},
    ]
    widget = create_widget(organisation, fields=fields)
    visitor = Visitor(server, mint(organisation, widget, "user-ask"))
    asked = visitor.begin("id")["ask"]
    assert [(question["label"], question["required"]) for question in asked] == [
        ("Nama", True),
        ("Email", False),
        ("Nomor pesanan", False),
    ]
    refused(visitor.http.patch("/profile", json={"fields": {"email": "no mail"}}), 422)
    refused(visitor.http.patch("/profile", json={"fields": {"role": "admin"}}), 422, "The selected fields.role is invalid.")
    given = {"name": " Ani ", "email": "ani@example.com", "order_no": "A-17"}
    assert data(visitor.http.patch("/profile", json={"fields": given}))["ask"] == []
    assert visitor.begin("id")["ask"] == []
    visitor.write("halo")
    eventually(lambda: visitor.history())
    [conversation] = api.all("/conversations", channel_id=widget["channel_id"])
    contact = data(api.get(f"/contacts/{conversation['contact_id']}"))
    assert (contact["name"], contact["email"]) == ("Ani", "ani@example.com")
    assert contact["custom_fields"] == {"order_no": "A-17"}

    # What the organisation's server says need not be asked, and fills in what is not known.
    context = {"name": "Budi", "email": "budi@example.com", "plan": "pro"}
    known = Visitor(server, mint(organisation, widget, "user-known", context=context))
    assert [question["key"] for question in known.begin()["ask"]] == ["order_no"]
    known.write("halo")
    message = eventually(lambda: next((m for m in organisation.messages() if m["payload"].get("context")), None))
    assert message["payload"]["context"] == context
    contact = organisation.contact_of(message)
    assert (contact["name"], contact["email"]) == ("Budi", "budi@example.com")


def test_languages_hours_and_whatsapp(server, organisation, account):
    widget = create_widget(
        organisation,
        texts={"id": {"greeting": "Selamat datang!"}, "fr": {"greeting": "Bonjour !"}},
        default_language="id",
        whatsapp_channel_id=account.channel_id,
        operating_hours={"mon": []},
    )
    visitor = Visitor(server, mint(organisation, widget, "user-1"))
    for languages, language, direction, greeting, send in [
        (["id-ID"], "id-ID", "ltr", "Selamat datang!", "Kirim"),
        (["ar"], "ar", "rtl", "Selamat datang!", "إرسال"),
        (["sw", "fr-CA"], "fr-CA", "ltr", "Bonjour !", "Send"),
        (["sw"], "id", "ltr", "Selamat datang!", "Kirim"),
        (["<script>"], "id", "ltr", "Selamat datang!", "Kirim"),
    ]:
        begun = visitor.begin(*languages)
        assert (begun["language"], begun["direction"]) == (language, direction)
        assert (begun["strings"]["greeting"], begun["strings"]["send"]) == (greeting, send)
    digits = "".join(letter for letter in account.number.phone_number if letter.isdigit())
    assert begun["whatsapp_url"] == f"https://wa.me/{digits}"
    assert begun["open"], "hours without any say nothing"
    # Open in one minute of the week, which is not this one.
    minute = {"sun": [{"open": "03:00", "close": "03:01"}]}
    data(organisation.api.patch(f"/widgets/{widget['id']}", {"operating_hours": minute}))
    begun = visitor.begin()
    assert not begun["open"] and begun["opens_at"].endswith("20:00:00+00:00")
    always = {day: [{"open": "00:00", "close": "24:00"}] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    data(organisation.api.put(f"/organisations/{organisation.id}", {"operating_hours": always}))
    data(organisation.api.patch(f"/widgets/{widget['id']}", {"operating_hours": None}))
    assert visitor.begin()["open"] and visitor.begin()["opens_at"] is None


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({}, "client_id"),
        ({"client_id": "c"}, "body"),
        ({"client_id": "c", "body": "  "}, "body"),
        ({"client_id": "c", "body": "x" * 4097}, "body"),
        ({"client_id": "a/b", "body": "x"}, "client_id"),
        ({"client_id": "x" * 65, "body": "x"}, "client_id"),
        ({"client_id": "c", "body": 5}, "body"),
    ],
)
def test_a_message_that_cannot_be(visitor, wrong, field):
    assert field in refused(visitor.http.post("/messages", json=wrong), 422)["errors"]


def test_who_writes_without_end_is_slowed_down(server, organisation, widget):
    visitor = Visitor(server, mint(organisation, widget, "user-flood"))
    answers = [
        visitor.http.post("/messages", json={"client_id": f"c{n}", "body": "x"}) for n in range(31)
    ]
    assert [answer.status_code for answer in answers] == [200] * 30 + [429]
    assert int(answers[-1].headers["retry-after"]) <= 60
    # Others are not.
    Visitor(server, mint(organisation, widget, "user-calm")).write("halo")


def test_nobody_gets_at_the_keys_without_being_an_administrator(organisation, widget):
    weak = organisation.caller("write,send,read")
    refused(weak.get("/widget-keys"), 403)
    refused(weak.post("/widget-keys/rotate"), 403)
    refused(weak.patch(f"/widgets/{widget['id']}", {"allowed_origins": ["https://evil.example"]}), 403)
    assert weak.get("/widgets").status_code == 200
    assert weak.post("/embed-tokens", {"slug": widget["slug"], "subject": "u"}).status_code == 200


@pytest.mark.faults
def test_what_was_acknowledged_survives_a_kill(make_kabar, new_database, backend):
    from api import Organisation, login

    kabar = make_kabar(new_database(backend)).start()
    organisation = Organisation(kabar, login(kabar, kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"])
    widget = create_widget(organisation)
    visitor = Visitor(kabar, mint(organisation, widget, "user-1"))
    written = [visitor.write(f"pesan {n}") for n in range(20)]
    kabar.kill()
    kabar.start()
    found = eventually(lambda: len(found := visitor.history(limit=100)) == 20 and found)
    assert [message["client_id"] for message in reversed(found)] == written
