"""Pages of any size hold the same items, also while others write."""

from collections.abc import Callable
from typing import Any

import pytest

from harness import Server, unit_vectors

SIZES = [1, 2, 7, 4096]


def pages(call: Callable[..., dict[str, Any]], member: str, size: int, **arguments: Any) -> list[list[Any]]:
    found: list[list[Any]] = []
    token: dict[str, str] = {}
    while True:
        page = call(MaxResults=size, **arguments, **token)
        found.append(page[member])
        assert len(page[member]) <= size
        if not page.get("NextToken"):
            return found
        token = {"NextToken": page["NextToken"]}


def test_faces_are_the_same_in_pages_of_any_size(module_server: Server, collection: str) -> None:
    ids = module_server.index_vectors(collection, unit_vectors(23, seed=6), [f"p{index}" for index in range(23)])
    client = module_server.client()
    for size in SIZES:
        got = pages(client.list_faces, "Faces", size, CollectionId=collection)
        listed = [face["FaceId"] for page in got for face in page]
        assert sorted(listed) == sorted(ids)
        assert len(got) <= len(ids) // size + 1
    paginator = client.get_paginator("list_faces").paginate(CollectionId=collection, PaginationConfig={"PageSize": 5})
    assert sorted(face["FaceId"] for page in paginator for face in page["Faces"]) == sorted(ids)
    assert len(client.list_faces(CollectionId=collection, MaxResults=0)["Faces"]) == 23


def test_collections_are_the_same_in_pages_of_any_size(module_server: Server) -> None:
    client = module_server.client()
    names = {f"paged-{index:02}" for index in range(9)}
    for name in names:
        client.create_collection(CollectionId=name)
    for size in SIZES:
        token: dict[str, str] = {}
        listed: list[str] = []
        while True:
            page = client.list_collections(MaxResults=size, **token)
            assert len(page["CollectionIds"]) == len(page["FaceModelVersions"]) <= size
            listed += page["CollectionIds"]
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}
        assert len(listed) == len(set(listed))
        assert set(listed) >= names
    for name in names:
        client.delete_collection(CollectionId=name)


def test_nothing_is_shown_twice_or_missed_while_others_write(module_server: Server, collection: str) -> None:
    first = module_server.index_vectors(collection, unit_vectors(30, seed=7), [f"a{index}" for index in range(30)])
    client = module_server.client()
    listed: list[str] = []
    token: dict[str, str] = {}
    for step in range(100):
        page = client.list_faces(CollectionId=collection, MaxResults=4, **token)
        listed += [face["FaceId"] for face in page["Faces"]]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
        module_server.index_vectors(collection, unit_vectors(1, seed=100 + step), [f"b{step}"])
    assert len(listed) == len(set(listed))
    assert set(first) <= set(listed)


def test_a_token_belongs_to_its_list(module_server: Server, collection: str) -> None:
    module_server.index_vectors(collection, unit_vectors(3, seed=8), ["a", "b", "c"])
    client = module_server.client()
    other = client.create_collection(CollectionId="another-list")
    assert other["StatusCode"] == 200
    module_server.index_vectors("another-list", unit_vectors(3, seed=8), ["a", "b", "c"])
    token = client.list_faces(CollectionId=collection, MaxResults=1)["NextToken"]
    with pytest.raises(client.exceptions.InvalidPaginationTokenException):
        client.list_faces(CollectionId="another-list", NextToken=token)
    with pytest.raises(client.exceptions.InvalidPaginationTokenException):
        client.list_faces(CollectionId=collection, NextToken=token[:-1] + ("0" if token[-1] != "0" else "1"))
    client.delete_collection(CollectionId="another-list")
