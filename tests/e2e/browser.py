"""The web app in Chromium, as a person sees it: languages, themes, sizes, the keyboard, a screen reader's view."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

import harness
from api import Organisation, serial

SESSION = "kabar_session"
LOCALES = {"en": "en-GB", "id": "id-ID", "ar": "ar-EG"}


@dataclasses.dataclass(frozen=True)
class View:
    """How somebody looks at the app."""

    language: str = "en"
    theme: str = "light"
    phone: bool = False

    def __str__(self) -> str:
        return f"{self.language}-{self.theme}-{'phone' if self.phone else 'desk'}"

    def context(self) -> dict[str, Any]:
        size = {"width": 360, "height": 740} if self.phone else {"width": 1280, "height": 860}
        return {
            "viewport": size,
            "has_touch": self.phone,
            "locale": LOCALES[self.language],
            "color_scheme": self.theme,
            "reduced_motion": "reduce",
        }


# Each language, theme and size at least once, and what reads from right to left at both sizes.
VIEWS = [
    View("en", "light"),
    View("en", "dark", phone=True),
    View("id", "dark"),
    View("id", "light", phone=True),
    View("ar", "light"),
    View("ar", "dark", phone=True),
]


def in_every_view(test: Any) -> Any:
    """With each `view` in turn; over one database, for what is seen does not depend on it."""
    for names, values, more in (("view", VIEWS, {"ids": str}), ("backend", ["sqlite"], {"indirect": True})):
        test = pytest.mark.parametrize(names, values, **more)(test)
    return test


@dataclasses.dataclass
class Person:
    email: str
    password: str
    name: str


def person(organisation: Organisation, role: str = "admin", name: str = "Dewi Lestari") -> Person:
    """A new member of the organisation."""
    made = Person(f"person{serial()}@example.com", f"pass-word-{serial()}", name)
    user = ["user", "create", "--email", made.email, "--name", name, "--organisation", organisation.slug]
    organisation.kabar.run(*user, "--role", role, "--password-stdin", stdin=made.password + "\n")
    return made


@functools.cache
def axe() -> str:
    return (harness.ROOT / "target/test-node/node_modules/axe-core/axe.min.js").read_text()


class App:
    """One person's browser. What it complains about ends up in `problems`, which every test leaves empty."""

    def __init__(self, context: BrowserContext, base_url: str):
        self.context = context
        self.base_url = base_url
        self.page: Page = context.new_page()
        self.problems: list[str] = []
        # Statuses that the test provokes; Chromium prints those of failed requests to the console too.
        self.expected: set[int] = set()
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("console", self._said)
        self.page.on("request", self._asked)
        self.page.on("response", self._got)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.problems.append(f"console: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.base_url + "/", "data:", "blob:")):
            self.problems.append(f"request elsewhere: {request.url}")

    def _got(self, response: Any) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.problems.append(f"{response.status}: {response.request.method} {response.url}")

    def sign_in(self, who: Person) -> App:
        """Without the form: a test of the app need not type a password."""
        with httpx.Client(base_url=self.base_url, headers={"Origin": self.base_url}) as client:
            answer = client.post("/login", data={"email": who.email, "password": who.password})
            assert answer.status_code == 303, answer.text
            value = client.cookies[SESSION]
        self.context.add_cookies([{"name": SESSION, "value": value, "url": self.base_url, "httpOnly": True}])
        return self

    def open(self, path: str) -> Page:
        self.page.goto(self.base_url + "/app" + path)
        expect(self.page.get_by_role("heading", level=1)).to_be_visible()
        return self.page

    def check(self) -> None:
        """Nothing is wrong with what is on the screen now, and nothing was on the way here."""
        self.page.wait_for_load_state("networkidle")
        assert self.problems == []
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"the page is {wide} px wider than the screen"
        self.page.evaluate(axe())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        # Menus float outside of the landmarks while they are open.
        told = [
            f"{rule['id']}: {rule['help']}: {node['html']}"
            for rule in found["violations"]
            for node in rule["nodes"]
            if not (rule["id"] == "region" and "data-bits-floating" in node["html"])
        ]
        assert told == []
        left_over = self.page.evaluate("document.body.innerText.match(/\\bundefined\\b|\\bNaN\\b|\\[object \\w+\\]/g)")
        assert not left_over

    def tab_to(self, name: str, most: int = 60) -> None:
        """Moves the focus with the Tab key alone until it is on what is called `name`."""
        called = (
            "(() => { const it = document.activeElement; return it.getAttribute('aria-label')"
            " ?? it.labels?.[0]?.innerText ?? it.innerText ?? ''; })()"
        )
        seen = []
        for _ in range(most):
            self.page.keyboard.press("Tab")
            seen.append(self.page.evaluate(called).strip())
            if seen[-1].split("\n")[0].strip() == name:
                return
        raise AssertionError(f"the Tab key did not come to {name!r}: {seen}")
