"""Which addresses a Label Studio server may call: the public internet, and one of ours.

By itself it calls no private address at all, and so no webhook of ours. That list can only be
turned off as a whole; what takes its place must be no wider than it has to be.
"""

from __future__ import annotations

import ipaddress

HOST = "127.76.83.1"
"""Where the receiver listens unless it is told otherwise. On Linux all of 127.0.0.0/8 is this very
machine, so an address of its own lets the embedded server call us, and no other service here."""


def forbidden_subnets(host: str) -> list[str]:
    """Every subnet that is not the public internet, but for the one address `host`.

    What a Label Studio server must be forbidden to call, in LABEL_STUDIO_USER_ADDITIONAL_BANNED_
    SUBNETS, when its own list (LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS), which has `host` too, is
    turned off. From IANA's registries of special-purpose addresses (RFC 6890).
    """
    v4 = (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 "
        "192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 "
        "224.0.0.0/3"
    )
    v6 = "::/3 2001::/23 2001:db8::/32 2002::/16 4000::/2 8000::/1"  # 2000::/3 is the internet
    hole = ipaddress.IPv4Network(host)
    kept: list[ipaddress.IPv4Network] = []
    for subnet in map(ipaddress.IPv4Network, v4.split()):
        kept += subnet.address_exclude(hole) if hole.subnet_of(subnet) else [subnet]
    return [*map(str, kept), *v6.split()]
