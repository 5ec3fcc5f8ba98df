"""What the running app keeps, tells and opens: files, logs, connections, the end; and what it says when it is busy."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, urlparse

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from conftest import EXAMPLES, ROOT, expect, pick, start_app
from lesion.ui.server import files
from lesion.ui.server.allow_list import BUSY, FILE_SIZE, TOO_LARGE, WAITING
from lesion.ui.server.gradio_private import GONE, NO_ADDRESSES, NO_FILE, UploadsOnlyBlocks

PHOTOGRAPH = (EXAMPLES / "ISIC_0024329.jpg").read_bytes()
NAME = "tell-tale Müller.jpg"
RECORD = ("unknown", "unknown", "unknown", "most probable")
LISTEN = """
import os, sys

log = os.open(os.environ["CONNECTIONS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def listen(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        os.write(log, f"{arguments[1]}\\n".encode())
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        os.write(log, f"{arguments[:2]}\\n".encode())


sys.addaudithook(listen)
"""
"""Python runs a module of the name sitecustomize before everything else: it notes whatever is asked of the network."""


@pytest.fixture(scope="module")
def app(checkpoint, tmp_path_factory):
    """A running app in a home of its own, with none of the settings by which the tests keep Gradio and the Hub quiet.

    `homes` are the folders where a program may leave something.
    """
    place = tmp_path_factory.mktemp("privacy")
    for name in ("home", "temporary", "listener"):
        (place / name).mkdir()
    (place / "listener" / "sitecustomize.py").write_text(LISTEN)
    secret = place / "secret.jpg"
    shutil.copy(EXAMPLES / "ISIC_0024317.jpg", secret)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GRADIO_", "HF_", "XDG_", "MPL"))}
    environment |= {
        "HOME": str(place / "home"), "USERPROFILE": str(place / "home"), "TMPDIR": str(place / "temporary"),
        "PYTHONPATH": str(place / "listener"), "CONNECTIONS": str(place / "connections"), "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    process, url = start_app(checkpoint, place / "log", environment)
    [folder] = (place / "temporary").glob(files.PREFIX + "*")
    yield SimpleNamespace(
        process=process, url=url, folder=folder, log=place / "log", connections=place / "connections", secret=secret,
        homes=[place / "home", place / "temporary"], checkpoint=checkpoint,
    )  # fmt: skip
    process.kill()
    process.wait()


def send(app, method: str, target: str, body=None, headers=None, chunked=False) -> tuple[int, bytes]:
    """A request as it is written: no client tidies the path."""
    connection = http.client.HTTPConnection(urlparse(app.url).netloc, timeout=60)
    connection.request(method, target, body, headers or {}, encode_chunked=chunked)
    answer = connection.getresponse()
    return answer.status, answer.read()


def upload(app, name: str, content: bytes = PHOTOGRAPH) -> tuple[int, bytes]:
    """One file, under a name that browsers would not send."""
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n' % name.encode()
    body += content + b"\r\n--x--\r\n"
    return send(app, "POST", "/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"})


def join(app, endpoint: str, values: list) -> tuple[int, dict]:
    """Asks; the answer names the event."""
    body, headers = json.dumps({"data": values}), {"Content-Type": "application/json"}
    status, content = send(app, "POST", f"/gradio_api/call/{endpoint}", body, headers)
    return status, json.loads(content)


def ask(app, endpoint: str, values: list) -> str:
    """The answer, or the error."""
    status, event = join(app, endpoint, values)
    assert status == 200, event
    return send(app, "GET", f"/gradio_api/call/{endpoint}/{event['event_id']}")[1].decode()


def file(path: object, **more: object) -> dict:
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}, **more}


def test_no_file_but_its_own_can_be_read(app):
    path = json.loads(upload(app, NAME)[1])[0]
    assert Path(path).is_relative_to(app.folder / "files") and app.folder.stat().st_mode & 0o077 == 0
    assert send(app, "GET", "/gradio_api/file=" + quote(path)) == (200, PHOTOGRAPH)
    link, folder_link = app.folder / "files" / "link.jpg", app.folder / "files" / "links"
    link.symlink_to(app.secret)
    folder_link.symlink_to(ROOT)
    secret, up = quote(str(app.secret)), "../" * 12
    names = [
        secret, "/" + secret, up + secret, f"{quote(str(app.folder))}/files/../../../secret.jpg",
        secret.replace("/", "%2f"), "%2e%2e%2f" * 12 + secret, "%252e%252e%252f" * 12 + secret,
        "%c0%ae%c0%ae%c0%af" * 12 + secret, "..%5c" * 12 + secret.replace("/", "%5c"), "....//" * 12 + secret,
        secret + "%00", secret + "%00.jpg", "file://" + secret, "file:" + secret, quote(str(link)),
        quote(str(folder_link)) + "/app.py", quote(str(app.folder)) + "/lock", quote(str(app.folder)) + "/files",
        "/proc/self/environ", "/proc/self/root" + secret, "/proc/self/cwd/app.py", "/etc/passwd", "app.py",
        quote(str(ROOT / "app.py")), ".git/config", "weights/model.safetensors", "weights/photographs.zip",
        "weights/held_out_photographs.zip",
        quote(str(app.checkpoint / "held_out.safetensors")), quote(str(app.checkpoint / "config.json")),
        quote(str(EXAMPLES / "ISIC_0024329.jpg")), app.url + "/config", "http://169.254.169.254/latest/meta-data/",
        "https://example.com/", "HTTPS://example.com/",
    ]  # fmt: skip
    roads = [
        "/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy=", "/gradio_api/stream/", "/static/", "/assets/",
        "/svelte/", "/file=", "/gradio_api/custom_component/x/client/component/", "/",
    ]  # fmt: skip
    for target in (road + name for road in roads for name in names):
        status, content = send(app, "GET", target)
        assert 400 <= status < 500 and len(content) < 2000, target
    for closed in ("deep_link?session_hash=x", "runs", "vibe-code", "dev/reload", "token", "queue/status", "mcp/"):
        assert send(app, "GET", f"/gradio_api/{closed}")[0] == 404, closed
    for closed in ("monitoring", "monitoring/summary", "svelte/x", "docs", "openapi.json", "gradio_api/../config"):
        assert send(app, "GET", f"/{closed}")[0] == 404, closed
    for closed in ("process_recording", "component_server", "vibe-edit", "run/predict", "api/predict"):
        body = json.dumps({"data": [file(path), *RECORD]})
        assert send(app, "POST", f"/gradio_api/{closed}", body, {"Content-Type": "application/json"})[0] == 404, closed
    link.unlink()
    folder_link.unlink()


def test_no_request_makes_it_open_another_file_or_address(app):
    path = json.loads(upload(app, NAME)[1])[0]
    link = app.folder / "files" / "link.jpg"
    link.symlink_to(app.secret)
    addresses = ["http://169.254.169.254/x.jpg", f"{app.url}/static/img/logo.svg", "HTTPS://example.com/x.jpg"]
    asked = {
        GONE: [
            file(app.secret), {"path": str(app.secret)}, {"path": str(app.secret), "meta": {}},
            {"path": str(app.secret), "meta": "x"}, {"path": [str(app.secret)]}, file(app.secret, is_stream=True),
            file(f"{app.folder}/files/../../../secret.jpg"), file(link), file(app.folder / "files"),
            file("/proc/self/environ"), file("lesion/ui/examples/ISIC_0024329.jpg"), file(f"{app.secret}\0"),
            file("x" * 5000), file(""), [file(app.secret)], {"x": file(app.secret)},
            file(app.folder.with_name("skin-lesion-demo-before") / "files" / "0" / NAME),
        ],
        NO_ADDRESSES: [file(a) for a in (*addresses, f"file://{app.secret}")] + [{"path": addresses[0]}],
        NO_FILE: [str(app.secret), NAME, addresses[0], "data:image/png;base64,AAAA", 5, True],
        "photograph first": [None, {}, {"url": addresses[0]}],
    }  # fmt: skip
    for words, photographs in asked.items():
        for photograph in photographs:
            answer = ask(app, "predict", [photograph, *RECORD])
            assert "event: error" in answer and (words in answer or NO_FILE in answer), (photograph, answer)
    for more in ({"url": addresses[0]}, {"url": f"file://{app.secret}", "size": "large", "orig_name": 7}):
        assert "event: complete" in ask(app, "predict", [file(path, **more), *RECORD])
    for field in range(1, 5):
        values = [file(path), *RECORD]
        values[field] = {"x": [file(addresses[0])]}
        assert NO_ADDRESSES in ask(app, "predict", values)
        values[field] = file(app.secret)
        assert GONE in ask(app, "predict", values)
    link.unlink()


def test_names_of_uploads_stay_in_the_folder(app):
    names = ["../../../evil.jpg", "/evil.jpg", "..", "../..", ".", "%2e%2e%2fevil.jpg", "a\\..\\..\\evil.jpg", "CON"]
    for name in (*names, "..%2fevil.jpg", "evil\0.jpg", "x" * 1000 + ".jpg"):
        status, content = upload(app, name, name.encode())
        assert status == 400 or Path(json.loads(content)[0]).resolve().parent.parent == app.folder / "files", name
    page = quote(json.loads(upload(app, "page.html", b"<script>alert(1)</script>")[1])[0])
    connection = http.client.HTTPConnection(urlparse(app.url).netloc, timeout=60)
    connection.request("GET", f"/gradio_api/file={page}")
    assert connection.getresponse().headers["Content-Disposition"].startswith("attachment"), "no page of a visitor runs"


def test_what_is_too_large_is_refused(app):
    before = sum(p.stat().st_size for p in app.folder.rglob("*"))
    status, content = upload(app, "large.jpg", bytes(FILE_SIZE + 2**20))
    assert (status, content.decode()) == (413, TOO_LARGE)
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Transfer-Encoding": "chunked"}
    many = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d.jpg"\r\n\r\n%s\r\n' % (n, bytes(2**20))
        for n in range(40)
    )
    chunks = (many[start : start + 2**20] for start in range(0, len(many), 2**20))
    with suppress(OSError):  # or the server hangs up in the middle
        assert send(app, "POST", "/gradio_api/upload", chunks, headers, chunked=True)[0] == 413
    assert sum(p.stat().st_size for p in app.folder.rglob("*")) < before + 2 * FILE_SIZE
    assert send(app, "POST", "/gradio_api/queue/join", bytes(2**21), {"Content-Type": "application/json"})[0] == 413
    assert "event: complete" in ask(app, "predict", [file(json.loads(upload(app, NAME)[1])[0]), *RECORD])


def test_a_full_queue_says_so_and_goes_on(app, browser):
    page = browser.new_page()
    elsewhere = []
    page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((app.url, "data:", "blob:")) else None)
    page.goto(app.url)
    page.locator("#examples button").first.click()
    expect(page.locator("#answer li")).to_have_count(7, timeout=60_000)
    waiting, refused, stop = [], [], threading.Event()
    handout = [file(json.loads(upload(app, NAME)[1])[0]), *RECORD[:3], "mel", "dataset", 2, "pdf"]  # takes its time

    def fill() -> None:
        while not stop.is_set():
            status, answer = join(app, "handout", handout)
            if status == 200:
                waiting.append(answer["event_id"])
            else:
                refused.append((status, answer["detail"]))
                time.sleep(0.02)

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(fill)
        try:
            while not refused and not job.done():
                page.wait_for_timeout(100)
            for age in ("10", "60", "15", "65"):  # at times one that waits is answered just before
                pick(page, "age", age)
                with suppress(AssertionError):
                    expect(page.get_by_text(BUSY).first).to_be_visible(timeout=8000)
                    break
            expect(page.locator("#answer [role=alert]")).to_contain_text("No answer arrived")
            expect(page.locator("#change")).not_to_contain_text("Knowing")  # no answer to something else stays
        finally:
            stop.set()
        job.result()
    assert set(refused) == {(429, BUSY)} and len(waiting) >= WAITING
    for event in waiting:
        body = json.dumps({"session_hash": event, "event_id": event, "fn_index": 0})
        send(app, "POST", "/gradio_api/cancel", body, {"Content-Type": "application/json"})
    pick(page, "age", "20")
    expect(page.locator("#change")).to_contain_text("Knowing age 20", timeout=60_000)
    page.get_by_role("button", name="API").click()  # the page of the API asks no other host either
    expect(page.get_by_text("/predict").first).to_be_visible(timeout=30_000)
    assert not elsewhere
    page.close()


def test_at_the_end_nothing_is_left_logged_or_told(app):
    """The last one of this app: it is stopped while clients listen and a head is being trained."""
    path = json.loads(upload(app, NAME)[1])[0]
    assert "pdf" in ask(app, "handout", [file(path), *RECORD[:3], "mel", "dataset", 2, "pdf"])
    Path(path).write_bytes(b"no photograph any more")
    ask(app, "predict", [file(path), *RECORD])
    listening = http.client.HTTPConnection(urlparse(app.url).netloc)
    listening.request("GET", "/gradio_api/heartbeat/x")
    listening.getresponse().read1()
    event = join(app, "train_head", [["age"], "none", 60, 0.001, 12345])[1]["event_id"]
    training = http.client.HTTPConnection(urlparse(app.url).netloc)
    training.request("GET", f"/gradio_api/call/train_head/{event}")
    training.getresponse().read1()

    app.process.send_signal(signal.SIGTERM)
    assert app.process.wait(30) == 0
    assert not app.folder.exists()
    left = {p.name for home in app.homes for p in home.rglob("*") if p.is_file()}
    assert all(name.startswith("fontlist") for name in left), left  # Matplotlib's list of fonts
    log = app.log.read_text()
    assert "tell-tale" not in log and "secret" not in log and "Traceback" not in log, log
    asked = app.connections.read_text().splitlines()
    assert asked and all("127.0.0.1" in line or "localhost" in line for line in asked), asked


HOLD = (
    "from lesion.ui.server.files import own_folder; import time\n"
    "with own_folder() as f: print(f, flush=True); time.sleep(99)"
)


@pytest.fixture
def holder(tmp_path, monkeypatch):
    """Starts processes that hold a folder in `tmp_path`."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    started = []

    def start() -> tuple[subprocess.Popen, Path]:
        process = subprocess.Popen([sys.executable, "-c", HOLD], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, Path(process.stdout.readline().strip())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_start_empties_what_a_killed_app_left_and_nothing_else(tmp_path, holder):
    killed, left = holder()
    running, used = holder()
    for folder in (left, used):
        (folder / "photograph.jpg").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "skin-lesion-demo-link").symlink_to(tmp_path / "mine")
    killed.kill()
    killed.wait()
    with files.own_folder() as folder:
        assert folder.is_dir() and not any(folder.iterdir()) and folder.parent.parent == tmp_path
        assert not left.parent.exists()
        assert (used / "photograph.jpg").exists() and (tmp_path / "mine").exists()
    assert not folder.parent.exists() and running.poll() is None


def test_starts_at_once_keep_their_folders(holder):
    with ThreadPoolExecutor(6) as pool:
        folders = list(pool.map(lambda _: holder()[1], range(6)))
    assert len(set(folders)) == 6 and all(folder.is_dir() for folder in folders)


def test_no_place_for_the_folder_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="GRADIO_TEMP_DIR"), files.own_folder():
        pass


def test_old_files_go_and_then_the_oldest(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "photograph.jpg").write_bytes(bytes(1000))
        os.utime(tmp_path / name / "photograph.jpg", (0, 0))  # the time of what it was copied from
        time.sleep(0.05)
    files.sweep(tmp_path, kept=60, room=2500)
    assert sorted(p.parent.name for p in tmp_path.rglob("*.jpg")) == ["b", "c"]
    time.sleep(0.05)
    (tmp_path / "new.jpg").touch()
    changed = (tmp_path / "new.jpg").stat().st_ctime
    monkeypatch.setattr(files, "time", SimpleNamespace(time=lambda: changed + 59.97))
    files.sweep(tmp_path, kept=60, room=2500)
    assert [p.name for p in tmp_path.rglob("*.jpg")] == ["new.jpg"]
    monkeypatch.setattr(files, "time", SimpleNamespace(time=lambda: changed + 600))
    files.sweep(tmp_path, kept=60, room=2500)
    assert not any(tmp_path.iterdir())


def test_the_folder_is_swept_while_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(files, "KEPT", 3)
    monkeypatch.setattr(files, "PAUSE", 0.1)
    with files.own_folder() as folder:
        (folder / "photograph.jpg").touch()
        time.sleep(0.5)
        assert (folder / "photograph.jpg").exists()
        end = time.monotonic() + 60
        while any(folder.iterdir()) and time.monotonic() < end:
            time.sleep(0.1)
        assert not any(folder.iterdir())


def test_a_session_keeps_no_description_of_the_components():
    with UploadsOnlyBlocks() as page:
        text = gr.Textbox("for all", label="Text")
        text.change(lambda value: value, text, text)
    session = SessionState(page)
    session[text._id] = gr.Textbox("for one")
    assert list(session.components) == []
    assert (session[text._id].value, SessionState(page)[text._id].value) == ("for one", "for all")
    described = next(c for c in page.get_config_file()["components"] if c["id"] == text._id)
    assert (described["props"]["label"], described["props"]["value"]) == ("Text", "for all")
