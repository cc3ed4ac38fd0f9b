"""Only a browser of this machine that has the one-time link reaches the studio, and only from the studio's own pages.

And it gets nothing but what is offered, whatever the address says.
"""

import socket

import httpx
import pytest


def raw(studio, request: bytes) -> bytes:
    """What the server answers to these bytes."""
    with socket.create_connection(studio.server_address[:2], timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    return answer


def cookie(site) -> str:
    return "; ".join(f"{name}={value}" for name, value in site.client.cookies.items())


def test_the_link_holds_once_and_its_cookie_for_all_tabs(open_studio):
    site = open_studio(opened=False)
    assert site.client.get("machine.json").status_code == 403
    answer = site.client.get(site.studio.access.url)
    assert answer.status_code == 200 and "Location" not in answer.headers
    kept = answer.headers["Set-Cookie"]
    assert kept.endswith("; HttpOnly; SameSite=Strict") and f"Path={site.studio.access.path};" in kept
    assert site.client.get("machine.json").status_code == 200
    assert httpx.get(site.studio.access.url, trust_env=False).status_code == 403, "the second time"


@pytest.mark.parametrize("token", ["", "?token=", "?token=wrong", "?token=%00", "?other=1", "?token=ä"])
def test_no_other_link_opens(open_studio, token):
    site = open_studio(opened=False)
    assert site.client.get(f"open{token}").status_code == 403
    assert site.client.get(site.studio.access.url).status_code == 200, "a wrong guess does not use the link up"


@pytest.mark.parametrize("given", ["", "sottovoce=", "sottovoce=wrong", "other=1; sottovoce", "=;;=", "sottovoce=\xe4"])
def test_no_other_cookie_opens(open_studio, given):
    studio = open_studio(opened=False).studio
    head = f"GET {studio.access.path}machine.json HTTP/1.1\r\nHost: {studio.access.host}\r\nCookie: {given}\r\n\r\n"
    assert b" 403 " in raw(studio, head.encode("latin-1"))


@pytest.mark.parametrize(
    "host", ["localhost:{port}", "127.0.0.1", "evil.example:{port}", "127.0.0.1:1", "[::1]:{port}"]
)
def test_another_name_for_this_machine_gets_nothing(site, host):
    """As after DNS rebinding, where a page of the attacker's own name reaches this server."""
    named = host.format(port=site.studio.server_address[1])
    for name in ("machine.json", "", "open"):
        assert site.client.get(name, headers={"Host": named}).status_code == 403
    request = f"GET {site.studio.access.path} HTTP/1.1\r\nHost: {site.studio.access.host}\r\nHost: {named}\r\n"
    for head in (f"{request}Cookie: {cookie(site)}\r\n\r\n", f"GET {site.studio.access.path} HTTP/1.0\r\n\r\n"):
        assert b" 403 " in raw(site.studio, head.encode())


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null", "https://127.0.0.1", ""])
def test_another_page_gets_nothing_and_starts_nothing(site, origin):
    for answer in (
        site.client.get("machine.json", headers={"Origin": origin}),
        site.client.post("audit", json={}, headers={"Origin": origin}),
    ):
        assert answer.status_code == 403
    assert site.client.post("audit", json={}).status_code == 403, "without an origin"


@pytest.mark.parametrize("origin", ["same-site", "cross-site"])
def test_a_page_at_another_port_cannot_use_the_cookie(site, origin):
    """Browsers send cookies to every port of a host, and say where a request comes from."""
    assert site.client.get("machine.json", headers={"Sec-Fetch-Site": origin}).status_code == 403
    assert site.client.get("machine.json", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "../secret.html",
        "..%2fsecret.html",
        "%2e%2e/secret.html",
        "..\\secret.html",
        "/etc/passwd",
        "//etc/passwd",
        "file:///etc/passwd",
        "./audits.html",
        "audits.html/",
        "audits.html%00",
        "report/../../secret.html",
        "report/",
        "report/first",
        "report/%2e%2e%2fsecret.html",
        "compare.json/..",
    ],
)
def test_no_path_leads_to_a_file(site, name):
    request = f"GET {site.studio.access.path}{name} HTTP/1.1\r\nHost: {site.studio.access.host}\r\n"
    answer = raw(site.studio, f"{request}Cookie: {cookie(site)}\r\n\r\n".encode())
    assert answer.split(b" ")[1] in (b"400", b"404") and b"root:" not in answer and b"secret" not in answer


