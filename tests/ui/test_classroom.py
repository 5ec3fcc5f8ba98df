"""The classroom on the bundled checkpoint: every endpoint against Python, a class of students at once, a browser."""

import re
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from conftest import BUNDLED, EXAMPLES, SCREENSHOTS, expect, pick
from lesion.data.diagnoses import CODES
from lesion.data.metadata import INPUTS, SITES, Metadata
from lesion.data.reading import read_image
from lesion.inference.predictor import load_predictor
from lesion.teaching.cases import Cell, behind
from lesion.teaching.cohort import Cohort, Subgroup
from lesion.teaching.decision import decide, decision_in_words
from lesion.teaching.influence import CHANGING, Influence, parse_prevalence
from lesion.teaching.lab import Lab, LabSettings
from lesion.teaching.similar import SimilarCases

NAMES = ("ISIC_0024329", "ISIC_0024317", "ISIC_0024333")
RECORD = ("75", "female", "face")
DATASET = ("dataset", 2)
ENDPOINTS = (
    "/predict", "/three_answers", "/shapley", "/age_curve", "/body_map", "/smallest_change", "/alarm", "/sweep",
    "/handout", "/lesson", "/cohort", "/importance", "/train_head", "/compare_heads", "/model_report",
    "/similar_cases", "/confusion_cell", "/choose_case", "/round_stage", "/round_truth", "/round_result", "/round_file",
    "/open_class",
)  # fmt: skip
ANYONE = ("any",) * 5


@pytest.fixture(scope="module")
def server(bundled_app):
    """The address of a running app on the bundled checkpoint."""
    return bundled_app.url


@pytest.fixture(scope="module")
def client(server):
    return Client(server, verbose=False)


@pytest.fixture(scope="module")
def predictor():
    return load_predictor(BUNDLED)


@pytest.fixture(scope="module")
def features(predictor):
    return {name: predictor.features(read_image(path(name))) for name in NAMES}


def path(name: str) -> Path:
    return EXAMPLES / f"{name}.jpg"


def ask(client: Client, endpoint: str, *values: object, name: str = NAMES[0], record: tuple = RECORD) -> object:
    """Calls an endpoint about a photograph and a record."""
    return client.predict(handle_file(str(path(name))), *record, *values, api_name=endpoint)


