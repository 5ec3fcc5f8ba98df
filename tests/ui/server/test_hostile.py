"""Hostile requests: each gets an answer or a sentence, and the app neither dies nor grows."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from conftest import check_sentence, memory
from hostile_values import ANSWERED, PARSERS, VALUES
from image_files import Item, encoded, small
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.ui.html import pieces
from lesion.ui.server.allow_list import UNKNOWN

IMAGE, RECORD, PREVALENCE = object(), ["55", "female", "back"], ["own", 2]
SESSIONS = 300
"""That Gradio keeps at most, a quarter of a megabyte each: every call of the API is one."""
GROWTH = 300
"""Megabytes that the server's memory may grow by from before the corpus to after it."""


class Server:
    """A client of a running app's HTTP API."""

    def __init__(self, api: httpx.Client) -> None:
        self.api = api

    def upload(self, name: str, content: bytes) -> dict:
        answer = self.api.post("/upload", files={"files": (name, content)})
        answer.raise_for_status()
        return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}

    def ask(self, endpoint: str, values: list) -> tuple[bool, object]:
        """Whether there is an answer, and the answer or the error message."""
        body = json.dumps({"data": values})  # writes NaN and Infinity as they are
        headers = {"content-type": "application/json"}
        asked = self.api.post(f"/call/{endpoint}", content=body, headers=headers)
        if asked.status_code != 200:
            assert 400 <= asked.status_code < 500, (asked.status_code, asked.text)
            return False, "Refused by the server."
        events = self.api.get(f"/call/{endpoint}/{asked.json()['event_id']}").text.strip().split("\n\n")
        event, _, data = events[-1].partition("\ndata: ")
        data = json.loads(data) if data else None
        return event == "event: complete", data if event == "event: complete" else (data or {}).get("error")


@pytest.fixture(scope="module")
def server(tiny_app):
    # A new connection each time: one that the server closes is then never used again.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=f"{tiny_app.url}/gradio_api", timeout=120, limits=limits) as api:
        yield Server(api)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_the_app_answers_or_explains_every_file_and_does_not_grow(server, tiny_app, corpus):
    def check(item: Item, endpoint: str, *others: object) -> None:
        about = f"{item.kind} {item.name}"
        values = [server.upload(item.name, item.content), *RECORD, *others]
        answered, answer = server.ask(endpoint, values)
        if answered:
            probabilities = answer[0] if endpoint == "predict" else answer[0]["both"]
            assert item.readable is not False, about
            assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5), about
        else:
            assert not item.readable, f"{about}: {answer}"
            check_sentence(answer, about)

    with ThreadPoolExecutor(4) as visitors:
        # The stores of photographs and sessions fill, and allocators take what they will keep.
        list(visitors.map(lambda item: check(item, "predict", "most probable"), corpus[::3]))
        list(visitors.map(lambda _: server.ask("alarm", [*PREVALENCE, 20]), range(SESSIONS)))
        before = memory(tiny_app.process.pid)
        list(visitors.map(lambda item: check(item, "three_answers", *PREVALENCE), corpus))
    grown = memory(tiny_app.process.pid) - before
    print(f"\nThe server takes {before:.0f} MB, {grown:+.0f} MB after the corpus; "
          f"{memory(tiny_app.process.pid, 'VmHWM'):.0f} MB at most.")  # fmt: skip
    assert grown < GROWTH


ROUND, GUESSES = [1, 10, "balanced", False, ["metadata", "model"], 0.2], [["mel", "sure"]] * 3
MODEL = "Test-ConvNeXt"
LAB, SUBGROUP = [["age", "sex"], "none", 1, 0.001, 0], ["any"] * 5
CALLS = {
    "predict": [IMAGE, *RECORD, "most probable", MODEL],
    "three_answers": [IMAGE, *RECORD, *PREVALENCE, MODEL],
    "shapley": [IMAGE, *RECORD, "mel", *PREVALENCE, "probability", MODEL],
    "age_curve": [IMAGE, *RECORD, *PREVALENCE, MODEL],
    "body_map": [IMAGE, *RECORD, "mel", *PREVALENCE, MODEL],
    "smallest_change": [IMAGE, *RECORD, *PREVALENCE, "site", MODEL],
    "similar_cases": [IMAGE, *RECORD, "another", MODEL],
    "alarm": [*PREVALENCE, 20, MODEL],
    "sweep": [IMAGE, *RECORD, *PREVALENCE, MODEL],
    "handout": [IMAGE, *RECORD, "mel", *PREVALENCE, "png", MODEL],
    "lesson": ["no-photograph", MODEL],
    "cohort": [["image"], [], *SUBGROUP, "dataset", MODEL],
    "confusion_cell": [["image"], [], *SUBGROUP, "dataset", "chosen", "mel", "nv", MODEL],
    "choose_case": ["mel", *["any"] * 5, MODEL],
    "importance": [*SUBGROUP, "dataset", MODEL],
    "train_head": [*LAB, MODEL],
    "compare_heads": [*LAB, *LAB, MODEL],
    "model_report": [MODEL],
    "round_stage": [*ROUND, 1, "photograph", MODEL],
    "round_truth": [*ROUND, 1, GUESSES, MODEL],
    "round_result": [*ROUND, [GUESSES] * 10, MODEL],
    "round_file": [*ROUND, [GUESSES] * 10, "csv", MODEL],
    "open_class": [*ROUND[1:], MODEL],
}
"""Every endpoint with values that are right."""


