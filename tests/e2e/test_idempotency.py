"""`Idempotency-Key` on every POST that makes something."""

import pytest

import whatsapp as wa
from api import data, refused, serial


@pytest.fixture
def bodies(account):
    """A good body for each POST, and the field to change for another one."""
    number = wa.Number.new(serial())
    organisation = {"name": "PT Dua", "slug": f"pt-{serial()}", "timezone": "Asia/Jakarta"}
    phone = {
        "platform": "whatsapp",
        "display_name": "Satu",
        "phone_number_id": number.phone_number_id,
        "phone_number": number.phone_number,
        "access_token": number.access_token,
    }
    group = {"messaging_account_id": account.id, "kind": "group", "external_id": f"g-{serial()}", "display_name": "Tim"}
    return {
        "/organisations": (organisation, "name"),
        "/messaging-accounts": (phone, "display_name"),
        "/channels": (group, "display_name"),
        "/contacts": ({"wa_id": "6281234", "name": "Ali"}, "name"),
        "/messages": ({"channel_id": account.channel_id, "wa_id": "6281235", "body": "Halo"}, "body"),
        "/inbox": ({"text": "AC bocor"}, "text"),
    }


PATHS = ["/organisations", "/messaging-accounts", "/channels", "/contacts", "/messages", "/inbox"]


@pytest.mark.parametrize("path", PATHS)
def test_the_first_answer_again_and_another_body_refused(api, bodies, path):
    body, field = bodies[path]
    headers = {"Idempotency-Key": f"key-{serial()}"}
    first = api.post(path, body, headers)
    again = api.post(path, body, headers)
    assert data(again) == data(first)
    assert again.status_code == first.status_code
    refused(api.post(path, body | {field: "Lain"}, headers), 409)


def test_the_same_key_on_another_path_is_another_request(api, bodies):
    headers = {"Idempotency-Key": f"key-{serial()}"}
    data(api.post("/inbox", bodies["/inbox"][0], headers))
    answer = api.post("/contacts", bodies["/contacts"][0], headers)
    # Either its own answer or a conflict, never the other path's answer.
    assert answer.status_code == 409 or data(answer)["wa_id"] == "6281234"


@pytest.mark.parametrize("key", ["", "x" * 10_000, "ключ"], ids=["empty", "long", "cyrillic"])
def test_an_unusable_key_is_no_500(api, key):
    answer = api.post("/inbox", {"text": "x"}, {"Idempotency-Key": key.encode()})
    assert answer.status_code in (200, 201, 400, 422)


def test_the_order_of_fields_is_no_other_body(api, bodies):
    body, _ = bodies["/contacts"]
    headers = {"Idempotency-Key": f"key-{serial()}"}
    first = data(api.post("/contacts", body, headers))
    answer = api.post("/contacts", dict(reversed(body.items())), headers)
    assert answer.status_code == 409 or data(answer) == first