def test_every_view_has_an_endpoint_with_words(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == set(ENDPOINTS)
    for described in endpoints.values():
        assert len(described["description"]) > 60
        for parameter in described["parameters"]:
            assert parameter["label"] and not parameter["parameter_name"].startswith("param_")


@pytest.mark.parametrize("prevalence", [DATASET, ("uniform", 2), ("own", 0.5)])
def test_influence_over_http_is_pythons(client, predictor, features, prevalence):
    own = parse_prevalence(*prevalence, predictor.config.calibration.prevalence)
    influence = Influence(predictor, features[NAMES[0]], Metadata(*RECORD), own)
    answers = ask(client, "/three_answers", *prevalence)
    for view, expected in influence.three_answers.items():
        assert answers[view] == pytest.approx(expected, abs=1e-5)
    assert "age 75, female, face" in answers["in words"]

    shapley = ask(client, "/shapley", "akiec", *prevalence, "log-odds")
    expected = influence.shapley("akiec", "log-odds")
    assert shapley["contributions"] == pytest.approx(expected.contributions, abs=1e-5)
    assert shapley["start"] + sum(shapley["contributions"].values()) == pytest.approx(shapley["end"], abs=1e-6)

    curve = ask(client, "/age_curve", *prevalence)
    assert curve["ages"] == list(range(0, 90, 5))
    np.testing.assert_allclose(np.transpose([curve["probabilities"][c] for c in CODES]), influence.age_curve, atol=1e-5)
    assert len(curve["switches"]) == len(influence.switches) == len(curve["in words"])

    sites = ask(client, "/body_map", "mel", *prevalence)["probabilities"]
    table = influence.by_site_and_sex("mel")
    assert set(sites) == {"unknown", *SITES}
    assert sites["scalp"]["male"] == pytest.approx(table.loc["scalp", "male"], abs=1e-5)

    for changing in CHANGING:
        answered, expected = (
            ask(client, "/smallest_change", *prevalence, changing),
            influence.smallest_changes(changing),
        )
        assert len(answered["changes"]) == len(expected)
        for change, found in zip(answered["changes"], expected, strict=True):
            assert (change["age"], change["sex"], change["site"]) == tuple(vars(found.metadata).values())
            assert change["diagnosis"] == found.diagnosis and change["changed"] == list(found.changed)
        if expected:
            assert answered["changes"][0].items() <= answered.items()
        else:
            assert "No other" in answered["in words"]


def test_similar_cases_over_http_are_pythons(client, predictor, features):
    similar = SimilarCases(Cohort(predictor))
    answered = predictor.predict(features[NAMES[0]], Metadata(*RECORD)).diagnosis
    for among in ("any", "another", "df"):
        answer = ask(client, "/similar_cases", among)
        found = similar.among(features[NAMES[0]].embedding, NAMES[0], among, answered)
        assert (answer["held-out photograph"], answer["answer"]) == (NAMES[0], answered)
        assert [case["image_id"] for case in answer["cases"]] == list(found.image_id)
        assert [case["similarity"] for case in answer["cases"]] == pytest.approx(list(found.similarity), abs=1e-5)
        assert answered not in {case["diagnosis"] for case in answer["cases"]} or among == "any"


def test_downloads(client, predictor, features):
    table = pd.read_csv(ask(client, "/sweep", *DATASET))
    influence = Influence(predictor, features[NAMES[0]], Metadata(*RECORD))
    assert len(table) == 19 * 3 * 15
    np.testing.assert_allclose(table[[c.upper() for c in CODES]], influence.sweep.reshape(-1, 7), atol=1e-5)
    for kind, start in (("pdf", b"%PDF"), ("png", b"\x89PNG")):
        assert Path(ask(client, "/handout", "mel", *DATASET, kind)).read_bytes().startswith(start)


def test_alarm_and_cohort_over_http_are_pythons(client, predictor):
    cohort = Cohort(predictor)
    alarm = cohort.alarm(0.2)
    answer = client.predict(*DATASET, 20, api_name="/alarm")
    decision = decide(cohort, 0.2)
    assert answer["net benefit"] == pytest.approx(decision.alarm, abs=1e-6)
    assert answer["net benefit of removing every lesion"] == pytest.approx(decision.everyone, abs=1e-6)
    assert answer["in words"] == decision_in_words(decision)
    assert answer["sensitivity"] == pytest.approx(alarm.sensitivity)
    assert answer["specificity interval"] == pytest.approx(list(alarm.specificity_interval))
    assert answer["melanomas among the alarms"] == pytest.approx(alarm.positive_predictive_value)

    compared = cohort.compare(["image", "site"], ["site"], Subgroup(sex="male"), "uniform")
    answer = client.predict(
        ["image", "site"], ["site"], "male", *("any",) * 4, "uniform", api_name="/cohort"
    )  # fmt: skip
    assert answer["images"] == compared.images and answer["lesions"] == compared.lesions
    for name, difference in compared.differences.items():
        assert answer["differences"][name]["difference"] == pytest.approx(difference.difference)
        assert answer["differences"][name]["interval"] == pytest.approx(list(difference.interval))
    assert answer["confusion matrices"]["chosen"] == compared.confusions["chosen"].tolist()
    cases = answer["right with everything only"]
    assert [case["image_id"] for case in cases] == list(compared.rescued.image_id)

    importance = client.predict(*ANYONE, "dataset", api_name="/importance")
    assert importance["image"]["log-loss"]["value"] > importance["sex"]["log-loss"]["value"]
    assert set(importance) == set(INPUTS)


def test_cells_and_choices_over_http_are_pythons(client, predictor):
    cohort = Cohort(predictor)
    compared = cohort.compare(["image"], subgroup=Subgroup(sex="male"), rule="uniform")
    for model in ("full", "chosen"):
        answer = client.predict(
            ["image"], [], "male", *("any",) * 4, "uniform", model, "mel", "bkl", api_name="/confusion_cell"
        )  # fmt: skip
        cell = Cell(model, "mel", "bkl", ["image"], subgroup=Subgroup(sex="male"), rule="uniform")
        expected = behind(cohort, cell)
        counted = compared.confusions[model][CODES.index("mel"), CODES.index("bkl")]
        assert answer["photographs"] == len(expected) == counted
        assert [case["image_id"] for case in answer["cases"]] == list(expected.image_id)
        assert [c["probability"] for c in answer["cases"]] == pytest.approx(list(expected.probability), abs=1e-6)

    answer = client.predict("mel", "any", "female", "any", "wrong", "any", api_name="/choose_case")
    wrong = cohort.full.argmax(1) != CODES.index("mel")
    expected = cohort.table[(cohort.table.label == CODES.index("mel")) & (cohort.table.sex == "female") & wrong]
    assert answer["image ids"] == list(expected.image_id) and answer["photographs"] == len(expected)
    assert answer["lesions"] == expected.lesion_id.nunique()
    one = answer["one of them"]
    assert one["image_id"] in answer["image ids"] and one["diagnosis"] == "mel" != one["answer"]
    assert one["probability"] == pytest.approx(cohort.full[cohort.row_of[one["image_id"]]].max(), abs=1e-6)
    nobody = client.predict("df", "under 30", "male", "ear", "any", "any", api_name="/choose_case")
    assert nobody == {"photographs": 0, "lesions": 0, "image ids": [], "one of them": None}


def test_the_lab_over_http_is_pythons(client, predictor):
    lab = Lab(predictor.checkpoint.held_out(), predictor.config.encoder)
    settings = [list(INPUTS), "balanced", 2, 0.001, 1]
    job = client.submit(*settings, api_name="/train_head")
    answers = list(job)
    assert [len(answer["history"]) for answer in answers] == [1, 2, 2]
    run = lab.result(LabSettings(*settings))
    assert answers[-1]["confusion_matrix"] == run.confusion.tolist()
    assert answers[-1]["balanced_accuracy"] == pytest.approx(run.history[-1].balanced_accuracy)

    other = [["age", "site"], "none", 2, 0.001, 1]
    compared = client.predict(*settings, *other, api_name="/compare_heads")
    expected = lab.compare(LabSettings(*settings), LabSettings(*other))
    for name, difference in expected.items():
        assert compared[name]["difference"] == pytest.approx(difference.difference)
        assert compared[name]["interval"] == pytest.approx(list(difference.interval))


def test_lessons_over_http(client):
    answer = client.predict("ruined", api_name="/lesson")
    assert answer["correct"] in answer["options"] and answer["answers"]["image alone"]["mel"] > 0
    assert "melanoma" in answer["text"] and answer["moral"]


@pytest.mark.parametrize(
    "endpoint, values, words",
    [
        ("/shapley", ("wart", *DATASET, "probability"), "choose most probable, mel"),
        ("/shapley", ("mel", *DATASET, "odds"), "probability or log-odds"),
        ("/three_answers", ("rare", 2), "choose dataset, uniform, own"),
        ("/three_answers", ("own", 400), "from 0.01 to 99 %"),
        ("/smallest_change", (*DATASET, "colour"), "choose any field, age, sex, site"),
        ("/handout", ("mel", *DATASET, "docx"), "pdf or png"),
        ("/similar_cases", ("wart",), "choose any, another, mel"),
    ],
)
def test_wrong_values_are_refused_in_a_sentence(client, endpoint, values, words):
    with pytest.raises(AppError, match=words):
        ask(client, endpoint, *values)


@pytest.mark.parametrize(
    "endpoint, values, words",
    [
        ("/three_answers", (None, *RECORD, *DATASET), "photograph first"),
        ("/alarm", (*DATASET, "often"), "from 0 to 100 %"),
        ("/cohort", (["photo"], [], *ANYONE, "dataset"), "image, age, sex, site"),
        ("/cohort", (["image"], [], "any", "any", "any", "df", "best", "dataset"), "Part 'best'"),
        ("/importance", (*ANYONE, "best"), "dataset or uniform"),
        ("/confusion_cell", (["image"], [], *ANYONE, "dataset", "best", "mel", "nv"), "full or chosen"),
        ("/choose_case", ("wart", *ANYONE), "Diagnosis 'wart'"),
        ("/choose_case", ("mel", "any", "any", "any", "any", "quite"), "80 % or more"),
        ("/train_head", (["age"], "balanced", 1000, 0.001, 0), "from 1 to 60"),
        ("/train_head", ([], "balanced", 2, 0.001, 0), "at least one"),
        ("/lesson", ("chemistry",), "choose no-photograph"),
    ],
)
def test_wrong_choices_are_refused_in_a_sentence(client, endpoint, values, words):
    with pytest.raises(AppError, match=words):
        client.predict(*values, api_name=endpoint)


def test_students_at_once_get_their_own_answers(server, predictor, features, tmp_path):
    """Some upload, some sweep, some train; each compares with what Python answers alone."""
    lab = Lab(predictor.checkpoint.held_out(), predictor.config.encoder)
    seeds = (5, 6)
    expected_runs = {seed: lab.result(LabSettings(INPUTS, "none", 2, 0.001, seed)) for seed in seeds}
    records = [(str(a), s, site) for a, s, site in product((20, 45, 70), ("female", "male"), ("face", "back", "foot"))]

    def sweeps(number: int) -> None:
        client, name = Client(server, verbose=False), NAMES[number % len(NAMES)]
        for record in islice(cycle(records), number, number + 8):
            answer = ask(client, "/three_answers", *DATASET, name=name, record=record)
            expected = Influence(predictor, features[name], Metadata(*record)).three_answers
            assert answer["both"] == pytest.approx(expected["both"], abs=1e-5)

    def uploads(number: int) -> None:
        client = Client(server, verbose=False)
        for name in islice(cycle(NAMES), number, number + 3):
            new = tmp_path / f"{number}-{name}.jpg"  # bytes after the end make another file of the same photograph
            new.write_bytes(path(name).read_bytes() + bytes([number]))
            arguments = (handle_file(str(new)), *RECORD, "most probable")
            probabilities, _, _ = client.predict(*arguments, api_name="/predict")
            expected = predictor.predict(features[name], Metadata(*RECORD)).probabilities
            assert probabilities == pytest.approx(expected, abs=1e-5)

    def trains(number: int) -> None:
        client, seed = Client(server, verbose=False), seeds[number % len(seeds)]
        answer = client.predict(list(INPUTS), "none", 2, 0.001, seed, api_name="/train_head")
        assert answer["confusion_matrix"] == expected_runs[seed].confusion.tolist()

    with ThreadPoolExecutor(20) as pool:
        jobs = [pool.submit(sweeps, n) for n in range(12)]
        jobs += [pool.submit(uploads, n) for n in range(5)] + [pool.submit(trains, n) for n in range(3)]
        for job in jobs:
            job.result()


@pytest.fixture
def page(server, browser):
    """A page on the app, with the first example chosen; it must see no error and ask no other host."""
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    errors = []
    page.on("request", lambda r: errors.append(r.url) if not r.url.startswith((server, "data:", "blob:")) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server)
    page.locator("#examples button").first.click()
    expect(page.locator("#answer li")).to_have_count(7, timeout=30_000)
    yield page
    assert not errors
    page.close()


def test_two_quick_clicks_end_with_the_second(page, server):
    """Two examples that nobody has opened yet: what stands beside the second photograph is its own answer."""
    page.locator("#examples button").nth(4).click()
    page.locator("#examples button").nth(6).click()
    second = page.locator("#answer .truth", has_text="Basal cell carcinoma")
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("ISIC_0024403"))
    expect(second).to_have_count(1)
    page.wait_for_timeout(1500)  # for what should not come any more
    last = page.locator("#answer").inner_html()
    page.locator("#examples button").nth(2).click()
    expect(page.locator("#age input")).to_have_value("50")
    expect(second).to_have_count(0)
    page.locator("#examples button").nth(6).click()
    expect(page.locator("#age input")).to_have_value("65")
    expect(second).to_have_count(1)
    page.wait_for_timeout(1000)
    assert page.locator("#answer").inner_html() == last


