"""The tab "Reader round": a whole round on a phone, by touch and by keyboard; nothing is lost, nothing told early."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from readers import Keyboard, Touch, at, play, some_guesses

from conftest import BUNDLED, SCREENSHOTS, Page, expect
from lesion.data.diagnoses import BY_CODE, CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor
from lesion.teaching.cohort import Cohort
from lesion.teaching.lessons.wrong_machine import ROUND
from lesion.teaching.paper import render
from lesion.teaching.round_cases import Rounds
from lesion.teaching.round_files import round_csv, round_page
from lesion.teaching.round_result import Guess, Progress, decisions_of, round_result
from lesion.teaching.rounds import STAGES, RoundSettings, settings_of, text_of
from lesion.ui.round_views import Answers, Views

PHONE = {"width": 390, "height": 844}
SETTINGS = RoundSettings(7)
VALUES = [7, 10, "balanced", False, ["metadata", "model"], 0.2]
"""SETTINGS as the endpoints take them."""


@pytest.fixture(scope="module")
def server(bundled_app):
    """The address of a running app on the bundled checkpoint."""
    return bundled_app.url


@pytest.fixture(scope="module")
def rounds() -> Rounds:
    return Rounds(Cohort(load_predictor(BUNDLED)), HeldOutPhotographs(BUNDLED))


@pytest.fixture(scope="module")
def guesses() -> list[list[list[str]]]:
    return some_guesses(10)


def parsed(guesses: list) -> tuple[tuple[Guess, ...], ...]:
    return Progress.of(SETTINGS, guesses, 10).guesses


def link(server: str, rounds: Rounds, settings: RoundSettings = SETTINGS) -> str:
    return f"{server}/?tab=round&round={text_of(settings, rounds.identity)}"


def expect_result(page: Page, rounds: Rounds, guesses: list) -> None:
    """The page shows the figures that Python computes."""
    cases = rounds.cases(SETTINGS)
    result = round_result(cases, decisions_of(parsed(guesses)), SETTINGS)
    rows = [*result.readers.values(), result.model, result.as_shown]
    shown = page.locator("#round .figures tbody tr").all_inner_texts()
    for text, found in zip(shown, rows, strict=True):
        assert f"{round(10 * found['accuracy']['value'])} of 10" in text
        for metric in found.values():
            low, high = metric["interval"]
            numbers = [f"{100 * x:.1f}\u00a0%" for x in (metric["value"], low, high)]
            assert "{} ({} to {})".format(*numbers) in text
    listed = page.locator("#round .cases li")
    expect(listed).to_have_count(10)
    for case, text in zip(cases, listed.all_inner_texts(), strict=True):
        assert BY_CODE[CODES[case.label]].name in text
        assert ("Wrong on purpose" in text) == case.misleading


def no_errors(page: Page) -> list[str]:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


def test_a_round_on_a_phone_by_touch_survives_reloads(server, browser, rounds, guesses):
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    errors, person = no_errors(page), Touch(page)
    page.goto(link(server, rounds))
    expect(page.locator("#round h2")).to_have_text("A round of 10 photographs")
    expect(page.locator("#round [data-view=intro]")).to_contain_text("2 of the model's 10 answers are wrong on purpose")
    expect(page.locator("#round-seed input")).to_have_value("7")
    person.press("#round [data-do=begin]")
    expect(page.locator(at(0, 0))).to_be_visible()
    person.press("#round [data-sure=sure]")
    expect(page.locator("#round .hint")).to_have_text("Choose a diagnosis first.")
    person.guess(*guesses[0][0])
    expect(page.locator(at(0, 1))).to_be_visible()
    page.reload()  # in the middle of a case
    expect(page.locator(at(0, 1))).to_be_visible()
    assert page.locator("#round input[name=diagnosis]:checked").get_attribute("value") == guesses[0][0][0]
    person.guess(*guesses[0][1])
    expect(page.locator(at(0, 2))).to_be_visible()
    person.guess(*guesses[0][2])
    expect(page.locator(at(0, 3))).to_be_visible()
    page.goto(server)  # and from another tab, without the link
    page.get_by_role("tab", name="Reader round", exact=True).tap()
    expect(page.locator(at(0, 3))).to_be_visible()
    person.press("#round [data-do=leave]")
    expect(page.locator("#round [data-do=begin]")).to_have_text("Continue with case 1")
    person.press("#round [data-do=begin]")
    expect(page.locator(at(0, 3))).to_be_visible()
    wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0, "nothing hangs over the edge"
    person.press("#round [data-do=next]")
    play(person, guesses, first=1)
    expect_result(page, rounds, guesses)
    assert page.evaluate(wide) <= 0
    page.screenshot(path=SCREENSHOTS / "round-phone.png", full_page=True)
    page.reload()
    expect(page.locator("#round [data-view=result]")).to_be_visible()
    with page.expect_download() as download:
        page.locator("#round-csv").tap()
    assert Path(download.value.path()).read_text() == round_csv(rounds, SETTINGS, parsed(guesses))
    page.locator("#round .cases button").first.tap()
    expect(page.get_by_role("tab", name="Answer", exact=True)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#answer li")).to_have_count(7)
    assert not errors
    context.close()


def test_a_round_by_keyboard_alone_and_another_link_keeps_it(server, browser, rounds, guesses):
    context = browser.new_context(viewport=PHONE, color_scheme="dark")
    page = context.new_page()
    errors, person = no_errors(page), Keyboard(page)
    page.goto(link(server, rounds))
    expect(page.locator("#round [data-view=intro]")).to_be_visible()
    person.press("#round [data-do=begin]")
    expect(page.locator(at(0, 0))).to_be_visible()
    for stage, guess in enumerate(guesses[0]):
        expect(page.locator(at(0, stage))).to_be_visible()
        person.guess(*guess)
    expect(page.locator(at(0, 3))).to_be_visible()
    person.press("#round [data-do=next]")
    expect(page.locator(at(1, 0))).to_be_visible()
    page.goto(link(server, rounds, replace(SETTINGS, seed=8)))
    expect(page.locator("#round [data-view=intro]")).to_be_visible()
    page.goto(link(server, rounds))
    play(person, guesses, first=1)
    expect_result(page, rounds, guesses)
    person.press("#round [data-do=another]")
    expect(page.locator("#round [data-view=intro]")).to_be_visible()
    assert page.locator("#round-seed input").input_value() != "7" and "round=" not in page.url
    assert not errors
    context.close()


def test_links_that_are_not_of_here_say_so(server, browser, rounds):
    page = browser.new_page()
    other = text_of(SETTINGS, "0123456789ab")
    page.goto(f"{server}/?tab=round&round={other}")
    expect(page.locator("#round [role=alert]")).to_contain_text("This round was made for another checkpoint")
    expect(page.locator("#round [role=alert]")).to_contain_text(rounds.identity)
    page.goto(f"{server}/?tab=round&round=<script>alert(1)</script>")
    expect(page.locator("#round [role=alert]")).to_contain_text("is not a round; copy the whole link")
    expect(page.locator("#round [data-do=begin]")).to_be_visible()
    page.close()


def test_a_link_to_the_round_in_view_is_answered_too(server, browser, rounds):
    """Then the answer changes nothing on the page."""
    page = browser.new_page()
    page.goto(link(server, rounds, RoundSettings(1)))
    expect(page.locator("#round [data-view=intro]:not(.waiting)")).to_be_visible()
    page.close()


def test_a_lesson_opens_its_round(server, browser):
    page = browser.new_page()
    page.goto(f"{server}/?lesson=wrong-machine")
    page.get_by_role("button", name="Open the round").click()
    expect(page.locator("#round [data-view=intro]")).to_contain_text(f"{ROUND.misleading_count} of the model's 10")
    expect(page.locator("#round-seed input")).to_have_value(str(ROUND.seed))
    page.close()


def test_settings_make_another_round_and_its_link(server, browser, rounds):
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(server)
    page.get_by_role("tab", name="Reader round", exact=True).click()
    page.get_by_label("30", exact=True).check()
    expect(page.locator("#round h2")).to_have_text("A round of 30 photographs")
    page.get_by_label("melanoma or nevus", exact=True).check()
    page.get_by_label("age, sex and site", exact=True).uncheck()
    page.locator("#round-seed input").fill("12")
    page.locator("#round-seed input").press("Enter")
    settings = RoundSettings(12, 30, "melanoma or nevus", stages=("photograph", "model"))
    text = text_of(settings, rounds.identity)
    expect(page.locator(f'#round [data-round="{text}"]')).to_contain_text("Every photograph shows melanoma or")
    page.click("#round-copy")
    expect(page.locator("#round-link textarea, #round-link input")).to_have_value(link(server, rounds, settings))
    page.click("#round [data-do=begin]")
    expect(page.locator("#round .choices label")).to_have_count(2)
    expect(page.locator("#round-settings")).not_to_be_visible()
    context.close()


def test_a_browser_that_keeps_nothing_still_plays(server, browser, rounds, guesses):
    page = browser.new_page()
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('no') } })")
    page.goto(link(server, rounds))
    page.click("#round [data-do=begin]")
    expect(page.locator(at(0, 0))).to_be_visible()
    page.check(f"#round input[value={guesses[0][0][0]}]", force=True)
    page.click('#round [data-sure="sure"]')
    expect(page.locator(at(0, 1))).to_be_visible()
    page.close()


def test_no_view_before_its_truth_depends_on_the_truth(rounds, guesses, monkeypatch):
    """With another truth, and with the sign of a misleading answer turned, the server would send the same bytes."""
    views, answers = Views(rounds), Answers(rounds, lambda *_: "")
    cases = rounds.cases(SETTINGS)
    ids = rounds.cohort.table.iloc[[case.row for case in cases]]

    def everything() -> list[str]:
        """What is sent until the last guess of each case, if no truth is opened but those of earlier cases."""
        sent = [views.intro(SETTINGS)]
        for number in range(10):
            for given in range(3):
                progress = Progress.of(SETTINGS, [*guesses[:number], guesses[number][:given]], number)
                sent.append(views.at(progress))
                sent.append(json.dumps(answers.stage(*VALUES, number + 1, STAGES[given])))
        return sent

    true = everything()
    for text in true:
        for value in (*ids.image_id, *ids.lesion_id):
            assert value not in text
    turned = [replace(case, label=(case.label + 1) % 7, misleading=not case.misleading) for case in cases]
    monkeypatch.setattr(rounds, "cases", lambda settings: tuple(turned))
    assert everything() == true


def test_each_stage_shows_what_it_should_and_no_more(rounds, guesses):
    views, cases = Views(rounds), rounds.cases(SETTINGS)
    for number, case in enumerate(cases):
        record = rounds.cohort.records[case.row].describe()
        for given, stage in enumerate(STAGES):
            seen = views.at(Progress.of(SETTINGS, [*guesses[:number], guesses[number][:given]], number))
            assert (record[1:] in seen) == (stage != "photograph"), "its first letter may be a capital"
            assert ('class="layer"' in seen) == ("Model: <b>" in seen) == (stage == "model")


def test_the_truth_is_told_only_for_all_guesses(rounds, guesses):
    answers = Answers(rounds, lambda *_: "")
    for given in range(3):
        with pytest.raises(UserError, match="The truth follows the last guess"):
            answers.truth(*VALUES, 1, guesses[0][:given])
    case = rounds.cases(SETTINGS)[0]
    assert answers.truth(*VALUES, 1, guesses[0])["diagnosis"] == CODES[case.label]


@pytest.mark.parametrize(
    "said, words",
    [
        (None, "None is not what this page asks; please reload the page."),
        ("[" * 100_000, "is not what this page asks"),
        ("[]", "is not what this page asks"),
        ("{}", "None is not a round; copy the whole link of one."),
    ],
)
def test_what_no_browser_says_is_refused(rounds, said, words):
    with pytest.raises(UserError) as error:
        Views(rounds).opened(said)
    assert words in str(error.value)


def test_a_round_is_of_its_checkpoint(rounds):
    assert settings_of(text_of(SETTINGS, rounds.identity), rounds.identity) == SETTINGS
    with pytest.raises(UserError, match=r"another checkpoint \('0123456789ab'\)"):
        settings_of(text_of(SETTINGS, "0123456789ab"), rounds.identity)


def test_endpoints_equal_python(server, rounds, guesses):
    client = Client(server, verbose=False)
    case = rounds.cases(SETTINGS)[3]
    seen = client.predict(*VALUES, 4, "model", api_name="/round_stage")
    record = rounds.cohort.records[case.row]
    assert (seen["age"], seen["sex"], seen["site"]) == (record.age, record.sex, record.site)
    assert list(seen["probabilities"].values()) == pytest.approx(case.shown.tolist(), abs=1e-6)
    assert seen["diagnosis"] == case.explained and seen["heat map"].startswith("data:image/png;base64,")
    first = client.predict(*VALUES, 4, "photograph", api_name="/round_stage")
    assert first.keys() == {"photograph", "diagnoses"} and first["photograph"] == seen["photograph"]
    truth = client.predict(*VALUES, 4, guesses[3], api_name="/round_truth")
    assert truth["diagnosis"] == CODES[case.label]
    found = client.predict(*VALUES, guesses, api_name="/round_result")
    expected = round_result(rounds.cases(SETTINGS), decisions_of(parsed(guesses)), SETTINGS)
    for stage, metrics in expected.readers.items():
        for name, metric in metrics.items():
            assert found["reader"][stage][name]["value"] == pytest.approx(metric["value"], abs=1e-6)
            assert found["reader"][stage][name]["interval"] == pytest.approx(metric["interval"], abs=1e-6)
    assert found["changes"]["model"] == vars(expected.changes["model"])
    assert [case["wrong on purpose"] for case in found["cases"]] == [c.misleading for c in rounds.cases(SETTINGS)]
    path = client.predict(*VALUES, guesses, "csv", api_name="/round_file")
    table = pd.read_csv(path)
    ids = rounds.cohort.table.image_id
    assert table.image_id.tolist() == [ids.iloc[case.row] for case in rounds.cases(SETTINGS)]
    assert table.guess_model.tolist() == [case[2][0] for case in guesses]
    shown = np.array([case.shown for case in rounds.cases(SETTINGS)])
    np.testing.assert_allclose(table[[code.upper() for code in CODES]], shown, rtol=1e-5, atol=1e-7)
    with pytest.raises(AppError, match="Stage 'truth' is not one of the round's"):
        client.predict(*VALUES, 4, "truth", api_name="/round_stage")


def test_the_printed_page_says_what_the_result_says(rounds, guesses):
    page = round_page(rounds, SETTINGS, parsed(guesses))
    words = " ".join(" ".join(text.get_text().split()) for text in page.texts)
    result = round_result(rounds.cases(SETTINGS), decisions_of(parsed(guesses)), SETTINGS)
    changes = result.changes["model"]
    for expected in (
        "10 held-out photographs; mix: balanced; seed 7", rounds.identity, "Rinner et al.",
        "In 2 the model's answer was wrong on purpose", f"With the model's answer: {changes.kept} of 10 guesses kept",
        "Not a medical device", *(f"{k} {CODES[c.label]}" for k, c in enumerate(rounds.cases(SETTINGS), 1)),
    ):  # fmt: skip
        assert expected in words, expected
    pictures = [axes for axes in page.axes if axes.images]
    assert len(pictures) == 10
    assert Image.open(io.BytesIO(render(page, "png"))).size == (1240, 1753)
    assert render(page, "pdf").startswith(b"%PDF")


def test_a_checkpoint_without_photographs_has_no_rounds(rounds, tmp_path):
    with pytest.raises(UserError, match="comes without its held-out photographs"):
        Rounds(rounds.cohort, HeldOutPhotographs(tmp_path)).cases(SETTINGS)
