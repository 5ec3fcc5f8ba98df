"""What phones and projector of a class are told over HTTP, and what a hostile client gets."""

import asyncio
import base64
import gc
import hashlib
import io
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlparse

import httpx
import pandas as pd
import pytest
from gradio_client import Client

from conftest import BUNDLED, check_sentence, memory
from hostile_values import VALUES
from lesion.data.diagnoses import CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.inference.predictor import load_predictor
from lesion.teaching.class_session import TRUTH, ClassRound, Place, Seen
from lesion.teaching.classes import Classes
from lesion.teaching.cohort import Cohort
from lesion.teaching.round_cases import Rounds
from lesion.teaching.rounds import STAGES, RoundSettings
from lesion.ui.class_answers import ClassAnswers, draw
from lesion.ui.server.addresses import Address
from lesion.ui.server.direct_answers import NO_OBJECT, SMALL, TOO_LARGE

SETTINGS = (10, "balanced", False, ["metadata", "model"], 0.2)
GROWTH = 20
"""MB."""


class Asker:
    """One client of a class."""

    def __init__(self, app, code: str = "", **token: str):
        self.http = httpx.Client(base_url=app.url, timeout=60)
        self.mine = {"code": code, **token}

    def ask(self, what: str, **question: object) -> tuple[int, dict]:
        answer = self.http.post(f"/class/{what}", json=self.mine | question)
        return answer.status_code, answer.json()

    def refused(self, what: str, status: int, **question: object) -> str:
        given, told = self.ask(what, **question)
        assert given == status and set(told) == {"detail"}, (what, question, told)
        check_sentence(told["detail"], f"{what} {question}"[:200])
        return told["detail"]


@pytest.fixture(scope="module")
def opened(bundled_app) -> Client:
    return Client(bundled_app.url, verbose=False)


@pytest.fixture
def teacher(bundled_app, opened):
    """Of a new class, which is closed at the end."""
    given = opened.predict(*SETTINGS, api_name="/open_class")
    asker = Asker(bundled_app, given["code"], teacher=given["teacher"])
    yield asker
    asker.ask("close")


def joined(bundled_app, code: str) -> Asker:
    phone = Asker(bundled_app, code)
    phone.mine["token"] = phone.ask("join")[1]["token"]
    return phone


def test_a_class_from_the_first_case_to_the_table(bundled_app, teacher):
    """Before the reveal, no answer holds an id, a known file or a word of the truth; votes sent again count once."""
    phones = [joined(bundled_app, teacher.mine["code"]) for _ in range(3)]
    before, turn, sent = [], 0, []
    while True:
        status, told = teacher.ask("move", turn=turn, move="next")
        again = teacher.ask("move", turn=turn, move="next")[1]
        assert status == 200 and again["turn"] == told["turn"] == turn + 1, "sent twice, moved once"
        turn = told["turn"]
        seen = [phone.ask("look", turn=-1)[1] for phone in phones]
        if told["stage"] != TRUTH and told["next"]:
            before += [json.dumps(told), *map(json.dumps, seen)]
        if told["open"]:
            for number, phone in enumerate(phones[:2]):
                vote = {"case": told["case"], "stage": told["stage"], "diagnosis": CODES[number], "confidence": "sure"}
                for _ in range(2):
                    assert phone.ask("vote", turn=turn, **vote)[0] == 200
                sent.append((vote["case"], vote["stage"], vote["diagnosis"]))
            watched = teacher.ask("watch", turn=turn)[1]
            assert (watched["voted"], watched["phones"]) == (2, 3) and "html" not in watched
            before.append(json.dumps(watched))
        if not told["next"]:
            break
    assert turn == 10 * (len(STAGES) + 1) + 1
    answer = teacher.http.post("/class/result", json=teacher.mine | {"form": "csv"})
    table = pd.read_csv(io.BytesIO(answer.content))
    assert sorted(zip(table.case, table.stage, table.guess, strict=True)) == sorted(sent)
    assert teacher.http.post("/class/result", json=teacher.mine | {"form": "pdf"}).content.startswith(b"%PDF")

    text, photographs = "".join(before), HeldOutPhotographs(BUNDLED)
    assert not any(image_id in text for image_id in table.image_id)
    assert "ISIC" not in text and "HAM_" not in text and "onfirmed:" not in text
    known = {hashlib.sha256(photographs.read(image_id)).hexdigest() for image_id in table.image_id}
    pictures = {base64.b64decode(found) for found in re.findall(r"data:image/jpeg;base64,([\w+/=]+)", text)}
    assert len(pictures) == 10
    assert not known & {hashlib.sha256(picture).hexdigest() for picture in pictures}
    assert not any(b"ISIC" in picture or b"Exif" in picture for picture in pictures)


