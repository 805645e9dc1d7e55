"""IP and MAC addresses in one spelling each, so that equal ones are found."""

import ipaddress

KINDS = ("ip", "mac")


def address_key(kind: str, text: str) -> str:
    """Return `text` as it is compared: IPv6 in its short form, MACs with colons, lower case.

    What is no whole address, such as a pattern, is only changed in its letters and separators.
    """
    text = text.strip().lower()
    if kind == "mac":
        return text.replace("-", ":")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text