@pytest.mark.parametrize(
    "path", ["/", "/machine.json", "/open?token=x", "/0123456789abcdef/", "*", "http://127.0.0.1/"]
)
def test_outside_of_its_path_there_is_nothing(site, path):
    request = f"GET {path} HTTP/1.1\r\nHost: {site.studio.access.host}\r\nCookie: {cookie(site)}\r\n\r\n"
    assert b" 404 " in raw(site.studio, request.encode())


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "GET\x00"])
def test_other_methods_are_refused(site, method):
    request = f"{method} {site.studio.access.path} HTTP/1.1\r\nHost: {site.studio.access.host}\r\n\r\n"
    assert b" 405 " in raw(site.studio, request.encode())


def test_each_name_has_its_method(site):
    assert site.client.get("audit").status_code == site.client.get("plan").status_code == 405
    report = f"report/{next(iter(site.studio.machine.audits()))}"
    for name in ("machine.json", "audits.html", "", "open", report, "nothing"):
        assert site.client.post(name, json={}, headers={"Origin": site.origin}).status_code == 405
    head = site.client.head("audits.html")
    assert head.status_code == 200 and not head.content and int(head.headers["Content-Length"]) > 1000


def test_bodies_are_bounded(site):
    def post(length: str, more: str = "Content-Type: application/json\r\n") -> bytes:
        head = f"POST {site.studio.access.path}audit HTTP/1.1\r\nHost: {site.studio.access.host}\r\n"
        head += f"Origin: {site.origin}\r\nCookie: {cookie(site)}\r\n{more}{length}\r\n"
        return raw(site.studio, head.encode())

    assert b" 413 " in post("Content-Length: 16385\r\n")
    assert b" 413 " in post("Content-Length: 999999999\r\n")
    for length in ("", "Content-Length: -1\r\n", "Content-Length: 1e3\r\n", "Content-Length: 9999999999\r\n"):
        assert b" 411 " in post(length)
    assert b" 411 " in post("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n")
    assert b" 415 " in post("Content-Length: 2\r\n", "Content-Type: text/plain\r\n"), "which a form could send"
    assert b" 431 " in raw(site.studio, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n")
    assert b" 414 " in raw(site.studio, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n")
    assert site.client.get("machine.json").status_code == 200


def test_every_answer_forbids_what_the_page_does_not_need(site):
    key = next(iter(site.studio.machine.audits()))
    for name in ("", "audits.html", "machine.js", "machine.json", f"report/{key}", "nothing"):
        headers = site.client.get(name).headers
        assert headers["Content-Security-Policy"].count("default-src 'none'") == 1
        assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
        assert "unsafe-eval'" not in headers["Content-Security-Policy"].replace("wasm-unsafe-eval'", "")
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers and "Server" not in headers
    policy = site.client.get(f"report/{key}").headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; ") and "script" not in policy, "a stranger may have written the report"


def test_it_listens_on_loopback_alone_and_many_connections_do_not_stop_it(site):
    assert site.studio.server_address[0] == "127.0.0.1"
    silent = [socket.create_connection(site.studio.server_address[:2]) for _ in range(40)]
    assert site.client.get("machine.json").status_code == 200
    for connection in silent:
        connection.close()


def test_two_servers_and_two_tabs_do_not_harm_each_other(open_studio):
    first, second = open_studio(), open_studio()
    assert first.studio.access.path != second.studio.access.path
    both = {**first.client.cookies, **second.client.cookies}
    assert len({first.client.cookies["sottovoce"], second.client.cookies["sottovoce"]}) == 2
    for site in (first, second, first):
        assert site.client.get("machine.json").status_code == 200
    for one, other in ((first, second), (second, first)):
        given = {"Cookie": f"sottovoce={one.client.cookies['sottovoce']}"}
        url = f"{other.origin}{other.studio.access.path}machine.json"
        assert httpx.get(url, headers=given, trust_env=False).status_code == 403
    assert both
