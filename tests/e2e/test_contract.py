"""A client made for OktaWa, by a client generator, changes its address and its token and works."""

import importlib
import json

import pytest

import connecting
import oktawa
import whatsapp as wa
from api import TIME, ULID, UNKNOWN_ID, data, serial
from harness import eventually

CHANNEL_REQUIRED = "The channel id field is required when conversation id is not present."


@pytest.fixture(scope="session")
def client_package(tmp_path_factory):
    return oktawa.generate(tmp_path_factory.mktemp("oktawa"))


@pytest.fixture
def client(client_package, server, organisation):
    with client_package.AuthenticatedClient(server.base_url, organisation.token("read,write,send,admin")) as made:
        yield made


@pytest.fixture
def stranger(client_package, server):
    with client_package.AuthenticatedClient(server.base_url, "1|" + "x" * 48) as made:
        yield made


def call(name, client, *path, body=None, **query):
    """The document's operation `name`: the status, and the answer as the client reads it."""
    operation = importlib.import_module(f"oktawa_client.api.default.{name}")
    if body is not None:
        models = importlib.import_module("oktawa_client.models")
        model = getattr(models, "".join(word.capitalize() for word in name.split("_")) + "Body")
        query["body"] = model.from_dict(body)
    answer = operation.sync_detailed(*path, client=client, **query)
    if "200" in (statuses := oktawa.statuses(name)):
        assert str(int(answer.status_code)) in statuses, answer.content
        assert answer.parsed is not None
    return answer


def number():
    return f"96650{serial() % 10**7:07d}"


def test_channels(client, account):
    [channel] = call("list_channels", client).parsed.data
    assert (channel.id, channel.type_, channel.status) == (account.channel_id, "cloud", "connected")
    assert channel.display_name == "Sales line" and channel.phone_number == account.number.phone_number
    assert TIME.match(channel.connected_at)


def test_contacts(client):
    wa_id = number()
    request = {"wa_id": wa_id, "phone": f"+{wa_id}", "name": "Samir", "language": "ar", "profile": {"vip": True}}
    made = call("create_or_update_a_contact", client, body=request).parsed.data
    assert (made.wa_id, made.phone, made.name, made.email, made.language) == (wa_id, f"+{wa_id}", "Samir", None, "ar")
    again = call("create_or_update_a_contact", client, body={"wa_id": wa_id, "email": "samir@example.com"}).parsed.data
    assert (again.id, again.name, again.email) == (made.id, "Samir", "samir@example.com"), "what is not sent stays"
    call("create_or_update_a_contact", client, body={"wa_id": number(), "name": "Another"})
    page = call("list_contacts", client, search="samir", per_page=1, page=1).parsed
    assert [contact.id for contact in page.data] == [made.id] and TIME.match(page.data[0].created_at)
    assert (page.meta.current_page, page.meta.per_page, page.meta.total) == (1, 1, 1)
    assert call("list_contacts", client, per_page=1, page=2).parsed.data[0].id == made.id, "the newest first"


def test_what_is_not_there_and_who_is_not_let_in(client, stranger):
    missing = call("get_a_contact", client, UNKNOWN_ID)
    assert (missing.status_code, missing.parsed.message) == (404, "No query results for model [Contact].")
    for name, path in (
        ("get_a_channel", (UNKNOWN_ID,)),
        ("get_a_contact", (UNKNOWN_ID,)),
        ("get_a_conversation", (UNKNOWN_ID,)),
        ("list_messages_in_a_conversation", (UNKNOWN_ID,)),
        ("list_templates", ()),
    ):
        refused = call(name, stranger, *path)
        assert (refused.status_code, refused.parsed.message) == (401, "Unauthenticated.")


