"""Our delivery and our collector against programs that others have written.

    check.py FOLDER-OF-BINARIES FOLDER-FOR-FILES
"""

import asyncio
import contextlib
import io
import json
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import time

import opensearchpy
import pylogbeat
import timbersnake.server
from opensearchpy import helpers

USER, PASSWORD = "peers", "p:ee\"rs\\"
INDEX = "arkime_sessions3-261124"
DEADLINE = 30

binaries, work = (pathlib.Path(argument) for argument in sys.argv[1:3])


def say(what):
    print(f"peers: ok: {what}")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def capture(path, queries):
    """A capture of DNS queries and answers, each pair a session."""

    def checksum(data):
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return ~total & 0xFFFF

    def frame(source, destination, ports, payload):
        udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, destination)
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        return bytes.fromhex("0200000000010200000000020800") + head + udp

    client, server = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(queries):
            name = b"\x05host%d\x04test\x00" % (number % 10)
            question = name + struct.pack("!HH", 1, 1)
            query = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + question
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, number % 250])
            answer = struct.pack("!HHHHHH", number, 0x8180, 1, 1, 0, 0) + question + record
            port = 20000 + number
            for at, data in ((0, frame(client, server, (port, 53), query)), (900, frame(server, client, (53, port), answer))):
                out.write(struct.pack("<IIII", 1_700_000_000 + number, at, len(data), len(data)) + data)


class Collector:
    """`tenrec collector`, with both of its sides."""

    def __init__(self):
        self.lumberjack, self.opensearch = free_port(), free_port()
        settings = work / "collector.toml"
        settings.write_text(
            f"[collector]\nlisten = '127.0.0.1:{self.lumberjack}'\nopensearch_listen = '127.0.0.1:{self.opensearch}'\n"
            f"folder = '{work}/received'\ncertificates = '{work}/certs'\n"
            f"opensearch_user = {json.dumps(USER)}\nopensearch_password = {json.dumps(PASSWORD)}\n"
        )
        self.process = subprocess.Popen(
            [binaries / "tenrec", "collector", "--settings", settings], stdout=subprocess.PIPE, stderr=open(work / "collector.log", "w"), text=True
        )
        for line in self.process.stdout:
            if line.startswith("collecting on"):
                return
        sys.exit("peers: the collector did not start: " + (work / "collector.log").read_text())

    def client(self, **changes):
        options = {
            "hosts": [{"host": "127.0.0.1", "port": self.opensearch}],
            "http_auth": (USER, PASSWORD),
            "use_ssl": True,
            "verify_certs": True,
            # As Malcolm's: signed by the CA, and without a name.
            "ssl_assert_hostname": False,
            "ca_certs": str(work / "certs/ca.crt"),
            "http_compress": True,
        }
        return opensearchpy.OpenSearch(**{**options, **changes})


def settings_of_the_sensor(lumberjack, opensearch):
    path = work / f"sensor-{lumberjack}.toml"
    (work / "curlrc").write_text("user: " + json.dumps(f"{USER}:{PASSWORD}") + "\n")
    path.write_text(
        "[node]\nname = 'peers'\n"
        f"[forward]\nenabled = true\nhosts = ['127.0.0.1:{lumberjack}']\nca = '{work}/certs/ca.crt'\nwindow = 100\n"
        f"[opensearch]\nenabled = true\nhosts = ['https://127.0.0.1:{opensearch}']\nca = '{work}/certs/ca.crt'\n"
        f"password_file = '{work}/curlrc'\nbulk_bytes = 20000\n"
    )
    return path


def deliver(settings, *arguments):
    done = subprocess.run([binaries / "examples/deliver", "--settings", settings, *arguments], capture_output=True, text=True, timeout=90)
    if done.returncode != 0:
        sys.exit(f"peers: delivery failed: {done.stderr}")


def what_the_sensor_wrote(collector, sessions):
    """OpenSearch's client finds every document as it was written."""
    client = collector.client()
    assert client.info()["version"]["distribution"] == "opensearch"
    written = [json.loads(line) for line in sessions.read_text().splitlines()]
    assert len(written) > 100
    assert client.count(index="arkime_sessions3-*")["count"] == len(written)
    for number in range(0, len(written), 17):
        assert client.get(index=INDEX, id=str(number))["_source"] == written[number]
    by_host = {"query": {"term": {"dns.host": "host7.test"}}, "size": 1000}
    found = client.search(index=INDEX, body=by_host)["hits"]
    wanted = [session for session in written if "host7.test" in json.dumps(session)]
    assert found["total"]["value"] == len(wanted) > 0
    say(f"{len(written)} sessions that the sensor delivered are found by OpenSearch's client, as they were written")


def raises(kind, status, words, call):
    try:
        call()
    except kind as error:
        assert status is None or error.status_code == status, error
        assert words in str(error), error
        return
    raise AssertionError(f"not refused: {words}")


