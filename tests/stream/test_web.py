import socket
import threading
import time

import pytest

from inv_jax.stream import web as web_lib
from inv_jax.stream.web import FetchError, Traffic, Web
from inv_jax.types import InvError


@pytest.fixture
def web(server):
    return Web(server.url, 0.2, Traffic())


def test_what_is_fetched_is_counted(server, web):
    (server.folder / "a").write_bytes(b"x" * 1000)
    server.fail("/a", "500", "503")
    assert web.get(f"{server.url}/a", 1000).body == b"x" * 1000
    traffic = web.traffic
    assert (traffic.requests, traffic.retries, traffic.num_bytes) == (1, 2, 1000)
    assert traffic.seconds > 0.0


def test_a_server_that_stays_in_trouble_is_given_up(server, web):
    server.fail("/a", "500", times=100)
    assert web.get(f"{server.url}/a", 1000).status == 500
    assert len(server.asked) == 1 + web_lib._TRIES_AGAIN


def test_an_answer_that_says_no_is_not_asked_again(server, web):
    assert web.get(f"{server.url}/none", 1000).status == 404
    assert len(server.asked) == 1


def test_a_body_is_read_no_further_than_wanted(server, web):
    (server.folder / "a").write_bytes(b"x" * 10_000_000)
    assert len(web.get(f"{server.url}/a", 1000).body) == 1001
    assert web.traffic.num_bytes == 1001


def test_redirects_without_end_are_given_up(server, web):
    server.fail("/a", "loop", times=100)
    with pytest.raises(FetchError, match="redirects"):
        web.get(f"{server.url}/a", 1000)
    assert len(server.asked) < 10


def test_a_body_that_trickles_is_given_up(monkeypatch):
    monkeypatch.setattr(web_lib, "_SLOWEST", 1e9)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                try:
                    while not ended.wait(0.01):
                        connection.sendall(b"x")
                except OSError:
                    pass

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        start = time.monotonic()
        with pytest.raises(FetchError, match="very slowly"):
            Web(url, 0.1, Traffic()).get(url, 100_000)
        assert time.monotonic() - start < 3.0
        ended.set()
        thread.join()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a", "http://", "http:///a"])
def test_other_addresses_are_refused(url):
    with pytest.raises(InvError, match="no address"):
        Web(url, 1.0, Traffic())


def test_a_proxy_of_the_environment_is_used(server, monkeypatch):
    (server.folder / "a").write_bytes(b"direct")
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    answer = Web("http://nowhere.invalid/a", 1.0, Traffic()).get("http://nowhere.invalid/a", 100)
    assert answer.status == 404
    assert server.asked == ["http://nowhere.invalid/a"]