def test_a_conversation_from_both_sides(server, client, account):
    wa_id = number()
    wa.deliver(server, wa.arrival(account.number, wa.message(wa_id, content={"body": "Is it ready?"})))
    server.wait_applied()
    [conversation] = call("list_conversations", client, status="open", channel_id=account.channel_id).parsed.data
    assert (conversation.priority, conversation.unread_count, conversation.channel_id) == ("normal", 1, account.channel_id)
    assert TIME.match(conversation.last_message_at)
    request = {"conversation_id": conversation.id, "body": "It is on its way."}
    sent = call("send_a_message", client, body=request).parsed.data
    assert (sent.conversation_id, sent.channel_id) == (conversation.id, account.channel_id)
    assert (sent.direction, sent.type_, sent.body, sent.status) == ("outbound", "text", "It is on its way.", "queued")
    assert ULID.match(sent.id) and TIME.match(sent.created_at)
    assert [arrived["to"] for arrived in eventually(lambda: server.simulator.sent(to=wa_id))] == [wa_id]
    by_number = {"channel_id": account.channel_id, "wa_id": wa_id, "type": "text", "body": "Anything else?"}
    assert call("send_a_message", client, body=by_number).parsed.data.conversation_id == conversation.id
    listed = data(account.organisation.api.get(f"/conversations/{conversation.id}/messages", per_page=2))
    assert [message["body"] for message in listed] == ["Anything else?", "It is on its way."], "the newest first"


def test_a_message_that_cannot_be_sent(client, account):
    lost = call("send_a_message", client, body={"wa_id": number(), "body": "Hello"})
    assert (lost.status_code, lost.parsed.message) == (422, CHANNEL_REQUIRED)
    assert lost.parsed.errors.channel_id == [CHANNEL_REQUIRED]
    foreign = call("send_a_message", client, body={"channel_id": UNKNOWN_ID, "wa_id": number(), "body": "Hello"})
    assert (foreign.status_code, foreign.parsed.message) == (404, "Channel not found.")


def test_templates(client, account):
    api = account.organisation.api
    eventually(lambda: [row for row in api.all("/templates") if row["status"] == "APPROVED"])
    assert json.loads(call("list_templates", client, status="APPROVED", language="en_US").content)["data"]
    request = {"channel_id": account.channel_id, "wa_id": number(), "template_name": "hello_world", "language": "en_US"}
    sent = call("send_a_template_message", client, body=request).parsed.data
    assert ULID.match(sent.id) and (sent.type_, sent.status) == ("template", "queued")
    unknown = call("send_a_template_message", client, body=request | {"template_name": "not_there"})
    assert (unknown.status_code, unknown.parsed.message) == (404, "Template not found.")


def test_a_token_for_the_widget(client, organisation):
    widget = data(organisation.api.post("/widgets", {"slug": f"site-{serial()}", "name": "Marketing site"}))
    made = call("mint_a_signed_widget_token", client, body={"slug": widget["slug"], "subject": "user-12345"}).parsed.data
    assert (made.expires_in, made.slug) == (900, widget["slug"]) and made.token.count(".") == 2
    request = {"slug": widget["slug"], "subject": "user-12345", "context": {"plan": "gold"}, "ttl_seconds": 60}
    assert call("mint_a_signed_widget_token", client, body=request).parsed.data.expires_in == 60


def test_a_code_becomes_a_token(client_package, server, organisation):
    app = connecting.new_app(organisation.api)
    with connecting.as_admin(server) as browser, client_package.Client(server.base_url) as anyone:
        code = connecting.code_of(connecting.allow(browser, app, organisation.id))
        request = {"code": code, "redirect_uri": app["redirect_uris"][0]}
        for wrong in ({"code": code + "x"}, {"redirect_uri": "https://crm.example.com/other"}):
            refused = call("exchange_code_for_token", anyone, body=request | wrong)
            assert refused.status_code == 400 and refused.parsed.error == "invalid_grant"
            assert refused.parsed.message == "Authorization code is invalid, used, or expired."
        given = call("exchange_code_for_token", anyone, body=request).parsed.data
        assert (given.token_type, given.abilities) == ("Bearer", ["read", "send"])
    with client_package.AuthenticatedClient(server.base_url, given.access_token) as app_client:
        assert call("list_channels", app_client).parsed.data == []


def test_signup_is_for_those_who_are_let_in(client, stranger):
    request = {"code": "AQB-not-from-meta", "waba_id": "1"}
    assert call("post_api_integrations_meta_embedded_signup", stranger, body=request).status_code == 401
    too_long = call("post_api_integrations_meta_embedded_signup", client, body=request | {"code": "x" * 1025})
    assert too_long.status_code == 422
    assert json.loads(too_long.content)["errors"]["code"] == ["The code field must not be greater than 1024 characters."]