def open_tab(page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def test_a_click_counts_while_the_one_before_is_under_way(page):
    """The server is far away: every request takes half a second longer."""
    slow = {"offline": False, "latency": 500, "downloadThroughput": -1, "uploadThroughput": -1}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    page.locator("#examples button").nth(4).click()
    page.wait_for_timeout(150)
    page.locator("#examples button").nth(6).click()
    expect(page.locator("#answer .truth")).to_contain_text("Basal cell carcinoma")
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("ISIC_0024403"))
    open_tab(page, "Metadata influence")
    for site in ("face", "scalp"):
        page.locator(f"#body-map [data-site={site}] text").first.click()
        page.wait_for_timeout(150)
    expect(page.locator("#site input")).to_have_value("scalp")
    expect(page.locator("#largest-change")).to_contain_text("scalp")
    open_tab(page, "Lessons")
    for title in ("A case that metadata rescues", "A case that metadata ruins"):
        pick(page, "lesson", title)
        page.wait_for_timeout(150)
    expect(page.locator("#story h2")).to_have_text("A case that metadata ruins")


def test_an_answer_to_another_question_is_asked_for_again(page):
    """As where two answers come in the wrong order: what was answered is made to differ."""
    page.locator("#examples button").nth(4).click()
    expect(page.locator("#answer .truth")).to_be_attached()
    pick(page, "site", "scalp")
    expect(page.locator("#change")).to_contain_text("scalp")
    page.evaluate("document.activeElement.blur()")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/queue/join" in request.url else None)
    page.wait_for_timeout(3000)
    assert not asked, "what stands beside its own choices is not asked for again"
    page.evaluate("document.querySelector('#answered').innerHTML = document.querySelector('#answered').innerHTML"
                  ".replace('scalp', 'neck')")  # fmt: skip
    page.wait_for_timeout(6000)
    assert len(asked) == 1, "once more, and then no more"


