"""The body map's markup."""

import re
from xml.etree import ElementTree

import pytest

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.data.metadata import SITES
from lesion.ui.html.body_map import body_map
from lesion.words import percent

VALUES = {site: 0.01 * (2 + i) for i, site in enumerate((*SITES, None))}
SVG = "{http://www.w3.org/2000/svg}"


def drawn(values=VALUES, code="mel", selected=None) -> tuple[dict, dict, dict]:
    """Elements by `data-site` of the front, the back and the chips."""
    markup = body_map(values, code, selected).replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ')
    root = ElementTree.fromstring(markup)
    front, back = root.iter(f"{SVG}svg")
    return tuple(
        {e.get("data-site"): e for e in part.iter() if e.get("data-site")}
        for part in (front, back, root.find("div[@class='chips']"))
    )


def fill(region) -> str:
    return region.find(f"{SVG}g[@class='shape']").get("fill")


def brightness(colour: str) -> int:
    return sum(bytes.fromhex(colour[1:]))


def test_every_site_is_where_it_should_be():
    front, back, chips = drawn()
    both = {"scalp", "ear", "neck", "upper extremity", "hand", "lower extremity", "foot"}
    assert set(front) == both | {"face", "chest", "abdomen", "genital"}
    assert set(back) == both | {"back"}
    assert set(chips) == {"trunk", "acral", "unknown"}
    assert {*front, *back, *chips} == {*SITES, "unknown"}


@pytest.mark.parametrize("selected", ["hand", "back", "trunk", None])
def test_the_selected_site_alone_is_pressed(selected):
    for part in drawn(selected=selected):
        for site, element in part.items():
            assert element.get("aria-pressed") == ("true" if site == (selected or "unknown") else "false"), site


def test_the_selected_outline_is_painted_over_every_region():
    markup = body_map(VALUES, "mel", "hand")
    assert markup.count('<g class="outline chosen"') == 2, "front and back"
    for figure in re.findall("<svg.*?</svg>", markup):
        assert figure.rindex("data-site") < figure.index("chosen")
    assert "chosen" not in body_map(VALUES, "mel", "trunk") + body_map(VALUES, "mel", None)


def test_labels_show_the_percent():
    front, back, chips = drawn(VALUES | {"ear": 0.0004, None: 0.0})
    for part in (front, back):
        for site, region in part.items():
            if site != "ear":
                assert region.get("aria-label") == region.findtext(f"{SVG}title") == f"{site}: {percent(VALUES[site])}"
                assert region.findtext(f"{SVG}text[@class='value']") == percent(VALUES[site])
                names = [e.text for e in region.findall(f"{SVG}text[@class='name']")]
                assert sorted(names) == sorted(site.split())
    assert front["ear"].get("aria-label") == "ear: less than 0.1 %"
    assert front["ear"].findtext(f"{SVG}text[@class='value']") == "<0.1 %"
    assert ["".join(e.itertext()) for e in chips.values()] == ["trunk 14 %", "acral 3 %", "unknown <0.1 %"]


@pytest.mark.parametrize("code", CODES)
def test_more_probable_is_darker_up_to_the_diagnosis_colour(code):
    front, back, _ = drawn(code=code)
    regions = front | back
    ranked = sorted(regions, key=VALUES.get)
    shades = [brightness(fill(regions[site])) for site in ranked]
    assert shades == sorted(set(shades), reverse=True)
    alone, _, _ = drawn(VALUES | {"face": 0.5}, code)
    assert fill(alone["face"]).lower() == BY_CODE[code].colour.lower()


def test_a_rare_diagnosis_stays_pale_and_the_legend_says_the_scale():
    front, _, _ = drawn(dict.fromkeys(VALUES, 0.001), "nv")
    assert brightness(fill(front["face"])) > 3 * 225
    assert "<span>10 %</span>" in body_map(dict.fromkeys(VALUES, 0.0), "nv", None)
    assert re.search(r"0 %</span>.*<span>47 %</span>", body_map(VALUES | {"face": 0.47}, "nv", None))