def test_calls_name_every_endpoint(server):
    endpoints = server.api.get("/info").json()["named_endpoints"]
    assert {f"/{name}" for name in CALLS} == set(endpoints)
    for name, values in CALLS.items():
        assert len(endpoints[f"/{name}"]["parameters"]) == len(values), name


@pytest.mark.parametrize("parser", PARSERS)
def test_every_value_is_accepted_or_refused_in_a_sentence(parser):
    right = ["55", "female", "back"]
    for position in range(3):
        for name, value in VALUES.items():
            try:
                PARSERS[parser](*right[:position], value, *right[position + 1 :])
            except UserError as error:
                check_sentence(str(error), f"{parser}, value {position}: {name}")


@pytest.mark.parametrize("endpoint", CALLS)
def test_every_place_of_an_endpoint_answers_or_explains(server, endpoint):
    """Every value in every place of `predict`; of the others, whose values the same parsers read, one in each."""
    photograph = server.upload("mole.jpg", encoded(small(), "JPEG"))
    right = [photograph if value is IMAGE else value for value in CALLS[endpoint]]
    first = 7 * list(CALLS).index(endpoint)
    for position in range(len(right)):
        for name in VALUES if endpoint == "predict" else [list(VALUES)[(first + position) % len(VALUES)]]:
            answered, answer = server.ask(endpoint, [*right[:position], VALUES[name], *right[position + 1 :]])
            about = f"{endpoint}, value {position}: {name}"
            if answered:
                assert name in ANSWERED, f"{about} was answered"
            else:
                check_sentence(answer, about)


def test_lists_in_lists(server):
    photograph = server.upload("mole.jpg", encoded(small(), "JPEG"))
    for depth in (50, 200, 500, 900, 5_000):
        lists = "[" * depth + "]" * depth
        body = f'{{"data": [{json.dumps(photograph)}, {lists}, "male", "back", "mel"]}}'
        answer = server.api.post("/call/predict", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (200, 400, 422), answer.text
        if answer.status_code == 200:
            text = server.api.get(f"/call/predict/{answer.json()['event_id']}").text
            check_sentence(json.loads(text.split("data: ")[1])["error"], f"depth {depth}")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"nope", b"[]", b"null", b'"text"', b"{}", b'{"data": 5}', b'{"data": null}', b'{"data": {}}', b"\xff\xfe",
        b'{"data": [1', b'{"data": [[[[[' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_bodies_that_are_no_question(server, body):
    answer = server.api.post("/call/predict", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("values", [[], [None], [None] * 4])
def test_too_few_values(server, values):
    answered, answer = server.ask("predict", values)
    assert not answered
    check_sentence(answer, str(values))


def test_too_many_values(server):
    photograph = server.upload("mole.jpg", encoded(small(), "JPEG"))
    answered, answer = server.ask("predict", [photograph, *RECORD, "mel", *range(1000)])
    assert answered or check_sentence(answer, "too many") is None


@pytest.mark.parametrize(
    "body",
    [
        {"fn_index": "predict", "data": [], "session_hash": "x"},
        {"fn_index": 0, "data": []},
        {"data": [], "session_hash": "x"},
        {"fn_index": 0, "data": [], "session_hash": {"a": 1}},
    ],
)
def test_questions_to_nobody(server, body):
    answer = server.api.post("/queue/join", json=body)
    assert 400 <= answer.status_code < 500, answer.status_code


@pytest.mark.parametrize(
    "path, body",
    [
        ("/call/nonsense", {"data": []}),
        ("/call/v2/nonsense", {"prevalence": "dataset"}),
        ("/call/v2/alarm", {"nonsense": 1}),
        ("/call/v2/predict", {}),
        ("/queue/join", {"fn_index": 99999, "data": [], "session_hash": "x"}),
        ("/queue/join", {"fn_index": -1, "data": [], "session_hash": "x"}),
    ],
)
def test_unknown_endpoints_handlers_and_parameters_get_a_sentence(server, path, body):
    answer = server.api.post(path, json=body)
    assert answer.status_code == 404 and answer.json() == {"detail": UNKNOWN}


@pytest.mark.parametrize("path", ["/call/predict", "/call/v2/predict", "/queue/join", "/cancel", "/reset"])
@pytest.mark.parametrize("body", [b"nope", b"[]", b'{"data": NaN, "fn_index": 1e400, "session_hash": Infinity}'])
def test_unreadable_requests_are_told_why_and_not_repeated(server, path, body):
    answer = server.api.post(path, content=body, headers={"content-type": "application/json"})
    if path == "/call/v2/predict" and body.startswith(b"{"):  # it has no parameter of these names
        assert answer.status_code == 404 and answer.json() == {"detail": UNKNOWN}
    else:
        assert answer.status_code == 422 and all(set(e) == {"type", "loc", "msg"} for e in answer.json()["detail"])


@pytest.mark.parametrize("path", ["/call/predict/gone", "/call/v2/predict/gone", "/queue/data?session_hash=gone"])
def test_answers_asked_for_before_a_restart(server, path):
    assert "404: Not Found" in server.api.get(path).text


@pytest.mark.parametrize("path", ["/call/", "/queue/data", "/nonesuch"])
def test_addresses_that_lead_nowhere(server, path):
    answer = server.api.get(path)
    assert 400 <= answer.status_code < 500 or '"error"' in answer.text or "event: error" in answer.text


def test_html_in_a_value_is_shown_as_text():
    with pytest.raises(UserError) as error:
        read_image(b"x", "<script>alert(1)</script>")
    assert "<script>" in str(error.value) and "<script>" not in pieces.problem(str(error.value))