def test_influence_in_the_browser(page, predictor):
    open_tab(page, "Metadata influence")
    expect(page.locator("#three-answers")).to_contain_text("metadata alone")
    page.locator("#body-map [data-site=scalp] text").first.click()
    expect(page.locator("#site input")).to_have_value("scalp")
    expect(page.locator("#body-map [data-site=scalp]").first).to_have_attribute("aria-pressed", "true")
    page.locator('#age-curve [data-age="30"]').click()
    expect(page.locator("#age input")).to_have_value("30")
    expect(page.locator("#largest-change")).to_contain_text("Knowing age 30, male, scalp")
    photograph = read_image(EXAMPLES / "ISIC_0024333.jpg")
    both = predictor.predict(photograph, Metadata(30, "male", "scalp")).probabilities
    expect(page.locator("#three-answers")).to_contain_text(f"{max(both.values()):.0%}".replace("%", " %"))
    before = page.locator("#waterfall").inner_html()
    page.get_by_label("log-odds").click()
    expect(page.locator("#waterfall")).to_contain_text("log-odds")
    assert page.locator("#waterfall").inner_html() != before
    alarm = page.locator("#alarm").inner_text()
    page.get_by_label("my own share of melanomas").click()
    expect(page.locator("#alarm")).to_contain_text("Melanoma 2 %")
    assert page.locator("#alarm").inner_text() != alarm
    for button, name in (("#get-csv", "sweep.csv"), ("#get-pdf", "handout.pdf"), ("#get-png", "handout.png")):
        with page.expect_download() as download:
            page.click(button)
        assert download.value.suggested_filename == name
    assert page.evaluate("document.documentElement.scrollWidth") <= 1366
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "influence.png", full_page=True)