@pytest.fixture(scope="module")
def about() -> ClassRound:
    predictor = load_predictor(BUNDLED)
    rounds, settings = Rounds(Cohort(predictor), HeldOutPhotographs(predictor.checkpoint.folder)), RoundSettings(1)
    return ClassRound(rounds, settings, rounds.cases(settings))


def test_nothing_of_a_closed_class_is_kept(about):
    classes = Classes()
    answers = ClassAnswers(classes, lambda text: Address(text, True, ""), "")

    async def play() -> int:
        ours = ClassRound(about.rounds, about.settings, about.cases)
        code, teacher = classes.open(ours)
        del ours
        asked = {"code": code, "teacher": teacher, "address": "http://a"}
        for turn in range(3):
            await answers.move({**asked, "turn": turn, "move": "next"})
        await answers.look({"code": code, "token": answers.join({"code": code})["token"]})
        assert [len(drawn) for drawn in answers._drawn.values()] == [2]
        await answers.close(asked)
        await asyncio.sleep(0)
        gc.collect()
        return len(answers._drawn)

    assert asyncio.run(play()) == 0


def test_what_is_drawn_before_the_truth_does_not_depend_on_it(about):
    case = about.cases[0]
    exchanged = case.own[::-1].copy()
    other = replace(case, label=(case.label + 1) % 7, misleading=not case.misleading, own=exchanged)
    lying = ClassRound(about.rounds, about.settings, (other, *about.cases[1:]))
    for stage in STAGES:
        for phone in (True, False):
            seen = Seen(1, Place(1, stage), True, {})
            assert draw(about, seen, phone) == draw(lying, seen, phone), stage
    seen = Seen(4, Place(1, TRUTH), False, {})
    assert draw(about, seen, True) != draw(lying, seen, True)


def test_a_hostile_phone_is_refused_with_a_sentence(bundled_app, teacher):
    code = teacher.mine["code"]
    phone, other = joined(bundled_app, code), joined(bundled_app, code)
    teacher.ask("move", turn=0, move="next")
    vote = {"case": 1, "stage": "photograph", "diagnosis": "mel", "confidence": "sure"}
    for what in ("watch", "move", "close", "result"):  # an early reveal, by what a phone knows
        question = {"turn": 1, "move": "show", "form": "csv"}
        phone.refused(what, 403, **question)
        phone.refused(what, 403, **question, teacher=phone.mine["token"])
    phone.refused("vote", 403, **vote, token="somebody else")
    phone.refused("vote", 422, **vote | {"stage": "metadata"})
    phone.refused("vote", 422, **vote | {"stage": "model", "case": 10})
    assert phone.ask("vote", **vote)[0] == 200
    assert "stays as it is" in phone.refused("vote", 422, **vote | {"diagnosis": "nv"})
    told = json.dumps(other.ask("look", turn=-1)[1])
    assert "What the class guessed" not in told and '"photograph": null' in told
    assert teacher.ask("watch", turn=1)[1]["voted"] == 1
    assert "judge yet" in teacher.refused("result", 422, form="csv")


@pytest.mark.parametrize("name", [name for name in VALUES if name not in ("surrogate", "nan", "infinity", "huge")])
def test_every_place_of_every_question_explains(bundled_app, teacher, name):
    phone, value = joined(bundled_app, teacher.mine["code"]), VALUES[name]
    status = {413} if len(json.dumps(value)) > SMALL else {403, 404, 422}
    vote = {"case": 1, "stage": "photograph", "diagnosis": "mel", "confidence": "sure"}
    for asker, what, question in (
        (phone, "join", {}), (phone, "look", {}), (phone, "vote", vote), (teacher, "watch", {"address": "http://a"}),
        (teacher, "move", {"turn": 5, "move": "show"}), (teacher, "result", {"form": "csv"}), (teacher, "close", {}),
    ):  # fmt: skip
        for place in [*(asker.mine if what != "join" else ["code"]), *question]:
            given, told = asker.ask(what, **question | {place: value})
            if given == 200:  # no address, or a turn that is over
                assert (place, name) in {("address", "null"), ("turn", "number"), ("turn", "arabic digits")}, (
                    what,
                    place,
                )
            else:
                assert given in status, (what, place, given, told)
                check_sentence(told["detail"], f"{what} {place}")


