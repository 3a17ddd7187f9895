"""Clients' addresses: what is read, which networks hold them, and how far proxies are believed."""

from __future__ import annotations

import ipaddress
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge._fast.http.address import Networks, client_behind, proxy_header

V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.one_of(st.integers(0, 2**128 - 1), st.integers(0, 2**33).map(lambda low: 0xffff << 32 | low)).map(IPv6Address)
ADDRESSES = st.one_of(V4, V6)
NETWORKS = st.one_of(
    st.tuples(V4, st.integers(0, 32)), st.tuples(V6, st.integers(0, 128)),
).map(lambda pair: ipaddress.ip_network(pair, strict=False))
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BAD, MORE = -1, 0
NOBODY = IPv6Address(0)


def plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """IPv4 behind an IPv6 socket is IPv4."""
    return getattr(address, "ipv4_mapped", None) or address


MAPPED = ipaddress.ip_network("::ffff:0:0/96")


@given(st.lists(NETWORKS, max_size=12), ADDRESSES)
@example([MAPPED], IPv4Address("203.0.113.7"))
@example([MAPPED, ipaddress.ip_network("::/0")], IPv4Address("203.0.113.7"))
def test_networks_hold_what_they_say(networks: list[ipaddress.IPv4Network], address: IPv4Address) -> None:
    """A list of networks holds an address where one of them does, by the standard library's reckoning."""
    def holds(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
        if network.version == 6 and network.subnet_of(MAPPED):
            return IPv6Address(int(plain(address)) | 0xffff << 32) in network if plain(address).version == 4 else False
        return plain(address) in network

    found = str(address) in Networks(map(str, networks))
    assert found == (address != NOBODY and any(map(holds, networks)))


@given(st.lists(NETWORKS, min_size=1, max_size=5))
@example([MAPPED])
def test_the_ends_of_a_network_are_in_it(networks: list[ipaddress.IPv4Network]) -> None:
    """The first and the last address of each network are in the list, in either form."""
    made = Networks(map(str, networks))
    for network in networks:
        wide = network.version == 6 and network != MAPPED and network.supernet_of(MAPPED)
        for end in (network.network_address, network.broadcast_address):
            assert end == NOBODY or wide or str(end) in made


@pytest.mark.parametrize("text", [
    "", " ", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:123456",
    "01.2.3.4", "1.2.3.4/8", "[::1", "::1]", "[::1]:", "[::1]x", "[1.2.3.4]", "fe80::1%eth0", "1::2::3", ":" * 40,
    "1" * 63, "1" * 64, "1.2.3.4\0", "::1\0", "1.2.3.4 5.6.7.8", '"1.2.3.4"', "0x7f.1", "2130706433",
])
def test_what_is_no_address(text: str) -> None:
    """Only what names one address in one way is read as one."""
    assert text not in Networks(["0.0.0.0/0", "::/0"])


@pytest.mark.parametrize("text", [
    "1.2.3.4", "1.2.3.4:80", "::1", "[::1]", "[::1]:443", "::ffff:1.2.3.4", "2001:DB8::A"])
def test_forms_of_addresses(text: str) -> None:
    """Proxies write addresses with and without a port, in brackets and without."""
    assert text in Networks(["0.0.0.0/0", "::/0"])


TRUSTED = Networks(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(("peer", "lines", "client"), [
    ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
    ("10.0.0.1", ["203.0.113.7:5555"], "203.0.113.7"),
    ("10.0.0.1", ["[2001:db8::7]:5555"], "2001:db8::7"),
    ("10.0.0.1", ["::ffff:203.0.113.7"], "203.0.113.7"),
    ("fd00::1", ["203.0.113.7"], "203.0.113.7"),
    ("10.0.0.1", ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
    ("10.0.0.1", ["6.6.6.6,203.0.113.7,10.1.1.1 ,\t10.2.2.2"], "203.0.113.7"),
    ("10.0.0.1", ["6.6.6.6", "203.0.113.7", "10.1.1.1"], "203.0.113.7"),
    ("10.0.0.1", ["10.3.3.3, 10.1.1.1"], "10.3.3.3"),
    ("203.0.113.9", ["6.6.6.6"], "203.0.113.9"),
    ("203.0.113.9", ["10.0.0.1"], "203.0.113.9"),
    ("10.0.0.1", ["unknown"], "10.0.0.1"),
    ("10.0.0.1", ["203.0.113.7, unknown"], "10.0.0.1"),
    ("10.0.0.1", ["203.0.113.7, , 10.1.1.1"], "10.1.1.1"),
    ("10.0.0.1", [""], "10.0.0.1"),
    ("10.0.0.1", [","], "10.0.0.1"),
    ("10.0.0.1", ["203.0.113.7,"], "10.0.0.1"),
    ("10.0.0.1", ["garbage, 203.0.113.7"], "203.0.113.7"),
    ("10.0.0.1", ["203.0.113.7, " + ", ".join(["10.1.1.1"] * 31)], "203.0.113.7"),
    ("10.0.0.1", ["203.0.113.7, " + ", ".join(["10.1.1.1"] * 32)], "10.1.1.1"),
])
def test_who_stands_behind_proxies(peer: str, lines: list[str], client: str) -> None:
    """X-Forwarded-For counts from the right, as far as those who wrote it are trusted, over all its lines."""
    written = "".join(f"X-Forwarded-For: {line}\r\n" for line in lines)
    head = f"GET / HTTP/1.1\r\nHost: x\r\n{written}\r\n".encode()
    assert client_behind(peer, head, TRUSTED) == client


def test_other_names_tell_nothing() -> None:
    """Only X-Forwarded-For itself is read: no other spelling, no other field."""
    fields = b"".join(b"%b: 203.0.113.7\r\n" % name for name in (
        b"X_Forwarded_For", b"Forwarded", b"X-Real-IP", b"X-Forwarded-For-Ip", b"True-Client-IP", b"CF-Connecting-IP"))
    assert client_behind("10.0.0.1", b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n" % fields, TRUSTED) == "10.0.0.1"


def second_version(source: IPv4Address | IPv6Address, extra: bytes = b"", command: int = 0x21) -> bytes:
    """A binary PROXY header."""
    family = 0x11 if source.version == 4 else 0x21
    body = source.packed + source.packed + struct.pack(">HH", 1, 2) + extra
    return SIGNATURE + struct.pack(">BBH", command, family, len(body)) + body


def first_version(source: IPv4Address | IPv6Address) -> bytes:
    """One in text."""
    return f"PROXY TCP{source.version} {source} {source} 65535 443\r\n".encode()


@given(ADDRESSES, st.binary(max_size=40), st.binary(max_size=40), st.data())
def test_proxy_headers(source: IPv4Address, extra: bytes, behind: bytes, data: st.DataObject) -> None:
    """Both versions are read to their end and no further; while a byte is missing more is asked for."""
    for header in (second_version(source, extra), first_version(source)):
        shown = None if source == NOBODY else str(plain(source))
        assert proxy_header(header + behind) == (len(header), shown)
        cut = data.draw(st.integers(0, len(header) - 1))
        assert proxy_header(header[:cut]) == (MORE, None)


@pytest.mark.parametrize("header", [
    b"GET / HTTP/1.1\r\n", b"PROXYTCP4 ", b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    b"PROXY TCP4 1.2.3.4  1 2\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", b"PROXY TCP4 ::1 ::1 1 2\r\n",
    b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", b"PROXY TCP4 1.2.3.4:5 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 x 2\r\n",
    b"PROXY TCP6 [::1] [::1] 1 2\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", b"PROXY UNKNOWNX\r\n", b"PROXY \r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 123456\r\n", b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    SIGNATURE + b"\x31\x11\0\x0c" + bytes(12), SIGNATURE + b"\x22\x11\0\x0c" + bytes(12),
    SIGNATURE + b"\x21\x11\0\x0b" + bytes(11), SIGNATURE + b"\x21\x21\0\x23" + bytes(35),
    SIGNATURE + b"\x21\x11\xff\xff",
    b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c" + bytes(12),
])
def test_what_is_no_proxy_header(header: bytes) -> None:
    """Anything else is refused, and at the first byte that shows it."""
    assert proxy_header(header)[0] == BAD


@pytest.mark.parametrize("header", [
    b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
    second_version(IPv4Address("1.2.3.4"), command=0x20),
    SIGNATURE + b"\x21\x00\0\0", SIGNATURE + b"\x21\x31\0\xd8" + bytes(216), SIGNATURE + b"\x20\x00\0\x03abc",
])
def test_a_proxy_that_names_nobody(header: bytes) -> None:
    """A proxy's own check, and a client without an IP address: the connection is the proxy's."""
    assert proxy_header(header + b"GET") == (len(header), None)


@given(st.binary(max_size=120), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
def test_no_bytes_break_it(data: bytes, begin: bytes) -> None:
    """Whatever comes, no more is taken than has come."""
    size, _ = proxy_header(begin + data)
    assert size in (BAD, MORE) or 0 < size <= len(begin + data)


def test_networks_are_checked() -> None:
    """What is no network is an error, not an empty list."""
    with pytest.raises(ValueError, match="does not appear"):
        Networks(["10.0.0.0/8", "localhost"])
