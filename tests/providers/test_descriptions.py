"""The stubs notice what is outside the published descriptions: else a green story says nothing."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.providers.stubs.description import MERGE_PATCH, Description, Violation, description
from tests.providers.stubs.docker import DockerStub

JSON = "application/json"
PODS = "/api/v1/namespaces/agents/pods"
SCALE = "/apis/apps/v1/namespaces/agents/statefulsets/gw/scale"


@pytest.fixture(scope="module")
def docker() -> Description:
    return description("docker")


@pytest.fixture(scope="module")
def kubernetes() -> Description:
    return description("kubernetes")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"Image": "a", "Imgae": "b"}', "Imgae"),
        (b'{"Image": "a", "HostConfig": {"Memroy": 1}}', "Memroy"),
        (b'{"Image": "a", "HostConfig": {"Memory": "512m"}}', "not of type 'integer'"),
        (b'{"Image": "a", "HostConfig": {"RestartPolicy": {"Name": "never"}}}', "is not one of"),
        (b'{"Image": "a", "Labels": {"godel.pool": 1}}', "not of type 'string'"),
        (b"", "needs a body"),
    ],
)
def test_a_wrong_container_is_refused(docker: Description, body: bytes, problem: str) -> None:
    operation = docker.operation("POST", "/containers/create")
    with pytest.raises(Violation, match=problem):
        operation.check_body(JSON, body)


def test_a_right_container_is_not(docker: Description) -> None:
    operation = docker.operation("POST", "/containers/create")
    body = b'{"Image": "a", "HostConfig": {"Memory": 1, "RestartPolicy": {"Name": "no"}}}'
    assert operation.check_body(JSON, body)["HostConfig"]["Memory"] == 1


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"labels": "a"}, "no query parameter 'labels'"),
        ({"all": "yes"}, "no boolean"),
        ({"limit": "few"}, "no integer"),
    ],
)
def test_a_wrong_query_is_refused(docker: Description, query: dict[str, str], problem: str) -> None:
    with pytest.raises(Violation, match=problem):
        docker.operation("GET", "/containers/json").check_query(query)


def test_an_unknown_path_or_method_is_refused(docker: Description) -> None:
    with pytest.raises(Violation, match="no path"):
        docker.operation("GET", "/container/json")
    with pytest.raises(Violation, match="has no PUT"):
        docker.operation("PUT", "/containers/json")


@pytest.mark.parametrize(
    ("path", "kind", "body", "problem"),
    [
        (SCALE, MERGE_PATCH, b'{"spec": {"replica": 3}}', "replica"),
        (SCALE, MERGE_PATCH, b'{"spec": {"replicas": "3"}}', "not of type 'integer'"),
        (SCALE, JSON, b'{"spec": {"replicas": 3}}', "takes"),
        (PODS + "/gw-0", MERGE_PATCH, b'{"metadata": {"annotations": {"a": 1}}}', "'string'"),
        (PODS + "/gw-0", MERGE_PATCH, b'{"metadata": {"anotations": {}}}', "anotations"),
    ],
)
def test_a_wrong_patch_is_refused(
    kubernetes: Description, path: str, kind: str, body: bytes, problem: str
) -> None:
    with pytest.raises(Violation, match=problem):
        kubernetes.operation("PATCH", path).check_body(kind, body)


def test_a_patch_may_be_a_part_and_take_away(kubernetes: Description) -> None:
    operation = kubernetes.operation("PATCH", PODS + "/gw-0")
    body = b'{"metadata": {"resourceVersion": "7", "annotations": {"a": null}}}'
    assert operation.check_body(MERGE_PATCH, body)["metadata"]["annotations"] == {"a": None}


@pytest.mark.parametrize(
    ("status", "answer", "problem"),
    [
        (200, [{"Id": 1}], "not of type 'string'"),
        (200, [{"Idd": "1"}], "Idd"),
        (418, [], "does not answer 418"),
    ],
)
def test_a_stub_may_not_answer_what_is_not_described(
    docker: Description, status: int, answer: Any, problem: str
) -> None:
    with pytest.raises(Violation, match=problem):
        docker.operation("GET", "/containers/json").check_answer(status, answer)


async def test_a_stub_that_was_asked_for_nonsense_fails_its_story() -> None:
    stub = await DockerStub().__aenter__()
    url = f"{stub.url}/v1.56/containers/json?al=true"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 400
    with pytest.raises(AssertionError, match="outside the description"):
        await stub.__aexit__()
