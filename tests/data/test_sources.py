"""The settings that name a data set: they load, print, compare and go to JSON."""

import json

import numpy as np
import pytest

from vqnp.data import (
    Cifar10,
    Clusters,
    Digits,
    OwnPoints,
    Patches,
    clusters,
    digits,
    load_patches,
    load_points,
)


def test_each_source_loads_what_its_loader_does(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(4, 3))
    np.save(tmp_path / "y.npy", np.array([0, 1, 1, 0]))
    x, y = str(tmp_path / "x.npy"), str(tmp_path / "y.npy")
    assert Clusters(3, 20).load(5).identity == clusters(3, rng=5, per_class=20).identity
    assert Clusters(3, 20).load(5).identity != Clusters(3, 20).load(6).identity
    assert Digits().load(5).identity == digits().identity
    assert OwnPoints(x, y).load(5).identity == load_points(x, y).identity
    assert OwnPoints(x).load(5).labels is None
    assert Patches(4, 2).load(5).identity == load_patches(4, 2).identity


def test_the_first_images_of_a_folder_are_loaded_and_named(monkeypatch):
    whole = load_patches(6, 3)
    opened = []
    monkeypatch.setattr("vqnp.data.cifar10.load_cifar10", lambda path: opened.append(path) or whole)
    images = Cifar10(4, 2, "my copy", "some/folder").load(5)
    assert [str(path) for path in opened] == ["some/folder"]
    assert images.name == "my copy: the first 4 training and 2 test images"
    np.testing.assert_array_equal(images.train, whole.train[:4])


@pytest.mark.parametrize(
    ("source", "said", "record"),
    [
        (Clusters(2), "Clusters(dim=2, per_class=1000)", {"dim": 2, "per_class": 1000}),
        (Digits(), "Digits()", {}),
        (
            OwnPoints("x.npy"),
            "OwnPoints(points='x.npy', labels=None)",
            {"points": "x.npy", "labels": None},
        ),
        (Patches(3, 2), "Patches(train=3, test=2)", {"train": 3, "test": 2}),
        (
            Cifar10(3, 2, None, "/home/me"),
            "Cifar10(train=3, test=2, name=None)",
            {"train": 3, "test": 2, "name": None},
        ),
    ],
)
def test_a_source_prints_compares_and_goes_to_json(source, said, record):
    """The names of stored runs contain a digest of the text, so the text must not change."""
    assert repr(source) == said
    assert source.to_json() == {"kind": type(source).__name__, **record}
    assert json.loads(json.dumps(source.to_json())) == source.to_json()
    assert source == type(source)(**record)
    assert len({source, type(source)(**record)}) == 1
