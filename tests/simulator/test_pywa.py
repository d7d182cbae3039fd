"""WhatsApp Cloud API, by pywa."""

from __future__ import annotations

import json

import httpx
import pytest
from pywa import WhatsApp, errors, types
from pywa.types.base_update import RawUpdate
from pywa.types.templates import BodyText, ParamFormat, Template, TemplateCategory, TemplateLanguage

from conftest import NUMBER, PERSON, TOKEN, WABA, Hook, Simulator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def update(body: bytes) -> RawUpdate:
    return RawUpdate(body, hmac_header=None, update_hash="")


def test_text(wa: WhatsApp, simulator: Simulator) -> None:
    sent = wa.send_message(to=PERSON, text="مرحبا", tracker="job-1")
    assert sent.id.startswith("wamid.")
    [shown] = simulator.sent()
    assert (shown["id"], shown["to"], shown["body"]) == (sent.id, PERSON, "مرحبا")
    assert shown["callback_data"] == "job-1"
    reply = wa.send_message(to=PERSON, text="again", reply_to_message_id=sent.id)
    assert simulator.sent()[-1]["payload"]["context"]["message_id"] == sent.id != reply.id


def test_buttons_and_lists(wa: WhatsApp, simulator: Simulator) -> None:
    wa.send_message(
        to=PERSON, text="Pick", header="Head", footer="Foot", buttons=[types.Button("One", "1"), types.Button("Two", "2")]
    )
    section = types.Section("All", [types.SectionRow("Row", "r1", "What it is")])
    wa.send_message(to=PERSON, text="Pick", buttons=types.SectionList("Open", [section]))
    wa.send_message(to=PERSON, text="Look", buttons=types.URLButton("Visit", "https://example.com"))
    kinds = [shown["payload"]["interactive"]["type"] for shown in simulator.sent()]
    assert kinds == ["button", "list", "cta_url"]


def test_image_reaction_location_contact(wa: WhatsApp, simulator: Simulator) -> None:
    image = wa.send_image(to=PERSON, image="https://example.com/a.jpg", caption="A")
    wa.send_reaction(to=PERSON, emoji="👍", message_id=image.id)
    wa.send_location(to=PERSON, latitude=-6.2, longitude=106.8, name="Monas")
    contact = types.Contact(
        name=types.Contact.Name(formatted_name="Sari", first_name="Sari"),
        phones=[types.Contact.Phone(phone="+628111", type="CELL")],
    )
    wa.send_contact(to=PERSON, contact=contact)
    shown = [(message["type"], message["body"]) for message in simulator.sent()]
    assert shown == [("image", "A"), ("reaction", "👍"), ("location", "Monas"), ("contacts", "Sari")]


def test_template(wa: WhatsApp, simulator: Simulator) -> None:
    wa.send_template(to=PERSON, name="hello_world", language=TemplateLanguage.ENGLISH_US, params=[])
    with pytest.raises(errors.TemplateNotExists):
        wa.send_template(to=PERSON, name="nope", language=TemplateLanguage.ENGLISH_US, params=[])
    body = BodyText("Hello {{name}}, order {{order}} is ready.", name="Sari", order="A7")
    template = Template(
        name="order_ready",
        language=TemplateLanguage.ENGLISH_US,
        category=TemplateCategory.UTILITY,
        parameter_format=ParamFormat.NAMED,
        components=[body],
    )
    created = wa.create_template(template)
    wa.send_template(
        to=PERSON,
        name="order_ready",
        language=TemplateLanguage.ENGLISH_US,
        params=[body.params(name="Budi", order="B8")],
    )
    assert simulator.sent()[-1]["body"] == "Hello Budi, order B8 is ready."
    assert created.id in [template.id for template in wa.get_templates()]
    assert wa.delete_template("order_ready").success
    assert [template.name for template in wa.get_templates()] == ["hello_world"]


def test_read_and_typing(wa: WhatsApp, simulator: Simulator) -> None:
    assert wa.mark_message_as_read("wamid.x").success
    assert wa.indicate_typing("wamid.x").success
    assert simulator.sent() == []


def test_media(wa: WhatsApp, simulator: Simulator) -> None:
    media = wa.upload_media(PNG, mime_type="image/png", filename="a.png")
    found = wa.get_media_url(media.id)
    assert (found.mime_type, found.file_size) == ("image/png", len(PNG))
    assert wa.get_media_bytes(found.url) == PNG
    assert httpx.get(found.url).status_code == 401
    wa.send_image(to=PERSON, image=media.id)
    assert simulator.sent()[0]["payload"]["image"]["id"] == media.id
    assert wa.delete_media(media.id).success
    with pytest.raises(errors.WhatsAppError) as gone:
        wa.get_media_url(media.id)
    assert (gone.value.code, gone.value.subcode) == (100, 33)


