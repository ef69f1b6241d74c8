import numpy as np
import pytest

from vqnp.experiments import views
from vqnp.experiments.plans import baseline_and_pretrained
from vqnp.experiments.run import run_all
from vqnp.plots import style


def test_distinct_points_and_their_shares():
    points, share = style.distinct(np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [1.0, 2.0]]))
    np.testing.assert_array_equal(points, [[0, 0], [1, 2]])
    np.testing.assert_array_equal(share, [0.25, 0.75])


def test_tsne_lays_clouds_out_together_and_hands_them_back():
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(30, 5)), rng.normal(size=(20, 5)) + 50
    first, second, mixed = style.tsne([near, far, near[:3]], seed=0)
    assert (first.shape, second.shape, mixed.shape) == ((30, 2), (20, 2), (3, 2))
    gap = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
    # neighbors stay neighbors across clouds
    assert np.linalg.norm(mixed - first.mean(axis=0), axis=1).max() < gap / 2


@pytest.mark.parametrize(
    ("dims", "mapped", "latent_mapped"),
    [((2, 1), False, False), ((4, 2), True, False), ((8, 4), True, True)],
)
def test_a_view_shows_three_coordinates_at_most(
    plan, tmp_path, monkeypatch, dims, mapped, latent_mapped
):
    monkeypatch.setattr(views, "PLACED", 30)
    data = plan.clusters(dims[0])
    specs = baseline_and_pretrained(plan, data, dims, 0)
    results = run_all(specs, tmp_path, jobs=1, resume=False, progress=False)
    view = views.view(data.load(0).points, [results[spec] for spec in specs], 0)
    assert (view.mapped, view.latent_mapped) == (mapped, latent_mapped)
    for arm in view.arms:
        assert arm.tokens.shape == (plan.n_tokens, 2 if latent_mapped else dims[1])
        assert arm.reconstruction.shape[1] == view.data.shape[1] == 2
        assert arm.reconstruction_share.sum() == pytest.approx(1)
        assert arm.token_share.sum() == pytest.approx(1)
        assert len(arm.reconstruction) <= plan.n_tokens
