"""A small stand-in for the Hugging Face Hub on loopback: what huggingface_hub's client asks of it for making a
repository, uploading to it in commits (large files apart, as Git LFS does), and downloading a revision."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from huggingface_hub import ModelCard, SpaceCard

WRITER, READER = "hf_writer", "hf_reader"
"""Tokens: one that may write, one that may not."""
LARGE = (".safetensors", ".zip", ".png", ".jpg")


class Hub(ThreadingHTTPServer):
    """Serves until it is closed; `repositories` maps "models/user/name" to commits: an id, and the files by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.objects: dict[str, bytes] = {}
        self.downloads: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def environment(self, cache, token: str | None = None) -> dict[str, str]:
        """What a process needs to take this for the Hub."""
        settings = {"HF_ENDPOINT": self.url, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        return settings | ({"HF_TOKEN": token} if token else {})


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, content: object = None, **headers: str) -> None:
        """Sends bytes, or a document as JSON."""
        body = content if isinstance(content, bytes) else json.dumps({} if content is None else content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for pattern, action in ROUTES:
            if (found := re.fullmatch(pattern, f"{self.command} {path}")) is not None:
                action(self, body, *found.groups())
                return
        self.answer(404, {"error": f"no route {self.command} {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = do

    def may_write(self) -> bool:
        """Whether the token may; if not, the answer is sent."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token != WRITER:
            self.answer(403 if token == READER else 401, {"error": "not with this token"})
        return token == WRITER

    def files(self, kind: str, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """A commit's id and its files; where there is none, the answer is sent."""
        commits = self.server.repositories.get(f"{kind}/{name}")
        if commits is None:
            return self.answer(401, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        commit = list(commits)[-1] if revision == "main" else revision
        if commit not in commits:
            return self.answer(404, {"error": "Revision not found"}, X_Error_Code="RevisionNotFound")
        return commit, commits[commit]

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        if not self.may_write():
            return
        name = f"{asked.get('organization') or 'teacher'}/{asked['name']}"
        key = f"{asked.get('type', 'model')}s/{name}"
        if key in self.server.repositories:
            self.answer(409, {"url": f"{self.server.url}/{name}"})
        else:
            self.server.repositories[key] = {"0" * 40: {}}
            self.answer(200, {"url": f"{self.server.url}/{name}"})

    def validate(self, body: bytes) -> None:
        """The front matter must be what huggingface_hub's own classes accept; the real Hub checks more."""
        asked, errors = json.loads(body), []
        try:
            card = {"model": ModelCard, "space": SpaceCard}[asked["repoType"]](asked["content"])
            errors += [] if card.data.get("license") else [{"message": "no license"}]
        except ValueError as error:
            errors.append({"message": str(error)})
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, body: bytes, kind: str, name: str) -> None:
        ignored = json.loads(body).get("gitIgnore", "").split()
        files = [
            {
                "path": f["path"], "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular",
                "shouldIgnore": any(f["path"].startswith(line.strip("/") + "/") for line in ignored),
            }
            for f in json.loads(body)["files"]
        ]  # fmt: skip
        if self.may_write() and self.files(kind, name, "main"):
            self.answer(200, {"files": files})

    def batch(self, body: bytes, _: str) -> None:
        objects = [
            {**o, "actions": {"upload": {"href": f"{self.server.url}/objects/{o['oid']}"}}}
            for o in json.loads(body)["objects"]
        ]
        self.answer(200, {"transfer": "basic", "objects": objects})

    def put(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() == oid:
            self.server.objects[oid] = body
            self.answer(200)
        else:
            self.answer(400)

    def commit(self, body: bytes, kind: str, name: str) -> None:
        found = self.may_write() and self.files(kind, name, "main")
        if not found:
            return
        files = dict(found[1])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        commits = self.server.repositories[f"{kind}/{name}"]
        oid = hashlib.sha1(f"{name} {len(commits)}".encode()).hexdigest()
        commits[oid] = files
        self.answer(200, {"commitUrl": f"{self.server.url}/{name}/commit/{oid}", "commitOid": oid})

    def info(self, _: bytes, kind: str, name: str, revision: str | None) -> None:
        if found := self.files(kind, name, revision or "main"):
            commit, files = found
            self.answer(200, {"id": name, "sha": commit, "siblings": [{"rfilename": path} for path in files]})

    def tree(self, _: bytes, kind: str, name: str, revision: str) -> None:
        if found := self.files(kind, name, revision):
            entries = [
                {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for path, content in found[1].items()
            ]
            self.answer(200, entries)

    def resolve(self, _: bytes, name: str, revision: str, path: str) -> None:
        if found := self.files("models", name, revision):
            commit, files = found
            if path not in files:
                self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
                return
            if self.command == "GET":
                self.server.downloads.append(path)
            self.answer(
                200, files[path], ETag=f'"{hashlib.sha256(files[path]).hexdigest()}"', X_Repo_Commit=commit
            )  # fmt: skip


NAME = r"([\w.-]+/[\w.-]+)"
ROUTES = [
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (rf"POST /api/(models|spaces)/{NAME}/preupload/main", Handler.preupload),
    (rf"POST /(?:spaces/)?{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    (r"PUT /objects/(\w+)", Handler.put),
    (rf"POST /api/(models|spaces)/{NAME}/commit/main", Handler.commit),
    (rf"GET /api/(models|spaces)/{NAME}(?:/revision/([^/]+))?", Handler.info),
    (rf"GET /api/(models|spaces)/{NAME}/tree/([^/]+)/?", Handler.tree),
    (rf"(?:GET|HEAD) /{NAME}/resolve/([^/]+)/(.+)", Handler.resolve),
]