def test_a_lesson_sets_the_controls_of_another_tab(page):
    photograph = page.locator("#photo img").get_attribute("src")
    open_tab(page, "Lessons")
    pick(page, "lesson", "A rare disease, and what a positive answer means")
    expect(page.locator("#setup-1")).to_contain_text("1,000")
    page.click("#setup-0")
    expect(page.locator("#threshold input").first).not_to_have_value("20", timeout=20_000)
    expect(page.locator("#alarm dd").first).not_to_contain_text("75 %", timeout=20_000)
    common = page.locator("#alarm dd").all_inner_texts()
    open_tab(page, "Lessons")
    page.click("#setup-1")
    expect(page.locator("#alarm")).to_contain_text("Melanoma 0.1 %", timeout=20_000)
    rare = page.locator("#alarm dd").all_inner_texts()
    assert rare[:2] == common[:2] and rare[2:] != common[2:], "the same alarm; what it means is another matter"
    expect(page.locator("#alarm-here table")).to_contain_text("0.1 %")
    assert page.locator("#photo img").get_attribute("src") == photograph and page.input_value("#age input") == "85"
    pick(page, "age", "30")
    expect(page.locator("#largest-change")).to_contain_text("Knowing age 30", timeout=20_000)


def test_the_cohort_in_the_browser(page):
    open_tab(page, "Cohort")
    expect(page.locator("#cohort-summary")).to_contain_text("3,005 photographs", timeout=30_000)
    expect(page.locator("#inputs")).not_to_be_visible()
    expect(page.locator("#importances")).to_contain_text("log-loss", timeout=30_000)
    pick(page, "only-diagnosis", "Dermatofibroma")
    expect(page.locator("#cohort-summary")).to_contain_text("too few to judge", timeout=30_000)
    case = page.locator("#rescued button").first
    image_id = case.get_attribute("data-image")
    case.click()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile(image_id), timeout=20_000)
    expect(page.locator("#answer")).to_be_visible()
    page.locator("#answer .truth summary").click()
    expect(page.locator("#answer .truth")).to_contain_text("Dermatofibroma")


def test_the_lab_in_the_browser(page):
    open_tab(page, "Training lab")
    page.locator("#lab-epochs input[type=number]").fill("3")
    page.locator("#lab-epochs input[type=number]").press("Enter")
    page.click("#train-a")
    expect(page.locator("#lab-results table")).to_have_count(1, timeout=60_000)
    page.locator("#lab-weighting").get_by_label("none", exact=True).click()
    page.click("#train-b")
    expect(page.locator("#lab-results")).to_contain_text("run B (%)", timeout=60_000)
    expect(page.locator("#lab-results .confusion")).to_have_count(2)
    expect(page.locator("#lab-curves")).to_contain_text("B: balanced accuracy")
    page.locator("#lab-epochs input[type=number]").fill("60")
    page.locator("#lab-epochs input[type=number]").press("Enter")
    page.click("#train-b")
    expect(page.locator("#lab-curves").locator("xpath=..")).to_contain_text("Run B: epoch", timeout=30_000)
    page.click("#stop")
    expect(page.locator("#lab-curves").locator("xpath=..")).to_contain_text("Stopped", timeout=30_000)
    expect(page.locator("#lab-results")).to_contain_text("run B (%)")