def test_what_is_no_question(bundled_app):
    with httpx.Client(base_url=bundled_app.url) as http:
        plain = {"content-type": "application/json"}
        for body in (
            b"",
            b"nope",
            b"[]",
            b"null",
            b"\xff\xfe",
            b"{",
            b'{"a": ' + b"[" * 1500,
            b'{"a": 1' + b"0" * 1800,
        ):
            answer = http.post("/class/look", content=body, headers=plain)
            assert answer.status_code == 422 or (answer.status_code, body[:6]) == (404, b'{"a": '), body[:20]
            check_sentence(answer.json()["detail"], str(body[:20]))
        assert http.post("/class/look", json={}, headers={"content-type": "text/plain"}).json()["detail"] == NO_OBJECT
        assert http.post("/class/look", data={"code": "x"}).json()["detail"] == NO_OBJECT
        answer = http.post("/class/look", json={"code": "x" * 10 * SMALL})
        assert (answer.status_code, answer.json()["detail"]) == (413, TOO_LARGE)
        endless = http.post("/class/look", content=(b" " * 1000 for _ in range(100)), headers=plain)
        assert endless.status_code == 413
        assert http.get("/class/look").status_code == 200, "the page of a phone"
        for method, path in (("POST", "/class/BCDFGH"), ("PUT", "/class/look"), ("POST", "/class/"), ("GET", "/class")):
            assert http.request(method, path).status_code in (404, 405)
        assert http.get("/class/../config").url.path != "/class/../config"


def test_a_phone_that_leaves_in_the_middle_of_a_question_is_no_fault(bundled_app):
    address = urlparse(bundled_app.url)
    head = b"POST /class/look HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    for body in (b"", b'{"code"', b"{}".ljust(100)):
        with socket.create_connection((address.hostname, address.port)) as phone:
            phone.sendall(head + body)
    with httpx.Client(base_url=bundled_app.url) as http:
        assert http.post("/class/look", json={}).status_code == 404
    bundled_app.check()


def test_wrong_codes_and_tokens_by_the_thousand_take_no_memory(bundled_app, teacher):
    phone = joined(bundled_app, teacher.mine["code"])
    vote = {"case": 1, "stage": "photograph", "diagnosis": "mel", "confidence": "sure"}

    def attack(number: int) -> set[int]:
        asker = Asker(bundled_app, teacher.mine["code"])
        with asker.http:
            return {
                asker.ask(what, **question)[0]
                for k in range(100)
                for what, question in (
                    ("join", {"code": f"K{number}X{k}"}), ("look", {"token": f"{number} {k}"}),
                    ("vote", {"token": f"{number} {k}", **vote}),
                    ("move", {"teacher": f"{number} {k}", "turn": 0, "move": "next"}),
                )
            }  # fmt: skip

    attack(0)
    grown = memory(bundled_app.process.pid)
    with ThreadPoolExecutor(4) as pool:
        statuses = set().union(*pool.map(attack, range(20)))
    grown = memory(bundled_app.process.pid) - grown
    print(f"\n8,000 wrong questions: {grown:+.1f} MB")
    assert statuses == {403, 404} and grown < GROWTH
    assert phone.ask("look")[0] == 200 and teacher.ask("watch")[1]["turn"] == 0


def test_the_page_of_a_phone_says_nothing_of_a_class(bundled_app, teacher):
    with httpx.Client(base_url=bundled_app.url) as http:
        there, missing = (http.get(f"/class/{code}") for code in (teacher.mine["code"], "BBBBBB"))
        assert there.text == missing.text and len(there.content) < 40_000
        assert there.headers["referrer-policy"] == "no-referrer"


def test_a_round_that_cannot_be_drawn_is_a_sentence(opened):
    with pytest.raises(Exception, match="A round of 11 cases is not offered; choose 10 or 30"):
        opened.predict(11, *SETTINGS[1:], api_name="/open_class")