def what_must_be_refused(collector):
    client = collector.client()
    document = '{"index":{"_index":"arkime_x","_id":"1"}}\n{"n":1}\n'
    raises(opensearchpy.RequestError, 400, "newline", lambda: client.transport.perform_request("POST", "/_bulk", body=document.rstrip()))
    raises(opensearchpy.RequestError, 400, "put", lambda: client.bulk(body='{"put":{"_index":"arkime_x"}}\n{}\n'))
    raises(opensearchpy.RequestError, 400, "unrecognized", lambda: client.bulk(body=document, params={"wrong": "1"}))
    raises(opensearchpy.AuthorizationException, 403, "arkime_", lambda: client.index(index="malcolm_beats_cpu", body={}))
    raises(opensearchpy.AuthenticationException, 401, "", lambda: collector.client(http_auth=(USER, "wrong")).info())
    raises(opensearchpy.NotFoundError, 404, "arkime_x", lambda: client.get(index="arkime_x", id="1"))
    raises(opensearchpy.RequestError, 400, "mapper_parsing", lambda: client.index(index=INDEX, body={"source": {"ip": "nowhere"}}))
    too_large = client.transport.serializer.dumps({"text": "x" * 51_000_000})
    plain = collector.client(http_compress=False, timeout=60)
    raises(opensearchpy.TransportError, 413, "", lambda: plain.index(index="arkime_x", body=too_large))
    ca_alone = collector.client(ca_certs=None)
    raises(opensearchpy.exceptions.SSLError, None, "", ca_alone.info)
    versioned = {"index": "arkime_sequence", "id": "fn-s", "body": {}, "params": {"version": 100, "version_type": "external"}}
    assert client.index(**versioned)["_version"] == 100
    raises(opensearchpy.ConflictError, 409, "version", lambda: client.index(**versioned))
    assert client.index(index="arkime_sequence", id="fn-s", body={})["_version"] == 101
    say("what OpenSearch refuses is refused, as its client expects it")

    actions = [{"_index": "arkime_x", "_id": str(n), "n": n} for n in range(1000)]
    actions[500]["n"] = {"not": "a number"}
    taken, errors = helpers.bulk(client, actions, chunk_size=100, raise_on_error=False)
    assert (taken, len(errors)) == (999, 1), (taken, errors)
    assert errors[0]["index"]["error"]["type"] == "mapper_parsing_exception"
    update = {"_op_type": "update", "_index": "arkime_x", "_id": "7", "doc": {"m": 1}}
    delete = {"_op_type": "delete", "_index": "arkime_x", "_id": "8"}
    create = {"_op_type": "create", "_index": "arkime_x", "_id": "7", "n": 0}
    taken, errors = helpers.bulk(client, [update, delete, create], raise_on_error=False)
    assert (taken, errors[0]["create"]["status"]) == (2, 409)
    assert client.get(index="arkime_x", id="7")["_source"] == {"n": 7, "m": 1}
    assert client.count(index="arkime_x")["count"] == 998
    say("one document of a thousand is refused, and its neighbours are taken")


async def our_forwarder_to_timbersnake(conn, settings):
    """A Lumberjack server that we have not written takes our windows over TLS."""
    received = []

    class Server(timbersnake.server.Server):
        def json_frame_str(self, s, pos=0):
            end, sequence = super().json_frame_str(s, pos)
            received.append(json.loads(s[pos + 8 : end]))
            return end, sequence

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(work / "certs/server.crt", work / "certs/server.key")
    port = free_port()
    # It prints what it was made of.
    with contextlib.redirect_stdout(io.StringIO()):
        peer = Server("127.0.0.1", port, ssl=context)
    server = await asyncio.start_server(peer.handle_client_callback, "127.0.0.1", port, ssl=context)
    async with server:
        await asyncio.to_thread(deliver, settings(port), "--log", f"conn={conn}")
    lines = conn.read_text().splitlines()
    assert [event["message"] for event in received] == lines
    assert all(event["tags"][0] == "_filebeat_zeek_malcolm_live" and event["host"]["name"] == "peers" for event in received)
    say(f"{len(lines)} lines are taken by a Lumberjack server of others, once and in order")


def pylogbeat_to_our_collector(collector):
    """A Lumberjack client that we have not written is understood and acknowledged."""
    sent = [{"message": f"line {n}", "log": {"file": {"path": "/x/peer.log"}}} for n in range(500)]
    authority = {"ssl_enable": True, "ssl_verify": True, "ca_certs": str(work / "certs/ca.crt")}
    with pylogbeat.PyLogBeatClient("127.0.0.1", collector.lumberjack, timeout=DEADLINE, **authority) as client:
        client.send(sent)
    received = [json.loads(line) for line in (work / "received/peer.ndjson").read_text().splitlines()]
    assert received == sent
    say("what a Lumberjack client of others sends is on disk when it is acknowledged")


def main():
    collector = Collector()
    try:
        capture(work / "dns.pcap", 300)
        subprocess.run([binaries / "tenrec", "read", work / "dns.pcap", "--out", work / "logs", "--zeek", "json"], check=True)
        conn, sessions = work / "logs/conn.log", work / "logs/sessions.ndjson"
        settings = lambda port: settings_of_the_sensor(port, collector.opensearch)
        deliver(settings(collector.lumberjack), "--documents", f"{INDEX}={sessions}")
        what_the_sensor_wrote(collector, sessions)
        what_must_be_refused(collector)
        asyncio.run(our_forwarder_to_timbersnake(conn, settings))
        pylogbeat_to_our_collector(collector)
    finally:
        collector.process.terminate()
        try:
            collector.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            collector.process.kill()
    assert collector.process.returncode == 0, (work / "collector.log").read_text()
    say("the collector ends in order")


begun = time.monotonic()
main()
print(f"peers: everything holds ({time.monotonic() - begun:.0f} s)")
