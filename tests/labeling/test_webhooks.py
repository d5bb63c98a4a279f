"""One webhook a project, with a small API in Label Studio's place; and whom it may call."""

import ipaddress
import json
from typing import Any

import httpx
import pytest

from al_loop.errors import OracleRefused, OracleUnavailable
from al_loop.records import Place
from labeling.addresses import HOST, forbidden_subnets
from labeling.session import Session
from labeling.webhooks import ACTIONS, Webhooks

SECRET = "k" * 43
URL = f"http://{HOST}:8502"
MADE = "2026-11-23T01:02:03.000000Z"


def place(number: int, made: str = MADE) -> Place:
    return Place(made, number)


class Api:
    """/api/webhooks/ as Label Studio has it: an update without `actions` clears them."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.projects = {7: MADE, 9: MADE}
        self.writes: list[str] = []
        self.refusal = ""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content or b"{}")
        if request.url.path.startswith("/api/projects/"):
            return self._project(int(request.url.path.split("/")[3]))
        if request.method == "GET":
            return httpx.Response(200, json=list(self.rows.values()))
        self.writes.append(request.method)
        if self.refusal:
            return httpx.Response(403, json={"detail": self.refusal})
        if request.method == "POST":
            number = max(self.rows, default=0) + 1
            defaults = {"id": number, "project": None, "is_active": True, "actions": []}
            self.rows[number] = defaults | body
            return httpx.Response(201, json=self.rows[number])
        number = int(request.url.path.rstrip("/").rpartition("/")[2])
        if request.method == "DELETE":
            del self.rows[number]
            return httpx.Response(204)
        self.rows[number] |= {"actions": []} | body
        return httpx.Response(200, json=self.rows[number])

    def _project(self, number: int) -> httpx.Response:
        if number not in self.projects:
            return httpx.Response(404, json={"detail": "Not found"})
        return httpx.Response(200, json={"id": number, "created_at": self.projects[number]})


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def session(api: Api) -> Session:
    return Session("http://studio", "t" * 40, transport=httpx.MockTransport(api))


def test_each_project_gets_one_and_keeps_it(api: Api, session: Session) -> None:
    webhooks = Webhooks(URL, SECRET)
    for _ in range(2):
        webhooks.keep(session, [place(7), place(9)])
    assert api.writes == ["POST", "POST"]
    assert {row["project"] for row in api.rows.values()} == {7, 9}
    for row in api.rows.values():
        assert row["url"] == f"{URL}/{SECRET}"
        assert not row["send_payload"]
        assert not row["send_for_all_actions"]
        assert set(row["actions"]) == set(ACTIONS)


@pytest.mark.parametrize(
    "change",
    [
        {"is_active": False},
        {"url": f"http://127.76.83.1:9999/{SECRET}"},
        {"actions": ["ANNOTATION_CREATED"]},
        {"send_payload": True},
    ],
)
def test_one_that_was_changed_or_disabled_is_put_right(
    api: Api, session: Session, change: dict[str, Any]
) -> None:
    webhooks = Webhooks(URL, SECRET)
    webhooks.keep(session, [place(7)])
    (row,) = api.rows.values()
    right = dict(row)
    row |= change
    webhooks.keep(session, [place(7)])
    assert list(api.rows.values()) == [right]


def test_an_order_of_actions_is_no_change(api: Api, session: Session) -> None:
    webhooks = Webhooks(URL, SECRET)
    webhooks.keep(session, [place(7)])
    api.rows[1]["actions"].reverse()
    webhooks.keep(session, [place(7)])
    assert api.writes == ["POST"]


def test_projects_that_are_gone_or_another_s_get_none(api: Api, session: Session) -> None:
    webhooks = Webhooks(URL, SECRET)
    webhooks.keep(session, [place(8), place(9, "2025-01-01T00:00:00.000000Z"), place(7)])
    assert [row["project"] for row in api.rows.values()] == [7]


def test_a_project_is_known_whatever_the_address_and_the_zone(api: Api, session: Session) -> None:
    api.projects = {7: "2026-11-23T07:02:03+06:00"}
    Webhooks(URL, SECRET).keep(session, [place(7)])
    assert [row["project"] for row in api.rows.values()] == [7]


@pytest.mark.parametrize("made", [None, 5, "then"])
def test_a_project_that_makes_no_sense_is_named(api: Api, session: Session, made: Any) -> None:
    api.projects[7] = made
    with pytest.raises(OracleUnavailable, match="fields of one"):
        Webhooks(URL, SECRET).keep(session, [place(7)])


@pytest.mark.parametrize("answer", [{}, None, "x", {"results": []}])
def test_something_else_than_a_list_is_named(answer: object) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer))
    session = Session("http://studio", "t" * 40, transport=transport, sleep=lambda pause_s: None)
    with pytest.raises(OracleUnavailable, match="list of webhooks"):
        Webhooks(URL, SECRET).keep(session, [place(7)])


def test_one_that_somebody_deletes_meanwhile_is_gone(api: Api, session: Session) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            api.rows.clear()
            return httpx.Response(404, json={"detail": "Not found"})
        return api(request)

    webhooks = Webhooks(URL, SECRET)
    webhooks.keep(session, [place(7)])
    webhooks.remove(Session("http://studio", "t" * 40, transport=httpx.MockTransport(answer)))
    assert api.rows == {}


def test_second_ones_go_and_strangers_stay(api: Api, session: Session) -> None:
    webhooks = Webhooks(URL, SECRET)
    webhooks.keep(session, [place(7)])
    api.rows[2] = api.rows[1] | {"id": 2}
    api.rows[3] = api.rows[1] | {"id": 3, "url": f"{URL}/another"}
    webhooks.keep(session, [place(7)])
    assert list(api.rows) == [1, 3]
    webhooks.remove(session)
    assert list(api.rows) == [3]


def test_a_server_that_calls_no_private_address_says_what_to_do(api: Api, session: Session) -> None:
    api.refusal = "URL resolves to a reserved network address (block: 127.0.0.0/8)"
    with pytest.raises(OracleRefused, match="LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS") as caught:
        Webhooks(URL, SECRET).keep(session, [place(7)])
    assert SECRET not in str(caught.value)


def test_other_refusals_stay_what_they_are(api: Api, session: Session) -> None:
    api.refusal = "You do not have permission"
    with pytest.raises(OracleRefused, match="permission"):
        Webhooks(URL, SECRET).keep(session, [place(7)])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.76.83.0",
        "127.76.83.2",
        "127.255.255.255",
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.5",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "2002:7f00:1::",
    ],
)
def test_no_private_address_may_be_called(address: str) -> None:
    assert is_forbidden(address)


@pytest.mark.parametrize("address", [HOST, "8.8.8.8", "172.32.0.1", "2606:4700::1111"])
def test_ours_and_the_public_internet_may_be_called(address: str) -> None:
    assert not is_forbidden(address)


def is_forbidden(address: str) -> bool:
    return any(
        ipaddress.ip_address(address) in ipaddress.ip_network(subnet)
        for subnet in forbidden_subnets(HOST)
    )
