"""Where phones find the app, for every way of putting it up."""

import pytest

from conftest import check_sentence
from hostile_values import VALUES
from lesion.errors import UserError
from lesion.ui.server import addresses
from lesion.ui.server.addresses import NO_NETWORK, ONLY_HERE, for_phones


@pytest.fixture(autouse=True)
def ours(monkeypatch) -> list[str]:
    """The machine's addresses, and no Space."""
    found = ["192.168.1.5"]
    monkeypatch.setattr(addresses, "local_addresses", lambda: found)
    monkeypatch.delenv("SPACE_HOST", raising=False)
    return found


@pytest.mark.parametrize(
    "opened_at", ["http://127.0.0.1:7860/", "http://localhost:7860", "http://0.0.0.0:7860/?tab=class"]
)
def test_a_page_opened_on_the_machine_itself(opened_at):
    assert for_phones(opened_at, "0.0.0.0").url == "http://192.168.1.5:7860"
    assert for_phones(opened_at, "0.0.0.0").reachable
    alone = for_phones(opened_at, "127.0.0.1")
    assert not alone.reachable and alone.note == ONLY_HERE and "python app.py --host 0.0.0.0" in alone.note
    check_sentence(alone.note, opened_at)


def test_a_machine_without_a_network_and_one_with_several(ours):
    ours.append("10.0.0.7")
    assert "http://10.0.0.7:7860" in for_phones("http://127.0.0.1:7860", "::").note
    ours.clear()
    alone = for_phones("http://127.0.0.1:7860", "0.0.0.0")
    assert not alone.reachable and alone.note == NO_NETWORK


@pytest.mark.parametrize(
    "opened_at, url",
    [
        ("https://example.org/skin/lesions/?tab=class#x", "https://example.org/skin/lesions"),
        ("http://192.168.7.7:7860/", "http://192.168.7.7:7860"),
        ("http://[fd00::5]:7860/", "http://[fd00::5]:7860"),
        ("https://user-name.hf.space/", "https://user-name.hf.space"),
    ],
)
def test_a_page_opened_from_elsewhere_was_opened_at_the_right_address(opened_at, url):
    assert for_phones(opened_at, "127.0.0.1") == (url, True, "")


def test_a_space_and_a_shared_app(monkeypatch):
    assert for_phones("http://127.0.0.1:7860", "127.0.0.1", "https://x.gradio.live/").url == "https://x.gradio.live"
    monkeypatch.setenv("SPACE_HOST", "user-name.hf.space")
    assert for_phones("https://huggingface.co/spaces/user/name", "0.0.0.0").url == "https://user-name.hf.space"


@pytest.mark.parametrize(
    "value", [*VALUES.values(), "javascript:alert(1)", "http://a b/", "http://[", "http://x:99999999"]
)
def test_what_is_no_address_is_a_sentence(value):
    with pytest.raises(UserError) as error:
        for_phones(value, "0.0.0.0")
    check_sentence(str(error.value), repr(value)[:50])


def test_the_machines_own_addresses_can_be_bound(monkeypatch):
    import socket

    monkeypatch.undo()
    for address in addresses.local_addresses():
        socket.create_server((address, 0)).close()
        assert not addresses.is_loopback(address)
