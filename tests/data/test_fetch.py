"""All downloads here are from this machine to itself."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vqnp.data.fetch import ARCHIVES, BASE_URL, fetch, fetch_cifar10

pytest.importorskip("pooch")
CONTENT = bytes(range(256)) * 400
CHECKSUM = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        if self.path == "/absent":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if self.path == "/broken" else CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "archive.tar.gz"


@pytest.fixture
def nowhere():
    """An address at which nobody listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_port
    return f"http://127.0.0.1:{port}"


def files(target):
    return [path.name for path in target.parent.iterdir()]


def test_file_is_fetched_once(server, target):
    for _ in range(3):
        assert fetch(f"{server.url}/archive", CHECKSUM, target, progress=False) == target
        assert target.read_bytes() == CONTENT
    assert server.requests == ["/archive"]
    assert files(target) == [target.name]


def test_progress_is_shown_when_asked_for(server, target, capsys):
    fetch(f"{server.url}/archive", CHECKSUM, target, progress=False)
    assert "%" not in capsys.readouterr().err
    target.unlink()
    fetch(f"{server.url}/archive", CHECKSUM, target, progress=True)
    assert "100%" in capsys.readouterr().err


def test_wrong_checksum_is_refused_and_the_file_not_kept(server, target):
    with pytest.raises(
        ValueError, match=r"/archive was refused, and .*archive\.tar\.gz not written: .*md5"
    ):
        fetch(f"{server.url}/archive", "md5:" + "0" * 32, target, progress=False)
    assert files(target) == []


def test_partial_download_is_not_kept_and_not_trusted(server, target):
    with pytest.raises(ConnectionError, match="cannot download"):
        fetch(f"{server.url}/broken", CHECKSUM, target, progress=False)
    assert files(target) == []
    target.write_bytes(CONTENT[:1000])
    fetch(f"{server.url}/archive", CHECKSUM, target, progress=False)
    assert target.read_bytes() == CONTENT


def test_absent_file_says_what_to_do(server, target):
    with pytest.raises(ConnectionError, match="404"):
        fetch(f"{server.url}/absent", CHECKSUM, target, progress=False)


@pytest.mark.parametrize("layout", ["python", "binary"])
def test_without_a_network_the_message_says_what_to_download_and_where_to_put_it(
    nowhere, tmp_path, layout
):
    name, checksum = ARCHIVES[layout]
    with pytest.raises(ConnectionError) as caught:
        fetch_cifar10(tmp_path, layout, progress=False, base_url=nowhere)
    for part in (f"{nowhere}/{name}", checksum, str(tmp_path / name)):
        assert part in str(caught.value)
    assert "the file there now" not in str(caught.value)
    (tmp_path / name).write_bytes(b"part of it")
    with pytest.raises(ConnectionError, match="the file there now has another checksum"):
        fetch_cifar10(tmp_path, layout, progress=False, base_url=nowhere)


def test_without_a_network_a_file_in_place_is_enough(nowhere, target, monkeypatch):
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    monkeypatch.setitem(ARCHIVES, "python", (target.name, CHECKSUM))
    assert fetch_cifar10(target.parent, progress=False, base_url=nowhere) == target


@pytest.mark.parametrize("layout", ["python", "binary"])
def test_archive_is_held_against_its_published_checksum(server, tmp_path, layout):
    with pytest.raises(ValueError, match=rf"{ARCHIVES[layout][0]} was refused"):
        fetch_cifar10(tmp_path, layout, progress=False, base_url=server.url)
    assert server.requests == [f"/{ARCHIVES[layout][0]}"]
    assert not any(tmp_path.iterdir())


def test_published_addresses_and_checksums():
    published = {f"{BASE_URL}/{name}": checksum for name, checksum in ARCHIVES.values()}
    kriz = "https://www.cs.toronto.edu/~kriz"
    assert published == {
        f"{kriz}/cifar-10-python.tar.gz": "md5:c58f30108f718f92721af3b95e74349a",
        f"{kriz}/cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530",
    }


def test_the_cache_is_the_users_own_unless_given(nowhere, tmp_path, monkeypatch):
    import pooch

    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    with pytest.raises(ConnectionError, match="vqnp"):
        fetch_cifar10(progress=False, base_url=nowhere)
    assert (tmp_path / "vqnp").is_dir()


def test_another_layout_is_refused():
    with pytest.raises(ValueError, match="layout must be one of python, binary, got 'matlab'"):
        fetch_cifar10(layout="matlab")