def test_inbound_media_is_downloaded(wa: WhatsApp, simulator: Simulator, hook: Hook) -> None:
    stored = simulator.post("whatsapp/media", {"mime_type": "image/png", "content_base64": "iVBORw0KGgo="})
    simulator.post("whatsapp/inbound", {"from": PERSON, "message": {"type": "image", "image": stored}})
    message = types.Message.from_update(wa, update(hook.signed(1)[0].body))
    assert message.image.get_bytes() == b"\x89PNG\r\n\x1a\n"


def test_account(wa: WhatsApp) -> None:
    number = wa.get_business_phone_number()
    assert (number.id, number.display_phone_number) == (NUMBER, "6281111111111")
    assert [number.id for number in wa.get_business_phone_numbers()] == [NUMBER]
    assert wa.register_phone_number(pin="123456").success


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (130429, errors.RateLimitHit),
        (131047, errors.ReEngagementMessage),
        (131026, errors.MessageUndeliverable),
        (131056, errors.TooManyMessages),
        (190, errors.ExpiredAccessToken),
        (368, errors.TemporarilyBlocked),
        (131016, errors.ServiceUnavailable),
    ],
)
def test_errors_become_exceptions(wa: WhatsApp, simulator: Simulator, code: int, error: type[Exception]) -> None:
    simulator.post("faults", {"kind": "error", "code": code})
    with pytest.raises(error) as raised:
        wa.send_message(to=PERSON, text="hi")
    assert raised.value.code == code
    assert raised.value.message.startswith(f"(#{code}) ") or code == 190
    assert raised.value.fbtrace_id
    assert simulator.sent() == []


def test_refusals_become_exceptions(wa: WhatsApp, simulator: Simulator) -> None:
    with pytest.raises(errors.InvalidParameter):
        wa.send_message(to=PERSON, text="Pick", buttons=[types.Button("x" * 21, "1")])
    with pytest.raises(errors.WhatsAppError) as too_long:
        wa.send_message(to=PERSON, text="x" * 4097)
    assert too_long.value.code == 100
    simulator.post("tokens", {"phone_number_id": NUMBER, "access_token": "EAAnew"})
    with pytest.raises(errors.ExpiredAccessToken) as expired:
        wa.send_message(to=PERSON, text="hi")
    assert expired.value.status_code == 401
    wa.token = "EAAnew"
    wa.send_message(to=PERSON, text="hi")


def test_a_lost_answer(wa: WhatsApp, simulator: Simulator) -> None:
    simulator.post("faults", {"kind": "drop_answer"})
    with pytest.raises(httpx.RemoteProtocolError):
        wa.send_message(to=PERSON, text="hi", tracker="attempt-1")
    assert [shown["callback_data"] for shown in simulator.sent()] == ["attempt-1"]


def test_webhooks_parse(wa: WhatsApp, simulator: Simulator, hook: Hook) -> None:
    answer = simulator.post("whatsapp/inbound", {"from": PERSON, "name": "Sari", "text": "AC bocor / مكسور"})
    assert answer["webhook_status"] == 200
    message = types.Message.from_update(wa, update(hook.signed(1)[0].body))
    assert (message.id, message.text) == (answer["wamid"], "AC bocor / مكسور")
    assert (message.from_user.wa_id, message.from_user.name) == (PERSON, "Sari")
    assert message.from_user.bsuid.startswith("ID.")
    assert (message.metadata.phone_number_id, message.waba_id) == (NUMBER, WABA)

    simulator.post("config", {"auto_statuses": True, "status_delays_ms": [1, 20, 40]})
    sent = wa.send_message(to=PERSON, text="OK", tracker="job-2")
    calls = hook.signed(4)[1:]
    statuses = [types.MessageStatus.from_update(wa, update(call.body)) for call in calls]
    assert [status.status.value for status in statuses] == ["sent", "delivered", "read"]
    assert {(status.id, status.tracker, status.from_user.wa_id) for status in statuses} == {(sent.id, "job-2", PERSON)}
    assert statuses[0].from_user.bsuid == message.from_user.bsuid
    assert statuses[0].pricing.category.value == "service"
    assert statuses[0].conversation is None


def test_failed_status_names_its_error(wa: WhatsApp, simulator: Simulator, hook: Hook) -> None:
    simulator.post("faults", {"kind": "fail_status", "code": 131049})
    sent = wa.send_message(to=PERSON, text="hi")
    value = json.loads(hook.signed(1)[0].body)["entry"][0]["changes"][0]["value"]
    [status] = value["statuses"]
    assert (status["id"], status["status"]) == (sent.id, "failed")
    error = errors.WhatsAppError.from_dict(status["errors"][0])
    assert error.code == 131049 and error.details
    assert TOKEN not in json.dumps(value)
