"""Links and QR codes on machines and doors: one scan opens a chat about the thing."""

import re
import struct
import zlib
from urllib.parse import parse_qs, urlsplit

import pytest

from api import data, refused


@pytest.fixture
def facility(api):
    site = data(api.post("/sites", {"name": "Building <A>"}))
    return data(api.post("/facilities", {"site_id": site["id"], "name": "AC & co. lantai 2", "code": "AC-02"}))


def test_a_link_opens_a_chat_with_the_facility_named(account, bot, api, facility):
    found = data(api.get(f"/facilities/{facility['id']}/link"), 200)
    assert "AC-02" in found["text"]
    assert [link["platform"] for link in found["links"]] == ["whatsapp", "telegram"]
    whatsapp, telegram = (urlsplit(link["url"]) for link in found["links"])
    digits = re.sub(r"\D", "", account.number.phone_number)
    assert (whatsapp.scheme, whatsapp.netloc, whatsapp.path) == ("https", "wa.me", f"/{digits}")
    assert (telegram.netloc, telegram.path) == ("t.me", f"/kabar_{bot.bot_id}_bot")
    assert parse_qs(whatsapp.query) == {"text": [found["text"]]}
    # Telegram takes so much and no more into what a bot is told.
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", parse_qs(telegram.query)["start"][0])
    # What a person sends then is about this facility.
    entities = data(api.post("/ai/extract-entities", {"text": found["text"] + "bocor lagi"}))
    assert facility["id"] in [thing["match"]["id"] for thing in entities["things"] if thing.get("match")]


def test_pictures_of_the_code(account, api, facility):
    png = api.get(f"/facilities/{facility['id']}/qr.png", size=300)
    assert png.status_code == 200 and png.headers["content-type"] == "image/png"
    assert png.content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png.content[16:24])
    assert width == height and 300 <= width < 400
    start = png.content.index(b"IDAT")
    length = struct.unpack(">I", png.content[start - 4 : start])[0]
    assert len(zlib.decompress(png.content[start + 4 : start + 4 + length])) == height * (1 + -(-width // 8))
    svg = api.get(f"/facilities/{facility['id']}/qr.svg")
    assert svg.status_code == 200 and svg.headers["content-type"] == "image/svg+xml"
    assert svg.text.startswith("<svg ")
    refused(api.get(f"/facilities/{facility['id']}/qr.png", size=5), 422)


def test_which_account_a_code_leads_to(account, bot, api, facility):
    path = f"/facilities/{facility['id']}/qr.svg"
    default = api.get(path).text
    assert api.get(path, platform="whatsapp").text == default
    telegram = api.get(path, platform="telegram").text
    assert telegram != default and api.get(path, messaging_account_id=bot.id).text == telegram
    refused(api.get(path, platform="pigeon"), 422)
    refused(api.get(path, messaging_account_id=bot.id, platform="whatsapp"), 409)


def test_without_an_account_there_is_nothing_to_link_to(api, facility):
    assert data(api.get(f"/facilities/{facility['id']}/link"))["links"] == []
    refused(api.get(f"/facilities/{facility['id']}/qr.png"), 409)
    refused(api.get(f"/sites/{facility['site_id']}/qr-sheet"), 409)


def test_a_sheet_to_print(account, api, facility):
    other = data(api.post("/facilities", {"site_id": facility["site_id"], "name": "Genset 2"}))
    api.delete(f"/facilities/{other['id']}")
    data(api.post("/facilities", {"site_id": facility["site_id"], "name": "مضخة 3"}))
    page = api.get(f"/sites/{facility['site_id']}/qr-sheet")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert page.text.count("<figure>") == page.text.count("<svg") == 2
    assert "AC &amp; co. lantai 2" in page.text and "Building &lt;A&gt;" in page.text and "مضخة 3" in page.text
    assert "<A>" not in page.text and "Genset 2" not in page.text
    assert '<html lang="en" dir="ltr">' in page.text
    assert "script" not in page.text and "http" not in re.sub(r"https://wa\.me/|http://www\.w3\.org/2000/svg", "", page.text)


def test_a_sheet_is_in_its_readers_language(account, api, facility):
    path = f"/sites/{facility['site_id']}/qr-sheet"
    arabic = api.get(path, lang="ar").text
    assert '<html lang="ar" dir="rtl">' in arabic and "<title>رموز QR: " in arabic
    asked = api.request("GET", path, headers={"Accept-Language": "id-ID,id;q=0.9"})
    assert asked.headers["content-language"] == "id" and "<title>Kode QR: " in asked.text
    # Whoever passes by may read another: the reader's comes first.
    for page, first in ((arabic, "امسح للإبلاغ"), (asked.text, "Pindai untuk melapor")):
        calls = re.findall(r"<small lang=[^>]*>([^<]*)</small>", page)
        assert calls[0] == first and set(calls) == {"امسح للإبلاغ", "Pindai untuk melapor", "Scan to report"}
