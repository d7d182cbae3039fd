"""How the web app is served, and its shell: navigation, languages, themes, the keyboard, small screens."""

import re

import pytest


@pytest.fixture
def http(server):
    return server.http


def test_root_leads_to_the_app(http):
    answer = http.get("/")
    assert answer.status_code == 307 and answer.headers["Location"] == "/app"


@pytest.mark.parametrize("path", ["/app", "/app/", "/app/integrations/api-tokens", "/app/no/such/page"])
def test_every_path_is_the_same_document_under_a_strict_policy(http, path):
    answer = http.get(path)
    assert answer.status_code == 200, "the binary has no web app: run scripts/web-build, then cargo build"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';") and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and answer.headers["X-Frame-Options"] == "DENY"
    # Nothing in the document that the policy would not let run, and nothing from elsewhere.
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=|https?://", answer.text)


def test_files_are_kept_as_long_as_their_names_say(http):
    page = http.get("/app")
    assert page.headers["Cache-Control"] == "no-cache"
    assert http.get("/app", headers={"If-None-Match": page.headers["ETag"]}).status_code == 304
    script = re.search(r'src="(/app/assets/[^"]+\.js)"', page.text)[1]
    packed = http.get(script, headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert packed.headers["Content-Encoding"] in ("br", "gzip") and "Accept-Encoding" in packed.headers["Vary"]
    plain = http.get(script, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert len(plain.content) > 3 * int(packed.headers["Content-Length"])


def test_a_file_of_an_earlier_build_is_not_a_page(http):
    answer = http.get("/app/assets/index-gone.js")
    assert answer.status_code == 404 and "html" not in answer.headers.get("Content-Type", "")


def test_only_files_of_the_app_are_served(http):
    for path in ["/app/../../../etc/passwd", "/app/%2e%2e/%2e%2e/Cargo.toml", "/app/assets/%2e%2e/index.html.br"]:
        assert "root:" not in (text := http.get(path).text) and "[workspace]" not in text
    assert http.post("/app", json={}).status_code == 405
