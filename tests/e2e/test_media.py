"""Files: uploaded, sent by people, kept on a disk or in a bucket, and read by signed links."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.parse

import httpx
import pytest

import telegram as tg
import whatsapp as wa
from api import Api, Organisation, data, login, refused, serial
from harness import Kabar, eventually, free_port
from telegram import Hook

MIB = 1 << 20
PICTURE = b"\xff\xd8\xff\xe0 picture " + bytes(range(256)) * 40


def upload(api, content=PICTURE, name="foto.jpg", kind="image/jpeg", **headers):
    return api.http.post("/media", files={"file": (name, content, kind)}, headers=headers)


def stored_objects(server, organisation):
    folder = server.data_dir / "media" / organisation.id
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def browser(server):
    """Follows links without any token."""
    with httpx.Client(base_url=server.base_url, timeout=30) as client:
        yield client


# Uploading and reading.


def test_an_uploaded_file_can_be_read_by_its_link(api, browser, server):
    file = data(upload(api, name="../Foto pompa é.jpg"), 201)
    assert (file["status"], file["origin"], file["size"]) == ("stored", "upload", len(PICTURE))
    assert file["sha256"] == hashlib.sha256(PICTURE).hexdigest()
    assert (file["filename"], file["mime_type"]) == ("Foto pompa é.jpg", "image/jpeg")
    assert file["url"].startswith(f"{server.base_url}/media/{file['id']}/")
    answer = browser.get(file["url"])
    assert (answer.status_code, answer.content) == (200, PICTURE)
    headers = answer.headers
    assert headers["content-type"] == "image/jpeg"
    assert headers["content-length"] == str(len(PICTURE))
    assert headers["etag"] == f'"{file["sha256"]}"'
    assert headers["accept-ranges"] == "bytes"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert headers["content-disposition"] == (
        "inline; filename=\"Foto pompa _.jpg\"; filename*=UTF-8''Foto%20pompa%20%C3%A9.jpg"
    )
    # The resource gives a link of its own each time, and so does the list.
    assert browser.get(data(api.get(f"/media/{file['id']}"))["url"]).content == PICTURE
    [listed] = data(api.get("/media", status="stored"))
    assert listed["id"] == file["id"] and api.total("/media", status="missing") == 0


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("image/png", "inline"),
        ("video/mp4", "inline"),
        ("audio/ogg; codecs=opus", "inline"),
        ("application/pdf", "attachment"),
        ("image/svg+xml", None),
        ("text/html", None),
        ("text/javascript", None),
        ("application/xhtml+xml", None),
        ("text/xml", None),
    ],
)
def test_only_harmless_types_are_shown_in_place(api, browser, kind, shown):
    answer = browser.get(data(upload(api, b"<script>alert(1)</script>", "x.bin", kind))["url"])
    assert answer.headers["content-disposition"].split(";")[0] == (shown or "attachment")
    # What could run is not even called by its name.
    expected = kind.split(";")[0] if shown else "application/octet-stream"
    assert answer.headers["content-type"] == expected
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_ranges(api, browser):
    file = data(upload(api))
    url, size = file["url"], len(PICTURE)

    def part(text, **headers):
        return browser.get(url, headers={"Range": text, **headers})

    for text, expected in [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=100-199", slice(100, 200)),
        (f"bytes={size - 5}-", slice(size - 5, size)),
        ("bytes=-7", slice(size - 7, size)),
        (f"bytes=5-{size * 2}", slice(5, size)),
    ]:
        answer = part(text)
        assert (answer.status_code, answer.content) == (206, PICTURE[expected]), text
        assert answer.headers["content-range"] == f"bytes {expected.start}-{expected.stop - 1}/{size}"
    beyond = part(f"bytes={size}-")
    assert refused(beyond, 416) and beyond.headers["content-range"] == f"bytes */{size}"
    assert part("bytes=0-1,4-5").status_code == 200, "several ranges count as none"
    tag = f'"{file["sha256"]}"'
    assert part("bytes=0-1", **{"If-Range": tag}).status_code == 206
    assert part("bytes=0-1", **{"If-Range": '"another"'}).content == PICTURE
    known = browser.get(url, headers={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")
    head = browser.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(size) and head.headers["etag"] == tag
    head = browser.head(url, headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.headers["content-length"]) == (206, "10")


def test_a_link_that_was_changed_leads_nowhere(api, browser):
    first, second = (data(upload(api, content)) for content in (b"one", b"two"))
    url = urllib.parse.urlsplit(first["url"])
    query = dict(urllib.parse.parse_qsl(url.query))
    good = url.path

    def ask(path=good, **change):
        return browser.get(path, params={k: v for k, v in (query | change).items() if v is not None})

    assert ask().content == b"one"
    assert ask(good.rsplit("/", 1)[0] + "/any-name").content == b"one"
    wrong = [
        ask(good.replace(first["id"], second["id"])),
        ask(expires=str(int(query["expires"]) + 900)),
        ask(expires="1"),
        ask(expires=None),
        ask(signature=None),
        ask(signature=query["signature"][:-1] + "-"),
        ask(signature="%00"),
        ask("/media/nonsense/x"),
    ]
    for answer in wrong:
        assert refused(answer, 404, "No query results for model [File].")


def test_the_same_content_is_kept_once(api, browser, server, organisation, new_organisation):
    first, second = data(upload(api)), data(upload(api, name="lagi.jpg"))
    assert first["sha256"] == second["sha256"] and first["id"] != second["id"]
    eventually(lambda: len(stored_objects(server, organisation)) == 1)
    other = new_organisation()
    data(upload(other.api))
    assert len(stored_objects(server, other)) == 1
    assert api.delete(f"/media/{first['id']}").status_code == 204
    refused(api.get(f"/media/{first['id']}"), 404)
    refused(browser.get(first["url"]), 404)
    assert browser.get(second["url"]).content == PICTURE
    assert api.delete(f"/media/{second['id']}").status_code == 204
    eventually(lambda: stored_objects(server, organisation) == [])


def test_what_is_no_file_is_refused(api, organisation):
    for answer in [
        api.post("/media", {}),
        api.http.post("/media", files={"other": ("x", b"x")}),
        api.http.post("/media", content=b"", headers={"Content-Type": "multipart/form-data; boundary=x"}),
        upload(api, b""),
    ]:
        assert answer.status_code in (400, 422), answer.text
    reader = organisation.caller("read")
    refused(upload(reader), 403)
    # Who may send may bring what is sent, and no more.
    sender = organisation.caller("send")
    file = data(upload(sender), 201)
    refused(sender.get("/media"), 403)
    refused(sender.delete(f"/media/{file['id']}"), 403)


def test_a_file_is_taken_once_under_a_key(api, browser):
    key = {"Idempotency-Key": f"file-{serial()}"}
    first = upload(api, **key)
    again = upload(api, **key)
    assert data(first, 201)["id"] == data(again, 201)["id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert api.total("/media") == 1
    refused(upload(api, b"another length", **key), 409)


def test_an_upload_that_broke_off_may_be_repeated_under_its_key(server, api, organisation):
    key = f"file-{serial()}"
    head = (
        f"POST /api/v1/media HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.token}\r\nX-Organisation-Id: {organisation.id}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\nhalf'
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode())

    def repeated():
        answer = upload(api, **{"Idempotency-Key": key})
        # Until the server has noticed, the first one still runs; then the length differs, or the key is free.
        return answer.status_code == 201

    eventually(repeated)
    assert api.total("/media") == 1
    eventually(lambda: len(stored_objects(server, organisation)) == 1)


def test_a_file_that_is_too_large_is_413(make_kabar, backend, new_database):
    kabar = make_kabar(new_database(backend), environment={"KABAR_MEDIA_MAX_BYTES": str(2 * MIB)}).start()
    token = login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"]
    api = Api(kabar.base_url, token)
    data(upload(api, bytes(2 * MIB)), 201)
    for size in (2 * MIB + 1, 3 * MIB):
        answer = upload(api, bytes(size))
        assert answer.status_code in (413, 422), answer.text

    def unannounced():
        boundary = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"
        yield boundary
        for _ in range(5):
            yield bytes(MIB)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with contextlib.suppress(httpx.TransportError):
        answer = api.http.post("/media", content=unannounced(), headers=headers)
        assert answer.status_code in (413, 422), answer.text
    assert api.total("/media") == 1
    refused(api.post("/contacts", {"name": "x" * 2 * MIB}), 413)


# What people send.


@pytest.fixture
def give(simulator, account):
    """A file at WhatsApp: the media object of a message."""

    def make(content=PICTURE, kind="image/jpeg", name=None):
        body = {
            "phone_number_id": account.number.phone_number_id,
            "mime_type": kind,
            "content_base64": base64.b64encode(content).decode(),
            **({"filename": name} if name else {}),
        }
        return simulator.post("whatsapp/media", body)

    return make


@pytest.fixture
def arrives(server, organisation, account):
    """A person sends a message with media; it, once it looks as it should."""

    def send(kind, media, status):
        incoming = wa.message(f"62822{serial() % 10**8:08d}", kind, media)
        wa.deliver(server, wa.arrival(account.number, incoming))

        def look():
            message = organisation.message(incoming["id"])
            assert message["media"][0]["status"] == status, message["media"]
            return message

        return eventually(look)

    return send


def test_a_picture_that_a_person_sends(give, arrives, api, browser):
    media = give()
    message = arrives("image", media | {"caption": "Pompa bocor"}, "stored")
    [shown] = message["media"]
    assert shown["id"] == media["id"] and message["body"] == "Pompa bocor"
    assert browser.get(shown["url"]).content == PICTURE
    file = data(api.get(f"/media/{shown['file_id']}"))
    assert (file["origin"], file["message_id"]) == ("message", message["id"])
    [item] = data(api.get("/inbox"))
    assert item["media"][0]["file_id"] == shown["file_id"]
    assert browser.get(item["media"][0]["url"]).content == PICTURE


def test_a_document_is_offered_under_its_name(give, arrives, browser):
    message = arrives("document", give(b"%PDF", "application/pdf", "laporan akhir.pdf"), "stored")
    answer = browser.get(message["media"][0]["url"])
    assert answer.headers["content-disposition"] == 'attachment; filename="laporan akhir.pdf"'


def test_one_that_is_gone_is_missing_and_can_be_asked_for_again(give, arrives, api, simulator, account):
    media = give()
    number = account.number
    path, headers = f"/v24.0/{media['id']}", {"Authorization": f"Bearer {number.access_token}"}
    assert simulator.http.delete(path, headers=headers).is_success
    message = arrives("image", media, "missing")
    [shown] = message["media"]
    assert shown["url"] is None
    file = data(api.get(f"/media/{shown['file_id']}"))
    assert file["status"] == "missing" and file["reason"]
    data(api.post(f"/media/{file['id']}/refetch"), 202)
    eventually(lambda: data(api.get(f"/media/{file['id']}"))["status"] == "missing")
    stored = data(upload(api))
    refused(api.post(f"/media/{stored['id']}/refetch"), 409, "The file is not missing.")


def test_a_photo_that_a_person_sends_a_bot(simulator, organisation, bot, browser, api):
    hook = Hook(bot)
    body = {
        "token": bot.bot_token,
        "kind": "photo",
        "content_base64": base64.b64encode(PICTURE).decode(),
    }
    photo = simulator.post("telegram/files", body)
    said = tg.message(92_000_000 + serial() % 10**6, photo=[photo | {"width": 90, "height": 90}], caption="Ini")
    hook.deliver(tg.update(message=said))

    def stored():
        message = organisation.message(tg.provider_id(said))
        assert message["media"][0]["status"] == "stored", message["media"]
        return message

    message = eventually(stored)
    assert browser.get(message["media"][0]["url"]).content == PICTURE
    # An edited caption brings the same file again.
    hook.deliver(tg.update(edited_message=said | {"caption": "Itu", "edit_date": said["date"] + 1}))
    edited = eventually(lambda: next((m for m in organisation.messages() if m["body"] == "Itu"), None))
    assert edited["media"][0]["file_id"] == message["media"][0]["file_id"]
    assert api.total("/media") == 1


def test_a_file_larger_than_telegram_hands_out(simulator, organisation, bot, api):
    hook = Hook(bot)
    said = tg.message(92_000_000 + serial() % 10**6, document={"file_id": "BAAD", "file_unique_id": "u", "file_size": 30 * MIB})
    simulator.fault(
        "error", provider="telegram", method="getFile", code=400, description="Bad Request: file is too big"
    )
    hook.deliver(tg.update(message=said))

    def missing():
        [shown] = organisation.message(tg.provider_id(said))["media"]
        assert shown["status"] == "missing", shown
        return shown

    shown = eventually(missing)
    assert "20 MB" in data(api.get(f"/media/{shown['file_id']}"))["reason"]


# What is sent.


@pytest.fixture
def sent(api):
    """Sends a file of the library; the message once it has this status."""

    def one(status="sent", **body):
        message = data(api.post("/messages", {"type": "image", "body": "Lihat"} | body), 200)

        def look():
            now = data(api.get(f"/messages/{message['id']}"))
            order = ["sent", "delivered", "read"]
            assert now["status"] == status or (status in order and now["status"] in order), now
            return now

        return eventually(look, 30)

    return one


def uploads(simulator, number):
    return [r for r in simulator.requests(provider="whatsapp", method="media") if number.phone_number_id in r["path"]]


def test_a_file_is_given_to_whatsapp_once(api, account, sent, simulator, browser):
    file = data(upload(api))
    to = {"channel_id": account.channel_id, "media_id": file["id"]}
    first = sent(wa_id="628230001", **to)
    assert browser.get(first["media"][0]["url"]).content == PICTURE
    [arrived] = simulator.sent(callback_data=first["id"])
    given = arrived["payload"]["image"]["id"]
    second = sent(wa_id="628230002", **to)
    [arrived] = simulator.sent(callback_data=second["id"])
    assert arrived["payload"]["image"] == {"id": given, "caption": "Lihat"}
    assert len(uploads(simulator, account.number)) == 1
    # WhatsApp forgot it: it is given again, and the message goes out.
    headers = {"Authorization": f"Bearer {account.number.access_token}"}
    assert simulator.http.delete(f"/v24.0/{given}", headers=headers).is_success
    third = sent(wa_id="628230003", **to)
    [arrived] = simulator.sent(callback_data=third["id"])
    assert arrived["payload"]["image"]["id"] != given
    assert len(uploads(simulator, account.number)) == 2


def test_a_lost_answer_to_an_upload_is_no_doubt(api, account, sent, simulator):
    file = data(upload(api))
    simulator.fault("drop_answer", provider="whatsapp", method="media")
    message = sent(wa_id="628230004", channel_id=account.channel_id, media_id=file["id"])
    assert len(simulator.sent(callback_data=message["id"])) == 1


def test_a_file_is_given_to_telegram_with_its_message(api, organisation, bot, sent, simulator):
    hook, person = Hook(bot), 93_000_000 + serial() % 10**6
    said = tg.message(person)
    hook.deliver(tg.update(message=said))
    conversation = organisation.message(tg.provider_id(said))["conversation_id"]
    file = data(upload(api))
    for _ in range(2):
        sent(conversation_id=conversation, media_id=file["id"])
    calls = [r for r in simulator.requests(provider="telegram", to=str(person)) if r["method"] == "sendPhoto"]
    assert [call["body"]["photo"].startswith("<") for call in calls] == [True, False], calls
    assert all(call["body"]["caption"] == "Lihat" for call in calls)


def test_only_a_stored_file_of_ones_own_is_sent(api, account, new_organisation):
    foreign = data(upload(new_organisation().api))
    removed = data(upload(api))
    assert api.delete(f"/media/{removed['id']}").status_code == 204
    text = data(upload(api, b"abc", "a.txt", "text/plain"))
    to = {"channel_id": account.channel_id, "wa_id": "628230005", "type": "image"}
    for id in (foreign["id"], removed["id"], "nonsense"):
        body = refused(api.post("/messages", to | {"media_id": id}), 422, "The selected media id is invalid.")
        assert list(body["errors"]) == ["media_id"]
    body = refused(api.post("/messages", to | {"media_id": text["id"]}), 422)
    assert "text/plain" in body["message"]


# The store: a bucket, and one that is away.


class Bucket:
    """A server that speaks S3."""

    def __init__(self, directory):
        self.directory = directory
        self.port = free_port()
        self.process = None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        log = (self.directory / "s3.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)], stdout=log, stderr=log
        )
        eventually(lambda: httpx.get(f"{self.url}/moto-api/").status_code == 200, 30)
        assert httpx.put(f"{self.url}/kabar-files").status_code == 200

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def keys(self):
        listed = httpx.get(f"{self.url}/kabar-files?list-type=2").text
        return re.findall(r"<Key>([^<]+)</Key>", listed)

    def environment(self):
        return {
            "KABAR_MEDIA_URL": "s3://kabar-files/prod/media",
            "KABAR_S3_ENDPOINT": self.url,
            "KABAR_S3_REGION": "eu-central-1",
            "KABAR_S3_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "KABAR_S3_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-hunter2",
        }


@pytest.fixture
def bucket(workspace):
    directory = workspace / f"s3-{serial()}"
    directory.mkdir()
    made = Bucket(directory)
    yield made
    made.stop()
    shutil.rmtree(directory)


@pytest.fixture
def on_s3(make_kabar, backend, new_database, simulator, bucket):
    return make_kabar(new_database(backend), simulator=simulator, environment=bucket.environment()).start()


@pytest.fixture
def tenant(on_s3, simulator):
    token = login(on_s3, Kabar.ADMIN_EMAIL, on_s3.keys.admin_password)["access_token"]
    simulator.configure(
        webhook_whatsapp=on_s3.base_url + "/webhooks/whatsapp", app_secret=on_s3.keys.app_secret, auto_statuses=True
    )
    made = Organisation(on_s3, token)
    yield made
    made.close()


def test_files_in_a_bucket(on_s3, tenant, bucket):
    # Below and above what is written in one request.
    large = os.urandom(13 * MIB + 5)
    small = data(upload(tenant.api), 201)
    file = data(upload(tenant.api, large, "video.mp4", "video/mp4"), 201)
    data(upload(tenant.api, large, "again.mp4", "video/mp4"), 201)
    assert file["sha256"] == hashlib.sha256(large).hexdigest()
    assert httpx.get(file["url"]).content == large
    answer = httpx.get(file["url"], headers={"Range": f"bytes={6 * MIB}-{6 * MIB + 9}"})
    assert (answer.status_code, answer.content) == (206, large[6 * MIB : 6 * MIB + 10])
    eventually(lambda: len(bucket.keys()) == 2)
    assert all(key.startswith(f"prod/media/{tenant.id}/") for key in bucket.keys())
    assert tenant.api.delete(f"/media/{small['id']}").status_code == 204
    eventually(lambda: len(bucket.keys()) == 1)
    shown = on_s3.run("config", "check")
    assert "hunter2" not in shown + on_s3.log() and "s3://kabar-files" in shown


def test_a_store_that_was_away(on_s3, tenant, bucket, simulator):
    account = tenant.whatsapp()
    content = os.urandom(1000)
    bucket.stop()
    refused(upload(tenant.api), 503)
    media = {
        "phone_number_id": account.number.phone_number_id,
        "mime_type": "image/jpeg",
        "content_base64": base64.b64encode(content).decode(),
    }
    incoming = wa.message("628229999", "image", simulator.post("whatsapp/media", media))
    wa.deliver(on_s3, wa.arrival(account.number, incoming))
    [shown] = tenant.message(incoming["id"])["media"]
    assert shown["status"] == "pending" and shown["url"] is None
    eventually(lambda: int(on_s3.sql("SELECT MAX(attempt) FROM jobs WHERE kind = 1")) >= 1, 30)
    bucket.start()

    def stored():
        [now] = tenant.message(incoming["id"])["media"]
        assert now["status"] == "stored", now
        return now

    assert httpx.get(eventually(stored, 60)["url"]).content == content
    data(upload(tenant.api), 201)


# Memory.


def test_a_large_file_goes_through_without_being_held(server, organisation, api, browser):
    block = os.urandom(MIB)
    blocks = 64
    expected = hashlib.sha256(block * blocks).hexdigest()

    def form():
        yield b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"besar.bin\"\r\n\r\n"
        yield from itertools.repeat(block, blocks)
        yield b"\r\n--x--\r\n"

    data(upload(api, os.urandom(MIB)), 201)
    before = server.memory()
    most = before
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    file = data(api.http.post("/media", content=form(), headers=headers), 201)
    most = max(most, server.memory())
    assert (file["size"], file["sha256"]) == (blocks * MIB, expected)
    found = hashlib.sha256()
    with browser.stream("GET", file["url"]) as answer:
        for number, part in enumerate(answer.iter_raw()):
            found.update(part)
            if number % 100 == 0:
                most = max(most, server.memory())
    assert found.hexdigest() == expected
    assert most - before < 32 * MIB
