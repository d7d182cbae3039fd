"""People in browsers, and apps that they connect."""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx

from api import Api, Organisation, data, serial
from harness import Kabar

REDIRECT = "https://crm.example.com/kabar/callback"


def browser(kabar: Kabar) -> httpx.Client:
    """Sends what a browser sends with forms of our pages, and keeps cookies."""
    return httpx.Client(base_url=kabar.base_url, headers={"Origin": kabar.base_url}, timeout=30)


def sign_in(client: httpx.Client, email: str, password: str, **fields: str) -> httpx.Response:
    return client.post("/login", data={"email": email, "password": password, **fields})


@contextlib.contextmanager
def as_admin(kabar: Kabar) -> Iterator[httpx.Client]:
    with browser(kabar) as client:
        assert sign_in(client, Kabar.ADMIN_EMAIL, kabar.keys.admin_password).status_code == 303
        yield client


def create_person(organisation: Organisation, role: str = "agent") -> tuple[str, str]:
    email, password = f"person{serial()}@example.com", f"pass-word-{serial()}"
    user = ["user", "create", "--email", email, "--name", "Ani", "--organisation", organisation.slug]
    organisation.kabar.run(*user, "--role", role, "--password-stdin", stdin=password + "\n")
    return email, password


def new_app(api: Api, **fields) -> dict:
    body = {"name": "CRM", "slug": f"crm-{serial()}", "redirect_uris": [REDIRECT], **fields}
    return data(api.post("/apps", body), 201)


def form_of(page: httpx.Response) -> dict[str, str]:
    """The fields of the consent page's form as a browser would send them."""
    inside = re.search(r'<form method="post" action="/connect">(.*?)</form>', page.text, re.S)
    assert inside, page.text
    fields = {}
    for tag in re.findall(r"<input [^>]*>", inside[1]):
        found = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if found["type"] == "hidden" or " checked" in tag:
            fields[found["name"]] = html.unescape(found["value"])
    return fields


def query_of(location: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def allow(client: httpx.Client, app: dict, organisation: str, answer: str = "allow", **query: str) -> httpx.Response:
    """Opens the consent page and answers it, for this organisation."""
    asked = {"app": app["slug"], "redirect_uri": app["redirect_uris"][0], "abilities": "read,send", **query}
    page = client.get("/connect", params=asked)
    assert page.status_code == 200, page.text
    return client.post("/connect", data=form_of(page) | {"organisation": organisation, "answer": answer})


def code_of(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return query_of(answer.headers["location"])["code"]


def connect(kabar: Kabar, client: httpx.Client, app: dict, organisation: str, **query: str) -> str:
    """A token that the app was given."""
    body = {"code": code_of(allow(client, app, organisation, **query)), "redirect_uri": app["redirect_uris"][0]}
    return data(kabar.http.post("/api/v1/oauth/token", json=body), 200)["access_token"]
