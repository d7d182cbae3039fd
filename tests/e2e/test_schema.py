"""The API does what its description says, whatever is sent: Schemathesis tries each operation."""

import pathlib
import subprocess
import sys

# Each of the server's answers must be of a kind that its description has.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# It would end the token that the others are tried with.
LEFT_OUT = ["/api/v1/auth/logout"]
# A stream, which does not end.
ENDLESS = "/events$"
SECONDS = 60


def test_nothing_that_is_not_described_is_answered(server, organisation, tmp_path):
    (tmp_path / "openapi.json").write_text(server.http.get("/openapi.json").text)
    options = {
        "--url": server.base_url,
        "--header": f"Authorization: Bearer {organisation.token('read,write,send,admin')}",
        "--checks": CHECKS,
        "--phases": "examples,coverage,fuzzing",
        "--max-examples": "5",
        "--max-time": str(SECONDS),
        "--request-timeout": "20",
        "--suppress-health-check": "all",
        "--warnings": "off",
        "--exclude-path-regex": ENDLESS,
    }
    done = subprocess.run(
        [
            *(pathlib.Path(sys.executable).with_name("schemathesis"), "run", "openapi.json"),
            *(part for option in options.items() for part in option),
            *(part for path in LEFT_OUT for part in ("--exclude-path", path)),
            *("--generation-deterministic", "--continue-on-failure", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS * 3,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "panicked" not in server.log()
