"""What a server meets in its life: crashes, full disks, lost databases, hostile and broken clients.

The promise behind all of them: a webhook answered with 200 is applied exactly once, whatever happens next.
"""

import collections
import contextlib
import os
import pathlib
import resource
import selectors
import signal
import socket
import subprocess
import threading
import time

import pytest

import whatsapp as wa
from api import Organisation, data, login, serial
from harness import Kabar, Postgres, eventually
from load import Connection, Cut, Load, Tally, parallel, request
from sending import Line, recipient, recipients

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

MEGABYTE = 1024 * 1024


def prepare(kabar, **fields):
    """An organisation and a number on a running server of one's own."""
    organisation = Organisation(kabar, login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"])
    return organisation, organisation.whatsapp(**fields)


@pytest.fixture
def own(backend, make_kabar, new_database, simulator):
    """A started server that nobody else uses."""
    return make_kabar(new_database(backend), simulator=simulator).start()


def exactly_once(kabar, organisation, tally):
    """Everything acknowledged is stored once; nothing is stored twice; nothing is stored that was not sent."""
    kabar.wait_applied(120)
    stored = collections.Counter(m["provider_message_id"] for m in organisation.messages())
    assert [name for name, count in stored.items() if count > 1] == []
    assert tally.acknowledged - stored.keys() == set(), (
        f"{len(tally.acknowledged - stored.keys())} acknowledged and lost"
    )
    assert stored.keys() - tally.sent == set()
    # The rows that hang on a message are as many.
    assert organisation.api.total("/inbox") == len(stored)
    conversations = organisation.conversations()
    assert sum(c["unread_count"] for c in conversations) == len(stored)
    assert organisation.api.total("/conversations") == organisation.api.total("/contacts") == len(conversations)
    assert organisation.held() == []


def test_killed_twenty_times_under_load(own):
    organisation, account = prepare(own)
    tally = Tally()
    for turn in range(20):
        if turn:
            own.start()
        before = len(tally.acknowledged)
        with Load(own, account.number, tally) as load:
            eventually(lambda: len(tally.acknowledged) > before + 20)
            # At another moment of the server's work each time.
            time.sleep(0.02 + 0.023 * turn % 0.3)
            own.kill()
            load.stop()
    assert tally.cut == 0 or tally.lost > 0
    assert len(tally.acknowledged) > 400
    own.start()
    exactly_once(own, organisation, tally)


def test_killed_while_sending(backend, make_kabar, new_database, simulator):
    """A message is never sent twice by a crash between the call and its answer."""
    kabar = make_kabar(new_database(backend), simulator=simulator)
    kabar.start()
    simulator.clear_faults()
    simulator.configure(
        webhook_whatsapp=kabar.base_url + "/webhooks/whatsapp", app_secret=kabar.keys.app_secret, auto_statuses=True
    )
    organisation, account = prepare(kabar)
    sent, refused = [], 0
    for turn in range(5):
        if turn:
            kabar.start()
        for _ in range(12):
            body = {"channel_id": account.channel_id, "wa_id": f"62851{serial() % 10**8:08d}", "body": "Sekali saja"}
            answer = organisation.api.post("/messages", body)
            refused += answer.status_code != 200
            if answer.status_code == 200:
                sent.append(answer.json()["data"])
        time.sleep(0.01 + 0.02 * turn)
        kabar.kill()
    assert refused == 0
    kabar.start()

    def settled():
        rows = {m["id"]: m for m in organisation.messages()}
        open_ = [m["id"] for m in sent if rows[m["id"]]["status"] not in ("read", "uncertain")]
        assert open_ == [], f"{len(open_)} of {len(sent)} not settled: {[rows[i]['status'] for i in open_][:5]}"
        return rows

    rows = eventually(settled, 90)
    for message in sent:
        arrived = simulator.sent(callback_data=message["id"])
        assert len(arrived) <= 1, "sent twice"
        if rows[message["id"]]["status"] == "read":
            assert len(arrived) == 1


@pytest.fixture
def small_disk(workspace):
    """A file system of 256 MB. Only root can mount one."""
    directory = workspace / f"small-{serial()}"
    directory.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "kabar-test", str(directory)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        pytest.fail(f"a small file system cannot be mounted, run as root: {done.stderr}")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def ballast(directory: pathlib.Path, leave: int) -> pathlib.Path:
    """Fills the file system up to `leave` bytes."""
    path = directory / "ballast"
    with path.open("wb") as file:
        # A server that runs writes meanwhile.
        while (room := os.statvfs(directory).f_bavail * os.statvfs(directory).f_frsize - leave) > 0:
            with contextlib.suppress(OSError):
                os.write(file.fileno(), b"\0" * min(room, MEGABYTE))
    return path


@pytest.fixture
def on_small_disk(backend, make_kabar, small_disk, simulator, request):
    if backend == "sqlite":
        return make_kabar(data_dir=small_disk / "data", simulator=simulator)
    cluster: Postgres = request.getfixturevalue("postgres")
    place = small_disk / "tables"
    place.mkdir()
    if os.getuid() == 0:
        subprocess.run(["chown", "postgres", str(place)], check=True)
        place.chmod(0o700)
    # Only the tables are on the small disk: a full disk under the log would stop PostgreSQL itself.
    name = f"small_{serial()}"
    cluster.sql(f"CREATE TABLESPACE {name} LOCATION '{place}'")
    url = cluster.create_database(f"TABLESPACE {name}")

    def drop():
        kabar.kill()
        cluster.sql(f"DROP DATABASE {url.rsplit('/', 1)[1]} WITH (FORCE)")
        cluster.sql(f"DROP TABLESPACE {name}")

    kabar = make_kabar(url, simulator=simulator)
    request.addfinalizer(drop)
    return kabar


def test_a_full_disk(on_small_disk, small_disk):
    kabar = on_small_disk.start()
    organisation, account = prepare(kabar)
    tally = Tally()
    with Load(kabar, account.number, tally, padding=2000):
        eventually(lambda: len(tally.acknowledged) > 50)
    kabar.wait_applied()
    filler = ballast(small_disk, leave=2 * MEGABYTE)
    with Load(kabar, account.number, tally, padding=2000):
        eventually(lambda: tally.codes.get(503, 0) > 20, 60)
        assert kabar.process.running
        assert kabar.http.get("/healthz").status_code == 200
        eventually(lambda: kabar.http.get("/readyz").status_code == 503)
    assert tally.without_retry_after == 0
    assert set(tally.codes) == {200, 503}, tally.codes
    # Reading goes on, and a write says the same.
    assert organisation.api.get("/conversations").status_code == 200
    filler.unlink()
    # No restart: the same process takes webhooks again and applies what it had acknowledged.
    after = Tally(sent=tally.sent, acknowledged=tally.acknowledged)
    with Load(kabar, account.number, after, padding=2000):
        known = len(tally.acknowledged)
        eventually(lambda: len(after.acknowledged) > known + 50, 60)
    eventually(lambda: kabar.http.get("/readyz").status_code == 200, 30)
    exactly_once(kabar, organisation, after)
    assert "panicked" not in kabar.log()


def test_a_full_disk_and_then_a_crash(on_small_disk, small_disk):
    kabar = on_small_disk.start()
    organisation, account = prepare(kabar)
    tally = Tally()
    filler = ballast(small_disk, leave=2 * MEGABYTE)
    with Load(kabar, account.number, tally, padding=2000):
        eventually(lambda: tally.codes.get(503, 0) > 20, 60)
        kabar.kill()
    filler.unlink()
    kabar.start()
    exactly_once(kabar, organisation, tally)


def test_a_full_disk_while_sending(on_small_disk, small_disk):
    """What was sent when nothing could be written is written down later, and not sent again."""
    kabar = on_small_disk.start()
    line = Line.own(kabar, messages_per_second=40)
    people = recipients(20)
    line.queue_to(people, each=3)
    filler = ballast(small_disk, leave=2 * MEGABYTE)
    refused = 0
    for turn in range(2000):
        body = {"channel_id": line.account.channel_id, "wa_id": people[turn % 20], "body": "x" * 4000}
        answer = line.api.post("/messages", body)
        assert answer.status_code in (200, 503)
        refused += answer.status_code == 503
        if refused == 20:
            break
    assert refused == 20
    filler.unlink()
    line.once()


@pytest.fixture
def own_cluster(workspace):
    cluster = Postgres(workspace / f"cluster-{serial()}")
    yield cluster
    cluster.remove()


@pytest.mark.parametrize("now", [False, True], ids=["in-order", "as-if-the-power-went"])
def test_postgres_stopped_and_started(own_cluster, make_kabar, simulator, now):
    kabar = make_kabar(own_cluster.create_database(), simulator=simulator).start()
    organisation, account = prepare(kabar)
    tally = Tally()
    with Load(kabar, account.number, tally):
        eventually(lambda: len(tally.acknowledged) > 100)
        own_cluster.stop(now=now)
        eventually(lambda: tally.codes.get(503, 0) > 20, 30)
        assert kabar.http.get("/healthz").status_code == 200
        assert kabar.http.get("/readyz").status_code == 503
        answer = organisation.api.get("/conversations")
        assert answer.status_code == 503 and "retry-after" in answer.headers
        assert answer.json()["request_id"]
        known = len(tally.acknowledged)
        own_cluster.start()
        eventually(lambda: len(tally.acknowledged) > known + 100, 60)
    assert tally.without_retry_after == 0
    assert set(tally.codes) == {200, 503}, tally.codes
    eventually(lambda: kabar.http.get("/readyz").status_code == 200, 30)
    exactly_once(kabar, organisation, tally)
    assert "panicked" not in kabar.log()


@pytest.mark.parametrize("now", [False, True], ids=["in-order", "as-if-the-power-went"])
def test_postgres_stopped_and_started_while_sending(own_cluster, make_kabar, simulator, now):
    kabar = make_kabar(own_cluster.create_database(), simulator=simulator).start()
    line = Line.own(kabar, messages_per_second=10)
    line.queue_to(recipients(10), each=9)
    for _ in range(2):
        sent = len(line.sent())
        eventually(lambda: len(line.sent()) >= sent + 5)
        own_cluster.stop(now=now)
        eventually(lambda: kabar.http.get("/readyz").status_code == 503)
        own_cluster.start()
        eventually(lambda: kabar.http.get("/readyz").status_code == 200, 30)
    line.once()
    line.sent_in_order()


def test_it_waits_for_a_database_that_comes_later(own_cluster, make_kabar):
    kabar = make_kabar(own_cluster.create_database()).start()
    assert kabar.stop() == 0
    own_cluster.stop()
    kabar.start(wait=False)
    time.sleep(0.5)
    own_cluster.start()
    if not kabar.process.running:
        # Ending with an error is as good: whoever runs it starts it again.
        assert kabar.process.wait() != 0 and "panicked" not in kabar.log()
        kabar.start(wait=False)
    kabar.wait_ready(30)


# One server for the rest: these must not hurt it.


def test_each_webhook_three_times_at_once(server, organisation, account):
    tally = Tally()
    for _ in range(40):
        message = wa.message(f"62852{serial() % 10**8:08d}")
        tally.sent.add(message["id"])
        raw = request(server, wa.arrival(account.number, message))

        def post():
            connection = Connection(server.port)
            connection.send(raw)
            status, headers, _ = connection.answer()
            connection.close()
            tally.answered(message["id"], status, headers)

        parallel([post] * 3)
    assert tally.codes == {200: 120}
    exactly_once(server, organisation, tally)


def padded(number, size):
    """A body of exactly `size` bytes with one message in it."""
    message = wa.message(f"62853{serial() % 10**8:08d}")
    payload = wa.arrival(number, message)
    payload["padding"] = ""
    payload["padding"] = "x" * (size - len(wa.encode(payload)))
    raw = wa.encode(payload)
    assert len(raw) == size
    return message, raw


def test_three_megabytes_and_one_byte_more(server, organisation, account):
    message, raw = padded(account.number, 3 * MEGABYTE)
    assert wa.post_raw(server, raw, wa.sign(server.keys.app_secret, raw)).status_code == 200
    organisation.message(message["id"])
    _, raw = padded(account.number, 3 * MEGABYTE + 1)
    answer = wa.post_raw(server, raw, wa.sign(server.keys.app_secret, raw))
    assert answer.status_code == 413
    assert answer.json()["request_id"]
    server.wait_applied()
    assert len(organisation.messages()) == 1


def test_a_full_batch_of_three_megabytes(server, organisation, account):
    people = [f"62854{n:08d}" for n in range(50)]
    batch = [wa.message(people[n % 50], content={"body": "x" * 2950}) for n in range(1000)]
    raw = wa.encode(wa.arrival(account.number, *batch))
    assert 2.9 * MEGABYTE < len(raw) <= 3 * MEGABYTE
    assert wa.post_raw(server, raw, wa.sign(server.keys.app_secret, raw)).status_code == 200
    tally = Tally(sent={m["id"] for m in batch}, acknowledged={m["id"] for m in batch})
    organisation.message(batch[-1]["id"], 60)
    exactly_once(server, organisation, tally)


def test_too_large_is_refused_before_it_is_all_sent(server):
    for head in ("Content-Length: 1000000000", "Transfer-Encoding: chunked"):
        connection = Connection(server.port)
        connection.send(f"POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
        if "chunked" in head:
            try:
                for _ in range(4):
                    connection.send(b"100000\r\n" + b"x" * MEGABYTE + b"\r\n")
            except OSError:
                pass
        assert connection.answer()[0] == 413
        connection.close()


def test_an_api_body_has_a_limit_too(organisation):
    answer = organisation.api.post("/contacts", {"wa_id": "62811", "name": "x" * (4 * MEGABYTE)})
    assert answer.status_code == 413
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_broken_json_is_kept_and_a_wrong_signature_is_not(server, organisation, account):
    acknowledged = server.metric("kabar_inbound_acknowledged_total")
    marker = f"marker-{serial()}"
    raw = f'{{"object": "whatsapp_business_account", "entry": [{{"id": "{marker}'.encode()
    assert wa.post_raw(server, raw, wa.sign("wrong", raw)).status_code == 403
    assert server.metric("kabar_inbound_acknowledged_total") == acknowledged
    assert wa.post_raw(server, raw, wa.sign(server.keys.app_secret, raw)).status_code == 200
    assert server.metric("kabar_inbound_acknowledged_total") == acknowledged + 1

    def kept():
        quarantined = [held["id"] for held in server.held() if held["reason"] == "quarantined"]
        return any(marker in server.run("inbound", "show", name) for name in quarantined)

    eventually(kept)
    wa.deliver(server, wa.arrival(account.number, message := wa.message("62811777")))
    organisation.message(message["id"])


def ends(connection, within):
    """How a stalled request ends: a status, or None when the connection is closed without one."""
    connection.socket.settimeout(within)
    try:
        return connection.answer()[0]
    except (Cut, ConnectionError):
        return None
    except TimeoutError:
        raise AssertionError(f"still open after {within} s") from None


def test_a_body_that_stalls(make_kabar, simulator):
    """Slow clients are let go; nobody waits for them."""
    server = make_kabar(simulator=simulator).start()
    _, account = prepare(server)
    head = b"POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    stalled = [Connection(server.port) for _ in range(50)]
    for connection in stalled:
        connection.send(head)
    headless = Connection(server.port)
    headless.send(b"POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nX-Slow")
    start = time.monotonic()
    for _ in range(20):
        answer = wa.post(server, wa.arrival(account.number, wa.message("62811888")))
        assert answer.status_code == 200 and answer.elapsed.total_seconds() < 1
    ended = {ends(connection, max(1.0, 60 - (time.monotonic() - start))) for connection in stalled}
    assert ended <= {408, None}
    assert ends(headless, max(1.0, 60 - (time.monotonic() - start))) in (408, None)
    for connection in (*stalled, headless):
        connection.close()


def test_a_client_that_never_reads_is_no_trouble(server):
    connection = Connection(server.port)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    for _ in range(50):
        connection.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
    assert server.http.get("/healthz").elapsed.total_seconds() < 1
    connection.close()
    assert server.http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"x" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n",
        b"POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    ],
    ids=["tls", "version", "blank", "long-line", "many-headers", "two-lengths", "negative-length"],
)
def test_what_is_no_http_is_let_go(server, raw):
    connection = Connection(server.port)
    try:
        connection.send(raw)
        connection.socket.shutdown(socket.SHUT_WR)
        connection.socket.settimeout(20)
        while connection.socket.recv(65536):
            pass
    except OSError:
        pass
    connection.close()
    assert server.http.get("/healthz").status_code == 200


def test_ten_thousand_idle_connections(server, organisation, account):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_000
    if hard < wanted + 500:
        pytest.fail(f"this needs {wanted + 500} open files; the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle: list[socket.socket] = []
    try:
        for n in range(wanted):
            connection = socket.socket()
            # A few thousand ports per source address are enough everywhere.
            connection.bind((f"127.0.0.{1 + n // 2500}", 0))
            connection.settimeout(10)
            connection.connect(("127.0.0.1", server.port))
            idle.append(connection)
        for _ in range(10):
            answer = wa.post(server, wa.arrival(account.number, message := wa.message("62811999")))
            assert answer.status_code == 200 and answer.elapsed.total_seconds() < 1
            organisation.message(message["id"])
        # They are still open, and one that now speaks is answered.
        waiting = selectors.DefaultSelector()
        for connection in idle[:500]:
            waiting.register(connection, selectors.EVENT_READ)
        assert waiting.select(0) == []
        waiting.close()
        idle[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle[0].recv(100).startswith(b"HTTP/1.1 200")
        resident = int(pathlib.Path(f"/proc/{server.process.process.pid}/statm").read_text().split()[1])
        assert resident * os.sysconf("SC_PAGE_SIZE") < 300 * MEGABYTE
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert server.http.get("/healthz").status_code == 200


# Stopping.


def test_sigterm_under_load(own):
    organisation, account = prepare(own)
    tally = Tally()
    for turn in range(5):
        if turn:
            own.start()
        before = len(tally.acknowledged)
        with Load(own, account.number, tally) as load:
            eventually(lambda: len(tally.acknowledged) > before + 50)
            assert own.stop(20) == 0
            load.stop()
    assert tally.cut == 0, "answers were cut in their middle"
    assert set(tally.codes) <= {200, 503}
    own.start()
    exactly_once(own, organisation, tally)


def test_sigterm_lets_a_begun_request_finish(own):
    organisation, account = prepare(own)
    message = wa.message("62811000")
    raw = request(own, wa.arrival(account.number, message))
    connection = Connection(own.port)
    connection.send(raw[:-20])
    time.sleep(0.3)
    own.process.signal(signal.SIGTERM)
    time.sleep(0.5)
    connection.send(raw[-20:])
    status, headers, _ = connection.answer()
    assert status == 200
    assert own.process.wait(20) == 0
    own.kill()
    own.start()
    organisation.message(message["id"])


def test_sigterm_does_not_wait_for_idle_connections(own):
    idle = [Connection(own.port) for _ in range(20)]
    start = time.monotonic()
    assert own.stop(20) == 0
    assert time.monotonic() - start < 5
    for connection in idle:
        connection.close()


def test_sigterm_keeps_what_is_queued_to_send(backend, make_kabar, new_database, simulator):
    kabar = make_kabar(new_database(backend), simulator=simulator)
    kabar.start()
    simulator.configure(
        webhook_whatsapp=kabar.base_url + "/webhooks/whatsapp", app_secret=kabar.keys.app_secret, auto_statuses=True
    )
    organisation, account = prepare(kabar)
    sent = [
        data(
            organisation.api.post(
                "/messages", {"channel_id": account.channel_id, "wa_id": f"62855{serial() % 10**8:08d}", "body": "x"}
            )
        )
        for _ in range(30)
    ]
    assert kabar.stop() == 0
    kabar.start()

    def all_read():
        rows = {m["id"]: m["status"] for m in organisation.messages()}
        return all(rows[m["id"]] == "read" for m in sent)

    eventually(all_read, 60)
    for message in sent:
        assert len(simulator.sent(callback_data=message["id"])) == 1


def test_two_servers_share_one_postgres(postgres, make_kabar, simulator):
    """Any number of nodes work on one database; each thing happens once."""
    url, key = postgres.create_database(), "11" * 32
    first = make_kabar(url, simulator=simulator, environment={"KABAR_MASTER_KEY": key})
    second = make_kabar(url, simulator=simulator, environment={"KABAR_MASTER_KEY": key}, keys=first.keys)
    first.start(), second.start()
    organisation, account = prepare(first)
    tally = Tally()
    with Load(first, account.number, tally), Load(second, account.number, tally):
        eventually(lambda: len(tally.acknowledged) > 400, 30)
        second.kill()
    second.start()
    # What the killed node had acknowledged is applied by whichever is left.
    eventually(lambda: first.metric("kabar_inbound_backlog") == second.metric("kabar_inbound_backlog") == 0, 60)
    exactly_once(first, organisation, tally)


def test_threads_do_not_pile_up(server):
    """A thousand requests leave no thread or file behind."""
    directory = pathlib.Path(f"/proc/{server.process.process.pid}")

    def held():
        return len(list((directory / "fd").iterdir())), len(list((directory / "task").iterdir()))

    server.http.get("/healthz")
    before = held()
    threads = [threading.Thread(target=lambda: [server.http.get("/healthz") for _ in range(50)]) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server._close()
    eventually(lambda: held()[0] <= before[0] + 5 and held()[1] <= before[1] + 20)
