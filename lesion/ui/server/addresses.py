"""The address at which phones find the app.

A page that was opened on the machine itself, at http://127.0.0.1:7860, says nothing of that address. One that was
opened from elsewhere, through a proxy or on a Space, was opened at it.
"""

import ipaddress
import os
import re
import socket
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psutil

from lesion.errors import UserError, shown

COMMAND = "python app.py --host 0.0.0.0"
ONLY_HERE = (
    f"Phones cannot open this page yet: the app answers this computer alone. Stop it and start it with “{COMMAND}”. "
    "Everybody in the same network can then open the page and use it, as you do; set LESION_LOGIN=user:password where "
    "only your class should."
)
NO_NETWORK = (
    "Phones cannot open this page yet: this computer is in no local network. Connect it to the network that the phones "
    "use, or open a hotspot on it, and open the class again."
)
UNREACHED = (
    "If phones do not get through, the network may keep devices apart, as many networks for guests do: use a hotspot, "
    "or start the app with --share."
)
HOST = re.compile(r"[\w.-]+|[\da-f:.]+", re.IGNORECASE)
LONGEST = 500
"""Characters of an address."""
EVERYWHERE = ("0.0.0.0", "::")
"""To listen on, all addresses of the machine. In the address of a page, the machine itself."""
VIRTUAL = re.compile(r"docker|br-|veth|virbr|vmnet|vbox|vEthernet|utun|tailscale", re.IGNORECASE)
"""Networks inside the machine, and those of other machines far away: no phone is in one."""
OUTSIDE = "203.0.113.1", 9
"""An address of nobody (RFC 5737). No packet goes there: the system is asked by which way one would."""


class Address(NamedTuple):
    """Where phones find the app.

    Attributes:
        url: without a slash at its end.
        reachable: whether phones can be expected to get there.
        note: what the teacher should know or do; may be empty.
    """

    url: str
    reachable: bool
    note: str


def for_phones(opened_at: object, listens_on: str, share_url: str | None = None) -> Address:
    """The address that a class's link and QR code name.

    Args:
        opened_at: the address of the teacher's page.
        listens_on: the app's host: a name, or a numerical address such as 127.0.0.1 or 0.0.0.0.
        share_url: where Gradio's servers make the app public, if they do.

    Raises:
        UserError: `opened_at` is no address of a page.
    """
    scheme, host, port, path = parse_address(opened_at)
    if space := os.environ.get("SPACE_HOST"):
        return Address(f"https://{space}", True, "")  # huggingface.co shows it in a frame, which has storage of its own
    if share_url:
        return Address(share_url.rstrip("/"), True, "")
    if not (is_loopback(host) or host in EVERYWHERE):
        return Address(write_address(scheme, host, port, path), True, "")
    if is_loopback(listens_on.strip("[]")):
        return Address(write_address(scheme, host, port, path), False, ONLY_HERE)
    ours = local_addresses()
    if not ours:
        return Address(write_address(scheme, host, port, path), False, NO_NETWORK)
    first, *others = [write_address(scheme, address, port, path) for address in ours]
    several = f" This computer has other addresses as well: {', '.join(others)}." if others else ""
    return Address(first, True, UNREACHED + several)


def parse_address(text: object) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and path of a page's address.

    Raises:
        UserError: it is none.
    """
    with suppress(ValueError):  # of urlsplit, for a bracket or a port that is none
        if isinstance(text, str) and len(text) <= LONGEST:
            parts = urlsplit(text)
            if parts.scheme in ("http", "https") and parts.hostname and HOST.fullmatch(parts.hostname):
                return parts.scheme, parts.hostname, parts.port, parts.path.rstrip("/")
    raise UserError(
        f"Address {shown(text)} is not accepted; give the one at which this page is open, such as http://127.0.0.1:7860."
    )


def write_address(scheme: str, host: str, port: int | None, path: str) -> str:
    """An address of these parts."""
    name = f"[{host}]" if ":" in host else host
    return urlunsplit((scheme, name if port is None else f"{name}:{port}", path, "", ""))


def is_loopback(host: str) -> bool:
    """Whether a host is the machine itself, as only the machine itself can call it."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def local_addresses() -> list[str]:
    """The machine's IPv4 addresses in local networks; the one by which it reaches others comes first."""
    status = psutil.net_if_stats()
    found = [
        entry.address
        for name, entries in psutil.net_if_addrs().items()
        if name in status and status[name].isup and not VIRTUAL.match(name)
        for entry in entries
        if entry.family == socket.AF_INET
    ]
    usable = [a for a in found if not (ipaddress.ip_address(a).is_loopback or ipaddress.ip_address(a).is_link_local)]
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # no way: there is no first one
        probe.connect(OUTSIDE)
        usable.sort(key=lambda address: address != probe.getsockname()[0])
    return usable
