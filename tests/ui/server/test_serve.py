"""How the app is put up: settings by environment, in a Space, behind a reverse proxy under a path, with a login."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from urllib.parse import quote

import httpx
import pytest
import uvicorn
from gradio_client import Client, handle_file
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from conftest import EXAMPLES, ROOT, expect, free_port, start_app
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor
from lesion.ui.server.direct_answers import LOGIN
from lesion.ui.server.settings import BUNDLED, SECOND, read_settings

PHOTOGRAPH = EXAMPLES / "ISIC_0024329.jpg"
PREFIX = "/skin/lesions"
USER, PASSWORD = "teacher", "se:cret ü"
SETTINGS = ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_ROOT_PATH", "LESION_LOGIN", "LESION_CHECKPOINT")


@pytest.fixture
def settings(monkeypatch):
    """Reads settings from an environment and a command line."""

    def read(environment: dict[str, str], *arguments: str):
        for name in SETTINGS:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return read_settings(arguments, "")

    return read


def test_settings_by_environment_and_the_command_line_wins(settings):
    given = settings({})
    assert (given.host, given.port, given.root_path, given.login, given.share) == ("127.0.0.1", None, "", None, False)
    assert given.checkpoint[0] == BUNDLED and (BUNDLED / "config.json").exists()
    assert given.checkpoint[1:] == [SECOND] * SECOND.is_dir()
    port, other = free_port(), free_port()
    environment = dict(zip(SETTINGS, ("0.0.0.0", str(port), "/skin/", "a:b:c", "user/name"), strict=True))
    given = settings(environment)
    assert vars(given) == {
        "host": "0.0.0.0", "port": port, "root_path": "/skin", "login": ("a", "b:c"), "checkpoint": ["user/name"],
        "share": False, "device": "auto",
    }  # fmt: skip
    environment |= {"GRADIO_SERVER_PORT": "nonsense", "GRADIO_SERVER_NAME": "nonsense"}
    given = settings(environment, "--host", "localhost", "--port", str(other), "--checkpoint", "runs/train")
    assert (given.host, given.port, given.checkpoint) == ("localhost", other, ["runs/train"])
    assert not set(SETTINGS) & set(os.environ), "Gradio reads them otherwise"
    assert vars(settings(dict.fromkeys(SETTINGS, ""))) == vars(settings({})), "empty is not given"


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("GRADIO_SERVER_PORT", "http", "Port 'http' is not accepted; give a number from 1 to 65535"),
        ("GRADIO_SERVER_PORT", "70000", "from 1 to 65535"),
        ("GRADIO_SERVER_NAME", "203.0.113.7", "Cannot listen on 203.0.113.7 .* GRADIO_SERVER_NAME"),
        ("GRADIO_SERVER_NAME", "no such host", "Cannot listen on no such host"),
        ("GRADIO_ROOT_PATH", "skin/lesions", "begins with a slash"),
        ("LESION_LOGIN", "secret", "give user:password"),
        ("LESION_LOGIN", ":secret", "give user:password"),
        ("LESION_LOGIN", "secret:", "give user:password"),
    ],
)
def test_what_is_not_accepted_is_a_sentence(settings, name, value, words):
    with pytest.raises(UserError, match=words) as error:
        settings({name: value})
    assert "secret" not in str(error.value)


@pytest.mark.process
def test_a_taken_port_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = os.environ | {"GRADIO_SERVER_PORT": str(port)}
        done = subprocess.run(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and f"127.0.0.1, port {port}" in done.stderr


def proxied(target: str, strip: bool, forwarded: bool, seen: list[str]) -> Starlette:
    """A reverse proxy that serves `target` under PREFIX.

    Args:
        strip: takes the prefix off.
        forwarded: gives its own address as X-Forwarded-Host, and the target's as Host; else its own as Host.
        seen: where the paths of all requests go.
    """
    transport = httpx.AsyncHTTPTransport()  # a client would keep the cookies of one visitor for the others

    async def forward(request: Request) -> Response:
        path = request.scope["raw_path"].decode()
        seen.append(path)
        if not path.startswith(PREFIX + "/"):
            return PlainTextResponse("outside", 404)
        headers = [(name, value) for name, value in request.headers.raw if name != b"connection"]
        if forwarded:
            host = dict(headers).pop(b"host")
            headers = [pair for pair in headers if pair[0] != b"host"] + [(b"x-forwarded-host", host)]
        url = httpx.URL(target).copy_with(
            raw_path=(path.removeprefix(PREFIX) if strip else path).encode() + b"?" + request.url.query.encode()
        )
        answer = await transport.handle_async_request(
            httpx.Request(request.method, url, headers=headers, content=request.stream())
        )
        passed = StreamingResponse(answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose))
        passed.raw_headers = answer.headers.raw
        return passed

    methods = ["GET", "HEAD", "POST", "OPTIONS"]
    return Starlette(routes=[Route("/{path:path}", forward, methods=methods)])


@pytest.fixture(scope="module")
def behind(checkpoint, tmp_path_factory):
    """An app with a login behind four proxies: `urls` by (strip, forwarded), `seen` the paths that they were asked."""
    log = tmp_path_factory.mktemp("behind") / "log"
    environment = os.environ | {"GRADIO_ROOT_PATH": PREFIX + "/", "LESION_LOGIN": f"{USER}:{PASSWORD}"}
    process, direct = start_app(checkpoint, log, environment)
    urls, servers, seen = {}, [], []
    for strip in (True, False):
        for forwarded in (True, False):
            port = free_port()
            app = proxied(direct, strip, forwarded, seen)
            servers.append(uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off")))
            threading.Thread(target=servers[-1].run, daemon=True).start()
            urls[strip, forwarded] = f"http://127.0.0.1:{port}{PREFIX}/"
    while not all(server.started for server in servers):
        time.sleep(0.05)
    yield SimpleNamespace(urls=urls, direct=direct, seen=seen, log=log)
    for server in servers:
        server.force_exit = server.should_exit = True
    process.terminate()
    process.wait(20)
    text = log.read_text()
    assert "Traceback" not in text and "cret" not in text, text


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("forwarded", [True, False])
def test_the_api_behind_a_proxy(behind, checkpoint, strip, forwarded):
    url = behind.urls[strip, forwarded]
    assert f'"root":"{url.rstrip("/")}"' in httpx.get(url).text
    client = Client(url, auth=(USER, PASSWORD), verbose=False)
    probabilities, picture, _ = client.predict(
        handle_file(str(PHOTOGRAPH)), "75", "female", "back", "mel", api_name="/predict"
    )
    expected = load_predictor(checkpoint).predict(read_image(PHOTOGRAPH), Metadata(75, "female", "back"))
    assert probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    assert os.path.getsize(picture) > 1000


def test_the_page_behind_a_proxy_with_a_login(behind, browser):
    url = behind.urls[True, False]
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    asked, failed, errors = [], [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda r: failed.append((r.status, r.url)) if r.status >= 400 else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    expect(page.get_by_label("password")).to_be_visible()
    assert "Not a medical device" not in page.content(), "nothing of the app before the login"
    for password in ("wrong", PASSWORD):
        page.get_by_label("username").fill(USER)
        page.get_by_label("password").fill(password)
        page.get_by_role("button", name="Login").click()
        if password == "wrong":
            expect(page.get_by_text("Incorrect Credentials")).to_be_visible()
    page.set_input_files("#photo input[type=file]", str(PHOTOGRAPH))
    expect(page.locator("#answer li")).to_have_count(7)
    page.locator("#examples button").first.click()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("ISIC_0024333"))
    expect(page.locator("#answer .truth")).to_have_count(1)
    page.get_by_role("tab", name="Metadata influence").click()
    for button, name in (("#get-csv", "sweep.csv"), ("#get-pdf", "handout.pdf")):
        with page.expect_download() as download:
            page.click(button)
        assert download.value.suggested_filename == name and download.value.path().stat().st_size > 1000
    assert failed == [(400, f"{url}login")] and not errors
    page.get_by_role("button", name="API").click()
    expect(page.get_by_text("/predict").first).to_be_visible()
    page.close()
    assert all(a.startswith((url, "data:", "blob:")) for a in asked), [a for a in asked if not a.startswith(url)]
    outside = {path for path in behind.seen if not path.startswith(f"{PREFIX}/")}
    assert outside <= {"/favicon.ico"}, "browsers ask every host for that"


def test_nobody_gets_in_without_the_password(behind):
    client = Client(behind.direct, auth=(USER, PASSWORD), verbose=False)
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    with httpx.Client(base_url=behind.direct, timeout=60) as visitor:
        assert len(endpoints) > 10
        for name in endpoints:
            for road in ("call", "call/v2"):
                assert visitor.post(f"/gradio_api/{road}{name}", json={"data": []}).status_code == 401, name
                assert visitor.get(f"/gradio_api/{road}{name}/x").status_code == 401, name
        assert visitor.post("/gradio_api/upload", files={"files": ("x.jpg", b"x")}).status_code == 401
        question = {"data": [], "fn_index": 0, "session_hash": "x"}
        assert visitor.post("/gradio_api/queue/join", json=question).status_code == 401
        for name in ("join", "look", "vote", "watch", "move", "close", "result"):
            refused = visitor.post(f"/class/{name}", json={"code": "BCDFGH"})
            assert (refused.status_code, refused.json()) == (401, {"detail": LOGIN}), name
            for road in (behind.direct, f"{behind.direct}{PREFIX}"):
                entered = httpx.post(f"{road}/class/{name}", json={"code": "BCDFGH"}, cookies=client.cookies)
                assert entered.status_code in (404, 422), name  # there is no such class, and the vote no guess
        assert "BCDFGH" not in visitor.get("/class/BCDFGH").text
        upload = {"files": ("mole.jpg", PHOTOGRAPH.read_bytes())}
        path = httpx.post(f"{behind.direct}/gradio_api/upload", files=upload, cookies=client.cookies).json()[0]
        paths = [
            f"gradio_api/file={quote(path)}",
            f"gradio_api/file={PHOTOGRAPH}",
            "gradio_api/queue/data?session_hash=x",
        ]
        for closed in (*paths, "gradio_api/info", "gradio_api/openapi.json", "config"):
            assert visitor.get(f"/{closed}").status_code == 401, closed
        for road in (behind.direct, f"{behind.direct}{PREFIX}"):
            assert httpx.get(f"{road}/gradio_api/file={quote(path)}", cookies=client.cookies).status_code == 200
        for password in ("", "wrong", PASSWORD.upper(), f"{PASSWORD} "):
            login = visitor.post("/login", data={"username": USER, "password": password})
            assert login.status_code in (400, 422) and not login.cookies


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 may not be ours")
@pytest.mark.process
def test_in_a_space_without_any_argument(checkpoint, tmp_path, browser):
    """The environment is that of a Space whose SDK is Gradio; only an app that listens everywhere is at 127.0.0.2."""
    environment = os.environ | {"SYSTEM": "spaces", "SPACE_ID": "user/name", "GRADIO_SERVER_NAME": "0.0.0.0"}
    process, url = start_app(checkpoint, tmp_path / "log", environment, no_arguments=True)
    elsewhere = []
    try:
        assert httpx.get(url.replace("127.0.0.1", "127.0.0.2")).status_code == 200
        page = browser.new_page()
        page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((url, "data:", "blob:")) else None)
        page.goto(f"{url}/?__theme=dark")  # as the Hub's frame asks for it
        page.locator("#examples button").first.click()
        expect(page.locator("#answer li")).to_have_count(7)
        page.close()
    finally:
        process.terminate()
    assert process.wait(30) == 0 and "Traceback" not in (tmp_path / "log").read_text()
    assert not elsewhere
