"""The number of a request: in the answer that refuses it, and in the log."""

import logging
import re
from dataclasses import replace

import pytest

from deploy_server.web.app import create_app
from tests.support.console import BASE, Browser, Console

NUMBER = re.compile(r"[0-9a-f]{8}-[0-9]+\Z")


def test_every_refusal_names_its_request(console: Console) -> None:
    client = console.app.test_client()
    numbers = [
        client.get(path, base_url=BASE).headers["X-Request-Id"]
        for path in ("/nothing", "/download/1/info", "/ocsinventory")
    ]
    assert all(map(NUMBER.match, numbers))
    assert len(set(numbers)) == 3
    assert "X-Request-Id" not in client.get("/healthz", base_url=BASE).headers


def test_a_page_says_where_it_is_in_the_log(admin: Browser) -> None:
    answer = admin.get("/packages/1")
    assert answer.headers["X-Request-Id"] in answer.text


def test_a_mistake_is_found_in_the_log_by_its_number(
    console: Console, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from deploy_server.serving.logs import TextLines

    def fail(**_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setitem(console.app.view_functions, "healthz", fail)
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(TextLines().format(record))  # type: ignore[method-assign]
    logging.getLogger("deploy_server").addHandler(handler)
    try:
        answer = console.app.test_client().get("/healthz", base_url=BASE)
    finally:
        logging.getLogger("deploy_server").removeHandler(handler)
    number = answer.headers["X-Request-Id"]
    assert answer.status_code == 500
    assert f"Request {number}." in answer.text
    assert any(f"[{number}]" in line and "a mistake of ours" in line for line in lines)


def test_only_a_trusted_proxy_gives_numbers(console: Console) -> None:
    headers = {"X-Request-Id": "a-proxy-s-own-number"}
    answer = console.app.test_client().get("/nothing", base_url=BASE, headers=headers)
    assert answer.headers["X-Request-Id"] != headers["X-Request-Id"]


def test_a_trusted_proxy_that_names_nobody_is_not_who_asks(console: Console) -> None:
    client = create_app(replace(console.config, trusted_proxies=("127.0.0.1",))).test_client()

    def measure(**headers: str) -> int:
        return client.get("/metrics", base_url=BASE, headers=headers).status_code

    assert measure() == 200  # this machine
    assert measure(Via="1.1 proxy") == 403
    assert measure(**{"X-Real-IP": "198.51.100.7"}) == 403
    assert measure(**{"X-Real-IP": "127.0.0.1", "X-Forwarded-For": "127.0.0.1"}) == 200
